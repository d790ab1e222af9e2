//! W1 with a tick of 1 ms on gresil. `setup.sh` builds it in a throw-away folder; nothing of synop links to it.
//!
//! gresil's synapses carry currents that act for one tick, with a delay of one tick; membranes cannot start at
//! random, so that the drive is spread by a quarter instead.

use gresil::{LIFNeuron, NeuronType, SpikingNeuralNetwork, VoltageResolution};
use std::time::Instant;

const N: usize = 10_000;
const INPUTS: usize = 1_000;

fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").expect("Linux");
    stat.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).expect("nanoseconds") * 1e-9
}

fn main() {
    let length: f64 = std::env::args().nth(2).map_or(1.0, |a| a.parse().expect("a share"));
    let mut state = 1u64;
    let mut below = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 32) as usize * n) >> 32
    };
    let begun = Instant::now();
    // Centi-millivolts: 1 pA over 100 MOhm is 0.1 mV at rest.
    let neuron = |i: usize| {
        let kind = if i < N * 4 / 5 { NeuronType::Excitatory } else { NeuronType::Inhibitory };
        LIFNeuron::new(i as u16, kind, VoltageResolution::CentiMillivolt)
            .with_resting_potential(0)
            .with_threshold(2_000)
            .with_reset_potential(1_000)
            .with_tau_membrane_us(20_000)
            .with_refractory_period_us(2_000)
            .with_resistance_mohm(100)
    };
    let neurons = (0..N).map(neuron).collect();
    let mut net = SpikingNeuralNetwork::from_neurons(neurons, 1_000).expect("valid");
    net.set_synaptic_input_divisor(1).expect("valid");
    for target in 0..N {
        for k in 0..INPUTS {
            // 20 pA for 1 of 20 ms are 0.1 mV.
            let excites = k < INPUTS * 4 / 5;
            // Nobody may excite himself there: one draw in ten thousand is made again.
            let source = loop {
                let source = if excites { below(N * 4 / 5) } else { N * 4 / 5 + below(N / 5) };
                if source != target {
                    break source;
                }
            };
            net.add_synapse(source as u16, target as u16, if excites { 20 } else { -100 }).expect("valid");
        }
    }
    let drive: Vec<i16> = (0..N).map(|_| 300 + below(200) as i16).collect();
    for _ in 0..100 {
        net.step(&drive).expect("valid");
    }
    let build_s = begun.elapsed().as_secs_f64();
    let ticks = (1_000.0 * length) as usize;
    let (wall, cpu) = (Instant::now(), cpu_s());
    let spikes: usize = (0..ticks).map(|_| net.step(&drive).expect("valid").len()).sum();
    let (cpu, wall) = (cpu_s() - cpu, wall.elapsed().as_secs_f64());
    let events = spikes * INPUTS;
    println!(
        "JSON {{\"peer\": \"gresil 0.1.0-alpha.9\", \"label\": \"W1-dt1\", \"events\": {events}, \"cpu_s\": {cpu}, \
         \"events_per_s\": {}, \"wall_s\": {wall}, \"build_s\": {build_s}, \"rate_hz\": {}, \"synapses\": {}}}",
        events as f64 / cpu,
        spikes as f64 / N as f64 / (ticks as f64 * 1e-3),
        N * INPUTS
    );
}
