//! Crossbars in an image: what an array is, and where its memory stands.
//!
//! A projection on memristive devices is cut into arrays of limited size; each array is one port. The section of
//! devices holds the arrays' records and the device classes that they are made of:
//!
//! ```text
//! 0   number of arrays                u32
//! 1   number of device classes        u32
//! 2   array records                   WORDS × u32 each, see [`Array`]
//! …   (first word, words) of each class, counted from the start of the section
//! …   words of the classes, see [`crate::device::DeviceClass`]
//! ```
//!
//! An array that neither learns nor drifts needs its read matrix and its rows' charges only; they stay in the
//! image. Any other is *live*: states, pulse numbers, stamps and wire factors of its devices are copied to the arena.

use crate::crossbar::{Log, Pair, Shape, Wires};
use crate::device::{self, DeviceClass};
use crate::image::{Image, ImageError, NONE, Port, Section};
use crate::words::{bytes_at, word};

/// Words of an array record.
pub const ARRAY_WORDS: usize = 31;
/// Rows times their largest payload stay below this, so that a column's sum fits 32 bits.
pub const MOST_DRIVE: u64 = 1 << 16;

/// One array of a crossbar, as its record says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array {
    /// Number of its device class.
    pub class: u32,
    /// How devices pair.
    pub pair: Pair,
    /// Number of its first device in the network.
    pub first_device: u32,
    /// Device numbers from row to row.
    pub row_devices: u32,
    /// First source neuron, in its piece.
    pub row_first: u32,
    /// Rows.
    pub rows: u32,
    /// First target neuron, in its piece.
    pub column_first: u32,
    /// Columns.
    pub columns: u32,
    /// Wire resistances and pedestal.
    pub wires: Wires,
    /// The read matrix is brought up to date every so many ticks; 0: never.
    pub refresh: u32,
    /// A device's time stamp is the tick shifted right by this.
    pub stamp_shift: u32,
    /// Codes of the converter run to ±this; 0: the sum is taken as it is.
    pub top: u32,
    /// The converter is a comparator: code 1 (then also `top`) where the sum reaches its end, else 0.
    pub comparator: bool,
    /// The converter's end, in units of the read matrix times payload.
    pub full_scale: u32,
    /// What a code (or, without converter, a unit of the read matrix) adds to an input sum, in weights.
    pub gain: Scale,
    /// A unit of the read matrix in weights, for rules that read `w`.
    pub weight: Scale,
    /// Most pulses of one change.
    pub most_pulses: u32,
    /// Energy of one state of conductance under one read of payload 1, in attojoules.
    pub read_aj: u32,
    /// Energy of one state of conductance, before plus after, under an up pulse, in attojoules.
    pub up_aj: u32,
    /// The same under a down pulse.
    pub down_aj: u32,
    /// The three energies are in 2^−this.
    pub energy_shift: u32,
    /// Energy of one reset, in attojoules.
    pub reset_aj: u64,
    /// What one pulse is taken to change, in 2^−8 units of the read matrix: a change is then made by pulses until a
    /// read shows it. 0: by as many pulses as the rule says, without a look.
    pub aim: u32,
    /// A change that is read back is made when it is within this many units of the read matrix.
    pub tolerance: u32,
}

/// A factor: `mantissa · 2^−shift`, with results rounded half away from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scale {
    /// The mantissa.
    pub mantissa: u32,
    /// The shift, at most 62.
    pub shift: u32,
}

impl Scale {
    /// `value` times the factor.
    #[inline(always)]
    pub fn of(self, value: i64) -> i64 {
        let half = (1u64 << self.shift) >> 1;
        let product = value.unsigned_abs().wrapping_mul(u64::from(self.mantissa)).wrapping_add(half);
        let magnitude = (product >> self.shift) as i64;
        if value < 0 { -magnitude } else { magnitude }
    }
}

impl Array {
    /// Reads a record.
    pub fn from_words(w: &[u32]) -> Option<Array> {
        let w: &[u32; ARRAY_WORDS] = w.first_chunk()?;
        let at = |i: usize| word(w, i);
        let long = |i: usize| u64::from(at(i)) | u64::from(at(i + 1)) << 32;
        Some(Array {
            class: at(0),
            pair: match at(1) {
                0 => Pair::Differential,
                1 => Pair::OneSided,
                2 => Pair::Reference,
                _ => return None,
            },
            first_device: at(2),
            row_devices: at(29),
            row_first: at(3),
            rows: at(4),
            column_first: at(5),
            columns: at(6),
            wires: Wires { row_q48: long(7), column_q48: long(9), pedestal: at(11) as i32 },
            refresh: at(12),
            stamp_shift: at(13),
            top: at(14),
            comparator: match at(30) {
                0 => false,
                1 => true,
                _ => return None,
            },
            full_scale: at(15),
            gain: Scale { mantissa: at(16), shift: at(17) },
            weight: Scale { mantissa: at(18), shift: at(19) },
            most_pulses: at(20),
            read_aj: at(21),
            up_aj: at(22),
            down_aj: at(23),
            energy_shift: at(24),
            reset_aj: long(25),
            aim: at(27),
            tolerance: at(28),
        })
    }

    /// The words of the record.
    pub fn to_words(&self) -> [u32; ARRAY_WORDS] {
        let halves = |v: u64| [v as u32, (v >> 32) as u32];
        let [row_low, row_high] = halves(self.wires.row_q48);
        let [column_low, column_high] = halves(self.wires.column_q48);
        let [reset_low, reset_high] = halves(self.reset_aj);
        [
            self.class,
            self.pair as u32,
            self.first_device,
            self.row_first,
            self.rows,
            self.column_first,
            self.columns,
            row_low,
            row_high,
            column_low,
            column_high,
            self.wires.pedestal as u32,
            self.refresh,
            self.stamp_shift,
            self.top,
            self.full_scale,
            self.gain.mantissa,
            self.gain.shift,
            self.weight.mantissa,
            self.weight.shift,
            self.most_pulses,
            self.read_aj,
            self.up_aj,
            self.down_aj,
            self.energy_shift,
            reset_low,
            reset_high,
            self.aim,
            self.tolerance,
            self.row_devices,
            self.comparator.into(),
        ]
    }

    /// The array as a crossbar sees it.
    pub fn shape(&self) -> Shape {
        Shape {
            rows: self.rows as usize,
            columns: self.columns as usize,
            pair: self.pair,
            first_device: self.first_device,
            row_devices: self.row_devices,
            wires: self.wires,
        }
    }

    /// Whether its devices change: it learns or is refreshed.
    pub fn is_live(&self, port: &Port) -> bool {
        port.rule != NONE || self.refresh != 0
    }

    /// What the sums of columns, in units of the read matrix times payload, add to the input sums of their neurons.
    #[inline]
    pub(crate) fn contribute(&self, inputs: &mut [i32], sums: &[i32]) {
        if self.top == 0 {
            for (input, sum) in inputs.iter_mut().zip(sums) {
                *input = input.wrapping_add(self.gain.of(i64::from(*sum)) as i32);
            }
            return;
        }
        if self.comparator {
            let one = self.gain.of(1) as i32;
            for (input, sum) in inputs.iter_mut().zip(sums) {
                let reached = i64::from(*sum) >= i64::from(self.full_scale);
                *input = input.wrapping_add(if reached { one } else { 0 });
            }
            return;
        }
        let coder = device::Coder::new(u64::from(self.full_scale), self.top);
        for (input, sum) in inputs.iter_mut().zip(sums) {
            *input = input.wrapping_add(self.gain.of(coder.code(i64::from(*sum))) as i32);
        }
    }

    /// The most that all rows together can add to one sum: the converter's last code; without converter, all numbers.
    pub fn most(&self) -> u64 {
        match self.top {
            0 => u64::MAX,
            top => self.gain.of(i64::from(top)).unsigned_abs(),
        }
    }

    /// The most that a row can add to one sum for a payload of 1.
    pub fn row_bound(&self) -> u64 {
        let unit = u64::from(self.gain.mantissa);
        let per = |units: u64| (units.saturating_mul(unit) >> self.gain.shift).saturating_add(1);
        match self.top {
            0 => per(1 << 15),
            top => {
                let codes = (u64::from(top) << 15) / u64::from(self.full_scale.max(1)) + 2;
                per(codes.min(u64::from(top)))
            }
        }
    }
}

/// What a device class makes an array keep beside its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The class drifts: when each device was written.
    pub stamps: bool,
    /// Reads are noisy: the deviation of each weight.
    pub deviations: bool,
}

impl Kept {
    /// By the class.
    pub fn by(header: &device::Header) -> Kept {
        Kept { stamps: header.drift == 1, deviations: header.read_noise == 1 }
    }
}

/// Where the parts of an array's memory stand, in bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// `u64` per row.
    pub charge: usize,
    /// `u32` per device.
    pub states: usize,
    /// `u32` per device.
    pub pulses: usize,
    /// `u32` per device, where the class drifts.
    pub stamps: usize,
    /// `u16` per device, where wires have a resistance.
    pub factors: usize,
    /// `i16` per weight.
    pub matrix: usize,
    /// `u16` per weight, where reads are noisy.
    pub deviations: usize,
    /// The whole.
    pub bytes: usize,
}

impl Block {
    /// The parts of a crossbar of this shape; `None` if it is too large.
    pub fn of(shape: &Shape, live: bool, kept: Kept) -> Option<Block> {
        let devices = shape.devices()?;
        let live = if live { devices } else { 0 };
        let stamps = if kept.stamps { live } else { 0 };
        let factors = if shape.wires.resist() { live } else { 0 };
        let mut at = 0usize;
        let mut take = |bytes: Option<usize>| -> Option<usize> {
            let start = at;
            at = at.checked_add(bytes?)?.checked_next_multiple_of(8)?;
            Some(start)
        };
        Some(Block {
            charge: take(shape.rows.checked_mul(8))?,
            states: take(live.checked_mul(4))?,
            pulses: take(live.checked_mul(4))?,
            stamps: take(stamps.checked_mul(4))?,
            factors: take(factors.checked_mul(2))?,
            matrix: take(Some(devices))?,
            deviations: take(Some(if kept.deviations { devices } else { 0 }))?,
            bytes: take(Some(0))?,
        })
    }
}

/// `u64` words that a machine keeps for an array beside its block: the log, and three words per column.
pub(crate) fn kept_words(array: &Array) -> usize {
    Log::WORDS + 3 * array.columns as usize
}

impl<'a> Image<'a> {
    /// Number of arrays of memristive crossbars.
    pub fn array_count(&self) -> u32 {
        self.device_words.first().copied().unwrap_or(0)
    }

    /// Array record `i`.
    #[inline]
    pub fn array(&self, i: u32) -> Option<Array> {
        let first = (i as usize).checked_mul(ARRAY_WORDS)?.checked_add(2)?;
        if i >= self.array_count() {
            return None;
        }
        Array::from_words(self.device_words.get(first..)?)
    }

    /// Device class `i`, checked.
    pub fn device_class(&self, i: u32) -> Option<DeviceClass<'a>> {
        let words = self.class_words(i)?;
        DeviceClass::parse(bytemuck::try_cast_slice(words).ok()?).ok().map(|(class, _)| class)
    }

    fn class_words(&self, i: u32) -> Option<&'a [u32]> {
        let classes = word(self.device_words, 1);
        let table = (self.array_count() as usize).checked_mul(ARRAY_WORDS)?.checked_add(2)?;
        let at = table.checked_add(2 * i as usize)?;
        if i >= classes {
            return None;
        }
        let (first, len) = (word(self.device_words, at) as usize, word(self.device_words, at + 1) as usize);
        self.device_words.get(first..first.checked_add(len)?)
    }

    /// The array of a crossbar port, its class, and the parts of its memory.
    pub fn array_of(&self, port: &Port) -> Option<(Array, DeviceClass<'a>, Block)> {
        let (array, block) = self.block_of(port)?;
        Some((array, self.device_class(array.class)?, block))
    }

    /// The array of a crossbar port, and the parts of its memory.
    #[inline]
    pub(crate) fn block_of(&self, port: &Port) -> Option<(Array, Block)> {
        let array = self.array(port.device)?;
        let words = self.class_words(array.class)?;
        let kept = Kept {
            stamps: word(words, device::Header::DRIFT_AT) == 1,
            deviations: word(words, device::Header::READ_NOISE_AT) == 1,
        };
        let block = Block::of(&array.shape(), array.is_live(port), kept)?;
        Some((array, block))
    }
}

/// A crossbar port, its array and its memory are what they must be.
pub(crate) fn check(image: &Image<'_>, i: u32, port: &Port) -> Result<(), ImageError> {
    let ensure = |ok: bool, what: &'static str| match ok {
        true => Ok(()),
        false => Err(ImageError::Record { section: Section::Ports, index: i, what }),
    };
    let missing = |what| ImageError::Record { section: Section::Ports, index: i, what };
    let array = image.array(port.device).ok_or(missing("no such array"))?;
    let (_, _, block) = image.array_of(port).ok_or(missing("no such device class, or an array too large"))?;
    let (Some(source), Some(target)) = (image.piece(port.source), image.piece(port.target)) else {
        return Err(missing("no such piece"));
    };
    let within =
        |first: u32, len: u32, count: u32| len != 0 && first.checked_add(len).is_some_and(|end| end <= count);
    ensure(within(array.row_first, array.rows, source.count), "rows beyond the source")?;
    ensure(within(array.column_first, array.columns, target.count), "columns beyond the target")?;
    let drive = u64::from(array.rows) * u64::from(source.payload_max);
    ensure(drive < MOST_DRIVE, "rows times payload of 65,536 or more in one array")?;
    let devices = array.shape().devices().unwrap_or(usize::MAX) as u64;
    let last_row = u64::from(array.rows - 1) * u64::from(array.row_devices);
    let end = u64::from(array.first_device) + last_row + 2 * u64::from(array.columns);
    ensure(end <= u64::from(device::MOST_DEVICES), "device numbers beyond 2^28")?;
    ensure(devices <= u64::from(device::MOST_DEVICES), "an array of more than 2^28 devices")?;
    let wide = u64::from(array.row_devices) >= 2 * u64::from(array.columns);
    ensure(wide, "rows of devices that share numbers")?;
    ensure(array.gain.shift <= 62 && array.weight.shift <= 62, "a scale's shift above 62")?;
    ensure(array.energy_shift <= 62 && array.stamp_shift <= 63, "a shift above 62")?;
    ensure(array.top == 0 || array.full_scale != 0, "a converter without range")?;
    ensure(!array.comparator || array.top == 1, "a comparator of several codes")?;
    ensure(array.top < 1 << 24 && array.full_scale < 1 << 31, "a converter beyond 24 bits")?;
    ensure(u64::from(port.row_bound) >= array.row_bound(), "row bound below the array's")?;
    let w = array.weight.of(1 << 15);
    ensure(w <= 1 << 15, "weights beyond 16 bits")?;
    ensure((1..=1 << 16).contains(&array.most_pulses), "most pulses of a change not 1 to 65,536")?;
    let bytes = if array.is_live(port) { image.plastic } else { image.data };
    let at = port.offset as usize * 8;
    ensure(at.checked_add(block.bytes).is_some_and(|e| e <= bytes.len()), "memory outside of its section")?;
    if array.is_live(port) {
        let core = image.core(target.core).ok_or(missing("no such core"))?;
        let first = core.plastic_first as usize * 8;
        let end = first + core.plastic_len as usize * 8;
        ensure(at >= first && at + block.bytes <= end, "memory of another core")?;
    }
    Ok(())
}

/// The charge of a row in the memory of a fixed array.
pub(crate) fn fixed_charge(block: &[u8], row: usize) -> u64 {
    crate::words::le_u64(bytes_at(block, 8 * row, 8), 0)
}
