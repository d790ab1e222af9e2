//! A grid over the keys of an experiment: its points in parallel, each kept when it is finished, one table.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde_json::{Map, json};
use toml::Value;

use super::file::File;
use super::plan::require_memory;
use super::{Outcome, Ready, Setting, State};
use crate::cli::Common;
use crate::progress::Progress;
use crate::report::{Meter, Report};
use crate::table::{Cell, Table};
use crate::{Failure, interrupt};

/// Most points of a grid.
const MOST_POINTS: usize = 1_000_000;

/// A grid that has been read and checked, point by point.
pub struct Sweep {
    keys: Vec<String>,
    points: Vec<Point>,
}

struct Point {
    values: Vec<Value>,
    ready: Ready,
}

impl Sweep {
    /// Reads a file and lays its grid out: the file's `[sweep]`, keys of the command line instead of or beside its
    /// own. The first key varies slowest.
    ///
    /// # Errors
    /// Bad input: the file cannot be read, there is no key to sweep, or a point is refused; nothing has run then.
    pub fn plan(path: &Path, over: &[Setting], seed: Option<u64>) -> Result<Sweep, Failure> {
        let file = File::open(path)?;
        let mut grid: Vec<Setting> = Vec::new();
        for setting in file.grid()?.into_iter().chain(over.iter().cloned()) {
            grid.retain(|other| other.key != setting.key);
            grid.push(setting);
        }
        let count = grid.iter().try_fold(1usize, |n, s| n.checked_mul(s.values.len()));
        let Some(count) = count.filter(|n| *n <= MOST_POINTS && !grid.is_empty()) else {
            let failure = if grid.is_empty() {
                Failure::bad_input("there is nothing to sweep over")
                    .expected("--over key=value,value,… or a table [sweep]")
            } else {
                Failure::bad_input("the grid is too large")
                    .expected(format_args!("at most {MOST_POINTS} points"))
            };
            return Err(failure.file(path).mend("name keys of the file with a few values each"));
        };
        let mut points = Vec::with_capacity(count);
        for number in 0..count {
            let mut rest = number;
            let mut settings = Vec::new();
            for setting in grid.iter().rev() {
                settings.push((setting.key.clone(), setting.values[rest % setting.values.len()].clone()));
                rest /= setting.values.len();
            }
            settings.reverse();
            let ready = Ready::new(file.source(&settings, seed)?)?;
            points.push(Point { values: settings.into_iter().map(|(_, value)| value).collect(), ready });
        }
        // A key with one value is set, not swept: it need not stand in every row.
        let swept: Vec<bool> = grid.iter().map(|setting| setting.values.len() > 1).collect();
        let all = swept.iter().all(|swept| !swept);
        let keep = |k: usize| all || swept[k];
        for point in &mut points {
            let mut k = 0;
            point.values.retain(|_| (keep(k), k += 1).0);
        }
        let keys = grid.iter().enumerate().filter(|(k, _)| keep(*k)).map(|(_, s)| s.key.clone()).collect();
        Ok(Sweep { keys, points })
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether there is no point; a grid has at least one.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Forgets what is kept of the points.
    pub fn forget(&self, state: &State) {
        for point in &self.points {
            state.forget(&point.ready.id, "");
        }
    }

    /// Runs all points that `state` has not kept already. The result is the same whether and where it was killed
    /// before, and for any number of threads; only `host` differs.
    ///
    /// # Errors
    /// That of a point that failed; finished points are kept.
    pub fn run(&self, common: &Common, state: Option<&State>) -> Result<Report, Failure> {
        let meter = Meter::start(common.threads());
        let at_once = common.threads().min(self.points.len());
        let most = self.points.iter().map(|point| point.ready.memory_bytes()).max().unwrap_or(0);
        require_memory(most, at_once)?;
        let before = state.map_or(0, |state| {
            self.points.iter().filter(|point| state.finished(&point.ready.id).is_some()).count()
        });
        if before > 0 {
            eprintln!("resumed: {before} of {} points were finished before", self.points.len());
        }
        interrupt::advise(match state {
            Some(state) => format!(
                "finished points are kept in {}; the same command again goes on from there",
                state.folder().display()
            ),
            None => "no point is kept; with --out DIR the same command would go on from there".to_owned(),
        });
        let progress = Progress::new("points", self.points.len() as u64);
        let failed = AtomicUsize::new(0);
        let one = |point: &Point| -> Result<Outcome, Failure> {
            let id = &point.ready.id;
            let kept = state.and_then(|state| state.finished(id));
            let outcome = match kept {
                Some(outcome) => outcome,
                None => {
                    let outcome = point.ready.run(common, state, true).inspect_err(|_| {
                        failed.fetch_add(1, Ordering::Relaxed);
                    })?;
                    if let Some(state) = state {
                        state.keep(id, &outcome)?;
                    }
                    outcome
                }
            };
            progress.add(1, 0);
            Ok(outcome)
        };
        let outcomes: Vec<Result<Outcome, Failure>> =
            common.in_pool(|| self.points.par_iter().with_max_len(1).map(one).collect())?;
        progress.finish();
        // The failure of the first point, so that the text does not depend on the threads.
        let outcomes = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(self.assemble(common, outcomes, &meter))
    }

    fn assemble(&self, common: &Common, outcomes: Vec<Outcome>, meter: &Meter) -> Report {
        let source = self.points.first().map(|point| &point.ready.source);
        let mut report = Report::new(source.map_or(common.seed(), |source| source.seed));
        report.command = source
            .map(|source| source.title.clone().unwrap_or_else(|| source.task.clone()))
            .unwrap_or_default();
        let mut events = 0;
        for (point, outcome) in self.points.iter().zip(outcomes) {
            let pairs = self.keys.iter().zip(&point.values);
            let place: Map<String, serde_json::Value> =
                pairs.clone().map(|(key, value)| (key.clone(), json!(value))).collect();
            let name =
                pairs.map(|(key, value)| format!("{key}={}", plain(value))).collect::<Vec<_>>().join(" ");
            let mut inner = outcome.report;
            let runs = match inner.runs.is_empty() {
                true => vec![inner],
                false => std::mem::take(&mut inner.runs),
            };
            for mut run in runs {
                events += run.counts.as_ref().map_or(0, |counts| counts.synaptic_events);
                run.label = [name.as_str(), run.label.as_str()].join(" ").trim().to_owned();
                run.host = None;
                run.more.remove("experiment");
                run.more.insert("point".into(), place.clone().into());
                report.runs.push(run);
            }
        }
        if let Some(source) = source {
            let file = source.path.file_name().map(|name| name.to_string_lossy().into_owned());
            report.more.insert(
                "sweep".into(),
                json!({"task": source.task, "file": file, "keys": self.keys, "points": self.points.len()}),
            );
        }
        report.host = Some(meter.stop(events));
        report
    }
}

/// A value without the quotes of a string.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The one table of a sweep: the swept keys, then every single number that the reports give.
pub fn table(report: &Report) -> Table {
    let empty = Map::new();
    let place = |run: &'_ Report| run.more.get("point").and_then(|p| p.as_object()).cloned();
    let keys: Vec<String> = report
        .more
        .get("sweep")
        .and_then(|sweep| sweep.get("keys")?.as_array())
        .map_or_else(Vec::new, |keys| {
            keys.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect()
        });
    let rows: Vec<Vec<(String, Cell)>> = report.runs.iter().map(numbers).collect();
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in rows.iter().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut table = Table::new(&report.command);
    for key in &keys {
        table = table.text(key);
    }
    let labels: Vec<String> = report.runs.iter().map(|run| inner_label(run, &keys)).collect();
    let labelled = labels.iter().any(|label| !label.is_empty());
    if labelled {
        table = table.text("run");
    }
    for name in &names {
        table = table.number(name);
    }
    for ((run, row), label) in report.runs.iter().zip(&rows).zip(&labels) {
        let place = place(run).unwrap_or_else(|| empty.clone());
        let mut cells: Vec<Cell> = keys.iter().map(|key| place.get(key).map(text).into()).collect();
        if labelled {
            cells.push(label.as_str().into());
        }
        for name in &names {
            cells.push(
                row.iter().find(|(other, _)| other == *name).map_or(Cell::Empty, |(_, cell)| cell.clone()),
            );
        }
        table.push(cells);
    }
    table
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The label that a run of a point had before the point's name was put before it.
fn inner_label(run: &Report, keys: &[String]) -> String {
    let Some(place) = run.more.get("point").and_then(|p| p.as_object()) else { return run.label.clone() };
    let name: Vec<String> =
        keys.iter().filter_map(|key| Some(format!("{key}={}", text(place.get(key)?)))).collect();
    run.label.strip_prefix(&name.join(" ")).unwrap_or(&run.label).trim().to_owned()
}

/// The single numbers of a report.
fn numbers(run: &Report) -> Vec<(String, Cell)> {
    let mut found = Vec::new();
    let samples = run.task.as_ref().map(|task| task.samples as f64).filter(|n| *n > 0.0);
    if let Some(task) = &run.task {
        found.extend(task.accuracy.map(|x| ("accuracy".to_owned(), x.into())));
        found.extend(task.agreement.map(|x| ("agreement".to_owned(), x.into())));
        found.extend(singles(&task.more));
    }
    if let (Some(counts), Some(samples)) = (&run.counts, samples) {
        found.push(("spikes/sample".to_owned(), (counts.neurons_fired as f64 / samples).into()));
    }
    if let Some(synops) = run.per_sample {
        found.push(("SynOps/sample".to_owned(), synops.effective.into()));
    }
    if let (Some(total), Some(samples)) = (run.energy.as_ref().and_then(|bill| bill.total_j), samples) {
        found.push(("J/sample".to_owned(), (total.nominal / samples).into()));
    }
    if let (Some(latency), Some(samples)) = (&run.latency, samples) {
        found.push(("s/sample".to_owned(), (latency.total_s / samples).into()));
    }
    for (name, cell) in singles(&run.more) {
        let again = name == "spikes_per_sample" || found.iter().any(|(other, _)| *other == name);
        if !again {
            found.push((name, cell));
        }
    }
    found
}

fn singles(map: &Map<String, serde_json::Value>) -> impl Iterator<Item = (String, Cell)> + '_ {
    map.iter().filter_map(|(name, value)| {
        let cell = match value {
            serde_json::Value::Number(n) => match n.as_u64() {
                Some(count) => Cell::Count(count),
                None => Cell::Number(n.as_f64()?),
            },
            serde_json::Value::Bool(b) => Cell::Text(b.to_string()),
            _ => return None,
        };
        Some((name.clone(), cell))
    })
}
