//! What a run makes a chip do beyond the machine's own counters: packets on its mesh, and the energy and the time of
//! every tick.
//!
//! The machine counts by piece and its pieces stand on the chip's cores, so the packets follow from how often every
//! neuron fired ([`Routes`]), and the time of a tick from who updated, who fired and what travelled
//! ([`synop_cost::latency`]).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use synop_core::counters::COUNTS;
use synop_core::image::Kind;
use synop_core::{Image, Machine};
use synop_cost::latency::{self, Active, Fabric, Message, Model, Packet, Schedule};
use synop_cost::{Accounting, Cell, Chip, Class, Counts, Hops, Quantity};
use synop_model::placement::{Placed, Strategy};
use synop_model::routes::{Carried, Routes, neurons_by_core};

use crate::report::{Latency, PerStep};
use crate::{Failure, ledger};

/// A chip, and how an image stands on it.
#[derive(Debug)]
pub struct OnChip {
    /// The chip.
    pub chip: Chip,
    /// Packets of every neuron.
    pub routes: Routes,
    /// Which latency model gives the time of a tick; none where the chip states no times.
    pub model: Option<Model>,
    /// How neurons found their cores, with what that takes; none for an image that was placed before.
    pub placed: Option<(Strategy, Placed)>,
    fabric: Fabric,
    sync_s: f64,
    /// Real time that a tick lasts at least.
    least_s: f64,
    schedules: BTreeMap<u32, Schedule>,
    pieces: Vec<PieceAt>,
    neurons: u64,
    prices: Vec<(Class, f64)>,
    update_s: f64,
    spike_s: f64,
}

/// Where a piece stands.
#[derive(Debug, Clone, Copy)]
struct PieceAt {
    core: u32,
    first: u32,
    input: bool,
}

/// What one tick made the chip do.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ChipTick {
    /// Packets sent.
    pub packets: u64,
    /// Links crossed.
    pub hops: Hops,
    /// Joules of the tick's events, nominal, priced classes only.
    pub energy_j: f64,
    /// Seconds; zero without a latency model.
    pub time_s: f64,
    /// Core that was waited for.
    pub critical: Option<u32>,
}

/// A neuron that did something: its place on the core, seconds of its own work, and what it sends.
type Acted = (u32, f64, Vec<Packet>);

/// Watches a sample and closes its ticks.
#[derive(Debug)]
pub struct Ticker<'c> {
    on: &'c OnChip,
    /// Events of every neuron of the image in the sample.
    pub spikes: Vec<u64>,
    /// Ticks of the sample.
    pub ticks: Vec<ChipTick>,
    moved: Vec<u32>,
    fired: Vec<u32>,
    before: [u64; COUNTS],
    messages: Vec<Message>,
}

impl OnChip {
    /// Puts an image on a chip.
    ///
    /// # Errors
    /// Bad input: the image stands on cores that the chip does not have.
    pub fn new(image: &Image<'_>, chip: &Chip, model: Model) -> Result<Self, Failure> {
        let routes = Routes::of(image, chip).map_err(|error| {
            Failure::bad_input(format_args!("the image was placed on another chip: {error}"))
                .place("--chip")
                .found(&chip.name)
                .mend("compile the network again with this --chip")
        })?;
        let held = neurons_by_core(image);
        let tiles: std::collections::BTreeSet<u32> =
            (0u32..).zip(&held).filter(|(_, n)| **n > 0).map(|(core, _)| chip.tile_of(core)).collect();
        let clocked = chip.accounting == Accounting::Clocked;
        let access_s = chip.latency_s(Class::SomaAccess, None);
        let out_s = chip.latency_s(Class::PacketOut, None);
        let records: Vec<_> = (0..image.pieces).filter_map(|p| image.piece(p)).collect();
        let mut visits: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for piece in &records {
            let each = if clocked && piece.kind != Kind::Input { access_s } else { 0.0 };
            visits.entry(piece.core).or_default().extend((0..piece.count).map(|_| each));
        }
        let schedule = |(core, each): (u32, Vec<f64>)| (core, Schedule::new(core, out_s, each.into_iter()));
        let price = |class: &Class| Some((*class, chip.energy_j(*class, None)?.nominal));
        Ok(Self {
            routes,
            model: chip.has_latencies().then_some(model),
            placed: None,
            fabric: Fabric::of(chip, |_| None),
            sync_s: chip.barrier_s(tiles.len() as u32),
            least_s: chip
                .ticks
                .as_ref()
                .and_then(|t| t.real_time.as_ref())
                .map_or(0.0, |p| p.si(Quantity::Time).nominal),
            schedules: visits.into_iter().map(schedule).collect(),
            pieces: records
                .iter()
                .map(|p| PieceAt { core: p.core, first: p.first, input: p.kind == Kind::Input })
                .collect(),
            neurons: held.iter().sum(),
            prices: Class::ALL.iter().filter(|c| **c != Class::XbarCharge).filter_map(price).collect(),
            update_s: chip.latency_s(Class::SomaUpdate, None) + if clocked { 0.0 } else { access_s },
            spike_s: chip.latency_s(Class::SomaSpike, None),
            chip: chip.clone(),
        })
    }

    /// Watches a sample of a machine that starts from the image.
    pub fn ticker(&self) -> Ticker<'_> {
        Ticker {
            on: self,
            spikes: vec![0; self.routes.of.len()],
            ticks: Vec::new(),
            moved: Vec::new(),
            fired: Vec::new(),
            before: [0; COUNTS],
            messages: Vec::new(),
        }
    }

    /// Whether the ticks have a time: from a latency model, or because the chip runs in real time.
    pub fn has_time(&self) -> bool {
        self.model.is_some() || self.least_s > 0.0
    }

    /// The time of a run: its model, its sum, and the spread over ticks.
    pub fn latency(&self, ticks: &[ChipTick]) -> Option<Latency> {
        self.has_time().then(|| {
            let times: Vec<f64> = ticks.iter().map(|t| t.time_s).collect();
            Latency {
                model: self.model.map_or("real time", Model::name).into(),
                total_s: times.iter().sum(),
                per_step: PerStep::of(&times),
            }
        })
    }

    /// Cells with the machine's counts, packets and hops where the chip pays for them.
    pub fn cells(
        &self,
        image: &Image<'_>,
        names: &[&str],
        counters: &[Vec<u64>],
        ticks: u64,
        carried: &Carried,
    ) -> Vec<Cell> {
        let mut cells = ledger::cells(&self.chip, image, names, counters, ticks);
        for (piece, cell) in (0u32..).zip(&mut cells) {
            let (packets, broadcasts) = carried.sent.get(&piece).copied().unwrap_or_default();
            (cell.counts.packets_out, cell.counts.packets_in) = (packets, 0);
            cell.counts.broadcasts = broadcasts;
        }
        for ((core, piece), (packets_in, hops)) in &carried.arrived {
            let population = cells.get(*piece as usize).map(|c| c.population.clone()).unwrap_or_default();
            let counts = Counts { ticks, packets_in: *packets_in, hops: *hops, ..Counts::default() };
            cells.push(Cell { core: *core, population, counts, ..Cell::default() });
        }
        cells
    }

    /// Which core holds what, as the report shows it.
    pub fn mapping(&self, image: &Image<'_>, names: &[&str]) -> Value {
        let chip = &self.chip;
        let mut cores: BTreeMap<u32, Vec<Value>> = BTreeMap::new();
        for piece in (0..image.pieces).filter_map(|p| image.piece(p)) {
            let name = names.get(piece.population as usize).copied().unwrap_or("?");
            let slice = json!({
                "population": name,
                "first": piece.population_first,
                "count": piece.count,
                "input": piece.kind == Kind::Input,
            });
            cores.entry(piece.core).or_default().push(slice);
        }
        let demands = self.placed.as_ref().map(|(_, p)| p.demands.as_slice()).unwrap_or(&[]);
        let held = neurons_by_core(image);
        let used = held.iter().filter(|n| **n > 0).count();
        let list = cores.into_iter().map(|(core, slices)| {
            let demand = demands.get(core as usize);
            json!({
                "core": core,
                "tile": chip.tile_of(core),
                "neurons": held.get(core as usize),
                "holds": slices,
                "demand": demand,
                "utilisation": demand.map(|d| d.utilisation(chip)),
            })
        });
        let list: Vec<Value> = list.collect();
        let strategy = self.placed.as_ref().map(|(s, _)| strategy_name(s));
        json!({
            "strategy": strategy.unwrap_or("as in the image"),
            "cores_used": used,
            "cores": list,
            "utilisation": self.utilisation(),
            "all_fire_once": self.placed.as_ref().map(|(_, p)| p.traffic),
            "round_robin": self.placed.as_ref().and_then(|(_, p)| p.round_robin),
        })
    }

    /// The largest share of any limit on any core, where the placement is known.
    pub fn utilisation(&self) -> Option<f64> {
        let (_, placed) = self.placed.as_ref()?;
        Some(placed.demands.iter().map(|d| d.utilisation(&self.chip)).fold(0.0, f64::max))
    }
}

/// The name of a strategy, as `--place` takes it.
pub fn strategy_name(strategy: &Strategy) -> &'static str {
    match strategy {
        Strategy::Automatic => "automatic",
        Strategy::RoundRobin => "round-robin",
        Strategy::Manual(_) => "manual",
    }
}

impl Ticker<'_> {
    /// Neurons of a block updated and fired, as an observer is told.
    pub fn updated(&mut self, piece: u32, first: u32, mut moved: u64) {
        let Some(at) = self.on.pieces.get(piece as usize) else { return };
        while moved != 0 {
            self.moved.push(at.first + first + moved.trailing_zeros());
            moved &= moved - 1;
        }
    }

    /// A neuron sent an event; inputs are told by whoever puts them in.
    pub fn spike(&mut self, piece: u32, neuron: u32) {
        let Some(at) = self.on.pieces.get(piece as usize) else { return };
        let neuron = at.first + neuron;
        if let Some(n) = self.spikes.get_mut(neuron as usize) {
            *n += 1;
        }
        self.fired.push(neuron);
        if at.input {
            self.moved.push(neuron);
        }
    }

    /// Closes a tick: everything that the machine and the mesh did since the last one.
    ///
    /// # Errors
    /// The work failed: a latency model refuses its messages, which would be a defect.
    pub fn close(&mut self, machine: &Machine<'_>) -> Result<(), Failure> {
        let on = self.on;
        let mut tick = ChipTick::default();
        for neuron in &self.fired {
            if let Some(bundle) = on.routes.bundle(*neuron) {
                tick.packets += bundle.flow.packets_out;
                tick.hops.add(&bundle.flow.hops);
            }
        }
        let mut row = [0u64; COUNTS];
        for piece in 0..machine.image().pieces {
            for (sum, n) in row.iter_mut().zip(machine.counters(piece).row()) {
                *sum += n;
            }
        }
        let mut since = row;
        since.iter_mut().zip(&self.before).for_each(|(now, before)| *now -= before);
        self.before = row;
        let copies: u64 =
            self.fired.iter().filter_map(|n| on.routes.bundle(*n)).map(|b| b.flow.packets_in).sum();
        let counts = Counts {
            packets_out: tick.packets,
            packets_in: copies,
            hops: tick.hops,
            barriers: 1,
            ..ledger::counts_of(&on.chip, &since, on.neurons, 1)
        };
        tick.energy_j = on.prices.iter().map(|(class, j)| counts.of(*class) as f64 * j).sum();
        if on.has_time() {
            let time = match on.model {
                Some(model) => {
                    self.message();
                    latency::tick(model, &self.messages, &on.fabric, on.sync_s).map_err(Failure::work)?
                }
                None => latency::tick(Model::Simple, &[], &on.fabric, on.sync_s).map_err(Failure::work)?,
            };
            tick.time_s = time.total_s.max(on.least_s);
            tick.critical = time.critical_core;
        }
        self.ticks.push(tick);
        self.moved.clear();
        self.fired.clear();
        Ok(())
    }

    /// The messages of the tick in canonical order: core after core, neuron after neuron.
    fn message(&mut self) {
        let on = self.on;
        let chip = &on.chip;
        self.messages.clear();
        self.moved.sort_unstable();
        self.moved.dedup();
        self.fired.sort_unstable();
        let in_s = chip.latency_s(Class::PacketIn, None) + chip.latency_s(Class::XbarRow, None);
        let event_s = chip.latency_s(Class::SynEvent, None) + chip.latency_s(Class::DendUpdate, None);
        let packet = |(core, synapses): &(u32, u32)| Packet {
            destination: *core,
            processing_s: in_s + f64::from(*synapses) * event_s,
        };
        // Neurons are numbered core after core.
        let mut acted: BTreeMap<u32, Vec<Acted>> = BTreeMap::new();
        let mut first_of: BTreeMap<u32, u32> = BTreeMap::new();
        for at in on.pieces.iter().rev() {
            first_of.insert(at.core, at.first);
        }
        for neuron in &self.moved {
            let piece = on.pieces.partition_point(|p| p.first <= *neuron).saturating_sub(1);
            let Some(at) = on.pieces.get(piece) else { continue };
            let fires = self.fired.binary_search(neuron).is_ok();
            let own_s = match (at.input, fires) {
                (true, _) => 0.0,
                (false, true) => on.update_s + on.spike_s,
                (false, false) => on.update_s,
            };
            let sent = on.routes.bundle(*neuron).filter(|_| fires).map_or(&[][..], |b| b.to.as_slice());
            let place = neuron - first_of.get(&at.core).copied().unwrap_or(0);
            acted.entry(at.core).or_default().push((place, own_s, sent.iter().map(packet).collect()));
        }
        for (core, schedule) in &on.schedules {
            let list = acted.get(core).map_or(&[][..], Vec::as_slice);
            let active = list.iter().map(|(place, extra_s, packets)| Active {
                place: *place,
                extra_s: *extra_s,
                packets,
            });
            schedule.messages(active, &mut self.messages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Native;
    use synop_core::Threefry;
    use synop_cost::{Bill, Run, shipped};
    use synop_model::image::write;
    use synop_model::network::{Lif, Network, Population, Synapses};
    use synop_model::placement::{Placement, place};

    fn network() -> Network {
        let mut net = Network::default();
        let input = net.add_population(Population::input("input", 20, 1));
        let all = net.add_population(Population::lif("all", 30, 1, Lif::default()));
        net.connect(input, all, 1, Synapses::Dense { bits: 8, weights: vec![3; 600] });
        net
    }

    /// Ticks without input on a chip, and their bill.
    fn quiet(chip: &Chip) -> (Vec<ChipTick>, Bill) {
        let net = network();
        let placed =
            place(&net, chip, &Strategy::Automatic).map_or(Placement::one_core(&net), |p| p.placement);
        let blob = write(&net, &placed).expect("an image");
        let image = blob.image().expect("checked");
        let on = OnChip::new(&image, chip, Model::Detailed).expect("it fits");
        let mut arena = vec![0u64; image.memory(0..image.cores).words()];
        let mut machine = Machine::new(image, &mut arena).expect("memory");
        let mut ticker = on.ticker();
        for _ in 0..50 {
            machine.step(&Native::detect(), &mut Threefry::<13>::new(1), &mut synop_core::Unobserved);
            ticker.close(&machine).expect("a time");
        }
        let counters: Vec<Vec<u64>> = (0..image.pieces).map(|p| machine.counters(p).row().to_vec()).collect();
        let carried = on.routes.carried(chip, &ticker.spikes);
        let cells = on.cells(&image, &["input", "all"], &counters, 50, &carried);
        let time_s = on.latency(&ticker.ticks).map(|l| l.total_s);
        let bill = Bill::of(chip, &cells, &Run { time_s, cores_used: 1, ..Run::default() });
        (ticker.ticks, bill)
    }

    #[test]
    fn zero_activity_leaves_only_idle_and_static_cost() {
        for name in shipped::names() {
            let chip = shipped::chip(name).expect("it ships");
            let (ticks, bill) = quiet(&chip);
            let paid: Vec<&str> =
                bill.by_class.iter().filter(|(_, e)| e.nominal > 0.0).map(|(c, _)| c.as_str()).collect();
            let idle: &[&str] = if chip.accounting == Accounting::Clocked {
                &["soma_access", "barrier"]
            } else {
                &["barrier"]
            };
            assert!(paid.iter().all(|class| idle.contains(class)), "{name}: {paid:?}");
            assert!(ticks.iter().all(|t| t.packets == 0 && t.hops == Hops::default()));
            let by_tick: f64 = ticks.iter().map(|t| t.energy_j).sum();
            let dynamic = bill.dynamic_j.map_or(by_tick, |e| e.nominal);
            assert!((by_tick - dynamic).abs() <= 1e-9 * dynamic, "{name}: {by_tick} {dynamic}");
        }
    }
}
