//! A value with its bounds, unit, source and kind.

use serde::{Deserialize, Serialize};
use std::ops::{Add, AddAssign, Mul};

/// A number with its bounds, `low ≤ nominal ≤ high`. Bounds are added like extremes, not like deviations.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Interval {
    /// Lower bound.
    pub low: f64,
    /// The value itself.
    pub nominal: f64,
    /// Upper bound.
    pub high: f64,
}

impl Interval {
    /// Nothing.
    pub const ZERO: Interval = Interval { low: 0.0, nominal: 0.0, high: 0.0 };

    /// A value without spread.
    pub fn exact(value: f64) -> Interval {
        Interval { low: value, nominal: value, high: value }
    }
}

impl Add for Interval {
    type Output = Interval;
    fn add(self, o: Interval) -> Interval {
        Interval { low: self.low + o.low, nominal: self.nominal + o.nominal, high: self.high + o.high }
    }
}

impl AddAssign for Interval {
    fn add_assign(&mut self, o: Interval) {
        *self = *self + o;
    }
}

impl Mul<f64> for Interval {
    type Output = Interval;
    /// Scales by a factor that is not negative.
    fn mul(self, k: f64) -> Interval {
        Interval { low: self.low * k, nominal: self.nominal * k, high: self.high * k }
    }
}

impl std::iter::Sum for Interval {
    fn sum<I: Iterator<Item = Interval>>(iter: I) -> Interval {
        iter.fold(Interval::ZERO, Add::add)
    }
}

/// How a price came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Measured on silicon.
    Measured,
    /// From a circuit or pre-silicon simulation.
    Simulated,
    /// Adjusted until a model met measurements.
    Fitted,
    /// Stated by the maker without a method.
    Vendor,
    /// Chosen by us; the source says why.
    Assumed,
}

impl Kind {
    /// The word used in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Measured => "measured",
            Kind::Simulated => "simulated",
            Kind::Fitted => "fitted",
            Kind::Vendor => "vendor",
            Kind::Assumed => "assumed",
        }
    }
}

/// What a price is a quantity of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Joules.
    Energy,
    /// Seconds.
    Time,
    /// Watts.
    Power,
    /// A factor on an energy that the image states itself.
    Factor,
}

impl Quantity {
    /// Units a file may use, with the factor to SI.
    fn units(self) -> &'static [(&'static str, f64)] {
        match self {
            Quantity::Energy => {
                &[("aJ", 1e-18), ("fJ", 1e-15), ("pJ", 1e-12), ("nJ", 1e-9), ("uJ", 1e-6), ("J", 1.0)]
            }
            Quantity::Time => &[("ps", 1e-12), ("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0)],
            Quantity::Power => {
                &[("fW", 1e-15), ("pW", 1e-12), ("nW", 1e-9), ("uW", 1e-6), ("mW", 1e-3), ("W", 1.0)]
            }
            Quantity::Factor => &[("x", 1.0)],
        }
    }

    /// The factor from `unit` to SI, if the unit belongs to this quantity.
    pub fn factor(self, unit: &str) -> Option<f64> {
        self.units().iter().find(|(u, _)| *u == unit).map(|(_, f)| *f)
    }

    /// The units as a text for an error.
    pub fn unit_list(self) -> String {
        let names: Vec<&str> = self.units().iter().map(|(u, _)| *u).collect();
        names.join(", ")
    }
}

/// One price, latency or power as a chip file states it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// The nominal value, in `unit`.
    pub value: f64,
    /// Lower bound, in `unit`.
    pub low: f64,
    /// Upper bound, in `unit`.
    pub high: f64,
    /// `pJ`, `ns`, `mW`…
    pub unit: String,
    /// How it is known.
    pub kind: Kind,
    /// Where it is from.
    pub source: String,
}

impl Price {
    /// The price in SI units (joules, seconds, watts).
    ///
    /// The division by the reciprocal keeps `35.5 pJ` the same double as `35.5e-12`, which a product with an inexact 1e-12 would not.
    pub fn si(&self, quantity: Quantity) -> Interval {
        let factor = quantity.factor(&self.unit).unwrap_or(f64::NAN);
        let to_si = |v: f64| {
            if factor < 1.0 { v / (1.0 / factor).round() } else { v * factor }
        };
        Interval { low: to_si(self.low), nominal: to_si(self.value), high: to_si(self.high) }
    }

    /// What is wrong with this price, if anything.
    pub(crate) fn fault(&self, quantity: Quantity) -> Option<(String, String)> {
        if quantity.factor(&self.unit).is_none() {
            return Some((format!("unit `{}`", self.unit), format!("one of {}", quantity.unit_list())));
        }
        let finite = self.low.is_finite() && self.value.is_finite() && self.high.is_finite();
        if !finite || self.low < 0.0 || self.low > self.value || self.value > self.high {
            return Some((
                format!("low {}, value {}, high {}", self.low, self.value, self.high),
                "0 <= low <= value <= high, all finite".into(),
            ));
        }
        if self.source.trim().is_empty() {
            return Some((
                "an empty source".into(),
                "where the number is from (kind = \"assumed\" and the reason, if nowhere)".into(),
            ));
        }
        None
    }
}
