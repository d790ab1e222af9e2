//! Every reader of the product as a function of bytes, with files to start from: what the fuzzers drive, and
//! what the bounded smoke in the tests drives too. A new reader is one function and one line in [`READERS`].

use std::io::Write;
use std::path::Path;
use synop::input::{InputArgs, Port};
use synop_core::session::{Command, Outlet, replay};
use synop_core::{Machine, Observer, Portable, Threefry, Unobserved, frame};
use synop_model::image::Blob;
use synop_model::nir::data::Recording;
use synop_model::nir::{Graph, Limits};
use synop_model::rule::RuleSpec;
use synop_model::sanafe;

/// A reader: its name, where files to start from stand (folders or files, from the root of the checkout), and
/// the function, which must return whatever it is given.
#[derive(Clone, Copy)]
pub struct Reader {
    /// Name of the fuzz target.
    pub name: &'static str,
    /// Folder of the checkout with good inputs, at any depth.
    pub seeds: &'static str,
    /// What the names of good inputs end with.
    pub ending: &'static str,
    /// Reads bytes. A panic, a hang or an allocation far beyond the input's size is a defect.
    pub read: fn(&[u8]),
}

/// Every reader.
pub const READERS: &[Reader] = &[
    Reader { name: "image", seeds: "fuzz/seeds/image", ending: ".img", read: image },
    Reader { name: "nir", seeds: "tests/golden/nir", ending: ".nir", read: nir },
    Reader { name: "nirdata", seeds: "tests/golden/nir", ending: ".nird", read: nirdata },
    Reader { name: "chip", seeds: "crates/cost/chips", ending: ".toml", read: chip },
    Reader { name: "device", seeds: "crates/device/devices", ending: ".toml", read: device },
    Reader { name: "rule", seeds: "experiments/rules", ending: ".rule", read: rule },
    Reader { name: "sanafe_arch", seeds: "tests/golden/sanafe", ending: "arch.yaml", read: sanafe_arch },
    Reader { name: "sanafe_snn", seeds: "tests/golden/sanafe", ending: "snn.yaml", read: sanafe_snn },
    Reader { name: "npy", seeds: "fuzz/seeds/npy", ending: ".npy", read: npy },
    Reader { name: "idx", seeds: "fuzz/seeds/idx", ending: ".idx", read: idx },
    Reader { name: "npz", seeds: "fuzz/seeds/npz", ending: ".npz", read: npz },
    Reader { name: "events", seeds: "fuzz/seeds/events", ending: ".csv", read: events },
    Reader { name: "trace", seeds: "fuzz/seeds/trace", ending: ".json", read: trace },
    Reader { name: "experiment", seeds: "experiments", ending: ".toml", read: experiment },
    Reader { name: "frames", seeds: "fuzz/seeds/frames", ending: ".bin", read: frames },
];

impl Reader {
    /// The good inputs that ship with the checkout, in the order of their names.
    pub fn good(&self) -> Vec<Vec<u8>> {
        let mut files = Vec::new();
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(self.seeds)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if entry.file_name().to_string_lossy().ends_with(self.ending) {
                    files.push(path);
                }
            }
        }
        files.sort();
        files.into_iter().filter_map(|file| std::fs::read(file).ok()).collect()
    }
}

/// The reader of this name.
///
/// # Panics
/// There is no such reader.
pub fn reader(name: &str) -> &'static Reader {
    READERS.iter().find(|r| r.name == name).unwrap_or_else(|| panic!("no reader {name}"))
}

/// Machines of broken images run a few ticks where they ask for at most this many 8-byte words.
const WORDS: usize = 1 << 18;

fn image(bytes: &[u8]) {
    let mut sealed = bytes.to_vec();
    for pass in 0..2 {
        let blob = Blob::new(&sealed);
        if let Ok(image) = blob.image() {
            let words = image.memory(0..image.cores).words();
            if words > WORDS {
                return;
            }
            let mut arena = vec![0u64; words];
            let Ok(mut machine) = Machine::new(image, &mut arena) else { return };
            let mut draws = Threefry::<13>::new(1);
            for tick in 0..4 {
                for piece in 0..image.pieces {
                    let _ = machine.inject(piece, &[[tick % 4, 1], [5, 2]]);
                }
                machine.step(&Portable, &mut draws, &mut Unobserved);
            }
            machine.learn_sample(&mut draws);
        }
        // The second pass gets past the checksum.
        if pass == 0 && sealed.len() >= 32 {
            let sum = synop_core::image::checksum(&sealed);
            sealed[24..32].copy_from_slice(&sum.to_le_bytes());
        }
    }
}

fn nir(bytes: &[u8]) {
    if let Ok(graph) = Graph::from_bytes(bytes.to_vec(), Limits::default()) {
        let _ = graph.flatten();
        let _ = graph.to_bytes();
    }
}

fn nirdata(bytes: &[u8]) {
    if let Ok(data) = Recording::from_bytes(bytes.to_vec(), Limits::default()) {
        let _ = data.to_bytes();
    }
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn chip(bytes: &[u8]) {
    if let Ok(chip) = synop_cost::Chip::from_toml(&text(bytes), "chip.toml") {
        let _ = (chip.barrier_s(1), chip.core_count(), chip.tile_of(u32::MAX));
    }
}

fn device(bytes: &[u8]) {
    if let Ok(preset) = synop_device::Preset::read("device.toml", &text(bytes)) {
        let _ = preset.siemens(0.5);
    }
}

fn rule(bytes: &[u8]) {
    if let Ok(rule) = RuleSpec::parse(&text(bytes)) {
        let _ = rule.encode();
        let _ = rule.compile();
    }
}

fn sanafe_arch(bytes: &[u8]) {
    let _ = sanafe::Arch::read(&text(bytes), "arch.yaml");
}

fn sanafe_snn(bytes: &[u8]) {
    let _ = sanafe::Snn::read(&text(bytes), "snn.yaml");
}

fn npy(bytes: &[u8]) {
    let _ = synop::data::npy::parse(bytes);
}

fn idx(bytes: &[u8]) {
    for rank in 1..=3 {
        let _ = synop::data::idx::parse(bytes, rank);
    }
}

fn npz(bytes: &[u8]) {
    let _ = synop::input::npz::parse(bytes);
}

fn events(bytes: &[u8]) {
    for shape in [vec![4], vec![2, 2, 2]] {
        let ports = [Port { name: "input".into(), shape }];
        let _ =
            synop::input::events::parse(Path::new("events.csv"), &text(bytes), &InputArgs::default(), &ports);
    }
}

fn trace(bytes: &[u8]) {
    let _ = synop::trace::Trace::read(Path::new("trace.json"), bytes, 1.0);
}

fn experiment(bytes: &[u8]) {
    let Ok(mut file) = tempfile::NamedTempFile::new() else { return };
    if file.write_all(bytes).is_ok() {
        let _ = synop::experiment::plan(file.path(), &[], None);
    }
}

/// Sees nothing.
struct Quiet;
impl Observer for Quiet {}
impl Outlet for Quiet {}

/// What a board receives: the bytes as they are, and again as frames with good checksums around what they hold
/// (kind, length, payload), so that the commands behind the checksum are reached too.
fn frames(bytes: &[u8]) {
    let mut sealed = Vec::new();
    let (mut rest, mut number) = (bytes, 0u8);
    while let [kind, len, more @ ..] = rest {
        let (payload, after) = more.split_at(usize::from(*len).min(more.len()));
        let mut payload = payload.to_vec();
        // A board would run four thousand million ticks if told to; a test has less time.
        if *kind == Command::Step as u8 {
            payload.iter_mut().skip(1).for_each(|byte| *byte = 0);
        }
        frame::write(*kind, number, &payload, |piece| sealed.extend_from_slice(piece));
        (rest, number) = (after, number.wrapping_add(1));
    }
    let seed = reader("image").good();
    let Some(seed) = seed.first() else { return };
    let blob = Blob::new(seed);
    let Ok(image) = blob.image() else { return };
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    for stream in [bytes, &sealed] {
        let Ok(mut machine) = Machine::new(image, &mut arena) else { return };
        let frames = frame::Frames::new(stream);
        let _ = replay(frames, &mut machine, &Portable, &mut Threefry::<13>::new(1), &mut Quiet);
    }
}
