//! The network that messages travel on, as the latency models see it.

use crate::chip::{Chip, Mesh};
use crate::class::Class;
use crate::route::{self, Direction, Link};

/// Mesh, hop times and buffers.
#[derive(Debug, Clone)]
pub struct Fabric {
    mesh: Mesh,
    buffer: u32,
    /// Seconds per hop by tile and [`Direction`].
    hop_s: Vec<[f64; 4]>,
}

impl Fabric {
    /// The network of a chip. `tile_kind` names the variant of a tile where tiles differ.
    pub fn of(chip: &Chip, tile_kind: impl Fn(u32) -> Option<String>) -> Fabric {
        let classes = [Class::HopNorth, Class::HopEast, Class::HopSouth, Class::HopWest];
        let hop_s = (0..chip.tiles())
            .map(|tile| {
                let kind = tile_kind(tile);
                classes.map(|c| chip.latency_s(c, kind.as_deref()))
            })
            .collect();
        Fabric { mesh: chip.mesh, buffer: chip.links.as_ref().map_or(1, |l| l.buffer.max(1)), hop_s }
    }

    /// Number of cores.
    pub fn core_count(&self) -> u32 {
        let m = self.mesh;
        m.width.saturating_mul(m.height).saturating_mul(m.cores_per_tile)
    }

    /// Number of tiles.
    pub fn tile_count(&self) -> u32 {
        self.mesh.width.saturating_mul(self.mesh.height)
    }

    /// Packets that fit in a buffer.
    pub fn buffer(&self) -> u32 {
        self.buffer
    }

    /// The tile of a core.
    pub fn tile(&self, core: u32) -> u32 {
        core / self.mesh.cores_per_tile.max(1)
    }

    /// The links between two cores, in order of travel.
    pub fn links(&self, from: u32, to: u32) -> Vec<Link> {
        route::links(self.mesh, self.tile(from), self.tile(to))
    }

    /// Seconds of a hop that leaves a tile with the hop times of `tile`.
    pub fn hop_s(&self, tile: u32, towards: Direction) -> f64 {
        self.hop_s.get(tile as usize).map_or(0.0, |t| match towards {
            Direction::North => t[0],
            Direction::East => t[1],
            Direction::South => t[2],
            Direction::West => t[3],
        })
    }

    /// Seconds of a free way between two cores, all hops at the price of the sender's tile (SANA-FE's rule).
    pub fn free_way_s(&self, from: u32, to: u32) -> f64 {
        let tile = self.tile(from);
        let h = route::hops(self.mesh, tile, self.tile(to));
        h.north as f64 * self.hop_s(tile, Direction::North)
            + h.east as f64 * self.hop_s(tile, Direction::East)
            + h.south as f64 * self.hop_s(tile, Direction::South)
            + h.west as f64 * self.hop_s(tile, Direction::West)
    }
}
