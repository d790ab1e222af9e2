//! Nested graphs laid out flat: one list of nodes, edges by index.

use super::{Graph, NirError, Node};
use std::collections::BTreeMap;

/// A graph without nesting. Inputs and outputs of nested graphs stay as nodes that pass their
/// signal on. Nodes are in name order; a nested node is called `graph.node`.
#[derive(Clone, Debug, PartialEq)]
pub struct FlatGraph {
    /// Names and nodes.
    pub nodes: Vec<(String, Node)>,
    /// Edges (from, to) as positions in `nodes`, sorted, each once.
    pub edges: Vec<(usize, usize)>,
    /// Positions of the top-level inputs, in name order.
    pub inputs: Vec<usize>,
    /// Positions of the top-level outputs, in name order.
    pub outputs: Vec<usize>,
}

impl Graph {
    /// Lays nested graphs out flat.
    ///
    /// # Errors
    /// An edge into (or out of) a nested graph with several inputs (outputs) must name one of
    /// them as `graph.port`; a nested graph without any cannot be connected.
    pub fn flatten(&self) -> Result<FlatGraph, NirError> {
        let mut nodes = BTreeMap::new();
        collect(self, "", &mut nodes);
        let names: Vec<String> = nodes.keys().cloned().collect();
        let mut edges = Vec::new();
        connect(self, "", &names, &mut edges)?;
        edges.sort_unstable();
        edges.dedup();
        let top = |wanted: fn(&Node) -> bool| {
            names
                .iter()
                .enumerate()
                .filter(|(_, name)| self.nodes.get(*name).is_some_and(wanted))
                .map(|(i, _)| i)
                .collect::<Vec<_>>()
        };
        let inputs = top(|n| matches!(n, Node::Input { .. }));
        let outputs = top(|n| matches!(n, Node::Output { .. }));
        Ok(FlatGraph { nodes: nodes.into_iter().collect(), edges, inputs, outputs })
    }
}

impl FlatGraph {
    /// Position of a node by its full name, or by the end of it (`cuba` for `inner.cuba`) when
    /// that is unambiguous.
    pub fn position(&self, name: &str) -> Option<usize> {
        if let Some(i) = self.nodes.iter().position(|(n, _)| n == name) {
            return Some(i);
        }
        let wanted = name.replace('/', ".");
        let mut found = self.nodes.iter().enumerate().filter(|(_, (n, _))| {
            *n == wanted || n.strip_suffix(wanted.as_str()).is_some_and(|rest| rest.ends_with('.'))
        });
        match (found.next(), found.next()) {
            (Some((i, _)), None) => Some(i),
            _ => None,
        }
    }

    /// Positions of the nodes that feed node `to`.
    pub fn sources(&self, to: usize) -> impl Iterator<Item = usize> + '_ {
        self.edges.iter().filter(move |(_, t)| *t == to).map(|(f, _)| *f)
    }

    /// Positions of the nodes that node `from` feeds.
    pub fn targets(&self, from: usize) -> impl Iterator<Item = usize> + '_ {
        self.edges.iter().filter(move |(f, _)| *f == from).map(|(_, t)| *t)
    }
}

fn path(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") }
}

fn collect(graph: &Graph, prefix: &str, out: &mut BTreeMap<String, Node>) {
    for (name, node) in &graph.nodes {
        let full = path(prefix, name);
        match node {
            Node::Graph(inner) => collect(inner, &full, out),
            other => {
                out.insert(full, other.clone());
            }
        }
    }
}

fn connect(
    graph: &Graph,
    prefix: &str,
    names: &[String],
    out: &mut Vec<(usize, usize)>,
) -> Result<(), NirError> {
    for (from, to) in &graph.edges {
        let find = |end: &str, leaving: bool| {
            let full = path(prefix, &port(graph, end, leaving)?);
            names.binary_search(&full).map_err(|_| NirError::Dangling {
                from: from.clone(),
                to: to.clone(),
                missing: end.to_string(),
            })
        };
        out.push((find(from, true)?, find(to, false)?));
    }
    for (name, node) in &graph.nodes {
        if let Node::Graph(inner) = node {
            connect(inner, &path(prefix, name), names, out)?;
        }
    }
    Ok(())
}

/// The plain node that an end of an edge means: the node itself, or the one input or output of
/// a nested graph.
fn port(graph: &Graph, end: &str, leaving: bool) -> Result<String, NirError> {
    match graph.nodes.get(end) {
        Some(Node::Graph(inner)) => {
            let mut ports = inner.nodes.iter().filter(|(_, node)| match node {
                Node::Output { .. } => leaving,
                Node::Input { .. } => !leaving,
                _ => false,
            });
            match (ports.next(), ports.next()) {
                (Some((name, _)), None) => Ok(path(end, name)),
                (first, _) => Err(NirError::Value {
                    at: format!("nested graph `{end}`"),
                    found: if first.is_some() { "several ports" } else { "no port" }.into(),
                    expected: format!(
                        "exactly one {}, or an edge that names `{end}.port`",
                        if leaving { "Output" } else { "Input" }
                    ),
                }),
            }
        }
        Some(_) => Ok(end.to_string()),
        None => {
            // `graph.port`, possibly through several levels.
            for (i, _) in end.match_indices('.') {
                if let (Some(Node::Graph(inner)), Some(rest)) = (graph.nodes.get(&end[..i]), end.get(i + 1..))
                    && let Ok(name) = port(inner, rest, leaving)
                {
                    return Ok(path(&end[..i], &name));
                }
            }
            Ok(end.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_graph_is_entered_at_its_input_and_left_at_its_output() {
        let ends = || [("in", Node::Input { shape: vec![1] }), ("out", Node::Output { shape: vec![1] })];
        let graph = |nodes: Vec<(&str, Node)>, edges: &[(&str, &str)]| Graph {
            nodes: nodes.into_iter().map(|(n, k)| (n.to_string(), k)).collect(),
            edges: edges.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect(),
            ..Graph::default()
        };
        let inner = graph(ends().into(), &[("in", "out")]);
        let mut nodes = ends().to_vec();
        nodes.push(("sub", Node::Graph(Box::new(inner))));
        let outer = graph(nodes, &[("in", "sub"), ("sub", "out")]);
        let flat = outer.flatten().unwrap();
        let names: Vec<&str> = flat.nodes.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["in", "out", "sub.in", "sub.out"]);
        assert_eq!(flat.edges, [(0, 2), (2, 3), (3, 1)]);
        assert_eq!((flat.inputs, flat.outputs), (vec![0], vec![1]));
    }
}
