//! The trainer against plain loops in float64, and against itself.

use std::borrow::Cow;

use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::kernels::padded;
use super::network::{symmetric, unit};
use super::*;

/// Random graded inputs, about a third of them zero.
fn random_samples(count: usize, steps: usize, inputs: usize, classes: u8, seed: u64) -> Samples {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut samples = Samples::new(steps, inputs);
    for k in 0..count {
        let values: Vec<f32> = (0..steps * inputs)
            .map(|_| if unit(&mut random) < 0.3 { 0.0 } else { 2.0 * symmetric(&mut random) })
            .collect();
        samples.push(&values, (k % usize::from(classes)) as u8);
    }
    samples
}

/// Gradients of one dense spiking layer.
struct Plain {
    weights: Vec<Vec<f64>>,
    bias: Vec<f64>,
    decay: f64,
    threshold: f64,
}

/// The textbook loops: forwards, cross-entropy on the membranes, backwards through time.
fn plain_gradients(network: &Network, samples: &Samples, surrogate: Surrogate) -> (Vec<Plain>, f64) {
    let dense = |l: usize| match &network.layers[l].connection {
        Connection::Dense(dense) => dense,
        Connection::Identity(_) => panic!("dense layers only"),
    };
    let scalars: Vec<(f64, f64)> =
        network.decays_and_thresholds().iter().map(|(d, t)| (f64::from(*d), f64::from(*t))).collect();
    let (steps, count, layers) = (samples.steps(), samples.len(), network.layers.len());
    let shape = |d: f64| match surrogate {
        Surrogate::Arctan => 1.0 / (1.0 + (std::f64::consts::PI * d).powi(2)),
        Surrogate::FastSigmoid { slope } => 1.0 / (1.0 + f64::from(slope) * d.abs()).powi(2),
    };
    let mut gradients: Vec<Plain> = (0..layers)
        .map(|l| Plain {
            weights: vec![vec![0.0; dense(l).inputs()]; dense(l).outputs()],
            bias: vec![0.0; dense(l).outputs()],
            decay: 0.0,
            threshold: 0.0,
        })
        .collect();
    let mut loss = 0.0;
    for sample in 0..count {
        let mut x: Vec<Vec<Vec<f64>>> = vec![vec![vec![0.0; samples.inputs()]; steps]];
        for t in 0..steps {
            for e in samples.row(sample, t) {
                x[0][t][e.index as usize] = f64::from(e.value);
            }
        }
        let mut u = Vec::new();
        for l in 0..layers {
            let (d, rows) = (dense(l), dense(l).rows());
            let (decay, theta) = scalars[l];
            let mut membranes = vec![vec![0.0; d.outputs()]; steps];
            let mut spikes = membranes.clone();
            for t in 0..steps {
                for o in 0..d.outputs() {
                    let mut sum = f64::from(d.bias()[o]);
                    for j in 0..d.inputs() {
                        sum += f64::from(rows[o * d.inputs() + j]) * x[l][t][j];
                    }
                    let before = if t > 0 { membranes[t - 1][o] } else { 0.0 };
                    membranes[t][o] =
                        decay.clamp(0.0, 1.0) * before + sum - if before > theta { theta } else { 0.0 };
                    spikes[t][o] = if membranes[t][o] > theta { 1.0 } else { 0.0 };
                }
            }
            u.push(membranes);
            x.push(spikes);
        }
        let classes = network.outputs();
        let label = usize::from(samples.labels()[sample]);
        let mut out = vec![vec![0.0; classes]; steps];
        for t in 0..steps {
            let total: f64 = u[layers - 1][t].iter().map(|v| v.exp()).sum();
            let scale = 1.0 / (steps * count) as f64;
            loss += scale * (total.ln() - u[layers - 1][t][label]);
            for c in 0..classes {
                out[t][c] = scale * (u[layers - 1][t][c].exp() / total - if c == label { 1.0 } else { 0.0 });
            }
        }
        for l in (0..layers).rev() {
            let (d, rows) = (dense(l), dense(l).rows());
            let (decay, theta) = scalars[l];
            let mut g = vec![vec![0.0; d.outputs()]; steps];
            for t in (0..steps).rev() {
                for o in 0..d.outputs() {
                    let through =
                        if l == layers - 1 { out[t][o] } else { out[t][o] * shape(u[l][t][o] - theta) };
                    if l < layers - 1 {
                        gradients[l].threshold -= through;
                    }
                    g[t][o] = through + if t + 1 < steps { decay.clamp(0.0, 1.0) * g[t + 1][o] } else { 0.0 };
                    if t > 0 {
                        gradients[l].decay += g[t][o] * u[l][t - 1][o];
                        gradients[l].threshold -= if u[l][t - 1][o] > theta { g[t][o] } else { 0.0 };
                    }
                    gradients[l].bias[o] += g[t][o];
                    for j in 0..d.inputs() {
                        gradients[l].weights[o][j] += g[t][o] * x[l][t][j];
                    }
                }
            }
            if !(0.0..=1.0).contains(&decay) {
                gradients[l].decay = 0.0;
            }
            out = (0..steps)
                .map(|t| {
                    (0..d.inputs())
                        .map(|j| {
                            (0..d.outputs()).map(|o| g[t][o] * f64::from(rows[o * d.inputs() + j])).sum()
                        })
                        .collect()
                })
                .collect();
        }
    }
    (gradients, loss)
}

fn close(found: f32, expected: f64, scale: f64) {
    assert!((f64::from(found) - expected).abs() <= 2e-5 * scale, "{found} against {expected}");
}

#[test]
fn gradients_equal_plain_backpropagation_through_time() {
    for surrogate in [Surrogate::Arctan, Surrogate::FastSigmoid { slope: 5.0 }] {
        let samples = random_samples(11, 4, 6, 3, 7);
        let mut network = Network::spiking(&[6, 20, 17, 3], 0.9, 0.4, 3);
        if let Neuron::Lif { decay, .. } = &mut network.layers[1].neuron {
            *decay = 1.02; // clamped: no gradient of its own
        }
        let (expected, loss) = plain_gradients(&network, &samples, surrogate);
        let training = Training { surrogate, ..Training::default() };
        let mut trainer = Trainer::new(network.clone(), &training);
        let chosen: Vec<u32> = (0..11).collect();
        let result = trainer.step(&samples, &chosen);
        assert!(result.spikes > 300, "the test needs spikes, there are {}", result.spikes);
        assert!((result.loss / 11.0 - loss).abs() < 1e-5);
        for (l, plain) in expected.iter().enumerate() {
            let stride = padded(network.layers[l].outputs());
            let (weights, bias) = trainer.adam().gradient(l);
            let largest =
                plain.weights.iter().flatten().chain(&plain.bias).fold(1e-3f64, |m, g| m.max(g.abs()));
            for (o, row) in plain.weights.iter().enumerate() {
                for (j, g) in row.iter().enumerate() {
                    close(weights[j * stride + o], *g, largest);
                }
                close(bias[o], plain.bias[o], largest);
            }
            let sum = |k: usize| trainer.tape().layers[l].scalars.iter().map(|pair| pair[k]).sum::<f32>();
            close(sum(0), plain.decay, plain.decay.abs().max(largest));
            close(sum(1), plain.threshold, plain.threshold.abs().max(largest));
        }
    }
}

#[test]
fn a_perceptron_s_gradient_is_the_slope_of_its_loss() {
    let samples = random_samples(9, 1, 5, 4, 2);
    let network = Network::perceptron(&[5, 12, 9, 4], 4);
    let chosen: Vec<u32> = (0..9).collect();
    let loss = |network: &Network| {
        Trainer::new(network.clone(), &Training::default()).step(&samples, &chosen).loss / 9.0
    };
    let mut trainer = Trainer::new(network.clone(), &Training::default());
    trainer.step(&samples, &chosen);
    for l in 0..3 {
        let stride = padded(network.layers[l].outputs());
        for (j, o) in [(0, 0), (3, 2), (4, 1)] {
            let nudged = |by: f32| {
                let mut network = network.clone();
                if let Connection::Dense(dense) = &mut network.layers[l].connection {
                    dense.weights[j * stride + o] += by;
                }
                loss(&network)
            };
            let slope = (nudged(2e-3) - nudged(-2e-3)) / 4e-3;
            let found = f64::from(trainer.adam().gradient(l).0[j * stride + o]);
            assert!((found - slope).abs() < 2e-4 + 0.02 * slope.abs(), "layer {l}: {found} against {slope}");
        }
    }
}

#[test]
fn training_does_not_depend_on_the_number_of_threads() {
    let samples = random_samples(70, 3, 9, 4, 5);
    let run = |threads: Option<usize>| {
        let training = Training { epochs: 3, batch: 20, parallel: threads.is_some(), ..Training::default() };
        let network = Network::spiking(&[9, 70, 33, 4], 0.95, 0.5, 1);
        let work = || fit(network, &training, |_| Cow::Borrowed(&samples), &samples, |_, _| {});
        match threads {
            Some(threads) => {
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
            }
            None => work(),
        }
    };
    let alone = run(None);
    for threads in [1, 2, 5] {
        let spread = run(Some(threads));
        assert_eq!(alone.best, spread.best);
        assert_eq!(alone.epochs, spread.epochs);
    }
}

#[test]
fn it_learns_which_input_came_first() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(8);
    let mut samples = Samples::new(4, 4);
    for _ in 0..400 {
        let order = unit(&mut random) < 0.5;
        let mut values = vec![0.0f32; 16];
        let (first, second) = if order { (0, 2) } else { (2, 0) };
        values[first] = 1.0;
        values[4 + second] = 1.0;
        values[8 + 1] = 0.3 * symmetric(&mut random);
        samples.push(&values, u8::from(order));
    }
    for surrogate in [Surrogate::Arctan, Surrogate::FastSigmoid { slope: 5.0 }] {
        let training =
            Training { epochs: 30, patience: 30, learning_rate: 5e-3, surrogate, ..Training::default() };
        let network = Network::spiking(&[4, 24, 2], 0.9, 0.5, 2);
        let before = evaluate(&network, &samples, None, false).accuracy();
        let fitted = fit(network, &training, |_| Cow::Borrowed(&samples), &samples, |_, _| {});
        assert!(before < 0.8 && fitted.best_numbers().unwrap().test_accuracy > 0.98);
    }
}

#[test]
fn without_selection_the_last_epoch_is_kept_and_none_is_left_out() {
    let samples = random_samples(64, 3, 5, 3, 21);
    let run = |keep_last: bool| {
        let training =
            Training { epochs: 12, patience: 1, learning_rate: 1e-2, keep_last, ..Training::default() };
        let network = Network::spiking(&[5, 16, 3], 0.9, 0.5, 3);
        fit(network, &training, |_| Cow::Borrowed(&samples), &samples, |_, _| {})
    };
    let (last, best) = (run(true), run(false));
    assert_eq!((last.epochs.len(), last.best_epoch), (12, 11));
    assert!(best.epochs.len() < 12, "patience ends the other run");
    let found = evaluate(&last.best, &samples, None, false).accuracy();
    assert!((found - last.epochs[11].test_accuracy).abs() < 1e-12);
}

#[test]
fn probes_change_nothing_and_time_learning_inside_an_epoch() {
    let samples = random_samples(64, 3, 5, 3, 21);
    let run = |probes: usize| {
        let training = Training { epochs: 4, batch: 8, patience: 9, probes, ..Training::default() };
        let network = Network::spiking(&[5, 16, 3], 0.9, 0.5, 3);
        fit(network, &training, |_| Cow::Borrowed(&samples), &samples, |_, _| {})
    };
    let (once, often) = (run(1), run(4));
    assert_eq!((&once.epochs, &once.last), (&often.epochs, &often.last));
    let times: Vec<f64> = often.probes.iter().map(|p| p.0).collect();
    assert_eq!(times, (1..=16).map(|k| f64::from(k) / 4.0).collect::<Vec<_>>());
    assert!(once.probes.iter().eq(often.probes.iter().skip(3).step_by(4)));

    let mut fitted = once;
    fitted.best_epoch = 0;
    fitted.epochs[0].test_accuracy = 1.0;
    fitted.probes = vec![(0.5, 0.4), (1.0, 0.8), (1.5, 1.0)];
    assert!((fitted.epochs_to_ninety_percent().unwrap() - 1.25).abs() < 1e-9);
    fitted.probes = vec![(0.5, 0.95)];
    assert_eq!(fitted.epochs_to_ninety_percent(), Some(0.5));
}

#[test]
fn epochs_can_be_compared_by_the_currents_into_the_outputs() {
    let samples = random_samples(64, 3, 5, 3, 21);
    let run = |readout: Readout, seed: u64| {
        let training = Training { epochs: 1, readout, ..Training::default() };
        let network = Network::spiking(&[5, 16, 3], 0.9, 0.5, seed);
        fit(network, &training, |_| Cow::Borrowed(&samples), &samples, |_, _| {})
    };
    let mut differ = 0;
    for seed in 1..=6 {
        let (spikes, currents) = (run(Readout::Spikes, seed), run(Readout::Currents, seed));
        assert_eq!(spikes.last, currents.last, "the readout trains nothing");

        let (mut tape, all) = (Tape::default(), (0..64).collect::<Vec<u32>>());
        forward(&currents.last, &samples, &all, None, false, &mut tape);
        let Neuron::Lif { decay, threshold } = currents.last.layers[1].neuron else {
            panic!("a spiking network")
        };
        let mut correct = 0;
        for (sample, label) in samples.labels().iter().enumerate() {
            // U[t] = decay * U[t-1] + I[t] - threshold * S[t-1], solved for I
            let mut sums = [0.0f32; 3];
            for t in 0..3 {
                let now = tape.membranes(1, sample, t);
                sums.iter_mut().zip(now).for_each(|(sum, u)| *sum += u);
                if t < 2 {
                    sums.iter_mut().zip(now).for_each(|(sum, u)| *sum -= decay * u);
                    tape.outputs(1, sample, t).iter().for_each(|s| sums[s.index as usize] += threshold);
                }
            }
            let best = (0..3).max_by(|a, b| sums[*a].total_cmp(&sums[*b]));
            correct += usize::from(best == Some(usize::from(*label)));
        }
        assert_eq!(currents.epochs[0].test_accuracy, correct as f64 / 64.0);
        differ += usize::from(currents.epochs[0].test_accuracy != spikes.epochs[0].test_accuracy);
    }
    assert!(differ > 0);
}

#[test]
fn spikes_are_the_neurons_above_the_threshold_in_ascending_order() {
    for neurons in [1, 7, 63, 64, 65, 130] {
        let network = Network::spiking(&[9, neurons], 0.8, 0.4, 11);
        let samples = random_samples(9, 4, 9, 2, 12);
        let mut tape = Tape::default();
        let chosen: Vec<u32> = (0..9).collect();
        forward(&network, &samples, &chosen, None, false, &mut tape);
        let mut total = 0;
        for (sample, step) in (0..9).flat_map(|sample| (0..4).map(move |step| (sample, step))) {
            let above = tape.membranes(0, sample, step).iter().enumerate().filter(|(_, u)| **u > 0.4);
            let expected: Vec<Entry> = above.map(|(i, _)| Entry { index: i as u32, value: 1.0 }).collect();
            assert_eq!(tape.outputs(0, sample, step), expected);
            total += expected.len();
        }
        assert!(total > 0 && total < 9 * 4 * neurons);
    }
}

#[test]
fn training_with_ternary_weights_survives_their_rounding() {
    // three prototypes in noise
    let mut random = Xoshiro256PlusPlus::seed_from_u64(9);
    let prototypes: Vec<f32> = (0..3 * 12).map(|_| symmetric(&mut random)).collect();
    let mut samples = Samples::new(4, 12);
    for k in 0..192 {
        let prototype = &prototypes[k % 3 * 12..k % 3 * 12 + 12];
        let values: Vec<f32> = (0..48).map(|i| prototype[i % 12] + 0.8 * symmetric(&mut random)).collect();
        samples.push(&values, (k % 3) as u8);
    }
    let integers = Integers { weight_bits: 2, input_step: 1.0 / 16.0, state_shift: 4 };
    let mut snapped = samples.clone();
    let grid = InputGrid { step: 1.0 / 16.0, limit: 8.0 };
    snapped.map(|v| grid.round(v));
    let run = |integers: Option<Integers>| {
        let training =
            Training { epochs: 40, patience: 40, learning_rate: 3e-3, integers, ..Training::default() };
        let network = Network::spiking(&[12, 48, 3], 0.9, 0.5, 2);
        let fitted = fit(network, &training, |_| Cow::Borrowed(&snapped), &snapped, |_, _| {});
        let mut rounded = fitted.best.clone();
        round_network(&fitted.best, 2, 1.0 / 16.0, 4, &mut rounded);
        (
            evaluate(&rounded, &snapped, None, false).accuracy(),
            fitted.best_numbers().unwrap().test_accuracy,
            rounded,
        )
    };
    let (aware, reported, rounded) = run(Some(integers));
    let (unaware, ..) = run(None);
    assert_eq!(aware, reported, "training reports the rounded network");
    assert!(aware > 0.95 && aware > unaware, "{aware} against {unaware}");
    if let Connection::Dense(dense) = &rounded.layers[0].connection {
        let step = weight_step(&dense.rows(), 2);
        assert!(
            dense
                .rows()
                .iter()
                .all(|w| ((w / step) - (w / step).round()).abs() < 1e-4 && (w / step).abs() < 1.001)
        );
    }
}

#[test]
fn flips_invert_as_many_spikes_as_asked_and_leave_the_first_layer_s_membranes_alone() {
    let samples = random_samples(50, 4, 6, 2, 1);
    let network = Network::spiking(&[6, 100, 100, 2], 0.9, 1.0, 1);
    let flips = |probability| Some(SpikeFlips { probability, seed: 3 });
    let quiet = evaluate(&network, &samples, flips(0.0), false);
    assert_eq!(quiet, evaluate(&network, &samples, None, false));
    let all = evaluate(&network, &samples, flips(1.0), false);
    let neurons = 100 * 4 * 50;
    assert_eq!(quiet.spikes[0].iter().sum::<u64>() + all.spikes[0].iter().sum::<u64>(), neurons);
    let some = evaluate(&network, &samples, flips(0.1), true);
    assert_eq!(some, evaluate(&network, &samples, flips(0.1), false));
    let quiet_rate = quiet.spikes[0].iter().sum::<u64>() as f64 / neurons as f64;
    let rate = some.spikes[0].iter().sum::<u64>() as f64 / neurons as f64;
    assert!((rate - (0.9 * quiet_rate + 0.1 * (1.0 - quiet_rate))).abs() < 0.01);
}

#[test]
fn weightless_chains_pass_spikes_and_gradients_one_to_one() {
    let lif = Neuron::Lif { decay: 0.9, threshold: 0.5 };
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let network = Network {
        layers: vec![
            Layer { connection: Connection::Dense(Dense::uniform(5, 8, &mut random)), neuron: lif },
            Layer { connection: Connection::Identity(8), neuron: lif },
            Layer {
                connection: Connection::Dense(Dense::uniform(8, 2, &mut random)),
                neuron: Neuron::Linear,
            },
        ],
    };
    // the same chain with unit weights in place of the identity
    let mut dense = network.clone();
    let unit_rows: Vec<f32> = (0..64).map(|i| if i % 9 == 0 { 1.0 } else { 0.0 }).collect();
    dense.layers[1].connection = Connection::Dense(Dense::from_rows(8, 8, &unit_rows, &[0.0; 8]).unwrap());
    let samples = random_samples(6, 5, 5, 2, 3);
    let chosen: Vec<u32> = (0..6).collect();
    let (mut a, mut b) =
        (Trainer::new(network, &Training::default()), Trainer::new(dense, &Training::default()));
    assert_eq!(a.step(&samples, &chosen).loss, b.step(&samples, &chosen).loss);
    for l in [0, 2] {
        let pairs = a.adam().gradient(l).0.iter().zip(b.adam().gradient(l).0);
        assert!(pairs.clone().any(|(x, _)| *x != 0.0));
        pairs.for_each(|(x, y)| assert!((x - y).abs() < 1e-6));
    }
}
