//! `synop firmware`: an image on a board, compared with the host bit for bit.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use synop_core::{Count, Image};

use crate::cli::{Common, warn};
use crate::firmware::board::Board;
use crate::firmware::build::{self, Parts, Program, Source, Toolchain, Wanted};
use crate::firmware::outcome::{Outcome, Said, Spent};
use crate::firmware::present::Presentation;
use crate::firmware::script::Script;
use crate::firmware::{elf, run as emulator};
use crate::input::{InputArgs, Inputs};
use crate::pipeline::Compiled;
use crate::report::{Page, Report, Task};
use crate::simd::Native;
use crate::{Failure, files, ledger, source};

/// Samples that are put into flash unless --limit says otherwise.
const SAMPLES: u64 = 10;
/// Seconds that a board may take for a lesson.
const LESSON_LIMIT_S: u64 = 600;

/// Run an image on a board in QEMU and compare it with the host, bit for bit
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Builds the firmware (it needs rustup's target of the board, see --list-boards), links image and input into its
flash, runs it, and compares spikes, readings, learnt weights and counters with the host. Instructions are counted
in QEMU; they are not cycles. The folder firmware/ is looked for at $SYNOP_FIRMWARE, in the current folder and
those above, where this binary was built, and in ../share/synop beside it.

Examples:
  synop firmware --list-boards
  synop firmware digits.image --board microbit --data digits --encode rate:25
  synop firmware digits.image --board all --data digits --encode rate:25 --limit 4 --json
  synop firmware digits.image --board nrf52840 --input x.npy --emit elf -o digits.elf")]
pub struct Args {
    /// An image of synop compile
    #[arg(required_unless_present = "list_boards")]
    image: Option<PathBuf>,
    /// The board, several with commas between, or all that QEMU plays
    #[arg(long, value_name = "NAME", value_delimiter = ',', required_unless_present = "list_boards")]
    board: Vec<String>,
    /// Print the boards and what each takes, and stop
    #[arg(long)]
    list_boards: bool,
    /// Memory of your own board, as a linker script with FLASH and RAM; --board names the processor's like
    #[arg(long, value_name = "memory.x")]
    memory: Option<PathBuf>,
    /// Write the program instead of running it: an ELF file, or the bytes of flash
    #[arg(long, value_name = "FORM", value_parser = ["elf", "bin"], requires = "output")]
    emit: Option<String>,
    /// Where --emit writes
    #[arg(short, long, value_name = "FILE", requires = "emit")]
    output: Option<PathBuf>,
    /// Count cycles with the processor's own counter: for real hardware
    #[arg(long, requires = "emit")]
    cycles: bool,
    /// Send the input as a byte stream over semihosting instead of putting it into flash
    #[arg(long)]
    stream: bool,
    /// Write the board's trace to this file (see synop compare)
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write the host's trace to this file
    #[arg(long, value_name = "FILE")]
    host_trace: Option<PathBuf>,
    /// Keep membranes in the traces as well, and compare them
    #[arg(long)]
    membranes: bool,
    /// Seconds that a board may take
    #[arg(long, default_value_t = 60, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    #[command(flatten)]
    input: InputArgs,
}

/// Runs the command.
///
/// # Errors
/// Bad input: the image, the input, a board that does not hold them, a compiler or emulator that is missing. The
/// work failed: the board reported an error, did not end, or came to other bits than the host.
pub fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    if args.list_boards {
        let boards = Board::all();
        return common.print(&json!({ "boards": boards }), || list(&boards));
    }
    let path = args.image.as_deref().unwrap_or(Path::new(""));
    let compiled = open(path)?;
    let mut input = args.input.clone();
    let whole = input.limit.is_some();
    input.limit = input.limit.or(Some(SAMPLES));
    let inputs = Inputs::load(&input, common, &compiled.ports, None)?;
    let shown = Presentation::of(&compiled, &inputs, usize::MAX, args.membranes)?;
    let host = Outcome::on_host(compiled.image()?, shown.script.bytes(), &Native::default())
        .map_err(|error| Failure::bad_input(error).file(path))?;
    if let Some(file) = &args.host_trace {
        shown.trace(&compiled, &host, "host")?.write(file)?;
    }
    let boards = boards(&args.board)?;
    let boards = match &args.memory {
        Some(memory) => boards.into_iter().map(|b| b.with_memory(memory)).collect::<Result<_, _>>()?,
        None => boards,
    };
    let several = boards.len() > 1;
    if several && (args.trace.is_some() || args.emit.is_some()) {
        return Err(Failure::bad_input("one file for several boards")
            .place("--board")
            .mend("name one board"));
    }
    let mut reports = Vec::new();
    let mut failure = None;
    for board in &boards {
        let program = program(args, board, &compiled, &shown).map_err(|f| f.file(path))?;
        let mut report = report(&compiled, &inputs, &shown, &host, common.seed())?;
        report.label = if several { board.name.clone() } else { String::new() };
        if !whole {
            report
                .warnings
                .push(format!("the first {} samples only; --limit says how many", shown.ticks.len()));
        }
        let facts = match (&args.emit, &args.output) {
            (Some(form), Some(file)) => emit(form, file, board, &program)?,
            _ => {
                let stream = if args.stream { shown.script.bytes() } else { &[] };
                let said = emulator::emulate(board, &program.elf, stream, Duration::from_secs(args.timeout))?;
                if let Some((code, text)) = &said.error {
                    return Err(Failure::work(format_args!("{} stopped with exit code {code}", board.name))
                        .found(text));
                }
                if let Some(file) = &args.trace {
                    shown.trace(&compiled, &said.outcome, &board.name)?.write(file)?;
                }
                let difference = said.outcome.difference(&host);
                let facts = facts(board, &program, &said, &host, shown.ticks.len(), difference.is_none());
                failure = failure.or_else(|| difference.map(|text| (board.name.clone(), text)));
                facts
            }
        };
        report.more.insert("firmware".into(), serde_json::to_value(facts).unwrap_or(Value::Null));
        reports.push(report);
    }
    let whole = match several {
        true => Report { command: "firmware".into(), runs: reports, ..Report::new(common.seed()) },
        false => reports.pop().unwrap_or_else(|| Report::new(common.seed())),
    };
    whole.all_warnings().iter().for_each(warn);
    common.deliver(&whole, || text(&whole), |folder| Page::new(whole.clone()).write(folder))?;
    match failure {
        Some((board, text)) => {
            Err(Failure::work(format_args!("{board} and the host came to different bits"))
                .found(text)
                .mend("compare --trace and --host-trace with synop compare"))
        }
        None => Ok(()),
    }
}

fn open(path: &Path) -> Result<Compiled, Failure> {
    let bytes = files::read(path)?;
    if !source::is_image(&bytes) {
        return Err(Failure::bad_input("not an image")
            .file(path)
            .expected("what synop compile writes")
            .mend("synop compile NET -o IMAGE"));
    }
    Compiled::open(source::open_image(path, &bytes)?)
}

fn boards(names: &[String]) -> Result<Vec<Board>, Failure> {
    let mut boards = Vec::new();
    for name in names {
        match name.as_str() {
            "all" => boards.extend(Board::emulated()),
            _ => boards.push(Board::named(name)?),
        }
    }
    Ok(boards)
}

/// Runs a lesson of `samples` samples on boards in QEMU, compares each with the host, and prints what it took. Of
/// `all` boards, those that do not hold the image are named with the numbers in a warning.
///
/// # Errors
/// Bad input: a board that does not hold the image, a compiler or emulator that is missing. The work failed: a board
/// reported an error, did not end, or came to other bits than the host.
pub(crate) fn learn(
    names: &[String],
    image: Image<'_>,
    script: &Script,
    samples: usize,
    common: &Common,
) -> Result<(), Failure> {
    let host = Outcome::on_host(image, script.bytes(), &Native::default()).map_err(Failure::work)?;
    let arena = image.memory(0..image.cores).bytes() as u64;
    let wanted = Wanted { trace: true, meter: true, ..Wanted::default() };
    let parts = Parts {
        image: image.bytes(),
        arena,
        stack: build::stack_needed(&image),
        input: script.bytes(),
        wanted,
    };
    let mut report = Report { command: "demo".into(), ..Report::new(common.seed()) };
    for board in boards(names)? {
        let program = match linked(&board, parts) {
            Err(refused) if names.iter().any(|n| n == "all") && refused.exit_code() == 2 => {
                report.warnings.push(refused.to_string());
                continue;
            }
            program => program?,
        };
        let said = emulator::emulate(&board, &program.elf, &[], Duration::from_secs(LESSON_LIMIT_S))?;
        if let Some((code, text)) = &said.error {
            return Err(
                Failure::work(format_args!("{} stopped with exit code {code}", board.name)).found(text)
            );
        }
        if let Some(text) = said.outcome.difference(&host) {
            return Err(
                Failure::work(format_args!("{} and the host came to different bits", board.name)).found(text)
            );
        }
        let mut run =
            Report { command: "demo".into(), label: board.name.clone(), ..Report::new(common.seed()) };
        run.task = Some(Task { samples: samples as u64, ..Task::default() });
        let facts = facts(&board, &program, &said, &host, samples, true);
        run.more.insert("firmware".into(), serde_json::to_value(facts).unwrap_or(Value::Null));
        report.runs.push(run);
    }
    if let Some(folder) = &common.out {
        Page::new(report.clone()).write(folder)?;
    }
    report.all_warnings().iter().for_each(warn);
    common.print(&report, || text(&report))
}

fn program(
    args: &Args,
    board: &Board,
    compiled: &Compiled,
    shown: &Presentation,
) -> Result<Program, Failure> {
    let image = compiled.image()?;
    let parts = Parts {
        image: compiled.bytes(),
        arena: image.memory(0..image.cores).bytes() as u64,
        stack: build::stack_needed(&image),
        input: if args.stream { &[] } else { shown.script.bytes() },
        wanted: Wanted { trace: true, meter: true, stream: args.stream, cycles: args.cycles },
    };
    linked(board, parts)
}

/// The firmware with an image and an input, for a board.
fn linked(board: &Board, parts: Parts<'_>) -> Result<Program, Failure> {
    build::fits_ram(board, parts.arena, parts.stack)?;
    let source = Source::find()?;
    let toolchain = Toolchain::for_target(&board.target)?;
    let library = build::compile(&source, &toolchain, "synop-board", &board.target)?;
    build::link(&source, &toolchain, &library, board, parts)
}

fn report(
    compiled: &Compiled,
    inputs: &Inputs,
    shown: &Presentation,
    host: &Outcome,
    seed: u64,
) -> Result<Report, Failure> {
    let mut report = Report::new(seed);
    report.command = "firmware".into();
    report.profile = compiled.profile.clone();
    report.profile.extend(inputs.facts.clone());
    report.image = Some(crate::report::Image {
        sha256: compiled.sha256.clone(),
        initial_sha256: None,
        weight_bits: compiled.weight_bits,
    });
    let answers = shown.answers(compiled, host);
    let accuracy = inputs.labels.as_ref().filter(|_| !answers.is_empty()).map(|labels| {
        let right = answers.iter().zip(labels).filter(|(a, l)| **a == **l as usize).count();
        right as f64 / answers.len() as f64
    });
    report.task = Some(Task { samples: shown.ticks.len() as u64, accuracy, ..Task::default() });
    report.counts = Some(ledger::counts(&host.counters, shown.ticks.iter().sum::<usize>() as u64));
    if shown.cut > 0 {
        report.warnings.push(format!("{} input values lay beyond the image's range and were cut", shown.cut));
    }
    Ok(report)
}

/// The key `firmware` of the report.
#[derive(Debug, Default, Serialize)]
struct Facts {
    board: String,
    core: String,
    /// How much it proves: `run in QEMU`, or `built, not run on hardware`.
    label: &'static str,
    /// Whether all bits were equal; absent where it was not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    identical: Option<bool>,
    flash_bytes: u64,
    code_bytes: u64,
    image_bytes: u64,
    input_bytes: u64,
    ram_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<Instructions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

/// Instructions, in QEMU.
#[derive(Debug, Default, Serialize)]
struct Instructions {
    /// Everything in the ticks of a sample: rows, neurons, rules, upkeep; reading its input apart.
    per_inference: f64,
    /// Reading rows, counting included.
    per_synaptic_event: f64,
    /// Updating neurons and queueing spikes, per update that had input or changed the state.
    per_neuron_update: f64,
    rows: u64,
    neurons: u64,
    rules: u64,
    upkeep: u64,
    input: u64,
}

impl Instructions {
    fn of(spent: &Spent, host: &Outcome, samples: usize) -> Self {
        let per = |n: u64, of: u64| n as f64 / of.max(1) as f64;
        Self {
            per_inference: per(spent.rows + spent.neurons + spent.rules + spent.upkeep, samples as u64),
            per_synaptic_event: per(spent.rows, host.total(Count::StoredEvents)),
            per_neuron_update: per(spent.neurons, host.total(Count::Updates)),
            rows: spent.rows,
            neurons: spent.neurons,
            rules: spent.rules,
            upkeep: spent.upkeep,
            input: spent.outside,
        }
    }
}

fn sizes(board: &Board, program: &Program) -> Facts {
    let sizes = program.sizes;
    Facts {
        board: board.name.clone(),
        core: board.core.clone(),
        label: "built, not run on hardware",
        flash_bytes: sizes.flash,
        code_bytes: sizes.code,
        image_bytes: sizes.image,
        input_bytes: sizes.input,
        ram_bytes: sizes.ram,
        ..Facts::default()
    }
}

fn facts(
    board: &Board,
    program: &Program,
    said: &Said,
    host: &Outcome,
    samples: usize,
    identical: bool,
) -> Facts {
    Facts {
        label: "run in QEMU",
        identical: Some(identical),
        stack_bytes: said.stack,
        instructions: said.spent.map(|spent| Instructions::of(&spent, host, samples)),
        ..sizes(board, program)
    }
}

fn emit(form: &str, file: &Path, board: &Board, program: &Program) -> Result<Facts, Failure> {
    match form {
        "bin" => {
            let flat = elf::flat(&program.elf, board.flash.origin);
            files::write(file, flat.ok_or_else(|| Failure::work("the linker wrote no ELF file"))?)?;
        }
        _ => files::write(file, &program.elf)?,
    }
    Ok(Facts { file: Some(file.display().to_string()), ..sizes(board, program) })
}

fn list(boards: &[Board]) -> String {
    let mut out = format!(
        "{:<12} {:<12} {:>10} {:>10}  {:<29} {}\n",
        "board", "core", "flash", "RAM", "target", "run by"
    );
    for b in boards {
        let qemu = b
            .qemu
            .as_ref()
            .map_or("built, not run on hardware".into(), |q| format!("{} -M {}", q.program, q.machine));
        out.push_str(&format!(
            "{:<12} {:<12} {:>10} {:>10}  {:<29} {qemu}\n",
            b.name, b.core, b.flash.length, b.ram.length, b.target
        ));
    }
    out
}

fn text(report: &Report) -> String {
    let mut out = format!(
        "{:<12} {:<11} {:<9} {:>8} {:>8} {:>8} {:>8} {:>7} {:>12} {:>8} {:>8}\n",
        "board",
        "core",
        "bits",
        "flash",
        "code",
        "image",
        "RAM",
        "stack",
        "instr/sample",
        "/event",
        "/update"
    );
    let mut notes = String::new();
    for run in report.each_run() {
        let Some(f) = run.more.get("firmware") else { continue };
        let word = |key: &str| f[key].as_str().unwrap_or("").to_owned();
        let whole = |key: &str| f[key].as_u64().map_or_else(|| "-".into(), |v| v.to_string());
        let count = |key: &str, digits: usize| {
            f["instructions"][key].as_f64().map_or_else(|| "-".into(), |v| format!("{v:.digits$}"))
        };
        let bits = match f["identical"].as_bool() {
            Some(true) => "identical",
            Some(false) => "DIFFERENT",
            None => "not run",
        };
        out.push_str(&format!(
            "{:<12} {:<11} {bits:<9} {:>8} {:>8} {:>8} {:>8} {:>7} {:>12} {:>8} {:>8}\n",
            word("board"),
            word("core"),
            whole("flash_bytes"),
            whole("code_bytes"),
            whole("image_bytes"),
            whole("ram_bytes"),
            whole("stack_bytes"),
            count("per_inference", 0),
            count("per_synaptic_event", 1),
            count("per_neuron_update", 1),
        ));
        if let Some(file) = f["file"].as_str() {
            notes.push_str(&format!("{file}: {}\n", word("label")));
        }
    }
    let run = report.each_run().first();
    if let Some(task) = run.and_then(|r| r.task.as_ref()) {
        let accuracy = task.accuracy.map_or_else(String::new, |a| format!(", {:.1} % right", a * 100.0));
        out.push_str(&format!(
            "{} samples{accuracy}; instructions are counted in QEMU, they are not cycles\n",
            task.samples
        ));
    }
    out + &notes
}
