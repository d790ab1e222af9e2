//! NIR 1.x: the neuromorphic intermediate representation, as files and as a graph.
//!
//! A file is an HDF5 tree ([`tree`]); the one place that knows HDF5 is [`hdf5`], behind the
//! trait [`Container`]. A tree is read into a [`Graph`] (`read`), and a graph is written back
//! as a tree ([`write`]). Recorded spikes and membranes tied to a graph are [`data::Recording`].
//!
//! The reader is liberal where exporters differ (scalars for vectors, missing `v_reset`, any
//! number width) and notes what it filled in; it refuses what it cannot know (an unknown node
//! type, a half-written file) with an error that names the node or the dataset. NIR fixes
//! neither step, integrator, reset nor comparison: see [`crate::profile`].

pub mod data;
mod flatten;
pub mod hdf5;
mod read;
pub mod tree;
mod write;

pub use flatten::FlatGraph;
pub use hdf5::Hdf5;
pub use tree::{Container, Limits, Tree};

use crate::array::Array;
use std::collections::BTreeMap;
use std::path::Path;

/// What is wrong with a NIR file. Every variant names the node or the dataset.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NirError {
    /// The file cannot be read or written at all.
    #[error("{path}: {what}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        what: String,
    },
    /// The bytes are no container that can be read, or a part of it is damaged.
    #[error("{at}: {what}")]
    Container {
        /// Path of the group or dataset inside the file.
        at: String,
        /// What the container reader found.
        what: String,
    },
    /// Reading on would need more memory than allowed.
    #[error(
        "{at}: needs {needed} bytes, and {limit} are left of what this file may use; a larger file needs a larger limit"
    )]
    Limit {
        /// Path of the dataset.
        at: String,
        /// Bytes that it declares.
        needed: u64,
        /// Bytes that are left.
        limit: u64,
    },
    /// Something that the format requires is not there.
    #[error("{at}: {what} is missing{hint}")]
    Missing {
        /// Node or path.
        at: String,
        /// The dataset or group that is not there.
        what: String,
        /// What that usually means, or the empty text.
        hint: &'static str,
    },
    /// A dataset holds something other than it should.
    #[error("{at}: found {found}, expected {expected}")]
    Value {
        /// Node and dataset.
        at: String,
        /// What is there.
        found: String,
        /// What should be there.
        expected: String,
    },
    /// A node has a type that NIR 1.x does not define.
    #[error(
        "node `{node}`: unknown type `{found}`; NIR 1.x has Input, Output, Affine, Linear, Scale, Conv1d, Conv2d, SumPool2d, AvgPool2d, Flatten, Delay, Threshold, I, IF, LI, LIF, CubaLI, CubaLIF, NIRGraph"
    )]
    UnknownType {
        /// Name of the node.
        node: String,
        /// The type in the file.
        found: String,
    },
    /// An edge names a node that does not exist.
    #[error("edge {from} -> {to}: there is no node `{missing}`")]
    Dangling {
        /// Where the edge starts.
        from: String,
        /// Where the edge ends.
        to: String,
        /// The name that is not a node.
        missing: String,
    },
}

/// Stride, padding or kernel of a convolution or a pooling: one or two axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Zeros on both sides of each axis.
    Explicit(Vec<usize>),
    /// As many zeros as keep the size at stride 1; the odd one goes to the end.
    Same,
    /// None.
    Valid,
}

/// A convolution over one or two axes, channel first, correlation as in PyTorch.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// Kernel: (out channels, in channels / groups, kernel axes…).
    pub weight: Array,
    /// One value per out channel.
    pub bias: Array,
    /// Step per axis.
    pub stride: Vec<usize>,
    /// Zeros around the input.
    pub padding: Padding,
    /// Spacing of the kernel per axis.
    pub dilation: Vec<usize>,
    /// Number of channel groups.
    pub groups: usize,
    /// Size of the input per axis, when the file says so.
    pub input_shape: Option<Vec<usize>>,
}

/// A two-dimensional pooling window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Window (rows, columns).
    pub kernel: [usize; 2],
    /// Step (rows, columns).
    pub stride: [usize; 2],
    /// Zeros on both sides (rows, columns); they count in an average.
    pub padding: [usize; 2],
}

/// A neuron without a leak: `v' = r x`.
#[derive(Clone, Debug, PartialEq)]
pub struct Integrate {
    /// Resistance.
    pub r: Array,
    /// Threshold and reset, when it spikes.
    pub spike: Option<Spike>,
}

/// A leaky neuron: `tau v' = (v_leak − v) + r x`.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaky {
    /// Time constant of the membrane, in the file's unit of time.
    pub tau: Array,
    /// Resistance.
    pub r: Array,
    /// Potential that it decays to.
    pub v_leak: Array,
    /// Threshold and reset, when it spikes.
    pub spike: Option<Spike>,
}

/// A current-based leaky neuron: `tau_syn i' = −i + w_in x`, `tau_mem v' = (v_leak − v) + r i`.
#[derive(Clone, Debug, PartialEq)]
pub struct Cuba {
    /// Time constant of the synaptic current.
    pub tau_syn: Array,
    /// Time constant of the membrane.
    pub tau_mem: Array,
    /// Resistance.
    pub r: Array,
    /// Potential that it decays to.
    pub v_leak: Array,
    /// Gain of the input; 1 where the file has none.
    pub w_in: Array,
    /// Threshold and reset, when it spikes.
    pub spike: Option<Spike>,
}

/// What makes a neuron spike and where it goes afterwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Spike {
    /// Threshold of the membrane.
    pub v_threshold: Array,
    /// Value after a spike; 0 where the file has none (before nir 1.0.6).
    pub v_reset: Array,
}

/// One node of a graph. Shapes carry neither batch nor time.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Where signals enter; the shape is what the file says, and often wrong.
    Input {
        /// Declared shape.
        shape: Vec<usize>,
    },
    /// Where signals leave.
    Output {
        /// Declared shape.
        shape: Vec<usize>,
    },
    /// `y = W x + b`, weight (…, out, in).
    Affine {
        /// Weight.
        weight: Array,
        /// Bias (…, out).
        bias: Array,
    },
    /// `y = W x`.
    Linear {
        /// Weight.
        weight: Array,
    },
    /// `y = s x`, element by element.
    Scale {
        /// Factor.
        scale: Array,
    },
    /// One-dimensional convolution.
    Conv1d(Conv),
    /// Two-dimensional convolution.
    Conv2d(Conv),
    /// Sum over a window.
    SumPool2d(Pool),
    /// Mean over a window, padding counted.
    AvgPool2d(Pool),
    /// Joins the axes from `start` to `end` (both included, negative from the last).
    Flatten {
        /// First axis.
        start: i64,
        /// Last axis.
        end: i64,
        /// Shape of the input, when the file says so.
        input_shape: Option<Vec<usize>>,
    },
    /// `y(t) = x(t − delay)`, per channel.
    Delay {
        /// Delay in the file's unit of time.
        delay: Array,
    },
    /// 1 where x is above the threshold, without state.
    Threshold {
        /// Threshold.
        threshold: Array,
    },
    /// I and IF.
    Integrate(Integrate),
    /// LI and LIF.
    Leaky(Leaky),
    /// CubaLI and CubaLIF.
    Cuba(Cuba),
    /// A graph inside a graph.
    Graph(Box<Graph>),
}

impl Node {
    /// The type as NIR spells it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Node::Input { .. } => "Input",
            Node::Output { .. } => "Output",
            Node::Affine { .. } => "Affine",
            Node::Linear { .. } => "Linear",
            Node::Scale { .. } => "Scale",
            Node::Conv1d(_) => "Conv1d",
            Node::Conv2d(_) => "Conv2d",
            Node::SumPool2d(_) => "SumPool2d",
            Node::AvgPool2d(_) => "AvgPool2d",
            Node::Flatten { .. } => "Flatten",
            Node::Delay { .. } => "Delay",
            Node::Threshold { .. } => "Threshold",
            Node::Integrate(n) if n.spike.is_some() => "IF",
            Node::Integrate(_) => "I",
            Node::Leaky(n) if n.spike.is_some() => "LIF",
            Node::Leaky(_) => "LI",
            Node::Cuba(n) if n.spike.is_some() => "CubaLIF",
            Node::Cuba(_) => "CubaLI",
            Node::Graph(_) => "NIRGraph",
        }
    }

    /// Threshold and reset of a spiking neuron.
    pub fn spike(&self) -> Option<&Spike> {
        match self {
            Node::Integrate(n) => n.spike.as_ref(),
            Node::Leaky(n) => n.spike.as_ref(),
            Node::Cuba(n) => n.spike.as_ref(),
            _ => None,
        }
    }

    /// True for the nodes that carry a membrane: I, IF, LI, LIF, CubaLI, CubaLIF.
    pub fn is_neuron(&self) -> bool {
        matches!(self, Node::Integrate(_) | Node::Leaky(_) | Node::Cuba(_))
    }

    /// Every array of the node with its name in the file.
    pub fn arrays(&self) -> Vec<(&'static str, &Array)> {
        let mut out = match self {
            Node::Affine { weight, bias } => vec![("weight", weight), ("bias", bias)],
            Node::Linear { weight } => vec![("weight", weight)],
            Node::Scale { scale } => vec![("scale", scale)],
            Node::Conv1d(c) | Node::Conv2d(c) => vec![("weight", &c.weight), ("bias", &c.bias)],
            Node::Delay { delay } => vec![("delay", delay)],
            Node::Threshold { threshold } => vec![("threshold", threshold)],
            Node::Integrate(n) => vec![("r", &n.r)],
            Node::Leaky(n) => vec![("tau", &n.tau), ("r", &n.r), ("v_leak", &n.v_leak)],
            Node::Cuba(n) => vec![
                ("tau_syn", &n.tau_syn),
                ("tau_mem", &n.tau_mem),
                ("r", &n.r),
                ("v_leak", &n.v_leak),
                ("w_in", &n.w_in),
            ],
            _ => Vec::new(),
        };
        if let Some(spike) = self.spike() {
            out.push(("v_threshold", &spike.v_threshold));
            out.push(("v_reset", &spike.v_reset));
        }
        out
    }
}

/// A NIR graph: named nodes and a set of edges; cycles and nesting are allowed.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Graph {
    /// Nodes by name.
    pub nodes: BTreeMap<String, Node>,
    /// Edges (from, to), sorted, each once.
    pub edges: Vec<(String, String)>,
    /// Free-form metadata of the graph; shown, never required.
    pub metadata: Option<Tree>,
    /// `version` of the writing package (only at the root).
    pub version: Option<String>,
    /// What the reader tolerated or filled in, one line each.
    pub notes: Vec<String>,
}

impl Graph {
    /// Reads a `.nir` file with the default limits.
    pub fn open(path: &Path) -> Result<Self, NirError> {
        let bytes = std::fs::read(path)
            .map_err(|e| NirError::File { path: path.display().to_string(), what: e.to_string() })?;
        Self::from_bytes(bytes, Limits::default())
    }

    /// Reads a graph from the bytes of a `.nir` file.
    pub fn from_bytes(bytes: Vec<u8>, limits: Limits) -> Result<Self, NirError> {
        read::graph(&Hdf5.load(bytes, limits)?)
    }

    /// The bytes of a `.nir` file with this graph, uncompressed.
    pub fn to_bytes(&self) -> Result<Vec<u8>, NirError> {
        Hdf5.store(&write::graph(self))
    }
}
