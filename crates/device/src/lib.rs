//! Memristor and crossbar physics, compiled to the integer tables of the core.
//!
//! The way through: a [`Preset`] (a TOML file with sources) names a law of steps ([`steps`]), its noise,
//! spread, faults, drift and electrical data; [`compile()`] turns it into the words that
//! [`synop_core::device::DeviceClass`] reads. The rest is the physics around a device: programming errors
//! and drift of inference devices ([`programming`]), physical switching models ([`switching`]), wires
//! ([`wires`]), passive arrays ([`passive`]), converters ([`converter`]) and energy formulas ([`energy`]).
//!
//! All of this is float64 and runs on the host, once. What runs per event is in the core.

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
