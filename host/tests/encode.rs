//! `synop encode` writes what it says, for every encoder there is.

use std::process::Command;

use serde_json::Value;
use synop::data::npy;

fn encode(args: &[&str]) -> Value {
    let output =
        Command::new(env!("CARGO_BIN_EXE_synop")).args(["encode", "--json"]).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("exactly one JSON object")
}

#[test]
fn every_encoder_writes_the_same_numbers_as_npy_csv_and_json() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (npy_path, csv_path) = (at("x.npy"), at("x.csv"));
    for name in synop_encode::spec::names() {
        // From so far out, Chen's system leaves the floats before time 8; the command says so.
        let horizon = if name == "chen" { ",tmax=0.2" } else { "" };
        let spec = format!("{name}:6{horizon}");
        let args = [spec.as_str(), "--values", "0.9,0.25,0.5", "-o", &npy_path];
        let json = encode(&args);
        encode(&[spec.as_str(), "--values", "0.9,0.25,0.5", "-o", &csv_path]);
        let array = npy::read(npy_path.as_ref()).unwrap();
        let size = |key: &str| json[key].as_u64().unwrap() as usize;
        assert_eq!(array.shape, [size("ticks"), size("channels")], "{name}");
        let flat = |rows: &Value| -> Vec<f64> {
            rows.as_array()
                .unwrap()
                .iter()
                .flat_map(|r| r.as_array().unwrap())
                .map(|v| v.as_f64().unwrap())
                .collect()
        };
        assert_eq!(array.values, flat(&json["values"]), "{name}");
        assert!(array.values.iter().any(|v| *v != 0.0), "{name} says nothing");
        let csv = std::fs::read_to_string(&csv_path).unwrap();
        let rows: Vec<f64> = csv
            .lines()
            .skip(1)
            .flat_map(|line| line.split(',').skip(1).map(|v| v.parse::<f64>().unwrap()).collect::<Vec<_>>())
            .collect();
        assert_eq!(rows, array.values, "{name}");
    }
}

#[test]
fn the_lyapunov_sum_of_the_mixed_oscillator_is_minus_twice_its_damping() {
    for damping in [10.0, -1.5] {
        let json = encode(&[&format!("mixed:5,damping={damping}"), "--values", "1"]);
        let sum = json["lyapunov"]["sum"].as_f64().unwrap();
        assert!((sum + 2.0 * damping).abs() < 1e-6 * damping.abs().max(1.0) + 1e-4, "{damping}: {sum}");
    }
}

#[test]
fn an_unknown_encoder_or_ending_is_refused() {
    for args in
        [&["encode", "lorentz:5"][..], &["encode", "rate:8", "-o", "x.txt"], &["encode", "rate:8,rate=2"]]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_synop")).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty());
    }
}
