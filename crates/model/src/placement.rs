//! Which core holds which neurons.
//!
//! A [`Placement`] lists, core by core, runs of neurons. On a chip the number of a list is the number of the core,
//! so an image that is written from it says where everything stands. [`place`] makes one under the limits of a
//! chip: by hand ([`Strategy::Manual`]), in turn ([`Strategy::RoundRobin`]) or so that few packets travel far
//! ([`Strategy::Automatic`]). Inputs take no room: they enter at the chip's first core.

mod automatic;
mod demand;

use crate::network::{Kind, Network};
use synop_cost::Chip;

pub use demand::{Demand, Traffic, demands, traffic};

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

/// How neurons find their core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// As few cores as the limits allow, near each other where they talk; never worse than round robin.
    Automatic,
    /// Every population dealt evenly over all cores.
    RoundRobin,
    /// As listed.
    Manual(Vec<Assignment>),
}

/// A line of a manual mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Name of the population.
    pub population: String,
    /// First neuron.
    pub first: usize,
    /// Number of neurons; none: up to the last one.
    pub count: Option<usize>,
    /// Core of the chip.
    pub core: u32,
}

/// A network on a chip.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// Which core holds which neurons.
    pub placement: Placement,
    /// What each core must hold, by core.
    pub demands: Vec<Demand>,
    /// What travels when every neuron and input fires once.
    pub traffic: Traffic,
    /// The same under [`Strategy::RoundRobin`], where that fits the chip too.
    pub round_robin: Option<Traffic>,
}

/// Why a network does not stand on a chip.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// A core would have to hold more than it can.
    #[error(
        "the network does not fit on `{chip}`: core {core}, for {what}, needs {need} {limit}, at most {most} \
         fit; {mend}"
    )]
    DoesNotFit {
        /// Name of the chip.
        chip: String,
        /// The core.
        core: u32,
        /// For which neurons.
        what: String,
        /// Of what.
        limit: &'static str,
        /// How much is needed.
        need: u64,
        /// How much there is.
        most: u64,
        /// What to do.
        mend: String,
    },
    /// A line of a manual mapping is wrong.
    #[error("mapping of `{place}`: {found} found, {expected} expected")]
    Mapping {
        /// The population of the line.
        place: String,
        /// What stands there.
        found: String,
        /// What may stand there.
        expected: String,
    },
}

/// Places a network on a chip.
///
/// # Errors
/// [`PlaceError`] names the core, the limit and the need, or the line of the mapping.
pub fn place(network: &Network, chip: &Chip, strategy: &Strategy) -> Result<Placed, PlaceError> {
    let web = demand::Web::new(network);
    let dealt = automatic::round_robin(&web, chip);
    let round_robin = dealt.as_ref().ok().map(|p| demand::traffic_of(&web, chip, p));
    let placement = match strategy {
        Strategy::RoundRobin => dealt?,
        Strategy::Manual(lines) => manual(network, chip, lines)?,
        Strategy::Automatic => {
            let packed = automatic::automatic(&web, chip);
            match (packed, dealt) {
                (Ok(p), Ok(d)) => {
                    let better =
                        demand::traffic_of(&web, chip, &d).cost() < demand::traffic_of(&web, chip, &p).cost();
                    if better { d } else { p }
                }
                (Ok(p), Err(_)) => p,
                (Err(_), Ok(d)) => d,
                (Err(e), Err(_)) => return Err(e),
            }
        }
    };
    let demands = demand::check(&web, chip, &placement)?;
    let traffic = demand::traffic_of(&web, chip, &placement);
    Ok(Placed { placement, demands, traffic, round_robin })
}

/// A placement from the lines of a mapping. Inputs that no line names enter at core 0.
fn manual(network: &Network, chip: &Chip, lines: &[Assignment]) -> Result<Placement, PlaceError> {
    let wrong = |place: &str, found: String, expected: String| PlaceError::Mapping {
        place: place.into(),
        found,
        expected,
    };
    let mut cores: Vec<Vec<Slice>> = Vec::new();
    let mut owner: Vec<Vec<bool>> = network.populations.iter().map(|p| vec![false; p.size]).collect();
    for line in lines {
        let Some(population) = network.population(&line.population) else {
            let names: Vec<&str> = network.populations.iter().map(|p| p.name.as_str()).collect();
            return Err(wrong(&line.population, "no such population".into(), names.join(", ")));
        };
        let size = network.populations[population].size;
        let count = line.count.unwrap_or(size.saturating_sub(line.first));
        let end = line.first.saturating_add(count);
        if count == 0 || end > size {
            let found = format!("neurons {} to {end}", line.first);
            return Err(wrong(&line.population, found, format!("some of its {size} neurons")));
        }
        if line.core >= chip.core_count() {
            let expected = format!("a core below {} of `{}`", chip.core_count(), chip.name);
            return Err(wrong(&line.population, format!("core {}", line.core), expected));
        }
        for (i, owned) in owner[population][line.first..end].iter_mut().enumerate() {
            if std::mem::replace(owned, true) {
                let found = format!("neuron {} twice", line.first + i);
                return Err(wrong(&line.population, found, "every neuron once".into()));
            }
        }
        put(&mut cores, line.core, Slice { population, first: line.first, count });
    }
    for (population, (p, owned)) in network.populations.iter().zip(&owner).enumerate() {
        let Some(missing) = owned.iter().position(|o| !o) else { continue };
        if matches!(p.kind, Kind::Input | Kind::Held) && owned.iter().all(|o| !o) {
            put(&mut cores, 0, Slice { population, first: 0, count: p.size });
            continue;
        }
        return Err(wrong(&p.name, format!("neuron {missing} on no core"), "every neuron once".into()));
    }
    Ok(Placement { cores })
}

/// Adds a slice to a core, in pieces that an image can hold.
fn put(cores: &mut Vec<Vec<Slice>>, core: u32, slice: Slice) {
    let core = core as usize;
    if cores.len() <= core {
        cores.resize(core + 1, Vec::new());
    }
    let end = slice.first + slice.count;
    for first in (slice.first..end).step_by(PIECE_MAX) {
        cores[core].push(Slice { first, count: PIECE_MAX.min(end - first), ..slice });
    }
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

#[cfg(test)]
mod tests;
