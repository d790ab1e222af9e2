//! NeuroBench's metrics of a network, counted in integers along a run of the float twin.
//!
//! The definitions are those of neurobench 2.3.0 at batch size 1:
//!
//! | metric | definition |
//! |---|---|
//! | synaptic operations | per call of a layer: pairs of an input that is not zero and a weight that is not zero. They are ACs when all inputs of the call are in {−1, 0, 1}, else MACs. Dense: the same with every input and weight active (padding never is) |
//! | membrane updates | in the first step of a sample every neuron; later those whose membrane differs before and after the step |
//! | neuron operations | membrane updates times the operations of the neuron's rule; dense: every neuron in every step |
//! | activation sparsity | 1 − outputs that are not zero / outputs, the mean over samples |
//! | connection sparsity | weights that are zero / weights, biases left out |
//! | footprint | 4 bytes per parameter, and 20 (24 with a synaptic current) per layer of neurons |
//!
//! What is counted in 64-bit integers here is a sum of 32-bit floats there, which loses odd counts beyond 2²⁴.

use crate::nir::{FlatGraph, Node};
use crate::profile::{Profile, Reset};
use crate::twin::{Map, Twin, TwinError};
use std::collections::BTreeMap;

/// Counts of some samples, and what the network has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Samples that were counted.
    pub samples: u64,
    /// Steps of all samples.
    pub steps: u64,
    /// Weights and biases.
    pub parameters: u64,
    /// Weights.
    pub weights: u64,
    /// Weights that are zero.
    pub zero_weights: u64,
    /// Bytes by NeuroBench's convention, before any run.
    pub footprint_bytes: u64,
    /// Effective operations of calls with a graded input.
    pub effective_macs: u64,
    /// Effective operations of calls whose inputs are in {−1, 0, 1}.
    pub effective_acs: u64,
    /// Operations if every input and weight were active.
    pub dense: u64,
    /// Dense operations of one step: one pass of an artificial network of the same shape.
    pub dense_per_step: u64,
    /// Membrane updates.
    pub membrane_updates: u64,
    /// Operations of the membrane updates.
    pub neuron_ops: u64,
    /// Operations if every neuron were updated in every step.
    pub neuron_dense_ops: u64,
    /// Outputs per layer of spiking neurons, by name: (not zero, all).
    pub activations: BTreeMap<String, (u64, u64)>,
    /// Sum of the samples' activation sparsities.
    pub activation_sparsities: f64,
}

impl Metrics {
    /// Zeros over weights; 0 without weights.
    pub fn connection_sparsity(&self) -> f64 {
        ratio(self.zero_weights, self.weights)
    }

    /// Mean over samples of the share of outputs that are zero.
    pub fn activation_sparsity(&self) -> f64 {
        if self.samples == 0 { 0.0 } else { self.activation_sparsities / self.samples as f64 }
    }

    /// Share of a layer's outputs that are zero.
    pub fn layer_sparsity(&self, layer: &str) -> Option<f64> {
        self.activations.get(layer).map(|(active, all)| 1.0 - ratio(*active, *all))
    }

    /// A count per sample.
    pub fn per_sample(&self, count: u64) -> f64 {
        ratio(count, self.samples)
    }

    /// Adds the counts of other samples of the same network.
    pub fn add(&mut self, other: &Metrics) {
        self.samples += other.samples;
        self.steps += other.steps;
        self.effective_macs += other.effective_macs;
        self.effective_acs += other.effective_acs;
        self.dense += other.dense;
        self.membrane_updates += other.membrane_updates;
        self.neuron_ops += other.neuron_ops;
        self.neuron_dense_ops += other.neuron_dense_ops;
        self.activation_sparsities += other.activation_sparsities;
        for (layer, (active, all)) in &other.activations {
            let entry = self.activations.entry(layer.clone()).or_default();
            entry.0 += active;
            entry.1 += all;
        }
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A layer with weights.
struct Layer {
    /// Weights that are not zero, per input.
    effective: Vec<u64>,
    dense: u64,
}

/// A layer of neurons.
struct Cells {
    name: String,
    operations: u64,
    before: Vec<f64>,
    spikes: bool,
}

/// Counts along a run of the float twin.
pub struct Meter {
    layers: BTreeMap<usize, Layer>,
    cells: BTreeMap<usize, Cells>,
    fixed: Metrics,
}

impl Meter {
    /// A meter for a graph whose twin this is.
    ///
    /// # Errors
    /// The twin's own.
    pub fn new(graph: &FlatGraph, profile: &Profile) -> Result<Self, TwinError> {
        let twin = Twin::new(graph, profile)?;
        let mut meter = Self { layers: BTreeMap::new(), cells: BTreeMap::new(), fixed: Metrics::default() };
        for (i, (name, node)) in graph.nodes.iter().enumerate() {
            let shape = twin.shapes().input.get(i).map(Vec::as_slice).unwrap_or(&[]);
            let (weight, bias) = match node {
                Node::Linear { weight } => (weight, 0),
                Node::Affine { weight, bias } => (weight, bias.len()),
                Node::Conv1d(conv) | Node::Conv2d(conv) => {
                    // NIR has a bias in every convolution; one of zeros stands for none.
                    let used = conv.bias.data().iter().any(|b| *b != 0.0);
                    (&conv.weight, if used { conv.bias.len() } else { 0 })
                }
                _ => {
                    meter.neurons(i, name, node, profile, &twin);
                    continue;
                }
            };
            meter.fixed.weights += weight.len() as u64;
            meter.fixed.zero_weights += weight.data().iter().filter(|w| **w == 0.0).count() as u64;
            meter.fixed.parameters += (weight.len() + bias) as u64;
            let Some(map) = Map::of(node, shape) else { continue };
            let inputs = shape.iter().product();
            let mut layer = Layer { effective: vec![0; inputs], dense: 0 };
            for (input, effective) in layer.effective.iter_mut().enumerate() {
                map.column(input, |_, w| {
                    *effective += u64::from(w != 0.0);
                    layer.dense += 1;
                });
            }
            meter.fixed.dense_per_step += layer.dense;
            meter.layers.insert(i, layer);
        }
        meter.fixed.footprint_bytes += 4 * meter.fixed.parameters;
        Ok(meter)
    }

    fn neurons(&mut self, i: usize, name: &str, node: &Node, profile: &Profile, twin: &Twin) {
        let subtract = profile.reset == Reset::Subtract;
        let operations = match node {
            Node::Leaky(_) | Node::Integrate(_) => 4,
            Node::Cuba(_) => {
                if subtract {
                    6
                } else {
                    8
                }
            }
            _ => return,
        };
        // Decay 4, threshold 4, graded factor 4, kind of reset 8; a current's decay 4 more.
        self.fixed.footprint_bytes += if matches!(node, Node::Cuba(_)) { 24 } else { 20 };
        let before = twin.membrane(i).map(<[f64]>::to_vec).unwrap_or_default();
        let cells = Cells { name: name.to_string(), operations, before, spikes: node.spike().is_some() };
        self.cells.insert(i, cells);
    }

    /// What the network has, before any sample.
    pub fn network(&self) -> Metrics {
        self.fixed.clone()
    }

    /// Runs the twin over one sample, given as one row of inputs per step and input node, and counts; `see` looks
    /// at the twin after each step.
    ///
    /// # Errors
    /// The twin's own: a row of another length.
    pub fn sample(
        &mut self,
        twin: &mut Twin,
        steps: &[Vec<Vec<f64>>],
        mut see: impl FnMut(usize, &Twin),
    ) -> Result<Metrics, TwinError> {
        twin.reset();
        let mut out = Metrics { samples: 1, ..Metrics::default() };
        for (step, inputs) in steps.iter().enumerate() {
            let rows: Vec<&[f64]> = inputs.iter().map(Vec::as_slice).collect();
            let layers = &self.layers;
            twin.step_seen(&rows, |node, x| {
                let Some(layer) = layers.get(&node) else { return };
                let (mut effective, mut graded) = (0, false);
                for (x, fan) in x.iter().zip(&layer.effective) {
                    effective += if *x != 0.0 { *fan } else { 0 };
                    graded |= ![-1.0, 0.0, 1.0].contains(x);
                }
                out.dense += layer.dense;
                *if graded { &mut out.effective_macs } else { &mut out.effective_acs } += effective;
            })?;
            for (node, cells) in &mut self.cells {
                cells.count(step, *node, twin, &mut out);
            }
            out.steps += 1;
            see(step, twin);
        }
        let sum = |of: fn(&(u64, u64)) -> u64| out.activations.values().map(of).sum::<u64>();
        out.activation_sparsities = 1.0 - ratio(sum(|a| a.0), sum(|a| a.1));
        Ok(out)
    }
}

impl Cells {
    fn count(&mut self, step: usize, node: usize, twin: &Twin, out: &mut Metrics) {
        let now = twin.membrane(node).unwrap_or(&[]);
        let size = now.len() as u64;
        let moved = match step {
            0 => size,
            _ => now.iter().zip(&self.before).filter(|(a, b)| a != b).count() as u64,
        };
        self.before.clear();
        self.before.extend_from_slice(now);
        out.membrane_updates += moved;
        out.neuron_ops += moved * self.operations;
        out.neuron_dense_ops += size * self.operations;
        if self.spikes {
            let active = twin.output(node).iter().filter(|s| **s != 0.0).count() as u64;
            let entry = out.activations.entry(self.name.clone()).or_default();
            entry.0 += active;
            entry.1 += size;
        }
    }
}
