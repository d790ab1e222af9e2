//! The normal distribution: density, distribution, its logarithm, and two equal thresholds at once.

use crate::numeric::gauss_legendre;
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Standard normal density.
pub fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
}

/// Standard normal distribution function, accurate in both tails.
pub fn cumulative(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// Logarithm of [`cumulative`], finite far into the lower tail (asymptotic series below −30).
pub fn ln_cumulative(x: f64) -> f64 {
    if x > -30.0 {
        return cumulative(x).ln();
    }
    let inverse = 1.0 / (x * x);
    -0.5 * x * x - (-x * (2.0 * PI).sqrt()).ln() + (-inverse + 3.0 * inverse * inverse).ln_1p()
}

/// Ratio `density / cumulative`, the mean of a normal truncated from below at `-x`.
pub fn hazard(x: f64) -> f64 {
    (-0.5 * x * x - 0.5 * (2.0 * PI).ln() - ln_cumulative(x)).exp()
}

/// Owen's function `T(h, k)` for `k ≥ 0`.
///
/// For `k > 1` the argument is inverted, so that the integrand is always smooth on `[0, 1]`.
fn owen_t(h: f64, k: f64) -> f64 {
    if k > 1.0 {
        let a = h.abs();
        if !k.is_finite() {
            return 0.5 * cumulative(-a);
        }
        let (p, q) = (cumulative(a), cumulative(a * k));
        return 0.5 * p + 0.5 * q - p * q - owen_t(a * k, 1.0 / k);
    }
    let rule = gauss_legendre();
    let half = 0.5 * k;
    let mut sum = 0.0;
    for &(x, w) in rule {
        let t = half * (x + 1.0);
        let g = 1.0 + t * t;
        sum += w * (-0.5 * h * h * g).exp() / g;
    }
    half * sum / (2.0 * PI)
}

/// Probability that two standard normals of correlation `rho` are both below `a`.
pub fn both_below(a: f64, rho: f64) -> f64 {
    let rho = rho.clamp(-1.0, 1.0);
    let k = ((1.0 - rho) / (1.0 + rho)).sqrt();
    (cumulative(a) - 2.0 * owen_t(a, k)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_below_meets_the_closed_cases() {
        for a in [-1.0, 0.0, 0.3, 2.0] {
            assert!((both_below(a, 0.0) - cumulative(a).powi(2)).abs() < 1e-14);
            assert!((both_below(a, 1.0) - cumulative(a)).abs() < 1e-14);
            let opposite = (2.0 * cumulative(a) - 1.0).max(0.0);
            assert!((both_below(a, -1.0) - opposite).abs() < 1e-14);
        }
        for rho in [-0.99, -0.5, 0.2, 0.97] {
            let sheppard = 0.25 + f64::asin(rho) / (2.0 * PI);
            assert!((both_below(0.0, rho) - sheppard).abs() < 1e-14);
        }
    }

    #[test]
    fn the_logarithm_is_continuous_where_the_series_takes_over() {
        let (left, right) = (ln_cumulative(-30.0 - 1e-9), ln_cumulative(-30.0 + 1e-9));
        assert!((left - right).abs() < 1e-6, "{left} {right}");
    }
}
