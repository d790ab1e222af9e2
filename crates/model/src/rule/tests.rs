use super::oracle::{Post as FloatPost, Projection};
use super::*;
use synop_core::draw::Threefry;
use synop_core::plasticity::{Columns, Marks, Moment, Post, Row, Tally, Targets, Weights};

const STDP: &str = "
    rule stdp {
        x1: decay 0.5 add 64    # halves exactly
        y1: decay 0.5 add 64
        every tick
        rounding nearest
        bounds -127 127
        dw = 2^-4*x1*y0 - 2^-5*y1*x0
    }";

const REWARDED: &str = "rule rewarded { x1: decay 0.5 add 64; every 2 ticks; rounding nearest; bounds 0 100; dw = 2^-5*r*x1*y0 }";

const DELTA: &str = "
    rule delta {
        x1: decay 1 add 1; end of sample; rounding nearest; bounds -20 20
        error e = (t*u <= 24)
        dw = 3*e*t*x1
    }";

/// A small dense projection of 8-bit weights, driven by hand: what the machine does after its own step.
struct Bench {
    rule: Rule,
    width: usize,
    weights: Vec<u8>,
    pre: Vec<[i32; 2]>,
    post: Vec<[i32; 2]>,
    time: u64,
    tally: Tally,
}

impl Bench {
    fn new(text: &str, rows: usize, weights: &[i8]) -> Self {
        let rule = RuleSpec::parse(text).expect("a rule").compile().expect("compiles");
        let weights: Vec<u8> = weights.iter().map(|&w| w as u8).collect();
        let width = weights.len() / rows;
        Self {
            rule,
            width,
            weights,
            pre: vec![[0; 2]; rows],
            post: vec![[0; 2]; width],
            time: 0,
            tally: Tally::default(),
        }
    }

    fn weights(&self) -> Vec<i8> {
        self.weights.iter().map(|&w| w as i8).collect()
    }

    fn apply(&mut self, events: &[i32], posts: &[Post], third: i32) {
        let rule = self.rule;
        let mut values = vec![0; Columns::values_needed(&rule, self.width)];
        let mut lists = vec![0; Columns::lists_needed(&rule, self.width)];
        let mut marks = Marks::default();
        let mut columns = Columns::new(&rule, self.width, &mut values, &mut lists, &mut marks).expect("fits");
        for (j, (post, &traces)) in posts.iter().zip(&self.post).enumerate() {
            columns.set(&rule, j, &Post { traces, ..*post });
        }
        for (i, (weights, (&x0, &[x1, x2]))) in
            self.weights.chunks_mut(self.width).zip(events.iter().zip(&self.pre)).enumerate()
        {
            let pre = rule.pre_side([x0, x1, x2], third);
            if pre.is_idle() {
                continue;
            }
            let first_draw = (i * self.width) as u32;
            let mut row = Row { weights: Weights::Eight(weights), targets: Targets::From(0), first_draw };
            let moment = Moment { purpose: synop_core::draw::PLASTICITY, time: self.time };
            self.tally += rule.update(&pre, &columns, &mut row, &mut Threefry::new(1), moment);
        }
    }

    fn tick(&mut self, events: &[i32], posts: &[Post], third: i32) {
        for (traces, &event) in self.pre.iter_mut().zip(events) {
            advance(traces, self.rule.pre_traces(), event);
        }
        for (traces, post) in self.post.iter_mut().zip(posts) {
            advance(traces, self.rule.post_traces(), post.spikes);
        }
        let due = self.rule.cadence().due(self.time);
        self.time += 1;
        if due {
            self.apply(events, posts, third);
        }
    }
}

fn advance(values: &mut [i32; 2], traces: [Option<core::Trace>; 2], event: i32) {
    for (value, trace) in values.iter_mut().zip(traces) {
        if let Some(trace) = trace {
            *value = trace.after_event(trace.decayed(*value), event).0;
        }
    }
}

fn spikes(bits: &[i32]) -> Vec<Post> {
    bits.iter().map(|&spikes| Post { spikes, ..Post::default() }).collect()
}

/// Pre spikes at ticks 0 and 3, post spikes at ticks 2 and 4, traces halve per tick:
///
/// | tick | x1 | y1 | x0 | y0 | exact dw | w |
/// |---|---|---|---|---|---|---|
/// | 0 | 64 | 0 | 1 | 0 | 0 | 10 |
/// | 1 | 32 | 0 | 0 | 0 | 0 | 10 |
/// | 2 | 16 | 64 | 0 | 1 | 16/16 = 1 | 11 |
/// | 3 | 72 | 32 | 1 | 0 | −32/32 = −1 | 10 |
/// | 4 | 36 | 80 | 0 | 1 | 36/16 = 2.25 → 2 | 12 |
/// | 5 | 82 | 104 | 1 | 1 | 82/16 − 104/32 = 1.875 → 2 | 14 |
#[test]
fn pair_stdp_follows_the_hand_worked_trace() {
    let mut bench = Bench::new(STDP, 1, &[10]);
    let mut found = Vec::new();
    for (x0, y0) in [(1, 0), (0, 0), (0, 1), (1, 0), (0, 1), (1, 1)] {
        bench.tick(&[x0], &spikes(&[y0]), 0);
        found.push((bench.pre[0][0], bench.post[0][0], bench.weights()[0]));
    }
    assert_eq!(found, [(64, 0, 10), (32, 0, 10), (16, 64, 11), (72, 32, 10), (36, 80, 12), (82, 104, 14)]);
    assert_eq!((bench.tally.attempted, bench.tally.changed), (4, 4));
}

/// One pre neuron onto two posts; the reward arrives every second tick. Trace: tick 0: 64, 1: 32, 2: 16 + 64 = 80, 3: 40.
/// Tick 1 (r = 3): y = (1, 0): 3·32/32 = 3. Tick 3 (r = −4): y = (1, 1): −4·40/32 = −5; the second weight, 2, is cut
/// at 0. Tick 2 would have paid 80·r/32, but the rule sleeps.
#[test]
fn reward_modulated_stdp_follows_the_hand_worked_trace() {
    let mut bench = Bench::new(REWARDED, 1, &[10, 2]);
    bench.tick(&[1], &spikes(&[0, 0]), 9);
    bench.tick(&[0], &spikes(&[1, 0]), 3);
    assert_eq!(bench.weights(), [13, 2]);
    bench.tick(&[1], &spikes(&[1, 1]), 9);
    assert_eq!(bench.weights(), [13, 2]);
    bench.tick(&[0], &spikes(&[1, 1]), -4);
    assert_eq!(bench.weights(), [8, 0]);
    assert_eq!((bench.tally.attempted, bench.tally.saturated, bench.tally.nonzero), (3, 1, -1));
}

/// Two pre neurons that spiked 2 and 0 times, three posts: u = 20 with t = 1 is within the margin (20 ≤ 24) and
/// moves by 3·1·2; u = 30 with t = 1 is safe; u = 30 with t = −1 is wrong (−30 ≤ 24) and moves by −6, from −17 to −23,
/// cut at −20.
#[test]
fn the_error_gated_delta_rule_follows_the_hand_worked_trace() {
    let mut bench = Bench::new(DELTA, 2, &[1, 2, -17, 4, 5, 6]);
    let posts = [(20, 1), (30, 1), (30, -1)].map(|(state, target)| Post { state, target, ..Post::default() });
    bench.tick(&[1, 0], &posts, 0);
    bench.tick(&[1, 0], &posts, 0);
    assert_eq!(bench.weights(), [1, 2, -17, 4, 5, 6], "not before the end of the sample");
    bench.apply(&[0, 0], &posts, 0);
    assert_eq!(bench.weights(), [7, 2, -20, 4, 5, 6]);
    assert_eq!((bench.tally.attempted, bench.tally.saturated), (2, 1));
}

#[test]
fn the_oracle_agrees_with_the_integers_where_nothing_is_rounded() {
    // Halving traces of 64 stay whole for six ticks, and the constants are powers of two; sixteenths are rounded.
    let text = STDP.replace("2^-4", "1").replace("2^-5", "2");
    let mut bench = Bench::new(&text, 2, &[10, -20, 30, 0]);
    let spec = RuleSpec::parse(&text).expect("a rule");
    let mut oracle = Projection::new(&spec, 2, vec![10.0, -20.0, 30.0, 0.0]);
    for (x, y) in [([1, 0], [0, 1]), ([0, 0], [1, 0]), ([0, 1], [0, 0]), ([0, 0], [1, 1]), ([1, 1], [1, 0])] {
        bench.tick(&x, &spikes(&y), 0);
        let posts = y.map(|spikes| FloatPost { spikes: f64::from(spikes), ..FloatPost::default() });
        oracle.tick(&x.map(f64::from), &posts, 0.0);
        let weights: Vec<f64> = bench.weights().into_iter().map(f64::from).collect();
        assert_eq!(weights, oracle.weights);
    }
}

/// The trace of [`pair_stdp_follows_the_hand_worked_trace`] on the machine, where a second input forces the spikes.
#[test]
fn the_machine_follows_the_hand_worked_stdp_trace() {
    use crate::network::{Kind, Lif, Network, Population, Projection, Synapses};
    use synop_core::{Machine, Portable, Unobserved};
    let mut network = Network {
        rules: vec![RuleSpec::parse(STDP).expect("a rule").encode().expect("encodes")],
        ..Network::default()
    };
    network.add_population(Population::input("pre", 1, 1));
    network.add_population(Population::input("force", 1, 1));
    let kind = Kind::Lif(Box::new(Lif { threshold: 5000.into(), ..Lif::default() }));
    network.add_population(Population {
        name: "post".into(),
        size: 1,
        kind,
        stage: 1,
        groups: 1,
        payload_max: 1,
    });
    let projection = |name: &str, source, synapses, rule| Projection {
        name: name.into(),
        source,
        target: 2,
        group: 0,
        delay: 0,
        synapses,
        rule,
    };
    network.projections.push(projection(
        "learnt",
        0,
        Synapses::Dense { bits: 8, weights: vec![10] },
        Some(0),
    ));
    network.projections.push(projection("forced", 1, Synapses::Identity { weight: 10_000 }, None));
    let blob =
        crate::image::write(&network, &crate::placement::Placement::one_core(&network)).expect("an image");
    let image = blob.image().expect("checks");
    let mut arena = vec![0; image.memory(0..image.cores).words()];
    let mut machine = Machine::new(image, &mut arena).expect("fits");
    let port = (0..machine.image().ports)
        .find(|&i| machine.image().port(i).is_some_and(|p| p.rule == 0))
        .expect("a plastic port");
    let mut found = Vec::new();
    for (x0, y0) in [(1, 0), (0, 0), (0, 1), (1, 0), (0, 1), (1, 1)] {
        machine.drive(0, &[x0]).expect("an input");
        machine.drive(1, &[y0]).expect("an input");
        machine.step(&Portable, &mut Threefry::new(1), &mut Unobserved);
        found.push(machine.matrix(port).expect("dense").bytes[0] as i8);
    }
    assert_eq!(found, [10, 10, 11, 10, 12, 14]);
}

#[test]
fn text_and_rule_are_the_same_after_a_round_trip() {
    let full = "rule full_1 { x1: decay 0.9 add 64 max 1000; x2: tau 20 set -3; y2: decay 0 add 1; g: group 3
        every 7 ticks; rounding gate 0.3; bounds -8 7
        error e = (s*(g0+g2+u) <= -5); window h = (|u - -12| < 40)
        dw = 0.3*(t - u)*x1*e*h + x2*w^2*r
             - 1e-3*g*y2*x0 - 2^-4*s*s*s
    }";
    let samples =
        "rule s { every 16 samples; rounding nearest; bounds -99 99; decay 0.0125 every 1000 samples
        error e = (s*(g0+g1) <= 40) soft 12; dw = 0.3*x0*y0*(e + f) }";
    for text in [STDP, REWARDED, DELTA, full, samples] {
        let spec = RuleSpec::parse(text).expect("a rule");
        let written = spec.to_string();
        assert_eq!(RuleSpec::parse(&written).expect(&written), spec, "{written}");
        assert_eq!(spec.compile().expect("compiles").cadence(), spec.cadence);
    }
    let spec = RuleSpec::parse(full).expect("a rule");
    assert_eq!(spec.terms.len(), 5);
    assert_eq!(spec.rounding, Rounding::Gate(19_661));
}

#[test]
fn products_are_multiplied_out_and_equal_terms_meet() {
    let terms = |dw: &str| {
        let text = format!(
            "rule r {{ x1: decay 1 add 1; error e = (u <= 0); every tick; rounding nearest; bounds 0 1; dw = {dw} }}"
        );
        let spec = RuleSpec::parse(&text)?;
        Ok::<_, RuleError>(
            spec.terms.iter().map(|t| (t.coefficient, text::variables(t.exponents))).collect::<Vec<_>>(),
        )
    };
    let own = |list: &[(f64, &str)]| list.iter().map(|&(c, v)| (c, v.to_owned())).collect::<Vec<_>>();
    assert_eq!(terms("x1*t - 0.5*t*x1 + e*e*x1").expect("parses"), own(&[(0.5, "x1*t"), (1.0, "x1*e")]));
    assert_eq!(terms("-(t - u)*(t + u)").expect("parses"), own(&[(1.0, "u^2"), (-1.0, "t^2")]));
    assert_eq!(terms("2^3*x1^2*s*s").expect("parses"), own(&[(8.0, "x1^2")]));
    assert!(terms("x1 - x1").is_err());
    assert!(terms("(x0+x1+t+u)*(y0+r+w)").is_err(), "twelve terms");
}

#[test]
fn only_rules_over_several_samples_decay_draw_their_error_and_know_that_of_the_pre_neuron() {
    let with = |cadence: &str, statements: &str| {
        let text = format!("rule r {{ {cadence}; rounding nearest; bounds -9 9; {statements} }}");
        RuleSpec::parse(&text).map(|r| r.compile().expect("compiles").symmetry())
    };
    let error = "error e = (s*g0 <= 4)";
    let refused = [
        format!("{error} soft 3; dw = x0*e*s"),
        format!("{error}; decay 0.5 every 16 samples; dw = x0*e*s"),
        format!("{error}; dw = x0*y0*e*f"),
        format!("{error}; dw = x0*y0*(e + f)"),
    ];
    use synop_core::plasticity::Symmetry;
    let symmetries = [Symmetry::None, Symmetry::None, Symmetry::Both, Symmetry::Mean];
    for (statements, symmetry) in refused.iter().zip(symmetries) {
        for cadence in ["every tick", "end of sample"] {
            assert!(with(cadence, statements).is_err(), "{cadence}; {statements}");
        }
        assert_eq!(with("every 4 samples", statements), Ok(symmetry), "{statements}");
    }
    for dw in ["x0*y0*e + 2*x0*y0*f", "x0*s*e*f", "x0*e + x0*f", "x0*f", "x0*y0*e + x0*y0*e*f", "x0*y0*e*f*t"]
    {
        assert!(with("every 4 samples", &format!("{error}; dw = {dw}")).is_err(), "{dw}");
    }
    assert!(with("every 4 samples", &format!("{error}; decay 0.1 every 3 samples; dw = x0*e")).is_err());
    for share in ["0", "1", "0.000001", "-0.5"] {
        let text = format!("{error}; decay {share} every 100 samples; dw = x0*e");
        assert!(
            with("every 4 samples", &text).expect_err("no share").to_string().contains("1/65536"),
            "{share}"
        );
    }
    assert!(with("every 4 samples", "error e = (s*g0 <= 4) soft 1048576; dw = x0*e").is_err());
}

#[test]
fn errors_name_the_place_and_the_mend() {
    let error = |text: &str| RuleSpec::parse(text).expect_err("not a rule").to_string();
    let with = |statement: &str| {
        error(&format!(
            "rule r {{ x1: decay 0.9 add 64; every tick\n rounding nearest; bounds -1 1\n {statement}\n}}"
        ))
    };
    assert_eq!(error(""), "line 1, column 1: found the end of the text, expected `rule NAME {`");
    assert!(
        with("dw = x1*y3").starts_with("line 3, column 10: found `y3`, expected a number"),
        "{}",
        with("dw = x1*y3")
    );
    assert!(with("dw = x1*y1").contains("y1: decay 0.9 add 64"));
    assert!(with("dw = e*x1").contains("error e = (t*u <= 24)"));
    assert!(with("dw = 3x1").ends_with("a product needs its `*`"));
    assert!(with("dw = 1e9*x1").contains("the constant of the term in x1 is 1000000000"));
    assert!(with("dw = w^3").contains("no power of w above w^2"));
    assert!(with("dw = x1; bounds 0 1").contains("only once"));
    assert!(with("every 0 ticks").contains("from 1 to"));
    assert!(with("x2: decay 1.5 add 3").starts_with("line 3, column 6"));
    assert!(with("learning rate = 3").contains("expected a statement"));
    assert!(with("dw = x1 $").contains("`$`"));
    assert!(
        error("rule r { every tick; rounding nearest; bounds -1 1 }")
            .contains("`dw = …` before the end of rule r")
    );
    assert!(error("rule r { dw = x0; every tick; bounds -1 1 }").contains("`rounding nearest`"));
    assert!(error("rule r { rounding gate 1 }").contains("for 1 write `rounding nearest`"));
}

#[test]
fn mutated_texts_never_panic() {
    use synop_core::draw::Draws;
    let mut source = Threefry::new(11);
    let mut parsed = 0;
    for trial in 0..20_000 {
        let mut text: Vec<char> = [STDP, REWARDED, DELTA][trial as usize % 3].chars().collect();
        for change in 0..=u64::from(source.draw(0, 0, trial) % 3) {
            let at = source.draw(1, change, trial) as usize % text.len();
            let other = text[source.draw(2, change, trial) as usize % text.len()];
            match source.draw(3, change, trial) % 4 {
                0 if text.len() > 1 => {
                    text.remove(at);
                }
                1 => text.insert(at, other),
                2 => {
                    text[at] = "()^*-;|9e{}:="[source.draw(4, change, trial) as usize % 13..]
                        .chars()
                        .next()
                        .unwrap_or(' ')
                }
                _ => text.truncate(at.max(1)),
            }
        }
        let text: String = text.into_iter().collect();
        if let Ok(spec) = RuleSpec::parse(&text) {
            parsed += 1;
            assert_eq!(RuleSpec::parse(&spec.to_string()), Ok(spec), "{text}");
        }
    }
    assert!(parsed > 100, "{parsed}");
}
