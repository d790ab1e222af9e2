//! What a core must hold and what its neurons send, counted exactly.

use super::{PlaceError, Placement};
use crate::network::{Kind, Network, Projection, Rows, Synapses};
use serde::Serialize;
use std::collections::BTreeMap;
use synop_cost::{Chip, Hops, Multicast, route};

/// What one core must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Demand {
    /// Neurons; inputs take no room.
    pub neurons: u64,
    /// Synapses onto its neuron with the most.
    pub fan_in: u64,
    /// Different sources that it listens to.
    pub axons_in: u64,
    /// (neuron, destination core) pairs that it sends to; inputs come from outside and do not count.
    pub axons_out: u64,
    /// Synapses onto its neurons.
    pub synapses: u64,
    /// Bits of synapse memory in the chip's own store.
    pub synapse_bits: u64,
}

impl Demand {
    /// The largest share of any limit that the chip states, from 0 to 1.
    pub fn utilisation(&self, chip: &Chip) -> f64 {
        let shares =
            self.against(chip).into_iter().filter_map(|(_, need, most)| Some(need as f64 / most? as f64));
        shares.fold(0.0, f64::max)
    }

    /// Every limit: name, need, and what the chip allows where it states it.
    fn against(&self, chip: &Chip) -> [(&'static str, u64, Option<u64>); 5] {
        let c = &chip.cores;
        [
            ("neurons", self.neurons, c.neurons),
            ("synapses onto one neuron", self.fan_in, c.fan_in),
            ("input axons", self.axons_in, c.axons_in),
            ("output axons", self.axons_out, c.axons_out),
            ("bits of synapse memory", self.synapse_bits, c.synapse_bits),
        ]
    }

    /// The first limit that is exceeded.
    pub(super) fn excess(&self, chip: &Chip) -> Option<(&'static str, u64, u64)> {
        let all = self.against(chip).into_iter();
        all.filter_map(|(name, need, most)| most.filter(|m| need > *m).map(|m| (name, need, m))).next()
    }
}

/// What travels when every neuron and every input fires once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Packets that are sent.
    pub packets: u64,
    /// Links crossed, by direction.
    pub hops: Hops,
    /// Cores that hold neurons.
    pub cores: u64,
}

impl Traffic {
    /// What a placement should keep small: links crossed first, then packets.
    pub(super) fn cost(&self) -> (u64, u64) {
        (self.hops.total(), self.packets)
    }
}

/// Targets grouped by neuron: neuron i owns `list[index[i]..index[i + 1]]`.
pub(super) struct Lists {
    index: Vec<usize>,
    list: Vec<u32>,
}

impl Lists {
    pub(super) fn of(&self, i: usize) -> &[u32] {
        self.list.get(self.index[i]..self.index[i + 1]).unwrap_or(&[])
    }
}

/// How a projection connects, seen from one neuron.
pub(super) enum Shape<'n> {
    /// All pairs.
    All,
    /// Neuron i to neuron i.
    One,
    /// Listed: row starts and targets, and the sources of each target.
    Listed(&'n Rows, Lists),
}

/// The network as the placement sees it.
pub(super) struct Web<'n> {
    pub(super) network: &'n Network,
    pub(super) shapes: Vec<Shape<'n>>,
    /// Projections into and out of each population.
    pub(super) incoming: Vec<Vec<usize>>,
    pub(super) outgoing: Vec<Vec<usize>>,
}

/// Bits of a stored weight.
fn bits(p: &Projection) -> u32 {
    match &p.synapses {
        Synapses::Dense { bits, .. } | Synapses::Sparse { bits, .. } => *bits,
        Synapses::Bits { .. } => 1,
        // As many as the chip's own cells hold.
        Synapses::Crossbar(_) => 32,
        Synapses::Identity { .. } => 0,
    }
}

/// The targets of a source; none where the rows are not what the image writer will ask for.
fn row(rows: &Rows, source: usize) -> &[u32] {
    match rows.index.get(source..source + 2) {
        Some(&[first, end]) => rows.targets.get(first..end).unwrap_or(&[]),
        _ => &[],
    }
}

fn columns(rows: &Rows, sources: usize, targets: usize) -> Lists {
    let mut index = vec![0usize; targets + 1];
    let there = |t: &&u32| (**t as usize) < targets;
    for t in (0..sources).flat_map(|s| row(rows, s)).filter(there) {
        index[*t as usize + 1] += 1;
    }
    for i in 0..targets {
        index[i + 1] += index[i];
    }
    let mut next = index.clone();
    let mut list = vec![0u32; index[targets]];
    for source in 0..sources {
        for t in row(rows, source).iter().filter(there) {
            let at = &mut next[*t as usize];
            list[*at] = source as u32;
            *at += 1;
        }
    }
    Lists { index, list }
}

impl<'n> Web<'n> {
    pub(super) fn new(network: &'n Network) -> Web<'n> {
        let count = network.populations.len();
        let (mut incoming, mut outgoing) = (vec![Vec::new(); count], vec![Vec::new(); count]);
        let mut shapes = Vec::new();
        for (i, p) in network.projections.iter().enumerate() {
            incoming[p.target].push(i);
            outgoing[p.source].push(i);
            shapes.push(match &p.synapses {
                Synapses::Sparse { rows, .. } | Synapses::Bits { rows, .. } => {
                    let size = |p: usize| network.populations[p].size;
                    Shape::Listed(rows, columns(rows, size(p.source), size(p.target)))
                }
                Synapses::Identity { .. } => Shape::One,
                _ => Shape::All,
            });
        }
        Web { network, shapes, incoming, outgoing }
    }

    pub(super) fn is_input(&self, population: usize) -> bool {
        matches!(self.network.populations[population].kind, Kind::Input | Kind::Held)
    }
}

/// Which neurons of the network are in a set, whole populations at once where they are.
#[derive(Clone, Default)]
pub(super) struct Sources {
    whole: Vec<bool>,
    some: Vec<Vec<u64>>,
    count: u64,
    /// What to take back: (population, neuron), `usize::MAX` for a whole one with the count that it added.
    journal: Vec<(usize, usize, u64)>,
}

impl Sources {
    fn prepare(&mut self, populations: usize) {
        if self.whole.len() < populations {
            self.whole.resize(populations, false);
            self.some.resize(populations, Vec::new());
        }
    }

    fn add_all(&mut self, population: usize, size: usize) {
        if !std::mem::replace(&mut self.whole[population], true) {
            let there: u64 = self.some[population].iter().map(|w| u64::from(w.count_ones())).sum();
            self.count += size as u64 - there;
            self.journal.push((population, usize::MAX, size as u64 - there));
        }
    }

    fn add(&mut self, population: usize, neuron: usize, size: usize) {
        if self.whole[population] {
            return;
        }
        let words = &mut self.some[population];
        if words.is_empty() {
            words.resize(size.div_ceil(64), 0);
        }
        let (word, bit) = (&mut words[neuron / 64], 1u64 << (neuron % 64));
        if *word & bit == 0 {
            *word |= bit;
            self.count += 1;
            self.journal.push((population, neuron, 1));
        }
    }

    fn undo(&mut self) {
        for (population, neuron, added) in self.journal.drain(..) {
            self.count -= added;
            match neuron {
                usize::MAX => self.whole[population] = false,
                n => self.some[population][n / 64] &= !(1u64 << (n % 64)),
            }
        }
    }
}

/// What a core holds while it is filled.
#[derive(Clone, Default)]
pub(super) struct Load {
    demand: Demand,
    sources: Sources,
    /// Widest weight, for full matrices.
    bits: u32,
}

impl Load {
    pub(super) fn is_empty(&self) -> bool {
        self.demand.neurons == 0
    }

    /// Adds neurons of some populations if all limits allow it; else says which one does not, and the load stays
    /// as it was.
    pub(super) fn add(
        &mut self,
        web: &Web<'_>,
        chip: &Chip,
        populations: &[usize],
        neurons: std::ops::Range<usize>,
        most_neurons: u64,
    ) -> Result<(), (&'static str, u64, u64)> {
        let (before, bits_before) = (self.demand, self.bits);
        self.sources.journal.clear();
        self.sources.prepare(web.network.populations.len());
        for population in populations {
            for neuron in neurons.clone() {
                self.neuron(web, chip, *population, neuron);
            }
        }
        self.demand.axons_in = self.sources.count;
        if chip.weights.matrix {
            let cells = self.demand.axons_in * self.demand.neurons;
            self.demand.synapse_bits = chip.synapse_bits(cells, self.bits.max(1));
        }
        let tight =
            (self.demand.neurons > most_neurons).then_some(("neurons", self.demand.neurons, most_neurons));
        match self.demand.excess(chip).or(tight) {
            None => Ok(()),
            Some(fault) => {
                (self.demand, self.bits) = (before, bits_before);
                self.sources.undo();
                Err(fault)
            }
        }
    }

    fn neuron(&mut self, web: &Web<'_>, chip: &Chip, population: usize, neuron: usize) {
        let mut fan_in = 0u64;
        for &i in &web.incoming[population] {
            let p = &web.network.projections[i];
            let size = web.network.populations[p.source].size;
            let n = match &web.shapes[i] {
                Shape::All => {
                    self.sources.add_all(p.source, size);
                    size as u64
                }
                Shape::One => {
                    self.sources.add(p.source, neuron, size);
                    1
                }
                Shape::Listed(_, columns) => {
                    for s in columns.of(neuron) {
                        self.sources.add(p.source, *s as usize, size);
                    }
                    columns.of(neuron).len() as u64
                }
            };
            fan_in += n;
            self.bits = self.bits.max(bits(p));
            if !chip.weights.matrix {
                self.demand.synapse_bits += chip.synapse_bits(n, bits(p));
            }
        }
        self.demand.neurons += 1;
        self.demand.synapses += fan_in;
        self.demand.fan_in = self.demand.fan_in.max(fan_in);
    }
}

/// The core of every neuron, by population.
pub(super) fn homes(web: &Web<'_>, placement: &Placement) -> Vec<Vec<u32>> {
    let mut homes: Vec<Vec<u32>> = web.network.populations.iter().map(|p| vec![0; p.size]).collect();
    for (core, slices) in placement.cores.iter().enumerate() {
        for s in slices {
            let list = &mut homes[s.population];
            let end = (s.first + s.count).min(list.len());
            list[s.first.min(end)..end].fill(core as u32);
        }
    }
    homes
}

/// Calls `see(population, neuron, destination cores)` for every neuron that reaches any; cores ascend.
pub(super) fn reach(web: &Web<'_>, homes: &[Vec<u32>], see: &mut dyn FnMut(usize, usize, &[u32])) {
    let all: Vec<Vec<u32>> = homes
        .iter()
        .map(|list| {
            let mut cores = list.clone();
            cores.sort_unstable();
            cores.dedup();
            cores
        })
        .collect();
    let mut cores = Vec::new();
    for (population, p) in web.network.populations.iter().enumerate() {
        for neuron in 0..p.size {
            cores.clear();
            for &i in &web.outgoing[population] {
                let target = web.network.projections[i].target;
                match &web.shapes[i] {
                    Shape::All => cores.extend_from_slice(&all[target]),
                    Shape::One => cores.extend(homes[target].get(neuron)),
                    Shape::Listed(rows, _) => {
                        cores.extend(row(rows, neuron).iter().filter_map(|t| homes[target].get(*t as usize)));
                    }
                }
            }
            cores.sort_unstable();
            cores.dedup();
            if !cores.is_empty() {
                see(population, neuron, &cores);
            }
        }
    }
}

/// What each core of a placement must hold.
pub fn demands(network: &Network, chip: &Chip, placement: &Placement) -> Vec<Demand> {
    demands_of(&Web::new(network), chip, placement)
}

fn demands_of(web: &Web<'_>, chip: &Chip, placement: &Placement) -> Vec<Demand> {
    let free = Chip { cores: synop_cost::Cores::default(), ..chip.clone() };
    let mut demands = Vec::new();
    for slices in &placement.cores {
        let mut load = Load::default();
        for s in slices.iter().filter(|s| !web.is_input(s.population)) {
            let added = load.add(web, &free, &[s.population], s.first..s.first + s.count, u64::MAX);
            debug_assert!(added.is_ok());
        }
        demands.push(load.demand);
    }
    let homes = homes(web, placement);
    reach(web, &homes, &mut |population, neuron, cores| {
        if !web.is_input(population)
            && let Some(d) = demands.get_mut(homes[population][neuron] as usize)
        {
            d.axons_out += cores.len() as u64;
        }
    });
    demands
}

/// The demands, if every core can hold them.
pub(super) fn check(web: &Web<'_>, chip: &Chip, placement: &Placement) -> Result<Vec<Demand>, PlaceError> {
    let demands = demands_of(web, chip, placement);
    for (core, demand) in demands.iter().enumerate() {
        if let Some((limit, need, most)) = demand.excess(chip) {
            let names: Vec<&str> = placement.cores[core]
                .iter()
                .filter_map(|s| web.network.populations.get(s.population))
                .map(|p| p.name.as_str())
                .collect();
            return Err(PlaceError::DoesNotFit {
                chip: chip.name.clone(),
                core: core as u32,
                what: format!("its neurons of {}", names.join(", ")),
                limit,
                need,
                most,
                mend: "place fewer neurons there, or choose a chip with larger cores".into(),
            });
        }
    }
    Ok(demands)
}

/// What travels when every neuron and input fires once.
pub fn traffic(network: &Network, chip: &Chip, placement: &Placement) -> Traffic {
    traffic_of(&Web::new(network), chip, placement)
}

pub(super) fn traffic_of(web: &Web<'_>, chip: &Chip, placement: &Placement) -> Traffic {
    let homes = homes(web, placement);
    let held = |slices: &&Vec<super::Slice>| slices.iter().any(|s| !web.is_input(s.population));
    let mut total =
        Traffic { cores: placement.cores.iter().filter(held).count() as u64, ..Traffic::default() };
    let mut known: BTreeMap<(u32, Vec<u32>), (u64, Hops)> = BTreeMap::new();
    reach(web, &homes, &mut |population, neuron, cores| {
        let source = homes[population][neuron];
        if chip.multicast != Multicast::Tree {
            total.packets += cores.len() as u64;
            for c in cores {
                total.hops.add(&route::hops(chip.mesh, chip.tile_of(source), chip.tile_of(*c)));
            }
            return;
        }
        let (packets, hops) = *known.entry((source, cores.to_vec())).or_insert_with(|| {
            route::flow(chip, source, cores).map_or((0, Hops::default()), |f| (f.packets_out, f.hops))
        });
        total.packets += packets;
        total.hops.add(&hops);
    });
    total
}
