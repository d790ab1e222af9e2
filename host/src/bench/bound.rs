//! What this machine can do at all: the loops that every event must go through, and nothing else.
//!
//! Each bound is the best of several short runs of a bare loop, measured beside the workload that it bounds, so
//! that a slow moment of the machine slows both. The loops are plain safe Rust without bounds checks (16-bit
//! indices into 65,536 sums), compiled for the widest vectors that the processor has.

use super::clock::cpu_s;
use crate::simd::{Native, add_bit_rows};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use serde_json::{Map, Value, json};
use std::hint::black_box;

/// A limit of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// `sums[target] += weight` with 16-bit targets and 8-bit weights at hand and the sums (40 KB) in the
    /// first cache: additions per second.
    Scatter,
    /// The same with one weight for all.
    ScatterOne,
    /// 32-bit targets over 40 MB of sums: additions per second.
    ScatterMemory,
    /// Adding rows of 1024 8-bit weights, 512 KB of them, to 16-bit sums: additions per second.
    DenseRows,
    /// Adding rows of bits to 16-bit sums under a mask: cells per second.
    BitRows,
    /// Reading 256 MB in order: bytes per second.
    Stream,
}

impl Bound {
    /// All of them.
    pub const ALL: [Bound; 6] = [
        Bound::Stream,
        Bound::Scatter,
        Bound::ScatterOne,
        Bound::ScatterMemory,
        Bound::DenseRows,
        Bound::BitRows,
    ];

    /// Key in reports.
    pub fn key(self) -> &'static str {
        match self {
            Bound::Scatter => "scatter_cache_per_s",
            Bound::ScatterOne => "scatter_cache_one_weight_per_s",
            Bound::ScatterMemory => "scatter_memory_per_s",
            Bound::DenseRows => "dense_rows_per_s",
            Bound::BitRows => "bit_cells_per_s",
            Bound::Stream => "stream_bytes_per_s",
        }
    }

    /// What it is, for people.
    pub fn title(self) -> &'static str {
        match self {
            Bound::Scatter => "scatter-add, 16-bit target and 8-bit weight, sums in cache",
            Bound::ScatterOne => "scatter-add, 16-bit target and one weight, sums in cache",
            Bound::ScatterMemory => "scatter-add, 32-bit target and 8-bit weight, 40 MB of sums",
            Bound::DenseRows => "dense rows of 8-bit weights, 512 KB of them",
            Bound::BitRows => "bit rows, cells under a mask",
            Bound::Stream => "bytes read in order, 256 MB",
        }
    }
}

/// Measured bounds, each the best so far.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    best: Vec<(Bound, f64)>,
}

impl Bounds {
    /// Measures some bounds, once more; each keeps its best.
    pub fn measure(&mut self, which: &[Bound]) {
        for bound in which {
            let rate = measure(*bound);
            match self.best.iter_mut().find(|b| b.0 == *bound) {
                Some((_, best)) => *best = best.max(rate),
                None => self.best.push((*bound, rate)),
            }
        }
    }

    /// The best rate of a bound, if it was measured.
    pub fn get(&self, bound: Bound) -> Option<f64> {
        self.best.iter().find(|b| b.0 == bound).map(|b| b.1)
    }

    /// All that were measured, by [`Bound::key`].
    pub fn json(&self) -> Map<String, Value> {
        self.best.iter().map(|(bound, rate)| (bound.key().to_owned(), json!(rate))).collect()
    }
}

/// Calls `pass` for about 30 ms in at least five parts; the best rate of a part.
fn best(work_per_pass: f64, mut pass: impl FnMut()) -> f64 {
    pass();
    let (begun, mut rate, mut parts) = (cpu_s(), 0f64, 0);
    while parts < 5 || (cpu_s() - begun < 0.03 && parts < 1000) {
        let start = cpu_s();
        let mut passes = 0;
        while passes == 0 || cpu_s() - start < 0.002 {
            pass();
            passes += 1;
        }
        rate = rate.max(work_per_pass * f64::from(passes) / (cpu_s() - start));
        parts += 1;
    }
    rate
}

const SUMS: usize = 10_000;
const SYNAPSES: usize = 1_000;

fn measure(bound: Bound) -> f64 {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    match bound {
        Bound::Scatter | Bound::ScatterOne => {
            // Ascending distinct targets, as rows have them.
            let rows: Vec<Vec<u16>> = (0..8)
                .map(|_| (0..SYNAPSES).map(|j| (j * 10) as u16 + (random.next_u32() % 10) as u16).collect())
                .collect();
            let mut weights = vec![0u8; SYNAPSES];
            random.fill_bytes(&mut weights);
            let mut sums = vec![0i32; 1 << 16];
            let sums: &mut [i32; 1 << 16] = sums.as_mut_slice().try_into().expect("65,536 sums");
            debug_assert!(rows.iter().flatten().all(|t| usize::from(*t) < SUMS));
            best((rows.len() * SYNAPSES) as f64, || {
                for row in &rows {
                    match bound {
                        Bound::Scatter => scatter(sums, row, &weights),
                        _ => scatter_one(sums, row, black_box(3)),
                    }
                }
                black_box(&mut *sums);
            })
        }
        Bound::ScatterMemory => {
            const MEMORY: usize = 10_000_000;
            let targets: Vec<u32> = (0..200_000).map(|_| random.next_u32() % MEMORY as u32).collect();
            let mut weights = vec![0u8; targets.len()];
            random.fill_bytes(&mut weights);
            let mut sums = vec![0i32; MEMORY];
            best(targets.len() as f64, || {
                for (t, w) in targets.iter().zip(&weights) {
                    if let Some(s) = sums.get_mut(*t as usize) {
                        *s = s.wrapping_add(i32::from(*w as i8));
                    }
                }
                black_box(&mut sums);
            })
        }
        Bound::DenseRows => {
            let mut weights = vec![0u8; 1 << 19];
            random.fill_bytes(&mut weights);
            let mut sums = vec![0i16; 1024];
            best(weights.len() as f64, || {
                pulp::Arch::new().dispatch(DenseRows { sums: &mut sums, weights: &weights });
                black_box(&mut sums);
            })
        }
        Bound::BitRows => {
            let rows = vec![0x5a5a_a5a5_u32; SUMS / 32 * 8];
            let mut sums = vec![0i16; SUMS / 32 * 32];
            let level = Native::detect().level();
            best((rows.len() * 32) as f64, || {
                add_bit_rows(level, &mut sums, &rows, black_box(3));
                black_box(&mut sums);
            })
        }
        Bound::Stream => {
            let memory = vec![1u64; 1 << 25];
            best((memory.len() * 8) as f64, || {
                black_box(pulp::Arch::new().dispatch(Sum(&memory)));
            })
        }
    }
}

#[inline(never)]
fn scatter(sums: &mut [i32; 1 << 16], targets: &[u16], weights: &[u8]) {
    for (t, w) in targets.iter().zip(weights) {
        let s = &mut sums[usize::from(*t)];
        *s = s.wrapping_add(i32::from(*w as i8));
    }
}

#[inline(never)]
fn scatter_one(sums: &mut [i32; 1 << 16], targets: &[u16], weight: i32) {
    for t in targets {
        let s = &mut sums[usize::from(*t)];
        *s = s.wrapping_add(weight);
    }
}

/// Four rows at a time, so that sums are loaded and stored once for four.
#[inline(always)]
fn dense_rows(sums: &mut [i16], weights: &[u8]) {
    let n = sums.len();
    for four in weights.chunks_exact(4 * n) {
        let (a, rest) = four.split_at(n);
        let (b, rest) = rest.split_at(n);
        let (c, d) = rest.split_at(n);
        for ((((s, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            let sum = i16::from(*a as i8) + i16::from(*b as i8) + i16::from(*c as i8) + i16::from(*d as i8);
            *s = s.wrapping_add(sum);
        }
    }
}

/// [`dense_rows`], compiled for the widest vectors of the processor.
struct DenseRows<'a> {
    sums: &'a mut [i16],
    weights: &'a [u8],
}

impl pulp::WithSimd for DenseRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        dense_rows(self.sums, self.weights);
    }
}

/// [`sum`], compiled alike.
struct Sum<'a>(&'a [u64]);

impl pulp::WithSimd for Sum<'_> {
    type Output = u64;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> u64 {
        sum(self.0)
    }
}

#[inline(always)]
fn sum(memory: &[u64]) -> u64 {
    let mut sums = [0u64; 32];
    for chunk in memory.chunks_exact(32) {
        for (s, m) in sums.iter_mut().zip(chunk) {
            *s = s.wrapping_add(*m);
        }
    }
    sums.iter().fold(0, |a, b| a.wrapping_add(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_is_a_plausible_rate() {
        let mut bounds = Bounds::default();
        bounds.measure(&Bound::ALL);
        for bound in Bound::ALL {
            let rate = bounds.get(bound).unwrap();
            assert!(rate > 1e6 && rate < 1e13, "{bound:?}: {rate}");
        }
        assert_eq!(bounds.json().len(), Bound::ALL.len());
    }
}
