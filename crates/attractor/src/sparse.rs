//! Sparse excitation instead of self-coupling: a few strong positive couplings of row sum `J_E`.

use crate::chain::{self, Layers};
use crate::error::{Error, within};
use crate::normal::ln_cumulative;
use crate::numeric::{ln_add, ln_binomial};

/// Who excites whom. In every pattern the excitation that arrives at a neuron sums to `J_E`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// Each neuron itself: the self-coupling.
    SelfCoupling,
    /// Disjoint groups of this many neurons, each pair joined both ways with `J_E/(g-1)`.
    Clique(usize),
    /// A random permutation and its inverse, `J_E/2` each: rings.
    SymmetricPermutation,
    /// A random permutation one way: directed cycles.
    Permutation,
}

impl Pattern {
    /// Name as in tables: `self`, `clique3`, `symperm`, `perm`.
    pub fn name(self) -> String {
        match self {
            Self::SelfCoupling => "self".into(),
            Self::Clique(g) => format!("clique{g}"),
            Self::SymmetricPermutation => "symperm".into(),
            Self::Permutation => "perm".into(),
        }
    }

    /// The pattern of a name; `pairs` is `clique2` and `ring` is `symperm`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "self" => Some(Self::SelfCoupling),
            "pairs" => Some(Self::Clique(2)),
            "ring" | "symperm" => Some(Self::SymmetricPermutation),
            "perm" => Some(Self::Permutation),
            _ => name.strip_prefix("clique")?.parse().ok().filter(|&g| g >= 2).map(Self::Clique),
        }
    }
}

/// Entropy per neuron of a large module whose excitation follows `pattern` with row sum `excitation`.
///
/// A directed cycle of length `l` contributes `1 + (2Φ-1)^l` states, so one-way excitation creates no
/// entropy: it must be reciprocal.
///
/// # Errors
/// [`Error::Range`] for an excitation that is not finite or a clique of fewer than two.
pub fn entropy(pattern: Pattern, excitation: f64) -> Result<f64, Error> {
    within("excitation", excitation, -1e6, 1e6, "a finite number")?;
    match pattern {
        Pattern::SelfCoupling => Ok(crate::entropy::entropy(excitation)),
        Pattern::SymmetricPermutation => chain::entropy(Layers::Infinite, 0.0, 0.5 * excitation),
        Pattern::Permutation => Ok(0.0),
        Pattern::Clique(size) => clique_entropy(size, excitation, 1.0),
    }
}

/// Exact mean number of fixed points of `neurons` neurons in cliques of `size`.
///
/// # Errors
/// [`Error::Groups`] when the cliques do not fill the module, [`Error::Range`] for a clique of fewer than two.
pub fn expected_clique_count(neurons: usize, size: usize, excitation: f64) -> Result<f64, Error> {
    if size == 0 || !neurons.is_multiple_of(size) || neurons < 2 {
        return Err(Error::Groups { neurons, group: size });
    }
    let n = neurons as f64;
    Ok((n * clique_entropy(size, excitation, (n / (n - 1.0)).sqrt())?).exp())
}

/// `1/g ln Σ_n binom(g, n) Φ(J_E (2n-g-1)/(g-1))^n Φ(J_E (g-2n-1)/(g-1))^(g-n)` with thresholds times `scale`.
fn clique_entropy(size: usize, excitation: f64, scale: f64) -> Result<f64, Error> {
    if size < 2 {
        return Err(Error::Range { name: "clique size", found: size as f64, expected: "at least 2" });
    }
    let g = size as f64;
    let mut total = f64::NEG_INFINITY;
    for up in 0..=size {
        let u = up as f64;
        let part = |count: f64, support: f64| {
            if count == 0.0 { 0.0 } else { count * ln_cumulative(scale * excitation * support / (g - 1.0)) }
        };
        total = ln_add(
            total,
            ln_binomial(size, up) + part(u, 2.0 * u - g - 1.0) + part(g - u, g - 2.0 * u - 1.0),
        );
    }
    Ok(total / g)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_a_chain_of_two_layers() {
        for e in [0.0, 0.5, 1.7] {
            let pair = entropy(Pattern::Clique(2), e).unwrap();
            let chain = chain::entropy(Layers::Count(2), 0.0, e).unwrap();
            assert!((pair - chain).abs() < 1e-12);
        }
    }

    #[test]
    fn names_come_back() {
        for name in ["self", "clique2", "clique5", "symperm", "perm"] {
            assert_eq!(Pattern::from_name(name).map(Pattern::name).as_deref(), Some(name));
        }
        assert_eq!(Pattern::from_name("clique1"), None);
        assert_eq!(Pattern::from_name("knot"), None);
    }

    #[test]
    fn no_excitation_gives_no_entropy() {
        for p in [Pattern::Clique(2), Pattern::Clique(5), Pattern::SymmetricPermutation, Pattern::Permutation]
        {
            assert!(entropy(p, 0.0).unwrap().abs() < 1e-12);
        }
    }
}
