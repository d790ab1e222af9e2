//! `synop quantize`: accuracy, agreement, rates and saturations per bit width.

use std::path::PathBuf;

use serde_json::{Value, json};
use synop_core::Count;
use synop_cost::latency::Model;
use synop_model::placement::Strategy;
use synop_model::quantize::Options;

use crate::Failure;
use crate::cli::{self, Common, warn};
use crate::commands::chips;
use crate::commands::compile::assumptions;
use crate::input::{InputArgs, Inputs};
use crate::oracle::{self, Agreement, Oracle};
use crate::pipeline::{self, Compiled, Keep, Ran};
use crate::plot::Xy;
use crate::report::{Meter, Page, Report, Section};
use crate::source::{CALIBRATION, Network, NirNetwork, ProfileArgs, QuantizeArgs};
use crate::table::{Cell, Table};
use crate::trace::{self, Trace};

/// Quantise a network to several bit widths and run each beside its float twin
///
/// Every width is run on the emulator, in integers; the float twin says how far its decisions and spikes are from
/// those of the numbers that were trained.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  synop quantize tests/golden/nir/digits_snntorch.nir --data digits --encode rate:25
  synop quantize net.nir --profile snntorch --input x.npy --labels y.npy --bits 8,4 --per-channel
  synop quantize net.nir --profile snntorch --input x.npz --bits 16 --traces traces")]
pub struct Args {
    /// A NIR file
    network: PathBuf,
    /// Bit widths of a weight, sign included
    #[arg(long, value_delimiter = ',', default_value = "16,8,6,4,3,2", value_name = "N,N,...",
        allow_negative_numbers = true, value_parser = cli::bits)]
    bits: Vec<u32>,
    /// Write float.trace.json and one intN.trace.json per width to this folder (see synop compare)
    #[arg(long, value_name = "DIR")]
    traces: Option<PathBuf>,
    /// Keep membranes in the traces as well
    #[arg(long, requires = "traces")]
    membranes: bool,
    /// A shipped chip or the path of a chip file, for counts and energy
    #[arg(long, default_value = "loihi1", value_name = "CHIP")]
    chip: String,
    #[command(flatten)]
    quantizer: QuantizeArgs,
    #[command(flatten)]
    profile: ProfileArgs,
    #[command(flatten)]
    input: InputArgs,
}

/// Quantises, runs and prints.
///
/// # Errors
/// Bad input: the network, the input or an option. The work failed: an output cannot be written.
pub fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    let (chip, called) = chips::resolve(&args.chip)?;
    let meter = Meter::start(common.threads());
    let Network::Nir(network) = Network::open(&args.network, &args.profile)? else {
        return Err(Failure::bad_input("an image has its bits already")
            .file(&args.network)
            .expected("a NIR file")
            .mend("see synop estimate for images"));
    };
    let inputs = Inputs::load(&args.input, common, &network.ports(), network.profile.dt)?;
    let oracle = common.in_pool(|| oracle::run(&network, &inputs, args.membranes))??;
    let mut report = Report::new(common.seed());
    report.command = "quantize".into();
    report.profile = network.profile_entries();
    report.profile.extend(inputs.facts.clone());
    report.profile.insert("chip".into(), json!(called));
    report.warnings.extend(network.warnings.iter().cloned());
    let calibration = args.quantizer.calibrate(&network, Some(&inputs))?;
    if args.quantizer.clip {
        let samples = inputs.len().min(CALIBRATION);
        report.profile.insert("calibration".into(), json!(format!("clipped on the first {samples} samples")));
    }
    let mut events = 0;
    for bits in &args.bits {
        let (run, ran) = width(&calibration.options(*bits), args, common, &network, &inputs, &oracle, &chip)?;
        events += ran.per_tick.iter().map(|t| t.events).sum::<u64>();
        report.runs.push(run);
    }
    if let Some(folder) = &args.traces {
        oracle.trace(&network).write(&folder.join("float.trace.json"))?;
    }
    report.more.insert("float".into(), float(&network, &inputs, &oracle)?);
    report.host = Some(meter.stop(events));
    if common.json {
        report.all_warnings().iter().for_each(warn);
    }
    common.deliver(&report, || text(&report, &inputs), |folder| page(&report, &network).write(folder))
}

/// One bit width: quantised, run, compared with the twin.
fn width(
    options: &Options,
    args: &Args,
    common: &Common,
    network: &NirNetwork,
    inputs: &Inputs,
    oracle: &Oracle,
    chip: &synop_cost::Chip,
) -> Result<(Report, Ran), Failure> {
    let meter = Meter::start(common.threads());
    let quantized = network.quantize(options)?;
    let compiled = pipeline::compile(&quantized.network, chip, &Strategy::Automatic, Model::Detailed)
        .map_err(|f| f.file(&args.network))?;
    let keep = Keep { spikes: true, membranes: args.membranes, largest: true };
    let populations = compiled.populations.len();
    let are_inputs: Vec<bool> = compiled.populations.iter().map(|p| p.input).collect();
    let (ran, each) = common.in_pool(|| {
        pipeline::run(&compiled, inputs, keep, |number, _, one| {
            let twin = oracle.spikes.get(number).map(Vec::as_slice).unwrap_or(&[]);
            let agreement = Agreement::of(populations, twin, &one.spikes, &are_inputs);
            Ok((agreement, args.traces.is_some().then(|| trace::Sample::take(one))))
        })
    })??;
    let mut report = pipeline::report(&compiled, &ran, inputs, chip, common.seed())?;
    report.label = format!("int{}", options.bits);
    let mut agreement = Agreement::default();
    let mut trace = Trace::of(&compiled, &report.label);
    for (one, sample) in each {
        agreement.add(&one);
        trace.samples.extend(sample);
    }
    for (population, units) in trace.populations.iter_mut().zip(&quantized.units) {
        population.unit = units.first().copied().filter(|u| units.iter().all(|v| v == u));
    }
    if let Some(folder) = &args.traces {
        trace.write(&folder.join(format!("{}.trace.json", report.label)))?;
    }
    if let Some(task) = &mut report.task {
        task.agreement = Some(oracle.agreement(&ran.answers));
        task.more.insert("spike_agreement".into(), json!(agreement.share(None)));
    }
    report.more.insert("footprint_bytes".into(), json!(compiled.footprint_bytes()?));
    report.warnings.splice(0..0, quantized.warnings.iter().cloned());
    report.more.insert("saturations".into(), json!(ran.total(Count::StateSaturations)));
    report.more.insert("max_abs_v".into(), json!(ran.largest));
    report.more.insert("quantizer".into(), json!(quantized.layers));
    describe_layers(&mut report, &compiled, &agreement, oracle, ran.ticks);
    report.host = Some(meter.stop(ran.per_tick.iter().map(|t| t.events).sum()));
    Ok((report, ran))
}

/// Adds the twin's rate and the share of common spikes to each layer, and warns of layers that fell silent.
fn describe_layers(
    report: &mut Report,
    compiled: &Compiled,
    agreement: &Agreement,
    oracle: &Oracle,
    ticks: u64,
) {
    let Some(layers) = report.more.get_mut("layers").and_then(Value::as_array_mut) else { return };
    for (p, (layer, info)) in layers.iter_mut().zip(&compiled.populations).enumerate() {
        if info.input {
            continue;
        }
        let spikes = oracle.per_population.get(p).copied().unwrap_or(0);
        let slots = (info.size as f64 * ticks as f64).max(1.0);
        layer["float_rate"] = json!(spikes as f64 / slots);
        layer["spike_agreement"] = json!(agreement.share(Some(p)));
        let own = agreement.machine.get(p).copied().unwrap_or(0);
        if own == 0 {
            report.warnings.retain(|w| !w.starts_with(&format!("population `{}` is dead", info.name)));
        }
        if own == 0 && spikes == 0 && agreement.twin.get(p).is_some() && compiled.spikes(p) {
            report.warnings.push(format!("population `{}` never spikes, in floats neither", info.name));
        }
        if own == 0 && spikes > 0 {
            report.warnings.push(format!(
                "population `{}` is dead: no spike, {spikes} in floats (more bits, --per-channel or --clip)",
                info.name
            ));
        }
    }
}

fn float(network: &NirNetwork, inputs: &Inputs, oracle: &Oracle) -> Result<Value, Failure> {
    let steps = oracle.metrics.steps as f64;
    let layers = network.float.populations.iter().enumerate().filter(|(_, p)| p.dynamics.is_some());
    Ok(json!({
        "accuracy": inputs.labels.as_ref().map(|labels| oracle.accuracy(labels)),
        "smallest_margin": if oracle.margin.is_finite() { json!(oracle.margin) } else { Value::Null },
        "layers": layers.map(|(i, p)| json!({
            "population": p.name,
            "neurons": p.size(),
            "spikes": oracle.per_population[i],
            "rate": oracle.per_population[i] as f64 / (p.size() as f64 * steps).max(1.0),
        })).collect::<Vec<_>>(),
        "neurobench": oracle::neurobench(&oracle.metrics, 4 * oracle.metrics.parameters),
        "ann_equivalent": oracle::ann_equivalent(&oracle.metrics)?,
    }))
}

/// Bits and a value of each run.
fn points(report: &Report, value: impl Fn(&Report) -> Option<f64>) -> Vec<(f64, f64)> {
    let bits = |run: &Report| run.image.as_ref().map(|i| f64::from(i.weight_bits));
    let mut points: Vec<_> = report.runs.iter().filter_map(|run| Some((bits(run)?, value(run)?))).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

fn layer_value(run: &Report, population: &str, key: &str) -> Option<f64> {
    let layers = run.more.get("layers")?.as_array()?;
    layers.iter().find(|l| l["population"] == population)?.get(key)?.as_f64()
}

fn page(report: &Report, network: &NirNetwork) -> Page {
    let task = |run: &Report, key: &str| run.task.as_ref()?.more.get(key)?.as_f64();
    let agreement = Xy::new("Agreement with the float twin", "weight bits", "share (%)")
        .line("decisions", points(report, |run| Some(run.task.as_ref()?.agreement? * 100.0)))
        .line("spikes", points(report, |run| Some(task(run, "spike_agreement")? * 100.0)));
    let mut rates = Xy::new("Firing rate per layer", "weight bits", "spikes per neuron and tick");
    for population in network.float.populations.iter().filter(|p| p.dynamics.is_some()) {
        let integer = points(report, |run| layer_value(run, &population.name, "rate"));
        let twin = points(report, |run| layer_value(run, &population.name, "float_rate"));
        rates = rates.line(&population.name, integer).line(&format!("{} in floats", population.name), twin);
    }
    let count = |run: &Report, key: &str| run.more.get(key)?.as_f64();
    let saturations = Xy::new("Saturated membranes", "weight bits", "saturations")
        .line("membranes cut at their range", points(report, |run| count(run, "saturations")));
    Page::new(report.clone())
        .figure(
            Section::Results,
            &agreement,
            "Share of samples with the same decision, and of spikes that both have.",
        )
        .figure(Section::Activity, &rates, "A layer whose rate falls to zero is dead at that width.")
        .figure(Section::Activity, &saturations, "Updates that left the range of --state-bits; none is best.")
}

fn text(report: &Report, inputs: &Inputs) -> String {
    let mut out = String::new();
    for note in inputs.notes.iter().cloned().chain(assumptions(&report.profile)) {
        out.push_str(&format!("assumed: {note}\n"));
    }
    let percent = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{:.1} %", 100.0 * x));
    let mut table = Table::new("Bit widths beside the float twin")
        .text("weights")
        .number("accuracy")
        .number("decisions")
        .number("spikes")
        .number("saturations")
        .number("max |v|");
    let layers: Vec<String> = report
        .runs
        .first()
        .and_then(|run| run.more.get("layers")?.as_array())
        .into_iter()
        .flatten()
        .filter(|l| l["input"] == false)
        .filter_map(|l| l["population"].as_str().map(str::to_owned))
        .collect();
    for layer in &layers {
        table = table.number(&format!("rate {layer}"));
    }
    let float = &report.more["float"];
    let mut row = vec![Cell::from("float"), percent(float["accuracy"].as_f64()).into()];
    row.extend(["", "", "", ""].map(Cell::from));
    row.extend(layers.iter().map(|layer| {
        let all = float["layers"].as_array();
        let own = all.and_then(|all| all.iter().find(|l| l["population"] == layer.as_str()));
        Cell::from(own.and_then(|l| l["rate"].as_f64()).map(|r| format!("{r:.4}")))
    }));
    table.push(row);
    for run in &report.runs {
        let task = run.task.clone().unwrap_or_default();
        let count = |key: &str| run.more.get(key).and_then(Value::as_u64);
        let mut row = vec![
            Cell::from(run.label.as_str()),
            percent(task.accuracy).into(),
            percent(task.agreement).into(),
            percent(task.more.get("spike_agreement").and_then(Value::as_f64)).into(),
            count("saturations").into(),
            count("max_abs_v").into(),
        ];
        row.extend(layers.iter().map(|l| Cell::from(layer_value(run, l, "rate").map(|r| format!("{r:.4}")))));
        table.push(row);
    }
    out.push('\n');
    for warning in report.all_warnings() {
        out.push_str(&format!("warning: {warning}\n"));
    }
    out.push_str(&table.terminal());
    out.push_str(
        "decisions, spikes: share that agrees with the float twin; rate: spikes per neuron and tick\n",
    );
    out
}
