//! Laws of one pulse: how far it moves a weight, up or down, without noise.
//!
//! Weights are dimensionless, between `w_min` and `w_max`; conductance is linear in the weight. The laws and
//! the meaning of their parameters are those of aihwkit's pulsed devices (read in its source), NeuroSim's
//! potentiation and depression, and physical models integrated over one fixed pulse.

use crate::potentiation::Potentiation;
use crate::switching::Switching;
use serde::{Deserialize, Serialize};

/// A law of steps: range, granularity and shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    /// Mean step of an up pulse, in weights; ignored by laws that carry their own scale.
    #[serde(default)]
    pub dw_min: f64,
    /// Asymmetry u: u > 0 shrinks down steps by 1 − u, u < 0 shrinks up steps by 1 + u.
    #[serde(default)]
    pub up_down: f64,
    /// Lowest weight.
    pub w_min: f64,
    /// Highest weight.
    pub w_max: f64,
    /// The shape.
    pub law: Law,
}

/// How a step depends on the weight that it starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Law {
    /// The same step everywhere.
    Constant {},
    /// Δ(1 − γ w/bound), with the bound ahead.
    Linear {
        /// γ of up pulses.
        gamma_up: f64,
        /// γ of down pulses.
        gamma_down: f64,
    },
    /// Linear with γ = 1: the step vanishes at the bound ahead.
    SoftBounds {},
    /// Soft bounds, read against a reference device that is never pulsed.
    SoftBoundsReference {
        /// Whether the reference stands at the device's own symmetry point.
        at_symmetry_point: bool,
        /// Spread of the reference, in weights.
        reference_sd: f64,
    },
    /// Soft bounds given by a number of pulses `p_max` across the range and the saturation α per pulse, resolved
    /// as aihwkit does (whose asymmetry shrinks down steps only, so that fewer up pulses cross the range).
    SoftBoundsPmax {
        /// Nominal pulses across the range.
        p_max: f64,
        /// Saturation per pulse.
        alpha: f64,
    },
    /// Δ max(1 − A e^{±γ z}, 0) with z = 2 a w/(w_max − w_min) + b.
    Exponential {
        /// A of up pulses.
        a_up: f64,
        /// A of down pulses.
        a_down: f64,
        /// γ of up pulses.
        gamma_up: f64,
        /// γ of down pulses.
        gamma_down: f64,
        /// Slope a.
        a: f64,
        /// Offset b.
        b: f64,
    },
    /// Δ times a power of the distance to the bound ahead over the range.
    Power {
        /// The exponent.
        gamma: f64,
    },
    /// Δ times a measured curve at equally spaced weights.
    Piecewise {
        /// Factors of up pulses, from `w_min` to `w_max`.
        up: Vec<f64>,
        /// Factors of down pulses, from `w_min` to `w_max`.
        down: Vec<f64>,
    },
    /// NeuroSim's curves of a number of identical pulses.
    PotentiationDepression(Potentiation),
    /// A physical model, integrated over one pulse of fixed shape.
    Physical {
        /// Its parameters.
        switching: Switching,
    },
}

impl Law {
    /// The name in device files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Constant {} => "constant",
            Self::Linear { .. } => "linear",
            Self::SoftBounds {} => "soft-bounds",
            Self::SoftBoundsReference { .. } => "soft-bounds-reference",
            Self::SoftBoundsPmax { .. } => "soft-bounds-pmax",
            Self::Exponential { .. } => "exponential",
            Self::Power { .. } => "power",
            Self::Piecewise { .. } => "piecewise",
            Self::PotentiationDepression(_) => "potentiation-depression",
            Self::Physical { switching } => switching.name(),
        }
    }
}

impl Steps {
    /// The same law with `soft-bounds-pmax` written out as soft bounds: range r, B = (r_max − r_min)/(1 − e^{−α p_max}),
    /// `w_max` = r_min + B, `dw_min` = B α, `up_down` = 1 + 2 r_min/B.
    pub fn resolved(&self) -> Self {
        let Law::SoftBoundsPmax { p_max, alpha } = self.law else { return self.clone() };
        let reach = (self.w_max - self.w_min) / (1.0 - (-alpha * p_max).exp());
        Self {
            dw_min: reach * alpha,
            up_down: 1.0 + 2.0 * self.w_min / reach,
            w_min: self.w_min,
            w_max: self.w_min + reach,
            law: Law::SoftBounds {},
        }
    }

    /// Mean granularity of up and of down pulses: `dw_min` after the asymmetry.
    pub fn granularity(&self) -> (f64, f64) {
        let up = (1.0 + self.up_down.min(0.0)).abs() * self.dw_min;
        let down = (1.0 - self.up_down.max(0.0)).abs() * self.dw_min;
        (up, down)
    }

    /// Size of an up step from weight `w`, before clipping.
    pub fn up(&self, w: f64) -> f64 {
        let (delta, _) = self.granularity();
        let span = self.w_max - self.w_min;
        match &self.law {
            Law::Constant {} => delta,
            Law::Linear { gamma_up, .. } => delta * (1.0 - gamma_up * w / self.w_max),
            Law::SoftBounds {} | Law::SoftBoundsReference { .. } => delta * (1.0 - w / self.w_max),
            Law::SoftBoundsPmax { .. } => self.resolved().up(w),
            Law::Exponential { a_up, gamma_up, a, b, .. } => {
                delta * (1.0 - a_up * (gamma_up * (2.0 * a * w / span + b)).exp()).max(0.0)
            }
            Law::Power { gamma } => delta * ((self.w_max - w) / span).max(0.0).powf(*gamma),
            Law::Piecewise { up, .. } => delta * interpolate(up, (w - self.w_min) / span),
            Law::PotentiationDepression(curve) => span * curve.up((w - self.w_min) / span),
            Law::Physical { switching } => span * switching.up((w - self.w_min) / span),
        }
    }

    /// Size of a down step from weight `w`, before clipping; positive when the weight falls.
    pub fn down(&self, w: f64) -> f64 {
        let (_, delta) = self.granularity();
        let span = self.w_max - self.w_min;
        match &self.law {
            Law::Constant {} => delta,
            Law::Linear { gamma_down, .. } => delta * (1.0 - gamma_down * ratio(w, self.w_min)),
            Law::SoftBounds {} | Law::SoftBoundsReference { .. } => delta * (1.0 - ratio(w, self.w_min)),
            Law::SoftBoundsPmax { .. } => self.resolved().down(w),
            Law::Exponential { a_down, gamma_down, a, b, .. } => {
                delta * (1.0 - a_down * (-gamma_down * (2.0 * a * w / span + b)).exp()).max(0.0)
            }
            Law::Power { gamma } => delta * ((w - self.w_min) / span).max(0.0).powf(*gamma),
            Law::Piecewise { down, .. } => delta * interpolate(down, (w - self.w_min) / span),
            Law::PotentiationDepression(curve) => span * curve.down((w - self.w_min) / span),
            Law::Physical { switching } => span * switching.down((w - self.w_min) / span),
        }
    }

    /// Weights after each of `up` up pulses and `down` down pulses from `start`, which comes first.
    pub fn trajectory(&self, start: f64, up: usize, down: usize) -> Vec<f64> {
        let law = self.resolved();
        let mut w = start;
        let mut weights = vec![w];
        for pulse in 0..up + down {
            let moved = if pulse < up { w + law.up(w) } else { w - law.down(w) };
            w = moved.max(law.w_min).min(law.w_max);
            weights.push(w);
        }
        weights
    }
}

/// w / bound, with a bound of zero (a one-sided device) taken as out of reach.
fn ratio(w: f64, bound: f64) -> f64 {
    if bound == 0.0 { 0.0 } else { w / bound }
}

/// Linear interpolation of `nodes`, equally spaced over 0..=1.
fn interpolate(nodes: &[f64], x: f64) -> f64 {
    let last = nodes.len().saturating_sub(1);
    let place = (x * last as f64).clamp(0.0, last as f64);
    let node = (place as usize).min(last.saturating_sub(1));
    match (nodes.get(node), nodes.get(node + 1)) {
        (Some(low), Some(high)) => low + (high - low) * (place - node as f64),
        (Some(only), None) => *only,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn law(law: Law) -> Steps {
        Steps { dw_min: 0.02, up_down: 0.0, w_min: -1.0, w_max: 1.0, law }
    }

    #[test]
    fn soft_bounds_approach_their_bound_geometrically() {
        let w = law(Law::SoftBounds {}).trajectory(0.0, 50, 0);
        for (n, w) in w.iter().enumerate() {
            assert!((w - (1.0 - 0.98f64.powi(n as i32))).abs() < 1e-14);
        }
    }

    #[test]
    fn soft_bounds_of_p_max_saturate_beyond_the_range() {
        let law = Law::SoftBoundsPmax { p_max: 1000.0, alpha: 5e-4 };
        let steps = Steps { dw_min: 0.0, up_down: 0.0, w_min: -1.0, w_max: 1.0, law };
        // (w_max − w) falls by 1 − Bα/w_max per pulse, so the range is crossed after ln(5.083/3.083)/6.22e-4 pulses.
        let weights = steps.trajectory(-1.0, 1000, 0);
        assert!(weights[802] < 1.0 && weights[805] > 1.0, "{} {}", weights[802], weights[805]);
    }

    #[test]
    fn the_asymmetry_shrinks_one_direction_only() {
        let mut steps = law(Law::Constant {});
        steps.up_down = 0.25;
        assert_eq!(steps.granularity(), (0.02, 0.015));
        steps.up_down = -0.25;
        assert_eq!(steps.granularity(), (0.015, 0.02));
    }
}
