//! The alignment study against the recorded networks and results; skipped where the data set is absent.

use synop::alignment::{Archive, Drive, Embedding};
use synop::train::evaluate;

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
