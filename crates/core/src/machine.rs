//! The machine: an image, the memory lent to it, and one [`Machine::step`].
//!
//! A machine hosts a run of cores; several machines over the same image, each with its own memory, make
//! a threaded run: after at most [`Image::least_delay`] ticks they exchange the spikes of their pieces
//! ([`Machine::sent`], [`Machine::receive`]). A machine that hosts all cores needs nobody.
//!
//! A tick:
//!
//! 1. events whose delay is over are read: rows add to input sums, synaptic operations are counted;
//! 2. stage after stage, neurons that are not at rest update; their spikes are queued, and those synapses
//!    that have no delay are read at once (their targets are in later stages);
//! 3. plasticity rules whose cadence is due run on what happened.
//!
//! Where a source holds its values (binary neurons, inputs with the option), events carry changes, and the sums of
//! binary neurons persist; `machine/binary.rs` has what differs for them, and runs the image's schedule.

use crate::arena::{Parts, Plan, RUN_WORDS, run, stride};
use crate::counters::{COUNTS, Count, Counters, Row, add};
use crate::draw::Draws;
use crate::image::{
    DelayClass, HELD, Image, ImageError, Kind, NONE, Param, Piece, Port, Segment, Store, flag,
};
use crate::neuron::{BLOCK, Params, State, Value};
use crate::observer::{Observer, Work};
use crate::store::{
    Event, Kernels, Loop, Matrix, Portable, RUN, RunOutcome, SparseRow, SparseRows, SparseRun, tally,
};
use crate::words::{bytes_at, word};
use core::fmt;
use core::ops::Range;

mod binary;
mod lanes;
pub use binary::Ran;
pub use lanes::Batch;

/// Why an input was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputError {
    /// The machine has no such piece, or it is not an input piece.
    Piece {
        /// The number given.
        piece: u32,
    },
    /// A neuron number beyond the piece, or not above the one before.
    Neuron {
        /// The neuron.
        neuron: i32,
        /// Neurons of the piece.
        count: u32,
    },
    /// A payload of zero or beyond the piece's bound.
    Payload {
        /// The payload.
        payload: i32,
        /// The bound.
        bound: u32,
    },
    /// The piece already has its input of this tick.
    Twice {
        /// The piece.
        piece: u32,
    },
    /// More or fewer values than neurons.
    Length {
        /// Values given.
        found: usize,
        /// Neurons of the piece.
        expected: usize,
    },
    /// The spikes of a tick that has already been used, or not yet begun.
    Tick {
        /// The tick given.
        tick: u64,
        /// The machine's own.
        now: u64,
    },
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            InputError::Piece { piece } => write!(f, "piece {piece} takes no input"),
            InputError::Neuron { neuron, count } => {
                write!(f, "neuron {neuron} found, ascending numbers below {count} expected")
            }
            InputError::Payload { payload, bound } => {
                write!(f, "payload {payload} found, a number from 1 to {bound} or its negative expected")
            }
            InputError::Twice { piece } => write!(f, "piece {piece} already has its input of this tick"),
            InputError::Length { found, expected } => write!(f, "{found} values found, {expected} expected"),
            InputError::Tick { tick, now } => {
                write!(f, "events of tick {tick} come too late or early at tick {now}")
            }
        }
    }
}

impl core::error::Error for InputError {}

/// An image with the state of its neurons, in memory that the caller lent.
#[derive(Debug)]
pub struct Machine<'a> {
    pub(crate) image: Image<'a>,
    pub(crate) cores: Range<u32>,
    pub(crate) tick: u64,
    pub(crate) updates: u64,
    pub(crate) samples: u64,
    pub(crate) run: &'a mut [u32],
    /// Bit p: piece p may have something to do. The others cost nothing in a tick.
    pub(crate) busy: &'a mut [u64],
    pub(crate) port_learning: &'a mut [u32],
    pub(crate) port_arrays: &'a mut [u32],
    /// The next port of the same target whose rows are counted when somebody asks, or [`AT_ONCE`].
    pub(crate) port_next: &'a mut [u32],
    pub(crate) counters: &'a mut [u64],
    pub(crate) active: &'a mut [u64],
    pub(crate) state: &'a mut [i32],
    pub(crate) events: &'a mut [Event],
    pub(crate) lengths: &'a mut [u32],
    pub(crate) plastic: &'a mut [u8],
    pub(crate) learning: &'a mut [i32],
    pub(crate) arrays: &'a mut [u64],
    /// (piece, neuron) in the order of their stage.
    pub(crate) order: &'a mut [[u32; 2]],
}

fn carve<'a, T: bytemuck::Pod>(rest: &mut &'a mut [u64], words: usize) -> Option<&'a mut [T]> {
    let (head, tail) = core::mem::take(rest).split_at_mut_checked(words)?;
    *rest = tail;
    bytemuck::try_cast_slice_mut(head).ok()
}

/// Words to skip so that what follows begins with a cache line, as far as they can be spared: vectors then never span
/// two lines. A small processor has none.
fn to_line(rest: &[u64], spare: usize) -> usize {
    if cfg!(target_pointer_width = "64") {
        rest.as_ptr().align_offset(crate::image::ALIGN).min(spare)
    } else {
        0
    }
}

impl<'a> Machine<'a> {
    /// A machine that hosts all cores. Up to [`Plan::SPARE`] words of memory more than it needs make it faster on a
    /// processor with vectors.
    ///
    /// # Errors
    /// [`ImageError::Memory`] when `arena` is smaller than [`Image::memory`] says.
    pub fn new(image: Image<'a>, arena: &'a mut [u64]) -> Result<Machine<'a>, ImageError> {
        Machine::with_cores(image, 0..image.cores, arena)
    }

    /// A machine that hosts some of the cores.
    ///
    /// # Errors
    /// [`ImageError::Memory`] when `arena` is smaller than [`Image::memory`] says.
    pub fn with_cores(
        image: Image<'a>,
        cores: Range<u32>,
        arena: &'a mut [u64],
    ) -> Result<Machine<'a>, ImageError> {
        let plan = Plan::new(&image, cores.clone());
        let memory = ImageError::Memory { expected: plan.words(), found: arena.len() };
        let spare = arena.len().saturating_sub(plan.words());
        let mut rest = arena;
        let records = carve::<u32>(&mut rest, plan.records).ok_or(memory)?;
        let (run, ports) = records.split_at_mut_checked(image.pieces as usize * RUN_WORDS).ok_or(memory)?;
        let (ports, others) = ports.split_at_mut_checked(image.ports as usize).ok_or(memory)?;
        let (port_arrays, port_next) = others.split_at_mut_checked(image.ports as usize).ok_or(memory)?;
        let mut machine = Machine {
            image,
            cores,
            tick: 0,
            updates: 0,
            samples: 0,
            run,
            busy: carve(&mut rest, plan.busy).ok_or(memory)?,
            port_learning: ports,
            port_arrays,
            port_next,
            counters: carve(&mut rest, plan.counters).ok_or(memory)?,
            active: carve(&mut rest, plan.active).ok_or(memory)?,
            state: {
                let skipped = to_line(rest, spare);
                carve::<u64>(&mut rest, skipped).ok_or(memory)?;
                carve(&mut rest, plan.state).ok_or(memory)?
            },
            events: carve(&mut rest, plan.events).ok_or(memory)?,
            lengths: carve(&mut rest, plan.lengths).ok_or(memory)?,
            plastic: carve(&mut rest, plan.plastic).ok_or(memory)?,
            learning: carve(&mut rest, plan.learning).ok_or(memory)?,
            arrays: carve(&mut rest, plan.arrays).ok_or(memory)?,
            order: carve(&mut rest, plan.order).ok_or(memory)?,
        };
        machine.lay_out();
        machine.restart();
        Ok(machine)
    }

    /// Notes where each piece's memory stands.
    fn lay_out(&mut self) {
        self.run.fill(0);
        let hosts_all = self.cores == (0..self.image.cores);
        let (mut active, mut state, mut events, mut lengths, mut learning) = (0u32, 0u32, 0u32, 0u32, 0u32);
        for p in 0..self.image.pieces {
            let Some(piece) = self.image.piece(p) else { continue };
            let hosted = self.hosts(piece.core);
            let slots = piece.delay_max + 1;
            let narrow = is_narrow(&self.image, p, &piece);
            let alike = if hosted { alike(&self.image, p, &piece).map_or(0, |port| port + 1) } else { 0 };
            let mask = match self.image.phase_count() {
                0 => (1 << piece.groups) - 1,
                _ => word(self.image.phases, p as usize),
            };
            let rounds = if hosts_all { ALL_ROUNDS } else { self.rounds(&piece) };
            let Some(r) = run_of(self.run, p) else { continue };
            let stands = crate::arena::state_of(&piece, state as usize);
            let has_state = crate::arena::has_state(&piece, hosted);
            set(r, run::STATE, if has_state { stands.start as u32 } else { NONE });
            set(r, run::ACTIVE, active);
            set(r, run::EVENTS, events);
            set(r, run::SLOTS, slots);
            set(r, run::LENGTHS, lengths);
            set(r, run::MASK, mask);
            set(r, run::FACTS, u32::from(narrow) | alike << 1);
            let cores = fanout_of(&self.image, &piece);
            let common = cores.first().copied().unwrap_or(0);
            set(r, run::COUNTED, NONE);
            set(r, run::ROUNDS, rounds);
            set(r, run::FANOUT, if cores.iter().all(|n| *n == common) { common } else { NONE });
            events += piece.count * slots;
            lengths += slots;
            if has_state {
                state = stands.end as u32;
            }
            if hosted {
                active += crate::arena::active_words(&piece) as u32;
            }
        }
        let mut kept = 0u32;
        for i in 0..self.image.ports {
            let Some(port) = self.image.port(i) else { continue };
            let hosted = self.image.piece(port.target).is_some_and(|t| self.hosts(t.core));
            let array = self.image.array(port.device).filter(|_| hosted);
            set(self.port_arrays, i as usize, if array.is_some() { kept } else { NONE });
            kept += array.map_or(0, |a| crate::array::kept_words(&a) as u32);
            let words = if port.rule != NONE && hosted {
                crate::arena::learning_words(&self.image, &port) as u32
            } else {
                0
            };
            set(self.port_learning, i as usize, if words == 0 { NONE } else { learning });
            learning += words;
            let mut next = AT_ONCE;
            if let (Some(source), Some(target)) =
                (self.image.piece(port.source), self.image.piece(port.target))
                && follows_spikes(self.run, &port, &source, &target)
                && let Some(r) = run_of(self.run, port.target)
            {
                next = get(r, run::COUNTED);
                set(r, run::COUNTED, i);
            }
            set(self.port_next, i as usize, next);
        }
    }

    /// Which segments of the rows of a piece go to hosted cores: the first, and the end in the upper half.
    fn rounds(&self, piece: &Piece) -> u32 {
        let image = &self.image;
        let hosted = |port: u32| {
            let target = image.port(port).and_then(|port| image.piece(port.target));
            target.is_some_and(|target| self.hosts(target.core))
        };
        // Ports of segments that follow each other are often the same.
        let (mut known, mut here) = (NONE, false);
        let (mut from, mut to) = (u32::MAX, 0);
        for c in piece.delay_first..piece.delay_first + piece.delay_count {
            let Some(class) = image.delay_class(c).filter(|class| class.rows != NONE) else { continue };
            for neuron in 0..piece.count {
                let (first, end) = image.row(&class, neuron);
                for s in first..end {
                    let Some(segment) = Segment::at(image.segments, s) else { continue };
                    if segment.port != known {
                        (known, here) = (segment.port, hosted(segment.port));
                    }
                    if here {
                        (from, to) = (from.min(s - first), to.max(s - first + 1));
                    }
                }
            }
        }
        from.min(to).min(0xffff) | to.min(0xffff) << 16
    }

    /// Forgets everything: weights, counters, time and state are those of the image.
    pub fn restart(&mut self) {
        let first = self.image.core(self.cores.start).map_or(0, |c| c.plastic_first as usize * 8);
        let initial = bytes_at(self.image.plastic, first, self.plastic.len());
        for (to, from) in self.plastic.iter_mut().zip(initial) {
            *to = *from;
        }
        self.counters.fill(0);
        self.lengths.fill(0); // no spike is under way, whatever the memory held
        self.arrays.fill(0);
        self.tick = 0;
        self.updates = 0;
        self.samples = 0;
        self.lay_out_order();
        self.forget_samples();
        self.state.fill(0);
        self.rest();
    }

    /// Brings all neurons to their initial state, drops all events under way and all traces; weights,
    /// counters and time go on. This is what stands between two samples.
    pub fn rest(&mut self) {
        // Spikes that never arrive read nothing.
        self.note_rows(|machine, port| Rows::default() - machine.rows_under_way(port));
        for p in 0..self.image.pieces {
            let Some(piece) = self.image.piece(p) else { continue };
            if let Some(r) = run_of(self.run, p) {
                let (first, slots) = (get(r, run::LENGTHS) as usize, get(r, run::SLOTS) as usize);
                if let Some(l) = self.lengths.get_mut(first..first + slots) {
                    l.fill(0);
                }
                set(r, run::ARRIVED, 0);
                set(r, run::STALE, 0);
                set(r, run::DRIVEN, 0);
                if get(r, run::STATE) == NONE || piece.kind == Kind::Input && !piece.holds() {
                    continue;
                }
                set(r, run::ALL, u32::from(piece.kind != Kind::Input));
                set(r, run::AWAKE, if piece.kind == Kind::Lif { piece.count } else { 0 });
            }
            let parts = Parts::of(&piece);
            let kept = parts.spikes;
            for part in 0..kept {
                if let Some(values) = self.part_mut(p, &piece, Some(part)) {
                    values.fill(0);
                }
            }
            if piece.kind != Kind::Lif {
                continue;
            }
            let initial = param_slice(&self.image, piece.initial, 0, piece.count);
            if let Some(v) = self.part_mut(p, &piece, parts.v) {
                if initial.is_empty() {
                    v.fill(piece.initial.value);
                } else {
                    v.copy_from_slice(initial.get(..v.len()).unwrap_or(v_empty()));
                }
            }
        }
        self.active.fill(u64::MAX);
        self.busy.fill(u64::MAX);
        self.clear_touched();
        self.forget_traces();
    }

    fn clear_touched(&mut self) {
        for p in 0..self.image.pieces {
            let Some(piece) = self.image.piece(p).filter(|p| self.hosts(p.core)) else { continue };
            let first = word(self.run, p as usize * RUN_WORDS + run::ACTIVE);
            if let Some(at) = touched_at(piece.count, piece.flags, first) {
                let blocks = (piece.count as usize).div_ceil(BLOCK);
                if let Some(words) = self.active.get_mut(at..at + blocks) {
                    words.fill(0);
                }
            }
        }
    }

    /// Wakes every neuron: all will be updated in the next tick. Changes nothing else; a proof tool.
    pub fn wake_all(&mut self) {
        for p in 0..self.image.pieces {
            let neurons = self.image.piece(p).is_some_and(|p| p.kind != Kind::Input && self.hosts(p.core));
            if let Some(r) = run_of(self.run, p).filter(|_| neurons) {
                set(r, run::ALL, 1);
            }
        }
        self.busy.fill(u64::MAX);
    }

    /// The image that the machine runs.
    pub fn image(&self) -> &Image<'a> {
        &self.image
    }

    /// The tick that the next [`Machine::step`] will run.
    pub fn tick(&self) -> u64 {
        self.tick
    }

    /// Whether the machine hosts a core.
    pub fn hosts(&self, core: u32) -> bool {
        self.cores.contains(&core)
    }

    /// Puts events into an input piece for the coming tick: neuron numbers ascend, payloads are not zero. Into a
    /// piece that holds its values the payloads are new values.
    ///
    /// # Errors
    /// [`InputError`] names what is wrong; nothing is taken then.
    pub fn inject(&mut self, piece: u32, events: &[Event]) -> Result<(), InputError> {
        self.inject_by(&Portable, piece, events)
    }

    /// As [`Machine::inject`], with loops for the very processor.
    ///
    /// # Errors
    /// [`InputError`] names what is wrong; nothing is taken then.
    pub fn inject_by<K: Kernels>(
        &mut self,
        kernels: &K,
        piece: u32,
        events: &[Event],
    ) -> Result<(), InputError> {
        let record = self.input_piece(piece)?;
        self.still_idle(piece, &record)?;
        if kernels.run(IsWrong { record: &record, last: -1, events: events.iter().copied() }) {
            return Err(first_wrong(&record, -1, events.iter().copied()));
        }
        self.put(piece, &record, events.iter().copied());
        Ok(())
    }

    /// As [`Machine::inject`], but a piece may be given its events of a tick bit by bit: neuron numbers go on
    /// ascending from call to call. For a piece that holds its values, events are new values, and may be zero.
    ///
    /// # Errors
    /// [`InputError`] names what is wrong; nothing of this call is taken then.
    pub fn extend(
        &mut self,
        piece: u32,
        events: impl Iterator<Item = Event> + Clone,
    ) -> Result<(), InputError> {
        let record = self.input_piece(piece)?;
        let queued = sent_at(self.run, self.lengths, self.events, piece, &record, self.tick);
        let last = queued.last().map_or(-1, |e| e[0]);
        if (IsWrong { record: &record, last, events: events.clone() }).run() {
            return Err(first_wrong(&record, last, events));
        }
        self.put(piece, &record, events);
        Ok(())
    }

    /// Drives an input piece with one value per neuron for the coming tick; zeros cost nothing. In a piece that
    /// holds its values, only what changes costs.
    ///
    /// # Errors
    /// [`InputError`] names what is wrong; nothing is taken then.
    pub fn drive(&mut self, piece: u32, values: &[i32]) -> Result<(), InputError> {
        let largest = values.iter().copied().max_by_key(|v| v.unsigned_abs()).unwrap_or(0);
        let record = self.driven(piece, values.len(), largest)?;
        let keeps = record.holds();
        let events =
            values.iter().enumerate().filter(|(_, v)| keeps || **v != 0).map(|(i, v)| [i as i32, *v]);
        self.put(piece, &record, events);
        Ok(())
    }

    /// As [`Machine::drive`] for small counts. Where all that a neuron of the piece has is one synapse without delay to the
    /// neuron of the same number ([`Store::Identity`]), its count is added at once, with loops for the very processor:
    /// [`Machine::sent`] does not have it, and [`Machine::rest`] forgets it, but not that it was read.
    ///
    /// # Errors
    /// [`InputError`] names what is wrong; nothing is taken then.
    pub fn drive_counts<K: Kernels>(
        &mut self,
        kernels: &K,
        piece: u32,
        counts: &[u8],
    ) -> Result<(), InputError> {
        let largest = counts.iter().copied().max().unwrap_or(0);
        let record = self.driven(piece, counts.len(), largest.into())?;
        match self.only_identity(piece, &record) {
            Some((port, target)) => self.add_counts(piece, &port, &target, counts, kernels),
            None => {
                let keeps = record.holds();
                let values = (0..).zip(counts.iter().map(|c| i32::from(*c)));
                self.put(piece, &record, values.filter(|(_, v)| keeps || *v != 0).map(<[i32; 2]>::from));
            }
        }
        Ok(())
    }

    /// The one port of an input piece that has nothing but synapses without delay to the neurons of the same numbers of a
    /// piece that is hosted here, and that piece; not where somebody asks which neurons were touched, or where neurons have
    /// different numbers of destinations.
    fn only_identity(&self, piece: u32, record: &Piece) -> Option<(Port, Piece)> {
        let class = self.image.delay_class(record.delay_first).filter(|_| record.delay_count == 1)?;
        let port = self.image.port(class.first_port).filter(|port| port.store == Store::Identity)?;
        let target = self.image.piece(port.target).filter(|target| target.kind == Kind::Lif)?;
        let only = class.delay == 0 && class.rows == NONE && class.ports == 1;
        let untouched = target.flags & flag::TOUCHED == 0 && !record.holds();
        let alike = word(self.run, piece as usize * RUN_WORDS + run::FANOUT) != NONE;
        (only && untouched && alike && self.hosts(target.core) && self.hosts(record.core))
            .then_some((port, target))
    }

    /// Adds the counts of an input piece to the sums of the neurons that they are for.
    fn add_counts<K: Kernels>(
        &mut self,
        piece: u32,
        port: &Port,
        target: &Piece,
        counts: &[u8],
        kernels: &K,
    ) {
        let base = |piece: u32| word(self.run, piece as usize * RUN_WORDS + run::STATE) as usize;
        let at = base(port.target) + stride(target.count) * port.group as usize;
        // An input that holds nothing has spike counts only.
        let spikes = base(piece);
        let (sums, spikes) = (at..at + target.count as usize, spikes..spikes + counts.len());
        let Ok([sums, spikes]) = self.state.get_disjoint_mut([sums, spikes]) else { return };
        let [events, units] = kernels.run(AddCounts { counts, weight: port.weight, sums, spikes });
        let fan = word(self.run, piece as usize * RUN_WORDS + run::FANOUT);
        if events == 0 {
            return;
        }
        if let Some(r) = run_of(self.run, piece) {
            set(r, run::DRIVEN, low_tick(self.tick));
        }
        reach(self.run, self.busy, port.target, events);
        if let Some(row) = counters_of(self.counters, piece) {
            add(row, Count::InputEvents, events.into());
            add(row, Count::Packets, u64::from(fan) * u64::from(events));
        }
        if K::COUNTS
            && let Some(row) = counters_of(self.counters, port.target)
        {
            let there = u64::from(port.weight != 0);
            let [rows, acs, macs] = [events, units, events - units].map(u64::from);
            Rows { rows, acs: acs * there, macs: macs * there }.count(row, port, target.count);
        }
    }

    /// The input piece that is driven with so many values.
    fn driven(&self, piece: u32, found: usize, largest: i32) -> Result<Piece, InputError> {
        let record = self.input_piece(piece)?;
        if found != record.count as usize {
            return Err(InputError::Length { found, expected: record.count as usize });
        }
        if largest.unsigned_abs() > record.payload_max {
            return Err(InputError::Payload { payload: largest, bound: record.payload_max });
        }
        self.still_idle(piece, &record)?;
        Ok(record)
    }

    /// An input piece has not been given anything for the coming tick.
    fn still_idle(&self, piece: u32, record: &Piece) -> Result<(), InputError> {
        let driven = word(self.run, piece as usize * RUN_WORDS + run::DRIVEN) == low_tick(self.tick);
        let sent = sent_at(self.run, self.lengths, self.events, piece, record, self.tick);
        if driven || !sent.is_empty() { Err(InputError::Twice { piece }) } else { Ok(()) }
    }

    fn input_piece(&self, piece: u32) -> Result<Piece, InputError> {
        match self.image.piece(piece) {
            Some(p) if p.kind == Kind::Input => Ok(p),
            _ => Err(InputError::Piece { piece }),
        }
    }

    /// Puts events, of values that changed where the piece holds them, behind those that it has been given for the tick.
    fn put(&mut self, piece: u32, record: &Piece, events: impl Iterator<Item = Event>) {
        let hosted = self.hosts(record.core);
        let before = if hosted { self.packets(piece, record) } else { 0 };
        let parts = Parts::of(record);
        let base = word(self.run, piece as usize * RUN_WORDS + run::STATE);
        let state = match base {
            NONE => &mut [],
            _ => self.state.get_mut(base as usize..).unwrap_or_default(),
        };
        let Some(mut ring) = Ring::of(self.run, self.lengths, self.events, piece, record, self.tick) else {
            return;
        };
        wake(self.busy, piece);
        let stride = stride(record.count);
        let (values, counts) = state.split_at_mut_checked(stride * parts.spikes as usize).unwrap_or_default();
        let held = match parts.v {
            Some(v) => values.get_mut(stride * v as usize..).unwrap_or_default(),
            None => &mut [],
        };
        let first = ring.count;
        if parts.v.is_none() {
            let mut sent = 0;
            for (place, event) in ring.rest().iter_mut().zip(events) {
                *place = event;
                sent += 1;
            }
            ring.count += sent;
        } else {
            for [neuron, mut value] in events {
                if let Some(held) = held.get_mut(neuron as usize) {
                    // An event is the change of the value that is held.
                    value = value.wrapping_sub(core::mem::replace(held, value));
                }
                if value != 0 {
                    ring.push([neuron, value]);
                }
            }
        }
        let mut n = 0;
        for &[neuron, _] in ring.sent().get(first..).unwrap_or(&[]) {
            if let Some(count) = counts.get_mut(neuron as usize) {
                *count = count.wrapping_add(1);
                n += u64::from(hosted);
            }
        }
        drop(ring);
        let packets = if hosted { self.packets(piece, record) - before } else { 0 };
        if let Some(row) = counters_of(self.counters, piece) {
            add(row, Count::InputEvents, n);
            add(row, Count::Packets, packets);
        }
    }

    /// Packets of the events that a piece sent in this tick.
    fn packets(&self, piece: u32, record: &Piece) -> u64 {
        let sent = sent_at(self.run, self.lengths, self.events, piece, record, self.tick);
        packets_of(&self.image, record, word(self.run, piece as usize * RUN_WORDS + run::FANOUT), sent)
    }

    /// Events that a piece sent `age` ticks before the coming one (0: in the coming tick, for inputs already
    /// put in), oldest that is kept: the piece's longest delay.
    pub fn sent(&self, piece: u32, age: u32) -> &[Event] {
        match self.image.piece(piece) {
            Some(p) if age <= p.delay_max && u64::from(age) <= self.tick => {
                sent_at(self.run, self.lengths, self.events, piece, &p, self.tick - u64::from(age))
            }
            _ => &[],
        }
    }

    /// Takes the events that a piece hosted elsewhere sent in a tick.
    ///
    /// # Errors
    /// [`InputError`] when the piece is unknown or the tick can no longer be used.
    pub fn receive(&mut self, piece: u32, tick: u64, events: &[Event]) -> Result<(), InputError> {
        let Some(record) = self.image.piece(piece) else { return Err(InputError::Piece { piece }) };
        if self.hosts(record.core) {
            return Err(InputError::Piece { piece });
        }
        if tick > self.tick || self.tick - tick > u64::from(record.delay_max) {
            return Err(InputError::Tick { tick, now: self.tick });
        }
        if let Some(e) = events.iter().find(|e| e[0] as u32 >= record.count) {
            return Err(InputError::Neuron { neuron: e[0], count: record.count });
        }
        if let Some(r) = run_of(self.run, piece) {
            let slot = slot_of(tick, get(r, run::SLOTS));
            set(self.lengths, get(r, run::LENGTHS) as usize + slot, 0);
        }
        if let Some(mut ring) = Ring::of(self.run, self.lengths, self.events, piece, &record, tick) {
            events.iter().for_each(|e| ring.push(*e));
        }
        wake(self.busy, piece);
        Ok(())
    }

    /// Runs one tick.
    pub fn step<K: Kernels, D: Draws, O: Observer>(&mut self, kernels: &K, draws: &mut D, observer: &mut O) {
        let turn_to = |observer: &mut O, work| {
            if O::LOOKS {
                observer.enters(work);
            }
        };
        turn_to(observer, Work::Rows);
        self.begin(kernels);
        turn_to(observer, Work::Neurons);
        for stage in 1..=self.image.stages {
            self.stage(stage, kernels, draws, observer);
        }
        turn_to(observer, Work::Rules);
        self.learn_in_tick(kernels, draws);
        turn_to(observer, Work::Upkeep);
        self.end_tick();
        turn_to(observer, Work::Outside);
    }

    /// First part of a tick: events whose delay is over are read. [`Machine::step`] is this, then
    /// [`Machine::stage`] for each stage, then [`Machine::finish`]; a host needs the parts only where machines
    /// side by side exchange events without delay.
    pub fn begin<K: Kernels>(&mut self, kernels: &K) {
        self.refresh_arrays();
        self.rebuild_stale(kernels);
        self.fetch_sent(kernels);
        self.deliver_due(kernels);
        self.prepare(kernels);
    }

    /// Second part of a tick: the hosted neurons of a stage update, and what they send without delay is read.
    pub fn stage<K: Kernels, D: Draws, O: Observer>(
        &mut self,
        stage: u32,
        kernels: &K,
        draws: &mut D,
        observer: &mut O,
    ) {
        self.update_stage(stage, kernels, observer);
        if !self.order.is_empty() {
            self.update_in_order(stage, kernels, draws, observer);
        }
    }

    /// Reads what pieces of a stage that are hosted elsewhere sent without delay in the coming tick, after it was
    /// taken by [`Machine::receive`]. Once per stage.
    pub fn deliver_at_once<K: Kernels>(&mut self, stage: u32, kernels: &K) {
        for p in 0..self.image.pieces {
            let Some(piece) = self.image.piece(p) else { continue };
            if piece.stage == stage && piece.kind != Kind::Input && !self.hosts(piece.core) {
                self.deliver_now(p, &piece, kernels);
            }
        }
    }

    /// Last part of a tick: rules run, and the next tick begins.
    pub fn finish<K: Kernels, D: Draws>(&mut self, kernels: &K, draws: &mut D) {
        self.learn_in_tick(kernels, draws);
        self.end_tick();
    }

    /// Skips `ticks` ticks in which nothing can happen; stops at once when there is something to do.
    /// Returns the ticks skipped.
    pub fn advance(&mut self, ticks: u64) -> u64 {
        let busy = (0..self.image.pieces).any(|p| self.has_work(p));
        if busy || self.has_traces() {
            return 0;
        }
        self.pass(ticks);
        ticks
    }

    /// Lets time go on. Before a neuron's count of spikes could wrap, what stands in its highest bit is counted.
    #[inline]
    fn pass(&mut self, ticks: u64) {
        let before = self.tick;
        self.tick += ticks;
        if before >> 31 != self.tick >> 31 {
            self.forget_spikes::<{ 1 << 31 }>();
        }
    }

    /// Takes `BITS` out of the spike counts of all neurons; what rows these spikes read stays counted.
    #[inline(never)]
    fn forget_spikes<const BITS: u32>(&mut self) {
        self.note_rows(|machine, port| machine.rows_of_spikes::<BITS>(port));
        for p in 0..self.image.pieces {
            let Some(piece) = self.image.piece(p) else { continue };
            if let Some(values) = self.part_mut(p, &piece, Some(Parts::of(&piece).spikes)) {
                values.iter_mut().for_each(|n| *n &= !BITS as i32);
            }
            if let Some(r) = run_of(self.run, p) {
                set(r, run::DRIVEN, 0);
            }
        }
    }

    /// Counts rows of the ports whose rows follow from spike counts.
    fn note_rows(&mut self, read: impl Fn(&Self, &Port) -> Rows) {
        for p in 0..self.image.pieces {
            let mut next = word(self.run, p as usize * RUN_WORDS + run::COUNTED);
            while let (Some(port), Some(piece)) = (self.image.port(next), self.image.piece(p)) {
                let rows = read(self, &port);
                if let Some(row) = counters_of(self.counters, p) {
                    rows.count(row, &port, piece.count);
                }
                next = word(self.port_next, next as usize);
            }
        }
    }

    /// Rows that the spikes of a port's source, as far as they stand in `BITS` of the spike counts, read or will read.
    #[inline(never)]
    fn rows_of_spikes<const BITS: u32>(&self, port: &Port) -> Rows {
        let spikes = self.spike_counts(port.source);
        let nonzero = nonzero_counts(self.image.data, &[], 0, port, spikes.len());
        let mut all = Rows::default();
        for (nonzero, spikes) in nonzero.chunks(RUN * BLOCK).zip(spikes.chunks(RUN * BLOCK)) {
            let each = || nonzero.iter().zip(spikes).map(|(n, spikes)| (*n, *spikes as u32 & BITS));
            // As a rule both are small, so that products of 16 bits and sums of 32 serve: four in one instruction.
            let [rows, acs, n, spikes] = each().fold([0u32; 4], |[rows, acs, most, often], (n, spikes)| {
                let product = (n & 0x7fff) * (spikes & 0x7fff);
                [rows.wrapping_add(spikes), acs.wrapping_add(product), most | n, often | spikes]
            });
            if (n | spikes) >> 15 == 0 && u32::try_from(u64::from(n) * u64::from(rows)).is_ok() {
                all.rows += u64::from(rows);
                all.acs = all.acs.wrapping_add(acs.into());
            } else {
                for (n, spikes) in each() {
                    all.rows += u64::from(spikes);
                    all.acs = all.acs.wrapping_add(u64::from(n) * u64::from(spikes));
                }
            }
        }
        all
    }

    /// The rows among them that are still to be read.
    #[inline(never)]
    fn rows_under_way(&self, port: &Port) -> Rows {
        let Some(source) = self.image.piece(port.source) else { return Rows::default() };
        let nonzero = nonzero_counts(self.image.data, &[], 0, port, source.count as usize);
        let oldest = self.tick.saturating_sub(u64::from(port.delay));
        let mut all = Rows::default();
        for tick in oldest..=self.tick {
            let sent = sent_at(self.run, self.lengths, self.events, port.source, &source, tick);
            all.rows += sent.len() as u64;
            all.acs += tally(nonzero, sent);
        }
        all
    }

    /// Whether a piece has events under way, or hosted neurons that may have to update.
    fn has_work(&self, p: u32) -> bool {
        let at = p as usize * RUN_WORDS;
        let of = |field: usize| word(self.run, at + field);
        let lengths = of(run::LENGTHS) as usize..(of(run::LENGTHS) + of(run::SLOTS)) as usize;
        of(run::ALL) | of(run::AWAKE) | of(run::ARRIVED) != 0
            || self.lengths.get(lengths).is_some_and(|l| l.iter().any(|n| *n != 0))
    }

    /// Events whose delay is over.
    fn deliver_due<K: Kernels>(&mut self, kernels: &K) {
        let mut next = 0;
        while let Some(p) = next_busy(self.busy, next) {
            next = p + 1;
            let Some(piece) = self.image.piece(p) else { continue };
            let together = self.deliver_together(p, &piece, kernels);
            for c in piece.delay_first..piece.delay_first + piece.delay_count {
                let Some(class) = self.image.delay_class(c) else { continue };
                let at_once = class.delay == 0 && piece.kind != Kind::Input;
                if !at_once && u64::from(class.delay) <= self.tick && !(together && class.ports == 0) {
                    self.deliver(p, &piece, &class, kernels);
                }
            }
        }
    }

    /// Reads the rows that are due of all delays of a piece in one go, but those of classes with a matrix; not where they
    /// add to different sums, or to those of neurons at rest. Says whether it did.
    fn deliver_together<K: Kernels>(&mut self, p: u32, piece: &Piece, kernels: &K) -> bool {
        let facts = word(self.run, p as usize * RUN_WORDS + run::FACTS);
        let Some(port) = (facts >> 1).checked_sub(1).filter(|_| K::FETCHES) else { return false };
        let mut t = Target::of(&self.image, self.run, port);
        let of = |field: usize| word(self.run, t.piece as usize * RUN_WORDS + field);
        let awake = of(run::ALL) != 0 || of(run::AWAKE) as usize * 4 > t.count;
        if !K::RUNS.contains(&t.bits) || t.sums == usize::MAX || !awake {
            return false;
        }
        let image = self.image;
        let mut picked = Picked { segments: [[0; 2]; TOGETHER], events: [[0; 2]; TOGETHER], count: 0 };
        for c in piece.delay_first..piece.delay_first + piece.delay_count {
            let Some(class) = image.delay_class(c) else { continue };
            let at_once = class.delay == 0 && piece.kind != Kind::Input;
            if class.rows == NONE || class.ports != 0 || at_once {
                continue;
            }
            let Some(tick) = self.tick.checked_sub(class.delay.into()) else { continue };
            for &[neuron, payload] in sent_at(self.run, self.lengths, self.events, p, piece, tick) {
                let (first, end) = image.row(&class, neuron as u32);
                // Mostly there is one segment, or none.
                let mut segment = first;
                loop {
                    if picked.count == TOGETHER {
                        read_picked(&image, self.state, &mut t, &picked, kernels);
                        picked.count = 0;
                    }
                    picked.push(segment, payload, segment < end);
                    segment = segment.saturating_add(1);
                    if segment >= end {
                        break;
                    }
                }
            }
        }
        read_picked(&image, self.state, &mut t, &picked, kernels);
        if t.rows != 0 {
            reach(self.run, self.busy, t.piece, t.rows as u32);
        }
        t.count::<K>(self.counters);
        true
    }

    /// Has the synapses fetched of the spikes of the tick before, where their rows stand side by side.
    fn fetch_sent<K: Kernels>(&self, kernels: &K) {
        if !K::FETCHES {
            return;
        }
        let mut next = 0;
        while let Some(p) = next_busy(self.busy, next) {
            next = p + 1;
            if let Some(class) = self.whole_rows(p) {
                self.fetch_whole(p, &class, 1, true, kernels);
            }
        }
    }

    /// Has fetched what the next ticks will read first: where the rows of a spike stand three ticks ahead, their
    /// segments two ahead, and in the next tick's first rows the first synapses. What stands behind these is
    /// fetched while they are read.
    fn prepare<K: Kernels>(&mut self, kernels: &K) {
        if !K::FETCHES {
            return;
        }
        let mut next = 0;
        while let Some(p) = next_busy(self.busy, next) {
            next = p + 1;
            let Some((first, count)) = self.image.classes_of(p) else { continue };
            let nth = rounds_of(self.run, p).start;
            if let Some(class) = self.whole_rows(p)
                && self.image.piece(p).is_some_and(|piece| !self.hosts(piece.core))
            {
                // They have just come from elsewhere.
                self.fetch_whole(p, &class, 1, false, kernels);
                self.fetch_whole(p, &class, 2, true, kernels);
            }
            for c in first..first + count {
                let Some(class) = self.image.delay_class(c) else { continue };
                if class.stride >= MANY && class.rows != NONE && class.ports == 0 {
                    continue;
                }
                let Some(piece) = self.image.piece(p).filter(|_| class.delay > 1) else { continue };
                for ahead in 1..u64::from(class.delay).min(4) {
                    let Some(tick) = (self.tick + ahead).checked_sub(u64::from(class.delay)) else {
                        continue;
                    };
                    let events = sent_at(self.run, self.lengths, self.events, p, &piece, tick);
                    self.fetch(&class, nth, ahead, events, kernels);
                }
            }
        }
    }

    /// A class of a piece whose rows of many delays stand side by side.
    fn whole_rows(&self, p: u32) -> Option<DelayClass> {
        let (first, count) = self.image.classes_of(p).filter(|(_, count)| *count >= MANY)?;
        (first..first + count)
            .filter_map(|c| self.image.delay_class(c))
            .find(|class| class.stride >= MANY && class.rows != NONE)
    }

    /// Has all fetched that the first spikes of a tick will read in all ticks to come, as it stands side by side: the places and
    /// records of their segments, or then the synapses.
    fn fetch_whole<K: Kernels>(&self, p: u32, class: &DelayClass, age: u32, synapses: bool, kernels: &K) {
        let image = &self.image;
        let Some(piece) = image.piece(p).filter(|piece| age <= piece.delay_max) else { return };
        let Some(tick) = self.tick.checked_sub(age.into()) else { return };
        let (segments, _) = image.segments.as_chunks::<{ crate::image::SEGMENT_WORDS }>();
        let events = sent_at(self.run, self.lengths, self.events, p, &piece, tick);
        for &[neuron, _] in events.iter().take(WHOLE_ROWS) {
            let place = class.place(neuron as u32);
            let places = image.rows.get(place..=place.wrapping_add(class.stride as usize)).unwrap_or(&[]);
            let [first, .., end] = places else { continue };
            let Some(row) = segments.get(*first as usize..*end as usize) else { continue };
            if !synapses {
                kernels.soon(bytemuck::cast_slice(places));
                kernels.soon(bytemuck::cast_slice(row));
            } else if let [Some(head), Some(tail)] = [row.first(), row.last()].map(|s| s.map(Segment::of)) {
                let from = head.offset as usize * 4;
                let to = tail.offset as usize * 4 + Segment::target_bytes(tail.len) + tail.len as usize;
                kernels.soon(bytes_at(image.data, from, to.saturating_sub(from).min(WHOLE_BYTES)));
            }
        }
    }

    fn fetch<K: Kernels>(&self, class: &DelayClass, nth: u32, ahead: u64, events: &[Event], kernels: &K) {
        if events.is_empty() {
            return;
        }
        let image = &self.image;
        if ahead == 1 {
            let ports = (class.first_port..class.first_port + class.ports).filter_map(|q| image.port(q));
            let hosted = |port: &Port| word(self.run, port.target as usize * RUN_WORDS + run::STATE) != NONE;
            for port in ports.filter(|port| port.store == Store::Bits && hosted(port)) {
                for e in events.iter().take(16) {
                    let at = port.offset as usize * 8 + e[0] as usize * port.stride as usize;
                    kernels.soon(bytes_at(image.data, at, FIRST_BYTES.min(port.stride as usize)));
                }
            }
        }
        if class.rows == NONE {
            return;
        }
        for e in events.iter().take(AHEAD_OF_ROWS) {
            match ahead {
                3 => kernels.soon(bytemuck::cast_slice(row_words(image, class, e[0] as u32))),
                2 => kernels.soon(bytemuck::cast_slice(segment_words(image, class, e[0] as u32, nth))),
                _ => {}
            }
        }
        if ahead == 1 {
            let mut left = AHEAD * FIRST_BYTES;
            for e in events {
                let bytes = segment_bytes(image, class, e[0] as u32, nth, 8);
                let bytes = bytes.get(..FIRST_BYTES.min(left)).unwrap_or(bytes);
                kernels.soon(bytes);
                left = left.saturating_sub(bytes.len());
                if left == 0 {
                    break;
                }
            }
        }
    }

    /// Reads the rows of a delay class for the spikes of the right age.
    fn deliver<K: Kernels>(&mut self, p: u32, piece: &Piece, class: &DelayClass, kernels: &K) {
        let tick = self.tick - u64::from(class.delay);
        let sent = places_of(self.run, self.lengths, p, piece, tick);
        if !sent.is_empty() {
            let (mut bank, events) = self.bank();
            let events = events.get(sent).unwrap_or(&[]);
            bank.read(p, class, events, NONE, piece.kind == Kind::Binary, kernels);
        }
    }

    /// What row reads write to, and beside it the rings of events.
    #[inline(always)]
    fn bank(&mut self) -> (Bank<'_, 'a>, &[Event]) {
        let plastic_first = self.image.core(self.cores.start).map_or(0, |c| c.plastic_first as usize * 8);
        let bank = Bank {
            image: &self.image,
            run: self.run,
            busy: self.busy,
            state: self.state,
            active: self.active,
            counters: self.counters,
            plastic: self.plastic,
            plastic_first,
            arrays: self.arrays,
            port_arrays: self.port_arrays,
            port_next: self.port_next,
            tick: self.tick,
        };
        (bank, self.events)
    }

    /// Updates the neurons of a stage that are not at rest, and sends their spikes.
    fn update_stage<K: Kernels, O: Observer>(&mut self, stage: u32, kernels: &K, observer: &mut O) {
        let mut next = 0;
        while let Some(p) = next_busy(self.busy, next) {
            next = p + 1;
            let Some(piece) = self.image.piece(p) else { continue };
            let held = word(self.run, p as usize * RUN_WORDS + run::MASK) & HELD != 0;
            if piece.stage != stage || held || piece.is_sequential() || !self.hosts(piece.core) {
                continue;
            }
            match piece.kind {
                Kind::Input => continue,
                Kind::Lif => self.update_lif(p, &piece, kernels, observer),
                Kind::Binary => {
                    self.update_binary(p, &piece, kernels, observer);
                    if K::COUNTS {
                        let packets = self.packets(p, &piece);
                        if let Some(row) = counters_of(self.counters, p) {
                            add(row, Count::Packets, packets);
                        }
                    }
                }
            }
            if O::LOOKS {
                observer.enters(Work::Rows);
            }
            self.deliver_now(p, &piece, kernels);
            if K::FETCHES
                && let Some(class) = self.whole_rows(p)
            {
                self.fetch_whole(p, &class, 0, false, kernels);
            }
            if O::LOOKS {
                observer.enters(Work::Neurons);
            }
        }
    }

    /// Reads the rows of synapses without delay.
    fn deliver_now<K: Kernels>(&mut self, p: u32, piece: &Piece, kernels: &K) {
        for c in piece.delay_first..piece.delay_first + piece.delay_count {
            if let Some(class) = self.image.delay_class(c).filter(|c| c.delay == 0) {
                self.deliver(p, piece, &class, kernels);
            }
        }
    }

    fn update_lif<K: Kernels, O: Observer>(&mut self, p: u32, piece: &Piece, kernels: &K, observer: &mut O) {
        let Some(r) = run_of(self.run, p) else { return };
        let (all, awake) = (get(r, run::ALL) != 0, get(r, run::AWAKE));
        if !all && awake == 0 && get(r, run::ARRIVED) == 0 {
            return;
        }
        let (mask, narrow, cores) = (get(r, run::MASK), get(r, run::FACTS) & 1 != 0, get(r, run::FANOUT));
        let (first_active, base) = (get(r, run::ACTIVE) as usize, get(r, run::STATE) as usize);
        set(r, run::ALL, 0);
        set(r, run::ARRIVED, 0);
        let n = piece.count as usize;
        let parts = Parts::of(piece);
        let stride = stride(piece.count);
        let Some(whole) = self.state.get_mut(base..base + stride * parts.total as usize) else { return };
        let mut split = Split::new(whole, stride, &parts);
        let Some(mut ring) = Ring::of(self.run, self.lengths, self.events, p, piece, self.tick) else {
            return;
        };
        let touched_first = touched_at(piece.count, piece.flags, first_active as u32);
        let mut touches = 0u64;
        let (mut now_awake, mut fired, mut updates, mut saturated) = (0u32, 0u64, 0u64, 0u64);
        let plain = split.remembered.is_empty() && touched_first.is_none() && !O::LOOKS;
        // Neurons at rest do not mind an update.
        let most = all || awake as usize * 4 > n;
        let whole_runs =
            if most && plain && piece.flags & flag::MULTI_SPIKE == 0 { n.div_ceil(BLOCK * RUN) } else { 0 };
        for first in (0..whole_runs).map(|r| r * RUN) {
            let range = first * BLOCK..((first + RUN) * BLOCK).min(n);
            split.gather(&range, mask, piece.groups);
            let params = block_params(&self.image, piece, narrow, &range);
            let mut outcome = RunOutcome::default();
            let clamped = kernels.lif_run(&params, split.state(&range), &mut outcome);
            saturated += u64::from(clamped);
            let Some(active) = self.active.get_mut(first_active + first..first_active + n.div_ceil(BLOCK))
            else {
                break;
            };
            active.iter_mut().zip(outcome.moved).for_each(|(a, moved)| *a = moved);
            now_awake += outcome.awake;
            let counts = split.spikes.get_mut(range.clone()).unwrap_or_default();
            let sent = kernels.send(&outcome.spikes, range.start as i32, counts, ring.rest());
            ring.count += sent;
            fired += sent as u64;
        }
        if whole_runs != 0 {
            updates = u64::from(now_awake);
        }
        let single = if whole_runs == 0 { n.div_ceil(BLOCK) } else { 0 };
        for block in 0..single {
            let Some(active) = self.active.get_mut(first_active + block) else { break };
            if !all && *active == 0 {
                continue;
            }
            let range = block * BLOCK..(block * BLOCK + BLOCK).min(n);
            let masked = split.gather(&range, mask, piece.groups);
            let params = block_params(&self.image, piece, narrow, &range);
            let mut spikes = [0i32; BLOCK];
            let outcome = kernels.lif(&params, split.state(&range), &mut spikes);
            // What a masked group brought is only remembered, and must be forgotten in the next tick.
            *active = if masked { u64::MAX } else { outcome.moved };
            let still_active = active.count_ones();
            if let Some(at) = touched_first {
                let touched = self.active.get_mut(at + block).map_or(0, core::mem::take);
                touches += u64::from(touched.count_ones());
                if O::LOOKS && touched != 0 {
                    observer.touched(self.tick, p, range.start as u32, touched);
                }
            }
            let moved = outcome.moved.count_ones();
            now_awake += still_active;
            if K::COUNTS {
                updates += u64::from(moved);
                saturated += u64::from(outcome.saturated);
            }
            if O::LOOKS {
                observer.updated(self.tick, p, range.start as u32, outcome.moved, outcome.spikes);
            }
            let mut left = outcome.spikes;
            while left != 0 {
                let j = left.trailing_zeros() as usize;
                left &= left - 1;
                let payload = spikes.get(j).copied().unwrap_or(0);
                let event = [(range.start + j) as i32, payload];
                fired += u64::from(payload.unsigned_abs());
                split.note(range.start + j, payload);
                ring.push(event);
                if O::LOOKS {
                    observer.spike(self.tick, p, event[0] as u32, event[1]);
                }
            }
        }
        if let Some(r) = run_of(self.run, p) {
            set(r, run::AWAKE, now_awake);
        }
        if K::COUNTS
            && let Some(row) = counters_of(self.counters, p)
        {
            add(row, Count::Updates, updates);
            add(row, Count::Spikes, fired);
            // What most pieces never have costs a look, not a sum.
            if cores != 0 {
                add(row, Count::Packets, packets_of(&self.image, piece, cores, ring.sent()));
            }
            if saturated != 0 {
                add(row, Count::StateSaturations, saturated);
            }
            if touched_first.is_some() {
                add(row, Count::Touched, touches);
            }
        }
    }

    /// Moves on to the next tick: the oldest slot of each ring becomes the new one. Pieces that are left without
    /// work are no longer busy; their slots are all empty.
    fn end_tick(&mut self) {
        self.pass(1);
        let mut next = 0;
        while let Some(p) = next_busy(self.busy, next) {
            next = p + 1;
            if let Some(r) = run_of(self.run, p) {
                let slot = slot_of(self.tick, get(r, run::SLOTS));
                set(self.lengths, get(r, run::LENGTHS) as usize + slot, 0);
            }
            if !self.has_work(p)
                && let Some(word) = self.busy.get_mut(p as usize / 64)
            {
                *word &= !(1 << (p % 64));
            }
        }
    }

    /// Selects which input groups count, by the image's table; a group that does not count is neither lost
    /// nor read: its events are dropped at the update. The sums of binary neurons persist: for them a group is
    /// switched on and off without reading a row.
    pub fn set_phase(&mut self, phase: u32) -> bool {
        if phase >= self.image.phase_count() {
            return false;
        }
        for p in 0..self.image.pieces {
            let mask = word(self.image.phases, (phase * self.image.pieces + p) as usize);
            let Some(kind) = self.image.piece(p).map(|p| p.kind) else { continue };
            if let Some(r) = run_of(self.run, p).filter(|r| kind == Kind::Lif || get(r, run::MASK) != mask) {
                set(r, run::MASK, mask);
                set(r, run::ALL, u32::from(get(r, run::STATE) != NONE && kind != Kind::Input));
                wake(self.busy, p);
            }
        }
        true
    }

    /// Membranes of a hosted piece; the states of a binary one, and the values of an input that holds them.
    pub fn membranes(&self, piece: u32) -> &[i32] {
        self.part(piece, |parts| parts.v)
    }

    /// Synaptic currents of a hosted piece, or nothing.
    pub fn currents(&self, piece: u32) -> &[i32] {
        self.part(piece, |parts| parts.current)
    }

    /// Spikes of each neuron of a hosted piece since [`Machine::restart`] or [`Machine::clear_spike_counts`], modulo 2³¹ at
    /// every multiple of 2³¹ ticks.
    pub fn spike_counts(&self, piece: u32) -> &[i32] {
        self.part(piece, |parts| Some(parts.spikes))
    }

    /// Sets the spike counts of all neurons to zero.
    pub fn clear_spike_counts(&mut self) {
        self.forget_spikes::<{ u32::MAX }>();
    }

    /// Target values of a hosted piece whose neurons have them, to be set.
    pub fn targets_mut(&mut self, piece: u32) -> &mut [i32] {
        let Some(record) = self.image.piece(piece) else { return &mut [] };
        let part = Parts::of(&record).target;
        if part.is_none() {
            return &mut [];
        }
        self.part_mut(piece, &record, part).unwrap_or(&mut [])
    }

    /// The counters of a piece. Fixed dense rows and bit rows that spikes only add are counted now, from the spike counts of
    /// their sources: that takes a look at each of these neurons.
    pub fn counters(&self, piece: u32) -> Counters {
        let row = self.counters.get(piece as usize * COUNTS..).and_then(|rest| rest.first_chunk());
        let mut counters = row.map_or([0; COUNTS], |row| *row);
        let mut next = word(self.run, piece as usize * RUN_WORDS + run::COUNTED);
        while let (Some(port), Some(target)) = (self.image.port(next), self.image.piece(piece)) {
            let rows = self.rows_of_spikes::<{ u32::MAX }>(&port) - self.rows_under_way(&port);
            rows.count(&mut counters, &port, target.count);
            next = word(self.port_next, next as usize);
        }
        Counters(counters)
    }

    /// A count summed over all pieces.
    pub fn total(&self, count: Count) -> u64 {
        (0..self.image.pieces).fold(0, |sum, p| sum.wrapping_add(self.counters(p).get(count)))
    }

    /// The plastic memory: all weights of plastic ports, with their non-zero counts.
    pub fn plastic(&self) -> &[u8] {
        self.plastic
    }

    /// Takes up the plastic weights of another machine whose image differs in nothing but the constants of its rules.
    /// Says whether there are as many; else nothing is taken.
    pub fn take_weights(&mut self, plastic: &[u8]) -> bool {
        if plastic.len() != self.plastic.len() {
            return false;
        }
        self.plastic.copy_from_slice(plastic);
        for p in 0..self.image.pieces {
            self.mark_stale(p);
        }
        true
    }

    /// Rows of a matrix port as they stand: packed weights, `stride` bytes a row.
    pub fn matrix(&self, port: u32) -> Option<Matrix<'_>> {
        let p = self.image.port(port)?;
        if !matches!(p.store, Store::Dense | Store::Bits) {
            return None;
        }
        let rows = self.image.piece(p.source)?.count as usize;
        let first = self.image.core(self.cores.start).map_or(0, |c| c.plastic_first as usize * 8);
        let (bytes, first) = if p.rule != NONE { (&*self.plastic, first) } else { (self.image.data, 0) };
        let at = (p.offset as usize * 8).checked_sub(first)?;
        let bytes = bytes.get(at..at + rows * p.stride as usize)?;
        Some(Matrix { bytes, stride: p.stride as usize, bits: p.bits })
    }

    fn part(&self, piece: u32, which: impl Fn(&Parts) -> Option<u32>) -> &[i32] {
        let Some(record) = self.image.piece(piece) else { return &[] };
        let Some(part) = which(&Parts::of(&record)) else { return &[] };
        let base = word(self.run, piece as usize * RUN_WORDS + run::STATE);
        if base == NONE {
            return &[];
        }
        let at = base as usize + stride(record.count) * part as usize;
        self.state.get(at..at + record.count as usize).unwrap_or(&[])
    }

    fn part_mut(&mut self, piece: u32, record: &Piece, part: Option<u32>) -> Option<&mut [i32]> {
        let base = word(self.run, piece as usize * RUN_WORDS + run::STATE);
        if base == NONE {
            return None;
        }
        let at = base as usize + stride(record.count) * part? as usize;
        self.state.get_mut(at..at + record.count as usize)
    }
}

/// All segments of rows, see [`run::ROUNDS`].
const ALL_ROUNDS: u32 = 0xffff_0000;

/// The segments of a piece's rows that may be hosted.
#[inline(always)]
fn rounds_of(run: &[u32], piece: u32) -> Range<u32> {
    let rounds = word(run, piece as usize * RUN_WORDS + run::ROUNDS);
    // More than can be noted may be any number.
    rounds & 0xffff..if rounds >> 16 == 0xffff { u32::MAX } else { rounds >> 16 }
}

/// Mark of a port whose rows are counted when they are read.
const AT_ONCE: u32 = NONE - 1;

/// Whether the rows that a port has read follow from the spike counts of its source, less the spikes under way: fixed
/// dense rows or bit rows that spikes only add, from neurons that this machine hosts.
fn follows_spikes(run: &[u32], port: &Port, source: &Piece, target: &Piece) -> bool {
    let hosted = |piece: u32| word(run, piece as usize * RUN_WORDS + run::STATE) != NONE;
    matches!(port.store, Store::Dense | Store::Bits)
        && port.rule == NONE
        && source.kind != Kind::Binary
        && target.kind == Kind::Lif
        && source.payload_max == 1
        && !source.holds()
        && hosted(port.source)
        && hosted(port.target)
}

/// The numbers of non-zero weights of a matrix port's `rows` rows: in the image's data, or in plastic memory that begins
/// `first` bytes into the image's.
fn nonzero_counts<'b>(
    data: &'b [u8],
    plastic: &'b [u8],
    first: usize,
    port: &Port,
    rows: usize,
) -> &'b [u32] {
    let at = port.nonzero as usize * 8;
    let bytes = match (port.store, port.rule) {
        (Store::Identity, _) => &[],
        (_, NONE) => bytes_at(data, at, rows * 4),
        _ => bytes_at(plastic, at.wrapping_sub(first), rows * 4),
    };
    bytemuck::try_cast_slice(bytes).unwrap_or(&[])
}

/// The number of non-zero weights of one row.
#[inline(always)]
fn nonzero_of(counts: &[u32], port: &Port, row: usize) -> u64 {
    match port.store {
        Store::Identity => u64::from(port.weight != 0),
        _ => word(counts, row).into(),
    }
}

/// Rows of a matrix port, and the non-zero synapses in them that are added or multiplied. Of spikes under way there may be
/// more than were counted: differences wrap.
#[derive(Clone, Copy, Debug, Default)]
struct Rows {
    rows: u64,
    acs: u64,
    macs: u64,
}

impl core::ops::Sub for Rows {
    type Output = Rows;

    fn sub(self, other: Rows) -> Rows {
        Rows {
            rows: self.rows.wrapping_sub(other.rows),
            acs: self.acs.wrapping_sub(other.acs),
            macs: self.macs.wrapping_sub(other.macs),
        }
    }
}

impl Rows {
    /// Adds them to the counters of their target, which has `columns` neurons.
    #[inline(never)]
    fn count(&self, row: &mut Row, port: &Port, columns: u32) {
        let Rows { rows, acs, macs } = *self;
        let effective = acs.wrapping_add(macs);
        let bytes = rows.wrapping_mul(port.stride.into());
        let (stored, bytes) = match port.store {
            Store::Identity => (rows, 0),
            // A bit row stores only the synapses whose bit is set.
            Store::Bits => (effective, bytes),
            _ => (rows.wrapping_mul(columns.into()), bytes),
        };
        add(row, Count::StoredEvents, stored);
        add(row, Count::EffectiveEvents, effective);
        add(row, Count::Accumulates, acs);
        add(row, Count::MultiplyAccumulates, macs);
        add(row, Count::Rows, rows);
        add(row, Count::SynapseBytes, bytes);
    }
}

fn v_empty() -> &'static [i32] {
    &[]
}

/// Whether a payload may come from outside into an input piece.
#[inline(always)]
fn takes(record: &Piece, payload: i32) -> bool {
    ((payload != 0) | record.holds()) & (payload.unsigned_abs() <= record.payload_max)
}

/// Whether one of some events is wrong, looked at without a branch for each; `last` is the last neuron that has one
/// already.
struct IsWrong<'r, E> {
    record: &'r Piece,
    last: i32,
    events: E,
}

impl<E: Iterator<Item = Event>> Loop for IsWrong<'_, E> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let (mut before, mut wrong) = (self.last, false);
        for [neuron, payload] in self.events {
            wrong |= (neuron <= before) | !takes(self.record, payload);
            before = neuron;
        }
        // They ascend: if the last one is a neuron of the piece, all are.
        wrong || before >= self.record.count as i32
    }
}

/// Adds counts times a weight to sums, and 1 to the spike counts of all that have one. Returns how many have, and how many
/// have 1.
struct AddCounts<'m> {
    counts: &'m [u8],
    weight: i32,
    sums: &'m mut [i32],
    spikes: &'m mut [i32],
}

impl Loop for AddCounts<'_> {
    type Output = [u32; 2];

    #[inline(always)]
    fn run(self) -> [u32; 2] {
        let mut events = [0; 2];
        for ((count, sum), spikes) in self.counts.iter().zip(self.sums).zip(self.spikes) {
            let some = u32::from(*count != 0);
            *sum = sum.wrapping_add(self.weight.wrapping_mul(i32::from(*count)));
            *spikes = spikes.wrapping_add(some as i32);
            events[0] += some;
            events[1] += u32::from(*count == 1);
        }
        events
    }
}

/// The lower 31 bits of a tick, plus one.
fn low_tick(tick: u64) -> u32 {
    (tick as u32 & (u32::MAX >> 1)) + 1
}

/// What is wrong with events of which one is; `before` is the last neuron that has one already.
#[cold]
fn first_wrong(record: &Piece, mut before: i32, events: impl Iterator<Item = Event>) -> InputError {
    for [neuron, payload] in events {
        if neuron <= before || neuron as u32 >= record.count {
            return InputError::Neuron { neuron, count: record.count };
        }
        if !takes(record, payload) {
            return InputError::Payload { payload, bound: record.payload_max };
        }
        before = neuron;
    }
    InputError::Neuron { neuron: before, count: record.count }
}

/// Destination cores of every neuron of a piece, or nothing where the image does not tell.
fn fanout_of<'a>(image: &Image<'a>, piece: &Piece) -> &'a [u32] {
    let first = piece.first as usize;
    image.fanout.get(first..first + piece.count as usize).unwrap_or(&[])
}

/// Packets of events that a piece has sent to as many `cores` each, or to those that the image tells of each neuron.
fn packets_of(image: &Image<'_>, piece: &Piece, cores: u32, sent: &[Event]) -> u64 {
    match cores {
        NONE => packets_one_by_one(image, piece, sent),
        cores => u64::from(cores) * sent.len() as u64,
    }
}

/// Packets of neurons that each have a number of destinations of their own. Out of line, as few pieces have such neurons.
#[inline(never)]
fn packets_one_by_one(image: &Image<'_>, piece: &Piece, sent: &[Event]) -> u64 {
    tally(fanout_of(image, piece), sent)
}

/// First word of the touched bits of a piece whose active bits start at `active`, if it keeps any.
pub(crate) fn touched_at(count: u32, flags: u32, active: u32) -> Option<usize> {
    let blocks = (count as usize).div_ceil(BLOCK);
    (flags & flag::TOUCHED != 0).then_some(active as usize + blocks)
}

/// Whether 32-bit arithmetic is exact in every update of a piece.
fn is_narrow(image: &Image<'_>, p: u32, piece: &Piece) -> bool {
    let Some(bound) = crate::check::input_bound(image, p) else { return false };
    let largest = |param: Param| match param_slice(image, param, 0, piece.count) {
        [] => u64::from(param.value.unsigned_abs()),
        each => each.iter().map(|v| u64::from(v.unsigned_abs())).max().unwrap_or(0),
    };
    let state = u64::from(piece.v_min.unsigned_abs().max(piece.v_max.unsigned_abs()));
    let sum = (u64::from(bound) << piece.input_shift)
        .saturating_add(largest(piece.bias))
        .saturating_add(largest(piece.threshold))
        .saturating_add(state);
    sum < 1 << 31 && piece.flags & flag::CURRENT == 0
}

/// The values of a parameter for some neurons of a piece, or nothing where one value serves all.
fn param_slice<'a>(image: &Image<'a>, param: Param, from: usize, len: u32) -> &'a [i32] {
    if param.array == NONE {
        return &[];
    }
    let at = param.array as usize + from;
    image.params.get(at..at + len as usize).unwrap_or(&[])
}

fn block_params<'p>(image: &Image<'p>, piece: &'p Piece, narrow: bool, range: &Range<usize>) -> Params<'p> {
    let value = |param: Param| Value {
        common: param.value,
        each: param_slice(image, param, range.start, range.len() as u32),
    };
    Params {
        piece,
        narrow,
        threshold: value(piece.threshold),
        bias: value(piece.bias),
        decay: value(piece.decay),
        current_decay: value(piece.current_decay),
        reset_value: value(piece.reset_value),
    }
}

/// The state of a piece, split into its parts.
struct Split<'s> {
    sums: &'s mut [i32],
    v: &'s mut [i32],
    current: &'s mut [i32],
    refractory: &'s mut [i32],
    adapt: &'s mut [i32],
    remembered: &'s mut [i32],
    spikes: &'s mut [i32],
    stride: usize,
}

impl<'s> Split<'s> {
    fn new(whole: &'s mut [i32], stride: usize, parts: &Parts) -> Split<'s> {
        let mut rest = whole;
        let mut take = |count: usize| {
            let (head, tail) = core::mem::take(&mut rest).split_at_mut_checked(count).unwrap_or_default();
            rest = tail;
            head
        };
        let sums = take(stride * parts.sums as usize);
        let v = take(stride);
        let current = take(if parts.current.is_some() { stride } else { 0 });
        let refractory = take(if parts.refractory.is_some() { stride } else { 0 });
        let adapt = take(if parts.adapt.is_some() { stride } else { 0 });
        take(if parts.target.is_some() { stride } else { 0 });
        let remembered = take(if parts.remembered.is_some() { stride * parts.sums as usize } else { 0 });
        Split { sums, v, current, refractory, adapt, remembered, spikes: take(stride), stride }
    }

    /// Adds the groups that count into the first one, and clears the others; remembers all of them where the
    /// piece does. Returns whether a remembered group had input that did not count.
    fn gather(&mut self, range: &Range<usize>, mask: u32, groups: u32) -> bool {
        let mut masked = false;
        if !self.remembered.is_empty() {
            for g in 0..groups as usize {
                let at = g * self.stride + range.start..g * self.stride + range.end;
                let (Some(to), Some(from)) = (self.remembered.get_mut(at.clone()), self.sums.get(at)) else {
                    continue;
                };
                to.copy_from_slice(from);
                masked |= mask >> g & 1 == 0 && from.iter().any(|s| *s != 0);
            }
        }
        if groups == 1 && mask & 1 != 0 {
            return masked;
        }
        let (first, others) = self.sums.split_at_mut_checked(self.stride).unwrap_or_default();
        let Some(first) = first.get_mut(range.clone()) else { return masked };
        if mask & 1 == 0 {
            first.fill(0);
        }
        for g in 1..groups as usize {
            let at = (g - 1) * self.stride;
            let Some(other) = others.get_mut(at + range.start..at + range.end) else { continue };
            if mask >> g & 1 != 0 {
                for (f, o) in first.iter_mut().zip(other.iter()) {
                    *f = f.wrapping_add(*o);
                }
            }
            other.fill(0);
        }
        masked
    }

    fn state(&mut self, range: &Range<usize>) -> State<'_> {
        State {
            sum: self.sums.get_mut(range.clone()).unwrap_or_default(),
            v: self.v.get_mut(range.clone()).unwrap_or_default(),
            current: self.current.get_mut(range.clone()).unwrap_or_default(),
            refractory: self.refractory.get_mut(range.clone()).unwrap_or_default(),
            adapt: self.adapt.get_mut(range.clone()).unwrap_or_default(),
        }
    }

    fn note(&mut self, neuron: usize, payload: i32) {
        if let Some(c) = self.spikes.get_mut(neuron) {
            *c = c.wrapping_add(payload.wrapping_abs());
        }
    }
}

/// What row reads write to.
pub(crate) struct Bank<'b, 'a> {
    pub(crate) image: &'b Image<'a>,
    pub(crate) run: &'b mut [u32],
    pub(crate) busy: &'b mut [u64],
    pub(crate) state: &'b mut [i32],
    pub(crate) active: &'b mut [u64],
    pub(crate) counters: &'b mut [u64],
    pub(crate) plastic: &'b [u8],
    pub(crate) plastic_first: usize,
    pub(crate) arrays: &'b mut [u64],
    pub(crate) port_arrays: &'b [u32],
    pub(crate) port_next: &'b [u32],
    /// The tick in which rows are read.
    pub(crate) tick: u64,
}

impl Bank<'_, '_> {
    /// Reads rows of a delay class of a piece: of one port, or of all ([`NONE`]). Where events are `changes` of binary neurons, ±2 is an
    /// addition like ±1.
    #[inline(always)]
    pub(crate) fn read<K: Kernels>(
        &mut self,
        source: u32,
        class: &DelayClass,
        events: &[Event],
        only: u32,
        changes: bool,
        kernels: &K,
    ) {
        for q in class.first_port..class.first_port + class.ports {
            if let Some(port) = self.image.port(q).filter(|_| only == NONE || only == q) {
                match port.store {
                    Store::Crossbar => self.read_array(q, &port, events, kernels),
                    _ => {
                        let at_once = word(self.port_next, q as usize) == AT_ONCE;
                        self.read_matrix(&port, events, at_once, kernels);
                    }
                }
            }
        }
        if class.rows != NONE {
            self.read_sparse(source, class, events, only, changes, kernels);
        }
    }

    /// Reads rows of a matrix port, and counts them if that is to be done at once. Out of line: as a part of its
    /// caller, counting costs more.
    #[inline(never)]
    fn read_matrix<K: Kernels>(&mut self, port: &Port, events: &[Event], at_once: bool, kernels: &K) {
        let (Some(source), Some(target)) = (self.image.piece(port.source), self.image.piece(port.target))
        else {
            return;
        };
        let base = word(self.run, port.target as usize * RUN_WORDS + run::STATE);
        if base == NONE {
            return;
        }
        let n = target.count as usize;
        let at = base as usize + stride(target.count) * port.group as usize;
        let rows = source.count as usize;
        let (image, plastic, first) = (self.image, self.plastic, self.plastic_first);
        let held = |at: usize, len: usize| match port.rule {
            NONE => bytes_at(image.data, at, len),
            _ => bytes_at(plastic, at.wrapping_sub(first), len),
        };
        let matrix = Matrix {
            bytes: held(port.offset as usize * 8, rows * port.stride as usize),
            stride: port.stride as usize,
            bits: port.bits,
        };
        let Some(sums) = self.state.get_mut(at..at + n) else { return };
        let mut arrived = 0u32;
        match port.store {
            Store::Dense => kernels.dense(sums, matrix, events),
            Store::Bits => kernels.bits(sums, matrix, port.weight, events),
            Store::Identity => {
                for &[i, payload] in events {
                    if let Some(s) = sums.get_mut(i as usize) {
                        *s = s.wrapping_add(port.weight.wrapping_mul(payload));
                    }
                }
                arrived = events.len() as u32;
            }
            Store::Sparse | Store::Crossbar => return,
        }
        let first = word(self.run, port.target as usize * RUN_WORDS + run::ACTIVE);
        if let Some(at) = touched_at(target.count, target.flags, first) {
            touch_matrix(self.active, at, n, port.store, matrix, events);
        }
        reach(self.run, self.busy, port.target, arrived.max(1));
        if K::COUNTS && at_once {
            self.count_rows(port, &source, target.count, events);
        }
    }

    /// Counts rows of a matrix port that were read. Out of line, as most are counted when somebody asks.
    #[inline(never)]
    fn count_rows(&mut self, port: &Port, source: &Piece, columns: u32, events: &[Event]) {
        let Some(row) = counters_of(self.counters, port.target) else { return };
        let (data, plastic, first) = (self.image.data, self.plastic, self.plastic_first);
        let counts = nonzero_counts(data, plastic, first, port, source.count as usize);
        // Where payloads are known, nobody looks at them.
        let known = source.kind == Kind::Binary || source.payload_max == 1 && !source.holds();
        let (all, acs) = events.iter().fold((0, 0), |(all, acs), e| {
            let n = nonzero_of(counts, port, e[0] as usize);
            (all + n, acs + if known || e[1].unsigned_abs() == 1 { n } else { 0 })
        });
        Rows { rows: events.len() as u64, acs, macs: all - acs }.count(row, port, columns);
    }

    /// Reads the row segments of a sparse delay class: the first segment of every row, then the second, and so
    /// on, so that one target's sums stay at hand; those of one port, or of all ([`NONE`]). Where
    /// events are changes of binary neurons, ±2 is an addition like ±1.
    fn read_sparse<K: Kernels>(
        &mut self,
        source: u32,
        class: &DelayClass,
        events: &[Event],
        only: u32,
        changes: bool,
        kernels: &K,
    ) {
        let image = self.image;
        let rounds = rounds_of(self.run, source);
        let mut rows = SparseRows {
            index: image.rows.get(class.rows as usize..).unwrap_or(&[]),
            stride: class.stride,
            segments: image.segments.as_chunks().0,
            halves: image.halves(),
            nth: 0,
            end: rounds.end,
            port: NONE,
            one: None,
            changes,
        };
        let mut t = Target::default();
        let mut nth = rounds.start;
        let mut most = nth + 1;
        while nth < most.min(rounds.end) {
            rows.nth = nth;
            let mut n = 0;
            while let Some(&[i, payload]) = events.get(n) {
                // A run takes what it can; the row that it leaves is read here.
                if t.is_plain()
                    && let Some(sums) = self.state.get_mut(t.sums..t.sums + t.count)
                {
                    let rest = events.get(n..).unwrap_or(&[]);
                    let run = kernels.sparse_run(sums, &rows, rest);
                    if run.events != 0 {
                        n += run.events;
                        most = most.max(run.most);
                        t.add(&run);
                        continue;
                    }
                }
                let here = n;
                n += 1;
                let (first, end) = image.row(class, i as u32);
                most = most.max(end.saturating_sub(first));
                if nth >= end.saturating_sub(first) {
                    continue;
                }
                let Some(seg) = Segment::at(image.segments, first + nth) else { continue };
                if only != NONE && seg.port != only {
                    continue;
                }
                let fresh = t.port != seg.port;
                if fresh {
                    t.count::<K>(self.counters);
                    t = Target::of(image, self.run, seg.port);
                    t.run = only == NONE && t.rule == NONE && K::RUNS.contains(&t.bits);
                    (rows.port, rows.one) = (seg.port, (t.bits == 0).then_some(t.weight));
                }
                if t.sums == usize::MAX {
                    continue;
                }
                let at = seg.offset as usize * 4;
                let tbytes = Segment::target_bytes(seg.len);
                let wbytes = Segment::weight_bytes(seg.len, t.bits);
                let targets: &[u16] =
                    bytemuck::try_cast_slice(bytes_at(image.data, at, tbytes)).unwrap_or(&[]);
                if !t.awake || t.touched.is_some() {
                    t.awake = self.mark(&t, seg.len, targets);
                }
                if fresh && t.is_plain() {
                    // Once more, in a run.
                    n -= 1;
                    continue;
                }
                let (weights, nonzero) = if t.rule == NONE {
                    (bytes_at(image.data, at + tbytes, wbytes), seg.extra)
                } else {
                    let at = (seg.extra as usize * 4).wrapping_sub(self.plastic_first);
                    (
                        bytes_at(self.plastic, at.wrapping_add(4), wbytes),
                        crate::words::le_u32(self.plastic, at),
                    )
                };
                let row = SparseRow { targets, weights, bits: t.bits, weight: t.weight };
                let Some(sums) = self.state.get_mut(t.sums..t.sums + t.count) else { continue };
                let ahead = here + if seg.len < SHORT { AHEAD_OF_SHORT } else { AHEAD };
                let next = match events.get(ahead) {
                    Some(e) => segment_bytes(image, class, e[0] as u32, nth, t.bits),
                    // The last rows of this round: the first of the next one.
                    None => match events.get(ahead.saturating_sub(events.len()).min(here)) {
                        Some(e) if nth + 1 < rounds.end => {
                            segment_bytes(image, class, e[0] as u32, nth + 1, t.bits)
                        }
                        _ => &[],
                    },
                };
                if let Some(e) = events.get(here + AHEAD_OF_ROWS) {
                    kernels.soon(bytemuck::cast_slice(row_words(image, class, e[0] as u32)));
                }
                if let Some(e) = events.get(here + AHEAD_OF_SEGMENTS) {
                    kernels.soon(bytemuck::cast_slice(segment_words(image, class, e[0] as u32, nth)));
                }
                kernels.sparse(sums, row, payload, next);
                if K::COUNTS {
                    let unit = changes || payload.unsigned_abs() == 1;
                    t.tally(seg.len, nonzero, unit, tbytes + wbytes);
                }
            }
            nth += 1;
        }
        t.count::<K>(self.counters);
    }

    /// Marks the targets of a segment as awake: one by one while few arrive, else the whole piece. Returns whether
    /// the whole piece is. Out of line on a small processor, where it is for the first rows of a tick only.
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn mark(&mut self, t: &Target, len: u32, targets: &[u16]) -> bool {
        if let Some(first) = t.touched {
            for &target in targets {
                if let Some(word) = self.active.get_mut(first + usize::from(target) / BLOCK) {
                    *word |= 1 << (usize::from(target) % BLOCK);
                }
            }
        }
        wake(self.busy, t.piece);
        let Some(r) = run_of(self.run, t.piece) else { return false };
        let arrived = get(r, run::ARRIVED).saturating_add(len);
        set(r, run::ARRIVED, arrived);
        if get(r, run::ALL) != 0 {
            return true;
        }
        if arrived as usize * 8 > t.count || get(r, run::AWAKE) as usize * 4 > t.count {
            set(r, run::ALL, 1);
            return true;
        }
        for &target in targets {
            if let Some(word) = self.active.get_mut(t.active + usize::from(target) / BLOCK) {
                *word |= 1 << (usize::from(target) % BLOCK);
            }
        }
        false
    }
}

/// A port of the sparse synapses of a piece of many delays, where all of them add to the same sums of neurons that
/// sleep and wake together, with fixed weights.
fn alike(image: &Image<'_>, p: u32, piece: &Piece) -> Option<u32> {
    if piece.delay_count < MANY || piece.kind == Kind::Binary {
        return None;
    }
    let sparse = |port: Port| port.source == p && port.store == Store::Sparse;
    let mut ports = (0..image.ports).filter(|q| image.port(*q).is_some_and(sparse));
    let first = ports.next()?;
    let landing = image.landing(first)?;
    let plain = image.piece(landing.piece)?.kind == Kind::Lif
        && landing.flags & flag::TOUCHED == 0
        && landing.rule == NONE
        && matches!(landing.bits, 0 | 8);
    (plain && ports.all(|q| image.landing(q) == Some(landing))).then_some(first)
}

/// Segments that are read in one go, each as the only one of a row.
struct Picked {
    /// Each and the one behind it.
    segments: [[u32; 2]; TOGETHER],
    /// Which of them, and the payload.
    events: [Event; TOGETHER],
    count: usize,
}

impl Picked {
    /// Takes one more if it is there, without a branch to guess; there is room.
    #[inline(always)]
    fn push(&mut self, segment: u32, payload: i32, there: bool) {
        let n = self.count;
        let (Some(s), Some(e)) = (self.segments.get_mut(n), self.events.get_mut(n)) else { return };
        (*s, *e) = ([segment, segment.wrapping_add(1)], [n as i32, payload]);
        self.count += usize::from(there);
    }
}

/// Adds picked segments to the sums of a target.
fn read_picked<K: Kernels>(
    image: &Image<'_>,
    state: &mut [i32],
    t: &mut Target,
    picked: &Picked,
    kernels: &K,
) {
    let Some(sums) = state.get_mut(t.sums..t.sums + t.count) else { return };
    let rows = SparseRows {
        index: picked.segments.as_flattened(),
        stride: 2,
        segments: image.segments.as_chunks().0,
        halves: image.halves(),
        nth: 0,
        end: 1,
        port: NONE,
        one: (t.bits == 0).then_some(t.weight),
        changes: false,
    };
    let mut rest = picked.events.get(..picked.count).unwrap_or(&[]);
    while let [[i, payload], others @ ..] = rest {
        let run = kernels.sparse_run(sums, &rows, rest);
        t.add(&run);
        if run.events != 0 {
            rest = rest.get(run.events..).unwrap_or(&[]);
            continue;
        }
        rest = others;
        let segment = rows.row(*i as u32).and_then(|[s, _]| Segment::at(image.segments, *s));
        let Some(segment) = segment else { continue };
        let at = segment.offset as usize * 4;
        let tbytes = Segment::target_bytes(segment.len);
        let wbytes = Segment::weight_bytes(segment.len, t.bits);
        let row = SparseRow {
            targets: bytemuck::try_cast_slice(bytes_at(image.data, at, tbytes)).unwrap_or(&[]),
            weights: bytes_at(image.data, at + tbytes, wbytes),
            bits: t.bits,
            weight: t.weight,
        };
        kernels.sparse(sums, row, *payload, &[]);
        t.tally(segment.len, segment.extra, payload.unsigned_abs() == 1, tbytes + wbytes);
    }
}

/// Segments that are picked before they are read.
const TOGETHER: usize = 128;
/// Rows from one that is read to the one that is fetched meanwhile.
pub const AHEAD: usize = 1;
/// The same where rows have fewer than [`SHORT`] synapses.
pub const AHEAD_OF_SHORT: usize = 8;
/// Synapses of a row that is not short.
pub const SHORT: u32 = 128;
/// Rows from one that is read to the one whose segments' records are fetched.
pub const AHEAD_OF_SEGMENTS: usize = 12;
/// Rows from one that is read to the one whose place is fetched.
pub const AHEAD_OF_ROWS: usize = 16;
/// Delays of a neuron's rows from which on they are fetched together.
const MANY: u32 = 8;
/// Such rows of a tick that are fetched, and bytes of each, at most.
const WHOLE_ROWS: usize = 32;
const WHOLE_BYTES: usize = 4096;
/// Bytes of a row that are fetched a tick ahead: a processor goes on by itself.
const FIRST_BYTES: usize = 512;

/// The words that say where a neuron's row stands.
#[inline(always)]
fn row_words<'a>(image: &Image<'a>, class: &DelayClass, neuron: u32) -> &'a [u32] {
    let at = class.place(neuron);
    image.rows.get(at..at.wrapping_add(1)).unwrap_or(&[])
}

/// The record of segment `nth` of a neuron's row, or of one behind it.
#[inline(always)]
fn segment_words<'a>(image: &Image<'a>, class: &DelayClass, neuron: u32, nth: u32) -> &'a [u32] {
    let at = (image.row(class, neuron).0 as usize + nth as usize) * crate::image::SEGMENT_WORDS;
    image.segments.get(at..at + crate::image::SEGMENT_WORDS).unwrap_or(&[])
}

/// The bytes of segment `nth` of a neuron's row, if its synapses are fixed and have `bits` bits.
#[inline(always)]
fn segment_bytes<'a>(image: &Image<'a>, class: &DelayClass, neuron: u32, nth: u32, bits: u32) -> &'a [u8] {
    let (first, end) = image.row(class, neuron);
    match Segment::at(image.segments, first.saturating_add(nth)) {
        Some(seg) if nth < end.saturating_sub(first) => {
            let len = Segment::target_bytes(seg.len) + Segment::weight_bytes(seg.len, bits);
            bytes_at(image.data, seg.offset as usize * 4, len)
        }
        _ => &[],
    }
}

/// Where a sparse port's synapses go, and what was read from it.
#[derive(Clone, Copy)]
struct Target {
    port: u32,
    piece: u32,
    count: usize,
    /// First input sum; `usize::MAX` where the target is not hosted.
    sums: usize,
    active: usize,
    touched: Option<usize>,
    bits: u32,
    weight: i32,
    rule: u32,
    /// Its rows have fixed weights of 8 bits, and all its ports are read.
    run: bool,
    /// The whole piece is awake.
    awake: bool,
    stored: u64,
    acs: u64,
    macs: u64,
    rows: u64,
    bytes: u64,
}

impl Default for Target {
    fn default() -> Self {
        Target {
            port: NONE,
            piece: 0,
            count: 0,
            sums: usize::MAX,
            active: 0,
            touched: None,
            bits: 0,
            weight: 0,
            rule: NONE,
            run: false,
            awake: false,
            stored: 0,
            acs: 0,
            macs: 0,
            rows: 0,
            bytes: 0,
        }
    }
}

impl Target {
    #[inline]
    fn of(image: &Image<'_>, run: &[u32], number: u32) -> Target {
        let nowhere = Target { port: number, ..Target::default() };
        let Some(landing) = image.landing(number) else { return nowhere };
        let record = landing.piece as usize * RUN_WORDS;
        let base = word(run, record + run::STATE);
        if base == NONE {
            return nowhere;
        }
        let count = landing.count as usize;
        let active = word(run, record + run::ACTIVE);
        Target {
            piece: landing.piece,
            count,
            sums: base as usize + stride(landing.count) * landing.group as usize,
            active: active as usize,
            touched: touched_at(landing.count, landing.flags, active),
            bits: landing.bits,
            weight: landing.weight,
            rule: landing.rule,
            ..nowhere
        }
    }

    #[inline(always)]
    fn tally(&mut self, len: u32, nonzero: u32, unit: bool, bytes: usize) {
        self.stored += u64::from(len);
        *(if unit { &mut self.acs } else { &mut self.macs }) += u64::from(nonzero);
        self.rows += 1;
        self.bytes += bytes as u64;
    }

    /// Whether nothing but sums and counts is left to do for a row: a kernel may then take many at once.
    #[inline(always)]
    fn is_plain(&self) -> bool {
        self.run && self.awake && self.touched.is_none()
    }

    /// Notes what a run of rows came to.
    #[inline(always)]
    fn add(&mut self, run: &SparseRun) {
        self.stored += u64::from(run.stored);
        self.acs += u64::from(run.accumulates);
        self.macs += u64::from(run.multiplies);
        self.rows += u64::from(run.rows);
        // Two bytes of target, and one of weight where weights differ.
        self.bytes += if self.bits == 0 { 2 } else { 3 } * u64::from(run.stored);
    }

    /// Adds what was read to the counters, once.
    fn count<K: Kernels>(&mut self, counters: &mut [u64]) {
        if !K::COUNTS || self.rows == 0 {
            return;
        }
        let Some(row) = counters_of(counters, self.piece) else { return };
        add(row, Count::StoredEvents, self.stored);
        add(row, Count::EffectiveEvents, self.acs + self.macs);
        add(row, Count::Accumulates, self.acs);
        add(row, Count::MultiplyAccumulates, self.macs);
        add(row, Count::Rows, self.rows);
        add(row, Count::SynapseBytes, self.bytes);
        (self.stored, self.acs, self.macs, self.rows, self.bytes) = (0, 0, 0, 0, 0);
    }
}

#[inline(always)]
pub(crate) fn run_of(run: &mut [u32], piece: u32) -> Option<&mut [u32]> {
    let at = piece as usize * RUN_WORDS;
    run.get_mut(at..at + RUN_WORDS)
}

#[inline(always)]
pub(crate) fn counters_of(counters: &mut [u64], piece: u32) -> Option<&mut Row> {
    counters.get_mut(piece as usize * COUNTS..)?.first_chunk_mut()
}

#[inline(always)]
pub(crate) fn get(words: &[u32], i: usize) -> u32 {
    word(words, i)
}

#[inline(always)]
pub(crate) fn set(words: &mut [u32], i: usize, value: u32) {
    if let Some(w) = words.get_mut(i) {
        *w = value;
    }
}

/// Notes that a piece may have something to do.
#[inline(always)]
pub(crate) fn wake(busy: &mut [u64], piece: u32) {
    if let Some(word) = busy.get_mut(piece as usize / 64) {
        *word |= 1 << (piece % 64);
    }
}

/// Notes that events reached a piece: all of it updates in this tick.
pub(crate) fn reach(run: &mut [u32], busy: &mut [u64], piece: u32, events: u32) {
    wake(busy, piece);
    if let Some(r) = run_of(run, piece) {
        set(r, run::ALL, 1);
        let before = get(r, run::ARRIVED);
        set(r, run::ARRIVED, before.saturating_add(events));
    }
}

/// The first piece from `from` on that may have something to do.
#[inline(always)]
fn next_busy(busy: &[u64], from: u32) -> Option<u32> {
    let mut at = from / 64;
    let mut left = busy.get(at as usize)? & (u64::MAX << (from % 64));
    while left == 0 {
        at += 1;
        left = *busy.get(at as usize)?;
    }
    Some(at * 64 + left.trailing_zeros())
}

/// The slot of a tick in a ring. Ticks of 32 bits, which most runs stay in, are divided in 32 bits: a small processor
/// takes a hundred instructions and more for 64.
#[inline(always)]
pub(crate) fn slot_of(tick: u64, slots: u32) -> usize {
    if slots <= 1 {
        return 0;
    }
    match u32::try_from(tick) {
        Ok(tick) => (tick % slots) as usize,
        Err(_) => (tick % u64::from(slots)) as usize,
    }
}

/// Events that a piece sent in a tick that its ring still holds.
#[inline(always)]
pub(crate) fn sent_at<'e>(
    run: &[u32],
    lengths: &[u32],
    events: &'e [Event],
    piece: u32,
    record: &Piece,
    tick: u64,
) -> &'e [Event] {
    events.get(places_of(run, lengths, piece, record, tick)).unwrap_or(&[])
}

/// Where they stand in the rings.
#[inline(always)]
fn places_of(run: &[u32], lengths: &[u32], piece: u32, record: &Piece, tick: u64) -> Range<usize> {
    let at = piece as usize * RUN_WORDS;
    let slot = slot_of(tick, word(run, at + run::SLOTS));
    let len = word(lengths, word(run, at + run::LENGTHS) as usize + slot) as usize;
    let first = word(run, at + run::EVENTS) as usize + slot * record.count as usize;
    first..first + len
}

/// The slot of a tick in a piece's ring; it has room for one event of each neuron.
struct Ring<'m> {
    /// Where the number of events stands; it is written once, at the end.
    len: &'m mut u32,
    count: usize,
    events: &'m mut [Event],
}

impl Drop for Ring<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        *self.len = self.count as u32;
    }
}

impl<'m> Ring<'m> {
    fn of(
        run: &[u32],
        lengths: &'m mut [u32],
        events: &'m mut [Event],
        piece: u32,
        record: &Piece,
        tick: u64,
    ) -> Option<Ring<'m>> {
        let at = piece as usize * RUN_WORDS;
        let slot = slot_of(tick, word(run, at + run::SLOTS));
        let first = word(run, at + run::EVENTS) as usize + slot * record.count as usize;
        let len = lengths.get_mut(word(run, at + run::LENGTHS) as usize + slot)?;
        Some(Ring {
            count: *len as usize,
            len,
            events: events.get_mut(first..first + record.count as usize)?,
        })
    }

    /// The events so far.
    fn sent(&self) -> &[Event] {
        self.events.get(..self.count).unwrap_or_default()
    }

    /// The places that are still free.
    fn rest(&mut self) -> &mut [Event] {
        self.events.get_mut(self.count..).unwrap_or_default()
    }

    #[inline(always)]
    fn push(&mut self, event: Event) {
        if let Some(place) = self.events.get_mut(self.count) {
            *place = event;
            self.count += 1;
        }
    }
}

/// Sets the touched bits of a matrix port's targets.
fn touch_matrix(
    active: &mut [u64],
    at: usize,
    count: usize,
    store: Store,
    matrix: Matrix<'_>,
    events: &[Event],
) {
    let Some(words) = active.get_mut(at..at + count.div_ceil(BLOCK)) else { return };
    match store {
        Store::Dense => words.fill(u64::MAX),
        Store::Bits => {
            for &[i, _] in events {
                for (j, byte) in matrix.row(i).iter().enumerate() {
                    if let Some(w) = words.get_mut(j / 8) {
                        *w |= u64::from(*byte) << (8 * (j % 8));
                    }
                }
            }
        }
        Store::Identity => {
            for &[i, _] in events {
                if let Some(w) = words.get_mut(i as usize / BLOCK) {
                    *w |= 1 << (i as usize % BLOCK);
                }
            }
        }
        Store::Sparse | Store::Crossbar => {}
    }
    let spare = count % BLOCK;
    if let (Some(last), true) = (words.last_mut(), spare != 0) {
        *last &= (1 << spare) - 1;
    }
}

/// Adds to a neuron's own spike count.
fn note_spike(run: &[u32], state: &mut [i32], piece: u32, record: &Piece, parts: &Parts, event: Event) {
    let base = word(run, piece as usize * RUN_WORDS + run::STATE);
    if base == NONE {
        return;
    }
    let at = base as usize + stride(record.count) * parts.spikes as usize + event[0] as usize;
    if let Some(c) = state.get_mut(at) {
        *c = c.wrapping_add(1);
    }
}
