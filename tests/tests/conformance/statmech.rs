//! Fixed-point statistics: exact numbers digit by digit, sampled ones within what two samples may differ.
//!
//! A case is a JSON file with any of the sections below; a section that is not known fails the case.
//! Sampled sections are drawn anew, with fewer samples than the file states where that is enough. The stated
//! tolerances of the experiments E1 to E16 are met by `crates/attractor/tests/reproduction.rs`.

use super::{Kind, Outcome};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use synop_attractor::chain::{self, Layers};
use synop_attractor::ensemble::{self, Effort, Summary, converge};
use synop_attractor::network::{Recipe, random_state, stream};
use synop_attractor::relax::{End, Schedule, relax};
use synop_attractor::sparse::{self, Pattern};
use synop_attractor::{basin, belief, cluster, entropy, enumerate, hetero, relay};

pub(crate) const KIND: Kind = Kind { name: "statmech", cases, check };

/// Seed of everything drawn here.
const SEED: u64 = 20;
/// Tolerance of exact numbers, relative above one.
const EXACT: f64 = 1e-6;

fn cases(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let json = entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "json"));
    json.map(|p| (p.file_stem().unwrap_or_default().to_string_lossy().into_owned(), p)).collect()
}

/// Differences found so far.
#[derive(Default)]
struct Differences {
    compared: usize,
    found: Vec<String>,
}

impl Differences {
    /// Compares with an absolute tolerance.
    fn near(&mut self, place: &str, ours: f64, expected: f64, tolerance: f64) {
        self.compared += 1;
        let differs = (ours - expected).abs() > tolerance;
        if differs || !ours.is_finite() || !expected.is_finite() {
            self.found.push(format!("{place}: ours {ours}, expected {expected} ± {tolerance:.3e}"));
        }
    }

    fn exact(&mut self, place: &str, ours: f64, expected: f64) {
        self.near(place, ours, expected, EXACT * expected.abs().max(1.0));
    }

    /// Compares two observed fractions: a fixed allowance and three standard errors of their difference.
    fn fraction(&mut self, place: &str, ours: (f64, usize), expected: (f64, usize), allowance: f64) {
        // A fraction of 0 or 1 is not certain either: one more of each kind is assumed.
        let variance = |(p, n): (f64, usize)| {
            let n = n as f64;
            let p = ((p * n + 1.0) / (n + 2.0)).clamp(0.0, 1.0);
            p * (1.0 - p) / n.max(1.0)
        };
        let error = (variance(ours) + variance(expected)).sqrt();
        self.near(place, ours.0, expected.0, allowance + 3.0 * error);
    }

    /// Compares a summary of relaxations with the row that describes it; `samples` were behind the row.
    fn summary(&mut self, place: &str, ours: &Summary, row: &Value, samples: usize) -> Result<(), String> {
        let conv = number(row, "conv")?;
        self.fraction(&format!("{place} conv"), (ours.converged, ours.samples), (conv, samples), 0.0);
        if let Some(cycle2) = row.get("cycle2").and_then(Value::as_f64) {
            let place = format!("{place} cycle2");
            self.fraction(&place, (ours.two_cycles, ours.samples), (cycle2, samples), 0.0);
        }
        let median = row.get("median").and_then(Value::as_f64);
        if let (Some(median), Some(mine)) = (median, ours.median_sweeps) {
            // Near the transition the times of different networks differ by more than their median.
            if conv > 0.95 && ours.converged > 0.95 {
                self.near(&format!("{place} median"), mine, median, 3.0 + 0.6 * median.max(mine));
                if let (Some(mean), Some(mine)) = (row.get("mean").and_then(Value::as_f64), ours.mean_sweeps)
                {
                    self.near(&format!("{place} mean"), mine, mean, 3.0 + 0.6 * mean.max(mine));
                }
            }
        }
        if let Some(residual) = row.get("residual").and_then(Value::as_f64)
            && conv < 0.05
            && ours.converged < 0.05
        {
            self.near(&format!("{place} residual"), ours.residual, residual, 0.012);
        }
        Ok(())
    }
}

fn check(path: &Path) -> Result<Outcome, String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let file: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let file = file.as_object().ok_or("the file is not an object")?;
    let mut d = Differences::default();
    for (name, section) in file {
        let done = match name.as_str() {
            "entropy" => rows(section, |row| check_entropy(&mut d, row)),
            "pair_entropy" => keyed(section, |j, list| check_pairs(&mut d, j, list)),
            "local_entropy_max" => keyed(section, |j, list| check_clusters(&mut d, j, list)),
            "J_OGP_y" => keyed(section, |y, pair| check_gap(&mut d, y, pair)),
            "J_OGP" | "J_mono" | "relay_OU_threshold" | "f_async_J0" => {
                check_threshold(&mut d, name, section)
            }
            "typical_isolation_radius" => keyed(section, |j, radius| check_radius(&mut d, j, radius)),
            "s_eta" => keyed(section, |eta, row| check_symmetric(&mut d, eta, row)),
            "s_chain" => keyed(section, |j, table| check_chain(&mut d, j, table)),
            "s_sparse" => rows(section, |row| check_sparse(&mut d, row)),
            "enum" => rows(section, |row| check_enumeration(&mut d, row)),
            "enum_sparse" => rows(section, |row| check_small(&mut d, row)),
            "dyn" => rows(section, |row| check_dynamics(&mut d, row)),
            "J50" => named(section, |mode, row| check_half_points(&mut d, mode, row)),
            "time_vs_N" => keyed(section, |j, row| check_times(&mut d, j, row)),
            "residual_N3000" => named(section, |mode, row| check_residual(&mut d, mode, row)),
            "relay" => check_relay(&mut d, section),
            "rbp" => rows(section, |row| check_belief(&mut d, row)),
            "chain_dyn" => rows(section, |row| check_chain_dynamics(&mut d, row)),
            "sparse_dyn" => rows(section, |row| check_sparse_dynamics(&mut d, row)),
            "eta_dyn" => rows(section, |row| check_symmetric_dynamics(&mut d, row)),
            "basin" => rows(section, |row| check_basin(&mut d, row)),
            "reached" => rows(section, |row| check_reached(&mut d, row)),
            "hetero" => rows(section, |row| check_hetero(&mut d, row)),
            "seconds" => Ok(()),
            _ => Err("this section is not known".to_owned()),
        };
        done.map_err(|why| format!("{name}: {why}"))?;
    }
    match (d.compared, d.found.len()) {
        (0, _) => Err("nothing to compare".to_owned()),
        (_, 0) => Ok(Outcome::Agrees),
        (all, n) => {
            let shown = d.found.iter().take(40).cloned().collect::<Vec<_>>().join("\n  ");
            Err(format!("{n} of {all} numbers differ:\n  {shown}"))
        }
    }
}

type Check = Result<(), String>;

/// Runs `each` on every element of a list.
fn rows(section: &Value, mut each: impl FnMut(&Value) -> Check) -> Check {
    let list = section.as_array().ok_or("not a list")?;
    list.iter().enumerate().try_for_each(|(k, row)| each(row).map_err(|why| format!("[{k}]: {why}")))
}

/// Runs `each` on every member of an object.
fn named(section: &Value, mut each: impl FnMut(&str, &Value) -> Check) -> Check {
    let map: &Map<String, Value> = section.as_object().ok_or("not an object")?;
    map.iter().try_for_each(|(key, value)| each(key, value).map_err(|why| format!("[{key}]: {why}")))
}

/// As [`named`], with keys that are numbers.
fn keyed(section: &Value, mut each: impl FnMut(f64, &Value) -> Check) -> Check {
    named(section, |key, value| each(key.parse().map_err(|_| "the key is not a number")?, value))
}

fn number(row: &Value, key: &str) -> Result<f64, String> {
    row.get(key).and_then(Value::as_f64).ok_or_else(|| format!("no number `{key}`"))
}

fn count(row: &Value, key: &str) -> Result<usize, String> {
    row.get(key).and_then(Value::as_u64).map(|n| n as usize).ok_or_else(|| format!("no count `{key}`"))
}

fn text<'a>(row: &'a Value, key: &str) -> Result<&'a str, String> {
    row.get(key).and_then(Value::as_str).ok_or_else(|| format!("no text `{key}`"))
}

fn plain(value: &Value) -> Result<f64, String> {
    value.as_f64().ok_or_else(|| "not a number".to_owned())
}

fn schedule(name: &str) -> Result<Schedule, String> {
    Schedule::from_name(name).ok_or_else(|| format!("no update order `{name}`"))
}

fn words(error: synop_attractor::Error) -> String {
    error.to_string()
}

fn check_entropy(d: &mut Differences, row: &Value) -> Check {
    let j = number(row, "J_D")?;
    let s = entropy::entropy(j);
    for (key, ours) in [
        ("s_nat", s),
        ("s_bits", s / std::f64::consts::LN_2),
        ("r", entropy::typical_stability(j)),
        ("C", entropy::count_fluctuation(j)),
    ] {
        d.exact(&format!("entropy J_D {j} {key}"), ours, number(row, key)?);
    }
    Ok(())
}

fn check_pairs(d: &mut Differences, j: f64, list: &Value) -> Check {
    rows(list, |row| {
        let (distance, q) = (number(row, "d")?, number(row, "q")?);
        let place = format!("pair_entropy J_D {j} d {distance}");
        d.exact(&format!("{place} q"), 1.0 - 2.0 * distance, q);
        d.exact(&format!("{place} s2"), entropy::pair_entropy(j, q), number(row, "s2")?);
        let local = entropy::typical_local_entropy(j, distance);
        d.exact(&format!("{place} typical_local"), local, number(row, "typical_local")?);
        Ok(())
    })
}

fn check_clusters(d: &mut Differences, j: f64, list: &Value) -> Check {
    rows(list, |row| {
        let row: Vec<f64> = row.as_array().ok_or("not a list")?.iter().filter_map(Value::as_f64).collect();
        let &[distance, local, y] = row.as_slice() else { return Err("not three numbers".to_owned()) };
        let best = cluster::densest_at(j, distance).map_err(words)?;
        let place = format!("local_entropy_max J_D {j} d {distance}");
        d.near(&place, best.local_entropy, local, 1e-4);
        // The minimum over y is flat: its place is known less well than its value.
        d.near(&format!("{place} y"), best.replicas, y, 0.1 * y);
        Ok(())
    })
}

fn check_gap(d: &mut Differences, y: f64, pair: &Value) -> Check {
    let pair: Vec<f64> = pair.as_array().ok_or("not a list")?.iter().filter_map(Value::as_f64).collect();
    let &[j, q] = pair.as_slice() else { return Err("not two numbers".to_owned()) };
    let touching = cluster::gap_threshold(y).map_err(words)?;
    d.near(&format!("J_OGP_y {y}"), touching.self_coupling, j, 1e-4);
    d.near(&format!("J_OGP_y {y} q"), touching.overlap, q, 3e-4);
    Ok(())
}

fn check_threshold(d: &mut Differences, name: &str, value: &Value) -> Check {
    let (ours, tolerance) = match name {
        "J_OGP" => (cluster::overlap_gap_threshold().self_coupling, 3e-4),
        "J_mono" => (cluster::monotone_threshold(), 1e-3),
        "relay_OU_threshold" => (relay::markov_threshold(), EXACT),
        _ => (relay::activity_without_self_coupling(), EXACT),
    };
    d.near(name, ours, plain(value)?, tolerance);
    Ok(())
}

fn check_radius(d: &mut Differences, j: f64, radius: &Value) -> Check {
    let ours = entropy::isolation_radius(j).map_err(words)?.ok_or("no radius of isolation")?;
    let radius = plain(radius)?;
    d.near(&format!("typical_isolation_radius J_D {j}"), ours, radius, EXACT * radius.abs());
    Ok(())
}

fn check_symmetric(d: &mut Differences, eta: f64, row: &Value) -> Check {
    keyed(row, |j, s| {
        let ours = entropy::symmetric_entropy(j, eta).map_err(words)?;
        d.exact(&format!("s_eta {eta} J_D {j}"), ours, plain(s)?);
        Ok(())
    })
}

fn check_chain(d: &mut Differences, j: f64, table: &Value) -> Check {
    named(table, |layers, row| {
        let length = match layers {
            "inf" => Layers::Infinite,
            count => Layers::Count(count.parse().map_err(|_| "not a number of layers")?),
        };
        keyed(row, |link, s| {
            let ours = chain::entropy(length, j, link).map_err(words)?;
            d.exact(&format!("s_chain J_D {j} L {layers} lambda {link}"), ours, plain(s)?);
            Ok(())
        })
    })
}

fn check_sparse(d: &mut Differences, row: &Value) -> Check {
    let strength = number(row, "JE")?;
    let entries = row.as_object().ok_or("not an object")?;
    for (name, s) in entries.iter().filter(|(name, _)| *name != "JE") {
        let pattern = Pattern::from_name(name).ok_or_else(|| format!("no pattern `{name}`"))?;
        let ours = sparse::entropy(pattern, strength).map_err(words)?;
        d.exact(&format!("s_sparse JE {strength} {name}"), ours, plain(s)?);
    }
    Ok(())
}

/// Counts of fixed points of `samples` networks.
fn counts(recipe: &Recipe, samples: usize) -> Result<Vec<f64>, String> {
    (0..samples as u64)
        .map(|k| {
            let network = recipe.draw(&mut stream(SEED, k)).map_err(words)?;
            Ok(enumerate::count(&network).map_err(words)? as f64)
        })
        .collect()
}

/// Mean and its standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, (variance / n).sqrt())
}

fn check_enumeration(d: &mut Differences, row: &Value) -> Check {
    let (n, samples, j) = (count(row, "N")?, count(row, "S")?, number(row, "J_D")?);
    let place = format!("enum N {n} J_D {j}");
    let exact = number(row, "exact")?;
    d.exact(&format!("{place} exact"), entropy::expected_count(n, j), exact);
    let second = number(row, "m2_exact")?;
    d.exact(&format!("{place} m2_exact"), entropy::expected_count_squared(n, j), second);
    let most = if n <= 12 {
        3000
    } else if n <= 16 {
        300
    } else {
        40
    };
    let found = counts(&Recipe::module(n, j), most)?;
    let (ours, error) = mean(&found);
    let (stated, stated_error) = (number(row, "mean")?, number(row, "sem")?);
    d.near(&format!("{place} mean"), ours, stated, 4.5 * error.hypot(stated_error));
    d.near(&format!("{place} mean against exact"), ours, exact, 4.5 * error.max(1e-9));
    let squares: Vec<f64> = found.iter().map(|c| c * c).collect();
    let (m2, m2_error) = mean(&squares);
    let spread = m2_error * (1.0 + found.len() as f64 / samples as f64).sqrt();
    d.near(&format!("{place} m2"), m2, number(row, "m2")?, 5.0 * spread);
    let none = found.iter().filter(|c| **c == 0.0).count() as f64 / found.len() as f64;
    d.fraction(&format!("{place} P0"), (none, found.len()), (number(row, "P0")?, samples), 0.0);
    Ok(())
}

fn check_small(d: &mut Differences, row: &Value) -> Check {
    let (n, strength, kind) = (count(row, "N")?, number(row, "J")?, text(row, "kind")?);
    let place = format!("enum_sparse {kind} {strength}");
    let unknown = || format!("no kind `{kind}`");
    let (recipe, exact) = if let Some(eta) = kind.strip_prefix("eta") {
        let symmetry: f64 = eta.parse().map_err(|_| unknown())?;
        let recipe = Recipe { symmetry, ..Recipe::module(n, strength) };
        (recipe, entropy::expected_symmetric_count(n, strength, symmetry).map_err(words)?)
    } else if let Some(layers) = kind.strip_prefix("chain L=").or(kind.strip_prefix("chain")) {
        let layers: usize = layers.parse().map_err(|_| unknown())?;
        // These chains have a self-coupling of 0.3; the number varied is the link.
        let recipe = Recipe { layers, link: strength, ..Recipe::module(n / layers.max(1), 0.3) };
        (recipe, chain::expected_count(layers, recipe.width, 0.3, strength).map_err(words)?)
    } else {
        let pattern = Pattern::from_name(kind).ok_or_else(unknown)?;
        let Pattern::Clique(size) = pattern else { return Err(unknown()) };
        let recipe = Recipe { excitation: Some((pattern, strength)), ..Recipe::module(n, 0.0) };
        (recipe, sparse::expected_clique_count(n, size, strength).map_err(words)?)
    };
    d.exact(&format!("{place} exact"), exact, number(row, "exact")?);
    let (ours, error) = mean(&counts(&recipe, 3000)?);
    d.near(&format!("{place} mean"), ours, number(row, "mean")?, 4.5 * error.hypot(number(row, "sem")?));
    Ok(())
}

fn check_dynamics(d: &mut Differences, row: &Value) -> Check {
    let (mode, n, samples) = (text(row, "mode")?, count(row, "N")?, count(row, "S")?);
    let (sweeps, j) = (count(row, "T")? as u32, number(row, "J_D")?);
    let effort = Effort { samples: samples.min(if n >= 800 { 6 } else { 16 }), sweeps, seed: SEED };
    let ours = converge(&Recipe::module(n, j), schedule(mode)?, effort).map_err(words)?;
    d.summary(&format!("dyn {mode} N {n} J_D {j}"), &ours, row, samples)
}

fn check_half_points(d: &mut Differences, mode: &str, row: &Value) -> Check {
    let order = schedule(mode)?;
    keyed(row, |n, expected| {
        let expected = plain(expected)?;
        let curve: Result<Vec<(f64, f64)>, String> = (-3..=3)
            .map(|k| {
                let j = expected + 0.035 * f64::from(k);
                let effort = Effort { samples: if n > 500.0 { 16 } else { 60 }, sweeps: 1000, seed: SEED };
                let summary = converge(&Recipe::module(n as usize, j), order, effort).map_err(words)?;
                Ok((j, summary.converged))
            })
            .collect();
        let half =
            ensemble::half_point(&curve?).ok_or_else(|| format!("N {n}: no half point near {expected}"))?;
        d.near(&format!("J50 {mode} N {n}"), half, expected, 0.04);
        Ok(())
    })
}

fn check_times(d: &mut Differences, j: f64, row: &Value) -> Check {
    keyed(row, |n, expected| {
        let expected = plain(expected)?;
        let effort = Effort { samples: if n > 500.0 { 10 } else { 40 }, sweeps: 1000, seed: SEED };
        let ours = converge(&Recipe::module(n as usize, j), Schedule::Permutation, effort).map_err(words)?;
        let mean = ours.mean_sweeps.ok_or("nothing converged")?;
        // Below a self-coupling of one the dynamics is near freezing, and times of few networks differ more.
        let tolerance = if j >= 1.0 { 0.3 * expected } else { 1.0 + 0.4 * expected };
        d.near(&format!("time_vs_N J_D {j} N {n}"), mean, expected, tolerance);
        Ok(())
    })
}

/// Flips per neuron and sweep of one large network, after a first half that is not counted.
fn residual(order: Schedule, neurons: usize, j: f64) -> Result<f64, String> {
    let mut rng = stream(SEED, 0);
    let network = Recipe::module(neurons, j).draw(&mut rng).map_err(words)?;
    let mut state = random_state(neurons, &mut rng);
    match relax(&network, &mut state, order, 240, &mut rng) {
        End::Unsettled { activity } => Ok(activity),
        end => Err(format!("{} N {neurons} J_D {j} ended: {end:?}", order.name())),
    }
}

fn check_residual(d: &mut Differences, mode: &str, row: &Value) -> Check {
    let order = schedule(mode)?;
    let mut points = Vec::new();
    keyed(row.get("f").ok_or("no `f`")?, |j, f| {
        let ours = residual(order, 3000, j)?;
        d.near(&format!("residual_N3000 {mode} J_D {j}"), ours, plain(f)?, 0.008);
        if (0.2..=0.6).contains(&j) {
            points.push((j, ours.sqrt()));
        }
        Ok(())
    })?;
    let (intercept, slope) =
        synop_attractor::numeric::line_fit(&points).ok_or("too few points for a line")?;
    let expected = number(row, "J_extrap_sqrt")?;
    d.near(&format!("residual_N3000 {mode} J_extrap_sqrt"), -intercept / slope, expected, 0.06);
    Ok(())
}

fn check_relay(d: &mut Differences, section: &Value) -> Check {
    let mut gains = Vec::new();
    keyed(section.get("K").ok_or("no `K`")?, |j, pair| {
        let expected = pair.get(0).and_then(Value::as_f64).ok_or("no gain")?;
        let ours = relay::self_consistent_gain(j, 12, 16, SEED);
        d.near(&format!("relay K {j}"), ours.mean, expected, 0.02 + 3.0 * ours.error);
        gains.push((j, ours));
        Ok(())
    })?;
    let threshold = relay::threshold(&gains).ok_or("the gain does not fall")?;
    d.near("relay J_c", threshold, number(section, "J_c")?, 0.02);
    Ok(())
}

fn check_belief(d: &mut Differences, row: &Value) -> Check {
    let (n, samples, j) = (count(row, "N")?, count(row, "S")?, number(row, "J_D")?);
    let ours = if n > 600 { 3 } else { 8 };
    let found = belief::search_many(n, j, ours, 600, SEED).map_err(words)?;
    let place = format!("rbp N {n} J_D {j}");
    d.fraction(&format!("{place} solved"), (found.solved, ours), (number(row, "solved")?, samples), 0.0);
    let least = number(row, "min_unsat")?;
    d.near(&format!("{place} min_unsat"), found.least_violated, least, 3.5 + 0.45 * least);
    Ok(())
}

fn check_chain_dynamics(d: &mut Differences, row: &Value) -> Check {
    let (j, layers, n, link) = (number(row, "J_D")?, count(row, "L")?, count(row, "N")?, number(row, "lam")?);
    let effort = Effort { samples: 12, sweeps: 500, seed: SEED };
    let recipe = Recipe { layers, link, ..Recipe::module(n, j) };
    let ours = converge(&recipe, Schedule::Permutation, effort).map_err(words)?;
    d.summary(&format!("chain_dyn J_D {j} L {layers} lambda {link}"), &ours, row, 10)
}

fn check_sparse_dynamics(d: &mut Differences, row: &Value) -> Check {
    let (kind, n, strength) = (text(row, "kind")?, count(row, "N")?, number(row, "JE")?);
    let pattern = Pattern::from_name(kind).ok_or_else(|| format!("no pattern `{kind}`"))?;
    // A last group that is not full is left out.
    let width = if let Pattern::Clique(size) = pattern { n - n % size.max(1) } else { n };
    let recipe = Recipe { excitation: Some((pattern, strength)), ..Recipe::module(width, 0.0) };
    let effort = Effort { samples: 12, sweeps: 500, seed: SEED };
    let ours = converge(&recipe, Schedule::Permutation, effort).map_err(words)?;
    d.summary(&format!("sparse_dyn {kind} JE {strength}"), &ours, row, 12)
}

fn check_symmetric_dynamics(d: &mut Differences, row: &Value) -> Check {
    let (mode, j, eta, n) = (text(row, "mode")?, number(row, "J_D")?, number(row, "eta")?, count(row, "N")?);
    let recipe = Recipe { symmetry: eta, ..Recipe::module(n, j) };
    let effort = Effort { samples: 10, sweeps: 1000, seed: SEED };
    let ours = converge(&recipe, schedule(mode)?, effort).map_err(words)?;
    d.summary(&format!("eta_dyn {mode} J_D {j} eta {eta}"), &ours, row, 10)
}

fn check_basin(d: &mut Differences, row: &Value) -> Check {
    let (j, n, flips) = (number(row, "J_D")?, count(row, "N")?, count(row, "flips")?);
    let effort = basin::Effort { samples: 40, trials: 6, sweeps: 1000, seed: SEED };
    let found = basin::disturb(&Recipe::module(n, j), &[flips], effort).map_err(words)?;
    let ours = found.first().ok_or("no result")?;
    let place = format!("basin J_D {j} flips {flips}");
    // The closer to freezing, the more a disturbance spreads, and the more networks differ.
    let tolerance = if j < 0.75 { 0.12 } else { 0.08 };
    d.near(&format!("{place} final_overlap"), ours.final_overlap, number(row, "final_overlap")?, tolerance);
    for (key, part) in
        [("returned", ours.returned), ("other_fp", ours.elsewhere), ("unconverged", ours.unsettled)]
    {
        d.fraction(&format!("{place} {key}"), (part, ours.trials), (number(row, key)?, 120), 0.02);
    }
    Ok(())
}

fn check_reached(d: &mut Differences, row: &Value) -> Check {
    let (j, n) = (number(row, "J_D")?, count(row, "N")?);
    let place = format!("reached J_D {j}");
    d.exact(&format!("{place} typical"), entropy::typical_stability(j), number(row, "typical")?);
    d.exact(&format!("{place} typical_P"), entropy::typical_double_stability(j), number(row, "typical_P")?);
    let effort = basin::Effort { samples: 40, trials: 1, sweeps: 1000, seed: SEED };
    let ours = basin::reached(&Recipe::module(n, j), effort).map_err(words)?;
    d.near(&format!("{place} mean_sh"), ours.stability, number(row, "mean_sh")?, 0.04);
    d.near(&format!("{place} P_sh_lt_JD"), ours.doubly_stable, number(row, "P_sh_lt_JD")?, 0.04);
    d.near(&format!("{place} init_overlap"), ours.start_overlap, number(row, "init_overlap")?, 0.08);
    Ok(())
}

fn check_hetero(d: &mut Differences, row: &Value) -> Check {
    let (layers, pairs, width) = (count(row, "L")?, count(row, "P")?, count(row, "N")?);
    let task = hetero::Task { width, ..hetero::Task::reference(layers, pairs) };
    let ours = hetero::associate(&task, 2, SEED).map_err(words)?;
    let place = format!("hetero L {layers} P {pairs}");
    // Two random draws are behind the stated numbers; recall jumps from pair to pair.
    d.near(&format!("{place} overlap"), ours.overlap, number(row, "overlap")?, 0.3);
    d.near(&format!("{place} frac"), ours.recalled, number(row, "frac")?, 0.4);
    Ok(())
}
