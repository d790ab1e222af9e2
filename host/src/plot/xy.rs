//! Values over values: lines, points with intervals, columns and bands.

use std::fmt::Write;

use super::frame::{Area, Key, axes, head, line_class};
use super::scale::{Kind, Scale};
use super::svg::{Svg, n};
use super::{Plot, WIDTH};
use crate::table::Table;

/// A plot with two numeric axes. See the [module](super) for an example.
#[derive(Debug, Clone)]
pub struct Xy {
    title: String,
    x: Axis,
    y: Axis,
    series: Vec<Series>,
    references: Vec<Reference>,
}

#[derive(Debug, Clone, Default)]
struct Axis {
    label: String,
    kind: Kind,
    fixed: Option<(f64, f64)>,
}

#[derive(Debug, Clone)]
struct Series {
    name: String,
    mark: Mark,
    points: Vec<Point>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Line,
    Points,
    Columns,
    Band,
}

/// A value with its interval; `low` and `high` equal `y` where there is none.
#[derive(Debug, Clone, Copy)]
struct Point {
    x: f64,
    y: f64,
    low: f64,
    high: f64,
}

/// A dashed line across the plot at a value that matters.
#[derive(Debug, Clone)]
struct Reference {
    across_x: bool,
    value: f64,
    name: String,
}

impl Xy {
    /// An empty plot; the labels carry the units.
    pub fn new(title: &str, x_label: &str, y_label: &str) -> Self {
        let axis = |label: &str| Axis { label: label.to_owned(), ..Axis::default() };
        Self {
            title: title.to_owned(),
            x: axis(x_label),
            y: axis(y_label),
            series: Vec::new(),
            references: Vec::new(),
        }
    }

    /// A line through `(x, y)`; a value that is not finite interrupts it.
    #[must_use]
    pub fn line(self, name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.plain(name, Mark::Line, points)
    }

    /// Points at `(x, y)`.
    #[must_use]
    pub fn points(self, name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.plain(name, Mark::Points, points)
    }

    /// Columns of height `y` at `x`, as in a histogram.
    #[must_use]
    pub fn columns(self, name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.plain(name, Mark::Columns, points)
    }

    /// Points with intervals: `(x, y, low, high)`.
    #[must_use]
    pub fn intervals(self, name: &str, points: impl IntoIterator<Item = (f64, f64, f64, f64)>) -> Self {
        let points = points.into_iter().map(|(x, y, low, high)| Point { x, y, low, high });
        self.with(name, Mark::Points, points.collect())
    }

    /// A shaded band: `(x, low, high)`.
    #[must_use]
    pub fn band(self, name: &str, points: impl IntoIterator<Item = (f64, f64, f64)>) -> Self {
        let points =
            points.into_iter().map(|(x, low, high)| Point { x, y: low / 2.0 + high / 2.0, low, high });
        self.with(name, Mark::Band, points.collect())
    }

    /// A dashed vertical line at `x`.
    #[must_use]
    pub fn mark_x(mut self, name: &str, x: f64) -> Self {
        self.references.push(Reference { across_x: true, value: x, name: name.to_owned() });
        self
    }

    /// A dashed horizontal line at `y`.
    #[must_use]
    pub fn mark_y(mut self, name: &str, y: f64) -> Self {
        self.references.push(Reference { across_x: false, value: y, name: name.to_owned() });
        self
    }

    /// Makes the horizontal axis logarithmic; what is not positive is left out.
    #[must_use]
    pub fn log_x(mut self) -> Self {
        self.x.kind = Kind::Log;
        self
    }

    /// Makes the vertical axis logarithmic; what is not positive is left out.
    #[must_use]
    pub fn log_y(mut self) -> Self {
        self.y.kind = Kind::Log;
        self
    }

    /// Fixes the horizontal range.
    #[must_use]
    pub fn x_range(mut self, low: f64, high: f64) -> Self {
        self.x.fixed = Some((low, high));
        self
    }

    /// Fixes the vertical range; what lies beyond is drawn at the edge.
    #[must_use]
    pub fn y_range(mut self, low: f64, high: f64) -> Self {
        self.y.fixed = Some((low, high));
        self
    }

    fn plain(self, name: &str, mark: Mark, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let points = points.into_iter().map(|(x, y)| Point { x, y, low: y, high: y });
        self.with(name, mark, points.collect())
    }

    fn with(mut self, name: &str, mark: Mark, points: Vec<Point>) -> Self {
        self.series.push(Series { name: name.to_owned(), mark, points });
        self
    }

    fn scales(&self) -> (Scale, Scale) {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let marks = |across_x: bool| {
            self.references
                .iter()
                .filter(move |reference| reference.across_x == across_x)
                .map(|reference| reference.value)
        };
        let half = self.column_width().unwrap_or(0.0) / 2.0;
        let xs = points().flat_map(|point| [point.x - half, point.x + half]).chain(marks(true));
        let ys = points().flat_map(|point| [point.y, point.low, point.high]).chain(marks(false));
        // Columns stand on the zero line.
        let zero = self.column_width().map(|_| 0.0);
        (
            Scale::around(xs, self.x.kind, self.x.fixed),
            Scale::around(ys.chain(zero), self.y.kind, self.y.fixed),
        )
    }

    /// The least distance between columns, if there are columns.
    fn column_width(&self) -> Option<f64> {
        let columns = self.series.iter().filter(|series| series.mark == Mark::Columns);
        let mut xs: Vec<f64> = columns
            .flat_map(|series| &series.points)
            .map(|point| point.x)
            .filter(|x| x.is_finite())
            .collect();
        xs.sort_by(f64::total_cmp);
        let gaps = xs.windows(2).filter_map(|pair| match pair {
            [a, b] if b > a => Some(b - a),
            _ => None,
        });
        let least = gaps.fold(f64::INFINITY, f64::min);
        match (xs.is_empty(), least.is_finite()) {
            (true, _) => None,
            (false, true) => Some(least),
            (false, false) => Some(1.0),
        }
    }

    fn draw_references(&self, svg: &mut Svg, area: &Area, x: &Scale, y: &Scale) {
        for reference in &self.references {
            if reference.across_x {
                if let Some(place) = area.x(x, reference.value) {
                    svg.line((place, area.top), (place, area.bottom()), "r");
                    svg.text((place + 4.0, area.top + 11.0), "k", &reference.name);
                }
            } else if let Some(place) = area.y(y, reference.value) {
                svg.line((area.left, place), (area.right(), place), "r");
                svg.text((area.right(), place - 4.0), "k e", &reference.name);
            }
        }
    }
}

impl Plot for Xy {
    fn title(&self) -> &str {
        &self.title
    }

    fn table(&self) -> Table {
        let with_interval =
            |series: &Series| series.points.iter().any(|point| point.low != point.y || point.high != point.y);
        let intervals = self.series.iter().any(with_interval);
        let mut table = Table::new(&self.title).text("series").number(&self.x.label);
        table = table.number(&self.y.label);
        if intervals {
            table = table.number("low").number("high");
        }
        for series in &self.series {
            for point in &series.points {
                let mut row = vec![series.name.as_str().into(), point.x.into(), point.y.into()];
                if intervals {
                    row.extend([point.low.into(), point.high.into()]);
                }
                table.push(row);
            }
        }
        table
    }

    fn fragment(&self) -> String {
        let mut svg = Svg::new(WIDTH, 320.0);
        let keys: Vec<_> = self.series.iter().map(Series::key).collect();
        let top = head(&mut svg, &self.title, &keys) + 6.0;
        let area = Area { left: 62.0, top, width: WIDTH - 74.0, height: 320.0 - 44.0 - top };
        let (x, y) = self.scales();
        axes(&mut svg, &area, (&x, &self.x.label), (&y, &self.y.label));
        let column = self.column_width().unwrap_or(1.0);
        for (index, series) in self.series.iter().enumerate() {
            match series.mark {
                Mark::Band => series.draw_band(&mut svg, index, &area, &x, &y),
                Mark::Columns => series.draw_columns(&mut svg, index, &area, &x, &y, column),
                Mark::Line => series.draw_line(&mut svg, index, &area, &x, &y),
                Mark::Points => series.draw_points(&mut svg, index, &area, &x, &y),
            }
        }
        self.draw_references(&mut svg, &area, &x, &y);
        let description = format!("{} over {}", self.y.label, self.x.label);
        svg.finish(&self.title, &description)
    }
}

impl Series {
    fn key(&self) -> (String, Key) {
        let key = match self.mark {
            Mark::Line => Key::Line,
            Mark::Points => Key::Points,
            Mark::Columns | Mark::Band => Key::Area,
        };
        (self.name.clone(), key)
    }

    fn draw_line(&self, svg: &mut Svg, index: usize, area: &Area, x: &Scale, y: &Scale) {
        let mut path = String::new();
        let mut pen = 'M';
        for point in &self.points {
            match (area.x(x, point.x), area.y(y, point.y)) {
                (Some(px), Some(py)) => {
                    let _ = write!(path, "{pen}{} {}", n(px), n(py));
                    pen = 'L';
                }
                _ => pen = 'M',
            }
        }
        if !path.is_empty() {
            svg.path(&path, &line_class(index));
        }
    }

    fn draw_points(&self, svg: &mut Svg, index: usize, area: &Area, x: &Scale, y: &Scale) {
        for point in &self.points {
            let (Some(px), Some(py)) = (area.x(x, point.x), area.y(y, point.y)) else {
                continue;
            };
            if let (Some(low), Some(high)) = (area.y(y, point.low), area.y(y, point.high))
                && low != high
            {
                let (left, right) = (n(px - 4.0), n(px + 4.0));
                let (px, low, high) = (n(px), n(low), n(high));
                let whisker = format!("M{left} {low}H{right}M{left} {high}H{right}M{px} {low}V{high}");
                svg.path(&whisker, &format!("w s{}", index % 8));
            }
            svg.mark((px, py), index);
        }
    }

    fn draw_columns(&self, svg: &mut Svg, index: usize, area: &Area, x: &Scale, y: &Scale, step: f64) {
        let Some(floor) = area.y(y, y.low().max(0.0)) else {
            return;
        };
        for point in &self.points {
            let edges = (x.at(point.x - step * 0.45), x.at(point.x + step * 0.45));
            if let ((Some(left), Some(right)), Some(top)) = (edges, area.y(y, point.y)) {
                let left = area.left + left.clamp(0.0, 1.0) * area.width;
                let right = area.left + right.clamp(0.0, 1.0) * area.width;
                let size = ((right - left).max(0.6), (floor - top).abs());
                svg.rect((left, top.min(floor)), size, &format!("f{}", index % 8));
            }
        }
    }

    fn draw_band(&self, svg: &mut Svg, index: usize, area: &Area, x: &Scale, y: &Scale) {
        let edge =
            |point: &Point, value: f64| Some(format!("{} {}", n(area.x(x, point.x)?), n(area.y(y, value)?)));
        let there = self.points.iter().filter_map(|point| edge(point, point.high));
        let back = self.points.iter().rev().filter_map(|point| edge(point, point.low));
        let outline: Vec<_> = there.chain(back).collect();
        if outline.len() > 2 {
            let path = format!("M{}z", outline.join("L"));
            svg.path(&path, &format!("b f{}", index % 8));
        }
    }
}
