//! Frames: how events and commands travel over a byte stream, or lie in flash.
//!
//! ```text
//! 0   0xA5 0x5E   start
//! 2   kind        u8    what the payload means, see [`crate::session::Command`]
//! 3   number      u8    one more than in the frame before, wrapping; shows that a frame was lost
//! 4   length      u16   bytes of the payload, at most [`MAX_PAYLOAD`]
//! 6   payload
//! …   check       u32   CRC-32 (IEEE) of everything between the start and here
//! ```
//!
//! All numbers are little-endian. What is no frame is skipped byte by byte until a whole frame checks, so a
//! reader that joins late or was fed garbage finds its way back.

/// First bytes of a frame.
pub const START: [u8; 2] = [0xA5, 0x5E];
/// Bytes before the payload.
pub const HEAD: usize = 6;
/// Bytes after the payload.
pub const TAIL: usize = 4;
/// Longest payload.
pub const MAX_PAYLOAD: usize = 512;
/// Longest frame: a reader of a stream needs a buffer of this size.
pub const MAX_FRAME: usize = HEAD + MAX_PAYLOAD + TAIL;

/// CRC-32 of four bits, reflected polynomial 0xEDB88320.
const NIBBLES: [u32; 16] = {
    let mut table = [0u32; 16];
    let mut i = 0;
    while i < 16 {
        let (mut crc, mut bit) = (i as u32, 0);
        while bit < 4 {
            crc = if crc & 1 != 0 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        #[allow(clippy::indexing_slicing)] // evaluated by the compiler
        {
            table[i] = crc;
        }
        i += 1;
    }
    table
};

/// CRC-32 (IEEE 802.3) of some bytes: start with `crc = 0`, go on with what the bytes before gave.
pub fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    let turn = |crc: u32| NIBBLES.get((crc & 15) as usize).map_or(0, |n| n ^ crc >> 4);
    !bytes.iter().fold(!crc, |crc, byte| turn(turn(crc ^ u32::from(*byte))))
}

/// A frame that was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'b> {
    /// What the payload means.
    pub kind: u8,
    /// Its number.
    pub number: u8,
    /// The payload.
    pub payload: &'b [u8],
}

/// What stands at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan<'b> {
    /// A frame of that many bytes.
    Frame(Frame<'b>, usize),
    /// That many bytes that are no frame.
    Skip(usize),
    /// Perhaps a frame, but it does not end here. Where nothing more can come, skip one byte.
    More,
}

/// Looks at the start of some bytes.
pub fn scan(bytes: &[u8]) -> Scan<'_> {
    match bytes.iter().position(|b| *b == START[0]) {
        None if bytes.is_empty() => return Scan::More,
        None => return Scan::Skip(bytes.len()),
        Some(0) => {}
        Some(n) => return Scan::Skip(n),
    }
    match bytes.get(1) {
        None => return Scan::More,
        Some(b) if *b != START[1] => return Scan::Skip(1),
        Some(_) => {}
    }
    let Some(&[kind, number, low, high]) = bytes.get(2..).and_then(|b| b.first_chunk::<4>()) else {
        return Scan::More;
    };
    let len = usize::from(u16::from_le_bytes([low, high]));
    if len > MAX_PAYLOAD {
        return Scan::Skip(1);
    }
    let end = HEAD + len;
    let (Some(checked), Some(check)) =
        (bytes.get(2..end), bytes.get(end..).and_then(|b| b.first_chunk::<4>()))
    else {
        return Scan::More;
    };
    if crc32(0, checked) != u32::from_le_bytes(*check) {
        return Scan::Skip(1);
    }
    let payload = bytes.get(HEAD..end).unwrap_or(&[]);
    Scan::Frame(Frame { kind, number, payload }, end + TAIL)
}

/// Writes a frame, piece by piece, to `out`. A payload beyond [`MAX_PAYLOAD`] is not written.
pub fn write(kind: u8, number: u8, payload: &[u8], mut out: impl FnMut(&[u8])) -> bool {
    if payload.len() > MAX_PAYLOAD {
        return false;
    }
    let [low, high] = (payload.len() as u16).to_le_bytes();
    let head = [kind, number, low, high];
    let crc = crc32(crc32(0, &head), payload);
    out(&START);
    out(&head);
    out(payload);
    out(&crc.to_le_bytes());
    true
}

/// Where bytes come from.
pub trait Source {
    /// Puts the next bytes into `buffer` and returns how many; 0: there is no more.
    fn read(&mut self, buffer: &mut [u8]) -> usize;
}

/// The frames of a stream, with a buffer for one.
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
    buffer: [u8; MAX_FRAME],
    start: usize,
    end: usize,
    over: bool,
    /// Bytes that were no frame.
    pub skipped: u64,
}

impl<S: Source> Reader<S> {
    /// A reader at the start of a source.
    pub fn new(source: S) -> Self {
        Reader { source, buffer: [0; MAX_FRAME], start: 0, end: 0, over: false, skipped: 0 }
    }

    /// The next frame; `None`: there is no more.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        let (at, used) = self.find()?;
        self.start = at + used;
        match scan(self.buffer.get(at..at + used)?) {
            Scan::Frame(frame, _) => Some(frame),
            _ => None,
        }
    }

    /// Where in the buffer the next frame stands, and its length.
    fn find(&mut self) -> Option<(usize, usize)> {
        loop {
            match scan(self.buffer.get(self.start..self.end)?) {
                Scan::Frame(_, used) => return Some((self.start, used)),
                Scan::Skip(n) => self.skip(n),
                Scan::More if self.over && self.start == self.end => return None,
                Scan::More if self.over => self.skip(1),
                Scan::More => self.fill(),
            }
        }
    }

    fn skip(&mut self, n: usize) {
        self.start += n;
        self.skipped += n as u64;
    }

    fn fill(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let read = match self.buffer.get_mut(self.end..) {
            Some(room) => self.source.read(room).min(room.len()),
            None => 0,
        };
        self.over = read == 0;
        self.end += read;
    }
}

/// The frames of bytes that are all there: in flash, they are used in place.
#[derive(Clone, Debug)]
pub struct Frames<'b> {
    rest: &'b [u8],
    /// Bytes that were no frame.
    pub skipped: u64,
}

impl<'b> Frames<'b> {
    /// The frames of some bytes.
    pub fn new(bytes: &'b [u8]) -> Self {
        Frames { rest: bytes, skipped: 0 }
    }
}

impl<'b> Iterator for Frames<'b> {
    type Item = Frame<'b>;

    fn next(&mut self) -> Option<Frame<'b>> {
        loop {
            let (frame, used) = match scan(self.rest) {
                Scan::Frame(frame, used) => (Some(frame), used),
                Scan::Skip(n) => (None, n),
                Scan::More if self.rest.is_empty() => return None,
                Scan::More => (None, 1),
            };
            self.rest = self.rest.get(used..).unwrap_or(&[]);
            match frame {
                Some(frame) => return Some(frame),
                None => self.skipped += used as u64,
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn stream(frames: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, (kind, payload)) in frames.iter().enumerate() {
            assert!(write(*kind, number as u8, payload, |b| bytes.extend_from_slice(b)));
        }
        bytes
    }

    /// A source that hands out a few bytes at a time.
    struct Drops<'b>(&'b [u8], usize);

    impl Source for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> usize {
            let n = self.1.min(self.0.len()).min(buffer.len());
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            n
        }
    }

    #[test]
    fn the_check_is_the_one_that_everybody_has() {
        assert_eq!(crc32(0, b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(crc32(0, b"1234"), b"56789"), 0xCBF4_3926);
    }

    #[test]
    fn frames_are_found_again_after_garbage_in_place_and_over_a_stream() {
        let long = [0xA5u8; MAX_PAYLOAD];
        let mut bytes = b"noise\xa5\x5e\x01\x00\x08\x00".to_vec();
        bytes.extend(stream(&[(1, b"one"), (2, &long)]));
        bytes.extend(b"\xa5\x5e\xff\xff\xff\xff");
        bytes.extend(&stream(&[(0, b""), (0, b""), (3, b"three")])[20..]);
        let expected = [(1, 0, 3), (2, 1, MAX_PAYLOAD), (3, 2, 5)];
        let mut frames = Frames::new(&bytes);
        let found: Vec<_> = frames.by_ref().map(|f| (f.kind, f.number, f.payload.len())).collect();
        assert_eq!(found, expected);
        assert_eq!(frames.skipped, 17);
        for step in [1, 2, 7, 100, 5000] {
            let mut reader = Reader::new(Drops(&bytes, step));
            let mut found = Vec::new();
            while let Some(f) = reader.next_frame() {
                found.push((f.kind, f.number, f.payload.len()));
            }
            assert_eq!(found, expected);
            assert_eq!(reader.skipped, 17);
        }
    }

    #[test]
    fn any_damaged_byte_loses_its_own_frame_only() {
        let good = stream(&[(1, b"first"), (2, b"second"), (3, b"third")]);
        let starts = [0, 15, 31, good.len()];
        for i in 0..good.len() {
            for flip in [1u8, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[i] ^= flip;
                let hit = starts.iter().rposition(|s| *s <= i).unwrap() as u8 + 1;
                let kinds: Vec<u8> = Frames::new(&bytes).map(|f| f.kind).collect();
                let expected: Vec<u8> = [1, 2, 3].into_iter().filter(|k| *k != hit).collect();
                assert_eq!(kinds, expected, "byte {i}");
            }
        }
    }
}
