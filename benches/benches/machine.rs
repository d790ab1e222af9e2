//! The machine's speed: synaptic events per second, what quiet costs, what counting costs.
//!
//! `cargo bench` measures; `cargo test --benches` (smoke mode) runs each once. The last lines give the figures that have
//! a target, as the fastest of many rounds that take turns.

#![allow(missing_docs)] // the macros of criterion make undocumented functions

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use std::hint::black_box;
use synop::bench::brunel::SMALL;
use synop::bench::clock::thread_cpu_s;
use synop::simd::Native;
use synop_core::store::Again;
use synop_core::{Count, Kernels, Machine, Plan, Portable, Threefry, Unobserved};
use synop_model::image::{Blob, write};
use synop_model::memory::Memory;
use synop_model::network::{Lif, Network, Param, Population, Reset, Rows, Synapses};
use synop_model::placement::Placement;

/// Rounded normal weights (sum of twelve uniforms).
fn normal(random: &mut Xoshiro256PlusPlus, spread: f64) -> i16 {
    let sum: f64 = (0..12).map(|_| (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64).sum();
    ((sum - 6.0) * spread).round().clamp(-127.0, 127.0) as i16
}

/// Workload W2: 784-1024-1024-10, dense 8-bit, decay 15/16, reset by subtraction, no delay between layers.
fn dense_network() -> Blob {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
    let mut net = Network::default();
    let mut before = net.add_population(Population::input("input", 784, 1));
    for (stage, (size, threshold)) in [(1024, 340), (1024, 460), (10, 520)].into_iter().enumerate() {
        let lif = Lif {
            threshold: Param::All(threshold),
            decay: Param::q31((1 << 31) / 16 * 15),
            reset: Reset::Subtract,
            greater_equal: true,
            ..Lif::default()
        };
        let layer =
            net.add_population(Population::lif(&format!("layer{stage}"), size, stage as u32 + 1, lif));
        let n = net.populations[before].size * size;
        let weights = (0..n).map(|_| normal(&mut random, 24.0)).collect();
        net.connect(before, layer, 0, Synapses::Dense { bits: 8, weights });
        before = layer;
    }
    write(&net, &Placement::one_core(&net)).expect("W2 fits")
}

/// Bernoulli inputs of density 0.07, 25 ticks.
fn dense_input() -> Vec<Vec<[i32; 2]>> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    (0..25)
        .map(|_| {
            (0..784).filter(|_| random.next_u32() < (0.07 * u32::MAX as f64) as u32).map(|i| [i, 1]).collect()
        })
        .collect()
}

fn sample<K: Kernels>(machine: &mut Machine<'_>, kernels: &K, input: &[Vec<[i32; 2]>]) {
    machine.restart();
    let mut draws = Threefry::<13>::new(1);
    for events in input {
        machine.inject(0, events).expect("valid");
        machine.step(kernels, &mut draws, &mut Unobserved);
    }
}

fn hundred_ticks<K: Kernels>(machine: &mut Machine<'_>, kernels: &K, draws: &mut Threefry<13>) {
    for _ in 0..100 {
        machine.step(kernels, draws, &mut Unobserved);
    }
}

/// How often counting and not counting are compiled each: where the code stands moves its speed by as much as counting
/// costs, so that several places take turns.
const COPIES: usize = 4;
type Once<const COUNTS: bool> = Again<Native, COUNTS>;
type Twice<const COUNTS: bool> = Again<Once<COUNTS>, COUNTS>;
type Thrice<const COUNTS: bool> = Again<Twice<COUNTS>, COUNTS>;
type FourTimes<const COUNTS: bool> = Again<Thrice<COUNTS>, COUNTS>;

/// [`sample`], compiled several times.
type Samples = [fn(&mut Machine<'_>, Native, &[Vec<[i32; 2]>]); COPIES];
fn samples<const COUNTS: bool>() -> Samples {
    [
        |m, k, input| sample::<Once<COUNTS>>(m, &Again(k), input),
        |m, k, input| sample::<Twice<COUNTS>>(m, &Again(Again(k)), input),
        |m, k, input| sample::<Thrice<COUNTS>>(m, &Again(Again(Again(k))), input),
        |m, k, input| sample::<FourTimes<COUNTS>>(m, &Again(Again(Again(Again(k)))), input),
    ]
}

/// [`hundred_ticks`], compiled several times.
type Ticks = [fn(&mut Machine<'_>, Native, &mut Threefry<13>); COPIES];
fn ticks<const COUNTS: bool>() -> Ticks {
    [
        |m, k, draws| hundred_ticks::<Once<COUNTS>>(m, &Again(k), draws),
        |m, k, draws| hundred_ticks::<Twice<COUNTS>>(m, &Again(Again(k)), draws),
        |m, k, draws| hundred_ticks::<Thrice<COUNTS>>(m, &Again(Again(Again(k))), draws),
        |m, k, draws| hundred_ticks::<FourTimes<COUNTS>>(m, &Again(Again(Again(Again(k)))), draws),
    ]
}

fn dense(c: &mut Criterion) {
    let (blob, input) = (dense_network(), dense_input());
    let image = blob.image().expect("valid");
    let mut arena = Memory::zeros(image.memory(0..image.cores).words() + Plan::SPARE);
    let mut machine = Machine::new(image, &mut arena).expect("enough");
    sample(&mut machine, &Portable, &input);
    let events = machine.total(Count::StoredEvents);
    let mut group = c.benchmark_group("W2 dense, 25 ticks");
    group.throughput(Throughput::Elements(events));
    for level in Native::levels() {
        let native = Native::at(level).expect("listed");
        group.bench_function(BenchmarkId::new("counted", format!("{level:?}")), |b| {
            b.iter(|| sample(&mut machine, &native, black_box(&input)));
        });
    }
    group.bench_function("uncounted", |b| {
        b.iter(|| sample(&mut machine, &Again::<_, false>(Native::detect()), black_box(&input)));
    });
    group.finish();
}

/// A network at rest of `size` neurons in pieces of up to `piece`, each neuron with 10 sparse synapses.
fn quiet_network(size: usize, piece: usize) -> Blob {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(4);
    let mut net = Network::default();
    let lif = Lif { threshold: Param::All(1000), decay: Param::q31(1 << 30), ..Lif::default() };
    let p = net.add_population(Population::lif("quiet", size, 1, lif));
    let lists: Vec<Vec<(u32, i16)>> = (0..size)
        .map(|_| {
            (0..10).map(|_| ((random.next_u64() % size as u64) as u32, normal(&mut random, 9.0))).collect()
        })
        .collect();
    net.connect(p, p, 1, Synapses::Sparse { bits: 8, weight: 0, rows: Rows::from_lists(&lists) });
    write(&net, &Placement::tiled(&net, piece)).expect("fits")
}

fn quiet(c: &mut Criterion) {
    let mut group = c.benchmark_group("quiet tick");
    for size in [1_000, 10_000, 100_000] {
        let blob = quiet_network(size, 10_000);
        let image = blob.image().expect("valid");
        let mut arena = Memory::zeros(image.memory(0..image.cores).words() + Plan::SPARE);
        let mut machine = Machine::new(image, &mut arena).expect("enough");
        let (native, mut draws) = (Native::detect(), Threefry::<13>::new(1));
        for _ in 0..3 {
            machine.step(&native, &mut draws, &mut Unobserved);
        }
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| machine.step(&native, &mut draws, &mut Unobserved));
        });
    }
    group.finish();
}

/// Calls with the stack some 64 bytes deeper per level: where a tick's variables stand in a page moves its speed by one or two
/// percent, so that a fair comparison takes all places in turn.
#[inline(never)]
fn deeper(levels: usize, call: &mut dyn FnMut()) {
    let pad = black_box([0u64; 4]);
    match levels {
        0 => call(),
        _ => deeper(levels - 1, call),
    }
    black_box(&pad);
}

/// Seconds of processor time of the fastest of `rounds` calls of each of two functions that take turns, and the median
/// of their ratios: what the noise of a shared machine leaves alone.
fn turns(rounds: usize, mut call: impl FnMut(usize, bool)) -> ([f64; 2], f64) {
    let mut time = |round: usize, second: bool| {
        let start = thread_cpu_s();
        deeper(round / 2 % 64, &mut || call(round, second));
        thread_cpu_s() - start
    };
    let (mut fastest, mut ratios) = ([f64::INFINITY; 2], Vec::new());
    for round in 0..rounds {
        // Who begins changes, as the one that follows finds warm caches.
        let first = time(round, round % 2 == 1);
        let second = time(round, round % 2 == 0);
        let [a, b] = if round % 2 == 1 { [second, first] } else { [first, second] };
        fastest = [fastest[0].min(a), fastest[1].min(b)];
        ratios.push(a / b);
    }
    ratios.sort_by(f64::total_cmp);
    (fastest, ratios[ratios.len() / 2])
}

/// What counting costs, in percent.
fn print_counting(what: &str, (fastest, median): ([f64; 2], f64)) {
    println!(
        "counting costs {:.2} % of the time on {what} (median of turns; fastest against fastest {:.2} %; target at most 2)",
        100.0 * (median - 1.0),
        100.0 * (fastest[0] / fastest[1] - 1.0)
    );
}

/// The figures that have a target, from functions that take turns: synaptic events per second, the cost of counting,
/// and a quiet tick of 100,000 neurons against one of 1,000.
fn targets(_: &mut Criterion) {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let other =
        args.iter().any(|arg| arg == "--list" || !arg.starts_with('-') && !"targets".contains(arg.as_str()));
    if other {
        return;
    }
    let smoke = args.iter().any(|arg| arg == "--test");
    let rounds = if smoke { 1 } else { 2_000 };
    let (blob, input) = (dense_network(), dense_input());
    let image = blob.image().expect("valid");
    let mut arena = Memory::zeros(image.memory(0..image.cores).words() + Plan::SPARE);
    let mut machine = Machine::new(image, &mut arena).expect("enough");
    let native = Native::detect();
    sample(&mut machine, &native, &input);
    let events = machine.total(Count::StoredEvents);
    // The same machine, so that both find its memory in the same places. Dense rows are counted in the end, from spike
    // counts: once, or here at the worst after every sample.
    let (with, without) = (samples::<true>(), samples::<false>());
    let mut dense = |what: &str, with: Samples, without: Samples, asks: bool| {
        let result = turns(rounds, |round, second| {
            let pick = if second { without } else { with };
            pick[round / 2 % COPIES](&mut machine, native, black_box(&input));
            if asks && !second {
                black_box(machine.total(Count::EffectiveEvents));
            }
        });
        print_counting(what, result);
        result.0[0]
    };
    dense("dense rows, if asked after every sample", with, without, true);
    let fastest = dense("dense rows", with, without, false);
    println!("W2 dense: {:.2} G synaptic events/s (target 1)", events as f64 / fastest / 1e9);
    let blob = write(&SMALL.network(1), &Placement::tiled(&SMALL.network(1), 10_000)).expect("fits");
    let image = blob.image().expect("valid");
    let mut arena = Memory::zeros(image.memory(0..image.cores).words() + Plan::SPARE);
    let mut machine = Machine::new(image, &mut arena).expect("enough");
    let mut draws = Threefry::<13>::new(1);
    let (with, without) = (ticks::<true>(), ticks::<false>());
    let result = turns(rounds, |round, second| {
        let pick = if second { without } else { with };
        pick[round / 2 % COPIES](&mut machine, native, &mut draws);
    });
    print_counting("sparse rows", result);
    // Ten pieces each: a tick looks at pieces, not at neurons.
    let blobs = [quiet_network(1_000, 100), quiet_network(100_000, 10_000)];
    let images = [blobs[0].image().expect("valid"), blobs[1].image().expect("valid")];
    let mut arenas = images.map(|image| Memory::zeros(image.memory(0..image.cores).words() + Plan::SPARE));
    let [small, large] = &mut arenas;
    let mut machines =
        [Machine::new(images[0], small).expect("enough"), Machine::new(images[1], large).expect("enough")];
    let [small, large] = &mut machines;
    let hundred = |machine: &mut Machine<'_>| hundred_ticks(machine, &native, &mut Threefry::<13>::new(1));
    let ([few, many], _) = turns(rounds, |_, second| hundred(if second { large } else { small }));
    println!(
        "quiet tick of ten pieces: {:.0} ns with 1,000 neurons, {:.0} ns with 100,000",
        few / 100.0 * 1e9,
        many / 100.0 * 1e9
    );
}

criterion_group! {
    name = machine;
    config = Criterion::default().sample_size(30).warm_up_time(std::time::Duration::from_millis(500)).measurement_time(std::time::Duration::from_secs(2));
    targets = dense, quiet, targets
}
criterion_main!(machine);
