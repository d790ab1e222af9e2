//! The machine for C firmware; `synop.h` says what each function does.
//!
//! The only place in the project, besides start-up code and the host's SIMD loops, where raw pointers are used:
//! they are checked for null, and the caller answers for the rest, as always in C.

#![no_std]

use core::slice::{from_raw_parts, from_raw_parts_mut};
use synop_core::frame::Frames;
use synop_core::session::{Outlet, SessionError, digest, replay};
use synop_core::{Event, Image, Machine, Observer, Scalar, Threefry, Unobserved};

/// What stands in the caller's `synop_machine`.
struct State {
    machine: Machine<'static>,
    draws: Threefry,
}

const _: () = assert!(core::mem::size_of::<State>() <= 128 * 8 && core::mem::align_of::<State>() <= 8);

const NULL: i32 = 17;
const UNEQUAL: i32 = 18;

fn code(result: Result<(), SessionError>) -> i32 {
    result.map_or_else(|e| e.code().into(), |()| 0)
}

/// The bytes of an image or of frames; nothing for null.
unsafe fn bytes(start: *const u8, len: usize) -> &'static [u8] {
    if start.is_null() { &[] } else { unsafe { from_raw_parts(start, len) } }
}

unsafe fn memory(start: *mut u64, words: usize) -> &'static mut [u64] {
    if start.is_null() { &mut [] } else { unsafe { from_raw_parts_mut(start, words) } }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn synop_memory(image: *const u8, len: usize) -> usize {
    Image::check(unsafe { bytes(image, len) }).map_or(0, |image| image.memory(0..image.cores).words())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn synop_init(
    state: *mut State,
    image: *const u8,
    len: usize,
    start: *mut u64,
    words: usize,
) -> i32 {
    if state.is_null() {
        return NULL;
    }
    code(
        begin(unsafe { bytes(image, len) }, unsafe { memory(start, words) })
            .map(|new| unsafe { state.write(new) }),
    )
}

fn begin(image: &'static [u8], memory: &'static mut [u64]) -> Result<State, SessionError> {
    let image = Image::check(image)?;
    memory.fill(0);
    Ok(State { machine: Machine::new(image, memory)?, draws: Threefry::new(image.seed) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn synop_input(state: *mut State, piece: u32, events: *const Event, count: usize) -> i32 {
    let Some(state) = (unsafe { state.as_mut() }) else { return NULL };
    if events.is_null() && count != 0 {
        return NULL;
    }
    let events = if count == 0 { &[] } else { unsafe { from_raw_parts(events, count) } };
    code(state.machine.inject(piece, events).map_err(SessionError::Input))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn synop_step(state: *mut State, ticks: u32) -> i32 {
    let Some(State { machine, draws }) = (unsafe { state.as_mut() }) else { return NULL };
    for _ in 0..ticks {
        machine.step(&Scalar, draws, &mut Unobserved);
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn synop_read(
    state: *const State,
    what: i32,
    piece: u32,
    values: *mut i32,
    count: usize,
) -> usize {
    let Some(State { machine, .. }) = (unsafe { state.as_ref() }) else { return 0 };
    let from = match what {
        1 => machine.spike_counts(piece),
        2 => machine.membranes(piece),
        _ => &[],
    };
    if !values.is_null() {
        let to = unsafe { from_raw_parts_mut(values, count) };
        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    }
    from.len()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn synop_counter(state: *const State, counter: u32) -> u64 {
    let Some(State { machine, .. }) = (unsafe { state.as_ref() }) else { return 0 };
    (0..machine.image().pieces).filter_map(|p| machine.counters(p).row().get(counter as usize).copied()).sum()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn synop_rest(state: *mut State) -> i32 {
    let Some(state) = (unsafe { state.as_mut() }) else { return NULL };
    state.machine.rest();
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn synop_clear(state: *mut State) -> i32 {
    let Some(state) = (unsafe { state.as_mut() }) else { return NULL };
    state.machine.clear_spike_counts();
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn synop_learn(state: *mut State, factors: *const i32, rules: usize) -> i32 {
    let Some(State { machine, draws }) = (unsafe { state.as_mut() }) else { return NULL };
    if factors.is_null() && rules != 0 {
        return NULL;
    }
    let factors = if rules == 0 { &[] } else { unsafe { from_raw_parts(factors, rules) } };
    for (rule, factor) in (0..).zip(factors) {
        machine.set_third_factor(rule, *factor);
    }
    machine.learn_sample_by(&Scalar, draws);
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn synop_selftest(
    image: *const u8,
    len: usize,
    start: *mut u64,
    words: usize,
    frames: *const u8,
    frame_bytes: usize,
    expected: u32,
) -> i32 {
    let (image, memory) = (unsafe { bytes(image, len) }, unsafe { memory(start, words) });
    match tested(image, memory, unsafe { bytes(frames, frame_bytes) }) {
        Ok(found) if found == expected => 0,
        Ok(_) => UNEQUAL,
        Err(e) => code(Err(e)),
    }
}

/// The digest after some frames.
fn tested(image: &'static [u8], memory: &'static mut [u64], frames: &[u8]) -> Result<u32, SessionError> {
    let State { mut machine, mut draws } = begin(image, memory)?;
    replay(Frames::new(frames), &mut machine, &Scalar, &mut draws, &mut Silent)?;
    Ok(digest(&machine))
}

/// Takes nothing.
struct Silent;

impl Observer for Silent {
    const LOOKS: bool = false;
}

impl Outlet for Silent {}

/// Never expected: the machine has no panic.
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
