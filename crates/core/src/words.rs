//! Reading little words from slices, without a panic anywhere.

/// Word `i`, or 0 past the end.
#[inline(always)]
pub(crate) fn word(words: &[u32], i: usize) -> u32 {
    words.get(i).copied().unwrap_or(0)
}

/// Little-endian `u32` at byte `at`, or 0 past the end.
pub(crate) fn le_u32(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..).and_then(|b| b.first_chunk::<4>()) {
        Some(b) => u32::from_le_bytes(*b),
        None => 0,
    }
}

/// Little-endian `u64` at byte `at`, or 0 past the end.
pub(crate) fn le_u64(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(|b| b.first_chunk::<8>()) {
        Some(b) => u64::from_le_bytes(*b),
        None => 0,
    }
}

/// Rounds up to a multiple of `to` (a power of two).
pub(crate) fn align_up(n: usize, to: usize) -> usize {
    n.saturating_add(to - 1) & !(to - 1)
}

/// The bytes `[at, at + len)`, or nothing.
#[inline(always)]
pub(crate) fn bytes_at(bytes: &[u8], at: usize, len: usize) -> &[u8] {
    bytes.get(at..at.saturating_add(len)).unwrap_or(&[])
}
