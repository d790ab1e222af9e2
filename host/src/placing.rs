//! Options and texts of placement: how neurons find their core, and what came of it.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use synop_cost::Chip;
use synop_cost::latency::Model;
use synop_model::placement::{Assignment, Strategy};

use crate::report::Report;
use crate::table::Table;
use crate::{Failure, files};

/// How neurons find their core.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Placement")]
pub struct PlaceArgs {
    /// automatic (few packets, short ways), round-robin, or a mapping file (TOML)
    #[arg(long, default_value = "automatic", value_name = "HOW")]
    pub place: String,
}

/// How long a tick takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Latency")]
pub struct LatencyArgs {
    /// simple (the busiest core), detailed (links slow with their load), queue (packets in finite buffers)
    #[arg(long, default_value = "detailed", value_name = "MODEL", value_parser = ["simple", "detailed", "queue"])]
    pub latency: String,
}

impl LatencyArgs {
    /// The model.
    pub fn model(&self) -> Model {
        Model::from_name(&self.latency).unwrap_or(Model::Detailed)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mapping {
    place: Vec<Line>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    population: String,
    #[serde(default)]
    first: usize,
    count: Option<usize>,
    core: u32,
}

impl PlaceArgs {
    /// The strategy; a mapping file is read.
    ///
    /// # Errors
    /// Bad input: an unknown word, or a file that is not a mapping.
    pub fn strategy(&self) -> Result<Strategy, Failure> {
        match self.place.as_str() {
            "automatic" => return Ok(Strategy::Automatic),
            "round-robin" => return Ok(Strategy::RoundRobin),
            _ => {}
        }
        let path = Path::new(&self.place);
        if path.extension().is_none() && !path.exists() {
            return Err(Failure::bad_input("there is no such placement")
                .place("--place")
                .found(&self.place)
                .expected("automatic, round-robin, or the path of a mapping file"));
        }
        let text = files::read_text(path)?;
        let mapping: Mapping = toml::from_str(&text).map_err(|error| {
            Failure::bad_input(error.to_string().trim_end())
                .file(path)
                .expected("[[place]] tables with population, core and, for a part, first and count")
        })?;
        let line =
            |l: Line| Assignment { population: l.population, first: l.first, count: l.count, core: l.core };
        Ok(Strategy::Manual(mapping.place.into_iter().map(line).collect()))
    }
}

/// Bits of a weight on a chip: as asked, else 8, or as many as the chip stores.
///
/// # Errors
/// Bad use: the chip's stores are narrower than what was asked for.
pub fn weight_bits(asked: Option<u32>, chip: &Chip) -> Result<u32, Failure> {
    let most = chip.weights.bits;
    match asked {
        Some(bits) if bits > most => Err(Failure::bad_input("the weights are wider than the chip's stores")
            .place("--bits")
            .found(bits)
            .expected(format_args!("at most {most} on `{}`", chip.name))),
        Some(bits) => Ok(bits),
        None => Ok(8.min(most)),
    }
}

/// Cores of a mapping that its text lists one by one.
const LISTED: usize = 12;

/// The mapping of a report as text: how many cores, how far packets travel, which core holds what.
pub fn mapping_text(report: &Report) -> String {
    let Some(mapping) = report.more.get("mapping") else { return String::new() };
    let number = |v: &Value, key: &str| v.get(key).and_then(Value::as_u64).unwrap_or(0);
    let mut text = format!(
        "mapping: {}, {} core(s)",
        mapping.get("strategy").and_then(Value::as_str).unwrap_or("?"),
        number(mapping, "cores_used")
    );
    if let Some(share) = mapping.get("utilisation").and_then(Value::as_f64) {
        text.push_str(&format!(", the fullest limit at {:.0} %", share * 100.0));
    }
    let travels = |v: &Value| {
        let hops = v.get("hops").and_then(Value::as_object);
        let hops: u64 = hops.map_or(0, |h| h.values().filter_map(Value::as_u64).sum());
        (number(v, "packets"), hops)
    };
    if let Some(own) = mapping.get("all_fire_once").filter(|v| !v.is_null()) {
        let (packets, hops) = travels(own);
        text.push_str(&format!("\nwhen all fire once: {packets} packets, {hops} hops"));
        if let Some(other) = mapping.get("round_robin").filter(|v| !v.is_null()) {
            let (packets, hops) = travels(other);
            text.push_str(&format!(
                "; round robin: {packets} packets, {hops} hops on {} core(s)",
                number(other, "cores")
            ));
        }
    }
    text.push('\n');
    let cores = mapping.get("cores").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for core in cores.iter().take(LISTED) {
        let holds = core.get("holds").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let slices: Vec<String> = holds
            .iter()
            .map(|s| {
                let (first, count) = (number(s, "first"), number(s, "count"));
                let name = s.get("population").and_then(Value::as_str).unwrap_or("?");
                let enters =
                    if s.get("input").and_then(Value::as_bool) == Some(true) { " (enters here)" } else { "" };
                format!("{name} {first}..{}{enters}", (first + count).saturating_sub(1))
            })
            .collect();
        text.push_str(&format!("  core {}: {}\n", number(core, "core"), slices.join(", ")));
    }
    if cores.len() > LISTED {
        text.push_str(&format!("  and {} more (--json lists all)\n", cores.len() - LISTED));
    }
    text
}

/// What the bill adds to the table of classes: where the energy goes by layer and core, power, energy-delay product.
pub fn bill_text(report: &Report) -> String {
    let Some(energy) = &report.energy else { return String::new() };
    let mut text = String::new();
    let joules = |name: &str, e: Option<synop_cost::Interval>| match e {
        Some(e) => format!("{name} {:.4e} J ({:.3e} to {:.3e})", e.nominal, e.low, e.high),
        None => format!("{name} unknown"),
    };
    text.push_str(&format!(
        "{}; {}; {}\n",
        joules("dynamic", energy.dynamic_j),
        joules("static", energy.static_j),
        joules("outside", energy.outside_j)
    ));
    if let (Some(average), Some(edp)) = (energy.average_power_w, energy.edp_js) {
        let peak = energy.peak_power_w.map_or(String::new(), |w| format!(", peak {w:.3e} W"));
        text.push_str(&format!(
            "average power {:.3e} W{peak}; energy-delay product {edp:.3e} Js\n",
            average.nominal
        ));
    }
    if let Some(pj) = energy.pj_per_effective_synop {
        text.push_str(&format!("{pj:.2} pJ per effective synaptic operation, all costs included\n"));
    }
    text.push_str(&format!(
        "idle rule: {}\n",
        match energy.accounting {
            synop_cost::Accounting::Clocked => "clocked, every neuron pays a visit in every tick",
            synop_cost::Accounting::Event => "event-driven, only neurons that update pay",
        }
    ));
    let mut layers = Table::new("Events' energy by layer").text("population").quantity("energy", "J");
    for (name, split) in &energy.by_population {
        let note = if split.complete { "" } else { " (part unpriced)" };
        layers.push(vec![format!("{name}{note}").into(), split.priced_j.nominal.into()]);
    }
    text.push('\n');
    text.push_str(&layers.terminal());
    if energy.by_core.len() > 1 {
        let mut cores = Table::new("Events' energy by core").number("core").quantity("energy", "J");
        for (core, split) in energy.by_core.iter().take(LISTED) {
            cores.push(vec![u64::from(*core).into(), split.priced_j.nominal.into()]);
        }
        text.push('\n');
        text.push_str(&cores.terminal());
        if energy.by_core.len() > LISTED {
            text.push_str(&format!("and {} more cores (--json lists all)\n", energy.by_core.len() - LISTED));
        }
    }
    text
}
