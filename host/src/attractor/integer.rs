//! Relaxation on the integer machine: the same random networks, their couplings rounded to a few bits.
//!
//! A sample draws its couplings and its start from the stream that the float relaxation draws them from, so at many
//! bits the two differ in rounding only. The unit is the largest coupling over `2^(bits − 1) − 1`; the self-coupling,
//! the links of a chain and the sparse excitation are rounded to the same unit and may exceed the range of a coupling:
//! each of them is one number that serves a whole projection. A field of zero keeps the state.

use rayon::prelude::*;
use synop_attractor::ensemble::{Effort, Summary};
use synop_attractor::network::{Network, Recipe, random_state, stream};
use synop_attractor::relax::{End, Schedule};
use synop_core::{Count, Machine, Threefry, Unobserved};
use synop_model::attractor::{FREE, Layer, Layers, OWN, Plan, Plastic, STEER, Sweep};
use synop_model::image::write;
use synop_model::network::{Rows, Synapses};
use synop_model::placement::Placement;

use super::refused;
use crate::Failure;
use crate::simd::Native;

/// Relaxes a random state of each of many random networks whose couplings have `bits` bits, 2 to 16.
///
/// # Errors
/// Bad input: a width or a recipe out of range.
pub fn converge(recipe: &Recipe, schedule: Schedule, effort: Effort, bits: u32) -> Result<Summary, Failure> {
    recipe.check().map_err(refused)?;
    if !(2..=16).contains(&bits) {
        return Err(Failure::bad_input("couplings of this width do not fit the machine")
            .place("--bits")
            .found(bits)
            .expected("a number from 2 to 16"));
    }
    let ends: Result<Vec<End>, Failure> = (0..effort.samples as u64)
        .into_par_iter()
        .map(|sample| {
            let mut rng = stream(effort.seed, sample);
            let network = recipe.draw(&mut rng).map_err(refused)?;
            let state = random_state(network.neurons(), &mut rng);
            relax(&network, recipe, &state, schedule, effort.sweeps, bits, effort.seed ^ sample << 32)
        })
        .collect();
    Ok(Summary::of(&ends?))
}

/// A network in whole numbers of one unit.
struct Rounded {
    /// Couplings of each layer, row-major by source neuron.
    layers: Vec<Vec<i16>>,
    self_coupling: i32,
    /// Between neighbouring layers.
    link: i32,
    /// Weight of the excitation, and per layer whom each neuron excites.
    excitation: (i32, Vec<Rows>),
    /// No field is larger than this.
    largest_field: i32,
}

impl Rounded {
    fn new(network: &Network, recipe: &Recipe, bits: u32) -> Self {
        let width = network.width();
        let layers = || (0..recipe.layers).map(|l| network.layer(l).unwrap_or(&[]));
        let most = layers().flatten().fold(0f32, |most, w| most.max(w.abs()));
        let unit = f64::from(most.max(f32::MIN_POSITIVE)) / f64::from((1i32 << (bits - 1)) - 1);
        let units = |weight: f32| (f64::from(weight) / unit).round();
        let mut excitation = 0;
        let rows = |layer: usize| {
            let lists: Vec<Vec<u32>> = (0..width)
                .map(|i| {
                    let links = network.links(layer * width + i).iter();
                    let within = links.filter(|(target, _)| *target as usize / width == layer);
                    within
                        .map(|&(target, weight)| {
                            excitation = units(weight) as i32;
                            target % width as u32
                        })
                        .collect()
                })
                .collect();
            targets(&lists)
        };
        let rows: Vec<Rows> = (0..recipe.layers).map(rows).collect();
        let link = if recipe.layers > 1 { units(recipe.link as f32) as i32 } else { 0 };
        let self_coupling = units(network.self_coupling()) as i32;
        let mut arriving = vec![0; recipe.layers * width];
        for (layer, rows) in rows.iter().enumerate() {
            rows.targets.iter().for_each(|t| arriving[layer * width + *t as usize] += 1);
        }
        let arriving = arriving.into_iter().max().unwrap_or(0);
        let largest_field = ((1i32 << (bits - 1)) * width as i32)
            .saturating_add(self_coupling.saturating_abs())
            .saturating_add(link.saturating_abs().saturating_mul(2))
            .saturating_add(excitation.saturating_abs().saturating_mul(arriving));
        let layers = layers().map(|c| c.iter().map(|w| units(*w) as i16).collect()).collect();
        Self { layers, self_coupling, link, excitation: (excitation, rows), largest_field }
    }
}

/// Rows without weights.
fn targets(lists: &[Vec<u32>]) -> Rows {
    let mut rows = Rows { index: vec![0], ..Rows::default() };
    for list in lists {
        rows.targets.extend(list);
        rows.index.push(rows.targets.len());
    }
    rows
}

/// Relaxes one state for at most `sweeps` sweeps.
fn relax(
    network: &Network,
    recipe: &Recipe,
    state: &[f32],
    schedule: Schedule,
    sweeps: u32,
    bits: u32,
    seed: u64,
) -> Result<End, Failure> {
    let (n, width) = (network.neurons(), network.width());
    let Rounded { layers, self_coupling, link, excitation: (excitation, excited), largest_field } =
        Rounded::new(network, recipe, bits);
    // The start is written by a teacher stronger than any field: its neuron k serves neuron k of the whole network.
    let layers = layers.into_iter().enumerate().map(|(l, weights)| {
        let lists: Vec<Vec<u32>> =
            (0..n).map(|k| if k / width == l { vec![(k % width) as u32] } else { Vec::new() }).collect();
        let teacher = Synapses::Sparse { bits: 0, weight: largest_field + 1, rows: targets(&lists) };
        Layer {
            couplings: Some(Plastic::fixed(Synapses::Dense { bits: bits.next_power_of_two(), weights })),
            teacher: Some(Plastic::fixed(teacher)),
            ..Layer::default()
        }
    });
    let mut built = Layers {
        seed,
        inputs: 1,
        input_max: 1,
        classes: n,
        teacher_max: 1,
        size: width,
        layers: layers.collect(),
        self_coupling,
        link_left: link,
        link_right: link,
        keep_right: true,
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
    // One-way events of a synchronous sweep arrive in the next one, as the couplings' do.
    let delay = u32::from(schedule == Schedule::Synchronous);
    for (&layer, rows) in built.layers.iter().zip(excited) {
        if !rows.targets.is_empty() {
            let synapses = Synapses::Sparse { bits: 0, weight: excitation, rows };
            let number = built.network.connect(layer, layer, delay, synapses);
            built.network.projections[number].group = OWN;
        }
    }
    let work = |error: &dyn std::fmt::Display| Failure::work(format_args!("{error}"));
    let blob = write(&built.network, &Placement::one_core(&built.network)).map_err(|e| work(&e))?;
    let image = blob.image().map_err(|e| work(&e))?;
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    let mut machine = Machine::new(image, &mut arena).map_err(|e| work(&e))?;
    let teacher = built.teacher as u32;

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
    let states = |machine: &Machine<'_>| -> Vec<i32> {
        built.layers.iter().flat_map(|&layer| machine.membranes(layer as u32)).copied().collect()
    };
    let mut last = states(&machine);
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
            let now = states(&machine);
            if now == before_last {
                return Ok(End::TwoCycle);
            }
            before_last = std::mem::replace(&mut last, now);
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
    use synop_attractor::sparse::Pattern;

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

    /// Chains and networks with sparse excitation: who settles with weak and with strong links.
    fn variants() -> Vec<(Recipe, Recipe)> {
        let excited =
            |pattern, strength| Recipe { excitation: Some((pattern, strength)), ..Recipe::module(120, 0.0) };
        let chain = |layers, link| Recipe { layers, link, ..Recipe::module(60, 0.0) };
        vec![
            (chain(2, 0.1), chain(2, 2.0)),
            (chain(3, 0.1), chain(3, 2.0)),
            (excited(Pattern::Clique(2), 0.1), excited(Pattern::Clique(2), 2.0)),
            (excited(Pattern::Clique(3), 0.1), excited(Pattern::Clique(3), 2.0)),
            (excited(Pattern::SymmetricPermutation, 0.1), excited(Pattern::SymmetricPermutation, 2.5)),
        ]
    }

    #[test]
    fn chains_and_sparse_excitation_relax_as_floats_do() {
        let effort = Effort { samples: 24, sweeps: 300, seed: 5 };
        for (weak, strong) in variants() {
            for (recipe, settles) in [(weak, false), (strong, true)] {
                let float = ensemble::converge(&recipe, Schedule::Permutation, effort).unwrap();
                let integer = converge(&recipe, Schedule::Permutation, effort, 16).unwrap();
                assert!((float.converged - integer.converged).abs() < 0.2, "{float:?} {integer:?}");
                assert_eq!(integer.converged > 0.5, settles, "{recipe:?} {integer:?}");
            }
        }
        // Excitation one way does not replace the self-coupling, in integers as in float.
        let one_way = Recipe { excitation: Some((Pattern::Permutation, 1.5)), ..Recipe::module(120, 0.0) };
        assert_eq!(converge(&one_way, Schedule::Permutation, effort, 16).unwrap().converged, 0.0);
    }

    #[test]
    fn synchronous_chains_and_excited_modules_are_equal_sweep_by_sweep_at_fine_rounding() {
        // In a few sweeps hardly any field comes as near to zero as a rounding; a change that arrived a sweep late
        // would show in every sample.
        for recipe in variants().into_iter().flat_map(|(weak, strong)| [weak, strong]) {
            let recipe = Recipe { width: recipe.width / 2, self_coupling: 0.4, ..recipe };
            let equal = (0..12).filter(|&seed| {
                let effort = Effort { samples: 1, sweeps: 4, seed };
                let float = ensemble::converge(&recipe, Schedule::Synchronous, effort).unwrap();
                converge(&recipe, Schedule::Synchronous, effort, 16).unwrap() == float
            });
            let equal = equal.count();
            assert!(equal >= 10, "{recipe:?}: {equal} of 12");
        }
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
