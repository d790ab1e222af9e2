//! Short forms of `experiments/attractor-*.toml`: the same commands on less data.

use std::process::{Command, Stdio};

use serde_json::Value;

/// The report of an experiment of `experiments/`, with keys set.
fn report(name: &str, sets: &[&str]) -> Value {
    let file = format!("{}/../experiments/attractor-{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_synop"));
    command.args(["run", &file, "--json"]).stdin(Stdio::null());
    for set in sets {
        command.args(["--set", set]);
    }
    let output = command.output().expect("synop runs");
    assert!(output.status.success(), "{name} {sets:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn accuracies(report: &Value) -> Vec<f64> {
    let list = report["task"]["accuracy_per_epoch"].as_array().expect("accuracies");
    list.iter().map(|a| a.as_f64().expect("a number")).collect()
}

/// Data of experiments on MNIST, replaced by prototypes that need no file.
const PROTOTYPES: [&str; 5] =
    ["data.set=\"prototypes\"", "data.flip=0.3", "data.train=400", "data.test=200", "network.hidden=100"];

#[test]
fn exclusive_or_is_learnt_by_the_hidden_neurons() {
    let report =
        report("xor", &["data.train=1000", "data.test=300", "network.hidden=100", "learning.epochs=3"]);
    let accuracies = accuracies(&report);
    assert!(*accuracies.last().unwrap() > 0.97, "{accuracies:?}");
    assert_eq!(report["speed"]["dense_float_states_equal"], true);
    // Nearly all events are of the first write: a relaxing network is quiet.
    let flips: Vec<f64> = serde_json::from_value(report["epochs"][2]["flips_per_sweep"].clone()).unwrap();
    assert_eq!(flips[0], 100.0);
    assert!(flips[1..].iter().sum::<f64>() < 10.0, "{flips:?}");
}

#[test]
fn prototypes_are_learnt_and_answered_alike_in_continuous_time() {
    let mut sets = PROTOTYPES.to_vec();
    sets.extend(["learning.epochs=2", "learning.continuous=40"]);
    let report = report("prototypes", &sets);
    let accuracies = accuracies(&report);
    assert!(accuracies[1] > 0.65 && accuracies[1] > accuracies[0], "{accuracies:?}");
    for order in report["continuous_time"].as_array().unwrap() {
        let number = |key: &str| order[key].as_f64().unwrap();
        assert!(number("agreement") > 0.8 && number("settled") > 0.99, "{order}");
        assert!(number("changes") >= 100.0, "every neuron is written: {order}");
    }
    let [clock, unstable] = [0, 1].map(|k| report["continuous_time"][k]["updates"].as_f64().unwrap());
    assert!(unstable < clock, "who wants most goes first: {unstable} updates, {clock} by clocks");
}

#[test]
fn identity_links_between_two_layers_hold_a_state_that_nothing_else_holds() {
    let with = |link: &str| {
        let mut sets = PROTOTYPES.to_vec();
        sets.extend(["learning.epochs=1", link]);
        report("links", &sets)["epochs"][0]["settled"].as_f64().unwrap()
    };
    let (linked, free) = (with("network.link=4.0"), with("network.link=0.0"));
    assert!(linked == 1.0 && free < 0.05, "at rest with links: {linked}, without: {free}");
}

#[test]
fn devices_and_bits_are_keys_of_one_experiment() {
    let mut sets = PROTOTYPES.to_vec();
    sets.push("learning.epochs=1");
    let digital =
        report("bits", &[&sets[..], &["network.weight_bits=8", "network.rounding=\"stochastic\""]].concat());
    assert_eq!(digital["image"]["weight_bits"], 8);
    let device = report("crossbar", &[&sets[..], &["network.device=\"ecram\""]].concat());
    assert_eq!(device["profile"]["device"], "ecram");
    assert_ne!(digital["image"]["initial_sha256"], device["image"]["initial_sha256"]);
    for report in [&digital, &device] {
        assert!(accuracies(report)[0] > 0.3, "{:?}", accuracies(report));
    }
}

#[test]
fn rates_that_fall_change_less_and_less() {
    let mut sets = PROTOTYPES.to_vec();
    sets.extend(["learning.epochs=3", "learning.rate_fall=0.3"]);
    let report = report("prototypes", &sets);
    let of = |k: usize| report["epochs"][k]["plastic_changes"].as_f64().unwrap();
    assert!(of(2) < of(1) && of(1) < of(0), "{} {} {}", of(0), of(1), of(2));
    assert!(accuracies(&report)[2] > 0.5);
}

#[test]
fn decay_a_logistic_gate_and_symmetric_changes_learn_too() {
    let mut digests = Vec::new();
    for variant in [
        "network.symmetry=\"none\"",
        "network.symmetry=\"start\"",
        "network.symmetry=\"both-in-error\"",
        "network.symmetry=\"mean-change\"",
        "network.symmetry=\"mean-coupling\"",
        "learning.gate_slope=2.5",
        "learning.decay_couplings=0.1",
        "learning.decay_input=0.1",
        "learning.decay_readout=0.1",
    ] {
        let mut sets = PROTOTYPES.to_vec();
        sets.extend(["learning.epochs=3", variant]);
        let report = report("prototypes", &sets);
        assert!(accuracies(&report)[2] > 0.6, "{variant}: {:?}", accuracies(&report));
        digests.push(report["image"]["sha256"].as_str().unwrap().to_owned());
    }
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), 9, "every key changes what is learnt");
}

#[test]
fn in_the_last_epochs_the_readout_alone_learns_at_the_states_that_answer() {
    let mut sets = PROTOTYPES.to_vec();
    sets.extend([
        "learning.epochs=4",
        "learning.tune=2",
        "learning.tune_rate=0.05",
        "learning.tune_fall=0.5",
    ]);
    let report = report("prototypes", &sets);
    let of = |epoch: usize, key: &str| report["epochs"][epoch][key].as_f64().unwrap();
    // The readout has 100 rows of 10 classes; and a sample brings no teacher's row.
    assert!(of(1, "plastic_updates") > 1000.0 / 16.0 && of(2, "plastic_updates") <= 1000.0 / 16.0 * 1.01);
    assert!(of(2, "train_events") < of(1, "train_events"));
    assert_eq!(
        of(3, "train_events"),
        of(2, "train_events"),
        "hidden neurons do the same in every such epoch"
    );
    let flips = |epoch: usize| report["epochs"][epoch]["flips_per_sweep"].clone();
    assert_eq!(flips(1), flips(3), "the learning program has not changed either");
    assert!(accuracies(&report)[3] > accuracies(&report)[0], "{:?}", accuracies(&report));
    let rules = report["profile"]["rules"].to_string();
    assert!(rules.contains("every 16 samples"), "{rules}");
}

#[test]
fn symmetry_and_decay_are_refused_where_they_have_no_meaning() {
    for (sets, key) in [
        (["network.symmetry=\"start\"", "network.coupling_density=0.5"], "coupling_density"),
        (["network.device=\"ideal\"", "learning.decay_input=0.1"], "network.device"),
        (["learning.epochs=1", "learning.decay_input=1.5"], "learning.decay_input"),
        (["learning.epochs=1", "learning.tune=2"], "learning.tune"),
        (["learning.epochs=1", "learning.gate_slope=0.001"], "learning.gate_slope"),
        (["learning.epochs=1", "learning.decay_readout=0.000001"], "learning.decay_readout"),
    ] {
        let file = format!("{}/../experiments/attractor-prototypes.toml", env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_synop"));
        command.args(["run", &file, "--set", "learning.batch=1"]).stdin(Stdio::null());
        for set in sets {
            command.args(["--set", set]);
        }
        let output = command.output().expect("synop runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(key), "{sets:?}: {said}");
    }
}

#[test]
fn a_chain_recalls_some_pairs_of_patterns() {
    let report = report("hetero", &["width=60", "depths=[1, 3]", "loads=[0.05]", "epochs=30", "repeats=2"]);
    let points = report["points"].as_array().unwrap();
    assert_eq!(points.len(), 2);
    assert!(points.iter().all(|p| p["runs"] == 2 && p["recalled_error"].is_number()), "{points:?}");
    let overlap = |k: usize| points[k]["overlap"].as_f64().unwrap();
    assert!(overlap(1) > 0.6 && overlap(1) > overlap(0), "{points:?}");
}
