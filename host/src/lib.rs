//! The runner: commands, experiments, data sets, training, reports.
//!
//! A command is one file in [`commands`] and one line in [`cli`]. What it prints
//! goes through [`cli::Common::print`], so that `--json` stays one object on
//! standard output; what it writes goes through [`files`], so that nothing is
//! ever half-written; what goes wrong is a [`Failure`], which carries the exit code.

pub mod activity;
pub mod alignment;
pub mod attractor;
pub mod bench;
pub mod chips;
pub mod cli;
pub mod commands;
pub mod data;
pub mod error;
pub mod experiment;
pub mod files;
pub mod firmware;
pub mod input;
pub mod interrupt;
pub mod ledger;
pub mod local;
pub mod memory;
pub mod onchip;
pub mod oracle;
pub mod pipeline;
pub mod placing;
pub mod plot;
pub mod progress;
pub mod report;
pub mod rule;
pub mod sanafe;
pub mod simd;
pub mod source;
pub mod steered;
pub mod table;
pub mod testing;
pub mod threads;
pub mod trace;
pub mod train;

pub use error::Failure;
