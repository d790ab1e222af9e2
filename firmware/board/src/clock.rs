//! A counter that advances with the instructions, or the cycles, that the processor executes.
//!
//! In QEMU with `-icount` the RISC-V counter `minstret` is exact, and so is SysTick once it has been compared
//! with a loop of known length. On a real Cortex-M the cycle counter of the debug unit is used instead.

/// What counts.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    cycles: bool,
}

/// What the unit of a clock is worth: `instructions` pass in `ticks`.
pub(crate) struct Scale {
    pub(crate) instructions: u64,
    pub(crate) ticks: u64,
}

#[cfg(target_arch = "arm")]
mod arch {
    const SYST_CSR: *mut u32 = 0xE000_E010 as *mut u32;
    const SYST_RVR: *mut u32 = 0xE000_E014 as *mut u32;
    const SYST_CVR: *mut u32 = 0xE000_E018 as *mut u32;
    const DEMCR: *mut u32 = 0xE000_EDFC as *mut u32;
    const DWT_CTRL: *mut u32 = 0xE000_1000 as *mut u32;
    const DWT_CYCCNT: *mut u32 = 0xE000_1004 as *mut u32;

    pub(super) fn start(cycles: bool) {
        // Registers of the processor that nothing else here uses.
        unsafe {
            if cycles {
                DEMCR.write_volatile(DEMCR.read_volatile() | 1 << 24);
                DWT_CTRL.write_volatile(DWT_CTRL.read_volatile() | 1);
            } else {
                SYST_RVR.write_volatile(0x00ff_ffff);
                SYST_CVR.write_volatile(0);
                SYST_CSR.write_volatile(0b101);
            }
        }
    }

    #[inline(always)]
    pub(super) fn now(cycles: bool) -> u32 {
        unsafe { if cycles { DWT_CYCCNT.read_volatile() } else { 0x00ff_ffff - SYST_CVR.read_volatile() } }
    }

    /// Whether SysTick went through zero since this was last asked.
    #[inline(always)]
    pub(super) fn wrapped(cycles: bool) -> bool {
        !cycles && unsafe { SYST_CSR.read_volatile() } & 1 << 16 != 0
    }

    pub(super) const fn mask(cycles: bool) -> u32 {
        if cycles { u32::MAX } else { 0x00ff_ffff }
    }

    /// Executes `2 × turns` instructions, give or take a constant.
    #[inline(never)]
    pub(super) fn spin(turns: u32) {
        unsafe {
            core::arch::asm!("2:", "subs {n}, #1", "bne 2b", n = inout(reg) turns => _);
        }
    }
}

#[cfg(target_arch = "riscv32")]
mod arch {
    pub(super) fn start(_: bool) {}

    #[inline(always)]
    pub(super) fn now(cycles: bool) -> u32 {
        let n;
        unsafe {
            if cycles {
                core::arch::asm!("csrr {0}, mcycle", out(reg) n);
            } else {
                core::arch::asm!("csrr {0}, minstret", out(reg) n);
            }
        }
        n
    }

    pub(super) fn wrapped(_: bool) -> bool {
        false
    }

    pub(super) const fn mask(_: bool) -> u32 {
        u32::MAX
    }

    #[inline(never)]
    pub(super) fn spin(turns: u32) {
        unsafe {
            core::arch::asm!("2:", "addi {n}, {n}, -1", "bnez {n}, 2b", n = inout(reg) turns => _);
        }
    }
}

impl Clock {
    /// Starts the counter.
    pub(crate) fn start(cycles: bool) -> Self {
        arch::start(cycles);
        Clock { cycles }
    }

    /// The counter, and whether it wrapped since it was last read.
    #[inline(always)]
    pub(crate) fn now(self) -> (u32, bool) {
        let mut wrapped = false;
        loop {
            // A counter that wraps while the flag is read is read again.
            let first = arch::now(self.cycles);
            wrapped |= arch::wrapped(self.cycles);
            let second = arch::now(self.cycles);
            if second >= first {
                return (second, wrapped);
            }
        }
    }

    /// Ticks from a counter value to a reading; the counter may have gone round once and as far as before again.
    #[inline(always)]
    pub(crate) fn since(self, then: u32, (now, wrapped): (u32, bool)) -> u32 {
        let mask = arch::mask(self.cycles);
        let round = if wrapped && now >= then { mask.wrapping_add(1) } else { 0 };
        (now.wrapping_sub(then) & mask).wrapping_add(round)
    }

    /// Times loops of known lengths; their difference is free of what calling costs. Cycles are not scaled.
    pub(crate) fn scale(self) -> Scale {
        const TURNS: u32 = 100_000;
        if self.cycles {
            return Scale { instructions: 1, ticks: 1 };
        }
        let time = |turns| {
            let (then, _) = self.now();
            arch::spin(turns);
            self.since(then, self.now())
        };
        let (short, long) = (time(TURNS), time(2 * TURNS));
        Scale { instructions: u64::from(2 * TURNS), ticks: u64::from(long.wrapping_sub(short).max(1)) }
    }
}
