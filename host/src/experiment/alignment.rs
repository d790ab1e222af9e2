//! `alignment`: the landscape of dynamical alignment.
//!
//! Features drive the mixed oscillator at several dampings; for each a network is trained with surrogate gradients, in
//! float or with integers trained in, and run: accuracy, spikes, synaptic operations, energy and latency against the
//! damping and the sum of Lyapunov exponents, over several seeds. With `switch`, each network keeps its weights and is
//! run under every other damping: the claim that the input's dynamics alone steer one fixed network.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use synop_cost::shipped;

use super::{Context, Experiment, Outcome, Whole};
use crate::Failure;
use crate::alignment::{
    Behaviour, Elsewhere, Local, Method, Plan, Point, Recipe, STATE_SHIFT, Select, Set, exponents,
    fit_logistic, fit_power, logistic, mean_and_deviation,
};
use crate::data;
use crate::plot::Xy;
use crate::report::{Counts, Figure, Latency, Report, Section, Task};
use crate::train::Readout;

/// The keys of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Landscape {
    /// The features.
    data: Set,
    /// Training samples, the first of them; all if absent.
    train: Option<Whole<32, 60_000>>,
    /// Held-out samples, the first of them; all if absent.
    test: Option<Whole<1, 10_000>>,
    /// Dampings that networks are tested on, and trained for where `trained` says nothing else.
    damping: Vec<f64>,
    /// Dampings of the drives that each network is trained for, a list per network.
    #[serde(default)]
    trained: Vec<Vec<f64>>,
    /// Seeds, counted from `seed`.
    #[serde(default = "three")]
    seeds: Whole<1, 100>,
    methods: Vec<Method>,
    /// Saturation of the drives.
    #[serde(default = "eight")]
    limit: f32,
    /// Horizon of the drives.
    #[serde(default = "horizon")]
    tmax: f64,
    /// Steps of the drives.
    #[serde(default = "five")]
    steps: Whole<1, 100>,
    /// Run every network on every drive.
    #[serde(default)]
    switch: bool,
    /// Probabilities of inverted spikes to try.
    #[serde(default)]
    flips: Vec<f32>,
    /// Files of other features of the held-out samples, in the data folder: spikes are counted under these too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    counted: Vec<String>,
    /// The chip of the bills; all shipped chips are priced beside it.
    #[serde(default = "chip")]
    chip: String,
    #[serde(default)]
    training: Training,
    /// Constants of the method `local`.
    #[serde(default)]
    local: Local,
}

fn three() -> Whole<1, 100> {
    Whole::new(3)
}
fn five() -> Whole<1, 100> {
    Whole::new(5)
}
fn eight() -> f32 {
    8.0
}
fn horizon() -> f64 {
    8.0
}
fn chip() -> String {
    "loihi1-published".to_owned()
}

/// How networks are trained; what is absent is that of the reduced reference runs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Training {
    hidden: Whole<1, 4096>,
    epochs: Whole<1, 1000>,
    batch: Whole<1, 4096>,
    learning_rate: f32,
    patience: Whole<1, 1000>,
    learn_neurons: bool,
    select: Select,
    readout: Readout,
    probes: Whole<1, 1000>,
}

impl Default for Training {
    fn default() -> Self {
        let recipe = Recipe::reduced();
        Self {
            hidden: Whole::new(recipe.hidden as i64),
            epochs: Whole::new(recipe.epochs as i64),
            batch: Whole::new(recipe.batch as i64),
            learning_rate: recipe.learning_rate,
            patience: Whole::new(recipe.patience as i64),
            learn_neurons: recipe.learn_neurons,
            select: recipe.select,
            readout: recipe.readout,
            probes: Whole::new(recipe.probes as i64),
        }
    }
}

impl Training {
    /// About the bytes of eight networks that train at once on samples of `inputs` channels and `steps` steps: weights,
    /// their gradients, moments and best copy; membranes, their gradients and both lists of spikes of a batch.
    pub(super) fn memory_bytes(&self, inputs: u64, steps: u64) -> u64 {
        let (hidden, rows) = (self.hidden.get() as u64, self.batch.get() as u64 * steps);
        8 * (5 * (inputs + 2 * hidden) * hidden * 4 + rows * (inputs + 3 * hidden) * 24)
    }

    pub(super) fn recipe(&self) -> Recipe {
        Recipe {
            hidden: self.hidden.size(),
            epochs: self.epochs.size(),
            batch: self.batch.size(),
            learning_rate: self.learning_rate,
            patience: self.patience.size(),
            learn_neurons: self.learn_neurons,
            select: self.select,
            readout: self.readout,
            probes: self.probes.size(),
        }
    }

    pub(super) fn check(&self) -> Result<(), Failure> {
        if !(self.learning_rate > 0.0 && self.learning_rate <= 1.0) {
            return Err(refused("training.learning_rate", self.learning_rate, "a number above 0, at most 1"));
        }
        Ok(())
    }
}

pub(super) fn refused(key: &str, found: impl std::fmt::Display, expected: &str) -> Failure {
    Failure::bad_input("outside its range")
        .place(key)
        .found(found)
        .expected(expected)
        .mend(format_args!("set {key} to {expected}"))
}

/// A damping within this keeps trajectories finite over the horizons in use.
fn check_damping(key: &str, values: &[f64]) -> Result<(), Failure> {
    if values.is_empty() {
        return Err(refused(key, "an empty list", "at least one damping"));
    }
    match values.iter().find(|d| !(-2.0..=40.0).contains(*d)) {
        Some(damping) => Err(refused(key, damping, "numbers from -2 to 40")),
        None => Ok(()),
    }
}

impl Experiment for Landscape {
    const NAME: &'static str = "alignment";
    const ABOUT: &'static str =
        "train a network for each damping of its input's dynamics; accuracy, spikes, energy";

    fn check(&self) -> Result<(), Failure> {
        check_damping("damping", &self.damping)?;
        for trained in &self.trained {
            check_damping("trained", trained)?;
        }
        if self.methods.is_empty() {
            return Err(refused(
                "methods",
                "an empty list",
                "one of float, int8, int4, rounded8, local at least",
            ));
        }
        if !(self.limit > 0.0 && self.limit <= 1e6) {
            return Err(refused("limit", self.limit, "a number above 0, at most 1 000 000"));
        }
        if !(self.tmax > 0.0 && self.tmax <= 100.0) {
            return Err(refused("tmax", self.tmax, "a number above 0, at most 100"));
        }
        if let Some(p) = self.flips.iter().find(|p| !(0.0..=1.0).contains(*p)) {
            return Err(refused("flips", p, "probabilities from 0 to 1"));
        }
        if !(1..=65_535).contains(&self.local.hidden) {
            return Err(refused("local.hidden", self.local.hidden, "an integer from 1 to 65 535"));
        }
        if !(0.0..=1.0).contains(&self.local.decay) {
            return Err(refused("local.decay", self.local.decay, "a number from 0 to 1"));
        }
        if self.local.rates.is_empty() || self.local.rates.len() > 1000 {
            return Err(refused("local.rates", self.local.rates.len(), "a list of 1 to 1000 integers"));
        }
        self.training.check()?;
        self.load_chip().map(|_| ())
    }

    fn memory_bytes(&self) -> u64 {
        let (train, test, width) = match self.data {
            Set::JointUmap | Set::Pca => (6000, 1000, 7),
            Set::TrainUmap => (12_000, 10_000, 7),
            Set::Digits => (1257, 540, 64),
        };
        let count = |asked: Option<u64>, all: u64| asked.map_or(all, |n| n.min(all));
        let (asked, held_out) = (self.train.map(|n| n.get() as u64), self.test.map(|n| n.get() as u64));
        let samples = count(asked, train) + count(held_out, test);
        let steps = self.steps.get() as u64;
        let samples = samples + self.counted.len() as u64 * count(held_out, test);
        let drives = (self.damping.len() as u64 + 8) * samples * 3 * width * steps * 8;
        drives + self.training.memory_bytes(3 * width, steps) + (64 << 20)
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let all = usize::MAX;
        let mut features = self.data.load(
            context.data,
            self.train.map_or(all, Whole::size),
            self.test.map_or(all, Whole::size),
        )?;
        let rows = features.test_labels.len();
        for name in &self.counted {
            let mut table = data::features(&context.data.join(name), rows, features.width)?;
            table.truncate(rows * features.width);
            features.others.push((name.clone(), table));
        }
        let plan = self.plan(context.seed);
        let chip = self.load_chip()?;
        let mut checkpoint = context.checkpoint("points");
        let known: Vec<Point> =
            checkpoint.load().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let progress = context.progress("networks", plan.points() as u64);
        progress.add(known.len() as u64, 0);
        let saved = Mutex::new(&mut checkpoint);
        let points = plan.run(&features, &chip, known, |points| {
            progress.add(1, 0);
            let Ok(mut checkpoint) = saved.lock() else { return Ok(()) };
            if !checkpoint.is_due() {
                return Ok(());
            }
            let bytes = serde_json::to_vec(points).map_err(|error| Failure::work(format_args!("{error}")))?;
            checkpoint.store(&bytes)
        })?;
        progress.finish();
        self.report(context.seed, &plan, &points, features.test_labels.len() as u64)
    }
}

/// Mean, deviation and the values of all seeds.
fn spread(values: Vec<f64>) -> Value {
    let (mean, deviation) = mean_and_deviation(&values);
    json!({"mean": mean, "deviation": deviation, "values": values})
}

impl Landscape {
    fn load_chip(&self) -> Result<synop_cost::Chip, Failure> {
        shipped::load(&self.chip).map_err(|error| {
            Failure::bad_input(error).place("chip").mend("synop chips lists what ships; or name a chip file")
        })
    }

    fn plan(&self, seed: u64) -> Plan {
        let trained = if self.trained.is_empty() {
            self.damping.iter().map(|damping| vec![*damping]).collect()
        } else {
            self.trained.clone()
        };
        Plan {
            damping: self.damping.clone(),
            trained,
            first_seed: seed,
            seeds: self.seeds.get() as u64,
            methods: self.methods.clone(),
            recipe: self.training.recipe(),
            local: self.local.clone(),
            limit: Some(self.limit),
            switch: self.switch,
            flips: self.flips.clone(),
            tmax: self.tmax,
            steps: self.steps.size(),
        }
    }

    fn report(&self, seed: u64, plan: &Plan, points: &[Point], samples: u64) -> Result<Outcome, Failure> {
        let mut report = Report::new(seed);
        let assumptions = [
            (
                "drive",
                json!(
                    "mixed oscillator, RK4 of step 0.01; features divided by the largest of the training set"
                ),
            ),
            (
                "network",
                json!(
                    "three hidden layers and 10 outputs of leaky neurons; reset by subtraction one step later; spike above the threshold"
                ),
            ),
            ("loss", json!("cross-entropy of the output membranes at every step; class by output spikes")),
            (
                "selection",
                json!(match plan.recipe.select {
                    Select::HeldOut =>
                        "best epoch by the held-out samples themselves, as in the study: optimistic",
                    Select::Validation =>
                        "best epoch by the last tenth of the training samples, which do not train",
                    Select::Last => "none: the last epoch",
                }),
            ),
            ("readout_of_selection", json!(plan.recipe.readout)),
            (
                "features",
                json!(match self.data {
                    Set::JointUmap =>
                        "UMAP fitted on training and test images together, as in the study: transductive",
                    Set::TrainUmap => "UMAP fitted on training images only",
                    Set::Pca => "principal components",
                    Set::Digits => "pixels of the embedded digits",
                }),
            ),
            (
                "integers",
                json!(format!(
                    "inputs of 8 bits: steps of 8/127 within ±8 for damping below 0, steps of 2/127 within ±2 else; membranes finer than weights by 2^{STATE_SHIFT}; saturation, input scale and rounding trained in"
                )),
            ),
            ("placement", json!("one core")),
        ];
        report.profile = assumptions.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        let mut rows = Vec::new();
        let mut curves: BTreeMap<Method, Vec<Row>> = BTreeMap::new();
        for method in &plan.methods {
            for trained in &plan.trained {
                let of: Vec<&Point> =
                    points.iter().filter(|p| p.method == *method && p.trained == *trained).collect();
                let Some(first) = of.first() else { continue };
                let row = Row::of(trained, &of, plan.tmax)?;
                rows.push(row.json(*method, &of));
                report.runs.push(run_of(seed, &label(*method, trained), &row, first, samples));
                curves.entry(*method).or_default().push(row);
            }
        }
        report.more.insert("landscape".into(), rows.into());
        let mut fits = serde_json::Map::new();
        for (method, rows) in &curves {
            fits.insert(method.name().into(), fits_of(rows));
        }
        report.more.insert("fits".into(), fits.into());
        if plan.switch {
            report.more.insert("switched".into(), switched(plan, points));
        }
        let mut outcome = Outcome::from(report);
        if plan.trained.len() > 2 {
            outcome = figures(outcome, &curves);
        }
        if plan.switch {
            outcome = switch_figure(outcome, plan, points);
        }
        Ok(outcome)
    }
}

/// Means over the seeds of one damping and method.
pub(super) struct Row {
    trained: Vec<f64>,
    sum: f64,
    largest: f64,
    accuracy: Vec<f64>,
    spikes: Vec<f64>,
    synops: Vec<f64>,
    ninety: Vec<f64>,
}

impl Row {
    pub(super) fn of(trained: &[f64], points: &[&Point], tmax: f64) -> Result<Row, Failure> {
        let (sum, largest) = match trained {
            [damping] => exponents(*damping, tmax)?,
            _ => (f64::NAN, f64::NAN),
        };
        let each = |of: &dyn Fn(&Point) -> f64| points.iter().map(|p| of(p)).collect::<Vec<f64>>();
        Ok(Row {
            trained: trained.to_vec(),
            sum,
            largest,
            accuracy: each(&|p| p.behaviour().accuracy),
            spikes: each(&|p| p.behaviour().spikes),
            synops: each(&|p| p.behaviour().synops),
            ninety: each(&|p| p.course.ninety_percent_epoch as f64),
        })
    }

    pub(super) fn json(&self, method: Method, points: &[&Point]) -> Value {
        let each = |of: &dyn Fn(&Point) -> f64| spread(points.iter().map(|p| of(p)).collect());
        let mean = |of: &dyn Fn(&Point) -> Option<f64>| -> Option<f64> {
            let values: Option<Vec<f64>> = points.iter().map(|p| of(p)).collect();
            values.map(|v| mean_and_deviation(&v).0)
        };
        let layers = points.first().map_or(0, |p| p.behaviour().rates.len());
        let rates: Vec<Vec<f64>> = (0..layers)
            .map(|l| {
                let steps = points[0].behaviour().rates[l].len();
                (0..steps)
                    .map(|t| {
                        mean_and_deviation(
                            &points.iter().map(|p| p.behaviour().rates[l][t]).collect::<Vec<_>>(),
                        )
                        .0
                    })
                    .collect()
            })
            .collect();
        let chips: Vec<&String> =
            points.first().and_then(|p| p.machine.as_ref()).map_or(Vec::new(), |m| m.prices.keys().collect());
        let price = |chip: &str, of: &dyn Fn(&crate::alignment::Price) -> Option<f64>| {
            mean(&|p| of(p.machine.as_ref()?.prices.get(chip)?))
        };
        let energy: serde_json::Map<String, Value> = chips
            .iter()
            .map(|chip| {
                let part =
                    |of: fn(&synop_cost::Interval) -> f64| price(chip, &|p| p.energy_j.as_ref().map(of));
                let whole =
                    json!({"low": part(|i| i.low), "nominal": part(|i| i.nominal), "high": part(|i| i.high)});
                ((*chip).clone(), if part(|i| i.nominal).is_some() { whole } else { Value::Null })
            })
            .collect();
        let latency: serde_json::Map<String, Value> = chips
            .iter()
            .filter_map(|chip| Some(((*chip).clone(), price(chip, &|p| p.latency_s)?.into())))
            .collect();
        let mut row = json!({
            "method": method.name(),
            "trained": self.trained,
            "accuracy": spread(self.accuracy.clone()),
            "spikes_per_sample": spread(self.spikes.clone()),
            "synops_per_sample": spread(self.synops.clone()),
            "twin_accuracy": each(&|p| p.twin.accuracy),
            "train_spikes_per_sample": each(&|p| p.course.train_spikes),
            "best_epoch": each(&|p| p.course.best_epoch as f64),
            "ninety_percent_epoch": spread(self.ninety.clone()),
            "ninety_percent_after": each(&|p| p.course.ninety_percent_after),
            "best_accuracy": each(&|p| p.course.best_accuracy),
            "epochs": each(&|p| p.course.epochs as f64),
            "last_accuracy": each(&|p| p.course.last_accuracy),
            "rates": rates,
        });
        if self.sum.is_finite() {
            row["sum_of_exponents"] = json!(self.sum);
            row["largest_exponent"] = json!(self.largest);
        }
        if !chips.is_empty() {
            row["agreement"] = each(&|p| p.machine.as_ref().map_or(0.0, |m| m.agreement));
            row["synops_with_inputs"] = each(&|p| p.machine.as_ref().map_or(0.0, |m| m.synops.stored));
            row["energy_j_per_sample"] = energy.into();
            row["latency_s_per_sample"] = latency.into();
            let prices = points.first().and_then(|p| p.machine.as_ref()).map(|m| &m.prices);
            let refused = prices.into_iter().flatten().filter(|(_, p)| !p.unpriced.is_empty());
            let unpriced: BTreeMap<_, _> = refused.map(|(chip, p)| (chip, &p.unpriced)).collect();
            row["without_a_price"] = json!(unpriced);
        }
        if points.first().is_some_and(|p| !p.flips.is_empty()) {
            let flips: Vec<Value> = (0..points[0].flips.len())
                .map(|k| json!({"probability": points[0].flips[k].0, "accuracy": each(&|p| p.flips[k].1)}))
                .collect();
            row["flips"] = flips.into();
        }
        let names = points.first().map_or(&[][..], |p| &p.elsewhere);
        let elsewhere: Vec<Value> = (0..)
            .zip(names)
            .map(|(k, first)| {
                let all = |of: fn(&Elsewhere) -> &Behaviour| -> Vec<Value> {
                    let one = |seen: &Behaviour| {
                        json!({"accuracy": seen.accuracy, "spikes_per_sample": seen.spikes, "rates": seen.rates})
                    };
                    points.iter().filter_map(|p| p.elsewhere.get(k)).map(|e| one(of(e))).collect()
                };
                json!({"features": first.features, "kept": all(|e| &e.kept), "last": all(|e| &e.last)})
            })
            .collect();
        if !elsewhere.is_empty() {
            row["elsewhere"] = elsewhere.into();
        }
        row
    }
}

pub(super) fn label(method: Method, trained: &[f64]) -> String {
    let dampings: Vec<String> = trained.iter().map(f64::to_string).collect();
    format!("damping {}, {}", dampings.join(" and "), method.name())
}

/// A run of the report: means over seeds; the bill is that of the first seed.
pub(super) fn run_of(seed: u64, label: &str, row: &Row, first: &Point, samples: u64) -> Report {
    let mut run = Report::labelled(seed, label);
    let mean = |values: &[f64]| mean_and_deviation(values).0;
    let mut task = Task { samples, accuracy: Some(mean(&row.accuracy)), ..Task::default() };
    task.more.insert("accuracy_deviation".into(), json!(mean_and_deviation(&row.accuracy).1));
    run.task = Some(task);
    run.counts = Some(Counts {
        neurons_fired: (mean(&row.spikes) * samples as f64).round() as u64,
        ..Counts::default()
    });
    if let Some(machine) = &first.machine {
        run.per_sample = Some(machine.synops);
        run.energy = machine.bill.clone();
        let time = machine.bill.as_ref().and_then(|bill| bill.time_s);
        run.latency = time.map(|total_s| Latency {
            model: "serial: one core, one event after the other".into(),
            total_s,
            ..Latency::default()
        });
    }
    run
}

/// The fits of one method's curve: single dampings only.
fn fits_of(rows: &[Row]) -> Value {
    let mean = |values: &[f64]| mean_and_deviation(values).0;
    let single: Vec<&Row> = rows.iter().filter(|row| row.sum.is_finite()).collect();
    let curve: Vec<(f64, f64)> = single.iter().map(|row| (row.sum, mean(&row.spikes))).collect();
    let all = |of: fn(&Row) -> &Vec<f64>| -> Vec<(f64, f64)> {
        single.iter().flat_map(|row| of(row).iter().map(|y| (row.sum, *y))).collect()
    };
    let least = curve.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
    let most = curve.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    let side = |positive: bool| -> Vec<(f64, f64)> {
        let points =
            all(|row| &row.spikes).into_iter().filter(|(s, _)| s.abs() > 1e-6 && (*s > 0.0) == positive);
        points.map(|(s, y)| (s, y - least)).collect()
    };
    let mut sorted = curve.clone();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let middle = (least + most) / 2.0;
    let crossing = sorted
        .windows(2)
        .find(|w| w[0].1 <= middle && w[1].1 > middle)
        .map(|w| w[0].0 + (middle - w[0].1) / (w[1].1 - w[0].1) * (w[1].0 - w[0].0));
    json!({
        "spikes_logistic": fit_logistic(&all(|row| &row.spikes)),
        "spikes_half_of_range_at": crossing,
        "accuracy_logistic": fit_logistic(&all(|row| &row.accuracy)),
        "spikes_exponent_expanding": fit_power(&side(true)),
        "spikes_exponent_contracting": fit_power(&side(false)),
    })
}

/// Means over seeds of every network under every drive.
fn switched(plan: &Plan, points: &[Point]) -> Value {
    let mut out = Vec::new();
    for method in &plan.methods {
        for trained in &plan.trained {
            for (k, damping) in plan.damping.iter().enumerate() {
                let of: Vec<_> = points
                    .iter()
                    .filter(|p| p.method == *method && p.trained == *trained)
                    .filter_map(|p| p.switched.get(k))
                    .collect();
                let each = |value: fn(&crate::alignment::Switched) -> f64| {
                    let (mean, deviation) =
                        mean_and_deviation(&of.iter().map(|s| value(s)).collect::<Vec<_>>());
                    json!([mean, deviation])
                };
                let priced = |value: fn(&crate::alignment::Switched) -> Option<f64>| -> Option<f64> {
                    let values: Option<Vec<f64>> = of.iter().map(|s| value(s)).collect();
                    values.map(|v| mean_and_deviation(&v).0)
                };
                out.push(json!({
                    "method": method.name(),
                    "trained": trained,
                    "damping": damping,
                    "accuracy": each(|s| s.accuracy),
                    "spikes_per_sample": each(|s| s.spikes),
                    "synops_per_sample": each(|s| s.synops),
                    "energy_j_per_sample": priced(|s| s.energy_j),
                    "latency_s_per_sample": priced(|s| s.latency_s),
                }));
            }
        }
    }
    out.into()
}

fn interval(row: &Row, values: &[f64], scale: f64) -> (f64, f64, f64, f64) {
    let (mean, deviation) = mean_and_deviation(values);
    (row.sum, scale * mean, scale * (mean - deviation), scale * (mean + deviation))
}

fn figures(outcome: Outcome, curves: &BTreeMap<Method, Vec<Row>>) -> Outcome {
    let axis = "sum of Lyapunov exponents (−2 × damping)";
    let mut accuracy = Xy::new("Accuracy against the drive", axis, "accuracy (%)").mark_x("volume kept", 0.0);
    let mut spikes =
        Xy::new("Spikes against the drive", axis, "spikes per sample").mark_x("volume kept", 0.0);
    for (method, rows) in curves {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.sum.is_finite()).collect();
        accuracy = accuracy.intervals(method.name(), rows.iter().map(|r| interval(r, &r.accuracy, 100.0)));
        spikes = spikes.intervals(method.name(), rows.iter().map(|r| interval(r, &r.spikes, 1.0)));
        let all: Vec<(f64, f64)> =
            rows.iter().flat_map(|row| row.spikes.iter().map(|y| (row.sum, *y))).collect();
        if *method == Method::Float
            && let Some(fit) = fit_logistic(&all)
        {
            let low = all.iter().map(|p| p.0).fold(f64::INFINITY, f64::min);
            let high = all.iter().map(|p| p.0).fold(f64::NEG_INFINITY, f64::max);
            let p = [fit.a, fit.b, fit.c, fit.d, fit.q];
            let points = (0..=200).map(|k| low + (high - low) * f64::from(k) / 200.0);
            spikes = spikes.line("fitted logistic", points.map(|s| (s, logistic(p, s))));
        }
    }
    let note = "Means over seeds, whiskers of one standard deviation.";
    outcome.figure(Figure::new(Section::Results, &accuracy, note)).figure(Figure::new(
        Section::Results,
        &spikes,
        note,
    ))
}

fn switch_figure(outcome: Outcome, plan: &Plan, points: &[Point]) -> Outcome {
    let mut plot = Xy::new(
        "Frozen weights under another drive",
        "sum of Lyapunov exponents of the test drive",
        "accuracy (%)",
    );
    let method = plan.methods.first().copied().unwrap_or(Method::Float);
    for trained in plan.trained.iter().take(8) {
        let curve = plan.damping.iter().enumerate().map(|(k, damping)| {
            let of: Vec<f64> = points
                .iter()
                .filter(|p| p.method == method && p.trained == *trained)
                .filter_map(|p| Some(p.switched.get(k)?.accuracy * 100.0))
                .collect();
            (-2.0 * damping, mean_and_deviation(&of).0)
        });
        let mut curve: Vec<(f64, f64)> = curve.collect();
        curve.sort_by(|a, b| a.0.total_cmp(&b.0));
        plot = plot.line(&format!("trained at {trained:?}"), curve);
    }
    outcome.figure(Figure::new(
        Section::Results,
        &plot,
        "Each line is one training drive; weights never change.",
    ))
}
