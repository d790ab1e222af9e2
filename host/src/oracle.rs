//! The float twin beside a run: its answers and spikes, sample by sample, and NeuroBench's metrics.
//!
//! No command runs on it alone. It says how far the integers are from the numbers that were trained.

use rayon::prelude::*;
use serde_json::{Value, json};
use synop_model::metrics::{Meter, Metrics};
use synop_model::quantize::{Activity, Spoken};
use synop_model::twin::{Twin, TwinError};

use crate::Failure;
use crate::input::{Inputs, Sample};
use crate::pipeline::{self, Spike};
use crate::progress::Progress;
use crate::source::NirNetwork;
use crate::trace::{self, Trace};

/// What the twin did with all samples.
#[derive(Debug, Clone, Default)]
pub struct Oracle {
    /// Answers.
    pub answers: Vec<usize>,
    /// Spikes of neurons, those of inputs left out, in the order of tick, population, neuron; per sample.
    pub spikes: Vec<Vec<Spike>>,
    /// Ticks per sample.
    pub ticks: Vec<usize>,
    /// Membranes by tick, population, neuron, if they were asked for; per sample.
    pub membranes: Vec<Vec<Vec<Vec<f64>>>>,
    /// Spikes per population.
    pub per_population: Vec<u64>,
    /// NeuroBench's counts.
    pub metrics: Metrics,
    /// The smallest distance of a membrane from its threshold, over all samples.
    pub margin: f64,
}

/// A sample as the twin takes it: values per step and input.
fn steps(twin: &Twin, sample: &Sample) -> Vec<Vec<Vec<f64>>> {
    let widths: Vec<usize> = (0..twin.inputs().len()).map(|port| twin.input_len(port)).collect();
    let width = widths.iter().sum();
    let split = |tick: usize| {
        let row = sample.row(tick, width);
        let mut rest = row.as_slice();
        let cut = |n: &usize| {
            let (head, tail) = rest.split_at_checked(*n).unwrap_or((rest, &[]));
            rest = tail;
            head.to_vec()
        };
        widths.iter().map(cut).collect::<Vec<Vec<f64>>>()
    };
    (0..sample.ticks()).map(split).collect()
}

/// What each neuron of the twin says in a step, on the first `most` samples.
///
/// # Errors
/// Bad input: a sample cannot be made or does not fit the network.
pub fn activity(network: &NirNetwork, inputs: &Inputs, most: usize) -> Result<Activity, Failure> {
    let refused = |error: TwinError| Failure::bad_input(error).file(&network.path);
    let mut twin = Twin::new(&network.flat, &network.profile).map_err(refused)?;
    let mut activity = Activity::default();
    for number in 0..inputs.len().min(most) {
        let mut spoken = Spoken::default();
        twin.reset();
        for step in steps(&twin, &inputs.sample(number)?) {
            let ports: Vec<&[f64]> = step.iter().map(Vec::as_slice).collect();
            twin.step(&ports).map_err(refused)?;
            spoken.add(network.float.populations.iter().map(|p| twin.output(p.node)));
        }
        activity.samples.push(spoken);
    }
    Ok(activity)
}

struct One {
    answer: usize,
    spikes: Vec<Spike>,
    membranes: Vec<Vec<Vec<f64>>>,
    metrics: Metrics,
    ticks: usize,
    margin: f64,
}

/// Runs the twin over all samples, in parallel within the pool of the caller.
///
/// # Errors
/// Bad input: a sample cannot be made or does not fit the network.
pub fn run(network: &NirNetwork, inputs: &Inputs, membranes: bool) -> Result<Oracle, Failure> {
    let refused = |error: TwinError| Failure::bad_input(error).file(&network.path);
    let twin = Twin::new(&network.flat, &network.profile).map_err(refused)?;
    let progress = Progress::new("samples in floats", inputs.len() as u64);
    let all: Result<Vec<One>, Failure> = (0..inputs.len())
        .into_par_iter()
        .map_init(
            || Meter::new(&network.flat, &network.profile).map(|meter| (twin.clone(), meter)),
            |state, number| {
                let (twin, meter) = state.as_mut().map_err(|error| refused(error.clone()))?;
                let one = one(network, twin, meter, &inputs.sample(number)?, membranes).map_err(refused)?;
                progress.add(1, 0);
                Ok(one)
            },
        )
        .collect();
    progress.finish();
    let mut oracle = Oracle {
        per_population: vec![0; network.float.populations.len()],
        metrics: Meter::new(&network.flat, &network.profile).map_err(refused)?.network(),
        margin: f64::INFINITY,
        ..Oracle::default()
    };
    for one in all? {
        for (_, population, _, payload) in &one.spikes {
            oracle.per_population[*population as usize] += u64::from(payload.unsigned_abs());
        }
        oracle.metrics.add(&one.metrics);
        oracle.answers.push(one.answer);
        oracle.spikes.push(one.spikes);
        oracle.ticks.push(one.ticks);
        oracle.membranes.push(one.membranes);
        oracle.margin = oracle.margin.min(one.margin);
    }
    Ok(oracle)
}

fn one(
    network: &NirNetwork,
    twin: &mut Twin,
    meter: &mut Meter,
    sample: &Sample,
    membranes: bool,
) -> Result<One, TwinError> {
    let steps = steps(twin, sample);
    let populations = &network.float.populations;
    let readout = network.float.readouts.first().copied().unwrap_or(populations.len().saturating_sub(1));
    let spiking = |p: usize| populations[p].dynamics.as_ref().is_some_and(|d| d.threshold.is_some());
    let size = populations.get(readout).map_or(0, |p| p.size());
    let (mut spikes, mut kept, mut counts) = (Vec::new(), Vec::new(), vec![0.0; size]);
    let metrics = meter.sample(twin, &steps, |tick, twin| {
        for (p, population) in populations.iter().enumerate().filter(|(p, _)| spiking(*p)) {
            for (neuron, n) in twin.output(population.node).iter().enumerate().filter(|(_, n)| **n != 0.0) {
                spikes.push((tick as u32, p as u32, neuron as u32, n.round() as i32));
            }
        }
        let answer = populations.get(readout).map(|p| twin.output(p.node)).unwrap_or(&[]);
        let adds = spiking(readout);
        for (count, n) in counts.iter_mut().zip(answer) {
            *count = if adds { *count + n } else { *n };
        }
        if membranes {
            kept.push(
                populations
                    .iter()
                    .map(|p| twin.membrane(p.node).map(<[f64]>::to_vec).unwrap_or_default())
                    .collect(),
            );
        }
    })?;
    Ok(One {
        answer: pipeline::largest(&counts),
        spikes,
        membranes: kept,
        metrics,
        ticks: sample.ticks(),
        margin: twin.margin(),
    })
}

impl Oracle {
    /// Share of answers that equal the labels.
    pub fn accuracy(&self, labels: &[u32]) -> f64 {
        let right = self.answers.iter().zip(labels).filter(|(a, l)| **a == **l as usize).count();
        right as f64 / self.answers.len().max(1) as f64
    }

    /// Share of answers that equal others.
    pub fn agreement(&self, answers: &[usize]) -> f64 {
        let alike = self.answers.iter().zip(answers).filter(|(a, b)| a == b).count();
        alike as f64 / self.answers.len().max(1) as f64
    }

    /// The twin's spikes as a trace.
    pub fn trace(&self, network: &NirNetwork) -> Trace {
        let populations = network.float.populations.iter();
        let named =
            populations.map(|p| trace::Population { name: p.name.clone(), size: p.size(), unit: None });
        let samples = self.spikes.iter().zip(&self.ticks).zip(&self.membranes);
        Trace {
            schema: trace::SCHEMA.to_owned(),
            source: format!("float twin, profile {}", network.profile.name),
            sha256: String::new(),
            populations: named.collect(),
            samples: samples
                .map(|((spikes, ticks), membranes)| trace::Sample {
                    ticks: *ticks,
                    spikes: spikes.clone(),
                    membranes: membranes.clone(),
                })
                .collect(),
        }
    }
}

/// Spikes that two runs have in common.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Agreement {
    /// Spikes of both at the same tick and neuron, by population.
    pub both: Vec<u64>,
    /// Spikes of the twin.
    pub twin: Vec<u64>,
    /// Spikes of the machine.
    pub machine: Vec<u64>,
}

impl Agreement {
    /// Compares the spikes of one sample; those of the machine may hold inputs, which the twin's do not.
    pub fn of(populations: usize, twin: &[Spike], machine: &[Spike], inputs: &[bool]) -> Self {
        let zeros = vec![0; populations];
        let mut out = Self { both: zeros.clone(), twin: zeros.clone(), machine: zeros };
        let size = |s: &Spike| u64::from(s.3.unsigned_abs());
        for spike in twin {
            out.twin[spike.1 as usize] += size(spike);
        }
        let mut ordered: Vec<Spike> =
            machine.iter().filter(|s| !inputs.get(s.1 as usize).copied().unwrap_or(true)).copied().collect();
        ordered.sort_unstable();
        for spike in &ordered {
            out.machine[spike.1 as usize] += size(spike);
            let key = (spike.0, spike.1, spike.2);
            let at = twin.partition_point(|s| (s.0, s.1, s.2) < key);
            if let Some(other) = twin.get(at).filter(|s| (s.0, s.1, s.2) == key) {
                out.both[spike.1 as usize] += size(spike).min(size(other));
            }
        }
        out
    }

    /// Adds the spikes of another sample.
    pub fn add(&mut self, other: &Agreement) {
        for (mine, theirs) in [
            (&mut self.both, &other.both),
            (&mut self.twin, &other.twin),
            (&mut self.machine, &other.machine),
        ] {
            mine.resize(theirs.len(), 0);
            mine.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        }
    }

    /// Share of spikes, of both runs together, that the other has as well: 2·both / (twin + machine); 1 where nothing
    /// spiked. Of one population, or of all.
    pub fn share(&self, population: Option<usize>) -> f64 {
        let sum = |v: &[u64]| match population {
            Some(p) => v.get(p).copied().unwrap_or(0),
            None => v.iter().sum(),
        };
        let all = sum(&self.twin) + sum(&self.machine);
        if all == 0 { 1.0 } else { 2.0 * sum(&self.both) as f64 / all as f64 }
    }
}

/// NeuroBench's metrics under NeuroBench's names, as a report keeps them; `footprint_bytes` is what the integers
/// really take.
pub fn neurobench(metrics: &Metrics, footprint_bytes: u64) -> Value {
    let per = |count: u64| metrics.per_sample(count);
    json!({
        "measured_on": "the float twin, by the definitions of neurobench 2.3.0 at batch size 1",
        "footprint_bytes": footprint_bytes,
        "footprint_neurobench": metrics.footprint_bytes,
        "parameter_count": metrics.parameters,
        "connection_sparsity": metrics.connection_sparsity(),
        "activation_sparsity": metrics.activation_sparsity(),
        "activation_sparsity_by_layer": metrics.activations.keys()
            .map(|layer| (layer.clone(), json!(metrics.layer_sparsity(layer))))
            .collect::<serde_json::Map<_, _>>(),
        "synaptic_operations": {
            "effective_macs": per(metrics.effective_macs),
            "effective_acs": per(metrics.effective_acs),
            "dense": per(metrics.dense),
        },
        "membrane_updates": per(metrics.membrane_updates),
        "neuron_operations": {
            "effective": per(metrics.neuron_ops),
            "dense": per(metrics.neuron_dense_ops),
        },
        "counts": {
            "samples": metrics.samples,
            "steps": metrics.steps,
            "weights": metrics.weights,
            "zero_weights": metrics.zero_weights,
            "effective_macs": metrics.effective_macs,
            "effective_acs": metrics.effective_acs,
            "dense": metrics.dense,
            "membrane_updates": metrics.membrane_updates,
            "neuron_ops": metrics.neuron_ops,
        },
    })
}

/// The artificial network of the same shape: one pass of dense multiply-accumulates per sample, beside what the
/// spiking one does. Energy is that of the arithmetic alone, at the prices of one chip for both.
///
/// # Errors
/// Bad input: the shipped chip that prices arithmetic is broken.
pub fn ann_equivalent(metrics: &Metrics) -> Result<Value, Failure> {
    const CHIP: &str = "digital45-sram";
    let chip = synop_cost::shipped::chip(CHIP).map_err(Failure::work)?;
    let macs = metrics.dense_per_step;
    let per = |count: u64| metrics.per_sample(count);
    let price = |class| chip.energy_j(class, None).unwrap_or_default();
    let (mac, ac) = (price(synop_cost::Class::Mac), price(synop_cost::Class::Ac));
    let own = mac * per(metrics.effective_macs) + ac * per(metrics.effective_acs);
    let operations = per(metrics.effective_macs + metrics.effective_acs);
    Ok(json!({
        "dense_macs": macs,
        "spiking_operations": operations,
        "operations_per_mac": operations / macs.max(1) as f64,
        "arithmetic_j": {
            "chip": CHIP,
            "artificial": mac * macs as f64,
            "spiking": own,
        },
        "note": "per sample; arithmetic only, memory and communication left out on both sides",
    }))
}
