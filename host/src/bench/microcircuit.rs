//! W3: the cortical microcircuit of Potjans and Diesmann (2014), a tenth of its neurons and of its synapses.
//!
//! Eight populations of exponential-current neurons with random connections, delays and weights, a Poisson
//! background, and a constant current that makes up for the synapses left out. As all neurons are alike, they
//! form one population of the network; who belongs to which layer is a matter of their connections.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use synop_model::network::{Current, CurrentOrder, Lif, Network, Param, Population, Reset, Rows, Synapses};

use super::poisson::{MOST, Poisson};

/// Neurons of layers 2/3, 4, 5, 6, excitatory and inhibitory, at full scale.
const SIZES: [f64; 8] = [20_683.0, 5_834.0, 21_915.0, 5_479.0, 4_850.0, 1_065.0, 14_395.0, 2_948.0];
/// Probability of a connection, target by source.
const PROBABILITY: [[f64; 8]; 8] = [
    [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0],
    [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0],
    [0.0077, 0.0059, 0.0497, 0.135, 0.0067, 0.0003, 0.0453, 0.0],
    [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0],
    [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0],
    [0.0548, 0.0269, 0.0257, 0.0022, 0.06, 0.3158, 0.0086, 0.0],
    [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
    [0.0364, 0.001, 0.0034, 0.0005, 0.0277, 0.008, 0.0658, 0.1443],
];
/// External inputs of a neuron at full scale, and their rate.
const EXTERNAL: [f64; 8] = [1_600.0, 1_500.0, 2_100.0, 1_900.0, 2_000.0, 1_900.0, 2_900.0, 2_100.0];
const EXTERNAL_HZ: f64 = 8.0;
/// Mean rates at full scale, which the constant current stands in for.
const RATES_HZ: [f64; 8] = [0.971, 2.868, 4.746, 5.396, 8.142, 9.078, 0.991, 7.523];
/// Share of neurons, and of the inputs of each.
const SCALE: f64 = 0.1;
/// Mean excitatory current, pA (0.15 mV of potential), inhibition relative to it, and relative spread.
const CURRENT_PA: f64 = 87.81;
const INHIBITION: f64 = -4.0;
const SPREAD: f64 = 0.1;
const TICK_MS: f64 = 0.1;
const MEMBRANE_MS: f64 = 10.0;
const SYNAPSE_MS: f64 = 0.5;
const CAPACITY_PF: f64 = 250.0;
const REFRACTORY_MS: f64 = 2.0;
/// Threshold above rest, mV; the reset is to rest.
const THRESHOLD_MV: f64 = 15.0;

/// Weight units of a mean excitatory synapse; inhibition of four times that and four standard deviations fits 8 bits.
const UNITS: f64 = 22.0;
/// A unit of current is a weight unit × 2^−SHIFT.
const SHIFT: u32 = 9;
/// Membrane units per mV.
const PER_MV: f64 = 65_536.0;

/// The network, and the background of its neurons.
#[derive(Clone, Debug)]
pub struct Microcircuit {
    /// Populations `background` (inputs) and `neurons`.
    pub network: Network,
    /// The background: events for piece 0.
    pub background: Poisson,
}

/// Draws the network with `seed`.
pub fn microcircuit(seed: u64) -> Microcircuit {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let sizes = SIZES.map(|n| (n * SCALE).round() as usize);
    let total = sizes.iter().sum();
    let firsts: Vec<usize> = sizes.iter().scan(0, |at, n| Some(std::mem::replace(at, *at + n))).collect();
    // Fewer inputs are each stronger by the root of their share, which keeps the spread of the input.
    let psc_pa = CURRENT_PA / SCALE.sqrt();
    let mut lists: Vec<Vec<(u32, i16, u16)>> = vec![Vec::new(); total];
    let mut missing_pa = [0f64; 8];
    for target in 0..8 {
        for source in 0..8 {
            let pairs = SIZES[source] * SIZES[target];
            let synapses = (1.0 - PROBABILITY[target][source]).ln() / (1.0 - 1.0 / pairs).ln();
            let excites = source % 2 == 0;
            let doubled = target == 0 && source == 2;
            let factor = if !excites {
                INHIBITION
            } else if doubled {
                2.0
            } else {
                1.0
            };
            let charge = synapses / SIZES[target] * RATES_HZ[source] * SYNAPSE_MS * 1e-3;
            missing_pa[target] += factor * CURRENT_PA * charge;
            let delay_ms = if excites { (1.5, 0.75) } else { (0.8, 0.4) };
            for _ in 0..(synapses * SCALE * SCALE).round() as usize {
                let from = firsts[source] + below(&mut random, sizes[source]);
                let to = firsts[target] + below(&mut random, sizes[target]);
                let weight = factor * UNITS * (1.0 + SPREAD * normal(&mut random));
                let weight = if factor > 0.0 { weight.max(0.0) } else { weight.min(0.0) };
                let delay = (delay_ms.0 + delay_ms.1 * normal(&mut random)) / TICK_MS;
                let weight = weight.round().clamp(-127.0, 127.0) as i16;
                lists[from].push((to as u32, weight, delay.round().max(1.0) as u16));
            }
        }
        missing_pa[target] += CURRENT_PA * EXTERNAL[target] * EXTERNAL_HZ * SYNAPSE_MS * 1e-3;
        missing_pa[target] *= 1.0 - SCALE.sqrt();
    }
    let mut rows = Rows { index: vec![0], ..Rows::default() };
    for list in &lists {
        for (target, weight, delay) in list {
            rows.targets.push(*target);
            rows.weights.push(*weight);
            rows.delays.push(*delay);
        }
        rows.index.push(rows.targets.len());
    }
    let keep = |ms: f64| (-TICK_MS / ms).exp();
    let q31 = |x: f64| (x * 2f64.powi(31)).round() as u32;
    // mV per pA of current through one tick, of a synapse and of a constant one.
    let through = SYNAPSE_MS * MEMBRANE_MS / (MEMBRANE_MS - SYNAPSE_MS) / CAPACITY_PF
        * (keep(MEMBRANE_MS) - keep(SYNAPSE_MS));
    let constant = MEMBRANE_MS / CAPACITY_PF * (1.0 - keep(MEMBRANE_MS));
    let per_unit = through * psc_pa / UNITS / f64::from(1 << SHIFT) * PER_MV;
    let bias = |pa: f64| (pa * constant * PER_MV).round() as i32;
    let of_neurons = |of: [i32; 8]| of.iter().zip(sizes).flat_map(|(v, n)| vec![*v; n]).collect();
    let start = (0..total).map(|_| ((7.0 + 10.0 * normal(&mut random)) * PER_MV) as i32).collect();
    let lif = Lif {
        threshold: Param::All((THRESHOLD_MV * PER_MV) as i32),
        bias: Param::Each(of_neurons(missing_pa.map(bias))),
        decay: Param::q31(q31(keep(MEMBRANE_MS))),
        current: Some(Current {
            decay: Param::q31(q31(keep(SYNAPSE_MS))),
            order: CurrentOrder::Old,
            gain: ((per_unit * f64::from(1 << 14)).round() as i32, 14),
        }),
        reset: Reset::Value,
        initial: Param::Each(start),
        input_shift: SHIFT,
        refractory: (REFRACTORY_MS / TICK_MS).round() as u32,
        greater_equal: true,
        ..Lif::default()
    };
    let mut network = Network { seed, ..Network::default() };
    let background = network.add_population(Population::input("background", total, u32::from(MOST)));
    let neurons = network.add_population(Population::lif("neurons", total, 1, lif));
    network.connect(background, neurons, 0, Synapses::Identity { weight: UNITS as i32 });
    network.connect(neurons, neurons, 1, Synapses::Sparse { bits: 8, weight: 0, rows });
    let mean = |k: f64| k * SCALE * EXTERNAL_HZ * TICK_MS * 1e-3;
    let groups: Vec<_> = sizes.iter().zip(EXTERNAL).map(|(n, k)| (*n, mean(k))).collect();
    Microcircuit { network, background: Poisson::new(seed, &groups) }
}

fn below(random: &mut Xoshiro256PlusPlus, n: usize) -> usize {
    ((u64::from(random.next_u32()) * n as u64) >> 32) as usize
}

/// A normal number: the sum of twelve uniform ones.
fn normal(random: &mut Xoshiro256PlusPlus) -> f64 {
    let sum: f64 = (0..12).map(|_| (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64).sum();
    sum - 6.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::poisson::Room;
    use crate::simd::Native;
    use crate::threads::{Team, arenas};
    use synop_core::store::Portable;
    use synop_core::{Count, Image, Kernels};
    use synop_model::image::write;
    use synop_model::placement::Placement;

    /// What stays the same however a network is placed and run: spikes of the neurons, in order, and events. And what else
    /// the machines count.
    type Ran = (Vec<i32>, [u64; 4], [u64; 3]);

    fn ran<K: Kernels + Sync>(
        image: &Image<'_>,
        threads: usize,
        kernels: &K,
        ticks: u64,
        counts: &(dyn Fn(u64) -> Vec<u8> + Sync),
    ) -> Ran {
        let mut memory = arenas(image, threads);
        let mut team = Team::new(*image, &mut memory).unwrap();
        let pieces: Vec<_> = (0..image.pieces).map(|p| (p, image.piece(p).unwrap())).collect();
        let input = |tick: u64, put: &mut dyn FnMut(u32, &[u8])| {
            for (p, piece) in pieces.iter().filter(|(_, piece)| piece.groups == 0) {
                put(*p, &counts(tick)[piece.population_first as usize..][..piece.count as usize]);
            }
        };
        team.run(kernels, ticks, &input).unwrap();
        let mut neurons: Vec<_> = pieces.iter().filter(|(_, piece)| piece.groups != 0).collect();
        neurons.sort_by_key(|(_, piece)| (piece.population, piece.population_first));
        let spikes = neurons.iter().flat_map(|(p, _)| team.host(*p).unwrap().spike_counts(*p).to_vec());
        let (of_network, of_machines) = (
            [Count::StoredEvents, Count::EffectiveEvents, Count::Accumulates, Count::MultiplyAccumulates],
            [Count::Rows, Count::SynapseBytes, Count::Updates],
        );
        (spikes.collect(), of_network.map(|c| team.total(c)), of_machines.map(|c| team.total(c)))
    }

    fn is_the_same_however_it_runs(network: &Network, ticks: u64, counts: &(dyn Fn(u64) -> Vec<u8> + Sync)) {
        let mut first: Option<Ran> = None;
        for cores in [1, 2] {
            let blob = write(network, &Placement::spread(network, cores)).unwrap();
            let image = blob.image().unwrap();
            let expected = ran(&image, 1, &Portable, ticks, counts);
            assert!(expected.0.iter().sum::<i32>() > 100, "hardly fires");
            for native in Native::levels().into_iter().filter_map(Native::at) {
                let found = ran(&image, cores, &native, ticks, counts);
                assert!(found == expected, "{:?}, {cores} cores", native.level());
            }
            let first = first.get_or_insert(expected.clone());
            assert!(first.0 == expected.0 && first.1 == expected.1, "{cores} cores");
        }
    }

    #[test]
    fn every_level_and_number_of_threads_gives_the_same_spikes() {
        let circuit = microcircuit(3);
        let counts =
            |tick: u64| circuit.background.draw(&Native::detect(), tick, &mut Room::default()).to_vec();
        is_the_same_however_it_runs(&circuit.network, 60, &counts);
    }

    /// Inputs have a delay of 0 among others, and payloads; weights are all their own or all the same.
    #[test]
    fn rows_of_many_delays_are_the_same_read_together_or_one_by_one() {
        for weight in [0, 7] {
            let mut random = Xoshiro256PlusPlus::seed_from_u64(9);
            let mut net = Network::default();
            let input = net.add_population(Population::input("input", 90, 3));
            let lif = Lif { threshold: Param::All(60), decay: Param::q31(1 << 30), ..Lif::default() };
            let neurons = net.add_population(Population::lif("neurons", 200, 1, lif));
            let mut rows = |sources: usize, shortest: usize| {
                let mut rows = Rows { index: vec![0], ..Rows::default() };
                for _ in 0..sources {
                    for _ in 0..below(&mut random, 60) {
                        rows.targets.push(below(&mut random, 200) as u32);
                        if weight == 0 {
                            rows.weights.push(below(&mut random, 40) as i16 - 12);
                        }
                        rows.delays.push((shortest + below(&mut random, 12)) as u16);
                    }
                    rows.index.push(rows.targets.len());
                }
                Synapses::Sparse { bits: if weight == 0 { 8 } else { 0 }, weight, rows }
            };
            let (from_input, between) = (rows(90, 0), rows(200, 1));
            net.connect(input, neurons, 0, from_input);
            net.connect(neurons, neurons, 1, between);
            let counts = |tick: u64| {
                let of = |i: u64| (i * 7 + tick * tick) % 11;
                (0..90).map(|i| if of(i) < 2 { 1 + of(i) as u8 } else { 0 }).collect()
            };
            is_the_same_however_it_runs(&net, 150, &counts);
        }
    }
}
