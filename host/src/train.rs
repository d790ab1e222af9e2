//! Surrogate-gradient training of small spiking networks, in float32.
//!
//! Backpropagation through time for stacks of leaky integrate-and-fire layers, with learnt or
//! frozen decays and thresholds, a loss on the membranes of the last layer, and Adam. The forward
//! pass can round weights, thresholds and inputs to the integers of a chip, so that the network
//! learns to live with them. There is no tensor library underneath: a layer's currents are sums
//! over the inputs that spiked, which is also what makes it fast.
//!
//! The formulas are those of the alignment study (arXiv 2508.10064) and of snnTorch's `Leaky`:
//! reset by subtraction one step late, without gradient through the reset; an arctan surrogate
//! `1/(1+(π(U−θ))²)`; decay clamped to 0…1.

mod adam;
mod fit;
mod grid;
mod kernels;
mod network;
mod pass;
mod samples;
#[cfg(test)]
mod tests;

pub use adam::Adam;
pub use fit::{
    BatchResult, Epoch, Evaluation, Fitted, Integers, Readout, Trainer, Training, evaluate, fit, prediction,
};
pub use grid::{InputGrid, round_network, weight_limit, weight_step};
pub use kernels::Entry;
pub(crate) use network::unit;
pub use network::{Connection, Dense, Layer, Network, Neuron};
pub use pass::{SpikeFlips, Surrogate, Tape, forward};
pub use samples::Samples;
