//! Rules that act on several samples at once: what the samples were is remembered as bits.
//!
//! For the local rules of ±1 networks the change of a synapse is a constant times the number of samples in which
//! pre and post sides agree, minus the number in which they differ. So a neuron remembers two bits per sample, and
//! the sum over up to 16 samples is two population counts per synapse: exact, and rounded and clamped once.

use super::row::{Moment, Row, Tally, Targets, Weights, limits, spread};
use super::{Exponents, Rounding, Rule, Variable};
use crate::draw::Draws;

/// Most samples of a batch.
pub const MAX_SAMPLES: u32 = 16;

/// The bits of a neuron: sample k was positive (bit k), was negative (bit 16 + k).
pub type SampleBits = u32;

/// The bits with a sample added.
#[inline(always)]
#[must_use]
pub fn with_sample(bits: SampleBits, sample: u32, value: i32) -> SampleBits {
    bits | u32::from(value > 0) << (sample & 15) | u32::from(value < 0) << (16 + (sample & 15))
}

/// In how many samples two sides agree, less in how many they differ.
#[inline(always)]
#[must_use]
pub fn agreement(pre: SampleBits, post: SampleBits) -> i32 {
    let (same, other) = (pre & post, pre & post.rotate_left(16));
    // A sample is in one half only: agreements to the lower half, differences to the upper, and one count of both.
    let v = (same | same >> 16) & 0xffff | (other | other << 16) & 0xffff_0000;
    let v = v - (v >> 1 & 0x5555_5555);
    let v = (v & 0x3333_3333) + (v >> 2 & 0x3333_3333);
    let v = (v + (v >> 4)) & 0x0f0f_0f0f;
    let v = v + (v >> 8);
    (v & 0xff) as i32 - (v >> 16 & 0xff) as i32
}

/// Whether a rule over several samples may have this term: `x0` once, and `e`, `s`, `t`, `y0` at most once each.
pub(super) fn allowed(exponents: Exponents) -> bool {
    let own = [Variable::E, Variable::S, Variable::T, Variable::Y0];
    exponents.of(Variable::X0) == 1
        && own.iter().all(|v| exponents.of(*v) <= 1)
        && Variable::ALL.iter().all(|v| *v == Variable::X0 || own.contains(v) || exponents.of(*v) == 0)
}

/// The post side of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Posts<'a> {
    /// The bits of every column.
    pub bits: &'a [SampleBits],
    /// The columns whose bits are not all zero, ascending.
    pub listed: &'a [u16],
}

impl Rule {
    /// The rule on rows whose columns remember `posts`, for all samples at once. `bits` are those of a weight.
    pub(crate) fn batch<'a, D: Draws>(
        &'a self,
        posts: Posts<'a>,
        bits: u32,
        draws: &'a mut D,
        moment: Moment,
    ) -> BatchChange<'a, D> {
        let limits = limits(bits);
        let low = self.min.max(limits.0).min(limits.1);
        BatchChange {
            rounding: self.rounding,
            mantissa: self.terms().first().map_or(0, |t| i32::from(t.mantissa)),
            shift: self.shift,
            posts,
            bounds: (low, self.max.min(limits.1).max(low)),
            signs: limits == (-1, 1),
            pre: 0,
            first_draw: 0,
            draws,
            moment,
            tally: Tally::default(),
        }
    }
}

/// Weights by their place in a row.
trait Cells {
    fn get(&self, index: usize) -> Option<i32>;

    /// Stores a weight that the container holds; nothing beyond the end.
    fn set(&mut self, index: usize, weight: i32);

    /// Some of them, where they lie in words of 16 bits.
    fn span(&mut self, first: usize, len: usize) -> Option<&mut [i16]>;
}

impl Cells for [i16] {
    #[inline(always)]
    fn get(&self, index: usize) -> Option<i32> {
        <[i16]>::get(self, index).map(|w| i32::from(*w))
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // bounds are within 16 bits
    fn set(&mut self, index: usize, weight: i32) {
        if let Some(w) = self.get_mut(index) {
            *w = weight as i16;
        }
    }

    #[inline(always)]
    fn span(&mut self, first: usize, len: usize) -> Option<&mut [i16]> {
        self.get_mut(first..first.wrapping_add(len))
    }
}

impl Cells for Weights<'_> {
    fn get(&self, index: usize) -> Option<i32> {
        (index < self.len()).then(|| Weights::get(self, index))
    }

    fn set(&mut self, index: usize, weight: i32) {
        if index < self.len() {
            Weights::set(self, index, weight);
        }
    }

    fn span(&mut self, _: usize, _: usize) -> Option<&mut [i16]> {
        None
    }
}

/// Synapses that are worked on at once.
const TILE: usize = 16;

/// A rule at work on the rows of a port.
pub(crate) struct BatchChange<'a, D> {
    rounding: Rounding,
    mantissa: i32,
    shift: u32,
    posts: Posts<'a>,
    bounds: (i32, i32),
    signs: bool,
    /// Of the row.
    pre: SampleBits,
    first_draw: u32,
    draws: &'a mut D,
    moment: Moment,
    tally: Tally,
}

impl<D: Draws> BatchChange<'_, D> {
    /// What has been done to all rows.
    pub(crate) fn tally(self) -> Tally {
        self.tally
    }

    /// Changes one row for all samples that `pre` (of the row's neuron) and the columns remember:
    /// `w ← clamp(w + round(mantissa · 2^-shift · agreement))`. Column `fixed` does not change. Returns how many more
    /// of its weights are not zero.
    #[inline(always)]
    pub(crate) fn update(&mut self, pre: SampleBits, fixed: Option<u16>, row: &mut Row<'_>) -> i64 {
        (self.pre, self.first_draw) = (pre, row.first_draw);
        let before = self.tally.nonzero;
        let (columns, from) = match row.targets {
            Targets::Listed(list) => (list, None),
            Targets::From(first) => (self.posts.listed, Some(first)),
        };
        match &mut row.weights {
            Weights::Sixteen(weights) => self.row(columns, from, fixed, &mut **weights),
            weights => self.row(columns, from, fixed, weights),
        }
        self.tally.nonzero - before
    }

    /// Changes the synapses of a row to `columns`. They lie one after the other; or, where the row is dense `from` a
    /// column on, at their column's place.
    #[inline(always)]
    fn row<C: Cells + ?Sized>(
        &mut self,
        columns: &[u16],
        from: Option<usize>,
        fixed: Option<u16>,
        weights: &mut C,
    ) {
        let bits = self.posts.bits;
        for (t, columns) in columns.chunks(TILE).enumerate() {
            let mut posts = [0; TILE];
            for (post, column) in posts.iter_mut().zip(columns) {
                let bits = bits.get(usize::from(*column)).copied().unwrap_or(0);
                *post = if fixed == Some(*column) { 0 } else { bits };
            }
            let (pre, mantissa) = (self.pre, self.mantissa);
            let mut sums = [0; TILE];
            for (sum, post) in sums.iter_mut().zip(posts) {
                *sum = mantissa * agreement(pre, post);
            }
            if sums.iter().fold(0, |any, s| any | s) == 0 {
                continue;
            }
            let span = if from.is_none() { weights.span(t * TILE, columns.len()) } else { None };
            if let Some(span) = span {
                match <&mut [i16; TILE]>::try_from(&mut *span) {
                    Ok(tile) => self.change(tile, sums, columns),
                    Err(_) => self.change(span, sums, columns),
                }
                continue;
            }
            let place = |n: usize, column: u16| match from {
                Some(first) => usize::from(column).wrapping_sub(first),
                None => t * TILE + n,
            };
            let mut old = [0; TILE];
            for ((n, column), (old, sum)) in columns.iter().enumerate().zip(old.iter_mut().zip(&mut sums)) {
                match weights.get(place(n, *column)) {
                    Some(weight) => *old = weight,
                    None => *sum = 0,
                }
            }
            let new = self.changed(old, sums, columns);
            for ((n, column), new) in columns.iter().enumerate().zip(new) {
                weights.set(place(n, *column), new);
            }
        }
    }

    /// Changes weights that lie in their own places.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // bounds are within 16 bits
    fn change(&mut self, span: &mut [i16], sums: [i32; TILE], columns: &[u16]) {
        let mut old = [0; TILE];
        for (old, weight) in old.iter_mut().zip(&*span) {
            *old = i32::from(*weight);
        }
        let new = self.changed(old, sums, columns);
        for (weight, new) in span.iter_mut().zip(new) {
            *weight = new as i16;
        }
    }

    /// The weights of a tile after their changes.
    #[inline(always)]
    fn changed(&mut self, old: [i32; TILE], sums: [i32; TILE], columns: &[u16]) -> [i32; TILE] {
        let steps = if self.rounding == Rounding::Nearest {
            self.round_to_nearest(sums)
        } else {
            self.round_all(sums, columns)
        };
        self.moved(old, sums, steps)
    }

    /// The changes of a tile, rounded to nearest, half away from zero.
    #[inline(always)]
    fn round_to_nearest(&self, sums: [i32; TILE]) -> [i32; TILE] {
        // |sum| < 2^20: beyond a shift of 21 all rounds to zero.
        let shift = self.shift.min(30);
        let half = (1i32 << shift) >> 1;
        let mut steps = sums;
        for step in &mut steps {
            let rounded = (step.abs() + half) >> shift;
            *step = if *step < 0 { -rounded } else { rounded };
        }
        steps
    }

    /// The changes of a tile, rounded by draws.
    fn round_all(&mut self, sums: [i32; TILE], columns: &[u16]) -> [i32; TILE] {
        let mut steps = [0; TILE];
        for ((step, sum), column) in steps.iter_mut().zip(sums).zip(columns).filter(|((_, sum), _)| *sum != 0)
        {
            *step = self.round(sum, *column);
        }
        steps
    }

    /// The change of a synapse, rounded by a draw.
    fn round(&mut self, sum: i32, column: u16) -> i32 {
        let shift = self.shift;
        let address = self.first_draw.wrapping_add(u32::from(column));
        let magnitude = u64::from(sum.unsigned_abs());
        let fraction = magnitude & ((1u64 << shift) - 1);
        let addend = match self.rounding {
            Rounding::Stochastic if fraction == 0 => 0,
            Rounding::Stochastic => {
                self.tally.draws += 1;
                spread(self.draws.draw(self.moment.purpose, self.moment.time, address), shift)
            }
            Rounding::Nearest | Rounding::Gate(_) => (1u64 << shift) >> 1,
        };
        let rounded = ((magnitude + addend) >> shift) as i32;
        if rounded == 0 {
            self.tally.rounded_to_zero += 1;
        } else if let Rounding::Gate(probability) = self.rounding {
            self.tally.draws += 1;
            let draw = self.draws.draw(self.moment.purpose, self.moment.time, address);
            if draw >> 16 >= u32::from(probability) {
                return 0;
            }
        }
        if sum < 0 { -rounded } else { rounded }
    }

    /// The clamped weights after the steps of a tile, counted.
    #[inline(always)]
    fn moved(&mut self, old: [i32; TILE], sums: [i32; TILE], steps: [i32; TILE]) -> [i32; TILE] {
        let (bounds, signs) = (self.bounds, self.signs);
        let mut new = old;
        for ((new, old), step) in new.iter_mut().zip(old).zip(steps) {
            let clamped = (old + step).clamp(bounds.0, bounds.1);
            let kept = if signs && clamped == 0 { old } else { clamped };
            *new = if step == 0 { old } else { kept };
        }
        // Five counts of a tile in one sum: none of them is above 32.
        let mut marks = [0; TILE];
        for ((((mark, new), old), sum), step) in marks.iter_mut().zip(new).zip(old).zip(sums).zip(steps) {
            *mark = i32::from(sum != 0)
                + (i32::from(new != old) << 6)
                + (i32::from(step != 0 && new != old + step) << 12)
                + (i32::from(sum != 0 && step == 0) << 18)
                + ((1 + i32::from(new != 0) - i32::from(old != 0)) << 24);
        }
        let marks: i32 = marks.iter().sum();
        let count = |field: u32| (marks >> (6 * field) & 63) as u64;
        self.tally.attempted += count(0);
        self.tally.changed += count(1);
        self.tally.saturated += count(2);
        // Rounding by draws counts its own zeros: a closed gate is none.
        self.tally.rounded_to_zero += if self.rounding == Rounding::Nearest { count(3) } else { 0 };
        self.tally.nonzero += count(4) as i64 - TILE as i64;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_the_sum_of_products_over_the_samples() {
        let mut x = 1u32;
        for _ in 0..2000 {
            let (mut pre, mut post, mut sum) = (0, 0, 0);
            for sample in 0..MAX_SAMPLES {
                x ^= x << 13;
                x ^= x >> 17;
                x ^= x << 5;
                let (a, b) = ((x % 3) as i32 - 1, (x / 3 % 3) as i32 - 1);
                (pre, post) = (with_sample(pre, sample, a), with_sample(post, sample, b));
                sum += a * b;
            }
            assert_eq!(agreement(pre, post), sum);
        }
    }
}
