//! Relaxation in floating point: asynchronous in two orders, and synchronous.
//!
//! A neuron takes the sign of its field plus `J_D` times its state. Only a flip costs work: it sends one
//! column of couplings. A state that passes a whole sweep unchanged is tested once more with fields
//! computed afresh, so that rounding cannot invent a fixed point.

use crate::network::Network;
use rand::Rng;
use rand::seq::SliceRandom;

/// Order of the updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// Every neuron once per sweep, in a new random order each time; a change acts at once.
    Permutation,
    /// As many random neurons per sweep as there are, with replacement; a change acts at once.
    Replacement,
    /// All neurons read the old state.
    Synchronous,
}

impl Schedule {
    /// Name as in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Permutation => "async_perm",
            Self::Replacement => "async_replace",
            Self::Synchronous => "sync",
        }
    }

    /// The schedule of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Permutation, Self::Replacement, Self::Synchronous].into_iter().find(|s| s.name() == name)
    }
}

/// How a relaxation ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    /// At a fixed point, after this many sweeps.
    FixedPoint {
        /// Sweeps until nothing changed any more.
        sweeps: u32,
    },
    /// In a cycle of two states (synchronous updates only).
    TwoCycle,
    /// Still changing at the last sweep.
    Unsettled {
        /// Flips per neuron and sweep in the second half of the run.
        activity: f64,
    },
}

/// Sweeps between two computations of all fields afresh.
const REFRESH: u32 = 256;

/// Relaxes `state` (one ±1 per neuron) for at most `sweeps` sweeps.
pub fn relax(
    network: &Network,
    state: &mut [f32],
    schedule: Schedule,
    sweeps: u32,
    rng: &mut impl Rng,
) -> End {
    let n = network.neurons().min(state.len());
    let mut fields = network.fields(state);
    let mut order: Vec<u32> = (0..n as u32).collect();
    let mut flipped: Vec<u32> = Vec::new();
    let mut previous: Vec<u32> = Vec::new();
    let mut late_flips = 0u64;
    for sweep in 0..sweeps {
        if sweep % REFRESH == REFRESH - 1 {
            fields = network.fields(state);
        }
        let quiet = match schedule {
            Schedule::Synchronous => {
                std::mem::swap(&mut flipped, &mut previous);
                synchronous(network, state, &mut fields, &mut flipped);
                // Flipping the same neurons twice in succession brings back the state before.
                if sweep > 0 && !flipped.is_empty() && flipped == previous {
                    return End::TwoCycle;
                }
                flipped.is_empty()
            }
            Schedule::Permutation => {
                order.shuffle(rng);
                flipped.clear();
                asynchronous(network, state, &mut fields, order.iter().copied(), &mut flipped);
                flipped.is_empty()
            }
            Schedule::Replacement => {
                if settled(network, state, &fields) {
                    flipped.clear();
                    true
                } else {
                    flipped.clear();
                    let draws = (0..n).map(|_| rng.random_range(0..n as u32));
                    asynchronous(network, state, &mut fields, draws, &mut flipped);
                    false
                }
            }
        };
        if quiet {
            fields = network.fields(state);
            if settled(network, state, &fields) {
                return End::FixedPoint { sweeps: sweep };
            }
        }
        if sweep >= sweeps / 2 {
            late_flips += flipped.len() as u64;
        }
    }
    if settled(network, state, &network.fields(state)) {
        return End::FixedPoint { sweeps };
    }
    let measured = f64::from(sweeps - sweeps / 2) * n as f64;
    End::Unsettled { activity: if measured > 0.0 { late_flips as f64 / measured } else { 0.0 } }
}

/// Whether no neuron wants to flip.
fn settled(network: &Network, state: &[f32], fields: &[f32]) -> bool {
    let own = network.self_coupling();
    fields.iter().zip(state).all(|(h, s)| h * s + own > 0.0)
}

/// One sweep in which all read the old state; lists who flipped.
fn synchronous(network: &Network, state: &mut [f32], fields: &mut [f32], flipped: &mut Vec<u32>) {
    let own = network.self_coupling();
    flipped.clear();
    flipped.extend(
        (0u32..).zip(state.iter().zip(&*fields)).filter(|(_, (s, h))| *s * *h + own <= 0.0).map(|(i, _)| i),
    );
    for &i in &*flipped {
        let s = &mut state[i as usize];
        *s = -*s;
        network.deliver(i as usize, 2.0 * *s, fields);
    }
}

/// Updates the listed neurons one after the other; lists who flipped.
fn asynchronous(
    network: &Network,
    state: &mut [f32],
    fields: &mut [f32],
    order: impl Iterator<Item = u32>,
    flipped: &mut Vec<u32>,
) {
    let own = network.self_coupling();
    for i in order {
        let neuron = i as usize;
        if state[neuron] * fields[neuron] + own <= 0.0 {
            state[neuron] = -state[neuron];
            network.deliver(neuron, 2.0 * state[neuron], fields);
            flipped.push(i);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Recipe, random_state, stream};

    #[test]
    fn a_fixed_point_stays_and_every_schedule_ends_at_one_with_strong_self_coupling() {
        let mut rng = stream(11, 0);
        let network = Recipe::module(150, 1.2).draw(&mut rng).unwrap();
        for schedule in [Schedule::Permutation, Schedule::Replacement, Schedule::Synchronous] {
            let mut state = random_state(150, &mut rng);
            let end = relax(&network, &mut state, schedule, 500, &mut rng);
            assert!(matches!(end, End::FixedPoint { .. }), "{schedule:?}: {end:?}");
            assert_eq!(network.violated(&state), 0);
            let before = state.clone();
            assert_eq!(relax(&network, &mut state, schedule, 10, &mut rng), End::FixedPoint { sweeps: 0 });
            assert_eq!(state, before);
        }
    }

    #[test]
    fn symmetric_couplings_without_self_coupling_cycle_under_synchronous_updates() {
        let mut rng = stream(5, 0);
        let network = Recipe { symmetry: 1.0, ..Recipe::module(200, 0.0) }.draw(&mut rng).unwrap();
        let mut state = random_state(200, &mut rng);
        assert_eq!(relax(&network, &mut state, Schedule::Synchronous, 1000, &mut rng), End::TwoCycle);
    }

    #[test]
    fn without_self_coupling_half_of_the_neurons_flip_in_every_synchronous_sweep() {
        let mut rng = stream(6, 0);
        let network = Recipe::module(1000, 0.0).draw(&mut rng).unwrap();
        let mut state = random_state(1000, &mut rng);
        let End::Unsettled { activity } = relax(&network, &mut state, Schedule::Synchronous, 100, &mut rng)
        else {
            panic!("settled")
        };
        assert!((activity - 0.5).abs() < 0.006, "{activity}");
    }
}
