//! The crossbar: rows of memristive pairs that are read as signed weights and written by pulses.
//!
//! A weight is the difference of two devices, plus and minus. Device numbers are `first + 2 · (row · columns +
//! column)` for plus, one more for minus. The caller lends all memory; a [`Crossbar`] keeps
//!
//! * the state, the pulse number (its wear) and, where devices drift, the stamp of the last write, per device;
//! * the *read matrix*: `i16` differences of conductance as a read sees them, in 2^−15 of the range;
//! * the *row charge*: the sum of both devices' conductances along a row, so that counting a read's charge is
//!   one addition.
//!
//! Without wires and drift both are brought up to date by each pulse, exactly. With them, conductances reach the
//! columns changed, and [`Crossbar::refresh`] recomputes the matrix by integer division:
//! T = G/(1 + R·(rowterm + colterm)), with two running sums for the terms. Until then reads see the matrix of the last
//! refresh; [`Crossbar::staleness`] counts the pulses since. Idle rows are driven to 0 V, so nothing sneaks.
//!
//! Sums are exact, a device's pulses are keyed by its own number: neither the order of reads in a tick nor the
//! order in which different devices are written can change a bit.

use crate::device::{self, DeviceClass, Direction, Instance, Purpose};
use crate::draw::Draws;

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
    /// Conductance of state 0, in 2^−16 of the range.
    pub pedestal: u32,
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
    /// One per weight.
    pub matrix: &'a mut [i16],
    /// One per row.
    pub charge: &'a mut [u64],
    /// Two per column.
    pub scratch: &'a mut [u64],
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

impl Shape {
    /// Number of devices: two per weight.
    pub fn devices(&self) -> Option<usize> {
        self.rows.checked_mul(self.columns)?.checked_mul(2)
    }
}

/// A crossbar on lent memory.
#[derive(Debug)]
pub struct Crossbar<'a> {
    class: DeviceClass<'a>,
    shape: Shape,
    memory: Memory<'a>,
    tally: Tally,
    stale: u64,
}

impl<'a> Crossbar<'a> {
    /// A crossbar whose memory already holds states; call [`reset`](Self::reset) for a new one.
    /// `None` when a slice has the wrong length or device numbers exceed [`device::MOST_DEVICES`].
    pub fn new(class: DeviceClass<'a>, shape: Shape, memory: Memory<'a>) -> Option<Self> {
        let devices = shape.devices()?;
        let stamps = if class.header().drift == 1 { devices } else { 0 };
        let fits = memory.states.len() == devices
            && memory.pulses.len() == devices
            && memory.stamps.len() == stamps
            && memory.matrix.len() == devices / 2
            && memory.charge.len() == shape.rows
            && memory.scratch.len() == 2 * shape.columns
            && (u64::from(shape.first_device) + devices as u64) <= u64::from(device::MOST_DEVICES);
        fits.then_some(Self { class, shape, memory, tally: Tally::default(), stale: 0 })
    }

    /// Puts every device into its initial state, with no pulse yet, and refreshes.
    pub fn reset(&mut self, now: u32, draws: &mut impl Draws) {
        self.memory.pulses.fill(0);
        self.memory.stamps.fill(now);
        for (k, state) in self.memory.states.iter_mut().enumerate() {
            let number = self.shape.first_device + k as u32;
            let instance = self.class.instance(number, draws);
            *state = self.class.initial(number, &instance, draws);
        }
        self.refresh(now, draws);
    }

    /// What has been done so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Pulses since the read matrix was last exact.
    pub fn staleness(&self) -> u64 {
        self.stale
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
        let first = self.shape.first_device;
        let pulses = self.memory.pulses.iter().zip(first..);
        pulses.filter(|(n, number)| self.class.worn(*number, **n, draws)).count() as u64
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
        self.tally.rows += 1;
        self.tally.columns += columns as u64;
        self.tally.charge = self.tally.charge.wrapping_add(charge.wrapping_mul(times));
    }

    /// Converts column sums to codes up to ±`top` of `full_scale`, half away from zero.
    pub fn convert(&mut self, sums: &[i32], full_scale: u64, top: u32, codes: &mut [i32]) {
        for (code, sum) in codes.iter_mut().zip(sums) {
            *code = device::convert(i64::from(*sum), full_scale, top) as i32;
            self.tally.conversions += 1;
        }
    }

    /// Changes a weight by `count` pulses, up if positive, with the devices' own response.
    pub fn pulse(&mut self, row: usize, column: usize, count: i32, now: u32, draws: &mut impl Draws) {
        let Some(plus) = self.index(row, column, 0) else { return };
        let (ahead, back) = match count > 0 {
            true => (Direction::Up, Direction::Down),
            false => (Direction::Down, Direction::Up),
        };
        let before = self.live().then(|| self.seen(plus, draws));
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
        if let Some(before) = before {
            self.renew(row, plus, before, draws);
        }
    }

    /// Whether single writes reach the read matrix at once.
    fn live(&self) -> bool {
        let wires = &self.shape.wires;
        wires.row_q48 == 0 && wires.column_q48 == 0 && self.class.header().drift == 0
    }

    /// The pedestal in states.
    fn pedestal(&self) -> u64 {
        (u64::from(self.shape.wires.pedestal) << self.class.header().state_bits) >> 16
    }

    fn pulse_device(&mut self, k: usize, direction: Direction, now: u32, draws: &mut impl Draws) {
        let number = self.shape.first_device + k as u32;
        let pedestal = self.pedestal();
        let (Some(state), Some(pulses)) = (self.memory.states.get_mut(k), self.memory.pulses.get_mut(k))
        else {
            return;
        };
        let before = *state;
        if self.class.worn(number, *pulses, draws) {
            self.tally.worn_pulses += 1;
        } else {
            let instance = self.class.instance(number, draws);
            let random = device::bits(draws, Purpose::Pulse, number, *pulses);
            *state = self.class.pulse(before, direction, &instance, random);
        }
        *pulses = pulses.saturating_add(1);
        let charge = u64::from(before) + u64::from(*state) + 2 * pedestal;
        match direction {
            Direction::Up => {
                self.tally.pulses_up += 1;
                self.tally.charge_up = self.tally.charge_up.wrapping_add(charge);
            }
            Direction::Down => {
                self.tally.pulses_down += 1;
                self.tally.charge_down = self.tally.charge_down.wrapping_add(charge);
            }
        }
        if let Some(stamp) = self.memory.stamps.get_mut(k) {
            *stamp = now;
        }
        self.stale = self.stale.saturating_add(1);
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
        self.tally.verify_reads += 2;
        self.tally.resets += 2;
        let kept = zero + a.abs_diff(b);
        for (k, target) in
            [(plus, if a > b { kept } else { reset }), (plus + 1, if b > a { kept } else { reset })]
        {
            let number = self.shape.first_device + k as u32;
            let instance: Instance = self.class.instance(number, draws);
            let (Some(state), Some(pulses)) = (self.memory.states.get_mut(k), self.memory.pulses.get_mut(k))
            else {
                continue;
            };
            if !self.class.worn(number, *pulses, draws) {
                *state = self.class.program(target, number, *pulses, &instance, draws);
            }
            *pulses = pulses.saturating_add(1);
            if let Some(stamp) = self.memory.stamps.get_mut(k) {
                *stamp = now;
            }
        }
    }

    /// What a read sees of device `k`: write noise, levels, drift since its stamp.
    fn visible(&self, k: usize, now: u32, draws: &mut impl Draws) -> u32 {
        let (Some(&state), Some(&pulses)) = (self.memory.states.get(k), self.memory.pulses.get(k)) else {
            return 0;
        };
        let number = self.shape.first_device + k as u32;
        let seen = self.class.visible(state, number, pulses, draws);
        match self.memory.stamps.get(k) {
            Some(stamp) => {
                let nu = self.class.drift_exponent(state, number, pulses, draws);
                self.class.drifted(seen, u64::from(now.wrapping_sub(*stamp)), nu)
            }
            None => seen,
        }
    }

    /// What a read sees of the pair that starts at device `plus`, without drift.
    fn seen(&self, plus: usize, draws: &mut impl Draws) -> [u32; 2] {
        [self.visible(plus, 0, draws), self.visible(plus + 1, 0, draws)]
    }

    /// Conductance in 2^−24 of the range, pedestal included.
    fn conductance(&self, seen: u32) -> u64 {
        let shift = 24 - self.class.header().state_bits;
        (u64::from(seen) << shift) + (u64::from(self.shape.wires.pedestal) << 8)
    }

    /// Brings one weight of the read matrix and its row's charge up to date; `before` is what was seen of the pair.
    fn renew(&mut self, row: usize, plus: usize, before: [u32; 2], draws: &mut impl Draws) {
        let [a, b] = self.seen(plus, draws);
        let weight = clipped(read_units(self.conductance(a)) - read_units(self.conductance(b)));
        if let Some(w) = self.memory.matrix.get_mut(plus / 2) {
            *w = weight;
        }
        let (gained, lost) = (u64::from(a) + u64::from(b), before.iter().map(|s| u64::from(*s)).sum::<u64>());
        if let Some(charge) = self.memory.charge.get_mut(row) {
            *charge = charge.wrapping_add(gained).wrapping_sub(lost);
        }
        self.stale = 0;
    }

    /// Recomputes a row's charge.
    fn sum_row(&mut self, row: usize, now: u32, draws: &mut impl Draws) {
        let columns = self.shape.columns;
        let devices = 2 * row * columns..2 * (row + 1) * columns;
        let states: u64 = devices.map(|k| u64::from(self.visible(k, now, draws))).sum();
        let total = states + 2 * columns as u64 * self.pedestal();
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
        self.stale = 0;
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
                let distorted = self.dropped(full, along, below);
                self.accumulate(row * columns + column, side, distorted);
            }
        }
    }

    /// G/(1 + R_row·along + R_column·below), rounded.
    fn dropped(&self, g: u64, along: u64, below: u64) -> u64 {
        let wires = &self.shape.wires;
        let drop =
            along.saturating_mul(wires.row_q48).saturating_add(below.saturating_mul(wires.column_q48)) >> 16;
        if drop == 0 {
            return g;
        }
        let whole = (1u64 << 32).saturating_add(drop);
        (g << 32).saturating_add(whole / 2) / whole
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

/// A conductance in 2^−24 of the range, in units of the read matrix.
fn read_units(g: u64) -> i32 {
    ((g + (1 << 8)) >> 9).min(1 << 16) as i32
}

fn clipped(weight: i32) -> i16 {
    weight.clamp(-i32::from(i16::MAX), i32::from(i16::MAX)) as i16
}

/// The two scratch words of a column.
fn pair_of(scratch: &mut [u64], column: usize) -> Option<&mut [u64; 2]> {
    scratch.get_mut(2 * column..)?.first_chunk_mut::<2>()
}
