//! The right side of `dw`: a polynomial in the variables of a rule.

use super::token::Token;
use super::{RuleError, TermSpec};
use std::collections::BTreeMap;
use synop_core::plasticity::{Exponents, MAX_TERMS, Variable};

/// A sum of constants times products of variables, multiplied out.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Polynomial(BTreeMap<Exponents, f64>);

impl Polynomial {
    /// A constant.
    pub(super) fn constant(value: f64) -> Self {
        Self(BTreeMap::from([(Exponents::default(), value)]))
    }

    /// A variable, or `None` if no power of it is allowed.
    pub(super) fn variable(variable: Variable) -> Option<Self> {
        Some(Self(BTreeMap::from([(Exponents::default().times(variable)?, 1.0)])))
    }

    /// The value, if it is a constant.
    pub(super) fn as_constant(&self) -> Option<f64> {
        match self.0.len() {
            0 => Some(0.0),
            1 => self.0.get(&Exponents::default()).copied(),
            _ => None,
        }
    }

    /// The sum with `sign` times another.
    pub(super) fn plus(mut self, other: &Self, sign: f64) -> Self {
        for (&exponents, value) in &other.0 {
            *self.0.entry(exponents).or_default() += sign * value;
        }
        self.0.retain(|_, value| *value != 0.0);
        self
    }

    /// The product; `at` is the place that an impossible power is reported at.
    pub(super) fn times(&self, other: &Self, at: &Token) -> Result<Self, RuleError> {
        let mut product = BTreeMap::<Exponents, f64>::new();
        for (&left, a) in &self.0 {
            for (&right, b) in &other.0 {
                let exponents = combined(left, right).map_err(|variable| {
                    let limit = if variable == Variable::W { "w^2" } else { "the third power" };
                    at.expected(format!("no power of {} above {limit} in one term", variable.name()))
                })?;
                *product.entry(exponents).or_default() += a * b;
            }
        }
        product.retain(|_, value| *value != 0.0);
        if product.len() > 64 {
            return Err(at.expected("an expression of fewer terms; multiply it out"));
        }
        Ok(Self(product))
    }

    /// The terms of a rule.
    pub(super) fn terms(&self, at: &Token) -> Result<Vec<TermSpec>, RuleError> {
        if self.0.is_empty() {
            return Err(at.expected("a change that is not zero"));
        }
        if self.0.len() > MAX_TERMS {
            let count = self.0.len();
            return Err(
                at.expected(format!("at most {MAX_TERMS} terms, but multiplied out there are {count}"))
            );
        }
        Ok(self.0.iter().map(|(&exponents, &coefficient)| TermSpec { coefficient, exponents }).collect())
    }
}

/// The product of two sets of powers. Bits are their own squares (e, f, h), and a sign squared is one.
fn combined(left: Exponents, right: Exponents) -> Result<Exponents, Variable> {
    let mut product = left;
    for variable in Variable::ALL {
        for _ in 0..right.of(variable) {
            match (variable, product.of(variable)) {
                (Variable::E | Variable::F | Variable::H, 1) => {}
                (Variable::S, 1) => product = Exponents(product.0 & !(3 << (2 * Variable::S as u32))),
                _ => product = product.times(variable).ok_or(variable)?,
            }
        }
    }
    Ok(product)
}
