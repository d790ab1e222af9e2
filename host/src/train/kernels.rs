//! The two inner loops of the trainer, vectorised: gathered sums and row products.
//!
//! `pulp` picks the widest vectors of the machine at run time and keeps the code safe.
//! Both loops fix the order of their sums by the data alone, so the number of threads
//! cannot change a bit.

use pulp::{Arch, Simd, WithSimd};

/// Rows are padded to multiples of this many floats (a cache line), so that vectors of any width divide them.
pub(crate) const PAD: usize = 16;

/// The distance of rows of `width` floats: an odd number of cache lines, so that a column of
/// rows spreads over all sets of a cache instead of fighting for a few.
pub(crate) fn padded(width: usize) -> usize {
    (width.div_ceil(PAD) | 1) * PAD
}

/// One non-zero of a sparse row: where and how much (1 for a spike).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Entry {
    /// Position in the row.
    pub index: u32,
    /// The value there.
    pub value: f32,
}

/// From and to (exclusive) in a list of entries.
pub(crate) type Span = [u32; 2];

/// For every span adds `value × rows[index]` of its entries into one row of `out`.
///
/// `rows` and `out` hold rows of `stride` floats (a multiple of [`PAD`]). `out` row `r`
/// starts as `start` (one row) and receives the entries of `spans[r]`, in their order.
pub(crate) struct Gather<'a> {
    pub(crate) rows: &'a [f32],
    pub(crate) stride: usize,
    /// Floats of a row that count; the padding behind them is left alone.
    pub(crate) width: usize,
    pub(crate) start: &'a [f32],
    pub(crate) spans: &'a [Span],
    pub(crate) entries: &'a [Entry],
    pub(crate) out: &'a mut [f32],
}

impl Gather<'_> {
    pub(crate) fn run(self) {
        Arch::new().dispatch(self);
    }
}

#[inline(always)]
fn gather_columns<S: Simd, const N: usize>(simd: S, job: &mut Gather<'_>, at: usize) {
    let lanes = S::F32_LANES;
    let stride = job.stride / lanes;
    let (rows, _) = S::as_simd_f32s(job.rows);
    let (start, _) = S::as_simd_f32s(job.start);
    let (out, _) = S::as_mut_simd_f32s(job.out);
    let Some(start) = start.get(at..at + N) else { return };
    for (r, span) in job.spans.iter().enumerate() {
        let mut sums = [simd.splat_f32s(0.0); N];
        sums.copy_from_slice(start);
        for entry in &job.entries[span[0] as usize..span[1] as usize] {
            let from = entry.index as usize * stride + at;
            let row = &rows[from..from + N];
            let value = simd.splat_f32s(entry.value);
            for k in 0..N {
                sums[k] = simd.mul_add_e_f32s(value, row[k], sums[k]);
            }
        }
        let to = r * stride + at;
        out[to..to + N].copy_from_slice(&sums);
    }
}

impl WithSimd for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let columns = self.width.next_multiple_of(PAD) / S::F32_LANES;
        let mut at = 0;
        // eight chains of additions hide their latency; a panel of the rows stays in cache
        while at + 8 <= columns {
            gather_columns::<S, 8>(simd, &mut self, at);
            at += 8;
        }
        while at + 2 <= columns {
            gather_columns::<S, 2>(simd, &mut self, at);
            at += 2;
        }
        while at < columns {
            gather_columns::<S, 1>(simd, &mut self, at);
            at += 1;
        }
    }
}

/// `out[r][j] = Σ_k a[r][k] · b[j][k]`: products of the rows of two matrices.
///
/// `a` and `b` hold rows of `stride` floats, `out` rows of `out_stride`; `b` has `columns` rows.
pub(crate) struct RowProducts<'a> {
    pub(crate) a: &'a [f32],
    pub(crate) b: &'a [f32],
    pub(crate) stride: usize,
    /// Floats of a row of `a` and `b` that count, the rest is zero.
    pub(crate) width: usize,
    pub(crate) columns: usize,
    pub(crate) out: &'a mut [f32],
    pub(crate) out_stride: usize,
}

impl RowProducts<'_> {
    pub(crate) fn run(self) {
        Arch::new().dispatch(self);
    }
}

#[inline(always)]
fn product_tile<S: Simd, const R: usize, const C: usize>(
    simd: S,
    job: &mut RowProducts<'_>,
    row: usize,
    column: usize,
) {
    let stride = job.stride / S::F32_LANES;
    let length = job.width.next_multiple_of(PAD) / S::F32_LANES;
    let (a, _) = S::as_simd_f32s(job.a);
    let (b, _) = S::as_simd_f32s(job.b);
    let a: [&[S::f32s]; R] = std::array::from_fn(|i| &a[(row + i) * stride..(row + i) * stride + length]);
    let b: [&[S::f32s]; C] =
        std::array::from_fn(|j| &b[(column + j) * stride..(column + j) * stride + length]);
    let mut sums = [[simd.splat_f32s(0.0); C]; R];
    for k in 0..length {
        let right: [S::f32s; C] = std::array::from_fn(|j| b[j][k]);
        for i in 0..R {
            let left = a[i][k];
            for j in 0..C {
                sums[i][j] = simd.mul_add_e_f32s(left, right[j], sums[i][j]);
            }
        }
    }
    for i in 0..R {
        for j in 0..C {
            job.out[(row + i) * job.out_stride + column + j] = simd.reduce_sum_f32s(sums[i][j]);
        }
    }
}

#[inline(always)]
fn product_rows<S: Simd, const R: usize>(simd: S, job: &mut RowProducts<'_>, row: usize) {
    let mut column = 0;
    // vectors of 16 floats come with 32 registers: twice the sums per load
    while S::F32_LANES >= 16 && column + 4 <= job.columns {
        product_tile::<S, R, 4>(simd, job, row, column);
        column += 4;
    }
    while column + 2 <= job.columns {
        product_tile::<S, R, 2>(simd, job, row, column);
        column += 2;
    }
    if column < job.columns {
        product_tile::<S, R, 1>(simd, job, row, column);
    }
}

impl WithSimd for RowProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let rows = self.a.len() / self.stride;
        let mut row = 0;
        // six by two sums fill the register file and read each weight once per six rows
        while row + 6 <= rows {
            product_rows::<S, 6>(simd, &mut self, row);
            row += 6;
        }
        while row + 2 <= rows {
            product_rows::<S, 2>(simd, &mut self, row);
            row += 2;
        }
        if row < rows {
            product_rows::<S, 1>(simd, &mut self, row);
        }
    }
}

/// Runs an elementwise loop with the machine's widest vectors.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / 16_777_216.0 - 0.5
            })
            .collect()
    }

    #[test]
    fn gathered_sums_equal_the_plain_loop() {
        for width in [10, 32, 100, 130] {
            let stride = padded(width);
            let rows = numbers(9 * stride, 1);
            let start = numbers(stride, 2);
            let entries: Vec<Entry> = numbers(20, 3)
                .iter()
                .enumerate()
                .map(|(i, value)| Entry { index: (i * 5 % 9) as u32, value: *value })
                .collect();
            let spans = [[0, 7], [7, 7], [3, 20]];
            let mut out = vec![0.0; 3 * stride];
            Gather {
                rows: &rows,
                stride,
                width,
                start: &start,
                spans: &spans,
                entries: &entries,
                out: &mut out,
            }
            .run();
            for (r, [from, to]) in spans.iter().enumerate() {
                for c in 0..width.next_multiple_of(PAD) {
                    let mut sum = f64::from(start[c]);
                    for e in &entries[*from as usize..*to as usize] {
                        sum += f64::from(e.value) * f64::from(rows[e.index as usize * stride + c]);
                    }
                    assert!((f64::from(out[r * stride + c]) - sum).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn row_products_equal_the_plain_loop() {
        for (rows, columns, width) in [(1, 1, 10), (13, 7, 33), (6, 2, 64), (11, 5, 128)] {
            let stride = padded(width);
            let (a, b) = (numbers(rows * stride, 4), numbers(columns * stride, 5));
            let mut out = vec![0.0; rows * padded(columns)];
            RowProducts { a: &a, b: &b, stride, width, columns, out: &mut out, out_stride: padded(columns) }
                .run();
            for r in 0..rows {
                for c in 0..columns {
                    let sum: f64 = (0..width.next_multiple_of(PAD))
                        .map(|k| f64::from(a[r * stride + k]) * f64::from(b[c * stride + k]))
                        .sum();
                    assert!((f64::from(out[r * padded(columns) + c]) - sum).abs() < 1e-5);
                }
            }
        }
    }
}
