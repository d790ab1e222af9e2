//! Real constants as `mantissa × 2^-shift`.

use super::RuleError;
use synop_core::plasticity::MAX_SHIFT;

/// A constant of a term in the integers of the core.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficient {
    /// Mantissa, −32,767 to 32,767, not zero.
    pub mantissa: i16,
    /// Shift, 0 to [`MAX_SHIFT`].
    pub shift: u8,
    /// (integer value − exact value) / exact value.
    pub relative_error: f64,
}

impl Coefficient {
    /// The nearest `mantissa × 2^-shift`; among equals the one with the least shift. `of` names the term in errors.
    ///
    /// # Errors
    /// If the constant is not finite, rounds to zero at the largest shift, or exceeds 32,767.
    pub fn new(exact: f64, of: &str) -> Result<Self, RuleError> {
        let mut best: Option<Self> = None;
        for shift in 0..=MAX_SHIFT as u8 {
            let scaled = exact * f64::from(2).powi(i32::from(shift));
            let mantissa = scaled.round();
            if !scaled.is_finite() || mantissa.abs() > f64::from(i16::MAX) {
                break;
            }
            let relative_error = (mantissa - scaled) / scaled;
            if mantissa != 0.0 && best.is_none_or(|best| relative_error.abs() < best.relative_error.abs()) {
                best = Some(Self { mantissa: mantissa as i16, shift, relative_error });
            }
        }
        let what = || format!("the constant of the term in {of}");
        let expected =
            "a magnitude from 2^-41 to 32767: scale the increments of its traces or its third factor";
        best.ok_or_else(|| RuleError::Constant { what: what(), found: exact, expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_constants_take_the_least_shift() {
        let of = |exact| {
            let found = Coefficient::new(exact, "x1").expect("fits");
            (found.mantissa, found.shift, found.relative_error)
        };
        assert_eq!(of(0.0625), (1, 4, 0.0));
        assert_eq!(of(-3.0), (-3, 0, 0.0));
        assert_eq!(of(0.75), (3, 2, 0.0));
        assert_eq!(of(32767.0), (32767, 0, 0.0));
    }

    #[test]
    fn decimal_constants_are_off_by_at_most_one_part_in_32768() {
        for exact in [0.3, -0.1, 1e-3, 7.77, 12345.678, 1e-6] {
            let found = Coefficient::new(exact, "x1").expect("fits");
            let value = f64::from(found.mantissa) * 2f64.powi(-i32::from(found.shift));
            assert!((value - exact).abs() <= exact.abs() / 32768.0, "{exact}: {value}");
            assert!((value / exact - 1.0 - found.relative_error).abs() < 1e-12);
        }
    }

    #[test]
    fn constants_out_of_range_are_refused() {
        for exact in [32768.0, -1e9, 1e-14, f64::NAN, f64::INFINITY] {
            assert!(Coefficient::new(exact, "x1").is_err(), "{exact}");
        }
    }
}
