//! E1 to E16 at the stated tolerances, with the short sample sizes: one test each.
//!
//! `synop attractor reproduce` runs the same experiments with more samples.

use synop_attractor::reproduction::{Experiment, Scale};

const SEED: u64 = 1;

fn holds(name: &str) {
    let experiment = Experiment::from_name(name).expect("an experiment of this name");
    let claims = experiment.measure(Scale::Short, SEED).expect("parameters in range");
    assert!(!claims.is_empty());
    let wrong: Vec<_> = claims.iter().filter(|claim| !claim.holds()).collect();
    assert!(wrong.is_empty(), "{name}, {}: {wrong:#?}", experiment.title);
}

macro_rules! experiments {
    ($($test:ident $name:literal)*) => {
        $(#[test]
        fn $test() {
            holds($name);
        })*
    };
}

experiments! {
    e1_entropy_of_fixed_points "E1"
    e2_counts_are_the_exact_ones "E2"
    e3_thresholds_of_pairs_and_clusters "E3"
    e4_asynchronous_convergence "E4"
    e5_synchronous_convergence "E5"
    e6_activity_without_self_coupling "E6"
    e7_activity_below_freezing "E7"
    e8_sweeps_grow_slowly_with_size "E8"
    e9_belief_propagation_succeeds_earlier "E9"
    e10_chains_pairs_and_symmetry_counted "E10"
    e11_links_replace_the_self_coupling "E11"
    e12_excitation_must_be_reciprocal "E12"
    e13_partial_symmetry "E13"
    e14_no_restoring_basin "E14"
    e15_reached_points_are_not_typical "E15"
    e16_depth_helps_hetero_association "E16"
}
