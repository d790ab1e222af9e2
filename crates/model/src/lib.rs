//! The network graph: readers, profiles, float twin, quantiser, placement, image writer.

pub mod array;
pub mod attractor;
pub mod crossbar;
pub mod image;
pub mod lower;
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
