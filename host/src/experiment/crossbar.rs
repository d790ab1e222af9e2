//! `crossbar-learning`: local learning on memristive devices, effect by effect, beside ideal digital synapses.
//!
//! The data, the network and the rules are those of `local-learning` ([`super::local`]). The hidden and the readout
//! weights stand on crossbars, and both rules write by pulses. Each device is run with its response curve alone
//! (`curve`), and with each of its defects added to the curve: `variation` (spread of devices, noise of pulses and
//! writes, faults, wear), `wires` (voltage drop along wires), `drift` (while it learns, and for a time before the
//! test); `all` has all of them at once, and converters.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use synop_device::wires::Wires;
use synop_device::{Preset, Resolution, presets};

use super::local::{Data, Encoder, Learning, LocalLearning, Network};
use super::{Context, Experiment, Outcome, Whole};
use crate::Failure;
use crate::local::{Bars, Setup, Trial};
use crate::report::Report;

/// The keys of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossbarLearning {
    /// A shipped chip, or the path of a chip file, that prices the runs on crossbars.
    #[serde(default = "default_chip")]
    chip: String,
    /// The same for the digital run.
    #[serde(default = "default_digital")]
    digital_chip: String,
    data: Data,
    encoder: Encoder,
    network: Network,
    learning: Learning,
    #[serde(default)]
    crossbars: Crossbars,
}

fn default_chip() -> String {
    "crossbar-reram".to_owned()
}

fn default_digital() -> String {
    "loihi1-published".to_owned()
}

/// What the weights stand on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Crossbars {
    /// Names or files of devices; all that ship if absent.
    devices: Vec<String>,
    effects: Vec<Effect>,
    /// Most rows of one array.
    rows: Whole<1, 65_535>,
    /// Most columns of one array.
    columns: Whole<1, 65_535>,
    /// Resistance of the wire from cell to cell, Ω.
    wire_ohm: f64,
    /// Bits of the converters of `all`; 1: a comparator per column.
    converter_bits: Whole<1, 24>,
    /// Their range, as a share of the largest sum that an array can have.
    converter_range: f64,
    /// Ticks from refresh to refresh of the drop and of drift.
    refresh_ticks: Whole<1, 1_000_000_000>,
    /// Duration of a tick, s.
    tick_s: f64,
    /// Time between learning and test, s, where devices drift.
    hold_s: f64,
    /// A change is read back until it is within this many weights; absent: pulses are blind.
    verify: Option<f64>,
}

impl Default for Crossbars {
    fn default() -> Self {
        Self {
            devices: presets().into_iter().map(str::to_owned).collect(),
            effects: vec![Effect::Curve, Effect::Variation, Effect::Wires, Effect::Drift, Effect::All],
            rows: Whole::new(128),
            columns: Whole::new(128),
            wire_ohm: 1.0,
            converter_bits: Whole::new(8),
            converter_range: 0.1,
            refresh_ticks: Whole::new(500),
            tick_s: 1e-3,
            hold_s: 86_400.0,
            verify: None,
        }
    }
}

/// What of a device is emulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Effect {
    Curve,
    Variation,
    Wires,
    Drift,
    All,
}

impl Effect {
    fn name(self) -> &'static str {
        match self {
            Self::Curve => "curve",
            Self::Variation => "variation",
            Self::Wires => "wires",
            Self::Drift => "drift",
            Self::All => "all",
        }
    }

    fn includes(self, other: Effect) -> bool {
        self == other || self == Self::All
    }
}

impl Crossbars {
    fn devices(&self) -> Result<Vec<Preset>, Failure> {
        let load =
            |name: &String| crate::commands::devices::load(name).map_err(|f| f.place("crossbars.devices"));
        self.devices.iter().map(load).collect()
    }

    /// The crossbars of a device under an effect; `None` where it has nothing of the kind.
    fn bars(&self, device: &Preset, effect: Effect) -> Option<Bars> {
        if effect == Effect::Drift && device.drift.is_none() {
            return None;
        }
        let (varies, drifts) = (effect.includes(Effect::Variation), effect.includes(Effect::Drift));
        let resolution = Resolution {
            spread: varies,
            noise: varies,
            faults: varies,
            endurance: varies,
            drift: drifts,
            ..Resolution::default()
        };
        let ohm = if effect.includes(Effect::Wires) { self.wire_ohm } else { 0.0 };
        let refreshed = effect.includes(Effect::Wires) || (drifts && device.drift.is_some());
        Some(Bars {
            device: device.clone(),
            resolution,
            tile: (self.rows.size(), self.columns.size()),
            wires: Wires { row_ohm: ohm, column_ohm: ohm },
            converter: (effect == Effect::All)
                .then(|| (self.converter_bits.get() as u32, self.converter_range)),
            refresh: if refreshed { self.refresh_ticks.get() as u32 } else { 0 },
            tick_s: self.tick_s,
            verify: self.verify,
            hold_ticks: match drifts && device.drift.is_some() {
                true => (self.hold_s / self.tick_s).round() as u64,
                false => 0,
            },
        })
    }
}

impl Experiment for CrossbarLearning {
    const NAME: &'static str = "crossbar-learning";
    const ABOUT: &'static str = "learn on memristive crossbars, device by device and effect by effect";

    fn check(&self) -> Result<(), Failure> {
        let wrong = |key: &str, found: f64, expected: &str| {
            let failure = Failure::bad_input("not a possible value").place(key).found(found);
            Err(failure.expected(expected).mend(format_args!("set {key} to {expected}")))
        };
        let c = &self.crossbars;
        if !(c.wire_ohm >= 0.0 && c.wire_ohm < 1e6) {
            return wrong("crossbars.wire_ohm", c.wire_ohm, "a resistance from 0 to 1 000 000 ohm");
        }
        if !(c.converter_range > 0.0 && c.converter_range <= 1.0) {
            return wrong("crossbars.converter_range", c.converter_range, "a share above 0, at most 1");
        }
        if !(c.tick_s > 0.0 && c.tick_s <= 3600.0) {
            return wrong("crossbars.tick_s", c.tick_s, "a duration above 0, at most 3600 s");
        }
        if !(c.hold_s >= 0.0 && c.hold_s <= 1e9) {
            return wrong("crossbars.hold_s", c.hold_s, "a duration from 0 to 1e9 s");
        }
        if let Some(v) = c.verify.filter(|v| !(*v > 0.0 && *v < 128.0)) {
            return wrong("crossbars.verify", v, "a tolerance above 0, below 128 weights");
        }
        c.devices()?;
        self.local(&self.digital_chip).check()?;
        self.local(&self.chip).check()
    }

    fn memory_bytes(&self) -> u64 {
        // A weight on devices takes two states, pulse numbers, stamps and factors, and its place in the matrix.
        2 * self.local(&self.chip).memory_bytes() + 64 * 2048 * self.network.hidden.get() as u64
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let digital = self.local(&self.digital_chip);
        let (train, test) = digital.samples(context)?;
        let plain = digital.setup(&train, &test, context.seed);
        let mut plan = vec![("digital".to_owned(), plain.clone())];
        for device in self.crossbars.devices()? {
            for effect in &self.crossbars.effects {
                let Some(bars) = self.crossbars.bars(&device, *effect) else { continue };
                let label = format!("{} {}", device.name, effect.name());
                plan.push((label, Setup { bars: Some(bars), ..plain.clone() }));
            }
        }
        let rates = digital.rates();
        let chips = [digital.chip()?, self.local(&self.chip).chip()?];
        let progress = context.progress("samples", (plan.len() * rates.len() * train.labels.len()) as u64);
        let one = |(label, setup): &(String, Setup)| {
            let chip = &chips[usize::from(setup.bars.is_some())];
            let trial = Trial { setup, train: &train, test: &test, rates: &rates, chip };
            let part = label.replace(' ', "-");
            trial.run(label, context.checkpoint(&part), &|n| progress.add(n, 0)).map(|(report, _)| report)
        };
        let mut report = Report::new(context.seed);
        report.runs = plan.par_iter().map(one).collect::<Result<Vec<_>, _>>()?;
        progress.finish();
        report.profile = [
            ("data", json!(self.data)),
            ("encoder", json!(self.encoder)),
            ("rules", json!(plain.rules())),
            ("crossbars", json!(self.crossbars)),
            (
                "pulses",
                json!("each rounded change of a rule, times the nominal pulses per weight of the device"),
            ),
            ("placement", json!("one core")),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        Ok(report.into())
    }
}

impl CrossbarLearning {
    /// The same as digital local learning.
    fn local(&self, chip: &str) -> LocalLearning {
        LocalLearning {
            chip: chip.to_owned(),
            data: self.data.clone(),
            encoder: self.encoder.clone(),
            network: self.network.clone(),
            learning: self.learning.clone(),
        }
    }
}
