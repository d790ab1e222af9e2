//! Which core holds which neurons.

use crate::network::Network;

/// Largest number of neurons of a piece: targets have 16 bits.
pub const PIECE_MAX: usize = 65_536;

/// A run of neurons of one population.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The population.
    pub population: usize,
    /// First neuron, in the population.
    pub first: usize,
    /// Number of neurons.
    pub count: usize,
}

/// The slices that each core holds. Every neuron of a network stands in exactly one slice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// One list per core.
    pub cores: Vec<Vec<Slice>>,
}

impl Placement {
    /// Everything on one core.
    pub fn one_core(network: &Network) -> Placement {
        Placement::tiled(network, PIECE_MAX)
    }

    /// Everything on one core, in pieces of at most `tile` neurons, so that the sums of a piece fit a cache.
    pub fn tiled(network: &Network, tile: usize) -> Placement {
        let tile = tile.clamp(1, PIECE_MAX);
        let mut slices = Vec::new();
        for (population, p) in network.populations.iter().enumerate() {
            for first in (0..p.size).step_by(tile) {
                slices.push(Slice { population, first, count: tile.min(p.size - first) });
            }
        }
        Placement { cores: vec![slices] }
    }

    /// Every population split evenly over `cores` cores.
    pub fn spread(network: &Network, cores: usize) -> Placement {
        let cores = cores.max(1);
        let mut placed = vec![Vec::new(); cores];
        for (population, p) in network.populations.iter().enumerate() {
            for (core, slices) in placed.iter_mut().enumerate() {
                let (first, end) = (p.size * core / cores, p.size * (core + 1) / cores);
                for first in (first..end).step_by(PIECE_MAX) {
                    slices.push(Slice { population, first, count: PIECE_MAX.min(end - first) });
                }
            }
        }
        placed.retain(|s| !s.is_empty());
        Placement { cores: placed }
    }
}
