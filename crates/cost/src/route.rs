//! Routes on the mesh: dimension order (x first, then y), unicast, multicast trees, link loads.
//!
//! Tile `t` of a mesh of height `h` stands at `x = t / h`, `y = t % h` (down a column first, as SANA-FE counts).

use crate::chip::{Chip, Mesh, Multicast};
use crate::counts::Hops;
use crate::error::CostError;
use std::collections::{BTreeMap, BTreeSet};

/// Direction of travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Towards larger y.
    North,
    /// Towards larger x.
    East,
    /// Towards smaller y.
    South,
    /// Towards smaller x.
    West,
}

impl Direction {
    /// All directions, in the order of [`Link::index`].
    pub const ALL: [Direction; 4] = [Direction::North, Direction::East, Direction::South, Direction::West];
}

/// The link that leads into `tile` in the direction of travel `towards`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// Tile at the end of the link.
    pub tile: u32,
    /// Direction of travel.
    pub towards: Direction,
}

impl Link {
    /// A dense index, `4 × tile + direction`.
    pub fn index(self) -> usize {
        self.tile as usize * 4 + self.towards as usize
    }
}

/// Position of a tile on the mesh.
pub fn position(mesh: Mesh, tile: u32) -> (u32, u32) {
    let h = mesh.height.max(1);
    (tile / h, tile % h)
}

/// The links of a packet from tile `from` to tile `to`, in order of travel; empty inside a tile.
pub fn links(mesh: Mesh, from: u32, to: u32) -> Vec<Link> {
    let (mut x, mut y) = position(mesh, from);
    let (tx, ty) = position(mesh, to);
    let tile = |x: u32, y: u32| x * mesh.height.max(1) + y;
    let mut out = Vec::with_capacity((x.abs_diff(tx) + y.abs_diff(ty)) as usize);
    while x != tx {
        let towards = if x < tx { Direction::East } else { Direction::West };
        x = if x < tx { x + 1 } else { x - 1 };
        out.push(Link { tile: tile(x, y), towards });
    }
    while y != ty {
        let towards = if y < ty { Direction::North } else { Direction::South };
        y = if y < ty { y + 1 } else { y - 1 };
        out.push(Link { tile: tile(x, y), towards });
    }
    out
}

/// Hops by direction of a packet from tile `from` to tile `to`.
pub fn hops(mesh: Mesh, from: u32, to: u32) -> Hops {
    let (x, y) = position(mesh, from);
    let (tx, ty) = position(mesh, to);
    Hops {
        north: u64::from(ty.saturating_sub(y)),
        east: u64::from(tx.saturating_sub(x)),
        south: u64::from(y.saturating_sub(ty)),
        west: u64::from(x.saturating_sub(tx)),
    }
}

/// How the spikes of one source travel, once per spike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Sending core.
    pub source: u32,
    /// Destination cores, ascending, each once.
    pub destinations: Vec<u32>,
    /// Packets that the source sends.
    pub packets_out: u64,
    /// Packets that arrive, one per destination core.
    pub packets_in: u64,
    /// Crossings by direction: every copy on its own with unicast, every link once with a tree.
    pub hops: Hops,
    /// Packets offered to a whole core.
    pub broadcasts: u64,
    /// Links crossed and how often.
    pub links: BTreeMap<Link, u64>,
}

/// The flow of one spike from `source` to `destinations` on a chip.
pub fn flow(chip: &Chip, source: u32, destinations: &[u32]) -> Result<Flow, CostError> {
    let count = chip.core_count();
    for &core in std::iter::once(&source).chain(destinations) {
        if core >= count {
            return Err(CostError::OutOfRange {
                what: "core",
                index: u64::from(core),
                count: u64::from(count),
            });
        }
    }
    let set: BTreeSet<u32> = destinations.iter().copied().collect();
    let destinations: Vec<u32> = set.into_iter().collect();
    let copies = destinations.len() as u64;
    let mut loads: BTreeMap<Link, u64> = BTreeMap::new();
    for &core in &destinations {
        let way = links(chip.mesh, chip.tile_of(source), chip.tile_of(core));
        for link in way {
            let load = loads.entry(link).or_insert(0);
            *load = match chip.multicast {
                Multicast::Tree => 1,
                _ => *load + 1,
            };
        }
    }
    let mut hops = Hops::default();
    for (link, load) in &loads {
        match link.towards {
            Direction::North => hops.north += load,
            Direction::East => hops.east += load,
            Direction::South => hops.south += load,
            Direction::West => hops.west += load,
        }
    }
    let packets_out = match chip.multicast {
        Multicast::Tree => copies.min(1),
        _ => copies,
    };
    let broadcasts = match chip.multicast {
        Multicast::BroadcastCore => copies,
        _ => 0,
    };
    Ok(Flow { source, destinations, packets_out, packets_in: copies, hops, broadcasts, links: loads })
}

/// Loads of all links when flow `i` carries `spikes[i]` spikes.
pub fn link_loads<'a>(flows: impl Iterator<Item = (&'a Flow, u64)>) -> BTreeMap<Link, u64> {
    let mut loads = BTreeMap::new();
    for (flow, spikes) in flows {
        if spikes == 0 {
            continue;
        }
        for (link, per_spike) in &flow.links {
            *loads.entry(*link).or_insert(0) += per_spike * spikes;
        }
    }
    loads
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shipped;
    use proptest::prelude::*;

    #[test]
    fn a_route_goes_along_x_first() {
        let mesh = Mesh { width: 4, height: 3, cores_per_tile: 1 };
        let way = links(mesh, 0, 2 * 3 + 1);
        let ends: Vec<(u32, u32)> = way.iter().map(|l| position(mesh, l.tile)).collect();
        assert_eq!(ends, [(1, 0), (2, 0), (2, 1)]);
        assert_eq!(way[2].towards, Direction::North);
    }

    #[test]
    fn a_tree_crosses_shared_links_once() {
        let mut chip = shipped::chip("loihi1-published").unwrap();
        let near = flow(&chip, 0, &[16, 32]).unwrap();
        assert_eq!((near.packets_out, near.hops.east), (2, 3));
        chip.multicast = Multicast::Tree;
        let tree = flow(&chip, 0, &[16, 32]).unwrap();
        assert_eq!((tree.packets_out, tree.packets_in, tree.hops.east), (1, 2, 2));
    }

    proptest! {
        #[test]
        fn link_loads_sum_to_hops_and_copies_arrive(source in 0u32..128, d in proptest::collection::vec(0u32..128, 0..20), tree: bool) {
            let mut chip = shipped::chip("loihi1-published").unwrap();
            if tree { chip.multicast = Multicast::Tree; }
            let f = flow(&chip, source, &d).unwrap();
            prop_assert_eq!(f.links.values().sum::<u64>(), f.hops.total());
            prop_assert_eq!(f.packets_in as usize, f.destinations.len());
            if !tree {
                prop_assert_eq!(f.packets_out, f.packets_in);
                let mut sum = Hops::default();
                for &c in &f.destinations { sum.add(&hops(chip.mesh, chip.tile_of(source), chip.tile_of(c))); }
                prop_assert_eq!(sum, f.hops);
            }
            for l in links(chip.mesh, 0, chip.tile_of(source)) { prop_assert!(l.tile < chip.tiles()); }
        }

        #[test]
        fn mirroring_the_mesh_keeps_the_number_of_hops(a in 0u32..32, b in 0u32..32) {
            let mesh = shipped::chip("loihi1-published").unwrap().mesh;
            let mirror = |t: u32| { let (x, y) = position(mesh, t); (mesh.width - 1 - x) * mesh.height + y };
            prop_assert_eq!(hops(mesh, a, b).total(), hops(mesh, mirror(a), mirror(b)).total());
            prop_assert_eq!(hops(mesh, a, b).east, hops(mesh, mirror(a), mirror(b)).west);
        }
    }
}
