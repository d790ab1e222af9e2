//! Spikes: which neuron, at which tick.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::frame::{Area, Key, axes, head};
use super::scale::{Kind, Scale};
use super::svg::{Svg, n};
use super::{Plot, WIDTH};
use crate::table::{Cell, Table};

/// A spike raster of one or more populations, neurons upwards, ticks to the right.
///
/// ```
/// use synop::plot::{Plot, Raster};
/// let plot = Raster::new("First sample").population("hidden", 4, [(0, 1), (3, 2), (3, 3)]);
/// assert_eq!(plot.table().rows().len(), 3);
/// ```
#[derive(Debug, Clone)]
pub struct Raster {
    title: String,
    populations: Vec<Population>,
}

#[derive(Debug, Clone)]
struct Population {
    name: String,
    neurons: u32,
    spikes: Vec<(u64, u32)>,
}

impl Raster {
    /// An empty raster.
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), populations: Vec::new() }
    }

    /// Adds a population of `neurons` above the others, with its spikes as `(tick, neuron)`.
    #[must_use]
    pub fn population(
        mut self,
        name: &str,
        neurons: u32,
        spikes: impl IntoIterator<Item = (u64, u32)>,
    ) -> Self {
        let spikes = spikes.into_iter().collect();
        self.populations.push(Population { name: name.to_owned(), neurons, spikes });
        self
    }
}

impl Plot for Raster {
    fn title(&self) -> &str {
        &self.title
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&self.title).text("population").number("tick").number("neuron");
        for population in &self.populations {
            for (tick, neuron) in &population.spikes {
                table.push(vec![
                    population.name.as_str().into(),
                    Cell::from(*tick),
                    Cell::from(u64::from(*neuron)),
                ]);
            }
        }
        table
    }

    fn fragment(&self) -> String {
        let mut svg = Svg::new(WIDTH, 340.0);
        let keys: Vec<_> =
            self.populations.iter().map(|population| (population.name.clone(), Key::Area)).collect();
        let top = head(&mut svg, &self.title, &keys) + 6.0;
        let area = Area { left: 62.0, top, width: WIDTH - 74.0, height: 340.0 - 44.0 - top };
        let ticks = self.populations.iter().flat_map(|population| &population.spikes);
        let last = ticks.map(|(tick, _)| *tick).max().unwrap_or(0);
        let neurons: u64 = self.populations.iter().map(|p| u64::from(p.neurons)).sum();
        let x = Scale::around([].into_iter(), Kind::Linear, Some((-0.5, last as f64 + 0.5)));
        let y = Scale::around([].into_iter(), Kind::Linear, Some((-0.5, neurons.max(1) as f64 - 0.5)));
        axes(&mut svg, &area, (&x, "tick"), (&y, "neuron"));
        let height = (area.height / neurons.max(1) as f64).clamp(1.2, 9.0);
        let mut base = 0u64;
        for (index, population) in self.populations.iter().enumerate() {
            let path = population.path(base, &area, &x, &y, height);
            if !path.is_empty() {
                svg.wide_path(&path, &format!("w s{}", index % 8), 1.4);
            }
            base += u64::from(population.neurons);
        }
        svg.finish(&self.title, "spikes of neurons over ticks")
    }
}

impl Population {
    /// One stroke per spike; spikes that would cover each other are drawn once, so that
    /// the picture has a bounded size whatever the number of spikes.
    fn path(&self, base: u64, area: &Area, x: &Scale, y: &Scale, height: f64) -> String {
        let mut places = BTreeSet::new();
        for &(tick, neuron) in &self.spikes {
            let row = (base + u64::from(neuron)) as f64;
            if let (Some(px), Some(py)) = (area.x(x, tick as f64), area.y(y, row)) {
                places.insert(((px * 2.0) as i64, (py * 2.0) as i64));
            }
        }
        let mut path = String::new();
        for (px, py) in places {
            let (px, py) = (px as f64 / 2.0, py as f64 / 2.0 - height / 2.0);
            let _ = write!(path, "M{} {}v{}", n(px), n(py), n(height));
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_spikes_make_a_bounded_picture() {
        let spikes = (0..1_000_000u64).map(|i| (i % 5000, (i % 977) as u32));
        let plot = Raster::new("many").population("all", 977, spikes);
        assert!(plot.fragment().len() < 8_000_000);
    }
}
