//! `synop compare`: two traces or two reports, and where they first differ.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::cli::Common;
use crate::trace::{self, Comparison, Trace};
use crate::{Failure, files};

/// Compare two traces or two reports: the first difference
///
/// Traces are those of `synop estimate --trace`, of firmware, or recorded spikes of a framework: npz with one array
/// per node, npy, NIRData; time first. Populations are matched by name. Exit code 0 if equal, 1 if not.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  synop compare recorded.npz float.trace.json
  synop compare int16.trace.json int8.trace.json
  synop compare report-a/report.json report-b/report.json --json")]
pub struct Args {
    /// The first trace or report
    a: PathBuf,
    /// The second one
    b: PathBuf,
    /// Membranes, and numbers of reports, may differ by this much
    #[arg(long, default_value_t = 0.0, value_name = "X")]
    tolerance: f64,
    /// Length of a tick in the unit of recorded events (NIRData)
    #[arg(long, default_value_t = 1.0, value_name = "TIME")]
    tick: f64,
}

#[derive(Serialize)]
struct Found {
    schema: &'static str,
    kind: &'static str,
    equal: bool,
    #[serde(flatten)]
    detail: Detail,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Detail {
    Traces(Comparison),
    Reports { differences: Vec<Change> },
}

#[derive(Serialize)]
struct Change {
    key: String,
    a: Value,
    b: Value,
}

/// What a file holds.
enum Side {
    Trace(Trace),
    Report(Value),
}

/// Compares and prints.
///
/// # Errors
/// Bad input: a file cannot be read, or the two are of different kinds. The work failed: they differ.
pub fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    if !(args.tick > 0.0 && args.tick.is_finite()) {
        return Err(Failure::bad_input("the length of a tick must be positive")
            .place("--tick")
            .found(args.tick));
    }
    let found = match (read(&args.a, args.tick)?, read(&args.b, args.tick)?) {
        (Side::Trace(a), Side::Trace(b)) => {
            let compared = a.compare(&b, args.tolerance);
            if compared.populations.is_empty() || compared.samples == 0 {
                return Err(Failure::bad_input("the traces have nothing in common")
                    .place("A, B")
                    .found(format_args!("{} samples; {}", compared.samples, compared.left_out.join(", ")))
                    .expected("populations of the same name and size")
                    .mend("name the arrays of a recording as the nodes of the network"));
            }
            Found {
                schema: "synop-compare/1",
                kind: "traces",
                equal: compared.first.is_none() && a.samples.len() == b.samples.len(),
                detail: Detail::Traces(compared),
            }
        }
        (Side::Report(a), Side::Report(b)) => {
            let mut differences = Vec::new();
            changes("", &a, &b, args.tolerance, &mut differences);
            let equal = differences.is_empty();
            Found {
                schema: "synop-compare/1",
                kind: "reports",
                equal,
                detail: Detail::Reports { differences },
            }
        }
        _ => {
            return Err(Failure::bad_input("a trace and a report cannot be compared")
                .place("A, B")
                .expected("two traces or two reports"));
        }
    };
    common.print(&found, || text(args, &found))?;
    if found.equal { Ok(()) } else { Err(Failure::work("they differ")) }
}

fn read(path: &Path, tick: f64) -> Result<Side, Failure> {
    let bytes = files::read(path)?;
    let begins = bytes.iter().find(|b| !b.is_ascii_whitespace());
    if begins == Some(&b'{') {
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
            Failure::bad_input("not JSON")
                .file(path)
                .place(format_args!("line {}, column {}", error.line(), error.column()))
                .found(error)
                .expected("a trace or a report")
        })?;
        if !trace::is_trace(&value) {
            return Ok(Side::Report(value));
        }
    }
    Trace::read(path, &bytes, tick).map(Side::Trace)
}

/// Every key whose value differs, but those that differ from run to run (`host`, `tool`).
fn changes(key: &str, a: &Value, b: &Value, tolerance: f64, out: &mut Vec<Change>) {
    const MOST: usize = 100;
    if out.len() >= MOST || a == b {
        return;
    }
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let names: std::collections::BTreeSet<&String> = x.keys().chain(y.keys()).collect();
            for name in names.into_iter().filter(|n| !["host", "tool"].contains(&n.as_str())) {
                let side = |o: &serde_json::Map<String, Value>| o.get(name).cloned().unwrap_or(Value::Null);
                changes(&below(name), &side(x), &side(y), tolerance, out);
            }
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            for (i, (x, y)) in x.iter().zip(y).enumerate() {
                changes(&format!("{key}[{i}]"), x, y, tolerance, out);
            }
        }
        _ => {
            let near = a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| (a - b).abs() <= tolerance);
            if !near {
                out.push(Change { key: key.to_owned(), a: a.clone(), b: b.clone() });
            }
        }
    }
}

fn text(args: &Args, found: &Found) -> String {
    let mut out = format!("A: {}\nB: {}\n", args.a.display(), args.b.display());
    match &found.detail {
        Detail::Traces(c) => {
            out.push_str(&format!(
                "compared: {} sample(s), populations {}, {} spikes\n",
                c.samples,
                c.populations.join(", "),
                c.spikes
            ));
            if !c.left_out.is_empty() {
                out.push_str(&format!("left out: {}\n", c.left_out.join(", ")));
            }
            if let Some(error) = c.membrane_error {
                out.push_str(&format!("largest difference of a membrane: {error:e}\n"));
            }
            match &c.first {
                None if found.equal => out.push_str("equal\n"),
                None => out.push_str("equal where both have samples; one has more\n"),
                Some(d) => out.push_str(&format!(
                    "first difference: sample {}, tick {}, population `{}`, neuron {}: {} A {}, B {}\n\
                     {} neuron and tick pairs have other spikes\n",
                    d.sample, d.tick, d.population, d.neuron, d.quantity, d.a, d.b, c.mismatches
                )),
            }
        }
        Detail::Reports { differences } => match differences.first() {
            None => out.push_str("equal\n"),
            Some(first) => {
                out.push_str(&format!("first difference: {}: A {}, B {}\n", first.key, first.a, first.b));
                for change in differences.iter().skip(1).take(19) {
                    out.push_str(&format!("  {}: A {}, B {}\n", change.key, change.a, change.b));
                }
            }
        },
    }
    out
}
