//! The event classes that a price can be attached to.

use std::fmt;

macro_rules! classes {
    ($($name:ident, $key:literal, $group:ident, $doc:literal;)*) => {
        /// A kind of event that a chip pays for.
        ///
        /// The key (`Class::key`) is the name in chip files, reports and messages.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Class { $(#[doc = $doc] $name,)* }

        impl Class {
            /// All classes in the order of a report.
            pub const ALL: &'static [Class] = &[$(Class::$name,)*];

            /// The name used in files and reports.
            pub fn key(self) -> &'static str {
                match self { $(Class::$name => $key,)* }
            }

            /// One line saying when the class is counted.
            pub fn doc(self) -> &'static str {
                match self { $(Class::$name => $doc,)* }
            }

            /// The part of the chip that pays: `synapse`, `dendrite`, `soma`, `network`, `memory`, `crossbar`, `learning`, `control` or `outside`.
            pub fn group(self) -> &'static str {
                match self { $(Class::$name => stringify!($group),)* }
            }
        }
    };
}

classes! {
    SynEvent, "syn_event", synapse, "a spike touches a stored synapse, zero weights included";
    Ac, "ac", synapse, "an addition of a weight for a unit-valued event";
    Mac, "mac", synapse, "a multiplication and addition for a graded event";
    DendUpdate, "dend_update", dendrite, "a current enters a dendrite (one per synaptic event)";
    SomaAccess, "soma_access", soma, "a neuron is visited: every neuron every tick on clocked chips, on event otherwise";
    SomaUpdate, "soma_update", soma, "a neuron computes: it had state, input or bias";
    SomaSpike, "soma_spike", soma, "a neuron fires";
    PacketOut, "packet_out", network, "a core sends a packet";
    PacketIn, "packet_in", network, "a core receives a packet";
    HopNorth, "hop_north", network, "a packet crosses a link northwards (y grows)";
    HopEast, "hop_east", network, "a packet crosses a link eastwards (x grows)";
    HopSouth, "hop_south", network, "a packet crosses a link southwards";
    HopWest, "hop_west", network, "a packet crosses a link westwards";
    Broadcast, "broadcast", network, "a packet is offered to all neurons of one core";
    OffChip, "off_chip", outside, "a packet crosses the border of the chip";
    ReadSynapse, "read_synapse", memory, "a byte of synapse memory is read";
    WriteSynapse, "write_synapse", memory, "a byte of synapse memory is written";
    ReadState, "read_state", memory, "a byte of neuron state is read";
    WriteState, "write_state", memory, "a byte of neuron state is written";
    ReadRoute, "read_route", memory, "a byte of a routing table is read";
    XbarRow, "xbar_row", crossbar, "a row of a crossbar is driven";
    XbarColumn, "xbar_column", crossbar, "a column of a crossbar is sensed";
    XbarCharge, "xbar_charge", crossbar, "charge through devices, in the image's own energy unit";
    Dac, "dac", crossbar, "a digital-to-analogue conversion";
    Adc, "adc", crossbar, "an analogue-to-digital conversion";
    PulseEnergy, "pulse_energy", learning, "programming pulses and resets through devices, in the image's own energy unit";
    PulseUp, "pulse_up", learning, "a programming pulse that raises a conductance";
    PulseDown, "pulse_down", learning, "a programming pulse that lowers a conductance";
    VerifyRead, "verify_read", learning, "a read that checks a programmed device";
    WeightUpdate, "weight_update", learning, "a digital weight is computed and written by a learning rule";
    TraceUpdate, "trace_update", learning, "a plasticity trace decays or grows";
    RandomDraw, "random_draw", control, "a random number is drawn on the chip";
    Barrier, "barrier", control, "the cores wait for each other at the end of a tick";
    HostEvent, "host_event", outside, "an event crosses between host and chip";
}

impl Class {
    /// The class with this key.
    pub fn from_key(key: &str) -> Option<Class> {
        Class::ALL.iter().copied().find(|c| c.key() == key)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_finds_its_class() {
        for &c in Class::ALL {
            assert_eq!(Class::from_key(c.key()), Some(c));
        }
        assert_eq!(Class::from_key("syn"), None);
    }
}
