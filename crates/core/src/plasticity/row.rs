//! One row of synapses under a rule: dense or sparse, on weights of 1 to 16 bits.
//!
//! Three ways give equal bits: a walk over listed columns, and blocks of 64 columns in 32-bit or 64-bit arithmetic.
//! The widest products fall back to 128 bits. Which way is taken depends only on bounds that are known before.

use super::columns::Columns;
use super::{Decay, MAX_TERMS, PreSide, Rounding, Rule, Variable};
use crate::draw::Draws;

/// Columns that the block kernels take at once.
const BLOCK: usize = if cfg!(target_pointer_width = "64") { 64 } else { 16 };
/// Bound of the sum and of the rounding addend in 32-bit arithmetic.
const NARROW: u64 = 1 << 30;
/// The same in 64-bit arithmetic.
const WIDE: u64 = 1 << 61;
/// A rounded change beyond this moves any weight to its bound; larger ones are not told apart.
const MAX_STEP: i64 = 1 << 30;

/// The weights of a row in their container, in two's complement.
#[derive(Debug)]
pub enum Weights<'a> {
    /// One byte per weight.
    Eight(&'a mut [u8]),
    /// Sixteen bits per weight.
    Sixteen(&'a mut [i16]),
    /// `bits` (1, 2 or 4) per weight, the first weight in the lowest bits of the first byte. A single bit holds
    /// −1 (bit 0) or +1 (bit 1).
    Packed {
        /// The bytes.
        bytes: &'a mut [u8],
        /// Bits per weight.
        bits: u8,
        /// Number of weights.
        count: usize,
    },
}

/// The least and the greatest weight of `bits` bits.
pub(super) fn limits(bits: u32) -> (i32, i32) {
    match bits {
        1 => (-1, 1),
        2 => (-2, 1),
        8 => (-128, 127),
        16 => (-32_768, 32_767),
        _ => (-8, 7),
    }
}

impl Weights<'_> {
    /// Number of weights.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Eight(weights) => weights.len(),
            Self::Sixteen(weights) => weights.len(),
            Self::Packed { bytes, bits, count } => {
                (*count).min(bytes.len().saturating_mul(8).checked_div(usize::from(*bits)).unwrap_or(0))
            }
        }
    }

    /// Whether the row has no weight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The least and the greatest value of the container.
    #[must_use]
    pub fn limits(&self) -> (i32, i32) {
        limits(match self {
            Self::Eight(_) => 8,
            Self::Sixteen(_) => 16,
            Self::Packed { bits, .. } => u32::from(*bits),
        })
    }

    /// Whether the weights are single bits, which cannot be zero: a change that would make one zero leaves it.
    fn is_signs(&self) -> bool {
        matches!(self, Self::Packed { bits: 1, .. })
    }

    /// The weight at `index`, 0 beyond the end.
    #[must_use]
    pub fn get(&self, index: usize) -> i32 {
        match self {
            Self::Eight(weights) => weights.get(index).map_or(0, |&byte| i32::from(byte as i8)),
            Self::Sixteen(weights) => weights.get(index).map_or(0, |&weight| i32::from(weight)),
            Self::Packed { bytes, bits, .. } => {
                let (byte, shift) = place(index, *bits);
                let raw = bytes.get(byte).map_or(0, |&byte| u32::from(byte) >> shift);
                let width = u32::from(*bits).min(8);
                if width == 1 {
                    return if raw & 1 == 1 { 1 } else { -1 };
                }
                ((raw << (32 - width)) as i32) >> (32 - width)
            }
        }
    }

    /// Stores a weight that is within the limits.
    #[allow(clippy::cast_possible_truncation)] // the low bits are the container's
    pub(super) fn set(&mut self, index: usize, weight: i32) {
        match self {
            Self::Eight(weights) => {
                if let Some(place) = weights.get_mut(index) {
                    *place = weight as u8;
                }
            }
            Self::Sixteen(weights) => {
                if let Some(place) = weights.get_mut(index) {
                    *place = weight as i16;
                }
            }
            Self::Packed { bytes, bits, .. } => {
                let (byte, shift) = place(index, *bits);
                let weight = if *bits == 1 { i32::from(weight > 0) } else { weight };
                let mask = ((1u32 << u32::from(*bits).min(8)) - 1) as u8;
                if let Some(place) = bytes.get_mut(byte) {
                    *place = *place & !(mask << shift) | (weight as u8 & mask) << shift;
                }
            }
        }
    }

    fn load(&self, start: usize, out: &mut [i32]) {
        match self {
            Self::Eight(weights) => {
                for (weight, &byte) in out.iter_mut().zip(weights.get(start..).unwrap_or(&[])) {
                    *weight = i32::from(byte as i8);
                }
            }
            Self::Sixteen(weights) => {
                for (weight, &stored) in out.iter_mut().zip(weights.get(start..).unwrap_or(&[])) {
                    *weight = i32::from(stored);
                }
            }
            Self::Packed { .. } => {
                for (i, weight) in out.iter_mut().enumerate() {
                    *weight = self.get(start + i);
                }
            }
        }
    }

    #[allow(clippy::cast_possible_truncation)] // the low bits are the container's
    pub(super) fn store(&mut self, start: usize, weights: &[i32]) {
        match self {
            Self::Eight(stored) => {
                for (place, &weight) in stored.get_mut(start..).unwrap_or(&mut []).iter_mut().zip(weights) {
                    *place = weight as u8;
                }
            }
            Self::Sixteen(stored) => {
                for (place, &weight) in stored.get_mut(start..).unwrap_or(&mut []).iter_mut().zip(weights) {
                    *place = weight as i16;
                }
            }
            Self::Packed { .. } => {
                for (i, &weight) in weights.iter().enumerate() {
                    self.set(start + i, weight);
                }
            }
        }
    }
}

/// Byte and bit of a packed weight.
fn place(index: usize, bits: u8) -> (usize, u32) {
    let at = index.saturating_mul(usize::from(bits));
    (at >> 3, (at & 7) as u32)
}

/// Which target neuron each weight of a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Targets<'a> {
    /// Dense: consecutive columns from this one on.
    From(usize),
    /// Sparse: the column of each weight, in any order.
    Listed(&'a [u16]),
}

/// A row segment that a rule may change.
#[derive(Debug)]
pub struct Row<'a> {
    /// The weights.
    pub weights: Weights<'a>,
    /// Their target neurons.
    pub targets: Targets<'a>,
    /// Address of the draws of column 0: the synapse onto column j draws at `first_draw + j`, so that the
    /// numbers do not depend on how a row is stored or split.
    pub first_draw: u32,
}

/// When and for what an update draws random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Purpose of the draws: [`crate::draw::PLASTICITY`] plus the number of the rule.
    pub purpose: u32,
    /// Tick, or number of the update.
    pub time: u64,
}

/// What an update did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Synapses whose exact change was not zero.
    pub attempted: u64,
    /// Weights that have another value than before.
    pub changed: u64,
    /// Changes that rounding (or a closed gate) made zero.
    pub rounded_to_zero: u64,
    /// Changes that a bound cut short.
    pub saturated: u64,
    /// Random numbers that were needed.
    pub draws: u64,
    /// Non-zero weights after, minus before.
    pub nonzero: i64,
}

impl core::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.attempted += other.attempted;
        self.changed += other.changed;
        self.rounded_to_zero += other.rounded_to_zero;
        self.saturated += other.saturated;
        self.draws += other.draws;
        self.nonzero += other.nonzero;
    }
}

impl Decay {
    /// Shrinks the weights of a row; single bits stay. The synapse onto column j draws at the row's address of j.
    #[inline(always)]
    pub(crate) fn row<D: Draws>(&self, row: &mut Row<'_>, draws: &mut D, moment: Moment, tally: &mut Tally) {
        if row.weights.is_signs() {
            return;
        }
        let mut words = [0; BLOCK];
        for start in (0..row.weights.len()).step_by(BLOCK) {
            let count = BLOCK.min(row.weights.len() - start);
            let words = words.get_mut(..count).unwrap_or_default();
            match row.targets {
                Targets::From(first) => {
                    let first = row.first_draw.wrapping_add((first + start) as u32);
                    draws.fill(moment.purpose, moment.time, first, words);
                }
                Targets::Listed(list) => {
                    for (word, column) in words.iter_mut().zip(list.get(start..).unwrap_or_default()) {
                        let index = row.first_draw.wrapping_add(u32::from(*column));
                        *word = draws.draw(moment.purpose, moment.time, index);
                    }
                }
            }
            for (i, word) in (start..).zip(words.iter()) {
                let old = row.weights.get(i);
                if old == 0 {
                    continue;
                }
                let new = self.after(old.unsigned_abs(), *word) as i32 * old.signum();
                row.weights.set(i, new);
                tally.attempted += 1;
                tally.draws += 1;
                tally.changed += u64::from(new != old);
                tally.rounded_to_zero += u64::from(new == old);
                tally.nonzero -= i64::from(new == 0);
            }
        }
    }
}

/// The terms of a row that are not zero on the pre side.
struct Active {
    mask: u32,
    /// Whether one of them contains the weight.
    weighted: bool,
    /// A bound of the magnitude of the sum; `u64::MAX` if it may be beyond 64 bits.
    bound: u64,
}

impl Active {
    fn new(rule: &Rule, pre: &PreSide, columns: &Columns<'_>, limits: (i32, i32)) -> Self {
        let peak_weight = u64::from(limits.0.unsigned_abs().max(limits.1.unsigned_abs()));
        let mut active = Self { mask: 0, weighted: false, bound: 0 };
        for (k, (term, &factor)) in rule.terms().iter().zip(&pre.factors).enumerate() {
            if factor == 0 || columns.peak(k) == 0 {
                continue;
            }
            active.mask |= 1 << k;
            let power = term.exponents.of(Variable::W);
            active.weighted |= power > 0;
            let product = factor
                .unsigned_abs()
                .saturating_mul(u64::from(columns.peak(k)))
                .saturating_mul(peak_weight.saturating_pow(power));
            active.bound = active.bound.saturating_add(product);
        }
        active
    }
}

/// A store of weights that a rule walks over, where [`Row`] does not fit (devices that are written by pulses).
pub trait Synapses {
    /// The least and the greatest value that [`weight`](Self::weight) returns, within ±32,768.
    fn limits(&self) -> (i32, i32);
    /// The weight of the synapse at `index`.
    fn weight(&self, index: usize) -> i32;
    /// Takes a rounded change that is not zero and counts in `tally` whether the weight changed, whether it
    /// saturated, and whether it became or ceased to be zero.
    fn change(&mut self, index: usize, step: i32, tally: &mut Tally);
}

/// The weights of a row with the bounds that a change respects.
struct Bounded<'a, 'b> {
    weights: &'a mut Weights<'b>,
    bounds: (i32, i32),
}

impl Synapses for Bounded<'_, '_> {
    fn limits(&self) -> (i32, i32) {
        self.weights.limits()
    }

    fn weight(&self, index: usize) -> i32 {
        self.weights.get(index)
    }

    fn change(&mut self, index: usize, step: i32, tally: &mut Tally) {
        let old = self.weights.get(index);
        let sum = old.saturating_add(step);
        let new = match sum.clamp(self.bounds.0, self.bounds.1) {
            0 if self.weights.is_signs() => old,
            new => new,
        };
        self.weights.set(index, new);
        tally.changed += u64::from(new != old);
        tally.saturated += u64::from(new != sum);
        tally.nonzero += i64::from(new != 0) - i64::from(old != 0);
    }
}

/// Where the synapses of a row lie.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// Their target neurons.
    pub targets: Targets<'a>,
    /// Their number; no more than listed targets.
    pub count: usize,
    /// Address of the draws of column 0, as in [`Row`].
    pub first_draw: u32,
}

/// One row in the middle of an update.
struct Visit<'a, D: ?Sized> {
    rule: &'a Rule,
    pre: &'a PreSide,
    columns: &'a Columns<'a>,
    active: Active,
    draws: &'a mut D,
    moment: Moment,
    tally: Tally,
}

impl Rule {
    /// Applies the rule to one row: every weight w becomes
    /// `clamp(w + round(Σ_k pre_k · post_k[column] · w^p_k · 2^-shift))`.
    ///
    /// The bounds are the rule's, narrowed to the container. A weight whose rounded change is zero is left alone,
    /// even if it is outside the bounds. Targets beyond the width of `columns` never change.
    pub fn update<D: Draws + ?Sized>(
        &self,
        pre: &PreSide,
        columns: &Columns<'_>,
        row: &mut Row<'_>,
        draws: &mut D,
        moment: Moment,
    ) -> Tally {
        let limits = row.weights.limits();
        let active = Active::new(self, pre, columns, limits);
        if active.mask == 0 {
            return Tally::default();
        }
        let low = self.min.max(limits.0).min(limits.1);
        let bounds = (low, self.max.min(limits.1).max(low));
        let count = match row.targets {
            Targets::From(_) => row.weights.len(),
            Targets::Listed(list) => row.weights.len().min(list.len()),
        };
        let shape = Shape { targets: row.targets, count, first_draw: row.first_draw };
        let few = match (row.targets, columns.listed(active.mask)) {
            (Targets::From(_), Some(listed)) => listed.len() * 6 < count,
            _ => count < 8,
        };
        let mut visit = Visit { rule: self, pre, columns, active, draws, moment, tally: Tally::default() };
        if few || visit.active.bound > WIDE || row.weights.is_signs() {
            visit.walk(&shape, &mut Bounded { weights: &mut row.weights, bounds });
        } else if visit.active.bound <= NARROW && self.shift <= 30 {
            visit.blocks_narrow(&shape, &mut row.weights, bounds);
        } else {
            visit.blocks_wide(&shape, &mut row.weights, bounds);
        }
        visit.tally
    }

    /// Walks one row of any store of weights and hands it the rounded changes that are not zero, in ascending order
    /// of synapses. Equal to [`update`](Self::update) where the store clamps to the same bounds.
    pub fn walk<D: Draws + ?Sized, S: Synapses + ?Sized>(
        &self,
        pre: &PreSide,
        columns: &Columns<'_>,
        shape: &Shape<'_>,
        synapses: &mut S,
        draws: &mut D,
        moment: Moment,
    ) -> Tally {
        let active = Active::new(self, pre, columns, synapses.limits());
        let mut visit = Visit { rule: self, pre, columns, active, draws, moment, tally: Tally::default() };
        if visit.active.mask != 0 {
            visit.walk(shape, synapses);
        }
        visit.tally
    }
}

impl<D: Draws + ?Sized> Visit<'_, D> {
    fn walk<S: Synapses + ?Sized>(&mut self, shape: &Shape<'_>, synapses: &mut S) {
        let columns = self.columns;
        match shape.targets {
            Targets::Listed(list) => {
                for (index, &column) in list.iter().take(shape.count).enumerate() {
                    self.synapse(index, usize::from(column), shape.first_draw, synapses);
                }
            }
            Targets::From(first) => match columns.listed(self.active.mask) {
                Some(listed) => {
                    let start = listed.partition_point(|&column| usize::from(column) < first);
                    for &column in listed.get(start..).unwrap_or(&[]) {
                        let index = usize::from(column).saturating_sub(first);
                        if index >= shape.count {
                            break;
                        }
                        self.synapse(index, usize::from(column), shape.first_draw, synapses);
                    }
                }
                None => {
                    for index in 0..shape.count {
                        self.synapse(index, first.saturating_add(index), shape.first_draw, synapses);
                    }
                }
            },
        }
    }

    #[allow(clippy::cast_possible_truncation)] // draws are addressed modulo 2^32
    fn synapse<S: Synapses + ?Sized>(
        &mut self,
        index: usize,
        column: usize,
        first_draw: u32,
        synapses: &mut S,
    ) {
        let weight = if self.active.weighted { synapses.weight(index) } else { 0 };
        let (negative, whole, fraction) = self.exact(column, weight);
        if whole == 0 && fraction == 0 {
            return;
        }
        self.tally.attempted += 1;
        let address = first_draw.wrapping_add(column as u32);
        let magnitude = self.round(whole, fraction, address);
        if magnitude != 0 {
            synapses.change(index, if negative { -magnitude } else { magnitude }, &mut self.tally);
        }
    }

    /// The exact change of one synapse: its sign, the whole part of its magnitude (clamped), and the fraction in
    /// units of 2^-shift.
    fn exact(&self, column: usize, weight: i32) -> (bool, i64, u64) {
        let shift = self.rule.shift;
        let mask = (1u64 << shift) - 1;
        let factors = || {
            let terms = self.rule.terms().iter().zip(&self.pre.factors).enumerate();
            terms.filter(|(k, _)| self.active.mask >> k & 1 == 1).map(|(k, (term, &factor))| {
                let post = self.columns.plane(k).get(column).copied().unwrap_or(0);
                (factor, post, term.exponents.of(Variable::W))
            })
        };
        if self.active.bound <= WIDE {
            let mut sum = 0i64;
            for (factor, post, power) in factors() {
                let mut product = factor.wrapping_mul(i64::from(post));
                for _ in 0..power {
                    product = product.wrapping_mul(i64::from(weight));
                }
                sum = sum.wrapping_add(product);
            }
            let magnitude = sum.unsigned_abs();
            let whole = (magnitude >> shift).min(MAX_STEP.unsigned_abs()) as i64;
            (sum < 0, whole, magnitude & mask)
        } else {
            // |factor| ≤ 2^55, |post| < 2^31, |weight|^2 ≤ 2^30, eight terms: below 2^119.
            let mut sum = 0i128;
            for (factor, post, power) in factors() {
                let mut product = i128::from(factor).wrapping_mul(i128::from(post));
                for _ in 0..power {
                    product = product.wrapping_mul(i128::from(weight));
                }
                sum = sum.wrapping_add(product);
            }
            let magnitude = sum.unsigned_abs();
            let whole = i64::try_from(magnitude >> shift).unwrap_or(MAX_STEP).min(MAX_STEP);
            let fraction = u64::try_from(magnitude & u128::from(mask)).unwrap_or(0);
            (sum < 0, whole, fraction)
        }
    }

    #[allow(clippy::cast_possible_truncation)] // at most MAX_STEP + 1
    fn round(&mut self, whole: i64, fraction: u64, address: u32) -> i32 {
        let shift = self.rule.shift;
        let addend = match self.rule.rounding {
            Rounding::Stochastic if fraction == 0 => 0,
            Rounding::Stochastic => {
                self.tally.draws += 1;
                spread(self.draws.draw(self.moment.purpose, self.moment.time, address), shift)
            }
            Rounding::Nearest | Rounding::Gate(_) => (1u64 << shift) >> 1,
        };
        let magnitude = whole as i32 + i32::from((fraction + addend) >> shift != 0 && shift != 0);
        if magnitude == 0 {
            self.tally.rounded_to_zero += 1;
        } else if let Rounding::Gate(probability) = self.rule.rounding {
            self.tally.draws += 1;
            let draw = self.draws.draw(self.moment.purpose, self.moment.time, address);
            if draw >> 16 >= u32::from(probability) {
                return 0;
            }
        }
        magnitude
    }
}

/// A draw as a number that is uniform in 0 … 2^shift − 1 (in steps of 2^(shift − 32) where shift exceeds 32).
pub(super) fn spread(draw: u32, shift: u32) -> u64 {
    if shift > 32 { u64::from(draw) << (shift - 32) } else { u64::from(draw) >> (32 - shift) }
}

/// The block kernel in one integer width: exact sums, one rounding, clamping and counting of up to [`BLOCK`]
/// synapses at once, in loops of fixed length that become vector instructions.
macro_rules! blocks {
    ($name:ident, $signed:ty, $unsigned:ty) => {
        #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_lossless)] // bounded by NARROW or WIDE
        fn $name(&mut self, shape: &Shape<'_>, weights: &mut Weights<'_>, (low, high): (i32, i32)) {
            let shift = self.rule.shift;
            let rounding = self.rule.rounding;
            let mask = ((1 as $unsigned) << shift) - 1;
            let mut start = 0;
            while start < shape.count {
                let here = (shape.count - start).min(BLOCK);
                let mut old = [0i32; BLOCK];
                weights.load(start, old.get_mut(..here).unwrap_or(&mut []));
                let mut change = [0 as $signed; BLOCK];
                for k in 0..MAX_TERMS {
                    if self.active.mask >> k & 1 == 0 {
                        continue;
                    }
                    let factor = self.pre.factors.get(k).copied().unwrap_or(0) as $signed;
                    let power = self.rule.terms.get(k).map_or(0, |term| term.exponents.of(Variable::W));
                    let mut gathered = [0i32; BLOCK];
                    let post = block_of(self.columns.plane(k), shape.targets, start, here, &mut gathered);
                    if power == 0 {
                        for (sum, &post) in change.iter_mut().zip(post) {
                            *sum = sum.wrapping_add(factor.wrapping_mul(post as $signed));
                        }
                    } else {
                        for ((sum, &post), &weight) in change.iter_mut().zip(post).zip(&old) {
                            let mut product = factor.wrapping_mul(post as $signed);
                            for _ in 0..power {
                                product = product.wrapping_mul(weight as $signed);
                            }
                            *sum = sum.wrapping_add(product);
                        }
                    }
                }
                if change.iter().all(|&sum| sum == 0) {
                    start += here;
                    continue;
                }
                let mut draws = [0u32; BLOCK];
                let drawn = match rounding {
                    Rounding::Nearest => false,
                    Rounding::Stochastic => change.iter().any(|sum| sum.unsigned_abs() & mask != 0),
                    Rounding::Gate(_) => true,
                };
                if drawn {
                    let out = draws.get_mut(..here).unwrap_or(&mut []);
                    self.draw_block(shape, start, out);
                }
                let mut addend = [((1 as $unsigned) << shift) >> 1; BLOCK];
                if rounding == Rounding::Stochastic {
                    for (addend, &draw) in addend.iter_mut().zip(&draws) {
                        *addend = spread(draw, shift) as $unsigned;
                    }
                }
                // A closed gate is a probability that no upper half of a draw reaches; open for other roundings.
                let open =
                    if let Rounding::Gate(probability) = rounding { u32::from(probability) } else { 1 << 16 };
                let mut rounded = [0i32; BLOCK];
                for ((rounded, &change), &addend) in rounded.iter_mut().zip(&change).zip(&addend) {
                    let magnitude = (change.unsigned_abs() + addend) >> shift;
                    *rounded = magnitude.min(MAX_STEP as $unsigned) as i32;
                }
                let mut kept = [0i32; BLOCK];
                let mut tally = Counts::default();
                for (((kept, &rounded), &change), (&old, &draw)) in
                    kept.iter_mut().zip(&rounded).zip(&change).zip(old.iter().zip(&draws))
                {
                    let step = if draw >> 16 < open { rounded } else { 0 };
                    let sum = if change < 0 { old - step } else { old + step };
                    let clamped = sum.max(low).min(high);
                    *kept = if step == 0 { old } else { clamped };
                    tally.saturated += u32::from((step != 0) & (clamped != sum));
                }
                for ((&kept, &old), (&change, &rounded)) in
                    kept.iter().zip(&old).zip(change.iter().zip(&rounded))
                {
                    tally.attempted += u32::from(change != 0);
                    tally.changed += u32::from(kept != old);
                    tally.lost += u32::from((change != 0) & (rounded == 0));
                    tally.fractions += u32::from(change.unsigned_abs() & mask != 0);
                    tally.before += u32::from(old != 0);
                    tally.after += u32::from(kept != 0);
                }
                if tally_blocks(&mut self.tally, &tally, rounding) {
                    weights.store(start, kept.get(..here).unwrap_or(&[]));
                }
                start += here;
            }
        }
    };
}

impl<D: Draws + ?Sized> Visit<'_, D> {
    /// The draws of the synapses from `start` on.
    #[allow(clippy::cast_possible_truncation)] // draws are addressed modulo 2^32
    fn draw_block(&mut self, shape: &Shape<'_>, start: usize, out: &mut [u32]) {
        let Moment { purpose, time } = self.moment;
        match shape.targets {
            Targets::From(first) => {
                let first = shape.first_draw.wrapping_add(first as u32).wrapping_add(start as u32);
                self.draws.fill(purpose, time, first, out);
            }
            Targets::Listed(list) => {
                for (draw, &column) in out.iter_mut().zip(list.get(start..).unwrap_or(&[])) {
                    *draw = self.draws.draw(purpose, time, shape.first_draw.wrapping_add(u32::from(column)));
                }
            }
        }
    }

    blocks!(blocks_narrow, i32, u32);
    blocks!(blocks_wide, i64, u64);
}

/// Counts of one block, in words that vectors hold.
#[derive(Clone, Copy, Default)]
struct Counts {
    attempted: u32,
    changed: u32,
    lost: u32,
    saturated: u32,
    fractions: u32,
    before: u32,
    after: u32,
}

/// Adds the counts of a block; whether a weight changed.
fn tally_blocks(total: &mut Tally, block: &Counts, rounding: Rounding) -> bool {
    total.attempted += u64::from(block.attempted);
    total.changed += u64::from(block.changed);
    total.rounded_to_zero += u64::from(block.lost);
    total.saturated += u64::from(block.saturated);
    total.draws += u64::from(match rounding {
        Rounding::Nearest => 0,
        Rounding::Stochastic => block.fractions,
        Rounding::Gate(_) => block.attempted - block.lost,
    });
    total.nonzero += i64::from(block.after) - i64::from(block.before);
    block.changed > 0
}

/// The post sides of the synapses `start` … `start + here − 1` of a row; shorter where columns end.
fn block_of<'a>(
    plane: &'a [i32],
    targets: Targets<'_>,
    start: usize,
    here: usize,
    gathered: &'a mut [i32; BLOCK],
) -> &'a [i32] {
    match targets {
        Targets::From(first) => {
            let rest = plane.get(first.saturating_add(start)..).unwrap_or(&[]);
            rest.get(..here).unwrap_or(rest)
        }
        Targets::Listed(list) => {
            let list = list.get(start..).unwrap_or(&[]);
            for (post, &column) in gathered.iter_mut().zip(list).take(here) {
                *post = plane.get(usize::from(column)).copied().unwrap_or(0);
            }
            gathered
        }
    }
}
