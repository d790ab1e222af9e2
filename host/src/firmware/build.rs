//! From an image and an input to a program for a board.

use super::board::{Board, Region};
use super::elf;
use crate::{Failure, files};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::Command;
use synop_core::Image;
use synop_core::image::Store;

/// Bytes of static memory that the layout sets aside beside the arena.
const STATIC: u64 = 64;
/// Bytes of stack that must be free, at least, for an image: what the firmware was measured to use on the processor
/// that uses most, and a margin. Learning takes more, and crossbars most.
pub fn stack_needed(image: &Image<'_>) -> u64 {
    let crossbars = (0..image.ports).filter_map(|p| image.port(p)).any(|p| p.store == Store::Crossbar);
    match (crossbars, image.rule_count()) {
        (true, _) => 10_496,
        (false, 0) => 4608,
        (false, _) => 7680,
    }
}
/// Where the machinery of continuous integration puts a compiler for boards if rustup has none.
const FALLBACK: &str = "/opt/mcu-rust";

/// The firmware's source.
#[derive(Debug, Clone)]
pub struct Source(PathBuf);

impl Source {
    /// Looks for `firmware/`: at `$SYNOP_FIRMWARE`, in the current folder and those above it, where this binary
    /// was built, and in `share/synop/firmware` beside it.
    ///
    /// # Errors
    /// Bad use: it is in none of these; the error lists them.
    pub fn find() -> Result<Source, Failure> {
        let mut places = Vec::new();
        if let Some(folder) = std::env::var_os("SYNOP_FIRMWARE").filter(|f| !f.is_empty()) {
            places.push(PathBuf::from(folder));
        }
        if let Ok(here) = std::env::current_dir() {
            places.extend(here.ancestors().map(|above| above.join("firmware")));
        }
        places.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware"));
        if let Some(bin) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
            places.push(bin.join("../share/synop/firmware"));
        }
        for place in &places {
            if place.join("layout.x").is_file() && place.join("board/Cargo.toml").is_file() {
                return Ok(Source(place.clone()));
            }
        }
        let looked: Vec<_> = places.iter().map(|p| p.display().to_string()).collect();
        Err(Failure::bad_input("the firmware's source is not there")
            .place("SYNOP_FIRMWARE")
            .found(format_args!("no firmware/layout.x in {}", looked.join(", ")))
            .expected("the folder firmware/ of synop's repository")
            .mend("run in a checkout, or set SYNOP_FIRMWARE to its firmware/ folder"))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }
}

/// A compiler that knows a target.
#[derive(Debug, Clone)]
pub struct Toolchain {
    cargo: PathBuf,
    sysroot: PathBuf,
    /// What selects it, if it is not the default.
    selected: bool,
}

impl Toolchain {
    /// The active toolchain if it has the target, else the one that was set up for boards.
    ///
    /// # Errors
    /// Bad use: no compiler knows the target; the error says how to add it.
    pub fn for_target(target: &str) -> Result<Toolchain, Failure> {
        let active = Command::new("rustc").args(["--print", "sysroot"]).output().ok();
        let active = active.filter(|o| o.status.success());
        let active = active.map(|o| PathBuf::from(String::from_utf8_lossy(&o.stdout).trim()));
        if let Some(sysroot) = active.filter(|s| knows(s, target)) {
            return Ok(Toolchain { cargo: "cargo".into(), sysroot, selected: false });
        }
        let set_up = std::fs::read_dir(FALLBACK).into_iter().flatten().flatten().map(|e| e.path());
        let mut set_up: Vec<_> = set_up.filter(|p| knows(p, target)).collect();
        set_up.sort();
        if let Some(sysroot) = set_up.pop() {
            return Ok(Toolchain { cargo: sysroot.join("bin/cargo"), sysroot, selected: true });
        }
        Err(Failure::bad_input("the compiler does not know the board's processor")
            .found(format_args!("no target {target}"))
            .expected("a Rust toolchain with this target")
            .mend(format_args!("rustup target add {target}")))
    }

    /// The linker that comes with the compiler.
    ///
    /// # Errors
    /// Bad use: the toolchain has none.
    pub fn linker(&self) -> Result<PathBuf, Failure> {
        let hosts = std::fs::read_dir(self.sysroot.join("lib/rustlib")).into_iter().flatten().flatten();
        hosts.map(|h| h.path().join("bin/rust-lld")).find(|p| p.is_file()).ok_or_else(|| {
            Failure::bad_input("the linker rust-lld is not there")
                .found(self.sysroot.display())
                .expected("a toolchain as rustup installs it")
                .mend("install Rust with rustup")
        })
    }
}

fn knows(sysroot: &Path, target: &str) -> bool {
    let lib = sysroot.join("lib/rustlib").join(target).join("lib");
    let mut entries = std::fs::read_dir(lib).into_iter().flatten().flatten();
    entries.any(|e| e.file_name().to_string_lossy().starts_with("libcore-"))
}

/// A library of the firmware, compiled for a target.
///
/// # Errors
/// Bad use where the compiler is missing; else the work failed, with what the compiler said.
pub fn compile(
    source: &Source,
    toolchain: &Toolchain,
    package: &str,
    target: &str,
) -> Result<PathBuf, Failure> {
    let mut command = Command::new(&toolchain.cargo);
    command.current_dir(source.folder()).args([
        "build",
        "--release",
        "--quiet",
        "-p",
        package,
        "--target",
        target,
    ]);
    // What was meant for the host is not meant for the board; the library path would lead the compiler astray.
    for name in [
        "LD_LIBRARY_PATH",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_INCREMENTAL",
        "RUSTC",
    ] {
        command.env_remove(name);
    }
    if toolchain.selected {
        command.env("RUSTUP_TOOLCHAIN", &toolchain.sysroot);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let bin = std::iter::once(toolchain.sysroot.join("bin")).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(bin).unwrap_or(path.clone()));
    }
    let folder = target_folder(source);
    command.arg("--target-dir").arg(&folder);
    let output = command.output().map_err(|e| cannot_run("cargo", &e))?;
    if !output.status.success() {
        return Err(Failure::work("the firmware does not compile")
            .file(source.folder())
            .found(last_lines(&output.stderr, 20))
            .mend("use the firmware/ folder of the same version as this binary"));
    }
    Ok(folder.join(target).join("release").join(format!("lib{}.a", package.replace('-', "_"))))
}

/// Where the compiler may write: beside the source, or where it may not, in a folder for temporary files.
fn target_folder(source: &Source) -> PathBuf {
    let beside = source.folder().join("target");
    let probe = std::fs::create_dir_all(&beside).and_then(|()| tempfile::tempfile_in(&beside));
    if probe.is_ok() { beside } else { std::env::temp_dir().join("synop-firmware") }
}

fn cannot_run(program: &str, error: &std::io::Error) -> Failure {
    Failure::bad_input(format_args!("{program} cannot be started: {error}"))
        .expected(format_args!("{program} on the PATH"))
        .mend(format_args!("install {program}"))
}

/// The end of what a program said.
pub(crate) fn last_lines(bytes: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(most)..].join("\n            ")
}

/// What a program is to do, as the firmware's configuration bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Tell every spike.
    pub trace: bool,
    /// Count instructions in a second run.
    pub meter: bool,
    /// Take the input from a stream, not from flash.
    pub stream: bool,
    /// Count with the cycle counter of a real processor.
    pub cycles: bool,
}

impl Wanted {
    fn bits(self) -> u32 {
        u32::from(self.trace)
            | u32::from(self.meter) << 1
            | u32::from(self.stream) << 2
            | u32::from(self.cycles) << 3
    }
}

/// What a program takes, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// All of flash: code, image, input.
    pub flash: u64,
    /// Code and constants alone.
    pub code: u64,
    /// The image alone.
    pub image: u64,
    /// The input alone.
    pub input: u64,
    /// Static RAM: the machine's arena and variables.
    pub ram: u64,
    /// What is left for the stack.
    pub stack: u64,
}

/// A linked program.
#[derive(Debug, Clone)]
pub struct Program {
    /// The ELF file.
    pub elf: Vec<u8>,
    /// What it takes.
    pub sizes: Sizes,
}

/// Whether the state of a machine fits a board, with room for the stack.
///
/// # Errors
/// Bad input: it does not, with the numbers.
pub fn fits_ram(board: &Board, arena: u64, stack: u64) -> Result<(), Failure> {
    let need = arena + STATIC + stack;
    if need <= board.ram.length {
        return Ok(());
    }
    Err(does_not_fit(board, "RAM", need, board.ram.length).found(format_args!(
        "{need} bytes of RAM: {arena} of state and learnt weights, {STATIC} static, {stack} of stack"
    )))
}

/// Links the library with an image and an input for a board.
///
/// # Errors
/// Bad input: it does not fit, with the numbers; or the linker is missing.
pub fn link(
    source: &Source,
    toolchain: &Toolchain,
    library: &Path,
    board: &Board,
    parts: Parts<'_>,
) -> Result<Program, Failure> {
    let Region { length: ram, .. } = board.ram;
    fits_ram(board, parts.arena, parts.stack)?;
    let folder = tempfile::tempdir().map_err(|e| Failure::cannot_write(std::env::temp_dir(), &e))?;
    // The linker gets more flash than there is, so that the answer is a number rather than its complaint.
    let generous = Board { flash: Region { length: 0x1000_0000, ..board.flash }, ..board.clone() };
    files::write(&folder.path().join("memory.x"), generous.memory_x())?;
    files::write(&folder.path().join("synop-image.bin"), parts.image)?;
    files::write(&folder.path().join("synop-input.bin"), parts.input)?;
    let mut command = Command::new(toolchain.linker()?);
    command.current_dir(folder.path()).args([
        "-flavor",
        "gnu",
        "-L",
        ".",
        "--gc-sections",
        "--no-check-sections",
    ]);
    command.arg("-T").arg(absolute(&source.folder().join("layout.x")));
    for (name, value) in
        [("arena_size", parts.arena), ("static_size", STATIC), ("synop_config", parts.wanted.bits().into())]
    {
        command.arg(format!("--defsym=__{name}={value}"));
    }
    command.arg(absolute(library));
    command.args([
        "--format=binary",
        "synop-image.bin",
        "synop-input.bin",
        "--format=default",
        "-o",
        "synop.elf",
    ]);
    let output = command.output().map_err(|e| cannot_run("rust-lld", &e))?;
    if !output.status.success() {
        return Err(Failure::work("the firmware cannot be linked").found(last_lines(&output.stderr, 20)));
    }
    let elf = files::read(&folder.path().join("synop.elf"))?;
    let sizes = sizes(&elf, ram).ok_or_else(|| Failure::work("the linker wrote no ELF file"))?;
    if sizes.flash > board.flash.length {
        return Err(does_not_fit(board, "flash", sizes.flash, board.flash.length).found(format_args!(
            "{} bytes of flash: {} of code, {} of image, {} of input",
            sizes.flash, sizes.code, sizes.image, sizes.input
        )));
    }
    Ok(Program { elf, sizes })
}

/// What is linked to the library.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'p> {
    /// The image.
    pub image: &'p [u8],
    /// Bytes of memory that the machine needs.
    pub arena: u64,
    /// Bytes of stack that must be left, see [`stack_needed`].
    pub stack: u64,
    /// The input in flash.
    pub input: &'p [u8],
    /// What to do with them.
    pub wanted: Wanted,
}

fn does_not_fit(board: &Board, what: &str, need: u64, there: u64) -> Failure {
    Failure::bad_input(format_args!("the image does not fit {}: {need} bytes of {what} needed", board.name))
        .expected(format_args!("at most {there} bytes of {what}"))
        .mend(match what {
            "RAM" => "use fewer neurons, delays or plastic weights, or another board (synop firmware --list-boards)",
            _ => "use narrower weights or fewer samples, or another board (synop firmware --list-boards)",
        })
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

fn sizes(elf: &[u8], ram: u64) -> Option<Sizes> {
    let mut sizes = Sizes::default();
    for section in elf::sections(elf)? {
        match section.name.as_str() {
            ".image" => sizes.image = section.size,
            ".input" => sizes.input = section.size,
            ".bss" | ".arena" => sizes.ram += section.size,
            ".data" => {
                sizes.ram += section.size;
                sizes.code += section.size;
            }
            _ if section.content.is_some() => sizes.code += section.size,
            _ => {}
        }
    }
    sizes.flash = sizes.code + sizes.image + sizes.input;
    sizes.stack = ram.saturating_sub(sizes.ram);
    Some(sizes)
}
