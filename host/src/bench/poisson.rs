//! Poisson counts as a function of (seed, tick, neuron): the background of W3.
//!
//! The sum of the counts of a group is a Poisson number too, and each of the spikes that it stands for is any source's with
//! equal chance. So what is drawn is one number for the sum, and one for the source of every spike: the counts of the sources
//! are independent Poisson numbers, and most sources, which have none, cost nothing.

use synop_core::Kernels;
use synop_core::store::Loop;

use crate::simd::{DRAWN, Native, Numbers};

/// Largest count: at the rates of W3, less than one draw in 10¹¹ would be larger.
pub const MOST: u8 = 8;

/// Largest mean of a sum: its distribution function begins with numbers that a double can tell from nothing.
const SUM: f64 = 256.0;

/// Poisson sources, one per neuron, in groups of equal rate.
#[derive(Clone, Debug)]
pub struct Poisson {
    key: [u32; 2],
    groups: Vec<Group>,
    size: usize,
}

/// Sources whose sum is drawn as one number.
#[derive(Clone, Debug)]
struct Group {
    first: usize,
    size: usize,
    /// The sum if a uniform 32-bit number reaches none of the thresholds; each that it reaches adds one.
    least: usize,
    /// The distribution function in 2^-32.
    reached: Vec<u32>,
}

impl Group {
    fn new(first: usize, size: usize, mean: f64) -> Group {
        const ONE: f64 = (1u64 << 32) as f64;
        let mean = mean * size as f64;
        let (mut term, mut sum) = ((-mean).exp(), 0.0);
        let (mut least, mut reached) = (0, Vec::new());
        for k in 1.. {
            sum += term;
            let of = (sum * ONE).round();
            // Behind the mean, terms only fall: what is too small to be seen is the end.
            if of >= ONE || f64::from(k) > mean && term * ONE < 0.5 {
                break;
            }
            if of == 0.0 {
                least = k as usize
            } else {
                reached.push(of as u32)
            }
            term *= mean / f64::from(k);
        }
        Group { first, size, least, reached }
    }

    fn sum(&self, number: u32) -> usize {
        self.least + self.reached.partition_point(|r| number >= *r)
    }
}

impl Poisson {
    /// Sources for groups of (neurons, mean count per tick); means are below 1.
    pub fn new(seed: u64, groups: &[(usize, f64)]) -> Poisson {
        let (mut first, mut end) = (0, 0);
        let mut all = Vec::new();
        for &(size, mean) in groups {
            end += size;
            while first < end {
                let size = (end - first).min((SUM / mean).max(1.0) as usize);
                all.push(Group::new(first, size, mean));
                first += size;
            }
        }
        Poisson { key: [seed as u32, (seed >> 32) as u32], groups: all, size: end }
    }

    /// Number of sources.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The counts of a tick, one for each source, in `room`.
    pub fn draw<'r>(&self, kernels: &Native, tick: u64, room: &'r mut Room) -> &'r [u8] {
        let Room { numbers, sums, counts } = room;
        counts.clear();
        counts.resize(self.size, 0);
        let draw = |from: usize, to: usize, numbers: &mut Vec<Numbers>| {
            numbers.resize(numbers.len().max(to), [0; 2 * DRAWN]);
            kernels.numbers(self.key, tick as u32, (from * DRAWN) as u32, &mut numbers[from..to]);
        };
        let begun = self.groups.len().div_ceil(2 * DRAWN);
        draw(0, begun, numbers);
        sums.clear();
        sums.extend(self.groups.iter().zip(numbers.as_flattened()).map(|(group, number)| group.sum(*number)));
        let words = self.groups.len() + sums.iter().sum::<usize>();
        draw(begun, words.div_ceil(2 * DRAWN).max(begun), numbers);
        let mut numbers = &mut numbers.as_flattened_mut()[self.groups.len()..words];
        for (group, sum) in self.groups.iter().zip(sums) {
            let (places, others) = std::mem::take(&mut numbers).split_at_mut(*sum);
            kernels.run(Below { numbers: places, end: group.size as u32 });
            let counts = &mut counts[group.first..][..group.size];
            for place in places {
                let count = &mut counts[*place as usize];
                *count = count.wrapping_add(1);
            }
            numbers = others;
        }
        counts.iter_mut().for_each(|count| *count = (*count).min(MOST));
        counts
    }
}

/// Makes uniform 32-bit numbers such below `end`, in a loop that compilers make vectors of.
struct Below<'n> {
    numbers: &'n mut [u32],
    end: u32,
}

impl Loop for Below<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for number in self.numbers {
            *number = ((u64::from(*number) * u64::from(self.end)) >> 32) as u32;
        }
    }
}

/// Memory for [`Poisson::draw`], to be used again.
#[derive(Clone, Debug, Default)]
pub struct Room {
    numbers: Vec<Numbers>,
    sums: Vec<usize>,
    counts: Vec<u8>,
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
            for (i, n) in poisson.draw(&Native::detect(), tick, &mut room).iter().enumerate() {
                let group = [1_000, 1_003, 1_703].iter().position(|end| i < *end).unwrap();
                moments[group][0] += f64::from(*n);
                moments[group][1] += f64::from(*n).powi(2);
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
    fn sums_have_the_variance_of_the_distribution() {
        // The second is drawn in four parts.
        for (size, mean) in [(200, 0.1), (4_000, 0.25)] {
            let poisson = Poisson::new(9, &[(size, mean)]);
            let mut room = Room::default();
            let (ticks, mean) = (20_000, mean * size as f64);
            let mut moments = [0f64; 2];
            for tick in 0..ticks {
                let counts = poisson.draw(&Native::detect(), tick, &mut room);
                let sum: u32 = counts.iter().map(|n| u32::from(*n)).sum();
                moments[0] += f64::from(sum) - mean;
                moments[1] += (f64::from(sum) - mean).powi(2);
            }
            let [off, variance] = moments.map(|m| m / ticks as f64);
            assert!(off.abs() < 5.0 * (mean / ticks as f64).sqrt(), "mean {mean} and {off}");
            assert!(
                (variance / mean - 1.0).abs() < 5.0 * (2.1 / ticks as f64).sqrt(),
                "{variance} of {mean}"
            );
        }
    }

    #[test]
    fn ticks_and_neurons_are_independent_draws() {
        let poisson = Poisson::new(5, &[(4_000, 0.3)]);
        let (mut room, mut before) = (Room::default(), vec![0; 4_000]);
        let (mut next, mut later) = (0i64, 0i64);
        for tick in 0..500 {
            let counts = poisson.draw(&Native::detect(), tick, &mut room);
            let now: Vec<i32> = counts.iter().map(|n| i32::from(*n)).collect();
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
