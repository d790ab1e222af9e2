//! `local-learning`: a data set through an encoder into one hidden layer that learns on the chip.
//!
//! The network and its rules are those of [`crate::local`]. Beside the run stands the same with frozen hidden weights.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use synop_cost::{Chip, shipped};
use synop_encode::{Encoded, EncoderSpec, Scale};

use super::{Context, Experiment, Outcome, Whole};
use crate::Failure;
use crate::data::{self, Dataset};
use crate::local::{Drive, Evaluation, Samples, Setup, Trial};
use crate::plot::Xy;
use crate::report::{Figure, Section};

/// The keys of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalLearning {
    /// A shipped chip, or the path of a chip file, that prices the run.
    #[serde(default = "default_chip")]
    pub(super) chip: String,
    pub(super) data: Data,
    pub(super) encoder: Encoder,
    pub(super) network: Network,
    pub(super) learning: Learning,
}

fn default_chip() -> String {
    "loihi1-published".to_owned()
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Data {
    set: Set,
    /// Training samples, drawn by the seed; all if absent.
    train: Option<Whole<1, 60_000>>,
    /// Held-out samples, the first of them; all if absent.
    test: Option<Whole<1, 60_000>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Set {
    /// The embedded 8×8 digits, 70 % of them to learn from.
    Digits,
    Mnist,
    MnistUmap7,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Encoder {
    /// As `synop encode` takes it.
    code: String,
    /// Input units of a graded input of 1; spikes have a payload of 1.
    #[serde(default = "default_units")]
    units: Whole<1, 4096>,
}

fn default_units() -> Whole<1, 4096> {
    Whole::new(64)
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Network {
    pub(super) hidden: Whole<1, 65_535>,
    #[serde(default = "default_bits")]
    weight_bits: Whole<2, 8>,
    /// In units of weight × input.
    threshold: Whole<1, 1_000_000_000>,
    /// Membrane decay per tick.
    decay: f64,
    /// Standard deviation of first hidden and feedback weights.
    spread: f64,
}

fn default_bits() -> Whole<2, 8> {
    Whole::new(8)
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Learning {
    /// The third factor of both rules, epoch by epoch.
    rates: Vec<Whole<0, 32_767>>,
    /// A class is in error up to this readout.
    margin: Whole<0, 1_000_000_000>,
    /// Saturation of the input trace.
    trace_max: Whole<1, 32_767>,
    /// log2 of the readout rule's denominator.
    readout_shift: Whole<0, 30>,
    /// log2 of the hidden rule's denominator.
    hidden_shift: Whole<0, 30>,
    /// What a spike costs, in units of feedback.
    #[serde(default)]
    spike_cost: f64,
    /// Whether the same with frozen hidden weights runs beside it.
    #[serde(default = "yes")]
    control: bool,
}

fn yes() -> bool {
    true
}

impl Experiment for LocalLearning {
    const NAME: &'static str = "local-learning";
    const ABOUT: &'static str = "classify with one hidden layer that learns on the chip by local rules";

    fn check(&self) -> Result<(), Failure> {
        let wrong = |key: &str, what: &str, expected: &str| {
            let failure = Failure::bad_input(what).place(key).expected(expected);
            Err(failure.mend(format_args!("set {key} to {expected}")))
        };
        if !(0.0..=1.0).contains(&self.network.decay) {
            return wrong("network.decay", "not a decay", "a number from 0 to 1");
        }
        if !(self.network.spread >= 0.0 && self.network.spread <= 1e6) {
            return wrong("network.spread", "not a standard deviation", "a number from 0 to 1 000 000");
        }
        if !(self.learning.spike_cost >= 0.0 && self.learning.spike_cost <= 1e6) {
            return wrong("learning.spike_cost", "not a cost", "a number from 0 to 1 000 000");
        }
        if self.learning.rates.is_empty() || self.learning.rates.len() > 10_000 {
            return wrong("learning.rates", "one rate per epoch is needed", "a list of 1 to 10 000 integers");
        }
        self.spec()?;
        self.chip().map(|_| ())
    }

    fn memory_bytes(&self) -> u64 {
        let (rows, width, base) = match self.data.set {
            Set::Digits => (1797, 64, 0),
            // All images are read before some are chosen: bytes, then floats.
            Set::Mnist => (70_000, 784, 60_000 * 784 * 5),
            Set::MnistUmap7 => (22_000, 7, 60_000 * 784),
        };
        let chosen = match (self.data.train, self.data.test) {
            (Some(train), Some(test)) => (train.get() + test.get()) as u64,
            _ => rows,
        };
        let Ok(spec) = self.spec() else { return 0 };
        let constant = self.encoder.code.starts_with("direct");
        let ticks = if constant { 1 } else { spec.ticks() as u64 };
        let channels = if spec.trajectory().is_some() { 3 * width } else { 2 * width };
        // The image, and the machine's own copy of the plastic part, for the two learners.
        let weights = 2 * 2 * channels * self.network.hidden.get() as u64;
        base + chosen * width * 4 + chosen * ticks * channels * 4 + weights + (32 << 20)
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let chip = self.chip()?;
        let (train, test) = self.samples(context)?;
        let setup = self.setup(&train, &test, context.seed);
        let rates = self.rates();
        let mut setups = vec![setup.clone()];
        if self.learning.control {
            setups.push(Setup { plastic_hidden: false, ..setup.clone() });
        }
        let progress = context.progress("samples", (setups.len() * rates.len() * train.labels.len()) as u64);
        let one = |setup: &Setup| {
            let part = if setup.plastic_hidden { "plastic" } else { "frozen" };
            let trial = Trial { setup, train: &train, test: &test, rates: &rates, chip: &chip };
            trial.run(part, context.checkpoint(part), &|n| progress.add(n, 0))
        };
        let runs = setups.par_iter().map(one).collect::<Result<Vec<_>, _>>()?;
        progress.finish();
        let mut figure =
            Xy::new("Answers before learning from them", "epoch", "right (%)").y_range(0.0, 100.0);
        for (name, (run, _)) in ["hidden plastic", "hidden frozen"].into_iter().zip(&runs) {
            let shares =
                run.more.get("online_accuracy").and_then(|v| v.as_array()).cloned().unwrap_or_default();
            let points =
                shares.iter().enumerate().filter_map(|(e, v)| Some((e as f64 + 1.0, 100.0 * v.as_f64()?)));
            figure = figure.line(name, points);
        }
        let mut runs = runs.into_iter();
        let Some((mut report, Evaluation { first, .. })) = runs.next() else {
            return Err(Failure::work("no learner ran"));
        };
        report.label = String::new();
        if let (Some(task), Some((_, frozen))) = (&mut report.task, runs.next()) {
            task.more.insert("accuracy_frozen_hidden".into(), json!(frozen.accuracy()));
        }
        let pairs = [
            ("data", json!(format!("{:?}, training samples drawn by the seed", self.data.set))),
            ("encoder", json!(self.encoder.code)),
            ("input_units", json!(self.encoder.units)),
            ("reset", json!("by subtraction, in the next tick; spike above the threshold")),
            ("rules", json!(setup.rules())),
            ("placement", json!("one core")),
        ];
        report.profile = pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let note = "Share of training samples that were classified rightly when they were shown.";
        let outcome = Outcome::from(report).figure(Figure::new(Section::Learning, &figure, note));
        Ok(first.figures("the first test sample").into_iter().fold(outcome, Outcome::figure))
    }
}

impl LocalLearning {
    /// Shape and constants for these samples.
    pub(super) fn setup(&self, train: &Samples, test: &Samples, seed: u64) -> Setup {
        let inputs = train.drives.first().and_then(|d| d.rows.first()).map_or(0, Vec::len);
        let most = |samples: &Samples| {
            samples.drives.iter().flat_map(|d| d.rows.iter().flatten()).map(|v| v.unsigned_abs()).max()
        };
        Setup {
            inputs,
            input_max: most(train).max(most(test)).unwrap_or(0).max(1),
            hidden: self.network.hidden.size(),
            classes: 10,
            threshold: self.network.threshold.get() as i32,
            decay: self.network.decay,
            spread: self.network.spread,
            margin: self.learning.margin.get() as i32,
            trace_max: self.learning.trace_max.get() as i32,
            readout_shift: self.learning.readout_shift.get() as u32,
            hidden_shift: self.learning.hidden_shift.get() as u32,
            spike_cost: self.learning.spike_cost,
            bits: self.network.weight_bits.get() as u32,
            plastic_hidden: true,
            seed,
            bars: None,
        }
    }

    /// The third factor, epoch by epoch.
    pub(super) fn rates(&self) -> Vec<i32> {
        self.learning.rates.iter().map(|rate| rate.get() as i32).collect()
    }

    fn spec(&self) -> Result<EncoderSpec, Failure> {
        self.encoder.code.parse().map_err(|error| {
            Failure::bad_input(error).place("encoder.code").mend("synop encode --help has the encoders")
        })
    }

    pub(super) fn chip(&self) -> Result<Chip, Failure> {
        shipped::load(&self.chip).map_err(|error| {
            Failure::bad_input(error).place("chip").mend("synop chips lists what ships; or name a chip file")
        })
    }

    pub(super) fn samples(&self, context: &Context<'_>) -> Result<(Samples, Samples), Failure> {
        let (train, test) = match self.data.set {
            Set::Digits => data::digits::load()?.split(0.7, context.seed),
            Set::Mnist => (data::mnist(context.data, true)?, data::mnist(context.data, false)?),
            Set::MnistUmap7 => {
                (data::mnist_umap7(context.data, true)?, data::mnist_umap7(context.data, false)?)
            }
        };
        let mut chosen = data::permutation(train.len(), context.seed);
        chosen.truncate(self.limit("data.train", self.data.train, train.len())?);
        let first: Vec<usize> = (0..self.limit("data.test", self.data.test, test.len())?).collect();
        Ok((
            self.encode(&train.select(&chosen), context.seed)?,
            self.encode(&test.select(&first), context.seed)?,
        ))
    }

    fn limit(&self, key: &str, asked: Option<Whole<1, 60_000>>, there: usize) -> Result<usize, Failure> {
        match asked.map_or(there, Whole::size) {
            n if n <= there => Ok(n),
            n => Err(Failure::bad_input("more samples than there are")
                .place(key)
                .found(n)
                .expected(format_args!("at most {there}"))
                .mend(format_args!("set {key} to {there}, or leave it out"))),
        }
    }

    fn encode(&self, set: &Dataset, seed: u64) -> Result<Samples, Failure> {
        let spec = self.spec()?;
        let refused = |error| Failure::bad_input(error).place("encoder.code");
        let whole = spec.trajectory().is_some_and(|t| t.scale == Scale::PerBatch);
        let at_once = if whole { set.len().max(1) } else { 256 };
        let part = |(k, features): (usize, &[f32])| -> Result<Vec<Drive>, Failure> {
            let features: Vec<f64> = features.iter().map(|v| self.feature(*v)).collect();
            let first = (k * at_once) as u64;
            let encoded = spec.encode(&features, set.width, seed, first).map_err(refused)?;
            Ok(encoded.iter().map(|one| self.drive(one)).collect())
        };
        let parts: Vec<_> =
            set.features.par_chunks(at_once * set.width).enumerate().map(part).collect::<Result<_, _>>()?;
        Ok(Samples { drives: parts.into_iter().flatten().collect(), labels: set.labels.clone() })
    }

    /// Grey values of the embedded digits go from 0 to 16; plain codes want 0 to 1.
    fn feature(&self, value: f32) -> f64 {
        match self.data.set {
            Set::Digits => f64::from(value / data::digits::GREY),
            _ => f64::from(value),
        }
    }

    fn drive(&self, encoded: &Encoded) -> Drive {
        let graded = match encoded {
            Encoded::Signal(signal) => signal.to_graded(self.encoder.units.get() as f64),
            Encoded::Events(events) => events.to_signal(1.0).to_graded(1.0),
        };
        let rows: Vec<Vec<i32>> = (0..graded.ticks()).map(|t| graded.tick(t).to_vec()).collect();
        match rows.first() {
            Some(first) if rows.iter().all(|row| row == first) => {
                Drive { rows: vec![first.clone()], repeat: rows.len() }
            }
            _ => Drive { rows, repeat: 1 },
        }
    }
}
