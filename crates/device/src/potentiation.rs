//! Potentiation and depression curves of identical pulses, as NeuroSim parameterises them.
//!
//! G(p) = B (1 − e^{−p/A}) + G_min with B = (G_max − G_min)/(1 − e^{−P/A}); a pulse moves p by one from
//! the inverse at the present conductance. The nonlinearity label NL stands for the normalised A/P by the largest
//! distance of the curve from the diagonal: max_x [(1 − e^{−x/A})/(1 − e^{−1/A}) − x] = NL/10.10152.

use serde::{Deserialize, Serialize};

/// Scale between a nonlinearity label and the distance of its curve from the diagonal.
pub const LABEL_SCALE: f64 = 10.10152;

/// Curves over the normalised conductance 0..=1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Potentiation {
    /// Pulses from the lowest to the highest conductance.
    pub levels_up: f64,
    /// Pulses from the highest to the lowest conductance.
    pub levels_down: f64,
    /// Nonlinearity label of potentiation.
    pub nonlinearity_up: f64,
    /// Nonlinearity label of depression; usually negative.
    pub nonlinearity_down: f64,
}

impl Potentiation {
    /// Rise of the normalised conductance by one potentiating pulse from `g`.
    pub fn up(&self, g: f64) -> f64 {
        let a = constant(self.nonlinearity_up) * self.levels_up;
        moved(g, a, self.levels_up, 1.0) - g
    }

    /// Fall of the normalised conductance by one depressing pulse from `g`.
    pub fn down(&self, g: f64) -> f64 {
        let a = constant(self.nonlinearity_down) * self.levels_down;
        g - moved(g, a, self.levels_down, -1.0)
    }
}

/// Normalised conductance after `pulses` from `g` on the curve with constant `a` and `levels` pulses end to end,
/// clipped to 0..=1.
fn moved(g: f64, a: f64, levels: f64, pulses: f64) -> f64 {
    if !a.is_finite() {
        return (g + pulses / levels).clamp(0.0, 1.0);
    }
    let reach = -(-levels / a).exp_m1();
    // e^{−p/A} at g, times e^{−pulses/A}.
    let rest = (1.0 - g * reach) * (-pulses / a).exp();
    ((1.0 - rest) / reach).clamp(0.0, 1.0)
}

/// The normalised constant A/P of a nonlinearity label; infinite for label 0 (a straight line).
/// The sign follows the label. Labels beyond ±10.1 have no curve and give the steepest one.
pub fn constant(label: f64) -> f64 {
    let distance = label.abs() / LABEL_SCALE;
    if distance < 1e-9 {
        return f64::INFINITY;
    }
    // The distance falls with A: bisect its logarithm.
    let (mut low, mut high) = ((1e-4f64).ln(), (1e7f64).ln());
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if bulge(middle.exp()) > distance { low = middle } else { high = middle }
    }
    (0.5 * (low + high)).exp().copysign(label)
}

/// Largest distance of the normalised curve with constant `a` from the diagonal.
fn bulge(a: f64) -> f64 {
    let reach = -(-1.0 / a).exp_m1();
    let x = -a * (a * reach).ln();
    -(-x / a).exp_m1() / reach - x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_levels_cross_the_range() {
        let curve = Potentiation {
            levels_up: 31.0,
            levels_down: 50.0,
            nonlinearity_up: 2.4,
            nonlinearity_down: -4.88,
        };
        let mut g = 0.0;
        for _ in 0..31 {
            g += curve.up(g);
        }
        assert!((g - 1.0).abs() < 1e-12);
        for _ in 0..50 {
            g -= curve.down(g);
        }
        assert!(g.abs() < 1e-12);
    }

    #[test]
    fn label_zero_is_a_straight_line() {
        let curve =
            Potentiation { levels_up: 4.0, levels_down: 5.0, nonlinearity_up: 0.0, nonlinearity_down: 0.0 };
        assert_eq!(curve.up(0.25), 0.25);
        assert!((curve.down(0.9) - 0.2).abs() < 1e-15);
    }
}
