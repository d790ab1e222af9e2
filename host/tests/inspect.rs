//! `synop inspect` takes a file for what its content says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use synop::local::Setup;

fn inspect(file: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synop"));
    command.args(["inspect", "--json"]).arg(file).output().expect("synop runs")
}

fn json(file: &Path) -> Value {
    let output = inspect(file);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

#[test]
fn chips_experiments_and_rules_are_known_by_their_content() {
    let chip = json(&at("crates/cost/chips/loihi1-published.toml"));
    assert_eq!(chip["name"], "loihi1-published");
    let experiment = json(&at("experiments/digits-local.toml"));
    assert_eq!((&experiment["kind"], &experiment["task"]), (&"experiment".into(), &"local-learning".into()));
    assert_eq!(experiment["settings"]["network"]["hidden"], 256);
    let rule = json(&at("experiments/rules/stdp.rule"));
    assert_eq!(rule["kind"], "rule");
}

#[test]
fn an_image_shows_its_populations_and_synapses_and_a_broken_one_is_refused() {
    let setup = Setup {
        inputs: 64,
        input_max: 16,
        hidden: 32,
        classes: 10,
        threshold: 1000,
        decay: 0.5,
        spread: 24.0,
        margin: 100,
        trace_max: 64,
        readout_shift: 3,
        hidden_shift: 16,
        spike_cost: 1.0,
        bits: 4,
        plastic_hidden: true,
        seed: 1,
        bars: None,
    };
    let blob = setup.image().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("any.name");
    std::fs::write(&path, blob.bytes()).unwrap();
    let image = json(&path);
    assert_eq!((&image["kind"], &image["neurons"]), (&"image".into(), &116.into()));
    assert_eq!(image["synapses"], 64 * 32 + 10 * 32 + 32 * 10);
    assert_eq!((&image["weight_bits"], &image["populations"][2]["threshold"]), (&4.into(), &"1000".into()));
    let learnt = &image["projections"][0];
    assert!(learnt["nonzero"].as_u64().unwrap() > 1000, "{learnt}");
    let text = Command::new(env!("CARGO_BIN_EXE_synop")).arg("inspect").arg(&path).output().unwrap();
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("116 neurons") && text.lines().all(|line| line.chars().count() <= 100), "{text}");

    std::fs::write(&path, &blob.bytes()[..blob.bytes().len() - 9]).unwrap();
    let output = inspect(&path);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(text.contains("any.name") && text.contains("mend:"), "{text}");
    std::fs::write(&path, b"hello").unwrap();
    assert_eq!(inspect(&path).status.code(), Some(2));
}
