//! Learning by steering the dynamics: a binary network relaxes with a teacher, then without it, and a local rule
//! makes the state where it ends a stable one.
//!
//! The network is [`synop_model::attractor`]'s, the machine is the core's; here are the constants in real numbers
//! ([`Recipe`]), the data ([`Task`]), and the loop over samples ([`learn`]). Beside them stands a plain dense float
//! implementation of the same sweeps ([`dense`]), as a clock and as an oracle.
//!
//! Fields, rule and symbols (arXiv 2509.05041): `self_coupling` is J_D, `link` λ, `margin` κ net of the
//! self-coupling, `input_scale` λ_in, `teacher_scale` λ_back, `coupling_scale` λ_int.

pub mod continuous;
pub mod data;
pub mod dense;
pub mod hetero;
mod learner;
mod recipe;

pub use data::{Samples, Task};
pub use learner::{Answers, Epoch, Learnt, Work, learn};
pub use recipe::{Order, Recipe, Symmetry, Tuning, Units};
