//! A learning rule on the machine beside the same rule in float64, on the same events.
//!
//! The task: 8×8 handwritten digits as spikes (one Bernoulli trial per pixel and tick, probability grey / 32), 64
//! inputs onto ten integrating neurons, one per digit, weights from zero. Rules that read a target or an error bit
//! are given the target ±1; all others see a teacher that makes the neuron of the label spike every second tick,
//! and where they read a third factor, every third sample has a wrong teacher and r = −1, the others r = 1.
//! The accuracy is that of the learnt weights alone, without teacher, on the held-out 30 %.
//!
//! On a memristive device the same rule asks for pulses: its changes are multiplied by the nominal pulses per weight, and
//! each rounded pulse moves the two devices of a pair by their own response, with their spread, noise, faults and wear.

use std::io::Read;

use rand_core::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;
use synop_core::plasticity::{Cadence, Rounding, Variable, Weights};
use synop_core::{Count, Machine, Threefry, Unobserved};
use synop_device::Preset;
use synop_model::crossbar::{Crossbar, ENERGY_UNIT_J};
use synop_model::image::{Blob, write};
use synop_model::network::{Kind, Lif, Network, Population, Projection, Synapses};
use synop_model::placement::Placement;
use synop_model::rule::RuleSpec;
use synop_model::rule::oracle;

use crate::Failure;
use crate::simd::Native;

const PIXELS: usize = 64;
const CLASSES: usize = 10;
const TICKS: usize = 8;
/// Beyond the largest sum of 64 weights of 16 bits over a sample, so that only the teacher makes a neuron spike.
const THRESHOLD: i32 = 1 << 25;
const TEACHER: i32 = 1 << 26;
/// The largest weight that a device is asked to hold.
const DEVICE_TOP: f64 = 8000.0;
/// Points of the weight error over time.
const POINTS: usize = 40;
static DIGITS: &[u8] = include_bytes!("../../data/digits/digits.csv.gz");

/// One presentation.
#[derive(Debug, Clone)]
struct Sample {
    /// Pixels that spike, per tick.
    ticks: Vec<Vec<usize>>,
    label: usize,
    /// The neuron that the teacher names, and the third factor.
    taught: usize,
    third: i32,
}

/// How the integers differ from float64 at one time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ErrorPoint {
    /// Samples seen.
    pub samples: usize,
    /// Root mean square of (integer − float64), in parts of the largest weight.
    pub rms: f64,
    /// Mean of (integer − float64), in parts of the largest weight.
    pub bias: f64,
}

/// The rule in one width and rounding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Variant {
    /// Such as `int8 stochastic`, or `float64`.
    pub label: String,
    /// Bits of a weight; none for float64.
    pub bits: Option<u32>,
    /// Weight error over time; empty for float64.
    pub error: Vec<ErrorPoint>,
    /// Synapses whose exact change was not zero.
    pub updates: u64,
    /// Weights that changed.
    pub changes: u64,
    /// Changes that rounding made zero.
    pub rounded_to_zero: u64,
    /// Changes that a bound cut short.
    pub saturations: u64,
    /// Random numbers drawn.
    pub draws: u64,
    /// Largest relative error of a constant of the rule.
    pub constant_error: f64,
    /// What was learnt.
    pub task: Task,
    /// What the pulses were, on a memristive device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Pulsed>,
}

/// What writing by pulses took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pulsed {
    /// Name of the device.
    pub name: String,
    /// Nominal pulses that change a weight by one unit of the rule.
    pub pulses_per_weight: f64,
    /// Devices, two per weight.
    pub devices: u64,
    /// Up pulses.
    pub pulses_up: u64,
    /// Down pulses.
    pub pulses_down: u64,
    /// Resets of full pairs.
    pub resets: u64,
    /// Reads of single devices to check or copy them.
    pub verify_reads: u64,
    /// Energy of all pulses and resets through the devices, J.
    pub write_j: f64,
    /// Energy of all reads through the devices while learning, J.
    pub read_j: f64,
    /// The most pulses that one device has had.
    pub most_pulses: u32,
    /// Devices that are worn out at the end.
    pub worn_devices: u64,
    /// Devices that never worked.
    pub stuck_devices: u64,
}

/// The task of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Task {
    /// Held-out samples.
    pub samples: usize,
    /// Training samples.
    pub train_samples: usize,
    /// Accuracy on the held-out samples.
    pub accuracy: f64,
}

/// The study of a rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Study {
    /// Training samples.
    pub train_samples: usize,
    /// Held-out samples.
    pub samples: usize,
    /// float64 first, then every width and rounding.
    pub runs: Vec<Variant>,
}

/// Runs `spec` in float64, on the machine in every width of `bits` and every rounding, and in pulses on every device.
///
/// The text's bounds define its weight unit; at another width the unit is scaled so that the larger bound is the
/// largest integer of the width. With `verify`, changes on a device are read back until they are within so many of the
/// device's weight units.
///
/// # Errors
/// The rule does not fit a width, or the embedded digits cannot be read.
pub fn study(
    spec: &RuleSpec,
    bits: &[u32],
    roundings: &[Rounding],
    (devices, verify): (&[Preset], Option<f64>),
    epochs: usize,
    seed: u64,
) -> Result<Study, Failure> {
    let images = digits()?;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..images.len()).collect();
    shuffle(&mut order, &mut random);
    let (train, test) = order.split_at(images.len() * 7 / 10);
    let wrong_teachers = spec.uses(Variable::R);
    let mut training = Vec::new();
    for _ in 0..epochs {
        let mut order = train.to_vec();
        shuffle(&mut order, &mut random);
        for (k, &i) in order.iter().enumerate() {
            let mut sample = encode(&images[i], &mut random);
            if wrong_teachers && k % 3 == 2 {
                sample.taught = (sample.label + 1 + random.next_u64() as usize % (CLASSES - 1)) % CLASSES;
                sample.third = -1;
            }
            training.push(sample);
        }
    }
    let testing: Vec<Sample> = test.iter().map(|&i| encode(&images[i], &mut random)).collect();
    let largest = f64::from(spec.bounds.0.abs().max(spec.bounds.1.abs()).max(1));
    let (float, path) = in_float(spec, &training, &testing);
    let mut runs = vec![float];
    for &bits in bits {
        let top = (1i32 << (bits - 1)) - 1;
        let scale = f64::from(top) / largest;
        let bound = |value: i32| (f64::from(value) * scale).round() as i32;
        for &rounding in roundings {
            let mut scaled = spec.rescaled(scale, (bound(spec.bounds.0), bound(spec.bounds.1)));
            scaled.rounding = rounding;
            runs.push(on_machine(&scaled, bits, (scale, largest), &training, &testing, &path, seed)?);
        }
    }
    for device in devices {
        let top = largest.min(DEVICE_TOP);
        let scale = top / largest;
        let bound = |value: i32| (f64::from(value) * scale).round() as i32;
        for &rounding in roundings {
            let mut scaled = spec.rescaled(scale, (bound(spec.bounds.0), bound(spec.bounds.1)));
            scaled.rounding = rounding;
            let bar = Crossbar::new(device.clone(), top as i32, vec![0; PIXELS * CLASSES]);
            let bar = Crossbar { verify, ..bar };
            runs.push(on_device(&scaled, bar, (scale, largest), &training, &testing, &path, seed)?);
        }
    }
    Ok(Study { train_samples: training.len(), samples: testing.len(), runs })
}

fn shuffle(order: &mut [usize], random: &mut Xoshiro256PlusPlus) {
    for i in (1..order.len()).rev() {
        order.swap(i, (random.next_u64() % (i as u64 + 1)) as usize);
    }
}

/// The embedded digits: grey values 0 to 16, then the label.
fn digits() -> Result<Vec<Vec<u32>>, Failure> {
    let mut text = String::new();
    let broken = |what: &str| Failure::work(format_args!("the embedded digits cannot be read: {what}"));
    flate2::read::GzDecoder::new(DIGITS).read_to_string(&mut text).map_err(|e| broken(&e.to_string()))?;
    let row = |line: &str| line.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>();
    let rows: Result<Vec<_>, _> = text.lines().map(row).collect();
    let rows = rows.map_err(|e| broken(&e.to_string()))?;
    let sound = |row: &Vec<u32>| row.len() == PIXELS + 1 && (row[PIXELS] as usize) < CLASSES;
    if rows.iter().all(sound) { Ok(rows) } else { Err(broken("a row is not 64 grey values and a digit")) }
}

fn encode(row: &[u32], random: &mut Xoshiro256PlusPlus) -> Sample {
    let tick = |_| (0..PIXELS).filter(|&i| random.next_u64() % 32 < u64::from(row[i])).collect();
    let ticks = (0..TICKS).map(tick).collect();
    let label = row[PIXELS] as usize;
    Sample { ticks, label, taught: label, third: 1 }
}

/// Whether the task gives targets (else a teacher that makes neurons spike).
fn has_targets(spec: &RuleSpec) -> bool {
    spec.uses(Variable::T) || spec.uses(Variable::E)
}

/// Whether the teacher makes its neuron spike in this tick of a training sample.
fn teaches(spec: &RuleSpec, tick: usize) -> bool {
    !has_targets(spec) && tick % 2 == 1
}

fn is_point(sample: usize, samples: usize) -> bool {
    (sample + 1).is_multiple_of(samples.div_ceil(POINTS).max(1)) || sample + 1 == samples
}

/// The place of the largest value; the first of equals.
fn best<T: PartialOrd + Copy>(values: &[T]) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best
}

/// The oracle: the run, and the weights at every point.
fn in_float(spec: &RuleSpec, training: &[Sample], testing: &[Sample]) -> (Variant, Vec<Vec<f64>>) {
    let mut synapses = oracle::Projection::new(spec, CLASSES, vec![0.0; PIXELS * CLASSES]);
    let mut path = Vec::new();
    for (k, sample) in training.iter().enumerate() {
        synapses.reset_traces();
        let mut posts =
            vec![oracle::Post { threshold: f64::from(THRESHOLD), ..oracle::Post::default() }; CLASSES];
        for (j, post) in posts.iter_mut().enumerate() {
            post.target = if j == sample.taught { 1.0 } else { -1.0 };
        }
        for (tick, spikes) in sample.ticks.iter().enumerate() {
            let mut events = vec![0.0; PIXELS];
            for &i in spikes {
                events[i] = 1.0;
            }
            for (j, post) in posts.iter_mut().enumerate() {
                let input: f64 = spikes.iter().map(|&i| synapses.weights[i * CLASSES + j]).sum();
                let fires = teaches(spec, tick) && j == sample.taught;
                post.groups = [input, if fires { f64::from(TEACHER) } else { 0.0 }, 0.0, 0.0];
                post.state = if fires { 0.0 } else { post.state + input };
                post.spikes = f64::from(u8::from(fires));
            }
            synapses.tick(&events, &posts, f64::from(sample.third));
        }
        posts.iter_mut().for_each(|post| post.spikes = 0.0);
        synapses.end_of_sample(&[0.0; PIXELS], &posts, f64::from(sample.third));
        if is_point(k, training.len()) {
            path.push(synapses.weights.clone());
        }
    }
    let variant = Variant {
        label: "float64".into(),
        bits: None,
        error: Vec::new(),
        updates: 0,
        changes: 0,
        rounded_to_zero: 0,
        saturations: 0,
        draws: 0,
        constant_error: 0.0,
        task: Task {
            samples: testing.len(),
            train_samples: training.len(),
            accuracy: accuracy_of(&synapses.weights, testing),
        },
        device: None,
    };
    (variant, path)
}

/// The accuracy of weights, by the largest sum.
fn accuracy_of(weights: &[f64], testing: &[Sample]) -> f64 {
    let mut right = 0;
    for sample in testing {
        let mut sums = [0.0; CLASSES];
        for &i in sample.ticks.iter().flatten() {
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum += weights[i * CLASSES + j];
            }
        }
        right += usize::from(best(&sums) == sample.label);
    }
    right as f64 / testing.len().max(1) as f64
}

/// Digital synapses of a width: the next container.
fn digital(bits: u32, weights: Vec<i16>) -> Synapses {
    Synapses::Dense { bits: [2, 4, 8, 16].into_iter().find(|&c| c >= bits).unwrap_or(16), weights }
}

/// The network of the task, with a rule or frozen.
fn network(spec: &RuleSpec, synapses: Synapses, learns: bool, seed: u64) -> Result<Blob, Failure> {
    let unfit = |e: &dyn std::fmt::Display| Failure::bad_input(format_args!("the rule does not run: {e}"));
    let lif = Lif { threshold: THRESHOLD.into(), targets: true, ..Lif::default() };
    let mut network = Network { seed, ..Network::default() };
    let pixels = network.add_population(Population::input("pixels", PIXELS, 1));
    let teacher = network.add_population(Population::input("teacher", CLASSES, 1));
    let kind = Kind::Lif(Box::new(lif));
    let digits =
        Population { name: "digits".into(), size: CLASSES, kind, stage: 1, groups: 2, payload_max: 1 };
    let digits = network.add_population(digits);
    network.projections.push(Projection {
        name: "learnt".into(),
        source: pixels,
        target: digits,
        group: 0,
        delay: 0,
        synapses,
        rule: learns.then_some(0),
    });
    network.projections.push(Projection {
        name: "taught".into(),
        source: teacher,
        target: digits,
        group: 1,
        delay: 0,
        synapses: Synapses::Identity { weight: TEACHER },
        rule: None,
    });
    if learns {
        network.rules.push(spec.encode().map_err(|e| unfit(&e))?);
    }
    write(&network, &Placement::one_core(&network)).map_err(|e| unfit(&e))
}

/// The learnt weights, pre-major.
fn weights(machine: &Machine<'_>) -> Vec<i16> {
    let mut found = Vec::new();
    let plastic =
        (0..machine.image().ports).find(|&i| machine.image().port(i).is_some_and(|p| p.rule != u32::MAX));
    let Some(matrix) = plastic.and_then(|port| machine.matrix(port)) else { return found };
    for row in matrix.bytes.chunks_exact(matrix.stride) {
        let mut bytes = row.to_vec();
        let mut halves: Vec<i16> = row.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
        let stored = match matrix.bits {
            16 => Weights::Sixteen(&mut halves),
            8 => Weights::Eight(&mut bytes),
            bits => Weights::Packed { bytes: &mut bytes, bits: bits as u8, count: CLASSES },
        };
        found.extend((0..CLASSES).map(|j| stored.get(j) as i16));
    }
    found
}

/// Pieces of the pixels, the teacher and the digits: the order of the populations, on one core.
const PIECES: [u32; 3] = [0, 1, 2];

fn present(
    machine: &mut Machine<'_>,
    sample: &Sample,
    draws: &mut Threefry,
    taught: impl Fn(usize) -> bool,
) -> Result<(), Failure> {
    let broken =
        |e: synop_core::InputError| Failure::work(format_args!("the machine refuses its input: {e}"));
    let kernels = Native::detect();
    for (tick, spikes) in sample.ticks.iter().enumerate() {
        let events: Vec<[i32; 2]> = spikes.iter().map(|&i| [i as i32, 1]).collect();
        machine.inject(PIECES[0], &events).map_err(broken)?;
        if taught(tick) {
            machine.inject(PIECES[1], &[[sample.taught as i32, 1]]).map_err(broken)?;
        }
        machine.step(&kernels, draws, &mut Unobserved);
    }
    Ok(())
}

/// The same on the machine; units as in [`compare`].
fn on_machine(
    spec: &RuleSpec,
    bits: u32,
    (scale, largest): (f64, f64),
    training: &[Sample],
    testing: &[Sample],
    path: &[Vec<f64>],
    seed: u64,
) -> Result<Variant, Failure> {
    let broken = |e: &dyn std::fmt::Display| Failure::work(format_args!("the image does not load: {e}"));
    let blob = network(spec, digital(bits, vec![0; PIXELS * CLASSES]), true, seed)?;
    let image = blob.image().map_err(|e| broken(&e))?;
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    let mut machine = Machine::new(image, &mut arena).map_err(|e| broken(&e))?;
    let mut error = Vec::new();
    let integers = |machine: &Machine<'_>| weights(machine).iter().map(|w| f64::from(*w)).collect::<Vec<_>>();
    learn(&mut machine, spec, training, seed, &mut |samples, machine| {
        let exact = path.get(error.len()).map_or(&[][..], Vec::as_slice);
        error.push(compare(samples, &integers(machine), exact, scale, largest));
    })?;
    let learnt = weights(&machine);
    let accuracy = accuracy(spec, bits, learnt, testing, seed)?;
    let label = format!("int{bits} {}", rounding_name(spec));
    Ok(Variant { bits: Some(bits), ..variant(label, &machine, spec, error, (training, testing), accuracy)? })
}

fn rounding_name(spec: &RuleSpec) -> &'static str {
    match spec.rounding {
        Rounding::Nearest => "nearest",
        Rounding::Stochastic => "stochastic",
        Rounding::Gate(_) => "gate",
    }
}

/// Presents all training samples and tells `point` of the machine now and then.
fn learn(
    machine: &mut Machine<'_>,
    spec: &RuleSpec,
    training: &[Sample],
    seed: u64,
    point: &mut dyn FnMut(usize, &Machine<'_>),
) -> Result<(), Failure> {
    let mut draws = Threefry::new(seed);
    for (k, sample) in training.iter().enumerate() {
        machine.rest();
        machine.set_third_factor(0, sample.third);
        for (j, target) in machine.targets_mut(PIECES[2]).iter_mut().enumerate() {
            *target = if j == sample.taught { 1 } else { -1 };
        }
        present(machine, sample, &mut draws, |tick| teaches(spec, tick))?;
        if spec.cadence == Cadence::Sample {
            machine.learn_sample_by(&Native::detect(), &mut draws);
        }
        if is_point(k, training.len()) {
            point(k + 1, machine);
        }
    }
    Ok(())
}

/// The same in pulses on a device; units as in [`compare`].
fn on_device(
    spec: &RuleSpec,
    bar: Crossbar,
    (scale, largest): (f64, f64),
    training: &[Sample],
    testing: &[Sample],
    path: &[Vec<f64>],
    seed: u64,
) -> Result<Variant, Failure> {
    let broken = |e: &dyn std::fmt::Display| Failure::work(format_args!("the image does not load: {e}"));
    let unit = bar.weights_of(&[1]).map_err(Failure::bad_input)?.first().copied().unwrap_or(1.0);
    let name = bar.device.name.clone();
    let pulses_per_weight = bar.pulses_per_weight();
    let pulsed = spec.in_pulses(pulses_per_weight);
    let blob = network(&pulsed, Synapses::Crossbar(Box::new(bar)), true, seed)?;
    let image = blob.image().map_err(|e| broken(&e))?;
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    let mut machine = Machine::new(image, &mut arena).map_err(|e| broken(&e))?;
    let mut error = Vec::new();
    let weights = |machine: &Machine<'_>| -> Vec<f64> {
        let arrays = (0..image.ports).find_map(|port| machine.array(port));
        arrays.map_or_else(Vec::new, |view| view.matrix.iter().map(|w| f64::from(*w) * unit).collect())
    };
    learn(&mut machine, spec, training, seed, &mut |samples, machine| {
        let exact = path.get(error.len()).map_or(&[][..], Vec::as_slice);
        error.push(compare(samples, &weights(machine), exact, scale, largest));
    })?;
    let accuracy = accuracy_of(&weights(&machine), testing);
    let total = |count| machine.total(count);
    let port = (0..image.ports).find(|port| machine.array(*port).is_some()).unwrap_or(0);
    let pulses = machine.array(port).map_or(&[][..], |view| view.pulses);
    let device = Pulsed {
        pulses_per_weight,
        devices: pulses.len() as u64,
        pulses_up: total(Count::PulsesUp),
        pulses_down: total(Count::PulsesDown),
        resets: total(Count::Resets),
        verify_reads: total(Count::VerifyReads),
        write_j: total(Count::PulseEnergy) as f64 * ENERGY_UNIT_J,
        read_j: total(Count::CrossbarCharge) as f64 * ENERGY_UNIT_J,
        most_pulses: pulses.iter().copied().max().unwrap_or(0),
        worn_devices: machine.worn_devices(port),
        stuck_devices: machine.stuck_devices(port),
        name,
    };
    let label = format!("{} {}", device.name, rounding_name(spec));
    let found = variant(label, &machine, &pulsed, error, (training, testing), accuracy)?;
    Ok(Variant { device: Some(device), ..found })
}

/// What a machine has counted, and what it learnt.
fn variant(
    label: String,
    machine: &Machine<'_>,
    spec: &RuleSpec,
    error: Vec<ErrorPoint>,
    (training, testing): (&[Sample], &[Sample]),
    accuracy: f64,
) -> Result<Variant, Failure> {
    let total = |count| machine.total(count);
    let constants = spec.coefficients().map_err(Failure::bad_input)?;
    Ok(Variant {
        label,
        bits: None,
        error,
        updates: total(Count::PlasticUpdates),
        changes: total(Count::PlasticChanges),
        rounded_to_zero: total(Count::RoundedToZero),
        saturations: total(Count::WeightSaturations),
        draws: total(Count::Draws),
        constant_error: constants.iter().map(|c| c.relative_error.abs()).fold(0.0, f64::max),
        task: Task { samples: testing.len(), train_samples: training.len(), accuracy },
        device: None,
    })
}

/// `scale` integer units are one unit of the text, whose largest weight is `largest`.
fn compare(samples: usize, found: &[f64], exact: &[f64], scale: f64, largest: f64) -> ErrorPoint {
    let n = exact.len().max(1) as f64;
    let differences = found.iter().zip(exact).map(|(w, e)| (w / scale - e) / largest);
    let (mut sum, mut squares) = (0.0, 0.0);
    for difference in differences {
        sum += difference;
        squares += difference * difference;
    }
    ErrorPoint { samples, rms: (squares / n).sqrt(), bias: sum / n }
}

/// The accuracy of frozen weights, by the largest membrane.
fn accuracy(
    spec: &RuleSpec,
    bits: u32,
    learnt: Vec<i16>,
    testing: &[Sample],
    seed: u64,
) -> Result<f64, Failure> {
    let broken = |e: &dyn std::fmt::Display| Failure::work(format_args!("the image does not load: {e}"));
    let blob = network(spec, digital(bits, learnt), false, seed)?;
    let image = blob.image().map_err(|e| broken(&e))?;
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    let mut machine = Machine::new(image, &mut arena).map_err(|e| broken(&e))?;
    let mut draws = Threefry::new(seed);
    let mut right = 0;
    for sample in testing {
        machine.rest();
        present(&mut machine, sample, &mut draws, |_| false)?;
        right += usize::from(best(machine.membranes(PIECES[2])) == sample.label);
    }
    Ok(f64::from(right as u32) / testing.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELTA: &str = "rule delta { x1: decay 1 add 1; end of sample; rounding nearest; bounds -127 127
        error e = (t*u <= 200); dw = e*t*x1 }";

    #[test]
    fn integers_without_fractions_equal_float64_and_learn_the_digits() {
        let spec = RuleSpec::parse(DELTA).expect("a rule");
        let study = study(&spec, &[8], &[Rounding::Nearest], (&[], None), 1, 1).expect("runs");
        let [float, int8] = &study.runs[..] else { panic!("two runs") };
        assert!(int8.error.iter().all(|point| point.rms == 0.0), "{:?}", int8.error);
        assert_eq!(float.task.accuracy, int8.task.accuracy);
        assert!(int8.task.accuracy > 0.85, "{}", int8.task.accuracy);
        assert!(int8.changes > 0 && int8.rounded_to_zero == 0 && int8.draws == 0);
    }

    #[test]
    fn small_changes_vanish_by_nearest_and_survive_by_stochastic_rounding() {
        let spec = RuleSpec::parse(&DELTA.replace("dw = e", "dw = 2^-5*e")).expect("a rule");
        let study =
            study(&spec, &[6], &[Rounding::Nearest, Rounding::Stochastic], (&[], None), 1, 1).expect("runs");
        let [_, nearest, stochastic] = &study.runs[..] else { panic!("three runs") };
        assert_eq!(nearest.rounded_to_zero, nearest.updates);
        assert!(stochastic.task.accuracy > nearest.task.accuracy + 0.2, "{stochastic:?}");
        assert!(stochastic.draws > 0);
    }

    #[test]
    fn a_linear_device_learns_like_integers_and_a_coarse_one_does_not() {
        let spec = RuleSpec::parse(&DELTA.replace("dw = e", "dw = 2^-3*e")).expect("a rule");
        let device = |name| Preset::shipped(name).expect("it ships");
        let devices = [device("ideal"), device("reram-array-hfo2")];
        let study = study(&spec, &[8], &[Rounding::Stochastic], (&devices, None), 1, 1).expect("runs");
        let [_, int8, ideal, coarse] = &study.runs[..] else { panic!("four runs") };
        let last = |run: &Variant| run.error.last().expect("points").rms;
        assert!(last(ideal) < 2.0 * last(int8) && last(coarse) > 5.0 * last(int8), "{ideal:?} {coarse:?}");
        assert!((ideal.task.accuracy - int8.task.accuracy).abs() < 0.03);
        let pulsed = ideal.device.as_ref().expect("a device");
        assert!(pulsed.pulses_up == pulsed.pulses_down && pulsed.write_j > 0.0 && pulsed.read_j > 0.0);
        assert_eq!(pulsed.devices, 2 * 640);
        assert_eq!((pulsed.verify_reads, pulsed.stuck_devices), (0, 0));
    }

    #[test]
    fn stdp_learns_from_a_spiking_teacher() {
        let text = "rule stdp { x1: decay 0.75 add 64; y1: decay 0.75 add 64; every tick; rounding stochastic
            bounds -127 127; dw = 2^-6*x1*y0 - 2^-6*y0*40 - 2^-9*y1*x0 }";
        let spec = RuleSpec::parse(text).expect("a rule");
        let study = study(&spec, &[16], &[Rounding::Stochastic], (&[], None), 1, 1).expect("runs");
        let last = study.runs[1].error.last().expect("points");
        assert!(last.rms < 0.01, "{last:?}");
        assert!((study.runs[0].task.accuracy - study.runs[1].task.accuracy).abs() < 0.02);
    }
}
