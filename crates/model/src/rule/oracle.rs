//! The same rule in float64, without any rounding: what the integers are compared with.
//!
//! Traces, constants and weights are real numbers. Bounds, trace saturation, error bits and windows are part of the
//! rule and stay; quantised decays and mantissas, the rounding of traces and of changes are not, and go.

use super::{RuleSpec, TraceSpec};
use synop_core::plasticity::{Cadence, Centre, ErrorFactor, TraceMode, Variable};

/// What a rule reads of one target neuron, as real numbers (units: as in [`synop_core::plasticity::Post`]).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Post {
    /// Spikes of this tick, `y0`.
    pub spikes: f64,
    /// Traces `y1` and `y2`; [`Projection`] fills them in.
    pub traces: [f64; 2],
    /// State `u`.
    pub state: f64,
    /// Threshold.
    pub threshold: f64,
    /// Target `t`.
    pub target: f64,
    /// Sums of the four input groups.
    pub groups: [f64; 4],
}

impl TraceSpec {
    /// The value one tick later, before that tick's event.
    #[must_use]
    pub fn decayed(&self, value: f64) -> f64 {
        value * self.decay
    }

    /// The value after an event; a payload of 0 is no event.
    #[must_use]
    pub fn after_event(&self, value: f64, payload: f64) -> f64 {
        if payload == 0.0 {
            return value;
        }
        let step = f64::from(self.increment) * payload;
        let sum = if self.mode == TraceMode::Set { step } else { value + step };
        sum.clamp(-f64::from(self.max), f64::from(self.max))
    }
}

impl RuleSpec {
    /// The exact change of a weight, before bounds. `pre` is (`x0`, `x1`, `x2`), `third` is `r`.
    #[must_use]
    pub fn exact_change(&self, pre: [f64; 3], post: &Post, third: f64, weight: f64) -> f64 {
        let value = |variable| match variable {
            Variable::X0 => pre[0],
            Variable::X1 => pre[1],
            Variable::X2 => pre[2],
            Variable::Y0 => post.spikes,
            Variable::Y1 => post.traces[0],
            Variable::Y2 => post.traces[1],
            Variable::U => post.state,
            Variable::S => sign(post.state),
            Variable::T => post.target,
            Variable::G => {
                self.group.and_then(|group| post.groups.get(usize::from(group))).copied().unwrap_or(0.0)
            }
            Variable::H => f64::from(u8::from(self.in_window(post))),
            Variable::E => f64::from(u8::from(self.in_error(post))),
            Variable::R => third,
            Variable::W => weight,
            // Rules over several samples, which alone have it, are not run here.
            Variable::F => 0.0,
        };
        let mut sum = 0.0;
        for term in &self.terms {
            let mut product = term.coefficient;
            for variable in Variable::ALL {
                for _ in 0..term.exponents.of(variable) {
                    product *= value(variable);
                }
            }
            sum += product;
        }
        sum
    }

    fn in_error(&self, post: &Post) -> bool {
        let Some(error) = self.error else { return false };
        let groups = post.groups.iter().enumerate().filter(|(bit, _)| error.field.groups >> bit & 1 == 1);
        let field: f64 =
            groups.map(|(_, sum)| sum).sum::<f64>() + if error.field.state { post.state } else { 0.0 };
        let factor = match error.factor {
            ErrorFactor::One => 1.0,
            ErrorFactor::Sign => sign(post.state),
            ErrorFactor::Target => post.target,
        };
        factor * field <= f64::from(error.margin)
    }

    fn in_window(&self, post: &Post) -> bool {
        let Some(window) = self.window else { return false };
        let centre = match window.centre {
            Centre::Threshold => post.threshold,
            Centre::At(centre) => f64::from(centre),
        };
        (post.state - centre).abs() < f64::from(window.width)
    }
}

fn sign(state: f64) -> f64 {
    if state < 0.0 { -1.0 } else { 1.0 }
}

/// All synapses from a pre to a post population under one rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    spec: RuleSpec,
    width: usize,
    /// Weights, pre-major: the weight from pre i to post j stands at `i × width + j`.
    pub weights: Vec<f64>,
    /// Traces `x1` and `x2` per pre neuron.
    pub pre_traces: Vec<[f64; 2]>,
    /// Traces `y1` and `y2` per post neuron.
    pub post_traces: Vec<[f64; 2]>,
    ticks: u64,
}

impl Projection {
    /// A projection onto `width` post neurons with these weights (pre-major; their number is a multiple of `width`).
    #[must_use]
    pub fn new(spec: &RuleSpec, width: usize, weights: Vec<f64>) -> Self {
        let rows = weights.len().checked_div(width).unwrap_or(0);
        Self {
            spec: spec.clone(),
            width,
            weights,
            pre_traces: vec![[0.0; 2]; rows],
            post_traces: vec![[0.0; 2]; width],
            ticks: 0,
        }
    }

    /// One tick: traces decay, `events` (payload per pre neuron, 0 for none) and the spikes of `posts` are added to
    /// their traces, and the rule is applied if its cadence says so.
    pub fn tick(&mut self, events: &[f64], posts: &[Post], third: f64) {
        let [x1, x2, y1, y2] = self.spec.traces;
        for (traces, &event) in self.pre_traces.iter_mut().zip(events) {
            advance(traces, [x1, x2], event);
        }
        for (traces, post) in self.post_traces.iter_mut().zip(posts) {
            for (value, spec) in traces.iter_mut().zip([y1, y2]) {
                let Some(spec) = spec else { continue };
                let windowed = spec.mode == TraceMode::Window;
                let event =
                    if windowed { f64::from(u8::from(self.spec.in_window(post))) } else { post.spikes };
                *value = spec.after_event(spec.decayed(*value), event);
            }
        }
        let due = self.spec.cadence.due(self.ticks);
        self.ticks += 1;
        if due {
            self.apply(events, posts, third);
        }
    }

    /// The end of a sample: applies a rule of cadence [`Cadence::Sample`]; `events` and `posts` are those of the
    /// last tick. Other rules do nothing here.
    pub fn end_of_sample(&mut self, events: &[f64], posts: &[Post], third: f64) {
        if self.spec.cadence == Cadence::Sample {
            self.apply(events, posts, third);
        }
    }

    /// Sets all traces to zero, as at the start of a sample.
    pub fn reset_traces(&mut self) {
        self.pre_traces.fill([0.0; 2]);
        self.post_traces.fill([0.0; 2]);
    }

    fn apply(&mut self, events: &[f64], posts: &[Post], third: f64) {
        if self.width == 0 {
            return;
        }
        let (low, high) = (f64::from(self.spec.bounds.0), f64::from(self.spec.bounds.1));
        let rows = self.weights.chunks_exact_mut(self.width).zip(&self.pre_traces).zip(events);
        for ((row, &[x1, x2]), &x0) in rows {
            for ((weight, post), &traces) in row.iter_mut().zip(posts).zip(&self.post_traces) {
                let post = Post { traces, ..*post };
                let change = self.spec.exact_change([x0, x1, x2], &post, third, *weight);
                if change != 0.0 {
                    *weight = (*weight + change).clamp(low, high);
                }
            }
        }
    }
}

fn advance(traces: &mut [f64; 2], specs: [Option<TraceSpec>; 2], event: f64) {
    for (value, spec) in traces.iter_mut().zip(specs) {
        if let Some(spec) = spec {
            *value = spec.after_event(spec.decayed(*value), event);
        }
    }
}
