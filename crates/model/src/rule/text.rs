//! A rule written back as text; reading it again gives the same rule.

use super::{RuleSpec, TRACED, TraceSpec};
use std::fmt;
use synop_core::plasticity::{
    Cadence, Centre, ErrorBit, ErrorFactor, Exponents, MAX_TRACE, Rounding, TraceMode, Variable, Window,
};

/// The product of the variables of a term, `1` if there is none.
pub(super) fn variables(exponents: Exponents) -> String {
    let mut factors = Vec::new();
    for variable in Variable::ALL {
        match exponents.of(variable) {
            0 => {}
            1 => factors.push(variable.name().to_owned()),
            power => factors.push(format!("{}^{power}", variable.name())),
        }
    }
    if factors.is_empty() { "1".into() } else { factors.join("*") }
}

/// A positive number: a power of two below one as `2^-k`, else the shortest decimal that reads back equal.
fn magnitude(value: f64) -> String {
    for k in 1..=40 {
        if value == 2f64.powi(-k) {
            return format!("2^-{k}");
        }
    }
    format!("{value}")
}

fn term(coefficient: f64, exponents: Exponents) -> String {
    match (coefficient.abs(), exponents == Exponents::default()) {
        (value, true) => magnitude(value),
        (1.0, false) => variables(exponents),
        (value, false) => format!("{}*{}", magnitude(value), variables(exponents)),
    }
}

fn trace(f: &mut fmt::Formatter<'_>, variable: Variable, trace: &TraceSpec) -> fmt::Result {
    let mode = match trace.mode {
        TraceMode::Add => "add",
        TraceMode::Set => "set",
        TraceMode::Window => "window",
    };
    write!(f, "    {}: decay {} {mode} {}", variable.name(), trace.decay, trace.increment)?;
    if u32::from(trace.max) != MAX_TRACE {
        write!(f, " max {}", trace.max)?;
    }
    writeln!(f)
}

fn error(f: &mut fmt::Formatter<'_>, error: &ErrorBit) -> fmt::Result {
    let factor = match error.factor {
        ErrorFactor::One => "",
        ErrorFactor::Sign => "s*",
        ErrorFactor::Target => "t*",
    };
    let groups = (0..4).filter(|bit| error.field.groups >> bit & 1 == 1).map(|bit| format!("g{bit}"));
    let field: Vec<String> = groups.chain(error.field.state.then(|| "u".to_owned())).collect();
    write!(f, "    error e = ({factor}({}) <= {})", field.join("+"), error.margin)?;
    if error.width != 0 {
        write!(f, " soft {}", error.width)?;
    }
    writeln!(f)
}

impl fmt::Display for RuleSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rule {} {{", self.name)?;
        for (declared, variable) in self.traces.iter().zip(TRACED) {
            if let Some(declared) = declared {
                trace(f, variable, declared)?;
            }
        }
        if let Some(group) = self.group {
            writeln!(f, "    g: group {group}")?;
        }
        if let Some(declared) = &self.error {
            error(f, declared)?;
        }
        match self.window {
            None => {}
            Some(Window { centre: Centre::Threshold, width }) => {
                writeln!(f, "    window h = (|u - threshold| < {width})")?;
            }
            Some(Window { centre: Centre::At(centre), width }) => {
                writeln!(f, "    window h = (|u - {centre}| < {width})")?
            }
        }
        match self.cadence {
            Cadence::Tick => writeln!(f, "    every tick")?,
            Cadence::Every(k) => writeln!(f, "    every {k} ticks")?,
            Cadence::Sample => writeln!(f, "    end of sample")?,
            Cadence::Samples(k) => writeln!(f, "    every {k} samples")?,
        }
        match self.rounding {
            Rounding::Nearest => writeln!(f, "    rounding nearest")?,
            Rounding::Stochastic => writeln!(f, "    rounding stochastic")?,
            Rounding::Gate(probability) => {
                writeln!(f, "    rounding gate {}", f64::from(probability) / 65_536.0)?
            }
        }
        writeln!(f, "    bounds {} {}", self.bounds.0, self.bounds.1)?;
        if let Some(decay) = self.decay {
            writeln!(f, "    decay {} every {} samples", decay.share, decay.every)?;
        }
        write!(f, "    dw =")?;
        for (i, spec) in self.terms.iter().enumerate() {
            let sign = match (i, spec.coefficient < 0.0) {
                (0, false) => "",
                (0, true) => "-",
                (_, false) => "+ ",
                (_, true) => "- ",
            };
            write!(f, " {sign}{}", term(spec.coefficient, spec.exponents))?;
        }
        writeln!(f, "\n}}")
    }
}
