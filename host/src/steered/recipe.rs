//! A network and its rule in real numbers, and what they become in integers.

use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};
use synop_device::Preset;
use synop_model::attractor::{Built, Layer, Layers, Plan, Plastic, Sweep};
use synop_model::crossbar::Crossbar;
use synop_model::network::{Rows, Synapses};
use synop_model::rule::RuleSpec;

use super::data::normal;
use crate::Failure;

/// Order of updates in a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// All neurons read the old states.
    Synchronous,
    /// Layer after layer.
    LayerWise,
    /// One neuron at a time, in a new random order every sweep.
    Sequential,
}

/// How symmetric the couplings within a layer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Symmetry {
    /// Not at all.
    None,
    /// At the start.
    Start,
    /// Both couplings of a pair change alike, where both neurons are in error.
    BothInError,
    /// Both change by the mean of what each would.
    MeanChange,
    /// Both are replaced by their mean after every change. What is the same, and needs no further rounding: they begin
    /// as their mean, and change by the mean.
    MeanCoupling,
}

/// Epochs in which the readout alone learns, at the states where samples relax without the teacher: those that the
/// network answers with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuning {
    /// The first such epoch.
    pub first: usize,
    /// The readout's rate in it.
    pub rate: f64,
    /// Every further epoch's rate is that of the epoch before, times this.
    pub fall: f64,
    /// It is one of these epochs.
    pub is_on: bool,
}

/// Samples after which weights decay.
const DECAY_SAMPLES: u32 = 1000;

/// Constants of a network in real numbers; a coupling of 1 is the unit of the field.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Seed of weights, order of samples and rounding.
    pub seed: u64,
    /// Input neurons.
    pub inputs: usize,
    /// Classes.
    pub classes: usize,
    /// Neurons of a layer.
    pub hidden: usize,
    /// Layers.
    pub layers: usize,
    /// Bits of every weight.
    pub bits: u32,
    /// Round stochastically, else to nearest.
    pub stochastic: bool,
    /// J_D.
    pub self_coupling: f64,
    /// λ of the identity links in both directions.
    pub link: f64,
    /// The link from the layer behind counts without the teacher too.
    pub keep_right: bool,
    /// Standard deviation of first couplings × √(synapses of a neuron).
    pub coupling_scale: f64,
    /// The same of input weights.
    pub input_scale: f64,
    /// The same of the teacher's.
    pub teacher_scale: f64,
    /// Share of couplings that exist.
    pub coupling_density: f64,
    /// Share of input synapses that exist.
    pub input_density: f64,
    /// How symmetric the couplings are.
    pub symmetry: Symmetry,
    /// Standard deviation of the frozen bias.
    pub bias: f64,
    /// κ, net of self-coupling and link.
    pub margin: f64,
    /// Margin of the readout.
    pub readout_margin: f64,
    /// Learning rates of couplings, input and readout: a change is rate / √(synapses of a neuron · batch).
    pub rates: [f64; 3],
    /// Every epoch's rates are those of the epoch before, times this.
    pub fall: f64,
    /// Shares that weights lose every 1,000 samples: couplings, input and readout.
    pub decay: [f64; 3],
    /// β of a logistic gate in place of the error bit, per unit of the field; 0: the bit.
    pub gate_slope: f64,
    /// The last epochs, in which the readout alone learns.
    pub tuning: Option<Tuning>,
    /// Samples whose changes are summed.
    pub batch: u32,
    /// Sweeps.
    pub plan: Plan,
    /// Order of updates.
    pub order: Order,
    /// Memristive device of all plastic synapses: a shipped name; none: digital weights.
    pub device: Option<String>,
}

/// What one integer stands for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Units {
    /// A coupling of 1 unit of weight.
    pub coupling: f64,
    /// Couplings that an input weight of 1 stands for: the payload of an input event.
    pub input: i32,
    /// The same of the teacher.
    pub teacher: i32,
    /// A readout weight of 1.
    pub readout: f64,
    /// Largest weight.
    pub top: i32,
}

/// Weights of a layer before they become integers: rows by source, targets ascending.
struct Sparse {
    lists: Vec<Vec<(u32, f64)>>,
    full: bool,
}

impl Recipe {
    /// The network as it learns in an epoch.
    pub fn in_epoch(&self, epoch: usize) -> Recipe {
        let mut recipe =
            Recipe { rates: self.rates.map(|r| r * self.fall.powi(epoch as i32)), ..self.clone() };
        if let Some(tuning) = recipe.tuning.as_mut().filter(|t| epoch >= t.first) {
            tuning.is_on = true;
            recipe.rates[2] = tuning.rate * tuning.fall.powi((epoch - tuning.first) as i32);
        }
        recipe
    }

    /// Whether the readout alone learns.
    pub fn is_tuning(&self) -> bool {
        self.tuning.is_some_and(|t| t.is_on)
    }

    /// The scale of each integer.
    pub fn units(&self) -> Units {
        let levels = f64::from(1u32 << self.bits);
        let top = (1i32 << (self.bits - 1)) - 1;
        let [couplings, inputs] = self.fan_in();
        let coupling = 2.0 * 6.0 * self.coupling_scale.max(1.0) / couplings.sqrt() / levels;
        let input = 2.0 * 5.0 * self.input_scale / inputs.sqrt() / levels;
        // The teacher's vector of a label has this standard deviation; five of them are kept.
        let teacher = 5.0 * self.teacher_scale * self.teacher_norm();
        Units {
            coupling,
            input: (input / coupling).round().clamp(1.0, 4096.0) as i32,
            teacher: (teacher / coupling / f64::from(top)).ceil().clamp(1.0, 4096.0) as i32,
            readout: 2.0 * 16.0 / (self.hidden as f64).sqrt() / levels,
            top,
        }
    }

    fn fan_in(&self) -> [f64; 2] {
        [
            (self.coupling_density * self.hidden as f64).max(1.0),
            (self.input_density * self.inputs as f64).max(1.0),
        ]
    }

    /// √(Σ ŷ²/C) of the label code: √C/2 for the class, −½ for the others.
    fn teacher_norm(&self) -> f64 {
        let c = self.classes as f64;
        ((c / 4.0 + (c - 1.0) / 4.0) / c).sqrt()
    }

    /// The rule of a kind of synapse: 0 couplings, 1 input, 2 readout.
    fn rule(&self, kind: usize) -> Result<RuleSpec, Failure> {
        let units = self.units();
        let [couplings, inputs] = self.fan_in();
        let (fan, unit) = [
            (couplings, units.coupling),
            (inputs, units.coupling * f64::from(units.input)),
            (self.hidden as f64, units.readout),
        ][kind];
        let mut step = self.rates[kind] / (fan * f64::from(self.batch)).sqrt() / unit;
        let mut cadence = format!("every {} samples", self.batch);
        if let Some(bar) = self.crossbar()? {
            // The rule asks for pulses; and at the end of one sample, where the input counts with its payload.
            step *= bar.pulses_per_weight() / if kind == 1 { f64::from(units.input) } else { 1.0 };
            cadence = "end of sample".to_owned();
        }
        let (margin, field_unit, shape, sign) = if kind == 2 {
            (self.readout_margin, units.readout, "t*(g0)", "t")
        } else {
            // Every layer of several has a link that holds its neurons, as the self-coupling does.
            let extra = if self.layers > 1 { self.link } else { 0.0 };
            let shape = if self.keep_right { "s*(g0+g1)" } else { "s*(g0)" };
            (self.margin + extra, units.coupling, shape, "s")
        };
        let rests = self.is_tuning() && kind != 2;
        let soft = match self.gate_slope {
            slope if slope == 0.0 || rests => String::new(),
            slope => {
                let width = (1.0 / slope / field_unit).round().max(1.0);
                if width >= f64::from(1 << 20) {
                    return Err(Failure::bad_input("a logistic gate too wide for the integers")
                        .place("learning.gate_slope")
                        .found(slope)
                        .expected(format_args!(
                            "more than {:.3} for weights this fine",
                            slope * width / f64::from(1 << 20)
                        ))
                        .mend("choose a steeper gate, or fewer bits of a weight"));
                }
                format!(" soft {width}")
            }
        };
        let decay = match self.decay[kind] {
            share if share == 0.0 || rests => String::new(),
            share => format!("\n decay {share} every {DECAY_SAMPLES} samples"),
        };
        let change = match self.symmetry {
            Symmetry::BothInError if kind == 0 => format!("{step:.9}*x0*y0*e*f"),
            Symmetry::MeanChange | Symmetry::MeanCoupling if kind == 0 => {
                format!("{:.9}*x0*y0*(e + f)", step / 2.0)
            }
            _ => format!("{step:.9}*x0*e*{sign}"),
        };
        let rounding = if self.stochastic { "stochastic" } else { "nearest" };
        let text = format!(
            "rule stabilise {{\n error e = ({shape} <= {}){soft}\n {cadence}\n rounding {rounding}\n bounds {} {}{decay}\n dw = {change}\n}}",
            // Where no field is as low, no neuron is in error.
            if rests { f64::from(i32::MIN) } else { (margin / field_unit).round() },
            -units.top,
            units.top
        );
        RuleSpec::parse(&text).map_err(|error| {
            Failure::bad_input(format_args!("a rule does not fit the integers: {error}"))
                .place(["learning.rate_couplings", "learning.rate_input", "learning.rate_readout"][kind])
                .found(self.rates[kind])
                .expected("a change of a small part of a unit up to some thousands of them")
                .mend("change the rate or the bits of a weight")
        })
    }

    /// The texts of the rules of the first layer.
    ///
    /// # Errors
    /// As [`Recipe::build`].
    pub fn rules(&self) -> Result<Vec<String>, Failure> {
        (0..3).map(|kind| Ok(self.rule(kind)?.to_string())).collect()
    }

    fn draw(
        &self,
        random: &mut Xoshiro256PlusPlus,
        shape: (usize, usize),
        density: f64,
        own: bool,
    ) -> Sparse {
        let (sources, targets) = shape;
        let mut lists = vec![Vec::new(); sources];
        let spread = 1.0 / (density * sources as f64).max(1.0).sqrt();
        for (i, list) in lists.iter_mut().enumerate() {
            for j in 0..targets {
                if density < 1.0 && super::data::uniform(random) >= density || own && i == j {
                    continue;
                }
                list.push((j as u32, spread * normal(random)));
            }
        }
        Sparse { lists, full: density >= 1.0 }
    }

    fn synapses(&self, weights: &Sparse, unit: f64, targets: usize) -> Synapses {
        let top = f64::from(self.units().top);
        let bits = match self.bits {
            2 => 2,
            3 | 4 => 4,
            5..=8 => 8,
            _ => 16,
        };
        let whole = |w: f64| (w / unit).round().clamp(-top, top) as i16;
        if weights.full {
            let mut dense = vec![0i16; weights.lists.len() * targets];
            for (row, list) in dense.chunks_mut(targets).zip(&weights.lists) {
                for (j, w) in list {
                    row[*j as usize] = whole(*w);
                }
            }
            return Synapses::Dense { bits, weights: dense };
        }
        let lists: Vec<Vec<(u32, i16)>> =
            weights.lists.iter().map(|l| l.iter().map(|(j, w)| (*j, whole(*w))).collect()).collect();
        Synapses::Sparse { bits, weight: 0, rows: Rows::from_lists(&lists) }
    }

    /// Draws the first weights and builds the network.
    ///
    /// # Errors
    /// Bad input: a constant does not fit the integers.
    pub fn build(&self) -> Result<Built, Failure> {
        let units = self.units();
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed ^ 0x5eed_a77a);
        let mut layers = Vec::new();
        for _ in 0..self.layers {
            let (h, n, c) = (self.hidden, self.inputs, self.classes);
            let mut couplings = self.draw(&mut random, (h, h), self.coupling_density, true);
            let shared = match self.symmetry {
                // Of two independent draws, so that the spread stays; and their plain mean.
                Symmetry::Start => Some(2f64.sqrt()),
                Symmetry::MeanCoupling => Some(2.0),
                _ => None,
            };
            if let Some(by) = shared.filter(|_| couplings.full) {
                for i in 0..h {
                    for j in 0..i {
                        // Row i lacks its own place, so that what follows it stands one earlier.
                        let mean = (couplings.lists[i][j].1 + couplings.lists[j][i - 1].1) / by;
                        couplings.lists[i][j].1 = mean;
                        couplings.lists[j][i - 1].1 = mean;
                    }
                }
            }
            scale(&mut couplings, self.coupling_scale);
            let mut input = self.draw(&mut random, (n, h), self.input_density, false);
            scale(&mut input, self.input_scale);
            let back = self.draw(&mut random, (c, h), 1.0, false);
            let teacher = self.teacher(&back);
            let readout = self.draw(&mut random, (h, c), 1.0, false);
            let bias = match self.bias {
                0.0 => Vec::new(),
                spread => {
                    (0..h).map(|_| (spread * normal(&mut random) / units.coupling).round() as i32).collect()
                }
            };
            let learns = |synapses, rule| Some(Plastic { synapses, rule: Some(rule) });
            let input_unit = units.coupling * f64::from(units.input);
            layers.push(Layer {
                couplings: learns(self.synapses(&couplings, units.coupling, h), self.rule(0)?),
                input: learns(self.synapses(&input, input_unit, h), self.rule(1)?),
                teacher: Some(Plastic::fixed(self.synapses(
                    &teacher,
                    units.coupling * f64::from(units.teacher),
                    h,
                ))),
                readout: learns(self.synapses(&readout, units.readout, c), self.rule(2)?),
                bias,
            });
        }
        let whole = |w: f64| (w / units.coupling).round() as i32;
        let layers = Layers {
            seed: self.seed,
            inputs: self.inputs,
            input_max: units.input as u32,
            classes: self.classes,
            teacher_max: units.teacher as u32,
            size: self.hidden,
            layers,
            self_coupling: whole(self.self_coupling),
            link_left: whole(self.link),
            link_right: whole(self.link),
            keep_right: self.keep_right,
            keep_ties: false,
            sweep: match self.order {
                Order::Synchronous => Sweep::Synchronous,
                Order::LayerWise => Sweep::LayerWise,
                Order::Sequential => Sweep::Shuffled,
            },
            plan: self.plan,
        };
        let mut built = layers.build().map_err(Failure::work)?;
        if let Some(bar) = self.crossbar()? {
            for p in built.projections.clone() {
                for projection in [p.couplings, p.input, p.readout].into_iter().flatten() {
                    built.network.put_on_crossbar(projection, &bar);
                }
            }
        }
        Ok(built)
    }

    /// The crossbar of plastic synapses: arrays of the default size with ideal wires and converters.
    fn crossbar(&self) -> Result<Option<Crossbar>, Failure> {
        let Some(name) = &self.device else { return Ok(None) };
        let preset = Preset::shipped(name).map_err(|error| {
            Failure::bad_input(error).place("network.device").mend("synop devices lists what ships")
        })?;
        Ok(Some(Crossbar::new(preset, self.units().top, Vec::new())))
    }

    /// One vector per label: what the teacher's code of the label comes to. So a label is one event.
    fn teacher(&self, back: &Sparse) -> Sparse {
        let c = self.classes as f64;
        let (yes, no) = (c.sqrt() / 2.0, -0.5);
        let code = |label: usize, class: usize| if label == class { yes } else { no };
        let lists = (0..self.classes).map(|label| {
            let sum =
                |j: usize| back.lists.iter().enumerate().map(|(k, l)| l[j].1 * code(label, k)).sum::<f64>();
            (0..self.hidden).map(|j| (j as u32, self.teacher_scale * sum(j))).collect()
        });
        Sparse { lists: lists.collect(), full: true }
    }

    /// Synapses of the network, and those that a dense implementation would touch in one sweep.
    pub fn synapses_of(&self) -> (u64, u64) {
        let (h, n, c) = (self.hidden as f64, self.inputs as f64, self.classes as f64);
        let own = h * h * self.coupling_density + h * n * self.input_density + 2.0 * h * c;
        let dense = h * h + h * n + 2.0 * h * c;
        ((self.layers as f64 * own) as u64, (self.layers as f64 * dense) as u64)
    }
}

fn scale(weights: &mut Sparse, by: f64) {
    weights.lists.iter_mut().flatten().for_each(|w| w.1 *= by);
}
