//! Labelled inputs over time, sparse.

use super::kernels::{Entry, Span};

/// Inputs of a number of samples over a fixed number of steps, and a label for each.
///
/// Zeros are not stored: a spike train costs its spikes, a graded drive its values.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    steps: usize,
    inputs: usize,
    labels: Vec<u8>,
    spans: Vec<Span>,
    entries: Vec<Entry>,
}

impl Samples {
    /// No samples yet, each to have `steps` steps of `inputs` inputs.
    pub fn new(steps: usize, inputs: usize) -> Self {
        Self { steps, inputs, ..Self::default() }
    }

    /// Appends a sample given as `[step][input]`; values beyond the last step are dropped, missing ones are zero.
    pub fn push(&mut self, values: &[f32], label: u8) {
        for step in 0..self.steps {
            let from = self.entries.len() as u32;
            let row = values.chunks(self.inputs.max(1)).nth(step).unwrap_or(&[]);
            let present = row.iter().enumerate().filter(|(_, value)| **value != 0.0);
            self.entries.extend(present.map(|(index, value)| Entry { index: index as u32, value: *value }));
            self.spans.push([from, self.entries.len() as u32]);
        }
        self.labels.push(label);
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Steps of each sample.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Inputs at each step.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The labels, in the order of the samples.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The non-zero inputs of a sample at a step; none outside the range.
    pub fn row(&self, sample: usize, step: usize) -> &[Entry] {
        match self.spans.get(sample * self.steps + step) {
            Some(span) => &self.entries[span[0] as usize..span[1] as usize],
            None => &[],
        }
    }

    /// The mean number of non-zero inputs per sample.
    pub fn entries_per_sample(&self) -> f64 {
        self.entries.len() as f64 / self.len().max(1) as f64
    }

    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Applies a function to every stored value.
    pub fn map(&mut self, change: impl Fn(f32) -> f32) {
        for entry in &mut self.entries {
            entry.value = change(entry.value);
        }
    }
}
