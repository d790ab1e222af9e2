//! The crossbar: rows of memristive pairs that are read as signed weights and written by pulses.
//!
//! A weight is the difference of two devices, plus and minus. Device numbers are `first + 2 · (row · columns +
//! column)` for plus, one more for minus. The caller lends all memory; a [`Crossbar`] keeps
//!
//! * the state, the pulse number (its wear) and, where devices drift, the stamp of the last write, per device;
//! * the *read matrix*: `i16` differences of conductance as a read sees them, in 2^−15 of the range;
//! * the *row charge*: the sum of both devices' conductances along a row, so that counting a read's charge is
//!   one addition;
//! * where wires resist, the share of its conductance that the drop leaves to each device;
//! * where reads are noisy, the deviation of one read per weight: the variances of the rows driven add in each column,
//!   whose sum then takes one deviate per read.
//!
//! Without wires and drift all are brought up to date by each pulse, exactly. With them, conductances reach the
//! columns changed, and [`Crossbar::refresh`] recomputes the matrix by integer division:
//! T = G/(1 + R·(rowterm + colterm)), with two running sums for the terms. Until then a device that is written is
//! read by its new conductance at once, but under the drop that the last refresh found, and all others as the last
//! refresh found them; [`Crossbar::staleness`] counts the pulses since. Idle rows are driven to 0 V, so nothing
//! sneaks.
//!
//! Sums are exact, a device's pulses are keyed by its own number: neither the order of reads in a tick nor the
//! order in which different devices are written can change a bit.

use crate::device::{self, DEVICES, DeviceClass, Direction, Instance, PAIR_STRIDE, Purpose};
use crate::draw::Draws;
use crate::store::Kernels;

/// How two devices make one weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    /// A raised weight is one up pulse on plus and one down pulse on minus.
    Differential,
    /// Plus is raised for up, minus for down; a full pair is read, reset and rewritten.
    OneSided,
    /// Only plus takes pulses; minus stays at the class's reset state.
    Reference,
}

/// Wires and the pedestal below the lowest state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wires {
    /// R_row times the conductance of one of 2^16 states, in 2^−48.
    pub row_q48: u64,
    /// R_column times the same, in 2^−48.
    pub column_q48: u64,
    /// Conductance of state 0, in 2^−24 of the range. Below 0 where the states make room for devices that reach
    /// lower than others; no device conducts less than nothing.
    pub pedestal: i32,
}

impl Wires {
    /// Whether any wire has a resistance.
    pub fn resist(&self) -> bool {
        self.row_q48 != 0 || self.column_q48 != 0
    }
}

/// What a crossbar is.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Rows: sources.
    pub rows: usize,
    /// Columns: targets.
    pub columns: usize,
    /// How devices pair.
    pub pair: Pair,
    /// Number of the first device in the machine.
    pub first_device: u32,
    /// Device numbers from row to row, at least two per column: more where an array is a part of a larger matrix.
    pub row_devices: u32,
    /// Wire resistances and pedestal.
    pub wires: Wires,
}

/// Memory for one crossbar, lent by the caller. See [`Shape::devices`] for the lengths.
#[derive(Debug)]
pub struct Memory<'a> {
    /// One per device.
    pub states: &'a mut [u32],
    /// One per device.
    pub pulses: &'a mut [u32],
    /// One per device, or none where the class does not drift.
    pub stamps: &'a mut [u32],
    /// One per device, or none where wires do not resist: what the drop leaves of its conductance, in 2^−16.
    pub factors: &'a mut [u16],
    /// One per weight.
    pub matrix: &'a mut [i16],
    /// One per weight, or none where reads are not noisy: the deviation of one read, in 2^−17 of the range.
    pub deviations: &'a mut [u16],
    /// One per row.
    pub charge: &'a mut [u64],
    /// Two per column.
    pub scratch: &'a mut [u64],
}

/// Columns of a row of pairs that a kernel may pulse: see [`Kernels::pulse`]. Nothing here drifts, and no pair is reset.
#[derive(Debug)]
pub struct Pulsing<'r, 'a> {
    /// What the devices are.
    pub class: &'r DeviceClass<'a>,
    /// Key of the draws of devices, by [`Draws::threefry_key`].
    pub key: [u32; 2],
    /// Both devices of a pair take pulses, in opposite directions; else only plus.
    pub both: bool,
    /// Conductance of state 0, as [`Wires::pedestal`].
    pub pedestal: i32,
    /// Number of the first column's plus device, even.
    pub number: u32,
    /// Pulses per column, up if positive.
    pub counts: &'r [i32],
    /// Two per column.
    pub states: &'r mut [u32],
    /// Two per column.
    pub pulses: &'r mut [u32],
    /// Two per column where wires resist, else none.
    pub factors: &'r [u16],
    /// One per column.
    pub matrix: &'r mut [i16],
}

/// What a kernel did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulsed {
    /// The leading columns that it has seen to.
    pub columns: usize,
    /// Up pulses.
    pub up: u64,
    /// Down pulses.
    pub down: u64,
    /// Σ (conductance before + after) over up pulses, in states.
    pub charge_up: u64,
    /// The same over down pulses.
    pub charge_down: u64,
    /// What the row's charge has gained, modulo 2^64.
    pub gained: u64,
    /// What became of the read matrix.
    pub changes: Changes,
}

/// What a crossbar has done; energies follow by the host's prices per unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows read.
    pub rows: u64,
    /// Columns sensed by those reads.
    pub columns: u64,
    /// Σ payload · Σ conductance over rows read, in states, pedestal included.
    pub charge: u64,
    /// Converted columns.
    pub conversions: u64,
    /// Up pulses.
    pub pulses_up: u64,
    /// Down pulses.
    pub pulses_down: u64,
    /// Σ (conductance before + after) over up pulses, in states, pedestal included.
    pub charge_up: u64,
    /// The same over down pulses.
    pub charge_down: u64,
    /// Reads of single devices to check or copy them.
    pub verify_reads: u64,
    /// Resets of devices.
    pub resets: u64,
    /// Pulses on devices that were worn out.
    pub worn_pulses: u64,
}

/// What outlives a [`Crossbar`] beside its memory: the tally, and how old the read matrix is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// What has been done.
    pub tally: Tally,
    /// Pulses since the last refresh.
    pub stale: u64,
    /// Stamp of the last refresh.
    pub refreshed: u32,
    /// Number of the refresh interval that the last refresh belongs to.
    pub epoch: u64,
    /// Energy of reads that is not yet a whole unit.
    pub read_rest: u64,
    /// Energy of writes that is not yet a whole unit.
    pub write_rest: u64,
}

impl Log {
    /// `u64` words of a log.
    pub const WORDS: usize = 16;

    /// Reads the words; what is missing is 0.
    pub fn from_words(w: &[u64]) -> Log {
        let at = |i: usize| w.get(i).copied().unwrap_or(0);
        Log {
            tally: Tally {
                rows: at(0),
                columns: at(1),
                charge: at(2),
                conversions: at(3),
                pulses_up: at(4),
                pulses_down: at(5),
                charge_up: at(6),
                charge_down: at(7),
                verify_reads: at(8),
                resets: at(9),
                worn_pulses: at(10),
            },
            stale: at(11),
            refreshed: at(12) as u32,
            epoch: at(13),
            read_rest: at(14),
            write_rest: at(15),
        }
    }

    /// The words.
    pub fn to_words(&self) -> [u64; Log::WORDS] {
        let t = &self.tally;
        [
            t.rows,
            t.columns,
            t.charge,
            t.conversions,
            t.pulses_up,
            t.pulses_down,
            t.charge_up,
            t.charge_down,
            t.verify_reads,
            t.resets,
            t.worn_pulses,
            self.stale,
            self.refreshed.into(),
            self.epoch,
            self.read_rest,
            self.write_rest,
        ]
    }
}

impl Shape {
    /// Number of devices: two per weight.
    pub fn devices(&self) -> Option<usize> {
        self.rows.checked_mul(self.columns)?.checked_mul(2)
    }

    /// The number of the device at place `k` of the array.
    pub fn number(&self, k: usize) -> u32 {
        let wide = 2 * self.columns;
        let number = match self.row_devices as usize == wide || wide == 0 {
            true => k,
            false => k / wide * self.row_devices as usize + k % wide,
        };
        self.first_device.wrapping_add(number as u32)
    }
}

/// A crossbar on lent memory.
#[derive(Debug)]
pub struct Crossbar<'a> {
    class: DeviceClass<'a>,
    shape: Shape,
    memory: Memory<'a>,
    log: Log,
}

impl<'a> Crossbar<'a> {
    /// A crossbar whose memory already holds states; call [`reset`](Self::reset) for a new one.
    /// `None` when a slice has the wrong length or device numbers exceed [`device::MOST_DEVICES`].
    pub fn new(class: DeviceClass<'a>, shape: Shape, memory: Memory<'a>) -> Option<Self> {
        let devices = shape.devices()?;
        let stamps = if class.header().drift == 1 { devices } else { 0 };
        let factors = if shape.wires.resist() { devices } else { 0 };
        let fits = memory.states.len() == devices
            && memory.pulses.len() == devices
            && memory.stamps.len() == stamps
            && memory.factors.len() == factors
            && memory.matrix.len() == devices / 2
            && memory.deviations.len() == if class.header().read_noise == 1 { devices / 2 } else { 0 }
            && memory.charge.len() == shape.rows
            && memory.scratch.len() == 2 * shape.columns
            && u64::from(shape.row_devices) >= 2 * shape.columns as u64
            && (u64::from(shape.first_device) + shape.rows as u64 * u64::from(shape.row_devices))
                <= u64::from(device::MOST_DEVICES) + u64::from(shape.row_devices);
        fits.then_some(Self { class, shape, memory, log: Log::default() })
    }

    /// The same crossbar, going on from what a log says.
    #[must_use]
    pub fn resumed(mut self, log: Log) -> Self {
        self.log = log;
        self
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Puts every device into its initial state, with no pulse yet, and refreshes.
    pub fn reset(&mut self, now: u32, draws: &mut impl Draws) {
        self.memory.pulses.fill(0);
        self.memory.stamps.fill(now);
        let shape = self.shape;
        for (k, state) in self.memory.states.iter_mut().enumerate() {
            let number = shape.number(k);
            let instance = self.class.instance(number, draws);
            *state = self.class.initial(number, &instance, draws);
        }
        self.refresh(now, draws);
    }

    /// What has been done so far.
    pub fn tally(&self) -> &Tally {
        &self.log.tally
    }

    /// Pulses since the last refresh where wires resist, so that the drop on other devices is no longer exact; else 0.
    pub fn staleness(&self) -> u64 {
        self.log.stale
    }

    /// State and pulse number of a device: plus (`side` 0) or minus (1).
    pub fn device(&self, row: usize, column: usize, side: usize) -> Option<(u32, u32)> {
        let k = self.index(row, column, side)?;
        Some((*self.memory.states.get(k)?, *self.memory.pulses.get(k)?))
    }

    /// The read matrix, row after row, in 2^−15 of the range.
    pub fn matrix(&self) -> &[i16] {
        self.memory.matrix
    }

    /// Devices that are worn out.
    pub fn worn(&self, draws: &mut impl Draws) -> u64 {
        let pulses = self.memory.pulses.iter().enumerate();
        pulses.filter(|(k, n)| self.class.worn(self.number(*k), **n, draws)).count() as u64
    }

    fn number(&self, k: usize) -> u32 {
        self.shape.number(k)
    }

    fn index(&self, row: usize, column: usize, side: usize) -> Option<usize> {
        let inside = row < self.shape.rows && column < self.shape.columns && side < 2;
        inside.then_some(2 * (row * self.shape.columns + column) + side)
    }

    /// Reads a row: `sums[j] += payload · weight` for each column. One spike is payload 1. The caller keeps
    /// Σ |payload| of a sum below 2^16, so that it cannot leave 32 bits.
    pub fn read(&mut self, row: usize, payload: i32, sums: &mut [i32]) {
        let columns = self.shape.columns;
        let Some(weights) = self.memory.matrix.get(row * columns..(row + 1) * columns) else { return };
        for (sum, weight) in sums.iter_mut().zip(weights) {
            *sum = sum.wrapping_add(payload.wrapping_mul(i32::from(*weight)));
        }
        let charge = self.memory.charge.get(row).copied().unwrap_or(0);
        let times = u64::from(payload.unsigned_abs());
        self.log.tally.rows += 1;
        self.log.tally.columns += columns as u64;
        self.log.tally.charge = self.log.tally.charge.wrapping_add(charge.wrapping_mul(times));
    }

    /// Pulses the weights of a row, each by its own count, up if positive: equal to [`pulse`](Self::pulse) one by one,
    /// faster.
    pub fn pulse_row<K: Kernels>(
        &mut self,
        row: usize,
        counts: &[i32],
        now: u32,
        kernels: &K,
        draws: &mut impl Draws,
    ) -> Changes {
        let mut changes = Changes::default();
        if row >= self.shape.rows {
            return changes;
        }
        let simple = self.shape.pair != Pair::OneSided
            && self.memory.stamps.is_empty()
            && self.memory.deviations.is_empty()
            && self.shape.first_device.is_multiple_of(2)
            && self.shape.row_devices.is_multiple_of(2);
        let key = draws.threefry_key(DEVICES, 0).filter(|_| simple);
        let mut rest = counts.get(..self.shape.columns).unwrap_or(counts);
        let mut first = 0;
        while !rest.is_empty() {
            let done = key.map_or(0, |key| self.offer(row, first, rest, key, kernels, &mut changes));
            let length = if done == 0 { PAIRS } else { done };
            let (counts, later) = rest.split_at(rest.len().min(length));
            if done == 0 {
                let active = counts.iter().filter(|c| **c != 0).count();
                if simple && 4 * active > PAIRS {
                    self.pulse_block(row, first, counts, draws, &mut changes);
                } else {
                    for (column, count) in (first..).zip(counts).filter(|(_, c)| **c != 0) {
                        let old = self.weight(row, column);
                        self.pulse(row, column, *count, now, draws);
                        changes.add(old, self.weight(row, column));
                    }
                }
            }
            first += counts.len();
            rest = later;
        }
        changes
    }

    /// Lets a kernel pulse columns of a row from `first` on; returns how many it has seen to.
    fn offer<K: Kernels>(
        &mut self,
        row: usize,
        first: usize,
        counts: &[i32],
        key: [u32; 2],
        kernels: &K,
        changes: &mut Changes,
    ) -> usize {
        let (k, n) = (2 * (row * self.shape.columns + first), counts.len());
        let number = self.number(k);
        let m = &mut self.memory;
        let (Some(states), Some(pulses), Some(matrix)) = (
            m.states.get_mut(k..k + 2 * n),
            m.pulses.get_mut(k..k + 2 * n),
            m.matrix.get_mut(k / 2..k / 2 + n),
        ) else {
            return 0;
        };
        let done = kernels.pulse(Pulsing {
            class: &self.class,
            key,
            both: self.shape.pair == Pair::Differential,
            pedestal: self.shape.wires.pedestal,
            number,
            counts,
            states,
            pulses,
            factors: m.factors.get(k..k + 2 * n).unwrap_or(&[]),
            matrix,
        });
        if let Some(charge) = m.charge.get_mut(row) {
            *charge = charge.wrapping_add(done.gained);
        }
        self.tally_pulses((done.up, done.charge_up), (done.down, done.charge_down));
        changes.changed += done.changes.changed;
        changes.nonzero += done.changes.nonzero;
        done.columns.min(n)
    }

    /// Adds pulses and their charge to the tally, up and down.
    fn tally_pulses(&mut self, (up, charge_up): (u64, u64), (down, charge_down): (u64, u64)) {
        let total = &mut self.log.tally;
        total.pulses_up += up;
        total.pulses_down += down;
        total.charge_up = total.charge_up.wrapping_add(charge_up);
        total.charge_down = total.charge_down.wrapping_add(charge_down);
        if !self.live() {
            self.log.stale = self.log.stale.saturating_add(up + down);
        }
    }

    /// [`pulse_row`](Self::pulse_row) of up to [`PAIRS`] neighbours that neither drift nor are reset.
    #[inline]
    fn pulse_block(
        &mut self,
        row: usize,
        first: usize,
        counts: &[i32],
        draws: &mut impl Draws,
        changes: &mut Changes,
    ) {
        let k = 2 * (row * self.shape.columns + first);
        let number = self.number(k);
        let n = 2 * counts.len();
        let class = self.class;
        let (mut states, mut pulses) = ([0u32; 2 * PAIRS], [0u32; 2 * PAIRS]);
        let (Some(own_states), Some(own_pulses)) =
            (self.memory.states.get(k..k + n), self.memory.pulses.get(k..k + n))
        else {
            return;
        };
        for (to, from) in states.iter_mut().zip(own_states) {
            *to = *from;
        }
        for (to, from) in pulses.iter_mut().zip(own_pulses) {
            *to = *from;
        }
        let mut made = [class.nominal(); 2 * PAIRS];
        if class.header().spread != 0 {
            let mut random = [0u32; 2 * PAIRS];
            let address = device::address(Purpose::Spread, number);
            draws.pairs(DEVICES, &[0; PAIRS], address, PAIR_STRIDE, &mut random);
            for (number, (made, random)) in (number..).zip(made.iter_mut().zip(random)).take(n) {
                *made = class.instance_of(number, random, draws);
            }
        }
        let before = see(&class, &states, &pulses, number, draws);
        let both = self.shape.pair == Pair::Differential;
        let most = counts.iter().map(|c| c.unsigned_abs()).max().unwrap_or(0);
        let (mut tally, pedestal) = (Tally::default(), self.pedestal());
        for round in 0..most {
            let mut random = [0u32; 2 * PAIRS];
            events(&pulses, Purpose::Pulse, number, draws, &mut random);
            let devices = states.iter_mut().zip(pulses.iter_mut()).zip(&made).zip(random);
            for (i, (((state, pulses), instance), random)) in devices.enumerate().take(n) {
                let count = counts.get(i / 2).copied().unwrap_or(0);
                let minus = i % 2 == 1;
                if round >= count.unsigned_abs() || minus && !both {
                    continue;
                }
                let up = (count > 0) != minus;
                let direction = if up { Direction::Up } else { Direction::Down };
                let old = *state;
                if class.worn(number + i as u32, *pulses, draws) {
                    tally.worn_pulses += 1;
                } else {
                    *state = class.pulse(old, direction, instance, random);
                }
                *pulses = pulses.saturating_add(1);
                let charge = charge_with(pedestal, old) + charge_with(pedestal, *state);
                let (ups, downs) = if up { (1, 0) } else { (0, 1) };
                tally.pulses_up += ups;
                tally.pulses_down += downs;
                tally.charge_up += if up { charge } else { 0 };
                tally.charge_down += if up { 0 } else { charge };
            }
        }
        let after = see(&class, &states, &pulses, number, draws);
        if let (Some(to_states), Some(to_pulses)) =
            (self.memory.states.get_mut(k..k + n), self.memory.pulses.get_mut(k..k + n))
        {
            for (to, from) in to_states.iter_mut().zip(states) {
                *to = from;
            }
            for (to, from) in to_pulses.iter_mut().zip(pulses) {
                *to = from;
            }
        }
        self.log.tally.worn_pulses += tally.worn_pulses;
        self.tally_pulses((tally.pulses_up, tally.charge_up), (tally.pulses_down, tally.charge_down));
        let pairs = before.chunks_exact(2).zip(after.chunks_exact(2)).zip(counts);
        for (plus, ((before, after), _)) in (k..).step_by(2).zip(pairs).filter(|(_, (_, c))| **c != 0) {
            let (Ok(before), Ok(after)) = (before.try_into(), after.try_into()) else { continue };
            let old = self.memory.matrix.get(plus / 2).map_or(0, |w| i32::from(*w));
            self.renew_as(row, plus, before, after);
            let new = self.memory.matrix.get(plus / 2).map_or(0, |w| i32::from(*w));
            changes.add(old, new);
        }
    }

    /// Converts column sums to codes up to ±`top` of `full_scale`, half away from zero.
    pub fn convert(&mut self, sums: &[i32], full_scale: u64, top: u32, codes: &mut [i32]) {
        let coder = device::Coder::new(full_scale, top);
        for (code, sum) in codes.iter_mut().zip(sums) {
            *code = coder.code(i64::from(*sum)) as i32;
        }
        self.log.tally.conversions += codes.len().min(sums.len()) as u64;
    }

    /// Changes a weight by `count` pulses, up if positive, with the devices' own response.
    pub fn pulse(&mut self, row: usize, column: usize, count: i32, now: u32, draws: &mut impl Draws) {
        let Some(plus) = self.index(row, column, 0) else { return };
        let (ahead, back) = match count > 0 {
            true => (Direction::Up, Direction::Down),
            false => (Direction::Down, Direction::Up),
        };
        let before = self.seen(plus, draws);
        for _ in 0..count.unsigned_abs() {
            match self.shape.pair {
                Pair::Differential => {
                    self.pulse_device(plus, ahead, now, draws);
                    self.pulse_device(plus + 1, back, now, draws);
                }
                Pair::OneSided => {
                    self.pulse_device(plus + usize::from(count < 0), Direction::Up, now, draws);
                    self.empty_full_pair(plus, now, draws);
                }
                Pair::Reference => self.pulse_device(plus, ahead, now, draws),
            }
        }
        self.renew(row, plus, before, draws);
    }

    /// Pulses a weight, read after each pulse, until it is within `tolerance` units of the read matrix of `aim`, but
    /// no more than `most` times. Returns the number of pulses.
    pub fn pulse_until(
        &mut self,
        (row, column): (usize, usize),
        (aim, tolerance): (i32, u32),
        most: u32,
        now: u32,
        draws: &mut impl Draws,
    ) -> u32 {
        let Some(plus) = self.index(row, column, 0) else { return 0 };
        for done in 0..most {
            self.verify(plus, 2, draws);
            let distance = aim.saturating_sub(self.weight(row, column));
            if distance.unsigned_abs() <= tolerance {
                return done;
            }
            self.pulse(row, column, distance.signum(), now, draws);
        }
        most
    }

    /// A weight of the read matrix.
    pub fn weight(&self, row: usize, column: usize) -> i32 {
        let at = self.index(row, column, 0).map(|k| k / 2);
        at.and_then(|k| self.memory.matrix.get(k)).map_or(0, |w| i32::from(*w))
    }

    /// Puts a weight's devices into given states at once, as a programmer outside of the array would: within each
    /// device's bounds, the stuck stay, nothing is counted. The read matrix needs a refresh afterwards.
    pub fn place(&mut self, row: usize, column: usize, states: [u32; 2], draws: &mut impl Draws) {
        let Some(plus) = self.index(row, column, 0) else { return };
        for (k, state) in (plus..).zip(states) {
            let instance = self.class.instance(self.number(k), draws);
            let state = instance.stuck.unwrap_or(state.min(instance.high).max(instance.low));
            if let Some(s) = self.memory.states.get_mut(k) {
                *s = state;
            }
        }
    }

    /// Counts reads of single devices, from device `k` on.
    fn verify(&mut self, k: usize, devices: usize, draws: &mut impl Draws) {
        for k in k..k + devices {
            let charge = self.charge_of(self.visible(k, self.seen_at(k), draws));
            self.log.tally.verify_reads += 1;
            self.log.tally.charge = self.log.tally.charge.wrapping_add(charge);
        }
    }

    /// Whether every read of the matrix is exact as soon as a device has been written.
    fn live(&self) -> bool {
        !self.shape.wires.resist()
    }

    /// What conducts in a state, in states: the pedestal is added, and nothing is below 0.
    fn charge_of(&self, state: u32) -> u64 {
        charge_with(self.pedestal(), state)
    }

    /// The pedestal in states.
    fn pedestal(&self) -> i64 {
        i64::from(self.shape.wires.pedestal) >> (24 - self.class.header().state_bits)
    }

    fn pulse_device(&mut self, k: usize, direction: Direction, now: u32, draws: &mut impl Draws) {
        let number = self.number(k);
        let (Some(state), Some(pulses)) = (self.memory.states.get_mut(k), self.memory.pulses.get_mut(k))
        else {
            return;
        };
        let before = *state;
        if self.class.worn(number, *pulses, draws) {
            self.log.tally.worn_pulses += 1;
        } else {
            let instance = self.class.instance(number, draws);
            let random = device::bits(draws, Purpose::Pulse, number, *pulses);
            *state = self.class.pulse(before, direction, &instance, random);
        }
        *pulses = pulses.saturating_add(1);
        let after = *state;
        let charge = self.charge_of(before) + self.charge_of(after);
        match direction {
            Direction::Up => {
                self.log.tally.pulses_up += 1;
                self.log.tally.charge_up = self.log.tally.charge_up.wrapping_add(charge);
            }
            Direction::Down => {
                self.log.tally.pulses_down += 1;
                self.log.tally.charge_down = self.log.tally.charge_down.wrapping_add(charge);
            }
        }
        if let Some(stamp) = self.memory.stamps.get_mut(k) {
            *stamp = now;
        }
        self.log.stale = self.log.stale.saturating_add(u64::from(!self.live()));
    }

    /// Reads, resets and rewrites a one-sided pair whose larger device is above 3/4 and smaller above 1/4 of the range.
    fn empty_full_pair(&mut self, plus: usize, now: u32, draws: &mut impl Draws) {
        let h = self.class.header();
        let (low, span) = (h.low as u32, (h.high - h.low) as u32);
        let (reset, zero) = (h.reset as u32, h.zero as u32);
        let Some([a, b]) = self.memory.states.get(plus..).and_then(|s| s.first_chunk::<2>()).copied() else {
            return;
        };
        if a.max(b) <= low + span / 4 * 3 || a.min(b) <= low + span / 4 {
            return;
        }
        self.verify(plus, 2, draws);
        let kept = zero.saturating_add(a.abs_diff(b));
        for k in [plus, plus + 1] {
            self.reset_device(k, reset, now, draws);
        }
        let larger = plus + usize::from(b > a);
        for _ in 0..MOST_REWRITES {
            let state = self.memory.states.get(larger).copied().unwrap_or(kept);
            if state >= kept {
                break;
            }
            self.pulse_device(larger, Direction::Up, now, draws);
            self.verify(larger, 1, draws);
        }
    }

    /// Resets a device; that wears it like a pulse.
    fn reset_device(&mut self, k: usize, reset: u32, now: u32, draws: &mut impl Draws) {
        let number = self.number(k);
        let (Some(state), Some(pulses)) = (self.memory.states.get_mut(k), self.memory.pulses.get_mut(k))
        else {
            return;
        };
        self.log.tally.resets += 1;
        if self.class.worn(number, *pulses, draws) {
            self.log.tally.worn_pulses += 1;
        } else {
            let instance: Instance = self.class.instance(number, draws);
            *state = self.class.program(reset, number, *pulses, &instance, draws);
        }
        *pulses = pulses.saturating_add(1);
        if let Some(stamp) = self.memory.stamps.get_mut(k) {
            *stamp = now;
        }
    }

    /// What a read sees of device `k`: write noise, levels, drift since its stamp.
    fn visible(&self, k: usize, now: u32, draws: &mut impl Draws) -> u32 {
        let (Some(&state), Some(&pulses)) = (self.memory.states.get(k), self.memory.pulses.get(k)) else {
            return 0;
        };
        let number = self.number(k);
        let seen = self.class.visible(state, number, pulses, draws);
        match self.memory.stamps.get(k) {
            Some(stamp) => {
                let nu = self.class.drift_exponent(state, number, pulses, draws);
                self.class.drifted(seen, u64::from(now.wrapping_sub(*stamp)), nu)
            }
            None => seen,
        }
    }

    /// What the read matrix holds of the pair that starts at device `plus`: drifted up to the last refresh, or not at
    /// all if it was written since.
    fn seen(&self, plus: usize, draws: &mut impl Draws) -> [u32; 2] {
        [plus, plus + 1].map(|k| self.visible(k, self.seen_at(k), draws))
    }

    /// The stamp of the last refresh, or that of a later write.
    fn seen_at(&self, k: usize) -> u32 {
        let stamp = self.memory.stamps.get(k).copied().unwrap_or(self.log.refreshed);
        if stamp.wrapping_sub(self.log.refreshed) < 1 << 31 { stamp } else { self.log.refreshed }
    }

    /// Conductance in 2^−24 of the range, pedestal included.
    fn conductance(&self, seen: u32) -> u64 {
        let shift = 24 - self.class.header().state_bits;
        ((i64::from(seen) << shift) + i64::from(self.shape.wires.pedestal)).max(0) as u64
    }

    /// Brings one weight of the read matrix and its row's charge up to date; `before` is what was seen of the pair.
    fn renew(&mut self, row: usize, plus: usize, before: [u32; 2], draws: &mut impl Draws) {
        let after = self.seen(plus, draws);
        self.renew_as(row, plus, before, after);
        self.renew_deviation(plus, None, draws);
    }

    /// Brings the deviation of one weight up to date, as of stamp `now`, or as the read matrix sees its devices.
    fn renew_deviation(&mut self, plus: usize, now: Option<u32>, draws: &mut impl Draws) {
        if self.memory.deviations.is_empty() {
            return;
        }
        let squared = [plus, plus + 1].map(|k| {
            let state = self.memory.states.get(k).copied().unwrap_or(0);
            let pulses = self.memory.pulses.get(k).copied().unwrap_or(0);
            let (elapsed, nu) = match self.memory.stamps.get(k) {
                Some(stamp) => {
                    let since = now.unwrap_or_else(|| self.seen_at(k)).wrapping_sub(*stamp);
                    (since.into(), self.class.drift_exponent(state, self.number(k), pulses, draws))
                }
                None => (0, 0),
            };
            let deviation = u64::from(self.class.read_deviation(state, elapsed, nu));
            let left = match self.memory.factors.get(k) {
                Some(factor) => (deviation * (u64::from(*factor) + 1)) >> 16,
                None => deviation,
            };
            left.saturating_mul(left)
        });
        let both = device::isqrt(squared.iter().fold(0, |sum, s| sum.saturating_add(*s)));
        if let Some(deviation) = self.memory.deviations.get_mut(plus / 2) {
            *deviation = both.min(u16::MAX.into()) as u16;
        }
    }

    /// The same, where what is seen now is known.
    fn renew_as(&mut self, row: usize, plus: usize, before: [u32; 2], [a, b]: [u32; 2]) {
        let left = |k: usize, seen: u32| match self.memory.factors.get(k) {
            Some(factor) => (self.conductance(seen) * (u64::from(*factor) + 1)) >> 16,
            None => self.conductance(seen),
        };
        let weight = clipped(read_units(left(plus, a)) - read_units(left(plus + 1, b)));
        if let Some(w) = self.memory.matrix.get_mut(plus / 2) {
            *w = weight;
        }
        let both = |[a, b]: [u32; 2]| self.charge_of(a) + self.charge_of(b);
        let (gained, lost) = (both([a, b]), both(before));
        if let Some(charge) = self.memory.charge.get_mut(row) {
            *charge = charge.wrapping_add(gained).wrapping_sub(lost);
        }
    }

    /// Recomputes a row's charge.
    fn sum_row(&mut self, row: usize, now: u32, draws: &mut impl Draws) {
        let columns = self.shape.columns;
        let devices = 2 * row * columns..2 * (row + 1) * columns;
        let total: u64 = devices.map(|k| self.charge_of(self.visible(k, now, draws))).sum();
        if let Some(charge) = self.memory.charge.get_mut(row) {
            *charge = total;
        }
    }

    /// Recomputes the read matrix and all row charges: drift up to `now`, and the drop along the wires.
    pub fn refresh(&mut self, now: u32, draws: &mut impl Draws) {
        for row in 0..self.shape.rows {
            self.sum_row(row, now, draws);
        }
        self.memory.matrix.fill(0);
        for side in 0..2 {
            self.refresh_side(side, now, draws);
        }
        for weight in 0..self.memory.deviations.len() {
            self.renew_deviation(2 * weight, Some(now), draws);
        }
        (self.log.stale, self.log.refreshed) = (0, now);
    }

    /// Adds the plus devices' share to the matrix (`side` 0), or subtracts the minus devices'.
    fn refresh_side(&mut self, side: usize, now: u32, draws: &mut impl Draws) {
        let (rows, columns) = (self.shape.rows, self.shape.columns);
        // The drop is summed in 2^−16 of the range, eight bits less than conductances.
        self.memory.scratch.fill(0);
        for row in 0..rows {
            for column in 0..columns {
                let k = 2 * (row * columns + column) + side;
                let g = self.conductance(self.visible(k, now, draws)) >> 8;
                if let Some([behind, term]) = pair_of(self.memory.scratch, column) {
                    *behind += g;
                    *term += *behind;
                }
            }
        }
        for column in 0..columns {
            if let Some([behind, _]) = pair_of(self.memory.scratch, column) {
                *behind = 0;
            }
        }
        for row in 0..rows {
            let first = 2 * row * columns + side;
            let mut ahead: u64 =
                (0..columns).map(|j| self.conductance(self.visible(first + 2 * j, now, draws)) >> 8).sum();
            let mut along = 0u64;
            for column in 0..columns {
                let full = self.conductance(self.visible(first + 2 * column, now, draws));
                along += ahead;
                ahead -= full >> 8;
                let mut below = 0;
                if let Some([behind, term]) = pair_of(self.memory.scratch, column) {
                    below = *term;
                    *behind += full >> 8;
                    *term = term.saturating_sub(*behind);
                }
                let whole = self.whole(along, below);
                let distorted = dropped(full, whole);
                if let Some(factor) = self.memory.factors.get_mut(first + 2 * column) {
                    *factor = (dropped(1 << 24, whole) >> 8).saturating_sub(1).min(0xffff) as u16;
                }
                self.accumulate(row * columns + column, side, distorted);
            }
        }
    }

    /// 1 + R_row·along + R_column·below, in 2^−32.
    fn whole(&self, along: u64, below: u64) -> u64 {
        let wires = &self.shape.wires;
        let drop =
            along.saturating_mul(wires.row_q48).saturating_add(below.saturating_mul(wires.column_q48)) >> 16;
        (1u64 << 32).saturating_add(drop)
    }

    /// Holds plus, offset into 16 bits, until minus is subtracted from it.
    fn accumulate(&mut self, at: usize, side: usize, distorted: u64) {
        let Some(weight) = self.memory.matrix.get_mut(at) else { return };
        let own = read_units(distorted);
        *weight = match side {
            0 => (own - (1 << 15)).min(i32::from(i16::MAX)) as i16,
            _ => clipped(i32::from(*weight) + (1 << 15) - own),
        };
    }
}

/// Pairs of devices that are pulsed at once.
const PAIRS: usize = 16;

/// What pulses did to the read matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Weights that are read as another value than before.
    pub changed: u64,
    /// Weights that are read as other than zero, after minus before.
    pub nonzero: i64,
}

impl Changes {
    fn add(&mut self, old: i32, new: i32) {
        self.changed += u64::from(new != old);
        self.nonzero += i64::from(new != 0) - i64::from(old != 0);
    }
}

/// What conducts in a state over a pedestal, in states.
#[inline(always)]
fn charge_with(pedestal: i64, state: u32) -> u64 {
    (i64::from(state) + pedestal).max(0) as u64
}

/// Bits for the next event of each of a block of devices.
#[inline]
fn events(
    pulses: &[u32; 2 * PAIRS],
    purpose: Purpose,
    number: u32,
    draws: &mut impl Draws,
    out: &mut [u32; 2 * PAIRS],
) {
    let mut times = [0u32; PAIRS];
    for (time, pair) in times.iter_mut().zip(pulses.chunks_exact(2)) {
        *time = pair.first().copied().unwrap_or(0);
    }
    draws.pairs(DEVICES, &times, device::address(purpose, number), PAIR_STRIDE, out);
    for ((i, word), (pulses, time)) in
        (0u32..).zip(out.iter_mut()).zip(pulses.iter().zip(times.iter().flat_map(|t| [*t; 2])))
    {
        if *pulses != time {
            *word = device::bits(draws, purpose, number + i, *pulses);
        }
    }
}

/// What reads see of a block of devices that do not drift.
#[inline]
fn see(
    class: &DeviceClass<'_>,
    states: &[u32; 2 * PAIRS],
    pulses: &[u32; 2 * PAIRS],
    number: u32,
    draws: &mut impl Draws,
) -> [u32; 2 * PAIRS] {
    let mut seen = states.map(|state| state.min(class.top()));
    if class.header().write_sd == 0 && class.header().level_bits == 0 {
        return seen;
    }
    let mut random = [0u32; 2 * PAIRS];
    events(pulses, Purpose::Pulse, number, draws, &mut random);
    for (seen, random) in seen.iter_mut().zip(random) {
        *seen = class.visible_by(*seen, random);
    }
    seen
}

/// Up pulses that rewrite one reset device at most.
const MOST_REWRITES: u32 = 1 << 12;

/// A conductance over `whole` (in 2^−32), rounded.
fn dropped(g: u64, whole: u64) -> u64 {
    if whole == 1 << 32 {
        return g;
    }
    (g << 32).saturating_add(whole / 2) / whole.max(1)
}

/// A conductance in 2^−24 of the range, in units of the read matrix.
fn read_units(g: u64) -> i32 {
    ((g + (1 << 8)) >> 9).min(u16::MAX.into()) as i32
}

fn clipped(weight: i32) -> i16 {
    weight.clamp(-i32::from(i16::MAX), i32::from(i16::MAX)) as i16
}

/// The two scratch words of a column.
fn pair_of(scratch: &mut [u64], column: usize) -> Option<&mut [u64; 2]> {
    scratch.get_mut(2 * column..)?.first_chunk_mut::<2>()
}
