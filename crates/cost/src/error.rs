//! What can be wrong with a chip file or a request to price something.

/// Everything that can go wrong in this crate. Each text names the place, what was found and the mend.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CostError {
    /// The TOML text of a chip file does not parse or has an unknown key.
    #[error("chip file {file}: {detail}")]
    Syntax {
        /// Name of the file, or `<text>`.
        file: String,
        /// The parser's message with line and column.
        detail: String,
    },
    /// A value in a chip file is out of its range or inconsistent.
    #[error("chip file {file}, {place}: found {found}, expected {expected}")]
    Value {
        /// Name of the file.
        file: String,
        /// Dotted key in the file.
        place: String,
        /// What stands there.
        found: String,
        /// What may stand there.
        expected: String,
    },
    /// No shipped chip has this name.
    #[error(
        "no chip is called `{name}`{hint}; `synop chips` lists what ships, or give the path of a chip file"
    )]
    UnknownChip {
        /// The name that was asked for.
        name: String,
        /// A reason or a near name, with its own leading punctuation; may be empty.
        hint: String,
    },
    /// A chip file could not be read.
    #[error("cannot read chip file {path}: {detail}")]
    Io {
        /// The path.
        path: String,
        /// The operating system's message.
        detail: String,
    },
    /// A core, tile or route outside the mesh.
    #[error("{what} {index} does not exist: the chip has {count}")]
    OutOfRange {
        /// `core`, `tile`.
        what: &'static str,
        /// The index that was asked for.
        index: u64,
        /// How many there are.
        count: u64,
    },
    /// A message stream that a latency model cannot take.
    #[error("message {index}: {detail}")]
    Message {
        /// Position in the stream.
        index: usize,
        /// What is wrong with it.
        detail: String,
    },
}
