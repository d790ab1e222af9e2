//! What a programmed conductance becomes: programming error, drift, 1/f read noise.
//!
//! Conductances in µS. PCM: Nandakumar et al. 2019 and Joshi et al. 2020; the polynomial forms of other devices
//! are read in aihwkit and CrossSim.

use serde::{Deserialize, Serialize};

/// Standard deviation of the conductance error after programming.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgrammingNoise {
    /// Coefficients, lowest power first; the result is in µS.
    pub coefficients: Vec<f64>,
    /// Whether the polynomial is in g/g_max (true) or in g in µS (false).
    pub normalised: bool,
    /// The g_max in µS at which normalised coefficients were fitted; the result scales with g_max over it.
    #[serde(default = "pcm_g_max")]
    pub reference_us: f64,
}

fn pcm_g_max() -> f64 {
    25.0
}

impl ProgrammingNoise {
    /// Standard deviation in µS at conductance `g_us` of a device with `g_max_us`; never negative.
    pub fn deviation_us(&self, g_us: f64, g_max_us: f64) -> f64 {
        let x = if self.normalised { g_us / g_max_us } else { g_us };
        let value = self.coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c);
        let scale = if self.normalised { g_max_us / self.reference_us } else { 1.0 };
        (value * scale).max(0.0)
    }
}

/// Power-law drift: g(t) = g₀ ((t + t₀)/t₀)^−ν with ν = |μ(x) + σ(x) ξ|, x = g/g_max.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// t₀, s.
    pub start_s: f64,
    /// Mean of ν.
    pub mean: LogLine,
    /// Deviation of ν.
    pub deviation: LogLine,
}

/// clip(slope · ln x + offset, low, high).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogLine {
    /// Factor of the logarithm.
    pub slope: f64,
    /// Offset.
    pub offset: f64,
    /// Lower clip.
    pub low: f64,
    /// Upper clip.
    pub high: f64,
}

impl LogLine {
    /// The value at `x`; at x ≤ 0 the clip that a falling line reaches.
    pub fn at(&self, x: f64) -> f64 {
        let x = x.max(f64::MIN_POSITIVE);
        let value = if self.slope == 0.0 { self.offset } else { self.slope * x.ln() + self.offset };
        value.max(self.low).min(self.high)
    }
}

impl Drift {
    /// The drift of PCM (Nandakumar 2019, as aihwkit has it).
    pub fn pcm() -> Self {
        Self {
            start_s: 20.0,
            mean: LogLine { slope: -0.0155, offset: 0.0244, low: 0.049, high: 0.1 },
            deviation: LogLine { slope: -0.0125, offset: -0.0059, low: 0.008, high: 0.045 },
        }
    }

    /// Factor by which a conductance with exponent `nu` has fallen `elapsed_s` after its programming.
    pub fn factor(&self, elapsed_s: f64, nu: f64) -> f64 {
        ((elapsed_s + self.start_s) / self.start_s).powf(-nu)
    }
}

/// 1/f read noise of PCM: relative deviation Q sqrt(ln((t + t₀ + t_read)/(2 t_read))), Q = min(scale/x^power, limit).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadNoise {
    /// Scale of Q.
    pub scale: f64,
    /// Power of x.
    pub power: f64,
    /// Largest Q.
    pub limit: f64,
    /// Duration of a read, s.
    pub read_s: f64,
}

impl ReadNoise {
    /// The read noise of PCM (Nandakumar 2019, as aihwkit has it).
    pub fn pcm() -> Self {
        Self { scale: 0.0088, power: 0.65, limit: 0.2, read_s: 250e-9 }
    }

    /// Q at x = g/g_max.
    pub fn strength(&self, x: f64) -> f64 {
        (self.scale / x.max(f64::MIN_POSITIVE).powf(self.power)).min(self.limit)
    }

    /// Relative deviation of a read at time `t_s` since programming, t₀ included.
    pub fn deviation(&self, x: f64, t_s: f64) -> f64 {
        self.strength(x) * ((t_s + self.read_s) / (2.0 * self.read_s)).ln().max(0.0).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programming_error_scales_with_the_devices_range() {
        let noise = ProgrammingNoise {
            coefficients: vec![0.26348, 1.965, -1.1731],
            normalised: true,
            reference_us: 25.0,
        };
        assert!((noise.deviation_us(5.0, 25.0) - 0.609556).abs() < 1e-9);
        assert!((noise.deviation_us(10.0, 50.0) - 2.0 * 0.609556).abs() < 1e-9);
    }

    #[test]
    fn nothing_has_drifted_at_the_time_of_programming() {
        assert_eq!(Drift::pcm().factor(0.0, 0.1), 1.0);
    }
}
