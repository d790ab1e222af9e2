//! What enters a network: files, data sets and encoders, sample by sample.
//!
//! One loader for every command that runs a network. A file is recognised by its content, not its name:
//!
//! | content | holds |
//! |---|---|
//! | npy | one array; the axis order is inferred from the shape of the network's Input ([`axes`]) |
//! | npz | one array per Input node, by its name; an array `labels` |
//! | CSV | events: `t,neuron` or `t,x,y,p`, on request `sample` and `value` ([`events`]) |
//! | NIRData | recorded spikes or values of the Input node |
//! | idx | images, to be encoded |
//!
//! Data sets (`digits`, `mnist`) and arrays of features become spikes by an encoder ([`EncoderSpec`]). Whatever
//! was inferred stands in [`Inputs::notes`], which the commands print.

pub mod axes;
pub mod events;
pub mod npz;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use synop_encode::{Encoded, EncoderSpec};
use synop_model::nir::data::{Observable, Recording};

use crate::cli::Common;
use crate::data::{self, Dataset, idx, npy};
use crate::{Failure, files};

/// What feeds a network: a data set or a file, and how it becomes ticks.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Input")]
pub struct InputArgs {
    /// Recorded input: npy, npz, CSV (t,neuron or t,x,y,p), NIRData or idx, known by its content
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Labels of the samples: npy, idx, or text with one number per line
    #[arg(long, value_name = "FILE", requires = "input")]
    pub labels: Option<PathBuf>,
    /// Part of the data set named by --data
    #[arg(long, default_value = "test", value_parser = ["test", "train"], value_name = "PART")]
    pub split: String,
    /// Only the first N samples
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// How features become ticks, such as rate:25 or direct:10 (see synop encode)
    #[arg(long, value_name = "ENCODER")]
    pub encode: Option<EncoderSpec>,
    /// Order of the axes of an array: T time, B sample, N the Input's own axes (TBN, BTN, TN, NT, BN)
    #[arg(long, value_name = "AXES")]
    pub axes: Option<String>,
    /// Length of a tick in the file's unit of time, for events [default: 1; NIRData: the profile's step]
    #[arg(long, value_name = "TIME")]
    pub tick: Option<f64>,
    /// Ticks per sample, for events [default: up to the last event]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub ticks: Option<u64>,
}

/// An Input of a network: its name and the shape of what it takes in a tick.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Port {
    /// Name of the node.
    pub name: String,
    /// Shape, channels first; the product is the number of input neurons.
    pub shape: Vec<usize>,
}

impl Port {
    /// Number of values in a tick.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }
}

/// What enters in each tick of a sample: values that are not zero, by input neuron, ascending. Neurons of several
/// Inputs are numbered through, in the order of the ports.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sample {
    starts: Vec<usize>,
    entries: Vec<(u32, f64)>,
}

impl Sample {
    /// From rows of values, one row per tick.
    pub fn from_rows<'a>(rows: impl IntoIterator<Item = &'a [f64]>) -> Self {
        let mut sample = Self { starts: vec![0], entries: Vec::new() };
        for row in rows {
            let present = row.iter().enumerate().filter(|(_, v)| **v != 0.0);
            sample.entries.extend(present.map(|(i, v)| (i as u32, *v)));
            sample.starts.push(sample.entries.len());
        }
        sample
    }

    /// From (tick, neuron, value) in any order; values that meet add up. Entries beyond `ticks` are left out.
    pub fn from_events(ticks: usize, mut events: Vec<(usize, u32, f64)>) -> Self {
        events.sort_by_key(|(tick, neuron, _)| (*tick, *neuron));
        events.dedup_by(|next, kept| {
            let same = (kept.0, kept.1) == (next.0, next.1);
            if same {
                kept.2 += next.2;
            }
            same
        });
        events.retain(|(_, _, value)| *value != 0.0);
        let mut sample = Self { starts: vec![0], entries: Vec::with_capacity(events.len()) };
        let mut rest = events.as_slice();
        for tick in 0..ticks {
            let here = rest.partition_point(|e| e.0 <= tick);
            let (now, later) = rest.split_at(here);
            sample.entries.extend(now.iter().map(|(_, neuron, value)| (*neuron, *value)));
            sample.starts.push(sample.entries.len());
            rest = later;
        }
        sample
    }

    /// Number of ticks.
    pub fn ticks(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// (input neuron, value) of one tick; empty beyond the last.
    pub fn tick(&self, tick: usize) -> &[(u32, f64)] {
        let end = tick.saturating_add(1);
        match (self.starts.get(tick), self.starts.get(end)) {
            (Some(from), Some(to)) => self.entries.get(*from..*to).unwrap_or(&[]),
            _ => &[],
        }
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = f64> + '_ {
        self.entries.iter().map(|(_, value)| *value)
    }

    /// One tick as a row of `width` values.
    pub fn row(&self, tick: usize, width: usize) -> Vec<f64> {
        let mut row = vec![0.0; width];
        for (neuron, value) in self.tick(tick) {
            if let Some(slot) = row.get_mut(*neuron as usize) {
                *slot = *value;
            }
        }
        row
    }

    /// Ticks as rows beside those of another Input.
    fn beside(&self, other: &Sample, offset: u32) -> Sample {
        let ticks = self.ticks().max(other.ticks());
        let mut joined = Sample { starts: vec![0], entries: Vec::new() };
        for tick in 0..ticks {
            joined.entries.extend_from_slice(self.tick(tick));
            joined.entries.extend(other.tick(tick).iter().map(|(n, v)| (n + offset, *v)));
            joined.starts.push(joined.entries.len());
        }
        joined
    }
}

/// Samples of a network's Inputs, made when they are asked for.
#[derive(Debug)]
pub struct Inputs {
    source: Source,
    len: usize,
    /// Values per tick over all Inputs.
    pub width: usize,
    /// A label per sample, where there are labels.
    pub labels: Option<Vec<u32>>,
    /// What was inferred, for people.
    pub notes: Vec<String>,
    /// The same for the `profile` of a report.
    pub facts: Map<String, Value>,
}

#[derive(Debug)]
enum Source {
    Samples(Vec<Sample>),
    Encoded { features: Dataset, encoder: Box<EncoderSpec>, seed: u64 },
}

impl Inputs {
    /// Samples that are at hand.
    pub fn of_samples(width: usize, samples: Vec<Sample>, labels: Option<Vec<u32>>) -> Self {
        Self {
            len: samples.len(),
            source: Source::Samples(samples),
            width,
            labels,
            notes: Vec::new(),
            facts: Map::new(),
        }
    }

    /// Loads what the arguments name, for a network with these Inputs. `dt` is the network's step in the unit of
    /// recorded events.
    ///
    /// # Errors
    /// Bad input: nothing is named, a file is not what it must be, or its shape does not fit the Input.
    pub fn load(args: &InputArgs, common: &Common, ports: &[Port], dt: Option<f64>) -> Result<Self, Failure> {
        let mut inputs = match (&args.input, common.data_set()?) {
            (Some(path), None) => from_file(path, args, common, ports, dt)?,
            (None, Some((name, folder))) => from_data_set(&name, &folder, args, common, ports)?,
            (Some(_), Some(_)) => {
                return Err(Failure::bad_input("two sources of input")
                    .place("--input, --data")
                    .expected("one of them")
                    .mend("leave one out"));
            }
            (None, None) => {
                return Err(Failure::bad_input("there is no input")
                    .place("--input, --data")
                    .expected("--input FILE, or --data digits|mnist with --encode")
                    .mend("add --data digits --encode rate:25, or --input FILE"));
            }
        };
        if let Some(limit) = args.limit {
            inputs.len = inputs.len.min(usize::try_from(limit).unwrap_or(usize::MAX));
            inputs.facts.insert("limit".into(), json!(limit));
        }
        if inputs.len == 0 {
            return Err(Failure::bad_input("there are no samples").place("--input").expected("at least one"));
        }
        if let Some(labels) = &mut inputs.labels {
            if labels.len() < inputs.len {
                return Err(Failure::bad_input("there are fewer labels than samples")
                    .place("--labels")
                    .found(format_args!("{} labels for {} samples", labels.len(), inputs.len))
                    .mend("give one label per sample, or --limit N"));
            }
            labels.truncate(inputs.len);
        }
        Ok(inputs)
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One sample.
    ///
    /// # Errors
    /// Bad input: the encoder refuses the features.
    pub fn sample(&self, index: usize) -> Result<Sample, Failure> {
        match &self.source {
            Source::Samples(samples) => Ok(samples.get(index).cloned().unwrap_or_default()),
            Source::Encoded { features, encoder, seed } => {
                let row: Vec<f64> = features.row(index).iter().map(|v| f64::from(*v)).collect();
                let encoded = encoder.encode(&row, row.len(), *seed, index as u64).map_err(|error| {
                    Failure::bad_input(error)
                        .place(format_args!("sample {index}"))
                        .mend("scale the features, or choose another --encode")
                })?;
                Ok(match encoded.first() {
                    Some(Encoded::Signal(signal)) => {
                        Sample::from_rows((0..signal.ticks()).map(|t| signal.tick(t)))
                    }
                    Some(Encoded::Events(events)) => {
                        let all = events.all().iter().map(|e| (e.tick as usize, e.neuron, 1.0)).collect();
                        Sample::from_events(events.ticks() as usize, all)
                    }
                    None => Sample::default(),
                })
            }
        }
    }

    /// Whether every value is 1 by the way it is made, so that nothing has to be looked at to know it.
    pub fn is_spiking(&self) -> bool {
        matches!(&self.source, Source::Encoded { encoder, .. } if encoder.is_spiking())
    }

    /// Largest absolute value, and whether all values are whole numbers.
    ///
    /// # Errors
    /// As [`Self::sample`].
    pub fn range(&self) -> Result<(f64, bool), Failure> {
        if self.is_spiking() {
            return Ok((1.0, true));
        }
        let (mut largest, mut whole) = (0f64, true);
        for index in 0..self.len {
            for value in self.sample(index)?.values() {
                largest = largest.max(value.abs());
                whole &= value.fract() == 0.0;
            }
        }
        Ok((largest, whole))
    }

    fn encoded(
        features: Dataset,
        args: &InputArgs,
        common: &Common,
        ports: &[Port],
    ) -> Result<Self, Failure> {
        let Some(encoder) = &args.encode else {
            return Err(Failure::bad_input("features need an encoder to become ticks")
                .place("--encode")
                .found(format_args!("{} rows of {} features", features.len(), features.width))
                .expected("an encoder, such as rate:25")
                .mend("add --encode rate:25 (spikes) or --encode direct:25 (a constant drive)"));
        };
        let width: usize = ports.iter().map(Port::size).sum();
        let channels = encoder.channels(features.width);
        if channels != width {
            return Err(Failure::bad_input("the data do not fit the network's Input")
                .place("--data, --encode")
                .found(format_args!("{channels} channels after `{encoder}`"))
                .expected(format_args!("{width}, {}", described(ports)))
                .mend("choose the data that the network was trained on, or an encoder with one channel per feature"));
        }
        let mut facts = Map::new();
        facts.insert("data".into(), json!(features.provenance));
        facts.insert("encode".into(), json!(encoder.to_string()));
        let notes = vec![
            format!("data: {}, {} samples", features.provenance, features.len()),
            format!("encoder: {encoder}, {} ticks", encoder.ticks()),
        ];
        let labels = Some(features.labels.iter().map(|l| u32::from(*l)).collect());
        let encoder = Box::new(encoder.clone());
        Ok(Self {
            len: features.len(),
            source: Source::Encoded { features, encoder, seed: common.seed() },
            width,
            labels,
            notes,
            facts,
        })
    }
}

/// Ports as text: `input (64)`.
pub fn described(ports: &[Port]) -> String {
    let all: Vec<String> = ports
        .iter()
        .map(|p| {
            let shape: Vec<String> = p.shape.iter().map(usize::to_string).collect();
            format!("`{}` ({})", p.name, shape.join("×"))
        })
        .collect();
    format!("as Input {} takes", all.join(", "))
}

fn from_data_set(
    name: &str,
    folder: &Path,
    args: &InputArgs,
    common: &Common,
    ports: &[Port],
) -> Result<Inputs, Failure> {
    let train = args.split == "train";
    let set = match name {
        "digits" => {
            let all = data::digits::load()?;
            let test = data::digits::test_rows()?;
            let rows = if train { (0..all.len()).filter(|r| !test.contains(r)).collect() } else { test };
            let mut set = all.select(&rows);
            set.features.iter_mut().for_each(|v| *v /= data::digits::GREY);
            set
        }
        "mnist" => data::mnist(folder, train)?,
        _ => data::mnist_umap7(folder, train)?,
    };
    let mut inputs = Inputs::encoded(set, args, common, ports)?;
    inputs.facts.insert("split".into(), json!(args.split));
    Ok(inputs)
}

fn from_file(
    path: &Path,
    args: &InputArgs,
    common: &Common,
    ports: &[Port],
    dt: Option<f64>,
) -> Result<Inputs, Failure> {
    let bytes = files::read(path)?;
    let given = args.labels.as_deref().map(labels).transpose()?;
    let mut inputs = if bytes.starts_with(b"\x93NUMPY") {
        let array = npy::parse(&bytes).map_err(|found| npy::refused(path, &found))?;
        from_arrays(path, vec![("".into(), array)], args, common, ports, given)?
    } else if bytes.starts_with(b"PK") {
        let mut arrays = npz::parse(&bytes).map_err(|found| npz::refused(path, &found))?;
        let own = arrays.iter().position(|(name, _)| name == "labels").map(|at| arrays.remove(at).1);
        let own = own.map(|array| whole_labels(path, &array.values)).transpose()?;
        from_arrays(path, arrays, args, common, ports, given.or(own))?
    } else if bytes.starts_with(b"\x89HDF") {
        recorded(path, bytes, args, ports, dt, given)?
    } else if bytes.starts_with(&[0, 0, 8]) || bytes.starts_with(&[0x1f, 0x8b]) {
        images(path, &bytes, args, common, ports, given)?
    } else {
        let text = String::from_utf8(bytes).map_err(|error| {
            Failure::bad_input("not an input that can be read")
                .file(path)
                .place(format_args!("byte {}", error.utf8_error().valid_up_to()))
                .found("bytes that are neither text nor a known format")
                .expected("npy, npz, CSV, NIRData or idx")
                .mend("save it with numpy.save")
        })?;
        let samples = events::parse(path, &text, args, ports)?;
        let mut inputs = Inputs::of_samples(ports.iter().map(Port::size).sum(), samples.samples, given);
        inputs.notes = samples.notes;
        inputs
    };
    inputs.notes.insert(0, format!("input: {}", path.display()));
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("input");
    inputs.facts.insert("input".into(), json!(name));
    Ok(inputs)
}

fn from_arrays(
    path: &Path,
    arrays: Vec<(String, npy::Array)>,
    args: &InputArgs,
    common: &Common,
    ports: &[Port],
    labels: Option<Vec<u32>>,
) -> Result<Inputs, Failure> {
    let chosen = choose(path, arrays, ports)?;
    let mut joined: Option<Vec<Sample>> = None;
    let (mut notes, mut orders, mut offset) = (Vec::new(), Vec::new(), 0u32);
    for (port, array) in ports.iter().zip(&chosen) {
        let wanted = axes::Wanted {
            port: &port.shape,
            encoded: args.encode.is_some(),
            samples: labels.as_ref().map(Vec::len),
        };
        let order =
            axes::infer(&array.shape, &wanted, args.axes.as_deref()).map_err(|(found, expected)| {
                Failure::bad_input(format_args!("the array does not fit Input `{}`", port.name))
                    .file(path)
                    .found(found)
                    .expected(expected)
                    .mend("transpose the array in NumPy, or say what its axes are with --axes")
            })?;
        notes.push(format!("axes of Input `{}`: {}", port.name, order.describe()));
        orders.push(Value::from(order.describe()));
        if args.encode.is_some() && ports.len() == 1 {
            let features = Dataset {
                features: order
                    .samples(array)
                    .flat_map(|rows| rows.into_iter().flatten())
                    .map(|v| v as f32)
                    .collect(),
                width: port.size().max(1),
                labels: vec![0; order.batch_size()],
                provenance: path.file_name().and_then(|n| n.to_str()).unwrap_or("input").to_owned(),
            };
            let mut inputs = Inputs::encoded(features, args, common, ports)?;
            inputs.labels = labels;
            inputs.notes.extend(notes);
            inputs.facts.insert("axes".into(), Value::Array(orders));
            return Ok(inputs);
        }
        let samples: Vec<Sample> =
            order.samples(array).map(|rows| Sample::from_rows(rows.iter().map(Vec::as_slice))).collect();
        joined = Some(match joined {
            None => samples,
            Some(before) => before.iter().zip(&samples).map(|(a, b)| a.beside(b, offset)).collect(),
        });
        offset += port.size() as u32;
    }
    let mut inputs = Inputs::of_samples(offset as usize, joined.unwrap_or_default(), labels);
    inputs.notes = notes;
    inputs.facts.insert("axes".into(), Value::Array(orders));
    Ok(inputs)
}

/// The array of each port: by the port's name, or the only one there is.
fn choose(
    path: &Path,
    mut arrays: Vec<(String, npy::Array)>,
    ports: &[Port],
) -> Result<Vec<npy::Array>, Failure> {
    if let ([_], [_]) = (arrays.as_slice(), ports) {
        return Ok(arrays.drain(..).map(|(_, array)| array).collect());
    }
    let names: Vec<String> = arrays.iter().map(|(name, _)| format!("`{name}`")).collect();
    ports
        .iter()
        .map(|port| {
            let common = ["input", "inputs", "x", "data"];
            let named = arrays.iter().position(|(name, _)| *name == port.name);
            let at = named.or_else(|| {
                let usual = |(name, _): &(String, npy::Array)| common.contains(&name.as_str());
                arrays.iter().position(usual).filter(|_| ports.len() == 1)
            });
            at.map(|at| arrays.swap_remove(at).1).ok_or_else(|| {
                Failure::bad_input(format_args!("there is no array for Input `{}`", port.name))
                    .file(path)
                    .found(format_args!("arrays {}", names.join(", ")))
                    .expected(format_args!("an array named `{}`", port.name))
                    .mend("save it with numpy.savez(path, **{name_of_the_input: array})")
            })
        })
        .collect()
}

/// NIRData: the observable of the Input node, or of the only node.
fn recorded(
    path: &Path,
    bytes: Vec<u8>,
    args: &InputArgs,
    ports: &[Port],
    dt: Option<f64>,
    labels: Option<Vec<u32>>,
) -> Result<Inputs, Failure> {
    let recording = Recording::from_bytes(bytes, Default::default()).map_err(|error| {
        Failure::bad_input(error)
            .file(path)
            .expected("NIRData: recorded spikes or values")
            .mend("write it with nir.write_data; a network file is the first argument, not the input")
    })?;
    let mut notes = Vec::new();
    let mut joined: Option<Vec<Sample>> = None;
    let mut offset = 0u32;
    for port in ports {
        let (node, observables) = match recording.nodes.get_key_value(&port.name) {
            Some(found) => found,
            None => match recording.nodes.iter().next() {
                Some(only) if recording.nodes.len() == 1 && ports.len() == 1 => only,
                _ => {
                    let names: Vec<&str> = recording.nodes.keys().map(String::as_str).collect();
                    return Err(Failure::bad_input("nothing is recorded of the Input")
                        .file(path)
                        .found(format_args!("nodes {}", names.join(", ")))
                        .expected(format_args!("a node `{}`", port.name))
                        .mend("record the Input node, or rename the recording's node"));
                }
            },
        };
        let Some((key, observable)) =
            observables.get_key_value("spikes").or_else(|| observables.iter().next())
        else {
            return Err(Failure::bad_input("nothing is recorded")
                .file(path)
                .place(format_args!("node `{node}`"))
                .expected("an observable such as `spikes`"));
        };
        let step = args.tick.or(match observable {
            Observable::Grid { dt, .. } => Some(*dt),
            Observable::Events { .. } => dt,
        });
        let Some(step) = step.filter(|s| *s > 0.0 && s.is_finite()) else {
            return Err(Failure::bad_input("the recording's events need a length of a tick")
                .file(path)
                .place("--tick")
                .expected("a positive time, in the unit of the recording")
                .mend("add --tick 1e-3"));
        };
        let grid = observable.to_grid(step).ok_or_else(|| {
            Failure::bad_input("the recording does not fit into steps")
                .file(path)
                .place(format_args!("node `{node}`, `{key}`, --tick {step:e}"))
                .mend("choose a larger --tick")
        })?;
        let width: usize = grid.shape().iter().skip(2).product();
        if width != port.size() {
            return Err(Failure::bad_input(format_args!("the recording does not fit Input `{}`", port.name))
                .file(path)
                .found(format_args!("{width} neurons at node `{node}`"))
                .expected(format_args!("{} neurons", port.size())));
        }
        let ticks = grid.shape().get(1).copied().unwrap_or(0);
        let samples = grid
            .data()
            .chunks((ticks * width).max(1))
            .map(|sample| Sample::from_rows(sample.chunks(width.max(1))))
            .collect::<Vec<_>>();
        notes.push(format!(
            "Input `{}`: observable `{key}` of node `{node}`, {ticks} ticks of {step:e}; axes (sample, time, neuron) by the format",
            port.name
        ));
        joined = Some(match joined {
            None => samples,
            Some(before) => before.iter().zip(&samples).map(|(a, b)| a.beside(b, offset)).collect(),
        });
        offset += width as u32;
    }
    let mut inputs = Inputs::of_samples(offset as usize, joined.unwrap_or_default(), labels);
    inputs.notes = notes;
    Ok(inputs)
}

fn images(
    path: &Path,
    bytes: &[u8],
    args: &InputArgs,
    common: &Common,
    ports: &[Port],
    labels: Option<Vec<u32>>,
) -> Result<Inputs, Failure> {
    let parsed = (1..=4).rev().find_map(|rank| idx::parse(bytes, rank).ok());
    let Some(array) = parsed else {
        let (found, expected) = idx::parse(bytes, 3).err().unwrap_or_default();
        return Err(Failure::bad_input("not an idx file of bytes")
            .file(path)
            .found(found)
            .expected(expected));
    };
    let width = array.shape.iter().skip(1).product::<usize>().max(1);
    let features = Dataset {
        features: array.values.iter().map(|v| f32::from(*v) / 255.0).collect(),
        width,
        labels: vec![0; array.shape.first().copied().unwrap_or(0)],
        provenance: format!("idx file of shape {:?}, bytes scaled to 0 to 1", array.shape),
    };
    let mut inputs = Inputs::encoded(features, args, common, ports)?;
    inputs.labels = labels;
    Ok(inputs)
}

/// Labels from an npy, idx or text file.
fn labels(path: &Path) -> Result<Vec<u32>, Failure> {
    let bytes = files::read(path)?;
    if bytes.starts_with(b"\x93NUMPY") {
        let array = npy::parse(&bytes).map_err(|found| npy::refused(path, &found))?;
        return whole_labels(path, &array.values);
    }
    if let Ok(array) = idx::parse(&bytes, 1) {
        return Ok(array.values.iter().map(|v| u32::from(*v)).collect());
    }
    let text = files::read_text(path)?;
    let mut all = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        match line.parse::<u32>() {
            Ok(label) => all.push(label),
            Err(_) if line.is_empty() || (number == 0 && line.parse::<f64>().is_err()) => {}
            Err(_) => {
                return Err(Failure::bad_input("not a label")
                    .file(path)
                    .place(format_args!("line {}", number + 1))
                    .found(format_args!("`{line}`"))
                    .expected("a whole number from 0, one per line"));
            }
        }
    }
    Ok(all)
}

fn whole_labels(path: &Path, values: &[f64]) -> Result<Vec<u32>, Failure> {
    match values.iter().position(|v| v.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(v)) {
        None => Ok(values.iter().map(|v| *v as u32).collect()),
        Some(at) => Err(Failure::bad_input("not a label")
            .file(path)
            .place(format_args!("element {at}"))
            .found(values.get(at).copied().unwrap_or_default())
            .expected("whole numbers from 0")),
    }
}

#[cfg(test)]
#[path = "input/tests.rs"]
mod tests;
