//! A short run of what the fuzzers run for long: every reader against mutated good inputs and plain noise.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use synop_tests::readers::READERS;

/// One change of a file.
#[derive(Debug, Clone)]
enum Change {
    Flip(usize, u8),
    Set(usize, u8),
    Cut(usize),
    Drop(usize, usize),
    Repeat(usize, usize),
    Number(usize, u32),
}

fn change() -> impl Strategy<Value = Change> {
    let at = 0..1usize << 20;
    prop_oneof![
        (at.clone(), 0..8u8).prop_map(|(i, b)| Change::Flip(i, b)),
        (at.clone(), any::<u8>()).prop_map(|(i, b)| Change::Set(i, b)),
        at.clone().prop_map(Change::Cut),
        (at.clone(), 1..40usize).prop_map(|(i, n)| Change::Drop(i, n)),
        (at.clone(), 1..40usize).prop_map(|(i, n)| Change::Repeat(i, n)),
        (at, prop_oneof![Just(0), Just(u32::MAX), Just(i32::MAX as u32), any::<u32>()])
            .prop_map(|(i, v)| Change::Number(i, v)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let n = bytes.len();
    if n == 0 {
        return;
    }
    match *change {
        Change::Flip(i, bit) => bytes[i % n] ^= 1 << bit,
        Change::Set(i, value) => bytes[i % n] = value,
        Change::Cut(i) => bytes.truncate(i % n),
        Change::Drop(i, len) => drop(bytes.drain(i % n..(i % n + len).min(n))),
        Change::Repeat(i, len) => {
            let piece = bytes[i % n..(i % n + len).min(n)].to_vec();
            bytes.splice(i % n..i % n, piece);
        }
        Change::Number(i, value) => {
            let at = i % n / 4 * 4;
            for (to, from) in bytes[at..].iter_mut().zip(value.to_le_bytes()) {
                *to = from;
            }
        }
    }
}

#[test]
fn every_reader_survives_mutated_inputs() {
    for reader in READERS {
        let good = reader.good();
        assert!(!good.is_empty(), "{}: no good inputs in {}", reader.name, reader.seeds);
        for bytes in &good {
            (reader.read)(bytes);
        }
        let case = (any::<prop::sample::Index>(), prop::collection::vec(change(), 1..6));
        let mut runner =
            TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
        let outcome = runner.run(&case, |(which, changes)| {
            let mut bytes = which.get(&good).clone();
            for change in &changes {
                apply(&mut bytes, change);
            }
            (reader.read)(&bytes);
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("{}: {error}", reader.name);
        }
    }
}

#[test]
fn every_reader_survives_noise() {
    for reader in READERS {
        let mut runner =
            TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
        let noise = prop::collection::vec(any::<u8>(), 0..600);
        if let Err(error) = runner.run(&noise, |bytes| {
            (reader.read)(&bytes);
            Ok(())
        }) {
            panic!("{}: {error}", reader.name);
        }
    }
}

#[test]
fn every_reader_has_a_fuzz_target_and_every_target_a_reader() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let mut targets: Vec<String> = std::fs::read_dir(folder)
        .expect("the fuzz targets are there")
        .map(|e| e.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let mut readers: Vec<String> = READERS.iter().map(|r| r.name.to_owned()).collect();
    targets.sort();
    readers.sort();
    assert_eq!(targets, readers);
}
