//! From the neurons of a tick to its messages, visiting only those that did something.

use super::Message;

/// A packet of a spike: where it goes and how long the receiving core works on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Packet {
    /// Receiving core.
    pub destination: u32,
    /// Seconds of work there: message in, plus synapse and dendrite per synaptic event.
    pub processing_s: f64,
}

/// A neuron that did more than be visited.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Active<'a> {
    /// Its place in the core's processing order.
    pub place: u32,
    /// Seconds beyond the visit: update, spike.
    pub extra_s: f64,
    /// The packets it sends, in canonical order (ascending destination); empty if it is silent.
    pub packets: &'a [Packet],
}

/// The processing order of one core: visit times as prefix sums, so that idle neurons cost nothing here.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    core: u32,
    packet_out_s: f64,
    visits_s: Vec<f64>,
}

impl Schedule {
    /// The schedule of a core whose neurons take `visit_s` seconds each to visit, in processing order.
    pub fn new(core: u32, packet_out_s: f64, visit_s: impl Iterator<Item = f64>) -> Schedule {
        let mut sum = 0.0;
        let mut visits_s = vec![0.0];
        for v in visit_s {
            sum += v;
            visits_s.push(sum);
        }
        Schedule { core, packet_out_s, visits_s }
    }

    /// Appends the messages of one tick. `active` comes in ascending place.
    ///
    /// The time since the previous packet goes to the next packet of the core; what remains after the last one becomes a message without destination.
    pub fn messages<'a>(&self, active: impl Iterator<Item = Active<'a>>, out: &mut Vec<Message>) {
        let visited = |place: usize| {
            let end = self.visits_s.last().copied().unwrap_or(0.0);
            self.visits_s.get(place).copied().unwrap_or(end)
        };
        let mut pending = 0.0;
        let mut done = 0;
        for a in active {
            let next = a.place as usize + 1;
            pending += visited(next) - visited(done) + a.extra_s;
            done = next;
            for p in a.packets {
                out.push(Message {
                    source: self.core,
                    destination: Some(p.destination),
                    generation_s: pending + self.packet_out_s,
                    processing_s: p.processing_s,
                });
                pending = 0.0;
            }
        }
        pending += visited(self.visits_s.len()) - visited(done);
        if pending > 0.0 {
            out.push(Message {
                source: self.core,
                destination: None,
                generation_s: pending,
                processing_s: 0.0,
            });
        }
    }
}
