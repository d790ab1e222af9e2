//! Integer event counts, per core and population: the only input of a bill.

use crate::class::Class;
use serde::{Deserialize, Serialize};

/// Memory contents that traffic is counted for, in the order of [`Counts::read_bytes`].
pub const STORES: [&str; 3] = ["synapse", "state", "route"];

/// Link crossings by direction of travel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hops {
    /// Towards larger y.
    pub north: u64,
    /// Towards larger x.
    pub east: u64,
    /// Towards smaller y.
    pub south: u64,
    /// Towards smaller x.
    pub west: u64,
}

impl Hops {
    /// All directions together.
    pub fn total(&self) -> u64 {
        self.north + self.east + self.south + self.west
    }

    /// These hops travelled `times` times.
    pub fn times(&self, times: u64) -> Hops {
        Hops {
            north: self.north.saturating_mul(times),
            east: self.east.saturating_mul(times),
            south: self.south.saturating_mul(times),
            west: self.west.saturating_mul(times),
        }
    }

    /// Adds another set.
    pub fn add(&mut self, o: &Hops) {
        self.north = self.north.saturating_add(o.north);
        self.east = self.east.saturating_add(o.east);
        self.south = self.south.saturating_add(o.south);
        self.west = self.west.saturating_add(o.west);
    }
}

/// Events of one population on one core over some ticks. All are counts of events unless said otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Ticks that the counts cover.
    pub ticks: u64,
    /// Synaptic events, stored synapses (zero weights included): the SynOps that a chip executes.
    pub synaptic_events: u64,
    /// Synaptic events with a weight and an input that are not zero (NeuroBench's effective SynOps).
    pub synaptic_effective: u64,
    /// Synaptic operations if every input and weight were active (NeuroBench's dense SynOps).
    pub synaptic_dense: u64,
    /// Effective operations whose input is graded.
    pub macs: u64,
    /// Effective operations whose input is in {-1, 0, 1}.
    pub acs: u64,
    /// Dendrite updates.
    pub dend_updates: u64,
    /// Neuron visits; see [`crate::Accounting`] for who pays them.
    pub soma_accesses: u64,
    /// Neuron updates.
    pub soma_updates: u64,
    /// Spikes.
    pub soma_spikes: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Packets received.
    pub packets_in: u64,
    /// Link crossings.
    pub hops: Hops,
    /// Packets offered to a whole core.
    pub broadcasts: u64,
    /// Packets over the chip's border.
    pub off_chip: u64,
    /// Bytes read, by [`STORES`].
    pub read_bytes: [u64; 3],
    /// Bytes written, by [`STORES`] (routes are never written in a run).
    pub write_bytes: [u64; 3],
    /// Crossbar rows driven.
    pub xbar_rows: u64,
    /// Crossbar columns sensed.
    pub xbar_columns: u64,
    /// Energy that went through crossbar devices, in the image's unit (`Run::charge_unit_j`).
    pub xbar_charge: u64,
    /// Energy that programming pulses and resets put through crossbar devices, in the same unit.
    pub pulse_energy: u64,
    /// DAC conversions.
    pub dacs: u64,
    /// ADC conversions.
    pub adcs: u64,
    /// Programming pulses upwards.
    pub pulses_up: u64,
    /// Programming pulses downwards.
    pub pulses_down: u64,
    /// Verify reads.
    pub verify_reads: u64,
    /// Digital weight updates by a rule.
    pub weight_updates: u64,
    /// Trace updates.
    pub trace_updates: u64,
    /// Random draws.
    pub random_draws: u64,
    /// Barriers this core took part in.
    pub barriers: u64,
    /// Events exchanged with the host.
    pub host_events: u64,
    /// Sums or weights that were clipped (never priced).
    pub saturations: u64,
}

impl Counts {
    /// How often events of a class happened.
    pub fn of(&self, class: Class) -> u64 {
        match class {
            Class::SynEvent => self.synaptic_events,
            Class::Ac => self.acs,
            Class::Mac => self.macs,
            Class::DendUpdate => self.dend_updates,
            Class::SomaAccess => self.soma_accesses,
            Class::SomaUpdate => self.soma_updates,
            Class::SomaSpike => self.soma_spikes,
            Class::PacketOut => self.packets_out,
            Class::PacketIn => self.packets_in,
            Class::HopNorth => self.hops.north,
            Class::HopEast => self.hops.east,
            Class::HopSouth => self.hops.south,
            Class::HopWest => self.hops.west,
            Class::Broadcast => self.broadcasts,
            Class::OffChip => self.off_chip,
            Class::ReadSynapse => self.read_bytes[0],
            Class::WriteSynapse => self.write_bytes[0],
            Class::ReadState => self.read_bytes[1],
            Class::WriteState => self.write_bytes[1],
            Class::ReadRoute => self.read_bytes[2],
            Class::XbarRow => self.xbar_rows,
            Class::XbarColumn => self.xbar_columns,
            Class::XbarCharge => self.xbar_charge,
            Class::PulseEnergy => self.pulse_energy,
            Class::Dac => self.dacs,
            Class::Adc => self.adcs,
            Class::PulseUp => self.pulses_up,
            Class::PulseDown => self.pulses_down,
            Class::VerifyRead => self.verify_reads,
            Class::WeightUpdate => self.weight_updates,
            Class::TraceUpdate => self.trace_updates,
            Class::RandomDraw => self.random_draws,
            Class::Barrier => self.barriers,
            Class::HostEvent => self.host_events,
        }
    }

    /// Adds the events of another set; ticks become the larger of the two.
    pub fn add(&mut self, o: &Counts) {
        self.ticks = self.ticks.max(o.ticks);
        let pairs: [(&mut u64, u64); 30] = [
            (&mut self.synaptic_events, o.synaptic_events),
            (&mut self.synaptic_effective, o.synaptic_effective),
            (&mut self.synaptic_dense, o.synaptic_dense),
            (&mut self.macs, o.macs),
            (&mut self.acs, o.acs),
            (&mut self.dend_updates, o.dend_updates),
            (&mut self.soma_accesses, o.soma_accesses),
            (&mut self.soma_updates, o.soma_updates),
            (&mut self.soma_spikes, o.soma_spikes),
            (&mut self.packets_out, o.packets_out),
            (&mut self.packets_in, o.packets_in),
            (&mut self.broadcasts, o.broadcasts),
            (&mut self.off_chip, o.off_chip),
            (&mut self.xbar_rows, o.xbar_rows),
            (&mut self.xbar_columns, o.xbar_columns),
            (&mut self.xbar_charge, o.xbar_charge),
            (&mut self.pulse_energy, o.pulse_energy),
            (&mut self.dacs, o.dacs),
            (&mut self.adcs, o.adcs),
            (&mut self.pulses_up, o.pulses_up),
            (&mut self.pulses_down, o.pulses_down),
            (&mut self.verify_reads, o.verify_reads),
            (&mut self.weight_updates, o.weight_updates),
            (&mut self.trace_updates, o.trace_updates),
            (&mut self.random_draws, o.random_draws),
            (&mut self.barriers, o.barriers),
            (&mut self.host_events, o.host_events),
            (&mut self.saturations, o.saturations),
            (&mut self.write_bytes[2], o.write_bytes[2]),
            (&mut self.read_bytes[2], o.read_bytes[2]),
        ];
        for (mine, theirs) in pairs {
            *mine = mine.saturating_add(theirs);
        }
        for i in 0..2 {
            self.read_bytes[i] = self.read_bytes[i].saturating_add(o.read_bytes[i]);
            self.write_bytes[i] = self.write_bytes[i].saturating_add(o.write_bytes[i]);
        }
        self.hops.add(&o.hops);
    }
}

/// Which variant of a chip's units a cell uses; `None` is the chip's only or default one.
///
/// A variant `sparse` of the synapse makes `syn_event` look for the price `syn_event.sparse` first.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Kinds {
    /// Synapse unit.
    pub synapse: Option<String>,
    /// Dendrite unit.
    pub dendrite: Option<String>,
    /// Soma unit.
    pub soma: Option<String>,
    /// Sending side of the network interface.
    pub axon_out: Option<String>,
    /// Receiving side of the network interface.
    pub axon_in: Option<String>,
    /// Tile that hops are charged to.
    pub tile: Option<String>,
}

impl Kinds {
    /// The variant that prices events of a class.
    pub fn of(&self, class: Class) -> Option<&str> {
        let variant = match class {
            Class::PacketOut => &self.axon_out,
            Class::PacketIn => &self.axon_in,
            Class::HopNorth | Class::HopEast | Class::HopSouth | Class::HopWest => &self.tile,
            _ => match class.group() {
                "synapse" => &self.synapse,
                "dendrite" => &self.dendrite,
                "soma" => &self.soma,
                _ => &None,
            },
        };
        variant.as_deref()
    }
}

/// The events of one population on one core.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Core index on the chip.
    pub core: u32,
    /// Name of the population or layer.
    pub population: String,
    /// Neurons of this population on this core that the chip's idle rule applies to (inputs that cost nothing are left out).
    pub neurons: u64,
    /// Unit variants.
    #[serde(default)]
    pub kinds: Kinds,
    /// The events.
    pub counts: Counts,
}
