//! The way to the host: semihosting, as QEMU and debug probes serve it.

use core::fmt;

/// Operations of the Arm semihosting specification; RISC-V has the same.
mod call {
    pub(super) const OPEN: usize = 0x01;
    pub(super) const WRITE: usize = 0x05;
    pub(super) const READ: usize = 0x06;
    pub(super) const EXIT_EXTENDED: usize = 0x20;
}

#[cfg(target_arch = "arm")]
fn semihosting(operation: usize, block: &[usize]) -> usize {
    let result;
    // The host reads and writes only what the block describes.
    unsafe {
        core::arch::asm!("bkpt 0xab", inlateout("r0") operation => result, in("r1") block.as_ptr());
    }
    result
}

#[cfg(target_arch = "riscv32")]
fn semihosting(operation: usize, block: &[usize]) -> usize {
    let result;
    // The three instructions that the specification names; they must not be compressed nor cross a page.
    unsafe {
        core::arch::asm!(
            ".balign 16", ".option push", ".option norvc",
            "slli x0, x0, 0x1f", "ebreak", "srai x0, x0, 7", ".option pop",
            inlateout("a0") operation => result, in("a1") block.as_ptr(),
        );
    }
    result
}

/// Opens a file of the host; the name ends with a zero byte. Modes: 1 `rb`, 4 `w`.
fn open(name: &[u8], mode: usize) -> usize {
    semihosting(call::OPEN, &[name.as_ptr() as usize, mode, name.len() - 1])
}

/// Ends the run with an exit code.
pub(crate) fn exit(code: u32) -> ! {
    loop {
        semihosting(call::EXIT_EXTENDED, &[0x20026, code as usize]);
    }
}

/// The host's standard output, in lines, buffered.
pub(crate) struct Output {
    handle: usize,
    buffer: [u8; 256],
    len: usize,
}

impl Output {
    pub(crate) fn new() -> Self {
        Output { handle: open(b":tt\0", 4), buffer: [0; 256], len: 0 }
    }

    pub(crate) fn flush(&mut self) {
        if self.len != 0 {
            semihosting(call::WRITE, &[self.handle, self.buffer.as_ptr() as usize, self.len]);
            self.len = 0;
        }
    }
}

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.len == self.buffer.len() {
                self.flush();
            }
            if let Some(b) = self.buffer.get_mut(self.len) {
                *b = byte;
                self.len += 1;
            }
        }
        Ok(())
    }
}

/// The host's file `input.bin`, as a stream.
pub(crate) struct Input {
    handle: usize,
}

impl Input {
    pub(crate) fn open() -> Self {
        Input { handle: open(b"input.bin\0", 1) }
    }
}

impl synop_core::frame::Source for Input {
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        // Little by little, as from a wire.
        let want = buffer.len().min(64);
        let left = semihosting(call::READ, &[self.handle, buffer.as_mut_ptr() as usize, want]);
        want - left.min(want)
    }
}
