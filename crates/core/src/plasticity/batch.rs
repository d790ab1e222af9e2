//! Rules that act on several samples at once: what the samples were is remembered as bits.
//!
//! For the local rules of ±1 networks the change of a synapse is a constant times the number of samples in which
//! pre and post sides agree, minus the number in which they differ. So a neuron remembers two bits per sample, and
//! the sum over up to 16 samples is two population counts per synapse: exact, and rounded and clamped once.

use super::row::{Moment, Row, Tally, Targets, Weights, spread};
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
    /// Applies the rule to one row for all samples that `pre` (of the row's neuron) and the columns remember:
    /// `w ← clamp(w + round(mantissa · 2^-shift · agreement))`. Column `fixed` does not change.
    pub fn update_batch<D: Draws + ?Sized>(
        &self,
        pre: SampleBits,
        posts: &Posts<'_>,
        fixed: Option<u16>,
        row: &mut Row<'_>,
        draws: &mut D,
        moment: Moment,
    ) -> Tally {
        let Some(term) = self.terms().first() else { return Tally::default() };
        let limits = row.weights.limits();
        let low = self.min.max(limits.0).min(limits.1);
        let mut change = BatchChange {
            rule: self,
            mantissa: i64::from(term.mantissa),
            pre,
            bounds: (low, self.max.min(limits.1).max(low)),
            signs: limits == (-1, 1),
            first_draw: row.first_draw,
            draws,
            moment,
            tally: Tally::default(),
            shift: self.shift,
            nearest: self.rounding == Rounding::Nearest,
        };
        let post_of = |column: u16| match posts.bits.get(usize::from(column)) {
            Some(bits) if fixed != Some(column) => *bits,
            _ => 0,
        };
        match (row.targets, &mut row.weights) {
            (Targets::Listed(list), Weights::Sixteen(weights)) => {
                for (weight, &column) in weights.iter_mut().zip(list) {
                    change.apply(post_of(column), column, weight);
                }
            }
            (Targets::Listed(list), Weights::Eight(weights)) => {
                for (weight, &column) in weights.iter_mut().zip(list) {
                    let mut wide = i16::from(*weight as i8);
                    change.apply(post_of(column), column, &mut wide);
                    *weight = wide as u8;
                }
            }
            (Targets::Listed(list), weights) => {
                for (index, &column) in list.iter().enumerate() {
                    change.write(weights, index, post_of(column), column);
                }
            }
            (Targets::From(first), Weights::Sixteen(weights)) => {
                for &column in posts.listed {
                    if let Some(weight) = weights.get_mut(usize::from(column).wrapping_sub(first)) {
                        change.apply(post_of(column), column, weight);
                    }
                }
            }
            (Targets::From(first), weights) => {
                for &column in posts.listed {
                    change.write(weights, usize::from(column).wrapping_sub(first), post_of(column), column);
                }
            }
        }
        change.tally
    }
}

struct BatchChange<'a, D: ?Sized> {
    rule: &'a Rule,
    mantissa: i64,
    pre: SampleBits,
    bounds: (i32, i32),
    signs: bool,
    first_draw: u32,
    draws: &'a mut D,
    moment: Moment,
    tally: Tally,
    /// The rule's constants, at hand.
    shift: u32,
    nearest: bool,
}

impl<D: Draws + ?Sized> BatchChange<'_, D> {
    /// The rounded change of a synapse.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // |mantissa · agreement| < 2^20
    fn step(&mut self, post: SampleBits, column: u16) -> i32 {
        let sum = self.mantissa * i64::from(agreement(self.pre, post));
        if sum == 0 {
            return 0;
        }
        self.tally.attempted += 1;
        let shift = self.shift;
        if self.nearest {
            let rounded = ((sum.unsigned_abs() + ((1u64 << shift) >> 1)) >> shift) as i32;
            self.tally.rounded_to_zero += u64::from(rounded == 0);
            return if sum < 0 { -rounded } else { rounded };
        }
        let address = self.first_draw.wrapping_add(u32::from(column));
        let magnitude = sum.unsigned_abs();
        let fraction = magnitude & ((1u64 << shift) - 1);
        let addend = match self.rule.rounding {
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
        } else if let Rounding::Gate(probability) = self.rule.rounding {
            self.tally.draws += 1;
            let draw = self.draws.draw(self.moment.purpose, self.moment.time, address);
            if draw >> 16 >= u32::from(probability) {
                return 0;
            }
        }
        if sum < 0 { -rounded } else { rounded }
    }

    /// The clamped weight after a change.
    #[inline(always)]
    fn moved(&mut self, old: i32, step: i32) -> i32 {
        let sum = old + step;
        let new = match sum.clamp(self.bounds.0, self.bounds.1) {
            0 if self.signs => old,
            new => new,
        };
        self.tally.changed += u64::from(new != old);
        self.tally.saturated += u64::from(new != sum);
        self.tally.nonzero += i64::from(new != 0) - i64::from(old != 0);
        new
    }

    /// Changes a weight that lies in its own place.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // bounds are within 16 bits
    fn apply(&mut self, post: SampleBits, column: u16, weight: &mut i16) {
        if self.pre & (post | post.rotate_left(16)) == 0 {
            return;
        }
        let step = self.step(post, column);
        if step != 0 {
            *weight = self.moved(i32::from(*weight), step) as i16;
        }
    }

    /// Changes a weight of any container.
    fn write(&mut self, weights: &mut Weights<'_>, index: usize, post: SampleBits, column: u16) {
        let step = if post == 0 { 0 } else { self.step(post, column) };
        if step != 0 && index < weights.len() {
            let new = self.moved(weights.get(index), step);
            weights.set(index, new);
        }
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
