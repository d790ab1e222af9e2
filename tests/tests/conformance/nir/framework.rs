//! The float twin against recorded outputs: spikes exactly, membranes to 1e-5.

use super::table::{compare, is_whole, numbers, size, steps};
use crate::Outcome;
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeSet;
use synop_model::nir::{FlatGraph, Graph};
use synop_model::profile::Profile;
use synop_model::twin::Twin;

/// A quantity of a node over time.
struct Record {
    label: String,
    node: usize,
    quantity: Quantity,
    steps: Vec<Vec<f64>>,
    /// Size of the numbers, unless they are whole.
    size: Option<f64>,
    /// A framework that resets late records the membrane before the reset: allowed, where all
    /// of the record is so.
    late: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq)]
enum Quantity {
    Output,
    Membrane,
    Current,
}

impl Record {
    fn new(
        flat: &FlatGraph,
        label: &str,
        node: &str,
        quantity: Quantity,
        values: &Value,
    ) -> Result<Self, String> {
        let steps = steps(values).map_err(|e| format!("{label}: {e}"))?;
        let node = find(flat, node).ok_or_else(|| format!("{label}: there is no node `{node}`"))?;
        let whole = quantity == Quantity::Output && is_whole(&steps);
        let size = (!whole).then(|| size(&steps));
        Ok(Self { label: label.to_string(), node, quantity, steps, size, late: Cell::new(false) })
    }

    fn check(&self, twin: &Twin, step: usize) -> Result<(), String> {
        let found = match self.quantity {
            Quantity::Output => Some(twin.output(self.node)),
            Quantity::Membrane => twin.membrane(self.node),
            Quantity::Current => twin.current(self.node),
        };
        let found = found.ok_or_else(|| format!("{}: the node has no such state", self.label))?;
        let with = |found: &[f64]| compare(&self.label, step, &self.steps[step], found, self.size);
        if self.quantity != Quantity::Membrane {
            return with(found);
        }
        let before = twin.membrane_before_reset(self.node).unwrap_or(found);
        if !self.late.get() && with(found).is_err() {
            // From here on (and before, where nothing had spiked) the record is of that kind.
            self.late.set(true);
        }
        with(if self.late.get() { before } else { found })
    }
}

/// A node by name, or the one neuron inside the nested graph (or group of nodes) of that name.
fn find(flat: &FlatGraph, name: &str) -> Option<usize> {
    // norse names its nodes `_0`, `_1`.
    flat.position(name).or_else(|| flat.position(&format!("_{name}"))).or_else(|| {
        let inside = format!("{name}.");
        let mut neurons = (0..flat.nodes.len())
            .filter(|i| flat.nodes[*i].0.starts_with(&inside) && flat.nodes[*i].1.is_neuron());
        match (neurons.next(), neurons.next()) {
            (Some(i), None) => Some(i),
            _ => None,
        }
    })
}

/// Runs the twin over the input of a case and checks every record in every step.
fn run(flat: &FlatGraph, case: &Value, profile: &Profile, records: &[Record]) -> Result<(), String> {
    let input = steps(&case["input"])?;
    if input.is_empty() || records.is_empty() {
        return Err("the case has no input or no output".into());
    }
    for record in records {
        if record.steps.len() != input.len() {
            return Err(format!(
                "{}: {} steps, the input has {}",
                record.label,
                record.steps.len(),
                input.len()
            ));
        }
    }
    let mut twin = Twin::new(flat, profile).map_err(|e| e.to_string())?;
    for (t, x) in input.iter().enumerate() {
        twin.step(&[x]).map_err(|e| e.to_string())?;
        for record in records {
            record.check(&twin, t)?;
        }
    }
    Ok(())
}

/// What a framework returned and recorded.
pub(crate) fn recorded(graph: &Graph, case: &Value, profile: &Profile) -> Result<Outcome, String> {
    let flat = graph.flatten().map_err(|e| e.to_string())?;
    let output = flat.outputs.first().ok_or("the graph has no output")?;
    let name = flat.nodes[*output].0.clone();
    let mut records = vec![Record::new(&flat, "output", &name, Quantity::Output, &case["output"])?];
    for (key, values) in case["records"].as_object().into_iter().flatten() {
        let (node, what) = key.rsplit_once('.').ok_or_else(|| format!("record {key} has no quantity"))?;
        let quantity = match what {
            "spk" | "spikes" => Quantity::Output,
            "mem" | "v_mem" | "vmem" | "v" => Quantity::Membrane,
            "syn" | "isyn" | "i" | "i_syn" => Quantity::Current,
            // The recurrent current of rockpool, which its exporter drops: must have been none.
            "irec" => {
                if steps(values)?.iter().flatten().any(|v| *v != 0.0) {
                    return Err(format!("{key}: a recurrent current that the file does not hold"));
                }
                continue;
            }
            other => return Err(format!("{key}: unknown quantity {other}")),
        };
        records.push(Record::new(&flat, key, node, quantity, values)?);
    }
    run(&flat, case, profile, &records)?;
    Ok(Outcome::Agrees)
}

/// What the case and its row say of the recorded output: how many values, their sum, their largest.
pub(crate) fn totals(case: &Value, row: &Value) -> Result<(), String> {
    let Some(output) = case.get("output") else { return Ok(()) };
    let values = numbers(output)?;
    let near = |what: &str, found: f64, stated: &Value| match stated.as_f64() {
        Some(stated) if (stated - found).abs() > 1e-4 * found.abs().max(1.0) => {
            Err(format!("{what}: {stated}, the output gives {found}"))
        }
        _ => Ok(()),
    };
    near("output_values", values.len() as f64, &row["output_values"])?;
    for (profile, check) in case["profile_check"].as_object().into_iter().flatten() {
        near(&format!("{profile}: of"), values.len() as f64, &check["of"])?;
        near(&format!("{profile}: fw_total"), values.iter().sum(), &check["fw_total"])?;
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        near(&format!("{profile}: fw_max"), most, &check["fw_max"])?;
    }
    Ok(())
}

/// Graphs made from NIR itself: several profiles, every node.
pub(crate) fn direct(graph: &Graph, case: &Value) -> Result<Outcome, String> {
    let flat = graph.flatten().map_err(|e| e.to_string())?;
    let mut profiles = 0;
    for (key, entries) in case.as_object().ok_or("the case is no table")? {
        let Some(name) = key.strip_prefix("profile_").filter(|n| *n != "check") else { continue };
        profiles += 1;
        let profile = super::profile(entries)?;
        let outputs =
            case[format!("out_{name}")].as_object().ok_or_else(|| format!("out_{name} is missing"))?;
        let mut records = Vec::new();
        for (label, values) in outputs {
            let node = find(&flat, label).map(|_| (label.as_str(), Quantity::Output));
            let (node, quantity) = match (node, label.rsplit_once('.')) {
                (Some(output), _) => output,
                (None, Some((node, "v"))) => (node, Quantity::Membrane),
                (None, Some((node, "i"))) => (node, Quantity::Current),
                _ => return Err(format!("out_{name}: there is no node `{label}`")),
            };
            let label = format!("{name}: {label}");
            records.push(Record::new(&flat, &label, node, quantity, values)?);
        }
        order(&flat, &case[format!("order_{name}")])?;
        run(&flat, case, &profile, &records).map_err(|e| format!("profile {name}: {e}"))?;
    }
    if profiles == 0 { Err("the case has no profile".into()) } else { Ok(Outcome::Agrees) }
}

/// The order of evaluation names nodes of the graph, each once. (Which of several valid orders
/// is taken does not change a value.)
fn order(flat: &FlatGraph, order: &Value) -> Result<(), String> {
    let Some(names) = order.as_array() else { return Ok(()) };
    let mut seen = BTreeSet::new();
    for name in names {
        let name = name.as_str().ok_or("the order holds something other than names")?;
        let node = find(flat, name).ok_or_else(|| format!("order: there is no node `{name}`"))?;
        if !seen.insert(node) {
            return Err(format!("order: `{name}` occurs twice"));
        }
    }
    Ok(())
}
