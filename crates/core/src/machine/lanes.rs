//! Samples side by side: up to [`LANES`] samples of one image relax at once and share every row that is read.
//!
//! Between two updates of the weights the samples of a batch do not know of each other, so they may run in any order,
//! and at once. Here each number of the state has one lane per sample: a row is looked up and decoded once, and each
//! of its synapses adds to all lanes. What comes out (states, sums, what rules remember, counters, time) is what the
//! same samples give one by one through [`Machine::run_program`] and [`Machine::learn_sample`]: a sample whose phase
//! has ended early waits, at a fixed point, for the others.
//!
//! Only networks of inputs that hold their values and of synchronous binary neurons run so, with digital weights,
//! delays of 0 or 1, and rules over several samples.

use super::*;
use crate::binary;
use crate::draw::ERROR_BITS;
use crate::image::UNTIL_QUIET;
use crate::plasticity::{Cadence, ErrorFactor, Rule, Tally, Variable};
use crate::store::{LANES, Lanes, Loop, add_lanes, weight_at};

/// Where a piece stands in the memory of a batch, and how it is.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// First of its neurons' values.
    values: u32,
    /// First of its sums: group by group.
    sums: u32,
    /// First of its targets, if it has any.
    targets: u32,
    /// Groups that count.
    mask: u32,
    /// Samples in which something arrived since its last update.
    arrived: u32,
    /// Samples in which it may change without further input.
    awake: u32,
    /// Whether it was released or its groups changed since its last update.
    news: bool,
    /// Events of even and of odd ticks.
    lengths: [u32; 2],
}

/// Most pieces of an image whose samples run side by side.
const PIECES: usize = 24;

/// Samples that run side by side.
#[derive(Debug)]
pub struct Batch<'a> {
    count: usize,
    tick: usize,
    records: [Record; PIECES],
    /// What the neurons of every piece hold.
    values: &'a mut [Lanes],
    /// Targets of the pieces that have them.
    targets: &'a mut [Lanes],
    sums: &'a mut [Lanes],
    /// Neuron, and a bit for each sample that it sends an event in; two slots per piece.
    events: &'a mut [Event],
    payloads: &'a mut [Lanes],
}

/// Words before a block whose lanes fill cache lines.
const TO_ALIGN: usize = 8;

fn has_targets(piece: &Piece) -> bool {
    piece.flags & flag::TARGET != 0
}

fn fits(image: &Image<'_>) -> bool {
    let piece_fits = |p: u32| {
        image.piece(p).is_some_and(|p| {
            p.holds()
                && p.kind != Kind::Lif
                && !p.is_sequential()
                && p.flags & flag::TOUCHED == 0
                && p.delay_max < 2
        })
    };
    let store_fits = |q: u32| {
        image.port(q).is_some_and(|p| matches!(p.store, Store::Dense | Store::Sparse | Store::Identity))
    };
    let rule_fits = |r: u32| {
        let rule = image.rule_words(r).and_then(|w| Rule::decode(w).ok());
        rule.is_some_and(|r| matches!(r.cadence(), Cadence::Samples(_)))
    };
    image.pieces as usize <= PIECES
        && (0..image.pieces).all(piece_fits)
        && (0..image.ports).all(store_fits)
        && (0..image.rule_count()).all(rule_fits)
        && !(0..image.rule_count()).any(|r| image.rule_words(r).is_some_and(Rule::acts_in_ticks))
}

impl<'a> Batch<'a> {
    /// The memory that samples of an image side by side need, in words; `None` where they cannot run so.
    pub fn words(image: &Image<'_>) -> Option<usize> {
        let [neurons, sums, targets] = Batch::sizes(image)?;
        // Values and two slots of payloads; events are a word each.
        Some(TO_ALIGN + (3 * neurons + sums + targets) * LANES / 2 + 2 * neurons)
    }

    /// Neurons, input sums and targets.
    fn sizes(image: &Image<'_>) -> Option<[usize; 3]> {
        let pieces = (0..image.pieces).filter_map(|p| image.piece(p)).map(|p| {
            let n = p.count as usize;
            [n, n * p.groups as usize, if has_targets(&p) { n } else { 0 }]
        });
        fits(image).then(|| pieces.fold([0; 3], |[a, b, c], [d, e, f]| [a + d, b + e, c + f]))
    }

    /// A batch of no samples on memory of [`Batch::words`]; `None` where the image does not fit or memory lacks.
    pub fn new(image: &Image<'_>, memory: &'a mut [u64]) -> Option<Batch<'a>> {
        let [neurons, sums, targets] = Batch::sizes(image)?;
        let skipped = memory.as_ptr().align_offset(core::mem::align_of::<u64>() * TO_ALIGN).min(TO_ALIGN);
        let mut rest = memory.get_mut(skipped..)?;
        let lane_words = LANES / 2;
        let mut records = [Record::default(); PIECES];
        let (mut value, mut sum, mut target) = (0, 0, 0);
        for (p, record) in (0..image.pieces).zip(&mut records) {
            let piece = image.piece(p)?;
            *record = Record { values: value, sums: sum, targets: target, ..Record::default() };
            value += piece.count;
            sum += piece.count * piece.groups;
            target += if has_targets(&piece) { piece.count } else { 0 };
        }
        Some(Batch {
            count: 0,
            tick: 0,
            records,
            values: carve(&mut rest, neurons * lane_words)?,
            targets: carve(&mut rest, targets * lane_words)?,
            sums: carve(&mut rest, sums * lane_words)?,
            payloads: carve(&mut rest, 2 * neurons * lane_words)?,
            events: carve(&mut rest, 2 * neurons)?,
        })
    }

    /// Begins with `samples` new samples (at most [`LANES`]) at rest, without input.
    pub fn rest(&mut self, samples: usize) {
        self.count = samples.min(LANES);
        self.tick = 0;
        self.values.fill([0; LANES]);
        self.targets.fill([0; LANES]);
        self.sums.fill([0; LANES]);
        for r in &mut self.records {
            *r = Record { values: r.values, sums: r.sums, targets: r.targets, ..Record::default() };
        }
    }

    /// Samples that run.
    pub fn samples(&self) -> usize {
        self.count
    }

    /// What the neurons of a piece hold: states, or values of an input.
    pub fn values(&self, image: &Image<'_>, piece: u32) -> &[Lanes] {
        let Some(record) = image.piece(piece) else { return &[] };
        let first = self.records.get(piece as usize).map_or(usize::MAX, |r| r.values as usize);
        self.values.get(first..first.saturating_add(record.count as usize)).unwrap_or_default()
    }

    /// The targets of a piece, to be set.
    pub fn targets_mut(&mut self, image: &Image<'_>, piece: u32) -> &mut [Lanes] {
        let Some(record) = image.piece(piece).filter(has_targets) else { return &mut [] };
        let first = self.records.get(piece as usize).map_or(usize::MAX, |r| r.targets as usize);
        self.targets.get_mut(first..first.saturating_add(record.count as usize)).unwrap_or_default()
    }

    /// The sums of an input group of a piece.
    pub fn sums(&self, image: &Image<'_>, piece: u32, group: u32) -> &[Lanes] {
        let Some(record) = image.piece(piece).filter(|p| group < p.groups) else { return &[] };
        let first = self.records.get(piece as usize).map_or(usize::MAX, |r| r.sums as usize);
        let n = record.count as usize;
        let at = first.saturating_add(n * group as usize);
        self.sums.get(at..at.saturating_add(n)).unwrap_or_default()
    }

    /// A bit for every sample.
    fn all(&self) -> u32 {
        (1u32 << self.count) - 1
    }

    /// The slot of a tick.
    fn slot(&self, piece: u32, record: &Piece, age: usize) -> (core::ops::Range<usize>, usize) {
        let Some(r) = self.records.get(piece as usize) else { return (0..0, 0) };
        let slot = (self.tick + age) & 1;
        let first = 2 * r.values as usize + slot * record.count as usize;
        let len = r.lengths.get(slot).map_or(0, |l| *l as usize);
        (first..first + len, slot)
    }
}

impl Machine<'_> {
    /// Puts a sample's values into an input piece of a batch, before it runs: events as for [`Machine::inject`].
    ///
    /// # Errors
    /// [`InputError`] names what is wrong; nothing is taken then.
    pub fn inject_beside(
        &mut self,
        batch: &mut Batch<'_>,
        sample: usize,
        piece: u32,
        events: &[Event],
    ) -> Result<(), InputError> {
        let record = self.input_piece(piece)?;
        let mut before = -1;
        for &[neuron, payload] in events {
            if neuron <= before || neuron as u32 >= record.count {
                return Err(InputError::Neuron { neuron, count: record.count });
            }
            if payload.unsigned_abs() > record.payload_max {
                return Err(InputError::Payload { payload, bound: record.payload_max });
            }
            before = neuron;
        }
        let first = batch.records.get(piece as usize).map_or(0, |r| r.values as usize);
        for &[neuron, payload] in events {
            let lane = batch.values.get_mut(first + neuron as usize).and_then(|v| v.get_mut(sample));
            if let Some(value) = lane {
                *value = payload;
            }
        }
        Ok(())
    }

    /// Runs a program of the image's schedule on all samples of a batch. Counters and time go on as if they had run
    /// one by one; the machine's own neurons do not move.
    pub fn run_program_beside<K: Kernels>(
        &mut self,
        batch: &mut Batch<'_>,
        program: u32,
        kernels: &K,
    ) -> Ran {
        let mut ran = Ran::default();
        self.send_inputs(batch);
        for r in &mut batch.records {
            (r.news, r.mask) = (true, NONE);
        }
        let mut i = 0;
        while let Some(entry) = self.image.entry(i) {
            i += 1;
            if entry.program != program {
                continue;
            }
            self.set_phase_beside(batch, entry.phase);
            let mut running = batch.all();
            for _ in 0..entry.ticks {
                ran.changes += self.step_beside(batch, kernels);
                self.tick += u64::from(running.count_ones());
                ran.ticks += u64::from(running.count_ones());
                let quiet = self.quiet_samples(batch);
                ran.quiet = quiet == batch.all();
                if entry.options & UNTIL_QUIET != 0 {
                    running &= !quiet;
                    if running == 0 {
                        break;
                    }
                }
            }
        }
        ran
    }

    /// What the inputs hold becomes the events of the first tick.
    fn send_inputs(&mut self, batch: &mut Batch<'_>) {
        for p in 0..self.image.pieces {
            let Some(piece) = self.image.piece(p).filter(|p| p.kind == Kind::Input) else { continue };
            let Some(r) = batch.records.get_mut(p as usize) else { continue };
            let (first, n) = (r.values as usize, piece.count as usize);
            let values = batch.values.get(first..first + n).unwrap_or_default();
            let slot = 2 * first + batch.tick % 2 * n;
            let (mut len, mut inputs, mut packets) = (0, 0u64, 0u64);
            let spikes_at = Parts::of(&piece).spikes;
            let base = word(self.run, p as usize * RUN_WORDS + run::STATE) as usize
                + stride(piece.count) * spikes_at as usize;
            for (j, value) in values.iter().enumerate() {
                let samples = nonzero(*value);
                if samples == 0 {
                    continue;
                }
                if let (Some(e), Some(to)) =
                    (batch.events.get_mut(slot + len), batch.payloads.get_mut(slot + len))
                {
                    (*e, *to) = ([j as i32, samples as i32], *value);
                    len += 1;
                }
                inputs += u64::from(samples.count_ones());
                packets += self.fan(&piece, j, samples);
                if let Some(c) = self.state.get_mut(base + j) {
                    *c = c.wrapping_add(samples.count_ones() as i32);
                }
            }
            if let Some(l) = r.lengths.get_mut(batch.tick % 2) {
                *l = len as u32;
            }
            if let Some(row) = counters_of(self.counters, p) {
                add(row, Count::InputEvents, inputs);
                add(row, Count::Packets, packets);
            }
        }
    }

    /// Packets of a neuron's events in some samples.
    fn fan(&self, piece: &Piece, neuron: usize, samples: u32) -> u64 {
        match self.image.fanout {
            [] => 0,
            fanout => {
                u64::from(word(fanout, piece.first as usize + neuron)) * u64::from(samples.count_ones())
            }
        }
    }

    fn set_phase_beside(&self, batch: &mut Batch<'_>, phase: u32) {
        for (p, r) in (0..self.image.pieces).zip(&mut batch.records) {
            let mask = match self.image.phase_count() {
                0 => HELD - 1,
                _ => word(self.image.phases, (phase * self.image.pieces + p) as usize),
            };
            r.news |= r.mask != mask;
            r.mask = mask;
        }
    }

    /// The samples in which nothing can change any more.
    fn quiet_samples(&self, batch: &Batch<'_>) -> u32 {
        let mut busy = 0;
        for p in 0..self.image.pieces {
            let (Some(piece), Some(r)) = (self.image.piece(p), batch.records.get(p as usize)) else {
                continue;
            };
            if piece.delay_max != 0 {
                // The step has moved on to the next tick.
                let (range, _) = batch.slot(p, &piece, 1);
                let sent = batch.events.get(range).unwrap_or_default();
                busy |= sent.iter().fold(0, |all, e| all | e[1] as u32);
            }
            if r.mask & HELD == 0 && piece.kind != Kind::Input {
                busy |= r.arrived | r.awake;
            }
        }
        batch.all() & !busy
    }

    /// Runs one tick of all samples; returns the changes of binary neurons.
    fn step_beside<K: Kernels>(&mut self, batch: &mut Batch<'_>, kernels: &K) -> u64 {
        let mut changes = 0;
        for p in 0..self.image.pieces {
            let Some(piece) = self.image.piece(p) else { continue };
            self.deliver_beside(batch, p, &piece, kernels, |delay| delay != 0 || piece.kind == Kind::Input);
        }
        for stage in 1..=self.image.stages {
            for p in 0..self.image.pieces {
                let Some(piece) = self.image.piece(p).filter(|p| p.stage == stage) else { continue };
                let held = batch.records.get(p as usize).is_none_or(|r| r.mask & HELD != 0);
                if piece.kind != Kind::Binary || held {
                    continue;
                }
                changes += self.update_beside(batch, p, &piece, kernels);
                self.deliver_beside(batch, p, &piece, kernels, |delay| delay == 0);
            }
        }
        batch.tick += 1;
        let slot = batch.tick % 2;
        for r in &mut batch.records {
            if let Some(l) = r.lengths.get_mut(slot) {
                *l = 0;
            }
        }
        changes
    }

    /// Reads the rows of a piece's events, of the delays that `due` names.
    fn deliver_beside<K: Kernels>(
        &mut self,
        batch: &mut Batch<'_>,
        p: u32,
        piece: &Piece,
        kernels: &K,
        due: impl Fn(u32) -> bool,
    ) {
        for c in piece.delay_first..piece.delay_first + piece.delay_count {
            let Some(class) = self.image.delay_class(c).filter(|c| due(c.delay)) else { continue };
            let (range, _) = batch.slot(p, piece, class.delay as usize);
            let (Some(events), Some(payloads)) = (batch.events.get(range.clone()), batch.payloads.get(range))
            else {
                continue;
            };
            if events.is_empty() {
                continue;
            }
            let plastic_first = self.image.core(self.cores.start).map_or(0, |c| c.plastic_first as usize * 8);
            let news = News { events, payloads, changes: piece.kind == Kind::Binary };
            let mut to = Sums {
                image: &self.image,
                plastic: self.plastic,
                plastic_first,
                counters: self.counters,
                records: &mut batch.records,
                sums: batch.sums,
                counts: K::COUNTS,
            };
            for q in class.first_port..class.first_port + class.ports {
                if let Some(port) = self.image.port(q) {
                    to.read_matrix(&port, news, kernels);
                }
            }
            if class.rows != NONE {
                kernels.run(SparseRead { to, class, news });
            }
        }
    }

    fn update_beside<K: Kernels>(
        &mut self,
        batch: &mut Batch<'_>,
        p: u32,
        piece: &Piece,
        kernels: &K,
    ) -> u64 {
        let valid = core::array::from_fn(|l| -i32::from(l < batch.count));
        let Some(r) = batch.records.get_mut(p as usize) else { return 0 };
        if !core::mem::take(&mut r.news) && r.arrived | r.awake == 0 {
            return 0;
        }
        let n = piece.count as usize;
        let arrived = core::mem::take(&mut r.arrived);
        let first = r.values as usize;
        let slot = batch.tick % 2;
        let ring = 2 * first + slot * n..2 * first + slot * n + n;
        let mut groups: [&[Lanes]; 4] = [&[]; 4];
        for (g, group) in groups.iter_mut().enumerate().filter(|(g, _)| r.mask >> g & 1 != 0) {
            let at = r.sums as usize + g * n;
            *group = match g < piece.groups as usize {
                true => batch.sums.get(at..at + n).unwrap_or_default(),
                false => &[],
            };
        }
        let base = word(self.run, p as usize * RUN_WORDS + run::STATE) as usize;
        let spikes_at = base + stride(piece.count) * Parts::of(piece).spikes as usize;
        let outcome = kernels.run(Update {
            bias: param_slice(&self.image, piece.bias, 0, piece.count),
            common_bias: piece.bias.value,
            groups,
            self_coupling: piece.gain,
            keep_ties: piece.flags & flag::KEEP_TIES != 0,
            valid,
            states: batch.values.get_mut(first..first + n).unwrap_or_default(),
            events: batch.events.get_mut(ring.clone()).unwrap_or_default(),
            payloads: batch.payloads.get_mut(ring).unwrap_or_default(),
            spikes: self.state.get_mut(spikes_at..spikes_at + n).unwrap_or_default(),
        });
        if let Some(l) = r.lengths.get_mut(slot) {
            *l = outcome.sent as u32;
        }
        // Only a neuron that inhibits itself may change again without further input.
        r.awake = if piece.gain < 0 { nonzero(outcome.changes) } else { 0 };
        let changes = outcome.changes.iter().map(|c| *c as u64).sum();
        let (mut updates, mut packets) = (0, 0);
        for (l, c) in outcome.changes.iter().enumerate() {
            // A sweep after input compares every neuron with its field, another only those that change.
            updates += if arrived >> l & 1 != 0 { n as u64 } else { *c as u64 };
        }
        let (range, _) = batch.slot(p, piece, 0);
        for e in batch.events.get(range).unwrap_or_default() {
            packets += self.fan(piece, e[0] as usize, e[1] as u32);
        }
        if K::COUNTS
            && let Some(row) = counters_of(self.counters, p)
        {
            add(row, Count::Updates, updates);
            add(row, Count::Spikes, changes);
            add(row, Count::Packets, packets);
        }
        changes
    }

    /// Learns all samples of a batch: each port remembers them, and rules whose last sample is among them run, as
    /// [`Machine::learn_sample`] sample by sample. Rules count their samples from the last one that they ran at, so
    /// that a batch must not reach beyond it: [`Machine::samples_left`].
    pub fn learn_beside<K: Kernels, D: Draws>(&mut self, batch: &Batch<'_>, kernels: &K, draws: &mut D) {
        let count = batch.count as u64;
        for i in 0..self.image.ports {
            let Some(port) = self.image.port(i).filter(|p| p.rule != NONE) else { continue };
            let Some(rule) = crate::learn::rule_of(&self.image, &port) else { continue };
            let Cadence::Samples(k) = rule.cadence() else { continue };
            let sample = (self.samples % u64::from(k)) as u32;
            let tally = self.note_beside(i, &port, &rule, batch, sample, (kernels, draws));
            self.count_learning(&port, &tally, 0);
        }
        self.updates += count.saturating_sub(1);
        for i in 0..self.image.ports {
            let Some(port) = self.image.port(i).filter(|p| p.rule != NONE) else { continue };
            let Some(rule) = crate::learn::rule_of(&self.image, &port) else { continue };
            if let Cadence::Samples(k) = rule.cadence()
                && self.samples % u64::from(k) + count >= u64::from(k)
            {
                let mut tally = self.apply_batch(i, &port, &rule, kernels, draws);
                tally += self.decay(i, &port, &rule, self.samples + count, kernels, draws);
                self.count_learning(&port, &tally, 0);
            }
        }
        self.updates += count.min(1);
        self.samples += count;
    }

    /// Samples until the next rule over several samples runs, at most [`LANES`].
    pub fn samples_left(&self) -> usize {
        let cadences = (0..self.image.rule_count())
            .filter_map(|r| Rule::decode(self.image.rule_words(r)?).ok().map(|r| r.cadence()));
        let left = cadences.map(|c| match c {
            Cadence::Samples(k) => (u64::from(k) - self.samples % u64::from(k)) as usize,
            _ => 1,
        });
        left.fold(LANES, usize::min)
    }

    fn note_beside<K: Kernels, D: Draws>(
        &mut self,
        i: u32,
        port: &Port,
        rule: &Rule,
        batch: &Batch<'_>,
        sample: u32,
        (kernels, draws): (&K, &mut D),
    ) -> Tally {
        let Some(layout) = crate::learn::Layout::of(&self.image, port) else { return Tally::default() };
        let (Some(term), Some(target)) = (rule.terms().first(), self.image.piece(port.target)) else {
            return Tally::default();
        };
        let at = word(self.port_learning, i as usize);
        let Some(bits) = self.learning.get_mut((at as usize).saturating_add(1)..).filter(|_| at != NONE)
        else {
            return Tally::default();
        };
        let (rows, columns) = layout.shape();
        let (pre, rest) = bits.split_at_mut_checked(rows).unwrap_or_default();
        let post = rest.get_mut(..columns).unwrap_or_default();
        let error = rule.error_bit().filter(|_| term.exponents.of(Variable::E) != 0);
        let mut groups: [&[Lanes]; 4] = [&[]; 4];
        let counted = error.map_or(0, |e| u32::from(e.field.groups));
        for (g, group) in (0..target.groups).zip(&mut groups).filter(|(g, _)| counted >> g & 1 != 0) {
            *group = batch.sums(&self.image, port.target, g);
        }
        let first = batch.records.get(port.target as usize).map_or(0, |r| r.targets as usize);
        let count = if has_targets(&target) { target.count as usize } else { 0 };
        let targets = batch.targets.get(first..first + count).unwrap_or_default();
        kernels.run(Note {
            sample,
            all: batch.all(),
            before: batch.values(&self.image, port.source),
            pre,
            states: batch.values(&self.image, port.target),
            targets,
            groups,
            error,
            powers: [Variable::S, Variable::Y0, Variable::T].map(|v| term.exponents.of(v) != 0),
            post,
            draws,
            purpose: ERROR_BITS.wrapping_add(target.population),
            index: target.population_first,
            time: self.updates,
        })
    }
}

/// A lane's own bit.
const BITS: Lanes = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768];

/// A bit for every lane that `is` something.
#[inline(always)]
fn bits_of(lanes: Lanes, is: impl Fn(i32) -> bool) -> u32 {
    let bits = zip(lanes, BITS, |v, bit| if is(v) { bit } else { 0 });
    bits.iter().fold(0, |all, bit| all | bit) as u32
}

/// A bit for every lane that is not zero.
#[inline(always)]
fn nonzero(lanes: Lanes) -> u32 {
    bits_of(lanes, |v| v != 0)
}

/// Lane by lane `of(a, b)`. By value: no lane is written under another that is still to be read, so that all stay in one
/// register.
#[inline(always)]
fn zip<A: Copy, B: Copy>(mut a: [A; LANES], b: [B; LANES], of: impl Fn(A, B) -> A) -> [A; LANES] {
    for (a, b) in a.iter_mut().zip(b) {
        *a = of(*a, b);
    }
    a
}

/// Events of a piece in one tick.
#[derive(Clone, Copy)]
struct News<'l> {
    events: &'l [Event],
    payloads: &'l [Lanes],
    /// They are changes of binary neurons, whose ±2 is an addition like ±1.
    changes: bool,
}

impl News<'_> {
    /// Over all events: in how many samples each adds, and in how many it multiplies.
    #[inline(always)]
    fn each(&self, mut visit: impl FnMut(usize, u64, u64)) {
        for (&[i, samples], payload) in self.events.iter().zip(self.payloads) {
            let all = u64::from((samples as u32).count_ones());
            let adds = if self.changes {
                all
            } else {
                payload.iter().filter(|p| p.unsigned_abs() == 1).count() as u64
            };
            visit(i as usize, adds, all - adds);
        }
    }
}

/// What row reads of a batch write to.
struct Sums<'l, 'a> {
    image: &'l Image<'a>,
    plastic: &'l [u8],
    plastic_first: usize,
    counters: &'l mut [u64],
    records: &'l mut [Record; PIECES],
    sums: &'l mut [Lanes],
    counts: bool,
}

impl Sums<'_, '_> {
    /// Reads rows of a dense port or of identity links.
    fn read_matrix<K: Kernels>(&mut self, port: &Port, news: News<'_>, kernels: &K) {
        let (Some(source), Some(target)) = (self.image.piece(port.source), self.image.piece(port.target))
        else {
            return;
        };
        let Some(r) = self.records.get_mut(port.target as usize) else { return };
        let (n, rows) = (target.count as usize, source.count as usize);
        let at = r.sums as usize + n * port.group as usize;
        let Some(sums) = self.sums.get_mut(at..at + n) else { return };
        let (image, plastic, first) = (self.image, self.plastic, self.plastic_first);
        let held = |at: usize, len: usize| match port.rule {
            NONE => bytes_at(image.data, at, len),
            _ => bytes_at(plastic, at.wrapping_sub(first), len),
        };
        if port.store == Store::Identity {
            for (&[i, _], payload) in news.events.iter().zip(news.payloads) {
                if let Some(s) = sums.get_mut(i as usize) {
                    add_lanes(s, *payload, port.weight);
                }
            }
        } else {
            let matrix = Matrix {
                bytes: held(port.offset as usize * 8, rows * port.stride as usize),
                stride: port.stride as usize,
                bits: port.bits,
            };
            kernels.dense_lanes(sums, matrix, news.events, news.payloads);
        }
        r.arrived |= news.events.iter().fold(0, |all, e| all | e[1] as u32);
        if !self.counts {
            return;
        }
        let Some(row) = counters_of(self.counters, port.target) else { return };
        let counts = nonzero_counts(image.data, plastic, first, port, rows);
        let mut all = Rows::default();
        news.each(|i, adds, multiplies| {
            let nonzero = nonzero_of(counts, port, i);
            all.acs += nonzero * adds;
            all.macs += nonzero * multiplies;
            all.rows += adds + multiplies;
        });
        all.count(row, port, target.count);
    }
}

/// Adds sparse rows.
struct SparseRead<'l, 'a> {
    to: Sums<'l, 'a>,
    class: DelayClass,
    news: News<'l>,
}

/// Where the segments of a port go.
#[derive(Clone, Copy, Default)]
struct Aim {
    port: u32,
    piece: u32,
    first: usize,
    count: usize,
    bits: u32,
    weight: i32,
    plastic: bool,
    arrived: u32,
    stored: u64,
    acs: u64,
    macs: u64,
    rows: u64,
    bytes: u64,
}

impl Aim {
    fn of(to: &Sums<'_, '_>, number: u32) -> Option<Aim> {
        let port = to.image.port(number)?;
        let piece = to.image.piece(port.target)?;
        let r = to.records.get(port.target as usize)?;
        Some(Aim {
            port: number,
            piece: port.target,
            first: r.sums as usize + (piece.count * port.group) as usize,
            count: piece.count as usize,
            bits: port.bits,
            weight: port.weight,
            plastic: port.rule != NONE,
            ..Aim::default()
        })
    }

    /// Notes what was read.
    fn note(&self, to: &mut Sums<'_, '_>) {
        if let Some(r) = to.records.get_mut(self.piece as usize) {
            r.arrived |= self.arrived;
        }
        let Some(row) = counters_of(to.counters, self.piece).filter(|_| to.counts) else { return };
        add(row, Count::StoredEvents, self.stored);
        add(row, Count::EffectiveEvents, self.acs + self.macs);
        add(row, Count::Accumulates, self.acs);
        add(row, Count::MultiplyAccumulates, self.macs);
        add(row, Count::Rows, self.rows);
        add(row, Count::SynapseBytes, self.bytes);
    }
}

impl Loop for SparseRead<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let SparseRead { mut to, class, news } = self;
        let image = to.image;
        let mut aim = Aim { port: NONE, ..Aim::default() };
        for (&[i, samples], &payload) in news.events.iter().zip(news.payloads) {
            let samples = samples as u32;
            let all = u64::from(samples.count_ones());
            let adds = match news.changes {
                true => all,
                false => payload.iter().map(|p| u64::from(p.unsigned_abs() == 1)).sum(),
            };
            let (first, end) = image.row(&class, i as u32);
            for q in first..end {
                let Some(seg) = Segment::at(image.segments, q) else { continue };
                if aim.port != seg.port {
                    aim.note(&mut to);
                    aim = Aim::of(&to, seg.port).unwrap_or(Aim { port: seg.port, ..Aim::default() });
                }
                let at = seg.offset as usize * 4;
                let (tbytes, wbytes) =
                    (Segment::target_bytes(seg.len), Segment::weight_bytes(seg.len, aim.bits));
                let targets: &[u16] =
                    bytemuck::try_cast_slice(bytes_at(image.data, at, tbytes)).unwrap_or(&[]);
                let (weights, nonzero) = match aim.plastic {
                    false => (bytes_at(image.data, at + tbytes, wbytes), seg.extra),
                    true => {
                        let at = (seg.extra as usize * 4).wrapping_sub(to.plastic_first);
                        (
                            bytes_at(to.plastic, at.wrapping_add(4), wbytes),
                            crate::words::le_u32(to.plastic, at),
                        )
                    }
                };
                let Some(sums) = to.sums.get_mut(aim.first..aim.first + aim.count) else { continue };
                let mut add_to = |target: &u16, w: i32| {
                    if let Some(s) = sums.get_mut(usize::from(*target)) {
                        add_lanes(s, payload, w);
                    }
                };
                match aim.bits {
                    16 => {
                        let (weights, _) = weights.as_chunks::<2>();
                        targets
                            .iter()
                            .zip(weights)
                            .for_each(|(t, w)| add_to(t, i32::from(i16::from_le_bytes(*w))));
                    }
                    8 => targets.iter().zip(weights).for_each(|(t, w)| add_to(t, i32::from(*w as i8))),
                    0 => targets.iter().for_each(|t| add_to(t, aim.weight)),
                    bits => {
                        targets.iter().enumerate().for_each(|(j, t)| add_to(t, weight_at(weights, bits, j)));
                    }
                }
                aim.arrived |= if seg.len == 0 { 0 } else { samples };
                aim.stored += u64::from(seg.len) * all;
                aim.acs += u64::from(nonzero) * adds;
                aim.macs += u64::from(nonzero) * (all - adds);
                aim.rows += all;
                aim.bytes += (tbytes + wbytes) as u64 * all;
            }
        }
        aim.note(&mut to);
    }
}

/// Updates the neurons of a piece that all read the old states.
struct Update<'l> {
    bias: &'l [i32],
    common_bias: i32,
    groups: [&'l [Lanes]; 4],
    self_coupling: i32,
    keep_ties: bool,
    /// All ones in the lanes that run.
    valid: Lanes,
    states: &'l mut [Lanes],
    events: &'l mut [Event],
    payloads: &'l mut [Lanes],
    spikes: &'l mut [i32],
}

struct Updated {
    /// Events noted.
    sent: usize,
    /// Changes of each sample.
    changes: Lanes,
}

impl Loop for Update<'_> {
    type Output = Updated;

    #[inline(always)]
    fn run(self) -> Updated {
        let (mut sent, mut changes) = (0, [0; LANES]);
        for (j, state) in self.states.iter_mut().enumerate() {
            let mut field = [self.bias.get(j).copied().unwrap_or(self.common_bias); LANES];
            for group in self.groups {
                if let Some(sums) = group.get(j) {
                    field = zip(field, *sums, |f, s| f.wrapping_add(s));
                }
            }
            field = zip(field, *state, |f, s| f.wrapping_add(self.self_coupling.wrapping_mul(s)));
            let change = zip(field, *state, |f, s| binary::next(f, s, self.keep_ties) - s);
            let change = zip(change, self.valid, |c, v| c & v);
            if change.iter().fold(0, |any, c| any | c) == 0 {
                continue;
            }
            let samples = nonzero(change);
            *state = zip(*state, change, |s, c| s + c);
            changes = zip(changes, change, |n, c| n + i32::from(c != 0));
            if let Some(n) = self.spikes.get_mut(j) {
                *n = n.wrapping_add(samples.count_ones() as i32);
            }
            if let (Some(e), Some(to)) = (self.events.get_mut(sent), self.payloads.get_mut(sent)) {
                (*e, *to) = ([j as i32, samples as i32], change);
                sent += 1;
            }
        }
        Updated { sent, changes }
    }
}

/// Remembers the pre and post sides of samples.
struct Note<'l, D> {
    /// The place of the first sample.
    sample: u32,
    all: u32,
    before: &'l [Lanes],
    pre: &'l mut [i32],
    states: &'l [Lanes],
    targets: &'l [Lanes],
    groups: [&'l [Lanes]; 4],
    error: Option<crate::plasticity::ErrorBit>,
    /// Whether the sign, the state and the target are factors.
    powers: [bool; 3],
    post: &'l mut [i32],
    /// Where drawn error bits come from: of the first neuron, in the first sample.
    draws: &'l mut D,
    purpose: u32,
    index: u32,
    time: u64,
}

impl<D: Draws> Note<'_, D> {
    /// The drawn error bits of a neuron in all samples.
    #[inline(never)]
    fn drawn(
        &mut self,
        error: &crate::plasticity::ErrorBit,
        j: usize,
        field: [i64; LANES],
        tally: &mut Tally,
    ) -> Lanes {
        let mut bits = [0; LANES];
        for (l, (bit, signed)) in
            bits.iter_mut().zip(field).enumerate().filter(|(l, _)| self.all >> l & 1 != 0)
        {
            let draw = || {
                tally.draws += 1;
                self.draws.draw(self.purpose, self.time + l as u64, self.index.wrapping_add(j as u32))
            };
            *bit = i32::from(error.is_one(signed, draw));
        }
        bits
    }
}

/// Bits of the lanes above and below zero, the first at `sample` and at 16 + `sample`.
#[inline(always)]
fn signs(lanes: Lanes, all: u32, sample: u32) -> i32 {
    let place = |bits: u32| (bits & all) << sample & 0xffff;
    (place(bits_of(lanes, |v| v > 0)) | place(bits_of(lanes, |v| v < 0)) << 16) as i32
}

impl<D: Draws> Loop for Note<'_, D> {
    type Output = Tally;

    #[inline(always)]
    fn run(mut self) -> Tally {
        let mut tally = Tally::default();
        for (bits, value) in self.pre.iter_mut().zip(self.before) {
            *bits |= signs(*value, self.all, self.sample);
        }
        let [sign_counts, state_counts, target_counts] = self.powers;
        let factor = self.error.map_or(ErrorFactor::One, |e| e.factor);
        let margin = self.error.map_or(0, |e| i64::from(e.margin));
        let with_state = self.error.is_some_and(|e| e.field.state);
        for ((j, bits), state) in core::mem::take(&mut self.post).iter_mut().enumerate().zip(self.states) {
            let mut field = [0i64; LANES];
            for values in self.groups.iter().filter_map(|g| g.get(j)) {
                field = zip(field, *values, |f, v| f + i64::from(v));
            }
            if with_state {
                field = zip(field, *state, |f, v| f + i64::from(v));
            }
            let target = self.targets.get(j).copied().unwrap_or([0; LANES]);
            field = match factor {
                ErrorFactor::One => field,
                ErrorFactor::Sign => zip(field, *state, |f, s| if s < 0 { -f } else { f }),
                ErrorFactor::Target => zip(field, target, |f, t| f.saturating_mul(i64::from(t))),
            };
            let mut value = [1; LANES];
            match self.error {
                None => {}
                Some(error) if error.width == 0 => {
                    value = zip(value, field, |_, f| i32::from(f <= margin));
                }
                Some(error) => value = self.drawn(&error, j, field, &mut tally),
            }
            if sign_counts {
                value = zip(value, *state, |v, s| if s < 0 { -v } else { v });
            }
            if state_counts {
                value = zip(value, *state, |v, s| v * s.signum());
            }
            if target_counts {
                value = zip(value, target, |v, t| v * t.signum());
            }
            *bits |= signs(value, self.all, self.sample);
        }
        tally
    }
}
