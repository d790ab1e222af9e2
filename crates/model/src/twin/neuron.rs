//! One step of I, IF, LI, LIF, CubaLI and CubaLIF under every rule of a profile.

use crate::nir::Node;
use crate::profile::{Compare, CubaRule, IfGain, LifRule, Profile, Reset, ResetWhen};

/// The neurons of one node.
#[derive(Clone, Debug)]
pub(super) struct Neurons {
    rule: Rule,
    profile: Profile,
    dt: f64,
    v: Vec<f64>,
    /// Membranes of the last step before any reset.
    peak: Vec<f64>,
    i: Vec<f64>,
    tau_mem: Vec<f64>,
    tau_syn: Vec<f64>,
    r: Vec<f64>,
    v_leak: Vec<f64>,
    w_in: Vec<f64>,
    threshold: Option<Vec<f64>>,
    v_reset: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    Integrate(IfGain),
    Leaky(LifRule),
    Cuba(CubaRule),
}

impl Neurons {
    /// `parameters` are those of the node, stretched to its neurons.
    pub(super) fn new(node: &Node, parameters: Vec<(&'static str, Vec<f64>)>, profile: &Profile) -> Self {
        let n = parameters.first().map_or(0, |(_, p)| p.len());
        let take = |key: &str, or: f64| {
            parameters.iter().find(|(k, _)| *k == key).map_or_else(|| vec![or; n], |(_, p)| p.clone())
        };
        let rule = match node {
            Node::Leaky(_) => Rule::Leaky(profile.lif),
            Node::Cuba(_) => Rule::Cuba(profile.cuba),
            _ => Rule::Integrate(profile.if_gain),
        };
        let tau_mem = match rule {
            Rule::Leaky(_) => take("tau", 1.0),
            _ => take("tau_mem", 1.0),
        };
        Self {
            rule,
            profile: profile.clone(),
            dt: profile.dt.unwrap_or(1.0),
            v: vec![0.0; n],
            peak: vec![0.0; n],
            i: vec![0.0; n],
            tau_mem,
            tau_syn: take("tau_syn", 1.0),
            r: take("r", 1.0),
            v_leak: take("v_leak", 0.0),
            w_in: take("w_in", 1.0),
            threshold: node.spike().map(|_| take("v_threshold", 0.0)),
            v_reset: take("v_reset", 0.0),
        }
    }

    pub(super) fn reset(&mut self) {
        self.v.fill(0.0);
        self.peak.fill(0.0);
        self.i.fill(0.0);
    }

    pub(super) fn membrane(&self) -> &[f64] {
        &self.v
    }

    pub(super) fn before_reset(&self) -> &[f64] {
        &self.peak
    }

    pub(super) fn current(&self) -> Option<&[f64]> {
        matches!(self.rule, Rule::Cuba(_)).then_some(&self.i)
    }

    /// Spikes (or membranes, without a threshold) of this step.
    pub(super) fn step(&mut self, x: &[f64], margin: &mut f64) -> Vec<f64> {
        match self.threshold.take() {
            None => {
                for (k, x) in x.iter().enumerate() {
                    let v = self.integrate(k, self.v[k], *x);
                    self.v[k] = self.clamped(v);
                    self.peak[k] = self.v[k];
                }
                self.v.clone()
            }
            Some(threshold) => {
                let spikes = x
                    .iter()
                    .zip(&threshold)
                    .enumerate()
                    .map(|(k, (x, t))| self.spike(k, *x, *t, margin))
                    .collect();
                self.threshold = Some(threshold);
                spikes
            }
        }
    }

    fn clamped(&self, v: f64) -> f64 {
        self.profile.min_v.map_or(v, |least| v.max(least))
    }

    fn above(&self, v: f64, threshold: f64) -> bool {
        match self.profile.compare {
            Compare::Gt => v > threshold,
            Compare::Ge => v >= threshold,
        }
    }

    /// Number of spikes of a membrane.
    fn spikes(&self, v: f64, threshold: f64) -> f64 {
        match self.profile.multi_spike {
            true => (v / threshold).trunc().max(0.0),
            false => f64::from(self.above(v, threshold)),
        }
    }

    fn spike(&mut self, k: usize, x: f64, threshold: f64, margin: &mut f64) -> f64 {
        let zeroing = self.rule == Rule::Cuba(CubaRule::SnnZero);
        let late = self.profile.reset_when != ResetWhen::Now && !zeroing;
        // What the last step left to be done.
        let due = if late { self.spikes(self.v[k], threshold) } else { 0.0 };
        let mut v = match self.profile.reset {
            Reset::Value if due > 0.0 => self.integrate(k, self.v_reset[k], x),
            Reset::Subtract => self.integrate(k, self.v[k], x) - due * threshold,
            _ => self.integrate(k, self.v[k], x),
        };
        if zeroing && self.v[k] > threshold {
            v = 0.0;
        }
        v = self.clamped(v);
        self.peak[k] = v;
        *margin = margin.min((v - threshold).abs());
        let n = self.spikes(v, threshold);
        self.v[k] = match (self.profile.reset, self.profile.reset_when) {
            _ if zeroing => v,
            (Reset::Value, ResetWhen::Now | ResetWhen::SnnNoDelay) if n > 0.0 => self.v_reset[k],
            (Reset::Subtract, ResetWhen::Now) => v - n * threshold,
            (Reset::Subtract, ResetWhen::SnnNoDelay) => v - (n - due) * threshold,
            _ => v,
        };
        n
    }

    /// The membrane after the input, before any comparison; updates the current.
    fn integrate(&mut self, k: usize, v: f64, x: f64) -> f64 {
        let dt = self.dt;
        let (tau, r, leak) = (self.tau_mem[k], self.r[k], self.v_leak[k]);
        match self.rule {
            Rule::Integrate(IfGain::R) => v + r * x,
            Rule::Integrate(IfGain::RDt) => v + r * dt * x,
            Rule::Leaky(LifRule::Euler) => v + dt / tau * ((leak - v) + r * x),
            Rule::Leaky(LifRule::Exact) => {
                let a = (-dt / tau).exp();
                leak + (v - leak) * a + (1.0 - a) * r * x
            }
            Rule::Leaky(LifRule::JumpExp) => (-dt / tau).exp() * v + x,
            Rule::Cuba(rule) => self.cuba(rule, k, v, x),
        }
    }

    fn cuba(&mut self, rule: CubaRule, k: usize, v: f64, x: f64) -> f64 {
        let dt = self.dt;
        let (tm, ts) = (self.tau_mem[k], self.tau_syn[k]);
        let (r, leak, w) = (self.r[k], self.v_leak[k], self.w_in[k]);
        let i = self.i[k];
        let euler = |i: f64| v + dt / tm * ((leak - v) + r * i);
        let (new_i, new_v) = match rule {
            CubaRule::EulerNew | CubaRule::SnnZero => {
                let new = i + dt / ts * (-i + w * x);
                (new, euler(new))
            }
            CubaRule::EulerOld => (i + dt / ts * (-i + w * x), euler(i)),
            CubaRule::JumpThenDecayEuler => {
                let jumped = i + x;
                (jumped - dt / ts * jumped, euler(jumped))
            }
            CubaRule::JumpExp => {
                let new = (i + x) * (-dt / ts).exp();
                (new, v * (-dt / tm).exp() + new)
            }
            CubaRule::Exact => {
                let (decay_i, decay_v) = ((-dt / ts).exp(), (-dt / tm).exp());
                let (end_i, end_v) = (w * x, leak + r * w * x);
                // Response of the membrane to the part of the current that decays.
                let response = match (ts - tm).abs() > 1e-9 * tm {
                    true => ts / (ts - tm) * (decay_i - decay_v),
                    false => dt / tm * decay_v,
                };
                (end_i + (i - end_i) * decay_i, end_v + (v - end_v) * decay_v + r * (i - end_i) * response)
            }
        };
        self.i[k] = new_i;
        new_v
    }
}
