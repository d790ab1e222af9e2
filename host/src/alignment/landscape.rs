//! The landscape: networks trained for one drive each (or for several), tested on it and on all others.

use std::path::Path;
use std::sync::Mutex;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use synop_core::Count;
use synop_cost::Chip;
use synop_encode::lyapunov::spectrum;
use synop_encode::{Dynamics, LyapunovRun};

use super::drive::{Drive, grid_of};
use super::features::{Archive, Embedding, Features};
use super::integer::{Emulation, prices};
use super::point::{
    Behaviour, Course, OnMachine, Recipe, STATE_SHIFT, as_trained, classes, on_machine, robustness,
};
use crate::report::SynOps;
use crate::simd::Native;
use crate::train::{InputGrid, Network, Samples, evaluate};
use crate::{Failure, data, local};

/// Where the features come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Set {
    /// The study's 10 % of MNIST as a 7-D UMAP fitted on training and test images together.
    JointUmap,
    /// The same images as 7 principal components.
    Pca,
    /// MNIST as a 7-D UMAP fitted on training images only.
    TrainUmap,
    /// The embedded 8×8 digits, 70 % to learn from.
    Digits,
}

impl Set {
    /// Reads the features, at most `train` and `test` samples of them.
    ///
    /// # Errors
    /// Bad input: the data set is absent or broken.
    pub fn load(self, folder: &Path, train: usize, test: usize) -> Result<Features, Failure> {
        let pair = |(a, b): (data::Dataset, data::Dataset)| {
            Features::new(a.width, a.features, a.labels, b.features, b.labels)
        };
        let mut features = match self {
            Set::JointUmap | Set::Pca => {
                let embedding = if self == Set::Pca { Embedding::Pca } else { Embedding::JointUmap };
                let archive = Archive::open(folder)?.ok_or_else(|| {
                    Failure::bad_input("the data set is absent")
                        .file(folder.join("mnist-alignment/mnist10.bin"))
                        .mend("name the folder of the data sets with --data DIR or $SYNOP_DATA, or set data = \"digits\"")
                })?;
                archive.features(embedding)?
            }
            Set::TrainUmap => pair((data::mnist_umap7(folder, true)?, data::mnist_umap7(folder, false)?)),
            Set::Digits => pair(data::digits::load()?.split(0.7, 1)),
        };
        features.truncate(train, test);
        Ok(features)
    }
}

/// How weights came to be, and in what they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Trained in float, run in float.
    Float,
    /// Trained and run with 8-bit weights, saturation and input scale trained in.
    Int8,
    /// Trained and run with 4-bit weights, as above.
    Int4,
    /// Trained in float without regard to integers, then rounded to 8 bits.
    Rounded8,
    /// Learnt on the chip: one hidden layer and a readout by the local rules of [`crate::local`], in 8-bit integers.
    Local,
}

impl Method {
    /// The name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Method::Float => "float",
            Method::Int8 => "int8",
            Method::Int4 => "int4",
            Method::Rounded8 => "rounded8",
            Method::Local => "local",
        }
    }

    fn trained_bits(self) -> Option<u32> {
        match self {
            Method::Float | Method::Rounded8 | Method::Local => None,
            Method::Int8 => Some(8),
            Method::Int4 => Some(4),
        }
    }

    fn bits(self) -> Option<u32> {
        match self {
            Method::Float => None,
            Method::Int8 | Method::Rounded8 | Method::Local => Some(8),
            Method::Int4 => Some(4),
        }
    }
}

/// What is trained and tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Dampings of the drives that networks are tested on.
    pub damping: Vec<f64>,
    /// Dampings of each network's training drives: mostly one.
    pub trained: Vec<Vec<f64>>,
    /// Seeds, counted from this one.
    pub first_seed: u64,
    /// How many.
    pub seeds: u64,
    /// Methods.
    pub methods: Vec<Method>,
    /// Recipe.
    pub recipe: Recipe,
    /// What the local rule uses.
    pub local: Local,
    /// Saturation of the drives.
    pub limit: Option<f32>,
    /// Whether each network, its weights frozen, is also run on all other drives.
    pub switch: bool,
    /// Probabilities of inverted spikes to try.
    pub flips: Vec<f32>,
    /// Horizon of the drives.
    pub tmax: f64,
    /// Steps of the drives.
    pub steps: usize,
}

/// A network's behaviour under a drive that it was perhaps not trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Switched {
    /// Damping of the drive.
    pub damping: f64,
    /// Held-out accuracy: on the machine for integer methods, else in float.
    pub accuracy: f64,
    /// Spikes per sample.
    pub spikes: f64,
    /// Synaptic operations behind the first layer per sample.
    pub synops: f64,
    /// Energy per sample on the plan's chip, J; absent in float and where the chip has no price for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_j: Option<f64>,
    /// Time per sample on the plan's chip, one event after the other, s; absent as above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_s: Option<f64>,
}

/// What a network does under other features of the held-out samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// Their name.
    pub features: String,
    /// The network that was kept.
    pub kept: Behaviour,
    /// The network of the last epoch.
    pub last: Behaviour,
}

/// One trained network and what it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Dampings of the training drives.
    pub trained: Vec<f64>,
    /// Seed of weights and order.
    pub seed: u64,
    /// Method.
    pub method: Method,
    /// What training showed.
    pub course: Course,
    /// The float twin (of the rounded weights, for integer methods).
    pub twin: Behaviour,
    /// On the machine, for integer methods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<OnMachine>,
    /// Under other drives, weights frozen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub switched: Vec<Switched>,
    /// Accuracy under inverted spikes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flips: Vec<(f32, f64)>,
    /// In float, under other features of the held-out samples.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<Elsewhere>,
}

impl Point {
    /// What counts: the machine's behaviour where there is a machine.
    pub fn behaviour(&self) -> &Behaviour {
        self.machine.as_ref().map_or(&self.twin, |machine| &machine.behaviour)
    }

    fn is_of(&self, trained: &[f64], seed: u64, method: Method) -> bool {
        self.trained == trained && self.seed == seed && self.method == method
    }
}

/// Training and held-out samples of a drive, in float.
struct Encoded {
    damping: f64,
    train: Samples,
    test: Samples,
    others: Vec<(String, Samples)>,
}

impl Plan {
    /// The number of points.
    pub fn points(&self) -> usize {
        self.trained.len() * self.seeds as usize * self.methods.len()
    }

    fn drive(&self, damping: f64) -> Drive {
        Drive { tmax: self.tmax, steps: self.steps, limit: self.limit, ..Drive::mixed(damping) }
    }

    /// Trains and tests all points that are not in `known`, in parallel on the threads of the pool.
    ///
    /// `on_point` sees every point as it is done, together with all that are done; the result is in the order
    /// trained, seed, method, whatever the threads.
    ///
    /// # Errors
    /// The work failed, or `on_point` did.
    pub fn run(
        &self,
        features: &Features,
        chip: &Chip,
        known: Vec<Point>,
        on_point: impl Fn(&[Point]) -> Result<(), Failure> + Sync,
    ) -> Result<Vec<Point>, Failure> {
        let mut jobs = Vec::new();
        for trained in &self.trained {
            for seed in self.first_seed..self.first_seed + self.seeds {
                jobs.extend(self.methods.iter().map(|method| (trained, seed, *method)));
            }
        }
        let is_known = |job: &(&Vec<f64>, u64, Method)| known.iter().any(|p| p.is_of(job.0, job.1, job.2));
        let open: Vec<_> = jobs.iter().copied().filter(|job| !is_known(job)).collect();
        let mut wanted: Vec<f64> = open.iter().flat_map(|job| job.0.iter().copied()).collect();
        if self.switch && !open.is_empty() {
            wanted.extend(&self.damping);
        }
        wanted.sort_by(f64::total_cmp);
        wanted.dedup();
        let encoded: Vec<Encoded> = wanted
            .iter()
            .map(|damping| {
                let drive = self.drive(*damping);
                let (train, test) = drive.split(features)?;
                let others = features.others.iter().map(|(name, rows)| {
                    let samples =
                        drive.samples(rows, features.width, &features.test_labels, features.scale)?;
                    Ok((name.clone(), samples))
                });
                Ok(Encoded {
                    damping: *damping,
                    train,
                    test,
                    others: others.collect::<Result<_, Failure>>()?,
                })
            })
            .collect::<Result<_, Failure>>()?;
        let done = Mutex::new(known);
        open.par_iter().try_for_each(|(trained, seed, method)| {
            let point = self.point(trained, *seed, *method, &encoded, chip)?;
            let mut done = done.lock().map_err(|_| Failure::work("a point failed"))?;
            done.push(point);
            on_point(&done)
        })?;
        let done = done.into_inner().map_err(|_| Failure::work("a point failed"))?;
        let find =
            |job: &(&Vec<f64>, u64, Method)| done.iter().find(|p| p.is_of(job.0, job.1, job.2)).cloned();
        Ok(jobs.iter().filter_map(find).collect())
    }

    fn point(
        &self,
        trained: &[f64],
        seed: u64,
        method: Method,
        encoded: &[Encoded],
        chip: &Chip,
    ) -> Result<Point, Failure> {
        // a chip has one input scale: that of the most expanding drive that it was trained for
        let grid = method.bits().map(|_| grid_of(trained.iter().copied().fold(f64::INFINITY, f64::min)));
        let training_grid = method.trained_bits().and(grid);
        let snap = |samples: &Samples, grid: Option<InputGrid>| {
            let mut samples = samples.clone();
            if let Some(grid) = grid {
                samples.map(|v| grid.round(v));
            }
            samples
        };
        let of = |damping: f64| encoded.iter().find(|e| e.damping == damping);
        let missing = || Failure::work("a drive was not encoded");
        let mut sets = trained.iter().map(|damping| of(*damping).ok_or_else(missing));
        let first = sets.next().ok_or_else(missing)??;
        let (mut train, mut test) = (first.train.clone(), first.test.clone());
        for set in sets {
            let set = set?;
            train.extend(&set.train);
            test.extend(&set.test);
        }
        if let (Method::Local, Some(grid)) = (method, grid) {
            let others: Vec<(f64, &Samples)> = match self.switch {
                true => encoded.iter().map(|e| (e.damping, &e.test)).collect(),
                false => Vec::new(),
            };
            return self.local_point(trained, seed, grid, &train, &test, &others);
        }
        let train = snap(&train, training_grid);
        let learnt_test = snap(&test, training_grid);
        let fitted = self.recipe.train(&train, &learnt_test, method.trained_bits(), training_grid, seed);
        let network = as_trained(&fitted.best, method.trained_bits(), training_grid);
        let test = snap(&test, grid);
        let found = evaluate(&network, &test, None, false);
        let machine = method
            .bits()
            .map(|bits| on_machine(&network, bits, grid, &test, &found, Some(chip)))
            .transpose()?;
        let mut switched = Vec::new();
        if self.switch {
            for damping in &self.damping {
                let test = snap(&of(*damping).ok_or_else(missing)?.test, grid);
                let (mut energy_j, mut latency_s) = (None, None);
                let behaviour = match method.bits() {
                    None => Behaviour::of(&network, &evaluate(&network, &test, None, false)),
                    Some(bits) => {
                        let integer = super::Integer::new(&network, bits, STATE_SHIFT, grid)?;
                        let run = integer.run(&test)?;
                        let (bill, latency) = integer.bill(chip, &run)?;
                        let samples = run.samples.max(1) as f64;
                        energy_j = bill.total_j.map(|total| total.nominal / samples);
                        latency_s = latency.map(|time| time / samples);
                        Behaviour::on_machine(&network, &run)
                    }
                };
                switched.push(Switched {
                    damping: *damping,
                    accuracy: behaviour.accuracy,
                    spikes: behaviour.spikes,
                    synops: behaviour.synops,
                    energy_j,
                    latency_s,
                });
            }
        }
        let flips = robustness(&network, &test, &self.flips, 3);
        let last = as_trained(&fitted.last, method.trained_bits(), training_grid);
        let elsewhere = first.others.iter().map(|(name, samples)| {
            let samples = snap(samples, grid);
            let of = |network: &Network| Behaviour::of(network, &evaluate(network, &samples, None, false));
            Elsewhere { features: name.clone(), kept: of(&network), last: of(&last) }
        });
        let elsewhere = elsewhere.collect();
        Ok(Point {
            trained: trained.to_vec(),
            seed,
            method,
            course: Course::of(&fitted),
            twin: Behaviour::of(&network, &found),
            machine,
            switched,
            flips,
            elsewhere,
        })
    }
}

/// Constants of on-chip learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Local {
    /// Hidden neurons.
    pub hidden: usize,
    /// Hidden threshold, in units of weight × input.
    pub threshold: i32,
    /// Membrane decay per tick.
    pub decay: f64,
    /// Standard deviation of first hidden and feedback weights.
    pub spread: f64,
    /// A class is in error up to this readout.
    pub margin: i32,
    /// log2 of the hidden rule's denominator.
    pub hidden_shift: u32,
    /// The third factor of both rules, epoch by epoch.
    pub rates: Vec<i32>,
}

impl Default for Local {
    fn default() -> Self {
        Self {
            hidden: 256,
            threshold: 4000,
            decay: 0.9,
            spread: 24.0,
            margin: 600,
            hidden_shift: 16,
            rates: vec![4, 4, 2, 2, 1, 1],
        }
    }
}

impl Plan {
    /// Learns and tests on the chip.
    fn local_point(
        &self,
        trained: &[f64],
        seed: u64,
        grid: InputGrid,
        train: &Samples,
        test: &Samples,
        others: &[(f64, &Samples)],
    ) -> Result<Point, Failure> {
        let setup = local::Setup {
            inputs: train.inputs(),
            input_max: grid.integer(grid.limit).unsigned_abs(),
            hidden: self.local.hidden,
            classes: classes(train),
            threshold: self.local.threshold,
            decay: self.local.decay,
            spread: self.local.spread,
            margin: self.local.margin,
            trace_max: 64,
            readout_shift: 3,
            hidden_shift: self.local.hidden_shift,
            spike_cost: 1.0,
            bits: 8,
            plastic_hidden: true,
            seed,
            bars: None,
        };
        let drives = |samples: &Samples| {
            let drive = |sample: usize| {
                let row = |step: usize| {
                    let mut values = vec![0; samples.inputs()];
                    for entry in samples.row(sample, step) {
                        values[entry.index as usize] = grid.integer(entry.value);
                    }
                    values
                };
                local::Drive { rows: (0..samples.steps()).map(row).collect(), repeat: 1 }
            };
            local::Samples {
                drives: (0..samples.len()).map(drive).collect(),
                labels: samples.labels().to_vec(),
            }
        };
        let failed = |error: &dyn std::fmt::Display| Failure::work(format_args!("{error}"));
        let blob = setup.image()?;
        let image = blob.image().map_err(|e| failed(&e))?;
        let mut arena = vec![0u64; image.memory(0..image.cores).words()];
        let mut learner = local::Learner::new(&setup, image, &mut arena, Native::detect())?;
        learner.train(&drives(train), &self.local.rates, |_| Ok(()))?;
        let behaviour = |found: &local::Evaluation| {
            let samples = found.samples.max(1) as f64;
            Behaviour {
                accuracy: found.accuracy(),
                spikes: found.spikes_per_sample(),
                layer_spikes: vec![found.spikes_per_sample()],
                synops: found.count(LOCAL_READOUT, Count::StoredEvents) as f64 / samples,
                rates: Vec::new(),
            }
        };
        let found = learner.evaluate(&drives(test))?;
        let emulation = Emulation {
            samples: found.samples,
            ticks: found.ticks,
            counters: found.counters.clone(),
            work: found.per_tick.clone(),
            ..Emulation::default()
        };
        let per_sample = |count: Count| {
            found.counters.iter().filter_map(|row| row.get(count as usize)).sum::<u64>() as f64
                / found.samples.max(1) as f64
        };
        let own = behaviour(&found);
        let mut switched = Vec::new();
        for damping in &self.damping {
            let Some((_, samples)) = others.iter().find(|(d, _)| d == damping) else { continue };
            let seen = behaviour(&learner.evaluate(&drives(samples))?);
            switched.push(Switched {
                damping: *damping,
                accuracy: seen.accuracy,
                spikes: seen.spikes,
                synops: seen.synops,
                energy_j: None,
                latency_s: None,
            });
        }
        Ok(Point {
            trained: trained.to_vec(),
            seed,
            method: Method::Local,
            course: Course {
                epochs: self.local.rates.len(),
                last_accuracy: own.accuracy,
                ..Course::default()
            },
            twin: own.clone(),
            machine: Some(OnMachine {
                behaviour: own,
                agreement: 1.0,
                synops: SynOps {
                    stored: per_sample(Count::StoredEvents),
                    effective: per_sample(Count::EffectiveEvents),
                    dense: 0.0,
                    macs: per_sample(Count::MultiplyAccumulates),
                    acs: per_sample(Count::Accumulates),
                },
                bill: None,
                prices: prices(&image, &["input", "error", "hidden", "readout"], &emulation)?,
            }),
            switched,
            flips: Vec::new(),
            elsewhere: Vec::new(),
        })
    }
}

/// The readout's piece in the image of [`local::Setup`].
const LOCAL_READOUT: u32 = 3;

/// Sum and largest of the finite-time Lyapunov exponents of the mixed oscillator over `tmax`.
///
/// # Errors
/// The work failed: the system diverged.
pub fn exponents(damping: f64, tmax: f64) -> Result<(f64, f64), Failure> {
    let failed = |error: synop_encode::EncodeError| Failure::work(format_args!("{error}"));
    let run = LyapunovRun::finite_time(tmax).map_err(failed)?;
    let found = spectrum(&Dynamics::mixed(damping), &run).map_err(failed)?;
    Ok((found.sum, found.sorted[0]))
}
