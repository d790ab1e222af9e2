//! Studies of fixed points: a table, a picture and a few named numbers each.

pub mod integer;

use serde::Serialize;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Instant;
use synop_attractor::ensemble::{Effort, converge, half_point};
use synop_attractor::network::Recipe;
use synop_attractor::relax::Schedule;
use synop_attractor::{Error, belief, cluster, entropy, relay};

use crate::Failure;
use crate::files;
use crate::plot::{Plot, Xy};
use crate::progress::Progress;
use crate::table::{Cell, Table};

/// The outcome of one study.
#[derive(Debug, Clone, Serialize)]
pub struct Study {
    /// Name of the study and of its files.
    pub name: String,
    /// Seed of everything random in it.
    pub seed: u64,
    /// Named single numbers.
    pub values: Map<String, Value>,
    /// Rows of the table, one object per row.
    pub rows: Vec<Map<String, Value>>,
    /// Seconds of wall time.
    pub wall_s: f64,
    #[serde(skip)]
    table: Table,
    #[serde(skip)]
    columns: Vec<String>,
    #[serde(skip)]
    plot: Option<Xy>,
    #[serde(skip)]
    begun: Instant,
}

impl Study {
    /// An empty study; a column whose name starts with `:` holds words.
    pub fn new(name: &str, title: &str, seed: u64, columns: &[&str]) -> Self {
        let mut table = Table::new(title);
        for column in columns {
            table = match column.strip_prefix(':') {
                Some(words) => table.text(words),
                None => table.number(column),
            };
        }
        Self {
            name: name.to_owned(),
            seed,
            values: Map::new(),
            rows: Vec::new(),
            wall_s: 0.0,
            table,
            columns: columns.iter().map(|c| c.trim_start_matches(':').to_owned()).collect(),
            plot: None,
            begun: Instant::now(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<Cell>) {
        let value = |cell: &Cell| match cell {
            Cell::Text(text) => json!(text),
            Cell::Number(number) => json!(number),
            Cell::Count(count) => json!(count),
            Cell::Empty => Value::Null,
        };
        self.rows.push(self.columns.iter().cloned().zip(cells.iter().map(value)).collect());
        self.table.push(cells);
    }

    /// Names a number.
    pub fn value(&mut self, name: &str, value: impl Into<Value>) {
        self.values.insert(name.to_owned(), value.into());
    }

    /// Sets the picture.
    pub fn picture(&mut self, plot: Xy) {
        self.plot = Some(plot);
    }

    /// Stops the clock.
    #[must_use]
    pub fn finished(mut self) -> Self {
        self.wall_s = self.begun.elapsed().as_secs_f64();
        self
    }

    /// The table and the named numbers as text.
    pub fn text(&self) -> String {
        let mut text = self.table.terminal();
        for (name, value) in &self.values {
            text.push_str(&format!("{name}: {value}\n"));
        }
        text
    }

    /// Writes `NAME.json`, `NAME.csv` and, with a picture, `NAME.svg`.
    ///
    /// # Errors
    /// The work failed: a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        files::write_json(&folder.join(format!("{}.json", self.name)), self)?;
        files::write(&folder.join(format!("{}.csv", self.name)), self.table.csv())?;
        match &self.plot {
            Some(plot) => files::write(&folder.join(format!("{}.svg", self.name)), plot.svg()),
            None => Ok(()),
        }
    }
}

/// An error of the theory as one of the command line.
pub fn refused(error: Error) -> Failure {
    Failure::bad_input(error)
}

/// The order of the thresholds, from theory to algorithms, with one figure of what each is the threshold of.
///
/// # Errors
/// Bad input only if a parameter is out of range, which the fixed ones are not.
pub fn phases(seed: u64) -> Result<Study, Failure> {
    let title = "Thresholds in the self-coupling";
    let mut study = Study::new("phases", title, seed, &[":threshold", "self-coupling", ":from"]);
    let progress = Progress::new("thresholds", 5);
    let pairs = entropy::pair_gap_threshold();
    progress.add(1, 0);
    let gap = cluster::overlap_gap_threshold();
    progress.add(1, 0);
    let monotone = cluster::monotone_threshold();
    progress.add(1, 0);
    let mut solved = Vec::new();
    for k in 0..10 {
        let j = 0.05 + 0.05 * f64::from(k);
        let found = belief::search_many(400, j, 40, 600, seed).map_err(refused)?;
        solved.push((j, found.solved));
    }
    let message_passing = half_point(&solved).unwrap_or(f64::NAN);
    progress.add(1, 0);
    let gains: Vec<_> = [0.75, 0.8, 0.85, 0.9]
        .into_iter()
        .map(|j| (j, relay::self_consistent_gain(j, 18, 24, seed)))
        .collect();
    let dynamics = relay::threshold(&gains).unwrap_or(f64::NAN);
    progress.add(1, 0);
    let relaxed = convergence(400, Schedule::Permutation, Effort { samples: 40, sweeps: 1000, seed })?;
    progress.finish();
    for (name, value, from) in [
        ("pairs at every distance", pairs, "pair entropy touches zero"),
        ("overlap gap closes", gap.self_coupling, "replicated entropy, real number of replicas"),
        ("clusters without bottleneck", monotone, "largest local entropy grows with distance"),
        ("message passing finds one", message_passing, "reinforced belief propagation, N = 400, 50 %"),
        ("local dynamics freezes", dynamics, "self-consistent relay, N to infinity"),
    ] {
        study.row(vec![name.into(), value.into(), from.into()]);
    }
    let order = [pairs, gap.self_coupling, monotone, message_passing, dynamics];
    study.value("ordered", order.windows(2).all(|w| w[0] < w[1]));
    study.value("half of the relaxations converge at N=400, 1000 sweeps", half_point(&relaxed));
    let entropies = (0..=100).map(|k| (0.01 * f64::from(k), entropy::entropy(0.01 * f64::from(k))));
    let mut plot = Xy::new("Fixed points against self-coupling", "self-coupling", "entropy, fraction")
        .line("entropy per neuron", entropies)
        .points("belief propagation solves, N=400", solved)
        .points("relaxation converges, N=400", relaxed)
        .y_range(0.0, 1.0);
    for (name, x) in ["pairs", "gap", "dense", "messages", "dynamics"].into_iter().zip(order) {
        plot = plot.mark_x(name, x);
    }
    study.picture(plot);
    Ok(study.finished())
}

/// Fraction of relaxations that converge, for self-couplings from 0 to 1.2 in steps of 0.05.
///
/// # Errors
/// Bad input: a number of neurons out of range.
pub fn convergence(width: usize, schedule: Schedule, effort: Effort) -> Result<Vec<(f64, f64)>, Failure> {
    (0..=24)
        .map(|k| {
            let j = 0.05 * f64::from(k);
            let summary = converge(&Recipe::module(width, j), schedule, effort).map_err(refused)?;
            Ok((j, summary.converged))
        })
        .collect()
}
