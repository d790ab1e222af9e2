//! Every state of a small network, one flip at a time.
//!
//! Walking the states in Gray-code order changes one neuron per step, so that a step costs one column of
//! couplings. A state and its mirror image are fixed points together; half of the states suffices.

use crate::error::Error;
use crate::network::Network;
use rayon::prelude::*;

/// Largest number of neurons that is enumerated.
pub const MOST_NEURONS: usize = 24;

/// States walked before the fields are computed afresh, which bounds rounding and feeds the threads.
const CHUNK_BITS: usize = 13;

/// Counts the fixed points of a network of 2 to 24 neurons in all layers.
///
/// # Errors
/// [`Error::Size`] for any other number of neurons.
pub fn count(network: &Network) -> Result<u64, Error> {
    let table = Table::new(network)?;
    Ok((0..table.chunks()).into_par_iter().map(|chunk| table.walk(chunk, |_| {})).sum())
}

/// Lists the fixed points as bit patterns: bit `i` is set where neuron `i` is +1. Ascending order.
///
/// # Errors
/// As [`count`].
pub fn list(network: &Network) -> Result<Vec<u32>, Error> {
    let table = Table::new(network)?;
    let all = if table.neurons == 32 { u32::MAX } else { (1u32 << table.neurons) - 1 };
    let mut states: Vec<u32> = (0..table.chunks())
        .into_par_iter()
        .flat_map_iter(|chunk| {
            let mut found = Vec::new();
            table.walk(chunk, |state| found.extend([state, !state & all]));
            found
        })
        .collect();
    states.sort_unstable();
    Ok(states)
}

/// Number of ordered pairs of fixed points at each Hamming distance from 0 to `neurons`.
pub fn pair_distances(states: &[u32], neurons: usize) -> Vec<u64> {
    let width = neurons.min(32) + 1;
    let zero = || vec![0u64; width];
    states
        .par_iter()
        .fold(zero, |mut counts, a| {
            for b in states {
                if let Some(count) = counts.get_mut((a ^ b).count_ones() as usize) {
                    *count += 1;
                }
            }
            counts
        })
        .reduce(zero, |a, b| a.iter().zip(&b).map(|(x, y)| x + y).collect())
}

/// Couplings padded to a fixed width, so that the inner loops have no tail.
struct Table {
    neurons: usize,
    /// Column `j`: twice the weight from `j` to every neuron.
    columns: Vec<[f64; MOST_NEURONS]>,
    self_coupling: f64,
}

impl Table {
    fn new(network: &Network) -> Result<Self, Error> {
        let neurons = network.neurons();
        if !(2..=MOST_NEURONS).contains(&neurons) {
            return Err(Error::Size { found: neurons, most: MOST_NEURONS });
        }
        let columns = (0..neurons)
            .map(|j| {
                let mut unit = vec![0.0; neurons];
                network.deliver(j, 1.0, &mut unit);
                let mut column = [0.0; MOST_NEURONS];
                for (to, from) in column.iter_mut().zip(unit) {
                    *to = 2.0 * f64::from(from);
                }
                column
            })
            .collect();
        Ok(Self { neurons, columns, self_coupling: f64::from(network.self_coupling()) })
    }

    fn chunk_bits(&self) -> usize {
        CHUNK_BITS.min(self.neurons - 1)
    }

    /// Number of chunks that cover the states whose last neuron is −1.
    fn chunks(&self) -> u32 {
        1 << (self.neurons - 1 - self.chunk_bits())
    }

    /// Walks one chunk, calls `see` at each fixed point and returns their number, mirror images included.
    fn walk(&self, chunk: u32, mut see: impl FnMut(u32)) -> u64 {
        let bits = self.chunk_bits();
        let mut code = chunk << bits;
        let gray = code ^ (code >> 1);
        let mut state = [0f64; MOST_NEURONS];
        let mut fields = [0f64; MOST_NEURONS];
        for (j, column) in self.columns.iter().enumerate() {
            state[j] = if gray >> j & 1 == 1 { 1.0 } else { -1.0 };
            for (h, w) in fields.iter_mut().zip(column) {
                *h += 0.5 * state[j] * w;
            }
        }
        let mut pattern = gray;
        let mut found = 0;
        let end = code + (1 << bits);
        loop {
            // Padding has state 0 and would fail with a negative self-coupling, hence the maximum over real neurons only.
            let worst = fields[..self.neurons]
                .iter()
                .zip(&state[..self.neurons])
                .fold(f64::INFINITY, |worst, (h, s)| worst.min(h * s));
            if worst + self.self_coupling > 0.0 {
                found += 2;
                see(pattern);
            }
            code += 1;
            if code == end {
                return found;
            }
            let j = code.trailing_zeros() as usize;
            pattern ^= 1 << j;
            state[j] = -state[j];
            let sign = state[j];
            for (h, w) in fields.iter_mut().zip(&self.columns[j]) {
                *h += sign * w;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Recipe, stream};

    #[test]
    fn the_walk_finds_what_testing_each_state_finds() {
        for (seed, recipe) in [
            Recipe::module(2, 0.3),
            Recipe::module(11, 0.4),
            Recipe { layers: 3, link: 0.7, ..Recipe::module(5, 0.2) },
            Recipe { symmetry: 0.6, ..Recipe::module(10, 0.1) },
        ]
        .into_iter()
        .enumerate()
        {
            let network = recipe.draw(&mut stream(seed as u64, 0)).unwrap();
            let n = network.neurons();
            let slow: Vec<u32> = (0..1u32 << n)
                .filter(|bits| {
                    let state: Vec<f32> =
                        (0..n).map(|i| if bits >> i & 1 == 1 { 1.0 } else { -1.0 }).collect();
                    network.violated(&state) == 0
                })
                .collect();
            assert_eq!(list(&network).unwrap(), slow);
            assert_eq!(count(&network).unwrap(), slow.len() as u64);
            let pairs = pair_distances(&slow, n);
            assert_eq!(pairs.iter().sum::<u64>(), (slow.len() as u64).pow(2));
            assert_eq!((pairs[0], pairs[n]), (slow.len() as u64, slow.len() as u64));
        }
    }

    #[test]
    fn twenty_five_neurons_are_refused() {
        let network = Recipe::module(25, 0.4).draw(&mut stream(0, 0)).unwrap();
        assert_eq!(count(&network), Err(Error::Size { found: 25, most: 24 }));
    }
}
