//! The chips that come with the crate, and those that do not, with the reason.

use crate::chip::Chip;
use crate::error::CostError;
use serde::{Deserialize, Serialize};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../chips/", $name, ".toml")))),*]
    };
}

/// (name, text) of every shipped chip file, in the order of `synop chips`.
pub const FILES: &[(&str, &str)] = files![
    "loihi1-published",
    "loihi1-fitted",
    "digital45-sram",
    "digital45-dram",
    "truenorth",
    "spinnaker1",
    "spinnaker2",
    "odin",
    "reckon",
    "dynap-se",
    "tianjic",
    "crossbar-reram",
    "crossbar-pcm",
    "cortex-m0",
    "cortex-m4",
    "cortex-m33",
    "rv32",
];

const NOT_SHIPPED: &str = include_str!("../chips/not-shipped.toml");

/// A chip that people ask for and that has no file, because its numbers would look measured where nothing was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotShipped {
    /// Short name.
    pub name: String,
    /// Full name.
    pub title: String,
    /// Why there is no file.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NotShippedFile {
    chip: Vec<NotShipped>,
}

/// Names of the shipped chips.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// Short names, and the file that each stands for.
pub const ALIASES: &[(&str, &str)] = &[("loihi1", "loihi1-published")];

/// The file that a short name stands for.
pub fn alias(name: &str) -> Option<&'static str> {
    ALIASES.iter().find(|(short, _)| *short == name).map(|(_, file)| *file)
}

/// The text of a shipped chip file.
pub fn text(name: &str) -> Option<&'static str> {
    let name = alias(name).unwrap_or(name);
    FILES.iter().find(|(n, _)| *n == name).map(|(_, t)| *t)
}

/// A shipped chip by name or short name. The error for an unknown one gives the reason if it is known to be missing.
pub fn chip(name: &str) -> Result<Chip, CostError> {
    if let Some(text) = text(name) {
        return Chip::from_toml(text, &format!("{name} (shipped)"));
    }
    let hint = match not_shipped()?.into_iter().find(|n| n.name == name) {
        Some(n) => format!(": {}", n.reason),
        None => match names().find(|n| n.starts_with(name) || name.starts_with(*n)) {
            Some(near) => format!(" (did you mean `{near}`?)"),
            None => String::new(),
        },
    };
    Err(CostError::UnknownChip { name: name.into(), hint })
}

/// A shipped chip by name, or a chip file by path (anything that ends in `.toml` or has a separator).
pub fn load(name_or_path: &str) -> Result<Chip, CostError> {
    if name_or_path.ends_with(".toml") || name_or_path.contains('/') {
        Chip::from_file(std::path::Path::new(name_or_path))
    } else {
        chip(name_or_path)
    }
}

/// Chips that deliberately do not ship.
pub fn not_shipped() -> Result<Vec<NotShipped>, CostError> {
    toml::from_str::<NotShippedFile>(NOT_SHIPPED)
        .map(|f| f.chip)
        .map_err(|e| CostError::Syntax { file: "not-shipped".into(), detail: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, Entry};

    #[test]
    fn every_shipped_chip_is_valid_and_named_like_its_file() {
        for name in names() {
            let chip = chip(name).unwrap();
            assert_eq!(chip.name, name);
            for (key, e) in &chip.prices {
                if let Entry::Price(p) = e {
                    assert!(p.source.len() > 8, "{name} {key}: {}", p.source);
                }
            }
        }
    }

    #[test]
    fn every_shipped_chip_survives_being_written_and_read() {
        for name in names() {
            let chip = chip(name).unwrap();
            let text = chip.to_toml().unwrap();
            assert_eq!(Chip::from_toml(&text, name).unwrap(), chip, "{name}");
        }
    }

    #[test]
    fn what_is_not_measured_does_not_ship() {
        for n in ["loihi2", "akida", "dynap-se2"] {
            let text = chip(n).unwrap_err().to_string();
            assert!(text.contains("no"), "{text}");
            assert!(text.len() > 60, "{text}");
        }
    }

    #[test]
    fn loihi_published_has_the_figures_of_the_2018_table() {
        let c = chip("loihi1-published").unwrap();
        assert_eq!(c.energy_j(Class::SynEvent, None).unwrap().nominal, 23.6e-12);
        let access = c.energy_j(Class::SomaAccess, None).unwrap().nominal;
        let update = c.energy_j(Class::SomaUpdate, None).unwrap().nominal;
        assert!((access + update - 81e-12).abs() < 1e-18);
        assert_eq!(c.core_count(), 128);
    }

    #[test]
    fn an_unknown_key_is_named_with_those_that_exist() {
        let text = text("odin").unwrap().replace("technology", "tecnology");
        let e = Chip::from_toml(&text, "mine.toml").unwrap_err().to_string();
        assert!(e.contains("mine.toml") && e.contains("tecnology") && e.contains("technology"), "{e}");
        let text = super::text("odin").unwrap().replace("[price.syn_event]", "[price.synevent]");
        let e = Chip::from_toml(&text, "mine.toml").unwrap_err().to_string();
        assert!(e.contains("synevent") && e.contains("syn_event"), "{e}");
    }
}
