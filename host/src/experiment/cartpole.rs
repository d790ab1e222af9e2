//! `cartpole`: REINFORCE with a spiking policy behind several dampings, a perceptron and on-chip learning beside it.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::alignment::refused;
use super::{Context, Experiment, Outcome, Pieces, Whole};
use crate::Failure;
use crate::alignment::{
    ACTOR_RATE, Agent, Played, StateEncoder, learn_on_chip, mean_and_deviation, train_agent,
};
use crate::plot::Xy;
use crate::report::{Counts, Figure, Report, Section, Task};

/// The keys of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CartPoleTask {
    /// Dampings of the spiking policies.
    damping: Vec<f64>,
    /// Policies of three spiking layers, trained by backpropagation through time.
    #[serde(default = "yes")]
    backpropagation: bool,
    /// Also a perceptron on the raw state.
    #[serde(default)]
    perceptron: bool,
    /// Also, for each damping, a policy whose readout learns on the chip by its reward.
    #[serde(default)]
    on_chip: bool,
    seeds: Whole<1, 1000>,
    episodes: Whole<1, 100_000>,
    /// Episodes that each trained policy plays in 8-bit integers on the machine.
    #[serde(default = "twenty")]
    machine_episodes: Whole<0, 10_000>,
    /// Saturation of the drives; the study has none.
    #[serde(default = "chip_limit")]
    limit: f32,
}

/// Where the inputs of the chip saturate.
fn chip_limit() -> f32 {
    8.0
}

fn yes() -> bool {
    true
}

fn twenty() -> Whole<0, 10_000> {
    Whole::new(20)
}

impl Experiment for CartPoleTask {
    const NAME: &'static str = "cartpole";
    const ABOUT: &'static str =
        "balance a pole with a spiking policy: reward, spikes and energy per decision";

    fn check(&self) -> Result<(), Failure> {
        if !(self.backpropagation || self.on_chip || self.perceptron) {
            return Err(refused("backpropagation", false, "true, or on_chip or perceptron true"));
        }
        if !(self.limit > 0.0 && self.limit.is_finite()) {
            return Err(refused("limit", self.limit, "a number above 0"));
        }
        if self.limit > chip_limit() && (self.on_chip || self.machine_episodes.get() > 0) {
            return Err(refused(
                "limit",
                self.limit,
                "8 at most, where the chip saturates, or on_chip = false and machine_episodes = 0",
            ));
        }
        match self.damping.iter().find(|d| !(-2.0..=40.0).contains(*d)) {
            Some(damping) => Err(refused("damping", damping, "numbers from -2 to 40")),
            None => Ok(()),
        }
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let mut agents: Vec<Agent> = Vec::new();
        if self.backpropagation {
            agents.extend(self.damping.iter().map(|d| Agent::Spiking(*d)));
        }
        if self.on_chip {
            agents.extend(self.damping.iter().map(|d| Agent::OnChip(*d)));
        }
        if self.perceptron {
            agents.push(Agent::Perceptron);
        }
        let seeds = context.seed..context.seed + self.seeds.get() as u64;
        let jobs: Vec<(Agent, u64)> =
            agents.iter().flat_map(|agent| seeds.clone().map(move |seed| (*agent, seed))).collect();
        let encoders: Vec<StateEncoder> = self
            .damping
            .iter()
            .map(|damping| StateEncoder::new(*damping, self.limit))
            .collect::<Result<_, _>>()?;
        let progress = context.progress("agents", jobs.len() as u64);
        let pieces = Pieces::of(context.checkpoint("played"));
        let (episodes, on_machine) = (self.episodes.size(), self.machine_episodes.size());
        let encoder =
            |damping: f64| self.damping.iter().position(|d| *d == damping).and_then(|k| encoders.get(k));
        let one = |&(agent, seed): &(Agent, u64)| {
            let make = || match agent {
                Agent::Spiking(d) => train_agent(agent, encoder(d), seed, episodes, on_machine),
                Agent::OnChip(d) => {
                    let encoder = encoder(d).ok_or_else(|| Failure::work("an agent without its drive"))?;
                    learn_on_chip(d, encoder, seed, episodes, ACTOR_RATE)
                }
                Agent::Perceptron => train_agent(agent, None, seed, episodes, 0),
            };
            let played = pieces.piece(&format!("{agent:?}, seed {seed}"), make);
            progress.add(1, 0);
            played
        };
        let all: Vec<Played> = jobs.par_iter().map(one).collect::<Result<_, _>>()?;
        progress.finish();
        let mut report = Report::new(context.seed);
        let assumptions = [
            (
                "environment",
                "CartPole-v1: Euler steps of 0.02 s, force 10 N, ends at 2.4 m, 12° or 500 steps",
            ),
            ("state", "divided by its largest magnitude, 16 bits, one trajectory per number"),
            ("learning", "REINFORCE, discount 0.99, no baseline, Adam 1e-3, one update per episode"),
            (
                "on-chip learning",
                "readout of a fixed random layer, 8-bit integers; advantages (discount 0.99, weight 0.95 per step back) over their usual size, broadcast after each episode",
            ),
            (
                "machine",
                "8-bit weights rounded after training in float; actions drawn, then the likelier one",
            ),
        ];
        report.profile = assumptions.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
        let mut rows = Vec::new();
        let mut plot = Xy::new("Learning to balance", "episode", "steps, mean of 25 episodes and all seeds");
        for agent in &agents {
            let of: Vec<&Played> = all.iter().filter(|played| played.agent == *agent).collect();
            rows.push(row(*agent, &of));
            report.runs.push(run_of(context.seed, *agent, &of));
            let curve = (0..episodes / 25).map(|k| {
                let part = of.iter().flat_map(|p| p.rewards.iter().skip(25 * k).take(25));
                (
                    25.0 * k as f64 + 12.5,
                    part.map(|r| f64::from(*r)).sum::<f64>() / (25 * of.len().max(1)) as f64,
                )
            });
            plot = plot.line(&name(*agent), curve);
        }
        report.more.insert("agents".into(), rows.into());
        Ok(Outcome::from(report).figure(Figure::new(
            Section::Results,
            &plot,
            "Steps that the pole stayed up.",
        )))
    }
}

fn name(agent: Agent) -> String {
    match agent {
        Agent::Spiking(damping) => format!("damping {damping}"),
        Agent::OnChip(damping) => format!("damping {damping}, learnt on chip"),
        Agent::Perceptron => "perceptron".to_owned(),
    }
}

fn row(agent: Agent, of: &[&Played]) -> Value {
    let each = |value: &dyn Fn(&Played) -> Option<f64>| {
        let values: Vec<f64> = of.iter().filter_map(|p| value(p)).collect();
        let (mean, deviation) = mean_and_deviation(&values);
        json!({"mean": mean, "deviation": deviation, "values": values})
    };
    let mut chips: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for machine in of.iter().filter_map(|p| p.machine.as_ref()) {
        for (chip, price) in &machine.prices {
            if let Some(energy) = price.energy_j {
                chips.entry(chip.clone()).or_default().push(energy.nominal);
            }
        }
    }
    let energy: serde_json::Map<String, Value> =
        chips.into_iter().map(|(chip, values)| (chip, mean_and_deviation(&values).0.into())).collect();
    let reached: Vec<usize> = of.iter().filter_map(|p| p.reached_195).collect();
    json!({
        "agent": agent,
        "last_hundred": each(&|p| Some(p.last_hundred)),
        "seeds_at_195_and_more": of.iter().filter(|p| p.last_hundred >= 195.0).count(),
        "seeds_that_reached_195": reached.len(),
        "episode_of_195": reached,
        "best_episode": each(&|p| p.rewards.iter().max().map(|r| f64::from(*r))),
        "spikes_per_decision": each(&|p| Some(p.spikes_per_decision)),
        "machine_reward": each(&|p| p.machine.as_ref().map(|m| m.reward)),
        "machine_greedy_reward": each(&|p| p.machine.as_ref().and_then(|m| m.greedy_reward)),
        "machine_spikes_per_decision": each(&|p| p.machine.as_ref().map(|m| m.spikes)),
        "machine_synops_per_decision": each(&|p| p.machine.as_ref().map(|m| m.synops)),
        "energy_j_per_decision": energy,
    })
}

fn run_of(seed: u64, agent: Agent, of: &[&Played]) -> Report {
    let mean =
        |value: fn(&Played) -> f64| mean_and_deviation(&of.iter().map(|p| value(p)).collect::<Vec<_>>()).0;
    let decisions: f64 =
        of.iter().flat_map(|p| p.rewards.iter().rev().take(100)).map(|r| f64::from(*r)).sum();
    let mut run = Report::labelled(seed, &name(agent));
    let mut task = Task { samples: decisions as u64, ..Task::default() };
    task.more.insert("reward_last_hundred".into(), json!(mean(|p| p.last_hundred)));
    run.task = Some(task);
    run.counts = Some(Counts {
        neurons_fired: (mean(|p| p.spikes_per_decision) * decisions) as u64,
        ..Counts::default()
    });
    run
}
