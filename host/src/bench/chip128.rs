//! `sanafe-128`: a random recurrent network spread over the 128 cores of a chip, with everything that the chip does
//! counted: the workload on which SANA-FE runs beside this emulator (`benches/peers/sanafe.py`).
//!
//! 10,000 leaky neurons with 100 synapses each, four fifths of them excitatory; 1,000 scripted inputs with 10 strong
//! synapses each, firing in every fiftieth tick on average; 1,000 ticks. All draws are of one 64-bit linear
//! congruential generator, so that the peer's script makes the same network. Where a neuron stands does not change
//! what it computes, so the machine runs all neurons as one piece and the chip's counters are kept by core beside it.

use serde_json::{Map, json};
use synop_core::image::Section;
use synop_core::{Count, Image, Machine, Observer, Threefry};
use synop_cost::{Chip, Hops, route, shipped};
use synop_model::memory::Memory;
use synop_model::network::{Lif, Network, Param, Population, Rows, Synapses};

use super::bound::{Bound, Bounds};
use super::{Measured, Outcome, Setting, Spent, build, counts, forget_peak, image};
use crate::Failure;
use crate::report::{Counts, Report};
use crate::simd::Native;

/// Neurons.
pub const NEURONS: usize = 10_000;
/// Synapses of each neuron.
pub const FAN_OUT: usize = 100;
/// Inputs.
pub const INPUTS: usize = 1_000;
/// Synapses of each input.
pub const FORCED: usize = 10;
/// Cores that they stand on, in runs of equal length.
pub const CORES: usize = 128;
/// One input event in so many ticks.
const EVERY: u64 = 50;
/// Ticks of the standard run.
const TICKS: f64 = 1_000.0;
/// Weights in 1/64 of a volt, the unit of SANA-FE's membranes.
const EXCITES: i16 = 4;
const INHIBITS: i16 = -16;
const FORCES: i16 = 124;
const THRESHOLD: i32 = 64;

/// The generator: x ← 6364136223846793005 x + 1442695040888963407 (Knuth's MMIX); a draw is the upper 31 bits.
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// The network: population 0 the inputs, population 1 the neurons.
pub fn network(seed: u64) -> Network {
    let mut draw = Draw::new(seed);
    let mut net = Network { seed, ..Network::default() };
    let input = net.add_population(Population::input("input", INPUTS, 1));
    let lif = Lif {
        threshold: Param::All(THRESHOLD),
        decay: Param::q31(7 << 28),
        count_touched: true,
        ..Lif::default()
    };
    let neurons = net.add_population(Population::lif("neurons", NEURONS, 1, lif));
    let mut rows = |sources: usize, each: usize, weight: &dyn Fn(usize) -> i16| {
        let mut rows = Rows { index: vec![0], ..Rows::default() };
        for i in 0..sources {
            rows.targets.extend((0..each).map(|_| draw.below(NEURONS as u64) as u32));
            rows.weights.extend((0..each).map(|_| weight(i)));
            rows.index.push(rows.targets.len());
        }
        rows
    };
    let recurrent = rows(NEURONS, FAN_OUT, &|i| if i < NEURONS / 5 * 4 { EXCITES } else { INHIBITS });
    let forced = rows(INPUTS, FORCED, &|_| FORCES);
    net.connect(neurons, neurons, 1, Synapses::Sparse { bits: 8, weight: 0, rows: recurrent });
    net.connect(input, neurons, 1, Synapses::Sparse { bits: 8, weight: 0, rows: forced });
    net
}

/// Input events of every tick.
pub fn inputs(seed: u64, ticks: usize) -> Vec<Vec<[i32; 2]>> {
    let mut draw = Draw::new(seed ^ 0x5a5a);
    let tick = |_| (0..INPUTS as i32).filter(|_| draw.below(EVERY) == 0).map(|k| [k, 1]).collect();
    (0..ticks).map(tick).collect()
}

/// The core of neuron `i` of `n`.
pub fn core_of(i: usize, n: usize) -> usize {
    i * CORES / n
}

/// What the 128 cores did.
#[derive(Debug, Clone)]
pub struct Cores {
    /// Spikes of every neuron, inputs first.
    pub spikes: Vec<u32>,
    /// Neurons updated on each core: with a membrane or an input.
    pub updated: Vec<u64>,
    /// Synaptic events on each core.
    pub events: Vec<u64>,
    /// Packets into each core.
    pub packets_in: Vec<u64>,
    /// Packets out of each core.
    pub packets_out: Vec<u64>,
    /// Links crossed.
    pub hops: Hops,
    /// Blocks of 64 neurons: those touched in this tick, and those with a membrane before it.
    touched: Vec<u64>,
    charged: Vec<u64>,
    /// Parts of blocks that stand on each core.
    parts: Vec<Vec<(usize, u64)>>,
}

impl Observer for Cores {
    fn touched(&mut self, _tick: u64, _piece: u32, first: u32, touched: u64) {
        if let Some(block) = self.touched.get_mut(first as usize / 64) {
            *block |= touched;
        }
    }

    fn spike(&mut self, _tick: u64, _piece: u32, neuron: u32, _payload: i32) {
        if let Some(n) = self.spikes.get_mut(INPUTS + neuron as usize) {
            *n += 1;
        }
    }
}

impl Default for Cores {
    fn default() -> Self {
        let mut parts = vec![Vec::new(); CORES];
        for block in 0..NEURONS.div_ceil(64) {
            let mut masks = vec![0u64; CORES];
            for j in (0..64).filter(|j| block * 64 + j < NEURONS) {
                masks[core_of(block * 64 + j, NEURONS)] |= 1 << j;
            }
            for (core, mask) in masks.into_iter().enumerate().filter(|(_, m)| *m != 0) {
                parts[core].push((block, mask));
            }
        }
        Self {
            spikes: vec![0; INPUTS + NEURONS],
            updated: vec![0; CORES],
            events: vec![0; CORES],
            packets_in: vec![0; CORES],
            packets_out: vec![0; CORES],
            hops: Hops::default(),
            touched: vec![0; NEURONS.div_ceil(64)],
            charged: vec![0; NEURONS.div_ceil(64)],
            parts,
        }
    }
}

impl Cores {
    /// Memory of the counters.
    fn bytes(&self) -> usize {
        let parts: usize = self.parts.iter().map(Vec::len).sum();
        self.spikes.len() * 4 + self.updated.len() * 4 * 8 + self.touched.len() * 2 * 8 + parts * 16
    }

    /// Counts the neurons that the tick updated.
    fn close(&mut self, membranes: &[i32]) {
        for (updated, parts) in self.updated.iter_mut().zip(&self.parts) {
            for (block, mask) in parts {
                *updated += u64::from(((self.touched[*block] | self.charged[*block]) & mask).count_ones());
            }
        }
        self.touched.fill(0);
        for (block, v) in self.charged.iter_mut().zip(membranes.chunks(64)) {
            *block = v.iter().enumerate().fold(0, |bits, (j, v)| bits | u64::from(*v != 0) << j);
        }
    }

    /// Packets, hops and events from how often everybody fired, core by core.
    fn travel(&mut self, image: &Image<'_>, chip: &Chip) {
        let word = |b: &[u8]| b.iter().rev().fold(0u32, |w, b| w << 8 | u32::from(*b));
        let segments: Vec<u32> = image.section(Section::Segments).chunks_exact(4).map(word).collect();
        let data = image.section(Section::Data);
        let mut met = vec![0u32; CORES];
        for piece in (0..image.pieces).filter_map(|p| image.piece(p)) {
            let Some(class) = image.delay_class(piece.delay_first) else { continue };
            for local in 0..piece.count {
                let n = u64::from(self.spikes[(piece.first + local) as usize]);
                if n == 0 {
                    continue;
                }
                let source = core_of(local as usize, piece.count as usize);
                met.fill(0);
                let (first, end) = image.row(&class, local);
                for segment in (first..end).filter_map(|q| synop_core::image::Segment::at(&segments, q)) {
                    let at = segment.offset as usize * 4;
                    let targets = data.get(at..at + segment.len as usize * 2).unwrap_or(&[]);
                    for t in targets.chunks_exact(2) {
                        met[core_of(u16::from_le_bytes([t[0], t[1]]).into(), NEURONS)] += 1;
                    }
                }
                for (core, synapses) in met.iter().enumerate().filter(|(_, s)| **s > 0) {
                    self.events[core] += n * u64::from(*synapses);
                    self.packets_in[core] += n;
                    self.packets_out[source] += n;
                    let way = route::hops(chip.mesh, chip.tile_of(source as u32), chip.tile_of(core as u32));
                    self.hops.add(&way.times(n));
                }
            }
        }
    }
}

/// Runs the workload on a machine that stands at its start; everything that the chip does is counted.
///
/// # Errors
/// The work failed: an input is refused, which would be a defect.
pub fn run(machine: &mut Machine<'_>, events: &[Vec<[i32; 2]>], chip: &Chip) -> Result<Cores, Failure> {
    let kernels = Native::detect();
    let mut draws = Threefry::<13>::new(1);
    let mut cores = Cores::default();
    for list in events {
        for [k, _] in list {
            cores.spikes[*k as usize] += 1;
        }
        machine.inject(0, list).map_err(Failure::work)?;
        machine.step(&kernels, &mut draws, &mut cores);
        cores.close(machine.membranes(1));
    }
    cores.travel(machine.image(), chip);
    Ok(cores)
}

/// The benchmark.
///
/// # Errors
/// The work failed: the network has no image.
pub fn bench(label: &str, setting: &Setting) -> Result<Report, Failure> {
    forget_peak();
    let chip = shipped::chip("loihi1-published").map_err(Failure::work)?;
    let ticks = ((TICKS * setting.length).round() as usize).max(1);
    let events = inputs(setting.seed, ticks);
    let built = build(|| network(setting.seed), 1)?;
    let image = image(&built)?;
    let words = image.memory(0..image.cores).words();
    let mut memory = Memory::zeros(words);
    let mut machine = Machine::new(image, &mut memory).map_err(Failure::work)?;
    let mut bounds = Bounds::default();
    let (mut best, mut last) = (Measured::default(), Cores::default());
    for _ in 0..setting.repeats {
        bounds.measure(&[Bound::Stream, Bound::Scatter]);
        machine.restart();
        let (cores, spent) = Spent::on(|| run(&mut machine, &events, &chip));
        last = cores?;
        best.keep_faster(Measured { events: machine.total(Count::StoredEvents), spent }, 1);
    }
    bounds.measure(&[Bound::Scatter]);
    let (machine_counts, synops) = counts(&image, std::iter::once(&machine), ticks as u64);
    let sum = |list: &[u64]| list.iter().sum::<u64>();
    let counts = Counts {
        neurons_updated: sum(&last.updated),
        packets: sum(&last.packets_out),
        hops: last.hops,
        ..machine_counts
    };
    let mut more = Map::new();
    more.insert("cores".into(), json!(CORES));
    let given: u64 = last.spikes.iter().take(INPUTS).map(|n| u64::from(*n)).sum();
    more.insert("input_events".into(), json!(given));
    more.insert("events_sent".into(), json!(sum(&last.events)));
    more.insert("packets_in".into(), json!(sum(&last.packets_in)));
    more.insert("busiest_core_events".into(), json!(last.events.iter().max()));
    more.insert(
        "counter_bytes".into(),
        json!((INPUTS + NEURONS) * 4 + CORES * 5 * 8 + NEURONS.div_ceil(64) * 48),
    );
    let outcome = Outcome {
        label,
        built: &built,
        state_bytes: words * 8 + last.bytes(),
        best,
        ticks: ticks as u64,
        bound: ("scatter_cache", bounds.get(Bound::Scatter).unwrap_or(f64::NAN)),
        bounds,
        threads: 1,
        more,
    };
    Ok(outcome.report(setting, counts, synops))
}

#[cfg(test)]
mod tests {
    use super::*;
    use synop_model::image::write;
    use synop_model::placement::{Placement, Slice};
    use synop_model::routes::Routes;

    #[test]
    fn counters_by_core_are_those_of_an_image_that_is_split_over_the_cores() {
        let chip = shipped::chip("loihi1-published").unwrap();
        let (net, events) = (network(3), inputs(3, 12));
        let blob = write(&net, &Placement::one_core(&net)).unwrap();
        let image = blob.image().unwrap();
        let mut memory = vec![0u64; image.memory(0..1).words()];
        let mut machine = Machine::new(image, &mut memory).unwrap();
        let cores = run(&mut machine, &events, &chip).unwrap();
        let mut split = Placement { cores: vec![Vec::new(); CORES] };
        for (population, size) in [(0, INPUTS), (1, NEURONS)] {
            for (core, slices) in split.cores.iter_mut().enumerate() {
                let held: Vec<usize> = (0..size).filter(|i| core_of(*i, size) == core).collect();
                slices.push(Slice { population, first: held[0], count: held.len() });
            }
        }
        let blob = write(&net, &split).unwrap();
        let image = blob.image().unwrap();
        let routes = Routes::of(&image, &chip).unwrap();
        let mut spikes = vec![0u64; image.neurons as usize];
        for piece in (0..image.pieces).map(|p| image.piece(p).unwrap()) {
            let first = piece.population_first as usize + if piece.population == 1 { INPUTS } else { 0 };
            for i in 0..piece.count as usize {
                spikes[piece.first as usize + i] = cores.spikes[first + i].into();
            }
        }
        let carried = routes.carried(&chip, &spikes);
        assert!(cores.spikes.iter().skip(INPUTS).any(|n| *n > 0));
        assert_eq!(carried.hops(), cores.hops);
        assert_eq!(carried.packets_out(), cores.packets_out.iter().sum::<u64>());
        assert_eq!(carried.packets_in(), cores.packets_in.iter().sum::<u64>());
        let sent: u64 = cores.events.iter().sum();
        let rows = |i: usize| if i < INPUTS { FORCED } else { FAN_OUT } as u64;
        assert_eq!(sent, cores.spikes.iter().enumerate().map(|(i, n)| rows(i) * u64::from(*n)).sum::<u64>());
    }
}
