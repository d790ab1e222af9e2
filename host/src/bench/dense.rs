//! W2: a dense feed-forward network, 784-1024-1024-10, 8-bit weights, no delay between layers.
//!
//! `u ← 15/16·u + W·s`, `s = (u ≥ θ)`, `u ← u − θ·s`. Weights are rounded normal numbers, inputs are Bernoulli
//! spikes; both can be written as npy files, so that others run the very same.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use std::path::Path;
use synop_core::store::Event;
use synop_core::{InputError, Kernels, Machine, Threefry, Unobserved};
use synop_model::network::{Lif, Network, Param, Population, Reset, Synapses};

use crate::data::npy;
use crate::{Failure, files};

/// Neurons of the layers, inputs first.
pub const SIZES: [usize; 4] = [784, 1024, 1024, 10];
/// Thresholds of the layers after the input, in weight units.
pub const THRESHOLDS: [i32; 3] = [340, 460, 520];
/// Standard deviation of the weights.
const SPREAD: f64 = 24.0;
/// Probability of an input spike.
const DENSITY: f64 = 0.07;
/// A membrane unit is a weight unit × 2^−SHIFT: fine enough that rounding of the decay moves no spike of 128 samples.
const SHIFT: u32 = 17;

/// Weights and inputs.
#[derive(Clone, Debug)]
pub struct Dense {
    /// Weights of each layer, row-major by source neuron.
    pub weights: Vec<Vec<i16>>,
    /// Input events of each sample and tick.
    pub inputs: Vec<Vec<Vec<Event>>>,
}

impl Dense {
    /// Draws weights and the inputs of `samples` samples of `ticks` ticks.
    pub fn new(seed: u64, samples: usize, ticks: usize) -> Dense {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let weights =
            SIZES.windows(2).map(|w| (0..w[0] * w[1]).map(|_| normal(&mut random)).collect()).collect();
        let below = (DENSITY * 2f64.powi(32)) as u32;
        let tick = |random: &mut Xoshiro256PlusPlus| {
            (0..SIZES[0] as i32).filter(|_| random.next_u32() < below).map(|i| [i, 1]).collect()
        };
        let inputs = (0..samples).map(|_| (0..ticks).map(|_| tick(&mut random)).collect()).collect();
        Dense { weights, inputs }
    }

    /// The network.
    pub fn network(&self) -> Network {
        let mut net = Network::default();
        let mut before = net.add_population(Population::input("input", SIZES[0], 1));
        for (stage, weights) in self.weights.iter().enumerate() {
            let lif = Lif {
                threshold: Param::All(THRESHOLDS[stage] << SHIFT),
                decay: Param::q31((1 << 31) / 16 * 15),
                reset: Reset::Subtract,
                input_shift: SHIFT,
                greater_equal: true,
                ..Lif::default()
            };
            let name = format!("layer{}", stage + 1);
            let layer = net.add_population(Population::lif(&name, SIZES[stage + 1], stage as u32 + 1, lif));
            net.connect(before, layer, 0, Synapses::Dense { bits: 8, weights: weights.clone() });
            before = layer;
        }
        net
    }

    /// Runs one sample from rest.
    ///
    /// # Errors
    /// An input was not taken: the machine is not that of [`Dense::network`] on one core.
    pub fn run<K: Kernels>(
        &self,
        machine: &mut Machine<'_>,
        kernels: &K,
        sample: usize,
    ) -> Result<(), InputError> {
        machine.rest();
        let mut draws = Threefry::<13>::new(0);
        for events in &self.inputs[sample] {
            machine.inject_by(kernels, 0, events)?;
            machine.step(kernels, &mut draws, &mut Unobserved);
        }
        Ok(())
    }

    /// Writes `w2-weights-1.npy`, … (source × target, int8) and `w2-inputs.npy` (sample × tick × neuron, uint8).
    ///
    /// # Errors
    /// The work failed: the folder cannot be written to.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        for (layer, weights) in self.weights.iter().enumerate() {
            let bytes: Vec<u8> = weights.iter().map(|w| *w as u8).collect();
            let array = npy::bytes_of("|i1", &[SIZES[layer], SIZES[layer + 1]], &bytes);
            files::write(&folder.join(format!("w2-weights-{}.npy", layer + 1)), array)?;
        }
        let ticks = self.inputs.first().map_or(0, Vec::len);
        let mut bytes = vec![0u8; self.inputs.len() * ticks * SIZES[0]];
        for (row, events) in bytes.chunks_mut(SIZES[0]).zip(self.inputs.iter().flatten()) {
            for [neuron, _] in events {
                row[*neuron as usize] = 1;
            }
        }
        let array = npy::bytes_of("|u1", &[self.inputs.len(), ticks, SIZES[0]], &bytes);
        files::write(&folder.join("w2-inputs.npy"), array)
    }

    /// Spikes of every layer over all samples by the equations in float64.
    pub fn reference(&self, samples: usize) -> [u64; 3] {
        let mut counts = [0; 3];
        for sample in self.inputs.iter().take(samples) {
            let mut u: Vec<Vec<f64>> = SIZES[1..].iter().map(|n| vec![0.0; *n]).collect();
            for events in sample {
                let mut active: Vec<usize> = events.iter().map(|e| e[0] as usize).collect();
                for (layer, u) in u.iter_mut().enumerate() {
                    u.iter_mut().for_each(|u| *u *= 15.0 / 16.0);
                    for source in active {
                        let row = &self.weights[layer][source * u.len()..][..u.len()];
                        u.iter_mut().zip(row).for_each(|(u, w)| *u += f64::from(*w));
                    }
                    let threshold = f64::from(THRESHOLDS[layer]);
                    active = (0..u.len()).filter(|j| u[*j] >= threshold).collect();
                    active.iter().for_each(|j| u[*j] -= threshold);
                    counts[layer] += active.len() as u64;
                }
            }
        }
        counts
    }
}

/// A rounded normal number (the sum of twelve uniform ones) within 8 bits.
pub(super) fn normal(random: &mut Xoshiro256PlusPlus) -> i16 {
    let sum: f64 = (0..12).map(|_| (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64).sum();
    ((sum - 6.0) * SPREAD).round().clamp(-127.0, 127.0) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Native;
    use synop_core::Count;
    use synop_model::image::write;
    use synop_model::placement::Placement;

    #[test]
    fn spike_counts_equal_the_float64_reference_for_every_kernel() {
        let dense = Dense::new(1, 4, 25);
        let blob = write(&dense.network(), &Placement::one_core(&dense.network())).unwrap();
        let image = blob.image().unwrap();
        let expected = dense.reference(4);
        assert!(expected.iter().all(|n| *n > 30), "{expected:?}");
        for level in Native::levels() {
            let mut arena = vec![0u64; image.memory(0..image.cores).words()];
            let mut machine = Machine::new(image, &mut arena).unwrap();
            for sample in 0..4 {
                dense.run(&mut machine, &Native::at(level).unwrap(), sample).unwrap();
            }
            for (layer, expected) in expected.iter().enumerate() {
                let found = machine.counters(layer as u32 + 1).get(Count::Spikes);
                let off = (found as f64 - *expected as f64).abs() / *expected as f64;
                assert!(off < 1e-4, "{level:?}, layer {layer}: {found}, {expected}");
            }
        }
    }
}
