//! NumPy's npz files: a zip archive of npy files, stored or deflated.

use std::io::Read;
use std::path::Path;

use crate::Failure;
use crate::data::npy::{self, Array};

/// Most bytes that the arrays of an archive may have together.
const MOST_BYTES: u64 = 1 << 32;

/// The failure for an archive that cannot be read.
pub fn refused(path: &Path, found: &str) -> Failure {
    Failure::bad_input("not an npz file that can be read")
        .file(path)
        .found(found)
        .expected("an archive of npy files, as numpy.savez and savez_compressed write it")
        .mend("save it with numpy.savez(path, name=array)")
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let field: [u8; N] = bytes.get(at..at.checked_add(N)?)?.try_into().ok()?;
    Some(field.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte)))
}

/// The arrays of an archive with their names (without `.npy`), in the archive's order; the error says what was found.
///
/// # Errors
/// The bytes are no such archive, or an array in it cannot be read.
pub fn parse(bytes: &[u8]) -> Result<Vec<(String, Array)>, String> {
    let end = bytes
        .windows(4)
        .rposition(|w| w == b"PK\x05\x06")
        .ok_or("no end of the archive (a truncated file)")?;
    let directory = || {
        let (count, at) = (number::<2>(bytes, end + 10)?, number::<4>(bytes, end + 16)? as usize);
        number::<2>(bytes, end + 20).map(|_| (count, at))
    };
    let (count, mut at) = directory().ok_or("a truncated directory")?;
    let (mut arrays, mut left) = (Vec::new(), MOST_BYTES);
    for _ in 0..count {
        if bytes.get(at..at + 4) != Some(b"PK\x01\x02") {
            return Err("a broken directory".to_owned());
        }
        let entry = Entry::read(bytes, at).ok_or("a truncated directory")?;
        if let Some(name) = entry.name.strip_suffix(".npy") {
            let content = entry.content(bytes, left).map_err(|why| format!("`{}`: {why}", entry.name))?;
            left = left.saturating_sub(content.len() as u64);
            let array = npy::parse(&content).map_err(|why| format!("`{}`: {why}", entry.name))?;
            arrays.push((name.to_owned(), array));
        }
        at = entry.next;
    }
    if arrays.is_empty() { Err("an archive without npy files".to_owned()) } else { Ok(arrays) }
}

/// An entry of the archive's directory.
struct Entry {
    name: String,
    method: u64,
    packed: u64,
    size: u64,
    at: u64,
    next: usize,
}

impl Entry {
    fn read(bytes: &[u8], at: usize) -> Option<Entry> {
        let [name, extra, comment] =
            [28, 30, 32].map(|o| number::<2>(bytes, at + o).map_or(usize::MAX / 8, |n| n as usize));
        let text = bytes.get(at + 46..(at + 46).checked_add(name)?)?;
        let mut entry = Entry {
            name: String::from_utf8_lossy(text).into_owned(),
            method: number::<2>(bytes, at + 10)?,
            packed: number::<4>(bytes, at + 20)?,
            size: number::<4>(bytes, at + 24)?,
            at: number::<4>(bytes, at + 42)?,
            next: at + 46 + name + extra + comment,
        };
        entry.widen(bytes.get(at + 46 + name..(at + 46 + name).checked_add(extra)?)?);
        Some(entry)
    }

    /// NumPy writes sizes in 64 bits (field 1 of the extra data) where they are all ones in 32.
    fn widen(&mut self, mut extra: &[u8]) {
        while let (Some(tag), Some(len)) = (number::<2>(extra, 0), number::<2>(extra, 2)) {
            let Some(field) = extra.get(4..4 + len as usize) else { return };
            if tag == 1 {
                let mut at = 0;
                for value in [&mut self.size, &mut self.packed, &mut self.at] {
                    if *value == u64::from(u32::MAX)
                        && let Some(wide) = number::<8>(field, at)
                    {
                        *value = wide;
                        at += 8;
                    }
                }
            }
            extra = extra.get(4 + len as usize..).unwrap_or(&[]);
        }
    }

    fn content(&self, bytes: &[u8], most: u64) -> Result<Vec<u8>, String> {
        let at = usize::try_from(self.at).map_err(|_| "a place beyond the file")?;
        let lengths = || Some((number::<2>(bytes, at.checked_add(26)?)?, number::<2>(bytes, at + 28)?));
        let (name, extra) = lengths().ok_or("a place beyond the file")?;
        let start = at + 30 + name as usize + extra as usize;
        let end = usize::try_from(self.packed).ok().and_then(|n| start.checked_add(n));
        let packed = end.and_then(|end| bytes.get(start..end)).ok_or("fewer bytes than it says")?;
        match self.method {
            0 => Ok(packed.to_vec()),
            8 => {
                let mut plain = Vec::new();
                flate2::read::DeflateDecoder::new(packed)
                    .take(self.size.min(most).saturating_add(1))
                    .read_to_end(&mut plain)
                    .map_err(|error| format!("broken compression: {error}"))?;
                if plain.len() as u64 == self.size {
                    Ok(plain)
                } else {
                    Err("another size than it says".into())
                }
            }
            other => Err(format!("packed by method {other}; 0 and 8 can be read")),
        }
    }
}
