//! Where the packets of every neuron of an image go on a chip.
//!
//! The cores of a placed image are those of the chip. A spike of a neuron becomes packets to the cores that hold its
//! targets: one copy each, one packet that branches, or one copy each that is offered to the whole core, as the
//! chip's file says. Neurons that send alike share a [`Bundle`].

use std::collections::BTreeMap;
use synop_core::Image;
use synop_core::image::{DelayClass, Kind, NONE, Port, Section, Segment, Store};
use synop_cost::route::{self, Flow, Link};
use synop_cost::{Chip, CostError, Hops, Multicast};

/// What a spike of some neurons of a piece sends.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// The piece that sends.
    pub piece: u32,
    /// Destination cores, ascending, with the synapses that the packet meets there.
    pub to: Vec<(u32, u32)>,
    /// Packets, links and hops of one spike.
    pub flow: Flow,
}

/// The routes of an image.
#[derive(Clone, Debug)]
pub struct Routes {
    /// What different neurons send.
    pub bundles: Vec<Bundle>,
    /// Bundle of every neuron of the image, [`NONE`] where it sends nothing.
    pub of: Vec<u32>,
    /// Bits that the stored synapses take in the chip's own store.
    pub synapse_bits: u64,
    multicast: Multicast,
}

/// Packets of a run between the cores of a chip.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Carried {
    /// Packets sent and broadcasts, by sending piece.
    pub sent: BTreeMap<u32, (u64, u64)>,
    /// Packets that arrived, and the hops that the receiver's side pays, by (core, sending piece).
    pub arrived: BTreeMap<(u32, u32), (u64, Hops)>,
    /// Packets over links.
    pub links: BTreeMap<Link, u64>,
}

impl Carried {
    /// All packets that were sent.
    pub fn packets_out(&self) -> u64 {
        self.sent.values().map(|s| s.0).sum()
    }

    /// All packets that arrived.
    pub fn packets_in(&self) -> u64 {
        self.arrived.values().map(|a| a.0).sum()
    }

    /// All hops.
    pub fn hops(&self) -> Hops {
        let mut sum = Hops::default();
        self.arrived.values().for_each(|a| sum.add(&a.1));
        sum
    }
}

/// Reads the synapses of an image, neuron by neuron.
struct Walk<'a> {
    image: Image<'a>,
    segments: &'a [u32],
}

impl<'a> Walk<'a> {
    fn of(image: Image<'a>) -> Walk<'a> {
        let segments = bytemuck::try_cast_slice(image.section(Section::Segments)).unwrap_or(&[]);
        Walk { image, segments }
    }

    /// Calls `see(port, synapses)` for every port that a neuron's spike reads.
    fn neuron(&self, first: u32, classes: u32, local: u32, see: &mut dyn FnMut(&Port, u32)) {
        let mut bar = None;
        for class in (first..first + classes).filter_map(|c| self.image.delay_class(c)) {
            for port in (class.first_port..class.first_port + class.ports).filter_map(|p| self.image.port(p))
            {
                let count = self.image.piece(port.target).map_or(0, |t| t.count);
                let n = match port.store {
                    Store::Identity => 1,
                    Store::Bits => self.set_bits(&port, local),
                    // A projection stands on several arrays; together they hold every pair once.
                    Store::Crossbar if Some((port.projection, port.target)) == bar => continue,
                    Store::Crossbar => {
                        bar = Some((port.projection, port.target));
                        count
                    }
                    _ => count,
                };
                if n > 0 {
                    see(&port, n);
                }
            }
            if class.rows != NONE {
                self.row(&class, local, see);
            }
        }
    }

    fn row(&self, class: &DelayClass, local: u32, see: &mut dyn FnMut(&Port, u32)) {
        let (first, end) = self.image.row(class, local);
        for segment in (first..end).filter_map(|q| Segment::at(self.segments, q)) {
            if let Some(port) = self.image.port(segment.port) {
                see(&port, segment.len);
            }
        }
    }

    fn set_bits(&self, port: &Port, local: u32) -> u32 {
        let bytes = self.image.section(if port.rule == NONE { Section::Data } else { Section::Plastic });
        let at = port.offset as usize * 8 + local as usize * port.stride as usize;
        let row = bytes.get(at..at + port.stride as usize).unwrap_or(&[]);
        row.iter().map(|b| b.count_ones()).sum()
    }
}

impl Routes {
    /// The routes of an image on a chip.
    ///
    /// # Errors
    /// [`CostError::OutOfRange`] if the image stands on cores that the chip does not have.
    pub fn of(image: &Image<'_>, chip: &Chip) -> Result<Routes, CostError> {
        let walk = Walk::of(*image);
        let mut routes = Routes {
            bundles: Vec::new(),
            of: Vec::with_capacity(image.neurons as usize),
            synapse_bits: 0,
            multicast: chip.multicast,
        };
        let mut known: BTreeMap<Vec<(u32, u32)>, u32> = BTreeMap::new();
        for p in 0..image.pieces {
            let Some(piece) = image.piece(p) else { continue };
            if piece.core >= chip.core_count() {
                let (index, count) = (piece.core.into(), chip.core_count().into());
                return Err(CostError::OutOfRange { what: "core", index, count });
            }
            known.clear();
            for local in 0..piece.count {
                let mut to: BTreeMap<u32, u32> = BTreeMap::new();
                walk.neuron(piece.delay_first, piece.delay_count, local, &mut |port, n| {
                    let core = image.piece(port.target).map_or(0, |t| t.core);
                    *to.entry(core).or_default() += n;
                    let bits = match port.store {
                        Store::Bits => 1,
                        Store::Crossbar => 32,
                        _ => port.bits,
                    };
                    routes.synapse_bits += chip.synapse_bits(n.into(), bits);
                });
                if to.is_empty() {
                    routes.of.push(NONE);
                    continue;
                }
                let to: Vec<(u32, u32)> = to.into_iter().collect();
                let bundle = match known.get(&to) {
                    Some(bundle) => *bundle,
                    None => {
                        let cores: Vec<u32> = to.iter().map(|t| t.0).collect();
                        let flow = route::flow(chip, piece.core, &cores)?;
                        let bundle = routes.bundles.len() as u32;
                        known.insert(to.clone(), bundle);
                        routes.bundles.push(Bundle { piece: p, to, flow });
                        bundle
                    }
                };
                routes.of.push(bundle);
            }
        }
        Ok(routes)
    }

    /// What one spike of a neuron of the image sends, if anything.
    pub fn bundle(&self, neuron: u32) -> Option<&Bundle> {
        self.bundles.get(*self.of.get(neuron as usize)? as usize)
    }

    /// What the chip carried when neuron i of the image fired `spikes[i]` times.
    pub fn carried(&self, chip: &Chip, spikes: &[u64]) -> Carried {
        let mut times = vec![0u64; self.bundles.len()];
        for (bundle, n) in self.of.iter().zip(spikes) {
            if let Some(t) = times.get_mut(*bundle as usize) {
                *t += n;
            }
        }
        let mut carried = Carried::default();
        for (bundle, n) in self.bundles.iter().zip(times).filter(|(_, n)| *n > 0) {
            let flow = &bundle.flow;
            let sent = carried.sent.entry(bundle.piece).or_default();
            sent.0 += flow.packets_out * n;
            sent.1 += flow.broadcasts * n;
            for (link, per_spike) in &flow.links {
                *carried.links.entry(*link).or_default() += per_spike * n;
            }
            // The links of a tree belong to no single receiver: the sender pays them.
            let tree = self.multicast == Multicast::Tree;
            for (core, _) in &bundle.to {
                let arrived = carried.arrived.entry((*core, bundle.piece)).or_default();
                arrived.0 += n;
                if !tree {
                    let way = route::hops(chip.mesh, chip.tile_of(flow.source), chip.tile_of(*core));
                    arrived.1.add(&way.times(n));
                }
            }
            if tree {
                let own = carried.arrived.entry((flow.source, bundle.piece)).or_default();
                own.1.add(&flow.hops.times(n));
            }
        }
        carried
    }
}

/// Neurons of an image that take room on cores, by core.
pub fn neurons_by_core(image: &Image<'_>) -> Vec<u64> {
    let mut cores = vec![0; image.cores as usize];
    for piece in (0..image.pieces).filter_map(|p| image.piece(p)).filter(|p| p.kind != Kind::Input) {
        if let Some(n) = cores.get_mut(piece.core as usize) {
            *n += u64::from(piece.count);
        }
    }
    cores
}
