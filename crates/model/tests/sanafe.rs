//! SANA-FE descriptions in every form that the format permits; expected values were recorded from SANA-FE 2.2.9.

use synop_model::sanafe::{Arch, Snn, Trial, lower, run};

/// Two tiles of two cores; somas `lif`, `tn` and eight inputs; a `dendrite` that delays beside the plain one.
fn arch() -> String {
    let costs = |names: &[&str], e: f64, t: f64| -> String {
        names.iter().map(|n| format!(", energy_{n}: {e}e-12, latency_{n}: {t}e-9")).collect()
    };
    let soma = ["access_neuron", "update_neuron", "spike_out"];
    format!(
        "architecture:
  name: a
  attributes: [topology: mesh, width: 2, height: 1, {{link_buffer_size: 4, sync_model: fixed}}, latency_sync: 1.0e-6]
  tile:
    - name: t[0..1]
      attributes: {{x: 0{hops}}}
      core:
        - name: c[0..1]
          attributes: {{buffer_position: soma, buffer_inside_unit: false, max_neurons_supported: 64}}
          axon_in:
            - {{name: ain, attributes: {{x: 0{ain}}}}}
          synapse:
            - {{name: syn, attributes: {{model: current_based{syn}}}}}
          dendrite:
            - {{name: den, attributes: {{model: accumulator{den}}}}}
            - {{name: late, attributes: {{model: accumulator_with_delay{den}}}}}
          soma:
            - {{name: lif, attributes: {{model: leaky_integrate_fire{lif}}}}}
            - {{name: tn, attributes: {{model: truenorth{lif}}}}}
            - {{name: 'in[0..7]', attributes: {{model: input{zero}}}}}
          axon_out:
            - {{name: aout, attributes: {{x: 0{aout}}}}}
",
        hops = costs(&["north_hop", "east_hop", "south_hop", "west_hop"], 2.0, 1.0),
        ain = costs(&["message_in"], 7.0, 16.0),
        syn = costs(&["process_spike"], 11.0, 3.0),
        den = costs(&["update"], 0.5, 0.25),
        lif = costs(&soma, 50.0, 6.0),
        zero = costs(&soma, 0.0, 0.0),
        aout = costs(&["message_out"], 110.0, 5.0),
    )
}

fn snn(groups: &str, edges: &str, mappings: &str) -> String {
    format!("network:\n  name: n\n  groups:\n{groups}  edges:\n{edges}mappings:\n{mappings}")
}

fn trial(text: &str, steps: usize) -> (Trial, Snn, Vec<String>) {
    let arch = Arch::read(&arch(), "arch.yaml").expect("an architecture");
    let snn = Snn::read(text, "snn.yaml").expect("a network");
    let lowered = lower(&arch, &snn).expect("it fits");
    (run(&arch, &snn, &lowered, steps).expect("it runs"), snn, lowered.warnings)
}

/// Potentials of the neurons `out.*`, step by step.
fn potentials(text: &str, steps: usize) -> Vec<Vec<f64>> {
    let (trial, snn, _) = trial(text, steps);
    let out: Vec<usize> =
        (0..snn.neurons.len()).filter(|n| snn.neurons[*n].name.starts_with("out.")).collect();
    trial.steps.iter().map(|s| out.iter().map(|n| s.potentials[*n]).collect()).collect()
}

fn close(found: &[Vec<f64>], expected: &[&[f64]]) {
    assert_eq!(found.len(), expected.len());
    for (step, (f, e)) in found.iter().zip(expected).enumerate() {
        for (n, (f, e)) in f.iter().zip(*e).enumerate() {
            assert!((f - e).abs() < 1e-9, "step {}, neuron {n}: {f}, expected {e}", step + 1);
        }
    }
}

const TWO_INPUTS: &str = "    - name: in
      attributes: [log_spikes: true]
      neurons:
        - 0: [spikes: [1, 0, 0]]
        - 1: [spikes: [0, 1, 0]]
    - name: out
      attributes: {threshold: 100, leak_decay: 0.0, log_potential: true}
      neurons: [0, 1..2]
";
const ON_TWO_CORES: &str = "  - in.0: [core: 0.0, soma: 'in[0]']
  - in.1: {core: 0.0, soma: 'in[1]'}
  - out: [core: 0.1]
";

#[test]
fn attributes_may_be_lists_and_groups_connect_densely_or_by_pairs() {
    let dense = "    - in -> out: [type: dense, weight: [1, 2, 3, 4, 5, 6]]\n";
    close(
        &potentials(&snn(TWO_INPUTS, dense, ON_TWO_CORES), 3),
        &[&[0.0; 3], &[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]],
    );
    let sparse = "    - in -> out: {type: sparse, source_target_pairs: [[0,0],[0,2],[1,1]], synapse: {w: [1, 2, 3]}}\n";
    close(
        &potentials(&snn(TWO_INPUTS, sparse, ON_TWO_CORES), 3),
        &[&[0.0; 3], &[1.0, 0.0, 2.0], &[0.0, 3.0, 0.0]],
    );
}

#[test]
fn convolutions_number_neurons_by_channel_and_kernels_by_place() {
    let groups = "    - name: in
      attributes: {}
      neurons:
        - 0: {soma_hw_name: 'in[0]', spikes: [1, 0, 0]}
        - 1..11: {soma_hw_name: lif, bias: 0.0, threshold: 100}
    - name: out
      attributes: {threshold: 100, leak_decay: 0.0, log_potential: true, soma_hw_name: lif}
      neurons: [0..3]
";
    let edges = "    - in -> out: {type: conv2d, input_width: 3, input_height: 2, input_channels: 2, kernel_width: 2, \
                 kernel_height: 1, kernel_count: 2, stride_width: 2, stride_height: 1, weight: [1,2,3,4,5,6,7,8]}\n";
    let mapped = "  - in: {core: 0.0}\n  - out: {core: 1.1}\n";
    close(&potentials(&snn(groups, edges, mapped), 3), &[&[0.0; 4], &[1.0, 0.0, 2.0, 0.0], &[0.0; 4]]);
}

#[test]
fn leaky_neurons_know_every_reset() {
    let groups = "    - name: out
      attributes: {threshold: 1, leak_decay: 1.0, log_potential: true, log_spikes: true, soma_hw_name: lif}
      neurons:
        - 0: {bias: 0.6, refractory_delay: 3}
        - 1: {bias: 0.6, reset_mode: none}
        - 2: {bias: 0.6, reset_mode: saturate}
        - 3: {bias: -0.6, reverse_threshold: -1, reverse_reset_mode: soft}
        - 4: {bias: -0.6, reverse_threshold: -1, reverse_reset_mode: hard, reverse_reset: 0.25}
        - 5: {bias: -0.6, reverse_threshold: -1, reverse_reset_mode: none}
        - 6: {bias: -0.6}
        - 7: {bias: 0.6, soma: {threshold: 2.0}}
";
    let edges = "    - out.1 -> out.6: {weight: 0.0}\n";
    let found = potentials(&snn(groups, edges, "  - out: {core: 0.1}\n"), 4);
    close(
        &found,
        &[
            &[0.6, 0.6, 0.6, -0.6, -0.6, -0.6, -0.6, 0.6],
            &[0.0, 1.19375, 1.19375, -0.19375, 0.25, -1.19375, -1.19375, 1.19375],
            &[0.0, 1.7875, 1.7875, -0.7875, -0.35, -1.7875, -1.7875, 1.7875],
            &[0.0, 2.38125, 2.38125, -0.38125, -0.94375, -2.38125, -2.38125, 0.0],
        ],
    );
}

#[test]
fn truenorth_neurons_leak_by_amounts_and_fire_from_the_threshold_on() {
    let groups = "    - name: out
      attributes: {threshold: 1, log_potential: true, log_spikes: true, soma_hw_name: tn}
      neurons:
        - 0: {bias: 0.6, leak: 0.1}
        - 1: {bias: 0.6, leak: 0.1, leak_towards_zero: true}
        - 2: {bias: 0.6, leak: 0.1, leak_towards_zero: false}
        - 3: {bias: -0.6, reverse_threshold: -1, reverse_reset_mode: soft}
        - 4: {bias: -0.6, reverse_threshold: -1, reverse_reset_mode: hard, reverse_reset: 0.25}
        - 5: {bias: -0.6, reverse_threshold: -1, reverse_reset_mode: saturate}
        - 6: {bias: -0.6, reverse_threshold: -1}
        - 7: {bias: 0.5, reset_mode: soft}
        - 8: {bias: 0.5, reset_mode: none}
        - 9: {bias: 0.5, reset_mode: saturate}
";
    let edges = "    - out.1 -> out.0: {weight: 0.25}\n";
    let text = snn(groups, edges, "  - out: {core: 0.1}\n");
    close(
        &potentials(&text, 5),
        &[
            &[0.6, 0.6, 0.7, -0.6, -0.6, -0.6, -0.6, 0.5, 0.5, 0.5],
            &[0.0, 0.0, 0.0, -2.2, 0.25, -1.0, -1.2, 0.0, 1.0, 1.0],
            &[0.85, 0.6, 0.7, -3.8, -0.35, -1.0, -1.8, 0.5, 1.5, 1.0],
            &[0.0, 0.0, 0.0, -5.4, -0.95, -1.0, -2.4, 0.0, 2.0, 1.0],
            &[0.85, 0.6, 0.7, -7.0, 0.25, -1.0, -3.0, 0.5, 2.5, 1.0],
        ],
    );
}

#[test]
fn random_inputs_repeat_the_stream_of_their_unit() {
    let groups = "    - name: in
      attributes: {log_spikes: true}
      neurons:
        - 0: {soma_hw_name: 'in[0]', poisson: 0.3}
        - 1: {soma_hw_name: 'in[3]', poisson: 0.5}
        - 2: {soma_hw_name: 'in[1]', poisson: 0.5}
        - 3: {soma_hw_name: 'in[2]', rate: 0.3}
    - name: out
      attributes: {soma_hw_name: lif}
      neurons: [0]
";
    let mapped = "  - in.0: {core: 0.0}\n  - in.1: {core: 0.1}\n  - in.2: {core: 1.0}\n  - in.3: {core: 1.0}\n  - out: {core: 0.1}\n";
    let (trial, _, _) = trial(&snn(groups, "    - in.0 -> out.0: {weight: 0.25}\n", mapped), 20);
    let train = |n: usize| -> String {
        trial.steps.iter().map(|s| if s.fired.contains(&n) { '1' } else { '.' }).collect()
    };
    assert_eq!(train(0), "..1.1........1......");
    assert_eq!(train(1), "1.1.1111.1..1.11...1");
    assert_eq!(train(2), "111.111...1..1.11.1.");
    assert_eq!(train(3), "..1..1..1..1..1..1..");
}

#[test]
fn a_dendrite_that_delays_holds_its_input_back_and_a_plain_one_says_that_it_does_not() {
    let edges = "    - in.0 -> out.0: {weight: 1, delay: 2}\n    - in.0 -> out.1: {weight: 1, delay: 2}\n";
    let groups = TWO_INPUTS
        .replace("neurons: [0, 1..2]", "neurons:\n        - 0: {dendrite_hw_name: late}\n        - 1..2: {}");
    let text = snn(&groups, edges, ON_TWO_CORES);
    close(&potentials(&text, 4), &[&[0.0; 3], &[0.0, 1.0, 0.0], &[0.0; 3], &[1.0, 0.0, 0.0]]);
    let (_, _, warnings) = trial(&text, 1);
    assert!(warnings.iter().any(|w| w.contains("no effect")), "{warnings:?}");
}

#[test]
fn what_cannot_be_kept_is_an_error_or_a_warning_that_names_the_place() {
    let arch = Arch::read(&arch(), "arch.yaml").expect("an architecture");
    let fault = |groups: &str, edges: &str, mapped: &str| {
        let snn = Snn::read(&snn(groups, edges, mapped), "snn.yaml")?;
        lower(&arch, &snn).map(|_| ())
    };
    let text = |r: Result<(), synop_model::sanafe::SanafeError>| r.expect_err("it is wrong").to_string();
    let edge = |e: &str| text(fault(TWO_INPUTS, &format!("    - {e}\n"), ON_TWO_CORES));
    assert!(edge("in -> out: {weight: 1}").contains("without a type"));
    assert!(edge("in.0..1 -> out.0: {weight: 1}").contains("one neuron on each side"));
    assert!(edge("in -> out: {type: dense, weight: [1, 2]}").contains("2 weights"));
    assert!(edge("in -> out: {type: sparse, source_target_pairs: [[0, 9]], weight: 1}").contains("pair 0"));
    assert!(edge("in -> out: {type: conv2d, input_width: 2}").contains("input_height"));
    assert!(edge("in.0 -> out.7: {weight: 1}").contains("neurons below 3"));
    let fine = "    - in.0 -> out.0: {weight: 1}\n";
    let masked = TWO_INPUTS.replace("threshold: 100", "threshold: 1, soma_hw_name: tn, random_mask: 3");
    assert!(text(fault(&masked, fine, ON_TWO_CORES)).contains("random_mask"));
    assert!(text(fault(TWO_INPUTS, fine, "  - in: {core: 0.0}\n")).contains("no mapping"));
    let rough = TWO_INPUTS.replace("threshold: 100", "threshold: 100, bias: 0.123456789");
    let (_, _, warnings) = trial(&snn(&rough, fine, ON_TWO_CORES), 1);
    assert!(warnings.iter().any(|w| w.contains("rounded to multiples")), "{warnings:?}");
}
