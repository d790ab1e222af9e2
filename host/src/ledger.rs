//! From the machine's counters to the cells that a bill prices.

use std::collections::BTreeSet;

use crate::local::TickWork;
use crate::report::{Latency, PerStep};
use synop_core::{Count, Image};
use synop_cost::{Cell, Chip, Class, Counts};

/// One cell per piece of the image.
///
/// `counters[piece]` are rows in the order of [`synop_core::counters::NAMES`], over `ticks` ticks. On one core every
/// packet is sent and received there and crosses no link. A neuron update reads and writes one word of 4 bytes.
pub fn cells(chip: &Chip, image: &Image<'_>, names: &[&str], counters: &[Vec<u64>], ticks: u64) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (piece, row) in (0..image.pieces).zip(counters) {
        let Some(record) = image.piece(piece) else { continue };
        let neurons = if record.groups == 0 { 0 } else { u64::from(record.count) };
        let counts = Counts {
            synaptic_dense: dense(image, piece, ticks),
            barriers: if piece == 0 { ticks } else { 0 },
            ..counts_of(chip, row, neurons, ticks)
        };
        let population = names.get(record.population as usize).copied().unwrap_or("?").to_owned();
        cells.push(Cell { core: record.core, population, neurons, counts, ..Cell::default() });
    }
    cells
}

/// A row of the machine's counters as a bill takes it: `neurons` neurons over `ticks` ticks.
pub fn counts_of(chip: &Chip, row: &[u64], neurons: u64, ticks: u64) -> Counts {
    let get = |count: Count| row.get(count as usize).copied().unwrap_or(0);
    let updates = get(Count::Updates);
    Counts {
        ticks,
        synaptic_events: get(Count::StoredEvents),
        synaptic_effective: get(Count::EffectiveEvents),
        macs: get(Count::MultiplyAccumulates),
        acs: get(Count::Accumulates),
        dend_updates: get(Count::StoredEvents),
        soma_accesses: chip.accounting.accesses(neurons, ticks, updates),
        soma_updates: updates,
        soma_spikes: get(Count::Spikes),
        packets_out: get(Count::Packets),
        packets_in: get(Count::Packets),
        read_bytes: [get(Count::SynapseBytes), 4 * updates, 0],
        write_bytes: [0, 4 * updates, 0],
        xbar_rows: get(Count::CrossbarRows),
        xbar_columns: get(Count::CrossbarColumns),
        xbar_charge: get(Count::CrossbarCharge),
        pulse_energy: get(Count::PulseEnergy),
        // One driver per row, whatever its payload; one converter per column that is sensed.
        dacs: get(Count::CrossbarRows),
        adcs: get(Count::Conversions),
        pulses_up: get(Count::PulsesUp),
        pulses_down: get(Count::PulsesDown),
        verify_reads: get(Count::VerifyReads),
        weight_updates: get(Count::PlasticUpdates),
        trace_updates: get(Count::TraceUpdates),
        random_draws: get(Count::Draws),
        saturations: get(Count::StateSaturations) + get(Count::WeightSaturations),
        ..Counts::default()
    }
}

/// The machine's counters as a report has them; counters that stayed zero are left out.
pub fn counts(counters: &[Vec<u64>], ticks: u64) -> crate::report::Counts {
    let sum = |count: Count| -> u64 {
        counters.iter().map(|row| row.get(count as usize).copied().unwrap_or(0)).sum()
    };
    let more = synop_core::counters::NAMES
        .iter()
        .filter(|(count, _)| {
            !matches!(count, Count::StoredEvents | Count::Updates | Count::Spikes | Count::Packets)
        })
        .map(|(count, name)| ((*name).to_owned(), sum(*count)))
        .filter(|(_, n)| *n != 0)
        .collect();
    crate::report::Counts {
        steps: ticks,
        neurons_updated: sum(Count::Updates),
        neurons_fired: sum(Count::Spikes),
        synaptic_events: sum(Count::StoredEvents),
        packets: sum(Count::Packets),
        more,
        ..crate::report::Counts::default()
    }
}

/// Operations if every input and weight were active: all pairs of every projection, every tick. A projection may
/// have several ports between two pieces: one per delay, or per crossbar array.
pub(crate) fn dense(image: &Image<'_>, target: u32, ticks: u64) -> u64 {
    let count = |piece: u32| image.piece(piece).map_or(0, |p| u64::from(p.count));
    let ports = (0..image.ports).filter_map(|i| image.port(i)).filter(|p| p.target == target && p.group == 0);
    let sources: BTreeSet<(u32, u32)> = ports.map(|p| (p.projection, p.source)).collect();
    sources.iter().map(|(_, source)| count(*source) * count(target)).sum::<u64>() * ticks
}

/// Time of a run on one core that does one thing after the other: the sum of event latencies, and a barrier per
/// tick. `None` where the chip has no latencies.
pub fn serial_latency(chip: &Chip, work: &[TickWork]) -> Option<Latency> {
    if !chip.has_latencies() {
        return None;
    }
    let price = |class| chip.latency_s(class, None);
    let times: Vec<f64> = work
        .iter()
        .map(|w| {
            w.events as f64 * price(Class::SynEvent)
                + w.updates as f64 * price(Class::SomaUpdate)
                + w.spikes as f64 * price(Class::SomaSpike)
                + w.packets as f64 * (price(Class::PacketOut) + price(Class::PacketIn))
                + chip.barrier_s(1)
        })
        .collect();
    Some(Latency {
        model: "serial: one core, one event after the other".into(),
        total_s: times.iter().sum(),
        per_step: PerStep::of(&times),
    })
}
