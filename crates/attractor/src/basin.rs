//! What happens to a fixed point that is disturbed, and what kind of fixed point the dynamics reaches.

use crate::error::{Error, within};
use crate::network::{Recipe, random_state, stream};
use crate::relax::{End, Schedule, relax};
use rand::seq::index::sample;
use rayon::prelude::*;

/// Size of the experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Networks drawn.
    pub samples: usize,
    /// Disturbances tried at the fixed point of each network.
    pub trials: usize,
    /// Sweeps at most per relaxation.
    pub sweeps: u32,
    /// Seed of the experiment.
    pub seed: u64,
}

/// Outcome of flipping some neurons of a reached fixed point and relaxing again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Basin {
    /// Neurons flipped.
    pub flips: usize,
    /// Fraction that came back to the same point.
    pub returned: f64,
    /// Fraction that ended at another fixed point.
    pub elsewhere: f64,
    /// Fraction that did not settle.
    pub unsettled: f64,
    /// Mean overlap of the last state with the fixed point.
    pub final_overlap: f64,
    /// Number of disturbances measured.
    pub trials: usize,
}

/// Properties of the fixed points that relaxation from random states reaches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reached {
    /// Mean of `s·h`, self-coupling not included.
    pub stability: f64,
    /// Fraction of neurons with `s·h < J_D`: flipped, they would be stable as well.
    pub doubly_stable: f64,
    /// Mean overlap with the start.
    pub start_overlap: f64,
    /// Number of fixed points measured.
    pub points: usize,
}

/// Overlap of two states, from −1 to 1.
pub fn overlap(a: &[f32], b: &[f32]) -> f64 {
    let sum: f32 = a.iter().zip(b).map(|(x, y)| x * y).sum();
    f64::from(sum) / a.len().min(b.len()).max(1) as f64
}

/// Relaxes by random permutation, flips each number of neurons in `flips`, and relaxes again.
///
/// # Errors
/// As [`Recipe::check`]; [`Error::Range`] for more flips than neurons.
pub fn disturb(recipe: &Recipe, flips: &[usize], effort: Effort) -> Result<Vec<Basin>, Error> {
    recipe.check()?;
    let neurons = recipe.width * recipe.layers;
    for &count in flips {
        within("flips", count as f64, 0.0, neurons as f64, "at most the number of neurons")?;
    }
    // Per sample and number of flips: returned, elsewhere, unsettled, sum of overlaps.
    let tables: Result<Vec<Vec<[f64; 4]>>, Error> = (0..effort.samples as u64)
        .into_par_iter()
        .map(|index| {
            let mut rng = stream(effort.seed, index);
            let network = recipe.draw(&mut rng)?;
            let mut point = random_state(neurons, &mut rng);
            let mut table = vec![[0.0; 4]; flips.len()];
            let end = relax(&network, &mut point, Schedule::Permutation, effort.sweeps, &mut rng);
            if !matches!(end, End::FixedPoint { .. }) {
                return Ok(table);
            }
            for (row, &count) in table.iter_mut().zip(flips) {
                for _ in 0..effort.trials {
                    let mut state = point.clone();
                    for i in sample(&mut rng, neurons, count) {
                        state[i] = -state[i];
                    }
                    let end = relax(&network, &mut state, Schedule::Permutation, effort.sweeps, &mut rng);
                    let settled = matches!(end, End::FixedPoint { .. });
                    let place = if !settled { 2 } else { usize::from(state != point) };
                    row[place] += 1.0;
                    row[3] += overlap(&state, &point);
                }
            }
            Ok(table)
        })
        .collect();
    let tables = tables?;
    Ok(flips
        .iter()
        .enumerate()
        .map(|(k, &flips)| {
            let sum = tables.iter().fold([0.0; 4], |a, t| std::array::from_fn(|i| a[i] + t[k][i]));
            let trials = sum[0] + sum[1] + sum[2];
            let part = |x: f64| x / trials.max(1.0);
            Basin {
                flips,
                returned: part(sum[0]),
                elsewhere: part(sum[1]),
                unsettled: part(sum[2]),
                final_overlap: part(sum[3]),
                trials: trials as usize,
            }
        })
        .collect())
}

/// Measures the fixed points that relaxation by random permutation reaches.
///
/// # Errors
/// As [`Recipe::check`].
pub fn reached(recipe: &Recipe, effort: Effort) -> Result<Reached, Error> {
    recipe.check()?;
    let points: Result<Vec<Option<[f64; 3]>>, Error> = (0..effort.samples as u64)
        .into_par_iter()
        .map(|index| {
            let mut rng = stream(effort.seed, index);
            let network = recipe.draw(&mut rng)?;
            let start = random_state(network.neurons(), &mut rng);
            let mut state = start.clone();
            let end = relax(&network, &mut state, Schedule::Permutation, effort.sweeps, &mut rng);
            if !matches!(end, End::FixedPoint { .. }) {
                return Ok(None);
            }
            let fields = network.fields(&state);
            let n = network.neurons() as f64;
            let stability = fields.iter().zip(&state).map(|(h, s)| f64::from(h * s)).sum::<f64>() / n;
            let own = network.self_coupling();
            let weak = fields.iter().zip(&state).filter(|&(h, s)| h * s < own).count() as f64 / n;
            Ok(Some([stability, weak, overlap(&state, &start)]))
        })
        .collect();
    let points: Vec<[f64; 3]> = points?.into_iter().flatten().collect();
    let n = points.len().max(1) as f64;
    let mean = |k: usize| points.iter().map(|p| p[k]).sum::<f64>() / n;
    Ok(Reached { stability: mean(0), doubly_stable: mean(1), start_overlap: mean(2), points: points.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_undisturbed_point_stays_and_a_mirrored_one_goes_to_the_mirror() {
        let effort = Effort { samples: 4, trials: 2, sweeps: 500, seed: 2 };
        let basins = disturb(&Recipe::module(100, 1.0), &[0, 100], effort).unwrap();
        assert_eq!((basins[0].returned, basins[0].final_overlap), (1.0, 1.0));
        assert_eq!((basins[1].elsewhere, basins[1].final_overlap), (1.0, -1.0));
        assert!(disturb(&Recipe::module(10, 1.0), &[11], effort).is_err());
    }
}
