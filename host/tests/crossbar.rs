//! Learning on memristive crossbars from outside: the short form of the experiment, and `synop rule --device`.

use std::process::{Command, Output};

use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn synop(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_synop")).args(args).current_dir(ROOT).output().expect("synop runs")
}

fn json(args: &[&str]) -> Value {
    let output = synop(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let mut value: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    value.as_object_mut().expect("an object").remove("host");
    value
}

#[test]
fn devices_learn_the_digits_with_every_class_priced_and_any_threads_alike() {
    let short = |threads: &str| {
        json(&[
            "run",
            "experiments/crossbar-digits.toml",
            "--set",
            "data.train=300",
            "--set",
            "network.hidden=32",
            "--json",
            "--threads",
            threads,
        ])
    };
    let report = short("1");
    let runs = report["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 5, "digital, and two devices with and without their defects");
    let accuracy = |run: &Value| run["task"]["accuracy"].as_f64().expect("an accuracy");
    assert!(accuracy(&runs[0]) > 0.5 && accuracy(&runs[1]) > 0.4, "a good device learns nearly as well");
    for run in &runs[1..] {
        let label = &run["label"];
        let stale = run["crossbar"]["stale_pulses"].as_u64().expect("a number of pulses");
        let warned = run["warnings"].to_string().contains("stale_pulses");
        assert_eq!(warned, stale > 0, "{label}: a drop that is out of date is a warning");
        let wired = label.as_str().is_some_and(|label| label.ends_with("all"));
        assert_eq!(stale > 0, wired, "{label}: learning does not end at a refresh");
        assert!(run["crossbar"]["pulses"].as_u64().expect("pulses") > 0, "{label}");
        for bill in [&run["energy"], &run["training"]["energy"]] {
            assert!(bill["total_j"]["nominal"].as_f64().is_some(), "{label}: {}", bill["unpriced"]);
        }
        let paid = run["training"]["energy"]["by_class"]["pulse_energy"]["nominal"].as_f64();
        let through = run["crossbar"]["write_j"].as_f64().expect("an energy");
        assert!(paid.is_none_or(|paid| (paid / through - 1.0).abs() < 1e-9), "{label}: {paid:?} {through}");
    }
    assert_eq!(report, short("2"));
}

#[test]
fn an_unknown_device_is_bad_input() {
    let rule = "experiments/rules/delta.rule";
    let output = synop(&["rule", rule, "--bits", "8", "--device", "unobtainium"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("unobtainium") && text.contains("reram-es"), "{text}");
}

#[test]
fn verify_reads_and_dead_devices_stand_beside_the_pulses_of_a_rule() {
    let shown = synop(&["devices", "show", "reram-array-om", "--toml"]);
    let toml = String::from_utf8(shown.stdout).expect("text");
    // Devices that last for 20 pulses.
    let mut mortal: toml::Table = toml.parse().expect("a device file");
    let endurance: toml::Table =
        "median = 20.0\nlog_deviation = 0.5\nsource = \"a test\"".parse().expect("a table");
    mortal.insert("endurance".into(), endurance.into());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mortal.toml");
    std::fs::write(&file, mortal.to_string()).expect("written");
    let file = file.to_str().expect("a path");
    let pulsed = |more: &[&str]| {
        let rule = "experiments/rules/delta.rule";
        let mut args =
            vec!["rule", rule, "--bits", "8", "--rounding", "stochastic", "--device", file, "--json"];
        args.extend(more);
        let report = json(&args);
        let runs = report["runs"].as_array().expect("runs").clone();
        let device = runs.last().expect("a run")["device"].clone();
        let number = |key: &str| device[key].as_u64().expect("a number");
        ["verify_reads", "most_pulses", "worn_devices", "stuck_devices", "devices"].map(number)
    };
    let [blind_reads, most, worn, stuck, devices] = pulsed(&["--epochs", "3"]);
    assert!(blind_reads == 0 && most > 30, "{most}");
    assert!(worn > 0 && worn < devices, "{worn} of {devices}");
    // 13.48 % of this array are stuck.
    assert!((stuck as f64 / devices as f64 - 0.1348).abs() < 0.04, "{stuck} of {devices}");
    let [reads, _, _, still, _] = pulsed(&["--verify", "8"]);
    assert!(reads > 0 && still == stuck, "{reads} {still}");
}
