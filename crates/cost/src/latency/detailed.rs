//! Messages in order of their sending time; the load of the links on the way slows them down.
//!
//! With ρ the summed load of a message's links, μ the mean processing time of what is under way and
//! h its hops: if ρ exceeds (h + 1) × buffer the sender is blocked for (ρ − (h + 1) buffer) μ; the
//! way takes the larger of the free way and ρ μ / (h + 1). The receiving core takes messages one
//! after the other. A message under way loads each of its h + 1 links (the sender's injection link
//! and those it crosses) with 1 / (h + 2). The formulas are SANA-FE's (its default model); equal
//! times are ordered by (core, sequence) here.

use super::{Fabric, Latest, Message, Reason, TickTime};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// What became of one message, for traces and tests.
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(not(test), allow(dead_code))]
pub(super) struct Fate {
    pub(super) sent_s: f64,
    pub(super) network_s: f64,
    pub(super) received_s: f64,
    pub(super) processed_s: f64,
}

/// A key that orders by time, then core, then sequence.
#[derive(Debug, Clone, Copy, PartialEq)]
struct At {
    time: f64,
    core: u32,
    index: usize,
}

impl Eq for At {}

impl Ord for At {
    fn cmp(&self, o: &Self) -> Ordering {
        self.time.total_cmp(&o.time).then(self.core.cmp(&o.core)).then(self.index.cmp(&o.index))
    }
}

impl PartialOrd for At {
    fn partial_cmp(&self, o: &Self) -> Option<Ordering> {
        Some(self.cmp(o))
    }
}

/// What is under way: loads per link and the running mean of processing times.
struct Traffic {
    loads: Vec<f64>,
    mean_s: f64,
    count: usize,
    leaving: BinaryHeap<Reverse<At>>,
}

impl Traffic {
    /// Takes out everything received at or before `now`.
    fn drain(&mut self, now: f64, messages: &[Message], routes: &[Vec<usize>]) {
        while let Some(Reverse(at)) = self.leaving.peek().copied() {
            if at.time > now {
                break;
            }
            self.leaving.pop();
            let (Some(m), Some(route)) = (messages.get(at.index), routes.get(at.index)) else {
                continue;
            };
            let share = 1.0 / (route.len() as f64 + 1.0);
            for &l in route {
                if let Some(load) = self.loads.get_mut(l) {
                    *load -= share;
                }
            }
            self.mean_s = match self.count {
                0 | 1 => 0.0,
                n => self.mean_s + (self.mean_s - m.processing_s) / (n - 1) as f64,
            };
            self.count = self.count.saturating_sub(1);
        }
    }

    fn enter(&mut self, at: At, processing_s: f64, route: &[usize]) {
        let share = 1.0 / (route.len() as f64 + 1.0);
        for &l in route {
            if let Some(load) = self.loads.get_mut(l) {
                *load += share;
            }
        }
        self.mean_s += (processing_s - self.mean_s) / (self.count + 1) as f64;
        self.count += 1;
        self.leaving.push(Reverse(at));
    }

    fn density(&self, route: &[usize]) -> f64 {
        route.iter().filter_map(|&l| self.loads.get(l)).sum()
    }
}

/// Link indices of a message: the injection link of its core, then the links it crosses.
fn route(m: &Message, fabric: &Fabric) -> Vec<usize> {
    let Some(to) = m.destination else {
        return Vec::new();
    };
    let cores = fabric.core_count() as usize;
    let mut out = vec![m.source as usize];
    out.extend(fabric.links(m.source, to).iter().map(|l| cores + l.index()));
    out
}

pub(super) fn tick(messages: &[Message], fabric: &Fabric, trace: &mut dyn FnMut(usize, Fate)) -> TickTime {
    let routes: Vec<Vec<usize>> = messages.iter().map(|m| route(m, fabric)).collect();
    let mut traffic = Traffic {
        loads: vec![0.0; fabric.core_count() as usize + 4 * fabric.tile_count() as usize],
        mean_s: 0.0,
        count: 0,
        leaving: BinaryHeap::new(),
    };
    let mut busy_until = vec![0.0f64; fabric.core_count() as usize];
    let mut ready: BinaryHeap<Reverse<At>> = BinaryHeap::new();
    for (index, m) in messages.iter().enumerate() {
        let first = index == 0 || messages.get(index - 1).is_some_and(|p| p.source != m.source);
        if first {
            ready.push(Reverse(At { time: m.generation_s, core: m.source, index }));
        }
    }
    let mut latest = Latest::new();
    let mut blocked = 0.0;
    while let Some(Reverse(at)) = ready.pop() {
        let (Some(m), Some(route)) = (messages.get(at.index), routes.get(at.index)) else {
            continue;
        };
        traffic.drain(at.time, messages, &routes);
        let mut sent = at.time;
        let mut fate = Fate::default();
        if let Some(to) = m.destination {
            let links = route.len() as f64;
            let density = traffic.density(route);
            let capacity = links * f64::from(fabric.buffer());
            if density > capacity {
                let wait = (density - capacity) * traffic.mean_s;
                sent += wait;
                blocked += wait;
            }
            let network = fabric.free_way_s(m.source, to).max(density * traffic.mean_s / links);
            if let Some(busy) = busy_until.get_mut(to as usize) {
                let received = busy.max(sent + network);
                *busy = (*busy + m.processing_s).max(sent + network + m.processing_s);
                latest.see(*busy, to, Reason::Processing);
                fate.network_s = network;
                fate.received_s = received;
                fate.processed_s = *busy;
                let leaves = At { time: received, ..at };
                traffic.enter(leaves, m.processing_s, route);
            }
        }
        fate.sent_s = sent;
        trace(at.index, fate);
        latest.see(sent, m.source, Reason::Generation);
        if let Some(next) = messages.get(at.index + 1).filter(|n| n.source == m.source) {
            ready.push(Reverse(At { time: sent + next.generation_s, core: m.source, index: at.index + 1 }));
        }
    }
    latest.into_tick(blocked)
}
