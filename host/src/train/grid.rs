//! Integer grids inside float training: what the chip will round, the forward pass rounds too.

use super::network::{Connection, Network, Neuron};

/// Symmetric integers of the first layer's inputs: steps of `step`, saturated at ±`limit`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InputGrid {
    /// Size of one integer step.
    pub step: f32,
    /// Largest magnitude; greater ones saturate.
    pub limit: f32,
}

impl InputGrid {
    /// The nearest point of the grid (ties to even), after saturation.
    pub fn round(self, value: f32) -> f32 {
        self.integer(value) as f32 * self.step
    }

    /// The integer that stands for a value.
    pub fn integer(self, value: f32) -> i32 {
        (value.clamp(-self.limit, self.limit) / self.step).round_ties_even() as i32
    }
}

/// The largest weight integer of a width: `2^(bits−1) − 1`.
pub fn weight_limit(bits: u32) -> f32 {
    ((1u64 << (bits.clamp(2, 24) - 1)) - 1) as f32
}

/// Weight step of a dense connection at a width: largest magnitude ÷ largest integer; 1 when all are zero.
pub fn weight_step(weights: &[f32], bits: u32) -> f32 {
    let largest = weights.iter().fold(0.0f32, |most, w| most.max(w.abs()));
    if largest > 0.0 { largest / weight_limit(bits) } else { 1.0 }
}

/// Copies `network` into `rounded` with the weights of every dense layer on the integer grid of that width.
///
/// Biases and thresholds go to the grid of the neuron's state, `weight step × input step × 2^−state_shift`
/// (`input_step` for the first layer, 1 behind spikes), decays to multiples of 2⁻¹⁵.
/// Gradients taken at `rounded` are applied to `network` as they are (straight-through).
pub fn round_network(network: &Network, bits: u32, input_step: f32, state_shift: u32, rounded: &mut Network) {
    if rounded.layers.len() != network.layers.len() {
        rounded.clone_from(network);
    }
    for (l, (from, to)) in network.layers.iter().zip(&mut rounded.layers).enumerate() {
        let mut state = 1.0 / (1u64 << state_shift.min(31)) as f32;
        match (&from.connection, &mut to.connection) {
            (Connection::Dense(from), Connection::Dense(to)) => {
                let step = weight_step(&from.weights, bits);
                let inverse = 1.0 / step;
                super::kernels::vectorised(
                    #[inline(always)]
                    || {
                        for (to, from) in to.weights.iter_mut().zip(from.weights.iter()) {
                            *to = (from * inverse).round_ties_even() * step;
                        }
                    },
                );
                state *= step * if l == 0 { input_step } else { 1.0 };
                for (to, from) in to.bias.iter_mut().zip(from.bias.iter()) {
                    *to = (from / state).round_ties_even() * state;
                }
            }
            (from, to) => to.clone_from(from),
        }
        to.neuron = match from.neuron {
            Neuron::Lif { decay, threshold } => Neuron::Lif {
                // outside 0…1 the clamp of the forward pass acts; the value itself must stay outside for its gradient
                decay: if (0.0..=1.0).contains(&decay) {
                    (decay * 32768.0).round_ties_even() / 32768.0
                } else {
                    decay
                },
                threshold: (threshold / state).round_ties_even() * state,
            },
            other => other,
        };
    }
}
