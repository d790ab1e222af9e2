//! `synop demo`: one image, two modes: digits as trajectories, learnt on the emulated chip, counted and priced.

use crate::Failure;
use crate::cli::Common;
use crate::commands::firmware;
use crate::data;
use crate::experiment::Checkpoint;
use crate::firmware::present::lesson;
use crate::local::{Drive, Evaluation, Samples, Setup, Trial};
use crate::progress::Progress;
use crate::report::{Figure, Meter, Page, Report};
use crate::table::{Cell, Table};
use rayon::prelude::*;
use serde_json::{Value, json};
use synop_cost::{Chip, shipped};
use synop_encode::{Dynamics, Scale, TrajectoryEncoder};

/// Learn handwritten digits on an emulated chip, in a sparse and in a dense mode
///
/// Real 8×8 digits become trajectories of a mixed oscillator. One untrained image of 8-bit weights is
/// trained on chip by a local rule, once on trajectories that contract (damping 10: sparse) and once on
/// trajectories that expand (damping −1.5: dense). Only the input's dynamics differ.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  synop demo
  synop demo --seed 3 --chip loihi1-fitted
  synop demo --seeds 5
  synop demo --json --out demo-report
  synop demo --board mps2-an386 --limit 5")]
pub struct Args {
    /// A shipped chip or the path of a chip file, for energy and latency
    #[arg(long, default_value = "loihi1-published", value_name = "CHIP")]
    chip: String,
    /// Run this many seeds, counted from --seed, and print means
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
    /// Learn the first digits of the sparse mode on a board in QEMU instead, and compare every bit with the host (see
    /// synop firmware --list-boards): a board, several with commas between, or all
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with_all = ["chip", "seeds"])]
    board: Vec<String>,
    /// Digits that a board learns and then answers
    #[arg(long, default_value_t = 5, value_name = "N", requires = "board",
        value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
}

/// The modes: name and damping.
const MODES: [(&str, f64); 2] = [("sparse", 10.0), ("dense", -1.5)];
/// Input units per unit of the trajectory, and where trajectories are clipped.
const UNITS: f64 = 128.0;
const CLIP: f64 = 8.0;
const TICKS: usize = 5;
const HORIZON: f64 = 8.0;
/// The third factor of the rules, epoch by epoch.
const RATES: [i32; 12] = [4, 4, 4, 4, 4, 4, 2, 2, 2, 1, 1, 1];

/// One mode of one seed.
struct Outcome {
    report: Report,
    evaluation: Evaluation,
}

/// Runs the demo.
///
/// # Errors
/// Bad input: an unknown chip. The work failed: the report cannot be written.
pub fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    if !args.board.is_empty() {
        return on_boards(args, common);
    }
    let chip = shipped::load(&args.chip).map_err(|error| Failure::bad_input(format_args!("{error}")))?;
    let meter = Meter::start(common.threads());
    let digits = data::digits::load()?;
    let mut plans = Vec::new();
    for seed in common.seed()..common.seed().saturating_add(args.seeds) {
        for mode in MODES {
            for plastic in [true, false] {
                plans.push((seed, mode, plastic));
            }
        }
    }
    let train = digits.len() * 7 / 10;
    let progress = Progress::new("learning", (plans.len() * RATES.len() * train) as u64);
    let one = |&(seed, mode, plastic): &(u64, (&str, f64), bool)| {
        learn(seed, mode, plastic, &digits, &chip, &|n| progress.add(n, 0))
    };
    let outcomes: Result<Vec<Outcome>, Failure> =
        common.in_pool(|| plans.par_iter().map(one).collect::<Result<Vec<_>, _>>())?;
    progress.finish();
    let outcomes = outcomes?;
    let figures = figures(&outcomes);
    let report = assemble(args, common, outcomes, &meter);
    common.deliver(
        &report,
        || text(&report),
        |folder| Page::new(report.clone()).figures(figures).write(folder),
    )
}

/// Raster and membranes of the first held-out digit in each mode, for the first seed.
fn figures(outcomes: &[Outcome]) -> Vec<Figure> {
    // A run with frozen hidden weights follows each run that learns.
    let learnt = outcomes.iter().step_by(2).take(MODES.len());
    learnt
        .zip(MODES)
        .flat_map(|(outcome, (mode, _))| {
            outcome.evaluation.first.figures(&format!("the first held-out digit, {mode} mode"))
        })
        .collect()
}

/// The first digits of the sparse mode, learnt on boards.
fn on_boards(args: &Args, common: &Common) -> Result<(), Failure> {
    let setup = setup(common.seed(), true);
    let (train, _) = data::digits::load()?.split(0.7, common.seed());
    let Samples { drives, labels } = samples(&train, MODES[0].1)?;
    let digits: Vec<_> = drives.into_iter().zip(labels).take(args.limit as usize).collect();
    let blob = setup.image()?;
    let image = blob.image().map_err(Failure::work)?;
    let script = lesson(&setup, &image, &digits, RATES[0]);
    firmware::learn(&args.board, image, &script, digits.len(), common)
}

/// Digits as drives of the network.
fn samples(set: &data::Dataset, damping: f64) -> Result<Samples, Failure> {
    let mut encoder = TrajectoryEncoder::new(Dynamics::mixed(damping), HORIZON, TICKS);
    encoder.scale = Scale::Fixed(16.0);
    encoder.clip = Some(CLIP);
    let features: Vec<f64> = set.features.iter().map(|v| f64::from(*v)).collect();
    let signals =
        encoder.encode(&features, set.width).map_err(|error| Failure::work(format_args!("{error}")))?;
    let drive = |signal: &synop_encode::Signal| -> Drive {
        let graded = signal.to_graded(UNITS);
        Drive { rows: (0..graded.ticks()).map(|t| graded.tick(t).to_vec()).collect(), repeat: 1 }
    };
    Ok(Samples { drives: signals.iter().map(drive).collect(), labels: set.labels.clone() })
}

/// The demo's network and rules; `plastic_hidden`: whether the hidden layer learns.
pub fn setup(seed: u64, plastic_hidden: bool) -> Setup {
    Setup {
        inputs: 192,
        input_max: (UNITS * CLIP) as u32,
        hidden: 256,
        classes: 10,
        threshold: 8 * 24 * 128,
        decay: 0.5,
        spread: 24.0,
        margin: 600,
        trace_max: 64,
        readout_shift: 3,
        hidden_shift: 16,
        spike_cost: 1.0,
        bits: 8,
        plastic_hidden,
        seed,
        bars: None,
    }
}

fn learn(
    seed: u64,
    (label, damping): (&str, f64),
    plastic: bool,
    digits: &data::Dataset,
    chip: &Chip,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Outcome, Failure> {
    let (train, test) = digits.split(0.7, seed);
    let (train, test) = (samples(&train, damping)?, samples(&test, damping)?);
    let setup = setup(seed, plastic);
    let trial = Trial { setup: &setup, train: &train, test: &test, rates: &RATES, chip };
    let (mut report, evaluation) = trial.run(label, Checkpoint::new(None), progress)?;
    report.profile = profile(&setup, label, damping);
    Ok(Outcome { report, evaluation })
}

fn profile(setup: &Setup, label: &str, damping: f64) -> serde_json::Map<String, Value> {
    let pairs = [
        ("mode", json!(label)),
        ("data", json!("embedded digits, 70 % to learn from, split by the seed")),
        ("encoder", json!("mixed oscillator, RK4 of step 0.01, 5 samples over 8 time units")),
        ("damping", json!(damping)),
        ("divergence", json!(-2.0 * damping)),
        ("clip", json!(CLIP)),
        ("input_units", json!(UNITS)),
        ("threshold", json!(setup.threshold)),
        ("decay", json!(setup.decay)),
        ("reset", json!("by subtraction, in the next tick; spike above the threshold")),
        ("rules", json!(setup.rules())),
        ("epochs", json!(RATES.len())),
        ("placement", json!("one core")),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Puts the runs together; runs with frozen hidden weights only lend their accuracy to the run beside them.
fn assemble(args: &Args, common: &Common, outcomes: Vec<Outcome>, meter: &Meter) -> Report {
    let mut report = Report::new(common.seed());
    report.command = "demo".into();
    let mut events = 0;
    let mut outcomes = outcomes.into_iter();
    while let (Some(plastic), Some(frozen)) = (outcomes.next(), outcomes.next()) {
        let mut run = plastic.report;
        events += plastic.evaluation.per_tick.iter().map(|t| t.events).sum::<u64>();
        if let Some(task) = &mut run.task {
            task.more.insert("accuracy_frozen_hidden".into(), json!(frozen.evaluation.accuracy()));
        }
        report.runs.push(run);
    }
    let of = |label: &str, value: &dyn Fn(&Report) -> f64| -> Vec<f64> {
        report.runs.iter().filter(|r| r.label == label).map(value).collect()
    };
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len().max(1) as f64;
    let accuracy = |r: &Report| r.task.as_ref().and_then(|t| t.accuracy).unwrap_or(0.0);
    let spikes = |r: &Report| r.more.get("spikes_per_sample").and_then(Value::as_f64).unwrap_or(0.0);
    let mut summary = serde_json::Map::new();
    for (label, _) in MODES {
        let all = of(label, &accuracy);
        let least = all.iter().copied().fold(1.0, f64::min);
        summary.insert(
            label.into(),
            json!({"mean_accuracy": mean(&all), "worst_accuracy": least, "spikes_per_sample": mean(&of(label, &spikes))}),
        );
    }
    let ratio = mean(&of("dense", &spikes)) / mean(&of("sparse", &spikes));
    summary.insert("spike_ratio".into(), json!(ratio));
    summary.insert("seeds".into(), json!(args.seeds));
    report.more.insert("summary".into(), summary.into());
    report.host = Some(meter.stop(events));
    report
}

fn text(report: &Report) -> String {
    let mut table = Table::new("Digits on an emulated chip: one untrained image, two modes")
        .number("seed")
        .text("mode")
        .number("accuracy")
        .number("hidden frozen")
        .number("spikes")
        .number("SynOps")
        .quantity("energy", "J")
        .quantity("latency", "s");
    for run in &report.runs {
        let task = run.task.clone().unwrap_or_default();
        let samples = task.samples.max(1) as f64;
        let percent = |x: Option<f64>| x.map_or("–".into(), |x| format!("{:.1} %", 100.0 * x));
        let energy = run.energy.as_ref().and_then(|e| e.total_j);
        let spikes = run.more.get("spikes_per_sample").and_then(Value::as_f64).unwrap_or(0.0);
        table.push(vec![
            Cell::Count(run.seed),
            run.label.as_str().into(),
            percent(task.accuracy).into(),
            percent(task.more.get("accuracy_frozen_hidden").and_then(Value::as_f64)).into(),
            format!("{spikes:.0}").into(),
            run.per_sample.map(|s| s.stored.round() as u64).into(),
            energy.map(|e| e.nominal / samples).into(),
            run.latency.as_ref().map(|l| l.total_s / samples).into(),
        ]);
    }
    let summary = report.more.get("summary").cloned().unwrap_or_default();
    let pick = |label: &str, key: &str| summary[label][key].as_f64().unwrap_or(0.0);
    let mut out = table.terminal();
    out.push_str("\nPer held-out sample; spikes are those of hidden neurons.\n");
    for (label, _) in MODES {
        out.push_str(&format!(
            "{label:>7}: mean {:.1} %, worst {:.1} %, {:.0} spikes\n",
            100.0 * pick(label, "mean_accuracy"),
            100.0 * pick(label, "worst_accuracy"),
            pick(label, "spikes_per_sample"),
        ));
    }
    out.push_str(&format!(
        "The dense mode spends {:.1} times the spikes of the sparse one.\n",
        summary["spike_ratio"].as_f64().unwrap_or(0.0)
    ));
    if let Some(run) = report.runs.first() {
        if let (Some(energy), Some(training)) = (&run.energy, &run.training) {
            out.push_str(&format!(
                "Chip: {}. Learning took {} presentations and {:.2} G synaptic events.\n",
                energy.chip,
                training.samples,
                training.counts.synaptic_events as f64 / 1e9
            ));
            for missing in &energy.unpriced {
                out.push_str(&format!("no price: {} ({})\n", missing.class, missing.reason));
            }
        }
        for warning in report.all_warnings().iter().chain(run.energy.iter().flat_map(|e| &e.warnings)) {
            out.push_str(&format!("note: {warning}\n"));
        }
    }
    out
}
