//! What the machine does for binary neurons: sums that persist, orders, and programs of phases.

use super::*;
use crate::binary;
use crate::image::{Entry, UNTIL_QUIET};
use crate::store::{set_weight, weight_at};

/// Purpose base of the draws of an order; the stage is added.
const ORDER: u32 = 0x0200_0000;

/// What a program came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// Ticks run.
    pub ticks: u64,
    /// Events that binary neurons sent: first writes and flips.
    pub changes: u64,
    /// Whether nothing could change any more at the end of the last entry.
    pub quiet: bool,
}

/// Where a synapse stands: its byte, its place behind it, its bits, and the byte of the row's non-zero count.
struct Spot {
    at: usize,
    index: usize,
    bits: u32,
    nonzero: usize,
}

impl<'a> Machine<'a> {
    /// Notes the orders of sequential stages.
    #[inline(never)]
    pub(super) fn lay_out_order(&mut self) {
        let mut next = 0usize;
        for stage in 1..=self.image.stages {
            let first = next;
            for p in 0..self.image.pieces {
                let Some(piece) = self.image.piece(p) else { continue };
                if piece.stage != stage || !piece.is_sequential() || !self.hosts(piece.core) {
                    continue;
                }
                if let Some(r) = run_of(self.run, p) {
                    set(r, run::ORDER, first as u32);
                }
                for (local, place) in (0..piece.count).zip(self.order.get_mut(next..).unwrap_or_default()) {
                    *place = [p, local];
                }
                next += piece.count as usize;
            }
            let image = &self.image;
            let rank = |[p, local]: [u32; 2]| {
                let piece = image.piece(p)?;
                let own = param_slice(image, piece.threshold, local as usize, 1).first();
                own.copied().or(Some(piece.threshold.value))
            };
            if let Some(order) = self.order.get_mut(first..next) {
                order.sort_unstable_by_key(|n| (rank(*n), *n));
            }
        }
    }

    /// Updates a piece of binary neurons that all read the old states.
    #[inline(never)]
    pub(super) fn update_binary<K: Kernels, O: Observer>(
        &mut self,
        p: u32,
        piece: &Piece,
        kernels: &K,
        observer: &mut O,
    ) {
        let Some(r) = run_of(self.run, p) else { return };
        let (all, arrived) = (get(r, run::ALL) != 0, get(r, run::ARRIVED) != 0);
        if !all && !arrived && get(r, run::AWAKE) == 0 {
            return;
        }
        let mask = get(r, run::MASK);
        let (first_active, base) = (get(r, run::ACTIVE) as usize, get(r, run::STATE) as usize);
        set(r, run::ALL, 0);
        set(r, run::ARRIVED, 0);
        let n = piece.count as usize;
        let parts = Parts::of(piece);
        let keep_ties = piece.flags & flag::KEEP_TIES != 0;
        let touched_first = touched_at(piece.count, piece.flags, first_active as u32);
        let stride = stride(piece.count);
        let Some(whole) = self.state.get_mut(base..base + stride * parts.total as usize) else { return };
        let mut split = Split::new(whole, stride, &parts);
        let (mut awake, mut changes, mut touches) = (0u32, 0u64, 0u64);
        let mut ring = Ring::of(self.run, self.lengths, self.events, p, piece, self.tick);
        for block in 0..n.div_ceil(BLOCK) {
            let Some(active) = self.active.get_mut(first_active + block) else { break };
            if !all && *active == 0 {
                continue;
            }
            let range = block * BLOCK..(block * BLOCK + BLOCK).min(n);
            let fields = split.fields(&self.image, piece, &range, mask);
            let mut change = [0i32; BLOCK];
            let states = split.v.get_mut(range.clone()).unwrap_or_default();
            let changed = kernels.binary(&fields, piece.gain, keep_ties, states, &mut change);
            // Only a neuron that inhibits itself may change again without further input.
            *active = if piece.gain < 0 { changed } else { 0 };
            awake += active.count_ones();
            if let Some(at) = touched_first {
                let touched = self.active.get_mut(at + block).map_or(0, core::mem::take);
                touches += u64::from(touched.count_ones());
                if O::LOOKS && touched != 0 {
                    observer.touched(self.tick, p, range.start as u32, touched);
                }
            }
            if O::LOOKS {
                observer.updated(self.tick, p, range.start as u32, changed, changed);
            }
            changes += u64::from(changed.count_ones());
            let mut left = changed;
            while left != 0 {
                let j = left.trailing_zeros() as usize;
                left &= left - 1;
                let event = [(range.start + j) as i32, change.get(j).copied().unwrap_or(0)];
                split.note(range.start + j, 1);
                if let Some(ring) = &mut ring {
                    ring.push(event);
                }
                if O::LOOKS {
                    observer.spike(self.tick, p, event[0] as u32, event[1]);
                }
            }
        }
        if let Some(r) = run_of(self.run, p) {
            set(r, run::AWAKE, awake);
        }
        if K::COUNTS
            && let Some(row) = counters_of(self.counters, p)
        {
            // A sweep after input compares every neuron with its field, another only those that change.
            add(row, Count::Updates, if arrived { n as u64 } else { changes });
            add(row, Count::Spikes, changes);
            add(row, Count::Touched, touches);
        }
    }

    /// The sequential pieces of a stage that are not held: (first place, places) of their order, their flags, and
    /// whether any has something to do.
    fn sequence(&mut self, stage: u32) -> Option<(usize, usize, u32, bool)> {
        let (mut first, mut len, mut flags, mut busy) = (usize::MAX, 0, 0, false);
        for p in 0..self.image.pieces {
            let Some(piece) = self.image.piece(p) else { continue };
            if piece.stage != stage || !piece.is_sequential() || !self.hosts(piece.core) {
                continue;
            }
            let Some(r) = run_of(self.run, p) else { continue };
            first = first.min(get(r, run::ORDER) as usize);
            len += piece.count as usize;
            flags |= piece.flags;
            if get(r, run::MASK) & HELD == 0 {
                busy |= get(r, run::ALL) != 0 || get(r, run::ARRIVED) != 0 || get(r, run::AWAKE) != 0;
                set(r, run::ALL, 0);
                set(r, run::ARRIVED, 0);
                set(r, run::AWAKE, 0);
            }
        }
        (len != 0).then_some((first, len, flags, busy))
    }

    /// Updates the sequential neurons of a stage one by one; each change is delivered at once.
    #[inline(never)]
    pub(super) fn update_in_order<K: Kernels, D: Draws, O: Observer>(
        &mut self,
        stage: u32,
        kernels: &K,
        draws: &mut D,
        observer: &mut O,
    ) {
        let Some((first, len, flags, busy)) = self.sequence(stage) else { return };
        let replaced = flags & flag::REPLACED != 0;
        if !busy && !replaced {
            return;
        }
        let purpose = ORDER.wrapping_add(stage);
        if flags & flag::SHUFFLED != 0 {
            for i in (1..len).rev() {
                let j = below(draws.draw(purpose, self.tick, i as u32), i + 1);
                if let Some(order) = self.order.get_mut(first..first + len) {
                    order.swap(i, j);
                }
            }
        }
        for i in 0..len {
            let at = if replaced { below(draws.draw(purpose, self.tick, i as u32), len) } else { i };
            let Some(&[p, local]) = self.order.get(first + at) else { continue };
            self.update_one::<K, O>(p, local, true, kernels, observer);
        }
        for p in 0..self.image.pieces {
            let Some(piece) = self.image.piece(p) else { continue };
            if piece.stage != stage || !piece.is_sequential() || !self.hosts(piece.core) {
                continue;
            }
            if K::COUNTS {
                let packets = self.packets(p, &piece);
                if let Some(row) = counters_of(self.counters, p) {
                    add(row, Count::Packets, packets);
                }
            }
        }
    }

    /// Updates one sequential neuron now and delivers its change at once, as a host does that keeps its own order
    /// of updates in continuous time. Returns the change: 0, ±1 or ±2. The machine's time stands still.
    ///
    /// Only neurons whose synapses all have no delay can be updated so; others give 0.
    pub fn update_neuron<K: Kernels, O: Observer>(
        &mut self,
        piece: u32,
        neuron: u32,
        kernels: &K,
        observer: &mut O,
    ) -> i32 {
        let fits =
            |p: &Piece| p.is_sequential() && p.delay_max == 0 && neuron < p.count && self.hosts(p.core);
        if !self.image.piece(piece).is_some_and(|p| fits(&p)) {
            return 0;
        }
        self.rebuild_stale(kernels);
        self.update_one::<K, O>(piece, neuron, false, kernels, observer)
    }

    /// Delivers what is due in the coming tick (inputs that were put in) without running it, so that
    /// [`Machine::field`] and [`Machine::update_neuron`] see it. The next step does not deliver it again.
    pub fn deliver_inputs<K: Kernels>(&mut self, kernels: &K) {
        self.rebuild_stale(kernels);
        for p in 0..self.image.pieces {
            let Some(piece) = self.image.piece(p) else { continue };
            if piece.kind != Kind::Input || piece.delay_max != 0 {
                continue;
            }
            for c in piece.delay_first..piece.delay_first + piece.delay_count {
                if let Some(class) = self.image.delay_class(c) {
                    self.deliver(p, &piece, &class, kernels);
                }
            }
            if let Some(len) =
                self.lengths.get_mut(word(self.run, p as usize * RUN_WORDS + run::LENGTHS) as usize)
            {
                *len = 0;
            }
        }
    }

    fn update_one<K: Kernels, O: Observer>(
        &mut self,
        p: u32,
        local: u32,
        queued: bool,
        kernels: &K,
        observer: &mut O,
    ) -> i32 {
        let Some(piece) = self.image.piece(p) else { return 0 };
        let mask = word(self.run, p as usize * RUN_WORDS + run::MASK);
        if mask & HELD != 0 {
            return 0;
        }
        let Some(field) = self.field(p, local) else { return 0 };
        let parts = Parts::of(&piece);
        let Some(state) = self.part_mut(p, &piece, parts.v).and_then(|v| v.get_mut(local as usize)) else {
            return 0;
        };
        let change = binary::next(field, *state, piece.flags & flag::KEEP_TIES != 0) - *state;
        if K::COUNTS
            && let Some(row) = counters_of(self.counters, p)
        {
            add(row, Count::Updates, 1);
            add(row, Count::Spikes, u64::from(change != 0));
        }
        if change == 0 {
            return 0;
        }
        if let Some(state) = self.part_mut(p, &piece, parts.v).and_then(|v| v.get_mut(local as usize)) {
            *state += change;
        }
        if piece.gain < 0
            && let Some(r) = run_of(self.run, p)
        {
            set(r, run::AWAKE, 1);
            wake(self.busy, p);
        }
        let event = [local as i32, change];
        note_spike(self.run, self.state, p, &piece, &parts, event);
        if queued && let Some(mut ring) = Ring::of(self.run, self.lengths, self.events, p, &piece, self.tick)
        {
            ring.push(event);
            wake(self.busy, p);
        }
        if O::LOOKS {
            observer.updated(
                self.tick,
                p,
                local - local % BLOCK as u32,
                1 << (local % BLOCK as u32),
                1 << (local % BLOCK as u32),
            );
            observer.spike(self.tick, p, local, change);
        }
        for c in piece.delay_first..piece.delay_first + piece.delay_count {
            if let Some(class) = self.image.delay_class(c).filter(|c| c.delay == 0) {
                self.bank().0.read(p, &class, &[event], NONE, true, kernels);
            }
        }
        change
    }

    /// Rebuilds the sums under which weights have changed.
    pub(super) fn rebuild_stale<K: Kernels>(&mut self, kernels: &K) {
        for p in 0..self.image.pieces {
            let Some(r) = run_of(self.run, p) else { continue };
            if get(r, run::STALE) == 0 {
                continue;
            }
            set(r, run::STALE, 0);
            let Some(piece) = self.image.piece(p) else { continue };
            for part in 0..Parts::of(&piece).sums {
                if let Some(sums) = self.part_mut(p, &piece, Some(part)) {
                    sums.fill(0);
                }
            }
            for source in 0..self.image.pieces {
                self.rebuild_from(source, p, kernels);
            }
        }
    }

    /// Adds to the sums of a piece what another's values, as far as they have arrived, come to.
    #[inline(never)]
    fn rebuild_from<K: Kernels>(&mut self, source: u32, target: u32, kernels: &K) {
        let Some(piece) = self.image.piece(source).filter(Piece::holds) else { return };
        let changes = piece.kind == Kind::Binary;
        for c in piece.delay_first..piece.delay_first + piece.delay_count {
            let Some(class) = self.image.delay_class(c) else { continue };
            for q in 0..self.image.ports {
                let ours = |p: &Port| p.source == source && p.target == target && p.delay == class.delay;
                if !self.image.port(q).is_some_and(|p| ours(&p)) {
                    continue;
                }
                let mut block = [[0i32; 2]; BLOCK];
                for first in (0..piece.count as usize).step_by(BLOCK) {
                    let mut len = 0;
                    for i in first..(first + BLOCK).min(piece.count as usize) {
                        let value = self.membranes(source).get(i).copied().unwrap_or(0);
                        if let (Some(slot), true) = (block.get_mut(len), value != 0) {
                            *slot = [i as i32, value];
                            len += 1;
                        }
                    }
                    let values = block.get(..len).unwrap_or_default();
                    self.bank().0.read(source, &class, values, q, changes, kernels);
                }
                // What is still under way has not arrived.
                for age in 0..=class.delay {
                    let Some(tick) = self.tick.checked_sub(u64::from(age)) else { continue };
                    let sent = sent_at(self.run, self.lengths, self.events, source, &piece, tick).len();
                    for e in 0..sent {
                        let events = sent_at(self.run, self.lengths, self.events, source, &piece, tick);
                        if let Some(&[i, payload]) = events.get(e) {
                            let back = [[i, payload.wrapping_neg()]];
                            self.bank().0.read(source, &class, &back, q, changes, kernels);
                        }
                    }
                }
            }
        }
    }

    /// Whether nothing can change any more: no event is under way, and no neuron that is updated in this phase has
    /// input that it has not seen.
    pub fn is_quiet(&self) -> bool {
        let mut drawn = false;
        for p in 0..self.image.pieces {
            let Some(piece) = self.image.piece(p) else { continue };
            let at = p as usize * RUN_WORDS;
            let (first, slots) =
                (word(self.run, at + run::LENGTHS) as usize, word(self.run, at + run::SLOTS) as usize);
            if self.lengths.get(first..first + slots).is_some_and(|l| l.iter().any(|n| *n != 0)) {
                return false;
            }
            if word(self.run, at + run::MASK) & HELD != 0 || piece.kind == Kind::Input {
                continue;
            }
            drawn |= piece.flags & flag::REPLACED != 0;
            let sequential_news = piece.is_sequential() && word(self.run, at + run::ALL) != 0;
            if word(self.run, at + run::AWAKE) != 0
                || word(self.run, at + run::ARRIVED) != 0
                || sequential_news
            {
                return drawn && self.is_settled();
            }
        }
        !drawn || self.is_settled()
    }

    /// Whether every binary neuron that is updated in this phase agrees with its field, as far as events have
    /// arrived.
    pub fn is_settled(&self) -> bool {
        (0..self.image.pieces).all(|p| {
            let Some(piece) = self.image.piece(p).filter(|p| p.kind == Kind::Binary) else { return true };
            if word(self.run, p as usize * RUN_WORDS + run::MASK) & HELD != 0 {
                return true;
            }
            let keep = piece.flags & flag::KEEP_TIES != 0;
            let states = self.membranes(p);
            (0..piece.count)
                .zip(states)
                .all(|(j, s)| self.field(p, j).is_none_or(|f| binary::next(f, *s, keep) == *s))
        })
    }

    /// Runs a program of the image's schedule.
    pub fn run_program<K: Kernels, D: Draws, O: Observer>(
        &mut self,
        program: u32,
        kernels: &K,
        draws: &mut D,
        observer: &mut O,
    ) -> Ran {
        let mut ran = Ran::default();
        let before = self.changes();
        let mut i = 0;
        while let Some(entry) = self.image.entry(i) {
            i += 1;
            if entry.program == program {
                self.run_entry(&entry, &mut ran, kernels, draws, observer);
            }
        }
        ran.changes = self.changes().wrapping_sub(before);
        ran
    }

    fn run_entry<K: Kernels, D: Draws, O: Observer>(
        &mut self,
        entry: &Entry,
        ran: &mut Ran,
        kernels: &K,
        draws: &mut D,
        observer: &mut O,
    ) {
        self.set_phase(entry.phase);
        for _ in 0..entry.ticks {
            self.step(kernels, draws, observer);
            ran.ticks += 1;
            ran.quiet = self.is_quiet();
            if ran.quiet && entry.options & UNTIL_QUIET != 0 {
                break;
            }
        }
    }

    /// Events that binary neurons have sent since [`Machine::restart`], as far as the kernels count.
    fn changes(&self) -> u64 {
        let binary = |p: &u32| self.image.piece(*p).is_some_and(|p| p.kind == Kind::Binary);
        (0..self.image.pieces).filter(binary).map(|p| self.counters(p).get(Count::Spikes)).sum()
    }

    /// Input sums of a hosted piece, of one group. Those of binary neurons persist.
    pub fn sums(&self, piece: u32, group: u32) -> &[i32] {
        self.part(piece, |parts| (group < parts.sums).then_some(group))
    }

    /// The field of a binary neuron in this phase, its self-coupling included, as far as events have arrived.
    pub fn field(&self, piece: u32, neuron: u32) -> Option<i32> {
        let record = self.image.piece(piece).filter(|p| p.kind == Kind::Binary && neuron < p.count)?;
        let at = piece as usize * RUN_WORDS;
        let base = word(self.run, at + run::STATE);
        if base == NONE {
            return None;
        }
        let (stride, mask) = (stride(record.count), word(self.run, at + run::MASK));
        let part = |k: u32| {
            self.state.get(base as usize + stride * k as usize + neuron as usize).copied().unwrap_or(0)
        };
        let bias = param_slice(&self.image, record.bias, neuron as usize, 1).first();
        let mut field = bias.copied().unwrap_or(record.bias.value);
        for g in (0..record.groups).filter(|g| mask >> g & 1 != 0) {
            field = field.wrapping_add(part(g));
        }
        let state = part(Parts::of(&record).v?);
        Some(field.wrapping_add(record.gain.wrapping_mul(state)))
    }

    /// Where the weight of a synapse stands: in the plastic memory, or in the data of a port without a rule.
    fn spot(&self, port: u32, source: u32, target: u32) -> Option<Spot> {
        let p = self.image.port(port)?;
        let (from, to) = (self.image.piece(p.source)?, self.image.piece(p.target)?);
        if source >= from.count || target >= to.count || !self.hosts(to.core) {
            return None;
        }
        let first = match p.rule {
            NONE => 0,
            _ => self.image.core(self.cores.start)?.plastic_first as usize * 8,
        };
        if p.store == Store::Crossbar {
            return None;
        }
        if p.store == Store::Dense {
            let at = (p.offset as usize * 8).checked_sub(first)? + source as usize * p.stride as usize;
            let nonzero = (p.nonzero as usize * 8).checked_sub(first)? + source as usize * 4;
            return Some(Spot { at, index: target as usize, bits: p.bits, nonzero });
        }
        let classes = from.delay_first..from.delay_first + from.delay_count;
        let class = classes
            .filter_map(|c| self.image.delay_class(c))
            .find(|c| c.delay == p.delay && c.rows != NONE)?;
        let (start, end) = self.image.row(&class, source);
        let seg =
            (start..end).filter_map(|q| Segment::at(self.image.segments, q)).find(|s| s.port == port)?;
        let targets = bytes_at(self.image.data, seg.offset as usize * 4, Segment::target_bytes(seg.len));
        let targets: &[u16] = bytemuck::try_cast_slice(targets).ok()?;
        let index = targets.iter().position(|t| u32::from(*t) == target)?;
        if p.rule == NONE {
            let at = seg.offset as usize * 4 + Segment::target_bytes(seg.len);
            return Some(Spot { at, index, bits: p.bits, nonzero: 0 });
        }
        let nonzero = (seg.extra as usize * 4).checked_sub(first)?;
        Some(Spot { at: nonzero + 4, index, bits: p.bits, nonzero })
    }

    /// The present weight of a synapse of a dense or sparse port, or `None` where there is none.
    pub fn weight(&self, port: u32, source: u32, target: u32) -> Option<i32> {
        let spot = self.spot(port, source, target)?;
        let plastic = self.image.port(port)?.rule != NONE;
        let bytes = if plastic { &*self.plastic } else { self.image.data };
        if spot.bits == 0 {
            return Some(self.image.port(port)?.weight);
        }
        bytes.get(spot.at..).map(|bytes| weight_at(bytes, spot.bits, spot.index))
    }

    /// Programs a synapse of a plastic port: its weight becomes `weight`, or the nearest that its container holds.
    /// Sums that persist are rebuilt before they are used again. Returns the new weight, or `None` where there is
    /// no such synapse.
    pub fn program(&mut self, port: u32, source: u32, target: u32, weight: i32) -> Option<i32> {
        let spot = self
            .spot(port, source, target)
            .filter(|_| self.image.port(port).is_some_and(|p| p.rule != NONE))?;
        let (low, high) = match spot.bits {
            1 => (-1, 1),
            bits => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
        };
        let piece = self.image.port(port)?.target;
        let old = self.plastic.get(spot.at..).map(|bytes| weight_at(bytes, spot.bits, spot.index))?;
        let new = if spot.bits == 1 && weight == 0 { old } else { weight.clamp(low, high) };
        set_weight(self.plastic.get_mut(spot.at..)?, spot.bits, spot.index, new);
        let count = self.plastic.get_mut(spot.nonzero..)?.first_chunk_mut::<4>()?;
        let nonzero = u32::from_le_bytes(*count) + u32::from(new != 0) - u32::from(old != 0);
        *count = nonzero.to_le_bytes();
        self.mark_stale(piece);
        Some(new)
    }

    /// Notes that weights into a piece have changed.
    pub(crate) fn mark_stale(&mut self, piece: u32) {
        if self.image.piece(piece).is_some_and(|p| p.kind == Kind::Binary)
            && let Some(r) = run_of(self.run, piece)
        {
            set(r, run::STALE, 1);
        }
    }
}

/// A draw as a number below `n`.
fn below(draw: u32, n: usize) -> usize {
    ((u64::from(draw) * n as u64) >> 32) as usize
}

impl Split<'_> {
    /// The fields of a block without the self-coupling: bias and the groups that count.
    fn fields(&self, image: &Image<'_>, piece: &Piece, range: &Range<usize>, mask: u32) -> [i32; BLOCK] {
        let mut fields = [piece.bias.value; BLOCK];
        for (f, b) in fields.iter_mut().zip(param_slice(image, piece.bias, range.start, range.len() as u32)) {
            *f = *b;
        }
        for g in (0..piece.groups as usize).filter(|g| mask >> g & 1 != 0) {
            let at = g * self.stride;
            let sums = self.sums.get(at + range.start..at + range.end).unwrap_or_default();
            for (f, s) in fields.iter_mut().zip(sums) {
                *f = f.wrapping_add(*s);
            }
        }
        fields
    }
}
