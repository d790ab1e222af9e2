//! SANA-FE descriptions: an architecture and a network with its mapping, both YAML.
//!
//! ```text
//!  ARCH.yaml ─► arch::Arch ─┐  Chip, units per core
//!  SNN.yaml  ─► snn::Snn ───┼─► lower::Lowered ─► run::Trial: machine, counts, energy, latency
//! ```
//!
//! The meaning is SANA-FE's where it is defined by its files: strict threshold, membrane cut to 1/64 after the
//! leak, one packet per destination core, input units with their own random streams. State units are 1/(64 m) with
//! m chosen so that the file's numbers are whole; where that is impossible the rounding is a warning. Its defects are
//! not reproduced.

mod arch;
mod lower;
mod run;
mod snn;
mod stream;
mod yaml;

pub use arch::{Arch, CoreKind, Unit};
pub use lower::{Home, Lowered, lower};
pub use run::{MODELS, Step, Trial, run, run_under};
pub use snn::{Drive, Edge, Neuron, Snn};

/// Why a SANA-FE description cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SanafeError {
    /// Not YAML, or YAML beyond the limits of the reader.
    #[error("{file}, line {line}: {detail}")]
    Syntax {
        /// The file.
        file: String,
        /// The line.
        line: usize,
        /// What is wrong.
        detail: String,
    },
    /// A value is missing or not what it must be.
    #[error("{file}, line {line}, {place}: {found} found, {expected} expected")]
    Value {
        /// The file.
        file: String,
        /// The line.
        line: usize,
        /// The key or neuron.
        place: String,
        /// What stands there.
        found: String,
        /// What must stand there.
        expected: String,
    },
    /// A neuron, unit or core that does not exist, or does not fit.
    #[error("{place}: {found} found, {expected} expected")]
    Reference {
        /// Who refers.
        place: String,
        /// To what.
        found: String,
        /// What there is.
        expected: String,
    },
    /// The machine or the chip refuses what was read.
    #[error("the description cannot run: {0}")]
    Run(String),
}

fn reference<T>(
    place: impl ToString,
    found: impl ToString,
    expected: impl ToString,
) -> Result<T, SanafeError> {
    Err(SanafeError::Reference {
        place: place.to_string(),
        found: found.to_string(),
        expected: expected.to_string(),
    })
}

/// Splits `name[a..b]` into the names `name[a]` … `name[b]`; any other name stands for itself.
fn expand(name: &str) -> Vec<String> {
    let parts = name.strip_suffix(']').and_then(|n| n.split_once('[')).and_then(|(base, range)| {
        let (lo, hi) = range.split_once("..")?;
        Some((base, lo.trim().parse::<u32>().ok()?, hi.trim().parse::<u32>().ok()?))
    });
    match parts {
        Some((base, lo, hi)) if hi >= lo && hi - lo < 1 << 16 => {
            (lo..=hi).map(|i| format!("{base}[{i}]")).collect()
        }
        _ => vec![name.to_string()],
    }
}
