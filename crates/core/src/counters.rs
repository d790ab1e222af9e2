//! What a machine counts: one row of `u64` per piece.

/// A counted thing. Synaptic work counts at the target's piece, packets and spikes at the source's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Count {
    /// Synapses read, zero weights included.
    StoredEvents,
    /// Synapses read whose weight is not zero.
    EffectiveEvents,
    /// Effective events whose payload is ±1: additions.
    Accumulates,
    /// Effective events whose payload is another number: multiplications.
    MultiplyAccumulates,
    /// Rows read.
    Rows,
    /// Bytes of weights and targets read.
    SynapseBytes,
    /// Neuron updates that had input or changed the state: what an event-driven soma does.
    Updates,
    /// Neurons touched by an event in a tick (pieces with the option).
    Touched,
    /// Spikes.
    Spikes,
    /// Events put in from outside (input pieces).
    InputEvents,
    /// Packets sent: destination cores of every spike.
    Packets,
    /// States clamped to their range.
    StateSaturations,
    /// Random draws.
    Draws,
    /// Plastic synapses for which a rule was evaluated.
    PlasticUpdates,
    /// Plastic synapses whose weight changed.
    PlasticChanges,
    /// Changes that were not zero and rounded to zero.
    RoundedToZero,
    /// Weights clamped to their bounds.
    WeightSaturations,
    /// Trace values that decayed or grew.
    TraceUpdates,
    /// Rows of crossbars read.
    CrossbarRows,
    /// Columns of crossbars sensed.
    CrossbarColumns,
    /// Energy of reads through the devices of crossbars, in attojoules.
    CrossbarCharge,
    /// Conversions of columns (ADC or comparator).
    Conversions,
    /// Up pulses.
    PulsesUp,
    /// Down pulses.
    PulsesDown,
    /// Energy of pulses and resets through the devices of crossbars, in attojoules.
    PulseEnergy,
    /// Reads that verify a write.
    VerifyReads,
    /// Resets of devices.
    Resets,
    /// Pulses on devices that were worn out.
    WornPulses,
}

/// Number of counters in a row.
pub const COUNTS: usize = 28;

/// All counters, in the order of the row, with the names that reports use.
pub const NAMES: [(Count, &str); COUNTS] = [
    (Count::StoredEvents, "synaptic_events"),
    (Count::EffectiveEvents, "effective_events"),
    (Count::Accumulates, "acs"),
    (Count::MultiplyAccumulates, "macs"),
    (Count::Rows, "rows"),
    (Count::SynapseBytes, "synapse_bytes"),
    (Count::Updates, "neurons_updated"),
    (Count::Touched, "neurons_touched"),
    (Count::Spikes, "spikes"),
    (Count::InputEvents, "input_events"),
    (Count::Packets, "packets"),
    (Count::StateSaturations, "state_saturations"),
    (Count::Draws, "random_draws"),
    (Count::PlasticUpdates, "plastic_updates"),
    (Count::PlasticChanges, "plastic_changes"),
    (Count::RoundedToZero, "rounded_to_zero"),
    (Count::WeightSaturations, "weight_saturations"),
    (Count::TraceUpdates, "trace_updates"),
    (Count::CrossbarRows, "crossbar_rows"),
    (Count::CrossbarColumns, "crossbar_columns"),
    (Count::CrossbarCharge, "crossbar_charge"),
    (Count::Conversions, "conversions"),
    (Count::PulsesUp, "pulses_up"),
    (Count::PulsesDown, "pulses_down"),
    (Count::PulseEnergy, "pulse_energy"),
    (Count::VerifyReads, "verify_reads"),
    (Count::Resets, "device_resets"),
    (Count::WornPulses, "worn_pulses"),
];

/// One of each count.
pub(crate) type Row = [u64; COUNTS];

/// The counters of one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters(pub(crate) Row);

impl Counters {
    /// One count.
    pub fn get(&self, count: Count) -> u64 {
        self.0.get(count as usize).copied().unwrap_or(0)
    }

    /// All counts, in the order of [`NAMES`].
    pub fn row(&self) -> &[u64; COUNTS] {
        &self.0
    }
}

/// Adds to a row of counters.
#[inline(always)]
pub(crate) fn add(row: &mut Row, count: Count, n: u64) {
    if let Some(c) = row.get_mut(count as usize) {
        *c = c.wrapping_add(n);
    }
}
