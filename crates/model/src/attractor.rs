//! Networks of binary ±1 layers that relax: fields, orders, a teacher that comes and goes, and local rules.
//!
//! ```text
//!  input ──► layer 0 ⇄ layer 1 ⇄ … ──► readout          ⇄: identity links, neuron i to neuron i
//!               ⟲          ⟲                             ⟲: couplings within the layer, and the self-coupling
//!  teacher ─────┴──────────┘
//! ```
//!
//! A neuron's input has three groups: [`OWN`] (couplings, input, the link from the layer before), [`RIGHT`] (the link
//! from the layer behind) and [`TEACHER`]. The readout only sums. Three phases say which groups count; two programs
//! run them:
//!
//! | program | ticks |
//! |---|---|
//! | [`LEARN`] | warm-up without the teacher, *steer* with it, *free* without it, then one tick in which all neurons are held and the last changes arrive |
//! | [`RECALL`] | *free*, then the same last tick |
//!
//! One tick is one sweep. With `until_quiet` a phase ends with the first sweep in which nothing changes, which gives
//! the same states as going on would.

use crate::network::{Binary, Entry, HELD, Network, Order, Param, Phase, Population, Synapses, UNTIL_QUIET};
use crate::rule::{RuleError, RuleSpec};
use synop_core::image::Image;

/// Input group of couplings, input and the link from the layer before.
pub const OWN: u32 = 0;
/// Input group of the link from the layer behind.
pub const RIGHT: u32 = 1;
/// Input group of the teacher.
pub const TEACHER: u32 = 2;
/// Program that is followed by learning.
pub const LEARN: u32 = 0;
/// Program that answers.
pub const RECALL: u32 = 1;
/// Phase without the teacher.
pub const FREE: u32 = 0;
/// Phase with the teacher.
pub const STEER: u32 = 1;
/// Phase in which all neurons are held.
pub const READ: u32 = 2;

/// The order of updates in a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// All neurons read the old states.
    Synchronous,
    /// Layer after layer; the neurons of a layer read the same states, a later layer sees an earlier one's new ones.
    LayerWise,
    /// One neuron at a time: the neurons `layer · size + i`, in this order.
    Listed(Vec<u32>),
    /// One neuron at a time, in a new random order every sweep.
    Shuffled,
    /// One neuron at a time, drawn with replacement.
    Replaced,
}

/// How many sweeps each phase has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Without the teacher, before it comes.
    pub warm: u32,
    /// With the teacher.
    pub steer: u32,
    /// After it has gone.
    pub free: u32,
    /// In a recall.
    pub recall: u32,
    /// A phase ends as soon as nothing changes.
    pub until_quiet: bool,
}

/// Synapses with the rule that changes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Plastic {
    /// The synapses, rows by source neuron.
    pub synapses: Synapses,
    /// The rule, if they learn.
    pub rule: Option<RuleSpec>,
}

impl Plastic {
    /// Synapses that do not learn.
    pub fn fixed(synapses: Synapses) -> Plastic {
        Plastic { synapses, rule: None }
    }
}

/// A layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layer {
    /// Couplings within the layer. The coupling of a neuron to itself does not learn.
    pub couplings: Option<Plastic>,
    /// From the input.
    pub input: Option<Plastic>,
    /// From the teacher.
    pub teacher: Option<Plastic>,
    /// To the readout.
    pub readout: Option<Plastic>,
    /// Frozen bias per neuron, or empty.
    pub bias: Vec<i32>,
}

/// A network of layers of equal size.
#[derive(Clone, Debug, PartialEq)]
pub struct Layers {
    /// Seed of all random draws of the machine.
    pub seed: u64,
    /// Input neurons.
    pub inputs: usize,
    /// Largest magnitude of an input value.
    pub input_max: u32,
    /// Readout neurons, and values of the teacher.
    pub classes: usize,
    /// Largest magnitude of a teacher's value.
    pub teacher_max: u32,
    /// Neurons of a layer.
    pub size: usize,
    /// The layers.
    pub layers: Vec<Layer>,
    /// Couples each neuron's state to its own field.
    pub self_coupling: i32,
    /// Weight of the identity links to the next layer.
    pub link_left: i32,
    /// Weight of the identity links to the layer before.
    pub link_right: i32,
    /// The links from the layer behind count without the teacher too.
    pub keep_right: bool,
    /// A field of zero keeps the state (else it gives +1).
    pub keep_ties: bool,
    /// Order of updates.
    pub sweep: Sweep,
    /// Sweeps.
    pub plan: Plan,
}

/// A built network and the numbers of its populations.
#[derive(Clone, Debug, PartialEq)]
pub struct Built {
    /// The network: to be placed and written as any other.
    pub network: Network,
    /// Population of the input.
    pub input: usize,
    /// Population of the teacher.
    pub teacher: usize,
    /// Populations of the layers.
    pub layers: Vec<usize>,
    /// Population of the readout.
    pub readout: usize,
    /// Projections of each layer.
    pub projections: Vec<LayerProjections>,
}

/// Projections of a layer, where it has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerProjections {
    /// Couplings within the layer.
    pub couplings: Option<usize>,
    /// From the input.
    pub input: Option<usize>,
    /// From the teacher.
    pub teacher: Option<usize>,
    /// To the readout.
    pub readout: Option<usize>,
}

impl Layers {
    /// The groups whose sum is the field without the teacher, of layer `l`: [`OWN`], and [`RIGHT`] where it counts.
    pub fn free_groups(&self) -> u32 {
        1 << OWN | u32::from(self.keep_right) << RIGHT
    }

    /// The network.
    ///
    /// # Errors
    /// [`RuleError`] where a rule does not fit the core's integers.
    pub fn build(&self) -> Result<Built, RuleError> {
        let mut network = Network { seed: self.seed, ..Network::default() };
        let input = network.add_population(Population::held("input", self.inputs, self.input_max));
        let teacher = network.add_population(Population::held("teacher", self.classes, self.teacher_max));
        let mut layers = Vec::new();
        for (l, layer) in self.layers.iter().enumerate() {
            let binary = Binary {
                self_coupling: self.self_coupling,
                bias: if layer.bias.is_empty() { Param::All(0) } else { Param::Each(layer.bias.clone()) },
                keep_ties: self.keep_ties,
                order: self.order(l),
                ..Binary::default()
            };
            let stage = if self.sweep == Sweep::LayerWise { 1 + l as u32 } else { 1 };
            let name = format!("layer{l}");
            layers.push(network.add_population(Population::binary(&name, self.size, stage, 3, binary)));
        }
        let last = if self.sweep == Sweep::LayerWise { self.layers.len() as u32 } else { 1 };
        let binary = Binary { targets: true, ..Binary::default() };
        let readout =
            network.add_population(Population::binary("readout", self.classes, last + 1, 1, binary));
        let mut built = Built { network, input, teacher, layers, readout, projections: Vec::new() };
        self.connect(&mut built)?;
        self.phases(&mut built);
        Ok(built)
    }

    fn is_sequential(&self) -> bool {
        !matches!(self.sweep, Sweep::Synchronous | Sweep::LayerWise)
    }

    fn order(&self, layer: usize) -> Order {
        match &self.sweep {
            Sweep::Synchronous | Sweep::LayerWise => Order::Synchronous,
            Sweep::Shuffled => Order::Shuffled,
            Sweep::Replaced => Order::Replaced,
            Sweep::Listed(order) => {
                let mut places = vec![i32::MAX >> 2; self.size];
                for (place, neuron) in (0..).zip(order) {
                    let local = (*neuron as usize).wrapping_sub(layer * self.size);
                    if let Some(p) = places.get_mut(local) {
                        *p = place;
                    }
                }
                Order::Listed(Param::Each(places))
            }
        }
    }

    fn connect(&self, built: &mut Built) -> Result<(), RuleError> {
        let later = u32::from(!self.is_sequential());
        for (l, layer) in self.layers.iter().enumerate() {
            let own = built.layers[l];
            let mut add = |source, target, group, delay, part: &Option<Plastic>| -> Result<_, RuleError> {
                let Some(part) = part else { return Ok(None) };
                let number = built.network.connect(source, target, delay, part.synapses.clone());
                built.network.projections[number].group = group;
                if let Some(rule) = &part.rule {
                    built.network.rules.push(rule.encode()?);
                    built.network.projections[number].rule = Some(built.network.rules.len() - 1);
                }
                Ok(Some(number))
            };
            let projections = LayerProjections {
                couplings: add(own, own, OWN, later, &layer.couplings)?,
                input: add(built.input, own, OWN, 0, &layer.input)?,
                teacher: add(built.teacher, own, TEACHER, 0, &layer.teacher)?,
                readout: add(own, built.readout, 0, later, &layer.readout)?,
            };
            built.projections.push(projections);
        }
        for l in 1..self.layers.len() {
            let (before, behind) = (built.layers[l - 1], built.layers[l]);
            let left_delay = if self.sweep == Sweep::LayerWise { 0 } else { later };
            for (source, target, group, delay, weight) in [
                (before, behind, OWN, left_delay, self.link_left),
                (behind, before, RIGHT, later, self.link_right),
            ] {
                if weight != 0 {
                    let number = built.network.connect(source, target, delay, Synapses::Identity { weight });
                    built.network.projections[number].group = group;
                }
            }
        }
        Ok(())
    }

    fn phases(&self, built: &mut Built) {
        let all = 1 << OWN | 1 << RIGHT | 1 << TEACHER;
        for hidden in [self.free_groups(), all, all | HELD] {
            let mut groups = vec![0; built.network.populations.len()];
            for l in &built.layers {
                groups[*l] = hidden;
            }
            groups[built.readout] = 1 | HELD;
            built.network.phases.push(Phase { groups });
        }
        let Plan { warm, steer, free, recall, until_quiet } = self.plan;
        let options = if until_quiet { UNTIL_QUIET } else { 0 };
        built.network.schedule = [
            (LEARN, FREE, warm, options),
            (LEARN, STEER, steer, options),
            (LEARN, FREE, free, options),
            (LEARN, READ, 1, 0),
            (RECALL, FREE, recall, options),
            (RECALL, READ, 1, 0),
        ]
        .into_iter()
        .filter(|e| e.2 != 0)
        .map(|(program, phase, ticks, options)| Entry { program, phase, ticks, options })
        .collect();
    }
}

/// The port of a projection between populations that are not split, or `None`.
pub fn port_of(image: &Image<'_>, projection: usize) -> Option<u32> {
    let ours = |i: &u32| image.port(*i).is_some_and(|p| p.projection as usize == projection);
    (0..image.ports).find(ours)
}
