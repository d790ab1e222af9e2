//! How long a tick takes on the chip.
//!
//! All models take the same input: the [`Message`]s of one tick in canonical order (by sending core,
//! then in the order in which that core makes them) and the [`Fabric`] they travel on.
//!
//! * [`Model::Simple`]: the busiest core, sending or receiving; links cost nothing.
//! * [`Model::Detailed`]: messages in order of time; links slow down with their load, after SANA-FE's formulas.
//! * [`Model::Queue`]: every packet moves from buffer to buffer; full buffers hold back what is behind them.
//!
//! Equal times are taken in order of (core, sequence), so a result is a function of the messages alone.

mod detailed;
mod fabric;
mod queue;
mod simple;
mod stream;

pub use fabric::Fabric;
pub use stream::{Active, Packet, Schedule};

use crate::error::CostError;
use serde::Serialize;

/// What a core does to send (or to go through neurons that do not).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Message {
    /// Sending core.
    pub source: u32,
    /// Receiving core; `None` for the work after the last packet of a core, which sends nothing.
    pub destination: Option<u32>,
    /// Seconds from the previous message of this core until this one is ready.
    pub generation_s: f64,
    /// Seconds that the receiving core spends on it.
    pub processing_s: f64,
}

/// Which model computes the time of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Model {
    /// See [`crate::latency`].
    Simple,
    /// See [`crate::latency`].
    Detailed,
    /// See [`crate::latency`].
    Queue,
}

impl Model {
    /// The model with this name.
    pub fn from_name(name: &str) -> Option<Model> {
        match name {
            "simple" => Some(Model::Simple),
            "detailed" => Some(Model::Detailed),
            "queue" => Some(Model::Queue),
            _ => None,
        }
    }

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Model::Simple => "simple",
            Model::Detailed => "detailed",
            Model::Queue => "queue",
        }
    }
}

/// What a tick waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// A core that updates neurons and sends.
    Generation,
    /// A core that takes in packets.
    Processing,
    /// Nothing but the barrier.
    Sync,
}

/// The time of one tick.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TickTime {
    /// Seconds, barrier included.
    pub total_s: f64,
    /// Seconds of the barrier.
    pub sync_s: f64,
    /// The core that was waited for, if there was any work.
    pub critical_core: Option<u32>,
    /// What it did.
    pub reason: Reason,
    /// Seconds that senders were held back by full links, over all messages (zero in the simple model).
    pub blocked_s: f64,
}

/// The time of one tick under a model.
///
/// `messages` must be in canonical order, delays finite and not negative, cores on the chip; else [`CostError::Message`].
pub fn tick(model: Model, messages: &[Message], fabric: &Fabric, sync_s: f64) -> Result<TickTime, CostError> {
    check(messages, fabric)?;
    let mut time = match model {
        Model::Simple => simple::tick(messages),
        Model::Detailed => detailed::tick(messages, fabric, &mut |_, _| {}),
        Model::Queue => queue::tick(messages, fabric),
    };
    time.total_s += sync_s;
    time.sync_s = sync_s;
    Ok(time)
}

fn check(messages: &[Message], fabric: &Fabric) -> Result<(), CostError> {
    let mut previous = 0;
    for (index, m) in messages.iter().enumerate() {
        let fault = |detail: String| CostError::Message { index, detail };
        let cores = fabric.core_count();
        if m.source >= cores || m.destination.is_some_and(|d| d >= cores) {
            return Err(fault(format!(
                "core {} to {:?} on a chip of {cores} cores",
                m.source, m.destination
            )));
        }
        let good = |s: f64| s.is_finite() && s >= 0.0;
        if !good(m.generation_s) || !good(m.processing_s) {
            return Err(fault(format!(
                "delays {} s and {} s must be finite and not negative",
                m.generation_s, m.processing_s
            )));
        }
        if m.source < previous {
            return Err(fault(format!(
                "core {} after core {previous}: messages come ordered by sending core",
                m.source
            )));
        }
        previous = m.source;
    }
    Ok(())
}

/// The latest of several (time, core, reason), the first of equals.
#[derive(Debug, Clone, Copy)]
struct Latest {
    time: f64,
    core: Option<u32>,
    reason: Reason,
}

impl Latest {
    fn new() -> Latest {
        Latest { time: 0.0, core: None, reason: Reason::Sync }
    }

    fn see(&mut self, time: f64, core: u32, reason: Reason) {
        if time > self.time {
            *self = Latest { time, core: Some(core), reason };
        }
    }

    fn into_tick(self, blocked_s: f64) -> TickTime {
        TickTime { total_s: self.time, sync_s: 0.0, critical_core: self.core, reason: self.reason, blocked_s }
    }
}

#[cfg(test)]
mod tests;
