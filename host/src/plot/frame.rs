//! Title, legend, axes and grid around a plotting area.

use super::scale::Scale;
use super::{LINE, Svg, WIDTH, fitted, text_width};

/// How a series shows in the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Line,
    Points,
    Area,
}

/// The area between the axes, in picture units.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Area {
    pub(super) fn right(&self) -> f64 {
        self.left + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// The place of a value on the horizontal scale, if inside the area.
    pub(super) fn x(&self, scale: &Scale, value: f64) -> Option<f64> {
        let share = scale.at(value)?;
        (-0.001..=1.001).contains(&share).then_some(self.left + share * self.width)
    }

    /// The place of a value on the vertical scale, held to the area.
    pub(super) fn y(&self, scale: &Scale, value: f64) -> Option<f64> {
        let share = scale.at(value)?.clamp(0.0, 1.0);
        Some(self.bottom() - share * self.height)
    }
}

/// Draws the title and the legend; returns the height they take.
pub(super) fn head(svg: &mut Svg, title: &str, keys: &[(String, Key)]) -> f64 {
    svg.text((8.0, 20.0), "t", &fitted(title, WIDTH - 8.0));
    let mut y = 28.0;
    if keys.len() < 2 {
        return y;
    }
    let mut x = 8.0;
    y += LINE;
    for (series, (name, key)) in keys.iter().enumerate() {
        let name = fitted(name, WIDTH - 60.0);
        let width = 34.0 + text_width(&name);
        if x > 8.0 && x + width > WIDTH {
            x = 8.0;
            y += LINE;
        }
        legend_key(svg, (x, y - 4.0), series, *key);
        svg.text((x + 26.0, y), "k", &name);
        x += width;
    }
    y + 6.0
}

/// Height that [`head`] will take, for pictures whose height depends on it.
pub(super) fn head_height(title: &str, keys: &[(String, Key)]) -> f64 {
    head(&mut Svg::new(WIDTH, 0.0), title, keys)
}

fn legend_key(svg: &mut Svg, (x, y): (f64, f64), series: usize, key: Key) {
    match key {
        Key::Line => svg.line((x, y), (x + 22.0, y), &line_class(series)),
        Key::Points => svg.mark((x + 11.0, y), series),
        Key::Area => svg.rect((x + 4.0, y - 5.0), (14.0, 10.0), &format!("f{}", series % 8)),
    }
}

/// The classes of a series' line: colour, and dashes that differ from its neighbours'.
pub(super) fn line_class(series: usize) -> String {
    format!("l s{} d{}", series % 8, (series + series / 8) % 4)
}

/// Draws grid, ticks and labels of both axes around an area.
pub(super) fn axes(svg: &mut Svg, area: &Area, x: (&Scale, &str), y: (&Scale, &str)) {
    for (value, label) in y.0.ticks(5) {
        if let Some(place) = area.y(y.0, value) {
            svg.line((area.left, place), (area.right(), place), "g");
            svg.text((area.left - 6.0, place + 4.0), "k e", &label);
        }
    }
    for (value, label) in x.0.ticks(7) {
        if let Some(place) = area.x(x.0, value) {
            svg.line((place, area.bottom()), (place, area.bottom() + 4.0), "a");
            svg.text((place, area.bottom() + 17.0), "k m", &label);
        }
    }
    svg.line((area.left, area.bottom()), (area.right(), area.bottom()), "a");
    let centre = area.left + area.width / 2.0;
    svg.text((centre, area.bottom() + 34.0), "k m", &fitted(x.1, area.width + 40.0));
    let middle = area.top + area.height / 2.0;
    svg.upward_text((14.0, middle), "k m", &fitted(y.1, area.height + 40.0));
}
