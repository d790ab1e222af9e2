//! `synop import`: descriptions of other tools become files of this one.

use std::path::PathBuf;

use serde_json::json;

use crate::Failure;
use crate::cli::{Common, warn};
use crate::report::Report;
use crate::sanafe::Pair;

/// Turn descriptions of another tool into a chip, an image and its inputs
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, clap::Subcommand)]
enum From {
    /// A SANA-FE architecture and a network that is mapped onto it
    #[command(after_help = "\
Writes chip.toml, network.image and inputs.csv; units of the same kind are priced as the first.

Examples:
  synop import sanafe arch.yaml snn.yaml -o imported
  synop import sanafe arch.yaml snn.yaml -o imported --steps 100 --json")]
    Sanafe {
        /// The architecture
        arch: PathBuf,
        /// The network with its mapping
        snn: PathBuf,
        /// Folder of the files that are written
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        /// Steps of the inputs [default: as long as the longest list of spikes, else 100]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
        steps: Option<u64>,
    },
}

/// Reads, writes and says what was written.
///
/// # Errors
/// Bad input: a description. The work failed: a file cannot be written.
pub fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    let From::Sanafe { arch, snn, output, steps } = &args.from;
    let pair = Pair::open(arch, snn)?;
    let written = pair.import(output, *steps)?;
    let mut report = Report::new(common.seed());
    report.command = "import sanafe".into();
    report.warnings.extend(pair.lowered.warnings.iter().cloned());
    let names: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
    report.more.insert("written".into(), json!(names));
    report.more.insert("neurons".into(), json!(pair.snn.neurons.len()));
    report.more.insert("synapses".into(), json!(pair.snn.edges.len()));
    report.more.insert("cores".into(), json!(pair.lowered.order.len()));
    report.warnings.iter().for_each(warn);
    common.print(&report, || {
        format!(
            "{} neurons and {} synapses on {} core(s)\nwritten: {}\n",
            pair.snn.neurons.len(),
            pair.snn.edges.len(),
            pair.lowered.order.len(),
            names.join(", ")
        )
    })
}
