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

    /// Appends the samples of another set of equal steps and inputs.
    pub fn extend(&mut self, other: &Samples) {
        let base = self.entries.len() as u32;
        self.spans.extend(other.spans.iter().map(|[from, to]| [from + base, to + base]));
        self.entries.extend_from_slice(&other.entries);
        self.labels.extend_from_slice(&other.labels);
    }

    /// The first `count` samples, and the rest.
    #[must_use]
    pub fn split_at(&self, count: usize) -> (Samples, Samples) {
        let count = count.min(self.len());
        let part = |range: std::ops::Range<usize>| {
            let spans = &self.spans[range.start * self.steps..range.end * self.steps];
            let from = spans.first().map_or(0, |span| span[0]);
            let to = spans.last().map_or(from, |span| span[1]);
            Samples {
                steps: self.steps,
                inputs: self.inputs,
                labels: self.labels[range].to_vec(),
                spans: spans.iter().map(|[a, b]| [a - from, b - from]).collect(),
                entries: self.entries[from as usize..to as usize].to_vec(),
            }
        };
        (part(0..count), part(count..self.len()))
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

    /// Changes the label of a sample, if there is such a one.
    pub fn relabel(&mut self, sample: usize, label: u8) {
        if let Some(to) = self.labels.get_mut(sample) {
            *to = label;
        }
    }

    /// Applies a function to every stored value.
    pub fn map(&mut self, change: impl Fn(f32) -> f32) {
        for entry in &mut self.entries {
            entry.value = change(entry.value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_cut_in_two_and_joined_again_is_the_same() {
        let mut all = Samples::new(2, 3);
        for k in 0..5u8 {
            let v = f32::from(k);
            all.push(&[v, 0.0, 1.0, 0.0, v, v], k);
        }
        for count in 0..6 {
            let (mut first, second) = all.split_at(count);
            assert_eq!((first.len(), second.len()), (count, 5 - count));
            if let Some(label) = second.labels().first() {
                assert_eq!(second.row(0, 1), all.row(usize::from(*label), 1));
            }
            first.extend(&second);
            assert_eq!(first.labels(), all.labels());
            for k in 0..5 {
                assert_eq!((first.row(k, 0), first.row(k, 1)), (all.row(k, 0), all.row(k, 1)));
            }
        }
    }
}
