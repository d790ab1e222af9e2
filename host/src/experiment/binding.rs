//! `binding`: two patterns at once, with and without the distractors that the published task lacks.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::alignment::{Training, refused};
use super::{Context, Experiment, Outcome, Whole};
use crate::Failure;
use crate::alignment::{Binding, Drive, accuracy_of_the_mean, code_point, mean_and_deviation};
use crate::report::{Counts, Report, Task};
use crate::train::evaluate;

/// The keys of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureBinding {
    tasks: Vec<Binding>,
    damping: Vec<f64>,
    /// Samples; one fifth is held out.
    samples: Whole<100, 100_000>,
    seeds: Whole<1, 100>,
    #[serde(default)]
    training: Training,
}

impl Experiment for FeatureBinding {
    const NAME: &'static str = "binding";
    const ABOUT: &'static str = "tell two patterns at once from one alone, behind several dampings";

    fn check(&self) -> Result<(), Failure> {
        if self.tasks.is_empty() {
            return Err(refused("tasks", "an empty list", "published, distractors or both"));
        }
        if let Some(damping) = self.damping.iter().find(|d| !(-2.0..=40.0).contains(*d)) {
            return Err(refused("damping", damping, "numbers from -2 to 40"));
        }
        self.training.check()
    }

    fn memory_bytes(&self) -> u64 {
        (self.samples.get() as u64) * 64 * 3 * 5 * 8 * 2 + (64 << 20)
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let recipe = self.training.recipe();
        let mut jobs = Vec::new();
        for task in &self.tasks {
            for damping in self.damping.iter().map(|d| Some(*d)).chain([None]) {
                jobs.extend((0..self.seeds.get() as u64).map(|k| (*task, damping, context.seed + k)));
            }
        }
        let progress = context.progress("networks", jobs.len() as u64);
        // accuracy, spikes, accuracy of the mean input alone
        let one = |(task, damping, seed): &(Binding, Option<f64>, u64)| -> Result<[f64; 3], Failure> {
            let features = task.features(self.samples.size(), *seed);
            let mean = accuracy_of_the_mean(&features);
            let found = match damping {
                Some(damping) => {
                    let (train, test) = Drive::mixed(*damping).split(&features)?;
                    let fitted = recipe.train(&train, &test, None, None, *seed);
                    let found = evaluate(&fitted.best, &test, None, false);
                    [found.accuracy(), found.spikes_per_sample(), mean]
                }
                None => [code_point("mlp", &features, &recipe, None, *seed)?.twin.accuracy, 0.0, mean],
            };
            progress.add(1, 0);
            Ok(found)
        };
        let found: Vec<[f64; 3]> = jobs.par_iter().map(one).collect::<Result<_, _>>()?;
        progress.finish();
        let mut report = Report::new(context.seed);
        let mut rows = Vec::new();
        for chunk in (0..jobs.len()).collect::<Vec<_>>().chunks(self.seeds.size()) {
            let (task, damping, _) = jobs[chunk[0]];
            let column = |k: usize| chunk.iter().map(|j| found[*j][k]).collect::<Vec<f64>>();
            let (accuracy, deviation) = mean_and_deviation(&column(0));
            let spikes = mean_and_deviation(&column(1)).0;
            let agent = damping.map_or("perceptron".to_owned(), |d| format!("damping {d}"));
            rows.push(json!({
                "task": task,
                "damping": damping,
                "accuracy": {"mean": accuracy, "deviation": deviation, "values": column(0)},
                "spikes_per_sample": spikes,
                "mean_input_accuracy": mean_and_deviation(&column(2)).0,
            }));
            let name = serde_json::to_value(task)
                .ok()
                .and_then(|v| v.as_str().map(str::to_owned))
                .unwrap_or_default();
            let mut run = Report::labelled(context.seed, &format!("{name}, {agent}"));
            let samples = (self.samples.size() / 5) as u64;
            run.task = Some(Task { samples, accuracy: Some(accuracy), ..Task::default() });
            run.counts =
                Some(Counts { neurons_fired: (spikes * samples as f64).round() as u64, ..Counts::default() });
            report.runs.push(run);
        }
        report.more.insert("binding".into(), rows.into());
        Ok(report.into())
    }
}
