//! Memristor and crossbar physics, compiled to the integer tables of the core.
//!
//! The way through: a [`Preset`] (a TOML file with sources) names a law of steps ([`steps`]), its noise,
//! spread, faults, drift and electrical data; [`compile()`] turns it into the words that
//! [`synop_core::device::DeviceClass`] reads. The rest is the physics around a device: programming errors
//! and drift of inference devices ([`programming`]), physical switching models ([`switching`]), wires
//! ([`wires`]), passive arrays ([`passive`]), converters ([`converter`]) and energy formulas ([`energy`]).
//!
//! All of this is float64 and runs on the host, once. What runs per event is in the core.
//!
//! # Example
//!
//! A soft-bounds ReRAM cell: ten pulses up move it less and less, and its table says which state a weight is.
//!
//! ```
//! use synop_device::{Preset, Resolution, compile};
//!
//! let preset = Preset::shipped("reram-sb")?;
//! let path = preset.steps.trajectory(0.0, 10, 0);
//! let steps: Vec<f64> = path.windows(2).map(|w| w[1] - w[0]).collect();
//! assert!(steps.windows(2).all(|s| s[1] < s[0]));
//!
//! let compiled = compile(&preset, &Resolution::bare(24, 5))?;
//! let state = compiled.state(0.25, (1 << 24) - 1);
//! assert!((compiled.weight(state) - 0.25).abs() <= compiled.unit / 2.0);
//! # Ok::<(), synop_device::DeviceError>(())
//! ```

pub mod compile;
pub mod converter;
pub mod energy;
mod error;
pub mod normal;
pub mod passive;
pub mod potentiation;
pub mod preset;
pub mod programming;
pub mod steps;
pub mod switching;
pub mod wires;

pub use compile::{Compiled, Resolution, compile};
pub use error::DeviceError;
pub use preset::{Preset, presets};
pub use steps::{Law, Steps};
