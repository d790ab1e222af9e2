//! Crossbar arrays in the machine: reads, refreshes, and rules that write by pulses.
//!
//! All rows of an array that have an event in a tick are driven at once: their sum is taken exactly, then each column
//! is sensed and converted once, and what the code stands for is added to the target's input sum. Columns of further
//! arrays add up behind their converters: partial sums are quantised before they are added.
//!
//! What is special about a device and its pulses is drawn from the image's seed, whatever draws a machine is stepped
//! with: the devices are part of the image, which has programmed them.

use crate::arena::{RUN_WORDS, run, stride};
use crate::array::{Array, Block, fixed_charge};
use crate::counters::{Count, Row, add};
use crate::crossbar::{Crossbar, Log, Memory};
use crate::device::{self, DEVICES, Purpose};
use crate::draw::{Draws, Threefry};
use crate::image::{Image, NONE, Port, Store};
use crate::machine::{Bank, Machine, counters_of, reach, touched_at};
use crate::neuron::BLOCK;
use crate::plasticity::{Columns, Moment, PreSide, Rule, Shape, Synapses, Tally, Targets};
use crate::store::{Event, Kernels, Matrix};
use crate::words::{bytes_at, word};

/// A live array with its memory.
pub(crate) struct Tile<'m> {
    array: Array,
    crossbar: Crossbar<'m>,
    /// Changes that a rule asks of one row; all zero between rows.
    asked: &'m mut [i32],
    log: &'m mut [u64],
    before: Log,
    now: u32,
    devices: Threefry,
}

/// The parts of a crossbar's block, split.
fn memory<'m>(block: &Block, bytes: &'m mut [u8], scratch: &'m mut [u64]) -> Option<Memory<'m>> {
    let (charge, rest) = bytes.get_mut(..block.bytes)?.split_at_mut_checked(block.states)?;
    let (states, rest) = rest.split_at_mut_checked(block.pulses - block.states)?;
    let (pulses, rest) = rest.split_at_mut_checked(block.stamps - block.pulses)?;
    let (stamps, rest) = rest.split_at_mut_checked(block.factors - block.stamps)?;
    let (factors, rest) = rest.split_at_mut_checked(block.matrix - block.factors)?;
    let (matrix, deviations) = rest.split_at_mut_checked(block.deviations - block.matrix)?;
    Some(Memory {
        states: bytemuck::try_cast_slice_mut(states).ok()?,
        pulses: bytemuck::try_cast_slice_mut(pulses).ok()?,
        stamps: bytemuck::try_cast_slice_mut(stamps).ok()?,
        factors: bytemuck::try_cast_slice_mut(factors).ok()?,
        matrix: bytemuck::try_cast_slice_mut(matrix).ok()?,
        deviations: bytemuck::try_cast_slice_mut(deviations).ok()?,
        charge: bytemuck::try_cast_slice_mut(charge).ok()?,
        scratch,
    })
}

impl<'a> Crossbar<'a> {
    /// The crossbar of an array on the bytes of its block; the parts are cut to their lengths.
    pub fn on_block(
        class: crate::device::DeviceClass<'a>,
        array: &Array,
        block: &Block,
        bytes: &'a mut [u8],
        scratch: &'a mut [u64],
    ) -> Option<Crossbar<'a>> {
        let shape = array.shape();
        let devices = shape.devices()?;
        let mut memory = memory(block, bytes, scratch)?;
        fn cut<T>(slice: &mut &mut [T], len: usize) {
            let whole = core::mem::take(slice);
            let len = len.min(whole.len());
            *slice = whole.split_at_mut(len).0;
        }
        cut(&mut memory.states, devices);
        cut(&mut memory.pulses, devices);
        let drifting = if memory.stamps.is_empty() { 0 } else { devices };
        cut(&mut memory.stamps, drifting);
        cut(&mut memory.factors, devices);
        cut(&mut memory.matrix, devices / 2);
        cut(&mut memory.deviations, devices / 2);
        Crossbar::new(class, shape, memory)
    }
}

impl<'m> Tile<'m> {
    /// The array of a port; `None` where it is not hosted.
    pub(crate) fn new(
        image: &Image<'m>,
        port: &Port,
        kept: u32,
        arrays: &'m mut [u64],
        plastic: &'m mut [u8],
        plastic_first: usize,
        tick: u64,
    ) -> Option<Tile<'m>> {
        let (array, class, block) = image.array_of(port)?;
        let columns = array.columns as usize;
        let kept = arrays.get_mut(kept as usize..).filter(|_| kept != NONE)?;
        let (log, rest) = kept.split_at_mut_checked(Log::WORDS)?;
        let (work, rest) = rest.split_at_mut_checked(2 * columns)?;
        let (asked, _) = rest.split_at_mut_checked(columns)?;
        let at = (port.offset as usize * 8).checked_sub(plastic_first)?;
        let bytes = plastic.get_mut(at..at.checked_add(block.bytes)?)?;
        let before = Log::from_words(log);
        let crossbar = Crossbar::on_block(class, &array, &block, bytes, work)?.resumed(before);
        let asked: &mut [i32] = bytemuck::try_cast_slice_mut(asked).ok()?;
        let now = (tick >> array.stamp_shift) as u32;
        let asked = asked.get_mut(..columns)?;
        Some(Tile { array, crossbar, asked, log, before, now, devices: Threefry::new(image.seed) })
    }

    /// Applies a rule to a row: its rounded changes become pulses.
    pub(crate) fn learn<K: Kernels, D: Draws>(
        &mut self,
        rule: &Rule,
        pre: &PreSide,
        columns: &Columns<'_>,
        (row, first_draw): (usize, u32),
        (kernels, draws): (&K, &mut D),
        moment: Moment,
    ) -> Tally {
        let count = self.array.columns as usize;
        let shape = Shape { targets: Targets::From(0), count, first_draw };
        let weights = self.crossbar.matrix().get(row * count..(row + 1) * count).unwrap_or(&[]);
        let mut asked = Asked { weights, scale: self.array.weight, changes: &mut *self.asked, any: false };
        let mut tally = rule.walk(pre, columns, &shape, &mut asked, draws, moment);
        if !asked.any {
            return tally;
        }
        if self.array.aim == 0 {
            let most = self.array.most_pulses.min(i32::MAX as u32) as i32;
            for step in self.asked.iter_mut() {
                let wanted = (*step).clamp(-most, most);
                tally.saturated += u64::from(wanted != *step);
                *step = wanted;
            }
            let changes = self.crossbar.pulse_row(row, self.asked, self.now, kernels, &mut self.devices);
            tally.changed += changes.changed;
            tally.nonzero += changes.nonzero;
            self.asked.fill(0);
            return tally;
        }
        for column in 0..count {
            let step = self.asked.get_mut(column).map_or(0, core::mem::take);
            if step != 0 {
                self.change(row, column, step, &mut tally);
            }
        }
        tally
    }

    /// Changes one weight by pulses until it reads as if each of `step` had been a nominal one.
    fn change(&mut self, row: usize, column: usize, step: i32, tally: &mut Tally) {
        let old = self.crossbar.weight(row, column);
        let aim = i64::from(old) + ((i64::from(step) * i64::from(self.array.aim)) >> 8);
        let limit = i64::from(i16::MAX);
        let (most, place) = (self.array.most_pulses, (row, column));
        let goal = (aim.clamp(-limit, limit) as i32, self.array.tolerance);
        let done = self.crossbar.pulse_until(place, goal, most, self.now, &mut self.devices);
        let new = self.crossbar.weight(row, column);
        tally.changed += u64::from(new != old);
        tally.saturated += u64::from(done == most);
        tally.nonzero += i64::from(new != 0) - i64::from(old != 0);
    }

    /// Brings the read matrix up to date, with drift up to stamp `now`.
    fn refresh(&mut self, now: u32, epoch: u64) {
        self.crossbar.refresh(now, &mut self.devices);
        let log = Log { epoch, ..*self.crossbar.log() };
        for (to, from) in self.log.iter_mut().zip(log.to_words()) {
            *to = from;
        }
    }

    /// Writes the log back, and says what has been done since the tile was made.
    pub(crate) fn finish(self) -> Work {
        let (mut log, before) = (*self.crossbar.log(), self.before);
        let work = Work::between(&self.array, &before, &mut log);
        for (to, from) in self.log.iter_mut().zip(log.to_words()) {
            *to = from;
        }
        work
    }
}

/// The changes that a rule asks of one row.
struct Asked<'r> {
    weights: &'r [i16],
    scale: crate::array::Scale,
    changes: &'r mut [i32],
    any: bool,
}

impl Synapses for Asked<'_> {
    fn limits(&self) -> (i32, i32) {
        (-(1 << 15), 1 << 15)
    }

    fn weight(&self, index: usize) -> i32 {
        self.scale.of(self.weights.get(index).map_or(0, |w| i64::from(*w))) as i32
    }

    fn change(&mut self, index: usize, step: i32, _: &mut Tally) {
        if let Some(c) = self.changes.get_mut(index) {
            *c = step;
            self.any = true;
        }
    }
}

/// What an array has done, in counters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Work {
    read_aj: u64,
    write_aj: u64,
    up: u64,
    down: u64,
    verify: u64,
    resets: u64,
    worn: u64,
}

impl Work {
    /// From one log to a later one, whose rests of energy are brought up to date: no part of a unit is lost.
    fn between(array: &Array, before: &Log, after: &mut Log) -> Work {
        let (a, b) = (&before.tally, &after.tally);
        let read = energy(b.charge.wrapping_sub(a.charge), array.read_aj);
        let resets = b.resets.wrapping_sub(a.resets);
        let written = energy(b.charge_up.wrapping_sub(a.charge_up), array.up_aj)
            + energy(b.charge_down.wrapping_sub(a.charge_down), array.down_aj)
            + ((u128::from(resets) * u128::from(array.reset_aj)) << array.energy_shift);
        Work {
            up: b.pulses_up.wrapping_sub(a.pulses_up),
            down: b.pulses_down.wrapping_sub(a.pulses_down),
            verify: b.verify_reads.wrapping_sub(a.verify_reads),
            worn: b.worn_pulses.wrapping_sub(a.worn_pulses),
            resets,
            read_aj: whole(read, array.energy_shift, &mut after.read_rest),
            write_aj: whole(written, array.energy_shift, &mut after.write_rest),
        }
    }

    /// Adds to a row of counters.
    pub(crate) fn count(&self, row: &mut Row) {
        for (count, n) in [
            (Count::CrossbarCharge, self.read_aj),
            (Count::PulseEnergy, self.write_aj),
            (Count::PulsesUp, self.up),
            (Count::PulsesDown, self.down),
            (Count::VerifyReads, self.verify),
            (Count::Resets, self.resets),
            (Count::WornPulses, self.worn),
        ] {
            add(row, count, n);
        }
    }
}

fn energy(charge: u64, aj: u32) -> u128 {
    u128::from(charge) * u128::from(aj)
}

/// The whole units of an energy in 2^−shift; what is left is kept for the next time.
fn whole(energy: u128, shift: u32, rest: &mut u64) -> u64 {
    let total = energy + u128::from(*rest);
    *rest = (total & ((1u128 << shift) - 1)) as u64;
    (total >> shift) as u64
}

impl Bank<'_, '_> {
    /// Drives the rows of an array that have an event, and senses its columns.
    #[inline(never)]
    pub(crate) fn read_array<K: Kernels>(&mut self, q: u32, port: &Port, events: &[Event], kernels: &K) {
        let kept = word(self.port_arrays, q as usize);
        let Some((array, block)) = self.image.block_of(port).filter(|_| kept != NONE) else { return };
        let (first, rows, columns) = (array.row_first as i32, array.rows as i32, array.columns as usize);
        let start = events.partition_point(|e| e[0] < first);
        let end = events.partition_point(|e| e[0] < first + rows);
        let Some(events) = events.get(start..end).filter(|e| !e.is_empty()) else { return };
        let live = array.is_live(port);
        let at = port.offset as usize * 8;
        let bytes = match live {
            true => bytes_at(self.plastic, at.wrapping_sub(self.plastic_first), block.bytes),
            false => bytes_at(self.image.data, at, block.bytes),
        };
        let Some(kept) = self.arrays.get_mut(kept as usize..) else { return };
        let Some((log, rest)) = kept.split_at_mut_checked(Log::WORDS) else { return };
        let sums: &mut [i32] = bytemuck::try_cast_slice_mut(rest).unwrap_or_default();
        let Some((work, sums)) = sums.split_at_mut_checked(4 * columns) else { return };
        let Some(sums) = sums.get_mut(..columns) else { return };
        sums.fill(0);
        let matrix = Matrix {
            bytes: bytes_at(bytes, block.matrix, 2 * rows as usize * columns),
            stride: 2 * columns,
            bits: 16,
        };
        let mut charge = 0u64;
        for part in events.chunks(LOCAL) {
            // Rows count from the array's first.
            let mut local = [[0i32; 2]; LOCAL];
            for (to, from) in local.iter_mut().zip(part) {
                *to = [from[0] - first, from[1]];
                let row = fixed_charge(bytes, to[0] as usize);
                charge = charge.wrapping_add(row.wrapping_mul(from[1].unsigned_abs().into()));
            }
            kernels.dense(sums, matrix, local.get(..part.len()).unwrap_or(&[]));
        }
        if block.deviations < block.bytes {
            let deviations = bytes_at(bytes, block.deviations, 2 * rows as usize * columns);
            let variances: &mut [u64] = bytemuck::try_cast_slice_mut(work).unwrap_or_default();
            add_read_noise(&array, events, deviations, variances, sums, (self.image.seed, self.tick));
        }
        let Some(target) = self.image.piece(port.target) else { return };
        let base = word(self.run, port.target as usize * RUN_WORDS + run::STATE) as usize;
        let at = base + stride(target.count) * port.group as usize + array.column_first as usize;
        let Some(inputs) = self.state.get_mut(at..at + columns) else { return };
        array.contribute(inputs, sums);
        sums.fill(0);
        reach(self.run, self.busy, port.target, 1);
        let first = word(self.run, port.target as usize * RUN_WORDS + run::ACTIVE);
        if let Some(at) = touched_at(target.count, target.flags, first) {
            for j in array.column_first as usize..array.column_first as usize + columns {
                if let Some(word) = self.active.get_mut(at + j / BLOCK) {
                    *word |= 1 << (j % BLOCK);
                }
            }
        }
        let before = Log::from_words(log);
        let mut after = before;
        let (n, columns) = (events.len() as u64, columns as u64);
        after.tally.rows = after.tally.rows.wrapping_add(n);
        after.tally.columns = after.tally.columns.wrapping_add(columns);
        after.tally.charge = after.tally.charge.wrapping_add(charge);
        after.tally.conversions = after.tally.conversions.wrapping_add(columns);
        let work = Work::between(&array, &before, &mut after);
        for (to, from) in log.iter_mut().zip(after.to_words()) {
            *to = from;
        }
        if K::COUNTS
            && let Some(row) = counters_of(self.counters, port.target)
        {
            let unit = events.iter().filter(|e| e[1].unsigned_abs() == 1).count() as u64;
            add(row, Count::StoredEvents, n * columns);
            add(row, Count::EffectiveEvents, n * columns);
            add(row, Count::Accumulates, unit * columns);
            add(row, Count::MultiplyAccumulates, (n - unit) * columns);
            add(row, Count::Rows, n);
            add(row, Count::CrossbarRows, n);
            add(row, Count::CrossbarColumns, columns);
            add(row, Count::Conversions, columns);
            work.count(row);
        }
    }
}

/// Adds to each column's sum the noise of this read: one deviate for all its devices, whose variances add. Noise takes a
/// sum no further than the rows driven could.
#[inline(never)]
fn add_read_noise(
    array: &Array,
    events: &[Event],
    deviations: &[u8],
    variances: &mut [u64],
    sums: &mut [i32],
    (seed, tick): (u64, u64),
) {
    let columns = sums.len();
    let variances = variances.get_mut(..columns).unwrap_or_default();
    variances.fill(0);
    let mut drive = 0u64;
    for e in events {
        let row = (e[0] as usize).wrapping_sub(array.row_first as usize);
        let payload = u64::from(e[1].unsigned_abs());
        drive = drive.saturating_add(payload);
        let row = bytes_at(deviations, 2 * row * columns, 2 * columns).as_chunks::<2>().0;
        for (variance, deviation) in variances.iter_mut().zip(row) {
            let one = payload * u64::from(u16::from_le_bytes(*deviation));
            *variance = variance.saturating_add(one.saturating_mul(one));
        }
    }
    let most = (drive << 15).min(i32::MAX as u64) as i64;
    let mut draws = Threefry::<13>::new(seed);
    let first = array.first_device;
    for ((sum, variance), column) in sums.iter_mut().zip(&*variances).zip((first..).step_by(2)) {
        let bits = draws.draw(DEVICES, tick, device::address(Purpose::Read, column));
        let noisy = i64::from(*sum) + device::read_error(*variance, bits);
        *sum = noisy.clamp(-most, most) as i32;
    }
}

/// Events that a read takes at once.
const LOCAL: usize = 64;

/// A crossbar array of a machine, to be looked at.
#[derive(Clone, Copy, Debug)]
pub struct View<'m> {
    /// What the image says of it.
    pub array: Array,
    /// What it has done since the machine started, and how old its read matrix is.
    pub log: Log,
    /// The read matrix, row after row, in 2^−15 of the range.
    pub matrix: &'m [i16],
    /// The deviation of one read of each weight, in 2^−17 of the range; empty where reads are not noisy.
    pub deviations: &'m [u16],
    /// States of the devices, plus before minus; empty where the array is fixed.
    pub states: &'m [u32],
    /// Pulses that each device has had; empty where the array is fixed.
    pub pulses: &'m [u32],
}

impl Machine<'_> {
    /// Refreshes the arrays whose interval has begun; as of its first tick, however late it is noticed.
    pub(crate) fn refresh_arrays(&mut self) {
        if !self.arrays.is_empty() {
            self.refresh_due_arrays();
        }
    }

    /// Out of line: what networks without crossbars need not set aside on the stack.
    #[inline(never)]
    fn refresh_due_arrays(&mut self) {
        for i in 0..self.image.ports {
            let Some(port) = self.image.port(i).filter(|p| p.store == Store::Crossbar) else { continue };
            let Some(array) = self.image.array(port.device).filter(|a| a.refresh != 0) else { continue };
            let kept = word(self.port_arrays, i as usize);
            let epoch = self.tick / u64::from(array.refresh);
            let known = self.arrays.get(kept as usize..).map(Log::from_words);
            if kept == NONE || known.is_none_or(|log| log.epoch == epoch) {
                continue;
            }
            let tick = epoch * u64::from(array.refresh);
            if let Some(mut tile) = self.tile(i, &port, tick) {
                tile.refresh((tick >> array.stamp_shift) as u32, epoch);
            }
        }
    }

    /// The live array of a port.
    fn tile(&mut self, i: u32, port: &Port, tick: u64) -> Option<Tile<'_>> {
        let first = self.image.core(self.cores.start).map_or(0, |c| c.plastic_first as usize * 8);
        let kept = word(self.port_arrays, i as usize);
        Tile::new(&self.image, port, kept, self.arrays, self.plastic, first, tick)
    }

    /// The crossbar array of a port; `None` for other ports, and for arrays of cores that live elsewhere.
    pub fn array(&self, i: u32) -> Option<View<'_>> {
        let port = self.image.port(i).filter(|p| p.store == Store::Crossbar)?;
        let (array, block) = self.image.block_of(&port)?;
        let kept = Some(word(self.port_arrays, i as usize)).filter(|k| *k != NONE)?;
        let live = array.is_live(&port);
        let first = self.image.core(self.cores.start).map_or(0, |c| c.plastic_first as usize * 8);
        let at = port.offset as usize * 8;
        let bytes = match live {
            true => bytes_at(self.plastic, at.checked_sub(first)?, block.bytes),
            false => bytes_at(self.image.data, at, block.bytes),
        };
        let devices = array.shape().devices()?;
        let live = if live { devices } else { 0 };
        let words = |at: usize| bytemuck::try_cast_slice(bytes_at(bytes, at, 4 * live)).unwrap_or_default();
        Some(View {
            array,
            log: Log::from_words(self.arrays.get(kept as usize..)?),
            matrix: bytemuck::try_cast_slice(bytes_at(bytes, block.matrix, devices)).ok()?,
            deviations: match block.deviations < block.bytes {
                true => bytemuck::try_cast_slice(bytes_at(bytes, block.deviations, devices)).ok()?,
                false => &[],
            },
            states: words(block.states),
            pulses: words(block.pulses),
        })
    }

    /// Worn-out devices of the live array of a port.
    pub fn worn_devices(&self, i: u32) -> u64 {
        self.devices_that(i, |class, number, pulses, draws| class.worn(number, pulses, draws))
    }

    /// Devices of the live array of a port that never worked.
    pub fn stuck_devices(&self, i: u32) -> u64 {
        self.devices_that(i, |class, number, _, draws| class.instance(number, draws).stuck.is_some())
    }

    /// How many devices of the live array of a port are as `is` says by class, number and pulses.
    fn devices_that(
        &self,
        i: u32,
        is: impl Fn(&crate::device::DeviceClass<'_>, u32, u32, &mut Threefry) -> bool,
    ) -> u64 {
        let draws = &mut Threefry::new(self.image.seed);
        let Some(view) = self.array(i) else { return 0 };
        let Some(class) = self.image.device_class(view.array.class) else { return 0 };
        let (shape, pulses) = (view.array.shape(), view.pulses.iter().enumerate());
        pulses.filter(|(k, n)| is(&class, shape.number(*k), **n, draws)).count() as u64
    }
}
