//! `synop devices`: memristive devices that ship, and what one of them does under pulses and over time.

use std::path::Path;

use serde::Serialize;
use synop_core::device::{self, Direction, Purpose};
use synop_core::draw::Threefry;
use synop_device::{Compiled, Preset, Resolution, compile, presets};

use crate::cli::Common;
use crate::plot::{Plot, Xy};
use crate::table::Table;
use crate::{Failure, files};

/// List the memristive devices that ship, or show one with its curves, sources and energies
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  synop devices
  synop devices show reram-es
  synop devices show my-device.toml --json"
)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show a device: its law, its curve under pulses, its spread, drift and energies
    #[command(after_help = "\
Examples:
  synop devices show pcm
  synop devices show reram-sb --pulses 1000 --out ./reram-sb
  synop devices show reram-es --toml > my-device.toml")]
    Show {
        /// A shipped device or the path of a device file
        name: String,
        /// Pulses up, and then as many down [default: enough to cross the range, at most 2000]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        pulses: Option<u32>,
        /// Bits of a state
        #[arg(long, value_name = "B", default_value_t = 24, value_parser = clap::value_parser!(u32).range(8..=24))]
        bits: u32,
        /// Print the file itself, as a start for one of your own
        #[arg(long)]
        toml: bool,
    },
}

/// Devices of a class that the noisy curve averages over.
const SAMPLE: u32 = 64;

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    title: String,
    law: &'static str,
    pair: synop_device::preset::Pair,
    pulses_across: Option<u32>,
    cycle_noise: f64,
    drift: bool,
    electrical: String,
}

/// A device and what it does.
#[derive(Serialize)]
struct Shown {
    device: Preset,
    state_bits: u32,
    table_nodes: u32,
    /// Largest distance of the integer device from the law over the curve, in weights, noise off.
    integer_error: f64,
    curve: Curve,
    drift: Vec<Drifted>,
    energy: Energy,
}

#[derive(Serialize)]
struct Curve {
    pulses_up: u32,
    pulses_down: u32,
    law: Vec<f64>,
    integer: Vec<f64>,
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

#[derive(Clone, Serialize)]
struct Drifted {
    seconds: f64,
    /// Conductance relative to that at programming, for the class's mean exponent at half the range.
    law: f64,
    integer: f64,
}

#[derive(Serialize)]
struct Energy {
    read_fj: [f64; 2],
    up_pulse_pj: [f64; 2],
    down_pulse_pj: [f64; 2],
    kind: String,
    source: String,
}

/// Prints the list, or one device; with `--out` also its picture, tables and report.
///
/// # Errors
/// Bad input: the device is unknown or its file is wrong. The work failed: the folder cannot be written to.
pub fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    match &args.action {
        None => {
            let listing = presets().into_iter().map(listed).collect::<Result<Vec<_>, _>>()?;
            common.print(&listing, || list_text(&listing))
        }
        Some(Action::Show { name, toml: true, .. }) if !common.json => {
            let text = toml::to_string(&load(name)?).map_err(Failure::work)?;
            crate::cli::print_text(&text)
        }
        Some(Action::Show { name, pulses, bits, .. }) => {
            let shown = show(load(name)?, *pulses, *bits, common.seed())?;
            let plot = plot(&shown);
            if let Some(folder) = &common.out {
                files::write(&folder.join("curve.svg"), plot.svg())?;
                files::write(&folder.join("curve.csv"), plot.table().csv())?;
                files::write_json(&folder.join("device.json"), &shown)?;
            }
            common.print(&shown, || text(&shown))
        }
    }
}

/// A device by name, or by the path of a file ending in `.toml`.
///
/// # Errors
/// Bad input: there is no such device, or its file is wrong.
pub fn load(name: &str) -> Result<Preset, Failure> {
    let preset = match Path::new(name).extension() {
        Some(extension) if extension == "toml" => Preset::read(name, &files::read_text(Path::new(name))?),
        _ => Preset::shipped(name),
    };
    preset.map_err(|error| Failure::bad_input(error).place("device").found(name))
}

fn compiled(preset: &Preset, resolution: &Resolution) -> Result<Compiled, Failure> {
    compile(preset, resolution).map_err(|error| Failure::bad_input(error).place("device").found(&preset.name))
}

/// Up pulses that take the law from end to end, if 100 000 do.
fn pulses_across(preset: &Preset) -> Option<u32> {
    let steps = preset.steps.resolved();
    let (mut w, near) = (steps.w_min, steps.w_max - 0.05 * (steps.w_max - steps.w_min));
    (1..=100_000u32).find(|_| {
        w += steps.up(w);
        w >= near
    })
}

fn listed(name: &'static str) -> Result<Listed, Failure> {
    let preset = load(name)?;
    Ok(Listed {
        name,
        law: preset.steps.law.name(),
        pair: preset.pair,
        pulses_across: pulses_across(&preset),
        cycle_noise: preset.noise.cycle,
        drift: preset.drift.is_some(),
        electrical: preset.cell.kind.clone(),
        title: preset.title,
    })
}

fn list_text(listing: &[Listed]) -> String {
    let mut table = Table::new("Memristive devices")
        .text("name")
        .text("device")
        .text("steps")
        .number("pulses to 95 %")
        .number("cycle noise")
        .text("drift")
        .text("electrical data");
    for d in listing {
        table.push(vec![
            d.name.into(),
            d.title.as_str().into(),
            d.law.into(),
            d.pulses_across.map_or(crate::table::Cell::Empty, |p| u64::from(p).into()),
            d.cycle_noise.into(),
            if d.drift { "yes" } else { "" }.into(),
            d.electrical.as_str().into(),
        ]);
    }
    table.terminal()
}

fn show(preset: Preset, pulses: Option<u32>, bits: u32, seed: u64) -> Result<Shown, Failure> {
    let pulses = pulses.unwrap_or_else(|| pulses_across(&preset).map_or(2000, |p| p.min(2000)));
    let bare = compiled(&preset, &Resolution::bare(bits, 5))?;
    let steps = preset.steps.resolved();
    let start = preset.reset.weight.max(steps.w_min);
    let law = steps.trajectory(start, pulses as usize, pulses as usize);
    let integer = integer_curve(&bare, start, pulses)?;
    let worst = law.iter().zip(&integer).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let full = compiled(&preset, &Resolution { state_bits: bits, ..Resolution::default() })?;
    let (mean, deviation) = noisy_curve(&full, pulses, seed)?;
    let curve = Curve { pulses_up: pulses, pulses_down: pulses, law, integer, mean, deviation };
    Ok(Shown {
        drift: drifts(&preset),
        energy: energies(&preset),
        state_bits: bits,
        table_nodes: 33,
        integer_error: worst,
        curve,
        device: preset,
    })
}

/// The picture of a device's weight under pulses.
///
/// # Errors
/// As [`load`].
pub fn curve(name: &str, seed: u64) -> Result<Xy, Failure> {
    Ok(plot(&show(load(name)?, None, 24, seed)?))
}

fn class(compiled: &Compiled) -> Result<device::DeviceClass<'_>, Failure> {
    compiled.class().map_err(Failure::work)
}

fn directions(pulses: u32) -> impl Iterator<Item = Direction> {
    (0..2 * pulses).map(move |p| if p < pulses { Direction::Up } else { Direction::Down })
}

fn integer_curve(compiled: &Compiled, start: f64, pulses: u32) -> Result<Vec<f64>, Failure> {
    let class = class(compiled)?;
    let mut state = compiled.state(start, class.top());
    let mut weights = vec![compiled.weight(state)];
    for direction in directions(pulses) {
        state = class.pulse(state, direction, &class.nominal(), 0);
        weights.push(compiled.weight(state));
    }
    Ok(weights)
}

/// Mean and deviation over a sample of devices with all that the file says of noise, spread, faults and wear.
fn noisy_curve(compiled: &Compiled, pulses: u32, seed: u64) -> Result<(Vec<f64>, Vec<f64>), Failure> {
    let class = class(compiled)?;
    let mut draws = Threefry::<13>::new(seed);
    let length = 2 * pulses as usize + 1;
    let (mut sum, mut squares) = (vec![0.0; length], vec![0.0; length]);
    for number in 0..SAMPLE {
        let instance = class.instance(number, &mut draws);
        let mut state = class.initial(number, &instance, &mut draws);
        for (pulse, direction) in std::iter::once(None).chain(directions(pulses).map(Some)).enumerate() {
            let event = pulse as u32;
            if let Some(direction) = direction.filter(|_| !class.worn(number, event, &mut draws)) {
                let random = device::bits(&mut draws, Purpose::Pulse, number, event);
                state = class.pulse(state, direction, &instance, random);
            }
            let weight = compiled.weight(class.visible(state, number, event, &mut draws));
            sum[pulse] += weight;
            squares[pulse] += weight * weight;
        }
    }
    let n = f64::from(SAMPLE);
    let deviation =
        sum.iter().zip(&squares).map(|(s, q)| (q / n - (s / n).powi(2)).max(0.0).sqrt()).collect();
    Ok((sum.iter().map(|s| s / n).collect(), deviation))
}

fn drifts(preset: &Preset) -> Vec<Drifted> {
    let Some(drift) = &preset.drift else { return Vec::new() };
    let nu = drift.model.mean.at(0.5);
    let q24 = (nu * f64::from(1u32 << 24)).round() as u32;
    let stamp = |s: f64| (s * 1e3) as u64;
    let start = drift.model.start_s;
    [1.0, 60.0, 3600.0, 86400.0, 2_592_000.0, 31_536_000.0, 1e9]
        .map(|seconds| Drifted {
            seconds,
            law: drift.model.factor(seconds, nu),
            integer: f64::from(device::drift(1 << 23, stamp(start), stamp(start + seconds), q24))
                / f64::from(1u32 << 23),
        })
        .to_vec()
}

fn energies(preset: &Preset) -> Energy {
    let cell = &preset.cell;
    let ends = [cell.g_min_us * 1e-6, cell.g_max_us * 1e-6];
    let joule = |volt: f64, ns: f64, s: f64| synop_device::energy::read_j(volt, s, ns * 1e-9);
    Energy {
        read_fj: ends.map(|s| 1e15 * joule(cell.read_v, cell.read_ns, s)),
        up_pulse_pj: ends.map(|s| 1e12 * joule(cell.up_v, cell.up_ns, s)),
        down_pulse_pj: ends.map(|s| 1e12 * joule(cell.down_v, cell.down_ns, s)),
        kind: cell.kind.clone(),
        source: cell.source.clone(),
    }
}

fn plot(shown: &Shown) -> Xy {
    let curve = &shown.curve;
    let numbered =
        |values: &[f64]| values.iter().enumerate().map(|(n, w)| (n as f64, *w)).collect::<Vec<_>>();
    let band = curve.mean.iter().zip(&curve.deviation).enumerate();
    Xy::new(&format!("{}: weight under pulses, up then down", shown.device.name), "pulse", "weight")
        .band(
            &format!("{SAMPLE} devices, mean and one deviation"),
            band.map(|(n, (m, d))| (n as f64, m - d, m + d)),
        )
        .line("mean of the devices", numbered(&curve.mean))
        .line("law", numbered(&curve.law))
        .line("law in integers", numbered(&curve.integer))
}

fn text(shown: &Shown) -> String {
    let d = &shown.device;
    let mut text = format!("{} — {}\nsource: {}\n", d.name, d.title, d.source);
    text.push_str(&format!(
        "steps: {}, weights {} to {}; integer device ({} bits, {} nodes) within {:.1e} of the law\n\n",
        d.steps.law.name(),
        d.steps.resolved().w_min,
        d.steps.resolved().w_max,
        shown.state_bits,
        shown.table_nodes,
        shown.integer_error
    ));
    let mut curve = Table::new("Weight under pulses, up then down")
        .number("pulse")
        .number("law")
        .number("integers")
        .number(&format!("mean of {SAMPLE}"))
        .number("deviation");
    let length = shown.curve.law.len();
    let stride = (length / 16).max(1);
    for n in (0..length).step_by(stride) {
        let c = &shown.curve;
        let cells = [c.law[n], c.integer[n], c.mean[n], c.deviation[n]];
        let rounded = cells.map(|v| format!("{v:.5}").into());
        curve.push(std::iter::once((n as u64).into()).chain(rounded).collect());
    }
    text.push_str(&curve.terminal());
    if !shown.drift.is_empty() {
        let mut drift =
            Table::new("Conductance left after").quantity("time", "s").number("law").number("integers");
        for row in &shown.drift {
            let digits = [row.law, row.integer].map(|v| format!("{v:.5}").into());
            drift.push(std::iter::once(row.seconds.into()).chain(digits).collect());
        }
        text.push('\n');
        text.push_str(&drift.terminal());
    }
    let e = &shown.energy;
    text.push_str(&format!(
        "\nEnergy of one cell, lowest to highest conductance ({}): read {:.3} to {:.3} fJ, up pulse {:.4} to {:.4} pJ, \
         down pulse {:.4} to {:.4} pJ\n  {}\n",
        e.kind,
        e.read_fj[0],
        e.read_fj[1],
        e.up_pulse_pj[0],
        e.up_pulse_pj[1],
        e.down_pulse_pj[0],
        e.down_pulse_pj[1],
        e.source
    ));
    for (what, source) in [
        ("faults", d.faults.as_ref().map(|f| &f.source)),
        ("endurance", d.endurance.as_ref().map(|f| &f.source)),
        ("programming", d.programming.as_ref().map(|f| &f.source)),
        ("drift", d.drift.as_ref().map(|f| &f.source)),
        ("read noise", d.read_noise.as_ref().map(|f| &f.source)),
    ] {
        if let Some(source) = source {
            text.push_str(&format!("{what}: {source}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_shows_its_curve_and_stays_near_its_law() {
        for name in presets() {
            let shown = show(load(name).unwrap(), Some(50), 24, 1).unwrap();
            assert!(shown.integer_error < 2e-2, "{name}: {}", shown.integer_error);
            assert_eq!(shown.curve.law.len(), 101);
            let text = text(&shown);
            assert!(text.contains(&shown.device.cell.source) && text.contains("pulse"), "{text}");
            assert!(plot(&shown).svg().starts_with("<svg"));
        }
    }

    #[test]
    fn an_unknown_device_is_bad_input() {
        let failure = load("unobtainium").unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.to_string().contains("reram-es"), "{failure}");
    }
}
