//! Poisson counts as a function of (seed, tick, neuron): the background of W3.
//!
//! A count is the number of thresholds that a uniform 32-bit number reaches, where the thresholds are the
//! distribution function. Loops over neurons have no branches, so that they become vector instructions.

use synop_core::store::Event;

/// Largest count; for the rates here a larger one is rarer than 2^-32.
const MOST: usize = 12;
/// Blocks that are drawn at a time.
const LANES: usize = 16;

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

    /// Writes the counts of a tick that are not zero, as events in ascending order.
    pub fn draw(&self, tick: u64, counts: &mut Vec<i32>, events: &mut Vec<Event>) {
        // Two numbers of every block: even neurons, odd neurons.
        counts.resize(self.size.next_multiple_of(2 * LANES), 0);
        pulp::Arch::new().dispatch(Fill { sources: self, tick, counts: &mut counts[..] });
        // Every neuron writes, and only a count that is not zero moves on: no branch to guess.
        events.resize(self.size + 1, [0, 0]);
        let mut end = 0;
        for (i, n) in counts.iter().take(self.size).enumerate() {
            if let Some(e) = events.get_mut(end) {
                *e = [i as i32, *n];
            }
            end += usize::from(*n != 0);
        }
        events.truncate(end);
    }

    #[inline(always)]
    fn fill(&self, tick: u64, counts: &mut [i32]) {
        for (chunk, out) in counts.chunks_exact_mut(2 * LANES).enumerate() {
            // The two halves of a chunk take the two numbers of its blocks.
            let (left, right) = out.split_at_mut(LANES);
            let (a, b) = blocks(self.key, tick as u32, (chunk * LANES) as u32);
            for (half, numbers) in [(left, a), (right, b)] {
                for (o, n) in half.iter_mut().zip(numbers) {
                    *o = n as i32;
                }
            }
        }
        for (first, size, reached) in &self.groups {
            for c in &mut counts[*first..first + size] {
                let n = *c as u32;
                let mut count = 0;
                // Means are small: few thresholds matter, the others are met by no number that the first are not.
                for r in &reached[..6] {
                    count += i32::from(n >= *r);
                }
                *c = count;
            }
        }
    }
}

/// The counts of a tick, compiled for the widest vectors of the processor.
struct Fill<'a> {
    sources: &'a Poisson,
    tick: u64,
    counts: &'a mut [i32],
}

impl pulp::WithSimd for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        self.sources.fill(self.tick, self.counts);
    }
}

/// Consecutive blocks of Threefry-2x32 with 13 rounds, operation by operation for all of them: what
/// [`synop_core::draw::threefry2x32`] gives one by one.
#[inline(always)]
fn blocks(key: [u32; 2], low: u32, first: u32) -> ([u32; LANES], [u32; LANES]) {
    const TURNS: [u32; 13] = [13, 15, 26, 6, 17, 29, 16, 24, 13, 15, 26, 6, 17];
    let keys = [key[0], key[1], 0x1BD1_1BDA ^ key[0] ^ key[1]];
    let mut a = [low.wrapping_add(keys[0]); LANES];
    let mut b = [0; LANES];
    for (j, b) in (0..).zip(&mut b) {
        *b = first.wrapping_add(j).wrapping_add(keys[1]);
    }
    for (round, turn) in TURNS.into_iter().enumerate() {
        for (a, b) in a.iter_mut().zip(&mut b) {
            *a = a.wrapping_add(*b);
            *b = b.rotate_left(turn) ^ *a;
        }
        if round % 4 == 3 {
            let n = round / 4 + 1;
            let (x, y) = (keys[n % 3], keys[(n + 1) % 3].wrapping_add(n as u32));
            for (a, b) in a.iter_mut().zip(&mut b) {
                *a = a.wrapping_add(x);
                *b = b.wrapping_add(y);
            }
        }
    }
    (a, b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use synop_core::draw::threefry2x32;

    #[test]
    fn blocks_are_those_of_the_core() {
        let key = [0x1234_5678, 0x9abc_def0];
        let (a, b) = blocks(key, 77, 1_000);
        for (j, (a, b)) in (1_000..).zip(a.into_iter().zip(b)) {
            assert_eq!([a, b], threefry2x32::<13>(key, [77, j]));
        }
    }

    #[test]
    fn counts_have_the_mean_and_the_variance_of_the_distribution() {
        let groups = [(1_000, 0.128), (3, 0.5), (700, 0.232)];
        let poisson = Poisson::new(5, &groups);
        let (mut counts, mut events) = (Vec::new(), Vec::new());
        let mut moments = [[0f64; 2]; 3];
        let ticks = 2_000;
        for tick in 0..ticks {
            poisson.draw(tick, &mut counts, &mut events);
            assert!(events.is_sorted_by_key(|e| e[0]));
            for [i, n] in &events {
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
        let (mut counts, mut before, mut events) = (Vec::new(), vec![0; 4_000], Vec::new());
        let (mut next, mut later) = (0i64, 0i64);
        for tick in 0..500 {
            poisson.draw(tick, &mut counts, &mut events);
            let now = &counts[..4_000];
            next += now.windows(2).map(|w| i64::from(w[0] * w[1])).sum::<i64>();
            later += now.iter().zip(&before).map(|(a, b)| i64::from(a * b)).sum::<i64>();
            before.copy_from_slice(now);
        }
        for sum in [next, later] {
            let mean = sum as f64 / 2e6;
            assert!((mean - 0.09).abs() < 0.0015, "{mean}");
        }
    }
}
