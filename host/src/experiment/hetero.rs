//! `hetero-association`: how many pairs of patterns a chain of layers can associate, against its depth.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Context, Experiment, Outcome, Pieces, Whole};
use crate::Failure;
use crate::alignment::mean_and_deviation;
use crate::plot::Xy;
use crate::report::{Figure, Report, Section};
use crate::steered::hetero::{Association, Recall};

/// The keys of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeteroAssociation {
    /// Neurons of a layer.
    width: Whole<2, 4096>,
    /// Numbers of layers.
    depths: Vec<Whole<1, 16>>,
    /// Pairs per neuron of a layer, ascending.
    loads: Vec<f64>,
    /// Runs of each point, averaged.
    repeats: Whole<1, 100>,
    weight_bits: Whole<4, 16>,
    /// J_D.
    self_coupling: f64,
    /// λ.
    link: f64,
    /// Strength of both patterns on the end layers.
    clamp: f64,
    /// κ, net of the self-coupling.
    margin: f64,
    /// A change is this divided by the width.
    rate: f64,
    epochs: Whole<1, 10_000>,
    sweeps: Whole<1, 1000>,
}

impl Experiment for HeteroAssociation {
    const NAME: &'static str = "hetero-association";
    const ABOUT: &'static str = "capacity of a chain of binary layers for pairs of patterns, against depth";

    fn check(&self) -> Result<(), Failure> {
        let positive = |key: &str, value: f64| {
            if value > 0.0 && value <= 1000.0 {
                return Ok(());
            }
            Err(Failure::bad_input("a number out of range")
                .place(key)
                .found(value)
                .expected("above 0, at most 1000")
                .mend("choose a number within these bounds"))
        };
        for (key, value) in
            [("link", self.link), ("clamp", self.clamp), ("rate", self.rate), ("margin", self.margin)]
        {
            positive(key, value)?;
        }
        for load in &self.loads {
            positive("loads", *load)?;
        }
        if self.depths.is_empty() || self.loads.is_empty() || self.loads.windows(2).any(|w| w[0] >= w[1]) {
            return Err(Failure::bad_input("nothing to run over, or loads that do not ascend")
                .place("loads")
                .expected("at least one depth, and loads that ascend")
                .mend("write depths = [1, 2] and loads = [0.1, 0.2]"));
        }
        Ok(())
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let mut points = Vec::new();
        for depth in &self.depths {
            for load in &self.loads {
                for repeat in 0..self.repeats.size() {
                    points.push((depth.size(), *load, repeat as u64));
                }
            }
        }
        let pieces = Pieces::of(context.checkpoint("chains"));
        let progress = context.progress("chains", points.len() as u64);
        let one = |&(layers, load, repeat): &(usize, f64, u64)| {
            let make = || self.association(layers, load).run(context.seed.wrapping_add(1000 * repeat));
            let recall = pieces.piece(&format!("{layers} layers, load {load}, repeat {repeat}"), make);
            progress.add(1, 0);
            recall
        };
        let recalls = points.par_iter().map(one).collect::<Result<Vec<Recall>, _>>()?;
        progress.finish();
        let mut report = Report::new(context.seed);
        let mut plot =
            Xy::new("Recall against load", "pairs per neuron", "pairs recalled (%)").y_range(0.0, 100.0);
        let (mut table, mut capacity, mut reached) = (Vec::new(), Vec::new(), Vec::new());
        for depth in &self.depths {
            let mut curve = Vec::new();
            for load in &self.loads {
                let of = points.iter().zip(&recalls).filter(|(p, _)| p.0 == depth.size() && p.1 == *load);
                let runs: Vec<Recall> = of.map(|(_, r)| *r).collect();
                let mean = |f: fn(&Recall) -> f64| runs.iter().map(f).sum::<f64>() / runs.len() as f64;
                let (overlap, recalled, stable) =
                    (mean(|r| r.overlap), mean(|r| r.recalled), mean(|r| r.stable));
                let shares: Vec<f64> = runs.iter().map(|r| r.recalled).collect();
                let error =
                    (runs.len() > 1).then(|| mean_and_deviation(&shares).1 / (runs.len() as f64).sqrt());
                table.push(json!({
                    "layers": depth, "load": load, "runs": runs.len(), "overlap": overlap, "recalled": recalled,
                    "recalled_error": error, "stable": stable,
                }));
                curve.push((*load, recalled));
            }
            let load = at_level(&curve, 0.9);
            reached.push((depth.size() as f64, load));
            capacity.push(json!({"layers": depth, "load_at_90_percent_recalled": load}));
            let name = format!("{} layers", depth.size());
            plot = plot.line(&name, curve.into_iter().map(|(load, r)| (load, 100.0 * r)));
        }
        report.more.insert("points".into(), json!(table));
        report.more.insert("capacity".into(), json!(capacity));
        report.profile.insert("order".into(), json!("one neuron at a time, a new order every sweep"));
        report
            .profile
            .insert("recall".into(), json!("input only, right-hand links off; an overlap above 0.9 counts"));
        let depths =
            Xy::new("Capacity against depth", "layers", "pairs per neuron").line("90 % recalled", reached);
        Ok(Outcome::from(report)
            .figure(Figure::new(Section::Results, &plot, "Mean over the repeats."))
            .figure(Figure::new(
                Section::Results,
                &depths,
                "The load up to which 90 % of the pairs are recalled.",
            )))
    }
}

impl HeteroAssociation {
    fn association(&self, layers: usize, load: f64) -> Association {
        Association {
            width: self.width.size(),
            layers,
            pairs: ((load * self.width.get() as f64).round() as usize).max(1),
            bits: self.weight_bits.get() as u32,
            self_coupling: self.self_coupling,
            link: self.link,
            clamp: self.clamp,
            margin: self.margin,
            rate: self.rate,
            epochs: self.epochs.size(),
            sweeps: self.sweeps.get() as u32,
        }
    }
}

/// The load up to which a curve stays at a level, between its points by a straight line; 0 where it never reaches it.
fn at_level(curve: &[(f64, f64)], level: f64) -> f64 {
    let mut last: Option<(f64, f64)> = None;
    for &(x, y) in curve {
        if y < level {
            return last.map_or(0.0, |(x0, y0)| x0 + (x - x0) * (y0 - level) / (y0 - y));
        }
        last = Some((x, y));
    }
    last.map_or(0.0, |l| l.0)
}
