//! The models against recorded messages, and the laws that any model must obey.

use super::*;
use crate::{Chip, Class, shipped};
use proptest::prelude::*;
use serde_json::Value;

fn golden(case: &str) -> Option<Value> {
    let path = format!("{}/../../tests/golden/sanafe/{case}/expected.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).ok()?;
    serde_json::from_str(&text).ok()
}

/// A chip with the mesh, buffer and hop times (N, E, S, W in ns) of a recorded case.
fn chip(width: u32, height: u32, buffer: u32, hop_ns: [f64; 4]) -> Chip {
    let mut c = shipped::chip("loihi1-fitted").unwrap();
    c.mesh.width = width;
    c.mesh.height = height;
    c.mesh.cores_per_tile = 2;
    c.links.as_mut().unwrap().buffer = buffer;
    for (class, ns) in
        [Class::HopNorth, Class::HopEast, Class::HopSouth, Class::HopWest].into_iter().zip(hop_ns)
    {
        let p = c.latencies.get_mut(class.key()).unwrap();
        (p.value, p.low, p.high) = (ns, ns, ns);
    }
    c
}

struct Recorded {
    message: Message,
    sent_s: f64,
    network_s: f64,
}

fn recorded(run: &Value, step: usize) -> Vec<Recorded> {
    let mut list: Vec<(u32, i64, Recorded)> = Vec::new();
    for m in run["message_trace"][step].as_array().unwrap() {
        let f = |k: &str| m[k].as_f64().unwrap_or(0.0);
        let core =
            |tile: &str, offset: &str| (m[tile].as_u64().unwrap() * 2 + m[offset].as_u64().unwrap()) as u32;
        let source = core("src_tile_id", "src_core_offset");
        let placeholder = m["placeholder"].as_bool().unwrap();
        let r = Recorded {
            message: Message {
                source,
                destination: (!placeholder).then(|| core("dest_tile_id", "dest_core_offset")),
                generation_s: f("generation_delay"),
                processing_s: f("processing_delay"),
            },
            sent_s: f("send_timestamp"),
            network_s: f("network_delay"),
        };
        let order = if placeholder { i64::MAX } else { m["mid"].as_i64().unwrap() };
        list.push((source, order, r));
    }
    list.sort_by_key(|(core, order, _)| (*core, *order));
    list.into_iter().map(|(_, _, r)| r).collect()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-12)
}

fn replay(case: &str, chip: &Chip, sync_s: f64) {
    let Some(expected) = golden(case) else {
        println!("skipped: {case} is not in tests/golden/sanafe");
        return;
    };
    let fabric = Fabric::of(chip, |_| None);
    for (model, name) in [(Model::Simple, "simple"), (Model::Detailed, "detailed")] {
        let run = &expected["runs"][name];
        let times = run["perf_trace"]["sim_time"].as_array().unwrap();
        for (step, time) in times.iter().enumerate() {
            let list = recorded(run, step);
            let messages: Vec<Message> = list.iter().map(|r| r.message).collect();
            let ours = tick(model, &messages, &fabric, sync_s).unwrap();
            let theirs = time.as_f64().unwrap();
            assert!(
                close(ours.total_s, theirs),
                "{case} {name} step {}: {} against {theirs}",
                step + 1,
                ours.total_s
            );
            if model == Model::Detailed {
                detailed::tick(&messages, &fabric, &mut |i, fate| {
                    assert!(close(fate.sent_s, list[i].sent_s), "{case} step {step} message {i}");
                    assert!(close(fate.network_s, list[i].network_s), "{case} step {step} message {i}");
                });
            }
        }
    }
}

#[test]
fn recorded_messages_of_two_cores_take_the_recorded_time() {
    replay("case_a_two_cores", &chip(1, 1, 8, [1.0, 2.0, 4.0, 8.0]), 1e-6);
}

#[test]
fn recorded_messages_of_the_recurrent_case_take_the_recorded_time() {
    replay("case_c_loihi_recurrent", &chip(2, 2, 16, [6.5, 4.1, 6.5, 4.1]), 1.4e-6);
}

#[test]
fn recorded_messages_of_the_congested_case_take_the_recorded_time() {
    replay("case_e_congestion_tiefree", &chip(4, 2, 1, [1.1, 1.3, 1.7, 1.9]), 4e-7);
}

#[test]
fn one_packet_takes_generation_way_and_processing_in_every_model_with_links() {
    let fabric = Fabric::of(&chip(4, 2, 1, [1.0, 2.0, 1.0, 2.0]), |_| None);
    let m = [Message { source: 0, destination: Some(15), generation_s: 5e-9, processing_s: 7e-9 }];
    // three hops east at 2 ns, one north at 1 ns
    for model in [Model::Detailed, Model::Queue] {
        let t = tick(model, &m, &fabric, 0.0).unwrap();
        assert!(close(t.total_s, 19e-9), "{model:?} {}", t.total_s);
        assert_eq!((t.critical_core, t.reason), (Some(15), Reason::Processing));
    }
}

#[test]
fn a_full_buffer_holds_its_senders_back() {
    let fabric = Fabric::of(&chip(4, 1, 1, [1.0; 4]), |_| None);
    // eight packets made every ns for a core that needs 100 ns each
    let m: Vec<Message> = (0..8)
        .map(|_| Message { source: 0, destination: Some(6), generation_s: 1e-9, processing_s: 100e-9 })
        .collect();
    let t = tick(Model::Queue, &m, &fabric, 0.0).unwrap();
    // first packet: 1 ns generation and 3 hops; then one after the other, each needing at most its last move
    assert!(t.total_s >= 804e-9 && t.total_s < 804e-9 + 8e-9, "{}", t.total_s);
    assert!(t.blocked_s > 100e-9, "{}", t.blocked_s);
    let wide = Fabric::of(&chip(4, 1, 64, [1.0; 4]), |_| None);
    let free = tick(Model::Queue, &m, &wide, 0.0).unwrap();
    assert!(free.total_s <= t.total_s && free.blocked_s < t.blocked_s);
}

#[test]
fn messages_out_of_order_or_range_are_refused() {
    let fabric = Fabric::of(&chip(1, 1, 1, [1.0; 4]), |_| None);
    let m = |source, generation_s| Message { source, destination: None, generation_s, processing_s: 0.0 };
    assert!(tick(Model::Queue, &[m(1, 0.0), m(0, 0.0)], &fabric, 0.0).is_err());
    assert!(tick(Model::Queue, &[m(2, 0.0)], &fabric, 0.0).is_err());
    assert!(tick(Model::Simple, &[m(0, f64::NAN)], &fabric, 0.0).is_err());
}

fn any_messages() -> impl Strategy<Value = Vec<Message>> {
    proptest::collection::vec((0u32..16, 0u32..17, 0u64..40, 0u64..60), 0..80).prop_map(|v| {
        let mut list: Vec<Message> = v
            .into_iter()
            .map(|(source, to, g, p)| Message {
                source,
                destination: (to < 16).then_some(to),
                generation_s: g as f64 * 1e-9,
                processing_s: p as f64 * 1e-9,
            })
            .collect();
        list.sort_by_key(|m| m.source);
        list
    })
}

proptest! {
    #[test]
    fn every_packet_is_delivered_and_no_model_beats_the_simple_one(messages in any_messages(), buffer in 1u32..5) {
        let fabric = Fabric::of(&chip(4, 2, buffer, [1.0, 2.0, 3.0, 4.0]), |_| None);
        let simple = tick(Model::Simple, &messages, &fabric, 0.0).unwrap();
        let queue = tick(Model::Queue, &messages, &fabric, 0.0).unwrap();
        let detailed = tick(Model::Detailed, &messages, &fabric, 0.0).unwrap();
        // A queue that lost a packet would end before the busiest core.
        prop_assert!(queue.total_s >= simple.total_s * (1.0 - 1e-9));
        prop_assert!(detailed.total_s >= simple.total_s * (1.0 - 1e-9));
        prop_assert_eq!(queue, tick(Model::Queue, &messages, &fabric, 0.0).unwrap());
        // An upper bound: all generation, ways and work one after the other.
        let all: f64 = messages.iter().map(|m| m.generation_s + m.processing_s + m.destination.map_or(0.0, |d| fabric.free_way_s(m.source, d))).sum();
        prop_assert!(queue.total_s <= all + 1e-12);
    }
}
