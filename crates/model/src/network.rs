//! The integer network: what an image is written from.
//!
//! Populations of neurons and projections of synapses between them, in the integers that the machine will run.
//! Readers, quantisers and experiments make one; [`crate::placement`] says which core holds what; and
//! [`crate::image::write`] turns both into the image.

use crate::crossbar::Crossbar;
use serde_json::Value;
pub use synop_core::image::{CurrentOrder, Entry, HELD, Reset, UNTIL_QUIET};

/// Keeps all: a decay of 1 in Q31.
pub const KEEP: u32 = 1 << 31;

/// A parameter: one value for the population, or one per neuron.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Param {
    /// The same for all.
    All(i32),
    /// One value per neuron.
    Each(Vec<i32>),
}

impl From<i32> for Param {
    fn from(v: i32) -> Self {
        Param::All(v)
    }
}

impl Param {
    /// Decays in Q31 use all 32 bits; this is the way to state one.
    pub fn q31(v: u32) -> Param {
        Param::All(v as i32)
    }
}

/// Options of the leaky-integrate-and-fire family; units and order of operations are those of
/// [`synop_core::neuron`].
#[derive(Clone, Debug, PartialEq)]
pub struct Lif {
    /// Spike above this (membrane units).
    pub threshold: Param,
    /// Added to the membrane at every update.
    pub bias: Param,
    /// Membrane decay per tick, Q31 ([`KEEP`] keeps all).
    pub decay: Param,
    /// A synaptic current between input and membrane.
    pub current: Option<Current>,
    /// What a spike does to the membrane.
    pub reset: Reset,
    /// Membrane after a reset to value.
    pub reset_value: Param,
    /// Membrane at the start of a sample.
    pub initial: Param,
    /// Input sums are shifted left by this: a membrane unit is a weight unit × 2^−shift.
    pub input_shift: u32,
    /// Ticks of silence after a spike.
    pub refractory: u32,
    /// Range of the state; leaving it saturates and is counted.
    pub range: (i32, i32),
    /// The lower end of the range is a clamp that the model wants, not a saturation.
    pub clamp: bool,
    /// Spike at `≥` instead of `>`.
    pub greater_equal: bool,
    /// Several spikes in a tick.
    pub multi_spike: bool,
    /// Never spike: an integrator that is read.
    pub silent: bool,
    /// Keep nothing from tick to tick.
    pub stateless: bool,
    /// Decay after threshold and reset.
    pub leak_last: bool,
    /// Growth of the threshold at a spike, and its decay per tick in Q31.
    pub adaptive: Option<(i32, u32)>,
    /// Count neurons touched by events, even by events that cancel.
    pub count_touched: bool,
    /// Each neuron has a target value for plasticity rules.
    pub targets: bool,
    /// A refractory neuron goes on leaking.
    pub leak_resting: bool,
    /// The decayed membrane is cut toward zero to a multiple of this (1: not at all).
    pub grain: i32,
    /// The bias enters the synaptic current, not the membrane.
    pub bias_current: bool,
    /// `decay` is an amount in membrane units that is taken off the magnitude of the membrane.
    pub additive_leak: bool,
    /// What happens to a membrane below a floor that did not spike.
    pub floor: Option<(i32, Floor)>,
}

/// What a membrane below its floor becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Floor {
    /// This value.
    Value(i32),
    /// Itself plus this.
    Add(i32),
}

impl Default for Lif {
    fn default() -> Self {
        Lif {
            threshold: Param::All(0),
            bias: Param::All(0),
            decay: Param::q31(KEEP),
            current: None,
            reset: Reset::Value,
            reset_value: Param::All(0),
            initial: Param::All(0),
            input_shift: 0,
            refractory: 0,
            range: (-(1 << 30), 1 << 30),
            clamp: false,
            greater_equal: false,
            multi_spike: false,
            silent: false,
            stateless: false,
            leak_last: false,
            adaptive: None,
            count_touched: false,
            targets: false,
            leak_resting: false,
            grain: 1,
            additive_leak: false,
            floor: None,
            bias_current: false,
        }
    }
}

/// A synaptic current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// Decay per tick, Q31.
    pub decay: Param,
    /// Order of current and membrane.
    pub order: CurrentOrder,
    /// Current to membrane: `mantissa × 2^−shift`, rounded toward zero.
    pub gain: (i32, u32),
}

/// Binary ±1 neurons; fields and order of operations are those of [`synop_core::binary`].
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// Couples a neuron's state to its own field.
    pub self_coupling: i32,
    /// Added to the field.
    pub bias: Param,
    /// A field of zero keeps the state (else it gives +1).
    pub keep_ties: bool,
    /// Who reads whose state.
    pub order: Order,
    /// Each neuron has a target value for plasticity rules.
    pub targets: bool,
    /// Count neurons touched by events.
    pub count_touched: bool,
}

impl Default for Binary {
    fn default() -> Self {
        Binary {
            self_coupling: 0,
            bias: Param::All(0),
            keep_ties: false,
            order: Order::Synchronous,
            targets: false,
            count_touched: false,
        }
    }
}

/// The order of updates in a population of binary neurons. The sequential populations of a stage are one sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// All neurons of a population read the old states. Populations of one stage too, unless a synapse without
    /// delay leads to a later stage: that is the layer-wise order.
    Synchronous,
    /// One after the other, ascending by these numbers (one per neuron, or the same for all), then by neuron.
    Listed(Param),
    /// One after the other, in a new random order every tick.
    Shuffled,
    /// One after the other, drawn with replacement; as many per tick as there are neurons.
    Replaced,
}

/// What a population is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Events come from outside.
    Input,
    /// Values come from outside and hold until they change: events carry the change. What binary neurons need.
    Held,
    /// Binary ±1 neurons.
    Binary(Box<Binary>),
    /// The leaky-integrate-and-fire family.
    Lif(Box<Lif>),
}

/// A population.
#[derive(Clone, Debug, PartialEq)]
pub struct Population {
    /// Its name, unique in the network.
    pub name: String,
    /// Number of neurons.
    pub size: usize,
    /// What they are.
    pub kind: Kind,
    /// Stage of update: 0 for inputs, else 1 to 64. Synapses without delay go to later stages only.
    pub stage: u32,
    /// Number of input groups (1 to 4; inputs 0).
    pub groups: u32,
    /// Largest absolute payload of an event: 1 for spikes, more for graded inputs and multiple spikes.
    pub payload_max: u32,
}

impl Population {
    /// An input population with payloads up to `payload_max`.
    pub fn input(name: &str, size: usize, payload_max: u32) -> Population {
        Population { name: name.into(), size, kind: Kind::Input, stage: 0, groups: 0, payload_max }
    }

    /// An input population that holds its values, of magnitude up to `payload_max`.
    pub fn held(name: &str, size: usize, payload_max: u32) -> Population {
        Population { name: name.into(), size, kind: Kind::Held, stage: 0, groups: 0, payload_max }
    }

    /// A population of binary neurons with `groups` input groups.
    pub fn binary(name: &str, size: usize, stage: u32, groups: u32, binary: Binary) -> Population {
        Population {
            name: name.into(),
            size,
            kind: Kind::Binary(Box::new(binary)),
            stage,
            groups,
            payload_max: 2,
        }
    }

    /// A population of the leaky-integrate-and-fire family with one input group.
    pub fn lif(name: &str, size: usize, stage: u32, lif: Lif) -> Population {
        let payload_max = if lif.multi_spike { 65_535 } else { 1 };
        Population { name: name.into(), size, kind: Kind::Lif(Box::new(lif)), stage, groups: 1, payload_max }
    }
}

/// Rows of sparse synapses: row i holds what neuron i of the source reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// First synapse of each row, and the end of the last one: `source size + 1` numbers.
    pub index: Vec<usize>,
    /// Target neurons.
    pub targets: Vec<u32>,
    /// Weights, or empty where one weight serves all.
    pub weights: Vec<i16>,
    /// Delays in ticks, or empty where the projection's delay serves all.
    pub delays: Vec<u16>,
}

impl Rows {
    /// Rows from lists of (target, weight).
    pub fn from_lists(lists: &[Vec<(u32, i16)>]) -> Rows {
        let mut rows = Rows { index: vec![0], ..Rows::default() };
        for list in lists {
            rows.targets.extend(list.iter().map(|s| s.0));
            rows.weights.extend(list.iter().map(|s| s.1));
            rows.index.push(rows.targets.len());
        }
        rows
    }
}

/// Synapses of a projection.
#[derive(Clone, Debug, PartialEq)]
pub enum Synapses {
    /// All pairs: `weights[pre · target size + post]`.
    Dense {
        /// Bits of a weight: 1 (−1 or +1), 2, 4, 8 or 16.
        bits: u32,
        /// Weights, row-major by source neuron.
        weights: Vec<i16>,
    },
    /// Some pairs, each with a weight.
    Sparse {
        /// Bits of a weight: 1, 2, 4, 8 or 16; 0: `weight` serves all.
        bits: u32,
        /// The common weight where `bits` is 0.
        weight: i32,
        /// The synapses.
        rows: Rows,
    },
    /// Some pairs, one weight for all, one bit per pair. A pair that occurs twice must be given to a sparse
    /// projection beside this one.
    Bits {
        /// The common weight.
        weight: i32,
        /// The synapses (weights and delays unused).
        rows: Rows,
    },
    /// Neuron i to neuron i.
    Identity {
        /// The common weight.
        weight: i32,
    },
    /// All pairs, on memristive crossbars.
    Crossbar(Box<Crossbar>),
}

/// A projection.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    /// Its name, unique in the network.
    pub name: String,
    /// Number of the source population.
    pub source: usize,
    /// Number of the target population.
    pub target: usize,
    /// Input group of the target.
    pub group: u32,
    /// Delay in ticks; 0 only to a later stage.
    pub delay: u32,
    /// The synapses.
    pub synapses: Synapses,
    /// Number of the plasticity rule, if the weights learn.
    pub rule: Option<usize>,
}

/// Which input groups of each population count in a phase: one bit per group, and [`HELD`] for a population that
/// is not updated in the phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// One mask per population.
    pub groups: Vec<u32>,
}

/// A network of integers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    /// Seed of all random draws of the machine.
    pub seed: u64,
    /// Populations.
    pub populations: Vec<Population>,
    /// Projections.
    pub projections: Vec<Projection>,
    /// Plasticity rules, encoded for the core.
    pub rules: Vec<Vec<u32>>,
    /// Phases; empty: all groups always count.
    pub phases: Vec<Phase>,
    /// Programs: some ticks in one phase after the other.
    pub schedule: Vec<Entry>,
    /// What else the host wants to remember in the image: scales, profile, assumptions.
    pub meta: Value,
}

impl Network {
    /// Adds a population and returns its number.
    pub fn add_population(&mut self, population: Population) -> usize {
        self.populations.push(population);
        self.populations.len() - 1
    }

    /// Adds a projection with one delay and returns its number.
    pub fn connect(&mut self, source: usize, target: usize, delay: u32, synapses: Synapses) -> usize {
        let name = |p: usize| self.populations.get(p).map_or("?", |p| p.name.as_str());
        let name = format!("{}-{}-{}", name(source), name(target), self.projections.len());
        self.projections.push(Projection { name, source, target, group: 0, delay, synapses, rule: None });
        self.projections.len() - 1
    }

    /// Puts the synapses of a projection on crossbars like `bar`, whose own weights do not matter: weights that are
    /// there stay, pairs without synapse become weight 0. Returns whether it could: synapses with several delays
    /// cannot.
    pub fn put_on_crossbar(&mut self, projection: usize, bar: &Crossbar) -> bool {
        let Some(p) = self.projections.get_mut(projection) else { return false };
        let size = |i: usize| self.populations.get(i).map_or(0, |p| p.size);
        let (rows, columns) = (size(p.source), size(p.target));
        let mut weights = vec![0i16; rows * columns];
        let mut add = |i: usize, j: usize, w: i32| {
            if let Some(to) = weights.get_mut(i * columns + j) {
                *to = (i32::from(*to) + w).clamp(-32_767, 32_767) as i16;
            }
        };
        match &p.synapses {
            Synapses::Dense { weights, .. } => {
                weights
                    .iter()
                    .enumerate()
                    .for_each(|(k, w)| add(k / columns.max(1), k % columns.max(1), (*w).into()));
            }
            Synapses::Crossbar(old) => {
                let each = old.weights.iter().enumerate();
                each.for_each(|(k, w)| add(k / columns.max(1), k % columns.max(1), (*w).into()));
            }
            Synapses::Sparse { weight, rows, .. } | Synapses::Bits { weight, rows } => {
                if rows.delays.iter().any(|d| u32::from(*d) != p.delay) {
                    return false;
                }
                for (i, range) in rows.index.windows(2).enumerate() {
                    for s in range[0]..range[1] {
                        let Some(t) = rows.targets.get(s) else { continue };
                        add(i, *t as usize, rows.weights.get(s).map_or(*weight, |w| (*w).into()));
                    }
                }
            }
            Synapses::Identity { weight } => (0..rows.min(columns)).for_each(|i| add(i, i, *weight)),
        }
        p.synapses = Synapses::Crossbar(Box::new(Crossbar { weights, ..bar.clone() }));
        true
    }

    /// The number of the population with this name.
    pub fn population(&self, name: &str) -> Option<usize> {
        self.populations.iter().position(|p| p.name == name)
    }

    /// Synapses in all, stored zeros included.
    pub fn synapse_count(&self) -> u64 {
        let size = |p: usize| self.populations.get(p).map_or(0, |p| p.size as u64);
        let of = |p: &Projection| match &p.synapses {
            Synapses::Dense { .. } | Synapses::Crossbar(_) => size(p.source) * size(p.target),
            Synapses::Sparse { rows, .. } | Synapses::Bits { rows, .. } => rows.targets.len() as u64,
            Synapses::Identity { .. } => size(p.source),
        };
        self.projections.iter().map(of).sum()
    }
}
