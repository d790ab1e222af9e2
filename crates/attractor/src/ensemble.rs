//! Many samples of one experiment, on all threads, summed up.

use crate::error::Error;
use crate::network::{Recipe, random_state, stream};
use crate::relax::{End, Schedule, relax};
use rayon::prelude::*;

/// What many relaxations came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Number of relaxations.
    pub samples: usize,
    /// Fraction that ended at a fixed point.
    pub converged: f64,
    /// Fraction that ended in a cycle of two states.
    pub two_cycles: f64,
    /// Median number of sweeps of those that converged.
    pub median_sweeps: Option<f64>,
    /// Mean number of sweeps of those that converged.
    pub mean_sweeps: Option<f64>,
    /// Mean flips per neuron and sweep of those that did not settle; zero when there were none.
    pub residual: f64,
}

impl Summary {
    /// Sums up the ends of relaxations.
    pub fn of(ends: &[End]) -> Self {
        let samples = ends.len();
        let part = |count: usize| if samples == 0 { 0.0 } else { count as f64 / samples as f64 };
        let mut sweeps: Vec<u32> = ends
            .iter()
            .filter_map(|e| if let End::FixedPoint { sweeps } = e { Some(*sweeps) } else { None })
            .collect();
        sweeps.sort_unstable();
        let active: Vec<f64> = ends
            .iter()
            .filter_map(|e| if let End::Unsettled { activity } = e { Some(*activity) } else { None })
            .collect();
        let middle = sweeps.len() / 2;
        let median = match sweeps.len() {
            0 => None,
            n if n % 2 == 1 => sweeps.get(middle).map(|&m| f64::from(m)),
            _ => sweeps.get(middle - 1..=middle).map(|m| m.iter().map(|&s| f64::from(s)).sum::<f64>() / 2.0),
        };
        Self {
            samples,
            converged: part(sweeps.len()),
            two_cycles: part(ends.iter().filter(|e| matches!(e, End::TwoCycle)).count()),
            median_sweeps: median,
            mean_sweeps: (!sweeps.is_empty())
                .then(|| sweeps.iter().map(|&s| f64::from(s)).sum::<f64>() / sweeps.len() as f64),
            residual: if active.is_empty() { 0.0 } else { active.iter().sum::<f64>() / active.len() as f64 },
        }
    }
}

/// Size of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Networks drawn, one random start each.
    pub samples: usize,
    /// Sweeps at most.
    pub sweeps: u32,
    /// Seed of the experiment.
    pub seed: u64,
}

/// Relaxes a random state of each of many random networks.
///
/// # Errors
/// As [`Recipe::check`].
pub fn converge(recipe: &Recipe, schedule: Schedule, effort: Effort) -> Result<Summary, Error> {
    recipe.check()?;
    let ends: Result<Vec<End>, Error> = (0..effort.samples as u64)
        .into_par_iter()
        .map(|sample| {
            let mut rng = stream(effort.seed, sample);
            let network = recipe.draw(&mut rng)?;
            let mut state = random_state(network.neurons(), &mut rng);
            Ok(relax(&network, &mut state, schedule, effort.sweeps, &mut rng))
        })
        .collect();
    Ok(Summary::of(&ends?))
}

/// Self-coupling at which half of the runs converge: where the curve, ascending in its first column, first crosses one half.
pub fn half_point(curve: &[(f64, f64)]) -> Option<f64> {
    curve.windows(2).find_map(|pair| {
        let [(x0, y0), (x1, y1)] = pair else { return None };
        (*y0 < 0.5 && *y1 >= 0.5).then(|| x0 + (0.5 - y0) / (y1 - y0) * (x1 - x0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_counts_each_end_once() {
        let ends = [
            End::FixedPoint { sweeps: 3 },
            End::FixedPoint { sweeps: 8 },
            End::TwoCycle,
            End::Unsettled { activity: 0.25 },
        ];
        let s = Summary::of(&ends);
        assert_eq!((s.converged, s.two_cycles, s.residual), (0.5, 0.25, 0.25));
        assert_eq!((s.median_sweeps, s.mean_sweeps), (Some(5.5), Some(5.5)));
        assert_eq!(Summary::of(&[]).median_sweeps, None);
    }

    #[test]
    fn the_half_point_is_interpolated() {
        assert_eq!(half_point(&[(0.1, 0.0), (0.2, 0.25), (0.3, 0.75), (0.4, 1.0)]), Some(0.25));
        assert_eq!(half_point(&[(0.1, 0.0), (0.2, 0.25)]), None);
    }

    #[test]
    fn samples_do_not_depend_on_the_number_of_threads() {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let effort = Effort { samples: 8, sweeps: 60, seed: 9 };
            pool.install(|| converge(&Recipe::module(60, 0.5), Schedule::Permutation, effort).unwrap())
        };
        assert_eq!(run(1), run(2));
    }
}
