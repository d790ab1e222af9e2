//! Stepping a system in time.

use crate::{Dynamics, EncodeError, Scheme};

/// `s + k·d`, coordinate by coordinate.
fn axpy(s: [f64; 3], k: f64, d: [f64; 3]) -> [f64; 3] {
    [s[0] + k * d[0], s[1] + k * d[1], s[2] + k * d[2]]
}

/// One step of size `dt` from `state` at time `t`, by the scheme of `dynamics`.
///
/// A driven system sees its drive at `t`, `t + dt/2` and `t + dt`.
pub fn step(dynamics: &Dynamics, t: f64, state: [f64; 3], dt: f64) -> [f64; 3] {
    let k1 = dynamics.derivative(t, state);
    match dynamics.scheme {
        Scheme::Euler => axpy(state, dt, k1),
        Scheme::Rk4 => {
            let half = 0.5 * dt;
            let k2 = dynamics.derivative(t + half, axpy(state, half, k1));
            let k3 = dynamics.derivative(t + half, axpy(state, half, k2));
            let k4 = dynamics.derivative(t + dt, axpy(state, dt, k3));
            let mut next = state;
            for i in 0..3 {
                next[i] += dt / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]);
            }
            next
        }
    }
}

/// The `steps + 1` states of a trajectory, the initial one included, `dt` apart.
///
/// # Errors
/// [`EncodeError::Diverged`] at the first state that is not finite.
pub fn trajectory(
    dynamics: &Dynamics,
    initial: [f64; 3],
    dt: f64,
    steps: usize,
) -> Result<Vec<[f64; 3]>, EncodeError> {
    let mut states = Vec::with_capacity(steps + 1);
    let mut state = initial;
    states.push(state);
    for k in 0..steps {
        state = step(dynamics, k as f64 * dt, state, dt);
        if state.iter().any(|c| !c.is_finite()) {
            return Err(EncodeError::Diverged {
                system: dynamics.system().name(),
                initial,
                step: k + 1,
                time: (k + 1) as f64 * dt,
            });
        }
        states.push(state);
    }
    Ok(states)
}

/// Most steps that a trajectory may have: bounds what a mistyped horizon can allocate.
pub const MOST_STEPS: usize = 100_000_000;

/// The number of steps of size `dt` to the horizon `tmax`: the nearest whole number.
///
/// # Errors
/// [`EncodeError::BadParameter`] unless both are finite, `dt` positive, `tmax` not negative, and the
/// number at most [`MOST_STEPS`].
pub fn steps_to(tmax: f64, dt: f64) -> Result<usize, EncodeError> {
    let bad = |name: &str, found: f64, expected| EncodeError::BadParameter {
        name: name.to_owned(),
        found: found.to_string(),
        expected,
    };
    if !(dt.is_finite() && dt > 0.0) {
        return Err(bad("dt", dt, "a positive number"));
    }
    let steps = (tmax / dt).round_ties_even();
    if !(0.0..=MOST_STEPS as f64).contains(&steps) {
        return Err(bad("tmax", tmax, "0 to 100 000 000 steps of dt"));
    }
    Ok(steps as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::System;

    #[test]
    fn halving_the_step_divides_the_error_by_the_order_of_the_scheme() {
        // Undamped linear oscillator: x(t) = cos t.
        let mut dynamics = Dynamics::mixed(0.0);
        for (name, value) in [("alpha", 1.0), ("beta", 0.0), ("gamma", 0.0)] {
            dynamics.set(name, value).unwrap();
        }
        let error = |scheme, steps: usize| {
            let mut d = dynamics.clone();
            d.scheme = scheme;
            let t = trajectory(&d, [1.0, 0.0, 0.0], 1.0 / steps as f64, steps).unwrap();
            (t[steps][0] - 1f64.cos()).abs()
        };
        let euler = error(Scheme::Euler, 100) / error(Scheme::Euler, 200);
        let rk4 = error(Scheme::Rk4, 20) / error(Scheme::Rk4, 40);
        assert!((1.9..2.1).contains(&euler), "{euler}");
        assert!((15.0..17.0).contains(&rk4), "{rk4}");
    }

    #[test]
    fn an_overflow_names_its_step() {
        let chen = Dynamics::new(System::Chen);
        let error = trajectory(&chen, [1.0, 0.2, -1.0], 0.01, 100).unwrap_err();
        assert!(matches!(error, EncodeError::Diverged { step, .. } if step < 40));
        assert!(steps_to(1e300, 0.01).is_err());
        assert!(steps_to(1.0, 0.0).is_err());
        assert!(steps_to(f64::NAN, 0.01).is_err());
    }
}
