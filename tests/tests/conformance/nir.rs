//! NIR files against what their exporters recorded.
//!
//! A case is a `.nir` file (with its row in `INDEX.json`, or called `variant_…` or `broken_…`)
//! or a `.nird` recording.

#[path = "nir/files.rs"]
mod files;
#[path = "nir/framework.rs"]
mod framework;
#[path = "nir/quant.rs"]
mod quant;
#[path = "nir/table.rs"]
mod table;
#[path = "nir/trained.rs"]
mod trained;

use crate::{Kind, Outcome};
use serde_json::Value;
use std::path::{Path, PathBuf};
use synop_model::nir::Graph;
use synop_model::profile::Profile;

pub(crate) const KIND: Kind = Kind { name: "nir", cases, check };

fn cases(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let is_case = name.ends_with(".nir") || name.ends_with(".nird");
            is_case.then(|| (name, entry.path()))
        })
        .collect()
}

fn check(path: &Path) -> Result<Outcome, String> {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if name.ends_with(".nird") {
        return files::recording(path);
    }
    files::mutations(path)?;
    if name.starts_with("broken_") {
        return files::broken(path);
    }
    if name.starts_with("variant_") {
        return files::variant(path);
    }
    exporter(path, name)
}

/// A file with a row in the index: what its exporter recorded.
fn exporter(path: &Path, name: &str) -> Result<Outcome, String> {
    let graph = Graph::open(path).map_err(|e| e.to_string())?;
    files::round_trip(&graph)?;
    let row = index_row(path, name)?;
    let case = read_json(&path.with_file_name(row["json"].as_str().ok_or("the index row has no json")?))?;
    if case.get("predictions").is_some() {
        let profile = profile(&row["profile"])?;
        let outcome = trained::float(&graph, &case, &profile)?;
        let table = path.with_extension("quant.json");
        if matches!(outcome, Outcome::Agrees) && table.is_file() {
            quant::table(&graph, &case, &profile, &table)?;
        }
        return Ok(outcome);
    }
    framework::totals(&case, &row)?;
    let exact = row["expect"].as_str().is_none_or(|expect| expect.starts_with("exact"));
    match &row["profile"] {
        profile if profile.is_null() || !exact => {
            let lost: usize = synop_model::origin::origins(&graph).iter().map(|o| o.lost.len()).sum();
            if lost == 0 { Err("no loss of the exporter is reported".into()) } else { Ok(Outcome::Agrees) }
        }
        Value::Object(_) => framework::recorded(&graph, &case, &profile(&row["profile"])?),
        _ => framework::direct(&graph, &case),
    }
}

fn index_row(path: &Path, name: &str) -> Result<Value, String> {
    let index = read_json(&path.with_file_name("INDEX.json"))?;
    let rows = index.as_array().ok_or("INDEX.json is no list")?;
    rows.iter()
        .find(|row| row["nir"] == name)
        .cloned()
        .ok_or_else(|| format!("INDEX.json has no row for {name}"))
}

fn read_json(path: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

/// A profile as the index or an older case spells it.
fn profile(entries: &Value) -> Result<Profile, String> {
    let entries = entries.as_object().ok_or("the profile is no table")?;
    let name = entries.get("name").and_then(Value::as_str).unwrap_or("nir-euler");
    let mut profile = Profile::named(name).map_err(|e| e.to_string())?;
    for (key, value) in entries {
        let (key, value) = match (key.as_str(), value) {
            ("name", _) => continue,
            ("ge", Value::Bool(ge)) => ("compare", if *ge { "ge" } else { "gt" }.to_string()),
            ("multi", v) => ("multi_spike", v.to_string()),
            ("rec_t0", Value::String(s)) => ("recurrent_t0", s.clone()),
            (key, Value::String(s)) => (key, s.clone()),
            (key, Value::Null) => (key, "none".to_string()),
            (key, v) => (key, v.to_string()),
        };
        profile.set(key, &value).map_err(|e| e.to_string())?;
    }
    Ok(profile)
}
