//! The experiment file: read strictly, changed by `--set`, blamed with file, key, value and mend.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::{TASKS, Task};
use crate::{Failure, files};

/// Where the manual explains the files.
const MANUAL: &str = "the page experiments of the manual has the keys";

/// A key and the value that it is set to on the command line: `network.hidden=500`.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The key, tables and name joined by dots.
    pub key: String,
    /// Its values; one to set a key, several to make a grid over it.
    pub values: Vec<Value>,
}

impl FromStr for Setting {
    type Err = String;

    /// Reads `key=value` or `key=value,value,…`. A value is written as in TOML; bare words are strings, and
    /// `1..5` are the integers from 1 to 5.
    fn from_str(text: &str) -> Result<Self, String> {
        let Some((key, values)) = text.split_once('=') else {
            return Err("expected key=value, such as network.hidden=500".into());
        };
        let key = key.trim();
        if key.is_empty() || key.split('.').any(|part| part.trim().is_empty()) {
            return Err("the key before = is empty".into());
        }
        let mut all = Vec::new();
        for part in split(values) {
            match range(part) {
                Some(Ok(values)) => all.extend(values),
                Some(Err(what)) => return Err(what),
                None => all.push(value(part)?),
            }
        }
        Ok(Setting { key: key.to_owned(), values: all })
    }
}

/// Most integers that a range may stand for.
const MOST: u64 = 100_000;

/// `1..5` as 1, 2, 3, 4, 5.
fn range(text: &str) -> Option<Result<Vec<Value>, String>> {
    let (from, to) = text.split_once("..")?;
    let (from, to) = (from.trim().parse::<i64>().ok()?, to.trim().parse::<i64>().ok()?);
    if from > to || to.abs_diff(from) >= MOST {
        return Some(Err(format!("{text} is no range: expected FROM..TO, ascending, at most {MOST} values")));
    }
    Some(Ok((from..=to).map(Value::Integer).collect()))
}

/// A value as TOML writes it, or a bare word.
fn value(text: &str) -> Result<Value, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("a value is empty: write \"\" for an empty string".into());
    }
    match format!("v = {text}").parse::<Table>() {
        Ok(mut table) if table.len() == 1 => table.remove("v").ok_or_else(|| "no value".into()),
        _ if text.contains(['"', '\'', '[', '{', '\n']) => Err(format!("{text} is not a TOML value")),
        _ => Ok(Value::String(text.to_owned())),
    }
}

/// Splits at commas that are in no quotes and no brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quote) = (Vec::new(), 0, 0i32, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth -= 1,
            (None, ',') if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            (None, _) => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// A file as read, before keys are set.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) table: Table,
}

impl File {
    pub(crate) fn open(path: &Path) -> Result<File, Failure> {
        let text = files::read_text(path)?;
        let table = text.parse::<Table>().map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            Failure::bad_input("not TOML")
                .file(path)
                .place(format_args!("line {line}, column {column}"))
                .found(text.lines().nth(line - 1).unwrap_or("").trim())
                .expected(error.message().replace('\n', "; "))
                .mend("write key = value, one a line, below [tables]")
        })?;
        Ok(File { path: path.to_path_buf(), table })
    }

    /// The grid that the file itself asks for: dotted keys with their lists.
    pub(crate) fn grid(&self) -> Result<Vec<Setting>, Failure> {
        let mut grid = Vec::new();
        match self.table.get("sweep") {
            None => {}
            Some(Value::Table(table)) => flatten("", table, &mut grid),
            Some(other) => grid.push(Setting { key: String::new(), values: vec![other.clone()] }),
        }
        for setting in &mut grid {
            match setting.values.as_slice() {
                [Value::Array(list)] if !list.is_empty() => setting.values = list.clone(),
                found => {
                    return Err(Failure::bad_input("a key of the sweep needs a list of values")
                        .file(&self.path)
                        .place(format_args!("sweep.{}", setting.key))
                        .found(found.first().map(ToString::to_string).unwrap_or_default())
                        .expected("a list that is not empty, such as [1, 2, 3]")
                        .mend("put the values in brackets"));
                }
            }
        }
        Ok(grid)
    }

    /// The file with keys set; `seed` wins over the file's own, a setting over both.
    pub(crate) fn source(&self, settings: &[(String, Value)], seed: Option<u64>) -> Result<Source, Failure> {
        let mut keys = self.table.clone();
        keys.remove("sweep");
        for (key, value) in settings {
            insert(&mut keys, key, value.clone()).map_err(|what| {
                Failure::bad_input(what)
                    .place(format_args!("--set {key}"))
                    .found(value)
                    .expected("a key of the file, tables joined by dots")
                    .mend(MANUAL)
            })?;
        }
        let set: Vec<String> = settings.iter().map(|(key, _)| key.clone()).collect();
        let seed = seed.filter(|_| !set.iter().any(|key| key == "seed"));
        let mut source =
            Source { path: self.path.clone(), task: String::new(), title: None, seed: 1, keys, set };
        source.take_common()?;
        source.seed = seed.unwrap_or(source.seed);
        Ok(source)
    }
}

fn flatten(prefix: &str, table: &Table, into: &mut Vec<Setting>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, into),
            value => into.push(Setting { key, values: vec![value.clone()] }),
        }
    }
}

fn insert(table: &mut Table, key: &str, value: Value) -> Result<(), String> {
    match key.split_once('.') {
        None => {
            table.insert(key.trim().to_owned(), value);
            Ok(())
        }
        Some((first, rest)) => {
            match table.entry(first.trim().to_owned()).or_insert_with(|| Value::Table(Table::new())) {
                Value::Table(inner) => insert(inner, rest, value),
                _ => Err(format!("{first} is a value, not a table")),
            }
        }
    }
}

/// The keys of one run.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// The task that it names.
    pub task: String,
    /// The title that it gives.
    pub title: Option<String>,
    /// Seed of everything random.
    pub seed: u64,
    /// The keys of the task.
    pub keys: Table,
    /// Keys that the command line has set.
    set: Vec<String>,
}

impl Source {
    /// Takes `task`, `title` and `seed` out of the keys.
    fn take_common(&mut self) -> Result<(), Failure> {
        let known = || TASKS.iter().map(|task| task.name).collect::<Vec<_>>().join(", ");
        self.task = match self.keys.remove("task") {
            Some(Value::String(name)) => name,
            found => {
                let what = if found.is_none() { "the experiment names no task" } else { "not a task" };
                let mut failure =
                    self.wrong("task", what).expected(known()).mend("write task = \"NAME\" first");
                if let Some(found) = found {
                    failure = failure.found(found);
                }
                return Err(failure);
            }
        };
        self.title = match self.keys.remove("title") {
            None => None,
            Some(Value::String(title)) => Some(title),
            Some(found) => {
                return Err(self
                    .wrong("title", "not a title")
                    .found(found)
                    .expected("a string")
                    .mend("put it in quotes"));
            }
        };
        self.seed = match self.keys.remove("seed") {
            None => 1,
            Some(Value::Integer(seed)) if seed >= 0 => seed as u64,
            Some(found) => {
                return Err(self
                    .wrong("seed", "not a seed")
                    .found(found)
                    .expected("an integer from 0 to 2^63 - 1")
                    .mend("write seed = 1"));
            }
        };
        Ok(())
    }

    /// The entry of the table of tasks.
    pub(crate) fn entry(&self) -> Result<&'static Task, Failure> {
        TASKS.iter().find(|task| task.name == self.task).ok_or_else(|| {
            let known: Vec<_> = TASKS.iter().map(|task| task.name).collect();
            let failure = self.wrong("task", "there is no such task").found(&self.task);
            failure.expected(known.join(", ")).mend(
                nearest(&self.task, &known)
                    .map_or_else(|| "choose one of these".to_owned(), |name| format!("did you mean {name}?")),
            )
        })
    }

    /// The keys as the struct of a task.
    ///
    /// # Errors
    /// Bad input: an unknown or missing key, or a value of the wrong type or out of bounds.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_path_to_error::deserialize(Value::Table(self.keys.clone())).map_err(|error| {
            let key = error.path().to_string();
            let message = error.into_inner().message().trim().to_owned();
            self.refused(if key == "." { "" } else { &key }, &message)
        })
    }

    /// What a deserialiser says, as found, expected and mend.
    fn refused(&self, key: &str, message: &str) -> Failure {
        let quoted = |text: &str| text.split('`').nth(1).unwrap_or("").to_owned();
        let names = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let (what, expected) = match message.split_once(", expected ") {
            Some((what, expected)) => (what, Some(expected.to_owned())),
            None => (message, None),
        };
        let below = |table: &str, name: &str| match table {
            "" => name.to_owned(),
            _ if table == name || table.ends_with(&format!(".{name}")) => table.to_owned(),
            table => format!("{table}.{name}"),
        };
        if what.starts_with("unknown field") {
            let found = quoted(what);
            let place = below(key, &found);
            let known = names(expected.as_deref().unwrap_or(""));
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let mend = match nearest(&found, &known) {
                Some(name) => format!("did you mean {name}?"),
                None => format!("remove it; {MANUAL}"),
            };
            let mut failure = self.wrong(&place, "unknown key");
            if let Some(value) = self.find(&place) {
                failure = failure.found(format_args!("{found} = {}", short(value)));
            }
            let list = if known.is_empty() { "no key here".to_owned() } else { known.join(", ") };
            return failure.expected(list).mend(mend);
        }
        if what.starts_with("missing field") {
            let name = quoted(what);
            return self
                .wrong(&below(key, &name), "a key is missing")
                .expected(format_args!("{name} = …"))
                .mend(MANUAL);
        }
        let mut failure = self.wrong(key, what);
        if let Some(value) = self.find(key) {
            failure = failure.found(short(value));
        }
        match expected {
            Some(expected) => failure.mend(format_args!("set {key} to {expected}")).expected(expected),
            None => failure.mend(MANUAL),
        }
    }

    /// The value of a dotted key.
    fn find(&self, key: &str) -> Option<&Value> {
        let mut parts = key.split('.');
        let first = self.keys.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.as_table()?.get(part))
    }

    /// A mistake at a key: in the file, or on the command line where that has set the key.
    pub fn wrong(&self, key: &str, what: impl fmt::Display) -> Failure {
        let failure = Failure::bad_input(what);
        match self.set.iter().any(|set| set == key) {
            true => failure.place(format_args!("--set {key}")),
            false if key.is_empty() => failure.file(&self.path),
            false => failure.file(&self.path).place(key),
        }
    }

    /// Names the file in a failure that names a key but no file, and the value of that key.
    pub(crate) fn blame(&self, failure: Failure) -> Failure {
        let trouble = failure.trouble().clone();
        let Some(key) = trouble.place.filter(|_| trouble.file.is_none()) else { return failure };
        let failure = match self.set.contains(&key) {
            true => failure.place(format_args!("--set {key}")),
            false => failure.file(&self.path),
        };
        match self.find(&key) {
            Some(value) if trouble.found.is_none() => failure.found(short(value)),
            _ => failure,
        }
    }
}

/// A value on one line, not too long.
fn short(value: &Value) -> String {
    let text = value.to_string().replace('\n', " ");
    if text.chars().count() <= 60 { text } else { text.chars().take(57).chain("...".chars()).collect() }
}

/// The name that a typing error is nearest to, if it is near.
fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let far = (found.chars().count() / 3).max(1);
    let best = known.iter().map(|name| (distance(found, name), *name)).min_by_key(|(d, _)| *d);
    best.filter(|(d, _)| *d <= far).map(|(_, name)| name)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let here = (corner + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = row[j + 1];
            row[j + 1] = here;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_toml_values_words_lists_and_ranges() {
        let values = |text: &str| -> Vec<String> {
            let setting: Setting = text.parse().unwrap();
            setting.values.iter().map(ToString::to_string).collect()
        };
        assert_eq!(values("a.b=1,2.5,true"), ["1", "2.5", "true"]);
        assert_eq!(values("a=rate:8,\"mixed:5,clip=8\""), ["\"rate:8\"", "\"mixed:5,clip=8\""]);
        assert_eq!(values("a=[4, 2],[1]"), ["[4, 2]", "[1]"]);
        assert_eq!(values("seed=1..3,7"), ["1", "2", "3", "7"]);
        for bad in ["a", "=1", "a..b=1", "a=", "a=[1", "seed=5..1", "seed=0..9999999999"] {
            assert!(bad.parse::<Setting>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_typing_error_finds_the_key_that_was_meant() {
        assert_eq!(nearest("hiden", &["inputs", "hidden"]), Some("hidden"));
        assert_eq!(nearest("zebra", &["inputs", "hidden"]), None);
        assert_eq!((distance("kitten", "sitting"), distance("", "abc")), (3, 3));
    }
}
