//! What a board says: one line per fact, words separated by blanks.
//!
//! ```text
//! synop 1 image CHECKSUM
//! s TICK PIECE NEURON PAYLOAD        a spike
//! v TICK PIECE V…                    membranes of a watched piece
//! n READING PIECE COUNT…             spike counts that were asked for
//! m READING PIECE V…                 membranes that were asked for
//! skipped BYTES                      bytes of the input that were no frame
//! c PIECE COUNT…                     counters, in the core's order
//! w HEX                              plastic memory, as it was learnt, line by line
//! instructions rows R neurons N rules L upkeep U outside O   (or `cycles …`)
//! stack BYTES                        the deepest that the stack ever was
//! error CODE TEXT
//! end CODE
//! ```

use crate::clock::Clock;
use crate::host::Output;
use core::fmt::Write;
use synop_core::session::Outlet;
use synop_core::{Machine, Observer, Work};

/// Tells what happens as it happens, or counts what it takes. One type for both runs of a board, so that the
/// machine's code is in flash once.
pub(crate) struct Reporter<'o> {
    pub(crate) out: &'o mut Output,
    /// Tell every spike.
    pub(crate) spikes: bool,
    /// Count instead of telling.
    pub(crate) meter: Option<Meter>,
    readings: u32,
}

impl<'o> Reporter<'o> {
    pub(crate) fn new(out: &'o mut Output, spikes: bool) -> Self {
        Reporter { out, spikes, meter: None, readings: 0 }
    }
}

impl Observer for Reporter<'_> {
    fn spike(&mut self, tick: u64, piece: u32, neuron: u32, payload: i32) {
        if self.spikes {
            tell_spike(self.out, tick, piece, neuron, payload);
        }
    }

    #[inline(always)]
    fn enters(&mut self, work: Work) {
        if let Some(meter) = &mut self.meter {
            meter.enters(work);
        }
    }
}

#[inline(never)]
fn tell_spike(out: &mut Output, tick: u64, piece: u32, neuron: u32, payload: i32) {
    let _ = writeln!(out, "s {tick} {piece} {neuron} {payload}");
}

impl Outlet for Reporter<'_> {
    fn read(&mut self, piece: u32, counts: &[i32], membranes: &[i32]) {
        if self.meter.is_some() {
            return;
        }
        for (name, values) in [('n', counts), ('m', membranes)] {
            if !values.is_empty() {
                let _ = write!(self.out, "{name} {} {piece}", self.readings);
                list(self.out, values);
            }
        }
        self.readings += 1;
    }

    fn membranes(&mut self, tick: u64, piece: u32, membranes: &[i32]) {
        if self.spikes {
            let _ = write!(self.out, "v {tick} {piece}");
            list(self.out, membranes);
        }
    }
}

fn list(out: &mut Output, values: &[i32]) {
    for v in values {
        let _ = write!(out, " {v}");
    }
    let _ = out.write_str("\n");
}

/// Counters and learnt weights.
pub(crate) fn results(out: &mut Output, machine: &Machine<'_>) {
    for piece in 0..machine.image().pieces {
        let _ = write!(out, "c {piece}");
        for count in machine.counters(piece).row() {
            let _ = write!(out, " {count}");
        }
        let _ = out.write_str("\n");
    }
    for line in machine.plastic().chunks(64) {
        let _ = out.write_str("w ");
        for byte in line {
            let _ = write!(out, "{byte:02x}");
        }
        let _ = out.write_str("\n");
    }
}

/// Counts what each kind of work takes.
pub(crate) struct Meter {
    clock: Clock,
    cycles: bool,
    work: Work,
    then: u32,
    ticks: [u64; 5],
    marks: [u32; 5],
}

impl Meter {
    pub(crate) fn new(cycles: bool) -> Self {
        let clock = Clock::start(cycles);
        Meter { clock, cycles, work: Work::Outside, then: clock.now().0, ticks: [0; 5], marks: [0; 5] }
    }

    /// What an empty interval reads: the cost of measuring.
    fn empty(&self) -> u64 {
        const TRIES: u64 = 64;
        let mut probe = Meter::new(self.cycles);
        for _ in 0..TRIES {
            probe.enters(core::hint::black_box(Work::Rows));
        }
        probe.ticks.iter().sum::<u64>() / TRIES
    }

    /// Says what was counted, in instructions or cycles.
    pub(crate) fn tell(&self, out: &mut Output) {
        let scale = self.clock.scale();
        let empty = self.empty();
        let _ = out.write_str(if self.cycles { "cycles" } else { "instructions" });
        for (i, name) in ["rows", "neurons", "rules", "upkeep", "outside"].iter().enumerate() {
            let (ticks, marks) = (self.ticks.get(i).copied(), self.marks.get(i).copied());
            let ticks = ticks.unwrap_or(0).saturating_sub(empty * u64::from(marks.unwrap_or(0)));
            let _ = write!(out, " {name} {}", ticks * scale.instructions / scale.ticks);
        }
        let _ = out.write_str("\n");
    }
}

impl Meter {
    #[inline(never)]
    fn enters(&mut self, work: Work) {
        let passed = self.clock.since(self.then, self.clock.now());
        let i = self.work as usize;
        if let (Some(ticks), Some(marks)) = (self.ticks.get_mut(i), self.marks.get_mut(i)) {
            *ticks += u64::from(passed);
            *marks += 1;
        }
        self.work = work;
        (self.then, _) = self.clock.now();
    }
}
