//! How cost grows: with events, neurons, synapses, cores and threads.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use serde_json::json;
use synop_core::store::Event;
use synop_core::{Count, Machine, Threefry, Unobserved};
use synop_model::image::write;
use synop_model::memory::Memory;
use synop_model::network::{Lif, Network, Param, Population, Rows, Synapses};
use synop_model::placement::Placement;

use super::brunel::{self, Brunel};
use super::clock::Spent;
use super::{Setting, build, image};
use crate::Failure;
use crate::plot::Xy;
use crate::report::Report;
use crate::simd::Native;
use crate::threads::{NoInput, Team, arenas};

/// One measured point of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// What is varied.
    pub x: f64,
    /// Synaptic events.
    pub events: u64,
    /// Processor and wall seconds.
    pub spent: Spent,
}

/// A curve: what is varied, what cost is drawn, and the points.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Short name, for labels and files.
    pub name: &'static str,
    /// What is on the x axis.
    pub x: &'static str,
    /// The points, in ascending order of x.
    pub points: Vec<Point>,
    /// Whether the wall, not processors, tells the cost.
    pub wall: bool,
}

impl Curve {
    /// Seconds of a point.
    pub fn seconds(&self, p: &Point) -> f64 {
        if self.wall { p.spent.wall_s } else { p.spent.cpu_s }
    }

    /// A report with the points under `bench`.
    pub fn report(&self, seed: u64) -> Report {
        let mut report = Report::labelled(seed, &format!("scaling-{}", self.name));
        let point = |p: &Point| {
            json!({
                "x": p.x,
                "events": p.events,
                "cpu_s": p.spent.cpu_s,
                "wall_s": p.spent.wall_s,
                "events_per_s": p.events as f64 / p.spent.cpu_s,
            })
        };
        let points: Vec<_> = self.points.iter().map(point).collect();
        report.more.insert("bench".into(), json!({ "over": self.x, "points": points }));
        report
    }

    /// Seconds over what is varied, both axes logarithmic, and the line of proportion through the last point.
    pub fn plot(&self) -> Xy {
        let all = self.points.iter().map(|p| (p.x, self.seconds(p))).collect::<Vec<_>>();
        let y = if self.wall { "seconds on the clock" } else { "processor seconds" };
        let mut plot = Xy::new(&format!("Cost over {}", self.x), self.x, y).log_x().log_y();
        if let Some(last) = all.last().copied() {
            let proportional = all.iter().map(|(x, _)| (*x, last.1 * x / last.0)).collect::<Vec<_>>();
            if !self.wall {
                plot = plot.line("proportional", proportional);
            }
        }
        plot.points("measured", all)
    }
}

/// Neurons of the network whose activity is varied.
const SIZE: usize = 10_000;
/// Synapses of each of its inputs.
const FAN_OUT: usize = 500;

/// Cost over activity: an undriven network of neurons at rest, of whose inputs a share spikes in every tick.
///
/// # Errors
/// The work failed: the network has no image.
pub fn activity(shares: &[f64], ticks: usize, setting: &Setting) -> Result<Curve, Failure> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(setting.seed);
    let mut net = Network::default();
    let source = net.add_population(Population::input("input", SIZE, 1));
    let lif = Lif { threshold: Param::All(1 << 29), decay: Param::q31(1 << 30), ..Lif::default() };
    let target = net.add_population(Population::lif("quiet", SIZE, 1, lif));
    let mut lists = vec![Vec::new(); SIZE];
    for list in &mut lists {
        let width = SIZE / FAN_OUT;
        let near = |k: usize, random: &mut Xoshiro256PlusPlus| k * width + random.next_u32() as usize % width;
        list.extend((0..FAN_OUT).map(|k| (near(k, &mut random) as u32, (k % 15) as i16 - 7)));
    }
    let rows = Rows::from_lists(&lists);
    net.connect(source, target, 1, Synapses::Sparse { bits: 8, weight: 0, rows });
    let blob = write(&net, &Placement::one_core(&net)).map_err(Failure::work)?;
    let image = blob.image().map_err(Failure::work)?;
    let mut memory = Memory::zeros(image.memory(0..image.cores).words());
    let mut machine = Machine::new(image, &mut memory).map_err(Failure::work)?;
    let mut points = Vec::new();
    for share in shares {
        let below = (share * 2f64.powi(32)) as u64;
        let pick = |random: &mut Xoshiro256PlusPlus| -> Vec<Event> {
            (0..SIZE as i32).filter(|_| u64::from(random.next_u32()) < below).map(|i| [i, 1]).collect()
        };
        let input: Vec<Vec<Event>> = (0..ticks).map(|_| pick(&mut random)).collect();
        let mut best: Option<Point> = None;
        for _ in 0..setting.repeats {
            machine.restart();
            let mut draws = Threefry::<13>::new(0);
            let (done, spent) = Spent::on(|| {
                input.iter().try_for_each(|events| {
                    machine.inject(source as u32, events)?;
                    machine.step(&Native::detect(), &mut draws, &mut Unobserved);
                    Ok::<_, synop_core::InputError>(())
                })
            });
            done.map_err(Failure::work)?;
            let point = Point { x: 100.0 * share, events: machine.total(Count::StoredEvents), spent };
            if best.is_none_or(|b| spent.cpu_s < b.spent.cpu_s) {
                best = Some(point);
            }
        }
        points.extend(best);
    }
    Ok(Curve { name: "activity", x: "active inputs, %", points, wall: false })
}

/// W1 with one thing varied: `x` beside the network, the number of cores and of threads.
fn balanced(
    name: &'static str,
    x: &'static str,
    cases: Vec<(f64, Brunel, usize, usize)>,
    setting: &Setting,
) -> Result<Curve, Failure> {
    let mut points = Vec::new();
    for (at, brunel, cores, threads) in cases {
        let built = build(|| brunel.network(setting.seed), cores)?;
        let image = image(&built)?;
        let mut memory = arenas(&image, threads);
        let mut team = Team::new(image, &mut memory).map_err(Failure::work)?;
        let ticks = ((2_000.0 * setting.length) as u64).max(20);
        let mut best: Option<Point> = None;
        for _ in 0..setting.repeats {
            team.machines_mut().iter_mut().for_each(Machine::restart);
            team.run(&Native::detect(), 500, &NoInput).map_err(Failure::work)?;
            let before = team.total(Count::StoredEvents);
            let (done, spent) = Spent::on(|| team.run(&Native::detect(), ticks, &NoInput));
            done.map_err(Failure::work)?;
            let point = Point { x: at, events: team.total(Count::StoredEvents) - before, spent };
            if best.is_none_or(|b| spent.cpu_s < b.spent.cpu_s) {
                best = Some(point);
            }
        }
        points.extend(best);
    }
    Ok(Curve { name, x, points, wall: name == "threads" })
}

/// All curves.
///
/// # Errors
/// The work failed: a network has no image.
pub fn curves(setting: &Setting) -> Result<Vec<Curve>, Failure> {
    let base = Brunel { neurons: 5_000, inputs: 500, ..brunel::AI };
    let sizes = [1_250, 2_500, 5_000, 10_000, 20_000];
    let neurons = sizes.map(|n| (n as f64, Brunel { neurons: n, inputs: 250, ..base }, 1, 1));
    let fans = [100, 200, 400, 800, 1_600];
    // The same drive by recurrent input: J falls as the number of inputs grows.
    let psp = |k: usize| base.psp_mv * 500.0 / k as f64;
    let synapses = fans.map(|k| (k as f64, Brunel { inputs: k, psp_mv: psp(k), ..base }, 1, 1));
    let cores = [1, 4, 16, 64, 128].map(|c| (c as f64, base, c, 1));
    let threads: Vec<_> = (1..=setting.threads.max(2)).map(|t| (t as f64, brunel::AI, t, t)).collect();
    let ticks = ((200.0 * setting.length) as usize).max(10);
    Ok(vec![
        activity(&[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0], ticks, setting)?,
        balanced("neurons", "neurons", neurons.to_vec(), setting)?,
        balanced("synapses", "synapses per neuron", synapses.to_vec(), setting)?,
        balanced("cores", "cores on one thread", cores.to_vec(), setting)?,
        balanced("threads", "threads", threads, setting)?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_follows_events() {
        let setting = Setting { seed: 1, threads: 1, repeats: 5, length: 1.0, out: None };
        let curve = activity(&[0.001, 0.01, 1.0], 20, &setting).unwrap();
        let events: Vec<_> = curve.points.iter().map(|p| p.events).collect();
        assert!(events[2] > 900 * events[0] && events[2] > 90 * events[1], "{events:?}");
        let seconds: Vec<_> = curve.points.iter().map(|p| p.spent.cpu_s).collect();
        // 1 % of the activity costs 1 to 2 % of the time on an idle machine; this one may be busy.
        assert!(seconds[1] < 0.06 * seconds[2], "{seconds:?}");
        assert_eq!(curve.report(1).more["bench"]["points"].as_array().unwrap().len(), 3);
    }
}
