//! The figures that a report can draw from its own keys.

use synop_cost::{Bill, Interval};

use super::Report;
use super::page::{Figure, Section};
use crate::commands::devices::curve;
use crate::plot::{Bars, Xy};

/// More runs than this are compared in tables only.
const MOST_RUNS: usize = 8;

/// More rows than this make a bar chart unreadable; the largest are kept.
const MOST_ROWS: usize = 24;

/// Every figure that the report has data for.
pub(super) fn standard(report: &Report) -> Vec<Figure> {
    let runs = report.each_run();
    let mut figures = Vec::new();
    figures.extend(accuracy(runs));
    figures.extend(accuracy_over_bits(runs));
    if runs.len() <= MOST_RUNS {
        figures.extend(energy(runs, "class", |bill| {
            let events = bill.by_class.iter().map(|(class, energy)| (class.clone(), *energy));
            events.chain(bill.static_j.map(|energy| ("static".to_owned(), energy))).collect()
        }));
        figures.extend(energy(runs, "layer", |bill| {
            bill.by_population.iter().map(|(name, split)| (name.clone(), split.priced_j)).collect()
        }));
        figures.extend(energy(runs, "core", |bill| {
            bill.by_core.iter().map(|(core, split)| (format!("core {core}"), split.priced_j)).collect()
        }));
        figures.extend(other_chips(runs));
        figures.extend(latency(runs));
    }
    figures.extend(devices(runs));
    figures
}

/// What learning did to the cells of crossbars, and the curve of each kind of device.
fn devices(runs: &[Report]) -> Vec<Figure> {
    let mut wear = Bars::new("Wear", "pulses", &["mean of a cell", "most of a cell"]).log();
    let mut names: Vec<&str> = Vec::new();
    for run in runs {
        let Some(found) = run.more.get("crossbar") else { continue };
        let number = |key: &str| found[key].as_f64().unwrap_or(0.0);
        wear = wear.row(&run.name(), &[number("pulses") / number("devices").max(1.0), number("most_pulses")]);
        if let Some(name) = found["device"].as_str()
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Vec::new();
    }
    let note = "Programming pulses in all of learning; what exceeds a device's endurance is in the table of the run.";
    let mut figures = vec![Figure::new(Section::Device, &wear, note)];
    let seed = runs.first().map_or(1, |run| run.seed);
    // A device from a file of the user's own is drawn by `synop devices show FILE`.
    figures.extend(names.into_iter().take(MOST_RUNS).filter_map(|name| {
        let curve = curve(name, seed).ok()?;
        Some(Figure::new(Section::Device, &curve, "The law, its integers, and what single devices do."))
    }));
    figures
}

fn names(runs: &[&Report]) -> Vec<String> {
    runs.iter().map(|run| run.name()).collect()
}

fn as_strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// Accuracy of each run, where there are several.
fn accuracy(runs: &[Report]) -> Option<Figure> {
    let known: Vec<_> =
        runs.iter().filter_map(|run| Some((run.name(), run.task.as_ref()?.accuracy?))).collect();
    if known.len() < 2 || known.len() > MOST_ROWS {
        return None;
    }
    let bars =
        known.iter().fold(Bars::new("Accuracy", "accuracy (%)", &["accuracy"]), |bars, (name, accuracy)| {
            bars.row(name, &[accuracy * 100.0])
        });
    Some(Figure::new(Section::Results, &bars, "Share of held-out samples classified rightly."))
}

/// Accuracy against the width of the weights, where the runs differ in it.
fn accuracy_over_bits(runs: &[Report]) -> Option<Figure> {
    let mut points: Vec<_> = runs
        .iter()
        .filter_map(|run| {
            let bits = f64::from(run.image.as_ref()?.weight_bits);
            Some((bits, run.task.as_ref()?.accuracy? * 100.0))
        })
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let first = points.first()?.0;
    if points.iter().all(|point| point.0 == first) {
        return None;
    }
    let plot = Xy::new("Accuracy against weight bits", "weight bits", "accuracy (%)").points("runs", points);
    Some(Figure::new(Section::Results, &plot, "Each point is one run."))
}

/// Energy split along one direction, one bar per run, largest first.
fn energy(runs: &[Report], by: &str, split: impl Fn(&Bill) -> Vec<(String, Interval)>) -> Option<Figure> {
    let billed: Vec<&Report> = runs.iter().filter(|run| run.energy.is_some()).collect();
    let mut rows: Vec<(String, Vec<Interval>)> = Vec::new();
    for (index, bill) in billed.iter().filter_map(|run| run.energy.as_ref()).enumerate() {
        for (name, energy) in split(bill) {
            let row = match rows.iter_mut().find(|row| row.0 == name) {
                Some(row) => row,
                None => {
                    rows.push((name, vec![Interval::ZERO; billed.len()]));
                    rows.last_mut()?
                }
            };
            if let Some(slot) = row.1.get_mut(index) {
                *slot = energy;
            }
        }
    }
    // Classes that another one pays for would only push the rest apart.
    rows.retain(|row| row.1.iter().any(|energy| energy.high > 0.0));
    if rows.len() < 2 {
        return None;
    }
    let largest =
        |row: &(String, Vec<Interval>)| row.1.iter().map(|energy| energy.nominal).fold(0.0, f64::max);
    rows.sort_by(|a, b| largest(b).total_cmp(&largest(a)));
    let dropped = rows.len().saturating_sub(MOST_ROWS);
    rows.truncate(MOST_ROWS);
    let names = names(&billed);
    let mut bars = Bars::new(&format!("Energy by {by}"), "energy (J)", &as_strs(&names));
    for (name, energies) in &rows {
        let values: Vec<_> = energies.iter().map(|e| (e.nominal, e.low, e.high)).collect();
        bars = bars.row_with_interval(name, &values);
    }
    let mut note = "Held-out samples together; whiskers span the bounds of the prices.".to_owned();
    if dropped > 0 {
        note.push_str(&format!(" The {dropped} smallest are in energy-by-{by}.csv only."));
    }
    Some(Figure::new(Section::Energy, &bars, &note))
}

/// The same counts on other chips: totals with their bounds.
fn other_chips(runs: &[Report]) -> Option<Figure> {
    let compared: Vec<&Report> = runs.iter().filter(|run| !run.other_chips.is_empty()).collect();
    let mut chips: Vec<&str> = Vec::new();
    let bills =
        |run: &'_ Report| -> Vec<Bill> { run.energy.iter().chain(&run.other_chips).cloned().collect() };
    let all: Vec<Vec<Bill>> = compared.iter().map(|run| bills(run)).collect();
    for bill in all.iter().flatten().filter(|bill| bill.total_j.is_some()) {
        if !chips.contains(&bill.chip.as_str()) {
            chips.push(&bill.chip);
        }
    }
    if chips.len() < 2 {
        return None;
    }
    let names = names(&compared);
    let mut bars = Bars::new("The same counts on other chips", "energy (J)", &as_strs(&names)).log();
    for chip in chips {
        let totals = all.iter().map(|bills| {
            let total = bills.iter().find(|bill| bill.chip == chip).and_then(|bill| bill.total_j);
            total.map_or((f64::NAN, f64::NAN, f64::NAN), |t| (t.nominal, t.low, t.high))
        });
        bars = bars.row_with_interval(chip, &totals.collect::<Vec<_>>());
    }
    let note = "The counts stay as this emulation took them; only prices change. \
                Chips that cannot price every class are left out.";
    Some(Figure::new(Section::Energy, &bars, note))
}

/// Mean, 99th percentile and slowest tick of each run.
fn latency(runs: &[Report]) -> Option<Figure> {
    let timed: Vec<_> = runs.iter().filter_map(|run| Some((run.name(), run.latency.as_ref()?))).collect();
    if timed.len() < 2 {
        return None;
    }
    let mut bars = Bars::new("Latency per tick", "time (s)", &["mean", "99 of 100 below", "slowest"]);
    for (name, latency) in timed {
        let per_step = latency.per_step;
        bars = bars.row(&name, &[per_step.mean, per_step.p99, per_step.max]);
    }
    Some(Figure::new(Section::Latency, &bars, "Time of the emulated chip, not of this machine."))
}
