//! Hetero-association in a chain: a random ±1 pattern on the first layer recalls another on the last.
//!
//! While it is taught, both patterns are fields on the end layers and the chain relaxes, one neuron at a time; then
//! every neuron whose stability without its right-hand input is below the margin raises it. Recall shows the first
//! pattern only, with all right-hand links off, and reads the last layer. [`synop_attractor::hetero`] is the same in
//! floating point.

use rand_core::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};
use synop_core::{Machine, Threefry, Unobserved};
use synop_model::attractor::{self, Built, Layer, Layers, Plan, Plastic, Sweep};
use synop_model::image::write;
use synop_model::network::Synapses;
use synop_model::placement::Placement;
use synop_model::rule::RuleSpec;

use super::data::normal;
use crate::Failure;
use crate::data::permutation;
use crate::simd::Native;

/// The task and the constants of the chain, in real numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Association {
    /// Neurons of a layer.
    pub width: usize,
    /// Layers.
    pub layers: usize,
    /// Pairs of patterns.
    pub pairs: usize,
    /// Bits of a coupling.
    pub bits: u32,
    /// J_D.
    pub self_coupling: f64,
    /// λ of the identity links.
    pub link: f64,
    /// Strength of both patterns.
    pub clamp: f64,
    /// κ, net of the self-coupling.
    pub margin: f64,
    /// Learning rate; a change is this divided by the width.
    pub rate: f64,
    /// Passes over the pairs.
    pub epochs: usize,
    /// Sweeps at most.
    pub sweeps: u32,
}

/// What recall came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Recall {
    /// Mean overlap of the last layer with the pattern.
    pub overlap: f64,
    /// Share of pairs recalled with an overlap above 0.9.
    pub recalled: f64,
    /// Share of relaxations with both patterns that end where every neuron is stable beyond its margin.
    pub stable: f64,
}

impl Association {
    fn layers(&self, random: &mut Xoshiro256PlusPlus, seed: u64) -> Result<Layers, Failure> {
        let n = self.width;
        let unit = 2.0 * 6.0 / (n as f64).sqrt() / f64::from(1u32 << self.bits);
        let top = f64::from((1i32 << (self.bits - 1)) - 1);
        let whole = |w: f64| (w / unit).round() as i32;
        let text = format!(
            "rule stabilise {{\n error e = (s*(g0) <= {})\n every 1 samples\n rounding stochastic\n bounds -{top} {top}\n dw = {:.9}*x0*e*s\n}}",
            whole(self.margin),
            self.rate / n as f64 / unit
        );
        let rule = RuleSpec::parse(&text).map_err(|e| {
            Failure::bad_input(e).place("rate").mend("choose a rate that is some parts of a unit of weight")
        })?;
        let mut layers = vec![Layer::default(); self.layers];
        for layer in &mut layers {
            let mut weights = vec![0i16; n * n];
            for (k, w) in weights.iter_mut().enumerate().filter(|(k, _)| k / n != k % n) {
                let _ = k;
                *w = (normal(random) / (n as f64).sqrt() / unit).round().clamp(-top, top) as i16;
            }
            let bits = if self.bits <= 8 { 8 } else { 16 };
            layer.couplings =
                Some(Plastic { synapses: Synapses::Dense { bits, weights }, rule: Some(rule.clone()) });
        }
        let clamp = || Some(Plastic::fixed(Synapses::Identity { weight: whole(self.clamp) }));
        if let Some(first) = layers.first_mut() {
            first.input = clamp();
        }
        if let Some(last) = layers.last_mut() {
            last.teacher = clamp();
        }
        Ok(Layers {
            seed,
            inputs: n,
            input_max: 1,
            classes: n,
            teacher_max: 1,
            size: n,
            layers,
            self_coupling: whole(self.self_coupling),
            link_left: whole(self.link),
            link_right: whole(self.link),
            keep_right: false,
            keep_ties: true,
            sweep: Sweep::Shuffled,
            plan: Plan { warm: 0, steer: self.sweeps, free: 0, recall: self.sweeps, until_quiet: true },
        })
    }

    /// Teaches all pairs and recalls them.
    ///
    /// # Errors
    /// Bad input: a constant does not fit the integers.
    pub fn run(&self, seed: u64) -> Result<Recall, Failure> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let layers = self.layers(&mut random, seed)?;
        let built = layers.build().map_err(Failure::work)?;
        let blob = write(&built.network, &Placement::one_core(&built.network)).map_err(Failure::work)?;
        let image = blob.image().map_err(Failure::work)?;
        let mut arena = vec![0u64; image.memory(0..image.cores).words()];
        let machine = Machine::new(image, &mut arena).map_err(Failure::work)?;
        let mut pattern = || -> Vec<i32> {
            (0..self.width).map(|_| if random.next_u64() >> 63 == 0 { 1 } else { -1 }).collect()
        };
        let pairs: Vec<[Vec<i32>; 2]> = (0..self.pairs).map(|_| [pattern(), pattern()]).collect();
        let mut chain =
            Chain { machine, built: &built, kernels: Native::detect(), draws: Threefry::new(seed) };
        for epoch in 0..self.epochs {
            for k in permutation(pairs.len(), seed.wrapping_mul(31).wrapping_add(epoch as u64)) {
                let [input, output] = &pairs[k];
                chain.relax(attractor::LEARN, input, Some(output))?;
                chain.machine.learn_sample_by(&chain.kernels, &mut chain.draws);
            }
        }
        let mut result = Recall::default();
        let margin =
            (self.margin / (2.0 * 6.0 / (self.width as f64).sqrt() / f64::from(1u32 << self.bits))).round();
        for [input, output] in &pairs {
            chain.relax(attractor::LEARN, input, Some(output))?;
            result.stable += f64::from(u8::from(chain.is_stable(margin as i32)));
            chain.relax(attractor::RECALL, input, None)?;
            let last = built.layers.last().map_or(&[][..], |l| chain.machine.membranes(*l as u32));
            let dot: i32 = last.iter().zip(output).map(|(a, b)| a * b).sum();
            let overlap = f64::from(dot) / self.width as f64;
            result.overlap += overlap;
            result.recalled += f64::from(u8::from(overlap > 0.9));
        }
        let count = pairs.len().max(1) as f64;
        result.overlap /= count;
        result.recalled /= count;
        result.stable /= count;
        Ok(result)
    }
}

struct Chain<'a> {
    machine: Machine<'a>,
    built: &'a Built,
    kernels: Native,
    draws: Threefry,
}

impl Chain<'_> {
    fn relax(&mut self, program: u32, input: &[i32], output: Option<&Vec<i32>>) -> Result<(), Failure> {
        let refused = |error| Failure::work(format_args!("a pattern was refused: {error}"));
        self.machine.rest();
        self.machine.drive(self.built.input as u32, input).map_err(refused)?;
        if let Some(output) = output {
            self.machine.drive(self.built.teacher as u32, output).map_err(refused)?;
        }
        self.machine.run_program(program, &self.kernels, &mut self.draws, &mut Unobserved);
        Ok(())
    }

    /// Whether every neuron is stable beyond the margin without its right-hand input.
    fn is_stable(&self, margin: i32) -> bool {
        self.built.layers.iter().all(|l| {
            let sums = self.machine.sums(*l as u32, attractor::OWN);
            sums.iter().zip(self.machine.membranes(*l as u32)).all(|(f, s)| f * s > margin)
        })
    }
}
