//! Synapses on memristive crossbars: a device, arrays, converters; and the array records that the core reads.

use crate::image::BuildError;
use synop_core::array::{Array, Block, Kept, Scale};
use synop_core::crossbar;
use synop_core::device::{self, DeviceClass, Purpose};
use synop_core::draw::Threefry;
use synop_device::preset::Pair;
use synop_device::wires::Wires;
use synop_device::{Compiled, Preset, Resolution, compile, energy};

/// Joules of one unit of the core's counters of energy: an attojoule.
pub const ENERGY_UNIT_J: f64 = 1e-18;

/// A converter at the end of every column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Converter {
    /// Bits, 2 to 24: 2^bits − 1 codes, symmetric, zero among them. 1: a comparator, which adds `full_scale` where a sum
    /// reaches it, else nothing.
    pub bits: u32,
    /// Where its range ends, in weights times payload: sums beyond ± this are clipped.
    pub full_scale: f64,
}

/// All synapses of a projection, on crossbars of one kind.
///
/// The projection is cut into arrays of at most `tile` rows and columns, each with its own converters; what they read
/// is added afterwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossbar {
    /// The device.
    pub device: Preset,
    /// What of the device is emulated, and how finely.
    pub resolution: Resolution,
    /// Most rows and columns of one array.
    pub tile: (usize, usize),
    /// Resistance of the wire from cell to cell, Ω.
    pub wires: Wires,
    /// The converters; none: column sums are taken as they are.
    pub converter: Option<Converter>,
    /// Ticks from refresh to refresh of what reads see (drift, and the drop along wires after writes); 0: never, and
    /// nothing drifts.
    pub refresh: u32,
    /// Duration of a tick, s: the clock of drift.
    pub tick_s: f64,
    /// The weight that the device's range can hold at most.
    pub weight_max: i32,
    /// Weights at the start, row-major by source neuron.
    pub weights: Vec<i16>,
    /// Most pulses of one change.
    pub most_pulses: u32,
    /// Whether a change is read back, pulse by pulse, until it is within this many weights of its aim.
    pub verify: Option<f64>,
}

impl Crossbar {
    /// A projection on `device` with all that its file says of noise, spread, faults and wear; 128 × 128 arrays, ideal
    /// wires and converters, no drift.
    pub fn new(device: Preset, weight_max: i32, weights: Vec<i16>) -> Self {
        Self {
            device,
            resolution: Resolution::default(),
            tile: (128, 128),
            wires: Wires { row_ohm: 0.0, column_ohm: 0.0 },
            converter: None,
            refresh: 0,
            tick_s: 1e-3,
            weight_max,
            weights,
            most_pulses: 256,
            verify: None,
        }
    }

    /// Whether memory of the devices is needed at run time.
    fn live(&self, learns: bool) -> bool {
        learns || self.refresh != 0
    }

    /// log2 of the ticks of one time stamp: a stamp lasts a millisecond or one tick.
    fn stamp_shift(&self) -> u32 {
        (1e-3 / self.tick_s).log2().ceil().clamp(0.0, 40.0) as u32
    }

    /// The device class as the core reads it.
    ///
    /// # Errors
    /// As [`compile()`].
    pub fn compiled(&self) -> Result<Compiled, synop_device::DeviceError> {
        let stamp_s = self.tick_s * 2f64.powi(self.stamp_shift() as i32);
        let drift = self.resolution.drift && self.refresh != 0;
        compile(&self.device, &Resolution { drift, stamp_s, ..self.resolution })
    }

    /// The difference of a pair that stands for `weight_max`, in the device's own weights.
    fn span(&self) -> f64 {
        let steps = self.device.steps.resolved();
        match self.device.pair {
            Pair::Differential => steps.w_max - steps.w_min,
            Pair::OneSided => steps.w_max,
            Pair::Reference => steps.w_max.min(-steps.w_min),
        }
    }

    /// What one nominal pulse changes at weight 0, in weights.
    pub fn weight_per_pulse(&self) -> f64 {
        let steps = self.device.steps.resolved();
        let middle = 0.5 * (steps.w_min + steps.w_max);
        let step = match self.device.pair {
            Pair::Differential => steps.up(middle) + steps.down(middle),
            Pair::OneSided => steps.up(0.0),
            Pair::Reference => 0.5 * (steps.up(0.0) + steps.down(0.0)),
        };
        step / self.span() * f64::from(self.weight_max)
    }

    /// Nominal pulses that change a weight by 1. A rule whose changes are multiplied by this asks for pulses.
    pub fn pulses_per_weight(&self) -> f64 {
        1.0 / self.weight_per_pulse()
    }

    /// A unit of the read matrix, in weights.
    fn weight_per_unit(&self, compiled: &Compiled) -> f64 {
        let range = compiled.unit * f64::from(1u32 << self.resolution.state_bits);
        f64::from(self.weight_max) / self.span() * range / 32768.0
    }

    /// Weights of a read matrix: what reads of single rows would give.
    ///
    /// # Errors
    /// As [`compile()`].
    pub fn weights_of(&self, matrix: &[i16]) -> Result<Vec<f64>, synop_device::DeviceError> {
        let unit = self.weight_per_unit(&self.compiled()?);
        Ok(matrix.iter().map(|w| f64::from(*w) * unit).collect())
    }

    /// States of plus and minus for a weight.
    fn states(&self, compiled: &Compiled, top: u32, weight: f64) -> [u32; 2] {
        let steps = self.device.steps.resolved();
        let w = weight / f64::from(self.weight_max) * self.span();
        let middle = 0.5 * (steps.w_min + steps.w_max);
        let pair = match self.device.pair {
            Pair::Differential => [middle + 0.5 * w, middle - 0.5 * w],
            Pair::OneSided => [w.max(0.0), (-w).max(0.0)],
            Pair::Reference => [w, 0.0],
        };
        pair.map(|w| compiled.state(w, top))
    }

    /// What is wrong with it, if anything: (found, expected).
    pub(crate) fn fault(&self, synapses: usize) -> Option<(String, String)> {
        let bad = |found: String, expected: &str| Some((found, expected.into()));
        if self.weights.len() != synapses {
            return bad(format!("{} weights", self.weights.len()), &synapses.to_string());
        }
        if self.tile.0 == 0 || self.tile.1 == 0 {
            return bad(format!("arrays of {} × {}", self.tile.0, self.tile.1), "one row and column or more");
        }
        if !(1..=32_767).contains(&self.weight_max) {
            return bad(format!("a largest weight of {}", self.weight_max), "1 to 32,767");
        }
        if let Some(w) = self.weights.iter().find(|w| i32::from(w.unsigned_abs()) > self.weight_max) {
            return bad(format!("weight {w}"), &format!("at most ±{}", self.weight_max));
        }
        if !(8..=24).contains(&self.resolution.state_bits) {
            return bad(format!("states of {} bits", self.resolution.state_bits), "8 to 24");
        }
        if !(self.tick_s > 0.0 && self.tick_s < 1e9) {
            return bad(format!("ticks of {} s", self.tick_s), "a duration above 0");
        }
        if !(self.wires.row_ohm >= 0.0 && self.wires.column_ohm >= 0.0) {
            return bad("wires of negative resistance".into(), "0 Ω or more");
        }
        if let Some(c) = self.converter
            && !((1..=24).contains(&c.bits) && c.full_scale > 0.0)
        {
            return bad(
                format!("a converter of {} bits to ±{}", c.bits, c.full_scale),
                "1 to 24 bits, above 0",
            );
        }
        if !(1..=1 << 16).contains(&self.most_pulses) {
            return bad(format!("at most {} pulses", self.most_pulses), "1 to 65,536");
        }
        None
    }

    /// The record of an array of it; device numbers start at `first_device`, `row_devices` from row to row.
    pub(crate) fn array(
        &self,
        compiled: &Compiled,
        class: u32,
        (first_device, row_devices): (u32, u32),
        (row_first, rows): (usize, usize),
        (column_first, columns): (usize, usize),
    ) -> Array {
        let unit = self.weight_per_unit(compiled);
        let siemens = energy::siemens_per_state(&self.device, compiled);
        let cell = &self.device.cell;
        let aj = |volt: f64, ns: f64| energy::read_j(volt, siemens, ns * 1e-9) / ENERGY_UNIT_J;
        // A tally adds the conductances before and after a pulse; the pulse costs their mean.
        let prices = [
            aj(cell.read_v, cell.read_ns),
            0.5 * aj(cell.up_v, cell.up_ns),
            0.5 * aj(cell.down_v, cell.down_ns),
        ];
        let energy_shift = scale(prices.iter().copied().fold(0.0, f64::max)).shift;
        let [read_aj, up_aj, down_aj] = prices.map(|p| (p * 2f64.powi(energy_shift as i32)).round() as u32);
        let top = self.converter.map_or(0, |c| ((1u32 << (c.bits - 1)) - 1).max(1));
        let full_scale =
            self.converter.map_or(0, |c| (c.full_scale / unit).round().clamp(1.0, 2147483647.0) as u32);
        let gain = self.converter.map_or(unit, |c| c.full_scale / f64::from(top));
        let range = compiled.unit * f64::from(1u32 << self.resolution.state_bits);
        let step = self.weight_per_pulse() / f64::from(self.weight_max) * self.span();
        Array {
            class,
            pair: match self.device.pair {
                Pair::Differential => crossbar::Pair::Differential,
                Pair::OneSided => crossbar::Pair::OneSided,
                Pair::Reference => crossbar::Pair::Reference,
            },
            first_device,
            row_devices,
            row_first: row_first as u32,
            rows: rows as u32,
            column_first: column_first as u32,
            columns: columns as u32,
            wires: energy::core_wires(&self.device, compiled, &self.wires, self.resolution.state_bits),
            refresh: self.refresh,
            stamp_shift: self.stamp_shift(),
            top,
            comparator: self.converter.is_some_and(|c| c.bits == 1),
            full_scale,
            gain: scale(gain),
            weight: scale(unit),
            most_pulses: self.most_pulses,
            read_aj,
            up_aj,
            down_aj,
            energy_shift,
            reset_aj: (cell.reset_pj.unwrap_or(0.0) * 1e-12 / ENERGY_UNIT_J).round() as u64,
            aim: self.verify.map_or(0, |_| (step / range * 32768.0 * 256.0).round().max(1.0) as u32),
            tolerance: self.verify.map_or(0, |t| (t / unit).round().max(0.0) as u32),
        }
    }

    /// The initial memory of an array: devices programmed to their weights, with the errors of programming and all
    /// that distinguishes devices, drawn from `seed`.
    pub(crate) fn block(
        &self,
        compiled: &Compiled,
        array: &Array,
        weight: impl Fn(usize, usize) -> i16,
        learns: bool,
        seed: u64,
    ) -> Result<Vec<u8>, BuildError> {
        let class = compiled.class().map_err(|why| synop_device::DeviceError::Words {
            device: self.device.name.clone(),
            state_bits: self.resolution.state_bits,
            why,
        })?;
        let shape = array.shape();
        let large =
            || BuildError::TooLarge { what: "devices", found: shape.rows * shape.columns, expected: 1 << 27 };
        let own = Kept::by(class.header());
        let whole = Block::of(&shape, true, own).ok_or_else(large)?;
        let mut words = vec![0u64; whole.bytes.div_ceil(8)];
        let mut scratch = vec![0u64; 2 * shape.columns];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        let mut draws = Threefry::new(seed);
        let mut bar =
            crossbar::Crossbar::on_block(class, array, &whole, bytes, &mut scratch).ok_or_else(large)?;
        bar.reset(0, &mut draws);
        for row in 0..shape.rows {
            for column in 0..shape.columns {
                let mut states = self.states(compiled, class.top(), f64::from(weight(row, column)));
                for (side, state) in states.iter_mut().enumerate() {
                    let number =
                        array.first_device + row as u32 * array.row_devices + (2 * column + side) as u32;
                    *state = self.programmed(compiled, &class, *state, number, &mut draws);
                }
                bar.place(row, column, states, &mut draws);
            }
        }
        bar.refresh(0, &mut draws);
        let bytes: &[u8] = bytemuck::cast_slice(&words);
        if self.live(learns) {
            return Ok(bytes[..whole.bytes].to_vec());
        }
        let fixed = Block::of(&shape, false, own).ok_or_else(large)?;
        let mut kept = vec![0u8; fixed.bytes];
        let rows = 8 * shape.rows;
        kept[..rows].copy_from_slice(&bytes[whole.charge..whole.charge + rows]);
        let weights = 2 * shape.rows * shape.columns;
        kept[fixed.matrix..fixed.matrix + weights]
            .copy_from_slice(&bytes[whole.matrix..whole.matrix + weights]);
        kept[fixed.deviations..].copy_from_slice(&bytes[whole.deviations..whole.bytes]);
        Ok(kept)
    }

    /// A state with the error of programming it directly, where the device states one.
    fn programmed(
        &self,
        compiled: &Compiled,
        class: &DeviceClass<'_>,
        state: u32,
        number: u32,
        draws: &mut Threefry,
    ) -> u32 {
        let Some(noise) = self.device.programming.as_ref().filter(|_| self.resolution.noise) else {
            return state;
        };
        let siemens = self.device.siemens(compiled.weight(state));
        let sd = noise.model.deviation_us(siemens * 1e6, self.device.cell.g_max_us) * 1e-6;
        let deviate = device::normal_q7(device::bits(draws, Purpose::Program, number, 0));
        let moved = sd * f64::from(deviate) / 128.0 / energy::siemens_per_state(&self.device, compiled);
        (f64::from(state) + moved).round().clamp(0.0, f64::from(class.top())) as u32
    }
}

/// A factor as mantissa and shift, exact to 2^−31.
fn scale(factor: f64) -> Scale {
    let shift = (30.0 - factor.log2().floor()).clamp(0.0, 62.0);
    Scale {
        mantissa: (factor * 2f64.powf(shift)).round().clamp(0.0, 4294967295.0) as u32,
        shift: shift as u32,
    }
}
