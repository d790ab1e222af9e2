//! Somebody who watches a machine: traces, rasters, latency models. Free when unused.

/// What a machine is busy with, for those who measure it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Work {
    /// Reading rows of spikes into input sums.
    Rows,
    /// Updating neurons and queueing their spikes.
    Neurons,
    /// Evaluating plasticity rules and their traces.
    Rules,
    /// Moving on to the next tick.
    Upkeep,
    /// None of it: the step is over.
    Outside,
}

/// Sees what happens in a tick, in canonical order (stage, piece, neuron).
pub trait Observer {
    /// Whether anybody looks: where it is false the calls below are not even compiled in.
    const LOOKS: bool = true;

    /// The machine turns to another kind of work.
    #[inline(always)]
    fn enters(&mut self, work: Work) {
        let _ = work;
    }

    /// 64 neurons of a piece were updated: neuron `first + j` of the piece where bit j of `moved` is set had
    /// input or changed; where bit j of `spikes` is set it fired.
    fn updated(&mut self, tick: u64, piece: u32, first: u32, moved: u64, spikes: u64) {
        let _ = (tick, piece, first, moved, spikes);
    }

    /// Events reached the neurons `first + j` of a piece where bit j of `touched` is set, even if they cancelled
    /// each other; called before `updated` of the same block, for pieces that keep these flags.
    fn touched(&mut self, tick: u64, piece: u32, first: u32, touched: u64) {
        let _ = (tick, piece, first, touched);
    }

    /// Neuron `neuron` of a piece sent an event.
    fn spike(&mut self, tick: u64, piece: u32, neuron: u32, payload: i32) {
        let _ = (tick, piece, neuron, payload);
    }
}

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    const LOOKS: bool = false;
}
