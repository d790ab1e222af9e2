//! Random numbers as a function of (seed, purpose, time, index).
//!
//! Nothing in the machine shares a stream: whoever needs a number names what it is for, when, and which one. So a
//! result does not depend on the order of evaluation, on the number of threads, or on which kernel ran.
//! The generator is Threefry-2x32 (Salmon, Moraes, Dror, Shaw, SC 2011): additions, rotations and exclusive ors on
//! 32-bit words, which serve a Cortex-M0 and a SIMD unit alike.

/// Purpose base of plasticity draws; a rule adds its own number.
pub const PLASTICITY: u32 = 0x0100_0000;
/// Purpose base of the decay of weights; a projection adds its own number.
pub const DECAY: u32 = 0x0300_0000;
/// Purpose base of drawn error bits; a population adds its own number.
pub const ERROR_BITS: u32 = 0x0400_0000;

/// A source of 32-bit random numbers that are addressed, not consumed.
pub trait Draws {
    /// The number `index` of `purpose` at `time` (a tick, or the number of an update).
    fn draw(&mut self, purpose: u32, time: u64, index: u32) -> u32;

    /// Writes the numbers `first`, `first + 1`, … (wrapping) of `purpose` at `time` to `out`: the same values as
    /// [`draw`](Draws::draw) gives one by one, faster.
    fn fill(&mut self, purpose: u32, time: u64, first: u32, out: &mut [u32]) {
        let mut index = first;
        for word in out {
            *word = self.draw(purpose, time, index);
            index = index.wrapping_add(1);
        }
    }

    /// Writes two numbers for each time: `index` and `index + 1`, where `index` begins at the even number `first` and
    /// grows by `stride` from time to time. The same values as [`draw`](Draws::draw) gives, faster.
    fn pairs(&mut self, purpose: u32, times: &[u32], first: u32, stride: u32, out: &mut [u32]) {
        let mut index = first;
        for (pair, time) in out.chunks_exact_mut(2).zip(times) {
            for (word, index) in pair.iter_mut().zip([index, index | 1]) {
                *word = self.draw(purpose, u64::from(*time), index);
            }
            index = index.wrapping_add(stride);
        }
    }

    /// The key under which blocks of [`threefry2x32`] of 13 rounds give the numbers of `purpose` at times whose upper
    /// half is `time_high`, as [`Threefry`] says; `None` where the numbers come from elsewhere. For kernels, which draw
    /// the same numbers many at a time.
    fn threefry_key(&mut self, purpose: u32, time_high: u32) -> Option<[u32; 2]> {
        let _ = (purpose, time_high);
        None
    }
}

/// Rotations of the rounds 0–3 of every eight, and of the rounds 4–7.
const EVEN: [u32; 4] = [13, 15, 26, 6];
const ODD: [u32; 4] = [17, 29, 16, 24];
const PARITY: u32 = 0x1BD1_1BDA;
/// Blocks that a bulk fill computes in one loop, long enough to become vector instructions.
const LANES: usize = 16;

/// One Threefry-2x32 block of `ROUNDS` rounds, at most 20: the bijection that `key` selects, applied to `counter`.
#[must_use]
#[inline(always)]
pub fn threefry2x32<const ROUNDS: usize>(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    const { assert!(ROUNDS <= 20) };
    let [k0, k1] = key;
    let k2 = PARITY ^ k0 ^ k1;
    let [mut a, mut b] = counter;
    a = a.wrapping_add(k0);
    b = b.wrapping_add(k1);
    // Four rounds and the injection of the key after them; what is beyond the number wanted vanishes in compilation.
    let mut four = |first: usize, [r0, r1, r2, r3]: [u32; 4], x: u32, y: u32| {
        for (round, turn) in [(first, r0), (first + 1, r1), (first + 2, r2), (first + 3, r3)] {
            if round < ROUNDS {
                a = a.wrapping_add(b);
                b = b.rotate_left(turn) ^ a;
            }
        }
        if first + 4 <= ROUNDS {
            a = a.wrapping_add(x);
            b = b.wrapping_add(y);
        }
    };
    four(0, EVEN, k1, k2.wrapping_add(1));
    four(4, ODD, k2, k0.wrapping_add(2));
    four(8, EVEN, k0, k1.wrapping_add(3));
    four(12, ODD, k1, k2.wrapping_add(4));
    four(16, EVEN, k2, k0.wrapping_add(5));
    [a, b]
}

/// The production source: Threefry-2x32, by default with 13 rounds (the least that its authors found to pass
/// BigCrush). The seed and (purpose, upper half of time) select a bijection; (lower half of time, index / 2) is its
/// counter, so that within one purpose no two (time, index) share a block.
#[derive(Clone, Debug)]
pub struct Threefry<const ROUNDS: usize = 13> {
    seed: [u32; 2],
    stream: (u32, u32),
    key: [u32; 2],
    counter: [u32; 2],
    block: [u32; 2],
}

impl Threefry {
    /// The source that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::seeded(seed)
    }
}

impl<const ROUNDS: usize> Threefry<ROUNDS> {
    /// The source that belongs to `seed`, with another number of rounds.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let seed = halves(seed);
        let key = threefry2x32::<ROUNDS>(seed, [0, 0]);
        let block = threefry2x32::<ROUNDS>(key, [0, 0]);
        Self { seed, stream: (0, 0), key, counter: [0, 0], block }
    }

    fn select(&mut self, purpose: u32, time_high: u32) {
        if self.stream != (purpose, time_high) {
            self.stream = (purpose, time_high);
            self.key = threefry2x32::<ROUNDS>(self.seed, [purpose, time_high]);
            self.block = threefry2x32::<ROUNDS>(self.key, self.counter);
        }
    }
}

#[allow(clippy::cast_possible_truncation)] // the two halves are meant
fn halves(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

impl<const ROUNDS: usize> Draws for Threefry<ROUNDS> {
    fn draw(&mut self, purpose: u32, time: u64, index: u32) -> u32 {
        let [low, high] = halves(time);
        self.select(purpose, high);
        let counter = [low, index >> 1];
        if self.counter != counter {
            self.counter = counter;
            self.block = threefry2x32::<ROUNDS>(self.key, counter);
        }
        let [even, odd] = self.block;
        if index & 1 == 0 { even } else { odd }
    }

    fn fill(&mut self, purpose: u32, time: u64, first: u32, out: &mut [u32]) {
        let mut index = first;
        let mut rest = out;
        if index & 1 == 1 {
            let Some((head, tail)) = rest.split_first_mut() else { return };
            *head = self.draw(purpose, time, index);
            index = index.wrapping_add(1);
            rest = tail;
        }
        let [low, high] = halves(time);
        self.select(purpose, high);
        let mut groups = rest.chunks_exact_mut(2 * LANES);
        for group in &mut groups {
            // `index` is even, so the blocks of a group are consecutive modulo 2^31.
            let (mut even, mut odd) = ([0; LANES], [0; LANES]);
            for (lane, (x, y)) in (0u32..).zip(even.iter_mut().zip(&mut odd)) {
                let block = (index >> 1).wrapping_add(lane) & (u32::MAX >> 1);
                [*x, *y] = threefry2x32::<ROUNDS>(self.key, [low, block]);
            }
            for (pair, (x, y)) in group.chunks_exact_mut(2).zip(even.into_iter().zip(odd)) {
                pair.copy_from_slice(&[x, y]);
            }
            index = index.wrapping_add(2 * LANES as u32);
        }
        for word in groups.into_remainder() {
            *word = self.draw(purpose, time, index);
            index = index.wrapping_add(1);
        }
    }

    #[inline]
    fn pairs(&mut self, purpose: u32, times: &[u32], first: u32, stride: u32, out: &mut [u32]) {
        self.select(purpose, 0);
        let key = self.key;
        let mut index = first;
        let mut lanes = out.chunks_exact_mut(2 * LANES).zip(times.chunks_exact(LANES));
        let mut done = 0;
        for (group, times) in &mut lanes {
            let (mut even, mut odd) = ([0; LANES], [0; LANES]);
            for (lane, ((x, y), time)) in (0u32..).zip(even.iter_mut().zip(&mut odd).zip(times)) {
                let block = index.wrapping_add(lane.wrapping_mul(stride)) >> 1;
                [*x, *y] = threefry2x32::<ROUNDS>(key, [*time, block]);
            }
            for (pair, (x, y)) in group.chunks_exact_mut(2).zip(even.into_iter().zip(odd)) {
                pair.copy_from_slice(&[x, y]);
            }
            index = index.wrapping_add(stride.wrapping_mul(LANES as u32));
            done += LANES;
        }
        let rest = out.get_mut(2 * done..).unwrap_or_default().chunks_exact_mut(2);
        for (pair, time) in rest.zip(times.get(done..).unwrap_or(&[])) {
            pair.copy_from_slice(&threefry2x32::<ROUNDS>(key, [*time, index >> 1]));
            index = index.wrapping_add(stride);
        }
    }

    fn threefry_key(&mut self, purpose: u32, time_high: u32) -> Option<[u32; 2]> {
        self.select(purpose, time_high);
        (ROUNDS == 13).then_some(self.key)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn blocks_equal_the_published_known_answers() {
        let zero = [0, 0];
        let ones = [u32::MAX, u32::MAX];
        let pi = ([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]);
        assert_eq!(threefry2x32::<20>(zero, zero), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(threefry2x32::<20>(ones, ones), [0x1cb9_96fc, 0xbb00_2be7]);
        assert_eq!(threefry2x32::<20>(pi.0, pi.1), [0xc492_3a9c, 0x483d_f7a0]);
        assert_eq!(threefry2x32::<13>(zero, zero), [0x9d1c_5ec6, 0x8bd5_0731]);
        assert_eq!(threefry2x32::<13>(ones, ones), [0xfd36_d048, 0x2d17_272c]);
        assert_eq!(threefry2x32::<13>(pi.0, pi.1), [0xba3e_4725, 0xf27d_669e]);
    }

    #[test]
    fn a_bulk_fill_equals_single_draws() {
        for first in [0, 1, 2, 7, 1000, u32::MAX - 20] {
            for length in [0, 1, 2, 15, 63, 64, 65, 129, 200] {
                let mut bulk = [0; 200];
                let mut single = Threefry::new(42);
                let mut source = single.clone();
                source.fill(3, 1 << 40 | 5, first, &mut bulk[..length]);
                for (i, word) in (0u32..).zip(&bulk[..length]) {
                    assert_eq!(
                        *word,
                        single.draw(3, 1 << 40 | 5, first.wrapping_add(i)),
                        "{first} {length} {i}"
                    );
                }
            }
        }
    }

    #[test]
    fn pairs_equal_single_draws() {
        for length in [0, 1, 15, 16, 17, 40] {
            let times: std::vec::Vec<u32> = (0..length).map(|i| i * i % 7).collect();
            let mut bulk = std::vec![0; 2 * length as usize];
            let mut single = Threefry::new(42);
            single.clone().pairs(9, &times, 38, 16, &mut bulk);
            for (i, word) in (0u32..).zip(&bulk) {
                let time = u64::from(times[i as usize / 2]);
                assert_eq!(*word, single.draw(9, time, 38 + 16 * (i / 2) + i % 2));
            }
        }
    }

    #[test]
    fn a_draw_depends_on_each_part_of_its_address_and_on_nothing_else() {
        let address = [
            (1, 0, 0, 0),
            (2, 0, 0, 0),
            (1, 1, 0, 0),
            (1, 0, 1, 0),
            (1, 0, 1 << 32, 0),
            (1, 0, 0, 1),
            (1, 0, 0, 2),
        ];
        let value = |(seed, purpose, time, index)| Threefry::new(seed).draw(purpose, time, index);
        for (i, a) in address.iter().enumerate() {
            for b in &address[..i] {
                assert_ne!(value(*a), value(*b), "{a:?} {b:?}");
            }
        }
        let mut used = Threefry::new(1);
        for a in address {
            used.draw(a.1, a.2, a.3);
        }
        assert_eq!(used.draw(0, 0, 0), value((1, 0, 0, 0)));
    }
}
