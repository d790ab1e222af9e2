//! `synop completions`: completion scripts for shells.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::Failure;
use crate::cli::{Cli, Common, print_text};

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  synop completions bash > ~/.local/share/bash-completion/completions/synop
  synop completions zsh > ~/.zfunc/_synop
  synop completions fish > ~/.config/fish/completions/synop.fish")]
pub struct Args {
    /// The shell that will read the script
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// Bad use with `--json`, which has no meaning here; the work failed if standard output is closed.
pub fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    if common.json {
        return Err(Failure::bad_input("a completion script is not JSON")
            .place("--json")
            .mend("leave --json out"));
    }
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "synop", &mut script);
    print_text(&String::from_utf8_lossy(&script))
}
