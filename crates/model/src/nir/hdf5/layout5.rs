//! HDF5 2.0 writes data layout messages of version 5. They differ from version 4 only in the
//! width of stored chunk sizes, and not at all for contiguous, compact and single-chunk data,
//! which is what whole-array chunks are. The HDF5 crate knows version 4, so the version byte
//! is set back, with the checksum of the object header that holds it.

const LAYOUT_MESSAGE: u8 = 0x08;

/// Rewrites every version-5 layout message in object headers of version 2 as version 4.
/// Only blocks whose checksum is right are touched, so stray bytes that look like a header
/// stay as they are.
pub(super) fn rewrite_as_version_4(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = find_header(bytes, at) {
        at = found + 4;
        if let Some(block) = Block::at(bytes, found) {
            block.downgrade(bytes);
            at = block.end;
        }
    }
}

fn find_header(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(4).position(|w| w == b"OHDR").map(|i| i + from)
}

/// The first block of an object header, version 2: where its messages lie and how they look.
struct Block {
    start: usize,
    messages: usize,
    /// Position of the checksum.
    checksum: usize,
    /// Position after the checksum.
    end: usize,
    /// Bytes before the body of a message.
    message_header: usize,
}

impl Block {
    fn at(bytes: &[u8], start: usize) -> Option<Self> {
        let flags = *bytes.get(start + 5)?;
        if *bytes.get(start + 4)? != 2 {
            return None;
        }
        let mut at = start + 6;
        at += if flags & 0x20 != 0 { 16 } else { 0 };
        at += if flags & 0x10 != 0 { 4 } else { 0 };
        let width = 1usize << (flags & 3);
        let size = bytes.get(at..at + width)?.iter().rev().fold(0u64, |n, b| (n << 8) | u64::from(*b));
        at += width;
        let checksum = at.checked_add(usize::try_from(size).ok()?)?;
        let stored = bytes.get(checksum..checksum.checked_add(4)?)?;
        let right = lookup3(bytes.get(start..checksum)?).to_le_bytes() == stored;
        let message_header = if flags & 0x04 != 0 { 6 } else { 4 };
        right.then_some(Self { start, messages: at, checksum, end: checksum + 4, message_header })
    }

    fn downgrade(&self, bytes: &mut [u8]) {
        let mut at = self.messages;
        let mut changed = false;
        while let Some(&[kind, low, high]) = bytes.get(at..at + 3).and_then(|h| h.first_chunk::<3>()) {
            let body = at + self.message_header;
            let size = usize::from(u16::from_le_bytes([low, high]));
            if body + size > self.checksum {
                break;
            }
            if kind == LAYOUT_MESSAGE
                && size > 1
                && let Some(version) = bytes.get_mut(body).filter(|v| **v == 5)
            {
                *version = 4;
                changed = true;
            }
            at = body + size;
        }
        if changed && let Some(block) = bytes.get(self.start..self.checksum) {
            let sum = lookup3(block).to_le_bytes();
            if let Some(place) = bytes.get_mut(self.checksum..self.end) {
                place.copy_from_slice(&sum);
            }
        }
    }
}

/// Bob Jenkins' lookup3 (`hashlittle`, initial value 0), the checksum of HDF5 metadata.
fn lookup3(key: &[u8]) -> u32 {
    let start = 0xdead_beef_u32.wrapping_add(key.len() as u32);
    let (mut a, mut b, mut c) = (start, start, start);
    let mut rest = key;
    while rest.len() > 12 {
        let (block, tail) = rest.split_at(12);
        a = a.wrapping_add(word(block, 0));
        b = b.wrapping_add(word(block, 4));
        c = c.wrapping_add(word(block, 8));
        a = a.wrapping_sub(c) ^ c.rotate_left(4);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(6);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(8);
        b = b.wrapping_add(a);
        a = a.wrapping_sub(c) ^ c.rotate_left(16);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(19);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(4);
        b = b.wrapping_add(a);
        rest = tail;
    }
    if rest.is_empty() {
        return c;
    }
    a = a.wrapping_add(word(rest, 0));
    b = b.wrapping_add(word(rest, 4));
    c = c.wrapping_add(word(rest, 8));
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    (c ^ b).wrapping_sub(b.rotate_left(24))
}

/// Four bytes from `at` as a little-endian word; bytes past the end count as zero.
fn word(bytes: &[u8], at: usize) -> u32 {
    (0..4).fold(0, |w, i| w | (u32::from(bytes.get(at + i).copied().unwrap_or(0)) << (8 * i)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_jenkins_lookup3() {
        // Values printed by the author's own driver for `hashlittle`.
        assert_eq!(lookup3(b""), 0xdead_beef);
        assert_eq!(lookup3(b"Four score and seven years ago"), 0x1777_0551);
    }
}
