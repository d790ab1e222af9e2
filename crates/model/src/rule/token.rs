//! Words, numbers and signs of a rule's text, with their places.

use super::RuleError;

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Word(String),
    Number(f64),
    Sign(&'static str),
    /// `;`.
    Break,
    /// A line end.
    Line,
    End,
}

/// A token and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Token {
    /// The token as it is quoted in an error.
    fn quoted(&self) -> String {
        match &self.kind {
            Kind::Word(word) => format!("`{word}`"),
            Kind::Number(number) => format!("`{number}`"),
            Kind::Sign(sign) => format!("`{sign}`"),
            Kind::Break => "`;`".into(),
            Kind::Line => "the end of the line".into(),
            Kind::End => "the end of the text".into(),
        }
    }

    /// The error that something else was expected here.
    pub(super) fn expected(&self, expected: impl Into<String>) -> RuleError {
        RuleError::Text {
            line: self.line,
            column: self.column,
            found: self.quoted(),
            expected: expected.into(),
        }
    }
}

const SIGNS: [&str; 13] = ["<=", "{", "}", "(", ")", "|", ":", "=", "*", "+", "-", "^", "<"];

/// Splits a text into tokens; the last one is [`Kind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, RuleError> {
    let mut found = Vec::new();
    let lines = text.lines().count().max(1);
    for (line, content) in (1..).zip(text.lines()) {
        let code: Vec<char> = content.split('#').next().unwrap_or("").chars().collect();
        let mut rest = code.as_slice();
        while let Some(&first) = rest.first() {
            let column = code.len() - rest.len() + 1;
            let (kind, length) = match first {
                ';' => (Some(Kind::Break), 1),
                c if c.is_whitespace() => (None, 1),
                c if c.is_ascii_alphabetic() || c == '_' => {
                    let length = rest.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '_').count();
                    (Some(Kind::Word(rest.iter().take(length).collect())), length)
                }
                c if c.is_ascii_digit() || c == '.' => number(rest, line, column)?,
                _ => sign(rest, line, column)?,
            };
            if let Some(kind) = kind {
                found.push(Token { kind, line, column });
            }
            rest = rest.get(length..).unwrap_or(&[]);
        }
        found.push(Token { kind: Kind::Line, line, column: code.len() + 1 });
    }
    found.push(Token { kind: Kind::End, line: lines, column: 1 });
    Ok(found)
}

fn number(rest: &[char], line: usize, column: usize) -> Result<(Option<Kind>, usize), RuleError> {
    let mut length = 0;
    let mut previous = ' ';
    for &c in rest {
        let exponent_sign = (c == '-' || c == '+') && (previous == 'e' || previous == 'E');
        if !(c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '_') || exponent_sign) {
            break;
        }
        previous = c;
        length += 1;
    }
    let written: String = rest.iter().take(length).collect();
    match written.replace('_', "").parse::<f64>() {
        Ok(value) if value.is_finite() => Ok((Some(Kind::Number(value)), length)),
        _ => Err(RuleError::Text {
            line,
            column,
            found: format!("`{written}`"),
            expected: "a number such as 12, 0.25 or 1e-3; a product needs its `*`".into(),
        }),
    }
}

fn sign(rest: &[char], line: usize, column: usize) -> Result<(Option<Kind>, usize), RuleError> {
    for sign in SIGNS {
        if sign.chars().eq(rest.iter().copied().take(sign.len())) {
            return Ok((Some(Kind::Sign(sign)), sign.len()));
        }
    }
    let found: String = rest.iter().take(1).collect();
    let expected = "a word, a number or one of { } ( ) | : ; = * + - ^ < <=".into();
    Err(RuleError::Text { line, column, found: format!("`{found}`"), expected })
}
