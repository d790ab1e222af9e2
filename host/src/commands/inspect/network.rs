//! What is in a NIR file or a recording.

use std::path::Path;

use serde_json::{Value, json};
use synop_model::array::Array;
use synop_model::lower::FloatNetwork;
use synop_model::nir::data::{Observable, Recording};
use synop_model::nir::{FlatGraph, Graph, Limits, NirError, Node};
use synop_model::origin;
use synop_model::profile::Profile;
use synop_model::schedule::Schedule;
use synop_model::shape::Shapes;

use crate::Failure;
use crate::cli::Common;
use crate::source::{self, ProfileArgs};
use crate::table::Table;

/// Prints nodes, shapes, likely exporters with what they lose, and the assumptions of a run.
pub(super) fn show(path: &Path, bytes: Vec<u8>, args: &ProfileArgs, common: &Common) -> Result<(), Failure> {
    let graph = match Graph::from_bytes(bytes.clone(), Limits::default()) {
        Ok(graph) => graph,
        // A recording is no broken network.
        Err(error) => match Recording::from_bytes(bytes, Limits::default()) {
            Ok(recording) => return show_recording(path, &recording, common),
            Err(NirError::Container { .. }) => return Err(source::refused(path, &error)),
            Err(_) => return Err(source::refused(path, &error)),
        },
    };
    let flat = graph.flatten().map_err(|error| source::refused(path, &error))?;
    let value = describe(&graph, &flat, args.profile()?)?;
    common.print(&value, || text(path, &graph, &value))
}

fn describe(graph: &Graph, flat: &FlatGraph, profile: Profile) -> Result<Value, Failure> {
    let schedule = Schedule::of(flat);
    let shapes = Shapes::infer(flat, &schedule.order);
    let profile = match profile.clone().with_dt_of(flat) {
        Ok(known) => known,
        Err(_) => profile,
    };
    let nodes: Vec<Value> = flat
        .nodes
        .iter()
        .enumerate()
        .map(|(i, (name, node))| {
            let known = shapes.as_ref().ok();
            let targets: Vec<&str> = flat.targets(i).map(|t| flat.nodes[t].0.as_str()).collect();
            let delayed: Vec<&str> = flat
                .targets(i)
                .filter(|t| schedule.is_delayed(i, *t))
                .map(|t| flat.nodes[t].0.as_str())
                .collect();
            json!({
                "node": name,
                "type": node.type_name(),
                "input": known.and_then(|s| s.input.get(i)),
                "output": known.and_then(|s| s.output.get(i)),
                "declared": match node {
                    Node::Input { shape } | Node::Output { shape } => json!(shape),
                    _ => Value::Null,
                },
                "parameters": node.arrays().into_iter().map(|(key, a)| parameter(key, a)).collect::<Vec<_>>(),
                "decay_per_step": decay(node, &profile),
                "feeds": targets,
                "one_step_later": delayed,
            })
        })
        .collect();
    let origins: Vec<Value> = origin::origins(graph)
        .into_iter()
        .map(|o| json!({"framework": o.framework, "profile": o.profile, "why": o.why, "lost": o.lost}))
        .collect();
    let lowered = FloatNetwork::of(flat, &profile);
    let network = match &lowered {
        Ok(net) => json!({
            "neurons": net.populations.iter().filter(|p| p.dynamics.is_some()).map(|p| p.size()).sum::<usize>(),
            "synapses": net.projections.iter().flat_map(|p| &p.rows).map(Vec::len).sum::<usize>(),
            "stages": net.populations.iter().map(|p| p.stage).max(),
            "readouts": net.readouts.iter().filter_map(|p| net.populations.get(*p)).map(|p| &p.name).collect::<Vec<_>>(),
        }),
        Err(error) => json!({ "error": error.to_string() }),
    };
    let mut notes = graph.notes.clone();
    match &shapes {
        Ok(shapes) => notes.extend(shapes.notes.iter().cloned()),
        Err(error) => notes.push(error.to_string()),
    }
    Ok(json!({
        "schema": "synop-inspect/1",
        "kind": "nir",
        "version": graph.version,
        "nodes": nodes,
        "origins": origins,
        "profile": profile.entries().into_iter().map(|(k, v)| (k.to_owned(), json!(v))).collect::<serde_json::Map<_, _>>(),
        "assumptions": profile.assumptions(flat),
        "warnings": profile.warnings(flat),
        "notes": notes,
        "network": network,
    }))
}

fn parameter(key: &str, array: &Array) -> Value {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for v in array.data() {
        low = low.min(*v);
        high = high.max(*v);
    }
    json!({"key": key, "shape": array.shape(), "low": low, "high": high})
}

/// What a membrane keeps from step to step, under the profile: (least, most).
fn decay(node: &Node, profile: &Profile) -> Option<[f64; 2]> {
    let tau = match node {
        Node::Leaky(n) => &n.tau,
        Node::Cuba(n) => &n.tau_mem,
        _ => return None,
    };
    let dt = profile.dt?;
    let exact = match node {
        Node::Leaky(_) => profile.lif != synop_model::profile::LifRule::Euler,
        _ => matches!(
            profile.cuba,
            synop_model::profile::CubaRule::Exact | synop_model::profile::CubaRule::JumpExp
        ),
    };
    let keep = |tau: &f64| if exact { (-dt / tau).exp() } else { 1.0 - dt / tau };
    let all: Vec<f64> = tau.data().iter().map(keep).collect();
    let low = all.iter().copied().fold(f64::INFINITY, f64::min);
    Some([low, all.iter().copied().fold(f64::NEG_INFINITY, f64::max)])
}

fn shape(value: &Value) -> String {
    match value.as_array() {
        Some(axes) => axes.iter().map(Value::to_string).collect::<Vec<_>>().join("×"),
        None => "?".to_owned(),
    }
}

fn range(low: f64, high: f64) -> String {
    let short = |v: f64| crate::table::number(v);
    if low == high { short(low) } else { format!("{} to {}", short(low), short(high)) }
}

fn text(path: &Path, graph: &Graph, value: &Value) -> String {
    let version = graph.version.as_deref().unwrap_or("unknown");
    let mut out = format!("{}: a NIR graph, written by nir {version}\n\n", path.display());
    let mut table = Table::new("Nodes").text("node").text("type").text("input").text("output").text("feeds");
    for node in value["nodes"].as_array().into_iter().flatten() {
        let late = node["one_step_later"].as_array().cloned().unwrap_or_default();
        let feeds = node["feeds"].as_array().into_iter().flatten().map(|t| {
            let later = if late.contains(t) { " (a step later)" } else { "" };
            format!("{}{later}", t.as_str().unwrap_or("?"))
        });
        table.push(vec![
            node["node"].as_str().unwrap_or("?").into(),
            node["type"].as_str().unwrap_or("?").into(),
            shape(&node["input"]).into(),
            shape(&node["output"]).into(),
            feeds.collect::<Vec<_>>().join(", ").into(),
        ]);
    }
    out.push_str(&table.terminal());
    let mut table = Table::new("Parameters").text("node").text("parameter").text("shape").text("values");
    for node in value["nodes"].as_array().into_iter().flatten() {
        let name = node["node"].as_str().unwrap_or("?");
        for p in node["parameters"].as_array().into_iter().flatten() {
            let ends = ["low", "high"].map(|key| p[key].as_f64().unwrap_or(f64::NAN));
            table.push(vec![
                name.into(),
                p["key"].as_str().unwrap_or("?").into(),
                shape(&p["shape"]).into(),
                range(ends[0], ends[1]).into(),
            ]);
        }
        if let Some([low, high]) = node["decay_per_step"].as_array().map(Vec::as_slice) {
            let ends = [low, high].map(|v| v.as_f64().unwrap_or(f64::NAN));
            table.push(vec![name.into(), "kept per step".into(), "".into(), range(ends[0], ends[1]).into()]);
        }
    }
    if !table.rows().is_empty() {
        out.push('\n');
        out.push_str(&table.terminal());
    }
    let network = &value["network"];
    match network["error"].as_str() {
        Some(error) => out.push_str(&format!("\ncannot become integers under this profile: {error}\n")),
        None => out.push_str(&format!(
            "\nas integers: {} neurons, {} synapses, {} stage(s)\n",
            network["neurons"], network["synapses"], network["stages"]
        )),
    }
    for origin in value["origins"].as_array().into_iter().flatten() {
        let word = |key: &str| origin[key].as_str().unwrap_or("?").to_owned();
        out.push_str(&format!(
            "\nlikely exporter: {} ({})\n  suggestion: --profile {}\n  what it does not store:\n",
            word("framework"),
            word("why"),
            word("profile")
        ));
        for lost in origin["lost"].as_array().into_iter().flatten() {
            out.push_str(&format!("  - {}\n", lost.as_str().unwrap_or("?")));
        }
    }
    out.push_str("\na run would assume (change it with --profile and the options beside it):\n");
    let lines = |key: &str| {
        let all = value[key].as_array().cloned().unwrap_or_default();
        all.into_iter().filter_map(|l| l.as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    for line in lines("assumptions") {
        out.push_str(&format!("  {line}\n"));
    }
    for line in lines("notes") {
        out.push_str(&format!("note: {line}\n"));
    }
    for line in lines("warnings") {
        out.push_str(&format!("warning: {line}\n"));
    }
    out
}

fn show_recording(path: &Path, recording: &Recording, common: &Common) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for (node, observables) in &recording.nodes {
        for (key, observable) in observables {
            rows.push(match observable {
                Observable::Grid { dt, values, .. } => json!({
                    "node": node, "observable": key, "kind": "values per step", "shape": values.shape(), "dt": dt,
                    "sum": values.data().iter().sum::<f64>(),
                }),
                Observable::Events { neurons, t_max, samples, .. } => json!({
                    "node": node, "observable": key, "kind": "events", "shape": [samples.len(), neurons],
                    "t_max": t_max, "sum": samples.iter().map(Vec::len).sum::<usize>(),
                }),
            });
        }
    }
    let value = json!({"schema": "synop-inspect/1", "kind": "nirdata", "observables": rows});
    common.print(&value, || {
        let mut table = Table::new("Observables")
            .text("node")
            .text("observable")
            .text("kind")
            .text("shape")
            .number("spikes or sum");
        for row in &rows {
            table.push(vec![
                row["node"].as_str().unwrap_or("?").into(),
                row["observable"].as_str().unwrap_or("?").into(),
                row["kind"].as_str().unwrap_or("?").into(),
                shape(&row["shape"]).into(),
                row["sum"].as_f64().into(),
            ]);
        }
        format!("{}: a NIRData recording\n\n{}", path.display(), table.terminal())
    })
}
