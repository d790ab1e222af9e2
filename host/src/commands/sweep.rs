//! `synop sweep`: a grid over the keys of an experiment.

use std::path::PathBuf;

use crate::cli::Common;
use crate::experiment::sweep::{Sweep, table};
use crate::experiment::{Setting, State};
use crate::report::Page;
use crate::{Failure, files};

/// Run an experiment over a grid of values of its keys, in parallel, into one table
///
/// With --out (or --state), every finished point is kept at once; after a kill at any moment the same command goes on
/// from there, and its result is the same to the bit. The file may hold the grid itself, as lists in a table `[sweep]`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Values are written as in TOML, with bare words for strings and 1..5 for 1,2,3,4,5.

Examples:
  synop sweep experiments/digits-local.toml --over network.hidden=64,128 --out sweep
  synop sweep experiments/digits-local.toml --over seed=1..5 --over network.weight_bits=8,4
  synop sweep experiments/digits-local.toml --over learning.margin=300,600 --out sweep --fresh")]
pub struct Args {
    /// The experiment
    #[arg(value_name = "EXPERIMENT.toml")]
    file: PathBuf,
    /// A key and its values; may be given several times, the first varies slowest
    #[arg(long, visible_alias = "set", value_name = "KEY=V,V,...")]
    over: Vec<Setting>,
    /// Where points are kept [default: DIR/state with --out DIR, else nowhere]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Go on from the points that are kept: the default
    #[arg(long)]
    resume: bool,
    /// Compute all points anew
    #[arg(long, conflicts_with = "resume")]
    fresh: bool,
}

/// Runs the sweep.
///
/// # Errors
/// Bad input: the file, a key or a data set. The work failed: too little memory, or an output cannot be written.
pub fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    let sweep = Sweep::plan(&args.file, &args.over, common.seed)?;
    let state = State::of(args.state.as_deref(), common)?;
    if args.resume && state.is_none() {
        return Err(Failure::bad_input("there is nothing to resume from")
            .place("--resume")
            .expected("the folder of the points")
            .mend("name the --out or --state of the command that was interrupted"));
    }
    if let (Some(state), true) = (&state, args.fresh) {
        sweep.forget(state);
    }
    let report = sweep.run(common, state.as_ref())?;
    let table = table(&report);
    common.deliver(
        &report,
        || table.terminal(),
        |folder| {
            files::write(&folder.join("sweep.csv"), table.csv())?;
            Page::new(report.clone()).write(folder)
        },
    )
}
