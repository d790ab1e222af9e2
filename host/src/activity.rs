//! The figures of a run on inputs: spikes and membranes of the first sample, rates, traffic on the mesh, time.

use synop_cost::Chip;
use synop_cost::route::{self, Direction};

use crate::Failure;
use crate::input::Inputs;
use crate::pipeline::{self, Compiled, Keep, Ran, Spike};
use crate::plot::{Bars, Heat, Raster, Xy};
use crate::report::{Figure, Section};
use crate::simd::Native;

/// Neurons of a population whose membranes are drawn: those that spiked most.
const TRACED: usize = 3;

/// Every figure that the run has data for.
///
/// # Errors
/// Bad input: the first sample cannot be made.
pub fn figures(compiled: &Compiled, ran: &Ran, inputs: &Inputs, chip: &Chip) -> Result<Vec<Figure>, Failure> {
    let mut figures = Vec::new();
    if !inputs.is_empty() {
        let image = compiled.image()?;
        let mut arena = vec![0u64; image.memory(0..image.cores).words()];
        let keep = Keep { spikes: true, membranes: true, largest: false };
        let sample = inputs.sample(0)?;
        let first = pipeline::present(compiled, image, &mut arena, &Native::detect(), 0, &sample, keep)?;
        let populations: Vec<Drawn<'_>> = compiled
            .populations
            .iter()
            .map(|p| Drawn { name: &p.name, size: p.size, has_membranes: !p.input })
            .collect();
        figures.extend(rates(compiled, ran));
        figures.extend(of_sample("the first sample", &populations, &first.spikes, &first.membranes));
    }
    figures.extend(mesh(compiled, ran, chip));
    figures.extend(ticks(ran));
    Ok(figures)
}

/// A population as a figure shows it.
#[derive(Debug, Clone, Copy)]
pub struct Drawn<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its neurons.
    pub size: usize,
    /// Whether it has membranes to draw.
    pub has_membranes: bool,
}

/// Raster and membranes of one sample: its spikes, and its membranes by tick, population and neuron.
pub fn of_sample(
    which: &str,
    populations: &[Drawn<'_>],
    spikes: &[Spike],
    membranes: &[Vec<Vec<i32>>],
) -> Vec<Figure> {
    let mut figures = vec![raster(which, populations, spikes)];
    figures.extend(traces(which, populations, spikes, membranes));
    figures
}

fn raster(which: &str, populations: &[Drawn<'_>], spikes: &[Spike]) -> Figure {
    let mut plot = Raster::new(&format!("Spikes of {which}"));
    for (number, population) in (0u32..).zip(populations) {
        let own = spikes.iter().filter(|spike| spike.1 == number);
        plot = plot.population(
            population.name,
            population.size as u32,
            own.map(|&(tick, _, neuron, _)| (u64::from(tick), neuron)),
        );
    }
    Figure::new(Section::Activity, &plot, "Every event of every population, tick by tick.")
}

fn rates(compiled: &Compiled, ran: &Ran) -> Option<Figure> {
    if ran.ticks == 0 {
        return None;
    }
    let mut plot = Bars::new("Rates", "spikes per neuron and tick", &["rate"]);
    for (population, spikes) in compiled.populations.iter().zip(&ran.spikes_per_population) {
        let places = population.size.max(1) as f64 * ran.ticks as f64;
        plot = plot.row(&population.name, &[*spikes as f64 / places]);
    }
    Some(Figure::new(
        Section::Activity,
        &plot,
        "Mean over all samples; a graded or multiple event counts its value.",
    ))
}

/// Membranes of the busiest neurons of each population, in the image's units.
fn traces(
    which: &str,
    populations: &[Drawn<'_>],
    spikes: &[Spike],
    membranes: &[Vec<Vec<i32>>],
) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (number, population) in populations.iter().enumerate().filter(|(_, p)| p.has_membranes) {
        let mut busy = vec![0u32; population.size];
        for spike in spikes.iter().filter(|spike| spike.1 as usize == number) {
            if let Some(count) = busy.get_mut(spike.2 as usize) {
                *count += 1;
            }
        }
        let mut order: Vec<usize> = (0..population.size).collect();
        order.sort_by_key(|neuron| std::cmp::Reverse(busy[*neuron]));
        let title = format!("Membranes of {} in {which}", population.name);
        let mut plot = Xy::new(&title, "tick", "membrane (image units)");
        for &neuron in order.iter().take(TRACED) {
            let line = membranes.iter().enumerate().filter_map(|(tick, all)| {
                let v = all.get(number)?.get(neuron)?;
                Some((tick as f64, f64::from(*v)))
            });
            plot = plot.line(&format!("neuron {neuron}"), line);
        }
        let note = "After each tick; the neurons that spiked most.";
        figures.push(Figure::new(Section::Activity, &plot, note));
    }
    figures
}

/// Packets that reach each tile, and the loads of the links, where the image stands on a mesh of several tiles.
fn mesh(compiled: &Compiled, ran: &Ran, chip: &Chip) -> Option<Figure> {
    let carried = compiled.on_chip.as_ref()?.routes.carried(chip, &ran.sent);
    let (width, height) = (chip.mesh.width as usize, chip.mesh.height as usize);
    if width * height < 2 || ran.samples == 0 {
        return None;
    }
    let samples = ran.samples as f64;
    let mut values = vec![0.0; width * height];
    for ((core, _), (packets, _)) in &carried.arrived {
        let (x, y) = route::position(chip.mesh, chip.tile_of(*core));
        if let Some(value) = values.get_mut(y as usize * width + x as usize) {
            *value += *packets as f64 / samples;
        }
    }
    let mut plot = Heat::new(
        "Traffic on the mesh",
        "tile, x",
        "tile, y",
        "packets that arrive, per sample",
        width,
        values,
    );
    for (link, packets) in &carried.links {
        let (x, y) = route::position(chip.mesh, link.tile);
        let (x, y) = (x as usize, y as usize);
        let from = match link.towards {
            Direction::East => (x.checked_sub(1)?, y),
            Direction::West => (x + 1, y),
            Direction::North => (x, y.checked_sub(1)?),
            Direction::South => (x, y + 1),
        };
        plot = plot.link(from, (x, y), *packets as f64 / samples);
    }
    Some(Figure::new(Section::Network, &plot, "Lines are links; their width is the packets that cross them."))
}

/// Time and work of a tick, mean over the samples.
fn ticks(ran: &Ran) -> Vec<Figure> {
    let mean = |of: fn(&pipeline::ByTick) -> f64| -> Vec<(f64, f64)> {
        let each = ran.by_tick.iter().enumerate().filter(|(_, t)| t.samples > 0);
        each.map(|(tick, t)| (tick as f64, of(t) / t.samples as f64)).collect()
    };
    let mut figures = Vec::new();
    if ran.by_tick.iter().any(|t| t.time_s > 0.0) {
        let plot = Xy::new("Time of each tick", "tick", "time (s)").line("mean", mean(|t| t.time_s));
        figures.push(Figure::new(
            Section::Latency,
            &plot,
            "Time of the emulated chip, mean over the samples.",
        ));
    }
    if !ran.by_tick.is_empty() {
        let plot = Xy::new("Synaptic events of each tick", "tick", "events")
            .line("mean", mean(|t| t.synaptic_events as f64));
        figures.push(Figure::new(Section::Activity, &plot, "Mean over the samples."));
    }
    figures
}
