//! From a device file to the words that the core reads.

use crate::DeviceError;
use crate::preset::Preset;
use crate::steps::{Law, Steps};
use synop_core::device::{Coordinate, DeviceClass, Header, VERSION};

/// How finely a device is compiled, and what of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resolution {
    /// Bits of a state: 16 (small boards) or 24.
    pub state_bits: u32,
    /// log2 of the segments of every table: 5 for 33 nodes.
    pub log2_segments: u32,
    /// Bits of a step below one state, rounded at random if not 0: keeps small steps honest at 16 bits.
    pub dither_bits: u32,
    /// Whether devices differ.
    pub spread: bool,
    /// Whether pulses, writes and reads are noisy.
    pub noise: bool,
    /// Whether some devices are stuck from the start.
    pub faults: bool,
    /// Whether devices wear out.
    pub endurance: bool,
    /// Whether conductances drift.
    pub drift: bool,
    /// Duration of one time stamp, s.
    pub stamp_s: f64,
}

impl Default for Resolution {
    fn default() -> Self {
        Self {
            state_bits: 24,
            log2_segments: 5,
            dither_bits: 0,
            spread: true,
            noise: true,
            faults: true,
            endurance: true,
            drift: true,
            stamp_s: 1.0,
        }
    }
}

impl Resolution {
    /// The bare law: no noise, spread, fault, wear or drift.
    pub fn bare(state_bits: u32, log2_segments: u32) -> Self {
        let off = Self {
            spread: false,
            noise: false,
            faults: false,
            endurance: false,
            drift: false,
            ..Self::default()
        };
        Self { state_bits, log2_segments, ..off }
    }
}

/// A compiled device class: the words for the image, and what a state means.
#[derive(Clone, Debug)]
pub struct Compiled {
    words: Vec<i32>,
    /// Weight of state 0.
    pub offset: f64,
    /// Weight of one state.
    pub unit: f64,
}

impl Compiled {
    /// The words for the image.
    pub fn words(&self) -> &[i32] {
        &self.words
    }

    /// The class as the core sees it.
    ///
    /// # Errors
    /// The core's, if words were changed since [`compile()`] checked them.
    pub fn class(&self) -> Result<DeviceClass<'_>, synop_core::device::DeviceError> {
        DeviceClass::parse(&self.words).map(|(class, _)| class)
    }

    /// The weight of a state.
    pub fn weight(&self, state: u32) -> f64 {
        self.offset + self.unit * f64::from(state)
    }

    /// The state nearest to a weight, within `top`.
    pub fn state(&self, weight: f64, top: u32) -> u32 {
        ((weight - self.offset) / self.unit).round().clamp(0.0, f64::from(top)) as u32
    }
}

/// How many deviations of its bounds a class leaves room for.
const HEADROOM: f64 = 2.5;

/// Compiles a device to the core's integers.
///
/// # Errors
/// [`DeviceError::Words`] when the core refuses a value, for instance a deviation too large for its field.
pub fn compile(preset: &Preset, resolution: &Resolution) -> Result<Compiled, DeviceError> {
    let steps = preset.steps.resolved();
    let spread = resolution.spread && preset.spread != crate::preset::Spread::default();
    let room = |deviation: f64| if spread { 1.0 + (HEADROOM * deviation).min(1.0) } else { 1.0 };
    let offset = steps.w_min * room(preset.spread.w_min);
    let end = steps.w_max * room(preset.spread.w_max);
    let states = f64::from(1u32 << resolution.state_bits);
    let scale = Scale { offset, unit: (end - offset) / states, top: states - 1.0, resolution };
    let mut header = Header {
        version: VERSION,
        state_bits: resolution.state_bits as i32,
        log2_segments: resolution.log2_segments as i32,
        fraction_bits: resolution.dither_bits as i32,
        dither: i32::from(resolution.dither_bits > 0),
        low: scale.state(steps.w_min),
        high: scale.state(steps.w_max),
        zero: scale.state(0.0),
        reset: scale.state(preset.reset.weight),
        level_bits: preset.level_bits.unwrap_or(0).min(resolution.state_bits) as i32,
        ..Header::default()
    };
    if resolution.noise {
        noise(&mut header, preset, &steps, &scale);
    }
    if spread {
        spreads(&mut header, preset, &steps);
    }
    faults(&mut header, preset, resolution, &scale, spread);
    let mut tables = vec![scale.steps(|w| steps.up(w)), scale.steps(|w| steps.down(w))];
    if header.cycle_kind == 2 {
        let (up, down) = steps.granularity();
        tables.push(scale.steps(|w| deviation(preset, up, steps.up(w), w)));
        tables.push(scale.steps(|w| deviation(preset, down, steps.down(w), w)));
    }
    if let (true, Some(drift)) = (resolution.drift, &preset.drift) {
        header.drift = 1;
        header.drift_start = integer((drift.model.start_s / resolution.stamp_s).max(1.0));
        let share = |w: f64| preset.siemens(w) / (preset.cell.g_max_us * 1e-6);
        let q24 = f64::from(1 << 24);
        tables.push(scale.table(|w| q24 * drift.model.mean.at(share(w))));
        tables.push(scale.table(|w| q24 * drift.model.deviation.at(share(w))));
    }
    if let (true, Some(noise)) = (resolution.noise, &preset.read_noise) {
        header.read_noise = 1;
        header.read_octaves_q16 = integer((resolution.stamp_s / (2.0 * noise.model.read_s)).log2() * 65536.0);
        if header.drift_start == 0 {
            let start_s = preset.drift.as_ref().map_or(resolution.stamp_s, |drift| drift.model.start_s);
            header.drift_start = integer((start_s / resolution.stamp_s).max(1.0));
        }
        let (low, next) = (preset.siemens(offset), preset.siemens(offset + scale.unit));
        let range = (next - low) * states;
        let share = |w: f64| preset.siemens(w).max(0.0) / (preset.cell.g_max_us * 1e-6);
        let root = std::f64::consts::LN_2.sqrt() * f64::from(1 << 25);
        tables.push(
            scale.table(|w| noise.model.strength(share(w)) * root * preset.siemens(w).max(0.0) / range),
        );
    }
    let words = header.to_words().into_iter().chain(tables.into_iter().flatten()).collect();
    let compiled = Compiled { words, offset, unit: scale.unit };
    match compiled.class() {
        Ok(_) => Ok(compiled),
        Err(why) => {
            Err(DeviceError::Words { device: preset.name.clone(), state_bits: resolution.state_bits, why })
        }
    }
}

/// What states mean, and how tables are sampled.
struct Scale<'a> {
    offset: f64,
    unit: f64,
    top: f64,
    resolution: &'a Resolution,
}

impl Scale<'_> {
    fn state(&self, weight: f64) -> i32 {
        ((weight - self.offset) / self.unit).round().clamp(0.0, self.top) as i32
    }

    fn table(&self, value: impl Fn(f64) -> f64) -> Vec<i32> {
        let segments = 1u32 << self.resolution.log2_segments;
        let range = self.unit * (self.top + 1.0);
        (0..=segments)
            .map(|n| integer(value(self.offset + range * f64::from(n) / f64::from(segments))))
            .collect()
    }

    /// A table of steps given in weights.
    fn steps(&self, step: impl Fn(f64) -> f64) -> Vec<i32> {
        let per_weight = f64::from(1u32 << self.resolution.dither_bits) / self.unit;
        self.table(|w| step(w) * per_weight)
    }
}

fn integer(value: f64) -> i32 {
    value.round() as i32
}

fn q12(value: f64) -> i32 {
    integer(value * 4096.0)
}

fn noise(header: &mut Header, preset: &Preset, steps: &Steps, scale: &Scale<'_>) {
    let noise = &preset.noise;
    let tables = noise.additive || noise.cycle_offset != 0.0 || noise.cycle_slope != 0.0;
    header.cycle_kind = match noise.cycle > 0.0 {
        true if tables => 2,
        true => 1,
        false => 0,
    };
    if header.cycle_kind == 1 {
        header.cycle_sd_q8 = integer(noise.cycle * 256.0);
    }
    header.write_sd = integer(noise.write * steps.dw_min / scale.unit);
    header.reset_sd = integer(preset.reset.deviation / scale.unit);
}

/// Deviation of a step of size `step` from weight `w`, in weights; `mean` is the mean step of the direction.
fn deviation(preset: &Preset, mean: f64, step: f64, w: f64) -> f64 {
    let noise = &preset.noise;
    let base = if noise.additive { mean } else { step.abs() };
    noise.cycle * (base + noise.cycle_offset + noise.cycle_slope * w.abs())
}

fn spreads(header: &mut Header, preset: &Preset, steps: &Steps) {
    let spread = &preset.spread;
    header.spread = 1;
    let (up, down) = match steps.law {
        Law::Constant {} => (Coordinate::Fixed, Coordinate::Fixed),
        Law::Linear { .. }
        | Law::SoftBounds {}
        | Law::SoftBoundsReference { .. }
        | Law::SoftBoundsPmax { .. } => (Coordinate::Bound, Coordinate::Bound),
        Law::Exponential { .. } => (Coordinate::Span, Coordinate::Span),
        Law::Power { .. } | Law::Piecewise { .. } | Law::PotentiationDepression(_) | Law::Physical { .. } => {
            (Coordinate::Window, Coordinate::Window)
        }
    };
    // A one-sided device has no bound below zero to stretch to.
    let stretchable =
        |c, bound: f64| if c == Coordinate::Bound && bound == 0.0 { Coordinate::Fixed } else { c };
    header.up_coordinate = stretchable(up, steps.w_max) as i32;
    header.down_coordinate = stretchable(down, steps.w_min) as i32;
    header.log_normal = i32::from(spread.log_normal);
    header.gain_sd = match spread.log_normal {
        true => integer(spread.gain * std::f64::consts::LOG2_E * 65536.0),
        false => q12(spread.gain),
    };
    // The tables hold the mean device: 1 + min(u, 0) up, 1 − max(u, 0) down.
    let (up_mean, down_mean) = (1.0 + steps.up_down.min(0.0), 1.0 - steps.up_down.max(0.0));
    header.up_share_q12 = q12(1.0 / up_mean);
    header.down_share_q12 = q12(1.0 / down_mean);
    header.up_only_sd_q12 = q12(spread.up_down / up_mean);
    header.down_only_sd_q12 = q12(-spread.up_down / down_mean);
    header.high_sd_q12 = q12(spread.w_max);
    header.low_sd_q12 = q12(spread.w_min);
}

fn faults(header: &mut Header, preset: &Preset, resolution: &Resolution, scale: &Scale<'_>, spread: bool) {
    if let (true, Some(faults)) = (resolution.faults, &preset.faults) {
        // A share of one is the largest that fits below 2^31.
        let q31 = |share: f64| (share * 2f64.powi(31)).min(f64::from(i32::MAX)) as i32;
        header.stuck_high_q31 = q31(faults.stuck_high);
        header.stuck_low_q31 = q31(faults.stuck_low);
        header.stuck_random_q31 = q31(faults.stuck_random);
        header.stuck_range = integer(faults.range / scale.unit);
        if !spread && (faults.stuck_high + faults.stuck_low + faults.stuck_random) > 0.0 {
            // Faults alone: the core still has to look at each device, all gains being one.
            header.spread = 1;
            header.up_share_q12 = q12(1.0);
            header.down_share_q12 = q12(1.0);
        }
    }
    if let (true, Some(endurance)) = (resolution.endurance, &preset.endurance) {
        header.endurance_log2_q16 = integer(endurance.median.log2() * 65536.0);
        header.endurance_sd_q16 = integer(endurance.log_deviation * std::f64::consts::LOG2_E * 65536.0);
    }
}
