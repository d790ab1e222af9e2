//! From a graph under a profile to populations and synapses, still in floats.
//!
//! Chains of stateless linear nodes (dense layers, convolutions, poolings, scalings, delays)
//! between two populations become one set of synapses; every neuron rule becomes
//!
//! ```text
//! v ← decay·v + Σ weight·spike + bias        (or through a current that decays itself)
//! ```
//!
//! with all gains (`r·dt/tau`, `w_in·dt/tau_syn`, …) in the weights.

use crate::array::count;
use crate::nir::{FlatGraph, Node};
use crate::profile::{
    Compare, CubaRule, IfGain, LifRule, Profile, ProfileError, RecurrentT0, Reset, ResetWhen,
};
use crate::schedule::Schedule;
use crate::shape::{ShapeError, Shapes};
use crate::twin::Map;
use std::collections::BTreeMap;
use synop_core::image::{CurrentOrder, Reset as MachineReset};

/// Why a graph has no integer form.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LowerError {
    /// The signals do not fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The profile leaves something open.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A rule that the machine does not have.
    #[error("node `{node}`: {what} is not in the integer machine; {mend}")]
    Unsupported {
        /// The node.
        node: String,
        /// The rule.
        what: &'static str,
        /// What to do instead.
        mend: &'static str,
    },
    /// A parameter that does not fit the signal.
    #[error("node `{node}`, {key}: does not fit the signal of shape {shape:?}")]
    Parameter {
        /// The node.
        node: String,
        /// The parameter.
        key: &'static str,
        /// The signal.
        shape: Vec<usize>,
    },
    /// More synapses than can be held.
    #[error("the network has more than {0} synapses once convolutions are laid out")]
    TooLarge(usize),
    /// The graph has no input.
    #[error("the graph has no Input node")]
    NoInput,
}

/// Most synapses of a network; at 16 bytes each they take 2 GiB in floats.
pub const MOST_SYNAPSES: usize = 1 << 27;

/// A gain this close to one is one: exporters compute it in 32 bits.
const GAIN_OF_ONE: f64 = 1e-6;

/// A network of populations and synapses in floats.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatNetwork {
    /// Populations; inputs first, in name order.
    pub populations: Vec<FloatPopulation>,
    /// Synapses between them.
    pub projections: Vec<FloatProjection>,
    /// Populations that the graph's outputs read, in the outputs' name order.
    pub readouts: Vec<usize>,
    /// What was assumed on the way, as text.
    pub notes: Vec<String>,
}

/// A population.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatPopulation {
    /// Name of its node.
    pub name: String,
    /// Position of its node in the flat graph.
    pub node: usize,
    /// Shape of its signal.
    pub shape: Vec<usize>,
    /// Stage of its update: 0 for inputs.
    pub stage: u32,
    /// How it moves; `None` for an input.
    pub dynamics: Option<Dynamics>,
}

impl FloatPopulation {
    /// Number of neurons.
    pub fn size(&self) -> usize {
        count(&self.shape).unwrap_or(0)
    }
}

/// One update of a population, per neuron.
#[derive(Clone, Debug, PartialEq)]
pub struct Dynamics {
    /// Membrane decay per step.
    pub decay: Vec<f64>,
    /// Added in every step.
    pub bias: Vec<f64>,
    /// The bias is an input of the current, not of the membrane.
    pub bias_current: bool,
    /// Decay of a synaptic current, and the order of current and membrane.
    pub current: Option<(Vec<f64>, CurrentOrder)>,
    /// Threshold; `None` for neurons that are read rather than spike.
    pub threshold: Option<Vec<f64>>,
    /// Membrane after a reset to value.
    pub reset_value: Vec<f64>,
    /// Reset rule of the machine.
    pub reset: MachineReset,
    /// Steps of silence after a spike.
    pub refractory: u32,
    /// Spike at the threshold, not only above.
    pub greater_equal: bool,
    /// Several spikes in a step.
    pub multi_spike: bool,
    /// Nothing is kept from step to step.
    pub stateless: bool,
    /// Lower clamp.
    pub min_v: Option<f64>,
}

/// Synapses between two populations.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatProjection {
    /// Source population.
    pub source: usize,
    /// Target population.
    pub target: usize,
    /// Names of the nodes that carry the weights, joined by `+`.
    pub layer: String,
    /// Per source neuron: target neuron, delay in steps, weight.
    pub rows: Vec<Vec<(u32, u32, f64)>>,
}

impl FloatNetwork {
    /// Lowers a graph.
    ///
    /// # Errors
    /// [`LowerError`] names the node and what to do.
    pub fn of(graph: &FlatGraph, profile: &Profile) -> Result<Self, LowerError> {
        if graph.inputs.is_empty() {
            return Err(LowerError::NoInput);
        }
        let profile = match profile.dt {
            Some(_) => profile.clone(),
            None => profile.clone().with_dt_of(graph)?,
        };
        let schedule = Schedule::of(graph);
        let shapes = Shapes::infer(graph, &schedule.order)?;
        let mut build = Build {
            graph,
            profile,
            shapes,
            schedule,
            network: Self::empty(),
            of_node: BTreeMap::new(),
            gain: Vec::new(),
            followed: 0,
            kept: 0,
        };
        build.populations()?;
        build.stages();
        build.synapses()?;
        build.biases();
        build.readouts()?;
        build.network.notes.extend(build.shapes.notes.iter().cloned());
        Ok(build.network)
    }

    fn empty() -> Self {
        Self { populations: Vec::new(), projections: Vec::new(), readouts: Vec::new(), notes: Vec::new() }
    }

    /// Populations that spike and are not read out, in order of their stage.
    pub fn hidden(&self) -> Vec<usize> {
        let spikes = |p: &FloatPopulation| p.dynamics.as_ref().is_some_and(|d| d.threshold.is_some());
        (0..self.populations.len())
            .filter(|i| spikes(&self.populations[*i]) && !self.readouts.contains(i))
            .collect()
    }
}

struct Build<'g> {
    graph: &'g FlatGraph,
    profile: Profile,
    shapes: Shapes,
    schedule: Schedule,
    network: FloatNetwork,
    of_node: BTreeMap<usize, usize>,
    /// Gain of the input of each population, per neuron.
    gain: Vec<Vec<f64>>,
    /// Terms that were followed, and synapses that are kept.
    followed: usize,
    kept: usize,
}

/// Where a value stands on its way through stateless nodes.
#[derive(Clone, Copy)]
struct Term {
    at: u32,
    delay: u32,
    weight: f64,
}

impl Build<'_> {
    fn populations(&mut self) -> Result<(), LowerError> {
        for (i, (name, node)) in self.graph.nodes.iter().enumerate() {
            let shape = self.shapes.input.get(i).cloned().unwrap_or_default();
            let n = count(&shape).unwrap_or(0);
            let input = self.graph.inputs.contains(&i);
            let (dynamics, gain) = if input {
                (None, vec![1.0; n])
            } else if node.is_neuron() || matches!(node, Node::Threshold { .. }) {
                let (dynamics, gain) = self.dynamics(name, node, &shape)?;
                (Some(dynamics), gain)
            } else if self.is_linear_readout(i) {
                (Some(Dynamics::sum_of(n)), vec![1.0; n])
            } else {
                continue;
            };
            self.of_node.insert(i, self.network.populations.len());
            self.network.populations.push(FloatPopulation {
                name: name.clone(),
                node: i,
                shape,
                stage: 0,
                dynamics,
            });
            self.gain.push(gain);
        }
        Ok(())
    }

    /// An output that something other than one population feeds is a sum that is read.
    fn is_linear_readout(&self, i: usize) -> bool {
        let sources: Vec<usize> = self.graph.sources(i).collect();
        self.graph.outputs.contains(&i)
            && !matches!(sources.as_slice(), [one] if self.graph.nodes.get(*one).is_some_and(|(_, n)| n.is_neuron() || matches!(n, Node::Threshold { .. })))
    }

    fn dynamics(
        &mut self,
        name: &str,
        node: &Node,
        shape: &[usize],
    ) -> Result<(Dynamics, Vec<f64>), LowerError> {
        let mut parameters = BTreeMap::new();
        for (key, array) in node.arrays() {
            let fitted = array.broadcast(shape).ok_or_else(|| LowerError::Parameter {
                node: name.to_string(),
                key,
                shape: shape.to_vec(),
            })?;
            parameters.insert(key, fitted);
        }
        let rule = Rule { name, node, profile: &self.profile, parameters, n: count(shape).unwrap_or(0) };
        let (dynamics, mut gain) = rule.dynamics()?;
        if !gain.is_empty()
            && gain.iter().all(|g| (g - 1.0).abs() < GAIN_OF_ONE)
            && gain.iter().any(|g| *g != 1.0)
        {
            self.network
                .notes
                .push(format!("node `{name}`: its gain is one up to 32-bit rounding, and is taken as one"));
            gain.fill(1.0);
        }
        Ok((dynamics, gain))
    }

    /// A population's stage is one more than the latest that reaches it within a step.
    fn stages(&mut self) {
        let mut depth = vec![0u32; self.graph.nodes.len()];
        for &i in &self.schedule.order {
            let before = self.graph.sources(i).filter(|s| !self.schedule.is_delayed(*s, i));
            let deepest = before.map(|s| depth[s]).max().unwrap_or(0);
            depth[i] = match self.of_node.get(&i) {
                Some(_) if self.graph.inputs.contains(&i) => 0,
                Some(_) => deepest + 1,
                None => deepest,
            };
        }
        for p in &mut self.network.populations {
            p.stage = depth[p.node];
        }
    }

    fn synapses(&mut self) -> Result<(), LowerError> {
        let sources: Vec<(usize, usize)> = self.of_node.iter().map(|(node, p)| (*node, *p)).collect();
        for (node, p) in sources {
            let spikes = self.network.populations[p].dynamics.as_ref().is_none_or(|d| d.threshold.is_some());
            let feeds =
                self.graph.targets(node).any(|t| !matches!(self.graph.nodes[t].1, Node::Output { .. }));
            if !spikes && feeds {
                return Err(LowerError::Unsupported {
                    node: self.graph.nodes[node].0.clone(),
                    what: "a membrane that feeds another node",
                    mend: "use neurons that spike, or read this node out",
                });
            }
            let n = self.network.populations[p].size();
            let mut found: BTreeMap<usize, FloatProjection> = BTreeMap::new();
            for neuron in 0..n {
                self.spread(node, p, neuron, &mut found)?;
            }
            self.network.projections.extend(found.into_values());
        }
        Ok(())
    }

    /// Follows a spike of one neuron through every stateless node to the populations behind.
    fn spread(
        &mut self,
        from: usize,
        source: usize,
        neuron: usize,
        found: &mut BTreeMap<usize, FloatProjection>,
    ) -> Result<(), LowerError> {
        let start = vec![Term { at: neuron as u32, delay: 0, weight: 1.0 }];
        let mut open = vec![(from, start, String::new())];
        while let Some((node, terms, layer)) = open.pop() {
            let targets: Vec<usize> = self.graph.targets(node).collect();
            for to in targets {
                let wait = u32::from(self.schedule.is_delayed(node, to));
                if let Some(&target) = self.of_node.get(&to) {
                    self.collect(&terms, wait, (source, neuron), target, &layer, found)?;
                } else if !self.graph.outputs.contains(&to) {
                    let (next, layer) = self.pass(to, &terms, wait, &layer)?;
                    open.push((to, next, layer));
                }
            }
        }
        Ok(())
    }

    /// The terms behind a stateless node, and the names of the weights on the way.
    fn pass(
        &mut self,
        to: usize,
        terms: &[Term],
        wait: u32,
        layer: &str,
    ) -> Result<(Vec<Term>, String), LowerError> {
        let (name, kind) = &self.graph.nodes[to];
        let shape = self.shapes.input.get(to).map(Vec::as_slice).unwrap_or(&[]);
        let next = match kind {
            Node::Delay { delay } => self.delayed(name, delay, shape, terms, wait)?,
            _ => match Map::of(kind, shape) {
                Some(map) => through(&map, terms, wait),
                None => terms.iter().map(|t| Term { delay: t.delay + wait, ..*t }).collect(),
            },
        };
        let weighs =
            matches!(kind, Node::Affine { .. } | Node::Linear { .. } | Node::Conv1d(_) | Node::Conv2d(_));
        let layer = match (weighs, layer) {
            (false, _) => layer.to_string(),
            (true, "") => name.clone(),
            (true, before) => format!("{before}+{name}"),
        };
        self.count(next.len())?;
        Ok((next, layer))
    }

    fn count(&mut self, terms: usize) -> Result<(), LowerError> {
        self.followed += terms;
        if self.followed > 8 * MOST_SYNAPSES || self.kept > MOST_SYNAPSES {
            Err(LowerError::TooLarge(MOST_SYNAPSES))
        } else {
            Ok(())
        }
    }

    fn collect(
        &mut self,
        terms: &[Term],
        wait: u32,
        (source, neuron): (usize, usize),
        target: usize,
        layer: &str,
        found: &mut BTreeMap<usize, FloatProjection>,
    ) -> Result<(), LowerError> {
        let gain = &self.gain[target];
        let size = self.network.populations[source].size();
        let projection = found.entry(target).or_insert_with(|| FloatProjection {
            source,
            target,
            layer: layer.to_string(),
            rows: vec![Vec::new(); size],
        });
        let row = &mut projection.rows[neuron];
        row.extend(terms.iter().map(|t| (t.at, t.delay + wait, t.weight * gain[t.at as usize])));
        row.sort_by_key(|(at, delay, _)| (*delay, *at));
        row.dedup_by(|b, a| {
            let same = (a.0, a.1) == (b.0, b.1);
            if same {
                a.2 += b.2;
            }
            same
        });
        if !projection.layer.split('|').any(|l| l == layer) {
            projection.layer = format!("{}|{layer}", projection.layer);
        }
        self.kept += terms.len();
        self.count(terms.len())
    }

    fn delayed(
        &self,
        name: &str,
        delay: &crate::array::Array,
        shape: &[usize],
        terms: &[Term],
        wait: u32,
    ) -> Result<Vec<Term>, LowerError> {
        let fitted = delay.broadcast(shape).ok_or_else(|| LowerError::Parameter {
            node: name.to_string(),
            key: "delay",
            shape: shape.to_vec(),
        })?;
        let dt = self.profile.dt.unwrap_or(1.0);
        terms
            .iter()
            .map(|t| {
                let steps = (fitted[t.at as usize] / dt).round();
                if !(0.0..=4095.0).contains(&steps) {
                    return Err(LowerError::Unsupported {
                        node: name.to_string(),
                        what: "a delay of more than 4095 steps",
                        mend: "use a larger step",
                    });
                }
                Ok(Term { delay: t.delay + wait + steps as u32, ..*t })
            })
            .collect()
    }

    /// What reaches every population when nothing spikes, times its gain.
    fn biases(&mut self) {
        let mut rest: Vec<Vec<f64>> =
            self.shapes.output.iter().map(|s| vec![0.0; count(s).unwrap_or(0)]).collect();
        let mut first: Vec<Vec<f64>> = vec![Vec::new(); rest.len()];
        // Twice, so that biases over cycle edges arrive as well.
        for pass in 0..2 {
            for &i in &self.schedule.order {
                let mut x = vec![0.0; self.shapes.input.get(i).and_then(|s| count(s)).unwrap_or(0)];
                for s in self.graph.sources(i) {
                    x.iter_mut().zip(&rest[s]).for_each(|(x, y)| *x += y);
                }
                if let Some(&p) = self.of_node.get(&i) {
                    let gain = &self.gain[p];
                    let population = &mut self.network.populations[p];
                    if pass == 0 {
                        first[i] = x;
                    } else if let Some(d) = population.dynamics.as_mut() {
                        if first[i] != x && self.profile.recurrent_t0 == RecurrentT0::None {
                            self.network.notes.push(format!(
                                "node `{}`: the bias of a cycle acts in the first step already, in integers",
                                population.name
                            ));
                        }
                        let constant: Vec<f64> = x.iter().zip(gain).map(|(x, g)| x * g).collect();
                        if !d.add_constant(&constant) {
                            self.network.notes.push(format!(
                                "node `{}`: a constant input acts on its membrane at once, not through the rising current, because v_leak does so",
                                population.name
                            ));
                        }
                    }
                    continue;
                }
                let (_, node) = &self.graph.nodes[i];
                let shape = self.shapes.input.get(i).map(Vec::as_slice).unwrap_or(&[]);
                rest[i] = match Map::of(node, shape) {
                    Some(map) => map.apply(&x),
                    None => x,
                };
            }
        }
    }

    fn readouts(&mut self) -> Result<(), LowerError> {
        for &output in &self.graph.outputs {
            let p = match self.of_node.get(&output) {
                Some(p) => Some(*p),
                None => self.graph.sources(output).find_map(|s| self.of_node.get(&s).copied()),
            };
            if let Some(p) = p {
                self.network.readouts.push(p);
            }
        }
        Ok(())
    }
}

fn through(map: &Map, terms: &[Term], wait: u32) -> Vec<Term> {
    let mut out = Vec::new();
    for t in terms {
        map.column(t.at as usize, |at, w| {
            out.push(Term { at: at as u32, delay: t.delay + wait, weight: t.weight * w });
        });
    }
    if terms.len() > 1 {
        out.sort_by_key(|t| (t.delay, t.at));
        out.dedup_by(|b, a| {
            let same = (a.at, a.delay) == (b.at, b.delay);
            if same {
                a.weight += b.weight;
            }
            same
        });
    }
    out
}

impl Dynamics {
    /// A sum that is read and not kept.
    fn sum_of(n: usize) -> Self {
        Self {
            decay: vec![0.0; n],
            bias: vec![0.0; n],
            bias_current: false,
            current: None,
            threshold: None,
            reset_value: vec![0.0; n],
            reset: MachineReset::None,
            refractory: 0,
            greater_equal: false,
            multi_spike: false,
            stateless: true,
            min_v: None,
        }
    }
}

impl Dynamics {
    /// Adds a constant input, and says whether that is exact. Where the membrane has a bias of its own already, a
    /// constant through a current comes to what the current settles at.
    fn add_constant(&mut self, constant: &[f64]) -> bool {
        if constant.iter().all(|c| *c == 0.0) {
            return true;
        }
        if self.current.is_some() && self.bias.iter().all(|b| *b == 0.0) {
            self.bias.copy_from_slice(constant);
            self.bias_current = true;
            return true;
        }
        for (k, c) in constant.iter().enumerate() {
            self.bias[k] += match &self.current {
                None => *c,
                Some((decay, order)) => {
                    let settled = c / (1.0 - decay[k]).max(1e-12);
                    if *order == CurrentOrder::JumpDecayed { settled * decay[k] } else { settled }
                }
            };
        }
        self.current.is_none()
    }
}

/// The rule of one node under a profile.
struct Rule<'a> {
    name: &'a str,
    node: &'a Node,
    profile: &'a Profile,
    parameters: BTreeMap<&'static str, Vec<f64>>,
    n: usize,
}

impl Rule<'_> {
    fn get(&self, key: &str, or: f64) -> Vec<f64> {
        self.parameters.get(key).cloned().unwrap_or_else(|| vec![or; self.n])
    }

    fn unsupported<T>(&self, what: &'static str, mend: &'static str) -> Result<T, LowerError> {
        Err(LowerError::Unsupported { node: self.name.to_string(), what, mend })
    }

    /// Dynamics without the biases of the layers before, and the gain of the input.
    fn dynamics(&self) -> Result<(Dynamics, Vec<f64>), LowerError> {
        let mut d = Dynamics::sum_of(self.n);
        if let Node::Threshold { .. } = self.node {
            d.threshold = Some(self.get("threshold", 0.0));
            return Ok((d, vec![1.0; self.n]));
        }
        d.stateless = false;
        d.threshold = self.node.spike().map(|_| self.get("v_threshold", 0.0));
        d.reset_value = self.get("v_reset", 0.0);
        d.min_v = self.profile.min_v;
        d.multi_spike = self.profile.multi_spike;
        // trunc(v / threshold) spikes: one at the threshold itself.
        d.greater_equal = self.profile.compare == Compare::Ge || d.multi_spike;
        d.reset = self.reset();
        let gain = match self.node {
            Node::Leaky(_) => self.leaky(&mut d),
            Node::Cuba(_) => self.cuba(&mut d)?,
            _ => self.integrate(&mut d),
        };
        Ok((d, gain))
    }

    fn reset(&self) -> MachineReset {
        match (self.profile.reset, self.profile.reset_when) {
            (Reset::None, _) => MachineReset::None,
            (Reset::Value, ResetWhen::Next) => MachineReset::ValueNext,
            (Reset::Value, _) => MachineReset::Value,
            (Reset::Subtract, ResetWhen::Now) => MachineReset::Subtract,
            (Reset::Subtract, ResetWhen::Next) => MachineReset::SubtractNext,
            (Reset::Subtract, ResetWhen::SnnNoDelay) => MachineReset::SubtractAgain,
        }
    }

    fn integrate(&self, d: &mut Dynamics) -> Vec<f64> {
        d.decay = vec![1.0; self.n];
        let dt = self.profile.dt.unwrap_or(1.0);
        let per = if self.profile.if_gain == IfGain::R { 1.0 } else { dt };
        self.get("r", 1.0).iter().map(|r| r * per).collect()
    }

    fn leaky(&self, d: &mut Dynamics) -> Vec<f64> {
        let dt = self.profile.dt.unwrap_or(1.0);
        let (tau, r, leak) = (self.get("tau", 1.0), self.get("r", 1.0), self.get("v_leak", 0.0));
        let mut gain = Vec::with_capacity(self.n);
        for k in 0..self.n {
            let (decay, g, b) = match self.profile.lif {
                LifRule::Euler => (1.0 - dt / tau[k], dt / tau[k] * r[k], dt / tau[k] * leak[k]),
                LifRule::Exact => {
                    let a = (-dt / tau[k]).exp();
                    (a, (1.0 - a) * r[k], (1.0 - a) * leak[k])
                }
                LifRule::JumpExp => ((-dt / tau[k]).exp(), 1.0, 0.0),
            };
            d.decay[k] = decay;
            d.bias[k] = b;
            gain.push(g);
        }
        gain
    }

    fn cuba(&self, d: &mut Dynamics) -> Result<Vec<f64>, LowerError> {
        let dt = self.profile.dt.unwrap_or(1.0);
        let (ts, tm) = (self.get("tau_syn", 1.0), self.get("tau_mem", 1.0));
        let (r, leak, w) = (self.get("r", 1.0), self.get("v_leak", 0.0), self.get("w_in", 1.0));
        let order = match self.profile.cuba {
            CubaRule::EulerNew => CurrentOrder::New,
            CubaRule::EulerOld => CurrentOrder::Old,
            CubaRule::JumpThenDecayEuler => CurrentOrder::JumpThenDecay,
            CubaRule::JumpExp => CurrentOrder::JumpDecayed,
            CubaRule::SnnZero => {
                // A membrane above threshold makes the next one 0: reset, then a step of rest.
                d.reset = MachineReset::Value;
                d.reset_value = vec![0.0; self.n];
                d.refractory = 1;
                CurrentOrder::New
            }
            CubaRule::Exact => {
                return self.unsupported("the exact rule of current-based neurons", "use --cuba euler_new");
            }
        };
        let jump_exp = self.profile.cuba == CubaRule::JumpExp;
        let (mut gain, mut current) = (Vec::new(), Vec::new());
        for k in 0..self.n {
            let (ks, km) = (dt / ts[k], dt / tm[k]);
            if jump_exp {
                current.push((-ks).exp());
                d.decay[k] = (-km).exp();
                gain.push(1.0);
                continue;
            }
            current.push(1.0 - ks);
            d.decay[k] = 1.0 - km;
            d.bias[k] = km * leak[k];
            gain.push(match self.profile.cuba {
                CubaRule::JumpThenDecayEuler => km * r[k],
                _ => ks * w[k] * km * r[k],
            });
        }
        d.current = Some((current, order));
        Ok(gain)
    }
}
