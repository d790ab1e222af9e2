//! A run: the machine ticks, the events of each step are counted where the chip pays for them.

use super::{Arch, Drive, Lowered, SanafeError, Snn};
use crate::image::write;
use std::collections::BTreeMap;
use synop_core::{Machine, Observer, Portable, Threefry};
use synop_cost::latency::{self, Active, Fabric, Message, Model, Packet, Schedule};
use synop_cost::{Bill, Cell, Class, Counts, Hops, Kinds, Run, route};

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
    /// Seconds under the simple, detailed and queueing model.
    pub time_s: [f64; 3],
    /// Membranes after the step, in the units of the file, by neuron; zero for inputs.
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
}

/// A packet of a neuron: destination core, hops, work there, synapses by (synapse, dendrite) variant.
struct Plan {
    core: u32,
    hops: Hops,
    work_s: f64,
    synapses: Vec<([String; 2], u64)>,
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

/// Runs `steps` steps.
///
/// # Errors
/// [`SanafeError::Run`] if the image, the machine or the chip refuses.
pub fn run(arch: &Arch, snn: &Snn, lowered: &Lowered, steps: usize) -> Result<Trial, SanafeError> {
    let fault = |e: &dyn std::fmt::Display| SanafeError::Run(e.to_string());
    let blob = write(&lowered.network, &lowered.placement).map_err(|e| fault(&e))?;
    let image = blob.image().map_err(|e| fault(&e))?;
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    // Every population is one piece; pieces come in order of placement.
    let pieces: Vec<usize> = lowered.placement.cores.iter().flatten().map(|s| s.population).collect();
    let mut piece_of = vec![0u32; pieces.len()];
    for (piece, population) in pieces.iter().enumerate() {
        piece_of[*population] = piece as u32;
    }
    let mut neuron_of: Vec<Vec<usize>> = vec![Vec::new(); pieces.len()];
    let mut sorted: Vec<usize> = (0..lowered.homes.len()).collect();
    sorted.sort_by_key(|n| (lowered.homes[*n].population, lowered.homes[*n].index));
    for n in sorted {
        neuron_of[lowered.homes[n].population].push(n);
    }
    let mut machine = Machine::new(image, &mut arena).map_err(|e| fault(&e))?;
    let mut draws = Threefry::<13>::new(1);
    let plans = plans(arch, snn, lowered);
    let schedules = schedules(arch, lowered);
    let fabric = Fabric::of(&arch.chip, |t| arch.tiles.get(t as usize).cloned());
    let tiles: std::collections::BTreeSet<u32> =
        lowered.order.keys().map(|c| arch.chip.tile_of(*c)).collect();
    let sync_s = arch.chip.barrier_s(tiles.len() as u32);
    let mut nonzero = vec![false; lowered.homes.len()];
    let mut trial = Trial::default();
    let mut cells: BTreeMap<(u32, String, Kinds), Counts> = BTreeMap::new();
    for t in 1..=steps as u64 {
        let mut fired = vec![false; lowered.homes.len()];
        let mut events: BTreeMap<u32, Vec<[i32; 2]>> = BTreeMap::new();
        for (n, home) in lowered.homes.iter().enumerate() {
            let fires = match &home.drive {
                None => continue,
                Some(Drive::Listed(list)) => list.get(t as usize - 1).copied().unwrap_or(false),
                Some(Drive::Every(k)) => t % k == 0,
            };
            fired[n] = fires;
            if fires {
                events.entry(piece_of[home.population]).or_default().push([home.index as i32, 1]);
            }
        }
        for (piece, mut list) in events {
            list.sort_unstable();
            machine.inject(piece, &list).map_err(|e| fault(&e))?;
        }
        let mut eye = Eye::default();
        machine.step(&Portable, &mut draws, &mut eye);
        let mut updated: Vec<bool> =
            (0..lowered.homes.len()).map(|n| nonzero[n] || fired[n] || lowered.homes[n].always).collect();
        for (piece, first, mut mask) in eye.touched {
            while mask != 0 {
                let j = first as usize + mask.trailing_zeros() as usize;
                mask &= mask - 1;
                if let Some(n) = neuron_of[pieces[piece as usize]].get(j) {
                    updated[*n] = true;
                }
            }
        }
        for (piece, neuron) in eye.spikes {
            if let Some(n) = neuron_of[pieces[piece as usize]].get(neuron as usize) {
                fired[*n] = true;
                updated[*n] = true;
            }
        }
        let mut step = Step { potentials: vec![0.0; lowered.homes.len()], ..Step::default() };
        for (population, list) in neuron_of.iter().enumerate() {
            for (n, v) in list.iter().zip(machine.membranes(piece_of[population])) {
                nonzero[*n] = *v != 0;
                step.potentials[*n] = f64::from(*v) / lowered.scales[population];
            }
        }
        let mut own: BTreeMap<(u32, String, Kinds), Counts> = BTreeMap::new();
        count(arch, snn, lowered, &plans, &fired, &updated, &mut own, &mut step);
        let list: Vec<Cell> = own.iter().map(|(k, c)| cell(k, c)).collect();
        let bill = Bill::of(&arch.chip, &list, &Run::default());
        for (to, group) in step.energy_j.iter_mut().zip(["synapse", "dendrite", "soma", "network"]) {
            *to = bill.by_group.get(group).map_or(0.0, |e| e.nominal);
        }
        let messages = messages(arch, lowered, &schedules, &plans, &fired, &updated);
        for (to, model) in step.time_s.iter_mut().zip([Model::Simple, Model::Detailed, Model::Queue]) {
            *to = latency::tick(model, &messages, &fabric, sync_s).map_err(|e| fault(&e))?.total_s;
        }
        for (key, counts) in own {
            cells.entry(key).or_default().add(&counts);
        }
        trial.steps.push(step);
    }
    trial.cells = cells.iter().map(|(k, c)| cell(k, c)).collect();
    trial.machine_events = machine.total(synop_core::Count::StoredEvents);
    Ok(trial)
}

fn cell((core, population, kinds): &(u32, String, Kinds), counts: &Counts) -> Cell {
    Cell {
        core: *core,
        population: population.clone(),
        neurons: 0,
        kinds: kinds.clone(),
        counts: counts.clone(),
    }
}

/// The packets of every neuron, in ascending order of destination core.
fn plans(arch: &Arch, snn: &Snn, lowered: &Lowered) -> Vec<Vec<Plan>> {
    let mut all: Vec<BTreeMap<u32, BTreeMap<[String; 2], u64>>> = vec![BTreeMap::new(); lowered.homes.len()];
    for e in &snn.edges {
        let to = &lowered.homes[e.target];
        let synapse = match (&e.unit, arch.cores.get(to.core as usize).copied().flatten()) {
            (Some(name), Some(k)) => arch.kinds[k].synapses.iter().find(|u| u.name == *name),
            _ => None,
        };
        let variant = synapse.map_or(&to.units[0], |u| &u.variant);
        let key = [variant.clone(), to.units[1].clone()];
        *all[e.source].entry(to.core).or_default().entry(key).or_default() += 1;
    }
    let chip = &arch.chip;
    let plan = |from: u32, core: u32, synapses: BTreeMap<[String; 2], u64>| {
        let kind = arch.cores.get(core as usize).copied().flatten().map(|k| &arch.kinds[k]);
        let mut work_s = chip.latency_s(Class::PacketIn, kind.map(|k| k.axon_in.as_str()));
        for ([synapse, dendrite], n) in &synapses {
            let each = chip.latency_s(Class::SynEvent, Some(synapse))
                + chip.latency_s(Class::DendUpdate, Some(dendrite));
            work_s += each * *n as f64;
        }
        let hops = route::hops(chip.mesh, chip.tile_of(from), chip.tile_of(core));
        Plan { core, hops, work_s, synapses: synapses.into_iter().collect() }
    };
    all.into_iter()
        .zip(&lowered.homes)
        .map(|(m, home)| m.into_iter().map(|(core, s)| plan(home.core, core, s)).collect())
        .collect()
}

fn schedules(arch: &Arch, lowered: &Lowered) -> BTreeMap<u32, Schedule> {
    let make = |(core, list): (&u32, &Vec<usize>)| {
        let kind = arch.cores.get(*core as usize).copied().flatten().map(|k| &arch.kinds[k]);
        let out_s = arch.chip.latency_s(Class::PacketOut, kind.map(|k| k.axon_out.as_str()));
        let visits =
            list.iter().map(|n| arch.chip.latency_s(Class::SomaAccess, Some(&lowered.homes[*n].units[2])));
        (*core, Schedule::new(*core, out_s, visits))
    };
    lowered.order.iter().map(make).collect()
}

/// Adds the events of a step to cells and to the step's sums.
#[allow(clippy::too_many_arguments)] // the parts of one step, seen once
fn count(
    arch: &Arch,
    snn: &Snn,
    lowered: &Lowered,
    plans: &[Vec<Plan>],
    fired: &[bool],
    updated: &[bool],
    own: &mut BTreeMap<(u32, String, Kinds), Counts>,
    step: &mut Step,
) {
    for (n, home) in lowered.homes.iter().enumerate() {
        let group = snn.neurons[n].name.split('.').next().unwrap_or_default().to_string();
        let soma = Kinds { soma: Some(home.units[2].clone()), ..Kinds::default() };
        let c = own.entry((home.core, group.clone(), soma)).or_default();
        c.ticks = 1;
        c.soma_accesses += 1;
        c.soma_updates += u64::from(updated[n]);
        c.soma_spikes += u64::from(fired[n]);
        step.updated += u64::from(updated[n]);
        if !fired[n] {
            continue;
        }
        step.fired.push(n);
        let side = |core: u32, out: bool| {
            let kind = arch.cores.get(core as usize).copied().flatten().map(|k| &arch.kinds[k]);
            kind.map(|k| if out { k.axon_out.clone() } else { k.axon_in.clone() })
        };
        for p in &plans[n] {
            step.packets += 1;
            step.hops.add(&p.hops);
            let sent = Kinds { axon_out: side(home.core, true), ..Kinds::default() };
            own.entry((home.core, group.clone(), sent)).or_default().packets_out += 1;
            let tile = arch.tiles.get(arch.chip.tile_of(p.core) as usize).cloned();
            let arrived = Kinds { axon_in: side(p.core, false), tile, ..Kinds::default() };
            let c = own.entry((p.core, group.clone(), arrived)).or_default();
            c.packets_in += 1;
            c.hops.add(&p.hops);
            for ([synapse, dendrite], k) in &p.synapses {
                let (synapse, dendrite) = (Some(synapse.clone()), Some(dendrite.clone()));
                let kinds = Kinds { synapse, dendrite, ..Kinds::default() };
                let c = own.entry((p.core, group.clone(), kinds)).or_default();
                c.synaptic_events += k;
                c.dend_updates += k;
                step.synaptic_events += k;
            }
        }
    }
}

/// The messages of a step in canonical order.
fn messages(
    arch: &Arch,
    lowered: &Lowered,
    schedules: &BTreeMap<u32, Schedule>,
    plans: &[Vec<Plan>],
    fired: &[bool],
    updated: &[bool],
) -> Vec<Message> {
    let mut out = Vec::new();
    for (core, list) in &lowered.order {
        let Some(schedule) = schedules.get(core) else { continue };
        let packets: Vec<(u32, f64, Vec<Packet>)> = list
            .iter()
            .enumerate()
            .filter(|(_, n)| updated[**n] || fired[**n])
            .map(|(place, n)| {
                let soma = Some(lowered.homes[*n].units[2].as_str());
                let mut extra_s = arch.chip.latency_s(Class::SomaUpdate, soma);
                let mut sent = Vec::new();
                if fired[*n] {
                    extra_s += arch.chip.latency_s(Class::SomaSpike, soma);
                    sent.extend(
                        plans[*n].iter().map(|p| Packet { destination: p.core, processing_s: p.work_s }),
                    );
                }
                (place as u32, extra_s, sent)
            })
            .collect();
        let active =
            packets.iter().map(|(place, extra_s, p)| Active { place: *place, extra_s: *extra_s, packets: p });
        schedule.messages(active, &mut out);
    }
    out
}
