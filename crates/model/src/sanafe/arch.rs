//! The architecture: tiles, cores, units and their prices, as a [`Chip`].

use super::yaml::{self, Node};
use super::{SanafeError, expand};
use std::collections::BTreeMap;
use synop_cost::{
    Accounting, Barrier, Chip, Cores, Entry, Kind, Links, Mesh, Multicast, Price, Static, StaticScope,
    Weights,
};

/// Most cores of an architecture.
const MAX_CORES: u64 = 1 << 20;

/// A unit of a core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its name, an index in brackets included.
    pub name: String,
    /// Its model.
    pub model: String,
    /// The variant under which the chip prices it.
    pub variant: String,
}

/// What a core is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreKind {
    /// Neurons that it holds at most.
    pub max_neurons: u64,
    /// Receiving unit's variant.
    pub axon_in: String,
    /// Sending unit's variant.
    pub axon_out: String,
    /// Synapse units.
    pub synapses: Vec<Unit>,
    /// Dendrite units.
    pub dendrites: Vec<Unit>,
    /// Soma units.
    pub somas: Vec<Unit>,
    /// Dendrites are updated once per neuron and step (the buffer stands before them), not once per event.
    pub dendrites_step: bool,
}

/// An architecture.
#[derive(Debug, Clone, PartialEq)]
pub struct Arch {
    /// The chip that prices it; variants name its units.
    pub chip: Chip,
    /// Kinds of core.
    pub kinds: Vec<CoreKind>,
    /// Kind of each core, by core index; `None` where a tile has fewer cores than the largest.
    pub cores: Vec<Option<usize>>,
    /// Variant of each tile.
    pub tiles: Vec<String>,
    /// Number, from 1, of each core's first input unit among all of the chip: its random stream.
    pub streams: Vec<u32>,
}

struct Reader<'a> {
    file: &'a str,
    prices: BTreeMap<String, Entry>,
    latencies: BTreeMap<String, Price>,
}

impl Arch {
    /// Reads an architecture; `file` is named in errors.
    ///
    /// # Errors
    /// [`SanafeError`] names line, key, what was found and expected.
    pub fn read(text: &str, file: &str) -> Result<Arch, SanafeError> {
        let root = yaml::read(text, file)?;
        let mut reader = Reader { file, prices: BTreeMap::new(), latencies: BTreeMap::new() };
        reader.architecture(&root)
    }

    /// The chip as a file of its own: units that are not told apart are priced as the first of their kind, inputs
    /// not counted, and what the format charges as a whole is part of it.
    pub fn plain_chip(&self) -> Chip {
        let mut chip = self.chip.clone();
        let Some(kind) = self.kinds.first() else { return chip };
        let soma = kind.somas.iter().find(|u| u.model != "input").or(kind.somas.first());
        let first = |units: &[Unit]| units.first().map(|u| u.variant.clone());
        let soma = soma.map(|u| u.variant.clone());
        let tile = self.tiles.first().cloned();
        for (classes, variant) in [
            (&["syn_event"][..], first(&kind.synapses)),
            (&["dend_update"], first(&kind.dendrites)),
            (&["soma_access", "soma_update", "soma_spike"], soma),
            (&["packet_in"], Some(kind.axon_in.clone())),
            (&["packet_out"], Some(kind.axon_out.clone())),
            (&["hop_north", "hop_east", "hop_south", "hop_west"], tile),
        ] {
            for class in classes {
                let key = format!("{class}.{}", variant.as_deref().unwrap_or_default());
                if let Some(entry) = chip.prices.get(&key).cloned() {
                    chip.prices.insert((*class).into(), entry);
                }
                if let Some(time) = chip.latencies.get(&key).cloned() {
                    chip.latencies.insert((*class).into(), time);
                }
            }
        }
        for (class, payer) in [
            ("ac", "syn_event"),
            ("mac", "syn_event"),
            ("read_synapse", "syn_event"),
            ("read_state", "soma_update"),
            ("write_state", "soma_update"),
            ("read_route", "packet_out"),
        ] {
            if chip.prices.contains_key(payer) {
                let source = "SANA-FE charges the event as a whole".to_string();
                chip.prices.insert(class.into(), Entry::IncludedIn { entry: payer.into(), source });
            }
        }
        let reason = "SANA-FE gives the barrier a duration and no energy".to_string();
        chip.prices.insert("barrier".into(), Entry::Free { reason });
        chip
    }
}

impl Reader<'_> {
    fn fault<T>(&self, line: usize, place: &str, found: &str, expected: &str) -> Result<T, SanafeError> {
        Err(SanafeError::Value {
            file: self.file.into(),
            line,
            place: place.into(),
            found: found.into(),
            expected: expected.into(),
        })
    }

    fn need<'n>(&self, node: &'n Node, key: &str) -> Result<&'n Node, SanafeError> {
        match node.get(key) {
            Some(n) => Ok(n),
            None => self.fault(node.line, key, "nothing", "this key"),
        }
    }

    fn number(&self, node: &Node, key: &str) -> Result<f64, SanafeError> {
        let n = self.need(node, key)?;
        match n.number() {
            Some(x) if x >= 0.0 => Ok(x),
            _ => self.fault(n.line, key, &format!("{:?}", n.text()), "a number that is not negative"),
        }
    }

    fn whole(&self, node: &Node, key: &str, most: u32) -> Result<u32, SanafeError> {
        let x = self.number(node, key)?;
        if x.fract() != 0.0 || x < 1.0 || x > f64::from(most) {
            let line = self.need(node, key)?.line;
            return self.fault(line, key, &x.to_string(), &format!("a whole number from 1 to {most}"));
        }
        Ok(x as u32)
    }

    /// A price in the units of chip files: picojoules or nanoseconds of what the file gives in joules or seconds.
    fn price(&self, value: f64, unit: &str) -> Price {
        let (unit, scale) = if unit == "J" { ("pJ", 1e12) } else { ("ns", 1e9) };
        // What was written with few digits stays so.
        let exact = value * scale;
        let short = (exact * 1e9).round() / 1e9;
        let value = if (short - exact).abs() <= 1e-14 * exact.abs() { short } else { exact };
        Price {
            value,
            low: value,
            high: value,
            unit: unit.into(),
            kind: Kind::Assumed,
            source: format!("stated in {} without bounds or source", self.file),
        }
    }

    /// Notes energy and latency of a unit under `class.variant`.
    fn cost(&mut self, attributes: &Node, variant: &str, list: &[(&str, &str)]) -> Result<(), SanafeError> {
        // A unit may price itself by its model instead; what it does is then without a price here.
        let names = list.iter().flat_map(|(_, n)| [format!("energy_{n}"), format!("latency_{n}")]);
        if names.into_iter().all(|n| attributes.get(&n).is_none()) {
            return Ok(());
        }
        for (class, name) in list {
            let energy = self.number(attributes, &format!("energy_{name}"))?;
            let latency = self.number(attributes, &format!("latency_{name}"))?;
            let key = format!("{class}.{variant}");
            self.prices.insert(key.clone(), Entry::Price(self.price(energy, "J")));
            self.latencies.insert(key, self.price(latency, "s"));
        }
        Ok(())
    }

    fn architecture(&mut self, root: &Node) -> Result<Arch, SanafeError> {
        let top = self.need(root, "architecture")?;
        let attributes = self.need(top, "attributes")?;
        let (width, height) =
            (self.whole(attributes, "width", 4096)?, self.whole(attributes, "height", 4096)?);
        let buffer = self.whole(attributes, "link_buffer_size", 1 << 24)?;
        let (mut kinds, mut tiles, mut cores) = (Vec::new(), Vec::new(), Vec::<Vec<usize>>::new());
        for tile in self.need(top, "tile")?.items() {
            let name = self.need(tile, "name")?.text().unwrap_or_default().to_string();
            let hops = [
                ("hop_north", "north_hop"),
                ("hop_east", "east_hop"),
                ("hop_south", "south_hop"),
                ("hop_west", "west_hop"),
            ];
            self.cost(self.need(tile, "attributes")?, &name, &hops)?;
            let mut held = Vec::new();
            for core in self.need(tile, "core")?.items() {
                let core_name = self.need(core, "name")?.text().unwrap_or_default().to_string();
                kinds.push(self.core(core, &format!("{name}/{core_name}"))?);
                held.extend(expand(&core_name).iter().map(|_| kinds.len() - 1));
            }
            let copies = expand(&name).len();
            let all = (tiles.len() + copies) as u64 * held.len().max(1) as u64;
            if all > MAX_CORES {
                return self.fault(
                    tile.line,
                    "tile",
                    &format!("{all} cores"),
                    &format!("at most {MAX_CORES}"),
                );
            }
            tiles.extend(std::iter::repeat_n(name, copies));
            cores.extend(std::iter::repeat_n(held, copies));
        }
        let per_tile = cores.iter().map(Vec::len).max().unwrap_or(0);
        if tiles.len() as u64 > u64::from(width) * u64::from(height) || per_tile == 0 {
            let found = format!("{} tiles", tiles.len());
            return self.fault(top.line, "tile", &found, "at most width x height tiles, each with a core");
        }
        let flat: Vec<Option<usize>> =
            cores.iter().flat_map(|held| (0..per_tile).map(|i| held.get(i).copied())).collect();
        let mut next = 1;
        let mut streams = Vec::with_capacity(flat.len());
        for kind in &flat {
            streams.push(next);
            let somas = kind.and_then(|k| kinds.get(k)).map_or(&[][..], |k: &CoreKind| k.somas.as_slice());
            next += somas.iter().filter(|u| u.model == "input").count() as u32;
        }
        let mesh = Mesh { width, height, cores_per_tile: per_tile as u32 };
        let name = top.get("name").and_then(Node::text).unwrap_or("architecture").to_string();
        let chip = self.chip(name, mesh, buffer, self.barriers(attributes)?);
        chip.check(self.file).map_err(|e| SanafeError::Run(e.to_string()))?;
        Ok(Arch { chip, kinds, cores: flat, tiles, streams })
    }

    fn chip(&self, name: String, mesh: Mesh, buffer: u32, barrier: Vec<Barrier>) -> Chip {
        Chip {
            title: format!("{name}, a SANA-FE architecture"),
            name,
            technology: "not stated".into(),
            accounting: Accounting::Clocked,
            multicast: Multicast::UnicastCopies,
            warnings: vec![format!("Prices are those of {}, which states no sources.", self.file)],
            mesh,
            cores: Cores::default(),
            weights: Weights {
                bits: 32,
                overhead_bits: 0,
                matrix: false,
                devices: 1,
                device: None,
                converter_bits: None,
                array: None,
                source: "SANA-FE states no weight storage".into(),
            },
            links: Some(Links { buffer }),
            ticks: None,
            static_power: Static {
                scope: StaticScope::Unpublished,
                note: "the format has no static power".into(),
                chip: None,
                core: None,
            },
            memory: Vec::new(),
            barrier,
            prices: self.prices.clone(),
            latencies: self.latencies.clone(),
        }
    }

    /// `latency_sync`: one number, a list by tile count, or a map from tile count.
    fn barriers(&self, attributes: &Node) -> Result<Vec<Barrier>, SanafeError> {
        let Some(sync) = attributes.get("latency_sync") else { return Ok(Vec::new()) };
        let mut rows: Vec<(u32, f64)> = Vec::new();
        if let Some(x) = sync.number() {
            rows.push((0, x));
        }
        if let yaml::Value::List(items) = &sync.value {
            rows.extend(items.iter().enumerate().filter_map(|(i, n)| Some((i as u32, n.number()?))));
        }
        for (tiles, time) in sync.entries() {
            match (tiles.trim().parse(), time.number()) {
                (Ok(tiles), Some(x)) => rows.push((tiles, x)),
                _ => return self.fault(time.line, "latency_sync", tiles, "a tile count and seconds"),
            }
        }
        if rows.is_empty() || rows.iter().any(|(_, x)| *x < 0.0) {
            return self.fault(
                sync.line,
                "latency_sync",
                "no usable time",
                "seconds, a list or a map of them",
            );
        }
        rows.sort_by_key(|r| r.0);
        rows.dedup_by_key(|r| r.0);
        Ok(rows.into_iter().map(|(tiles, x)| Barrier { tiles, time: self.price(x, "s") }).collect())
    }

    fn core(&mut self, core: &Node, kind: &str) -> Result<CoreKind, SanafeError> {
        let attributes = self.need(core, "attributes")?;
        let position = self.need(attributes, "buffer_position")?;
        let inside = attributes.get("buffer_inside_unit").and_then(Node::truth).unwrap_or(false);
        let dendrites_step = position.text() == Some("dendrite");
        if !(position.text() == Some("soma") || dendrites_step) || inside {
            let found = format!("{} (inside the unit: {inside})", position.text().unwrap_or("?"));
            let expected = "`soma` or `dendrite`, not inside the unit";
            return self.fault(position.line, "buffer_position", &found, expected);
        }
        let max_neurons = u64::from(self.whole(attributes, "max_neurons_supported", 1 << 30)?);
        let axon_in = self.units(core, kind, "axon_in", &[("packet_in", "message_in")])?;
        let synapses = self.units(core, kind, "synapse", &[("syn_event", "process_spike")])?;
        let dendrites = self.units(core, kind, "dendrite", &[("dend_update", "update")])?;
        let soma =
            [("soma_access", "access_neuron"), ("soma_update", "update_neuron"), ("soma_spike", "spike_out")];
        let somas = self.units(core, kind, "soma", &soma)?;
        let axon_out = self.units(core, kind, "axon_out", &[("packet_out", "message_out")])?;
        let first = |units: &[Unit]| units.first().map(|u| u.variant.clone()).unwrap_or_default();
        Ok(CoreKind {
            max_neurons,
            axon_in: first(&axon_in),
            axon_out: first(&axon_out),
            synapses,
            dendrites,
            somas,
            dendrites_step,
        })
    }

    fn units(
        &mut self,
        core: &Node,
        kind: &str,
        section: &str,
        list: &[(&str, &str)],
    ) -> Result<Vec<Unit>, SanafeError> {
        let mut out = Vec::new();
        for unit in self.need(core, section)?.items() {
            let name = self.need(unit, "name")?.text().unwrap_or_default().to_string();
            let attributes = self.need(unit, "attributes")?;
            let variant = format!("{kind}/{name}");
            self.cost(attributes, &variant, list)?;
            let model = attributes.get("model").and_then(Node::text).unwrap_or_default().to_string();
            out.extend(expand(&name).into_iter().map(|name| Unit {
                name,
                model: model.clone(),
                variant: variant.clone(),
            }));
        }
        if out.is_empty() {
            return self.fault(core.line, section, "no unit", "at least one");
        }
        Ok(out)
    }
}
