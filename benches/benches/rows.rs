//! The hot loops one by one, at every level of this processor: sparse rows, bit rows, neuron updates, Poisson
//! draws, a plastic row under a rule, and the read of a crossbar.
//!
//! `cargo bench` measures; `cargo bench -- --test` runs each once.

#![allow(missing_docs)] // the macros of criterion make undocumented functions

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use std::hint::black_box;
use synop::bench::brunel::{Brunel, SMALL};
use synop::bench::crossbar::Reads;
use synop::bench::poisson::{Poisson, Room};
use synop::simd::Native;
use synop_core::store::{Event, Matrix, SparseRow};
use synop_core::{Kernels, Machine, Threefry, Unobserved};
use synop_model::image::write;
use synop_model::network::{Lif, Network, Param, Population, Synapses};
use synop_model::placement::Placement;
use synop_model::rule::RuleSpec;

fn natives() -> impl Iterator<Item = Native> {
    Native::levels().into_iter().filter_map(Native::at)
}

/// 1,000 synapses to 10,000 neurons, with a weight each and with one for all.
fn sparse(c: &mut Criterion) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let targets: Vec<u16> = (0..1_000).map(|j| j * 10 + (random.next_u32() % 10) as u16).collect();
    let mut weights = vec![0u8; targets.len()];
    random.fill_bytes(&mut weights);
    let mut sums = vec![0i32; 10_000];
    let mut group = c.benchmark_group("sparse row");
    group.throughput(Throughput::Elements(targets.len() as u64));
    for native in natives() {
        for bits in [8, 0] {
            let row = SparseRow { targets: &targets, weights: &weights, bits, weight: 3 };
            group.bench_function(
                BenchmarkId::new(format!("{bits} bits"), format!("{:?}", native.level())),
                |b| {
                    b.iter(|| native.sparse(&mut sums, black_box(row), 1, &[]));
                },
            );
        }
    }
    group.finish();
}

/// 40 rows of 10,000 cells.
fn bits(c: &mut Criterion) {
    let (rows, columns) = (40, 10_000);
    let stride = columns / 8 + 6;
    let mut bytes = vec![0u8; rows * stride];
    Xoshiro256PlusPlus::seed_from_u64(2).fill_bytes(&mut bytes);
    let matrix = Matrix { bytes: &bytes, stride, bits: 1 };
    let events: Vec<Event> = (0..rows as i32).map(|i| [i, 1]).collect();
    let mut sums = vec![0i32; columns];
    let mut group = c.benchmark_group("bit rows");
    group.throughput(Throughput::Elements((rows * columns) as u64));
    for native in natives() {
        group.bench_function(BenchmarkId::from_parameter(format!("{:?}", native.level())), |b| {
            b.iter(|| native.bits(&mut sums, black_box(matrix), 3, &events));
        });
    }
    group.finish();
}

/// A tick of a balanced network: neuron updates, and the few spikes of one tick.
fn tick(c: &mut Criterion) {
    let net = Brunel { neurons: 2_500, ..SMALL }.network(1);
    let blob = write(&net, &Placement::one_core(&net)).expect("fits");
    let image = blob.image().expect("valid");
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    let mut machine = Machine::new(image, &mut arena).expect("enough");
    let mut draws = Threefry::<13>::new(1);
    let mut group = c.benchmark_group("tick of 2,500 neurons");
    group.throughput(Throughput::Elements(2_500));
    for native in natives() {
        group.bench_function(BenchmarkId::from_parameter(format!("{:?}", native.level())), |b| {
            b.iter(|| machine.step(&native, &mut draws, &mut Unobserved));
        });
    }
    group.finish();
}

/// 10,000 Poisson sources.
fn poisson(c: &mut Criterion) {
    let sources = Poisson::new(1, &[(10_000, 0.2)]);
    let (mut room, mut tick) = (Room::default(), 0);
    let mut group = c.benchmark_group("Poisson");
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("draws", |b| {
        b.iter(|| {
            tick += 1;
            sources.draw(&Native::detect(), tick, &mut room).len()
        });
    });
    group.finish();
}

/// 10 of 256 plastic rows of 256 weights under a pair rule, in every tick.
fn plastic(c: &mut Criterion) {
    let rule =
        "rule pair { x1: tau 20 add 64; y1: tau 20 add 64; every tick; rounding nearest; bounds -127 127
        dw = 2^-6*x1*y0 - 2^-6*y1*x0 }";
    let spec = RuleSpec::parse(rule).expect("a rule");
    let mut net = Network { rules: vec![spec.encode().expect("encodable")], ..Network::default() };
    let source = net.add_population(Population::input("source", 256, 1));
    let lif = Lif { threshold: Param::All(300), decay: Param::q31(1 << 30), ..Lif::default() };
    let target = net.add_population(Population::lif("target", 256, 1, lif));
    let weights = (0..256 * 256).map(|i| (i % 61) as i16 - 20).collect();
    let number = net.connect(source, target, 1, Synapses::Dense { bits: 8, weights });
    net.projections[number].rule = Some(0);
    let blob = write(&net, &Placement::one_core(&net)).expect("fits");
    let image = blob.image().expect("valid");
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    let mut machine = Machine::new(image, &mut arena).expect("enough");
    let (native, mut draws) = (Native::detect(), Threefry::<13>::new(1));
    let mut group = c.benchmark_group("plastic rows");
    group.throughput(Throughput::Elements(10 * 256));
    group.bench_function("pair rule", |b| {
        let mut shift = 0;
        b.iter(|| {
            shift = (shift + 1) % 25;
            let events: Vec<Event> = (0..10).map(|i| [i * 25 + shift, 1]).collect();
            machine.inject(0, &events).expect("valid");
            machine.step(&native, &mut draws, &mut Unobserved);
        });
    });
    group.finish();
}

/// Reads of a 256 × 256 crossbar with converters: numbers of 8 bits on all rows, and spikes on a tenth of them.
fn crossbar(c: &mut Criterion) {
    let mut group = c.benchmark_group("crossbar of 256 × 256");
    for (name, reads) in [("8-bit inputs", Reads::new(256)), ("spikes", Reads::new(256).spikes())] {
        let net = reads.network().expect("a shipped device");
        let blob = write(&net, &Placement::one_core(&net)).expect("fits");
        let image = blob.image().expect("valid");
        let mut arena = vec![0u64; image.memory(0..image.cores).words()];
        let mut machine = Machine::new(image, &mut arena).expect("enough");
        let (native, mut draws, inputs) = (Native::detect(), Threefry::<13>::new(1), reads.inputs());
        let products = inputs.iter().filter(|x| **x != 0).count() * 256;
        group.throughput(Throughput::Elements(products as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                machine.drive(0, black_box(&inputs)).expect("valid");
                machine.step(&native, &mut draws, &mut Unobserved);
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = rows;
    config = Criterion::default().sample_size(20).warm_up_time(std::time::Duration::from_millis(300)).measurement_time(std::time::Duration::from_secs(1));
    targets = sparse, bits, tick, poisson, plastic, crossbar
}
criterion_main!(rows);
