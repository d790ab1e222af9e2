//! Numbers of fixed points and of pairs of fixed points, on average over the couplings.
//!
//! For a given state the fields of different neurons depend on different rows of the couplings, so they
//! are independent and averages factorise over neurons. At finite `N` a field has variance `(N-1)/N`; all
//! formulas become exact after dividing thresholds by its root.

use crate::error::{Error, within};
use crate::normal::{both_below, cumulative, density, hazard, ln_cumulative};
use crate::numeric::{integrate, ln_add, ln_binomial, minimum, root};
use std::f64::consts::LN_2;

/// Entropy per neuron of fixed points at self-coupling `J_D`: `ln 2Φ(J_D)`.
pub fn entropy(self_coupling: f64) -> f64 {
    LN_2 + ln_cumulative(self_coupling)
}

/// Mean of `s·h` at a typical fixed point: `φ(J_D)/Φ(J_D)`.
pub fn typical_stability(self_coupling: f64) -> f64 {
    hazard(self_coupling)
}

/// Probability that a neuron of a typical fixed point has `s·h < J_D`, so that its flipped state would be stable as well.
pub fn typical_double_stability(self_coupling: f64) -> f64 {
    let p = cumulative(self_coupling);
    (2.0 * p - 1.0) / p
}

/// Limit of `E[n²]/E[n]²` for many neurons: `[(1-r²)² - J_D² r²]^(-1/2)` with `r = φ/Φ`.
///
/// It stays of order one, hence the average count is also the typical one.
pub fn count_fluctuation(self_coupling: f64) -> f64 {
    let r2 = hazard(self_coupling).powi(2);
    ((1.0 - r2).powi(2) - self_coupling * self_coupling * r2).sqrt().recip()
}

/// `J_D` as it acts on fields of variance `(N-1)/N`.
fn rescaled(neurons: usize, threshold: f64) -> f64 {
    let n = neurons as f64;
    threshold * (n / (n - 1.0)).sqrt()
}

/// Exact mean number of fixed points of `neurons ≥ 2` neurons.
pub fn expected_count(neurons: usize, self_coupling: f64) -> f64 {
    (neurons as f64 * entropy(rescaled(neurons, self_coupling))).exp()
}

/// Exact second moment of the number of fixed points of `neurons ≥ 2` neurons: a sum over the distance of a pair.
pub fn expected_count_squared(neurons: usize, self_coupling: f64) -> f64 {
    let (n, a) = (neurons as f64, rescaled(neurons, self_coupling));
    let mut total = f64::NEG_INFINITY;
    for flipped in 0..=neurons {
        let overlap = n - 2.0 * flipped as f64;
        let agree = both_below(a, (overlap - 1.0) / (n - 1.0));
        let differ = both_below(a, -(overlap + 1.0) / (n - 1.0));
        // Zero neurons of a kind contribute nothing, even where their probability is zero.
        let part = |count: usize, p: f64| if count == 0 { 0.0 } else { count as f64 * p.ln() };
        let term =
            n * LN_2 + ln_binomial(neurons, flipped) + part(neurons - flipped, agree) + part(flipped, differ);
        total = ln_add(total, term);
    }
    total.exp()
}

/// Entropy `s₂` of ordered pairs of fixed points at overlap `q` in `[-1, 1]`.
pub fn pair_entropy(self_coupling: f64, overlap: f64) -> f64 {
    let (up, down) = (0.5 * (1.0 + overlap), 0.5 * (1.0 - overlap));
    let part = |p: f64, f: f64| if p <= 0.0 { 0.0 } else { p * (f.ln() - p.ln()) };
    LN_2 + part(up, both_below(self_coupling, overlap)) + part(down, both_below(self_coupling, -overlap))
}

/// Entropy of the fixed points at distance `d` (fraction of differing neurons) from a typical one; negative means there are none.
pub fn typical_local_entropy(self_coupling: f64, distance: f64) -> f64 {
    pair_entropy(self_coupling, 1.0 - 2.0 * distance) - entropy(self_coupling)
}

/// Distance below which a typical fixed point has no neighbour; `None` when it has none up to one half.
///
/// # Errors
/// [`Error::Range`] for a self-coupling outside `[0, 5]`.
pub fn isolation_radius(self_coupling: f64) -> Result<Option<f64>, Error> {
    within("self-coupling", self_coupling, 0.0, 5.0, "a number from 0 to 5")?;
    let local = |ln_d: f64| typical_local_entropy(self_coupling, ln_d.exp());
    let (start, end, steps) = (1e-30f64.ln(), 0.5f64.ln(), 600);
    let at = |i: usize| start + (end - start) * i as f64 / steps as f64;
    for i in 0..steps {
        if local(at(i)) < 0.0 && local(at(i + 1)) >= 0.0 {
            return Ok(root(at(i), at(i + 1), 1e-13, local).map(f64::exp));
        }
    }
    Ok(None)
}

/// Self-coupling above which pairs exist at every distance: where the smallest [`pair_entropy`] touches zero.
pub fn pair_gap_threshold() -> f64 {
    let least =
        |j: f64| minimum(0.01f64.ln(), 0.2f64.ln(), 1e-9, |ln_d| pair_entropy(j, 1.0 - 2.0 * ln_d.exp())).1;
    root(0.0, 0.2, 1e-12, least).unwrap_or(f64::NAN)
}

/// Entropy with a symmetric fraction `eta` of the couplings, `E[J_ij J_ji] = eta/N`: `max_w [-w²/2 + ln 2Φ(J_D + √eta w)]`.
///
/// # Errors
/// [`Error::Range`] for `eta` outside `[0, 1]`.
pub fn symmetric_entropy(self_coupling: f64, eta: f64) -> Result<f64, Error> {
    within("symmetric fraction", eta, 0.0, 1.0, "a number from 0 to 1")?;
    // The slope -w + √eta φ/Φ is decreasing, positive at w = 0 and negative at large w.
    let slope = |w: f64| -w + eta.sqrt() * hazard(self_coupling + eta.sqrt() * w);
    let w = if eta == 0.0 { 0.0 } else { root(0.0, 10.0 + self_coupling.abs(), 1e-13, slope).unwrap_or(0.0) };
    Ok(-0.5 * w * w + entropy(self_coupling + eta.sqrt() * w))
}

/// Exact mean number of fixed points of `neurons` neurons with a symmetric fraction `eta`.
///
/// # Errors
/// [`Error::Range`] for `eta` outside `[0, 1]`.
pub fn expected_symmetric_count(neurons: usize, self_coupling: f64, eta: f64) -> Result<f64, Error> {
    within("symmetric fraction", eta, 0.0, 1.0, "a number from 0 to 1")?;
    let n = neurons as f64;
    let spread = ((n - 1.0 - eta) / n).sqrt();
    let value = integrate(-12.0, 12.0 + n.sqrt(), 60, |z| {
        let a = (self_coupling + (eta / n).sqrt() * z) / spread;
        density(z) * (n * entropy(a)).exp()
    });
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entropy_has_its_known_limits() {
        assert!(entropy(0.0).abs() < 1e-15);
        assert!((entropy(12.0) - LN_2).abs() < 1e-12);
        assert!((entropy(0.5) - 0.324201).abs() < 1e-6);
        assert!((count_fluctuation(0.0) - 1.0 / (1.0 - 2.0 / std::f64::consts::PI)).abs() < 1e-12);
    }

    #[test]
    fn without_self_coupling_one_fixed_point_is_expected_at_any_size() {
        for n in [2, 8, 16, 24] {
            assert!((expected_count(n, 0.0) - 1.0).abs() < 1e-12);
        }
        assert!((expected_count_squared(10, 0.0) - 2.787).abs() < 1e-3);
    }

    #[test]
    fn pairs_at_zero_overlap_are_two_independent_points_and_at_one_the_same() {
        for j in [0.0, 0.1, 0.7, 2.0] {
            assert!((pair_entropy(j, 0.0) - 2.0 * entropy(j)).abs() < 1e-12);
            assert!((pair_entropy(j, 1.0) - entropy(j)).abs() < 1e-12);
            assert!((pair_entropy(j, 0.4) - pair_entropy(j, -0.4)).abs() < 1e-12);
        }
    }

    #[test]
    fn full_symmetry_without_self_coupling_has_the_spin_glass_entropy() {
        assert!((symmetric_entropy(0.0, 1.0).unwrap() - 0.19923).abs() < 1e-5);
        assert!((symmetric_entropy(0.4, 0.0).unwrap() - entropy(0.4)).abs() < 1e-15);
        assert!((expected_symmetric_count(12, 0.5, 0.0).unwrap() - expected_count(12, 0.5)).abs() < 1e-8);
    }

    #[test]
    fn the_gap_of_pairs_closes_at_its_threshold() {
        assert!((pair_gap_threshold() - 0.042723).abs() < 1e-6);
    }
}
