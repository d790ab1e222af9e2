//! What can go wrong while encoding.

use thiserror::Error;

/// Why an encoder refused its parameters or its input.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum EncodeError {
    /// No dynamical system or encoder has this name.
    #[error("no {what} is called `{name}`; there are: {known}")]
    UnknownName {
        /// What was being looked for: "system" or "encoder".
        what: &'static str,
        /// The name as given.
        name: String,
        /// The names there are, separated by commas.
        known: String,
    },
    /// The system or encoder has no parameter of this name.
    #[error("`{owner}` has no parameter `{name}`; it has: {known}")]
    UnknownParameter {
        /// The system or encoder.
        owner: String,
        /// The parameter as given.
        name: String,
        /// The parameters there are, separated by commas.
        known: String,
    },
    /// A parameter lies outside of what it may be.
    #[error("parameter `{name}` is {found}, expected {expected}")]
    BadParameter {
        /// Name of the parameter.
        name: String,
        /// The value as given.
        found: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// A feature lies outside of what the encoder accepts.
    #[error("feature {index} of sample {sample} is {found}, expected {expected}")]
    BadFeature {
        /// Row of the batch.
        sample: usize,
        /// Column of the batch.
        index: usize,
        /// The value found.
        found: f64,
        /// What is allowed.
        expected: &'static str,
    },
    /// The number of values is no multiple of the row width.
    #[error("{values} values do not divide into rows of {width} features")]
    BadShape {
        /// Number of values given.
        values: usize,
        /// Row width given.
        width: usize,
    },
    /// A trajectory left the range of binary64.
    #[error(
        "the {system} trajectory from ({}, {}, {}) overflows at step {step} (t = {time}); \
         use a shorter horizon, a smaller step or other parameters",
        initial[0], initial[1], initial[2]
    )]
    Diverged {
        /// Name of the system.
        system: &'static str,
        /// Initial state.
        initial: [f64; 3],
        /// First step whose state is not finite.
        step: usize,
        /// Time of that step, in the system's own unit.
        time: f64,
    },
    /// The encoder does not deliver what was asked of it.
    #[error("encoder `{encoder}` {why}")]
    Unsuitable {
        /// Name of the encoder.
        encoder: &'static str,
        /// What it cannot do, and what to do about it.
        why: &'static str,
    },
}
