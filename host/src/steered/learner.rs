//! The loop over samples: relax, learn, ask.

use serde::Serialize;
use synop_core::counters::NAMES;
use synop_core::{Count, Event, Image, Machine, Observer, Threefry, Unobserved};
use synop_model::attractor::{self, Built};
use synop_model::image::{Blob, write};
use synop_model::placement::Placement;

use super::continuous::{Priority, relax};
use super::dense::Dense;
use super::{Recipe, Samples, Task};
use crate::Failure;
use crate::bench::clock::thread_cpu_s;
use crate::data::permutation;
use crate::simd::Native;

/// Test samples of which the sweeps are watched one by one.
const WATCHED: usize = 500;
/// Training samples that the dense float loops are timed on.
const TIMED: usize = 16;

/// Counters of some samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Work {
    /// One row per piece, in the order of [`NAMES`].
    pub counters: Vec<Vec<u64>>,
    /// Ticks.
    pub ticks: u64,
    /// Samples.
    pub samples: u64,
}

impl Work {
    /// A count over all pieces, per sample.
    pub fn per_sample(&self, count: Count) -> f64 {
        self.counters.iter().map(|row| row[count as usize]).sum::<u64>() as f64 / self.samples.max(1) as f64
    }
}

/// An epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Epoch {
    /// Share of held-out samples answered rightly.
    pub accuracy: f64,
    /// Synaptic events per training sample.
    pub train_events: f64,
    /// Changes of neurons per training sample, first writes included.
    pub train_changes: f64,
    /// Weights evaluated by the rules, per training sample.
    pub plastic_updates: f64,
    /// Weights that changed, per training sample.
    pub plastic_changes: f64,
    /// Synaptic events per held-out sample.
    pub test_events: f64,
    /// Changes per sweep and watched held-out sample in the learning program: warm, steered, free.
    pub flips_per_sweep: Vec<f64>,
    /// Share of watched samples that were at a fixed point at the end.
    pub settled: f64,
}

/// Answers of the learnt network in continuous time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Answers {
    /// Order of updates.
    pub priority: Priority,
    /// Held-out samples.
    pub samples: usize,
    /// Share of them answered rightly.
    pub accuracy: f64,
    /// Share answered as by synchronous sweeps.
    pub agreement: f64,
    /// Share that came to rest.
    pub settled: f64,
    /// Neurons updated per sample.
    pub updates: f64,
    /// Changes per sample, first writes included.
    pub changes: f64,
    /// Time to rest per sample, in mean intervals of a neuron's clock.
    pub time: f64,
}

/// What learning came to.
#[derive(Debug, Clone)]
pub struct Learnt {
    /// Epoch by epoch.
    pub epochs: Vec<Epoch>,
    /// What training cost.
    pub train: Work,
    /// What the last answers to the held-out samples cost.
    pub test: Work,
    /// Processor seconds of training.
    pub train_cpu_s: f64,
    /// Processor seconds of the dense float loops per sample, their multiplications, and whether their states are
    /// the machine's; none for networks that they do not know.
    pub dense: Option<(f64, u64, bool)>,
    /// Answers in continuous time, if asked for.
    pub continuous: Vec<Answers>,
    /// The image.
    pub blob: Blob,
    /// SHA-256 of the image with the learnt weights, and of the image alone.
    pub digests: [String; 2],
    /// Names of the populations.
    pub names: Vec<String>,
}

/// Changes by tick.
struct Changes {
    first: u64,
    counts: Vec<u64>,
}

impl Observer for Changes {
    fn spike(&mut self, tick: u64, _: u32, _: u32, _: i32) {
        if let Some(n) = self.counts.get_mut((tick - self.first) as usize) {
            *n += 1;
        }
    }
}

struct Learner<'a> {
    recipe: &'a Recipe,
    built: &'a Built,
    machine: Machine<'a>,
    kernels: Native,
    draws: Threefry,
    payload: i32,
    teacher: i32,
    scratch: Vec<Event>,
}

/// Learns a task for some epochs, and then answers `continuous` held-out samples in continuous time too. `progress`
/// is told after every training sample.
///
/// # Errors
/// Bad input: the recipe does not fit an image.
pub fn learn(
    recipe: &Recipe,
    task: &Task,
    epochs: usize,
    continuous: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Learnt, Failure> {
    let built = recipe.build()?;
    let unfit = |error: &dyn std::fmt::Display| {
        Failure::bad_input(format_args!("{error}"))
            .place("network")
            .mend("use fewer neurons or narrower weights")
    };
    let blob = write(&built.network, &Placement::one_core(&built.network)).map_err(|e| unfit(&e))?;
    let image = blob.image().map_err(|e| unfit(&e))?;
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    let units = recipe.units();
    let mut learner = Learner {
        recipe,
        built: &built,
        machine: Machine::new(image, &mut arena).map_err(|e| unfit(&e))?,
        kernels: Native::detect(),
        draws: Threefry::new(recipe.seed),
        payload: units.input,
        teacher: units.teacher,
        scratch: Vec::new(),
    };
    let mut learnt = Learnt {
        epochs: Vec::new(),
        train: Work::default(),
        test: Work::default(),
        train_cpu_s: 0.0,
        dense: None,
        continuous: Vec::new(),
        blob: Blob::new(&[]),
        digests: Default::default(),
        names: built.network.populations.iter().map(|p| p.name.clone()).collect(),
    };
    for epoch in 0..epochs {
        let order = permutation(task.train.len(), recipe.seed.wrapping_mul(1009).wrapping_add(epoch as u64));
        let before = learner.counters();
        let (ticks, cpu) = (learner.machine.tick(), thread_cpu_s());
        for &sample in &order {
            learner.learn(&task.train, sample)?;
            progress(1);
        }
        learner.machine.finish_batch(&mut learner.draws);
        learnt.train_cpu_s += thread_cpu_s() - cpu;
        let work = learner.since(&before, ticks, task.train.len());
        let (flips_per_sweep, settled) = learner.watch(&task.test)?;
        let mut report = Epoch {
            train_events: work.per_sample(Count::StoredEvents),
            train_changes: learner.hidden_changes(&work),
            plastic_updates: work.per_sample(Count::PlasticUpdates),
            plastic_changes: work.per_sample(Count::PlasticChanges),
            settled,
            flips_per_sweep,
            ..Epoch::default()
        };
        add(&mut learnt.train, &work);
        let (before, ticks) = (learner.counters(), learner.machine.tick());
        let mut right = 0u64;
        for sample in 0..task.test.len() {
            let answer = learner.ask(&task.test, sample)?;
            right += u64::from(Some(&answer) == task.test.labels.get(sample));
        }
        learnt.test = learner.since(&before, ticks, task.test.len());
        report.accuracy = right as f64 / task.test.len().max(1) as f64;
        report.test_events = learnt.test.per_sample(Count::StoredEvents);
        learnt.epochs.push(report);
    }
    for priority in [Priority::Clock, Priority::MostUnstable].into_iter().filter(|_| continuous > 0) {
        learnt.continuous.push(learner.continuous(&image, &task.test, continuous, priority)?);
    }
    learnt.dense = learner.time_dense(&image, &task.train)?;
    learnt.digests = [
        crate::local::digest(&[blob.bytes(), learner.machine.plastic()]),
        crate::local::digest(&[blob.bytes()]),
    ];
    learnt.blob = blob.clone();
    Ok(learnt)
}

/// The number of the largest sum; the first of equals.
fn largest(sums: &[i32]) -> u8 {
    let all = sums.iter().enumerate();
    all.fold((0, i32::MIN), |best, (c, s)| if *s > best.1 { (c, *s) } else { best }).0 as u8
}

fn add(total: &mut Work, work: &Work) {
    total.counters.resize(work.counters.len(), vec![0; NAMES.len()]);
    for (to, from) in total.counters.iter_mut().zip(&work.counters) {
        to.iter_mut().zip(from).for_each(|(t, f)| *t += f);
    }
    total.ticks += work.ticks;
    total.samples += work.samples;
}

impl Learner<'_> {
    fn counters(&self) -> Vec<Vec<u64>> {
        (0..self.machine.image().pieces).map(|p| self.machine.counters(p).row().to_vec()).collect()
    }

    fn since(&self, before: &[Vec<u64>], ticks: u64, samples: usize) -> Work {
        let mut counters = self.counters();
        for (row, before) in counters.iter_mut().zip(before) {
            row.iter_mut().zip(before).for_each(|(n, b)| *n -= b);
        }
        Work { counters, ticks: self.machine.tick() - ticks, samples: samples as u64 }
    }

    fn hidden_changes(&self, work: &Work) -> f64 {
        let layers = self.built.layers.iter();
        let sum: u64 = layers.map(|l| work.counters[*l][Count::Spikes as usize]).sum();
        sum as f64 / work.samples.max(1) as f64
    }

    fn present(&mut self, samples: &Samples, sample: usize, taught: bool) -> Result<(), Failure> {
        self.machine.rest();
        self.scratch.clear();
        self.scratch.extend(samples.events(sample).iter().map(|[i, v]| [*i, v * self.payload]));
        let refused = |error| Failure::work(format_args!("an input was refused: {error}"));
        self.machine.inject(self.built.input as u32, &self.scratch).map_err(refused)?;
        if taught {
            let label = samples.labels.get(sample).copied().unwrap_or(0);
            self.machine
                .inject(self.built.teacher as u32, &[[i32::from(label), self.teacher]])
                .map_err(refused)?;
            let targets = self.machine.targets_mut(self.built.readout as u32);
            for (class, t) in targets.iter_mut().enumerate() {
                *t = if class == usize::from(label) { 1 } else { -1 };
            }
        }
        Ok(())
    }

    /// Relaxes a sample and learns it.
    fn learn(&mut self, samples: &Samples, sample: usize) -> Result<(), Failure> {
        self.present(samples, sample, true)?;
        self.machine.run_program(attractor::LEARN, &self.kernels, &mut self.draws, &mut Unobserved);
        self.machine.learn_sample(&mut self.draws);
        Ok(())
    }

    /// The class with the largest readout; the first of equals.
    fn ask(&mut self, samples: &Samples, sample: usize) -> Result<u8, Failure> {
        self.present(samples, sample, false)?;
        self.machine.run_program(attractor::RECALL, &self.kernels, &mut self.draws, &mut Unobserved);
        Ok(largest(self.machine.sums(self.built.readout as u32, 0)))
    }

    /// Mean changes in every sweep of the learning program, on held-out samples, and the share that ends at rest.
    fn watch(&mut self, samples: &Samples) -> Result<(Vec<f64>, f64), Failure> {
        let plan = self.recipe.plan;
        let sweeps = (plan.warm + plan.steer + plan.free) as usize;
        let watched = samples.len().min(WATCHED);
        let mut sums = vec![0u64; sweeps];
        let mut settled = 0;
        for sample in 0..watched {
            self.present(samples, sample, true)?;
            let mut at = 0;
            for (phase, sweeps) in
                [(attractor::FREE, plan.warm), (attractor::STEER, plan.steer), (attractor::FREE, plan.free)]
            {
                self.machine.set_phase(phase);
                let mut changes = Changes { first: self.machine.tick(), counts: vec![0; sweeps as usize] };
                for _ in 0..sweeps {
                    self.machine.step(&self.kernels, &mut self.draws, &mut changes);
                }
                for n in changes.counts {
                    sums[at] += n;
                    at += 1;
                }
            }
            self.machine.set_phase(attractor::READ);
            self.machine.step(&self.kernels, &mut self.draws, &mut Unobserved);
            self.machine.set_phase(attractor::FREE);
            settled += u64::from(self.machine.is_settled());
        }
        let mean = |n: u64| n as f64 / watched.max(1) as f64;
        Ok((sums.into_iter().map(mean).collect(), mean(settled)))
    }

    /// Answers samples in continuous time: on a machine whose neurons are sequential, with the learnt weights.
    fn continuous(
        &mut self,
        image: &Image<'_>,
        samples: &Samples,
        count: usize,
        priority: Priority,
    ) -> Result<Answers, Failure> {
        let count = count.min(samples.len());
        let recipe = Recipe { order: super::Order::Sequential, ..self.recipe.clone() };
        let built = recipe.build()?;
        let blob = write(&built.network, &Placement::one_core(&built.network)).map_err(Failure::work)?;
        let own = blob.image().map_err(Failure::work)?;
        let mut arena = vec![0u64; own.memory(0..own.cores).words()];
        let mut machine = Machine::new(own, &mut arena).map_err(Failure::work)?;
        for (number, projection) in
            built.network.projections.iter().enumerate().filter(|(_, p)| p.rule.is_some())
        {
            let ports = (attractor::port_of(&own, number), attractor::port_of(image, number));
            let (Some(to), Some(from)) = ports else { continue };
            let size = |p: usize| built.network.populations[p].size as u32;
            for i in 0..size(projection.source) {
                for j in 0..size(projection.target) {
                    if let Some(w) = self.machine.weight(from, i, j) {
                        machine.program(to, i, j, w);
                    }
                }
            }
        }
        let layers: Vec<u32> = built.layers.iter().map(|l| *l as u32).collect();
        let mut sum = Answers {
            priority,
            samples: count,
            accuracy: 0.0,
            agreement: 0.0,
            settled: 0.0,
            updates: 0.0,
            changes: 0.0,
            time: 0.0,
        };
        let most = 200 * (recipe.hidden * recipe.layers) as u64;
        for sample in 0..count {
            let swept = self.ask(samples, sample)?;
            machine.rest();
            let input: Vec<Event> =
                samples.events(sample).iter().map(|[i, v]| [*i, v * self.payload]).collect();
            let refused = |error| Failure::work(format_args!("an input was refused: {error}"));
            machine.inject(built.input as u32, &input).map_err(refused)?;
            machine.set_phase(attractor::FREE);
            let seed = recipe.seed.wrapping_mul(7919).wrapping_add(sample as u64);
            let ended = relax(&mut machine, &layers, priority, most, seed, &self.kernels);
            let answer = largest(machine.sums(built.readout as u32, 0));
            let yes = |b: bool| f64::from(u8::from(b)) / count as f64;
            sum.accuracy += yes(Some(&answer) == samples.labels.get(sample));
            sum.agreement += yes(answer == swept);
            sum.settled += yes(ended.settled);
            sum.updates += ended.updates as f64 / count as f64;
            sum.changes += ended.changes as f64 / count as f64;
            sum.time += ended.time / count as f64;
        }
        Ok(sum)
    }

    /// Times the dense float loops on a few training samples and compares their states with the machine's.
    fn time_dense(
        &mut self,
        image: &Image<'_>,
        samples: &Samples,
    ) -> Result<Option<(f64, u64, bool)>, Failure> {
        let Some(dense) = Dense::of(&self.machine, image, self.built, self.recipe.plan) else {
            return Ok(None);
        };
        let timed = samples.len().min(TIMED);
        let cpu = thread_cpu_s();
        let mut states = Vec::new();
        for k in 0..timed {
            let label = samples.labels.get(k).copied().unwrap_or(0).into();
            states.push(dense.relax(samples.events(k), self.payload, label, self.teacher));
        }
        let cpu_s = (thread_cpu_s() - cpu) / timed.max(1) as f64;
        let mut equal = true;
        for (k, states) in states.iter().enumerate() {
            self.present(samples, k, true)?;
            self.machine.run_program(attractor::LEARN, &self.kernels, &mut self.draws, &mut Unobserved);
            let own = self.machine.membranes(self.built.layers[0] as u32);
            equal &= own.iter().zip(states).all(|(a, b)| *a as f32 == *b);
        }
        Ok(Some((cpu_s, dense.products(), equal)))
    }
}
