//! The leaky-integrate-and-fire family: one update, all options.
//!
//! State is an integer in units of the population. In a tick, for a neuron with input sum `x` (all groups
//! that count), in this order:
//!
//! ```text
//! x      = sum << input_shift
//! reset  of the last tick's spike, where it is due at the start      (ValueNext)
//! i      = the synaptic current, in the order that the piece names   (only with a current)
//! v      = decay(v) + bias + x  (or the gain of i)  [− threshold, SubtractNext and SubtractAgain]
//! v      = clamped to [v_min, v_max]; leaving the range is counted unless it is the lower clamp's job
//! spike  = v > threshold (or ≥); with multi-spike n = v / threshold, at most the piece's payload bound
//! reset  now (Value, Subtract, SubtractAgain), refractory count, growth of an adaptive threshold
//! floor  of a neuron that did not spike: below it the membrane is set or raised  (only with a floor)
//! ```
//!
//! `decay(v) = sign(v)·((|v|·d) >> 31)`: rounds toward zero, so a leaky state always reaches 0; with a grain
//! it is then cut toward zero to a multiple of it. A refractory neuron loses its input and keeps its membrane,
//! unless the piece says that it leaks on; its current moves on.
//!
//! An update that had no input and changed nothing is a proven fixed point: the neuron is at rest and need
//! not be visited before the next event.

use crate::image::{CurrentOrder, Piece, Reset, flag};

/// Neurons that are updated at a time: the bits of one mask.
pub const BLOCK: usize = 64;

/// Multiplies by a Q31 factor, rounding toward zero.
#[inline(always)]
pub fn decay(v: i32, q31: u32) -> i32 {
    let magnitude = ((u64::from(v.unsigned_abs()) * u64::from(q31)) >> 31) as u32 as i32;
    if v < 0 { magnitude.wrapping_neg() } else { magnitude }
}

/// A parameter as an update sees it: a common value, or the values of the block's neurons.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    /// The common value.
    pub common: i32,
    /// One value per neuron of the block, or empty.
    pub each: &'a [i32],
}

/// The parameters of a block.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a> {
    /// The piece's record: options and scalars.
    pub piece: &'a Piece,
    /// Input sums and biases provably keep every intermediate below 2³⁰: 32-bit arithmetic is exact.
    pub narrow: bool,
    /// Threshold.
    pub threshold: Value<'a>,
    /// Bias.
    pub bias: Value<'a>,
    /// Membrane decay, Q31 as bits.
    pub decay: Value<'a>,
    /// Current decay, Q31 as bits.
    pub current_decay: Value<'a>,
    /// Membrane after a reset to value.
    pub reset_value: Value<'a>,
}

impl<'a> Value<'a> {
    fn block(&self, b: usize) -> Value<'a> {
        let first = (b * BLOCK).min(self.each.len());
        let end = (first + BLOCK).min(self.each.len());
        Value { common: self.common, each: self.each.get(first..end).unwrap_or(&[]) }
    }
}

impl<'a> Params<'a> {
    /// The parameters of block `b` of a run of neurons.
    pub fn block(&self, b: usize) -> Params<'a> {
        Params {
            piece: self.piece,
            narrow: self.narrow,
            threshold: self.threshold.block(b),
            bias: self.bias.block(b),
            decay: self.decay.block(b),
            current_decay: self.current_decay.block(b),
            reset_value: self.reset_value.block(b),
        }
    }
}

/// The state of a block of at most [`BLOCK`] neurons, or of a run of blocks; optional parts are empty.
#[derive(Debug)]
pub struct State<'a> {
    /// Input sums; cleared by the update.
    pub sum: &'a mut [i32],
    /// Membranes.
    pub v: &'a mut [i32],
    /// Synaptic currents.
    pub current: &'a mut [i32],
    /// Refractory ticks left.
    pub refractory: &'a mut [i32],
    /// Growth of adaptive thresholds.
    pub adapt: &'a mut [i32],
}

impl State<'_> {
    /// The state of block `b` of a run of neurons.
    pub fn block(&mut self, b: usize) -> State<'_> {
        let part = |values: &'_ mut [i32]| {
            let first = (b * BLOCK).min(values.len());
            first..(first + BLOCK).min(values.len())
        };
        let ranges =
            [part(self.sum), part(self.v), part(self.current), part(self.refractory), part(self.adapt)];
        let [sum, v, current, refractory, adapt] = ranges;
        State {
            sum: self.sum.get_mut(sum).unwrap_or_default(),
            v: self.v.get_mut(v).unwrap_or_default(),
            current: self.current.get_mut(current).unwrap_or_default(),
            refractory: self.refractory.get_mut(refractory).unwrap_or_default(),
            adapt: self.adapt.get_mut(adapt).unwrap_or_default(),
        }
    }
}

/// What an update came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Bit j: neuron j spiked.
    pub spikes: u64,
    /// Bit j: neuron j had input or its state changed, so it may not be at rest.
    pub moved: u64,
    /// States that had to be clamped to their range.
    pub saturated: u32,
}

const CURRENT: u32 = 1;
const REFRACTORY: u32 = 2;
const REST: u32 = 4; // any flag of RARE, or a grain
const WIDE: u32 = 8;
const ARRAYS: u32 = 16;

/// Options that most neurons have not.
const RARE: u32 = flag::ADAPTIVE
    | flag::MULTI_SPIKE
    | flag::STATELESS
    | flag::LEAK_LAST
    | flag::LEAK_RESTING
    | flag::ADDITIVE_LEAK
    | flag::FLOOR_VALUE
    | flag::FLOOR_ADD;

/// Updates a block; `spikes_out[j]` is the number of spikes of neuron j (read where its bit is set).
#[inline(always)]
pub fn update(params: &Params<'_>, state: State<'_>, spikes_out: &mut [i32; BLOCK]) -> Outcome {
    let p = params.piece;
    let arrays = !(params.threshold.each.is_empty()
        && params.bias.each.is_empty()
        && params.decay.each.is_empty()
        && params.current_decay.each.is_empty()
        && params.reset_value.each.is_empty());
    let rest = p.flags & RARE != 0 || p.grain > 1;
    if !params.narrow || rest {
        return run::<{ CURRENT | REFRACTORY | REST | WIDE | ARRAYS }>(params, state, spikes_out);
    }
    let current = p.flags & flag::CURRENT != 0;
    match (current, p.refractory != 0, arrays) {
        (false, false, false) => run::<0>(params, state, spikes_out),
        (false, true, false) => run::<REFRACTORY>(params, state, spikes_out),
        (false, _, true) => run::<{ REFRACTORY | ARRAYS }>(params, state, spikes_out),
        (true, _, false) => run::<{ CURRENT | REFRACTORY }>(params, state, spikes_out),
        (true, _, true) => run::<{ CURRENT | REFRACTORY | ARRAYS }>(params, state, spikes_out),
    }
}

/// Copies a parameter for a whole block, so that the loop below has nothing to decide.
#[inline(always)]
fn spread(value: &Value<'_>, out: &mut [i32; BLOCK]) {
    if value.each.is_empty() {
        *out = [value.common; BLOCK];
    } else {
        for (o, v) in out.iter_mut().zip(value.each) {
            *o = *v;
        }
    }
}

#[inline(always)]
fn load(from: &[i32], out: &mut [i32; BLOCK]) {
    for (o, v) in out.iter_mut().zip(from) {
        *o = *v;
    }
}

#[inline(always)]
fn store(to: &mut [i32], from: &[i32; BLOCK]) {
    for (o, v) in to.iter_mut().zip(from) {
        *o = *v;
    }
}

#[inline(always)]
fn run<const F: u32>(params: &Params<'_>, state: State<'_>, spikes_out: &mut [i32; BLOCK]) -> Outcome {
    let p = params.piece;
    let n = state.v.len().min(BLOCK);
    let mut v = [0i32; BLOCK];
    let mut x = [0i32; BLOCK];
    load(state.v, &mut v);
    load(state.sum, &mut x);
    let mut current = [0i32; BLOCK];
    let mut refractory = [0i32; BLOCK];
    let mut adapt = [0i32; BLOCK];
    if F & CURRENT != 0 {
        load(state.current, &mut current);
    }
    if F & REFRACTORY != 0 {
        load(state.refractory, &mut refractory);
    }
    if F & REST != 0 {
        load(state.adapt, &mut adapt);
    }
    let mut threshold = [params.threshold.common; BLOCK];
    let mut bias = [params.bias.common; BLOCK];
    let mut leak = [params.decay.common; BLOCK];
    let mut current_leak = [params.current_decay.common; BLOCK];
    let mut reset_value = [params.reset_value.common; BLOCK];
    if F & ARRAYS != 0 {
        spread(&params.threshold, &mut threshold);
        spread(&params.bias, &mut bias);
        spread(&params.decay, &mut leak);
        spread(&params.current_decay, &mut current_leak);
        spread(&params.reset_value, &mut reset_value);
    }
    let mut moved = [0u8; BLOCK];
    let mut saturated = [0u8; BLOCK];
    let options = Options::of::<F>(p);
    for j in 0..BLOCK {
        // The arrays have BLOCK elements, so these reads cannot fail and cost nothing.
        let (Some(vj), Some(xj), Some(cj), Some(rj), Some(aj)) =
            (v.get_mut(j), x.get(j), current.get_mut(j), refractory.get_mut(j), adapt.get_mut(j))
        else {
            continue;
        };
        let (Some(&threshold), Some(&bias), Some(&leak), Some(&current_leak), Some(&reset_value)) =
            (threshold.get(j), bias.get(j), leak.get(j), current_leak.get(j), reset_value.get(j))
        else {
            continue;
        };
        let own = Own { threshold, bias, leak, current_leak, reset_value };
        let before = Cell { v: *vj, current: *cj, refractory: *rj, adapt: *aj };
        let (after, count, out) = one::<F>(p, &options, before, *xj, own);
        (*vj, *cj, *rj, *aj) = (after.v, after.current, after.refractory, after.adapt);
        if let (Some(m), Some(s), Some(o)) = (moved.get_mut(j), saturated.get_mut(j), spikes_out.get_mut(j)) {
            *m = u8::from((*xj != 0) | (count.1) | (before != after));
            *s = u8::from(out);
            *o = count.0;
        }
    }
    store(state.v, &v);
    state.sum.fill(0);
    if F & CURRENT != 0 {
        store(state.current, &current);
    }
    if F & REFRACTORY != 0 {
        store(state.refractory, &refractory);
    }
    if F & REST != 0 {
        store(state.adapt, &adapt);
    }
    let mut outcome = Outcome::default();
    for j in 0..n {
        if let (Some(&m), Some(&s), Some(&o)) = (moved.get(j), saturated.get(j), spikes_out.get(j)) {
            outcome.moved |= u64::from(m) << j;
            outcome.spikes |= u64::from(o != 0) << j;
            outcome.saturated += u32::from(s);
        }
    }
    outcome
}

/// Options of a piece, read once for many neurons.
struct Options {
    equal: bool,
    silent: bool,
    clamp: bool,
    current: bool,
}

impl Options {
    #[inline(always)]
    fn of<const F: u32>(p: &Piece) -> Options {
        Options {
            equal: p.flags & flag::GREATER_EQUAL != 0,
            silent: p.flags & flag::SILENT != 0,
            clamp: p.flags & flag::CLAMP != 0,
            current: F & CURRENT != 0 && p.flags & flag::CURRENT != 0,
        }
    }
}

/// The state of a neuron.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Cell {
    v: i32,
    current: i32,
    refractory: i32,
    adapt: i32,
}

/// The parameters of a neuron.
#[derive(Clone, Copy)]
struct Own {
    threshold: i32,
    bias: i32,
    leak: i32,
    current_leak: i32,
    reset_value: i32,
}

/// Updates a neuron with input `x`: its new state; how many spikes, and whether it fired; whether it saturated.
#[inline(always)]
fn one<const F: u32>(
    p: &Piece,
    options: &Options,
    cell: Cell,
    x: i32,
    own: Own,
) -> (Cell, (i32, bool), bool) {
    let Options { equal, silent, clamp, current: has_current } = *options;
    let Own { threshold: th, bias: b, leak: d, current_leak: cd, reset_value: rv } = own;
    let mut cell = cell;
    let th = if F & REST != 0 { th.saturating_add(cell.adapt) } else { th };
    let above = |v: i32| !silent & ((v > th) | (equal & (v == th)));
    let mut vv = cell.v;
    if p.reset == Reset::ValueNext && above(vv) {
        vv = rv;
    }
    let subtracts_late = matches!(p.reset, Reset::SubtractNext | Reset::SubtractAgain);
    let late = if subtracts_late && above(vv) { th } else { 0 };
    // Input, through the current where there is one.
    let drive: i64 =
        if F & WIDE != 0 { i64::from(x) << p.input_shift } else { i64::from(x.wrapping_shl(p.input_shift)) };
    let into_v: i64 = if has_current {
        let lifted = p.flags & flag::BIAS_CURRENT != 0;
        let drive = if lifted { drive.saturating_add(i64::from(b)) } else { drive };
        let old = cell.current;
        let decayed = decay(old, cd as u32);
        let (new, seen) = match p.order {
            CurrentOrder::New => {
                let new = clamp_i32(i64::from(decayed) + drive);
                (new, new)
            }
            CurrentOrder::Old => (clamp_i32(i64::from(decayed) + drive), old),
            CurrentOrder::JumpThenDecay => {
                let jumped = clamp_i32(i64::from(old) + drive);
                (decay(jumped, cd as u32), jumped)
            }
            CurrentOrder::JumpDecayed => {
                let new = decay(clamp_i32(i64::from(old) + drive), cd as u32);
                (new, new)
            }
        };
        cell.current = new;
        if p.gain == 1 && p.gain_shift == 0 {
            i64::from(seen)
        } else {
            toward_zero(i64::from(seen) * i64::from(p.gain), p.gain_shift)
        }
    } else {
        drive
    };
    // A bias that the current took does not enter the membrane once more.
    let b = if has_current && p.flags & flag::BIAS_CURRENT != 0 { 0 } else { b };
    let kept = if F & REST != 0 && p.flags & flag::STATELESS != 0 {
        0
    } else if F & REST != 0 && p.flags & flag::LEAK_LAST != 0 {
        vv
    } else if F & REST != 0 && p.flags & flag::ADDITIVE_LEAK != 0 {
        vv.saturating_sub(vv.signum().saturating_mul(d))
    } else {
        decay(vv, d as u32)
    };
    let kept = if F & REST != 0 && p.grain > 1 { kept - kept % p.grain } else { kept };
    let (lo, hi) = (p.v_min, p.v_max);
    let (next, out) = if F & WIDE != 0 {
        let full = i64::from(kept) + into_v + i64::from(b) - i64::from(late);
        let next = full.clamp(i64::from(lo), i64::from(hi)) as i32;
        (next, i64::from(next) != full && !(clamp && full < i64::from(lo)))
    } else {
        let full = kept.wrapping_add(into_v as i32).wrapping_add(b).wrapping_sub(late);
        let next = full.max(lo).min(hi);
        (next, next != full && !(clamp & (full < lo)))
    };
    let resting = F & REFRACTORY != 0 && cell.refractory > 0;
    let leaks = F & REST != 0 && p.flags & flag::LEAK_RESTING != 0;
    let next = if !resting {
        next
    } else if leaks {
        kept
    } else {
        vv
    };
    let fires = above(next) & !resting;
    let count = if F & REST != 0 && p.flags & flag::MULTI_SPIKE != 0 && fires && th > 0 {
        (next / th).min(p.payload_max as i32)
    } else {
        i32::from(fires)
    };
    let mut after = next;
    if fires {
        match p.reset {
            Reset::Value => after = rv,
            Reset::Subtract => after = next.wrapping_sub(count.wrapping_mul(th)),
            Reset::SubtractAgain => after = next.wrapping_sub(count.wrapping_mul(th)),
            Reset::None | Reset::ValueNext | Reset::SubtractNext => {}
        }
    }
    if p.reset == Reset::SubtractAgain && !resting {
        after = after.wrapping_add(late);
    }
    if F & REST != 0 && !fires && !resting && after < p.floor {
        if p.flags & flag::FLOOR_VALUE != 0 {
            after = p.floor_value;
        } else if p.flags & flag::FLOOR_ADD != 0 {
            after = after.saturating_add(p.floor_value).clamp(lo, hi);
        }
    }
    if F & REST != 0 {
        if p.flags & flag::LEAK_LAST != 0 {
            after = decay(after, d as u32);
        }
        if p.flags & flag::ADAPTIVE != 0 {
            cell.adapt = decay(cell.adapt, p.adapt_decay);
            if fires {
                cell.adapt = cell.adapt.saturating_add(p.adapt_add);
            }
        }
    }
    if F & REFRACTORY != 0 {
        cell.refractory = if fires { p.refractory as i32 } else { (cell.refractory - 1).max(0) };
    }
    cell.v = after;
    (cell, (count, fires), out & !resting)
}

/// As [`update`], neuron by neuron and without copies: for processors without vectors, and little stack.
#[inline(always)]
pub fn update_singly(params: &Params<'_>, state: State<'_>, spikes_out: &mut [i32; BLOCK]) -> Outcome {
    let p = params.piece;
    if !params.narrow || p.flags & RARE != 0 || p.grain > 1 || p.refractory != 0 {
        singly::<{ CURRENT | REFRACTORY | REST | WIDE | ARRAYS }>(params, state, spikes_out)
    } else {
        singly::<ARRAYS>(params, state, spikes_out)
    }
}

#[inline(never)]
fn singly<const F: u32>(params: &Params<'_>, state: State<'_>, spikes_out: &mut [i32; BLOCK]) -> Outcome {
    let p = params.piece;
    let options = Options::of::<F>(p);
    let value = |v: &Value<'_>, j: usize| v.each.get(j).copied().unwrap_or(v.common);
    let part = |values: &[i32], flag: u32, j: usize| if F & flag != 0 { read(values, j) } else { 0 };
    let mut outcome = Outcome::default();
    // Halves of 32 bits: a mask of 64 would take several instructions a neuron.
    for half in 0..BLOCK / 32 {
        let first = half * 32;
        let (mut moved, mut fired) = (0u32, 0u32);
        let cells = state.v.iter_mut().zip(state.sum.iter_mut()).zip(spikes_out.iter_mut());
        for (j, ((v, x), spikes)) in cells.enumerate().skip(first).take(32) {
            let own = Own {
                threshold: value(&params.threshold, j),
                bias: value(&params.bias, j),
                leak: value(&params.decay, j),
                current_leak: if F & CURRENT != 0 { value(&params.current_decay, j) } else { 0 },
                reset_value: value(&params.reset_value, j),
            };
            let before = Cell {
                v: *v,
                current: part(state.current, CURRENT, j),
                refractory: part(state.refractory, REFRACTORY, j),
                adapt: part(state.adapt, REST, j),
            };
            let (after, (count, fires), out) = one::<F>(p, &options, before, *x, own);
            let bit = 1u32 << (j & 31);
            if (*x != 0) | fires | (before != after) {
                moved |= bit;
            }
            if count != 0 {
                fired |= bit;
            }
            outcome.saturated += u32::from(out);
            (*v, *x, *spikes) = (after.v, 0, count);
            if F & CURRENT != 0 {
                write(state.current, j, after.current);
            }
            if F & REFRACTORY != 0 {
                write(state.refractory, j, after.refractory);
            }
            if F & REST != 0 {
                write(state.adapt, j, after.adapt);
            }
        }
        outcome.moved |= u64::from(moved) << first;
        outcome.spikes |= u64::from(fired) << first;
    }
    outcome
}

#[inline(always)]
fn read(values: &[i32], j: usize) -> i32 {
    values.get(j).copied().unwrap_or(0)
}

#[inline(always)]
fn write(values: &mut [i32], j: usize, value: i32) {
    if let Some(v) = values.get_mut(j) {
        *v = value;
    }
}

#[inline(always)]
fn clamp_i32(x: i64) -> i32 {
    x.clamp(i64::from(i32::MIN + 1), i64::from(i32::MAX)) as i32
}

/// `x / 2^shift`, rounding toward zero.
#[inline(always)]
fn toward_zero(x: i64, shift: u32) -> i64 {
    let magnitude = (x.unsigned_abs() >> shift) as i64;
    if x < 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::draw::{Draws, Threefry};
    use crate::image::{Kind, NONE, Param};

    /// A piece of random options within what the loader lets pass.
    fn piece(mut draw: impl FnMut(u32) -> u32) -> Piece {
        let param = Param { value: 0, array: NONE };
        Piece {
            kind: Kind::Lif,
            core: 0,
            first: 0,
            count: 64,
            stage: 1,
            flags: draw(1 << 12) | (draw(2) * flag::BIAS_CURRENT) | (draw(8) << 20),
            groups: 1,
            payload_max: 1 + draw(65_535),
            delay_first: 0,
            delay_count: 0,
            delay_max: 0,
            population: 0,
            population_first: 0,
            reset: [
                Reset::None,
                Reset::Value,
                Reset::Subtract,
                Reset::ValueNext,
                Reset::SubtractNext,
                Reset::SubtractAgain,
            ][draw(6) as usize],
            order: [
                CurrentOrder::New,
                CurrentOrder::Old,
                CurrentOrder::JumpThenDecay,
                CurrentOrder::JumpDecayed,
            ][draw(4) as usize],
            input_shift: draw(5),
            refractory: draw(2) * draw(4),
            v_min: -(draw(1 << 20) as i32),
            floor: -(draw(1 << 18) as i32),
            floor_value: draw(1 << 18) as i32 - (1 << 17),
            v_max: draw(1 << 20) as i32,
            adapt_add: draw(1000) as i32,
            adapt_decay: draw(1 << 31),
            gain: draw(1 << 12) as i32,
            gain_shift: draw(12),
            grain: (draw(2) * draw(100)) as i32,
            threshold: param,
            bias: param,
            decay: param,
            current_decay: param,
            reset_value: param,
            initial: param,
        }
    }

    #[test]
    fn neuron_by_neuron_and_block_by_block_are_the_same() {
        let mut draws = Threefry::new(5);
        let mut index = 0;
        let mut draw = |bound: u32| {
            index += 1;
            ((u64::from(draws.draw(0, 0, index)) * u64::from(bound)) >> 32) as u32
        };
        for round in 0..2000 {
            let piece = piece(&mut draw);
            let n = 1 + draw(64) as usize;
            let mut values = |spread: u32| -> [i32; BLOCK] {
                core::array::from_fn(|_| draw(2 * spread) as i32 - spread as i32)
            };
            let (v, sum, current) = (values(1 << 18), values(1 << 12), values(1 << 12));
            let (thresholds, biases, resets) = (values(1 << 14), values(100), values(100));
            let small: [i32; BLOCK] = core::array::from_fn(|_| draw(3) as i32);
            let leaks: [i32; BLOCK] = core::array::from_fn(|_| draw((1 << 31) + 1) as i32);
            let value = |each: &'static [i32], common| Value { common, each };
            let each = |values: [i32; BLOCK]| -> &'static [i32] {
                if round % 2 == 0 { &[] } else { std::boxed::Box::leak(std::boxed::Box::new(values)) }
            };
            let params = Params {
                piece: &piece,
                // Whatever the loader would prove; the ranges above are far within 2^30.
                narrow: piece.flags & flag::CURRENT == 0,
                threshold: value(each(thresholds), thresholds[0]),
                bias: value(each(biases), biases[0]),
                decay: value(each(leaks), leaks[0]),
                current_decay: value(each(leaks), leaks[1]),
                reset_value: value(each(resets), resets[0]),
            };
            let run = |update: fn(&Params<'_>, State<'_>, &mut [i32; BLOCK]) -> Outcome| {
                let mut all = [sum, v, current, small, small];
                let keep = [true, true, piece.flags & flag::CURRENT != 0, piece.refractory != 0, true];
                let mut spikes = [0; BLOCK];
                let [sum, v, current, refractory, adapt] = &mut all;
                let state = State {
                    sum: &mut sum[..n],
                    v: &mut v[..n],
                    current: if keep[2] { &mut current[..n] } else { &mut [] },
                    refractory: if keep[3] { &mut refractory[..n] } else { &mut [] },
                    adapt: if piece.flags & flag::ADAPTIVE != 0 { &mut adapt[..n] } else { &mut [] },
                };
                let outcome = update(&params, state, &mut spikes);
                for (j, s) in spikes.iter_mut().enumerate() {
                    if outcome.spikes >> j & 1 == 0 {
                        *s = 0;
                    }
                }
                (outcome, all, spikes)
            };
            assert_eq!(run(update), run(update_singly), "round {round}: {piece:?}");
        }
    }
}
