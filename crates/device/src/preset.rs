//! Device files: what a device is, where each figure comes from, and the presets that ship.

use crate::DeviceError;
use crate::programming::{Drift, ProgrammingNoise, ReadNoise};
use crate::steps::{Law, Steps};
use serde::{Deserialize, Serialize};

/// A device as its file describes it. Every part that is absent does not happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Name on the command line.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Where the step law, its spread and its noise come from.
    pub source: String,
    /// How two cells make one signed weight.
    pub pair: Pair,
    /// The law of steps.
    pub steps: Steps,
    /// Noise of pulses and writes.
    #[serde(default)]
    pub noise: Noise,
    /// Differences between devices.
    #[serde(default)]
    pub spread: Spread,
    /// Weight after a reset, and its deviation.
    #[serde(default)]
    pub reset: Reset,
    /// Devices that never worked.
    pub faults: Option<Faults>,
    /// Pulses until a device fails.
    pub endurance: Option<Endurance>,
    /// Distinct levels, as a power of two.
    pub level_bits: Option<u32>,
    /// Voltages, times, conductances.
    pub cell: Cell,
    /// Error of programming a conductance directly.
    pub programming: Option<Sourced<ProgrammingNoise>>,
    /// Drift of a programmed conductance.
    pub drift: Option<Sourced<Drift>>,
    /// Noise of a read.
    pub read_noise: Option<Sourced<ReadNoise>>,
}

/// A part of a device with its own source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sourced<T> {
    /// The part.
    pub model: T,
    /// Where it comes from.
    pub source: String,
}

/// How two cells make one signed weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pair {
    /// Both cells take pulses: up on the plus cell is one up pulse there and one down pulse on the minus cell.
    Differential,
    /// Both cells are only ever raised: up pulses go to the plus cell, down pulses to the minus cell; a full
    /// pair is read, reset, and rewritten.
    OneSided,
    /// The minus cell is a reference that is never pulsed.
    Reference,
}

/// Noise of pulses and writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// Deviation of a step from cycle to cycle, relative to it.
    #[serde(default)]
    pub cycle: f64,
    /// Whether the deviation is that of the mean step everywhere (true) or of the step itself (false).
    #[serde(default)]
    pub additive: bool,
    /// Part of the deviation that does not depend on the step, in weights before `cycle` multiplies it.
    #[serde(default)]
    pub cycle_offset: f64,
    /// Part of the deviation that grows with the weight, per weight, before `cycle` multiplies it.
    #[serde(default)]
    pub cycle_slope: f64,
    /// Deviation of what is read of a written weight, in `dw_min`.
    #[serde(default)]
    pub write: f64,
}

/// Differences between devices, as relative deviations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Of the step size.
    #[serde(default)]
    pub gain: f64,
    /// Whether the step size is log-normal.
    #[serde(default)]
    pub log_normal: bool,
    /// Of the asymmetry between up and down.
    #[serde(default)]
    pub up_down: f64,
    /// Of the upper bound.
    #[serde(default)]
    pub w_max: f64,
    /// Of the lower bound.
    #[serde(default)]
    pub w_min: f64,
}

/// A reset state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// The weight.
    pub weight: f64,
    /// Its deviation.
    pub deviation: f64,
}

/// Devices that never worked, as shares of all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// Stuck at the highest conductance.
    #[serde(default)]
    pub stuck_high: f64,
    /// Stuck at the lowest conductance.
    #[serde(default)]
    pub stuck_low: f64,
    /// Stuck anywhere within `range` of weight 0.
    #[serde(default)]
    pub stuck_random: f64,
    /// Reach of the randomly stuck, in weights.
    #[serde(default)]
    pub range: f64,
    /// Where the shares come from.
    pub source: String,
}

/// Pulses until a device fails, log-normal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endurance {
    /// Median number of pulses.
    pub median: f64,
    /// Deviation of its natural logarithm.
    pub log_deviation: f64,
    /// Where it comes from.
    pub source: String,
}

/// Electrical data of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Lowest conductance, µS: the pedestal at `w_min`.
    pub g_min_us: f64,
    /// Highest conductance, µS: at `w_max`.
    pub g_max_us: f64,
    /// Read voltage, V.
    pub read_v: f64,
    /// Duration of a read, ns.
    pub read_ns: f64,
    /// Voltage of an up pulse, V.
    pub up_v: f64,
    /// Duration of an up pulse, ns.
    pub up_ns: f64,
    /// Voltage of a down pulse, V.
    pub down_v: f64,
    /// Duration of a down pulse, ns.
    pub down_ns: f64,
    /// Energy of a reset of a one-sided cell, pJ.
    pub reset_pj: Option<f64>,
    /// measured, simulated, fitted, vendor or assumed.
    pub kind: String,
    /// Where these figures come from.
    pub source: String,
}

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        /// Name and text of every device file that ships.
        const SHIPPED: &[(&str, &str)] = &[$(($name, include_str!(concat!("../devices/", $name, ".toml")))),*];
    };
}

shipped![
    "ideal",
    "constant-step",
    "reram-es",
    "reram-sb",
    "reram-array-hfo2",
    "reram-array-om",
    "pcm",
    "ecram",
    "ecram-mo",
    "capacitor",
    "soft-bounds-pmax",
    "power-step",
    "neurosim-real",
    "neurosim-ideal",
    "vteam",
    "rram-gap",
    "pcm-hermes",
    "rram-wan",
    "rram-cmo",
    "rram-milo",
];

/// Names of the devices that ship.
pub fn presets() -> Vec<&'static str> {
    SHIPPED.iter().map(|(name, _)| *name).collect()
}

impl Preset {
    /// Reads a device file's text; `file` names it in errors.
    ///
    /// # Errors
    /// [`DeviceError::File`] with line and column for what is no device, [`DeviceError::Value`] for a value
    /// outside its range.
    pub fn read(file: &str, text: &str) -> Result<Self, DeviceError> {
        let preset: Self = toml::from_str(text).map_err(|why| DeviceError::File {
            file: file.into(),
            why: why.to_string().trim().replace('\n', " "),
        })?;
        preset.check()?;
        Ok(preset)
    }

    /// The device that ships under `name`.
    ///
    /// # Errors
    /// [`DeviceError::Unknown`] lists the names.
    pub fn shipped(name: &str) -> Result<Self, DeviceError> {
        match SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            Some((_, text)) => Self::read(name, text),
            None => Err(DeviceError::Unknown { name: name.into(), known: presets().join(", ") }),
        }
    }

    /// Conductance in S at weight `w`: linear between the cell's ends.
    pub fn siemens(&self, w: f64) -> f64 {
        let steps = self.steps.resolved();
        let share = (w - steps.w_min) / (steps.w_max - steps.w_min);
        (self.cell.g_min_us + share * (self.cell.g_max_us - self.cell.g_min_us)) * 1e-6
    }

    fn check(&self) -> Result<(), DeviceError> {
        let steps = self.steps.resolved();
        let positive = |field, value: f64| self.value(field, value, value > 0.0, "a number above 0");
        let share =
            |field, value: f64| self.value(field, value, (0.0..=1.0).contains(&value), "a share, 0 to 1");
        let deviation =
            |field, v: f64| self.value(field, v, (0.0..=100.0).contains(&v), "a deviation, 0 to 100");
        self.value("steps.w_max", steps.w_max, steps.w_max > steps.w_min, "more than steps.w_min")?;
        self.value("steps.w_min", steps.w_min, steps.w_min <= 0.0 && steps.w_max >= 0.0, "a range around 0")?;
        self.value(
            "steps.up_down",
            steps.up_down,
            steps.up_down.abs() < 1.0,
            "an asymmetry between -1 and 1",
        )?;
        if !matches!(self.steps.law, Law::PotentiationDepression(_) | Law::Physical { .. }) {
            positive("steps.dw_min", steps.dw_min)?;
        }
        self.check_law(&steps)?;
        deviation("noise.cycle", self.noise.cycle)?;
        deviation("noise.cycle_offset", self.noise.cycle_offset)?;
        deviation("noise.cycle_slope", self.noise.cycle_slope)?;
        self.value(
            "noise.write",
            self.noise.write,
            (0.0..=1e4).contains(&self.noise.write),
            "0 to 10000 steps",
        )?;
        deviation("spread.gain", self.spread.gain)?;
        deviation("spread.up_down", self.spread.up_down)?;
        deviation("spread.w_max", self.spread.w_max)?;
        deviation("spread.w_min", self.spread.w_min)?;
        if let Some(faults) = &self.faults {
            share("faults.stuck_high", faults.stuck_high)?;
            share("faults.stuck_low", faults.stuck_low)?;
            share("faults.stuck_random", faults.stuck_random)?;
            share("faults, all together", faults.stuck_high + faults.stuck_low + faults.stuck_random)?;
        }
        if let Some(endurance) = &self.endurance {
            self.value(
                "endurance.median",
                endurance.median,
                (1.0..4e9).contains(&endurance.median),
                "1 to 4e9",
            )?;
            deviation("endurance.log_deviation", endurance.log_deviation)?;
        }
        if let Some(bits) = self.level_bits {
            self.value("level_bits", f64::from(bits), (1..=16).contains(&bits), "1 to 16")?;
        }
        positive("cell.g_max_us", self.cell.g_max_us)?;
        let ordered = self.cell.g_min_us >= 0.0 && self.cell.g_min_us < self.cell.g_max_us;
        self.value("cell.g_min_us", self.cell.g_min_us, ordered, "0 to below cell.g_max_us")?;
        positive("cell.read_v", self.cell.read_v)?;
        positive("cell.read_ns", self.cell.read_ns)
    }

    fn check_law(&self, steps: &Steps) -> Result<(), DeviceError> {
        match &steps.law {
            Law::Piecewise { up, down } => {
                let enough = up.len().min(down.len());
                self.value("steps.law.up and down", enough as f64, enough >= 2, "two nodes or more each")
            }
            Law::PotentiationDepression(curve) => {
                let fewest = curve.levels_up.min(curve.levels_down);
                self.value("steps.law.levels", fewest, fewest >= 1.0, "one pulse or more")
            }
            _ => Ok(()),
        }
    }

    fn value(
        &self,
        field: &'static str,
        found: f64,
        good: bool,
        expected: &'static str,
    ) -> Result<(), DeviceError> {
        match good {
            true => Ok(()),
            false => Err(DeviceError::Value {
                device: self.name.clone(),
                field,
                found: found.to_string(),
                expected,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_device_reads_back_and_names_its_sources() {
        for name in presets() {
            let preset = Preset::shipped(name).unwrap();
            assert_eq!(preset.name, name);
            assert!(preset.source.len() > 10 && preset.cell.source.len() > 10, "{name} names no source");
            assert!(
                ["measured", "simulated", "fitted", "vendor", "assumed"].contains(&preset.cell.kind.as_str())
            );
            let again = Preset::read(name, &toml::to_string(&preset).unwrap()).unwrap();
            assert_eq!(again, preset);
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let text = SHIPPED[2].1.replace("[cell]", "[cell]\ncolour = \"red\"");
        let error = Preset::read("mine.toml", &text).unwrap_err().to_string();
        assert!(error.contains("mine.toml") && error.contains("colour") && error.contains("line"), "{error}");
        assert!(Preset::shipped("no-such").unwrap_err().to_string().contains("reram-es"));
    }

    #[test]
    fn a_value_out_of_range_is_named() {
        let text = SHIPPED[2].1.replace("read_v = ", "read_v = -");
        let error = Preset::read("mine.toml", &text).unwrap_err().to_string();
        assert!(error.contains("cell.read_v") && error.contains("above 0"), "{error}");
    }
}
