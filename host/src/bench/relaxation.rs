//! Relaxation of one binary network: 1,024 neurons with random 8-bit couplings settle from random starts.
//!
//! Neurons update in a new order in every sweep, and a flip is delivered at once: an event is one coupling of a neuron
//! that flipped. `bench` also has what a sweep costs beside a product of the whole matrix with the state.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use serde_json::{Map, json};
use synop_core::{Count, Machine, Threefry, Unobserved};
use synop_model::attractor::{FREE, Layer, Layers, Plan, Plastic, STEER, Sweep};
use synop_model::network::Synapses;

use super::bound::{Bound, Bounds};
use super::clock::Spent;
use super::{Measured, Outcome, Setting, build, counts, image};
use crate::Failure;
use crate::report::Report;
use crate::simd::Native;

/// Neurons.
const SIZE: usize = 1024;
/// Self-coupling in weight units: about the root of the neurons' number times the couplings' spread, so that nearly all
/// starts settle.
const SELF_COUPLING: i32 = 24 * 32;
/// Sweeps after which a start is given up.
const SWEEPS: u64 = 60;
/// Starts of the standard length.
const STARTS: f64 = 256.0;

fn layers(seed: u64) -> Layers {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let weights = (0..SIZE * SIZE).map(|_| super::dense::normal(&mut random)).collect();
    // The start is written by a teacher that is stronger than any field.
    let weight = 128 * SIZE as i32 + SELF_COUPLING;
    Layers {
        seed,
        inputs: 1,
        input_max: 1,
        classes: SIZE,
        teacher_max: 1,
        size: SIZE,
        layers: vec![Layer {
            couplings: Some(Plastic::fixed(Synapses::Dense { bits: 8, weights })),
            teacher: Some(Plastic::fixed(Synapses::Identity { weight })),
            ..Layer::default()
        }],
        self_coupling: SELF_COUPLING,
        link_left: 0,
        link_right: 0,
        keep_right: false,
        keep_ties: true,
        sweep: Sweep::Shuffled,
        plan: Plan { warm: 0, steer: 1, free: SWEEPS as u32, recall: 1, until_quiet: false },
    }
}

/// Relaxes start after start, on one thread.
///
/// # Errors
/// The work failed: the network has no image, or the machine refuses its input.
pub fn relaxation(label: &str, setting: &Setting) -> Result<Report, Failure> {
    super::forget_peak();
    let made = layers(setting.seed).build().map_err(|e| Failure::work(format_args!("{e}")))?;
    let (teacher, layer) = (made.teacher as u32, made.layers[0] as u32);
    let built = build(|| made.network, 1)?;
    let image = image(&built)?;
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    let state_bytes = 8 * arena.len();
    let mut machine = Machine::new(image, &mut arena).map_err(Failure::work)?;
    let starts = ((STARTS * setting.length).ceil() as usize).max(1);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(setting.seed ^ 1);
    let starts: Vec<Vec<i32>> = (0..starts)
        .map(|_| (0..SIZE).map(|_| if random.next_u32() >> 31 == 0 { 1 } else { -1 }).collect())
        .collect();
    let kernels = Native::detect();
    let mut bounds = Bounds::default();
    let mut best = Measured::default();
    let (mut sweeps, mut settled, mut flips) = (0u64, 0usize, 0u64);
    for _ in 0..setting.repeats {
        bounds.measure(&[Bound::Stream, Bound::DenseRows]);
        machine.restart();
        let mut draws = Threefry::<13>::new(setting.seed);
        (sweeps, settled, flips) = (0, 0, 0);
        let mut run = Measured::default();
        for start in &starts {
            machine.rest();
            machine.set_phase(STEER);
            machine.drive(teacher, start).map_err(Failure::work)?;
            machine.step(&kernels, &mut draws, &mut Unobserved);
            machine.set_phase(FREE);
            let before = [Count::StoredEvents, Count::Spikes].map(|c| machine.counters(layer).get(c));
            let (done, spent) = Spent::on(|| {
                let mut done = 0;
                while done < SWEEPS && !machine.is_settled() {
                    machine.step(&kernels, &mut draws, &mut Unobserved);
                    done += 1;
                }
                done
            });
            sweeps += done;
            settled += usize::from(machine.is_settled());
            let after = [Count::StoredEvents, Count::Spikes].map(|c| machine.counters(layer).get(c));
            run.events += after[0] - before[0];
            flips += after[1] - before[1];
            run.spent.cpu_s += spent.cpu_s;
            run.spent.wall_s += spent.wall_s;
        }
        best.keep_faster(run, 1);
    }
    bounds.measure(&[Bound::DenseRows]);
    let ticks = machine.tick();
    let (counts, synops) = counts(&image, std::iter::once(&machine), ticks);
    let mut more = Map::new();
    more.insert("starts".into(), json!(starts.len()));
    more.insert("settled".into(), json!(settled));
    more.insert("sweeps".into(), json!(sweeps));
    more.insert("flips".into(), json!(flips));
    more.insert("us_per_sweep".into(), json!(best.spent.cpu_s * 1e6 / sweeps.max(1) as f64));
    let whole = (sweeps * (SIZE * SIZE) as u64) as f64;
    more.insert("share_of_matrix_read".into(), json!(best.events as f64 / whole.max(1.0)));
    let outcome = Outcome {
        label,
        built: &built,
        state_bytes,
        best,
        ticks: sweeps,
        bound: ("dense_rows", bounds.get(Bound::DenseRows).unwrap_or(f64::NAN)),
        bounds,
        threads: 1,
        more,
    };
    Ok(outcome.report(setting, counts, synops))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relaxation_settles_and_reads_a_fraction_of_the_matrix() {
        let setting = Setting { seed: 1, threads: 1, repeats: 1, length: 0.02, out: None };
        let report = relaxation("E1024", &setting).unwrap();
        let bench = &report.more["bench"];
        let number = |key: &str| bench[key].as_f64().unwrap();
        assert_eq!(number("starts"), 6.0);
        assert!(number("settled") >= 5.0, "{bench}");
        assert_eq!(number("events"), 1024.0 * number("flips"));
        assert!(number("share_of_matrix_read") < 0.2, "{bench}");
    }
}
