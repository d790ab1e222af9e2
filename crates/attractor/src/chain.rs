//! Chains of layers joined by identity links: the count by transfer matrix.
//!
//! Layer `l` has its own random couplings and the field `J s + J_D s + λ (s^{l-1} + s^{l+1})`, links from
//! neuron to neuron of equal number. The average count factorises over columns of `L` neurons; in terms of
//! the bond variables `u_l = s^l s^{l+1}` a column is a product of 2×2 matrices.

use crate::error::{Error, within};
use crate::normal::cumulative;

/// Length of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layers {
    /// So many layers, at least one.
    Count(usize),
    /// The limit of a long chain.
    Infinite,
}

/// Entropy per neuron of a chain.
///
/// # Errors
/// [`Error::Range`] for a chain without layers or a coupling that is not finite.
pub fn entropy(layers: Layers, self_coupling: f64, link: f64) -> Result<f64, Error> {
    scaled_entropy(layers, self_coupling, link, 1.0)
}

/// Exact mean number of fixed points of a chain of `layers` layers with `width ≥ 2` neurons each.
///
/// # Errors
/// As [`entropy`].
pub fn expected_count(layers: usize, width: usize, self_coupling: f64, link: f64) -> Result<f64, Error> {
    let n = width as f64;
    let per_neuron = scaled_entropy(Layers::Count(layers), self_coupling, link, (n / (n - 1.0)).sqrt())?;
    Ok((per_neuron * n * layers as f64).exp())
}

/// Entropy with every threshold multiplied by `scale`, the finite-size correction.
fn scaled_entropy(layers: Layers, self_coupling: f64, link: f64, scale: f64) -> Result<f64, Error> {
    within("self-coupling", self_coupling, -1e6, 1e6, "a finite number")?;
    within("link strength", link, -1e6, 1e6, "a finite number")?;
    let p = |threshold: f64| cumulative(scale * threshold);
    let (aligned, opposed) = (p(self_coupling + 2.0 * link), p(self_coupling - 2.0 * link));
    let mixed = p(self_coupling);
    match layers {
        Layers::Infinite => {
            let (mean, half) = (0.5 * (aligned + opposed), 0.5 * (aligned - opposed));
            Ok((mean + (half * half + mixed * mixed).sqrt()).ln())
        }
        Layers::Count(0) => Err(Error::Range { name: "layers", found: 0.0, expected: "at least 1" }),
        Layers::Count(1) => Ok((2.0 * mixed).ln()),
        Layers::Count(count) => {
            let end = [p(self_coupling + link), p(self_coupling - link)];
            let (mut v, mut ln_norm) = (end, 0.0);
            for _ in 0..count - 2 {
                v = [aligned * v[0] + mixed * v[1], mixed * v[0] + opposed * v[1]];
                // Long chains would underflow; the norm is kept beside the direction.
                let norm = v[0] + v[1];
                ln_norm += norm.ln();
                v = [v[0] / norm, v[1] / norm];
            }
            Ok(((2.0 * (end[0] * v[0] + end[1] * v[1])).ln() + ln_norm) / count as f64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_without_links_is_its_layers() {
        for layers in [Layers::Count(1), Layers::Count(2), Layers::Count(7), Layers::Infinite] {
            let s = entropy(layers, 0.3, 0.0).unwrap();
            assert!((s - crate::entropy::entropy(0.3)).abs() < 1e-12, "{layers:?}");
        }
    }

    #[test]
    fn long_chains_approach_the_limit() {
        let limit = entropy(Layers::Infinite, 0.0, 1.5).unwrap();
        let long = entropy(Layers::Count(4000), 0.0, 1.5).unwrap();
        assert!((limit - long).abs() < 1e-3, "{limit} {long}");
        let strong = entropy(Layers::Infinite, 0.0, 50.0).unwrap();
        assert!((strong - (0.5 * (1.0 + 2f64.sqrt())).ln()).abs() < 1e-12);
    }

    #[test]
    fn a_chain_needs_a_layer() {
        assert!(entropy(Layers::Count(0), 0.0, 1.0).is_err());
    }
}
