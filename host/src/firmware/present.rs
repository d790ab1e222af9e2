//! Samples as a session, and a session's outcome as a trace.

use super::outcome::Outcome;
use super::script::Script;
use crate::input::{Inputs, Sample};
use crate::local::{self, Drive, Setup};
use crate::pipeline::{Compiled, Spike};
use crate::{Failure, trace};
use synop_core::Image;
use synop_core::image::Kind;
use synop_core::session::MOST_WATCHED;

/// A lesson for a network that learns by local rules: every sample is shown from rest and taught, then every sample
/// is shown again and its readout told. `rate` is the third factor of both rules.
pub fn lesson(setup: &Setup, image: &Image<'_>, samples: &[(Drive, u8)], rate: i32) -> Script {
    let mut script = Script::new(image);
    let present = |script: &mut Script, drive: &Drive| {
        script.rest();
        for values in drive.ticks() {
            let events: Vec<_> = (0..).zip(values).filter(|(_, v)| **v != 0).map(|(i, v)| [i, *v]).collect();
            script.events(0, &events);
            script.step(1);
        }
    };
    let (readout, error) = (local::READOUT as u16, local::ERROR as u16);
    let factors = [local::READOUT_RULE as u16, local::HIDDEN_RULE as u16].map(|rule| (rule, rate));
    let factors = if setup.plastic_hidden { &factors[..] } else { &factors[..1] };
    for (drive, label) in samples {
        present(&mut script, drive);
        script.teach(readout, error, u16::from(*label), setup.margin, factors);
    }
    for (drive, _) in samples {
        present(&mut script, drive);
        script.read(readout, false, true);
    }
    script.end()
}

/// Samples, told to a board.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Presentation {
    /// The session.
    pub script: Script,
    /// Ticks of each sample.
    pub ticks: Vec<usize>,
    /// Spikes of the inputs, by sample.
    pub inputs: Vec<Vec<Spike>>,
    /// Input values beyond the image's range, which were cut.
    pub cut: u64,
    /// Pieces of the readout population, in the order of its neurons.
    readout: Vec<u16>,
}

impl Presentation {
    /// Presents the first `limit` samples, each from rest, and reads the answering population after each; with
    /// `membranes`, all neurons' membranes after every tick.
    ///
    /// # Errors
    /// Bad input: a sample cannot be made, or there are more pieces than can be watched.
    pub fn of(compiled: &Compiled, inputs: &Inputs, limit: usize, membranes: bool) -> Result<Self, Failure> {
        let image = compiled.image()?;
        let mut out = Presentation { script: Script::new(&image), ..Presentation::default() };
        let pieces: Vec<_> = (0..image.pieces).filter_map(|p| image.piece(p)).collect();
        if membranes {
            let watched: Vec<u16> =
                (0u16..).zip(&pieces).filter(|(_, p)| p.kind != Kind::Input).map(|(i, _)| i).collect();
            if watched.len() > MOST_WATCHED {
                return Err(Failure::bad_input("too many populations to watch")
                    .place("--membranes")
                    .found(watched.len())
                    .expected(format_args!("at most {MOST_WATCHED}"))
                    .mend("leave --membranes out"));
            }
            out.script.watch(&watched);
        }
        let mut readout: Vec<_> =
            (0u16..).zip(&pieces).filter(|(_, p)| p.population as usize == compiled.readout).collect();
        readout.sort_by_key(|(_, p)| p.population_first);
        out.readout = readout.into_iter().map(|(i, _)| i).collect();
        for number in 0..inputs.len().min(limit) {
            out.sample(compiled, &pieces, &inputs.sample(number)?);
        }
        out.script = std::mem::take(&mut out.script).end();
        Ok(out)
    }

    fn sample(&mut self, compiled: &Compiled, pieces: &[synop_core::image::Piece], sample: &Sample) {
        self.script.rest();
        let mut spikes = Vec::new();
        let mut idle = 0;
        for tick in 0..sample.ticks() {
            let (events, cut) = compiled.events(pieces, sample, tick);
            self.cut += cut;
            if events.iter().any(|(_, events)| !events.is_empty()) {
                self.step(&mut idle);
            }
            for (piece, events) in &events {
                if !events.is_empty() {
                    self.script.events(*piece as u16, events);
                }
                let Some(record) = pieces.get(*piece as usize) else { continue };
                spikes.extend(events.iter().map(|[neuron, payload]| {
                    (tick as u32, record.population, record.population_first + *neuron as u32, *payload)
                }));
            }
            idle += 1;
        }
        self.step(&mut idle);
        for piece in self.readout.clone() {
            self.script.read(piece, true, true);
        }
        self.ticks.push(sample.ticks());
        self.inputs.push(spikes);
    }

    /// Runs the ticks that are due.
    fn step(&mut self, ticks: &mut u32) {
        if *ticks != 0 {
            self.script.step(*ticks);
        }
        *ticks = 0;
    }

    /// The answer to each sample: the readout neuron with most spikes, or with the highest membrane where it does
    /// not spike; the first on a tie.
    pub fn answers(&self, compiled: &Compiled, outcome: &Outcome) -> Vec<usize> {
        let values = |readings: &[super::outcome::Reading]| -> Vec<f64> {
            let all = readings.iter().flat_map(|r| match compiled.readout_spikes {
                true => r.counts.iter(),
                false => r.membranes.iter(),
            });
            let unit = |i: usize| compiled.readout_units.get(i).copied().unwrap_or(1.0);
            all.enumerate()
                .map(|(i, v)| f64::from(*v) * if compiled.readout_spikes { 1.0 } else { unit(i) })
                .collect()
        };
        outcome
            .readings
            .chunks(self.readout.len().max(1))
            .map(|r| crate::pipeline::largest(&values(r)))
            .collect()
    }

    /// The outcome as a trace, sample by sample.
    pub fn trace(
        &self,
        compiled: &Compiled,
        outcome: &Outcome,
        source: &str,
    ) -> Result<trace::Trace, Failure> {
        let image = compiled.image()?;
        let place = |piece: u32| image.piece(piece).map(|p| (p.population, p.population_first));
        let mut out = trace::Trace::of(compiled, source);
        let (mut spikes, mut membranes) =
            (outcome.spikes.iter().peekable(), outcome.membranes.iter().peekable());
        let mut start = 0u64;
        for (ticks, inputs) in self.ticks.iter().zip(&self.inputs) {
            let end = start + *ticks as u64;
            let mut sample = trace::Sample { ticks: *ticks, spikes: inputs.clone(), membranes: Vec::new() };
            while let Some((tick, piece, neuron, payload)) = spikes.next_if(|s| s.0 < end) {
                if let Some((population, first)) = place(*piece) {
                    sample.spikes.push(((tick - start) as u32, population, first + neuron, *payload));
                }
            }
            sample.spikes.sort_unstable();
            if membranes.peek().is_some() {
                let empty: Vec<_> = compiled.populations.iter().map(|p| vec![0.0; p.size]).collect();
                sample.membranes = vec![empty; *ticks];
                while let Some((tick, piece, values)) = membranes.next_if(|m| m.0 < end) {
                    let rows = sample.membranes.get_mut((tick - start) as usize);
                    let slot = place(*piece)
                        .and_then(|(p, first)| Some((rows?.get_mut(p as usize)?, first as usize)));
                    if let Some((row, first)) = slot {
                        row.iter_mut().skip(first).zip(values).for_each(|(to, v)| *to = f64::from(*v));
                    }
                }
            }
            out.samples.push(sample);
            start = end;
        }
        Ok(out)
    }
}
