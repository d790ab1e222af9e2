//! `synop inspect`: what is in a file, whatever it is; what it is, its content says.

mod network;

use std::path::PathBuf;

use serde::Serialize;
use sha2::{Digest, Sha256};
use synop_core::image::{NONE, Param, Section, Segment, Store, flag};
use synop_model::image::Blob;
use synop_model::rule::RuleSpec;

use crate::cli::Common;
use crate::source::{self, ProfileArgs};
use crate::table::Table;
use crate::{Failure, experiment, files, memory};

/// Show what is in a NIR file, a recording, an image, a chip, an experiment or a rule
///
/// The content of the file decides what it is taken for, not its name. Of a NIR file: its nodes with shapes and
/// parameters, which exporter seems to have written it, what that exporter does not store, and everything that a run
/// would assume. Nothing is decided: a profile is only suggested.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  synop inspect tests/golden/nir/digits_snntorch.nir
  synop inspect net.nir --profile norse --json
  synop inspect net.img
  synop inspect crates/cost/chips/loihi1-published.toml
  synop inspect experiments/digits-local.toml --json")]
pub struct Args {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    profile: ProfileArgs,
}

/// Says what is in the file.
///
/// # Errors
/// Bad input: the file cannot be read, is of no known kind, or is broken.
pub fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    let bytes = files::read(&args.file)?;
    if bytes.starts_with(&synop_core::image::MAGIC) {
        return image(args, common, &bytes);
    }
    if source::check_hdf5(&args.file, &bytes).is_ok() {
        return network::show(&args.file, bytes, &args.profile, common);
    }
    let text = std::str::from_utf8(&bytes).ok();
    let table = text.and_then(|text| text.parse::<toml::Table>().ok());
    if table.as_ref().is_some_and(|table| table.contains_key("task")) {
        return experiment(args, common);
    }
    if table.as_ref().is_some_and(|table| table.contains_key("mesh") || table.contains_key("accounting")) {
        return super::chips::show(&args.file.to_string_lossy(), common);
    }
    let first = |text: &str| {
        text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_owned)
    };
    if text.and_then(first).is_some_and(|line| line.starts_with("rule")) {
        return rule(args, common, text.unwrap_or_default());
    }
    Err(Failure::bad_input("not a file that synop knows")
        .file(&args.file)
        .found(format_args!("{} bytes that begin {:02x?}", bytes.len(), &bytes[..bytes.len().min(8)]))
        .expected("a NIR file, an image, a chip, an experiment or a rule")
        .mend("check that this is the file you meant; a chip has a table [mesh], an experiment the key task"))
}

#[derive(Serialize)]
struct Described {
    schema: &'static str,
    kind: &'static str,
    sha256: String,
    bytes: usize,
    seed: u64,
    cores: u32,
    neurons: u32,
    stages: u32,
    least_delay: u32,
    synapses: u64,
    weight_bits: u32,
    memory_bytes: usize,
    plastic_bytes: usize,
    populations: Vec<Piece>,
    projections: Vec<Port>,
    sections: Vec<(String, usize)>,
}

#[derive(Serialize)]
struct Piece {
    population: u32,
    core: u32,
    first: u32,
    neurons: u32,
    kind: &'static str,
    stage: u32,
    threshold: String,
    decay: String,
    options: Vec<&'static str>,
}

#[derive(Serialize)]
struct Port {
    projection: u32,
    source: u32,
    target: u32,
    store: &'static str,
    bits: u32,
    delay: u32,
    group: u32,
    synapses: u64,
    nonzero: Option<u64>,
    rule: Option<u32>,
}

const OPTIONS: [(u32, &str); 6] = [
    (flag::GREATER_EQUAL, "spike at threshold"),
    (flag::MULTI_SPIKE, "several spikes per tick"),
    (flag::SILENT, "integrates without spiking"),
    (flag::CURRENT, "synaptic current"),
    (flag::ADAPTIVE, "adaptive threshold"),
    (flag::TARGET, "target"),
];

/// A parameter: its value, or that each neuron has its own.
fn parameter(p: Param, scale: f64) -> String {
    match p.array {
        NONE if scale == 1.0 => p.value.to_string(),
        NONE => format!("{:.4}", f64::from(p.value as u32) / scale),
        _ => "each".to_owned(),
    }
}

fn image(args: &Args, common: &Common, bytes: &[u8]) -> Result<(), Failure> {
    let blob = Blob::new(bytes);
    let image = blob.image().map_err(|error| {
        Failure::bad_input(error)
            .file(&args.file)
            .mend("copy the file again, or write it anew with synop compile")
    })?;
    let pieces = (0..image.pieces).filter_map(|i| image.piece(i));
    let populations: Vec<Piece> = pieces
        .map(|p| Piece {
            population: p.population,
            core: p.core,
            first: p.population_first,
            neurons: p.count,
            kind: if p.kind == synop_core::image::Kind::Input { "input" } else { "neurons" },
            stage: p.stage,
            threshold: parameter(p.threshold, 1.0),
            decay: parameter(p.decay, f64::from(1u32 << 31)),
            options: OPTIONS.iter().filter(|(bit, _)| p.flags & bit != 0).map(|(_, name)| *name).collect(),
        })
        .collect();
    let mut sparse = vec![0u64; image.ports as usize];
    let segments: Vec<u32> = image
        .section(Section::Segments)
        .chunks_exact(4)
        .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    for i in 0.. {
        let Some(segment) = Segment::at(&segments, i) else { break };
        if let Some(n) = sparse.get_mut(segment.port as usize) {
            *n += u64::from(segment.len);
        }
    }
    let mut projections = Vec::new();
    for i in 0..image.ports {
        let Some(p) = image.port(i) else { continue };
        let size = |piece: u32| image.piece(piece).map_or(0, |p| u64::from(p.count));
        let population = |piece: u32| image.piece(piece).map_or(NONE, |p| p.population);
        let (store, synapses) = match p.store {
            Store::Dense => ("dense", size(p.source) * size(p.target)),
            Store::Bits => ("bits", size(p.source) * size(p.target)),
            Store::Identity => ("identity", size(p.source)),
            Store::Sparse => ("sparse", sparse.get(i as usize).copied().unwrap_or(0)),
            Store::Crossbar => ("crossbar", size(p.source) * size(p.target)),
        };
        projections.push(Port {
            projection: p.projection,
            source: population(p.source),
            target: population(p.target),
            store,
            bits: p.bits,
            delay: p.delay,
            group: p.group,
            synapses,
            nonzero: (p.store == Store::Dense).then(|| {
                let section = if p.rule == NONE { Section::Data } else { Section::Plastic };
                let (at, rows) = (p.nonzero as usize * 8, size(p.source) as usize);
                let counts = image.section(section).get(at..at + 4 * rows).unwrap_or(&[]);
                counts.chunks_exact(4).map(|b| u64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))).sum()
            }),
            rule: (p.rule != NONE).then_some(p.rule),
        });
    }
    let named = [
        Section::Cores,
        Section::Pieces,
        Section::Ports,
        Section::Segments,
        Section::Data,
        Section::Plastic,
        Section::Rules,
    ];
    let described = Described {
        schema: "synop-inspect/1",
        kind: "image",
        sha256: Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect(),
        bytes: bytes.len(),
        seed: image.seed,
        cores: image.cores,
        neurons: image.neurons,
        stages: image.stages,
        least_delay: image.least_delay,
        synapses: projections.iter().map(|p| p.synapses).sum(),
        weight_bits: projections.iter().map(|p| p.bits).max().unwrap_or(0),
        memory_bytes: image.memory(0..image.cores).bytes(),
        plastic_bytes: image.section(Section::Plastic).len(),
        populations,
        projections,
        sections: named.iter().map(|s| (format!("{s:?}").to_lowercase(), image.section(*s).len())).collect(),
    };
    common.print(&described, || image_text(&described))
}

fn image_text(d: &Described) -> String {
    let mut text = format!(
        "image of {}, seed {}\n{} cores, {} neurons in {} stages, {} synapses, weights up to {} bits\n\
         memory to run it: {}, of which {} plastic weights\nsha256 {}\n\n",
        memory::human(d.bytes as u64),
        d.seed,
        d.cores,
        d.neurons,
        u64::from(d.stages) + 1,
        d.synapses,
        d.weight_bits,
        memory::human(d.memory_bytes as u64),
        memory::human(d.plastic_bytes as u64),
        d.sha256,
    );
    let mut table = Table::new("Populations")
        .number("no.")
        .number("core")
        .text("kind")
        .number("neurons")
        .number("stage")
        .text("threshold")
        .text("decay")
        .text("options");
    const MOST: usize = 40;
    for p in d.populations.iter().take(MOST) {
        let input = p.kind == "input";
        let shown = |text: &str| if input { "-".to_owned() } else { text.to_owned() };
        table.push(vec![
            u64::from(p.population).into(),
            u64::from(p.core).into(),
            p.kind.into(),
            u64::from(p.neurons).into(),
            u64::from(p.stage).into(),
            shown(&p.threshold).into(),
            shown(&p.decay).into(),
            p.options.join(", ").into(),
        ]);
    }
    text.push_str(&table.terminal());
    let mut table = Table::new("Synapses")
        .text("from")
        .text("to")
        .text("store")
        .number("bits")
        .number("delay")
        .number("group")
        .number("synapses")
        .number("not zero")
        .text("rule");
    for p in d.projections.iter().take(MOST) {
        table.push(vec![
            p.source.to_string().into(),
            p.target.to_string().into(),
            p.store.into(),
            u64::from(p.bits).into(),
            u64::from(p.delay).into(),
            u64::from(p.group).into(),
            p.synapses.into(),
            p.nonzero.into(),
            p.rule.map_or("-".to_owned(), |r| r.to_string()).into(),
        ]);
    }
    text.push('\n');
    text.push_str(&table.terminal());
    let more = d.populations.len().max(d.projections.len());
    if more > MOST {
        text.push_str(&format!("... of up to {more} lines each the first {MOST}; --json has all\n"));
    }
    text
}

fn experiment(args: &Args, common: &Common) -> Result<(), Failure> {
    let ready = experiment::plan(&args.file, &[], common.seed)?;
    let source = &ready.source;
    let about = experiment::TASKS.iter().find(|task| task.name == source.task).map_or("", |task| task.about);
    let value = serde_json::json!({
        "schema": "synop-inspect/1",
        "kind": "experiment",
        "task": source.task,
        "about": about,
        "seed": source.seed,
        "settings": ready.settings(),
        "memory_bytes": ready.memory_bytes(),
    });
    common.print(&value, || {
        let settings = toml::to_string(&ready.settings()).unwrap_or_else(|_| source.keys.to_string());
        format!(
            "experiment of the task {}: {about}\nseed {}, about {} of memory\n\n{settings}",
            source.task,
            source.seed,
            memory::human(ready.memory_bytes())
        )
    })
}

fn rule(args: &Args, common: &Common, text: &str) -> Result<(), Failure> {
    let refused = |error| {
        Failure::bad_input(error).file(&args.file).mend("the page own-rule of the manual has the grammar")
    };
    let spec = RuleSpec::parse(text).map_err(refused)?;
    let (words, constants) = (spec.encode().map_err(refused)?, spec.coefficients().map_err(refused)?);
    let worst = constants.iter().map(|c| c.relative_error.abs()).fold(0.0, f64::max);
    let value = serde_json::json!({
        "schema": "synop-inspect/1",
        "kind": "rule",
        "name": spec.name,
        "rule": spec.to_string(),
        "terms": spec.terms.len(),
        "words": words.len(),
        "constant_error": worst,
    });
    common.print(&value, || {
        format!(
            "{spec}\n{} terms in {} words of the image; constants off by at most {:.1e} of their value\n",
            spec.terms.len(),
            words.len(),
            worst
        )
    })
}
