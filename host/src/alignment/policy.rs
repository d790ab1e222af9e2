//! REINFORCE with a spiking policy whose input is the state's trajectory, and the same policy in integers.
//!
//! The state is divided by its largest magnitude, so that only its direction is seen, drives the mixed oscillator, and
//! the 12 channels go through a dense layer into three layers of 32 neurons chained one to one; two linear outputs are
//! summed over the steps. One update per episode: loss `Σ −log π(a)·G`, discount 0.99, no baseline, Adam.

use std::collections::BTreeMap;

use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use synop_core::{Count, Threefry, Unobserved};

use super::cartpole::CartPole;
use super::drive::{Drive, grid_of};
use super::integer::{Emulation, Integer, Price};
use super::point::STATE_SHIFT;
use crate::Failure;
use crate::local::TickWork;
use crate::simd::Native;
use crate::train::{
    Connection, Dense, InputGrid, Layer, Network, Neuron, Samples, Tape, Trainer, Training, forward, unit,
};

/// Discount of rewards.
pub(super) const DISCOUNT: f64 = 0.99;

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Agent {
    /// The spiking policy behind the mixed oscillator of this damping.
    Spiking(f64),
    /// A fixed random layer behind the oscillator, its readout learnt on the chip by reward ([`learn_on_chip`]).
    ///
    /// [`learn_on_chip`]: super::learn_on_chip
    OnChip(f64),
    /// Three rectified layers of 32 on the raw state.
    Perceptron,
}

/// A state as numbers of 16 bits, turned into trajectories by a table: what a sensor and a memory would do.
pub struct StateEncoder {
    /// `[value][step]`, values from −1 to 1 in steps of 2^−15.
    table: Vec<[[f32; 3]; STEPS]>,
    limit: f32,
    grid: Option<InputGrid>,
}

pub(super) const STEPS: usize = 5;
const TOP: i32 = 1 << 15;

impl StateEncoder {
    /// Integrates the trajectories of all values, saturated at ±`limit`.
    ///
    /// # Errors
    /// The work failed: the system diverged.
    pub fn new(damping: f64, limit: f32) -> Result<Self, Failure> {
        let drive = Drive { limit: Some(limit), ..Drive::mixed(damping) };
        let encoder = drive.encoder(1.0);
        let path = |k: i32| -> Result<[[f32; 3]; STEPS], Failure> {
            let path = encoder
                .path(f64::from(k) / f64::from(TOP))
                .map_err(|error| Failure::work(format_args!("the drive cannot be encoded: {error}")))?;
            Ok(std::array::from_fn(|t| std::array::from_fn(|a| path[t][a] as f32)))
        };
        // the system is odd but for the product x·y in ż, so both signs are integrated
        let table = (-TOP..=TOP).into_par_iter().map(path).collect::<Result<_, _>>()?;
        Ok(Self { table, limit, grid: None })
    }

    /// The same on the integers of a chip.
    #[must_use]
    pub fn on_grid(&self, grid: InputGrid) -> Self {
        Self { table: self.table.clone(), limit: self.limit, grid: Some(grid) }
    }

    /// The drive of a state: `[step][3·number + axis]`.
    pub fn encode(&self, state: [f64; 4]) -> [f32; STEPS * 12] {
        let most = state.iter().fold(0.0f64, |m, v| m.max(v.abs())).max(1e-12);
        let mut out = [0.0; STEPS * 12];
        for (j, value) in state.iter().enumerate() {
            let at = (value / most * f64::from(TOP)).round() as i32 + TOP;
            let Some(path) = self.table.get(at as usize) else { continue };
            for (step, point) in path.iter().enumerate() {
                for (axis, v) in point.iter().enumerate() {
                    let v = v.clamp(-self.limit, self.limit);
                    out[step * 12 + 3 * j + axis] = self.grid.map_or(v, |grid| grid.round(v));
                }
            }
        }
        out
    }
}

/// The spiking policy, untrained.
fn policy(seed: u64) -> Network {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let lif = Neuron::Lif { decay: 0.95, threshold: 1.0 };
    let dense = |from, to, random: &mut _| Connection::Dense(Dense::uniform(from, to, random));
    Network {
        layers: vec![
            Layer { connection: dense(12, 32, &mut random), neuron: lif },
            Layer { connection: Connection::Identity(32), neuron: lif },
            Layer { connection: Connection::Identity(32), neuron: lif },
            Layer { connection: dense(32, 2, &mut random), neuron: Neuron::Linear },
        ],
    }
}

/// What an agent learnt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Played {
    /// Who acted.
    pub agent: Agent,
    /// Seed of weights, actions and starts.
    pub seed: u64,
    /// Steps of each training episode.
    pub rewards: Vec<u16>,
    /// Mean of the last hundred.
    pub last_hundred: f64,
    /// First episode at which the mean of 50 reached 195.
    pub reached_195: Option<usize>,
    /// Spikes per decision in the last hundred episodes.
    pub spikes_per_decision: f64,
    /// Decay and threshold of each spiking layer.
    pub neurons: Vec<(f32, f32)>,
    /// The policy with 8-bit weights on the machine, if it spikes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<OnChip>,
}

/// The policy in integers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OnChip {
    /// Mean steps of the episodes that it played, actions drawn as in training.
    pub reward: f64,
    /// The same, taking the likelier action; absent for a policy that was still learning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greedy_reward: Option<f64>,
    /// Spikes per decision.
    pub spikes: f64,
    /// Synaptic operations per decision, graded inputs included.
    pub synops: f64,
    /// Energy and latency per decision by chip.
    pub prices: BTreeMap<String, Price>,
}

/// Mean of the last hundred rewards, and the episode by which a mean of 50 reached 195.
pub(super) fn success(rewards: &[u16]) -> (f64, Option<usize>) {
    let mean = |part: &[u16]| part.iter().map(|r| f64::from(*r)).sum::<f64>() / part.len().max(1) as f64;
    let last_hundred = mean(&rewards[rewards.len().saturating_sub(100)..]);
    (last_hundred, rewards.windows(50).position(|window| mean(window) >= 195.0).map(|k| k + 50))
}

/// Discounted sums of the rewards that follow, one reward per step.
fn returns(steps: usize) -> Vec<f64> {
    let mut tail = 0.0;
    let mut returns: Vec<f64> = (0..steps)
        .map(|_| {
            tail = 1.0 + DISCOUNT * tail;
            tail
        })
        .collect();
    returns.reverse();
    returns
}

pub(super) fn probability_of_right(logits: [f64; 2]) -> f64 {
    1.0 / (1.0 + (logits[0] - logits[1]).exp())
}

/// Trains an agent for a number of episodes.
///
/// # Errors
/// Those of [`Integer`].
pub fn train_agent(
    agent: Agent,
    encoder: Option<&StateEncoder>,
    seed: u64,
    episodes: usize,
    machine_episodes: usize,
) -> Result<Played, Failure> {
    let network = match agent {
        Agent::Spiking(_) | Agent::OnChip(_) => policy(seed),
        Agent::Perceptron => Network::perceptron(&[4, 32, 32, 32, 2], seed),
    };
    let (steps, inputs) = if encoder.is_some() { (STEPS, 12) } else { (1, 4) };
    let training = Training { learning_rate: 1e-3, ..Training::default() };
    let mut trainer = Trainer::new(network, &training);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0xac70_0501);
    let mut cart = CartPole::new(seed);
    let mut tape = Tape::default();
    let (mut rewards, mut spikes, mut decisions) = (Vec::with_capacity(episodes), 0u64, 0u64);
    for episode in 0..episodes {
        cart.restart();
        let mut samples = Samples::new(steps, inputs);
        loop {
            match encoder {
                Some(encoder) => samples.push(&encoder.encode(cart.state), 0),
                None => samples.push(&cart.state.map(|v| v as f32), 0),
            }
            let now = samples.len() - 1;
            let network = trainer.network();
            forward(network, &samples, &[now as u32], None, false, &mut tape);
            let last = network.layers.len() - 1;
            let logit = |k: usize| (0..steps).map(|t| f64::from(tape.membranes(last, 0, t)[k])).sum::<f64>();
            let right = f64::from(unit(&mut random)) < probability_of_right([logit(0), logit(1)]);
            samples.relabel(now, u8::from(right));
            if encoder.is_some() && episode + 100 >= episodes {
                decisions += 1;
                let of =
                    |layer: usize| (0..steps).map(|t| tape.outputs(layer, 0, t).len() as u64).sum::<u64>();
                spikes += (0..last).map(of).sum::<u64>();
            }
            if !cart.push(right) {
                break;
            }
        }
        let returns = returns(samples.len());
        let chosen: Vec<u32> = (0..samples.len() as u32).collect();
        let labels = samples.labels();
        trainer.update(&samples, &chosen, |k, trace, gradient| {
            let stride = trace.len() / steps;
            let logit = |k: usize| trace.chunks(stride).map(|row| f64::from(row[k])).sum::<f64>();
            let p = probability_of_right([logit(0), logit(1)]) as f32;
            let action = usize::from(labels[k]);
            let value = returns[k] as f32;
            for row in gradient.chunks_mut(stride) {
                row[0] = value * ((1.0 - p) - if action == 0 { 1.0 } else { 0.0 });
                row[1] = value * (p - if action == 1 { 1.0 } else { 0.0 });
            }
            -value * if action == 1 { p } else { 1.0 - p }.max(1e-30).ln()
        });
        rewards.push(samples.len() as u16);
    }
    let (last_hundred, reached_195) = success(&rewards);
    let machine = match (agent, encoder) {
        (Agent::Spiking(damping), Some(encoder)) if machine_episodes > 0 => {
            Some(play_on_machine(trainer.network(), encoder, damping, seed, machine_episodes)?)
        }
        _ => None,
    };
    Ok(Played {
        agent,
        seed,
        last_hundred,
        reached_195,
        spikes_per_decision: spikes as f64 / decisions.max(1) as f64,
        neurons: trainer.network().decays_and_thresholds(),
        rewards,
        machine,
    })
}

/// Plays with 8-bit weights on the machine: half of the counts are of drawn actions, half of the likelier ones.
fn play_on_machine(
    network: &Network,
    encoder: &StateEncoder,
    damping: f64,
    seed: u64,
    episodes: usize,
) -> Result<OnChip, Failure> {
    let grid = grid_of(damping);
    let encoder = encoder.on_grid(grid);
    let integer = Integer::new(network, 8, STATE_SHIFT, Some(grid))?;
    let mut arena = vec![0u64; integer.words()?];
    let mut machine = integer.machine(&mut arena)?;
    let (kernels, mut draws) = (Native::detect(), Threefry::<13>::new(seed));
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x0c41);
    let mut cart = CartPole::new(seed ^ 0x7e57);
    let mut found = Emulation::default();
    let mut totals = [0u64; 2];
    let unit_of_output = integer.unit_of_output();
    let last = network.layers.len() as u32;
    for greedy in [false, true] {
        for _ in 0..episodes {
            cart.restart();
            loop {
                machine.rest();
                let drive = encoder.encode(cart.state);
                let mut logits = [0.0; 2];
                for row in drive.chunks_exact(12) {
                    let values: Vec<i32> = row.iter().map(|v| grid.integer(*v)).collect();
                    let before = TickWork::of(&machine);
                    machine
                        .drive(0, &values)
                        .map_err(|error| Failure::bad_input(format_args!("input: {error}")))?;
                    machine.step(&kernels, &mut draws, &mut Unobserved);
                    for (sum, v) in logits.iter_mut().zip(machine.membranes(last)) {
                        *sum += f64::from(*v) * unit_of_output;
                    }
                    let after = TickWork::of(&machine);
                    found.work.push(TickWork {
                        events: after.events - before.events,
                        updates: after.updates - before.updates,
                        spikes: after.spikes - before.spikes,
                        packets: after.packets - before.packets,
                    });
                }
                found.ticks += STEPS as u64;
                found.samples += 1;
                totals[usize::from(greedy)] += 1;
                let p = probability_of_right(logits);
                let right = if greedy { p > 0.5 } else { f64::from(unit(&mut random)) < p };
                if !cart.push(right) {
                    break;
                }
            }
        }
    }
    found.counters = (0..machine.image().pieces).map(|p| machine.counters(p).row().to_vec()).collect();
    let per_decision = |count: Count| found.total(count, false) as f64 / found.samples.max(1) as f64;
    Ok(OnChip {
        reward: totals[0] as f64 / episodes.max(1) as f64,
        greedy_reward: Some(totals[1] as f64 / episodes.max(1) as f64),
        spikes: per_decision(Count::Spikes),
        synops: per_decision(Count::StoredEvents),
        prices: integer.prices(&found)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_are_discounted_sums_of_what_follows() {
        let found = returns(3);
        assert_eq!(found[2], 1.0);
        assert!((found[0] - (1.0 + 0.99 * (1.0 + 0.99))).abs() < 1e-12);
    }

    #[test]
    fn the_policy_sees_the_trajectories_of_the_drive_and_learns_to_balance_longer() {
        let encoder = StateEncoder::new(10.0, 8.0).unwrap();
        let drive = encoder.encode([0.02, -0.04, 0.0, 0.01]);
        let path = Drive::mixed(10.0).encoder(1.0).path(-1.0).unwrap();
        for (step, point) in path.iter().enumerate() {
            for (axis, v) in point.iter().enumerate() {
                assert!((f64::from(drive[step * 12 + 3 + axis]) - v).abs() < 1e-6);
            }
        }
        let grid = grid_of(10.0);
        let rounded = encoder.on_grid(grid).encode([0.02, -0.04, 0.0, 0.01]);
        assert!(rounded.iter().all(|v| grid.round(*v) == *v));
        assert!(rounded.iter().zip(&drive).all(|(a, b)| (a - b).abs() <= grid.step / 2.0 + 1e-6));

        let mean = |part: &[u16]| part.iter().map(|r| f64::from(*r)).sum::<f64>() / part.len() as f64;
        let played = train_agent(Agent::Spiking(10.0), Some(&encoder), 1, 300, 2).unwrap();
        assert!(mean(&played.rewards[240..]) > 1.5 * mean(&played.rewards[..60]), "{:?}", played.rewards);
        let machine = played.machine.unwrap();
        assert!(machine.reward > 9.0 && machine.spikes > 1.0 && machine.synops > 60.0, "{machine:?}");
        let again = train_agent(Agent::Spiking(10.0), Some(&encoder), 1, 40, 0).unwrap();
        assert_eq!(played.rewards[..40], again.rewards);
    }
}
