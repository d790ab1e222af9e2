//! The quantiser's choice of units: all weights kept, or clipped where data say that this costs less.

use synop_core::image::Reset;
use synop_model::lower::{Dynamics, FloatNetwork, FloatPopulation, FloatProjection};
use synop_model::network::Synapses;
use synop_model::quantize::{Activity, Options, Quantized, Spoken, quantize};

/// Integrators with one row of weights per input.
fn network(rows: &[&[f64]], threshold: f64) -> FloatNetwork {
    let size = rows[0].len();
    let dynamics = Dynamics {
        decay: vec![1.0; size],
        bias: vec![0.0; size],
        bias_current: false,
        current: None,
        threshold: Some(vec![threshold; size]),
        reset_value: vec![0.0; size],
        reset: Reset::Subtract,
        refractory: 0,
        greater_equal: false,
        multi_spike: false,
        stateless: false,
        min_v: None,
    };
    let population = |name: &str, size, stage, dynamics| FloatPopulation {
        name: name.into(),
        node: stage as usize,
        shape: vec![size],
        stage,
        dynamics,
    };
    let row = |weights: &&[f64]| weights.iter().enumerate().map(|(t, w)| (t as u32, 0, *w)).collect();
    FloatNetwork {
        populations: vec![population("in", rows.len(), 0, None), population("out", size, 1, Some(dynamics))],
        projections: vec![FloatProjection {
            source: 0,
            target: 1,
            layer: "w".into(),
            rows: rows.iter().map(row).collect(),
        }],
        readouts: vec![1],
        notes: Vec::new(),
    }
}

fn weights(quantized: &Quantized) -> Vec<i16> {
    match &quantized.network.projections[0].synapses {
        Synapses::Dense { weights, .. } => weights.clone(),
        other => panic!("not dense: {other:?}"),
    }
}

/// One sample of `steps` steps; `spikes` says which inputs speak in a step.
fn sample(steps: u32, spikes: impl Fn(u32) -> Vec<f64>) -> Activity {
    let mut spoken = Spoken::default();
    for step in 0..steps {
        spoken.add([spikes(step).as_slice()]);
    }
    Activity { samples: vec![spoken] }
}

#[test]
fn without_clipping_the_largest_weight_is_the_largest_integer() {
    let network = network(&[&[1.0], &[0.1], &[-0.07], &[0.04]], 10.0);
    let quantized = quantize(&network, &Options::bits(4)).unwrap();
    assert_eq!(weights(&quantized), [7, 1, 0, 0]);
    assert_eq!(quantized.layers[0].scales, [1.0 / 7.0]);
}

#[test]
fn a_weight_whose_source_is_silent_does_not_set_the_unit() {
    let network = network(&[&[1.0], &[0.1], &[-0.07], &[0.04]], 10.0);
    let clip = Options { clip: true, ..Options::bits(4) };
    // By the weights alone the large one matters most.
    let blind = quantize(&network, &clip).unwrap();
    assert!(blind.layers[0].scales[0] > 0.9 / 7.0, "{:?}", blind.layers[0].scales);
    let activity = sample(100, |step| match step % 2 {
        0 => vec![0.0, 1.0, 1.0, 1.0],
        _ => vec![0.0; 4],
    });
    // The data show that it never speaks: the unit falls to the others' measure.
    let seen = quantize(&network, &Options { activity, ..clip }).unwrap();
    let unit = seen.layers[0].scales[0];
    assert!(unit < 0.2 / 7.0, "{unit}");
    let integers = weights(&seen);
    for (q, w) in integers[1..].iter().zip([0.1, -0.07, 0.04]) {
        assert!((f64::from(*q) * unit - w).abs() < 0.011, "{q} × {unit} for {w}");
    }
    assert_eq!(integers[0], 7);
}

#[test]
fn the_drive_of_the_least_error_is_found_by_trying_every_unit() {
    // Two weights of one sign add their errors where both sources are on in every step; what counts is the sum.
    let mut network = network(&[&[0.9], &[0.45], &[0.45]], 5.0);
    network.populations[1].dynamics.as_mut().unwrap().threshold = None;
    let activity = sample(10, |_| vec![1.0; 3]);
    let options = Options { clip: true, activity, ..Options::bits(3) };
    let quantized = quantize(&network, &options).unwrap();
    let unit = quantized.layers[0].scales[0];
    let off = |unit: f64| -> f64 {
        let q = |w: f64| (w / unit).round_ties_even().clamp(-3.0, 3.0) * unit;
        (q(0.9) + 2.0 * q(0.45) - 1.8).abs()
    };
    let best = (1..=20).map(|k| off(0.3 * f64::from(k) / 20.0)).fold(f64::INFINITY, f64::min);
    assert!((off(unit) - best).abs() < 1e-12, "{} against {best}", off(unit));
    assert!(best < off(0.3), "keeping all would be as good: {}", off(0.3));
}

#[test]
fn a_channel_has_its_own_unit() {
    let network = network(&[&[1.0, 0.1], &[0.5, -0.04]], 1.0);
    let quantized = quantize(&network, &Options { per_channel: true, ..Options::bits(8) }).unwrap();
    assert_eq!(weights(&quantized), [127, 127, 64, -51]);
    assert_eq!(quantized.layers[0].thresholds, [127, 1270]);
}
