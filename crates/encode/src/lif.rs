//! A leaky integrate-and-fire layer in binary64: the oracle for encoded drives.

use crate::EncodeError;

/// A dense layer of leaky integrate-and-fire neurons with reset by subtraction one tick late:
/// `r = H(u − θ)`, `u ← βu + W·in + b − rθ`, `s = H(u − θ)`, with a strict comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct LifLayer {
    weights: Vec<Vec<f64>>,
    bias: Vec<f64>,
    decay: f64,
    threshold: f64,
    membrane: Vec<f64>,
}

impl LifLayer {
    /// A layer at rest: `weights[post][pre]`, one bias per neuron, decay β and threshold θ.
    ///
    /// # Errors
    /// [`EncodeError::BadShape`] when there is not one bias per row, or rows differ in length.
    pub fn new(
        weights: Vec<Vec<f64>>,
        bias: Vec<f64>,
        decay: f64,
        threshold: f64,
    ) -> Result<Self, EncodeError> {
        let width = weights.first().map_or(0, Vec::len);
        if bias.len() != weights.len() || weights.iter().any(|row| row.len() != width) {
            return Err(EncodeError::BadShape { values: weights.iter().map(Vec::len).sum(), width });
        }
        let membrane = vec![0.0; bias.len()];
        Ok(LifLayer { weights, bias, decay, threshold, membrane })
    }

    /// Advances one tick with the given input and returns the spikes (0 or 1 per neuron).
    ///
    /// # Errors
    /// [`EncodeError::BadShape`] when the input has another length than the rows.
    pub fn step(&mut self, input: &[f64]) -> Result<Vec<f64>, EncodeError> {
        let mut spikes = Vec::with_capacity(self.membrane.len());
        for ((u, row), bias) in self.membrane.iter_mut().zip(&self.weights).zip(&self.bias) {
            if row.len() != input.len() {
                return Err(EncodeError::BadShape { values: input.len(), width: row.len() });
            }
            let reset = if *u > self.threshold { self.threshold } else { 0.0 };
            let drive: f64 = row.iter().zip(input).map(|(w, x)| w * x).sum();
            *u = self.decay * *u + drive + bias - reset;
            spikes.push(if *u > self.threshold { 1.0 } else { 0.0 });
        }
        Ok(spikes)
    }

    /// Membranes after the last step, before any reset.
    pub fn membranes(&self) -> &[f64] {
        &self.membrane
    }
}
