//! Tables: aligned for the terminal, as CSV, as HTML.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// Width of a terminal that every table fits.
pub const TERMINAL: usize = 80;

/// A table with named columns.
///
/// ```
/// use synop::table::Table;
/// let mut table = Table::new("Accuracy").text("mode").number("accuracy").number("spikes");
/// table.push(vec!["sparse".into(), 0.9531.into(), 90u64.into()]);
/// assert_eq!(table.csv(), "mode,accuracy,spikes\nsparse,0.9531,90\n");
/// assert!(table.terminal().contains("sparse    0.9531      90"));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    title: String,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Column {
    name: String,
    numeric: bool,
    unit: Option<String>,
}

/// One entry of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A measured or computed value; not finite prints as a dash.
    Number(f64),
    /// A count.
    Count(u64),
    /// Nothing is known.
    Empty,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<usize> for Cell {
    fn from(count: usize) -> Self {
        Self::Count(count as u64)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Into::into)
    }
}

impl Cell {
    /// For people: four significant digits, units with prefixes, counts in groups of three.
    fn shown(&self, column: &Column) -> String {
        match (self, &column.unit) {
            (Self::Number(value), Some(unit)) => return with_unit(*value, unit),
            (Self::Count(count), Some(unit)) => return with_unit(*count as f64, unit),
            _ => {}
        }
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(value) => number(*value),
            Self::Count(count) => grouped(*count),
            Self::Empty => "-".to_owned(),
        }
    }

    /// For programs: every digit, nothing where nothing is known.
    fn exact(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(value) if value.is_finite() => format!("{value}"),
            Self::Number(_) | Self::Empty => String::new(),
            Self::Count(count) => count.to_string(),
        }
    }
}

impl Table {
    /// A table without columns.
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), columns: Vec::new(), rows: Vec::new() }
    }

    /// Adds a column of words, aligned left.
    #[must_use]
    pub fn text(self, name: &str) -> Self {
        self.column(name, false, None)
    }

    /// Adds a column of numbers, aligned right.
    #[must_use]
    pub fn number(self, name: &str) -> Self {
        self.column(name, true, None)
    }

    /// Adds a column of numbers with a unit: prefixes for people, plain SI in CSV.
    #[must_use]
    pub fn quantity(self, name: &str, unit: &str) -> Self {
        self.column(name, true, Some(unit.to_owned()))
    }

    fn column(mut self, name: &str, numeric: bool, unit: Option<String>) -> Self {
        self.columns.push(Column { name: name.to_owned(), numeric, unit });
        self
    }

    /// Adds a row; missing cells are empty, cells too many are left out.
    pub fn push(&mut self, mut row: Vec<Cell>) {
        row.resize(self.columns.len(), Cell::Empty);
        for cell in &mut row {
            // JSON has no other name for it, and a table that is kept must come back equal.
            if matches!(cell, Cell::Number(value) if !value.is_finite()) {
                *cell = Cell::Empty;
            }
        }
        self.rows.push(row);
    }

    /// The title.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The rows.
    pub fn rows(&self) -> &[Vec<Cell>] {
        &self.rows
    }

    /// The table in at most [`TERMINAL`] columns. Where it is wider, it continues below
    /// with its first column repeated; a text that is wider still is cut.
    pub fn terminal(&self) -> String {
        let mut cells: Vec<Vec<String>> = Vec::with_capacity(self.rows.len() + 1);
        cells.push(self.columns.iter().map(|column| column.name.clone()).collect());
        cells.extend(self.rows.iter().map(|row| self.shown(row).collect()));
        let widths = self.widths(&mut cells);
        let mut text = String::new();
        for block in blocks(&widths) {
            if !text.is_empty() {
                text.push('\n');
            }
            for row in &cells {
                let mut line = String::new();
                for &index in &block {
                    let (Some(cell), Some(width), Some(column)) =
                        (row.get(index), widths.get(index), self.columns.get(index))
                    else {
                        continue;
                    };
                    let gap = if line.is_empty() { "" } else { "  " };
                    let _ = if column.numeric {
                        write!(line, "{gap}{cell:>width$}")
                    } else {
                        write!(line, "{gap}{cell:<width$}")
                    };
                }
                text.push_str(line.trim_end());
                text.push('\n');
            }
        }
        text
    }

    /// The cells of a row as people read them.
    fn shown<'a>(&'a self, row: &'a [Cell]) -> impl Iterator<Item = String> + 'a {
        row.iter().zip(&self.columns).map(|(cell, column)| cell.shown(column))
    }

    /// Column widths; cells are cut so that a first column and one other always fit.
    fn widths(&self, cells: &mut [Vec<String>]) -> Vec<usize> {
        let mut widths = vec![0; self.columns.len()];
        for row in cells {
            for (index, (cell, width)) in row.iter_mut().zip(&mut widths).enumerate() {
                let most = if index == 0 { TERMINAL / 2 - 2 } else { TERMINAL / 2 };
                if self.columns.len() > 1 && cell.chars().count() > most {
                    *cell = cell.chars().take(most - 1).chain(['…']).collect();
                }
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }

    /// The table as CSV (RFC 4180, line feeds), with every digit.
    pub fn csv(&self) -> String {
        let header = self.columns.iter().map(|column| match &column.unit {
            Some(unit) => format!("{} ({unit})", column.name),
            None => column.name.clone(),
        });
        let rows = self.rows.iter().map(|row| row.iter().map(Cell::exact).collect::<Vec<_>>());
        let mut csv = String::new();
        for row in std::iter::once(header.collect()).chain(rows) {
            let fields: Vec<_> = row.iter().map(|field| quoted(field)).collect();
            csv.push_str(&fields.join(","));
            csv.push('\n');
        }
        csv
    }

    /// The table as an HTML `<table>` with at most `most` rows, and how many there are.
    pub fn html(&self, most: usize) -> String {
        use crate::plot::escape;
        let mut html = String::from("<table><thead><tr>");
        for column in &self.columns {
            let class = if column.numeric { " class=\"n\"" } else { "" };
            let _ = write!(html, "<th scope=\"col\"{class}>{}</th>", escape(&column.name));
        }
        html.push_str("</tr></thead><tbody>");
        for row in self.rows.iter().take(most) {
            html.push_str("<tr>");
            for (cell, column) in self.shown(row).zip(&self.columns) {
                let class = if column.numeric { " class=\"n\"" } else { "" };
                let _ = write!(html, "<td{class}>{}</td>", escape(&cell));
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody></table>");
        if self.rows.len() > most {
            let all = grouped(self.rows.len() as u64);
            let _ = write!(html, "<p class=\"more\">The first {most} of {all} rows.</p>");
        }
        html
    }
}

/// Which columns stand beside each other: as many as fit, the first one always.
fn blocks(widths: &[usize]) -> Vec<Vec<usize>> {
    let first = widths.first().copied().unwrap_or(0);
    let mut blocks = vec![vec![]];
    let mut used = 0;
    for (index, width) in widths.iter().enumerate() {
        let gap = if index == 0 { 0 } else { 2 };
        if index > 1 && used + gap + width > TERMINAL {
            blocks.push(vec![0]);
            used = first;
        }
        used += gap + width;
        if let Some(block) = blocks.last_mut() {
            block.push(index);
        }
    }
    blocks
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

/// A count in groups of three, with thin gaps that do not break: `1 234 567`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    if digits.len() <= 4 {
        return digits;
    }
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A value in four significant digits; a dash if it is not finite.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    let size = value.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e6).contains(&size) {
        return format!("{value:.3e}");
    }
    let whole_digits = size.log10().floor() as i32 + 1;
    let decimals = (4 - whole_digits).clamp(0, 6) as usize;
    format!("{value:.decimals$}")
}

/// A value with an SI prefix and its unit: `3.25 µJ`, `912 ps`, `0 J`.
pub fn with_unit(value: f64, unit: &str) -> String {
    const PREFIXES: [(f64, &str); 11] = [
        (1e12, "T"),
        (1e9, "G"),
        (1e6, "M"),
        (1e3, "k"),
        (1.0, ""),
        (1e-3, "m"),
        (1e-6, "µ"),
        (1e-9, "n"),
        (1e-12, "p"),
        (1e-15, "f"),
        (1e-18, "a"),
    ];
    if !value.is_finite() {
        return "-".to_owned();
    }
    if value == 0.0 {
        return format!("0 {unit}");
    }
    let (scale, prefix) =
        PREFIXES.into_iter().find(|(scale, _)| value.abs() >= scale * 0.9995).unwrap_or((1e-18, "a"));
    let scaled = value / scale;
    let decimals = match scaled.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    format!("{scaled:.decimals$} {prefix}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide() -> Table {
        let mut table = Table::new("wide").text("name");
        for index in 0..12 {
            table = table.number(&format!("column {index}"));
        }
        let mut row = vec![Cell::from("a name that is much longer than half a terminal is wide")];
        row.extend((0..12u64).map(|index| Cell::from(index * 123_456)));
        table.push(row);
        table
    }

    #[test]
    fn every_line_fits_the_terminal() {
        let text = wide().terminal();
        assert!(text.lines().all(|line| line.chars().count() <= TERMINAL), "{text}");
        for index in 0..12 {
            assert!(text.contains(&format!("column {index}")), "{text}");
        }
    }

    #[test]
    fn csv_quotes_what_needs_it_and_keeps_all_digits() {
        let mut table = Table::new("t").text("a,b").number("x");
        table.push(vec!["say \"hi\"".into(), (1.0 / 3.0).into()]);
        table.push(vec!["nothing".into(), f64::NAN.into()]);
        assert_eq!(table.csv(), "\"a,b\",x\n\"say \"\"hi\"\"\",0.3333333333333333\nnothing,\n");
    }

    #[test]
    fn quantities_have_prefixes_for_people_and_plain_units_for_programs() {
        let mut table = Table::new("t").text("run").quantity("energy", "J");
        table.push(vec!["a".into(), 3.25e-6.into()]);
        assert_eq!(table.csv(), "run,energy (J)\na,0.00000325\n");
        assert_eq!(table.terminal(), "run   energy\na    3.25 µJ\n");
    }

    #[test]
    fn html_escapes_and_says_when_it_is_cut() {
        let mut table = Table::new("t").text("<a>");
        for _ in 0..5 {
            table.push(vec!["x & y".into()]);
        }
        let html = table.html(3);
        assert!(html.contains("&lt;a&gt;") && html.contains("x &amp; y"));
        assert!(html.contains("The first 3 of 5 rows"));
        assert_eq!(html.matches("<tr>").count(), 4);
    }

    #[test]
    fn numbers_keep_four_digits() {
        for (value, text) in [
            (0.0, "0"),
            (95.312, "95.31"),
            (0.001234, "0.001234"),
            (123_456.7, "123457"),
            (1.5e-9, "1.500e-9"),
            (f64::INFINITY, "-"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn units_take_prefixes() {
        for (value, text) in [
            (3.25e-6, "3.25 µJ"),
            (912e-12, "912 pJ"),
            (0.99999, "1.00 J"),
            (0.0, "0 J"),
            (-2.0e3, "-2.00 kJ"),
        ] {
            assert_eq!(with_unit(value, "J"), text);
        }
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(grouped(1234), "1234");
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
    }
}
