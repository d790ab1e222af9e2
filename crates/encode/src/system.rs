//! The dynamical systems: parameters, vector fields, Jacobians.
//!
//! Each has three state variables `(x, y, z)`. Names, parameter values and integration schemes are
//! those of the dynamical-alignment study (arXiv 2508.10064) as its code has them; where they
//! differ from the textbook, the parameter table says so and the parameter can be overridden.

use crate::EncodeError;

/// Most parameters that a system has.
const MOST_PARAMETERS: usize = 6;

/// A dynamical system of three variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum System {
    /// Lorenz 1963: `ẋ = σ(y−x)`, `ẏ = x(ρ−z)−y`, `ż = xy−βz`.
    Lorenz,
    /// Rössler 1976: `ẋ = −y−z`, `ẏ = x+ay`, `ż = b+z(x−c)`.
    Rossler,
    /// Aizawa: `ẋ = (z−β)x−δy`, `ẏ = δx+(z−β)y`, `ż = γ+αz−z³/3−(x²+y²)(1+εz)+ζzx³`.
    Aizawa,
    /// Nosé–Hoover oscillator: `ẋ = y`, `ẏ = −x−yz`, `ż = y²−α`. Conservative.
    NoseHoover,
    /// Sprott's case C: `ẋ = yz`, `ẏ = x−y`, `ż = 1−ax²`. The study has a = 3, Sprott a = 1.
    SprottC,
    /// Chua's circuit: `ẋ = α(y−x−φ(x))`, `ẏ = x−y+z`, `ż = −βy−γz`,
    /// `φ(x) = m₁x + ½(m₀−m₁)(|x+1|−|x−1|)`.
    Chua,
    /// Chen: `ẋ = a(y−x)`, `ẏ = (c−a)x−xz+cy`, `ż = xy−bz`. With the study's parameters and Euler
    /// steps of 0.01 it overflows before t = 0.25.
    Chen,
    /// The mixed oscillator: `ẋ = y`, `ẏ = −αx−βx³−δy+γz+drive·cos(ωt)`, `ż = −ωx−δz+γxy`. Its
    /// divergence is −2δ everywhere, so the damping δ alone sets the sum of Lyapunov exponents.
    Mixed,
}

/// One named parameter and its value in the study.
type Parameter = (&'static str, f64);

impl System {
    /// Every system.
    pub const ALL: [System; 8] = [
        System::Lorenz,
        System::Rossler,
        System::Aizawa,
        System::NoseHoover,
        System::SprottC,
        System::Chua,
        System::Chen,
        System::Mixed,
    ];

    /// The name by which users call the system.
    pub fn name(self) -> &'static str {
        match self {
            System::Lorenz => "lorenz",
            System::Rossler => "rossler",
            System::Aizawa => "aizawa",
            System::NoseHoover => "nose_hoover",
            System::SprottC => "sprott_c",
            System::Chua => "chua",
            System::Chen => "chen",
            System::Mixed => "mixed",
        }
    }

    /// The system of this name; case, `-` and `_` do not matter, and `sprott` means Sprott C.
    ///
    /// # Errors
    /// [`EncodeError::UnknownName`] with the names there are.
    pub fn from_name(name: &str) -> Result<System, EncodeError> {
        let plain = name.trim().to_ascii_lowercase().replace('-', "_");
        let wanted = match plain.as_str() {
            "sprott" => "sprott_c",
            "roessler" => "rossler",
            other => other,
        };
        let found = System::ALL.into_iter().find(|s| s.name() == wanted);
        found.ok_or_else(|| EncodeError::UnknownName {
            what: "system",
            name: name.to_owned(),
            known: System::ALL.map(System::name).join(", "),
        })
    }

    /// Names of the parameters with the values of the study, in the order in which
    /// [`Dynamics::parameters`] gives them.
    pub fn parameters(self) -> &'static [Parameter] {
        match self {
            System::Lorenz => &[("sigma", 10.0), ("rho", 28.0), ("beta", 8.0 / 3.0)],
            System::Rossler => &[("a", 0.2), ("b", 0.2), ("c", 5.7)],
            System::Aizawa => &[
                ("alpha", 0.95),
                ("beta", 0.7),
                ("gamma", 0.6),
                ("delta", 3.5),
                ("epsilon", 0.25),
                ("zeta", 0.1),
            ],
            System::NoseHoover => &[("alpha", 1.0)],
            System::SprottC => &[("a", 3.0)],
            System::Chua => {
                &[("alpha", 15.6), ("beta", 28.58), ("gamma", 0.0), ("m0", -1.143), ("m1", -0.714)]
            }
            System::Chen => &[("a", 60.0), ("b", 2.667), ("c", 97.0)],
            System::Mixed => &[
                ("alpha", 2.0),
                ("beta", 0.1),
                ("delta", 10.0),
                ("gamma", 0.1),
                ("omega", 1.0),
                ("drive", 0.0),
            ],
        }
    }

    /// The scheme by which the study integrates this system.
    pub fn scheme(self) -> Scheme {
        match self {
            System::Lorenz | System::NoseHoover | System::Chua | System::Mixed => Scheme::Rk4,
            System::Rossler | System::Aizawa | System::SprottC | System::Chen => Scheme::Euler,
        }
    }
}

/// How a trajectory is stepped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `s + h f(s)`.
    Euler,
    /// The classical fourth-order Runge–Kutta scheme.
    Rk4,
}

impl Scheme {
    /// `euler` or `rk4`.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Euler => "euler",
            Scheme::Rk4 => "rk4",
        }
    }

    /// The scheme of this name.
    ///
    /// # Errors
    /// [`EncodeError::UnknownName`] with the names there are.
    pub fn from_name(name: &str) -> Result<Scheme, EncodeError> {
        match name {
            "euler" => Ok(Scheme::Euler),
            "rk4" => Ok(Scheme::Rk4),
            _ => Err(EncodeError::UnknownName {
                what: "integration scheme",
                name: name.to_owned(),
                known: "euler, rk4".to_owned(),
            }),
        }
    }
}

/// A system with its parameters and the scheme that steps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Dynamics {
    system: System,
    values: [f64; MOST_PARAMETERS],
    /// The scheme that steps it; the study's own unless changed.
    pub scheme: Scheme,
}

/// Derivative of Chua's piecewise-linear characteristic.
fn chua_slope(m0: f64, m1: f64, x: f64) -> f64 {
    m1 + 0.5 * (m0 - m1) * (sign(x + 1.0) - sign(x - 1.0))
}

/// −1, 0 or 1: unlike [`f64::signum`], zero has no sign.
fn sign(x: f64) -> f64 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        0.0
    }
}

impl Dynamics {
    /// The system with the parameters and the scheme of the study.
    pub fn new(system: System) -> Self {
        let mut values = [0.0; MOST_PARAMETERS];
        for (value, (_, default)) in values.iter_mut().zip(system.parameters()) {
            *value = *default;
        }
        Dynamics { system, values, scheme: system.scheme() }
    }

    /// The mixed oscillator with the given damping δ.
    pub fn mixed(damping: f64) -> Self {
        let mut dynamics = Dynamics::new(System::Mixed);
        dynamics.values[2] = damping;
        dynamics
    }

    /// Sets one parameter by name; `damping` is another name of δ (`delta`).
    ///
    /// # Errors
    /// [`EncodeError::UnknownParameter`] with the names there are, or
    /// [`EncodeError::BadParameter`] when the value is not finite.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), EncodeError> {
        if !value.is_finite() {
            return Err(EncodeError::BadParameter {
                name: name.to_owned(),
                found: value.to_string(),
                expected: "a finite number",
            });
        }
        let wanted = if name == "damping" { "delta" } else { name };
        let table = self.system.parameters();
        match table.iter().position(|(n, _)| *n == wanted) {
            Some(k) => {
                self.values[k] = value;
                Ok(())
            }
            None => Err(EncodeError::UnknownParameter {
                owner: self.system.name().to_owned(),
                name: name.to_owned(),
                known: table.iter().map(|p| p.0).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// As [`Dynamics::set`], for chaining.
    ///
    /// # Errors
    /// Those of [`Dynamics::set`].
    pub fn with(mut self, name: &str, value: f64) -> Result<Self, EncodeError> {
        self.set(name, value)?;
        Ok(self)
    }

    /// The system.
    pub fn system(&self) -> System {
        self.system
    }

    /// Names and present values of the parameters.
    pub fn parameters(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        self.system.parameters().iter().zip(&self.values).map(|((name, _), value)| (*name, *value))
    }

    /// The vector field at time `t` (only a driven mixed oscillator depends on it).
    pub fn derivative(&self, t: f64, [x, y, z]: [f64; 3]) -> [f64; 3] {
        match (self.system, self.values) {
            (System::Lorenz, [sigma, rho, beta, ..]) => {
                [sigma * (y - x), x * (rho - z) - y, x * y - beta * z]
            }
            (System::Rossler, [a, b, c, ..]) => [-y - z, x + a * y, b + z * (x - c)],
            (System::Aizawa, [alpha, beta, gamma, delta, epsilon, zeta]) => [
                (z - beta) * x - delta * y,
                delta * x + (z - beta) * y,
                gamma + alpha * z - z * z * z / 3.0 - (x * x + y * y) * (1.0 + epsilon * z)
                    + zeta * z * x * x * x,
            ],
            (System::NoseHoover, [alpha, ..]) => [y, -x - y * z, y * y - alpha],
            (System::SprottC, [a, ..]) => [y * z, x - y, 1.0 - a * x * x],
            (System::Chua, [alpha, beta, gamma, m0, m1, ..]) => {
                let phi = m1 * x + 0.5 * (m0 - m1) * ((x + 1.0).abs() - (x - 1.0).abs());
                [alpha * (y - x - phi), x - y + z, -beta * y - gamma * z]
            }
            (System::Chen, [a, b, c, ..]) => [a * (y - x), (c - a) * x - x * z + c * y, x * y - b * z],
            (System::Mixed, [alpha, beta, delta, gamma, omega, drive]) => [
                y,
                -alpha * x - beta * x * x * x - delta * y + gamma * z + drive * (omega * t).cos(),
                -omega * x - delta * z + gamma * x * y,
            ],
        }
    }

    /// The Jacobian of the vector field, row by row: `[i][j] = ∂ẋᵢ/∂xⱼ`.
    pub fn jacobian(&self, [x, y, z]: [f64; 3]) -> [[f64; 3]; 3] {
        match (self.system, self.values) {
            (System::Lorenz, [sigma, rho, beta, ..]) => {
                [[-sigma, sigma, 0.0], [rho - z, -1.0, -x], [y, x, -beta]]
            }
            (System::Rossler, [a, _, c, ..]) => [[0.0, -1.0, -1.0], [1.0, a, 0.0], [z, 0.0, x - c]],
            (System::Aizawa, [alpha, beta, _, delta, epsilon, zeta]) => [
                [z - beta, -delta, x],
                [delta, z - beta, y],
                [
                    -2.0 * x * (1.0 + epsilon * z) + 3.0 * zeta * z * x * x,
                    -2.0 * y * (1.0 + epsilon * z),
                    alpha - z * z - epsilon * (x * x + y * y) + zeta * x * x * x,
                ],
            ],
            (System::NoseHoover, _) => [[0.0, 1.0, 0.0], [-1.0, -z, -y], [0.0, 2.0 * y, 0.0]],
            (System::SprottC, [a, ..]) => [[0.0, z, y], [1.0, -1.0, 0.0], [-2.0 * a * x, 0.0, 0.0]],
            (System::Chua, [alpha, beta, gamma, m0, m1, ..]) => {
                [[-alpha * (1.0 + chua_slope(m0, m1, x)), alpha, 0.0], [1.0, -1.0, 1.0], [0.0, -beta, -gamma]]
            }
            (System::Chen, [a, b, c, ..]) => [[-a, a, 0.0], [c - a - z, c, -x], [y, x, -b]],
            (System::Mixed, [alpha, beta, delta, gamma, omega, _]) => [
                [0.0, 1.0, 0.0],
                [-alpha - 3.0 * beta * x * x, -delta, gamma],
                [-omega + gamma * y, gamma * x, -delta],
            ],
        }
    }

    /// Trace of the Jacobian: the local rate of volume growth.
    pub fn divergence(&self, state: [f64; 3]) -> f64 {
        let j = self.jacobian(state);
        j[0][0] + j[1][1] + j[2][2]
    }

    /// The divergence where it is the same everywhere: the exact sum of the Lyapunov exponents.
    pub fn constant_divergence(&self) -> Option<f64> {
        match self.system {
            System::Lorenz | System::SprottC | System::Chen | System::Mixed => {
                Some(self.divergence([0.0; 3]))
            }
            System::Rossler | System::Aizawa | System::NoseHoover | System::Chua => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_jacobian_is_the_numerical_derivative_of_its_field() {
        let h = 1e-6;
        for system in System::ALL {
            let dynamics = Dynamics::new(system);
            for s in [[0.3, -0.7, 1.1], [1.9, 0.4, -0.6], [-2.2, 0.1, 0.9]] {
                let j = dynamics.jacobian(s);
                for col in 0..3 {
                    let (mut up, mut down) = (s, s);
                    up[col] += h;
                    down[col] -= h;
                    let (up, down) = (dynamics.derivative(0.3, up), dynamics.derivative(0.3, down));
                    for row in 0..3 {
                        let numeric = (up[row] - down[row]) / (2.0 * h);
                        let scale = 1.0 + j[row][col].abs();
                        assert!(
                            (numeric - j[row][col]).abs() < 1e-6 * scale,
                            "{system:?} at {s:?}: [{row}][{col}] {numeric} against {}",
                            j[row][col]
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_constant_divergence_is_the_same_at_every_state() {
        for system in System::ALL {
            let dynamics = Dynamics::new(system);
            if let Some(d) = dynamics.constant_divergence() {
                for s in [[0.3, -0.7, 1.1], [40.0, 0.4, -6.0]] {
                    assert!((dynamics.divergence(s) - d).abs() < 1e-12, "{system:?}");
                }
            }
        }
    }

    #[test]
    fn an_unknown_parameter_is_answered_with_the_known_ones() {
        let error = Dynamics::new(System::Rossler).with("rho", 1.0).unwrap_err();
        assert_eq!(error.to_string(), "`rossler` has no parameter `rho`; it has: a, b, c");
        assert!(Dynamics::mixed(f64::NAN).with("delta", f64::NAN).is_err());
        assert!(System::from_name("henon").is_err());
        assert_eq!(System::from_name("Nose-Hoover"), Ok(System::NoseHoover));
    }
}
