//! Stateless linear nodes: dense layers, convolutions, poolings and scalings.

use crate::array::count;
use crate::nir::{Conv, Node, Pool};
use crate::shape::padding;

/// `y = A x + b`, with `A` kept in the form that its node has.
#[derive(Clone, Debug)]
pub(crate) enum Map {
    /// Blocks of (in, out) columns, and the bias over all outputs.
    Dense { blocks: Vec<Vec<f64>>, inputs: usize, outputs: usize, bias: Vec<f64> },
    /// One factor per value.
    Scale(Vec<f64>),
    /// A window that moves over one or two axes (one axis is two with a single row).
    Window(Window),
}

/// A convolution or pooling as a scatter: every input value meets a few outputs.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// (channels, rows, columns) in and out.
    input: [usize; 3],
    output: [usize; 3],
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    before: [usize; 2],
    /// Weight (out, in per group, rows, columns), or one weight per channel for a pooling.
    weight: Vec<f64>,
    groups: usize,
    /// Per output channel.
    bias: Vec<f64>,
}

impl Map {
    /// The map of a node whose input has that shape; `None` for a node that is none.
    pub(crate) fn of(node: &Node, shape: &[usize]) -> Option<Self> {
        match node {
            Node::Linear { weight } => Some(Self::dense(weight.shape(), weight.data(), None)),
            Node::Affine { weight, bias } => {
                let outs = weight.shape().get(..weight.shape().len().checked_sub(1)?)?;
                Some(Self::dense(weight.shape(), weight.data(), bias.broadcast(outs)))
            }
            Node::Scale { scale } => scale.broadcast(shape).map(Map::Scale),
            Node::Conv1d(conv) | Node::Conv2d(conv) => Window::convolution(conv, shape).map(Map::Window),
            Node::SumPool2d(pool) => Window::pooling(pool, shape, 1.0).map(Map::Window),
            Node::AvgPool2d(pool) => {
                let cells = pool.kernel.iter().product::<usize>() as f64;
                Window::pooling(pool, shape, 1.0 / cells).map(Map::Window)
            }
            _ => None,
        }
    }

    fn dense(shape: &[usize], data: &[f64], bias: Option<Vec<f64>>) -> Self {
        let (inputs, outputs) = match shape {
            [.., o, i] => (*i, *o),
            _ => (0, 0),
        };
        let blocks = data
            .chunks((inputs * outputs).max(1))
            .map(|block| (0..inputs * outputs).map(|k| block[(k % outputs) * inputs + k / outputs]).collect())
            .collect();
        Map::Dense { blocks, inputs, outputs, bias: bias.unwrap_or_default() }
    }

    /// `A x + b`.
    pub(crate) fn apply(&self, x: &[f64]) -> Vec<f64> {
        let mut y = self.bias();
        for (i, x) in x.iter().enumerate() {
            if *x != 0.0 {
                self.column(i, |o, w| y[o] += w * x);
            }
        }
        y
    }

    /// Number of outputs.
    pub(crate) fn len(&self) -> usize {
        match self {
            Map::Dense { blocks, outputs, .. } => blocks.len() * outputs,
            Map::Scale(s) => s.len(),
            Map::Window(w) => w.output.iter().product(),
        }
    }

    /// `b`, one value per output.
    pub(crate) fn bias(&self) -> Vec<f64> {
        match self {
            Map::Dense { bias, .. } if !bias.is_empty() => bias.clone(),
            Map::Window(w) if !w.bias.is_empty() => {
                let plane = w.output[1] * w.output[2];
                w.bias.iter().flat_map(|b| std::iter::repeat_n(*b, plane)).collect()
            }
            _ => vec![0.0; self.len()],
        }
    }

    /// Calls `each(output, weight)` for every output that input `i` reaches.
    pub(crate) fn column(&self, i: usize, mut each: impl FnMut(usize, f64)) {
        match self {
            Map::Dense { blocks, inputs, outputs, .. } => {
                let (block, at) = (i / inputs, i % inputs);
                if let Some(column) = blocks.get(block).and_then(|b| b.get(at * outputs..(at + 1) * outputs))
                {
                    for (o, w) in column.iter().enumerate() {
                        each(block * outputs + o, *w);
                    }
                }
            }
            Map::Scale(s) => {
                if let Some(s) = s.get(i) {
                    each(i, *s);
                }
            }
            Map::Window(w) => w.column(i, each),
        }
    }
}

impl Window {
    fn convolution(conv: &Conv, shape: &[usize]) -> Option<Self> {
        let axes = conv.stride.len();
        let k = conv.weight.shape();
        // One axis is the second of two; the first has a single row.
        let two = |values: &[usize], lone: usize| match values {
            [a, b] => [*a, *b],
            [a] => [lone, *a],
            _ => [lone, lone],
        };
        let input = [*shape.first()?, if axes == 2 { *shape.get(1)? } else { 1 }, *shape.last()?];
        let pads: Vec<(usize, usize)> = (0..axes).map(|axis| padding(conv, axis)).collect();
        let kernel = two(k.get(2..)?, 1);
        let (stride, dilation) = (two(&conv.stride, 1), two(&conv.dilation, 1));
        let before = two(&pads.iter().map(|p| p.0).collect::<Vec<_>>(), 0);
        let after = two(&pads.iter().map(|p| p.1).collect::<Vec<_>>(), 0);
        let mut output = [*k.first()?, 1, 1];
        for axis in 0..2 {
            let span = dilation[axis] * (kernel[axis] - 1) + 1;
            let padded = input[axis + 1] + before[axis] + after[axis];
            output[axis + 1] = padded.checked_sub(span)? / stride[axis] + 1;
        }
        let bias = conv.bias.broadcast(&output[..1])?;
        let weight = conv.weight.data().to_vec();
        Some(Self { input, output, kernel, stride, dilation, before, weight, groups: conv.groups, bias })
    }

    fn pooling(pool: &Pool, shape: &[usize], weight: f64) -> Option<Self> {
        let &[c, rows, columns] = shape else { return None };
        let mut output = [c, 0, 0];
        for (axis, size) in [rows, columns].into_iter().enumerate() {
            output[axis + 1] =
                (size + 2 * pool.padding[axis]).checked_sub(pool.kernel[axis])? / pool.stride[axis] + 1;
        }
        Some(Self {
            input: [c, rows, columns],
            output,
            kernel: pool.kernel,
            stride: pool.stride,
            dilation: [1, 1],
            before: pool.padding,
            weight: vec![weight; count(&pool.kernel)?.checked_mul(c)?],
            groups: c,
            bias: Vec::new(),
        })
    }

    fn column(&self, i: usize, mut each: impl FnMut(usize, f64)) {
        let [channels, rows, columns] = self.input;
        let (c, y, x) = (i / (rows * columns), i / columns % rows, i % columns);
        let (in_group, out_group) = (channels / self.groups, self.output[0] / self.groups);
        let group = c / in_group;
        for ky in 0..self.kernel[0] {
            let Some(oy) = self.place(0, y, ky) else { continue };
            for kx in 0..self.kernel[1] {
                let Some(ox) = self.place(1, x, kx) else { continue };
                for o in group * out_group..(group + 1) * out_group {
                    let at = ((o * in_group + c % in_group) * self.kernel[0] + ky) * self.kernel[1] + kx;
                    if let Some(w) = self.weight.get(at) {
                        each((o * self.output[1] + oy) * self.output[2] + ox, *w);
                    }
                }
            }
        }
    }

    /// Output position that meets input position `at` under kernel position `k`.
    fn place(&self, axis: usize, at: usize, k: usize) -> Option<usize> {
        let shifted = (at + self.before[axis]).checked_sub(k * self.dilation[axis])?;
        let out = shifted / self.stride[axis];
        (shifted % self.stride[axis] == 0 && out < self.output[axis + 1]).then_some(out)
    }
}
