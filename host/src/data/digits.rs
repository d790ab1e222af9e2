//! The embedded digits: 1,797 images 8×8, grey 0–16.
//!
//! UCI "Optical Recognition of Handwritten Digits", test part (Alpaydin, Kaynak 1998), CC BY 4.0.

use std::io::Read;

use super::Dataset;
use crate::Failure;

const CSV: &[u8] = include_bytes!("../../../data/digits/digits.csv.gz");
const SPLIT: &str = include_str!("../../../data/digits/split.json");

/// Largest grey value.
pub const GREY: f32 = 16.0;

fn broken(what: &str) -> Failure {
    Failure::work(format_args!("the embedded digits are broken: {what}"))
}

/// All digits; features are grey values 0 to 16 in rows of 64.
///
/// # Errors
/// The work failed: the embedded bytes are broken.
pub fn load() -> Result<Dataset, Failure> {
    let mut text = String::new();
    let read = flate2::read::GzDecoder::new(CSV).take(1 << 20).read_to_string(&mut text);
    read.map_err(|error| broken(&error.to_string()))?;
    let (mut features, mut labels) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let row: Option<Vec<f32>> = line.split(',').map(|v| v.trim().parse().ok()).collect();
        match row.as_deref() {
            Some([pixels @ .., label])
                if pixels.len() == 64
                    && pixels.iter().all(|p| (0.0..=GREY).contains(p))
                    && (0.0..10.0).contains(label) =>
            {
                features.extend_from_slice(pixels);
                labels.push(*label as u8);
            }
            _ => return Err(broken(line)),
        }
    }
    Ok(Dataset {
        features,
        width: 64,
        labels,
        provenance: "UCI optical digits, test part (Alpaydin, Kaynak 1998), CC BY 4.0".to_owned(),
    })
}

/// The rows that the trained digits networks were tested on.
///
/// # Errors
/// The work failed: the embedded text is broken.
pub fn test_rows() -> Result<Vec<usize>, Failure> {
    #[derive(serde::Deserialize)]
    struct Split {
        test_rows: Vec<usize>,
    }
    let split: Split = serde_json::from_str(SPLIT).map_err(|error| broken(&error.to_string()))?;
    Ok(split.test_rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_1797_digits_of_ten_kinds_and_397_test_rows() {
        let digits = load().unwrap();
        assert_eq!((digits.len(), digits.features.len()), (1797, 1797 * 64));
        assert_eq!(digits.labels[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let rows = test_rows().unwrap();
        assert_eq!(rows.len(), 397);
        assert_eq!(digits.select(&rows).len(), 397);
    }
}
