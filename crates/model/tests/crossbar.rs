//! Projections on memristive crossbars: the machine against the devices' own arithmetic and against dense rows.

use synop_core::image::Store;
use synop_core::{Count, Image, Machine, Portable, Threefry, Unobserved};
use synop_device::wires::Wires;
use synop_device::{Preset, Resolution};
use synop_model::crossbar::{Converter, Crossbar, ENERGY_UNIT_J};
use synop_model::image::{Blob, write};
use synop_model::network::{Lif, Network, Population, Synapses};
use synop_model::placement::{Placement, Slice};
use synop_model::rule::RuleSpec;

const ROWS: usize = 30;
const COLUMNS: usize = 12;

fn weights() -> Vec<i16> {
    (0..ROWS * COLUMNS).map(|k| (k * 7919 % 201) as i16 - 100).collect()
}

fn bar(device: &str) -> Crossbar {
    let mut bar = Crossbar::new(Preset::shipped(device).expect("it ships"), 100, weights());
    bar.resolution = Resolution::bare(24, 5);
    bar
}

/// Inputs onto integrators that never spike, or that spike and learn.
fn network(synapses: Synapses, rule: Option<&str>) -> Network {
    let mut net = Network { seed: 11, ..Network::default() };
    let input = net.add_population(Population::input("in", ROWS, 3));
    let lif = Lif { threshold: 40.into(), silent: rule.is_none(), ..Lif::default() };
    let out = net.add_population(Population::lif("out", COLUMNS, 1, lif));
    let p = net.connect(input, out, 0, synapses);
    if let Some(text) = rule {
        net.rules.push(RuleSpec::parse(text).and_then(|r| r.encode()).expect("a rule"));
        net.projections[p].rule = Some(0);
    }
    net
}

fn blob(net: &Network) -> Blob {
    write(net, &Placement::one_core(net)).expect("valid")
}

fn events(tick: usize) -> Vec<[i32; 2]> {
    let payload = |i: usize| [1, 2, -3][(i + tick) % 3];
    (0..ROWS).filter(|i| (i * 5 + tick * 3) % 7 < 2).map(|i| [i as i32, payload(i)]).collect()
}

struct Run<'m> {
    machine: Machine<'m>,
    draws: Threefry,
}

impl<'m> Run<'m> {
    fn new(image: Image<'m>, cores: std::ops::Range<u32>, arena: &'m mut Vec<u64>) -> Run<'m> {
        arena.resize(image.memory(cores.clone()).words(), 0);
        Run { machine: Machine::with_cores(image, cores, arena).expect("fits"), draws: Threefry::new(11) }
    }

    fn step(&mut self) {
        self.machine.step(&Portable, &mut self.draws, &mut Unobserved);
    }

    fn run(&mut self, ticks: std::ops::Range<usize>) {
        for tick in ticks {
            self.machine.inject(0, &events(tick)).expect("an input");
            self.step();
        }
    }
}

#[test]
fn an_ideal_crossbar_adds_what_dense_rows_add() {
    for tile in [(128, 128), (7, 5)] {
        let dense = blob(&network(Synapses::Dense { bits: 8, weights: weights() }, None));
        let ideal = Crossbar { tile, ..bar("ideal") };
        let crossbar = blob(&network(Synapses::Crossbar(Box::new(ideal)), None));
        let (mut a, mut b) = (Vec::new(), Vec::new());
        let mut dense = Run::new(dense.image().unwrap(), 0..1, &mut a);
        let mut found = Run::new(crossbar.image().unwrap(), 0..1, &mut b);
        dense.run(0..6);
        found.run(0..6);
        assert_eq!(dense.machine.membranes(1), found.machine.membranes(1), "{tile:?}");
        let rows = found.machine.total(Count::CrossbarRows) as usize;
        let driven: usize = (0..6).map(|t| events(t).len()).sum();
        assert_eq!(rows, driven * COLUMNS.div_ceil(tile.1));
    }
}

#[test]
fn the_energy_of_reads_is_the_sum_of_v_squared_g_t_to_an_attojoule() {
    let bar = bar("reram-es");
    let net = network(Synapses::Crossbar(Box::new(bar.clone())), None);
    let blob = blob(&net);
    let mut arena = Vec::new();
    let mut run = Run::new(blob.image().unwrap(), 0..1, &mut arena);
    run.run(0..9);
    // G of both devices of a pair sums to g_min + g_max, whatever its weight: 51 µS.
    let cell = &bar.device.cell;
    let pair = (cell.g_min_us + cell.g_max_us) * 1e-6 * cell.read_v.powi(2) * cell.read_ns * 1e-9;
    let payload: i32 = (0..9).flat_map(events).map(|e| e[1].abs()).sum();
    let expected = pair * COLUMNS as f64 * f64::from(payload);
    let found = run.machine.total(Count::CrossbarCharge) as f64 * ENERGY_UNIT_J;
    assert!((found / expected - 1.0).abs() < 1e-6, "{found} {expected}");
    // To the unit, in integers: the charge of every device that was read, times its price.
    let view = run.machine.array(0).unwrap();
    let exact =
        (u128::from(view.log.tally.charge) * u128::from(view.array.read_aj)) >> view.array.energy_shift;
    assert_eq!(u128::from(run.machine.total(Count::CrossbarCharge)), exact);
    assert_eq!(run.machine.total(Count::Conversions), 9 * COLUMNS as u64);
}

#[test]
fn doubling_a_duration_doubles_only_its_class() {
    let rule = "rule r { x1: decay 0.5 add 8; every tick; rounding nearest; bounds -127 127; dw = 2^-2*x1*y0 - 2^-3*x0*y0 }";
    let energies = |change: &dyn Fn(&mut Preset)| {
        let mut bar = bar("reram-es");
        change(&mut bar.device);
        let blob = blob(&network(Synapses::Crossbar(Box::new(bar)), Some(rule)));
        let mut arena = Vec::new();
        let mut run = Run::new(blob.image().unwrap(), 0..1, &mut arena);
        run.run(0..20);
        let total = |c| run.machine.total(c);
        (
            total(Count::CrossbarCharge),
            total(Count::PulseEnergy),
            total(Count::PulsesUp),
            total(Count::PulsesDown),
        )
    };
    let (read, write, up, down) = energies(&|_| ());
    assert!(
        read > 0 && write > 0 && up > 0 && up == down,
        "every change of a pair is a pulse up and one down"
    );
    let twice = |found: u64, base: u64| (found as f64 / base as f64 - 2.0).abs() < 1e-6;
    let longer = energies(&|d| d.cell.read_ns *= 2.0);
    assert!(twice(longer.0, read) && longer.1 == write);
    let longer = energies(&|d| (d.cell.up_ns, d.cell.down_ns) = (2.0 * d.cell.up_ns, 2.0 * d.cell.down_ns));
    assert!(twice(longer.1, write) && longer.0 == read);
}

const STDP: &str =
    "rule r { x1: decay 0.5 add 8; y1: decay 0.7 add 8; every tick; rounding stochastic; bounds -127 127
    dw = 2^-3*x1*y0 - 2^-4*y1*x0 - 2^-6*y0*w }";

/// A crossbar with all defects at once.
fn real(device: &str) -> Crossbar {
    let mut bar = Crossbar::new(Preset::shipped(device).expect("it ships"), 100, weights());
    (bar.tile, bar.refresh, bar.tick_s) = ((11, 4), 5, 10.0);
    bar.wires = Wires { row_ohm: 3.0, column_ohm: 3.0 };
    bar.converter = Some(Converter { bits: 8, full_scale: 800.0 });
    bar
}

#[test]
fn any_number_of_machines_gives_equal_bits() {
    for device in ["pcm", "reram-es", "ecram"] {
        let net = network(Synapses::Crossbar(Box::new(real(device))), Some(STDP));
        let slice = |population, first, count| Slice { population, first, count };
        let split = Placement {
            cores: vec![vec![slice(0, 0, ROWS), slice(1, 0, 4)], vec![slice(1, 4, 4)], vec![slice(1, 8, 4)]],
        };
        let parts = write(&net, &split).expect("valid");
        let image = parts.image().unwrap();
        let mut whole = Vec::new();
        let mut whole = Run::new(image, 0..3, &mut whole);
        whole.run(0..30);
        for core in 0..3u32 {
            let mut arena = Vec::new();
            let mut run = Run::new(image, core..core + 1, &mut arena);
            for tick in 0..30 {
                match core {
                    0 => run.machine.inject(0, &events(tick)).unwrap(),
                    _ => run.machine.receive(0, tick as u64, &events(tick)).unwrap(),
                }
                run.step();
            }
            let piece = core + 1;
            assert_eq!(run.machine.membranes(piece), whole.machine.membranes(piece), "{device} {core}");
            assert_eq!(run.machine.counters(piece).row(), whole.machine.counters(piece).row());
            for port in 0..image.ports {
                let Some(mine) = run.machine.array(port) else { continue };
                let all = whole.machine.array(port).unwrap();
                assert_eq!((mine.states, mine.matrix, mine.log), (all.states, all.matrix, all.log));
            }
        }
        assert!(
            whole.machine.total(Count::PulsesUp) > 100 && whole.machine.total(Count::PlasticChanges) > 100
        );
        // One core for all is another placement of the same devices: as many pulses of the same energy.
        let one = blob(&net);
        let mut arena = Vec::new();
        let mut one = Run::new(one.image().unwrap(), 0..1, &mut arena);
        one.run(0..30);
        for count in [Count::PulsesUp, Count::PulsesDown, Count::PlasticChanges] {
            assert_eq!(one.machine.total(count), whole.machine.total(count), "{device}");
        }
        assert_eq!(one.machine.membranes(1), [1, 2, 3].map(|p| whole.machine.membranes(p)).concat());
    }
}

#[test]
fn a_restart_gives_the_same_run_again() {
    let blob = blob(&network(Synapses::Crossbar(Box::new(real("pcm"))), Some(STDP)));
    let mut arena = Vec::new();
    let mut run = Run::new(blob.image().unwrap(), 0..1, &mut arena);
    run.run(0..25);
    let first = (run.machine.plastic().to_vec(), run.machine.counters(1).row().to_vec());
    run.machine.restart();
    run.run(0..25);
    assert_eq!(first, (run.machine.plastic().to_vec(), run.machine.counters(1).row().to_vec()));
}

#[test]
fn a_saved_run_goes_on_bit_for_bit() {
    let blob = blob(&network(Synapses::Crossbar(Box::new(real("pcm"))), Some(STDP)));
    let (mut a, mut b) = (Vec::new(), Vec::new());
    let mut first = Run::new(blob.image().unwrap(), 0..1, &mut a);
    first.run(0..13);
    let mut saved = Vec::new();
    first.machine.save(|bytes| saved.extend_from_slice(bytes));
    let mut second = Run::new(blob.image().unwrap(), 0..1, &mut b);
    second.machine.restore(&saved).unwrap();
    first.run(13..30);
    second.run(13..30);
    assert_eq!(first.machine.plastic(), second.machine.plastic());
    assert_eq!(first.machine.counters(1).row(), second.machine.counters(1).row());
    assert_eq!(first.machine.array(0).unwrap().log, second.machine.array(0).unwrap().log);
}

#[test]
fn skipped_time_drifts_as_time_that_was_stepped_through() {
    let blob = blob(&network(Synapses::Crossbar(Box::new(real("pcm"))), None));
    let (mut a, mut b) = (Vec::new(), Vec::new());
    let mut stepped = Run::new(blob.image().unwrap(), 0..1, &mut a);
    let mut skipped = Run::new(blob.image().unwrap(), 0..1, &mut b);
    stepped.run(0..1);
    skipped.run(0..1);
    let fresh = skipped.machine.array(0).unwrap().matrix.to_vec();
    stepped.step();
    skipped.step();
    assert_eq!(skipped.machine.advance(1000), 1000);
    for _ in 0..1000 {
        stepped.step();
    }
    stepped.run(1002..1004);
    skipped.run(1002..1004);
    assert_eq!(stepped.machine.membranes(1), skipped.machine.membranes(1));
    let (late, early) = (skipped.machine.array(0).unwrap(), stepped.machine.array(0).unwrap());
    assert_eq!((late.matrix, late.log.refreshed), (early.matrix, 1000));
    let size = |m: &[i16]| m.iter().map(|w| i32::from(*w).abs()).sum::<i32>();
    assert!(size(late.matrix) * 10 < size(&fresh) * 9, "it drifts");
}

#[test]
fn a_fixed_array_reads_from_the_image_alone() {
    let blob = blob(&network(Synapses::Crossbar(Box::new(bar("reram-sb"))), None));
    let image = blob.image().unwrap();
    let port = image.port(0).unwrap();
    assert_eq!(port.store, Store::Crossbar);
    assert!(image.memory(0..1).plastic == 0);
    let mut arena = Vec::new();
    let run = Run::new(image, 0..1, &mut arena);
    assert!(run.machine.array(0).unwrap().states.is_empty());
}

/// Gives the network a rule that reads targets.
fn teach(net: &mut Network, spec: &RuleSpec) {
    net.rules.push(spec.encode().expect("a rule"));
    net.projections[0].rule = Some(0);
    if let synop_model::network::Kind::Lif(lif) = &mut net.populations[1].kind {
        lif.targets = true;
    }
}

/// A sample whose targets alternate in sign.
fn learn_signs(run: &mut Run<'_>) {
    for (j, t) in run.machine.targets_mut(1).iter_mut().enumerate() {
        *t = if j % 2 == 0 { 1 } else { -1 };
    }
    run.step();
    run.machine.learn_sample(&mut run.draws);
}

#[test]
fn a_change_that_is_read_back_lands_where_it_should() {
    let rule = "rule r { end of sample; rounding nearest; bounds -127 127; dw = 20*t }";
    let run = |verify| {
        let mut net = network(
            Synapses::Crossbar(Box::new(Crossbar {
                resolution: Resolution { faults: false, ..Resolution::default() },
                verify,
                weights: vec![0; ROWS * COLUMNS],
                ..bar("ecram")
            })),
            None,
        );
        let Synapses::Crossbar(bar) = &net.projections[0].synapses else { unreachable!() };
        let bar = bar.clone();
        let spec = RuleSpec::parse(rule).unwrap().in_pulses(bar.pulses_per_weight());
        teach(&mut net, &spec);
        let blob = blob(&net);
        let mut arena = Vec::new();
        let mut run = Run::new(blob.image().unwrap(), 0..1, &mut arena);
        learn_signs(&mut run);
        let weights = bar.weights_of(run.machine.array(0).unwrap().matrix).unwrap();
        let aim = |k: usize| if (k % COLUMNS).is_multiple_of(2) { 20.0 } else { -20.0 };
        let error = weights.iter().enumerate().map(|(k, w)| (w - aim(k)).abs()).fold(0.0, f64::max);
        (error, run.machine.total(Count::VerifyReads))
    };
    let (blind, none) = run(None);
    let (seen, reads) = run(Some(0.5));
    assert!(seen <= 0.51 && blind > 2.0 * seen, "{seen} {blind}");
    assert!(none == 0 && reads > 2 * (ROWS * COLUMNS) as u64);
}

#[test]
fn a_columns_read_noise_has_the_variance_of_the_devices_that_are_driven() {
    let quiet = Crossbar { resolution: Resolution::bare(24, 5), converter: None, ..bar("pcm") };
    let resolution = Resolution { noise: true, ..Resolution::bare(24, 5) };
    for refresh in [0, 7] {
        let mut noisy = Crossbar { resolution, refresh, ..quiet.clone() };
        // Programming is exact, so that both hold the same weights.
        noisy.device.programming = None;
        let (quiet, noisy) = [quiet.clone(), noisy]
            .map(|mut bar| {
                // A weight is a thousand units of the membrane.
                bar.weight_max = 32_000;
                bar.weights.iter_mut().for_each(|w| *w *= 300);
                blob(&network(Synapses::Crossbar(Box::new(bar)), None))
            })
            .into();
        let (mut a, mut b) = (Vec::new(), Vec::new());
        let mut exact = Run::new(quiet.image().unwrap(), 0..1, &mut a);
        let mut found = Run::new(noisy.image().unwrap(), 0..1, &mut b);
        let drive = events(0);
        let (mut square, mut sum) = ([0.0; COLUMNS], 0.0);
        const READS: usize = 3000;
        for _ in 0..READS {
            for run in [&mut exact, &mut found] {
                run.machine.rest();
                run.machine.inject(0, &drive).unwrap();
                run.step();
            }
            let pairs = exact.machine.membranes(1).iter().zip(found.machine.membranes(1));
            for (square, (a, b)) in square.iter_mut().zip(pairs) {
                let error = f64::from(b - a);
                *square += error * error / READS as f64;
                sum += error;
            }
        }
        let view = found.machine.array(0).unwrap();
        // Units of the read matrix as weights: 2^15 of them are the range, which is `weight_max` of one device.
        let weight = 32_000.0 / 131_072.0;
        for (j, square) in square.iter().enumerate() {
            let variance: f64 = drive
                .iter()
                .map(|[row, payload]| {
                    let deviation = view.deviations[*row as usize * COLUMNS + j];
                    (f64::from(*payload) * f64::from(deviation) * weight).powi(2)
                })
                .sum();
            assert!(variance > 1e6, "{variance}");
            assert!((square / variance - 1.0).abs() < 0.12, "column {j}: {square} against {variance}");
        }
        let deviation = (square.iter().sum::<f64>() * READS as f64).sqrt();
        assert!(sum.abs() < 4.0 * deviation, "noise has no mean: {sum} {deviation}");
        assert!(found.machine.total(Count::CrossbarCharge) > 0);
    }
}

#[test]
fn a_comparator_says_which_columns_reach_it() {
    let sums = |converter| {
        let net = network(Synapses::Crossbar(Box::new(Crossbar { converter, ..bar("ideal") })), None);
        let blob = blob(&net);
        let mut arena = Vec::new();
        let mut run = Run::new(blob.image().unwrap(), 0..1, &mut arena);
        run.run(0..1);
        assert_eq!(
            run.machine.total(Count::Conversions),
            if converter.is_some() { COLUMNS as u64 } else { 12 }
        );
        run.machine.membranes(1).to_vec()
    };
    let exact = sums(None);
    let mut sorted = exact.clone();
    sorted.sort_unstable();
    let threshold = sorted[COLUMNS * 3 / 4];
    assert!(threshold > 0, "{sorted:?}");
    // Sums are whole weights, half a weight from the threshold.
    let found = sums(Some(Converter { bits: 1, full_scale: f64::from(threshold) - 0.5 }));
    let high = found.iter().copied().max().unwrap();
    let expected: Vec<i32> = exact.iter().map(|s| if *s >= threshold { high } else { 0 }).collect();
    assert_eq!(found, expected);
    assert!((high - threshold).abs() <= 1 && found.contains(&0));
}

#[test]
fn states_of_16_bits_follow_those_of_24_where_their_steps_are_dithered() {
    let rule = "rule r { end of sample; rounding nearest; bounds -127 127; dw = 3*t }";
    // The same pulses on states of other widths: what is left is the rounding of steps.
    let learnt = |resolution: Resolution| {
        let mut device = Preset::shipped("ecram-mo").expect("it ships");
        device.reset.deviation = 0.0;
        let bar = Crossbar {
            resolution,
            weights: vec![0; ROWS * COLUMNS],
            ..Crossbar::new(device, 100, weights())
        };
        let mut net = network(Synapses::Crossbar(Box::new(bar.clone())), None);
        teach(&mut net, &RuleSpec::parse(rule).unwrap());
        let blob = blob(&net);
        let mut arena = Vec::new();
        let mut run = Run::new(blob.image().unwrap(), 0..1, &mut arena);
        for _ in 0..200 {
            learn_signs(&mut run);
        }
        let states = run.machine.array(0).unwrap().states;
        assert!(states.iter().all(|s| *s < 1 << resolution.state_bits));
        bar.weights_of(run.machine.array(0).unwrap().matrix).unwrap()
    };
    let bare = |bits, dither_bits| Resolution { dither_bits, ..Resolution::bare(bits, 5) };
    let exact = learnt(bare(24, 0));
    let mean = |found: &[f64]| {
        let errors = found.iter().zip(&exact).map(|(a, b)| (a - b) * b.signum());
        errors.sum::<f64>() / exact.len() as f64
    };
    let (plain, dithered) = (mean(&learnt(bare(16, 0))), mean(&learnt(bare(16, 8))));
    assert!(exact.iter().all(|w| w.abs() > 10.0), "{exact:?}");
    assert!(dithered.abs() < 0.02 && plain.abs() > 5.0 * dithered.abs(), "{plain} {dithered}");
}
