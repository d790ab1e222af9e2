//! From the description to the integer network and its placement.

use super::{Arch, Drive, SanafeError, Snn, reference};
use crate::network::{KEEP, Kind, Lif, Network, Param, Population, Reset, Rows, Synapses};
use crate::placement::{Placement, Slice};
use std::collections::BTreeMap;

/// Where a neuron of the file stands in the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Home {
    /// Population of the network; it is wholly on one core, so it is also the piece's population.
    pub population: usize,
    /// Number in the population.
    pub index: usize,
    /// Core of the chip.
    pub core: u32,
    /// Variants that price it: synapse (of what it receives), dendrite, soma.
    pub units: [String; 3],
    /// When it fires, if it is an input.
    pub drive: Option<Drive>,
    /// It is updated in every step: it has a bias or is told to.
    pub always: bool,
}

/// The network, its placement, and the way back to the file.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// Integers.
    pub network: Network,
    /// One list per used core, in order of the chip's cores.
    pub placement: Placement,
    /// One per neuron of the file.
    pub homes: Vec<Home>,
    /// Membrane units per volt of the file, by population.
    pub scales: Vec<f64>,
    /// Neurons of each chip core in processing order.
    pub order: BTreeMap<u32, Vec<usize>>,
    /// What could not be kept exactly, and what was not understood.
    pub warnings: Vec<String>,
}

const KNOWN: [&str; 17] = [
    "soma_hw_name",
    "synapse_hw_name",
    "dendrite_hw_name",
    "log_spikes",
    "log_potential",
    "threshold",
    "leak_decay",
    "reset",
    "reset_mode",
    "refractory_delay",
    "bias",
    "force_update",
    "force_soma_update",
    "reverse_threshold",
    "reverse_reset_mode",
    "rate",
    "input_decay",
];

/// A neuron's numbers as the file has them.
struct Lifs {
    threshold: f64,
    bias: f64,
    decay: f64,
    reset: f64,
    soft: bool,
    refractory: u32,
    floor: Option<f64>,
    force: bool,
}

fn lif_of(snn: &Snn, n: usize) -> Result<Lifs, SanafeError> {
    let neuron = &snn.neurons[n];
    let number = |key: &str, default: f64| match neuron.attributes.get(key) {
        None => Ok(default),
        Some(text) => match text.trim().parse::<f64>() {
            Ok(x) if x.is_finite() && x.abs() < 1e6 => Ok(x),
            _ => reference(&neuron.name, format!("{key}: {text}"), "a number of at most a million"),
        },
    };
    let word = |key: &str| neuron.attributes.get(key).map(String::as_str);
    if number("input_decay", 0.0)? != 0.0 {
        return reference(
            &neuron.name,
            "input_decay",
            "0, or none: currents that outlast a step are not read",
        );
    }
    let soft = match word("reset_mode") {
        None | Some("hard") => false,
        Some("soft") => true,
        Some(other) => return reference(&neuron.name, format!("reset_mode {other}"), "hard or soft"),
    };
    let floor = match word("reverse_reset_mode") {
        None | Some("none") => None,
        Some("saturate") => Some(number("reverse_threshold", 0.0)?),
        Some(other) => {
            return reference(&neuron.name, format!("reverse_reset_mode {other}"), "none or saturate");
        }
    };
    let decay = number("leak_decay", 1.0)?;
    let refractory = number("refractory_delay", 0.0)?;
    if !(0.0..=1.0).contains(&decay) || !(0.0..=60_000.0).contains(&refractory) || refractory.fract() != 0.0 {
        return reference(
            &neuron.name,
            format!("leak_decay {decay}, refractory_delay {refractory}"),
            "a decay from 0 to 1 and a whole number of steps",
        );
    }
    let yes = |key: &str| matches!(word(key), Some("true" | "True" | "1"));
    Ok(Lifs {
        threshold: number("threshold", 0.0)?,
        bias: number("bias", 0.0)?,
        decay,
        reset: number("reset", 0.0)?,
        soft,
        refractory: refractory as u32,
        floor,
        force: yes("force_update") || yes("force_soma_update"),
    })
}

/// The least m such that all values are whole in units of 1/(64 m); the last resort is not exact.
fn grain(values: &[f64]) -> (i32, bool) {
    let fits = |m: i32| {
        values.iter().all(|v| {
            let x = v * 64.0 * f64::from(m);
            (x - x.round()).abs() <= 1e-9 * x.abs().max(1.0)
        })
    };
    for m in [1, 3, 5, 15, 25, 125, 625, 3125] {
        if fits(m) {
            return (m, true);
        }
    }
    (625, false)
}

/// Q31 of a decay; what is not exact is rounded up, so that products that are whole stay whole.
fn q31(decay: f64) -> i32 {
    let x = decay * f64::from(KEEP);
    let near = x.round();
    let q = if (x - near).abs() < 1e-6 { near } else { x.ceil() };
    (q as u32) as i32
}

/// Maps the network onto the architecture and turns it into integers.
///
/// # Errors
/// [`SanafeError::Reference`] names the neuron or core, what was found and expected.
pub fn lower(arch: &Arch, snn: &Snn) -> Result<Lowered, SanafeError> {
    let mut warnings = Vec::new();
    let order = mapping(arch, snn)?;
    let mut homes: Vec<Option<Home>> = vec![None; snn.neurons.len()];
    let mut keys: BTreeMap<(u32, String, [String; 3], String), usize> = BTreeMap::new();
    let mut members: Vec<Vec<usize>> = Vec::new();
    let mut places: Vec<(u32, bool)> = Vec::new();
    for (&core, list) in &order {
        for &n in list {
            let (units, input) = units(arch, snn, core, n)?;
            let l = lif_of(snn, n)?;
            for key in snn.neurons[n].attributes.keys().filter(|k| !KNOWN.contains(&k.as_str())) {
                warnings.push(format!("{}: attribute `{key}` is not understood", snn.neurons[n].name));
            }
            let group = snn.neurons[n].name.split('.').next().unwrap_or_default().to_string();
            let shape = format!("{input} {} {} {:?}", l.soft, l.refractory, l.floor);
            let next = members.len();
            let population = *keys.entry((core, group, units.clone(), shape)).or_insert(next);
            if population == next {
                members.push(Vec::new());
                places.push((core, input));
            }
            let index = members[population].len();
            members[population].push(n);
            let drive = if input { Some(drive(snn, n)?) } else { None };
            let always = !input && (l.bias != 0.0 || l.force);
            homes[n] = Some(Home { population, index, core, units, drive, always });
        }
    }
    let homes: Vec<Home> = homes.into_iter().flatten().collect();
    let mut network = Network { seed: 1, ..Network::default() };
    let mut scales = Vec::new();
    let mut incoming: Vec<Vec<f64>> = vec![Vec::new(); members.len()];
    for e in &snn.edges {
        incoming[homes[e.target].population].push(e.weight);
    }
    for (p, list) in members.iter().enumerate() {
        let name = format!("{}#{p}", snn.neurons[list[0]].name);
        if places[p].1 {
            network.add_population(Population::input(&name, list.len(), 1));
            scales.push(1.0);
            continue;
        }
        let (population, scale) = population(snn, &name, list, &incoming[p], &mut warnings)?;
        network.add_population(population);
        scales.push(scale);
    }
    connect(snn, &homes, &scales, &mut network)?;
    let placement = placement(&members, &places);
    warnings.sort();
    warnings.dedup();
    Ok(Lowered { network, placement, homes, scales, order, warnings })
}

/// Cores with their neurons in processing order; every neuron mapped, every limit kept.
fn mapping(arch: &Arch, snn: &Snn) -> Result<BTreeMap<u32, Vec<usize>>, SanafeError> {
    let per_tile = arch.chip.mesh.cores_per_tile;
    let mut order: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (n, neuron) in snn.neurons.iter().enumerate() {
        let Some((tile, offset)) = neuron.core else {
            return reference(&neuron.name, "no mapping", "a line in `mappings`");
        };
        let core = u64::from(tile) * u64::from(per_tile) + u64::from(offset);
        let kind = arch.cores.get(core as usize).copied().flatten();
        if offset >= per_tile || kind.is_none() {
            return reference(&neuron.name, format!("core {tile}.{offset}"), "a core of the architecture");
        }
        order.entry(core as u32).or_default().push(n);
    }
    for (core, list) in &mut order {
        list.sort_by_key(|n| snn.neurons[*n].order);
        let kind = arch.cores[*core as usize].and_then(|k| arch.kinds.get(k));
        let most = kind.map_or(0, |k| k.max_neurons);
        if list.len() as u64 > most {
            let place = format!("core {}.{}", core / per_tile, core % per_tile);
            return reference(place, format!("{} neurons", list.len()), format!("at most {most}"));
        }
    }
    Ok(order)
}

/// The variants of a neuron's synapse, dendrite and soma unit, and whether it is an input.
fn units(arch: &Arch, snn: &Snn, core: u32, n: usize) -> Result<([String; 3], bool), SanafeError> {
    let neuron = &snn.neurons[n];
    let Some(kind) = arch.cores.get(core as usize).copied().flatten().and_then(|k| arch.kinds.get(k)) else {
        return reference(&neuron.name, format!("core {core}"), "a core of the architecture");
    };
    let pick = |units: &[super::Unit], key: &str| match neuron.attributes.get(key) {
        None => units.first().cloned().ok_or(()),
        Some(name) => units.iter().find(|u| u.name == *name).cloned().ok_or(()),
    };
    let missing = |key: &str| SanafeError::Reference {
        place: neuron.name.clone(),
        found: format!("{key} {:?}", neuron.attributes.get(key)),
        expected: "a unit of its core".into(),
    };
    let synapse = pick(&kind.synapses, "synapse_hw_name").map_err(|()| missing("synapse_hw_name"))?;
    let dendrite = pick(&kind.dendrites, "dendrite_hw_name").map_err(|()| missing("dendrite_hw_name"))?;
    let soma = pick(&kind.somas, "soma_hw_name").map_err(|()| missing("soma_hw_name"))?;
    let input = match soma.model.as_str() {
        "input" => true,
        "leaky_integrate_fire" | "leaky_integrate_and_fire" => false,
        other => {
            return reference(&neuron.name, format!("soma model `{other}`"), "leaky_integrate_fire or input");
        }
    };
    Ok(([synapse.variant, dendrite.variant, soma.variant], input))
}

fn drive(snn: &Snn, n: usize) -> Result<Drive, SanafeError> {
    let neuron = &snn.neurons[n];
    if neuron.attributes.contains_key("poisson") {
        return reference(&neuron.name, "poisson", "spikes or rate: its random stream cannot be repeated");
    }
    Ok(neuron.drive().unwrap_or(Drive::Listed(Vec::new())))
}

fn population(
    snn: &Snn,
    name: &str,
    list: &[usize],
    incoming: &[f64],
    warnings: &mut Vec<String>,
) -> Result<(Population, f64), SanafeError> {
    let lifs = list.iter().map(|n| lif_of(snn, *n)).collect::<Result<Vec<_>, _>>()?;
    let mut values = incoming.to_vec();
    for l in &lifs {
        values.extend([l.bias, l.reset]);
        values.extend(l.floor);
        if l.soft {
            values.push(l.threshold);
        }
    }
    let (m, exact) = grain(&values);
    let scale = 64.0 * f64::from(m);
    if !exact {
        warnings.push(format!("{name}: numbers are rounded to multiples of 1/{scale}"));
    }
    let whole =
        |f: fn(&Lifs) -> f64| Param::Each(lifs.iter().map(|l| (f(l) * scale).round() as i32).collect());
    let soft = lifs.iter().any(|l| l.soft);
    let floor = lifs.iter().find_map(|l| l.floor);
    let threshold = lifs.iter().map(|l| (l.threshold * scale + 1e-6).floor() as i32).collect();
    let lif = Lif {
        threshold: Param::Each(threshold),
        bias: whole(|l| l.bias),
        decay: Param::Each(lifs.iter().map(|l| q31(l.decay)).collect()),
        reset: if soft { Reset::Subtract } else { Reset::Value },
        reset_value: whole(|l| l.reset),
        refractory: lifs.iter().map(|l| l.refractory.saturating_sub(1)).max().unwrap_or(0),
        range: (floor.map_or(-(1 << 30), |f| (f * scale).round() as i32), 1 << 30),
        clamp: floor.is_some(),
        count_touched: true,
        leak_resting: true,
        grain: m,
        ..Lif::default()
    };
    let mut population = Population::lif(name, list.len(), 1, lif);
    population.kind = match population.kind {
        Kind::Lif(l) => Kind::Lif(l),
        other => other,
    };
    Ok((population, scale))
}

/// One projection per pair of populations that are connected.
fn connect(snn: &Snn, homes: &[Home], scales: &[f64], network: &mut Network) -> Result<(), SanafeError> {
    type Row = Vec<(u32, i16, u16)>;
    let mut pairs: BTreeMap<(usize, usize), BTreeMap<usize, Row>> = BTreeMap::new();
    for e in &snn.edges {
        let (from, to) = (&homes[e.source], &homes[e.target]);
        if to.drive.is_some() {
            return reference(&snn.neurons[e.target].name, "a synapse onto an input", "none");
        }
        let w = (e.weight * scales[to.population]).round();
        if w.abs() > 32_767.0 {
            let found = format!("weight {} in units of 1/{}", e.weight, scales[to.population]);
            return reference(&snn.neurons[e.target].name, found, "at most 32767 units; use fewer decimals");
        }
        let rows = pairs.entry((from.population, to.population)).or_default();
        let synapse = (to.index as u32, w as i16, e.delay as u16 + 1);
        rows.entry(from.index).or_default().push(synapse);
    }
    for ((source, target), lists) in pairs {
        let mut rows = Rows { index: vec![0], ..Rows::default() };
        for i in 0..network.populations[source].size {
            for (t, w, d) in lists.get(&i).map_or(&[][..], Vec::as_slice) {
                rows.targets.push(*t);
                rows.weights.push(*w);
                rows.delays.push(*d);
            }
            rows.index.push(rows.targets.len());
        }
        network.connect(source, target, 1, Synapses::Sparse { bits: 16, weight: 0, rows });
    }
    Ok(())
}

fn placement(members: &[Vec<usize>], places: &[(u32, bool)]) -> Placement {
    let mut cores: BTreeMap<u32, Vec<Slice>> = BTreeMap::new();
    for (population, (list, (core, _))) in members.iter().zip(places).enumerate() {
        cores.entry(*core).or_default().push(Slice { population, first: 0, count: list.len() });
    }
    Placement { cores: cores.into_values().collect() }
}
