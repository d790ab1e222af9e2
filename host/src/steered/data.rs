//! The data of the experiments, as events.

use std::path::Path;

use rand_core::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};
use synop_core::Event;

use crate::Failure;
use crate::data::{self, Dataset, permutation};

/// Labelled samples; a sample is a list of (input neuron, ±1).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    events: Vec<Event>,
    ends: Vec<usize>,
    /// One label per sample.
    pub labels: Vec<u8>,
}

impl Samples {
    fn push(&mut self, values: impl Iterator<Item = i32>, label: u8) {
        self.events.extend((0..).zip(values).filter(|(_, v)| *v != 0).map(|(i, v)| [i, v]));
        self.ends.push(self.events.len());
        self.labels.push(label);
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The label of a sample; 0 beyond the last.
    pub fn label(&self, sample: usize) -> u8 {
        self.labels.get(sample).copied().unwrap_or(0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The events of a sample; none beyond the last.
    pub fn events(&self, sample: usize) -> &[Event] {
        let start = if sample == 0 { 0 } else { self.ends.get(sample - 1).copied().unwrap_or(0) };
        self.ends.get(sample).and_then(|end| self.events.get(start..*end)).unwrap_or(&[])
    }
}

/// A classification task.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Input neurons.
    pub inputs: usize,
    /// Classes.
    pub classes: usize,
    /// Samples to learn from.
    pub train: Samples,
    /// Held-out samples.
    pub test: Samples,
    /// Where it is from, and what was done to it.
    pub provenance: String,
}

/// A number uniform in [0, 1).
pub(crate) fn uniform(random: &mut Xoshiro256PlusPlus) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// A standard normal number (Marsaglia's polar method, of which one number is kept).
pub(crate) fn normal(random: &mut Xoshiro256PlusPlus) -> f64 {
    loop {
        let (x, y) = (2.0 * uniform(random) - 1.0, 2.0 * uniform(random) - 1.0);
        let r = x * x + y * y;
        if r > 0.0 && r < 1.0 {
            return x * (-2.0 * r.ln() / r).sqrt();
        }
    }
}

fn signs(random: &mut Xoshiro256PlusPlus, n: usize) -> Vec<i32> {
    (0..n).map(|_| if random.next_u64() >> 63 == 0 { 1 } else { -1 }).collect()
}

/// Seed of the projection of entangled MNIST, whatever the seed of the run: the task is always the same.
const PROJECTION: u64 = 17;

/// MNIST through a random projection and the sign: `x = sgn(Rᵀ · pixels)`, R Gaussian, the same for both parts;
/// zero gives −1. Training images are drawn by `seed`, held-out ones chosen as [`HeldOut`] says.
///
/// # Errors
/// Bad input when the data set is absent.
pub fn entangled_mnist(
    folder: &Path,
    features: usize,
    train: usize,
    test: (HeldOut, usize),
    seed: u64,
) -> Result<Task, Failure> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(PROJECTION);
    let projection: Vec<f32> = (0..784 * features).map(|_| normal(&mut random) as f32).collect();
    let entangle = |set: &Dataset, rows: &[usize]| {
        let mut samples = Samples::default();
        let mut fields = vec![0f32; features];
        for &row in rows {
            fields.fill(0.0);
            for (pixel, weights) in
                set.row(row).iter().zip(projection.chunks(features)).filter(|(p, _)| **p != 0.0)
            {
                for (f, w) in fields.iter_mut().zip(weights) {
                    *f += pixel * w;
                }
            }
            let label = set.labels.get(row).copied().unwrap_or(0);
            samples.push(fields.iter().map(|f| if *f > 0.0 { 1 } else { -1 }), label);
        }
        samples
    };
    let (train_rows, train_set, test_rows, test_set) = parts(folder, train, test, seed)?;
    Ok(Task {
        inputs: features,
        classes: 10,
        train: entangle(&train_set, &train_rows),
        test: entangle(&test_set, &test_rows),
        provenance: format!("MNIST, {features} random projections, sign"),
    })
}

/// MNIST as events: a pixel above half of white is 1, another is nothing.
///
/// # Errors
/// Bad input when the data set is absent.
pub fn raw_mnist(folder: &Path, train: usize, test: (HeldOut, usize), seed: u64) -> Result<Task, Failure> {
    let binary = |set: &Dataset, rows: &[usize]| {
        let mut samples = Samples::default();
        for &row in rows {
            let label = set.labels.get(row).copied().unwrap_or(0);
            samples.push(set.row(row).iter().map(|p| i32::from(*p > 0.5)), label);
        }
        samples
    };
    let (train_rows, train_set, test_rows, test_set) = parts(folder, train, test, seed)?;
    Ok(Task {
        inputs: 784,
        classes: 10,
        train: binary(&train_set, &train_rows),
        test: binary(&test_set, &test_rows),
        provenance: "MNIST, pixels above one half as events".to_owned(),
    })
}

type Parts = (Vec<usize>, Dataset, Vec<usize>, Dataset);

/// Which images are held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldOut {
    /// The first test images.
    Test,
    /// Training images that are not learnt, drawn by the seed: to choose constants by.
    Train,
}

fn parts(folder: &Path, train: usize, (from, test): (HeldOut, usize), seed: u64) -> Result<Parts, Failure> {
    let set = data::mnist(folder, true)?;
    let mut rows = permutation(set.len(), seed);
    let others = rows.split_off(train.min(rows.len()));
    match from {
        HeldOut::Test => {
            let test_set = data::mnist(folder, false)?;
            let test_rows = (0..test.min(test_set.len())).collect();
            Ok((rows, set, test_rows, test_set))
        }
        HeldOut::Train => Ok((rows, set.clone(), others.into_iter().take(test).collect(), set)),
    }
}

/// Random ±1 prototypes, one per class; every bit of a sample is flipped with probability `flip`.
pub fn prototypes(inputs: usize, classes: usize, flip: f64, train: usize, test: usize, seed: u64) -> Task {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let prototypes: Vec<Vec<i32>> = (0..classes).map(|_| signs(&mut random, inputs)).collect();
    let mut draw = |count: usize| {
        let mut samples = Samples::default();
        for k in 0..count {
            let class = k % classes;
            let noisy: Vec<i32> =
                prototypes[class].iter().map(|s| if uniform(&mut random) < flip { -s } else { *s }).collect();
            samples.push(noisy.into_iter(), class as u8);
        }
        samples
    };
    let (train, test) = (draw(train), draw(test));
    Task {
        inputs,
        classes,
        train,
        test,
        provenance: format!("random prototypes, bits flipped with probability {flip}"),
    }
}

/// A task that no linear readout solves: each half of the input is one of two random ±1 patterns, with every bit
/// flipped with probability `flip`; the label says whether both halves show the same number.
pub fn xor(inputs: usize, flip: f64, train: usize, test: usize, seed: u64) -> Task {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let half = inputs / 2;
    let patterns: Vec<Vec<i32>> =
        [half, half, inputs - half, inputs - half].map(|n| signs(&mut random, n)).into();
    let mut draw = |count: usize| {
        let mut samples = Samples::default();
        for k in 0..count {
            let (a, b) = (k & 1, k >> 1 & 1);
            let clean = patterns[a].iter().chain(&patterns[2 + b]);
            let noisy: Vec<i32> = clean.map(|s| if uniform(&mut random) < flip { -s } else { *s }).collect();
            samples.push(noisy.into_iter(), (a ^ b) as u8);
        }
        samples
    };
    let (train, test) = (draw(train), draw(test));
    Task {
        inputs,
        classes: 2,
        train,
        test,
        provenance: format!("exclusive or of two halves, bits flipped with probability {flip}"),
    }
}
