//! `synop encode`: trajectories of a dynamical system, their Lyapunov spectrum, or any spike code.

use std::path::{Path, PathBuf};

use serde::Serialize;
use synop_encode::{EncodeError, Encoded, EncoderSpec, LyapunovRun, Signal, Spectrum, lyapunov};

use crate::cli::Common;
use crate::data::{digits, npy};
use crate::plot::{Plot, Xy};
use crate::{Failure, files};

/// Encode features as trajectories or spikes; print the Lyapunov spectrum of the system
#[derive(Debug, clap::Args)]
#[command(after_help = "\
An encoder is name[:ticks][,key=value...]: mixed:5,damping=-1.5,clip=8, lorenz:200,tmax=20, rate:25.

Examples:
  synop encode mixed:81,damping=10 --values 1,0.5,-0.3
  synop encode lorenz:2001,tmax=20 --values 1 -o lorenz.npy --out report
  synop encode rate:8 --digit 0 -o digit.csv
  synop encode mixed:5,damping=-1.5,clip=8 --json")]
pub struct Args {
    /// The encoder, such as mixed:5,damping=10 or rate:25
    encoder: String,
    /// The feature vector
    #[arg(long, value_delimiter = ',', allow_negative_numbers = true, value_name = "V,V,...")]
    values: Vec<f64>,
    /// Encode this row of the embedded digits, scaled to 0 to 1, instead
    #[arg(long, value_name = "ROW", conflicts_with = "values")]
    digit: Option<usize>,
    /// Write the result here, tick by tick: .npy or .csv
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
struct Encoding {
    schema: &'static str,
    encoder: String,
    seed: u64,
    ticks: usize,
    channels: usize,
    abs_max: f64,
    spikes: Option<usize>,
    lyapunov: Option<Exponents>,
    values: Vec<Vec<f64>>,
}

#[derive(Serialize)]
struct Exponents {
    exponents: [f64; 3],
    sum: f64,
    mean_divergence: f64,
    time: f64,
}

impl From<Spectrum> for Exponents {
    fn from(s: Spectrum) -> Self {
        Self { exponents: s.sorted, sum: s.sum, mean_divergence: s.mean_divergence, time: s.time }
    }
}

fn refused(error: &EncodeError) -> Failure {
    Failure::bad_input(error).place("encoder").mend("see synop encode --help")
}

/// Encodes, prints, and writes what was asked for.
///
/// # Errors
/// Bad input: the encoder or a feature is refused, or the output has another ending than .npy or .csv.
/// The work failed: an output cannot be written.
pub fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    let spec: EncoderSpec = args.encoder.parse().map_err(|e| refused(&e))?;
    let features = features(args)?;
    let encoded = spec.encode(&features, features.len(), common.seed(), 0).map_err(|e| refused(&e))?;
    let (signal, spikes) = match encoded.into_iter().next() {
        Some(Encoded::Signal(signal)) => (signal, None),
        Some(Encoded::Events(events)) => (events.to_signal(1.0), Some(events.all().len())),
        None => return Err(Failure::bad_input("no features").place("--values").mend("name at least one")),
    };
    let spectrum = spec.trajectory().and_then(|t| {
        let run = LyapunovRun { dt: t.dt, ..LyapunovRun::finite_time(0.0).ok()? };
        let steps = synop_encode::integrate::steps_to(t.tmax, t.dt).ok()?;
        match lyapunov::spectrum(&t.dynamics, &LyapunovRun { steps, ..run }) {
            Ok(spectrum) => Some(spectrum),
            Err(error) => {
                crate::cli::warn(format_args!("no Lyapunov spectrum: {error}"));
                None
            }
        }
    });
    if let Some(path) = &args.output {
        write(path, &signal)?;
    }
    if let Some(folder) = &common.out {
        files::write(&folder.join("encode.svg"), plot(&args.encoder, &spec, &signal).svg())?;
    }
    let result = Encoding {
        schema: "synop-encode/1",
        encoder: spec.to_string(),
        seed: common.seed(),
        ticks: signal.ticks(),
        channels: signal.channels(),
        abs_max: signal.abs_max(),
        spikes,
        lyapunov: spectrum.map(Exponents::from),
        values: (0..signal.ticks()).map(|t| signal.tick(t).to_vec()).collect(),
    };
    common.print(&result, || text(&result))
}

fn features(args: &Args) -> Result<Vec<f64>, Failure> {
    match args.digit {
        Some(row) => {
            let digits = digits::load()?;
            if row >= digits.len() {
                return Err(Failure::bad_input("there is no such digit")
                    .place("--digit")
                    .found(row)
                    .expected(format_args!("0 to {}", digits.len().saturating_sub(1))));
            }
            Ok(digits.row(row).iter().map(|v| f64::from(v / digits::GREY)).collect())
        }
        None if args.values.is_empty() => Ok(vec![1.0]),
        None => Ok(args.values.clone()),
    }
}

fn write(path: &Path, signal: &Signal) -> Result<(), Failure> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("npy") => {
            let shape = vec![signal.ticks(), signal.channels()];
            files::write(path, npy::bytes(&npy::Array { shape, values: signal.values().to_vec() }))
        }
        Some("csv") => {
            let mut csv = String::from("tick");
            csv.extend((0..signal.channels()).map(|c| format!(",c{c}")));
            csv.push('\n');
            for tick in 0..signal.ticks() {
                csv.push_str(&tick.to_string());
                csv.extend(signal.tick(tick).iter().map(|v| format!(",{v}")));
                csv.push('\n');
            }
            files::write(path, csv)
        }
        _ => Err(Failure::bad_input("the ending does not name a format")
            .place("--output")
            .found(path.display())
            .expected("a name that ends in .npy or .csv")),
    }
}

/// At most the first nine channels over time.
fn plot(title: &str, spec: &EncoderSpec, signal: &Signal) -> Xy {
    let ticks = signal.ticks();
    let (label, unit) = match spec.trajectory() {
        Some(t) if ticks > 1 => ("time", t.tmax / (ticks - 1) as f64),
        _ => ("tick", 1.0),
    };
    (0..signal.channels().min(9)).fold(Xy::new(title, label, "value"), |plot, c| {
        let points = (0..ticks).filter_map(|t| Some((t as f64 * unit, *signal.tick(t).get(c)?)));
        let name = match spec.trajectory() {
            Some(_) => format!("{}{}", ["x", "y", "z"][c % 3], c / 3),
            None => format!("channel {c}"),
        };
        plot.line(&name, points)
    })
}

fn text(result: &Encoding) -> String {
    let mut out = format!(
        "{}: {} ticks, {} channels, largest {:.6}",
        result.encoder, result.ticks, result.channels, result.abs_max
    );
    if let Some(spikes) = result.spikes {
        out.push_str(&format!(", {spikes} spikes"));
    }
    if let Some(l) = &result.lyapunov {
        let [a, b, c] = l.exponents;
        out.push_str(&format!(
            "\nLyapunov exponents over {} from (0.1, 0.1, 0.1): {a:.6} {b:.6} {c:.6}, sum {:.6} (mean divergence {:.6})",
            l.time, l.sum, l.mean_divergence
        ));
    }
    for (tick, row) in result.values.iter().enumerate().take(20) {
        let shown = row.iter().take(9).map(|v| format!(" {v:>12.6}")).collect::<String>();
        out.push_str(&format!("\n{tick:>6}{shown}{}", if row.len() > 9 { " ..." } else { "" }));
    }
    if result.values.len() > 20 {
        out.push_str("\n   ... (-o FILE writes all)");
    }
    out
}
