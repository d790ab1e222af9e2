//! Discretisation profiles: what a NIR file leaves open, made explicit.
//!
//! A NIR file has no step, no integrator, no reset rule, no comparison and no spike
//! multiplicity; the same file means different spikes to different frameworks. A [`Profile`]
//! fixes all of it, starting from a named convention with overrides, and says in plain lines
//! what was assumed ([`Profile::assumptions`]).

use crate::nir::{FlatGraph, Node};
use std::fmt::Write as _;

/// How a leaky neuron (and, but for the gain, an integrator) takes one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifRule {
    /// `v += dt/tau · ((v_leak − v) + r·x)`.
    Euler,
    /// `v = v_leak + (v − v_leak)·a + (1 − a)·r·x` with `a = exp(−dt/tau)`.
    Exact,
    /// `v = a·v + x`; r and v_leak are not used.
    JumpExp,
}

/// How a current-based neuron takes one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CubaRule {
    /// Current by Euler (gain `w_in·dt/tau_syn`) first, membrane from the new current.
    EulerNew,
    /// Both from the old values.
    EulerOld,
    /// `i += x`; membrane by Euler from the new current; then `i −= dt/tau_syn·i`.
    JumpThenDecayEuler,
    /// As `EulerNew`, but where the last membrane was above threshold the new one is 0. This
    /// replaces the reset.
    SnnZero,
    /// `i = (i + x)·exp(−dt/tau_syn)`; `v = v·exp(−dt/tau_mem) + i`.
    JumpExp,
    /// The exact solution for an input that is constant over the step.
    Exact,
}

/// What a spike does to the membrane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// `v ← v_reset`.
    Value,
    /// `v ← v − n·threshold`.
    Subtract,
    /// Nothing.
    None,
}

/// When the reset happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetWhen {
    /// In the step of the spike.
    Now,
    /// With the update of the next step.
    Next,
    /// A stored membrane still above threshold is reset again before the next comparison, and
    /// that is undone if the neuron then does not fire (snnTorch with `reset_delay=False`).
    SnnNoDelay,
}

/// Comparison of membrane and threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// `v > threshold`.
    Gt,
    /// `v ≥ threshold`.
    Ge,
}

/// Gain of the input of I and IF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfGain {
    /// `r·dt`.
    RDt,
    /// `r`: a step is the unit of time.
    R,
}

/// What an edge that closes a cycle delivers in the first step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecurrentT0 {
    /// Nothing, not even a bias.
    None,
    /// What its source yields without any spike, which is its bias.
    Bias,
}

/// Everything that a NIR file leaves open.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The named convention that this started from.
    pub name: String,
    /// Step, in the unit of the file's time constants; `None` until [`Profile::with_dt_of`].
    pub dt: Option<f64>,
    /// Rule of leaky neurons.
    pub lif: LifRule,
    /// Rule of current-based neurons.
    pub cuba: CubaRule,
    /// Kind of reset.
    pub reset: Reset,
    /// Time of reset.
    pub reset_when: ResetWhen,
    /// Comparison.
    pub compare: Compare,
    /// `n = trunc(v / threshold)` spikes in a step instead of at most one.
    pub multi_spike: bool,
    /// Gain of I and IF.
    pub if_gain: IfGain,
    /// Lower clamp of the membrane.
    pub min_v: Option<f64>,
    /// First delivery over a cycle.
    pub recurrent_t0: RecurrentT0,
    /// True once the step was taken from the file's numbers rather than given.
    pub dt_inferred: bool,
}

/// A profile or an override that does not exist.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProfileError {
    /// No such named profile.
    #[error("unknown profile `{0}`; there are {names}", names = NAMES.join(", "))]
    Name(String),
    /// No such key.
    #[error(
        "unknown profile key `{0}`; there are dt, lif, cuba, reset, reset_when, compare, multi_spike, if_gain, min_v, recurrent_t0"
    )]
    Key(String),
    /// The value does not fit the key.
    #[error("{key}: `{found}` is not one of {expected}")]
    Value {
        /// The key.
        key: String,
        /// What was given.
        found: String,
        /// What it takes.
        expected: &'static str,
    },
    /// The step is neither given nor the same for every neuron.
    #[error(
        "the file does not fix the step: {why}; give it with --dt, in the unit of the file's time constants"
    )]
    NoStep {
        /// What the nodes suggest.
        why: String,
    },
}

/// Names of the profiles that ship.
pub const NAMES: [&str; 8] =
    ["snntorch", "norse", "norse-legacy", "sinabs", "rockpool", "spikingjelly", "nir-euler", "nir-exact"];

impl Profile {
    /// A profile by name: the defaults of the framework whose exporter wrote the file, or
    /// (`nir-euler`, `nir-exact`) the differential equations as NIR states them.
    pub fn named(name: &str) -> Result<Self, ProfileError> {
        let literal = Self {
            name: name.to_string(),
            dt: None,
            lif: LifRule::Euler,
            cuba: CubaRule::EulerNew,
            reset: Reset::Value,
            reset_when: ResetWhen::Now,
            compare: Compare::Gt,
            multi_spike: false,
            if_gain: IfGain::RDt,
            min_v: None,
            recurrent_t0: RecurrentT0::None,
            dt_inferred: false,
        };
        Ok(match name {
            "nir-euler" => literal,
            "nir-exact" => Self { lif: LifRule::Exact, cuba: CubaRule::Exact, ..literal },
            "snntorch" => Self {
                dt: Some(1e-4),
                reset: Reset::Subtract,
                reset_when: ResetWhen::Next,
                recurrent_t0: RecurrentT0::Bias,
                ..literal
            },
            "norse" => {
                Self { dt: Some(1e-3), cuba: CubaRule::JumpThenDecayEuler, if_gain: IfGain::R, ..literal }
            }
            "norse-legacy" => {
                Self { dt: Some(1e-6), cuba: CubaRule::JumpThenDecayEuler, if_gain: IfGain::R, ..literal }
            }
            "sinabs" => Self {
                dt: Some(1.0),
                lif: LifRule::Exact,
                reset: Reset::Subtract,
                compare: Compare::Ge,
                multi_spike: true,
                if_gain: IfGain::R,
                ..literal
            },
            "rockpool" => Self {
                dt: Some(1e-3),
                lif: LifRule::JumpExp,
                cuba: CubaRule::JumpExp,
                reset: Reset::Subtract,
                compare: Compare::Ge,
                multi_spike: true,
                ..literal
            },
            "spikingjelly" => Self { dt: Some(1e-4), compare: Compare::Ge, ..literal },
            _ => return Err(ProfileError::Name(name.to_string())),
        })
    }

    /// Overrides one key, spelled as in reports and golden tables.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ProfileError> {
        let wrong =
            |expected| ProfileError::Value { key: key.to_string(), found: value.to_string(), expected };
        match key {
            "dt" => {
                let dt = value.parse::<f64>().ok().filter(|d| *d > 0.0 && d.is_finite());
                self.dt = Some(dt.ok_or_else(|| wrong("numbers above 0"))?);
                self.dt_inferred = false;
            }
            "lif" => self.lif = pick(value, &LIF).ok_or_else(|| wrong("euler, exact, jump_exp"))?,
            "cuba" => {
                let expected = "euler_new, euler_old, jump_then_decay_euler, snn_zero, jump_exp, exact";
                self.cuba = pick(value, &CUBA).ok_or_else(|| wrong(expected))?;
            }
            "reset" => self.reset = pick(value, &RESET).ok_or_else(|| wrong("value, subtract, none"))?,
            "reset_when" => {
                self.reset_when = pick(value, &WHEN).ok_or_else(|| wrong("now, next, snn_nodelay"))?
            }
            "compare" => self.compare = pick(value, &COMPARE).ok_or_else(|| wrong("gt, ge"))?,
            "multi_spike" => self.multi_spike = pick(value, &YES_NO).ok_or_else(|| wrong("true, false"))?,
            "if_gain" => self.if_gain = pick(value, &GAIN).ok_or_else(|| wrong("r*dt, r"))?,
            "min_v" if value == "none" => self.min_v = None,
            "min_v" => {
                let v = value.parse::<f64>().ok().filter(|v| v.is_finite());
                self.min_v = Some(v.ok_or_else(|| wrong("numbers or none"))?);
            }
            "recurrent_t0" => self.recurrent_t0 = pick(value, &T0).ok_or_else(|| wrong("none, bias"))?,
            _ => return Err(ProfileError::Key(key.to_string())),
        }
        Ok(())
    }

    /// Every key with its value, in a fixed order, for reports.
    pub fn entries(&self) -> Vec<(&'static str, String)> {
        let number = |v: Option<f64>| v.map_or("none".to_string(), |v| format!("{v:e}"));
        vec![
            ("name", self.name.clone()),
            ("dt", number(self.dt)),
            ("lif", name_of(self.lif, &LIF)),
            ("cuba", name_of(self.cuba, &CUBA)),
            ("reset", name_of(self.reset, &RESET)),
            ("reset_when", name_of(self.reset_when, &WHEN)),
            ("compare", name_of(self.compare, &COMPARE)),
            ("multi_spike", name_of(self.multi_spike, &YES_NO)),
            ("if_gain", name_of(self.if_gain, &GAIN)),
            ("min_v", number(self.min_v)),
            ("recurrent_t0", name_of(self.recurrent_t0, &T0)),
        ]
    }

    /// The profile with its step fixed. Where it has none, the step is inferred from the file:
    /// exporters choose it so that the gain of a spike is one, `r·dt/tau = 1` (and `r·dt = 1`
    /// without a leak). All neurons must agree.
    ///
    /// # Errors
    /// [`ProfileError::NoStep`] when there is no neuron with a time constant or they disagree.
    pub fn with_dt_of(mut self, graph: &FlatGraph) -> Result<Self, ProfileError> {
        if self.dt.is_some() {
            return Ok(self);
        }
        let steps = step_candidates(graph);
        let Some((_, first)) = steps.first().cloned() else {
            return Err(ProfileError::NoStep { why: "no neuron has a gain to infer it from".into() });
        };
        if let Some((name, other)) = steps.iter().find(|(_, dt)| (dt / first - 1.0).abs() > 1e-5) {
            let why =
                format!("a gain of one asks for {first:e} in most nodes, and for {other:e} in node `{name}`");
            return Err(ProfileError::NoStep { why });
        }
        // The ratio of two 32-bit numbers: seven digits are real.
        self.dt = format!("{first:.6e}").parse().ok();
        self.dt_inferred = true;
        Ok(self)
    }

    /// Every assumption as a line of text.
    pub fn assumptions(&self, graph: &FlatGraph) -> Vec<String> {
        let mut out = vec![format!("profile {}", self.name)];
        if let Some(dt) = self.dt {
            let from = match self.dt_inferred {
                true => "inferred: it makes the gain of a spike one in every neuron",
                false => "from the profile, in the unit of the file's time constants",
            };
            out.push(format!("step dt = {dt:e} ({from})"));
        }
        let has = |wanted: fn(&Node) -> bool| graph.nodes.iter().any(|(_, n)| wanted(n));
        if has(|n| matches!(n, Node::Leaky(_))) {
            out.push(match self.lif {
                LifRule::Euler => "leaky neurons: v += dt/tau ((v_leak - v) + r x)".into(),
                LifRule::Exact => "leaky neurons: exact decay a = exp(-dt/tau), input gain (1 - a) r".into(),
                LifRule::JumpExp => "leaky neurons: v = exp(-dt/tau) v + x; r and v_leak are not used".into(),
            });
        }
        if has(|n| matches!(n, Node::Cuba(_))) {
            out.push(match self.cuba {
                CubaRule::EulerNew => "current-based neurons: Euler, the membrane takes the new current".into(),
                CubaRule::EulerOld => "current-based neurons: Euler, the membrane takes the old current".into(),
                CubaRule::JumpThenDecayEuler => "current-based neurons: i += x, Euler membrane, then the current decays".into(),
                CubaRule::SnnZero => "current-based neurons: Euler; a membrane above threshold makes the next one 0".into(),
                CubaRule::JumpExp => "current-based neurons: i = (i + x) exp(-dt/tau_syn), v = v exp(-dt/tau_mem) + i; r, w_in and v_leak are not used".into(),
                CubaRule::Exact => "current-based neurons: exact solution for an input constant over the step".into(),
            });
        }
        if has(|n| matches!(n, Node::Integrate(_))) {
            out.push(format!("integrators: v += {} x", if self.if_gain == IfGain::R { "r" } else { "r dt" }));
        }
        if has(|n| n.spike().is_some()) {
            out.push(self.spike_line());
        }
        if let Some(v) = self.min_v {
            out.push(format!("the membrane is clamped below at {v}"));
        }
        out.push("layers of one step follow one another without delay; an edge that closes a cycle delays by one step".into());
        if has(|n| matches!(n, Node::Delay { .. })) {
            out.push("delays are rounded to whole steps".into());
        }
        out
    }

    fn spike_line(&self) -> String {
        let mut line = String::from("spike when v ");
        let _ = match (self.multi_spike, self.compare) {
            (true, _) => write!(line, "reaches the threshold, trunc(v / threshold) of them"),
            (_, Compare::Gt) => write!(line, "> threshold"),
            (_, Compare::Ge) => write!(line, ">= threshold"),
        };
        line.push_str(match self.reset {
            Reset::Value => "; then v = v_reset",
            Reset::Subtract => "; then the threshold is subtracted",
            Reset::None => "; no reset",
        });
        if self.reset != Reset::None {
            line.push_str(match self.reset_when {
                ResetWhen::Now => ", at once",
                ResetWhen::Next => ", with the next update",
                ResetWhen::SnnNoDelay => ", at once, and again before the next comparison if v is still above (undone without a spike)",
            });
        }
        line
    }

    /// Warnings about a graph under this profile: an unstable Euler step.
    pub fn warnings(&self, graph: &FlatGraph) -> Vec<String> {
        let Some(dt) = self.dt else { return Vec::new() };
        let mut out = Vec::new();
        for (name, node) in &graph.nodes {
            let taus: Vec<(&str, f64)> = match node {
                Node::Leaky(n) if self.lif == LifRule::Euler => vec![("tau", least(n.tau.data()))],
                Node::Cuba(n) if !matches!(self.cuba, CubaRule::JumpExp | CubaRule::Exact) => {
                    vec![("tau_syn", least(n.tau_syn.data())), ("tau_mem", least(n.tau_mem.data()))]
                }
                _ => Vec::new(),
            };
            for (key, tau) in taus {
                if dt > tau {
                    out.push(format!("node `{name}`: dt = {dt:e} is above {key} = {tau:e}: the Euler decay 1 - dt/tau is negative"));
                }
            }
        }
        out
    }
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Per neuron node, the step that makes the gain of its input one.
fn step_candidates(graph: &FlatGraph) -> Vec<(String, f64)> {
    let mut out = Vec::new();
    for (name, node) in &graph.nodes {
        let ratio = match node {
            Node::Leaky(n) => first(n.tau.data()) / first(n.r.data()),
            Node::Cuba(n) => first(n.tau_mem.data()) / first(n.r.data()),
            Node::Integrate(n) => 1.0 / first(n.r.data()),
            _ => continue,
        };
        if ratio.is_finite() && ratio > 0.0 {
            out.push((name.clone(), ratio));
        }
    }
    out
}

fn first(values: &[f64]) -> f64 {
    values.first().copied().unwrap_or(f64::NAN)
}

const LIF: [(&str, LifRule); 3] =
    [("euler", LifRule::Euler), ("exact", LifRule::Exact), ("jump_exp", LifRule::JumpExp)];
const CUBA: [(&str, CubaRule); 6] = [
    ("euler_new", CubaRule::EulerNew),
    ("euler_old", CubaRule::EulerOld),
    ("jump_then_decay_euler", CubaRule::JumpThenDecayEuler),
    ("snn_zero", CubaRule::SnnZero),
    ("jump_exp", CubaRule::JumpExp),
    ("exact", CubaRule::Exact),
];
const RESET: [(&str, Reset); 3] =
    [("value", Reset::Value), ("subtract", Reset::Subtract), ("none", Reset::None)];
const WHEN: [(&str, ResetWhen); 3] =
    [("now", ResetWhen::Now), ("next", ResetWhen::Next), ("snn_nodelay", ResetWhen::SnnNoDelay)];
const COMPARE: [(&str, Compare); 2] = [("gt", Compare::Gt), ("ge", Compare::Ge)];
const YES_NO: [(&str, bool); 2] = [("true", true), ("false", false)];
const GAIN: [(&str, IfGain); 2] = [("r*dt", IfGain::RDt), ("r", IfGain::R)];
const T0: [(&str, RecurrentT0); 2] = [("none", RecurrentT0::None), ("bias", RecurrentT0::Bias)];

fn pick<T: Copy>(value: &str, table: &[(&str, T)]) -> Option<T> {
    table.iter().find(|(name, _)| *name == value).map(|(_, v)| *v)
}

fn name_of<T: Copy + PartialEq>(value: T, table: &[(&str, T)]) -> String {
    table.iter().find(|(_, v)| *v == value).map_or(String::new(), |(name, _)| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_profile_and_every_entry_can_be_set_back() {
        for name in NAMES {
            let profile = Profile::named(name).unwrap();
            let mut copy = Profile::named("nir-euler").unwrap();
            copy.name = name.to_string();
            for (key, value) in profile.entries() {
                if key != "name" && !(key == "dt" && value == "none") {
                    copy.set(key, &value).unwrap();
                }
            }
            assert_eq!(copy, profile);
        }
        assert!(Profile::named("brian").is_err());
        assert!(Profile::named("norse").unwrap().set("reset", "soft").is_err());
    }
}
