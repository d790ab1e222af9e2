//! Experiments: a TOML file names a task, the task runs and reports.
//!
//! # Adding a task
//!
//! 1. Write one module below this one with a struct for the file's keys and one `impl`:
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use synop::experiment::{Context, Experiment, Outcome, Whole};
//! use synop::report::Report;
//! use synop::Failure;
//!
//! /// Toss coins (the doc comment of the module says what is computed and where it is from).
//! #[derive(Debug, Serialize, Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Coins {
//!     /// Tosses; `Whole` is an integer within bounds, refused with key, value and bounds otherwise.
//!     tosses: Whole<1, 1_000_000>,
//!     #[serde(default)]
//!     fair: bool,
//! }
//!
//! impl Experiment for Coins {
//!     const NAME: &'static str = "coins";
//!     const ABOUT: &'static str = "toss coins";
//!     fn run(&self, context: &Context<'_>) -> Result<Outcome, Failure> {
//!         let mut report = Report::new(context.seed);
//!         report.more.insert("tosses".into(), self.tosses.get().into());
//!         Ok(report.into())
//!     }
//! }
//! ```
//!
//! 2. Add one line, `Task::of::<coins::Coins>()`, to [`TASKS`].
//!
//! The rest is done for it: unknown keys, wrong types and values out of bounds are refused with file, key, value and
//! mend before anything runs; `synop run FILE.toml` runs it, `--set key=value` changes a key, `synop sweep` grids over
//! any key, in parallel and resumable; `--out` writes the report, its figures and tables. Parallel iterators of rayon
//! inside [`Experiment::run`] use the threads that the user allowed. Paths in the file are resolved with
//! [`Context::resolve`]. A task that runs for minutes saves its state now and then with [`Context::checkpoint`] and
//! goes on from it, bit for bit, after a kill.

pub mod alignment;
pub mod alignment_codes;
pub mod attractor;
pub mod binding;
pub mod cartpole;
pub mod checkpoint;
pub mod crossbar;
mod file;
pub mod hetero;
pub mod local;
mod number;
mod plan;
pub mod sweep;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::progress::Progress;
use crate::report::{Figure, Page, Report};

pub use checkpoint::{Checkpoint, Pieces};
pub use file::{Setting, Source};
pub use number::Whole;
pub(crate) use plan::require_memory;
pub use plan::{Ready, State, plan, run_id};

/// The tasks, one line each; alphabetical by name.
pub static TASKS: &[Task] = &[
    Task::of::<alignment::Landscape>(),
    Task::of::<alignment_codes::Codes>(),
    Task::of::<binding::FeatureBinding>(),
    Task::of::<cartpole::CartPoleTask>(),
    Task::of::<crossbar::CrossbarLearning>(),
    Task::of::<attractor::AttractorLearning>(),
    Task::of::<hetero::HeteroAssociation>(),
    Task::of::<local::LocalLearning>(),
];

/// What a task implements, for the struct that its file's keys are read into.
///
/// The keys `task`, `seed`, `title` and `[sweep]` are taken out before; all others belong to the task.
pub trait Experiment: Serialize + DeserializeOwned + Send + Sync {
    /// The value of the key `task`.
    const NAME: &'static str;
    /// What it computes, in a few words.
    const ABOUT: &'static str;

    /// Checks what types cannot: values that must fit each other, names that must be known.
    ///
    /// # Errors
    /// Bad input with the key as place, the value, what was expected and the mend; the file is named by the caller.
    fn check(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// About how many bytes one run needs; a run that does not fit the memory that is there is refused.
    fn memory_bytes(&self) -> u64 {
        64 << 20
    }

    /// Runs it.
    ///
    /// # Errors
    /// Bad input (a missing data set) or failed work.
    fn run(&self, context: &Context<'_>) -> Result<Outcome, Failure>;
}

/// An entry of the table of tasks.
pub struct Task {
    /// The value of the key `task`.
    pub name: &'static str,
    /// What it computes.
    pub about: &'static str,
    ready: fn(&Source) -> Result<Box<dyn Runnable>, Failure>,
}

impl Task {
    /// The entry of an experiment.
    pub const fn of<E: Experiment + 'static>() -> Task {
        Task {
            name: E::NAME,
            about: E::ABOUT,
            ready: |source| {
                let experiment: E = source.read()?;
                experiment.check().map_err(|failure| source.blame(failure))?;
                Ok(Box::new(experiment))
            },
        }
    }
}

/// An experiment whose keys have been read and checked.
pub(crate) trait Runnable: Send + Sync {
    fn memory_bytes(&self) -> u64;
    fn run(&self, context: &Context<'_>) -> Result<Outcome, Failure>;
    fn settings(&self) -> serde_json::Value;
}

impl<E: Experiment> Runnable for E {
    fn memory_bytes(&self) -> u64 {
        Experiment::memory_bytes(self)
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, Failure> {
        Experiment::run(self, context)
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// What a run is given beside its keys.
pub struct Context<'a> {
    /// Seed of everything random.
    pub seed: u64,
    /// Folder of the data sets.
    pub data: &'a Path,
    /// Folder of the experiment file.
    pub folder: &'a Path,
    /// Threads that the user allowed. Results must not depend on it.
    pub threads: usize,
    /// Where unfinished work is kept, if anywhere, and the name of the run there.
    pub(crate) state: Option<(&'a State, &'a str)>,
    /// Whether another bar already tells the progress.
    pub(crate) quiet: bool,
}

impl Context<'_> {
    /// A path of the file: as it stands if absolute, else from the folder of the experiment file.
    pub fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.join(path)
    }

    /// A progress bar; in a sweep, whose points have a bar, one that is not drawn.
    pub fn progress(&self, what: &str, total: u64) -> Progress {
        if self.quiet { Progress::hidden(what, total) } else { Progress::new(what, total) }
    }

    /// The place where this run may save its state. Each `part` of a run (a learner among several) has its own.
    pub fn checkpoint(&self, part: &str) -> Checkpoint {
        Checkpoint::new(self.state.map(|(state, id)| state.part(id, part)))
    }
}

/// What a run hands back: the report, and figures beyond those that the report's own keys give.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// The report.
    pub report: Report,
    /// Figures of the task.
    #[serde(default)]
    pub figures: Vec<Figure>,
}

impl From<Report> for Outcome {
    fn from(report: Report) -> Self {
        Outcome { report, figures: Vec::new() }
    }
}

impl Outcome {
    /// Adds a figure.
    #[must_use]
    pub fn figure(mut self, figure: Figure) -> Self {
        self.figures.push(figure);
        self
    }

    /// The page of `--out`.
    pub fn page(self) -> Page {
        Page::new(self.report).figures(self.figures)
    }
}
