//! Where a NIR file seems to come from, and what that exporter loses without a word.
//!
//! These are suggestions for the user: nothing in this crate acts on them.

use crate::nir::{Graph, Node};

/// An exporter that may have written a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Framework.
    pub framework: &'static str,
    /// Profile to try, with overrides where the default needs them.
    pub profile: &'static str,
    /// What in the file points to it.
    pub why: String,
    /// What this exporter does not store; any of it changes the spikes.
    pub lost: &'static [&'static str],
}

const SNNTORCH: &[&str] = &[
    "reset mechanism and reset_delay: try --reset value --reset-when now, --reset subtract --reset-when next (the default), --reset-when snn_nodelay, and --cuba snn_zero for Synaptic with reset zero and delay",
    "graded_spikes_factor, state_quant and inhibition",
    "padding of AvgPool2d (written as 0)",
    "the recurrent bias in the first step: --recurrent-t0 bias",
];
const NORSE: &[&str] = &[
    "v_reset of LIF on import",
    "that the input of LIFCell jumps the current by x: w_in = 1 does not mean that in NIR (--cuba jump_then_decay_euler)",
    "that IAFCell takes one step as the unit of time (--if-gain r)",
];
const NORSE_LEGACY: &[&str] =
    &["v_reset", "time constants: they are multiplied by dt = 1e-3 (use --dt 1e-6)"];
const SINABS: &[&str] = &[
    "min_v_mem (Speck networks use -1: --min-v -1)",
    "multi-spike or single-spike activation (--multi-spike)",
    "norm_input=False: the file is the same with and without (--lif jump_exp)",
    "tau_syn of LIF: it is written as a plain LIF",
    "reset by subtraction or to zero (--reset)",
];
const ROCKPOOL: &[&str] = &[
    "bias of LIFTorch (written as 0)",
    "w_rec of has_rec=True (dropped)",
    "the step: it can only be recovered roughly from r",
    "a limit on spikes per step",
];
const SPIKINGJELLY: &[&str] = &["soft reset (written as v_reset = 0: --reset subtract)", "decay_input=False"];
const UNKNOWN: &[&str] = &[
    "NIR itself stores neither step, integrator, reset rule, comparison nor spikes per step",
    "refractory time, adaptive thresholds, quantisation and plasticity have no place in NIR",
];

/// The likely origins of a graph, most telling first; never empty.
pub fn origins(graph: &Graph) -> Vec<Origin> {
    let mut names = Vec::new();
    let mut nodes = Vec::new();
    gather(graph, &mut names, &mut nodes);
    let mut out = Vec::new();
    let mut add = |framework, profile, why: String, lost| out.push(Origin { framework, profile, why, lost });
    if let Some(name) = names.iter().find(|n| n.ends_with("Torch")) {
        add("rockpool", "rockpool", format!("a node is called `{name}`"), ROCKPOOL);
    }
    if names.iter().any(|n| n.as_str() == "input_tensor") {
        add("norse", "norse", "the input is called `input_tensor`".into(), NORSE);
    }
    if every_gain(&nodes, |r, tau| (r * 1e-4 / tau - 1.0).abs() < 1e-5) {
        add("snnTorch", "snntorch", "r = tau / 1e-4 in every neuron".into(), SNNTORCH);
    }
    if every_gain(&nodes, |r, tau| r == 1.0 && tau < 1e-4) {
        add("norse 1.1.0", "norse-legacy", "r = 1 and time constants below 1e-4".into(), NORSE_LEGACY);
    }
    let integrators =
        |r: f64| nodes.iter().any(|n| matches!(n, Node::Integrate(i) if i.r.data().iter().all(|x| *x == r)));
    if every_gain(&nodes, |r, tau| r == 1.0 && tau >= 1.0) {
        add("sinabs", "sinabs", "r = 1 and time constants in steps".into(), SINABS);
    } else if integrators(1.0) && no_reset_then(graph) {
        add(
            "sinabs",
            "sinabs",
            format!("IF with r = 1, written by nir {}", graph.version.as_deref().unwrap_or("?")),
            SINABS,
        );
    }
    if integrators(1e4) || every_gain(&nodes, |r, tau| r == 1.0 && (1e-4..1e-2).contains(&tau)) {
        add(
            "SpikingJelly",
            "spikingjelly",
            "time constants are small multiples of 1e-4".into(),
            SPIKINGJELLY,
        );
    }
    if out.is_empty() {
        out.push(Origin {
            framework: "unknown",
            profile: "nir-euler",
            why: "nothing points to an exporter".into(),
            lost: UNKNOWN,
        });
    }
    out
}

fn gather<'a>(graph: &'a Graph, names: &mut Vec<&'a String>, nodes: &mut Vec<&'a Node>) {
    for (name, node) in &graph.nodes {
        names.push(name);
        match node {
            Node::Graph(inner) => gather(inner, names, nodes),
            other => nodes.push(other),
        }
    }
}

/// True when there are neurons with a membrane time constant and all satisfy `is(r, tau)`.
fn every_gain(nodes: &[&Node], is: impl Fn(f64, f64) -> bool) -> bool {
    let mut any = false;
    for node in nodes {
        let (r, tau) = match node {
            Node::Leaky(n) => (&n.r, &n.tau),
            Node::Cuba(n) => (&n.r, &n.tau_mem),
            _ => continue,
        };
        any = true;
        let Some(r) = r.broadcast(tau.shape()) else { return false };
        if !r.iter().zip(tau.data()).all(|(r, tau)| is(*r, *tau)) {
            return false;
        }
    }
    any
}

/// Files of nir before 1.0.5, which has no `v_reset`.
fn no_reset_then(graph: &Graph) -> bool {
    let parts: Vec<u32> =
        graph.version.as_deref().unwrap_or("").split('.').map_while(|p| p.parse().ok()).collect();
    parts.as_slice() < [1, 0, 5].as_slice()
}
