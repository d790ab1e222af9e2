//! Reading: storage variants, broken files, recordings, and a thousand mutations of each file.

use crate::Outcome;
use std::path::Path;
use synop_model::lower::FloatNetwork;
use synop_model::nir::data::Recording;
use synop_model::nir::{Graph, Limits, Node};
use synop_model::profile::Profile;
use synop_model::quantize::{Options, quantize};
use synop_model::twin::Twin;

const MUTATIONS: u64 = 1000;

/// A broken file must be refused with an error that names the node or the dataset.
pub(crate) fn broken(path: &Path) -> Result<Outcome, String> {
    match Graph::open(path) {
        Ok(_) => Err("a broken file was read".into()),
        Err(e) => {
            let text = e.to_string();
            let names = text.contains('`') || text.contains('/') || text.contains("edge");
            if names {
                Ok(Outcome::Agrees)
            } else {
                Err(format!("the error names no node or dataset: {text}"))
            }
        }
    }
}

/// The same graph in other HDF5 storage.
pub(crate) fn variant(path: &Path) -> Result<Outcome, String> {
    let graph = Graph::open(path).map_err(|e| e.to_string())?;
    round_trip(&graph)?;
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    if ["variant_scalar0d", "variant_many_nodes"].contains(&stem) {
        return Ok(Outcome::Agrees);
    }
    let reference = reference(path, stem)?;
    if graph.edges != reference.edges {
        return Err(format!("edges {:?}, expected {:?}", graph.edges, reference.edges));
    }
    same_nodes(&graph, &reference)?;
    Ok(Outcome::Agrees)
}

/// The file that a variant was made from: named in its own name, or `nir_lif_chain`.
fn reference(path: &Path, stem: &str) -> Result<Graph, String> {
    let own = path.parent().unwrap_or(Path::new("."));
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/nir");
    let rest = stem.strip_prefix("variant_").unwrap_or(stem);
    let mut found = None;
    for folder in [own, &shipped] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            let other = name.strip_suffix(".nir").unwrap_or("?");
            if rest.starts_with(other) && !name.starts_with("variant_") {
                found.get_or_insert(entry.path());
            }
        }
    }
    let chain = [own, &shipped].map(|f| f.join("nir_lif_chain.nir"));
    let file =
        found.or_else(|| chain.into_iter().find(|f| f.is_file())).ok_or("nir_lif_chain.nir is not there")?;
    Graph::open(&file).map_err(|e| e.to_string())
}

/// Equal types, shapes and values, as far as the narrower number type of the two goes.
fn same_nodes(found: &Graph, expected: &Graph) -> Result<(), String> {
    if !found.nodes.keys().eq(expected.nodes.keys()) {
        return Err(format!("nodes {:?}, expected {:?}", found.nodes.keys(), expected.nodes.keys()));
    }
    for (name, node) in &found.nodes {
        let other = &expected.nodes[name];
        if node.type_name() != other.type_name() {
            return Err(format!("node {name}: {}, expected {}", node.type_name(), other.type_name()));
        }
        if let (
            Node::Input { shape: a } | Node::Output { shape: a },
            Node::Input { shape: b } | Node::Output { shape: b },
        ) = (node, other)
            && a != b
        {
            return Err(format!("node {name}: shape {a:?}, expected {b:?}"));
        }
        for ((key, a), (_, b)) in node.arrays().into_iter().zip(other.arrays()) {
            let equal = a.data().iter().zip(b.data()).all(|(a, b)| *a as f32 == *b as f32);
            if a.shape() != b.shape() || !equal {
                return Err(format!("node {name}, {key}: {a:?}, expected {b:?}"));
            }
        }
    }
    Ok(())
}

/// Written and read again, a graph is the same.
pub(crate) fn round_trip(graph: &Graph) -> Result<(), String> {
    let bytes = graph.to_bytes().map_err(|e| format!("cannot be written: {e}"))?;
    let again = Graph::from_bytes(bytes.clone(), Limits::default())
        .map_err(|e| format!("cannot be read again: {e}"))?;
    let same =
        again.edges == graph.edges && again.version == graph.version && again.metadata == graph.metadata;
    if !same {
        return Err("written and read again, the graph is another".into());
    }
    same_nodes(&again, &stretched(graph))?;
    if again.to_bytes().ok() != Some(bytes) {
        return Err("written twice, the bytes differ".into());
    }
    Ok(())
}

/// The graph with every parameter of a neuron in the shape that the writer gives it.
fn stretched(graph: &Graph) -> Graph {
    let bytes = graph.to_bytes().unwrap_or_default();
    let mut again = Graph::from_bytes(bytes, Limits::default()).unwrap_or_default();
    for (name, node) in &mut again.nodes {
        let original = &graph.nodes[name];
        let widest = node.arrays().into_iter().map(|(_, a)| a.clone()).max_by_key(|a| a.len());
        let fits = node.arrays().into_iter().zip(original.arrays()).all(|((_, a), (_, o))| {
            let whole = if original.is_neuron() {
                widest.as_ref().and_then(|w| o.broadcast(w.shape()))
            } else {
                None
            };
            a.data() == whole.unwrap_or_else(|| o.data().to_vec()).as_slice()
        });
        if !fits {
            // Values were lost: hand back the original, which then compares unequal.
            *node = original.clone();
        }
    }
    again
}

/// A NIRData file is read, and written and read again it is the same.
pub(crate) fn recording(path: &Path) -> Result<Outcome, String> {
    let recording = Recording::open(path).map_err(|e| e.to_string())?;
    if recording.nodes.is_empty() {
        return Err("nothing is recorded".into());
    }
    let bytes = recording.to_bytes().map_err(|e| e.to_string())?;
    let again = Recording::from_bytes(bytes, Limits::default()).map_err(|e| e.to_string())?;
    if again != recording {
        return Err("written and read again, the recording is another".into());
    }
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    each_mutation(&bytes, |mutated| {
        Recording::from_bytes(mutated, Limits::default()).map(|_| ()).map_err(|e| e.to_string())
    })?;
    Ok(Outcome::Agrees)
}

/// A thousand damaged copies of the file: each is a value or an error with a place.
pub(crate) fn mutations(path: &Path) -> Result<(), String> {
    if path.extension().is_none_or(|e| e != "nir") {
        return Ok(());
    }
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    each_mutation(&bytes, |mutated| {
        let graph = Graph::from_bytes(mutated, Limits::default()).map_err(|e| e.to_string())?;
        let flat = graph.flatten().map_err(|e| e.to_string())?;
        // What can be read must also be refused or taken by all that works on it.
        let profile = Profile::named("nir-euler").map_err(|e| e.to_string())?;
        Twin::new(&flat, &profile).map_err(|e| e.to_string())?;
        let float = FloatNetwork::of(&flat, &profile).map_err(|e| e.to_string())?;
        quantize(&float, &Options::bits(8)).map(|_| ()).map_err(|e| e.to_string())
    })
}

fn each_mutation(bytes: &[u8], read: impl Fn(Vec<u8>) -> Result<(), String>) -> Result<(), String> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ bytes.len() as u64);
    for round in 0..MUTATIONS {
        let mut copy = bytes.to_vec();
        mutate(&mut copy, &mut random, round);
        if let Err(text) = read(copy)
            && !(text.contains('/')
                || text.contains('`')
                || text.contains("edge")
                || text.contains("the graph")
                || text.contains("the file does not fix the step"))
        {
            return Err(format!("mutation {round}: the error names no place: {text}"));
        }
    }
    Ok(())
}

/// Flips bits, overwrites with extreme values, moves bytes, or cuts the file short.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random, round: u64) {
    let len = bytes.len() as u64;
    // Metadata is dense at the start: half of the damage goes there.
    let place = |random: &mut Random| {
        let range = if random.below(2) == 0 { len.min(4096) } else { len };
        random.below(range.max(1)) as usize
    };
    match round % 8 {
        0 => bytes.truncate(place(random)),
        1 => {
            let (from, to) = (place(random), place(random));
            let piece: Vec<u8> = bytes.iter().skip(from).take(16).copied().collect();
            bytes.iter_mut().skip(to).zip(piece).for_each(|(b, p)| *b = p);
        }
        2 => {
            let at = place(random);
            bytes.iter_mut().skip(at).take(8).for_each(|b| *b = 0xff);
        }
        3 => {
            let at = place(random);
            bytes.iter_mut().skip(at).take(4).for_each(|b| *b = 0x7f);
        }
        n => {
            for _ in 0..=(n * 2) {
                let at = place(random);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
}

/// SplitMix64: enough to choose where to hit a file.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}
