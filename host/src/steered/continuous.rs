//! Relaxation in continuous time: neurons update one at a time, in an order that a priority queue keeps.
//!
//! The machine has ticks; here the host picks the next neuron and the machine updates it and delivers its change at
//! once ([`Machine::update_neuron`]). With [`Priority::Clock`] every neuron has its own Poisson clock of rate 1, the
//! usual asynchronous dynamics; with [`Priority::MostUnstable`] the neuron that disagrees most with its field goes
//! first, and priorities change with every flip.

use std::cmp::Reverse;

use priority_queue::PriorityQueue;
use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};
use synop_core::{Kernels, Machine, Unobserved};

use super::data::uniform;

/// Who is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// The neuron whose clock rings first.
    Clock,
    /// The neuron that disagrees most with its field; the first of equals.
    MostUnstable,
}

/// What a relaxation came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Settled {
    /// Neurons updated.
    pub updates: u64,
    /// Changes, first writes included.
    pub changes: u64,
    /// Time until the last change, in mean intervals of a clock; 0 without clocks.
    pub time: f64,
    /// Whether nothing wants to change any more.
    pub settled: bool,
}

/// Relaxes the pieces of a machine whose inputs have been put in, until nothing wants to change or `most` updates.
///
/// The pieces are sequential, with synapses without delay, as [`synop_model::attractor`] builds them for sequential
/// orders; the phase is the machine's present one. Deterministic for a seed.
pub fn relax<K: Kernels>(
    machine: &mut Machine<'_>,
    pieces: &[u32],
    priority: Priority,
    most: u64,
    seed: u64,
    kernels: &K,
) -> Settled {
    machine.deliver_inputs(kernels);
    match priority {
        Priority::Clock => clocks(machine, pieces, most, seed, kernels),
        Priority::MostUnstable => most_unstable(machine, pieces, most, kernels),
    }
}

fn neurons(machine: &Machine<'_>, pieces: &[u32]) -> Vec<(u32, u32)> {
    let count = |p: u32| machine.image().piece(p).map_or(0, |piece| piece.count);
    pieces.iter().flat_map(|p| (0..count(*p)).map(|i| (*p, i))).collect()
}

/// Positive times as integers in the same order.
fn key(time: f64) -> Reverse<u64> {
    Reverse(time.to_bits())
}

fn clocks<K: Kernels>(
    machine: &mut Machine<'_>,
    pieces: &[u32],
    most: u64,
    seed: u64,
    kernels: &K,
) -> Settled {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut wait = || -(1.0 - uniform(&mut random)).ln();
    let all = neurons(machine, pieces);
    let mut queue: PriorityQueue<(u32, u32), Reverse<u64>> = all.iter().map(|n| (*n, key(wait()))).collect();
    let (mut result, mut quiet) = (Settled::default(), 0usize);
    while result.updates < most {
        // Nobody changed for a while: look whether anybody wants to.
        if quiet >= all.len() {
            if machine.is_settled() {
                result.settled = true;
                break;
            }
            quiet = 0;
        }
        let Some((neuron, time)) = queue.pop() else { break };
        let now = f64::from_bits(time.0);
        result.updates += 1;
        quiet += 1;
        if machine.update_neuron(neuron.0, neuron.1, kernels, &mut Unobserved) != 0 {
            (result.changes, result.time, quiet) = (result.changes + 1, now, 0);
        }
        queue.push(neuron, key(now + wait()));
    }
    result
}

/// By how much a neuron wants to change; below zero: not at all.
fn wish(machine: &Machine<'_>, (piece, neuron): (u32, u32)) -> i64 {
    let state = machine.membranes(piece).get(neuron as usize).copied().unwrap_or(0);
    let field = i64::from(machine.field(piece, neuron).unwrap_or(0));
    match state {
        0 => field.abs().saturating_add(1),
        // A field of zero is a wish only of a state that ties would change.
        s if field == 0 => i64::from(s < 0) - 1,
        s => -field * i64::from(s),
    }
}

/// Neurons by their wish; the first of equals goes first.
type Wishes = PriorityQueue<(u32, u32), (i64, Reverse<(u32, u32)>)>;

fn most_unstable<K: Kernels>(machine: &mut Machine<'_>, pieces: &[u32], most: u64, kernels: &K) -> Settled {
    let all = neurons(machine, pieces);
    let rank = |n: (u32, u32)| Reverse(n);
    let mut queue: Wishes = all.iter().map(|n| (*n, (wish(machine, *n), rank(*n)))).collect();
    let mut result = Settled::default();
    while result.updates < most {
        let Some((&neuron, &(wish_now, _))) = queue.peek() else { break };
        if wish_now < 0 {
            result.settled = true;
            break;
        }
        result.updates += 1;
        if machine.update_neuron(neuron.0, neuron.1, kernels, &mut Unobserved) == 0 {
            // A tie that keeps its state.
            queue.change_priority(&neuron, (-1, rank(neuron)));
            continue;
        }
        result.changes += 1;
        for n in &all {
            queue.change_priority(n, (wish(machine, *n), rank(*n)));
        }
    }
    result
}
