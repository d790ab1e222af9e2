//! Packets move from buffer to buffer; a full buffer holds back what is behind it.
//!
//! A packet goes through the injection buffer of its core, a buffer at the end of every link it
//! crosses, and the input buffer of the receiving core; each holds `buffer` packets, first in, first
//! out. A move needs a free place ahead and the link idle; it occupies both ends until it is done. A
//! core whose injection buffer is full waits with its next message; a receiving core works on one
//! packet at a time. Dimension-order routes form no cycle and input buffers always drain, so nothing
//! locks. Time is in whole femtoseconds; equal times go by (core, sequence).

use super::{Fabric, Latest, Message, Reason, TickTime};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

const FS: f64 = 1e15;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A core has its next message ready.
    Ready,
    /// A packet has reached the next buffer.
    Moved,
    /// The receiving core is done with a packet.
    Done,
}

/// Key of the priority queue: time, core, sequence, event.
type Key = (u64, u32, usize, Event);

/// Who waits for a place in a buffer: (since, core, message index, buffer that holds it or `usize::MAX` for the core itself).
type Waiter = (u64, u32, usize, usize);

#[derive(Debug, Default)]
struct Buffer {
    queue: VecDeque<usize>,
    reserved: usize,
    moving: bool,
    /// Whether the head stands in somebody's list of waiters.
    waiting: bool,
    link_busy: bool,
    waiters: BTreeSet<Waiter>,
}

struct Sim<'a> {
    messages: &'a [Message],
    ways: Vec<Vec<(usize, u64)>>,
    /// Position of each packet on its way.
    place: Vec<usize>,
    buffers: Vec<Buffer>,
    room: usize,
    events: BinaryHeap<Reverse<Key>>,
    latest: Latest,
    blocked_fs: u64,
}

fn fs(seconds: f64) -> u64 {
    (seconds * FS).round() as u64
}

/// Buffers that a packet passes, each with the time of the move into it.
fn way(m: &Message, fabric: &Fabric) -> Vec<(usize, u64)> {
    let Some(to) = m.destination else {
        return Vec::new();
    };
    let cores = fabric.core_count() as usize;
    let tiles = fabric.tile_count() as usize;
    let mut out = vec![(m.source as usize, 0)];
    let mut tile = fabric.tile(m.source);
    for link in fabric.links(m.source, to) {
        let time = fs(fabric.hop_s(tile, link.towards));
        out.push((cores + link.index(), time));
        tile = link.tile;
    }
    out.push((cores + 4 * tiles + to as usize, 0));
    out
}

pub(super) fn tick(messages: &[Message], fabric: &Fabric) -> TickTime {
    let count = 2 * fabric.core_count() as usize + 4 * fabric.tile_count() as usize;
    let mut sim = Sim {
        messages,
        ways: messages.iter().map(|m| way(m, fabric)).collect(),
        place: vec![0; messages.len()],
        buffers: (0..count).map(|_| Buffer::default()).collect(),
        room: fabric.buffer() as usize,
        events: BinaryHeap::new(),
        latest: Latest::new(),
        blocked_fs: 0,
    };
    for (i, m) in messages.iter().enumerate() {
        if i == 0 || messages.get(i - 1).is_some_and(|p| p.source != m.source) {
            sim.push(fs(m.generation_s), i, Event::Ready);
        }
    }
    while let Some(Reverse((now, _, index, event))) = sim.events.pop() {
        match event {
            Event::Ready => sim.ready(now, index),
            Event::Moved => sim.moved(now, index),
            Event::Done => sim.done(now, index),
        }
    }
    sim.latest.into_tick(sim.blocked_fs as f64 / FS)
}

impl Sim<'_> {
    fn push(&mut self, time: u64, index: usize, event: Event) {
        let core = self.messages.get(index).map_or(0, |m| m.source);
        self.events.push(Reverse((time, core, index, event)));
    }

    fn source(&self, index: usize) -> u32 {
        self.messages.get(index).map_or(0, |m| m.source)
    }

    fn has_room(&self, buffer: usize) -> bool {
        self.buffers.get(buffer).is_some_and(|b| b.queue.len() + b.reserved < self.room)
    }

    /// A core has message `index` ready: it enters the injection buffer, or the core waits.
    fn ready(&mut self, now: u64, index: usize) {
        let core = self.source(index);
        let Some(&(inject, _)) = self.ways.get(index).and_then(|w| w.first()) else {
            self.latest.see(now as f64 / FS, core, Reason::Generation);
            self.next_message(now, index);
            return;
        };
        if self.has_room(inject) {
            self.inject(now, index, inject);
        } else if let Some(b) = self.buffers.get_mut(inject) {
            b.waiters.insert((now, core, index, usize::MAX));
        }
    }

    fn inject(&mut self, now: u64, index: usize, inject: usize) {
        self.latest.see(now as f64 / FS, self.source(index), Reason::Generation);
        if let Some(b) = self.buffers.get_mut(inject) {
            b.queue.push_back(index);
        }
        self.forward(now, inject);
        self.next_message(now, index);
    }

    fn next_message(&mut self, now: u64, index: usize) {
        let core = self.source(index);
        if let Some(next) = self.messages.get(index + 1).filter(|n| n.source == core) {
            let time = now.saturating_add(fs(next.generation_s));
            self.push(time, index + 1, Event::Ready);
        }
    }

    /// Starts what the head of a buffer can do: the next move, or the work of the receiving core.
    fn forward(&mut self, now: u64, buffer: usize) {
        let Some(head) = self
            .buffers
            .get(buffer)
            .filter(|b| !b.moving && !b.waiting)
            .and_then(|b| b.queue.front().copied())
        else {
            return;
        };
        let place = self.place.get(head).copied().unwrap_or(0);
        let next = self.ways.get(head).and_then(|w| w.get(place + 1)).copied();
        let Some((next, time)) = next else {
            let work = self.messages.get(head).map_or(0, |m| fs(m.processing_s));
            self.set_moving(buffer, true);
            self.push(now.saturating_add(work), head, Event::Done);
            return;
        };
        let free = self.has_room(next) && self.buffers.get(next).is_some_and(|b| !b.link_busy);
        if !free {
            let core = self.source(head);
            if let Some(b) = self.buffers.get_mut(next) {
                b.waiters.insert((now, core, head, buffer));
            }
            if let Some(b) = self.buffers.get_mut(buffer) {
                b.waiting = true;
            }
            return;
        }
        self.set_moving(buffer, true);
        if let Some(b) = self.buffers.get_mut(next) {
            b.reserved += 1;
            b.link_busy = true;
        }
        self.push(now.saturating_add(time), head, Event::Moved);
    }

    fn set_moving(&mut self, buffer: usize, moving: bool) {
        if let Some(b) = self.buffers.get_mut(buffer) {
            b.moving = moving;
        }
    }

    fn current(&self, index: usize) -> Option<usize> {
        let place = self.place.get(index).copied()?;
        self.ways.get(index)?.get(place).map(|(b, _)| *b)
    }

    fn leave(&mut self, buffer: usize) {
        if let Some(b) = self.buffers.get_mut(buffer) {
            b.queue.pop_front();
            b.moving = false;
        }
    }

    /// Packet `index` has arrived in its next buffer.
    fn moved(&mut self, now: u64, index: usize) {
        let Some(from) = self.current(index) else {
            return;
        };
        self.leave(from);
        if let Some(p) = self.place.get_mut(index) {
            *p += 1;
        }
        let Some(to) = self.current(index) else {
            return;
        };
        if let Some(b) = self.buffers.get_mut(to) {
            b.reserved = b.reserved.saturating_sub(1);
            b.link_busy = false;
            b.queue.push_back(index);
        }
        self.forward(now, to);
        self.forward(now, from);
        self.wake(now, from);
        self.wake(now, to);
    }

    /// The receiving core is done with packet `index`.
    fn done(&mut self, now: u64, index: usize) {
        let Some(buffer) = self.current(index) else {
            return;
        };
        let core = self.messages.get(index).and_then(|m| m.destination);
        if let Some(core) = core {
            self.latest.see(now as f64 / FS, core, Reason::Processing);
        }
        self.leave(buffer);
        self.forward(now, buffer);
        self.wake(now, buffer);
    }

    /// Lets in those who wait for a place, the longest waiting first.
    fn wake(&mut self, now: u64, buffer: usize) {
        while self.has_room(buffer) {
            let busy = self.buffers.get(buffer).is_some_and(|b| b.link_busy);
            let Some(b) = self.buffers.get_mut(buffer) else {
                return;
            };
            if busy {
                return;
            }
            let Some(waiter) = b.waiters.pop_first() else {
                return;
            };
            let (since, core, index, from) = waiter;
            self.blocked_fs = self.blocked_fs.saturating_add(now - since);
            if from == usize::MAX {
                debug_assert_eq!(core, self.source(index));
                self.inject(now, index, buffer);
            } else {
                if let Some(b) = self.buffers.get_mut(from) {
                    b.waiting = false;
                }
                self.forward(now, from);
            }
        }
    }
}
