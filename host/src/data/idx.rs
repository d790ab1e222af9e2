//! The idx format of MNIST, plain or gzip: `00 00 08 rank`, big-endian u32 sizes, bytes.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::Failure;

/// An array of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Elements, last index fastest.
    pub values: Vec<u8>,
}

/// Most bytes that an array may have; MNIST's largest has 47 million.
const MOST_BYTES: usize = 1 << 28;

/// Reads `folder/name` or `folder/name.gz` as an array of the given rank.
///
/// # Errors
/// Bad input when neither file is there or it is no such array.
pub fn read(folder: &Path, name: &str, rank: usize) -> Result<Idx, Failure> {
    let path = find(folder, name)?;
    let bytes = crate::files::read(&path)?;
    parse(&bytes, rank).map_err(|(found, expected)| {
        Failure::bad_input("not an idx file of bytes, whole and of the right rank")
            .file(&path)
            .found(found)
            .expected(expected)
            .mend("fetch the file again, or name the folder of the data sets with --data DIR")
    })
}

fn find(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let plain = folder.join(name);
    let packed = folder.join(format!("{name}.gz"));
    match [&plain, &packed].into_iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(Failure::bad_input("the data set is absent")
            .file(&plain)
            .expected("this file, or the same with .gz")
            .mend("name the folder of the data sets with --data DIR or $SYNOP_DATA")),
    }
}

/// Parses an idx array, packed or not; the error says what was found and what was expected.
///
/// # Errors
/// The bytes are not an array of `rank` dimensions of bytes, complete and without a rest.
pub fn parse(bytes: &[u8], rank: usize) -> Result<Idx, (String, String)> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return parse_plain(bytes, rank);
    }
    let mut plain = Vec::new();
    let unpacked = flate2::read::GzDecoder::new(bytes).take(MOST_BYTES as u64 + 1).read_to_end(&mut plain);
    match unpacked {
        Ok(_) => parse_plain(&plain, rank),
        Err(error) => Err((format!("broken gzip: {error}"), "a whole gzip file".to_owned())),
    }
}

fn parse_plain(bytes: &[u8], rank: usize) -> Result<Idx, (String, String)> {
    let head = 4 + 4 * rank;
    let magic = [0, 0, 8, rank as u8];
    let (Some(sizes), true) = (bytes.get(4..head), bytes.starts_with(&magic)) else {
        let found = bytes.get(..bytes.len().min(4)).unwrap_or(&[]);
        return Err((format!("{} bytes that begin {found:02x?}", bytes.len()), format!("{magic:02x?}")));
    };
    let shape: Vec<usize> =
        sizes.chunks_exact(4).map(|s| s.iter().fold(0, |n, byte| n << 8 | usize::from(*byte))).collect();
    let count = shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size)).filter(|n| *n <= MOST_BYTES);
    let values = bytes.get(head..).unwrap_or(&[]);
    if count != Some(values.len()) {
        return Err((
            format!("{} bytes for shape {shape:?}", values.len()),
            "one byte per element".to_owned(),
        ));
    }
    Ok(Idx { shape, values: values.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn sample() -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3];
        bytes.extend(1..=6);
        bytes
    }

    #[test]
    fn plain_and_packed_read_alike_and_mistakes_are_refused() {
        let read = parse(&sample(), 2).unwrap();
        assert_eq!((read.shape.as_slice(), read.values.len()), (&[2, 3][..], 6));
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(&sample()).unwrap();
        assert_eq!(parse(&packer.finish().unwrap(), 2).unwrap(), read);
        assert!(parse(&sample(), 1).is_err());
        assert!(parse(&sample()[..17], 2).is_err());
        let mut longer = sample();
        longer.push(0);
        assert!(parse(&longer, 2).is_err());
        assert!(parse(&[0, 0, 8, 2, 255, 255, 255, 255, 255, 255, 255, 255], 2).is_err());
    }

    proptest! {
        #[test]
        fn random_and_mutated_bytes_are_an_error_or_an_array(
            noise in prop::collection::vec(any::<u8>(), 0..64), at in 0usize..18, byte: u8, rank in 1usize..4,
        ) {
            let mut mutated = sample();
            mutated[at] = byte;
            for bytes in [noise, mutated] {
                if let Ok(array) = parse(&bytes, rank) {
                    prop_assert_eq!(array.shape.iter().product::<usize>(), array.values.len());
                }
            }
        }
    }
}
