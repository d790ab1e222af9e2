//! [`Tree`] to [`Graph`]: liberal about how parameters are stored, strict about what they say.

use super::tree::{Data, Item, Tree, Values};
use super::{Conv, Cuba, Graph, Integrate, Leaky, NirError, Node, Padding, Pool, Spike};
use crate::array::Array;
use std::collections::BTreeSet;

const PARTIAL: &str = "; the file is incomplete, as a failing nir.write leaves it: write it again";

/// Reads the graph of a whole file.
pub(super) fn graph(root: &Tree) -> Result<Graph, NirError> {
    let node = root.group("node").ok_or_else(|| NirError::Missing {
        at: "/".into(),
        what: "the group `node`".into(),
        hint: "; this is not a NIR file",
    })?;
    let mut graph = subgraph(node, "", 0)?;
    graph.version = match root.data("version") {
        Some(data) => Some(text(data, "/version")?),
        None => {
            graph.notes.push("no version in the file".into());
            None
        }
    };
    Ok(graph)
}

/// Reads one (possibly nested) graph; `name` is empty for the root.
fn subgraph(tree: &Tree, name: &str, depth: usize) -> Result<Graph, NirError> {
    let at = if name.is_empty() { "the graph".to_string() } else { format!("node `{name}`") };
    let nodes = tree.group("nodes").ok_or_else(|| NirError::Missing {
        at: at.clone(),
        what: "the group `nodes`".into(),
        hint: PARTIAL,
    })?;
    let mut graph = Graph { metadata: tree.group("metadata").cloned(), ..Graph::default() };
    for (key, item) in &nodes.items {
        let full = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        let Item::Group(inner) = item else {
            return Err(NirError::Value {
                at: format!("node `{full}`"),
                found: "a dataset".into(),
                expected: "a group with a `type`".into(),
            });
        };
        let mut reader = NodeReader { name: full, tree: inner, notes: Vec::new() };
        let node = reader.node(depth)?;
        graph.notes.append(&mut reader.notes);
        graph.nodes.insert(key.clone(), node);
    }
    graph.edges = edges(tree, &at, &graph)?;
    match tree.data("type") {
        Some(data) => {
            let found = text(data, &format!("{at}, type"))?;
            if found != "NIRGraph" {
                return Err(NirError::Value {
                    at: format!("{at}, type"),
                    found,
                    expected: "NIRGraph".into(),
                });
            }
        }
        None => return Err(NirError::Missing { at, what: "the dataset `type`".into(), hint: PARTIAL }),
    }
    Ok(graph)
}

fn edges(tree: &Tree, at: &str, graph: &Graph) -> Result<Vec<(String, String)>, NirError> {
    let data = tree.data("edges").ok_or_else(|| NirError::Missing {
        at: at.to_string(),
        what: "the dataset `edges`".into(),
        hint: PARTIAL,
    })?;
    let wrong = || NirError::Value {
        at: format!("{at}, edges"),
        found: data.describe(),
        expected: "text of shape (edges, 2)".into(),
    };
    if data.shape.iter().product::<usize>() == 0 {
        return Ok(Vec::new());
    }
    let Values::Text(names) = &data.values else { return Err(wrong()) };
    if data.shape.len() != 2 || data.shape.last() != Some(&2) {
        return Err(wrong());
    }
    let mut out = BTreeSet::new();
    for pair in names.chunks_exact(2) {
        if let [from, to] = pair {
            for end in [from, to] {
                if !names_a_node(graph, end) {
                    return Err(NirError::Dangling {
                        from: from.clone(),
                        to: to.clone(),
                        missing: end.clone(),
                    });
                }
            }
            out.insert((from.clone(), to.clone()));
        }
    }
    Ok(out.into_iter().collect())
}

/// An edge may name a node, or a port of a nested graph as `graph.port`.
fn names_a_node(graph: &Graph, name: &str) -> bool {
    if graph.nodes.contains_key(name) {
        return true;
    }
    name.match_indices('.').any(|(i, _)| match (graph.nodes.get(&name[..i]), name.get(i + 1..)) {
        (Some(Node::Graph(inner)), Some(port)) => names_a_node(inner, port),
        _ => false,
    })
}

fn text(data: &Data, at: &str) -> Result<String, NirError> {
    match &data.values {
        Values::Text(t) if t.len() == 1 => Ok(t.concat()),
        _ => Err(NirError::Value { at: at.to_string(), found: data.describe(), expected: "one text".into() }),
    }
}

/// The datasets of one node.
struct NodeReader<'a> {
    name: String,
    tree: &'a Tree,
    notes: Vec<String>,
}

impl NodeReader<'_> {
    fn node(&mut self, depth: usize) -> Result<Node, NirError> {
        let kind = match self.tree.data("type") {
            Some(data) => text(data, &self.at("type"))?,
            None => return Err(self.missing("type")),
        };
        Ok(match kind.as_str() {
            "Input" => Node::Input { shape: self.declared_shape()? },
            "Output" => Node::Output { shape: self.declared_shape()? },
            "Affine" => self.affine()?,
            "Linear" => Node::Linear { weight: self.weight()? },
            "Scale" => Node::Scale { scale: self.array("scale")? },
            "Conv1d" => Node::Conv1d(self.conv(1)?),
            "Conv2d" => Node::Conv2d(self.conv(2)?),
            "SumPool2d" => Node::SumPool2d(self.pool()?),
            "AvgPool2d" => Node::AvgPool2d(self.pool()?),
            "Flatten" => Node::Flatten {
                start: self.integer("start_dim")?,
                end: self.integer("end_dim")?,
                input_shape: self.optional_sizes("input_type")?,
            },
            "Delay" => self.delay()?,
            "Threshold" => Node::Threshold { threshold: self.array("threshold")? },
            "I" => self.integrate(false)?,
            "IF" => self.integrate(true)?,
            "LI" => self.leaky(false)?,
            "LIF" => self.leaky(true)?,
            "CubaLI" => self.cuba(false)?,
            "CubaLIF" => self.cuba(true)?,
            "NIRGraph" => {
                if depth > 32 {
                    return Err(self.wrong(
                        "type",
                        "a graph nested deeper than 32 levels",
                        "at most 32 levels",
                    ));
                }
                let mut inner = subgraph(self.tree, &self.name, depth + 1)?;
                self.notes.append(&mut inner.notes);
                Node::Graph(Box::new(inner))
            }
            _ => return Err(NirError::UnknownType { node: self.name.clone(), found: kind }),
        })
    }

    fn at(&self, key: &str) -> String {
        format!("node `{}`, {key}", self.name)
    }

    fn missing(&self, key: &str) -> NirError {
        NirError::Missing {
            at: format!("node `{}`", self.name),
            what: format!("the dataset `{key}`"),
            hint: if key == "type" { PARTIAL } else { "" },
        }
    }

    fn wrong(&self, key: &str, found: impl Into<String>, expected: impl Into<String>) -> NirError {
        NirError::Value { at: self.at(key), found: found.into(), expected: expected.into() }
    }

    /// A required array of finite numbers.
    fn array(&self, key: &str) -> Result<Array, NirError> {
        self.optional_array(key)?.ok_or_else(|| self.missing(key))
    }

    fn optional_array(&self, key: &str) -> Result<Option<Array>, NirError> {
        let Some(data) = self.tree.data(key) else { return Ok(None) };
        let values: Vec<f64> = match &data.values {
            Values::Float(v) => v.clone(),
            Values::Int(v) => v.iter().map(|x| *x as f64).collect(),
            _ => return Err(self.wrong(key, data.describe(), "numbers")),
        };
        if let Some(i) = values.iter().position(|x| !x.is_finite()) {
            return Err(self.wrong(key, format!("{} at index {i}", values[i]), "finite numbers"));
        }
        if values.is_empty() {
            return Err(self.wrong(key, data.describe(), "at least one value"));
        }
        Array::new(data.shape.clone(), values)
            .map(Some)
            .ok_or_else(|| self.wrong(key, data.describe(), "numbers"))
    }

    /// A required list of integers; a float that is an integer will do.
    fn integers(&self, key: &str) -> Result<Vec<i64>, NirError> {
        let data = self.tree.data(key).ok_or_else(|| self.missing(key))?;
        let values = match &data.values {
            Values::Int(v) => Some(v.clone()),
            Values::Float(v) if v.iter().all(|x| x.fract() == 0.0 && x.abs() < 1e15) => {
                Some(v.iter().map(|x| *x as i64).collect())
            }
            _ => None,
        };
        values.ok_or_else(|| self.wrong(key, data.describe(), "integers"))
    }

    fn integer(&self, key: &str) -> Result<i64, NirError> {
        match self.integers(key)?.as_slice() {
            [one] => Ok(*one),
            many => Err(self.wrong(key, format!("{} values", many.len()), "one integer")),
        }
    }

    fn sizes(&self, key: &str, least: i64) -> Result<Vec<usize>, NirError> {
        let values = self.integers(key)?;
        values
            .iter()
            .map(|v| {
                usize::try_from(*v)
                    .ok()
                    .filter(|_| *v >= least && *v <= 1 << 40)
                    .ok_or_else(|| self.wrong(key, v.to_string(), format!("integers of at least {least}")))
            })
            .collect()
    }

    fn optional_sizes(&self, key: &str) -> Result<Option<Vec<usize>>, NirError> {
        match self.tree.data(key) {
            Some(data) if !matches!(&data.values, Values::Text(_)) => self.sizes(key, 0).map(Some),
            _ => Ok(None),
        }
    }

    fn declared_shape(&mut self) -> Result<Vec<usize>, NirError> {
        match self.tree.data("shape") {
            Some(_) => self.sizes("shape", 0),
            None => {
                self.notes.push(format!("node `{}`: no shape in the file", self.name));
                Ok(Vec::new())
            }
        }
    }

    fn weight(&self) -> Result<Array, NirError> {
        let weight = self.array("weight")?;
        if weight.shape().len() < 2 {
            return Err(self.wrong("weight", format!("shape {:?}", weight.shape()), "(…, out, in)"));
        }
        Ok(weight)
    }

    fn affine(&mut self) -> Result<Node, NirError> {
        let weight = self.weight()?;
        let bias = self.array("bias")?;
        let out = &weight.shape()[..weight.shape().len() - 1];
        if bias.broadcast(out).is_none() {
            return Err(self.wrong(
                "bias",
                format!("shape {:?}", bias.shape()),
                format!("shape {out:?}, as the weight has"),
            ));
        }
        Ok(Node::Affine { weight, bias })
    }

    /// One value for every axis: a single number stands for all.
    fn per_axis(&self, key: &str, axes: usize, least: i64) -> Result<Vec<usize>, NirError> {
        let values = self.sizes(key, least)?;
        match values.len() {
            1 => Ok(values.repeat(axes)),
            n if n == axes => Ok(values),
            n => Err(self.wrong(key, format!("{n} values"), format!("one or {axes}"))),
        }
    }

    fn conv(&mut self, axes: usize) -> Result<Conv, NirError> {
        let weight = self.array("weight")?;
        let shape = weight.shape().to_vec();
        if shape.len() != axes + 2 || shape.contains(&0) {
            return Err(self.wrong(
                "weight",
                format!("shape {shape:?}"),
                format!("{} axes, none of them empty", axes + 2),
            ));
        }
        let groups = match self.sizes("groups", 1)?.as_slice() {
            [one] => *one,
            many => return Err(self.wrong("groups", format!("{} values", many.len()), "one integer")),
        };
        let out = shape.first().copied().unwrap_or(0);
        if out % groups != 0 {
            return Err(self.wrong(
                "groups",
                groups.to_string(),
                format!("a divisor of the {out} output channels"),
            ));
        }
        let bias = match self.optional_array("bias")? {
            Some(bias) => bias,
            None => {
                self.notes.push(format!("node `{}`: no bias in the file, taken as 0", self.name));
                Array::scalar(0.0)
            }
        };
        if bias.broadcast(&[out]).is_none() {
            return Err(self.wrong("bias", format!("shape {:?}", bias.shape()), format!("shape [{out}]")));
        }
        let padding = match self.tree.data("padding").map(|d| &d.values) {
            Some(Values::Text(t)) => match t.concat().as_str() {
                "same" => Padding::Same,
                "valid" => Padding::Valid,
                other => {
                    return Err(self.wrong("padding", format!("`{other}`"), "integers, `same` or `valid`"));
                }
            },
            _ => Padding::Explicit(self.per_axis("padding", axes, 0)?),
        };
        let input_shape = match self.optional_sizes("input_shape")? {
            Some(s) if s.len() == axes => Some(s),
            // A single number for two axes is a square, as nir expands it.
            Some(s) if s.len() == 1 => Some(s.repeat(axes)),
            Some(s) if s.is_empty() => None,
            Some(s) => return Err(self.wrong("input_shape", format!("{s:?}"), format!("{axes} sizes"))),
            None => None,
        };
        Ok(Conv {
            stride: self.per_axis("stride", axes, 1)?,
            dilation: self.per_axis("dilation", axes, 1)?,
            padding,
            groups,
            input_shape,
            weight,
            bias,
        })
    }

    fn pool(&self) -> Result<Pool, NirError> {
        let pair = |key, least| -> Result<[usize; 2], NirError> {
            match self.per_axis(key, 2, least)?.as_slice() {
                [a, b] => Ok([*a, *b]),
                _ => Err(self.missing(key)),
            }
        };
        Ok(Pool { kernel: pair("kernel_size", 1)?, stride: pair("stride", 1)?, padding: pair("padding", 0)? })
    }

    fn delay(&self) -> Result<Node, NirError> {
        let delay = self.array("delay")?;
        match delay.data().iter().find(|d| **d < 0.0) {
            Some(d) => Err(self.wrong("delay", d.to_string(), "no negative delay")),
            None => Ok(Node::Delay { delay }),
        }
    }

    fn integrate(&mut self, spiking: bool) -> Result<Node, NirError> {
        let node = Node::Integrate(Integrate { r: self.array("r")?, spike: self.spike(spiking)? });
        self.one_shape(node)
    }

    fn leaky(&mut self, spiking: bool) -> Result<Node, NirError> {
        let node = Node::Leaky(Leaky {
            tau: self.time_constant("tau")?,
            r: self.array("r")?,
            v_leak: self.array("v_leak")?,
            spike: self.spike(spiking)?,
        });
        self.one_shape(node)
    }

    fn cuba(&mut self, spiking: bool) -> Result<Node, NirError> {
        let w_in = match self.optional_array("w_in")? {
            Some(w_in) => w_in,
            None => {
                self.notes.push(format!("node `{}`: no w_in in the file, taken as 1", self.name));
                Array::scalar(1.0)
            }
        };
        let node = Node::Cuba(Cuba {
            tau_syn: self.time_constant("tau_syn")?,
            tau_mem: self.time_constant("tau_mem")?,
            r: self.array("r")?,
            v_leak: self.array("v_leak")?,
            w_in,
            spike: self.spike(spiking)?,
        });
        self.one_shape(node)
    }

    fn time_constant(&self, key: &str) -> Result<Array, NirError> {
        let tau = self.array(key)?;
        match tau.data().iter().find(|t| **t <= 0.0) {
            Some(t) => Err(self.wrong(key, t.to_string(), "time constants above 0")),
            None => Ok(tau),
        }
    }

    fn spike(&mut self, spiking: bool) -> Result<Option<Spike>, NirError> {
        if !spiking {
            return Ok(None);
        }
        let v_reset = match self.optional_array("v_reset")? {
            Some(v) => v,
            None => {
                self.notes.push(format!("node `{}`: no v_reset in the file, taken as 0", self.name));
                Array::scalar(0.0)
            }
        };
        Ok(Some(Spike { v_threshold: self.array("v_threshold")?, v_reset }))
    }

    /// All parameters of a neuron share a shape, but for those with a single value.
    fn one_shape(&mut self, node: Node) -> Result<Node, NirError> {
        let arrays = node.arrays();
        let widest = arrays.iter().max_by_key(|(_, a)| (a.len(), a.shape().len()));
        if let Some((first, widest)) = widest {
            for (key, array) in &arrays {
                if array.broadcast(widest.shape()).is_none() {
                    let expected = format!("shape {:?} as `{first}` has, or one value", widest.shape());
                    return Err(self.wrong(key, format!("shape {:?}", array.shape()), expected));
                }
            }
            let stretched: Vec<&str> =
                arrays.iter().filter(|(_, a)| a.len() == 1 && widest.len() > 1).map(|(k, _)| *k).collect();
            if stretched.iter().any(|k| self.tree.data(k).is_some()) {
                self.notes.push(format!(
                    "node `{}`: one value of {} stands for {} neurons",
                    self.name,
                    stretched.join(", "),
                    widest.len()
                ));
            }
        }
        Ok(node)
    }
}
