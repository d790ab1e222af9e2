//! The random stream of an input unit: the 32-bit Mersenne twister (Matsumoto and Nishimura 1998), as SANA-FE's units
//! use it, so that its random inputs can be repeated.

const WORDS: usize = 624;
const MIDDLE: usize = 397;

/// A stream of uniform numbers.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    words: Vec<u32>,
    next: usize,
}

impl Stream {
    /// The stream of a seed.
    pub(super) fn new(seed: u32) -> Stream {
        let mut words = vec![seed];
        for i in 1..WORDS as u32 {
            let last = words[i as usize - 1];
            words.push(1_812_433_253u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(i));
        }
        Stream { words, next: WORDS }
    }

    fn word(&mut self) -> u32 {
        if self.next == WORDS {
            for k in 0..WORDS {
                let y = (self.words[k] & 0x8000_0000) | (self.words[(k + 1) % WORDS] & 0x7fff_ffff);
                let odd = if y & 1 != 0 { 0x9908_b0df } else { 0 };
                self.words[k] = self.words[(k + MIDDLE) % WORDS] ^ (y >> 1) ^ odd;
            }
            self.next = 0;
        }
        let mut y = self.words[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// A number from 0 to below 1 of two words, the low one first.
    pub(super) fn uniform(&mut self) -> f64 {
        let low = f64::from(self.word());
        let high = f64::from(self.word());
        (low + high * 4_294_967_296.0) / 18_446_744_073_709_551_616.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ten_thousandth_word_is_the_published_one() {
        let mut stream = Stream::new(5489);
        let last = (0..10_000).map(|_| stream.word()).last();
        assert_eq!(last, Some(4_123_659_995));
    }
}
