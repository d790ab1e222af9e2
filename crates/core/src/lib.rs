//! The integer, event-driven machine of synop. `no_std`, no heap, no float, no panic, no `unsafe`.
//!
//! ```text
//!   bytes ──► Image::check ──► Image        flat, checked once, used in place             image, check
//!                                │
//!   memory lent by the caller ───┼────────► Machine::new                                  machine, arena
//!                                           │
//!   events, graded values ──────────────────┼─► inject, drive
//!                                           ▼
//!                                          step ─┬─ rows of spikes add to input sums      store   (Kernels)
//!                                                ├─ neurons that are not at rest update   neuron, binary
//!                                                ├─ rules change plastic weights          plasticity, learn
//!                                                └─ everything is counted                 counters
//!                                           ▼
//!                    spikes, membranes, weights, Counters;  an Observer sees it happen    observer
//!
//!   a byte stream ──► frames, checked ──► Session: inject, step, rest, learn …             frame, session
//! ```
//!
//! Random numbers are a function of (seed, purpose, tick, index) ([`draw`]); sums are exact; so the same image
//! with the same input gives the same bits on every processor, for any number of threads and any kernels.
//!
//! Who should use what: a host uses [`Image`], [`Machine`] and its own [`Kernels`]; firmware uses the same with
//! [`Scalar`]; whoever wants to build an image uses the crate `synop-model`.

#![no_std]
#![forbid(unsafe_code)]
#![deny(
    clippy::float_arithmetic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[cfg(test)]
extern crate std;

pub mod arena;
pub mod array;
pub mod binary;
mod check;
pub mod counters;
pub mod crossbar;
pub mod device;
pub mod draw;
pub mod frame;
pub mod image;
mod learn;
pub mod machine;
pub mod neuron;
pub mod observer;
pub mod plasticity;
pub mod session;
pub mod snapshot;
pub mod store;
mod tile;
mod words;

pub use arena::Plan;
pub use counters::{Count, Counters};
pub use draw::{Draws, Threefry};
pub use image::{Image, ImageError};
pub use machine::{Batch, InputError, Machine, Ran};
pub use observer::{Observer, Unobserved, Work};
pub use session::Session;
pub use snapshot::RestoreError;
pub use store::{Event, Kernels, LANES, Lanes, Portable, Scalar};
