//! A trained network on a chip: what is computed stays the same wherever it stands, and the bill adds up.

use std::path::Path;

use synop::cli::Common;
use synop::input::{InputArgs, Inputs};
use synop::pipeline::{self, Keep, Ran};
use synop::report::Report;
use synop::source::{Network, ProfileArgs, QuantizeArgs};
use synop_cost::latency::Model;
use synop_cost::{Chip, Entry, shipped};
use synop_model::placement::Strategy;

/// The digits network, on 24 samples, on a chip.
fn run(chip: &Chip, strategy: &Strategy, model: Model) -> (Ran, Report) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/nir/digits_snntorch.nir");
    let Network::Nir(network) = Network::open(&path, &ProfileArgs::default()).expect("a network") else {
        panic!("not a NIR file");
    };
    let common = Common { data: Some("digits".into()), ..Common::default() };
    let args = InputArgs {
        split: "test".into(),
        limit: Some(24),
        encode: Some("rate:25".parse().expect("an encoder")),
        ..InputArgs::default()
    };
    let inputs = Inputs::load(&args, &common, &network.ports(), network.profile.dt).expect("digits");
    let quantizer = QuantizeArgs { decay_bits: 15, state_bits: 31, ..QuantizeArgs::default() };
    let options = quantizer.calibrate(&network, Some(&inputs)).expect("options").options(8);
    let quantized = network.quantize(&options).expect("integers");
    let compiled = pipeline::compile(&quantized.network, chip, strategy, model).expect("it fits");
    let (ran, _) = pipeline::run(&compiled, &inputs, Keep::default(), |_, _, _| Ok(())).expect("it runs");
    let report = pipeline::report(&compiled, &ran, &inputs, chip, 1).expect("a report");
    (ran, report)
}

fn loihi(neurons: u64) -> Chip {
    let mut chip = shipped::chip("loihi1-published").expect("it ships");
    chip.cores.neurons = Some(neurons);
    chip
}

#[test]
fn placements_change_packets_hops_and_energy_and_nothing_else() {
    let one = run(&loihi(1024), &Strategy::Automatic, Model::Simple);
    for (chip, strategy) in [(loihi(9), Strategy::Automatic), (loihi(1024), Strategy::RoundRobin)] {
        let other = run(&chip, &strategy, Model::Simple);
        assert_eq!(one.0.answers, other.0.answers);
        let (a, b) = (one.1.counts.as_ref().unwrap(), other.1.counts.as_ref().unwrap());
        assert_eq!(
            (a.synaptic_events, a.neurons_updated, a.neurons_fired),
            (b.synaptic_events, b.neurons_updated, b.neurons_fired)
        );
        assert_eq!(one.1.synops, other.1.synops);
        assert!(b.packets > a.packets && b.hops.total() > a.hops.total());
        assert_eq!(b.more["packets_in"], b.packets);
        let dynamic = |r: &Report| r.energy.as_ref().unwrap().dynamic_j.unwrap().nominal;
        assert!(dynamic(&other.1) > dynamic(&one.1));
        assert!(
            other.1.more["mapping"]["cores_used"].as_u64() > one.1.more["mapping"]["cores_used"].as_u64()
        );
    }
}

#[test]
fn the_bill_is_the_same_by_class_layer_core_and_tick() {
    for model in [Model::Simple, Model::Detailed, Model::Queue] {
        let (ran, report) = run(&loihi(9), &Strategy::Automatic, model);
        let bill = report.energy.as_ref().unwrap();
        let dynamic = bill.dynamic_j.unwrap().nominal;
        let near = |sum: f64| assert!((sum - dynamic).abs() < 1e-9 * dynamic, "{sum} {dynamic}");
        near(bill.by_class.values().map(|e| e.nominal).sum());
        near(bill.by_population.values().map(|s| s.priced_j.nominal).sum());
        near(bill.by_core.values().map(|s| s.priced_j.nominal).sum());
        near(ran.by_tick.iter().map(|t| t.dynamic_j).sum());
        let total = report.latency.as_ref().unwrap().total_s;
        let ticks: f64 = ran.by_tick.iter().map(|t| t.time_s).sum();
        assert!((ticks - total).abs() < 1e-9 * total);
        assert!(bill.peak_power_w.unwrap() >= bill.average_power_w.unwrap().nominal);
        let edp = bill.total_j.unwrap().nominal * total;
        assert!((bill.edp_js.unwrap() - edp).abs() < 1e-9 * edp);
    }
}

#[test]
fn doubling_a_price_in_the_chip_doubles_its_class_and_no_other() {
    let chip = loihi(1024);
    let mut dearer = chip.clone();
    if let Some(Entry::Price(p)) = dearer.prices.get_mut("hop_east") {
        (p.value, p.low, p.high) = (p.value * 2.0, p.low * 2.0, p.high * 2.0);
    }
    // Dealt over all cores, packets travel in every direction.
    let (_, before) = run(&chip, &Strategy::RoundRobin, Model::Simple);
    let (_, after) = run(&dearer, &Strategy::RoundRobin, Model::Simple);
    let (before, after) = (before.energy.unwrap(), after.energy.unwrap());
    assert!(before.by_class["hop_east"].nominal > 0.0);
    for (class, energy) in &before.by_class {
        let factor = if class == "hop_east" { 2.0 } else { 1.0 };
        assert!((after.by_class[class].nominal - factor * energy.nominal).abs() <= 1e-12 * energy.nominal);
    }
}
