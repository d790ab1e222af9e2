use super::*;
use crate::network::{Lif, Population, Rows, Synapses};
use synop_cost::shipped;

fn dense(source: usize, target: usize) -> Synapses {
    Synapses::Dense { bits: 8, weights: vec![1; source * target] }
}

/// Two hidden populations that talk to each other within blocks of eight, an input to the first, a readout.
fn blocks(size: usize) -> Network {
    let mut net = Network::default();
    let input = net.add_population(Population::input("input", 16, 1));
    let a = net.add_population(Population::lif("a", size, 1, Lif::default()));
    let b = net.add_population(Population::lif("b", size, 2, Lif::default()));
    let out = net.add_population(Population::lif("out", 4, 3, Lif::default()));
    let near: Vec<Vec<(u32, i16)>> =
        (0..size).map(|i| (0..8).map(|k| (((i / 8 * 8 + k) % size) as u32, 1)).collect()).collect();
    net.connect(input, a, 1, dense(16, size));
    net.connect(a, b, 1, Synapses::Sparse { bits: 8, weight: 0, rows: Rows::from_lists(&near) });
    net.connect(b, a, 1, Synapses::Sparse { bits: 8, weight: 0, rows: Rows::from_lists(&near) });
    net.connect(b, out, 1, dense(size, 4));
    net
}

fn small_cores(neurons: u64) -> Chip {
    let mut chip = shipped::chip("loihi1-published").unwrap();
    chip.cores.neurons = Some(neurons);
    chip
}

fn whole(net: &Network, p: &Placement) {
    let mut times: Vec<Vec<u32>> = net.populations.iter().map(|p| vec![0; p.size]).collect();
    for s in p.cores.iter().flatten() {
        for t in &mut times[s.population][s.first..s.first + s.count] {
            *t += 1;
        }
    }
    assert!(times.iter().flatten().all(|t| *t == 1));
}

#[test]
fn the_automatic_placement_keeps_every_limit_and_travels_less_than_round_robin() {
    let net = blocks(200);
    for neurons in [5, 16, 64, 1024] {
        let chip = small_cores(neurons);
        let placed = place(&net, &chip, &Strategy::Automatic).unwrap();
        whole(&net, &placed.placement);
        assert!(placed.demands.iter().all(|d| d.excess(&chip).is_none()));
        let dealt = placed.round_robin.unwrap();
        assert!(
            placed.traffic.hops.total() * 2 < dealt.hops.total(),
            "{neurons}: {:?} {dealt:?}",
            placed.traffic
        );
        assert!(placed.traffic.packets <= dealt.packets);
    }
}

#[test]
fn round_robin_uses_all_cores_and_keeps_the_limits() {
    let net = blocks(200);
    let chip = small_cores(5);
    let placed = place(&net, &chip, &Strategy::RoundRobin).unwrap();
    whole(&net, &placed.placement);
    assert_eq!(placed.traffic.cores, 128);
    assert!(placed.demands.iter().all(|d| d.neurons <= 5));
}

#[test]
fn a_network_that_does_not_fit_names_core_limit_and_need() {
    let net = blocks(200);
    let mut chip = small_cores(3);
    let text = place(&net, &chip, &Strategy::Automatic).unwrap_err().to_string();
    assert!(text.contains("core 127") && text.contains("neurons") && text.contains("at most 3"), "{text}");
    chip.cores.neurons = None;
    chip.cores.fan_in = Some(20);
    let text = place(&net, &chip, &Strategy::Automatic).unwrap_err().to_string();
    assert!(text.contains("core 0") && text.contains("needs 24 synapses onto one neuron"), "{text}");
    chip.cores.fan_in = None;
    chip.cores.synapse_bits = Some(100);
    let text = place(&net, &chip, &Strategy::Automatic).unwrap_err().to_string();
    assert!(text.contains("bits of synapse memory") && text.contains("at most 100"), "{text}");
}

#[test]
fn output_axons_are_kept_by_filling_cores_less() {
    let mut net = blocks(64);
    let spread: Vec<Vec<(u32, i16)>> =
        (0..64).map(|i| (0..64).step_by(3).map(|k| ((i + k) % 64, 1)).collect()).collect();
    net.connect(1, 2, 1, Synapses::Sparse { bits: 8, weight: 0, rows: Rows::from_lists(&spread) });
    let mut chip = small_cores(16);
    chip.cores.axons_out = Some(60);
    let placed = place(&net, &chip, &Strategy::Automatic).unwrap();
    assert!(placed.demands.iter().all(|d| d.axons_out <= 60 && d.neurons <= 16));
}

#[test]
fn populations_joined_by_identity_links_are_split_alike() {
    let mut net = blocks(100);
    let c = net.add_population(Population::lif("c", 100, 3, Lif::default()));
    net.connect(1, c, 1, Synapses::Identity { weight: 3 });
    for strategy in [Strategy::Automatic, Strategy::RoundRobin] {
        let placed = place(&net, &small_cores(12), &strategy).unwrap();
        whole(&net, &placed.placement);
        crate::image::write(&net, &placed.placement).unwrap();
    }
}

#[test]
fn a_manual_mapping_is_followed_and_its_faults_are_named() {
    let net = blocks(16);
    let chip = small_cores(64);
    let line = |population: &str, first, count, core| Assignment {
        population: population.into(),
        first,
        count,
        core,
    };
    let lines = vec![
        line("a", 0, Some(10), 3),
        line("a", 10, None, 5),
        line("b", 0, None, 7),
        line("out", 0, None, 7),
    ];
    let placed = place(&net, &chip, &Strategy::Manual(lines.clone())).unwrap();
    whole(&net, &placed.placement);
    assert_eq!(placed.demands[7].neurons, 20);
    assert_eq!(placed.placement.cores[5], [Slice { population: 1, first: 10, count: 6 }]);
    let wrong = |change: &dyn Fn(&mut Vec<Assignment>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        place(&net, &chip, &Strategy::Manual(lines)).unwrap_err().to_string()
    };
    assert!(wrong(&|l| l[0].population = "x".into()).contains("no such population"));
    assert!(wrong(&|l| l[0].count = Some(40)).contains("some of its 16 neurons"));
    assert!(wrong(&|l| l[0].core = 128).contains("a core below 128"));
    assert!(wrong(&|l| l[1].first = 9).contains("neuron 9 twice"));
    assert!(wrong(&|l| drop(l.remove(1))).contains("neuron 10 on no core"));
}
