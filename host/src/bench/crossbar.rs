//! Crossbars: reads with converters, with and without the drop along wires, and pulses.
//!
//! Conductances lie between 1 and 25 µS. An event is a product of an input and a pair of devices; `bench` also has
//! the time of one read, and with wires the loss and the distance from the exact nodal solution.

use serde_json::{Map, json};
use synop_core::crossbar::{Crossbar as Bar, Memory, Pair, Shape, Wires as CoreWires};
use synop_core::{Count, Machine, Threefry, Unobserved};
use synop_device::wires::{self, Wires};
use synop_device::{Preset, Resolution, compile};
use synop_model::crossbar::{Converter, Crossbar};
use synop_model::network::{Lif, Network, Population, Synapses};

use super::bound::{Bound, Bounds};
use super::clock::Spent;
use super::{Measured, Outcome, Setting, build, counts, image};
use crate::Failure;
use crate::report::{Counts, Report, SynOps};
use crate::simd::Native;

/// A crossbar that is read.
#[derive(Clone, Copy, Debug)]
pub struct Reads {
    /// Rows and columns.
    size: usize,
    /// Ω from cell to cell.
    ohm: f64,
    /// Every tenth row spikes, instead of a number of 8 bits on each.
    spikes: bool,
}

/// The largest weight.
const TOP: i32 = 127;
/// Most rows of an array that takes 8-bit inputs: its sums fit 32 bits.
const ROWS: usize = 512;

impl Reads {
    /// `size` rows and columns, ideal wires, dense 8-bit inputs.
    pub fn new(size: usize) -> Self {
        Self { size, ohm: 0.0, spikes: false }
    }

    /// With a resistance from cell to cell.
    #[must_use]
    pub fn wires(self, ohm: f64) -> Self {
        Self { ohm, ..self }
    }

    /// With spikes on a tenth of the rows.
    #[must_use]
    pub fn spikes(self) -> Self {
        Self { spikes: true, ..self }
    }

    fn payload(&self) -> u32 {
        if self.spikes { 1 } else { 127 }
    }

    /// One value per row.
    pub fn inputs(&self) -> Vec<i32> {
        let value = |i: usize| if self.spikes { i32::from(i % 10 == 3) } else { (i * 53 % 255) as i32 - 127 };
        (0..self.size).map(value).collect()
    }

    fn weights(&self) -> Vec<i16> {
        (0..self.size * self.size).map(|k| (k * 7919 % 255) as i16 - 127).collect()
    }

    /// The network: inputs `rows`, neurons `columns` and the crossbar between them, of ideal devices.
    ///
    /// # Errors
    /// The work failed: the devices do not come with the program.
    pub fn network(&self) -> Result<Network, Failure> {
        Ok(self.network_of(&device()?))
    }

    fn network_of(&self, device: &Preset) -> Network {
        let mut net = Network::default();
        let input = net.add_population(Population::input("rows", self.size, self.payload()));
        let lif = Lif { silent: true, stateless: true, ..Lif::default() };
        let out = net.add_population(Population::lif("columns", self.size, 1, lif));
        let mut bar = Crossbar::new(device.clone(), TOP, self.weights());
        bar.resolution = Resolution::bare(24, 5);
        bar.tile = (ROWS, self.size);
        bar.wires = Wires { row_ohm: self.ohm, column_ohm: self.ohm };
        let range = f64::from(TOP) * f64::from(self.payload()) * self.size as f64;
        bar.converter = Some(Converter { bits: 8, full_scale: 0.1 * range });
        net.connect(input, out, 0, Synapses::Crossbar(Box::new(bar)));
        net
    }
}

fn device() -> Result<Preset, Failure> {
    let mut device = Preset::shipped("ideal").map_err(Failure::work)?;
    (device.cell.g_min_us, device.cell.g_max_us) = (1.0, 25.0);
    Ok(device)
}

/// Reads over and over, on one thread.
///
/// # Errors
/// The work failed: the network has no image, or the machine refuses its input.
pub fn reads(label: &str, reads: &Reads, setting: &Setting) -> Result<Report, Failure> {
    let device = device()?;
    let built = build(|| reads.network_of(&device), 1)?;
    let image = image(&built)?;
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    let state_bytes = 8 * arena.len();
    let mut machine = Machine::new(image, &mut arena).map_err(Failure::work)?;
    let (inputs, kernels, mut draws) = (reads.inputs(), Native::detect(), Threefry::new(setting.seed));
    let products = (inputs.iter().filter(|x| **x != 0).count() * reads.size) as u64;
    let ticks = ((1.5e9 * setting.length / products as f64).ceil() as u64).max(1);
    let mut bounds = Bounds::default();
    let mut best = Measured::default();
    for _ in 0..setting.repeats {
        bounds.measure(&[Bound::DenseRows]);
        machine.restart();
        let (done, spent) = Spent::on(|| {
            (0..ticks).try_for_each(|_| {
                machine.drive(0, &inputs)?;
                machine.step(&kernels, &mut draws, &mut Unobserved);
                Ok::<_, synop_core::InputError>(())
            })
        });
        done.map_err(Failure::work)?;
        best.keep_faster(Measured { events: machine.total(Count::StoredEvents), spent }, 1);
    }
    let (counts, synops) = counts(&image, std::iter::once(&machine), ticks);
    let mut more = Map::new();
    more.insert("read_us".into(), json!(best.spent.cpu_s * 1e6 / ticks as f64));
    more.insert("conversions".into(), json!(machine.total(Count::Conversions)));
    if reads.ohm > 0.0 {
        let matrix: Vec<i16> =
            (0..image.ports).filter_map(|p| machine.array(p)).flat_map(|a| a.matrix.to_vec()).collect();
        accuracy(reads, &device, &matrix, &mut more);
    }
    let outcome = Outcome {
        label,
        built: &built,
        state_bytes,
        best,
        ticks,
        bound: ("dense_rows", bounds.get(Bound::DenseRows).unwrap_or(f64::NAN)),
        bounds,
        threads: 1,
        more,
    };
    Ok(outcome.report(setting, counts, synops))
}

/// The loss along the wires, and how far currents by the machine's matrix are from the exact solution.
fn accuracy(reads: &Reads, device: &Preset, matrix: &[i16], more: &mut Map<String, serde_json::Value>) {
    let n = reads.size;
    let (low, high) = (device.cell.g_min_us * 1e-6, device.cell.g_max_us * 1e-6);
    let side = |sign: f64| -> Vec<f64> {
        let place = |w: &i16| 0.5 + 0.5 * sign * f64::from(*w) / f64::from(TOP);
        reads.weights().iter().map(|w| low + (high - low) * place(w)).collect()
    };
    let volt: Vec<f64> = reads.inputs().iter().map(|x| 0.2 * f64::from(*x) / 127.0).collect();
    let ones = vec![0.2; n];
    let wires = Wires { row_ohm: reads.ohm, column_ohm: reads.ohm };
    let (plus, minus) = (side(1.0), side(-1.0));
    let all = wires::solve(&plus, n, &ones, &wires).currents_a;
    let ideal = wires::ideal(&plus, n, &ones);
    let loss = all.iter().zip(&ideal).map(|(a, b)| 1.0 - a / b).fold(0.0, f64::max);
    let factorised = wires::ideal(&wires::factorised(&plus, n, &wires), n, &ones);
    let form = factorised.iter().zip(&all).map(|(a, b)| (a / b - 1.0).abs()).fold(0.0, f64::max);
    let exact: Vec<f64> = wires::solve(&plus, n, &volt, &wires)
        .currents_a
        .iter()
        .zip(wires::solve(&minus, n, &volt, &wires).currents_a)
        .map(|(a, b)| a - b)
        .collect();
    let unit = (high - low) / 32768.0;
    let mut found = vec![0.0; n];
    for (row, v) in matrix.chunks_exact(n).zip(&volt) {
        for (sum, w) in found.iter_mut().zip(row) {
            *sum += v * unit * f64::from(*w);
        }
    }
    let largest = exact.iter().map(|a| a.abs()).fold(f64::MIN_POSITIVE, f64::max);
    let error = found.iter().zip(&exact).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f64::max);
    more.insert("wire_ohm".into(), json!(reads.ohm));
    more.insert("loss_max".into(), json!(loss));
    more.insert("current_error_max".into(), json!(form));
    more.insert("difference_error_max".into(), json!(error));
}

/// Pulses rows of pairs over and over, on one thread; an event is a pulse on one device. With `sparse` above 1, one in
/// so many rows and columns of 1024 × 1024 takes three pulses a cell; else every pair of 256 × 256 takes one. `Pair`
/// says whether both devices of a pair do, or only the plus device, as in libraries whose cell is one device.
///
/// # Errors
/// The work failed: the device does not compile.
pub fn pulses(
    label: &str,
    name: &str,
    pair: Pair,
    sparse: usize,
    setting: &Setting,
) -> Result<Report, Failure> {
    let n = if sparse > 1 { 1024 } else { 256 };
    let preset = Preset::shipped(name).map_err(Failure::work)?;
    let resolution = Resolution { drift: false, ..Resolution::default() };
    let compiled = compile(&preset, &resolution).map_err(Failure::work)?;
    let class = compiled.class().map_err(Failure::work)?;
    let built = build(|| Reads::new(8).network_of(&preset), 1)?;
    let wires = CoreWires::default();
    let shape = Shape { rows: n, columns: n, pair, first_device: 0, row_devices: 2 * n as u32, wires };
    let mut draws = Threefry::<13>::new(setting.seed);
    let (mut states, mut pulses) = (vec![0u32; 2 * n * n], vec![0u32; 2 * n * n]);
    let (mut matrix, mut charge, mut scratch) = (vec![0i16; n * n], vec![0u64; n], vec![0u64; 2 * n]);
    let memory = Memory {
        states: &mut states,
        pulses: &mut pulses,
        stamps: &mut [],
        factors: &mut [],
        matrix: &mut matrix,
        deviations: &mut [],
        charge: &mut charge,
        scratch: &mut scratch,
    };
    let mut bar = Bar::new(class, shape, memory).ok_or_else(|| Failure::work("no crossbar of this size"))?;
    bar.reset(0, &mut draws);
    let each = if sparse > 1 { 3 } else { 1 };
    let ups: Vec<i32> = (0..n).map(|j| if j.is_multiple_of(sparse) { each } else { 0 }).collect();
    let downs: Vec<i32> = ups.iter().map(|c| -c).collect();
    let kernels = Native::detect();
    let updates = (if sparse > 1 { 2e4 } else { 60.0 } * setting.length).ceil() as usize;
    let mut best = Measured::default();
    for _ in 0..setting.repeats {
        let before = *bar.tally();
        let (_, spent) = Spent::on(|| {
            for update in 0..updates {
                for row in (0..n).step_by(sparse) {
                    let counts = if (row + update).is_multiple_of(2) { &ups } else { &downs };
                    bar.pulse_row(row, counts, 0, &kernels, &mut draws);
                }
            }
        });
        let done = bar.tally().pulses_up + bar.tally().pulses_down - before.pulses_up - before.pulses_down;
        best.keep_faster(Measured { events: done, spent }, 1);
    }
    let mut more = Map::new();
    more.insert("updates_per_s".into(), json!(updates as f64 / best.spent.cpu_s));
    more.insert("device".into(), json!(name));
    let outcome = Outcome {
        label,
        built: &built,
        state_bytes: 0,
        best,
        ticks: updates as u64,
        bound: ("none", f64::NAN),
        bounds: Bounds::default(),
        threads: 1,
        more,
    };
    let none = SynOps { stored: 0, effective: 0, dense: 0, macs: 0, acs: 0 };
    Ok(outcome.report(setting, Counts::default(), none))
}
