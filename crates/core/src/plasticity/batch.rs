//! Rules that act on several samples at once: what the samples were is remembered as bits.
//!
//! For the local rules of ±1 networks the change of a synapse is a constant times the number of samples in which
//! pre and post sides agree, minus the number in which they differ. So a neuron remembers two bits per sample, and
//! the sum over up to 16 samples is two population counts per synapse: exact, and rounded and clamped once.

use super::row::{Moment, Row, Tally, Targets, Weights, limits, spread};
use super::{Exponents, Rounding, Rule, Term, Variable};
use crate::draw::Draws;
use crate::store::Kernels;

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

/// How the changes of the two couplings between a pair of neurons of one population depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symmetry {
    /// Not at all: `dw = c*x0*…`.
    None,
    /// Both change alike, in samples in which both neurons are in error: `dw = c*x0*y0*e*f`.
    Both,
    /// Both change by the mean of what each would: `dw = c*x0*y0*e + c*x0*y0*f`.
    Mean,
}

impl Symmetry {
    /// What the terms of a rule over several samples come to; `None` if it may not have them.
    pub(super) fn of(terms: &[Term]) -> Option<Symmetry> {
        let of = |variables: &[Variable]| {
            variables.iter().try_fold(Exponents::default(), |all, variable| all.times(*variable))
        };
        let (x, y, e, f) = (Variable::X0, Variable::Y0, Variable::E, Variable::F);
        match terms {
            [one] if Some(one.exponents) == of(&[x, y, e, f]) => Some(Symmetry::Both),
            [one] if allowed(one.exponents) => Some(Symmetry::None),
            [one, two] => {
                let alike = (one.mantissa, one.shift) == (two.mantissa, two.shift);
                let pair = (Some(one.exponents), Some(two.exponents)) == (of(&[x, y, e]), of(&[x, y, f]));
                (alike && pair).then_some(Symmetry::Mean)
            }
            _ => None,
        }
    }
}

/// Whether a rule over several samples may have this as its only term: `x0` once, and `e`, `s`, `t`, `y0` at most once
/// each.
fn allowed(exponents: Exponents) -> bool {
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
    /// The columns whose bits are not all zero, ascending; where changes are [`Symmetry::Mean`], all columns.
    pub listed: &'a [u16],
    /// Bits of every column as a pre neuron, where changes are [`Symmetry::Mean`].
    pub pre: &'a [SampleBits],
}

impl Rule {
    /// The rule on rows whose columns remember `posts`, for all samples at once. `bits` are those of a weight.
    pub(crate) fn batch<'a, K: Kernels, D: Draws>(
        &'a self,
        posts: Posts<'a>,
        bits: u32,
        (kernels, draws): (&'a K, &'a mut D),
        moment: Moment,
    ) -> BatchChange<'a, K, D> {
        let limits = limits(bits);
        let low = self.min.max(limits.0).min(limits.1);
        BatchChange {
            rounding: self.rounding,
            mantissa: self.terms().first().map_or(0, |t| i32::from(t.mantissa)),
            shift: self.shift,
            posts,
            bounds: (low, self.max.min(limits.1).max(low)),
            signs: limits == (-1, 1),
            symmetry: self.symmetry,
            kernels,
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
pub const TILE: usize = 16;

/// What a rule that rounds to nearest does to the synapses of a row.
#[derive(Clone, Copy, Debug)]
pub struct TileChange {
    /// A change is `round(mantissa · 2^-shift · agreement)`; |mantissa| < 2^15, not 0.
    pub mantissa: i32,
    /// At most 30, beyond which all rounds to zero.
    pub shift: u32,
    /// Least and greatest weight.
    pub bounds: (i32, i32),
}

/// What became of a tile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TileTally {
    /// Synapses whose exact change was not zero.
    pub attempted: u32,
    /// Weights that have another value than before.
    pub changed: u32,
    /// Changes that a bound cut short.
    pub saturated: u32,
    /// Changes that rounding made zero.
    pub rounded_to_zero: u32,
    /// Non-zero weights after, minus before.
    pub nonzero: i32,
}

/// Reference for [`Kernels::change_tile`](crate::store::Kernels::change_tile).
#[inline(always)]
pub fn change_tile(
    change: &TileChange,
    pre: SampleBits,
    posts: &[SampleBits; TILE],
    weights: &mut [i32; TILE],
) -> TileTally {
    let sums = sums(change.mantissa, pre, posts);
    if sums.iter().fold(0, |any, s| any | s) == 0 {
        return TileTally::default();
    }
    let shift = change.shift.min(30);
    let half = (1i32 << shift) >> 1;
    let mut steps = sums;
    for step in &mut steps {
        let rounded = (step.abs() + half) >> shift;
        *step = if *step < 0 { -rounded } else { rounded };
    }
    moved(weights, &sums, &steps, change.bounds, false)
}

/// The exact changes of a tile, in parts of 2^shift.
#[inline(always)]
fn sums(mantissa: i32, pre: SampleBits, posts: &[SampleBits; TILE]) -> [i32; TILE] {
    let mut sums = [0; TILE];
    for (sum, post) in sums.iter_mut().zip(posts) {
        *sum = mantissa * agreement(pre, *post);
    }
    sums
}

/// Moves the weights of a tile by clamped steps. Weights that are `signs` cannot be zero: they stay.
#[inline(always)]
fn moved(
    weights: &mut [i32; TILE],
    sums: &[i32; TILE],
    steps: &[i32; TILE],
    bounds: (i32, i32),
    signs: bool,
) -> TileTally {
    let old = *weights;
    // Five counts of a tile in one sum: none of them is above 32.
    let mut marks = 0;
    for (((weight, old), sum), step) in weights.iter_mut().zip(old).zip(sums).zip(steps) {
        let clamped = (old + step).clamp(bounds.0, bounds.1);
        let kept = if signs && clamped == 0 { old } else { clamped };
        let new = if *step == 0 { old } else { kept };
        *weight = new;
        marks += i32::from(*sum != 0)
            + (i32::from(new != old) << 6)
            + (i32::from(*step != 0 && new != old + step) << 12)
            + (i32::from(*sum != 0 && *step == 0) << 18)
            + ((1 + i32::from(new != 0) - i32::from(old != 0)) << 24);
    }
    let count = |field: u32| (marks >> (6 * field) & 63) as u32;
    TileTally {
        attempted: count(0),
        changed: count(1),
        saturated: count(2),
        rounded_to_zero: count(3),
        nonzero: count(4) as i32 - TILE as i32,
    }
}

/// A rule at work on the rows of a port.
pub(crate) struct BatchChange<'a, K, D> {
    rounding: Rounding,
    mantissa: i32,
    shift: u32,
    posts: Posts<'a>,
    bounds: (i32, i32),
    signs: bool,
    symmetry: Symmetry,
    kernels: &'a K,
    draws: &'a mut D,
    moment: Moment,
    tally: Tally,
}

/// A row at work.
struct At {
    pre: SampleBits,
    /// Bits of the row's neuron as a post neuron, where it is one.
    post: SampleBits,
    /// The column of the row's neuron, where there is one.
    own: Option<u16>,
    first_draw: u32,
}

impl At {
    /// The address of a synapse's draws; of both of a pair, where they change alike.
    #[inline(always)]
    fn address(&self, column: u16, symmetry: Symmetry) -> u32 {
        let Some(row) = self.own.filter(|row| symmetry != Symmetry::None && *row > column) else {
            return self.first_draw.wrapping_add(u32::from(column));
        };
        // That of the synapse from neuron `column` to the row's.
        let back = u32::from(row - column) << 16;
        self.first_draw.wrapping_sub(back).wrapping_add(u32::from(row))
    }
}

impl<K: Kernels, D: Draws> BatchChange<'_, K, D> {
    /// What has been done to all rows.
    pub(crate) fn tally(self) -> Tally {
        self.tally
    }

    /// Changes one row for all samples that `pre` (of the row's neuron) and the columns remember:
    /// `w ← clamp(w + round(mantissa · 2^-shift · agreement))`. Column `own` is of the row's own neuron and does not
    /// change. Returns how many more of its weights are not zero.
    #[inline(always)]
    pub(crate) fn update(&mut self, pre: SampleBits, own: Option<u16>, row: &mut Row<'_>) -> i64 {
        let before = self.tally.nonzero;
        let (columns, from) = match row.targets {
            Targets::Listed(list) => (list, None),
            Targets::From(first) => (self.posts.listed, Some(first)),
        };
        let post = self.posts.bits.get(own.map_or(usize::MAX, usize::from)).copied().unwrap_or(0);
        let at = At { pre, post, own, first_draw: row.first_draw };
        match &mut row.weights {
            Weights::Sixteen(weights) => self.row(&at, columns, from, &mut **weights),
            weights => self.row(&at, columns, from, weights),
        }
        self.tally.nonzero - before
    }

    /// Changes the synapses of a row to `columns`. They lie one after the other; or, where the row is dense `from` a
    /// column on, at their column's place.
    #[inline(always)]
    fn row<C: Cells + ?Sized>(&mut self, at: &At, columns: &[u16], from: Option<usize>, weights: &mut C) {
        let bits = self.posts.bits;
        for (t, columns) in columns.chunks(TILE).enumerate() {
            let mut posts = [0; TILE];
            for (post, column) in posts.iter_mut().zip(columns) {
                let bits = bits.get(usize::from(*column)).copied().unwrap_or(0);
                *post = if at.own == Some(*column) { 0 } else { bits };
            }
            let mut tile = [0; TILE];
            let span = if from.is_none() { weights.span(t * TILE, columns.len()) } else { None };
            if let Some(span) = span {
                load(span, &mut tile);
                if self.tile(at, &posts, &mut tile, columns) {
                    store(span, &tile);
                }
                continue;
            }
            let place = |n: usize, column: u16| match from {
                Some(first) => usize::from(column).wrapping_sub(first),
                None => t * TILE + n,
            };
            for ((n, column), (weight, post)) in
                columns.iter().enumerate().zip(tile.iter_mut().zip(&mut posts))
            {
                match weights.get(place(n, *column)) {
                    Some(w) => *weight = w,
                    None => *post = 0,
                }
            }
            if self.tile(at, &posts, &mut tile, columns) {
                for ((n, column), new) in columns.iter().enumerate().zip(tile) {
                    weights.set(place(n, *column), new);
                }
            }
        }
    }

    /// Changes the weights of a tile; says whether any may have changed.
    #[inline(always)]
    fn tile(
        &mut self,
        at: &At,
        posts: &[SampleBits; TILE],
        weights: &mut [i32; TILE],
        columns: &[u16],
    ) -> bool {
        let plain = self.rounding == Rounding::Nearest && !self.signs && self.symmetry != Symmetry::Mean;
        let tally = if plain {
            let change =
                TileChange { mantissa: self.mantissa, shift: self.shift.min(30), bounds: self.bounds };
            self.kernels.change_tile(&change, at.pre, posts, weights)
        } else {
            self.change_by_draws(at, posts, weights, columns)
        };
        self.tally.attempted += u64::from(tally.attempted);
        self.tally.changed += u64::from(tally.changed);
        self.tally.saturated += u64::from(tally.saturated);
        self.tally.rounded_to_zero += u64::from(tally.rounded_to_zero);
        self.tally.nonzero += i64::from(tally.nonzero);
        tally.changed != 0
    }

    /// As [`change_tile`] where rounding draws, weights are signs, or changes are a mean of both directions.
    fn change_by_draws(
        &mut self,
        at: &At,
        posts: &[SampleBits; TILE],
        weights: &mut [i32; TILE],
        columns: &[u16],
    ) -> TileTally {
        let mut sums = sums(self.mantissa, at.pre, posts);
        if self.symmetry == Symmetry::Mean {
            for (sum, column) in sums.iter_mut().zip(columns).filter(|(_, column)| at.own != Some(**column)) {
                let pre = self.posts.pre.get(usize::from(*column)).copied().unwrap_or(0);
                *sum += self.mantissa * agreement(pre, at.post);
            }
        }
        let (mut steps, mut zero) = ([0; TILE], 0);
        for ((step, sum), column) in steps.iter_mut().zip(sums).zip(columns).filter(|((_, sum), _)| *sum != 0)
        {
            let rounded = self.round(sum, at.address(*column, self.symmetry));
            // A closed gate is no zero.
            zero += u32::from(rounded.is_some_and(|step| step == 0));
            *step = rounded.unwrap_or(0);
        }
        TileTally { rounded_to_zero: zero, ..moved(weights, &sums, &steps, self.bounds, self.signs) }
    }

    /// A change, rounded; none where the gate is closed.
    fn round(&mut self, sum: i32, address: u32) -> Option<i32> {
        let shift = self.shift;
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
        if let (Rounding::Gate(probability), true) = (self.rounding, rounded != 0) {
            self.tally.draws += 1;
            let draw = self.draws.draw(self.moment.purpose, self.moment.time, address);
            if draw >> 16 >= u32::from(probability) {
                return None;
            }
        }
        Some(if sum < 0 { -rounded } else { rounded })
    }
}

/// Weights in their own places, widened.
#[inline(always)]
fn load(span: &[i16], tile: &mut [i32; TILE]) {
    match <&[i16; TILE]>::try_from(span) {
        Ok(span) => tile.iter_mut().zip(span).for_each(|(w, s)| *w = i32::from(*s)),
        Err(_) => tile.iter_mut().zip(span).for_each(|(w, s)| *w = i32::from(*s)),
    }
}

/// Weights back in their own places.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // bounds are within 16 bits
fn store(span: &mut [i16], tile: &[i32; TILE]) {
    match <&mut [i16; TILE]>::try_from(&mut *span) {
        Ok(span) => span.iter_mut().zip(tile).for_each(|(s, w)| *s = *w as i16),
        Err(_) => span.iter_mut().zip(tile).for_each(|(s, w)| *s = *w as i16),
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
