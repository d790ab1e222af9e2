//! Traces: which neuron spiked when, sample by sample, and on request its membrane after every tick.
//!
//! A trace is one JSON object:
//!
//! ```json
//! {"schema": "synop-trace/1",
//!  "source": "int8 image 3f…", "sha256": "3f…",
//!  "populations": [{"name": "lif1", "size": 32, "unit": 0.0078}],
//!  "samples": [{"ticks": 25,
//!               "spikes": [[tick, population, neuron, payload], …],
//!               "membranes": [[[v, …], …], …]}]}
//! ```
//!
//! Spikes are in the order of tick, population, neuron; `membranes`, where kept, are by tick, population and neuron
//! (an empty row for a population without), after the tick, in units of which one is `unit` in the network's own numbers (1 where it is left out). The integer
//! machine, the float twin and firmware write the same format; recordings of a framework (npy, npz, NIRData, CSV) are
//! read into it. [`Trace::compare`] is what `synop compare` prints.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use synop_model::nir::data::{Event, Observable, Recording};

use crate::data::npy;
use crate::input::npz;
use crate::pipeline::{Compiled, Presented, Spike};
use crate::{Failure, files};

/// The version of the format.
pub const SCHEMA: &str = "synop-trace/1";

/// Spikes, and perhaps membranes, of samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// [`SCHEMA`].
    pub schema: String,
    /// What made it.
    #[serde(default)]
    pub source: String,
    /// SHA-256 of the image that ran, if one did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// Populations, by the numbers that spikes use.
    pub populations: Vec<Population>,
    /// The samples.
    pub samples: Vec<Sample>,
}

/// A population of a trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Population {
    /// Its name.
    pub name: String,
    /// Number of neurons.
    pub size: usize,
    /// What one unit of its membranes is in the network's own numbers; 1 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<f64>,
}

/// A sample of a trace.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// Number of ticks.
    pub ticks: usize,
    /// (tick, population, neuron, payload), in that order.
    pub spikes: Vec<Spike>,
    /// Membranes by tick, population, neuron.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub membranes: Vec<Vec<Vec<f64>>>,
}

/// Where two traces first differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Sample.
    pub sample: usize,
    /// Tick.
    pub tick: usize,
    /// Name of the population.
    pub population: String,
    /// Neuron in the population.
    pub neuron: usize,
    /// `spikes` or `membrane`.
    pub quantity: &'static str,
    /// Value in the first trace.
    pub a: f64,
    /// Value in the second trace.
    pub b: f64,
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Comparison {
    /// Populations of both, by name.
    pub populations: Vec<String>,
    /// Populations of one side only.
    pub left_out: Vec<String>,
    /// Samples of both.
    pub samples: usize,
    /// Spikes of the first trace in what was compared.
    pub spikes: u64,
    /// (sample, tick, neuron) with another number of spikes.
    pub mismatches: u64,
    /// Largest difference of a membrane, where both have them.
    pub membrane_error: Option<f64>,
    /// The first difference.
    pub first: Option<Difference>,
}

impl Trace {
    /// An empty trace of an image.
    pub fn of(compiled: &Compiled, source: &str) -> Self {
        let populations = compiled
            .populations
            .iter()
            .map(|p| Population { name: p.name.clone(), size: p.size, unit: None })
            .collect();
        Self {
            schema: SCHEMA.to_owned(),
            source: source.to_owned(),
            sha256: compiled.sha256.clone(),
            populations,
            samples: Vec::new(),
        }
    }

    /// Reads a trace, or a recording of spikes (npy, npz, NIRData), known by its content. `tick` is the length of a
    /// tick in the unit of recorded events.
    ///
    /// # Errors
    /// Bad input: the file is none of these, or its numbers do not fit together.
    pub fn read(path: &Path, bytes: &[u8], tick: f64) -> Result<Self, Failure> {
        if bytes.starts_with(b"\x93NUMPY") {
            let array = npy::parse(bytes).map_err(|found| npy::refused(path, &found))?;
            let name = path.file_stem().and_then(|n| n.to_str()).unwrap_or("output").to_owned();
            return from_arrays(path, vec![(name, array)]);
        }
        if bytes.starts_with(b"PK") {
            return from_arrays(path, npz::parse(bytes).map_err(|found| npz::refused(path, &found))?);
        }
        if bytes.starts_with(b"\x89HDF") {
            return from_recording(path, bytes, tick);
        }
        let trace: Trace = serde_json::from_slice(bytes).map_err(|error| {
            Failure::bad_input("not a trace that can be read")
                .file(path)
                .place(format_args!("line {}, column {}", error.line(), error.column()))
                .found(error)
                .expected(format_args!(
                    "a trace (schema {SCHEMA}), or recorded spikes as npy, npz or NIRData"
                ))
                .mend("write it with synop estimate --trace FILE")
        })?;
        trace.check(path)?;
        Ok(trace)
    }

    /// Every number must be one of a population, sample and tick that there are.
    fn check(&self, path: &Path) -> Result<(), Failure> {
        let wrong = |place: String, found: String, expected: String| {
            Err(Failure::bad_input("the trace contradicts itself")
                .file(path)
                .place(place)
                .found(found)
                .expected(expected))
        };
        if self.schema != SCHEMA {
            return wrong("schema".into(), self.schema.clone(), SCHEMA.into());
        }
        for (number, sample) in self.samples.iter().enumerate() {
            let mut before = None;
            for spike in &sample.spikes {
                let (tick, population, neuron, _) = *spike;
                let size = self.populations.get(population as usize).map_or(0, |p| p.size);
                if tick as usize >= sample.ticks || neuron as usize >= size {
                    let expected = format!("a tick below {} and a neuron below {size}", sample.ticks);
                    return wrong(format!("samples[{number}].spikes"), format!("{spike:?}"), expected);
                }
                let key = (tick, population, neuron);
                if before.is_some_and(|b| b >= key) {
                    let expected = "the order of tick, population, neuron, each once".to_owned();
                    return wrong(format!("samples[{number}].spikes"), format!("{spike:?}"), expected);
                }
                before = Some(key);
            }
            let rows = sample.membranes.len();
            let fits = |row: &Vec<Vec<f64>>| {
                let each = row.iter().zip(&self.populations);
                row.len() == self.populations.len()
                    && each.into_iter().all(|(own, p)| own.is_empty() || own.len() == p.size)
            };
            if rows != 0 && (rows != sample.ticks || !sample.membranes.iter().all(fits)) {
                let expected = format!("{} ticks, each of one row per population", sample.ticks);
                return wrong(format!("samples[{number}].membranes"), format!("{rows} ticks"), expected);
            }
        }
        Ok(())
    }

    /// The text of the file: one line per sample.
    ///
    /// # Errors
    /// The work failed: a membrane is not a finite number.
    pub fn to_json(&self) -> Result<String, Failure> {
        let mut text = format!(
            "{{\"schema\": {}, \"source\": {}, \"sha256\": {},\n \"populations\": {},\n \"samples\": [",
            json(&self.schema)?,
            json(&self.source)?,
            json(&self.sha256)?,
            json(&self.populations)?
        );
        for (i, sample) in self.samples.iter().enumerate() {
            text.push_str(if i == 0 { "\n  " } else { ",\n  " });
            text.push_str(&json(sample)?);
        }
        text.push_str("\n ]}\n");
        Ok(text)
    }

    /// Writes the file whole: NIRData where the name ends in `.nird` or `.h5` (spikes only, a tick is 1), else JSON.
    ///
    /// # Errors
    /// The work failed: the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        if path.extension().is_some_and(|e| e == "nird" || e == "h5") {
            let bytes = self.recording().to_bytes().map_err(Failure::work)?;
            return files::write(path, bytes);
        }
        files::write(path, self.to_json()?)
    }

    /// The spikes as NIRData: one observable `spikes` per population, in ticks.
    pub fn recording(&self) -> Recording {
        let mut recording = Recording::default();
        let t_max = self.samples.iter().map(|s| s.ticks).max().unwrap_or(0) as f64;
        for (number, population) in self.populations.iter().enumerate() {
            let own = |sample: &Sample| -> Vec<Event> {
                let mine = sample.spikes.iter().filter(|s| s.1 as usize == number);
                mine.map(|s| Event { neuron: s.2 as usize, time: s.0.into(), value: s.3.into() }).collect()
            };
            let samples: Vec<Vec<Event>> = self.samples.iter().map(own).collect();
            let valued = samples.iter().flatten().any(|e| e.value != 1.0);
            let observable = Observable::Events { neurons: population.size, t_max, samples, valued };
            recording.nodes.entry(population.name.clone()).or_default().insert("spikes".into(), observable);
        }
        recording
    }

    /// Compares what both have: populations by name (a single unnamed recording with the other's last), samples by
    /// number. A membrane differs where it is further apart than `tolerance` in the network's own numbers.
    pub fn compare(&self, other: &Trace, tolerance: f64) -> Comparison {
        let pairs = self.pairs(other);
        let mut out = Comparison {
            populations: pairs.iter().map(|(a, _)| self.populations[*a].name.clone()).collect(),
            left_out: self.unmatched(&pairs, other),
            samples: self.samples.len().min(other.samples.len()),
            ..Comparison::default()
        };
        for (number, (a, b)) in self.samples.iter().zip(&other.samples).enumerate() {
            let rows = (Rows::of(a), Rows::of(b));
            for tick in 0..a.ticks.max(b.ticks) {
                for &(p, q) in &pairs {
                    let at = Place { sample: number, tick, name: &self.populations[p].name };
                    at.spikes(rows.0.row(tick, p), rows.1.row(tick, q), &mut out);
                    let membranes = |s: &Sample, trace: &Trace, p: usize| -> Option<Vec<f64>> {
                        let unit = trace.populations.get(p)?.unit.unwrap_or(1.0);
                        Some(s.membranes.get(tick)?.get(p)?.iter().map(|v| v * unit).collect())
                    };
                    if let (Some(x), Some(y)) = (membranes(a, self, p), membranes(b, other, q)) {
                        at.membranes(&x, &y, tolerance, &mut out);
                    }
                }
            }
        }
        out
    }

    /// Positions of the populations of the same name and size.
    fn pairs(&self, other: &Trace) -> Vec<(usize, usize)> {
        let mut pairs: Vec<(usize, usize)> = Vec::new();
        for (i, p) in self.populations.iter().enumerate() {
            if let Some(j) = other.populations.iter().position(|q| same(&p.name, &q.name) && p.size == q.size)
            {
                pairs.push((i, j));
            }
        }
        let last = |t: &Trace| t.populations.len().saturating_sub(1);
        let sized = |a: &Trace, b: &Trace| {
            a.populations.last().map(|p| p.size) == b.populations.last().map(|p| p.size)
        };
        if pairs.is_empty()
            && (self.populations.len() == 1 || other.populations.len() == 1)
            && sized(self, other)
        {
            pairs.push((last(self), last(other)));
        }
        pairs
    }

    fn unmatched(&self, pairs: &[(usize, usize)], other: &Trace) -> Vec<String> {
        let mine = self.populations.iter().enumerate().filter(|(i, _)| !pairs.iter().any(|p| p.0 == *i));
        let theirs = other.populations.iter().enumerate().filter(|(j, _)| !pairs.iter().any(|p| p.1 == *j));
        let name = |p: &Population| format!("`{}` ({})", p.name, p.size);
        mine.map(|(_, p)| format!("{} of A", name(p)))
            .chain(theirs.map(|(_, p)| format!("{} of B", name(p))))
            .collect()
    }
}

/// Names match if they are equal, or if one is the last part of the other (`lif1` of `net.lif1`).
fn same(a: &str, b: &str) -> bool {
    let tail = |long: &str, short: &str| {
        long.strip_suffix(short).is_some_and(|rest| rest.ends_with('.') || rest.ends_with('/'))
    };
    a == b || tail(a, b) || tail(b, a)
}

/// Spikes of a sample by tick and population.
struct Rows<'a> {
    spikes: &'a [Spike],
}

impl<'a> Rows<'a> {
    fn of(sample: &'a Sample) -> Self {
        Self { spikes: &sample.spikes }
    }

    fn row(&self, tick: usize, population: usize) -> &'a [Spike] {
        let key = (tick as u32, population as u32);
        let start = self.spikes.partition_point(|s| (s.0, s.1) < key);
        let end = self.spikes.partition_point(|s| (s.0, s.1) <= key);
        self.spikes.get(start..end).unwrap_or(&[])
    }
}

struct Place<'a> {
    sample: usize,
    tick: usize,
    name: &'a str,
}

impl Place<'_> {
    fn note(&self, neuron: usize, quantity: &'static str, a: f64, b: f64, out: &mut Comparison) {
        let (sample, tick, population) = (self.sample, self.tick, self.name.to_owned());
        out.first.get_or_insert(Difference { sample, tick, population, neuron, quantity, a, b });
    }

    fn spikes(&self, mut a: &[Spike], mut b: &[Spike], out: &mut Comparison) {
        out.spikes += a.iter().map(|s| u64::from(s.3.unsigned_abs())).sum::<u64>();
        loop {
            let (x, y) = (a.first(), b.first());
            let neuron = match (x, y) {
                (Some(x), Some(y)) => x.2.min(y.2),
                (Some(s), None) | (None, Some(s)) => s.2,
                (None, None) => return,
            };
            let here = |s: Option<&Spike>| s.filter(|s| s.2 == neuron).map(|s| s.3);
            let (p, q) = (here(x), here(y));
            if p != q {
                out.mismatches += 1;
                self.note(neuron as usize, "spikes", p.unwrap_or(0).into(), q.unwrap_or(0).into(), out);
            }
            a = a.get(usize::from(p.is_some())..).unwrap_or(&[]);
            b = b.get(usize::from(q.is_some())..).unwrap_or(&[]);
        }
    }

    fn membranes(&self, a: &[f64], b: &[f64], tolerance: f64, out: &mut Comparison) {
        for (neuron, (x, y)) in a.iter().zip(b).enumerate() {
            let apart = (x - y).abs();
            out.membrane_error = Some(out.membrane_error.unwrap_or(0.0).max(apart));
            if apart > tolerance {
                self.note(neuron, "membrane", *x, *y, out);
            }
        }
    }
}

impl Sample {
    /// Takes the spikes and membranes out of what the integer machine did with a sample.
    pub fn take(presented: &mut Presented) -> Self {
        let mut spikes = std::mem::take(&mut presented.spikes);
        spikes.sort_unstable();
        let membranes = std::mem::take(&mut presented.membranes);
        Self {
            ticks: presented.per_tick.len(),
            spikes,
            membranes: membranes
                .into_iter()
                .map(|t| t.into_iter().map(|p| p.into_iter().map(f64::from).collect()).collect())
                .collect(),
        }
    }

    /// A sample from rows of spike counts, by tick, for one population.
    fn of_rows(rows: &[Vec<f64>], population: u32) -> Self {
        let mut spikes = Vec::new();
        for (tick, row) in rows.iter().enumerate() {
            for (neuron, v) in row.iter().enumerate().filter(|(_, v)| **v != 0.0) {
                spikes.push((tick as u32, population, neuron as u32, v.round() as i32));
            }
        }
        Self { ticks: rows.len(), spikes, membranes: Vec::new() }
    }
}

/// Recorded arrays of (time, neuron), (time, sample, neuron) or more axes of the neuron.
fn from_arrays(path: &Path, arrays: Vec<(String, npy::Array)>) -> Result<Trace, Failure> {
    let mut trace = Trace {
        schema: SCHEMA.to_owned(),
        source: format!("recording {}", path.file_name().and_then(|n| n.to_str()).unwrap_or_default()),
        sha256: String::new(),
        populations: Vec::new(),
        samples: Vec::new(),
    };
    for (name, array) in arrays {
        let (ticks, batch, size) = match array.shape.as_slice() {
            [t, n] => (*t, 1, *n),
            [t, b, rest @ ..] if !rest.is_empty() => (*t, *b, rest.iter().product()),
            other => {
                return Err(Failure::bad_input("not recorded spikes")
                    .file(path)
                    .place(format_args!("array `{name}`"))
                    .found(format_args!("shape {other:?}"))
                    .expected("(time, neuron) or (time, sample, neuron…)")
                    .mend("stack the spikes of the steps: numpy.stack(spikes)"));
            }
        };
        if let Some(v) = array.values.iter().find(|v| v.fract() != 0.0) {
            return Err(Failure::bad_input("not recorded spikes")
                .file(path)
                .place(format_args!("array `{name}`"))
                .found(v)
                .expected("whole numbers of spikes"));
        }
        let number = trace.populations.len() as u32;
        trace.populations.push(Population { name, size, unit: None });
        for sample in 0..batch {
            let row = |t: usize| {
                let start = (t * batch + sample) * size;
                array.values.get(start..start + size).unwrap_or(&[]).to_vec()
            };
            let rows: Vec<Vec<f64>> = (0..ticks).map(row).collect();
            add(&mut trace, sample, Sample::of_rows(&rows, number));
        }
    }
    Ok(trace)
}

/// Adds the spikes of one more population to a sample.
fn add(trace: &mut Trace, number: usize, more: Sample) {
    if trace.samples.len() <= number {
        trace.samples.resize(number + 1, Sample::default());
    }
    if let Some(sample) = trace.samples.get_mut(number) {
        sample.ticks = sample.ticks.max(more.ticks);
        sample.spikes.extend(more.spikes);
        sample.spikes.sort_unstable();
    }
}

/// The spikes of every node of a NIRData file.
fn from_recording(path: &Path, bytes: &[u8], tick: f64) -> Result<Trace, Failure> {
    let recording = Recording::from_bytes(bytes.to_vec(), Default::default())
        .map_err(|error| Failure::bad_input(error).file(path).expected("NIRData with recorded spikes"))?;
    let mut trace = from_arrays(path, Vec::new())?;
    for (node, observables) in &recording.nodes {
        let Some(observable) = observables.get("spikes").or_else(|| observables.values().next()) else {
            continue;
        };
        let grid = observable.to_grid(tick).ok_or_else(|| {
            Failure::bad_input("the recording does not fit into ticks")
                .file(path)
                .place(format_args!("node `{node}`"))
                .found(format_args!("--tick {tick:e}"))
                .mend("give --tick, the length of a tick in the recording's unit of time")
        })?;
        let (ticks, size) =
            (grid.shape().get(1).copied().unwrap_or(0), grid.shape().iter().skip(2).product());
        let number = trace.populations.len() as u32;
        trace.populations.push(Population { name: node.clone(), size, unit: None });
        for (sample, values) in grid.data().chunks((ticks * size).max(1)).enumerate() {
            let rows: Vec<Vec<f64>> = values.chunks(size.max(1)).map(<[f64]>::to_vec).collect();
            add(&mut trace, sample, Sample::of_rows(&rows, number));
        }
    }
    Ok(trace)
}

/// Whether a JSON value is a trace.
pub fn is_trace(value: &Value) -> bool {
    value.get("schema").and_then(Value::as_str).is_some_and(|s| s.starts_with("synop-trace"))
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::work(format_args!("the trace is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(spikes: Vec<Spike>, membrane: f64) -> Trace {
        let population = |name: &str, size| Population { name: name.into(), size, unit: None };
        let sample = Sample {
            ticks: 3,
            spikes,
            membranes: vec![
                vec![Vec::new(), vec![0.0, 0.5]],
                vec![Vec::new(), vec![membrane, 0.0]],
                vec![Vec::new(), vec![0.0, 0.0]],
            ],
        };
        Trace {
            schema: SCHEMA.into(),
            source: "test".into(),
            sha256: String::new(),
            populations: vec![population("input", 4), population("out", 2)],
            samples: vec![sample.clone(), sample],
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_equals_itself() {
        let a = trace(vec![(0, 0, 3, 1), (1, 1, 0, 2), (2, 1, 1, 1)], 0.25);
        let path = Path::new("t.json");
        let again = Trace::read(path, a.to_json().unwrap().as_bytes(), 1.0).unwrap();
        assert_eq!(again, a);
        assert_eq!(a.compare(&again, 0.0).first, None);
        // NIRData keeps the spikes.
        let bytes = a.recording().to_bytes().unwrap();
        let again = Trace::read(Path::new("t.nird"), &bytes, 1.0).unwrap();
        let compared = a.compare(&again, 0.0);
        assert_eq!((compared.first, compared.spikes), (None, 8));
    }

    #[test]
    fn the_first_difference_names_tick_population_neuron_and_both_values() {
        let a = trace(vec![(0, 0, 3, 1), (2, 1, 0, 1)], 0.25);
        let b = trace(vec![(0, 0, 3, 1), (2, 1, 0, 2), (2, 1, 1, 1)], 0.25);
        let found = a.compare(&b, 0.0);
        let first = found.first.unwrap();
        assert_eq!((first.sample, first.tick, first.population.as_str(), first.neuron), (0, 2, "out", 0));
        assert_eq!((first.quantity, first.a, first.b, found.mismatches), ("spikes", 1.0, 2.0, 4));
        let first = a.compare(&trace(a.samples[0].spikes.clone(), 0.26), 0.001).first.unwrap();
        assert_eq!((first.quantity, first.tick, first.neuron), ("membrane", 1, 0));
        assert_eq!(a.compare(&trace(a.samples[0].spikes.clone(), 0.26), 0.1).first, None);
    }

    #[test]
    fn a_trace_that_contradicts_itself_is_refused_with_its_place() {
        for spikes in
            [vec![(3, 1, 0, 1)], vec![(0, 2, 0, 1)], vec![(0, 1, 2, 1)], vec![(1, 1, 0, 1), (0, 1, 0, 1)]]
        {
            let text = trace(spikes, 0.0).to_json().unwrap();
            let failure = Trace::read(Path::new("t.json"), text.as_bytes(), 1.0).unwrap_err();
            assert!(failure.to_string().contains("samples[0].spikes"), "{failure}");
        }
    }
}
