//! Features to trajectories to the trainer's samples.

use rayon::prelude::*;
use synop_encode::{Dynamics, Scale, TrajectoryEncoder};

use super::features::Features;
use crate::Failure;
use crate::train::{InputGrid, Samples};

/// How features drive the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Drive {
    /// The dynamical system that every feature starts.
    pub dynamics: Dynamics,
    /// Horizon of the integration.
    pub tmax: f64,
    /// Moments that are read.
    pub steps: usize,
    /// Saturation of what is read, if any.
    pub limit: Option<f32>,
}

impl Drive {
    /// The study's drive: the mixed oscillator at this damping, 5 moments up to time 8, saturated at ±8.
    pub fn mixed(damping: f64) -> Self {
        Self { dynamics: Dynamics::mixed(damping), tmax: 8.0, steps: 5, limit: Some(8.0) }
    }

    /// The encoder, dividing by one constant.
    pub fn encoder(&self, scale: f32) -> TrajectoryEncoder {
        TrajectoryEncoder {
            scale: Scale::Fixed(f64::from(scale)),
            clip: self.limit.map(f64::from),
            ..TrajectoryEncoder::new(self.dynamics.clone(), self.tmax, self.steps)
        }
    }

    /// Trajectories of rows of `width` features, divided by `scale` and kept within ±1, on the threads of the pool.
    ///
    /// # Errors
    /// The work failed: the system diverged.
    pub fn samples(&self, rows: &[f32], width: usize, labels: &[u8], scale: f32) -> Result<Samples, Failure> {
        let encoder = self.encoder(scale);
        let scale = if scale > 0.0 { f64::from(scale) } else { 1.0 };
        let start = |feature: &f32| (f64::from(*feature) / scale).clamp(-1.0, 1.0);
        // equal features share a trajectory
        let mut starts: Vec<u64> = rows.iter().map(|feature| start(feature).to_bits()).collect();
        starts.sort_unstable();
        starts.dedup();
        let paths: Vec<Vec<[f64; 3]>> = starts
            .par_iter()
            .map(|bits| encoder.path(f64::from_bits(*bits)))
            .collect::<Result<_, _>>()
            .map_err(|error| Failure::work(format_args!("the drive cannot be encoded: {error}")))?;
        let mut samples = Samples::new(self.steps, 3 * width);
        let mut values = vec![0.0f32; self.steps * 3 * width];
        for (row, label) in rows.chunks_exact(width.max(1)).zip(labels) {
            for (j, feature) in row.iter().enumerate() {
                let Ok(at) = starts.binary_search(&start(feature).to_bits()) else { continue };
                for (step, point) in paths[at].iter().enumerate() {
                    for axis in 0..3 {
                        values[step * 3 * width + 3 * j + axis] = point[axis] as f32;
                    }
                }
            }
            samples.push(&values, *label);
        }
        Ok(samples)
    }

    /// Training and held-out samples.
    ///
    /// # Errors
    /// As [`Drive::samples`].
    pub fn split(&self, features: &Features) -> Result<(Samples, Samples), Failure> {
        let encode = |rows: &[f32], labels: &[u8]| self.samples(rows, features.width, labels, features.scale);
        Ok((encode(&features.train, &features.train_labels)?, encode(&features.test, &features.test_labels)?))
    }
}

/// The integers that serve a drive: a saturating drive needs range, a decaying one needs fine steps.
///
/// ±8 in steps of 8/127 where the system expands (damping below 0), ±2 in steps of 2/127 elsewhere, where ±1.83 bounds
/// all trajectories. Both are 8-bit integers.
pub fn grid_of(damping: f64) -> InputGrid {
    if damping < 0.0 {
        InputGrid { step: 8.0 / 127.0, limit: 8.0 }
    } else {
        InputGrid { step: 2.0 / 127.0, limit: 2.0 }
    }
}
