//! Fixed points of random asymmetric ±1 networks with self-coupling: theory and experiment.
//!
//! `N` neurons `s_i = ±1` couple through independent Gaussian weights of variance `1/N`; a neuron also
//! excites itself with the *self-coupling* `J_D`. A state is a fixed point when every neuron agrees with
//! its field, `s_i Σ_{j≠i} J_ij s_j + J_D > 0`. The crate answers, in this order:
//!
//! | question | module |
//! |---|---|
//! | how many fixed points are there, and how many pairs of them at a distance? | [`entropy`] |
//! | are some of them in dense clusters, and from which self-coupling on? | [`cluster`] |
//! | do links between layers, or sparse excitation, replace the self-coupling? | [`chain`], [`sparse`] |
//! | where does the dynamics freeze as N → ∞? | [`relay`] |
//! | what does counting every state of a small network say? | [`enumerate`](mod@enumerate) |
//! | does a random start relax to a fixed point? | [`network`], [`relax`], [`ensemble`] |
//! | does message passing find one? | [`belief`] |
//! | what happens to a fixed point that is disturbed, and what can a chain learn? | [`basin`], [`hetero`] |
//! | do the sixteen reference experiments come out as they should? | [`reproduction`] |
//!
//! Logarithms are natural and entropies are per neuron unless a name says otherwise. Everything here is
//! floating point: it is the oracle beside the integer machine, never a second way to run a network.
//! Results depend on the seed only, not on the number of threads.
//!
//! # Example
//!
//! The mean number of fixed points of a small network, from theory and by counting all states of 200 draws:
//!
//! ```
//! use synop_attractor::network::{Recipe, stream};
//! use synop_attractor::{entropy, enumerate};
//!
//! let (neurons, self_coupling) = (10, 0.5);
//! let expected = entropy::expected_count(neurons, self_coupling);
//! let counts: Vec<f64> = (0..200)
//!     .map(|draw| {
//!         let network = Recipe::module(neurons, self_coupling).draw(&mut stream(1, draw))?;
//!         Ok(enumerate::count(&network)? as f64)
//!     })
//!     .collect::<Result<_, synop_attractor::Error>>()?;
//! let mean = counts.iter().sum::<f64>() / 200.0;
//! assert!((mean / expected - 1.0).abs() < 0.2, "{mean} counted, {expected} expected");
//! # Ok::<(), synop_attractor::Error>(())
//! ```

pub mod basin;
pub mod belief;
pub mod chain;
pub mod cluster;
pub mod ensemble;
pub mod entropy;
pub mod enumerate;
pub mod error;
pub mod hetero;
pub mod network;
pub mod normal;
pub mod numeric;
pub mod relax;
pub mod relay;
pub mod reproduction;
pub mod sparse;

pub use error::Error;
