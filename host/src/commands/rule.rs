//! `synop rule`: a learning rule in float64 and in integers, on the same events.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;
use synop_core::plasticity;
use synop_model::rule::RuleSpec;

use crate::Failure;
use crate::cli::Common;
use crate::plot::{Plot, Xy};
use crate::rule::{Study, study};
use crate::table::{Cell, Table};
use crate::{files, plot};

/// Run a learning rule in float64 and in integers of several widths, on the same events
///
/// Prints the weight error against float64, updates that rounding made zero, saturations, rounding bias and the
/// accuracy on the embedded digits for every width and rounding; with --device, also what is left of the rule when
/// its changes are pulses on memristive devices, with pulses, their energy and wear.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  synop rule experiments/rules/delta.rule
  synop rule experiments/rules/stdp.rule --bits 16,8,6,4 --rounding nearest,stochastic
  synop rule experiments/rules/delta.rule --bits 8 --epochs 3 --json
  synop rule experiments/rules/delta.rule --bits 8 --device reram-es,pcm,ecram")]
pub struct Args {
    /// File with the text of one rule
    rule: PathBuf,
    /// Widths of the weights in bits, 2 to 16
    #[arg(long, value_name = "B,…", value_delimiter = ',', default_value = "16,8,6,4", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(2..=16))]
    bits: Vec<u32>,
    /// Roundings to compare
    #[arg(long, value_name = "R,…", value_delimiter = ',', default_value = "nearest,stochastic")]
    rounding: Vec<Rounding>,
    /// Memristive devices on which the rule's changes become pulses: names or files, see `synop devices`
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    device: Vec<String>,
    /// On devices, read each change back, pulse by pulse, until it is within so many weight units; else pulses are blind
    #[arg(long, value_name = "UNITS", requires = "device")]
    verify: Option<f64>,
    /// Times that the training samples are seen
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    epochs: u16,
}

/// A rounding to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rounding {
    /// To the nearest integer, ties away from zero
    Nearest,
    /// Up with the probability of the fraction
    Stochastic,
}

#[derive(Debug, Serialize)]
struct Tool {
    version: &'static str,
}

/// What the command prints as JSON.
#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: u32,
    tool: Tool,
    seed: u64,
    rule: String,
    #[serde(flatten)]
    study: &'a Study,
}

/// Runs the command.
///
/// # Errors
/// Bad input when the file is no rule or does not fit a width.
pub fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    let text = files::read_text(&args.rule)?;
    let spec = RuleSpec::parse(&text).map_err(|error| {
        Failure::bad_input(error).file(&args.rule).mend("the page own-rule of the manual has the grammar")
    })?;
    let roundings: Vec<_> = args
        .rounding
        .iter()
        .map(|rounding| match rounding {
            Rounding::Nearest => plasticity::Rounding::Nearest,
            Rounding::Stochastic => plasticity::Rounding::Stochastic,
        })
        .collect();
    let devices = args.device.iter().map(|name| super::devices::load(name)).collect::<Result<Vec<_>, _>>()?;
    if let Some(units) = args.verify.filter(|units| !(*units > 0.0 && *units < 32_768.0)) {
        let failure = Failure::bad_input("not a possible tolerance").place("--verify").found(units);
        return Err(failure
            .expected("above 0, below 32 768")
            .mend("set --verify to a number of weight units"));
    }
    let written = (&devices[..], args.verify);
    let study = study(&spec, &args.bits, &roundings, written, usize::from(args.epochs), common.seed())
        .map_err(|failure| failure.file(&args.rule))?;
    let report = Report {
        schema: 1,
        tool: Tool { version: env!("CARGO_PKG_VERSION") },
        seed: common.seed(),
        rule: spec.to_string(),
        study: &study,
    };
    let table = table(&study);
    if let Some(folder) = &common.out {
        let json = serde_json::to_vec_pretty(&report)
            .map_err(|error| Failure::work(format_args!("the result is not JSON: {error}")))?;
        files::write(&folder.join("rule.json"), json)?;
        files::write(&folder.join("rule.csv"), table.csv())?;
        if !devices.is_empty() {
            files::write(&folder.join("rule-pulses.csv"), pulses(&study).csv())?;
        }
        files::write(&folder.join("rule-error.svg"), figure(&study).svg())?;
    }
    common.print(&report, || {
        let samples = format!("{} training samples, {} held out", study.train_samples, study.samples);
        let pulses = if devices.is_empty() { String::new() } else { pulses(&study).terminal() + "\n" };
        format!("{}\n{}\n{pulses}{samples}", spec, table.terminal())
    })
}

fn table(study: &Study) -> Table {
    let mut table = Table::new("The rule against float64")
        .text("run")
        .number("accuracy %")
        .number("weight error %")
        .number("bias %")
        .number("updates")
        .number("rounded to zero")
        .number("saturations")
        .number("draws");
    for run in &study.runs {
        let last = run.error.last();
        let percent = |value: f64| Cell::from(100.0 * value);
        let integer = run.bits.is_some() || run.device.is_some();
        let count = |value: u64| integer.then_some(value);
        table.push(vec![
            Cell::from(run.label.as_str()),
            percent(run.task.accuracy),
            last.map_or(Cell::Empty, |point| percent(point.rms)),
            last.map_or(Cell::Empty, |point| percent(point.bias)),
            count(run.updates).into(),
            count(run.rounded_to_zero).into(),
            count(run.saturations).into(),
            count(run.draws).into(),
        ]);
    }
    table
}

/// What writing by pulses took, device by device.
fn pulses(study: &Study) -> Table {
    let mut table = Table::new("The rule in pulses")
        .text("run")
        .number("pulses per weight")
        .number("up pulses")
        .number("down pulses")
        .number("resets")
        .quantity("write energy", "J")
        .quantity("read energy", "J")
        .number("verify reads")
        .number("most pulses of a device")
        .number("worn devices")
        .number("stuck devices");
    for run in &study.runs {
        let Some(d) = &run.device else { continue };
        table.push(vec![
            run.label.as_str().into(),
            d.pulses_per_weight.into(),
            d.pulses_up.into(),
            d.pulses_down.into(),
            d.resets.into(),
            d.write_j.into(),
            d.read_j.into(),
            d.verify_reads.into(),
            u64::from(d.most_pulses).into(),
            d.worn_devices.into(),
            d.stuck_devices.into(),
        ]);
    }
    table
}

fn figure(study: &Study) -> plot::Xy {
    let mut figure =
        Xy::new("Weight error against float64", "training samples", "RMS error, % of the largest weight");
    for run in study.runs.iter().filter(|run| !run.error.is_empty()) {
        figure =
            figure.line(&run.label, run.error.iter().map(|point| (point.samples as f64, 100.0 * point.rms)));
    }
    figure
}
