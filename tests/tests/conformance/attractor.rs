//! The steer, free, stabilise rule on the machine: every field, state, unstable set and weight digest.
//!
//! A case is a JSON file with the weights, the inputs and the runs written out; what its numbers mean stands in the
//! folder's README. The stochastic runs are replayed: the draws of the recorded generator are handed to the machine
//! under the address of the synapse that they belong to.

use super::{Kind, Outcome};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use synop_core::plasticity::MAX_SAMPLES;
use synop_core::{Draws, Machine, Portable, Unobserved};
use synop_model::attractor::{self, Layer, Layers, Plan, Plastic, Sweep};
use synop_model::image::write;
use synop_model::network::Synapses;
use synop_model::placement::Placement;
use synop_model::rule::RuleSpec;

// Two test programs use a part each: the golden tables all of it, the boards the networks.
#[allow(dead_code)]
pub(crate) const KIND: Kind = Kind { name: "attractor", cases, check };

fn cases(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|e| e.path());
    let json = paths.filter(|p| p.extension().is_some_and(|e| e == "json"));
    json.map(|p| (p.file_stem().unwrap_or_default().to_string_lossy().into_owned(), p)).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    l: usize,
    h: usize,
    n: usize,
    c: usize,
    #[serde(rename = "JD")]
    jd: i32,
    #[serde(rename = "lamL")]
    left: i32,
    #[serde(rename = "lamR")]
    right: i32,
    #[serde(rename = "kap")]
    margin: i32,
    #[serde(rename = "kout")]
    readout_margin: i32,
    #[serde(rename = "YP")]
    yes: i32,
    #[serde(rename = "YN")]
    no: i32,
    #[serde(rename = "aJ")]
    step_couplings: i32,
    #[serde(rename = "aI")]
    step_input: i32,
    #[serde(rename = "aO")]
    step_readout: i32,
    #[serde(rename = "plan")]
    plan: Vec<(String, u32)>,
    #[serde(rename = "eval_plan")]
    eval_plan: Vec<(String, u32)>,
}

type Blocks = Vec<Vec<Vec<i32>>>;

#[derive(Deserialize, Clone, PartialEq)]
struct Weights {
    #[serde(rename = "J")]
    couplings: Blocks,
    #[serde(rename = "Win")]
    input: Blocks,
    #[serde(rename = "Wback", default)]
    teacher: Blocks,
    #[serde(rename = "Wout")]
    readout: Blocks,
}

#[derive(Deserialize)]
struct Step {
    epoch: usize,
    sample: usize,
    field: Vec<i32>,
    out: Vec<i32>,
    unstable_hidden: Vec<usize>,
    unstable_out: Vec<usize>,
    traj: Option<Vec<Vec<String>>>,
    digest: Option<String>,
}

#[derive(Deserialize)]
struct Recall {
    traj: Option<Vec<Vec<String>>>,
    out: Vec<i32>,
    pred: usize,
    label: usize,
}

#[derive(Deserialize)]
struct Run {
    schedule: String,
    tie: String,
    mode: String,
    kind: String,
    epochs: usize,
    wmax: i32,
    prob: Option<u32>,
    seed: Option<u32>,
    steps: Vec<Step>,
    weights_after_epoch1: Option<Weights>,
    weights_final: Option<Weights>,
    eval_final: Option<Vec<Recall>>,
}

#[derive(Deserialize)]
struct Case {
    cfg: Config,
    weights0: Weights,
    #[serde(rename = "X")]
    inputs: Vec<Vec<i32>>,
    #[serde(rename = "Y")]
    labels: Vec<usize>,
    perm: Vec<u32>,
    digest0: Option<String>,
    runs: Vec<Run>,
}

/// A network of a golden case, and what it is shown.
#[allow(dead_code)]
pub(crate) struct Shown {
    /// What the run is called.
    pub(crate) name: String,
    /// The network, before it is built.
    pub(crate) layers: Layers,
    /// Input and teacher of each sample, and its label.
    pub(crate) samples: Vec<(Vec<i32>, Vec<i32>, usize)>,
}

/// The networks of a case whose rules draw nothing, one of each schedule, tie and mode.
#[allow(dead_code)]
pub(crate) fn networks(path: &Path) -> Result<Vec<Shown>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let case: Case = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let mut shown: Vec<Shown> = Vec::new();
    for run in case.runs.iter().filter(|run| run.kind == "online") {
        let name = format!("{} {} {}", run.schedule, run.tie, run.mode);
        if shown.iter().any(|s| s.name == name) {
            continue;
        }
        let sample = |(input, &label): (&Vec<i32>, &usize)| {
            let teacher = (0..case.cfg.c).map(|c| if c == label { case.cfg.yes } else { -case.cfg.no });
            (input.clone(), teacher.collect(), label)
        };
        let samples = case.inputs.iter().zip(&case.labels).map(sample).collect();
        shown.push(Shown { name, layers: network(&case, run)?, samples });
    }
    Ok(shown)
}

#[allow(dead_code)]
fn check(path: &Path) -> Result<Outcome, String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let case: Case = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    if case.runs.is_empty() {
        return Err("no runs".to_owned());
    }
    if let Some(expected) = &case.digest0 {
        same("digest0", &digest(&case.weights0), expected)?;
    }
    for (k, run) in case.runs.iter().enumerate() {
        let name = format!("runs[{k}] {} {} {} {}", run.schedule, run.tie, run.mode, run.kind);
        replay(&case, run).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(Outcome::Agrees)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?} found, {expected:?} expected")) }
}

/// sha256 over the plastic weights as int16, little-endian, in the order J, Win, Wout.
fn digest(w: &Weights) -> String {
    let mut hash = Sha256::new();
    for block in [&w.couplings, &w.input, &w.readout] {
        for value in block.iter().flatten().flatten() {
            hash.update((*value as i16).to_le_bytes());
        }
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// Draws that a recording names, by (projection, source, target).
#[derive(Default)]
struct Recorded(HashMap<(u32, u32, u32), u32>);

impl Draws for Recorded {
    fn draw(&mut self, purpose: u32, _: u64, index: u32) -> u32 {
        let projection = purpose.wrapping_sub(synop_core::draw::PLASTICITY);
        self.0.get(&(projection, index >> 16, index & 0xffff)).copied().unwrap_or(0)
    }
}

fn xorshift(x: &mut u32) -> u32 {
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    *x
}

/// A matrix `[post][pre]` as rows by source.
fn dense(block: &[Vec<i32>], sources: usize) -> Synapses {
    let weights = (0..sources).flat_map(|j| block.iter().map(move |row| row[j] as i16)).collect();
    Synapses::Dense { bits: 16, weights }
}

fn rule(run: &Run, step: i32, error: &str, sign: &str, samples: usize) -> Result<RuleSpec, String> {
    let every = if run.kind == "batch" { samples } else { 1 };
    let rounding = match (run.kind.as_str(), run.prob) {
        ("stochastic", Some(p)) if p < 256 => format!("gate {}", f64::from(p) / 256.0),
        ("stochastic" | "online" | "batch", _) => "nearest".to_owned(),
        (kind, _) => return Err(format!("unknown kind {kind}")),
    };
    let text = format!(
        "rule stabilise {{\n error e = {error}\n every {every} samples\n rounding {rounding}\n bounds {} {}\n dw = {step}*x0*e*{sign}\n}}",
        -run.wmax, run.wmax
    );
    RuleSpec::parse(&text).map_err(|e| format!("{e} in {text}"))
}

/// Sweeps of the phases of a plan.
fn sweeps(plan: &[(String, u32)], phase: &str) -> u32 {
    plan.iter().filter(|p| p.0 == phase).map(|p| p.1).sum()
}

fn network(case: &Case, run: &Run) -> Result<Layers, String> {
    let cfg = &case.cfg;
    let keep_right = match run.mode.as_str() {
        "no_rgt" => false,
        "keep_rgt" => true,
        mode => return Err(format!("unknown mode {mode}")),
    };
    let order = ["warm", "sup", "free"].map(|phase| (phase.to_owned(), sweeps(&cfg.plan, phase)));
    same(
        "plan",
        &cfg.plan.iter().filter(|p| p.1 != 0).cloned().collect(),
        &order.into_iter().filter(|p| p.1 != 0).collect::<Vec<_>>(),
    )?;
    let samples = case.inputs.len();
    if run.kind == "batch" && samples as u32 > MAX_SAMPLES {
        return Err(format!("a batch of {samples} samples; the machine remembers {MAX_SAMPLES}"));
    }
    let mut layers = Vec::new();
    for l in 0..cfg.l {
        let w = &case.weights0;
        let field = if keep_right { "(g0+g1)" } else { "(g0)" };
        // The machine's groups are without the self-coupling, so the margin is the net one.
        let extra = if keep_right && l + 1 < cfg.l { cfg.right } else { 0 };
        let margin = cfg.margin + extra;
        let error = format!("(s*{field} <= {margin})");
        let mut couplings = w.couplings[l].clone();
        for (i, row) in couplings.iter_mut().enumerate() {
            row[i] -= cfg.jd;
        }
        let plastic = |synapses, rule| Some(Plastic { synapses, rule: Some(rule) });
        layers.push(Layer {
            couplings: plastic(
                dense(&couplings, cfg.h),
                rule(run, cfg.step_couplings, &error, "s", samples)?,
            ),
            input: plastic(dense(&w.input[l], cfg.n), rule(run, cfg.step_input, &error, "s", samples)?),
            teacher: Some(Plastic::fixed(dense(&w.teacher[l], cfg.c))),
            readout: plastic(
                dense(&w.readout[l], cfg.h),
                rule(run, cfg.step_readout, &format!("(t*(g0) <= {})", cfg.readout_margin), "t", samples)?,
            ),
            bias: Vec::new(),
        });
    }
    let most = |values: &[i32]| values.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0).max(1);
    Ok(Layers {
        seed: 0,
        inputs: cfg.n,
        input_max: most(&case.inputs.concat()),
        classes: cfg.c,
        teacher_max: most(&[cfg.yes, cfg.no]),
        size: cfg.h,
        layers,
        self_coupling: cfg.jd,
        link_left: cfg.left,
        link_right: cfg.right,
        keep_right,
        keep_ties: match run.tie.as_str() {
            "plus" => false,
            "keep" => true,
            tie => return Err(format!("unknown tie {tie}")),
        },
        sweep: match run.schedule.as_str() {
            "sync" => Sweep::Synchronous,
            "layerwise" => Sweep::LayerWise,
            "async" => Sweep::Listed(case.perm.clone()),
            schedule => return Err(format!("unknown schedule {schedule}")),
        },
        plan: Plan {
            warm: sweeps(&cfg.plan, "warm"),
            steer: sweeps(&cfg.plan, "sup"),
            free: sweeps(&cfg.plan, "free"),
            recall: cfg.eval_plan.iter().map(|p| p.1).sum(),
            until_quiet: false,
        },
    })
}

/// A machine in the middle of a run.
struct Replay<'m, 'c> {
    machine: Machine<'m>,
    case: &'c Case,
    built: attractor::Built,
    /// Ports of couplings, input and readout of each layer.
    ports: Vec<[u32; 3]>,
}

fn replay(case: &Case, run: &Run) -> Result<(), String> {
    let layers = network(case, run)?;
    let built = layers.build().map_err(|e| e.to_string())?;
    let blob = write(&built.network, &Placement::one_core(&built.network)).map_err(|e| e.to_string())?;
    let image = blob.image().map_err(|e| e.to_string())?;
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    let machine = Machine::new(image, &mut arena).map_err(|e| e.to_string())?;
    let port = |p: Option<usize>| {
        p.and_then(|p| attractor::port_of(&image, p)).ok_or_else(|| "a projection without a port".to_owned())
    };
    let mut ports = Vec::new();
    for p in &built.projections {
        ports.push([port(p.couplings)?, port(p.input)?, port(p.readout)?]);
    }
    let mut replay = Replay { machine, case, built, ports };
    same("weights0", &digest(&replay.weights()?), &digest(&case.weights0))?;
    let mut random = run.seed.unwrap_or(0);
    let samples = case.inputs.len();
    for (k, step) in run.steps.iter().enumerate() {
        let at = format!("steps[{k}]");
        same(&format!("{at}: epoch, sample"), &(step.epoch, step.sample), &(k / samples, k % samples))?;
        replay.step(run, step, &mut random).map_err(|why| format!("{at}: {why}"))?;
        if step.epoch == 0
            && step.sample + 1 == samples
            && let Some(expected) = &run.weights_after_epoch1
        {
            replay.compare_weights(expected).map_err(|why| format!("after epoch 1: {why}"))?;
        }
    }
    same("steps", &run.steps.len(), &(run.epochs * samples))?;
    if let Some(expected) = &run.weights_final {
        replay.compare_weights(expected).map_err(|why| format!("final: {why}"))?;
    }
    for (k, expected) in run.eval_final.iter().flatten().enumerate() {
        replay.recall(k, expected).map_err(|why| format!("eval_final[{k}]: {why}"))?;
    }
    Ok(())
}

impl Replay<'_, '_> {
    /// The weights as they stand in the machine.
    fn weights(&self) -> Result<Weights, String> {
        let cfg = &self.case.cfg;
        let block = |port: u32, posts: usize, pres: usize, own: i32| -> Result<Vec<Vec<i32>>, String> {
            let weight = |i: usize, j: usize| {
                let w = self.machine.weight(port, j as u32, i as u32).ok_or("a weight that is not there")?;
                Ok(w + if i == j { own } else { 0 })
            };
            (0..posts).map(|i| (0..pres).map(|j| weight(i, j)).collect()).collect()
        };
        let mut w = Weights { couplings: vec![], input: vec![], teacher: vec![], readout: vec![] };
        for &[couplings, input, readout] in &self.ports {
            w.couplings.push(block(couplings, cfg.h, cfg.h, cfg.jd)?);
            w.input.push(block(input, cfg.h, cfg.n, 0)?);
            w.readout.push(block(readout, cfg.c, cfg.h, 0)?);
        }
        Ok(w)
    }

    fn compare_weights(&self, expected: &Weights) -> Result<(), String> {
        let found = self.weights()?;
        same("J", &found.couplings, &expected.couplings)?;
        same("Win", &found.input, &expected.input)?;
        same("Wout", &found.readout, &expected.readout)
    }

    fn present(&mut self, sample: usize, taught: bool) -> Result<(), String> {
        let cfg = &self.case.cfg;
        self.machine.rest();
        let teacher: Vec<i32> =
            (0..cfg.c).map(|c| if c == self.case.labels[sample] { cfg.yes } else { -cfg.no }).collect();
        self.machine.drive(self.built.input as u32, &self.case.inputs[sample]).map_err(|e| e.to_string())?;
        if taught {
            self.machine.drive(self.built.teacher as u32, &teacher).map_err(|e| e.to_string())?;
        }
        let label = self.case.labels[sample];
        for (c, t) in self.machine.targets_mut(self.built.readout as u32).iter_mut().enumerate() {
            *t = if c == label { 1 } else { -1 };
        }
        Ok(())
    }

    fn states(&self) -> Vec<String> {
        let sign = |s: &i32| match s {
            1 => '+',
            -1 => '-',
            _ => '0',
        };
        let layers = self.built.layers.iter();
        layers.map(|l| self.machine.membranes(*l as u32).iter().map(sign).collect()).collect()
    }

    /// Runs a program sweep by sweep, and then again as a whole: the states must be those of the trajectory.
    fn relax(
        &mut self,
        sample: usize,
        program: u32,
        names: [&str; 3],
        traj: Option<&[Vec<String>]>,
    ) -> Result<(), String> {
        let entries: Vec<_> =
            (0..).map_while(|i| self.machine.image().entry(i)).filter(|e| e.program == program).collect();
        let taught = program == attractor::LEARN;
        self.present(sample, taught)?;
        let mut walked = Vec::new();
        let mut phases = names.into_iter();
        for entry in entries.iter().filter(|e| e.phase != attractor::READ) {
            let name = phases.next().unwrap_or("free");
            self.machine.set_phase(entry.phase);
            for k in 0..entry.ticks {
                self.machine.step(&Portable, &mut Recorded::default(), &mut Unobserved);
                let name = if program == attractor::RECALL && k > 0 { "free" } else { name };
                let mut line = vec![name.to_owned()];
                line.extend(self.states());
                walked.push(line);
            }
        }
        if let Some(traj) = traj {
            same("sweeps", &walked.len(), &traj.len())?;
            for (k, (found, expected)) in walked.iter().zip(traj).enumerate() {
                same(&format!("traj[{k}]"), found, expected)?;
            }
        }
        self.present(sample, taught)?;
        self.machine.run_program(program, &Portable, &mut Recorded::default(), &mut Unobserved);
        let last = walked.last().map(|l| l[1..].to_vec()).unwrap_or_default();
        same("states after the program as a whole", &self.states(), &last)
    }

    /// The fields without the teacher, as the case flattens them.
    fn fields(&mut self) -> Vec<i32> {
        self.machine.set_phase(attractor::FREE);
        let layers = self.built.layers.clone();
        let machine = &self.machine;
        let field = |l: usize| move |i: usize| machine.field(l as u32, i as u32).unwrap_or(i32::MIN);
        layers.into_iter().flat_map(|l| (0..self.case.cfg.h).map(field(l))).collect()
    }

    fn step(&mut self, run: &Run, step: &Step, random: &mut u32) -> Result<(), String> {
        let cfg = &self.case.cfg;
        let names = ["warm", "sup", "free"];
        let kept: Vec<&str> = names.into_iter().filter(|n| sweeps(&cfg.plan, n) != 0).collect();
        let name = |k: usize| kept.get(k).copied().unwrap_or("free");
        self.relax(step.sample, attractor::LEARN, [name(0), name(1), name(2)], step.traj.as_deref())?;
        let field = self.fields();
        same("field", &field, &step.field)?;
        let out = self.machine.sums(self.built.readout as u32, 0).to_vec();
        same("out", &out, &step.out)?;
        let keep_right = run.mode == "keep_rgt";
        let states: Vec<i32> =
            self.built.layers.iter().flat_map(|l| self.machine.membranes(*l as u32).to_vec()).collect();
        let unstable = |k: &usize| {
            let extra = if keep_right && k / cfg.h + 1 < cfg.l { cfg.right } else { 0 };
            states[*k] * field[*k] <= cfg.margin + cfg.jd + extra
        };
        let hidden: Vec<usize> = (0..field.len()).filter(unstable).collect();
        same("unstable_hidden", &hidden, &step.unstable_hidden)?;
        let label = self.case.labels[step.sample];
        let wrong = |c: &usize| if *c == label { out[*c] } else { -out[*c] } <= cfg.readout_margin;
        let readout: Vec<usize> = (0..out.len()).filter(wrong).collect();
        same("unstable_out", &readout, &step.unstable_out)?;
        let mut draws = Recorded::default();
        if run.kind == "stochastic" {
            self.record(&hidden, &readout, random, &mut draws);
        }
        self.machine.learn_sample(&mut draws);
        match &step.digest {
            Some(expected) => same("digest", &digest(&self.weights()?), expected),
            None => Ok(()),
        }
    }

    /// Draws the numbers of the candidate synapses in the recorded order.
    fn record(&self, hidden: &[usize], readout: &[usize], random: &mut u32, draws: &mut Recorded) {
        let cfg = &self.case.cfg;
        // The case compares the low byte with its probability, the machine the high half with the same.
        let mut put = |projection: Option<usize>, source: usize, target: usize| {
            let r = xorshift(random) & 255;
            draws.0.insert((projection.unwrap_or(0) as u32, source as u32, target as u32), r << 24);
        };
        for k in hidden {
            let (l, i) = (k / cfg.h, k % cfg.h);
            for j in (0..cfg.h).filter(|j| *j != i) {
                put(self.built.projections[l].couplings, j, i);
            }
            for j in 0..cfg.n {
                put(self.built.projections[l].input, j, i);
            }
        }
        for c in readout {
            for p in &self.built.projections {
                for i in 0..cfg.h {
                    put(p.readout, i, *c);
                }
            }
        }
    }

    fn recall(&mut self, sample: usize, expected: &Recall) -> Result<(), String> {
        self.relax(sample, attractor::RECALL, ["warm", "free", "free"], expected.traj.as_deref())?;
        let out = self.machine.sums(self.built.readout as u32, 0).to_vec();
        same("out", &out, &expected.out)?;
        let mut best = 0;
        for (c, o) in out.iter().enumerate() {
            if *o > out[best] {
                best = c;
            }
        }
        same("pred", &best, &expected.pred)?;
        same("label", &self.case.labels[sample], &expected.label)
    }
}
