//! The image writer: network and placement in, one blob out.

use crate::crossbar::Crossbar;
use crate::memory::Memory;
use crate::network::{Floor, Kind, Network, Order, Param, Population, Projection, Rows, Synapses};
use crate::placement::{PIECE_MAX, Placement};
use serde_json::json;
use std::collections::BTreeMap;
use synop_core::array::ARRAY_WORDS;
use synop_core::device;
use synop_core::image::{self as layout, NONE, SECTIONS, Section, flag, padded};
use synop_core::plasticity::Rule;
use synop_core::store::set_weight;
use synop_core::{Image, ImageError};

/// Why a network cannot become an image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A population or projection is not what it must be.
    #[error("{what} {name}: {found} found, {expected} expected")]
    Spec {
        /// "population" or "projection".
        what: &'static str,
        /// Its name.
        name: String,
        /// What is there.
        found: String,
        /// What must be.
        expected: String,
    },
    /// The placement does not hold every neuron exactly once.
    #[error("placement: neuron {neuron} of population {population} is placed {times} times, once expected")]
    Placement {
        /// Name of the population.
        population: String,
        /// The neuron.
        neuron: usize,
        /// How often it is placed.
        times: usize,
    },
    /// The image would be larger than its offsets can say.
    #[error(
        "the image has too many {what}: {found} found, at most {expected} expected; use fewer cores or a smaller network"
    )]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// The limit.
        expected: usize,
    },
    /// A memristive device does not fit the core.
    #[error(transparent)]
    Device(#[from] synop_device::DeviceError),
    /// The written image does not pass the core's own check.
    #[error("the network cannot run: {0}")]
    Image(#[from] ImageError),
}

fn spec<T>(
    what: &'static str,
    name: &str,
    found: impl ToString,
    expected: impl ToString,
) -> Result<T, BuildError> {
    Err(BuildError::Spec {
        what,
        name: name.into(),
        found: found.to_string(),
        expected: expected.to_string(),
    })
}

/// A blob of bytes, aligned as its sections are: rows of weights begin with a cache line.
#[derive(Debug)]
pub struct Blob {
    words: Memory,
    first: usize,
    len: usize,
}

impl Clone for Blob {
    fn clone(&self) -> Blob {
        Blob::new(self.bytes())
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Blob) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Blob {}

impl Blob {
    /// Copies bytes into aligned memory.
    pub fn new(bytes: &[u8]) -> Blob {
        let mut blob = Blob::zeros(bytes.len());
        blob.bytes_mut().copy_from_slice(bytes);
        blob
    }

    fn zeros(len: usize) -> Blob {
        let most = layout::ALIGN / 8 - 1;
        let words = Memory::zeros(len.div_ceil(8) + most);
        let first = words.as_ptr().align_offset(layout::ALIGN).min(most);
        Blob { words, first, len }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        let all: &[u8] = bytemuck::cast_slice(&self.words[self.first..]);
        &all[..self.len]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        let all: &mut [u8] = bytemuck::cast_slice_mut(&mut self.words[self.first..]);
        &mut all[..self.len]
    }

    /// The image in it, checked.
    ///
    /// # Errors
    /// As [`Image::check`].
    pub fn image(&self) -> Result<Image<'_>, ImageError> {
        Image::check(self.bytes())
    }
}

/// Writes the image of a network.
///
/// # Errors
/// [`BuildError`] names the population or projection, what was found and what was expected.
pub fn write(network: &Network, placement: &Placement) -> Result<Blob, BuildError> {
    let mut writer = Writer::new(network, placement)?;
    writer.pieces()?;
    writer.synapses()?;
    let blob = writer.seal();
    blob.image()?;
    Ok(blob)
}

/// A piece under construction.
struct PieceDraft {
    population: usize,
    core: usize,
    first: usize,
    count: usize,
}

/// Where a plastic block stands: in which core's memory.
struct Plastic {
    per_core: Vec<Vec<u8>>,
}

impl Plastic {
    /// Room for `len` bytes on a core, aligned to 8; returns its offset in that core's memory.
    fn take(&mut self, core: usize, bytes: &[u8]) -> usize {
        let memory = &mut self.per_core[core];
        memory.resize(memory.len().next_multiple_of(8), 0);
        let at = memory.len();
        memory.extend_from_slice(bytes);
        at
    }
}

/// A port record, with offsets of plastic memory still relative to the core.
struct PortDraft {
    words: [u32; layout::PORT_WORDS],
    core: usize,
    plastic: bool,
}

struct Writer<'n> {
    network: &'n Network,
    pieces: Vec<PieceDraft>,
    /// Pieces of each population, by first neuron.
    homes: Vec<Vec<(usize, usize)>>,
    piece_words: Vec<u32>,
    delay_words: Vec<u32>,
    ports: Vec<PortDraft>,
    rows: Vec<u32>,
    segments: Vec<u32>,
    /// Synapses of the longest segment.
    longest: usize,
    /// Segments whose `extra` is relative to a core's plastic memory: (segment, core).
    plastic_segments: Vec<(usize, usize)>,
    data: Vec<u8>,
    plastic: Plastic,
    params: Vec<i32>,
    fanout: Vec<u32>,
    arrays: Vec<u32>,
    /// Device classes, and the number of each projection's.
    classes: Vec<Vec<i32>>,
}

impl<'n> Writer<'n> {
    fn new(network: &'n Network, placement: &Placement) -> Result<Self, BuildError> {
        for p in &network.projections {
            for (end, name) in [(p.source, "source"), (p.target, "target")] {
                if end >= network.populations.len() {
                    let expected = format!("a {name} below {}", network.populations.len());
                    return spec("projection", &p.name, end, expected);
                }
            }
        }
        let mut pieces = Vec::new();
        let mut homes = vec![Vec::new(); network.populations.len()];
        for (core, slices) in placement.cores.iter().enumerate() {
            for s in slices {
                let Some(home) = homes.get_mut(s.population) else {
                    return spec(
                        "population",
                        &s.population.to_string(),
                        "a slice of it",
                        "no such population",
                    );
                };
                if s.count == 0 || s.count > PIECE_MAX {
                    let name = &network.populations[s.population].name;
                    return spec(
                        "population",
                        name,
                        format!("a slice of {} neurons", s.count),
                        "1 to 65,536",
                    );
                }
                home.push((s.first, pieces.len()));
                pieces.push(PieceDraft { population: s.population, core, first: s.first, count: s.count });
            }
        }
        for (population, home) in network.populations.iter().zip(&mut homes) {
            home.sort_unstable();
            let mut next = 0;
            for &(first, piece) in home.iter() {
                if first != next {
                    let times = if first > next { 0 } else { 2 };
                    let neuron = first.min(next);
                    return Err(BuildError::Placement { population: population.name.clone(), neuron, times });
                }
                next = first + pieces[piece].count;
            }
            if next != population.size {
                let (neuron, times) = (next.min(population.size), usize::from(next > population.size) * 2);
                return Err(BuildError::Placement { population: population.name.clone(), neuron, times });
            }
        }
        let cores = placement.cores.len().max(1);
        Ok(Writer {
            network,
            pieces,
            homes,
            piece_words: Vec::new(),
            delay_words: Vec::new(),
            ports: Vec::new(),
            rows: Vec::new(),
            segments: Vec::new(),
            longest: 0,
            plastic_segments: Vec::new(),
            data: Vec::new(),
            plastic: Plastic { per_core: vec![Vec::new(); cores] },
            params: Vec::new(),
            fanout: Vec::new(),
            arrays: Vec::new(),
            classes: Vec::new(),
        })
    }

    /// Writes all piece records; delay fields are filled in with the synapses.
    fn pieces(&mut self) -> Result<(), BuildError> {
        let mut first = 0u32;
        for i in 0..self.pieces.len() {
            let (population, count) = (self.pieces[i].population, self.pieces[i].count);
            let p = &self.network.populations[population];
            let mut r = [0u32; layout::PIECE_WORDS];
            r[1] = self.pieces[i].core as u32;
            r[2] = first;
            r[3] = count as u32;
            r[4] = p.stage;
            r[6] = p.groups;
            r[7] = p.payload_max;
            r[11] = population as u32;
            r[12] = self.pieces[i].first as u32;
            for at in (25..36).step_by(2) {
                r[at] = NONE;
            }
            self.kind_words(i, p, &mut r)?;
            self.piece_words.extend_from_slice(&r);
            first += count as u32;
        }
        Ok(())
    }

    fn kind_words(&mut self, piece: usize, p: &Population, r: &mut [u32]) -> Result<(), BuildError> {
        match &p.kind {
            Kind::Input => {}
            Kind::Held => r[5] = flag::HOLD,
            Kind::Binary(binary) => {
                r[0] = 2;
                let order = match &binary.order {
                    Order::Synchronous => 0,
                    Order::Listed(places) => {
                        self.param(piece, p, places, r, 24)?;
                        flag::SEQUENTIAL
                    }
                    Order::Shuffled => flag::SEQUENTIAL | flag::SHUFFLED,
                    Order::Replaced => flag::SEQUENTIAL | flag::REPLACED,
                };
                let options = [
                    (binary.keep_ties, flag::KEEP_TIES),
                    (binary.targets, flag::TARGET),
                    (binary.count_touched, flag::TOUCHED),
                ];
                r[5] = options.iter().filter(|option| option.0).fold(order, |all, option| all | option.1);
                r[21] = binary.self_coupling as u32;
                self.param(piece, p, &binary.bias, r, 26)?;
            }
            Kind::Lif(lif) => {
                r[0] = 1;
                let options = [
                    (lif.greater_equal, flag::GREATER_EQUAL),
                    (lif.multi_spike, flag::MULTI_SPIKE),
                    (lif.silent, flag::SILENT),
                    (lif.current.is_some(), flag::CURRENT),
                    (lif.adaptive.is_some(), flag::ADAPTIVE),
                    (lif.clamp, flag::CLAMP),
                    (lif.stateless, flag::STATELESS),
                    (lif.leak_last, flag::LEAK_LAST),
                    (lif.count_touched, flag::TOUCHED),
                    (lif.targets, flag::TARGET),
                    (self.reads_groups(piece), flag::REMEMBER),
                    (lif.leak_resting, flag::LEAK_RESTING),
                    (lif.additive_leak, flag::ADDITIVE_LEAK),
                    (matches!(lif.floor, Some((_, Floor::Value(_)))), flag::FLOOR_VALUE),
                    (matches!(lif.floor, Some((_, Floor::Add(_)))), flag::FLOOR_ADD),
                    (lif.bias_current && lif.current.is_some(), flag::BIAS_CURRENT),
                ];
                r[5] = options.iter().filter(|option| option.0).fold(0, |all, option| all | option.1);
                if let Some((floor, Floor::Value(value) | Floor::Add(value))) = lif.floor {
                    (r[36], r[37]) = (floor as u32, value as u32);
                }
                r[13] = lif.reset as u32;
                r[23] = lif.grain as u32;
                r[15] = lif.input_shift;
                r[16] = lif.refractory;
                (r[17], r[18]) = (lif.range.0 as u32, lif.range.1 as u32);
                if let Some((add, decay)) = lif.adaptive {
                    (r[19], r[20]) = (add as u32, decay);
                }
                self.param(piece, p, &lif.threshold, r, 24)?;
                self.param(piece, p, &lif.bias, r, 26)?;
                self.param(piece, p, &lif.decay, r, 28)?;
                if let Some(current) = &lif.current {
                    r[14] = current.order as u32;
                    (r[21], r[22]) = (current.gain.0 as u32, current.gain.1);
                    self.param(piece, p, &current.decay, r, 30)?;
                }
                self.param(piece, p, &lif.reset_value, r, 32)?;
                self.param(piece, p, &lif.initial, r, 34)?;
            }
        }
        Ok(())
    }

    /// Whether a rule of a projection into this piece reads sums of input groups.
    fn reads_groups(&self, piece: usize) -> bool {
        let population = self.pieces[piece].population;
        let rules = self.network.projections.iter().filter(|p| p.target == population).filter_map(|p| p.rule);
        let decoded = |r: usize| Rule::decode(self.network.rules.get(r)?).ok();
        rules.filter_map(decoded).any(|r| r.reads_groups())
    }

    fn param(
        &mut self,
        piece: usize,
        p: &Population,
        param: &Param,
        r: &mut [u32],
        at: usize,
    ) -> Result<(), BuildError> {
        match param {
            Param::All(v) => (r[at], r[at + 1]) = (*v as u32, NONE),
            Param::Each(values) => {
                if values.len() != p.size {
                    return spec("population", &p.name, format!("{} parameter values", values.len()), p.size);
                }
                r[at + 1] = self.params.len() as u32;
                let d = &self.pieces[piece];
                self.params.extend_from_slice(&values[d.first..d.first + d.count]);
            }
        }
        Ok(())
    }

    /// Writes ports, rows and delay classes, piece after piece.
    fn synapses(&mut self) -> Result<(), BuildError> {
        for p in &self.network.projections {
            self.check_projection(p)?;
        }
        for piece in 0..self.pieces.len() {
            self.source(piece)?;
        }
        for (what, found, expected) in [
            ("ports", self.ports.len(), PORTS_MAX),
            ("bytes of weights", self.data.len(), u32::MAX as usize),
            ("row segments", self.segments.len() / layout::SEGMENT_WORDS, u32::MAX as usize),
            ("synapses from a neuron to a piece, of one delay", self.longest, u16::MAX as usize),
        ] {
            if found > expected {
                return Err(BuildError::TooLarge { what, found, expected });
            }
        }
        Ok(())
    }

    fn check_projection(&self, p: &Projection) -> Result<(), BuildError> {
        let (source, target) = (&self.network.populations[p.source], &self.network.populations[p.target]);
        let fail = |found: String, expected: String| spec("projection", &p.name, found, expected);
        if p.group >= target.groups {
            return fail(format!("input group {}", p.group), format!("a group below {}", target.groups));
        }
        if p.rule.is_some_and(|r| r >= self.network.rules.len()) {
            return fail(format!("rule {:?}", p.rule), format!("a rule below {}", self.network.rules.len()));
        }
        let bits_ok = |bits: u32| matches!(bits, 1 | 2 | 4 | 8 | 16);
        let in_range = |bits: u32, weights: &[i16]| {
            let (lo, hi) = weight_range(bits);
            weights.iter().find(|w| !(lo..=hi).contains(&i32::from(**w)) || (bits == 1 && **w == 0)).copied()
        };
        match &p.synapses {
            Synapses::Dense { bits, weights } => {
                if weights.len() != source.size * target.size {
                    return fail(
                        format!("{} weights", weights.len()),
                        (source.size * target.size).to_string(),
                    );
                }
                if !bits_ok(*bits) {
                    return fail(format!("{bits} bits"), "1, 2, 4, 8 or 16".into());
                }
                if let Some(w) = in_range(*bits, weights) {
                    return fail(format!("weight {w}"), format!("{:?}", weight_range(*bits)));
                }
            }
            Synapses::Sparse { bits, rows, .. } => {
                check_rows(p, rows, source.size, target.size)?;
                if !(bits_ok(*bits) || *bits == 0 && p.rule.is_none()) {
                    return fail(format!("{bits} bits"), "0 (without a rule), 1, 2, 4, 8 or 16".into());
                }
                if *bits != 0 && rows.weights.len() != rows.targets.len() {
                    return fail(format!("{} weights", rows.weights.len()), rows.targets.len().to_string());
                }
                if let Some(w) = in_range(if *bits == 0 { 16 } else { *bits }, &rows.weights) {
                    return fail(format!("weight {w}"), format!("{:?}", weight_range(*bits)));
                }
            }
            Synapses::Bits { rows, .. } => check_rows(p, rows, source.size, target.size)?,
            Synapses::Identity { .. } => {
                if source.size != target.size {
                    return fail(
                        format!("{} and {} neurons", source.size, target.size),
                        "equal sizes".into(),
                    );
                }
                if self.homes[p.source].iter().map(|h| h.0).ne(self.homes[p.target].iter().map(|h| h.0)) {
                    return fail(
                        "an identity between populations split at different neurons".into(),
                        "equal splits".into(),
                    );
                }
            }
            Synapses::Crossbar(bar) => {
                if let Some((found, expected)) = bar.fault(source.size * target.size) {
                    return fail(found, expected);
                }
                let most = (synop_core::array::MOST_DRIVE - 1) / u64::from(source.payload_max.max(1));
                if bar.tile.0.min(source.size) as u64 > most {
                    return fail(
                        format!("arrays of {} rows with payloads up to {}", bar.tile.0, source.payload_max),
                        format!("at most {most} rows"),
                    );
                }
            }
        }
        Ok(())
    }

    /// The piece that holds a neuron of a population, and the neuron's number in it.
    fn home(&self, population: usize, neuron: usize) -> (usize, u32) {
        let home = &self.homes[population];
        let at = home.partition_point(|h| h.0 <= neuron) - 1;
        (home[at].1, (neuron - home[at].0) as u32)
    }

    /// Everything that the spikes of one piece read.
    fn source(&mut self, piece: usize) -> Result<(), BuildError> {
        let network = self.network;
        let population = self.pieces[piece].population;
        let mine: Vec<(usize, &Projection)> =
            network.projections.iter().enumerate().filter(|(_, p)| p.source == population).collect();
        // Destination cores of each neuron, for the packets that a spike sends.
        let mut reach: Vec<Vec<u32>> = vec![Vec::new(); self.pieces[piece].count];
        let mut matrices: BTreeMap<u32, Vec<PortDraft>> = BTreeMap::new();
        for &(number, p) in &mine {
            if let Synapses::Crossbar(bar) = &p.synapses {
                let ports = self.crossbar_ports(piece, number, p, bar, &mut reach)?;
                matrices.entry(p.delay).or_default().extend(ports);
            } else if !matches!(p.synapses, Synapses::Sparse { .. }) {
                let ports = self.matrix_ports(piece, number, p, &mut reach);
                matrices.entry(p.delay).or_default().extend(ports);
            }
        }
        let (sparse, sparse_ports) = self.sparse_lists(piece, &mine);
        let mut delays: Vec<u32> = matrices.keys().copied().chain(sparse_ports.keys().map(|k| k.0)).collect();
        delays.sort_unstable();
        delays.dedup();
        let r = piece * layout::PIECE_WORDS;
        self.piece_words[r + 8] = (self.delay_words.len() / layout::DELAY_WORDS) as u32;
        self.piece_words[r + 9] = delays.len() as u32;
        self.piece_words[r + 10] = delays.last().copied().unwrap_or(0);
        let mut port_numbers = BTreeMap::new();
        // Rows of different delays stand side by side, neuron by neuron: what a spike reads in the ticks to come is in one
        // place.
        let mut ages: Vec<u32> = sparse_ports.keys().map(|k| k.0).collect();
        ages.dedup();
        let mut places = BTreeMap::new();
        let mut first = self.rows.len();
        for side in ages.chunks(layout::MOST_STRIDE) {
            places.extend((first..).zip(side).map(|(place, age)| (*age, (place as u32, side.len() as u32))));
            first += side.len() * sparse.len() + 1;
        }
        for delay in delays {
            let first_port = self.ports.len() as u32;
            self.ports.extend(matrices.remove(&delay).unwrap_or_default());
            let ports = self.ports.len() as u32 - first_port;
            let keys: Vec<_> =
                sparse_ports.range((delay, 0, 0)..(delay + 1, 0, 0)).map(|(k, _)| *k).collect();
            for key in &keys {
                port_numbers.insert(*key, self.ports.len());
                let port = self.sparse_port(piece, *key);
                self.ports.push(port);
            }
            let (rows, stride) = places.get(&delay).copied().unwrap_or((NONE, 1));
            let age = delay | (stride - 1) << layout::DELAY_BITS;
            self.delay_words.extend_from_slice(&[age, first_port, ports, rows]);
        }
        for side in ages.chunks(layout::MOST_STRIDE) {
            self.sparse_rows(side, &sparse, &port_numbers, &mut reach);
        }
        self.fanout.extend(reach.iter_mut().map(|cores| {
            cores.sort_unstable();
            cores.dedup();
            cores.len() as u32
        }));
        Ok(())
    }

    /// The ports of a matrix projection that start in a piece, one for each piece of its target.
    fn matrix_ports(
        &mut self,
        piece: usize,
        number: usize,
        p: &Projection,
        reach: &mut [Vec<u32>],
    ) -> Vec<PortDraft> {
        let (s_first, s_count) = (self.pieces[piece].first, self.pieces[piece].count);
        let mut ports = Vec::new();
        let homes = self.homes[p.target].clone();
        for (_, target) in homes {
            let (t_first, t_count, core) =
                (self.pieces[target].first, self.pieces[target].count, self.pieces[target].core);
            let mut words = [0u32; layout::PORT_WORDS];
            words[1] = piece as u32;
            words[2] = target as u32;
            words[3] = p.group;
            words[9] = p.rule.map_or(NONE, |r| r as u32);
            words[10] = number as u32;
            words[11] = NONE;
            words[13] = p.delay;
            let plastic = p.rule.is_some();
            let mut nonzero = vec![0u32; s_count];
            let block: Vec<u8>;
            match &p.synapses {
                Synapses::Dense { bits, weights } => {
                    let columns = self.network.populations[p.target].size;
                    let stride = stride(t_count, *bits);
                    let mut packed = vec![0u8; s_count * stride];
                    let mut largest = if plastic { 1 << (bits - 1) } else { 0 };
                    for (i, (row, nonzero)) in packed.chunks_mut(stride).zip(&mut nonzero).enumerate() {
                        let at = (s_first + i) * columns + t_first;
                        for (j, w) in weights[at..at + t_count].iter().enumerate() {
                            set_weight(row, *bits, j, (*w).into());
                            *nonzero += u32::from(*w != 0);
                            largest = largest.max(u32::from(w.unsigned_abs()));
                        }
                        reach[i].push(core as u32);
                    }
                    (words[4], words[6], words[12]) = (*bits, stride as u32, largest);
                    block = packed;
                }
                Synapses::Bits { weight, rows } => {
                    let stride = stride(t_count, 1);
                    let mut packed = vec![0u8; s_count * stride];
                    for (i, (row, nonzero)) in packed.chunks_mut(stride).zip(&mut nonzero).enumerate() {
                        for t in &rows.targets[rows.index[s_first + i]..rows.index[s_first + i + 1]] {
                            let t = (*t as usize).wrapping_sub(t_first);
                            if t < t_count {
                                row[t / 8] |= 1 << (t % 8);
                                *nonzero += 1;
                            }
                        }
                        if *nonzero != 0 {
                            reach[i].push(core as u32);
                        }
                    }
                    (words[0], words[5], words[6]) = (1, *weight as u32, stride as u32);
                    words[12] = weight.unsigned_abs();
                    block = packed;
                }
                Synapses::Identity { weight } => {
                    if t_first != s_first {
                        continue;
                    }
                    (words[0], words[5], words[12]) = (2, *weight as u32, weight.unsigned_abs());
                    reach.iter_mut().for_each(|r| r.push(core as u32));
                    ports.push(PortDraft { words, core, plastic: false });
                    continue;
                }
                Synapses::Sparse { .. } | Synapses::Crossbar(_) => continue,
            }
            let counts: &[u8] = bytemuck::cast_slice(&nonzero);
            if plastic {
                words[7] = (self.plastic.take(core, &block) / 8) as u32;
                words[8] = (self.plastic.take(core, counts) / 8) as u32;
            } else {
                words[7] = (take(&mut self.data, &block) / 8) as u32;
                words[8] = (take(&mut self.data, counts) / 8) as u32;
            }
            ports.push(PortDraft { words, core, plastic });
        }
        ports
    }

    /// The ports of a crossbar projection that start in a piece, one for each array.
    fn crossbar_ports(
        &mut self,
        piece: usize,
        number: usize,
        p: &Projection,
        bar: &Crossbar,
        reach: &mut [Vec<u32>],
    ) -> Result<Vec<PortDraft>, BuildError> {
        let compiled = bar.compiled()?;
        let class = match self.classes.iter().position(|c| c == compiled.words()) {
            Some(known) => known,
            None => {
                self.classes.push(compiled.words().to_vec());
                self.classes.len() - 1
            }
        };
        // Devices are numbered through the network, whatever the placement and the size of arrays.
        let size = |i: usize| self.network.populations[i].size;
        let devices = |p: &Projection| match p.synapses {
            Synapses::Crossbar(_) => 2 * size(p.source) * size(p.target),
            _ => 0,
        };
        let base: usize = self.network.projections[..number].iter().map(devices).sum();
        let (base_end, all) = (base + devices(p), size(p.target));
        if base_end > device::MOST_DEVICES as usize {
            let expected = device::MOST_DEVICES as usize;
            return Err(BuildError::TooLarge { what: "memristive devices", found: base_end, expected });
        }
        let (s_first, s_count) = (self.pieces[piece].first, self.pieces[piece].count);
        let learns = p.rule.is_some();
        let mut ports = Vec::new();
        for (_, target) in self.homes[p.target].clone() {
            let (t_first, t_count, core) =
                (self.pieces[target].first, self.pieces[target].count, self.pieces[target].core);
            reach.iter_mut().for_each(|r| r.push(core as u32));
            for rows in cuts(s_count, bar.tile.0) {
                for columns in cuts(t_count, bar.tile.1) {
                    let first = base + 2 * ((s_first + rows.0) * all + t_first + columns.0);
                    let numbers = (first as u32, 2 * all as u32);
                    let array = bar.array(&compiled, class as u32, numbers, rows, columns);
                    let weight = |i: usize, j: usize| {
                        bar.weights[(s_first + rows.0 + i) * all + t_first + columns.0 + j]
                    };
                    let block = bar.block(&compiled, &array, weight, learns, self.network.seed)?;
                    let mut words = [0u32; layout::PORT_WORDS];
                    (words[0], words[1], words[2], words[3]) = (4, piece as u32, target as u32, p.group);
                    (words[4], words[6]) = (16, 2 * columns.1 as u32);
                    words[9] = p.rule.map_or(NONE, |r| r as u32);
                    words[10] = number as u32;
                    words[11] = (self.arrays.len() / ARRAY_WORDS) as u32;
                    words[12] = u32::try_from(array.row_bound()).unwrap_or(u32::MAX);
                    words[13] = p.delay;
                    let plastic = learns || bar.refresh != 0;
                    words[7] = match plastic {
                        true => self.plastic.take(core, &block) / 8,
                        false => take(&mut self.data, &block) / 8,
                    } as u32;
                    self.arrays.extend_from_slice(&array.to_words());
                    ports.push(PortDraft { words, core, plastic });
                }
            }
        }
        Ok(ports)
    }

    /// Array records and device classes as one section.
    fn device_words(&self) -> Vec<u32> {
        if self.arrays.is_empty() {
            return Vec::new();
        }
        let mut words = vec![(self.arrays.len() / ARRAY_WORDS) as u32, self.classes.len() as u32];
        words.extend_from_slice(&self.arrays);
        let mut at = words.len() + 2 * self.classes.len();
        for class in &self.classes {
            words.extend_from_slice(&[at as u32, class.len() as u32]);
            at += class.len();
        }
        words.extend(self.classes.iter().flatten().map(|w| *w as u32));
        words
    }

    /// The sparse synapses of a piece, row by row, and the ports that they need.
    #[allow(clippy::type_complexity)]
    fn sparse_lists(
        &self,
        piece: usize,
        mine: &[(usize, &Projection)],
    ) -> (Vec<Vec<Synapse>>, BTreeMap<PortKey, ()>) {
        let (first, count) = (self.pieces[piece].first, self.pieces[piece].count);
        let mut lists = vec![Vec::new(); count];
        let mut keys = BTreeMap::new();
        for &(number, p) in mine {
            let Synapses::Sparse { rows, .. } = &p.synapses else { continue };
            for (i, list) in lists.iter_mut().enumerate() {
                for s in rows.index[first + i]..rows.index[first + i + 1] {
                    let delay = rows.delays.get(s).map_or(p.delay, |d| (*d).into());
                    let (target, local) = self.home(p.target, rows.targets[s] as usize);
                    let key = (delay, target as u32, number as u32);
                    let weight = rows.weights.get(s).copied().unwrap_or(0);
                    if list.last().map(|s: &Synapse| s.key) != Some(key) {
                        keys.insert(key, ());
                    }
                    list.push(Synapse { key, target: local as u16, weight });
                }
            }
        }
        for list in &mut lists {
            list.sort_by_key(|s| (s.key, s.target));
        }
        (lists, keys)
    }

    fn sparse_port(&self, piece: usize, (delay, target, number): PortKey) -> PortDraft {
        let p = &self.network.projections[number as usize];
        let mut words = [0u32; layout::PORT_WORDS];
        words[0] = 3;
        words[1] = piece as u32;
        words[2] = target;
        words[3] = p.group;
        words[9] = p.rule.map_or(NONE, |r| r as u32);
        words[10] = number;
        words[11] = NONE;
        words[13] = delay;
        if let Synapses::Sparse { bits, weight, .. } = &p.synapses {
            (words[4], words[5]) = (*bits, *weight as u32);
        }
        PortDraft { words, core: self.pieces[target as usize].core, plastic: p.rule.is_some() }
    }

    /// The row table and segments of some delay classes, neuron by neuron.
    fn sparse_rows(
        &mut self,
        delays: &[u32],
        lists: &[Vec<Synapse>],
        ports: &BTreeMap<PortKey, usize>,
        reach: &mut [Vec<u32>],
    ) {
        for (list, reach) in lists.iter().zip(reach) {
            let mut rest = &list[list.partition_point(|s| s.key.0 < delays[0])..];
            for delay in delays {
                self.rows.push((self.segments.len() / layout::SEGMENT_WORDS) as u32);
                let (class, later) = rest.split_at(rest.partition_point(|s| s.key.0 <= *delay));
                for run in class.chunk_by(|a, b| a.key == b.key) {
                    let port = ports[&run[0].key];
                    reach.push(self.ports[port].core as u32);
                    self.segment(port, run);
                }
                rest = later;
            }
        }
        self.rows.push((self.segments.len() / layout::SEGMENT_WORDS) as u32);
    }

    fn segment(&mut self, port: usize, run: &[Synapse]) {
        self.longest = self.longest.max(run.len());
        let draft = &mut self.ports[port];
        let (bits, weight) = (draft.words[4], draft.words[5] as i32);
        self.data.resize(self.data.len().next_multiple_of(4), 0);
        let offset = self.data.len() / 4;
        for s in run {
            self.data.extend_from_slice(&s.target.to_le_bytes());
        }
        let mut packed = vec![0u8; (run.len() * bits as usize).div_ceil(8)];
        for (j, s) in run.iter().enumerate() {
            set_weight(&mut packed, bits, j, s.weight.into());
        }
        let nonzero = if bits == 0 {
            run.len() * usize::from(weight != 0)
        } else {
            run.iter().filter(|s| s.weight != 0).count()
        };
        let largest = match (bits, draft.plastic) {
            (0, _) => weight.unsigned_abs(),
            (_, true) => 1 << (bits - 1),
            _ => run.iter().map(|s| u32::from(s.weight.unsigned_abs())).max().unwrap_or(0),
        };
        let repeats = run.chunk_by(|a, b| a.target == b.target).map(<[_]>::len).max().unwrap_or(0) as u32;
        draft.words[12] = draft.words[12].max(largest.saturating_mul(repeats));
        let extra = if draft.plastic {
            let mut block = (nonzero as u32).to_le_bytes().to_vec();
            block.extend_from_slice(&packed);
            let core = draft.core;
            self.plastic_segments.push((self.segments.len() / layout::SEGMENT_WORDS, core));
            self.plastic.take(core, &block) / 4
        } else {
            self.data.extend_from_slice(&packed);
            nonzero
        };
        let head = (port as u32 & 0xffff) | ((run.len() as u32) << 16);
        self.segments.extend_from_slice(&[head, offset as u32, extra as u32]);
    }

    /// Lays the sections out, patches what depends on where they stand, and seals the blob.
    fn seal(mut self) -> Blob {
        let mut core_words = Vec::new();
        let (mut first_piece, mut plastic_first) = (0usize, Vec::new());
        let mut plastic = Vec::new();
        for (core, memory) in self.plastic.per_core.iter_mut().enumerate() {
            memory.resize(memory.len().next_multiple_of(8), 0);
            let pieces = self.pieces.iter().filter(|p| p.core == core).count();
            plastic_first.push(plastic.len());
            core_words.extend_from_slice(&[
                first_piece as u32,
                pieces as u32,
                (plastic.len() / 8) as u32,
                (memory.len() / 8) as u32,
            ]);
            plastic.extend_from_slice(memory);
            first_piece += pieces;
        }
        for port in self.ports.iter_mut().filter(|p| p.plastic && p.words[0] == 0) {
            port.words[7] += (plastic_first[port.core] / 8) as u32;
            port.words[8] += (plastic_first[port.core] / 8) as u32;
        }
        for port in self.ports.iter_mut().filter(|p| p.plastic && p.words[0] == 4) {
            port.words[7] += (plastic_first[port.core] / 8) as u32;
        }
        for (segment, core) in &self.plastic_segments {
            self.segments[segment * layout::SEGMENT_WORDS + 2] += (plastic_first[*core] / 4) as u32;
        }
        let mut sections: [Vec<u8>; SECTIONS] = Default::default();
        let words = |w: &[u32]| w.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
        let port_words: Vec<u32> = self.ports.iter().flat_map(|p| p.words).collect();
        sections[Section::Cores as usize] = words(&core_words);
        sections[Section::Pieces as usize] = words(&self.piece_words);
        sections[Section::Delays as usize] = words(&self.delay_words);
        sections[Section::Ports as usize] = words(&port_words);
        sections[Section::Rows as usize] = words(&self.rows);
        sections[Section::Segments as usize] = words(&self.segments);
        sections[Section::Data as usize] = std::mem::take(&mut self.data);
        sections[Section::Plastic as usize] = plastic;
        sections[Section::Params as usize] = self.params.iter().flat_map(|v| v.to_le_bytes()).collect();
        sections[Section::Fanout as usize] = words(&self.fanout);
        sections[Section::Rules as usize] = words(&rule_words(&self.network.rules));
        sections[Section::Phases as usize] = words(&self.phase_words());
        sections[Section::Devices as usize] = words(&self.device_words());
        let entries = self.network.schedule.iter();
        let entries: Vec<u32> = entries.flat_map(|e| [e.program, e.phase, e.ticks, e.options]).collect();
        sections[Section::Schedule as usize] = words(&entries);
        sections[Section::Meta as usize] = self.meta();
        assemble(&sections, self.network.seed, self.least_delay())
    }

    fn phase_words(&self) -> Vec<u32> {
        let masks = |phase: &crate::network::Phase| {
            self.pieces
                .iter()
                .map(|p| phase.groups.get(p.population).copied().unwrap_or(0))
                .collect::<Vec<_>>()
        };
        self.network.phases.iter().flat_map(masks).collect()
    }

    /// The shortest delay between neurons of different cores.
    fn least_delay(&self) -> u32 {
        let mut least = u32::MAX;
        for class in self.delay_words.chunks(layout::DELAY_WORDS) {
            if let [age, ..] = class {
                least = least.min(age & ((1 << layout::DELAY_BITS) - 1));
            }
        }
        least
    }

    /// What the host finds again in the image.
    fn meta(&self) -> Vec<u8> {
        let populations: Vec<_> =
            self.network.populations.iter().map(|p| json!({"name": p.name, "size": p.size})).collect();
        let projections: Vec<_> = self
            .network
            .projections
            .iter()
            .map(|p| json!({"name": p.name, "source": p.source, "target": p.target}))
            .collect();
        let all =
            json!({"populations": populations, "projections": projections, "network": self.network.meta});
        all.to_string().into_bytes()
    }
}

/// Most ports of an image: a segment names its port in 16 bits.
const PORTS_MAX: usize = 65_536;

/// (delay, target piece, projection): what makes a sparse port.
type PortKey = (u32, u32, u32);

#[derive(Clone, Copy)]
struct Synapse {
    key: PortKey,
    target: u16,
    weight: i16,
}

/// Bytes from row to row: rows start at multiples that a vector load likes, unless they are short. Where long rows would
/// begin 512 bytes apart or a multiple of that, a line lies between: the columns of all rows would share few sets of a cache.
fn stride(columns: usize, bits: u32) -> usize {
    let bytes = (columns * bits as usize).div_ceil(8);
    let stride = bytes.next_multiple_of(if bytes < 64 { 4 } else { 16 });
    if stride >= 1024 && stride.is_multiple_of(512) { stride + layout::ALIGN } else { stride }
}

/// A length cut into parts of at most `most`, as equal as can be: (first, length).
fn cuts(len: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let parts = len.div_ceil(most.max(1));
    (0..parts).map(move |k| {
        let (first, end) = (k * len / parts, (k + 1) * len / parts);
        (first, end - first)
    })
}

/// Appends a block at the next multiple of 64 bytes; returns its offset.
fn take(data: &mut Vec<u8>, block: &[u8]) -> usize {
    let to = if block.len() < 256 { 8 } else { 64 };
    data.resize(data.len().next_multiple_of(to), 0);
    let at = data.len();
    data.extend_from_slice(block);
    at
}

/// Rules as one section: their number, (first word, words) of each, and the words.
fn rule_words(rules: &[Vec<u32>]) -> Vec<u32> {
    if rules.is_empty() {
        return Vec::new();
    }
    let mut words = vec![rules.len() as u32];
    let mut at = 1 + 2 * rules.len() as u32;
    for r in rules {
        words.extend_from_slice(&[at, r.len() as u32]);
        at += r.len() as u32;
    }
    words.extend(rules.iter().flatten());
    words
}

/// The weights that a container holds.
pub fn weight_range(bits: u32) -> (i32, i32) {
    match bits {
        0 => (i32::MIN, i32::MAX),
        1 => (-1, 1),
        bits => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
    }
}

fn check_rows(p: &Projection, rows: &Rows, source: usize, target: usize) -> Result<(), BuildError> {
    let fail = |found: String, expected: String| spec("projection", &p.name, found, expected);
    if rows.index.len() != source + 1 {
        return fail(format!("{} row starts", rows.index.len()), (source + 1).to_string());
    }
    let ascends = rows.index.windows(2).all(|w| w[0] <= w[1]);
    if !ascends || rows.index[0] != 0 || rows.index[source] != rows.targets.len() {
        return fail(
            "row starts that do not ascend from 0 to the number of synapses".into(),
            "ascending".into(),
        );
    }
    if let Some(t) = rows.targets.iter().find(|t| **t as usize >= target) {
        return fail(format!("target neuron {t}"), format!("a neuron below {target}"));
    }
    if !rows.delays.is_empty() && rows.delays.len() != rows.targets.len() {
        return fail(format!("{} delays", rows.delays.len()), rows.targets.len().to_string());
    }
    Ok(())
}

/// Puts sections behind a header and seals them with the checksum.
fn assemble(sections: &[Vec<u8>; SECTIONS], seed: u64, least_delay: u32) -> Blob {
    let mut at = padded(layout::HEADER + 16 * SECTIONS);
    let mut table = Vec::new();
    for s in sections {
        table.extend_from_slice(&(at as u64).to_le_bytes());
        table.extend_from_slice(&(s.len() as u64).to_le_bytes());
        at += padded(s.len());
    }
    let mut blob = Blob::zeros(at);
    let bytes = blob.bytes_mut();
    bytes[..8].copy_from_slice(&layout::MAGIC);
    bytes[8..12].copy_from_slice(&layout::VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&(SECTIONS as u32).to_le_bytes());
    bytes[16..24].copy_from_slice(&(at as u64).to_le_bytes());
    bytes[32..40].copy_from_slice(&seed.to_le_bytes());
    bytes[40..44].copy_from_slice(&least_delay.to_le_bytes());
    bytes[layout::HEADER..layout::HEADER + table.len()].copy_from_slice(&table);
    let mut to = padded(layout::HEADER + 16 * SECTIONS);
    for s in sections {
        bytes[to..to + s.len()].copy_from_slice(s);
        to += padded(s.len());
    }
    let sum = layout::checksum(bytes);
    bytes[24..32].copy_from_slice(&sum.to_le_bytes());
    blob
}
