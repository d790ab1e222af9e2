//! An image as source, for firmware of one's own: Rust statics, or C arrays with a header and a library; each with
//! a self-test that says whether a processor comes to the host's bits.

use super::board::Board;
use super::build::{self, Source, Toolchain};
use super::script::Script;
use crate::pipeline::Compiled;
use crate::simd::Native;
use crate::{Failure, files};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use synop_core::image::{Kind, Piece};
use synop_core::session::{digest, replay};
use synop_core::{Draws, Image, Machine, Threefry};

/// The C interface.
const HEADER: &str = include_str!("../../../firmware/c/synop.h");
/// Samples and ticks of a self-test.
const SAMPLES: usize = 2;
const TICKS: u32 = 8;

/// Frames, and what a machine's digest is after them.
struct SelfTest {
    frames: Script,
    digest: u32,
}

impl SelfTest {
    /// Events drawn at random into all inputs, a third of the neurons in every tick.
    fn of(image: Image<'_>) -> Result<Self, Failure> {
        let mut draws = Threefry::new(0x5e1f);
        let mut frames = Script::new(&image);
        let pieces: Vec<Piece> = (0..image.pieces).filter_map(|p| image.piece(p)).collect();
        for sample in 0..SAMPLES {
            frames.rest();
            for tick in 0..TICKS {
                for (number, piece) in (0u16..).zip(&pieces).filter(|(_, p)| p.kind == Kind::Input) {
                    let time = (sample as u64) << 32 | u64::from(tick);
                    let drawn = (0..piece.count).map(|i| (i, draws.draw(number.into(), time, i)));
                    let chosen = drawn.filter(|(_, d)| d.is_multiple_of(3));
                    let events: Vec<_> =
                        chosen.map(|(i, d)| [i as i32, 1 + ((d >> 8) % piece.payload_max) as i32]).collect();
                    frames.events(number, &events);
                }
                frames.step(1);
            }
        }
        let frames = frames.end();
        let mut arena = vec![0; image.memory(0..image.cores).words()];
        let mut machine = Machine::new(image, &mut arena).map_err(Failure::work)?;
        let mut draws = Threefry::new(image.seed);
        let mut outcome = super::Outcome::default();
        replay(frames.frames(), &mut machine, &Native::default(), &mut draws, &mut outcome)
            .map_err(Failure::work)?;
        Ok(SelfTest { digest: digest(&machine), frames })
    }
}

/// A name as an identifier of both languages, from the name of a file.
fn identifier(path: &Path) -> String {
    let stem = path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    let mut name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert_str(0, "net_");
    }
    name
}

/// Bytes as the elements of an array, some in a line.
fn array(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 4 + bytes.len() / 24 * 5);
    for line in bytes.chunks(24) {
        out.push_str("    ");
        for byte in line {
            let _ = write!(out, "{byte},");
        }
        out.push('\n');
    }
    out
}

/// The pieces where most people put their input and read their output: the first input, the readout.
fn ends(compiled: &Compiled, image: &Image<'_>) -> Result<[(u32, u32); 2], Failure> {
    let find = |wanted: &dyn Fn(&Piece) -> bool| {
        let mut pieces = (0..image.pieces).filter_map(|p| Some((p, image.piece(p)?)));
        pieces.find(|(_, piece)| wanted(piece)).map(|(p, piece)| (p, piece.count))
    };
    let input = find(&|p| p.kind == Kind::Input);
    let output = find(&|p| p.population as usize == compiled.readout);
    match (input, output) {
        (Some(input), Some(output)) => Ok([input, output]),
        _ => {
            Err(Failure::bad_input("the image has no input or no output").mend("add an Input to the network"))
        }
    }
}

/// Every piece with a name that is an identifier: that of its population, numbered where the population is split.
fn pieces(compiled: &Compiled, image: &Image<'_>) -> Vec<(String, u32, Piece)> {
    let names = compiled.names();
    let all: Vec<_> = (0..image.pieces).filter_map(|p| Some((p, image.piece(p)?))).collect();
    let named = all.iter().map(|&(p, piece)| {
        let siblings: Vec<u32> =
            all.iter().filter(|(_, other)| other.population == piece.population).map(|(q, _)| *q).collect();
        let name = names.get(piece.population as usize).copied().unwrap_or("");
        let letters =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
        let part = siblings.iter().position(|q| *q == p).filter(|_| siblings.len() > 1);
        (letters.collect::<String>() + &part.map_or_else(String::new, |k| format!("_{k}")), p, piece)
    });
    let mut named: Vec<_> = named.collect();
    // Names that differ in other letters only are told apart by the number.
    let plain: Vec<String> = named.iter().map(|n| n.0.clone()).collect();
    for (name, p, _) in &mut named {
        if plain.iter().filter(|other| *other == name).count() > 1 {
            name.push_str(&format!("_{p}"));
        }
    }
    named
}

/// Writes `NAME.c`, `NAME.h` and `synop.h`, and for a board the library `libsynop.a`. Returns the files.
///
/// # Errors
/// Bad input: the image has no input, the board is unknown or its compiler missing. The work failed: a file cannot
/// be written.
pub fn c(path: &Path, compiled: &Compiled, board: Option<&str>) -> Result<Vec<PathBuf>, Failure> {
    let image = compiled.image()?;
    let test = SelfTest::of(image)?;
    let [(input, inputs), (output, outputs)] = ends(compiled, &image)?;
    let (name, header) = (identifier(path), path.with_extension("h"));
    let upper = name.to_ascii_uppercase();
    let (bytes, frames) = (image.bytes().len(), test.frames.bytes().len());
    let mut all = String::new();
    for (piece, number, record) in pieces(compiled, &image) {
        let _ = writeln!(
            all,
            "#define {upper}_PIECE_{piece} {number}u /* {}, {} neurons from {} on */",
            if record.kind == Kind::Input { "input" } else { "neurons" },
            record.count,
            record.population_first
        );
    }
    let h = format!(
        "/* Written by synop compile: image {sha}. */\n#ifndef {upper}_H\n#define {upper}_H\n\n#include \"synop.h\"\n\n\
         #define {upper}_IMAGE_BYTES {bytes}u\n#define {upper}_MEMORY_WORDS {words}u\n\
         #define {upper}_INPUT_PIECE {input}u\n#define {upper}_INPUTS {inputs}\n\
         #define {upper}_OUTPUT_PIECE {output}u\n#define {upper}_OUTPUTS {outputs}\n\n\
         /* All pieces, by the name of their population. */\n{all}\n\
         #define {upper}_SELFTEST_BYTES {frames}u\n#define {upper}_SELFTEST_DIGEST {digest:#010x}u\n\n\
         extern const uint8_t {name}_image[{upper}_IMAGE_BYTES];\n\
         extern const uint8_t {name}_selftest[{upper}_SELFTEST_BYTES];\n\n#endif\n",
        sha = compiled.sha256,
        words = image.memory(0..image.cores).words(),
        digest = test.digest,
    );
    let include = header.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let c = format!(
        "/* Written by synop compile. */\n#include \"{include}\"\n\n\
         #if defined(__GNUC__)\n#define SYNOP_ALIGN __attribute__((aligned(64)))\n#else\n\
         #define SYNOP_ALIGN _Alignas(64)\n#endif\n\n\
         SYNOP_ALIGN const uint8_t {name}_image[{upper}_IMAGE_BYTES] = {{\n{}}};\n\n\
         const uint8_t {name}_selftest[{upper}_SELFTEST_BYTES] = {{\n{}}};\n",
        array(image.bytes()),
        array(test.frames.bytes()),
    );
    let api = path.with_file_name("synop.h");
    let mut written = vec![path.to_path_buf(), header.clone(), api.clone()];
    files::write(path, c)?;
    files::write(&header, h)?;
    files::write(&api, HEADER)?;
    if let Some(board) = board {
        let board = Board::named(board)?;
        let toolchain = Toolchain::for_target(&board.target)?;
        let library = build::compile(&Source::find()?, &toolchain, "synop-c", &board.target)?;
        let to = path.with_file_name("libsynop.a");
        files::write(&to, files::read(&library)?)?;
        written.push(to);
    }
    Ok(written)
}

/// Writes a Rust module with the image and its self-test, for a crate that uses `synop-core`. Returns the file.
///
/// # Errors
/// The work failed: the file cannot be written.
pub fn rust(path: &Path, compiled: &Compiled) -> Result<Vec<PathBuf>, Failure> {
    let image = compiled.image()?;
    let test = SelfTest::of(image)?;
    let mut all = String::new();
    for (name, number, record) in pieces(compiled, &image) {
        let input = record.kind == Kind::Input;
        let _ = writeln!(
            all,
            "    ({name:?}, {number}, {}, {}, {input}),",
            record.population_first, record.count
        );
    }
    let text = format!(
        "//! Written by synop compile: image {sha}.\n//!\n\
         //! ```ignore\n\
         //! let image = Image::check(&IMAGE.0)?;\n\
         //! let mut arena = [0u64; ARENA_WORDS];\n\
         //! let mut machine = Machine::new(image, &mut arena)?;\n\
         //! // The same bits as on the host?\n\
         //! replay(Frames::new(&SELF_TEST), &mut machine, &Scalar, &mut Threefry::new(image.seed), &mut outlet)?;\n\
         //! assert_eq!(digest(&machine), SELF_TEST_DIGEST);\n\
         //! ```\n\n\
         /// Bytes where an image may stand.\n#[repr(C, align(64))]\npub struct Aligned<const N: usize>(pub [u8; N]);\n\n\
         /// All pieces: population, number, first neuron in the population, neurons, whether it is an input.\n\
         pub const PIECES: &[(&str, u32, u32, u32, bool)] = &[\n{all}];\n\n\
         /// Words of 8 bytes that a machine needs.\npub const ARENA_WORDS: usize = {words};\n\n\
         /// The image.\npub static IMAGE: Aligned<{bytes}> = Aligned([\n{}]);\n\n\
         /// Frames of the self-test.\npub static SELF_TEST: [u8; {frames}] = [\n{}];\n\n\
         /// What `synop_core::session::digest` is after them.\npub const SELF_TEST_DIGEST: u32 = {digest:#010x};\n",
        array(image.bytes()),
        array(test.frames.bytes()),
        sha = compiled.sha256,
        words = image.memory(0..image.cores).words(),
        bytes = image.bytes().len(),
        frames = test.frames.bytes().len(),
        digest = test.digest,
    );
    files::write(path, text)?;
    Ok(vec![path.to_path_buf()])
}
