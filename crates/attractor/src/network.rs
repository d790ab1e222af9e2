//! Random couplings: one module or a chain of layers, with self-coupling, symmetric fraction and sparse excitation.

use crate::error::{Error, within};
use crate::sparse::Pattern;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Generator of sample `index` of an experiment with this seed: any thread may draw any sample.
pub fn stream(seed: u64, index: u64) -> Xoshiro256PlusPlus {
    // The odd constant of the golden ratio keeps the seeds of neighbouring samples far apart.
    Xoshiro256PlusPlus::seed_from_u64(seed ^ index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// A uniformly random state of ±1.
pub fn random_state(neurons: usize, rng: &mut impl Rng) -> Vec<f32> {
    (0..neurons).map(|_| if rng.random::<bool>() { 1.0 } else { -1.0 }).collect()
}

/// What is drawn for one sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// Neurons per layer.
    pub width: usize,
    /// Number of layers.
    pub layers: usize,
    /// Self-coupling `J_D`.
    pub self_coupling: f64,
    /// Strength `λ` of the identity links to each neighbouring layer.
    pub link: f64,
    /// Symmetric fraction `N E[J_ij J_ji]`, from 0 to 1.
    pub symmetry: f64,
    /// Sparse excitation within a layer: who excites whom, and with which row sum.
    pub excitation: Option<(Pattern, f64)>,
}

impl Recipe {
    /// One module of `width` neurons with asymmetric couplings and a self-coupling.
    pub fn module(width: usize, self_coupling: f64) -> Self {
        Self { width, layers: 1, self_coupling, link: 0.0, symmetry: 0.0, excitation: None }
    }

    /// Checks the recipe.
    ///
    /// # Errors
    /// [`Error::Range`] names the parameter that is out of range, [`Error::Groups`] a clique size that does not divide the width.
    pub fn check(&self) -> Result<(), Error> {
        within("neurons per layer", self.width as f64, 2.0, 65_536.0, "2 to 65536")?;
        within("layers", self.layers as f64, 1.0, 1024.0, "1 to 1024")?;
        within("self-coupling", self.self_coupling, -100.0, 100.0, "a number from -100 to 100")?;
        within("link strength", self.link, -100.0, 100.0, "a number from -100 to 100")?;
        within("symmetric fraction", self.symmetry, 0.0, 1.0, "a number from 0 to 1")?;
        if let Some((pattern, strength)) = self.excitation {
            within("excitation", strength, -100.0, 100.0, "a number from -100 to 100")?;
            if let Pattern::Clique(group) = pattern
                && (group < 2 || !self.width.is_multiple_of(group))
            {
                return Err(Error::Groups { neurons: self.width, group });
            }
        }
        Ok(())
    }

    /// Draws the couplings.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn draw(&self, rng: &mut impl Rng) -> Result<Network, Error> {
        self.check()?;
        let layers = (0..self.layers).map(|_| couplings(self.width, self.symmetry, rng)).collect();
        let neurons = self.width * self.layers;
        let mut self_coupling = self.self_coupling;
        let mut links = vec![Vec::new(); neurons];
        for layer in 1..self.layers {
            for i in 0..self.width {
                let (left, right) = ((layer - 1) * self.width + i, layer * self.width + i);
                links[left].push((right as u32, self.link as f32));
                links[right].push((left as u32, self.link as f32));
            }
        }
        match self.excitation {
            None => {}
            Some((Pattern::SelfCoupling, strength)) => self_coupling += strength,
            Some((pattern, strength)) => {
                for layer in 0..self.layers {
                    excite(&mut links, layer * self.width, self.width, pattern, strength, rng);
                }
            }
        }
        Ok(Network { width: self.width, layers, self_coupling: self_coupling as f32, links })
    }
}

/// Couplings of one layer, variance `1/N`, diagonal zero, presynaptic neuron by presynaptic neuron.
fn couplings(width: usize, symmetry: f64, rng: &mut impl Rng) -> Vec<f32> {
    let scale = 1.0 / (width as f64).sqrt();
    let mut draw = |_| -> f64 { StandardNormal.sample(rng) };
    let mut columns = vec![0f32; width * width];
    if symmetry == 0.0 {
        for (index, weight) in columns.iter_mut().enumerate() {
            let value = draw(index) * scale;
            *weight = if index % (width + 1) == 0 { 0.0 } else { value as f32 };
        }
        return columns;
    }
    // A symmetric and an antisymmetric part of variance 1/N each, mixed so that E[J_ij J_ji] = symmetry/N.
    let (even, odd) = ((0.5 * (1.0 + symmetry)).sqrt() * scale, (0.5 * (1.0 - symmetry)).sqrt() * scale);
    for i in 0..width {
        for j in 0..i {
            let (x, y) = (draw(0) * even, draw(1) * odd);
            columns[j * width + i] = (x + y) as f32;
            columns[i * width + j] = (x - y) as f32;
        }
    }
    columns
}

/// Adds the excitation of one layer whose first neuron is `start`.
fn excite(
    links: &mut [Vec<(u32, f32)>],
    start: usize,
    width: usize,
    pattern: Pattern,
    strength: f64,
    rng: &mut impl Rng,
) {
    let mut join =
        |from: usize, to: usize, weight: f64| links[start + from].push(((start + to) as u32, weight as f32));
    match pattern {
        Pattern::SelfCoupling => {}
        Pattern::Clique(group) => {
            let weight = strength / (group as f64 - 1.0);
            for from in 0..width {
                let first = from - from % group;
                for to in (first..first + group).filter(|&to| to != from) {
                    join(from, to, weight);
                }
            }
        }
        Pattern::Permutation | Pattern::SymmetricPermutation => {
            let mut target: Vec<usize> = (0..width).collect();
            target.shuffle(rng);
            for (from, &to) in target.iter().enumerate() {
                if pattern == Pattern::Permutation {
                    join(from, to, strength);
                } else {
                    join(from, to, 0.5 * strength);
                    join(to, from, 0.5 * strength);
                }
            }
        }
    }
}

/// Couplings of one sample.
#[derive(Debug, Clone)]
pub struct Network {
    width: usize,
    /// Per layer: `width × width` weights, the targets of one presynaptic neuron together.
    layers: Vec<Vec<f32>>,
    self_coupling: f32,
    /// Per neuron: the links that leave it.
    links: Vec<Vec<(u32, f32)>>,
}

impl Network {
    /// Number of neurons in all layers.
    pub fn neurons(&self) -> usize {
        self.width * self.layers.len()
    }

    /// Neurons per layer.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Self-coupling `J_D`.
    pub fn self_coupling(&self) -> f32 {
        self.self_coupling
    }

    /// Couplings of a layer: the weight from `pre` to `post` stands at `pre * width + post`.
    pub fn layer(&self, layer: usize) -> Option<&[f32]> {
        self.layers.get(layer).map(Vec::as_slice)
    }

    /// Links that leave a neuron: target and weight.
    pub fn links(&self, neuron: usize) -> &[(u32, f32)] {
        self.links.get(neuron).map_or(&[], Vec::as_slice)
    }

    /// Adds `change` times the outgoing couplings of `neuron` to the fields.
    #[inline]
    pub(crate) fn deliver(&self, neuron: usize, change: f32, fields: &mut [f32]) {
        let (layer, pre) = (neuron / self.width, neuron % self.width);
        let start = layer * self.width;
        let column = &self.layers[layer][pre * self.width..(pre + 1) * self.width];
        for (field, weight) in fields[start..start + self.width].iter_mut().zip(column) {
            *field += change * weight;
        }
        for &(target, weight) in &self.links[neuron] {
            fields[target as usize] += change * weight;
        }
    }

    /// Fields of a state without the self-coupling.
    pub fn fields(&self, state: &[f32]) -> Vec<f32> {
        let mut fields = vec![0.0; self.neurons()];
        for (neuron, &s) in state.iter().enumerate().take(self.neurons()) {
            self.deliver(neuron, s, &mut fields);
        }
        fields
    }

    /// Number of neurons that disagree with their field: zero at a fixed point.
    pub fn violated(&self, state: &[f32]) -> usize {
        let fields = self.fields(state);
        fields.iter().zip(state).filter(|&(h, s)| s * h + self.self_coupling <= 0.0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn couplings_have_the_variance_and_the_symmetry_asked_for() {
        for symmetry in [0.0, 0.5, 1.0] {
            let n = 300;
            let recipe = Recipe { symmetry, ..Recipe::module(n, 0.0) };
            let network = recipe.draw(&mut stream(7, 0)).unwrap();
            let w = network.layer(0).unwrap();
            let (mut var, mut cov) = (0.0, 0.0);
            for i in 0..n {
                assert_eq!(w[i * n + i], 0.0);
                for j in (0..n).filter(|&j| j != i) {
                    var += f64::from(w[i * n + j]).powi(2);
                    cov += f64::from(w[i * n + j] * w[j * n + i]);
                }
            }
            assert!((var / n as f64 - 1.0).abs() < 0.03, "{var}");
            assert!((cov / n as f64 - symmetry).abs() < 0.03, "{cov}");
        }
    }

    #[test]
    fn every_pattern_gives_each_neuron_its_excitation() {
        for pattern in
            [Pattern::Clique(2), Pattern::Clique(4), Pattern::Permutation, Pattern::SymmetricPermutation]
        {
            let recipe = Recipe { excitation: Some((pattern, 1.5)), ..Recipe::module(40, 0.0) };
            let network = recipe.draw(&mut stream(3, 1)).unwrap();
            let mut arriving = vec![0.0; 40];
            for from in 0..40 {
                for &(to, weight) in network.links(from) {
                    arriving[to as usize] += weight;
                }
            }
            assert!(arriving.iter().all(|a| (a - 1.5).abs() < 1e-5), "{pattern:?}: {arriving:?}");
        }
    }

    #[test]
    fn cliques_that_do_not_fit_are_refused() {
        let recipe = Recipe { excitation: Some((Pattern::Clique(3), 1.0)), ..Recipe::module(10, 0.0) };
        assert_eq!(recipe.draw(&mut stream(0, 0)).unwrap_err(), Error::Groups { neurons: 10, group: 3 });
    }
}
