//! What can be wrong with a question put to this crate.

/// A parameter outside the range in which the answer is defined.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A network too large to enumerate, or too small to be one.
    #[error(
        "enumeration of {found} neurons: expected 2 to {most}; choose a smaller network, or `relax` to sample"
    )]
    Size {
        /// Number of neurons asked for.
        found: usize,
        /// Largest number allowed.
        most: usize,
    },
    /// A real parameter out of range.
    #[error("{name} = {found}: expected {expected}")]
    Range {
        /// Name of the parameter.
        name: &'static str,
        /// Value given.
        found: f64,
        /// What would be accepted.
        expected: &'static str,
    },
    /// Layer size and group size do not fit.
    #[error("{neurons} neurons cannot be split into groups of {group}; choose a multiple")]
    Groups {
        /// Number of neurons.
        neurons: usize,
        /// Size of a group.
        group: usize,
    },
}

/// Checks that `value` is finite and inside `low..=high`.
pub(crate) fn within(
    name: &'static str,
    value: f64,
    low: f64,
    high: f64,
    expected: &'static str,
) -> Result<(), Error> {
    if value.is_finite() && value >= low && value <= high {
        Ok(())
    } else {
        Err(Error::Range { name, found: value, expected })
    }
}
