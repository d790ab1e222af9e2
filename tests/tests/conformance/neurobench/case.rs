//! A NeuroBench case as a graph under a profile.

use serde_json::Value;
use synop_model::array::Array;
use synop_model::nir::{Conv, Cuba, FlatGraph, Graph, Leaky, Node, Padding, Pool, Spike};
use synop_model::profile::Profile;
use synop_model::twin::Twin;

/// A network, its input, and where its answer stands.
pub(super) struct Case {
    pub(super) graph: Graph,
    pub(super) profile: Profile,
    /// Rows per step, per sample.
    pub(super) samples: Vec<Vec<Vec<f64>>>,
    /// Position of the last layer in the flat graph.
    pub(super) last: usize,
}

/// Numbers of a nested list and its shape.
fn array(value: &Value) -> Result<Array, String> {
    let mut shape = Vec::new();
    let mut at = value;
    while let Value::Array(items) = at {
        shape.push(items.len());
        at = items.first().ok_or("an empty list")?;
    }
    let mut data = Vec::new();
    flatten(value, &mut data)?;
    Array::new(shape, data).ok_or_else(|| "a list of unequal lists".into())
}

fn flatten(value: &Value, out: &mut Vec<f64>) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| flatten(item, out)),
        other => {
            out.push(other.as_f64().ok_or_else(|| format!("{other} is no number"))?);
            Ok(())
        }
    }
}

/// One number for both axes, or one for each.
fn pair(value: &Value, or: usize) -> Vec<usize> {
    match value {
        Value::Array(items) => items.iter().map(|v| v.as_u64().unwrap_or(0) as usize).collect(),
        Value::Number(n) => vec![n.as_u64().unwrap_or(0) as usize; 2],
        _ => vec![or; 2],
    }
}

impl Case {
    pub(super) fn of(json: &Value) -> Result<Case, String> {
        let input = json["input"].as_array().ok_or("no input")?;
        let first = array(&input.first().ok_or("no samples")?[0])?;
        let mut graph = Graph::default();
        graph.nodes.insert("input".into(), Node::Input { shape: first.shape().to_vec() });
        let mut before = "input".to_owned();
        let mut reset: Option<&str> = None;
        for layer in json["layers"].as_array().ok_or("no layers")? {
            let name = layer["name"].as_str().ok_or("a layer without a name")?;
            graph.nodes.insert(name.to_owned(), node(layer)?);
            if let Some(own) = layer["reset_mechanism"].as_str() {
                if reset.is_some_and(|r| r != own) {
                    return Err("layers of different resets".into());
                }
                reset = Some(own);
            }
            graph.edges.push((before, name.to_owned()));
            before = name.to_owned();
        }
        graph.edges.push((before.clone(), "output".to_owned()));
        graph.nodes.insert("output".into(), Node::Output { shape: vec![1] });
        graph.edges.sort();
        let samples = input
            .iter()
            .map(|steps| {
                let rows = steps.as_array().ok_or("a sample without steps")?;
                rows.iter().map(|row| Ok(array(row)?.data().to_vec())).collect()
            })
            .collect::<Result<_, String>>()?;
        let mut profile = Profile::named("snntorch").map_err(|e| e.to_string())?;
        let reset = match reset {
            Some("zero") => "value",
            Some(other) => other,
            None => "none",
        };
        for (key, value) in [("dt", "1"), ("reset", reset)] {
            profile.set(key, value).map_err(|e| e.to_string())?;
        }
        let flat = graph.flatten().map_err(|e| e.to_string())?;
        let last = flat.position(&before).ok_or("no last layer")?;
        Ok(Case { graph, profile, samples, last })
    }

    /// The recorded outputs and membranes of a step, which the package took with all samples in one batch.
    pub(super) fn trace(
        &self,
        json: &Value,
        sample: usize,
        step: usize,
        flat: &FlatGraph,
        twin: &Twin,
    ) -> Result<(), String> {
        let Some(record) = json["trace_all_samples_in_one_batch"][step].as_object() else { return Ok(()) };
        for (key, values) in record {
            let Some((layer, what)) = key.rsplit_once('_') else { continue };
            let node = flat.position(layer).ok_or_else(|| format!("trace: no layer {layer}"))?;
            let found = match what {
                "spk" | "out" => twin.output(node),
                "mem" => twin.membrane(node).unwrap_or(&[]),
                other => return Err(format!("trace: unknown quantity {other}")),
            };
            let expected = array(&values[sample])?;
            if expected.data() != found {
                return Err(format!(
                    "trace of sample {sample}, step {step}, {key}: {found:?}, expected {:?}",
                    expected.data()
                ));
            }
        }
        Ok(())
    }
}

fn node(layer: &Value) -> Result<Node, String> {
    // One value for all neurons, or one for each.
    let values = |key: &str| array(&layer[key]).map_err(|_| format!("no {key}"));
    let spike = || -> Result<Option<Spike>, String> {
        Ok(Some(Spike { v_threshold: values("threshold")?, v_reset: Array::scalar(0.0) }))
    };
    // With a step of 1 a decay of b is a time constant of 1 / (1 − b).
    let tau = |key: &str| -> Result<Array, String> {
        let decay = values(key)?;
        let tau = decay.data().iter().map(|b| 1.0 / (1.0 - b.clamp(0.0, 1.0))).collect();
        Array::new(decay.shape().to_vec(), tau).ok_or_else(|| format!("{key} of no shape"))
    };
    let bias = || layer.get("bias").filter(|b| b.is_array()).map(array).transpose();
    Ok(match layer["type"].as_str().ok_or("a layer without a type")? {
        "Linear" => match bias()? {
            Some(bias) => Node::Affine { weight: array(&layer["weight"])?, bias },
            None => Node::Linear { weight: array(&layer["weight"])? },
        },
        "Conv2d" => {
            let weight = array(&layer["weight"])?;
            let channels = weight.shape().first().copied().unwrap_or(0);
            Node::Conv2d(Conv {
                bias: bias()?.unwrap_or_else(|| Array::vector(vec![0.0; channels])),
                weight,
                stride: pair(&layer["stride"], 1),
                padding: Padding::Explicit(pair(&layer["padding"], 0)),
                dilation: pair(&layer["dilation"], 1),
                groups: layer["groups"].as_u64().unwrap_or(1) as usize,
                input_shape: None,
            })
        }
        "AvgPool2d" => {
            let sizes = |key: &str, or: Vec<usize>| -> Result<[usize; 2], String> {
                let found = if layer[key].is_null() { or } else { pair(&layer[key], 0) };
                found.try_into().map_err(|_| format!("{key} of other than two axes"))
            };
            let kernel = sizes("kernel_size", Vec::new())?;
            let (stride, padding) = (sizes("stride", kernel.to_vec())?, sizes("padding", vec![0, 0])?);
            Node::AvgPool2d(Pool { kernel, stride, padding })
        }
        "Flatten" => Node::Flatten { start: 0, end: -1, input_shape: None },
        "Leaky" => {
            let tau = tau("beta")?;
            Node::Leaky(Leaky { r: tau.clone(), tau, v_leak: Array::scalar(0.0), spike: spike()? })
        }
        "Synaptic" => {
            let (synapse, membrane) = (tau("alpha")?, tau("beta")?);
            Node::Cuba(Cuba {
                w_in: synapse.clone(),
                tau_syn: synapse,
                r: membrane.clone(),
                tau_mem: membrane,
                v_leak: Array::scalar(0.0),
                spike: spike()?,
            })
        }
        other => return Err(format!("a layer of type {other}")),
    })
}
