//! A matrix as colours, or a mesh of cores with loads on its links.

use super::scale::label;
use super::svg::{Svg, n};
use super::{Plot, WIDTH, fitted};
use crate::table::{Cell, Table};

/// A larger matrix is drawn as means over blocks; the table keeps every value.
const MOST_CELLS: usize = 128;

/// A heat map. Row 0 is at the top.
///
/// ```
/// use synop::plot::{Heat, Plot};
/// let plot = Heat::new("Packets per core", "x", "y", "packets", 2, vec![5.0, 3.0, 0.0, 8.0])
///     .link((0, 0), (1, 0), 12.0);
/// assert!(plot.svg().contains("packets"));
/// ```
#[derive(Debug, Clone)]
pub struct Heat {
    title: String,
    x_label: String,
    y_label: String,
    value_label: String,
    columns: usize,
    values: Vec<f64>,
    links: Vec<Link>,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    from: (usize, usize),
    to: (usize, usize),
    load: f64,
}

/// The matrix as drawn: at most [`MOST_CELLS`] each way.
struct Grid {
    columns: usize,
    rows: usize,
    block: usize,
    values: Vec<f64>,
    low: f64,
    high: f64,
}

impl Heat {
    /// A heat map of `values`, row by row, `columns` in each; `value_label` carries the unit.
    /// A value that is not finite leaves its cell empty.
    pub fn new(
        title: &str,
        x_label: &str,
        y_label: &str,
        value_label: &str,
        columns: usize,
        values: Vec<f64>,
    ) -> Self {
        Self {
            title: title.to_owned(),
            x_label: x_label.to_owned(),
            y_label: y_label.to_owned(),
            value_label: value_label.to_owned(),
            columns: columns.max(1),
            values,
            links: Vec::new(),
        }
    }

    /// Adds a directed link between the cells `(column, row)`; its width shows its load.
    #[must_use]
    pub fn link(mut self, from: (usize, usize), to: (usize, usize), load: f64) -> Self {
        self.links.push(Link { from, to, load });
        self
    }

    fn rows(&self) -> usize {
        self.values.len().div_ceil(self.columns).max(1)
    }

    fn grid(&self) -> Grid {
        let block = self.columns.max(self.rows()).div_ceil(MOST_CELLS);
        let (columns, rows) = (self.columns.div_ceil(block), self.rows().div_ceil(block));
        let mut sums = vec![(0.0, 0u32); columns * rows];
        for (index, value) in self.values.iter().enumerate().filter(|(_, v)| v.is_finite()) {
            let (x, y) = (index % self.columns / block, index / self.columns / block);
            if let Some((sum, count)) = sums.get_mut(y * columns + x) {
                *sum += value;
                *count += 1;
            }
        }
        let mean = |&(sum, count): &(f64, u32)| {
            if count == 0 { f64::NAN } else { sum / f64::from(count) }
        };
        let values: Vec<f64> = sums.iter().map(mean).collect();
        let finite = || values.iter().copied().filter(|v| v.is_finite());
        let low = finite().fold(f64::INFINITY, f64::min);
        let high = finite().fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low <= high { (low, high) } else { (0.0, 0.0) };
        Grid { columns, rows, block, values, low, high }
    }

    fn draw_links(&self, svg: &mut Svg, at: (f64, f64), cell: (f64, f64)) {
        let most = self.links.iter().map(|link| link.load).fold(0.0, f64::max);
        let inside = |(column, row)| column < self.columns && row < self.rows();
        let drawn = |link: &&Link| link.load > 0.0 && inside(link.from) && inside(link.to);
        for link in self.links.iter().filter(drawn) {
            let centre = |(column, row): (usize, usize)| {
                (at.0 + (column as f64 + 0.5) * cell.0, at.1 + (row as f64 + 0.5) * cell.1)
            };
            let (from, to) = (centre(link.from), centre(link.to));
            let (dx, dy) = (to.0 - from.0, to.1 - from.1);
            let length = dx.hypot(dy);
            if length == 0.0 {
                continue;
            }
            // Keep to the right, so that both directions show.
            let (side_x, side_y) = (-dy / length * 3.5, dx / length * 3.5);
            let (x0, y0) = (from.0 + dx * 0.22 + side_x, from.1 + dy * 0.22 + side_y);
            let (x1, y1) = (from.0 + dx * 0.78 + side_x, from.1 + dy * 0.78 + side_y);
            let (hx, hy) = (dx / length * 5.0, dy / length * 5.0);
            let head = format!(
                "M{} {}L{} {}M{} {}L{} {}L{} {}",
                n(x0),
                n(y0),
                n(x1),
                n(y1),
                n(x1 - hx - hy * 0.6),
                n(y1 - hy + hx * 0.6),
                n(x1),
                n(y1),
                n(x1 - hx + hy * 0.6),
                n(y1 - hy - hx * 0.6),
            );
            svg.wide_path(&head, "w s1", 0.6 + 4.0 * link.load / most);
        }
    }

    fn draw_colour_bar(&self, svg: &mut Svg, at: (f64, f64), height: f64, grid: &Grid) {
        const STEPS: usize = 32;
        let step = height / STEPS as f64;
        for index in 0..STEPS {
            let share = 1.0 - index as f64 / (STEPS - 1) as f64;
            let place = (at.0, at.1 + index as f64 * step);
            svg.tile(place, (12.0, step + 0.4), &colour(share), "");
        }
        svg.text((at.0 + 17.0, at.1 + 9.0), "k", &label(grid.high));
        svg.text((at.0 + 17.0, at.1 + height), "k", &label(grid.low));
        let middle = at.1 + height / 2.0;
        svg.upward_text((at.0 + 62.0, middle), "k m", &fitted(&self.value_label, height - 30.0));
    }
}

impl Plot for Heat {
    fn title(&self) -> &str {
        &self.title
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&self.title)
            .text("what")
            .number(&self.x_label)
            .number(&self.y_label)
            .text("to")
            .number(&self.value_label);
        for (index, value) in self.values.iter().enumerate() {
            let (x, y) = (index % self.columns, index / self.columns);
            table.push(vec!["cell".into(), Cell::from(x), Cell::from(y), "".into(), (*value).into()]);
        }
        for link in &self.links {
            let to = format!("{},{}", link.to.0, link.to.1);
            table.push(vec![
                "link".into(),
                Cell::from(link.from.0),
                Cell::from(link.from.1),
                to.into(),
                link.load.into(),
            ]);
        }
        table
    }

    fn fragment(&self) -> String {
        let grid = self.grid();
        let (left, top, room) = (44.0, 34.0, WIDTH - 44.0 - 84.0);
        let cell_width = room / grid.columns as f64;
        // Square cells where they fit the page, flat ones where the map would be a tower.
        let cell_height = cell_width.min(380.0 / grid.rows as f64).clamp(1.5, 64.0);
        let cell_width = cell_width.min(64.0);
        let (width, height) = (cell_width * grid.columns as f64, cell_height * grid.rows as f64);
        let mut svg = Svg::new(WIDTH, top + height.max(90.0) + 40.0);
        svg.text((8.0, 20.0), "t", &fitted(&self.title, WIDTH - 8.0));
        for (index, value) in grid.values.iter().enumerate().filter(|(_, v)| v.is_finite()) {
            let (x, y) = (index % grid.columns, index / grid.columns);
            let place = (left + x as f64 * cell_width, top + y as f64 * cell_height);
            let share = if grid.high > grid.low { (value - grid.low) / (grid.high - grid.low) } else { 0.5 };
            let hint = if grid.values.len() <= 1024 {
                format!("{x}, {y}: {}", label(*value))
            } else {
                String::new()
            };
            svg.tile(place, (cell_width + 0.3, cell_height + 0.3), &colour(share), &hint);
        }
        if grid.block == 1 {
            self.draw_links(&mut svg, (left, top), (cell_width, cell_height));
        }
        let last = |cells: usize| (cells - 1).to_string();
        svg.text((left, top + height + 15.0), "k", "0");
        svg.text((left + width, top + height + 15.0), "k e", &last(self.columns));
        svg.text((left - 6.0, top + 10.0), "k e", "0");
        svg.text((left - 6.0, top + height), "k e", &last(self.rows()));
        svg.text((left + width / 2.0, top + height + 30.0), "k m", &self.x_label);
        svg.upward_text((14.0, top + height / 2.0), "k m", &fitted(&self.y_label, height.max(30.0)));
        self.draw_colour_bar(&mut svg, (left + width + 10.0, top), height.max(90.0), &grid);
        let blocks = match grid.block {
            1 => String::new(),
            block => format!(", means over {block} by {block} cells"),
        };
        svg.finish(&self.title, &format!("{}{blocks}", self.value_label))
    }
}

/// Dark blue to yellow, even in lightness: nine stops of the viridis map, linear between.
fn colour(share: f64) -> String {
    const STOPS: [[f64; 3]; 9] = [
        [68.0, 1.0, 84.0],
        [71.0, 44.0, 122.0],
        [59.0, 81.0, 139.0],
        [44.0, 113.0, 142.0],
        [33.0, 144.0, 141.0],
        [39.0, 173.0, 129.0],
        [92.0, 200.0, 99.0],
        [170.0, 220.0, 50.0],
        [253.0, 231.0, 37.0],
    ];
    let share = if share.is_finite() { share } else { 0.0 };
    let place = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let index = (place as usize).min(STOPS.len() - 2);
    let part = place - index as f64;
    let [r, g, b] = [0, 1, 2].map(|channel| {
        let (from, to) = (STOPS[index][channel], STOPS[index + 1][channel]);
        (from + (to - from) * part).round() as u8
    });
    format!("#{r:02x}{g:02x}{b:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_run_from_end_to_end_and_never_leave_the_map() {
        assert_eq!(colour(0.0), "#440154");
        assert_eq!(colour(1.0), "#fde725");
        assert_eq!(colour(f64::NAN), "#440154");
        assert_eq!(colour(7.0), colour(1.0));
    }

    #[test]
    fn a_large_matrix_is_drawn_as_block_means_but_kept_whole_in_the_table() {
        let plot = Heat::new("w", "pre", "post", "weight", 300, vec![2.0; 300 * 200]);
        let grid = plot.grid();
        assert_eq!((grid.columns, grid.rows, grid.block), (100, 67, 3));
        assert!(grid.values.iter().all(|value| *value == 2.0));
        assert_eq!(plot.table().rows().len(), 60_000);
    }
}
