//! Finite-time Lyapunov spectra.
//!
//! A frame of three tangent vectors is carried along the trajectory by the truncated exponential
//! `I + A + A²/2 + A³/6 + A⁴/24`, with `A` the Jacobian before the step times `dt`, and is made
//! orthonormal again every few steps; the exponents are the mean logarithms of the stretches (the
//! diagonal of R). On a short transient they are properties of that transient; after a long run from
//! the attractor they approach the asymptotic spectrum.

use crate::{Dynamics, EncodeError, integrate};

type Matrix = [[f64; 3]; 3];

const IDENTITY: Matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

/// How a spectrum is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LyapunovRun {
    /// State from which the run starts.
    pub initial: [f64; 3],
    /// Step size.
    pub dt: f64,
    /// Steps taken before measuring begins.
    pub transient: usize,
    /// Steps measured.
    pub steps: usize,
    /// Steps between two orthonormalisations.
    pub qr_every: usize,
}

impl LyapunovRun {
    /// The study's measurement: from (0.1, 0.1, 0.1) without transient, `tmax` of time in steps of
    /// 0.01, QR every fifth step.
    ///
    /// # Errors
    /// Those of [`integrate::steps_to`].
    pub fn finite_time(tmax: f64) -> Result<Self, EncodeError> {
        Ok(LyapunovRun {
            initial: [0.1; 3],
            dt: 0.01,
            transient: 0,
            steps: integrate::steps_to(tmax, 0.01)?,
            qr_every: 5,
        })
    }
}

/// A measured spectrum, in inverse units of the system's time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spectrum {
    /// Exponents in the order in which QR finds them.
    pub qr_order: [f64; 3],
    /// Exponents from the largest to the smallest.
    pub sorted: [f64; 3],
    /// Their sum: the mean rate of volume growth.
    pub sum: f64,
    /// Mean of the divergence over the states before each measured step; equals `sum` up to the
    /// truncation of the exponential.
    pub mean_divergence: f64,
    /// State after the last step.
    pub final_state: [f64; 3],
    /// Time over which the exponents are averaged: whole blocks of `qr_every` steps.
    pub time: f64,
}

fn multiply(a: &Matrix, b: &Matrix) -> Matrix {
    let mut c = [[0.0; 3]; 3];
    for i in 0..3 {
        for j in 0..3 {
            c[i][j] = a[i][0] * b[0][j] + a[i][1] * b[1][j] + a[i][2] * b[2][j];
        }
    }
    c
}

/// `I + A + A²/2 + A³/6 + A⁴/24` with `A = jacobian · dt`.
fn propagator(jacobian: &Matrix, dt: f64) -> Matrix {
    let a = jacobian.map(|row| row.map(|v| v * dt));
    let (mut sum, mut power) = (IDENTITY, IDENTITY);
    for factorial in [1.0, 2.0, 6.0, 24.0] {
        power = multiply(&power, &a);
        for i in 0..3 {
            for j in 0..3 {
                sum[i][j] += power[i][j] / factorial;
            }
        }
    }
    sum
}

/// Orthonormalises the columns in order (Gram–Schmidt, twice, which is accurate to rounding) and
/// returns the diagonal of R.
fn orthonormalise(q: &mut Matrix) -> [f64; 3] {
    let mut stretch = [0.0; 3];
    for j in 0..3 {
        for _ in 0..2 {
            for k in 0..j {
                let along: f64 = (0..3).map(|i| q[i][k] * q[i][j]).sum();
                for row in q.iter_mut() {
                    row[j] -= along * row[k];
                }
            }
        }
        let norm = (0..3).map(|i| q[i][j] * q[i][j]).sum::<f64>().sqrt();
        stretch[j] = norm;
        for row in q.iter_mut() {
            row[j] /= norm;
        }
    }
    stretch
}

/// Measures the spectrum of `dynamics` along one trajectory.
///
/// # Errors
/// [`EncodeError::BadParameter`] unless at least one whole block of `qr_every ≥ 1` steps is measured;
/// [`EncodeError::Diverged`] when the state or the frame overflows.
pub fn spectrum(dynamics: &Dynamics, run: &LyapunovRun) -> Result<Spectrum, EncodeError> {
    let blocks = run.steps.checked_div(run.qr_every).unwrap_or(0);
    if blocks == 0 || !(run.dt.is_finite() && run.dt > 0.0) {
        return Err(EncodeError::BadParameter {
            name: "steps".to_owned(),
            found: format!("{} of {} with QR every {}", run.steps, run.dt, run.qr_every),
            expected: "at least one whole block of qr_every >= 1 steps of positive size",
        });
    }
    let mut state = run.initial;
    let time_of = |step: usize| step as f64 * run.dt;
    for k in 0..run.transient {
        state = integrate::step(dynamics, time_of(k), state, run.dt);
    }
    let (mut frame, mut logs, mut divergence) = (IDENTITY, [0.0; 3], 0.0);
    for k in 0..run.steps {
        let jacobian = dynamics.jacobian(state);
        divergence += jacobian[0][0] + jacobian[1][1] + jacobian[2][2];
        frame = multiply(&propagator(&jacobian, run.dt), &frame);
        state = integrate::step(dynamics, time_of(run.transient + k), state, run.dt);
        if (k + 1) % run.qr_every == 0 {
            let stretch = orthonormalise(&mut frame);
            for i in 0..3 {
                logs[i] += stretch[i].ln();
            }
            if logs.iter().chain(&state).any(|v| !v.is_finite()) {
                return Err(EncodeError::Diverged {
                    system: dynamics.system().name(),
                    initial: run.initial,
                    step: run.transient + k + 1,
                    time: time_of(run.transient + k + 1),
                });
            }
        }
    }
    let time = (blocks * run.qr_every) as f64 * run.dt;
    let qr_order = logs.map(|l| l / time);
    let mut sorted = qr_order;
    sorted.sort_by(|a, b| b.total_cmp(a));
    Ok(Spectrum {
        qr_order,
        sorted,
        sum: qr_order.iter().sum(),
        mean_divergence: divergence / run.steps as f64,
        final_state: state,
        time,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::System;

    #[test]
    fn the_sum_of_the_mixed_oscillator_is_minus_twice_its_damping() {
        for damping in [-1.5, -0.3, 0.0, 0.6, 2.5, 10.0] {
            let run = LyapunovRun::finite_time(8.0).unwrap();
            let s = spectrum(&Dynamics::mixed(damping), &run).unwrap();
            assert!((s.sum + 2.0 * damping).abs() < 2e-5, "{damping}: {}", s.sum);
        }
    }

    #[test]
    fn a_linear_decay_has_its_rates_as_exponents() {
        // y = 0 kept: with σ = 3, β = 0.5, ρ = 0 the origin of Lorenz has exponents −3, −1, −0.5.
        let mut lorenz = Dynamics::new(System::Lorenz);
        for (name, value) in [("sigma", 3.0), ("rho", 0.0), ("beta", 0.5)] {
            lorenz.set(name, value).unwrap();
        }
        let run = LyapunovRun { initial: [0.0; 3], dt: 0.01, transient: 10, steps: 4000, qr_every: 5 };
        let s = spectrum(&lorenz, &run).unwrap();
        for (found, exact) in s.sorted.iter().zip([-0.5, -1.0, -3.0]) {
            assert!((found - exact).abs() < 0.02, "{s:?}");
        }
    }

    #[test]
    fn an_empty_or_diverging_run_is_an_error() {
        let mut run = LyapunovRun::finite_time(8.0).unwrap();
        assert!(spectrum(&Dynamics::new(System::Chen), &run).is_err());
        run.qr_every = 0;
        assert!(spectrum(&Dynamics::mixed(1.0), &run).is_err());
        run.qr_every = 801;
        assert!(spectrum(&Dynamics::mixed(1.0), &run).is_err());
    }
}
