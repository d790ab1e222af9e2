//! Shapes of the signals in a graph, from the parameters rather than from what the file
//! declares: exporters let time and batch axes leak into `Input.shape`.

use crate::array::count;
use crate::nir::{Conv, FlatGraph, Node, Padding, Pool};

/// A graph whose signals do not fit together.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ShapeError {
    /// A node cannot take what reaches it.
    #[error("node `{node}` ({kind}): its input has shape {found:?}, expected {expected}")]
    Mismatch {
        /// The node.
        node: String,
        /// Its type.
        kind: &'static str,
        /// Shape that arrives.
        found: Vec<usize>,
        /// What it takes.
        expected: String,
    },
    /// The shape of a node's input cannot be told.
    #[error("node `{node}` ({kind}): the shape of its input is not known; {why}")]
    Unknown {
        /// The node.
        node: String,
        /// Its type.
        kind: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// A signal is too large to be simulated.
    #[error("node `{node}`: a signal of shape {shape:?} is too large")]
    TooLarge {
        /// The node.
        node: String,
        /// The shape.
        shape: Vec<usize>,
    },
}

/// Input and output shape of every node of a flat graph, in its order.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Shapes {
    /// Shape that arrives at each node.
    pub input: Vec<Vec<usize>>,
    /// Shape that leaves each node.
    pub output: Vec<Vec<usize>>,
    /// Where a declared shape was not believed, or a signal was flattened without a Flatten.
    pub notes: Vec<String>,
}

/// Most values of all signals of a graph together; with their state they take about 2 GiB.
pub const MOST_VALUES: usize = 1 << 24;

impl Shapes {
    /// Infers all shapes. `order` lists every node after those that feed it without delay.
    pub fn infer(graph: &FlatGraph, order: &[usize]) -> Result<Self, ShapeError> {
        let n = graph.nodes.len();
        let mut found: Vec<Option<(Vec<usize>, Vec<usize>)>> = vec![None; n];
        let (mut notes, mut values) = (Vec::new(), 0usize);
        // A node fed only over cycles gets its shape on a later pass.
        for _pass in 0..3 {
            for &i in order {
                if found.get(i).is_none_or(|f| f.is_some()) {
                    continue;
                }
                let Some((name, node)) = graph.nodes.get(i) else { continue };
                let arriving =
                    graph.sources(i).find_map(|s| found.get(s)?.as_ref().map(|(_, out)| out.clone()));
                let input = match node {
                    Node::Input { shape } if arriving.is_none() => {
                        Some(input_shape(graph, i, shape, &mut notes))
                    }
                    _ => arriving.or_else(|| own_shape(node)),
                };
                if let Some(input) = input {
                    let (input, output) = through(name, node, input, &mut notes)?;
                    let sizes = [&input, &output].map(|s| count(s).unwrap_or(usize::MAX));
                    values = sizes.iter().fold(values, |sum, n| sum.saturating_add(*n));
                    if values > MOST_VALUES {
                        return Err(ShapeError::TooLarge { node: name.clone(), shape: output });
                    }
                    if let Some(place) = found.get_mut(i) {
                        *place = Some((input, output));
                    }
                }
            }
        }
        let mut out = Self { notes, ..Self::default() };
        for (i, shapes) in found.into_iter().enumerate() {
            match (shapes, graph.nodes.get(i)) {
                (Some((input, output)), _) => {
                    out.input.push(input);
                    out.output.push(output);
                }
                (None, Some((name, node))) => {
                    return Err(ShapeError::Unknown {
                        node: name.clone(),
                        kind: node.type_name(),
                        why: "nothing with a known shape leads to it",
                    });
                }
                (None, None) => {}
            }
        }
        out.check_sums(graph)?;
        Ok(out)
    }

    /// All signals that meet at a node must have as many values.
    fn check_sums(&self, graph: &FlatGraph) -> Result<(), ShapeError> {
        for &(from, to) in &graph.edges {
            if let (Some(out), Some(input), Some((name, node))) =
                (self.output.get(from), self.input.get(to), graph.nodes.get(to))
                && count(out) != count(input)
            {
                return Err(ShapeError::Mismatch {
                    node: name.clone(),
                    kind: node.type_name(),
                    found: out.clone(),
                    expected: format!("shape {input:?}, as its other input or its parameters have"),
                });
            }
        }
        Ok(())
    }
}

/// What the node's own parameters say about its input: a full shape, or nothing.
fn own_shape(node: &Node) -> Option<Vec<usize>> {
    match node {
        Node::Affine { weight, .. } | Node::Linear { weight } => {
            let mut shape = weight.shape().to_vec();
            let last = shape.pop()?;
            shape.pop();
            shape.push(last);
            Some(shape)
        }
        Node::Conv1d(c) | Node::Conv2d(c) => {
            let mut shape = vec![c.weight.shape().get(1)?.checked_mul(c.groups)?];
            shape.extend(c.input_shape.as_ref()?);
            Some(shape)
        }
        Node::Flatten { input_shape, .. } => input_shape.clone(),
        Node::Input { .. } | Node::Output { .. } | Node::SumPool2d(_) | Node::AvgPool2d(_) => None,
        other => {
            let widest =
                other.arrays().into_iter().map(|(_, a)| a).max_by_key(|a| (a.len(), a.shape().len()))?;
            (widest.len() > 1).then(|| widest.shape().to_vec())
        }
    }
}

/// The shape of a top-level input: what its consumers take, unless what the file declares fits.
fn input_shape(graph: &FlatGraph, at: usize, declared: &[usize], notes: &mut Vec<String>) -> Vec<usize> {
    let Some(wanted) = demand(graph, at, 0) else { return declared.to_vec() };
    if declared == wanted.as_slice() || count(declared) == count(&wanted) {
        return declared.to_vec();
    }
    let name = graph.nodes.get(at).map_or("", |(n, _)| n.as_str());
    notes.push(format!(
        "node `{name}`: the file declares {declared:?}; its consumers take {wanted:?}, which is used"
    ));
    wanted
}

fn demand(graph: &FlatGraph, at: usize, depth: usize) -> Option<Vec<usize>> {
    if depth > graph.nodes.len() {
        return None;
    }
    graph.targets(at).find_map(|t| {
        let (_, node) = graph.nodes.get(t)?;
        own_shape(node).or_else(|| match node {
            Node::Affine { .. } | Node::Linear { .. } | Node::Conv1d(_) | Node::Conv2d(_) => None,
            Node::SumPool2d(_) | Node::AvgPool2d(_) | Node::Flatten { .. } => None,
            _ => demand(graph, t, depth + 1),
        })
    })
}

type InOut = (Vec<usize>, Vec<usize>);

/// Input and output shape of a node that `input` reaches.
fn through(name: &str, node: &Node, input: Vec<usize>, notes: &mut Vec<String>) -> Result<InOut, ShapeError> {
    let wrong = |found: &[usize], expected: String| ShapeError::Mismatch {
        node: name.to_string(),
        kind: node.type_name(),
        found: found.to_vec(),
        expected,
    };
    match node {
        Node::Affine { weight, .. } | Node::Linear { weight } => {
            let takes = own_shape(node).unwrap_or_default();
            let mut gives = weight.shape().to_vec();
            gives.pop();
            if count(&takes) != count(&input) {
                return Err(wrong(&input, format!("{takes:?}")));
            }
            if input.len() > takes.len() && input.iter().filter(|d| **d > 1).count() > 1 {
                notes.push(format!("node `{name}`: its input of shape {input:?} is flattened"));
            }
            Ok((takes, gives))
        }
        Node::Conv1d(conv) => convolved(conv, 1, input).map_err(|(found, expected)| wrong(&found, expected)),
        Node::Conv2d(conv) => convolved(conv, 2, input).map_err(|(found, expected)| wrong(&found, expected)),
        Node::SumPool2d(pool) | Node::AvgPool2d(pool) => match *input.as_slice() {
            [c, rows, columns] => {
                let size = |i: usize, axis: usize| pooled(pool, i, axis);
                let (Some(r), Some(k)) = (size(rows, 0), size(columns, 1)) else {
                    return Err(wrong(&input, format!("at least the window {:?}", pool.kernel)));
                };
                Ok((input, vec![c, r, k]))
            }
            _ => Err(wrong(&input, "(channels, rows, columns)".into())),
        },
        Node::Flatten { start, end, .. } => {
            let axes = input.len() as i64;
            let place = |d: i64| if d < 0 { d + axes } else { d };
            let (s, e) = (place(*start), place(*end));
            if axes > 0 && (s < 0 || e >= axes || s > e) {
                return Err(wrong(&input, format!("axes {start} to {end}")));
            }
            let (s, e) = (s.max(0) as usize, e.max(0) as usize);
            let mut out = input.get(..s).unwrap_or(&[]).to_vec();
            out.push(input.iter().skip(s).take(e + 1 - s).product());
            out.extend(input.iter().skip(e + 1));
            Ok((input, out))
        }
        _ => match own_shape(node) {
            Some(own) if count(&own) == count(&input) => {
                let out =
                    if input.len() > own.len() && !matches!(node, Node::Input { .. }) { own } else { input };
                Ok((out.clone(), out))
            }
            Some(own) => {
                let fits = node.arrays().iter().all(|(_, a)| a.broadcast(&input).is_some());
                if fits { Ok((input.clone(), input)) } else { Err(wrong(&input, format!("{own:?}"))) }
            }
            None => Ok((input.clone(), input)),
        },
    }
}

/// Zeros before and after an axis.
pub(crate) fn padding(conv: &Conv, axis: usize) -> (usize, usize) {
    let kernel = conv.weight.shape().get(axis + 2).copied().unwrap_or(1);
    match &conv.padding {
        Padding::Valid => (0, 0),
        Padding::Explicit(p) => {
            let p = p.get(axis).copied().unwrap_or(0);
            (p, p)
        }
        Padding::Same => {
            let total =
                conv.dilation.get(axis).copied().unwrap_or(1).saturating_mul(kernel.saturating_sub(1));
            (total / 2, total - total / 2)
        }
    }
}

fn convolved(conv: &Conv, axes: usize, mut input: Vec<usize>) -> Result<InOut, (Vec<usize>, String)> {
    let kernel = conv.weight.shape();
    let channels = kernel.get(1).copied().unwrap_or(0).saturating_mul(conv.groups);
    let full = |input: &[usize]| input.len() == axes + 1 && input.first() == Some(&channels);
    if !full(&input) {
        // A batch axis may lead, and a single channel may be left out.
        while input.len() > axes + 1 && input.first() == Some(&1) {
            input.remove(0);
        }
        if input.len() == axes && channels == 1 {
            input.insert(0, 1);
        }
    }
    let expected = format!("{channels} channels and {axes} more axes");
    if !full(&input) {
        return Err((input, expected));
    }
    let mut out = vec![kernel.first().copied().unwrap_or(0)];
    for axis in 0..axes {
        let size = input.get(axis + 1).copied().unwrap_or(0);
        let (before, after) = padding(conv, axis);
        let k = kernel.get(axis + 2).copied().unwrap_or(1);
        let span = conv
            .dilation
            .get(axis)
            .copied()
            .unwrap_or(1)
            .saturating_mul(k.saturating_sub(1))
            .saturating_add(1);
        let padded = size.saturating_add(before).saturating_add(after);
        match padded.checked_sub(span) {
            Some(free) => out.push(free / conv.stride.get(axis).copied().unwrap_or(1).max(1) + 1),
            None => {
                return Err((input, format!("at least {span} values along axis {axis} with its padding")));
            }
        }
    }
    Ok((input, out))
}

fn pooled(pool: &Pool, size: usize, axis: usize) -> Option<usize> {
    let padded = size.checked_add(pool.padding.get(axis)?.checked_mul(2)?)?;
    Some(padded.checked_sub(*pool.kernel.get(axis)?)? / (*pool.stride.get(axis)?).max(1) + 1)
}
