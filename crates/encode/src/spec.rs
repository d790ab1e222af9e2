//! Any encoder by one line of text: `name[:ticks][,key=value…]`.
//!
//! `rate:25`, `poisson:100,max_rate=0.5`, `mixed:5,damping=-1.5,tmax=8,clip=8,scale=sample`,
//! `lorenz:8,tmax=2,rho=20`. Names: the systems, `direct`, `rate`, `poisson`, `latency`, `ttfs`,
//! `delta`, `phase`, `burst`, and `published-…` for the baselines of the study.

use crate::signal::check_shape;
use crate::trajectory::{Scale, TrajectoryEncoder};
use crate::{Dynamics, EncodeError, Encoded, Scheme, System, plain, published::Published};
use std::fmt;
use std::str::FromStr;

/// Most ticks that a line of text may ask for: bounds what a typing error can allocate.
const MOST_TICKS: usize = 1_000_000;

/// An encoder with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderSpec {
    text: String,
    ticks: usize,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Trajectory(TrajectoryEncoder),
    Direct,
    Rate { max_rate: f64 },
    Poisson { max_rate: f64 },
    Latency { threshold: f64, tau: Option<f64> },
    Ttfs { threshold: f64 },
    Delta { threshold: f64 },
    Phase { period: u32 },
    Burst { most: u32, shortest: u32 },
    Published(Published),
}

const PLAIN: [&str; 8] = ["direct", "rate", "poisson", "latency", "ttfs", "delta", "phase", "burst"];

/// Names of all encoders.
pub fn names() -> Vec<&'static str> {
    let systems = System::ALL.into_iter().map(System::name);
    let published = Published::ALL.into_iter().map(Published::name);
    systems.chain(PLAIN).chain(published).collect()
}

fn bad(name: &str, found: &str, expected: &'static str) -> EncodeError {
    EncodeError::BadParameter { name: name.to_owned(), found: format!("`{found}`"), expected }
}

fn number(name: &str, text: &str) -> Result<f64, EncodeError> {
    match text.parse::<f64>() {
        Ok(v) if v.is_finite() => Ok(v),
        _ => Err(bad(name, text, "a finite number")),
    }
}

fn count(name: &str, text: &str) -> Result<u32, EncodeError> {
    text.parse().map_err(|_| bad(name, text, "a whole number"))
}

impl Kind {
    fn from_name(name: &str) -> Result<Kind, EncodeError> {
        Ok(match name {
            "direct" => Kind::Direct,
            "rate" => Kind::Rate { max_rate: 1.0 },
            "poisson" => Kind::Poisson { max_rate: 1.0 },
            "latency" => Kind::Latency { threshold: 0.1, tau: None },
            "ttfs" => Kind::Ttfs { threshold: 0.0 },
            "delta" => Kind::Delta { threshold: 0.1 },
            "phase" => Kind::Phase { period: 8 },
            "burst" => Kind::Burst { most: 5, shortest: 1 },
            _ => match Published::ALL.into_iter().find(|p| p.name() == name) {
                Some(published) => Kind::Published(published),
                None => match System::from_name(name) {
                    Ok(system) => Kind::Trajectory(TrajectoryEncoder::new(Dynamics::new(system), 8.0, 0)),
                    Err(_) => {
                        return Err(EncodeError::UnknownName {
                            what: "encoder",
                            name: name.to_owned(),
                            known: names().join(", "),
                        });
                    }
                },
            },
        })
    }

    /// Sets one parameter; `false` when there is none of this name.
    fn set(&mut self, name: &str, text: &str) -> Result<bool, EncodeError> {
        match (self, name) {
            (Kind::Rate { max_rate } | Kind::Poisson { max_rate }, "max_rate") => {
                *max_rate = number(name, text)?;
            }
            (
                Kind::Latency { threshold, .. } | Kind::Ttfs { threshold } | Kind::Delta { threshold },
                "threshold",
            ) => *threshold = number(name, text)?,
            (Kind::Latency { tau, .. }, "tau") => *tau = Some(number(name, text)?),
            (Kind::Phase { period }, "period") => *period = count(name, text)?,
            (Kind::Burst { most, .. }, "most") => *most = count(name, text)?,
            (Kind::Burst { shortest, .. }, "shortest") => *shortest = count(name, text)?,
            (Kind::Trajectory(t), _) => return set_trajectory(t, name, text).map(|()| true),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn known_parameters(&self) -> &'static str {
        match self {
            Kind::Rate { .. } | Kind::Poisson { .. } => "max_rate",
            Kind::Latency { .. } => "threshold, tau",
            Kind::Ttfs { .. } | Kind::Delta { .. } => "threshold",
            Kind::Phase { .. } => "period",
            Kind::Burst { .. } => "most, shortest",
            Kind::Trajectory(_) => "tmax, dt, clip, scale, scheme and those of its system",
            Kind::Direct | Kind::Published(_) => "none",
        }
    }
}

fn set_trajectory(t: &mut TrajectoryEncoder, name: &str, text: &str) -> Result<(), EncodeError> {
    match name {
        "tmax" => t.tmax = number(name, text)?,
        "dt" => t.dt = number(name, text)?,
        "clip" => {
            let bound = number(name, text)?;
            plain::check_parameter(name, bound, 0.0..=f64::MAX, "0 or more")?;
            t.clip = Some(bound);
        }
        "scheme" => t.dynamics.scheme = Scheme::from_name(text)?,
        "scale" => {
            t.scale = match text {
                "sample" => Scale::PerSample,
                "batch" => Scale::PerBatch,
                _ => match number(name, text) {
                    Ok(s) if s > 0.0 => Scale::Fixed(s),
                    _ => return Err(bad(name, text, "`sample`, `batch` or a positive number")),
                },
            }
        }
        _ => return t.dynamics.set(name, number(name, text)?),
    }
    Ok(())
}

impl FromStr for EncoderSpec {
    type Err = EncodeError;

    fn from_str(text: &str) -> Result<Self, EncodeError> {
        let mut parts = text.split(',').map(str::trim);
        let head = parts.next().unwrap_or_default();
        let (name, ticks) = match head.split_once(':') {
            Some((name, ticks)) => (name.trim(), Some(ticks.trim())),
            None => (head, None),
        };
        let mut kind = Kind::from_name(name)?;
        let ticks = match ticks {
            None if matches!(kind, Kind::Trajectory(_)) => 5,
            None => 8,
            Some(t) => match t.parse::<usize>() {
                Ok(n) if (1..=MOST_TICKS).contains(&n) => n,
                _ => return Err(bad("ticks", t, "a whole number from 1 to 1 000 000")),
            },
        };
        for part in parts {
            let Some((key, value)) = part.split_once('=') else {
                return Err(bad(part, "", "key=value"));
            };
            let (key, value) = (key.trim(), value.trim());
            if !kind.set(key, value)? {
                return Err(EncodeError::UnknownParameter {
                    owner: name.to_owned(),
                    name: key.to_owned(),
                    known: kind.known_parameters().to_owned(),
                });
            }
        }
        if let Kind::Trajectory(t) = &mut kind {
            t.ticks = ticks;
        }
        Ok(EncoderSpec { text: text.trim().to_owned(), ticks, kind })
    }
}

impl fmt::Display for EncoderSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl EncoderSpec {
    /// Ticks per sample.
    pub fn ticks(&self) -> usize {
        self.ticks
    }

    /// The trajectory encoder, when it is one.
    pub fn trajectory(&self) -> Option<&TrajectoryEncoder> {
        match &self.kind {
            Kind::Trajectory(t) => Some(t),
            _ => None,
        }
    }

    /// Whether it yields spikes (else a drive).
    pub fn is_spiking(&self) -> bool {
        !matches!(self.kind, Kind::Trajectory(_) | Kind::Direct)
    }

    /// Number of input channels or neurons for vectors of `width` features.
    pub fn channels(&self, width: usize) -> usize {
        match self.kind {
            Kind::Trajectory(_) => 3 * width,
            Kind::Delta { .. } => 2 * width,
            _ => width,
        }
    }

    /// Encodes a batch, rows of `width` features. `seed` and `first`, the number of the first
    /// sample within its data set, key the random encoders, so that a set encoded in pieces equals
    /// the set encoded at once (but for scales taken over the batch).
    ///
    /// # Errors
    /// [`EncodeError::BadShape`], and those of the encoder.
    pub fn encode(
        &self,
        features: &[f64],
        width: usize,
        seed: u64,
        first: u64,
    ) -> Result<Vec<Encoded>, EncodeError> {
        check_shape(features.len(), width)?;
        match &self.kind {
            Kind::Trajectory(t) => {
                let signals = t.encode(features, width)?;
                Ok(signals.into_iter().map(Encoded::Signal).collect())
            }
            Kind::Published(p) => {
                let events = p.encode(features, width, self.ticks as u64)?;
                Ok(events.into_iter().map(Encoded::Events).collect())
            }
            _ => features
                .chunks_exact(width)
                .enumerate()
                .map(|(n, row)| {
                    let number = first.wrapping_add(n as u64);
                    self.encode_one(row, seed, number).map_err(|e| at_sample(e, n))
                })
                .collect(),
        }
    }

    /// Encodes one vector by an encoder that does not look at the rest of its batch.
    fn encode_one(&self, row: &[f64], seed: u64, sample: u64) -> Result<Encoded, EncodeError> {
        let ticks = self.ticks as u64;
        let events = match self.kind {
            Kind::Rate { max_rate } => plain::rate(row, ticks, max_rate)?,
            Kind::Poisson { max_rate } => plain::poisson(row, ticks, max_rate, seed, sample)?,
            Kind::Latency { threshold, tau } => {
                // The default lets a feature of twice the threshold spike at the last tick.
                let tau = tau.unwrap_or((self.ticks as f64 - 0.5) / std::f64::consts::LN_2);
                plain::latency(row, ticks, threshold, tau)?
            }
            Kind::Ttfs { threshold } => plain::ttfs(row, ticks, threshold)?,
            Kind::Delta { threshold } => plain::delta(&plain::direct(row, self.ticks)?, threshold)?,
            Kind::Phase { period } => plain::phase(row, ticks, period)?,
            Kind::Burst { most, shortest } => plain::burst(row, ticks, most, shortest)?,
            Kind::Direct | Kind::Trajectory(_) | Kind::Published(_) => {
                return plain::direct(row, self.ticks).map(Encoded::Signal);
            }
        };
        Ok(Encoded::Events(events))
    }
}

fn at_sample(error: EncodeError, n: usize) -> EncodeError {
    match error {
        EncodeError::BadFeature { index, found, expected, .. } => {
            EncodeError::BadFeature { sample: n, index, found, expected }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spec(text: &str) -> EncoderSpec {
        text.parse().unwrap()
    }

    #[test]
    fn every_encoder_encodes_by_its_name() {
        let features = [0.0, 0.3, 1.0, 0.7];
        for name in names().into_iter().filter(|n| *n != "chen") {
            let s = spec(&format!("{name}:6"));
            let out = s.encode(&features, 2, 1, 0).unwrap();
            assert_eq!(out.len(), 2, "{name}");
            for sample in out {
                let (ticks, channels, spiking) = match sample {
                    Encoded::Signal(x) => (x.ticks(), x.channels(), false),
                    Encoded::Events(x) => (x.ticks() as usize, x.neurons() as usize, true),
                };
                assert_eq!((ticks, channels), (6, s.channels(2)), "{name}");
                assert_eq!(spiking, s.is_spiking(), "{name}");
            }
        }
    }

    #[test]
    fn parameters_reach_the_system_and_the_rule() {
        let s = spec("mixed:5, damping=-1.5, tmax=4, clip=8, scale=sample, scheme=euler");
        let t = s.trajectory().unwrap();
        assert_eq!(t.dynamics.constant_divergence(), Some(3.0));
        assert_eq!((t.ticks, t.tmax, t.clip), (5, 4.0, Some(8.0)));
        assert_eq!((t.scale, t.dynamics.scheme), (Scale::PerSample, Scheme::Euler));
    }

    #[test]
    fn a_set_encoded_in_pieces_equals_the_set_encoded_at_once() {
        let features: Vec<f64> = (0..20).map(|k| f64::from(k) / 20.0).collect();
        let s = spec("poisson:50");
        let whole = s.encode(&features, 4, 9, 0).unwrap();
        let tail = s.encode(&features[8..], 4, 9, 2).unwrap();
        assert_eq!(whole[2..], tail);
    }

    #[test]
    fn errors_name_what_is_wrong_and_what_would_be_right() {
        let text = |s: &str| s.parse::<EncoderSpec>().unwrap_err().to_string();
        assert!(text("raet:5").contains("direct, rate, poisson"));
        assert!(text("rate:0").contains("from 1 to"));
        assert!(text("rate:5,rho=1").contains("it has: max_rate"));
        assert!(text("mixed:5,rho=1").contains("alpha, beta, delta"));
        assert!(text("mixed:5,clip").contains("key=value"));
        assert!(text("mixed:5,scale=-1").contains("`sample`, `batch`"));
        let bad = spec("rate:3").encode(&[0.5, 0.5, 0.5, 2.0], 2, 0, 0).unwrap_err();
        assert!(bad.to_string().starts_with("feature 1 of sample 1 is 2"));
    }

    proptest! {
        #[test]
        fn any_text_is_an_error_or_an_encoder(text in "[a-z:,=.0-9-]{0,40}") {
            let _ = text.parse::<EncoderSpec>();
        }

        #[test]
        fn plain_encoders_never_leave_their_bounds(
            name in 0usize..8,
            ticks in 1usize..20,
            features in prop::collection::vec(0.0f64..=1.0, 1..9),
        ) {
            let s = spec(&format!("{}:{ticks}", PLAIN[name]));
            for e in s.encode(&features, features.len(), 3, 0).unwrap() {
                if let Encoded::Events(e) = e {
                    prop_assert!(e.all().iter().all(|e| e.tick < ticks as u64));
                    prop_assert!(e.all().windows(2).all(|w| w[0] < w[1]));
                }
            }
        }
    }
}
