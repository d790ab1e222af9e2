//! The standard workloads, each beside the machine's own bound.
//!
//! A workload is one line in [`CASES`]: its label, what it is, and a function that runs it and gives a report
//! with the key `bench`. Builders of networks and inputs are public, so that criterion benches and tests run
//! the same.

pub mod bound;
pub mod brunel;
pub mod chip128;
pub mod clock;
pub mod crossbar;
pub mod dense;
pub mod microcircuit;
pub mod poisson;
pub mod relaxation;
pub mod scaling;

use std::path::PathBuf;

use serde_json::{Map, Value, json};
use synop_core::crossbar::Pair;
use synop_core::{Count, Image, Machine, Plan};
use synop_model::image::{Blob, write};
use synop_model::memory::Memory;
use synop_model::network::Network;
use synop_model::placement::Placement;

use crate::Failure;
use crate::report::{Counts, Host, Report, SynOps};
use crate::simd::Native;
use crate::threads::{NoInput, Team, arenas};
use bound::{Bound, Bounds};
use brunel::{Brunel, Storage};
use clock::Spent;

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Seed of networks and inputs.
    pub seed: u64,
    /// Threads of a run.
    pub threads: usize,
    /// Runs of each workload; the fastest counts.
    pub repeats: usize,
    /// Length of a run against the standard one, above 0 to 1.
    pub length: f64,
    /// Folder for files that others can run on.
    pub out: Option<PathBuf>,
}

/// A workload.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name on the command line and in reports.
    pub label: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Whether it runs when none is named.
    pub usual: bool,
    /// Runs it.
    pub run: fn(&Setting) -> Result<Report, Failure>,
}

const PER_PROJECTION: Storage = Storage::PerProjection;
const BITS: Storage = Storage::Bits;

/// All workloads, in the order in which they run.
pub const CASES: &[Case] = &[
    Case {
        label: "W1-ai",
        about: "balanced random network, asynchronous and irregular, 10 M synapses of 8 bits",
        usual: true,
        run: |s| balanced("W1-ai", brunel::AI, s),
    },
    Case {
        label: "W1-ai-one",
        about: "the same, one weight per projection",
        usual: true,
        run: |s| balanced("W1-ai-one", Brunel { storage: PER_PROJECTION, ..brunel::AI }, s),
    },
    Case {
        label: "W1-ai-bits",
        about: "the same as rows of bits",
        usual: true,
        run: |s| balanced("W1-ai-bits", Brunel { storage: BITS, ..brunel::AI }, s),
    },
    Case {
        label: "W1-std",
        about: "balanced random network, classic parameters, 10 M synapses of 8 bits",
        usual: true,
        run: |s| balanced("W1-std", brunel::STD, s),
    },
    Case {
        label: "W1-std-one",
        about: "the same, one weight per projection",
        usual: true,
        run: |s| balanced("W1-std-one", Brunel { storage: PER_PROJECTION, ..brunel::STD }, s),
    },
    Case {
        label: "W1-std-bits",
        about: "the same as rows of bits",
        usual: true,
        run: |s| balanced("W1-std-bits", Brunel { storage: BITS, ..brunel::STD }, s),
    },
    Case {
        label: "W1-small",
        about: "balanced random network that fits a cache, 625 k synapses",
        usual: true,
        run: |s| balanced("W1-small", brunel::SMALL, s),
    },
    Case {
        label: "W1-dt1",
        about: "balanced random network, tick of 1 ms",
        usual: true,
        run: |s| balanced("W1-dt1", brunel::DT1, s),
    },
    Case {
        label: "W2",
        about: "dense 784-1024-1024-10, 25 ticks, one sample at a time",
        usual: true,
        run: |s| feed_forward("W2", 25, s),
    },
    Case {
        label: "W2-T100",
        about: "the same, 100 ticks",
        usual: true,
        run: |s| feed_forward("W2-T100", 100, s),
    },
    Case {
        label: "sanafe-128",
        about: "10,000 neurons × 100 synapses on 128 cores, 1,000 ticks, all of the chip's counters",
        usual: true,
        run: |s| chip128::bench("sanafe-128", s),
    },
    Case {
        label: "W3",
        about: "cortical microcircuit at a tenth of its size, Poisson background",
        usual: true,
        run: |s| cortical("W3", s),
    },
    Case {
        label: "E1024",
        about: "1,024 binary neurons with 8-bit couplings settle from random starts",
        usual: true,
        run: |s| relaxation::relaxation("E1024", s),
    },
    Case {
        label: "X256",
        about: "reads of a 256 × 256 crossbar with converters, dense 8-bit inputs",
        usual: true,
        run: |s| crossbar::reads("X256", &crossbar::Reads::new(256), s),
    },
    Case {
        label: "X256-spikes",
        about: "the same, 10 % of the rows spike",
        usual: true,
        run: |s| crossbar::reads("X256-spikes", &crossbar::Reads::new(256).spikes(), s),
    },
    Case {
        label: "X256-wires",
        about: "dense 8-bit inputs, with the drop along wires",
        usual: true,
        run: |s| crossbar::reads("X256-wires", &crossbar::Reads::new(256).wires(0.25), s),
    },
    Case {
        label: "X256-wires-spikes",
        about: "10 % of the rows spike, with the drop along wires",
        usual: true,
        run: |s| crossbar::reads("X256-wires-spikes", &crossbar::Reads::new(256).wires(0.25).spikes(), s),
    },
    Case {
        label: "X128",
        about: "reads of a 128 × 128 crossbar with converters, dense 8-bit inputs",
        usual: true,
        run: |s| crossbar::reads("X128", &crossbar::Reads::new(128), s),
    },
    Case {
        label: "X128-wires",
        about: "the same with the drop along wires of 1 ohm per cell",
        usual: true,
        run: |s| crossbar::reads("X128-wires", &crossbar::Reads::new(128).wires(1.0), s),
    },
    Case {
        label: "X1024",
        about: "reads of a 1024 × 1024 crossbar in two arrays, dense 8-bit inputs",
        usual: true,
        run: |s| crossbar::reads("X1024", &crossbar::Reads::new(1024), s),
    },
    Case {
        label: "X1024-spikes",
        about: "the same, 10 % of the rows spike",
        usual: true,
        run: |s| crossbar::reads("X1024-spikes", &crossbar::Reads::new(1024).spikes(), s),
    },
    Case {
        label: "XP-constant",
        about: "one pulse in every pair of a 256 × 256 crossbar, constant steps, noise and spread",
        usual: true,
        run: |s| crossbar::pulses("XP-constant", "constant-step", Pair::Differential, 1, s),
    },
    Case {
        label: "XP-reference",
        about: "the same where only one device of a pair is pulsed",
        usual: true,
        run: |s| crossbar::pulses("XP-reference", "constant-step", Pair::Reference, 1, s),
    },
    Case {
        label: "XP-exponential",
        about: "the same, exponential steps with write noise (reram-es)",
        usual: true,
        run: |s| crossbar::pulses("XP-exponential", "reram-es", Pair::Differential, 1, s),
    },
    Case {
        label: "XP-sparse",
        about: "updates of 1 % of the rows and columns of 1024 × 1024, three constant steps a cell",
        usual: true,
        run: |s| crossbar::pulses("XP-sparse", "constant-step", Pair::Differential, 100, s),
    },
    Case {
        label: "W1-100M",
        about: "balanced random network of 100,000 neurons and 100 M synapses, a tenth of the time",
        usual: false,
        run: |s| {
            let large = Brunel { neurons: 100_000, ..brunel::AI };
            balanced("W1-100M", large, &Setting { length: s.length * 0.1, ..s.clone() })
        },
    },
];

/// Most neurons of a piece on one core: their sums take 40 KB.
const TILE: usize = 10_000;

/// A built network: its image, and what building took.
#[derive(Debug)]
pub struct Built {
    /// The image.
    pub blob: Blob,
    /// Synapses, stored zeros included.
    pub synapses: u64,
    /// Wall and processor time from nothing to the checked image.
    pub spent: Spent,
}

/// Builds the image of a network.
///
/// # Errors
/// The work failed: the network has no image.
pub fn build(network: impl FnOnce() -> Network, cores: usize) -> Result<Built, Failure> {
    let (built, spent) = Spent::on(|| {
        let network = network();
        // On one core, pieces whose sums fit the first cache; that also bounds what the writer holds at a time.
        let placement =
            if cores == 1 { Placement::tiled(&network, TILE) } else { Placement::spread(&network, cores) };
        let blob = write(&network, &placement);
        (blob, network.synapse_count())
    });
    let (blob, synapses) = built;
    Ok(Built { blob: blob.map_err(Failure::work)?, synapses, spent })
}

/// The image in a blob that [`build`] made.
fn image(built: &Built) -> Result<Image<'_>, Failure> {
    built.blob.image().map_err(Failure::work)
}

/// One measured run.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Synaptic events.
    pub events: u64,
    /// What they took.
    pub spent: Spent,
}

impl Measured {
    /// Takes another run instead if it was faster: by processor time, or on several threads by the clock on the wall, as
    /// there processor time says less about who waited for whom.
    pub fn keep_faster(&mut self, run: Measured, threads: usize) {
        let time = |spent: &Spent| if threads > 1 { spent.wall_s } else { spent.cpu_s };
        if self.events == 0 || time(&run.spent) < time(&self.spent) {
            *self = run;
        }
    }
}

/// Puts the common keys together: `bench`, `counts`, `synops`, `host`.
pub struct Outcome<'a> {
    /// The label.
    pub label: &'a str,
    /// What was built.
    pub built: &'a Built,
    /// Bytes of the machines' memory.
    pub state_bytes: usize,
    /// The fastest run.
    pub best: Measured,
    /// Ticks of a run.
    pub ticks: u64,
    /// The bounds beside it.
    pub bounds: Bounds,
    /// The bound that holds for it, in events per second.
    pub bound: (&'static str, f64),
    /// Threads that ran.
    pub threads: usize,
    /// Further keys of `bench`.
    pub more: Map<String, Value>,
}

impl Outcome<'_> {
    /// The report; counters are those of `counts`.
    pub fn report(self, setting: &Setting, counts: Counts, synops: SynOps<u64>) -> Report {
        let mut report = Report::labelled(setting.seed, self.label);
        let Measured { events, spent } = self.best;
        let rate = events as f64 / spent.cpu_s;
        let bytes = self.built.blob.bytes().len() + self.state_bytes;
        let mut bench = json!({
            "events": events,
            "cpu_s": spent.cpu_s,
            "wall_s": spent.wall_s,
            "events_per_s": rate,
            "events_per_wall_s": events as f64 / spent.wall_s,
            "ticks": self.ticks,
            "threads": self.threads,
            "repeats": setting.repeats,
            "synapses": self.built.synapses,
            "bytes_per_synapse": bytes as f64 / self.built.synapses as f64,
            "image_bytes": self.built.blob.bytes().len(),
            "state_bytes": self.state_bytes,
            "build_s": self.built.spent.wall_s,
            "build_cpu_s": self.built.spent.cpu_s,
            "bound": self.bound.0,
            "bound_events_per_s": self.bound.1,
            "bound_fraction": rate / self.bound.1,
            "bounds": self.bounds.json(),
            "kernels": format!("{:?}", Native::detect().level()),
            "load": load(),
        });
        if let Value::Object(bench) = &mut bench {
            bench.extend(self.more);
        }
        report.more.insert("bench".into(), bench);
        report.counts = Some(counts);
        report.set_synops(synops);
        report.host = Some(Host {
            wall_s: spent.wall_s,
            cpu_s: Some(spent.cpu_s),
            events_per_s: Some(rate),
            threads: self.threads,
            peak_rss_bytes: crate::report::peak_rss_bytes(),
        });
        report
    }
}

/// Runnable processes over the last minute: what else this machine was doing.
fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// Forgets the highest resident memory so far, where the system can; then the next reading is the workload's own.
fn forget_peak() {
    // Only Linux has the file; elsewhere the peak is that of the whole process.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Counters of machines as a report has them.
pub fn counts<'m, 'a: 'm>(
    image: &Image<'_>,
    machines: impl Iterator<Item = &'m Machine<'a>> + Clone,
    ticks: u64,
) -> (Counts, SynOps<u64>) {
    let total = |count: Count| machines.clone().map(|m| m.total(count)).sum::<u64>();
    let counts = Counts {
        steps: ticks,
        neurons_updated: total(Count::Updates),
        neurons_fired: total(Count::Spikes),
        synaptic_events: total(Count::StoredEvents),
        packets: total(Count::Packets),
        ..Counts::default()
    };
    let synops = SynOps {
        stored: counts.synaptic_events,
        effective: total(Count::EffectiveEvents),
        dense: (0..image.pieces).map(|p| crate::ledger::dense(image, p, ticks)).sum(),
        macs: total(Count::MultiplyAccumulates),
        acs: total(Count::Accumulates),
    };
    (counts, synops)
}

/// Runs W1: 100 ms to settle, then a second.
fn balanced(label: &str, brunel: Brunel, setting: &Setting) -> Result<Report, Failure> {
    forget_peak();
    let built = build(|| brunel.network(setting.seed), setting.threads)?;
    let image = image(&built)?;
    let mut memory = arenas(&image, setting.threads);
    let state_bytes = memory.iter().map(|m| m.len() * 8).sum();
    let mut team = Team::new(image, &mut memory).map_err(Failure::work)?;
    let ms = |ms: f64| ((ms / brunel.tick_ms).round() as u64).max(1);
    let (settle, ticks) = (ms(100.0), ms(1000.0 * setting.length));
    let (bound, name) = match brunel.storage {
        Storage::PerSynapse => (Bound::Scatter, "scatter_cache"),
        Storage::PerProjection => (Bound::ScatterOne, "scatter_cache_one_weight"),
        Storage::Bits => (Bound::BitRows, "bit_cells × density"),
    };
    let mut bounds = Bounds::default();
    let mut best = Measured::default();
    for _ in 0..setting.repeats {
        bounds.measure(&[Bound::Stream, bound, Bound::ScatterMemory]);
        for machine in team.machines_mut() {
            machine.restart();
        }
        team.run(&Native::detect(), settle, &NoInput).map_err(Failure::work)?;
        let before = team.total(Count::StoredEvents);
        let (done, spent) = Spent::on(|| team.run(&Native::detect(), ticks, &NoInput));
        done.map_err(Failure::work)?;
        let run = Measured { events: team.total(Count::StoredEvents) - before, spent };
        best.keep_faster(run, team.workers());
    }
    bounds.measure(&[bound]);
    let density = match brunel.storage {
        Storage::Bits => brunel.inputs as f64 / brunel.neurons as f64,
        _ => 1.0,
    };
    let (counts, synops) = counts(&image, team.machines_mut().iter(), settle + ticks);
    let seconds = (settle + ticks) as f64 * brunel.tick_ms * 1e-3;
    let rate = counts.neurons_fired as f64 / brunel.neurons as f64 / seconds;
    let mut more = Map::new();
    more.insert("rate_hz".into(), json!(rate));
    more.insert("updates_per_s".into(), json!((brunel.neurons as u64 * ticks) as f64 / best.spent.cpu_s));
    let outcome = Outcome {
        label,
        built: &built,
        state_bytes,
        best,
        ticks,
        bound: (name, bounds.get(bound).unwrap_or(f64::NAN) * density),
        bounds,
        threads: team.workers(),
        more,
    };
    Ok(outcome.report(setting, counts, synops))
}

/// Samples of W2.
const SAMPLES: usize = 128;

/// Runs W2, sample after sample; with several threads each has its own machine and every other sample.
fn feed_forward(label: &str, ticks: usize, setting: &Setting) -> Result<Report, Failure> {
    forget_peak();
    let samples = ((SAMPLES as f64 * setting.length).ceil() as usize).max(1);
    let data = dense::Dense::new(setting.seed, samples, ticks);
    if let Some(folder) = &setting.out {
        data.write(&folder.join(label))?;
    }
    let built = build(|| data.network(), 1)?;
    let image = image(&built)?;
    let threads = setting.threads.min(samples);
    let words = image.memory(0..image.cores).words() + Plan::SPARE;
    let mut memory: Vec<_> = (0..threads).map(|_| Memory::zeros(words)).collect();
    let machines = memory.iter_mut().map(|arena| Machine::new(image, arena));
    let mut machines = machines.collect::<Result<Vec<_>, _>>().map_err(Failure::work)?;
    let mut bounds = Bounds::default();
    let mut best = Measured::default();
    for _ in 0..setting.repeats {
        bounds.measure(&[Bound::Stream, Bound::DenseRows]);
        machines.iter_mut().for_each(Machine::restart);
        let (done, spent) = Spent::on(|| {
            let work = |(first, machine): (usize, &mut Machine<'_>)| {
                (first..samples)
                    .step_by(threads)
                    .try_for_each(|sample| data.run(machine, &Native::detect(), sample))
            };
            if threads == 1 {
                return machines.iter_mut().enumerate().try_for_each(work);
            }
            std::thread::scope(|scope| {
                let workers: Vec<_> =
                    machines.iter_mut().enumerate().map(|m| scope.spawn(|| work(m))).collect();
                workers.into_iter().try_for_each(|w| w.join().unwrap_or(Ok(())))
            })
        });
        done.map_err(Failure::work)?;
        let events = machines.iter().map(|m| m.total(Count::StoredEvents)).sum();
        best.keep_faster(Measured { events, spent }, threads);
    }
    bounds.measure(&[Bound::DenseRows]);
    let (counts, synops) = counts(&image, machines.iter(), (samples * ticks) as u64);
    let spikes: Vec<u64> =
        (1..4).map(|p| machines.iter().map(|m| m.counters(p).get(Count::Spikes)).sum()).collect();
    let mut more = Map::new();
    more.insert("samples".into(), json!(samples));
    more.insert("ms_per_sample".into(), json!(best.spent.cpu_s * 1e3 / samples as f64));
    more.insert("spikes".into(), json!(spikes));
    let outcome = Outcome {
        label,
        built: &built,
        state_bytes: threads * words * 8,
        best,
        ticks: (samples * ticks) as u64,
        bound: ("dense_rows", bounds.get(Bound::DenseRows).unwrap_or(f64::NAN)),
        bounds,
        threads,
        more,
    };
    Ok(outcome.report(setting, counts, synops))
}

/// Runs W3: 100 ms to settle, then a second.
fn cortical(label: &str, setting: &Setting) -> Result<Report, Failure> {
    forget_peak();
    let mut background = None;
    let network = || {
        let circuit = microcircuit::microcircuit(setting.seed);
        background = Some(circuit.background);
        circuit.network
    };
    let built = build(network, setting.threads)?;
    let Some(background) = background else { return Err(Failure::work("the network has no background")) };
    let image = image(&built)?;
    let mut memory = arenas(&image, setting.threads);
    let state_bytes = memory.iter().map(|m| m.len() * 8).sum();
    let mut team = Team::new(image, &mut memory).map_err(Failure::work)?;
    // The input population may be split over cores: each of its pieces takes its own part of the counts.
    let pieces: Vec<_> =
        (0..image.pieces).filter_map(|p| Some((p, image.piece(p)?))).filter(|(_, p)| p.groups == 0).collect();
    thread_local! {
        /// Nothing is allocated in a tick.
        static ROOM: std::cell::RefCell<poisson::Room> = std::cell::RefCell::default();
    }
    let kernels = Native::detect();
    let input = |tick: u64, put: &mut dyn FnMut(u32, &[u8])| {
        ROOM.with_borrow_mut(|room| {
            let counts = background.draw(&kernels, tick, room);
            for (number, piece) in &pieces {
                put(*number, &counts[piece.population_first as usize..][..piece.count as usize]);
            }
        });
    };
    let (settle, ticks) = (1_000, ((10_000.0 * setting.length) as u64).max(1));
    let mut spikes = 0;
    let recurrent = |team: &Team<'_>| team.total(Count::StoredEvents) - team.total(Count::InputEvents);
    let mut bounds = Bounds::default();
    let mut best = Measured::default();
    for _ in 0..setting.repeats {
        bounds.measure(&[Bound::Stream, Bound::Scatter]);
        team.machines_mut().iter_mut().for_each(Machine::restart);
        team.run(&kernels, settle, &input).map_err(Failure::work)?;
        let before = recurrent(&team);
        spikes = team.total(Count::Spikes);
        let (done, spent) = Spent::on(|| team.run(&kernels, ticks, &input));
        done.map_err(Failure::work)?;
        best.keep_faster(Measured { events: recurrent(&team) - before, spent }, team.workers());
        spikes = team.total(Count::Spikes) - spikes;
    }
    let ((), draws) = Spent::on(|| {
        let mut room = poisson::Room::default();
        (0..ticks).for_each(|tick| {
            background.draw(&kernels, tick, &mut room);
        });
    });
    let size = background.size() as u64;
    let (counts, synops) = counts(&image, team.machines_mut().iter(), settle + ticks);
    let rate = spikes as f64 / size as f64 / (ticks as f64 * 1e-4);
    let mut more = Map::new();
    more.insert("rate_hz".into(), json!(rate));
    more.insert(
        "breakdown".into(),
        json!({
            "updates": size * ticks,
            "updates_per_s": (size * ticks) as f64 / best.spent.cpu_s,
            "poisson_draws": size * ticks,
            "poisson_draws_s": draws.cpu_s,
            "poisson_draws_per_s": (size * ticks) as f64 / draws.cpu_s,
            "recurrent_events": best.events,
        }),
    );
    let outcome = Outcome {
        label,
        built: &built,
        state_bytes,
        best,
        ticks,
        bound: ("scatter_cache", bounds.get(Bound::Scatter).unwrap_or(f64::NAN)),
        bounds,
        threads: team.workers(),
        more,
    };
    Ok(outcome.report(setting, counts, synops))
}
