//! What a run costs on a chip: prices with provenance, routes, latency, and the bill.
//!
//! The emulator counts, this crate prices. The way through it:
//!
//! ```text
//!  chips/*.toml ──► Chip (prices, limits, mesh, static power) ─┐
//!  Counts per core and population (Cell) ──────────────────────┼─► Bill (low / nominal / high, unpriced classes)
//!  packets of a tick ──► latency::{simple, detailed, queue} ──► time ─┘
//! ```
//!
//! * [`Counts`] and [`Cell`]: integer event counts, the only input of a bill.
//! * [`Class`]: the event classes that a price can be attached to.
//! * [`Price`] and [`Interval`]: a value with its bounds, unit, source and kind.
//! * [`Chip`]: one data file; [`shipped`] holds those that come with the crate and the list of
//!   chips that deliberately do not ([`NotShipped`]).
//! * [`route`]: dimension-order routes on the mesh, multicast trees, link loads.
//! * [`latency`]: three models of how long a tick takes.
//! * [`Bill`]: energy per class, population and core; refused where a used class has no price.
//!
//! # Example
//!
//! A thousand synaptic events and ten neuron updates of one population on the first core of a chip:
//!
//! ```
//! use synop_cost::{Bill, Cell, Counts, Run, shipped};
//!
//! let chip = shipped::chip("loihi1-published")?;
//! let counts = Counts { ticks: 1, synaptic_events: 1000, synaptic_effective: 1000, soma_updates: 10, ..Counts::default() };
//! let cell = Cell { population: "hidden".into(), neurons: 10, counts, ..Cell::default() };
//! let bill = Bill::of(&chip, &[cell], &Run::default());
//! let energy = bill.dynamic_j.expect("this chip has a price for both classes");
//! assert!(energy.low <= energy.nominal && energy.nominal <= energy.high);
//! assert!(bill.lines.iter().all(|line| line.count == 0 || !line.source.is_empty()));
//! # Ok::<(), synop_cost::CostError>(())
//! ```
#![forbid(unsafe_code)]

mod bill;
mod chip;
mod class;
mod counts;
mod error;
pub mod latency;
mod price;
pub mod route;
pub mod shipped;

pub use bill::{Bill, Line, Run, Split, Unpriced};
pub use chip::{
    Accounting, Barrier, Chip, Cores, Entry, Links, Memory, Mesh, Multicast, Static, StaticScope, Store,
    Ticks, Weights,
};
pub use class::Class;
pub use counts::{Cell, Counts, Hops, Kinds, STORES};
pub use error::CostError;
pub use price::{Interval, Kind, Price, Quantity};
pub use shipped::NotShipped;
