//! NeuroBench's metrics on its own networks, at batch size 1: counts exactly, ratios to 1e-12.

#[path = "neurobench/case.rs"]
mod case;

use crate::{Kind, Outcome};
use case::Case;
use serde_json::Value;
use std::path::{Path, PathBuf};
use synop_model::metrics::{Meter, Metrics};
use synop_model::twin::Twin;

pub(crate) const KIND: Kind = Kind { name: "neurobench", cases, check };

fn cases(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let json = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        name.ends_with(".json").then(|| (name, entry.path()))
    };
    entries.flatten().filter_map(json).collect()
}

fn check(path: &Path) -> Result<Outcome, String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let json: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let case = Case::of(&json)?;
    let flat = case.graph.flatten().map_err(|e| e.to_string())?;
    let profile = &case.profile;
    let mut meter = Meter::new(&flat, profile).map_err(|e| e.to_string())?;
    let mut twin = Twin::new(&flat, profile).map_err(|e| e.to_string())?;
    let mut all = meter.network();
    let (mut answers, mut wrong) = (Vec::new(), None);
    for (number, sample) in case.samples.iter().enumerate() {
        let steps: Vec<Vec<Vec<f64>>> = sample.iter().map(|row| vec![row.clone()]).collect();
        let mut counts = vec![0.0; twin.output(case.last).len()];
        let one = meter
            .sample(&mut twin, &steps, |step, twin| {
                counts.iter_mut().zip(twin.output(case.last)).for_each(|(c, s)| *c += s);
                if let Err(why) = case.trace(&json, number, step, &flat, twin) {
                    wrong.get_or_insert(why);
                }
            })
            .map_err(|e| e.to_string())?;
        all.add(&one);
        answers.push(largest(&counts));
    }
    if let Some(why) = wrong {
        return Err(why);
    }
    metrics(&all, &json["metrics"]["batch_size_1"], &answers, &json["labels"])?;
    Ok(Outcome::Agrees)
}

fn largest(values: &[f64]) -> usize {
    let mut best = 0;
    for (i, v) in values.iter().enumerate() {
        if *v > values[best] {
            best = i;
        }
    }
    best
}

/// Every number of the table; one that is not known here is an error, not a pass.
fn metrics(found: &Metrics, table: &Value, answers: &[usize], labels: &Value) -> Result<(), String> {
    for (key, expected) in table.as_object().ok_or("no metrics of batch size 1")? {
        match key.as_str() {
            "Footprint" => count(key, found.footprint_bytes, expected)?,
            "ParameterCount" => count(key, found.parameters, expected)?,
            "ConnectionSparsity" => {
                let rounded = (found.connection_sparsity() * 1e4).round_ties_even() / 1e4;
                ratio(key, rounded, expected)?;
            }
            "ActivationSparsity" => ratio(key, found.activation_sparsity(), expected)?,
            "ActivationSparsityByLayer" => {
                for (layer, expected) in expected.as_object().ok_or("no layers")? {
                    let own =
                        found.layer_sparsity(layer).ok_or_else(|| format!("{key}: no layer {layer}"))?;
                    ratio(&format!("{key}, {layer}"), own, expected)?;
                }
            }
            "MembraneUpdates" => per_sample(key, found.membrane_updates, found, expected)?,
            "SynapticOperations" => {
                let own = [
                    ("Effective_MACs", found.effective_macs),
                    ("Effective_ACs", found.effective_acs),
                    ("Dense", found.dense),
                ];
                table_of(key, &own, found, expected)?;
            }
            "NeuronOperations" => {
                let own = [
                    ("Effective Neuron Ops", found.neuron_ops),
                    ("Neuron Dense Ops", found.neuron_dense_ops),
                ];
                table_of(key, &own, found, expected)?;
            }
            "ClassificationAccuracy" => {
                let labels = labels.as_array().ok_or("no labels")?;
                let right =
                    answers.iter().zip(labels).filter(|(a, l)| l.as_u64() == Some(**a as u64)).count();
                ratio(key, right as f64 / labels.len() as f64, expected)?;
            }
            other => return Err(format!("{other}: not a metric that is known here")),
        }
    }
    Ok(())
}

fn table_of(key: &str, own: &[(&str, u64)], found: &Metrics, expected: &Value) -> Result<(), String> {
    for (name, expected) in expected.as_object().ok_or_else(|| format!("{key}: no table"))? {
        let (_, own) =
            own.iter().find(|(n, _)| n == name).ok_or_else(|| format!("{key}: {name} is not known here"))?;
        per_sample(&format!("{key}, {name}"), *own, found, expected)?;
    }
    Ok(())
}

fn count(key: &str, found: u64, expected: &Value) -> Result<(), String> {
    if expected.as_f64() == Some(found as f64) {
        Ok(())
    } else {
        Err(format!("{key}: {found}, expected {expected}"))
    }
}

/// The table states means; times the samples they must be the whole numbers that were counted.
fn per_sample(key: &str, found: u64, metrics: &Metrics, expected: &Value) -> Result<(), String> {
    let mean = expected.as_f64().ok_or_else(|| format!("{key}: {expected} is no number"))?;
    if (mean * metrics.samples as f64 - found as f64).abs() <= 1e-12 * (found as f64).max(1.0) {
        return Ok(());
    }
    Err(format!("{key}: {found} in {} samples, expected {mean} in each", metrics.samples))
}

fn ratio(key: &str, found: f64, expected: &Value) -> Result<(), String> {
    match expected.as_f64() {
        Some(wanted) if (found - wanted).abs() <= 1e-12 => Ok(()),
        _ => Err(format!("{key}: {found}, expected {expected}")),
    }
}
