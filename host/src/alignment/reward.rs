//! The pole balanced by what the chip learns itself: a broadcast reward and local traces, all integers.
//!
//! The state's trajectories drive a fixed random layer of spiking neurons; an actor of two readouts and a critic of one
//! learn. After an episode its states are presented once more, and at the end of each presentation
//!
//! ```text
//! critic: dw = 2^-10 · r · x1          r = 16·(A + V − V now), the broadcast third factor
//! actor:  dw = 2^-16 · r · t · x1      r = rate·A/s,  t = 16·(chosen − π), the readout's target
//! ```
//!
//! with `x1` the spikes of the hidden neuron, `A` the advantage (sums of the critic's errors `1 + γ·V' − V`, each step back
//! weighted by `γ·λ`) and `s` the running root mean square of `A`. No gradient goes back through time or weights.
//!
//! The division by `s` is what makes 8-bit readouts learn: the sums grow from 10 to 100 as the pole stays up longer, and
//! with steps in proportion to them the actor's weights move, per episode, by hundreds of times more at the end than at the
//! beginning; the policy is then lost as soon as it is found.

use rand_core::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use synop_core::{Count, Machine, Threefry, Unobserved};
use synop_model::image::{Blob, write};
use synop_model::network::{Lif, Network, Param, Population, Reset, Synapses};
use synop_model::placement::Placement;
use synop_model::rule::RuleSpec;

use super::cartpole::CartPole;
use super::drive::grid_of;
use super::integer::{Emulation, prices};
use super::policy::{Agent, DISCOUNT, OnChip, Played, STEPS, StateEncoder, probability_of_right, success};
use crate::Failure;
use crate::local::TickWork;
use crate::simd::Native;
use crate::train::unit;

const HIDDEN: usize = 256;
/// Readout units per unit of the actor's logits.
const LOGIT: f64 = 256.0;
/// Readout units per unit of the critic's value.
const VALUE: f64 = 64.0;
/// Share of a critic's error that the step before it inherits.
const LAMBDA: f64 = 0.95;
/// The actor's third factor for an advantage of usual size, which [`learn_on_chip`] takes; 0 learns nothing.
pub const ACTOR_RATE: f64 = 32.0;
const ACTOR_RULE: u32 = 0;
const CRITIC_RULE: u32 = 1;
/// Populations, in the order of the image's pieces.
const INPUT: u32 = 0;
const ACTOR: u32 = 2;
const CRITIC: u32 = 3;

fn image(seed: u64, spread: f64, threshold: i32, input_max: u32) -> Result<Blob, Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::work(format_args!("{error}"));
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut net = Network { seed, ..Network::default() };
    let common = "x1: decay 1 add 1; end of sample; rounding stochastic; bounds -127 127";
    for text in [
        format!("rule actor {{ {common}; dw = 2^-16*r*t*x1 }}"),
        format!("rule critic {{ {common}; dw = 2^-10*r*x1 }}"),
    ] {
        net.rules.push(RuleSpec::parse(&text).and_then(|rule| rule.encode()).map_err(|e| refused(&e))?);
    }
    let input = net.add_population(Population::input("input", 12, input_max));
    // thresholds spread over a range, so that the layer cuts the state space in many places
    let thresholds = (0..HIDDEN)
        .map(|_| (f64::from(threshold) * (0.25 + 1.5 * f64::from(unit(&mut random)))) as i32)
        .collect();
    let neuron = Lif {
        threshold: Param::Each(thresholds),
        decay: Param::q31((0.9 * f64::from(1u32 << 31)) as u32),
        reset: Reset::SubtractNext,
        ..Lif::default()
    };
    let hidden = net.add_population(Population::lif("hidden", HIDDEN, 1, neuron));
    let integrator = || Lif { silent: true, targets: true, ..Lif::default() };
    let actor = net.add_population(Population::lif("actor", 2, 2, integrator()));
    let critic = net.add_population(Population::lif("critic", 1, 2, integrator()));
    let mut normal = || {
        let mut uniform = || ((random.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        let (u, v) = (uniform(), uniform());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        (normal * spread).round().clamp(-127.0, 127.0) as i16
    };
    let weights = (0..12 * HIDDEN).map(|_| normal()).collect();
    net.connect(input, hidden, 0, Synapses::Dense { bits: 8, weights });
    let up = net.connect(hidden, actor, 0, Synapses::Dense { bits: 8, weights: vec![0; 2 * HIDDEN] });
    net.projections[up].rule = Some(ACTOR_RULE as usize);
    let up = net.connect(hidden, critic, 0, Synapses::Dense { bits: 8, weights: vec![0; HIDDEN] });
    net.projections[up].rule = Some(CRITIC_RULE as usize);
    write(&net, &Placement::one_core(&net)).map_err(|e| refused(&e))
}

/// Presents a state; returns the probability of a push to the right and the value.
fn present(
    machine: &mut Machine<'_>,
    kernels: &Native,
    draws: &mut Threefry<13>,
    drive: &[Vec<i32>],
    mut each: impl FnMut(TickWork),
) -> Result<(f64, f64), Failure> {
    machine.rest();
    for values in drive {
        let before = TickWork::of(machine);
        machine.drive(INPUT, values).map_err(|error| Failure::bad_input(format_args!("input: {error}")))?;
        machine.step(kernels, draws, &mut Unobserved);
        let after = TickWork::of(machine);
        each(TickWork {
            events: after.events - before.events,
            updates: after.updates - before.updates,
            spikes: after.spikes - before.spikes,
            packets: after.packets - before.packets,
        });
    }
    let actor = machine.membranes(ACTOR);
    let logit = |k: usize| f64::from(actor.get(k).copied().unwrap_or(0)) / LOGIT;
    let value = f64::from(machine.membranes(CRITIC).first().copied().unwrap_or(0)) / VALUE;
    Ok((probability_of_right([logit(0), logit(1)]), value))
}

/// Sums of the critic's errors along an episode, one per step, each step back weighted by γ·λ; behind the end is no value.
fn advantages(values: &[f64]) -> Vec<f64> {
    let (mut next, mut tail) = (0.0, 0.0);
    let mut sums: Vec<f64> = values
        .iter()
        .rev()
        .map(|value| {
            tail = 1.0 + DISCOUNT * next - value + DISCOUNT * LAMBDA * tail;
            next = *value;
            tail
        })
        .collect();
    sums.reverse();
    sums
}

/// Learns to balance by the rules above; `rate` is [`ACTOR_RATE`], or 0 for a readout that does not learn.
///
/// # Errors
/// The work failed: the image cannot be built.
pub fn learn_on_chip(
    damping: f64,
    encoder: &StateEncoder,
    seed: u64,
    episodes: usize,
    rate: f64,
) -> Result<Played, Failure> {
    let grid = grid_of(damping);
    let encoder = encoder.on_grid(grid);
    let top = grid.integer(grid.limit).unsigned_abs();
    let blob = image(seed, 24.0, 24 * 2 * 64, top)?;
    let failed = |error: &dyn std::fmt::Display| Failure::work(format_args!("{error}"));
    let image = blob.image().map_err(|e| failed(&e))?;
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    let mut machine = Machine::new(image, &mut arena).map_err(|e| failed(&e))?;
    let (kernels, mut draws) = (Native::detect(), Threefry::<13>::new(seed));
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0xac70_0501);
    let mut cart = CartPole::new(seed);
    let mut rewards = Vec::with_capacity(episodes);
    let mut found = Emulation::default();
    let mut usual = 0.0f64;
    for episode in 0..episodes {
        cart.restart();
        let counted = episode + 100 >= episodes;
        let before = counters(&machine);
        let (mut drives, mut actions, mut values) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            let drive: Vec<Vec<i32>> = encoder
                .encode(cart.state)
                .chunks_exact(12)
                .map(|row| row.iter().map(|v| grid.integer(*v)).collect())
                .collect();
            let tick = |work| {
                if counted {
                    found.work.push(work);
                }
            };
            let (p, value) = present(&mut machine, &kernels, &mut draws, &drive, tick)?;
            let right = f64::from(unit(&mut random)) < p;
            drives.push(drive);
            actions.push(right);
            values.push(value);
            if !cart.push(right) {
                break;
            }
        }
        if counted {
            found.samples += drives.len();
            found.ticks += (drives.len() * STEPS) as u64;
            let rows = counters(&machine);
            if found.counters.is_empty() {
                found.counters = vec![vec![0; rows.first().map_or(0, Vec::len)]; rows.len()];
            }
            let sums = found.counters.iter_mut().flatten();
            for (sum, (now, then)) in sums.zip(rows.iter().flatten().zip(before.iter().flatten())) {
                *sum += now - then;
            }
        }
        let advantages = advantages(&values);
        let mean_square = advantages.iter().map(|a| a * a).sum::<f64>() / advantages.len() as f64;
        usual = if episode == 0 { mean_square } else { 0.9 * usual + 0.1 * mean_square };
        let scale = rate / usual.sqrt().max(1e-3);
        for ((drive, right), (advantage, value)) in
            drives.iter().zip(&actions).zip(advantages.iter().zip(&values))
        {
            let (p, now) = present(&mut machine, &kernels, &mut draws, drive, |_| ())?;
            let chosen = if *right { 1.0 } else { 0.0 };
            let target = (16.0 * (chosen - p)).round() as i32;
            if let [left, right] = machine.targets_mut(ACTOR) {
                (*left, *right) = (-target, target);
            }
            let factor = |v: f64| v.round().clamp(-4000.0, 4000.0) as i32;
            machine.set_third_factor(ACTOR_RULE, factor(scale * advantage));
            machine.set_third_factor(CRITIC_RULE, factor(16.0 * (advantage + value - now)));
            machine.learn_sample_by(&kernels, &mut draws);
        }
        rewards.push(actions.len() as u16);
    }
    let (last_hundred, reached_195) = success(&rewards);
    let per_decision = |count: Count| found.total(count, false) as f64 / found.samples.max(1) as f64;
    let machine = OnChip {
        reward: last_hundred,
        greedy_reward: None,
        spikes: per_decision(Count::Spikes),
        synops: per_decision(Count::StoredEvents),
        prices: prices(&image, &["input", "hidden", "actor", "critic"], &found)?,
    };
    Ok(Played {
        agent: Agent::OnChip(damping),
        seed,
        rewards,
        last_hundred,
        reached_195,
        spikes_per_decision: machine.spikes,
        neurons: Vec::new(),
        machine: Some(machine),
    })
}

fn counters(machine: &Machine<'_>) -> Vec<Vec<u64>> {
    (0..machine.image().pieces).map(|p| machine.counters(p).row().to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advantages_are_weighted_sums_of_the_critics_errors() {
        let found = advantages(&[3.0, 2.0]);
        assert!((found[1] - (1.0 - 2.0)).abs() < 1e-12);
        assert!((found[0] - (1.0 + 0.99 * 2.0 - 3.0 + 0.99 * 0.95 * (1.0 - 2.0))).abs() < 1e-12);
    }

    #[test]
    fn the_readout_learns_on_the_chip_for_every_seed_and_not_without_its_reward() {
        let encoder = StateEncoder::new(10.0, 8.0).unwrap();
        let mean = |part: &[u16]| part.iter().map(|r| f64::from(*r)).sum::<f64>() / part.len() as f64;
        let grown = |seed: u64, rate: f64| {
            let rewards = learn_on_chip(10.0, &encoder, seed, 160, rate).unwrap().rewards;
            (mean(&rewards[120..]) / mean(&rewards[..20]), mean(&rewards[120..]))
        };
        for seed in 1..4 {
            let (growth, end) = grown(seed, ACTOR_RATE);
            assert!(growth > 2.0 && end > 80.0, "seed {seed}: {growth} times, {end} steps");
        }
        // actions drawn at random keep the pole up for 22 steps in the mean
        let (growth, end) = grown(1, 0.0);
        assert!(growth < 1.5 && end < 35.0, "without reward: {growth} times, {end} steps");
    }
}
