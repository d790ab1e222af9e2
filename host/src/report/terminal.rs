//! The report as text for a terminal of 80 columns: warnings first, then one line per run.

use super::Report;
use crate::table::{Cell, Table};

/// A column of the summary: its name, its unit, and its value in a run that has one.
type Column = (&'static str, Option<&'static str>, fn(&Report) -> Option<f64>);

/// Runs whose bills a terminal shows; those of more are in the JSON and in the files of `--out`.
const MOST_BILLS: usize = 8;

impl Report {
    /// The report as text: warnings, the summary, and the bill where there is one.
    pub fn terminal(&self) -> String {
        let mut text = String::new();
        for warning in self.all_warnings() {
            text.push_str(&format!("warning: {warning}\n"));
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&self.summary().terminal());
        let bill = self.bill();
        if !bill.rows().is_empty() && self.each_run().len() <= MOST_BILLS {
            text.push('\n');
            text.push_str(&bill.terminal());
        }
        text
    }

    /// One row per run: accuracy, activity, operations, energy and latency per sample.
    /// Columns that no run has a value for are left out.
    pub fn summary(&self) -> Table {
        let runs = self.each_run();
        let columns: [Column; 10] = [
            ("accuracy (%)", None, |run| Some(run.task.as_ref()?.accuracy? * 100.0)),
            ("hidden frozen (%)", None, |run| {
                Some(run.task.as_ref()?.more.get("accuracy_frozen_hidden")?.as_f64()? * 100.0)
            }),
            ("spikes/sample", None, |run| Some(run.counts.as_ref()?.neurons_fired as f64 / run.samples()?)),
            ("SynOps/sample", None, |run| Some(run.per_sample?.effective)),
            ("energy/sample", Some("J"), |run| Some(run.energy.as_ref()?.total_j?.nominal / run.samples()?)),
            ("latency/sample", Some("s"), |run| Some(run.latency.as_ref()?.total_s / run.samples()?)),
            ("training energy", Some("J"), |run| {
                Some(run.training.as_ref()?.energy.as_ref()?.total_j?.nominal)
            }),
            ("pulses", None, |run| run.more.get("crossbar")?.get("pulses")?.as_f64()),
            ("pulse energy", Some("J"), |run| run.more.get("crossbar")?.get("write_j")?.as_f64()),
            ("worn devices", None, |run| run.more.get("crossbar")?.get("worn_devices")?.as_f64()),
        ];
        let used: Vec<_> =
            columns.iter().filter(|(_, _, value)| runs.iter().any(|run| value(run).is_some())).collect();
        let mut table = Table::new("Summary").text("run");
        for (name, unit, _) in &used {
            table = match unit {
                Some(unit) => table.quantity(name, unit),
                None => table.number(name),
            };
        }
        for run in runs {
            let mut row = vec![Cell::from(run.name())];
            row.extend(used.iter().map(|(_, _, value)| Cell::from(value(run))));
            table.push(row);
        }
        table
    }

    /// One row per run and priced class: events, price, energy with bounds, where the price is from.
    pub fn bill(&self) -> Table {
        let mut table = Table::new("Energy by class")
            .text("run")
            .text("class")
            .number("events")
            .text("price")
            .quantity("energy", "J")
            .quantity("low", "J")
            .quantity("high", "J")
            .text("kind");
        for run in self.each_run() {
            let Some(bill) = &run.energy else { continue };
            for line in &bill.lines {
                table.push(vec![
                    run.name().into(),
                    line.class.as_str().into(),
                    line.count.into(),
                    line.price.as_str().into(),
                    line.energy_j.nominal.into(),
                    line.energy_j.low.into(),
                    line.energy_j.high.into(),
                    line.kind.map_or("-", |kind| kind.name()).into(),
                ]);
            }
            if let Some(energy) = bill.static_j {
                table.push(vec![
                    run.name().into(),
                    "static".into(),
                    Cell::Empty,
                    Cell::Empty,
                    energy.nominal.into(),
                    energy.low.into(),
                    energy.high.into(),
                ]);
            }
        }
        table
    }

    /// The label, or what the report is of.
    pub(super) fn name(&self) -> String {
        match (self.label.is_empty(), self.command.is_empty()) {
            (false, _) => self.label.clone(),
            (true, false) => self.command.clone(),
            (true, true) => "run".to_owned(),
        }
    }

    fn samples(&self) -> Option<f64> {
        let samples = self.task.as_ref()?.samples;
        (samples > 0).then_some(samples as f64)
    }
}
