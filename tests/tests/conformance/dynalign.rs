//! Encoder vectors: trajectories, Lyapunov spectra, batches, and a small network driven by them.
//!
//! A case is a JSON file; each section of it may be absent, but not all. Where the file states no
//! tolerance, numbers agree to 1e-9 of the largest one of their run.

use super::{Kind, Outcome};
use serde_json::{Map, Value};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use synop_encode::lif::LifLayer;
use synop_encode::{Dynamics, LyapunovRun, Scale, Scheme, System, TrajectoryEncoder, integrate, lyapunov};

pub(crate) const KIND: Kind = Kind { name: "dynalign", cases, check };

/// Relative tolerance where the file states none.
const TOLERANCE: f64 = 1e-9;

fn cases(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|e| e.path());
    let json = paths.filter(|p| p.extension().is_some_and(|e| e == "json"));
    json.map(|p| (p.file_stem().unwrap_or_default().to_string_lossy().into_owned(), p)).collect()
}

type Check = Result<(), String>;

fn check(path: &Path) -> Result<Outcome, String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let file: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let mut entries = 0;
    for (section, check) in [
        ("trajectories", check_trajectory as fn(&Value) -> Check),
        ("lyapunov", check_lyapunov),
        ("lyapunov_long", check_lyapunov_long),
        ("batch_encoding", check_batch),
        ("deep_variants", check_deep_variants),
        ("lif", check_lif),
    ] {
        let list = match file.get(section) {
            None | Some(Value::Null) => continue,
            Some(Value::Array(list)) => list.iter().collect(),
            Some(one) => vec![one],
        };
        for (k, entry) in list.into_iter().enumerate() {
            let system = entry.get("system").and_then(Value::as_str).unwrap_or("");
            check(entry).map_err(|why| format!("{section}[{k}] {system}: {why}"))?;
            entries += 1;
        }
    }
    match entries {
        0 => Err("no entry of any known section".to_owned()),
        _ => Ok(Outcome::Agrees),
    }
}

fn get<'a>(v: &'a Value, key: &str) -> Result<&'a Value, String> {
    v.get(key).ok_or_else(|| format!("no `{key}`"))
}

fn number(v: &Value, key: &str) -> Result<f64, String> {
    let found = get(v, key)?.as_f64();
    found.ok_or_else(|| format!("`{key}` is not a number"))
}

fn count(v: &Value, key: &str) -> Result<usize, String> {
    let found = get(v, key)?.as_u64();
    found.map(|n| n as usize).ok_or_else(|| format!("`{key}` is not a count"))
}

fn list<'a>(v: &'a Value, key: &str) -> Result<&'a Vec<Value>, String> {
    let found = get(v, key)?.as_array();
    found.ok_or_else(|| format!("`{key}` is not a list"))
}

fn object<'a>(v: &'a Value, key: &str) -> Result<&'a Map<String, Value>, String> {
    let found = get(v, key)?.as_object();
    found.ok_or_else(|| format!("`{key}` is not an object"))
}

fn numbers(v: &Value) -> Result<Vec<f64>, String> {
    let found = v.as_array().map(|a| a.iter().map(Value::as_f64).collect());
    found.flatten().ok_or_else(|| format!("{v} is not a list of numbers"))
}

fn triple(v: &Value) -> Result<[f64; 3], String> {
    let found = numbers(v)?.try_into();
    found.map_err(|_| format!("{v} is not three numbers"))
}

fn matrix(v: &Value, key: &str) -> Result<Vec<Vec<f64>>, String> {
    list(v, key)?.iter().map(numbers).collect()
}

fn near(what: impl Display, found: f64, expected: f64, tolerance: f64) -> Check {
    let off = (found - expected).abs();
    if off <= tolerance {
        return Ok(());
    }
    Err(format!("{what}: found {found}, expected {expected}, off by {off:e} > {tolerance:e}"))
}

fn all_near(what: impl Display, found: &[f64], expected: &[f64], tolerance: f64) -> Check {
    if found.len() != expected.len() {
        return Err(format!("{what}: {} values, expected {}", found.len(), expected.len()));
    }
    let mut pairs = found.iter().zip(expected).enumerate();
    pairs.try_for_each(|(i, (f, e))| near(format!("{what}[{i}]"), *f, *e, tolerance))
}

/// The system whose name is the given one, or its beginning up to an underscore (`lorenz_b2667`).
fn system(name: &str) -> Result<System, String> {
    let cuts = name.match_indices('_').map(|(at, _)| &name[..at]);
    let mut names = std::iter::once(name).chain(cuts.collect::<Vec<_>>().into_iter().rev());
    let found = names.find_map(|n| System::from_name(n).ok());
    found.ok_or_else(|| format!("no system is called {name}"))
}

fn dynamics(entry: &Value) -> Result<Dynamics, String> {
    let name = get(entry, "system")?.as_str().ok_or("`system` is not text")?;
    let mut dynamics = Dynamics::new(system(name)?);
    for (key, value) in object(entry, "params")? {
        let value = value.as_f64().ok_or_else(|| format!("`{key}` is not a number"))?;
        dynamics.set(key, value).map_err(|e| e.to_string())?;
    }
    if let Some(scheme) = entry.get("integrator").and_then(Value::as_str) {
        dynamics.scheme = Scheme::from_name(scheme).map_err(|e| e.to_string())?;
    }
    Ok(dynamics)
}

fn check_trajectory(entry: &Value) -> Check {
    let dynamics = dynamics(entry)?;
    let (dt, tmax) = (number(entry, "dt")?, number(entry, "tmax")?);
    let steps = integrate::steps_to(tmax, dt).map_err(|e| e.to_string())?;
    if steps != count(entry, "steps")? {
        return Err(format!("{steps} steps, expected {}", count(entry, "steps")?));
    }
    let relative = number(entry, "tol_relative_to_abs_max")?;
    let at = numbers(get(entry, "sample_indices")?)?;
    for run in list(entry, "runs")? {
        let v = number(run, "value")?;
        let abs_max = number(run, "abs_max")?;
        let tolerance = relative * abs_max;
        let initial = [v, 0.2 * v, -v];
        all_near("initial", &initial, &triple(get(run, "initial")?)?, tolerance)?;
        let path = integrate::trajectory(&dynamics, initial, dt, steps);
        let path = path.map_err(|e| e.to_string())?;
        let largest = path.iter().flatten().fold(0.0f64, |m, c| c.abs().max(m));
        near(format!("v = {v}: abs_max"), largest, abs_max, tolerance)?;
        let states = list(run, "states")?;
        if states.len() != at.len() {
            return Err(format!("{} states for {} indices", states.len(), at.len()));
        }
        for (state, k) in states.iter().zip(&at) {
            let found = path.get(*k as usize).ok_or_else(|| format!("no step {k}"))?;
            all_near(format!("v = {v}: step {k}"), found, &triple(state)?, tolerance)?;
        }
        for (ticks, expected) in object(run, "resampled")? {
            let ticks = ticks.parse().map_err(|_| format!("`{ticks}` is not a count"))?;
            let mut encoder = TrajectoryEncoder::new(dynamics.clone(), tmax, ticks);
            encoder.dt = dt;
            let found = encoder.path(v).map_err(|e| e.to_string())?.concat();
            let expected: Vec<Vec<f64>> = match expected.as_array() {
                Some(rows) => rows.iter().map(numbers).collect::<Result<_, _>>()?,
                None => return Err("`resampled` holds no list".to_owned()),
            };
            let what = format!("v = {v}: {ticks} points");
            all_near(what, &found, &expected.concat(), tolerance)?;
        }
    }
    Ok(())
}

fn lyapunov_run(entry: &Value) -> Result<LyapunovRun, String> {
    Ok(LyapunovRun {
        initial: match entry.get("s0") {
            Some(s0) => triple(s0)?,
            None => [0.1; 3],
        },
        dt: number(entry, "dt")?,
        transient: match entry.get("transient") {
            Some(_) => count(entry, "transient")?,
            None => 0,
        },
        steps: count(entry, "steps")?,
        qr_every: count(entry, "qr_every")?,
    })
}

fn check_lyapunov(entry: &Value) -> Check {
    let found = lyapunov::spectrum(&dynamics(entry)?, &lyapunov_run(entry)?);
    let found = found.map_err(|e| e.to_string())?;
    let each = number(entry, "tol_exponent_abs")?;
    let expected = numbers(get(entry, "exponents_qr_order")?)?;
    all_near("exponents_qr_order", &found.qr_order, &expected, each)?;
    let expected = numbers(get(entry, "exponents_sorted")?)?;
    all_near("exponents_sorted", &found.sorted, &expected, each)?;
    let of_sum = number(entry, "tol_sum_abs")?;
    near("sum", found.sum, number(entry, "sum")?, of_sum)?;
    near("mean_divergence", found.mean_divergence, number(entry, "mean_divergence")?, of_sum)?;
    near("total_time", found.time, number(entry, "total_time")?, 1e-9)?;
    if entry.get("analytic_sum").is_some() {
        near("analytic_sum", found.sum, number(entry, "analytic_sum")?, of_sum)?;
    }
    // Rounding grows with the largest exponent along the run.
    let expected = triple(get(entry, "final_state")?)?;
    let size = expected.iter().fold(1.0f64, |m, c| c.abs().max(m));
    let growth = (found.sorted[0].max(0.0) * found.time).exp();
    let tolerance = size * (TOLERANCE + 1e-14 * growth);
    all_near("final_state", &found.final_state, &expected, tolerance)
}

/// After a long run on a chaotic attractor only averages can be compared.
fn check_lyapunov_long(entry: &Value) -> Check {
    let found = lyapunov::spectrum(&dynamics(entry)?, &lyapunov_run(entry)?);
    let found = found.map_err(|e| e.to_string())?;
    let tolerance = number(entry, "tol_exponent_abs")?;
    for (key, found) in [("exponents_qr_order", found.qr_order), ("exponents_sorted", found.sorted)] {
        all_near(key, &found, &numbers(get(entry, key)?)?, tolerance)?;
    }
    near("sum", found.sum, number(entry, "sum")?, tolerance)?;
    near("mean_divergence", found.mean_divergence, number(entry, "mean_divergence")?, tolerance)?;
    near("total_time", found.time, number(entry, "total_time")?, 1e-9)
}

fn check_batch(entry: &Value) -> Check {
    let features = matrix(entry, "features")?;
    let width = features.first().map_or(0, Vec::len);
    let mut mixed = Dynamics::new(System::Mixed);
    for (key, value) in object(entry, "params")? {
        let value = value.as_f64().ok_or_else(|| format!("`{key}` is not a number"))?;
        mixed.set(key, value).map_err(|e| e.to_string())?;
    }
    let mut encoder = TrajectoryEncoder::new(mixed, number(entry, "tmax")?, count(entry, "num_steps")?);
    encoder.dt = number(entry, "dt")?;
    let mut lorenz = TrajectoryEncoder::new(Dynamics::new(System::Lorenz), 2.0, 8);
    lorenz.dt = encoder.dt;
    lorenz.scale = Scale::PerSample;
    for (key, encoder) in [("mixed_batch", encoder), ("lorenz_per_sample_T8_tmax2", lorenz)] {
        let found = encoder.encode(&features.concat(), width).map_err(|e| e.to_string())?;
        let expected = list(entry, key)?;
        if found.len() != expected.len() {
            return Err(format!("{key}: {} samples, expected {}", found.len(), expected.len()));
        }
        for (n, (found, expected)) in found.iter().zip(expected).enumerate() {
            let rows = expected.as_array().ok_or("a sample is not a list")?;
            let rows: Vec<Vec<f64>> = rows.iter().map(numbers).collect::<Result<_, _>>()?;
            let tolerance = TOLERANCE * found.abs_max();
            all_near(format!("{key}[{n}]"), found.values(), &rows.concat(), tolerance)?;
        }
    }
    Ok(())
}

/// `005` is 0.05, `8_3` is 8/3: how a number is spelled in the key of a variant.
fn spelled(text: &str) -> Result<f64, String> {
    let bad = || format!("`{text}` spells no number");
    let parsed = match text.split_once('_') {
        Some((a, b)) => a.parse::<f64>().ok().zip(b.parse::<f64>().ok()).map(|(a, b)| a / b),
        None if text.len() > 1 => format!("{}.{}", &text[..1], &text[1..]).parse().ok(),
        None => text.parse().ok(),
    };
    parsed.ok_or_else(bad)
}

/// Variants inside of deep networks: a few coarse steps. The key names network, system, scheme,
/// step and parameters: `cifar_lorenz_rk4_dt005_beta8_3`.
fn check_deep_variants(entry: &Value) -> Check {
    let values = numbers(get(entry, "values")?)?;
    for (key, expected) in entry.as_object().ok_or("not an object")? {
        if key == "values" {
            continue;
        }
        let mut words = key.splitn(4, '_');
        let (network, name, scheme, rest) = match (words.next(), words.next(), words.next(), words.next()) {
            (Some(a), Some(b), Some(c), Some(d)) => (a, b, c, d),
            _ => return Err(format!("`{key}` does not name network, system, scheme and step")),
        };
        let name = if name == "osc" { "mixed" } else { name };
        let mut dynamics = Dynamics::new(system(name)?);
        dynamics.scheme = Scheme::from_name(scheme).map_err(|e| e.to_string())?;
        let (dt, beta) = match rest.split_once("_beta") {
            Some((dt, beta)) => (dt, Some(spelled(beta)?)),
            None => (rest, None),
        };
        let dt = spelled(dt.strip_prefix("dt").ok_or_else(|| format!("`{key}` has no step"))?)?;
        if let Some(beta) = beta {
            dynamics.set("beta", beta).map_err(|e| e.to_string())?;
        }
        let initial = |v: f64| match network {
            "cifar" => [v, 1.0, -v],
            _ => [v, 0.2 * v, -v],
        };
        match expected {
            Value::Object(by_damping) => {
                for (damping, runs) in by_damping {
                    let value = damping.parse().map_err(|_| format!("`{damping}` is no number"))?;
                    dynamics.set("delta", value).map_err(|e| e.to_string())?;
                    let what = format!("{key} at damping {damping}");
                    check_variant(&what, &dynamics, dt, &values, initial, runs)?;
                }
            }
            runs => check_variant(key, &dynamics, dt, &values, initial, runs)?,
        }
    }
    Ok(())
}

fn check_variant(
    what: &str,
    dynamics: &Dynamics,
    dt: f64,
    values: &[f64],
    initial: impl Fn(f64) -> [f64; 3],
    runs: &Value,
) -> Check {
    let runs = runs.as_array().ok_or_else(|| format!("{what} is not a list"))?;
    if runs.len() != values.len() {
        return Err(format!("{what}: {} runs for {} values", runs.len(), values.len()));
    }
    for (v, states) in values.iter().zip(runs) {
        let states = states.as_array().ok_or_else(|| format!("{what} is not a list of states"))?;
        let steps = states.len().saturating_sub(1);
        let found = integrate::trajectory(dynamics, initial(*v), dt, steps);
        let found = found.map_err(|e| e.to_string())?;
        for (k, (found, expected)) in found.iter().zip(states).enumerate() {
            let expected = triple(expected)?;
            let size = expected.iter().fold(1.0f64, |m, c| c.abs().max(m));
            let place = format!("{what}, v = {v}, step {k}");
            all_near(place, found, &expected, TOLERANCE * size)?;
        }
    }
    Ok(())
}

fn check_lif(entry: &Value) -> Check {
    let of = get(entry, "encoder")?;
    let name = get(of, "system")?.as_str().ok_or("`system` is not text")?;
    let mut dynamics = Dynamics::new(system(name)?);
    for (key, value) in of.as_object().into_iter().flatten() {
        if let (Some(value), false) =
            (value.as_f64(), ["value", "tmax", "dt", "num_steps"].contains(&key.as_str()))
        {
            dynamics.set(key, value).map_err(|e| e.to_string())?;
        }
    }
    let mut encoder = TrajectoryEncoder::new(dynamics, number(of, "tmax")?, count(of, "num_steps")?);
    encoder.dt = number(of, "dt")?;
    let path = encoder.path(number(of, "value")?).map_err(|e| e.to_string())?;
    let layer = |w: &str, b: &str| -> Result<LifLayer, String> {
        let (decay, threshold) = (number(entry, "beta")?, number(entry, "threshold")?);
        LifLayer::new(matrix(entry, w)?, numbers(get(entry, b)?)?, decay, threshold)
            .map_err(|e| e.to_string())
    };
    let (mut first, mut second) = (layer("w1", "b1")?, layer("w2", "b2")?);
    let steps = list(entry, "steps")?;
    if steps.len() != path.len() {
        return Err(format!("{} steps, expected {}", path.len(), steps.len()));
    }
    for (k, (step, input)) in steps.iter().zip(&path).enumerate() {
        let s1 = first.step(input).map_err(|e| e.to_string())?;
        let s2 = second.step(&s1).map_err(|e| e.to_string())?;
        for (key, found, tolerance) in [
            ("input", input.as_slice(), TOLERANCE),
            ("u1", first.membranes(), TOLERANCE),
            ("s1", &s1, 0.0),
            ("u2", second.membranes(), TOLERANCE),
            ("s2", &s2, 0.0),
        ] {
            all_near(format!("step {k} {key}"), found, &numbers(get(step, key)?)?, tolerance)?;
        }
    }
    Ok(())
}
