//! The `synop` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    synop::cli::main()
}
