//! One network on every chip: each maps and runs it in its own stores, one table compares.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use synop_cost::latency::Model;
use synop_cost::{Chip, shipped};
use synop_device::Preset;
use synop_model::crossbar::{Converter, Crossbar};
use synop_model::network::{Network, Synapses};
use synop_model::placement::Strategy;

use crate::Failure;
use crate::cli::Common;
use crate::input::Inputs;
use crate::pipeline::{self, Keep};
use crate::report::Report;
use crate::source::{NirNetwork, QuantizeArgs};
use crate::table::{Cell, Table};

/// What every chip is asked.
pub struct Question<'q> {
    /// The network.
    pub network: &'q NirNetwork,
    /// What it runs on.
    pub inputs: &'q Inputs,
    /// How weights become integers, apart from their width.
    pub quantizer: &'q QuantizeArgs,
    /// Widest weight that is wanted; none: as wide as each chip stores.
    pub bits: Option<u32>,
    /// Latency model.
    pub model: Model,
}

/// Widest weight of the machine's stores.
const WIDEST: u32 = 16;

/// Bits of a weight on a chip.
pub fn bits_on(chip: &Chip, wanted: Option<u32>) -> u32 {
    wanted.unwrap_or(WIDEST).min(chip.weights.bits).clamp(1, WIDEST)
}

/// One report per shipped chip, in the order of `synop chips`. A chip that the network does not fit has a report
/// that says why, without energy.
///
/// # Errors
/// Bad input: the network or its input. That a chip is too small is no error.
pub fn compare(question: &Question<'_>, common: &Common) -> Result<Vec<Report>, Failure> {
    let mut reports: Vec<Report> = Vec::new();
    for name in shipped::names() {
        // How often neurons fire is nearly the same on every chip; converters are set for it.
        let rates = reports.iter().find_map(rates);
        reports.push(one(question, common, name, rates.as_deref())?);
    }
    Ok(reports)
}

/// Events per neuron and tick of every population, from a report that has them.
fn rates(report: &Report) -> Option<Vec<f64>> {
    let layers = report.more.get("layers")?.as_array()?;
    Some(layers.iter().map(|l| l.get("rate").and_then(Value::as_f64).unwrap_or(0.0)).collect())
}

/// Deviations of a column's sum that its converter takes without clipping.
const DEVIATIONS: f64 = 4.0;
/// Most devices of one projection.
const MOST_CELLS: usize = 1 << 23;

/// Puts the weights of a network on the memristive arrays of a chip; says what stays digital.
///
/// # Errors
/// Bad input: the chip's device is unknown.
fn on_arrays(
    network: &mut Network,
    chip: &Chip,
    device: &str,
    rates: &[f64],
) -> Result<Vec<String>, Failure> {
    let preset =
        Preset::shipped(device).map_err(|error| Failure::bad_input(error).place("weights.device"))?;
    let side = chip.weights.array.unwrap_or(128) as usize;
    let mut notes = Vec::new();
    for number in 0..network.projections.len() {
        let Some(p) = network.projections.get(number) else { continue };
        let size = |q: usize| network.populations.get(q).map_or(0, |p| p.size);
        let (rows, columns) = (size(p.source), size(p.target));
        let name = p.name.clone();
        if matches!(p.synapses, Synapses::Identity { .. }) || rows * columns > MOST_CELLS {
            notes.push(format!("`{name}` stays digital: links one to one, or more cells than are emulated"));
            continue;
        }
        let rate = rates.get(p.source).copied().unwrap_or(0.1).clamp(0.0, 1.0);
        let mut bar = Crossbar::new(preset.clone(), 1, Vec::new());
        bar.tile = (side, side);
        if !network.put_on_crossbar(number, &bar) {
            notes.push(format!("`{name}` stays digital: its synapses have several delays"));
            continue;
        }
        let Some(Synapses::Crossbar(bar)) = network.projections.get_mut(number).map(|p| &mut p.synapses)
        else {
            continue;
        };
        bar.weight_max = bar.weights.iter().map(|w| i32::from(w.unsigned_abs())).max().unwrap_or(1).max(1);
        let mut largest = 1.0f64;
        for column in 0..columns {
            for first in (0..rows).step_by(side) {
                let cells =
                    (first..(first + side).min(rows)).filter_map(|r| bar.weights.get(r * columns + column));
                let (sum, squares) =
                    cells.fold((0.0, 0.0), |(a, b), w| (a + f64::from(*w), b + f64::from(*w).powi(2)));
                largest = largest.max(rate * sum.abs() + DEVIATIONS * (rate * (1.0 - rate) * squares).sqrt());
            }
        }
        let bits = chip.weights.converter_bits.unwrap_or(8);
        bar.converter = Some(Converter { bits, full_scale: largest });
    }
    Ok(notes)
}

fn one(q: &Question<'_>, common: &Common, name: &str, rates: Option<&[f64]>) -> Result<Report, Failure> {
    let chip = shipped::chip(name).map_err(Failure::bad_input)?;
    let bits = bits_on(&chip, q.bits);
    let options = q.quantizer.calibrate(q.network, Some(q.inputs))?.options(bits);
    let mut quantized = q.network.quantize(&options)?;
    let mut notes = Vec::new();
    if let Some(device) = &chip.weights.device {
        notes = on_arrays(&mut quantized.network, &chip, device, rates.unwrap_or(&[]))?;
        notes.push(format!("weights on arrays of `{device}` with its programming error and read noise"));
    }
    let compiled = match pipeline::compile(&quantized.network, &chip, &Strategy::Automatic, q.model) {
        Ok(compiled) => compiled,
        Err(failure) => {
            let mut report = Report::labelled(common.seed(), name);
            report.warnings.push(failure.trouble().what.clone());
            report.more.insert("fits".into(), json!(false));
            report.more.insert("weight_bits".into(), json!(bits));
            return Ok(report);
        }
    };
    let keep = Keep::default();
    let (ran, _) = common.in_pool(|| pipeline::run(&compiled, q.inputs, keep, |_, _, _| Ok(())))??;
    let mut report = pipeline::report(&compiled, &ran, q.inputs, &chip, common.seed())?;
    report.label = name.into();
    report.warnings.extend(notes);
    report.more.insert("fits".into(), json!(true));
    report.more.insert("weight_bits".into(), json!(bits));
    report
        .more
        .insert("utilisation".into(), json!(compiled.on_chip.as_ref().and_then(|on| on.utilisation())));
    Ok(report)
}

/// Sources of the prices that a run used, each once.
pub fn sources(report: &Report) -> BTreeSet<String> {
    let lines = report.energy.iter().flat_map(|bill| &bill.lines);
    lines.filter(|l| l.kind.is_some()).map(|l| format!("{}: {}", l.class, l.source)).collect()
}

/// The comparison as one table: accuracy, bits, cores, utilisation, energy per sample with its bounds, what has no
/// price, and how the prices are known.
pub fn table(runs: &[Report]) -> Table {
    let mut table = Table::new("Chips")
        .text("chip")
        .number("bits")
        .number("accuracy %")
        .number("cores")
        .number("full %")
        .quantity("energy/sample", "J")
        .quantity("low", "J")
        .quantity("high", "J")
        .text("unpriced")
        .text("known by");
    for run in runs {
        let fits = run.more.get("fits") == Some(&json!(true));
        let samples = run.task.as_ref().map_or(1, |t| t.samples.max(1)) as f64;
        let total = run.energy.as_ref().and_then(|e| e.total_j);
        let each = |f: fn(&synop_cost::Interval) -> f64| Cell::from(total.as_ref().map(|e| f(e) / samples));
        let unpriced: Vec<&str> =
            run.energy.iter().flat_map(|e| &e.unpriced).map(|u| u.class.as_str()).collect();
        let kinds: BTreeSet<&str> =
            run.energy.iter().flat_map(|e| &e.lines).filter_map(|l| l.kind).map(|k| k.name()).collect();
        let cores = run.more.get("mapping").and_then(|m| m.get("cores_used")).and_then(Value::as_u64);
        let full = run.more.get("utilisation").and_then(Value::as_f64);
        table.push(vec![
            run.label.as_str().into(),
            run.more.get("weight_bits").and_then(Value::as_u64).map_or(Cell::Empty, Cell::from),
            Cell::from(run.task.as_ref().and_then(|t| t.accuracy).map(|a| a * 100.0)),
            cores.map_or(Cell::Empty, Cell::from),
            Cell::from(full.map(|f| f * 100.0)),
            each(|e| e.nominal),
            each(|e| e.low),
            each(|e| e.high),
            match (fits, unpriced.is_empty()) {
                (false, _) => "does not fit".into(),
                (true, true) => "none".into(),
                (true, false) => unpriced.join(" ").into(),
            },
            kinds.into_iter().collect::<Vec<_>>().join(" ").into(),
        ]);
    }
    table
}

/// What stands below the table: why chips are missing, and the sources of every price that was used.
pub fn notes(runs: &[Report]) -> String {
    let mut text = String::new();
    for run in runs.iter().filter(|r| r.more.get("fits") == Some(&json!(false))) {
        text.push_str(&format!("{}: {}\n", run.label, run.warnings.join("; ")));
    }
    for run in runs {
        for missing in run.energy.iter().flat_map(|e| &e.unpriced) {
            text.push_str(&format!("{}: no price for {}: {}\n", run.label, missing.class, missing.reason));
        }
    }
    text.push_str("\nSources\n");
    for run in runs.iter().filter(|r| r.energy.is_some()) {
        text.push_str(&format!("  {}\n", run.label));
        for source in sources(run) {
            text.push_str(&format!("    {source}\n"));
        }
    }
    text
}
