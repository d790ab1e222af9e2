//! `attractor-learning`: a binary network learns by steering its relaxation.
//!
//! The network and its loop are those of [`crate::steered`]. The report's `counts` and `synops` are those of the last
//! answers to the held-out samples, `training` those of learning; `epochs` has accuracy, events and flips epoch by
//! epoch, `speed` the processor time of learning a sample beside that of plain dense float loops.

use serde::{Deserialize, Serialize};
use serde_json::json;
use synop_cost::{Bill, Chip, Run, shipped};
use synop_model::attractor::Plan;

use super::{Context, Experiment, Outcome, Whole};
use crate::plot::Xy;
use crate::report::{Figure, Image, Report, Section, SynOps, Task as Score, Training};
use crate::steered::data::HeldOut;
use crate::steered::{self, Learnt, Order, Recipe, Symmetry, Task, Tuning};
use crate::{Failure, ledger};

/// The keys of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttractorLearning {
    /// A shipped chip, or the path of a chip file, that prices the run.
    #[serde(default = "default_chip")]
    chip: String,
    data: Data,
    network: Network,
    learning: Learning,
}

fn default_chip() -> String {
    "loihi1-published".to_owned()
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    set: Set,
    train: Whole<1, 60_000>,
    test: Whole<1, 10_000>,
    /// Where the held-out images are from.
    #[serde(default = "test_images")]
    held_out: HeldOut,
    /// Input neurons of sets that are projected or drawn.
    #[serde(default = "hundred")]
    features: Whole<2, 4096>,
    /// Probability that a bit of a drawn sample is flipped.
    #[serde(default)]
    flip: f64,
}

fn test_images() -> HeldOut {
    HeldOut::Test
}

fn hundred() -> Whole<2, 4096> {
    Whole::new(100)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Set {
    /// MNIST through a fixed random projection and the sign.
    EntangledMnist,
    /// MNIST pixels as 0/1 events.
    Mnist,
    /// Noisy random prototypes, ten classes.
    Prototypes,
    /// Exclusive or of two halves, each one of two noisy patterns.
    Xor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RoundingKey {
    Nearest,
    Stochastic,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Network {
    hidden: Whole<2, 16_384>,
    #[serde(default = "one")]
    layers: Whole<1, 8>,
    weight_bits: Whole<2, 16>,
    rounding: RoundingKey,
    /// J_D.
    self_coupling: f64,
    /// λ of identity links between layers, both ways.
    #[serde(default)]
    link: f64,
    /// λ_in.
    input_scale: f64,
    /// λ_back.
    teacher_scale: f64,
    /// Share of couplings that exist.
    #[serde(default = "unit")]
    coupling_density: f64,
    /// Share of input synapses that exist.
    #[serde(default = "unit")]
    input_density: f64,
    /// How symmetric the couplings within a layer are.
    #[serde(default = "asymmetric")]
    symmetry: Symmetry,
    /// Standard deviation of the frozen bias.
    #[serde(default)]
    bias: f64,
    #[serde(default = "synchronous")]
    order: Order,
    /// A shipped memristive device that holds all plastic synapses; digital weights if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<String>,
}

fn one<const MIN: i64, const MAX: i64>() -> Whole<MIN, MAX> {
    Whole::new(1)
}

fn unit() -> f64 {
    1.0
}

fn asymmetric() -> Symmetry {
    Symmetry::None
}

fn synchronous() -> Order {
    Order::Synchronous
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Learning {
    epochs: Whole<1, 1000>,
    /// κ, net of self-coupling and link.
    margin: f64,
    readout_margin: f64,
    rate_couplings: f64,
    rate_input: f64,
    rate_readout: f64,
    /// Every epoch's rates are those of the epoch before, times this.
    #[serde(default = "unit")]
    rate_fall: f64,
    /// Share of every coupling that is lost per 1,000 samples.
    #[serde(default)]
    decay_couplings: f64,
    /// The same of input weights.
    #[serde(default)]
    decay_input: f64,
    /// The same of the readout's.
    #[serde(default)]
    decay_readout: f64,
    /// β of a logistic gate in place of the error bit; 0: the bit.
    #[serde(default)]
    gate_slope: f64,
    /// The last epochs, in which the readout alone learns, at the states that the network answers with.
    #[serde(default)]
    tune: Whole<0, 1000>,
    /// The readout's rate in the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tune_rate: Option<f64>,
    /// Every further one's rate is that of the epoch before, times this.
    #[serde(default = "unit")]
    tune_fall: f64,
    /// Samples whose changes are summed.
    batch: Whole<1, 16>,
    /// Sweeps before the teacher comes.
    #[serde(default = "one")]
    warm: Whole<0, 100>,
    /// Sweeps with the teacher.
    steer: Whole<1, 100>,
    /// Sweeps after it has gone; 0: learn at the steered state.
    free: Whole<0, 100>,
    /// Held-out samples that are answered in continuous time too.
    #[serde(default)]
    continuous: Whole<0, 10_000>,
}

impl AttractorLearning {
    fn recipe(&self, seed: u64, task: &Task) -> Recipe {
        let (n, l) = (&self.network, &self.learning);
        let layers = n.layers.size();
        let (warm, free) = (l.warm.get() as u32, l.free.get() as u32);
        Recipe {
            seed,
            inputs: task.inputs,
            classes: task.classes,
            hidden: n.hidden.size(),
            layers,
            bits: n.weight_bits.get() as u32,
            stochastic: n.rounding == RoundingKey::Stochastic,
            self_coupling: n.self_coupling,
            link: n.link,
            keep_right: layers > 1,
            coupling_scale: 1.0,
            input_scale: n.input_scale,
            teacher_scale: n.teacher_scale,
            coupling_density: n.coupling_density,
            input_density: n.input_density,
            symmetry: n.symmetry,
            bias: n.bias,
            margin: l.margin,
            readout_margin: l.readout_margin,
            rates: [l.rate_couplings, l.rate_input, l.rate_readout],
            fall: l.rate_fall,
            decay: [l.decay_couplings, l.decay_input, l.decay_readout],
            gate_slope: l.gate_slope,
            tuning: (l.tune.size() > 0).then(|| Tuning {
                first: l.epochs.size().saturating_sub(l.tune.size()),
                rate: l.tune_rate.unwrap_or(l.rate_readout),
                fall: l.tune_fall,
                is_on: false,
            }),
            batch: l.batch.get() as u32,
            plan: Plan {
                warm,
                steer: l.steer.get() as u32,
                free,
                recall: warm + (l.steer.get() as u32).max(free),
                until_quiet: true,
            },
            order: n.order,
            device: n.device.clone(),
        }
    }

    fn task(&self, context: &Context<'_>) -> Result<Task, Failure> {
        let d = &self.data;
        let (train, test, features) = (d.train.size(), d.test.size(), d.features.size());
        let held_out = (d.held_out, test);
        match d.set {
            Set::EntangledMnist => {
                steered::data::entangled_mnist(context.data, features, train, held_out, context.seed)
            }
            Set::Mnist => steered::data::raw_mnist(context.data, train, held_out, context.seed),
            Set::Prototypes => Ok(steered::data::prototypes(features, 10, d.flip, train, test, context.seed)),
            Set::Xor => Ok(steered::data::xor(features, d.flip, train, test, context.seed)),
        }
    }

    fn chip(&self) -> Result<Chip, Failure> {
        shipped::load(&self.chip).map_err(|error| {
            Failure::bad_input(error).place("chip").mend("synop chips lists what ships; or name a chip file")
        })
    }
}

impl Experiment for AttractorLearning {
    const NAME: &'static str = "attractor-learning";
    const ABOUT: &'static str = "classify with a binary network that learns by steering its relaxation";

    fn check(&self) -> Result<(), Failure> {
        let (n, l) = (&self.network, &self.learning);
        let within = |key: &str, value: f64, low: f64, high: f64| {
            if value >= low && value <= high {
                return Ok(());
            }
            Err(Failure::bad_input("a number out of range")
                .place(key)
                .found(value)
                .expected(format_args!("{low} to {high}"))
                .mend(format_args!("set {key} within these bounds")))
        };
        for (key, value, low, high) in [
            ("data.flip", self.data.flip, 0.0, 0.5),
            ("network.self_coupling", n.self_coupling, -100.0, 100.0),
            ("network.link", n.link, -100.0, 100.0),
            ("network.input_scale", n.input_scale, 0.01, 100.0),
            ("network.teacher_scale", n.teacher_scale, 0.0, 100.0),
            ("network.coupling_density", n.coupling_density, 0.0, 1.0),
            ("network.input_density", n.input_density, 0.001, 1.0),
            ("network.bias", n.bias, 0.0, 100.0),
            ("learning.margin", l.margin, -100.0, 1000.0),
            ("learning.readout_margin", l.readout_margin, -1000.0, 1000.0),
            ("learning.rate_couplings", l.rate_couplings, 1e-9, 100.0),
            ("learning.rate_input", l.rate_input, 1e-9, 100.0),
            ("learning.rate_readout", l.rate_readout, 1e-9, 100.0),
            ("learning.rate_fall", l.rate_fall, 0.01, 1.0),
            ("learning.tune_rate", l.tune_rate.unwrap_or(l.rate_readout), 1e-9, 100.0),
            ("learning.tune_fall", l.tune_fall, 0.01, 1.0),
            ("learning.gate_slope", l.gate_slope, 0.0, 1000.0),
        ] {
            within(key, value, low, high)?;
        }
        if n.symmetry != Symmetry::None && n.coupling_density < 1.0 {
            return Err(Failure::bad_input("symmetric couplings need both synapses of every pair")
                .place("network.coupling_density")
                .found(n.coupling_density)
                .expected("1")
                .mend("set network.coupling_density = 1, or network.symmetry = \"none\""));
        }
        if l.tune.get() > l.epochs.get() {
            return Err(Failure::bad_input("more epochs of tuning than epochs")
                .place("learning.tune")
                .found(l.tune.get())
                .expected(format_args!("at most learning.epochs = {}", l.epochs.get()))
                .mend("set a smaller learning.tune"));
        }
        let decays = [
            ("learning.decay_couplings", l.decay_couplings),
            ("learning.decay_input", l.decay_input),
            ("learning.decay_readout", l.decay_readout),
        ];
        for (key, share) in decays.into_iter().filter(|(_, share)| *share != 0.0) {
            // The least share of a rule is one part in 65,536.
            within(key, share, 1.0 / 65_536.0, 0.99)?;
        }
        let decays = decays.iter().any(|(_, share)| *share > 0.0);
        if n.device.is_some() && (decays || l.gate_slope > 0.0 || n.symmetry != Symmetry::None) {
            return Err(Failure::bad_input(
                "a device has neither decay, a logistic gate nor symmetric changes",
            )
            .place("network.device")
            .expected("digital weights with these")
            .mend(
                "leave network.device out, or learning.decay_…, learning.gate_slope and network.symmetry",
            ));
        }
        if n.device.is_some() && (l.batch.get() != 1 || self.learning.continuous.get() > 0) {
            return Err(Failure::bad_input("devices learn sample by sample, and answer in sweeps")
                .place("learning.batch")
                .found(l.batch.get())
                .expected("1, and continuous = 0")
                .mend("set learning.batch = 1"));
        }
        self.chip().map(|_| ())
    }

    fn memory_bytes(&self) -> u64 {
        let h = self.network.hidden.get() as u64;
        let dense = (h as f64 * h as f64 * self.network.coupling_density) as u64 * 16;
        let float = if self.network.layers.get() == 1 { 4 * h * h } else { 0 };
        let mnist = if matches!(self.data.set, Set::Prototypes | Set::Xor) { 0 } else { 70_000 * 784 * 5 };
        let samples = (self.data.train.get() + self.data.test.get()) as u64 * 8 * 150;
        dense * self.network.layers.get() as u64 + float + mnist + samples + (64 << 20)
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let chip = self.chip()?;
        let task = self.task(context)?;
        let recipe = self.recipe(context.seed, &task);
        let epochs = self.learning.epochs.size();
        let progress = context.progress("samples", (epochs * task.train.len()) as u64);
        let learnt = steered::learn(
            &recipe,
            &task,
            epochs,
            self.learning.continuous.size(),
            context.checkpoint("epochs"),
            &|n| progress.add(n, 0),
        )?;
        progress.finish();
        self.report(context.seed, &chip, &task, &recipe, &learnt)
    }
}

impl AttractorLearning {
    fn report(
        &self,
        seed: u64,
        chip: &Chip,
        task: &Task,
        recipe: &Recipe,
        learnt: &Learnt,
    ) -> Result<Outcome, Failure> {
        let image = learnt.blob.image().map_err(Failure::work)?;
        let names: Vec<&str> = learnt.names.iter().map(String::as_str).collect();
        let mut report = Report::new(seed);
        let [sha256, initial] = learnt.digests.clone();
        report.image = Some(Image { sha256, initial_sha256: Some(initial), weight_bits: recipe.bits });
        let accuracies: Vec<f64> = learnt.finished.epochs.iter().map(|e| e.accuracy).collect();
        let best = accuracies.iter().copied().fold(0.0, f64::max);
        let mut score = Score {
            samples: task.test.len() as u64,
            train_samples: Some(task.train.len() as u64),
            accuracy: accuracies.last().copied(),
            ..Score::default()
        };
        score.more.insert("accuracy_best_epoch".into(), json!(best));
        score.more.insert("accuracy_per_epoch".into(), json!(accuracies));
        report.task = Some(score);
        let price = |work: &steered::Work| {
            let cells = ledger::cells(chip, &image, &names, &work.counters, work.ticks);
            let bill = Bill::of(chip, &cells, &Run { cores_used: 1, ..Run::default() });
            (cells, bill)
        };
        let (cells, bill) = price(&learnt.test);
        report.counts = Some(ledger::counts(&learnt.test.counters, learnt.test.ticks));
        let sum = |of: fn(&synop_cost::Counts) -> u64| cells.iter().map(|c| of(&c.counts)).sum();
        report.set_synops(SynOps {
            stored: sum(|c| c.synaptic_events),
            effective: sum(|c| c.synaptic_effective),
            dense: sum(|c| c.synaptic_dense),
            macs: sum(|c| c.macs),
            acs: sum(|c| c.acs),
        });
        report.energy = Some(bill);
        report.training = Some(Training {
            samples: learnt.finished.train.samples,
            counts: ledger::counts(&learnt.finished.train.counters, learnt.finished.train.ticks),
            energy: Some(price(&learnt.finished.train).1),
        });
        let (stored, full) = recipe.synapses_of();
        report.profile = [
            ("data", json!(task.provenance)),
            ("rules", json!(recipe.rules()?)),
            ("units", json!(recipe.units())),
            ("placement", json!("one core")),
            ("device", json!(recipe.device)),
            ("synapses", json!(stored)),
            ("synapses_if_dense", json!(full)),
            ("ties", json!("a field of zero gives +1")),
            ("label_code", json!("√C/2 for the class, -1/2 for the others")),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        report.more.insert("epochs".into(), json!(learnt.finished.epochs));
        if !learnt.continuous.is_empty() {
            report.more.insert("continuous_time".into(), json!(learnt.continuous));
        }
        report.more.insert("speed".into(), self.speed(learnt));
        if learnt.dense.is_some_and(|d| !d.2) {
            report.warnings.push("the dense float loops did not end in the machine's states".into());
        }
        let line = accuracies.iter().enumerate().map(|(k, a)| ((k + 1) as f64, 100.0 * a));
        let accuracy =
            Xy::new("Held-out accuracy", "epoch", "accuracy (%)").line(task.provenance.as_str(), line);
        let flips = learnt.finished.epochs.last().map_or(&[][..], |e| &e.flips_per_sweep);
        let flips = flips.iter().enumerate().map(|(k, n)| ((k + 1) as f64, n.max(1e-3)));
        let flips =
            Xy::new("Changes of a sample, sweep by sweep", "sweep", "changes").line("after learning", flips);
        Ok(Outcome::from(report).figure(Figure::new(Section::Results, &accuracy, "After each epoch."))
            .figure(Figure::new(Section::Activity, &flips, "Sweeps of the learning program on held-out samples: warm-up, steered, free. The first writes every neuron.")))
    }

    fn speed(&self, learnt: &Learnt) -> serde_json::Value {
        let events = learnt.finished.epochs.last().map_or(0.0, |e| e.train_events);
        let sample_s = learnt.finished.train_cpu_s / learnt.finished.train.samples.max(1) as f64;
        let mut speed = json!({
            "batch": self.learning.batch,
            "train_cpu_ms_per_sample": 1e3 * sample_s,
            "events_per_train_sample": events,
        });
        if let Some((float_s, products, equal)) = learnt.dense {
            speed["dense_float_cpu_ms_per_sample"] = json!(1e3 * float_s);
            speed["dense_products_per_sample"] = json!(products);
            speed["dense_float_states_equal"] = json!(equal);
            speed["times_faster_than_dense_float"] = json!(float_s / sample_s);
        }
        speed
    }
}
