//! Memristive devices in integers: one pulse, drift, spread, wear.
//!
//! A device's state is an unsigned integer of `state_bits` bits that is linear in its conductance. The host
//! compiles every device law (exponential, soft-bounds, power, measured…) to a *step table* per direction:
//! the change of state that one pulse causes, at `2^k + 1` equally spaced states. A pulse interpolates the
//! table, applies the device's own gain and the pulse's own noise, adds, and clamps to the device's own bounds.
//!
//! Nothing random is stored: what is special about a device, and about its n-th pulse, is a function of
//! `(purpose, device, n)` by the [`Draws`] that the caller lends, so a replay is exact in any order.
//! Nothing here can panic, allocate or round in floating point.

use crate::draw::Draws;

/// What a draw is for; no two uses share bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// What distinguishes a device from its class for good.
    Spread = 0,
    /// The number of pulses that a device endures.
    Endurance = 1,
    /// The noise of one pulse, and its rounding.
    Pulse = 2,
    /// The drift exponent that one programming leaves behind.
    Drift = 3,
    /// The error of one direct programming or reset.
    Program = 4,
    /// The noise of one read, by column.
    Read = 5,
    /// Whether a device never worked.
    Fault = 6,
}

/// Purpose base of the draws of devices, as [`Draws`] sees it.
pub const DEVICES: u32 = 0x0200_0000;

/// Devices are numbered below this.
pub const MOST_DEVICES: u32 = 1 << 28;

/// Where the bits of a device stand in the stream of all devices: the two of a pair share a block.
#[inline(always)]
pub fn address(purpose: Purpose, device: u32) -> u32 {
    (device >> 1) << 4 | (purpose as u32) << 1 | device & 1
}

/// From the address of one pair to that of the next.
pub const PAIR_STRIDE: u32 = 1 << 4;

/// 32 random bits for `(purpose, device, event)`: `device` is the device's number in its machine, `event` its own count
/// (pulse number, read number), 0 for what never changes. The purpose is part of the index, so that one stream, and one
/// block of it, serves each pulse of a pair.
#[inline]
pub fn bits(draws: &mut impl Draws, purpose: Purpose, device: u32, event: u32) -> u32 {
    draws.draw(DEVICES, u64::from(event), address(purpose, device))
}

/// Standard normal deviates ×128 (Q7) at the 256 centres of equal probability, scaled to unit variance.
pub static NORMAL: [i16; 256] = [
    -370, -323, -300, -283, -270, -260, -251, -243, -236, -229, -223, -218, -213, -208, -203, -199, -195,
    -191, -187, -184, -180, -177, -174, -171, -168, -165, -162, -159, -156, -154, -151, -149, -146, -144,
    -142, -139, -137, -135, -133, -131, -129, -127, -124, -122, -121, -119, -117, -115, -113, -111, -109,
    -107, -106, -104, -102, -100, -99, -97, -95, -94, -92, -91, -89, -87, -86, -84, -83, -81, -80, -78, -77,
    -75, -74, -72, -71, -69, -68, -66, -65, -63, -62, -61, -59, -58, -56, -55, -54, -52, -51, -50, -48, -47,
    -46, -44, -43, -42, -40, -39, -38, -36, -35, -34, -32, -31, -30, -29, -27, -26, -25, -23, -22, -21, -20,
    -18, -17, -16, -14, -13, -12, -11, -9, -8, -7, -6, -4, -3, -2, -1, 1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13,
    14, 16, 17, 18, 20, 21, 22, 23, 25, 26, 27, 29, 30, 31, 32, 34, 35, 36, 38, 39, 40, 42, 43, 44, 46, 47,
    48, 50, 51, 52, 54, 55, 56, 58, 59, 61, 62, 63, 65, 66, 68, 69, 71, 72, 74, 75, 77, 78, 80, 81, 83, 84,
    86, 87, 89, 91, 92, 94, 95, 97, 99, 100, 102, 104, 106, 107, 109, 111, 113, 115, 117, 119, 121, 122, 124,
    127, 129, 131, 133, 135, 137, 139, 142, 144, 146, 149, 151, 154, 156, 159, 162, 165, 168, 171, 174, 177,
    180, 184, 187, 191, 195, 199, 203, 208, 213, 218, 223, 229, 236, 243, 251, 260, 270, 283, 300, 323, 370,
];

/// Nodes of the logarithm: log2(1 + i/32) in Q16.
pub static LOG2_Q16: [i32; 33] = [
    0, 2909, 5732, 8473, 11136, 13727, 16248, 18704, 21098, 23433, 25711, 27936, 30109, 32234, 34312, 36346,
    38336, 40286, 42196, 44068, 45904, 47705, 49472, 51207, 52911, 54584, 56229, 57845, 59434, 60997, 62534,
    64047, 65536,
];

/// Nodes of the exponential: 2^(-i/32) in Q30.
pub static EXP2_Q30: [i32; 33] = [
    1073741824, 1050733751, 1028218693, 1006186087, 984625594, 963527098, 942880699, 922676710, 902905651,
    883558244, 864625413, 846098274, 827968132, 810226483, 792865000, 775875538, 759250125, 742980960,
    727060411, 711481005, 696235434, 681316545, 666717336, 652430958, 638450708, 624770026, 611382493,
    598281827, 585461881, 572916640, 560640218, 548626854, 536870912,
];

/// Base-2 logarithm of `x` in Q16; 0 for `x = 0`. Largest error 1.8e-4 (chords of the logarithm).
pub fn log2_q16(x: u64) -> i32 {
    let Some(whole) = x.checked_ilog2() else { return 0 };
    // The 21 bits after the leading one: 5 choose the node, 16 interpolate.
    let fraction = ((u128::from(x) << 21 >> whole) as u32) & 0x1f_ffff;
    let (node, rest) = ((fraction >> 16) as usize, i64::from(fraction & 0xffff));
    let low = i64::from(LOG2_Q16.get(node).copied().unwrap_or(0));
    let high = i64::from(LOG2_Q16.get(node + 1).copied().unwrap_or(0));
    ((whole as i32) << 16) + (low + (((high - low) * rest + 0x8000) >> 16)) as i32
}

/// `value · 2^(−exponent)` for an exponent in Q24, rounded; relative error 5.9e-5 (chords of the exponential).
pub fn decay_q24(value: u32, exponent_q24: u64) -> u32 {
    let whole = exponent_q24 >> 24;
    if whole > 31 {
        return 0;
    }
    let fraction = (exponent_q24 & 0xff_ffff) as u32;
    let (node, rest) = ((fraction >> 19) as usize, i64::from(fraction & 0x7_ffff));
    let low = i64::from(EXP2_Q30.get(node).copied().unwrap_or(0));
    let high = i64::from(EXP2_Q30.get(node + 1).copied().unwrap_or(0));
    let mantissa = low + (((high - low) * rest + 0x4_0000) >> 19);
    let shift = 30 + whole as u32;
    ((u64::from(value) * mantissa.max(0) as u64 + (1 << (shift - 1))) >> shift) as u32
}

/// `2^exponent` for an exponent in Q16, rounded, saturating; 0 below one half.
pub fn exp2_q16(exponent_q16: i32) -> u32 {
    if exponent_q16 >= 32 << 16 {
        return u32::MAX;
    }
    // 2^e = 2^31 · 2^-(31 − e)
    let below = (i64::from(31 << 16) - i64::from(exponent_q16)).max(0) as u64;
    match exponent_q16 >= 31 << 16 {
        true => decay_q24(1 << 31, ((32u64 << 16) - exponent_q16 as u64) << 8).saturating_mul(2),
        false => decay_q24(1 << 31, below << 8),
    }
}

/// Integer square root, rounded down.
pub fn isqrt(x: u64) -> u32 {
    x.isqrt() as u32
}

/// The standard normal deviate (Q7) that the lowest eight bits of `bits` select.
#[inline]
pub fn normal_q7(bits: u32) -> i32 {
    NORMAL.get((bits & 0xff) as usize).map_or(0, |d| i32::from(*d))
}

/// Conductance after power-law drift: `g · (now / start)^(−ν)`, Nandakumar et al. 2019.
///
/// `now` and `start` are times since programming plus the reference time t₀, in any one unit; `nu_q24` is ν
/// in Q24. Before `start` nothing has drifted. Relative error below 1.4e-4 for ν ≤ 0.13 and `now/start` ≤ 1e9.
pub fn drift(g: u32, start: u64, now: u64, nu_q24: u32) -> u32 {
    let decades = log2_q16(now) - log2_q16(start);
    if decades <= 0 {
        return g;
    }
    decay_q24(g, (decades as u64 * u64::from(nu_q24)) >> 16)
}

/// Which way a pulse pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Potentiation (SET): conductance rises.
    Up,
    /// Depression (RESET or gradual): conductance falls.
    Down,
}

/// A function of the state at `2^k + 1` equally spaced nodes, interpolated linearly with rounding.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    nodes: &'a [i32],
    shift: u32,
}

impl<'a> Table<'a> {
    /// A table over states of `state_bits` bits; `nodes` must count `2^k + 1` with `k < state_bits`.
    pub fn new(nodes: &'a [i32], state_bits: u32) -> Option<Self> {
        let segments = nodes.len().checked_sub(1)?;
        if !segments.is_power_of_two() || state_bits > 24 {
            return None;
        }
        let shift = state_bits.checked_sub(segments.ilog2())?;
        (shift > 0).then_some(Self { nodes, shift })
    }

    /// The value at `state`; beyond the last node the last segment's end.
    #[inline]
    pub fn at(&self, state: u32) -> i32 {
        let node = (state >> self.shift) as usize;
        let (Some(&low), Some(&high)) = (self.nodes.get(node), self.nodes.get(node + 1)) else {
            return self.nodes.last().copied().unwrap_or(0);
        };
        let rest = i64::from(state & ((1 << self.shift) - 1));
        let slope = i64::from(high) - i64::from(low);
        (i64::from(low) + ((slope * rest + (1 << (self.shift - 1))) >> self.shift)) as i32
    }
}

/// One pulse without spread or noise: the table's step in `direction`, clamped to `low..=high`.
pub fn step(state: u32, table: &Table<'_>, direction: Direction, low: u32, high: u32) -> u32 {
    add(state, i64::from(table.at(state)), direction, low, high)
}

#[inline]
fn add(state: u32, step: i64, direction: Direction, low: u32, high: u32) -> u32 {
    let moved = match direction {
        Direction::Up => i64::from(state) + step,
        Direction::Down => i64::from(state) - step,
    };
    moved.max(i64::from(low)).min(i64::from(high).max(i64::from(low))) as u32
}

macro_rules! header {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The scalars of a device class, as they stand in the image: one `i32` word each, in this order.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Header {
            $($(#[$doc])* pub $name: i32,)*
        }

        impl Header {
            /// Number of words.
            pub const WORDS: usize = [$(stringify!($name)),*].len();

            /// The words in the order of the fields.
            pub fn to_words(&self) -> [i32; Self::WORDS] {
                [$(self.$name),*]
            }

            /// Reads the words; `None` when there are too few.
            pub fn from_words(words: &[i32]) -> Option<Self> {
                let mut words = words.iter().copied();
                Some(Self { $($name: words.next()?,)* })
            }
        }
    };
}

header! {
    /// Layout version, [`VERSION`].
    version,
    /// Bits of a state, 8 to 24; states run from 0 to 2^bits − 1.
    state_bits,
    /// Segments of every table: 2^this.
    log2_segments,
    /// Steps are in units of 2^−this of a state.
    fraction_bits,
    /// 1: a step is rounded up or down at random, by its fraction; 0: to nearest.
    dither,
    /// Lowest state of the nominal device.
    low,
    /// Highest state of the nominal device.
    high,
    /// The state that stands for weight 0.
    zero,
    /// Initial state, and the target of a reset.
    reset,
    /// Standard deviation of a reset, in states.
    reset_sd,
    /// Pulse noise: 0 none, 1 `cycle_sd_q8` times the step, 2 two more tables of the deviation.
    cycle_kind,
    /// Standard deviation of a step relative to itself, Q8.
    cycle_sd_q8,
    /// Standard deviation of what a read sees of a written state (redrawn by each pulse), in states.
    write_sd,
    /// 1: devices differ.
    spread,
    /// How an up table is stretched to a device's own bounds: see [`Coordinate`].
    up_coordinate,
    /// How a down table is stretched.
    down_coordinate,
    /// 1: the gain is log-normal and `gain_sd` is the deviation of its log2 in Q16; 0: normal, Q12.
    log_normal,
    /// Spread of the gain common to both directions.
    gain_sd,
    /// Weight of that common spread in the up gain, Q12.
    up_share_q12,
    /// Spread of the up gain alone, Q12, signed.
    up_only_sd_q12,
    /// Weight of the common spread in the down gain, Q12.
    down_share_q12,
    /// Spread of the down gain alone, Q12, signed (opposed to `up_only_sd_q12`).
    down_only_sd_q12,
    /// Relative spread of the upper bound about `zero`, Q12.
    high_sd_q12,
    /// Relative spread of the lower bound about `zero`, Q12.
    low_sd_q12,
    /// Probability (in 2^−31) of a device that is stuck at its highest conductance.
    stuck_high_q31,
    /// Probability of a device that is stuck at its lowest conductance.
    stuck_low_q31,
    /// Probability of a device that is stuck anywhere within `stuck_range` of `zero`.
    stuck_random_q31,
    /// Reach of the randomly stuck, in states.
    stuck_range,
    /// log2 of the median number of pulses to failure, Q16; 0: endless.
    endurance_log2_q16,
    /// Deviation of that logarithm, Q16.
    endurance_sd_q16,
    /// Distinct levels that a read can see, 2^this; 0: as many as states.
    level_bits,
    /// 1: the class drifts, and two tables (mean and deviation of ν in Q24, over the state) follow.
    drift,
    /// Reference time t₀ of drift and of read noise, in the stamps' unit.
    drift_start,
    /// 1: reads are noisy, and a table follows: over the state, the deviation of a read in 2^−25 of the range, for each
    /// root of a doubling of the time since programming over twice a read's.
    read_noise,
    /// log2 of a stamp's duration over twice that of a read, Q16.
    read_octaves_q16,
}

impl Header {
    /// Place of [`Header::drift`] among the words.
    pub const DRIFT_AT: usize = Self::WORDS - 4;
    /// Place of [`Header::read_noise`] among the words.
    pub const READ_NOISE_AT: usize = Self::WORDS - 2;
}

/// Version of the words that [`DeviceClass::parse`] reads.
pub const VERSION: i32 = 2;

/// How a class's table serves a device whose bounds are its own: which state stays, what is stretched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Coordinate {
    /// The step depends on the state itself (constant steps).
    Fixed = 0,
    /// On the weight over the device's bound ahead (linear and soft-bounds steps).
    Bound = 1,
    /// On the weight over the device's span (exponential steps).
    Span = 2,
    /// On the place between the device's bounds (power and piecewise steps).
    Window = 3,
}

impl Coordinate {
    fn from_word(word: i32) -> Option<Self> {
        [Self::Fixed, Self::Bound, Self::Span, Self::Window].into_iter().find(|c| *c as i32 == word)
    }
}

/// Why words are no device class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// There are fewer words than the header and its tables need.
    Short {
        /// Words needed.
        expected: usize,
        /// Words found.
        found: usize,
    },
    /// A field is outside what it may be.
    Field {
        /// Its name in [`Header`].
        name: &'static str,
        /// What stood there.
        found: i32,
    },
}

impl core::fmt::Display for DeviceError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Short { expected, found } => {
                write!(f, "a device class has {found} words, expected {expected}")
            }
            Self::Field { name, found } => write!(f, "device class: {name} is {found}, out of its range"),
        }
    }
}

impl core::error::Error for DeviceError {}

/// A device class: its scalars and its tables, borrowed from the image.
#[derive(Clone, Copy, Debug)]
pub struct DeviceClass<'a> {
    header: Header,
    nodes: &'a [i32],
    up: Table<'a>,
    down: Table<'a>,
    noise: Option<(Table<'a>, Table<'a>)>,
    drift: Option<(Table<'a>, Table<'a>)>,
    read_noise: Option<Table<'a>>,
    up_coordinate: Coordinate,
    down_coordinate: Coordinate,
    endurance_floor: u32,
}

/// What distinguishes one device of a class; regenerated when needed, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its lowest state.
    pub low: u32,
    /// Its highest state.
    pub high: u32,
    /// Its up gain relative to the class, Q12.
    pub up_q12: i32,
    /// Its down gain relative to the class, Q12.
    pub down_q12: i32,
    /// Its place in the class's tables for pulses up: states are stretched by this, Q24.
    pub up_ratio: i64,
    /// The same for pulses down.
    pub down_ratio: i64,
    /// The state in which it is stuck since it was made.
    pub stuck: Option<u32>,
}

impl<'a> DeviceClass<'a> {
    /// Reads a class from the start of `words`; returns it and the number of words that it takes.
    ///
    /// # Errors
    /// [`DeviceError`] when words are missing or a field is out of range.
    pub fn parse(words: &'a [i32]) -> Result<(Self, usize), DeviceError> {
        let short = |expected| DeviceError::Short { expected, found: words.len() };
        let header = Header::from_words(words).ok_or(short(Header::WORDS))?;
        check(&header)?;
        let nodes = (1usize << header.log2_segments) + 1;
        let mut at = Header::WORDS;
        let mut table = || {
            let slice = words.get(at..at + nodes).ok_or(short(at + nodes))?;
            at += nodes;
            Table::new(slice, header.state_bits as u32)
                .ok_or(DeviceError::Field { name: "log2_segments", found: header.log2_segments })
        };
        let (up, down) = (table()?, table()?);
        let noise = if header.cycle_kind == 2 { Some((table()?, table()?)) } else { None };
        let pulsed = Header::WORDS..Header::WORDS + nodes * if noise.is_some() { 4 } else { 2 };
        let drift = if header.drift == 1 { Some((table()?, table()?)) } else { None };
        let read_noise = if header.read_noise == 1 { Some(table()?) } else { None };
        let field = |name, found| DeviceError::Field { name, found };
        // No deviate is below −370/128: before that many pulses nobody fails.
        let earliest =
            i64::from(header.endurance_log2_q16) - ((i64::from(header.endurance_sd_q16) * 371) >> 7);
        let class = Self {
            header,
            nodes: words.get(pulsed).unwrap_or(&[]),
            up,
            down,
            noise,
            drift,
            read_noise,
            up_coordinate: Coordinate::from_word(header.up_coordinate)
                .ok_or(field("up_coordinate", header.up_coordinate))?,
            down_coordinate: Coordinate::from_word(header.down_coordinate)
                .ok_or(field("down_coordinate", header.down_coordinate))?,
            endurance_floor: exp2_q16(earliest.max(0) as i32),
        };
        Ok((class, at))
    }

    /// The scalars of the class.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The nodes of the tables that pulses look up, one table after the other: steps up, steps down, and where
    /// `cycle_kind` is 2 their deviations up and down.
    pub fn nodes(&self) -> &'a [i32] {
        self.nodes
    }

    /// No device fails before this many pulses.
    pub fn least_endurance(&self) -> u32 {
        match self.header.endurance_log2_q16 {
            0 => u32::MAX,
            _ => self.endurance_floor,
        }
    }

    /// Highest state that the bits can hold.
    pub fn top(&self) -> u32 {
        (1u32 << self.header.state_bits) - 1
    }

    /// The device as the class describes it, without spread.
    pub fn nominal(&self) -> Instance {
        Instance {
            low: self.header.low as u32,
            high: self.header.high as u32,
            up_q12: 1 << 12,
            down_q12: 1 << 12,
            up_ratio: 1 << 24,
            down_ratio: 1 << 24,
            stuck: None,
        }
    }

    /// Device number `device` of this class.
    pub fn instance(&self, device: u32, draws: &mut impl Draws) -> Instance {
        let h = &self.header;
        if h.spread == 0 {
            return self.nominal();
        }
        let random = bits(draws, Purpose::Spread, device, 0);
        self.instance_of(device, random, draws)
    }

    /// The device that these bits of [`Purpose::Spread`] make.
    #[inline]
    pub(crate) fn instance_of(&self, device: u32, random: u32, draws: &mut impl Draws) -> Instance {
        let h = &self.header;
        let deviate = |byte: u32| i64::from(normal_q7(random >> (8 * byte)));
        let common = if h.log_normal == 1 {
            let log2 = (i64::from(h.gain_sd) * deviate(0)) >> 7;
            i64::from(exp2_q16(log2 as i32 + (12 << 16))) - (1 << 12)
        } else {
            (i64::from(h.gain_sd) * deviate(0)) >> 7
        };
        let gain = |share: i32, only: i32| {
            let g = (1 << 12) + ((common * i64::from(share)) >> 12) + ((i64::from(only) * deviate(1)) >> 7);
            g.abs().min(1 << 20) as i32
        };
        let bound = |nominal: i32, sd: i32, byte: u32| {
            let factor = ((1i64 << 12) + ((i64::from(sd) * deviate(byte)) >> 7)).abs();
            let reach = i64::from(nominal) - i64::from(h.zero);
            (i64::from(h.zero) + ((reach * factor) >> 12)).max(0).min(i64::from(self.top())) as u32
        };
        let (low, high) = (bound(h.low, h.low_sd_q12, 3), bound(h.high, h.high_sd_q12, 2));
        let faulty = h.stuck_high_q31 != 0 || h.stuck_low_q31 != 0 || h.stuck_random_q31 != 0;
        let stuck = match faulty {
            true => self.stuck(bits(draws, Purpose::Fault, device, 0) >> 1, low, high, random),
            false => None,
        };
        let ratio = |kind: Coordinate, nominal: i64, own: i64| match kind {
            Coordinate::Fixed => 1 << 24,
            _ => ((nominal << 24) / own.max(1)).clamp(0, 1 << 38),
        };
        let span = |low: i64, high: i64, kind: Coordinate, ahead: (i64, i64)| match kind {
            Coordinate::Bound => ahead.1 - ahead.0,
            _ => high - low,
        };
        let (wide, own) = ((i64::from(h.low), i64::from(h.high)), (i64::from(low), i64::from(high)));
        let zero = i64::from(h.zero);
        let up = |(low, high): (i64, i64)| span(low, high, self.up_coordinate, (zero, high));
        let down = |(low, high): (i64, i64)| span(low, high, self.down_coordinate, (low, zero));
        Instance {
            low,
            high,
            up_q12: gain(h.up_share_q12, h.up_only_sd_q12),
            down_q12: gain(h.down_share_q12, h.down_only_sd_q12),
            up_ratio: ratio(self.up_coordinate, up(wide), up(own)),
            down_ratio: ratio(self.down_coordinate, down(wide), down(own)),
            stuck,
        }
    }

    /// Where a device is stuck from the start, by a uniform 31-bit number; `place` chooses among many places.
    fn stuck(&self, uniform: u32, low: u32, high: u32, place: u32) -> Option<u32> {
        let h = &self.header;
        let first = h.stuck_high_q31 as u32;
        let second = first.saturating_add(h.stuck_low_q31 as u32);
        let third = second.saturating_add(h.stuck_random_q31 as u32);
        if uniform < first {
            Some(high)
        } else if uniform < second {
            Some(low)
        } else if uniform < third {
            let reach = i64::from(h.stuck_range);
            let offset = ((2 * reach as u64 * u64::from(place)) >> 32) as i64 - reach;
            Some((i64::from(h.zero) + offset).max(0).min(i64::from(self.top())) as u32)
        } else {
            None
        }
    }

    /// The state of a device before its first pulse.
    pub fn initial(&self, device: u32, instance: &Instance, draws: &mut impl Draws) -> u32 {
        self.program(self.header.reset as u32, device, 0, instance, draws)
    }

    /// Programs `target` directly, with the error of a reset, within the device's bounds; the stuck stay.
    /// `event` is the device's pulse number.
    pub fn program(
        &self,
        target: u32,
        device: u32,
        event: u32,
        instance: &Instance,
        draws: &mut impl Draws,
    ) -> u32 {
        if let Some(state) = instance.stuck {
            return state;
        }
        let mut value = i64::from(target);
        if self.header.reset_sd != 0 {
            let deviate = normal_q7(bits(draws, Purpose::Program, device, event));
            value += (i64::from(self.header.reset_sd) * i64::from(deviate)) >> 7;
        }
        value.max(i64::from(instance.low)).min(i64::from(instance.high.max(instance.low))) as u32
    }

    /// Pulses that a device of this class endures; `u32::MAX` when it is endless.
    pub fn endurance(&self, device: u32, draws: &mut impl Draws) -> u32 {
        let h = &self.header;
        if h.endurance_log2_q16 == 0 {
            return u32::MAX;
        }
        let deviate = i64::from(normal_q7(bits(draws, Purpose::Endurance, device, 0)));
        let log2 = i64::from(h.endurance_log2_q16) + ((i64::from(h.endurance_sd_q16) * deviate) >> 7);
        exp2_q16(log2.clamp(0, 32 << 16) as i32)
    }

    /// Whether a device that has had `pulses` pulses is worn out.
    pub fn worn(&self, device: u32, pulses: u32, draws: &mut impl Draws) -> bool {
        self.header.endurance_log2_q16 != 0
            && pulses >= self.endurance_floor
            && pulses >= self.endurance(device, draws)
    }

    /// The state after one pulse. `event` is the device's pulse number, from 0; `bits` are that pulse's
    /// 32 random bits, [`bits`]`(draws, Purpose::Pulse, device, event)`: the lowest eight choose the noise, the next
    /// eight the noise of the write that comes before, the highest sixteen the rounding.
    #[inline]
    pub fn pulse(&self, state: u32, direction: Direction, instance: &Instance, bits: u32) -> u32 {
        if let Some(stuck) = instance.stuck {
            return stuck;
        }
        let h = &self.header;
        let (table, noise, gain) = match direction {
            Direction::Up => (&self.up, self.noise.as_ref().map(|n| &n.0), instance.up_q12),
            Direction::Down => (&self.down, self.noise.as_ref().map(|n| &n.1), instance.down_q12),
        };
        let place = self.place(state, direction, instance);
        let mut step = i64::from(table.at(place));
        let deviate = i64::from(normal_q7(bits));
        if let Some(noise) = noise {
            step += (i64::from(noise.at(place)) * deviate + 64) >> 7;
        } else if h.cycle_kind == 1 {
            step += (step * i64::from(h.cycle_sd_q8) * deviate + (1 << 14)) >> 15;
        }
        if h.spread == 1 {
            step = (step * i64::from(gain) + (1 << 11)) >> 12;
        }
        if h.fraction_bits > 0 {
            let unit = 1i64 << h.fraction_bits;
            let rest = if h.dither == 1 { i64::from(bits >> 16) & (unit - 1) } else { unit >> 1 };
            step = (step + rest) >> h.fraction_bits;
        }
        add(state, step, direction, instance.low, instance.high)
    }

    /// The state of the nominal device that is placed between its bounds as this state is between `instance`'s.
    #[inline]
    fn place(&self, state: u32, direction: Direction, instance: &Instance) -> u32 {
        let h = &self.header;
        if h.spread == 0 {
            return state;
        }
        let (kind, ratio) = match direction {
            Direction::Up => (self.up_coordinate, instance.up_ratio),
            Direction::Down => (self.down_coordinate, instance.down_ratio),
        };
        let (own, nominal) = match kind {
            Coordinate::Fixed => return state,
            Coordinate::Bound | Coordinate::Span => (i64::from(h.zero), i64::from(h.zero)),
            Coordinate::Window => (i64::from(instance.low), i64::from(h.low)),
        };
        let place = nominal + (((i64::from(state) - own) * ratio) >> 24);
        place.max(0).min(i64::from(self.top())) as u32
    }

    /// What a read sees of `state`: write noise of the last pulse, finite levels; within the state's bits.
    /// `event` is the device's pulse number.
    pub fn visible(&self, state: u32, device: u32, event: u32, draws: &mut impl Draws) -> u32 {
        let h = &self.header;
        let mut value = i64::from(state);
        if h.write_sd != 0 {
            let deviate = normal_q7(bits(draws, Purpose::Pulse, device, event) >> 8);
            value += (i64::from(h.write_sd) * i64::from(deviate)) >> 7;
        }
        self.leveled(value)
    }

    /// [`visible`](Self::visible) with the bits of [`Purpose::Pulse`] at hand.
    #[inline]
    pub(crate) fn visible_by(&self, state: u32, random: u32) -> u32 {
        let noise = i64::from(self.header.write_sd) * i64::from(normal_q7(random >> 8));
        self.leveled(i64::from(state) + (noise >> 7))
    }

    #[inline]
    fn leveled(&self, value: i64) -> u32 {
        let h = &self.header;
        let value = value.max(0).min(i64::from(self.top())) as u32;
        match h.level_bits {
            0 => value,
            bits => self.level(value, bits as u32),
        }
    }

    /// The nearest of `2^bits` levels between the nominal bounds.
    fn level(&self, value: u32, bits: u32) -> u32 {
        let (low, high) = (self.header.low as u64, self.header.high as u64);
        let (span, last) = ((high - low).max(1), (1u64 << bits) - 1);
        let code = ((u64::from(value).max(low) - low) * last + span / 2) / span;
        (low + (code.min(last) * span + last / 2) / last) as u32
    }

    /// The drift exponent ν (Q24) that the programming number `event` left in a device at `state`; 0 without drift.
    pub fn drift_exponent(&self, state: u32, device: u32, event: u32, draws: &mut impl Draws) -> u32 {
        let Some((mean, deviation)) = &self.drift else { return 0 };
        let deviate = i64::from(normal_q7(bits(draws, Purpose::Drift, device, event)));
        let nu = i64::from(mean.at(state)) + ((i64::from(deviation.at(state)) * deviate) >> 7);
        nu.unsigned_abs().min(1 << 24) as u32
    }

    /// Deviation of one read of a device in 2^−17 of the range, `elapsed` (in the stamps' unit) after it was programmed to
    /// `state`: 1/f noise, whose variance grows with the logarithm of the time. 0 where the class has none.
    pub fn read_deviation(&self, state: u32, elapsed: u64, nu_q24: u32) -> u32 {
        let Some(strength) = &self.read_noise else { return 0 };
        let start = self.header.drift_start.max(1) as u64;
        let now = elapsed.saturating_add(start);
        let octaves = (i64::from(log2_q16(now)) + i64::from(self.header.read_octaves_q16)).max(0) as u64;
        let root_q16 = u64::from(isqrt(octaves << 16));
        let deviation = (strength.at(state).max(0) as u64 * root_q16) >> 24;
        drift(deviation.min(u32::MAX.into()) as u32, start, now, nu_q24)
    }

    /// `state` after `elapsed` (in the stamps' unit) since it was programmed, by [`drift`].
    pub fn drifted(&self, state: u32, elapsed: u64, nu_q24: u32) -> u32 {
        let start = self.header.drift_start.max(1) as u64;
        drift(state, start, elapsed.saturating_add(start), nu_q24)
    }
}

/// What one read of a column adds to its sum (in units of the read matrix): a deviate of this variance (in 2^−4), from
/// the bits of [`Purpose::Read`].
pub fn read_error(variance_q4: u64, bits: u32) -> i64 {
    (i64::from(isqrt(variance_q4)) * i64::from(normal_q7(bits)) + (1 << 8)) >> 9
}

/// Every field that arithmetic relies on, within its range.
fn check(h: &Header) -> Result<(), DeviceError> {
    let within = |name, found: i32, low: i32, high: i32| match (low..=high).contains(&found) {
        true => Ok(()),
        false => Err(DeviceError::Field { name, found }),
    };
    within("version", h.version, VERSION, VERSION)?;
    within("state_bits", h.state_bits, 8, 24)?;
    within("log2_segments", h.log2_segments, 0, (h.state_bits - 1).min(12))?;
    within("fraction_bits", h.fraction_bits, 0, 12)?;
    let top = (1 << h.state_bits) - 1;
    within("high", h.high, 0, top)?;
    within("low", h.low, 0, h.high)?;
    within("zero", h.zero, h.low, h.high)?;
    within("reset", h.reset, 0, top)?;
    for (name, word) in [
        ("dither", h.dither),
        ("spread", h.spread),
        ("log_normal", h.log_normal),
        ("drift", h.drift),
        ("read_noise", h.read_noise),
    ] {
        within(name, word, 0, 1)?;
    }
    within("cycle_kind", h.cycle_kind, 0, 2)?;
    within("cycle_sd_q8", h.cycle_sd_q8, 0, 1 << 16)?;
    within("read_octaves_q16", h.read_octaves_q16, -(64 << 16), 64 << 16)?;
    within("level_bits", h.level_bits, 0, h.state_bits)?;
    for (name, word) in [
        ("reset_sd", h.reset_sd),
        ("write_sd", h.write_sd),
        ("stuck_range", h.stuck_range),
        ("endurance_log2_q16", h.endurance_log2_q16),
        ("endurance_sd_q16", h.endurance_sd_q16),
        ("stuck_high_q31", h.stuck_high_q31),
        ("stuck_low_q31", h.stuck_low_q31),
        ("stuck_random_q31", h.stuck_random_q31),
        ("drift_start", h.drift_start),
    ] {
        within(name, word, 0, i32::MAX)?;
    }
    let q12 = 1 << 20;
    for (name, word) in [
        ("gain_sd", h.gain_sd),
        ("up_share_q12", h.up_share_q12),
        ("up_only_sd_q12", h.up_only_sd_q12),
        ("down_share_q12", h.down_share_q12),
        ("down_only_sd_q12", h.down_only_sd_q12),
        ("high_sd_q12", h.high_sd_q12),
        ("low_sd_q12", h.low_sd_q12),
    ] {
        within(name, word, -q12, q12)?;
    }
    Ok(())
}

/// A converter with its divisor turned into a multiplication: equal to [`convert`], faster for many values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coder {
    full_scale: u64,
    top: u32,
    /// ⌊(2^64 − 1) / (2 · full scale)⌋, or 0 where sums or codes are too large for it.
    inverse: u64,
}

impl Coder {
    /// The converter of codes up to ±`top` at ±`full_scale`.
    pub fn new(full_scale: u64, top: u32) -> Self {
        let small = full_scale != 0 && full_scale < 1 << 31 && top < 1 << 24;
        let inverse = if small { (u64::MAX).checked_div(2 * full_scale).unwrap_or(0) } else { 0 };
        Self { full_scale, top, inverse }
    }

    /// The code of a value.
    #[inline(always)]
    pub fn code(&self, value: i64) -> i64 {
        if self.inverse == 0 {
            return convert(value, self.full_scale, self.top);
        }
        let magnitude = value.unsigned_abs().min(self.full_scale);
        // Below 2^56, so that the product's upper half is the quotient or one less.
        let doubled = 2 * magnitude * u64::from(self.top) + self.full_scale;
        let below = ((u128::from(doubled) * u128::from(self.inverse)) >> 64) as u64;
        let code = below + u64::from(doubled - below * 2 * self.full_scale >= 2 * self.full_scale);
        if value < 0 { -(code as i64) } else { code as i64 }
    }
}

/// A sign-magnitude converter: `value` against `full_scale` in codes up to ±`top`, rounded half away from zero,
/// clipped at the ends. A zero `full_scale` gives 0.
#[inline]
pub fn convert(value: i64, full_scale: u64, top: u32) -> i64 {
    if full_scale == 0 {
        return 0;
    }
    let magnitude = value.unsigned_abs().min(full_scale);
    let code = match magnitude.checked_mul(2 * u64::from(top)).and_then(|m| m.checked_add(full_scale)) {
        Some(doubled) if full_scale <= u64::MAX / 2 => doubled / (2 * full_scale),
        _ => {
            let doubled = 2 * u128::from(magnitude) * u128::from(top) + u128::from(full_scale);
            (doubled / (2 * u128::from(full_scale))) as u64
        }
    };
    if value < 0 { -(code as i64) } else { code as i64 }
}
