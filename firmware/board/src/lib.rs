//! The firmware of a board: it checks the image in its flash, runs the input that lies beside it or arrives as a
//! stream, and says over semihosting what happened: spikes, readings, learnt weights, counters, instructions.
//!
//! Built as a static library once per target; the linker then puts an image, an input and a memory layout
//! (`firmware/boards`, `firmware/layout.x`) to it, so that a new image needs no compiler.

#![no_std]

mod clock;
mod host;
mod report;
mod start;

use core::fmt::Write;
use host::Output;
use report::{Meter, Reporter};
use synop_core::frame::{Frames, Reader};
use synop_core::session::{Next, Session, SessionError, digest, replay};
use synop_core::{Image, Machine, Scalar, Threefry};

/// Exit codes beside those of [`SessionError::code`].
mod exit {
    /// A fault of the processor.
    pub(crate) const FAULT: u32 = 20;
    /// A panic: never expected.
    pub(crate) const PANIC: u32 = 21;
    /// The stack reached its end.
    pub(crate) const STACK: u32 = 22;
    /// The second run, for counting, came to other counters than the first.
    pub(crate) const UNEQUAL: u32 = 23;
}

/// What is wanted, as bits of the linker's symbol `__synop_config`.
mod want {
    /// Every spike, one line each.
    pub(crate) const TRACE: usize = 1;
    /// A second run that counts instructions.
    pub(crate) const METER: usize = 2;
    /// Input from the host's file `input.bin` over semihosting instead of from flash.
    pub(crate) const STREAM: usize = 4;
    /// Count with the processor's cycle counter instead: for real hardware.
    pub(crate) const CYCLES: usize = 8;
}

/// Called by the start-up code with memory and stack ready.
#[unsafe(no_mangle)]
extern "C" fn board_main() -> ! {
    let mut out = Output::new();
    let code = match run(&mut out) {
        Ok(()) => match start::stack_used() {
            Some(bytes) => {
                let _ = writeln!(out, "stack {bytes}");
                0
            }
            None => {
                let _ = writeln!(out, "error {} the stack reached its end", exit::STACK);
                exit::STACK
            }
        },
        Err(Stop::Session(e)) => {
            let _ = writeln!(out, "error {} {e}", e.code());
            e.code().into()
        }
        Err(Stop::Unequal) => {
            let _ = writeln!(out, "error {} the run that counts gave other counters", exit::UNEQUAL);
            exit::UNEQUAL
        }
    };
    let _ = writeln!(out, "end {code}");
    out.flush();
    host::exit(code)
}

enum Stop {
    Session(SessionError),
    Unequal,
}

impl<E: Into<SessionError>> From<E> for Stop {
    fn from(e: E) -> Self {
        Stop::Session(e.into())
    }
}

fn run(out: &mut Output) -> Result<(), Stop> {
    let config = start::config();
    let image = Image::check(start::image())?;
    let _ = writeln!(out, "synop 1 image {:016x}", start::word64(image.bytes(), 24));
    let mut machine = Machine::new(image, start::arena())?;
    let mut draws = Threefry::new(image.seed);
    let mut reporter = Reporter::new(out, config & want::TRACE != 0);
    let streamed = config & want::STREAM != 0;
    let skipped = if streamed {
        stream(&mut machine, &mut draws, &mut reporter)?
    } else {
        from_flash(&mut machine, &mut draws, &mut reporter)?
    };
    if skipped != 0 {
        let _ = writeln!(reporter.out, "skipped {skipped}");
    }
    report::results(reporter.out, &machine);
    let first = digest(&machine);
    if config & want::METER != 0 && !streamed {
        machine.restart();
        draws = Threefry::new(image.seed);
        reporter.spikes = false;
        reporter.meter = Some(Meter::new(config & want::CYCLES != 0));
        from_flash(&mut machine, &mut draws, &mut reporter)?;
        if digest(&machine) != first {
            return Err(Stop::Unequal);
        }
        if let Some(meter) = &reporter.meter {
            meter.tell(reporter.out);
        }
    }
    Ok(())
}

/// Runs the frames in flash; returns the bytes that were none. Out of line: it is the machine's code, once.
#[inline(never)]
fn from_flash(
    machine: &mut Machine<'_>,
    draws: &mut Threefry,
    reporter: &mut Reporter<'_>,
) -> Result<u64, Stop> {
    let mut frames = Frames::new(start::input());
    replay(frames.by_ref(), machine, &Scalar, draws, reporter)?;
    Ok(frames.skipped)
}

/// Runs the frames of the host's stream; returns the bytes that were none. Out of line for its buffer's sake.
#[inline(never)]
fn stream(machine: &mut Machine<'_>, draws: &mut Threefry, reporter: &mut Reporter<'_>) -> Result<u64, Stop> {
    let mut reader = Reader::new(host::Input::open());
    let mut session = Session::new();
    while let Some(frame) = reader.next_frame() {
        if session.run(frame, machine, &Scalar, draws, reporter)? == Next::Done {
            return Ok(reader.skipped);
        }
    }
    Err(SessionError::Cut.into())
}

#[panic_handler]
fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    let mut out = Output::new();
    let _ = writeln!(out, "error {} {info}\nend {}", exit::PANIC, exit::PANIC);
    out.flush();
    host::exit(exit::PANIC)
}

/// A fault of the processor: says so and stops, where the default would be to wait for ever.
#[unsafe(no_mangle)]
extern "C" fn board_fault() -> ! {
    let mut out = Output::new();
    let _ = writeln!(out, "error {} the processor faulted\nend {}", exit::FAULT, exit::FAULT);
    out.flush();
    host::exit(exit::FAULT)
}
