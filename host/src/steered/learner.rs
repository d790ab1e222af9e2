//! The loop over samples: relax, learn, ask.

use serde::{Deserialize, Serialize};
use synop_core::counters::NAMES;
use synop_core::{Batch, Count, Event, Image, LANES, Machine, Observer, Threefry, Unobserved};
use synop_model::attractor::{self, Built};
use synop_model::image::{Blob, write};
use synop_model::placement::Placement;

use super::continuous::{Priority, relax};
use super::dense::Dense;
use super::{Recipe, Samples, Task};
use crate::Failure;
use crate::bench::clock::thread_cpu_s;
use crate::data::permutation;
use crate::experiment::Checkpoint;
use crate::simd::Native;

/// Test samples of which the sweeps are watched one by one.
const WATCHED: usize = 500;
/// Training samples that the dense float loops are timed on.
const TIMED: usize = 16;

/// Counters of some samples.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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

/// The epochs that are finished.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Finished {
    /// Epoch by epoch.
    pub epochs: Vec<Epoch>,
    /// What training cost.
    pub train: Work,
    /// Processor seconds of training.
    pub train_cpu_s: f64,
}

/// What learning came to.
#[derive(Debug, Clone)]
pub struct Learnt {
    /// The epochs.
    pub finished: Finished,
    /// What the last answers to the held-out samples cost.
    pub test: Work,
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

/// A saved state: the finished epochs, the machine at the end of the last, and its weights.
struct Saved {
    finished: Finished,
    machine: Vec<u8>,
    weights: Vec<u8>,
}

impl Saved {
    fn bytes(finished: &Finished, machine: &Machine<'_>) -> Vec<u8> {
        let head = serde_json::to_vec(finished).unwrap_or_default();
        let mut bytes = Vec::with_capacity(16 + head.len() + machine.saved_len() + machine.plastic().len());
        for length in [head.len(), machine.saved_len()] {
            bytes.extend_from_slice(&(length as u64).to_le_bytes());
        }
        bytes.extend_from_slice(&head);
        machine.save(|part| bytes.extend_from_slice(part));
        bytes.extend_from_slice(machine.plastic());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<8>()?;
        let (machine, rest) = rest.split_first_chunk::<8>()?;
        let (head, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*head)).ok()?)?;
        let (machine, weights) =
            rest.split_at_checked(usize::try_from(u64::from_le_bytes(*machine)).ok()?)?;
        Some(Self {
            finished: serde_json::from_slice(head).ok()?,
            machine: machine.to_vec(),
            weights: weights.to_vec(),
        })
    }
}

/// What comes with a sample.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    /// Nothing: it is asked.
    Hidden,
    /// The targets of the readout.
    Target,
    /// The targets, and the teacher's field.
    Teacher,
}

struct Learner<'a> {
    recipe: &'a Recipe,
    built: &'a Built,
    machine: Machine<'a>,
    /// Where samples can run side by side.
    batch: Option<Batch<'a>>,
    kernels: Native,
    draws: Threefry,
    payload: i32,
    teacher: i32,
    scratch: Vec<Event>,
}

/// Learns a task for some epochs, and then answers `continuous` held-out samples in continuous time too. `progress`
/// is told after every few training samples. It goes on from the epoch that `checkpoint` has kept, bit for bit.
///
/// Where rates fall or the readout alone learns, epochs have images of their own, which go on with the weights of the
/// one before.
///
/// # Errors
/// Bad input: the recipe does not fit an image.
pub fn learn(
    recipe: &Recipe,
    task: &Task,
    epochs: usize,
    continuous: usize,
    mut checkpoint: Checkpoint,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Learnt, Failure> {
    let mut learnt = Learnt {
        finished: Finished::default(),
        test: Work::default(),
        dense: None,
        continuous: Vec::new(),
        blob: Blob::new(&[]),
        digests: Default::default(),
        names: Vec::new(),
    };
    let (mut weights, mut machine) = (None, None);
    if let Some(saved) = checkpoint.load().and_then(|bytes| Saved::read(&bytes)) {
        progress((saved.finished.epochs.len() * task.train.len()) as u64);
        (learnt.finished, weights, machine) = (saved.finished, Some(saved.weights), Some(saved.machine));
    }
    let mut next = 0;
    while next < epochs {
        let (first, now) = (next, recipe.in_epoch(next));
        let end = (first..epochs).find(|e| recipe.in_epoch(*e) != now).unwrap_or(epochs);
        next = end;
        let done = learnt.finished.epochs.len();
        if done >= end {
            continue;
        }
        let start = Start {
            first,
            epochs: done..end,
            weights: weights.take(),
            // A machine goes on in the midst of its epochs only: the next ones have another image.
            machine: machine.take().filter(|_| done > first),
        };
        let last = if end == epochs { Some(continuous) } else { None };
        weights = Some(learn_alike(&now, task, start, last, &mut checkpoint, progress, &mut learnt)?);
    }
    Ok(learnt)
}

/// Where epochs at the same rates begin.
struct Start {
    /// The first of them, whether it is still to be learnt or not.
    first: usize,
    /// Those that are still to be learnt.
    epochs: std::ops::Range<usize>,
    /// Weights to begin with.
    weights: Option<Vec<u8>>,
    /// State of the machine, where some of them are finished.
    machine: Option<Vec<u8>>,
}

/// Learns for some epochs at the same rates; returns the weights. The `last` epochs end with answers in continuous
/// time and with the dense float loops.
fn learn_alike(
    recipe: &Recipe,
    task: &Task,
    start: Start,
    last: Option<usize>,
    checkpoint: &mut Checkpoint,
    progress: &(dyn Fn(u64) + Sync),
    learnt: &mut Learnt,
) -> Result<Vec<u8>, Failure> {
    let built = recipe.build()?;
    let unfit = |error: &dyn std::fmt::Display| {
        Failure::bad_input(format_args!("{error}"))
            .place("network")
            .mend("use fewer neurons or narrower weights")
    };
    let blob = write(&built.network, &Placement::one_core(&built.network)).map_err(|e| unfit(&e))?;
    let image = blob.image().map_err(|e| unfit(&e))?;
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    let mut lanes = vec![0u64; Batch::words(&image).unwrap_or(0)];
    let units = recipe.units();
    let mut learner = Learner {
        recipe,
        built: &built,
        machine: Machine::new(image, &mut arena).map_err(|e| unfit(&e))?,
        batch: Batch::new(&image, &mut lanes),
        kernels: Native::detect(),
        draws: Threefry::new(recipe.seed.wrapping_add((start.first as u64) << 32)),
        payload: units.input,
        teacher: units.teacher,
        scratch: Vec::new(),
    };
    if start.weights.is_some_and(|w| !learner.machine.take_weights(&w)) {
        return Err(Failure::work("the weights of an epoch do not fit the next"));
    }
    if let Some(state) = start.machine {
        learner.machine.restore(&state).map_err(|error| {
            Failure::work(format_args!("saved state: {error}")).mend("delete the folder of the saved states")
        })?;
    }
    let end = start.epochs.end;
    for epoch in start.epochs {
        let order = permutation(task.train.len(), recipe.seed.wrapping_mul(1009).wrapping_add(epoch as u64));
        let before = learner.counters();
        let (ticks, cpu) = (learner.machine.tick(), thread_cpu_s());
        let mut left = &order[..];
        while !left.is_empty() {
            let done = learner.learn(&task.train, left)?;
            left = &left[done..];
            progress(done as u64);
        }
        learner.machine.finish_batch(&mut learner.draws);
        learnt.finished.train_cpu_s += thread_cpu_s() - cpu;
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
        add(&mut learnt.finished.train, &work);
        let (before, ticks) = (learner.counters(), learner.machine.tick());
        let mut right = 0u64;
        for first in (0..task.test.len()).step_by(LANES) {
            let samples = first..(first + LANES).min(task.test.len());
            let answers = learner.ask(&task.test, samples.clone())?;
            right += answers.iter().zip(&task.test.labels[samples]).filter(|(a, b)| a == b).count() as u64;
        }
        learnt.test = learner.since(&before, ticks, task.test.len());
        report.accuracy = right as f64 / task.test.len().max(1) as f64;
        report.test_events = learnt.test.per_sample(Count::StoredEvents);
        learnt.finished.epochs.push(report);
        if checkpoint.is_due() && (epoch + 1 < end || last.is_none()) {
            checkpoint.store(&Saved::bytes(&learnt.finished, &learner.machine))?;
        }
    }
    if let Some(continuous) = last {
        for priority in [Priority::Clock, Priority::MostUnstable].into_iter().filter(|_| continuous > 0) {
            learnt.continuous.push(learner.continuous(&image, &task.test, continuous, priority)?);
        }
        learnt.dense = learner.time_dense(&image, &task.train)?;
        learnt.digests = [
            crate::local::digest(&[blob.bytes(), learner.machine.plastic()]),
            crate::local::digest(&[blob.bytes()]),
        ];
        learnt.names = built.network.populations.iter().map(|p| p.name.clone()).collect();
        learnt.blob = blob.clone();
    }
    Ok(learner.machine.plastic().to_vec())
}

/// The number of the largest sum; the first of equals.
fn largest(sums: impl Iterator<Item = i32>) -> u8 {
    sums.enumerate().fold((0, i32::MIN), |best, (c, s)| if s > best.1 { (c, s) } else { best }).0 as u8
}

/// What the readout of a class should be.
fn target(class: usize, label: u8) -> i32 {
    if class == usize::from(label) { 1 } else { -1 }
}

fn refused(error: synop_core::InputError) -> Failure {
    Failure::work(format_args!("an input was refused: {error}"))
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

    fn present(&mut self, samples: &Samples, sample: usize, label: Label) -> Result<(), Failure> {
        self.machine.rest();
        self.scratch.clear();
        self.scratch.extend(samples.events(sample).iter().map(|[i, v]| [*i, v * self.payload]));
        self.machine.inject(self.built.input as u32, &self.scratch).map_err(refused)?;
        let class = samples.label(sample);
        if label == Label::Teacher {
            let code = [[i32::from(class), self.teacher]];
            self.machine.inject(self.built.teacher as u32, &code).map_err(refused)?;
        }
        if label != Label::Hidden {
            let targets = self.machine.targets_mut(self.built.readout as u32);
            for (c, t) in targets.iter_mut().enumerate() {
                *t = target(c, class);
            }
        }
        Ok(())
    }

    /// Puts samples side by side, at most [`LANES`]. `batch` is the learner's own.
    fn present_beside(
        &mut self,
        batch: &mut Batch<'_>,
        samples: &Samples,
        chosen: impl ExactSizeIterator<Item = usize>,
        label: Label,
    ) -> Result<(), Failure> {
        batch.rest(chosen.len());
        for (lane, sample) in chosen.enumerate() {
            self.scratch.clear();
            self.scratch.extend(samples.events(sample).iter().map(|[i, v]| [*i, v * self.payload]));
            let (input, teacher) = (self.built.input as u32, self.built.teacher as u32);
            self.machine.inject_beside(batch, lane, input, &self.scratch).map_err(refused)?;
            let class = samples.label(sample);
            if label == Label::Teacher {
                let code = [[i32::from(class), self.teacher]];
                self.machine.inject_beside(batch, lane, teacher, &code).map_err(refused)?;
            }
            if label != Label::Hidden {
                let targets = batch.targets_mut(self.machine.image(), self.built.readout as u32);
                for (c, t) in targets.iter_mut().enumerate() {
                    t[lane] = target(c, class);
                }
            }
        }
        Ok(())
    }

    /// Relaxes the first of some samples and learns them: as many as run side by side. Returns how many.
    fn learn(&mut self, samples: &Samples, order: &[usize]) -> Result<usize, Failure> {
        let (program, label) = match self.recipe.is_tuning() {
            true => (attractor::RECALL, Label::Target),
            false => (attractor::LEARN, Label::Teacher),
        };
        let Some(mut batch) = self.batch.take() else {
            let Some(first) = order.first() else { return Ok(0) };
            self.present(samples, *first, label)?;
            self.machine.run_program(program, &self.kernels, &mut self.draws, &mut Unobserved);
            self.machine.learn_sample_by(&self.kernels, &mut self.draws);
            return Ok(1);
        };
        let count = self.machine.samples_left().min(order.len());
        self.present_beside(&mut batch, samples, order[..count].iter().copied(), label)?;
        self.machine.run_program_beside(&mut batch, program, &self.kernels);
        self.machine.learn_beside(&batch, &self.kernels, &mut self.draws);
        self.batch = Some(batch);
        Ok(count)
    }

    /// The class with the largest readout, the first of equals, of at most [`LANES`] samples.
    fn ask(&mut self, samples: &Samples, chosen: std::ops::Range<usize>) -> Result<Vec<u8>, Failure> {
        let readout = self.built.readout as u32;
        let Some(mut batch) = self.batch.take() else {
            let mut answers = Vec::new();
            for sample in chosen {
                self.present(samples, sample, Label::Hidden)?;
                self.machine.run_program(attractor::RECALL, &self.kernels, &mut self.draws, &mut Unobserved);
                answers.push(largest(self.machine.sums(readout, 0).iter().copied()));
            }
            return Ok(answers);
        };
        let count = chosen.len();
        self.present_beside(&mut batch, samples, chosen, Label::Hidden)?;
        self.machine.run_program_beside(&mut batch, attractor::RECALL, &self.kernels);
        let sums = batch.sums(self.machine.image(), readout, 0);
        let answers = (0..count).map(|lane| largest(sums.iter().map(|s| s[lane]))).collect();
        self.batch = Some(batch);
        Ok(answers)
    }

    /// Mean changes in every sweep of the learning program, on held-out samples, and the share that ends at rest.
    fn watch(&mut self, samples: &Samples) -> Result<(Vec<f64>, f64), Failure> {
        let plan = self.recipe.plan;
        let sweeps = (plan.warm + plan.steer + plan.free) as usize;
        let watched = samples.len().min(WATCHED);
        let mut sums = vec![0u64; sweeps];
        let mut settled = 0;
        for sample in 0..watched {
            self.present(samples, sample, Label::Teacher)?;
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
            let swept = self.ask(samples, sample..sample + 1)?;
            machine.rest();
            let input: Vec<Event> =
                samples.events(sample).iter().map(|[i, v]| [*i, v * self.payload]).collect();
            machine.inject(built.input as u32, &input).map_err(refused)?;
            machine.set_phase(attractor::FREE);
            let seed = recipe.seed.wrapping_mul(7919).wrapping_add(sample as u64);
            let ended = relax(&mut machine, &layers, priority, most, seed, &self.kernels);
            let answer = largest(machine.sums(built.readout as u32, 0).iter().copied());
            let yes = |b: bool| f64::from(u8::from(b));
            sum.accuracy += yes(Some(&answer) == samples.labels.get(sample));
            sum.agreement += yes(Some(&answer) == swept.first());
            sum.settled += yes(ended.settled);
            sum.updates += ended.updates as f64;
            sum.changes += ended.changes as f64;
            sum.time += ended.time;
        }
        let Answers { accuracy, agreement, settled, updates, changes, time, .. } = &mut sum;
        for total in [accuracy, agreement, settled, updates, changes, time] {
            *total /= count.max(1) as f64;
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
            let label = samples.label(k).into();
            states.push(dense.relax(samples.events(k), self.payload, label, self.teacher));
        }
        let cpu_s = (thread_cpu_s() - cpu) / timed.max(1) as f64;
        let mut equal = true;
        for (k, states) in states.iter().enumerate() {
            self.present(samples, k, Label::Teacher)?;
            self.machine.run_program(attractor::LEARN, &self.kernels, &mut self.draws, &mut Unobserved);
            let own = self.machine.membranes(self.built.layers[0] as u32);
            equal &= own.iter().zip(states).all(|(a, b)| *a as f32 == *b);
        }
        Ok(Some((cpu_s, dense.products(), equal)))
    }
}
