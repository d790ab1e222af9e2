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

/// Floats whose first one begins a cache line: no vector of a row of [`padded`] width then straddles two.
#[derive(Debug, Default)]
pub(crate) struct Aligned {
    floats: Vec<f32>,
    from: usize,
    length: usize,
}

impl Aligned {
    pub(crate) fn zeros(length: usize) -> Self {
        let floats = vec![0.0; length + PAD];
        // the worst that a failed search of the line can do is to leave the floats where they are
        let from = Some(floats.as_ptr().align_offset(64)).filter(|from| *from <= PAD).unwrap_or(0);
        Self { floats, from, length }
    }
}

impl std::ops::Deref for Aligned {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.floats[self.from..self.from + self.length]
    }
}

impl std::ops::DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.floats[self.from..self.from + self.length]
    }
}

impl Clone for Aligned {
    fn clone(&self) -> Self {
        let mut copy = Self::zeros(self.length);
        copy.copy_from_slice(self);
        copy
    }

    fn clone_from(&mut self, from: &Self) {
        if self.length == from.length {
            self.copy_from_slice(from);
        } else {
            *self = from.clone();
        }
    }
}

impl PartialEq for Aligned {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
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
/// starts as `start` (one row) and receives the entries of `spans[r]`, in their order: the rows are taken panel by
/// panel, so entries in ascending order of their index find theirs in the nearest cache.
pub(crate) struct Gather<'a> {
    pub(crate) rows: &'a [f32],
    pub(crate) stride: usize,
    /// Floats of a row that count; the padding of `out` behind them becomes zero.
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

/// Bytes of `rows` that every row of `out` uses before the next ones are touched: what a first-level cache of 48 KiB holds.
const PANEL: usize = 40 << 10;
/// Rows of `out` that share a panel.
const GROUP: usize = 64;

/// `N` vectors of columns from `at` on of at most [`GROUP`] rows of `out`.
#[inline(always)]
fn gather_columns<S: Simd, const N: usize>(
    simd: S,
    job: &Gather<'_>,
    spans: &[Span],
    out: &mut [S::f32s],
    at: usize,
) {
    let stride = job.stride / S::F32_LANES;
    let (rows, _) = S::as_simd_f32s(job.rows);
    let (start, _) = S::as_simd_f32s(job.start);
    let Some(start) = start.get(at..at + N) else { return };
    for r in 0..spans.len() {
        let to = r * stride + at;
        out[to..to + N].copy_from_slice(start);
    }
    let mut cursors = [0u32; GROUP];
    for (cursor, span) in cursors.iter_mut().zip(spans) {
        *cursor = span[0];
    }
    let all = rows.len() / stride;
    let block = PANEL / (N * size_of::<S::f32s>());
    let mut limit = 0;
    while limit < all {
        limit = if limit + block + block / 2 > all { all } else { limit + block };
        for (r, (cursor, span)) in cursors.iter_mut().zip(spans).enumerate() {
            let to = r * stride + at;
            let own = &mut out[to..to + N];
            let mut sums: [S::f32s; N] = std::array::from_fn(|k| own[k]);
            let list = &job.entries[*cursor as usize..span[1] as usize];
            let mut done = 0;
            for entry in list {
                if entry.index as usize >= limit {
                    break;
                }
                let from = entry.index as usize * stride + at;
                let row = &rows[from..from + N];
                let value = simd.splat_f32s(entry.value);
                for k in 0..N {
                    sums[k] = simd.mul_add_e_f32s(value, row[k], sums[k]);
                }
                done += 1;
            }
            *cursor += done;
            own.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum);
        }
    }
}

impl WithSimd for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let stride = self.stride / S::F32_LANES;
        let columns = self.width.next_multiple_of(PAD) / S::F32_LANES;
        let out = std::mem::take(&mut self.out);
        let (out, _) = S::as_mut_simd_f32s(out);
        for (spans, out) in self.spans.chunks(GROUP).zip(out.chunks_mut(GROUP * stride)) {
            let mut at = 0;
            // eight chains of additions hide their latency
            while at + 8 <= columns {
                gather_columns::<S, 8>(simd, &self, spans, out, at);
                at += 8;
            }
            while at + 2 <= columns {
                gather_columns::<S, 2>(simd, &self, spans, out, at);
                at += 2;
            }
            while at < columns {
                gather_columns::<S, 1>(simd, &self, spans, out, at);
                at += 1;
            }
            for row in out.chunks_mut(stride) {
                row[columns..].fill(simd.splat_f32s(0.0));
            }
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
    let zero = simd.splat_f32s(0.0);
    // the first products begin the sums: an array of zeros would go through memory
    let mut sums: [[S::f32s; C]; R] =
        std::array::from_fn(|i| std::array::from_fn(|j| simd.mul_add_e_f32s(a[i][0], b[j][0], zero)));
    for k in 1..length {
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
    // vectors of 16 floats come with 32 registers
    while S::F32_LANES >= 16 && column + 3 <= job.columns {
        product_tile::<S, R, 3>(simd, job, row, column);
        column += 3;
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
        // 24 sums fill the larger register file, 12 the smaller one; each weight is read once per 8 or 6 rows
        while S::F32_LANES >= 16 && row + 8 <= rows {
            product_rows::<S, 8>(simd, &mut self, row);
            row += 8;
        }
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
        // the last two are more rows than a panel and more sums than a group
        for (width, count, sums) in [(10, 9, 3), (32, 9, 3), (100, 9, 3), (130, 400, 3), (150, 700, 150)] {
            let stride = padded(width);
            let rows = numbers(count * stride, 1);
            let start = numbers(stride, 2);
            let ascending = (0..30).map(|i| i * count / 30);
            let mixed = (0..30).map(|i| i * 17 % count);
            let entries: Vec<Entry> = ascending
                .chain(mixed)
                .zip(numbers(60, 3))
                .map(|(index, value)| Entry { index: index as u32, value })
                .collect();
            let spans: Vec<Span> = (0..sums).map(|r| [[0, 30], [7, 7], [13, 60]][r % 3]).collect();
            let mut out = vec![7.0; sums * stride];
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
                    let mut sum = start[c];
                    for e in &entries[*from as usize..*to as usize] {
                        sum = e.value.mul_add(rows[e.index as usize * stride + c], sum);
                    }
                    assert!((out[r * stride + c] - sum).abs() < 1e-5);
                }
                assert!(
                    out[r * stride + width.next_multiple_of(PAD)..(r + 1) * stride].iter().all(|v| *v == 0.0)
                );
            }
        }
    }

    #[test]
    fn aligned_floats_begin_a_cache_line_and_copies_do_too() {
        for length in [0, 1, 48, 1000] {
            let mut floats = Aligned::zeros(length);
            floats.iter_mut().zip(numbers(length, 6)).for_each(|(to, from)| *to = from);
            let copy = floats.clone();
            assert_eq!(floats, copy);
            assert_eq!((copy.len(), copy.as_ptr().align_offset(64)), (length, 0));
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
