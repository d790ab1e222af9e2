//! One network on many placements: what it computes stays, what it costs moves.

use proptest::prelude::*;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use synop_core::{Count, Machine, Observer, Portable, Threefry};
use synop_cost::{Chip, Hops, Multicast, shipped};
use synop_model::image::write;
use synop_model::network::{Lif, Network, Param, Population, Rows, Synapses};
use synop_model::placement::{Assignment, Placement, Strategy as Placing, place};
use synop_model::routes::{Carried, Routes};

const INPUTS: usize = 12;

/// An input, two populations with random synapses and delays among them, and dense ones from the input.
fn network(seed: u64, size: usize) -> Network {
    let mut r = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut net = Network { seed, ..Network::default() };
    let input = net.add_population(Population::input("input", INPUTS, 1));
    let lif = || Lif { threshold: Param::All(90), decay: Param::q31(0xC000_0000 >> 1), ..Lif::default() };
    let a = net.add_population(Population::lif("a", size, 1, lif()));
    let b = net.add_population(Population::lif("b", size / 2, 2, lif()));
    let mut weights = |n: usize| (0..n).map(|_| (r.next_u64() % 90) as i16 - 25).collect::<Vec<i16>>();
    let dense = weights(INPUTS * size);
    net.connect(input, a, 1, Synapses::Dense { bits: 8, weights: dense });
    for (source, target) in [(a, a), (a, b), (b, a)] {
        let (from, to) = (net.populations[source].size, net.populations[target].size);
        let lists: Vec<Vec<(u32, i16)>> = (0..from)
            .map(|_| {
                (0..6).map(|_| ((r.next_u64() % to as u64) as u32, (r.next_u64() % 80) as i16 - 30)).collect()
            })
            .collect();
        let mut rows = Rows::from_lists(&lists);
        rows.delays = (0..rows.targets.len()).map(|_| 1 + (r.next_u64() % 3) as u16).collect();
        net.connect(source, target, 1, Synapses::Sparse { bits: 8, weight: 0, rows });
    }
    net
}

/// Spikes as (tick, population, neuron).
#[derive(Default)]
struct Spikes {
    pieces: Vec<(u32, u32, u32)>,
    seen: Vec<(u64, u32, u32)>,
    each: Vec<u64>,
}

impl Observer for Spikes {
    fn spike(&mut self, tick: u64, piece: u32, neuron: u32, _payload: i32) {
        let (population, first, global) = self.pieces[piece as usize];
        self.seen.push((tick, population, first + neuron));
        self.each[(global + neuron) as usize] += 1;
    }
}

struct Ran {
    spikes: Vec<(u64, u32, u32)>,
    events: u64,
    effective: u64,
    updates: u64,
    packets: u64,
    carried: Carried,
}

fn run(net: &Network, chip: &Chip, placement: &Placement, seed: u64) -> Ran {
    let blob = write(net, placement).unwrap();
    let image = blob.image().unwrap();
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    let mut machine = Machine::new(image, &mut arena).unwrap();
    let mut draws = Threefry::<13>::new(1);
    let pieces: Vec<_> = (0..image.pieces).map(|p| image.piece(p).unwrap()).collect();
    let mut spikes = Spikes {
        pieces: pieces.iter().map(|p| (p.population, p.population_first, p.first)).collect(),
        each: vec![0; image.neurons as usize],
        ..Spikes::default()
    };
    let mut r = Xoshiro256PlusPlus::seed_from_u64(seed);
    for _ in 0..40 {
        let fires: Vec<bool> = (0..INPUTS).map(|_| r.next_u64().is_multiple_of(3)).collect();
        for (number, piece) in pieces.iter().enumerate().filter(|(_, p)| p.groups == 0) {
            let local = (0..piece.count).filter(|i| fires[(piece.population_first + i) as usize]);
            let events: Vec<[i32; 2]> = local.map(|i| [i as i32, 1]).collect();
            events.iter().for_each(|e| spikes.each[(piece.first + e[0] as u32) as usize] += 1);
            machine.inject(number as u32, &events).unwrap();
        }
        machine.step(&Portable, &mut draws, &mut spikes);
    }
    let routes = Routes::of(&image, chip).unwrap();
    let carried = routes.carried(chip, &spikes.each);
    spikes.seen.sort_unstable();
    Ran {
        spikes: spikes.seen,
        events: machine.total(Count::StoredEvents),
        effective: machine.total(Count::EffectiveEvents),
        updates: machine.total(Count::Updates),
        packets: machine.total(Count::Packets),
        carried,
    }
}

fn chip(neurons: u64, multicast: Multicast) -> Chip {
    let mut chip = shipped::chip("loihi1-published").unwrap();
    chip.cores.neurons = Some(neurons);
    chip.multicast = multicast;
    chip
}

fn by_hand(net: &Network, seed: u64) -> Placing {
    let mut r = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut lines = Vec::new();
    for p in net.populations.iter().skip(1) {
        for first in (0..p.size).step_by(5) {
            lines.push(Assignment {
                population: p.name.clone(),
                first,
                count: Some(5.min(p.size - first)),
                core: (r.next_u64() % 128) as u32,
            });
        }
    }
    Placing::Manual(lines)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_computed_is_the_same_on_every_placement_and_packets_are_conserved(seed in 0u64..1000, size in 20usize..70) {
        let net = network(seed, size);
        let free = chip(100_000, Multicast::UnicastCopies);
        let one = run(&net, &free, &Placement::one_core(&net), seed);
        prop_assert!(!one.spikes.is_empty());
        prop_assert_eq!(one.carried.hops(), Hops::default());
        let tight = chip(17, Multicast::UnicastCopies);
        let ways = [(&tight, Placing::Automatic), (&tight, Placing::RoundRobin), (&free, by_hand(&net, seed))];
        for (chip, way) in ways {
            let placed = place(&net, chip, &way).unwrap();
            let ran = run(&net, chip, &placed.placement, seed);
            prop_assert_eq!(&ran.spikes, &one.spikes);
            prop_assert_eq!((ran.events, ran.effective, ran.updates), (one.events, one.effective, one.updates));
            prop_assert_eq!(ran.carried.packets_out(), ran.carried.packets_in());
            prop_assert_eq!(ran.carried.packets_out(), ran.packets);
            prop_assert!(ran.packets >= one.packets);
            prop_assert_eq!(ran.carried.links.values().sum::<u64>(), ran.carried.hops().total());
            let tree = Chip { multicast: Multicast::Tree, ..chip.clone() };
            let tree = run(&net, &tree, &placed.placement, seed);
            prop_assert!(tree.carried.hops().total() <= ran.carried.hops().total());
            prop_assert_eq!(tree.carried.packets_in(), ran.carried.packets_in());
            prop_assert_eq!(tree.carried.links.values().sum::<u64>(), tree.carried.hops().total());
            let offered = Chip { multicast: Multicast::BroadcastCore, ..chip.clone() };
            let offered = run(&net, &offered, &placed.placement, seed).carried;
            prop_assert_eq!(offered.sent.values().map(|s| s.1).sum::<u64>(), offered.packets_in());
        }
    }
}

#[test]
fn round_robin_sends_more_packets_further_than_the_automatic_placement_when_the_network_runs() {
    let net = network(7, 64);
    let chip = chip(32, Multicast::UnicastCopies);
    let cost = |way: &Placing| {
        let ran = run(&net, &chip, &place(&net, &chip, way).unwrap().placement, 7);
        (ran.packets, ran.carried.hops().total())
    };
    let (own, dealt) = (cost(&Placing::Automatic), cost(&Placing::RoundRobin));
    assert!(own.0 * 3 < dealt.0 && own.1 * 3 < dealt.1, "{own:?} {dealt:?}");
}
