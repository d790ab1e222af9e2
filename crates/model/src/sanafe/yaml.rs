//! YAML as a tree with line numbers: bounded in depth and size, aliases refused.

use super::SanafeError;
use saphyr_parser::{Event, Parser};

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 32;
/// Most nodes that are read.
const MAX_NODES: usize = 50_000_000;

/// A node and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Line, from 1.
    pub(super) line: usize,
    /// What it is.
    pub(super) value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Text, not interpreted.
    Scalar(String),
    /// Items in order.
    List(Vec<Node>),
    /// Entries in order of the file.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The entry with this key; in a list of maps, as attributes may be written, that of the last one that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(m) => m.iter().find(|(k, _)| k == key).map(|(_, n)| n),
            Value::List(l) => l.iter().rev().find_map(|n| n.get(key)),
            Value::Scalar(_) => None,
        }
    }

    /// The entries of a map; none of anything else.
    pub(super) fn entries(&self) -> &[(String, Node)] {
        match &self.value {
            Value::Map(m) => m,
            _ => &[],
        }
    }

    /// The items of a list; a single map counts as a list of one.
    pub(super) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(l) => l,
            Value::Map(_) => std::slice::from_ref(self),
            Value::Scalar(_) => &[],
        }
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(s) => Some(s),
            _ => None,
        }
    }

    /// The number in a scalar, if it is a finite one.
    pub(super) fn number(&self) -> Option<f64> {
        self.text()?.trim().parse::<f64>().ok().filter(|x| x.is_finite())
    }

    /// The truth value in a scalar.
    pub(super) fn truth(&self) -> Option<bool> {
        match self.text()?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => None,
        }
    }
}

/// A collection that is being read.
enum Open {
    List(usize, Vec<Node>),
    Map(usize, Vec<(String, Node)>, Option<String>),
}

/// Reads one document.
pub(super) fn read(text: &str, file: &str) -> Result<Node, SanafeError> {
    let fault = |line: usize, detail: String| SanafeError::Syntax { file: file.into(), line, detail };
    let mut parser = Parser::new_from_str(text);
    let mut stack: Vec<Open> = Vec::new();
    let mut nodes = 0usize;
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|e| fault(e.marker().line(), e.info().to_string()))?;
        let line = span.start.line();
        let done = match event {
            Event::Scalar(text, ..) => Node { line, value: Value::Scalar(text.into_owned()) },
            Event::SequenceStart(..) => {
                stack.push(Open::List(line, Vec::new()));
                if stack.len() > MAX_DEPTH {
                    return Err(fault(line, format!("nested deeper than {MAX_DEPTH} levels")));
                }
                continue;
            }
            Event::MappingStart(..) => {
                stack.push(Open::Map(line, Vec::new(), None));
                if stack.len() > MAX_DEPTH {
                    return Err(fault(line, format!("nested deeper than {MAX_DEPTH} levels")));
                }
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match stack.pop() {
                Some(Open::List(line, items)) => Node { line, value: Value::List(items) },
                Some(Open::Map(line, entries, _)) => Node { line, value: Value::Map(entries) },
                None => return Err(fault(line, "an end without a start".into())),
            },
            Event::Alias(_) => return Err(fault(line, "aliases are not read; write the value out".into())),
            _ => continue,
        };
        nodes += 1;
        if nodes > MAX_NODES {
            return Err(fault(line, format!("more than {MAX_NODES} values")));
        }
        match stack.last_mut() {
            None => return Ok(done),
            Some(Open::List(_, items)) => items.push(done),
            Some(Open::Map(_, entries, key)) => match key.take() {
                Some(k) => entries.push((k, done)),
                None => match done.value {
                    Value::Scalar(k) => *key = Some(k),
                    _ => return Err(fault(line, "a key that is not plain text".into())),
                },
            },
        }
    }
    Err(fault(1, "an empty document".into()))
}
