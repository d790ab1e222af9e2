//! The gradient by the weights, and Adam's step, block by block while it is in cache.

use std::cell::RefCell;

use super::kernels::{Aligned, Entry, Gather, Span, vectorised};
use super::network::{Connection, Network, Neuron};
use super::pass::{Tape, for_chunks};
use super::samples::Samples;

/// Inputs whose weights form one block of work.
const BLOCK: usize = 32;

thread_local! {
    /// The gradient of the block that a thread works on.
    static SCRATCH: RefCell<Aligned> = RefCell::new(Aligned::default());
}

/// Adam (Kingma and Ba 2015) with the usual constants.
#[derive(Debug, Clone)]
pub struct Adam {
    /// Step size.
    pub learning_rate: f32,
    /// Whether decays are learnt.
    pub learn_decay: bool,
    /// Whether thresholds are learnt.
    pub learn_threshold: bool,
    updates: i32,
    layers: Vec<LayerState>,
}

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

#[derive(Debug, Clone, Default)]
struct LayerState {
    /// The whole gradient, kept for tests only.
    #[cfg(test)]
    gradient: Vec<f32>,
    weights: Moments,
    bias_gradient: Vec<f32>,
    bias: Moments,
    scalars: Moments,
    /// The layer's inputs of the batch, sorted by input: which rows, and how much.
    spans: Vec<Span>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Default)]
struct Moments {
    first: Aligned,
    second: Aligned,
}

impl Moments {
    fn zeros(length: usize) -> Self {
        Self { first: Aligned::zeros(length), second: Aligned::zeros(length) }
    }
}

/// Step size and denominator scale of one update, bias-corrected.
#[derive(Clone, Copy)]
struct Rates {
    step: f32,
    root: f32,
}

impl Rates {
    fn apply(self, values: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        vectorised(
            #[inline(always)]
            || {
                let moments = first.iter_mut().zip(second);
                for ((value, &g), (m, v)) in values.iter_mut().zip(gradient).zip(moments) {
                    *m = BETA1 * *m + (1.0 - BETA1) * g;
                    *v = BETA2 * *v + (1.0 - BETA2) * g * g;
                    *value -= self.step * *m / (v.sqrt() * self.root + EPSILON);
                }
            },
        );
    }
}

impl Adam {
    /// For a network of this shape.
    pub fn new(network: &Network, learning_rate: f32) -> Self {
        let state = |layer: &super::network::Layer| match &layer.connection {
            Connection::Dense(dense) => LayerState {
                #[cfg(test)]
                gradient: vec![0.0; dense.weights.len()],
                weights: Moments::zeros(dense.weights.len()),
                bias_gradient: vec![0.0; dense.stride],
                bias: Moments::zeros(dense.stride),
                scalars: Moments::zeros(2),
                ..LayerState::default()
            },
            Connection::Identity(_) => LayerState { scalars: Moments::zeros(2), ..LayerState::default() },
        };
        Self {
            learning_rate,
            learn_decay: true,
            learn_threshold: true,
            updates: 0,
            layers: network.layers.iter().map(state).collect(),
        }
    }

    /// One update of `network` from the gradients on the tape (after the backward pass of the same batch).
    #[allow(clippy::type_complexity)] // zipped chunks of parallel arrays
    pub(crate) fn update(&mut self, network: &mut Network, samples: &Samples, tape: &Tape, parallel: bool) {
        self.updates = self.updates.saturating_add(1);
        let rates = Rates {
            step: self.learning_rate / (1.0 - BETA1.powi(self.updates)),
            root: 1.0 / (1.0 - BETA2.powi(self.updates)).sqrt(),
        };
        let (learn_decay, learn_threshold) = (self.learn_decay, self.learn_threshold);
        for l in 0..network.layers.len().min(self.layers.len()) {
            let state = &mut self.layers[l];
            let layer = &mut network.layers[l];
            let own = &tape.layers[l];
            let (spans, entries): (&[Span], &[Entry]) = match l.checked_sub(1) {
                Some(previous) => (&tape.layers[previous].spans, &tape.layers[previous].entries),
                None => (&tape.input_spans, samples.entries()),
            };
            if let Connection::Dense(dense) = &mut layer.connection {
                state.sort_by_input(dense.inputs, spans, entries);
                let (stride, width) = (dense.stride, dense.outputs);
                let zeros = vec![0.0; stride];
                let (columns, rows) = (&state.spans, &state.entries);
                let block =
                    |(k, (values, (first, second))): (usize, (&mut [f32], (&mut [f32], &mut [f32])))| {
                        let inputs = values.len() / stride;
                        let spans = &columns[k * BLOCK..k * BLOCK + inputs];
                        // a block's gradient lives in cache only: it is used at once
                        SCRATCH.with_borrow_mut(|gradient| {
                            if gradient.len() != values.len() {
                                *gradient = Aligned::zeros(values.len());
                            }
                            let out: &mut [f32] = gradient;
                            let (rows, entries) = (&own.delta, rows);
                            Gather { rows, stride, width, start: &zeros, spans, entries, out }.run();
                            rates.apply(values, gradient, first, second);
                        });
                    };
                #[cfg(test)]
                Gather {
                    rows: &own.delta,
                    stride,
                    width,
                    start: &zeros,
                    spans: columns,
                    entries: rows,
                    out: &mut state.gradient,
                }
                .run();
                let size = BLOCK * stride;
                let moments = state.weights.first.chunks_mut(size).zip(state.weights.second.chunks_mut(size));
                for_chunks(parallel, dense.weights.chunks_mut(size).zip(moments), block);
                state.bias_gradient.fill(0.0);
                vectorised(
                    #[inline(always)]
                    || {
                        for row in own.delta.chunks_exact(stride) {
                            state.bias_gradient.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
                        }
                    },
                );
                rates.apply(
                    &mut dense.bias,
                    &state.bias_gradient,
                    &mut state.bias.first,
                    &mut state.bias.second,
                );
            }
            if let Neuron::Lif { decay, threshold } = &mut layer.neuron {
                let sum = |k: usize| own.scalars.iter().map(|pair| f64::from(pair[k])).sum::<f64>() as f32;
                let mut values = [*decay, *threshold];
                rates.apply(
                    &mut values,
                    &[sum(0), sum(1)],
                    &mut state.scalars.first,
                    &mut state.scalars.second,
                );
                if learn_decay {
                    *decay = values[0];
                }
                if learn_threshold {
                    *threshold = values[1];
                }
            }
        }
    }

    /// The gradient by the weights of a layer as of the last update, `[input][padded output]`.
    #[cfg(test)]
    pub(crate) fn gradient(&self, layer: usize) -> (&[f32], &[f32]) {
        (&self.layers[layer].gradient, &self.layers[layer].bias_gradient)
    }
}

impl LayerState {
    /// Turns lists of inputs per row into lists of rows per input, rows ascending.
    fn sort_by_input(&mut self, inputs: usize, spans: &[Span], entries: &[Entry]) {
        // every input has room for all rows, so that nothing needs to be counted first
        let room = spans.len();
        self.spans.clear();
        self.spans.extend((0..inputs).map(|input| [(input * room) as u32; 2]));
        self.entries.resize(inputs * room, Entry::default());
        let (ends, lists) = (&mut self.spans[..], &mut self.entries[..]);
        for (row, span) in spans.iter().enumerate() {
            for entry in &entries[span[0] as usize..span[1] as usize] {
                let [_, end] = &mut ends[entry.index as usize];
                lists[*end as usize] = Entry { index: row as u32, value: entry.value };
                *end += 1;
            }
        }
    }
}
