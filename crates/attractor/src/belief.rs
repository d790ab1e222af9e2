//! Reinforced belief propagation: messages, not dynamics, look for a fixed point.
//!
//! Factor `i` demands `s_i h_i + J_D > 0`. With dense couplings the messages close on the marginals `m`
//! and one response `g` per factor (approximate message passing). Reinforcement feeds the total field of
//! the step before back with a weight that grows from 0 to 1, until the marginals commit to a state.

use crate::error::{Error, within};
use crate::network::{Network, Recipe, stream};
use crate::normal::{hazard, ln_cumulative};
use crate::numeric::dot;
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

/// Root mean square below which the marginals are blown up again: the mirror symmetry makes zero attractive.
const LEAST_MAGNETISATION: f64 = 0.02;

/// What a search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search {
    /// Step at which the signs of the marginals were a fixed point.
    pub solved: Option<u32>,
    /// Smallest number of violated neurons seen.
    pub least_violated: usize,
}

/// Runs reinforced belief propagation on a one-layer network for `steps` steps.
pub fn search(network: &Network, steps: u32, rng: &mut impl Rng) -> Search {
    let n = network.neurons();
    let own = f64::from(network.self_coupling());
    let mut m: Vec<f64> = (0..n)
        .map(|_| {
            let x: f64 = StandardNormal.sample(rng);
            0.1 * x
        })
        .collect();
    let (mut g, mut bias, mut total) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    let mut least_violated = n;
    for step in 0..steps {
        keep_alive(&mut m, &mut bias, &mut g, &mut total);
        let variance = (m.iter().map(|x| 1.0 - x * x).sum::<f64>() / n as f64).max(1e-9);
        let spread = variance.sqrt();
        let mut omega = gather(network, &m);
        omega.iter_mut().zip(&g).for_each(|(w, g)| *w -= variance * g);
        let mut curvature = 0.0;
        let mut own_field = vec![0.0; n];
        for i in 0..n {
            let (up, down) = ((own + omega[i]) / spread, (own - omega[i]) / spread);
            let (ln_up, ln_down) = (ln_cumulative(up), ln_cumulative(down));
            own_field[i] = 0.5 * (ln_up - ln_down);
            // Weights of the two states of neuron i in its own factor, and their slopes in omega.
            let p = 1.0 / (1.0 + (-2.0 * bias[i] - ln_up + ln_down).exp());
            let (a, b) = (hazard(up) / spread, -hazard(down) / spread);
            g[i] = p * a + (1.0 - p) * b;
            let second = p * (-up * a / spread) + (1.0 - p) * (down * b / spread);
            curvature -= second - g[i] * g[i];
        }
        curvature /= n as f64;
        let response = scatter(network, &g);
        let reinforcement = f64::from(step) / f64::from(steps);
        for i in 0..n {
            bias[i] = response[i] + curvature * m[i];
            let field = bias[i] + own_field[i] + reinforcement * total[i];
            total[i] = field.clamp(-1e6, 1e6);
            m[i] = total[i].tanh();
        }
        let state: Vec<f32> = m.iter().map(|&x| if x >= 0.0 { 1.0 } else { -1.0 }).collect();
        let violated = network.violated(&state);
        least_violated = least_violated.min(violated);
        if violated == 0 {
            return Search { solved: Some(step), least_violated };
        }
    }
    Search { solved: None, least_violated }
}

/// Rescales the messages to the least magnetisation while they are below it.
fn keep_alive(m: &mut [f64], bias: &mut [f64], g: &mut [f64], total: &mut [f64]) {
    let size = (m.iter().map(|x| x * x).sum::<f64>() / m.len() as f64).sqrt();
    if size < LEAST_MAGNETISATION && size > 0.0 {
        let factor = LEAST_MAGNETISATION / size;
        for messages in [m, bias, g, total] {
            messages.iter_mut().for_each(|x| *x *= factor);
        }
    }
}

/// `Σ_j J_ij m_j` for every neuron `i`.
fn gather(network: &Network, m: &[f64]) -> Vec<f64> {
    let n = network.width();
    let mut sums = vec![0f32; n];
    for (column, &x) in network.layer(0).unwrap_or(&[]).chunks_exact(n).zip(m) {
        let x = x as f32;
        sums.iter_mut().zip(column).for_each(|(s, w)| *s += x * w);
    }
    sums.into_iter().map(f64::from).collect()
}

/// `Σ_i J_ij g_i` for every neuron `j`.
fn scatter(network: &Network, g: &[f64]) -> Vec<f64> {
    let n = network.width();
    let g: Vec<f32> = g.iter().map(|&x| x as f32).collect();
    network.layer(0).unwrap_or(&[]).chunks_exact(n).map(|column| f64::from(dot(column, &g))).collect()
}

/// What many searches found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Searches {
    /// Fraction that found a fixed point.
    pub solved: f64,
    /// Mean over the samples of the smallest number of violated neurons.
    pub least_violated: f64,
}

/// Runs one search on each of many random modules.
///
/// # Errors
/// As [`Recipe::check`]; [`Error::Range`] without samples.
pub fn search_many(
    width: usize,
    self_coupling: f64,
    samples: usize,
    steps: u32,
    seed: u64,
) -> Result<Searches, Error> {
    within("samples", samples as f64, 1.0, 1e9, "at least 1")?;
    let recipe = Recipe::module(width, self_coupling);
    recipe.check()?;
    let found: Result<Vec<Search>, Error> = (0..samples as u64)
        .into_par_iter()
        .map(|sample| {
            let mut rng = stream(seed, sample);
            Ok(search(&recipe.draw(&mut rng)?, steps, &mut rng))
        })
        .collect();
    let found = found?;
    let n = found.len() as f64;
    Ok(Searches {
        solved: found.iter().filter(|s| s.solved.is_some()).count() as f64 / n,
        least_violated: found.iter().map(|s| s.least_violated as f64).sum::<f64>() / n,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strong_self_coupling_is_solved_and_none_is_not() {
        let easy = search_many(200, 0.7, 6, 600, 1).unwrap();
        assert!(easy.solved > 0.8, "{easy:?}");
        let hard = search_many(200, 0.05, 4, 300, 1).unwrap();
        assert!(hard.solved == 0.0 && hard.least_violated > 3.0, "{hard:?}");
    }
}
