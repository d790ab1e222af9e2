//! The network and its mapping.

use super::yaml::{self, Node, Value};
use super::{SanafeError, reference};
use std::collections::BTreeMap;

/// When an input neuron fires; steps count from 1. Any of its three ways fires it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Drive {
    /// In the steps whose entry is true.
    pub listed: Vec<bool>,
    /// In every n-th step.
    pub every: Option<u64>,
    /// With this probability, by the random stream of its input unit.
    pub poisson: f64,
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
    pub unit: Option<std::sync::Arc<str>>,
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

/// Most neurons of a network, and most synapses: what a small file can ask for must fit in memory.
const MAX_NEURONS: usize = 1 << 20;
const MAX_EDGES: usize = 1 << 25;
/// Most synapses of one connection that gives all the same weight.
const MAX_ALIKE: usize = 1 << 20;

/// Some neurons that follow each other.
type Run = std::ops::RangeInclusive<usize>;

fn empty(line: usize) -> Node {
    Node { line, value: Value::Map(Vec::new()) }
}

/// What an edge says: one value for all its synapses, or one for each.
struct Lists {
    weights: Vec<f64>,
    delays: Vec<f64>,
    unit: Option<std::sync::Arc<str>>,
}

impl Lists {
    /// Weights and delays, written flat or below `synapse` and `dendrite`.
    fn of(attributes: &Node, place: &str) -> Result<Lists, SanafeError> {
        let find = |names: [&str; 2]| -> Result<Vec<f64>, SanafeError> {
            let below = ["synapse", "dendrite"].into_iter().filter_map(|unit| attributes.get(unit));
            for node in std::iter::once(attributes).chain(below) {
                let Some(value) = names.into_iter().find_map(|name| node.get(name)) else { continue };
                let items = match &value.value {
                    Value::List(items) => items.as_slice(),
                    _ => std::slice::from_ref(value),
                };
                let numbers: Option<Vec<f64>> = items.iter().map(Node::number).collect();
                return match numbers {
                    Some(n) => Ok(n),
                    None => reference(place, format!("{} {:?}", names[0], value.text()), "finite numbers"),
                };
            }
            Ok(Vec::new())
        };
        let unit = attributes.get("synapse_hw_name").and_then(Node::text).map(Into::into);
        Ok(Lists { weights: find(["weight", "w"])?, delays: find(["delay", "d"])?, unit })
    }

    fn check(&self, expected: usize, place: &str) -> Result<(), SanafeError> {
        if expected > MAX_ALIKE && self.weights.len() <= 1 {
            return reference(
                place,
                format!("{expected} synapses without a list of weights"),
                "a weight for each",
            );
        }
        for (name, list) in [("weights", &self.weights), ("delays", &self.delays)] {
            if list.len() > 1 && list.len() != expected {
                return reference(place, format!("{} {name}", list.len()), expected);
            }
        }
        Ok(())
    }
}

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
        let lone = |item: &Node| item.text().map(|key| vec![(key.to_string(), empty(item.line))]);
        let first = self.neurons.len();
        let mut slots: BTreeMap<usize, Neuron> = BTreeMap::new();
        for item in group.get("neurons").map_or(&[][..], Node::items) {
            let listed = lone(item).unwrap_or_else(|| item.entries().to_vec());
            for (key, attributes) in &listed {
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
        if first + count > MAX_NEURONS {
            return Err(fault(
                group.line,
                &name,
                "too many neurons",
                &format!("at most {MAX_NEURONS} in all"),
            ));
        }
        if slots.keys().last().is_some_and(|last| *last + 1 != count) {
            return Err(fault(group.line, &name, "gaps in the neuron numbers", "all numbers from 0"));
        }
        self.neurons.extend(slots.into_values());
        self.groups.push((name, first, count));
        Ok(())
    }

    /// The neurons that `g.i`, `g.lo..hi` or `g` stands for.
    fn find(&self, key: &str, place: &str) -> Result<Run, SanafeError> {
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
        let (sources, targets) = (self.find(from, &place)?, self.find(to, &place)?);
        match attributes.get("type").and_then(Node::text) {
            None if from.contains('.') && to.contains('.') => {
                if sources.clone().count() != 1 || targets.clone().count() != 1 {
                    return reference(place, key, "one neuron on each side, or groups with a `type`");
                }
                let lists = Lists::of(attributes, &place)?;
                self.synapse(*sources.start(), *targets.start(), &lists, 0, &place)
            }
            None => {
                reference(place, "a connection of whole groups without a type", "dense, sparse or conv2d")
            }
            Some("dense") => {
                let lists = Lists::of(attributes, &place)?;
                lists.check(sources.clone().count() * targets.clone().count(), &place)?;
                let pairs = sources.flat_map(|s| targets.clone().map(move |t| (s, t)));
                for (i, (s, t)) in pairs.enumerate() {
                    self.synapse(s, t, &lists, i, &place)?;
                }
                Ok(())
            }
            Some("sparse") => self.sparse(attributes, &sources, &targets, &place),
            Some("conv2d") => self.conv2d(attributes, &sources, &targets, &place),
            Some(other) => reference(place, format!("type {other}"), "dense, sparse or conv2d"),
        }
    }

    fn sparse(
        &mut self,
        attributes: &Node,
        sources: &Run,
        targets: &Run,
        place: &str,
    ) -> Result<(), SanafeError> {
        let Some(Value::List(pairs)) = attributes.get("source_target_pairs").map(|n| &n.value) else {
            return reference(place, "no source_target_pairs", "a list of [source, target]");
        };
        let lists = Lists::of(attributes, place)?;
        lists.check(pairs.len(), place)?;
        for (i, pair) in pairs.iter().enumerate() {
            let numbers: Vec<usize> =
                pair.items().iter().filter_map(|n| n.text()?.trim().parse().ok()).collect();
            let (s, t) = match numbers[..] {
                [s, t] => (sources.start() + s, targets.start() + t),
                _ => return reference(place, format!("pair {i}"), "[source, target]"),
            };
            if !sources.contains(&s) || !targets.contains(&t) {
                return reference(
                    place,
                    format!("pair {i} [{}, {}]", numbers[0], numbers[1]),
                    "neurons of the groups",
                );
            }
            self.synapse(s, t, &lists, i, place)?;
        }
        Ok(())
    }

    /// No padding; neurons are numbered channel, row, column; kernels row, column, input channel, output channel.
    fn conv2d(
        &mut self,
        attributes: &Node,
        sources: &Run,
        targets: &Run,
        place: &str,
    ) -> Result<(), SanafeError> {
        let whole = |key: &str, default: Option<usize>| match attributes.get(key).map(|n| n.text()) {
            None => default.map_or_else(|| reference(place, format!("no {key}"), "a whole number"), Ok),
            Some(text) => match text.and_then(|t| t.trim().parse().ok()).filter(|n| (1..=4096).contains(n)) {
                Some(n) => Ok(n),
                None => reference(place, format!("{key}: {text:?}"), "a whole number from 1 to 4096"),
            },
        };
        let (width, height) = (whole("input_width", None)?, whole("input_height", None)?);
        let (channels, kernels) = (whole("input_channels", Some(1))?, whole("kernel_count", Some(1))?);
        let (kw, kh) = (whole("kernel_width", None)?, whole("kernel_height", None)?);
        let (sx, sy) = (whole("stride_width", Some(1))?, whole("stride_height", Some(1))?);
        if kw > width || kh > height {
            return reference(
                place,
                format!("a kernel of {kw} x {kh}"),
                format!("at most {width} x {height}"),
            );
        }
        let (ow, oh) = ((width - kw) / sx + 1, (height - kh) / sy + 1);
        let sizes = [
            ("source", sources.clone().count(), channels * width * height),
            ("target", targets.clone().count(), kernels * ow * oh),
        ];
        for (what, found, expected) in sizes {
            if found != expected {
                return reference(place, format!("{found} neurons in the {what} group"), expected);
            }
        }
        let lists = Lists::of(attributes, place)?;
        lists.check(kh * kw * channels * kernels, place)?;
        for (c_out, y, x) in
            (0..kernels).flat_map(|c| (0..oh).flat_map(move |y| (0..ow).map(move |x| (c, y, x))))
        {
            let target = targets.start() + (c_out * oh + y) * ow + x;
            for (c_in, ky, kx) in
                (0..channels).flat_map(|c| (0..kh).flat_map(move |y| (0..kw).map(move |x| (c, y, x))))
            {
                let source = sources.start() + (c_in * height + y * sy + ky) * width + x * sx + kx;
                let tap = ((ky * kw + kx) * channels + c_in) * kernels + c_out;
                self.synapse(source, target, &lists, tap, place)?;
            }
        }
        Ok(())
    }

    fn synapse(
        &mut self,
        source: usize,
        target: usize,
        lists: &Lists,
        i: usize,
        place: &str,
    ) -> Result<(), SanafeError> {
        if self.edges.len() >= MAX_EDGES {
            return reference(place, format!("more than {MAX_EDGES} synapses"), "fewer");
        }
        let at = |list: &[f64]| match list {
            [one] => *one,
            list => list.get(i).copied().unwrap_or(0.0),
        };
        let delay = at(&lists.delays);
        if !(0.0..=65_000.0).contains(&delay) || delay.fract() != 0.0 {
            return reference(place, format!("delay {delay}"), "a whole number of steps");
        }
        let (weight, unit) = (at(&lists.weights), lists.unit.clone());
        self.edges.push(Edge { source, target, weight, delay: delay as u32, unit });
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
        if let Value::List(items) = &node.value {
            items.iter().for_each(|item| self.take(item));
        }
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
    ///
    /// # Errors
    /// [`SanafeError::Reference`] if a rate or probability is not from 0 to 1.
    pub fn drive(&self) -> Result<Drive, SanafeError> {
        let share = |key: &str| match self.attributes.get(key) {
            None => Ok(0.0),
            Some(text) => match text.trim().parse::<f64>() {
                Ok(x) if (0.0..=1.0).contains(&x) => Ok(x),
                _ => reference(&self.name, format!("{key}: {text}"), "a number from 0 to 1"),
            },
        };
        let (rate, poisson) = (share("rate")?, share("poisson")?);
        let every = (rate > 0.0).then(|| (1.0 / rate) as u64);
        Ok(Drive { listed: self.spikes.clone().unwrap_or_default(), every, poisson })
    }
}

/// `7` or `3..9` (both ends included).
fn range(text: &str) -> Option<(usize, usize)> {
    match text.split_once("..") {
        Some((lo, hi)) => Some((lo.trim().parse().ok()?, hi.trim().parse().ok()?)),
        None => text.trim().parse().ok().map(|i| (i, i)),
    }
}
