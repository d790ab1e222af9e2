//! Scales: values to places, and where the ticks stand.

/// How an axis maps values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Kind {
    #[default]
    Linear,
    Log,
}

/// The least value that a logarithmic axis shows.
const LEAST: f64 = 1e-300;

impl Kind {
    fn shows(self, value: f64) -> bool {
        match self {
            Self::Linear => value > f64::NEG_INFINITY,
            Self::Log => value >= LEAST,
        }
    }
}

/// A range of values on an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    kind: Kind,
    low: f64,
    high: f64,
}

impl Scale {
    /// A scale that shows all `values`, with a little room unless a bound is fixed.
    /// A logarithmic scale leaves out what is not positive.
    pub(super) fn around(values: impl Iterator<Item = f64>, kind: Kind, fixed: Option<(f64, f64)>) -> Self {
        if let Some((low, high)) =
            fixed.filter(|(low, high)| kind.shows(*low) && high > low && high.is_finite())
        {
            return Self { kind, low, high };
        }
        let usable = values.filter(|v| v.is_finite() && kind.shows(*v));
        let bounds = usable.fold(None, |bounds: Option<(f64, f64)>, v| match bounds {
            None => Some((v, v)),
            Some((low, high)) => Some((low.min(v), high.max(v))),
        });
        match (kind, bounds) {
            (Kind::Linear, None) => Self { kind, low: 0.0, high: 1.0 },
            (Kind::Log, None) => Self { kind, low: 0.1, high: 10.0 },
            (Kind::Linear, Some((low, high))) if indistinct(low, high) => {
                let room = if low.abs() < 1e-300 { 1.0 } else { low.abs() * 0.1 };
                Self { kind, low: low - room, high: high + room }
            }
            (Kind::Linear, Some((low, high))) => {
                // Halves first: the width of the whole range may overflow.
                let room = (high / 2.0 - low / 2.0) * 0.08;
                // Data that begin at nothing keep the axis there.
                let below = if low >= 0.0 && low <= room { low } else { room };
                Self { kind, low: (low - below).max(-f64::MAX), high: (high + room).min(f64::MAX) }
            }
            (Kind::Log, Some((low, high))) => {
                Self { kind, low: (low / 1.3).max(LEAST), high: (high * 1.3).min(f64::MAX) }
            }
        }
    }

    /// Where a value lies: 0 at the low end, 1 at the high end; none if it cannot be shown.
    pub(super) fn at(&self, value: f64) -> Option<f64> {
        let share = match self.kind {
            Kind::Linear => {
                let half = self.high / 2.0 - self.low / 2.0;
                (value / 2.0 - self.low / 2.0) / half
            }
            Kind::Log if !self.kind.shows(value) => return None,
            Kind::Log => (value.ln() - self.low.ln()) / (self.high.ln() - self.low.ln()),
        };
        share.is_finite().then_some(share)
    }

    /// The lowest value shown.
    pub(super) fn low(&self) -> f64 {
        self.low
    }

    /// Values and labels of about `wanted` ticks.
    pub(super) fn ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        let values = match self.kind {
            Kind::Linear => linear_ticks(self.low, self.high, wanted),
            Kind::Log => log_ticks(self.low, self.high, wanted),
        };
        values.into_iter().map(|value| (value, label(value))).collect()
    }
}

/// Whether two bounds are one value but for rounding, or too small to divide.
fn indistinct(low: f64, high: f64) -> bool {
    let half = high / 2.0 - low / 2.0;
    half <= low.abs().max(high.abs()) * 1e-12 || half < 1e-300
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn linear_ticks(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    let raw = (high / 2.0 - low / 2.0) * 2.0 / wanted.max(1) as f64;
    if !raw.is_finite() || raw <= 0.0 {
        return vec![low, high];
    }
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= raw * 0.999)
        .unwrap_or(10.0 * power);
    let first = (low / step).ceil();
    let mut ticks = Vec::new();
    for index in 0..=(2 * wanted + 2) {
        let value = (first + index as f64) * step;
        if value > high + step * 1e-9 {
            break;
        }
        // Away from the rounding of the product: 0.30000000000000004 is 0.3.
        ticks.push(if value.abs() < step * 1e-9 { 0.0 } else { value });
    }
    ticks
}

/// Powers of ten, thinned to the wanted number, with 2 and 5 where there are few.
fn log_ticks(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    let first = low.log10().floor() as i32;
    let last = high.log10().ceil() as i32;
    let decades = (last - first).max(1) as usize;
    let stride = decades.div_ceil(wanted.max(1)).max(1);
    let digits: &[f64] = if decades <= 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    (first..=last)
        .step_by(stride)
        .flat_map(|decade| digits.iter().map(move |digit| digit * 10f64.powi(decade)))
        .filter(|value| (low..=high).contains(value))
        .collect()
}

/// A number short enough for a tick: SI prefixes from pico to tera, exponents beyond.
pub(super) fn label(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let size = value.abs();
    const PREFIXES: [(f64, &str); 8] =
        [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k"), (1e-3, ""), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p")];
    if (0.9999e-12..1e15).contains(&size) {
        for (from, prefix) in PREFIXES {
            if size >= from * 0.9999 {
                let unit = match prefix {
                    "k" => 1e3,
                    "" => 1.0,
                    _ => from,
                };
                return trimmed(value / unit) + prefix;
            }
        }
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => match mantissa.parse::<f64>() {
            Ok(mantissa) => format!("{}e{exponent}", trimmed(mantissa)),
            Err(_) => text,
        },
        None => text,
    }
}

/// Up to four significant digits without closing zeros.
fn trimmed(value: f64) -> String {
    let whole_digits = value.abs().max(1e-9).log10().floor() as i32 + 1;
    let decimals = (4 - whole_digits).clamp(0, 9) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let scale = Scale::around([0.0, 97.0].into_iter(), Kind::Linear, None);
        let labels: Vec<_> = scale.ticks(5).into_iter().map(|tick| tick.1).collect();
        assert_eq!(labels, ["0", "50", "100"]);
        let scale = Scale::around([0.0].into_iter(), Kind::Linear, Some((0.1, 0.4)));
        let labels: Vec<_> = scale.ticks(3).into_iter().map(|tick| tick.1).collect();
        assert_eq!(labels, ["0.1", "0.2", "0.3", "0.4"]);
    }

    #[test]
    fn logarithmic_ticks_are_decades() {
        let scale = Scale::around([2e-12, 5e-6].into_iter(), Kind::Log, None);
        let labels: Vec<_> = scale.ticks(8).into_iter().map(|tick| tick.1).collect();
        assert_eq!(labels, ["10p", "100p", "1n", "10n", "100n", "1µ"]);
    }

    #[test]
    fn labels_use_prefixes() {
        for (value, text) in [
            (1500.0, "1500"),
            (25_000.0, "25k"),
            (1.5e6, "1.5M"),
            (-2.5e-9, "-2.5n"),
            (0.001, "0.001"),
            (1e-20, "1e-20"),
            (3e300, "3e300"),
        ] {
            assert_eq!(label(value), text);
        }
    }

    #[test]
    fn no_range_breaks_a_scale() {
        let values = [f64::MAX, -f64::MAX, 0.0, 5e-324, f64::NAN, f64::INFINITY, 1.0];
        for kind in [Kind::Linear, Kind::Log] {
            for a in values {
                for b in values {
                    let scale = Scale::around([a, b].into_iter(), kind, None);
                    assert!(scale.low < scale.high, "{kind:?} {a} {b}");
                    assert!(scale.ticks(5).len() < 20);
                    for value in values {
                        assert!(scale.at(value).is_none_or(f64::is_finite));
                    }
                }
            }
        }
    }
}
