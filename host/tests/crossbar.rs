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
