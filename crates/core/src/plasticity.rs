//! Plasticity is data: a rule is a short list of terms, read from the image and executed in integers.
//!
//! A term is `mantissa × 2^-shift × product of variables`; the change of a weight is the exact sum of the terms,
//! rounded **once** at the rule's common shift, added to the weight and clamped to the rule's bounds.
//!
//! | variable | side | meaning |
//! |---|---|---|
//! | `x0` | pre | payload of this tick's event, 1 for a spike, 0 without one; of a source that holds its values, the value |
//! | `x1`, `x2` | pre | traces of `x0` |
//! | `y0` | post | spikes of this tick; of a binary neuron, the state |
//! | `y1`, `y2` | post | traces of `y0` |
//! | `u` | post | state (membrane) |
//! | `s` | post | sign of the state: −1 below zero, else +1 |
//! | `t` | post | target that the host or a clamp has set |
//! | `g` | post | sum of a declared input group |
//! | `h` | post | surrogate window: 1 if \|u − centre\| < width, else 0 |
//! | `e` | post | error bit: 1 if factor × field ≤ margin, else 0 |
//! | `r` | rule | broadcast third factor, set by the host |
//! | `f` | pre | error bit of the pre neuron, where pre and post are one population |
//! | `w` | synapse | the weight before the change |
//!
//! **Order in a tick.** Traces decay, then this tick's events are added, then the rule reads: a trace contains the
//! event of its own tick. Rows are walked in the order of pre neurons; nothing that a row does changes what the next
//! row reads.
//!
//! **Several samples.** A rule of cadence [`Cadence::Samples`] may also let its weights [`Decay`], draw its error bit
//! ([`ErrorBit::width`]), and change couplings alike in both directions ([`Symmetry`]).
//!
//! **Split.** The post side of every term is computed once per target neuron ([`Columns`]), the pre side once per
//! row ([`Rule::pre_side`]), and a row ([`Row`]) multiplies the two. A row whose pre side is zero is not visited,
//! and a term whose post side is zero almost everywhere is walked by its list of columns.

mod batch;
mod columns;
mod row;
#[cfg(test)]
mod tests;

pub use batch::{
    MAX_SAMPLES, Posts, SampleBits, Symmetry, TILE, TileChange, TileTally, agreement, change_tile,
    with_sample,
};
pub use columns::{Columns, Marks, Post};
pub use row::{Moment, Row, Shape, Synapses, Tally, Targets, Weights};

/// Most terms of a rule.
pub const MAX_TERMS: usize = 8;
/// Number of image words before the terms.
pub const HEADER_WORDS: usize = 19;
/// Words of one term.
pub const TERM_WORDS: usize = 2;
/// First word of an encoded rule without its counts: format version 1.
pub const VERSION: u32 = 1;
/// Largest shift of a term.
pub const MAX_SHIFT: u32 = 40;
/// Largest exponent of a variable other than `w` in a term.
pub const MAX_POWER: u32 = 3;
/// Largest exponent of `w` in a term.
pub const MAX_WEIGHT_POWER: u32 = 2;
/// Largest magnitude of a trace.
pub const MAX_TRACE: u32 = 32_767;
/// A decay of one (no decay) in Q15.
pub const Q15_ONE: u32 = 1 << 15;
/// Largest magnitude of the pre side of a term.
const MAX_FACTOR: i64 = 1 << 55;

/// A local variable of a rule; the discriminant is its position in a term's exponents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
#[allow(missing_docs)] // the table of the module says what each is
pub enum Variable {
    X0 = 0,
    X1 = 1,
    X2 = 2,
    Y0 = 3,
    Y1 = 4,
    Y2 = 5,
    U = 6,
    S = 7,
    T = 8,
    G = 9,
    H = 10,
    E = 11,
    R = 12,
    W = 13,
    F = 14,
}

impl Variable {
    /// All variables, in the order of their positions.
    pub const ALL: [Self; 15] = [
        Self::X0,
        Self::X1,
        Self::X2,
        Self::Y0,
        Self::Y1,
        Self::Y2,
        Self::U,
        Self::S,
        Self::T,
        Self::G,
        Self::H,
        Self::E,
        Self::R,
        Self::W,
        Self::F,
    ];

    /// The name in a rule's text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X0 => "x0",
            Self::X1 => "x1",
            Self::X2 => "x2",
            Self::Y0 => "y0",
            Self::Y1 => "y1",
            Self::Y2 => "y2",
            Self::U => "u",
            Self::S => "s",
            Self::T => "t",
            Self::G => "g",
            Self::H => "h",
            Self::E => "e",
            Self::R => "r",
            Self::W => "w",
            Self::F => "f",
        }
    }
}

/// The exponents of a term: two bits per variable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exponents(pub u32);

impl Exponents {
    /// The power of `variable`, 0 to 3.
    #[must_use]
    pub const fn of(self, variable: Variable) -> u32 {
        (self.0 >> (2 * variable as u32)) & 3
    }

    /// The same with one more factor of `variable`, or `None` if its power would exceed the limit.
    #[must_use]
    pub const fn times(self, variable: Variable) -> Option<Self> {
        let limit = if matches!(variable, Variable::W) { MAX_WEIGHT_POWER } else { MAX_POWER };
        if self.of(variable) >= limit { None } else { Some(Self(self.0 + (1 << (2 * variable as u32)))) }
    }
}

/// When a rule is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cadence {
    /// After every tick.
    Tick,
    /// After every `k`-th tick, k ≥ 1: the first time at tick k − 1 when ticks count from 0.
    Every(u32),
    /// Once, when the host says that a sample has ended.
    Sample,
    /// Once per `k` samples, 1 ≤ k ≤ [`MAX_SAMPLES`]: their changes are summed with the weights as they are, then
    /// rounded and clamped once. For rules of one term with `x0` and no more than `e`, `s`, `t`, `y0`, of which
    /// the signs count; and for those that [`Symmetry`] names.
    Samples(u32),
}

impl Cadence {
    /// Whether the rule is due after the tick with this number (counted from 0).
    #[must_use]
    pub fn due(self, tick: u64) -> bool {
        match self {
            Self::Tick => true,
            Self::Every(k) => tick.wrapping_add(1).checked_rem(u64::from(k)) == Some(0),
            Self::Sample | Self::Samples(_) => false,
        }
    }
}

/// How the exact change becomes an integer. All are symmetric: −dw becomes minus what dw becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest integer, ties away from zero.
    Nearest,
    /// The magnitude goes up with the probability of its fraction: one draw per change with a fraction.
    Stochastic,
    /// To the nearest integer; a change that is not zero then happens with this probability out of 65,536, whole or
    /// not at all: one draw per candidate (probability pulses).
    Gate(u16),
}

/// What an event does to its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceMode {
    /// The increment is added.
    Add,
    /// The trace is set to the increment.
    Set,
    /// Not an event but the open window `h` of a tick adds the increment: post traces only.
    Window,
}

/// A decaying memory of events, an integer of magnitude at most `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Factor per tick in Q15, 0 to 32,768 (no decay); the product is rounded toward zero.
    pub decay: u32,
    /// Change per unit of event payload.
    pub increment: i16,
    /// Saturation magnitude, 1 to 32,767.
    pub max: u16,
    /// Whether an event adds or sets.
    pub mode: TraceMode,
}

impl Trace {
    /// The value one tick later, before that tick's event.
    #[must_use]
    pub fn decayed(&self, value: i32) -> i32 {
        let product = i64::from(value) * i64::from(self.decay);
        clamp_i32(product / i64::from(Q15_ONE))
    }

    /// The value `ticks` ticks later without an event: exactly [`decayed`](Self::decayed) that many times.
    #[must_use]
    pub fn decayed_by(&self, value: i32, ticks: u64) -> i32 {
        let mut value = value;
        if self.decay >= Q15_ONE {
            return value;
        }
        for _ in 0..ticks {
            if value == 0 {
                break;
            }
            value = self.decayed(value);
        }
        value
    }

    /// The value after an event of this payload, and whether it saturated. A payload of 0 is no event.
    #[must_use]
    pub fn after_event(&self, value: i32, payload: i32) -> (i32, bool) {
        if payload == 0 {
            return (value, false);
        }
        let step = i64::from(self.increment) * i64::from(payload);
        let sum = if self.mode == TraceMode::Set { step } else { i64::from(value) + step };
        let limit = i64::from(self.max);
        let kept = sum.clamp(-limit, limit);
        (clamp_i32(kept), kept != sum)
    }
}

/// The factor before the field of an error bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorFactor {
    /// The field as it is.
    One,
    /// The sign of the post state.
    Sign,
    /// The target.
    Target,
}

/// What an error bit compares: a sum of input groups of the post neuron, and its state if so declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Bit i (0 to 3): the sum of input group i belongs to the field.
    pub groups: u8,
    /// The state belongs to the field.
    pub state: bool,
}

/// The declared error bit `e = (factor × field ≤ margin)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorBit {
    /// Factor before the field.
    pub factor: ErrorFactor,
    /// Field.
    pub field: Field,
    /// Margin, in the unit of the field.
    pub margin: i32,
    /// 0, or the width of a logistic gate, below 2^20: then the bit is drawn, and 1 with probability
    /// `1 − σ((factor × field − margin) / width)`, by a table: constant within an eighth of the width, and certain
    /// beyond eight widths.
    pub width: u32,
}

impl ErrorBit {
    /// Whether the bit is 1, where `signed` is factor × field; `draw` gives a random word, and is asked only if it
    /// matters.
    #[inline(always)]
    pub fn is_one(&self, signed: i64, draw: impl FnOnce() -> u32) -> bool {
        let distance = signed.saturating_sub(i64::from(self.margin));
        let is_below = distance <= 0;
        let steps = distance.unsigned_abs().saturating_mul(GATE_STEPS);
        match steps.checked_div(u64::from(self.width)).and_then(|k| GATE.get(usize::try_from(k).ok()?)) {
            None => is_below,
            Some(p) => draw() >> 16 < if is_below { 65_536 - u32::from(*p) } else { u32::from(*p) },
        }
    }
}

/// Steps of the logistic gate per width.
const GATE_STEPS: u64 = 8;
/// `65,536 · (1 − σ(z))` at `z = (k + ½) / 8`.
const GATE: [u16; 64] = [
    31_744, 29_705, 27_689, 25_712, 23_788, 21_928, 20_143, 18_442, 16_832, 15_316, 13_898, 12_579, 11_357,
    10_230, 9197, 8252, 7392, 6611, 5904, 5266, 4692, 4176, 3713, 3298, 2928, 2598, 2303, 2041, 1808, 1601,
    1417, 1253, 1109, 980, 867, 766, 677, 598, 528, 467, 412, 364, 321, 284, 251, 221, 195, 172, 152, 134,
    119, 105, 92, 82, 72, 64, 56, 50, 44, 39, 34, 30, 27, 23,
];

/// Weights that shrink with time: every so many samples each loses a share of its magnitude, rounded by a draw
/// (to nearest, small weights would never move).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decay {
    /// What is lost, in parts of 65,536: at least 1.
    pub share: u16,
    /// After how many samples; at least those of the rule's cadence.
    pub every: u32,
}

impl Decay {
    /// The magnitude after one decay, by the upper 16 bits of a random word.
    #[must_use]
    #[inline(always)]
    pub fn after(&self, magnitude: u32, draw: u32) -> u32 {
        let lost = (u64::from(magnitude) * u64::from(self.share) + u64::from(draw >> 16)) >> 16;
        magnitude.saturating_sub(lost as u32)
    }

    /// Whether the weights decay after `samples` samples, of which the last `last` were learnt at once.
    #[must_use]
    pub fn is_due(&self, samples: u64, last: u64) -> bool {
        let turns = |n: u64| n.checked_div(u64::from(self.every));
        turns(samples) != turns(samples.saturating_sub(last))
    }
}

/// The centre of a surrogate window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Centre {
    /// The post neuron's own threshold.
    Threshold,
    /// A constant, in state units.
    At(i32),
}

/// The declared window `h = (|u − centre| < width)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Centre.
    pub centre: Centre,
    /// Width, in state units.
    pub width: u32,
}

/// One term: `mantissa × 2^-shift × Π variables`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Term {
    /// Mantissa; zero only in unused places.
    pub mantissa: i16,
    /// Shift, 0 to [`MAX_SHIFT`].
    pub shift: u8,
    /// Powers of the variables.
    pub exponents: Exponents,
}

/// Why words are not a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// Fewer or more words than the counts in the first word ask for.
    Length {
        /// Words needed.
        expected: usize,
        /// Words found.
        found: usize,
    },
    /// The word at this position has a value that no rule has.
    Word(usize),
    /// The rule uses a variable that it does not declare.
    Undeclared(Variable),
    /// A rule over several samples has terms, traces, or variables that it cannot have; or another rule has what only
    /// those may have.
    Samples,
}

impl core::fmt::Display for RuleError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Length { expected, found } => write!(f, "a rule of {expected} words has {found}"),
            Self::Word(at) => {
                write!(f, "word {at} of the rule has no meaning; was the image written by another version?")
            }
            Self::Undeclared(variable) => write!(f, "the rule uses {} without declaring it", variable.name()),
            Self::Samples => write!(
                f,
                "a rule over several samples has no traces and one term with x0 and no more than e, s, t, y0; or \
                 x0*y0*e*f, or x0*y0*e + x0*y0*f with one coefficient. Only it has f, a soft error bit and a decay"
            ),
        }
    }
}

impl core::error::Error for RuleError {}

/// A rule, decoded and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    cadence: Cadence,
    rounding: Rounding,
    min: i32,
    max: i32,
    traces: [Option<Trace>; 4],
    error: Option<ErrorBit>,
    window: Option<Window>,
    group: Option<u8>,
    decay: Option<Decay>,
    symmetry: Symmetry,
    terms: [Term; MAX_TERMS],
    count: usize,
    shift: u32,
    used: u32,
}

/// Reads words one by one and remembers where it is.
struct Words<'a> {
    words: core::slice::Iter<'a, u32>,
    at: usize,
}

impl Words<'_> {
    fn next(&mut self) -> Result<u32, RuleError> {
        let word = *self.words.next().ok_or(RuleError::Word(self.at))?;
        self.at += 1;
        Ok(word)
    }

    /// The error that names the word read last.
    fn bad(&self) -> RuleError {
        RuleError::Word(self.at.saturating_sub(1))
    }

    fn require(&self, condition: bool) -> Result<(), RuleError> {
        if condition { Ok(()) } else { Err(self.bad()) }
    }
}

const DECLARED: u32 = 1 << 31;
const FLAG: u32 = 1 << 30;
/// Of the first word: two words about decay follow the terms.
const DECAYS: u32 = 1 << 31;
/// Of the first word of an error bit: where its width stands, in 20 bits.
const WIDTH_SHIFT: u32 = 10;
const WINDOWED: u32 = 1 << 29;

impl Rule {
    /// Reads a rule from its image words.
    ///
    /// Words: 0 version | terms << 8 | rounding << 16 | cadence << 24 | decays << 31; 1 cadence interval; 2 gate probability;
    /// 3 and 4 weight bounds; 5–12 four traces (x1, x2, y1, y2), each a word decay | windowed << 29 | set << 30 | declared << 31 and
    /// a word increment | max << 16; 13 and 14 error bit (group bits 0–3, state bit 4, factor << 8, width << 10, declared << 31;
    /// margin); 15–17 window (threshold << 30, declared << 31; width; centre); 18 group of `g` (declared << 31);
    /// then per term exponents and mantissa | shift << 16; then, if it decays, the share and the samples.
    ///
    /// # Errors
    /// If the words are not exactly one rule.
    pub fn decode(words: &[u32]) -> Result<Self, RuleError> {
        let mut reader = Words { words: words.iter(), at: 0 };
        let head = reader.next()?;
        reader.require(head & 0xff == VERSION)?;
        let count = ((head >> 8) & 0xff) as usize;
        reader.require(count <= MAX_TERMS)?;
        let decays = head & DECAYS != 0;
        let expected = HEADER_WORDS + TERM_WORDS * count + if decays { 2 } else { 0 };
        if words.len() != expected {
            return Err(RuleError::Length { expected, found: words.len() });
        }
        let (rounding, cadence) = ((head >> 16) & 0xff, (head & !DECAYS) >> 24);
        reader.require(rounding <= 2 && cadence <= 3)?;
        let interval = reader.next()?;
        let cadence = match cadence {
            0 => Cadence::Tick,
            1 => Cadence::Every(interval),
            2 => Cadence::Sample,
            _ => Cadence::Samples(interval),
        };
        reader.require(match cadence {
            Cadence::Every(k) => k > 0,
            Cadence::Samples(k) => k > 0 && k <= MAX_SAMPLES,
            Cadence::Tick | Cadence::Sample => interval == 0,
        })?;
        let gate = reader.next()?;
        let probability = u16::try_from(gate).map_err(|_| reader.bad())?;
        reader.require(rounding == 2 || gate == 0)?;
        let rounding = match rounding {
            0 => Rounding::Nearest,
            1 => Rounding::Stochastic,
            _ => Rounding::Gate(probability),
        };
        let min = reader.next()? as i32;
        let max = reader.next()? as i32;
        reader.require(min <= max && min >= -32_768 && max <= 32_767)?;
        let traces = [trace(&mut reader)?, trace(&mut reader)?, trace(&mut reader)?, trace(&mut reader)?];
        let error = error_bit(&mut reader)?;
        let window = window(&mut reader)?;
        let group = group(&mut reader)?;
        let mut terms = [Term::default(); MAX_TERMS];
        for term in terms.iter_mut().take(count) {
            *term = read_term(&mut reader)?;
        }
        let decay = if decays { Some(read_decay(&mut reader)?) } else { None };
        let mut rule = Self {
            cadence,
            rounding,
            min,
            max,
            traces,
            error,
            window,
            group,
            decay,
            symmetry: Symmetry::None,
            terms,
            count,
            shift: 0,
            used: 0,
        };
        for term in terms.iter().take(count) {
            rule.shift = rule.shift.max(u32::from(term.shift));
            rule.used |= term.exponents.0;
        }
        rule.check_declared()?;
        let soft = error.is_some_and(|e| e.width != 0);
        if let Cadence::Samples(k) = cadence {
            let timely = decay.is_none_or(|d| d.every >= k);
            let symmetry =
                Symmetry::of(rule.terms()).filter(|_| timely && traces.iter().all(Option::is_none));
            rule.symmetry = symmetry.ok_or(RuleError::Samples)?;
        } else if soft || decays || rule.uses(Variable::F) {
            return Err(RuleError::Samples);
        }
        Ok(rule)
    }

    /// Whether the rule in these words has anything to do at the end of a tick: a cadence in ticks, or traces.
    #[must_use]
    pub fn acts_in_ticks(words: &[u32]) -> bool {
        let traced =
            words.get(5..13).is_some_and(|traces| traces.iter().step_by(2).any(|t| t & DECLARED != 0));
        traced || words.first().is_some_and(|head| (head & !DECAYS) >> 24 <= 1)
    }

    fn check_declared(&self) -> Result<(), RuleError> {
        let [x1, x2, y1, y2] = self.traces.map(|trace| trace.is_some());
        let declared = [
            (Variable::X1, x1),
            (Variable::X2, x2),
            (Variable::Y1, y1),
            (Variable::Y2, y2),
            (Variable::E, self.error.is_some()),
            (Variable::F, self.error.is_some()),
            (Variable::H, self.window.is_some()),
            (Variable::G, self.group.is_some()),
        ];
        let windowed = |trace: &Option<Trace>| trace.is_some_and(|t| t.mode == TraceMode::Window);
        let [pre1, pre2, post1, post2] = &self.traces;
        if windowed(pre1) || windowed(pre2) {
            return Err(RuleError::Undeclared(Variable::X1));
        }
        if (windowed(post1) || windowed(post2)) && self.window.is_none() {
            return Err(RuleError::Undeclared(Variable::H));
        }
        for (variable, is_declared) in declared {
            if self.uses(variable) && !is_declared {
                return Err(RuleError::Undeclared(variable));
            }
        }
        Ok(())
    }

    /// When the rule is applied.
    #[must_use]
    pub fn cadence(&self) -> Cadence {
        self.cadence
    }

    /// How changes are rounded.
    #[must_use]
    pub fn rounding(&self) -> Rounding {
        self.rounding
    }

    /// The least and the greatest weight that the rule writes; never beyond 16 bits.
    #[must_use]
    pub fn bounds(&self) -> (i32, i32) {
        (self.min, self.max)
    }

    /// The traces of the pre neurons, `x1` and `x2`, where declared.
    #[must_use]
    pub fn pre_traces(&self) -> [Option<Trace>; 2] {
        let [x1, x2, _, _] = self.traces;
        [x1, x2]
    }

    /// The traces of the post neurons, `y1` and `y2`, where declared.
    #[must_use]
    pub fn post_traces(&self) -> [Option<Trace>; 2] {
        let [_, _, y1, y2] = self.traces;
        [y1, y2]
    }

    /// The declared error bit.
    #[must_use]
    pub fn error_bit(&self) -> Option<ErrorBit> {
        self.error
    }

    /// The declared surrogate window.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        self.window
    }

    /// The input group that `g` reads.
    #[must_use]
    pub fn group(&self) -> Option<u8> {
        self.group
    }

    /// How the weights shrink, if they do.
    #[must_use]
    pub fn decay(&self) -> Option<Decay> {
        self.decay
    }

    /// How changes of the two couplings between a pair of neurons depend on each other.
    #[must_use]
    pub fn symmetry(&self) -> Symmetry {
        self.symmetry
    }

    /// The terms.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        self.terms.get(..self.count).unwrap_or(&[])
    }

    /// The shift at which the sum of the terms is rounded.
    #[must_use]
    pub fn shift(&self) -> u32 {
        self.shift
    }

    /// Whether any term contains `variable`.
    #[must_use]
    pub fn uses(&self, variable: Variable) -> bool {
        Exponents(self.used).of(variable) > 0
    }

    /// Whether every term contains `variable`: then a row, a column or an update in which it is zero is idle.
    #[must_use]
    pub fn needs(&self, variable: Variable) -> bool {
        self.terms().iter().all(|term| term.exponents.of(variable) > 0)
    }

    /// Whether the rule reads sums of input groups (for `g` or `e`).
    #[must_use]
    pub fn reads_groups(&self) -> bool {
        let errors = self.uses(Variable::E) || self.uses(Variable::F);
        self.uses(Variable::G) || self.error.is_some_and(|e| errors && e.field.groups != 0)
    }

    /// The pre side of every term: `mantissa × 2^(common shift − shift) × x0^… x1^… x2^… r^…`.
    /// `pre` is (`x0`, `x1`, `x2`) of the row's neuron, `third` is `r`.
    #[must_use]
    pub fn pre_side(&self, pre: [i32; 3], third: i32) -> PreSide {
        let [x0, x1, x2] = pre;
        let values = [(Variable::X0, x0), (Variable::X1, x1), (Variable::X2, x2), (Variable::R, third)];
        let mut side = PreSide { factors: [0; MAX_TERMS], saturations: 0 };
        for (factor, term) in side.factors.iter_mut().zip(self.terms()) {
            let mut product = i64::from(term.mantissa) << (self.shift - u32::from(term.shift));
            for (variable, value) in values {
                for _ in 0..term.exponents.of(variable) {
                    product = product.saturating_mul(i64::from(value));
                }
            }
            *factor = product.clamp(-MAX_FACTOR, MAX_FACTOR);
            side.saturations += u32::from(*factor != product);
        }
        side
    }
}

/// The pre side of a row: one factor per term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreSide {
    factors: [i64; MAX_TERMS],
    /// Factors that left ±2^55 and were clamped.
    pub saturations: u32,
}

impl PreSide {
    /// Whether no term can change a weight of this row.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.factors.iter().all(|&factor| factor == 0)
    }
}

fn trace(reader: &mut Words<'_>) -> Result<Option<Trace>, RuleError> {
    let head = reader.next()?;
    let decay = head & !(DECLARED | FLAG | WINDOWED);
    let declared = head & DECLARED != 0;
    reader.require(decay <= Q15_ONE && (declared || head == 0))?;
    let body = reader.next()?;
    let (low, high) = split(body);
    if !declared {
        reader.require(body == 0)?;
        return Ok(None);
    }
    reader.require(high >= 1 && u32::from(high) <= MAX_TRACE)?;
    reader.require(head & (FLAG | WINDOWED) != FLAG | WINDOWED)?;
    let mode = match head & (FLAG | WINDOWED) {
        FLAG => TraceMode::Set,
        WINDOWED => TraceMode::Window,
        _ => TraceMode::Add,
    };
    Ok(Some(Trace { decay, increment: low as i16, max: high, mode }))
}

fn error_bit(reader: &mut Words<'_>) -> Result<Option<ErrorBit>, RuleError> {
    let head = reader.next()?;
    let declared = head & DECLARED != 0;
    let factor = match (head >> 8) & 3 {
        0 => ErrorFactor::One,
        1 => ErrorFactor::Sign,
        2 => ErrorFactor::Target,
        _ => return Err(reader.bad()),
    };
    reader.require(
        head & !(DECLARED | 0xf_ffff << WIDTH_SHIFT | 0x31f) == 0
            && (declared == (head & 0x1f != 0))
            && (declared || head == 0),
    )?;
    let [groups, ..] = (head & 15).to_le_bytes();
    let margin = reader.next()?;
    reader.require(declared || margin == 0)?;
    let field = Field { groups, state: head & 16 != 0 };
    let width = (head & !DECLARED) >> WIDTH_SHIFT;
    Ok(declared.then_some(ErrorBit { factor, field, margin: margin as i32, width }))
}

fn window(reader: &mut Words<'_>) -> Result<Option<Window>, RuleError> {
    let head = reader.next()?;
    let declared = head & DECLARED != 0;
    let at_threshold = head & FLAG != 0;
    reader.require(head & !(DECLARED | FLAG) == 0 && (declared || !at_threshold))?;
    let width = reader.next()?;
    reader.require(declared || width == 0)?;
    let centre = reader.next()?;
    reader.require((declared && !at_threshold) || centre == 0)?;
    let centre = if at_threshold { Centre::Threshold } else { Centre::At(centre as i32) };
    Ok(declared.then_some(Window { centre, width }))
}

fn group(reader: &mut Words<'_>) -> Result<Option<u8>, RuleError> {
    let head = reader.next()?;
    let declared = head & DECLARED != 0;
    let [index, ..] = head.to_le_bytes();
    reader.require(head & !(DECLARED | 3) == 0 && (declared || head == 0))?;
    Ok(declared.then_some(index))
}

fn read_term(reader: &mut Words<'_>) -> Result<Term, RuleError> {
    let exponents = Exponents(reader.next()?);
    reader.require(
        exponents.0 >> (2 * Variable::ALL.len()) == 0 && exponents.of(Variable::W) <= MAX_WEIGHT_POWER,
    )?;
    let body = reader.next()?;
    let (mantissa, shift) = split(body);
    reader.require(mantissa != 0 && u32::from(shift) <= MAX_SHIFT)?;
    let [shift, _] = shift.to_le_bytes();
    Ok(Term { mantissa: mantissa as i16, shift, exponents })
}

fn read_decay(reader: &mut Words<'_>) -> Result<Decay, RuleError> {
    let share = reader.next()?;
    reader.require(share > 0)?;
    let share = u16::try_from(share).map_err(|_| reader.bad())?;
    let every = reader.next()?;
    reader.require(every > 0)?;
    Ok(Decay { share, every })
}

/// The lower and the upper half of a word.
fn split(word: u32) -> (u16, u16) {
    let [a, b, c, d] = word.to_le_bytes();
    (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]))
}

/// The nearest i32; used where the value is known to be close.
#[allow(clippy::cast_possible_truncation)] // clamped
fn clamp_i32(value: i64) -> i32 {
    value.clamp(i64::from(-i32::MAX), i64::from(i32::MAX)) as i32
}
