//! Memory for images and machines.

use memmap2::MmapMut;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// Bytes of a large page, where there are such.
const PAGE: usize = 2 << 20;

/// Zeroed 64-bit words, to keep an image in or to lend to a machine. Much memory stands in large pages if the system has
/// some to give: rows at random places then hardly miss a translation of their addresses, and what fits a cache has a
/// place in it.
pub struct Memory {
    words: Words,
    len: usize,
}

enum Words {
    Heap(Vec<u64>),
    Pages(MmapMut),
}

impl Memory {
    /// `len` words.
    pub fn zeros(len: usize) -> Memory {
        let bytes = len.saturating_mul(8);
        let pages = (bytes > PAGE / 2).then(|| pages(bytes.div_ceil(PAGE).saturating_mul(PAGE))).flatten();
        Memory { words: pages.map_or_else(|| Words::Heap(vec![0; len]), Words::Pages), len }
    }
}

/// Memory of its own from the system, if there is any: whole large pages, which it then begins with.
fn pages(bytes: usize) -> Option<MmapMut> {
    let pages = MmapMut::map_anon(bytes).ok().filter(|_| !cfg!(miri))?;
    #[cfg(target_os = "linux")]
    // A system without large pages says no, and gives small ones.
    let _ = pages.advise(memmap2::Advice::HugePage);
    Some(pages)
}

impl Deref for Memory {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        match &self.words {
            Words::Heap(words) => words,
            Words::Pages(pages) => &bytemuck::cast_slice(pages)[..self.len],
        }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u64] {
        match &mut self.words {
            Words::Heap(words) => words,
            Words::Pages(pages) => &mut bytemuck::cast_slice_mut(pages)[..self.len],
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory of {} words", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_memory_is_zero_and_holds_what_is_written() {
        for len in [0, 1, 1000, PAGE / 16, PAGE / 16 + 1, PAGE / 8, PAGE / 8 + 1] {
            let mut memory = Memory::zeros(len);
            assert!(memory.len() == len && memory.iter().all(|w| *w == 0), "{memory:?}");
            assert_eq!(matches!(memory.words, Words::Pages(_)), len > PAGE / 16, "{memory:?}");
            for (i, word) in (1..).zip(memory.iter_mut()) {
                *word = i;
            }
            assert!((1..).zip(memory.iter()).all(|(i, word)| *word == i), "{memory:?}");
        }
    }
}
