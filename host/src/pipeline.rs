//! One way from a network to a report: image, run over samples, cells, bill.
//!
//! ```text
//! Network ─ quantise ─ place ─► Blob ─ Compiled ─ run over samples in parallel ─► Ran ─ cells ─ Bill ─► Report
//! ```
//!
//! Every sample starts from the image, so that the order and the number of threads cannot matter.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use synop_core::counters::NAMES;
use synop_core::image::{Kind, Piece};
use synop_core::{Count, Event, Image, Machine, Observer, Threefry};
use synop_cost::latency::Model;
use synop_cost::{Bill, Chip, Run};
use synop_model::crossbar::ENERGY_UNIT_J;
use synop_model::image::{Blob, write};
use synop_model::memory::Memory;
use synop_model::network::Network;
use synop_model::placement::{self, Strategy};

use crate::input::{Inputs, Port, Sample};
use crate::local::{TickWork, digest};
use crate::onchip::{ChipTick, OnChip, Ticker};
use crate::progress::Progress;
use crate::report::{self, Report, SynOps, Task};
use crate::simd::Native;
use crate::{Failure, ledger, memory};

/// An image and what the host knows of it.
#[derive(Debug)]
pub struct Compiled {
    blob: Blob,
    /// SHA-256 of the image, in hexadecimal.
    pub sha256: String,
    /// Populations, in the order of their numbers.
    pub populations: Vec<PopulationInfo>,
    /// Inputs, in the order of their populations.
    pub ports: Vec<Port>,
    /// The population that answers: the one that the first Output reads, else the last.
    pub readout: usize,
    /// Float per membrane unit of each readout neuron; empty where all are alike.
    pub readout_units: Vec<f64>,
    /// Whether the readout spikes.
    pub readout_spikes: bool,
    /// Integers per 1.0 of the inputs.
    pub input_scale: f64,
    /// Bits per weight, as the quantiser was told; else the widest container.
    pub weight_bits: u32,
    /// What a NIR file left open, as the image keeps it.
    pub profile: Map<String, Value>,
    /// How it stands on a chip; none where no chip is asked.
    pub on_chip: Option<OnChip>,
}

/// A population of an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PopulationInfo {
    /// Its name.
    pub name: String,
    /// Number of neurons.
    pub size: usize,
    /// Whether its events come from outside.
    #[serde(default)]
    pub input: bool,
    /// Whether it sends events, rather than being read.
    #[serde(default)]
    pub spikes: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    populations: Vec<PopulationInfo>,
    network: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NetworkMeta {
    bits: Option<u32>,
    input_scale: Option<f64>,
    inputs: Vec<Port>,
    readouts: Vec<usize>,
    readout_units: Vec<Vec<f64>>,
    profile: Map<String, Value>,
}

/// Places a network on a chip and writes its image; ticks take the time that a latency model gives.
///
/// # Errors
/// Bad input: the network does not fit the chip or an image.
pub fn compile(
    network: &Network,
    chip: &Chip,
    strategy: &Strategy,
    model: Model,
) -> Result<Compiled, Failure> {
    let placed = placement::place(network, chip, strategy).map_err(|error| {
        let place = if matches!(error, placement::PlaceError::Mapping { .. }) { "--place" } else { "--chip" };
        Failure::bad_input(error).place(place)
    })?;
    let blob = write(network, &placed.placement).map_err(Failure::bad_input)?;
    let mut compiled = Compiled::open(blob)?.on(chip, model)?;
    if let Some(on) = &mut compiled.on_chip {
        on.placed = Some((strategy.clone(), placed));
    }
    Ok(compiled)
}

impl Compiled {
    /// Takes an image.
    ///
    /// # Errors
    /// Bad input: the image does not pass its check.
    pub fn open(blob: Blob) -> Result<Self, Failure> {
        let image = blob.image().map_err(Failure::bad_input)?;
        let meta: Meta =
            serde_json::from_slice(image.section(synop_core::image::Section::Meta)).unwrap_or_default();
        let network: NetworkMeta = serde_json::from_value(meta.network).unwrap_or_default();
        let populations = populations(&image, meta.populations);
        let inputs = || populations.iter().filter(|p| p.input);
        let sizes_fit = network.inputs.iter().map(Port::size).eq(inputs().map(|p| p.size));
        let ports = match sizes_fit {
            true => network.inputs,
            false => inputs().map(|p| Port { name: p.name.clone(), shape: vec![p.size] }).collect(),
        };
        let readout = network.readouts.first().copied().filter(|p| *p < populations.len());
        let readout = readout.unwrap_or(populations.len().saturating_sub(1));
        let readout_spikes = populations.get(readout).is_some_and(|p| p.spikes);
        let containers = (0..image.ports).filter_map(|p| image.port(p)).map(|p| p.bits);
        let units = network.readout_units.into_iter().next().unwrap_or_default();
        let alike = units.windows(2).all(|pair| pair.first() == pair.last());
        Ok(Self {
            sha256: digest(&[blob.bytes()]),
            ports,
            readout,
            readout_units: if alike { Vec::new() } else { units },
            readout_spikes,
            input_scale: network.input_scale.unwrap_or(1.0),
            weight_bits: network.bits.unwrap_or_else(|| containers.max().unwrap_or(0)),
            profile: network.profile,
            on_chip: None,
            populations,
            blob,
        })
    }

    /// Puts the image on a chip: its runs then count packets, hops, and the time and energy of ticks.
    ///
    /// # Errors
    /// Bad input: the image stands on cores that the chip does not have.
    pub fn on(mut self, chip: &Chip, model: Model) -> Result<Self, Failure> {
        self.on_chip = Some(OnChip::new(&self.image()?, chip, model)?);
        Ok(self)
    }

    /// The bytes of the image.
    pub fn bytes(&self) -> &[u8] {
        self.blob.bytes()
    }

    /// The image.
    ///
    /// # Errors
    /// None in practice: it was checked when it was opened.
    pub fn image(&self) -> Result<Image<'_>, Failure> {
        self.blob.image().map_err(Failure::bad_input)
    }

    /// What a tick of a sample puts into each input piece, in the image's integers, and how many values lay beyond
    /// its range and were cut. `pieces` are all pieces of the image.
    pub fn events(&self, pieces: &[Piece], sample: &Sample, tick: usize) -> (Vec<(u32, Vec<Event>)>, u64) {
        let entries = sample.tick(tick);
        let (mut all, mut cut) = (Vec::new(), 0);
        for (piece, record) in (0u32..).zip(pieces).filter(|(_, r)| r.kind == Kind::Input) {
            let before = self.populations.iter().take(record.population as usize).filter(|p| p.input);
            let from = before.map(|p| p.size as u32).sum::<u32>() + record.population_first;
            let start = entries.partition_point(|(n, _)| *n < from);
            let end = entries.partition_point(|(n, _)| *n < from + record.count);
            let most = f64::from(record.payload_max);
            let mut events: Vec<Event> = Vec::with_capacity(end - start);
            for (neuron, value) in entries.get(start..end).unwrap_or(&[]) {
                let scaled = (value * self.input_scale).round_ties_even();
                cut += u64::from(scaled.abs() > most);
                let payload = scaled.clamp(-most, most) as i32;
                if payload != 0 {
                    events.push([(neuron - from) as i32, payload]);
                }
            }
            all.push((piece, events));
        }
        (all, cut)
    }

    /// Bytes that the network takes where it is stored: the image without the notes to the host.
    ///
    /// # Errors
    /// As [`Self::image`].
    pub fn footprint_bytes(&self) -> Result<u64, Failure> {
        let notes = self.image()?.section(synop_core::image::Section::Meta).len();
        Ok((self.bytes().len() - notes) as u64)
    }

    /// Names of the populations.
    pub fn names(&self) -> Vec<&str> {
        self.populations.iter().map(|p| p.name.as_str()).collect()
    }

    /// Whether a population spikes at all, rather than being read.
    pub fn spikes(&self, population: usize) -> bool {
        self.populations.get(population).is_some_and(|p| p.spikes)
    }

    /// Neurons, inputs left out.
    pub fn neurons(&self) -> u64 {
        self.populations.iter().filter(|p| !p.input).map(|p| p.size as u64).sum()
    }
}

/// Populations by the image's own records, with the names that its meta data give.
fn populations(image: &Image<'_>, named: Vec<PopulationInfo>) -> Vec<PopulationInfo> {
    let mut found: BTreeMap<usize, PopulationInfo> = BTreeMap::new();
    for piece in (0..image.pieces).filter_map(|p| image.piece(p)) {
        let number = piece.population as usize;
        let entry = found.entry(number).or_insert_with(|| PopulationInfo {
            name: named.get(number).map_or_else(|| format!("population {number}"), |p| p.name.clone()),
            size: 0,
            input: piece.kind == Kind::Input,
            spikes: piece.kind == Kind::Input || piece.flags & synop_core::image::flag::SILENT == 0,
        });
        entry.size += piece.count as usize;
    }
    found.into_values().collect()
}

/// A run that needs less memory than this does not say how much it takes.
const WORTH_SAYING: u64 = 100_000_000;

/// A spike: (tick, population, neuron, payload).
pub type Spike = (u32, u32, u32, i32);

/// What a run keeps beside counters.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keep {
    /// All spikes, those of inputs included.
    pub spikes: bool,
    /// Membranes of all populations after every tick.
    pub membranes: bool,
    /// The largest absolute membrane after any tick.
    pub largest: bool,
}

/// What one sample came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Presented {
    /// Counters of each piece, in the order of [`NAMES`].
    pub counters: Vec<Vec<u64>>,
    /// Work of each tick.
    pub per_tick: Vec<TickWork>,
    /// Spikes of each readout neuron.
    pub readout_spikes: Vec<i32>,
    /// Membranes of the readout after the last tick.
    pub readout_membranes: Vec<i32>,
    /// Spikes per population, inputs included.
    pub spikes_per_population: Vec<u64>,
    /// Neurons of each population that spiked at least once.
    pub alive: Vec<Vec<bool>>,
    /// All spikes, if asked for.
    pub spikes: Vec<Spike>,
    /// Membranes by tick, population and neuron, if asked for.
    pub membranes: Vec<Vec<Vec<i32>>>,
    /// The largest absolute membrane, if asked for.
    pub largest: i64,
    /// Input values beyond the image's range, which were cut.
    pub inputs_cut: u64,
    /// Events of every neuron of the image, if it stands on a chip.
    pub sent: Vec<u64>,
    /// What each tick made the chip do, if the image stands on one.
    pub on_chip: Vec<ChipTick>,
}

impl Presented {
    /// The answer: the readout neuron with most spikes, or (where it does not spike) with the highest membrane at
    /// the end; the first on a tie.
    pub fn answer(&self, compiled: &Compiled) -> usize {
        let values: Vec<f64> = match compiled.readout_spikes {
            true => self.readout_spikes.iter().map(|n| f64::from(*n)).collect(),
            false => {
                let unit = |i: usize| compiled.readout_units.get(i).copied().unwrap_or(1.0);
                self.readout_membranes.iter().enumerate().map(|(i, v)| f64::from(*v) * unit(i)).collect()
            }
        };
        largest(&values)
    }
}

/// Position of the largest value, the first on a tie.
pub fn largest(values: &[f64]) -> usize {
    let mut best = 0;
    for (i, v) in values.iter().enumerate() {
        if values.get(best).is_some_and(|b| v > b) {
            best = i;
        }
    }
    best
}

/// Collects spikes by population.
struct Recorder<'a, 'c> {
    pieces: &'a [(u32, u32)],
    tick: u32,
    presented: &'a mut Presented,
    keep: bool,
    ticker: Option<&'a mut Ticker<'c>>,
}

impl Observer for Recorder<'_, '_> {
    fn updated(&mut self, _tick: u64, piece: u32, first: u32, moved: u64, _spikes: u64) {
        if let Some(ticker) = &mut self.ticker {
            ticker.updated(piece, first, moved);
        }
    }

    fn spike(&mut self, _tick: u64, piece: u32, neuron: u32, payload: i32) {
        let Some(&(population, first)) = self.pieces.get(piece as usize) else { return };
        if let Some(ticker) = &mut self.ticker {
            ticker.spike(piece, neuron);
        }
        note(self.presented, self.keep, (self.tick, population, first + neuron, payload));
    }
}

fn note(presented: &mut Presented, keep: bool, spike: Spike) {
    let (_, population, neuron, payload) = spike;
    if let Some(count) = presented.spikes_per_population.get_mut(population as usize) {
        *count += u64::from(payload.unsigned_abs());
    }
    if let Some(alive) = presented.alive.get_mut(population as usize).and_then(|p| p.get_mut(neuron as usize))
    {
        *alive = true;
    }
    if keep {
        presented.spikes.push(spike);
    }
}

/// Presents one sample to a machine that starts from the image.
///
/// # Errors
/// The work failed: the memory is too small, which would be a defect.
pub fn present(
    compiled: &Compiled,
    image: Image<'_>,
    arena: &mut [u64],
    kernels: &Native,
    number: usize,
    sample: &Sample,
    keep: Keep,
) -> Result<Presented, Failure> {
    let mut machine = Machine::new(image, arena).map_err(Failure::work)?;
    let records: Vec<_> = (0..image.pieces).filter_map(|p| image.piece(p)).collect();
    let pieces: Vec<(u32, u32)> = records.iter().map(|p| (p.population, p.population_first)).collect();
    let mut draws = Threefry::<13>::new(image.seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let sizes = || compiled.populations.iter().map(|p| p.size);
    let mut out = Presented {
        spikes_per_population: vec![0; compiled.populations.len()],
        alive: sizes().map(|n| vec![false; n]).collect(),
        ..Presented::default()
    };
    let mut before = TickWork::default();
    let mut ticker = compiled.on_chip.as_ref().map(OnChip::ticker);
    for tick in 0..sample.ticks() {
        let (inputs, cut) = compiled.events(&records, sample, tick);
        out.inputs_cut += cut;
        for (piece, events) in &inputs {
            let Some(record) = records.get(*piece as usize) else { continue };
            for [neuron, payload] in events {
                if let Some(ticker) = &mut ticker {
                    ticker.spike(*piece, *neuron as u32);
                }
                let local = *neuron as u32 + record.population_first;
                note(&mut out, keep.spikes, (tick as u32, record.population, local, *payload));
            }
            machine.inject(*piece, events).map_err(|error| {
                Failure::work(error).place(format_args!("sample {number}, tick {tick}, input"))
            })?;
        }
        let mut recorder = Recorder {
            pieces: &pieces,
            tick: tick as u32,
            presented: &mut out,
            keep: keep.spikes,
            ticker: ticker.as_mut(),
        };
        machine.step(kernels, &mut draws, &mut recorder);
        if let Some(ticker) = &mut ticker {
            ticker.close(&machine)?;
        }
        let after = TickWork::of(&machine);
        out.per_tick.push(after.since(&before));
        before = after;
        if keep.largest {
            let all = (0..image.pieces).flat_map(|p| machine.membranes(p));
            let most = all.map(|v| i64::from(*v).abs()).max().unwrap_or(0);
            out.largest = out.largest.max(most);
        }
        if keep.membranes {
            let each =
                (0..compiled.populations.len() as u32).map(|q| gather(&records, q, |p| machine.membranes(p)));
            out.membranes.push(each.collect());
        }
    }
    // The order of cores is not that of populations.
    out.spikes.sort_unstable();
    if let Some(ticker) = ticker {
        (out.sent, out.on_chip) = (ticker.spikes, ticker.ticks);
    }
    out.counters = (0..image.pieces).map(|p| machine.counters(p).row().to_vec()).collect();
    let readout = compiled.readout as u32;
    out.readout_spikes = gather(&records, readout, |p| machine.spike_counts(p));
    out.readout_membranes = gather(&records, readout, |p| machine.membranes(p));
    Ok(out)
}

/// What the pieces of a population hold, in the order of its neurons.
pub(crate) fn gather<'a>(
    records: &[synop_core::image::Piece],
    population: u32,
    of: impl Fn(u32) -> &'a [i32],
) -> Vec<i32> {
    let mut parts: Vec<(u32, &[i32])> = (0u32..)
        .zip(records)
        .filter(|(_, r)| r.population == population)
        .map(|(piece, r)| (r.population_first, of(piece)))
        .collect();
    parts.sort_by_key(|part| part.0);
    parts.into_iter().flat_map(|part| part.1.iter().copied()).collect()
}

/// What all samples came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ran {
    /// Samples.
    pub samples: usize,
    /// Ticks of all samples.
    pub ticks: u64,
    /// Counters of each piece, all samples together.
    pub counters: Vec<Vec<u64>>,
    /// Work of each tick, sample after sample.
    pub per_tick: Vec<TickWork>,
    /// Answers of the samples.
    pub answers: Vec<usize>,
    /// Spikes per population, inputs included.
    pub spikes_per_population: Vec<u64>,
    /// Neurons of each population that never spiked.
    pub silent: Vec<u64>,
    /// The largest absolute membrane, if it was asked for.
    pub largest: i64,
    /// Input values that were cut.
    pub inputs_cut: u64,
    /// Events of every neuron of the image, if it stands on a chip.
    pub sent: Vec<u64>,
    /// What each tick made the chip do, sample after sample, if the image stands on one.
    pub on_chip: Vec<ChipTick>,
    /// The ticks of all samples together, by tick of the sample.
    pub by_tick: Vec<ByTick>,
}

/// A tick of the samples, all samples together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct ByTick {
    /// Samples that have this tick.
    pub samples: u64,
    /// Synaptic events.
    pub synaptic_events: u64,
    /// Packets.
    pub packets: u64,
    /// Links crossed.
    pub hops: u64,
    /// Joules of events, nominal.
    pub dynamic_j: f64,
    /// Seconds.
    pub time_s: f64,
}

impl Ran {
    fn take(&mut self, one: &Presented, alive: &mut Vec<Vec<bool>>, answer: usize) {
        self.samples += 1;
        self.ticks += one.per_tick.len() as u64;
        self.per_tick.extend_from_slice(&one.per_tick);
        self.answers.push(answer);
        self.largest = self.largest.max(one.largest);
        self.inputs_cut += one.inputs_cut;
        add_rows(&mut self.counters, &one.counters);
        self.take_ticks(one);
        if self.spikes_per_population.is_empty() {
            self.spikes_per_population = vec![0; one.spikes_per_population.len()];
            alive.clone_from(&one.alive);
        }
        for (sum, n) in self.spikes_per_population.iter_mut().zip(&one.spikes_per_population) {
            *sum += n;
        }
        for (all, one) in alive.iter_mut().zip(&one.alive) {
            all.iter_mut().zip(one).for_each(|(a, b)| *a |= b);
        }
    }

    fn take_ticks(&mut self, one: &Presented) {
        if self.sent.is_empty() {
            self.sent = vec![0; one.sent.len()];
        }
        self.sent.iter_mut().zip(&one.sent).for_each(|(sum, n)| *sum += n);
        if self.by_tick.len() < one.on_chip.len() {
            self.by_tick.resize(one.on_chip.len(), ByTick::default());
        }
        for (sum, (chip, work)) in self.by_tick.iter_mut().zip(one.on_chip.iter().zip(&one.per_tick)) {
            sum.samples += 1;
            sum.synaptic_events += work.events;
            sum.packets += chip.packets;
            sum.hops += chip.hops.total();
            sum.dynamic_j += chip.energy_j;
            sum.time_s += chip.time_s;
        }
        self.on_chip.extend_from_slice(&one.on_chip);
    }

    /// A count, all pieces together.
    pub fn total(&self, count: Count) -> u64 {
        self.counters.iter().map(|row| row.get(count as usize).copied().unwrap_or(0)).sum()
    }

    /// Share of answers that equal the labels.
    pub fn accuracy(&self, labels: &[u32]) -> Option<f64> {
        let right = self.answers.iter().zip(labels).filter(|(a, l)| **a == **l as usize).count();
        (!labels.is_empty()).then(|| right as f64 / self.answers.len().max(1) as f64)
    }
}

fn add_rows(sums: &mut Vec<Vec<u64>>, rows: &[Vec<u64>]) {
    sums.resize(rows.len(), vec![0; NAMES.len()]);
    for (sum, row) in sums.iter_mut().zip(rows) {
        sum.iter_mut().zip(row).for_each(|(s, n)| *s += n);
    }
}

/// Runs all samples, in parallel within the pool of the caller; `each` sees every sample with its number, from any
/// thread, and what it returns comes back in the order of the samples.
///
/// # Errors
/// Bad input: a sample cannot be made, or `each` fails.
pub fn run<T: Send>(
    compiled: &Compiled,
    inputs: &Inputs,
    keep: Keep,
    each: impl Fn(usize, &Sample, &mut Presented) -> Result<T, Failure> + Sync,
) -> Result<(Ran, Vec<T>), Failure> {
    let image = compiled.image()?;
    let words = image.memory(0..image.cores).words();
    let bytes = 8 * words as u64 * rayon::current_num_threads() as u64;
    let claim = if bytes < WORTH_SAYING { memory::require } else { memory::claim };
    claim("the network, once per thread", bytes, "make the network smaller, or use fewer --threads")?;
    let kernels = Native::detect();
    let progress = Progress::new("samples", inputs.len() as u64);
    let mut ran = Ran::default();
    let (mut alive, mut returned) = (Vec::new(), Vec::with_capacity(inputs.len()));
    // In parts, so that what is kept of many samples is never in memory together.
    const PART: usize = 256;
    for start in (0..inputs.len()).step_by(PART) {
        let part: Result<Vec<(Presented, T)>, Failure> = (start..(start + PART).min(inputs.len()))
            .into_par_iter()
            .map_init(
                || Memory::zeros(words),
                |arena, number| {
                    let sample = inputs.sample(number)?;
                    let mut one = present(compiled, image, arena, &kernels, number, &sample, keep)?;
                    let more = each(number, &sample, &mut one)?;
                    progress.add(1, one.per_tick.iter().map(|t| t.events).sum());
                    Ok((one, more))
                },
            )
            .collect();
        for (one, more) in part? {
            ran.take(&one, &mut alive, one.answer(compiled));
            returned.push(more);
        }
    }
    progress.finish();
    ran.silent = alive.iter().map(|p| p.iter().filter(|a| !**a).count() as u64).collect();
    Ok((ran, returned))
}

/// The report of a run on a chip: image, task, counts, synaptic operations, energy, latency.
///
/// # Errors
/// None in practice: the image was checked when it was opened.
pub fn report(
    compiled: &Compiled,
    ran: &Ran,
    inputs: &Inputs,
    chip: &Chip,
    seed: u64,
) -> Result<Report, Failure> {
    let mut report = Report::new(seed);
    report.profile = compiled.profile.clone();
    report.profile.extend(inputs.facts.clone());
    report.profile.insert("readout".into(), json!(readout_text(compiled)));
    report.profile.insert("input_scale".into(), json!(compiled.input_scale));
    report.image = Some(report::Image {
        sha256: compiled.sha256.clone(),
        // Nothing was learnt: the image as it ran is the image as it was.
        initial_sha256: Some(compiled.sha256.clone()),
        weight_bits: compiled.weight_bits,
    });
    report.task = Some(Task {
        samples: ran.samples as u64,
        accuracy: inputs.labels.as_ref().and_then(|labels| ran.accuracy(labels)),
        ..Task::default()
    });
    report.counts = Some(ledger::counts(&ran.counters, ran.ticks));
    price(&mut report, compiled, ran, chip)?;
    report.more.insert("layers".into(), layers(compiled, ran));
    if ran.inputs_cut > 0 {
        report
            .warnings
            .push(format!("{} input values lay beyond the image's range and were cut", ran.inputs_cut));
    }
    let saturations = ran.total(Count::StateSaturations);
    if saturations > 0 {
        report.warnings.push(format!(
            "{saturations} membranes saturated (more --state-bits, or a smaller --input-shift)"
        ));
    }
    for (info, silent) in compiled.populations.iter().zip(&ran.silent) {
        if info.spikes && !info.input && info.size > 0 && *silent == info.size as u64 {
            report.warnings.push(format!("population `{}` is dead: none of its neurons spiked", info.name));
        }
    }
    Ok(report)
}

/// Adds synaptic operations, energy, latency and mapping: on the chip that the image stands on, else on one core.
fn price(report: &mut Report, compiled: &Compiled, ran: &Ran, chip: &Chip) -> Result<(), Failure> {
    let image = compiled.image()?;
    let names = compiled.names();
    let (cells, priced) = match &compiled.on_chip {
        None => {
            let latency = ledger::serial_latency(chip, &ran.per_tick);
            let priced = Run {
                time_s: latency.as_ref().map(|l| l.total_s),
                cores_used: 1,
                charge_unit_j: Some(ENERGY_UNIT_J),
                ..Run::default()
            };
            report.latency = latency;
            (ledger::cells(chip, &image, &names, &ran.counters, ran.ticks), priced)
        }
        Some(on) => {
            let carried = on.routes.carried(chip, &ran.sent);
            if let Some(counts) = &mut report.counts {
                (counts.packets, counts.hops) = (carried.packets_out(), carried.hops());
                counts.more.insert("packets_in".into(), carried.packets_in());
            }
            report.latency = on.latency(&ran.on_chip);
            let held = synop_model::routes::neurons_by_core(&image);
            let priced = Run {
                time_s: report.latency.as_ref().map(|l| l.total_s),
                cores_used: held.iter().filter(|n| **n > 0).count() as u64,
                stored_bits: [on.routes.synapse_bits, compiled.neurons() * 32, 0],
                charge_unit_j: Some(ENERGY_UNIT_J),
            };
            report.more.insert("mapping".into(), on.mapping(&image, &names));
            report.more.insert("links".into(), links(&carried));
            report.more.insert("ticks".into(), json!(ran.by_tick));
            (on.cells(&image, &names, &ran.counters, ran.ticks, &carried), priced)
        }
    };
    let sum = |of: fn(&synop_cost::Counts) -> u64| cells.iter().map(|c| of(&c.counts)).sum();
    report.set_synops(SynOps {
        stored: sum(|c| c.synaptic_events),
        effective: sum(|c| c.synaptic_effective),
        dense: sum(|c| c.synaptic_dense),
        macs: sum(|c| c.macs),
        acs: sum(|c| c.acs),
    });
    let mut bill = Bill::of(chip, &cells, &priced);
    if compiled.on_chip.as_ref().is_some_and(OnChip::has_time) && bill.dynamic_j.is_some() {
        bill.set_peak(ran.on_chip.iter().map(|t| (t.energy_j, t.time_s)));
    }
    report.energy = Some(bill);
    Ok(())
}

/// The links of the mesh: how many were used, and the busiest.
fn links(carried: &synop_model::routes::Carried) -> Value {
    let busiest = carried.links.iter().max_by_key(|(link, n)| (**n, std::cmp::Reverse(**link)));
    json!({
        "used": carried.links.len(),
        "crossings": carried.links.values().sum::<u64>(),
        "busiest": busiest.map(|(link, n)| json!({
            "into_tile": link.tile,
            "towards": format!("{:?}", link.towards).to_lowercase(),
            "packets": n,
        })),
    })
}

/// How the answer is read, in words.
pub fn readout_text(compiled: &Compiled) -> String {
    let name = compiled.populations.get(compiled.readout).map_or("?", |p| p.name.as_str());
    match compiled.readout_spikes {
        true => format!("most spikes in `{name}`, the first neuron on a tie"),
        false => format!("highest membrane in `{name}` after the last tick, the first neuron on a tie"),
    }
}

/// Activity of each population: spikes per sample, spikes per neuron and tick, neurons that never spiked.
fn layers(compiled: &Compiled, ran: &Ran) -> Value {
    let samples = ran.samples.max(1) as f64;
    let each = compiled.populations.iter().enumerate().map(|(q, info)| {
        let spikes = ran.spikes_per_population.get(q).copied().unwrap_or(0);
        let slots = info.size as f64 * ran.ticks as f64;
        json!({
            "population": info.name,
            "neurons": info.size,
            "input": info.input,
            "spikes": spikes,
            "spikes_per_sample": spikes as f64 / samples,
            "rate": if slots > 0.0 { spikes as f64 / slots } else { 0.0 },
            "silent_neurons": ran.silent.get(q),
        })
    });
    each.collect()
}
