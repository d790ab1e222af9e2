//! From tokens to a rule: one function per statement.

use super::expression::Polynomial;
use super::token::{Kind, Token, tokens};
use super::{DecaySpec, RuleError, RuleSpec, TRACED, TermSpec, TraceSpec};
use synop_core::plasticity::{
    Cadence, Centre, ErrorBit, ErrorFactor, Field, MAX_SAMPLES, MAX_TRACE, Rounding, TraceMode, Variable,
    Window,
};

/// Reads the text of exactly one rule.
pub(super) fn rule(text: &str) -> Result<RuleSpec, RuleError> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0 };
    parser.skip_breaks();
    parser.word("rule", "`rule NAME {`")?;
    let name = parser.name("a name for the rule, such as `stdp`")?;
    parser.skip_breaks();
    parser.sign("{", "`{` after the name of the rule")?;
    let mut draft = Draft::default();
    loop {
        parser.skip_breaks();
        if parser.take_sign("}") {
            break;
        }
        parser.statement(&mut draft)?;
        if !matches!(parser.peek().kind, Kind::Break | Kind::Line | Kind::Sign("}")) {
            return Err(parser
                .peek()
                .expected("`;` or a line end between statements, or `}`; a product needs its `*`"));
        }
    }
    let close = parser.tokens.get(parser.at.saturating_sub(1)).unwrap_or(parser.peek());
    let spec = draft.finish(name, close)?;
    parser.skip_breaks();
    match parser.peek().kind {
        Kind::End => Ok(spec),
        _ => Err(parser.peek().expected("nothing after the rule; one file holds one rule")),
    }
}

/// What has been declared so far.
#[derive(Default)]
struct Draft {
    traces: [Option<TraceSpec>; 4],
    cadence: Option<Cadence>,
    rounding: Option<Rounding>,
    bounds: Option<(i32, i32)>,
    group: Option<u8>,
    error: Option<ErrorBit>,
    window: Option<Window>,
    decay: Option<DecaySpec>,
    terms: Option<Vec<TermSpec>>,
}

impl Draft {
    fn finish(self, name: String, close: &Token) -> Result<RuleSpec, RuleError> {
        let missing = |what: &str| close.expected(format!("{what} before the end of rule {name}"));
        let terms = self.terms.ok_or_else(|| missing("`dw = …`"))?;
        let cadence =
            self.cadence.ok_or_else(|| missing("`every tick`, `every 4 ticks` or `end of sample`"))?;
        let rounding = self
            .rounding
            .ok_or_else(|| missing("`rounding nearest`, `rounding stochastic` or `rounding gate 0.25`"))?;
        let bounds =
            self.bounds.ok_or_else(|| missing("`bounds -127 127` (the least and the greatest weight)"))?;
        let declared = TRACED.iter().zip(&self.traces).map(|(&variable, trace)| (variable, trace.is_some()));
        let others = [
            (Variable::G, self.group.is_some()),
            (Variable::H, self.window.is_some()),
            (Variable::E, self.error.is_some()),
            (Variable::F, self.error.is_some()),
        ];
        for (variable, is_declared) in declared.chain(others) {
            if !is_declared && terms.iter().any(|term| term.exponents.of(variable) > 0) {
                let example = match variable {
                    Variable::G => "g: group 1",
                    Variable::H => "window h = (|u - threshold| < 32)",
                    Variable::E | Variable::F => "error e = (t*u <= 24)",
                    Variable::X2 => "x2: decay 0.9 add 64",
                    Variable::Y1 => "y1: decay 0.9 add 64",
                    Variable::Y2 => "y2: decay 0.9 add 64",
                    _ => "x1: decay 0.9 add 64",
                };
                return Err(missing(&format!("a declaration of {} such as `{example}`", variable.name())));
            }
        }
        let Self { traces, group, error, window, decay, .. } = self;
        Ok(RuleSpec { name, traces, cadence, rounding, bounds, group, error, window, decay, terms })
    }
}

/// Fills a place of the draft that must be empty.
fn once<T>(place: &mut Option<T>, value: T, at: &Token, what: &str) -> Result<(), RuleError> {
    if place.is_some() {
        return Err(at.expected(format!("{what} only once")));
    }
    *place = Some(value);
    Ok(())
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    /// Open parentheses of an expression.
    depth: usize,
}

const END: Token = Token { kind: Kind::End, line: 1, column: 1 };
const STATEMENTS: &str = "a statement: `x1:`, `x2:`, `y1:`, `y2:`, `g:`, `every`, `end`, `rounding`, `bounds`, `error`, `window`, `decay` or `dw =`";

impl<'a> Parser<'a> {
    fn peek(&self) -> &'a Token {
        self.tokens.get(self.at).or(self.tokens.last()).unwrap_or(&END)
    }

    fn next(&mut self) -> &'a Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn skip_breaks(&mut self) {
        while matches!(self.peek().kind, Kind::Break | Kind::Line) {
            self.at += 1;
        }
    }

    fn take_sign(&mut self, sign: &'static str) -> bool {
        let found = self.peek().kind == Kind::Sign(sign);
        self.at += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(&self.peek().kind, Kind::Word(found) if found == word);
        self.at += usize::from(found);
        found
    }

    fn sign(&mut self, sign: &'static str, expected: &str) -> Result<(), RuleError> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.peek().expected(expected)) }
    }

    fn word(&mut self, word: &str, expected: &str) -> Result<(), RuleError> {
        if self.take_word(word) { Ok(()) } else { Err(self.peek().expected(expected)) }
    }

    fn name(&mut self, expected: &str) -> Result<String, RuleError> {
        match &self.peek().kind {
            Kind::Word(word) => {
                self.at += 1;
                Ok(word.clone())
            }
            _ => Err(self.peek().expected(expected)),
        }
    }

    /// A real number with an optional sign.
    fn number(&mut self, expected: &str) -> Result<f64, RuleError> {
        let negative = self.take_sign("-");
        match self.peek().kind {
            Kind::Number(value) => {
                self.at += 1;
                Ok(if negative { -value } else { value })
            }
            _ => Err(self.peek().expected(expected)),
        }
    }

    /// A whole number within a range.
    fn whole(&mut self, low: i64, high: i64, what: &str) -> Result<i64, RuleError> {
        let at = self.peek();
        let expected = format!("{what}: a whole number from {low} to {high}");
        let value = self.number(&expected)?;
        if value.fract() != 0.0 || value < low as f64 || value > high as f64 {
            return Err(at.expected(expected));
        }
        Ok(value as i64)
    }

    fn statement(&mut self, draft: &mut Draft) -> Result<(), RuleError> {
        let start = self.next();
        let Kind::Word(word) = &start.kind else { return Err(start.expected(STATEMENTS)) };
        if let Some((place, variable)) = draft.traces.iter_mut().zip(TRACED).find(|(_, v)| v.name() == word) {
            let trace = self.trace(variable)?;
            return once(place, trace, start, &format!("a declaration of {word}"));
        }
        match word.as_str() {
            "g" => {
                self.sign(":", "`:`, as in `g: group 1`")?;
                self.word("group", "`group`, as in `g: group 1`")?;
                let group = self.whole(0, 3, "the number of an input group")?;
                once(&mut draft.group, group as u8, start, "a declaration of g")
            }
            "every" | "end" => {
                let cadence = self.cadence(word)?;
                once(&mut draft.cadence, cadence, start, "`every …` or `end of sample`")
            }
            "rounding" => {
                let rounding = self.rounding()?;
                once(&mut draft.rounding, rounding, start, "`rounding`")
            }
            "bounds" => {
                let low = self.whole(-32_768, 32_767, "the least weight")?;
                let high = self.whole(low, 32_767, "the greatest weight")?;
                once(&mut draft.bounds, (low as i32, high as i32), start, "`bounds`")
            }
            "error" => {
                let error = self.error_bit()?;
                once(&mut draft.error, error, start, "`error`")
            }
            "window" => {
                let window = self.window()?;
                once(&mut draft.window, window, start, "`window`")
            }
            "decay" => {
                let decay = self.decay()?;
                once(&mut draft.decay, decay, start, "`decay`")
            }
            "dw" => {
                self.sign("=", "`=` after `dw`")?;
                let terms = self.sum()?.terms(start)?;
                once(&mut draft.terms, terms, start, "`dw`")
            }
            _ => Err(start.expected(STATEMENTS)),
        }
    }

    /// `: decay 0.9 add 64 max 1000`, in any order.
    fn trace(&mut self, variable: Variable) -> Result<TraceSpec, RuleError> {
        let name = variable.name();
        let example = format!("as in `{name}: decay 0.9 add 64`");
        self.sign(":", &format!("`:`, {example}"))?;
        let (mut decay, mut step, mut max) = (None, None, None);
        loop {
            let at = self.peek();
            if self.take_word("decay") {
                let value = self.number("the decay per tick, a factor from 0 to 1")?;
                once(&mut decay, value, at, "`decay` or `tau`")?;
                if !(0.0..=1.0).contains(&value) {
                    return Err(at.expected("a decay per tick from 0 to 1"));
                }
            } else if self.take_word("tau") {
                let value = self.number("a time constant in ticks above 0")?;
                once(&mut decay, (-1.0 / value).exp(), at, "`decay` or `tau`")?;
                if value <= 0.0 {
                    return Err(at.expected("a time constant in ticks above 0"));
                }
            } else if self.take_word("add") {
                let value = self.whole(-32_768, 32_767, "the increment per event")?;
                once(&mut step, (TraceMode::Add, value as i16), at, "`add` or `set`")?;
            } else if self.take_word("set") {
                let value = self.whole(-32_768, 32_767, "the value after an event")?;
                once(&mut step, (TraceMode::Set, value as i16), at, "`add` or `set`")?;
            } else if self.take_word("window") {
                let value = self.whole(-32_768, 32_767, "the increment per tick of an open window")?;
                if matches!(variable, Variable::X1 | Variable::X2) {
                    return Err(at.expected("`add` or `set`: the window belongs to post neurons"));
                }
                once(&mut step, (TraceMode::Window, value as i16), at, "`add`, `set` or `window`")?;
            } else if self.take_word("max") {
                let value = self.whole(1, i64::from(MAX_TRACE), "the saturation of the trace")?;
                once(&mut max, value as u16, at, "`max`")?;
            } else {
                break;
            }
        }
        let here = self.peek();
        let decay = decay.ok_or_else(|| here.expected(format!("`decay` or `tau`, {example}")))?;
        let (mode, increment) = step.ok_or_else(|| here.expected(format!("`add` or `set`, {example}")))?;
        Ok(TraceSpec { decay, increment, max: max.unwrap_or(MAX_TRACE as u16), mode })
    }

    fn cadence(&mut self, word: &str) -> Result<Cadence, RuleError> {
        if word == "end" {
            self.word("of", "`end of sample`")?;
            self.word("sample", "`end of sample`")?;
            return Ok(Cadence::Sample);
        }
        if self.take_word("tick") {
            return Ok(Cadence::Tick);
        }
        let at = self.peek();
        let k = self.whole(1, i64::from(u32::MAX), "`tick`, or the interval in ticks or samples")?;
        if self.take_word("samples") || self.take_word("sample") {
            if k > i64::from(MAX_SAMPLES) {
                return Err(at.expected(format!("at most {MAX_SAMPLES} samples")));
            }
            return Ok(Cadence::Samples(k as u32));
        }
        if !self.take_word("ticks") {
            self.word("tick", "`ticks`, as in `every 4 ticks`")?;
        }
        Ok(Cadence::Every(k as u32))
    }

    fn rounding(&mut self) -> Result<Rounding, RuleError> {
        if self.take_word("nearest") {
            return Ok(Rounding::Nearest);
        }
        if self.take_word("stochastic") {
            return Ok(Rounding::Stochastic);
        }
        self.word("gate", "`nearest`, `stochastic` or `gate 0.25`")?;
        let at = self.peek();
        let probability = (self.number("the probability that a change happens")? * 65_536.0).round();
        if (1.0..=65_535.0).contains(&probability) {
            Ok(Rounding::Gate(probability as u16))
        } else {
            Err(at.expected("a probability from 1/65536 to 65535/65536; for 1 write `rounding nearest`"))
        }
    }

    /// `0.01 every 1000 samples`.
    fn decay(&mut self) -> Result<DecaySpec, RuleError> {
        const SHAPE: &str = "the shape `decay 0.01 every 1000 samples`";
        let share = self.number(SHAPE)?;
        self.word("every", SHAPE)?;
        let every = self.whole(1, i64::from(u32::MAX), "a number of samples")? as u32;
        self.word("samples", SHAPE)?;
        Ok(DecaySpec { share, every })
    }

    /// `e = (t*(g0+u) <= 24) soft 40`.
    fn error_bit(&mut self) -> Result<ErrorBit, RuleError> {
        const SHAPE: &str =
            "the shape `error e = (t*(g0+u) <= 24)`: factor s, t or none, a field of g0…g3 and u, a margin";
        self.word("e", SHAPE)?;
        self.sign("=", SHAPE)?;
        self.sign("(", SHAPE)?;
        let factor = if self.take_word("s") {
            ErrorFactor::Sign
        } else if self.take_word("t") {
            ErrorFactor::Target
        } else {
            ErrorFactor::One
        };
        if factor != ErrorFactor::One {
            self.sign("*", SHAPE)?;
        }
        let mut field = Field { groups: 0, state: false };
        if self.take_sign("(") {
            self.field_part(&mut field, SHAPE)?;
            while self.take_sign("+") {
                self.field_part(&mut field, SHAPE)?;
            }
            self.sign(")", SHAPE)?;
        } else {
            self.field_part(&mut field, SHAPE)?;
            while factor == ErrorFactor::One && self.take_sign("+") {
                self.field_part(&mut field, SHAPE)?;
            }
        }
        self.sign("<=", SHAPE)?;
        let margin = self.whole(i64::from(i32::MIN), i64::from(i32::MAX), "the margin")?;
        self.sign(")", SHAPE)?;
        let width = match self.take_word("soft") {
            true => self.whole(1, (1 << 20) - 1, "the width of the gate")?,
            false => 0,
        };
        Ok(ErrorBit { factor, field, margin: margin as i32, width: width as u32 })
    }

    fn field_part(&mut self, field: &mut Field, shape: &str) -> Result<(), RuleError> {
        let at = self.next();
        let Kind::Word(word) = &at.kind else { return Err(at.expected(shape)) };
        let taken = match word.as_str() {
            "u" => std::mem::replace(&mut field.state, true),
            "g0" | "g1" | "g2" | "g3" => {
                let bit = 1 << word.bytes().last().unwrap_or(b'0').saturating_sub(b'0');
                let taken = field.groups & bit != 0;
                field.groups |= bit;
                taken
            }
            _ => return Err(at.expected(shape)),
        };
        if taken { Err(at.expected("each part of the field only once")) } else { Ok(()) }
    }

    /// `h = (|u - threshold| < 32)`.
    fn window(&mut self) -> Result<Window, RuleError> {
        const SHAPE: &str =
            "the shape `window h = (|u - threshold| < 32)`, or a whole number in place of `threshold`";
        self.word("h", SHAPE)?;
        self.sign("=", SHAPE)?;
        self.sign("(", SHAPE)?;
        self.sign("|", SHAPE)?;
        self.word("u", SHAPE)?;
        self.sign("-", SHAPE)?;
        let centre = if self.take_word("threshold") {
            Centre::Threshold
        } else {
            Centre::At(
                self.whole(i64::from(i32::MIN), i64::from(i32::MAX), "`threshold` or the centre")? as i32
            )
        };
        self.sign("|", SHAPE)?;
        self.sign("<", SHAPE)?;
        let width = self.whole(1, i64::from(u32::MAX), "the width of the window")?;
        self.sign(")", SHAPE)?;
        Ok(Window { centre, width: width as u32 })
    }

    /// An expression goes on in the next line after an operator, before one, and within parentheses.
    fn skip_lines(&mut self) {
        while self.peek().kind == Kind::Line {
            self.at += 1;
        }
    }

    /// Skips line ends if an operator follows them or a parenthesis is open.
    fn skip_lines_before_operator(&mut self) {
        let here = self.at;
        self.skip_lines();
        if self.depth == 0 && !matches!(self.peek().kind, Kind::Sign("+" | "-" | "*")) {
            self.at = here;
        }
    }

    fn sum(&mut self) -> Result<Polynomial, RuleError> {
        self.skip_lines();
        let negative = self.take_sign("-");
        if !negative {
            self.take_sign("+");
        }
        let first = self.product()?;
        let mut sum = Polynomial::default().plus(&first, if negative { -1.0 } else { 1.0 });
        loop {
            self.skip_lines_before_operator();
            let sign = if self.take_sign("+") {
                1.0
            } else if self.take_sign("-") {
                -1.0
            } else {
                return Ok(sum);
            };
            self.skip_lines();
            sum = sum.plus(&self.product()?, sign);
        }
    }

    fn product(&mut self) -> Result<Polynomial, RuleError> {
        let mut product = self.power()?;
        loop {
            self.skip_lines_before_operator();
            let at = self.peek();
            if !self.take_sign("*") {
                return Ok(product);
            }
            self.skip_lines();
            product = product.times(&self.power()?, at)?;
        }
    }

    fn power(&mut self) -> Result<Polynomial, RuleError> {
        let at = self.peek();
        let base = self.factor()?;
        if !self.take_sign("^") {
            return Ok(base);
        }
        let exponent = self.whole(-60, 60, "the exponent")?;
        if let Some(value) = base.as_constant() {
            let power = value.powi(exponent as i32);
            return if power.is_finite() {
                Ok(Polynomial::constant(power))
            } else {
                Err(at.expected("a finite power"))
            };
        }
        if exponent < 1 {
            return Err(at.expected("a power from 1 to 3 of a variable; there is no division"));
        }
        let mut power = base.clone();
        for _ in 1..exponent {
            power = power.times(&base, at)?;
        }
        Ok(power)
    }

    fn factor(&mut self) -> Result<Polynomial, RuleError> {
        const FACTOR: &str = "a number, `2^-4`, `(…)` or one of x0 x1 x2 y0 y1 y2 u s t g h e r w f";
        let at = self.next();
        match &at.kind {
            Kind::Number(value) => Ok(Polynomial::constant(*value)),
            Kind::Sign("(") if self.depth < 32 => {
                self.depth += 1;
                let inner = self.sum()?;
                self.skip_lines();
                self.sign(")", "`)`")?;
                self.depth -= 1;
                Ok(inner)
            }
            Kind::Word(word) => Variable::ALL
                .into_iter()
                .find(|variable| variable.name() == word)
                .and_then(Polynomial::variable)
                .ok_or_else(|| at.expected(FACTOR)),
            _ => Err(at.expected(FACTOR)),
        }
    }
}
