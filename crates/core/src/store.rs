//! Row reads: how the synapses of a spike reach the input sums.
//!
//! [`Kernels`] has one method per kind of store, and the neuron update beside them. The provided bodies are
//! the reference: plain safe loops that run anywhere. A host may override them with SIMD; sums are exact, so
//! the order of additions cannot change a bit and every override must give equal sums.

use crate::binary;
use crate::crossbar::{Pulsed, Pulsing};
use crate::image::{SEGMENT_WORDS, Segment};
use crate::neuron::{self, BLOCK, Outcome, Params, State};
use crate::plasticity::{SampleBits, TILE, TileChange, TileTally, change_tile};

/// An event as a row read sees it: the neuron's number in its piece, and the payload.
pub type Event = [i32; 2];

/// A matrix of packed weights: one row per source neuron.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// Bytes of all rows.
    pub bytes: &'a [u8],
    /// Bytes from row to row.
    pub stride: usize,
    /// Bits of a weight: 1 (−1 or +1), 2, 4, 8, 16 (two's complement).
    pub bits: u32,
}

impl<'a> Matrix<'a> {
    /// The bytes of a row.
    #[inline(always)]
    pub fn row(&self, i: i32) -> &'a [u8] {
        let at = (i as usize).saturating_mul(self.stride);
        self.bytes.get(at..at.saturating_add(self.stride)).unwrap_or(&[])
    }
}

/// One segment of a sparse row.
#[derive(Clone, Copy, Debug)]
pub struct SparseRow<'a> {
    /// Targets, ascending: numbers in the target piece.
    pub targets: &'a [u16],
    /// Packed weights, or empty where one weight serves all.
    pub weights: &'a [u8],
    /// Bits of a weight; 0: `weight` serves all.
    pub bits: u32,
    /// The common weight.
    pub weight: i32,
}

/// Sparse rows of a delay class, as they stand in an image, and what is to be read of them.
#[derive(Clone, Copy, Debug)]
pub struct SparseRows<'a> {
    /// First segment of each row; the next entry is the end.
    pub index: &'a [u32],
    /// Entries from one row to the next.
    pub stride: u32,
    /// Records of segments, see [`Segment`].
    pub segments: &'a [[u32; SEGMENT_WORDS]],
    /// What the records point to, targets and then weights, in units of two bytes.
    pub halves: &'a [u16],
    /// Which segment of each row.
    pub nth: u32,
    /// Behind the last segment of a row that is read at all.
    pub end: u32,
    /// Its port, or [`NONE`](crate::image::NONE) where all that are read are alike.
    pub port: u32,
    /// The weight of all its synapses, where they have none of their own.
    pub one: Option<i32>,
    /// Whether every payload counts as one that is only added.
    pub changes: bool,
}

impl<'a> SparseRows<'a> {
    /// First and end segment of row `i`.
    #[inline(always)]
    pub fn row(&self, i: u32) -> Option<&'a [u32; 2]> {
        self.index.get((i as usize).wrapping_mul(self.stride as usize)..)?.first_chunk()
    }
}

/// What [`Kernels::sparse_run`] read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SparseRun {
    /// Events that are done with.
    pub events: usize,
    /// Segments of the longest of their rows, or of the row at which the run stopped.
    pub most: u32,
    /// Segments read.
    pub rows: u32,
    /// Synapses read; at most 2¹⁶ segments of less than 2¹⁶.
    pub stored: u32,
    /// Non-zero weights that were added.
    pub accumulates: u32,
    /// Non-zero weights that were multiplied.
    pub multiplies: u32,
}

/// Weight `j` of packed bytes.
#[inline(always)]
pub fn weight_at(bytes: &[u8], bits: u32, j: usize) -> i32 {
    match bits {
        8 => bytes.get(j).map_or(0, |b| i32::from(*b as i8)),
        16 => match bytes.get(j * 2..).and_then(|b| b.first_chunk::<2>()) {
            Some(b) => i32::from(i16::from_le_bytes(*b)),
            None => 0,
        },
        4 => {
            let b = bytes.get(j / 2).copied().unwrap_or(0);
            let nibble = if j.is_multiple_of(2) { b << 4 } else { b & 0xf0 };
            i32::from(nibble as i8 >> 4)
        }
        2 => {
            let b = bytes.get(j / 4).copied().unwrap_or(0);
            i32::from((b << (6 - 2 * (j % 4))) as i8 >> 6)
        }
        1 => {
            let b = bytes.get(j / 8).copied().unwrap_or(0);
            i32::from(b >> (j % 8) & 1) * 2 - 1
        }
        _ => 0,
    }
}

/// Stores weight `j` into packed bytes; a weight outside of the container is not stored.
#[inline(always)]
pub fn set_weight(bytes: &mut [u8], bits: u32, j: usize, w: i32) {
    match bits {
        8 => {
            if let (Some(b), Ok(w)) = (bytes.get_mut(j), i8::try_from(w)) {
                *b = w as u8;
            }
        }
        16 => {
            if let (Some(b), Ok(w)) =
                (bytes.get_mut(j * 2..).and_then(|b| b.first_chunk_mut::<2>()), i16::try_from(w))
            {
                *b = w.to_le_bytes();
            }
        }
        4 => {
            if let (Some(b), -8..=7) = (bytes.get_mut(j / 2), w) {
                let shift = 4 * (j % 2);
                *b = *b & !(0x0f << shift) | ((w as u8 & 0x0f) << shift);
            }
        }
        2 => {
            if let (Some(b), -2..=1) = (bytes.get_mut(j / 4), w) {
                let shift = 2 * (j % 4);
                *b = *b & !(0x03 << shift) | ((w as u8 & 0x03) << shift);
            }
        }
        1 => {
            if let Some(b) = bytes.get_mut(j / 8) {
                let shift = j % 8;
                *b = *b & !(1 << shift) | (u8::from(w > 0) << shift);
            }
        }
        _ => {}
    }
}

/// Samples that run side by side.
pub const LANES: usize = 16;

/// One number for each of the samples that run side by side.
pub type Lanes = [i32; LANES];

/// A loop in plain safe code that gains from being compiled for the very processor: [`Kernels::run`]. `run` should be
/// inlined always.
pub trait Loop {
    /// What it comes to.
    type Output;

    /// Runs it.
    fn run(self) -> Self::Output;
}

/// The loops of a machine.
pub trait Kernels {
    /// Whether the machine counts. A bench may switch it off to see what counting costs.
    const COUNTS: bool = true;

    /// Whether [`Kernels::soon`] does something.
    const FETCHES: bool = false;

    /// Bits of the weights of rows that [`Kernels::sparse_run`] takes; 0: one weight for all.
    const RUNS: &[u32] = &[];

    /// Adds a batch of dense rows: `sums[j] += payload · w[row][j]`.
    #[inline]
    fn dense(&self, sums: &mut [i32], matrix: Matrix<'_>, events: &[Event]) {
        dense(sums, matrix, events);
    }

    /// Adds a batch of bit rows: `sums[j] += payload · weight` where bit j is set.
    #[inline]
    fn bits(&self, sums: &mut [i32], matrix: Matrix<'_>, weight: i32, events: &[Event]) {
        bits(sums, matrix, weight, events);
    }

    /// Adds a sparse row: `sums[target] += payload · w`. `next` are bytes that will be read soon: a kernel
    /// may prefetch them.
    #[inline]
    fn sparse(&self, sums: &mut [i32], row: SparseRow<'_>, payload: i32, next: &[u8]) {
        let _ = next;
        sparse(sums, row, payload);
    }

    /// Adds sparse rows of fixed 8-bit weights, or of one weight, for as many of the first events as it likes, as long as
    /// the segments belong to the port. Rows that it leaves are read one by one by [`Kernels::sparse`].
    #[inline(always)]
    fn sparse_run(&self, sums: &mut [i32], rows: &SparseRows<'_>, events: &[Event]) -> SparseRun {
        let _ = (sums, rows, events);
        SparseRun::default()
    }

    /// Updates a block of neurons of the leaky-integrate-and-fire family.
    #[inline]
    fn lif(&self, params: &Params<'_>, state: State<'_>, spikes: &mut [i32; BLOCK]) -> Outcome {
        neuron::update(params, state, spikes)
    }

    /// Updates a block of binary neurons, as [`binary::update`].
    #[inline]
    fn binary(
        &self,
        fields: &[i32; BLOCK],
        self_coupling: i32,
        keep_ties: bool,
        states: &mut [i32],
        changes: &mut [i32; BLOCK],
    ) -> u64 {
        binary::update(fields, self_coupling, keep_ties, states, changes)
    }

    /// Updates up to [`RUN`] blocks of neurons that send at most one spike per tick: as [`Kernels::lif`] block
    /// by block. Bit j of word b is neuron j of block b; returns the saturated states.
    #[inline]
    fn lif_run(&self, params: &Params<'_>, mut state: State<'_>, out: &mut RunOutcome) -> u32 {
        let mut saturated = 0;
        for (b, (moved, spikes)) in out.moved.iter_mut().zip(&mut out.spikes).enumerate() {
            if b * BLOCK >= state.v.len() {
                break;
            }
            let outcome = self.lif(&params.block(b), state.block(b), &mut [0; BLOCK]);
            (*moved, *spikes) = (outcome.moved, outcome.spikes);
            out.awake += outcome.moved.count_ones();
            saturated += outcome.saturated;
        }
        saturated
    }

    /// Puts an event of payload 1 for every bit of `spikes` (bit j of word b is neuron `first` + 64 b + j) into `events`,
    /// as long as there is room, and adds 1 to the neuron's entry of `counts`, which begin with neuron `first`. Returns the
    /// number of events.
    #[inline]
    fn send(&self, spikes: &[u64; RUN], first: i32, counts: &mut [i32], events: &mut [Event]) -> usize {
        send(spikes, first, counts, events)
    }

    /// Pulses the leading columns of a row of memristive pairs, as many as it likes (also none), and says how many
    /// ([`Pulsed::columns`]): the caller does the others, with equal bits.
    #[inline]
    fn pulse(&self, row: Pulsing<'_, '_>) -> Pulsed {
        let _ = row;
        Pulsed::default()
    }

    /// Bytes that will be read soon, though not by the next row read: a kernel may prefetch them.
    #[inline]
    fn soon(&self, bytes: &[u8]) {
        let _ = bytes;
    }

    /// Adds dense rows to samples side by side: `sums[j][sample] += payloads[event][sample] · w[row][j]`.
    #[inline]
    fn dense_lanes(&self, sums: &mut [Lanes], matrix: Matrix<'_>, events: &[Event], payloads: &[Lanes]) {
        dense_lanes(sums, matrix, events, payloads);
    }

    /// Changes the weights of up to sixteen synapses of one row for all samples that its neuron (`pre`) and their
    /// targets (`posts`) remember.
    #[inline]
    fn change_tile(
        &self,
        change: &TileChange,
        pre: SampleBits,
        posts: &[SampleBits; TILE],
        weights: &mut [i32; TILE],
    ) -> TileTally {
        change_tile(change, pre, posts, weights)
    }

    /// Runs a loop: a host may have it compiled with all that its processor can do.
    #[inline]
    fn run<L: Loop>(&self, work: L) -> L::Output {
        work.run()
    }
}

/// Blocks of one [`Kernels::lif_run`].
pub const RUN: usize = 16;

/// What [`Kernels::lif_run`] came to: one word per block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunOutcome {
    /// Neurons that had input or whose state changed.
    pub moved: [u64; RUN],
    /// Neurons that spiked.
    pub spikes: [u64; RUN],
    /// How many moved.
    pub awake: u32,
}

/// The reference loops.
#[derive(Clone, Copy, Debug, Default)]
pub struct Portable;

impl Kernels for Portable {}

/// The loops for a microcontroller: no vectors, little stack.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scalar;

impl Kernels for Scalar {
    const RUNS: &[u32] = &[8];

    #[inline]
    fn dense(&self, sums: &mut [i32], matrix: Matrix<'_>, events: &[Event]) {
        if matrix.bits == 8 {
            dense_in_pairs(sums, matrix, events);
        } else {
            dense(sums, matrix, events);
        }
    }

    #[inline(always)]
    fn sparse(&self, sums: &mut [i32], row: SparseRow<'_>, payload: i32, _: &[u8]) {
        sparse_alone(sums, &row, payload);
    }

    #[inline(always)]
    fn sparse_run(&self, sums: &mut [i32], rows: &SparseRows<'_>, events: &[Event]) -> SparseRun {
        sparse_run(sums, rows, events)
    }

    #[inline]
    fn lif(&self, params: &Params<'_>, state: State<'_>, spikes: &mut [i32; BLOCK]) -> Outcome {
        neuron::update_singly(params, state, spikes)
    }
}

/// The loops of `K`, compiled once more, with or without counting: what tells the cost of counting.
#[derive(Clone, Copy, Debug, Default)]
pub struct Again<K, const COUNTS: bool>(pub K);

impl<K: Kernels, const COUNTS: bool> Kernels for Again<K, COUNTS> {
    const COUNTS: bool = COUNTS;
    const FETCHES: bool = K::FETCHES;
    const RUNS: &[u32] = K::RUNS;
    #[inline]
    fn sparse_run(&self, sums: &mut [i32], rows: &SparseRows<'_>, events: &[Event]) -> SparseRun {
        self.0.sparse_run(sums, rows, events)
    }
    #[inline]
    fn dense(&self, sums: &mut [i32], matrix: Matrix<'_>, events: &[Event]) {
        self.0.dense(sums, matrix, events);
    }
    #[inline]
    fn bits(&self, sums: &mut [i32], matrix: Matrix<'_>, weight: i32, events: &[Event]) {
        self.0.bits(sums, matrix, weight, events);
    }
    #[inline]
    fn sparse(&self, sums: &mut [i32], row: SparseRow<'_>, payload: i32, next: &[u8]) {
        self.0.sparse(sums, row, payload, next);
    }
    #[inline]
    fn lif(&self, params: &Params<'_>, state: State<'_>, spikes: &mut [i32; BLOCK]) -> Outcome {
        self.0.lif(params, state, spikes)
    }
    #[inline]
    fn binary(
        &self,
        fields: &[i32; BLOCK],
        self_coupling: i32,
        keep_ties: bool,
        states: &mut [i32],
        changes: &mut [i32; BLOCK],
    ) -> u64 {
        self.0.binary(fields, self_coupling, keep_ties, states, changes)
    }
    #[inline]
    fn lif_run(&self, params: &Params<'_>, state: State<'_>, out: &mut RunOutcome) -> u32 {
        self.0.lif_run(params, state, out)
    }
    #[inline]
    fn send(&self, spikes: &[u64; RUN], first: i32, counts: &mut [i32], events: &mut [Event]) -> usize {
        self.0.send(spikes, first, counts, events)
    }
    #[inline]
    fn soon(&self, bytes: &[u8]) {
        self.0.soon(bytes);
    }
    #[inline]
    fn dense_lanes(&self, sums: &mut [Lanes], matrix: Matrix<'_>, events: &[Event], payloads: &[Lanes]) {
        self.0.dense_lanes(sums, matrix, events, payloads);
    }
    #[inline]
    fn change_tile(
        &self,
        change: &TileChange,
        pre: SampleBits,
        posts: &[SampleBits; TILE],
        weights: &mut [i32; TILE],
    ) -> TileTally {
        self.0.change_tile(change, pre, posts, weights)
    }
    #[inline]
    fn run<L: Loop>(&self, work: L) -> L::Output {
        self.0.run(work)
    }
}

/// Reference for [`Kernels::dense`].
#[inline(always)]
pub fn dense(sums: &mut [i32], matrix: Matrix<'_>, events: &[Event]) {
    for &[i, payload] in events {
        let row = matrix.row(i);
        match matrix.bits {
            8 if payload == 1 => {
                for (s, w) in sums.iter_mut().zip(row) {
                    *s = s.wrapping_add(i32::from(*w as i8));
                }
            }
            8 => {
                for (s, w) in sums.iter_mut().zip(row) {
                    *s = s.wrapping_add(i32::from(*w as i8).wrapping_mul(payload));
                }
            }
            16 => {
                for (s, w) in sums.iter_mut().zip(row.chunks_exact(2)) {
                    if let Some(w) = w.first_chunk::<2>() {
                        *s = s.wrapping_add(i32::from(i16::from_le_bytes(*w)).wrapping_mul(payload));
                    }
                }
            }
            bits => {
                for (j, s) in sums.iter_mut().enumerate() {
                    *s = s.wrapping_add(weight_at(row, bits, j).wrapping_mul(payload));
                }
            }
        }
    }
}

/// Reference for [`Kernels::dense_lanes`].
#[inline(always)]
pub fn dense_lanes(sums: &mut [Lanes], matrix: Matrix<'_>, events: &[Event], payloads: &[Lanes]) {
    for (&[i, _], &payload) in events.iter().zip(payloads) {
        let row = matrix.row(i);
        match matrix.bits {
            16 => {
                for (s, w) in sums.iter_mut().zip(row.as_chunks::<2>().0) {
                    add_lanes(s, payload, i32::from(i16::from_le_bytes(*w)));
                }
            }
            8 => {
                for (s, w) in sums.iter_mut().zip(row) {
                    add_lanes(s, payload, i32::from(*w as i8));
                }
            }
            bits => {
                for (j, s) in sums.iter_mut().enumerate() {
                    add_lanes(s, payload, weight_at(row, bits, j));
                }
            }
        }
    }
}

/// `sums += payload · w`, lane by lane. By value: no lane is written under another that is still to be read, so that
/// all stay in one register.
#[inline(always)]
pub(crate) fn add_lanes(sums: &mut Lanes, payload: Lanes, w: i32) {
    let mut new = *sums;
    for (s, p) in new.iter_mut().zip(payload) {
        *s = s.wrapping_add(p.wrapping_mul(w));
    }
    *sums = new;
}

/// Dense rows of 8-bit weights, two at a time, so that a sum is read and written once for both.
#[inline(never)]
fn dense_in_pairs(sums: &mut [i32], matrix: Matrix<'_>, events: &[Event]) {
    let mut rest = events;
    while let [[i, p], [j, q], tail @ ..] = rest {
        let (a, b, p, q) = (matrix.row(*i), matrix.row(*j), *p, *q);
        if p == 1 && q == 1 {
            add_pair(sums, a, b, |a, b| a.wrapping_add(b));
        } else {
            add_pair(sums, a, b, |a, b| a.wrapping_mul(p).wrapping_add(b.wrapping_mul(q)));
        }
        rest = tail;
    }
    dense(sums, matrix, rest);
}

/// `sums[j] += of(a[j], b[j])`, four at a time.
#[inline(always)]
fn add_pair(sums: &mut [i32], a: &[u8], b: &[u8], of: impl Fn(i32, i32) -> i32) {
    let add = |s: &mut i32, a: u8, b: u8| *s = s.wrapping_add(of(i32::from(a as i8), i32::from(b as i8)));
    let ((fours, rest), (a4, _), (b4, _)) =
        (sums.as_chunks_mut::<4>(), a.as_chunks::<4>(), b.as_chunks::<4>());
    let whole = fours.len();
    for (([s, t, u, v], [a, c, e, g]), [b, d, f, h]) in fours.iter_mut().zip(a4).zip(b4) {
        add(s, *a, *b);
        add(t, *c, *d);
        add(u, *e, *f);
        add(v, *g, *h);
    }
    // Rows may be padded beyond the sums.
    let done = 4 * whole;
    let (a, b) = (a.get(done..).unwrap_or(&[]), b.get(done..).unwrap_or(&[]));
    for ((s, a), b) in rest.iter_mut().zip(a).zip(b) {
        add(s, *a, *b);
    }
}

/// Rows of few synapses one after the other, with little between them, as long as they bring the same payload. Out of
/// line: the loop has the few registers of a small processor for itself.
#[inline(never)]
fn sparse_run(sums: &mut [i32], rows: &SparseRows<'_>, events: &[Event]) -> SparseRun {
    let &SparseRows { nth, port, changes, .. } = rows;
    let common = events.first().map_or(0, |e| e[1]);
    let mut run = SparseRun::default();
    let (mut rest, mut empty, mut nonzero) = (events, 0, 0);
    while let [[i, payload], tail @ ..] = rest {
        let Some(&[first, end]) = rows.row(*i as u32) else { break };
        if *payload != common {
            break;
        }
        let segments = end.wrapping_sub(first);
        run.most = run.most.max(segments);
        if nth < segments {
            let Some(segment) = rows.segments.get(first.wrapping_add(nth) as usize).map(Segment::of) else {
                break;
            };
            let (at, len) = ((segment.offset as usize).wrapping_mul(2), segment.len as usize);
            let Some(halves) = rows.halves.get(at..at.wrapping_add(len + len.div_ceil(2))) else { break };
            let Some((targets, weights)) = halves.split_at_checked(len) else { break };
            if segment.port != port {
                break;
            }
            add_row(sums, targets, bytemuck::cast_slice(weights), common);
            run.stored = run.stored.wrapping_add(segment.len);
            nonzero += segment.extra;
        } else {
            empty += 1;
        }
        rest = tail;
    }
    run.events = events.len() - rest.len();
    run.rows = run.events as u32 - empty;
    *(if changes || common.unsigned_abs() == 1 { &mut run.accumulates } else { &mut run.multiplies }) =
        nonzero;
    run
}

/// `sums[target] += weight · payload`, in pairs; the last weight of an odd row has a byte of padding beside it. A
/// target out of range, which a checked image has not, ends the row: that is shorter than to go on behind it.
#[inline(always)]
fn add_row(sums: &mut [i32], targets: &[u16], weights: &[[u8; 2]], payload: i32) {
    let add = |s: &mut i32, w: u8| *s = s.wrapping_add(i32::from(w as i8).wrapping_mul(payload));
    let (pairs, odd) = targets.as_chunks::<2>();
    for (&[t, u], &[w, x]) in pairs.iter().zip(weights) {
        let Some(s) = sums.get_mut(usize::from(t)) else { return };
        add(s, w);
        let Some(s) = sums.get_mut(usize::from(u)) else { return };
        add(s, x);
    }
    if let (&[t], Some(&[w, _])) = (odd, weights.last())
        && let Some(s) = sums.get_mut(usize::from(t))
    {
        add(s, w);
    }
}

/// A sparse row, out of line.
#[inline(never)]
fn sparse_alone(sums: &mut [i32], row: &SparseRow<'_>, payload: i32) {
    sparse(sums, *row, payload);
}

/// Reference for [`Kernels::bits`].
#[inline(always)]
pub fn bits(sums: &mut [i32], matrix: Matrix<'_>, weight: i32, events: &[Event]) {
    for &[i, payload] in events {
        let add = weight.wrapping_mul(payload);
        for (sums, byte) in sums.chunks_mut(8).zip(matrix.row(i)) {
            for (j, s) in sums.iter_mut().enumerate() {
                *s = s.wrapping_add(add & -i32::from(byte >> j & 1));
            }
        }
    }
}

/// Sums what `counts` has for the row of each event; rows beyond it count nothing.
#[inline(always)]
pub fn tally(counts: &[u32], events: &[Event]) -> u64 {
    events.iter().fold(0, |sum, e| sum + counts.get(e[0] as usize).map_or(0, |n| u64::from(*n)))
}

/// Reference for [`Kernels::send`].
#[inline(always)]
pub fn send(spikes: &[u64; RUN], first: i32, counts: &mut [i32], events: &mut [Event]) -> usize {
    let mut sent = 0;
    for (b, word) in spikes.iter().enumerate() {
        sent += send_block(*word, b * BLOCK, first, counts, events.get_mut(sent..).unwrap_or_default());
    }
    sent
}

/// [`send`] for the block of neurons from `at` on.
#[inline(always)]
pub fn send_block(word: u64, at: usize, first: i32, counts: &mut [i32], events: &mut [Event]) -> usize {
    let (mut left, mut sent) = (word, 0);
    while left != 0 {
        let j = at + left.trailing_zeros() as usize;
        left &= left - 1;
        if let Some(place) = events.get_mut(sent) {
            *place = [first + j as i32, 1];
            sent += 1;
        }
        if let Some(count) = counts.get_mut(j) {
            *count = count.wrapping_add(1);
        }
    }
    sent
}

/// Reference for [`Kernels::sparse`].
#[inline(always)]
pub fn sparse(sums: &mut [i32], row: SparseRow<'_>, payload: i32) {
    match row.bits {
        0 => {
            let add = row.weight.wrapping_mul(payload);
            for t in row.targets {
                if let Some(s) = sums.get_mut(usize::from(*t)) {
                    *s = s.wrapping_add(add);
                }
            }
        }
        8 => {
            for (t, w) in row.targets.iter().zip(row.weights) {
                if let Some(s) = sums.get_mut(usize::from(*t)) {
                    *s = s.wrapping_add(i32::from(*w as i8).wrapping_mul(payload));
                }
            }
        }
        16 => {
            for (t, w) in row.targets.iter().zip(row.weights.chunks_exact(2)) {
                if let (Some(s), Some(w)) = (sums.get_mut(usize::from(*t)), w.first_chunk::<2>()) {
                    *s = s.wrapping_add(i32::from(i16::from_le_bytes(*w)).wrapping_mul(payload));
                }
            }
        }
        bits => {
            for (j, t) in row.targets.iter().enumerate() {
                if let Some(s) = sums.get_mut(usize::from(*t)) {
                    *s = s.wrapping_add(weight_at(row.weights, bits, j).wrapping_mul(payload));
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::draw::{Draws, Threefry};

    #[test]
    fn a_run_of_sparse_rows_is_the_rows_one_by_one() {
        let mut draws = Threefry::new(5);
        for round in 0..300u32 {
            let mut draw = |i: u32| draws.draw(round, 0, i);
            let (neurons, columns) = (1 + draw(0) % 6, 1 + draw(1) % 40);
            // Rows of up to two segments of 8-bit weights; port 1 holds most of them.
            let (mut index, mut segments, mut bytes) =
                (std::vec![0], std::vec![], std::vec::Vec::<u8>::new());
            for i in 0..neurons {
                for nth in 0..draw(100 + i) % 3 {
                    let len = draw(200 + 10 * i + nth) % 14;
                    let port = if draw(300 + 10 * i + nth).is_multiple_of(7) { 2 } else { 1 };
                    let (offset, at) = ((bytes.len() / 4) as u32, 1000 * (i + 1) + 100 * nth);
                    bytes.extend((0..len).flat_map(|j| ((draw(at + j) % columns) as u16).to_le_bytes()));
                    bytes.extend((0..len).map(|j| draw(at + 50 + j) as u8));
                    bytes.resize(bytes.len().next_multiple_of(4), 0);
                    segments.push([port | len << 16, offset, len / 2]);
                }
                index.push(segments.len() as u32);
            }
            let halves: std::vec::Vec<u16> =
                bytes.chunks(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
            let nth = draw(50) % 2;
            let (one, changes) = (None, false);
            let rows = SparseRows {
                index: &index,
                stride: 1,
                segments: &segments,
                halves: &halves,
                nth,
                end: u32::MAX,
                port: 1,
                one,
                changes,
            };
            let events: std::vec::Vec<Event> = (0..draw(2) % 8)
                .map(|e| [(draw(3 + e) % neurons) as i32, if draw(20 + e) % 4 == 0 { 3 } else { 1 }])
                .collect();
            let start: std::vec::Vec<i32> = (0..columns).map(|i| draw(9000 + i) as i32 >> 8).collect();
            let (mut one, mut all) = (start.clone(), start);
            let run = Scalar.sparse_run(&mut all, &rows, &events);
            let mut expected = SparseRun { events: run.events, ..SparseRun::default() };
            for &[i, payload] in &events[..run.events] {
                assert_eq!(payload, events[0][1]);
                let (first, end) = (index[i as usize], index[i as usize + 1]);
                expected.most = expected.most.max(end - first);
                if first + nth >= end {
                    continue;
                }
                let s = Segment::of(&segments[(first + nth) as usize]);
                assert_eq!(s.port, 1);
                let (at, len) = (s.offset as usize * 2, s.len as usize);
                let weights = &bytes[at * 2 + len * 2..at * 2 + len * 3];
                let row = SparseRow { targets: &halves[at..at + len], weights, bits: 8, weight: 0 };
                Portable.sparse(&mut one, row, payload, &[]);
                expected.rows += 1;
                expected.stored += s.len;
                *(if payload == 1 { &mut expected.accumulates } else { &mut expected.multiplies }) += s.extra;
            }
            if let Some(&[i, _]) = events.get(run.events).filter(|e| e[1] == events[0][1]) {
                expected.most = expected.most.max(index[i as usize + 1] - index[i as usize]);
            }
            assert_eq!((one, run), (all, expected));
            // It stops only at a row of another port or at another payload.
            if let Some(&[i, payload]) = events.get(run.events) {
                let at = (index[i as usize] + nth) as usize;
                assert!(payload != events[0][1] || segments[at][0] & 0xffff != 1);
            }
        }
    }

    #[test]
    fn rows_in_pairs_are_rows_one_by_one() {
        let mut draws = Threefry::new(2);
        for round in 0..500u32 {
            let mut draw = |i: u32| draws.draw(round, 0, i);
            let (columns, pad, count) = (draw(0) % 40, draw(1) % 9, draw(2) % 6);
            let stride = (columns + pad) as usize;
            let bytes: std::vec::Vec<u8> = (0..8 * stride).map(|i| draw(10 + i as u32) as u8).collect();
            let matrix = Matrix { bytes: &bytes, stride, bits: 8 };
            let payload = |d: u32| if d.is_multiple_of(3) { d as i32 >> 20 } else { 1 };
            let events: std::vec::Vec<Event> =
                (0..count).map(|e| [(draw(1000 + e) % 8) as i32, payload(draw(2000 + e))]).collect();
            let start: std::vec::Vec<i32> = (0..columns).map(|i| draw(3000 + i) as i32 >> 8).collect();
            let (mut one, mut two) = (start.clone(), start);
            Portable.dense(&mut one, matrix, &events);
            Scalar.dense(&mut two, matrix, &events);
            assert_eq!(one, two);
        }
    }
}
