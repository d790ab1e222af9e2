//! W1: the balanced random network of sparsely connected integrate-and-fire neurons (Brunel 2000).
//!
//! Four fifths of the neurons excite, one fifth inhibits; every neuron has the same number of inputs from each,
//! drawn with replacement. Membrane 20 ms, threshold 20 mV, reset to 10 mV, 2 ms refractory, one delay for all,
//! a constant drive of 40 mV, membranes drawn from [0, threshold) at the start.

use std::ops::Range;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use synop_model::network::{Lif, Network, Param, Population, Reset, Rows, Synapses};

/// How synapses are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// An 8-bit weight per synapse.
    PerSynapse,
    /// One weight per projection, lists of targets.
    PerProjection,
    /// One weight per projection, one bit per pair; pairs that occur twice stand in short lists beside them.
    Bits,
}

/// A balanced random network.
#[derive(Clone, Copy, Debug)]
pub struct Brunel {
    /// Neurons; a multiple of 5.
    pub neurons: usize,
    /// Inputs of each neuron; a multiple of 5.
    pub inputs: usize,
    /// Height of an excitatory post-synaptic potential, mV.
    pub psp_mv: f64,
    /// Inhibitory over excitatory weight.
    pub balance: f64,
    /// Tick, ms.
    pub tick_ms: f64,
    /// Delay of all synapses, ticks.
    pub delay_ticks: u32,
    /// Constant drive: where the membrane would settle without threshold, mV.
    pub drive_mv: f64,
    /// How synapses are stored.
    pub storage: Storage,
}

/// Asynchronous and irregular: 10,000 neurons × 1,000 inputs, J = 0.2 mV, g = 6, 17 spikes/s.
pub const AI: Brunel = Brunel {
    neurons: 10_000,
    inputs: 1_000,
    psp_mv: 0.2,
    balance: 6.0,
    tick_ms: 0.1,
    delay_ticks: 15,
    drive_mv: 40.0,
    storage: Storage::PerSynapse,
};
/// The classic parameters, J = 0.1 mV, g = 5, 43 spikes/s.
pub const STD: Brunel = Brunel { psp_mv: 0.1, balance: 5.0, ..AI };
/// A network that fits a cache: 2,500 neurons × 250 inputs.
pub const SMALL: Brunel = Brunel { neurons: 2_500, inputs: 250, balance: 5.0, ..AI };
/// A tick of 1 ms and a delay of two, 40 spikes/s.
pub const DT1: Brunel = Brunel { tick_ms: 1.0, delay_ticks: 2, ..STD };

/// Weight units of an excitatory synapse: 20 fits inhibition of up to 6.35 times as much into 8 bits.
const EXCITATION: i32 = 20;
const THRESHOLD_MV: f64 = 20.0;
const RESET_MV: f64 = 10.0;
const MEMBRANE_MS: f64 = 20.0;
const REFRACTORY_MS: f64 = 2.0;

impl Brunel {
    /// The network, drawn with `seed`. Excitatory neurons come first. They are one population with the inhibitory ones, as
    /// nothing but their synapses distinguishes them, so that a spike has one row to read; with [`Storage::Bits`] two, as a
    /// matrix has a row for every neuron of its source.
    pub fn network(&self, seed: u64) -> Network {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let excitatory = self.neurons / 5 * 4;
        let sizes = [excitatory, self.neurons - excitatory];
        let inputs = [self.inputs / 5 * 4, self.inputs - self.inputs / 5 * 4];
        let weights = [EXCITATION, -(f64::from(EXCITATION) * self.balance).round() as i32];
        let start: Vec<f64> = (0..self.neurons).map(|_| uniform(&mut random)).collect();
        let drawn = [0, 1].map(|s| random_rows(&mut random, sizes[s], self.neurons, inputs[s]));
        let mut net = Network { seed, ..Network::default() };
        let mut add = |name: &str, start: &[f64]| {
            net.add_population(Population::lif(name, start.len(), 1, self.neuron(start)))
        };
        match self.storage {
            Storage::PerSynapse => {
                let all = add("neurons", &start);
                let mut rows = Rows { index: vec![0], ..Rows::default() };
                for (drawn, weight) in drawn.into_iter().zip(weights) {
                    let before = rows.targets.len();
                    rows.index.extend(drawn.index[1..].iter().map(|end| before + end));
                    rows.targets.extend(drawn.targets);
                    rows.weights.resize(rows.targets.len(), weight as i16);
                }
                net.connect(all, all, self.delay_ticks, Synapses::Sparse { bits: 8, weight: 0, rows });
            }
            Storage::PerProjection => {
                let all = add("neurons", &start);
                let [mut from_excitatory, mut from_inhibitory] = drawn;
                from_excitatory.index.resize(self.neurons + 1, from_excitatory.targets.len());
                from_inhibitory.index.splice(..0, vec![0; excitatory]);
                for (rows, weight) in [from_excitatory, from_inhibitory].into_iter().zip(weights) {
                    net.connect(all, all, self.delay_ticks, Synapses::Sparse { bits: 0, weight, rows });
                }
            }
            Storage::Bits => {
                let (of_excitatory, of_inhibitory) = start.split_at(excitatory);
                let populations = [add("excitatory", of_excitatory), add("inhibitory", of_inhibitory)];
                for ((source, rows), weight) in populations.into_iter().zip(drawn).zip(weights) {
                    for (target, targets) in
                        populations.into_iter().zip([0..excitatory, excitatory..self.neurons])
                    {
                        let (once, again) = split_repeats(&rows, &targets);
                        net.connect(source, target, self.delay_ticks, Synapses::Bits { weight, rows: once });
                        let again = Synapses::Sparse { bits: 0, weight, rows: again };
                        net.connect(source, target, self.delay_ticks, again);
                    }
                }
            }
        }
        net
    }

    /// Membrane units per mV: a weight unit is J/20, and the state is finer by 2^shift. The bound on the input
    /// sums of large networks leaves less room for the shift.
    fn shift(&self) -> u32 {
        if self.neurons <= 10_000 { 8 } else { 4 }
    }

    fn neuron(&self, start: &[f64]) -> Lif {
        let per_mv = f64::from(EXCITATION) / self.psp_mv * f64::from(1u32 << self.shift());
        let units = |mv: f64| (mv * per_mv).round() as i32;
        let keep = (-self.tick_ms / MEMBRANE_MS).exp();
        Lif {
            threshold: Param::All(units(THRESHOLD_MV)),
            bias: Param::All(units(self.drive_mv * (1.0 - keep))),
            decay: Param::q31((keep * f64::from(1u32 << 31)).round() as u32),
            reset: Reset::Value,
            reset_value: Param::All(units(RESET_MV)),
            initial: Param::Each(start.iter().map(|u| units(u * THRESHOLD_MV)).collect()),
            input_shift: self.shift(),
            refractory: (REFRACTORY_MS / self.tick_ms).round() as u32,
            // Volts: beyond all that occurs, and little enough for updates that provably fit 32 bits.
            range: (-(1 << 28), 1 << 28),
            greater_equal: true,
            ..Lif::default()
        }
    }
}

fn uniform(random: &mut Xoshiro256PlusPlus) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// For every target `inputs` sources with replacement, as rows by source with ascending targets.
fn random_rows(random: &mut Xoshiro256PlusPlus, sources: usize, targets: usize, inputs: usize) -> Rows {
    // The same draws twice: first to count, then to place.
    let draw =
        |random: &mut Xoshiro256PlusPlus| ((u64::from(random.next_u32()) * sources as u64) >> 32) as usize;
    let mut again = random.clone();
    let mut index = vec![0usize; sources + 1];
    for _ in 0..targets * inputs {
        index[draw(random) + 1] += 1;
    }
    for i in 0..sources {
        index[i + 1] += index[i];
    }
    let mut next = index.clone();
    let mut list = vec![0u32; targets * inputs];
    for target in 0..targets {
        for _ in 0..inputs {
            let at = &mut next[draw(&mut again)];
            list[*at] = target as u32;
            *at += 1;
        }
    }
    Rows { index, targets: list, ..Rows::default() }
}

/// What rows of ascending targets have among `targets`, numbered from the first of these on: those that occur for the first
/// time, and the others.
fn split_repeats(rows: &Rows, targets: &Range<usize>) -> (Rows, Rows) {
    let (mut once, mut again) =
        (Rows { index: vec![0], ..Rows::default() }, Rows { index: vec![0], ..Rows::default() });
    for ends in rows.index.windows(2) {
        let mut before = None;
        for t in rows.targets[ends[0]..ends[1]].iter().filter(|t| targets.contains(&(**t as usize))) {
            let to = if before == Some(t) { &mut again } else { &mut once };
            to.targets.push(t - targets.start as u32);
            before = Some(t);
        }
        once.index.push(once.targets.len());
        again.index.push(again.targets.len());
    }
    (once, again)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Native;
    use crate::threads::{NoInput, Team, arenas};
    use synop_core::Count;
    use synop_model::image::write;
    use synop_model::placement::Placement;

    const TINY: Brunel = Brunel { neurons: 1_000, inputs: 100, psp_mv: 0.5, balance: 5.0, ..AI };

    /// Spikes of every neuron, membranes, events, after 200 ms.
    fn outcome(brunel: &Brunel, threads: usize) -> (Vec<i32>, Vec<i32>, u64) {
        let net = brunel.network(3);
        let blob = write(&net, &Placement::spread(&net, threads)).unwrap();
        let image = blob.image().unwrap();
        let mut memory = arenas(&image, threads);
        let mut team = Team::new(image, &mut memory).unwrap();
        assert_eq!(team.workers(), threads);
        team.run(&Native::detect(), 2_000, &NoInput).unwrap();
        let (mut spikes, mut membranes) = (vec![0; 1_000], vec![0; 1_000]);
        for p in 0..image.pieces {
            let piece = image.piece(p).unwrap();
            let first = piece.population_first as usize + piece.population as usize * 800;
            let host = team.host(p).unwrap();
            spikes[first..][..piece.count as usize].copy_from_slice(host.spike_counts(p));
            membranes[first..][..piece.count as usize].copy_from_slice(host.membranes(p));
        }
        (spikes, membranes, team.total(Count::StoredEvents))
    }

    #[test]
    fn every_storage_and_number_of_threads_gives_the_same_spikes_and_membranes() {
        let first = outcome(&TINY, 1);
        assert!(first.0.iter().sum::<i32>() > 1_000, "hardly fires");
        for storage in [Storage::PerSynapse, Storage::PerProjection, Storage::Bits] {
            for threads in [1, 2, 3] {
                assert_eq!(outcome(&Brunel { storage, ..TINY }, threads), first, "{storage:?}, {threads}");
            }
        }
    }

    #[test]
    fn every_neuron_has_its_inputs() {
        for storage in [Storage::PerSynapse, Storage::PerProjection, Storage::Bits] {
            let net = Brunel { storage, ..TINY }.network(1);
            let mut inputs = vec![[0; 2]; 1_000];
            for p in &net.projections {
                let (from, to) = (p.source * 800, p.target * 800);
                let (Synapses::Sparse { rows, .. } | Synapses::Bits { rows, .. }) = &p.synapses else {
                    panic!("neither sparse nor bits")
                };
                for (i, ends) in rows.index.windows(2).enumerate() {
                    for t in &rows.targets[ends[0]..ends[1]] {
                        inputs[to + *t as usize][usize::from(from + i >= 800)] += 1;
                    }
                }
            }
            assert!(inputs.iter().all(|n| *n == [80, 20]), "{storage:?}");
        }
    }
}
