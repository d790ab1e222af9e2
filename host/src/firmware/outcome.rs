//! What a session came to, on the host or on a board.

use crate::Failure;
use std::fmt::Write;
use synop_core::counters::NAMES;
use synop_core::session::{Outlet, SessionError, replay};
use synop_core::{Count, Image, Kernels, Machine, Observer, Threefry};

/// A spike: tick, piece, neuron, payload.
pub type Spike = (u64, u32, u32, i32);

/// Membranes of a piece at a tick.
pub type Membranes = (u64, u32, Vec<i32>);

/// A reading: spike counts and membranes of a piece, each empty unless asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The piece.
    pub piece: u32,
    /// Spikes of each neuron since the last reading.
    pub counts: Vec<i32>,
    /// Membranes.
    pub membranes: Vec<i32>,
}

/// Everything that must be equal on a host and on a board.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// All spikes, in canonical order.
    pub spikes: Vec<Spike>,
    /// Membranes of watched pieces, tick by tick.
    pub membranes: Vec<Membranes>,
    /// What was read.
    pub readings: Vec<Reading>,
    /// Counters, one row per piece.
    pub counters: Vec<Vec<u64>>,
    /// Plastic memory at the end.
    pub plastic: Vec<u8>,
    /// Bytes of the input that were no frame.
    pub skipped: u64,
}

impl Observer for Outcome {
    fn spike(&mut self, tick: u64, piece: u32, neuron: u32, payload: i32) {
        self.spikes.push((tick, piece, neuron, payload));
    }
}

impl Outlet for Outcome {
    fn read(&mut self, piece: u32, counts: &[i32], membranes: &[i32]) {
        self.readings.push(Reading { piece, counts: counts.to_vec(), membranes: membranes.to_vec() });
    }

    fn membranes(&mut self, tick: u64, piece: u32, membranes: &[i32]) {
        self.membranes.push((tick, piece, membranes.to_vec()));
    }
}

impl Outcome {
    /// Runs a session on the host.
    ///
    /// # Errors
    /// [`SessionError`], as a board would report it.
    pub fn on_host<K: Kernels>(image: Image<'_>, input: &[u8], kernels: &K) -> Result<Outcome, SessionError> {
        let mut arena = vec![0u64; image.memory(0..image.cores).words()];
        let mut machine = Machine::new(image, &mut arena)?;
        let mut outcome = Outcome::default();
        let mut draws = Threefry::new(image.seed);
        let mut frames = synop_core::frame::Frames::new(input);
        replay(frames.by_ref(), &mut machine, kernels, &mut draws, &mut outcome)?;
        outcome.skipped = frames.skipped;
        outcome.counters = (0..image.pieces).map(|p| machine.counters(p).row().to_vec()).collect();
        outcome.plastic = machine.plastic().to_vec();
        Ok(outcome)
    }

    /// A count summed over pieces.
    pub fn total(&self, count: Count) -> u64 {
        self.counters.iter().filter_map(|row| row.get(count as usize)).sum()
    }

    /// The first thing in which two outcomes differ, as a sentence; `None` where they are identical.
    pub fn difference(&self, other: &Outcome) -> Option<String> {
        let first = |what: &str, a: Option<String>, b: Option<String>| {
            let or = |v: Option<String>| v.unwrap_or_else(|| "nothing".into());
            Some(format!("{what}: {} here, {} there", or(a), or(b)))
        };
        if let Some((a, b)) = differ(&self.spikes, &other.spikes) {
            let text = |s: &Spike| format!("tick {} piece {} neuron {} payload {}", s.0, s.1, s.2, s.3);
            return first("spike", a.map(text), b.map(text));
        }
        if let Some((a, b)) = differ(&self.membranes, &other.membranes) {
            let text = |m: &Membranes| format!("tick {} piece {} {:?}", m.0, m.1, m.2);
            return first("membranes", a.map(text), b.map(text));
        }
        if let Some((a, b)) = differ(&self.readings, &other.readings) {
            return first("reading", a.map(|r| format!("{r:?}")), b.map(|r| format!("{r:?}")));
        }
        for (piece, (a, b)) in self.counters.iter().zip(&other.counters).enumerate() {
            if let Some(i) = a.iter().zip(b).position(|(a, b)| a != b) {
                let name = NAMES.get(i).map_or("?", |(_, name)| name);
                return Some(format!("counter {name} of piece {piece}: {} here, {} there", a[i], b[i]));
            }
        }
        if self.counters.len() != other.counters.len() {
            return Some(format!("{} pieces here, {} there", self.counters.len(), other.counters.len()));
        }
        if let Some((a, b)) = differ(&self.plastic, &other.plastic) {
            let at = self.plastic.iter().zip(&other.plastic).take_while(|(a, b)| a == b).count();
            return Some(format!("byte {at} of the learnt weights: {a:?} here, {b:?} there"));
        }
        (self.skipped != other.skipped).then(|| {
            format!("{} bytes of the input were no frame here, {} there", self.skipped, other.skipped)
        })
    }
}

/// The first elements that differ.
fn differ<'a, T: PartialEq>(a: &'a [T], b: &'a [T]) -> Option<(Option<&'a T>, Option<&'a T>)> {
    let at = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    (at < a.len() || at < b.len()).then(|| (a.get(at), b.get(at)))
}

/// Instructions, or cycles, by kind of work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Reading rows.
    pub rows: u64,
    /// Updating neurons.
    pub neurons: u64,
    /// Learning.
    pub rules: u64,
    /// Ticks.
    pub upkeep: u64,
    /// Reading the input's frames, resting between samples.
    pub outside: u64,
    /// These are cycles of a real processor.
    pub cycles: bool,
}

/// What a board said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// What must equal the host's.
    pub outcome: Outcome,
    /// Deepest stack, in bytes.
    pub stack: Option<u64>,
    /// What was counted.
    pub spent: Option<Spent>,
    /// Error code and text.
    pub error: Option<(u8, String)>,
    /// It came to its end.
    pub ended: bool,
}

impl Said {
    /// Reads the lines of a board; see `firmware/board/src/report.rs`.
    ///
    /// # Errors
    /// The work failed: a line is not of this form.
    pub fn parse(text: &str) -> Result<Said, Failure> {
        let mut said = Said::default();
        for (i, line) in text.lines().enumerate() {
            let bad = || {
                let mut shown = String::new();
                let _ = write!(shown, "{:.80}", line);
                Failure::work("the board said something else")
                    .place(format_args!("line {} of its output", i + 1))
                    .found(shown)
                    .expected("a line of the firmware's report")
                    .mend("build firmware/ and synop from the same version")
            };
            said.line(line).ok_or_else(bad)?;
        }
        Ok(said)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let out = &mut self.outcome;
        match word {
            "synop" | "" => {}
            "s" => match numbers::<i64>(rest)?[..] {
                [tick, piece, neuron, payload] => {
                    out.spikes.push((tick as u64, piece as u32, neuron as u32, payload as i32));
                }
                _ => return None,
            },
            "v" => match numbers::<i64>(rest)?[..] {
                [tick, piece, ref v @ ..] => {
                    out.membranes.push((tick as u64, piece as u32, v.iter().map(|v| *v as i32).collect()));
                }
                _ => return None,
            },
            "n" | "m" => {
                let values = numbers::<i32>(rest)?;
                let [reading, piece, ref values @ ..] = values[..] else { return None };
                let reading = usize::try_from(reading).ok().filter(|r| *r <= out.readings.len())?;
                if reading == out.readings.len() {
                    out.readings.push(Reading { piece: piece as u32, ..Reading::default() });
                }
                let reading = out.readings.get_mut(reading)?;
                let slot = if word == "n" { &mut reading.counts } else { &mut reading.membranes };
                *slot = values.to_vec();
            }
            "skipped" => out.skipped = rest.parse().ok()?,
            "c" => {
                let row = numbers::<u64>(rest)?;
                let (piece, row) = row.split_first()?;
                if *piece as usize != out.counters.len() {
                    return None;
                }
                out.counters.push(row.to_vec());
            }
            "w" => {
                for i in (0..rest.len()).step_by(2) {
                    out.plastic.push(u8::from_str_radix(rest.get(i..i + 2)?, 16).ok()?);
                }
            }
            "instructions" | "cycles" => {
                let words: Vec<_> = rest.split(' ').collect();
                let value =
                    |name| words.iter().position(|w| *w == name).and_then(|i| words.get(i + 1)?.parse().ok());
                self.spent = Some(Spent {
                    rows: value("rows")?,
                    neurons: value("neurons")?,
                    rules: value("rules")?,
                    upkeep: value("upkeep")?,
                    outside: value("outside")?,
                    cycles: word == "cycles",
                });
            }
            "stack" => self.stack = Some(rest.parse().ok()?),
            "error" => {
                let (code, text) = rest.split_once(' ')?;
                self.error = Some((code.parse().ok()?, text.to_owned()));
            }
            "end" => self.ended = true,
            _ => return None,
        }
        Some(())
    }
}

fn numbers<T: std::str::FromStr>(text: &str) -> Option<Vec<T>> {
    text.split(' ').filter(|w| !w.is_empty()).map(|w| w.parse().ok()).collect()
}
