//! A chip: mesh, limits, prices, latencies, static power, memory and barrier, as one TOML file.

use crate::class::Class;
use crate::error::CostError;
use crate::price::{Interval, Kind, Price, Quantity};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Who pays for a neuron that does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accounting {
    /// Every mapped neuron pays `soma_access` every tick (Loihi, TrueNorth).
    Clocked,
    /// Only neurons that are updated pay `soma_access` (event-driven chips).
    Event,
}

impl Accounting {
    /// Neuron visits that the chip pays for.
    ///
    /// `neurons` mapped neurons over `ticks` ticks, of which `updates` updates were needed.
    pub fn accesses(self, neurons: u64, ticks: u64, updates: u64) -> u64 {
        match self {
            Accounting::Clocked => neurons.saturating_mul(ticks),
            Accounting::Event => updates,
        }
    }
}

/// How a spike for several cores travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Multicast {
    /// One packet per destination core, each over its own way (Loihi 1, SANA-FE).
    UnicastCopies,
    /// One packet that branches; every link is crossed once (SpiNNaker).
    Tree,
    /// One packet per destination core, there offered to all neurons (DYNAP-SE).
    BroadcastCore,
}

/// The grid of tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mesh {
    /// Tiles in x.
    pub width: u32,
    /// Tiles in y.
    pub height: u32,
    /// Cores in a tile.
    pub cores_per_tile: u32,
}

/// What fits in one core. An absent limit is one that the maker does not state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cores {
    /// Neurons.
    pub neurons: Option<u64>,
    /// Synapses onto one neuron.
    pub fan_in: Option<u64>,
    /// Different sources that the core listens to.
    pub axons_in: Option<u64>,
    /// (neuron, destination core) pairs that the core sends to.
    pub axons_out: Option<u64>,
    /// Bits of synapse memory.
    pub synapse_bits: Option<u64>,
}

/// How weights are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// Largest weight width, sign included.
    pub bits: u32,
    /// Bits that a stored synapse needs beyond its weight (target index, delay, tag).
    pub overhead_bits: u32,
    /// Whether a core stores a full matrix (rows × columns), not a list of synapses.
    #[serde(default)]
    pub matrix: bool,
    /// Devices per weight on analogue matrices (2 for a differential pair), 1 otherwise.
    #[serde(default = "one")]
    pub devices: u32,
    /// The memristive device of an analogue matrix, by the name of its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Bits of the converter at the end of a column of an analogue matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converter_bits: Option<u32>,
    /// Rows and columns of one array of an analogue matrix; a core adds up what several arrays read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array: Option<u32>,
    /// Where the figures are from.
    pub source: String,
}

fn one() -> u32 {
    1
}

/// Links between routers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Links {
    /// Packets that fit in the buffer of a link.
    pub buffer: u32,
}

/// What makes a tick last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticks {
    /// Real time that a tick lasts at least; absent on chips that run as fast as they can.
    #[serde(default)]
    pub real_time: Option<Price>,
    /// Remark for reports.
    #[serde(default)]
    pub note: String,
}

/// What is known of static power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StaticScope {
    /// Priced on its own below.
    Separate,
    /// Part of the event prices (whole-chip power divided by events).
    Included,
    /// Not published: the bill's total is then dynamic only and says so.
    Unpublished,
}

/// Power that flows without events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Static {
    /// What is known.
    pub scope: StaticScope,
    /// Why.
    pub note: String,
    /// Power of the whole chip, however much of it is used.
    #[serde(default)]
    pub chip: Option<Price>,
    /// Power of every core in use.
    #[serde(default)]
    pub core: Option<Price>,
}

/// Memory contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// Weights and their indices.
    Synapse,
    /// Neuron state.
    State,
    /// Routing tables.
    Route,
}

/// A memory level: what it holds and what it leaks. Traffic is priced by the classes `read_*` and `write_*`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// What the level is, e.g. `SRAM 32 KB`.
    pub name: String,
    /// What it holds.
    pub holds: Vec<Store>,
    /// Bits per core, where stated.
    #[serde(default)]
    pub bits_per_core: Option<u64>,
    /// Leakage per stored bit, where not part of `[static]`.
    #[serde(default)]
    pub leak_per_bit: Option<Price>,
}

/// One row of the barrier table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Barrier {
    /// The row holds from this number of used tiles on.
    pub tiles: u32,
    /// Duration.
    pub time: Price,
}

/// What a chip file says about a class.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// It has a price.
    Price(Price),
    /// Its cost is part of another entry (a class key or `static`).
    IncludedIn {
        /// The entry that pays.
        entry: String,
        /// Where that is stated.
        source: String,
    },
    /// It costs nothing on this chip.
    Free {
        /// Why.
        reason: String,
    },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    value: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    unit: Option<String>,
    kind: Option<Kind>,
    source: Option<String>,
    included_in: Option<String>,
    free: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChip {
    schema: u32,
    name: String,
    title: String,
    technology: String,
    accounting: Accounting,
    multicast: Multicast,
    #[serde(default)]
    warnings: Vec<String>,
    mesh: Mesh,
    #[serde(default)]
    cores: Cores,
    weights: Weights,
    links: Option<Links>,
    ticks: Option<Ticks>,
    #[serde(rename = "static")]
    static_power: Static,
    #[serde(default)]
    memory: Vec<Memory>,
    #[serde(default)]
    barrier: Vec<Barrier>,
    price: BTreeMap<String, RawEntry>,
    #[serde(default)]
    latency: BTreeMap<String, Price>,
}

/// A chip as its file describes it, checked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chip {
    /// Short name, as given to `--chip`.
    pub name: String,
    /// Full name and variant.
    pub title: String,
    /// Process and voltage.
    pub technology: String,
    /// Idle rule.
    pub accounting: Accounting,
    /// How spikes for several cores travel.
    pub multicast: Multicast,
    /// What a reader must know before quoting a number.
    pub warnings: Vec<String>,
    /// Tiles and cores.
    pub mesh: Mesh,
    /// Limits of a core.
    pub cores: Cores,
    /// Weight storage.
    pub weights: Weights,
    /// Links, where the chip has a network.
    pub links: Option<Links>,
    /// Duration of a tick, where it is fixed.
    pub ticks: Option<Ticks>,
    /// Static power.
    pub static_power: Static,
    /// Memory levels.
    pub memory: Vec<Memory>,
    /// Barrier table, ascending in tiles; empty on asynchronous chips.
    pub barrier: Vec<Barrier>,
    /// Entries by class key or `class.variant`.
    pub prices: BTreeMap<String, Entry>,
    /// Latencies by class key or `class.variant`.
    pub latencies: BTreeMap<String, Price>,
}

/// The version of the file format that this crate reads.
const SCHEMA: u32 = 1;
/// Cores beyond which a chip file is taken for a mistake.
const MAX_CORES: u64 = 1 << 24;

impl Chip {
    /// Reads a chip from the text of its file. `file` is named in errors.
    pub fn from_toml(text: &str, file: &str) -> Result<Chip, CostError> {
        let raw: RawChip = toml::from_str(text).map_err(|e| CostError::Syntax {
            file: file.into(),
            detail: e.to_string().trim_end().replace('\n', "\n  "),
        })?;
        let bad = |place: &str, found: String, expected: &str| CostError::Value {
            file: file.into(),
            place: place.into(),
            found,
            expected: expected.into(),
        };
        if raw.schema != SCHEMA {
            return Err(bad("schema", raw.schema.to_string(), "1"));
        }
        let prices = entries(raw.price, file)?;
        let chip = Chip {
            name: raw.name,
            title: raw.title,
            technology: raw.technology,
            accounting: raw.accounting,
            multicast: raw.multicast,
            warnings: raw.warnings,
            mesh: raw.mesh,
            cores: raw.cores,
            weights: raw.weights,
            links: raw.links,
            ticks: raw.ticks,
            static_power: raw.static_power,
            memory: raw.memory,
            barrier: raw.barrier,
            prices,
            latencies: raw.latency,
        };
        chip.check(file)?;
        Ok(chip)
    }

    /// Reads a chip file from disk.
    pub fn from_file(path: &Path) -> Result<Chip, CostError> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| CostError::Io { path: path.display().to_string(), detail: e.to_string() })?;
        Chip::from_toml(&text, &path.display().to_string())
    }

    /// The text of a file that describes this chip: [`Chip::from_toml`] reads it back.
    ///
    /// # Errors
    /// [`CostError::Syntax`] if a value has no form in TOML, such as an infinite number.
    pub fn to_toml(&self) -> Result<String, CostError> {
        fn part(value: &impl Serialize) -> Result<toml::Value, toml::ser::Error> {
            toml::Value::try_from(value)
        }
        let fault =
            |e: toml::ser::Error| CostError::Syntax { file: self.name.clone(), detail: e.to_string() };
        let write = || -> Result<String, toml::ser::Error> {
            let mut file = toml::Table::new();
            file.insert("schema".into(), toml::Value::Integer(SCHEMA.into()));
            for (key, text) in
                [("name", &self.name), ("title", &self.title), ("technology", &self.technology)]
            {
                file.insert(key.into(), text.as_str().into());
            }
            file.insert("accounting".into(), part(&self.accounting)?);
            file.insert("multicast".into(), part(&self.multicast)?);
            file.insert("warnings".into(), part(&self.warnings)?);
            file.insert("mesh".into(), part(&self.mesh)?);
            file.insert("cores".into(), part(&self.cores)?);
            file.insert("weights".into(), part(&self.weights)?);
            if let Some(links) = &self.links {
                file.insert("links".into(), part(links)?);
            }
            if let Some(ticks) = &self.ticks {
                file.insert("ticks".into(), part(ticks)?);
            }
            file.insert("static".into(), part(&self.static_power)?);
            file.insert("memory".into(), part(&self.memory)?);
            file.insert("barrier".into(), part(&self.barrier)?);
            let mut prices = toml::Table::new();
            for (key, entry) in &self.prices {
                let value = match entry {
                    Entry::Price(p) => part(p)?,
                    Entry::IncludedIn { entry, source } => {
                        part(&BTreeMap::from([("included_in", entry), ("source", source)]))?
                    }
                    Entry::Free { reason } => part(&BTreeMap::from([("free", reason)]))?,
                };
                prices.insert(key.clone(), value);
            }
            file.insert("price".into(), prices.into());
            file.insert("latency".into(), part(&self.latencies)?);
            toml::to_string_pretty(&file)
        };
        write().map_err(fault)
    }

    /// Checks ranges, units and references. Chips built in code must pass it, too.
    pub fn check(&self, file: &str) -> Result<(), CostError> {
        let bad = |place: &str, found: String, expected: &str| CostError::Value {
            file: file.into(),
            place: place.into(),
            found,
            expected: expected.into(),
        };
        let m = self.mesh;
        let cores = u64::from(m.width) * u64::from(m.height);
        if cores == 0
            || m.cores_per_tile == 0
            || cores.saturating_mul(u64::from(m.cores_per_tile)) > MAX_CORES
        {
            return Err(bad(
                "mesh",
                format!("{} x {} x {}", m.width, m.height, m.cores_per_tile),
                "at least 1 x 1 tile with 1 core, at most 2^24 cores",
            ));
        }
        if self.weights.bits == 0 || self.weights.bits > 32 {
            return Err(bad("weights.bits", self.weights.bits.to_string(), "1 to 32"));
        }
        let w = &self.weights;
        if w.converter_bits.is_some_and(|b| !(2..=24).contains(&b))
            || w.array.is_some_and(|a| a == 0 || a > 65_536)
        {
            let found = format!("converter_bits {:?}, array {:?}", w.converter_bits, w.array);
            return Err(bad("weights", found, "2 to 24 bits, arrays of 1 to 65536 rows"));
        }
        if self.links.as_ref().is_some_and(|l| l.buffer == 0) {
            return Err(bad("links.buffer", "0".into(), "at least 1 packet"));
        }
        self.check_limits(&bad)?;
        self.check_prices(&bad)?;
        self.check_times(&bad)
    }

    fn check_limits(&self, bad: &dyn Fn(&str, String, &str) -> CostError) -> Result<(), CostError> {
        let limits = [
            ("cores.neurons", self.cores.neurons),
            ("cores.fan_in", self.cores.fan_in),
            ("cores.axons_in", self.cores.axons_in),
            ("cores.axons_out", self.cores.axons_out),
            ("cores.synapse_bits", self.cores.synapse_bits),
        ];
        for (place, limit) in limits {
            if limit == Some(0) {
                return Err(bad(
                    place,
                    "0".into(),
                    "a positive number, or no such line if the maker states no limit",
                ));
            }
        }
        Ok(())
    }

    fn check_prices(&self, bad: &dyn Fn(&str, String, &str) -> CostError) -> Result<(), CostError> {
        for key in self.prices.keys() {
            if class_of(key).is_none() {
                return Err(bad(
                    &format!("price.{key}"),
                    format!("the class `{key}`"),
                    &format!("one of {} (with `.variant` if need be)", class_list()),
                ));
            }
        }
        for (key, entry) in &self.prices {
            let place = format!("price.{key}");
            let Some(class) = class_of(key) else { continue };
            match entry {
                Entry::Price(p) => {
                    let quantity = quantity_of(class);
                    if let Some((found, expected)) = p.fault(quantity) {
                        return Err(bad(&place, found, &expected));
                    }
                }
                Entry::IncludedIn { entry, .. } => {
                    let known = entry == "static" || matches!(self.prices.get(entry), Some(Entry::Price(_)));
                    if !known {
                        return Err(bad(
                            &place,
                            format!("included_in = \"{entry}\""),
                            "`static` or a class that this file prices",
                        ));
                    }
                }
                Entry::Free { .. } => {}
            }
        }
        Ok(())
    }

    fn check_times(&self, bad: &dyn Fn(&str, String, &str) -> CostError) -> Result<(), CostError> {
        let mut list: Vec<(String, &Price, Quantity)> = Vec::new();
        for (key, p) in &self.latencies {
            if class_of(key).is_none() {
                return Err(bad(
                    &format!("latency.{key}"),
                    format!("the class `{key}`"),
                    &format!("one of {}", class_list()),
                ));
            }
            list.push((format!("latency.{key}"), p, Quantity::Time));
        }
        let s = &self.static_power;
        for (place, p) in [("static.chip", &s.chip), ("static.core", &s.core)] {
            if let Some(p) = p {
                list.push((place.into(), p, Quantity::Power));
            }
        }
        for (i, b) in self.barrier.iter().enumerate() {
            list.push((format!("barrier[{i}].time"), &b.time, Quantity::Time));
        }
        for (i, m) in self.memory.iter().enumerate() {
            if let Some(p) = &m.leak_per_bit {
                list.push((format!("memory[{i}].leak_per_bit"), p, Quantity::Power));
            }
        }
        if let Some(p) = self.ticks.as_ref().and_then(|t| t.real_time.as_ref()) {
            list.push(("ticks.real_time".into(), p, Quantity::Time));
        }
        for (place, p, quantity) in list {
            if let Some((found, expected)) = p.fault(quantity) {
                return Err(bad(&place, found, &expected));
            }
        }
        if !self.barrier.windows(2).all(|w| match w {
            [a, b] => a.tiles < b.tiles,
            _ => true,
        }) {
            return Err(bad("barrier", "rows out of order".into(), "ascending `tiles`"));
        }
        let separate = s.scope == StaticScope::Separate;
        let leaks = self.memory.iter().any(|m| m.leak_per_bit.is_some());
        if separate && s.chip.is_none() && s.core.is_none() && !leaks {
            return Err(bad(
                "static.scope",
                "separate".into(),
                "a price in static.chip, static.core or memory.leak_per_bit; or scope = \"unpublished\"",
            ));
        }
        Ok(())
    }

    /// What the file says of a class in a variant: `class.variant` if there, else `class`.
    pub fn entry(&self, class: Class, variant: Option<&str>) -> Option<&Entry> {
        lookup(&self.prices, class, variant)
    }

    /// Energy per event in joules, if the class is priced in its own right.
    pub fn energy_j(&self, class: Class, variant: Option<&str>) -> Option<Interval> {
        match self.entry(class, variant)? {
            Entry::Price(p) => Some(p.si(quantity_of(class))),
            _ => None,
        }
    }

    /// Duration of an event in seconds; zero where the file states none.
    pub fn latency_s(&self, class: Class, variant: Option<&str>) -> f64 {
        lookup(&self.latencies, class, variant).map_or(0.0, |p| p.si(Quantity::Time).nominal)
    }

    /// Whether the file states any latency, so that the time of a tick can be computed.
    pub fn has_latencies(&self) -> bool {
        !self.latencies.is_empty()
    }

    /// Duration of the barrier with this number of used tiles: the last row whose `tiles` is not larger.
    pub fn barrier_s(&self, tiles: u32) -> f64 {
        let row = self.barrier.iter().rev().find(|b| b.tiles <= tiles);
        row.map_or(0.0, |b| b.time.si(Quantity::Time).nominal)
    }

    /// Number of tiles.
    pub fn tiles(&self) -> u32 {
        self.mesh.width.saturating_mul(self.mesh.height)
    }

    /// Number of cores.
    pub fn core_count(&self) -> u32 {
        self.tiles().saturating_mul(self.mesh.cores_per_tile)
    }

    /// The tile of a core.
    pub fn tile_of(&self, core: u32) -> u32 {
        core / self.mesh.cores_per_tile.max(1)
    }

    /// Bits of synapse memory that `synapses` stored weights of `bits` bits take.
    pub fn synapse_bits(&self, synapses: u64, bits: u32) -> u64 {
        let each = u64::from(bits.min(self.weights.bits)) * u64::from(self.weights.devices);
        synapses.saturating_mul(each + u64::from(self.weights.overhead_bits))
    }
}

fn quantity_of(class: Class) -> Quantity {
    match class {
        Class::XbarCharge | Class::PulseEnergy => Quantity::Factor,
        _ => Quantity::Energy,
    }
}

fn class_of(key: &str) -> Option<Class> {
    Class::from_key(key.split_once('.').map_or(key, |(class, _)| class))
}

fn class_list() -> String {
    let keys: Vec<&str> = Class::ALL.iter().map(|c| c.key()).collect();
    keys.join(", ")
}

fn lookup<'a, T>(map: &'a BTreeMap<String, T>, class: Class, variant: Option<&str>) -> Option<&'a T> {
    variant.and_then(|v| map.get(&format!("{}.{v}", class.key()))).or_else(|| map.get(class.key()))
}

/// Turns raw entries into checked ones: exactly one of price, `included_in`, `free`.
fn entries(raw: BTreeMap<String, RawEntry>, file: &str) -> Result<BTreeMap<String, Entry>, CostError> {
    let mut out = BTreeMap::new();
    for (key, e) in raw {
        let fault = |found: &str, expected: &str| CostError::Value {
            file: file.into(),
            place: format!("price.{key}"),
            found: found.into(),
            expected: expected.into(),
        };
        let entry = match (e.value, e.included_in, e.free) {
            (None, Some(entry), None) => Entry::IncludedIn { entry, source: e.source.unwrap_or_default() },
            (None, None, Some(reason)) if !reason.trim().is_empty() => Entry::Free { reason },
            (Some(value), None, None) => match (e.low, e.high, e.unit, e.kind, e.source) {
                (Some(low), Some(high), Some(unit), Some(kind), Some(source)) => {
                    Entry::Price(Price { value, low, high, unit, kind, source })
                }
                _ => {
                    return Err(fault(
                        "a value without all of low, high, unit, kind, source",
                        "value, low, high, unit, kind and source together",
                    ));
                }
            },
            _ => {
                return Err(fault(
                    "neither or several of value, included_in, free",
                    "exactly one: a price, `included_in = \"class\"` or `free = \"reason\"`",
                ));
            }
        };
        out.insert(key, entry);
    }
    Ok(out)
}
