//! The machine's loops on this processor: SIMD and prefetch. **The one module with `unsafe`.**
//!
//! [`Native`] chooses once, at run time: AVX-512, AVX2, or the core's own loops. Sums are exact, so every
//! choice gives the same bits; `tests` below compare them on random rows.
//!
//! Proof of safety, for every `unsafe` block:
//!
//! * functions with `target_feature` are called only where [`Native::detect`] has seen the feature;
//! * vector loads and stores use pointers of slices, at offsets whose end is compared with the slice's length
//!   just before (`tile + LANES <= n`, where `n` is the least length of all slices that the loop touches);
//! * unchecked scatter runs only after the largest target of the row was found to be below `sums.len()`;
//! * prefetches never fault, whatever the address.
#![allow(unsafe_code)]

use synop_core::neuron::{BLOCK, Outcome, Params, State};
use synop_core::store::{self, Event, Kernels, Matrix, SparseRow};

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
            if is_x86_feature_detected!("avx2") {
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

impl Kernels for Native {
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
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use std::arch::x86_64::*;

    /// Rows that one pass adds: their sum fits 16 bits (16 · 128 < 2^15), and each is one stream.
    const STREAMS: usize = 16;
    /// Columns of one pass.
    const LANES: usize = 64;

    /// Spikes of payload 1 in batches of full rows of 8-bit weights go to `pass`; all else to the portable loop.
    #[inline(always)]
    fn batches(
        sums: &mut [i32],
        matrix: Matrix<'_>,
        events: &[Event],
        mut pass: impl FnMut(&mut [i32], &[&[u8]], &[&[u8]]),
    ) {
        let n = sums.len();
        if matrix.bits != 8 || n < LANES {
            return store::dense(sums, matrix, events);
        }
        let mut rows: [&[u8]; STREAMS] = [&[]; STREAMS];
        let mut ahead: [&[u8]; STREAMS] = [&[]; STREAMS];
        for (b, batch) in events.chunks(STREAMS).enumerate() {
            let mut count = 0;
            for e in batch {
                let row = matrix.row(e[0]);
                if e[1] == 1 && row.len() >= n {
                    rows[count] = row;
                    count += 1;
                } else {
                    store::dense(sums, matrix, std::slice::from_ref(e));
                }
            }
            let next = events.get((b + 1) * STREAMS..).unwrap_or(&[]);
            let mut coming = 0;
            for (a, e) in ahead.iter_mut().zip(next.iter().take(STREAMS)) {
                *a = matrix.row(e[0]);
                coming += 1;
            }
            pass(sums, &rows[..count], &ahead[..coming]);
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    pub(super) unsafe fn dense_512(sums: &mut [i32], matrix: Matrix<'_>, events: &[Event]) {
        batches(sums, matrix, events, |sums, rows, ahead| {
            // SAFETY: the caller has the features; `batches` gives rows of at least `sums.len()` bytes.
            unsafe { pass_512(sums, rows, ahead) }
        });
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    unsafe fn pass_512(sums: &mut [i32], rows: &[&[u8]], ahead: &[&[u8]]) {
        let n = rows.iter().map(|r| r.len()).fold(sums.len(), usize::min);
        let mut tile = 0;
        while tile + LANES <= n {
            let mut low = _mm512_setzero_si512();
            let mut high = _mm512_setzero_si512();
            for row in rows {
                // SAFETY: tile + 64 <= n <= row.len().
                let w = unsafe { _mm512_loadu_si512(row.as_ptr().add(tile).cast()) };
                low = _mm512_add_epi16(low, _mm512_cvtepi8_epi16(_mm512_castsi512_si256(w)));
                high = _mm512_add_epi16(high, _mm512_cvtepi8_epi16(_mm512_extracti64x4_epi64::<1>(w)));
            }
            for row in ahead {
                _mm_prefetch::<_MM_HINT_T0>(row.as_ptr().wrapping_add(tile).cast());
            }
            let quarters = [
                _mm512_castsi512_si256(low),
                _mm512_extracti64x4_epi64::<1>(low),
                _mm512_castsi512_si256(high),
                _mm512_extracti64x4_epi64::<1>(high),
            ];
            for (q, part) in quarters.into_iter().enumerate() {
                // SAFETY: tile + 16 q + 16 <= tile + 64 <= n <= sums.len().
                unsafe {
                    let at = sums.as_mut_ptr().add(tile + 16 * q).cast();
                    _mm512_storeu_si512(
                        at,
                        _mm512_add_epi32(_mm512_loadu_si512(at), _mm512_cvtepi16_epi32(part)),
                    );
                }
            }
            tile += LANES;
        }
        rest(sums, rows, tile);
    }

    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn dense_2(sums: &mut [i32], matrix: Matrix<'_>, events: &[Event]) {
        batches(sums, matrix, events, |sums, rows, ahead| {
            // SAFETY: the caller has the feature; `batches` gives rows of at least `sums.len()` bytes.
            unsafe { pass_2(sums, rows, ahead) }
        });
    }

    #[target_feature(enable = "avx2")]
    unsafe fn pass_2(sums: &mut [i32], rows: &[&[u8]], ahead: &[&[u8]]) {
        let n = rows.iter().map(|r| r.len()).fold(sums.len(), usize::min);
        let mut tile = 0;
        while tile + LANES <= n {
            let mut acc = [_mm256_setzero_si256(); 4];
            for row in rows {
                for (q, a) in acc.iter_mut().enumerate() {
                    // SAFETY: tile + 16 q + 16 <= tile + 64 <= n <= row.len().
                    let w = unsafe { _mm_loadu_si128(row.as_ptr().add(tile + 16 * q).cast()) };
                    *a = _mm256_add_epi16(*a, _mm256_cvtepi8_epi16(w));
                }
            }
            for row in ahead {
                _mm_prefetch::<_MM_HINT_T0>(row.as_ptr().wrapping_add(tile).cast());
            }
            for (q, a) in acc.into_iter().enumerate() {
                let halves = [_mm256_castsi256_si128(a), _mm256_extracti128_si256::<1>(a)];
                for (h, half) in halves.into_iter().enumerate() {
                    // SAFETY: tile + 16 q + 8 h + 8 <= tile + 64 <= n <= sums.len().
                    unsafe {
                        let at: *mut __m256i = sums.as_mut_ptr().add(tile + 16 * q + 8 * h).cast();
                        let sum = _mm256_add_epi32(_mm256_loadu_si256(at), _mm256_cvtepi16_epi32(half));
                        _mm256_storeu_si256(at, sum);
                    }
                }
            }
            tile += LANES;
        }
        rest(sums, rows, tile);
    }

    /// The columns after the last full tile.
    #[inline(always)]
    fn rest(sums: &mut [i32], rows: &[&[u8]], from: usize) {
        for row in rows {
            for (s, w) in sums.iter_mut().zip(*row).skip(from) {
                *s = s.wrapping_add(i32::from(*w as i8));
            }
        }
    }

    /// Bit rows, added with carry-save adders: three planes count up to seven rows, then the counts are spread.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    pub(super) unsafe fn bits_512(sums: &mut [i32], matrix: Matrix<'_>, weight: i32, events: &[Event]) {
        if events.iter().any(|e| e[1] != 1) {
            return store::bits(sums, matrix, weight, events);
        }
        let whole = sums.len() / 512;
        for batch in events.chunks(15) {
            let mut rows: [&[u8]; 15] = [&[]; 15];
            for (r, e) in rows.iter_mut().zip(batch) {
                *r = matrix.row(e[0]);
            }
            let rows = &rows[..batch.len()];
            let enough = rows.iter().map(|r| r.len() / 64).min().unwrap_or(0).min(whole);
            for chunk in 0..enough {
                let mut planes = [_mm512_setzero_si512(); 4];
                for row in rows {
                    // SAFETY: (chunk + 1) * 64 <= enough * 64 <= row.len().
                    let mut carry = unsafe { _mm512_loadu_si512(row.as_ptr().add(chunk * 64).cast()) };
                    for p in &mut planes {
                        let sum = _mm512_xor_si512(*p, carry);
                        carry = _mm512_and_si512(*p, carry);
                        *p = sum;
                    }
                }
                let mut masks = [[0u16; 32]; 4];
                for (mask, p) in masks.iter_mut().zip(planes) {
                    // SAFETY: 32 u16 are 64 bytes.
                    unsafe { _mm512_storeu_si512(mask.as_mut_ptr().cast(), p) };
                }
                for g in 0..32 {
                    // SAFETY: chunk * 512 + 16 g + 16 <= whole * 512 <= sums.len().
                    unsafe {
                        let at = sums.as_mut_ptr().add(chunk * 512 + 16 * g).cast();
                        let mut sum = _mm512_loadu_si512(at);
                        for (k, mask) in masks.iter().enumerate() {
                            let step = _mm512_set1_epi32(weight.wrapping_shl(k as u32));
                            sum = _mm512_mask_add_epi32(sum, mask[g], sum, step);
                        }
                        _mm512_storeu_si512(at, sum);
                    }
                }
            }
            tail_bits(sums, rows, weight, enough * 512);
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn bits_2(sums: &mut [i32], matrix: Matrix<'_>, weight: i32, events: &[Event]) {
        store::bits(sums, matrix, weight, events);
    }

    /// The columns after the last full chunk (`from` is a multiple of 8).
    #[inline(always)]
    fn tail_bits(sums: &mut [i32], rows: &[&[u8]], weight: i32, from: usize) {
        let Some(sums) = sums.get_mut(from..) else { return };
        for row in rows {
            for (sums, byte) in sums.chunks_mut(8).zip(row.get(from / 8..).unwrap_or(&[])) {
                for (j, s) in sums.iter_mut().enumerate() {
                    *s = s.wrapping_add(weight & -i32::from(byte >> j & 1));
                }
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    pub(super) unsafe fn sparse_512(sums: &mut [i32], row: SparseRow<'_>, payload: i32, next: &[u8]) {
        scatter(sums, row, payload, next);
    }

    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn sparse_2(sums: &mut [i32], row: SparseRow<'_>, payload: i32, next: &[u8]) {
        scatter(sums, row, payload, next);
    }

    /// Synapses between two prefetches: one cache line of targets.
    const STRIDE: usize = 32;

    #[inline(always)]
    fn scatter(sums: &mut [i32], row: SparseRow<'_>, payload: i32, next: &[u8]) {
        let largest = row.targets.iter().copied().max().unwrap_or(0);
        let fits = usize::from(largest) < sums.len() && matches!(row.bits, 0 | 8);
        if !fits || (row.bits == 8 && row.weights.len() < row.targets.len()) {
            return store::sparse(sums, row, payload);
        }
        let lines = next.len().div_ceil(64);
        let chunks = row.targets.len().div_ceil(STRIDE).max(1);
        let per_chunk = lines.div_ceil(chunks);
        let mut line = 0;
        let mut ahead = || {
            for _ in 0..per_chunk {
                _mm_prefetch_line(next, line);
                line += 1;
            }
        };
        if row.bits == 0 {
            let add = row.weight.wrapping_mul(payload);
            for targets in row.targets.chunks(STRIDE) {
                ahead();
                for t in targets {
                    // SAFETY: t <= largest < sums.len().
                    let s = unsafe { sums.get_unchecked_mut(usize::from(*t)) };
                    *s = s.wrapping_add(add);
                }
            }
            return;
        }
        for (targets, weights) in row.targets.chunks(STRIDE).zip(row.weights.chunks(STRIDE)) {
            ahead();
            for (t, w) in targets.iter().zip(weights) {
                // SAFETY: t <= largest < sums.len().
                let s = unsafe { sums.get_unchecked_mut(usize::from(*t)) };
                *s = s.wrapping_add(i32::from(*w as i8).wrapping_mul(payload));
            }
        }
    }

    #[inline(always)]
    fn _mm_prefetch_line(bytes: &[u8], line: usize) {
        // SAFETY: SSE is part of x86_64, and a prefetch does not fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(line * 64).cast()) }
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
    use synop_core::store::Portable;

    fn random(seed: u64, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        Xoshiro256PlusPlus::seed_from_u64(seed).fill_bytes(&mut bytes);
        bytes
    }

    #[test]
    fn every_level_adds_the_same_sums() {
        for level in Native::levels() {
            let native = Native::at(level).expect("listed");
            for (case, columns) in [1, 63, 64, 65, 130, 512, 1000, 1024, 1600].into_iter().enumerate() {
                let rows = 70;
                let stride = columns * 2 + 7;
                let bytes = random(case as u64, rows * stride);
                for bits in [1, 2, 4, 8, 16] {
                    let matrix = Matrix { bytes: &bytes, stride, bits };
                    for payloads in [&[1][..], &[1, 1, 1, -2, 3]] {
                        let events: Vec<Event> = (0..rows)
                            .filter(|i| i % 3 != 1)
                            .map(|i| [i as i32, payloads[i % payloads.len()]])
                            .collect();
                        let (mut a, mut b) = (vec![5; columns], vec![5; columns]);
                        Portable.dense(&mut a, matrix, &events);
                        native.dense(&mut b, matrix, &events);
                        assert_eq!(a, b, "dense, {level:?}, {columns} columns, {bits} bits");
                        Portable.bits(&mut a, matrix, 37, &events);
                        native.bits(&mut b, matrix, 37, &events);
                        assert_eq!(a, b, "bits, {level:?}, {columns} columns");
                    }
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
}
