//! From the description to the integer network and its placement.

use super::{Arch, Drive, SanafeError, Snn, reference};
use crate::network::{
    Current, CurrentOrder, Floor, KEEP, Lif, Network, Param, Population, Reset, Rows, Synapses,
};
use crate::placement::{PIECE_MAX, Placement, Slice};
use std::collections::BTreeMap;

/// Where a neuron of the file stands in the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Home {
    /// Population of the network; it is wholly on one core.
    pub population: usize,
    /// Number in the population.
    pub index: usize,
    /// Core of the chip.
    pub core: u32,
    /// Variants that price it: synapse (of what it receives), dendrite, soma.
    pub units: [String; 3],
    /// When it fires, if it is an input.
    pub drive: Option<Drive>,
    /// Number of its input unit's random stream; 0 if it is no input.
    pub stream: u32,
    /// It is updated in every step: it has a bias or is told to.
    pub always: bool,
}

/// The network, its placement, and the way back to the file.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// Integers.
    pub network: Network,
    /// One list per core of the chip, up to the last one in use.
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

const KNOWN: [&str; 24] = [
    "soma_hw_name",
    "synapse_hw_name",
    "dendrite_hw_name",
    "log_spikes",
    "log_potential",
    "log_u",
    "threshold",
    "leak_decay",
    "leak",
    "leak_towards_zero",
    "reset",
    "reset_mode",
    "refractory_delay",
    "bias",
    "force_update",
    "force_soma_update",
    "force_update_every_timestep",
    "reverse_threshold",
    "reverse_reset",
    "reverse_reset_mode",
    "rate",
    "poisson",
    "random_mask",
    "input_decay",
];

/// The model of a soma.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Model {
    Input,
    Lif,
    TrueNorth,
}

/// What a threshold does to the membrane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    None,
    Soft,
    Hard,
    Saturate,
}

/// A neuron's numbers as the file has them.
struct Soma {
    threshold: f64,
    bias: f64,
    decay: f64,
    input_decay: f64,
    /// Taken off the magnitude in every step.
    leak: f64,
    reset: f64,
    mode: Mode,
    refractory: u32,
    floor: f64,
    floor_mode: Mode,
    floor_value: f64,
    force: bool,
}

fn soma_of(snn: &Snn, n: usize, model: Model) -> Result<Soma, SanafeError> {
    let neuron = &snn.neurons[n];
    let number = |key: &str, default: f64| match neuron.attributes.get(key) {
        None => Ok(default),
        Some(text) => match text.trim().parse::<f64>() {
            Ok(x) if x.is_finite() && x.abs() < 1e6 => Ok(x),
            _ => reference(&neuron.name, format!("{key}: {text}"), "a number of at most a million"),
        },
    };
    let word = |key: &str| neuron.attributes.get(key).map(String::as_str);
    let mode = |key: &str, default: Mode| match word(key) {
        None => Ok(default),
        Some("none") => Ok(Mode::None),
        Some("soft") => Ok(Mode::Soft),
        Some("hard") => Ok(Mode::Hard),
        Some("saturate") => Ok(Mode::Saturate),
        Some(other) => reference(&neuron.name, format!("{key} {other}"), "none, soft, hard or saturate"),
    };
    let truth = |key: &str, default: bool| match word(key) {
        Some("true" | "True" | "1") => true,
        Some("false" | "False" | "0") => false,
        _ => default,
    };
    let truenorth = model == Model::TrueNorth;
    if truenorth && number("random_mask", 0.0)? != 0.0 {
        return reference(&neuron.name, "random_mask", "none: C's rand() cannot be repeated");
    }
    let decay = if truenorth { 1.0 } else { number("leak_decay", 1.0)? };
    let input_decay = if truenorth { 0.0 } else { number("input_decay", 0.0)? };
    let refractory = if truenorth { 0.0 } else { number("refractory_delay", 0.0)? };
    let shares = (0.0..=1.0).contains(&decay) && (0.0..=1.0).contains(&input_decay);
    if !shares || !(0.0..=60_000.0).contains(&refractory) || refractory.fract() != 0.0 {
        return reference(
            &neuron.name,
            format!("leak_decay {decay}, input_decay {input_decay}, refractory_delay {refractory}"),
            "decays from 0 to 1 and a whole number of steps",
        );
    }
    let (leak, toward) = (number("leak", 0.0)?, truth("leak_towards_zero", true));
    if truenorth && toward && leak < 0.0 {
        return reference(&neuron.name, format!("leak {leak} towards zero"), "a leak that is not negative");
    }
    let force = ["force_update", "force_soma_update", "force_update_every_timestep"];
    Ok(Soma {
        threshold: number("threshold", 0.0)?,
        // A leak that does not know where zero is, is a bias that does not wake the neuron.
        bias: number("bias", 0.0)? + if truenorth && !toward { leak } else { 0.0 },
        decay,
        input_decay,
        leak: if truenorth && toward { leak } else { 0.0 },
        reset: number("reset", 0.0)?,
        mode: mode("reset_mode", Mode::Hard)?,
        refractory: refractory as u32,
        floor: number("reverse_threshold", 0.0)?,
        floor_mode: mode("reverse_reset_mode", Mode::None)?,
        floor_value: number("reverse_reset", 0.0)?,
        force: number("bias", 0.0)? != 0.0 || force.iter().any(|key| truth(key, false)),
    })
}

/// The least m such that all values are whole in units of 1/(64 m); the last resort is not exact.
fn grain(values: &[f64], weights: &[f64]) -> (i32, bool) {
    let fits = |m: i32| {
        values.iter().chain(weights).all(|v| {
            let x = v * 64.0 * f64::from(m);
            (x - x.round()).abs() <= 1e-9 * x.abs().max(1.0)
        })
    };
    let parts =
        |base: i32, most: i32| std::iter::successors(Some(1), move |m| Some(m * base).filter(|m| *m <= most));
    let mut list: Vec<i32> = parts(5, 15_625)
        .flat_map(|five| parts(2, 1024).flat_map(move |two| parts(3, 9).map(move |three| (five, two, three))))
        .filter_map(|(five, two, three): (i32, i32, i32)| {
            five.checked_mul(two * three).filter(|m| *m <= 20_000)
        })
        .collect();
    list.sort_unstable();
    if let Some(m) = list.into_iter().find(|m| fits(*m)) {
        return (m, true);
    }
    // As fine as 16-bit weights and 30-bit membranes allow.
    let largest = weights.iter().fold(1e-3f64, |a, w| a.max(w.abs()));
    let state = values.iter().fold(1.0f64, |a, v| a.max(v.abs()));
    let m = (32_767.0 / 64.0 / largest).min(f64::from(1 << 26) / 64.0 / state).clamp(1.0, 20_000.0);
    (m as i32, false)
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
    let mut models: Vec<Model> = Vec::new();
    for (&core, list) in &order {
        for &n in list {
            let (units, model, stream) = units(arch, snn, core, n)?;
            let l = soma_of(snn, n, model)?;
            let input = model == Model::Input;
            for key in snn.neurons[n].attributes.keys().filter(|k| !KNOWN.contains(&k.as_str())) {
                warnings.push(format!("{}: attribute `{key}` is not understood", snn.neurons[n].name));
            }
            let group = snn.neurons[n].name.split('.').next().unwrap_or_default().to_string();
            let floor = if l.floor_mode == Mode::None { [0.0; 2] } else { [l.floor, l.floor_value] };
            let current = l.input_decay != 0.0;
            let shape =
                format!("{model:?} {:?} {} {:?} {floor:?} {current}", l.mode, l.refractory, l.floor_mode);
            let next = members.len();
            let population = *keys.entry((core, group, units.clone(), shape)).or_insert(next);
            if population == next {
                members.push(Vec::new());
                places.push((core, input));
                models.push(model);
            }
            let index = members[population].len();
            members[population].push(n);
            let drive = if input { Some(snn.neurons[n].drive()?) } else { None };
            let always = !input && l.force;
            homes[n] = Some(Home { population, index, core, units, drive, stream, always });
        }
    }
    let homes: Vec<Home> = homes.into_iter().flatten().collect();
    let mut network = Network { seed: 1, ..Network::default() };
    let mut scales = Vec::new();
    let mut shifts = vec![0u32; members.len()];
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
        let model = models[p];
        let (population, scale, shift) = population(snn, &name, list, model, &incoming[p], &mut warnings)?;
        network.add_population(population);
        scales.push(scale);
        shifts[p] = shift;
    }
    let delays = delays(arch, snn, &homes, &mut warnings);
    connect(snn, &homes, &delays, &scales, &shifts, &mut network)?;
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

/// The variants of a neuron's synapse, dendrite and soma unit, its model, and the stream of its unit if it is an
/// input.
fn units(arch: &Arch, snn: &Snn, core: u32, n: usize) -> Result<([String; 3], Model, u32), SanafeError> {
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
    for (unit, known) in
        [(&synapse, &["current_based"][..]), (&dendrite, &["accumulator", "accumulator_with_delay"][..])]
    {
        if !known.contains(&unit.model.as_str()) {
            return reference(
                &neuron.name,
                format!("model `{}` of {}", unit.model, unit.name),
                known.join(" or "),
            );
        }
    }
    let model = match soma.model.as_str() {
        "input" => Model::Input,
        "leaky_integrate_fire" | "leaky_integrate_and_fire" => Model::Lif,
        "truenorth" => Model::TrueNorth,
        other => {
            let expected = "leaky_integrate_fire, truenorth or input";
            return reference(&neuron.name, format!("soma model `{other}`"), expected);
        }
    };
    let inputs = kind.somas.iter().filter(|u| u.model == "input");
    let place = inputs.take_while(|u| u.name != soma.name).count() as u32;
    let first = arch.streams.get(core as usize).copied().unwrap_or(0);
    let stream = if model == Model::Input { first + place } else { 0 };
    Ok(([synapse.variant, dendrite.variant, soma.variant], model, stream))
}

/// Steps of each edge beyond the one that every spike takes: only some dendrites delay.
fn delays(arch: &Arch, snn: &Snn, homes: &[Home], warnings: &mut Vec<String>) -> Vec<u32> {
    let delaying = |n: usize| {
        let kind = arch.cores.get(homes[n].core as usize).copied().flatten().and_then(|k| arch.kinds.get(k));
        let unit = kind.and_then(|k| k.dendrites.iter().find(|u| u.variant == homes[n].units[1]));
        unit.is_some_and(|u| u.model == "accumulator_with_delay")
    };
    let of = |e: &super::Edge| if e.delay > 0 && delaying(e.target) { e.delay } else { 0 };
    let delays: Vec<u32> = snn.edges.iter().map(of).collect();
    if snn.edges.iter().zip(&delays).any(|(e, d)| e.delay != *d) {
        warnings.push("delays onto dendrites of model `accumulator` have no effect, as in SANA-FE".into());
    }
    delays
}

/// The population of some neurons, membrane units per volt, and the shift from weights to membrane units.
fn population(
    snn: &Snn,
    name: &str,
    list: &[usize],
    model: Model,
    incoming: &[f64],
    warnings: &mut Vec<String>,
) -> Result<(Population, f64, u32), SanafeError> {
    let somas = list.iter().map(|n| soma_of(snn, *n, model)).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = somas.first() else {
        return reference(name, "no neurons", "at least one");
    };
    let mut values = Vec::new();
    for l in &somas {
        values.extend([l.bias, l.reset, l.leak]);
        if matches!(l.mode, Mode::Soft | Mode::Saturate) {
            values.push(l.threshold);
        }
        if l.floor_mode != Mode::None {
            values.extend([l.floor, l.floor_value]);
        }
    }
    let (mut m, exact) = grain(&values, incoming);
    if first.input_decay != 0.0 {
        // Currents have no smallest step in SANA-FE: a fine one here.
        let largest = incoming.iter().fold(1e-3f64, |a, w| a.max(w.abs()));
        let times = (32_767.0 / (64.0 * f64::from(m) * largest)).min(4096.0 / f64::from(m)).floor().max(1.0);
        m *= times as i32;
        warnings.push(format!("{name}: synaptic currents (input_decay) are kept in steps of 1/{}", 64 * m));
    }
    let scale = 64.0 * f64::from(m);
    if !exact {
        warnings.push(format!("{name}: numbers are rounded to multiples of 1/{scale}"));
    }
    let units = |x: f64| (x * scale).round() as i32;
    let each = |f: fn(&Soma) -> f64| Param::Each(somas.iter().map(|l| units(f(l))).collect());
    let truenorth = model == Model::TrueNorth;
    // v > threshold, or v ≥ threshold, in whole units.
    let whole = |x: f64| if truenorth { (x * scale - 1e-6).ceil() } else { (x * scale + 1e-6).floor() };
    let thresholds: Vec<i32> = somas.iter().map(|l| whole(l.threshold) as i32).collect();
    let saturates = truenorth && first.mode == Mode::Saturate;
    // v < floor, or v ≤ floor.
    let below =
        |x: f64| if truenorth { (x * scale + 1e-6).floor() + 1.0 } else { (x * scale - 1e-6).ceil() } as i32;
    let (floor, to) = (below(first.floor), units(first.floor));
    let floor = match first.floor_mode {
        Mode::None => None,
        Mode::Hard => Some((floor, Floor::Value(units(first.floor_value)))),
        Mode::Soft => Some((floor, Floor::Add(if truenorth { to } else { -to }))),
        Mode::Saturate => Some((floor, Floor::Value(to))),
    };
    // Whole numbers need no fraction below the weights: what all weights share is a shift.
    let share = incoming.iter().map(|w| units(*w)).filter(|w| *w != 0).map(i32::trailing_zeros).min();
    let wide = incoming.iter().any(|w| units(*w).unsigned_abs() > 32_767);
    let shift = if wide { share.unwrap_or(0).min(20) } else { 0 };
    let lif = Lif {
        threshold: Param::Each(thresholds),
        greater_equal: truenorth,
        bias: each(|l| l.bias),
        decay: match truenorth {
            true => each(|l| l.leak),
            false => Param::Each(somas.iter().map(|l| q31(l.decay)).collect()),
        },
        additive_leak: truenorth,
        current: (first.input_decay != 0.0).then(|| Current {
            decay: Param::Each(somas.iter().map(|l| q31(l.input_decay)).collect()),
            order: CurrentOrder::New,
            gain: (1, 0),
        }),
        reset: match first.mode {
            Mode::Soft => Reset::Subtract,
            Mode::Hard => Reset::Value,
            Mode::Saturate if saturates => Reset::Value,
            Mode::None | Mode::Saturate => Reset::None,
        },
        reset_value: if saturates { each(|l| l.threshold) } else { each(|l| l.reset) },
        input_shift: shift,
        refractory: somas.iter().map(|l| l.refractory.saturating_sub(1)).max().unwrap_or(0),
        count_touched: true,
        leak_resting: true,
        grain: if truenorth { 1 } else { m },
        floor,
        ..Lif::default()
    };
    Ok((Population::lif(name, list.len(), 1, lif), scale, shift))
}

/// One projection per pair of populations that are connected.
fn connect(
    snn: &Snn,
    homes: &[Home],
    delays: &[u32],
    scales: &[f64],
    shifts: &[u32],
    network: &mut Network,
) -> Result<(), SanafeError> {
    type Row = Vec<(u32, i16, u16)>;
    let mut pairs: BTreeMap<(usize, usize), BTreeMap<usize, Row>> = BTreeMap::new();
    for (e, delay) in snn.edges.iter().zip(delays) {
        let (from, to) = (&homes[e.source], &homes[e.target]);
        if to.drive.is_some() {
            return reference(&snn.neurons[e.target].name, "a synapse onto an input", "none");
        }
        let scale = scales[to.population] / f64::from(1u32 << shifts[to.population]);
        let w = (e.weight * scale).round();
        if w.abs() > 32_767.0 {
            let found = format!("weight {} in units of 1/{scale}", e.weight);
            return reference(&snn.neurons[e.target].name, found, "at most 32767 units; use fewer decimals");
        }
        let rows = pairs.entry((from.population, to.population)).or_default();
        let synapse = (to.index as u32, w as i16, *delay as u16 + 1);
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

/// One list per core of the chip, up to the last one in use.
fn placement(members: &[Vec<usize>], places: &[(u32, bool)]) -> Placement {
    let last = places.iter().map(|p| p.0).max().unwrap_or(0) as usize;
    let mut cores = vec![Vec::new(); last + 1];
    for (population, (list, (core, _))) in members.iter().zip(places).enumerate() {
        for first in (0..list.len()).step_by(PIECE_MAX) {
            let count = PIECE_MAX.min(list.len() - first);
            cores[*core as usize].push(Slice { population, first, count });
        }
    }
    Placement { cores }
}
