//! The claimed transition: a generalised logistic of spikes against the sum of Lyapunov exponents, and log-log slopes.
//!
//! ```text
//! f(s) = a + (b − a) / (1 + q·e^(−c·(s − d)))^(1/q)
//! ```
//!
//! fitted by least squares (Levenberg–Marquardt from several starts). For q → 0 it is a Gompertz curve, q = 1 the logistic.
//! A negative q, as in the study's own fit, makes the curve leave `a` at a finite s.

use serde::{Deserialize, Serialize};

/// A fitted generalised logistic.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Logistic {
    /// Lower plateau.
    pub a: f64,
    /// Upper plateau.
    pub b: f64,
    /// Steepness.
    pub c: f64,
    /// Position.
    pub d: f64,
    /// Asymmetry.
    pub q: f64,
    /// Share of the variance that it explains.
    pub r_squared: f64,
    /// Where it passes the middle between the plateaus; absent if it does not.
    pub half_height: Option<f64>,
}

/// The curve at `s`; where a negative q makes the base negative, the lower plateau.
pub fn logistic([a, b, c, d, q]: [f64; 5], s: f64) -> f64 {
    let base = 1.0 + q * (-c * (s - d)).clamp(-500.0, 500.0).exp();
    if base <= 0.0 { a } else { a + (b - a) * (-base.ln() / q).exp() }
}

fn residual(p: [f64; 5], points: &[(f64, f64)]) -> f64 {
    points.iter().map(|(s, y)| (y - logistic(p, *s)).powi(2)).sum()
}

/// Fits a generalised logistic to `(s, y)`; nothing with fewer than six points or without spread.
pub fn fit_logistic(points: &[(f64, f64)]) -> Option<Logistic> {
    let low = points.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    let mean = points.iter().map(|p| p.1).sum::<f64>() / points.len().max(1) as f64;
    let total: f64 = points.iter().map(|p| (p.1 - mean).powi(2)).sum();
    if points.len() < 6 || !(total > 0.0) || !points.iter().all(|p| p.0.is_finite() && p.1.is_finite()) {
        return None;
    }
    let mut best: Option<([f64; 5], f64)> = None;
    for c in [0.5, 1.5, 4.0] {
        for d in [-0.5, 0.0, 0.5, 1.0] {
            for q in [-0.7, 0.2, 1.0, 3.0] {
                let (p, error) = levenberg_marquardt([low, high, c, d, q], points);
                if best.is_none_or(|(_, least)| error < least) {
                    best = Some((p, error));
                }
            }
        }
    }
    let (p, error) = best?;
    let [a, b, c, d, q] = p;
    let middle = (a + b) / 2.0;
    // f = middle where (1 + q·x)^(1/q) = 2
    let x = (2f64.powf(q) - 1.0) / q;
    let half_height = (x > 0.0 && c != 0.0)
        .then(|| d - x.ln() / c)
        .filter(|s| s.is_finite() && (logistic(p, *s) - middle).abs() <= 1e-6 * (b - a).abs().max(1e-12));
    Some(Logistic { a, b, c, d, q, r_squared: 1.0 - error / total, half_height })
}

/// Minimises the squared residuals; c stays positive, so that the curve rises, and q keeps its sign.
fn levenberg_marquardt(start: [f64; 5], points: &[(f64, f64)]) -> ([f64; 5], f64) {
    let bound = |p: [f64; 5]| {
        let q = start[4].signum() * (p[4] * start[4].signum()).clamp(0.01, 20.0);
        [p[0], p[1], p[2].clamp(1e-3, 100.0), p[3], q]
    };
    let mut p = bound(start);
    let mut error = residual(p, points);
    let mut damping = 1e-2;
    for _ in 0..300 {
        let mut normal = [[0.0f64; 6]; 5];
        for (s, y) in points {
            let f = logistic(p, *s);
            let mut slope = [0.0; 5];
            for k in 0..5 {
                let h = 1e-6 * p[k].abs().max(1e-3);
                let mut shifted = p;
                shifted[k] += h;
                slope[k] = (logistic(shifted, *s) - f) / h;
            }
            for i in 0..5 {
                for j in 0..5 {
                    normal[i][j] += slope[i] * slope[j];
                }
                normal[i][5] += slope[i] * (y - f);
            }
        }
        for i in 0..5 {
            normal[i][i] += damping * normal[i][i].max(1e-12);
        }
        let Some(step) = solve(normal) else { break };
        let next = bound(std::array::from_fn(|k| p[k] + step[k]));
        let reached = residual(next, points);
        if reached < error {
            let gain = (error - reached) / error.max(1e-300);
            (p, error, damping) = (next, reached, (damping * 0.3).max(1e-12));
            if gain < 1e-12 {
                break;
            }
        } else {
            damping *= 4.0;
            if damping > 1e12 {
                break;
            }
        }
    }
    (p, error)
}

/// Gauss with pivots on five equations.
fn solve(mut m: [[f64; 6]; 5]) -> Option<[f64; 5]> {
    for i in 0..5 {
        let pivot = (i..5).max_by(|a, b| m[*a][i].abs().total_cmp(&m[*b][i].abs()))?;
        m.swap(i, pivot);
        if m[i][i].abs() < 1e-300 {
            return None;
        }
        for r in 0..5 {
            if r != i {
                let factor = m[r][i] / m[i][i];
                for c in i..6 {
                    m[r][c] -= factor * m[i][c];
                }
            }
        }
    }
    Some(std::array::from_fn(|i| m[i][5] / m[i][i]))
}

/// A straight line in log-log coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PowerLaw {
    /// Slope: the exponent.
    pub exponent: f64,
    /// Standard error of the slope.
    pub error: f64,
    /// Share of the variance of the logarithms that it explains.
    pub r_squared: f64,
    /// Points used.
    pub points: usize,
    /// Whether the exponent is worth printing: at least five points, R² of 0.8 and more, slope beyond three errors.
    pub supported: bool,
}

/// Fits `|y| ∝ |x|^exponent`; points at zero cannot be used and are left out (the study puts them at 1e-10).
pub fn fit_power(points: &[(f64, f64)]) -> Option<PowerLaw> {
    let logs: Vec<(f64, f64)> = points
        .iter()
        .filter(|(x, y)| x.abs() > 1e-9 && y.abs() > 0.0)
        .map(|(x, y)| (x.abs().log10(), y.abs().log10()))
        .collect();
    let n = logs.len() as f64;
    if logs.len() < 3 {
        return None;
    }
    let (mx, my) = (logs.iter().map(|p| p.0).sum::<f64>() / n, logs.iter().map(|p| p.1).sum::<f64>() / n);
    let sxx: f64 = logs.iter().map(|p| (p.0 - mx).powi(2)).sum();
    let sxy: f64 = logs.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
    let syy: f64 = logs.iter().map(|p| (p.1 - my).powi(2)).sum();
    if !(sxx > 0.0 && syy > 0.0) {
        return None;
    }
    let exponent = sxy / sxx;
    let rest = (syy - exponent * sxy).max(0.0);
    let error = (rest / (n - 2.0) / sxx).sqrt();
    let r_squared = 1.0 - rest / syy;
    let supported = logs.len() >= 5 && r_squared >= 0.8 && exponent.abs() > 3.0 * error;
    Some(PowerLaw { exponent, error, r_squared, points: logs.len(), supported })
}

/// Mean and standard deviation (of the sample) of some numbers; zeros without any.
pub fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    let square: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, if values.len() > 1 { (square / (n - 1.0)).sqrt() } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fit_finds_the_curve_that_made_the_points() {
        let p = [4.2, 19.1, 1.3, 0.4, 0.6];
        let points: Vec<(f64, f64)> =
            (-40..=6).map(|k| f64::from(k) / 2.0).map(|s| (s, logistic(p, s))).collect();
        let fit = fit_logistic(&points).unwrap();
        assert!(fit.r_squared > 0.999_99, "{fit:?}");
        let half = fit.half_height.unwrap();
        assert!((logistic(p, half) - (4.2 + 19.1) / 2.0).abs() < 0.05, "{fit:?}");
        assert_eq!(fit_logistic(&points[..5]), None);
        assert_eq!(fit_logistic(&[(0.0, 1.0); 9]), None);
    }

    #[test]
    fn an_exponent_is_only_supported_where_the_points_are_on_a_line() {
        let line: Vec<(f64, f64)> = (1..9).map(f64::from).map(|x| (-x, 3.0 * x.powf(0.27))).collect();
        let fit = fit_power(&line).unwrap();
        assert!((fit.exponent - 0.27).abs() < 1e-12 && fit.supported);
        let noise = [(1.0, 1.0), (2.0, 5.0), (3.0, 0.7), (4.0, 3.0), (5.0, 1.1), (0.0, 9.0)];
        let fit = fit_power(&noise).unwrap();
        assert!(!fit.supported && fit.points == 5);
    }
}
