//! `synop run`: one experiment from its file.

use std::path::PathBuf;

use crate::Failure;
use crate::cli::Common;
use crate::experiment::{self, Setting, State};

/// Run an experiment from its file
///
/// The file is TOML: `task` names what is computed, its other keys belong to that task. With --out, the report and
/// its tables are written, and a run that was killed goes on from its last saved state when the command is given
/// again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  synop run experiments/digits-local.toml
  synop run experiments/digits-local.toml --set network.hidden=128 --seed 3
  synop run experiments/mnist-local.toml --out mnist --json
  synop run --tasks")]
pub struct Args {
    /// The experiment
    #[arg(value_name = "EXPERIMENT.toml", required_unless_present = "tasks")]
    file: Option<PathBuf>,
    /// Set a key of the file; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Setting>,
    /// Where unfinished work is kept [default: DIR/state with --out DIR, else nowhere]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Begin anew instead of going on from a saved state
    #[arg(long)]
    fresh: bool,
    /// List the tasks that an experiment may name
    #[arg(long, exclusive = true)]
    tasks: bool,
}

/// Runs the experiment.
///
/// # Errors
/// Bad input: the file, a key or a data set. The work failed: too little memory, or an output cannot be written.
pub fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    let Some(file) = args.file.as_ref().filter(|_| !args.tasks) else {
        let tasks: Vec<_> = experiment::TASKS.iter().map(|task| (task.name, task.about)).collect();
        let listing: serde_json::Map<String, serde_json::Value> =
            tasks.iter().map(|(name, about)| ((*name).to_owned(), (*about).into())).collect();
        return common.print(&serde_json::json!({ "tasks": listing }), || {
            tasks.iter().map(|(name, about)| format!("{name:<20} {about}\n")).collect()
        });
    };
    let mut settings = Vec::new();
    for setting in &args.set {
        match setting.values.as_slice() {
            [value] => settings.push((setting.key.clone(), value.clone())),
            values => {
                return Err(Failure::bad_input("a run has one value per key")
                    .place(format_args!("--set {}", setting.key))
                    .found(format_args!("{} values", values.len()))
                    .expected("one; a list needs brackets")
                    .mend("use synop sweep for several"));
            }
        }
    }
    let ready = experiment::plan(file, &settings, common.seed)?;
    experiment::require_memory(ready.memory_bytes(), 1)?;
    let state = State::of(args.state.as_deref(), common)?;
    if let (Some(state), true) = (&state, args.fresh) {
        state.forget(&ready.id, "");
    }
    State::advise(state.as_ref());
    let outcome = common.in_pool(|| ready.run(common, state.as_ref(), false))??;
    let report = outcome.report.clone();
    common.deliver(&report, || report.terminal(), |folder| outcome.page().write(folder))?;
    if let Some(state) = &state {
        state.forget(&ready.id, "");
        state.close();
    }
    Ok(())
}
