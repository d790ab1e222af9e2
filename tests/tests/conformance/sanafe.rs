//! SANA-FE descriptions: the pair of files runs in the machine; counts, spikes, potentials, energies and
//! latencies are compared with what SANA-FE 2.2.9 recorded, as far as `check.json` says.

use crate::{Kind, Outcome};
use serde_json::Value;
use std::path::{Path, PathBuf};
use synop_model::sanafe::{Arch, Snn, Trial, lower, run};

pub(crate) const KIND: Kind = Kind { name: "sanafe", cases, check };

fn cases(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .filter(|e| e.path().join("snn.yaml").is_file())
        .filter_map(|e| Some((e.file_name().into_string().ok()?, e.path())))
        .collect()
}

fn text(path: &Path, name: &str) -> Result<String, String> {
    std::fs::read_to_string(path.join(name)).map_err(|e| format!("{name}: {e}"))
}

fn json(path: &Path, name: &str) -> Result<Value, String> {
    serde_json::from_str(&text(path, name)?).map_err(|e| format!("{name}: {e}"))
}

fn check(path: &Path) -> Result<Outcome, String> {
    let arch = Arch::read(&text(path, "arch.yaml")?, "arch.yaml").map_err(|e| e.to_string())?;
    let snn = Snn::read(&text(path, "snn.yaml")?, "snn.yaml").map_err(|e| e.to_string())?;
    let lowered = lower(&arch, &snn).map_err(|e| e.to_string())?;
    let (asked, expected) = (json(path, "check.json")?, json(path, "expected.json")?);
    let steps = expected["steps"].as_u64().ok_or("expected.json has no steps")? as usize;
    let trial = run(&arch, &snn, &lowered, steps).map_err(|e| e.to_string())?;
    for (name, model) in [("simple", 0), ("detailed", 1)] {
        let recorded = &expected["runs"][name];
        if recorded.is_null() {
            return Err(format!("expected.json has no run `{name}`"));
        }
        if asked["counts"] == "exact" {
            counts(&trial, recorded)?;
        }
        if asked["spikes"] == "exact" {
            spikes(&trial, &snn, &recorded["spike_trace"])?;
        }
        if let Some(tolerance) = asked["potentials_abs"].as_f64() {
            potentials(&trial, &snn, &recorded["potential_trace"], tolerance)?;
        }
        if let Some(tolerance) = asked["energy_rel"].as_f64() {
            energy(&trial, recorded, tolerance)?;
        }
        if let Some(tolerance) = asked[format!("{name}_latency_rel")].as_f64() {
            let sum: f64 = trial.steps.iter().map(|s| s.time_s[model]).sum();
            near(&format!("{name} sim_time"), sum, &recorded["sim_time"], tolerance)?;
            for (i, s) in trial.steps.iter().enumerate() {
                let what = format!("{name} sim_time of step {}", i + 1);
                near(&what, s.time_s[model], &recorded["perf_trace"]["sim_time"][i], tolerance)?;
            }
        }
    }
    if asked["counts"] == "exact" && path.join("counts.json").is_file() {
        classes(&trial, &json(path, "counts.json")?["event_counts"], &snn, &lowered)?;
    }
    Ok(Outcome::Agrees)
}

fn same(what: &str, ours: u64, theirs: &Value) -> Result<(), String> {
    if theirs.as_u64() == Some(ours) { Ok(()) } else { Err(format!("{what}: {ours}, expected {theirs}")) }
}

fn near(what: &str, ours: f64, theirs: &Value, tolerance: f64) -> Result<(), String> {
    let expected = theirs.as_f64().ok_or_else(|| format!("{what}: no expected value"))?;
    if (ours - expected).abs() <= tolerance * expected.abs().max(1e-30) {
        return Ok(());
    }
    Err(format!("{what}: {ours:e}, expected {expected:e}"))
}

fn counts(trial: &Trial, recorded: &Value) -> Result<(), String> {
    let perf = &recorded["perf_trace"];
    for (i, s) in trial.steps.iter().enumerate() {
        let at = |name: &str| format!("{name} of step {}", i + 1);
        same(&at("fired"), s.fired.len() as u64, &perf["fired"][i])?;
        same(&at("updated"), s.updated, &perf["updated"][i])?;
        same(&at("hops"), s.hops.total(), &perf["hops"][i])?;
        same(&at("spikes"), s.synaptic_events, &perf["spikes"][i])?;
    }
    let sum = |f: fn(&synop_model::sanafe::Step) -> u64| trial.steps.iter().map(f).sum::<u64>();
    same("packets_sent", sum(|s| s.packets), &recorded["packets_sent"])?;
    same("spikes", sum(|s| s.synaptic_events), &recorded["spikes"])?;
    same("neurons_updated", sum(|s| s.updated), &recorded["neurons_updated"])?;
    same("neurons_fired", sum(|s| s.fired.len() as u64), &recorded["neurons_fired"])
}

/// Spikes of the neurons that are logged.
fn spikes(trial: &Trial, snn: &Snn, recorded: &Value) -> Result<(), String> {
    for (i, s) in trial.steps.iter().enumerate() {
        let mut ours: Vec<&str> = s
            .fired
            .iter()
            .filter(|n| logged(snn, **n, "log_spikes"))
            .map(|n| snn.neurons[*n].name.as_str())
            .collect();
        let list = recorded[i].as_array().ok_or_else(|| format!("no spike trace of step {}", i + 1))?;
        let mut theirs: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
        ours.sort_unstable();
        theirs.sort_unstable();
        if ours != theirs {
            return Err(format!("spikes of step {}: {ours:?}, expected {theirs:?}", i + 1));
        }
    }
    Ok(())
}

fn logged(snn: &Snn, n: usize, key: &str) -> bool {
    snn.neurons[n].attributes.get(key).is_some_and(|v| v == "true" || v == "True")
}

fn potentials(trial: &Trial, snn: &Snn, recorded: &Value, tolerance: f64) -> Result<(), String> {
    let columns: Vec<usize> = (0..snn.neurons.len()).filter(|n| logged(snn, *n, "log_potential")).collect();
    for (i, s) in trial.steps.iter().enumerate() {
        let row = recorded[i].as_array().ok_or_else(|| format!("no potentials of step {}", i + 1))?;
        if row.len() != columns.len() {
            return Err(format!("{} logged potentials, expected {}", columns.len(), row.len()));
        }
        for (n, theirs) in columns.iter().zip(row) {
            let expected = theirs.as_f64().unwrap_or(f64::NAN);
            let ours = s.potentials[*n];
            let agrees = (ours - expected).abs() <= tolerance;
            if !agrees {
                let name = &snn.neurons[*n].name;
                return Err(format!("potential of {name} in step {}: {ours}, expected {expected}", i + 1));
            }
        }
    }
    Ok(())
}

fn energy(trial: &Trial, recorded: &Value, tolerance: f64) -> Result<(), String> {
    let names = ["synapse", "dendrite", "soma", "network"];
    let mut total = 0.0;
    for (g, name) in names.iter().enumerate() {
        let sum: f64 = trial.steps.iter().map(|s| s.energy_j[g]).sum();
        near(&format!("{name} energy"), sum, &recorded["energy"][name], tolerance)?;
        total += sum;
        for (i, s) in trial.steps.iter().enumerate() {
            let what = format!("{name} energy of step {}", i + 1);
            near(&what, s.energy_j[g], &recorded["perf_trace"][format!("{name}_energy")][i], tolerance)?;
        }
    }
    near("total energy", total, &recorded["energy"]["total"], tolerance)
}

/// Events per class, and packets in = packets out.
fn classes(
    trial: &Trial,
    expected: &Value,
    snn: &Snn,
    lowered: &synop_model::sanafe::Lowered,
) -> Result<(), String> {
    let sum = |f: fn(&synop_cost::Counts) -> u64| trial.cells.iter().map(|c| f(&c.counts)).sum::<u64>();
    same("packets_out", sum(|c| c.packets_out), &expected["packets_out"])?;
    same("packets_in", sum(|c| c.packets_in), &expected["packets_in"])?;
    same("dendrite_events", sum(|c| c.dend_updates), &expected["dendrite_events"])?;
    same("north hops", sum(|c| c.hops.north), &expected["hops"]["north"])?;
    same("east hops", sum(|c| c.hops.east), &expected["hops"]["east"])?;
    same("south hops", sum(|c| c.hops.south), &expected["hops"]["south"])?;
    same("west hops", sum(|c| c.hops.west), &expected["hops"]["west"])?;
    let inputs = |s: &synop_model::sanafe::Step| {
        s.fired.iter().filter(|n| lowered.homes[**n].drive.is_some()).count() as u64
    };
    let input_fire: u64 = trial.steps.iter().map(inputs).sum();
    same("input_fire", input_fire, &expected["input_fire"])?;
    same("soma_fire", sum(|c| c.soma_spikes) - input_fire, &expected["soma_fire"])?;
    same("soma_update", sum(|c| c.soma_updates) - input_fire, &expected["soma_update"])?;
    let lif = (0..snn.neurons.len()).filter(|n| lowered.homes[*n].drive.is_none()).count();
    same("soma_access", (lif * trial.steps.len()) as u64, &expected["soma_access"])?;
    for (unit, n) in expected["synaptic_events"].as_object().into_iter().flatten() {
        let of = |c: &synop_cost::Cell| {
            c.kinds.synapse.as_deref().is_some_and(|s| s.ends_with(&format!("/{unit}")))
        };
        let ours: u64 = trial.cells.iter().filter(|c| of(c)).map(|c| c.counts.synaptic_events).sum();
        same(&format!("synaptic events of unit {unit}"), ours, n)?;
    }
    // The machine itself counts an event when it is delivered, one step later.
    let last = trial.steps.last().map_or(0, |s| s.synaptic_events);
    let delivered = sum(|c| c.synaptic_events) - last;
    if snn.edges.iter().all(|e| e.delay == 0) && trial.machine_events != delivered {
        return Err(format!(
            "the machine delivered {} synaptic events, expected {delivered}",
            trial.machine_events
        ));
    }
    Ok(())
}
