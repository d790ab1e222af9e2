//! The leaky-integrate-and-fire family: one update, all options.
//!
//! State is an integer in units of the population. In a tick, for a neuron with input sum `x` (all groups
//! that count), in this order:
//!
//! ```text
//! x      = sum << input_shift
//! reset  of the last tick's spike, where it is due at the start      (ValueNext)
//! i      = the synaptic current, in the order that the piece names   (only with a current)
//! v      = decay(v) + bias + x  (or the gain of i)  [− threshold, SubtractNext]
//! v      = clamped to [v_min, v_max]; leaving the range is counted unless it is the lower clamp's job
//! spike  = v > threshold (or ≥); with multi-spike n = v / threshold, at most the piece's payload bound
//! reset  now (Value, Subtract), refractory count, growth of an adaptive threshold
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

/// The state of a block of at most [`BLOCK`] neurons; optional parts are empty.
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
const REST: u32 = 4; // adaptive, multi-spike, stateless, leak last, leak in silence, grain
const WIDE: u32 = 8;
const ARRAYS: u32 = 16;

/// Updates a block; `spikes_out[j]` is the number of spikes of neuron j (read where its bit is set).
#[inline(always)]
pub fn update(params: &Params<'_>, state: State<'_>, spikes_out: &mut [i32; BLOCK]) -> Outcome {
    let p = params.piece;
    let arrays = !(params.threshold.each.is_empty()
        && params.bias.each.is_empty()
        && params.decay.each.is_empty()
        && params.current_decay.each.is_empty()
        && params.reset_value.each.is_empty());
    let options = flag::ADAPTIVE | flag::MULTI_SPIKE | flag::STATELESS | flag::LEAK_LAST | flag::LEAK_RESTING;
    let rest = p.flags & options != 0 || p.grain > 1;
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
    let equal = p.flags & flag::GREATER_EQUAL != 0;
    let silent = p.flags & flag::SILENT != 0;
    let clamp = p.flags & flag::CLAMP != 0;
    let has_current = F & CURRENT != 0 && p.flags & flag::CURRENT != 0;
    for j in 0..BLOCK {
        // The arrays have BLOCK elements, so these reads cannot fail and cost nothing.
        let (Some(vj), Some(xj), Some(cj), Some(rj), Some(aj)) =
            (v.get_mut(j), x.get(j), current.get_mut(j), refractory.get_mut(j), adapt.get_mut(j))
        else {
            continue;
        };
        let (Some(&th), Some(&b), Some(&d), Some(&cd), Some(&rv)) =
            (threshold.get(j), bias.get(j), leak.get(j), current_leak.get(j), reset_value.get(j))
        else {
            continue;
        };
        let before = (*vj, *cj, *rj, *aj);
        let th = if F & REST != 0 { th.saturating_add(*aj) } else { th };
        let above = |v: i32| !silent & ((v > th) | (equal & (v == th)));
        let mut vv = *vj;
        if p.reset == Reset::ValueNext && above(vv) {
            vv = rv;
        }
        let late = if p.reset == Reset::SubtractNext && above(vv) { th } else { 0 };
        // Input, through the current where there is one.
        let drive: i64 = if F & WIDE != 0 {
            i64::from(*xj) << p.input_shift
        } else {
            i64::from(xj.wrapping_shl(p.input_shift))
        };
        let into_v: i64 = if has_current {
            let old = *cj;
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
            *cj = new;
            if p.gain == 1 && p.gain_shift == 0 {
                i64::from(seen)
            } else {
                toward_zero(i64::from(seen) * i64::from(p.gain), p.gain_shift)
            }
        } else {
            drive
        };
        let kept = if F & REST != 0 && p.flags & flag::STATELESS != 0 {
            0
        } else if F & REST != 0 && p.flags & flag::LEAK_LAST != 0 {
            vv
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
        let resting = F & REFRACTORY != 0 && *rj > 0;
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
                Reset::None | Reset::ValueNext | Reset::SubtractNext => {}
            }
        }
        if F & REST != 0 {
            if p.flags & flag::LEAK_LAST != 0 {
                after = decay(after, d as u32);
            }
            if p.flags & flag::ADAPTIVE != 0 {
                *aj = decay(*aj, p.adapt_decay);
                if fires {
                    *aj = aj.saturating_add(p.adapt_add);
                }
            }
        }
        if F & REFRACTORY != 0 {
            *rj = if fires { p.refractory as i32 } else { (*rj - 1).max(0) };
        }
        *vj = after;
        if let (Some(m), Some(s), Some(o)) = (moved.get_mut(j), saturated.get_mut(j), spikes_out.get_mut(j)) {
            *m = u8::from((*xj != 0) | fires | (before != (*vj, *cj, *rj, *aj)));
            *s = u8::from(out & !resting);
            *o = count;
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
