//! Quantised networks on the integer machine: predictions, counts and membranes of `*.quant.json`, bit for bit.

use super::table::numbers;
use super::trained::{full_scale, images, rate_code};
use serde_json::Value;
use std::path::Path;
use synop::input::{Inputs, Sample};
use synop::pipeline::{Compiled, Keep, run};
use synop_model::image::write;
use synop_model::lower::FloatNetwork;
use synop_model::nir::{FlatGraph, Graph};
use synop_model::placement::Placement;
use synop_model::profile::{Profile, Reset};
use synop_model::quantize::{Options, Quantized, quantize};

/// Checks every width of the table, on one core and spread over three.
pub(crate) fn table(graph: &Graph, case: &Value, profile: &Profile, path: &Path) -> Result<(), String> {
    let table = super::read_json(path)?;
    let flat = graph.flatten().map_err(|e| e.to_string())?;
    let float = FloatNetwork::of(&flat, profile).map_err(|e| e.to_string())?;
    let inputs = inputs(case)?;
    statements(&table, case, profile, path)?;
    let widths = table.as_object().ok_or("the table is no object")?;
    let mut seen = 0;
    for (key, expected) in widths {
        let Some(bits) = key.strip_prefix("int").and_then(|b| b.parse::<u32>().ok()) else { continue };
        seen += 1;
        let quantized = quantize(&float, &Options::bits(bits)).map_err(|e| format!("{key}: {e}"))?;
        parameters(&quantized, expected).map_err(|e| format!("{key}: {e}"))?;
        let network = &quantized.network;
        for (name, placement) in
            [("one core", Placement::one_core(network)), ("three cores", Placement::spread(network, 3))]
        {
            let blob = write(network, &placement).map_err(|e| e.to_string())?;
            let compiled = Compiled::open(blob).map_err(|e| e.to_string())?;
            width(&compiled, &inputs, &flat, expected, case).map_err(|e| format!("{key}, {name}: {e}"))?;
        }
    }
    if seen == 0 { Err("the table has no widths".into()) } else { Ok(()) }
}

/// What the table says of itself: its network, steps, reset and float accuracy.
fn statements(table: &Value, case: &Value, profile: &Profile, path: &Path) -> Result<(), String> {
    let network = path.with_extension("").with_extension("nir");
    let name = network.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if table["of"].as_str().is_some_and(|of| of != name) {
        return Err(format!("of {}, expected {name}", table["of"]));
    }
    if table["T"] != case["T"] {
        return Err(format!("T {}, the case has {}", table["T"], case["T"]));
    }
    let reset = match profile.reset {
        Reset::Value => "value",
        Reset::Subtract => "subtract",
        Reset::None => "none",
    };
    if table["mode"].as_str().is_some_and(|mode| !mode.starts_with(reset)) {
        return Err(format!("mode {}, the profile has {reset}", table["mode"]));
    }
    number("float_accuracy", case["accuracy"].as_f64().unwrap_or(f64::NAN), table, 1e-12)
}

fn inputs(case: &Value) -> Result<Inputs, String> {
    let (ticks, full) = (case["T"].as_u64().ok_or("no T")?, full_scale(case)?);
    let images = images(case)?;
    let width = images.first().map_or(0, Vec::len);
    let samples = images.iter().map(|pixels| {
        let code = rate_code(pixels, ticks, full);
        Sample::from_rows(code.iter().map(Vec::as_slice))
    });
    let labels = numbers(&case["labels"])?.into_iter().map(|l| l as u32).collect();
    Ok(Inputs::of_samples(width, samples.collect(), Some(labels)))
}

/// Scales, thresholds and decays that the table states.
fn parameters(quantized: &Quantized, expected: &Value) -> Result<(), String> {
    let scales = numbers(&expected["scales"])?;
    let thresholds = expected["thresholds_q"].as_array().ok_or("no thresholds_q")?;
    let decays = numbers(&expected["decay_q15"])?;
    for (l, layer) in quantized.layers.iter().enumerate() {
        let scale = scales.get(l).ok_or("fewer scales than layers")?;
        let own = layer.scales.first().copied().unwrap_or(f64::NAN);
        // The table was made from 32-bit weights.
        if (own / scale - 1.0).abs() > 1e-6 {
            return Err(format!("layer {l}: scale {own}, expected {scale}"));
        }
        let mut wanted: Vec<i32> = numbers(&thresholds[l])?.into_iter().map(|t| t as i32).collect();
        wanted.sort_unstable();
        wanted.dedup();
        if layer.thresholds != wanted {
            return Err(format!("layer {l}: thresholds {:?}, expected {wanted:?}", layer.thresholds));
        }
        let decay = decays.get(l).map(|d| *d as u32).ok_or("fewer decays than layers")?;
        if layer.decays != [decay] {
            return Err(format!("layer {l}: decays {:?}, expected {decay}", layer.decays));
        }
    }
    if quantized.layers.len() == scales.len() { Ok(()) } else { Err("another number of layers".into()) }
}

fn width(
    compiled: &Compiled,
    inputs: &Inputs,
    flat: &FlatGraph,
    expected: &Value,
    case: &Value,
) -> Result<(), String> {
    let keep = Keep { largest: true, ..Keep::default() };
    let hidden: Vec<usize> = (0..compiled.populations.len())
        .filter(|p| *p != compiled.readout && !compiled.populations[*p].input)
        .collect();
    let (ran, each) = run(compiled, inputs, keep, |_, _, one| {
        let spikes: u64 = hidden.iter().map(|p| one.spikes_per_population[*p]).sum();
        Ok((one.readout_spikes.clone(), spikes))
    })
    .map_err(|e| e.to_string())?;
    let predictions = numbers(&expected["predictions"])?;
    for (i, (found, wanted)) in ran.answers.iter().zip(&predictions).enumerate() {
        if *found as f64 != *wanted {
            return Err(format!("image {i}: prediction {found}, expected {wanted}"));
        }
    }
    if ran.answers.len() != predictions.len() {
        return Err(format!("{} images, {} predictions", ran.answers.len(), predictions.len()));
    }
    let counts = expected["output_spike_counts_first100"].as_array().ok_or("no output counts")?;
    let hiddens = numbers(&expected["hidden_spikes_first100"])?;
    for (i, ((found, spikes), (wanted, hidden))) in each.iter().zip(counts.iter().zip(&hiddens)).enumerate() {
        let found: Vec<f64> = found.iter().map(|n| f64::from(*n)).collect();
        if found != numbers(wanted)? {
            return Err(format!("image {i}: output counts {found:?}, expected {wanted}"));
        }
        if *spikes as f64 != *hidden {
            return Err(format!("image {i}: {spikes} hidden spikes, expected {hidden}"));
        }
    }
    let all: u64 = each.iter().map(|(_, spikes)| spikes).sum();
    let mean = all as f64 / each.len() as f64;
    number("hidden_spikes_mean", mean, expected, 1e-9)?;
    number("max_abs_v", ran.largest as f64, expected, 0.0)?;
    let labels = inputs.labels.as_deref().unwrap_or(&[]);
    number("accuracy", ran.accuracy(labels).unwrap_or(f64::NAN), expected, 1e-12)?;
    let float = numbers(&case["predictions"])?;
    let alike = ran.answers.iter().zip(&float).filter(|(a, b)| **a as f64 == **b).count();
    number("agreement_with_float", alike as f64 / float.len() as f64, expected, 1e-12)?;
    if flat.outputs.is_empty() { Err("the graph has no output".into()) } else { Ok(()) }
}

fn number(key: &str, found: f64, expected: &Value, tolerance: f64) -> Result<(), String> {
    let wanted = expected[key].as_f64().ok_or_else(|| format!("no {key}"))?;
    if (found - wanted).abs() <= tolerance * wanted.abs().max(1.0) {
        return Ok(());
    }
    Err(format!("{key}: {found}, expected {wanted}"))
}
