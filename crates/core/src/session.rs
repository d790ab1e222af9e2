//! A session: commands that arrive as frames drive a machine. A host and a board run this same code, so what
//! a board was told, in flash or over a wire, can be told again to a host and compared.

use crate::draw::Draws;
use crate::frame::{Frame, crc32};
use crate::image::ImageError;
use crate::machine::{InputError, Machine};
use crate::observer::{Observer, Work};
use crate::store::Kernels;
use core::fmt;

/// Version of the commands.
pub const VERSION: u16 = 1;
/// Most pieces whose membranes a session shows in every tick.
pub const MOST_WATCHED: usize = 8;

/// Kinds of frames. Numbers in payloads are little-endian; `piece` and `neuron` are u16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Command {
    /// First of all: version u16, 0 u16, checksum of the image u64 (0: any image).
    Begin = 1,
    /// Spikes for the coming tick: piece, neuron × n. A long list goes on in a further frame.
    Spikes,
    /// Graded events for the coming tick: piece, (neuron, payload i16) × n.
    Graded,
    /// The same with i32 payloads.
    Wide,
    /// Run: ticks u32.
    Step,
    /// Bring all neurons to rest: a new sample begins.
    Rest,
    /// Select a phase: u32.
    Phase,
    /// Set targets: piece, first neuron u16, i32 × n.
    Targets,
    /// Set the third factor of a rule: rule u16, value i32.
    Factor,
    /// Rules that learn at the end of a sample.
    Learn,
    /// Learn from the readouts as they stand: readout piece, error piece, label u16, 0 u16, margin i32, then
    /// (rule u16, third factor i32) × n. See [`Session::run`].
    Teach,
    /// Hand out spike counts (flag 1) and membranes (flag 2), then set the spike counts to zero: piece,
    /// flags u16.
    Read,
    /// Hand out the membranes of these pieces after every tick: piece × n, at most [`MOST_WATCHED`].
    Watch,
    /// Last of all: number of [`Command::Read`]s u32.
    End,
    /// Run a program of the image's schedule: u32.
    Program,
}

/// Flag of [`Command::Read`]: spike counts.
pub const READ_COUNTS: u16 = 1;
/// Flag of [`Command::Read`]: membranes.
pub const READ_MEMBRANES: u16 = 2;

const COMMANDS: [Command; 15] = [
    Command::Begin,
    Command::Spikes,
    Command::Graded,
    Command::Wide,
    Command::Step,
    Command::Rest,
    Command::Phase,
    Command::Targets,
    Command::Factor,
    Command::Learn,
    Command::Teach,
    Command::Read,
    Command::Watch,
    Command::End,
    Command::Program,
];

/// Why a session cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// The image is damaged or does not fit.
    Image(ImageError),
    /// An input was refused.
    Input(InputError),
    /// The stream ended before its last frame.
    Cut,
    /// A frame is missing.
    Lost {
        /// The number that was due.
        expected: u8,
        /// The number that came.
        found: u8,
    },
    /// A frame that is no command, or a command in the wrong place or with the wrong parts.
    Command {
        /// Its kind.
        kind: u8,
        /// What is wrong.
        what: &'static str,
    },
    /// The input was made for another image.
    OtherImage {
        /// Checksum of the image that the input was made for.
        expected: u64,
        /// Checksum of the image that is here.
        found: u64,
    },
}

impl SessionError {
    /// The exit code of a board that stops for it: 10 image, 11 input out of range, 12 stream cut off,
    /// 13 frame lost, 14 bad command, 15 input for another image, 16 memory too small.
    pub fn code(&self) -> u8 {
        match self {
            SessionError::Image(ImageError::Memory { .. }) => 16,
            SessionError::Image(_) => 10,
            SessionError::Input(_) => 11,
            SessionError::Cut => 12,
            SessionError::Lost { .. } => 13,
            SessionError::Command { .. } => 14,
            SessionError::OtherImage { .. } => 15,
        }
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            SessionError::Image(e) => e.fmt(f),
            SessionError::Input(e) => e.fmt(f),
            SessionError::Cut => f.write_str("the stream ends before its last frame"),
            SessionError::Lost { expected, found } => {
                write!(f, "frame {expected} is missing: frame {found} came")
            }
            SessionError::Command { kind, what } => write!(f, "frame of kind {kind}: {what}"),
            SessionError::OtherImage { expected, found } => {
                write!(f, "the input belongs to image {expected:016x}, here is image {found:016x}")
            }
        }
    }
}

impl core::error::Error for SessionError {}

impl From<InputError> for SessionError {
    fn from(e: InputError) -> Self {
        SessionError::Input(e)
    }
}

impl From<ImageError> for SessionError {
    fn from(e: ImageError) -> Self {
        SessionError::Image(e)
    }
}

/// Who takes what a session hands out; it sees the machine at work as well.
pub trait Outlet: Observer {
    /// [`Command::Read`]: spike counts and membranes of a piece, each empty unless asked for.
    fn read(&mut self, piece: u32, counts: &[i32], membranes: &[i32]) {
        let _ = (piece, counts, membranes);
    }

    /// Membranes of a watched piece after a tick.
    fn membranes(&mut self, tick: u64, piece: u32, membranes: &[i32]) {
        let _ = (tick, piece, membranes);
    }
}

/// Whether a session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It does.
    Frame,
    /// That was the last frame.
    Done,
}

/// Parts of a payload, taken from the front.
#[derive(Clone)]
struct Parts<'b>(&'b [u8]);

impl Parts<'_> {
    fn u16(&mut self) -> Option<u16> {
        let (head, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        Some(u16::from_le_bytes(*head))
    }

    fn u32(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*head))
    }

    fn i32(&mut self) -> Option<i32> {
        self.u32().map(|v| v as i32)
    }

    fn u64(&mut self) -> Option<u64> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*head))
    }
}

/// A session with a machine.
#[derive(Clone, Debug, Default)]
pub struct Session {
    number: u8,
    begun: bool,
    reads: u32,
    watched: [u16; MOST_WATCHED],
    watching: usize,
}

impl Session {
    /// A session that waits for [`Command::Begin`].
    pub fn new() -> Self {
        Session::default()
    }

    /// Runs the command of a frame.
    ///
    /// [`Command::Teach`] closes the loop of error-driven learning: class `k` of the readouts is in error where
    /// `a·v ≤ margin` (`v` its membrane, `a` = +1 for the label, else −1). If any is, the readouts' targets
    /// become `a`, neuron `k` of the error piece sends `a` for each class in error, one tick runs, and the
    /// rules that learn at the end of a sample run with the third factors given.
    ///
    /// # Errors
    /// [`SessionError`]; the machine stays as the commands before left it, or part-way through this one.
    pub fn run<K: Kernels, D: Draws, O: Outlet>(
        &mut self,
        frame: Frame<'_>,
        machine: &mut Machine<'_>,
        kernels: &K,
        draws: &mut D,
        outlet: &mut O,
    ) -> Result<Next, SessionError> {
        if frame.number != self.number {
            return Err(SessionError::Lost { expected: self.number, found: frame.number });
        }
        self.number = self.number.wrapping_add(1);
        let bad = |what| SessionError::Command { kind: frame.kind, what };
        let command = usize::from(frame.kind).checked_sub(1).and_then(|i| COMMANDS.get(i).copied());
        let command = command.ok_or(bad("no command"))?;
        if (command == Command::Begin) == self.begun {
            return Err(bad(if self.begun { "a second beginning" } else { "the beginning is missing" }));
        }
        let short = bad("too short or too long");
        let mut p = Parts(frame.payload);
        match command {
            Command::Begin => {
                let (version, _, expected) =
                    (p.u16().ok_or(short)?, p.u16().ok_or(short)?, p.u64().ok_or(short)?);
                if version != VERSION {
                    return Err(bad("another version of the commands"));
                }
                let found = crate::words::le_u64(machine.image().bytes(), 24);
                if expected != 0 && expected != found {
                    return Err(SessionError::OtherImage { expected, found });
                }
                self.begun = true;
            }
            Command::Spikes | Command::Graded | Command::Wide => {
                let piece = p.u16().ok_or(short)?.into();
                let (width, rest) = match command {
                    Command::Spikes => (2, p.0),
                    Command::Graded => (4, p.0),
                    _ => (6, p.0),
                };
                if !rest.len().is_multiple_of(width) {
                    return Err(short);
                }
                let events = rest.chunks_exact(width).map(|bytes| {
                    let mut p = Parts(bytes);
                    let neuron = i32::from(p.u16().unwrap_or(0));
                    match width {
                        2 => [neuron, 1],
                        4 => [neuron, i32::from(p.u16().unwrap_or(0) as i16)],
                        _ => [neuron, p.i32().unwrap_or(0)],
                    }
                });
                machine.extend(piece, events)?;
                p = Parts(&[]);
            }
            Command::Step => {
                let ticks = p.u32().ok_or(short)?;
                self.step(ticks, machine, kernels, draws, outlet);
            }
            Command::Rest => machine.rest(),
            Command::Phase => {
                if !machine.set_phase(p.u32().ok_or(short)?) {
                    return Err(bad("the image has no such phase"));
                }
            }
            Command::Program => {
                let program = p.u32().ok_or(short)?;
                if machine.run_program(program, kernels, draws, outlet).ticks == 0 {
                    return Err(bad("the image has no such program"));
                }
            }
            Command::Targets => {
                let (piece, first) = (p.u16().ok_or(short)?, p.u16().ok_or(short)?);
                let n = p.0.len() / 4;
                let targets = machine.targets_mut(piece.into()).get_mut(first.into()..usize::from(first) + n);
                for target in targets.ok_or(bad("the piece has no such targets"))? {
                    *target = p.i32().ok_or(short)?;
                }
            }
            Command::Factor => {
                let (rule, value) = (p.u16().ok_or(short)?, p.i32().ok_or(short)?);
                if u32::from(rule) >= machine.image().rule_count() {
                    return Err(bad("the image has no such rule"));
                }
                machine.set_third_factor(rule.into(), value);
            }
            Command::Learn => learn(machine, kernels, draws, outlet),
            Command::Teach => {
                let (readout, error) = (p.u16().ok_or(short)?, p.u16().ok_or(short)?);
                let (label, _) = (p.u16().ok_or(short)?, p.u16().ok_or(short)?);
                let margin = p.i32().ok_or(short)?;
                let wrong = note_errors(machine, readout.into(), error.into(), label.into(), margin)
                    .map_err(|e| e.unwrap_or(bad("the label or the piece of readouts is unknown")))?;
                if wrong {
                    self.step(1, machine, kernels, draws, outlet);
                }
                while !p.0.is_empty() {
                    let (rule, factor) = (p.u16().ok_or(short)?, p.i32().ok_or(short)?);
                    if wrong {
                        machine.set_third_factor(rule.into(), factor);
                    }
                }
                if wrong {
                    learn(machine, kernels, draws, outlet);
                }
            }
            Command::Read => {
                let (piece, flags) = (p.u16().ok_or(short)?, p.u16().ok_or(short)?);
                if u32::from(piece) >= machine.image().pieces {
                    return Err(bad("the image has no such piece"));
                }
                let (piece, none) = (u32::from(piece), &[][..]);
                let counts = if flags & READ_COUNTS != 0 { machine.spike_counts(piece) } else { none };
                let membranes = if flags & READ_MEMBRANES != 0 { machine.membranes(piece) } else { none };
                if counts.is_empty() && membranes.is_empty() {
                    return Err(bad("the piece has nothing of the kind to read"));
                }
                outlet.read(piece, counts, membranes);
                machine.clear_spike_counts();
                self.reads = self.reads.wrapping_add(1);
            }
            Command::Watch => {
                self.watching = p.0.len() / 2;
                if self.watching > MOST_WATCHED {
                    return Err(bad("more than 8 pieces to watch"));
                }
                for i in 0..self.watching {
                    if let (Some(slot), Some(piece)) = (self.watched.get_mut(i), p.u16()) {
                        *slot = piece;
                    }
                }
            }
            Command::End => {
                if p.u32().ok_or(short)? != self.reads {
                    return Err(bad("the number of readings is another"));
                }
                return if p.0.is_empty() { Ok(Next::Done) } else { Err(short) };
            }
        }
        if p.0.is_empty() { Ok(Next::Frame) } else { Err(short) }
    }

    /// Runs some ticks.
    fn step<K: Kernels, D: Draws, O: Outlet>(
        &self,
        ticks: u32,
        machine: &mut Machine<'_>,
        kernels: &K,
        draws: &mut D,
        outlet: &mut O,
    ) {
        let mut left = u64::from(ticks);
        while left != 0 {
            let idle = if left > 1 && self.watching == 0 { machine.advance(left) } else { 0 };
            left -= idle;
            if left == 0 {
                break;
            }
            let tick = machine.tick();
            machine.step(kernels, draws, outlet);
            left -= 1;
            for piece in self.watched.iter().take(self.watching) {
                outlet.membranes(tick, (*piece).into(), machine.membranes((*piece).into()));
            }
        }
    }
}

/// Runs the rules that learn at the end of a sample.
fn learn<K: Kernels, D: Draws, O: Outlet>(
    machine: &mut Machine<'_>,
    kernels: &K,
    draws: &mut D,
    outlet: &mut O,
) {
    if O::LOOKS {
        outlet.enters(Work::Rules);
    }
    machine.learn_sample_by(kernels, draws);
    if O::LOOKS {
        outlet.enters(Work::Outside);
    }
}

/// Sends the signs of the classes in error into the error piece and sets the readouts' targets. Returns whether
/// any class was in error; nothing changed if not.
fn note_errors(
    machine: &mut Machine<'_>,
    readout: u32,
    error: u32,
    label: usize,
    margin: i32,
) -> Result<bool, Option<SessionError>> {
    let classes = machine.membranes(readout).len();
    if label >= classes {
        return Err(None);
    }
    let sign = |k: usize| if k == label { 1 } else { -1 };
    let mut any = false;
    for k in 0..classes {
        let v = machine.membranes(readout).get(k).copied().unwrap_or(0);
        if v.saturating_mul(sign(k)) <= margin {
            any = true;
            let event = [k as i32, sign(k)];
            machine.extend(error, core::iter::once(event)).map_err(|e| Some(SessionError::Input(e)))?;
        }
    }
    if any {
        for (k, target) in machine.targets_mut(readout).iter_mut().enumerate() {
            *target = sign(k);
        }
    }
    Ok(any)
}

/// A check over all that a session came to: learnt weights, counters, spike counts and membranes. What self-tests
/// of emitted images compare.
pub fn digest(machine: &Machine<'_>) -> u32 {
    let mut crc = crc32(0, machine.plastic());
    for piece in 0..machine.image().pieces {
        for count in machine.counters(piece).row() {
            crc = crc32(crc, &count.to_le_bytes());
        }
        for value in machine.spike_counts(piece).iter().chain(machine.membranes(piece)) {
            crc = crc32(crc, &value.to_le_bytes());
        }
    }
    crc
}

/// A session from beginning to end: what a board does with the frames in its flash.
///
/// # Errors
/// [`SessionError`] of the first frame that cannot be run, or [`SessionError::Cut`].
pub fn replay<'b, K: Kernels, D: Draws, O: Outlet>(
    frames: impl Iterator<Item = Frame<'b>>,
    machine: &mut Machine<'_>,
    kernels: &K,
    draws: &mut D,
    outlet: &mut O,
) -> Result<(), SessionError> {
    let mut session = Session::new();
    for frame in frames {
        if session.run(frame, machine, kernels, draws, outlet)? == Next::Done {
            return Ok(());
        }
    }
    Err(SessionError::Cut)
}
