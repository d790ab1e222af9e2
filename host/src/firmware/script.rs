//! What a board is told: the frames of a session.

use synop_core::frame::{self, Frames, MAX_PAYLOAD};
use synop_core::session::{Command, READ_COUNTS, READ_MEMBRANES, VERSION};
use synop_core::{Event, Image};

/// A session as bytes, written command by command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    bytes: Vec<u8>,
    number: u8,
    reads: u32,
}

impl Script {
    /// A session for an image.
    pub fn new(image: &Image<'_>) -> Self {
        let mut script = Script::default();
        let checksum = image.bytes().get(24..32).unwrap_or(&[0; 8]);
        let payload = [&VERSION.to_le_bytes()[..], &[0; 2], checksum].concat();
        script.frame(Command::Begin, &payload);
        script
    }

    fn frame(&mut self, command: Command, payload: &[u8]) {
        let bytes = &mut self.bytes;
        frame::write(command as u8, self.number, payload, |b| bytes.extend_from_slice(b));
        self.number = self.number.wrapping_add(1);
    }

    /// Events for the coming tick, neuron numbers ascending; in the narrowest form that holds their payloads.
    pub fn events(&mut self, piece: u16, events: &[Event]) {
        let narrow = |e: &Event| i16::try_from(e[1]).is_ok();
        let (command, width) = if events.iter().all(|e| e[1] == 1) {
            (Command::Spikes, 2)
        } else if events.iter().all(narrow) {
            (Command::Graded, 4)
        } else {
            (Command::Wide, 6)
        };
        for part in events.chunks((MAX_PAYLOAD - 2) / width) {
            let mut payload = piece.to_le_bytes().to_vec();
            for [neuron, value] in part {
                payload.extend_from_slice(&(*neuron as u16).to_le_bytes());
                payload.extend_from_slice(&value.to_le_bytes()[..width - 2]);
            }
            self.frame(command, &payload);
        }
    }

    /// Runs some ticks.
    pub fn step(&mut self, ticks: u32) {
        self.frame(Command::Step, &ticks.to_le_bytes());
    }

    /// A new sample begins.
    pub fn rest(&mut self) {
        self.frame(Command::Rest, &[]);
    }

    /// Selects a phase.
    pub fn phase(&mut self, phase: u32) {
        self.frame(Command::Phase, &phase.to_le_bytes());
    }

    /// Runs a program of the image's schedule.
    pub fn program(&mut self, program: u32) {
        self.frame(Command::Program, &program.to_le_bytes());
    }

    /// Sets the targets of a piece's neurons.
    pub fn targets(&mut self, piece: u16, targets: &[i32]) {
        let most = (MAX_PAYLOAD - 4) / 4;
        for (i, part) in targets.chunks(most).enumerate() {
            let mut payload = [piece, (i * most) as u16].map(u16::to_le_bytes).concat();
            payload.extend(part.iter().flat_map(|v| v.to_le_bytes()));
            self.frame(Command::Targets, &payload);
        }
    }

    /// Sets the third factor of a rule.
    pub fn factor(&mut self, rule: u16, value: i32) {
        let payload = [&rule.to_le_bytes()[..], &value.to_le_bytes()].concat();
        self.frame(Command::Factor, &payload);
    }

    /// Rules that learn at the end of a sample.
    pub fn learn(&mut self) {
        self.frame(Command::Learn, &[]);
    }

    /// Error-driven learning from the readouts as they stand; see [`synop_core::Session::run`].
    pub fn teach(&mut self, readout: u16, error: u16, label: u16, margin: i32, factors: &[(u16, i32)]) {
        let mut payload = [readout, error, label, 0].map(u16::to_le_bytes).concat();
        payload.extend_from_slice(&margin.to_le_bytes());
        for (rule, factor) in factors {
            payload.extend_from_slice(&rule.to_le_bytes());
            payload.extend_from_slice(&factor.to_le_bytes());
        }
        self.frame(Command::Teach, &payload);
    }

    /// Asks for the spike counts of a piece, and for its membranes.
    pub fn read(&mut self, piece: u16, counts: bool, membranes: bool) {
        let flags = if counts { READ_COUNTS } else { 0 } | if membranes { READ_MEMBRANES } else { 0 };
        self.frame(Command::Read, &[piece, flags].map(u16::to_le_bytes).concat());
        self.reads += 1;
    }

    /// Asks for the membranes of some pieces after every tick.
    pub fn watch(&mut self, pieces: &[u16]) {
        let payload: Vec<u8> = pieces.iter().flat_map(|p| p.to_le_bytes()).collect();
        self.frame(Command::Watch, &payload);
    }

    /// Ends the session.
    #[must_use]
    pub fn end(mut self) -> Self {
        self.frame(Command::End, &self.reads.to_le_bytes());
        self
    }

    /// Number of readings asked for.
    pub fn reads(&self) -> u32 {
        self.reads
    }

    /// The bytes, as they lie in flash or go over a wire.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The frames.
    pub fn frames(&self) -> Frames<'_> {
        Frames::new(&self.bytes)
    }
}
