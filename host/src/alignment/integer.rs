//! A trained network in integers on the machine: quantised, written as an image, run, counted, priced.

use std::collections::BTreeMap;

use rayon::prelude::*;
use synop_core::{Count, Event, Image, Machine, Observer, Threefry};
use synop_cost::{Bill, Cell, Chip, Interval, Run, shipped};
use synop_model::image::{Blob, write};
use synop_model::lower::{Dynamics, FloatNetwork, FloatPopulation, FloatProjection};
use synop_model::network::Reset;
use synop_model::placement::Placement;
use synop_model::quantize::{Options, quantize};

use crate::local::TickWork;
use crate::report::SynOps;
use crate::simd::Native;
use crate::train::{Connection, InputGrid, Network, Neuron, Samples};
use crate::{Failure, ledger};

/// Samples that one machine runs; machines work in parallel and their counts add up.
const PER_MACHINE: usize = 250;

/// A network in integers.
pub struct Integer {
    blob: Blob,
    names: Vec<String>,
    grid: Option<InputGrid>,
    outputs: usize,
    /// Whether the last layer is read rather than spikes.
    silent: bool,
    unit: f64,
    /// Bits of a weight.
    pub bits: u32,
    /// What the quantiser wants the user to see.
    pub warnings: Vec<String>,
}

/// The layers as the quantiser takes them: a float graph with the trainer's semantics.
///
/// # Errors
/// Bad input: rectified units have no spikes and no place on the machine.
pub fn float_network(network: &Network) -> Result<FloatNetwork, Failure> {
    let input = FloatPopulation {
        name: "input".into(),
        node: 0,
        shape: vec![network.inputs()],
        stage: 0,
        dynamics: None,
    };
    let mut float = FloatNetwork {
        populations: vec![input],
        projections: Vec::new(),
        readouts: Vec::new(),
        notes: Vec::new(),
    };
    for (l, layer) in network.layers.iter().enumerate() {
        let size = layer.outputs();
        let (decay, threshold) = match layer.neuron {
            Neuron::Lif { decay, threshold } => (f64::from(decay).clamp(0.0, 1.0), Some(threshold)),
            Neuron::Linear => (0.0, None),
            Neuron::Relu => {
                return Err(Failure::bad_input("rectified units do not spike and cannot run on the machine"));
            }
        };
        let (rows, bias) = match &layer.connection {
            Connection::Dense(dense) => {
                let weights = dense.rows();
                let row = |j: usize| {
                    let weight = |o: usize| (o as u32, 0, f64::from(weights[o * dense.inputs() + j]));
                    (0..size).map(weight).collect()
                };
                let bias = dense.bias().iter().map(|b| f64::from(*b)).collect();
                ((0..dense.inputs()).map(row).collect(), bias)
            }
            Connection::Identity(_) => {
                ((0..size).map(|j| vec![(j as u32, 0, 1.0)]).collect(), vec![0.0; size])
            }
        };
        float.populations.push(FloatPopulation {
            name: format!("layer {}", l + 1),
            node: l + 1,
            shape: vec![size],
            stage: l as u32 + 1,
            dynamics: Some(Dynamics {
                decay: vec![decay; size],
                bias,
                bias_current: false,
                current: None,
                threshold: threshold.map(|theta| vec![f64::from(theta); size]),
                reset_value: vec![0.0; size],
                reset: Reset::SubtractNext,
                refractory: 0,
                greater_equal: false,
                multi_spike: false,
                stateless: threshold.is_none(),
                min_v: None,
            }),
        });
        float.projections.push(FloatProjection {
            source: l,
            target: l + 1,
            layer: format!("w{}", l + 1),
            rows,
        });
    }
    float.readouts.push(network.layers.len());
    Ok(float)
}

/// What the machine did with labelled samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Emulation {
    /// Samples shown.
    pub samples: usize,
    /// Samples classified rightly: by output spikes, the first of equals; by the summed membranes where outputs do not spike.
    pub correct: usize,
    /// The class given to each.
    pub predictions: Vec<u8>,
    /// Spikes of all samples, per layer and step.
    pub spikes: Vec<Vec<u64>>,
    /// Ticks in all.
    pub ticks: u64,
    /// Counters of each population, inputs first, in the core's order.
    pub counters: Vec<Vec<u64>>,
    /// Work of each tick.
    pub work: Vec<TickWork>,
}

impl Emulation {
    /// Share classified rightly.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.samples.max(1) as f64
    }

    /// Spikes of all layers per sample.
    pub fn spikes_per_sample(&self) -> f64 {
        self.spikes.iter().flatten().sum::<u64>() as f64 / self.samples.max(1) as f64
    }

    /// A counter summed over all populations, or over those behind the first layer.
    pub fn total(&self, count: Count, behind_first: bool) -> u64 {
        let from = if behind_first { 2 } else { 0 };
        self.counters.iter().skip(from).map(|row| row.get(count as usize).copied().unwrap_or(0)).sum()
    }

    fn add(mut self, other: Self) -> Self {
        if self.counters.is_empty() {
            return other;
        }
        self.samples += other.samples;
        self.correct += other.correct;
        self.ticks += other.ticks;
        self.predictions.extend(other.predictions);
        self.work.extend(other.work);
        let sum = |to: &mut Vec<Vec<u64>>, from: &[Vec<u64>]| {
            to.iter_mut().flatten().zip(from.iter().flatten()).for_each(|(a, b)| *a += b);
        };
        sum(&mut self.spikes, &other.spikes);
        sum(&mut self.counters, &other.counters);
        self
    }
}

/// Energy and time of one inference on one chip, per sample.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Price {
    /// Joules; absent where the chip has no price for something that happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_j: Option<Interval>,
    /// Seconds, one event after the other; absent where the chip has no latencies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_s: Option<f64>,
    /// Classes without a price.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpriced: Vec<String>,
}

/// Counts spikes by layer.
struct Tally<'a> {
    spikes: &'a mut [Vec<u64>],
    step: usize,
    outputs: &'a mut [u32],
}

impl Observer for Tally<'_> {
    fn spike(&mut self, _: u64, piece: u32, neuron: u32, _: i32) {
        let Some(layer) = (piece as usize).checked_sub(1) else { return };
        let last = layer + 1 == self.spikes.len();
        if let Some(count) = self.spikes.get_mut(layer).and_then(|steps| steps.get_mut(self.step)) {
            *count += 1;
        }
        if last && let Some(count) = self.outputs.get_mut(neuron as usize) {
            *count += 1;
        }
    }
}

impl Integer {
    /// Quantises a trained network: weights of `bits` bits, inputs on `grid` (spikes without one), membranes finer than
    /// the weights by 2^`state_shift`.
    ///
    /// # Errors
    /// Bad input: the network cannot be quantised or does not fit an image.
    pub fn new(
        network: &Network,
        bits: u32,
        state_shift: u32,
        grid: Option<InputGrid>,
    ) -> Result<Self, Failure> {
        let refused = |error: &dyn std::fmt::Display| Failure::bad_input(format_args!("{error}"));
        let options = Options {
            input_shift: state_shift,
            input_scale: grid.map_or(1.0, |grid| 1.0 / f64::from(grid.step)),
            input_max: grid.map_or(1, |grid| grid.integer(grid.limit).unsigned_abs().max(1)),
            ..Options::bits(bits)
        };
        let quantized = quantize(&float_network(network)?, &options).map_err(|e| refused(&e))?;
        let placement = Placement::one_core(&quantized.network);
        let blob = write(&quantized.network, &placement).map_err(|e| refused(&e))?;
        let names = quantized.network.populations.iter().map(|p| p.name.clone()).collect();
        let silent = matches!(network.layers.last().map(|layer| layer.neuron), Some(Neuron::Linear));
        let outputs = network.outputs();
        let unit = quantized.units.last().and_then(|units| units.first()).copied().unwrap_or(1.0);
        Ok(Self { blob, names, grid, outputs, silent, unit, bits, warnings: quantized.warnings })
    }

    /// The image.
    pub fn image_bytes(&self) -> &[u8] {
        self.blob.bytes()
    }

    /// Float per membrane unit of the last layer.
    pub fn unit_of_output(&self) -> f64 {
        self.unit
    }

    /// A machine in this memory; [`Integer::words`] says how much it needs.
    ///
    /// # Errors
    /// The work failed: the memory is too small.
    pub fn machine<'a>(&'a self, arena: &'a mut [u64]) -> Result<Machine<'a>, Failure> {
        let image = self.blob.image().map_err(|error| Failure::work(format_args!("{error}")))?;
        Machine::new(image, arena).map_err(|error| Failure::work(format_args!("{error}")))
    }

    /// 64-bit words of memory that a machine needs.
    ///
    /// # Errors
    /// The work failed: the image is broken.
    pub fn words(&self) -> Result<usize, Failure> {
        let image = self.blob.image().map_err(|error| Failure::work(format_args!("{error}")))?;
        Ok(image.memory(0..image.cores).words())
    }

    /// The events of one step of a sample.
    pub fn events(&self, samples: &Samples, sample: usize, step: usize, events: &mut Vec<Event>) {
        events.clear();
        for entry in samples.row(sample, step) {
            let payload = self.grid.map_or(1, |grid| grid.integer(entry.value));
            if payload != 0 {
                events.push([entry.index as i32, payload]);
            }
        }
    }

    /// Runs all samples.
    ///
    /// # Errors
    /// Bad input: the samples do not fit the network.
    pub fn run(&self, samples: &Samples) -> Result<Emulation, Failure> {
        let all: Vec<usize> = (0..samples.len()).collect();
        let parts: Vec<Emulation> =
            all.par_chunks(PER_MACHINE).map(|part| self.run_some(samples, part)).collect::<Result<_, _>>()?;
        Ok(parts.into_iter().fold(Emulation::default(), Emulation::add))
    }

    fn run_some(&self, samples: &Samples, chosen: &[usize]) -> Result<Emulation, Failure> {
        let mut arena = vec![0u64; self.words()?];
        let mut machine = self.machine(&mut arena)?;
        let (kernels, mut draws) = (Native::detect(), Threefry::<13>::new(1));
        let layers = self.names.len().saturating_sub(1);
        let last = layers as u32;
        let outputs = self.outputs;
        let mut found = Emulation {
            samples: chosen.len(),
            spikes: vec![vec![0; samples.steps()]; layers],
            ..Emulation::default()
        };
        let (mut events, mut counts, mut sums) = (Vec::new(), vec![0u32; outputs], vec![0i64; outputs]);
        for &sample in chosen {
            machine.rest();
            counts.fill(0);
            sums.fill(0);
            for step in 0..samples.steps() {
                let before = TickWork::of(&machine);
                self.events(samples, sample, step, &mut events);
                machine
                    .inject(0, &events)
                    .map_err(|error| Failure::bad_input(format_args!("input: {error}")))?;
                let mut tally = Tally { spikes: &mut found.spikes, step, outputs: &mut counts };
                machine.step(&kernels, &mut draws, &mut tally);
                sums.iter_mut().zip(machine.membranes(last)).for_each(|(sum, v)| *sum += i64::from(*v));
                let after = TickWork::of(&machine);
                found.work.push(TickWork {
                    events: after.events - before.events,
                    updates: after.updates - before.updates,
                    spikes: after.spikes - before.spikes,
                    packets: after.packets - before.packets,
                });
            }
            found.ticks += samples.steps() as u64;
            let score = |k: usize| if self.silent { sums[k] } else { i64::from(counts[k]) };
            let best = (0..outputs).fold(0, |best, k| if score(k) > score(best) { k } else { best });
            found.predictions.push(best as u8);
            found.correct += usize::from(samples.labels().get(sample).map(|l| usize::from(*l)) == Some(best));
        }
        found.counters = (0..machine.image().pieces).map(|p| machine.counters(p).row().to_vec()).collect();
        Ok(found)
    }

    /// Energy and latency per sample on every shipped chip.
    ///
    /// # Errors
    /// The work failed: a shipped chip or the image cannot be read.
    pub fn prices(&self, found: &Emulation) -> Result<BTreeMap<String, Price>, Failure> {
        let image = self.blob.image().map_err(|error| Failure::work(format_args!("{error}")))?;
        prices(&image, &self.names(), found)
    }

    fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    fn cells(&self, chip: &Chip, found: &Emulation) -> Result<Vec<Cell>, Failure> {
        let image = self.blob.image().map_err(|error| Failure::work(format_args!("{error}")))?;
        Ok(ledger::cells(chip, &image, &self.names(), &found.counters, found.ticks))
    }

    /// The bill of all samples on a chip, and their latency in seconds where the chip has one.
    ///
    /// # Errors
    /// The work failed: the image cannot be read.
    pub fn bill(&self, chip: &Chip, found: &Emulation) -> Result<(Bill, Option<f64>), Failure> {
        Ok(bill_of(chip, &self.cells(chip, found)?, &found.work))
    }

    /// Synaptic operations per sample in every definition.
    ///
    /// # Errors
    /// The work failed: the image cannot be read.
    pub fn synops(&self, found: &Emulation) -> Result<SynOps<f64>, Failure> {
        let chip =
            shipped::load("loihi1-published").map_err(|error| Failure::work(format_args!("{error}")))?;
        let cells = self.cells(&chip, found)?;
        let sum = |of: fn(&synop_cost::Counts) -> u64| -> f64 {
            cells.iter().map(|c| of(&c.counts)).sum::<u64>() as f64 / found.samples.max(1) as f64
        };
        Ok(SynOps {
            stored: sum(|c| c.synaptic_events),
            effective: sum(|c| c.synaptic_effective),
            dense: sum(|c| c.synaptic_dense),
            macs: sum(|c| c.macs),
            acs: sum(|c| c.acs),
        })
    }
}

/// The bill of cells on a chip, and the latency in seconds where the chip has one.
fn bill_of(chip: &Chip, cells: &[Cell], work: &[TickWork]) -> (Bill, Option<f64>) {
    let latency = ledger::serial_latency(chip, work).map(|l| l.total_s);
    let run = Run { time_s: latency, cores_used: 1, ..Run::default() };
    (Bill::of(chip, cells, &run), latency)
}

/// Energy and latency per sample of what an image's machine did, on every shipped chip.
///
/// # Errors
/// The work failed: a shipped chip cannot be read.
pub(super) fn prices(
    image: &Image<'_>,
    names: &[&str],
    found: &Emulation,
) -> Result<BTreeMap<String, Price>, Failure> {
    let samples = found.samples.max(1) as f64;
    let price = |name: &str| -> Result<(String, Price), Failure> {
        let chip = shipped::load(name).map_err(|error| Failure::work(format_args!("{error}")))?;
        let cells = ledger::cells(&chip, image, names, &found.counters, found.ticks);
        let (bill, latency) = bill_of(&chip, &cells, &found.work);
        let price = Price {
            energy_j: bill.total_j.map(|total| total * (1.0 / samples)),
            latency_s: latency.map(|time| time / samples),
            unpriced: bill.unpriced.iter().map(|u| u.class.clone()).collect(),
        };
        Ok((name.to_owned(), price))
    };
    shipped::names().map(price).collect()
}
