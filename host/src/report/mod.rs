//! The report of a run: the keys of `--json`, and the same facts for people.
//!
//! [`Report`] is the JSON object; a command that makes several runs puts one report per
//! run into [`Report::runs`]. Keys are added, never renamed. [`Report::terminal`] is the
//! short text; a [`Page`] adds figures and writes `report.json`, CSV tables and one
//! self-contained `report.html`.
//!
//! Everything except [`Report::host`] is the same for the same seed and input, whatever
//! the machine and the number of threads.

mod figures;
mod html;
mod meter;
mod page;
mod terminal;

pub(crate) use meter::peak_rss_bytes;
pub use meter::{Host, Meter};
pub use page::{Figure, Page, Section};

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use synop_cost::{Bill, Hops};

/// The version of the key layout.
pub const SCHEMA: &str = "synop-report-1";

/// What a command reports.
///
/// ```
/// use synop::report::{Report, Task};
/// let mut report = Report::new(1);
/// report.task = Some(Task { samples: 540, accuracy: Some(0.953), ..Task::default() });
/// let json = serde_json::to_value(&report).unwrap();
/// assert_eq!(json["task"]["accuracy"], 0.953);
/// assert_eq!(json["seed"], 1);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the key layout: [`SCHEMA`].
    pub schema: Cow<'static, str>,
    /// What made the report.
    pub tool: Tool,
    /// What was asked for, as typed after `synop` or as an experiment's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub command: String,
    /// Name of this run among several.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Every assumption about time, integration, reset and encoding that the run rests on.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub profile: Map<String, Value>,
    /// The image that ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// How well the task was done, on held-out samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// What the chip did, on held-out samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// Synaptic operations of the held-out samples together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synops: Option<SynOps<u64>>,
    /// The same divided by the number of samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_sample: Option<SynOps<f64>>,
    /// What learning cost, apart from everything above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training: Option<Training>,
    /// What the held-out samples cost on the chip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy: Option<Bill>,
    /// The same counts priced on other chips.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_chips: Vec<Bill>,
    /// How long the chip takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// What this machine spent; differs from run to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// What a reader must know before believing the rest.
    pub warnings: Vec<String>,
    /// The runs of a command that makes several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Report>,
    /// Keys of particular commands, beside those above.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// What made a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// `synop`.
    pub name: Cow<'static, str>,
    /// Its version.
    pub version: Cow<'static, str>,
}

/// The image that ran.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// SHA-256 of the image as it ran, learnt weights included, in hexadecimal.
    pub sha256: String,
    /// SHA-256 of the image before learning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_sha256: Option<String>,
    /// Bits per weight; the widest where populations differ.
    pub weight_bits: u32,
}

/// How well a task was done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Held-out samples.
    pub samples: u64,
    /// Samples that were learnt from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_samples: Option<u64>,
    /// Share of held-out samples classified rightly, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Share of held-out samples on which the run and its float twin decide alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
    /// Further results of particular tasks.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// What the chip did, in events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Ticks.
    pub steps: u64,
    /// Neuron updates.
    pub neurons_updated: u64,
    /// Spikes of neurons, without those of inputs.
    pub neurons_fired: u64,
    /// Spikes that arrived over stored synapses.
    pub synaptic_events: u64,
    /// Packets between cores.
    pub packets: u64,
    /// Link crossings.
    pub hops: Hops,
    /// Further counters by name.
    #[serde(flatten)]
    pub more: BTreeMap<String, u64>,
}

/// Synaptic operations in every definition in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SynOps<N> {
    /// Over stored synapses, zero weights included: what a chip executes.
    pub stored: N,
    /// Over weights that are not zero.
    pub effective: N,
    /// If every input and weight were active.
    pub dense: N,
    /// Effective ones with a graded input.
    pub macs: N,
    /// Effective ones with a unit input.
    pub acs: N,
}

impl SynOps<u64> {
    /// The mean over samples; none if there are no samples.
    pub fn per_sample(&self, samples: u64) -> Option<SynOps<f64>> {
        let mean = |count: u64| count as f64 / samples as f64;
        (samples > 0).then(|| SynOps {
            stored: mean(self.stored),
            effective: mean(self.effective),
            dense: mean(self.dense),
            macs: mean(self.macs),
            acs: mean(self.acs),
        })
    }
}

/// What learning cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Presentations of a sample.
    pub samples: u64,
    /// Events while learning.
    pub counts: Counts,
    /// Energy while learning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy: Option<Bill>,
}

/// How long the chip takes, in seconds of its own time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Name of the latency model.
    pub model: String,
    /// All held-out samples, one after the other.
    pub total_s: f64,
    /// One tick.
    pub per_step: PerStep,
}

/// Time of a tick, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct PerStep {
    /// Mean over ticks.
    pub mean: f64,
    /// The time that 99 of 100 ticks do not exceed.
    pub p99: f64,
    /// The slowest tick.
    pub max: f64,
}

impl PerStep {
    /// From the times of all ticks; zeros without ticks.
    pub fn of(times_s: &[f64]) -> Self {
        let mut sorted = times_s.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        let at = |share: f64| sorted.get((last as f64 * share).ceil() as usize).copied();
        Self {
            mean: times_s.iter().sum::<f64>() / times_s.len().max(1) as f64,
            p99: at(0.99).unwrap_or(0.0),
            max: at(1.0).unwrap_or(0.0),
        }
    }
}

impl Report {
    /// An empty report of this version of the tool.
    pub fn new(seed: u64) -> Self {
        Self {
            schema: SCHEMA.into(),
            tool: Tool { name: "synop".into(), version: env!("CARGO_PKG_VERSION").into() },
            command: String::new(),
            label: String::new(),
            seed,
            profile: Map::new(),
            image: None,
            task: None,
            counts: None,
            synops: None,
            per_sample: None,
            training: None,
            energy: None,
            other_chips: Vec::new(),
            latency: None,
            host: None,
            warnings: Vec::new(),
            runs: Vec::new(),
            more: Map::new(),
        }
    }

    /// An empty report with a label, to stand among others.
    pub fn labelled(seed: u64, label: &str) -> Self {
        Self { label: label.to_owned(), ..Self::new(seed) }
    }

    /// The runs: those inside, or this one.
    pub fn each_run(&self) -> &[Report] {
        if self.runs.is_empty() { std::slice::from_ref(self) } else { &self.runs }
    }

    /// Sets the synaptic operations and their mean over the samples of the task.
    pub fn set_synops(&mut self, synops: SynOps<u64>) {
        let samples = self.task.as_ref().map_or(0, |task| task.samples);
        self.per_sample = synops.per_sample(samples);
        self.synops = Some(synops);
    }

    /// All warnings without repetition; one that not every run has names its runs' labels.
    pub fn all_warnings(&self) -> Vec<String> {
        let mut all = self.warnings.clone();
        for run in &self.runs {
            for warning in &run.warnings {
                let common = self.runs.iter().all(|other| other.warnings.contains(warning));
                let text = match common || run.label.is_empty() {
                    true => warning.clone(),
                    false => format!("{}: {warning}", run.label),
                };
                if !all.contains(&text) {
                    all.push(text);
                }
            }
        }
        all
    }
}
