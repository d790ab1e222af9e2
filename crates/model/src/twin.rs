//! The float twin: a plain reference of a network in double precision under a profile.
//!
//! It is the oracle for quantisation error, checked itself against the spikes and membranes
//! that the exporting frameworks recorded. It is no engine: every run has an integer machine,
//! and the twin stands beside it.

mod linear;
mod neuron;

use crate::array::count;
use crate::nir::{FlatGraph, Node};
use crate::profile::{Profile, ProfileError, RecurrentT0};
use crate::schedule::Schedule;
use crate::shape::{ShapeError, Shapes};
pub(crate) use linear::Map;
use neuron::Neurons;
use std::collections::VecDeque;

/// Why a network cannot be run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TwinError {
    /// The signals do not fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The profile leaves something open.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A node's parameters do not fit its signal.
    #[error("node `{node}`, {key}: does not fit the signal of shape {shape:?}")]
    Parameter {
        /// The node.
        node: String,
        /// The parameter.
        key: &'static str,
        /// The signal.
        shape: Vec<usize>,
    },
    /// A delay that is too long to keep.
    #[error("node `{node}`: delays of {steps:.0} steps in all are more than can be kept")]
    Delay {
        /// The node.
        node: String,
        /// Steps over all channels.
        steps: f64,
    },
    /// The graph has no input.
    #[error("the graph has no Input node")]
    NoInput,
    /// An input signal has the wrong number of values.
    #[error("input `{node}`: {found} values in a step, expected {expected}")]
    Input {
        /// The input node.
        node: String,
        /// Values given.
        found: usize,
        /// Values that it takes.
        expected: usize,
    },
}

/// A network in double precision, with its state.
#[derive(Clone, Debug)]
pub struct Twin {
    names: Vec<String>,
    units: Vec<Unit>,
    shapes: Shapes,
    order: Vec<usize>,
    /// Per node: (source, delayed).
    feeds: Vec<Vec<(usize, bool)>>,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    /// Outputs of the step before, as a delayed edge delivers them.
    before: Vec<Vec<f64>>,
    now: Vec<Vec<f64>>,
    /// What delayed edges deliver in the first step.
    rest: Vec<Vec<f64>>,
    margin: f64,
}

/// What a node does to its summed input.
#[derive(Clone, Debug)]
enum Unit {
    Pass,
    Map(Map),
    Threshold(Vec<f64>),
    /// A line per channel and its length in steps.
    Delay(Vec<VecDeque<f64>>, Vec<usize>),
    Neurons(Neurons),
}

const MOST_DELAY_STEPS: f64 = (1u64 << 24) as f64;

impl Twin {
    /// Builds the twin of a graph. A profile without a step gets it from the file
    /// ([`Profile::with_dt_of`]).
    pub fn new(graph: &FlatGraph, profile: &Profile) -> Result<Self, TwinError> {
        if graph.inputs.is_empty() {
            return Err(TwinError::NoInput);
        }
        let profile = profile.clone().with_dt_of_if_needed(graph)?;
        let schedule = Schedule::of(graph);
        let shapes = Shapes::infer(graph, &schedule.order)?;
        let mut units = Vec::with_capacity(graph.nodes.len());
        for (i, (name, node)) in graph.nodes.iter().enumerate() {
            let shape = shapes.input.get(i).map(Vec::as_slice).unwrap_or(&[]);
            units.push(Unit::new(name, node, shape, &profile)?);
        }
        let feeds = (0..graph.nodes.len())
            .map(|to| graph.sources(to).map(|from| (from, schedule.is_delayed(from, to))).collect())
            .collect();
        let zeros: Vec<Vec<f64>> = shapes.output.iter().map(|s| vec![0.0; count(s).unwrap_or(0)]).collect();
        let mut twin = Self {
            names: graph.nodes.iter().map(|(n, _)| n.clone()).collect(),
            units,
            shapes,
            order: schedule.order,
            feeds,
            inputs: graph.inputs.clone(),
            outputs: graph.outputs.clone(),
            before: zeros.clone(),
            now: zeros.clone(),
            rest: zeros,
            margin: f64::INFINITY,
        };
        if profile.recurrent_t0 == RecurrentT0::Bias {
            twin.rest = twin.resting();
        }
        twin.reset();
        Ok(twin)
    }

    /// What every node yields when nothing has spiked yet: biases through stateless nodes.
    fn resting(&self) -> Vec<Vec<f64>> {
        let mut out = self.before.clone();
        for &i in &self.order {
            let x = self.gather(i, &out, &self.before);
            let y = match &self.units[i] {
                Unit::Pass if !self.inputs.contains(&i) => x,
                Unit::Map(map) => map.apply(&x),
                _ => continue,
            };
            out[i] = y;
        }
        out
    }

    fn gather(&self, to: usize, now: &[Vec<f64>], before: &[Vec<f64>]) -> Vec<f64> {
        let mut sum = vec![0.0; self.shapes.input.get(to).and_then(|s| count(s)).unwrap_or(0)];
        for &(from, delayed) in &self.feeds[to] {
            let source = if delayed { &before[from] } else { &now[from] };
            for (s, x) in sum.iter_mut().zip(source) {
                *s += x;
            }
        }
        sum
    }

    /// Back to the state before the first step.
    pub fn reset(&mut self) {
        for unit in &mut self.units {
            match unit {
                Unit::Delay(lines, steps) => {
                    for (line, n) in lines.iter_mut().zip(steps) {
                        line.clear();
                        line.resize(*n, 0.0);
                    }
                }
                Unit::Neurons(neurons) => neurons.reset(),
                _ => {}
            }
        }
        self.before.clone_from(&self.rest);
        self.margin = f64::INFINITY;
    }

    /// Takes one step. `inputs` holds one signal per top-level input, in name order, each with
    /// as many values as [`Twin::input_len`] says.
    pub fn step(&mut self, inputs: &[&[f64]]) -> Result<(), TwinError> {
        self.step_seen(inputs, |_, _| {})
    }

    /// As [`Twin::step`]; `see` is told the summed input of every node, in the order of evaluation.
    ///
    /// # Errors
    /// As [`Twin::step`].
    pub fn step_seen(
        &mut self,
        inputs: &[&[f64]],
        mut see: impl FnMut(usize, &[f64]),
    ) -> Result<(), TwinError> {
        let mut now = std::mem::take(&mut self.now);
        for k in 0..self.order.len() {
            let i = self.order[k];
            let mut x = self.gather(i, &now, &self.before);
            if let Some(port) = self.inputs.iter().position(|p| *p == i) {
                let given = inputs.get(port).copied().unwrap_or(&[]);
                if given.len() != x.len() {
                    self.now = now;
                    return Err(TwinError::Input {
                        node: self.names[i].clone(),
                        found: given.len(),
                        expected: x.len(),
                    });
                }
                for (x, g) in x.iter_mut().zip(given) {
                    *x += g;
                }
            }
            see(i, &x);
            now[i] = self.units[i].step(x, &mut self.margin);
        }
        self.before.clone_from(&now);
        self.now = now;
        Ok(())
    }

    /// Names of the nodes, in the order of the flat graph.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Inferred shapes of the signals.
    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// Positions of the top-level inputs.
    pub fn inputs(&self) -> &[usize] {
        &self.inputs
    }

    /// Positions of the top-level outputs.
    pub fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// Number of values that input number `port` takes in a step.
    pub fn input_len(&self, port: usize) -> usize {
        let i = self.inputs.get(port).copied().unwrap_or(usize::MAX);
        self.shapes.input.get(i).and_then(|s| count(s)).unwrap_or(0)
    }

    /// What node `i` yielded in the last step.
    pub fn output(&self, i: usize) -> &[f64] {
        self.now.get(i).map_or(&[], Vec::as_slice)
    }

    /// Membranes of node `i` after the last step.
    pub fn membrane(&self, i: usize) -> Option<&[f64]> {
        match self.units.get(i)? {
            Unit::Neurons(n) => Some(n.membrane()),
            _ => None,
        }
    }

    /// Membranes of node `i` in the last step as they were compared, before any reset.
    pub fn membrane_before_reset(&self, i: usize) -> Option<&[f64]> {
        match self.units.get(i)? {
            Unit::Neurons(n) => Some(n.before_reset()),
            _ => None,
        }
    }

    /// Synaptic currents of node `i` after the last step.
    pub fn current(&self, i: usize) -> Option<&[f64]> {
        match self.units.get(i)? {
            Unit::Neurons(n) => n.current(),
            _ => None,
        }
    }

    /// Smallest distance of any membrane from its threshold since [`Twin::reset`]: how much
    /// rounding a run could bear without another spike.
    pub fn margin(&self) -> f64 {
        self.margin
    }
}

impl Unit {
    fn new(name: &str, node: &Node, shape: &[usize], profile: &Profile) -> Result<Self, TwinError> {
        let fit = |key: &'static str, array: &crate::array::Array| {
            array.broadcast(shape).ok_or_else(|| TwinError::Parameter {
                node: name.to_string(),
                key,
                shape: shape.to_vec(),
            })
        };
        if let Some(map) = Map::of(node, shape) {
            return Ok(Unit::Map(map));
        }
        Ok(match node {
            Node::Scale { .. } => {
                return Err(TwinError::Parameter {
                    node: name.to_string(),
                    key: "scale",
                    shape: shape.to_vec(),
                });
            }
            Node::Threshold { threshold } => Unit::Threshold(fit("threshold", threshold)?),
            Node::Delay { delay } => {
                let dt = profile.dt.unwrap_or(1.0);
                let steps: Vec<f64> = fit("delay", delay)?.iter().map(|d| (d / dt).round()).collect();
                let sum: f64 = steps.iter().sum();
                if !(sum <= MOST_DELAY_STEPS) {
                    return Err(TwinError::Delay { node: name.to_string(), steps: sum });
                }
                let steps: Vec<usize> = steps.iter().map(|s| *s as usize).collect();
                Unit::Delay(vec![VecDeque::new(); steps.len()], steps)
            }
            Node::Integrate(_) | Node::Leaky(_) | Node::Cuba(_) => {
                let mut parameters = Vec::new();
                for (key, array) in node.arrays() {
                    parameters.push((key, fit(key, array)?));
                }
                Unit::Neurons(Neurons::new(node, parameters, profile))
            }
            _ => Unit::Pass,
        })
    }

    fn step(&mut self, x: Vec<f64>, margin: &mut f64) -> Vec<f64> {
        match self {
            Unit::Pass => x,
            Unit::Map(map) => map.apply(&x),
            Unit::Threshold(t) => x.iter().zip(t).map(|(x, t)| f64::from(x > t)).collect(),
            Unit::Delay(lines, _) => x
                .into_iter()
                .zip(lines)
                .map(|(x, line)| {
                    line.push_back(x);
                    line.pop_front().unwrap_or(x)
                })
                .collect(),
            Unit::Neurons(neurons) => neurons.step(&x, margin),
        }
    }
}

impl Profile {
    fn with_dt_of_if_needed(self, graph: &FlatGraph) -> Result<Self, ProfileError> {
        let needs = graph.nodes.iter().any(|(_, n)| n.is_neuron() || matches!(n, Node::Delay { .. }));
        if needs { self.with_dt_of(graph) } else { Ok(self) }
    }
}
