//! The network graph: readers, profiles, float twin, quantiser, placement, image writer.
//!
//! ```text
//!  NIR file ──► nir::Graph ──► flat graph ─┬─► twin::Twin                   floats, the oracle
//!                 profile::Profile ────────┤
//!                                          └─► lower::FloatNetwork ─► quantize ─► network::Network
//!  SANA-FE files ──► sanafe ──────────────────────────────────────────────────►    │  + rules, crossbars
//!                                                     placement::Placement ───► image::write ──► bytes
//! ```
//!
//! # Example
//!
//! One input that excites two integrators, written as an image and run on the machine:
//!
//! ```
//! use synop_core::{Count, Machine, Portable, Threefry, Unobserved};
//! use synop_model::image::write;
//! use synop_model::network::{Lif, Network, Param, Population, Synapses};
//! use synop_model::placement::Placement;
//!
//! let mut network = Network::default();
//! let input = network.add_population(Population::input("in", 1, 1));
//! let lif = Lif { threshold: Param::All(10), ..Lif::default() };
//! let out = network.add_population(Population::lif("out", 2, 1, lif));
//! network.connect(input, out, 1, Synapses::Dense { bits: 8, weights: vec![20, 5] });
//!
//! let blob = write(&network, &Placement::one_core(&network))?;
//! let image = blob.image()?;
//! let mut memory = vec![0u64; image.memory(0..image.cores).words()];
//! let mut machine = Machine::new(image, &mut memory).expect("the memory is as large as asked for");
//! machine.inject(0, &[[0, 1]]).expect("the input exists");
//! for _ in 0..2 {
//!     machine.step(&Portable, &mut Threefry::<13>::new(1), &mut Unobserved);
//! }
//! assert_eq!(machine.counters(1).get(Count::Spikes), 1);
//! # Ok::<(), synop_model::image::BuildError>(())
//! ```

pub mod array;
pub mod attractor;
pub mod crossbar;
pub mod image;
pub mod lower;
pub mod memory;
pub mod metrics;
pub mod network;
pub mod nir;
pub mod origin;
pub mod placement;
pub mod profile;
pub mod quantize;
pub mod routes;
pub mod rule;
pub mod sanafe;
pub mod schedule;
pub mod shape;
pub mod twin;
