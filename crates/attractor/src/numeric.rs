//! Quadrature, roots and minima in one variable.

use std::sync::OnceLock;

/// Number of nodes of the panel rule.
const NODES: usize = 20;

/// Nodes and weights of the Gauss–Legendre rule on `[-1, 1]`, found once by Newton's method.
pub fn gauss_legendre() -> &'static [(f64, f64); NODES] {
    static RULE: OnceLock<[(f64, f64); NODES]> = OnceLock::new();
    RULE.get_or_init(|| {
        let n = NODES as f64;
        std::array::from_fn(|i| {
            let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n + 0.5)).cos();
            let mut slope = 1.0;
            for _ in 0..100 {
                let (mut p0, mut p1) = (1.0, x);
                for k in 2..=NODES {
                    let k = k as f64;
                    (p0, p1) = (p1, ((2.0 * k - 1.0) * x * p1 - (k - 1.0) * p0) / k);
                }
                slope = n * (x * p1 - p0) / (x * x - 1.0);
                let step = p1 / slope;
                x -= step;
                if step.abs() < 1e-15 {
                    break;
                }
            }
            (x, 2.0 / ((1.0 - x * x) * slope * slope))
        })
    })
}

/// Nodes and weights of the composite rule over the panels between ascending `breaks`.
pub fn panels(breaks: &[f64]) -> Vec<(f64, f64)> {
    let rule = gauss_legendre();
    let mut nodes = Vec::with_capacity(breaks.len().saturating_sub(1) * NODES);
    for pair in breaks.windows(2) {
        let (centre, half) = (0.5 * (pair[0] + pair[1]), 0.5 * (pair[1] - pair[0]));
        nodes.extend(rule.iter().map(|&(x, w)| (centre + half * x, half * w)));
    }
    nodes
}

/// Integral of `f` over `[from, to]` with `count` equal panels.
pub fn integrate(from: f64, to: f64, count: usize, f: impl Fn(f64) -> f64) -> f64 {
    let width = (to - from) / count.max(1) as f64;
    let breaks: Vec<f64> = (0..=count.max(1)).map(|i| from + width * i as f64).collect();
    panels(&breaks).into_iter().map(|(x, w)| w * f(x)).sum()
}

/// Root of `f` between `a` and `b` by the Illinois variant of the secant rule with a bisection guard.
///
/// Returns `None` when the ends have equal signs. Stops when the bracket is below `tolerance`.
pub fn root(a: f64, b: f64, tolerance: f64, mut f: impl FnMut(f64) -> f64) -> Option<f64> {
    let (fa, fb) = (f(a), f(b));
    root_between((a, fa), (b, fb), tolerance, f)
}

/// As [`root`], for ends whose values are known already.
pub fn root_between(
    (mut a, mut fa): (f64, f64),
    (mut b, mut fb): (f64, f64),
    tolerance: f64,
    mut f: impl FnMut(f64) -> f64,
) -> Option<f64> {
    if fa == 0.0 {
        return Some(a);
    }
    if fb == 0.0 {
        return Some(b);
    }
    if !(fa.is_finite() && fb.is_finite()) || fa.signum() == fb.signum() {
        return None;
    }
    let mut side = 0i32;
    for step in 0..200 {
        if (b - a).abs() <= tolerance {
            break;
        }
        // Every third step is a bisection, so that a flat function cannot stall the secant.
        let x = if step % 3 == 2 { 0.5 * (a + b) } else { (a * fb - b * fa) / (fb - fa) };
        let fx = f(x);
        if fx == 0.0 {
            return Some(x);
        }
        if fx.signum() == fb.signum() {
            (b, fb) = (x, fx);
            if side == -1 {
                fa *= 0.5;
            }
            side = -1;
        } else {
            (a, fa) = (x, fx);
            if side == 1 {
                fb *= 0.5;
            }
            side = 1;
        }
    }
    Some((a * fb - b * fa) / (fb - fa)).filter(|x| x.is_finite()).or(Some(0.5 * (a + b)))
}

/// Place and value of the minimum of a unimodal `f` on `[a, b]` by golden section.
pub fn minimum(mut a: f64, mut b: f64, tolerance: f64, mut f: impl FnMut(f64) -> f64) -> (f64, f64) {
    let ratio = 0.5 * (5f64.sqrt() - 1.0);
    let (mut c, mut d) = (b - ratio * (b - a), a + ratio * (b - a));
    let (mut fc, mut fd) = (f(c), f(d));
    while (b - a).abs() > tolerance {
        if fc < fd {
            (b, d, fd) = (d, c, fc);
            c = b - ratio * (b - a);
            fc = f(c);
        } else {
            (a, c, fc) = (c, d, fd);
            d = a + ratio * (b - a);
            fd = f(d);
        }
    }
    if fc < fd { (c, fc) } else { (d, fd) }
}

/// Scalar product; eight partial sums let the loop use vector registers.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut parts = [0f32; 8];
    let (x, y) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = x.remainder().iter().zip(y.remainder()).map(|(p, q)| p * q).sum();
    for (p, q) in x.zip(y) {
        for k in 0..8 {
            parts[k] += p[k] * q[k];
        }
    }
    parts.iter().sum::<f32>() + rest
}

/// `ln(e^a + e^b)` without overflow.
pub fn ln_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    if high == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// Logarithm of the binomial coefficient `n` over `k`.
pub fn ln_binomial(n: usize, k: usize) -> f64 {
    let gamma = |x: usize| libm::lgamma(x as f64 + 1.0);
    gamma(n) - gamma(k) - gamma(n - k.min(n))
}

/// Least-squares line `intercept + slope x` through points; `None` with fewer than two distinct places.
pub fn line_fit(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let n = points.len() as f64;
    let (mx, my) = points.iter().fold((0.0, 0.0), |a, p| (a.0 + p.0 / n, a.1 + p.1 / n));
    let (mut sxx, mut sxy) = (0.0, 0.0);
    for &(x, y) in points {
        sxx += (x - mx) * (x - mx);
        sxy += (x - mx) * (y - my);
    }
    (points.len() > 1 && sxx > 0.0).then(|| (my - sxy / sxx * mx, sxy / sxx))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quadrature_is_exact_for_polynomials() {
        let value = integrate(-1.0, 2.0, 3, |x| x.powi(9) - 4.0 * x.powi(3) + 1.0);
        let exact = (2f64.powi(10) - 1.0) / 10.0 - (16.0 - 1.0) + 3.0;
        assert!((value - exact).abs() < 1e-11, "{value} {exact}");
    }

    #[test]
    fn roots_and_minima_are_found() {
        let r = root(0.0, 2.0, 1e-13, |x| x * x - 2.0).unwrap();
        assert!((r - 2f64.sqrt()).abs() < 1e-12);
        assert!(root(0.0, 1.0, 1e-9, |x| x + 1.0).is_none());
        let (x, v) = minimum(-3.0, 5.0, 1e-9, |x| (x - 1.0).powi(2) + 3.0);
        assert!((x - 1.0).abs() < 1e-6 && (v - 3.0).abs() < 1e-12);
    }
}
