//! CPU time of one training step of the surrogate-gradient trainer, on one thread.
//!
//! `cargo run --release -p synop-benches --example train_step -- HIDDEN SECONDS`
//! prints one JSON object. `benches/peers/snntorch_train.py` runs it beside snnTorch.

use std::time::Instant;

use rand_core::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use synop::train::{Network, Samples, Trainer, Training};

const STEPS: usize = 5;
const INPUTS: usize = 21;
const BATCH: u32 = 32;

/// Nanoseconds that this process has spent on a processor.
fn cpu_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let hidden: usize = arguments.next().and_then(|a| a.parse().ok()).unwrap_or(500);
    let seconds: f64 = arguments.next().and_then(|a| a.parse().ok()).unwrap_or(3.0);
    // inputs of the size of expanding trajectories: from nothing to saturation at ±8
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut samples = Samples::new(STEPS, INPUTS);
    for k in 0..BATCH {
        let values: Vec<f32> = (0..STEPS * INPUTS)
            .map(|i| {
                let unit = (random.next_u64() >> 40) as f32 / 16_777_216.0;
                (2.0 * unit - 1.0) * 8.0 * ((i / INPUTS) as f32 + 0.5) / STEPS as f32
            })
            .collect();
        samples.push(&values, (k % 10) as u8);
    }
    let training = Training { learning_rate: 5e-5, ..Training::default() };
    let network = Network::spiking(&[INPUTS, hidden, hidden, hidden, 10], 0.95, 1.0, 1);
    let mut trainer = Trainer::new(network, &training);
    let chosen: Vec<u32> = (0..BATCH).collect();
    for _ in 0..20 {
        trainer.step(&samples, &chosen);
    }
    let (wall, cpu) = (Instant::now(), cpu_ns());
    let (mut updates, mut spikes) = (0u64, 0u64);
    while wall.elapsed().as_secs_f64() < seconds {
        spikes += trainer.step(&samples, &chosen).spikes;
        updates += 1;
    }
    let wall_ms = wall.elapsed().as_secs_f64() * 1e3 / updates as f64;
    let cpu_ms = cpu.zip(cpu_ns()).map(|(from, to)| (to - from) as f64 / 1e6 / updates as f64);
    let cpu_ms = cpu_ms.map_or("null".to_string(), |ms| format!("{ms:.4}"));
    let rate = spikes as f64 / (updates * u64::from(BATCH)) as f64;
    println!(
        "{{\"hidden\": {hidden}, \"cpu_ms_per_step\": {cpu_ms}, \"wall_ms_per_step\": {wall_ms:.4}, \"updates\": {updates}, \"spikes_per_sample\": {rate:.1}}}"
    );
}
