//! Poisson counts as a function of (seed, tick, neuron): the background of W3.
//!
//! A count is the number of thresholds that a uniform 32-bit number reaches, where the thresholds are the
//! distribution function.

use synop_core::store::Event;

use crate::simd::{DRAWN, Native, Numbers};

/// Largest count: at the rates of W3, one draw in 10^8 would be larger.
const MOST: usize = 6;

/// Poisson sources, one per neuron, in groups of equal rate.
#[derive(Clone, Debug)]
pub struct Poisson {
    key: [u32; 2],
    /// First neuron, number of neurons, and the distribution function in 2^-32.
    groups: Vec<(usize, usize, [u32; MOST])>,
    size: usize,
}

impl Poisson {
    /// Sources for groups of (neurons, mean count per tick); means are below 1.
    pub fn new(seed: u64, groups: &[(usize, f64)]) -> Poisson {
        let mut first = 0;
        let mut all = Vec::new();
        for (size, mean) in groups {
            let (mut term, mut sum) = ((-mean).exp(), 0.0);
            let mut reached = [u32::MAX; MOST];
            for (k, r) in reached.iter_mut().enumerate() {
                sum += term;
                term *= mean / (k + 1) as f64;
                *r = (sum * 2f64.powi(32)).round().min(f64::from(u32::MAX)) as u32;
            }
            all.push((first, *size, reached));
            first += size;
        }
        Poisson { key: [seed as u32, (seed >> 32) as u32], groups: all, size: first }
    }

    /// Number of sources.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The counts of a tick that are not zero, as events in ascending order, in `room`.
    pub fn draw<'r>(&self, kernels: &Native, tick: u64, room: &'r mut Room) -> &'r mut [Event] {
        // What no neuron can send makes vectors whole.
        room.events.resize(self.size + 16, [0, 0]);
        let mut end = 0;
        for start in (0..self.size).step_by(AT_ONCE) {
            let stop = (start + AT_ONCE).min(self.size);
            let numbers = &mut room.numbers[..(stop - start).div_ceil(2 * DRAWN)];
            // A block has two numbers.
            kernels.numbers(self.key, tick as u32, (start / 2) as u32, numbers);
            for (first, size, reached) in &self.groups {
                let (from, to) = ((*first).max(start), (first + size).min(stop));
                if from < to {
                    let numbers = &numbers.as_flattened()[from - start..to - start];
                    end += kernels.reach(numbers, from as i32, reached, &mut room.events[end..]);
                }
            }
        }
        &mut room.events[..end]
    }
}

/// Sources that are drawn at a time: their numbers stay in the first cache.
const AT_ONCE: usize = 64 * 2 * DRAWN;

/// Memory for [`Poisson::draw`], to be used again.
#[derive(Clone, Debug)]
pub struct Room {
    numbers: [Numbers; AT_ONCE / (2 * DRAWN)],
    events: Vec<Event>,
}

impl Default for Room {
    fn default() -> Self {
        Room { numbers: [[0; 2 * DRAWN]; AT_ONCE / (2 * DRAWN)], events: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_the_mean_and_the_variance_of_the_distribution() {
        let groups = [(1_000, 0.128), (3, 0.5), (700, 0.232)];
        let poisson = Poisson::new(5, &groups);
        let mut room = Room::default();
        let mut moments = [[0f64; 2]; 3];
        let ticks = 2_000;
        for tick in 0..ticks {
            let events = poisson.draw(&Native::detect(), tick, &mut room);
            assert!(events.is_sorted_by_key(|e| e[0]));
            for [i, n] in &*events {
                let group = [1_000, 1_003, 1_703].iter().position(|end| i < end).unwrap();
                moments[group][0] += f64::from(*n);
                moments[group][1] += f64::from(n * n);
            }
        }
        for ((size, mean), [sum, squares]) in groups.iter().zip(moments) {
            let draws = (*size as u64 * ticks) as f64;
            let (m, v) = (sum / draws, squares / draws - (sum / draws).powi(2));
            let error = 5.0 * (mean / draws).sqrt();
            assert!((m - mean).abs() < error, "mean {m}, {mean} expected");
            // The variance of a variance is below 2 mean² + mean per draw.
            let error = 5.0 * ((2.0 * mean * mean + mean) / draws).sqrt();
            assert!((v - mean).abs() < error, "variance {v}, {mean} expected");
        }
    }

    #[test]
    fn ticks_and_neurons_are_independent_draws() {
        let poisson = Poisson::new(5, &[(4_000, 0.3)]);
        let (mut room, mut before) = (Room::default(), vec![0; 4_000]);
        let (mut next, mut later) = (0i64, 0i64);
        for tick in 0..500 {
            let events = poisson.draw(&Native::detect(), tick, &mut room);
            let mut now = vec![0; 4_000];
            events.iter().for_each(|e| now[e[0] as usize] = e[1]);
            next += now.windows(2).map(|w| i64::from(w[0] * w[1])).sum::<i64>();
            later += now.iter().zip(&before).map(|(a, b)| i64::from(a * b)).sum::<i64>();
            before = now;
        }
        for sum in [next, later] {
            let mean = sum as f64 / 2e6;
            assert!((mean - 0.09).abs() < 0.0015, "{mean}");
        }
    }
}
