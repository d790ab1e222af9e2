//! The study's features and exported networks, read from the data folder.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Failure;
use crate::train::{Connection, Dense, Layer, Network, Neuron};

/// Which embedding of the 10 % MNIST subset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Embedding {
    /// 7-D UMAP fitted on training and test images together, as the authors do: transductive.
    JointUmap,
    /// 7 principal components.
    Pca,
}

/// Feature vectors with labels, split.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// Features per sample.
    pub width: usize,
    /// Training features, row by row.
    pub train: Vec<f32>,
    /// Labels of the training rows.
    pub train_labels: Vec<u8>,
    /// Held-out features.
    pub test: Vec<f32>,
    /// Labels of the held-out rows.
    pub test_labels: Vec<u8>,
    /// Largest training magnitude: what one constant in hardware would divide by.
    pub scale: f32,
    /// Other features of the held-out rows, by name: a network's spikes are counted under these too.
    pub others: Vec<(String, Vec<f32>)>,
}

impl Features {
    /// Features with the scale that belongs to them.
    pub fn new(
        width: usize,
        train: Vec<f32>,
        train_labels: Vec<u8>,
        test: Vec<f32>,
        test_labels: Vec<u8>,
    ) -> Self {
        let scale = train.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        Self { width, train, train_labels, test, test_labels, scale, others: Vec::new() }
    }

    /// Keeps the first samples only.
    pub fn truncate(&mut self, train: usize, test: usize) {
        self.train.truncate(train * self.width);
        self.train_labels.truncate(train);
        self.test.truncate(test * self.width);
        self.test_labels.truncate(test);
        self.others.iter_mut().for_each(|(_, rows)| rows.truncate(test * self.width));
    }
}

/// A network of the reference runs with what it did on the 1000 held-out samples.
#[derive(Debug, Clone)]
pub struct Exported {
    /// Damping of its drive.
    pub damping: f64,
    /// Saturation of its drive, if any.
    pub limit: Option<f32>,
    /// Divisor of the features.
    pub scale: f32,
    /// The network.
    pub network: Network,
    /// Recorded classes.
    pub predictions: Vec<u8>,
    /// Recorded output spikes, 10 per sample.
    pub output_counts: Vec<u8>,
    /// Recorded spikes per layer, 4 per sample.
    pub layer_counts: Vec<i32>,
}

/// The flat arrays of `mnist-alignment/mnist10.bin` and their manifest.
#[derive(Debug)]
pub struct Archive {
    file: PathBuf,
    bytes: Vec<u8>,
    manifest: Value,
}

impl Archive {
    /// Reads both files from the data folder; `None` where the folder has no such set.
    ///
    /// # Errors
    /// Bad input: a file cannot be read or the manifest is not JSON.
    pub fn open(data: &Path) -> Result<Option<Self>, Failure> {
        let file = data.join("mnist-alignment").join("mnist10.bin");
        if !file.exists() {
            return Ok(None);
        }
        let bytes = std::fs::read(&file).map_err(|error| Failure::cannot_read(&file, &error))?;
        let json = file.with_extension("json");
        let text = std::fs::read_to_string(&json).map_err(|error| Failure::cannot_read(&json, &error))?;
        let manifest = serde_json::from_str(&text)
            .map_err(|error| Failure::bad_input(format_args!("not JSON: {error}")).file(&json))?;
        Ok(Some(Self { file, bytes, manifest }))
    }

    fn array(&self, name: &str, dtype: &str, size: usize) -> Result<&[u8], Failure> {
        let bad = |what: &str| Failure::bad_input(what).file(&self.file).place(name).expected(dtype);
        let entry = &self.manifest["arrays"][name];
        if entry["dtype"].as_str() != Some(dtype) {
            return Err(bad("no such array").found(&entry["dtype"]));
        }
        let shape = entry["shape"].as_array().ok_or_else(|| bad("the array has no shape"))?;
        let count = shape.iter().try_fold(1usize, |n, d| n.checked_mul(usize::try_from(d.as_u64()?).ok()?));
        let from = entry["offset"].as_u64().and_then(|o| usize::try_from(o).ok());
        let range =
            from.zip(count).and_then(|(from, count)| Some(from..from.checked_add(count.checked_mul(size)?)?));
        range.and_then(|range| self.bytes.get(range)).ok_or_else(|| bad("the array reaches beyond the file"))
    }

    fn floats(&self, name: &str) -> Result<Vec<f32>, Failure> {
        let bytes = self.array(name, "float32", 4)?;
        Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }

    fn integers(&self, name: &str) -> Result<Vec<i32>, Failure> {
        let bytes = self.array(name, "int32", 4)?;
        Ok(bytes.chunks_exact(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }

    fn octets(&self, name: &str) -> Result<Vec<u8>, Failure> {
        Ok(self.array(name, "uint8", 1)?.to_vec())
    }

    /// The features of an embedding: 6000 training and 1000 held-out rows.
    ///
    /// # Errors
    /// Bad input: an array is missing or does not fit the labels.
    pub fn features(&self, embedding: Embedding) -> Result<Features, Failure> {
        let name = match embedding {
            Embedding::JointUmap => "umap7",
            Embedding::Pca => "pca7",
        };
        let (train_labels, test_labels) = (self.octets("y_train")?, self.octets("y_test")?);
        let mut train = self.floats(name)?;
        let width = 7;
        if train.len() != width * (train_labels.len() + test_labels.len()) {
            let expected = width * (train_labels.len() + test_labels.len());
            return Err(Failure::bad_input("features and labels do not fit")
                .file(&self.file)
                .place(name)
                .found(train.len())
                .expected(expected));
        }
        let test = train.split_off(width * train_labels.len());
        Ok(Features::new(width, train, train_labels, test, test_labels))
    }

    /// Row numbers of the training and held-out samples in the MNIST files.
    ///
    /// # Errors
    /// Bad input: an array is missing.
    pub fn rows(&self) -> Result<(Vec<i32>, Vec<i32>), Failure> {
        Ok((self.integers("idx_train")?, self.integers("idx_test")?))
    }

    /// Both exported networks.
    ///
    /// # Errors
    /// Bad input: an array or number is missing or has the wrong size.
    pub fn networks(&self) -> Result<Vec<Exported>, Failure> {
        ["net_d-1.5", "net_d10.0"].iter().map(|name| self.network(name)).collect()
    }

    fn network(&self, name: &str) -> Result<Exported, Failure> {
        let facts = &self.manifest[name];
        let bad = |place: &str| {
            Failure::bad_input("missing or of the wrong type")
                .file(&self.file)
                .place(format_args!("{name}.{place}"))
        };
        let number = |value: &Value, place: &str| value.as_f64().ok_or_else(|| bad(place));
        let sizes: Vec<usize> = facts["layers"]
            .as_array()
            .and_then(|sizes| {
                sizes.iter().map(|n| n.as_u64().and_then(|n| usize::try_from(n).ok())).collect()
            })
            .ok_or_else(|| bad("layers"))?;
        let mut layers = Vec::new();
        for (l, pair) in sizes.windows(2).enumerate() {
            let weights = self.floats(&format!("{name}_w{}", l + 1))?;
            let bias = self.floats(&format!("{name}_b{}", l + 1))?;
            let dense = Dense::from_rows(pair[0], pair[1], &weights, &bias).ok_or_else(|| bad("layers"))?;
            let neuron = Neuron::Lif {
                decay: number(&facts["beta"][l], "beta")? as f32,
                threshold: number(&facts["theta"][l], "theta")? as f32,
            };
            layers.push(Layer { connection: Connection::Dense(dense), neuron });
        }
        Ok(Exported {
            damping: number(&facts["delta"], "delta")?,
            limit: facts["clip"].as_f64().map(|clip| clip as f32),
            scale: number(&facts["encoder_scale"], "encoder_scale")? as f32,
            network: Network { layers },
            predictions: self.octets(&format!("{name}_pred"))?,
            output_counts: self.octets(&format!("{name}_out_counts"))?,
            layer_counts: self.integers(&format!("{name}_spikecounts_per_layer_per_sample"))?,
        })
    }
}
