//! The machine against a plain interpreter of the network, and against itself: any placement, any waking,
//! machines side by side.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use synop_core::counters::NAMES;
use synop_core::store::{Event, Scalar, SparseRows, SparseRun};
use synop_core::{Count, Kernels, Machine, Portable, Threefry, Unobserved};
use synop_model::image::{Blob, write};
use synop_model::network::{
    Current, CurrentOrder, Kind, Lif, Network, Param, Population, Reset, Rows, Synapses,
};
use synop_model::placement::Placement;

struct Random(Xoshiro256PlusPlus);

impl Random {
    fn below(&mut self, n: u32) -> u32 {
        self.0.next_u32() % n
    }
    fn within(&mut self, lo: i32, hi: i32) -> i32 {
        lo + self.below((hi - lo + 1) as u32) as i32
    }
    fn coin(&mut self) -> bool {
        self.below(2) == 1
    }
}

fn lif(r: &mut Random, n: usize) -> Lif {
    let each = |r: &mut Random, lo, hi| {
        if r.coin() {
            Param::All(r.within(lo, hi))
        } else {
            Param::Each((0..n).map(|_| r.within(lo, hi)).collect())
        }
    };
    let decay = |r: &mut Random| Param::q31(r.0.next_u32() >> 1);
    Lif {
        threshold: each(r, 20, 90),
        bias: if r.coin() { Param::All(0) } else { each(r, -3, 9) },
        decay: if r.coin() { decay(r) } else { Param::q31(1 << 31) },
        current: r.coin().then(|| Current {
            decay: decay(r),
            order: [
                CurrentOrder::New,
                CurrentOrder::Old,
                CurrentOrder::JumpThenDecay,
                CurrentOrder::JumpDecayed,
            ][r.below(4) as usize],
            gain: if r.coin() { (1, 0) } else { (r.within(-9, 40), 4) },
        }),
        bias_current: r.coin(),
        reset: [
            Reset::None,
            Reset::Value,
            Reset::Subtract,
            Reset::ValueNext,
            Reset::SubtractNext,
            Reset::SubtractAgain,
        ][r.below(6) as usize],
        reset_value: each(r, -5, 5),
        initial: each(r, 0, 10),
        input_shift: r.below(3),
        refractory: if r.coin() { 0 } else { r.below(4) },
        range: if r.coin() { (-100, 150) } else { (-(1 << 30), 1 << 30) },
        clamp: r.coin(),
        greater_equal: r.coin(),
        multi_spike: r.below(4) == 0,
        silent: r.below(6) == 0,
        stateless: r.below(8) == 0,
        leak_last: r.below(6) == 0,
        adaptive: (r.below(4) == 0).then(|| (r.within(1, 20), r.0.next_u32() >> 1)),
        ..Lif::default()
    }
}

fn synapses(r: &mut Random, source: usize, target: usize, identity: bool) -> Synapses {
    let bits = [1, 2, 4, 8, 16][r.below(5) as usize];
    let weight = |r: &mut Random| match bits {
        1 => r.within(0, 1) as i16 * 2 - 1,
        2 => r.within(-2, 1) as i16,
        4 => r.within(-8, 7) as i16,
        _ => r.within(-30, 40) as i16,
    };
    let kind = r.below(if identity { 5 } else { 4 });
    if kind == 0 {
        return Synapses::Dense { bits, weights: (0..source * target).map(|_| weight(r)).collect() };
    }
    let mut rows = Rows { index: vec![0], ..Rows::default() };
    for _ in 0..source {
        for t in 0..target as u32 {
            let copies = if kind == 3 { u32::from(r.below(3) == 0) } else { r.below(8).saturating_sub(5) };
            for _ in 0..copies {
                rows.targets.push(t);
                rows.weights.push(weight(r));
                rows.delays.push(1 + r.below(4) as u16);
            }
        }
        rows.index.push(rows.targets.len());
    }
    match kind {
        1 => Synapses::Sparse { bits, weight: 0, rows },
        2 => Synapses::Sparse { bits: 0, weight: r.within(-9, 20), rows },
        3 => Synapses::Bits { weight: r.within(-9, 20), rows },
        _ => Synapses::Identity { weight: r.within(-9, 20) },
    }
}

fn network(seed: u64) -> Network {
    let r = &mut Random(Xoshiro256PlusPlus::seed_from_u64(seed));
    let mut net = Network { seed, ..Network::default() };
    let size = |r: &mut Random| 1 + r.below(150) as usize;
    let n = size(r);
    net.add_population(Population::input("in", n, 3));
    for i in 0..2 + r.below(2) {
        let n = if r.below(3) == 0 { net.populations[0].size } else { size(r) };
        let mut p = Population::lif(&format!("p{i}"), n, 1 + i, lif(r, n));
        p.groups = 1 + r.below(3);
        p.payload_max = p.payload_max.min(5);
        net.add_population(p);
    }
    for source in 0..net.populations.len() {
        for target in 1..net.populations.len() {
            if r.below(3) == 0 {
                continue;
            }
            let (s, t) = (net.populations[source].clone(), net.populations[target].clone());
            let forward = t.stage > s.stage;
            let delay = if forward { r.below(3) } else { 1 + r.below(5) };
            let same = s.size == t.size;
            let number = net.connect(source, target, delay, synapses(r, s.size, t.size, same));
            net.projections[number].group = r.below(t.groups);
        }
    }
    net
}

fn inputs(seed: u64, n: usize, ticks: usize) -> Vec<Vec<[i32; 2]>> {
    let r = &mut Random(Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x5eed));
    let quiet = |t: usize| (12..18).contains(&t);
    (0..ticks)
        .map(|t| {
            let spikes = (0..n as i32).filter(|_| !quiet(t) && r.below(5) == 0).collect::<Vec<_>>();
            spikes.into_iter().map(|i| [i, [1, 1, 1, -2, 3][r.below(5) as usize]]).collect()
        })
        .collect()
}

/// The network, neuron by neuron and synapse by synapse, in wide integers.
struct Interpreter<'n> {
    net: &'n Network,
    v: Vec<Vec<i64>>,
    current: Vec<Vec<i64>>,
    refractory: Vec<Vec<u32>>,
    adapt: Vec<Vec<i64>>,
    /// history[tick][population] = events
    history: Vec<Vec<Vec<[i32; 2]>>>,
    /// Non-zero synapses read by each population: added, multiplied.
    read: Vec<[u64; 2]>,
}

fn at(p: &Param, i: usize) -> i64 {
    match p {
        Param::All(v) => (*v).into(),
        Param::Each(v) => v[i].into(),
    }
}

fn decayed(v: i64, p: &Param, i: usize) -> i64 {
    let d = i64::from(at(p, i) as i32 as u32);
    v.signum() * ((v.abs() * d) >> 31)
}

impl<'n> Interpreter<'n> {
    fn new(net: &'n Network) -> Self {
        let zero = || net.populations.iter().map(|p| vec![0i64; p.size]).collect::<Vec<_>>();
        let mut v = zero();
        for (p, v) in net.populations.iter().zip(&mut v) {
            if let Kind::Lif(l) = &p.kind {
                v.iter_mut().enumerate().for_each(|(i, v)| *v = at(&l.initial, i));
            }
        }
        let refractory = net.populations.iter().map(|p| vec![0u32; p.size]).collect();
        let read = vec![[0; 2]; net.populations.len()];
        Interpreter { net, v, current: zero(), refractory, adapt: zero(), history: Vec::new(), read }
    }

    fn synapses(&self, number: usize, source: usize) -> Vec<(usize, i64, u32)> {
        let p = &self.net.projections[number];
        let n = self.net.populations[p.target].size;
        match &p.synapses {
            Synapses::Dense { weights, .. } => {
                (0..n).map(|t| (t, weights[source * n + t].into(), p.delay)).collect()
            }
            Synapses::Sparse { bits, weight, rows } => (rows.index[source]..rows.index[source + 1])
                .map(|s| {
                    let w = if *bits == 0 { i64::from(*weight) } else { rows.weights[s].into() };
                    (rows.targets[s] as usize, w, rows.delays.get(s).map_or(p.delay, |d| (*d).into()))
                })
                .collect(),
            Synapses::Bits { weight, rows } => (rows.index[source]..rows.index[source + 1])
                .map(|s| (rows.targets[s] as usize, (*weight).into(), p.delay))
                .collect(),
            Synapses::Identity { weight } => vec![(source, (*weight).into(), p.delay)],
            Synapses::Crossbar(_) => unreachable!("tests/crossbar.rs has these"),
        }
    }

    fn step(&mut self, input: &[[i32; 2]]) {
        let tick = self.history.len();
        let mut now = vec![Vec::new(); self.net.populations.len()];
        now[0] = input.to_vec();
        self.history.push(now);
        let stages = self.net.populations.iter().map(|p| p.stage).max().unwrap_or(0);
        for stage in 1..=stages {
            for q in 0..self.net.populations.len() {
                if self.net.populations[q].stage == stage {
                    let sums = self.sums(q, tick);
                    let events = self.update(q, &sums);
                    self.history[tick][q] = events;
                }
            }
        }
    }

    fn sums(&mut self, target: usize, tick: usize) -> Vec<i64> {
        let mut sums = vec![0i64; self.net.populations[target].size];
        for (number, p) in self.net.projections.iter().enumerate().filter(|(_, p)| p.target == target) {
            for age in 0..=tick.min(8) {
                for e in &self.history[tick - age][p.source] {
                    for (t, w, delay) in self.synapses(number, e[0] as usize) {
                        if delay as usize == age {
                            sums[t] += w * i64::from(e[1]);
                            self.read[target][usize::from(e[1].abs() != 1)] += u64::from(w != 0);
                        }
                    }
                }
            }
        }
        sums
    }

    fn update(&mut self, q: usize, sums: &[i64]) -> Vec<[i32; 2]> {
        let p = &self.net.populations[q];
        let Kind::Lif(l) = &p.kind else { return Vec::new() };
        let mut events = Vec::new();
        for i in 0..p.size {
            let grown = if l.adaptive.is_some() { self.adapt[q][i] } else { 0 };
            let th = at(&l.threshold, i) + grown;
            let above = |v: i64| !l.silent && (v > th || (l.greater_equal && v == th));
            let mut v = self.v[q][i];
            let was_above = above(v);
            if l.reset == Reset::ValueNext && was_above {
                v = at(&l.reset_value, i);
            }
            // A bias goes into the current or into the membrane.
            let lifted = l.bias_current && l.current.is_some();
            let bias = at(&l.bias, i);
            let drive = (sums[i] << l.input_shift) + if lifted { bias } else { 0 };
            let seen = match &l.current {
                None => drive,
                Some(c) => {
                    let old = self.current[q][i];
                    let (new, seen) = match c.order {
                        CurrentOrder::New => {
                            let x = decayed(old, &c.decay, i) + drive;
                            (x, x)
                        }
                        CurrentOrder::Old => (decayed(old, &c.decay, i) + drive, old),
                        CurrentOrder::JumpThenDecay => (decayed(old + drive, &c.decay, i), old + drive),
                        CurrentOrder::JumpDecayed => {
                            let x = decayed(old + drive, &c.decay, i);
                            (x, x)
                        }
                    };
                    self.current[q][i] = new;
                    let product = seen * i64::from(c.gain.0);
                    product.signum() * (product.abs() >> c.gain.1)
                }
            };
            let kept = if l.stateless {
                0
            } else if l.leak_last {
                v
            } else {
                decayed(v, &l.decay, i)
            };
            let subtracts_late = matches!(l.reset, Reset::SubtractNext | Reset::SubtractAgain);
            let late = if subtracts_late && was_above { th } else { 0 };
            let mut next = (kept + seen + if lifted { 0 } else { bias } - late)
                .clamp(l.range.0.into(), l.range.1.into());
            let resting = self.refractory[q][i] > 0;
            if resting {
                next = v;
            }
            let fires = above(next) && !resting;
            let count = if l.multi_spike && fires && th > 0 {
                (next / th).min(p.payload_max.into())
            } else {
                i64::from(fires)
            };
            if fires && l.reset == Reset::Value {
                next = at(&l.reset_value, i);
            }
            if fires && matches!(l.reset, Reset::Subtract | Reset::SubtractAgain) {
                next -= count * th;
            }
            if l.reset == Reset::SubtractAgain && !resting {
                next += late;
            }
            if l.leak_last {
                next = decayed(next, &l.decay, i);
            }
            if let Some((add, decay)) = l.adaptive {
                let a = &mut self.adapt[q][i];
                *a = ((*a * i64::from(decay)) >> 31) + if fires { i64::from(add) } else { 0 };
            }
            let r = &mut self.refractory[q][i];
            *r = if fires { l.refractory } else { r.saturating_sub(1) };
            self.v[q][i] = next;
            if count != 0 {
                events.push([i as i32, count as i32]);
            }
        }
        events
    }
}

/// Spikes per tick and population, membranes per population, counters per population, plastic weights.
type Trace = (Vec<Vec<Vec<[i32; 2]>>>, Vec<Vec<i32>>, Vec<Vec<u64>>, Vec<u8>);

fn run(net: &Network, placement: &Placement, input: &[Vec<[i32; 2]>], wake: bool) -> Trace {
    let blob = write(net, placement).expect("the network is valid");
    let image = blob.image().expect("checked");
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    let mut machine = Machine::new(image, &mut arena).expect("enough memory");
    let mut spikes = Vec::new();
    for events in input {
        for piece in 0..image.pieces {
            let p = image.piece(piece).expect("in range");
            if p.population == 0 {
                let (first, end) = (p.population_first as i32, (p.population_first + p.count) as i32);
                let mine: Vec<_> = events
                    .iter()
                    .filter(|e| (first..end).contains(&e[0]))
                    .map(|e| [e[0] - first, e[1]])
                    .collect();
                machine.inject(piece, &mine).expect("valid");
            }
        }
        if wake {
            machine.wake_all();
        }
        machine.step(&Portable, &mut Threefry::<13>::new(1), &mut Unobserved);
        spikes.push(populations(net, &blob, |piece| {
            let age = u32::from(image.piece(piece).expect("in range").delay_max > 0);
            let p = image.piece(piece).expect("in range");
            if age == 0 {
                return Vec::new();
            }
            machine.sent(piece, 1).iter().map(|e| [e[0] + p.population_first as i32, e[1]]).collect()
        }));
    }
    let membranes = populations(net, &blob, |p| machine.membranes(p).to_vec());
    let mut counters = vec![vec![0u64; NAMES.len()]; net.populations.len()];
    for piece in 0..image.pieces {
        let p = image.piece(piece).expect("in range");
        for (sum, c) in counters[p.population as usize].iter_mut().zip(machine.counters(piece).row()) {
            *sum += c;
        }
    }
    (spikes, membranes, counters, machine.plastic().to_vec())
}

/// Concatenates what the pieces of each population give, in the order of their neurons.
fn populations<T>(net: &Network, blob: &Blob, of: impl Fn(u32) -> Vec<T>) -> Vec<Vec<T>> {
    let image = blob.image().expect("checked");
    let mut all: Vec<Vec<(u32, Vec<T>)>> = net.populations.iter().map(|_| Vec::new()).collect();
    for piece in 0..image.pieces {
        let p = image.piece(piece).expect("in range");
        all[p.population as usize].push((p.population_first, of(piece)));
    }
    all.into_iter()
        .map(|mut parts| {
            parts.sort_by_key(|p| p.0);
            parts.into_iter().flat_map(|p| p.1).collect()
        })
        .collect()
}

const TICKS: usize = 30;

#[test]
fn the_machine_agrees_with_a_plain_interpreter() {
    let mut fired = 0;
    for seed in 0..60 {
        let net = network(seed);
        let input = inputs(seed, net.populations[0].size, TICKS);
        let (spikes, membranes, counters, _) = run(&net, &Placement::one_core(&net), &input, false);
        let mut plain = Interpreter::new(&net);
        for events in &input {
            plain.step(events);
        }
        for (q, p) in net.populations.iter().enumerate().skip(1) {
            let delayed = net.projections.iter().any(|c| {
                c.source == q
                    && (c.delay > 0
                        || matches!(&c.synapses, Synapses::Sparse { rows, .. } if !rows.delays.is_empty()))
            });
            let expected: Vec<i32> = plain.v[q].iter().map(|v| *v as i32).collect();
            assert_eq!(membranes[q], expected, "seed {seed}, membranes of {}", p.name);
            let of = |count: Count| counters[q][count as usize];
            let read = [of(Count::Accumulates), of(Count::MultiplyAccumulates)];
            assert_eq!(read, plain.read[q], "seed {seed}, synapses read by {}", p.name);
            assert_eq!(of(Count::EffectiveEvents), read[0] + read[1]);
            for (t, s) in spikes.iter().enumerate().filter(|_| delayed) {
                assert_eq!(s[q], plain.history[t][q], "seed {seed}, tick {t}, spikes of {}", p.name);
                fired += s[q].len();
            }
        }
    }
    assert!(fired > 1000, "the networks hardly fire: {fired}");
}

#[test]
fn waking_every_neuron_every_tick_changes_nothing() {
    for seed in 0..40 {
        let net = network(seed);
        let input = inputs(seed, net.populations[0].size, TICKS);
        let placement = Placement::one_core(&net);
        assert_eq!(run(&net, &placement, &input, false), run(&net, &placement, &input, true), "seed {seed}");
    }
}

/// Whatever is asked or cleared in between, and although spikes under way are dropped at rest, non-zero synapses are
/// counted when they are read.
#[test]
fn counts_do_not_depend_on_when_they_are_asked_for() {
    let mut all = 0;
    for seed in 0..30 {
        let mut net = network(seed);
        net.populations[0].payload_max = 1;
        let net = net;
        let blob = write(&net, &Placement::tiled(&net, 60)).unwrap();
        let image = blob.image().unwrap();
        // Memory that held something else.
        let mut arena = vec![u64::MAX / 3; image.memory(0..image.cores).words()];
        let mut machine = Machine::new(image, &mut arena).unwrap();
        let mut before = vec![0u64; net.populations.len()];
        for sample in 0..3 {
            let input = inputs(seed + 100 * sample, net.populations[0].size, 8);
            let mut plain = Interpreter::new(&net);
            for (tick, events) in input.iter().enumerate() {
                let events: Vec<[i32; 2]> = events.iter().map(|e| [e[0], 1]).collect();
                for piece in 0..image.pieces {
                    let p = image.piece(piece).unwrap();
                    let range = p.population_first as i32..(p.population_first + p.count) as i32;
                    let mine: Vec<_> = events
                        .iter()
                        .filter(|e| range.contains(&e[0]))
                        .map(|e| [e[0] - range.start, 1])
                        .collect();
                    if p.population == 0 {
                        machine.inject(piece, &mine).unwrap();
                    }
                }
                machine.step(&Portable, &mut Threefry::<13>::new(1), &mut Unobserved);
                plain.step(&events);
                if (tick + sample as usize) % 3 == 1 {
                    machine.clear_spike_counts();
                }
                let mut found = vec![0; net.populations.len()];
                for piece in 0..image.pieces {
                    let population = image.piece(piece).unwrap().population as usize;
                    found[population] += machine.counters(piece).get(Count::EffectiveEvents);
                }
                let read = plain.read.iter().map(|[acs, macs]| acs + macs);
                let expected: Vec<u64> = before.iter().zip(read).map(|(b, r)| b + r).collect();
                assert_eq!(found, expected, "seed {seed}, sample {sample}, tick {tick}");
            }
            machine.rest();
            before.iter_mut().zip(&plain.read).for_each(|(b, [acs, macs])| *b += acs + macs);
        }
        all += machine.total(Count::EffectiveEvents);
        assert_eq!(machine.total(Count::EffectiveEvents), before.iter().sum::<u64>());
        machine.restart();
        assert_eq!(machine.total(Count::EffectiveEvents), 0);
    }
    assert!(all > 100_000, "hardly anything was read: {all}");
}

/// Counts the events that runs of sparse rows take.
#[derive(Default)]
struct Watched(std::cell::Cell<usize>);

impl Kernels for Watched {
    const RUNS: &[u32] = &[8];

    fn sparse_run(&self, sums: &mut [i32], rows: &SparseRows<'_>, events: &[Event]) -> SparseRun {
        let run = Scalar.sparse_run(sums, rows, events);
        self.0.set(self.0.get() + run.events);
        run
    }
}

/// Also in an image whose rows end at an odd byte.
#[test]
fn rows_of_one_target_are_read_in_runs() {
    for len in [2, 3] {
        let mut net = Network::default();
        let input = net.add_population(Population::input("input", 9, 1));
        let neurons = net.add_population(Population::lif("neurons", 5, 1, Lif::default()));
        let lists: Vec<Vec<(u32, i16)>> = (0..9).map(|_| (0..len).map(|t| (t, 7)).collect()).collect();
        net.connect(
            input,
            neurons,
            1,
            Synapses::Sparse { bits: 8, weight: 0, rows: Rows::from_lists(&lists) },
        );
        let blob = write(&net, &Placement::one_core(&net)).unwrap();
        let image = blob.image().unwrap();
        let mut arena = vec![0u64; image.memory(0..image.cores).words()];
        let mut machine = Machine::new(image, &mut arena).unwrap();
        machine.inject(0, &std::array::from_fn::<_, 9, _>(|i| [i as i32, 1])).unwrap();
        let kernels = Watched::default();
        for _ in 0..2 {
            machine.step(&kernels, &mut Threefry::<13>::new(1), &mut Unobserved);
        }
        assert!(kernels.0.get() >= 8, "{} of nine rows of {len} synapses", kernels.0.get());
        assert_eq!(machine.total(Count::EffectiveEvents), 9 * u64::from(len));
    }
}

/// A neuron's count of spikes has 31 bits; what it stands for is counted before it wraps.
#[test]
fn counts_outlive_the_spike_counts_that_they_come_from() {
    const SPIKES: u32 = 77;
    let mut net = Network::default();
    let input = net.add_population(Population::input("input", 1, 1));
    let lif = Lif { threshold: 100_000.into(), decay: Param::q31(0), ..Lif::default() };
    let neurons = net.add_population(Population::lif("neurons", 5, 1, lif));
    net.connect(input, neurons, 2, Synapses::Dense { bits: 8, weights: vec![1, 0, -3, 0, 7] });
    let blob = write(&net, &Placement::one_core(&net)).unwrap();
    let image = blob.image().unwrap();
    let mut arena = vec![0u64; image.memory(0..image.cores).words()];
    let mut machine = Machine::new(image, &mut arena).unwrap();
    for tick in 0..SPIKES + 8 {
        if tick < SPIKES {
            machine.inject(0, &[[0, 1]]).unwrap();
        }
        machine.step(&Portable, &mut Threefry::<13>::new(1), &mut Unobserved);
    }
    assert_eq!(machine.total(Count::EffectiveEvents), 3 * u64::from(SPIKES));
    // As if the neuron had spiked 2^31 times more.
    let mut saved = Vec::new();
    machine.save(|part| saved.extend_from_slice(part));
    let words: Vec<usize> =
        (0..saved.len() / 4 - 2).filter(|i| saved[4 * i..][..4] == SPIKES.to_le_bytes()).collect();
    let (mut found, more) = (0, 3u64 << 31);
    for word in words {
        let mut changed = saved.clone();
        changed[4 * word + 3] = 0x80;
        let end = changed.len() - 8;
        let sum = changed[..end]
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
        changed[end..].copy_from_slice(&sum.to_le_bytes());
        if machine.restore(&changed).is_err() || machine.spike_counts(0) != [i32::MIN + SPIKES as i32] {
            continue;
        }
        found += 1;
        let expected = 3 * u64::from(SPIKES) + more;
        assert_eq!(machine.total(Count::EffectiveEvents), expected);
        machine.step(&Portable, &mut Threefry::<13>::new(1), &mut Unobserved);
        assert_eq!(machine.advance(1 << 31), 1 << 31);
        assert_eq!(machine.spike_counts(0), [SPIKES as i32]);
        assert_eq!(machine.total(Count::EffectiveEvents), expected);
        machine.clear_spike_counts();
        assert_eq!(machine.total(Count::EffectiveEvents), expected);
    }
    assert_eq!(found, 1);
}

/// Rules that read spikes, traces, windows and the weight itself.
const RULES: [&str; 3] = [
    "rule stdp { x1: decay 0.75 add 64; y1: decay 0.75 add 64; every tick; rounding stochastic
        bounds -127 127; dw = 2^-6*x1*y0 - 2^-6*y1*x0 }",
    "rule window { x1: decay 0.5 add 16 max 200; y1: decay 1 window 1 max 50; every 3 ticks; rounding nearest
        bounds -127 127; window h = (|u - threshold| < 12); dw = 2^-4*x1*h - 2^-5*y1*x0 }",
    "rule oja { x1: decay 0.9 add 32; every tick; rounding nearest; bounds -127 127
        dw = 2^-5*x1*y0 - 2^-3*w*y0 }",
];

#[test]
fn waking_every_neuron_every_tick_changes_nothing_where_synapses_learn() {
    let (mut changes, mut draws) = (0, 0);
    for seed in 0..40 {
        let mut net = network(seed);
        let r = &mut Random(Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x1ea7));
        for text in RULES {
            net.rules.push(synop_model::rule::RuleSpec::parse(text).unwrap().encode().unwrap());
        }
        for projection in &mut net.projections {
            if let Synapses::Dense { bits, weights } = &mut projection.synapses {
                *bits = 8;
                weights.iter_mut().for_each(|w| *w = r.within(-20, 40) as i16);
                projection.rule = Some(r.below(3) as usize);
            }
        }
        let input = inputs(seed, net.populations[0].size, TICKS);
        let placement = Placement::one_core(&net);
        let quiet = run(&net, &placement, &input, false);
        assert_eq!(quiet, run(&net, &placement, &input, true), "seed {seed}");
        let total = |count: Count| quiet.2.iter().map(|row| row[count as usize]).sum::<u64>();
        changes += total(Count::PlasticChanges);
        draws += total(Count::Draws);
    }
    assert!(changes > 10_000 && draws > 1000, "hardly anything was learnt: {changes} changes, {draws} draws");
}

#[test]
fn any_placement_gives_the_same_spikes_membranes_and_work() {
    for seed in 0..40 {
        let mut net = network(seed);
        net.projections.retain(|p| !matches!(p.synapses, Synapses::Identity { .. }));
        let input = inputs(seed, net.populations[0].size, TICKS);
        let one = run(&net, &Placement::one_core(&net), &input, false);
        for placement in [Placement::tiled(&net, 17), Placement::spread(&net, 3)] {
            let other = run(&net, &placement, &input, false);
            assert_eq!(one.0, other.0, "seed {seed}: spikes");
            assert_eq!(one.1, other.1, "seed {seed}: membranes");
            for (a, b) in one.2.iter().zip(&other.2) {
                for count in [
                    Count::StoredEvents,
                    Count::EffectiveEvents,
                    Count::Accumulates,
                    Count::Updates,
                    Count::Spikes,
                    Count::StateSaturations,
                ] {
                    assert_eq!(a[count as usize], b[count as usize], "seed {seed}: {count:?}");
                }
            }
        }
    }
}

/// Saved in the middle of delays, traces and learning, a machine goes on to the same bits.
#[test]
fn a_machine_goes_on_from_its_saved_state_bit_for_bit() {
    let rule = "rule stdp { x1: decay 0.75 add 64; y1: decay 0.75 add 64; every tick; rounding stochastic
        bounds -127 127; dw = 2^-6*x1*y0 - 2^-6*y1*x0 }";
    let mut network = Network { seed: 3, ..Network::default() };
    network.rules.push(synop_model::rule::RuleSpec::parse(rule).unwrap().encode().unwrap());
    let input = network.add_population(Population::input("input", 40, 9));
    let lif = Lif { threshold: 60.into(), decay: Param::q31(1 << 30), refractory: 2, ..Lif::default() };
    let neurons = network.add_population(Population::lif("neurons", 30, 1, lif));
    let mut r = Random(Xoshiro256PlusPlus::seed_from_u64(5));
    let weights = |r: &mut Random, n| (0..n).map(|_| r.within(-20, 40) as i16).collect();
    let first =
        network.connect(input, neurons, 0, Synapses::Dense { bits: 8, weights: weights(&mut r, 1200) });
    network.connect(neurons, neurons, 3, Synapses::Dense { bits: 8, weights: weights(&mut r, 900) });
    network.projections[first].rule = Some(0);
    let blob = write(&network, &Placement::one_core(&network)).unwrap();
    let image = blob.image().unwrap();
    let words = image.memory(0..image.cores).words();
    let (mut one, mut two) = (vec![0u64; words], vec![0u64; words]);
    let mut machine = Machine::new(image, &mut one).unwrap();
    let run = |machine: &mut Machine<'_>, from: u32, to: u32| {
        for tick in from..to {
            let mut r = Random(Xoshiro256PlusPlus::seed_from_u64(u64::from(tick)));
            let values: Vec<i32> = (0..40).map(|_| r.within(-9, 9)).collect();
            machine.drive(0, &values).unwrap();
            machine.step(&Portable, &mut Threefry::<13>::new(7), &mut Unobserved);
        }
    };
    let state = |machine: &Machine<'_>| {
        let mut bytes = Vec::new();
        machine.save(|part| bytes.extend_from_slice(part));
        assert_eq!(bytes.len(), machine.saved_len());
        bytes
    };
    run(&mut machine, 0, 17);
    let saved = state(&machine);
    run(&mut machine, 17, 50);
    let mut other = Machine::new(image, &mut two).unwrap();
    other.restore(&saved).unwrap();
    run(&mut other, 17, 50);
    assert_eq!(state(&other), state(&machine));
    assert!(machine.total(Count::PlasticChanges) > 0 && machine.total(Count::Spikes) > 0);
    // Damaged or foreign states are refused and change nothing.
    let before = state(&other);
    for at in [0, 8, 16, 40, saved.len() / 2, saved.len() - 1] {
        let mut damaged = saved.clone();
        damaged[at] ^= 1;
        assert!(other.restore(&damaged).is_err(), "byte {at}");
    }
    assert!(other.restore(&saved[1..]).is_err());
    assert_eq!(state(&other), before);
    network.seed = 4;
    let blob = write(&network, &Placement::one_core(&network)).unwrap();
    let mut three = vec![0u64; words];
    let mut foreign = Machine::new(blob.image().unwrap(), &mut three).unwrap();
    assert_eq!(foreign.restore(&saved), Err(synop_core::RestoreError::Other));
}

/// Counts that are added at once do what they do as events, and count alike.
#[test]
fn driven_by_counts_a_machine_does_what_it_does_driven_by_values() {
    for case in 0..24u64 {
        let mut r = Random(Xoshiro256PlusPlus::seed_from_u64(case));
        let n = [7, 64, 300][case as usize % 3];
        let mut network = Network::default();
        let input = network.add_population(Population::input("input", n, 5));
        let lif = Lif { threshold: 90.into(), decay: Param::q31(1 << 30), ..Lif::default() };
        let groups = 1 + case as u32 % 2;
        let neurons = network.add_population(Population::lif("neurons", n, 1, lif));
        network.populations[neurons].groups = groups;
        let number = network.connect(
            input,
            neurons,
            case as u32 / 6 % 2,
            Synapses::Identity { weight: [0, 7, -3, 20][case as usize / 3 % 4] },
        );
        network.projections[number].group = groups - 1;
        if case % 5 == 4 {
            // With other synapses there is more to do than to add the counts.
            let weights = (0..n * n).map(|_| r.within(-4, 9) as i16).collect();
            network.connect(input, neurons, 0, Synapses::Dense { bits: 8, weights });
        }
        let blob = write(&network, &Placement::one_core(&network)).unwrap();
        let image = blob.image().unwrap();
        let words = image.memory(0..image.cores).words();
        let (mut one, mut two) = (vec![0u64; words], vec![0u64; words]);
        let mut by_values = Machine::new(image, &mut one).unwrap();
        let mut by_counts = Machine::new(image, &mut two).unwrap();
        for tick in 0..40 {
            let busy = r.below(4);
            let counts: Vec<u8> =
                (0..n).map(|_| if r.below(4) < busy { r.below(6) as u8 } else { 0 }).collect();
            let values: Vec<i32> = counts.iter().map(|c| i32::from(*c)).collect();
            if tick == 20 {
                // What is forgotten may have been read, and then stays counted.
                by_values.drive_counts(&Portable, 0, &counts).unwrap();
            } else {
                by_values.drive(0, &values).unwrap();
            }
            by_counts.drive_counts(&Portable, 0, &counts).unwrap();
            if counts.iter().any(|c| *c != 0) {
                let twice = Err(synop_core::InputError::Twice { piece: 0 });
                assert_eq!(by_counts.drive_counts(&Portable, 0, &counts), twice);
                assert_eq!(by_counts.inject(0, &[[0, 1]]), twice);
            } else {
                by_counts.drive_counts(&Portable, 0, &counts).unwrap();
            }
            if tick == 20 {
                // It may be given anew.
                for machine in [&mut by_values, &mut by_counts] {
                    machine.rest();
                    machine.drive_counts(&Portable, 0, &counts).unwrap();
                }
            }
            for machine in [&mut by_values, &mut by_counts] {
                machine.step(&Portable, &mut Threefry::<13>::new(7), &mut Unobserved);
            }
            for piece in 0..image.pieces {
                assert_eq!(
                    by_values.membranes(piece),
                    by_counts.membranes(piece),
                    "case {case}, tick {tick}"
                );
                assert_eq!(by_values.spike_counts(piece), by_counts.spike_counts(piece), "case {case}");
                for (count, name) in NAMES {
                    let [a, b] = [&by_values, &by_counts].map(|m| m.counters(piece).get(count));
                    assert_eq!(a, b, "case {case}, tick {tick}, piece {piece}: {name}");
                }
            }
        }
        assert!(by_counts.total(Count::InputEvents) > 0);
        let wrong = by_counts.drive_counts(&Portable, 0, &vec![6; n]);
        assert_eq!(wrong, Err(synop_core::InputError::Payload { payload: 6, bound: 5 }));
        assert!(by_counts.drive_counts(&Portable, 0, &vec![1; n + 1]).is_err());
    }
}
