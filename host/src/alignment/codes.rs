//! Other ways into the same network: the textbook codes, the study's versions of them, other systems, no dynamics at all.

use std::borrow::Cow;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use synop_encode::{Encoded, EncoderSpec};

use super::features::Features;
use super::point::{Behaviour, Course, OnMachine, Recipe, as_trained, classes, on_machine};
use crate::Failure;
use crate::train::{InputGrid, Network, Samples, evaluate};

/// A code's network and what it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CodePoint {
    /// The code, as `synop encode` takes it; `mlp` for the perceptron without time.
    pub code: String,
    /// Seed of weights, order and random codes.
    pub seed: u64,
    /// Bits of the weights in training and on the machine; absent in float.
    pub bits: Option<u32>,
    /// Inputs of the first layer.
    pub inputs: usize,
    /// Non-zero inputs per held-out sample, all steps together.
    pub input_events: f64,
    /// What training showed.
    pub course: Course,
    /// The float twin.
    pub twin: Behaviour,
    /// On the machine, where there are bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<OnMachine>,
}

/// Samples encoded in one call: neighbours influence each other in the study's codes only.
const BATCH: usize = 32;

/// Encodes rows of features; `seed` keys random codes.
///
/// # Errors
/// Bad input: features that the code cannot take.
fn encode(
    spec: &EncoderSpec,
    rows: &[f32],
    width: usize,
    labels: &[u8],
    seed: u64,
) -> Result<Samples, Failure> {
    let features: Vec<f64> = rows.iter().map(|v| f64::from(*v)).collect();
    let encoded: Vec<Encoded> = features
        .par_chunks(BATCH * width.max(1))
        .enumerate()
        .map(|(k, part)| spec.encode(part, width, seed, (k * BATCH) as u64))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Failure::bad_input(format_args!("{spec}: {error}")))?
        .into_iter()
        .flatten()
        .collect();
    let channels = spec.channels(width);
    let mut samples = Samples::new(spec.ticks(), channels);
    let mut values = vec![0.0f32; spec.ticks() * channels];
    for (one, label) in encoded.iter().zip(labels) {
        values.fill(0.0);
        match one {
            Encoded::Signal(signal) => {
                values.iter_mut().zip(signal.values()).for_each(|(to, v)| *to = *v as f32);
            }
            Encoded::Events(events) => {
                for event in events.all() {
                    let at = event.tick as usize * channels + event.neuron as usize;
                    if let Some(value) = values.get_mut(at) {
                        *value += 1.0;
                    }
                }
            }
        }
        samples.push(&values, *label);
    }
    Ok(samples)
}

/// The 8-bit integers that fit a graded code: its largest magnitude, at most 8.
fn grid_for(samples: &Samples) -> InputGrid {
    let mut most = 0.0f32;
    for sample in 0..samples.len() {
        for step in 0..samples.steps() {
            most = samples.row(sample, step).iter().fold(most, |m, e| m.max(e.value.abs()));
        }
    }
    let limit = if most > 0.0 { most.min(8.0) } else { 1.0 };
    InputGrid { step: limit / 127.0, limit }
}

/// Trains and tests a network behind a code.
///
/// # Errors
/// Bad input: features that the code cannot take. Those of [`super::Integer`].
pub fn code_point(
    code: &str,
    features: &Features,
    recipe: &Recipe,
    bits: Option<u32>,
    seed: u64,
) -> Result<CodePoint, Failure> {
    let width = features.width;
    let unknown =
        |error| Failure::bad_input(format_args!("{error}")).mend("synop encode --help has the codes");
    let is_mlp = code == "mlp";
    let spec: EncoderSpec = if is_mlp { "direct:1" } else { code }.parse().map_err(unknown)?;
    let encode = |rows: &[f32], labels: &[u8], seed: u64| encode(&spec, rows, width, labels, seed);
    let mut train = encode(&features.train, &features.train_labels, seed)?;
    let mut test = encode(&features.test, &features.test_labels, seed ^ 0x7e57)?;
    let grid = (bits.is_some() && !spec.is_spiking()).then(|| grid_for(&train));
    if let Some(grid) = grid {
        train.map(|v| grid.round(v));
        test.map(|v| grid.round(v));
    }
    let sizes = [train.inputs(), recipe.hidden, recipe.hidden, recipe.hidden, classes(&train)];
    let network = if is_mlp {
        Network::perceptron(&[sizes[0], sizes[1], sizes[2], sizes[4]], seed)
    } else {
        Network::spiking(&sizes, 0.95, 1.0, seed)
    };
    // random spikes are drawn anew in every epoch
    let redrawn = code.starts_with("poisson");
    let epoch = |epoch: usize| match epoch {
        0 => Cow::Borrowed(&train),
        _ if !redrawn => Cow::Borrowed(&train),
        _ => encode(&features.train, &features.train_labels, seed + 1000 * epoch as u64)
            .map_or(Cow::Borrowed(&train), Cow::Owned),
    };
    let fitted = recipe.train_network(network, epoch, &test, bits, grid, seed);
    let network = as_trained(&fitted.best, bits, grid);
    let found = evaluate(&network, &test, None, false);
    let machine = match bits {
        Some(bits) if !is_mlp => Some(on_machine(&network, bits, grid, &test, &found, None)?),
        _ => None,
    };
    Ok(CodePoint {
        code: code.to_owned(),
        seed,
        bits,
        inputs: train.inputs(),
        input_events: test.entries_per_sample(),
        course: Course::of(&fitted),
        twin: Behaviour::of(&network, &found),
        machine,
    })
}
