//! NumPy's npy files: little-endian numbers in C order, versions 1 and 2 of the format.

use std::path::Path;

use crate::Failure;

/// An array of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Elements, last index fastest.
    pub values: Vec<f64>,
}

/// Reads an npy file of floats or integers.
///
/// # Errors
/// Bad input when the file is absent, malformed, of another type or in Fortran order.
pub fn read(path: &Path) -> Result<Array, Failure> {
    let bytes = crate::files::read(path)
        .map_err(|failure| failure.mend("name the folder of the data sets with --data DIR or $SYNOP_DATA"))?;
    parse(&bytes).map_err(|found| {
        Failure::bad_input("not an npy file that can be read")
            .file(path)
            .found(found)
            .expected("little-endian f4, f8, i1, i2, i4, i8, u1, u2 or u4 in C order, complete")
            .mend("save it with numpy.save(path, numpy.ascontiguousarray(a))")
    })
}

/// The text between `after` and the next of `ends` in the header.
fn entry<'a>(header: &'a str, key: &str, open: char, close: char) -> Option<&'a str> {
    let rest = header.split_once(key)?.1.split_once(':')?.1.trim_start().strip_prefix(open)?;
    Some(rest.split_once(close)?.0)
}

/// Parses an npy file; the error says what was found.
///
/// # Errors
/// The bytes are not such a file.
pub fn parse(bytes: &[u8]) -> Result<Array, String> {
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or("no NumPy signature")?;
    let (head, data) = match rest {
        [1, _, a, b, rest @ ..] => rest.split_at_checked(usize::from(u16::from_le_bytes([*a, *b]))),
        [2, _, a, b, c, d, rest @ ..] => rest.split_at_checked(u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        _ => return Err("a version other than 1 and 2".to_owned()),
    }
    .ok_or("a truncated header")?;
    let header = std::str::from_utf8(head).map_err(|_| "a header that is not text")?;
    let kind = entry(header, "'descr'", '\'', '\'').ok_or("no simple 'descr'")?;
    if !header.contains("'fortran_order': False") {
        return Err("not C order".to_owned());
    }
    let sizes = entry(header, "'shape'", '(', ')').ok_or("no 'shape'")?;
    let sizes = sizes.split(',').map(str::trim).filter(|s| !s.is_empty());
    let shape: Vec<usize> =
        sizes.map(str::parse).collect::<Result<_, _>>().map_err(|_| format!("shape in {header}"))?;
    let values: Vec<f64> = match kind {
        "<f4" => each(data, |b| f64::from(f32::from_le_bytes(b))),
        "<f8" => each(data, f64::from_le_bytes),
        "<i2" => each(data, |b| f64::from(i16::from_le_bytes(b))),
        "<i4" => each(data, |b| f64::from(i32::from_le_bytes(b))),
        "<i8" => each(data, |b| i64::from_le_bytes(b) as f64),
        "<u2" => each(data, |b| f64::from(u16::from_le_bytes(b))),
        "<u4" => each(data, |b| f64::from(u32::from_le_bytes(b))),
        "|u1" => each(data, |[b]: [u8; 1]| f64::from(b)),
        "|i1" => each(data, |b| f64::from(i8::from_le_bytes(b))),
        other => return Err(format!("numbers of type {other}")),
    }
    .ok_or("a truncated number at the end")?;
    let count = shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size));
    if count != Some(values.len()) {
        return Err(format!("{} numbers for shape {shape:?}", values.len()));
    }
    Ok(Array { shape, values })
}

fn each<const N: usize>(data: &[u8], value: impl Fn([u8; N]) -> f64) -> Option<Vec<f64>> {
    let (whole, rest) = (data.chunks_exact(N), data.len() % N);
    (rest == 0).then(|| whole.filter_map(|b| b.try_into().ok()).map(value).collect())
}

/// The bytes of an npy file of float64 with this shape.
pub fn bytes(array: &Array) -> Vec<u8> {
    let data: Vec<u8> = array.values.iter().flat_map(|v| v.to_le_bytes()).collect();
    bytes_of("<f8", &array.shape, &data)
}

/// The bytes of an npy file of numbers of type `descr` (such as `|i1`), given as `data`, little-endian in C order.
pub fn bytes_of(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let sizes = if shape.len() == 1 { sizes.trim_end() } else { sizes.trim_end_matches(", ") };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}");
    // Signature, version and length take ten bytes; data begin at a multiple of 64.
    let padded = (10 + header.len() + 1).next_multiple_of(64) - 10;
    header.push_str(&" ".repeat(padded - header.len() - 1));
    header.push('\n');
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((header.len() as u16).to_le_bytes());
    out.extend(header.as_bytes());
    out.extend_from_slice(data);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read_again() {
        for shape in [vec![6], vec![2, 3], vec![1, 3, 2], vec![0, 4]] {
            let count = shape.iter().product();
            let array = Array { shape, values: (0..count).map(|k| k as f64 * 0.5 - 1.0).collect() };
            let written = bytes(&array);
            assert_eq!((written.len() - 8 * count) % 64, 0);
            assert_eq!(parse(&written).unwrap(), array);
        }
    }

    proptest! {
        #[test]
        fn random_and_mutated_bytes_are_an_error_or_an_array(
            noise in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..176, byte: u8,
        ) {
            let mut mutated = bytes(&Array { shape: vec![2, 3], values: vec![1.0; 6] });
            mutated[at] = byte;
            for bytes in [noise, mutated] {
                if let Ok(array) = parse(&bytes) {
                    prop_assert_eq!(array.shape.iter().product::<usize>(), array.values.len());
                }
            }
        }
    }
}
