//! One point of the landscape: a drive, a recipe and a seed become a trained network and what it does.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use synop_core::Count;
use synop_cost::{Bill, Chip};

use super::integer::{Emulation, Integer, Price};
use crate::Failure;
use crate::report::SynOps;
use crate::train::{
    Evaluation, Fitted, InputGrid, Integers, Network, Readout, Samples, SpikeFlips, Surrogate, Training,
    evaluate, fit, round_network,
};

/// Membranes are finer than weights by 2^this, on the machine and in training.
pub const STATE_SHIFT: u32 = 8;

/// Which samples choose the epoch that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// The held-out samples themselves, as the study does: optimistic.
    HeldOut,
    /// The last tenth of the training samples, which then do not train.
    Validation,
    /// None: the last epoch is kept.
    Last,
}

/// How networks are built and trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Neurons of each of the three hidden layers.
    pub hidden: usize,
    /// Most epochs.
    pub epochs: usize,
    /// Samples per update.
    pub batch: usize,
    /// Adam's step size.
    pub learning_rate: f32,
    /// Epochs without a better accuracy after which training stops.
    pub patience: usize,
    /// Whether decays and thresholds are learnt; else they stay at 0.95 and 1.
    pub learn_neurons: bool,
    /// What chooses the epoch.
    pub select: Select,
    /// What gives a sample its class for that choice.
    pub readout: Readout,
    /// How often in an epoch the choosing samples are asked, for the speed of learning.
    pub probes: usize,
}

impl Recipe {
    /// The reduced size: 128 hidden neurons, step 5e-4.
    pub fn reduced() -> Self {
        Self {
            hidden: 128,
            epochs: 10,
            batch: 32,
            learning_rate: 5e-4,
            patience: 5,
            learn_neurons: true,
            select: Select::HeldOut,
            readout: Readout::Spikes,
            probes: 1,
        }
    }

    /// The study's size: 500 hidden neurons, step 5e-5.
    pub fn full() -> Self {
        Self { hidden: 500, epochs: 20, learning_rate: 5e-5, ..Self::reduced() }
    }

    /// Trains a network of three hidden layers for samples; with `integers` it learns with weights of that many bits
    /// and inputs on `grid`, on which the samples must be.
    pub fn train(
        &self,
        train: &Samples,
        test: &Samples,
        integers: Option<u32>,
        grid: Option<InputGrid>,
        seed: u64,
    ) -> Fitted {
        let sizes = [train.inputs(), self.hidden, self.hidden, self.hidden, classes(train)];
        let network = Network::spiking(&sizes, 0.95, 1.0, seed);
        self.train_network(network, |_| Cow::Borrowed(train), test, integers, grid, seed)
    }

    /// Trains a given network on the samples that `train` gives for each epoch.
    pub fn train_network<'a>(
        &self,
        network: Network,
        mut train: impl FnMut(usize) -> Cow<'a, Samples>,
        test: &Samples,
        integers: Option<u32>,
        grid: Option<InputGrid>,
        seed: u64,
    ) -> Fitted {
        let training = Training {
            epochs: self.epochs,
            batch: self.batch,
            learning_rate: self.learning_rate,
            patience: self.patience,
            keep_last: self.select == Select::Last,
            readout: self.readout,
            probes: self.probes,
            learn_decay: self.learn_neurons,
            learn_threshold: self.learn_neurons,
            surrogate: Surrogate::Arctan,
            integers: integers.map(|weight_bits| Integers {
                weight_bits,
                input_step: grid.map_or(1.0, |grid| grid.step),
                state_shift: STATE_SHIFT,
            }),
            seed,
            parallel: false,
        };
        match self.select {
            Select::HeldOut | Select::Last => fit(network, &training, train, test, |_, _| {}),
            Select::Validation => {
                let cut = |samples: &Samples| samples.split_at(samples.len() - samples.len() / 10);
                let (_, validate) = cut(&train(0));
                fit(network, &training, |epoch| Cow::Owned(cut(&train(epoch)).0), &validate, |_, _| {})
            }
        }
    }
}

/// The number of classes of labelled samples.
pub fn classes(samples: &Samples) -> usize {
    samples.labels().iter().max().map_or(0, |most| usize::from(*most) + 1)
}

/// What a trained network does, in the float twin or on the machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Behaviour {
    /// Share of held-out samples classified rightly.
    pub accuracy: f64,
    /// Spikes of all layers per held-out sample.
    pub spikes: f64,
    /// The same by layer.
    pub layer_spikes: Vec<f64>,
    /// Synaptic operations behind the first layer per held-out sample.
    pub synops: f64,
    /// Share of the neurons of a layer that spike at a step, `[layer][step]`.
    pub rates: Vec<Vec<f64>>,
}

impl Behaviour {
    /// From the float twin.
    pub fn of(network: &Network, found: &Evaluation) -> Self {
        let samples = found.samples.max(1) as f64;
        let steps = |layer: usize| found.spikes.get(layer).map_or(0, Vec::len);
        Self {
            accuracy: found.accuracy(),
            spikes: found.spikes_per_sample(),
            layer_spikes: found.spikes.iter().map(|s| s.iter().sum::<u64>() as f64 / samples).collect(),
            synops: found.operations_per_sample(),
            rates: (0..network.layers.len())
                .map(|l| (0..steps(l)).map(|step| found.rate(network, l, step)).collect())
                .collect(),
        }
    }

    /// From the machine.
    pub fn on_machine(network: &Network, found: &Emulation) -> Self {
        let samples = found.samples.max(1) as f64;
        let neurons = |l: usize| network.layers.get(l).map_or(1, crate::train::Layer::outputs) as f64;
        Self {
            accuracy: found.accuracy(),
            spikes: found.spikes_per_sample(),
            layer_spikes: found.spikes.iter().map(|s| s.iter().sum::<u64>() as f64 / samples).collect(),
            synops: found.total(Count::StoredEvents, true) as f64 / samples,
            rates: found
                .spikes
                .iter()
                .enumerate()
                .map(|(l, steps)| steps.iter().map(|s| *s as f64 / (neurons(l) * samples)).collect())
                .collect(),
        }
    }
}

/// What training showed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// The epoch that was kept, from 0.
    pub best_epoch: usize,
    /// First epoch (from 0) at 90 % of the best accuracy.
    pub ninety_percent_epoch: usize,
    /// Epochs of training until then, between probes.
    pub ninety_percent_after: f64,
    /// Held-out accuracy of the epoch that was kept, by the recipe's readout.
    pub best_accuracy: f64,
    /// Epochs run.
    pub epochs: usize,
    /// Spikes per training sample in the epoch that was kept, while the weights moved.
    pub train_spikes: f64,
    /// Held-out accuracy after the last epoch.
    pub last_accuracy: f64,
    /// Decay and threshold of each layer.
    pub neurons: Vec<(f32, f32)>,
}

impl Course {
    /// From what training left.
    pub fn of(fitted: &Fitted) -> Self {
        Self {
            best_epoch: fitted.best_epoch,
            ninety_percent_epoch: fitted.epoch_of_ninety_percent().unwrap_or(0),
            ninety_percent_after: fitted.epochs_to_ninety_percent().unwrap_or(0.0),
            best_accuracy: fitted.best_numbers().map_or(0.0, |e| e.test_accuracy),
            epochs: fitted.epochs.len(),
            train_spikes: fitted.best_numbers().map_or(0.0, |e| e.train_spikes),
            last_accuracy: fitted.epochs.last().map_or(0.0, |e| e.test_accuracy),
            neurons: fitted.best.decays_and_thresholds(),
        }
    }
}

/// What the machine adds to a point in integers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OnMachine {
    /// On the machine.
    pub behaviour: Behaviour,
    /// Share of samples to which machine and float twin give the same class.
    pub agreement: f64,
    /// Synaptic operations per sample, those of the inputs included.
    pub synops: SynOps<f64>,
    /// The bill of all held-out samples on the chip that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bill: Option<Bill>,
    /// Energy and latency per sample by chip.
    pub prices: BTreeMap<String, Price>,
}

/// Runs a trained network in integers and prices it.
///
/// # Errors
/// Those of [`Integer`].
pub fn on_machine(
    network: &Network,
    bits: u32,
    grid: Option<InputGrid>,
    test: &Samples,
    twin: &Evaluation,
    chip: Option<&Chip>,
) -> Result<OnMachine, Failure> {
    let integer = Integer::new(network, bits, STATE_SHIFT, grid)?;
    let found = integer.run(test)?;
    let equal = found.predictions.iter().zip(&twin.predictions).filter(|(a, b)| a == b).count();
    Ok(OnMachine {
        behaviour: Behaviour::on_machine(network, &found),
        agreement: equal as f64 / found.samples.max(1) as f64,
        synops: integer.synops(&found)?,
        bill: chip.map(|chip| integer.bill(chip, &found)).transpose()?.map(|(bill, _)| bill),
        prices: integer.prices(&found)?,
    })
}

/// The network as its forward pass was trained: on the integer grid where integers were trained in.
pub fn as_trained(network: &Network, integers: Option<u32>, grid: Option<InputGrid>) -> Network {
    let mut rounded = network.clone();
    if let Some(bits) = integers {
        round_network(network, bits, grid.map_or(1.0, |grid| grid.step), STATE_SHIFT, &mut rounded);
    }
    rounded
}

/// Mean accuracy over `draws` draws of random spike inversions in hidden layers, for each probability.
pub fn robustness(network: &Network, test: &Samples, probabilities: &[f32], draws: u64) -> Vec<(f32, f64)> {
    let mean = |probability: f32| {
        let one =
            |seed: u64| evaluate(network, test, Some(SpikeFlips { probability, seed }), false).accuracy();
        (probability, (0..draws).map(one).sum::<f64>() / draws.max(1) as f64)
    };
    probabilities.iter().map(|p| mean(*p)).collect()
}
