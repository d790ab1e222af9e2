//! An image on a board: built, run in QEMU, and compared with the host bit for bit.
//!
//! ```text
//!   image ─┐
//!   input ─┼─► Script (frames) ─┬─► replay ──► Outcome ─┐
//!          │                    │    host               ├─► first difference, or none
//!          └─► link ──► ELF ────┴─► emulate ─► Outcome ─┘
//!               build, elf           run
//! ```
//!
//! The firmware itself is the workspace in `firmware/`: a static library per target, to which `rust-lld` puts the
//! image, the input and the memory of a board. A new image therefore needs no compiler.

pub mod board;
pub mod build;
pub mod elf;
pub mod emit;
pub mod outcome;
pub mod present;
pub mod run;
pub mod script;

pub use board::Board;
pub use outcome::Outcome;
pub use script::Script;
