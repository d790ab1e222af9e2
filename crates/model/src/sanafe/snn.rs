//! The network and its mapping.

use super::yaml::{self, Node, Value};
use super::{SanafeError, reference};
use std::collections::BTreeMap;

/// When an input neuron fires; steps count from 1.
#[derive(Debug, Clone, PartialEq)]
pub enum Drive {
    /// In the steps whose entry is true.
    Listed(Vec<bool>),
    /// In every n-th step.
    Every(u64),
}

/// A neuron with its attributes, those of its group included.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Neuron {
    /// `group.index`.
    pub name: String,
    /// Attributes as text.
    pub attributes: BTreeMap<String, String>,
    /// `spikes` list, if there is one.
    pub spikes: Option<Vec<bool>>,
    /// (tile, core in the tile), once mapped.
    pub core: Option<(u32, u32)>,
    /// Place in the order of mapping.
    pub order: usize,
}

/// A synapse.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    /// Source neuron.
    pub source: usize,
    /// Target neuron.
    pub target: usize,
    /// Weight.
    pub weight: f64,
    /// Steps beyond the one that every spike takes.
    pub delay: u32,
    /// Synapse unit, if the edge names one.
    pub unit: Option<String>,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snn {
    /// Neurons, in order of groups.
    pub neurons: Vec<Neuron>,
    /// Synapses, in order of the file.
    pub edges: Vec<Edge>,
    /// Groups: name, first neuron, number.
    pub groups: Vec<(String, usize, usize)>,
    mapped: usize,
}

const MAX_NEURONS: usize = 1 << 24;

impl Snn {
    /// Reads a network; `file` is named in errors.
    ///
    /// # Errors
    /// [`SanafeError`] names line, neuron or key, what was found and expected.
    pub fn read(text: &str, file: &str) -> Result<Snn, SanafeError> {
        let root = yaml::read(text, file)?;
        let mut snn = Snn::default();
        let Some(network) = root.get("network") else {
            return reference(file, "no key `network`", "a SANA-FE network file");
        };
        for group in network.get("groups").map_or(&[][..], Node::items) {
            snn.group(group, file)?;
        }
        for item in network.get("edges").map_or(&[][..], Node::items) {
            for (key, attributes) in item.entries() {
                snn.edge(key, attributes, file)?;
            }
        }
        for item in root.get("mappings").map_or(&[][..], Node::items) {
            for (key, attributes) in item.entries() {
                snn.mapping(key, attributes, file)?;
            }
        }
        Ok(snn)
    }

    fn group(&mut self, group: &Node, file: &str) -> Result<(), SanafeError> {
        let fault = |line: usize, place: &str, found: &str, expected: &str| SanafeError::Value {
            file: file.into(),
            line,
            place: place.into(),
            found: found.into(),
            expected: expected.into(),
        };
        let name = group.get("name").and_then(Node::text);
        let name = name.ok_or_else(|| fault(group.line, "group", "no name", "a name"))?.to_string();
        let mut common = Neuron::default();
        if let Some(a) = group.get("attributes") {
            common.take(a);
        }
        let first = self.neurons.len();
        let mut slots: BTreeMap<usize, Neuron> = BTreeMap::new();
        for item in group.get("neurons").map_or(&[][..], Node::items) {
            for (key, attributes) in item.entries() {
                let (lo, hi) = range(key)
                    .filter(|(lo, hi)| lo <= hi && *hi < MAX_NEURONS)
                    .ok_or_else(|| fault(attributes.line, &name, key, "a neuron number or `lo..hi`"))?;
                for i in lo..=hi {
                    let mut n = common.clone();
                    n.name = format!("{name}.{i}");
                    n.take(attributes);
                    slots.insert(i, n);
                }
            }
        }
        let count = slots.len();
        if slots.keys().last().is_some_and(|last| *last + 1 != count) {
            return Err(fault(group.line, &name, "gaps in the neuron numbers", "all numbers from 0"));
        }
        self.neurons.extend(slots.into_values());
        self.groups.push((name, first, count));
        Ok(())
    }

    /// The neurons that `g.i`, `g.lo..hi` or `g` stands for.
    fn find(&self, key: &str, place: &str) -> Result<std::ops::RangeInclusive<usize>, SanafeError> {
        let (group, which) = match key.trim().split_once('.') {
            Some((g, w)) => (g.trim(), Some(w)),
            None => (key.trim(), None),
        };
        let Some((_, first, count)) = self.groups.iter().find(|(n, ..)| n == group) else {
            return reference(place, format!("group `{group}`"), "a group of the network");
        };
        let (lo, hi) = match which {
            None if *count > 0 => (0, count - 1),
            None => return reference(place, format!("empty group `{group}`"), "neurons"),
            Some(w) => range(w).unwrap_or((usize::MAX, usize::MAX)),
        };
        if lo > hi || hi >= *count {
            return reference(place, key, format!("neurons below {count} of `{group}`"));
        }
        Ok(first + lo..=first + hi)
    }

    fn edge(&mut self, key: &str, attributes: &Node, file: &str) -> Result<(), SanafeError> {
        let place = format!("{file}, line {}, edge `{key}`", attributes.line);
        let Some((from, to)) = key.split_once("->") else {
            return reference(place, key, "`group.i -> group.j`");
        };
        let (source, target) = (self.find(from, &place)?, self.find(to, &place)?);
        if !from.contains('.') || !to.contains('.') || attributes.get("type").is_some() {
            return reference(place, "a connection of whole groups", "edges between single neurons");
        }
        let weight = match attributes.get("weight") {
            None => 0.0,
            Some(w) => match w.number() {
                Some(x) => x,
                None => return reference(place, format!("weight {:?}", w.text()), "a finite number"),
            },
        };
        let delay = attributes.get("delay").and_then(Node::number).unwrap_or(0.0);
        if !(0.0..=65_000.0).contains(&delay) || delay.fract() != 0.0 {
            return reference(place, format!("delay {delay}"), "a whole number of steps");
        }
        let unit = attributes.get("synapse_hw_name").and_then(Node::text).map(str::to_string);
        self.edges.push(Edge {
            source: *source.start(),
            target: *target.start(),
            weight,
            delay: delay as u32,
            unit,
        });
        Ok(())
    }

    fn mapping(&mut self, key: &str, attributes: &Node, file: &str) -> Result<(), SanafeError> {
        let place = format!("{file}, line {}, mapping of `{key}`", attributes.line);
        let core = attributes.get("core").and_then(Node::text).unwrap_or_default();
        let parsed = core.split_once('.').and_then(|(t, c)| Some((t.parse().ok()?, c.parse().ok()?)));
        let Some(core) = parsed else {
            return reference(place, format!("core `{core}`"), "`tile.core`");
        };
        for n in self.find(key, &place)? {
            self.mapped += 1;
            let order = self.mapped;
            if let Some(neuron) = self.neurons.get_mut(n) {
                neuron.core = Some(core);
                for (from, to) in [
                    ("soma", "soma_hw_name"),
                    ("synapse", "synapse_hw_name"),
                    ("dendrite", "dendrite_hw_name"),
                ] {
                    if let Some(unit) = attributes.get(from).and_then(Node::text) {
                        neuron.attributes.insert(to.into(), unit.into());
                    }
                }
                neuron.order = order;
            }
        }
        Ok(())
    }
}

impl Neuron {
    /// Takes attributes over; sub-maps `soma`, `dendrite`, `synapse` count as flat.
    fn take(&mut self, node: &Node) {
        for (key, value) in node.entries() {
            match &value.value {
                Value::Scalar(s) => {
                    self.attributes.insert(key.clone(), s.clone());
                }
                Value::List(items) if key == "spikes" => {
                    self.spikes = Some(items.iter().map(|n| n.truth().unwrap_or(false)).collect());
                }
                Value::Map(_) => self.take(value),
                Value::List(_) => {
                    self.attributes.insert(key.clone(), "a list".into());
                }
            }
        }
    }

    /// When it fires, for an input neuron.
    pub fn drive(&self) -> Option<Drive> {
        if let Some(list) = &self.spikes {
            return Some(Drive::Listed(list.clone()));
        }
        let rate: f64 = self.attributes.get("rate")?.parse().ok()?;
        (rate > 0.0 && rate <= 1.0).then(|| Drive::Every((1.0 / rate) as u64))
    }
}

/// `7` or `3..9` (both ends included).
fn range(text: &str) -> Option<(usize, usize)> {
    match text.split_once("..") {
        Some((lo, hi)) => Some((lo.trim().parse().ok()?, hi.trim().parse().ok()?)),
        None => text.trim().parse().ok().map(|i| (i, i)),
    }
}
