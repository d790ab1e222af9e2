//! Floats to integers: symmetric weights of 2 to 16 bits, with decay, threshold and bias in the
//! same unit.
//!
//! For a population with incoming weights w, thresholds θ, biases b and decay a:
//!
//! ```text
//! unit = max|w| / (2^(bits−1) − 1)       per population, or per output channel
//! w_q = rint(w / unit)   θ_q = rint(θ / unit)   b_q = rint(b / unit)      (ties to even)
//! a_q = rint(a · 2^15) / 2^15
//! ```
//!
//! and a step is `v = decay(v) + Σ w_q + b_q`, the decay rounding toward zero, which is the
//! machine's own step ([`synop_core::neuron`]).

use crate::lower::{Dynamics, FloatNetwork, FloatProjection};
use crate::network::{Current, Kind, Lif, Network, Param, Population, Projection, Rows, Synapses};
use serde_json::json;

/// How to quantise.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Logical bits of a weight, 2 to 16, sign included.
    pub bits: u32,
    /// One unit per output channel instead of one per population.
    pub per_channel: bool,
    /// Choose the largest weight that is kept by the error of the drive ([`Activity`]) instead of keeping all.
    pub clip: bool,
    /// What the sources of the weights do, from data; without it all speak alike.
    pub activity: Activity,
    /// Bits of the decay's fraction: 15 or 31.
    pub decay_bits: u32,
    /// A membrane unit is a weight unit × 2^−shift.
    pub input_shift: u32,
    /// Bits of the membrane, sign included: leaving that range saturates.
    pub state_bits: u32,
    /// Most spikes of a neuron in a step where several are allowed.
    pub most_spikes: u32,
    /// Integers per 1.0 of the inputs: 1 for spikes and whole numbers.
    pub input_scale: f64,
    /// Largest absolute integer of an input.
    pub input_max: u32,
}

impl Options {
    /// Symmetric weights of that many bits, one unit per population, nothing clipped, spikes as
    /// input.
    pub fn bits(bits: u32) -> Self {
        Self {
            bits,
            per_channel: false,
            clip: false,
            activity: Activity::default(),
            decay_bits: 15,
            input_shift: 0,
            state_bits: 31,
            most_spikes: 255,
            input_scale: 1.0,
            input_max: 1,
        }
    }

    /// Sets the scale of the inputs from data: whole numbers are taken as they are, others are
    /// scaled so that the largest becomes 255.
    pub fn calibrate_inputs<'a>(&mut self, signals: impl IntoIterator<Item = &'a [f64]>) {
        let (mut largest, mut whole) = (0f64, true);
        for x in signals.into_iter().flatten() {
            largest = largest.max(x.abs());
            whole &= x.fract() == 0.0;
        }
        if whole && largest <= 32_767.0 {
            self.input_scale = 1.0;
            self.input_max = (largest as u32).max(1);
        } else if largest > 0.0 {
            self.input_scale = 255.0 / largest;
            self.input_max = 255;
        }
    }
}

/// What each neuron of a network says in a step, measured on samples of data.
///
/// With it a clipped unit is the one that makes the mean square error of the drive least. A neuron i with weight
/// errors Δw, threshold error Δθ and decay a averages its input over about 1/l steps, l = max(1 − a, 1/T) for samples
/// of T steps; its sources j have means m_sj on sample s and variances v_j within a sample:
///
/// ```text
/// E_i = mean over s of (Σ_j Δw_ij m_sj − l Δθ_i)² + l/(2 − l) · Σ_j Δw_ij² v_j
/// ```
///
/// l Δθ is the drive that holds a membrane at the rounded threshold instead of the true one; l/(2 − l) is what a
/// leaky mean leaves of the variance of independent steps. Means per sample matter because the sources of a large
/// weight tend to speak together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activity {
    /// Samples that were measured; none: nothing is known of the data.
    pub samples: Vec<Spoken>,
}

/// What each neuron said during one sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spoken {
    /// Steps of the sample.
    pub steps: u32,
    /// Per population and neuron: sums over the steps of the output and of its square.
    pub sums: Vec<Vec<(f32, f32)>>,
}

impl Spoken {
    /// Adds the outputs of all populations in one step.
    pub fn add<'a>(&mut self, populations: impl IntoIterator<Item = &'a [f64]>) {
        self.steps += 1;
        for (p, outputs) in populations.into_iter().enumerate() {
            if self.sums.len() <= p {
                self.sums.push(vec![(0.0, 0.0); outputs.len()]);
            }
            for (sum, x) in self.sums[p].iter_mut().zip(outputs) {
                *sum = (sum.0 + *x as f32, sum.1 + (x * x) as f32);
            }
        }
    }

    /// Mean of a neuron's output, and of its square.
    fn moments(&self, population: usize, neuron: usize) -> (f64, f64) {
        let (sum, square) =
            self.sums.get(population).and_then(|p| p.get(neuron)).copied().unwrap_or_default();
        let steps = f64::from(self.steps.max(1));
        (f64::from(sum) / steps, f64::from(square) / steps)
    }
}

impl Activity {
    /// A neuron's mean on each sample, and its variance within one. Where nothing is known all speak alike, in no
    /// common direction.
    fn source(&self, population: usize, neuron: usize) -> (Vec<f64>, f64) {
        if self.samples.is_empty() {
            return (vec![0.0], 1.0);
        }
        let moments: Vec<(f64, f64)> = self.samples.iter().map(|s| s.moments(population, neuron)).collect();
        let variance: f64 = moments.iter().map(|(mean, square)| (square - mean * mean).max(0.0)).sum();
        (moments.iter().map(|m| m.0).collect(), variance / moments.len() as f64)
    }

    /// Mean steps of a sample: how long an integrator without a leak remembers.
    fn steps(&self) -> f64 {
        let steps: u32 = self.samples.iter().map(|s| s.steps).sum();
        f64::from(steps) / self.samples.len().max(1) as f64
    }
}

/// Why a network cannot be quantised.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QuantizeError {
    /// An option outside its range.
    #[error("{option}: found {found}, expected {expected}")]
    Option {
        /// The option.
        option: &'static str,
        /// What was given.
        found: String,
        /// What it takes.
        expected: &'static str,
    },
    /// Inputs of two scales meet at one population.
    #[error(
        "population `{0}`: graded inputs and spikes meet here, and need different units; scale the inputs to whole numbers"
    )]
    MixedInput(String),
    /// A population whose weights are all zero has no unit.
    #[error("population `{0}`: all incoming weights are zero, so there is no unit for its threshold")]
    NoWeights(String),
}

/// What quantisation did to one population.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct LayerReport {
    /// Name of the population.
    pub population: String,
    /// Nodes that its weights come from.
    pub layers: Vec<String>,
    /// Float per integer of weight, bias, threshold and membrane: one, or one per channel.
    pub scales: Vec<f64>,
    /// Distinct thresholds in integers, ascending.
    pub thresholds: Vec<i32>,
    /// Distinct decays as integers of `decay_bits` fraction bits, ascending.
    pub decays: Vec<u32>,
    /// Root mean square error of a weight, over the root mean square weight.
    pub weight_error: f64,
    /// Largest error of a weight, in units (0.5 is rounding, more is clipping).
    pub worst_error_units: f64,
    /// Weights that became zero, of those that were not.
    pub zeroed: u64,
    /// Weights that are not zero in floats.
    pub weights: u64,
    /// Largest relative error of a threshold.
    pub threshold_error: f64,
}

/// A quantised network.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// What the image is written from. Populations are those of the float network, in its order.
    pub network: Network,
    /// Float per membrane unit, per population and neuron.
    pub units: Vec<Vec<f64>>,
    /// What was done, per population with neurons.
    pub layers: Vec<LayerReport>,
    /// What the user should look at.
    pub warnings: Vec<String>,
}

/// Thresholds below this many units make a network silent or frantic.
const FEW_UNITS: i32 = 4;

/// Quantises a network.
///
/// # Errors
/// [`QuantizeError`] names the option or the population.
pub fn quantize(network: &FloatNetwork, options: &Options) -> Result<Quantized, QuantizeError> {
    check(options)?;
    let mut out = Quantized {
        network: Network::default(),
        units: Vec::new(),
        layers: Vec::new(),
        warnings: Vec::new(),
    };
    let graded = options.input_scale != 1.0;
    for (p, population) in network.populations.iter().enumerate() {
        let size = population.size();
        let Some(dynamics) = &population.dynamics else {
            out.units.push(vec![1.0 / options.input_scale; size]);
            out.network.add_population(Population::input(&population.name, size, options.input_max));
            continue;
        };
        let incoming: Vec<&FloatProjection> = network.projections.iter().filter(|j| j.target == p).collect();
        let from_input = |j: &&&FloatProjection| network.populations[j.source].dynamics.is_none();
        let inputs = incoming.iter().filter(from_input).count();
        if graded && inputs != 0 && inputs != incoming.len() {
            return Err(QuantizeError::MixedInput(population.name.clone()));
        }
        let layer = Layer {
            name: &population.name,
            shape: &population.shape,
            dynamics,
            incoming: &incoming,
            input_scale: if inputs > 0 { options.input_scale } else { 1.0 },
            options,
        };
        let weight_units = layer.weight_units()?;
        let state_units: Vec<f64> = weight_units.iter().map(|u| u / layer.state_scale()).collect();
        let lif = layer.lif(&state_units);
        out.layers.push(layer.report(&weight_units, &state_units, &lif));
        layer.warn(&lif, &mut out.warnings);
        let mut made = Population::lif(&population.name, size, population.stage.clamp(1, 64), lif);
        if dynamics.multi_spike {
            made.payload_max = options.most_spikes;
        }
        out.network.add_population(made);
        for projection in &incoming {
            out.network.projections.extend(layer.projections(projection, &weight_units));
        }
        out.units.push(state_units);
    }
    for (i, p) in out.network.projections.iter_mut().enumerate() {
        p.name = format!("{i}:{}", p.name);
    }
    out.network.meta = json!({ "bits": options.bits, "per_channel": options.per_channel,
        "input_scale": options.input_scale, "notes": network.notes });
    Ok(out)
}

fn check(options: &Options) -> Result<(), QuantizeError> {
    let wrong = |option, found: u32, expected| {
        Err(QuantizeError::Option { option, found: found.to_string(), expected })
    };
    if !(2..=16).contains(&options.bits) {
        return wrong("--bits", options.bits, "2 to 16");
    }
    if ![15, 31].contains(&options.decay_bits) {
        return wrong("--decay-bits", options.decay_bits, "15 or 31");
    }
    if options.input_shift > 16 {
        return wrong("--input-shift", options.input_shift, "0 to 16");
    }
    if !(8..=31).contains(&options.state_bits) {
        return wrong("--state-bits", options.state_bits, "8 to 31");
    }
    Ok(())
}

/// One population with what reaches it.
struct Layer<'a> {
    name: &'a str,
    shape: &'a [usize],
    dynamics: &'a Dynamics,
    incoming: &'a [&'a FloatProjection],
    /// Integers per 1.0 of what reaches it.
    input_scale: f64,
    options: &'a Options,
}

/// Rounds to the nearest integer, ties to even, and stays within ± `most`.
fn round(value: f64, most: f64) -> i32 {
    value.round_ties_even().clamp(-most, most) as i32
}

const MOST_STATE: f64 = (1u32 << 30) as f64;

impl Layer<'_> {
    fn most_weight(&self) -> f64 {
        f64::from((1i32 << (self.options.bits - 1)) - 1)
    }

    /// Channel of a neuron: the first axis of its shape.
    fn channel(&self, neuron: usize) -> usize {
        if !self.options.per_channel {
            return 0;
        }
        let channels = self.shape.first().copied().unwrap_or(1).max(1);
        let size: usize = self.shape.iter().product();
        neuron / (size / channels).max(1)
    }

    /// Float per weight unit, per neuron.
    fn weight_units(&self) -> Result<Vec<f64>, QuantizeError> {
        let size: usize = self.shape.iter().product();
        let channels = if size == 0 { 1 } else { self.channel(size - 1) + 1 };
        let mut largest = vec![0f64; channels];
        for (target, weight) in self.weights() {
            let most = &mut largest[self.channel(target)];
            *most = most.max(weight.abs());
        }
        let overall = largest.iter().copied().fold(0.0, f64::max);
        if overall == 0.0 {
            // Without weights the threshold itself is the measure.
            let threshold = self.dynamics.threshold.iter().flatten().map(|t| t.abs()).fold(0.0, f64::max);
            let most = threshold.max(self.dynamics.bias.iter().map(|b| b.abs()).fold(0.0, f64::max));
            if most == 0.0 && !self.incoming.is_empty() {
                return Err(QuantizeError::NoWeights(self.name.to_string()));
            }
            largest.fill(if most == 0.0 { 1.0 } else { most });
        }
        for most in &mut largest {
            if *most == 0.0 {
                *most = overall;
            }
        }
        let mut units: Vec<f64> = largest.iter().map(|m| m / self.most_weight()).collect();
        if self.options.clip {
            self.clip(&mut units);
        }
        Ok((0..size).map(|n| units[self.channel(n)]).collect())
    }

    /// Makes each channel's unit the one of the least error of the drive, among clips from the largest weight
    /// down to a twentieth of it.
    fn clip(&self, units: &mut [f64]) {
        let full = units.to_vec();
        let mut least = vec![f64::INFINITY; units.len()];
        for k in (1..=20).rev() {
            let tried: Vec<f64> = full.iter().map(|unit| unit * f64::from(k) / 20.0).collect();
            for (channel, error) in self.drive_errors(&tried).into_iter().enumerate() {
                if error < least[channel] {
                    (units[channel], least[channel]) = (tried[channel], error);
                }
            }
        }
    }

    /// Mean square error of the drive ([`Activity`]) of each channel's neurons under its unit.
    fn drive_errors(&self, units: &[f64]) -> Vec<f64> {
        let size: usize = self.shape.iter().product();
        let activity = &self.options.activity;
        let samples = activity.samples.len().max(1);
        let leak = |n: usize| {
            let decay = self.dynamics.decay.get(n).copied().unwrap_or(0.0);
            (1.0 - decay).max(1.0 / activity.steps().max(1.0)).min(1.0)
        };
        let mut spread = vec![0f64; size];
        // Per neuron, its samples together.
        let mut shift = vec![0f64; size * samples];
        for (n, shift) in shift.chunks_exact_mut(samples).enumerate() {
            if let Some(threshold) = self.dynamics.threshold.as_ref().and_then(|t| t.get(n))
                && !activity.samples.is_empty()
            {
                let unit = units[self.channel(n)] / self.state_scale();
                let off = f64::from(round(threshold / unit, MOST_STATE)) * unit - threshold;
                shift.fill(-leak(n) * off);
            }
        }
        for projection in self.incoming {
            for (source, row) in projection.rows.iter().enumerate() {
                let (means, variance) = activity.source(projection.source, source);
                for (target, _, w) in row {
                    let target = *target as usize;
                    let unit = units[self.channel(target)];
                    let off = f64::from(round(w / unit, self.most_weight())) * unit - w;
                    spread[target] += off * off * variance;
                    for (shift, mean) in shift[target * samples..].iter_mut().zip(&means) {
                        *shift += off * mean;
                    }
                }
            }
        }
        let mut errors = vec![0f64; units.len()];
        for (n, shift) in shift.chunks_exact(samples).enumerate() {
            let common: f64 = shift.iter().map(|x| x * x).sum();
            errors[self.channel(n)] += common / samples as f64 + leak(n) / (2.0 - leak(n)) * spread[n];
        }
        errors
    }

    /// Membrane units per weight unit.
    fn state_scale(&self) -> f64 {
        self.input_scale * f64::from(1u32 << self.options.input_shift)
    }

    fn weights(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.incoming
            .iter()
            .flat_map(|p| p.rows.iter().flatten())
            .map(|(target, _, w)| (*target as usize, *w))
    }

    fn lif(&self, units: &[f64]) -> Lif {
        let d = self.dynamics;
        let in_units = |values: &[f64]| -> Vec<i32> {
            values.iter().zip(units).map(|(v, u)| round(v / u, MOST_STATE)).collect()
        };
        let most = (1i64 << (self.options.state_bits - 1)).min(1 << 30) as i32;
        let clamp =
            d.min_v.map(|v| units.iter().map(|u| round(v / u, f64::from(most))).min().unwrap_or(-most));
        Lif {
            threshold: parameter(d.threshold.as_deref().map_or(vec![0], &in_units)),
            bias: parameter(in_units(&d.bias)),
            decay: parameter(d.decay.iter().map(|a| self.decay(*a) as i32).collect()),
            current: d.current.as_ref().map(|(decay, order)| Current {
                decay: parameter(decay.iter().map(|a| self.decay(*a) as i32).collect()),
                order: *order,
                gain: (1, 0),
            }),
            reset: d.reset,
            reset_value: parameter(in_units(&d.reset_value)),
            input_shift: self.options.input_shift,
            refractory: d.refractory,
            range: (clamp.unwrap_or(-most), most - 1),
            clamp: clamp.is_some(),
            greater_equal: d.greater_equal,
            multi_spike: d.multi_spike,
            silent: d.threshold.is_none(),
            stateless: d.stateless,
            bias_current: d.bias_current,
            ..Lif::default()
        }
    }

    /// A decay in Q31, rounded to the fraction bits that were asked for.
    fn decay(&self, a: f64) -> u32 {
        let one = f64::from(1u32 << self.options.decay_bits);
        let rounded = (a * one).round_ties_even().clamp(0.0, one) as u32;
        rounded << (31 - self.options.decay_bits)
    }

    /// Synapses of a projection, one projection per delay where its synapses differ in that.
    fn projections(&self, projection: &FloatProjection, units: &[f64]) -> Vec<Projection> {
        let mut delays: Vec<u32> = projection.rows.iter().flatten().map(|s| s.1).collect();
        delays.sort_unstable();
        delays.dedup();
        let make = |delay: u32| {
            let rows: Vec<Vec<(u32, i16)>> = projection
                .rows
                .iter()
                .map(|row| {
                    let of_delay = row.iter().filter(|s| s.1 == delay);
                    of_delay
                        .map(|(t, _, w)| (*t, round(w / units[*t as usize], self.most_weight()) as i16))
                        .collect()
                })
                .collect();
            Projection {
                name: projection.layer.clone(),
                source: projection.source,
                target: projection.target,
                group: 0,
                delay,
                synapses: self.synapses(rows),
                rule: None,
            }
        };
        delays.into_iter().map(make).collect()
    }

    fn synapses(&self, rows: Vec<Vec<(u32, i16)>>) -> Synapses {
        let size: usize = self.shape.iter().product();
        let bits = match self.options.bits {
            2 => 2,
            3..=4 => 4,
            5..=8 => 8,
            _ => 16,
        };
        if rows.iter().all(|row| row.len() == size) {
            return Synapses::Dense { bits, weights: rows.into_iter().flatten().map(|(_, w)| w).collect() };
        }
        Synapses::Sparse { bits, weight: 0, rows: Rows::from_lists(&rows) }
    }

    fn report(&self, weight_units: &[f64], state_units: &[f64], lif: &Lif) -> LayerReport {
        let (mut square, mut wrong, mut worst, mut zeroed, mut weights) = (0.0, 0.0, 0f64, 0, 0);
        for (target, w) in self.weights() {
            let unit = weight_units[target];
            let q = f64::from(round(w / unit, self.most_weight()));
            square += w * w;
            wrong += (w - q * unit).powi(2);
            worst = worst.max((w / unit - q).abs());
            weights += u64::from(w != 0.0);
            zeroed += u64::from(w != 0.0 && q == 0.0);
        }
        let thresholds = self.dynamics.threshold.iter().flatten().zip(state_units);
        let threshold_error = thresholds
            .filter(|(t, _)| **t != 0.0)
            .map(|(t, u)| (f64::from(round(t / u, MOST_STATE)) * u / t - 1.0).abs())
            .fold(0.0, f64::max);
        let mut layers: Vec<String> = self.incoming.iter().map(|p| p.layer.clone()).collect();
        layers.dedup();
        let shift = 31 - self.options.decay_bits;
        LayerReport {
            population: self.name.to_string(),
            layers,
            scales: distinct_in_order(weight_units),
            thresholds: if self.dynamics.threshold.is_some() { distinct(&lif.threshold) } else { Vec::new() },
            decays: distinct(&lif.decay).into_iter().map(|d| d as u32 >> shift).collect(),
            weight_error: if square > 0.0 { (wrong / square).sqrt() } else { 0.0 },
            worst_error_units: worst,
            zeroed,
            weights,
            threshold_error,
        }
    }

    fn warn(&self, lif: &Lif, warnings: &mut Vec<String>) {
        let name = self.name;
        if self.dynamics.threshold.is_some()
            && let Some(least) =
                distinct(&lif.threshold).into_iter().map(i32::abs).min().filter(|t| *t < FEW_UNITS)
        {
            let shift = (4.0 / f64::from(least.max(1))).log2().ceil().max(1.0);
            warnings.push(format!(
                    "population `{name}`: the threshold is {least} units at {} bits; under {FEW_UNITS} its rounding decides the spikes (more bits, or --input-shift {shift})",
                    self.options.bits
                ));
        }
        if self.dynamics.threshold.is_some()
            && let Some(most) = distinct(&lif.threshold).into_iter().max().filter(|t| *t >= lif.range.1)
        {
            warnings.push(format!(
                "population `{name}`: the threshold is {most} units at {} bits, and a membrane of {} bits ends at {}: it can never spike (more --state-bits, or fewer bits)",
                self.options.bits, self.options.state_bits, lif.range.1
            ));
        }
        if self.dynamics.decay.iter().any(|a| *a < 0.0) {
            warnings.push(format!("population `{name}`: a negative decay (dt above tau) became 0"));
        }
    }
}

fn parameter(values: Vec<i32>) -> Param {
    match values.first() {
        Some(first) if values.iter().all(|v| v == first) => Param::All(*first),
        Some(_) => Param::Each(values),
        None => Param::All(0),
    }
}

fn distinct(parameter: &Param) -> Vec<i32> {
    match parameter {
        Param::All(v) => vec![*v],
        Param::Each(values) => {
            let mut values = values.clone();
            values.sort_unstable();
            values.dedup();
            values
        }
    }
}

fn distinct_in_order(values: &[f64]) -> Vec<f64> {
    let mut out = values.to_vec();
    out.dedup();
    out
}

impl Quantized {
    /// Largest absolute state that the machine keeps for a population: beyond, it saturates.
    pub fn state_range(&self, population: usize) -> Option<(i32, i32)> {
        match &self.network.populations.get(population)?.kind {
            Kind::Lif(lif) => Some(lif.range),
            _ => None,
        }
    }
}
