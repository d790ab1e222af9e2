//! Plasticity in the machine: which rule runs when, and on what.
//!
//! A plastic port has its own traces, on the side of its target: `x1`, `x2` of its source's neurons, seen when
//! their events arrive, and `y1`, `y2` of its target's. In a tick, after all stages: traces decay, the tick's
//! events are added; if the rule is due, the post side is computed once per neuron, then rows are walked in the
//! order of source neurons. Rows that cannot change (no event where every term needs one, no trace where every
//! term needs it) are not visited.
//!
//! Draws are addressed by (projection, number of the update, source neuron, target neuron): they do not depend
//! on the placement.

use crate::arena::{Parts, RUN_WORDS, run, stride};
use crate::counters::{Count, add};
use crate::draw::{DECAY, Draws, ERROR_BITS, PLASTICITY};
use crate::image::{Image, ImageError, Kind, NONE, Param, Piece, Port, Section, Segment, Store};
use crate::machine::{Machine, counters_of, sent_at};
use crate::neuron::BLOCK;
use crate::plasticity::{
    Cadence, Columns, Decay, ErrorFactor, Marks, Moment, Post, Posts, Row, Rule, Symmetry, Tally, Targets,
    Trace, TraceMode, Variable, Weights, with_sample,
};
use crate::store::{Event, Kernels, Loop, Portable};
use crate::tile::{Tile, Work as TileWork};
use crate::words::{bytes_at, word};

/// Where the parts of a port's learning state stand: third factor, traces, then scratch for the post side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    row_first: usize,
    rows: usize,
    column_first: usize,
    columns: usize,
    values: usize,
    lists: usize,
}

impl Layout {
    pub(crate) fn of(image: &Image<'_>, port: &Port) -> Option<Layout> {
        let rule = rule_of(image, port)?;
        let (row_first, rows, column_first, columns) = match image.array(port.device) {
            Some(a) => (a.row_first, a.rows, a.column_first, a.columns),
            None => (0, image.piece(port.source)?.count, 0, image.piece(port.target)?.count),
        };
        let (rows, columns) = (rows as usize, columns as usize);
        let values = Columns::values_needed(&rule, columns);
        let lists = Columns::lists_needed(&rule, columns).div_ceil(2);
        let (row_first, column_first) = (row_first as usize, column_first as usize);
        Some(Layout { row_first, rows, column_first, columns, values, lists })
    }

    /// Rows and columns.
    pub(crate) fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// `i32` words of traces, after the third factor.
    fn traces(&self) -> usize {
        2 * (self.rows + self.columns)
    }

    pub(crate) fn words(&self) -> usize {
        1 + self.traces() + self.values + self.lists
    }
}

/// The rule of a port.
pub(crate) fn rule_of(image: &Image<'_>, port: &Port) -> Option<Rule> {
    Rule::decode(image.rule_words(port.rule)?).ok()
}

/// All rules decode, and every plastic port names one.
pub(crate) fn check_rules(image: &Image<'_>) -> Result<(), ImageError> {
    for i in 0..image.rule_count() {
        if image.rule_words(i).is_none_or(|w| Rule::decode(w).is_err()) {
            return Err(ImageError::Record { section: Section::Rules, index: i, what: "not a rule" });
        }
    }
    for i in 0..image.ports {
        let rule = image.port(i).map_or(NONE, |p| p.rule);
        if rule != NONE && rule >= image.rule_count() {
            return Err(ImageError::Record { section: Section::Ports, index: i, what: "no such rule" });
        }
        let Some(port) = image.port(i).filter(|p| p.rule != NONE) else { continue };
        let Some(rule) = rule_of(image, &port) else { continue };
        let fail = |what| Err(ImageError::Record { section: Section::Ports, index: i, what });
        if port.store == Store::Crossbar && matches!(rule.cadence(), Cadence::Samples(_)) {
            return fail("a rule over several samples on a crossbar");
        }
        let among =
            port.source == port.target && image.piece(port.target).is_some_and(|p| p.kind == Kind::Binary);
        if rule.symmetry() != Symmetry::None && !among {
            return fail("a rule with f on synapses that are not among binary neurons of one piece");
        }
    }
    Ok(())
}

impl Machine<'_> {
    /// Runs traces, and the rules that are due, at the end of a tick.
    pub(crate) fn learn_in_tick<K: Kernels, D: Draws>(&mut self, kernels: &K, draws: &mut D) {
        if !(0..self.image.rule_count()).any(|r| self.image.rule_words(r).is_some_and(Rule::acts_in_ticks)) {
            return;
        }
        let tick = self.tick;
        let any = (0..self.image.rule_count()).any(|r| {
            self.image.rule_words(r).and_then(|w| Rule::decode(w).ok()).is_some_and(|r| r.cadence().due(tick))
        });
        for i in 0..self.image.ports {
            let Some(port) = self.image.port(i).filter(|p| p.rule != NONE) else { continue };
            let Some(rule) = rule_of(&self.image, &port) else { continue };
            let traced = self.update_traces(i, &port, &rule);
            let mut tally = Tally::default();
            if rule.cadence().due(tick) {
                tally = self.apply(i, &port, &rule, tick, (kernels, draws));
            }
            if K::COUNTS {
                self.count_learning(&port, &tally, traced);
            }
        }
        self.updates += u64::from(any);
    }

    /// Runs the rules whose cadence is the end of a sample, on the state as the last tick left it; rules over
    /// several samples remember this one, and run if it is their last.
    ///
    /// The sums that rules of binary neurons read are those of events that have arrived: a program should end with
    /// a tick in which the neurons are held, so that the last changes arrive.
    pub fn learn_sample<D: Draws>(&mut self, draws: &mut D) {
        self.learn_sample_by(&Portable, draws);
    }

    /// [`learn_sample`](Self::learn_sample) with the loops of a host, which pulse crossbars faster.
    pub fn learn_sample_by<K: Kernels, D: Draws>(&mut self, kernels: &K, draws: &mut D) {
        let tick = self.tick.saturating_sub(1);
        for i in 0..self.image.ports {
            let Some(port) = self.image.port(i).filter(|p| p.rule != NONE) else { continue };
            let Some(rule) = rule_of(&self.image, &port) else { continue };
            let tally = match rule.cadence() {
                Cadence::Sample => self.apply(i, &port, &rule, tick, (kernels, draws)),
                Cadence::Samples(k) => {
                    let sample = (self.samples % u64::from(k)) as u32;
                    let mut tally = self.note_sample(i, &port, &rule, sample, draws);
                    if sample + 1 == k {
                        tally += self.apply_batch(i, &port, &rule, kernels, draws);
                        tally += self.decay(i, &port, &rule, self.samples + 1, kernels, draws);
                    }
                    tally
                }
                Cadence::Tick | Cadence::Every(_) => continue,
            };
            self.count_learning(&port, &tally, 0);
        }
        self.updates += 1;
        self.samples += 1;
    }

    /// Runs the rules over several samples on those that they remember, and forgets them: the end of an epoch.
    pub fn finish_batch<D: Draws>(&mut self, draws: &mut D) {
        for i in 0..self.image.ports {
            let Some(port) = self.image.port(i).filter(|p| p.rule != NONE) else { continue };
            let Some(rule) = rule_of(&self.image, &port) else { continue };
            if let Cadence::Samples(_) = rule.cadence() {
                let tally = self.apply_batch(i, &port, &rule, &Portable, draws);
                self.count_learning(&port, &tally, 0);
            }
        }
        self.updates += 1;
        self.samples = 0;
    }

    /// Remembers the pre and post sides of a sample; the tally has the draws of error bits.
    fn note_sample<D: Draws>(
        &mut self,
        i: u32,
        port: &Port,
        rule: &Rule,
        sample: u32,
        draws: &mut D,
    ) -> Tally {
        let mut tally = Tally::default();
        let (Some(layout), Some(source), Some(target)) =
            (Layout::of(&self.image, port), self.image.piece(port.source), self.image.piece(port.target))
        else {
            return tally;
        };
        let Some(term) = rule.terms().first() else { return tally };
        let at = word(self.port_learning, i as usize);
        if at == NONE {
            return tally;
        }
        let start = at as usize + 1;
        let Some(bits) = self.learning.get_mut(start..start + layout.rows + layout.columns) else {
            return tally;
        };
        let (pre, post) = bits.split_at_mut_checked(layout.rows).unwrap_or_default();
        for (bits, &value) in pre.iter_mut().zip(values(self.run, self.state, port.source, &source)) {
            *bits = with_sample(*bits as u32, sample, value) as i32;
        }
        let parts = Parts::of(&target);
        let base = word(self.run, port.target as usize * RUN_WORDS + run::STATE) as usize;
        let n = target.count as usize;
        let part = |p: Option<u32>| {
            let at = p.map_or(usize::MAX, |p| base + p as usize * stride(target.count));
            self.state.get(at..at.saturating_add(n)).unwrap_or(&[])
        };
        let power = |v: Variable| term.exponents.of(v) != 0;
        let (states, targets) = (part(parts.v), part(parts.target));
        let first = if target.kind == Kind::Binary { Some(0) } else { parts.remembered };
        let error = rule.error_bit().filter(|_| power(Variable::E));
        // Groups of the field that are there; the others are 0.
        let groups = error.map_or(0, |e| e.field.groups) & ((1u32 << target.groups) - 1) as u8;
        let state_counts = error.is_some_and(|e| e.field.state);
        let factor = error.map_or(ErrorFactor::One, |e| e.factor);
        let (purpose, time) = (ERROR_BITS.wrapping_add(target.population), self.updates);
        let mut index = target.population_first;
        for (block, bits) in post.chunks_mut(BLOCK).enumerate() {
            let here = |values: &[i32], out: &mut [i32; BLOCK]| {
                for (o, v) in out.iter_mut().zip(values.get(block * BLOCK..).unwrap_or(&[])) {
                    *o = *v;
                }
            };
            let (mut state, mut target) = ([0i32; BLOCK], [0i32; BLOCK]);
            here(states, &mut state);
            here(targets, &mut target);
            let mut field = [0i64; BLOCK];
            let mut more = |values: &[i32; BLOCK]| {
                for (f, v) in field.iter_mut().zip(values) {
                    *f += i64::from(*v);
                }
            };
            for g in (0..4u32).filter(|g| groups >> g & 1 == 1) {
                let mut sums = [0i32; BLOCK];
                here(part(first.map(|f| f + g)), &mut sums);
                more(&sums);
            }
            if state_counts {
                more(&state);
            }
            for (((bits, state), target), field) in bits.iter_mut().zip(&state).zip(&target).zip(&field) {
                let sign = if *state < 0 { -1 } else { 1 };
                let signed = match factor {
                    ErrorFactor::One => *field,
                    ErrorFactor::Sign => *field * i64::from(sign),
                    ErrorFactor::Target => field.saturating_mul(i64::from(*target)),
                };
                let draw = || {
                    tally.draws += 1;
                    draws.draw(purpose, time, index)
                };
                let mut value = i32::from(error.is_none_or(|e| e.is_one(signed, draw)));
                index = index.wrapping_add(1);
                if power(Variable::S) {
                    value *= sign;
                }
                if power(Variable::Y0) {
                    value *= state.signum();
                }
                if power(Variable::T) {
                    value *= target.signum();
                }
                *bits = with_sample(*bits as u32, sample, value) as i32;
            }
        }
        tally
    }

    /// Applies a rule for all samples that its port remembers, and forgets them.
    pub(crate) fn apply_batch<K: Kernels, D: Draws>(
        &mut self,
        i: u32,
        port: &Port,
        rule: &Rule,
        kernels: &K,
        draws: &mut D,
    ) -> Tally {
        let mut tally = Tally::default();
        let (Some(layout), Some(source), Some(target)) =
            (Layout::of(&self.image, port), self.image.piece(port.source), self.image.piece(port.target))
        else {
            return tally;
        };
        let at = word(self.port_learning, i as usize);
        if at == NONE {
            return tally;
        }
        let Some(own) = self.learning.get_mut(at as usize + 1..at as usize + layout.words()) else {
            return tally;
        };
        let (bits, scratch) = own.split_at_mut_checked(layout.traces()).unwrap_or_default();
        let Some(bits) = bits.get_mut(..layout.rows + layout.columns) else { return tally };
        let (pre, post) = bits.split_at_mut_checked(layout.rows).unwrap_or_default();
        let lists = scratch.get_mut(layout.values..).unwrap_or_default();
        let lists: &mut [u16] = bytemuck::try_cast_slice_mut(lists).unwrap_or_default();
        let mut listed = 0;
        let mean = rule.symmetry() == Symmetry::Mean;
        for (j, _) in post.iter().enumerate().filter(|(_, bits)| **bits != 0 || mean) {
            if let Some(place) = lists.get_mut(listed) {
                *place = j as u16;
                listed += 1;
            }
        }
        if listed != 0 {
            let listed = lists.get(..listed).unwrap_or_default();
            let (pre, post) = (&*pre, &*post);
            let posts = Posts { bits: bytemuck::cast_slice(post), listed, pre: bytemuck::cast_slice(pre) };
            tally = kernels.run(BatchRows {
                rule,
                rows: PlasticRows::new(
                    &self.image,
                    i,
                    port,
                    (&source, &target),
                    self.plastic,
                    self.cores.start,
                ),
                // x0*y0*f of a neuron is its y0*x0*e.
                pre: if rule.symmetry() == Symmetry::Both { post } else { pre },
                posts,
                own_synapse: port.source == port.target && target.kind == Kind::Binary,
                kernels,
                draws,
                moment: Moment { purpose: PLASTICITY.wrapping_add(port.projection), time: self.updates },
            });
        }
        bits.fill(0);
        if tally.changed != 0 {
            self.mark_stale(port.target);
        }
        tally
    }

    /// Lets the weights of a port decay, if that is due after `samples` samples.
    pub(crate) fn decay<K: Kernels, D: Draws>(
        &mut self,
        i: u32,
        port: &Port,
        rule: &Rule,
        samples: u64,
        kernels: &K,
        draws: &mut D,
    ) -> Tally {
        let (Cadence::Samples(last), Some(decay)) = (rule.cadence(), rule.decay()) else {
            return Tally::default();
        };
        let (Some(source), Some(target)) = (self.image.piece(port.source), self.image.piece(port.target))
        else {
            return Tally::default();
        };
        if !decay.is_due(samples, u64::from(last)) || word(self.port_learning, i as usize) == NONE {
            return Tally::default();
        }
        let pieces = (&source, &target);
        let tally = kernels.run(DecayRows {
            decay,
            rows: PlasticRows::new(&self.image, i, port, pieces, self.plastic, self.cores.start),
            count: source.count as usize,
            draws,
            moment: Moment { purpose: DECAY.wrapping_add(port.projection), time: self.updates },
        });
        if tally.changed != 0 {
            self.mark_stale(port.target);
        }
        tally
    }

    /// Sets the broadcast third factor `r` of a rule.
    pub fn set_third_factor(&mut self, rule: u32, value: i32) {
        for i in 0..self.image.ports {
            if self.image.port(i).is_some_and(|p| p.rule == rule) {
                let at = word(self.port_learning, i as usize);
                if let Some(r) = self.learning.get_mut(at as usize).filter(|_| at != NONE) {
                    *r = value;
                }
            }
        }
    }

    pub(crate) fn count_learning(&mut self, port: &Port, tally: &Tally, traced: u64) {
        let Some(row) = counters_of(self.counters, port.target) else { return };
        add(row, Count::PlasticUpdates, tally.attempted);
        add(row, Count::PlasticChanges, tally.changed);
        add(row, Count::RoundedToZero, tally.rounded_to_zero);
        add(row, Count::WeightSaturations, tally.saturated);
        add(row, Count::Draws, tally.draws);
        add(row, Count::TraceUpdates, traced);
    }

    /// The learning state of a port: (third factor, traces, scratch), or nothing where it is not hosted.
    fn learning_of(&mut self, i: u32, layout: &Layout) -> Option<(&mut i32, &mut [i32], &mut [i32])> {
        let at = word(self.port_learning, i as usize);
        if at == NONE {
            return None;
        }
        let all = self.learning.get_mut(at as usize..at as usize + layout.words())?;
        let (third, rest) = all.split_first_mut()?;
        let (traces, scratch) = rest.split_at_mut_checked(layout.traces())?;
        Some((third, traces, scratch))
    }

    /// The layout of a plastic port whose rule has traces.
    fn traced(&self, i: u32) -> Option<Layout> {
        let port = self.image.port(i).filter(|p| p.rule != NONE)?;
        let rule = rule_of(&self.image, &port)?;
        let traced = rule.pre_traces().iter().chain(&rule.post_traces()).any(Option::is_some);
        traced.then(|| Layout::of(&self.image, &port)).flatten()
    }

    /// Forgets what rules over several samples remember.
    pub(crate) fn forget_samples(&mut self) {
        for i in 0..self.image.ports {
            let layout =
                self.image.port(i).filter(|p| p.rule != NONE).and_then(|p| Layout::of(&self.image, &p));
            if let Some((_, bits, _)) = layout.as_ref().and_then(|l| self.learning_of(i, l)) {
                bits.fill(0);
            }
        }
    }

    /// Whether any trace is not zero.
    pub(crate) fn has_traces(&mut self) -> bool {
        (0..self.image.ports).any(|i| {
            let layout = self.traced(i);
            let state = layout.as_ref().and_then(|l| self.learning_of(i, l));
            state.is_some_and(|(_, traces, _)| traces.iter().any(|t| *t != 0))
        })
    }

    /// Sets all traces to zero.
    pub(crate) fn forget_traces(&mut self) {
        for i in 0..self.image.ports {
            let layout = self.traced(i);
            if let Some((_, traces, _)) = layout.as_ref().and_then(|l| self.learning_of(i, l)) {
                traces.fill(0);
            }
        }
    }

    /// Decays the traces of a port and adds this tick's events; returns how many values moved.
    fn update_traces(&mut self, i: u32, port: &Port, rule: &Rule) -> u64 {
        let [x1, x2] = rule.pre_traces();
        let [y1, y2] = rule.post_traces();
        if [x1, x2, y1, y2].iter().all(Option::is_none) {
            return 0;
        }
        let Some(layout) = Layout::of(&self.image, port) else { return 0 };
        let at = word(self.port_learning, i as usize) as usize;
        let (runs, lengths, events, tick) = (&*self.run, &*self.lengths, &*self.events, self.tick);
        let image = &self.image;
        let arrived = |piece: u32, delay: u32| match image.piece(piece) {
            Some(p) if u64::from(delay) <= tick => {
                sent_at(runs, lengths, events, piece, &p, tick - u64::from(delay))
            }
            _ => &[],
        };
        let pre = within(arrived(port.source, port.delay), layout.row_first, layout.rows);
        let post = within(arrived(port.target, 0), layout.column_first, layout.columns);
        let Some(traces) = self.learning.get_mut(at + 1..at + 1 + layout.traces()) else { return 0 };
        let (xs, ys) = traces.split_at_mut_checked(2 * layout.rows).unwrap_or_default();
        let (xs1, xs2) = xs.split_at_mut_checked(layout.rows).unwrap_or_default();
        let (ys1, ys2) = ys.split_at_mut_checked(layout.columns).unwrap_or_default();
        let target = image.piece(port.target);
        let parts = target.map(|t| Parts::of(&t)).unwrap_or_default();
        let base = word(runs, port.target as usize * RUN_WORDS + run::STATE) as usize;
        let state = self.state.get(base..).unwrap_or(&[]);
        let first = layout.column_first;
        let neurons =
            target.as_ref().map(|piece| Neurons { image, piece, state, parts, spikes: post, first });
        let mut moved = 0;
        for (trace, values) in [(x1, xs1), (x2, xs2)] {
            moved += trace.map_or(0, |t| move_trace(&t, values, pre, layout.row_first));
        }
        for (trace, values) in [(y1, ys1), (y2, ys2)] {
            moved += match (trace, &neurons) {
                (Some(t), Some(neurons)) if t.mode == TraceMode::Window => {
                    neurons.move_windowed(rule, &t, values)
                }
                (Some(t), _) => move_trace(&t, values, post, layout.column_first),
                (None, _) => 0,
            };
        }
        moved
    }

    /// Applies a rule to a port. Out of line: what it needs of the stack is not needed where nothing learns.
    #[inline(never)]
    fn apply<K: Kernels, D: Draws>(
        &mut self,
        i: u32,
        port: &Port,
        rule: &Rule,
        tick: u64,
        (kernels, draws): (&K, &mut D),
    ) -> Tally {
        let mut tally = Tally::default();
        let (Some(source), Some(target)) = (self.image.piece(port.source), self.image.piece(port.target))
        else {
            return tally;
        };
        let Some(layout) = Layout::of(&self.image, port) else { return tally };
        let at = word(self.port_learning, i as usize);
        if at == NONE {
            return tally;
        }
        let pre_events = match tick.checked_sub(u64::from(port.delay)) {
            Some(sent) => sent_at(self.run, self.lengths, self.events, port.source, &source, sent),
            None => &[],
        };
        let values = if source.holds() { values(self.run, self.state, port.source, &source) } else { &[] };
        let before = if source.holds() {
            Before::Values(values.get(layout.row_first..layout.row_first + layout.rows).unwrap_or(&[]))
        } else {
            Before::Events(within(pre_events, layout.row_first, layout.rows), layout.row_first)
        };
        if rule.needs(Variable::X0) && before.is_empty() {
            return tally;
        }
        let Some(own) = self.learning.get_mut(at as usize..at as usize + layout.words()) else {
            return tally;
        };
        let Some((third, rest)) = own.split_first_mut() else { return tally };
        if rule.needs(Variable::R) && *third == 0 {
            return tally;
        }
        let (xs, rest) = rest.split_at_mut_checked(2 * layout.rows).unwrap_or_default();
        let (ys, rest) = rest.split_at_mut_checked(2 * layout.columns).unwrap_or_default();
        let (values, lists) = rest.split_at_mut_checked(layout.values).unwrap_or_default();
        values.fill(0);
        let mut marks = Marks::default();
        let lists: &mut [u16] = bytemuck::try_cast_slice_mut(lists).unwrap_or_default();
        let lists = lists.get_mut(..Columns::lists_needed(rule, layout.columns)).unwrap_or_default();
        let Some(mut columns) = Columns::new(rule, layout.columns, values, lists, &mut marks) else {
            return tally;
        };
        let parts = Parts::of(&target);
        let base = word(self.run, port.target as usize * RUN_WORDS + run::STATE) as usize;
        let state = self.state.get(base..base + stride(target.count) * parts.total as usize).unwrap_or(&[]);
        let spikes = sent_at(self.run, self.lengths, self.events, port.target, &target, tick);
        let spikes = within(spikes, layout.column_first, layout.columns);
        let first = layout.column_first;
        let neurons = Neurons { image: &self.image, piece: &target, state, parts, spikes, first };
        neurons.fill(rule, ys, &mut columns);
        if columns.is_idle() {
            return tally;
        }
        let own_synapse = port.source == port.target && target.kind == Kind::Binary;
        let moment = Moment { purpose: PLASTICITY.wrapping_add(port.projection), time: self.updates };
        let (xs1, xs2) = xs.split_at_checked(layout.rows).unwrap_or_default();
        if port.store == Store::Crossbar {
            let address = |local: usize| {
                let row = source.population_first.wrapping_add((layout.row_first + local) as u32);
                (row << 16).wrapping_add(target.population_first).wrapping_add(layout.column_first as u32)
            };
            let mut visit = |tile: &mut Tile<'_>, local: usize, x0: i32| {
                let trace = |t: &[i32]| t.get(local).copied().unwrap_or(0);
                let pre = rule.pre_side([x0, trace(xs1), trace(xs2)], *third);
                if !pre.is_idle() {
                    let own =
                        own_synapse.then(|| (layout.row_first + local).wrapping_sub(layout.column_first));
                    let kept = own.map(|own| (own, columns.mute(own)));
                    tally +=
                        tile.learn(rule, &pre, &columns, (local, address(local)), (kernels, draws), moment);
                    if let Some((own, kept)) = kept {
                        columns.unmute(own, kept);
                    }
                }
            };
            let plastic_first = self.image.core(self.cores.start).map_or(0, |c| c.plastic_first as usize * 8);
            let kept = word(self.port_arrays, i as usize);
            let mut on_tile = |tile: &mut Tile<'_>| {
                each_row(rule, &before, layout.rows, &mut |local, x0| visit(tile, local, x0));
            };
            let work = with_tile(
                || Tile::new(&self.image, port, kept, self.arrays, self.plastic, plastic_first, self.tick),
                &mut on_tile,
            );
            if let (Some(work), Some(row)) = (work, counters_of(self.counters, port.target)) {
                work.count(row);
            }
            if tally.changed != 0 {
                self.mark_stale(port.target);
            }
            return tally;
        }
        let mut rows =
            PlasticRows::new(&self.image, i, port, (&source, &target), self.plastic, self.cores.start);
        let mut visit = |local: usize, x0: i32| {
            let trace = |t: &[i32]| t.get(local).copied().unwrap_or(0);
            let pre = rule.pre_side([x0, trace(xs1), trace(xs2)], *third);
            if !pre.is_idle() {
                // The coupling of a binary neuron to itself is not plastic.
                let kept = own_synapse.then(|| columns.mute(local));
                for q in rows.segments(local) {
                    let Some((mut row, count_at)) = rows.segment(local, q) else { continue };
                    let t = rule.update(&pre, &columns, &mut row, draws, moment);
                    rows.count(count_at, t.nonzero);
                    tally += t;
                }
                if let Some(kept) = kept {
                    columns.unmute(local, kept);
                }
            }
        };
        each_row(rule, &before, layout.rows, &mut visit);
        if tally.changed != 0 {
            self.mark_stale(port.target);
        }
        tally
    }
}

/// The rows of a port for a rule over several samples.
struct BatchRows<'l, 'm, K, D> {
    rule: &'l Rule,
    rows: PlasticRows<'m>,
    pre: &'l [i32],
    posts: Posts<'l>,
    /// The coupling of a binary neuron to itself is not plastic.
    own_synapse: bool,
    kernels: &'l K,
    draws: &'l mut D,
    moment: Moment,
}

impl<K: Kernels, D: Draws> Loop for BatchRows<'_, '_, K, D> {
    type Output = Tally;

    #[inline(always)]
    fn run(mut self) -> Tally {
        let mut change =
            self.rule.batch(self.posts, self.rows.port.bits, (self.kernels, self.draws), self.moment);
        for (local, &bits) in self.pre.iter().enumerate().filter(|(_, bits)| **bits != 0) {
            let own = self.own_synapse.then_some(local as u16);
            for q in self.rows.segments(local) {
                let Some((mut row, count_at)) = self.rows.segment(local, q) else { continue };
                let more = change.update(bits as u32, own, &mut row);
                self.rows.count(count_at, more);
            }
        }
        change.tally()
    }
}

/// The rows of a port whose weights decay.
struct DecayRows<'l, 'm, D> {
    decay: Decay,
    rows: PlasticRows<'m>,
    count: usize,
    draws: &'l mut D,
    moment: Moment,
}

impl<D: Draws> Loop for DecayRows<'_, '_, D> {
    type Output = Tally;

    #[inline(always)]
    fn run(mut self) -> Tally {
        let mut tally = Tally::default();
        for local in 0..self.count {
            for q in self.rows.segments(local) {
                let Some((mut row, count_at)) = self.rows.segment(local, q) else { continue };
                let before = tally.nonzero;
                self.decay.row(&mut row, self.draws, self.moment, &mut tally);
                let more = tally.nonzero - before;
                self.rows.count(count_at, more);
            }
        }
        tally
    }
}

/// Learns on a tile, which stands on the stack of this function alone: rules without crossbars need less.
#[inline(never)]
fn with_tile<'m>(
    tile: impl FnOnce() -> Option<Tile<'m>>,
    learn: &mut dyn FnMut(&mut Tile<'m>),
) -> Option<TileWork> {
    let mut tile = tile()?;
    learn(&mut tile);
    Some(tile.finish())
}

/// The pre side of a tick: events, which ascend by neuron, with the neuron of the first row; or the values that the
/// rows' neurons hold.
enum Before<'e> {
    Events(&'e [Event], usize),
    Values(&'e [i32]),
}

impl Before<'_> {
    fn is_empty(&self) -> bool {
        match self {
            Before::Events(events, _) => events.is_empty(),
            Before::Values(values) => values.iter().all(|v| *v == 0),
        }
    }
}

/// Visits the rows that a rule may change, in ascending order, each with its payload of this tick, or its value.
fn each_row(rule: &Rule, before: &Before<'_>, rows: usize, visit: &mut dyn FnMut(usize, i32)) {
    let needed = rule.needs(Variable::X0);
    match *before {
        Before::Values(values) => {
            for (local, x0) in values.iter().enumerate().filter(|(_, x0)| !needed || **x0 != 0) {
                visit(local, *x0);
            }
        }
        Before::Events(events, first) if needed => {
            for e in events {
                visit((e[0] as usize).wrapping_sub(first), e[1]);
            }
        }
        Before::Events(events, first) => {
            let mut events = events.iter().peekable();
            for local in 0..rows {
                let x0 = events.next_if(|e| e[0] as usize == first + local).map_or(0, |e| e[1]);
                visit(local, x0);
            }
        }
    }
}

/// The events of `count` neurons from `first` on; events ascend by neuron.
fn within(events: &[Event], first: usize, count: usize) -> &[Event] {
    let start = events.partition_point(|e| (e[0] as usize) < first);
    let end = events.partition_point(|e| (e[0] as usize) < first + count);
    events.get(start..end).unwrap_or(&[])
}

/// The values that a piece holds.
fn values<'s>(runs: &[u32], state: &'s [i32], piece: u32, record: &Piece) -> &'s [i32] {
    let base = word(runs, piece as usize * RUN_WORDS + run::STATE);
    let Some(part) = Parts::of(record).v.filter(|_| base != NONE) else { return &[] };
    let at = base as usize + stride(record.count) * part as usize;
    state.get(at..at + record.count as usize).unwrap_or(&[])
}

/// Moves a trace by one tick; returns how many values were or became other than zero. `first` is the neuron of the
/// first value.
fn move_trace(trace: &Trace, values: &mut [i32], events: &[Event], first: usize) -> u64 {
    let mut moved = 0;
    for v in values.iter_mut().filter(|v| **v != 0) {
        *v = trace.decayed(*v);
        moved += 1;
    }
    for &[neuron, payload] in events {
        if let Some(v) = values.get_mut((neuron as usize).wrapping_sub(first)) {
            moved += u64::from(*v == 0);
            *v = trace.after_event(*v, payload).0;
        }
    }
    moved
}

/// What rules read of the neurons of a target piece.
struct Neurons<'m> {
    image: &'m Image<'m>,
    piece: &'m Piece,
    /// All parts of the piece's state.
    state: &'m [i32],
    parts: Parts,
    spikes: &'m [Event],
    /// The neuron of the first column.
    first: usize,
}

impl Neurons<'_> {
    fn part(&self, part: Option<u32>, j: usize) -> i32 {
        let stride = stride(self.piece.count);
        part.and_then(|p| self.state.get(p as usize * stride + j)).copied().unwrap_or(0)
    }

    fn threshold(&self, j: usize) -> i32 {
        let Param { value, array } = self.piece.threshold;
        let own = if array == NONE { value } else { word_i32(self.image.params, array as usize + j) };
        own.saturating_add(self.part(self.parts.adapt, j))
    }

    /// The input sums of a neuron at its last update.
    fn groups(&self, j: usize) -> [i32; 4] {
        let first = if self.piece.kind == Kind::Binary { Some(0) } else { self.parts.remembered };
        let mut sums = [0; 4];
        for (g, sum) in sums.iter_mut().enumerate().take(self.piece.groups as usize) {
            *sum = self.part(first.map(|f| f + g as u32), j);
        }
        sums
    }

    /// Moves a trace that grows while the window of its neuron is open.
    fn move_windowed(&self, rule: &Rule, trace: &Trace, values: &mut [i32]) -> u64 {
        let mut moved = 0;
        for (j, v) in (self.first..).zip(values.iter_mut()) {
            let post =
                Post { state: self.part(self.parts.v, j), threshold: self.threshold(j), ..Post::default() };
            let open = i32::from(rule.is_in_window(&post));
            moved += u64::from(*v != 0 || open != 0);
            *v = trace.after_event(trace.decayed(*v), open).0;
        }
        moved
    }

    /// Computes the post side of every neuron.
    fn fill(&self, rule: &Rule, ys: &[i32], columns: &mut Columns<'_>) {
        let n = ys.len() / 2;
        let (ys1, ys2) = ys.split_at_checked(n).unwrap_or_default();
        let mut spikes = self.spikes.iter().peekable();
        let binary = self.piece.kind == Kind::Binary;
        let only_spikes = rule.needs(Variable::Y0) && !binary;
        for (column, j) in (self.first..self.first + n).enumerate() {
            let fired = match binary {
                true => self.part(self.parts.v, j),
                false => spikes.next_if(|e| e[0] as usize == j).map_or(0, |e| e[1]),
            };
            if only_spikes && fired == 0 {
                continue;
            }
            let post = Post {
                spikes: fired,
                traces: [word_i32(ys1, column), word_i32(ys2, column)],
                state: self.part(self.parts.v, j),
                threshold: self.threshold(j),
                target: self.part(self.parts.target, j),
                groups: self.groups(j),
            };
            columns.set(rule, column, &post);
        }
    }
}

fn word_i32(values: &[i32], i: usize) -> i32 {
    values.get(i).copied().unwrap_or(0)
}

/// The plastic rows of a port.
struct PlasticRows<'m> {
    image: &'m Image<'m>,
    number: u32,
    port: &'m Port,
    columns: usize,
    /// First index of the row table of a sparse port's delay class.
    class: Option<crate::image::DelayClass>,
    plastic: &'m mut [u8],
    /// Where the machine's plastic memory stands in the image's.
    first: usize,
    /// Addresses of draws: of source neuron 0, and of the first target neuron.
    draw_row: u32,
    draw_column: u32,
}

impl<'m> PlasticRows<'m> {
    fn new(
        image: &'m Image<'m>,
        number: u32,
        port: &'m Port,
        (source, target): (&Piece, &Piece),
        plastic: &'m mut [u8],
        first_core: u32,
    ) -> Self {
        PlasticRows {
            image,
            number,
            port,
            columns: target.count as usize,
            class: (source.delay_first..source.delay_first + source.delay_count)
                .filter_map(|c| image.delay_class(c))
                .find(|c| c.delay == port.delay && c.rows != NONE),
            plastic,
            first: image.core(first_core).map_or(0, |c| c.plastic_first as usize * 8),
            draw_row: source.population_first,
            draw_column: target.population_first,
        }
    }

    /// The segments of a row.
    #[inline(always)]
    fn segments(&self, local: usize) -> core::ops::Range<u32> {
        match &self.class {
            _ if self.port.store == Store::Dense => 0..1,
            Some(class) => {
                let (first, end) = self.image.row(class, local as u32);
                first..end
            }
            None => 0..0,
        }
    }

    /// A segment of a row, and where its count of non-zero weights stands; `None` where it is another port's.
    #[inline(always)]
    fn segment(&mut self, local: usize, q: u32) -> Option<(Row<'_>, usize)> {
        let dense = self.port.store == Store::Dense;
        let (targets, count, count_at, at) = if dense { self.dense(local) } else { self.sparse(q)? };
        let bytes = Segment::weight_bytes(count, self.port.bits);
        let bytes = self.plastic.get_mut(at..at.wrapping_add(bytes))?;
        let weights = container(bytes, self.port.bits, count as usize)?;
        let first_draw = (self.draw_row.wrapping_add(local as u32) << 16).wrapping_add(self.draw_column);
        Some((Row { weights, targets, first_draw }, count_at))
    }

    /// Adds to a count of non-zero weights.
    #[inline(always)]
    fn count(&mut self, at: usize, more: i64) {
        let nonzero = crate::words::le_u32(self.plastic, at).wrapping_add_signed(more as i32);
        put_u32(self.plastic, at, nonzero);
    }

    /// A dense row: its targets, how many, and where its count of non-zero weights and its weights stand.
    #[inline(always)]
    fn dense(&self, local: usize) -> (Targets<'m>, u32, usize, usize) {
        let at = (self.port.offset as usize * 8)
            .wrapping_sub(self.first)
            .wrapping_add(local * self.port.stride as usize);
        let count_at = (self.port.nonzero as usize * 8).wrapping_sub(self.first).wrapping_add(local * 4);
        (Targets::From(0), self.columns as u32, count_at, at)
    }

    /// The same of a segment of a sparse row, if it is this port's.
    #[inline(always)]
    fn sparse(&self, q: u32) -> Option<(Targets<'m>, u32, usize, usize)> {
        let seg = Segment::at(self.image.segments, q).filter(|s| s.port == self.number)?;
        let targets = bytes_at(self.image.data, seg.offset as usize * 4, Segment::target_bytes(seg.len));
        let targets: &[u16] = bytemuck::try_cast_slice(targets).unwrap_or(&[]);
        let at = (seg.extra as usize * 4).wrapping_sub(self.first);
        Some((Targets::Listed(targets), seg.len, at, at.wrapping_add(4)))
    }
}

/// Bytes as the weights that a rule may change.
fn container(bytes: &mut [u8], bits: u32, count: usize) -> Option<Weights<'_>> {
    match bits {
        8 => Some(Weights::Eight(bytes)),
        16 => Some(Weights::Sixteen(bytemuck::try_cast_slice_mut(bytes).ok()?)),
        _ => Some(Weights::Packed { bytes, bits: bits as u8, count }),
    }
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(b) = bytes.get_mut(at..).and_then(|b| b.first_chunk_mut::<4>()) {
        *b = value.to_le_bytes();
    }
}
