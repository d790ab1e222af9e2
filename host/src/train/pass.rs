//! One batch forwards and backwards through time.
//!
//! All steps of a layer are one job: currents of every (sample, step) row as gathered
//! sums over the inputs that spiked, then the membranes step by step. Backwards the
//! same in reverse, with a surrogate for the derivative of the spike. Samples are cut
//! into fixed chunks; nothing that is summed over chunks depends on how many threads
//! work on them.

use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

use super::kernels::{Aligned, Entry, Gather, RowProducts, Span, padded, vectorised};
use super::network::{Connection, Layer, Network, Neuron, unit};
use super::samples::Samples;

/// Samples per chunk of work.
const CHUNK: usize = 8;

/// What stands for the derivative of a spike by the membrane, with d = U − θ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Surrogate {
    /// `1 / (1 + (π·d)²)`.
    Arctan,
    /// `1 / (1 + slope·|d|)²`.
    FastSigmoid {
        /// Steepness; 25 is common.
        slope: f32,
    },
}

/// Random inversions of the spikes that leave hidden layers; a neuron's own reset is not affected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpikeFlips {
    /// Probability that a bit is inverted, per neuron and step.
    pub probability: f32,
    /// Seed; the draws depend on it, the layer and the sample only.
    pub seed: u64,
}

/// What one layer keeps of the forward pass. Rows are `sample × steps + step`.
#[derive(Debug, Default)]
pub(crate) struct LayerTape {
    pub(crate) stride: usize,
    pub(crate) neurons: usize,
    /// Membranes after integration (currents of neurons without state), `[row][stride]`.
    pub(crate) membranes: Aligned,
    /// Non-zero outputs per row, in `entries`.
    pub(crate) spans: Vec<Span>,
    pub(crate) entries: Vec<Entry>,
    /// Gradient by the outputs, then by the currents, `[row][stride]`.
    pub(crate) delta: Aligned,
    /// Gradients by (decay, threshold), per sample.
    pub(crate) scalars: Vec<[f32; 2]>,
}

/// What a batch leaves behind: membranes, spikes and, after `backward`, gradients.
#[derive(Debug, Default)]
pub struct Tape {
    pub(crate) steps: usize,
    pub(crate) samples: usize,
    pub(crate) input_spans: Vec<Span>,
    pub(crate) layers: Vec<LayerTape>,
}

impl Tape {
    fn fit(&mut self, network: &Network, samples: usize, steps: usize) {
        self.steps = steps;
        self.samples = samples;
        let rows = samples * steps;
        self.layers.resize_with(network.layers.len(), LayerTape::default);
        for (tape, layer) in self.layers.iter_mut().zip(&network.layers) {
            let stride = padded(layer.outputs());
            if tape.stride != stride || tape.membranes.len() != rows * stride {
                tape.stride = stride;
                tape.neurons = layer.outputs();
                tape.membranes = Aligned::zeros(rows * stride);
                tape.delta = Aligned::zeros(rows * stride);
                tape.spans = vec![[0, 0]; rows];
                tape.entries = vec![Entry::default(); rows * stride];
                tape.scalars = vec![[0.0; 2]; samples];
            }
        }
    }

    /// Outputs that were not zero (spikes, for spiking neurons) of a layer for a sample at a step.
    pub fn outputs(&self, layer: usize, sample: usize, step: usize) -> &[Entry] {
        let Some(tape) = self.layers.get(layer) else { return &[] };
        match tape.spans.get(sample * self.steps + step) {
            Some(span) => &tape.entries[span[0] as usize..span[1] as usize],
            None => &[],
        }
    }

    /// Membranes of a layer for a sample at a step, after integration and before any reset.
    pub fn membranes(&self, layer: usize, sample: usize, step: usize) -> &[f32] {
        let Some(tape) = self.layers.get(layer) else { return &[] };
        let from = (sample * self.steps + step) * tape.stride;
        tape.membranes.get(from..from + tape.neurons).unwrap_or(&[])
    }
}

/// Runs numbered chunks of work one after another or on the threads of the pool.
pub(crate) fn for_chunks<T: Send>(
    parallel: bool,
    chunks: impl Iterator<Item = T>,
    work: impl Fn((usize, T)) + Sync + Send,
) {
    if parallel {
        chunks.enumerate().collect::<Vec<_>>().into_par_iter().for_each(work);
    } else {
        chunks.enumerate().for_each(work);
    }
}

/// Runs the chosen samples through the network and fills the tape.
///
/// `parallel` spreads chunks of samples over the threads of the current pool; the result does not depend on it.
#[allow(clippy::type_complexity)] // zipped chunks of parallel arrays
pub fn forward(
    network: &Network,
    samples: &Samples,
    chosen: &[u32],
    flips: Option<SpikeFlips>,
    parallel: bool,
    tape: &mut Tape,
) {
    let steps = samples.steps();
    tape.fit(network, chosen.len(), steps);
    tape.input_spans.clear();
    for &sample in chosen {
        let from = sample as usize * steps;
        tape.input_spans.extend_from_slice(&samples.spans()[from..from + steps]);
    }
    let last = network.layers.len().saturating_sub(1);
    for l in 0..network.layers.len() {
        let layer = &network.layers[l];
        let (before, rest) = tape.layers.split_at_mut(l);
        let Some(own) = rest.first_mut() else { return };
        let (spans, entries): (&[Span], &[Entry]) = match before.last() {
            Some(previous) => (&previous.spans, &previous.entries),
            None => (&tape.input_spans, samples.entries()),
        };
        let rows = CHUNK * steps;
        let stride = own.stride;
        let flips = flips.filter(|_| l < last);
        let work = |(chunk, (membranes, (own_spans, own_entries))): (
            usize,
            (&mut [f32], (&mut [Span], &mut [Entry])),
        )| {
            let from = chunk * rows;
            let inputs = &spans[from..from + own_spans.len()];
            currents(layer, stride, inputs, entries, membranes);
            integrate(layer.neuron, stride, steps, membranes);
            emit(layer, stride, membranes, from * stride, own_spans, own_entries);
            if let Some(flips) = flips {
                for (k, sample) in chosen[chunk * CHUNK..].iter().take(own_spans.len() / steps).enumerate() {
                    let spans = &mut own_spans[k * steps..(k + 1) * steps];
                    flip(flips, l, *sample, layer.outputs(), from * stride, spans, own_entries);
                }
            }
        };
        for_chunks(
            parallel,
            own.membranes
                .chunks_mut(rows * stride)
                .zip(own.spans.chunks_mut(rows).zip(own.entries.chunks_mut(rows * stride))),
            work,
        );
    }
}

/// Currents of a chunk of rows, from the non-zero inputs of each.
fn currents(layer: &Layer, stride: usize, spans: &[Span], entries: &[Entry], out: &mut [f32]) {
    match &layer.connection {
        Connection::Dense(dense) => {
            Gather {
                rows: &dense.weights,
                stride,
                width: dense.outputs,
                start: &dense.bias,
                spans,
                entries,
                out,
            }
            .run();
        }
        Connection::Identity(_) => {
            out.fill(0.0);
            for (row, span) in out.chunks_mut(stride).zip(spans) {
                for entry in &entries[span[0] as usize..span[1] as usize] {
                    row[entry.index as usize] = entry.value;
                }
            }
        }
    }
}

/// Turns currents into membranes, in place, step by step.
fn integrate(neuron: Neuron, stride: usize, steps: usize, rows: &mut [f32]) {
    let Neuron::Lif { decay, threshold } = neuron else { return };
    let decay = decay.clamp(0.0, 1.0);
    vectorised(
        #[inline(always)]
        || {
            for sample in rows.chunks_mut(stride * steps) {
                for step in 1..steps {
                    let (past, now) = sample.split_at_mut(step * stride);
                    let past = &past[(step - 1) * stride..];
                    for (u, &before) in now[..stride].iter_mut().zip(past) {
                        let reset = if before > threshold { threshold } else { 0.0 };
                        *u += decay * before - reset;
                    }
                }
            }
        },
    );
}

/// Lists the non-zero outputs of every row; `base` is the place of this chunk's entries in the whole list.
fn emit(
    layer: &Layer,
    stride: usize,
    membranes: &[f32],
    base: usize,
    spans: &mut [Span],
    entries: &mut [Entry],
) {
    let neurons = layer.outputs();
    for (r, span) in spans.iter_mut().enumerate() {
        let row = &membranes[r * stride..r * stride + neurons];
        let list = &mut entries[r * stride..(r + 1) * stride];
        let mut count = 0;
        match layer.neuron {
            Neuron::Lif { threshold, .. } => count = emit_spikes(row, threshold, list),
            // the entry is always written and only kept when the neuron speaks: no branch to mispredict
            Neuron::Relu => {
                for (i, &u) in row.iter().enumerate() {
                    list[count] = Entry { index: i as u32, value: u };
                    count += usize::from(u > 0.0);
                }
            }
            Neuron::Linear => {
                for (i, &u) in row.iter().enumerate() {
                    list[i] = Entry { index: i as u32, value: u };
                }
                count = neurons;
            }
        }
        let from = base + r * stride;
        *span = [from as u32, (from + count) as u32];
    }
}

/// Lists the neurons of a row whose membrane is above the threshold, and returns how many they are.
fn emit_spikes(row: &[f32], threshold: f32, list: &mut [Entry]) -> usize {
    let mut count = 0;
    vectorised(
        #[inline(always)]
        || {
            for (block, membranes) in row.chunks(64).enumerate() {
                let mut above = [0u8; 64];
                for (to, &u) in above.iter_mut().zip(membranes) {
                    *to = u8::from(u > threshold);
                }
                // the product moves the lowest bits of eight bytes into one, so that only spikes cost a step
                let mut spikes = 0u64;
                for (k, eight) in above.as_chunks().0.iter().enumerate() {
                    spikes |=
                        (u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * k);
                }
                while spikes != 0 {
                    let index = (64 * block) as u32 + spikes.trailing_zeros();
                    if let Some(to) = list.get_mut(count) {
                        *to = Entry { index, value: 1.0 };
                        count += 1;
                    }
                    spikes &= spikes - 1;
                }
            }
        },
    );
    count
}

/// Inverts spikes of one sample; `base` as in [`emit`].
fn flip(
    flips: SpikeFlips,
    layer: usize,
    sample: u32,
    neurons: usize,
    base: usize,
    spans: &mut [Span],
    entries: &mut [Entry],
) {
    let key = flips.seed ^ (u64::from(sample) << 8 | layer as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(key);
    let mut spikes = vec![false; neurons];
    for span in spans {
        spikes.fill(false);
        let from = span[0] as usize - base;
        for entry in &entries[from..span[1] as usize - base] {
            spikes[entry.index as usize] = true;
        }
        let mut count = 0;
        for (i, spike) in spikes.iter().enumerate() {
            if *spike != (unit(&mut random) < flips.probability) {
                entries[from + count] = Entry { index: i as u32, value: 1.0 };
                count += 1;
            }
        }
        span[1] = span[0] + count as u32;
    }
}

/// Takes the gradient back through layers and time.
///
/// `objective` sees a sample's number in the batch and the membranes of the last layer as
/// `[step][stride]`, writes the gradient by them into an equal slice of zeros, and returns its loss.
/// Returns the sum of the losses, in the order of the samples.
#[allow(clippy::type_complexity)] // zipped chunks of parallel arrays
pub(crate) fn backward(
    network: &Network,
    surrogate: Surrogate,
    parallel: bool,
    tape: &mut Tape,
    objective: impl Fn(usize, &[f32], &mut [f32]) -> f32 + Sync,
) -> f64 {
    let steps = tape.steps;
    let mut losses = vec![0.0f32; tape.samples];
    let last = network.layers.len().saturating_sub(1);
    for l in (0..network.layers.len()).rev() {
        let layer = &network.layers[l];
        let (before, rest) = tape.layers.split_at_mut(l);
        let Some(own) = rest.first_mut() else { return 0.0 };
        let (stride, neurons) = (own.stride, own.neurons);
        let rows = CHUNK * steps;
        let membranes = &own.membranes;
        // the first layer passes nothing on; it gets an empty target per chunk
        let mut nothing: Vec<f32> = vec![0.0; tape.samples.div_ceil(CHUNK)];
        let (target, target_stride) = match before.last_mut() {
            Some(previous) => (&mut previous.delta[..], previous.stride),
            None => (&mut nothing[..], 0),
        };
        let target_rows = if target_stride == 0 { 1 } else { rows * target_stride };
        let work = |(chunk, ((delta, losses), (scalars, target))): (
            usize,
            ((&mut [f32], &mut [f32]), (&mut [[f32; 2]], &mut [f32])),
        )| {
            let from = chunk * rows * stride;
            let membranes = &membranes[from..from + delta.len()];
            if l == last {
                delta.fill(0.0);
                let samples = delta.chunks_mut(steps * stride).zip(membranes.chunks(steps * stride));
                for (k, ((gradient, trace), loss)) in samples.zip(losses).enumerate() {
                    *loss = objective(chunk * CHUNK + k, trace, gradient);
                }
            }
            for (k, scalars) in scalars.iter_mut().enumerate() {
                let sample = k * steps * stride..(k + 1) * steps * stride;
                *scalars = differentiate(
                    layer.neuron,
                    surrogate,
                    l == last,
                    stride,
                    &membranes[sample.clone()],
                    &mut delta[sample],
                );
            }
            if target_stride > 0 {
                pass_back(layer, stride, neurons, delta, target, target_stride);
            }
        };
        for_chunks(
            parallel,
            own.delta
                .chunks_mut(rows * stride)
                .zip(losses.chunks_mut(CHUNK))
                .zip(own.scalars.chunks_mut(CHUNK).zip(target.chunks_mut(target_rows))),
            work,
        );
    }
    losses.iter().map(|loss| f64::from(*loss)).sum()
}

/// Gradient by the outputs of one sample (by its membranes, where `direct`) → gradient by its
/// currents, in place. Returns the gradients by decay and threshold.
fn differentiate(
    neuron: Neuron,
    surrogate: Surrogate,
    direct: bool,
    stride: usize,
    membranes: &[f32],
    delta: &mut [f32],
) -> [f32; 2] {
    match neuron {
        Neuron::Linear => [0.0; 2],
        Neuron::Relu => {
            for (gradient, &u) in delta.iter_mut().zip(membranes) {
                *gradient = if u > 0.0 { *gradient } else { 0.0 };
            }
            [0.0; 2]
        }
        Neuron::Lif { decay, threshold } => {
            let scan = Scan { decay: decay.clamp(0.0, 1.0), threshold, stride };
            let [by_decay, by_threshold] = match (direct, surrogate) {
                (true, _) => scan.back(
                    membranes,
                    delta,
                    #[inline(always)]
                    |_| 1.0,
                    0.0,
                ),
                (false, Surrogate::Arctan) => scan.back(
                    membranes,
                    delta,
                    #[inline(always)]
                    |d| 1.0 / (1.0 + (std::f32::consts::PI * d) * (std::f32::consts::PI * d)),
                    1.0,
                ),
                (false, Surrogate::FastSigmoid { slope }) => scan.back(
                    membranes,
                    delta,
                    #[inline(always)]
                    |d| {
                        let s = 1.0 + slope * d.abs();
                        1.0 / (s * s)
                    },
                    1.0,
                ),
            };
            // the clamp of the decay has no slope outside its range
            [if (0.0..=1.0).contains(&decay) { by_decay } else { 0.0 }, by_threshold]
        }
    }
}

struct Scan {
    decay: f32,
    threshold: f32,
    stride: usize,
}

/// Sums that run side by side in vector lanes and are added at the end.
const LANES: usize = 16;

impl Scan {
    /// `shape` is the surrogate of d = U − θ; `by_spike` 1 when `delta` is a gradient by spikes, 0 by membranes.
    fn back(
        &self,
        membranes: &[f32],
        delta: &mut [f32],
        shape: impl Fn(f32) -> f32,
        by_spike: f32,
    ) -> [f32; 2] {
        vectorised(
            #[inline(always)]
            || self.scan(membranes, delta, shape, by_spike),
        )
    }

    #[inline(always)]
    fn scan(
        &self,
        membranes: &[f32],
        delta: &mut [f32],
        shape: impl Fn(f32) -> f32,
        by_spike: f32,
    ) -> [f32; 2] {
        let steps = delta.len() / self.stride;
        let (mut by_decay, mut by_threshold) = ([0.0f32; LANES], [0.0f32; LANES]);
        for step in (0..steps).rev() {
            let at = step * self.stride;
            let (head, later) = delta.split_at_mut(at + self.stride);
            let now = &mut head[at..];
            let u = &membranes[at..at + self.stride];
            let has_next = step + 1 < steps;
            let has_past = step > 0;
            // at the ends of time the missing neighbour is replaced by the row itself and weighted with zero
            let next: &[f32] = if has_next { &later[..self.stride] } else { u };
            let carry = if has_next { self.decay } else { 0.0 };
            let past = if has_past { &membranes[at - self.stride..at] } else { u };
            let weight = if has_past { 1.0 } else { 0.0 };
            let rows = now.chunks_exact_mut(LANES).zip(u.chunks_exact(LANES));
            for ((now, u), (next, past)) in rows.zip(next.chunks_exact(LANES).zip(past.chunks_exact(LANES))) {
                for k in 0..LANES {
                    let through_spike = now[k] * shape(u[k] - self.threshold);
                    let later = if carry == 0.0 { 0.0 } else { carry * next[k] };
                    let g = through_spike + later;
                    now[k] = g;
                    let reset = if past[k] > self.threshold { weight } else { 0.0 };
                    by_decay[k] += weight * g * past[k];
                    by_threshold[k] -= g * reset + by_spike * through_spike;
                }
            }
        }
        [by_decay.iter().sum(), by_threshold.iter().sum()]
    }
}

/// Gradient by currents of a layer → gradient by the outputs of the layer before it.
fn pass_back(
    layer: &Layer,
    stride: usize,
    neurons: usize,
    delta: &[f32],
    target: &mut [f32],
    target_stride: usize,
) {
    match &layer.connection {
        Connection::Dense(dense) => {
            let columns = dense.inputs;
            RowProducts {
                a: delta,
                b: &dense.weights,
                stride,
                width: dense.outputs,
                columns,
                out: target,
                out_stride: target_stride,
            }
            .run();
        }
        Connection::Identity(_) => {
            for (to, from) in target.chunks_mut(target_stride).zip(delta.chunks(stride)) {
                to[..neurons].copy_from_slice(&from[..neurons]);
            }
        }
    }
}
