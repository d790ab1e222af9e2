//! Dense clusters of fixed points: replicated entropy, its largest local entropy, and the thresholds.
//!
//! `y` replicas are fixed points of the same couplings with mutual overlap `q`. Their average number is
//! `exp(N S_y(q))` with
//!
//! `S_y(q) = min_q̂ { -q̂ q y(y-1)/2 - q̂ y/2 + ln ∫Dt Dz [Σ_s e^{√q̂ t s} Φ((J_D + s √q z)/√(1-q))]^y }`.
//!
//! A cluster of local entropy `φ = dS_y/dy` occurs `exp(N Σ)` times, `Σ = S_y - yφ`. The largest local
//! entropy that still occurs is `min_y S_y/y`, reached where `Σ = 0`. Where it is negative no `y` fixed
//! points sit at that overlap: an *overlap gap*. First-moment bounds, symmetric inside clusters.

use crate::error::{Error, within};
use crate::normal::{density, ln_cumulative};
use crate::numeric::{panels, root_between};
use rayon::prelude::*;

/// Largest number of replicas searched.
pub const MOST_REPLICAS: f64 = 255.99;

/// What one integration over the two Gaussian fields yields.
#[derive(Debug, Clone, Copy)]
struct Moments {
    /// `ln ∫∫ [...]^y`.
    ln_integral: f64,
    /// Mean of `ln [...]` under the integrand.
    mean_ln: f64,
    /// Mean of the squared magnetisation of one replica under the integrand; equals `q` at the minimum over `q̂`.
    overlap: f64,
}

/// Replicas at one self-coupling and one mutual overlap.
#[derive(Debug, Clone)]
pub struct Replicas {
    overlap: f64,
    /// Per node of `z`: logarithm of its weight, and the two `ln Φ`.
    nodes: Vec<[f64; 3]>,
}

/// The best cluster at one overlap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Densest {
    /// Largest local entropy per neuron; negative in an overlap gap.
    pub local_entropy: f64,
    /// Number of replicas at which it is reached, at most [`MOST_REPLICAS`].
    pub replicas: f64,
}

impl Replicas {
    /// Prepares the quadrature for replicas at overlap `q` in `(0, 1)`.
    ///
    /// # Errors
    /// [`Error::Range`] for an overlap outside `(0, 1)` or a self-coupling outside `[-5, 5]`.
    pub fn new(self_coupling: f64, overlap: f64) -> Result<Self, Error> {
        within("overlap", overlap, 1e-9, 1.0 - 1e-9, "a number strictly between 0 and 1")?;
        within("self-coupling", self_coupling, -5.0, 5.0, "a number from -5 to 5")?;
        let (spread, root_q) = ((1.0 - overlap).sqrt(), overlap.sqrt());
        let nodes = panels(&breaks(self_coupling / root_q, spread / root_q))
            .into_iter()
            .map(|(z, w)| {
                let up = ln_cumulative((self_coupling + root_q * z) / spread);
                let down = ln_cumulative((self_coupling - root_q * z) / spread);
                [(w * density(z)).ln(), up, down]
            })
            .collect();
        Ok(Self { overlap, nodes })
    }

    /// The double integral and its means. The joint symmetry of both fields leaves `t ≥ 0` to sum.
    fn moments(&self, replicas: f64, conjugate: f64) -> Moments {
        let width = conjugate.sqrt();
        // The integrand is analytic within π/(2 width) of the real line, which the trapezoidal rule must resolve.
        let step = 0.35 / width.max(1.0);
        let steps = ((replicas * width + 9.0) / step).ceil() as usize;
        let mut terms: Vec<[f64; 3]> = Vec::with_capacity((steps + 1) * self.nodes.len());
        let mut largest = f64::NEG_INFINITY;
        for i in 0..=steps {
            let t = step * i as f64;
            let weight = -0.5 * t * t + if i == 0 { 0.0 } else { std::f64::consts::LN_2 };
            let a = width * t;
            for &[ln_w, up, down] in &self.nodes {
                let (x, y) = (a + up, down - a);
                let (high, low, sign) = if x > y { (x, y, 1.0) } else { (y, x, -1.0) };
                let exponent = weight + ln_w + replicas * high;
                // A term this far below the largest cannot reach the twelfth digit (the sum adds at most y ln 2).
                if exponent + replicas * std::f64::consts::LN_2 < largest - 32.0 {
                    continue;
                }
                let ratio = (low - high).exp();
                let ln_sum = high + ratio.ln_1p();
                let magnetisation = sign * (1.0 - ratio) / (1.0 + ratio);
                let ln_term = weight + ln_w + replicas * ln_sum;
                largest = largest.max(ln_term);
                terms.push([ln_term, ln_sum, magnetisation * magnetisation]);
            }
        }
        let (mut total, mut mean_ln, mut overlap) = (0.0, 0.0, 0.0);
        for [ln_term, ln_sum, m2] in terms {
            let p = (ln_term - largest).exp();
            total += p;
            mean_ln += p * ln_sum;
            overlap += p * m2;
        }
        let norm = step / (2.0 * std::f64::consts::PI).sqrt();
        Moments {
            ln_integral: largest + (total * norm).ln(),
            mean_ln: mean_ln / total,
            overlap: overlap / total,
        }
    }

    /// Conjugate overlap at the minimum, near `guess`, and the moments there.
    fn saddle(&self, replicas: f64, guess: f64) -> (f64, Moments) {
        let gap = |ln_c: f64| self.moments(replicas, ln_c.exp()).overlap - self.overlap;
        let start = guess.ln();
        let (mut near, mut step) = ((start, gap(start)), 0.05);
        let direction = if near.1 > 0.0 { -1.0 } else { 1.0 };
        let far = loop {
            let place = near.0 + direction * step;
            let value = gap(place);
            if value * direction >= 0.0 || !(-40.0..12.0).contains(&place) {
                break (place, value);
            }
            near = (place, value);
            step *= 2.0;
        };
        // The value is stationary here: an error of 1e-5 in the place is one of 1e-10 in the entropy.
        let conjugate = root_between(near, far, 1e-5, gap).unwrap_or(start).exp();
        (conjugate, self.moments(replicas, conjugate))
    }

    /// `S_y`, `dS_y/dy` and the conjugate overlap.
    fn entropy_and_slope(&self, replicas: f64, guess: f64) -> (f64, f64, f64) {
        let (y, q) = (replicas, self.overlap);
        let (c, m) = self.saddle(y, guess);
        let value = -0.5 * c * q * y * (y - 1.0) - 0.5 * c * y + m.ln_integral;
        let slope = -0.5 * c * q * (2.0 * y - 1.0) - 0.5 * c + m.mean_ln;
        (value, slope, c)
    }

    /// First guess of the conjugate overlap: a tilted field that aligns one replica as asked.
    fn guess(&self, replicas: f64) -> f64 {
        (self.overlap.sqrt().atanh() / replicas).max(1e-6)
    }

    /// Entropy `S_y` of `y`-tuples, `y > 1` real.
    ///
    /// # Errors
    /// [`Error::Range`] for a number of replicas outside `(1, 256]`.
    pub fn entropy(&self, replicas: f64) -> Result<f64, Error> {
        within("replicas", replicas, 1.01, 256.0, "a number from 1.01 to 256")?;
        Ok(self.entropy_and_slope(replicas, self.guess(replicas)).0)
    }

    /// The largest local entropy over the number of replicas, `min_y S_y/y`.
    pub fn densest(&self) -> Densest {
        // The product of conjugate overlap and replicas changes slowly from one number of replicas to the next.
        let mut product = self.guess(1.0);
        let mut clusters = |ln_y: f64| {
            let y = ln_y.exp();
            let (value, slope, c) = self.entropy_and_slope(y, (product / y).max(1e-9));
            product = c * y;
            (value - y * slope, value / y)
        };
        let (low, high) = (1.2f64.ln(), MOST_REPLICAS.ln());
        // Σ falls with y; bracket its zero by doubling from where it usually is.
        let mut near = (low, f64::NAN);
        let mut place = 2.5f64.ln();
        let far = loop {
            let (excess, local_entropy) = clusters(place);
            if excess <= 0.0 {
                break (place, excess);
            }
            if place >= high {
                return Densest { local_entropy, replicas: MOST_REPLICAS };
            }
            near = (place, excess);
            place = (place + 0.7).min(high);
        };
        if near.1.is_nan() {
            near.1 = clusters(low).0;
        }
        let ln_y = root_between(near, far, 1e-3, |x| clusters(x).0).unwrap_or(low);
        Densest { local_entropy: clusters(ln_y).1, replicas: ln_y.exp() }
    }
}

/// Panel ends for `z`: fine around the two thresholds `±centre`, one unit elsewhere.
fn breaks(centre: f64, width: f64) -> Vec<f64> {
    const EDGE: f64 = 8.5;
    let mut places: Vec<f64> = (-4..=4).map(|i| f64::from(i) * EDGE / 4.0).collect();
    for c in [-centre, centre] {
        places.push(c);
        for offset in [2.5, 6.0, 14.0, 36.0] {
            places.extend([c - offset * width, c + offset * width]);
        }
    }
    places.retain(|z| z.abs() <= EDGE);
    places.sort_by(f64::total_cmp);
    // Panels much narrower than the steepest feature only cost time.
    let mut kept: Vec<f64> = vec![-EDGE];
    for z in places {
        if z - kept[kept.len() - 1] > 0.8 * width.min(1.0) {
            kept.push(z);
        }
    }
    let last = kept.len() - 1;
    kept[last] = EDGE;
    kept
}

/// The densest cluster at distance `d = (1-q)/2`.
///
/// # Errors
/// As [`Replicas::new`].
pub fn densest_at(self_coupling: f64, distance: f64) -> Result<Densest, Error> {
    Ok(Replicas::new(self_coupling, 1.0 - 2.0 * distance)?.densest())
}

/// Where a gap closes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Touching {
    /// Number of replicas.
    pub replicas: f64,
    /// Self-coupling at which the smallest entropy over the overlap is zero.
    pub self_coupling: f64,
    /// Overlap at which it touches zero.
    pub overlap: f64,
}

/// Vertex of the parabola through three equally spaced values around `centre`: its offset and its value.
fn vertex(values: [f64; 3], spacing: f64) -> (f64, f64) {
    let [left, mid, right] = values;
    let (slope, curvature) = (0.5 * (right - left), right - 2.0 * mid + left);
    if curvature.abs() < f64::MIN_POSITIVE {
        return (0.0, mid);
    }
    let x = (-slope / curvature).clamp(-3.0, 3.0);
    (x * spacing, mid + slope * x + 0.5 * curvature * x * x)
}

/// Finds `(j, x)` at which the minimum over `x` of `f(j, x)` crosses zero, from a start nearby.
///
/// Each step fits a parabola in `x` and a secant in `j`, both narrowing.
fn touch(mut j: f64, mut x: f64, spacing: f64, f: impl Fn(f64, f64) -> f64 + Sync) -> (f64, f64) {
    let mut width = spacing;
    let mut dj = 1e-3;
    for _ in 0..12 {
        let points = [(j, x - width), (j, x), (j, x + width), (j + dj, x)];
        let values: Vec<f64> = points.par_iter().map(|&(j, x)| f(j, x)).collect();
        let (offset, least) = vertex([values[0], values[1], values[2]], width);
        let step = (-least * dj / (values[3] - values[1])).clamp(-0.02, 0.02);
        if !step.is_finite() {
            return (f64::NAN, x);
        }
        (j, x) = (j + step, x + offset);
        if step.abs() < 1e-7 && offset.abs() < 1e-3 * spacing {
            break;
        }
        width = (2.0 * offset.abs()).clamp(0.15 * spacing, spacing);
        dj = step.abs().clamp(1e-5, 1e-3);
    }
    (j, x)
}

/// Self-coupling at which the gap of `y`-tuples closes, and the overlap there.
///
/// # Errors
/// [`Error::Range`] for a number of replicas outside `[1.5, 16]`.
pub fn gap_threshold(replicas: f64) -> Result<Touching, Error> {
    within("replicas", replicas, 1.5, 16.0, "a number from 1.5 to 16")?;
    let entropy = |j: f64, ln_d: f64| {
        let value = Replicas::new(j, 1.0 - 2.0 * ln_d.exp()).and_then(|r| r.entropy(replicas));
        value.unwrap_or(f64::NAN)
    };
    let (self_coupling, ln_d) = touch(0.05, (0.065 / (replicas + 0.5)).ln(), 0.4, entropy);
    Ok(Touching { replicas, self_coupling, overlap: 1.0 - 2.0 * ln_d.exp() })
}

/// Self-coupling above which no overlap is empty: the largest [`gap_threshold`] over real numbers of replicas.
pub fn overlap_gap_threshold() -> Touching {
    const SPACING: f64 = 0.35;
    let mut centre = 4.7;
    for _ in 0..2 {
        let values = [-1.0, 0.0, 1.0]
            .map(|k| -gap_threshold(centre + k * SPACING).map_or(f64::NAN, |t| t.self_coupling));
        centre = (centre + vertex(values, SPACING).0).clamp(3.0, 8.0);
    }
    gap_threshold(centre).unwrap_or(Touching { replicas: centre, self_coupling: f64::NAN, overlap: f64::NAN })
}

/// Self-coupling above which the largest local entropy grows with distance everywhere: dense clusters without a bottleneck.
///
/// The slope is a difference over four per cent of the distance; its dip sits near a distance of 0.01.
pub fn monotone_threshold() -> f64 {
    let slope = |j: f64, ln_d: f64| {
        let value = |d: f64| densest_at(j, d).map_or(f64::NAN, |c| c.local_entropy);
        let d = ln_d.exp();
        (value(1.02 * d) - value(d / 1.02)) / d
    };
    touch(0.072, 0.0095f64.ln(), 0.35, slope).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{entropy, pair_entropy};

    #[test]
    fn two_replicas_are_pairs() {
        for (j, q) in [(0.05, 0.94), (0.3, 0.6), (1.0, 0.98)] {
            let two = Replicas::new(j, q).unwrap().entropy(2.0).unwrap();
            assert!((two - pair_entropy(j, q)).abs() < 1e-9, "{two} {}", pair_entropy(j, q));
        }
    }

    #[test]
    fn replicas_far_apart_are_independent() {
        let three = Replicas::new(0.4, 1e-6).unwrap().entropy(3.0).unwrap();
        assert!((three - 3.0 * entropy(0.4)).abs() < 1e-6);
    }

    #[test]
    fn an_overlap_of_one_is_refused() {
        assert!(Replicas::new(0.1, 1.0).is_err());
        assert!(Replicas::new(0.1, 0.5).unwrap().entropy(0.5).is_err());
    }
}
