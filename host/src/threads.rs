//! One image on several threads, with the same bits as on one.
//!
//! Cores are the unit of threads: each worker hosts a run of them in a [`Machine`] of its own, with its own
//! memory. A spike needs at least the shortest delay between neurons of different workers to get there: the window. Workers
//! post the spikes of every part of a window, and wait only for those that they cannot do without, posted a window ago, so
//! that a slow moment of one does not stop the others at once. Where synapses between workers have no delay, they wait for
//! each other after every stage instead.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use synop_core::image::Kind;
use synop_core::store::Event;
use synop_core::{Count, Draws, Image, InputError, Kernels, Machine, Observer, Plan, Threefry, Unobserved};
use synop_model::memory::Memory;

/// Longest window: a network without synapses would have no end to it.
const LONGEST: u64 = 1024;
/// Parts of a window, where it is as long.
const PARTS: u64 = 3;

/// How cores are shared out: runs of cores of about equal numbers of neurons, at most one per core.
///
/// The number of runs is `threads`, or less where the image has fewer cores.
pub fn shares(image: &Image<'_>, threads: usize) -> Vec<Range<u32>> {
    let workers = threads.clamp(1, image.cores.max(1) as usize);
    let mut loads = vec![0u64; image.cores as usize];
    for piece in (0..image.pieces).filter_map(|p| image.piece(p)) {
        if let Some(load) = loads.get_mut(piece.core as usize)
            && piece.kind != Kind::Input
        {
            *load += u64::from(piece.count);
        }
    }
    let total: u64 = loads.iter().sum();
    let mut shares = Vec::with_capacity(workers);
    let (mut first, mut done) = (0u32, 0u64);
    for worker in 1..=workers {
        // Every later worker must find a core too.
        let most = image.cores - (workers - worker) as u32;
        let mut end = first + 1;
        done += loads[first as usize];
        while end < most
            && (worker == workers
                || (done + loads[end as usize] / 2) * workers as u64 <= total * worker as u64)
        {
            done += loads[end as usize];
            end += 1;
        }
        shares.push(first..end);
        first = end;
    }
    shares
}

/// Memory for a [`Team`]: one block per worker.
pub fn arenas(image: &Image<'_>, threads: usize) -> Vec<Memory> {
    let words = |cores| image.memory(cores).words() + Plan::SPARE;
    shares(image, threads).into_iter().map(|cores| Memory::zeros(words(cores))).collect()
}

/// What drives a network: calls its argument with an input piece and a count for each of that piece's neurons.
///
/// Every worker asks for itself, so the counts must be a function of the tick alone.
pub trait Input: Sync {
    /// Gives the counts of a tick, input piece by input piece.
    fn counts(&self, tick: u64, put: &mut dyn FnMut(u32, &[u8]));
}

/// A network that drives itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoInput;

impl Input for NoInput {
    fn counts(&self, _: u64, _: &mut dyn FnMut(u32, &[u8])) {}
}

impl<F: Fn(u64, &mut dyn FnMut(u32, &[u8])) + Sync> Input for F {
    fn counts(&self, tick: u64, put: &mut dyn FnMut(u32, &[u8])) {
        self(tick, put);
    }
}

/// Machines that run one image together.
#[derive(Debug)]
pub struct Team<'a> {
    image: Image<'a>,
    machines: Vec<Machine<'a>>,
}

impl<'a> Team<'a> {
    /// A team with one worker per block of memory from [`arenas`].
    ///
    /// # Errors
    /// The blocks are not those that [`arenas`] gives for this image.
    pub fn new(image: Image<'a>, arenas: &'a mut [Memory]) -> Result<Self, synop_core::ImageError> {
        let shares = shares(&image, arenas.len());
        let machines =
            shares.into_iter().zip(arenas).map(|(cores, arena)| Machine::with_cores(image, cores, arena));
        Ok(Team { image, machines: machines.collect::<Result<_, _>>()? })
    }

    /// Number of workers.
    pub fn workers(&self) -> usize {
        self.machines.len()
    }

    /// The image.
    pub fn image(&self) -> &Image<'a> {
        &self.image
    }

    /// The machine that hosts a piece.
    pub fn host(&self, piece: u32) -> Option<&Machine<'a>> {
        let core = self.image.piece(piece)?.core;
        self.machines.iter().find(|m| m.hosts(core))
    }

    /// All machines, in the order of their cores.
    pub fn machines_mut(&mut self) -> &mut [Machine<'a>] {
        &mut self.machines
    }

    /// A count summed over all pieces.
    pub fn total(&self, count: Count) -> u64 {
        self.machines.iter().map(|m| m.total(count)).sum()
    }

    /// The tick that comes next.
    pub fn tick(&self) -> u64 {
        self.machines.first().map_or(0, Machine::tick)
    }

    /// Ticks that workers run alone: the shortest delay of synapses between neurons of two of them. Inputs do not count,
    /// as every worker has them all.
    fn window(&self) -> u64 {
        let worker = |piece: u32| {
            let piece = self.image.piece(piece)?;
            let worker = self.machines.iter().position(|m| m.hosts(piece.core))?;
            Some((piece.kind, worker))
        };
        let between = |q: u32| {
            let port = self.image.port(q)?;
            let (from, to) = (worker(port.source)?, worker(port.target)?);
            (from.0 != Kind::Input && from.1 != to.1).then_some(u64::from(port.delay))
        };
        (0..self.image.ports).filter_map(between).min().unwrap_or(LONGEST).min(LONGEST)
    }

    /// Runs `ticks` ticks.
    ///
    /// # Errors
    /// The first input that was not taken.
    pub fn run<K: Kernels + Sync>(
        &mut self,
        kernels: &K,
        ticks: u64,
        input: &impl Input,
    ) -> Result<(), InputError> {
        let mut nobody = vec![Unobserved; self.machines.len()];
        self.run_observed(kernels, ticks, input, &mut nobody)
    }

    /// Runs `ticks` ticks; each worker tells its own observer what happens on its cores.
    ///
    /// # Errors
    /// The first input that was not taken.
    pub fn run_observed<K: Kernels + Sync, O: Observer + Send>(
        &mut self,
        kernels: &K,
        ticks: u64,
        input: &impl Input,
        observers: &mut [O],
    ) -> Result<(), InputError> {
        let seed = self.image.seed;
        if let ([machine], [observer, ..]) = (&mut self.machines[..], &mut *observers) {
            let mut draws = Threefry::<13>::new(seed);
            for _ in 0..ticks {
                put(machine, kernels, input)?;
                machine.step(kernels, &mut draws, observer);
            }
            return Ok(());
        }
        let window = self.window();
        let boxes: Vec<Outbox> = self.machines.iter().map(|_| Outbox::default()).collect();
        let mut results = vec![Ok(()); self.machines.len()];
        let boxes = &boxes[..];
        let mut work = self.machines.iter_mut().zip(observers).zip(&mut results).enumerate().map(
            |(me, ((machine, observer), result))| {
                move || {
                    let mut worker = Worker::new(me, machine, boxes);
                    let mut draws = Threefry::<13>::new(seed);
                    *result = if window == 0 {
                        worker.stages(kernels, ticks, input, &mut draws, observer)
                    } else {
                        worker.windows(kernels, ticks, window, input, &mut draws, observer)
                    };
                }
            },
        );
        std::thread::scope(|scope| {
            let mine = work.next();
            for others in work {
                scope.spawn(others);
            }
            // A system finds each new thread a processor of its own, as this one stays at work.
            if let Some(mut mine) = mine {
                mine();
            }
        });
        results.into_iter().collect()
    }
}

fn put(machine: &mut Machine<'_>, kernels: &impl Kernels, input: &impl Input) -> Result<(), InputError> {
    let mut result = Ok(());
    input.counts(machine.tick(), &mut |piece, counts| {
        if result.is_ok() {
            result = machine.drive_counts(kernels, piece, counts);
        }
    });
    result
}

/// Spikes on their way from one worker to the others, part after part. Workers are at most a window apart, and take what is
/// there before each part that they run: when a worker posts part k, all others have taken part k − 2 [`PARTS`], whose
/// place it takes.
#[derive(Debug, Default)]
struct Outbox {
    parts: [Mutex<Mail>; 2 * PARTS as usize],
    /// How many have been posted.
    posted: AtomicU64,
}

#[derive(Debug, Default)]
struct Mail {
    /// Piece, tick and number of events, in the order of `events`.
    heads: Vec<(u32, u64, usize)>,
    events: Vec<Event>,
}

impl Outbox {
    /// Looks at what was posted before the processor is given away.
    const SPINS: u32 = 5_000;

    fn open(&self, part: u64) -> MutexGuard<'_, Mail> {
        self.parts[(part % (2 * PARTS)) as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn posted(&self) -> u64 {
        self.posted.load(Ordering::Acquire)
    }

    /// Waits until so many parts have been posted: spins for a while, as parts are short, then lets others run.
    fn wait(&self, parts: u64) {
        let mut spins = 0;
        while self.posted() < parts {
            if spins < Self::SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }
}

struct Worker<'w, 'a> {
    me: usize,
    machine: &'w mut Machine<'a>,
    boxes: &'w [Outbox],
    /// Own pieces whose spikes the others' neurons read.
    wanted: BTreeSet<u32>,
    /// Parts taken of each worker's.
    taken: Vec<u64>,
}

impl<'w, 'a> Worker<'w, 'a> {
    fn new(me: usize, machine: &'w mut Machine<'a>, boxes: &'w [Outbox]) -> Self {
        let image = machine.image();
        let neurons_here = |p: u32| {
            image.piece(p).is_some_and(|piece| piece.kind != Kind::Input && machine.hosts(piece.core))
        };
        let ports = (0..image.ports).filter_map(|q| image.port(q));
        let wanted = ports
            .filter(|port| neurons_here(port.source) && !neurons_here(port.target))
            .map(|port| port.source)
            .collect();
        Worker { me, machine, boxes, wanted, taken: vec![0; boxes.len()] }
    }

    /// Runs the parts of windows. A worker whose input is refused goes on without it, so that the others do not wait for
    /// ever; all refuse alike.
    fn windows<K: Kernels, O: Observer>(
        &mut self,
        kernels: &K,
        ticks: u64,
        window: u64,
        input: &impl Input,
        draws: &mut impl Draws,
        observer: &mut O,
    ) -> Result<(), InputError> {
        let parts = window.min(PARTS);
        let mut result = Ok(());
        let mut left = ticks;
        while left > 0 {
            let length = (window / parts).min(left);
            self.take(parts - 1);
            for _ in 0..length {
                result = result.and(put(self.machine, kernels, input));
                self.machine.step(kernels, draws, observer);
            }
            left -= length;
            self.post(1..length as u32 + 1, |_| true);
        }
        self.take(0);
        result
    }

    /// Runs tick by tick, waits for the others after every stage.
    fn stages<K: Kernels, O: Observer>(
        &mut self,
        kernels: &K,
        ticks: u64,
        input: &impl Input,
        draws: &mut impl Draws,
        observer: &mut O,
    ) -> Result<(), InputError> {
        let mut result = Ok(());
        for _ in 0..ticks {
            result = result.and(put(self.machine, kernels, input));
            self.machine.begin(kernels);
            for stage in 1..=self.machine.image().stages {
                self.machine.stage(stage, kernels, draws, observer);
                self.post(0..1, |s| s == stage);
                self.take(0);
                self.machine.deliver_at_once(stage, kernels);
            }
            self.machine.finish(kernels, draws);
        }
        result
    }

    /// Posts the events of the given ages of own pieces of some stages.
    fn post(&mut self, ages: Range<u32>, of_stage: impl Fn(u32) -> bool) {
        let image = *self.machine.image();
        let now = self.machine.tick();
        let own = &self.boxes[self.me];
        let part = own.posted();
        let mut mail = own.open(part);
        let Mail { heads, events } = &mut *mail;
        heads.clear();
        events.clear();
        for &p in &self.wanted {
            if !image.piece(p).is_some_and(|piece| of_stage(piece.stage)) {
                continue;
            }
            for age in ages.clone() {
                let sent = self.machine.sent(p, age);
                if !sent.is_empty() {
                    heads.push((p, now - u64::from(age), sent.len()));
                    events.extend_from_slice(sent);
                }
            }
        }
        drop(mail);
        own.posted.store(part + 1, Ordering::Release);
    }

    /// Takes what the others have posted so far of the parts that this worker has run itself, and waits for all of these but
    /// the last `spared`.
    fn take(&mut self, spared: u64) {
        let run = self.boxes[self.me].posted();
        for (other, outbox) in self.boxes.iter().enumerate().filter(|(other, _)| *other != self.me) {
            outbox.wait(run.saturating_sub(spared));
            let there = outbox.posted().min(run);
            for part in self.taken[other]..there {
                let mail = outbox.open(part);
                let mut events = &mail.events[..];
                for (piece, tick, count) in &mail.heads {
                    let (these, rest) = events.split_at(*count);
                    events = rest;
                    let taken = self.machine.receive(*piece, *tick, these);
                    debug_assert!(taken.is_ok(), "{taken:?}");
                }
            }
            self.taken[other] = there;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Native;
    use synop_model::image::write;
    use synop_model::network::{Lif, Network, Param, Population, Rows, Synapses};
    use synop_model::placement::{Placement, Slice};

    /// Runs an image on one thread and on two; returns their windows.
    fn is_the_same_on_two_threads(image: &Image<'_>, ticks: u64, input: &impl Input) -> [u64; 2] {
        let run = |threads: usize| {
            let mut memory = arenas(image, threads);
            let mut team = Team::new(*image, &mut memory).unwrap();
            let window = team.window();
            team.run(&Native::detect(), ticks, input).unwrap();
            let neurons: Vec<_> = (1..image.pieces)
                .map(|p| {
                    let host = team.host(p).unwrap();
                    (host.spike_counts(p).to_vec(), host.membranes(p).to_vec())
                })
                .collect();
            let counts = [Count::InputEvents, Count::Spikes, Count::StoredEvents].map(|c| team.total(c));
            (window, neurons, counts)
        };
        let (one, two) = (run(1), run(2));
        assert!(one.1[1].0.iter().sum::<i32>() > 100, "hardly fires");
        assert_eq!((&one.1, one.2), (&two.1, two.2));
        [one.0, two.0]
    }

    #[test]
    fn workers_run_alone_for_the_shortest_delay_between_them() {
        const N: usize = 70;
        let mut net = Network::default();
        let input = net.add_population(Population::input("input", N, 1));
        let lif = Lif { threshold: Param::All(20), decay: Param::q31(1 << 30), ..Lif::default() };
        let [a, b, c] =
            ["a", "b", "c"].map(|name| net.add_population(Population::lif(name, N, 1, lif.clone())));
        let rows = |step: usize, weight: i16| {
            let row = |i: usize| (0..9).map(|k| ((i + (k * k + 1) * step) % N) as u32).collect::<Vec<_>>();
            let weighted = |mut targets: Vec<u32>| {
                targets.sort_unstable();
                targets.into_iter().map(|t| (t, weight)).collect()
            };
            let lists: Vec<Vec<_>> = (0..N).map(|i| weighted(row(i))).collect();
            Synapses::Sparse { bits: 8, weight: 0, rows: Rows::from_lists(&lists) }
        };
        net.connect(input, a, 0, rows(1, 9));
        net.connect(a, a, 1, rows(3, 2));
        net.connect(a, b, 5, rows(5, 7));
        net.connect(b, a, 4, rows(7, -3));
        // Nobody else reads these; they are forgotten before the window is over.
        net.connect(b, c, 1, rows(2, 6));
        net.connect(c, c, 1, rows(4, 1));
        let slices = |of: &[usize]| of.iter().map(|p| Slice { population: *p, first: 0, count: N }).collect();
        let placement = Placement { cores: vec![slices(&[input, a]), slices(&[b, c])] };
        let blob = write(&net, &placement).unwrap();
        let image = blob.image().unwrap();
        let counts = |tick: u64, put: &mut dyn FnMut(u32, &[u8])| {
            let some = |i| u8::from((i as u64 * 7 + tick * tick).is_multiple_of(11));
            put(0, &std::array::from_fn::<u8, N, _>(some));
        };
        assert_eq!(is_the_same_on_two_threads(&image, 203, &counts), [LONGEST, 4]);
    }

    #[test]
    fn values_that_an_input_holds_are_known_to_all_workers() {
        const N: usize = 30;
        let mut net = Network::default();
        let input = net.add_population(Population::held("input", N, 9));
        let lif = Lif { threshold: Param::All(50), decay: Param::q31(1 << 30), ..Lif::default() };
        let [near, far] =
            ["near", "far"].map(|name| net.add_population(Population::lif(name, N, 1, lif.clone())));
        let weights = |salt: usize| (0..N * N).map(|k| ((k * k + salt) % 13) as i16 - 4).collect();
        for (number, target) in [near, far].into_iter().enumerate() {
            net.connect(input, target, number as u32, Synapses::Dense { bits: 8, weights: weights(number) });
        }
        net.connect(near, far, 2, Synapses::Dense { bits: 8, weights: weights(5) });
        let slices = |of: &[usize]| of.iter().map(|p| Slice { population: *p, first: 0, count: N }).collect();
        let placement = Placement { cores: vec![slices(&[input, near]), slices(&[far])] };
        let blob = write(&net, &placement).unwrap();
        let image = blob.image().unwrap();
        let counts = |tick: u64, put: &mut dyn FnMut(u32, &[u8])| {
            put(0, &std::array::from_fn::<u8, N, _>(|i| ((i as u64 * 5 + tick * tick / 3) % 10) as u8));
        };
        is_the_same_on_two_threads(&image, 100, &counts);
    }
}
