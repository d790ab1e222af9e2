//! From numbers to what a spiking machine can be fed with.
//!
//! A static feature vector becomes a *signal* (real values per tick and channel) or *events*
//! (which neuron spikes at which tick):
//!
//! ```text
//! features ──► trajectory of a dynamical system ──► Signal ──► Graded (integers per tick)
//!         └──► direct, rate, Poisson, latency, … ─────────────► Events or Graded
//! ```
//!
//! * [`system`]: the dynamical systems, their parameters, vector fields and Jacobians;
//! * [`integrate`]: Euler and Runge–Kutta steps;
//! * [`lyapunov`]: finite-time Lyapunov spectra by QR;
//! * [`trajectory`]: the static-vector-to-trajectory rule;
//! * [`signal`]: what encoders hand on: [`signal::Signal`], [`signal::Graded`], [`signal::Events`];
//! * [`plain`]: the textbook encoders;
//! * [`published`]: the baselines of the dynamical-alignment study as its code computes them, which
//!   under familiar names do something else; never use them for anything but that comparison;
//! * [`spec`]: all of the above by one line of text, such as `rate:25` or `mixed:5,damping=10`;
//! * [`lif`]: a float leaky integrate-and-fire layer, the oracle for encoded drives.
//!
//! Everything here is float and runs on the host, before the image and its integers begin.
//!
//! # Example
//!
//! ```
//! use synop_encode::{Encoded, EncoderSpec};
//!
//! // Two features become trajectories of three variables each, five ticks long.
//! let mixed: EncoderSpec = "mixed:5,damping=10,clip=8".parse()?;
//! assert_eq!((mixed.ticks(), mixed.channels(2)), (5, 6));
//! let samples = mixed.encode(&[0.3, -0.7], 2, 1, 0)?;
//! let Some(Encoded::Signal(signal)) = samples.first() else { panic!("a trajectory is a signal") };
//! assert_eq!(signal.tick(0).len(), 6);
//!
//! // A rate code: the stronger feature spikes more often.
//! let rate: EncoderSpec = "rate:25".parse()?;
//! let Encoded::Events(events) = &rate.encode(&[0.2, 0.8], 2, 1, 0)?[0] else { panic!("a rate is spikes") };
//! let spikes = |neuron| events.all().iter().filter(|e| e.neuron == neuron).count();
//! assert!(spikes(1) > spikes(0));
//! # Ok::<(), synop_encode::EncodeError>(())
//! ```

#![forbid(unsafe_code)]

pub mod error;
pub mod integrate;
pub mod lif;
pub mod lyapunov;
pub mod plain;
pub mod published;
pub mod signal;
pub mod spec;
pub mod system;
pub mod trajectory;

pub use error::EncodeError;
pub use lyapunov::{LyapunovRun, Spectrum};
pub use signal::{Encoded, Event, Events, Graded, Signal};
pub use spec::EncoderSpec;
pub use system::{Dynamics, Scheme, System};
pub use trajectory::{Scale, TrajectoryEncoder};
