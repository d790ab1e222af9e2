//! Speed of the core's crossbar on one core: reads with conversion, with and without wires, refreshes, pulses.
//!
//! `cargo run --release -p synop-device --example crossbar_speed`

use std::hint::black_box;
use std::time::Instant;
use synop_core::crossbar::{Crossbar, Memory, Pair, Shape, Wires};
use synop_core::draw::Threefry;
use synop_core::store::Portable;
use synop_device::{Compiled, Preset, Resolution, compile, wires};

/// Best of several runs of at least 50 ms, seconds per call.
fn best(mut work: impl FnMut()) -> f64 {
    (0..5).fold(f64::INFINITY, |least, _| {
        let (start, mut calls) = (Instant::now(), 0u32);
        while start.elapsed().as_millis() < 50 {
            work();
            calls += 1;
        }
        least.min(start.elapsed().as_secs_f64() / f64::from(calls))
    })
}

fn with_crossbar(
    n: usize,
    compiled: &Compiled,
    wires: Wires,
    work: impl FnOnce(&mut Crossbar<'_>, &mut Threefry<13>),
) {
    let (mut states, mut pulses) = (vec![0; 2 * n * n], vec![0; 2 * n * n]);
    let mut factors = vec![0; if wires.resist() { 2 * n * n } else { 0 }];
    let (mut matrix, mut charge, mut scratch) = (vec![0; n * n], vec![0; n], vec![0; 2 * n]);
    let Ok(class) = compiled.class() else { return };
    let shape = Shape {
        rows: n,
        columns: n,
        pair: Pair::Differential,
        first_device: 0,
        row_devices: 2 * n as u32,
        wires,
    };
    let mut draws = Threefry::<13>::new(1);
    let memory = Memory {
        states: &mut states,
        pulses: &mut pulses,
        stamps: &mut [],
        factors: &mut factors,
        matrix: &mut matrix,
        deviations: &mut [],
        charge: &mut charge,
        scratch: &mut scratch,
    };
    if let Some(mut bar) = Crossbar::new(class, shape, memory) {
        bar.reset(0, &mut draws);
        work(&mut bar, &mut draws);
    }
}

fn reads(n: usize, label: &str, compiled: &Compiled, wires: Wires) {
    with_crossbar(n, compiled, wires, |bar, draws| {
        for (inputs, stride) in [("dense 8-bit", 1usize), ("10 % binary", 10)] {
            let (mut sums, mut codes) = (vec![0; n], vec![0; n]);
            let seconds = best(|| {
                sums.fill(0);
                for row in (0..n).step_by(stride) {
                    let payload = if stride == 1 { (row % 255) as i32 - 127 } else { 1 };
                    bar.read(row, payload, &mut sums);
                }
                bar.convert(&sums, 1 << 24, 127, &mut codes);
                black_box(&codes);
            });
            let products = (n * n.div_ceil(stride)) as f64;
            println!("{n}x{n} {label}, {inputs}: {:.2} G products/s", products / seconds / 1e9);
        }
        let refresh = best(|| bar.refresh(0, draws));
        println!("{n}x{n} {label}, refresh: {:.2} ms", refresh * 1e3);
    });
}

fn main() {
    let Ok(preset) = Preset::shipped("reram-es") else { return };
    let Ok(bare) = compile(&preset, &Resolution::bare(24, 5)) else { return };
    let unit = 24e-6 / 65536.0;
    let ratio = (unit * 2f64.powi(48)) as u64;
    let wired = Wires { row_q48: ratio, column_q48: ratio, pedestal: (1e-6 / unit * 256.0) as i32 };
    for n in [128, 256, 1024] {
        reads(n, "ideal wires", &bare, Wires::default());
        reads(n, "1 ohm wires", &bare, wired);
    }
    let n = 256;
    let g: Vec<f64> = (0..n * n).map(|k| 1e-6 + 24e-6 * ((k * 7919 % 101) as f64 / 101.0)).collect();
    let start = Instant::now();
    let nodal = wires::solve(&g, n, &vec![0.2; n], &wires::Wires { row_ohm: 1.0, column_ohm: 1.0 });
    println!(
        "{n}x{n} exact nodal solve on the host: {:.1} ms, {} iterations",
        start.elapsed().as_secs_f64() * 1e3,
        nodal.iterations
    );
    for name in ["constant-step", "reram-sb", "reram-es"] {
        for (label, resolution) in [
            ("noise and spread", Resolution { drift: false, ..Resolution::default() }),
            ("bare", Resolution::bare(24, 5)),
        ] {
            let Ok(compiled) = Preset::shipped(name).and_then(|p| compile(&p, &resolution)) else { continue };
            with_crossbar(256, &compiled, Wires::default(), |bar, draws| {
                let seconds = best(|| {
                    for row in 0..256 {
                        bar.pulse_row(row, &[1; 256], 0, &Portable, draws);
                    }
                });
                println!("{name}, {label}: {:.1} M pulses/s", 2.0 * 65536.0 / seconds / 1e6);
            });
        }
    }
}
