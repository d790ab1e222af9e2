//! `synop chips`: the chips that ship, with prices, sources and limits, and those that do not.

use serde::Serialize;
use synop_cost::{Chip, Entry, NotShipped, Price, StaticScope, shipped};

use crate::Failure;
use crate::cli::Common;
use crate::table::Table;

/// List the chips that ship, or show one with every price and its source
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  synop chips
  synop chips show loihi1-published
  synop chips show my-chip.toml --json"
)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show a chip: limits, prices with bounds and sources, latencies, static power
    #[command(after_help = "\
Examples:
  synop chips show truenorth
  synop chips show path/to/chip.toml")]
    Show {
        /// A shipped chip or the path of a chip file
        name: String,
        /// Print the file itself, as a start for one of your own
        #[arg(long)]
        toml: bool,
    },
}

#[derive(Serialize)]
struct Listed {
    name: String,
    title: String,
    technology: String,
    accounting: synop_cost::Accounting,
    cores: u32,
    static_power: StaticScope,
    priced: usize,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Listing {
    chips: Vec<Listed>,
    not_shipped: Vec<NotShipped>,
}

/// Prints the list, or one chip.
///
/// # Errors
/// Bad input: the chip is unknown or its file is wrong.
pub fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    match &args.action {
        None => {
            let listing = listing()?;
            common.print(&listing, || list_text(&listing))
        }
        Some(Action::Show { name, toml }) => {
            if *toml && !common.json {
                load(name)?;
                return crate::cli::print_text(&source_text(name)?);
            }
            show(name, common)
        }
    }
}

/// Shows a chip by name or path.
///
/// # Errors
/// Bad input: there is no such chip, or its file is wrong.
pub fn show(name: &str, common: &Common) -> Result<(), Failure> {
    let chip = load(name)?;
    common.print(&chip, || chip_text(&chip))
}

/// A chip by name or path, with an error that fits the command line.
///
/// # Errors
/// Bad input: there is no such chip, or its file is wrong.
pub fn load(name: &str) -> Result<Chip, Failure> {
    shipped::load(name).map_err(|error| Failure::bad_input(error).place("chip").found(name))
}

/// Loads a chip, with the text that reports give: its name, and the short name that was typed.
///
/// # Errors
/// As [`load`].
pub fn resolve(name: &str) -> Result<(Chip, String), Failure> {
    let chip = load(name)?;
    let called = match shipped::alias(name) {
        Some(file) => format!("{file} (`{name}` is short for it)"),
        None => chip.name.clone(),
    };
    Ok((chip, called))
}

fn source_text(name: &str) -> Result<String, Failure> {
    match shipped::text(name) {
        Some(text) => Ok(text.to_string()),
        None => std::fs::read_to_string(name).map_err(|error| Failure::cannot_read(name, &error)),
    }
}

fn listing() -> Result<Listing, Failure> {
    let mut chips = Vec::new();
    for name in shipped::names() {
        let chip = load(name)?;
        chips.push(Listed {
            cores: chip.core_count(),
            static_power: chip.static_power.scope,
            priced: chip.prices.values().filter(|e| matches!(e, Entry::Price(_))).count(),
            name: chip.name,
            title: chip.title,
            technology: chip.technology,
            accounting: chip.accounting,
            warnings: chip.warnings,
        });
    }
    let not_shipped = shipped::not_shipped().map_err(Failure::work)?;
    Ok(Listing { chips, not_shipped })
}

fn scope_name(scope: StaticScope) -> &'static str {
    match scope {
        StaticScope::Separate => "separate",
        StaticScope::Included => "in the events",
        StaticScope::Unpublished => "unpublished",
    }
}

fn list_text(listing: &Listing) -> String {
    let mut table =
        Table::new("Chips").text("name").text("chip").number("cores").number("prices").text("static power");
    for c in &listing.chips {
        table.push(vec![
            c.name.as_str().into(),
            c.title.as_str().into(),
            u64::from(c.cores).into(),
            (c.priced as u64).into(),
            scope_name(c.static_power).into(),
        ]);
    }
    let mut text = table.terminal();
    text.push_str("\nNot shipped, because no figure per event is published:\n");
    for n in &listing.not_shipped {
        text.push_str(&format!("  {} ({}): {}\n", n.name, n.title, n.reason));
    }
    text
}

fn price_text(p: &Price) -> (String, String) {
    (format!("{} {}", p.value, p.unit), format!("{}..{}", p.low, p.high))
}

fn chip_text(chip: &Chip) -> String {
    let m = chip.mesh;
    let mut text = format!(
        "{} — {}\n{}; {} x {} tiles of {} core(s); idle rule: {}; spikes for several cores: {}\n",
        chip.name,
        chip.title,
        chip.technology,
        m.width,
        m.height,
        m.cores_per_tile,
        format!("{:?}", chip.accounting).to_lowercase(),
        match chip.multicast {
            synop_cost::Multicast::UnicastCopies => "one packet each",
            synop_cost::Multicast::Tree => "one packet that branches",
            synop_cost::Multicast::BroadcastCore => "one packet per core, broadcast there",
        }
    );
    text.push_str(&limits_text(chip));
    text.push_str(&format!(
        "static power: {} ({})\n",
        scope_name(chip.static_power.scope),
        chip.static_power.note
    ));
    let mut prices = Table::new("Energy per event").text("class").text("price").text("bounds").text("known");
    let mut sources = String::from("\nSources\n");
    for (key, entry) in &chip.prices {
        match entry {
            Entry::Price(p) => {
                let (value, bounds) = price_text(p);
                prices.push(vec![key.as_str().into(), value.into(), bounds.into(), p.kind.name().into()]);
                sources.push_str(&format!("  {key}: {}\n", p.source));
            }
            Entry::IncludedIn { entry, source } => {
                prices.push(vec![key.as_str().into(), format!("in {entry}").into(), "".into(), "".into()]);
                sources.push_str(&format!("  {key}: in {entry}: {source}\n"));
            }
            Entry::Free { reason } => {
                prices.push(vec![key.as_str().into(), "none".into(), "".into(), "".into()]);
                sources.push_str(&format!("  {key}: none: {reason}\n"));
            }
        }
    }
    text.push('\n');
    text.push_str(&prices.terminal());
    if !chip.latencies.is_empty() {
        let mut times = Table::new("Time per event").text("class").text("time").text("bounds").text("known");
        for (key, p) in &chip.latencies {
            let (value, bounds) = price_text(p);
            times.push(vec![key.as_str().into(), value.into(), bounds.into(), p.kind.name().into()]);
        }
        text.push('\n');
        text.push_str(&times.terminal());
    }
    text.push_str(&sources);
    for w in &chip.warnings {
        text.push_str(&format!("note: {w}\n"));
    }
    text
}

fn limits_text(chip: &Chip) -> String {
    let limits = [
        ("neurons", chip.cores.neurons),
        ("synapses onto a neuron", chip.cores.fan_in),
        ("axons in", chip.cores.axons_in),
        ("axons out", chip.cores.axons_out),
        ("bits of synapse memory", chip.cores.synapse_bits),
    ];
    let stated: Vec<String> =
        limits.iter().filter_map(|(name, limit)| limit.map(|l| format!("{l} {name}"))).collect();
    let limits = if stated.is_empty() { "none stated".to_string() } else { stated.join(", ") };
    format!("limits of a core: {limits}; weights up to {} bits\n", chip.weights.bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_every_chip_and_the_reasons_for_the_missing_ones() {
        let text = list_text(&listing().unwrap());
        for name in shipped::names() {
            assert!(text.contains(name), "{name}\n{text}");
        }
        for name in ["loihi2", "akida", "dynap-se2"] {
            assert!(text.contains(name), "{name}");
        }
    }

    #[test]
    fn a_chip_shows_each_price_with_its_source() {
        for name in shipped::names() {
            let chip = load(name).unwrap();
            let text = chip_text(&chip);
            for (key, entry) in &chip.prices {
                assert!(text.contains(key.as_str()));
                if let Entry::Price(p) = entry {
                    assert!(text.contains(&p.source), "{name} {key}");
                }
            }
        }
    }

    #[test]
    fn an_unknown_chip_is_bad_input() {
        let failure = load("loihi2").unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.to_string().contains("per inference"), "{failure}");
    }
}
