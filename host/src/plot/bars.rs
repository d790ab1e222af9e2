//! Named categories with lengths: grouped or stacked horizontal bars.

use super::frame::{Area, Key, head, head_height};
use super::scale::{Kind, Scale};
use super::svg::{Svg, n};
use super::{Plot, WIDTH, fitted, text_width};
use crate::table::Table;

/// Thickness of one bar and of the gap between categories.
const BAR: f64 = 16.0;
const GAP: f64 = 8.0;

/// Horizontal bars, one row per category; they leave room for long names.
///
/// ```
/// use synop::plot::{Bars, Plot};
/// let plot = Bars::new("Energy by class", "energy (J)", &["sparse", "dense"])
///     .row_with_interval("spike", &[(1.0e-9, 0.8e-9, 1.2e-9), (4.0e-9, 3.2e-9, 4.8e-9)])
///     .row("soma update", &[2.0e-9, 2.1e-9]);
/// assert!(plot.svg().contains("soma update"));
/// ```
#[derive(Debug, Clone)]
pub struct Bars {
    title: String,
    label: String,
    series: Vec<String>,
    stacked: bool,
    kind: Kind,
    rows: Vec<(String, Vec<Bar>)>,
}

#[derive(Debug, Clone, Copy)]
struct Bar {
    value: f64,
    low: f64,
    high: f64,
}

impl Bars {
    /// An empty plot with the names of the bars in each category; the label carries the unit.
    pub fn new(title: &str, label: &str, series: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            label: label.to_owned(),
            series: series.iter().map(|name| (*name).to_owned()).collect(),
            stacked: false,
            kind: Kind::Linear,
            rows: Vec::new(),
        }
    }

    /// Adds a category with one value per series.
    #[must_use]
    pub fn row(self, name: &str, values: &[f64]) -> Self {
        let intervals: Vec<_> = values.iter().map(|value| (*value, *value, *value)).collect();
        self.row_with_interval(name, &intervals)
    }

    /// Adds a category with one `(value, low, high)` per series.
    #[must_use]
    pub fn row_with_interval(mut self, name: &str, values: &[(f64, f64, f64)]) -> Self {
        let bars = values.iter().map(|&(value, low, high)| Bar { value, low, high });
        self.rows.push((name.to_owned(), bars.collect()));
        self
    }

    /// Puts the bars of a category end to end instead of below each other.
    #[must_use]
    pub fn stacked(mut self) -> Self {
        self.stacked = true;
        self
    }

    /// Makes the scale logarithmic, which stacked bars do not allow.
    #[must_use]
    pub fn log(mut self) -> Self {
        self.kind = Kind::Log;
        self
    }

    fn kind(&self) -> Kind {
        if self.stacked { Kind::Linear } else { self.kind }
    }

    fn scale(&self) -> Scale {
        let zero = (self.kind() == Kind::Linear).then_some(0.0);
        let ends = self.rows.iter().flat_map(|(_, bars)| {
            if self.stacked {
                vec![bars.iter().map(|bar| bar.value).filter(|v| v.is_finite()).sum()]
            } else {
                bars.iter().flat_map(|bar| [bar.value, bar.low, bar.high]).collect()
            }
        });
        Scale::around(ends.chain(zero), self.kind(), None)
    }

    fn row_height(&self) -> f64 {
        let bars = if self.stacked { 1 } else { self.series.len().max(1) };
        bars as f64 * BAR + GAP
    }

    fn draw_row(&self, svg: &mut Svg, top: f64, area: &Area, scale: &Scale, bars: &[Bar]) {
        let origin = area.x(scale, 0.0).unwrap_or(area.left);
        let mut offset = 0.0;
        for (index, bar) in bars.iter().enumerate() {
            let (from, to, y) = if self.stacked {
                let from = offset;
                offset += if bar.value.is_finite() { bar.value } else { 0.0 };
                (area.x(scale, from), area.x(scale, offset), top)
            } else {
                let y = top + index as f64 * BAR;
                (Some(origin), area.x(scale, bar.value), y)
            };
            let (Some(from), Some(to)) = (from, to) else {
                continue;
            };
            let size = ((to - from).abs(), BAR - 3.0);
            svg.rect((from.min(to), y), size, &format!("f{}", index % 8));
            if !self.stacked && bar.low < bar.high {
                self.draw_whisker(svg, y + (BAR - 3.0) / 2.0, area, scale, bar);
            }
        }
    }

    fn draw_whisker(&self, svg: &mut Svg, y: f64, area: &Area, scale: &Scale, bar: &Bar) {
        let low = area.x(scale, bar.low).unwrap_or(area.left);
        if let Some(high) = area.x(scale, bar.high) {
            let (up, down) = (n(y - 4.0), n(y + 4.0));
            let (low, high, y) = (n(low), n(high), n(y));
            svg.path(&format!("M{low} {up}V{down}M{high} {up}V{down}M{low} {y}H{high}"), "a");
        }
    }
}

impl Plot for Bars {
    fn title(&self) -> &str {
        &self.title
    }

    fn table(&self) -> Table {
        let intervals = self
            .rows
            .iter()
            .flat_map(|(_, bars)| bars)
            .any(|bar| bar.low != bar.value || bar.high != bar.value);
        let mut table = Table::new(&self.title).text("category").text("series").number(&self.label);
        if intervals {
            table = table.number("low").number("high");
        }
        for (category, bars) in &self.rows {
            for (series, bar) in self.series.iter().zip(bars) {
                let mut row = vec![category.as_str().into(), series.as_str().into(), bar.value.into()];
                if intervals {
                    row.extend([bar.low.into(), bar.high.into()]);
                }
                table.push(row);
            }
        }
        table
    }

    fn fragment(&self) -> String {
        let keys: Vec<_> = self.series.iter().map(|name| (name.clone(), Key::Area)).collect();
        let top = head_height(&self.title, &keys) + 4.0;
        let height = self.rows.len().max(1) as f64 * self.row_height();
        let mut svg = Svg::new(WIDTH, top + height + 44.0);
        head(&mut svg, &self.title, &keys);
        let longest = self.rows.iter().map(|(name, _)| text_width(name)).fold(40.0, f64::max);
        let left = longest.min(WIDTH * 0.4) + 14.0;
        let area = Area { left, top, width: WIDTH - left - 24.0, height };
        let scale = self.scale();
        for (value, label) in scale.ticks(5) {
            if let Some(place) = area.x(&scale, value) {
                svg.line((place, area.top), (place, area.bottom()), "g");
                svg.text((place, area.bottom() + 16.0), "k m", &label);
            }
        }
        svg.text((area.left + area.width / 2.0, area.bottom() + 34.0), "k m", &self.label);
        for (index, (name, bars)) in self.rows.iter().enumerate() {
            let y = area.top + index as f64 * self.row_height() + GAP / 2.0;
            let middle = y + (self.row_height() - GAP) / 2.0 + 3.0;
            svg.text((area.left - 8.0, middle), "k e", &fitted(name, left - 14.0));
            self.draw_row(&mut svg, y, &area, &scale, bars);
        }
        svg.finish(&self.title, &self.label)
    }
}
