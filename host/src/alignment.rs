//! Dynamical alignment: is one network steered between a sparse and a dense mode by the dynamics
//! of its input alone?
//!
//! The study (arXiv 2508.10064) feeds features through a dynamical system whose damping decides
//! whether trajectories contract or expand, and trains a spiking network for each value. Here its
//! landscape is trained again, in float and in integers, run on the integer machine and priced;
//! and what the study left out is tried: frozen weights under a switched drive, valid baselines,
//! distractors in the binding task.

mod binding;
mod cartpole;
mod codes;
mod drive;
mod features;
mod integer;
mod landscape;
mod point;
mod policy;
mod reward;
#[cfg(test)]
mod tests;
mod transition;

pub use binding::{Binding, accuracy_of_the_mean};
pub use cartpole::{CartPole, MOST_STEPS};
pub use codes::{CodePoint, code_point};
pub use drive::{Drive, grid_of};
pub use features::{Archive, Embedding, Exported, Features};
pub use integer::{Emulation, Integer, Price, float_network};
pub use landscape::{Elsewhere, Local, Method, Plan, Point, Set, Switched, exponents};
pub use point::{
    Behaviour, Course, OnMachine, Recipe, STATE_SHIFT, Select, as_trained, classes, on_machine, robustness,
};
pub use policy::{Agent, OnChip, Played, StateEncoder, train_agent};
pub use reward::{ACTOR_RATE, learn_on_chip};
pub use transition::{Logistic, PowerLaw, fit_logistic, fit_power, logistic, mean_and_deviation};
