//! The sixteen experiments E1 to E16: what was measured beside what is expected, at stated tolerances.
//!
//! An experiment is a list of [`Claim`]s. A claim is a number measured here, the standard error of that number where
//! it was sampled, and the range in which it must lie. The ranges are the same at both [`Scale`]s; only the number of
//! samples differs. Everything is drawn from the seed alone, so a claim that holds goes on holding.

use crate::basin;
use crate::belief;
use crate::chain;
use crate::cluster;
use crate::ensemble::{Effort, Summary, converge, half_point};
use crate::entropy;
use crate::enumerate;
use crate::error::Error;
use crate::hetero;
use crate::network::{Recipe, random_state, stream};
use crate::numeric::line_fit;
use crate::relax::{End, Schedule, relax};
use crate::relay;
use crate::sparse::{self, Pattern};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Where a measured number must lie.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Bound {
    /// At most `tolerance` away from `expected`.
    Within {
        /// The expected number.
        expected: f64,
        /// Largest distance from it.
        tolerance: f64,
    },
    /// At or above this number.
    AtLeast(f64),
    /// At or below this number.
    AtMost(f64),
}

/// A measured number and where it must lie.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// What was measured.
    pub quantity: String,
    /// The number.
    pub measured: f64,
    /// Standard error of the number; zero where it was not sampled or is not known.
    pub error: f64,
    /// Where it must lie.
    pub bound: Bound,
}

impl Claim {
    fn within(quantity: impl Into<String>, measured: f64, expected: f64, tolerance: f64) -> Self {
        Self { quantity: quantity.into(), measured, error: 0.0, bound: Bound::Within { expected, tolerance } }
    }

    fn at_least(quantity: impl Into<String>, measured: f64, bound: f64) -> Self {
        Self { quantity: quantity.into(), measured, error: 0.0, bound: Bound::AtLeast(bound) }
    }

    fn at_most(quantity: impl Into<String>, measured: f64, bound: f64) -> Self {
        Self { quantity: quantity.into(), measured, error: 0.0, bound: Bound::AtMost(bound) }
    }

    fn error(self, error: f64) -> Self {
        Self { error, ..self }
    }

    /// Whether the number lies where it must; a number that is not finite does not.
    pub fn holds(&self) -> bool {
        self.measured.is_finite()
            && match self.bound {
                Bound::Within { expected, tolerance } => (self.measured - expected).abs() <= tolerance,
                Bound::AtLeast(least) => self.measured >= least,
                Bound::AtMost(most) => self.measured <= most,
            }
    }
}

/// How many samples an experiment draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Enough for the standard error to be a small part of the tolerance: minutes for all sixteen.
    Full,
    /// The stated sample sizes, or fewer where that is enough: seconds for all sixteen.
    Short,
}

impl Scale {
    fn of<T>(self, full: T, short: T) -> T {
        match self {
            Self::Full => full,
            Self::Short => short,
        }
    }
}

/// An experiment: its name, what it asks, and how to run it.
#[derive(Clone, Copy)]
pub struct Experiment {
    /// `E1` to `E16`.
    pub name: &'static str,
    /// What it measures, on what.
    pub title: &'static str,
    run: fn(Scale, u64) -> Result<Vec<Claim>, Error>,
}

impl Experiment {
    /// The experiment of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        EXPERIMENTS.into_iter().find(|e| e.name.eq_ignore_ascii_case(name))
    }

    /// Measures everything the experiment claims.
    ///
    /// # Errors
    /// [`Error::Range`] only if a fixed parameter were out of range.
    pub fn measure(&self, scale: Scale, seed: u64) -> Result<Vec<Claim>, Error> {
        (self.run)(scale, seed)
    }
}

/// All of them, in order.
pub const EXPERIMENTS: [Experiment; 16] = [
    Experiment { name: "E1", title: "entropy of fixed points at 21 self-couplings", run: e1 },
    Experiment { name: "E2", title: "fixed points counted one by one, N = 8, 10, 12", run: e2 },
    Experiment { name: "E3", title: "thresholds of pairs and clusters", run: e3 },
    Experiment { name: "E4", title: "asynchronous convergence, N = 100, 400", run: e4 },
    Experiment { name: "E5", title: "synchronous convergence, N = 100, 400", run: e5 },
    Experiment { name: "E6", title: "residual activity without self-coupling", run: e6 },
    Experiment { name: "E7", title: "residual activity below freezing, N = 3000", run: e7 },
    Experiment { name: "E8", title: "sweeps against N at J_D = 1", run: e8 },
    Experiment { name: "E9", title: "reinforced belief propagation, N = 400, 600 steps", run: e9 },
    Experiment { name: "E10", title: "chains, pairs and partial symmetry counted, N = 12", run: e10 },
    Experiment { name: "E11", title: "two layers of 200 without self-coupling", run: e11 },
    Experiment { name: "E12", title: "one-way excitation against pairs, N = 400", run: e12 },
    Experiment { name: "E13", title: "partial symmetry without self-coupling, N = 400", run: e13 },
    Experiment { name: "E14", title: "disturbed fixed points, N = 400, J_D = 1", run: e14 },
    Experiment { name: "E15", title: "stability of reached fixed points, N = 400, J_D = 1", run: e15 },
    Experiment { name: "E16", title: "hetero-association of 10 pairs with one and three layers", run: e16 },
];

/// Mean and standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, (variance / n).sqrt())
}

/// Standard error of a fraction.
fn fraction_error(fraction: f64, samples: usize) -> f64 {
    (fraction * (1.0 - fraction) / samples.max(1) as f64).sqrt()
}

/// `E[s]` at `J_D = 0, 0.1, …, 2`, six digits each.
const ENTROPIES: [f64; 21] = [
    0.000000, 0.076642, 0.147143, 0.211737, 0.270671, 0.324201, 0.372593, 0.416123, 0.455073, 0.489733,
    0.520393, 0.547351, 0.570901, 0.591335, 0.608943, 0.624004, 0.636789, 0.647558, 0.656555, 0.664010,
    0.670134,
];

fn e1(_: Scale, _: u64) -> Result<Vec<Claim>, Error> {
    let claim = |(k, &expected): (usize, &f64)| {
        let j = 0.1 * k as f64;
        Claim::within(format!("entropy, J_D = {j:.1}"), entropy::entropy(j), expected, 1e-6)
    };
    Ok(ENTROPIES.iter().enumerate().map(claim).collect())
}

/// Numbers of fixed points of `samples` networks.
fn counts(recipe: &Recipe, samples: usize, seed: u64) -> Result<Vec<f64>, Error> {
    let count = |k| Ok(enumerate::count(&recipe.draw(&mut stream(seed, k))?)? as f64);
    (0..samples as u64).into_par_iter().map(count).collect()
}

/// That the mean number of fixed points is the exact one, to four standard errors.
fn counted(name: &str, counts: &[f64], exact: f64) -> Claim {
    let (mean, error) = mean(counts);
    Claim::within(name, mean, exact, 4.0 * error).error(error)
}

fn e2(scale: Scale, seed: u64) -> Result<Vec<Claim>, Error> {
    let mut claims = Vec::new();
    for n in [8, 10, 12] {
        for j in [0.0, 0.1, 0.25, 0.5, 1.0] {
            let found = counts(&Recipe::module(n, j), scale.of(20_000, 4000), seed)?;
            claims.push(counted(&format!("E[n], N = {n}, J_D = {j}"), &found, entropy::expected_count(n, j)));
            if j >= 0.25 {
                let squares: Vec<f64> = found.iter().map(|n| n * n).collect();
                let (square, error) = mean(&squares);
                let exact = entropy::expected_count_squared(n, j);
                let name = format!("E[n^2], N = {n}, J_D = {j}");
                claims.push(Claim::within(name, square, exact, 0.15 * exact).error(error));
            }
        }
    }
    Ok(claims)
}

fn e3(_: Scale, _: u64) -> Result<Vec<Claim>, Error> {
    let pairs = entropy::pair_gap_threshold();
    let two = cluster::gap_threshold(2.0)?.self_coupling;
    Ok(vec![
        Claim::within("pairs at every distance", pairs, 0.04272, 1e-4),
        Claim::within("overlap gap of two replicas closes", two, 0.04272, 1e-4),
        Claim::within("overlap gap closes", cluster::overlap_gap_threshold().self_coupling, 0.0601, 3e-4),
        Claim::within("largest local entropy monotone", cluster::monotone_threshold(), 0.0731, 1e-3),
    ])
}

/// Relaxations of modules at `J_D = 0, 0.1, …, 1.2`, at most 1000 sweeps.
fn transition(width: usize, schedule: Schedule, samples: usize, seed: u64) -> Result<Vec<Summary>, Error> {
    let effort = Effort { samples, sweeps: 1000, seed };
    (0..=12).map(|k| converge(&Recipe::module(width, 0.1 * f64::from(k)), schedule, effort)).collect()
}

/// Convergence from none to all, and the self-coupling at which half converge.
fn rises(width: usize, summaries: &[Summary], half: f64) -> Vec<Claim> {
    let curve: Vec<(f64, f64)> =
        summaries.iter().enumerate().map(|(k, s)| (0.1 * k as f64, s.converged)).collect();
    let samples = summaries.first().map_or(0, |s| s.samples);
    let (first, last) = (curve.first().map_or(1.0, |c| c.1), curve.last().map_or(0.0, |c| c.1));
    let fall = curve.windows(2).map(|w| w[0].1 - w[1].1).fold(0.0, f64::max);
    let measured = half_point(&curve);
    // Where the curve crosses one half it rises by this much per unit.
    let slope =
        curve.windows(2).find(|w| w[0].1 < 0.5 && w[1].1 >= 0.5).map_or(1.0, |w| 10.0 * (w[1].1 - w[0].1));
    vec![
        Claim::within(format!("converged, N = {width}, J_D = 0"), first, 0.0, 0.0),
        Claim::within(format!("converged, N = {width}, J_D = 1.2"), last, 1.0, 0.0),
        Claim::at_most(format!("largest fall from one J_D to the next, N = {width}"), fall, 0.0),
        Claim::within(
            format!("J_D of half convergence, N = {width}"),
            measured.unwrap_or(f64::NAN),
            half,
            0.04,
        )
        .error(fraction_error(0.5, samples) / slope),
    ]
}

fn e4(scale: Scale, seed: u64) -> Result<Vec<Claim>, Error> {
    let mut claims = Vec::new();
    for (width, half) in [(100, 0.25), (400, 0.48)] {
        let curve = transition(width, Schedule::Permutation, scale.of(400, 40), seed)?;
        claims.extend(rises(width, &curve, half));
    }
    Ok(claims)
}

fn e5(scale: Scale, seed: u64) -> Result<Vec<Claim>, Error> {
    let mut claims = Vec::new();
    for (width, half) in [(100, 0.37), (400, 0.56)] {
        let curve = transition(width, Schedule::Synchronous, scale.of(400, 40), seed)?;
        claims.extend(rises(width, &curve, half));
        let cycles = curve.iter().map(|s| s.two_cycles).fold(0.0, f64::max);
        claims.push(Claim::within(format!("two-cycles at any J_D, N = {width}"), cycles, 0.0, 0.0));
    }
    Ok(claims)
}

/// Flips per neuron and sweep in the second half of 240 sweeps, mean and standard error over networks; not a number
/// if one settled.
fn residual(
    width: usize,
    j: f64,
    schedule: Schedule,
    samples: usize,
    seed: u64,
) -> Result<(f64, f64), Error> {
    let mut found = Vec::new();
    for k in 0..samples as u64 {
        let mut rng = stream(seed, k);
        let network = Recipe::module(width, j).draw(&mut rng)?;
        let mut state = random_state(width, &mut rng);
        found.push(match relax(&network, &mut state, schedule, 240, &mut rng) {
            End::Unsettled { activity } => activity,
            End::FixedPoint { .. } | End::TwoCycle => f64::NAN,
        });
    }
    Ok(mean(&found))
}

fn e6(scale: Scale, seed: u64) -> Result<Vec<Claim>, Error> {
    let closed = relay::activity_without_self_coupling();
    let mut claims = vec![Claim::within("replacement, closed form", closed, 0.261_361_6, 1e-6)];
    for (schedule, expected) in
        [(Schedule::Replacement, closed), (Schedule::Synchronous, 0.5), (Schedule::Permutation, 0.375)]
    {
        let (activity, error) = residual(1600, 0.0, schedule, scale.of(10, 2), seed)?;
        let name = format!("flips per neuron and sweep, {}", schedule.name());
        claims.push(Claim::within(name, activity, expected, 0.006).error(error));
    }
    Ok(claims)
}

fn e7(scale: Scale, seed: u64) -> Result<Vec<Claim>, Error> {
    let mut claims = Vec::new();
    let mut roots = Vec::new();
    for (j, expected) in [(0.2, 0.235), (0.4, 0.113), (0.5, 0.065), (0.6, 0.031)] {
        let (activity, error) = residual(3000, j, Schedule::Permutation, scale.of(8, 1), seed)?;
        roots.push((j, activity.sqrt()));
        claims.push(Claim::within(format!("residual, J_D = {j}"), activity, expected, 0.008).error(error));
    }
    let (intercept, slope) = line_fit(&roots).unwrap_or((f64::NAN, f64::NAN));
    claims.push(Claim::within("zero of a line through the square roots", -intercept / slope, 0.815, 0.065));
    let deviation = roots.iter().map(|(j, root)| (root - intercept - slope * j).abs()).fold(0.0, f64::max);
    claims.push(Claim::at_most("largest distance of a square root from the line", deviation, 0.02));
    Ok(claims)
}

fn e8(scale: Scale, seed: u64) -> Result<Vec<Claim>, Error> {
    let mut claims = Vec::new();
    for (width, expected) in [(125, 5.0), (250, 6.0), (500, 9.0), (1000, 14.0), (2000, 15.0)] {
        let samples = scale.of(200, 40) / (width / 500 + 1);
        let effort = Effort { samples, sweeps: 1000, seed };
        let found = converge(&Recipe::module(width, 1.0), Schedule::Permutation, effort)?;
        let sweeps = found.mean_sweeps.unwrap_or(f64::NAN);
        claims.push(Claim::within(format!("mean sweeps, N = {width}"), sweeps, expected, 0.3 * expected));
    }
    Ok(claims)
}

fn e9(scale: Scale, seed: u64) -> Result<Vec<Claim>, Error> {
    let samples = scale.of(40, 10);
    let solved = |j: f64| belief::search_many(400, j, samples, 600, seed).map(|found| found.solved);
    let mut claims = Vec::new();
    for j in [0.1, 0.2] {
        let found = solved(j)?;
        let name = format!("solved, J_D = {j}");
        claims.push(Claim::within(name, found, 0.0, 0.2).error(fraction_error(found, samples)));
    }
    let found = solved(0.4)?;
    claims.push(Claim::at_least("solved, J_D = 0.4", found, 0.9 - 0.2).error(fraction_error(found, samples)));
    let found = solved(0.5)?;
    claims.push(Claim::within("solved, J_D = 0.5", found, 1.0, 0.2).error(fraction_error(found, samples)));
    Ok(claims)
}

fn e10(scale: Scale, seed: u64) -> Result<Vec<Claim>, Error> {
    let samples = scale.of(20_000, 3000);
    let mut claims = Vec::new();
    for layers in [2, 3] {
        for link in [0.5, 1.0] {
            let recipe = Recipe { layers, link, ..Recipe::module(12 / layers, 0.3) };
            let exact = chain::expected_count(layers, recipe.width, 0.3, link)?;
            let name = format!("E[n], {layers} layers, J_D = 0.3, link {link}");
            claims.push(counted(&name, &counts(&recipe, samples, seed)?, exact));
        }
    }
    for excitation in [0.5, 1.0] {
        let recipe = Recipe { excitation: Some((Pattern::Clique(2), excitation)), ..Recipe::module(12, 0.0) };
        let exact = sparse::expected_clique_count(12, 2, excitation)?;
        claims.push(counted(
            &format!("E[n], pairs, J_E = {excitation}"),
            &counts(&recipe, samples, seed)?,
            exact,
        ));
    }
    for symmetry in [0.5, 1.0] {
        for j in [0.5, 1.0] {
            let recipe = Recipe { symmetry, ..Recipe::module(12, j) };
            let exact = entropy::expected_symmetric_count(12, j, symmetry)?;
            let name = format!("E[n], eta = {symmetry}, J_D = {j}");
            claims.push(counted(&name, &counts(&recipe, samples, seed)?, exact));
        }
    }
    Ok(claims)
}

/// Converged fraction of a recipe within a tolerance.
fn converged(
    name: &str,
    recipe: &Recipe,
    sweeps: u32,
    range: (f64, f64),
    samples: usize,
    seed: u64,
) -> Result<Claim, Error> {
    let found = converge(recipe, Schedule::Permutation, Effort { samples, sweeps, seed })?.converged;
    Ok(Claim::within(name, found, range.0, range.1).error(fraction_error(found, samples)))
}

fn e11(scale: Scale, seed: u64) -> Result<Vec<Claim>, Error> {
    [(0.75, 0.0), (1.5, 1.0)]
        .into_iter()
        .map(|(link, expected)| {
            let recipe = Recipe { layers: 2, link, ..Recipe::module(200, 0.0) };
            let name = format!("converged, link {link}");
            converged(&name, &recipe, 500, (expected, 0.2), scale.of(100, 20), seed)
        })
        .collect()
}

fn e12(scale: Scale, seed: u64) -> Result<Vec<Claim>, Error> {
    [(Pattern::Permutation, 0.0), (Pattern::Clique(2), 1.0)]
        .into_iter()
        .map(|(pattern, expected)| {
            let recipe = Recipe { excitation: Some((pattern, 1.5)), ..Recipe::module(400, 0.0) };
            let name = format!("converged, {}, J_E = 1.5", pattern.name());
            converged(&name, &recipe, 500, (expected, 0.2), scale.of(100, 20), seed)
        })
        .collect()
}

fn e13(scale: Scale, seed: u64) -> Result<Vec<Claim>, Error> {
    let samples = scale.of(100, 20);
    let recipe = |symmetry| Recipe { symmetry, ..Recipe::module(400, 0.0) };
    let mut claims = vec![
        converged("converged, async, eta = 0.4", &recipe(0.4), 1000, (0.0, 0.15), samples, seed)?,
        converged("converged, async, eta = 0.8", &recipe(0.8), 1000, (1.0, 0.15), samples, seed)?,
    ];
    let effort = Effort { samples, sweeps: 1000, seed };
    let cycles = converge(&recipe(1.0), Schedule::Synchronous, effort)?.two_cycles;
    claims.push(
        Claim::within("two-cycles, sync, eta = 1", cycles, 1.0, 0.15).error(fraction_error(cycles, samples)),
    );
    Ok(claims)
}

fn e14(scale: Scale, seed: u64) -> Result<Vec<Claim>, Error> {
    let effort = basin::Effort { samples: scale.of(200, 40), trials: 6, sweeps: 1000, seed };
    let found = basin::disturb(&Recipe::module(400, 1.0), &[1, 80], effort)?;
    let expected = [(0.96, 0.16), (0.50, 0.0)];
    let claims = found.iter().zip(expected).flat_map(|(basin, (overlap, returned))| {
        let flips = basin.flips;
        [
            Claim::within(format!("final overlap, {flips} flipped"), basin.final_overlap, overlap, 0.08),
            Claim::within(format!("returned, {flips} flipped"), basin.returned, returned, 0.08)
                .error(fraction_error(basin.returned, basin.trials)),
        ]
    });
    Ok(claims.collect())
}

fn e15(scale: Scale, seed: u64) -> Result<Vec<Claim>, Error> {
    let effort = basin::Effort { samples: scale.of(200, 40), trials: 1, sweeps: 1000, seed };
    let found = basin::reached(&Recipe::module(400, 1.0), effort)?;
    Ok(vec![
        Claim::within("mean s·h of reached points", found.stability, 0.62, 0.04),
        Claim::within("mean s·h of typical points", entropy::typical_stability(1.0), 0.288, 5e-4),
    ])
}

fn e16(scale: Scale, seed: u64) -> Result<Vec<Claim>, Error> {
    let samples = scale.of(24, 6);
    let overlap =
        |layers| hetero::associate(&hetero::Task::reference(layers, 10), samples, seed).map(|r| r.overlap);
    Ok(vec![
        Claim::at_most("overlap at recall, one layer", overlap(1)?, 0.65),
        Claim::at_least("overlap at recall, three layers", overlap(3)?, 0.85),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_beside_its_range_or_not_a_number_does_not_hold() {
        assert!(Claim::within("", 1.0, 1.5, 0.5).holds());
        assert!(!Claim::within("", 1.0, 1.6, 0.5).holds());
        assert!(Claim::at_least("", 1.0, 1.0).holds() && !Claim::at_least("", 0.9, 1.0).holds());
        assert!(Claim::at_most("", 1.0, 1.0).holds() && !Claim::at_most("", 1.1, 1.0).holds());
        assert!(!Claim::at_most("", f64::NAN, 1.0).holds() && !Claim::within("", f64::NAN, 0.0, 9.0).holds());
    }

    #[test]
    fn experiments_are_found_by_name_and_numbered_in_order() {
        for (k, experiment) in EXPERIMENTS.iter().enumerate() {
            assert_eq!(experiment.name, format!("E{}", k + 1));
        }
        assert_eq!(Experiment::from_name("e7").map(|e| e.name), Some("E7"));
        assert!(Experiment::from_name("E17").is_none());
    }
}
