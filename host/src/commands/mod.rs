//! The commands of `synop`, one file each: its arguments and its `run`.
//!
//! A new command is a file here, a `pub mod` line below, and one line in the table
//! of [`crate::cli`]. Its help must end in examples; a test parses each of them.

pub mod attractor;
pub mod bench;
pub mod chips;
pub mod compare;
pub mod compile;
pub mod completions;
pub mod demo;
pub mod devices;
pub mod encode;
pub mod estimate;
pub mod firmware;
pub mod import;
pub mod inspect;
pub mod quantize;
pub mod rule;
pub mod run;
pub mod sweep;
