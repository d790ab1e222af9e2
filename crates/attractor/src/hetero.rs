//! Hetero-association in a chain: a random input pattern on the first layer recalls a random output pattern on the last.
//!
//! Training clamps both patterns as external fields, relaxes asynchronously from the zero state, and then
//! raises the stability of every neuron that is below the margin *without its right-hand input*. Recall
//! shows the input only, with all right-hand fields off, and reads the last layer.

use crate::error::{Error, within};
use crate::network::stream;
use crate::numeric::dot;
use rand::Rng;
use rand::seq::SliceRandom;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

/// Parameters of the task and of the rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Task {
    /// Neurons per layer.
    pub width: usize,
    /// Number of layers.
    pub layers: usize,
    /// Number of pattern pairs.
    pub pairs: usize,
    /// Self-coupling `J_D`.
    pub self_coupling: f64,
    /// Identity links `λ` between neighbouring layers.
    pub link: f64,
    /// Strength of both patterns on the end layers.
    pub clamp: f64,
    /// Margin below which a neuron learns.
    pub margin: f64,
    /// Learning rate; a step is this divided by the width.
    pub rate: f64,
    /// Passes over the pairs.
    pub epochs: usize,
    /// Sweeps at most per relaxation.
    pub sweeps: usize,
}

impl Task {
    /// The reference setting: 100 neurons per layer, link 2, clamps 3, margin 3, rate 0.1, 100 epochs.
    pub fn reference(layers: usize, pairs: usize) -> Self {
        Self {
            width: 100,
            layers,
            pairs,
            self_coupling: 0.5,
            link: 2.0,
            clamp: 3.0,
            margin: 3.0,
            rate: 0.1,
            epochs: 100,
            sweeps: 30,
        }
    }
}

/// Recall after training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recall {
    /// Mean overlap of the last layer with the output pattern.
    pub overlap: f64,
    /// Fraction of pairs recalled with an overlap above 0.9.
    pub recalled: f64,
}

/// Trains and recalls, once per seed, and averages.
///
/// # Errors
/// [`Error::Range`] for a task without neurons, layers, pairs or seeds.
pub fn associate(task: &Task, seeds: usize, seed: u64) -> Result<Recall, Error> {
    within("neurons per layer", task.width as f64, 2.0, 4096.0, "2 to 4096")?;
    within("layers", task.layers as f64, 1.0, 256.0, "1 to 256")?;
    within("pairs", task.pairs as f64, 1.0, 65_536.0, "1 to 65536")?;
    within("seeds", seeds as f64, 1.0, 1e6, "at least 1")?;
    let runs: Vec<Recall> = (0..seeds as u64)
        .into_par_iter()
        .map(|index| {
            let mut rng = stream(seed, index);
            let mut chain = Chain::draw(*task, &mut rng);
            for _ in 0..task.epochs {
                chain.train(&mut rng);
            }
            chain.recall(&mut rng)
        })
        .collect();
    let n = runs.len() as f64;
    Ok(Recall {
        overlap: runs.iter().map(|r| r.overlap).sum::<f64>() / n,
        recalled: runs.iter().map(|r| r.recalled).sum::<f64>() / n,
    })
}

/// A chain under training.
struct Chain {
    task: Task,
    /// Row `layer * width + i`: weights that arrive at that neuron from its layer.
    rows: Vec<Vec<f32>>,
    inputs: Vec<Vec<f32>>,
    outputs: Vec<Vec<f32>>,
}

impl Chain {
    fn draw(task: Task, rng: &mut impl Rng) -> Self {
        let n = task.width;
        let scale = 1.0 / (n as f64).sqrt();
        let mut rows = Vec::with_capacity(n * task.layers);
        for neuron in 0..n * task.layers {
            let mut row: Vec<f32> = (0..n)
                .map(|_| {
                    let x: f64 = StandardNormal.sample(rng);
                    (x * scale) as f32
                })
                .collect();
            row[neuron % n] = 0.0;
            rows.push(row);
        }
        let mut patterns = || (0..task.pairs).map(|_| crate::network::random_state(n, rng)).collect();
        let (inputs, outputs) = (patterns(), patterns());
        Self { task, rows, inputs, outputs }
    }

    /// Field of one neuron; `output` is the pattern clamped on the last layer, and with `None` every right-hand field is off.
    fn field(&self, state: &[f32], neuron: usize, input: &[f32], output: Option<&[f32]>) -> f32 {
        let (n, t) = (self.task.width, &self.task);
        let (layer, i) = (neuron / n, neuron % n);
        let own = &state[layer * n..(layer + 1) * n];
        let mut field = dot(&self.rows[neuron], own);
        field += t.self_coupling as f32 * state[neuron];
        field += if layer == 0 { t.clamp as f32 * input[i] } else { t.link as f32 * state[neuron - n] };
        if let Some(output) = output {
            let last = layer + 1 == t.layers;
            field += if last { t.clamp as f32 * output[i] } else { t.link as f32 * state[neuron + n] };
        }
        field
    }

    /// Relaxes from the zero state in random order until a sweep changes nothing.
    fn relax(&self, input: &[f32], output: Option<&[f32]>, rng: &mut impl Rng) -> Vec<f32> {
        let neurons = self.task.width * self.task.layers;
        let mut state = vec![0f32; neurons];
        let mut order: Vec<usize> = (0..neurons).collect();
        for _ in 0..self.task.sweeps {
            order.shuffle(rng);
            let mut changed = false;
            for &neuron in &order {
                let new = if self.field(&state, neuron, input, output) >= 0.0 { 1.0 } else { -1.0 };
                changed |= new != state[neuron];
                state[neuron] = new;
            }
            if !changed {
                break;
            }
        }
        state
    }

    /// One pass over the pairs in random order.
    fn train(&mut self, rng: &mut impl Rng) {
        let n = self.task.width;
        let step = (self.task.rate / n as f64) as f32;
        let mut order: Vec<usize> = (0..self.task.pairs).collect();
        order.shuffle(rng);
        for p in order {
            let state = self.relax(&self.inputs[p], Some(&self.outputs[p]), rng);
            let unstable: Vec<usize> = (0..state.len())
                .filter(|&i| {
                    state[i] * self.field(&state, i, &self.inputs[p], None) < self.task.margin as f32
                })
                .collect();
            for neuron in unstable {
                let layer = &state[neuron / n * n..(neuron / n + 1) * n];
                for (j, (w, s)) in self.rows[neuron].iter_mut().zip(layer).enumerate() {
                    if j != neuron % n {
                        *w += step * state[neuron] * s;
                    }
                }
            }
        }
    }

    fn recall(&self, rng: &mut impl Rng) -> Recall {
        let n = self.task.width;
        let (mut sum, mut good) = (0.0, 0);
        for (input, output) in self.inputs.iter().zip(&self.outputs) {
            let state = self.relax(input, None, rng);
            let overlap = crate::basin::overlap(&state[state.len() - n..], output);
            sum += overlap;
            good += usize::from(overlap > 0.9);
        }
        let pairs = self.inputs.len() as f64;
        Recall { overlap: sum / pairs, recalled: good as f64 / pairs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_layers_recall_what_one_does_not() {
        let one = associate(&Task::reference(1, 10), 6, 3).unwrap();
        let three = associate(&Task::reference(3, 10), 8, 3).unwrap();
        assert!(one.overlap < 0.65 && three.overlap > 0.85, "{one:?} {three:?}");
    }
}
