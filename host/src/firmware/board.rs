//! The boards: processor, memory, and how QEMU plays them.

use crate::Failure;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A stretch of memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// First address.
    pub origin: u64,
    /// Length.
    pub length: u64,
}

/// How QEMU plays a board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qemu {
    /// The program.
    pub program: String,
    /// Name of the machine.
    pub machine: String,
    /// Further arguments.
    #[serde(default)]
    pub arguments: Vec<String>,
}

/// A board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its processor.
    pub core: String,
    /// The compiler's name of the processor.
    pub target: String,
    /// What keeps code, image and input.
    pub flash: Region,
    /// What keeps state and stack.
    pub ram: Region,
    /// Absent: no emulator plays it.
    pub qemu: Option<Qemu>,
}

/// What ships, by name.
const BOARDS: [(&str, &str); 8] = [
    ("microbit", include_str!("../../../firmware/boards/microbit.toml")),
    ("mps2-an385", include_str!("../../../firmware/boards/mps2-an385.toml")),
    ("mps2-an386", include_str!("../../../firmware/boards/mps2-an386.toml")),
    ("mps2-an500", include_str!("../../../firmware/boards/mps2-an500.toml")),
    ("mps2-an505", include_str!("../../../firmware/boards/mps2-an505.toml")),
    ("sifive_e", include_str!("../../../firmware/boards/sifive_e.toml")),
    ("virt", include_str!("../../../firmware/boards/virt.toml")),
    ("nrf52840", include_str!("../../../firmware/boards/nrf52840.toml")),
];

impl Board {
    /// All boards that ship.
    pub fn all() -> Vec<Board> {
        BOARDS.iter().filter_map(|(name, _)| Board::named(name).ok()).collect()
    }

    /// The boards that QEMU plays.
    pub fn emulated() -> Vec<Board> {
        Board::all().into_iter().filter(|b| b.qemu.is_some()).collect()
    }

    /// The board of that name.
    ///
    /// # Errors
    /// Bad use: there is none.
    pub fn named(name: &str) -> Result<Board, Failure> {
        let Some((_, text)) = BOARDS.iter().find(|(n, _)| *n == name) else {
            let names: Vec<_> = BOARDS.iter().map(|(n, _)| *n).collect();
            return Err(Failure::bad_input("no such board")
                .place("--board")
                .found(name)
                .expected(names.join(", "))
                .mend("choose one of these, or give the memory of your own with --memory memory.x"));
        };
        let board: Board = toml::from_str(text)
            .map_err(|e| Failure::work(format_args!("the board's description is damaged: {e}")))?;
        Ok(Board { name: name.to_owned(), ..board })
    }

    /// The same processor with the memory that a linker script's `MEMORY` command describes.
    ///
    /// # Errors
    /// Bad input: the file has no regions FLASH and RAM that can be understood.
    pub fn with_memory(mut self, path: &Path) -> Result<Board, Failure> {
        let text = crate::files::read_text(path)?;
        let region = |name: &str| {
            memory_region(&text, name).ok_or_else(|| {
                Failure::bad_input("no such region of memory")
                    .file(path)
                    .place(name)
                    .expected(format_args!(
                        "a line `{name} : ORIGIN = 0x20000000, LENGTH = 64K` in MEMORY {{ }}"
                    ))
                    .mend("write both FLASH and RAM, with numbers")
            })
        };
        (self.flash, self.ram) = (region("FLASH")?, region("RAM")?);
        self.name = path.file_name().map_or_else(|| "memory.x".into(), |n| n.to_string_lossy().into_owned());
        self.qemu = None;
        Ok(self)
    }

    /// The `MEMORY` command for the linker.
    pub fn memory_x(&self) -> String {
        let Board { flash, ram, .. } = self;
        format!(
            "MEMORY\n{{\n    FLASH (rx) : ORIGIN = {:#x}, LENGTH = {:#x}\n    RAM (rwx) : ORIGIN = {:#x}, LENGTH = {:#x}\n}}\n",
            flash.origin, flash.length, ram.origin, ram.length
        )
    }
}

/// Finds `NAME (attributes) : ORIGIN = number, LENGTH = number` in a linker script.
fn memory_region(text: &str, name: &str) -> Option<Region> {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("/*") {
        clean.push_str(&rest[..start]);
        rest = rest[start..].find("*/").map_or("", |end| &rest[start + end + 2..]);
    }
    clean.push_str(rest);
    let place = clean.match_indices(name).map(|(at, _)| at).find(|at| {
        let before = clean[..*at].chars().next_back();
        let after = clean[at + name.len()..].chars().next();
        let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !inside(before) && !inside(after)
    })?;
    let after = clean[place + name.len()..].split_once(':')?.1;
    let field = |long: &str| {
        let at = after.find(long)?;
        let value = after[at + long.len()..].trim_start().strip_prefix('=')?.trim_start();
        let end = value.find(|c: char| !c.is_alphanumeric()).unwrap_or(value.len());
        number(&value[..end])
    };
    Some(Region { origin: field("ORIGIN")?, length: field("LENGTH")? })
}

/// A number of a linker script: decimal or hexadecimal, with K or M for 1024 or 1024².
fn number(text: &str) -> Option<u64> {
    let (digits, unit) = match text.chars().next_back()? {
        'K' | 'k' => (&text[..text.len() - 1], 1024),
        'M' | 'm' => (&text[..text.len() - 1], 1024 * 1024),
        _ => (text, 1),
    };
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    value.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_board_reads_and_its_memory_is_written_and_read_again() {
        assert_eq!(Board::all().len(), BOARDS.len());
        for board in Board::all() {
            let text = board.memory_x();
            assert_eq!(memory_region(&text, "FLASH"), Some(board.flash), "{}", board.name);
            assert_eq!(memory_region(&text, "RAM"), Some(board.ram), "{}", board.name);
        }
        assert_eq!(Board::named("arduino").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_memory_x_as_people_write_it_is_understood() {
        let text = "/* FLASH : ORIGIN = 1 */\nMEMORY {\n BOOT : ORIGIN = 0, LENGTH = 4K\n\
                    FLASH : ORIGIN = 0x00001000, LENGTH = 1M\n RAM (xrw):ORIGIN=0x20000000,LENGTH=256k }";
        assert_eq!(memory_region(text, "FLASH"), Some(Region { origin: 0x1000, length: 1 << 20 }));
        assert_eq!(memory_region(text, "RAM"), Some(Region { origin: 0x2000_0000, length: 1 << 18 }));
        assert_eq!(memory_region(text, "CCM"), None);
    }
}
