//! The machine's loops on this processor: SIMD and prefetch. **The one module with `unsafe`.**
//!
//! [`Native`] chooses once, at run time: AVX-512, AVX2, or the core's own loops. Sums are exact, so every
//! choice gives the same bits; `tests` below compare them on random rows.
//!
//! Proof of safety, for every `unsafe` block:
//!
//! * functions with `target_feature` are called only where [`Native::detect`] has seen the feature;
//! * vector loads and stores use pointers of slices, at offsets whose end is compared with the slice's length
//!   just before (`tile + TILE <= n`, where `n` is the least length of all slices that the loop touches);
//! * unchecked scatter runs only after the largest target of the row was found to be below `sums.len()`;
//! * prefetches never fault, whatever the address.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod pulses;

use synop_core::crossbar::{Pulsed, Pulsing};
use synop_core::neuron::{BLOCK, Outcome, Params, State};
use synop_core::plasticity::{self, SampleBits, TILE, TileChange, TileTally};
use synop_core::store::{
    self, Event, Kernels, Lanes, Loop, Matrix, Portable, RUN, RunOutcome, SparseRow, SparseRows, SparseRun,
};

/// What the processor can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The core's own loops.
    Portable,
    /// AVX2.
    Avx2,
    /// AVX-512 (F, BW, VL, DQ).
    Avx512,
}

/// The loops for this processor.
#[derive(Clone, Copy, Debug)]
pub struct Native {
    level: Level,
}

impl Default for Native {
    fn default() -> Self {
        Native::detect()
    }
}

impl Native {
    /// The best loops that this processor can run.
    pub fn detect() -> Native {
        Native { level: *Native::levels().last().unwrap_or(&Level::Portable) }
    }

    /// All levels that this processor can run, the simplest first.
    pub fn levels() -> Vec<Level> {
        let mut levels = vec![Level::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
                levels.push(Level::Avx2);
                if ["avx512f", "avx512bw", "avx512vl", "avx512dq"].iter().all(|f| match *f {
                    "avx512f" => is_x86_feature_detected!("avx512f"),
                    "avx512bw" => is_x86_feature_detected!("avx512bw"),
                    "avx512vl" => is_x86_feature_detected!("avx512vl"),
                    _ => is_x86_feature_detected!("avx512dq"),
                }) {
                    levels.push(Level::Avx512);
                }
            }
        }
        levels
    }

    /// The loops of one level, or `None` where this processor cannot run them.
    pub fn at(level: Level) -> Option<Native> {
        Native::levels().contains(&level).then_some(Native { level })
    }

    /// The level in use.
    pub fn level(&self) -> Level {
        self.level
    }
}

/// Adds `weight` to each of `sums` for every row of bits, one bit per sum, that has its bit set: the bare loop that
/// bounds what bit rows can do. Sums and rows are cut to whole words of 32.
pub fn add_bit_rows(level: Level, sums: &mut [i16], rows: &[u32], weight: i16) {
    #[cfg(target_arch = "x86_64")]
    if level == Level::Avx512 && Native::at(level).is_some() {
        // SAFETY: `Native::at` has seen the features.
        return unsafe { x86::add_bit_rows_512(sums, rows, weight) };
    }
    let _ = level;
    for row in rows.chunks_exact((sums.len() / 32).max(1)) {
        for (sums, mask) in sums.chunks_exact_mut(32).zip(row) {
            for (j, s) in sums.iter_mut().enumerate() {
                *s = s.wrapping_add(weight & -((mask >> j & 1) as i16));
            }
        }
    }
}

impl Native {
    /// Threefry-2x32 with 13 rounds at counters (`low`, `first`), (`low`, `first` + 1) and so on: of every [`Numbers`] the
    /// first half are the first words of its blocks, the second half the second words.
    #[inline]
    pub fn numbers(&self, key: [u32; 2], low: u32, first: u32, numbers: &mut [Numbers]) {
        match self.level {
            // SAFETY: the level says that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::numbers_512(key, low, first, numbers) },
            _ => self.run(Draw { key, low, first, numbers }),
        }
    }
}

/// Blocks of random numbers that are drawn at a time.
pub const DRAWN: usize = 16;

/// Their numbers.
pub type Numbers = [u32; 2 * DRAWN];

/// As [`Native::numbers`], in a loop that compilers make vectors of.
struct Draw<'a> {
    key: [u32; 2],
    low: u32,
    first: u32,
    numbers: &'a mut [Numbers],
}

impl Loop for Draw<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let keys = [self.key[0], self.key[1], PARITY ^ self.key[0] ^ self.key[1]];
        for (first, out) in (self.first..).step_by(DRAWN).zip(self.numbers) {
            let mut a = [self.low.wrapping_add(keys[0]); DRAWN];
            let mut b = [0; DRAWN];
            for (j, b) in (first..).zip(&mut b) {
                *b = j.wrapping_add(keys[1]);
            }
            for (round, turn) in TURNS.into_iter().enumerate() {
                for (a, b) in a.iter_mut().zip(&mut b) {
                    *a = a.wrapping_add(*b);
                    *b = b.rotate_left(turn) ^ *a;
                }
                if round % 4 == 3 {
                    let n = round / 4 + 1;
                    let (x, y) = (keys[n % 3], keys[(n + 1) % 3].wrapping_add(n as u32));
                    for (a, b) in a.iter_mut().zip(&mut b) {
                        *a = a.wrapping_add(x);
                        *b = b.wrapping_add(y);
                    }
                }
            }
            out[..DRAWN].copy_from_slice(&a);
            out[DRAWN..].copy_from_slice(&b);
        }
    }
}

/// Rotations of the rounds of Threefry-2x32, and the word that makes its third key.
const TURNS: [u32; 13] = [13, 15, 26, 6, 17, 29, 16, 24, 13, 15, 26, 6, 17];
const PARITY: u32 = 0x1BD1_1BDA;

impl Kernels for Native {
    const FETCHES: bool = cfg!(target_arch = "x86_64");
    const RUNS: &[u32] = &[8, 0];

    #[inline]
    fn dense(&self, sums: &mut [i32], matrix: Matrix<'_>, events: &[Event]) {
        match self.level {
            // SAFETY: the level says that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::dense_512(sums, matrix, events) },
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::dense_2(sums, matrix, events) },
            _ => store::dense(sums, matrix, events),
        }
    }

    #[inline]
    fn bits(&self, sums: &mut [i32], matrix: Matrix<'_>, weight: i32, events: &[Event]) {
        match self.level {
            // SAFETY: the level says that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::bits_512(sums, matrix, weight, events) },
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::bits_2(sums, matrix, weight, events) },
            _ => store::bits(sums, matrix, weight, events),
        }
    }

    #[inline]
    fn sparse(&self, sums: &mut [i32], row: SparseRow<'_>, payload: i32, next: &[u8]) {
        match self.level {
            // SAFETY: the level says that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::sparse_512(sums, row, payload, next) },
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::sparse_2(sums, row, payload, next) },
            _ => store::sparse(sums, row, payload),
        }
    }

    #[inline]
    fn sparse_run(&self, sums: &mut [i32], rows: &SparseRows<'_>, events: &[Event]) -> SparseRun {
        match self.level {
            // SAFETY: the level says that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::sparse_run_512(sums, rows, events) },
            _ => SparseRun::default(),
        }
    }

    #[inline]
    fn lif(&self, params: &Params<'_>, state: State<'_>, spikes: &mut [i32; BLOCK]) -> Outcome {
        match self.level {
            // SAFETY: the level says that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::lif_512(params, state, spikes) },
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::lif_2(params, state, spikes) },
            _ => synop_core::neuron::update(params, state, spikes),
        }
    }

    #[inline]
    fn lif_run(&self, params: &Params<'_>, state: State<'_>, out: &mut RunOutcome) -> u32 {
        match self.level {
            // SAFETY: the level says that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::lif_run_512(params, state, out) },
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::lif_run_2(params, state, out) },
            _ => Portable.lif_run(params, state, out),
        }
    }

    #[inline]
    fn send(&self, spikes: &[u64; RUN], first: i32, counts: &mut [i32], events: &mut [Event]) -> usize {
        match self.level {
            // SAFETY: the level says that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::send_512(spikes, first, counts, events) },
            _ => store::send(spikes, first, counts, events),
        }
    }

    #[inline]
    fn pulse(&self, row: Pulsing<'_, '_>) -> Pulsed {
        match self.level {
            // SAFETY: the level says that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { pulses::pulse_512(row) },
            _ => Portable.pulse(row),
        }
    }

    #[inline]
    fn soon(&self, bytes: &[u8]) {
        #[cfg(target_arch = "x86_64")]
        x86::prefetch(bytes);
        #[cfg(not(target_arch = "x86_64"))]
        let _ = bytes;
    }

    #[inline]
    fn dense_lanes(&self, sums: &mut [Lanes], matrix: Matrix<'_>, events: &[Event], payloads: &[Lanes]) {
        match self.level {
            // SAFETY: the level says that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::dense_lanes_512(sums, matrix, events, payloads) },
            _ => store::dense_lanes(sums, matrix, events, payloads),
        }
    }

    #[inline]
    fn change_tile(
        &self,
        change: &TileChange,
        pre: SampleBits,
        posts: &[SampleBits; TILE],
        weights: &mut [i32; TILE],
    ) -> TileTally {
        match self.level {
            // SAFETY: the level says that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::change_tile_512(change, pre, posts, weights) },
            _ => plasticity::change_tile(change, pre, posts, weights),
        }
    }

    #[inline]
    fn run<L: Loop>(&self, work: L) -> L::Output {
        match self.level {
            // SAFETY: the level says that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::run_512(work) },
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::run_2(work) },
            _ => work.run(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use std::arch::x86_64::*;
    use std::mem::MaybeUninit;
    use synop_core::image::{CurrentOrder, NONE, Piece, Reset, Segment, flag};
    use synop_core::machine::{AHEAD, AHEAD_OF_ROWS, AHEAD_OF_SEGMENTS, AHEAD_OF_SHORT, SHORT};
    use synop_core::neuron::Value;

    /// As [`synop_core::plasticity::change_tile`]: one lane per synapse, and a mask per count.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    pub(super) unsafe fn change_tile_512(
        change: &TileChange,
        pre: SampleBits,
        posts: &[SampleBits; TILE],
        weights: &mut [i32; TILE],
    ) -> TileTally {
        let all = |bits: u32| _mm512_set1_epi32(bits as i32);
        // SAFETY: 16 words are 64 bytes.
        let (post, old) = unsafe {
            (_mm512_loadu_si512(posts.as_ptr().cast()), _mm512_loadu_si512(weights.as_ptr().cast()))
        };
        let same = _mm512_and_si512(post, all(pre));
        let other = _mm512_and_si512(_mm512_rol_epi32::<16>(post), all(pre));
        // Agreements to the lower half, differences to the upper, and one count of both.
        let low = _mm512_and_si512(_mm512_or_si512(same, _mm512_srli_epi32::<16>(same)), all(0xffff));
        let high = _mm512_and_si512(_mm512_or_si512(other, _mm512_slli_epi32::<16>(other)), all(0xffff_0000));
        let v = _mm512_or_si512(low, high);
        let v = _mm512_sub_epi32(v, _mm512_and_si512(_mm512_srli_epi32::<1>(v), all(0x5555_5555)));
        let twos = all(0x3333_3333);
        let v =
            _mm512_add_epi32(_mm512_and_si512(v, twos), _mm512_and_si512(_mm512_srli_epi32::<2>(v), twos));
        let v = _mm512_and_si512(_mm512_add_epi32(v, _mm512_srli_epi32::<4>(v)), all(0x0f0f_0f0f));
        let v = _mm512_add_epi32(v, _mm512_srli_epi32::<8>(v));
        let counts = all(0xff);
        let agreement = _mm512_sub_epi32(
            _mm512_and_si512(v, counts),
            _mm512_and_si512(_mm512_srli_epi32::<16>(v), counts),
        );
        let sum = _mm512_mullo_epi32(agreement, _mm512_set1_epi32(change.mantissa));
        let attempted = _mm512_test_epi32_mask(sum, sum);
        if attempted == 0 {
            return TileTally::default();
        }
        let shift = change.shift.min(30);
        let half = _mm512_set1_epi32((1 << shift) >> 1);
        let rounded = _mm512_add_epi32(_mm512_abs_epi32(sum), half);
        let rounded = _mm512_srl_epi32(rounded, _mm_cvtsi32_si128(shift as i32));
        let zero = _mm512_setzero_si512();
        let step = _mm512_mask_sub_epi32(rounded, _mm512_movepi32_mask(sum), zero, rounded);
        let moves = _mm512_test_epi32_mask(step, step);
        let wanted = _mm512_add_epi32(old, step);
        let bound = |b: i32| _mm512_set1_epi32(b);
        let clamped =
            _mm512_min_epi32(_mm512_max_epi32(wanted, bound(change.bounds.0)), bound(change.bounds.1));
        let new = _mm512_mask_mov_epi32(old, moves, clamped);
        // SAFETY: 16 words are 64 bytes.
        unsafe { _mm512_storeu_si512(weights.as_mut_ptr().cast(), new) };
        TileTally {
            attempted: attempted.count_ones(),
            changed: _mm512_cmpneq_epi32_mask(new, old).count_ones(),
            saturated: _mm512_mask_cmpneq_epi32_mask(moves, new, wanted).count_ones(),
            rounded_to_zero: (attempted & !moves).count_ones(),
            nonzero: _mm512_test_epi32_mask(new, new).count_ones() as i32
                - _mm512_test_epi32_mask(old, old).count_ones() as i32,
        }
    }

    /// A loop of safe code, compiled with these features.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    pub(super) unsafe fn run_512<L: Loop>(work: L) -> L::Output {
        work.run()
    }

    /// A loop of safe code, compiled with these features.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn run_2<L: Loop>(work: L) -> L::Output {
        work.run()
    }

    /// Rows of 16-bit weights, two at a time: their weights of a column in the halves of a word, their payloads of a
    /// sample too, so that one instruction multiplies and adds both for all samples. All other rows go to the portable
    /// loop.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    pub(super) unsafe fn dense_lanes_512(
        sums: &mut [Lanes],
        matrix: Matrix<'_>,
        events: &[Event],
        payloads: &[Lanes],
    ) {
        let n = sums.len();
        for (events, payloads) in events.chunks(2 * PAIRS).zip(payloads.chunks(2 * PAIRS)) {
            let mut rows: [(&[u8], &[u8]); PAIRS] = [(&[], &[]); PAIRS];
            let mut halves = [_mm512_setzero_si512(); PAIRS];
            let mut count = 0;
            for (e, payload) in events.iter().zip(payloads) {
                let row = matrix.row(e[0]);
                // SAFETY: 16 lanes are 64 bytes.
                let lanes = unsafe { _mm512_loadu_si512(payload.as_ptr().cast()) };
                let narrow = _mm512_cvtepi32_epi16(lanes);
                let fits = _mm512_cmpeq_epi32_mask(_mm512_cvtepi16_epi32(narrow), lanes) == 0xffff;
                if !fits || matrix.bits != 16 || row.len() < 2 * n {
                    store::dense_lanes(sums, matrix, std::slice::from_ref(e), std::slice::from_ref(payload));
                    continue;
                }
                let half = _mm512_cvtepu16_epi32(narrow);
                if count % 2 == 0 {
                    rows[count / 2] = (row, row);
                    halves[count / 2] = half;
                } else {
                    rows[count / 2].1 = row;
                    halves[count / 2] = _mm512_or_si512(halves[count / 2], _mm512_slli_epi32::<16>(half));
                }
                count += 1;
            }
            let pairs = count.div_ceil(2);
            for first in (0..n).step_by(16) {
                let columns = (n - first).min(16);
                let mask = lanes(columns);
                let mut acc = [_mm512_setzero_si512(); 16];
                for ((a, b), payload) in rows[..pairs].iter().zip(&halves) {
                    let weights = |row: &[u8]| {
                        // SAFETY: the mask ends at column n, and rows of pairs have 2 n bytes at least.
                        let w =
                            unsafe { _mm256_maskz_loadu_epi16(mask, row.as_ptr().cast::<i16>().add(first)) };
                        _mm512_cvtepu16_epi32(w)
                    };
                    let both = _mm512_or_si512(weights(a), _mm512_slli_epi32::<16>(weights(b)));
                    let mut words = [0i32; 16];
                    // SAFETY: 16 words are 64 bytes.
                    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), both) };
                    for (a, w) in acc.iter_mut().zip(words) {
                        *a = _mm512_add_epi32(*a, _mm512_madd_epi16(*payload, _mm512_set1_epi32(w)));
                    }
                }
                for (s, a) in sums[first..first + columns].iter_mut().zip(acc) {
                    // SAFETY: 16 lanes are 64 bytes.
                    unsafe {
                        let at: *mut __m512i = s.as_mut_ptr().cast();
                        _mm512_storeu_si512(at, _mm512_add_epi32(_mm512_loadu_si512(at), a));
                    }
                }
            }
        }
    }

    /// Two rows, and their payloads in the halves of a word.
    type Pair<'m> = (&'m [u8], &'m [u8], i32);
    /// Pairs of rows of 8-bit weights that one pass adds: each row is one stream.
    const STREAMS: usize = 8;
    /// Payloads of one pass: the sums fit 16 bits, as 255 · 128 < 2^15.
    const PAYLOADS: i32 = 255;
    /// The same with signs, where weights are raised by 128: 128 · 255 < 2^15. One payload is at most half of it.
    const SIGNED: i32 = 128;
    /// Pairs of rows of 16-bit weights that one pass adds.
    const PAIRS: usize = 32;

    /// Full rows of 8-bit weights with small payloads go to `pass` in pairs, with the pairs that come after them and
    /// whether payloads have signs; all else to the portable loop.
    #[inline(always)]
    fn batches(
        sums: &mut [i32],
        matrix: Matrix<'_>,
        events: &[Event],
        mut pass: impl FnMut(&mut [i32], &[Pair<'_>], &[Pair<'_>], bool),
    ) {
        let n = sums.len();
        if matrix.bits != 8 {
            return store::dense(sums, matrix, events);
        }
        let signed = events.iter().fold(0, |all, e| all | e[1]) < 0;
        let (fits, most) = if signed { (-SIGNED / 2..=SIGNED / 2, SIGNED) } else { (0..=PAYLOADS, PAYLOADS) };
        let mut at = 0;
        while at < events.len() {
            let mut pairs: [Pair<'_>; STREAMS] = [(&[], &[], 0); STREAMS];
            let (mut count, mut payloads) = (0, 0);
            while let Some(e) = events.get(at).filter(|_| count < 2 * STREAMS) {
                let row = matrix.row(e[0]);
                let payload = e[1] & 0xff;
                if !fits.contains(&e[1]) || row.len() < n {
                    store::dense(sums, matrix, std::slice::from_ref(e));
                } else if payloads + e[1].abs() > most {
                    break;
                } else {
                    let pair = &mut pairs[count / 2];
                    match count % 2 {
                        0 => *pair = (row, row, payload),
                        _ => (pair.1, pair.2) = (row, pair.2 | payload << 8),
                    }
                    count += 1;
                    payloads += e[1].abs();
                }
                at += 1;
            }
            let mut ahead: [Pair<'_>; STREAMS] = [(&[], &[], 0); STREAMS];
            let mut coming = 0;
            for (pair, e) in ahead.iter_mut().zip(events.get(at..).unwrap_or(&[]).chunks(2)) {
                (pair.0, pair.1) = (matrix.row(e[0][0]), matrix.row(e[e.len() - 1][0]));
                coming += 1;
            }
            pass(sums, &pairs[..count.div_ceil(2)], &ahead[..coming], signed);
        }
    }

    /// Full rows of 16-bit weights whose payload fits 16 bits go to `pass` in pairs; all else to the portable loop.
    #[inline(always)]
    fn paired(
        sums: &mut [i32],
        matrix: Matrix<'_>,
        events: &[Event],
        mut pass: impl FnMut(&mut [i32], &[Pair<'_>]),
    ) {
        let n = sums.len();
        for batch in events.chunks(2 * PAIRS) {
            let mut pairs: [Pair<'_>; PAIRS] = [(&[], &[], 0); PAIRS];
            let mut count = 0;
            for e in batch {
                let row = matrix.row(e[0]);
                match i16::try_from(e[1]) {
                    Ok(payload) if row.len() >= 2 * n => {
                        let pair = &mut pairs[count / 2];
                        let payload = i32::from(payload as u16);
                        match count % 2 {
                            0 => *pair = (row, row, payload),
                            _ => (pair.1, pair.2) = (row, pair.2 | payload << 16),
                        }
                        count += 1;
                    }
                    _ => store::dense(sums, matrix, std::slice::from_ref(e)),
                }
            }
            pass(sums, &pairs[..count.div_ceil(2)]);
        }
    }

    /// The columns after the last full tile.
    #[inline(always)]
    fn rest_of_pairs(sums: &mut [i32], pairs: &[Pair<'_>], from: usize) {
        for (a, b, payloads) in pairs {
            let (p, q) = (i32::from(*payloads as i16), *payloads >> 16);
            let columns = a.chunks_exact(2).zip(b.chunks_exact(2));
            for (s, (x, y)) in sums.iter_mut().zip(columns).skip(from) {
                let of = |w: &[u8]| i32::from(i16::from_le_bytes([w[0], w[1]]));
                *s = s.wrapping_add(p.wrapping_mul(of(x))).wrapping_add(q.wrapping_mul(of(y)));
            }
        }
    }

    /// Adds pairs of 16-bit rows times their payloads: neighbours are interleaved, so that one multiply-add serves a
    /// column of both.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    unsafe fn pairs_512(sums: &mut [i32], pairs: &[Pair<'_>]) {
        const STEP: usize = 32;
        const TILE: usize = 4 * STEP;
        let n = pairs.iter().map(|p| p.0.len().min(p.1.len()) / 2).fold(sums.len(), usize::min);
        let mut tile = 0;
        while tile + TILE <= n {
            let mut acc = [_mm512_setzero_si512(); 8];
            for (a, b, payloads) in pairs {
                let payloads = _mm512_set1_epi32(*payloads);
                for q in 0..4 {
                    let at = 2 * (tile + STEP * q);
                    // SAFETY: at + 2 STEP <= 2 (tile + TILE) <= 2 n, the least length of both rows.
                    let (x, y) = unsafe {
                        (
                            _mm512_loadu_si512(a.as_ptr().add(at).cast()),
                            _mm512_loadu_si512(b.as_ptr().add(at).cast()),
                        )
                    };
                    let low = _mm512_madd_epi16(_mm512_unpacklo_epi16(x, y), payloads);
                    let high = _mm512_madd_epi16(_mm512_unpackhi_epi16(x, y), payloads);
                    acc[2 * q] = _mm512_add_epi32(acc[2 * q], low);
                    acc[2 * q + 1] = _mm512_add_epi32(acc[2 * q + 1], high);
                }
            }
            for q in 0..4 {
                let (low, high) = (acc[2 * q], acc[2 * q + 1]);
                let first = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), high);
                let second =
                    _mm512_permutex2var_epi64(low, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), high);
                for (h, part) in [first, second].into_iter().enumerate() {
                    // SAFETY: tile + STEP (q + 1) <= tile + TILE <= n <= sums.len().
                    unsafe {
                        let at = sums.as_mut_ptr().add(tile + STEP * q + STEP / 2 * h).cast();
                        _mm512_storeu_si512(at, _mm512_add_epi32(_mm512_loadu_si512(at), part));
                    }
                }
            }
            tile += TILE;
        }
        rest_of_pairs(sums, pairs, tile);
    }

    /// Adds pairs of 16-bit rows times their payloads: neighbours are interleaved, so that one multiply-add serves a
    /// column of both.
    #[target_feature(enable = "avx2")]
    unsafe fn pairs_2(sums: &mut [i32], pairs: &[Pair<'_>]) {
        const STEP: usize = 16;
        const TILE: usize = 4 * STEP;
        let n = pairs.iter().map(|p| p.0.len().min(p.1.len()) / 2).fold(sums.len(), usize::min);
        let mut tile = 0;
        while tile + TILE <= n {
            let mut acc = [_mm256_setzero_si256(); 8];
            for (a, b, payloads) in pairs {
                let payloads = _mm256_set1_epi32(*payloads);
                for q in 0..4 {
                    let at = 2 * (tile + STEP * q);
                    // SAFETY: at + 2 STEP <= 2 (tile + TILE) <= 2 n, the least length of both rows.
                    let (x, y) = unsafe {
                        (
                            _mm256_loadu_si256(a.as_ptr().add(at).cast()),
                            _mm256_loadu_si256(b.as_ptr().add(at).cast()),
                        )
                    };
                    let low = _mm256_madd_epi16(_mm256_unpacklo_epi16(x, y), payloads);
                    let high = _mm256_madd_epi16(_mm256_unpackhi_epi16(x, y), payloads);
                    acc[2 * q] = _mm256_add_epi32(acc[2 * q], low);
                    acc[2 * q + 1] = _mm256_add_epi32(acc[2 * q + 1], high);
                }
            }
            for q in 0..4 {
                let (low, high) = (acc[2 * q], acc[2 * q + 1]);
                let first = _mm256_permute2x128_si256::<0x20>(low, high);
                let second = _mm256_permute2x128_si256::<0x31>(low, high);
                for (h, part) in [first, second].into_iter().enumerate() {
                    // SAFETY: tile + STEP (q + 1) <= tile + TILE <= n <= sums.len().
                    unsafe {
                        let at = sums.as_mut_ptr().add(tile + STEP * q + STEP / 2 * h).cast();
                        _mm256_storeu_si256(at, _mm256_add_epi32(_mm256_loadu_si256(at), part));
                    }
                }
            }
            tile += TILE;
        }
        rest_of_pairs(sums, pairs, tile);
    }

    /// Fewest rows that full adders add faster than pairs do.
    const FEWEST: usize = 5;

    /// Rows of 8-bit weights that are only added go through full adders, others in pairs.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    pub(super) unsafe fn dense_512(sums: &mut [i32], matrix: Matrix<'_>, events: &[Event]) {
        let mut rows: Rows = [MaybeUninit::uninit(); ADDED + 1];
        for batch in events.chunks(ADDED) {
            let rows = places(&mut rows, matrix, batch, sums.len());
            // SAFETY: the caller has the features; all rows have a byte for each sum.
            unsafe {
                match rows.filter(|rows| rows.len() >= FEWEST && matrix.bits == 8) {
                    Some(rows) => added_512(sums, rows),
                    None => paired_512(sums, matrix, batch),
                }
            }
        }
    }

    /// Finds where the rows of at most [`ADDED`] events stand, if all of them are there, with `need` bytes at least, and
    /// all payloads are 1.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    fn places<'r>(
        room: &'r mut Rows,
        matrix: Matrix<'_>,
        events: &[Event],
        need: usize,
    ) -> Option<&'r [*const u8]> {
        let halves = |first| {
            let odd = _mm512_set1_epi32(1);
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            if first { even } else { _mm512_or_si512(even, odd) }
        };
        let (numbers, payloads) = (halves(true), halves(false));
        let (zero, one) = (_mm512_setzero_si512(), _mm512_set1_epi32(1));
        let stride = _mm512_set1_epi64(matrix.stride as i64);
        let base = _mm512_set1_epi64(matrix.bytes.as_ptr() as i64);
        let (mut last, mut other) = (zero, 0);
        for (events, rows) in events.chunks(16).zip(room.as_chunks_mut::<16>().0) {
            let some = lanes(events.len());
            // Words of two vectors: two per event.
            let words = u32::MAX >> (32 - 2 * events.len());
            // SAFETY: the masks end at the end of the events; 16 rows are 128 bytes.
            unsafe {
                let at: *const i32 = events.as_ptr().cast();
                let a = _mm512_maskz_loadu_epi32(words as __mmask16, at);
                let b = _mm512_maskz_loadu_epi32((words >> 16) as __mmask16, at.wrapping_add(16));
                let row = _mm512_permutex2var_epi32(a, numbers, b);
                let payload = _mm512_permutex2var_epi32(a, payloads, b);
                other |= _mm512_mask_cmpneq_epi32_mask(some, payload, one);
                last = _mm512_max_epu32(last, row);
                let places = |row: __m256i| {
                    _mm512_add_epi64(_mm512_mullo_epi64(_mm512_cvtepu32_epi64(row), stride), base)
                };
                let to: *mut __m512i = rows.as_mut_ptr().cast();
                _mm512_storeu_si512(to, places(_mm512_castsi512_si256(row)));
                _mm512_storeu_si512(to.add(1), places(_mm512_extracti64x4_epi64::<1>(row)));
            }
        }
        let last = _mm512_reduce_max_epu32(last) as usize;
        let end = (last + 1).checked_mul(matrix.stride);
        let fit = need <= matrix.stride && end.is_some_and(|end| end <= matrix.bytes.len());
        // SAFETY: places were written for every event.
        let rows = unsafe { std::slice::from_raw_parts(room.as_ptr().cast(), events.len().min(ADDED)) };
        (other == 0 && fit).then_some(rows)
    }

    /// Adds rows of 8-bit weights: full adders count how often each bit is set, and in the end a count has the value of
    /// its bit, be it the sign.
    ///
    /// # Safety
    /// Every row has a byte for each of `sums`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    unsafe fn added_512(sums: &mut [i32], rows: &[*const u8]) {
        const STEP: usize = 64;
        let (n, mut at) = (sums.len(), 0);
        // Two lines of a row at a time: processors fetch such pairs.
        while at + 2 * STEP <= n {
            // SAFETY: at + 128 <= n, the length of `sums`, and rows are not shorter.
            unsafe {
                let planes =
                    count_planes::<2>(rows, |row, q| _mm512_loadu_si512(row.add(at + STEP * q).cast()));
                for (q, planes) in planes.iter().enumerate() {
                    add_planes(sums.as_mut_ptr().add(at + STEP * q), u64::MAX, planes, rows.len());
                }
            }
            at += 2 * STEP;
        }
        while at < n {
            let lanes = if n - at >= STEP { u64::MAX } else { (1 << (n - at)) - 1 };
            // SAFETY: the mask ends at n.
            unsafe {
                let [planes] =
                    count_planes(rows, |row, _| _mm512_maskz_loadu_epi8(lanes, row.add(at).cast()));
                add_planes(sums.as_mut_ptr().add(at), lanes, &planes, rows.len());
            }
            at += STEP;
        }
    }

    /// Adds 64 sums of at most `rows` bytes with signs, as planes of bits: two planes interleave, so that one
    /// multiply-add gives both the weights of their bits.
    ///
    /// # Safety
    /// There is an element at `to` for every one of `lanes`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    unsafe fn add_planes(to: *mut i32, lanes: u64, planes: &Planes, rows: usize) {
        // 127 · 128 < 2^15.
        let pair = |bit: i16, lower, upper| {
            // Bytes without a sign: twice the last one is 128.
            let weights = _mm512_set1_epi16(bit.wrapping_mul(0x0201));
            let interleaved = (_mm512_unpacklo_epi8(lower, upper), _mm512_unpackhi_epi8(lower, upper));
            (_mm512_maddubs_epi16(weights, interleaved.0), _mm512_maddubs_epi16(weights, interleaved.1))
        };
        let sum = |a: (__m512i, __m512i), b: (__m512i, __m512i)| {
            (_mm512_add_epi16(a.0, b.0), _mm512_add_epi16(a.1, b.1))
        };
        let [ones, twos, fours, eights, high @ ..] = *planes;
        let mut all = sum(pair(1, ones, twos), pair(4, fours, eights));
        if rows >= 16 {
            let [a, b, c] = high;
            all = sum(all, sum(pair(16, a, b), pair(64, c, _mm512_setzero_si512())));
        }
        let (low, high) = all;
        // SAFETY: as said above.
        unsafe { widen_512(to, lanes, low, high) };
    }

    /// All rows that full adders do not take.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    unsafe fn paired_512(sums: &mut [i32], matrix: Matrix<'_>, events: &[Event]) {
        if matrix.bits == 16 {
            // SAFETY: the caller has the features; a pass compares its offsets with all lengths.
            return paired(sums, matrix, events, |sums, pairs| unsafe { pairs_512(sums, pairs) });
        }
        batches(sums, matrix, events, |sums, pairs, ahead, signed| {
            // SAFETY: the caller has the features; a pass compares its offsets with all lengths.
            unsafe {
                match signed {
                    false => pass_512::<false>(sums, pairs, ahead),
                    true => pass_512::<true>(sums, pairs, ahead),
                }
            }
        });
    }

    /// Adds pairs of 8-bit rows times their payloads: neighbours are interleaved, so that one multiply-add serves a
    /// column of both. One factor has no sign: the payloads, or else weights raised by 128, which is taken off again.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    unsafe fn pass_512<const SIGNED: bool>(sums: &mut [i32], pairs: &[Pair<'_>], ahead: &[Pair<'_>]) {
        const STEP: usize = 64;
        const TILE: usize = 4 * STEP;
        let n = pairs.iter().map(|p| p.0.len().min(p.1.len())).fold(sums.len(), usize::min);
        let raise = _mm512_set1_epi8(-128);
        let product = |payloads: __m512i, weights: __m512i| match SIGNED {
            false => _mm512_maddubs_epi16(payloads, weights),
            true => _mm512_maddubs_epi16(_mm512_xor_si512(weights, raise), payloads),
        };
        let sign = |payload: i32| if SIGNED { i32::from(payload as i8) } else { payload & 0xff };
        let raised = pairs.iter().map(|p| sign(p.2) + sign(p.2 >> 8)).sum::<i32>() * 128;
        let start = _mm512_set1_epi16(if SIGNED { -raised as i16 } else { 0 });
        let mut tile = 0;
        while tile + TILE <= n {
            let mut acc = [start; 8];
            for (k, (a, b, payloads)) in pairs.iter().enumerate() {
                let payloads = _mm512_set1_epi16(*payloads as i16);
                for q in 0..4 {
                    let at = tile + STEP * q;
                    // SAFETY: at + 64 <= tile + TILE <= n, the least length of both rows.
                    let (x, y) = unsafe {
                        (
                            _mm512_loadu_si512(a.as_ptr().add(at).cast()),
                            _mm512_loadu_si512(b.as_ptr().add(at).cast()),
                        )
                    };
                    let low = product(payloads, _mm512_unpacklo_epi8(x, y));
                    let high = product(payloads, _mm512_unpackhi_epi8(x, y));
                    acc[2 * q] = _mm512_add_epi16(acc[2 * q], low);
                    acc[2 * q + 1] = _mm512_add_epi16(acc[2 * q + 1], high);
                    if let Some((c, d, _)) = ahead.get(k) {
                        _mm_prefetch::<_MM_HINT_T0>(c.as_ptr().wrapping_add(at).cast());
                        _mm_prefetch::<_MM_HINT_T0>(d.as_ptr().wrapping_add(at).cast());
                    }
                }
            }
            for q in 0..4 {
                // SAFETY: tile + TILE <= n <= sums.len().
                unsafe {
                    let to = sums.as_mut_ptr().add(tile + STEP * q);
                    widen_512(to, u64::MAX, acc[2 * q], acc[2 * q + 1]);
                }
            }
            tile += TILE;
        }
        while tile < n {
            let lanes = if n - tile >= STEP { u64::MAX } else { (1 << (n - tile)) - 1 };
            let (mut low, mut high) = (start, start);
            for (a, b, payloads) in pairs {
                let payloads = _mm512_set1_epi16(*payloads as i16);
                // SAFETY: the mask ends at n, the least length of both rows.
                let (x, y) = unsafe {
                    (
                        _mm512_maskz_loadu_epi8(lanes, a.as_ptr().add(tile).cast()),
                        _mm512_maskz_loadu_epi8(lanes, b.as_ptr().add(tile).cast()),
                    )
                };
                low = _mm512_add_epi16(low, product(payloads, _mm512_unpacklo_epi8(x, y)));
                high = _mm512_add_epi16(high, product(payloads, _mm512_unpackhi_epi8(x, y)));
            }
            // SAFETY: the mask ends at n <= sums.len().
            unsafe { widen_512(sums.as_mut_ptr().add(tile), lanes, low, high) };
            tile += STEP;
        }
    }

    /// Adds 64 columns of interleaved 16-bit sums to `to`.
    ///
    /// # Safety
    /// There is an element at `to` for every one of `lanes`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    unsafe fn widen_512(to: *mut i32, lanes: u64, low: __m512i, high: __m512i) {
        let first = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), high);
        let second = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), high);
        let quarters = [
            _mm512_castsi512_si256(first),
            _mm512_extracti64x4_epi64::<1>(first),
            _mm512_castsi512_si256(second),
            _mm512_extracti64x4_epi64::<1>(second),
        ];
        for (q, part) in quarters.into_iter().enumerate() {
            let (at, lanes) = (to.wrapping_add(16 * q), (lanes >> (16 * q)) as __mmask16);
            // SAFETY: as said above.
            unsafe {
                let sum = _mm512_add_epi32(_mm512_maskz_loadu_epi32(lanes, at), _mm512_cvtepi16_epi32(part));
                _mm512_mask_storeu_epi32(at, lanes, sum);
            }
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn dense_2(sums: &mut [i32], matrix: Matrix<'_>, events: &[Event]) {
        if matrix.bits == 16 {
            // SAFETY: the caller has the feature; a pass compares its offsets with all lengths.
            return paired(sums, matrix, events, |sums, pairs| unsafe { pairs_2(sums, pairs) });
        }
        batches(sums, matrix, events, |sums, pairs, ahead, signed| {
            // SAFETY: the caller has the feature; a pass compares its offsets with all lengths.
            unsafe {
                match signed {
                    false => pass_2::<false>(sums, pairs, ahead),
                    true => pass_2::<true>(sums, pairs, ahead),
                }
            }
        });
    }

    /// Adds pairs of 8-bit rows times their payloads: neighbours are interleaved, so that one multiply-add serves a
    /// column of both. One factor has no sign: the payloads, or else weights raised by 128, which is taken off again.
    #[target_feature(enable = "avx2")]
    unsafe fn pass_2<const SIGNED: bool>(sums: &mut [i32], pairs: &[Pair<'_>], ahead: &[Pair<'_>]) {
        const STEP: usize = 32;
        const TILE: usize = 2 * STEP;
        let n = pairs.iter().map(|p| p.0.len().min(p.1.len())).fold(sums.len(), usize::min);
        let raise = _mm256_set1_epi8(-128);
        let product = |payloads: __m256i, weights: __m256i| match SIGNED {
            false => _mm256_maddubs_epi16(payloads, weights),
            true => _mm256_maddubs_epi16(_mm256_xor_si256(weights, raise), payloads),
        };
        let sign = |payload: i32| if SIGNED { i32::from(payload as i8) } else { payload & 0xff };
        let raised = pairs.iter().map(|p| sign(p.2) + sign(p.2 >> 8)).sum::<i32>() * 128;
        let start = _mm256_set1_epi16(if SIGNED { -raised as i16 } else { 0 });
        let mut tile = 0;
        while tile + TILE <= n {
            let mut acc = [start; 4];
            for (k, (a, b, payloads)) in pairs.iter().enumerate() {
                let payloads = _mm256_set1_epi16(*payloads as i16);
                for q in 0..2 {
                    let at = tile + STEP * q;
                    // SAFETY: at + 32 <= tile + TILE <= n, the least length of both rows.
                    let (x, y) = unsafe {
                        (
                            _mm256_loadu_si256(a.as_ptr().add(at).cast()),
                            _mm256_loadu_si256(b.as_ptr().add(at).cast()),
                        )
                    };
                    let low = product(payloads, _mm256_unpacklo_epi8(x, y));
                    let high = product(payloads, _mm256_unpackhi_epi8(x, y));
                    acc[2 * q] = _mm256_add_epi16(acc[2 * q], low);
                    acc[2 * q + 1] = _mm256_add_epi16(acc[2 * q + 1], high);
                }
                if let Some((c, d, _)) = ahead.get(k) {
                    _mm_prefetch::<_MM_HINT_T0>(c.as_ptr().wrapping_add(tile).cast());
                    _mm_prefetch::<_MM_HINT_T0>(d.as_ptr().wrapping_add(tile).cast());
                }
            }
            for q in 0..2 {
                let (low, high) = (acc[2 * q], acc[2 * q + 1]);
                let first = _mm256_permute2x128_si256::<0x20>(low, high);
                let second = _mm256_permute2x128_si256::<0x31>(low, high);
                let eighths = [
                    _mm256_castsi256_si128(first),
                    _mm256_extracti128_si256::<1>(first),
                    _mm256_castsi256_si128(second),
                    _mm256_extracti128_si256::<1>(second),
                ];
                for (e, part) in eighths.into_iter().enumerate() {
                    // SAFETY: tile + 32 q + 8 e + 8 <= tile + TILE <= n <= sums.len().
                    unsafe {
                        let at: *mut __m256i = sums.as_mut_ptr().add(tile + STEP * q + 8 * e).cast();
                        let sum = _mm256_add_epi32(_mm256_loadu_si256(at), _mm256_cvtepi16_epi32(part));
                        _mm256_storeu_si256(at, sum);
                    }
                }
            }
            tile += TILE;
        }
        // The columns after the last full tile.
        for (a, b, payloads) in pairs {
            let (p, q) = (sign(*payloads), sign(payloads >> 8));
            for (s, (x, y)) in sums.iter_mut().zip(a.iter().zip(*b)).skip(tile) {
                *s = s.wrapping_add(p * i32::from(*x as i8) + q * i32::from(*y as i8));
            }
        }
    }

    /// Rows of bits whose counts fit a byte.
    const COUNTED: usize = 255;
    /// Rows that full adders add together: their counts fit the planes.
    const ADDED: usize = (1 << PLANES) - 1;
    /// Planes of bits that full adders count in.
    const PLANES: usize = 7;
    /// Room for where rows stand: to clear it would take as long as to add ten rows.
    type Rows = [MaybeUninit<*const u8>; ADDED + 1];
    /// How often each of 512 bits is set: bit k of a count is in plane k.
    type Planes = [__m512i; PLANES];
    /// Cells of one pass over bit rows: one cache line of each.
    const CELLS: usize = 512;
    /// Passes from the one that runs to the one whose lines are fetched.
    const FETCHED: usize = 3;

    /// Bit rows: full adders count in planes of bits how often each cell is set, then the counts times the weight
    /// are added to the sums.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    pub(super) unsafe fn bits_512(sums: &mut [i32], matrix: Matrix<'_>, weight: i32, events: &[Event]) {
        let bytes = sums.len().div_ceil(8);
        let mut rows: Rows = [MaybeUninit::uninit(); ADDED + 1];
        for batch in events.chunks(ADDED) {
            let Some(rows) = places(&mut rows, matrix, batch, bytes) else {
                store::bits(sums, matrix, weight, batch);
                continue;
            };
            let tiles = sums.len().div_ceil(CELLS);
            let fetch = |tile: usize| {
                for row in rows {
                    _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(tile * 64).cast());
                }
            };
            (0..FETCHED.min(tiles)).for_each(fetch);
            for tile in 0..tiles {
                if tile + FETCHED < tiles {
                    fetch(tile + FETCHED);
                }
                let at = tile * CELLS;
                let cells = (sums.len() - at).min(CELLS);
                let loaded = cells.div_ceil(8);
                let mask = if loaded == 64 { u64::MAX } else { (1 << loaded) - 1 };
                let count = (usize::BITS - rows.len().leading_zeros()) as usize;
                // SAFETY: the masked bytes end at at / 8 + loaded <= bytes, and at + cells <= sums.len().
                unsafe {
                    let [planes] =
                        count_planes(rows, |row, _| _mm512_maskz_loadu_epi8(mask, row.add(at / 8).cast()));
                    spread_counts(&mut sums[at..at + cells], &planes[..count], weight);
                }
            }
        }
    }

    /// Counts how often each bit is set in all rows (at most [`ADDED`]): `line(row, q)` are 64 bytes of a row, for each of
    /// `Q` lines.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    unsafe fn count_planes<const Q: usize>(
        rows: &[*const u8],
        line: impl Fn(*const u8, usize) -> __m512i,
    ) -> [Planes; Q] {
        let zero = _mm512_setzero_si512();
        let mut all = [[zero; PLANES]; Q];
        let (whole, rest) = rows.as_chunks::<16>();
        for part in whole {
            for (q, planes) in all.iter_mut().enumerate() {
                let a = add_eight(planes, |i| line(part[i], q));
                let b = add_eight(planes, |i| line(part[8 + i], q));
                let carry = full_adder(&mut planes[3], a, b);
                half_adders(&mut planes[4..], carry);
            }
        }
        for part in rest.chunks(8) {
            for (q, planes) in all.iter_mut().enumerate() {
                let carry = add_eight(planes, |i| part.get(i).map_or(zero, |row| line(*row, q)));
                half_adders(&mut planes[3..], carry);
            }
        }
        all
    }

    /// Adds eight rows to the planes of ones, twos and fours; returns the eights.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    fn add_eight(planes: &mut Planes, row: impl Fn(usize) -> __m512i) -> __m512i {
        let [ones, twos, fours, ..] = planes;
        let a = full_adder(ones, row(0), row(1));
        let b = full_adder(ones, row(2), row(3));
        let c = full_adder(twos, a, b);
        let a = full_adder(ones, row(4), row(5));
        let b = full_adder(ones, row(6), row(7));
        let d = full_adder(twos, a, b);
        full_adder(fours, c, d)
    }

    /// Adds `b` and `c` to `sum`, in every position; returns the carries.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn full_adder(sum: &mut __m512i, b: __m512i, c: __m512i) -> __m512i {
        let carry = _mm512_ternarylogic_epi64::<0xe8>(*sum, b, c);
        *sum = _mm512_ternarylogic_epi64::<0x96>(*sum, b, c);
        carry
    }

    /// Adds a carry to planes, which hold the count.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn half_adders(planes: &mut [__m512i], mut carry: __m512i) {
        for p in planes {
            (*p, carry) = (_mm512_xor_si512(*p, carry), _mm512_and_si512(*p, carry));
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    pub(super) unsafe fn add_bit_rows_512(sums: &mut [i16], rows: &[u32], weight: i16) {
        let weight = _mm512_set1_epi16(weight);
        for row in rows.chunks_exact((sums.len() / 32).max(1)) {
            for (sums, mask) in sums.as_chunks_mut::<32>().0.iter_mut().zip(row) {
                // SAFETY: 32 sums are 64 bytes.
                unsafe {
                    let sum = _mm512_loadu_si512(sums.as_ptr().cast());
                    let sum = _mm512_mask_add_epi16(sum, *mask, sum, weight);
                    _mm512_storeu_si512(sums.as_mut_ptr().cast(), sum);
                }
            }
        }
    }

    /// `sums[j] += weight · count of cell j`; at most 512 sums.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    unsafe fn spread_counts(sums: &mut [i32], planes: &[__m512i], weight: i32) {
        let mut masks = [[0u64; 8]; 8];
        for (mask, p) in masks.iter_mut().zip(planes) {
            // SAFETY: 8 u64 are 64 bytes.
            unsafe { _mm512_storeu_si512(mask.as_mut_ptr().cast(), *p) };
        }
        // Counts fit 16 bits, so that one instruction multiplies where the weight does too.
        let short = i16::try_from(weight).is_ok();
        let factor = _mm512_set1_epi32(if short { weight & 0xffff } else { weight });
        let (whole, rest) = sums.as_chunks_mut::<64>();
        // SAFETY: the caller has the features.
        unsafe {
            match planes.len() {
                _ if !short => spread_whole::<PLANES, false>(whole, &masks, factor),
                0..=2 => spread_whole::<2, true>(whole, &masks, factor),
                3 => spread_whole::<3, true>(whole, &masks, factor),
                4 => spread_whole::<4, true>(whole, &masks, factor),
                5 => spread_whole::<5, true>(whole, &masks, factor),
                6 => spread_whole::<6, true>(whole, &masks, factor),
                _ => spread_whole::<PLANES, true>(whole, &masks, factor),
            }
        }
        for (j, sum) in rest.iter_mut().enumerate() {
            let bit = |mask: &[u64; 8]| mask.get(whole.len()).map_or(0, |mask| (mask >> j & 1) as i32);
            let count = masks.iter().rev().fold(0, |count, mask| 2 * count + bit(mask));
            *sum = sum.wrapping_add(count.wrapping_mul(weight));
        }
    }

    /// [`spread_counts`] of `N` planes to whole groups of sums; `factor` is a weight, of 16 bits where it is `SHORT`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    unsafe fn spread_whole<const N: usize, const SHORT: bool>(
        sums: &mut [[i32; 64]],
        masks: &[[u64; 8]; 8],
        factor: __m512i,
    ) {
        // A compiler that knew the bits would make two instructions of every addition.
        let bits: [__m512i; N] =
            std::array::from_fn(|k| _mm512_set1_epi8(std::hint::black_box(1u8 << k) as i8));
        for (group, sums) in sums.iter_mut().enumerate() {
            let mut counts = _mm512_maskz_mov_epi8(masks[0][group], bits[0]);
            for (mask, bit) in masks.iter().zip(bits).skip(1) {
                counts = _mm512_mask_add_epi8(counts, mask[group], counts, bit);
            }
            let mut bytes = [0u8; 64];
            // SAFETY: 64 bytes.
            unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), counts) };
            let (bytes, sums) = (bytes.as_chunks::<16>().0, sums.as_chunks_mut::<16>().0);
            for (bytes, sums) in bytes.iter().zip(sums) {
                // SAFETY: 16 bytes are read, and 16 sums changed.
                unsafe {
                    let counts = _mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.as_ptr().cast()));
                    let add = match SHORT {
                        true => _mm512_madd_epi16(counts, factor),
                        false => _mm512_mullo_epi32(counts, factor),
                    };
                    let to = sums.as_mut_ptr().cast();
                    _mm512_storeu_si512(to, _mm512_add_epi32(_mm512_loadu_si512(to), add));
                }
            }
        }
    }

    /// The first `n` of 16 lanes.
    #[inline(always)]
    fn lanes(n: usize) -> __mmask16 {
        if n >= 16 { __mmask16::MAX } else { (1 << n) - 1 }
    }

    /// Bit rows: bytes count how often each cell is set, then the counts times the weight are added to the sums.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn bits_2(sums: &mut [i32], matrix: Matrix<'_>, weight: i32, events: &[Event]) {
        const STEP: usize = 32;
        const TILE: usize = 4 * STEP;
        let whole = sums.len() / TILE * TILE;
        let mut rows: [&[u8]; COUNTED] = [&[]; COUNTED];
        for batch in events.chunks(COUNTED) {
            for (r, e) in rows.iter_mut().zip(batch) {
                *r = matrix.row(e[0]);
            }
            let rows = &rows[..batch.len()];
            if batch.iter().any(|e| e[1] != 1) || rows.iter().any(|r| r.len() < sums.len().div_ceil(8)) {
                store::bits(sums, matrix, weight, batch);
                continue;
            }
            // Byte j of 32 takes bit j of a word that stands in every lane.
            let byte =
                _mm256_setr_epi64x(0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303);
            let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
            let factor = _mm256_set1_epi32(weight);
            for (tile, sums) in sums[..whole].chunks_exact_mut(TILE).enumerate() {
                let mut counts = [_mm256_setzero_si256(); 4];
                for row in rows {
                    let cells = row[tile * TILE / 8..].first_chunk::<{ TILE / 8 }>();
                    for (count, word) in
                        counts.iter_mut().zip(cells.map_or(&[][..], |c| c.as_chunks::<4>().0))
                    {
                        let all = _mm256_shuffle_epi8(_mm256_set1_epi32(i32::from_le_bytes(*word)), byte);
                        let set = _mm256_cmpeq_epi8(_mm256_and_si256(all, bit), bit);
                        *count = _mm256_sub_epi8(*count, set);
                    }
                }
                for (sums, count) in sums.as_chunks_mut::<STEP>().0.iter_mut().zip(counts) {
                    let mut bytes = [0u8; STEP];
                    // SAFETY: 32 bytes.
                    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), count) };
                    for (sums, bytes) in sums.as_chunks_mut::<8>().0.iter_mut().zip(bytes.as_chunks::<8>().0)
                    {
                        let count = _mm256_cvtepu8_epi32(_mm_set1_epi64x(i64::from_le_bytes(*bytes)));
                        let at: *mut __m256i = sums.as_mut_ptr().cast();
                        // SAFETY: 8 sums are 32 bytes.
                        unsafe {
                            let sum = _mm256_loadu_si256(at);
                            _mm256_storeu_si256(at, _mm256_add_epi32(sum, _mm256_mullo_epi32(count, factor)));
                        }
                    }
                }
            }
            for row in rows {
                for (j, s) in sums.iter_mut().enumerate().skip(whole) {
                    *s = s.wrapping_add(weight & -i32::from(row[j / 8] >> (j % 8) & 1));
                }
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    pub(super) unsafe fn sparse_512(sums: &mut [i32], row: SparseRow<'_>, payload: i32, next: &[u8]) {
        match row.bits {
            8 => weighted_512(sums, row.targets, row.weights, payload, next),
            0 => scatter_512::<ONE>(sums, row.targets, &[], row.weight.wrapping_mul(payload), next),
            _ => store::sparse(sums, row, payload),
        }
    }

    /// Rows of 8-bit weights, or of `one` weight.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    pub(super) unsafe fn sparse_run_512(
        sums: &mut [i32],
        rows: &SparseRows<'_>,
        events: &[Event],
    ) -> SparseRun {
        let &SparseRows { nth, port, one, .. } = rows;
        let first = events.first().and_then(|e| segment_of(rows, e[0] as u32, nth)?.1);
        if first.is_some_and(|first| first.len < SHORT) {
            // Those of any port have been fetched.
            return match (port, one) {
                (NONE, None) => short_512::<false, false>(sums, rows, events),
                (NONE, _) => short_512::<false, true>(sums, rows, events),
                (_, None) => short_512::<true, false>(sums, rows, events),
                (..) => short_512::<true, true>(sums, rows, events),
            };
        }
        let mut run = SparseRun::default();
        // What is looked up to have the first lines of the next row fetched is at hand when that is read.
        let mut found = None;
        for (k, &[i, payload]) in events.iter().enumerate() {
            let known = found.take();
            let Some((segments, segment)) = known.or_else(|| segment_of(rows, i as u32, nth)) else { break };
            if let Some(segment) = segment {
                if segment.port != port && port != NONE {
                    break;
                }
                let Some(halves) = synapses_of(rows, &segment, one.is_none()) else { break };
                let (targets, weights) = halves.split_at(segment.len as usize);
                fetch_records(rows, events, k);
                let next = ahead(rows, events, k + AHEAD).and_then(|(i, nth)| segment_of(rows, i, nth));
                if AHEAD == 1 && k + 1 < events.len() {
                    found = next;
                }
                let next = next.and_then(|(_, segment)| synapses_of(rows, &segment?, one.is_none()));
                let next = bytemuck::cast_slice(next.unwrap_or(&[]));
                match one {
                    Some(weight) => {
                        scatter_512::<ONE>(sums, targets, &[], weight.wrapping_mul(payload), next)
                    }
                    None => weighted_512(sums, targets, bytemuck::cast_slice(weights), payload, next),
                }
                note(&mut run, rows, &segment, payload);
            }
            run.most = run.most.max(segments);
            run.events = k + 1;
        }
        run
    }

    /// As [`sparse_run_512`], where most rows are short: the synapses of many are copied one behind the other before they are
    /// added, as a processor that has to guess where each row ends guesses wrongly. With `ONE` weight for all, what is
    /// copied adds the same until a payload is another.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    fn short_512<const FETCHES: bool, const ONE: bool>(
        sums: &mut [i32],
        rows: &SparseRows<'_>,
        events: &[Event],
    ) -> SparseRun {
        /// Synapses that are copied before they are added.
        const ROOM: usize = 1024;
        let mut run = SparseRun::default();
        if sums.is_empty() {
            return run;
        }
        let length = sums.len();
        let last = _mm256_set1_epi16(length.min(1 << 16).wrapping_sub(1) as i16);
        let mut targets = [const { MaybeUninit::<u16>::uninit() }; ROOM];
        let mut values = [const { MaybeUninit::<i32>::uninit() }; ROOM];
        let mut copied = 0;
        let mut all = 0i32;
        let mut add = |targets: &[MaybeUninit<u16>], values: &[MaybeUninit<i32>], all: i32| {
            for (target, value) in targets.iter().zip(values) {
                // SAFETY: what is copied is there, and its targets were compared with the number of sums.
                unsafe {
                    let sum = sums.get_unchecked_mut(usize::from(target.assume_init()));
                    *sum = sum.wrapping_add(if ONE { all } else { value.assume_init() });
                }
            }
        };
        for (k, &[i, payload]) in events.iter().enumerate() {
            let Some((segments, segment)) = segment_of(rows, i as u32, rows.nth) else { break };
            if let Some(segment) = segment {
                if FETCHES && segment.port != rows.port {
                    break;
                }
                let Some(halves) = synapses_of(rows, &segment, rows.one.is_none()) else { break };
                if FETCHES {
                    fetch_short(rows, events, k);
                }
                let (row, weights) = halves.split_at(segment.len as usize);
                let weights: &[i8] = bytemuck::cast_slice(weights);
                let by = _mm512_set1_epi32(payload);
                let value = rows.one.unwrap_or(0).wrapping_mul(payload);
                if ONE && value != all {
                    add(&targets[..copied], &values[..copied], all);
                    (copied, all) = (0, value);
                }
                let mut from = 0;
                while from < row.len() {
                    let here = (row.len() - from).min(STRIDE);
                    if copied + STRIDE > ROOM {
                        add(&targets[..copied], &values[..copied], all);
                        copied = 0;
                    }
                    let lanes = lanes(here);
                    // SAFETY: the masks end at the end of the row, which has as many weights; there is room for sixteen
                    // synapses.
                    unsafe {
                        let t = _mm256_maskz_loadu_epi16(lanes, row.as_ptr().add(from).cast());
                        // A target that does not exist takes nothing.
                        let there = _mm256_cmple_epu16_mask(t, last);
                        let to = targets.as_mut_ptr().add(copied).cast();
                        if ONE && there & lanes != lanes {
                            for t in row[from..from + here].iter().filter(|t| usize::from(**t) < length) {
                                targets[copied].write(*t);
                                copied += 1;
                            }
                            from += STRIDE;
                            continue;
                        }
                        if ONE {
                            _mm256_storeu_si256(to, t);
                        } else {
                            _mm256_storeu_si256(to, _mm256_maskz_mov_epi16(there, t));
                            let weights = _mm_maskz_loadu_epi8(lanes, weights.as_ptr().add(from));
                            let v = _mm512_maskz_mullo_epi32(there, _mm512_cvtepi8_epi32(weights), by);
                            _mm512_storeu_si512(values.as_mut_ptr().add(copied).cast(), v);
                        }
                    }
                    copied += here;
                    from += STRIDE;
                }
                note(&mut run, rows, &segment, payload);
            }
            run.most = run.most.max(segments);
            run.events = k + 1;
        }
        add(&targets[..copied], &values[..copied], all);
        run
    }

    /// The row of event `k`, and which segment of it; behind the last ones come the first rows of the next round, if there is one.
    #[inline(always)]
    fn ahead(rows: &SparseRows<'_>, events: &[Event], k: usize) -> Option<(u32, u32)> {
        match events.get(k) {
            Some(e) => Some((e[0] as u32, rows.nth)),
            None if rows.nth + 1 < rows.end => {
                events.get(k - events.len()).map(|e| (e[0] as u32, rows.nth + 1))
            }
            None => None,
        }
    }

    /// Has fetched where the rows behind event `k` stand, and the records of their segments, which seldom stand in two lines.
    #[inline(always)]
    fn fetch_records(rows: &SparseRows<'_>, events: &[Event], k: usize) {
        if let Some((i, _)) = ahead(rows, events, k + AHEAD_OF_ROWS)
            && let Some(place) = rows.row(i)
        {
            soon(place);
        }
        if let Some((i, nth)) = ahead(rows, events, k + AHEAD_OF_SEGMENTS)
            && let Some([first, _]) = rows.row(i)
            && let Some(record) = rows.segments.get((first.wrapping_add(nth)) as usize)
        {
            soon(record);
        }
    }

    /// Has fetched what short rows behind event `k` need before they are read.
    #[inline(always)]
    fn fetch_short(rows: &SparseRows<'_>, events: &[Event], k: usize) {
        fetch_records(rows, events, k);
        if let Some((i, nth)) = ahead(rows, events, k + AHEAD_OF_SHORT)
            && let Some((_, Some(segment))) = segment_of(rows, i, nth)
            && let Some([first, .., last]) = synapses_of(rows, &segment, rows.one.is_none())
        {
            // Mostly there is one line, or two.
            soon(first);
            soon(last);
        }
    }

    /// Has the line fetched in which something begins.
    #[inline(always)]
    fn soon<T>(what: &T) {
        // SAFETY: SSE is part of x86_64, and a prefetch does not fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(what).cast()) };
    }

    /// Counts a segment that was read.
    #[inline(always)]
    fn note(run: &mut SparseRun, rows: &SparseRows<'_>, segment: &Segment, payload: i32) {
        run.rows += 1;
        run.stored = run.stored.wrapping_add(segment.len);
        let unit = rows.changes || payload.unsigned_abs() == 1;
        let count = if unit { &mut run.accumulates } else { &mut run.multiplies };
        *count = count.wrapping_add(segment.extra);
    }

    /// Number of segments of row `i`, and segment `nth` if it has as many; nothing where there is no such row.
    #[inline(always)]
    fn segment_of(rows: &SparseRows<'_>, i: u32, nth: u32) -> Option<(u32, Option<Segment>)> {
        let &[first, end] = rows.row(i)?;
        let segments = end.wrapping_sub(first);
        if nth >= segments {
            return Some((segments, None));
        }
        rows.segments.get(first.wrapping_add(nth) as usize).map(|s| (segments, Some(Segment::of(s))))
    }

    /// The targets of a segment, and behind them its weights of 8 bits where it is `weighted`, in units of two bytes.
    #[inline(always)]
    fn synapses_of<'a>(rows: &SparseRows<'a>, segment: &Segment, weighted: bool) -> Option<&'a [u16]> {
        let (at, len) = ((segment.offset as usize).wrapping_mul(2), segment.len as usize);
        let weights = if weighted { len.div_ceil(2) } else { 0 };
        rows.halves.get(at..at.wrapping_add(len + weights))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    fn weighted_512(sums: &mut [i32], targets: &[u16], weights: &[u8], payload: i32, next: &[u8]) {
        match payload {
            1 => scatter_512::<ADDED_ONCE>(sums, targets, weights, 1, next),
            _ => scatter_512::<TIMES>(sums, targets, weights, payload, next),
        }
    }

    /// How [`scatter_512`] adds: one value, weights, or weights times a value.
    const ONE: u8 = 0;
    const ADDED_ONCE: u8 = 1;
    const TIMES: u8 = 2;

    /// Adds a row, sixteen synapses at a time, and has the lines of `next` fetched meanwhile. Loops are few here: a row is
    /// short, and a processor guesses wrongly where each of them ends.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    fn scatter_512<const HOW: u8>(sums: &mut [i32], targets: &[u16], weights: &[u8], by: i32, next: &[u8]) {
        let singly = |sums: &mut [i32], from: usize| {
            let bits = if HOW == ONE { 0 } else { 8 };
            let row = SparseRow {
                targets: &targets[from..],
                weights: weights.get(from..).unwrap_or(&[]),
                bits,
                weight: by,
            };
            store::sparse(sums, row, if HOW == ONE { 1 } else { by });
        };
        let n = targets.len();
        if sums.len() < STRIDE || HOW != ONE && weights.len() < n {
            return singly(sums, 0);
        }
        let last = _mm256_set1_epi16(sums.len().min(1 << 16).wrapping_sub(1) as i16);
        let sums_at = sums.as_mut_ptr();
        // Nothing but `next`, or this row: a prefetch of an address that is not mapped keeps the processor busy for long.
        let next = if next.is_empty() { bytemuck::cast_slice(targets) } else { next };
        let mut line = next.as_ptr().wrapping_sub(next.as_ptr() as usize % 64);
        let end = next.as_ptr().wrapping_add(next.len());
        let mut fetch = || {
            _mm_prefetch::<_MM_HINT_T0>(line.cast());
            let after = line.wrapping_add(64);
            line = if after < end { after } else { line };
            after < end
        };
        // Sixteen synapses whose targets have been compared with the number of sums.
        let add = |targets: &[u16; STRIDE], weights: &[u8; STRIDE]| {
            let add = |target: u32, weight: u8| {
                let weight = match HOW {
                    ONE => by,
                    ADDED_ONCE => i32::from(weight as i8),
                    _ => i32::from(weight as i8).wrapping_mul(by),
                };
                // SAFETY: as said above.
                unsafe {
                    let s = sums_at.add(target as usize);
                    *s = (*s).wrapping_add(weight);
                }
            };
            if HOW == ONE {
                return targets.iter().for_each(|t| add(u32::from(*t), 0));
            }
            for (two, [a, b]) in targets.as_chunks::<2>().0.iter().zip(weights.as_chunks::<2>().0) {
                // Two in one load, as with their weights there are more loads than the processor has room for.
                // SAFETY: two targets are four bytes.
                let two = unsafe { two.as_ptr().cast::<u32>().read_unaligned() };
                add(two & 0xffff, *a);
                add(two >> 16, *b);
            }
        };
        let (parts, rest) = targets.as_chunks::<STRIDE>();
        let weight_parts = weights.as_chunks::<STRIDE>().0;
        // A compiler that sees the vector takes the targets out of it, which is slower than to load them again.
        let again = std::hint::black_box(targets).as_chunks::<STRIDE>().0;
        for (p, (part, again)) in parts.iter().zip(again).enumerate() {
            // A line has 32 targets, or 21 with their weights.
            if HOW != ONE || p % 2 == 0 {
                fetch();
            }
            // SAFETY: sixteen targets are 32 bytes.
            let t = unsafe { _mm256_loadu_si256(part.as_ptr().cast()) };
            if _mm256_cmpgt_epu16_mask(t, last) != 0 {
                return singly(sums, p * STRIDE);
            }
            match HOW {
                ONE => add(again, &[0; STRIDE]),
                // SAFETY: there is a weight for every target.
                _ => add(again, unsafe { weight_parts.get_unchecked(p) }),
            }
        }
        if !rest.is_empty() {
            // The others add nothing, each to a sum of its own.
            let lanes = (1 << rest.len()) - 1;
            let (mut t, mut w) = ([0; STRIDE], [0; STRIDE]);
            let own = _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            // SAFETY: the masks end at the end of the row; sixteen targets and weights have 32 and 16 bytes.
            unsafe {
                let targets = _mm256_mask_loadu_epi16(own, lanes, rest.as_ptr().cast());
                if _mm256_cmpgt_epu16_mask(targets, last) != 0 {
                    return singly(sums, n - rest.len());
                }
                _mm256_storeu_si256(t.as_mut_ptr().cast(), targets);
                if HOW != ONE {
                    let weights = _mm_maskz_loadu_epi8(lanes, weights.as_ptr().add(n - rest.len()).cast());
                    _mm_storeu_si128(w.as_mut_ptr().cast(), weights);
                }
            }
            match HOW {
                ONE => singly(sums, n - rest.len()),
                // As above.
                _ => add(std::hint::black_box(&t), std::hint::black_box(&w)),
            }
        }
        while fetch() {}
    }

    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn sparse_2(sums: &mut [i32], row: SparseRow<'_>, payload: i32, next: &[u8]) {
        let largest = row.targets.iter().copied().max().unwrap_or(0);
        scatter(sums, row, payload, next, usize::from(largest) < sums.len());
    }

    /// 16 neurons at a time, without a branch for each.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    pub(super) unsafe fn send_512(
        spikes: &[u64; RUN],
        first: i32,
        counts: &mut [i32],
        events: &mut [Event],
    ) -> usize {
        let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let one = _mm512_set1_epi32(1);
        let mut sent = 0;
        for (b, word) in spikes.iter().enumerate().filter(|(_, word)| **word != 0) {
            let at = b * BLOCK;
            // One spike alone, as in sparse activity, is not worth the vectors.
            if word.is_power_of_two() || counts.len() < at + BLOCK || events.len() < sent + BLOCK {
                sent += store::send_block(*word, at, first, counts, &mut events[sent..]);
                continue;
            }
            for part in 0..BLOCK / 16 {
                let set = (word >> (16 * part)) as __mmask16;
                let numbers = _mm512_add_epi32(lanes, _mm512_set1_epi32(first + (at + 16 * part) as i32));
                let sending = _mm512_maskz_compress_epi32(set, numbers);
                // The number below, the payload above.
                let event =
                    |numbers| _mm512_or_si512(_mm512_cvtepu32_epi64(numbers), _mm512_set1_epi64(1 << 32));
                // SAFETY: a block has 64 counts, and its events have 64 places from the block's first one on, of which
                // the parts before have taken 16 each at most.
                unsafe {
                    let to: *mut __m512i = events.as_mut_ptr().add(sent).cast();
                    _mm512_storeu_si512(to, event(_mm512_castsi512_si256(sending)));
                    if set.count_ones() > 8 {
                        _mm512_storeu_si512(to.add(1), event(_mm512_extracti64x4_epi64::<1>(sending)));
                    }
                    let count: *mut __m512i = counts.as_mut_ptr().add(at + 16 * part).cast();
                    let old = _mm512_loadu_si512(count);
                    _mm512_storeu_si512(count, _mm512_mask_add_epi32(old, set, old, one));
                }
                sent += set.count_ones() as usize;
            }
        }
        sent
    }

    /// Four times 16 blocks side by side, as each operation of a round waits for the one before.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    pub(super) unsafe fn numbers_512(key: [u32; 2], low: u32, first: u32, numbers: &mut [Numbers]) {
        const SIDE: usize = 4;
        let all = |word: u32| _mm512_set1_epi32(word as i32);
        let keys = [key[0], key[1], PARITY ^ key[0] ^ key[1]];
        let steps = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let mut first = first.wrapping_add(keys[1]);
        for chunk in numbers.chunks_mut(SIDE) {
            let mut a = [all(low.wrapping_add(keys[0])); SIDE];
            let mut b = [_mm512_setzero_si512(); SIDE];
            for b in &mut b {
                *b = _mm512_add_epi32(steps, all(first));
                first = first.wrapping_add(DRAWN as u32);
            }
            macro_rules! rounds {
                ($($turn:literal)*) => {$(
                    for (a, b) in a.iter_mut().zip(&mut b) {
                        *a = _mm512_add_epi32(*a, *b);
                        *b = _mm512_xor_si512(_mm512_rol_epi32::<$turn>(*b), *a);
                    }
                )*};
            }
            macro_rules! keyed {
                ($n:literal) => {
                    let (x, y) = (all(keys[$n % 3]), all(keys[($n + 1) % 3].wrapping_add($n)));
                    for (a, b) in a.iter_mut().zip(&mut b) {
                        *a = _mm512_add_epi32(*a, x);
                        *b = _mm512_add_epi32(*b, y);
                    }
                };
            }
            // The rotations of `TURNS`.
            rounds!(13 15 26 6);
            keyed!(1);
            rounds!(17 29 16 24);
            keyed!(2);
            rounds!(13 15 26 6);
            keyed!(3);
            rounds!(17);
            for (out, (a, b)) in chunk.iter_mut().zip(a.into_iter().zip(b)) {
                // SAFETY: the numbers of 16 blocks are 128 bytes.
                unsafe {
                    let to: *mut __m512i = out.as_mut_ptr().cast();
                    _mm512_storeu_si512(to, a);
                    _mm512_storeu_si512(to.add(1), b);
                }
            }
        }
    }

    /// Synapses between two fetched lines; they take 32 or 48 bytes themselves.
    const STRIDE: usize = 16;

    /// Adds a row; `fits` says that all targets are below `sums.len()`.
    #[inline(always)]
    fn scatter(sums: &mut [i32], row: SparseRow<'_>, payload: i32, next: &[u8], fits: bool) {
        let weighted = row.bits == 8;
        if !fits || !(weighted || row.bits == 0) || (weighted && row.weights.len() < row.targets.len()) {
            return store::sparse(sums, row, payload);
        }
        let (targets, last) = row.targets.as_chunks::<STRIDE>();
        // The lines that `next` touches, one after each part of this row; the others when it is done. Nothing beyond
        // them: a prefetch of an address that is not mapped keeps the processor busy for long.
        let mut line = next.as_ptr().wrapping_sub(next.as_ptr() as usize % 64);
        let mut left = match next.len() {
            0 => 0,
            len => (len + next.as_ptr() as usize % 64).div_ceil(64),
        };
        let mut fetch = || {
            if left > 0 {
                // SAFETY: SSE is part of x86_64, and a prefetch does not fault.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) };
                line = line.wrapping_add(64);
                left -= 1;
            }
            left > 0
        };
        let mut add = |target: u16, weight: i32| {
            // SAFETY: the caller has compared every target with `sums.len()`.
            let s = unsafe { sums.get_unchecked_mut(usize::from(target)) };
            *s = s.wrapping_add(weight);
        };
        if !weighted {
            let weight = row.weight.wrapping_mul(payload);
            for t in targets {
                fetch();
                for target in t {
                    add(*target, weight);
                }
            }
            last.iter().for_each(|t| add(*t, weight));
            while fetch() {}
            return;
        }
        let (weights, last_weights) = row.weights[..row.targets.len()].as_chunks::<STRIDE>();
        let all = targets.iter().zip(weights);
        let lasts = last.iter().zip(last_weights);
        if payload == 1 {
            for (t, w) in all {
                fetch();
                for j in 0..STRIDE {
                    add(t[j], i32::from(w[j] as i8));
                }
            }
            lasts.for_each(|(t, w)| add(*t, i32::from(*w as i8)));
        } else {
            for (t, w) in all {
                fetch();
                for j in 0..STRIDE {
                    add(t[j], i32::from(w[j] as i8).wrapping_mul(payload));
                }
            }
            lasts.for_each(|(t, w)| add(*t, i32::from(*w as i8).wrapping_mul(payload)));
        }
        while fetch() {}
    }

    /// Has bytes fetched, line by line.
    #[inline]
    pub(super) fn prefetch(bytes: &[u8]) {
        // An unaligned range may end in a line of its own.
        for line in 0..(bytes.len() + bytes.as_ptr() as usize % 64).div_ceil(64) {
            // SAFETY: SSE is part of x86_64, and a prefetch does not fault.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(bytes.as_ptr().wrapping_add(line * 64).cast()) };
        }
    }

    /// Options that the vector update leaves to the core's own.
    const UNUSUAL: u32 = flag::ADAPTIVE
        | flag::MULTI_SPIKE
        | flag::STATELESS
        | flag::LEAK_LAST
        | flag::LEAK_RESTING
        | flag::ADDITIVE_LEAK
        | flag::FLOOR_VALUE
        | flag::FLOOR_ADD
        | flag::BIAS_CURRENT;

    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn lif_run_2(params: &Params<'_>, state: State<'_>, out: &mut RunOutcome) -> u32 {
        Portable.lif_run(params, state, out)
    }

    /// 16 neurons at a time: `neuron::update`, operation by operation.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,popcnt")]
    pub(super) unsafe fn lif_run_512(params: &Params<'_>, state: State<'_>, out: &mut RunOutcome) -> u32 {
        // SAFETY: the caller has the features.
        let saturated = unsafe { lif_blocks_512(params, state, out) };
        out.awake = out.moved.iter().map(|moved| moved.count_ones()).sum();
        saturated
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    unsafe fn lif_blocks_512(params: &Params<'_>, state: State<'_>, out: &mut RunOutcome) -> u32 {
        let p = params.piece;
        if p.flags & UNUSUAL != 0 || p.grain > 1 || p.reset == Reset::SubtractAgain || p.refractory >> 16 != 0
        {
            return Portable.lif_run(params, state, out);
        }
        let n = state.v.len();
        let (rests, flows) = (p.refractory != 0, p.flags & flag::CURRENT != 0);
        let each = [
            params.threshold.each,
            params.bias.each,
            params.decay.each,
            params.reset_value.each,
            params.current_decay.each,
        ];
        let enough = state.sum.len() >= n
            && (!rests || state.refractory.len() >= n)
            && (!flows || state.current.len() >= n)
            && each.iter().all(|e| e.is_empty() || e.len() >= n)
            && n <= BLOCK * out.moved.len();
        if !enough {
            return Portable.lif_run(params, state, out);
        }
        (out.moved, out.spikes) = ([0; RUN], [0; RUN]);
        let narrow = if flows {
            current_bits(params).is_some()
        } else {
            params.narrow || are_narrow(params, state.sum)
        };
        // SAFETY: all slices that are read have at least n elements, and `out` a bit for each.
        unsafe {
            if !narrow {
                return match (rests, flows) {
                    (false, false) => lif_wide::<false, false>(params, state, 0, out),
                    (true, false) => lif_wide::<true, false>(params, state, 0, out),
                    (false, true) => lif_wide::<false, true>(params, state, 0, out),
                    (true, true) => lif_wide::<true, true>(params, state, 0, out),
                };
            }
            let alike = each.iter().all(|e| e.is_empty());
            let others =
                each.iter().filter(|e| !e.is_empty()).count() > usize::from(!params.bias.each.is_empty());
            let usual = !alike
                && !others
                && p.reset == Reset::Value
                && p.order == CurrentOrder::Old
                && shrinks(p)
                && [&params.decay, &params.current_decay].iter().all(|d| d.common >= 0);
            match (rests, flows, alike, p.reset) {
                (false, true, ..) if usual => lif_run::<false, USUAL, BIASES, VALUE>(params, state, out),
                (true, true, ..) if usual => lif_run::<true, USUAL, BIASES, VALUE>(params, state, out),
                (false, true, ..) => lif_run::<false, FLOWING, EACH, ANY>(params, state, out),
                (true, true, ..) => lif_run::<true, FLOWING, EACH, ANY>(params, state, out),
                (false, _, true, Reset::Subtract) => {
                    lif_run::<false, STILL, COMMON, SUBTRACT>(params, state, out)
                }
                (true, _, true, Reset::Subtract) => {
                    lif_run::<true, STILL, COMMON, SUBTRACT>(params, state, out)
                }
                (false, _, true, Reset::Value) => lif_run::<false, STILL, COMMON, VALUE>(params, state, out),
                (true, _, true, Reset::Value) => lif_run::<true, STILL, COMMON, VALUE>(params, state, out),
                (false, _, true, _) => lif_run::<false, STILL, COMMON, ANY>(params, state, out),
                (true, _, true, _) => lif_run::<true, STILL, COMMON, ANY>(params, state, out),
                (false, _, false, _) => lif_run::<false, STILL, EACH, ANY>(params, state, out),
                (true, _, false, _) => lif_run::<true, STILL, EACH, ANY>(params, state, out),
            }
        }
    }

    /// Bits of a membrane of neurons with a current that update in 32 bits.
    const MEMBRANE_BITS: u32 = 29;

    /// Bits of a current, and of what arrives in a tick, with which neurons with a current update exactly in 32 bits, if
    /// their membranes have [`MEMBRANE_BITS`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    fn current_bits(params: &Params<'_>) -> Option<u32> {
        let p = params.piece;
        let of = |v: &Value<'_>| match v.each {
            [] => v.common.unsigned_abs(),
            each => largest(each),
        };
        let start = if p.reset == Reset::ValueNext { of(&params.reset_value) } else { 0 };
        let late = if p.reset == Reset::SubtractNext { of(&params.threshold) } else { 0 };
        // No parameter of an image is larger than 2^30.
        let bias = if params.bias.each.is_empty() { params.bias.common.unsigned_abs() } else { 1 << 30 };
        let membrane = u64::from(start.max(1 << MEMBRANE_BITS)) + u64::from(bias) + u64::from(late);
        let room = (i32::MAX as u64).checked_sub(membrane).filter(|_| p.gain_shift <= 32)?;
        // A current and what arrives have one more bit together.
        let fits = |bits: &u32| ((2u64 << bits) * u64::from(p.gain.unsigned_abs())) >> p.gain_shift <= room;
        (p.input_shift..30).rev().find(fits)
    }

    /// The largest magnitude.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    fn largest(values: &[i32]) -> u32 {
        let (whole, rest) = values.as_chunks::<16>();
        // SAFETY: the mask ends at the end of the values.
        let last = unsafe { _mm512_maskz_loadu_epi32(lanes(rest.len()), rest.as_ptr()) };
        let mut most = _mm512_abs_epi32(last);
        for values in whole {
            // SAFETY: 16 values are 64 bytes.
            let x = unsafe { _mm512_loadu_si512(values.as_ptr().cast()) };
            most = _mm512_max_epu32(most, _mm512_abs_epi32(x));
        }
        _mm512_reduce_max_epu32(most)
    }

    /// Whether 32-bit arithmetic is exact for these very sums, whatever the image's bound on them; for neurons without
    /// current and parameters of their own.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    fn are_narrow(params: &Params<'_>, sums: &[i32]) -> bool {
        let p = params.piece;
        if !params.threshold.each.is_empty() || !params.bias.each.is_empty() {
            return false;
        }
        let state = p.v_min.unsigned_abs().max(p.v_max.unsigned_abs());
        let (bias, threshold) = (params.bias.common.unsigned_abs(), params.threshold.common.unsigned_abs());
        let taken = u64::from(state) + u64::from(bias) + u64::from(threshold);
        let most = (i32::MAX as u64).saturating_sub(taken) >> p.input_shift;
        // −most <= sum <= most, in one comparison without signs.
        let (most, twice) = (_mm512_set1_epi32(most as i32), _mm512_set1_epi32((2 * most) as u32 as i32));
        let (whole, rest) = sums.as_chunks::<16>();
        let mut beyond = 0;
        for sums in whole {
            // SAFETY: 16 sums are 64 bytes.
            let x = unsafe { _mm512_loadu_si512(sums.as_ptr().cast()) };
            beyond |= _mm512_cmpgt_epu32_mask(_mm512_add_epi32(x, most), twice);
        }
        // SAFETY: the mask ends at the end of the sums.
        let x = unsafe { _mm512_maskz_loadu_epi32(lanes(rest.len()), rest.as_ptr()) };
        beyond |= _mm512_cmpgt_epu32_mask(_mm512_add_epi32(x, most), twice);
        beyond == 0
    }

    /// `sign(v) · (|v| · q31 >> 31)` in 64-bit lanes; |v| < 2^31, and the low halves of `q31` count.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    fn decay_wide(v: __m512i, q31: __m512i) -> __m512i {
        let magnitude = _mm512_srli_epi64::<31>(_mm512_mul_epu32(_mm512_abs_epi64(v), q31));
        _mm512_mask_sub_epi64(magnitude, _mm512_movepi64_mask(v), _mm512_setzero_si512(), magnitude)
    }

    /// 8 neurons at a time in 64-bit arithmetic, for those whose numbers need it, from neuron `from` on: a multiple of 8.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    unsafe fn lif_wide<const RESTS: bool, const FLOWS: bool>(
        params: &Params<'_>,
        state: State<'_>,
        from: usize,
        out: &mut RunOutcome,
    ) -> u32 {
        let p = params.piece;
        let n = state.v.len();
        let (sum, v) = (state.sum.as_mut_ptr(), state.v.as_mut_ptr());
        let (currents, refractory) = (state.current.as_mut_ptr(), state.refractory.as_mut_ptr());
        let zero = _mm512_setzero_si512();
        let one = _mm512_set1_epi64(1);
        let (low, high) = (_mm512_set1_epi64(p.v_min.into()), _mm512_set1_epi64(p.v_max.into()));
        let (least, most) = (_mm512_set1_epi64(i64::from(i32::MIN + 1)), _mm512_set1_epi64(i32::MAX.into()));
        let rest = _mm512_set1_epi64(p.refractory.into());
        let (shift, gain_shift) =
            (_mm_cvtsi32_si128(p.input_shift as i32), _mm_cvtsi32_si128(p.gain_shift as i32));
        let gain = _mm512_set1_epi64(p.gain.into());
        let plain = p.gain == 1 && p.gain_shift == 0;
        let silent = p.flags & flag::SILENT != 0;
        let less = _mm512_set1_epi64(i64::from(p.flags & flag::GREATER_EQUAL != 0));
        let never = _mm512_set1_epi64(i64::MAX);
        let clamps = p.flags & flag::CLAMP != 0;
        let narrow = |x: __m512i| _mm512_min_epi64(_mm512_max_epi64(x, least), most);
        let load = |from: *const i32, lanes: __mmask8| {
            // SAFETY: the mask ends at n, and every slice has at least n elements.
            _mm512_cvtepi32_epi64(unsafe { _mm256_maskz_loadu_epi32(lanes, from) })
        };
        let store = |to: *mut i32, lanes: __mmask8, x: __m512i| {
            // SAFETY: as for loads.
            unsafe { _mm256_mask_storeu_epi32(to, lanes, _mm512_cvtepi64_epi32(x)) }
        };
        let value = |v: &Value<'_>, at: usize, lanes: __mmask8| match v.each {
            [] => _mm512_set1_epi64(v.common.into()),
            each => load(each.as_ptr().wrapping_add(at), lanes),
        };
        let mut saturated = 0;
        for (block, (moved, spikes)) in out.moved.iter_mut().zip(&mut out.spikes).enumerate() {
            let first = block * BLOCK;
            if first >= n {
                break;
            }
            for part in from.saturating_sub(first) / 8..(n - first).min(BLOCK).div_ceil(8) {
                let at = first + part * 8;
                let lanes: __mmask8 = if n - at >= 8 { __mmask8::MAX } else { (1 << (n - at)) - 1 };
                let x = load(sum.wrapping_add(at), lanes);
                let before = load(v.wrapping_add(at), lanes);
                let threshold = value(&params.threshold, at, lanes);
                let limit = if silent { never } else { _mm512_sub_epi64(threshold, less) };
                let reset = value(&params.reset_value, at, lanes);
                let mut start = before;
                if p.reset == Reset::ValueNext {
                    start = _mm512_mask_mov_epi64(start, _mm512_cmpgt_epi64_mask(start, limit), reset);
                }
                let drive = _mm512_sll_epi64(x, shift);
                let mut changed = x;
                let mut seen = drive;
                if FLOWS {
                    let old = load(currents.wrapping_add(at), lanes);
                    let keep = value(&params.current_decay, at, lanes);
                    let jumped = |from| narrow(_mm512_add_epi64(from, drive));
                    let (now, felt) = match p.order {
                        CurrentOrder::New => {
                            let now = jumped(decay_wide(old, keep));
                            (now, now)
                        }
                        CurrentOrder::Old => (jumped(decay_wide(old, keep)), old),
                        CurrentOrder::JumpThenDecay => {
                            let high = jumped(old);
                            (decay_wide(high, keep), high)
                        }
                        CurrentOrder::JumpDecayed => {
                            let now = decay_wide(jumped(old), keep);
                            (now, now)
                        }
                    };
                    store(currents.wrapping_add(at), lanes, now);
                    changed = _mm512_ternarylogic_epi64::<0xf6>(changed, old, now);
                    seen = felt;
                    if !plain {
                        let product = _mm512_mul_epi32(felt, gain);
                        let size = _mm512_srl_epi64(_mm512_abs_epi64(product), gain_shift);
                        seen = _mm512_mask_sub_epi64(size, _mm512_movepi64_mask(product), zero, size);
                    }
                }
                let kept = decay_wide(start, value(&params.decay, at, lanes));
                let mut full = _mm512_add_epi64(kept, _mm512_add_epi64(seen, value(&params.bias, at, lanes)));
                if p.reset == Reset::SubtractNext {
                    full =
                        _mm512_mask_sub_epi64(full, _mm512_cmpgt_epi64_mask(start, limit), full, threshold);
                }
                let next = _mm512_min_epi64(_mm512_max_epi64(full, low), high);
                let left = if RESTS { load(refractory.wrapping_add(at), lanes) } else { zero };
                let resting = _mm512_test_epi64_mask(left, left);
                let clamped = _mm512_cmpneq_epi64_mask(next, full);
                if clamped != 0 {
                    let wanted = if clamps { _mm512_cmplt_epi64_mask(full, low) } else { 0 };
                    saturated += (clamped & !wanted & !resting & lanes).count_ones();
                }
                let next = _mm512_mask_mov_epi64(next, resting, start);
                let fires = _mm512_mask_cmpgt_epi64_mask(!resting & lanes, next, limit);
                let after = match p.reset {
                    Reset::Value => _mm512_mask_mov_epi64(next, fires, reset),
                    Reset::Subtract => _mm512_mask_sub_epi64(next, fires, next, threshold),
                    Reset::None | Reset::ValueNext | Reset::SubtractNext | Reset::SubtractAgain => next,
                };
                changed = _mm512_ternarylogic_epi64::<0xf6>(changed, before, after);
                if RESTS {
                    let fewer = _mm512_mask_sub_epi64(left, resting, left, one);
                    let now = _mm512_mask_mov_epi64(fewer, fires, rest);
                    changed = _mm512_ternarylogic_epi64::<0xf6>(changed, left, now);
                    store(refractory.wrapping_add(at), lanes, now);
                }
                store(v.wrapping_add(at), lanes, after);
                store(sum.wrapping_add(at), lanes, zero);
                let changed = _mm512_test_epi64_mask(changed, changed) & lanes | fires;
                *moved |= u64::from(changed) << (part * 8);
                *spikes |= u64::from(fires) << (part * 8);
            }
        }
        saturated
    }

    /// Kinds of neurons by their current: without one, as most have it, and any. Most have their currents work before they
    /// jump, and neither factors of decay nor gains of 1 or more.
    const STILL: u8 = 0;
    const USUAL: u8 = 1;
    const FLOWING: u8 = 2;

    /// Whether a piece has a gain whose products need no shift: the upper halves of those with 2^32 times the gain serve.
    fn shrinks(piece: &Piece) -> bool {
        (1..=32).contains(&piece.gain_shift) && u64::from(piece.gain.unsigned_abs()) >> piece.gain_shift == 0
    }

    /// Which parameters every neuron may have of its own: none, biases, or all.
    const COMMON: u8 = 0;
    const BIASES: u8 = 1;
    const EACH: u8 = 2;

    /// Resets that have a loop of their own, and all.
    const SUBTRACT: u8 = 1;
    const VALUE: u8 = 2;
    const ANY: u8 = 3;

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    unsafe fn lif_run<const RESTS: bool, const FLOW: u8, const OWN: u8, const RESET: u8>(
        params: &Params<'_>,
        state: State<'_>,
        out: &mut RunOutcome,
    ) -> u32 {
        let p = params.piece;
        let n = state.v.len();
        let common = |v: &Value<'_>| _mm512_set1_epi32(v.common);
        let loops = LifLoop::<RESTS, FLOW, OWN, RESET> {
            params,
            sum: state.sum.as_mut_ptr(),
            v: state.v.as_mut_ptr(),
            current: state.current.as_mut_ptr(),
            refractory: state.refractory.as_mut_ptr(),
            reset: match RESET {
                SUBTRACT => Reset::Subtract,
                VALUE => Reset::Value,
                _ => p.reset,
            },
            low: _mm512_set1_epi32(p.v_min),
            high: _mm512_set1_epi32(p.v_max),
            rest: _mm512_set1_epi32(p.refractory as i32),
            shift: _mm512_set1_epi32(p.input_shift as i32),
            // v ≥ threshold is v > threshold − 1; who never spikes has a threshold that nothing exceeds.
            less: _mm512_set1_epi32(i32::from(p.flags & flag::GREATER_EQUAL != 0)),
            silent: p.flags & flag::SILENT != 0,
            clamps: p.flags & flag::CLAMP != 0,
            thresholds: common(&params.threshold),
            biases: common(&params.bias),
            decay: Factor::of(&params.decay),
            current_decay: Factor::of(&params.current_decay),
            gains: _mm512_set1_epi32(p.gain),
            gain: _mm512_set1_epi32(match FLOW {
                USUAL => p.gain.unsigned_abs() << (32 - p.gain_shift),
                _ => p.gain.unsigned_abs(),
            } as i32),
            gain_shifts: [
                _mm_cvtsi32_si128(p.gain_shift as i32),
                _mm_cvtsi32_si128(32u32.saturating_sub(p.gain_shift) as i32),
            ],
            scales: p.gain != 1 || p.gain_shift != 0,
            beyond: {
                // Only neurons with a current have bits to look at.
                let bits =
                    if FLOW != STILL { current_bits(params).unwrap_or(p.input_shift) } else { p.input_shift };
                let [membranes, currents, sums] =
                    [MEMBRANE_BITS, bits, bits - p.input_shift + 1].map(|b| _mm512_set1_epi32(-1 << b));
                Beyond { membranes, currents, sums, most: _mm512_set1_epi32(1 << (bits - p.input_shift)) }
            },
            range: _mm512_sub_epi32(_mm512_set1_epi32(p.v_max), _mm512_set1_epi32(p.v_min)),
            resets: common(&params.reset_value),
        };
        let mut saturated = _mm512_setzero_si512();
        let (moved, spikes) = (quarters(&mut out.moved), quarters(&mut out.spikes));
        let (mut at, mut stopped) = (0, false);
        for (moved, spikes) in moved.iter_mut().zip(spikes) {
            if at >= n {
                break;
            }
            // SAFETY: what `LifLoop` asks for, as the masks end at n.
            let done = unsafe {
                if n - at >= 16 {
                    loops.sixteen::<true>(at, __mmask16::MAX, &mut saturated)
                } else {
                    loops.sixteen::<false>(at, lanes(n - at), &mut saturated)
                }
            };
            match done {
                Some(done) => (*moved, *spikes) = done,
                None => {
                    stopped = true;
                    break;
                }
            }
            at += 16;
        }
        let saturated = _mm512_reduce_add_epi32(saturated) as u32;
        if stopped {
            // SAFETY: what the caller says.
            return saturated
                + unsafe {
                    match FLOW {
                        STILL => lif_wide::<RESTS, false>(params, state, at, out),
                        _ => lif_wide::<RESTS, true>(params, state, at, out),
                    }
                };
        }
        saturated
    }

    /// Words of 64 neurons as such of 16: this processor has the low end of a word first.
    fn quarters(words: &mut [u64; RUN]) -> &mut [u16] {
        bytemuck::cast_slice_mut(words)
    }

    /// The upper halves of 64-bit lanes, as their lower halves.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    fn upper(x: __m512i) -> __m512i {
        _mm512_castps_si512(_mm512_movehdup_ps(_mm512_castsi512_ps(x)))
    }

    /// The upper halves of the products of 32-bit numbers without a sign; `by` is the same in all lanes.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    fn upper_products(x: __m512i, by: __m512i) -> __m512i {
        let even = _mm512_castsi512_ps(_mm512_mul_epu32(x, by));
        let mut products = _mm512_castsi512_ps(_mm512_mul_epu32(upper(x), by));
        // A compiler makes two shuffles of `_mm512_mask_movehdup_ps`, for which there is one unit only.
        // SAFETY: an instruction of AVX-512F on registers.
        unsafe {
            std::arch::asm!(
                "vmovshdup {products}{{{even_lanes}}}, {even}",
                products = inout(zmm_reg) products,
                even_lanes = in(kreg) 0x5555u16,
                even = in(zmm_reg) even,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        _mm512_castps_si512(products)
    }

    /// A decay factor: `sign(v) · (|v| · q31 >> 31)` for 16 lanes at a time.
    struct Factor<'p> {
        each: &'p [i32],
        common: __m512i,
        /// Twice the common factor: the upper half of a product with it is the product shifted by 31. It fits where
        /// something `leaks`.
        twice: __m512i,
        leaks: bool,
    }

    impl<'p> Factor<'p> {
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
        fn of(value: &Value<'p>) -> Factor<'p> {
            let common = _mm512_set1_epi32(value.common);
            Factor {
                each: value.each,
                common,
                twice: _mm512_slli_epi32::<1>(common),
                leaks: value.common as u32 >> 31 == 0,
            }
        }
    }

    /// What stays the same while a run of neurons updates. Pointers and parameters have an element for every neuron; where
    /// not `RESTS` there is no refractory state, where [`STILL`] no current, and but for those that `OWN` names one value
    /// of each parameter serves all.
    struct LifLoop<'p, const RESTS: bool, const FLOW: u8, const OWN: u8, const RESET: u8> {
        params: &'p Params<'p>,
        sum: *mut i32,
        v: *mut i32,
        current: *mut i32,
        refractory: *mut i32,
        reset: Reset,
        low: __m512i,
        high: __m512i,
        rest: __m512i,
        shift: __m512i,
        less: __m512i,
        silent: bool,
        clamps: bool,
        thresholds: __m512i,
        biases: __m512i,
        decay: Factor<'p>,
        current_decay: Factor<'p>,
        gains: __m512i,
        /// Magnitude of the gain, and the shifts that bring products of even and odd lanes where they belong; 2^32 times
        /// it where it is [`USUAL`].
        gain: __m512i,
        gain_shifts: [__m128i; 2],
        /// The gain is not one.
        scales: bool,
        beyond: Beyond,
        range: __m512i,
        resets: __m512i,
    }

    /// Bits that nothing has where 32-bit arithmetic is exact: of magnitudes of membranes and currents, and of sums that
    /// `most` was added to.
    #[derive(Clone, Copy)]
    struct Beyond {
        membranes: __m512i,
        currents: __m512i,
        sums: __m512i,
        most: __m512i,
    }

    impl<const RESTS: bool, const FLOW: u8, const OWN: u8, const RESET: u8> LifLoop<'_, RESTS, FLOW, OWN, RESET> {
        /// Updates the neurons of 16 `lanes` from `at` on, or all 16 where `FULL`: who changed, and who fires. Nothing
        /// where they have a current and the numbers of one of them may need more than 32 bits.
        ///
        /// # Safety
        /// There is a neuron for every lane.
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
        unsafe fn sixteen<const FULL: bool>(
            &self,
            at: usize,
            lanes: __mmask16,
            saturated: &mut __m512i,
        ) -> Option<(__mmask16, __mmask16)> {
            let zero = _mm512_setzero_si512();
            let one = _mm512_set1_epi32(1);
            let load = |from: *const i32| {
                // SAFETY: as said above.
                unsafe {
                    match FULL {
                        true => _mm512_loadu_si512(from.add(at).cast()),
                        false => _mm512_maskz_loadu_epi32(lanes, from.add(at)),
                    }
                }
            };
            let store = |to: *mut i32, x: __m512i| {
                // SAFETY: as said above.
                unsafe {
                    match FULL {
                        true => _mm512_storeu_si512(to.add(at).cast(), x),
                        false => _mm512_mask_storeu_epi32(to.add(at), lanes, x),
                    }
                }
            };
            let value = |v: &Value<'_>, common: __m512i| {
                if OWN == EACH && !v.each.is_empty() { load(v.each.as_ptr()) } else { common }
            };
            let (x, before) = (load(self.sum), load(self.v));
            let left = if RESTS { load(self.refractory) } else { zero };
            let threshold = value(&self.params.threshold, self.thresholds);
            let limit = match self.silent {
                true => _mm512_set1_epi32(i32::MAX),
                false => _mm512_sub_epi32(threshold, self.less),
            };
            let bias = match OWN {
                BIASES => load(self.params.bias.each.as_ptr()),
                _ => value(&self.params.bias, self.biases),
            };
            let reset = value(&self.params.reset_value, self.resets);
            let mut start = before;
            if self.reset == Reset::ValueNext {
                start = _mm512_mask_mov_epi32(start, _mm512_cmpgt_epi32_mask(start, limit), reset);
            }
            let drive = _mm512_sllv_epi32(x, self.shift);
            let (mut changed, mut seen) = (x, drive);
            if FLOW != STILL {
                let old = load(self.current);
                let Beyond { membranes, currents, sums, most } = self.beyond;
                // a | b & c
                let beyond = _mm512_and_si512(_mm512_abs_epi32(before), membranes);
                let beyond = _mm512_ternarylogic_epi32::<0xf8>(beyond, _mm512_abs_epi32(old), currents);
                let beyond = _mm512_ternarylogic_epi32::<0xf8>(beyond, _mm512_add_epi32(x, most), sums);
                if _mm512_test_epi32_mask(beyond, beyond) != 0 {
                    return None;
                }
                let leave = |current| self.decayed(&self.current_decay, current, load);
                let order = if FLOW == USUAL { CurrentOrder::Old } else { self.params.piece.order };
                let (now, felt) = match order {
                    CurrentOrder::New => {
                        let now = _mm512_add_epi32(leave(old), drive);
                        (now, now)
                    }
                    CurrentOrder::Old => (_mm512_add_epi32(leave(old), drive), old),
                    CurrentOrder::JumpThenDecay => {
                        let high = _mm512_add_epi32(old, drive);
                        (leave(high), high)
                    }
                    CurrentOrder::JumpDecayed => {
                        let now = leave(_mm512_add_epi32(old, drive));
                        (now, now)
                    }
                };
                store(self.current, now);
                changed = _mm512_ternarylogic_epi32::<0xf6>(changed, old, now);
                seen = if FLOW == USUAL || self.scales { self.scaled(felt) } else { felt };
            }
            let kept = self.decayed(&self.decay, start, load);
            let driven = _mm512_add_epi32(kept, seen);
            // Comparisons under a mask: a mask that is computed with others goes through general registers.
            let active = if RESTS { _mm512_cmple_epi32_mask(left, zero) } else { __mmask16::MAX };
            // Who rests stays as it was.
            let mut next = if self.reset == Reset::SubtractNext {
                let full = _mm512_add_epi32(driven, bias);
                let above = _mm512_cmpgt_epi32_mask(start, limit);
                _mm512_mask_mov_epi32(start, active, _mm512_mask_sub_epi32(full, above, full, threshold))
            } else if RESTS {
                _mm512_mask_add_epi32(start, active, driven, bias)
            } else {
                _mm512_add_epi32(driven, bias)
            };
            let above = _mm512_sub_epi32(next, self.low);
            let beyond = _mm512_mask_cmpgt_epu32_mask(active, above, self.range);
            if beyond != 0 {
                let wanted = if self.clamps { _mm512_cmplt_epi32_mask(next, self.low) } else { 0 };
                let counted = beyond & !wanted & lanes;
                *saturated = _mm512_mask_add_epi32(*saturated, counted, *saturated, one);
                next = _mm512_mask_max_epi32(next, active, next, self.low);
                next = _mm512_mask_min_epi32(next, active, next, self.high);
            }
            let able = if FULL { active } else { active & lanes };
            let fires = if !RESTS && FULL {
                _mm512_cmpgt_epi32_mask(next, limit)
            } else {
                _mm512_mask_cmpgt_epi32_mask(able, next, limit)
            };
            let after = match self.reset {
                Reset::Value => _mm512_mask_mov_epi32(next, fires, reset),
                Reset::Subtract => _mm512_mask_sub_epi32(next, fires, next, threshold),
                Reset::None | Reset::ValueNext | Reset::SubtractNext | Reset::SubtractAgain => next,
            };
            // x | (before ^ after) | (left ^ now)
            changed = _mm512_ternarylogic_epi32::<0xf6>(changed, before, after);
            if RESTS {
                // One less, or none: there are less than 2^16.
                let fewer = _mm512_subs_epu16(left, one);
                let now = _mm512_mask_mov_epi32(fewer, fires, self.rest);
                changed = _mm512_ternarylogic_epi32::<0xf6>(changed, left, now);
                store(self.refractory, now);
            }
            store(self.v, after);
            store(self.sum, zero);
            let changed = _mm512_test_epi32_mask(changed, changed);
            // Who fires has a rest to begin, and so has changed.
            let changed = if RESTS { changed } else { changed | fires };
            Some((if FULL { changed } else { changed & lanes }, fires))
        }

        /// `v` decayed; where `OWN` is not [`EACH`] there is one factor for all. `load` reads the factors of these lanes.
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
        fn decayed(&self, by: &Factor<'_>, v: __m512i, load: impl Fn(*const i32) -> __m512i) -> __m512i {
            let magnitude = _mm512_abs_epi32(v);
            let common = OWN != EACH || by.each.is_empty();
            let kept = if FLOW == USUAL || common && by.leaks {
                upper_products(magnitude, by.twice)
            } else {
                let factor = if common { by.common } else { load(by.each.as_ptr()) };
                // In even and odd lanes.
                let even = _mm512_srli_epi64::<31>(_mm512_mul_epu32(magnitude, factor));
                let odd = _mm512_mul_epu32(upper(magnitude), upper(factor));
                _mm512_mask_mov_epi32(even, 0xaaaa, _mm512_slli_epi64::<1>(odd))
            };
            _mm512_mask_sub_epi32(kept, _mm512_movepi32_mask(v), _mm512_setzero_si512(), kept)
        }

        /// `felt · gain / 2^shift`, toward zero; the result fits 32 bits and the shift is at most 32.
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
        fn scaled(&self, felt: __m512i) -> __m512i {
            let magnitude = _mm512_abs_epi32(felt);
            let size = if FLOW == USUAL {
                upper_products(magnitude, self.gain)
            } else {
                let even = _mm512_srl_epi64(_mm512_mul_epu32(magnitude, self.gain), self.gain_shifts[0]);
                let odd =
                    _mm512_sll_epi64(_mm512_mul_epu32(upper(magnitude), self.gain), self.gain_shifts[1]);
                _mm512_mask_mov_epi32(even, 0xaaaa, odd)
            };
            let below = _mm512_movepi32_mask(_mm512_xor_si512(felt, self.gains));
            _mm512_mask_sub_epi32(size, below, _mm512_setzero_si512(), size)
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    pub(super) unsafe fn lif_512(
        params: &Params<'_>,
        state: State<'_>,
        spikes: &mut [i32; BLOCK],
    ) -> Outcome {
        synop_core::neuron::update(params, state, spikes)
    }

    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn lif_2(params: &Params<'_>, state: State<'_>, spikes: &mut [i32; BLOCK]) -> Outcome {
        synop_core::neuron::update(params, state, spikes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::{RngCore, SeedableRng};
    use synop_core::LANES;
    use synop_core::draw::threefry2x32;
    use synop_core::image::{CurrentOrder, Kind, NONE, Param, Piece, Reset, Segment, flag};
    use synop_core::neuron::Value;

    // Miri checks every access, thousands of times slower: fewer sizes and cases, the same loops.
    const COLUMNS: &[usize] =
        if cfg!(miri) { &[1, 65] } else { &[1, 63, 64, 65, 130, 512, 1000, 1024, 1600] };
    const ROWS: usize = if cfg!(miri) { 18 } else { 210 };
    const TILES: u32 = if cfg!(miri) { 40 } else { 4000 };
    const PIECES: usize = if cfg!(miri) { 24 } else { 400 };

    fn random(seed: u64, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        Xoshiro256PlusPlus::seed_from_u64(seed).fill_bytes(&mut bytes);
        bytes
    }

    #[test]
    fn every_level_adds_the_same_sums() {
        for level in Native::levels() {
            let native = Native::at(level).expect("listed");
            for (case, columns) in COLUMNS.iter().copied().enumerate() {
                let rows = ROWS;
                let stride = columns * 2 + 7;
                let bytes = random(case as u64, rows * stride);
                for bits in [1, 2, 4, 8, 16] {
                    let matrix = Matrix { bytes: &bytes, stride, bits };
                    for payloads in [
                        &[1][..],
                        &[1, 1, 1, -2, 3],
                        &[255, 1, 128, 127, 256, 0, 7],
                        &[-64, 64, -2, 0, 65, -65, 1],
                    ] {
                        let events: Vec<Event> = (0..rows)
                            .filter(|i| i % 3 != 1)
                            .map(|i| [i as i32, payloads[i % payloads.len()]])
                            .collect();
                        let (mut a, mut b) = (vec![5; columns], vec![5; columns]);
                        Portable.dense(&mut a, matrix, &events);
                        native.dense(&mut b, matrix, &events);
                        assert_eq!(a, b, "dense, {level:?}, {columns} columns, {bits} bits");
                        for (weight, share) in [(37, 1), (-40_000, 1), (-9, 2), (9, 7), (5, 20), (5, 60)] {
                            let some = &events[..events.len() / share];
                            Portable.bits(&mut a, matrix, weight, some);
                            native.bits(&mut b, matrix, weight, some);
                            assert_eq!(a, b, "bits, {level:?}, {columns} columns, {} rows", some.len());
                        }
                    }
                }
                for bits in [4, 8, 16] {
                    let matrix = Matrix { bytes: &bytes, stride, bits };
                    // An odd number of rows, some of which have a payload that no 16 bits hold.
                    let events: Vec<Event> = (0..rows as i32 - 1).map(|i| [i, 0xffff]).collect();
                    let payloads: Vec<Lanes> = events
                        .iter()
                        .map(|e| {
                            std::array::from_fn(|l| {
                                (e[0] * 7 + l as i32 * 5) % 9 - 4 + i32::from(e[0] == 11) * 40_000
                            })
                        })
                        .collect();
                    let (mut a, mut b) = (vec![[5; LANES]; columns], vec![[5; LANES]; columns]);
                    Portable.dense_lanes(&mut a, matrix, &events, &payloads);
                    native.dense_lanes(&mut b, matrix, &events, &payloads);
                    assert_eq!(a, b, "dense lanes, {level:?}, {columns} columns, {bits} bits");
                }
                let targets: Vec<u16> = random(9, 2 * columns)
                    .chunks(2)
                    .map(|c| (u16::from(c[0]) * 256 + u16::from(c[1])) % columns as u16)
                    .collect();
                for (bits, payload) in [(0, 1), (8, 1), (8, -3), (16, 2), (4, 1)] {
                    let row =
                        SparseRow { targets: &targets, weights: &bytes[..columns * 2], bits, weight: -11 };
                    let (mut a, mut b) = (vec![5; columns], vec![5; columns]);
                    Portable.sparse(&mut a, row, payload, &[]);
                    native.sparse(&mut b, row, payload, &bytes);
                    assert_eq!(a, b, "sparse, {level:?}, {columns} columns, {bits} bits");
                    // A target beyond the sums is ignored, not followed.
                    let (mut a, mut b) = (vec![5; columns / 2], vec![5; columns / 2]);
                    Portable.sparse(&mut a, row, payload, &[]);
                    native.sparse(&mut b, row, payload, &[]);
                    assert_eq!(a, b, "sparse beyond the sums, {level:?}");
                }
            }
        }
    }

    #[test]
    fn every_level_changes_weights_alike() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(4);
        let mut seen = TileTally::default();
        for case in 0..TILES {
            let mut below = |n: u32| (random.next_u32() % n) as i32;
            let mantissa = [below(65_536) - 32_768, below(20) + 1][case as usize % 2];
            let high = 1 + below(3000);
            let change = TileChange {
                mantissa: if mantissa == 0 { 1 } else { mantissa },
                shift: below(31) as u32,
                bounds: (-high, high),
            };
            // Each sample is positive, negative or neither.
            let mut bits = |quiet: u32| {
                (0..16)
                    .fold(0, |all, k| plasticity::with_sample(all, k, [1, -1, 0][below(2 + quiet) as usize]))
            };
            let (pre, posts) =
                (bits(1), std::array::from_fn(|j| if j % 3 == 0 { 0 } else { bits(j as u32 % 2) }));
            let weights = std::array::from_fn(|_| (random.next_u32() % 6001) as i32 - 3000);
            let mut expected = weights;
            let tally = Portable.change_tile(&change, pre, &posts, &mut expected);
            for level in Native::levels() {
                let mut found = weights;
                let native = Native::at(level).expect("listed");
                assert_eq!(
                    native.change_tile(&change, pre, &posts, &mut found),
                    tally,
                    "{level:?}, {change:?}"
                );
                assert_eq!(found, expected, "{level:?}, {change:?}");
            }
            seen.saturated += tally.saturated;
            seen.rounded_to_zero += tally.rounded_to_zero;
        }
        let enough = TILES / 4;
        assert!(seen.saturated > enough && seen.rounded_to_zero > enough, "{seen:?}");
    }

    #[test]
    fn every_level_runs_rows_as_one_by_one() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(12);
        for case in 0..200 {
            let mut below = |n: u32| random.next_u32() % n;
            let (neurons, sums) = (1 + below(20), [3, 16, 40, 1000, 1 << 16][case % 5]);
            let one = (case % 3 == 0).then_some(-7);
            // Now and then a target beyond the sums, which is ignored.
            let reach = if case % 7 == 0 { sums + 9 } else { sums }.min(1 << 16);
            let (mut index, mut segments, mut halves) = (vec![0], Vec::new(), Vec::new());
            // Rows of other delays may stand between those that are read.
            let stride = 1 + case as u32 % 2;
            for _ in 0..neurons * stride {
                for _ in 0..below(3) {
                    let len = below(70);
                    let port = 1 + u32::from(below(9) == 0);
                    segments.push([port | len << 16, (halves.len() / 2) as u32, below(len + 1)]);
                    halves.extend((0..len).map(|_| below(reach) as u16));
                    let weights = if one.is_some() { 0 } else { len.div_ceil(2) };
                    halves.extend((0..weights).map(|_| below(1 << 16) as u16));
                    halves.resize(halves.len().next_multiple_of(2), 0);
                }
                index.push(segments.len() as u32);
            }
            let nth = below(2);
            let (port, changes) = ([1, NONE][usize::from(case % 8 == 3)], case % 4 == 0);
            let rows = SparseRows {
                index: &index,
                stride,
                segments: &segments,
                halves: &halves,
                nth,
                end: u32::MAX,
                port,
                one,
                changes,
            };
            let events: Vec<Event> = (0..below(40))
                .map(|_| [below(neurons) as i32, if below(4) == 0 { below(9) as i32 - 4 } else { 1 }])
                .collect();
            let segment_of = |i: i32| {
                let [first, end] = *rows.row(i as u32).expect("a row");
                let at = first + nth;
                (at < end).then(|| Segment::of(&segments[at as usize]))
            };
            for level in Native::levels() {
                let native = Native::at(level).expect("listed");
                let (mut found, mut expected) = (vec![5; sums as usize], vec![5; sums as usize]);
                let mut done = 0;
                while done < events.len() {
                    let run = native.sparse_run(&mut found, &rows, &events[done..]);
                    let mut told = SparseRun { events: run.events, most: run.most, ..SparseRun::default() };
                    let longest = |e: &[Event]| {
                        let row = |e: &Event| rows.row(e[0] as u32).expect("a row");
                        e.iter().map(|e| row(e)[1] - row(e)[0]).max().unwrap_or(0)
                    };
                    assert!(run.most >= longest(&events[done..done + run.events]), "{level:?}");
                    for &[i, payload] in &events[done..done + run.events] {
                        let Some(s) = segment_of(i) else { continue };
                        assert!(s.port == 1 || port == NONE, "{level:?}");
                        let (at, len) = (s.offset as usize * 2, s.len as usize);
                        let bits = if one.is_some() { 0 } else { 8 };
                        let weights = match one {
                            Some(_) => &[][..],
                            None => bytemuck::cast_slice(&halves[at + len..at + len + len.div_ceil(2)]),
                        };
                        let (targets, weight) = (&halves[at..at + len], one.unwrap_or(0));
                        Portable.sparse(
                            &mut expected,
                            SparseRow { targets, weights, bits, weight },
                            payload,
                            &[],
                        );
                        told.rows += 1;
                        told.stored += s.len;
                        let unit = changes || payload.unsigned_abs() == 1;
                        *(if unit { &mut told.accumulates } else { &mut told.multiplies }) += s.extra;
                    }
                    assert_eq!(run, told, "{level:?}");
                    // What it leaves is of another port, or everything where a level has no such loop.
                    let left = segment_of(events.get(done + run.events).map_or(0, |e| e[0]));
                    assert!(
                        level != Level::Avx512
                            || done + run.events == events.len()
                            || left.is_some_and(|s| s.port != 1)
                    );
                    done += run.events + 1;
                }
                assert_eq!(found, expected, "{level:?}, case {case}");
            }
        }
    }

    #[test]
    fn bare_bit_rows_are_alike_at_every_level() {
        let rows: Vec<u32> =
            random(3, 4 * 7 * 5).chunks(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect();
        let mut expected = vec![1i16; 7 * 32 + 3];
        add_bit_rows(Level::Portable, &mut expected, &rows, -5);
        assert_eq!(expected[40], 1 - 5 * (0..5).filter(|r| rows[r * 7 + 1] >> 8 & 1 == 1).count() as i16);
        for level in Native::levels() {
            let mut sums = vec![1i16; 7 * 32 + 3];
            add_bit_rows(level, &mut sums, &rows, -5);
            assert_eq!(sums, expected, "{level:?}");
        }
    }

    #[test]
    fn every_level_sends_the_same_events() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(6);
        for case in 0..TILES / 10 {
            let n = [1, 16, 64, 65, 200, 700, 1024][case as usize % 7];
            let mut spikes = [0u64; RUN];
            for j in 0..n {
                let fires = [2, 10, 300][case as usize / 7 % 3];
                spikes[j / BLOCK] |= u64::from(random.next_u32() % fires == 0) << (j % BLOCK);
            }
            // Sometimes without room for all.
            let all = spikes.iter().map(|w| w.count_ones() as usize).sum::<usize>();
            let room = [n, n, all / 2][case as usize % 3];
            let (start, places) = (vec![case as i32; n], vec![[0; 2]; room]);
            let (mut counts, mut events) = (start.clone(), places.clone());
            let sent = Portable.send(&spikes, 1000, &mut counts, &mut events);
            assert_eq!(sent, all.min(room));
            for level in Native::levels() {
                let (mut found, mut places) = (start.clone(), places.clone());
                let native = Native::at(level).expect("listed");
                assert_eq!(native.send(&spikes, 1000, &mut found, &mut places), sent);
                assert_eq!((&found, &places[..sent]), (&counts, &events[..sent]), "{level:?}, {n} neurons");
            }
        }
    }

    /// A piece of `n` neurons with random options, and its random state.
    fn random_piece(
        random: &mut Xoshiro256PlusPlus,
        n: usize,
        usual: bool,
    ) -> (Piece, [Vec<i32>; 5], [Vec<i32>; 5]) {
        let mut below = |n: u32| random.next_u32() % n;
        let scalar = |value: i32| Param { value, array: u32::MAX };
        let resets = [
            Reset::None,
            Reset::Value,
            Reset::Subtract,
            Reset::ValueNext,
            Reset::SubtractNext,
            Reset::SubtractAgain,
        ];
        let orders =
            [CurrentOrder::New, CurrentOrder::Old, CurrentOrder::JumpThenDecay, CurrentOrder::JumpDecayed];
        let options = [flag::GREATER_EQUAL, flag::CLAMP, flag::SILENT, flag::CURRENT];
        let flags = options.iter().filter(|f| below(if **f == flag::SILENT { 8 } else { 2 }) == 0).sum();
        let mut piece = Piece {
            kind: Kind::Lif,
            core: 0,
            first: 0,
            count: n as u32,
            stage: 1,
            flags,
            groups: 1,
            payload_max: 1,
            delay_first: 0,
            delay_count: 0,
            delay_max: 0,
            population: 0,
            population_first: 0,
            reset: resets[below(6) as usize],
            order: orders[below(4) as usize],
            input_shift: below(5),
            refractory: [0, 1, 7][below(3) as usize],
            v_min: -1500,
            v_max: 4000,
            adapt_add: 0,
            adapt_decay: 0,
            gain: [1, 37, -5, -1 << 20, i32::MIN][below(5) as usize],
            gain_shift: [0, 0, 4, 31, 32, 40][below(6) as usize],
            grain: 0,
            threshold: scalar(1000),
            bias: scalar(3),
            decay: scalar(0x7f00_1234),
            current_decay: scalar(0x7000_0000),
            reset_value: scalar(-20),
            initial: scalar(0),
            floor: 0,
            floor_value: 0,
        };
        if usual {
            (piece.flags, piece.reset, piece.order) =
                (flags | flag::CURRENT, Reset::Value, CurrentOrder::Old);
            piece.gain_shift = [6, 20, 31, 32][below(4) as usize];
        }
        let mut values = |low: i32, high: i32| -> Vec<i32> {
            (0..n).map(|_| low + below((high - low) as u32) as i32).collect()
        };
        let each =
            [values(-50, 2000), values(-30, 30), values(0, i32::MAX), values(0, i32::MAX), values(-90, 90)];
        let mut state = [values(-90, 90), values(-1500, 4000), values(-800, 800), values(0, 3), vec![0; n]];
        if piece.flags & flag::CURRENT == 0 {
            state[2].clear();
        }
        if piece.refractory == 0 {
            state[3].clear();
        }
        (piece, each, state)
    }

    #[test]
    fn every_level_draws_the_same_numbers() {
        let key = [0x1234_5678, 0x9abc_def0];
        for len in [1, 3, 4, 5, 9] {
            for level in Native::levels() {
                let mut numbers = vec![[0; 2 * DRAWN]; len];
                Native::at(level).expect("listed").numbers(key, 77, 1_000, &mut numbers);
                for (i, found) in numbers.iter().enumerate() {
                    for j in 0..DRAWN {
                        let expected = threefry2x32::<13>(key, [77, (1_000 + i * DRAWN + j) as u32]);
                        assert_eq!([found[j], found[DRAWN + j]], expected, "{level:?}, {len}, {i}, {j}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_level_updates_neurons_alike() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(11);
        let mut seen = RunOutcome::default();
        for case in 0..PIECES {
            let n = [1, 15, 16, 17, 63, 64, 65, 200, 1000, 1024][case % 10];
            // Neurons with a current that have a loop of their own.
            let usual = case % 7 == 2;
            let (mut piece, each, mut state) = random_piece(&mut random, n, usual);
            let own = if usual { 1 << 1 } else { case / 10 };
            if case % 4 == 1 {
                // Some are near a power of two: within, at and beyond what 32 bits hold with gain and shift.
                (piece.v_min, piece.v_max) = (-1 << 30, 1 << 30);
                let powers = [29, random.next_u32() % 31, random.next_u32() % 31];
                for (values, power) in [1, 2, 0].into_iter().zip(powers) {
                    let n = state[values].len();
                    for _ in 0..(n / 16).min(3) {
                        let near = (1i32 << power).wrapping_add((random.next_u32() % 5) as i32 - 2);
                        let near = near.clamp(-1 << 30, 1 << 30);
                        state[values][random.next_u32() as usize % n] =
                            if random.next_u32() % 2 == 0 { near } else { -near };
                    }
                }
                let fits = (1 << 30) >> piece.input_shift;
                state[0].iter_mut().for_each(|x| *x = (*x).clamp(-fits, fits));
            }
            if case % 6 == 0 {
                // Beyond what 32 bits hold with the shift.
                state[0][n / 2] = [1, -1][case / 6 % 2] << (31 - piece.input_shift);
            }
            let values = |p: Param, i: usize| Value {
                common: p.value,
                each: if own & (1 << i) != 0 { &each[i][..] } else { &[] },
            };
            let params = Params {
                piece: &piece,
                narrow: piece.flags & flag::CURRENT == 0 && case % 3 != 0,
                threshold: values(piece.threshold, 0),
                bias: values(piece.bias, 1),
                decay: values(piece.decay, 2),
                current_decay: values(piece.current_decay, 3),
                reset_value: values(piece.reset_value, 4),
            };
            let run = |kernels: &dyn Fn(&Params<'_>, State<'_>, &mut RunOutcome) -> u32| {
                let mut now = state.clone();
                let mut all = Vec::new();
                for _ in 0..3 {
                    let [sum, v, current, refractory, adapt] = &mut now;
                    let mut out = RunOutcome::default();
                    let saturated = kernels(&params, State { sum, v, current, refractory, adapt }, &mut out);
                    all.push((out, saturated));
                    now[0].copy_from_slice(&state[0]);
                }
                (all, now)
            };
            let expected = run(&|p, s, o| Portable.lif_run(p, s, o));
            for level in Native::levels() {
                let native = Native::at(level).expect("listed");
                let found = run(&|p, s, o| native.lif_run(p, s, o));
                assert_eq!(found, expected, "{level:?}, {n} neurons, {piece:?}");
            }
            for (s, o) in seen.spikes.iter_mut().zip(expected.0[0].0.spikes) {
                *s |= o;
            }
        }
        assert!(seen.spikes[0].count_ones() > 32, "hardly anyone spikes");
    }
}
