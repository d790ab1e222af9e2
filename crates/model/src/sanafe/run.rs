//! A run: the machine ticks, the events of each step are counted where the chip pays for them.

use super::stream::Stream;
use super::{Arch, Drive, Lowered, SanafeError, Snn};
use crate::image::write;
use std::collections::BTreeMap;
use synop_core::{Kernels, Machine, Observer, Portable, Threefry};
use synop_cost::latency::{self, Active, Fabric, Message, Model, Packet, Schedule};
use synop_cost::{Cell, Chip, Class, Counts, Hops, Kinds, route};

/// One step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// Neurons that fired, inputs included, as numbers of the file, ascending.
    pub fired: Vec<usize>,
    /// Neurons updated, inputs that fired included.
    pub updated: u64,
    /// Packets.
    pub packets: u64,
    /// Hops.
    pub hops: Hops,
    /// Synaptic events of the spikes of this step.
    pub synaptic_events: u64,
    /// Joules by part of the chip: synapse, dendrite, soma, network.
    pub energy_j: [f64; 4],
    /// Seconds under the simple, detailed and queueing model; zero for those that were not asked for.
    pub time_s: [f64; 3],
    /// Membranes after the step, in the units of the file, by neuron; zero for inputs. Empty where no neuron of the
    /// file asks for its potential.
    pub potentials: Vec<f64>,
}

/// A whole run.
#[derive(Debug, Clone, Default)]
pub struct Trial {
    /// Its steps.
    pub steps: Vec<Step>,
    /// Events by core, population and unit.
    pub cells: Vec<Cell>,
    /// Synaptic events that the machine itself counted: those of the last step are not yet delivered.
    pub machine_events: u64,
    /// Synaptic events that touched a weight of zero.
    pub zero_events: u64,
    /// Spikes over links, by link: what the routers carried.
    pub link_loads: BTreeMap<route::Link, u64>,
}

/// All latency models, in the order of [`Step::time_s`].
pub const MODELS: [Model; 3] = [Model::Simple, Model::Detailed, Model::Queue];

/// A packet of a neuron: destination core, hops, work there, and what it makes the chip count.
struct Plan {
    core: u32,
    hops: Hops,
    work_s: f64,
    arrival: usize,
    /// (cell, synapses) by synapse and dendrite unit.
    synapses: Vec<(usize, u64)>,
    events: u64,
    zeros: u64,
}

/// The cells of a bill, each with the price of what it counts.
#[derive(Default)]
struct Book {
    keys: BTreeMap<(u32, String, Kinds), usize>,
    counts: Vec<Counts>,
}

impl Book {
    fn cell(&mut self, core: u32, population: &str, kinds: Kinds) -> usize {
        let next = self.counts.len();
        let cell = *self.keys.entry((core, population.to_string(), kinds)).or_insert(next);
        if cell == next {
            self.counts.push(Counts::default());
        }
        cell
    }
}

/// What a neuron is to the run.
struct Soma {
    cell: usize,
    sends: usize,
    /// Joules of an update and of a spike; of a visit it is in the sum over all.
    update_j: f64,
    spike_j: f64,
    update_s: f64,
    spike_s: f64,
    core: u32,
    place: u32,
    always: bool,
    plans: Vec<Plan>,
}

/// Joules of a packet's parts, by plan: network, synapse, dendrite.
fn plan_j(chip: &Chip, kinds: &[Kinds], plan: &Plan, out: Option<&Kinds>) -> [f64; 3] {
    let price =
        |class: Class, kinds: &Kinds| chip.energy_j(class, kinds.of(class)).map_or(0.0, |e| e.nominal);
    let arrival = &kinds[plan.arrival];
    let mut network = price(Class::PacketIn, arrival) + out.map_or(0.0, |k| price(Class::PacketOut, k));
    for (class, hops) in [
        (Class::HopNorth, plan.hops.north),
        (Class::HopEast, plan.hops.east),
        (Class::HopSouth, plan.hops.south),
        (Class::HopWest, plan.hops.west),
    ] {
        network += price(class, arrival) * hops as f64;
    }
    let (mut synapse, mut dendrite) = (0.0, 0.0);
    for (cell, n) in &plan.synapses {
        synapse += price(Class::SynEvent, &kinds[*cell]) * *n as f64;
        dendrite += price(Class::DendUpdate, &kinds[*cell]) * *n as f64;
    }
    [network, synapse, dendrite]
}

/// Collects what a tick does.
#[derive(Default)]
struct Eye {
    spikes: Vec<(u32, u32)>,
    touched: Vec<(u32, u32, u64)>,
}

impl Observer for Eye {
    fn touched(&mut self, _tick: u64, piece: u32, first: u32, touched: u64) {
        self.touched.push((piece, first, touched));
    }

    fn spike(&mut self, _tick: u64, piece: u32, neuron: u32, _payload: i32) {
        self.spikes.push((piece, neuron));
    }
}

/// Runs `steps` steps under all latency models.
///
/// # Errors
/// [`SanafeError::Run`] if the image, the machine or the chip refuses.
pub fn run(arch: &Arch, snn: &Snn, lowered: &Lowered, steps: usize) -> Result<Trial, SanafeError> {
    run_under(arch, snn, lowered, steps, &MODELS, &Portable, &mut |_| {})
}

/// Runs `steps` steps under some latency models, on the given loops; `seen` is told of every finished step.
///
/// # Errors
/// As [`run`].
pub fn run_under<K: Kernels>(
    arch: &Arch,
    snn: &Snn,
    lowered: &Lowered,
    steps: usize,
    models: &[Model],
    kernels: &K,
    seen: &mut dyn FnMut(&Step),
) -> Result<Trial, SanafeError> {
    let fault = |e: &dyn std::fmt::Display| SanafeError::Run(e.to_string());
    let blob = write(&lowered.network, &lowered.placement).map_err(|e| fault(&e))?;
    let image = blob.image().map_err(|e| fault(&e))?;
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    let pieces: Vec<(usize, usize)> = (0..image.pieces)
        .filter_map(|p| image.piece(p))
        .map(|p| (p.population as usize, p.population_first as usize))
        .collect();
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); lowered.network.populations.len()];
    let mut sorted: Vec<usize> = (0..lowered.homes.len()).collect();
    sorted.sort_by_key(|n| (lowered.homes[*n].population, lowered.homes[*n].index));
    for n in sorted {
        members[lowered.homes[n].population].push(n);
    }
    let mut machine = Machine::new(image, &mut arena).map_err(|e| fault(&e))?;
    let mut draws = Threefry::<13>::new(1);
    let mut book = Book::default();
    let somas = somas(arch, snn, lowered, &mut book);
    let mut kinds = vec![Kinds::default(); book.counts.len()];
    for ((_, _, k), cell) in &book.keys {
        kinds[*cell] = k.clone();
    }
    let prices: Vec<Vec<[f64; 3]>> = somas
        .iter()
        .map(|s| s.plans.iter().map(|p| plan_j(&arch.chip, &kinds, p, kinds.get(s.sends))).collect())
        .collect();
    let idle_j = idle(arch, lowered);
    let schedules = schedules(arch, lowered);
    let fabric = Fabric::of(&arch.chip, |t| arch.tiles.get(t as usize).cloned());
    let tiles: std::collections::BTreeSet<u32> =
        lowered.order.keys().map(|c| arch.chip.tile_of(*c)).collect();
    let sync_s = arch.chip.barrier_s(tiles.len() as u32);
    let logs = snn.neurons.iter().any(|n| n.attributes.contains_key("log_potential"));
    let mut inputs = Inputs::of(lowered, &pieces);
    let count = lowered.homes.len();
    let (mut nonzero, mut fires, mut moved) = (vec![false; count], vec![false; count], vec![false; count]);
    let always: Vec<usize> = (0..count).filter(|n| somas[*n].always).collect();
    let mut spikes = vec![0u64; count];
    let mut trial = Trial::default();
    for t in 1..=steps as u64 {
        let mut step = Step { energy_j: idle_j, ..Step::default() };
        let (given, events) = inputs.fire(t);
        step.fired = given;
        for (piece, list) in events {
            machine.inject(piece, &list).map_err(|e| fault(&e))?;
        }
        let mut eye = Eye::default();
        machine.step(kernels, &mut draws, &mut eye);
        let who = |piece: u32, j: usize| {
            let (population, first) = pieces.get(piece as usize)?;
            members[*population].get(first + j).copied()
        };
        step.fired.extend(eye.spikes.iter().filter_map(|(piece, j)| who(*piece, *j as usize)));
        step.fired.sort_unstable();
        moved.clone_from(&nonzero);
        for n in always.iter().chain(&step.fired) {
            moved[*n] = true;
        }
        for (piece, first, mut mask) in eye.touched {
            while mask != 0 {
                if let Some(n) = who(piece, first as usize + mask.trailing_zeros() as usize) {
                    moved[n] = true;
                }
                mask &= mask - 1;
            }
        }
        let fired = std::mem::take(&mut step.fired);
        for n in &fired {
            fires[*n] = true;
            spikes[*n] += 1;
            count_spike(&somas[*n], &prices[*n], &mut book, &mut step, &mut trial);
        }
        step.fired = fired;
        for (n, s) in somas.iter().enumerate().filter(|(n, _)| moved[*n]) {
            step.updated += 1;
            book.counts[s.cell].soma_updates += 1;
            step.energy_j[2] += s.update_j + if fires[n] { s.spike_j } else { 0.0 };
        }
        if !models.is_empty() {
            let messages = messages(lowered, &somas, &schedules, &fires, &moved);
            for (to, model) in step.time_s.iter_mut().zip(MODELS) {
                if models.contains(&model) {
                    *to = latency::tick(model, &messages, &fabric, sync_s).map_err(|e| fault(&e))?.total_s;
                }
            }
        }
        if logs {
            step.potentials = vec![0.0; count];
        }
        for (piece, (population, first)) in pieces.iter().enumerate() {
            let scale = lowered.scales[*population];
            for (n, v) in members[*population].iter().skip(*first).zip(machine.membranes(piece as u32)) {
                nonzero[*n] = *v != 0;
                if logs {
                    step.potentials[*n] = f64::from(*v) / scale;
                }
            }
        }
        for n in &step.fired {
            fires[*n] = false;
        }
        seen(&step);
        trial.steps.push(step);
    }
    finish(arch, lowered, &somas, &spikes, steps as u64, &mut book);
    for (s, n) in somas.iter().zip(&spikes).filter(|(_, n)| **n > 0) {
        for p in &s.plans {
            for link in route::links(arch.chip.mesh, arch.chip.tile_of(s.core), arch.chip.tile_of(p.core)) {
                *trial.link_loads.entry(link).or_default() += n;
            }
        }
    }
    let cell = |((core, population, kinds), cell): (&(u32, String, Kinds), &usize)| Cell {
        core: *core,
        population: population.clone(),
        neurons: 0,
        kinds: kinds.clone(),
        counts: book.counts[*cell].clone(),
    };
    trial.cells = book.keys.iter().map(cell).collect();
    trial.machine_events = machine.total(synop_core::Count::StoredEvents);
    Ok(trial)
}

/// Group of a neuron: what the bill calls its population.
fn group(snn: &Snn, n: usize) -> &str {
    snn.neurons[n].name.split('.').next().unwrap_or_default()
}

/// What a spike reaches: by core, by synapse and dendrite unit, how many synapses and how many of weight zero.
type Reached<'s> = BTreeMap<u32, BTreeMap<[&'s str; 2], (u64, u64)>>;

/// Neurons with their units, prices and packets; packets in ascending order of destination core.
fn somas(arch: &Arch, snn: &Snn, lowered: &Lowered, book: &mut Book) -> Vec<Soma> {
    let chip = &arch.chip;
    let kind = |core: u32| arch.cores.get(core as usize).copied().flatten().map(|k| &arch.kinds[k]);
    let mut reached: Vec<Reached<'_>> = vec![BTreeMap::new(); lowered.homes.len()];
    for e in &snn.edges {
        let to = &lowered.homes[e.target];
        let named =
            e.unit.as_ref().and_then(|name| kind(to.core)?.synapses.iter().find(|u| u.name == **name));
        let synapse = named.map_or(to.units[0].as_str(), |u| u.variant.as_str());
        let units = reached[e.source].entry(to.core).or_default();
        let n = units.entry([synapse, to.units[1].as_str()]).or_default();
        n.0 += 1;
        n.1 += u64::from(e.weight == 0.0);
    }
    let places: BTreeMap<usize, u32> = lowered
        .order
        .values()
        .flat_map(|list| list.iter().zip(0u32..))
        .map(|(n, place)| (*n, place))
        .collect();
    let mut somas = Vec::new();
    for (n, (home, reached)) in lowered.homes.iter().zip(reached).enumerate() {
        let group = group(snn, n);
        let soma = Some(home.units[2].as_str());
        let joules = |class| chip.energy_j(class, soma).map_or(0.0, |e| e.nominal);
        let cell = book.cell(home.core, group, Kinds { soma: soma.map(Into::into), ..Kinds::default() });
        let out = kind(home.core).map(|k| k.axon_out.clone());
        let sends = book.cell(home.core, group, Kinds { axon_out: out, ..Kinds::default() });
        let plans = reached.into_iter().map(|(core, units)| {
            let at = kind(core);
            let axon_in = at.map(|k| k.axon_in.clone());
            let per_step = at.is_some_and(|k| k.dendrites_step);
            let mut work_s = chip.latency_s(Class::PacketIn, axon_in.as_deref());
            let tile = arch.tiles.get(chip.tile_of(core) as usize).cloned();
            let arrival = book.cell(core, group, Kinds { axon_in, tile, ..Kinds::default() });
            let (mut synapses, mut events, mut zeros) = (Vec::new(), 0, 0);
            for ([synapse, dendrite], (k, zero)) in units {
                let dendrite = (!per_step).then_some(dendrite);
                let each = chip.latency_s(Class::SynEvent, Some(synapse))
                    + dendrite.map_or(0.0, |d| chip.latency_s(Class::DendUpdate, Some(d)));
                work_s += each * k as f64;
                let kinds = Kinds {
                    synapse: Some(synapse.into()),
                    dendrite: dendrite.map(Into::into),
                    ..Kinds::default()
                };
                synapses.push((book.cell(core, group, kinds), k));
                (events, zeros) = (events + k, zeros + zero);
            }
            let hops = route::hops(chip.mesh, chip.tile_of(home.core), chip.tile_of(core));
            Plan { core, hops, work_s, arrival, synapses, events, zeros }
        });
        let plans = plans.collect();
        somas.push(Soma {
            cell,
            sends,
            update_j: joules(Class::SomaUpdate),
            spike_j: joules(Class::SomaSpike),
            update_s: chip.latency_s(Class::SomaUpdate, soma),
            spike_s: chip.latency_s(Class::SomaSpike, soma),
            core: home.core,
            place: places.get(&n).copied().unwrap_or(0),
            always: home.always,
            plans,
        });
    }
    somas
}

/// Whether the dendrite of a neuron is updated in every step.
fn dendrite_steps(arch: &Arch, core: u32) -> bool {
    let kind = arch.cores.get(core as usize).copied().flatten().and_then(|k| arch.kinds.get(k));
    kind.is_some_and(|k| k.dendrites_step)
}

/// Joules of a step in which nothing happens, by part of the chip.
fn idle(arch: &Arch, lowered: &Lowered) -> [f64; 4] {
    let mut idle = [0.0; 4];
    let price = |class, unit: &str| arch.chip.energy_j(class, Some(unit)).map_or(0.0, |e| e.nominal);
    for home in &lowered.homes {
        idle[2] += price(Class::SomaAccess, &home.units[2]);
        if dendrite_steps(arch, home.core) {
            idle[1] += price(Class::DendUpdate, &home.units[1]);
        }
    }
    idle
}

/// Books a spike with its packets.
fn count_spike(s: &Soma, prices: &[[f64; 3]], book: &mut Book, step: &mut Step, trial: &mut Trial) {
    book.counts[s.cell].soma_spikes += 1;
    for (p, [network, synapse, dendrite]) in s.plans.iter().zip(prices) {
        step.packets += 1;
        step.hops.add(&p.hops);
        step.synaptic_events += p.events;
        trial.zero_events += p.zeros;
        step.energy_j[0] += synapse;
        step.energy_j[1] += dendrite;
        step.energy_j[3] += network;
    }
}

/// Books what follows from the number of steps and of spikes.
fn finish(arch: &Arch, lowered: &Lowered, somas: &[Soma], spikes: &[u64], steps: u64, book: &mut Book) {
    for (s, home) in somas.iter().zip(&lowered.homes) {
        let c = &mut book.counts[s.cell];
        c.ticks = steps;
        c.soma_accesses += steps;
        if dendrite_steps(arch, home.core) {
            let group = book.keys.iter().find(|(_, cell)| **cell == s.cell).map(|(k, _)| k.1.clone());
            let kinds = Kinds { dendrite: Some(home.units[1].clone()), ..Kinds::default() };
            let cell = book.cell(home.core, &group.unwrap_or_default(), kinds);
            book.counts[cell].dend_updates += steps;
        }
    }
    for (s, n) in somas.iter().zip(spikes).filter(|(_, n)| **n > 0) {
        for p in &s.plans {
            book.counts[s.sends].packets_out += n;
            let c = &mut book.counts[p.arrival];
            c.packets_in += n;
            c.hops.add(&p.hops.times(*n));
            let per_step = dendrite_steps(arch, p.core);
            for (cell, k) in &p.synapses {
                let c = &mut book.counts[*cell];
                c.synaptic_events += k * n;
                c.dend_updates += if per_step { 0 } else { k * n };
            }
            if let Some((cell, _)) = p.synapses.first() {
                let c = &mut book.counts[*cell];
                c.synaptic_effective += (p.events - p.zeros) * n;
            }
        }
    }
}

/// An input of a file.
struct Input<'l> {
    neuron: usize,
    drive: &'l Drive,
    stream: u32,
    /// Where the machine takes its events.
    piece: u32,
    local: i32,
}

/// The inputs of a file, in the order in which their units are visited, and the random streams of the units.
struct Inputs<'l> {
    list: Vec<Input<'l>>,
    streams: BTreeMap<u32, Stream>,
}

impl<'l> Inputs<'l> {
    fn of(lowered: &'l Lowered, pieces: &[(usize, usize)]) -> Inputs<'l> {
        let mut homes: BTreeMap<(usize, usize), u32> = BTreeMap::new();
        for (piece, home) in (0u32..).zip(pieces) {
            homes.insert(*home, piece);
        }
        let input = |neuron: &usize| {
            let home = &lowered.homes[*neuron];
            let drive = home.drive.as_ref()?;
            let ((_, first), piece) = homes.range(..=(home.population, home.index)).next_back()?;
            let local = (home.index - first) as i32;
            Some(Input { neuron: *neuron, drive, stream: home.stream, piece: *piece, local })
        };
        let list: Vec<Input<'_>> = lowered.order.values().flatten().filter_map(input).collect();
        let random = list.iter().filter(|i| i.drive.poisson > 0.0);
        let streams = random.map(|i| (i.stream, Stream::new(i.stream))).collect();
        Inputs { list, streams }
    }

    /// Inputs that fire in step `t`, ascending, and their events by the machine's input pieces.
    fn fire(&mut self, t: u64) -> (Vec<usize>, BTreeMap<u32, Vec<[i32; 2]>>) {
        let (mut fired, mut events): (Vec<usize>, BTreeMap<u32, Vec<[i32; 2]>>) = Default::default();
        for input in &self.list {
            let mut fires = input.drive.listed.get(t as usize - 1).copied().unwrap_or(false);
            if let Some(s) = self.streams.get_mut(&input.stream) {
                // The unit draws in every step, whatever its probability.
                fires |= input.drive.poisson > s.uniform();
            }
            if fires || input.drive.every.is_some_and(|k| t.is_multiple_of(k)) {
                fired.push(input.neuron);
                events.entry(input.piece).or_default().push([input.local, 1]);
            }
        }
        fired.sort_unstable();
        events.values_mut().for_each(|list| list.sort_unstable());
        (fired, events)
    }
}

fn schedules(arch: &Arch, lowered: &Lowered) -> BTreeMap<u32, Schedule> {
    let make = |(core, list): (&u32, &Vec<usize>)| {
        let kind = arch.cores.get(*core as usize).copied().flatten().map(|k| &arch.kinds[k]);
        let out_s = arch.chip.latency_s(Class::PacketOut, kind.map(|k| k.axon_out.as_str()));
        let per_step = dendrite_steps(arch, *core);
        let visits = list.iter().map(|n| {
            let [_, dendrite, soma] = &lowered.homes[*n].units;
            let step_s = if per_step { arch.chip.latency_s(Class::DendUpdate, Some(dendrite)) } else { 0.0 };
            step_s + arch.chip.latency_s(Class::SomaAccess, Some(soma))
        });
        (*core, Schedule::new(*core, out_s, visits))
    };
    lowered.order.iter().map(make).collect()
}

/// The messages of a step in canonical order.
fn messages(
    lowered: &Lowered,
    somas: &[Soma],
    schedules: &BTreeMap<u32, Schedule>,
    fired: &[bool],
    updated: &[bool],
) -> Vec<Message> {
    let mut out = Vec::new();
    for (core, list) in &lowered.order {
        let Some(schedule) = schedules.get(core) else { continue };
        let busy = list.iter().filter(|n| updated[**n] || fired[**n]);
        let packets: Vec<(u32, f64, Vec<Packet>)> = busy
            .map(|n| {
                let s = &somas[*n];
                let spike_s = if fired[*n] { s.spike_s } else { 0.0 };
                let plans = if fired[*n] { s.plans.as_slice() } else { &[] };
                let sent = plans.iter().map(|p| Packet { destination: p.core, processing_s: p.work_s });
                (s.place, s.update_s + spike_s, sent.collect())
            })
            .collect();
        let active =
            packets.iter().map(|(place, extra_s, p)| Active { place: *place, extra_s: *extra_s, packets: p });
        schedule.messages(active, &mut out);
    }
    out
}
