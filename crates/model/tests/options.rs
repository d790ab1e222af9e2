//! Options of neurons that importers rely on: touched flags, leaking in silence, the grain of the membrane.

use synop_core::{Count, Machine, Observer, Portable, Threefry};
use synop_model::image::write;
use synop_model::network::{Lif, Network, Param, Population, Rows, Synapses};
use synop_model::placement::Placement;

#[derive(Default)]
struct Touches(Vec<(u64, u64)>);

impl Observer for Touches {
    fn touched(&mut self, tick: u64, _piece: u32, first: u32, touched: u64) {
        assert_eq!(first, 0);
        self.0.push((tick, touched));
    }
}

/// Input neurons, one projection, and a population that it feeds.
fn network(lif: Lif, inputs: usize, size: usize, synapses: Synapses) -> Network {
    let mut net = Network::default();
    let a = net.add_population(Population::input("in", inputs, 1));
    let b = net.add_population(Population::lif("out", size, 1, lif));
    net.connect(a, b, 1, synapses);
    net
}

fn lif() -> Lif {
    Lif { threshold: Param::All(1000), count_touched: true, ..Lif::default() }
}

#[test]
fn events_that_cancel_still_touch() {
    let rows = Rows::from_lists(&[vec![(0, 5), (2, 1)], vec![(0, -5)]]);
    let bits = Rows::from_lists(&[vec![(0, 0), (2, 0)], vec![(0, 0)]]);
    let dense = vec![5, 0, 1, -5, 0, 0];
    let cases = [
        (Synapses::Sparse { bits: 8, weight: 0, rows }, 0b101, 2),
        (Synapses::Bits { weight: 0, rows: bits }, 0b101, 2),
        (Synapses::Dense { bits: 8, weights: dense }, 0b111, 3),
    ];
    for (synapses, mask, count) in cases {
        let net = network(lif(), 2, 3, synapses);
        let blob = write(&net, &Placement::one_core(&net)).unwrap();
        let image = blob.image().unwrap();
        let mut arena = vec![0u64; image.memory(0..image.cores).words()];
        let mut machine = Machine::new(image, &mut arena).unwrap();
        let (mut draws, mut seen) = (Threefry::<13>::new(1), Touches::default());
        machine.inject(0, &[[0, 1], [1, 1]]).unwrap();
        for _ in 0..4 {
            machine.step(&Portable, &mut draws, &mut seen);
        }
        assert_eq!(seen.0, [(1, mask)]);
        assert_eq!(machine.counters(1).get(Count::Touched), count);
    }
}

/// Membranes of one neuron that gets `input` at tick 0 (seen at tick 1).
fn trace(lif: Lif, input: i16, ticks: usize) -> Vec<i32> {
    let rows = Rows::from_lists(&[vec![(0, input)]]);
    let net = network(lif, 1, 1, Synapses::Sparse { bits: 16, weight: 0, rows });
    let blob = write(&net, &Placement::one_core(&net)).unwrap();
    let image = blob.image().unwrap();
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    let mut machine = Machine::new(image, &mut arena).unwrap();
    let mut draws = Threefry::<13>::new(1);
    machine.inject(0, &[[0, 1]]).unwrap();
    (0..ticks)
        .map(|_| {
            machine.step(&Portable, &mut draws, &mut synop_core::Unobserved);
            machine.membranes(1)[0]
        })
        .collect()
}

#[test]
fn a_grain_cuts_the_decayed_membrane_toward_zero() {
    let half = Lif { decay: Param::q31(1 << 30), grain: 10, ..lif() };
    assert_eq!(trace(half.clone(), 777, 5), [0, 777, 380, 190, 90]);
    assert_eq!(trace(half, -777, 5), [0, -777, -380, -190, -90]);
}

#[test]
fn a_refractory_neuron_leaks_on_only_if_it_is_told_to() {
    let soft = Lif {
        decay: Param::q31(1 << 30),
        reset: synop_model::network::Reset::Subtract,
        refractory: 2,
        ..lif()
    };
    assert_eq!(trace(soft.clone(), 1800, 5), [0, 800, 800, 800, 400]);
    let leaks = Lif { leak_resting: true, ..soft };
    assert_eq!(trace(leaks, 1800, 5), [0, 800, 400, 200, 100]);
}

#[test]
fn a_row_longer_than_its_length_field_is_refused_with_the_figure() {
    let mut net = Network::default();
    let input = net.add_population(Population::input("in", 1, 1));
    let target = net.add_population(Population::lif("out", 7, 1, Lif::default()));
    let row: Vec<(u32, i16)> = (0..70_000).map(|k| (k % 7, 1)).collect();
    net.connect(input, target, 1, Synapses::Sparse { bits: 8, weight: 0, rows: Rows::from_lists(&[row]) });
    let error = write(&net, &Placement::one_core(&net)).unwrap_err().to_string();
    assert!(error.contains("70000") && error.contains("65535"), "{error}");
}
