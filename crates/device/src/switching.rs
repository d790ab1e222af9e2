//! Physical switching models, integrated over one pulse: VTEAM and the filament-gap model of RRAM.
//!
//! The weight is the normalised conductance at the read voltage, 0..=1.

use serde::{Deserialize, Serialize};

/// Boltzmann's constant over the elementary charge, V/K.
const THERMAL_V_PER_K: f64 = 8.617_333_262e-5;

/// A voltage pulse, and the step of its integration.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pulse {
    /// Amplitude, V.
    pub voltage_v: f64,
    /// Duration, s.
    pub width_s: f64,
}

/// A physical model with the pulses that write it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Switching {
    /// Voltage-threshold adaptive memristor (Kvatinsky 2015), explicit Euler.
    Vteam {
        /// The model.
        vteam: Vteam,
        /// Pulse that raises the conductance.
        set: Pulse,
        /// Pulse that lowers it.
        reset: Pulse,
    },
    /// Filament gap (Chen and Yu 2015).
    Gap {
        /// The model.
        gap: Gap,
        /// Pulse that raises the conductance.
        set: Pulse,
        /// Pulse that lowers it.
        reset: Pulse,
    },
}

impl Switching {
    /// The name in device files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Vteam { .. } => "vteam",
            Self::Gap { .. } => "gap",
        }
    }

    /// Rise of the normalised conductance by one SET pulse from `g`.
    pub fn up(&self, g: f64) -> f64 {
        let (Self::Vteam { set, .. } | Self::Gap { set, .. }) = self;
        self.after(g, set) - g
    }

    /// Fall of the normalised conductance by one RESET pulse from `g`.
    pub fn down(&self, g: f64) -> f64 {
        let (Self::Vteam { reset, .. } | Self::Gap { reset, .. }) = self;
        g - self.after(g, reset)
    }

    fn after(&self, g: f64, pulse: &Pulse) -> f64 {
        match self {
            Self::Vteam { vteam, .. } => {
                let (low, high) = (1.0 / vteam.r_off_ohm, 1.0 / vteam.r_on_ohm);
                let ohm = 1.0 / (low + g * (high - low));
                let place = (ohm - vteam.r_on_ohm) / (vteam.r_off_ohm - vteam.r_on_ohm) * vteam.length_m;
                let steps = (pulse.width_s / vteam.dt_s).round().max(1.0) as usize;
                let siemens = 1.0 / vteam.resistance(vteam.pulse(place, pulse.voltage_v, steps));
                (siemens - low) / (high - low)
            }
            Self::Gap { gap, .. } => {
                let (low, high) = (gap.conductance(gap.gap_max_m), gap.conductance(gap.gap_min_m));
                let width = gap.gap_of(low + g * (high - low));
                (gap.conductance(gap.pulse(width, pulse)) - low) / (high - low)
            }
        }
    }
}

/// Parameters of VTEAM with a linear resistance: R = R_off x/D + R_on (1 − x/D).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vteam {
    /// Lowest resistance, Ω.
    pub r_on_ohm: f64,
    /// Highest resistance, Ω.
    pub r_off_ohm: f64,
    /// Length D of the state, m.
    pub length_m: f64,
    /// Speed above the negative threshold, m/s.
    pub k_on_m_per_s: f64,
    /// Speed above the positive threshold, m/s.
    pub k_off_m_per_s: f64,
    /// Exponent of the negative branch.
    pub alpha_on: f64,
    /// Exponent of the positive branch.
    pub alpha_off: f64,
    /// Negative threshold, V.
    pub v_on: f64,
    /// Positive threshold, V.
    pub v_off: f64,
    /// Euler step, s.
    pub dt_s: f64,
}

impl Vteam {
    /// dx/dt at `voltage`, m/s: 0 between the thresholds.
    pub fn speed(&self, voltage: f64) -> f64 {
        if voltage >= self.v_off {
            self.k_off_m_per_s * (voltage / self.v_off - 1.0).powf(self.alpha_off)
        } else if voltage <= self.v_on {
            self.k_on_m_per_s * (voltage / self.v_on - 1.0).powf(self.alpha_on)
        } else {
            0.0
        }
    }

    /// The state after `steps` Euler steps at `voltage` from `x` (m), clipped to 0..=D after each.
    pub fn pulse(&self, x: f64, voltage: f64, steps: usize) -> f64 {
        let change = self.speed(voltage) * self.dt_s;
        (0..steps).fold(x, |x, _| (x + change).clamp(0.0, self.length_m))
    }

    /// Resistance at state `x` (m), Ω.
    pub fn resistance(&self, x: f64) -> f64 {
        let share = x / self.length_m;
        self.r_off_ohm * share + self.r_on_ohm * (1.0 - share)
    }
}

/// Parameters of the gap model: I = I₀ e^{−gap/g₀} sinh(V/V₀), d gap/dt = −v₀ e^{−E_a/kT} sinh(γ a₀ V/(L kT)),
/// γ = γ₀ − β (gap/1 nm)³, at constant temperature.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// I₀, A.
    pub current_a: f64,
    /// g₀, m.
    pub decay_m: f64,
    /// V₀, V.
    pub voltage_v: f64,
    /// Smallest gap, m.
    pub gap_min_m: f64,
    /// Largest gap, m.
    pub gap_max_m: f64,
    /// γ₀.
    pub gamma: f64,
    /// β.
    pub gamma_slope: f64,
    /// v₀, m/s.
    pub velocity_m_per_s: f64,
    /// E_a, eV.
    pub activation_ev: f64,
    /// Atomic spacing a₀, m.
    pub spacing_m: f64,
    /// Oxide thickness L, m.
    pub thickness_m: f64,
    /// Temperature of the filament, K.
    pub temperature_k: f64,
    /// Read voltage at which the conductance is meant, V.
    pub read_v: f64,
}

impl Gap {
    /// Conductance at the read voltage of a gap (m), S.
    pub fn conductance(&self, gap: f64) -> f64 {
        self.current_a * (-gap / self.decay_m).exp() * (self.read_v / self.voltage_v).sinh() / self.read_v
    }

    /// The gap (m) of a conductance (S), within its bounds.
    pub fn gap_of(&self, siemens: f64) -> f64 {
        let full = self.current_a * (self.read_v / self.voltage_v).sinh() / self.read_v;
        (-(siemens / full).ln() * self.decay_m).clamp(self.gap_min_m, self.gap_max_m)
    }

    /// d gap/dt, m/s.
    pub fn speed(&self, gap: f64, voltage: f64) -> f64 {
        let thermal = THERMAL_V_PER_K * self.temperature_k;
        let gamma = self.gamma - self.gamma_slope * (gap * 1e9).powi(3);
        -self.velocity_m_per_s
            * (-self.activation_ev / thermal).exp()
            * (gamma * self.spacing_m / self.thickness_m * voltage / thermal).sinh()
    }

    /// The gap after a pulse: classical Runge–Kutta, 256 steps, clipped.
    pub fn pulse(&self, gap: f64, pulse: &Pulse) -> f64 {
        let steps = 256;
        let dt = pulse.width_s / f64::from(steps);
        let bound = |g: f64| g.clamp(self.gap_min_m, self.gap_max_m);
        (0..steps).fold(gap, |g, _| {
            let slope = |g: f64| self.speed(bound(g), pulse.voltage_v);
            let k1 = slope(g);
            let k2 = slope(g + 0.5 * dt * k1);
            let k3 = slope(g + 0.5 * dt * k2);
            let k4 = slope(g + dt * k3);
            bound(g + dt / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vteam_rests_between_its_thresholds_and_clips_at_its_ends() {
        let vteam = Vteam {
            r_on_ohm: 50.0,
            r_off_ohm: 1000.0,
            length_m: 3e-9,
            k_on_m_per_s: -10.0,
            k_off_m_per_s: 5e-4,
            alpha_on: 3.0,
            alpha_off: 1.0,
            v_on: -0.2,
            v_off: 0.02,
            dt_s: 1e-10,
        };
        assert_eq!(vteam.pulse(1e-9, 0.01, 1000), 1e-9);
        assert_eq!(vteam.pulse(1e-9, -2.0, 1000), 0.0);
        assert_eq!(vteam.resistance(vteam.pulse(1e-9, 2.0, 1_000_000)), 1000.0);
    }
}
