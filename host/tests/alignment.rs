//! The alignment study against the recorded networks and results; skipped where the data set is absent.

use synop::alignment::{Archive, Drive, Embedding, Exported, Features, Integer, STATE_SHIFT, robustness};
use synop::train::{InputGrid, Samples, evaluate};

fn archive() -> Option<Archive> {
    let folder = synop::testing::data_dir();
    let archive = Archive::open(&folder).expect("a data set that is there can be read");
    if archive.is_none() {
        synop::testing::skip(&format!("no mnist-alignment/mnist10.bin in {}", folder.display()));
    }
    archive
}

#[test]
fn both_exported_networks_do_in_float_what_was_recorded() {
    let Some(archive) = archive() else { return };
    let features = archive.features(Embedding::JointUmap).unwrap();
    for exported in archive.networks().unwrap() {
        let drive = Drive { limit: exported.limit, ..Drive::mixed(exported.damping) };
        let test =
            drive.samples(&features.test, features.width, &features.test_labels, exported.scale).unwrap();
        let found = evaluate(&exported.network, &test, None, false);
        let mut different = 0;
        for k in 0..1000 {
            let same = found.predictions[k] == exported.predictions[k]
                && found.output_counts[k]
                    .iter()
                    .zip(&exported.output_counts[10 * k..])
                    .all(|(a, b)| *a == u32::from(*b))
                && found.layer_counts[k]
                    .iter()
                    .zip(&exported.layer_counts[4 * k..])
                    .all(|(a, b)| i64::from(*a) == i64::from(*b));
            different += usize::from(!same);
        }
        println!("damping {}: {} of 1000 differ, accuracy {}", exported.damping, different, found.accuracy());
        // the record is float64; a membrane within rounding of its threshold may differ in float32
        assert!(different <= 5, "damping {}: {different} of 1000 samples differ", exported.damping);
        let expected = if exported.damping < 0.0 { (0.927, 771.432) } else { (0.932, 430.252) };
        assert!((found.accuracy() - expected.0).abs() < 0.0011);
        assert!((found.spikes_per_sample() - expected.1).abs() < 0.1);
    }
}

fn held_out(features: &Features, net: &Exported) -> Samples {
    let drive = Drive { limit: net.limit, ..Drive::mixed(net.damping) };
    drive.samples(&features.test, features.width, &features.test_labels, net.scale).unwrap()
}

#[test]
fn both_exported_networks_keep_their_accuracy_in_eight_bits_on_the_machine() {
    let Some(archive) = archive() else { return };
    let features = archive.features(Embedding::JointUmap).unwrap();
    // 8-bit inputs: a wide range where trajectories expand, fine steps where they decay
    let grids = [InputGrid { step: 8.0 / 127.0, limit: 8.0 }, InputGrid { step: 1.0 / 127.0, limit: 1.0 }];
    for ((net, grid), least) in archive.networks().unwrap().iter().zip(grids).zip([0.927, 0.92]) {
        let test = held_out(&features, net);
        let integer = Integer::new(&net.network, 8, STATE_SHIFT, Some(grid)).unwrap();
        let found = integer.run(&test).unwrap();
        let float = evaluate(&net.network, &test, None, false).spikes_per_sample();
        println!("damping {}: {}, {} spikes", net.damping, found.accuracy(), found.spikes_per_sample());
        assert!(found.accuracy() >= least - 1e-9, "damping {}: {}", net.damping, found.accuracy());
        assert!((found.spikes_per_sample() / float - 1.0).abs() < 0.05, "{float}");
    }
}

#[test]
fn inverted_spikes_break_the_exported_networks_as_in_the_reference_runs() {
    let Some(archive) = archive() else { return };
    let features = archive.features(Embedding::JointUmap).unwrap();
    let recorded = [[0.925, 0.89, 0.692, 0.258], [0.903, 0.871, 0.741, 0.417]];
    for (net, recorded) in archive.networks().unwrap().iter().zip(recorded) {
        let test = held_out(&features, net);
        let found = robustness(&net.network, &test, &[0.01, 0.02, 0.05, 0.1], 2);
        println!("damping {}: {found:?}", net.damping);
        for ((_, accuracy), expected) in found.iter().zip(recorded) {
            assert!((accuracy - expected).abs() < 0.05, "{found:?} against {recorded:?}");
        }
    }
}

fn synop(args: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_synop"));
    command.args(args).env("SYNOP_CHECKPOINT_MS", "1").stdin(std::process::Stdio::null());
    command
}

fn json(args: &[&str]) -> serde_json::Value {
    let output = synop(args).output().expect("synop runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let mut value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    value.as_object_mut().expect("an object").remove("host");
    value
}

#[test]
fn a_landscape_that_was_killed_ends_with_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/alignment-digits.toml");
    let run = |out: &str, threads: &'static str| {
        let small = [
            "train=300",
            "test=100",
            "training.hidden=16",
            "training.epochs=2",
            "methods=[\"float\",\"int8\",\"local\"]",
        ];
        let out = folder.path().join(out).to_string_lossy().into_owned();
        let mut args =
            vec!["run".to_owned(), file.to_owned(), "--json".into(), "--threads".into(), threads.into()];
        args.extend(["--out".to_owned(), out]);
        args.extend(small.iter().flat_map(|set| ["--set".to_owned(), (*set).to_owned()]));
        args
    };
    let refs = |args: &[String]| -> Vec<&'static str> { args.iter().map(|s| &*s.clone().leak()).collect() };
    let expected = json(&refs(&run("whole", "2")));
    for delay in [150, 400, 700] {
        let mut child = synop(&refs(&run("cut", "1")))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let found = json(&refs(&run("cut", "1")));
    assert_eq!(found, expected);
    let rows = found["landscape"].as_array().unwrap();
    assert_eq!(rows.len(), 12);
    for row in rows {
        let damping = row["trained"][0].as_f64().unwrap();
        assert!((row["sum_of_exponents"].as_f64().unwrap() + 2.0 * damping).abs() < 1e-3);
        assert!(row["accuracy"]["mean"].as_f64().unwrap() > 0.05);
        if row["method"] != "float" {
            assert!(row["energy_j_per_sample"]["loihi1-published"]["nominal"].as_f64().unwrap() > 0.0);
        }
    }
    assert_eq!(found["switched"].as_array().unwrap().len(), 48);
    assert!(folder.path().join("cut/report.html").exists());
}

#[test]
fn keys_of_a_landscape_that_make_no_sense_are_refused_with_the_key() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/alignment-digits.toml");
    for (set, key) in [
        ("damping=[]", "damping"),
        ("damping=[-9.0]", "damping"),
        ("methods=[]", "methods"),
        ("limit=0.0", "limit"),
        ("flips=[1.5]", "flips"),
        ("training.learning_rate=0.0", "training.learning_rate"),
        ("local.rates=[]", "local.rates"),
        ("counted=[\"none.npy\"]", "none.npy"),
    ] {
        let output = synop(&["run", file, "--set", set]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{set}: {text}");
        assert!(text.contains(key), "{set}: {text}");
    }
}
