//! On-chip local learning of a classifier: hidden spiking neurons, integrating readouts, and two rules.
//!
//! A sample is driven into the chip tick by tick. At its end the readout membranes `o` are read; class `k` is in
//! error where `a_k·o_k ≤ margin` (`a` = +1 for the label, else −1). Error neurons send `a_k` over fixed random
//! weights into a second input group of the hidden neurons, which never enters their membranes, and the rules run:
//!
//! * readout: `dV = rate/2^readout_shift · t·e·x1`, `x1` = spikes of the hidden neuron in the sample;
//! * hidden:  `dW = rate/2^hidden_shift · x1·y1·(g − spike_cost)`, `x1` = a saturating trace of the graded input, `y1` = ticks in
//!   which the membrane was near the threshold, `g` = the feedback.
//!
//! All of it is integers in the machine: no gradient goes back through time or through weights.

mod trial;

pub use trial::{Trial, digest};

use crate::Failure;
use crate::activity::{self, Drawn};
use crate::pipeline::{self, Spike};
use crate::report::Figure;
use rand_core::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;
use synop_core::{Count, Image, Kernels, Machine, Observer, Threefry, Unobserved};
use synop_device::wires::Wires;
use synop_device::{Preset, Resolution};
use synop_model::crossbar::{Converter, Crossbar, ENERGY_UNIT_J};
use synop_model::image::{Blob, write};
use synop_model::network::{Lif, Network, Param, Phase, Population, Reset, Synapses};
use synop_model::placement::Placement;
use synop_model::rule::RuleSpec;

/// Shape and constants of the network and its rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// Input channels.
    pub inputs: usize,
    /// Largest absolute input value.
    pub input_max: u32,
    /// Hidden neurons.
    pub hidden: usize,
    /// Classes.
    pub classes: usize,
    /// Hidden threshold, in units of weight × input.
    pub threshold: i32,
    /// Membrane decay per tick of the hidden neurons.
    pub decay: f64,
    /// Standard deviation of the first hidden and of the feedback weights.
    pub spread: f64,
    /// A class is in error up to this readout (times its sign).
    pub margin: i32,
    /// Saturation of the input trace.
    pub trace_max: i32,
    /// log2 of the readout rule's denominator at rate 1.
    pub readout_shift: u32,
    /// log2 of the hidden rule's denominator at rate 1.
    pub hidden_shift: u32,
    /// What a spike costs, in units of feedback.
    pub spike_cost: f64,
    /// Bits of a weight, 2 to 8.
    pub bits: u32,
    /// Whether hidden weights learn.
    pub plastic_hidden: bool,
    /// Seed of weights, order and draws.
    pub seed: u64,
    /// What hidden and readout weights stand on, if on memristive crossbars.
    pub bars: Option<Bars>,
}

/// Crossbars that learn.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// The device.
    pub device: Preset,
    /// What of it is emulated.
    pub resolution: Resolution,
    /// Most rows and columns of one array.
    pub tile: (usize, usize),
    /// Resistance of wires from cell to cell.
    pub wires: Wires,
    /// Bits of the converters, and their range as a share of an array's largest sum.
    pub converter: Option<(u32, f64)>,
    /// Ticks from refresh to refresh; 0: never.
    pub refresh: u32,
    /// Duration of a tick, s.
    pub tick_s: f64,
    /// Tolerance of changes that are read back, in weights.
    pub verify: Option<f64>,
    /// Ticks that pass between learning and the evaluation.
    pub hold_ticks: u64,
}

impl Bars {
    /// As a projection of `rows` sources with payloads up to `payload` stands on them.
    fn crossbar(&self, top: i32, rows: usize, payload: u32) -> Crossbar {
        let rows = rows.div_ceil(rows.div_ceil(self.tile.0.max(1)).max(1));
        let largest = f64::from(top) * rows as f64 * f64::from(payload);
        let converter =
            self.converter.map(|(bits, share)| Converter { bits, full_scale: (largest * share).max(1.0) });
        Crossbar {
            resolution: self.resolution,
            tile: self.tile,
            wires: self.wires,
            converter,
            refresh: self.refresh,
            tick_s: self.tick_s,
            verify: self.verify,
            ..Crossbar::new(self.device.clone(), top, Vec::new())
        }
    }
}

/// Populations of the network, in the order of their pieces.
/// Names of the populations, in the order of the network.
const POPULATIONS: [&str; 4] = ["input", "error", "hidden", "readout"];
const INPUT: u32 = 0;
pub(crate) const ERROR: u32 = 1;
const HIDDEN: u32 = 2;
pub(crate) const READOUT: u32 = 3;
/// Numbers of the rules.
pub(crate) const READOUT_RULE: u32 = 0;
pub(crate) const HIDDEN_RULE: u32 = 1;

impl Setup {
    /// The largest weight.
    fn top(&self) -> i32 {
        (1 << (self.bits.clamp(2, 8) - 1)) - 1
    }

    /// Bits that a stored weight takes: the next power of two.
    fn container(&self) -> u32 {
        self.bits.clamp(2, 8).next_power_of_two()
    }

    /// The two rules as text; [`RuleSpec`] compiles them.
    pub fn rules(&self) -> [String; 2] {
        let top = self.top();
        let readout = format!(
            "rule readout {{ x1: decay 1 add 1; end of sample; rounding stochastic; bounds -{top} {top}\n\
             error e = (t*u <= {}); dw = 2^-{}*r*t*e*x1 }}",
            self.margin, self.readout_shift
        );
        let scale = format!("2^-{}*r*x1*y1", self.hidden_shift);
        let cost = match self.spike_cost {
            0.0 => String::new(),
            cost => format!(" - {cost}*{scale}"),
        };
        let hidden = format!(
            "rule hidden {{ x1: decay 0.5 add 1 max {max}; y1: decay 1 window 1; end of sample\n\
             rounding stochastic; bounds -{top} {top}; window h = (|u - threshold| < {width}); g: group 1\n\
             dw = {scale}*g{cost} }}",
            max = self.trace_max,
            width = self.threshold / 2,
        );
        [readout, hidden]
    }

    /// The untrained network.
    ///
    /// # Errors
    /// Bad input: a rule does not compile.
    pub fn network(&self) -> Result<Network, Failure> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let mut net = Network { seed: self.seed, ..Network::default() };
        let ends = [(self.hidden, 1), (self.inputs, self.input_max)];
        for (text, (rows, payload)) in self.rules().iter().zip(ends) {
            let bar = self.bars.as_ref().map(|bars| bars.crossbar(self.top(), rows, payload));
            let pulses = bar.map_or(1.0, |bar| bar.pulses_per_weight());
            let encoded = RuleSpec::parse(text).and_then(|rule| match self.bars {
                Some(_) => rule.in_pulses(pulses).encode(),
                None => rule.encode(),
            });
            net.rules
                .push(encoded.map_err(|error| Failure::bad_input(format_args!("learning rule: {error}")))?);
        }
        let input = net.add_population(Population::input("input", self.inputs, self.input_max));
        let error = net.add_population(Population::input("error", self.classes, 1));
        let neuron = Lif {
            threshold: Param::All(self.threshold),
            decay: Param::q31((self.decay * f64::from(1u32 << 31)) as u32),
            reset: Reset::SubtractNext,
            ..Lif::default()
        };
        let mut population = Population::lif("hidden", self.hidden, 1, neuron);
        population.groups = 2;
        let hidden = net.add_population(population);
        let integrator = Lif { silent: true, targets: true, ..Lif::default() };
        let readout = net.add_population(Population::lif("readout", self.classes, 2, integrator));
        let bits = self.container();
        let weights =
            |random: &mut _, n| (0..n).map(|_| normal_weight(random, self.spread, self.top())).collect();
        let first = weights(&mut random, self.inputs * self.hidden);
        let feedback = weights(&mut random, self.classes * self.hidden);
        let up = net.connect(input, hidden, 0, Synapses::Dense { bits, weights: first });
        let down = net.connect(error, hidden, 0, Synapses::Dense { bits, weights: feedback });
        let zero = vec![0; self.hidden * self.classes];
        let out = net.connect(hidden, readout, 0, Synapses::Dense { bits, weights: zero });
        net.projections[up].rule = Some(HIDDEN_RULE as usize);
        net.projections[down].group = 1;
        net.projections[out].rule = Some(READOUT_RULE as usize);
        net.phases = vec![Phase { groups: vec![0, 0, 1, 1] }];
        if let Some(bars) = &self.bars {
            net.put_on_crossbar(up, &bars.crossbar(self.top(), self.inputs, self.input_max));
            net.put_on_crossbar(out, &bars.crossbar(self.top(), self.hidden, 1));
        }
        Ok(net)
    }

    /// The untrained image.
    ///
    /// # Errors
    /// Bad input: the network does not fit an image.
    pub fn image(&self) -> Result<Blob, Failure> {
        let network = self.network()?;
        write(&network, &Placement::one_core(&network))
            .map_err(|error| Failure::bad_input(format_args!("{error}")))
    }
}

/// A weight drawn from a normal distribution, rounded, within ±`top` (Box–Muller).
fn normal_weight(random: &mut Xoshiro256PlusPlus, spread: f64, top: i32) -> i16 {
    let mut uniform = || ((random.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let (u, v) = (uniform(), uniform());
    let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
    (normal * spread).round().clamp(-f64::from(top), f64::from(top)) as i16
}

/// A sample: rows of input values, each for one tick or, where the input is constant, for several.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drive {
    /// One value per input each.
    pub rows: Vec<Vec<i32>>,
    /// Ticks per row.
    pub repeat: usize,
}

impl Drive {
    /// The values of each tick.
    pub fn ticks(&self) -> impl Iterator<Item = &Vec<i32>> {
        self.rows.iter().flat_map(|row| std::iter::repeat_n(row, self.repeat))
    }
}

/// Samples with their labels.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// Drives, all of one shape.
    pub drives: Vec<Drive>,
    /// Classes.
    pub labels: Vec<u8>,
}

/// A learner on a machine.
pub struct Learner<'a, K> {
    setup: Setup,
    /// The machine; its counters are everything that happened since the last [`Learner::evaluate`] began.
    pub machine: Machine<'a>,
    kernels: K,
    draws: Threefry<13>,
    presented: u64,
    /// Right answers before learning from them, by epoch.
    right: Vec<u64>,
}

/// What memristive devices have been through.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Devices {
    /// Name of the device.
    pub device: String,
    /// How many there are.
    pub devices: u64,
    /// Pulses, up and down.
    pub pulses: u64,
    /// Resets of full pairs.
    pub resets: u64,
    /// Reads of single devices.
    pub verify_reads: u64,
    /// Energy of pulses and resets through the devices, J.
    pub write_j: f64,
    /// Energy of reads through the devices, J.
    pub read_j: f64,
    /// The most pulses that one device has had.
    pub most_pulses: u32,
    /// Pulses on devices that were worn out.
    pub worn_pulses: u64,
    /// Devices that are worn out.
    pub worn_devices: u64,
    /// Devices that never worked.
    pub stuck_devices: u64,
    /// Pulses since the drop along wires was last found.
    pub stale_pulses: u64,
}

/// What an evaluation found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evaluation {
    /// Right answers.
    pub right: usize,
    /// Samples.
    pub samples: usize,
    /// Ticks.
    pub ticks: u64,
    /// Counters of each piece, in the core's order.
    pub counters: Vec<Vec<u64>>,
    /// Counters of each tick, summed over pieces: what a latency model sees.
    pub per_tick: Vec<TickWork>,
    /// What the first sample did.
    pub first: Watched,
}

/// What one sample did, tick by tick.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Watched {
    /// Neurons of each population.
    pub sizes: Vec<usize>,
    /// All spikes.
    pub spikes: Vec<Spike>,
    /// Membranes by tick, population and neuron.
    pub membranes: Vec<Vec<Vec<i32>>>,
}

impl Watched {
    /// Raster and membranes.
    pub fn figures(&self, which: &str) -> Vec<Figure> {
        let neurons = |name: &str| name != POPULATIONS[INPUT as usize] && name != POPULATIONS[ERROR as usize];
        let drawn: Vec<Drawn<'_>> = POPULATIONS
            .iter()
            .zip(&self.sizes)
            .map(|(name, size)| Drawn { name, size: *size, has_membranes: neurons(name) })
            .collect();
        activity::of_sample(which, &drawn, &self.spikes, &self.membranes)
    }
}

/// Keeps the spikes of a sample.
struct Watch<'a> {
    /// Population and first neuron of each piece.
    pieces: &'a [(u32, u32)],
    tick: u32,
    spikes: &'a mut Vec<Spike>,
}

impl Observer for Watch<'_> {
    fn spike(&mut self, _tick: u64, piece: u32, neuron: u32, payload: i32) {
        let Some((population, first)) = self.pieces.get(piece as usize) else { return };
        self.spikes.push((self.tick, *population, first + neuron, payload));
    }
}

/// The work of one tick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TickWork {
    /// Synaptic events.
    pub events: u64,
    /// Neuron updates.
    pub updates: u64,
    /// Spikes.
    pub spikes: u64,
    /// Packets.
    pub packets: u64,
}

impl TickWork {
    /// What a machine has done so far.
    pub fn of(machine: &Machine<'_>) -> TickWork {
        let mut all = TickWork::default();
        for counters in (0..machine.image().pieces).map(|p| machine.counters(p)) {
            all.events += counters.get(Count::StoredEvents);
            all.updates += counters.get(Count::Updates);
            all.spikes += counters.get(Count::Spikes);
            all.packets += counters.get(Count::Packets);
        }
        all
    }

    /// The work since an earlier reading of the same counters.
    pub fn since(&self, before: &TickWork) -> TickWork {
        TickWork {
            events: self.events - before.events,
            updates: self.updates - before.updates,
            spikes: self.spikes - before.spikes,
            packets: self.packets - before.packets,
        }
    }
}

impl Evaluation {
    /// Share of right answers.
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.samples.max(1) as f64
    }

    /// A count of one piece.
    pub fn count(&self, piece: u32, count: Count) -> u64 {
        self.counters.get(piece as usize).and_then(|row| row.get(count as usize)).copied().unwrap_or(0)
    }

    /// Spikes of hidden neurons per sample.
    pub fn spikes_per_sample(&self) -> f64 {
        self.count(HIDDEN, Count::Spikes) as f64 / self.samples.max(1) as f64
    }
}

impl<'a, K: Kernels> Learner<'a, K> {
    /// A learner over a checked image and memory for it.
    ///
    /// # Errors
    /// The work failed: the memory is too small.
    pub fn new(setup: &Setup, image: Image<'a>, arena: &'a mut [u64], kernels: K) -> Result<Self, Failure> {
        let machine = Machine::new(image, arena).map_err(|error| Failure::work(format_args!("{error}")))?;
        Ok(Learner {
            setup: setup.clone(),
            machine,
            kernels,
            draws: Threefry::new(setup.seed),
            presented: 0,
            right: Vec::new(),
        })
    }

    fn step(&mut self) {
        self.machine.step(&self.kernels, &mut self.draws, &mut Unobserved);
    }

    /// A step whose spikes and membranes are kept.
    fn watched_step(&mut self, seen: &mut Watched) {
        let image = *self.machine.image();
        let records: Vec<_> = (0..image.pieces).filter_map(|piece| image.piece(piece)).collect();
        let pieces: Vec<(u32, u32)> = records.iter().map(|p| (p.population, p.population_first)).collect();
        if seen.sizes.is_empty() {
            seen.sizes = vec![0; POPULATIONS.len()];
            for record in &records {
                if let Some(size) = seen.sizes.get_mut(record.population as usize) {
                    *size += record.count as usize;
                }
            }
        }
        let tick = seen.membranes.len() as u32;
        let mut watch = Watch { pieces: &pieces, tick, spikes: &mut seen.spikes };
        self.machine.step(&self.kernels, &mut self.draws, &mut watch);
        let populations = 0..POPULATIONS.len() as u32;
        let each = populations.map(|p| pipeline::gather(&records, p, |piece| self.machine.membranes(piece)));
        seen.membranes.push(each.collect());
    }

    fn present(&mut self, drive: &Drive) -> Result<(), Failure> {
        self.machine.rest();
        for values in drive.ticks() {
            self.drive(INPUT, values)?;
            self.step();
        }
        Ok(())
    }

    fn drive(&mut self, piece: u32, values: &[i32]) -> Result<(), Failure> {
        self.machine.drive(piece, values).map_err(|error| Failure::bad_input(format_args!("input: {error}")))
    }

    /// Learns one sample; `rate` is the third factor of both rules. Says whether the answer was right before.
    ///
    /// # Errors
    /// Bad input: the drive does not fit the network.
    pub fn learn(&mut self, drive: &Drive, label: u8, rate: i32) -> Result<bool, Failure> {
        self.present(drive)?;
        let right = self.answer() == usize::from(label);
        let sign = |k: usize| if k == usize::from(label) { 1 } else { -1 };
        let readout = self.machine.membranes(READOUT);
        let wrong = |(k, o): (usize, &i32)| if sign(k) * o <= self.setup.margin { sign(k) } else { 0 };
        let errors: Vec<i32> = readout.iter().enumerate().map(wrong).collect();
        if errors.iter().all(|e| *e == 0) {
            return Ok(right);
        }
        for (k, target) in self.machine.targets_mut(READOUT).iter_mut().enumerate() {
            *target = sign(k);
        }
        self.drive(ERROR, &errors)?;
        self.step();
        self.machine.set_third_factor(READOUT_RULE, rate);
        self.machine.set_third_factor(HIDDEN_RULE, if self.setup.plastic_hidden { rate } else { 0 });
        self.machine.learn_sample_by(&self.kernels, &mut self.draws);
        Ok(right)
    }

    /// The class with the largest readout, the first on a tie.
    fn answer(&self) -> usize {
        let readout = self.machine.membranes(READOUT);
        (1..readout.len()).fold(0, |best, k| if readout[k] > readout[best] { k } else { best })
    }

    /// Learns all samples once per epoch, in an order drawn from the seed, and calls `after` after each one. A learner
    /// that has been restored goes on where it was saved.
    ///
    /// # Errors
    /// Bad input: a drive does not fit the network; or that of `after`.
    pub fn train(
        &mut self,
        samples: &Samples,
        rates: &[i32],
        mut after: impl FnMut(&Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.setup.seed ^ 0x0bde_2025);
        let mut order: Vec<usize> = (0..samples.labels.len()).collect();
        let mut number = 0;
        self.right.resize(rates.len(), 0);
        for (epoch, rate) in rates.iter().enumerate() {
            for i in (1..order.len()).rev() {
                order.swap(i, (random.next_u64() % (i as u64 + 1)) as usize);
            }
            for &i in &order {
                number += 1;
                if number <= self.presented {
                    continue;
                }
                let right = self.learn(&samples.drives[i], samples.labels[i], *rate)?;
                self.right[epoch] += u64::from(right);
                self.presented = number;
                after(self)?;
            }
        }
        Ok(())
    }

    /// Samples learnt so far by [`Learner::train`].
    pub fn presented(&self) -> u64 {
        self.presented
    }

    /// Right answers before learning from them, by epoch.
    pub fn right_by_epoch(&self) -> &[u64] {
        &self.right
    }

    /// The whole state between two samples: how many have been learnt, right answers by epoch, the machine.
    pub fn save(&self) -> Vec<u8> {
        let mut state = self.presented.to_le_bytes().to_vec();
        state.extend_from_slice(&(self.right.len() as u64).to_le_bytes());
        state.extend(self.right.iter().flat_map(|n| n.to_le_bytes()));
        state.reserve(self.machine.saved_len());
        self.machine.save(|bytes| state.extend_from_slice(bytes));
        state
    }

    /// Takes up a saved state.
    ///
    /// # Errors
    /// The work failed: the state is not one of this learner, which is then as it was.
    pub fn restore(&mut self, state: &[u8]) -> Result<(), Failure> {
        let unfit = |why: &dyn std::fmt::Display| Failure::work(format_args!("saved state: {why}"));
        let short = || unfit(&"too short");
        let mut rest = state;
        let mut number = || -> Option<u64> {
            let (head, tail) = rest.split_first_chunk::<8>()?;
            rest = tail;
            Some(u64::from_le_bytes(*head))
        };
        let (presented, epochs) = (number().ok_or_else(short)?, number().ok_or_else(short)?);
        let right: Option<Vec<u64>> = (0..epochs).map(|_| number()).collect();
        let right = right.ok_or_else(short)?;
        self.machine.restore(rest).map_err(|error| unfit(&error))?;
        (self.presented, self.right) = (presented, right);
        Ok(())
    }

    /// Lets the time pass that stands between learning and the evaluation.
    ///
    /// # Errors
    /// The work failed: neurons do not come to rest.
    pub fn hold(&mut self) -> Result<(), Failure> {
        let mut left = self.setup.bars.as_ref().map_or(0, |bars| bars.hold_ticks);
        self.machine.rest();
        for _ in 0..1000 {
            left -= self.machine.advance(left);
            if left == 0 {
                return Ok(());
            }
            self.step();
            left -= 1;
        }
        Err(Failure::work("the network does not come to rest between learning and the evaluation"))
    }

    /// What the devices of all crossbars have been through so far; none where there are none.
    pub fn devices(&self) -> Option<Devices> {
        let device = self.setup.bars.as_ref()?.device.name.clone();
        let total = |count| self.machine.total(count);
        let mut found = Devices {
            device,
            devices: 0,
            pulses: total(Count::PulsesUp) + total(Count::PulsesDown),
            resets: total(Count::Resets),
            verify_reads: total(Count::VerifyReads),
            write_j: total(Count::PulseEnergy) as f64 * ENERGY_UNIT_J,
            read_j: total(Count::CrossbarCharge) as f64 * ENERGY_UNIT_J,
            most_pulses: 0,
            worn_pulses: total(Count::WornPulses),
            worn_devices: 0,
            stuck_devices: 0,
            stale_pulses: 0,
        };
        for port in 0..self.machine.image().ports {
            let Some(view) = self.machine.array(port) else { continue };
            found.devices += view.pulses.len() as u64;
            found.most_pulses = found.most_pulses.max(view.pulses.iter().copied().max().unwrap_or(0));
            found.worn_devices += self.machine.worn_devices(port);
            found.stuck_devices += self.machine.stuck_devices(port);
            found.stale_pulses += view.log.stale;
        }
        Some(found)
    }

    /// Classifies all samples without learning: the class with the largest readout, the first on a tie.
    ///
    /// # Errors
    /// Bad input: a drive does not fit the network.
    pub fn evaluate(&mut self, samples: &Samples) -> Result<Evaluation, Failure> {
        let mut found = Evaluation { samples: samples.labels.len(), ..Evaluation::default() };
        let before = self.counters();
        let mut done = TickWork::of(&self.machine);
        for (number, (drive, label)) in samples.drives.iter().zip(&samples.labels).enumerate() {
            self.machine.rest();
            for values in drive.ticks() {
                self.drive(INPUT, values)?;
                match number {
                    0 => self.watched_step(&mut found.first),
                    _ => self.step(),
                }
                let now = TickWork::of(&self.machine);
                found.per_tick.push(now.since(&done));
                done = now;
            }
            found.ticks += (drive.rows.len() * drive.repeat) as u64;
            found.right += usize::from(self.answer() == usize::from(*label));
        }
        found.counters = self.counters();
        for (row, before) in found.counters.iter_mut().zip(before) {
            for (count, before) in row.iter_mut().zip(before) {
                *count -= before;
            }
        }
        Ok(found)
    }

    /// Counters of all pieces.
    pub fn counters(&self) -> Vec<Vec<u64>> {
        (0..self.machine.image().pieces).map(|p| self.machine.counters(p).row().to_vec()).collect()
    }
}
