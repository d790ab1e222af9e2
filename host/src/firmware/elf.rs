//! As much of an ELF file as sizes and a flat binary need.

/// A section that takes memory on the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Address.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// Its content in the file, or `None` where memory is only set aside.
    pub content: Option<std::ops::Range<usize>>,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_le_bytes(*b).into())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b).into())
}

/// The sections of a 32-bit little-endian ELF file that are loaded or set aside; `None` for anything else.
pub fn sections(bytes: &[u8]) -> Option<Vec<Section>> {
    if bytes.get(..6)? != b"\x7fELF\x01\x01" {
        return None;
    }
    let (table, size) = (u32_at(bytes, 0x20)? as usize, u16_at(bytes, 0x2e)? as usize);
    let (count, names) = (u16_at(bytes, 0x30)? as usize, u16_at(bytes, 0x32)? as usize);
    let field = |section: usize, at: usize| u32_at(bytes, table + section * size + at);
    let names = field(names, 0x10)? as usize;
    let mut found = Vec::new();
    for i in 0..count {
        const NOBITS: u64 = 8;
        const ALLOCATED: u64 = 2;
        if field(i, 8)? & ALLOCATED == 0 {
            continue;
        }
        let name = bytes.get(names + field(i, 0)? as usize..)?;
        let name = name.split(|b| *b == 0).next()?;
        let (offset, len) = (field(i, 0x10)? as usize, field(i, 0x14)?);
        found.push(Section {
            name: String::from_utf8_lossy(name).into_owned(),
            address: field(i, 0x0c)?,
            size: len,
            content: (field(i, 4)? != NOBITS).then(|| offset..offset + len as usize),
        });
    }
    Some(found)
}

/// What stands in flash, from its first address on, as a programmer writes it; gaps are 0xff.
pub fn flat(bytes: &[u8], origin: u64) -> Option<Vec<u8>> {
    let (table, size) = (u32_at(bytes, 0x1c)? as usize, u16_at(bytes, 0x2a)? as usize);
    let mut flat = Vec::new();
    for i in 0..u16_at(bytes, 0x2c)? as usize {
        let field = |at: usize| u32_at(bytes, table + i * size + at);
        let (kind, offset, physical, len) =
            (field(0)?, field(4)? as usize, field(0x0c)?, field(0x10)? as usize);
        if kind != 1 || len == 0 {
            continue;
        }
        // A segment may begin with the file's own header, before the first address of flash.
        let before = usize::try_from(origin.saturating_sub(physical)).unwrap_or(usize::MAX).min(len);
        let at = (physical + before as u64).saturating_sub(origin) as usize;
        let content = bytes.get(offset + before..offset + len)?;
        if flat.len() < at + content.len() {
            flat.resize(at + content.len(), 0xff);
        }
        flat.get_mut(at..at + content.len())?.copy_from_slice(content);
    }
    Some(flat)
}
