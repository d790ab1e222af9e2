//! Binary networks on the machine against plain sums over all couplings.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use synop_core::counters::NAMES;
use synop_core::{Batch, Event, LANES, Machine, Portable, Threefry, Unobserved};
use synop_model::attractor::{self, Built, Layer, Layers, Plan, Plastic, Sweep, port_of};
use synop_model::image::{Blob, write};
use synop_model::network::{Rows, Synapses};
use synop_model::placement::Placement;
use synop_model::rule::RuleSpec;

const SIZE: usize = 37;
const INPUTS: usize = 11;
const CLASSES: usize = 3;

struct Random(Xoshiro256PlusPlus);

impl Random {
    fn within(&mut self, lo: i32, hi: i32) -> i32 {
        lo + (self.0.next_u32() % (hi - lo + 1) as u32) as i32
    }

    fn matrix(&mut self, sources: usize, targets: usize, own: bool, sparse: bool) -> Synapses {
        let mut lists = vec![Vec::new(); sources];
        for (i, list) in lists.iter_mut().enumerate() {
            for j in 0..targets {
                if own && i == j || sparse && self.within(0, 3) != 0 {
                    continue;
                }
                list.push((j as u32, self.within(-20, 20) as i16));
            }
        }
        if sparse {
            return Synapses::Sparse { bits: 8, weight: 0, rows: Rows::from_lists(&lists) };
        }
        let mut weights = vec![0; sources * targets];
        for (i, list) in lists.iter().enumerate() {
            for (j, w) in list {
                weights[i * targets + *j as usize] = *w;
            }
        }
        Synapses::Dense { bits: 8, weights }
    }
}

fn rule(text: &str) -> Option<RuleSpec> {
    let text = format!(
        "rule r {{ error e = (s*(g0) <= 10); every 2 samples; rounding nearest; bounds -60 60; {text} }}"
    );
    Some(RuleSpec::parse(&text).unwrap())
}

fn layers(seed: u64, sweep: Sweep, sparse: bool, keep_ties: bool) -> Layers {
    let mut r = Random(Xoshiro256PlusPlus::seed_from_u64(seed));
    let layer = |r: &mut Random| Layer {
        couplings: Some(Plastic {
            synapses: r.matrix(SIZE, SIZE, true, sparse),
            rule: rule("dw = 1*x0*e*s"),
        }),
        input: Some(Plastic { synapses: r.matrix(INPUTS, SIZE, false, sparse), rule: rule("dw = 2*x0*e*s") }),
        teacher: Some(Plastic::fixed(r.matrix(CLASSES, SIZE, false, false))),
        readout: Some(Plastic::fixed(r.matrix(SIZE, CLASSES, false, false))),
        bias: (0..SIZE).map(|_| r.within(-3, 3)).collect(),
    };
    Layers {
        seed,
        inputs: INPUTS,
        input_max: 1,
        classes: CLASSES,
        teacher_max: 2,
        size: SIZE,
        layers: vec![layer(&mut r), layer(&mut r)],
        self_coupling: 15,
        link_left: 9,
        link_right: 7,
        keep_right: true,
        keep_ties,
        sweep,
        plan: Plan { warm: 1, steer: 6, free: 6, recall: 6, until_quiet: false },
    }
}

fn sweeps() -> [Sweep; 5] {
    let order = (0..2 * SIZE as u32).map(|i| (i * 31 + 7) % (2 * SIZE as u32)).collect();
    [Sweep::Synchronous, Sweep::LayerWise, Sweep::Listed(order), Sweep::Shuffled, Sweep::Replaced]
}

fn written(layers: &Layers) -> (Built, Blob) {
    let built = layers.build().unwrap();
    let blob = write(&built.network, &Placement::one_core(&built.network)).unwrap();
    (built, blob)
}

/// Does `work` with a machine of these layers, numbers that are drawn by a machine, and numbers for a test.
fn on_machine(
    layers: &Layers,
    seed: u64,
    work: impl FnOnce(&mut Machine<'_>, &Built, &mut Threefry, &mut Random),
) {
    let (built, blob) = written(layers);
    let image = blob.image().unwrap();
    let mut arena = vec![0; image.memory(0..1).words()];
    let mut machine = Machine::new(image, &mut arena).unwrap();
    work(&mut machine, &built, &mut Threefry::new(3), &mut Random(Xoshiro256PlusPlus::seed_from_u64(seed)));
}

fn present(machine: &mut Machine<'_>, built: &Built, r: &mut Random) {
    machine.rest();
    let input: Vec<i32> = (0..INPUTS).map(|_| r.within(-1, 1)).collect();
    machine.drive(built.input as u32, &input).unwrap();
    machine.drive(built.teacher as u32, &[2, -1, -1]).unwrap();
}

/// The sums of a layer, computed from all weights and all values.
fn sums(machine: &Machine<'_>, built: &Built, layers: &Layers, l: usize) -> [Vec<i32>; 2] {
    let image = machine.image();
    let p = built.projections[l];
    let mut own = vec![0; SIZE];
    for (projection, source) in [(p.couplings, built.layers[l]), (p.input, built.input)] {
        let port = port_of(image, projection.unwrap()).unwrap();
        for (i, value) in machine.membranes(source as u32).iter().enumerate() {
            for (j, sum) in own.iter_mut().enumerate() {
                *sum += value * machine.weight(port, i as u32, j as u32).unwrap_or(0);
            }
        }
    }
    let mut right = vec![0; SIZE];
    if l == 1 {
        let before = machine.membranes(built.layers[0] as u32);
        own.iter_mut().zip(before).for_each(|(sum, s)| *sum += layers.link_left * s);
    } else {
        let behind = machine.membranes(built.layers[1] as u32);
        right.iter_mut().zip(behind).for_each(|(sum, s)| *sum += layers.link_right * s);
    }
    [own, right]
}

fn check_sums(machine: &Machine<'_>, built: &Built, layers: &Layers, what: &str) {
    for l in 0..2 {
        let [own, right] = sums(machine, built, layers, l);
        assert_eq!(machine.sums(built.layers[l] as u32, attractor::OWN), own, "{what}, layer {l}");
        assert_eq!(machine.sums(built.layers[l] as u32, attractor::RIGHT), right, "{what}, layer {l}");
    }
}

#[test]
fn sums_follow_the_states_after_learning_and_programming_in_every_order() {
    for (k, sweep) in sweeps().into_iter().enumerate() {
        for sparse in [false, true] {
            let layers = layers(k as u64, sweep.clone(), sparse, k % 2 == 0);
            on_machine(&layers, 99, |machine, built, draws, r| {
                let what = format!("{sweep:?}, sparse {sparse}");
                for sample in 0..4 {
                    present(machine, built, r);
                    machine.run_program(attractor::LEARN, &Portable, draws, &mut Unobserved);
                    check_sums(machine, built, &layers, &what);
                    let before = machine.plastic().to_vec();
                    machine.learn_sample(draws);
                    assert_eq!(
                        machine.plastic() != before,
                        sample % 2 == 1,
                        "a rule over two samples: {what}"
                    );
                    // Going on without a rest: the sums are rebuilt before they are used.
                    let port = port_of(machine.image(), built.projections[0].input.unwrap()).unwrap();
                    let there = (0..SIZE as u32).find(|j| machine.weight(port, 2, *j).is_some()).unwrap();
                    assert_eq!(machine.program(port, 2, there, 55), Some(55));
                    machine.run_program(attractor::RECALL, &Portable, draws, &mut Unobserved);
                    check_sums(machine, built, &layers, &what);
                }
            });
        }
    }
}

#[test]
fn waking_every_neuron_in_every_sweep_changes_neither_states_nor_counters() {
    for (k, sweep) in sweeps().into_iter().take(2).enumerate() {
        let layers = layers(k as u64, sweep, true, false);
        let (built, blob) = written(&layers);
        let image = blob.image().unwrap();
        let run = |wake: bool| {
            let mut arena = vec![0; image.memory(0..1).words()];
            let mut machine = Machine::new(image, &mut arena).unwrap();
            let mut r = Random(Xoshiro256PlusPlus::seed_from_u64(5));
            let mut states = Vec::new();
            for _ in 0..3 {
                present(&mut machine, &built, &mut r);
                for phase in [attractor::FREE, attractor::STEER, attractor::FREE] {
                    machine.set_phase(phase);
                    for _ in 0..5 {
                        if wake {
                            machine.wake_all();
                        }
                        machine.step(&Portable, &mut Threefry::new(1), &mut Unobserved);
                        states.extend(built.layers.iter().map(|l| machine.membranes(*l as u32).to_vec()));
                    }
                }
            }
            let counters: Vec<u64> = NAMES.iter().map(|(count, _)| machine.total(*count)).collect();
            (states, counters)
        };
        assert_eq!(run(false), run(true));
    }
}

#[test]
fn stopping_when_nothing_changes_ends_in_the_same_states() {
    for (k, sweep) in sweeps().into_iter().take(3).enumerate() {
        let full = Layers { self_coupling: 300, ..layers(k as u64, sweep, false, true) };
        let short = Layers { plan: Plan { until_quiet: true, ..full.plan }, ..full.clone() };
        let run = |layers: &Layers| {
            let (built, blob) = written(layers);
            let image = blob.image().unwrap();
            let mut arena = vec![0; image.memory(0..1).words()];
            let mut machine = Machine::new(image, &mut arena).unwrap();
            present(&mut machine, &built, &mut Random(Xoshiro256PlusPlus::seed_from_u64(5)));
            let ran =
                machine.run_program(attractor::LEARN, &Portable, &mut Threefry::new(1), &mut Unobserved);
            (
                machine.membranes(built.layers[0] as u32).to_vec(),
                machine.membranes(built.layers[1] as u32).to_vec(),
                ran,
            )
        };
        let ((a, b, all), (c, d, few)) = (run(&full), run(&short));
        assert_eq!((a, b), (c, d));
        assert!(few.ticks < all.ticks && few.changes == all.changes, "{few:?} {all:?}");
    }
}

#[test]
fn a_host_may_update_neurons_in_its_own_order_until_none_wants_to_change() {
    let layers =
        Layers { self_coupling: 60, ..layers(4, Sweep::Listed((0..2 * SIZE as u32).collect()), true, true) };
    let (built, blob) = written(&layers);
    let image = blob.image().unwrap();
    let mut arena = vec![0; image.memory(0..1).words()];
    let mut machine = Machine::new(image, &mut arena).unwrap();
    let mut r = Random(Xoshiro256PlusPlus::seed_from_u64(5));
    present(&mut machine, &built, &mut r);
    machine.set_phase(attractor::FREE);
    machine.deliver_inputs(&Portable);
    let mut updates = 0;
    while !machine.is_settled() && updates < 100_000 {
        let (l, i) = (r.within(0, 1) as usize, r.within(0, SIZE as i32 - 1) as u32);
        machine.update_neuron(built.layers[l] as u32, i, &Portable, &mut Unobserved);
        updates += 1;
    }
    assert!(machine.is_settled());
    check_sums(&machine, &built, &layers, "own order");
}

/// Time, weights, counters and spike counts: what samples that ran side by side may change of a machine.
type Whole = (u64, Vec<u8>, Vec<Vec<u64>>, Vec<Vec<i32>>);

fn whole_of(machine: &Machine<'_>) -> Whole {
    let pieces = 0..machine.image().pieces;
    (
        machine.tick(),
        machine.plastic().to_vec(),
        pieces.clone().map(|p| machine.counters(p).row().to_vec()).collect(),
        pieces.map(|p| machine.spike_counts(p).to_vec()).collect(),
    )
}

#[test]
fn samples_side_by_side_are_samples_one_by_one() {
    let mut flips_after_the_teacher = 0;
    for case in 0..24u64 {
        let sweep = if case % 2 == 0 { Sweep::Synchronous } else { Sweep::LayerWise };
        let mut layers = layers(case, sweep, case % 3 == 0, case % 4 < 2);
        layers.plan.until_quiet = case % 5 != 0;
        layers.self_coupling = [15, 40, -9][case as usize % 3];
        layers.keep_right = case % 7 < 4;
        let every = [2, 5, 16][case as usize / 3 % 3];
        let rounding = ["nearest", "stochastic", "gate 0.5"][case as usize / 9];
        let soft = if case % 4 == 1 { " soft 12" } else { "" };
        let decay = if case % 5 == 2 { "decay 0.3 every 17 samples; " } else { "" };
        let coupling = ["0.3*x0*e*s", "0.3*x0*y0*e*f", "0.15*x0*y0*(e + f)"][case as usize / 2 % 3];
        let rule = |error: &str, change: &str| {
            let text = format!(
                "rule r {{ error e = ({error}){soft}; every {every} samples; rounding {rounding}; bounds -60 60; {decay}{change} }}"
            );
            Some(RuleSpec::parse(&text).unwrap())
        };
        for layer in &mut layers.layers {
            layer.couplings.as_mut().unwrap().rule = rule("s*(g0) <= 30", &format!("dw = {coupling}"));
            layer.input.as_mut().unwrap().rule = rule("s*(g0+g1) <= 30", "dw = 1.4*x0*e*s");
            layer.readout.as_mut().unwrap().rule = rule("t*(g0) <= 50", "dw = 0.7*x0*e*t");
        }
        let (built, blob) = written(&layers);
        let image = blob.image().unwrap();
        let mut arenas = [(); 2].map(|()| vec![0; image.memory(0..1).words()]);
        let [mut single, mut beside] = arenas.each_mut().map(|a| Machine::new(image, a).unwrap());
        let mut memory = vec![0; Batch::words(&image).unwrap()];
        let mut batch = Batch::new(&image, &mut memory).unwrap();
        let (mut draws, mut same_draws) = (Threefry::new(3), Threefry::new(3));
        let mut r = Random(Xoshiro256PlusPlus::seed_from_u64(case));
        let mut left = 40;
        while left > 0 {
            let count = beside.samples_left().min(left).min(r.within(1, LANES as i32) as usize);
            left -= count;
            batch.rest(count);
            let mut ended = Vec::new();
            for sample in 0..count {
                let values: Vec<Event> =
                    (0..INPUTS as i32).map(|i| [i, r.within(-1, 1)]).filter(|e| e[1] != 0).collect();
                let label = r.within(0, CLASSES as i32 - 1);
                single.rest();
                single.inject(built.input as u32, &values).unwrap();
                beside.inject_beside(&mut batch, sample, built.input as u32, &values).unwrap();
                single.inject(built.teacher as u32, &[[label, 2]]).unwrap();
                beside.inject_beside(&mut batch, sample, built.teacher as u32, &[[label, 2]]).unwrap();
                let targets = single.targets_mut(built.readout as u32);
                for (c, (t, b)) in
                    targets.iter_mut().zip(batch.targets_mut(&image, built.readout as u32)).enumerate()
                {
                    *t = if c == label as usize { 1 } else { -1 };
                    b[sample] = *t;
                }
                single.run_program(attractor::LEARN, &Portable, &mut draws, &mut Unobserved);
                ended.push((0..image.pieces).map(|p| single.membranes(p).to_vec()).collect::<Vec<_>>());
                let sums: Vec<i32> = single.sums(built.readout as u32, 0).to_vec();
                ended.last_mut().unwrap().push(sums);
                single.learn_sample(&mut draws);
            }
            beside.run_program_beside(&mut batch, attractor::LEARN, &Portable);
            for (sample, ended) in ended.iter().enumerate() {
                for (p, expected) in (0..image.pieces).zip(ended) {
                    let found: Vec<i32> = batch.values(&image, p).iter().map(|v| v[sample]).collect();
                    assert_eq!(&found, expected, "case {case}, sample {sample}, piece {p}");
                }
                let sums = batch.sums(&image, built.readout as u32, 0).iter().map(|v| v[sample]);
                assert_eq!(&sums.collect::<Vec<_>>(), ended.last().unwrap(), "case {case}, sample {sample}");
            }
            beside.learn_beside(&batch, &Portable, &mut same_draws);
            assert_eq!(whole_of(&beside), whole_of(&single), "case {case}");
        }
        flips_after_the_teacher +=
            single.counters(built.layers[0] as u32).row()[synop_core::Count::Spikes as usize];
        single.finish_batch(&mut draws);
        beside.finish_batch(&mut same_draws);
        assert_eq!(whole_of(&beside), whole_of(&single), "case {case}");
        assert_ne!(
            single.plastic(),
            image.section(synop_core::image::Section::Plastic),
            "nothing was learnt"
        );
    }
    assert!(flips_after_the_teacher > 24 * 45 * SIZE as u64, "hardly a neuron flips");
}

#[test]
fn networks_with_orders_of_single_neurons_do_not_run_side_by_side() {
    for (sweep, fits) in sweeps().into_iter().zip([true, true, false, false, false]) {
        let (_, blob) = written(&layers(1, sweep, true, true));
        assert_eq!(Batch::words(&blob.image().unwrap()).is_some(), fits);
    }
}

/// A machine's couplings of the first layer, by source and target.
fn couplings(machine: &Machine<'_>, built: &Built) -> Vec<Vec<i32>> {
    let port = port_of(machine.image(), built.projections[0].couplings.unwrap()).unwrap();
    let row = |i| (0..SIZE as u32).map(|j| machine.weight(port, i, j).unwrap()).collect();
    (0..SIZE as u32).map(row).collect()
}

/// The bytes of plastic memory, counts of weights that are not zero among them, of a fresh machine into which the
/// weights of another are programmed one by one.
fn programmed(machine: &Machine<'_>) -> Vec<u8> {
    let image = *machine.image();
    let mut arena = vec![0; image.memory(0..1).words()];
    let mut fresh = Machine::new(image, &mut arena).unwrap();
    for port in 0..image.ports {
        let p = image.port(port).unwrap();
        let [rows, columns] = [p.source, p.target].map(|piece| image.piece(piece).unwrap().count);
        for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
            if let Some(w) = machine.weight(port, i, j).filter(|_| p.rule != synop_core::image::NONE) {
                fresh.program(port, i, j, w).unwrap();
            }
        }
    }
    fresh.plastic().to_vec()
}

#[test]
fn symmetric_changes_are_those_of_their_definition_and_alike_in_both_directions() {
    for (case, change) in ["0.6*x0*y0*e*f", "0.3*x0*y0*e + 0.3*x0*y0*f"].into_iter().enumerate() {
        for rounding in ["nearest", "stochastic"] {
            let mut layers = layers(5, Sweep::Synchronous, false, true);
            let text = format!(
                "rule r {{ error e = (s*(g0) <= 40); every 3 samples; rounding {rounding}; bounds -60 60; dw = {change} }}"
            );
            layers.layers[0].couplings.as_mut().unwrap().rule = Some(RuleSpec::parse(&text).unwrap());
            on_machine(&layers, 7, |machine, built, draws, r| {
                let (mut changed, first) = (0, couplings(machine, built));
                for _ in 0..12 {
                    let before = couplings(machine, built);
                    let mut sums = vec![vec![0f64; SIZE]; SIZE];
                    for _ in 0..3 {
                        present(machine, built, r);
                        machine.run_program(attractor::LEARN, &Portable, draws, &mut Unobserved);
                        let layer = built.layers[0] as u32;
                        let states = machine.membranes(layer).to_vec();
                        let fields = machine.sums(layer, attractor::OWN);
                        let errors: Vec<f64> = states
                            .iter()
                            .zip(fields)
                            .map(|(s, f)| f64::from(u8::from(s * f <= 40)))
                            .collect();
                        for (i, row) in sums.iter_mut().enumerate() {
                            for (j, sum) in row.iter_mut().enumerate().filter(|(j, _)| *j != i) {
                                let gate = [0.6 * errors[i] * errors[j], 0.3 * (errors[i] + errors[j])][case];
                                *sum += gate * f64::from(states[i] * states[j]);
                            }
                        }
                        machine.learn_sample(draws);
                    }
                    let after = couplings(machine, built);
                    for (i, j) in (0..SIZE).flat_map(|i| (0..SIZE).map(move |j| (i, j))) {
                        let (sum, change) = (sums[i][j], after[i][j] - before[i][j]);
                        changed += usize::from(change != 0);
                        let inside = after[i][j].abs() < 60 && after[j][i].abs() < 60;
                        assert!(
                            !inside || change == after[j][i] - before[j][i],
                            "{rounding}: both change alike"
                        );
                        let error = (f64::from(change) - sum).abs();
                        let most = if rounding == "nearest" { 0.5 + 1e-3 } else { 1.0 };
                        assert!(!inside || error < most, "{rounding}: {change} for {sum}");
                    }
                }
                assert!(changed > 500, "{changed}");
                assert_ne!(couplings(machine, built), first);
                assert_eq!(machine.plastic(), programmed(machine), "counts of non-zero weights");
            });
        }
    }
}

#[test]
fn weights_decay_by_their_share_and_zeros_stay() {
    for sparse in [false, true] {
        let mut layers = layers(5, Sweep::Synchronous, sparse, true);
        // No neuron is ever in error.
        let text = "rule r { error e = (s*(g0) <= -100000); every 2 samples; rounding nearest; bounds -60 60; decay 0.1 every 5 samples; dw = 1*x0*e*s }";
        for layer in &mut layers.layers {
            layer.couplings.as_mut().unwrap().rule = Some(RuleSpec::parse(text).unwrap());
            layer.input.as_mut().unwrap().rule = None;
        }
        on_machine(&layers, 7, |machine, built, draws, r| {
            let port = port_of(machine.image(), built.projections[0].couplings.unwrap()).unwrap();
            let weights = |machine: &Machine<'_>| -> Vec<i32> {
                let pairs = (0..SIZE as u32).flat_map(|i| (0..SIZE as u32).map(move |j| (i, j)));
                pairs.map(|(i, j)| machine.weight(port, i, j).unwrap_or(0)).collect()
            };
            let size = |weights: &[i32]| weights.iter().map(|w| f64::from(w.abs())).sum::<f64>();
            let start = weights(machine);
            // Changes come after samples 2, 4, 6, …; so 5, 10, 15 and 20 are passed at 6, 10, 16 and 20.
            for sample in 1..=20 {
                let before = weights(machine);
                present(machine, built, r);
                machine.run_program(attractor::LEARN, &Portable, draws, &mut Unobserved);
                check_sums(machine, built, &layers, "after a decay");
                machine.learn_sample(draws);
                assert_eq!(weights(machine) != before, [6, 10, 16, 20].contains(&sample), "sample {sample}");
            }
            let end = weights(machine);
            assert!(start.iter().zip(&end).all(|(a, b)| a * b >= 0 && b.abs() <= a.abs()));
            let kept = size(&end) / size(&start);
            assert!((kept - 0.9f64.powi(4)).abs() < 0.02, "{kept}");
            assert_eq!(machine.plastic(), programmed(machine), "counts of non-zero weights");
        });
    }
}
