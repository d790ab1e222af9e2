//! `synop compile`: a network becomes an image.

use std::path::PathBuf;

use serde_json::{Value, json};
use synop_cost::latency::Model;

use crate::cli::{self, Common, warn};
use crate::commands::chips;
use crate::firmware::emit;
use crate::input::{InputArgs, Inputs};
use crate::pipeline::{self, Compiled};
use crate::placing::{PlaceArgs, mapping_text, weight_bits};
use crate::report::Report;
use crate::source::{Network, ProfileArgs, QuantizeArgs};
use crate::{Failure, files};

/// Compile a network to an image: quantised, placed, ready for the emulator or a board
#[derive(Debug, clap::Args)]
#[command(after_help = "\
--emit rust and --emit c write the image as source for firmware of one's own, with a self-test; c also writes the
header synop.h and, with --for BOARD, the static library libsynop.a for the processor of a board.

Inputs that are not spikes need --input or --data, so that their scale is known.

Examples:
  synop compile tests/golden/nir/digits_snntorch.nir -o digits.image --chip loihi1
  synop compile tests/golden/nir/digits_snntorch.nir -o digits.image --bits 4 --per-channel
  synop compile net.nir -o net.image --chip spinnaker2 --place round-robin
  synop compile tests/golden/nir/digits_snntorch.nir -o net.c --emit c --for nrf52840")]
pub struct Args {
    /// A NIR file
    network: PathBuf,
    /// The image
    #[arg(short, long, value_name = "IMAGE")]
    output: PathBuf,
    /// A shipped chip or the path of a chip file
    #[arg(long, default_value = "loihi1", value_name = "CHIP")]
    chip: String,
    /// Bits of a weight [default: 8, or as many as the chip stores]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = cli::bits)]
    bits: Option<u32>,
    /// Write the image itself, or source that holds it
    #[arg(long, default_value = "image", value_parser = ["image", "rust", "c"], value_name = "FORM")]
    emit: String,
    /// Build the library for C as well, for the processor of this board (see synop firmware --list-boards)
    #[arg(long = "for", value_name = "BOARD")]
    target: Option<String>,
    #[command(flatten)]
    quantizer: QuantizeArgs,
    #[command(flatten)]
    profile: ProfileArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    input: InputArgs,
}

/// Compiles and writes the image.
///
/// # Errors
/// Bad input: the network or an option. The work failed: the image cannot be written.
pub fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    let (chip, called) = chips::resolve(&args.chip)?;
    let network = match Network::open(&args.network, &args.profile)? {
        Network::Nir(network) => network,
        Network::Image(_) => {
            return Err(Failure::bad_input("this is an image already")
                .file(&args.network)
                .expected("a NIR file"));
        }
    };
    let inputs = match args.input.input.is_some() || common.data.is_some() {
        true => Some(Inputs::load(&args.input, common, &network.ports(), network.profile.dt)?),
        false => None,
    };
    let bits = weight_bits(args.bits, &chip)?;
    let options = args.quantizer.calibrate(&network, inputs.as_ref())?.options(bits);
    let quantized = network.quantize(&options)?;
    let strategy = args.place.strategy()?;
    let compiled = pipeline::compile(&quantized.network, &chip, &strategy, Model::Detailed)
        .map_err(|failure| failure.file(&args.network))?;
    let written = write(args, &compiled)?;
    let mut report = Report::new(common.seed());
    report.command = "compile".into();
    report.profile = compiled.profile.clone();
    report.image = Some(crate::report::Image {
        sha256: compiled.sha256.clone(),
        initial_sha256: None,
        weight_bits: compiled.weight_bits,
    });
    report.profile.insert("chip".into(), json!(called));
    report.warnings.extend(network.warnings.iter().cloned());
    report.warnings.extend(quantized.warnings.iter().cloned());
    report.more.insert("layers".into(), json!(quantized.layers));
    if let Some(on) = &compiled.on_chip {
        report.more.insert("mapping".into(), on.mapping(&compiled.image()?, &compiled.names()));
    }
    report.more.insert("size".into(), size(&compiled, quantized.network.synapse_count())?);
    report.more.insert("files".into(), json!(written));
    report.warnings.iter().for_each(warn);
    common.print(&report, || text(args, &compiled, &report))
}

/// Writes what was asked for; returns the files.
fn write(args: &Args, compiled: &Compiled) -> Result<Vec<PathBuf>, Failure> {
    if args.target.is_some() && args.emit != "c" {
        return Err(Failure::bad_input("only C needs a library").place("--for").mend("add --emit c"));
    }
    match args.emit.as_str() {
        "c" => emit::c(&args.output, compiled, args.target.as_deref()),
        "rust" => emit::rust(&args.output, compiled),
        _ => files::write(&args.output, compiled.bytes()).map(|()| vec![args.output.clone()]),
    }
}

/// How large the image is, and what a machine needs to run it.
fn size(compiled: &Compiled, synapses: u64) -> Result<Value, Failure> {
    let image = compiled.image()?;
    Ok(json!({
        "image_bytes": compiled.bytes().len(),
        "arena_bytes": image.memory(0..image.cores).words() * 8,
        "cores": image.cores,
        "neurons": compiled.neurons(),
        "synapses": synapses,
    }))
}

fn text(args: &Args, compiled: &Compiled, report: &Report) -> String {
    let size = &report.more["size"];
    let mut out = format!(
        "{}: {} bytes, {} core(s), {} neurons, {} synapses of {} bits; needs {} bytes to run\n\
         sha256 {}\n",
        args.output.display(),
        size["image_bytes"],
        size["cores"],
        size["neurons"],
        size["synapses"],
        compiled.weight_bits,
        size["arena_bytes"],
        compiled.sha256
    );
    out.push_str(&mapping_text(report));
    for line in assumptions(&report.profile) {
        out.push_str(&format!("assumed: {line}\n"));
    }
    out
}

/// The assumptions of a profile, as text.
pub fn assumptions(profile: &serde_json::Map<String, Value>) -> Vec<String> {
    let lists = ["assumptions", "notes"].map(|key| profile.get(key).and_then(Value::as_array));
    let lines = lists.into_iter().flatten().flatten().filter_map(|v| v.as_str().map(str::to_owned));
    let chip = profile.get("chip").and_then(Value::as_str).map(|chip| format!("chip {chip}"));
    lines.chain(chip).collect()
}
