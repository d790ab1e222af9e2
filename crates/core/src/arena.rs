//! The memory of a machine: one block that the caller lends, split by a plan that follows from the image.

use crate::counters::COUNTS;
use crate::image::{Image, Kind, NONE, Piece, Port, flag};
use crate::neuron::BLOCK;
use core::ops::Range;

/// Words of the run-time record of a piece.
pub(crate) const RUN_WORDS: usize = 16;

/// Fields of the run-time record.
pub(crate) mod run {
    /// First `i32` of its state, or NONE where the machine does not have it.
    pub(crate) const STATE: usize = 0;
    /// First word of its active bits.
    pub(crate) const ACTIVE: usize = 1;
    /// First event of its ring.
    pub(crate) const EVENTS: usize = 2;
    /// Slots of its ring.
    pub(crate) const SLOTS: usize = 3;
    /// First of its slots' event counts.
    pub(crate) const LENGTHS: usize = 4;
    /// Whether all its neurons must be updated in this tick.
    pub(crate) const ALL: usize = 5;
    /// How many neurons are not at rest.
    pub(crate) const AWAKE: usize = 6;
    /// Synaptic events that reached it in this tick.
    pub(crate) const ARRIVED: usize = 7;
    /// Input groups that count.
    pub(crate) const MASK: usize = 8;
    /// Bit 0: 32-bit arithmetic is exact for it. Above, where all its sparse synapses add to the same sums: one of
    /// their ports, plus one.
    pub(crate) const FACTS: usize = 9;
    /// Whether weights changed under sums that persist.
    pub(crate) const STALE: usize = 10;
    /// First entry of its stage's order, for sequential pieces.
    pub(crate) const ORDER: usize = 11;
    /// Destination cores of each of its neurons, or NONE where they differ.
    pub(crate) const FANOUT: usize = 12;
    /// The first port to it whose rows are counted when somebody asks, or NONE; `port_next` has the others.
    pub(crate) const COUNTED: usize = 13;
    /// Which segments of its rows may be hosted: the first, and the end in the upper half.
    pub(crate) const ROUNDS: usize = 14;
    /// For an input piece whose counts were added at once: the lower 31 bits of the tick, plus one.
    pub(crate) const DRIVEN: usize = 15;
}

/// Neurons from which on the parts of a piece's state begin with a cache line each, so that no vector of it stands in two.
const LINED: usize = 256;
/// Words of a cache line.
const LINE: usize = crate::image::ALIGN / 4;

/// Words from one part of the state of `count` neurons to the next.
#[inline(always)]
pub(crate) fn stride(count: u32) -> usize {
    let count = count as usize;
    if count >= LINED { count.next_multiple_of(LINE) } else { count }
}

/// Whether a machine has the state of a piece: all machines that run an image side by side know the values that inputs hold,
/// as what these send is how they change.
pub(crate) fn has_state(piece: &Piece, hosted: bool) -> bool {
    hosted || piece.kind == Kind::Input && piece.holds()
}

/// Where the state of a piece stands, of which others end at `end`.
pub(crate) fn state_of(piece: &Piece, end: usize) -> Range<usize> {
    let lined = piece.count as usize >= LINED;
    let first = if lined { end.checked_next_multiple_of(LINE).unwrap_or(usize::MAX) } else { end };
    first..first.saturating_add(stride(piece.count).saturating_mul(Parts::of(piece).total as usize))
}

/// Where the parts of a piece's state stand, in multiples of its [`stride`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) sums: u32,
    pub(crate) v: Option<u32>,
    pub(crate) current: Option<u32>,
    pub(crate) refractory: Option<u32>,
    pub(crate) adapt: Option<u32>,
    pub(crate) target: Option<u32>,
    pub(crate) remembered: Option<u32>,
    pub(crate) spikes: u32,
    pub(crate) total: u32,
}

impl Parts {
    pub(crate) fn of(piece: &Piece) -> Parts {
        let mut at = 0;
        let mut take = |there: bool| {
            there.then(|| {
                at += 1;
                at - 1
            })
        };
        let neurons = piece.kind != Kind::Input;
        let mut sums = 0;
        for _ in 0..piece.groups {
            sums += u32::from(take(neurons).is_some());
        }
        let lif = piece.kind == Kind::Lif;
        let v = take(neurons || piece.holds());
        let current = take(lif && piece.flags & flag::CURRENT != 0);
        let refractory = take(lif && piece.refractory != 0);
        let adapt = take(lif && piece.flags & flag::ADAPTIVE != 0);
        let target = take(piece.flags & flag::TARGET != 0);
        let mut remembered = None;
        for _ in 0..piece.groups {
            let part = take(lif && piece.flags & flag::REMEMBER != 0);
            remembered = remembered.or(part);
        }
        let spikes = take(true).unwrap_or(0);
        Parts { sums, v, current, refractory, adapt, target, remembered, spikes, total: spikes + 1 }
    }
}

/// `i32` words of learning state of a plastic port: traces before and after, and scratch.
pub(crate) fn learning_words(image: &Image<'_>, port: &Port) -> usize {
    match crate::learn::Layout::of(image, port) {
        Some(layout) => layout.words(),
        None => 0,
    }
}

/// Words of a piece's active bits, and of its touched bits behind them if it keeps any.
pub(crate) fn active_words(piece: &Piece) -> usize {
    let blocks = (piece.count as usize).div_ceil(BLOCK);
    if piece.flags & flag::TOUCHED != 0 { 2 * blocks } else { blocks }
}

/// The memory that a machine needs: `u64` words, in all and by use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Run-time records of pieces and ports.
    pub records: usize,
    /// One bit per piece: whether it may have something to do.
    pub busy: usize,
    /// Counters.
    pub counters: usize,
    /// Active bits.
    pub active: usize,
    /// Neuron state.
    pub state: usize,
    /// Rings of events.
    pub events: usize,
    /// Event counts of the rings.
    pub lengths: usize,
    /// Plastic weights.
    pub plastic: usize,
    /// Traces and scratch of plasticity.
    pub learning: usize,
    /// Logs and scratch of crossbars.
    pub arrays: usize,
    /// Orders of sequential stages.
    pub order: usize,
}

impl Plan {
    /// Words beyond [`Plan::words`] that let a machine begin the neurons' state with a cache line.
    pub const SPARE: usize = crate::image::ALIGN / 8 - 1;

    /// Computes the plan of a machine that hosts `cores`.
    pub(crate) fn new(image: &Image<'_>, cores: Range<u32>) -> Plan {
        let (mut active, mut state, mut events, mut lengths) = (0usize, 0usize, 0usize, 0usize);
        let mut order = 0usize;
        for p in 0..image.pieces {
            let Some(piece) = image.piece(p) else { continue };
            let n = piece.count as usize;
            let slots = piece.delay_max as usize + 1;
            events = events.saturating_add(n.saturating_mul(slots));
            lengths = lengths.saturating_add(slots);
            if cores.contains(&piece.core) {
                active += active_words(&piece);
                order += if piece.is_sequential() { n } else { 0 };
            }
            if has_state(&piece, cores.contains(&piece.core)) {
                state = state_of(&piece, state).end;
            }
        }
        let mut plastic = 0usize;
        for c in cores.clone() {
            plastic = plastic.saturating_add(image.core(c).map_or(0, |c| c.plastic_len as usize));
        }
        let (mut learning, mut arrays) = (0usize, 0usize);
        for i in 0..image.ports {
            let Some(port) = image.port(i) else { continue };
            let hosted = image.piece(port.target).is_some_and(|t| cores.contains(&t.core));
            if let Some(array) = image.array(port.device).filter(|_| hosted) {
                arrays = arrays.saturating_add(crate::array::kept_words(&array));
            }
            if port.rule != NONE && hosted {
                learning = learning.saturating_add(learning_words(image, &port));
            }
        }
        Plan {
            records: (image.pieces as usize * RUN_WORDS + 3 * image.ports as usize).div_ceil(2),
            busy: (image.pieces as usize).div_ceil(64),
            counters: image.pieces as usize * COUNTS,
            active,
            state: state.div_ceil(2),
            events,
            lengths: lengths.div_ceil(2),
            plastic,
            learning: learning.div_ceil(2),
            arrays,
            order,
        }
    }

    /// `u64` words in all.
    pub fn words(&self) -> usize {
        [
            self.records,
            self.busy,
            self.counters,
            self.active,
            self.state,
            self.events,
            self.lengths,
            self.plastic,
            self.learning,
            self.arrays,
            self.order,
        ]
        .iter()
        .fold(0usize, |a, b| a.saturating_add(*b))
    }

    /// Bytes in all.
    pub fn bytes(&self) -> usize {
        self.words().saturating_mul(8)
    }
}
