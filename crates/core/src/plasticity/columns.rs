//! The post side of a rule: one factor per term and target neuron, with lists of the columns that are not zero.

use super::{Centre, ErrorFactor, MAX_TERMS, Rule, Term, Variable, clamp_i32};

/// What a rule may read of one target neuron.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Post {
    /// Spikes of this tick, `y0`.
    pub spikes: i32,
    /// Traces `y1` and `y2`.
    pub traces: [i32; 2],
    /// State `u`.
    pub state: i32,
    /// Threshold, in state units.
    pub threshold: i32,
    /// Target `t`.
    pub target: i32,
    /// Sums of the four input groups.
    pub groups: [i32; 4],
}

impl Rule {
    /// The value of the declared error bit for this neuron (false if none is declared).
    #[must_use]
    pub fn is_in_error(&self, post: &Post) -> bool {
        let Some(error) = self.error else { return false };
        let mut field = if error.field.state { i64::from(post.state) } else { 0 };
        for (bit, sum) in post.groups.iter().enumerate() {
            if error.field.groups >> bit & 1 == 1 {
                field += i64::from(*sum);
            }
        }
        let signed = match error.factor {
            ErrorFactor::One => field,
            ErrorFactor::Sign => field * sign(post.state),
            ErrorFactor::Target => field.saturating_mul(i64::from(post.target)),
        };
        signed <= i64::from(error.margin)
    }

    /// The value of the declared surrogate window for this neuron (false if none is declared).
    #[must_use]
    pub fn is_in_window(&self, post: &Post) -> bool {
        let Some(window) = self.window else { return false };
        let centre = match window.centre {
            Centre::Threshold => post.threshold,
            Centre::At(centre) => centre,
        };
        post.state.abs_diff(centre) < window.width
    }

    /// The post variables of a neuron, by position of the variable (`y0` first).
    fn post_values(&self, post: &Post) -> [(Variable, i64); 9] {
        let [y1, y2] = post.traces.map(i64::from);
        let g =
            self.group.and_then(|group| post.groups.get(usize::from(group))).map_or(0, |&sum| i64::from(sum));
        [
            (Variable::Y0, i64::from(post.spikes)),
            (Variable::Y1, y1),
            (Variable::Y2, y2),
            (Variable::U, i64::from(post.state)),
            (Variable::S, sign(post.state)),
            (Variable::T, i64::from(post.target)),
            (Variable::G, g),
            (Variable::H, i64::from(self.uses(Variable::H) && self.is_in_window(post))),
            (Variable::E, i64::from(self.uses(Variable::E) && self.is_in_error(post))),
        ]
    }
}

fn sign(state: i32) -> i64 {
    if state < 0 { -1 } else { 1 }
}

/// The post side of a term, and whether it left 32 bits and was clamped.
fn post_side(term: &Term, values: &[(Variable, i64); 9]) -> (i32, bool) {
    let mut product = 1i64;
    for &(variable, value) in values {
        for _ in 0..term.exponents.of(variable) {
            product = product.saturating_mul(value);
        }
    }
    let kept = clamp_i32(product);
    (kept, i64::from(kept) != product)
}

/// What [`Columns`] must remember between updates; all zero at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Non-zero columns per term.
    counts: [u32; MAX_TERMS],
    /// Columns in which any term is not zero.
    union: u32,
    /// Largest magnitude per term.
    peaks: [u32; MAX_TERMS],
    /// The least column that may still be set.
    next: u32,
    /// Post sides that left 32 bits and were clamped, in this update.
    saturations: u32,
}

/// The post side of a rule over the target neurons 0 … width − 1 of a population.
///
/// The caller lends the memory. Each update starts with [`clear`](Self::clear) and then [`set`](Self::set)s the
/// neurons that may matter in ascending order; neurons that are not set count as zero.
#[derive(Debug)]
pub struct Columns<'a> {
    values: &'a mut [i32],
    lists: &'a mut [u16],
    width: usize,
    terms: usize,
    marks: &'a mut Marks,
}

impl<'a> Columns<'a> {
    /// Number of `i32` that [`new`](Self::new) needs.
    #[must_use]
    pub fn values_needed(rule: &Rule, width: usize) -> usize {
        rule.count.saturating_mul(width)
    }

    /// Number of `u16` for the lists that [`new`](Self::new) can use.
    #[must_use]
    pub fn lists_needed(rule: &Rule, width: usize) -> usize {
        (rule.count + 1).saturating_mul(width)
    }

    /// Columns over lent memory: `values` of exactly [`values_needed`](Self::values_needed) (zero when `marks` is
    /// new), `lists` of exactly [`lists_needed`](Self::lists_needed) or empty to do without lists (slower where few
    /// columns matter, equal in result). `None` if a length is wrong or `width` exceeds 65,536.
    #[must_use]
    pub fn new(
        rule: &Rule,
        width: usize,
        values: &'a mut [i32],
        lists: &'a mut [u16],
        marks: &'a mut Marks,
    ) -> Option<Self> {
        let fits = values.len() == Self::values_needed(rule, width)
            && (lists.is_empty() || lists.len() == Self::lists_needed(rule, width))
            && width <= 1 << 16;
        fits.then_some(Self { values, lists, width, terms: rule.count, marks })
    }

    /// Forgets the last update. With lists, the cost follows the number of columns that were not zero.
    pub fn clear(&mut self) {
        let start = self.terms * self.width;
        let listed = self.lists.get(start..start + self.marks.union as usize);
        if let (Some(listed), true) = (listed, self.width > 0) {
            for plane in self.values.chunks_exact_mut(self.width) {
                for &column in listed {
                    if let Some(value) = plane.get_mut(usize::from(column)) {
                        *value = 0;
                    }
                }
            }
        } else {
            self.values.fill(0);
        }
        *self.marks = Marks::default();
    }

    /// Sets the post side of the neuron at `column`. Ignored are columns beyond the width, and columns that are not
    /// above the last one set.
    pub fn set(&mut self, rule: &Rule, column: usize, post: &Post) {
        let Ok(name) = u16::try_from(column) else { return };
        if column >= self.width || u32::from(name) < self.marks.next {
            return;
        }
        self.marks.next = u32::from(name) + 1;
        let values = rule.post_values(post);
        let mut any = false;
        for (k, term) in rule.terms().iter().enumerate() {
            let (value, saturated) = post_side(term, &values);
            self.marks.saturations += u32::from(saturated);
            if value == 0 {
                continue;
            }
            any = true;
            if let Some(place) = self.values.get_mut(k * self.width + column) {
                *place = value;
            }
            if let Some(peak) = self.marks.peaks.get_mut(k) {
                *peak = (*peak).max(value.unsigned_abs());
            }
            if let Some(count) = self.marks.counts.get_mut(k) {
                enlist(self.lists, k * self.width, count, name);
            }
        }
        if any {
            enlist(self.lists, self.terms * self.width, &mut self.marks.union, name);
        }
    }

    /// Makes a column zero, for a row that must not change it; returns what [`unmute`](Self::unmute) puts back.
    pub fn mute(&mut self, column: usize) -> [i32; MAX_TERMS] {
        let mut kept = [0; MAX_TERMS];
        if column >= self.width {
            return kept;
        }
        for (k, kept) in kept.iter_mut().enumerate().take(self.terms) {
            if let Some(value) = self.values.get_mut(k * self.width + column) {
                *kept = core::mem::take(value);
            }
        }
        kept
    }

    /// Puts a muted column back.
    pub fn unmute(&mut self, column: usize, kept: [i32; MAX_TERMS]) {
        if column >= self.width {
            return;
        }
        for (k, kept) in kept.iter().enumerate().take(self.terms) {
            if let Some(value) = self.values.get_mut(k * self.width + column) {
                *value = *kept;
            }
        }
    }

    /// Whether no term can change a weight in this update.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.marks.union == 0
    }

    /// Number of columns that are not zero.
    #[must_use]
    pub fn active(&self) -> usize {
        self.marks.union as usize
    }

    /// Post sides of this update that left 32 bits and were clamped.
    #[must_use]
    pub fn saturations(&self) -> u32 {
        self.marks.saturations
    }

    /// The post side of `term`, for all columns.
    pub(super) fn plane(&self, term: usize) -> &[i32] {
        let start = term * self.width;
        self.values.get(start..start + self.width).unwrap_or(&[])
    }

    /// The largest magnitude in the plane of `term`.
    pub(super) fn peak(&self, term: usize) -> u32 {
        self.marks.peaks.get(term).copied().unwrap_or(0)
    }

    /// The columns in which one of the terms of `mask` may not be zero, ascending; `None` without lists.
    pub(super) fn listed(&self, mask: u32) -> Option<&[u16]> {
        let term = mask.trailing_zeros() as usize;
        let (list, count) = match self.marks.counts.get(term) {
            Some(&count) if mask.is_power_of_two() => (term, count),
            _ => (self.terms, self.marks.union),
        };
        let start = list * self.width;
        self.lists.get(start..start + count as usize).filter(|_| !self.lists.is_empty())
    }
}

/// Appends to a list that starts at `start`.
fn enlist(lists: &mut [u16], start: usize, count: &mut u32, name: u16) {
    if let Some(place) = lists.get_mut(start + *count as usize) {
        *place = name;
    }
    *count += 1;
}
