//! Dynamical alignment: is one network steered between a sparse and a dense mode by the dynamics
//! of its input alone?
//!
//! The study (arXiv 2508.10064) feeds features through a dynamical system whose damping decides
//! whether trajectories contract or expand, and trains a spiking network for each value. Here its
//! landscape is trained again, in float and in integers, run on the integer machine and priced;
//! and what the study left out is tried: frozen weights under a switched drive, valid baselines,
//! distractors in the binding task.

mod drive;
mod features;

pub use drive::{Drive, grid_of};
pub use features::{Archive, Embedding, Exported, Features};
