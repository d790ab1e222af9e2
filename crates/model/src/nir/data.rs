//! NIRData: recorded spikes and membranes tied to the nodes of a graph.
//!
//! Layout: root attribute `__type__ = NIRGraphData`; below `nodes/<node>/observables/<key>` one
//! of `TimeGriddedData` (dataset `data` of (samples, time, neurons), attribute `dt`),
//! `EventData` (`idx`, padded with −1, and `time`, padded with infinity; attributes `n_neurons`
//! and `t_max`) or `ValuedEventData` (`value` besides). An event falls in step ⌊time / dt⌋.

use super::tree::{Container, Data, Limits, Tree, Values};
use super::{Hdf5, NirError};
use crate::array::Array;
use std::collections::BTreeMap;
use std::path::Path;

/// One recorded quantity of one node.
#[derive(Clone, Debug, PartialEq)]
pub enum Observable {
    /// A value per sample, step and neuron.
    Grid {
        /// Length of a step, in the unit of the recording.
        dt: f64,
        /// Values of shape (samples, steps, neurons…).
        values: Array,
        /// True where the values are spikes stored as booleans.
        boolean: bool,
    },
    /// Events, one list per sample.
    Events {
        /// Number of neurons.
        neurons: usize,
        /// End of the recording.
        t_max: f64,
        /// Events per sample.
        samples: Vec<Vec<Event>>,
        /// True where the events carry values other than 1.
        valued: bool,
    },
}

/// Something that happened at a neuron.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// Index of the neuron.
    pub neuron: usize,
    /// Time, in the unit of the recording.
    pub time: f64,
    /// Value; 1 for a spike.
    pub value: f64,
}

/// All that was recorded of a graph: by node, by name of the observable.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Recording {
    /// Observables of each node.
    pub nodes: BTreeMap<String, BTreeMap<String, Observable>>,
}

impl Recording {
    /// Reads a NIRData file with the default limits.
    pub fn open(path: &Path) -> Result<Self, NirError> {
        let bytes = std::fs::read(path)
            .map_err(|e| NirError::File { path: path.display().to_string(), what: e.to_string() })?;
        Self::from_bytes(bytes, Limits::default())
    }

    /// Reads the bytes of a NIRData file.
    pub fn from_bytes(bytes: Vec<u8>, limits: Limits) -> Result<Self, NirError> {
        let root = Hdf5.load(bytes, limits)?;
        expect_type(&root, "/", &["NIRGraphData"])?;
        let nodes = root.group("nodes").ok_or_else(|| missing("/", "the group `nodes`"))?;
        let mut out = Self::default();
        for name in nodes.items.keys() {
            let at = format!("/nodes/{name}");
            let node = nodes.group(name).ok_or_else(|| wrong(&at, "a dataset", "a group"))?;
            expect_type(node, &at, &["NIRNodeData"])?;
            let observables =
                node.group("observables").ok_or_else(|| missing(&at, "the group `observables`"))?;
            let mut read = BTreeMap::new();
            for key in observables.items.keys() {
                let at = format!("{at}/observables/{key}");
                let tree = observables.group(key).ok_or_else(|| wrong(&at, "a dataset", "a group"))?;
                read.insert(key.clone(), observable(tree, &at)?);
            }
            out.nodes.insert(name.clone(), read);
        }
        Ok(out)
    }

    /// The bytes of a NIRData file with this recording.
    pub fn to_bytes(&self) -> Result<Vec<u8>, NirError> {
        let mut nodes = Tree::default();
        for (name, observables) in &self.nodes {
            let mut group = Tree::default();
            for (key, observable) in observables {
                group.put_group(key, observable.to_tree());
            }
            let mut node = typed("NIRNodeData");
            node.put_group("observables", group);
            nodes.put_group(name, node);
        }
        let mut root = typed("NIRGraphData");
        root.put_group("nodes", nodes);
        Hdf5.store(&root)
    }
}

impl Observable {
    /// The values per (sample, step, neuron), events counted into steps of length `dt`.
    ///
    /// A grid has its own step and ignores `dt`. Returns `None` when events lie outside the
    /// neurons or the time that the recording declares, or when there are too many steps.
    pub fn to_grid(&self, dt: f64) -> Option<Array> {
        match self {
            Observable::Grid { values, .. } => Some(values.clone()),
            Observable::Events { neurons, t_max, samples, .. } => {
                let steps = (t_max / dt).ceil();
                if !(0.0..=1e8).contains(&steps) {
                    return None;
                }
                // The end is inclusive, so an event exactly there opens one more step.
                let last =
                    samples.iter().flatten().map(|e| (e.time / dt).floor() + 1.0).fold(steps, f64::max);
                if last > 1e8 {
                    return None;
                }
                let steps = last as usize;
                let size = samples.len().checked_mul(steps)?.checked_mul(*neurons)?;
                if size > 1 << 28 {
                    return None;
                }
                let mut data = vec![0.0; size];
                for (s, events) in samples.iter().enumerate() {
                    for e in events {
                        let step = (e.time / dt).floor();
                        if !(step >= 0.0) || e.neuron >= *neurons {
                            return None;
                        }
                        *data.get_mut((s * steps + step as usize) * neurons + e.neuron)? += e.value;
                    }
                }
                Array::new(vec![samples.len(), steps, *neurons], data)
            }
        }
    }

    fn to_tree(&self) -> Tree {
        match self {
            Observable::Grid { dt, values, boolean } => {
                let mut tree = typed("TimeGriddedData");
                tree.attributes.insert("dt".into(), Data::float(*dt));
                let stored = match boolean {
                    true => Values::Int(values.data().iter().map(|v| i64::from(*v != 0.0)).collect()),
                    false => Values::Float(values.data().to_vec()),
                };
                let mut data = Data::new(values.shape().to_vec(), stored);
                data.boolean = *boolean;
                tree.put("data", data);
                tree
            }
            Observable::Events { neurons, t_max, samples, valued } => {
                let width = samples.iter().map(Vec::len).max().unwrap_or(0);
                let shape = vec![samples.len(), width];
                let padded = |of: fn(&Event) -> f64, pad: f64| -> Vec<f64> {
                    let row = |s: &Vec<Event>| {
                        let values: Vec<f64> = s.iter().map(of).collect();
                        values.into_iter().chain(std::iter::repeat_n(pad, width - s.len()))
                    };
                    samples.iter().flat_map(row).collect()
                };
                let mut tree = typed(if *valued { "ValuedEventData" } else { "EventData" });
                tree.attributes.insert("n_neurons".into(), Data::int(*neurons as i64));
                tree.attributes.insert("t_max".into(), Data::float(*t_max));
                let idx = padded(|e| e.neuron as f64, -1.0).into_iter().map(|v| v as i64).collect();
                tree.put("idx", Data::new(shape.clone(), Values::Int(idx)));
                tree.put("time", Data::new(shape.clone(), Values::Float(padded(|e| e.time, f64::INFINITY))));
                if *valued {
                    tree.put("value", Data::new(shape, Values::Float(padded(|e| e.value, 0.0))));
                }
                tree
            }
        }
    }
}

fn typed(name: &str) -> Tree {
    let mut tree = Tree::default();
    tree.attributes.insert("__type__".into(), Data::text(name));
    tree
}

fn missing(at: &str, what: &str) -> NirError {
    NirError::Missing {
        at: at.to_string(),
        what: what.to_string(),
        hint: "; this is not a complete NIRData file",
    }
}

fn wrong(at: &str, found: impl Into<String>, expected: &str) -> NirError {
    NirError::Value { at: at.to_string(), found: found.into(), expected: expected.to_string() }
}

fn expect_type<'a>(tree: &'a Tree, at: &str, allowed: &[&str]) -> Result<&'a str, NirError> {
    let data = tree.attributes.get("__type__").ok_or_else(|| missing(at, "the attribute `__type__`"))?;
    match &data.values {
        Values::Text(t) => match t.first() {
            Some(found) if allowed.contains(&found.as_str()) => Ok(found),
            Some(found) => Err(wrong(at, format!("`{found}`"), &allowed.join(" or "))),
            None => Err(missing(at, "the attribute `__type__`")),
        },
        _ => Err(wrong(at, data.describe(), &allowed.join(" or "))),
    }
}

fn number(tree: &Tree, key: &str, at: &str) -> Result<f64, NirError> {
    let data = tree.attributes.get(key).ok_or_else(|| missing(at, &format!("the attribute `{key}`")))?;
    match &data.values {
        Values::Float(v) => v.first().copied(),
        Values::Int(v) => v.first().map(|x| *x as f64),
        _ => None,
    }
    .filter(|v| !v.is_nan())
    .ok_or_else(|| wrong(at, data.describe(), "a number"))
}

fn values<'a>(tree: &'a Tree, key: &str, at: &str) -> Result<(&'a [usize], Vec<f64>, bool), NirError> {
    let data = tree.data(key).ok_or_else(|| missing(at, &format!("the dataset `{key}`")))?;
    match &data.values {
        Values::Float(v) => Ok((&data.shape, v.clone(), false)),
        Values::Int(v) => Ok((&data.shape, v.iter().map(|x| *x as f64).collect(), data.boolean)),
        _ => Err(wrong(&format!("{at}/{key}"), data.describe(), "numbers")),
    }
}

fn observable(tree: &Tree, at: &str) -> Result<Observable, NirError> {
    match expect_type(tree, at, &["TimeGriddedData", "EventData", "ValuedEventData"])? {
        "TimeGriddedData" => {
            let (shape, data, boolean) = values(tree, "data", at)?;
            let dt = number(tree, "dt", at)?;
            if !(dt > 0.0) {
                return Err(wrong(at, format!("dt = {dt}"), "a step above 0"));
            }
            if shape.len() < 2 {
                return Err(wrong(at, format!("shape {shape:?}"), "(samples, time, neurons)"));
            }
            let values = Array::new(shape.to_vec(), data)
                .ok_or_else(|| wrong(at, format!("shape {shape:?}"), "its values"))?;
            Ok(Observable::Grid { dt, values, boolean })
        }
        kind => events(tree, at, kind == "ValuedEventData"),
    }
}

fn events(tree: &Tree, at: &str, valued: bool) -> Result<Observable, NirError> {
    let (shape, idx, _) = values(tree, "idx", at)?;
    let (time_shape, time, _) = values(tree, "time", at)?;
    let &[rows, width] = shape else {
        return Err(wrong(at, format!("idx of shape {shape:?}"), "(samples, events)"));
    };
    if shape != time_shape {
        return Err(wrong(
            at,
            format!("time of shape {time_shape:?}"),
            &format!("shape {shape:?} as idx has"),
        ));
    }
    let value = match valued {
        true => {
            let (value_shape, value, _) = values(tree, "value", at)?;
            if value_shape != shape {
                return Err(wrong(
                    at,
                    format!("value of shape {value_shape:?}"),
                    &format!("shape {shape:?} as idx has"),
                ));
            }
            value
        }
        false => vec![1.0; idx.len()],
    };
    let neurons = number(tree, "n_neurons", at)?;
    if !(0.0..=1e12).contains(&neurons) {
        return Err(wrong(at, format!("n_neurons = {neurons}"), "a number of neurons"));
    }
    let mut samples = vec![Vec::new(); if width == 0 { 0 } else { rows }];
    let all = idx.iter().zip(&time).zip(&value).enumerate();
    for (i, ((neuron, time), value)) in all {
        if *neuron < 0.0 || time.is_infinite() {
            continue;
        }
        if *neuron >= neurons || time.is_nan() {
            return Err(wrong(
                at,
                format!("event of neuron {neuron} at {time}"),
                &format!("neurons below {neurons}"),
            ));
        }
        if let Some(sample) = samples.get_mut(i / width.max(1)) {
            sample.push(Event { neuron: *neuron as usize, time: *time, value: *value });
        }
    }
    Ok(Observable::Events { neurons: neurons as usize, t_max: number(tree, "t_max", at)?, samples, valued })
}
