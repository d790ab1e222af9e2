//! A pair of SANA-FE descriptions: estimated as it stands, or imported as a chip, an image and its inputs.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use synop_cost::latency::Model;
use synop_cost::{Bill, Hops, Run};
use synop_model::image::Blob;
use synop_model::sanafe::{Arch, Lowered, MODELS, SanafeError, Snn, Step, Trial, lower, run_under};

use crate::local::digest;
use crate::progress::Progress;
use crate::report::{self, Counts, Latency, PerStep, Report, SynOps};
use crate::simd::Native;
use crate::{Failure, files};

/// An architecture and a network that is mapped onto it.
#[derive(Debug)]
pub struct Pair {
    /// Where the network's file stands.
    pub path: PathBuf,
    /// The architecture.
    pub arch: Arch,
    /// The network.
    pub snn: Snn,
    /// The integer network and its place on the chip.
    pub lowered: Lowered,
}

/// Steps of a run where no input says how many.
const STEPS: usize = 100;

fn refused(path: &Path, error: &SanafeError) -> Failure {
    let failure = Failure::bad_input(error);
    match error {
        SanafeError::Reference { .. } | SanafeError::Run(_) => failure.file(path),
        _ => failure,
    }
}

impl Pair {
    /// Reads both files and lowers the network to integers.
    ///
    /// # Errors
    /// Bad input: a file is missing or wrong, or the network does not fit the architecture.
    pub fn open(arch_path: &Path, snn_path: &Path) -> Result<Self, Failure> {
        let name = |path: &Path| path.display().to_string();
        let text = files::read_text(arch_path)?;
        let arch = Arch::read(&text, &name(arch_path)).map_err(|e| refused(arch_path, &e))?;
        let text = files::read_text(snn_path)?;
        let snn = Snn::read(&text, &name(snn_path)).map_err(|e| refused(snn_path, &e))?;
        let lowered = lower(&arch, &snn).map_err(|e| refused(snn_path, &e))?;
        Ok(Self { path: snn_path.to_owned(), arch, snn, lowered })
    }

    /// Steps to run: as asked, else as many as the longest list of spikes has.
    pub fn steps(&self, asked: Option<u64>) -> usize {
        let lists = self.lowered.homes.iter().filter_map(|h| h.drive.as_ref()).map(|d| d.listed.len());
        let longest = lists.max().filter(|n| *n > 0).unwrap_or(STEPS);
        asked.map_or(longest, |n| n as usize)
    }

    /// The image of the network.
    ///
    /// # Errors
    /// Bad input: the network does not fit an image.
    pub fn image(&self) -> Result<Blob, Failure> {
        synop_model::image::write(&self.lowered.network, &self.lowered.placement)
            .map_err(|error| Failure::bad_input(error).file(&self.path))
    }

    /// Runs the network and bills it.
    ///
    /// # Errors
    /// Bad input: the network cannot run.
    pub fn estimate(&self, steps: Option<u64>, model: Model, seed: u64) -> Result<Report, Failure> {
        let steps = self.steps(steps);
        let progress = Progress::new("steps", steps as u64);
        let kernels = Native::detect();
        let seen = &mut |step: &Step| progress.add(1, step.synaptic_events);
        let trial = run_under(&self.arch, &self.snn, &self.lowered, steps, &[model], &kernels, seen)
            .map_err(|error| refused(&self.path, &error))?;
        progress.finish();
        self.report(&trial, model, seed)
    }

    fn report(&self, trial: &Trial, model: Model, seed: u64) -> Result<Report, Failure> {
        let mut report = Report::new(seed);
        report.command = "estimate".into();
        report.profile.insert("profile".into(), json!("sanafe"));
        report.profile.insert("chip".into(), json!(self.arch.chip.name));
        let assumed = [
            "a neuron fires above its threshold (truenorth: from it on); membranes are cut to 1/64 after the leak",
            "a spike sends one packet to each core that holds targets, the own core included",
            "a spike of one step reaches its targets in the next",
        ];
        report.profile.insert("assumptions".into(), json!(assumed));
        report.warnings.extend(self.lowered.warnings.iter().cloned());
        let blob = self.image()?;
        report.image =
            Some(report::Image { sha256: digest(&[blob.bytes()]), initial_sha256: None, weight_bits: 16 });
        let sum = |of: fn(&Step) -> u64| trial.steps.iter().map(of).sum::<u64>();
        let is_input = |n: &usize| self.lowered.homes.get(*n).is_some_and(|h| h.drive.is_some());
        let inputs: u64 =
            trial.steps.iter().map(|s| s.fired.iter().filter(|n| is_input(n)).count() as u64).sum();
        let fired = sum(|s| s.fired.len() as u64);
        let mut hops = Hops::default();
        trial.steps.iter().for_each(|s| hops.add(&s.hops));
        let events = sum(|s| s.synaptic_events);
        report.counts = Some(Counts {
            steps: trial.steps.len() as u64,
            neurons_updated: sum(|s| s.updated),
            neurons_fired: fired - inputs,
            synaptic_events: events,
            packets: sum(|s| s.packets),
            hops,
            more: [
                ("input_events".to_owned(), inputs),
                ("packets_in".to_owned(), trial.cells.iter().map(|c| c.counts.packets_in).sum()),
            ]
            .into(),
        });
        let effective = events - trial.zero_events;
        let synapses = self.snn.edges.len() as u64;
        report.set_synops(SynOps {
            stored: events,
            effective,
            dense: synapses * trial.steps.len() as u64,
            macs: 0,
            acs: effective,
        });
        let at = MODELS.iter().position(|m| *m == model).unwrap_or(0);
        let times: Vec<f64> = trial.steps.iter().map(|s| s.time_s[at]).collect();
        let total_s = times.iter().sum();
        report.latency = Some(Latency { model: model.name().into(), total_s, per_step: PerStep::of(&times) });
        let run =
            Run { time_s: Some(total_s), cores_used: self.lowered.order.len() as u64, ..Run::default() };
        let mut bill = Bill::of(&self.arch.chip, &trial.cells, &run);
        if bill.dynamic_j.is_some() {
            let joules = |s: &Step| s.energy_j.iter().sum::<f64>();
            bill.set_peak(trial.steps.iter().zip(&times).map(|(s, t)| (joules(s), *t)));
        }
        report.energy = Some(bill);
        report.more.insert("mapping".into(), self.mapping());
        report.more.insert("ticks".into(), ticks(trial, &times));
        Ok(report)
    }

    fn mapping(&self) -> Value {
        let chip = &self.arch.chip;
        let cores = self.lowered.order.iter().map(|(core, list)| {
            let names = list.iter().filter_map(|n| self.snn.neurons.get(*n)).map(|n| n.name.as_str());
            json!({
                "core": core,
                "tile": chip.tile_of(*core),
                "neurons": list.len(),
                "holds": names.collect::<Vec<_>>(),
            })
        });
        json!({
            "strategy": "manual",
            "cores_used": self.lowered.order.len(),
            "cores": cores.collect::<Vec<_>>(),
        })
    }

    /// Writes the chip, the image and the inputs of `steps` steps into a folder; returns the files.
    ///
    /// # Errors
    /// Bad input: the network does not fit an image. The work failed: a file cannot be written.
    pub fn import(&self, folder: &Path, steps: Option<u64>) -> Result<Vec<PathBuf>, Failure> {
        let chip = self.arch.plain_chip().to_toml().map_err(|error| Failure::work(error).place("chip"))?;
        let steps = self.steps(steps);
        let trial =
            run_under(&self.arch, &self.snn, &self.lowered, steps, &[], &Native::detect(), &mut |_| {})
                .map_err(|error| refused(&self.path, &error))?;
        // Inputs are numbered through in the order of their populations.
        let populations = &self.lowered.network.populations;
        let mut first_of = Vec::with_capacity(populations.len());
        let mut next = 0;
        for p in populations {
            first_of.push(next);
            next += if p.kind == synop_model::network::Kind::Input { p.size } else { 0 };
        }
        let mut csv = String::from("t,neuron\n");
        for (t, step) in trial.steps.iter().enumerate() {
            for n in &step.fired {
                let Some(home) = self.lowered.homes.get(*n).filter(|h| h.drive.is_some()) else { continue };
                let first = first_of.get(home.population).copied().unwrap_or(0);
                csv.push_str(&format!("{t},{}\n", first + home.index));
            }
        }
        let written = ["chip.toml", "network.image", "inputs.csv"].map(|name| folder.join(name));
        let [chip_path, image_path, input_path] = &written;
        files::write(chip_path, chip.as_bytes())?;
        files::write(image_path, self.image()?.bytes())?;
        files::write(input_path, csv.as_bytes())?;
        Ok(written.to_vec())
    }
}

/// What every step did, in columns.
fn ticks(trial: &Trial, times: &[f64]) -> Value {
    let rows = trial.steps.iter().zip(times).map(|(s, t)| {
        json!({
            "fired": s.fired.len(),
            "updated": s.updated,
            "packets": s.packets,
            "hops": s.hops.total(),
            "synaptic_events": s.synaptic_events,
            "dynamic_j": s.energy_j.iter().sum::<f64>(),
            "by_group_j": {
                "synapse": s.energy_j[0],
                "dendrite": s.energy_j[1],
                "soma": s.energy_j[2],
                "network": s.energy_j[3],
            },
            "time_s": t,
        })
    });
    rows.collect()
}
