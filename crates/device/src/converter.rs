//! Converters: a value to the nearest of equally spaced levels, in integers.
//!
//! A value enters as an exact fraction `value/unit`; nothing is rounded before the converter rounds. Ties differ
//! between libraries, and a half-way input such as 0.5 does occur: see [`Ties`].

/// Where a converter's levels stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Sign and magnitude: 2^bits − 1 levels, symmetric, zero among them.
    SignMagnitude,
    /// 2^bits levels from one end of the range to the other; zero lies between two of them.
    Offset,
}

/// Where a value half-way between two levels goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// Away from zero: the core's converters, and aihwkit's.
    Away,
    /// To the even level, counted from −range: CrossSim's (and NumPy's `rint`).
    Even,
}

/// An analogue-to-digital or digital-to-analogue converter over −range..=range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Converter {
    /// Placement of the levels.
    pub code: Code,
    /// Rounding of ties.
    pub ties: Ties,
    /// Bits, 2 to 24.
    pub bits: u32,
    /// The range in the unit of the values, as a numerator over `unit`.
    pub range: i64,
    /// Values are integers over this.
    pub unit: i64,
}

impl Converter {
    /// Steps between one end of the range and the other.
    pub fn steps(&self) -> i64 {
        match self.code {
            Code::SignMagnitude => (1 << self.bits) - 2,
            Code::Offset => (1 << self.bits) - 1,
        }
    }

    /// The level nearest to `value` (over [`Self::unit`]) after clipping.
    /// Sign-magnitude codes are centred on 0, offset codes start at 0 for −range.
    pub fn convert(&self, value: i64) -> i64 {
        let value = value.clamp(-self.range, self.range);
        if (self.code, self.ties) == (Code::SignMagnitude, Ties::Away) {
            return synop_core::device::convert(value, self.range.unsigned_abs(), self.steps() as u32 / 2);
        }
        let span = 2 * i128::from(self.range);
        let place = i128::from(value) + i128::from(self.range);
        let doubled = 2 * place * i128::from(self.steps()) + span;
        let (mut level, rest) = (doubled / (2 * span), doubled % (2 * span));
        let down = match self.ties {
            Ties::Even => level % 2 == 1,
            Ties::Away => value < 0,
        };
        if rest == 0 && down {
            level -= 1;
        }
        match self.code {
            Code::SignMagnitude => level as i64 - self.steps() / 2,
            Code::Offset => level as i64,
        }
    }

    /// The value of a level.
    pub fn value(&self, code: i64) -> f64 {
        let range = self.range as f64 / self.unit as f64;
        match self.code {
            Code::SignMagnitude => code as f64 * 2.0 * range / self.steps() as f64,
            Code::Offset => code as f64 * 2.0 * range / self.steps() as f64 - range,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_round_as_they_are_told_and_ends_clip() {
        let away = Converter { code: Code::SignMagnitude, ties: Ties::Away, bits: 4, range: 14, unit: 1 };
        // 7 codes over 14: code = value/2.
        assert_eq!([1, -1, 3, -3, 13, 99, -99].map(|v| away.convert(v)), [1, -1, 2, -2, 7, 7, -7]);
        // Levels count from −7: an even level is an odd code.
        let even = Converter { ties: Ties::Even, ..away };
        assert_eq!([1, -1, 3, -3, 5, 13, 99].map(|v| even.convert(v)), [1, -1, 1, -1, 3, 7, 7]);
    }

    #[test]
    fn offset_codes_have_no_level_at_zero() {
        let offset = Converter { code: Code::Offset, ties: Ties::Away, bits: 2, range: 3, unit: 2 };
        assert_eq!([-3, -2, -1, 1, 2, 3].map(|v| offset.convert(v)), [0, 0, 1, 2, 3, 3]);
        assert_eq!(offset.value(3), 1.5);
    }
}
