//! The float network that is trained: layers of connections and neurons.

use rand_core::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::kernels::{Aligned, padded};

/// How a layer's current comes from the outputs before it.
#[derive(Debug, Clone, PartialEq)]
pub enum Connection {
    /// Every input to every neuron.
    Dense(Dense),
    /// Input `i` to neuron `i`, with weight 1; carries the size.
    Identity(usize),
}

/// Weights and biases of a dense connection. Rows belong to inputs and are padded.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) stride: usize,
    /// `[input][stride]`, zero beyond `outputs`.
    pub(crate) weights: Aligned,
    /// `[stride]`, zero beyond `outputs`.
    pub(crate) bias: Aligned,
}

impl Dense {
    /// All weights and biases uniform in ±1/√inputs (the default of PyTorch's linear layer).
    pub fn uniform(inputs: usize, outputs: usize, random: &mut Xoshiro256PlusPlus) -> Self {
        let bound = 1.0 / (inputs as f32).sqrt();
        let mut dense = Self::zeros(inputs, outputs);
        for j in 0..inputs {
            for o in 0..outputs {
                dense.weights[j * dense.stride + o] = bound * symmetric(random);
            }
        }
        for bias in &mut dense.bias[..outputs] {
            *bias = bound * symmetric(random);
        }
        dense
    }

    /// All zero.
    pub fn zeros(inputs: usize, outputs: usize) -> Self {
        let stride = padded(outputs);
        Self {
            inputs,
            outputs,
            stride,
            weights: Aligned::zeros(inputs * stride),
            bias: Aligned::zeros(stride),
        }
    }

    /// From weights `[output][input]` and one bias per output; `None` when the lengths do not fit.
    pub fn from_rows(inputs: usize, outputs: usize, weights: &[f32], bias: &[f32]) -> Option<Self> {
        if weights.len() != inputs * outputs || bias.len() != outputs {
            return None;
        }
        let mut dense = Self::zeros(inputs, outputs);
        for o in 0..outputs {
            for j in 0..inputs {
                dense.weights[j * dense.stride + o] = weights[o * inputs + j];
            }
        }
        dense.bias[..outputs].copy_from_slice(bias);
        Some(dense)
    }

    /// The number of inputs.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The number of outputs.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The weights as `[output][input]`.
    pub fn rows(&self) -> Vec<f32> {
        let mut rows = Vec::with_capacity(self.inputs * self.outputs);
        for o in 0..self.outputs {
            rows.extend((0..self.inputs).map(|j| self.weights[j * self.stride + o]));
        }
        rows
    }

    /// One bias per output.
    pub fn bias(&self) -> &[f32] {
        &self.bias[..self.outputs]
    }
}

/// What the neurons of a layer do with their current.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Neuron {
    /// Leaky integrate and fire, reset by subtraction one step late:
    /// `U[t] = clamp(decay, 0, 1)·U[t−1] + I[t] − θ·H(U[t−1] − θ)`, `S[t] = H(U[t] − θ)`, strictly above.
    Lif {
        /// Factor on the membrane per step; clamped to 0…1 where it is used.
        decay: f32,
        /// Threshold θ.
        threshold: f32,
    },
    /// `max(0, I)`, for networks without spikes.
    Relu,
    /// The current itself.
    Linear,
}

/// A connection and the neurons behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Where the current comes from.
    pub connection: Connection,
    /// What happens with it.
    pub neuron: Neuron,
}

impl Layer {
    /// The number of inputs.
    pub fn inputs(&self) -> usize {
        match &self.connection {
            Connection::Dense(dense) => dense.inputs,
            Connection::Identity(size) => *size,
        }
    }

    /// The number of neurons.
    pub fn outputs(&self) -> usize {
        match &self.connection {
            Connection::Dense(dense) => dense.outputs,
            Connection::Identity(size) => *size,
        }
    }
}

/// A stack of layers, run step by step.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// First to last.
    pub layers: Vec<Layer>,
}

impl Network {
    /// Dense layers of leaky integrate-and-fire neurons with one common decay and threshold.
    pub fn spiking(sizes: &[usize], decay: f32, threshold: f32, seed: u64) -> Self {
        Self::stack(sizes, seed, |_| Neuron::Lif { decay, threshold })
    }

    /// Dense layers of rectified units and a linear read-out.
    pub fn perceptron(sizes: &[usize], seed: u64) -> Self {
        let last = sizes.len().saturating_sub(2);
        Self::stack(sizes, seed, |layer| if layer == last { Neuron::Linear } else { Neuron::Relu })
    }

    fn stack(sizes: &[usize], seed: u64, neuron: impl Fn(usize) -> Neuron) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let layers = sizes
            .windows(2)
            .enumerate()
            .map(|(layer, pair)| Layer {
                connection: Connection::Dense(Dense::uniform(pair[0], pair[1], &mut random)),
                neuron: neuron(layer),
            })
            .collect();
        Self { layers }
    }

    /// The number of inputs of the first layer, 0 without layers.
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, Layer::inputs)
    }

    /// The number of neurons of the last layer, 0 without layers.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, Layer::outputs)
    }

    /// Neurons in all layers.
    pub fn neurons(&self) -> usize {
        self.layers.iter().map(Layer::outputs).sum()
    }

    /// Whether every layer takes what the one before it gives, and there is at least one.
    pub fn is_connected(&self) -> bool {
        !self.layers.is_empty() && self.layers.windows(2).all(|pair| pair[0].outputs() == pair[1].inputs())
    }

    /// `(decay, threshold)` of every spiking layer.
    pub fn decays_and_thresholds(&self) -> Vec<(f32, f32)> {
        let pair = |layer: &Layer| match layer.neuron {
            Neuron::Lif { decay, threshold } => Some((decay, threshold)),
            _ => None,
        };
        self.layers.iter().filter_map(pair).collect()
    }
}

/// Uniform in −1…1, from the upper 24 bits.
pub(crate) fn symmetric(random: &mut Xoshiro256PlusPlus) -> f32 {
    2.0 * unit(random) - 1.0
}

/// Uniform in 0…1, from the upper 24 bits.
pub(crate) fn unit(random: &mut Xoshiro256PlusPlus) -> f32 {
    (random.next_u64() >> 40) as f32 / 16_777_216.0
}
