//! Training over epochs, and what a network does on held-out samples.

use std::borrow::Cow;

use rand_core::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use super::adam::Adam;
use super::grid;
use super::network::{Network, Neuron};
use super::pass::{SpikeFlips, Surrogate, Tape, backward, forward};
use super::samples::Samples;

/// How to train.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// Most epochs.
    pub epochs: usize,
    /// Samples per update; an incomplete last batch is left out.
    pub batch: usize,
    /// Adam's step size.
    pub learning_rate: f32,
    /// Epochs without a better held-out accuracy after which training stops.
    pub patience: usize,
    /// Whether all epochs are run and the last one is kept, whatever the held-out samples say.
    pub keep_last: bool,
    /// What gives a held-out sample its class when epochs are compared.
    pub readout: Readout,
    /// How often in an epoch the held-out samples are asked, its end included; they only choose at the end.
    pub probes: usize,
    /// Whether the decays are learnt.
    pub learn_decay: bool,
    /// Whether the thresholds are learnt.
    pub learn_threshold: bool,
    /// Stand-in for the derivative of a spike.
    pub surrogate: Surrogate,
    /// Integers in the forward pass; `None` trains in float.
    pub integers: Option<Integers>,
    /// Seed of the order of the samples.
    pub seed: u64,
    /// Use the threads of the current pool inside a batch; the result does not depend on it.
    pub parallel: bool,
}

/// What gives a sample its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Readout {
    /// The most output spikes.
    Spikes,
    /// The largest sum of currents into the outputs.
    Currents,
}

impl Readout {
    /// The network whose class, by [`prediction`], is this readout's.
    fn of(self, network: &Network) -> Cow<'_, Network> {
        match self {
            Readout::Spikes => Cow::Borrowed(network),
            Readout::Currents => {
                let mut network = network.clone();
                if let Some(last) = network.layers.last_mut() {
                    last.neuron = Neuron::Linear;
                }
                Cow::Owned(network)
            }
        }
    }
}

/// The integer grids that training takes into account.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Integers {
    /// Width of the weights.
    pub weight_bits: u32,
    /// Step of the first layer's inputs, 1 for spikes.
    pub input_step: f32,
    /// The neuron's state is finer than the weights by 2^this.
    pub state_shift: u32,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch: 32,
            learning_rate: 5e-4,
            patience: 5,
            keep_last: false,
            readout: Readout::Spikes,
            probes: 1,
            learn_decay: true,
            learn_threshold: true,
            surrogate: Surrogate::Arctan,
            integers: None,
            seed: 1,
            parallel: false,
        }
    }
}

/// One epoch of training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean loss over the training samples.
    pub train_loss: f64,
    /// Share of training samples classified rightly while the weights moved.
    pub train_accuracy: f64,
    /// Spikes of all layers per training sample while the weights moved.
    pub train_spikes: f64,
    /// Share of held-out samples classified rightly after the epoch.
    pub test_accuracy: f64,
    /// Spikes of all layers per held-out sample after the epoch; of hidden layers where currents are the readout.
    pub test_spikes: f64,
}

/// What training leaves.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The network of the epoch that is kept, the best or the last, in float (not rounded, also when integers were trained in).
    pub best: Network,
    /// The epoch that is kept, from 0.
    pub best_epoch: usize,
    /// The network of the last epoch, in float.
    pub last: Network,
    /// Every epoch.
    pub epochs: Vec<Epoch>,
    /// Held-out accuracy against the epochs since the start, at every probe.
    pub probes: Vec<(f64, f64)>,
}

impl Fitted {
    /// The numbers of the epoch that is kept; `None` without epochs.
    pub fn best_numbers(&self) -> Option<Epoch> {
        self.epochs.get(self.best_epoch).copied()
    }

    /// The first epoch (from 0) at 90 % of the held-out accuracy of the epoch that is kept.
    pub fn epoch_of_ninety_percent(&self) -> Option<usize> {
        let best = self.best_numbers()?.test_accuracy;
        self.epochs.iter().position(|epoch| epoch.test_accuracy >= 0.9 * best)
    }

    /// Epochs from the start until 90 % of the held-out accuracy of the epoch that is kept, on a straight line
    /// between probes.
    pub fn epochs_to_ninety_percent(&self) -> Option<f64> {
        let wanted = 0.9 * self.best_numbers()?.test_accuracy;
        let k = self.probes.iter().position(|(_, accuracy)| *accuracy >= wanted)?;
        let (at, accuracy) = self.probes[k];
        let Some((before, lower)) = k.checked_sub(1).map(|k| self.probes[k]) else { return Some(at) };
        Some(before + (at - before) * (wanted - lower) / (accuracy - lower))
    }
}

/// A trainer: the network, its optimiser and the memory of one batch.
#[derive(Debug)]
pub struct Trainer {
    network: Network,
    rounded: Option<Network>,
    adam: Adam,
    tape: Tape,
    surrogate: Surrogate,
    integers: Option<Integers>,
    parallel: bool,
}

/// What one batch showed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BatchResult {
    /// Sum of the losses.
    pub loss: f64,
    /// Samples classified rightly before the update.
    pub correct: usize,
    /// Spikes of all layers.
    pub spikes: u64,
}

impl Trainer {
    /// Takes a network over.
    pub fn new(network: Network, training: &Training) -> Self {
        let mut adam = Adam::new(&network, training.learning_rate);
        adam.learn_decay = training.learn_decay;
        adam.learn_threshold = training.learn_threshold;
        let mut trainer = Self {
            rounded: training.integers.map(|_| network.clone()),
            adam,
            network,
            tape: Tape::default(),
            surrogate: training.surrogate,
            integers: training.integers,
            parallel: training.parallel,
        };
        trainer.round();
        trainer
    }

    fn round(&mut self) {
        if let (Some(rounded), Some(integers)) = (&mut self.rounded, self.integers) {
            grid::round_network(
                &self.network,
                integers.weight_bits,
                integers.input_step,
                integers.state_shift,
                rounded,
            );
        }
    }

    /// The float network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network of the forward pass: rounded when integers are trained in.
    pub fn forward_network(&self) -> &Network {
        self.rounded.as_ref().unwrap_or(&self.network)
    }

    /// One update towards the labels of the chosen samples: cross-entropy of the last layer's
    /// membranes, meant over steps and samples.
    pub fn step(&mut self, samples: &Samples, chosen: &[u32]) -> BatchResult {
        let labels = samples.labels();
        let scale = 1.0 / (samples.steps() * chosen.len()).max(1) as f32;
        let outputs = self.network.outputs();
        let loss = self.update(samples, chosen, |sample, trace, gradient| {
            let label = usize::from(labels[chosen[sample] as usize]);
            cross_entropy(trace, gradient, outputs, label, scale)
        });
        let mut result = BatchResult {
            loss: loss / scale as f64 / samples.steps().max(1) as f64,
            ..BatchResult::default()
        };
        for (k, sample) in chosen.iter().enumerate() {
            let predicted = prediction(self.forward_network(), &self.tape, k);
            result.correct += usize::from(predicted == usize::from(labels[*sample as usize]));
        }
        result.spikes = spikes(&self.network, &self.tape).iter().flatten().sum();
        result
    }

    /// One update for any objective on the last layer's membranes: given a sample's place among the
    /// chosen, its membranes as rows per step (padded to a multiple of 16) and an equal slice of zeros
    /// for the gradient, it returns the loss. Returns the sum of the losses.
    pub fn update(
        &mut self,
        samples: &Samples,
        chosen: &[u32],
        objective: impl Fn(usize, &[f32], &mut [f32]) -> f32 + Sync,
    ) -> f64 {
        let network = self.rounded.as_ref().unwrap_or(&self.network);
        forward(network, samples, chosen, None, self.parallel, &mut self.tape);
        let loss = backward(network, self.surrogate, self.parallel, &mut self.tape, objective);
        self.adam.update(&mut self.network, samples, &self.tape, self.parallel);
        self.round();
        loss
    }

    #[cfg(test)]
    pub(crate) fn adam(&self) -> &Adam {
        &self.adam
    }

    #[cfg(test)]
    pub(crate) fn tape(&self) -> &Tape {
        &self.tape
    }
}

/// Cross-entropy at every step; the gradient is scaled, and so is the returned sum over steps.
fn cross_entropy(trace: &[f32], gradient: &mut [f32], outputs: usize, label: usize, scale: f32) -> f32 {
    let stride = super::kernels::padded(outputs);
    let mut loss = 0.0;
    for (row, out) in trace.chunks(stride).zip(gradient.chunks_mut(stride)) {
        let most = row[..outputs].iter().fold(f32::NEG_INFINITY, |most, u| most.max(*u));
        let mut total = 0.0;
        for (to, u) in out.iter_mut().zip(&row[..outputs]) {
            *to = (u - most).exp();
            total += *to;
        }
        loss += total.ln() + most - row[label];
        for (class, to) in out[..outputs].iter_mut().enumerate() {
            *to = scale * (*to / total - if class == label { 1.0 } else { 0.0 });
        }
    }
    loss * scale
}

/// The class of a sample: most output spikes (first of equals); without spiking outputs, the largest sum.
pub fn prediction(network: &Network, tape: &Tape, sample: usize) -> usize {
    let last = network.layers.len().saturating_sub(1);
    let mut sums = vec![0.0f32; network.outputs()];
    for step in 0..tape.steps {
        for entry in tape.outputs(last, sample, step) {
            sums[entry.index as usize] += entry.value;
        }
    }
    let mut best = 0;
    for (class, sum) in sums.iter().enumerate() {
        if *sum > sums[best] {
            best = class;
        }
    }
    best
}

/// Spikes of every layer at every step, summed over the batch; neurons without spikes count none.
fn spikes(network: &Network, tape: &Tape) -> Vec<Vec<u64>> {
    let count = |layer: usize| {
        let mut steps = vec![0u64; tape.steps];
        if matches!(network.layers[layer].neuron, Neuron::Lif { .. }) {
            for (row, span) in tape.layers[layer].spans.iter().enumerate() {
                steps[row % tape.steps.max(1)] += u64::from(span[1] - span[0]);
            }
        }
        steps
    };
    (0..network.layers.len()).map(count).collect()
}

/// What a network does on samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evaluation {
    /// Samples shown.
    pub samples: usize,
    /// Samples classified rightly.
    pub correct: usize,
    /// The class given to each.
    pub predictions: Vec<u8>,
    /// Spikes of the last layer's neurons, per sample.
    pub output_counts: Vec<Vec<u32>>,
    /// Spikes per sample and layer.
    pub layer_counts: Vec<Vec<u32>>,
    /// Spikes of all samples, per layer and step.
    pub spikes: Vec<Vec<u64>>,
    /// Synaptic operations of all samples behind the first layer: spikes × fan-out.
    pub synaptic_operations: u64,
}

impl Evaluation {
    /// Share classified rightly.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.samples.max(1) as f64
    }

    /// Spikes of all layers per sample.
    pub fn spikes_per_sample(&self) -> f64 {
        self.spikes.iter().flatten().sum::<u64>() as f64 / self.samples.max(1) as f64
    }

    /// Synaptic operations behind the first layer, per sample.
    pub fn operations_per_sample(&self) -> f64 {
        self.synaptic_operations as f64 / self.samples.max(1) as f64
    }

    /// Share of neurons of a layer that spike at a step.
    pub fn rate(&self, network: &Network, layer: usize, step: usize) -> f64 {
        let spikes = self.spikes.get(layer).and_then(|steps| steps.get(step)).copied().unwrap_or(0);
        let neurons = network.layers.get(layer).map_or(0, super::network::Layer::outputs);
        spikes as f64 / (neurons * self.samples).max(1) as f64
    }
}

/// Runs all samples through a network.
pub fn evaluate(
    network: &Network,
    samples: &Samples,
    flips: Option<SpikeFlips>,
    parallel: bool,
) -> Evaluation {
    let mut tape = Tape::default();
    let all: Vec<u32> = (0..samples.len() as u32).collect();
    let mut result = Evaluation {
        samples: samples.len(),
        spikes: vec![vec![0; samples.steps()]; network.layers.len()],
        ..Evaluation::default()
    };
    let last = network.layers.len().saturating_sub(1);
    for chosen in all.chunks(128) {
        forward(network, samples, chosen, flips, parallel, &mut tape);
        for (total, batch) in result.spikes.iter_mut().flatten().zip(spikes(network, &tape).iter().flatten())
        {
            *total += batch;
        }
        for (k, &sample) in chosen.iter().enumerate() {
            let predicted = prediction(network, &tape, k);
            result.correct += usize::from(
                Some(predicted) == samples.labels().get(sample as usize).map(|l| usize::from(*l)),
            );
            result.predictions.push(predicted as u8);
            let mut counts = vec![0u32; network.outputs()];
            let mut layers = vec![0u32; network.layers.len()];
            for step in 0..samples.steps() {
                for entry in tape.outputs(last, k, step) {
                    counts[entry.index as usize] += 1;
                }
                for (layer, count) in layers.iter_mut().enumerate() {
                    *count += tape.outputs(layer, k, step).len() as u32;
                }
            }
            result.output_counts.push(counts);
            result.layer_counts.push(layers);
        }
    }
    for (layer, steps) in result.spikes.iter().enumerate() {
        let fan_out = network.layers.get(layer + 1).map_or(0, |next| match &next.connection {
            super::network::Connection::Dense(dense) => dense.outputs as u64,
            super::network::Connection::Identity(_) => 1,
        });
        result.synaptic_operations += steps.iter().sum::<u64>() * fan_out;
    }
    result
}

/// Trains until the held-out accuracy has not risen for a while, and keeps the best epoch; with
/// [`Training::keep_last`] to the end, and keeps the last.
///
/// `train` gives the samples of an epoch (encoders with random spikes draw anew);
/// `on_epoch` sees every epoch as it ends.
pub fn fit<'a>(
    network: Network,
    training: &Training,
    mut train: impl FnMut(usize) -> Cow<'a, Samples>,
    test: &Samples,
    mut on_epoch: impl FnMut(usize, &Epoch),
) -> Fitted {
    let mut trainer = Trainer::new(network, training);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(training.seed);
    let mut fitted = Fitted {
        best: trainer.network().clone(),
        best_epoch: 0,
        last: trainer.network().clone(),
        epochs: Vec::new(),
        probes: Vec::new(),
    };
    let held_out = |network: &Network| evaluate(&training.readout.of(network), test, None, training.parallel);
    let mut best = -1.0;
    for e in 0..training.epochs {
        let samples = train(e);
        let mut order: Vec<u32> = (0..samples.len() as u32).collect();
        shuffle(&mut order, &mut random);
        let (mut total, mut seen) = (BatchResult::default(), 0usize);
        let batches = order.chunks_exact(training.batch.max(1));
        let (all, probes) = (batches.len(), training.probes.max(1));
        for (k, chosen) in (1..).zip(batches) {
            let result = trainer.step(&samples, chosen);
            total.loss += result.loss;
            total.correct += result.correct;
            total.spikes += result.spikes;
            seen += chosen.len();
            if k < all && k * probes / all > (k - 1) * probes / all {
                let accuracy = held_out(trainer.forward_network()).accuracy();
                fitted.probes.push((e as f64 + k as f64 / all as f64, accuracy));
            }
        }
        let held_out = held_out(trainer.forward_network());
        fitted.probes.push(((e + 1) as f64, held_out.accuracy()));
        let seen = seen.max(1) as f64;
        let epoch = Epoch {
            train_loss: total.loss / seen,
            train_accuracy: total.correct as f64 / seen,
            train_spikes: total.spikes as f64 / seen,
            test_accuracy: held_out.accuracy(),
            test_spikes: held_out.spikes_per_sample(),
        };
        on_epoch(e, &epoch);
        fitted.epochs.push(epoch);
        if training.keep_last || epoch.test_accuracy > best {
            best = epoch.test_accuracy;
            fitted.best_epoch = e;
            fitted.best.clone_from(trainer.network());
        } else if e - fitted.best_epoch >= training.patience {
            break;
        }
    }
    fitted.last.clone_from(trainer.network());
    fitted
}

/// Fisher and Yates, from the last element down.
pub(crate) fn shuffle<T>(items: &mut [T], random: &mut Xoshiro256PlusPlus) {
    for i in (1..items.len()).rev() {
        items.swap(i, ((u128::from(random.next_u64()) * (i as u128 + 1)) >> 64) as usize);
    }
}
