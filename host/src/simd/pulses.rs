//! Pulses on memristive pairs by AVX-512: eight pairs at once, a pair in each 64-bit lane, plus in its lower half.
//!
//! The arithmetic is that of [`DeviceClass::pulse`], [`DeviceClass::instance`] and the crossbar's read matrix, on
//! 64-bit integers lane by lane. The one division is done in floating point and exact: its dividend is below 2^48, so a
//! quotient that is no integer is further from the next one than a rounding error of `f64` reaches.
//!
//! Proof of safety of the loads, stores, gathers and scatters:
//!
//! * columns of a group are compared with the length of the matrix; counts are as many, states, pulse numbers and
//!   factors have two per column, by [`serves`];
//! * nodes are looked up at states of at most `top`, hence at segments below `2^log2_segments`, and the tables have
//!   one node more, of two or four tables, by [`serves`];
//! * deviates are looked up in registers.

use std::arch::x86_64::*;

use synop_core::crossbar::{Pulsed, Pulsing};
#[cfg(doc)]
use synop_core::device::DeviceClass;
use synop_core::device::{Coordinate, NORMAL, Purpose, address};

/// Pairs of a group.
const LANES: usize = 8;

/// The upper half of [`NORMAL`]; the lower one is its mirror image.
static DEVIATES: [i16; 128] = {
    let (mut half, mut i) = ([0; 128], 0);
    while i < 128 {
        half[i] = NORMAL[128 + i];
        assert!(NORMAL[127 - i] == -half[i], "the deviates are symmetric");
        i += 1;
    }
    half
};

/// Whether the loops below know this class, and all slices have the lengths that they need.
fn serves(row: &Pulsing<'_, '_>) -> bool {
    let (h, n) = (row.class.header(), row.counts.len());
    let tables = if h.cycle_kind == 2 { 4 } else { 2 };
    h.log_normal == 0
        && h.level_bits == 0
        && row.number.is_multiple_of(2)
        && row.class.nodes().len() == tables * ((1 << h.log2_segments) + 1)
        && row.states.len() == 2 * n
        && row.pulses.len() == 2 * n
        && row.matrix.len() == n
        && (row.factors.is_empty() || row.factors.len() == 2 * n)
}

/// A class in vectors.
struct Class<'a> {
    nodes: &'a [i32],
    key: [u32; 2],
    /// Nodes of one table.
    table: i64,
    shift: __m128i,
    rest: __m512i,
    half: __m512i,
    cycle_kind: i32,
    cycle_sd: __m512i,
    fraction: __m128i,
    /// What is added before the fraction is cut off, where it is not drawn.
    round: __m512i,
    dither: Option<__m512i>,
    cut: bool,
    low: __m512i,
    high: __m512i,
    zero: __m512i,
    top: __m512i,
    write_sd: Option<__m512i>,
    spread: Option<Spread>,
    /// Pulses that no device of a group may reach.
    limit: __m512i,
    /// Conductance of state 0, in states, and in 2^−24 of the range.
    pedestal: __m512i,
    pedestal_q24: __m512i,
    q24: __m128i,
    both: bool,
}

/// What distinguishes devices of a class; pairs of values are (up, down).
struct Spread {
    gain_sd: __m512i,
    share: [__m512i; 2],
    only: [__m512i; 2],
    low_reach: __m512i,
    high_reach: __m512i,
    low_sd: __m512i,
    high_sd: __m512i,
    kinds: [i32; 2],
    /// Nominal span times 2^24.
    spans: [__m512d; 2],
    /// Thresholds of stuck high, low, anywhere; twice the reach of the last.
    faults: Option<[__m512i; 4]>,
}

/// One device of each pair of a group.
struct Devices {
    low: __m512i,
    high: __m512i,
    gain: __m512i,
    /// Place of a state in the tables: nominal + ((state − own) · ratio) >> 24, where devices are stretched.
    stretch: Option<[__m512i; 3]>,
    stuck: Option<(__mmask8, __m512i)>,
}

/// Sums over groups.
struct Sums {
    charge_up: __m512i,
    charge_down: __m512i,
    gained: __m512i,
}

/// As many leading columns as this can do: all, unless a device may wear out or has a state out of range.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn pulse_512(mut row: Pulsing<'_, '_>) -> Pulsed {
    let mut done = Pulsed::default();
    if !serves(&row) {
        return done;
    }
    let class = Class::of(&row);
    let nothing = _mm512_setzero_si512();
    let mut sums = Sums { charge_up: nothing, charge_down: nothing, gained: nothing };
    let (counts, n) = (row.counts, row.counts.len());
    let (mut columns, mut base, mut next, mut active) = ([0u32; LANES], 0, 0, 0u64);
    done.columns = n;
    loop {
        let mut filled = 0;
        while filled < LANES {
            if active == 0 {
                let Some(ahead) = counts.get(next..).filter(|a| !a.is_empty()) else { break };
                active = others_than_zero(ahead);
                (base, next) = (next, next + 64);
                continue;
            }
            let lane = active.trailing_zeros();
            let column = base as u32 + lane;
            if filled == 0 && active >> lane & 0xff == 0xff {
                columns = std::array::from_fn(|i| column + i as u32);
                filled = LANES;
                active &= !(0xff << lane);
            } else {
                columns[filled] = column;
                filled += 1;
                active &= active - 1;
            }
        }
        if filled == 0 {
            break;
        }
        if !class.group(&mut row, &columns, filled, &mut sums, &mut done) {
            done.columns = columns[0] as usize;
            break;
        }
    }
    done.charge_up = _mm512_reduce_add_epi64(sums.charge_up) as u64;
    done.charge_down = _mm512_reduce_add_epi64(sums.charge_down) as u64;
    done.gained = _mm512_reduce_add_epi64(sums.gained) as u64;
    done
}

/// Which of the first 64 counts are not zero.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn others_than_zero(counts: &[i32]) -> u64 {
    let mut mask = 0;
    for (i, part) in counts.chunks(16).take(4).enumerate() {
        let there = (0xffffu32 >> (16 - part.len())) as __mmask16;
        // SAFETY: only lanes that are there are loaded.
        let part = unsafe { _mm512_maskz_loadu_epi32(there, part.as_ptr()) };
        mask |= u64::from(_mm512_test_epi32_mask(part, part)) << (16 * i);
    }
    mask
}

/// A block of Threefry-2x32 of 13 rounds per lane: the numbers of plus and of minus.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn threefry(key: [u32; 2], time: __m256i, block: __m256i) -> [__m512i; 2] {
    let word = |w: u32| _mm256_set1_epi32(w as i32);
    let last = 0x1BD1_1BDA ^ key[0] ^ key[1];
    let (mut a, mut b) = (_mm256_add_epi32(time, word(key[0])), _mm256_add_epi32(block, word(key[1])));
    macro_rules! rounds {
        ($($turn:literal)*) => {$(
            a = _mm256_add_epi32(a, b);
            b = _mm256_xor_si256(_mm256_rol_epi32::<$turn>(b), a);
        )*};
    }
    macro_rules! inject {
        ($x:expr, $y:expr) => {
            a = _mm256_add_epi32(a, word($x));
            b = _mm256_add_epi32(b, word($y));
        };
    }
    rounds!(13 15 26 6);
    inject!(key[1], last.wrapping_add(1));
    rounds!(17 29 16 24);
    inject!(last, key[0].wrapping_add(2));
    rounds!(13 15 26 6);
    inject!(key[0], key[1].wrapping_add(3));
    rounds!(17);
    [_mm512_cvtepu32_epi64(a), _mm512_cvtepu32_epi64(b)]
}

/// The deviates that the four bytes of the bits of each lane select, in the four words of the lane.
///
/// The table is looked up in registers: a gather costs more than all else that becomes of a deviate.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn deviates(bits: __m512i) -> __m512i {
    // Byte i of a lane to its word i; a set high bit gives 0.
    let bytes =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, -1, 1, -1, 2, -1, 3, -1, 8, -1, 9, -1, 10, -1, 11, -1));
    let at = _mm512_shuffle_epi8(bits, bytes);
    let mirrored = _mm512_testn_epi16_mask(at, _mm512_set1_epi16(0x80));
    let at = _mm512_mask_sub_epi16(at, mirrored, _mm512_set1_epi16(127), at);
    // SAFETY: four vectors of 32 words are the whole of the table.
    let [a, b, c, d] =
        [0, 1, 2, 3].map(|i| unsafe { _mm512_loadu_si512(DEVIATES.as_ptr().add(32 * i).cast()) });
    let far = _mm512_test_epi16_mask(at, _mm512_set1_epi16(0x40));
    let found = _mm512_mask_blend_epi16(
        far,
        _mm512_permutex2var_epi16(a, at, b),
        _mm512_permutex2var_epi16(c, at, d),
    );
    _mm512_mask_sub_epi16(found, mirrored, _mm512_setzero_si512(), found)
}

/// Word `WORD` of each lane, with its sign; `LEFT` is 48 − 16 `WORD`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn word<const LEFT: u32>(words: __m512i) -> __m512i {
    _mm512_srai_epi64::<48>(_mm512_slli_epi64::<LEFT>(words))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn clamp(value: __m512i, low: __m512i, high: __m512i) -> __m512i {
    _mm512_min_epi64(_mm512_max_epi64(value, low), high)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn all(value: i64) -> __m512i {
    _mm512_set1_epi64(value)
}

impl<'a> Class<'a> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn of(row: &Pulsing<'_, 'a>) -> Class<'a> {
        let h = row.class.header();
        let shift = (h.state_bits - h.log2_segments) as u32;
        let q24 = 24 - h.state_bits;
        let unit = 1i64 << h.fraction_bits;
        Class {
            nodes: row.class.nodes(),
            key: row.key,
            table: (1 << h.log2_segments) + 1,
            shift: _mm_cvtsi32_si128(shift as i32),
            rest: all((1 << shift) - 1),
            half: all((1 << shift) >> 1),
            cycle_kind: h.cycle_kind,
            cycle_sd: all(h.cycle_sd_q8.into()),
            fraction: _mm_cvtsi32_si128(h.fraction_bits),
            round: all(unit >> 1),
            dither: if h.dither == 1 { Some(all(unit - 1)) } else { None },
            cut: h.fraction_bits > 0,
            low: all(h.low.into()),
            high: all(h.high.into()),
            zero: all(h.zero.into()),
            top: all(row.class.top().into()),
            write_sd: if h.write_sd != 0 { Some(all(h.write_sd.into())) } else { None },
            spread: if h.spread == 1 { Some(Spread::of(row)) } else { None },
            limit: all(row.class.least_endurance().into()),
            pedestal: all(i64::from(row.pedestal) >> q24),
            pedestal_q24: all(row.pedestal.into()),
            q24: _mm_cvtsi32_si128(q24),
            both: row.both,
        }
    }

    /// Pulses the first `n` of `columns`, which ascend and all have pulses to come; `false` where it must not.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn group(
        &self,
        row: &mut Pulsing<'_, '_>,
        columns: &[u32; LANES],
        n: usize,
        sums: &mut Sums,
        done: &mut Pulsed,
    ) -> bool {
        let (first, last) = (columns[0] as usize, columns[n - 1] as usize);
        let present = (0xffu32 >> (LANES - n)) as __mmask8;
        let joined = n == LANES && last - first == LANES - 1;
        // SAFETY: an array of eight.
        let place = unsafe { _mm256_loadu_si256(columns.as_ptr().cast()) };
        let beyond = _mm256_mask_cmpgt_epu32_mask(present, place, _mm256_set1_epi32(last as i32));
        if last >= row.matrix.len() || beyond != 0 {
            return false;
        }
        let index = _mm512_cvtepu32_epi64(place);
        let counts = if joined {
            // SAFETY: columns are inside the row, as compared above, here and below, and eight in a row.
            unsafe { _mm256_loadu_si256(row.counts.as_ptr().add(first).cast()) }
        } else {
            let counts: [i32; LANES] =
                std::array::from_fn(|i| if i < n { row.counts[columns[i] as usize] } else { 0 });
            // SAFETY: an array of eight.
            unsafe { _mm256_loadu_si256(counts.as_ptr().cast()) }
        };
        let counts = _mm512_cvtepi32_epi64(counts);
        let load = |from: &[u32]| -> __m512i {
            // SAFETY: two per column.
            unsafe {
                match joined {
                    true => _mm512_loadu_si512(from.as_ptr().add(2 * first).cast()),
                    false => _mm512_mask_i64gather_epi64::<8>(
                        _mm512_setzero_si512(),
                        present,
                        index,
                        from.as_ptr().cast(),
                    ),
                }
            }
        };
        let lower = all(0xffff_ffff);
        let halves = |pair| [_mm512_and_si512(pair, lower), _mm512_srli_epi64::<32>(pair)];
        let (mut states, mut pulses) = (halves(load(row.states)), halves(load(row.pulses)));
        let up = _mm512_cmpgt_epi64_mask(counts, _mm512_setzero_si512());
        let wanted = _mm512_abs_epi64(counts);
        let sides = if self.both { 2 } else { 1 };
        for side in 0..2 {
            let wild = _mm512_cmpgt_epu64_mask(states[side], self.top);
            let end = if side < sides { _mm512_add_epi64(pulses[side], wanted) } else { pulses[side] };
            if (wild | _mm512_cmpgt_epu64_mask(end, self.limit)) & present != 0 {
                return false;
            }
        }
        let block = |purpose: Purpose| {
            let base = (row.number >> 1 << 3) | (address(purpose, 0) >> 1);
            _mm256_add_epi32(_mm256_set1_epi32(base as i32), _mm256_slli_epi32::<3>(place))
        };
        let at = |time| threefry(self.key, _mm512_cvtepi64_epi32(time), block(Purpose::Pulse));
        // A minus device that takes no pulses has bits for what reads see of it, and they stay.
        let kept = match (self.both, self.write_sd) {
            (false, Some(_)) => at(pulses[1])[1],
            _ => _mm512_setzero_si512(),
        };
        let drawn = |pulses: &[__m512i; 2]| {
            let [plus, minus] = at(pulses[0]);
            let minus = match self.both {
                true if _mm512_cmpneq_epi64_mask(pulses[0], pulses[1]) != 0 => at(pulses[1])[1],
                true => minus,
                false => kept,
            };
            [plus, minus]
        };
        let devices = match &self.spread {
            None => [self.nominal(), self.nominal()],
            Some(spread) => {
                let none = _mm256_setzero_si256();
                let own = threefry(self.key, none, block(Purpose::Spread));
                let fault = match spread.faults {
                    Some(_) => threefry(self.key, none, block(Purpose::Fault)),
                    None => own,
                };
                let minus = match self.both {
                    true => self.devices(spread, own[1], fault[1], !up),
                    false => self.nominal(),
                };
                [self.devices(spread, own[0], fault[0], up), minus]
            }
        };
        let mut bits = drawn(&pulses);
        let before = self.seen(&states, &bits);
        let most = _mm512_reduce_max_epu64(wanted);
        for round in 0..most {
            if round > 0 {
                bits = drawn(&pulses);
            }
            let active = _mm512_cmpgt_epu64_mask(wanted, all(round as i64));
            let mut charge = [_mm512_setzero_si512(); 2];
            for side in 0..sides {
                let old = states[side];
                let ahead = if side == 0 { up } else { !up };
                let new = self.pulse(old, bits[side], &devices[side], ahead);
                charge[side] = _mm512_maskz_add_epi64(active, self.conducted(old), self.conducted(new));
                states[side] = _mm512_mask_mov_epi64(old, active, new);
                pulses[side] = _mm512_mask_add_epi64(pulses[side], active, pulses[side], all(1));
            }
            sums.charge_up =
                _mm512_add_epi64(sums.charge_up, _mm512_mask_blend_epi64(up, charge[1], charge[0]));
            sums.charge_down =
                _mm512_add_epi64(sums.charge_down, _mm512_mask_blend_epi64(up, charge[0], charge[1]));
            let (ups, downs) = ((active & up).count_ones(), (active & !up).count_ones());
            done.up += u64::from(ups + if self.both { downs } else { 0 });
            done.down += u64::from(downs + if self.both { ups } else { 0 });
        }
        let after = match self.write_sd {
            Some(_) => self.seen(&states, &drawn(&pulses)),
            None => states,
        };
        let charge = |[a, b]: [__m512i; 2]| _mm512_add_epi64(self.conducted(a), self.conducted(b));
        let gained = _mm512_maskz_sub_epi64(present, charge(after), charge(before));
        sums.gained = _mm512_add_epi64(sums.gained, gained);
        let factors = match row.factors {
            [] => None,
            // SAFETY: two of 16 bits per column, loaded as one of 32.
            factors => Some(halves16(unsafe {
                _mm512_cvtepu32_epi64(_mm512_mask_i64gather_epi32::<4>(
                    _mm256_setzero_si256(),
                    present,
                    index,
                    factors.as_ptr().cast(),
                ))
            })),
        };
        let (a, b) = match factors {
            Some([f, g]) => (self.units(after[0], Some(f)), self.units(after[1], Some(g))),
            None => (self.units(after[0], None), self.units(after[1], None)),
        };
        let weight = clamp(_mm512_sub_epi64(a, b), all(-32767), all(32767));
        let narrow = _mm512_cvtepi64_epi16(weight);
        let old = if joined {
            // SAFETY: as above.
            unsafe {
                let at = row.matrix.as_mut_ptr().add(first).cast();
                let old = _mm_loadu_si128(at);
                _mm_storeu_si128(at, narrow);
                old
            }
        } else {
            let (mut weights, mut old) = ([0i16; LANES], [0i16; LANES]);
            // SAFETY: an array of eight.
            unsafe { _mm_storeu_si128(weights.as_mut_ptr().cast(), narrow) };
            for lane in 0..n {
                old[lane] = std::mem::replace(&mut row.matrix[columns[lane] as usize], weights[lane]);
            }
            // SAFETY: an array of eight.
            unsafe { _mm_loadu_si128(old.as_ptr().cast()) }
        };
        let old = _mm512_cvtepi16_epi64(old);
        let differ = |a, b| (_mm512_cmpneq_epi64_mask(a, b) & present).count_ones();
        let zero = _mm512_setzero_si512();
        done.changes.changed += u64::from(differ(weight, old));
        done.changes.nonzero += i64::from(differ(weight, zero)) - i64::from(differ(old, zero));
        let store = |to: &mut [u32], [plus, minus]: [__m512i; 2]| {
            let pair = _mm512_or_si512(plus, _mm512_slli_epi64::<32>(minus));
            // SAFETY: two per column.
            unsafe {
                match joined {
                    true => _mm512_storeu_si512(to.as_mut_ptr().add(2 * first).cast(), pair),
                    false => {
                        _mm512_mask_i64scatter_epi64::<8>(to.as_mut_ptr().cast(), present, index, pair);
                    }
                }
            }
        };
        store(row.states, states);
        store(row.pulses, pulses);
        true
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn nominal(&self) -> Devices {
        Devices { low: self.low, high: self.high, gain: all(1 << 12), stretch: None, stuck: None }
    }

    /// As `DeviceClass::instance_of`, of what pulses in one direction need: up where `up`, else down.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn devices(&self, spread: &Spread, own: __m512i, fault: __m512i, up: __mmask8) -> Devices {
        let choose = |[ahead, back]: [__m512i; 2]| _mm512_mask_blend_epi64(up, back, ahead);
        let one = all(1 << 12);
        let drawn = deviates(own);
        let common = _mm512_srai_epi64::<7>(_mm512_mul_epi32(spread.gain_sd, word::<48>(drawn)));
        let shared = _mm512_srai_epi64::<12>(_mm512_mul_epi32(common, choose(spread.share)));
        let alone = _mm512_srai_epi64::<7>(_mm512_mul_epi32(choose(spread.only), word::<32>(drawn)));
        let gain = _mm512_abs_epi64(_mm512_add_epi64(_mm512_add_epi64(one, shared), alone));
        let gain = _mm512_min_epi64(gain, all(1 << 20));
        let bound = |reach, sd, deviate| {
            let factor = _mm512_srai_epi64::<7>(_mm512_mul_epi32(sd, deviate));
            let factor = _mm512_abs_epi64(_mm512_add_epi64(one, factor));
            let reach = _mm512_srai_epi64::<12>(_mm512_mul_epi32(reach, factor));
            clamp(_mm512_add_epi64(self.zero, reach), _mm512_setzero_si512(), self.top)
        };
        let low = bound(spread.low_reach, spread.low_sd, word::<0>(drawn));
        let high = bound(spread.high_reach, spread.high_sd, word::<16>(drawn));
        let stretch = match spread.kinds {
            [0, 0] => None,
            kinds => {
                let nothing = _mm512_setzero_si512();
                let mut parts = [[nothing; 2]; 3];
                for (way, kind) in kinds.into_iter().enumerate() {
                    let (own, nominal, ratio);
                    if kind == Coordinate::Fixed as i32 {
                        (own, nominal, ratio) = (nothing, nothing, all(1 << 24));
                    } else {
                        let span = match (kind == Coordinate::Bound as i32, way) {
                            (true, 0) => _mm512_sub_epi64(high, self.zero),
                            (true, _) => _mm512_sub_epi64(self.zero, low),
                            _ => _mm512_sub_epi64(high, low),
                        };
                        let span = _mm512_cvtepi64_pd(_mm512_max_epi64(span, all(1)));
                        let whole = _mm512_cvttpd_epi64(_mm512_div_pd(spread.spans[way], span));
                        ratio = clamp(whole, nothing, all(1 << 38));
                        (own, nominal) = match kind == Coordinate::Window as i32 {
                            true => (low, self.low),
                            false => (self.zero, self.zero),
                        };
                    }
                    parts[0][way] = own;
                    parts[1][way] = nominal;
                    parts[2][way] = ratio;
                }
                let [own, nominal, ratio] = parts;
                Some([choose(own), choose(nominal), choose(ratio)])
            }
        };
        let stuck = match spread.faults {
            None => None,
            Some([first, second, third, reach]) => {
                let uniform = _mm512_srli_epi64::<1>(fault);
                let is_high = _mm512_cmplt_epu64_mask(uniform, first);
                let is_low = _mm512_cmplt_epu64_mask(uniform, second);
                let is_any = _mm512_cmplt_epu64_mask(uniform, third);
                let offset = _mm512_srli_epi64::<32>(_mm512_mul_epu32(reach, own));
                let offset = _mm512_sub_epi64(offset, _mm512_srli_epi64::<1>(reach));
                let state = clamp(_mm512_add_epi64(self.zero, offset), _mm512_setzero_si512(), self.top);
                let state = _mm512_mask_mov_epi64(state, is_low, low);
                Some((is_high | is_low | is_any, _mm512_mask_mov_epi64(state, is_high, high)))
            }
        };
        Devices { low, high: _mm512_max_epi64(high, low), gain, stretch, stuck }
    }

    /// As `DeviceClass::pulse`: up where `up`, else down.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn pulse(&self, state: __m512i, bits: __m512i, devices: &Devices, up: __mmask8) -> __m512i {
        let place = match devices.stretch {
            None => state,
            Some([own, nominal, ratio]) => {
                let moved = _mm512_mullo_epi64(_mm512_sub_epi64(state, own), ratio);
                let place = _mm512_add_epi64(nominal, _mm512_srai_epi64::<24>(moved));
                clamp(place, _mm512_setzero_si512(), self.top)
            }
        };
        let rest = _mm512_and_si512(place, self.rest);
        let node = _mm512_srl_epi64(place, self.shift);
        let node = _mm512_mask_add_epi64(node, !up, node, all(self.table));
        let at = |node| {
            // SAFETY: a place is at most `top`, so a node is not the last of its table, and the tables are there.
            let both = unsafe { _mm512_i64gather_epi64::<4>(node, self.nodes.as_ptr().cast()) };
            let high = _mm512_srai_epi64::<32>(both);
            let low = _mm512_srai_epi64::<32>(_mm512_slli_epi64::<32>(both));
            let rise = _mm512_sub_epi64(_mm512_mul_epi32(high, rest), _mm512_mul_epi32(low, rest));
            _mm512_add_epi64(low, _mm512_sra_epi64(_mm512_add_epi64(rise, self.half), self.shift))
        };
        let mut step = at(node);
        if self.cycle_kind == 2 {
            let deviation = at(_mm512_add_epi64(node, all(2 * self.table)));
            let noise = _mm512_mul_epi32(deviation, word::<48>(deviates(bits)));
            step = _mm512_add_epi64(step, _mm512_srai_epi64::<7>(_mm512_add_epi64(noise, all(64))));
        } else if self.cycle_kind == 1 {
            let share = _mm512_mul_epi32(self.cycle_sd, word::<48>(deviates(bits)));
            let noise = _mm512_add_epi64(_mm512_mul_epi32(step, share), all(1 << 14));
            step = _mm512_add_epi64(step, _mm512_srai_epi64::<15>(noise));
        }
        if self.spread.is_some() {
            let gained = _mm512_mullo_epi64(step, devices.gain);
            step = _mm512_srai_epi64::<12>(_mm512_add_epi64(gained, all(1 << 11)));
        }
        if self.cut {
            let rest = match self.dither {
                Some(mask) => _mm512_and_si512(_mm512_srli_epi64::<16>(bits), mask),
                None => self.round,
            };
            step = _mm512_sra_epi64(_mm512_add_epi64(step, rest), self.fraction);
        }
        let moved = _mm512_mask_sub_epi64(_mm512_add_epi64(state, step), !up, state, step);
        let new = clamp(moved, devices.low, devices.high);
        match devices.stuck {
            Some((stuck, state)) => _mm512_mask_mov_epi64(new, stuck, state),
            None => new,
        }
    }

    /// What reads see: states with the noise of their last write.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn seen(&self, states: &[__m512i; 2], bits: &[__m512i; 2]) -> [__m512i; 2] {
        let Some(sd) = self.write_sd else { return *states };
        let see = |state, bits| {
            let noise = _mm512_srai_epi64::<7>(_mm512_mul_epi32(sd, word::<32>(deviates(bits))));
            clamp(_mm512_add_epi64(state, noise), _mm512_setzero_si512(), self.top)
        };
        [see(states[0], bits[0]), see(states[1], bits[1])]
    }

    /// Conductance in states.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn conducted(&self, state: __m512i) -> __m512i {
        _mm512_max_epi64(_mm512_add_epi64(state, self.pedestal), _mm512_setzero_si512())
    }

    /// Conductance in units of the read matrix, after the drop along wires.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn units(&self, seen: __m512i, factor: Option<__m512i>) -> __m512i {
        let g = _mm512_add_epi64(_mm512_sll_epi64(seen, self.q24), self.pedestal_q24);
        let g = _mm512_max_epi64(g, _mm512_setzero_si512());
        let g = match factor {
            Some(f) => _mm512_srli_epi64::<16>(_mm512_mullo_epi64(g, _mm512_add_epi64(f, all(1)))),
            None => g,
        };
        _mm512_min_epi64(_mm512_srli_epi64::<9>(_mm512_add_epi64(g, all(1 << 8))), all(0xffff))
    }
}

/// Two numbers of 16 bits in each lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn halves16(pair: __m512i) -> [__m512i; 2] {
    [_mm512_and_si512(pair, all(0xffff)), _mm512_srli_epi64::<16>(pair)]
}

impl Spread {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn of(row: &Pulsing<'_, '_>) -> Spread {
        let h = row.class.header();
        let span = |kind: i32, ahead: i32| {
            let span = if kind == Coordinate::Bound as i32 { ahead } else { h.high - h.low };
            _mm512_set1_pd(f64::from(span) * f64::from(1 << 24))
        };
        let (first, low) = (h.stuck_high_q31 as u32, h.stuck_low_q31 as u32);
        let second = first.saturating_add(low);
        let third = second.saturating_add(h.stuck_random_q31 as u32);
        let (low, high, zero) = (i64::from(h.low), i64::from(h.high), i64::from(h.zero));
        Spread {
            gain_sd: all(h.gain_sd.into()),
            share: [all(h.up_share_q12.into()), all(h.down_share_q12.into())],
            only: [all(h.up_only_sd_q12.into()), all(h.down_only_sd_q12.into())],
            low_reach: all(low - zero),
            high_reach: all(high - zero),
            low_sd: all(h.low_sd_q12.into()),
            high_sd: all(h.high_sd_q12.into()),
            kinds: [h.up_coordinate, h.down_coordinate],
            spans: [span(h.up_coordinate, h.high - h.zero), span(h.down_coordinate, h.zero - h.low)],
            faults: match third {
                0 => None,
                _ => Some([
                    all(first.into()),
                    all(second.into()),
                    all(third.into()),
                    all(2 * i64::from(h.stuck_range)),
                ]),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::simd::{Level, Native};
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::{RngCore, SeedableRng};
    use synop_core::crossbar::{Changes, Crossbar, Log, Memory, Pair, Shape, Wires};
    use synop_core::draw::Threefry;
    use synop_core::store::{Kernels, Portable};
    use synop_device::{Preset, Resolution, compile, presets};

    // Under Miri one preset has to do.
    const PRESETS: usize = if cfg!(miri) { 1 } else { usize::MAX };
    const ROWS: usize = 3;
    const COLUMNS: usize = 149;
    const DEVICES: usize = 2 * ROWS * COLUMNS;

    /// Counts of a row: dense, sparse, or a few; up to four pulses either way.
    fn counts(random: &mut Xoshiro256PlusPlus) -> Vec<i32> {
        let one_in = [1, 3, 40][random.next_u32() as usize % 3];
        let mut count = || match random.next_u32() {
            r if r % one_in != 0 => 0,
            r => (r >> 16) as i32 % 9 - 4,
        };
        (0..COLUMNS).map(|_| count()).collect()
    }

    /// How a test pulses a row.
    type Pulses<'k> = &'k dyn Fn(&mut Crossbar<'_>, usize, &[i32], &mut Threefry) -> Changes;

    /// Two machines with the same devices, one pulsed by `kernels`, one by the core's loops, must stay alike. Returns
    /// how many columns the kernel has seen to.
    fn alike(preset: &Preset, resolution: &Resolution, wires: Wires, kernels: Native, seed: u64) -> usize {
        let compiled = compile(preset, resolution).expect("a class");
        let class = compiled.class().expect("a class");
        let pair = match seed % 2 {
            0 => Pair::Differential,
            _ => Pair::Reference,
        };
        let shape = Shape {
            rows: ROWS,
            columns: COLUMNS,
            pair,
            first_device: 40,
            row_devices: 2 * COLUMNS as u32,
            wires,
        };
        let factors = if wires.resist() { DEVICES } else { 0 };
        let run = |kernels: Pulses<'_>| {
            let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
            let (mut states, mut pulses) = (vec![0; DEVICES], vec![0; DEVICES]);
            let (mut matrix, mut charge, mut scratch) =
                (vec![0; DEVICES / 2], vec![0; ROWS], vec![0; 2 * COLUMNS]);
            let mut factors = vec![0; factors];
            let noisy = class.header().read_noise == 1;
            let mut deviations = vec![0; if noisy { DEVICES / 2 } else { 0 }];
            let mut changes = Vec::new();
            let mut log = Log::default();
            for part in 0..3 {
                let memory = Memory {
                    states: &mut states,
                    pulses: &mut pulses,
                    stamps: &mut [],
                    factors: &mut factors,
                    matrix: &mut matrix,
                    deviations: &mut deviations,
                    charge: &mut charge,
                    scratch: &mut scratch,
                };
                let mut draws = Threefry::new(seed);
                let mut bar = Crossbar::new(class, shape, memory).expect("a crossbar").resumed(log);
                if part == 0 {
                    bar.reset(0, &mut draws);
                }
                for row in (0..4 * ROWS).map(|r| r % ROWS) {
                    changes.push(kernels(&mut bar, row, &counts(&mut random), &mut draws));
                }
                log = *bar.log();
                // Memory that no run leaves behind: unequal pulse numbers, the last ones, states out of range.
                for k in (part..DEVICES).step_by(61) {
                    pulses[k] = if k % 2 == 0 { u32::MAX - 1 } else { 7 };
                    states[(k * 7) % DEVICES] = random.next_u32() >> (k % 9);
                }
            }
            (states, pulses, matrix, charge, log, changes)
        };
        let plain = run(&|bar, row, counts, draws| bar.pulse_row(row, counts, 0, &Portable, draws));
        let seen = std::cell::Cell::new(0);
        let watched = Watched { kernels, seen: &seen };
        let fast = run(&|bar, row, counts, draws| bar.pulse_row(row, counts, 0, &watched, draws));
        assert!(plain == fast, "{} {resolution:?} {wires:?} {:?} {seed}", preset.name, kernels.level());
        seen.get()
    }

    struct Watched<'s> {
        kernels: Native,
        seen: &'s std::cell::Cell<usize>,
    }

    impl Kernels for Watched<'_> {
        fn pulse(&self, row: super::Pulsing<'_, '_>) -> super::Pulsed {
            let done = self.kernels.pulse(row);
            self.seen.set(self.seen.get() + done.columns);
            done
        }
    }

    #[test]
    fn every_level_pulses_alike() {
        let full = Resolution { drift: false, ..Resolution::default() };
        let all = [
            full,
            Resolution::bare(24, 5),
            Resolution { state_bits: 16, dither_bits: 6, ..full },
            Resolution { spread: false, noise: false, ..full },
        ];
        let wired = Wires { row_q48: 500, column_q48: 900, pedestal: -(1 << 18) };
        for level in Native::levels() {
            let kernels = Native::at(level).expect("a level of this processor");
            for (k, name) in presets().into_iter().take(PRESETS).enumerate() {
                let mut preset = Preset::shipped(name).expect("ships");
                for (i, resolution) in all.iter().enumerate() {
                    let wires = if (i + k) % 2 == 0 {
                        wired
                    } else {
                        Wires { pedestal: 1 << 18, ..Wires::default() }
                    };
                    let seed = (i + k) as u64 / 2;
                    let seen = alike(&preset, resolution, wires, kernels, seed);
                    let known = !preset.spread.log_normal
                        && preset.level_bits.is_none()
                        && preset.read_noise.is_none();
                    assert!(level < Level::Avx512 || !known || seen > 0, "{name}: the vector loop never ran");
                    if let Some(endurance) = &mut preset.endurance {
                        (endurance.median, endurance.log_deviation) = (12.0, 0.3);
                    }
                }
            }
        }
    }
}
