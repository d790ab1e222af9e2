//! The spike-coding baselines of the dynamical-alignment study, as its code computes them.
//!
//! Under familiar names they do something else (the reference lists it): "time to first spike"
//! is a threshold once and then a spike of every input at every tick; "delta" differences
//! neighbouring images of a batch; "latency" lets black pixels spike at the last tick; in "phase"
//! black pixels spike half of the time. They are here to reproduce that comparison and for nothing
//! else; the codes that the names promise are in [`crate::plain`].

use crate::EncodeError;
use crate::plain::{check_unit, collect};
use crate::signal::{Events, check_shape};
use std::f64::consts::PI;

/// One of the published baselines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Published {
    /// At tick 0 a spike where `p > 0.1`; from tick 1 on every input spikes.
    Ttfs,
    /// A spike at every tick where the feature exceeds that of the previous sample of the batch by
    /// at least 0.1 (the first sample is compared with zeros).
    Delta,
    /// One spike at `ln(p/(p − 0.01))`, scaled so that the latest of the batch falls on the last
    /// tick; features below 0.01 spike there too.
    Latency,
    /// A spike at tick `t` where `sin(2πp − 2πt/ticks) ≥ 0`.
    Phase,
    /// `V += p/max(batch)`; a spike when `V ≥ 0.5·g`, which is subtracted; `g` shrinks by 0.95 with
    /// each spike and returns to 1 without.
    Burst,
}

/// Largest of the values, 0 for none.
fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max)
}

impl Published {
    /// Every baseline.
    pub const ALL: [Published; 5] =
        [Published::Ttfs, Published::Delta, Published::Latency, Published::Phase, Published::Burst];

    /// The name by which users call it.
    pub fn name(self) -> &'static str {
        match self {
            Published::Ttfs => "published-ttfs",
            Published::Delta => "published-delta",
            Published::Latency => "published-latency",
            Published::Phase => "published-phase",
            Published::Burst => "published-burst",
        }
    }

    /// Encodes a batch (these baselines let the samples of a batch influence each other), rows of
    /// `width` features in `[0, 1]`, over `ticks` ticks.
    ///
    /// # Errors
    /// [`EncodeError::BadShape`]; [`EncodeError::BadFeature`] outside of `[0, 1]`.
    pub fn encode(self, features: &[f64], width: usize, ticks: u64) -> Result<Vec<Events>, EncodeError> {
        check_shape(features.len(), width)?;
        check_unit(features)?;
        let rows = || features.chunks_exact(width);
        let turns = |t: u64| 2.0 * PI * t as f64 / ticks as f64;
        Ok(match self {
            Published::Ttfs => rows().map(|row| collect(row, ticks, |_, p, t| t > 0 || p > 0.1)).collect(),
            Published::Phase => rows()
                .map(|row| collect(row, ticks, |_, p, t| (2.0 * PI * p - turns(t)).sin() >= 0.0))
                .collect(),
            Published::Delta => {
                let before = std::iter::once(vec![0.0; width]).chain(rows().map(<[f64]>::to_vec));
                rows()
                    .zip(before)
                    .map(|(row, old)| collect(row, ticks, |j, p, _| p - old[j] >= 0.1))
                    .collect()
            }
            Published::Latency => latency(features, width, ticks),
            Published::Burst => burst(features, width, ticks),
        })
    }
}

fn latency(features: &[f64], width: usize, ticks: u64) -> Vec<Events> {
    let crossing = |p: f64| {
        let p = p.max(0.01 + 1e-7);
        (p / (p - 0.01)).ln()
    };
    let latest = largest(features.iter().map(|p| crossing(*p)));
    let factor = ticks.saturating_sub(1) as f64 / latest;
    let spike = |p: f64| (crossing(p) * factor).round_ties_even();
    features.chunks_exact(width).map(|row| collect(row, ticks, |_, p, t| spike(p) == t as f64)).collect()
}

fn burst(features: &[f64], width: usize, ticks: u64) -> Vec<Events> {
    let scale = match largest(features.iter().copied()) {
        0.0 => 1.0,
        m => m,
    };
    features
        .chunks_exact(width)
        .map(|row| {
            let mut state = vec![(0.0f64, 1.0f64); width];
            collect(row, ticks, |j, p, _| {
                let (v, g) = &mut state[j];
                *v += p / scale;
                let threshold = *g * 0.5;
                let spike = *v >= threshold;
                if spike {
                    *v -= threshold;
                    *g *= 0.95;
                } else {
                    *g = 1.0;
                }
                spike
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks_of(events: &Events, neuron: u32) -> Vec<u64> {
        let of = events.all().iter().filter(|e| e.neuron == neuron);
        of.map(|e| e.tick).collect()
    }

    #[test]
    fn published_ttfs_is_all_ones_after_the_first_tick() {
        let e = Published::Ttfs.encode(&[0.0, 0.1, 0.2], 3, 3).unwrap();
        assert_eq!(ticks_of(&e[0], 0), [1, 2]);
        assert_eq!(ticks_of(&e[0], 1), [1, 2]);
        assert_eq!(ticks_of(&e[0], 2), [0, 1, 2]);
    }

    #[test]
    fn published_delta_compares_neighbouring_samples() {
        let e = Published::Delta.encode(&[0.5, 0.0, 0.5, 0.4], 2, 2).unwrap();
        assert_eq!(ticks_of(&e[0], 0), [0, 1]);
        assert!(ticks_of(&e[0], 1).is_empty() && ticks_of(&e[1], 0).is_empty());
        assert_eq!(ticks_of(&e[1], 1), [0, 1]);
    }

    #[test]
    fn published_latency_makes_black_features_spike_last() {
        let e = Published::Latency.encode(&[0.0, 0.005, 1.0], 3, 8).unwrap();
        assert_eq!(ticks_of(&e[0], 0), [7]);
        assert_eq!(ticks_of(&e[0], 1), [7]);
        assert_eq!(ticks_of(&e[0], 2), [0]);
    }

    #[test]
    fn published_phase_makes_black_features_spike_half_of_the_time() {
        let e = Published::Phase.encode(&[0.0], 1, 100).unwrap();
        assert!(ticks_of(&e[0], 0).len().abs_diff(50) <= 1);
    }

    #[test]
    fn published_burst_lowers_its_threshold_with_every_spike() {
        let e = Published::Burst.encode(&[0.0, 0.24, 1.0], 3, 6).unwrap();
        assert!(ticks_of(&e[0], 0).is_empty());
        assert_eq!(ticks_of(&e[0], 1), [2, 4]);
        assert_eq!(ticks_of(&e[0], 2), [0, 1, 2, 3, 4, 5]);
    }
}
