//! Boards in QEMU run the same images to the same bits as the host, and report what is wrong instead of hanging.
//!
//! Skipped, with the reason, where the compiler has no targets for boards or QEMU is missing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use synop::firmware::board::Board;
use synop::firmware::build::{self, Parts, Program, Source, Toolchain, Wanted};
use synop::firmware::outcome::{Outcome, Said};
use synop::firmware::present::lesson;
use synop::firmware::run::{emulate, has_emulator};
use synop::firmware::script::Script;
use synop::local::{Drive, Learner, Setup};
use synop_core::{Count, Draws, Image, Portable, Threefry};
use synop_device::{Preset, Resolution};
use synop_model::attractor::{LEARN, Layer, Layers, Plan, Plastic, RECALL, Sweep};
use synop_model::crossbar::Crossbar;
use synop_model::image::{Blob, write};
use synop_model::lower::FloatNetwork;
use synop_model::network::{Lif, Network, Param, Population, Reset, Rows, Synapses};
use synop_model::nir::Graph;
use synop_model::placement::Placement;
use synop_model::profile::Profile;
use synop_model::quantize::{Options, quantize};
use synop_model::rule::RuleSpec;

/// Bytes of state up to which an image runs on every board.
const SMALL: u64 = 6 * 1024;
/// Longest that a board may take before it counts as hanging.
const LIMIT: Duration = Duration::from_secs(120);

/// A board with its compiler and the firmware's library.
struct Bench {
    board: Board,
    toolchain: Toolchain,
    library: PathBuf,
}

/// Libraries by package and target: every target is compiled once for all tests.
static LIBRARIES: Mutex<BTreeMap<(String, String), PathBuf>> = Mutex::new(BTreeMap::new());

fn library(toolchain: &Toolchain, package: &str, target: &str) -> PathBuf {
    let mut libraries = LIBRARIES.lock().unwrap();
    let key = (package.to_owned(), target.to_owned());
    libraries
        .entry(key)
        .or_insert_with(|| build::compile(&Source::find().unwrap(), toolchain, package, target).unwrap())
        .clone()
}

/// All boards, or `None`, said as a skip, where one cannot be run.
fn benches() -> Option<Vec<Bench>> {
    let mut all = Vec::new();
    for board in Board::emulated() {
        let toolchain = match Toolchain::for_target(&board.target) {
            Ok(toolchain) => toolchain,
            Err(why) => {
                synop::testing::skip(&why.to_string());
                return None;
            }
        };
        if !has_emulator(&board) {
            synop::testing::skip(&format!("{:?} is not installed", board.qemu.map(|q| q.program)));
            return None;
        }
        let library = library(&toolchain, "synop-board", &board.target);
        all.push(Bench { board, toolchain, library });
    }
    Some(all)
}

impl Bench {
    fn link(
        &self,
        image: &[u8],
        arena: u64,
        input: &[u8],
        wanted: Wanted,
    ) -> Result<Program, synop::Failure> {
        let stack = synop_model::image::Blob::new(image).image().map_or(0, |i| build::stack_needed(&i));
        let parts = Parts { image, arena, stack, input, wanted };
        build::link(&Source::find().unwrap(), &self.toolchain, &self.library, &self.board, parts)
    }

    /// Runs bytes that may be no image or no session.
    fn run(&self, image: &[u8], arena: u64, input: &[u8], wanted: Wanted) -> Said {
        let in_flash = if wanted.stream { &[] } else { input };
        let program = self.link(image, arena, in_flash, wanted).unwrap_or_else(|e| panic!("{e}"));
        emulate(&self.board, &program.elf, input, LIMIT)
            .unwrap_or_else(|e| panic!("{}: {e}", self.board.name))
    }

    /// Whether the board holds an image's state.
    fn holds(&self, image: &Image<'_>) -> bool {
        build::fits_ram(&self.board, arena(image), build::stack_needed(image)).is_ok()
    }
}

fn arena(image: &Image<'_>) -> u64 {
    image.memory(0..image.cores).bytes() as u64
}

/// Runs a session on every board that holds the image and asks for the host's bits; returns what each said, by
/// name. A board that does not hold the image must refuse it with its numbers.
fn same_everywhere(name: &str, image: &Image<'_>, script: &Script) -> BTreeMap<String, (Said, Program)> {
    let host = Outcome::on_host(*image, script.bytes(), &synop::simd::Native::default()).unwrap();
    let plain = Outcome::on_host(*image, script.bytes(), &Portable).unwrap();
    assert_eq!(host.difference(&plain), None, "{name}: the host's own loops");
    let mut ran = BTreeMap::new();
    for bench in benches().into_iter().flatten() {
        let wanted = Wanted { trace: true, meter: true, ..Wanted::default() };
        let board = &bench.board.name;
        if !bench.holds(image) {
            let refused = bench.link(image.bytes(), arena(image), script.bytes(), wanted).unwrap_err();
            let text = refused.to_string();
            assert_eq!(refused.exit_code(), 2);
            let numbers = [arena(image), bench.board.ram.length].map(|n| n.to_string());
            assert!(numbers.iter().all(|n| text.contains(n)), "{text}");
            continue;
        }
        let program =
            bench.link(image.bytes(), arena(image), script.bytes(), wanted).unwrap_or_else(|e| panic!("{e}"));
        let said = emulate(&bench.board, &program.elf, &[], LIMIT).unwrap_or_else(|e| panic!("{board}: {e}"));
        assert_eq!(said.error, None, "{name} on {board}");
        assert_eq!(said.outcome.difference(&host), None, "{name} on {board}, compared with the host");
        for symbol in ["__rust_alloc", "__rg_alloc", "_ZN5alloc", "__rdl_"] {
            let there = program.elf.windows(symbol.len()).any(|w| w == symbol.as_bytes());
            assert!(!there, "{name} on {board}: {symbol} is linked");
        }
        let (used, set_aside) = (said.stack.unwrap(), build::stack_needed(image));
        assert!(used <= set_aside, "{name} on {board}: {used} bytes of stack, {set_aside} set aside");
        let spent = said.spent.unwrap();
        let per = |n: u64, count| n as f64 / host.total(count).max(1) as f64;
        println!(
            "{name} on {board}: flash {} (code {}), RAM {}, stack {}, per synaptic event {:.1}, per update {:.0}; \
             rules {} for {} plastic synapses and {} traces",
            program.sizes.flash,
            program.sizes.code,
            program.sizes.ram,
            said.stack.unwrap_or(0),
            per(spent.rows, Count::StoredEvents),
            per(spent.neurons, Count::Updates),
            spent.rules,
            host.total(Count::PlasticUpdates),
            host.total(Count::TraceUpdates),
        );
        ran.insert(board.clone(), (said, program));
    }
    ran
}

/// Instructions per synaptic event on a board.
fn per_event(ran: &BTreeMap<String, (Said, Program)>, board: &str, host: &Outcome) -> f64 {
    ran[board].0.spent.unwrap().rows as f64 / host.total(Count::StoredEvents) as f64
}

/// Instructions that the price of a class rests on, in the words of a chip's file: `8 (3.7 to 32) instructions`.
fn priced(chip: &str, class: &str) -> [f64; 3] {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../crates/cost/chips/{chip}.toml"));
    let chip: toml::Value = toml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let source = chip["price"][class]["source"].as_str().unwrap();
    let numbers = source.split_once(" instructions, counted").unwrap().0.rsplit_once(": ").unwrap().1;
    let mut numbers = numbers.split([' ', '(', ')']).filter_map(|word| word.parse().ok());
    std::array::from_fn(|_| numbers.next().unwrap())
}

/// The chips that price what boards count.
const PRICED: [(&str, &str); 4] =
    [("microbit", "cortex-m0"), ("mps2-an386", "cortex-m4"), ("mps2-an505", "cortex-m33"), ("virt", "rv32")];

/// Counted instructions lie in the interval of every chip's price; where they are `nominal`, near its middle.
fn prices_hold(ran: &BTreeMap<String, (Said, Program)>, host: &Outcome, nominal: bool) {
    for (board, chip) in PRICED {
        let Some((said, _)) = ran.get(board) else { continue };
        let spent = said.spent.unwrap();
        for (class, instructions, count) in [
            ("syn_event", spent.rows, Count::StoredEvents),
            ("soma_update", spent.neurons, Count::Updates),
            ("weight_update", spent.rules, Count::PlasticUpdates),
        ] {
            if host.total(count) == 0 {
                continue;
            }
            let counted = instructions as f64 / host.total(count) as f64;
            let [middle, low, high] = priced(chip, class);
            assert!(
                (low..=high).contains(&counted),
                "{chip} {class}: {counted} counted, {low} to {high} priced"
            );
            if nominal {
                assert!(
                    (counted / middle - 1.0).abs() < 0.1,
                    "{chip} {class}: {counted} counted, {middle} priced"
                );
            }
        }
    }
}

/// Numbers that look random and are the same everywhere.
struct Random(u32, Threefry);

impl Random {
    fn new(seed: u64) -> Self {
        Random(0, Threefry::new(seed))
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.0 += 1;
        ((u64::from(self.1.draw(0, 0, self.0)) * u64::from(bound)) >> 32) as u32
    }
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// A NIR file as an image of 8-bit weights, if the integer machine has all of it.
fn from_nir(path: &Path, profile: &str) -> Option<Blob> {
    let graph = Graph::open(path).ok()?.flatten().ok()?;
    let profile = Profile::named(profile).ok()?.with_dt_of(&graph).ok()?;
    let network = FloatNetwork::of(&graph, &profile).ok()?;
    let quantized = quantize(&network, &Options::bits(8)).ok()?;
    write(&quantized.network, &Placement::one_core(&quantized.network)).ok()
}

/// Random events for all inputs of an image, and all that can be read.
fn random_session(image: &Image<'_>, samples: usize, ticks: usize, share: u32, seed: u64) -> Script {
    let mut random = Random::new(seed);
    let mut script = Script::new(image);
    let pieces: Vec<_> = (0..image.pieces).filter_map(|p| image.piece(p)).collect();
    for _ in 0..samples {
        script.rest();
        for _ in 0..ticks {
            for (number, piece) in (0u16..).zip(&pieces).filter(|(_, p)| p.stage == 0) {
                let most = piece.payload_max.min(100) as i32;
                let mut events = Vec::new();
                for neuron in 0..piece.count as i32 {
                    if random.below(100) < share {
                        let payload = 1 + random.below(most as u32) as i32;
                        events.push([
                            neuron,
                            if most > 1 && random.below(2) == 0 { -payload } else { payload },
                        ]);
                    }
                }
                script.events(number, &events);
            }
            script.step(1);
        }
        for (number, _) in (0u16..).zip(&pieces).filter(|(_, p)| p.stage != 0) {
            script.read(number, true, true);
        }
    }
    script.end()
}

/// Rate-coded images of the golden file.
fn digits_session(image: &Image<'_>, samples: usize) -> Script {
    let text = std::fs::read_to_string(golden().join("nir/digits_snntorch.json")).unwrap();
    let case: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut script = Script::new(image);
    for pixels in case["images"].as_array().unwrap().iter().take(samples) {
        let pixels: Vec<u64> = pixels.as_array().unwrap().iter().map(|p| p.as_u64().unwrap()).collect();
        script.rest();
        for t in 0..25 {
            let events: Vec<_> = (0..)
                .zip(&pixels)
                .filter(|(_, p)| (t + 1) * **p / 16 != t * **p / 16)
                .map(|(i, _)| [i, 1])
                .collect();
            script.events(0, &events);
            script.step(1);
        }
        script.read(2, true, true);
    }
    script.end()
}

#[test]
fn trained_digits_are_the_same_everywhere_and_fit_the_smallest_board() {
    let blob = from_nir(&golden().join("nir/digits_snntorch.nir"), "snntorch").unwrap();
    let image = blob.image().unwrap();
    let script = digits_session(&image, 10);
    let ran = same_everywhere("digits", &image, &script);
    if ran.is_empty() {
        return;
    }
    assert_eq!(ran.len(), 7);
    let (said, program) = &ran["microbit"];
    assert!(program.sizes.flash <= 256 * 1024);
    assert!(program.sizes.ram + said.stack.unwrap() <= 16 * 1024);
    let host = Outcome::on_host(image, script.bytes(), &Portable).unwrap();
    prices_hold(&ran, &host, true);
    let dense = per_event(&ran, "mps2-an386", &host);
    assert!(dense <= 12.0, "{dense} instructions per synaptic event of dense rows");
}

#[test]
fn sparse_rows_are_the_same_everywhere() {
    for (name, most_delay) in [("sparse", 1), ("sparse with delays", 3)] {
        let (ran, host) = sparse(name, most_delay);
        if !ran.is_empty() {
            let sparse = per_event(&ran, "mps2-an386", &host);
            assert!(sparse <= 20.0, "{sparse} instructions per synaptic event of rows: {name}");
            prices_hold(&ran, &host, false);
        }
    }
}

/// A recurrent network of sparse rows of 8-bit weights, 30 synapses each.
fn sparse(name: &str, most_delay: u32) -> (BTreeMap<String, (Said, Program)>, Outcome) {
    let mut random = Random::new(3);
    let mut net = Network { seed: 9, ..Network::default() };
    let input = net.add_population(Population::input("in", 40, 1));
    let neuron = Lif {
        threshold: Param::All(300),
        decay: Param::q31(0x7000_0000),
        reset: Reset::Subtract,
        refractory: 2,
        ..Lif::default()
    };
    let cells = net.add_population(Population::lif("cells", 120, 1, neuron));
    let mut rows = |count: usize, most_delay: u32| {
        let mut lists: Vec<Vec<(u32, i16)>> = Vec::new();
        let mut delays = Vec::new();
        for _ in 0..count {
            let mut row: Vec<(u32, i16)> = Vec::new();
            for target in 0..120 {
                if random.below(4) == 0 {
                    row.push((target, random.below(200) as i16 - 80));
                }
            }
            delays.extend(row.iter().map(|_| 1 + random.below(most_delay) as u16));
            lists.push(row);
        }
        Rows { delays: if most_delay > 1 { delays } else { Vec::new() }, ..Rows::from_lists(&lists) }
    };
    let (into, among) = (rows(40, 1), rows(120, most_delay));
    net.connect(input, cells, 1, Synapses::Sparse { bits: 8, weight: 0, rows: into });
    net.connect(cells, cells, 1, Synapses::Sparse { bits: 8, weight: 0, rows: among });
    let blob = write(&net, &Placement::one_core(&net)).unwrap();
    let image = blob.image().unwrap();
    let script = random_session(&image, 2, 50, 20, 4);
    let ran = same_everywhere(name, &image, &script);
    let host = Outcome::on_host(image, script.bytes(), &Portable).unwrap();
    assert!(host.spikes.len() > 500, "a network that hardly spikes proves little");
    (ran, host)
}

/// Samples of classes: a pattern of each, and noise.
fn drives(setup: &Setup, count: usize, ticks: usize) -> Vec<(Drive, u8)> {
    let mut random = Random::new(17);
    let most = setup.input_max as i32;
    let mut value = |spread: i32| random.below(2 * spread as u32 + 1) as i32 - spread;
    let patterns: Vec<Vec<i32>> =
        (0..setup.classes).map(|_| (0..setup.inputs).map(|_| value(most * 3 / 4)).collect()).collect();
    (0..count)
        .map(|i| {
            let class = i % setup.classes;
            let rows = (0..ticks)
                .map(|_| patterns[class].iter().map(|p| (p + value(most / 4)).clamp(-most, most)).collect())
                .collect();
            (Drive { rows, repeat: 1 }, class as u8)
        })
        .collect()
}

/// On-chip learning: what the boards learn is what the host's learner learns.
fn learning_is_the_same(name: &str, setup: &Setup, samples: usize) -> usize {
    let blob = setup.image().unwrap();
    let image = blob.image().unwrap();
    let samples = drives(setup, samples, 5);
    let mut memory = vec![0; image.memory(0..1).words()];
    let mut learner = Learner::new(setup, image, &mut memory, Portable).unwrap();
    for (drive, label) in &samples {
        learner.learn(drive, *label, 8).unwrap();
    }
    let script = lesson(setup, &image, &samples, 8);
    let host = Outcome::on_host(image, script.bytes(), &Portable).unwrap();
    assert_eq!(host.plastic, learner.machine.plastic(), "a session learns as the host's learner does");
    assert!(host.total(Count::PlasticChanges) > 100, "a rule that changes little proves little");
    let ran = same_everywhere(name, &image, &script);
    prices_hold(&ran, &host, false);
    ran.len()
}

/// The demo's network, at its size where there is memory, smaller everywhere.
fn demo(inputs: usize, hidden: usize, classes: usize) -> Setup {
    let full = synop::commands::demo::setup(1, true);
    let threshold = full.threshold * inputs as i32 / full.inputs as i32;
    // The drives of these tests reach 64, not the 1,024 of the demo's.
    Setup { inputs, input_max: 64, hidden, classes, threshold, ..full }
}

#[test]
fn on_chip_learning_gives_the_same_weights_everywhere() {
    let boards = learning_is_the_same("demo, small", &demo(32, 32, 4), 12);
    assert!(boards == 7 || boards == 0, "{boards} boards");
    let boards = learning_is_the_same("demo", &demo(192, 256, 10), 5);
    assert!(boards == 5 || boards == 0, "{boards} boards");
}

/// Dense couplings of a wide range, drawn.
fn couplings(random: &mut Random, rows: usize, columns: usize, spread: u32, recurrent: bool) -> Synapses {
    let weights = (0..rows * columns)
        .map(|k| {
            let w = random.below(2 * spread + 1) as i16 - spread as i16;
            if recurrent && k / columns == k % columns { 0 } else { w }
        })
        .collect();
    Synapses::Dense { bits: 8, weights }
}

#[test]
fn an_attractor_network_relaxes_and_learns_the_same_everywhere() {
    let mut random = Random::new(8);
    let (inputs, classes, size) = (12, 4, 32);
    let rule = |text: &str| Some(RuleSpec::parse(text).unwrap());
    let layer = |random: &mut Random| Layer {
        couplings: Some(Plastic {
            synapses: couplings(random, size, size, 20, true),
            rule: rule(
                "rule j { end of sample; rounding stochastic; bounds -127 127; error e = (s*g0 <= 40); dw = 2*x0*e*s }",
            ),
        }),
        input: Some(Plastic::fixed(couplings(random, inputs, size, 40, false))),
        teacher: Some(Plastic::fixed(couplings(random, classes, size, 60, false))),
        readout: Some(Plastic::fixed(couplings(random, size, classes, 40, false))),
        bias: Vec::new(),
    };
    for sweep in [Sweep::Synchronous, Sweep::Shuffled] {
        let layers = Layers {
            seed: 5,
            inputs,
            input_max: 1,
            classes,
            teacher_max: 1,
            size,
            layers: vec![layer(&mut random), layer(&mut random)],
            self_coupling: 30,
            link_left: 40,
            link_right: 25,
            keep_right: false,
            keep_ties: true,
            sweep: sweep.clone(),
            plan: Plan { warm: 1, steer: 4, free: 4, recall: 6, until_quiet: true },
        };
        let built = layers.build().unwrap();
        let blob = write(&built.network, &Placement::one_core(&built.network)).unwrap();
        let image = blob.image().unwrap();
        let mut script = Script::new(&image);
        for sample in 0..12 {
            script.rest();
            let present = |script: &mut Script, piece: usize, values: Vec<i32>| {
                let events: Vec<_> = (0..).zip(values).map(|(i, v)| [i, v]).collect();
                script.events(piece as u16, &events);
            };
            let values = (0..inputs).map(|i| if (i * 5 + sample * 3) % 7 < 3 { 1 } else { -1 }).collect();
            present(&mut script, built.input, values);
            if sample < 8 {
                present(
                    &mut script,
                    built.teacher,
                    (0..classes).map(|c| i32::from(c == sample % classes)).collect(),
                );
                script.program(LEARN);
                script.learn();
            } else {
                script.program(RECALL);
            }
            for piece in built.layers.iter().chain([&built.readout]) {
                script.read(*piece as u16, false, true);
            }
        }
        let script = script.end();
        let host = Outcome::on_host(image, script.bytes(), &Portable).unwrap();
        assert!(host.total(Count::PlasticChanges) > 50, "a rule that changes little proves little");
        assert!(host.spikes.len() > 100, "a network that hardly moves proves little");
        let ran = same_everywhere(&format!("attractor, {sweep:?}"), &image, &script);
        assert!(ran.len() == 7 || ran.is_empty(), "{} boards, {} bytes", ran.len(), arena(&image));
    }
}

/// A learning crossbar of some rows and columns; returns on how many boards it ran, and the bytes of its state.
fn crossbar(name: &str, rows: usize, columns: usize) -> (usize, u64) {
    let weights = (0..rows * columns).map(|k| (k * 7919 % 201) as i16 - 100).collect();
    let mut bar = Crossbar::new(Preset::shipped("reram-es").unwrap(), 100, weights);
    bar.resolution = Resolution::bare(24, 5);
    let mut net = Network { seed: 11, ..Network::default() };
    let input = net.add_population(Population::input("in", rows, 3));
    let out = net.add_population(Population::lif(
        "out",
        columns,
        1,
        Lif { threshold: 40.into(), ..Lif::default() },
    ));
    let p = net.connect(input, out, 0, Synapses::Crossbar(Box::new(bar)));
    let rule = "rule r { x1: decay 0.5 add 8; every tick; rounding nearest; bounds -127 127; dw = 2^-2*x1*y0 - 2^-3*x0*y0 }";
    net.rules.push(RuleSpec::parse(rule).unwrap().encode().unwrap());
    net.projections[p].rule = Some(0);
    let blob = write(&net, &Placement::one_core(&net)).unwrap();
    let image = blob.image().unwrap();
    let script = random_session(&image, 2, 25, 30, 6);
    let host = Outcome::on_host(image, script.bytes(), &Portable).unwrap();
    assert!(host.total(Count::PulsesUp) > 20 && host.total(Count::CrossbarCharge) > 0);
    (same_everywhere(name, &image, &script).len(), arena(&image))
}

#[test]
fn crossbar_networks_drift_and_learn_the_same_everywhere() {
    let (boards, bytes) = crossbar("crossbar", 24, 10);
    assert!(boards >= 5 || boards == 0, "{boards} boards, {bytes} bytes");
    let (boards, bytes) = crossbar("crossbar, small", 12, 8);
    assert!(bytes <= SMALL && (boards == 7 || boards == 0), "{boards} boards, {bytes} bytes");
}

mod conformance {
    //! The golden attractor networks, as the conformance test reads them.

    /// A kind of golden case.
    #[allow(dead_code)]
    pub(crate) struct Kind {
        pub(crate) name: &'static str,
        pub(crate) cases: fn(&std::path::Path) -> Vec<(String, std::path::PathBuf)>,
        pub(crate) check: fn(&std::path::Path) -> Result<Outcome, String>,
    }

    /// What a case came to.
    #[allow(dead_code)]
    pub(crate) enum Outcome {
        Agrees,
    }

    pub(crate) mod attractor;
}

#[test]
fn golden_attractor_networks_learn_the_same_everywhere() {
    let shown = conformance::attractor::networks(&golden().join("attractor/learning.json")).unwrap();
    assert!(shown.len() >= 3);
    for network in shown.iter().take(3) {
        let built = network.layers.build().unwrap();
        let blob = write(&built.network, &Placement::one_core(&built.network)).unwrap();
        let image = blob.image().unwrap();
        let mut script = Script::new(&image);
        for program in [LEARN, RECALL] {
            for (input, teacher, label) in &network.samples {
                let events = |values: &[i32]| -> Vec<_> { (0..).zip(values).map(|(i, v)| [i, *v]).collect() };
                script.rest();
                script.events(built.input as u16, &events(input));
                if program == LEARN {
                    script.events(built.teacher as u16, &events(teacher));
                }
                let targets: Vec<i32> =
                    (0..teacher.len()).map(|c| if c == *label { 1 } else { -1 }).collect();
                script.targets(built.readout as u16, &targets);
                script.program(program);
                if program == LEARN {
                    script.learn();
                }
                for piece in built.layers.iter().chain([&built.readout]) {
                    script.read(*piece as u16, false, true);
                }
            }
        }
        let script = script.end();
        let host = Outcome::on_host(image, script.bytes(), &Portable).unwrap();
        assert!(host.total(Count::PlasticChanges) > 50, "a rule that changes little proves little");
        let ran = same_everywhere(&format!("golden attractor, {}", network.name), &image, &script);
        if arena(&image) <= SMALL {
            assert!(ran.len() == 7 || ran.is_empty(), "{} boards, {} bytes", ran.len(), arena(&image));
        }
    }
}

#[test]
fn golden_networks_run_everywhere_or_are_refused_with_the_numbers() {
    let mut small = 0;
    let mut files: Vec<_> =
        std::fs::read_dir(golden().join("nir")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|p| p.extension().is_some_and(|e| e == "nir")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let profile = ["norse", "sinabs", "rockpool"].into_iter().find(|p| name.starts_with(p));
        let Some(blob) = from_nir(path, profile.unwrap_or("snntorch")) else { continue };
        let image = blob.image().unwrap();
        let script = random_session(&image, 2, 12, 30, 1);
        let ran = same_everywhere(&name, &image, &script);
        if arena(&image) <= SMALL && !ran.is_empty() {
            assert_eq!(ran.len(), 7, "{name} needs {} bytes", arena(&image));
            small += 1;
        }
    }
    assert!(small >= 10 || benches().is_none(), "only {small} golden networks are small");
}

#[test]
fn what_is_damaged_is_reported_and_nothing_hangs() {
    let blob = from_nir(&golden().join("nir/digits_snntorch.nir"), "snntorch").unwrap();
    let image = blob.image().unwrap();
    let script = digits_session(&image, 1);
    let host = Outcome::on_host(image, script.bytes(), &Portable).unwrap();
    let (good, need) = (script.bytes(), arena(&image));
    let mut out_of_range = Script::new(&image);
    out_of_range.events(0, &[[64, 1]]);
    let out_of_range = out_of_range.end();
    let mut no_input = Script::new(&image);
    no_input.events(1, &[[0, 1]]);
    let no_input = no_input.end();
    // The second frame, spikes of the first tick, is left out.
    let first = 6 + 12 + 4;
    let second = first + 6 + usize::from(u16::from_le_bytes([good[first + 4], good[first + 5]])) + 4;
    let lost = [&good[..first], &good[second..]].concat();
    let mut noisy = b"garbage \xa5\x5e\x01\x00\xff".to_vec();
    noisy.extend_from_slice(&good[..first]);
    noisy.extend_from_slice(b"\xa5\x5e\x02\x01\x04\x00 not a frame");
    noisy.extend_from_slice(&good[first..]);
    let mut other = image.bytes().to_vec();
    let last = other.len() - 1;
    other[last] ^= 1;
    let other = resealed(other);

    for bench in benches().into_iter().flatten() {
        let name = &bench.board.name;
        let code = |image: &[u8], arena: u64, input: &[u8], wanted| {
            let said = bench.run(image, arena, input, wanted);
            said.error.map_or(0, |(code, text)| {
                assert!(!text.is_empty());
                code
            })
        };
        let (flash, stream) = (Wanted::default(), Wanted { stream: true, ..Wanted::default() });
        // An image with any of some bits flipped, one cut short, none at all.
        for at in [9, 17, 25, 400, last] {
            let mut bad = image.bytes().to_vec();
            bad[at] ^= 0x10;
            assert_eq!(code(&bad, need, good, flash), 10, "{name}, byte {at} of the image");
        }
        assert_eq!(code(&image.bytes()[..image.bytes().len() / 2], need, good, flash), 10, "{name}");
        assert_eq!(code(&[0xff; 64], need, good, flash), 10, "{name}");
        assert_eq!(code(image.bytes(), need - 8, good, flash), 16, "{name}: too little memory");
        for wanted in [flash, stream] {
            assert_eq!(code(image.bytes(), need, &good[..good.len() / 2], wanted), 12, "{name}: cut off");
            assert_eq!(code(image.bytes(), need, &[], wanted), 12, "{name}: empty");
            assert_eq!(code(image.bytes(), need, &[0x5a; 3000], wanted), 12, "{name}: noise");
            assert_eq!(
                code(image.bytes(), need, out_of_range.bytes(), wanted),
                11,
                "{name}: event out of range"
            );
            assert_eq!(code(image.bytes(), need, no_input.bytes(), wanted), 11, "{name}: no input piece");
            assert_eq!(code(image.bytes(), need, &lost, wanted), 13, "{name}: frame lost");
            assert_eq!(code(&other, need, good, wanted), 15, "{name}: input of another image");
            // Garbage between frames is skipped, counted, and changes nothing.
            let said = bench.run(image.bytes(), need, &noisy, Wanted { trace: true, ..wanted });
            assert_eq!((said.error, said.outcome.skipped), (None, 31), "{name}");
            let clean = Outcome { skipped: 0, ..said.outcome };
            assert_eq!(clean.difference(&host), None, "{name}, after garbage");
        }
    }
}

/// An image whose checksum agrees again.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = synop_core::image::checksum(&bytes);
    bytes[24..32].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Runs a command line in this process.
fn synop(line: &[&str]) -> Result<(), synop::Failure> {
    use clap::Parser;
    let cli = synop::cli::Cli::parse_from(std::iter::once("synop").chain(line.iter().copied()));
    cli.command.run(&cli.common)
}

/// A C compiler that knows Arm.
fn clang() -> Option<&'static str> {
    let names = ["clang", "clang-14", "clang-16", "clang-19"];
    names.into_iter().find(|c| std::process::Command::new(c).arg("--version").output().is_ok())
}

#[test]
fn a_c_firmware_runs_the_network_and_its_self_test() {
    let Some(clang) = clang() else { return synop::testing::skip("no clang for the C example") };
    let Some(benches) = benches() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let nir = golden().join("nir/digits_snntorch.nir").to_string_lossy().into_owned();
    let example = Source::find().unwrap().folder().join("c/example");
    for (name, flags) in [
        ("microbit", &["--target=thumbv6m-none-eabi", "-mcpu=cortex-m0"][..]),
        ("mps2-an386", &["--target=thumbv7em-none-eabihf", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16"][..]),
    ] {
        let bench = benches.iter().find(|b| b.board.name == name).unwrap();
        let output = at("net.c");
        synop(&["compile", &nir, "-o", &output, "--profile", "snntorch", "--emit", "c", "--for", name])
            .unwrap();
        let header = std::fs::read_to_string(folder.path().join("net.h")).unwrap();
        assert_eq!(header.matches("#define NET_PIECE_").count(), 3, "{header}");
        for source in [example.join("main.c"), example.join("start.c"), folder.path().join("net.c")] {
            let status = std::process::Command::new(clang)
                .current_dir(folder.path())
                .args(flags)
                .args(["-O2", "-ffreestanding", "-fno-builtin", "-Wall", "-Wextra", "-Werror", "-I.", "-c"])
                .arg(&source)
                .status()
                .unwrap();
            assert!(status.success(), "{name}: {}", source.display());
        }
        std::fs::write(folder.path().join("memory.x"), bench.board.memory_x()).unwrap();
        let layout = example.join("../../layout.x").canonicalize().unwrap();
        let status = std::process::Command::new(bench.toolchain.linker().unwrap())
            .current_dir(folder.path())
            .args(["-flavor", "gnu", "-L.", "--gc-sections", "--defsym=__arena_size=0"])
            .args(["--defsym=__static_size=6144", "--defsym=__synop_config=0", "-T"])
            .arg(layout)
            .args(["main.o", "start.o", "net.o", "libsynop.a", "-o", "net.elf"])
            .status()
            .unwrap();
        assert!(status.success(), "{name}: the example cannot be linked");
        let elf = std::fs::read(folder.path().join("net.elf")).unwrap();
        let ended = synop::firmware::run::execute(&bench.board, &elf, &[], LIMIT).unwrap();
        println!("{name}: {}", ended.output);
        assert!(ended.status.success(), "{name}: {ended:?}");

        // The same on the host.
        let blob = from_nir(Path::new(&nir), "snntorch").unwrap();
        let image = blob.image().unwrap();
        let mut script = Script::new(&image);
        for tick in 0..25 {
            let events: Vec<_> = (0..64).filter(|i| (i + tick) % 3 == 0).map(|i| [i, 1]).collect();
            script.events(0, &events);
            script.step(1);
        }
        script.read(2, true, false);
        let host = Outcome::on_host(image, script.end().bytes(), &Portable).unwrap();
        let counts: Vec<String> = host.readings[0].counts.iter().map(i32::to_string).collect();
        let expected = format!(
            "selftest 0\ncounts {}\nevents {}\nout of range 11\n",
            counts.join(" "),
            host.total(Count::StoredEvents)
        );
        assert_eq!(ended.output, expected, "{name}");
    }
}

#[test]
fn emitted_rust_holds_the_image_and_its_self_test_comes_to_the_hosts_bits() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let nir = golden().join("nir/digits_snntorch.nir").to_string_lossy().into_owned();
    let (source, image) = (at("net.rs"), at("net.image"));
    synop(&["compile", &nir, "-o", &source, "--profile", "snntorch", "--emit", "rust"]).unwrap();
    synop(&["compile", &nir, "-o", &image, "--profile", "snntorch"]).unwrap();
    // A crate around the module, as a user has it: the static is the file, and the machine passes the self-test.
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/core").canonicalize().unwrap();
    let manifest = format!(
        "[package]\nname = \"emitted\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n\
         [[bin]]\nname = \"emitted\"\npath = \"main.rs\"\n[dependencies]\nsynop-core = {{ path = {core:?} }}\n"
    );
    let program = format!(
        "mod net;\n\
         use synop_core::frame::Frames;\n\
         use synop_core::session::{{Outlet, digest, replay}};\n\
         use synop_core::{{Image, Machine, Observer, Scalar, Threefry}};\n\
         struct Nobody;\nimpl Observer for Nobody {{}}\nimpl Outlet for Nobody {{}}\n\
         fn main() {{\n\
             assert!(net::IMAGE.0[..] == std::fs::read({image:?}).unwrap()[..]);\n\
             assert!(&raw const net::IMAGE as usize % 64 == 0);\n\
             let inputs: Vec<_> = net::PIECES.iter().filter(|p| p.4).collect();\n\
             assert!(net::PIECES.len() == 3 && inputs.len() == 1 && inputs[0].3 == 64);\n\
             let image = Image::check(&net::IMAGE.0).unwrap();\n\
             let mut arena = [0u64; net::ARENA_WORDS];\n\
             let mut machine = Machine::new(image, &mut arena).unwrap();\n\
             let mut draws = Threefry::new(image.seed);\n\
             replay(Frames::new(&net::SELF_TEST), &mut machine, &Scalar, &mut draws, &mut Nobody).unwrap();\n\
             println!(\"{{}} {{}}\", digest(&machine), net::SELF_TEST_DIGEST);\n}}\n"
    );
    std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    std::fs::write(folder.path().join("main.rs"), program).unwrap();
    // The versions that the workspace has are there without a network.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    std::fs::copy(lock, folder.path().join("Cargo.lock")).unwrap();
    let ran = std::process::Command::new("cargo")
        .current_dir(folder.path())
        .args(["run", "--quiet", "--offline", "--target-dir", &at("target")])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let said = String::from_utf8_lossy(&ran.stdout);
    let digests: Vec<u32> = said.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert!(digests.len() == 2 && digests[0] == digests[1] && digests[0] != 0, "{said}");
}

#[test]
fn the_demo_learns_on_a_board_from_the_command_line() {
    if benches().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_string_lossy().into_owned();
    synop(&["demo", "--board", "mps2-an386", "--limit", "2", "--out", &out]).unwrap();
    let report = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let facts = &report["runs"][0]["firmware"];
    assert_eq!((facts["board"].as_str(), facts["identical"].as_bool()), (Some("mps2-an386"), Some(true)));
    assert!(facts["instructions"]["rules"].as_u64().unwrap() > 1_000_000, "{facts}");
    // What does not fit is refused with the numbers.
    let refused = synop(&["demo", "--board", "microbit", "--limit", "2"]).unwrap_err();
    assert_eq!(refused.exit_code(), 2);
    assert!(refused.to_string().contains("16384 bytes of RAM"), "{refused}");
}

#[test]
fn the_command_runs_boards_and_writes_traces_that_are_equal() {
    if benches().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let nir = golden().join("nir/digits_snntorch.nir").to_string_lossy().into_owned();
    let (image, here, there, elf, bin) = (at("i"), at("host.json"), at("board.json"), at("e"), at("b"));
    synop(&["compile", &nir, "-o", &image, "--profile", "snntorch"]).unwrap();
    let input = ["--data", "digits", "--encode", "rate:25", "--limit", "2"];
    let run = |more: &[&str]| synop(&[&["firmware", &image][..], &input, more].concat());
    let traces = ["--trace", &there, "--host-trace", &here, "--membranes"];
    run(&[&["--board", "microbit", "--out", &at("report")], &traces[..]].concat()).unwrap();
    synop(&["compare", &here, &there]).unwrap();
    let report = std::fs::read_to_string(folder.path().join("report/report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let facts = &report["firmware"];
    assert_eq!((facts["board"].as_str(), facts["identical"].as_bool()), (Some("microbit"), Some(true)));
    for key in ["flash_bytes", "ram_bytes", "stack_bytes"] {
        assert!(facts[key].as_u64().unwrap() > 1000, "{key}");
    }
    for key in ["per_inference", "per_synaptic_event", "per_neuron_update"] {
        assert!(facts["instructions"][key].as_f64().unwrap() > 1.0, "{key}");
    }
    run(&["--board", "sifive_e,mps2-an505", "--stream"]).unwrap();
    // For hardware: programs are written, not run.
    run(&["--board", "nrf52840", "--emit", "elf", "-o", &elf, "--cycles"]).unwrap();
    assert_eq!(std::fs::read(&elf).unwrap()[..4], *b"\x7fELF");
    let memory = at("memory.x");
    std::fs::write(
        &memory,
        "MEMORY { FLASH : ORIGIN = 0x26000, LENGTH = 800K\nRAM : ORIGIN = 0x20006000, LENGTH = 200K }",
    )
    .unwrap();
    let own = ["--board", "nrf52840", "--memory", &memory, "--emit", "bin", "-o", &bin];
    run(&own).unwrap();
    let flash = std::fs::read(&bin).unwrap();
    let vector = |i: usize| u32::from_le_bytes(flash[4 * i..4 * i + 4].try_into().unwrap());
    assert!((0x2000_6000..=0x2003_8000).contains(&vector(0)), "the first stack pointer is in the given RAM");
    assert!((0x26001..0x26000 + 800 * 1024).contains(&vector(1)), "the reset vector is in the given flash");
    assert_eq!(run(&["--board", "nrf52840"]).unwrap_err().exit_code(), 2);
    std::fs::write(
        &memory,
        "MEMORY { FLASH : ORIGIN = 0, LENGTH = 20K\nRAM : ORIGIN = 0x20000000, LENGTH = 64K }",
    )
    .unwrap();
    let refused = run(&own).unwrap_err();
    assert_eq!(refused.exit_code(), 2);
    assert!(refused.to_string().contains("20480 bytes of flash"), "{refused}");
}
