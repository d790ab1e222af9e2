//! From reset to [`crate::board_main`], and what the linker knows.

use core::slice::from_raw_parts;

/// What an unused word of the stack holds.
const PAINT: u32 = 0xcccc_cccc;

unsafe extern "C" {
    static __image_start: u8;
    static __image_end: u8;
    static __input_start: u8;
    static __input_end: u8;
    static mut __arena_start: u64;
    static __arena_end: u64;
    static __stack_low: u32;
    static __stack_top: u32;
    static __synop_config: u8;
}

/// The bytes between two symbols of the linker.
unsafe fn between(start: *const u8, end: *const u8) -> &'static [u8] {
    unsafe { from_raw_parts(start, end as usize - start as usize) }
}

/// The image in flash.
pub(crate) fn image() -> &'static [u8] {
    unsafe { between(&raw const __image_start, &raw const __image_end) }
}

/// The input in flash.
pub(crate) fn input() -> &'static [u8] {
    unsafe { between(&raw const __input_start, &raw const __input_end) }
}

/// The memory of the machine. Called once.
pub(crate) fn arena() -> &'static mut [u64] {
    let (start, end) = (&raw mut __arena_start, &raw const __arena_end);
    let words = (end as usize - start as usize) / 8;
    unsafe {
        for i in 0..words {
            start.add(i).write(0);
        }
        core::slice::from_raw_parts_mut(start, words)
    }
}

/// The address of the symbol is the value.
pub(crate) fn config() -> usize {
    (&raw const __synop_config) as usize
}

/// The deepest that the stack was, in bytes; `None` if it reached its end.
pub(crate) fn stack_used() -> Option<usize> {
    let (low, top) = (&raw const __stack_low, &raw const __stack_top);
    let words = (top as usize - low as usize) / 4;
    let free = (0..words).take_while(|i| unsafe { low.add(*i).read_volatile() } == PAINT).count();
    (free != 0).then_some((words - free) * 4)
}

/// Little-endian `u64` at byte `at`.
pub(crate) fn word64(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|b| b.first_chunk::<8>()).map_or(0, |b| u64::from_le_bytes(*b))
}

#[cfg(target_arch = "arm")]
core::arch::global_asm!(
    r#"
    .section .vector_table, "a"
    .balign 4
    .word __stack_top
    .word Reset
    .word Fault                 @ NMI
    .word Fault                 @ HardFault
    .word Fault, Fault, Fault   @ MemManage, BusFault, UsageFault
    .word 0, 0, 0, 0
    .word Fault, Fault, 0, Fault, Fault

    .section .text.Reset, "ax"
    .syntax unified
    .thumb_func
    .globl Reset
    .type Reset, %function
Reset:
    ldr r0, =__stack_low
    ldr r1, =__stack_top
    ldr r2, =0xcccccccc
2:  cmp r0, r1
    bhs 3f
    str r2, [r0]
    adds r0, #4
    b 2b
3:  ldr r0, =__data_start
    ldr r1, =__data_end
    ldr r2, =__data_load
4:  cmp r0, r1
    bhs 5f
    ldr r3, [r2]
    str r3, [r0]
    adds r0, #4
    adds r2, #4
    b 4b
5:  ldr r0, =__bss_start
    ldr r1, =__bss_end
    movs r2, #0
6:  cmp r0, r1
    bhs 7f
    str r2, [r0]
    adds r0, #4
    b 6b
7:  bl board_fpu
    bl board_main
    udf #0

    .section .text.Fault, "ax"
    .thumb_func
    .globl Fault
    .type Fault, %function
Fault:
    ldr r0, =__stack_top
    mov sp, r0
    bl board_fault
    udf #0
    .pool
"#
);

/// Turns the floating-point unit on where the compiler may use its registers.
#[cfg(target_arch = "arm")]
#[unsafe(no_mangle)]
extern "C" fn board_fpu() {
    #[cfg(target_abi = "eabihf")]
    unsafe {
        let cpacr = 0xE000_ED88 as *mut u32;
        cpacr.write_volatile(cpacr.read_volatile() | 0xf << 20);
        core::arch::asm!("dsb", "isb");
    }
}

#[cfg(target_arch = "riscv32")]
core::arch::global_asm!(
    r#"
    .section .text.Reset, "ax"
    .globl Reset
Reset:
    la sp, __stack_top
    la t0, Fault
    csrw mtvec, t0
    la t0, __stack_low
    li t2, 0xcccccccc
2:  bgeu t0, sp, 3f
    sw t2, 0(t0)
    addi t0, t0, 4
    j 2b
3:  la t0, __data_start
    la t1, __data_end
    la t2, __data_load
4:  bgeu t0, t1, 5f
    lw t3, 0(t2)
    sw t3, 0(t0)
    addi t0, t0, 4
    addi t2, t2, 4
    j 4b
5:  la t0, __bss_start
    la t1, __bss_end
6:  bgeu t0, t1, 7f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 6b
7:  call board_main

    .section .text.Fault, "ax"
    .balign 4
    .globl Fault
Fault:
    la sp, __stack_top
    call board_fault
"#
);
