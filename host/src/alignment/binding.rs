//! Feature binding: is there pattern A **and** pattern B?
//!
//! 1000 inputs in two halves of 500. Pattern A is ones at 125–249 of the first half, B ones at 250–374 of the second.
//! The published task sets A and B together against random bits of one half in both halves; the mean input alone tells
//! them apart (0.300 against 0.500), and there is nothing to bind. Here samples with A only and with B only are negatives
//! too, and random halves have as many ones as a pattern has, so that the mean says nothing.

use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use super::features::Features;
use crate::train::unit;

const HALF: usize = 500;
const ONES: usize = 125;
const NOISE: f32 = 0.25;
/// Features: means of blocks of inputs, one chip-sized number each.
const BLOCKS: usize = 64;

/// Which task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binding {
    /// A and B against random halves with as many ones as zeros.
    Published,
    /// A and B against A only, B only and neither, with equal means.
    Distractors,
}

/// A sample's inputs: each half its pattern or random bits, with noise, kept within 0…1.
fn sample(a: bool, b: bool, density: f32, random: &mut Xoshiro256PlusPlus) -> Vec<f32> {
    let mut inputs = vec![0.0f32; 2 * HALF];
    for (half, (present, first)) in inputs.chunks_mut(HALF).zip([(a, ONES), (b, 2 * ONES)]) {
        for (i, value) in half.iter_mut().enumerate() {
            let one = if present { (first..first + ONES).contains(&i) } else { unit(random) < density };
            *value = if one { 1.0 } else { 0.0 };
        }
    }
    for value in &mut inputs {
        // Box–Muller
        let (u, v) = (unit(random).max(1e-7), unit(random));
        let normal = (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos();
        *value = (*value + NOISE * normal).clamp(0.0, 1.0);
    }
    inputs
}

/// Means over [`BLOCKS`] runs of neighbouring inputs.
fn blocks(inputs: &[f32]) -> Vec<f32> {
    (0..BLOCKS)
        .map(|k| {
            let (from, to) = (k * inputs.len() / BLOCKS, (k + 1) * inputs.len() / BLOCKS);
            inputs[from..to].iter().sum::<f32>() / (to - from).max(1) as f32
        })
        .collect()
}

/// How well the mean of all inputs alone tells the classes apart: the accuracy of the best threshold on the held-out samples.
pub fn accuracy_of_the_mean(features: &Features) -> f64 {
    let mut means: Vec<(f32, u8)> = features
        .test
        .chunks_exact(features.width.max(1))
        .map(|row| row.iter().sum::<f32>())
        .zip(features.test_labels.iter().copied())
        .collect();
    means.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = means.iter().filter(|m| m.1 == 1).count();
    let mut below = 0;
    let mut best = positives.max(means.len() - positives);
    for (k, (_, label)) in means.iter().enumerate() {
        below += usize::from(*label == 1);
        // positives below the cut and negatives above it, or the other way round
        let right = below + (means.len() - k - 1) - (positives - below);
        best = best.max(right).max(means.len() - right);
    }
    best as f64 / means.len().max(1) as f64
}

impl Binding {
    /// Samples of the task, half of them positive; one fifth is held out.
    pub fn features(self, samples: usize, seed: u64) -> Features {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0xb1_4d);
        let density = match self {
            Binding::Published => 0.5,
            Binding::Distractors => ONES as f32 / HALF as f32,
        };
        let (mut rows, mut labels) = (Vec::with_capacity(samples * BLOCKS), Vec::with_capacity(samples));
        for k in 0..samples {
            let positive = k % 2 == 0;
            let (a, b) = match (positive, self) {
                (true, _) => (true, true),
                (false, Binding::Published) => (false, false),
                (false, Binding::Distractors) => [(true, false), (false, true), (false, false)][k / 2 % 3],
            };
            rows.extend(blocks(&sample(a, b, density, &mut random)));
            labels.push(u8::from(positive));
        }
        let held_out = samples / 5;
        let cut = samples - held_out;
        let test = rows.split_off(cut * BLOCKS);
        let test_labels = labels.split_off(cut);
        Features::new(BLOCKS, rows, labels, test, test_labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_input_solves_the_published_task_and_not_the_one_with_distractors() {
        let published = Binding::Published.features(1000, 1);
        assert!(accuracy_of_the_mean(&published) > 0.99);
        let ours = Binding::Distractors.features(1000, 1);
        let alone = accuracy_of_the_mean(&ours);
        assert!(alone < 0.75, "{alone}");
        assert_eq!((ours.train_labels.len(), ours.test_labels.len()), (800, 200));
        assert_eq!(ours, Binding::Distractors.features(1000, 1));
    }
}
