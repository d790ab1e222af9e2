//! Where the local dynamics freezes as the network grows.
//!
//! With fully asymmetric couplings a neuron of a large network sees a Gaussian field whose covariance is
//! the autocorrelation of the states. The self-coupling makes the neuron a relay with hysteresis: it flips
//! down when the field falls below `-J_D`, up when it rises above `+J_D`. When little happens the field is
//! locally a Brownian path with `(Δh)² = 2(1-C)`. Let `K` be the ratio of the slope of `1-C` at the output
//! of the relay to that at its input, for a shape that reproduces itself: with `K < 1` flips die out, with
//! `K > 1` they multiply. Freezing is at `K = 1`.

use crate::network::stream;
use crate::numeric::{integrate, line_fit, root};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use std::f64::consts::PI;

/// `K` when the field is taken for an Ornstein–Uhlenbeck process: `2 / (√(2π) ∫₀^J e^{x²/2} dx)`.
pub fn markov_gain(self_coupling: f64) -> f64 {
    2.0 / ((2.0 * PI).sqrt() * integrate(0.0, self_coupling, 4, |x| (0.5 * x * x).exp()))
}

/// Self-coupling at which [`markov_gain`] is one.
pub fn markov_threshold() -> f64 {
    root(0.1, 2.0, 1e-14, |j| markov_gain(j) - 1.0).unwrap_or(f64::NAN)
}

/// Flips per neuron and sweep without self-coupling, sites drawn with replacement: `½ √(4/π - 1)`.
///
/// The autocorrelation obeys `C'' = C - (2/π) asin C`; its first integral gives the slope at zero.
pub fn activity_without_self_coupling() -> f64 {
    0.5 * (4.0 / PI - 1.0).sqrt()
}

/// Time steps of one periodic path.
const STEPS: usize = 1 << 14;
/// Time step in units in which the autocorrelation falls with slope one.
const DT: f64 = 0.01;

/// A gain measured by simulation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gain {
    /// Mean over the later iterations.
    pub mean: f64,
    /// Standard error of the mean.
    pub error: f64,
}

/// `K` with the self-consistent autocorrelation: Gaussian paths drive relays, whose autocorrelation, rescaled in time, makes the next paths.
///
/// `iterations` beyond the first third are averaged; `paths` periodic paths of 164 time units each serve an iteration.
pub fn self_consistent_gain(self_coupling: f64, iterations: usize, paths: usize, seed: u64) -> Gain {
    let mut correlation: Vec<f64> = (0..STEPS).map(|k| (-(lag(k))).exp()).collect();
    let mut kept = Vec::new();
    for iteration in 0..iterations {
        let amplitude = spectrum(&correlation);
        let runs: Vec<(u64, Vec<f64>)> = (0..paths as u64)
            .into_par_iter()
            .map(|path| {
                let mut rng = stream(seed, (iteration as u64) << 32 | path);
                let field = gaussian_path(&amplitude, &mut rng);
                let (states, flips) = relay(&field, self_coupling, &mut rng);
                (flips, power(&states))
            })
            .collect();
        let flips: u64 = runs.iter().map(|r| r.0).sum();
        let gain = 2.0 * flips as f64 / (paths as f64 * STEPS as f64 * DT);
        let mut sum = vec![0.0; STEPS];
        for (_, p) in &runs {
            sum.iter_mut().zip(p).for_each(|(s, p)| *s += p);
        }
        correlation = rescaled(&autocorrelation(&sum), gain);
        if iteration >= iterations / 3 {
            kept.push(gain);
        }
    }
    let n = kept.len().max(1) as f64;
    let mean = kept.iter().sum::<f64>() / n;
    let variance = kept.iter().map(|k| (k - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    Gain { mean, error: (variance / n).sqrt() }
}

/// Self-coupling at which a line through measured gains crosses one; `None` unless it falls.
pub fn threshold(gains: &[(f64, Gain)]) -> Option<f64> {
    let points: Vec<(f64, f64)> = gains.iter().map(|&(j, g)| (j, g.mean)).collect();
    let (intercept, slope) = line_fit(&points)?;
    (slope < 0.0).then(|| (1.0 - intercept) / slope)
}

/// Time lag of place `k` on the circle.
fn lag(k: usize) -> f64 {
    DT * k.min(STEPS - k) as f64
}

/// Square roots of the eigenvalues of the circular covariance; small negative ones from noise are cut.
fn spectrum(correlation: &[f64]) -> Vec<f64> {
    let mut re = correlation.to_vec();
    let mut im = vec![0.0; STEPS];
    fourier(&mut re, &mut im);
    re.into_iter().map(|x| x.max(0.0).sqrt()).collect()
}

/// One periodic Gaussian path with the given spectrum, unit variance.
fn gaussian_path(amplitude: &[f64], rng: &mut impl Rng) -> Vec<f64> {
    let mut draw = || -> f64 { StandardNormal.sample(rng) };
    let mut re: Vec<f64> = amplitude.iter().map(|a| a * draw()).collect();
    let mut im: Vec<f64> = amplitude.iter().map(|a| a * draw()).collect();
    fourier(&mut re, &mut im);
    let norm = 1.0 / (STEPS as f64).sqrt();
    re.iter_mut().for_each(|x| *x *= norm);
    re
}

/// Drives one relay twice round the periodic path and records the second round: states and number of flips.
///
/// A path that stays short of the threshold at both ends of a step may have crossed it in between, with
/// the probability `exp(-(b-x₀)(b-x₁)/dt)` of a Brownian bridge of variance `2dt`.
fn relay(field: &[f64], threshold: f64, rng: &mut impl Rng) -> (Vec<f64>, u64) {
    let mut state = 1.0;
    let mut flips = 0;
    let mut states = vec![0.0; STEPS];
    for round in 0..2 {
        for k in 0..STEPS {
            let (before, now) = (field[(k + STEPS - 1) % STEPS], field[k]);
            let (a, b) = (threshold + state * before, threshold + state * now);
            let crossed =
                b <= 0.0 || (a > 0.0 && a * b < 40.0 * DT && rng.random::<f64>() < (-a * b / DT).exp());
            if crossed {
                state = -state;
                flips += round;
            }
            states[k] = state;
        }
    }
    (states, flips)
}

/// Squared magnitude of the transform of a path.
fn power(states: &[f64]) -> Vec<f64> {
    let (mut re, mut im) = (states.to_vec(), vec![0.0; STEPS]);
    fourier(&mut re, &mut im);
    re.iter().zip(&im).map(|(a, b)| a * a + b * b).collect()
}

/// Autocorrelation that belongs to a summed power spectrum, normalised to one at zero.
fn autocorrelation(power: &[f64]) -> Vec<f64> {
    let (mut re, mut im) = (power.to_vec(), vec![0.0; STEPS]);
    fourier(&mut re, &mut im);
    let norm = if re[0] > 0.0 { re[0] } else { 1.0 };
    re.iter().map(|x| x / norm).collect()
}

/// Stretches time by `gain`, so that the slope at zero is one again, and fades out the noise of long lags.
fn rescaled(correlation: &[f64], gain: f64) -> Vec<f64> {
    let horizon = 0.25 * DT * STEPS as f64;
    (0..STEPS)
        .map(|k| {
            let t = lag(k);
            let place = t / gain.max(1e-3) / DT;
            let low = place.floor() as usize;
            if low + 1 >= STEPS / 2 || t > horizon {
                return 0.0;
            }
            let value = correlation[low] + (place - low as f64) * (correlation[low + 1] - correlation[low]);
            let fade = ((t / horizon - 0.5) * 2.0).clamp(0.0, 1.0);
            value * 0.5 * (1.0 + (PI * fade).cos())
        })
        .collect()
}

/// Discrete Fourier transform in place, length a power of two.
fn fourier(re: &mut [f64], im: &mut [f64]) {
    let n = re.len();
    let shift = usize::BITS - n.trailing_zeros();
    for i in 0..n {
        let j = i.reverse_bits() >> shift;
        if i < j {
            re.swap(i, j);
            im.swap(i, j);
        }
    }
    let mut half = 1;
    while half < n {
        let step = -PI / half as f64;
        for k in 0..half {
            let (sin, cos) = (step * k as f64).sin_cos();
            for a in (k..n).step_by(2 * half) {
                let b = a + half;
                let (x, y) = (cos * re[b] - sin * im[b], cos * im[b] + sin * re[b]);
                (re[b], im[b]) = (re[a] - x, im[a] - y);
                (re[a], im[a]) = (re[a] + x, im[a] + y);
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_markov_threshold_and_the_replacement_activity_are_the_closed_values() {
        assert!((markov_threshold() - 0.728_098_091).abs() < 1e-8);
        assert!((activity_without_self_coupling() - 0.261_361_600).abs() < 1e-8);
    }

    #[test]
    fn a_relay_driven_by_a_markov_path_has_the_markov_gain() {
        let correlation: Vec<f64> = (0..STEPS).map(|k| (-lag(k)).exp()).collect();
        let amplitude = spectrum(&correlation);
        let mut flips = 0;
        for path in 0..60 {
            let mut rng = stream(4, path);
            flips += relay(&gaussian_path(&amplitude, &mut rng), 0.8, &mut rng).1;
        }
        let gain = 2.0 * flips as f64 / (60.0 * STEPS as f64 * DT);
        assert!((gain - markov_gain(0.8)).abs() < 0.03, "{gain} {}", markov_gain(0.8));
    }

    #[test]
    fn the_transform_of_a_wave_is_a_line() {
        let n = 64;
        let mut re: Vec<f64> = (0..n).map(|k| (2.0 * PI * 5.0 * k as f64 / n as f64).cos()).collect();
        let mut im = vec![0.0; n];
        fourier(&mut re, &mut im);
        for (k, x) in re.iter().enumerate() {
            let expected = if k == 5 || k == n - 5 { 32.0 } else { 0.0 };
            assert!((x - expected).abs() < 1e-9, "{k}: {x}");
        }
    }
}
