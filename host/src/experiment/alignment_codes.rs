//! `alignment-codes`: the same network behind other codes, other systems, and no dynamics at all.
//!
//! The baselines of the alignment study in two versions: what the names promise (rate, latency, time to first spike,
//! burst, phase, direct current) and what its code computes under them (`published-…`).

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::alignment::{Training, refused};
use super::{Context, Experiment, Outcome, Pieces, Whole};
use crate::Failure;
use crate::alignment::{Archive, CodePoint, Features, Price, Set, code_point, mean_and_deviation};
use crate::data;
use crate::report::{Counts, Report, Task};

/// The keys of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codes {
    data: Source,
    train: Option<Whole<32, 60_000>>,
    test: Option<Whole<1, 10_000>>,
    /// Codes as `synop encode` takes them, or `mlp`: a perceptron on the features.
    codes: Vec<String>,
    seeds: Whole<1, 100>,
    /// Bits of the weights, trained in; float if absent.
    weight_bits: Option<Whole<2, 8>>,
    #[serde(default)]
    training: Training,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Source {
    /// Pixels from 0 to 1 of the study's subset of MNIST.
    Pixels,
    /// Its joint UMAP, every feature from 0 to 1.
    JointUmap,
    /// UMAP fitted on training images only, from 0 to 1.
    TrainUmap,
    /// Pixels of the embedded digits from 0 to 1.
    Digits,
}

impl Source {
    fn load(self, folder: &std::path::Path, train: usize, test: usize) -> Result<Features, Failure> {
        let mut features = match self {
            Source::Pixels => pixels(folder)?,
            Source::JointUmap => Set::JointUmap.load(folder, usize::MAX, usize::MAX)?,
            Source::TrainUmap => Set::TrainUmap.load(folder, usize::MAX, usize::MAX)?,
            Source::Digits => Set::Digits.load(folder, usize::MAX, usize::MAX)?,
        };
        features.truncate(train, test);
        // one range for all features, from the training set; what leaves it on held-out samples is cut
        let low = features.train.iter().copied().fold(f32::INFINITY, f32::min);
        let high = features.train.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let span = if high > low { high - low } else { 1.0 };
        for value in features.train.iter_mut().chain(&mut features.test) {
            *value = ((*value - low) / span).clamp(0.0, 1.0);
        }
        Ok(Features::new(
            features.width,
            features.train,
            features.train_labels,
            features.test,
            features.test_labels,
        ))
    }
}

fn pixels(folder: &std::path::Path) -> Result<Features, Failure> {
    let archive = Archive::open(folder)?.ok_or_else(|| {
        Failure::bad_input("the data set is absent")
            .file(folder.join("mnist-alignment/mnist10.bin"))
            .mend("name the folder of the data sets with --data DIR or $SYNOP_DATA")
    })?;
    let (train, test) = archive.rows()?;
    let rows =
        |rows: &[i32]| -> Vec<usize> { rows.iter().map(|r| usize::try_from(*r).unwrap_or(0)).collect() };
    let train = data::mnist(folder, true)?.select(&rows(&train));
    let test = data::mnist(folder, false)?.select(&rows(&test));
    Ok(Features::new(train.width, train.features, train.labels, test.features, test.labels))
}

/// Nominal energy and time per sample by chip, means over the seeds; nothing for a chip without a price.
fn prices(points: &[&CodePoint]) -> (BTreeMap<String, f64>, BTreeMap<String, f64>) {
    let mean = |of: fn(&Price) -> Option<f64>| {
        let mut chips: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (chip, price) in points.iter().filter_map(|p| p.machine.as_ref()).flat_map(|m| &m.prices) {
            if let (Some(value), true) = (of(price), price.energy_j.is_some()) {
                chips.entry(chip.clone()).or_default().push(value);
            }
        }
        chips.into_iter().map(|(chip, values)| (chip, mean_and_deviation(&values).0)).collect()
    };
    (mean(|p| p.energy_j.map(|e| e.nominal)), mean(|p| p.latency_s))
}

impl Experiment for Codes {
    const NAME: &'static str = "alignment-codes";
    const ABOUT: &'static str = "train the alignment study's network behind other codes of its input";

    fn check(&self) -> Result<(), Failure> {
        if self.codes.is_empty() {
            return Err(refused("codes", "an empty list", "at least one code"));
        }
        for code in self.codes.iter().filter(|code| *code != "mlp") {
            code.parse::<synop_encode::EncoderSpec>().map_err(|error| {
                Failure::bad_input(error)
                    .place("codes")
                    .mend("synop encode --help has the codes; `mlp` is the perceptron")
            })?;
        }
        self.training.check()
    }

    fn memory_bytes(&self) -> u64 {
        7000 * 784 * 8 * 10 + self.training.memory_bytes(784, 8) + (256 << 20)
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let features = self.data.load(
            context.data,
            self.train.map_or(usize::MAX, Whole::size),
            self.test.map_or(usize::MAX, Whole::size),
        )?;
        let recipe = self.training.recipe();
        let bits = self.weight_bits.map(|bits| bits.get() as u32);
        let seeds = context.seed..context.seed + self.seeds.get() as u64;
        let jobs: Vec<(&String, u64)> =
            self.codes.iter().flat_map(|code| seeds.clone().map(move |seed| (code, seed))).collect();
        let progress = context.progress("networks", jobs.len() as u64);
        let pieces = Pieces::of(context.checkpoint("codes"));
        let one = |(code, seed): &(&String, u64)| {
            let make = || code_point(code, &features, &recipe, bits, *seed);
            let point = pieces.piece(&format!("{code}, seed {seed}"), make);
            progress.add(1, 0);
            point
        };
        let points: Vec<CodePoint> = jobs.par_iter().map(one).collect::<Result<_, _>>()?;
        progress.finish();
        let mut report = Report::new(context.seed);
        report.profile.insert("data".into(), json!(self.data));
        report.profile.insert("selection".into(), json!(recipe.select));
        let mut rows = Vec::new();
        for code in &self.codes {
            let of: Vec<&CodePoint> = points.iter().filter(|point| point.code == *code).collect();
            let behaviour =
                |p: &CodePoint| p.machine.as_ref().map_or(p.twin.clone(), |m| m.behaviour.clone());
            let each = |value: &dyn Fn(&CodePoint) -> f64| {
                let values: Vec<f64> = of.iter().map(|p| value(p)).collect();
                let (mean, deviation) = mean_and_deviation(&values);
                (mean, json!({"mean": mean, "deviation": deviation, "values": values}))
            };
            let (accuracy, accuracies) = each(&|p| behaviour(p).accuracy);
            let (spikes, all_spikes) = each(&|p| behaviour(p).spikes);
            let (energy, latency) = prices(&of);
            rows.push(json!({
                "code": code,
                "inputs": of.first().map_or(0, |p| p.inputs),
                "accuracy": accuracies,
                "spikes_per_sample": all_spikes,
                "synops_per_sample": each(&|p| behaviour(p).synops).1,
                "input_events_per_sample": each(&|p| p.input_events).1,
                "best_epoch": each(&|p| p.course.best_epoch as f64).1,
                "ninety_percent_epoch": each(&|p| p.course.ninety_percent_epoch as f64).1,
                "energy_j_per_sample": energy,
                "latency_s_per_sample": latency,
            }));
            let samples = features.test_labels.len() as u64;
            let mut run = Report::labelled(context.seed, code);
            run.task = Some(Task { samples, accuracy: Some(accuracy), ..Task::default() });
            run.counts =
                Some(Counts { neurons_fired: (spikes * samples as f64).round() as u64, ..Counts::default() });
            report.runs.push(run);
        }
        report.more.insert("codes".into(), rows.into());
        Ok(report.into())
    }
}
