//! Broken images are errors or valid machines, never a panic: cut off, bits flipped (some sealed again), noise.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use synop_core::image::checksum;
use synop_core::{Machine, Portable, Threefry, Unobserved};
use synop_device::Preset;
use synop_device::wires::Wires;
use synop_model::crossbar::{Converter, Crossbar};
use synop_model::image::{Blob, write};
use synop_model::network::{Lif, Network, Param, Population, Rows, Synapses};
use synop_model::placement::Placement;
use synop_model::rule::RuleSpec;

/// A small network with every kind of row, and a rule.
fn image() -> Vec<u8> {
    let mut net = Network { seed: 3, ..Network::default() };
    let text =
        "rule r { x1: decay 0.5 add 8; every tick; rounding stochastic; bounds -127 127; dw = 2^-4*x1*y0 }";
    net.rules.push(RuleSpec::parse(text).and_then(|r| r.encode()).expect("a rule"));
    let input = net.add_population(Population::input("in", 9, 3));
    let lif = Lif { threshold: Param::All(12), decay: Param::q31(1 << 30), refractory: 1, ..Lif::default() };
    let a = net.add_population(Population::lif("a", 9, 1, lif.clone()));
    let b = net.add_population(Population::lif("b", 5, 2, lif));
    let dense = net.connect(input, a, 1, Synapses::Dense { bits: 8, weights: (0..81).collect() });
    net.projections[dense].rule = Some(0);
    net.connect(input, a, 0, Synapses::Identity { weight: 7 });
    let lists: Vec<_> = (0..9u32).map(|i| vec![(i % 5, 5i16), (4, -3)]).collect();
    let mut rows = Rows::from_lists(&lists);
    for i in 0..9 {
        rows.targets[2 * i..2 * i + 2].sort_unstable();
    }
    net.connect(a, b, 0, Synapses::Sparse { bits: 4, weight: 0, rows: rows.clone() });
    net.connect(a, b, 3, Synapses::Bits { weight: 4, rows });
    write(&net, &Placement::one_core(&net)).expect("valid").bytes().to_vec()
}

/// A network on crossbars: one that learns, drifts and has wires, one that stands in the image.
fn crossbar_image() -> Vec<u8> {
    let mut net = Network { seed: 3, ..Network::default() };
    let text = "rule r { x1: decay 0.5 add 8; every tick; rounding stochastic; bounds -127 127; dw = 2^-3*x1*y0 - 2^-6*x1*w }";
    net.rules.push(RuleSpec::parse(text).and_then(|r| r.encode()).expect("a rule"));
    let input = net.add_population(Population::input("in", 9, 3));
    let lif = Lif { threshold: Param::All(12), ..Lif::default() };
    let a = net.add_population(Population::lif("a", 5, 1, lif));
    let device = |name| Preset::shipped(name).expect("it ships");
    let mut bar = Crossbar::new(device("pcm"), 100, (0..45).collect());
    (bar.tile, bar.refresh, bar.tick_s) = ((4, 3), 2, 30.0);
    bar.wires = Wires { row_ohm: 2.0, column_ohm: 1.0 };
    bar.converter = Some(Converter { bits: 6, full_scale: 400.0 });
    let learnt = net.connect(input, a, 1, Synapses::Crossbar(Box::new(bar)));
    net.projections[learnt].rule = Some(0);
    let fixed = Crossbar::new(device("reram-array-om"), 100, (0..25).collect());
    net.connect(a, a, 2, Synapses::Crossbar(Box::new(fixed)));
    write(&net, &Placement::one_core(&net)).expect("valid").bytes().to_vec()
}

/// Checks a blob and, where it is an image that asks for little memory, runs it; returns whether it ran.
fn survives(bytes: &[u8]) -> bool {
    let blob = Blob::new(bytes);
    let Ok(image) = blob.image() else { return false };
    let words = image.memory(0..image.cores).words();
    if words > 1 << 20 {
        return false;
    }
    let mut arena = vec![0u64; words];
    let Ok(mut machine) = Machine::new(image, &mut arena) else { return false };
    let mut draws = Threefry::<13>::new(1);
    for tick in 0..6 {
        for piece in 0..image.pieces {
            let _ = machine.inject(piece, &[[tick % 4, 1], [5, 2]]);
        }
        machine.step(&Portable, &mut draws, &mut Unobserved);
    }
    machine.learn_sample(&mut draws);
    true
}

fn seal(bytes: &mut [u8]) {
    let sum = checksum(bytes);
    bytes[24..32].copy_from_slice(&sum.to_le_bytes());
}

#[test]
fn broken_images_are_errors_or_valid_machines() {
    broken(&image());
}

#[test]
fn broken_crossbars_are_errors_or_valid_machines() {
    broken(&crossbar_image());
}

fn broken(good: &[u8]) {
    let good = good.to_vec();
    assert!(survives(&good));
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut ran = 0;
    for i in 0..10_000usize {
        let cut = random.next_u64() as usize % good.len();
        assert!(!survives(&good[..cut]), "cut at {cut}");

        let mut flipped = good.clone();
        for _ in 0..=random.next_u32() % 3 {
            let bit = random.next_u64() as usize % (good.len() * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
        }
        if i % 3 == 0 {
            seal(&mut flipped);
        }
        ran += usize::from(survives(&flipped));

        let mut noise = vec![0; random.next_u64() as usize % 2048];
        random.fill_bytes(&mut noise);
        if i % 2 == 0 {
            let head = noise.len().min(64);
            noise[..head].copy_from_slice(&good[..head]);
        }
        assert!(!survives(&noise));
    }
    assert!(ran > 100, "hardly any sealed image ran: {ran}");
}

/// Writes the image that the fuzzer starts from, where it is not there or not of this version.
#[test]
fn the_fuzzer_s_seed_is_an_image_of_this_version() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/image/small.img");
    let good = image();
    if std::fs::read(path).ok().is_none_or(|bytes| bytes != good) {
        std::fs::write(path, &good).expect("the seed can be written");
    }
}
