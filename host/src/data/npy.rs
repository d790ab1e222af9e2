//! NumPy's npy files: numbers and booleans of any width and byte order, in C or Fortran order, versions 1 to 3.

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
/// Bad input when the file is absent, malformed or of another type.
pub fn read(path: &Path) -> Result<Array, Failure> {
    let bytes = crate::files::read(path)
        .map_err(|failure| failure.mend("name the folder of the data sets with --data DIR or $SYNOP_DATA"))?;
    parse(&bytes).map_err(|found| refused(path, &found))
}

/// The failure for a file that cannot be read.
pub fn refused(path: &Path, found: &str) -> Failure {
    Failure::bad_input("not an npy file that can be read")
        .file(path)
        .found(found)
        .expected("a whole array of floats, integers or booleans")
        .mend("save it with numpy.save(path, array.astype(numpy.float32))")
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
        [2 | 3, _, a, b, c, d, rest @ ..] => {
            rest.split_at_checked(u32::from_le_bytes([*a, *b, *c, *d]) as usize)
        }
        _ => return Err("a version other than 1 to 3".to_owned()),
    }
    .ok_or("a truncated header")?;
    let header = std::str::from_utf8(head).map_err(|_| "a header that is not text")?;
    let kind = entry(header, "'descr'", '\'', '\'').ok_or("no simple 'descr' (a structured array?)")?;
    let sizes = entry(header, "'shape'", '(', ')').ok_or("no 'shape'")?;
    let sizes = sizes.split(',').map(str::trim).filter(|s| !s.is_empty());
    let shape: Vec<usize> =
        sizes.map(str::parse).collect::<Result<_, _>>().map_err(|_| format!("shape in {header}"))?;
    let values = numbers(kind, data)?;
    let count = shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size));
    if count != Some(values.len()) {
        return Err(format!("{} numbers for shape {shape:?}", values.len()));
    }
    if header.contains("'fortran_order': True") {
        return Ok(Array { values: c_order(&shape, &values), shape });
    }
    Ok(Array { shape, values })
}

/// The numbers of a type code such as `<f4`.
fn numbers(kind: &str, data: &[u8]) -> Result<Vec<f64>, String> {
    let big = kind.starts_with('>');
    // Reversed as a whole, a big-endian file is a little-endian one with its last number first.
    let swapped: Vec<u8> = if big { data.iter().rev().copied().collect() } else { Vec::new() };
    let data = if big { &swapped } else { data };
    let code = kind.trim_start_matches(['<', '>', '|', '=']);
    let mut values: Vec<f64> = match code {
        "f2" => each(data, |b| half(u16::from_le_bytes(b))),
        "f4" => each(data, |b| f64::from(f32::from_le_bytes(b))),
        "f8" => each(data, f64::from_le_bytes),
        "i1" => each(data, |b| f64::from(i8::from_le_bytes(b))),
        "i2" => each(data, |b| f64::from(i16::from_le_bytes(b))),
        "i4" => each(data, |b| f64::from(i32::from_le_bytes(b))),
        "i8" => each(data, |b| i64::from_le_bytes(b) as f64),
        "u1" | "b1" => each(data, |[b]: [u8; 1]| f64::from(b)),
        "u2" => each(data, |b| f64::from(u16::from_le_bytes(b))),
        "u4" => each(data, |b| f64::from(u32::from_le_bytes(b))),
        "u8" => each(data, |b| u64::from_le_bytes(b) as f64),
        _ => return Err(format!("numbers of type {kind}")),
    }
    .ok_or("a truncated number at the end")?;
    if big {
        values.reverse();
    }
    Ok(values)
}

/// A 16-bit float.
fn half(bits: u16) -> f64 {
    let (exponent, mantissa) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => mantissa * 2f64.powi(-24),
        0x1f if mantissa == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        e => (1.0 + mantissa / 1024.0) * 2f64.powi(e - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// Values stored first index fastest, last index fastest.
fn c_order(shape: &[usize], values: &[f64]) -> Vec<f64> {
    (0..values.len())
        .map(|flat| {
            let (mut rest, mut at, mut stride) = (flat, 0, values.len());
            for size in shape.iter().rev() {
                stride /= (*size).max(1);
                at += rest % size.max(&1) * stride;
                rest /= size.max(&1);
            }
            values.get(at).copied().unwrap_or(0.0)
        })
        .collect()
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

    #[test]
    fn numpys_other_layouts_are_read_alike() {
        let file = |kind: &str, fortran: &str, data: &[u8]| {
            let header = format!("{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': (2, 3), }}\n");
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((header.len() as u16).to_le_bytes());
            bytes.extend(header.as_bytes());
            bytes.extend(data);
            parse(&bytes).unwrap().values
        };
        let wanted = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(file("|u1", "False", &[1, 2, 3, 4, 5, 6]), wanted);
        assert_eq!(file("|i1", "True", &[1, 4, 2, 5, 3, 6]), wanted);
        let big: Vec<u8> = wanted.iter().flat_map(|v| (*v as f32).to_be_bytes()).collect();
        assert_eq!(file(">f4", "False", &big), wanted);
        assert_eq!(file("|b1", "False", &[1, 0, 1, 1, 0, 0]), [1.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        let halves = [0x3c00u16, 0xc000, 0x3800, 0x0001, 0x7bff, 0x8000];
        let bytes: Vec<u8> = halves.iter().flat_map(|h| h.to_le_bytes()).collect();
        assert_eq!(file("<f2", "False", &bytes), [1.0, -2.0, 0.5, 2f64.powi(-24), 65504.0, 0.0]);
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
