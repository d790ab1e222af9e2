//! Learning rules as text, compiled to the words that the core executes.
//!
//! ```text
//! rule stdp {
//!     x1: decay 0.9 add 64            # pre trace; `tau 9.5` instead of `decay`, `set` instead of `add`, `window` adds while `h` is 1, `max 1000`
//!     y1: decay 0.9 add 64            # post trace
//!     every tick                      # or: every 4 ticks; end of sample; every 16 samples
//!     rounding stochastic             # or: nearest; gate 0.25
//!     bounds -127 127
//!     # decay 0.01 every 1000 samples   # with `every 16 samples`: weights shrink by a share
//!     dw = 2^-4*x1*y0 - 2^-5*y1*x0
//! }
//! ```
//!
//! One statement per line, or `;` between them; `#` starts a comment. Further declarations:
//! `g: group 1` (the input group that `g` reads), `error e = (t*(g0+g1) <= 24)` (factor `s`, `t` or none; field: any
//! of `g0`…`g3` and `u`; `soft 40` after it draws the bit by a logistic gate of that width), `window h = (|u - threshold| < 32)` (or a number in place of `threshold`).
//! The right side of `dw` may use parentheses, `+`, `-`, `*` and `^`; it is multiplied out into terms.
//! The variables are those of [`synop_core::plasticity`].

mod coefficient;
mod expression;
mod parse;
mod text;
mod token;

pub mod oracle;
#[cfg(test)]
mod tests;

use synop_core::plasticity::{
    self as core, Cadence, ErrorBit, Exponents, Rounding, Rule, TraceMode, Variable, Window,
};

pub use coefficient::Coefficient;

/// Why a rule could not be read or compiled.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RuleError {
    /// The text is not a rule.
    #[error("line {line}, column {column}: found {found}, expected {expected}")]
    Text {
        /// Line, counted from 1.
        line: usize,
        /// Column in characters, counted from 1.
        column: usize,
        /// What stands there.
        found: String,
        /// What should, and how to mend it.
        expected: String,
    },
    /// A constant does not fit the integers of the core.
    #[error("{what} is {found}, expected {expected}")]
    Constant {
        /// Which constant.
        what: String,
        /// Its value.
        found: f64,
        /// Its range, and how to mend it.
        expected: &'static str,
    },
    /// The compiled words are not a rule.
    #[error("the compiled rule is not valid: {0}")]
    Words(core::RuleError),
}

/// A declared trace, in real numbers where the text has them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TraceSpec {
    /// Factor per tick, 0 to 1.
    pub decay: f64,
    /// Change per unit of event payload.
    pub increment: i16,
    /// Saturation magnitude, 1 to 32,767.
    pub max: u16,
    /// Whether an event adds or sets.
    pub mode: TraceMode,
}

/// Weights that shrink with time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecaySpec {
    /// The share of a weight that is lost each time, above 0 and below 1.
    pub share: f64,
    /// After how many samples.
    pub every: u32,
}

/// One term of `dw`: a constant and the powers of the variables.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TermSpec {
    /// Constant.
    pub coefficient: f64,
    /// Powers.
    pub exponents: Exponents,
}

/// A rule as its text says it, before constants become integers.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSpec {
    /// Name.
    pub name: String,
    /// Traces `x1`, `x2`, `y1`, `y2`.
    pub traces: [Option<TraceSpec>; 4],
    /// When it is applied.
    pub cadence: Cadence,
    /// How the change is rounded.
    pub rounding: Rounding,
    /// Least and greatest weight.
    pub bounds: (i32, i32),
    /// Input group that `g` reads.
    pub group: Option<u8>,
    /// The error bit `e`.
    pub error: Option<ErrorBit>,
    /// The window `h`.
    pub window: Option<Window>,
    /// How weights shrink, for rules over several samples.
    pub decay: Option<DecaySpec>,
    /// The terms of `dw`, in the order of their variables.
    pub terms: Vec<TermSpec>,
}

/// The variables that traces belong to, in their order in [`RuleSpec::traces`].
pub(crate) const TRACED: [Variable; 4] = [Variable::X1, Variable::X2, Variable::Y1, Variable::Y2];

impl RuleSpec {
    /// Reads one rule from its text.
    ///
    /// # Errors
    /// [`RuleError::Text`] with the first place that is not as it should be; constants that do not fit are errors too.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let spec = parse::rule(text)?;
        spec.encode()?;
        Ok(spec)
    }

    /// The constants of the terms as `mantissa × 2^-shift`, with their relative errors.
    ///
    /// # Errors
    /// [`RuleError::Constant`] if one is too large or too small.
    pub fn coefficients(&self) -> Result<Vec<Coefficient>, RuleError> {
        self.terms
            .iter()
            .map(|term| Coefficient::new(term.coefficient, &text::variables(term.exponents)))
            .collect()
    }

    /// The decay of a trace in Q15, and its absolute error per tick.
    #[must_use]
    pub fn decay_q15(trace: &TraceSpec) -> (u32, f64) {
        let exact = trace.decay * f64::from(core::Q15_ONE);
        let rounded = exact.round().clamp(0.0, f64::from(core::Q15_ONE));
        (rounded as u32, (rounded - exact) / f64::from(core::Q15_ONE))
    }

    /// The words of the rule in an image (layout: [`Rule::decode`]).
    ///
    /// # Errors
    /// [`RuleError::Constant`] if a constant does not fit, [`RuleError::Words`] if the fields contradict each other.
    pub fn encode(&self) -> Result<Vec<u32>, RuleError> {
        const DECLARED: u32 = 1 << 31;
        const FLAG: u32 = 1 << 30;
        const WINDOWED: u32 = 1 << 29;
        let terms = self.coefficients()?;
        let (cadence, interval) = match self.cadence {
            Cadence::Tick => (0, 0),
            Cadence::Every(k) => (1, k),
            Cadence::Sample => (2, 0),
            Cadence::Samples(k) => (3, k),
        };
        let (rounding, gate) = match self.rounding {
            Rounding::Nearest => (0, 0),
            Rounding::Stochastic => (1, 0),
            Rounding::Gate(probability) => (2, u32::from(probability)),
        };
        let count = u32::try_from(terms.len()).unwrap_or(u32::MAX).min(255);
        let decays = u32::from(self.decay.is_some()) << 31;
        let head = core::VERSION | count << 8 | rounding << 16 | cadence << 24 | decays;
        let mut words = vec![head, interval, gate, self.bounds.0 as u32, self.bounds.1 as u32];
        for (trace, variable) in self.traces.iter().zip(TRACED) {
            let Some(trace) = trace else {
                words.extend([0, 0]);
                continue;
            };
            if !(0.0..=1.0).contains(&trace.decay) {
                let what = format!("the decay of {}", variable.name());
                return Err(RuleError::Constant {
                    what,
                    found: trace.decay,
                    expected: "a factor per tick from 0 to 1",
                });
            }
            let mode = match trace.mode {
                TraceMode::Add => 0,
                TraceMode::Set => FLAG,
                TraceMode::Window => WINDOWED,
            };
            words.push(Self::decay_q15(trace).0 | mode | DECLARED);
            words.push(u32::from(trace.increment as u16) | u32::from(trace.max) << 16);
        }
        match self.error {
            None => words.extend([0, 0]),
            Some(error) => {
                let factor = match error.factor {
                    core::ErrorFactor::One => 0,
                    core::ErrorFactor::Sign => 1,
                    core::ErrorFactor::Target => 2,
                };
                let field = u32::from(error.field.groups) | u32::from(error.field.state) << 4;
                if error.width >= 1 << 20 {
                    return Err(RuleError::Constant {
                        what: "the width of the error bit".into(),
                        found: f64::from(error.width),
                        expected: "a whole number below 1,048,576; use a larger unit of weight",
                    });
                }
                words.extend([DECLARED | field | factor << 8 | error.width << 10, error.margin as u32]);
            }
        }
        match self.window {
            None => words.extend([0, 0, 0]),
            Some(Window { centre: core::Centre::Threshold, width }) => {
                words.extend([DECLARED | FLAG, width, 0])
            }
            Some(Window { centre: core::Centre::At(centre), width }) => {
                words.extend([DECLARED, width, centre as u32])
            }
        }
        words.push(self.group.map_or(0, |group| DECLARED | u32::from(group)));
        for (term, number) in self.terms.iter().zip(terms) {
            words.extend([
                term.exponents.0,
                u32::from(number.mantissa as u16) | u32::from(number.shift) << 16,
            ]);
        }
        if let Some(decay) = self.decay {
            let share = (decay.share * 65_536.0).round();
            if !(1.0..=65_535.0).contains(&share) {
                return Err(RuleError::Constant {
                    what: "the share of a decay".into(),
                    found: decay.share,
                    expected: "1/65536 to 65535/65536; to lose less, decay after more samples",
                });
            }
            words.extend([share as u32, decay.every]);
        }
        Rule::decode(&words).map_err(RuleError::Words)?;
        Ok(words)
    }

    /// The rule as the core executes it.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn compile(&self) -> Result<Rule, RuleError> {
        Rule::decode(&self.encode()?).map_err(RuleError::Words)
    }

    /// The same rule whose changes are `factor` times as large, with weights, states and sums as they were: on a device
    /// of which `factor` pulses change a weight by 1, its changes are pulses. Bounds become the widest.
    #[must_use]
    pub fn in_pulses(&self, factor: f64) -> Self {
        let mut rule = Self { bounds: (-32_768, 32_767), ..self.clone() };
        for term in &mut rule.terms {
            term.coefficient *= factor;
        }
        rule
    }

    /// Whether a term contains `variable`.
    #[must_use]
    pub fn uses(&self, variable: Variable) -> bool {
        self.terms.iter().any(|term| term.exponents.of(variable) > 0)
    }

    /// The same rule where the weight unit is `1 / scale` of this one's: weights, states and input sums are `scale`
    /// times as large, so that changes, margins and windows grow with them. `bounds` are the new bounds.
    #[must_use]
    pub fn rescaled(&self, scale: f64, bounds: (i32, i32)) -> Self {
        let mut rule = Self { bounds, ..self.clone() };
        let whole = |value: f64| (value * scale).round();
        for term in &mut rule.terms {
            let power: u32 =
                [Variable::W, Variable::U, Variable::G].map(|v| term.exponents.of(v)).iter().sum();
            term.coefficient *= scale.powi(1 - power as i32);
        }
        if let Some(error) = &mut rule.error {
            error.margin = whole(f64::from(error.margin)) as i32;
            if error.width != 0 {
                error.width = whole(f64::from(error.width)).max(1.0) as u32;
            }
        }
        if let Some(window) = &mut rule.window {
            window.width = whole(f64::from(window.width)).max(1.0) as u32;
            if let core::Centre::At(centre) = &mut window.centre {
                *centre = whole(f64::from(*centre)) as i32;
            }
        }
        rule
    }
}
