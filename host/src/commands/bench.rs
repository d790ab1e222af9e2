//! `synop bench`: the standard workloads, each beside the machine's own bound.

use serde_json::Value;

use crate::bench::bound::{Bound, Bounds};
use crate::bench::scaling::curves;
use crate::bench::{CASES, Case, Setting};
use crate::cli::Common;
use crate::plot::Plot;
use crate::progress::Progress;
use crate::report::Report;
use crate::table::Table;
use crate::{Failure, files};

/// Run the standard workloads: events per second, bytes per synapse, and this machine's own limit beside them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Events are spikes times the synapses they reach; a rate is events per second of processor time, which is a core's,
and in all those per second on the clock, of all threads together. The bound is measured in the same run: a bare loop that adds to sums as every event must.

Examples:
  synop bench
  synop bench W1-ai W2 --repeats 5 --json
  synop bench W1 --threads 2
  synop bench W2 --length 0.1 --out w2
  synop bench --scaling --length 0.1 --out scaling
  synop bench --list")]
pub struct Args {
    /// Workloads, or the beginning of their names [default: all but the largest]
    names: Vec<String>,
    /// Runs of each workload; the fastest counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    repeats: u16,
    /// Length of a run against the standard one
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    length: f64,
    /// List the workloads
    #[arg(long)]
    list: bool,
    /// Measure only the bounds of this machine
    #[arg(long, conflicts_with = "names")]
    bounds: bool,
    /// Measure how cost grows with events, neurons, synapses, cores and threads; plots with --out
    #[arg(long, conflicts_with_all = ["names", "bounds"])]
    scaling: bool,
}

/// Runs the workloads that were named and prints a table, or one report with all runs.
///
/// # Errors
/// Bad use: no such workload. The work failed: a network has no image, or the folder cannot be written to.
pub fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    if args.list {
        let labels: Vec<_> =
            CASES.iter().map(|c| serde_json::json!({"label": c.label, "about": c.about})).collect();
        return common
            .print(&labels, || CASES.iter().map(|c| format!("{:12} {}\n", c.label, c.about)).collect());
    }
    if args.bounds {
        let mut bounds = Bounds::default();
        (0..args.repeats).for_each(|_| bounds.measure(&Bound::ALL));
        return common.print(&bounds.json(), || {
            let line = |b: &Bound| {
                let rate = bounds.get(*b).unwrap_or(f64::NAN) * 1e-9;
                format!("{rate:8.2} G/s  {}\n", b.title())
            };
            Bound::ALL.iter().map(line).collect()
        });
    }
    if !(args.length > 0.0 && args.length <= 1.0) {
        return Err(Failure::bad_input("a share above 0, at most 1, is needed")
            .place("--length")
            .found(args.length));
    }
    let setting = Setting {
        seed: common.seed(),
        threads: common.threads.map_or(1, usize::from),
        repeats: usize::from(args.repeats),
        length: args.length,
        out: common.out.clone(),
    };
    let mut report = Report::new(setting.seed);
    report.command = "bench".into();
    if args.scaling {
        return scaling(report, &setting, common);
    }
    let cases = chosen(&args.names)?;
    let progress = Progress::new("workloads", cases.len() as u64);
    for case in cases {
        report.runs.push((case.run)(&setting)?);
        progress.add(1, 0);
    }
    progress.finish();
    if let Some(folder) = &common.out {
        files::write_json(&folder.join("report.json"), &report)?;
        files::write(&folder.join("bench.csv"), table(&report).csv())?;
    }
    common.print(&report, || text(&report))
}

/// Measures the curves; prints and draws them.
fn scaling(mut report: Report, setting: &Setting, common: &Common) -> Result<(), Failure> {
    let curves = curves(setting)?;
    report.runs = curves.iter().map(|c| c.report(setting.seed)).collect();
    if let Some(folder) = &common.out {
        files::write_json(&folder.join("report.json"), &report)?;
        for curve in &curves {
            files::write(&folder.join(format!("scaling-{}.svg", curve.name)), curve.plot().svg())?;
        }
    }
    common.print(&report, || {
        let mut text = String::new();
        for curve in &curves {
            let mut table =
                Table::new(curve.x).number(curve.x).number("events").number("s").number("ns per event");
            for p in &curve.points {
                let seconds = curve.seconds(p);
                let each = seconds * 1e9 / p.events.max(1) as f64;
                table.push(vec![p.x.into(), p.events.into(), seconds.into(), each.into()]);
            }
            text.push_str(&table.terminal());
            text.push('\n');
        }
        text
    })
}

fn chosen(names: &[String]) -> Result<Vec<&'static Case>, Failure> {
    if names.is_empty() {
        return Ok(CASES.iter().filter(|c| c.usual).collect());
    }
    let mut chosen = Vec::new();
    for name in names {
        let exact: Vec<_> = CASES.iter().filter(|c| c.label.eq_ignore_ascii_case(name)).collect();
        let begins = |c: &&Case| c.usual && c.label.to_lowercase().starts_with(&name.to_lowercase());
        let found = if exact.is_empty() { CASES.iter().filter(begins).collect() } else { exact };
        if found.is_empty() {
            let known: Vec<_> = CASES.iter().map(|c| c.label).collect();
            return Err(Failure::bad_input("there is no such workload")
                .place("synop bench")
                .found(name)
                .expected(known.join(", "))
                .mend("see synop bench --list"));
        }
        chosen.extend(found);
    }
    Ok(chosen)
}

fn table(report: &Report) -> Table {
    let mut table = Table::new("Standard workloads")
        .text("workload")
        .quantity("events", "/s")
        .quantity("in all", "/s")
        .quantity("bound", "/s")
        .number("% of it")
        .number("CPU s")
        .number("wall s")
        .number("B/synapse")
        .number("build s")
        .number("peak MB");
    for run in &report.runs {
        let bench = run.more.get("bench").unwrap_or(&Value::Null);
        let number = |key: &str| bench[key].as_f64().unwrap_or(f64::NAN);
        let peak = run.host.as_ref().and_then(|h| h.peak_rss_bytes).map_or(f64::NAN, |b| b as f64 / 1e6);
        table.push(vec![
            run.label.as_str().into(),
            number("events_per_s").into(),
            number("events_per_wall_s").into(),
            number("bound_events_per_s").into(),
            (100.0 * number("bound_fraction")).into(),
            number("cpu_s").into(),
            number("wall_s").into(),
            number("bytes_per_synapse").into(),
            number("build_s").into(),
            peak.into(),
        ]);
    }
    table
}

fn text(report: &Report) -> String {
    let mut text = table(report).terminal();
    for run in &report.runs {
        let bench = run.more.get("bench").unwrap_or(&Value::Null);
        if let Some(ms) = bench["ms_per_sample"].as_f64() {
            text.push_str(&format!("{}: {ms:.4} ms per sample\n", run.label));
        }
    }
    text
}
