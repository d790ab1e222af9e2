//! Relaxation on the integer machine: the same random networks, their couplings rounded to a few bits.
//!
//! A sample draws its couplings and its start from the stream that the float relaxation draws them from, so at many
//! bits the two differ in rounding only. The unit is the largest coupling over `2^(bits − 1) − 1`; the self-coupling
//! is rounded to the same unit. A field of zero keeps the state.

use rayon::prelude::*;
use synop_attractor::ensemble::{Effort, Summary};
use synop_attractor::network::{Network, Recipe, random_state, stream};
use synop_attractor::relax::{End, Schedule};
use synop_core::{Count, Machine, Threefry, Unobserved};
use synop_model::attractor::{FREE, Layer, Layers, Plan, Plastic, STEER, Sweep};
use synop_model::image::write;
use synop_model::network::Synapses;
use synop_model::placement::Placement;

use super::refused;
use crate::Failure;
use crate::simd::Native;

/// Relaxes a random state of each of many random modules whose couplings have `bits` bits, 2 to 16.
///
/// # Errors
/// Bad input: a width or a recipe out of range, a recipe with more than one layer, links or excitation.
pub fn converge(recipe: &Recipe, schedule: Schedule, effort: Effort, bits: u32) -> Result<Summary, Failure> {
    recipe.check().map_err(refused)?;
    if !(2..=16).contains(&bits) {
        return Err(Failure::bad_input("couplings of this width do not fit the machine")
            .place("--bits")
            .found(bits)
            .expected("a number from 2 to 16"));
    }
    if recipe.layers != 1 || recipe.excitation.is_some() {
        return Err(Failure::bad_input("only single modules relax on the integer machine").place("--bits"));
    }
    let ends: Result<Vec<End>, Failure> = (0..effort.samples as u64)
        .into_par_iter()
        .map(|sample| {
            let mut rng = stream(effort.seed, sample);
            let network = recipe.draw(&mut rng).map_err(refused)?;
            let state = random_state(network.neurons(), &mut rng);
            relax(&network, &state, schedule, effort.sweeps, bits, effort.seed ^ sample << 32)
        })
        .collect();
    Ok(Summary::of(&ends?))
}

/// Couplings in units, and the self-coupling.
fn rounded(network: &Network, bits: u32) -> (Vec<i16>, i32) {
    let couplings = network.layer(0).unwrap_or(&[]);
    let most = couplings.iter().fold(0f32, |most, w| most.max(w.abs()));
    let unit = f64::from(most.max(f32::MIN_POSITIVE)) / f64::from((1i32 << (bits - 1)) - 1);
    let weights = couplings.iter().map(|w| (f64::from(*w) / unit).round() as i16).collect();
    (weights, (f64::from(network.self_coupling()) / unit).round() as i32)
}

/// Relaxes one state for at most `sweeps` sweeps.
fn relax(
    network: &Network,
    state: &[f32],
    schedule: Schedule,
    sweeps: u32,
    bits: u32,
    seed: u64,
) -> Result<End, Failure> {
    let n = network.neurons();
    let (weights, self_coupling) = rounded(network, bits);
    // The start is written by a teacher stronger than any field.
    let largest = weights.iter().map(|w| i32::from(w.unsigned_abs())).max().unwrap_or(0);
    let weight = largest.saturating_mul(n as i32).saturating_add(self_coupling.saturating_abs() + 1);
    let layer = Layer {
        couplings: Some(Plastic::fixed(Synapses::Dense { bits: bits.next_power_of_two(), weights })),
        teacher: Some(Plastic::fixed(Synapses::Identity { weight })),
        ..Layer::default()
    };
    let built = Layers {
        seed,
        inputs: 1,
        input_max: 1,
        classes: n,
        teacher_max: 1,
        size: n,
        layers: vec![layer],
        self_coupling,
        link_left: 0,
        link_right: 0,
        keep_right: false,
        keep_ties: true,
        sweep: match schedule {
            Schedule::Permutation => Sweep::Shuffled,
            Schedule::Replacement => Sweep::Replaced,
            Schedule::Synchronous => Sweep::Synchronous,
        },
        plan: Plan { warm: 0, steer: 1, free: sweeps, recall: 1, until_quiet: false },
    }
    .build()
    .map_err(|error| Failure::work(format_args!("{error}")))?;
    let work = |error: &dyn std::fmt::Display| Failure::work(format_args!("{error}"));
    let blob = write(&built.network, &Placement::one_core(&built.network)).map_err(|e| work(&e))?;
    let image = blob.image().map_err(|e| work(&e))?;
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    let mut machine = Machine::new(image, &mut arena).map_err(|e| work(&e))?;
    let (teacher, layer) = (built.teacher as u32, built.layers[0] as u32);

    let kernels = Native::detect();
    let mut draws = Threefry::<13>::new(seed);
    let start: Vec<i32> = state.iter().map(|s| if *s > 0.0 { 1 } else { -1 }).collect();
    machine.set_phase(STEER);
    machine.drive(teacher, &start).map_err(|e| work(&e))?;
    machine.step(&kernels, &mut draws, &mut Unobserved);
    machine.set_phase(FREE);

    let synchronous = schedule == Schedule::Synchronous;
    let mut late_flips = 0;
    let mut before_last: Vec<i32> = Vec::new();
    let mut last = machine.membranes(layer).to_vec();
    for sweep in 0..sweeps {
        // In a sequence each change has arrived by now; synchronous changes arrive in the next sweep.
        if !synchronous && machine.is_settled() {
            return Ok(End::FixedPoint { sweeps: sweep });
        }
        let flips = machine.total(Count::Spikes);
        machine.step(&kernels, &mut draws, &mut Unobserved);
        let flips = machine.total(Count::Spikes) - flips;
        if synchronous {
            if flips == 0 {
                return Ok(End::FixedPoint { sweeps: sweep });
            }
            if machine.membranes(layer) == before_last {
                return Ok(End::TwoCycle);
            }
            before_last = std::mem::replace(&mut last, machine.membranes(layer).to_vec());
        }
        if sweep >= sweeps / 2 {
            late_flips += flips;
        }
    }
    if !synchronous && machine.is_settled() {
        return Ok(End::FixedPoint { sweeps });
    }
    let measured = f64::from(sweeps - sweeps / 2) * n as f64;
    Ok(End::Unsettled { activity: if measured > 0.0 { late_flips as f64 / measured } else { 0.0 } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use synop_attractor::ensemble;

    #[test]
    fn sixteen_bits_relax_as_floats_do_and_two_bits_are_still_a_network() {
        let effort = Effort { samples: 24, sweeps: 300, seed: 3 };
        for (schedule, below, above) in [
            (Schedule::Permutation, 0.05, 0.8),
            (Schedule::Replacement, 0.05, 0.8),
            (Schedule::Synchronous, 0.1, 1.0),
        ] {
            for (coupling, settles) in [(below, false), (above, true)] {
                let recipe = Recipe::module(100, coupling);
                let float = ensemble::converge(&recipe, schedule, effort).unwrap();
                let integer = converge(&recipe, schedule, effort, 16).unwrap();
                assert!(
                    (float.converged - integer.converged).abs() < 0.2,
                    "{schedule:?} {float:?} {integer:?}"
                );
                assert_eq!(integer.converged > 0.5, settles, "{schedule:?} {coupling} {integer:?}");
                assert!((float.residual - integer.residual).abs() < 0.02, "{float:?} {integer:?}");
            }
            assert!(converge(&Recipe::module(100, 1.5), schedule, effort, 2).unwrap().converged > 0.9);
        }
        // Synchronous sweeps draw nothing: equal at fine rounding, sweep by sweep.
        let recipe = Recipe::module(60, 0.9);
        let float = ensemble::converge(&recipe, Schedule::Synchronous, effort).unwrap();
        assert_eq!(converge(&recipe, Schedule::Synchronous, effort, 16).unwrap(), float);
    }

    #[test]
    fn widths_beyond_the_machine_are_refused() {
        let effort = Effort { samples: 1, sweeps: 1, seed: 1 };
        for bits in [0, 1, 17] {
            let failure =
                converge(&Recipe::module(10, 1.0), Schedule::Permutation, effort, bits).unwrap_err();
            assert_eq!(failure.exit_code(), 2);
        }
    }
}
