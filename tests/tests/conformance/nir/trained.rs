//! Trained networks: the float twin on the recorded traces and on every image.

use super::table::{compare, numbers, size, steps};
use crate::Outcome;
use serde_json::Value;
use synop_model::nir::{FlatGraph, Graph, Node};
use synop_model::profile::Profile;
use synop_model::twin::Twin;

/// Images that must be exact; beyond, a difference needs a threshold as near as this.
const EXACT_IMAGES: usize = 20;
const NEAR: f64 = 1e-5;

/// Deterministic rate code of one image: s\[t\] = ⌊(t+1)p/P⌋ − ⌊tp/P⌋.
pub(crate) fn rate_code(pixels: &[u64], steps: u64, full: u64) -> Vec<Vec<f64>> {
    (0..steps).map(|t| pixels.iter().map(|p| ((t + 1) * p / full - t * p / full) as f64).collect()).collect()
}

/// The full scale P that the description of the code names.
pub(crate) fn full_scale(case: &Value) -> Result<u64, String> {
    let text = case["input_encoding"].as_str().ok_or("no input_encoding")?;
    let digits: String =
        text.split("p/").nth(1).unwrap_or("").chars().take_while(char::is_ascii_digit).collect();
    digits.parse().map_err(|_| format!("no full scale in {text}"))
}

/// The test images that can be had: the data set's, else those in the case; where both are there they are the same.
pub(crate) fn images(case: &Value) -> Result<Vec<Vec<u64>>, String> {
    let embedded = case["images"].as_array().map(Vec::as_slice).unwrap_or(&[]);
    let embedded: Vec<Vec<u64>> = embedded
        .iter()
        .map(|row| Ok(numbers(row)?.into_iter().map(|p| p as u64).collect()))
        .collect::<Result<_, String>>()?;
    let wanted = case["predictions"].as_array().map_or(0, Vec::len);
    let Some(all) = data_set(case["data"].as_str().unwrap_or(""), wanted)? else { return Ok(embedded) };
    match embedded.iter().zip(&all).position(|(a, b)| a != b) {
        Some(i) => Err(format!("image {i} of the case is not that of the data set")),
        None => Ok(all),
    }
}

/// The first test images of the data set that the case names, in whole grey values; none where it is not here.
fn data_set(named: &str, wanted: usize) -> Result<Option<Vec<Vec<u64>>>, String> {
    let whole = |set: &synop::data::Dataset, full: f32| {
        let row = |i: usize| set.row(i).iter().map(|v| (v * full).round() as u64).collect();
        (0..set.len().min(wanted)).map(row).collect::<Vec<Vec<u64>>>()
    };
    if named.contains("digits") {
        let digits = synop::data::digits::load().map_err(|e| e.to_string())?;
        let rows = synop::data::digits::test_rows().map_err(|e| e.to_string())?;
        return Ok(Some(whole(&digits.select(&rows), 1.0)));
    }
    let folder = synop::testing::data_dir();
    if named.contains("MNIST") && folder.join("mnist").is_dir() {
        let test = synop::data::mnist(&folder, false).map_err(|e| e.to_string())?;
        return Ok(Some(whole(&test, 255.0)));
    }
    Ok(None)
}

/// Argmax, ties to the lowest index.
pub(crate) fn readout(counts: &[f64]) -> usize {
    let mut best = 0;
    for (i, c) in counts.iter().enumerate() {
        if *c > counts[best] {
            best = i;
        }
    }
    best
}

/// Spike counts of one image.
struct Counts {
    output: Vec<f64>,
    hidden: f64,
}

/// The node that feeds the output, and the other spiking nodes.
fn layers(flat: &FlatGraph) -> Result<(usize, Vec<usize>), String> {
    let output = *flat.outputs.first().ok_or("no output")?;
    let last = flat.sources(output).next().ok_or("nothing feeds the output")?;
    let hidden = (0..flat.nodes.len()).filter(|i| *i != last && flat.nodes[*i].1.spike().is_some()).collect();
    Ok((last, hidden))
}

pub(crate) fn float(graph: &Graph, case: &Value, profile: &Profile) -> Result<Outcome, String> {
    let flat = graph.flatten().map_err(|e| e.to_string())?;
    let (last, hidden) = layers(&flat)?;
    let mut twin = Twin::new(&flat, profile).map_err(|e| e.to_string())?;
    let ticks = case["T"].as_u64().ok_or("no T")?;
    let full = full_scale(case)?;
    let images = images(case)?;
    if images.is_empty() {
        return Ok(Outcome::Skipped("its images are in no data set that can be read here".into()));
    }
    let trace = &case["trace_first2"];
    let mut means = Means::of(&flat, images.len());
    for (i, pixels) in images.iter().enumerate() {
        let code = rate_code(pixels, ticks, full);
        twin.reset();
        let mut counts = Counts { output: vec![0.0; twin.output(last).len()], hidden: 0.0 };
        for (t, x) in code.iter().enumerate() {
            twin.step(&[x]).map_err(|e| e.to_string())?;
            means.step(x, &twin, last, &hidden);
            for (c, s) in counts.output.iter_mut().zip(twin.output(last)) {
                *c += s;
            }
            counts.hidden += hidden.iter().map(|h| twin.output(*h).iter().sum::<f64>()).sum::<f64>();
            if trace["output_spikes"].as_array().is_some_and(|a| i < a.len()) {
                check_trace(&twin, last, &hidden, trace, i, t)?;
            }
        }
        check_image(&counts, case, i, twin.margin())?;
    }
    if images.len() == case["predictions"].as_array().map_or(0, Vec::len) {
        means.check(case)?;
    }
    if let Some(stated) =
        case["n_test"].as_u64().filter(|n| Some(*n as usize) != case["labels"].as_array().map(Vec::len))
    {
        return Err(format!("n_test {stated}, another number of labels"));
    }
    check_accuracy(case)
}

/// Spikes and synaptic events of all images, whose means the case states in 32 bits.
struct Means {
    images: f64,
    sums: [f64; 4],
    /// Outputs that each node reaches over weights, without delay or cycle.
    fan_out: Vec<f64>,
    inputs: Vec<usize>,
}

const MEANS: [&str; 4] = [
    "input_spikes_mean_per_image",
    "hidden_spikes_mean_per_image",
    "output_spikes_mean_per_image",
    "synaptic_events_mean_per_image",
];

impl Means {
    fn of(flat: &FlatGraph, images: usize) -> Self {
        let outputs = |i: usize| match &flat.nodes[i].1 {
            Node::Linear { weight } | Node::Affine { weight, .. } => {
                weight.shape().iter().rev().nth(1).copied().unwrap_or(0) as f64
            }
            _ => 0.0,
        };
        let fan_out = (0..flat.nodes.len()).map(|i| flat.targets(i).map(outputs).sum()).collect();
        Self { images: images as f64, sums: [0.0; 4], fan_out, inputs: flat.inputs.clone() }
    }

    fn step(&mut self, x: &[f64], twin: &Twin, last: usize, hidden: &[usize]) {
        let spikes = |i: usize| twin.output(i).iter().sum::<f64>();
        let own: f64 = hidden.iter().map(|h| spikes(*h)).sum();
        let events: f64 = hidden.iter().map(|h| spikes(*h) * self.fan_out[*h]).sum();
        let input: f64 = x.iter().sum();
        let first: f64 = self.inputs.iter().map(|i| self.fan_out[*i]).sum();
        for (sum, n) in self.sums.iter_mut().zip([input, own, spikes(last), events + input * first]) {
            *sum += n;
        }
    }

    fn check(&self, case: &Value) -> Result<(), String> {
        for (key, sum) in MEANS.iter().zip(self.sums) {
            let (Some(stated), found) = (case[*key].as_f64(), sum / self.images) else { continue };
            // A single image that differs by a rounding error moves a mean by less than this.
            if (stated - found).abs() > 2e-6 * stated.abs() + 2.0 / self.images {
                return Err(format!("{key}: {found}, expected {stated}"));
            }
        }
        Ok(())
    }
}

fn check_trace(
    twin: &Twin,
    last: usize,
    hidden: &[usize],
    trace: &Value,
    image: usize,
    t: usize,
) -> Result<(), String> {
    let label = |what: &str| format!("trace of image {image}, {what}");
    let spikes = steps(&trace["output_spikes"][image])?;
    compare(&label("output spikes"), t, &spikes[t], twin.output(last), None)?;
    let membrane = steps(&trace["output_membrane_after_step"][image])?;
    compare(
        &label("output membrane"),
        t,
        &membrane[t],
        twin.membrane(last).unwrap_or(&[]),
        Some(size(&membrane)),
    )?;
    let expected = numbers(&trace["hidden_spike_indices"][image][t])?;
    let all = hidden.iter().flat_map(|h| twin.output(*h)).enumerate();
    let found: Vec<f64> = all.filter(|(_, s)| **s != 0.0).map(|(i, _)| i as f64).collect();
    compare(&label("hidden spikes"), t, &expected, &found, None)
}

/// Counts and prediction of one image; beyond the first images a difference must be one that a
/// rounding error explains, and is listed.
fn check_image(counts: &Counts, case: &Value, i: usize, margin: f64) -> Result<(), String> {
    let expected = numbers(&case["output_spike_counts"][i])?;
    let hidden = case["hidden_spikes_per_image"][i].as_f64().ok_or("no hidden spikes")?;
    let prediction = case["predictions"][i].as_u64().ok_or("no prediction")? as usize;
    if expected == counts.output && hidden == counts.hidden && prediction == readout(&counts.output) {
        return Ok(());
    }
    let text = format!(
        "image {i}: output {:?}, expected {expected:?}; hidden {}, expected {hidden}; nearest threshold {margin:e}",
        counts.output, counts.hidden
    );
    if i < EXACT_IMAGES || margin > NEAR {
        return Err(text);
    }
    eprintln!("{text}");
    Ok(())
}

/// The stated accuracy is that of the stated predictions.
fn check_accuracy(case: &Value) -> Result<Outcome, String> {
    let (labels, predictions) = (numbers(&case["labels"])?, numbers(&case["predictions"])?);
    let right = labels.iter().zip(&predictions).filter(|(a, b)| a == b).count();
    let accuracy = right as f64 / labels.len() as f64;
    match case["accuracy"].as_f64() {
        Some(stated) if (stated - accuracy).abs() < 1e-12 => Ok(Outcome::Agrees),
        other => Err(format!("accuracy {other:?}, its predictions give {accuracy}")),
    }
}
