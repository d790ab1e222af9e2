//! Data sets: the embedded handwritten digits, MNIST, and its exported embedding.
//!
//! Sets that are not embedded are looked for in the data folder (`--data`, `$SYNOP_DATA`, else
//! `../shared/data`).

pub mod digits;
pub mod idx;
pub mod npy;

use std::path::Path;

use rand_core::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::Failure;

/// Labelled feature vectors of equal length.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Features, row by row of `width`.
    pub features: Vec<f32>,
    /// Features per row, at least 1.
    pub width: usize,
    /// One label per row.
    pub labels: Vec<u8>,
    /// What the set is and where it comes from.
    pub provenance: String,
}

impl Dataset {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The features of one row; empty beyond the last.
    pub fn row(&self, row: usize) -> &[f32] {
        let start = row.saturating_mul(self.width);
        self.features.get(start..start.saturating_add(self.width)).unwrap_or(&[])
    }

    /// The named rows, in the order given; rows that do not exist are left out.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Dataset {
        let mut chosen = Dataset {
            features: Vec::with_capacity(rows.len() * self.width),
            width: self.width,
            labels: Vec::with_capacity(rows.len()),
            provenance: self.provenance.clone(),
        };
        for row in rows {
            if let Some(label) = self.labels.get(*row) {
                chosen.features.extend_from_slice(self.row(*row));
                chosen.labels.push(*label);
            }
        }
        chosen
    }

    /// Splits into training and test rows by a permutation drawn from `seed`; `train_fraction` of the
    /// rows, rounded down, train.
    pub fn split(&self, train_fraction: f64, seed: u64) -> (Dataset, Dataset) {
        let rows = permutation(self.len(), seed);
        let train = ((self.len() as f64 * train_fraction) as usize).min(self.len());
        let (train, test) = rows.split_at(train);
        (self.select(train), self.select(test))
    }
}

/// The numbers `0..n` in an order drawn from `seed` (Fisher–Yates).
pub fn permutation(n: usize, seed: u64) -> Vec<usize> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut rows: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        // The high half of a 128-bit product maps the draw to 0..=last.
        let pick = (u128::from(random.next_u64()) * (last as u128 + 1)) >> 64;
        rows.swap(last, pick as usize);
    }
    rows
}

/// MNIST from `folder/mnist`, features scaled to `[0, 1]`: the 60,000 training or the 10,000 test images.
///
/// # Errors
/// Bad input when a file is absent, is no idx file, or images and labels differ in number.
pub fn mnist(folder: &Path, train: bool) -> Result<Dataset, Failure> {
    let part = if train { "train" } else { "t10k" };
    let images = idx::read(&folder.join("mnist"), &format!("{part}-images-idx3-ubyte"), 3)?;
    let labels = idx::read(&folder.join("mnist"), &format!("{part}-labels-idx1-ubyte"), 1)?;
    let width = images.shape.iter().skip(1).product::<usize>();
    let wrong = labels.values.iter().position(|label| *label > 9);
    if images.shape.first() != labels.shape.first() || width == 0 || wrong.is_some() {
        return Err(Failure::bad_input("images and labels do not fit together")
            .file(folder.join("mnist"))
            .found(format_args!("images {:?}, labels {:?}", images.shape, labels.shape))
            .expected("as many labels, 0 to 9, as non-empty images")
            .mend("fetch the four MNIST files again"));
    }
    Ok(Dataset {
        features: images.values.iter().map(|v| f32::from(*v) / 255.0).collect(),
        width,
        labels: labels.values,
        provenance: format!("MNIST {part} (LeCun, Cortes, Burges)"),
    })
}

/// The 7-dimensional embedding of MNIST from `folder/mnist-umap7`: 12,000 training rows, or the test set.
/// Labels come from the MNIST files beside it.
///
/// # Errors
/// Bad input when a file is absent or malformed, or the parts do not fit together.
pub fn mnist_umap7(folder: &Path, train: bool) -> Result<Dataset, Failure> {
    let home = folder.join("mnist-umap7");
    let path = home.join(if train { "train12k.npy" } else { "test.npy" });
    let table = npy::read(&path)?;
    let labels = idx::read(
        &folder.join("mnist"),
        if train { "train-labels-idx1-ubyte" } else { "t10k-labels-idx1-ubyte" },
        1,
    )?
    .values;
    let labels: Option<Vec<u8>> = if train {
        let rows = npy::read(&home.join("train12k_index.npy"))?;
        rows.values.iter().map(|row| labels.get(*row as usize).copied()).collect()
    } else {
        Some(labels)
    };
    match (labels, table.shape.as_slice()) {
        (Some(labels), [rows, width]) if *rows == labels.len() && *width > 0 => Ok(Dataset {
            features: table.values.iter().map(|v| *v as f32).collect(),
            width: *width,
            labels,
            provenance: "MNIST, 7-dimensional UMAP fitted on 12,000 training images".to_owned(),
        }),
        _ => Err(Failure::bad_input("the embedding does not fit the labels")
            .file(path)
            .found(format_args!("shape {:?}", table.shape))
            .expected("one row of features per label")
            .mend("fetch mnist-umap7 again, or name its folder with --data DIR")),
    }
}

/// A table of features in npy form, at least `rows` rows of `width`.
///
/// # Errors
/// Bad input when the file is absent, malformed or too small.
pub fn features(file: &Path, rows: usize, width: usize) -> Result<Vec<f32>, Failure> {
    let table = npy::read(file)?;
    match table.shape.as_slice() {
        [there, wide] if *there >= rows && *wide == width => {
            Ok(table.values.iter().map(|v| *v as f32).collect())
        }
        _ => Err(Failure::bad_input("the features do not fit the samples")
            .file(file)
            .found(format_args!("shape {:?}", table.shape))
            .expected(format_args!("at least {rows} rows of {width}"))
            .mend("save one row of features per held-out sample, as many as those of the data set")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_is_a_partition_that_depends_on_its_seed() {
        let digits = digits::load().unwrap();
        let (train, test) = digits.split(0.7, 1);
        assert_eq!((train.len(), test.len()), (1257, 540));
        let mut rows = permutation(1797, 1);
        assert_ne!(rows, permutation(1797, 2));
        rows.sort_unstable();
        assert!(rows.into_iter().eq(0..1797));
    }

    #[test]
    fn mnist_and_its_embedding_have_the_rows_they_should() {
        let folder = crate::testing::data_dir();
        if !folder.join("mnist").is_dir() || !folder.join("mnist-umap7").is_dir() {
            return crate::testing::skip("no MNIST in the data folder");
        }
        let test = mnist(&folder, false).unwrap();
        assert_eq!((test.len(), test.width), (10_000, 784));
        assert_eq!(test.labels[..5], [7, 2, 1, 0, 4]);
        for (train, rows) in [(true, 12_000), (false, 10_000)] {
            let set = mnist_umap7(&folder, train).unwrap();
            assert_eq!((set.len(), set.width), (rows, 7));
        }
    }

    #[test]
    fn a_table_of_features_must_fit_the_samples() {
        let folder = crate::testing::data_dir();
        let file = folder.join("mnist-umap7/test.npy");
        if !file.exists() {
            return crate::testing::skip("no mnist-umap7");
        }
        assert_eq!(features(&file, 9000, 7).unwrap().len(), 70_000);
        for (rows, width) in [(10_001, 7), (9000, 8)] {
            let failure = features(&file, rows, width).unwrap_err();
            assert!(failure.to_string().contains(&format!("at least {rows} rows of {width}")), "{failure}");
        }
    }

    #[test]
    fn an_absent_set_is_answered_with_the_file_and_the_mend() {
        let failure = mnist(Path::new("/nonexistent"), true).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        let text = failure.to_string();
        assert!(text.contains("train-images-idx3-ubyte") && text.contains("--data DIR"), "{text}");
    }
}
