//! The image: one flat, versioned, checksummed blob that is checked once and then used in place.
//!
//! ```text
//! 0     magic "SYNOPIMG"         8 bytes
//! 8     version                  u32
//! 12    number of sections       u32
//! 16    length of the whole      u64
//! 24    checksum of all but this u64   (FNV-1a over 32-bit words)
//! 32    seed                     u64
//! 40    least delay              u32   (between neurons of different cores)
//! 44    reserved                 5 × u32
//! 64    section table            (offset u64, length u64) × sections
//! …     sections, each at a multiple of 64 bytes, little-endian
//! ```
//!
//! A network in an image is made of
//!
//! * **pieces**: the part of a population that lives on one core. All neurons of a piece share kind and
//!   options; parameters are scalars or arrays. Neurons are numbered globally, piece after piece, and pieces
//!   are ordered by core: so the order of neuron numbers is the canonical order (core, neuron).
//! * **ports**: all synapses from one piece to one piece with one delay into one input group, in one kind of
//!   store. A port is the unit of weights, of plasticity rules and of kernels.
//! * **delay classes**: what a spike of a piece must read when it is `delay` ticks old: matrix ports (dense,
//!   bits, identity) and, for sparse ports, one list of row segments per neuron.

use crate::words::{align_up, le_u32, le_u64, word};
use core::fmt;

/// First bytes of every image.
pub const MAGIC: [u8; 8] = *b"SYNOPIMG";
/// Version of the layout that this crate reads and the writer writes.
pub const VERSION: u32 = 2;
/// Alignment of the sections, and of the blob itself in memory for `u32` access.
pub const ALIGN: usize = 64;
/// Bytes of the fixed header.
pub const HEADER: usize = 64;
/// "There is none", in any index field.
pub const NONE: u32 = u32::MAX;

/// Sections of an image, in the order of the section table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Section {
    /// [`Core`] records.
    Cores,
    /// [`Piece`] records.
    Pieces,
    /// [`DelayClass`] records.
    Delays,
    /// [`Port`] records.
    Ports,
    /// Row tables: for each sparse delay class `count + 1` indices into the segments.
    Rows,
    /// [`Segment`] records.
    Segments,
    /// Fixed weights and targets.
    Data,
    /// Initial values of plastic weights: copied to the arena.
    Plastic,
    /// Parameters of single neurons, `i32`.
    Params,
    /// Packets that one spike of a neuron sends (destination cores), `u32` each; empty: none is counted.
    Fanout,
    /// Plasticity rules.
    Rules,
    /// Phases: for each phase and piece the input groups that count.
    Phases,
    /// Arrays of memristive crossbars and their device classes, see [`crate::array`].
    Devices,
    /// Nominal prices in attojoules, `u64` each, by [`crate::counters::Count`]; empty: none.
    Prices,
    /// What only the host reads: names, scales, assumptions, as JSON.
    Meta,
    /// Programs: [`Entry`] records, each some ticks in one phase.
    Schedule,
}

/// Number of sections.
pub const SECTIONS: usize = 16;

/// Why a blob is not an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// The blob does not start at a multiple of 4 bytes.
    Misaligned,
    /// Shorter than its header says, or than a header.
    Truncated {
        /// Bytes that the header asks for.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The first eight bytes are not those of an image.
    Magic,
    /// Written by another version of the layout.
    Version {
        /// The version in the blob.
        found: u32,
    },
    /// The checksum does not agree with the content.
    Checksum,
    /// A section lies outside of the blob or is misaligned.
    Section {
        /// Number of the section.
        section: u32,
    },
    /// A record is out of range.
    Record {
        /// The section.
        section: Section,
        /// Number of the record in it.
        index: u32,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The sum of all inputs of a neuron could leave 32 bits.
    SumBound {
        /// The piece.
        piece: u32,
    },
    /// The lent memory is smaller than [`Image::memory`] says.
    Memory {
        /// Needed `u64` words.
        expected: usize,
        /// Lent `u64` words.
        found: usize,
    },
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ImageError::Misaligned => {
                write!(f, "the image does not start at a multiple of 4 bytes in memory")
            }
            ImageError::Truncated { expected, found } => {
                write!(f, "the image is cut off: {found} bytes found, {expected} expected; copy it again")
            }
            ImageError::Magic => write!(f, "not a synop image: the first 8 bytes are not SYNOPIMG"),
            ImageError::Version { found } => {
                write!(f, "image version {found} found, {VERSION} expected; compile the network again")
            }
            ImageError::Checksum => {
                write!(f, "the image's checksum does not agree with its content; copy it again")
            }
            ImageError::Section { section } => write!(f, "section {section} lies outside of the image"),
            ImageError::Record { section, index, what } => {
                write!(f, "record {index} of section {section:?}: {what}")
            }
            ImageError::SumBound { piece } => {
                write!(f, "piece {piece}: the inputs of one tick could leave 32 bits; use narrower weights")
            }
            ImageError::Memory { expected, found } => {
                write!(f, "the machine needs {expected} words of 8 bytes, {found} were lent")
            }
        }
    }
}

impl core::error::Error for ImageError {}

/// What a piece is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Events come from outside.
    Input,
    /// The leaky-integrate-and-fire family, see [`crate::neuron`].
    Lif,
    /// ±1 neurons whose events carry their change, see [`crate::binary`].
    Binary,
}

/// Options of a piece.
pub mod flag {
    /// Spike at `v ≥ threshold` instead of `v > threshold`.
    pub const GREATER_EQUAL: u32 = 1 << 0;
    /// Several spikes per tick: `n = v / threshold`.
    pub const MULTI_SPIKE: u32 = 1 << 1;
    /// No threshold at all: a leaky integrator that is read, not heard.
    pub const SILENT: u32 = 1 << 2;
    /// There is a synaptic current between the input and the membrane.
    pub const CURRENT: u32 = 1 << 3;
    /// The threshold grows with each spike and decays back.
    pub const ADAPTIVE: u32 = 1 << 4;
    /// Lower clamp of the membrane at `v_min` (else `v_min` only saturates, and is counted).
    pub const CLAMP: u32 = 1 << 5;
    /// The membrane keeps nothing: `v` is the input of this tick.
    pub const STATELESS: u32 = 1 << 6;
    /// Keep one "touched by an event" flag per neuron (counts inputs that sum to zero too).
    pub const TOUCHED: u32 = 1 << 7;
    /// The decay of the membrane is taken after the threshold, for neurons that leak last.
    pub const LEAK_LAST: u32 = 1 << 8;
    /// Each neuron has a target value, set from outside, for plasticity rules.
    pub const TARGET: u32 = 1 << 9;
    /// The input sums of the last update stay readable, group by group, for plasticity rules.
    pub const REMEMBER: u32 = 1 << 10;
    /// A refractory neuron goes on leaking (else its membrane stands still).
    pub const LEAK_RESTING: u32 = 1 << 11;
    /// An input piece that holds its values: what is put in are new values, and events carry the change.
    pub const HOLD: u32 = 1 << 12;
    /// A binary neuron whose field is zero keeps its state (else it becomes +1).
    pub const KEEP_TIES: u32 = 1 << 13;
    /// Binary neurons update one after the other, and each change is delivered at once. All sequential pieces of a
    /// stage share one order: ascending by the parameter `threshold`, then by neuron number.
    pub const SEQUENTIAL: u32 = 1 << 14;
    /// A sequential stage draws a new order in every tick.
    pub const SHUFFLED: u32 = 1 << 15;
    /// A sequential stage draws its neurons with replacement, as many per tick as there are.
    pub const REPLACED: u32 = 1 << 16;
    /// The bias enters the synaptic current, as an input does, not the membrane.
    pub const BIAS_CURRENT: u32 = 1 << 17;
    /// The leak is subtracted from the membrane's magnitude (and may overshoot zero) instead of multiplied.
    pub const ADDITIVE_LEAK: u32 = 1 << 20;
    /// A membrane below the floor that did not spike is set to the floor value.
    pub const FLOOR_VALUE: u32 = 1 << 21;
    /// A membrane below the floor that did not spike has the floor value added.
    pub const FLOOR_ADD: u32 = 1 << 22;
    /// All bits that have a meaning.
    pub const ALL: u32 = ((1 << 18) - 1) | ADDITIVE_LEAK | FLOOR_VALUE | FLOOR_ADD;
}

/// What happens to the membrane after a spike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Nothing.
    None,
    /// `v ← reset value`, in the tick of the spike.
    Value,
    /// `v ← v − n·threshold`, in the tick of the spike.
    Subtract,
    /// `v ← reset value` at the start of the next tick, before the decay.
    ValueNext,
    /// `v ← decay(v) + input − threshold` in the next tick.
    SubtractNext,
    /// Due is the threshold where the stored `v` is above it: `v ← decay(v) + input − due` is compared, and what is
    /// stored is that, less a threshold with a spike, and with what was due given back (snnTorch without delay).
    SubtractAgain,
}

/// When the synaptic current moves, relative to the membrane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CurrentOrder {
    /// `i ← decay(i) + x`, then the membrane sees the new `i`.
    New,
    /// The membrane sees the old `i`, then `i ← decay(i) + x`.
    Old,
    /// `i ← i + x`, the membrane sees it, then `i ← decay(i)`.
    JumpThenDecay,
    /// `i ← decay(i + x)`, then the membrane sees it.
    JumpDecayed,
}

/// A parameter: one value for all, or an array in [`Section::Params`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    /// The common value, when there is no array.
    pub value: i32,
    /// Index of the first value in the parameters, or [`NONE`].
    pub array: u32,
}

/// Words of a core record.
pub const CORE_WORDS: usize = 4;
/// A core: a run of pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Core {
    /// First piece.
    pub first_piece: u32,
    /// Number of pieces.
    pub pieces: u32,
    /// First plastic byte that it owns, in units of 8 bytes.
    pub plastic_first: u32,
    /// Plastic memory that it owns, in units of 8 bytes.
    pub plastic_len: u32,
}

/// Words of a piece record.
pub const PIECE_WORDS: usize = 38;
/// A piece: the neurons of one population on one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub kind: Kind,
    /// The core that it lives on.
    pub core: u32,
    /// Global number of its first neuron.
    pub first: u32,
    /// Number of neurons, at most 65,536.
    pub count: u32,
    /// Stage in which it updates: inputs 0, neurons from 1.
    pub stage: u32,
    /// [`flag`]s.
    pub flags: u32,
    /// Number of input groups, 1 to 4 (inputs: 0).
    pub groups: u32,
    /// Largest absolute payload of one event.
    pub payload_max: u32,
    /// First of its delay classes.
    pub delay_first: u32,
    /// Number of its delay classes.
    pub delay_count: u32,
    /// Longest delay of a class.
    pub delay_max: u32,
    /// The population that it is a part of.
    pub population: u32,
    /// Number, in the population, of its first neuron.
    pub population_first: u32,
    /// Reset rule.
    pub reset: Reset,
    /// Order of current and membrane.
    pub order: CurrentOrder,
    /// The input is shifted left by this before it enters the state.
    pub input_shift: u32,
    /// Ticks of silence after a spike.
    pub refractory: u32,
    /// Lower bound of the state.
    pub v_min: i32,
    /// Upper bound of the state.
    pub v_max: i32,
    /// Growth of an adaptive threshold at a spike.
    pub adapt_add: i32,
    /// Decay of the threshold's growth, Q31.
    pub adapt_decay: u32,
    /// Current to membrane: mantissa. Of a binary piece: the self-coupling.
    pub gain: i32,
    /// Current to membrane: right shift.
    pub gain_shift: u32,
    /// The decayed membrane is cut toward zero to a multiple of this; 0 and 1 cut nothing.
    pub grain: i32,
    /// Threshold. Of a sequential piece: the place in the order of its stage.
    pub threshold: Param,
    /// Added at every update.
    pub bias: Param,
    /// Membrane decay per tick, Q31 (2³¹ keeps all); with [`flag::ADDITIVE_LEAK`] what is taken off.
    pub decay: Param,
    /// Current decay per tick, Q31.
    pub current_decay: Param,
    /// Membrane after a reset to value.
    pub reset_value: Param,
    /// Membrane at the start.
    pub initial: Param,
    /// Below this membrane the floor value counts ([`flag::FLOOR_VALUE`], [`flag::FLOOR_ADD`]).
    pub floor: i32,
    /// What a membrane below the floor becomes, or what is added to it.
    pub floor_value: i32,
}

impl Piece {
    /// Whether its events are changes of values that it holds.
    #[inline(always)]
    pub fn holds(&self) -> bool {
        self.kind == Kind::Binary || self.flags & flag::HOLD != 0
    }

    /// Whether its neurons update one after the other.
    #[inline(always)]
    pub fn is_sequential(&self) -> bool {
        self.flags & flag::SEQUENTIAL != 0
    }
}

/// Bit of a phase's mask: the piece is not updated in this phase. Its input goes on being summed.
pub const HELD: u32 = 1 << 4;

/// Words of an entry of the schedule.
pub const ENTRY_WORDS: usize = 4;
/// Option of an [`Entry`]: go on to the next one as soon as nothing can change any more.
pub const UNTIL_QUIET: u32 = 1;
/// Some ticks in one phase: a step of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The program that it belongs to; the entries of a program run in the order of the section.
    pub program: u32,
    /// Phase.
    pub phase: u32,
    /// Ticks, at most.
    pub ticks: u32,
    /// [`UNTIL_QUIET`], or 0.
    pub options: u32,
}

/// Words of a delay-class record.
pub const DELAY_WORDS: usize = 4;
/// Bits of a delay-class record's first word that are the delay; the others are its stride less one.
pub const DELAY_BITS: u32 = 17;
/// Largest stride of a delay class.
pub const MOST_STRIDE: usize = 1 << (32 - DELAY_BITS);
/// What a spike reads when it is `delay` ticks old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DelayClass {
    /// Age in ticks; 0: in the same tick, at later stages only.
    pub delay: u32,
    /// First matrix port.
    pub first_port: u32,
    /// Number of matrix ports.
    pub ports: u32,
    /// First index of the row table, or [`NONE`].
    pub rows: u32,
    /// Entries of the row table from one neuron to the next: the rows of a neuron in several classes stand side by side.
    pub stride: u32,
}

impl DelayClass {
    /// The entry of neuron `local` in the row table; the next one is the end of its row.
    #[inline(always)]
    pub fn place(&self, local: u32) -> usize {
        (self.rows as usize).wrapping_add((local as usize).wrapping_mul(self.stride as usize))
    }
}

/// How a port stores its synapses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// All pairs: `rows × stride` bytes of packed weights.
    Dense,
    /// All pairs, one bit each, one weight for all.
    Bits,
    /// Neuron i to neuron i, one weight for all.
    Identity,
    /// Row segments of targets and weights.
    Sparse,
    /// An array of a memristive crossbar, see [`crate::array`].
    Crossbar,
}

/// Words of a port record.
pub const PORT_WORDS: usize = 14;
/// All synapses from one piece to one piece with one delay, into one input group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Kind of store.
    pub store: Store,
    /// Source piece.
    pub source: u32,
    /// Target piece.
    pub target: u32,
    /// Input group of the target.
    pub group: u32,
    /// Bits of a weight's container: 1, 2, 4, 8 or 16; 0: one weight for all.
    pub bits: u32,
    /// The weight of all synapses where `bits` is 0.
    pub weight: i32,
    /// Bytes from row to row (dense, bits).
    pub stride: u32,
    /// First byte of the weights, in units of 8 bytes, in data or plastic.
    pub offset: u32,
    /// First of the rows' non-zero counts (`u32` each), in units of 8 bytes, in data or plastic.
    pub nonzero: u32,
    /// Plasticity rule, or [`NONE`].
    pub rule: u32,
    /// The projection of the network that it is a part of.
    pub projection: u32,
    /// Number of the array of a crossbar, or [`NONE`].
    pub device: u32,
    /// The most that one row can add to one sum, for a payload of 1.
    pub row_bound: u32,
    /// Delay in ticks: that of its delay class.
    pub delay: u32,
}

/// What a row segment needs to know of its port and the port's target: of few synapses there may be many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Landing {
    pub(crate) piece: u32,
    pub(crate) count: u32,
    pub(crate) flags: u32,
    pub(crate) group: u32,
    pub(crate) bits: u32,
    pub(crate) weight: i32,
    pub(crate) rule: u32,
}

/// Words of a segment record.
pub const SEGMENT_WORDS: usize = 3;
/// A piece of a sparse row: all its synapses in one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The port.
    pub port: u32,
    /// Number of synapses.
    pub len: u32,
    /// Where the targets start in the data, in units of 4 bytes; fixed weights follow them.
    pub offset: u32,
    /// Fixed: number of non-zero weights. Plastic: where `nonzero: u32` and the weights stand in the plastic
    /// section, in units of 4 bytes.
    pub extra: u32,
}

impl Segment {
    /// Reads record `i`.
    #[inline(always)]
    pub fn at(words: &[u32], i: u32) -> Option<Segment> {
        let at = (i as usize).checked_mul(SEGMENT_WORDS)?;
        words.get(at..at.checked_add(SEGMENT_WORDS)?)?.first_chunk().map(Segment::of)
    }

    /// Reads a record.
    #[inline(always)]
    pub fn of(&[head, offset, extra]: &[u32; SEGMENT_WORDS]) -> Segment {
        Segment { port: head & 0xffff, len: head >> 16, offset, extra }
    }

    /// Bytes of the targets.
    #[inline(always)]
    pub fn target_bytes(len: u32) -> usize {
        len as usize * 2
    }

    /// Bytes of `len` packed weights of `bits` bits.
    #[inline(always)]
    pub fn weight_bytes(len: u32, bits: u32) -> usize {
        (len as usize * bits as usize).div_ceil(8)
    }
}

/// A checked image, used in place.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    blob: &'a [u8],
    /// Seed of all random draws.
    pub seed: u64,
    /// Least delay between neurons of different cores: threads may run that long alone.
    pub least_delay: u32,
    /// Number of cores.
    pub cores: u32,
    /// Number of pieces.
    pub pieces: u32,
    /// Number of ports.
    pub ports: u32,
    /// Number of neurons, inputs included.
    pub neurons: u32,
    /// Number of the last stage.
    pub stages: u32,
    pub(crate) core_words: &'a [u32],
    pub(crate) piece_words: &'a [u32],
    pub(crate) delay_words: &'a [u32],
    pub(crate) port_words: &'a [u32],
    pub(crate) rows: &'a [u32],
    pub(crate) segments: &'a [u32],
    pub(crate) data: &'a [u8],
    pub(crate) plastic: &'a [u8],
    pub(crate) params: &'a [i32],
    pub(crate) fanout: &'a [u32],
    pub(crate) rule_words: &'a [u32],
    pub(crate) phases: &'a [u32],
    pub(crate) device_words: &'a [u32],
    pub(crate) schedule: &'a [u32],
}

fn cast<T: bytemuck::Pod>(bytes: &[u8], section: Section) -> Result<&[T], ImageError> {
    bytemuck::try_cast_slice(bytes).map_err(|_| ImageError::Section { section: section as u32 })
}

/// The checksum of an image: FNV-1a over its little-endian 32-bit words, the checksum's own eight bytes
/// left out.
pub fn checksum(blob: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (i, chunk) in blob.chunks(4).enumerate() {
        if i == 6 || i == 7 {
            continue;
        }
        let mut bytes = [0u8; 4];
        for (b, c) in bytes.iter_mut().zip(chunk) {
            *b = *c;
        }
        hash = (hash ^ u64::from(u32::from_le_bytes(bytes))).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash
}

impl<'a> Image<'a> {
    /// Checks a blob once, so that everything that a machine reads from it later is in range.
    ///
    /// # Errors
    /// [`ImageError`] says what is wrong and where.
    pub fn check(blob: &'a [u8]) -> Result<Image<'a>, ImageError> {
        let found = blob.len() as u64;
        if blob.len() < HEADER {
            return Err(ImageError::Truncated { expected: HEADER as u64, found });
        }
        if blob.get(..8) != Some(&MAGIC[..]) {
            return Err(ImageError::Magic);
        }
        let version = le_u32(blob, 8);
        if version != VERSION {
            return Err(ImageError::Version { found: version });
        }
        let expected = le_u64(blob, 16);
        if expected > found || expected < (HEADER + 16 * SECTIONS) as u64 {
            return Err(ImageError::Truncated { expected, found });
        }
        let blob = blob.get(..expected as usize).unwrap_or(&[]);
        if checksum(blob) != le_u64(blob, 24) {
            return Err(ImageError::Checksum);
        }
        if blob.as_ptr().align_offset(4) != 0 {
            return Err(ImageError::Misaligned);
        }
        if le_u32(blob, 12) as usize != SECTIONS {
            return Err(ImageError::Section { section: SECTIONS as u32 });
        }
        let section = |s: Section| -> Result<&'a [u8], ImageError> {
            let bad = ImageError::Section { section: s as u32 };
            let at = HEADER + 16 * s as usize;
            let (offset, len) = (le_u64(blob, at), le_u64(blob, at + 8));
            let end = offset.checked_add(len).ok_or(bad)?;
            if offset % ALIGN as u64 != 0 || end > blob.len() as u64 {
                return Err(bad);
            }
            blob.get(offset as usize..end as usize).ok_or(bad)
        };
        let core_words = cast::<u32>(section(Section::Cores)?, Section::Cores)?;
        let piece_words = cast::<u32>(section(Section::Pieces)?, Section::Pieces)?;
        let image = Image {
            blob,
            seed: le_u64(blob, 32),
            least_delay: le_u32(blob, 40),
            cores: (core_words.len() / CORE_WORDS) as u32,
            pieces: (piece_words.len() / PIECE_WORDS) as u32,
            ports: (section(Section::Ports)?.len() / (4 * PORT_WORDS)) as u32,
            neurons: 0,
            stages: 0,
            core_words,
            piece_words,
            delay_words: cast(section(Section::Delays)?, Section::Delays)?,
            port_words: cast(section(Section::Ports)?, Section::Ports)?,
            rows: cast(section(Section::Rows)?, Section::Rows)?,
            segments: cast(section(Section::Segments)?, Section::Segments)?,
            data: section(Section::Data)?,
            plastic: section(Section::Plastic)?,
            params: cast(section(Section::Params)?, Section::Params)?,
            fanout: cast(section(Section::Fanout)?, Section::Fanout)?,
            rule_words: cast(section(Section::Rules)?, Section::Rules)?,
            phases: cast(section(Section::Phases)?, Section::Phases)?,
            device_words: cast(section(Section::Devices)?, Section::Devices)?,
            schedule: cast(section(Section::Schedule)?, Section::Schedule)?,
        };
        crate::check::records(image)
    }

    /// The bytes of the whole image.
    pub fn bytes(&self) -> &'a [u8] {
        self.blob
    }

    /// The bytes of a section.
    pub fn section(&self, s: Section) -> &'a [u8] {
        let at = HEADER + 16 * s as usize;
        let (offset, len) = (le_u64(self.blob, at) as usize, le_u64(self.blob, at + 8) as usize);
        self.blob.get(offset..offset.saturating_add(len)).unwrap_or(&[])
    }

    /// Core record `i`.
    pub fn core(&self, i: u32) -> Option<Core> {
        let r = record(self.core_words, i, CORE_WORDS)?;
        Some(Core {
            first_piece: word(r, 0),
            pieces: word(r, 1),
            plastic_first: word(r, 2),
            plastic_len: word(r, 3),
        })
    }

    /// Piece record `i`.
    #[inline]
    pub fn piece(&self, i: u32) -> Option<Piece> {
        let r = record(self.piece_words, i, PIECE_WORDS)?;
        let param = |at: usize| Param { value: word(r, at) as i32, array: word(r, at + 1) };
        Some(Piece {
            kind: match word(r, 0) {
                0 => Kind::Input,
                1 => Kind::Lif,
                2 => Kind::Binary,
                _ => return None,
            },
            core: word(r, 1),
            first: word(r, 2),
            count: word(r, 3),
            stage: word(r, 4),
            flags: word(r, 5),
            groups: word(r, 6),
            payload_max: word(r, 7),
            delay_first: word(r, 8),
            delay_count: word(r, 9),
            delay_max: word(r, 10),
            population: word(r, 11),
            population_first: word(r, 12),
            reset: match word(r, 13) {
                0 => Reset::None,
                1 => Reset::Value,
                2 => Reset::Subtract,
                3 => Reset::ValueNext,
                4 => Reset::SubtractNext,
                5 => Reset::SubtractAgain,
                _ => return None,
            },
            order: match word(r, 14) {
                0 => CurrentOrder::New,
                1 => CurrentOrder::Old,
                2 => CurrentOrder::JumpThenDecay,
                3 => CurrentOrder::JumpDecayed,
                _ => return None,
            },
            input_shift: word(r, 15),
            refractory: word(r, 16),
            v_min: word(r, 17) as i32,
            v_max: word(r, 18) as i32,
            adapt_add: word(r, 19) as i32,
            adapt_decay: word(r, 20),
            gain: word(r, 21) as i32,
            gain_shift: word(r, 22),
            grain: word(r, 23) as i32,
            threshold: param(24),
            bias: param(26),
            decay: param(28),
            current_decay: param(30),
            reset_value: param(32),
            initial: param(34),
            floor: word(r, 36) as i32,
            floor_value: word(r, 37) as i32,
        })
    }

    /// First delay class of piece `i`, and how many it has.
    #[inline]
    pub(crate) fn classes_of(&self, i: u32) -> Option<(u32, u32)> {
        let r = record(self.piece_words, i, PIECE_WORDS)?;
        Some((word(r, 8), word(r, 9)))
    }

    /// Delay-class record `i`.
    #[inline]
    pub fn delay_class(&self, i: u32) -> Option<DelayClass> {
        let r = record(self.delay_words, i, DELAY_WORDS)?;
        Some(DelayClass {
            delay: word(r, 0) & ((1 << DELAY_BITS) - 1),
            first_port: word(r, 1),
            ports: word(r, 2),
            rows: word(r, 3),
            stride: (word(r, 0) >> DELAY_BITS) + 1,
        })
    }

    /// Port record `i`.
    #[inline]
    pub fn port(&self, i: u32) -> Option<Port> {
        let r = record(self.port_words, i, PORT_WORDS)?;
        Some(Port {
            store: match word(r, 0) {
                0 => Store::Dense,
                1 => Store::Bits,
                2 => Store::Identity,
                3 => Store::Sparse,
                4 => Store::Crossbar,
                _ => return None,
            },
            source: word(r, 1),
            target: word(r, 2),
            group: word(r, 3),
            bits: word(r, 4),
            weight: word(r, 5) as i32,
            stride: word(r, 6),
            offset: word(r, 7),
            nonzero: word(r, 8),
            rule: word(r, 9),
            projection: word(r, 10),
            device: word(r, 11),
            row_bound: word(r, 12),
            delay: word(r, 13),
        })
    }

    /// Where the synapses of port `i` go.
    #[inline]
    pub(crate) fn landing(&self, i: u32) -> Option<Landing> {
        let port = record(self.port_words, i, PORT_WORDS)?;
        let piece = record(self.piece_words, word(port, 2), PIECE_WORDS)?;
        Some(Landing {
            piece: word(port, 2),
            count: word(piece, 3),
            flags: word(piece, 5),
            group: word(port, 3),
            bits: word(port, 4),
            weight: word(port, 5) as i32,
            rule: word(port, 9),
        })
    }

    /// Row segments of neuron `local` (in its piece) in a delay class: first and end index.
    #[inline(always)]
    pub fn row(&self, class: &DelayClass, local: u32) -> (u32, u32) {
        let at = class.place(local);
        (word(self.rows, at), word(self.rows, at.wrapping_add(1)))
    }

    /// The data in units of two bytes, but for a byte at an odd end.
    #[inline]
    pub(crate) fn halves(&self) -> &'a [u16] {
        bytemuck::try_cast_slice(crate::words::bytes_at(self.data, 0, self.data.len() & !1)).unwrap_or(&[])
    }

    /// Words of rule `i`.
    pub fn rule_words(&self, i: u32) -> Option<&'a [u32]> {
        if i >= self.rule_count() {
            return None;
        }
        let at = 1 + 2 * i as usize;
        let (first, len) = (word(self.rule_words, at) as usize, word(self.rule_words, at + 1) as usize);
        self.rule_words.get(first..first.checked_add(len)?)
    }

    /// Number of rules.
    pub fn rule_count(&self) -> u32 {
        self.rule_words.first().copied().unwrap_or(0)
    }

    /// Number of phases that the image knows; 0: all input groups always count.
    pub fn phase_count(&self) -> u32 {
        self.phases.len().checked_div(self.pieces as usize).unwrap_or(0) as u32
    }

    /// Entry `i` of the schedule.
    pub fn entry(&self, i: u32) -> Option<Entry> {
        let r = record(self.schedule, i, ENTRY_WORDS)?;
        Some(Entry { program: word(r, 0), phase: word(r, 1), ticks: word(r, 2), options: word(r, 3) })
    }

    /// The `u64` words that a machine with the given cores needs, and what they are for.
    pub fn memory(&self, cores: core::ops::Range<u32>) -> crate::arena::Plan {
        crate::arena::Plan::new(self, cores)
    }
}

fn record(words: &[u32], i: u32, len: usize) -> Option<&[u32]> {
    let at = (i as usize).checked_mul(len)?;
    words.get(at..at.checked_add(len)?)
}

/// Length rounded up to the sections' alignment.
pub fn padded(len: usize) -> usize {
    align_up(len, ALIGN)
}
