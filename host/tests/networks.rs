//! `compile`, `estimate`, `quantize`, `compare` and `inspect` as a user types them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs synop from the root of the checkout.
fn synop(arguments: &[&str]) -> Output {
    let out = Command::new(env!("CARGO_BIN_EXE_synop")).current_dir(root()).args(arguments).output();
    out.expect("synop starts")
}

/// What it prints with `--json`.
fn json(arguments: &[&str]) -> Value {
    let out = synop(&[arguments, &["--json"]].concat());
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("one JSON object")
}

/// The error text of bad input.
fn refused(arguments: &[&str]) -> String {
    let out = synop(arguments);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(2), "{arguments:?}: {text}");
    assert!(out.stdout.is_empty(), "{arguments:?}");
    text
}

const DIGITS: &str = "tests/golden/nir/digits_snntorch.nir";
const TEST_ROWS: [&str; 6] = ["--data", "digits", "--split", "test", "--encode", "rate:25"];

#[test]
fn the_digits_network_quantised_has_the_accuracy_of_its_table() {
    let command = [&["quantize", DIGITS, "--bits", "16,8,6,4,3,2"], &TEST_ROWS[..]].concat();
    let report = json(&command);
    let runs = report["runs"].as_array().unwrap();
    let table = std::fs::read(root().join("tests/golden/nir/digits_snntorch.quant.json")).unwrap();
    let table: Value = serde_json::from_slice(&table).unwrap();
    assert_eq!(runs.len(), 6);
    for run in runs {
        let expected = &table[run["label"].as_str().unwrap()];
        assert_eq!(run["task"]["accuracy"], expected["accuracy"]);
        assert_eq!(run["task"]["agreement"], expected["agreement_with_float"]);
        assert_eq!(run["max_abs_v"], expected["max_abs_v"]);
        assert_eq!(run["saturations"], 0);
        assert_eq!(run["task"]["samples"], 397);
    }
    let warnings = runs[5]["warnings"].to_string();
    assert!(warnings.contains("`lif2` is dead") && warnings.contains("under 4"), "{warnings}");
    let float = &report["float"]["neurobench"];
    // What the exporting framework counted, per image.
    let acs = float["synaptic_operations"]["effective_acs"].as_f64().unwrap();
    assert!((acs - 16698.544921875).abs() < 0.01, "{acs}");
}

#[test]
fn units_calibrated_on_data_keep_what_few_bits_would_lose() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let accuracies = |more: &[&str]| -> Vec<f64> {
        let report = json(&[&["quantize", DIGITS, "--bits", "3,2"], &TEST_ROWS[..], more].concat());
        let runs = report["runs"].as_array().unwrap();
        runs.iter().map(|run| run["task"]["accuracy"].as_f64().unwrap()).collect()
    };
    let (kept, clipped) = (accuracies(&[]), accuracies(&["--clip", "--out", out]));
    // 87.9 % and 10.3 % with all weights kept, 94.5 % and 57.4 % calibrated.
    assert!(clipped[0] > kept[0] + 0.04 && clipped[1] > kept[1] + 0.3, "{kept:?}, {clipped:?}");
    for figure in [
        "accuracy-against-weight-bits",
        "agreement-with-the-float-twin",
        "firing-rate-per-layer",
        "saturated-membranes",
    ] {
        assert!(folder.path().join(format!("{figure}.csv")).exists(), "{figure}");
    }
}

#[test]
fn an_image_and_its_network_give_the_same_report_for_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("digits.image");
    let image = image.to_str().unwrap();
    json(&["compile", DIGITS, "-o", image, "--chip", "loihi1"]);
    let reports = ["1", "2", "3"].map(|threads| {
        let name = if threads == "3" { image } else { DIGITS };
        let common = ["--threads", threads, "--chip", "loihi1", "--limit", "40"];
        let mut report = json(&[&["estimate", name], &common[..], &TEST_ROWS[..]].concat());
        for key in ["host", "warnings", "neurobench", "ann_equivalent"] {
            report.as_object_mut().unwrap().remove(key);
        }
        let task = report["task"].as_object_mut().unwrap();
        task.remove("agreement");
        task.remove("accuracy_float");
        report
    });
    assert_eq!(reports[0], reports[1]);
    // An image was placed before: what placing took is not known of it any more.
    let mut placed = reports.clone();
    for report in &mut placed {
        report.as_object_mut().unwrap().remove("mapping").expect("it says which core holds what");
    }
    assert_eq!(placed[0], placed[2]);
    let report = &reports[0];
    assert!(report["energy"]["total_j"]["nominal"].as_f64().unwrap() > 0.0);
    assert!(report["synops"]["effective"].as_u64() <= report["synops"]["stored"].as_u64());
    assert!(report["latency"]["total_s"].as_f64().unwrap() > 0.0);
    assert_eq!(report["image"]["weight_bits"], 8);
}

#[test]
fn the_twin_repeats_what_the_users_framework_recorded_and_integers_differ_somewhere() {
    let folder = tempfile::tempdir().unwrap();
    let traces = folder.path().to_str().unwrap();
    let own = "docs/src/own-network";
    let (net, input) = (format!("{own}/net.nir"), format!("{own}/input.npy"));
    json(&[
        "quantize",
        &net,
        "--profile",
        "snntorch",
        "--input",
        &input,
        "--bits",
        "16,4",
        "--traces",
        traces,
    ]);
    let recorded = format!("{own}/recorded.npz");
    let trace = |label: &str| format!("{traces}/{label}.trace.json");
    let compared = json(&["compare", &recorded, &trace("float")]);
    assert_eq!(compared["equal"], true);
    assert_eq!(compared["samples"], 8);
    assert!(compared["spikes"].as_u64().unwrap() > 1000, "{compared}");
    let out = synop(&["compare", &trace("float"), &trace("int4"), "--json"]);
    assert_eq!(out.status.code(), Some(1));
    let compared: Value = serde_json::from_slice(&out.stdout).unwrap();
    let first = &compared["first"];
    assert!(first["tick"].is_u64() && first["population"].is_string() && first["a"] != first["b"], "{first}");
}

/// Frameworks' networks with currents, biases, cycles and every reset: at 16 bits and fine membranes the integers
/// spike as the floats do. (network, profile and overrides, least share of common spikes)
const INTEGERS: [(&str, &[&str], f64); 9] = [
    ("snntorch_synaptic_default", &["--profile", "snntorch"], 1.0),
    ("snntorch_synaptic_zero_nodelay", &["--profile", "snntorch", "--reset", "value"], 1.0),
    ("snntorch_leaky_subtract_nodelay", &["--profile", "snntorch", "--reset-when", "snn_nodelay"], 1.0),
    ("norsehead_lifcell_cuba", &["--profile", "norse"], 1.0),
    ("rockpool_lif", &["--profile", "rockpool"], 1.0),
    ("sinabs_iaf", &["--profile", "sinabs"], 1.0),
    ("snntorch_rsynaptic_zero", &["--profile", "snntorch", "--reset", "value", "--cuba", "snn_zero"], 0.9),
    ("nir_conv_sumpool", &["--dt", "1e-3"], 1.0),
    ("nir_cubalif_rec_flat", &["--dt", "1e-3"], 1.0),
];

#[test]
fn integers_of_16_bits_spike_as_the_floats_do() {
    let folder = tempfile::tempdir().unwrap();
    for (name, profile, least) in INTEGERS {
        let case = std::fs::read(root().join(format!("tests/golden/nir/{name}.json"))).unwrap();
        let case: Value = serde_json::from_slice(&case).unwrap();
        let (mut shape, mut values) = (Vec::new(), Vec::new());
        flat(&case["input"], 0, &mut shape, &mut values);
        let input = folder.path().join(format!("{name}.npy"));
        std::fs::write(&input, synop::data::npy::bytes(&synop::data::npy::Array { shape, values })).unwrap();
        let net = format!("tests/golden/nir/{name}.nir");
        let fine = ["--bits", "16", "--input-shift", "6", "--decay-bits", "31", "--axes", "TN", "--input"];
        let report = json(&[&["quantize", &net], profile, &fine[..], &[input.to_str().unwrap()]].concat());
        let task = &report["runs"][0]["task"];
        let share = task["spike_agreement"].as_f64().unwrap();
        assert!(share >= least, "{name}: {share} of the spikes, {least} expected");
        let spikes = report["float"]["layers"].to_string();
        assert!(spikes.contains("spikes"), "{spikes}");
    }
}

/// Numbers of a nested list, and its shape.
fn flat(value: &Value, depth: usize, shape: &mut Vec<usize>, out: &mut Vec<f64>) {
    match value {
        Value::Array(items) => {
            if shape.len() == depth {
                shape.push(items.len());
            }
            items.iter().for_each(|item| flat(item, depth + 1, shape, out));
        }
        other => out.push(other.as_f64().unwrap()),
    }
}

#[test]
fn inspect_suggests_a_profile_and_says_what_was_lost() {
    let report = json(&["inspect", DIGITS]);
    assert_eq!(report["kind"], "nir");
    assert_eq!(report["origins"][0]["profile"], "snntorch");
    assert!(report["origins"][0]["lost"].to_string().contains("reset"));
    assert_eq!(json(&["inspect", "tests/golden/nir/nirdata_example.nird"])["kind"], "nirdata");
}

#[test]
fn bad_input_is_refused_with_the_place_and_the_mend() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let rows = |command: &[&'static str]| [command, &TEST_ROWS[..]].concat();
    for (command, parts) in [
        (rows(&["estimate", "nowhere.nir"]), vec!["nowhere.nir", "mend"]),
        (rows(&["estimate", "README.md"]), vec!["README.md", "not a network", "found", "nir.write"]),
        (
            rows(&["estimate", "tests/golden/nir/broken_norse_conv_partial.nir"]),
            vec!["broken_norse_conv_partial.nir", "missing", "mend"],
        ),
        (rows(&["estimate", DIGITS, "--chip", "loihi9"]), vec!["loihi9"]),
        (rows(&["quantize", DIGITS, "--bits", "17"]), vec!["--bits", "17", "2 to 16"]),
        (
            rows(&["estimate", "tests/golden/nir/nir_lif_chain.nir"]),
            vec!["does not fix the step", "`lif2`", "--dt"],
        ),
        (rows(&["estimate", "tests/golden/nir/norse_libox.nir"]), vec!["64 channels", "6, as Input `input`"]),
        (vec!["estimate", DIGITS], vec!["there is no input", "--data digits"]),
        (vec!["estimate", DIGITS, "--data", "digits"], vec!["--encode", "rate:25"]),
        (
            vec!["estimate", DIGITS, "--data", "cifar", "--encode", "rate:5"],
            vec!["--data", "cifar", "digits"],
        ),
        (vec!["compare", "README.md", "README.md"], vec!["README.md", "expected", "trace"]),
    ] {
        let text = refused(&command);
        for part in parts {
            assert!(text.contains(part), "{command:?}: `{part}` is not in: {text}");
        }
    }
    for (name, bytes, parts) in [
        ("short.npy", b"\x93NUMPY\x01\x00".as_slice(), vec!["short.npy", "npy file", "numpy.save"]),
        ("events.csv", b"t,neuron\n0,1\n1,64\n", vec!["events.csv", "line 3", "below 64"]),
        ("empty.csv", b"", vec!["empty.csv", "no events"]),
        ("noise.bin", b"\xff\xfe\x00", vec!["noise.bin", "npy, npz, CSV"]),
    ] {
        let path = write(name, bytes);
        let text = refused(&["estimate", DIGITS, "--input", &path]);
        for part in parts {
            assert!(text.contains(part), "{name}: `{part}` is not in: {text}");
        }
    }
}
