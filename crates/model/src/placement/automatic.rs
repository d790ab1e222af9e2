//! Placements that a program makes.

use super::demand::{Load, Shape, Web, check, homes, reach};
use super::{PlaceError, Placement, Slice, put};
use std::collections::BTreeMap;
use std::ops::Range;
use synop_cost::{Chip, route};

/// Populations that must be split at the same neurons, because identity links join them.
struct Class {
    /// Those that take room on cores.
    held: Vec<usize>,
    /// Those whose events come from outside.
    inputs: Vec<usize>,
    /// Neurons of each.
    size: usize,
}

/// The classes of a network, sorted by stage.
fn classes(web: &Web<'_>) -> Vec<Class> {
    fn root(parent: &[usize], mut i: usize) -> usize {
        while parent[i] != i {
            i = parent[i];
        }
        i
    }
    let populations = &web.network.populations;
    let mut parent: Vec<usize> = (0..populations.len()).collect();
    for (p, shape) in web.network.projections.iter().zip(&web.shapes) {
        if matches!(shape, Shape::One) {
            let (a, b) = (root(&parent, p.source), root(&parent, p.target));
            parent[a.max(b)] = a.min(b);
        }
    }
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for i in 0..populations.len() {
        members.entry(root(&parent, i)).or_default().push(i);
    }
    let class = |list: Vec<usize>| {
        let size = populations[list[0]].size;
        let (inputs, held) = list.into_iter().partition(|i| web.is_input(*i));
        Class { held, inputs, size }
    };
    let mut classes: Vec<Class> = members.into_values().map(class).collect();
    classes.sort_by_key(|c| c.held.first().map(|i| (populations[*i].stage, *i)));
    classes
}

/// The neurons of a class that stand together on a core.
struct Block {
    class: usize,
    neurons: Range<usize>,
}

type Fault = (&'static str, u64, u64);

fn misfit(web: &Web<'_>, chip: &Chip, core: usize, class: &Class, neuron: usize, fault: Fault) -> PlaceError {
    let (limit, need, most) = fault;
    let name = class.held.first().map_or("?", |p| web.network.populations[*p].name.as_str());
    let full = core > 0 && core + 1 >= chip.core_count() as usize;
    let mend = match limit {
        _ if full => format!("all {} cores are full: use a smaller network or a larger chip", core + 1),
        "bits of synapse memory" => "use fewer bits per weight, or a chip with larger cores".to_string(),
        _ => "use a smaller network, or a chip with larger cores".to_string(),
    };
    PlaceError::DoesNotFit {
        chip: chip.name.clone(),
        core: core as u32,
        what: format!("neuron {neuron} of `{name}`"),
        limit,
        need,
        most,
        mend,
    }
}

/// Writes blocks down, core by core; inputs enter at the first core, split as the populations they are tied to.
fn written(classes: &[Class], blocks: &[(usize, Block)]) -> Placement {
    let mut cores = vec![Vec::new()];
    for class in classes.iter().filter(|c| c.held.is_empty()) {
        for &population in &class.inputs {
            put(&mut cores, 0, Slice { population, first: 0, count: class.size });
        }
    }
    let mut sorted: Vec<&(usize, Block)> = blocks.iter().collect();
    sorted.sort_by_key(|(_, b)| (b.class, b.neurons.start));
    for (core, block) in sorted {
        let class = &classes[block.class];
        let slice = |population| Slice { population, first: block.neurons.start, count: block.neurons.len() };
        for &population in &class.inputs {
            put(&mut cores, 0, slice(population));
        }
        for &population in &class.held {
            put(&mut cores, *core as u32, slice(population));
        }
    }
    Placement { cores }
}

/// Every population dealt evenly, in blocks, to one core after the other; full cores are passed over.
pub(super) fn round_robin(web: &Web<'_>, chip: &Chip) -> Result<Placement, PlaceError> {
    let cores = chip.core_count() as usize;
    let classes = classes(web);
    let mut loads: BTreeMap<usize, Load> = BTreeMap::new();
    let mut blocks = Vec::new();
    let mut turn = 0;
    for (number, class) in classes.iter().enumerate().filter(|(_, c)| !c.held.is_empty()) {
        let parts = cores.min(class.size);
        let range = |k: usize| class.size * k / parts..class.size * (k + 1) / parts;
        let mut left: Vec<Range<usize>> = (0..parts).rev().map(range).collect();
        while let Some(neurons) = left.pop() {
            let mut fault = None;
            let home = (0..cores).map(|k| (turn + k) % cores).find(|core| {
                let load = loads.entry(*core).or_default();
                match load.add(web, chip, &class.held, neurons.clone(), u64::MAX) {
                    Ok(()) => true,
                    Err(e) => {
                        fault = Some((*core, e));
                        false
                    }
                }
            });
            match (home, fault) {
                (Some(core), _) => {
                    blocks.push((core, Block { class: number, neurons }));
                    turn = (core + 1) % cores;
                }
                (None, Some((core, fault))) if neurons.len() == 1 => {
                    return Err(misfit(web, chip, core, class, neurons.start, fault));
                }
                _ => {
                    let middle = neurons.start + neurons.len() / 2;
                    left.push(middle..neurons.end);
                    left.push(neurons.start..middle);
                }
            }
        }
    }
    Ok(written(&classes, &blocks))
}

/// Fills core after core, then moves the filled cores to where their packets travel least.
pub(super) fn automatic(web: &Web<'_>, chip: &Chip) -> Result<Placement, PlaceError> {
    let classes = classes(web);
    // What a core sends is known only when all is placed: where that breaks a limit, cores are filled less.
    let mut most = u64::MAX;
    loop {
        let blocks = fill(web, chip, &classes, most)?;
        let packed = written(&classes, &blocks);
        let moved = settle(web, chip, &packed);
        let homed: Vec<(usize, Block)> =
            blocks.into_iter().map(|(core, block)| (moved[core] as usize, block)).collect();
        let placement = written(&classes, &homed);
        match check(web, chip, &placement) {
            Ok(_) => return Ok(placement),
            Err(e) => {
                let fullest =
                    packed.cores.iter().map(|s| s.iter().map(|s| s.count as u64).sum::<u64>()).max();
                let next = most.min(fullest.unwrap_or(1)) * 3 / 4;
                if next == 0 {
                    return Err(e);
                }
                most = next;
            }
        }
    }
}

/// Blocks in order of stages, each on the current core while it has room, else on the next one.
fn fill(web: &Web<'_>, chip: &Chip, classes: &[Class], most: u64) -> Result<Vec<(usize, Block)>, PlaceError> {
    let cores = chip.core_count() as usize;
    let mut blocks: Vec<(usize, Block)> = Vec::new();
    let (mut core, mut load) = (0, Load::default());
    for (number, class) in classes.iter().enumerate().filter(|(_, c)| !c.held.is_empty()) {
        let (mut first, mut step) = (0, class.size);
        let mut fresh = load.is_empty();
        while first < class.size {
            let end = class.size.min(first + step);
            match load.add(web, chip, &class.held, first..end, most) {
                Ok(()) => {
                    match blocks.last_mut() {
                        Some((c, b)) if *c == core && b.class == number && b.neurons.end == first => {
                            b.neurons.end = end;
                        }
                        _ => blocks.push((core, Block { class: number, neurons: first..end })),
                    }
                    (first, fresh) = (end, false);
                }
                // The largest run that still fits is found by halving.
                Err(_) if step > 1 => step /= 2,
                Err(fault) => {
                    if fresh || core + 1 >= cores {
                        return Err(misfit(web, chip, core, class, first, fault));
                    }
                    (core, load, fresh, step) = (core + 1, Load::default(), true, class.size - first);
                }
            }
        }
    }
    Ok(blocks)
}

/// A core for every filled one: neighbours in traffic become neighbours on the mesh. The first core's place is open
/// to it like any other; packets of inputs start there.
fn settle(web: &Web<'_>, chip: &Chip, packed: &Placement) -> Vec<u32> {
    let count = packed.cores.len();
    let mesh = chip.mesh;
    let homes = homes(web, packed);
    // Packets per spike of everybody, from filled core to filled core; inputs from `count`, which stays at tile 0.
    let mut flows: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    reach(web, &homes, &mut |population, neuron, cores| {
        let from = if web.is_input(population) { count } else { homes[population][neuron] as usize };
        for c in cores {
            let to = *c as usize;
            if from != to {
                *flows.entry((from.min(to), from.max(to))).or_default() += 1;
            }
        }
    });
    let mut near: Vec<Vec<(usize, u64)>> = vec![Vec::new(); count + 1];
    for (&(a, b), &n) in &flows {
        near[a].push((b, n));
        near[b].push((a, n));
    }
    let mut place: Vec<u32> = (0..count as u32).chain([0]).collect();
    let mut tenant: Vec<usize> = vec![usize::MAX; chip.core_count() as usize];
    for (t, p) in place.iter().take(count).enumerate() {
        tenant[*p as usize] = t;
    }
    let distance = |a: u32, b: u32| route::hops(mesh, chip.tile_of(a), chip.tile_of(b)).total();
    // What a filled core would cost at a place, `other` standing elsewhere for the moment.
    let cost = |place: &[u32], who: usize, at: u32, other: usize, other_at: u32| -> u64 {
        let far = |(n, w): &(usize, u64)| w * distance(at, if *n == other { other_at } else { place[*n] });
        near[who].iter().map(far).sum()
    };
    for _ in 0..PASSES {
        let mut better = false;
        for who in 0..count {
            if near[who].is_empty() {
                continue;
            }
            let from = place[who];
            let mut best = (0i128, from);
            for to in candidates(chip, &place, &near[who]) {
                if chip.tile_of(to) == chip.tile_of(from) {
                    continue;
                }
                let other = tenant[to as usize];
                let mut gain = i128::from(cost(&place, who, from, usize::MAX, 0));
                gain -= i128::from(cost(&place, who, to, other, from));
                if other != usize::MAX {
                    gain += i128::from(cost(&place, other, to, usize::MAX, 0));
                    gain -= i128::from(cost(&place, other, from, who, to));
                }
                if gain > best.0 {
                    best = (gain, to);
                }
            }
            let to = best.1;
            if to != from {
                let other = tenant[to as usize];
                (tenant[from as usize], tenant[to as usize]) = (other, who);
                place[who] = to;
                if other != usize::MAX {
                    place[other] = from;
                }
                better = true;
            }
        }
        if !better {
            break;
        }
    }
    place.truncate(count);
    place
}

/// Rounds of improvement.
const PASSES: usize = 24;
/// Cores that are all tried as places.
const FEW: u32 = 256;

/// Cores worth trying: all of a small chip, else those of the tiles around the middle of what it talks to.
fn candidates(chip: &Chip, place: &[u32], near: &[(usize, u64)]) -> Vec<u32> {
    if chip.core_count() <= FEW {
        return (0..chip.core_count()).collect();
    }
    let mesh = chip.mesh;
    let (mut x, mut y, mut sum) = (0u64, 0u64, 0u64);
    for (n, w) in near {
        let at = route::position(mesh, chip.tile_of(place[*n]));
        x += w * u64::from(at.0);
        y += w * u64::from(at.1);
        sum += w;
    }
    let (x, y) = ((x / sum.max(1)) as u32, (y / sum.max(1)) as u32);
    let mut cores = Vec::new();
    for tx in x.saturating_sub(3)..(x + 4).min(mesh.width) {
        for ty in y.saturating_sub(3)..(y + 4).min(mesh.height) {
            let tile = tx * mesh.height + ty;
            cores.extend(tile * mesh.cores_per_tile..(tile + 1) * mesh.cores_per_tile);
        }
    }
    cores
}
