//! `synop estimate`: a network or image on inputs, counted and priced.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::activity;
use crate::chips::{self as compare_chips, Question};
use crate::cli::{self, Common, warn};
use crate::commands::{chips, compile::assumptions};
use crate::input::{InputArgs, Inputs};
use crate::oracle::{self, Oracle};
use crate::pipeline::{self, Compiled, Keep};
use crate::placing::{LatencyArgs, PlaceArgs, bill_text, mapping_text, weight_bits};
use crate::report::{Meter, Page, Report};
use crate::sanafe::Pair;
use crate::source::{Network, NirNetwork, ProfileArgs, QuantizeArgs};
use crate::table::{Cell, Table};
use crate::trace::{self, Trace};
use crate::{Failure, files};

/// Run a network or an image on inputs and bill it: SynOps, energy, latency
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  synop estimate tests/golden/nir/digits_snntorch.nir --data digits --encode rate:25 --chip loihi1
  synop estimate digits.image --input recorded.npy --chip loihi1-fitted --json
  synop estimate net.nir --profile snntorch --input x.npz --bits 6 --trace int6.trace.json
  synop estimate net.nir --input x.npy --place round-robin --latency queue
  synop estimate net.nir --data digits --encode rate:25 --compare-chips
  synop estimate arch.yaml snn.yaml --ticks 100 --latency simple")]
pub struct Args {
    /// A NIR file, an image of synop compile, or a SANA-FE architecture (YAML)
    network: PathBuf,
    /// The SANA-FE network with its mapping (YAML), after an architecture
    snn: Option<PathBuf>,
    /// A shipped chip or the path of a chip file
    #[arg(long, default_value = "loihi1", value_name = "CHIP")]
    chip: String,
    /// Bits of a weight [default: 8, or as many as the chip stores]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = cli::bits)]
    bits: Option<u32>,
    /// Map and run the network on every shipped chip, in its own stores, and print one table
    #[arg(long, conflicts_with_all = ["trace", "membranes"])]
    compare_chips: bool,
    /// Write spikes, sample by sample, to this file: JSON (see synop compare), or NIRData if it ends in .nird
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Keep membranes in the trace as well
    #[arg(long, requires = "trace")]
    membranes: bool,
    #[command(flatten)]
    quantizer: QuantizeArgs,
    #[command(flatten)]
    profile: ProfileArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    latency: LatencyArgs,
    #[command(flatten)]
    input: InputArgs,
}

/// Runs and prints the bill.
///
/// # Errors
/// Bad input: the network, the input, the chip or an option. The work failed: an output cannot be written.
pub fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    if let Some(snn) = &args.snn {
        return sanafe(args, snn, common);
    }
    let (chip, called) = chips::resolve(&args.chip)?;
    let strategy = args.place.strategy()?;
    let model = args.latency.model();
    let meter = Meter::start(common.threads());
    let mut warnings = Vec::new();
    let (compiled, inputs, network) = match Network::open(&args.network, &args.profile)? {
        Network::Nir(network) => {
            let inputs = Inputs::load(&args.input, common, &network.ports(), network.profile.dt)?;
            if args.compare_chips {
                return compare(args, common, &network, &inputs, meter);
            }
            let bits = weight_bits(args.bits, &chip)?;
            let options = args.quantizer.calibrate(&network, Some(&inputs))?.options(bits);
            let quantized = network.quantize(&options)?;
            warnings.extend(network.warnings.iter().cloned());
            warnings.extend(quantized.warnings.iter().cloned());
            let compiled = pipeline::compile(&quantized.network, &chip, &strategy, model)
                .map_err(|f| f.file(&args.network))?;
            (compiled, inputs, Some(network))
        }
        Network::Image(blob) => {
            if args.bits.is_some() {
                return Err(Failure::bad_input("an image has its bits already")
                    .file(&args.network)
                    .place("--bits")
                    .mend("leave --bits out, or name the NIR file"));
            }
            if args.compare_chips {
                return Err(Failure::bad_input("an image is mapped already; other chips need the network")
                    .file(&args.network)
                    .place("--compare-chips")
                    .mend("name the NIR file"));
            }
            let compiled = Compiled::open(blob)?.on(&chip, model)?;
            let inputs = Inputs::load(&args.input, common, &compiled.ports, None)?;
            (compiled, inputs, None)
        }
    };
    let keep = Keep { spikes: args.trace.is_some(), membranes: args.membranes, largest: true };
    let (ran, samples) = common.in_pool(|| {
        pipeline::run(&compiled, &inputs, keep, |_, _, one| Ok(keep.spikes.then(|| trace::Sample::take(one))))
    })??;
    let oracle = match &network {
        Some(network) => Some(common.in_pool(|| oracle::run(network, &inputs, false))??),
        None => None,
    };
    let mut report = pipeline::report(&compiled, &ran, &inputs, &chip, common.seed())?;
    report.command = "estimate".into();
    report.profile.insert("chip".into(), json!(called));
    report.warnings.splice(0..0, warnings);
    report.more.insert("max_abs_v".into(), json!(ran.largest));
    if let Some(oracle) = &oracle {
        beside(&mut report, &compiled, &inputs, oracle, &ran)?;
    }
    if let Some(path) = &args.trace {
        let mut trace = Trace::of(&compiled, &format!("int{} image", compiled.weight_bits));
        trace.samples = samples.into_iter().flatten().collect();
        trace.write(path)?;
    }
    let events = ran.per_tick.iter().map(|t| t.events).sum();
    report.host = Some(meter.stop(events));
    if common.json {
        report.warnings.iter().for_each(warn);
    }
    common.deliver(
        &report,
        || text(&report, &inputs),
        |folder| {
            let figures = activity::figures(&compiled, &ran, &inputs, &chip)?;
            Page::new(report.clone()).figures(figures).write(folder)
        },
    )
}

/// What the float twin adds: how far the decisions agree, and NeuroBench's metrics.
fn beside(
    report: &mut Report,
    compiled: &Compiled,
    inputs: &Inputs,
    oracle: &Oracle,
    ran: &pipeline::Ran,
) -> Result<(), Failure> {
    if let Some(task) = &mut report.task {
        task.agreement = Some(oracle.agreement(&ran.answers));
        if let Some(labels) = &inputs.labels {
            task.more.insert("accuracy_float".into(), json!(oracle.accuracy(labels)));
        }
    }
    report.more.insert("neurobench".into(), oracle::neurobench(&oracle.metrics, compiled.footprint_bytes()?));
    report.more.insert("ann_equivalent".into(), oracle::ann_equivalent(&oracle.metrics)?);
    Ok(())
}

/// The synaptic operations in every definition, per sample, and NeuroBench's metrics under its own names.
fn operations(report: &Report) -> String {
    let mut table = Table::new("Synaptic operations per sample").text("per sample").number("operations");
    let own = report.per_sample.unwrap_or_default();
    let ann = report.more.get("ann_equivalent").and_then(|ann| ann["dense_macs"].as_f64());
    for (name, value) in [
        ("stored synapses, zeros included", Some(own.stored)),
        ("effective: weight not zero", Some(own.effective)),
        ("  of these MACs, graded input", Some(own.macs)),
        ("  of these ACs, unit input", Some(own.acs)),
        ("dense: everything active", Some(own.dense)),
        ("MACs of an ANN of this shape", ann),
    ] {
        table.push(vec![name.into(), value.into()]);
    }
    let mut out = table.terminal();
    if let Some(bench) = report.more.get("neurobench") {
        let mut table = Table::new("NeuroBench").text("NeuroBench, batch size 1").number("float twin");
        for (name, path) in [
            ("Footprint (bytes, its convention)", "/footprint_neurobench"),
            ("  truly stored, in integers", "/footprint_bytes"),
            ("ParameterCount", "/parameter_count"),
            ("ConnectionSparsity", "/connection_sparsity"),
            ("ActivationSparsity", "/activation_sparsity"),
            ("Effective_MACs", "/synaptic_operations/effective_macs"),
            ("Effective_ACs", "/synaptic_operations/effective_acs"),
            ("Dense", "/synaptic_operations/dense"),
            ("MembraneUpdates", "/membrane_updates"),
            ("NeuronOperations", "/neuron_operations/effective"),
        ] {
            let value = bench.pointer(path).and_then(Value::as_f64);
            table.push(vec![name.into(), value.map_or(Cell::Empty, Cell::from)]);
        }
        out.push('\n');
        out.push_str(&table.terminal());
    }
    out
}

/// Runs the network on every shipped chip.
fn compare(
    args: &Args,
    common: &Common,
    network: &NirNetwork,
    inputs: &Inputs,
    meter: Meter,
) -> Result<(), Failure> {
    let question = Question {
        network,
        inputs,
        quantizer: &args.quantizer,
        bits: args.bits,
        model: args.latency.model(),
    };
    let mut report = Report::new(common.seed());
    report.command = "estimate".into();
    report.runs = compare_chips::compare(&question, common)?;
    report.profile = network.profile_entries();
    report.profile.extend(inputs.facts.clone());
    report.warnings.extend(network.warnings.iter().cloned());
    let table = compare_chips::table(&report.runs);
    report.host = Some(meter.stop(report.runs.iter().filter_map(|r| r.synops).map(|s| s.stored).sum()));
    let text = || {
        let notes = inputs.notes.iter().cloned().chain(assumptions(&report.profile));
        let assumed: String = notes.map(|note| format!("assumed: {note}\n")).collect();
        format!("{assumed}\n{}\n{}", table.terminal(), compare_chips::notes(&report.runs))
    };
    common.deliver(&report, text, |folder| {
        Page::new(report.clone()).write(folder)?;
        files::write(&folder.join("chips.csv"), table.csv().as_bytes())
    })
}

/// Runs a pair of SANA-FE descriptions.
fn sanafe(args: &Args, snn: &Path, common: &Common) -> Result<(), Failure> {
    let meter = Meter::start(common.threads());
    let pair = Pair::open(&args.network, snn)?;
    let mut report = pair.estimate(args.input.ticks, args.latency.model(), common.seed())?;
    report.host = Some(meter.stop(report.synops.map_or(0, |s| s.stored)));
    if common.json {
        report.warnings.iter().for_each(warn);
    }
    let text = || format!("{}\n{}", report.terminal(), bill_text(&report));
    common.deliver(&report, text, |folder| Page::new(report.clone()).write(folder))
}

fn text(report: &Report, inputs: &Inputs) -> String {
    let mut out = String::new();
    for note in inputs.notes.iter().cloned().chain(assumptions(&report.profile)) {
        out.push_str(&format!("assumed: {note}\n"));
    }
    out.push('\n');
    out.push_str(&report.terminal());
    out.push('\n');
    out.push_str(&operations(report));
    out.push('\n');
    out.push_str(&bill_text(report));
    out.push('\n');
    out.push_str(&mapping_text(report));
    if let Some(energy) = &report.energy {
        for missing in &energy.unpriced {
            out.push_str(&format!("no price: {} x {} ({})\n", missing.count, missing.class, missing.reason));
        }
        for warning in &energy.warnings {
            out.push_str(&format!("note: {warning}\n"));
        }
    }
    out
}
