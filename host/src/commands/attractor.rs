//! `synop attractor`: theory and simulation of the fixed points of binary asymmetric networks.

use synop_attractor::chain::{self, Layers};
use synop_attractor::ensemble::{Effort, Summary, converge, half_point};
use synop_attractor::network::{Recipe, stream};
use synop_attractor::relax::Schedule;
use synop_attractor::reproduction::{Bound, Claim, EXPERIMENTS, Experiment, Scale};
use synop_attractor::sparse::{self, Pattern};
use synop_attractor::{basin, belief, cluster, entropy, enumerate, hetero};

use crate::attractor::{Study, integer, phases, refused};
use crate::cli::Common;
use crate::experiment::{Checkpoint, Pieces, State, run_id};
use crate::plot::Xy;
use crate::progress::Progress;
use crate::table::Cell;
use crate::{Failure, interrupt};

/// Fixed points of binary asymmetric networks: how many, how clustered, how reachable
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  synop attractor phases --out results
  synop attractor relax --neurons 400 --schedule sync")]
pub struct Args {
    #[command(subcommand)]
    study: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// The thresholds in the self-coupling and their order, with one figure
    #[command(after_help = "Examples:\n  synop attractor phases --out results")]
    Phases,
    /// Entropy, typical stability, fluctuation and isolation radius against self-coupling
    #[command(after_help = "Examples:\n  synop attractor theory --json")]
    Theory {
        /// Self-couplings
        #[arg(long, value_delimiter = ',', default_values_t = [0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0])]
        self_coupling: Vec<f64>,
    },
    /// Count every fixed point of small networks
    #[command(after_help = "Examples:\n  synop attractor enumerate --neurons 24 --samples 1")]
    Enumerate {
        /// Neurons, 2 to 24
        #[arg(long, default_value_t = 16)]
        neurons: usize,
        /// Networks drawn
        #[arg(long, default_value_t = 100)]
        samples: usize,
        /// Self-couplings
        #[arg(long, value_delimiter = ',', default_values_t = [0.0, 0.1, 0.25, 0.5, 1.0])]
        self_coupling: Vec<f64>,
    },
    /// Relax random states of random networks, in float and with couplings of a few bits on the integer machine
    #[command(after_help = "\
Examples:
  synop attractor relax --neurons 100,400 --schedule async_perm
  synop attractor relax --neurons 400 --bits 16,8,4")]
    Relax {
        #[command(flatten)]
        dynamics: Dynamics,
        /// Neurons
        #[arg(long, value_delimiter = ',', default_values_t = [100, 400])]
        neurons: Vec<usize>,
        /// Self-couplings
        #[arg(long, value_delimiter = ',',
            default_values_t = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2])]
        self_coupling: Vec<f64>,
    },
    /// Typical and largest local entropy against distance
    #[command(after_help = "Examples:\n  synop attractor local-entropy --self-coupling 0.05,0.1")]
    LocalEntropy {
        /// Self-couplings
        #[arg(long, value_delimiter = ',', default_values_t = [0.05, 0.06, 0.07, 0.1, 0.3])]
        self_coupling: Vec<f64>,
    },
    /// Search by reinforced belief propagation
    #[command(after_help = "Examples:\n  synop attractor rbp --neurons 400 --samples 10")]
    Rbp {
        /// Neurons
        #[arg(long, default_value_t = 400)]
        neurons: usize,
        /// Networks drawn
        #[arg(long, default_value_t = 10)]
        samples: usize,
        /// Steps, over which reinforcement grows from 0 to 1
        #[arg(long, default_value_t = 600)]
        steps: u32,
        /// Self-couplings
        #[arg(long, value_delimiter = ',',
            default_values_t = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5])]
        self_coupling: Vec<f64>,
    },
    /// Chains of layers: entropy and convergence against the link strength
    #[command(after_help = "\
Examples:
  synop attractor chain --self-coupling 0 --layers 2,3,5
  synop attractor chain --layers 2 --bits 8,4")]
    Chain {
        #[command(flatten)]
        dynamics: Dynamics,
        /// Neurons per layer
        #[arg(long, default_value_t = 200)]
        neurons: usize,
        /// Numbers of layers
        #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 3, 5])]
        layers: Vec<usize>,
        /// Self-coupling
        #[arg(long, default_value_t = 0.0)]
        self_coupling: f64,
        /// Link strengths
        #[arg(long, value_delimiter = ',', default_values_t = [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0])]
        link: Vec<f64>,
    },
    /// Sparse excitation instead of self-coupling
    #[command(after_help = "\
Examples:
  synop attractor sparse --pattern self,pairs,perm
  synop attractor sparse --pattern pairs --bits 8,4")]
    Sparse {
        #[command(flatten)]
        dynamics: Dynamics,
        /// Neurons; a multiple of the size of a clique
        #[arg(long, default_value_t = 420)]
        neurons: usize,
        /// Patterns: self, pairs, cliqueN, ring, perm
        #[arg(long, value_delimiter = ',',
            default_values_t = ["self", "pairs", "clique3", "clique5", "ring", "perm"].map(String::from))]
        pattern: Vec<String>,
        /// Row sums of the excitation
        #[arg(long, value_delimiter = ',', default_values_t = [0.5, 1.0, 1.5, 2.0, 3.0])]
        excitation: Vec<f64>,
    },
    /// Partly symmetric couplings
    #[command(after_help = "Examples:\n  synop attractor symmetry --self-coupling 0 --schedule sync")]
    Symmetry {
        #[command(flatten)]
        dynamics: Dynamics,
        /// Neurons
        #[arg(long, default_value_t = 400)]
        neurons: usize,
        /// Self-coupling
        #[arg(long, default_value_t = 0.0)]
        self_coupling: f64,
        /// Symmetric fractions, 0 to 1
        #[arg(long, value_delimiter = ',', default_values_t = [0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0])]
        eta: Vec<f64>,
    },
    /// Disturb reached fixed points and relax again
    #[command(after_help = "Examples:\n  synop attractor basin --self-coupling 0.6,1.0")]
    Basin {
        /// Neurons
        #[arg(long, default_value_t = 400)]
        neurons: usize,
        /// Networks drawn
        #[arg(long, default_value_t = 20)]
        samples: usize,
        /// Self-couplings
        #[arg(long, value_delimiter = ',', default_values_t = [0.6, 0.8, 1.0, 1.5])]
        self_coupling: Vec<f64>,
        /// Neurons flipped [default: one, and 1, 5, 10 and 20 in a hundred]
        #[arg(long, value_delimiter = ',')]
        flips: Vec<usize>,
    },
    /// Hetero-association in chains of different depth
    #[command(after_help = "Examples:\n  synop attractor hetero --layers 1,3 --pairs 10")]
    Hetero {
        /// Numbers of layers
        #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 3, 4, 5])]
        layers: Vec<usize>,
        /// Numbers of pattern pairs
        #[arg(long, value_delimiter = ',', default_values_t = [5, 10, 20])]
        pairs: Vec<usize>,
        /// Independent draws
        #[arg(long, default_value_t = 4)]
        samples: usize,
    },
    /// The reference experiments E1 to E16: measured beside expected, at stated tolerances
    #[command(after_help = "\
Examples:
  synop attractor reproduce --out results
  synop attractor reproduce --only E4,E5 --short")]
    Reproduce {
        /// Only these
        #[arg(long, value_delimiter = ',', value_name = "NAMES")]
        only: Vec<String>,
        /// With the sample sizes of the tests
        #[arg(long)]
        short: bool,
    },
}

/// How networks are relaxed.
#[derive(Debug, clap::Args)]
struct Dynamics {
    /// Order of updates: async_perm, async_replace or sync
    #[arg(long, default_value = "async_perm")]
    schedule: String,
    /// Networks drawn per point
    #[arg(long, default_value_t = 20)]
    samples: usize,
    /// Sweeps at most
    #[arg(long, default_value_t = 1000)]
    sweeps: u32,
    /// Also on the integer machine, with couplings of these widths
    #[arg(long, value_delimiter = ',', value_name = "BITS",
        allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(2..=16))]
    bits: Vec<u32>,
}

impl Dynamics {
    /// Float, then each number of bits, with the name of each.
    fn widths(&self) -> Vec<(Option<u32>, String)> {
        let integer = self.bits.iter().map(|&bits| (Some(bits), format!("int{bits}")));
        std::iter::once((None, "float".to_owned())).chain(integer).collect()
    }

    /// Relaxes in float, or with couplings of `bits` bits on the integer machine.
    fn run(&self, recipe: &Recipe, bits: Option<u32>, seed: u64) -> Result<Summary, Failure> {
        let schedule = Schedule::from_name(&self.schedule).ok_or_else(|| {
            Failure::bad_input("no such order of updates")
                .place("--schedule")
                .found(&self.schedule)
                .expected("async_perm, async_replace or sync")
        })?;
        let effort = Effort { samples: self.samples, sweeps: self.sweeps, seed };
        match bits {
            Some(bits) => integer::converge(recipe, schedule, effort, bits),
            None => converge(recipe, schedule, effort).map_err(refused),
        }
    }
}

/// Runs the study, prints its table and writes its files.
///
/// # Errors
/// Bad input: a parameter out of range; the work failed: files cannot be written.
pub fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    // Only the reference experiments take minutes.
    let keeps = matches!(args.study, What::Reproduce { .. });
    let state = if keeps { State::of(None, common)? } else { None };
    match keeps {
        true => State::advise(state.as_ref()),
        false => interrupt::advise("nothing is kept; the same command begins anew".to_owned()),
    }
    let id = run_id(&format!("attractor\n{:?}\n{}", args.study, common.seed()));
    let claims = Pieces::of(Checkpoint::new(state.as_ref().map(|state| state.part(&id, "claims"))));
    let study = common.in_pool(|| study(&args.study, common.seed(), &claims))??;
    common.deliver(&study, || study.text(), |folder| study.write(folder))?;
    if let Some(state) = &state {
        state.forget(&id, "");
        state.close();
    }
    Ok(())
}

/// Of the reference experiments, those that have ended are kept in `claims`.
fn study(what: &What, seed: u64, claims: &Pieces<Vec<Claim>>) -> Result<Study, Failure> {
    match what {
        What::Phases => phases(seed),
        What::Theory { self_coupling } => theory(self_coupling, seed),
        What::Enumerate { neurons, samples, self_coupling } => {
            enumerated(*neurons, *samples, self_coupling, seed)
        }
        What::Relax { dynamics, neurons, self_coupling } => relaxed(dynamics, neurons, self_coupling, seed),
        What::LocalEntropy { self_coupling } => local_entropy(self_coupling, seed),
        What::Rbp { neurons, samples, steps, self_coupling } => {
            searched(*neurons, *samples, *steps, self_coupling, seed)
        }
        What::Chain { dynamics, neurons, layers, self_coupling, link } => {
            chained(dynamics, *neurons, layers, *self_coupling, link, seed)
        }
        What::Sparse { dynamics, neurons, pattern, excitation } => {
            excited(dynamics, *neurons, pattern, excitation, seed)
        }
        What::Symmetry { dynamics, neurons, self_coupling, eta } => {
            symmetric(dynamics, *neurons, *self_coupling, eta, seed)
        }
        What::Basin { neurons, samples, self_coupling, flips } => {
            let mut usual: Vec<usize> = vec![1, neurons / 100, neurons / 20, neurons / 10, neurons / 5];
            usual.retain(|n| *n > 0);
            usual.dedup();
            let flips = if flips.is_empty() { &usual } else { flips };
            disturbed(*neurons, *samples, self_coupling, flips, seed)
        }
        What::Hetero { layers, pairs, samples } => associated(layers, pairs, *samples, seed),
        What::Reproduce { only, short } => reproduced(only, *short, seed, claims),
    }
}

fn theory(couplings: &[f64], seed: u64) -> Result<Study, Failure> {
    let columns = ["J_D", "entropy", "bits", "stability", "fluctuation", "isolation"];
    let mut study = Study::new("theory", "Fixed points of a large module", seed, &columns);
    for &j in couplings {
        let radius = entropy::isolation_radius(j).map_err(refused)?;
        let s = entropy::entropy(j);
        let (r, c) = (entropy::typical_stability(j), entropy::count_fluctuation(j));
        let bits = s / std::f64::consts::LN_2;
        study.row(vec![j.into(), s.into(), bits.into(), r.into(), c.into(), radius.into()]);
    }
    let curve = (0..=100).map(|k| (0.02 * f64::from(k), entropy::entropy(0.02 * f64::from(k))));
    study.picture(
        Xy::new("Entropy of fixed points", "self-coupling", "entropy per neuron").line("entropy", curve),
    );
    Ok(study.finished())
}

fn enumerated(neurons: usize, samples: usize, couplings: &[f64], seed: u64) -> Result<Study, Failure> {
    let columns = ["J_D", "mean", "error", "exact", "without"];
    let mut study = Study::new("enumerate", "Fixed points counted one by one", seed, &columns);
    let progress = Progress::new("networks", (samples * couplings.len()) as u64);
    let mut entropies = Vec::new();
    for &j in couplings {
        let mut counts = Vec::with_capacity(samples);
        for k in 0..samples as u64 {
            let network = Recipe::module(neurons, j).draw(&mut stream(seed, k)).map_err(refused)?;
            counts.push(enumerate::count(&network).map_err(refused)? as f64);
            progress.add(1, 0);
        }
        let n = counts.len() as f64;
        let mean = counts.iter().sum::<f64>() / n;
        let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let none = counts.iter().filter(|c| **c == 0.0).count() as f64 / n;
        let exact = entropy::expected_count(neurons, j);
        study.row(vec![j.into(), mean.into(), (variance / n).sqrt().into(), exact.into(), none.into()]);
        if mean > 0.0 {
            entropies.push((j, mean.ln() / neurons as f64));
        }
    }
    progress.finish();
    let most = couplings.iter().fold(0.0, |most: f64, j| most.max(*j));
    let exact = (0..=100).map(|k| 0.01 * f64::from(k) * most);
    let exact = exact.map(|j| (j, entropy::expected_count(neurons, j).ln() / neurons as f64));
    let title = format!("Fixed points of {neurons} neurons");
    let plot = Xy::new(&title, "self-coupling", "ln mean number / N").line("exact", exact);
    study.picture(plot.points("counted", entropies));
    Ok(study.finished())
}

fn relaxed(dynamics: &Dynamics, sizes: &[usize], couplings: &[f64], seed: u64) -> Result<Study, Failure> {
    let columns = [":couplings", "N", "J_D", "converged", "two-cycles", "median sweeps", "residual"];
    let mut study = Study::new("relax", "Relaxation of random states", seed, &columns);
    let mut plot = Xy::new("Relaxations that converge", "self-coupling", "fraction").y_range(0.0, 1.0);
    let widths = dynamics.widths();
    let progress = Progress::new("points", (widths.len() * sizes.len() * couplings.len()) as u64);
    for &n in sizes {
        for (width, name) in &widths {
            let mut curve = Vec::new();
            for &j in couplings {
                let s = dynamics.run(&Recipe::module(n, j), *width, seed)?;
                curve.push((j, s.converged));
                study.row(summary_row(vec![name.as_str().into(), n.into(), j.into()], &s));
                progress.add(1, 0);
            }
            if let Some(half) = half_point(&curve) {
                study.value(&format!("half converge, {name}, N={n}, {} sweeps", dynamics.sweeps), half);
            }
            plot = plot.line(&format!("{name}, N={n}"), curve);
        }
    }
    progress.finish();
    study.picture(plot);
    Ok(study.finished())
}

/// A row that ends in what relaxation came to.
fn summary_row(mut row: Vec<Cell>, s: &Summary) -> Vec<Cell> {
    row.extend([s.converged.into(), s.two_cycles.into(), s.median_sweeps.into(), s.residual.into()]);
    row
}

fn local_entropy(couplings: &[f64], seed: u64) -> Result<Study, Failure> {
    let columns = ["J_D", "distance", "typical", "largest", "replicas"];
    let mut study = Study::new("local-entropy", "Fixed points around a fixed point", seed, &columns);
    let mut plot = Xy::new("Largest local entropy", "distance", "local entropy per neuron").log_x();
    let distances = [0.001, 0.003, 0.006, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.4];
    let progress = Progress::new("points", (couplings.len() * distances.len()) as u64);
    for &j in couplings {
        let mut curve = Vec::new();
        for d in distances {
            let best = cluster::densest_at(j, d).map_err(refused)?;
            curve.push((d, best.local_entropy));
            let typical = entropy::typical_local_entropy(j, d);
            study.row(vec![
                j.into(),
                d.into(),
                typical.into(),
                best.local_entropy.into(),
                best.replicas.into(),
            ]);
            progress.add(1, 0);
        }
        plot = plot.line(&format!("J_D={j}"), curve);
    }
    progress.finish();
    study.picture(plot.mark_y("gap", 0.0));
    Ok(study.finished())
}

fn searched(
    neurons: usize,
    samples: usize,
    steps: u32,
    couplings: &[f64],
    seed: u64,
) -> Result<Study, Failure> {
    let columns = ["J_D", "solved", "least violated"];
    let mut study = Study::new("rbp", "Reinforced belief propagation", seed, &columns);
    let progress = Progress::new("points", couplings.len() as u64);
    let mut curve = Vec::new();
    for &j in couplings {
        let found = belief::search_many(neurons, j, samples, steps, seed).map_err(refused)?;
        curve.push((j, found.solved));
        study.row(vec![j.into(), found.solved.into(), found.least_violated.into()]);
        progress.add(1, 0);
    }
    progress.finish();
    study.picture(Xy::new("Searches that succeed", "self-coupling", "fraction").line("solved", curve));
    Ok(study.finished())
}

fn chained(
    dynamics: &Dynamics,
    neurons: usize,
    layers: &[usize],
    self_coupling: f64,
    links: &[f64],
    seed: u64,
) -> Result<Study, Failure> {
    let columns =
        [":couplings", "layers", "link", "entropy", "converged", "two-cycles", "median sweeps", "residual"];
    let mut study = Study::new("chain", "Chains of layers", seed, &columns);
    let mut plot = Xy::new("Chains that converge", "link", "fraction").y_range(0.0, 1.0);
    let widths = dynamics.widths();
    let progress = Progress::new("points", (widths.len() * layers.len() * links.len()) as u64);
    for &count in layers {
        for (width, name) in &widths {
            let mut curve = Vec::new();
            for &link in links {
                let entropy = chain::entropy(Layers::Count(count), self_coupling, link).map_err(refused)?;
                let recipe = Recipe { layers: count, link, ..Recipe::module(neurons, self_coupling) };
                let s = dynamics.run(&recipe, *width, seed)?;
                curve.push((link, s.converged));
                let row = vec![name.as_str().into(), count.into(), link.into(), entropy.into()];
                study.row(summary_row(row, &s));
                progress.add(1, 0);
            }
            plot = plot.line(&format!("{count} layers, {name}"), curve);
        }
    }
    progress.finish();
    study.picture(plot);
    Ok(study.finished())
}

fn excited(
    dynamics: &Dynamics,
    neurons: usize,
    patterns: &[String],
    strengths: &[f64],
    seed: u64,
) -> Result<Study, Failure> {
    let columns =
        [":couplings", ":pattern", "J_E", "entropy", "converged", "two-cycles", "median sweeps", "residual"];
    let mut study = Study::new("sparse", "Sparse excitation", seed, &columns);
    let mut plot = Xy::new("Relaxations that converge", "excitation", "fraction").y_range(0.0, 1.0);
    let widths = dynamics.widths();
    let progress = Progress::new("points", (widths.len() * patterns.len() * strengths.len()) as u64);
    for name in patterns {
        let pattern = Pattern::from_name(name).ok_or_else(|| {
            Failure::bad_input("no such pattern")
                .place("--pattern")
                .found(name)
                .expected("self, pairs, cliqueN, ring or perm")
        })?;
        for (width, couplings) in &widths {
            let mut curve = Vec::new();
            for &strength in strengths {
                let entropy = sparse::entropy(pattern, strength).map_err(refused)?;
                let recipe = Recipe { excitation: Some((pattern, strength)), ..Recipe::module(neurons, 0.0) };
                let s = dynamics.run(&recipe, *width, seed)?;
                curve.push((strength, s.converged));
                let row =
                    vec![couplings.as_str().into(), name.as_str().into(), strength.into(), entropy.into()];
                study.row(summary_row(row, &s));
                progress.add(1, 0);
            }
            plot = plot.line(&format!("{name}, {couplings}"), curve);
        }
    }
    progress.finish();
    study.picture(plot);
    Ok(study.finished())
}

fn symmetric(
    dynamics: &Dynamics,
    neurons: usize,
    self_coupling: f64,
    fractions: &[f64],
    seed: u64,
) -> Result<Study, Failure> {
    let columns = [":couplings", "eta", "entropy", "converged", "two-cycles", "median sweeps", "residual"];
    let mut study = Study::new("symmetry", "Partly symmetric couplings", seed, &columns);
    let mut plot = Xy::new("Ends of relaxation", "symmetric fraction", "fraction").y_range(0.0, 1.0);
    let widths = dynamics.widths();
    let progress = Progress::new("points", (widths.len() * fractions.len()) as u64);
    for (width, name) in &widths {
        let (mut fixed, mut cycles) = (Vec::new(), Vec::new());
        for &eta in fractions {
            let entropy = entropy::symmetric_entropy(self_coupling, eta).map_err(refused)?;
            let recipe = Recipe { symmetry: eta, ..Recipe::module(neurons, self_coupling) };
            let s = dynamics.run(&recipe, *width, seed)?;
            fixed.push((eta, s.converged));
            cycles.push((eta, s.two_cycles));
            study.row(summary_row(vec![name.as_str().into(), eta.into(), entropy.into()], &s));
            progress.add(1, 0);
        }
        plot = plot.line(&format!("fixed point, {name}"), fixed).line(&format!("two-cycle, {name}"), cycles);
    }
    progress.finish();
    study.picture(plot);
    Ok(study.finished())
}

fn disturbed(
    neurons: usize,
    samples: usize,
    couplings: &[f64],
    flips: &[usize],
    seed: u64,
) -> Result<Study, Failure> {
    let columns = ["J_D", "flips", "returned", "elsewhere", "unsettled", "overlap"];
    let mut study = Study::new("basin", "Disturbed fixed points", seed, &columns);
    let mut plot = Xy::new("Overlap after a disturbance", "neurons flipped", "overlap");
    let progress = Progress::new("self-couplings", couplings.len() as u64);
    for &j in couplings {
        let effort = basin::Effort { samples, trials: 6, sweeps: 1000, seed };
        let found = basin::disturb(&Recipe::module(neurons, j), flips, effort).map_err(refused)?;
        plot = plot.line(&format!("J_D={j}"), found.iter().map(|b| (b.flips as f64, b.final_overlap)));
        for b in found {
            let parts = [b.returned, b.elsewhere, b.unsettled, b.final_overlap];
            let mut row: Vec<Cell> = vec![j.into(), b.flips.into()];
            row.extend(parts.map(Cell::from));
            study.row(row);
        }
        progress.add(1, 0);
    }
    progress.finish();
    study.picture(plot);
    Ok(study.finished())
}

fn associated(layers: &[usize], pairs: &[usize], samples: usize, seed: u64) -> Result<Study, Failure> {
    let columns = ["pairs", "layers", "overlap", "recalled"];
    let mut study = Study::new("hetero", "Hetero-association against depth", seed, &columns);
    let mut plot = Xy::new("Recall against depth", "layers", "overlap").y_range(0.0, 1.0);
    let progress = Progress::new("points", (layers.len() * pairs.len()) as u64);
    for &count in pairs {
        let mut curve = Vec::new();
        for &depth in layers {
            let task = hetero::Task::reference(depth, count);
            let recall = hetero::associate(&task, samples, seed).map_err(refused)?;
            curve.push((depth as f64, recall.overlap));
            study.row(vec![count.into(), depth.into(), recall.overlap.into(), recall.recalled.into()]);
            progress.add(1, 0);
        }
        plot = plot.line(&format!("{count} pairs"), curve);
    }
    progress.finish();
    study.picture(plot);
    Ok(study.finished())
}

fn reproduced(
    only: &[String],
    short: bool,
    seed: u64,
    claims: &Pieces<Vec<Claim>>,
) -> Result<Study, Failure> {
    let experiments: Vec<Experiment> = if only.is_empty() {
        EXPERIMENTS.to_vec()
    } else {
        let find = |name: &String| {
            Experiment::from_name(name).ok_or_else(|| {
                Failure::bad_input("no such experiment")
                    .place("--only")
                    .found(name)
                    .expected("names from E1 to E16")
            })
        };
        only.iter().map(find).collect::<Result<_, _>>()?
    };
    let columns = [":experiment", ":quantity", "measured", "error", "least", "most", ":holds"];
    let mut study = Study::new("reproduction", "Measured beside expected", seed, &columns);
    let progress = Progress::new("experiments", experiments.len() as u64);
    let scale = if short { Scale::Short } else { Scale::Full };
    let (mut broken, mut places) = (0, Vec::new());
    for experiment in &experiments {
        for claim in claims.piece(experiment.name, || experiment.measure(scale, seed).map_err(refused))? {
            let (least, most) = match claim.bound {
                Bound::Within { expected, tolerance } => {
                    (Some(expected - tolerance), Some(expected + tolerance))
                }
                Bound::AtLeast(least) => (Some(least), None),
                Bound::AtMost(most) => (None, Some(most)),
            };
            broken += usize::from(!claim.holds());
            if let (Some(least), Some(most)) = (least, most)
                && most > least
            {
                // −1 and 1 are the ends of the range.
                let place = (2.0 * claim.measured - least - most) / (most - least);
                places.push((places.len() as f64 + 1.0, place));
            }
            let holds = if claim.holds() { "yes" } else { "NO" };
            let row = [experiment.name.into(), claim.quantity.as_str().into(), claim.measured.into()];
            let range = [claim.error.into(), least.into(), most.into(), holds.into()];
            study.row(row.into_iter().chain(range).collect());
        }
        progress.add(1, 0);
    }
    progress.finish();
    study.value("claims", study.rows.len());
    study.value("claims that do not hold", broken);
    let plot = Xy::new("Where each number lies in its range", "claim", "-1 and 1: the ends");
    study.picture(plot.points("measured", places).mark_y("least", -1.0).mark_y("most", 1.0));
    Ok(study.finished())
}
