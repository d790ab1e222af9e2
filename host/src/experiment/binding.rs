//! `binding`: two patterns at once, with and without the distractors that the published task lacks.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use synop_cost::shipped;

use super::alignment::{Row, Training, label, refused, run_of};
use super::{Context, Experiment, Outcome, Pieces, Whole};
use crate::Failure;
use crate::alignment::{
    Binding, Drive, Local, Method, Plan, Point, accuracy_of_the_mean, code_point, mean_and_deviation,
};
use crate::report::{Report, Task};

/// The keys of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureBinding {
    tasks: Vec<Binding>,
    damping: Vec<f64>,
    /// Samples; one fifth is held out.
    samples: Whole<100, 100_000>,
    seeds: Whole<1, 100>,
    #[serde(default = "float")]
    methods: Vec<Method>,
    #[serde(default)]
    training: Training,
}

fn float() -> Vec<Method> {
    vec![Method::Float]
}

/// What one seed of one task gave.
#[derive(Clone, Serialize, Deserialize)]
struct Found {
    points: Vec<Point>,
    perceptron: f64,
    mean_input: f64,
}

impl Experiment for FeatureBinding {
    const NAME: &'static str = "binding";
    const ABOUT: &'static str = "tell two patterns at once from one alone, behind several dampings";

    fn check(&self) -> Result<(), Failure> {
        if self.tasks.is_empty() {
            return Err(refused("tasks", "an empty list", "published, distractors or both"));
        }
        if self.methods.is_empty() || self.methods.contains(&Method::Local) {
            return Err(refused("methods", json!(self.methods), "some of float, int8, int4, rounded8"));
        }
        if let Some(damping) = self.damping.iter().find(|d| !(-2.0..=40.0).contains(*d)) {
            return Err(refused("damping", damping, "numbers from -2 to 40"));
        }
        self.training.check()
    }

    fn memory_bytes(&self) -> u64 {
        let drives = 2 + self.damping.len() as u64;
        let samples = self.samples.get() as u64 * 64 * 3 * 5 * 8 * drives;
        samples + self.training.memory_bytes(64 * 3, 5) + (64 << 20)
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let recipe = self.training.recipe();
        let chip =
            shipped::load("loihi1-published").map_err(|error| Failure::work(format_args!("{error}")))?;
        let seeds = context.seed..context.seed + self.seeds.get() as u64;
        let jobs: Vec<(Binding, u64)> =
            self.tasks.iter().flat_map(|task| seeds.clone().map(move |seed| (*task, seed))).collect();
        let plan = |seed: u64| -> Plan {
            let drive = Drive::mixed(0.0);
            Plan {
                damping: self.damping.clone(),
                trained: self.damping.iter().map(|damping| vec![*damping]).collect(),
                first_seed: seed,
                seeds: 1,
                methods: self.methods.clone(),
                recipe,
                local: Local::default(),
                limit: drive.limit,
                switch: false,
                flips: Vec::new(),
                tmax: drive.tmax,
                steps: drive.steps,
            }
        };
        let progress = context.progress("networks", (jobs.len() * plan(0).points()) as u64);
        let pieces = Pieces::of(context.checkpoint("found"));
        let make = |task: &Binding, seed: &u64| -> Result<Found, Failure> {
            let features = task.features(self.samples.size(), *seed);
            Ok(Found {
                points: plan(*seed).run(&features, &chip, Vec::new(), |_| Ok(()))?,
                perceptron: code_point("mlp", &features, &recipe, None, *seed)?.twin.accuracy,
                mean_input: accuracy_of_the_mean(&features),
            })
        };
        let one = |(task, seed): &(Binding, u64)| {
            let found = pieces.piece(&format!("{task:?}, seed {seed}"), || make(task, seed));
            progress.add(plan(0).points() as u64, 0);
            found
        };
        let found: Vec<Found> = jobs.par_iter().map(one).collect::<Result<_, _>>()?;
        progress.finish();
        let mut report = Report::new(context.seed);
        let mut rows = Vec::new();
        let samples = (self.samples.size() / 5) as u64;
        for (task, found) in self.tasks.iter().zip(found.chunks(self.seeds.size())) {
            let name = json!(task).as_str().unwrap_or_default().to_owned();
            let spread = |of: fn(&Found) -> f64| -> Value {
                let values: Vec<f64> = found.iter().map(of).collect();
                let (mean, deviation) = mean_and_deviation(&values);
                json!({"mean": mean, "deviation": deviation, "values": values})
            };
            for method in &self.methods {
                for damping in &self.damping {
                    let trained = [*damping];
                    let is = |p: &&Point| p.method == *method && p.trained == trained;
                    let of: Vec<&Point> = found.iter().flat_map(|f| f.points.iter().filter(is)).collect();
                    let Some(first) = of.first() else { continue };
                    let row = Row::of(&trained, &of, plan(0).tmax)?;
                    let mut json = row.json(*method, &of);
                    json["task"] = json!(task);
                    rows.push(json);
                    let name = format!("{name}, {}", label(*method, &trained));
                    report.runs.push(run_of(context.seed, &name, &row, first, samples));
                }
            }
            rows.push(json!({"task": task, "method": "perceptron", "accuracy": spread(|f| f.perceptron)}));
            rows.push(json!({"task": task, "method": "mean-input", "accuracy": spread(|f| f.mean_input)}));
            let mut run = Report::labelled(context.seed, &format!("{name}, perceptron"));
            let accuracy = found.iter().map(|f| f.perceptron).sum::<f64>() / found.len().max(1) as f64;
            run.task = Some(Task { samples, accuracy: Some(accuracy), ..Task::default() });
            report.runs.push(run);
        }
        report.more.insert("binding".into(), rows.into());
        Ok(report.into())
    }
}
