//! The static-vector-to-trajectory rule.
//!
//! Each feature, divided by the scale of its sample or batch, starts a trajectory of its own from
//! `(v, 0.2 v, −v)`; the trajectory is integrated to the horizon, resampled at `ticks` equidistant
//! moments, and its three coordinates are the channels `3·feature + axis`.

use crate::signal::{Signal, check_shape, resample_point};
use crate::{Dynamics, EncodeError, integrate};
use std::collections::HashMap;

/// By what the features of a sample are divided before they start their trajectories.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// The largest absolute feature of the sample itself.
    PerSample,
    /// The largest absolute feature of all samples encoded together.
    PerBatch,
    /// This number; one constant for training and test data is what hardware would have.
    Fixed(f64),
}

/// An encoder of feature vectors as trajectories.
#[derive(Debug, Clone, PartialEq)]
pub struct TrajectoryEncoder {
    /// The system that is integrated.
    pub dynamics: Dynamics,
    /// Step of the integration.
    pub dt: f64,
    /// Horizon of the integration.
    pub tmax: f64,
    /// Moments at which the trajectory is read. 1 reads the initial state only: no dynamics.
    pub ticks: usize,
    /// Scope of the normalisation.
    pub scale: Scale,
    /// Bound at which the read values (never the state) are clipped.
    pub clip: Option<f64>,
}

/// Trajectories remembered by initial value, so that equal features are integrated once.
#[derive(Debug, Default)]
pub struct Memo {
    known: HashMap<u64, Vec<[f64; 3]>>,
}

/// Trajectories that a [`Memo`] keeps at most; later ones are computed and forgotten.
const MEMO_ENTRIES: usize = 1 << 16;

impl TrajectoryEncoder {
    /// The study's encoder: steps of 0.01, scale per batch, no clipping.
    pub fn new(dynamics: Dynamics, tmax: f64, ticks: usize) -> Self {
        TrajectoryEncoder { dynamics, dt: 0.01, tmax, ticks, scale: Scale::PerBatch, clip: None }
    }

    /// The `ticks` moments of the trajectory that starts from the (already scaled) value `v`.
    ///
    /// # Errors
    /// [`EncodeError::Diverged`], or [`EncodeError::BadParameter`] for a step or horizon out of range.
    pub fn path(&self, v: f64) -> Result<Vec<[f64; 3]>, EncodeError> {
        let steps = integrate::steps_to(self.tmax, self.dt)?;
        let states = integrate::trajectory(&self.dynamics, [v, 0.2 * v, -v], self.dt, steps)?;
        let mut path = Vec::with_capacity(self.ticks);
        for k in 0..self.ticks {
            let Some((left, fraction)) = resample_point(states.len(), self.ticks, k) else {
                break;
            };
            let (a, b) = (states[left], states[(left + 1).min(steps)]);
            let mut point = [0.0; 3];
            for i in 0..3 {
                point[i] = a[i] + (b[i] - a[i]) * fraction;
                if let Some(bound) = self.clip {
                    point[i] = point[i].min(bound).max(-bound);
                }
            }
            path.push(point);
        }
        Ok(path)
    }

    /// Encodes one vector whose features are divided by `scale` (a scale of 0, that of an
    /// all-zero vector, divides by 1).
    ///
    /// # Errors
    /// Those of [`TrajectoryEncoder::path`].
    pub fn encode_scaled(
        &self,
        features: &[f64],
        scale: f64,
        memo: &mut Memo,
    ) -> Result<Signal, EncodeError> {
        let scale = if scale == 0.0 { 1.0 } else { scale };
        let channels = 3 * features.len();
        let mut values = vec![0.0; self.ticks.saturating_mul(channels)];
        for (j, feature) in features.iter().enumerate() {
            let v = feature / scale;
            let fresh;
            let path = match memo.known.get(&v.to_bits()) {
                Some(path) => path,
                None if memo.known.len() < MEMO_ENTRIES => {
                    let path = self.path(v)?;
                    memo.known.entry(v.to_bits()).or_insert(path)
                }
                None => {
                    fresh = self.path(v)?;
                    &fresh
                }
            };
            for (tick, point) in path.iter().enumerate() {
                let start = tick * channels + 3 * j;
                values[start..start + 3].copy_from_slice(point);
            }
        }
        Signal::new(channels.max(1), values)
    }

    /// Encodes a batch of vectors, `features` row by row of `width`.
    ///
    /// # Errors
    /// [`EncodeError::BadShape`], [`EncodeError::BadFeature`] for a feature that is not finite,
    /// [`EncodeError::BadParameter`] for a fixed scale that is not a positive number, and those of
    /// [`TrajectoryEncoder::path`].
    pub fn encode(&self, features: &[f64], width: usize) -> Result<Vec<Signal>, EncodeError> {
        check_shape(features.len(), width)?;
        check_finite(features, width)?;
        let largest = |values: &[f64]| values.iter().fold(0.0f64, |m, v| v.abs().max(m));
        let common = match self.scale {
            Scale::PerBatch => largest(features),
            Scale::Fixed(s) if s.is_finite() && s > 0.0 => s,
            Scale::Fixed(s) => {
                return Err(EncodeError::BadParameter {
                    name: "scale".to_owned(),
                    found: s.to_string(),
                    expected: "a positive number, `sample` or `batch`",
                });
            }
            Scale::PerSample => 1.0,
        };
        let mut memo = Memo::default();
        features
            .chunks_exact(width)
            .map(|sample| {
                let scale = match self.scale {
                    Scale::PerSample => largest(sample),
                    Scale::PerBatch | Scale::Fixed(_) => common,
                };
                self.encode_scaled(sample, scale, &mut memo)
            })
            .collect()
    }
}

/// Fails at the first feature that is not finite.
pub(crate) fn check_finite(features: &[f64], width: usize) -> Result<(), EncodeError> {
    match features.iter().position(|f| !f.is_finite()) {
        None => Ok(()),
        Some(k) => Err(EncodeError::BadFeature {
            sample: k / width,
            index: k % width,
            found: features[k],
            expected: "a finite number",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_feature_major_and_the_first_tick_is_the_initial_state() {
        let encoder = TrajectoryEncoder::new(Dynamics::mixed(10.0), 8.0, 5);
        let signals = encoder.encode(&[9.0, -3.0, 2.25, 4.5], 2).unwrap();
        assert_eq!((signals.len(), signals[0].ticks()), (2, 5));
        let third = -3.0 / 9.0;
        assert_eq!(signals[0].tick(0), [1.0, 0.2, -1.0, third, 0.2 * third, -third]);
        assert_eq!(signals[1].tick(0)[0], 0.25);
    }

    #[test]
    fn the_scope_of_the_scale_decides_what_magnitude_survives() {
        let mut encoder = TrajectoryEncoder::new(Dynamics::mixed(10.0), 8.0, 1);
        let first = |e: &TrajectoryEncoder| e.encode(&[2.0, 8.0], 1).unwrap()[0].tick(0)[0];
        assert_eq!(first(&encoder), 0.25);
        encoder.scale = Scale::PerSample;
        assert_eq!(first(&encoder), 1.0);
        encoder.scale = Scale::Fixed(4.0);
        assert_eq!(first(&encoder), 0.5);
        encoder.scale = Scale::Fixed(0.0);
        assert!(encoder.encode(&[1.0], 1).is_err());
    }

    #[test]
    fn clipping_bounds_the_reading_and_not_the_state() {
        let mut encoder = TrajectoryEncoder::new(Dynamics::mixed(-1.5), 8.0, 5);
        let free = encoder.encode(&[1.0], 1).unwrap();
        encoder.clip = Some(8.0);
        let clipped = encoder.encode(&[1.0], 1).unwrap();
        assert!(free[0].abs_max() > 1e5);
        for (f, c) in free[0].values().iter().zip(clipped[0].values()) {
            assert_eq!(f.clamp(-8.0, 8.0), *c);
        }
    }

    #[test]
    fn zero_vectors_empty_batches_and_bad_numbers_are_handled() {
        let encoder = TrajectoryEncoder::new(Dynamics::mixed(10.0), 8.0, 5);
        assert_eq!(encoder.encode(&[0.0, 0.0], 2).unwrap()[0].abs_max(), 0.0);
        assert!(encoder.encode(&[], 2).unwrap().is_empty());
        assert!(encoder.encode(&[1.0], 0).is_err());
        assert!(encoder.encode(&[1.0, f64::NAN], 2).is_err());
    }
}
