//! The bill: integer counts times prices, with bounds, and refused where a price is missing.

use crate::chip::{Accounting, Chip, Entry, StaticScope, Store};
use crate::class::Class;
use crate::counts::{Cell, Counts};
use crate::price::{Interval, Kind, Quantity};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What a run needs beside its counts to be priced.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// Emulated time of the hardware in seconds, if a latency model or a real-time tick gives it; never the host's time.
    pub time_s: Option<f64>,
    /// Cores in use.
    pub cores_used: u64,
    /// Bits in use by store (synapse, state, route), for leakage.
    pub stored_bits: [u64; 3],
    /// Joules per unit of [`Counts::xbar_charge`] and [`Counts::pulse_energy`], as the image states it.
    pub charge_unit_j: Option<f64>,
}

/// One priced line: a class in one variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Key of the class, with `.variant` where the chip prices the variant apart.
    pub class: String,
    /// Part of the chip that pays.
    pub group: Cow<'static, str>,
    /// Events.
    pub count: u64,
    /// Price per event in the file's unit, as text; the paying entry where the class is included elsewhere.
    pub price: String,
    /// Energy in joules.
    pub energy_j: Interval,
    /// How the price is known; `None` for included and free classes.
    pub kind: Option<Kind>,
    /// Where the price is from.
    pub source: String,
}

/// A class that was used and has no price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpriced {
    /// Key of the class.
    pub class: String,
    /// Events that could not be priced.
    pub count: u64,
    /// Why.
    pub reason: String,
}

/// Energy of one population or core: the priced events, and whether all of them were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// Joules of the events that have a price.
    pub priced_j: Interval,
    /// Whether every event had one.
    pub complete: bool,
}

/// What a run costs on a chip. All energies are in joules, powers in watts, times in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bill {
    /// Chip name.
    pub chip: String,
    /// Idle rule.
    pub accounting: Accounting,
    /// Priced lines in class order.
    pub lines: Vec<Line>,
    /// Energy by class key (variants together), priced classes only.
    pub by_class: BTreeMap<String, Interval>,
    /// Energy by part of the chip.
    pub by_group: BTreeMap<Cow<'static, str>, Interval>,
    /// Energy by population.
    pub by_population: BTreeMap<String, Split>,
    /// Energy by core.
    pub by_core: BTreeMap<u32, Split>,
    /// Used classes without a price; if any, the totals are refused.
    pub unpriced: Vec<Unpriced>,
    /// Energy of events; `None` if a used class has no price.
    pub dynamic_j: Option<Interval>,
    /// Energy of static power and leakage; `None` if not published or if the time is unknown.
    pub static_j: Option<Interval>,
    /// Energy outside the chip (host, border); `None` if a used class has no price.
    pub outside_j: Option<Interval>,
    /// Dynamic plus static where static is known or contained; dynamic only where it is not published (see `warnings`).
    pub total_j: Option<Interval>,
    /// Time the bill is for.
    pub time_s: Option<f64>,
    /// `total_j` over the time.
    pub average_power_w: Option<Interval>,
    /// Highest average power of a single tick; filled by [`Bill::set_peak`].
    pub peak_power_w: Option<f64>,
    /// Energy-delay product, joule seconds, nominal.
    pub edp_js: Option<f64>,
    /// Total over effective synaptic operations, picojoules, nominal.
    pub pj_per_effective_synop: Option<f64>,
    /// Everything a reader must know.
    pub warnings: Vec<String>,
}

#[derive(Default)]
struct Sum {
    count: u64,
    energy: Interval,
}

/// Collects lines while cells are priced.
struct Ledger<'a> {
    chip: &'a Chip,
    run: &'a Run,
    totals: Counts,
    sums: BTreeMap<(Class, String), Sum>,
    missing: BTreeMap<Class, (u64, String)>,
}

impl Bill {
    /// Prices the cells on a chip.
    pub fn of(chip: &Chip, cells: &[Cell], run: &Run) -> Bill {
        let mut totals = Counts::default();
        for cell in cells {
            totals.add(&cell.counts);
        }
        let mut ledger = Ledger { chip, run, totals, sums: BTreeMap::new(), missing: BTreeMap::new() };
        let mut by_population: BTreeMap<String, Split> = BTreeMap::new();
        let mut by_core: BTreeMap<u32, Split> = BTreeMap::new();
        for cell in cells {
            let split = ledger.cell(cell);
            merge(by_population.entry(cell.population.clone()), split);
            merge(by_core.entry(cell.core), split);
        }
        let mut bill = ledger.close();
        bill.by_population = by_population;
        bill.by_core = by_core;
        bill
    }

    /// Notes the peak power: the largest of (dynamic energy / duration + static power) over ticks given as (nominal dynamic joules, seconds).
    pub fn set_peak(&mut self, ticks: impl Iterator<Item = (f64, f64)>) {
        let static_w = match (self.static_j, self.time_s) {
            (Some(j), Some(t)) if t > 0.0 => j.nominal / t,
            _ => 0.0,
        };
        self.peak_power_w =
            ticks.filter(|(_, s)| *s > 0.0).map(|(j, s)| j / s + static_w).max_by(f64::total_cmp);
    }
}

fn merge<K: Ord>(entry: std::collections::btree_map::Entry<'_, K, Split>, split: Split) {
    entry
        .and_modify(|s| {
            s.priced_j += split.priced_j;
            s.complete &= split.complete;
        })
        .or_insert(split);
}

impl Ledger<'_> {
    /// Prices one cell and returns its energy.
    fn cell(&mut self, cell: &Cell) -> Split {
        let mut split = Split { priced_j: Interval::ZERO, complete: true };
        for &class in Class::ALL {
            let count = cell.counts.of(class);
            if count == 0 {
                continue;
            }
            match self.event(class, cell.kinds.of(class), count) {
                Some(energy) => split.priced_j += energy,
                None => split.complete = false,
            }
        }
        split
    }

    /// Prices `count` events, or notes that they have no price.
    fn event(&mut self, class: Class, variant: Option<&str>, count: u64) -> Option<Interval> {
        let energy = match self.chip.entry(class, variant) {
            Some(Entry::Price(_)) => self.priced(class, variant, count),
            Some(Entry::Free { .. }) => Ok(Interval::ZERO),
            Some(Entry::IncludedIn { entry, .. }) => self.payer_counted(entry),
            None => Err(format!("chip `{}` has no price for it", self.chip.name)),
        };
        match energy {
            Ok(energy) => {
                let key = self.line_key(class, variant);
                let sum = self.sums.entry((class, key)).or_default();
                sum.count = sum.count.saturating_add(count);
                sum.energy += energy;
                Some(energy)
            }
            Err(reason) => {
                let slot = self.missing.entry(class).or_insert((0, reason));
                slot.0 = slot.0.saturating_add(count);
                None
            }
        }
    }

    fn priced(&self, class: Class, variant: Option<&str>, count: u64) -> Result<Interval, String> {
        let each = self.chip.energy_j(class, variant).ok_or_else(|| "no price".to_string())?;
        if !matches!(class, Class::XbarCharge | Class::PulseEnergy) {
            return Ok(each * count as f64);
        }
        match self.run.charge_unit_j {
            Some(unit) => Ok(each * (count as f64 * unit)),
            None => Err("the image does not state the energy of its charge unit".into()),
        }
    }

    /// An included class is paid by another one; if that one must be counted by the emulation and was not, nothing pays.
    fn payer_counted(&self, entry: &str) -> Result<Interval, String> {
        let payer = Class::from_key(entry.split_once('.').map_or(entry, |(c, _)| c));
        match payer {
            Some(p)
                if (matches!(p.group(), "memory" | "crossbar") || p == Class::PulseEnergy)
                    && self.totals.of(p) == 0 =>
            {
                Err(format!("on `{}` it is paid by `{entry}`, which this run did not count", self.chip.name))
            }
            _ => Ok(Interval::ZERO),
        }
    }

    fn line_key(&self, class: Class, variant: Option<&str>) -> String {
        match variant {
            Some(v) if self.chip.prices.contains_key(&format!("{class}.{v}")) => {
                format!("{class}.{v}")
            }
            _ => class.key().to_string(),
        }
    }

    fn line(&self, class: Class, key: &str, sum: &Sum) -> Line {
        let (price, kind, source) = match self.chip.prices.get(key) {
            Some(Entry::Price(p)) => {
                (format!("{} {} ({}..{})", p.value, p.unit, p.low, p.high), Some(p.kind), p.source.clone())
            }
            Some(Entry::IncludedIn { entry, source }) => (format!("in {entry}"), None, source.clone()),
            Some(Entry::Free { reason }) => ("0".to_string(), None, reason.clone()),
            None => (String::new(), None, String::new()),
        };
        Line {
            class: key.to_string(),
            group: class.group().into(),
            count: sum.count,
            price,
            energy_j: sum.energy,
            kind,
            source,
        }
    }

    /// Static power over the time, or why it cannot be said.
    fn static_energy(&self, warnings: &mut Vec<String>) -> Option<Interval> {
        let s = &self.chip.static_power;
        match s.scope {
            StaticScope::Included => return Some(Interval::ZERO),
            StaticScope::Unpublished => {
                warnings.push(format!(
                    "static power of `{}` is not published ({}): the total is dynamic energy only",
                    self.chip.name, s.note
                ));
                return None;
            }
            StaticScope::Separate => {}
        }
        let Some(time) = self.run.time_s else {
            warnings.push(format!(
                "`{}` states no latencies and no tick: static energy needs a time and is left out of the total",
                self.chip.name
            ));
            return None;
        };
        Some(static_power_w(self.chip, self.run) * time)
    }

    fn close(self) -> Bill {
        let mut by_class: BTreeMap<String, Interval> = BTreeMap::new();
        let mut by_group: BTreeMap<Cow<'static, str>, Interval> = BTreeMap::new();
        let mut lines = Vec::new();
        for ((class, key), sum) in &self.sums {
            *by_class.entry(class.key().into()).or_default() += sum.energy;
            *by_group.entry(class.group().into()).or_default() += sum.energy;
            lines.push(self.line(*class, key, sum));
        }
        let unpriced: Vec<Unpriced> = self
            .missing
            .iter()
            .map(|(class, (count, reason))| Unpriced {
                class: class.key().into(),
                count: *count,
                reason: reason.clone(),
            })
            .collect();
        let outside_bad = self.missing.keys().any(|c| c.group() == "outside");
        let inside_bad = self.missing.keys().any(|c| c.group() != "outside");
        let outside = by_group.get("outside").copied().unwrap_or_default();
        let dynamic: Interval =
            by_group.iter().filter(|(group, _)| **group != "outside").map(|(_, e)| *e).sum();
        let mut warnings = self.chip.warnings.clone();
        let static_j = self.static_energy(&mut warnings);
        if !unpriced.is_empty() {
            let names: Vec<&str> = unpriced.iter().map(|u| u.class.as_str()).collect();
            warnings.push(format!("no total on `{}`: no price for {}", self.chip.name, names.join(", ")));
        }
        let total = (!inside_bad).then(|| dynamic + static_j.unwrap_or_default());
        let time = self.run.time_s.filter(|t| *t > 0.0);
        let effective = self.totals.synaptic_effective;
        Bill {
            chip: self.chip.name.clone(),
            accounting: self.chip.accounting,
            by_class,
            by_group,
            by_population: BTreeMap::new(),
            by_core: BTreeMap::new(),
            dynamic_j: (!inside_bad).then_some(dynamic),
            static_j,
            outside_j: (!outside_bad).then_some(outside),
            total_j: total,
            time_s: self.run.time_s,
            average_power_w: total.zip(time).map(|(e, t)| e * (1.0 / t)),
            peak_power_w: None,
            edp_js: total.zip(time).map(|(e, t)| e.nominal * t),
            pj_per_effective_synop: total
                .filter(|_| effective > 0)
                .map(|e| e.nominal * 1e12 / effective as f64),
            lines,
            unpriced,
            warnings,
        }
    }
}

/// Power that flows without events: chip, cores in use and leakage of the bits in use, in watts.
fn static_power_w(chip: &Chip, run: &Run) -> Interval {
    let mut power = Interval::ZERO;
    let s = &chip.static_power;
    if let Some(p) = &s.chip {
        power += p.si(Quantity::Power);
    }
    if let Some(p) = &s.core {
        power += p.si(Quantity::Power) * run.cores_used as f64;
    }
    for level in &chip.memory {
        let Some(leak) = &level.leak_per_bit else {
            continue;
        };
        let [synapse, state, route] = run.stored_bits;
        for store in &level.holds {
            let bits = match store {
                Store::Synapse => synapse,
                Store::State => state,
                Store::Route => route,
            };
            power += leak.si(Quantity::Power) * bits as f64;
        }
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shipped;
    use proptest::prelude::*;

    fn cell(core: u32, population: &str, counts: Counts) -> Cell {
        Cell { core, population: population.into(), neurons: 1, kinds: Default::default(), counts }
    }

    #[test]
    fn loihi_bill_equals_a_hand_sum() {
        let chip = shipped::chip("loihi1-fitted").unwrap();
        let counts = Counts {
            synaptic_events: 100,
            synaptic_effective: 80,
            soma_accesses: 50,
            soma_updates: 20,
            soma_spikes: 5,
            packets_out: 7,
            packets_in: 7,
            hops: crate::Hops { east: 3, north: 2, ..Default::default() },
            ..Default::default()
        };
        let run = Run { time_s: Some(1e-6), cores_used: 1, ..Default::default() };
        let bill = Bill::of(&chip, &[cell(0, "a", counts)], &run);
        let pj = 100.0 * 33.6 + 50.0 * 51.2 + 20.0 * 21.6 + 5.0 * 69.3 + 7.0 * 111.0 + 9.0 + 8.4;
        let dynamic = bill.dynamic_j.unwrap().nominal;
        assert!((dynamic * 1e12 - pj).abs() < 1e-6, "{dynamic}");
        assert!((bill.static_j.unwrap().nominal - 0.029e-6).abs() < 1e-15);
        let total = bill.total_j.unwrap();
        assert!(total.low < total.nominal && total.nominal < total.high);
        let per = bill.pj_per_effective_synop.unwrap();
        assert!((per - total.nominal * 1e12 / 80.0).abs() < 1e-9);
    }

    #[test]
    fn a_used_class_without_a_price_refuses_the_total_and_is_named() {
        let chip = shipped::chip("reckon").unwrap();
        let counts = Counts { synaptic_events: 10, weight_updates: 3, ..Default::default() };
        let bill = Bill::of(&chip, &[cell(0, "a", counts)], &Run::default());
        assert_eq!(bill.total_j, None);
        assert_eq!(bill.dynamic_j, None);
        assert_eq!(bill.unpriced.len(), 1);
        assert_eq!(bill.unpriced[0].class, "weight_update");
        assert!(bill.warnings.iter().any(|w| w.contains("weight_update")));
    }

    #[test]
    fn a_class_whose_payer_was_not_counted_is_refused() {
        let chip = shipped::chip("digital45-sram").unwrap();
        let mut counts = Counts { synaptic_events: 10, ..Default::default() };
        let bill = Bill::of(&chip, &[cell(0, "a", counts.clone())], &Run::default());
        assert_eq!(bill.total_j, None);
        counts.read_bytes[0] = 10;
        let bill = Bill::of(&chip, &[cell(0, "a", counts)], &Run::default());
        assert!((bill.total_j.unwrap().nominal - 25e-12).abs() < 1e-24);
    }

    #[test]
    fn zero_activity_leaves_only_idle_and_static_cost() {
        let chip = shipped::chip("loihi1-published").unwrap();
        let counts = Counts {
            ticks: 1000,
            soma_accesses: Accounting::Clocked.accesses(10, 1000, 0),
            ..Default::default()
        };
        let run = Run { time_s: Some(1e-3), ..Default::default() };
        let bill = Bill::of(&chip, &[cell(0, "a", counts)], &run);
        assert!((bill.dynamic_j.unwrap().nominal - 10_000.0 * 52e-12).abs() < 1e-18);
        let keys: Vec<&String> = bill.by_class.keys().collect();
        assert_eq!(keys, ["soma_access"]);
        let event = shipped::chip("odin").unwrap();
        let idle = Counts { soma_accesses: event.accounting.accesses(10, 1000, 0), ..Default::default() };
        let bill = Bill::of(&event, &[cell(0, "a", idle)], &run);
        assert_eq!(bill.total_j, Some(Interval::ZERO));
    }

    fn any_counts() -> impl Strategy<Value = Counts> {
        proptest::collection::vec(0u64..1_000_000, 12).prop_map(|v| Counts {
            synaptic_events: v[0],
            acs: v[1],
            dend_updates: v[2],
            soma_accesses: v[3],
            soma_updates: v[4],
            soma_spikes: v[5],
            packets_out: v[6],
            packets_in: v[6],
            hops: crate::Hops { north: v[7], east: v[8], south: v[9], west: v[10] },
            weight_updates: v[11],
            ..Default::default()
        })
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-30)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn classes_populations_and_cores_all_sum_to_the_dynamic_energy(a in any_counts(), b in any_counts(), c in any_counts()) {
            let chip = shipped::chip("loihi1-published").unwrap();
            let cells = [cell(0, "x", a), cell(1, "x", b), cell(1, "y", c)];
            let bill = Bill::of(&chip, &cells, &Run::default());
            let dynamic = bill.dynamic_j.unwrap();
            for pick in [|i: &Interval| i.low, |i: &Interval| i.nominal, |i: &Interval| i.high] {
                let classes: f64 = bill.by_class.values().map(pick).sum();
                let populations: f64 = bill.by_population.values().map(|s| pick(&s.priced_j)).sum();
                let cores: f64 = bill.by_core.values().map(|s| pick(&s.priced_j)).sum();
                prop_assert!(close(classes, pick(&dynamic)));
                prop_assert!(close(populations, pick(&dynamic)));
                prop_assert!(close(cores, pick(&dynamic)));
            }
        }

        #[test]
        fn doubling_a_price_doubles_only_its_class(counts in any_counts(), which in 0usize..6) {
            let chip = shipped::chip("loihi1-fitted").unwrap();
            let class = [Class::SynEvent, Class::SomaAccess, Class::SomaUpdate, Class::SomaSpike, Class::PacketOut, Class::HopEast][which];
            let mut dearer = chip.clone();
            if let Some(Entry::Price(p)) = dearer.prices.get_mut(class.key()) {
                p.value *= 2.0;
                p.low *= 2.0;
                p.high *= 2.0;
            }
            let cells = [cell(0, "x", counts)];
            let before = Bill::of(&chip, &cells, &Run::default());
            let after = Bill::of(&dearer, &cells, &Run::default());
            for (key, e) in &before.by_class {
                let factor = if key == class.key() { 2.0 } else { 1.0 };
                prop_assert!(close(after.by_class[key].nominal, e.nominal * factor));
            }
        }

        #[test]
        fn energy_scales_with_the_counts(counts in any_counts(), k in 1u64..50) {
            let chip = shipped::chip("loihi1-published").unwrap();
            let one = Bill::of(&chip, &[cell(0, "x", counts.clone())], &Run::default());
            let many = Bill::of(&chip, &vec![cell(0, "x", counts); k as usize], &Run::default());
            prop_assert!(close(many.total_j.unwrap().nominal, one.total_j.unwrap().nominal * k as f64));
        }
    }
}
