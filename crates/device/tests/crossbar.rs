//! The core's crossbar, filled with compiled devices, against float64 physics.

use proptest::prelude::*;
use synop_core::crossbar::{Crossbar, Memory, Pair, Shape, Tally, Wires};
use synop_core::draw::Threefry;
use synop_core::store::Portable;
use synop_device::{Compiled, Preset, Resolution, compile, wires};

/// Memory that a test owns.
struct Store {
    states: Vec<u32>,
    pulses: Vec<u32>,
    stamps: Vec<u32>,
    factors: Vec<u16>,
    matrix: Vec<i16>,
    deviations: Vec<u16>,
    charge: Vec<u64>,
    scratch: Vec<u64>,
    shape: Shape,
}

impl Store {
    fn new(rows: usize, columns: usize, pair: Pair, wires: Wires, drift: bool) -> Self {
        let devices = 2 * rows * columns;
        Self {
            states: vec![0; devices],
            pulses: vec![0; devices],
            stamps: vec![0; if drift { devices } else { 0 }],
            factors: vec![0; if wires.resist() { devices } else { 0 }],
            matrix: vec![0; devices / 2],
            deviations: Vec::new(),
            charge: vec![0; rows],
            scratch: vec![0; 2 * columns],
            shape: Shape { rows, columns, pair, first_device: 40, row_devices: 2 * columns as u32, wires },
        }
    }

    fn crossbar<'a>(&'a mut self, compiled: &'a Compiled) -> Crossbar<'a> {
        let noisy = compiled.class().unwrap().header().read_noise == 1;
        self.deviations = vec![0; if noisy { self.matrix.len() } else { 0 }];
        let memory = Memory {
            states: &mut self.states,
            pulses: &mut self.pulses,
            stamps: &mut self.stamps,
            factors: &mut self.factors,
            matrix: &mut self.matrix,
            deviations: &mut self.deviations,
            charge: &mut self.charge,
            scratch: &mut self.scratch,
        };
        Crossbar::new(compiled.class().unwrap(), self.shape, memory).unwrap()
    }
}

fn device(name: &str, resolution: &Resolution) -> (Preset, Compiled) {
    let preset = Preset::shipped(name).unwrap();
    let compiled = compile(&preset, resolution).unwrap();
    (preset, compiled)
}

fn quiet() -> Resolution {
    Resolution { drift: false, ..Resolution::default() }
}

#[test]
fn energy_of_reads_is_the_brute_force_sum_of_conductances() {
    let (preset, compiled) = device("reram-es", &quiet());
    let pedestal =
        (preset.cell.g_min_us / (preset.cell.g_max_us - preset.cell.g_min_us) * 16_777_216.0).round();
    let wires = Wires { pedestal: pedestal as i32, ..Wires::default() };
    let mut store = Store::new(7, 5, Pair::Differential, wires, false);
    let mut bar = store.crossbar(&compiled);
    let mut draws = Threefry::<13>::new(3);
    bar.reset(0, &mut draws);
    for k in 0..500usize {
        bar.pulse(k % 7, k % 5, if k % 3 == 0 { -1 } else { 2 }, 0, &mut draws);
    }
    let class = compiled.class().unwrap();
    let (mut charge, mut sums) = (0u64, vec![0; 5]);
    for (row, payload) in [(0usize, 1), (3, 2), (6, -3), (3, 1)] {
        bar.read(row, payload, &mut sums);
        for column in 0..5 {
            for side in 0..2 {
                let (state, event) = bar.device(row, column, side).unwrap();
                let number = 40 + 2 * (row * 5 + column) as u32 + side as u32;
                let seen = u64::from(class.visible(state, number, event, &mut draws));
                let pedestal = pedestal as u64;
                charge += (seen + pedestal) * payload.unsigned_abs() as u64;
            }
        }
    }
    assert_eq!(bar.tally().charge, charge);
    assert_eq!((bar.tally().rows, bar.tally().columns), (4, 20));
}

#[test]
fn a_pulses_energy_is_counted_once() {
    let (_, compiled) = device("reram-es", &Resolution::bare(24, 5));
    let mut store = Store::new(2, 2, Pair::Reference, Wires::default(), false);
    let mut bar = store.crossbar(&compiled);
    let mut draws = Threefry::<13>::new(1);
    bar.reset(0, &mut draws);
    let mut expected = Tally::default();
    for k in 0..60 {
        let before = u64::from(bar.device(1, 0, 0).unwrap().0);
        bar.pulse(1, 0, if k < 40 { 1 } else { -1 }, 0, &mut draws);
        let after = u64::from(bar.device(1, 0, 0).unwrap().0);
        if k < 40 {
            expected.pulses_up += 1;
            expected.charge_up += before + after;
        } else {
            expected.pulses_down += 1;
            expected.charge_down += before + after;
        }
    }
    assert_eq!(*bar.tally(), expected);
}

#[test]
fn the_distorted_matrix_is_the_factorised_form_and_near_the_nodal_solution() {
    let (preset, compiled) = device("pcm", &Resolution::bare(24, 5));
    // 1 to 25 µS over 64 × 64 at 1 Ω: the reference's case with 4.5 % loss.
    let (low, high, n) = (1e-6, 25e-6, 64usize);
    let unit = (high - low) / 65536.0;
    let ratio = (1.0 * unit * 2f64.powi(48)).round() as u64;
    let wires_int =
        Wires { row_q48: ratio, column_q48: ratio, pedestal: (low / unit * 256.0).round() as i32 };
    let mut store = Store::new(n, n, Pair::OneSided, wires_int, false);
    let pattern = |i: usize, j: usize| ((31 * i + 17 * j + (i * j) % 7) % 64) as f64 / 63.0;
    let mut g = Vec::new();
    for i in 0..n {
        for j in 0..n {
            store.states[2 * (i * n + j)] = (pattern(i, j) * 16_777_215.0).round() as u32;
            g.push(low + (high - low) * pattern(i, j));
        }
    }
    let mut draws = Threefry::<13>::new(1);
    let mut bar = store.crossbar(&compiled);
    bar.refresh(0, &mut draws);
    let physics = wires::Wires { row_ohm: 1.0, column_ohm: 1.0 };
    let expected = wires::factorised(&g, n, &physics);
    // The minus devices are all at the pedestal.
    let minus = wires::factorised(&vec![low; n * n], n, &physics);
    let scale = (high - low) / 32768.0;
    for (k, w) in bar.matrix().iter().enumerate() {
        let found = f64::from(*w) * scale;
        assert!(
            (found - (expected[k] - minus[k])).abs() < 2.0 * scale,
            "{k}: {found} {}",
            expected[k] - minus[k]
        );
    }
    // Exact currents of all rows driven, through the integer sums.
    let volt = vec![0.2; n];
    let mut sums = vec![0; n];
    for row in 0..n {
        bar.read(row, 1, &mut sums);
    }
    let exact = wires::solve(&g, n, &volt, &physics).currents_a;
    let base = wires::solve(&vec![low; n * n], n, &volt, &physics).currents_a;
    for j in 0..n {
        let found = f64::from(sums[j]) * scale * 0.2;
        let error = (found / (exact[j] - base[j]) - 1.0).abs();
        assert!(error < 5e-4, "column {j}: {error}");
    }
    assert_eq!(preset.name, "pcm");
}

#[test]
fn a_write_on_wires_is_seen_at_once_and_its_neighbours_drop_at_the_refresh() {
    let (_, compiled) = device("reram-es", &quiet());
    let wires = Wires { row_q48: 1000, column_q48: 1000, pedestal: 100 };
    let mut store = Store::new(4, 4, Pair::Differential, wires, false);
    let mut draws = Threefry::<13>::new(5);
    let mut bar = store.crossbar(&compiled);
    bar.reset(0, &mut draws);
    let before = bar.matrix().to_vec();
    bar.pulse(2, 1, 40, 0, &mut draws);
    let written = bar.matrix().to_vec();
    let others =
        |m: &[i16]| m.iter().enumerate().filter(|(k, _)| *k != 9).map(|(_, w)| *w).collect::<Vec<_>>();
    assert_ne!(written[9], before[9]);
    assert_eq!((others(&written), bar.staleness()), (others(&before), 80));
    bar.refresh(1, &mut draws);
    assert_eq!(bar.staleness(), 0);
    assert!(
        (i32::from(bar.matrix()[9]) - i32::from(written[9])).abs() <= 20,
        "the drop is nearly the old one"
    );
}

#[test]
fn drift_lowers_what_is_read_and_a_full_pair_is_reset() {
    let (_, compiled) = device("pcm", &Resolution::default());
    let mut store = Store::new(3, 3, Pair::OneSided, Wires::default(), true);
    let mut draws = Threefry::<13>::new(9);
    let mut bar = store.crossbar(&compiled);
    bar.reset(0, &mut draws);
    for _ in 0..6 {
        bar.pulse(1, 1, 2, 0, &mut draws);
    }
    bar.refresh(0, &mut draws);
    let fresh = i32::from(bar.matrix()[4]);
    bar.refresh(1_000_000, &mut draws);
    let late = i32::from(bar.matrix()[4]);
    assert!(fresh > 1000 && late < fresh * 3 / 4 && late > fresh / 4, "{fresh} {late}");
    for k in 0..400 {
        bar.pulse(0, 0, if k % 2 == 0 { 1 } else { -1 }, 0, &mut draws);
    }
    let tally = bar.tally();
    // Both devices are read and reset; each pulse that rewrites the difference is read back.
    let rewrites = tally.pulses_up - 12 - 400;
    assert!(tally.resets > 0 && rewrites > 0, "{tally:?}");
    assert_eq!(tally.verify_reads, tally.resets + rewrites);
}

#[test]
fn idle_lines_are_driven_so_that_nothing_sneaks_in_a_passive_array() {
    use synop_device::passive::{Biasing, read};
    let (_, compiled) = device("ideal", &Resolution::bare(24, 5));
    let mut store = Store::new(4, 4, Pair::Reference, Wires::default(), false);
    let mut draws = Threefry::<13>::new(1);
    let mut bar = store.crossbar(&compiled);
    bar.reset(0, &mut draws);
    // One cell of 1 µS among 100 µS, on states that reach to 128 µS.
    let (volt, range) = (0.2, 128e-6);
    let siemens = |row, column| if (row, column) == (1, 2) { 1e-6 } else { 100e-6 };
    let cells: Vec<(usize, usize)> = (0..16).map(|k| (k / 4, k % 4)).collect();
    for (row, column) in &cells {
        let state = (siemens(*row, *column) / range * f64::from(1 << 24)).round() as u32;
        bar.place(*row, *column, [state, 0], &mut draws);
    }
    bar.refresh(0, &mut draws);
    let g: Vec<f64> = cells.iter().map(|(row, column)| siemens(*row, *column)).collect();
    let mut sums = [0; 4];
    bar.read(1, 1, &mut sums);
    let passive = |biasing| read(&g, 4, (1, 2), volt, biasing).unwrap();
    let grounded = passive(Biasing::Grounded);
    let current = volt * range / 32_768.0 * f64::from(sums[2]);
    assert!((current / grounded.sensed_a - 1.0).abs() < 1e-2, "{current} {grounded:?}");
    let power = volt * volt * range / f64::from(1 << 24) * bar.tally().charge as f64;
    assert!((power / grounded.power_w - 1.0).abs() < 1e-6, "{power} {grounded:?}");
    for biasing in [Biasing::Floating, Biasing::Half, Biasing::Third] {
        assert!(passive(biasing).sensed_a > 50.0 * current, "undriven or half driven lines sneak");
    }
}

#[test]
fn the_deviation_of_a_read_is_that_of_the_formula_at_any_time() {
    let resolution = Resolution { noise: true, drift: true, stamp_s: 0.25, ..Resolution::bare(24, 7) };
    let (preset, compiled) = device("pcm", &resolution);
    let class = compiled.class().unwrap();
    let (noise, drift) = (&preset.read_noise.as_ref().unwrap().model, &preset.drift.as_ref().unwrap().model);
    let range = synop_device::energy::siemens_per_state(&preset, &compiled) * f64::from(1 << 24);
    for share in [0.05, 0.1, 0.3, 0.7, 1.0] {
        let state = compiled.state(2.0 * share, class.top());
        for (elapsed_s, nu) in [(0.0, 0.0), (1e3, 0.0), (1e3, 0.06), (86400.0, 0.05), (1e7, 0.1)] {
            let drifted = 25e-6 * share * drift.factor(elapsed_s, nu);
            let expected = noise.deviation(share, elapsed_s + 20.0) * drifted / range * 131_072.0;
            let nu = (nu * f64::from(1 << 24)) as u32;
            let found = f64::from(class.read_deviation(state, (elapsed_s * 4.0) as u64, nu));
            let error = (found - expected).abs();
            assert!(error < 1.0 + 0.006 * expected, "{share} {elapsed_s} s: {found} against {expected}");
        }
    }
}

#[test]
fn one_sided_pairs_take_up_pulses_only_and_survive_a_thousand_refreshes() {
    let (_, compiled) =
        device("pcm", &Resolution { drift: false, endurance: false, ..Resolution::bare(24, 5) });
    let mut store = Store::new(1, 2, Pair::OneSided, Wires::default(), false);
    let mut draws = Threefry::<13>::new(3);
    let class = compiled.class().unwrap();
    let (low, span) = (class.header().low as u32, (class.header().high - class.header().low) as u32);
    let mut bar = store.crossbar(&compiled);
    bar.reset(0, &mut draws);
    let mut resets = 0;
    for k in 0..50_000 {
        let up = k % 3 != 2;
        let before = bar.weight(0, 0);
        bar.pulse(0, 0, if up { 1 } else { -1 }, 0, &mut draws);
        let after = bar.weight(0, 0);
        let [plus, minus] = [0, 1].map(|side| bar.device(0, 0, side).unwrap().0);
        let (large, small) = (plus.max(minus), plus.min(minus));
        assert!(large <= low + span / 4 * 3 || small <= low + span / 4, "a full pair is refreshed at once");
        match bar.tally().resets == resets {
            true => assert!(if up { after >= before } else { after <= before }, "{k}: {before} {after}"),
            // Both devices were emptied and the difference was written on one, not beyond it by a whole step.
            false => {
                resets = bar.tally().resets;
                let step = class.pulse(0, synop_core::device::Direction::Up, &class.nominal(), 0) >> 9;
                assert!(
                    (after - before).unsigned_abs() <= 2 * step,
                    "{k}: {before} {after}, a step is {step}"
                );
                assert!(small < low + span / 16, "{small}");
            }
        }
    }
    let tally = *bar.tally();
    assert!(tally.resets >= 2000 && tally.resets.is_multiple_of(2), "{tally:?}");
    assert_eq!(tally.pulses_down, 0, "devices of one-sided pairs are only raised");
    assert_eq!(bar.device(0, 1, 0).unwrap().1, 0, "neighbours are left alone");
}

proptest! {
    /// The order in which different devices are written, and rows read, changes no bit.
    #[test]
    fn any_order_of_delivery_gives_equal_bits(seed in any::<u64>(), swaps in prop::collection::vec((0usize..60, 0usize..60), 0..40)) {
        let (_, compiled) = device("reram-array-om", &quiet());
        let run = |order: &[usize]| {
            let mut store = Store::new(4, 3, Pair::Differential, Wires::default(), false);
            let mut draws = Threefry::<13>::new(seed);
            let mut sums = vec![0; 3];
            let (matrix, tally) = {
                let mut bar = store.crossbar(&compiled);
                bar.reset(0, &mut draws);
                for &k in order {
                    // Pulses of one weight are all alike, so that any permutation keeps each device's own sequence.
                    let weight = k % 12;
                    bar.pulse(weight / 3, weight % 3, if weight % 2 == 0 { 1 } else { -1 }, 0, &mut draws);
                }
                for &k in order.iter().take(12) {
                    bar.read(k % 4, 1, &mut [0; 3]);
                }
                for row in 0..4 {
                    bar.read(row, 1, &mut sums);
                }
                (bar.matrix().to_vec(), (bar.tally().pulses_up, bar.tally().charge_up, bar.tally().charge_down))
            };
            (matrix, tally, sums, store.states)
        };
        let mut order: Vec<usize> = (0..60).collect();
        let first = run(&order);
        for (a, b) in swaps {
            order.swap(a, b);
        }
        let second = run(&order);
        prop_assert_eq!(first, second);
    }

    /// Rows of pulses equal single pulses, with and without wires.
    #[test]
    fn a_row_of_pulses_equals_its_single_pulses(
        seed in any::<u64>(),
        rows in prop::collection::vec(prop::collection::vec(-3i32..4, 21), 1..5),
        device_name in prop::sample::select(vec!["reram-es", "reram-array-om", "ecram", "power-step", "pcm", "neurosim-real"]),
        wired in any::<bool>(),
    ) {
        let (preset, compiled) = device(device_name, &quiet());
        let pair = match preset.pair {
            synop_device::preset::Pair::Differential => Pair::Differential,
            synop_device::preset::Pair::OneSided => Pair::OneSided,
            synop_device::preset::Pair::Reference => Pair::Reference,
        };
        let wires = Wires { row_q48: if wired { 500 } else { 0 }, column_q48: 0, pedestal: 1 << 18 };
        let run = |whole: bool| {
            let mut store = Store::new(4, 21, pair, wires, false);
            let mut draws = Threefry::<13>::new(seed);
            let (matrix, log) = {
                let mut bar = store.crossbar(&compiled);
                bar.reset(0, &mut draws);
                for (i, counts) in rows.iter().enumerate() {
                    if whole {
                        bar.pulse_row(i % 4, counts, 0, &Portable, &mut draws);
                        continue;
                    }
                    for (j, count) in counts.iter().enumerate().filter(|(_, c)| **c != 0) {
                        bar.pulse(i % 4, j, *count, 0, &mut draws);
                    }
                }
                (bar.matrix().to_vec(), *bar.log())
            };
            (matrix, log, store.states, store.pulses, store.charge)
        };
        prop_assert_eq!(run(false), run(true));
    }

    /// The fast converter is the converter.
    #[test]
    fn a_coder_equals_the_converter(value in any::<i32>(), full in 0u64..1 << 33, top in 0u32..1 << 25) {
        use synop_core::device::{Coder, convert};
        for full in [full, full >> 20] {
            let coder = Coder::new(full, top);
            for value in [i64::from(value), i64::from(value) >> 12, full as i64, -(full as i64) / 2, i64::MIN] {
                prop_assert_eq!(coder.code(value), convert(value, full, top));
            }
        }
    }

    /// Words of any kind are a class or an error.
    #[test]
    fn arbitrary_words_never_panic(words in prop::collection::vec(any::<i32>(), 0..200), at in 0usize..36, value in any::<i32>()) {
        let _ = synop_core::device::DeviceClass::parse(&words);
        let (_, compiled) = device("pcm", &Resolution::default());
        let mut changed = compiled.words().to_vec();
        if let Some(word) = changed.get_mut(at) {
            *word = value;
        }
        if let Ok((class, _)) = synop_core::device::DeviceClass::parse(&changed) {
            let mut draws = Threefry::<13>::new(1);
            for number in 0..20 {
                let instance = class.instance(number, &mut draws);
                let mut state = class.initial(number, &instance, &mut draws);
                for (event, direction) in [synop_core::device::Direction::Up, synop_core::device::Direction::Down].into_iter().cycle().take(20).enumerate() {
                    state = class.pulse(state, direction, &instance, 0x1234_5678 ^ event as u32);
                    prop_assert!(state <= class.top());
                    let seen = class.visible(state, number, event as u32, &mut draws);
                    let nu = class.drift_exponent(seen, number, event as u32, &mut draws);
                    let _ = class.drifted(seen, u64::MAX, nu);
                    let _ = class.worn(number, u32::MAX, &mut draws);
                }
            }
        }
    }
}
