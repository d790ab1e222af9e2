//! One run: read, checked, and kept on disk if the user named a folder.

use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};
use toml::Value;

use super::file::File;
use super::{Context, Outcome, Runnable, Source};
use crate::cli::Common;
use crate::report::Meter;
use crate::{Failure, files, interrupt, memory};

/// A run that has been read and checked.
pub struct Ready {
    /// Its keys.
    pub source: Source,
    /// What the run is, in 16 hexadecimal digits: program, task, keys and seed.
    pub id: String,
    work: Box<dyn Runnable>,
}

/// Reads a file, sets keys, and checks everything that can be checked without running.
///
/// # Errors
/// Bad input: the file cannot be read, or a key or value is refused.
pub fn plan(path: &Path, settings: &[(String, Value)], seed: Option<u64>) -> Result<Ready, Failure> {
    Ready::new(File::open(path)?.source(settings, seed)?)
}

impl Ready {
    pub(crate) fn new(source: Source) -> Result<Ready, Failure> {
        let work = (source.entry()?.ready)(&source)?;
        let id = run_id(&format!("{}\n{}\n{}", source.task, source.seed, source.keys));
        Ok(Ready { source, id, work })
    }

    /// About how many bytes the run needs.
    pub fn memory_bytes(&self) -> u64 {
        self.work.memory_bytes()
    }

    /// All keys as the task has read them, defaults filled in.
    pub fn settings(&self) -> serde_json::Value {
        self.work.settings()
    }

    /// Runs it, from where an earlier run of the same was killed if `state` has kept that.
    ///
    /// # Errors
    /// What the task reports; a mistake at a key names the file.
    pub fn run(&self, common: &Common, state: Option<&State>, quiet: bool) -> Result<Outcome, Failure> {
        let meter = Meter::start(common.threads());
        let data = common.data_dir();
        let context = Context {
            seed: self.source.seed,
            data: &data,
            folder: self.source.path.parent().unwrap_or(Path::new("")),
            threads: common.threads(),
            state: state.map(|state| (state, self.id.as_str())),
            quiet,
        };
        let mut outcome = self.work.run(&context).map_err(|failure| self.source.blame(failure))?;
        let report = &mut outcome.report;
        if report.command.is_empty() {
            report.command = self.source.title.clone().unwrap_or_else(|| self.source.task.clone());
        }
        let file = self.source.path.file_name().map(|name| name.to_string_lossy().into_owned());
        let settings = self.work.settings();
        report.more.insert(
            "experiment".into(),
            json!({"task": self.source.task, "file": file, "settings": settings}),
        );
        if report.host.is_none() {
            let events = report.counts.as_ref().map_or(0, |counts| counts.synaptic_events);
            report.host = Some(meter.stop(events));
        }
        Ok(outcome)
    }
}

/// The name of a run in a folder of states, 16 hexadecimal digits: of the program, and of all that `what` says it does.
pub fn run_id(what: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(program());
    hash.update(what);
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The program that runs, by its contents: results of another build are not taken for its own.
fn program() -> Vec<u8> {
    static DIGEST: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let digest = || {
        let bytes = std::env::current_exe().and_then(std::fs::read).unwrap_or_default();
        Sha256::digest(&bytes).to_vec()
    };
    DIGEST.get_or_init(digest).clone()
}

/// A folder that keeps finished points and unfinished work.
#[derive(Debug)]
pub struct State {
    pub(crate) folder: PathBuf,
}

impl State {
    /// Opens the folder, makes it if need be, and clears away what a kill in the middle of a write left.
    ///
    /// # Errors
    /// The work failed: the folder cannot be made or written to.
    pub fn open(folder: &Path) -> Result<State, Failure> {
        let unwritable = |error: &std::io::Error| Failure::cannot_write(folder, error);
        std::fs::create_dir_all(folder).map_err(|error| unwritable(&error))?;
        files::write(&folder.join("README"), README)?;
        for entry in std::fs::read_dir(folder).map_err(|error| unwritable(&error))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(files::TEMPORARY) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(State { folder: folder.to_path_buf() })
    }

    /// The folder that `--state` or `--out` mean, if either was given.
    ///
    /// # Errors
    /// As [`State::open`].
    pub fn of(state: Option<&Path>, common: &Common) -> Result<Option<State>, Failure> {
        let inside = common.out.as_ref().map(|out| out.join("state"));
        state.map(Path::to_path_buf).or(inside).map(|folder| State::open(&folder)).transpose()
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// From now on, an interrupt tells how a run goes on from this state, or that nothing is kept.
    pub fn advise(state: Option<&State>) {
        interrupt::advise(match state {
            Some(state) => format!(
                "the last saved state is kept in {}; the same command again goes on from there",
                state.folder.display()
            ),
            None => "nothing is kept; with --out DIR the same command would go on from its last saved state"
                .into(),
        });
    }

    /// Where a part of an unfinished run is kept.
    pub fn part(&self, id: &str, part: &str) -> PathBuf {
        self.folder.join(format!("{id}.{part}.part"))
    }

    fn file(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    /// A finished run.
    pub fn finished(&self, id: &str) -> Option<Outcome> {
        serde_json::from_slice(&std::fs::read(self.file(id)).ok()?).ok()
    }

    /// Keeps a finished run and forgets its unfinished states.
    ///
    /// # Errors
    /// The work failed: the file cannot be written.
    pub fn keep(&self, id: &str, outcome: &Outcome) -> Result<(), Failure> {
        files::write_json(&self.file(id), outcome)?;
        self.forget(id, ".part");
        Ok(())
    }

    /// Removes what is kept of a run: with `.part` unfinished states only, with `""` everything.
    pub fn forget(&self, id: &str, ending: &str) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(id) && name.ends_with(ending) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// Removes the folder if nothing but its note is left.
    pub fn close(&self) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        if entries.flatten().all(|entry| entry.file_name() == "README") {
            let _ = std::fs::remove_file(self.folder.join("README"));
            let _ = std::fs::remove_dir(&self.folder);
        }
    }
}

const README: &str = "Finished points (.json) and saved states of unfinished ones (.part).\n\
The same command again goes on from here; this folder may be deleted at any time.\n";

/// Refuses runs that do not fit the memory, and says what they need.
pub(crate) fn require_memory(bytes: u64, at_once: usize) -> Result<(), Failure> {
    let all = bytes.saturating_mul(at_once as u64);
    let runs = if at_once == 1 { "the run".to_owned() } else { format!("{at_once} runs at once") };
    memory::claim(&runs, all, "make the network or the data smaller, or use fewer --threads")
}
