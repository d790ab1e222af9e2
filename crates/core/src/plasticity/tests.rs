#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test may fail

use super::*;
use crate::draw::{Draws, PLASTICITY, Threefry};
use std::vec::Vec;

/// Words of a rule: tick cadence, the given rounding, bounds and terms, all traces, errors and windows declared.
fn words(rounding: Rounding, bounds: (i32, i32), terms: &[(i16, u8, &[Variable])]) -> Vec<u32> {
    let (kind, gate) = match rounding {
        Rounding::Nearest => (0, 0),
        Rounding::Stochastic => (1, 0),
        Rounding::Gate(probability) => (2, u32::from(probability)),
    };
    let mut words = std::vec![
        VERSION | (terms.len() as u32) << 8 | kind << 16,
        0,
        gate,
        bounds.0 as u32,
        bounds.1 as u32
    ];
    for _ in 0..4 {
        words.extend([DECLARED | 29_491, 64 | 1023 << 16]);
    }
    words.extend([DECLARED | 2 << 8 | 16, 24, DECLARED | FLAG, 32, 0, DECLARED | 1]);
    for (mantissa, shift, variables) in terms {
        let mut exponents = Exponents::default();
        for &variable in *variables {
            exponents = exponents.times(variable).unwrap();
        }
        words.extend([exponents.0, u32::from(*mantissa as u16) | u32::from(*shift) << 16]);
    }
    words
}

fn rule(rounding: Rounding, bounds: (i32, i32), terms: &[(i16, u8, &[Variable])]) -> Rule {
    Rule::decode(&words(rounding, bounds, terms)).unwrap()
}

/// A store without blocks and without lists: what the arithmetic means.
struct Plain {
    weights: Vec<i32>,
    limits: (i32, i32),
    bounds: (i32, i32),
}

impl Synapses for Plain {
    fn limits(&self) -> (i32, i32) {
        self.limits
    }
    fn weight(&self, index: usize) -> i32 {
        self.weights[index]
    }
    fn change(&mut self, index: usize, step: i32, tally: &mut Tally) {
        let old = self.weights[index];
        let mut new = old.saturating_add(step).clamp(self.bounds.0, self.bounds.1);
        if self.limits == (-1, 1) && new == 0 {
            new = old;
        }
        tally.changed += u64::from(old != new);
        tally.saturated += u64::from(old.saturating_add(step) != new);
        tally.nonzero += i64::from(new != 0) - i64::from(old != 0);
        self.weights[index] = new;
    }
}

const MOMENT: Moment = Moment { purpose: PLASTICITY, time: 77 };

struct Case {
    rule: Rule,
    pre: PreSide,
    posts: Vec<Post>,
}

impl Case {
    fn columns<'a>(
        &self,
        values: &'a mut Vec<i32>,
        lists: &'a mut Vec<u16>,
        marks: &'a mut Marks,
        listed: bool,
    ) -> Columns<'a> {
        let width = self.posts.len();
        values.resize(Columns::values_needed(&self.rule, width), 0);
        lists.resize(if listed { Columns::lists_needed(&self.rule, width) } else { 0 }, 0);
        let mut columns = Columns::new(&self.rule, width, values, lists, marks).unwrap();
        columns.clear();
        for (j, post) in self.posts.iter().enumerate() {
            columns.set(&self.rule, j, post);
        }
        columns
    }

    /// The update by block kernels and lists, and the plain walk, on equal weights: they must agree in every bit.
    fn check(&self, bits: u8, targets: Targets<'_>, start: &[i32]) -> (Vec<i32>, Tally) {
        let mut results = Vec::new();
        for listed in [true, false] {
            let (mut values, mut lists, mut marks) = Default::default();
            let columns = self.columns(&mut values, &mut lists, &mut marks, listed);
            let mut bytes = std::vec![0u8; start.len() * usize::from(bits.max(8)) / 8 + 1];
            let mut halves = std::vec![0i16; start.len()];
            bytes.truncate((start.len() * usize::from(bits)).div_ceil(8));
            let mut weights = match bits {
                16 => Weights::Sixteen(&mut halves),
                8 => Weights::Eight(&mut bytes),
                _ => Weights::Packed { bytes: &mut bytes, bits, count: start.len() },
            };
            let limits = weights.limits();
            weights.store(0, start);
            let mut row = Row { weights, targets, first_draw: 1001 };
            let mut draws = Threefry::new(5);
            let tally = self.rule.update(&self.pre, &columns, &mut row, &mut draws, MOMENT);
            let after: Vec<i32> = (0..start.len()).map(|i| row.weights.get(i)).collect();
            let bounds = (self.rule.min.max(limits.0), self.rule.max.min(limits.1));
            let mut plain = Plain { weights: start.to_vec(), limits, bounds };
            let shape = Shape { targets, count: start.len(), first_draw: 1001 };
            let expected = self.rule.walk(&self.pre, &columns, &shape, &mut plain, &mut draws, MOMENT);
            assert_eq!(after, plain.weights);
            assert_eq!(tally, expected);
            let count = |weights: &[i32]| weights.iter().filter(|&&w| w != 0).count() as i64;
            assert_eq!(tally.nonzero, count(&after) - count(start));
            assert_eq!(tally.changed, after.iter().zip(start).filter(|(a, b)| a != b).count() as u64);
            results.push((after, tally));
        }
        assert_eq!(results[0], results[1], "lists change nothing");
        results.remove(0)
    }
}

#[test]
fn every_way_through_a_row_gives_the_same_bits() {
    use Variable::*;
    let term_sets: [&[(i16, u8, &[Variable])]; 7] = [
        &[(1, 4, &[X1, Y0]), (-1, 5, &[Y1, X0])],
        &[(3, 9, &[X1, E, T])],
        &[(19_661, 20, &[X1, U]), (-7, 6, &[X1, X1, W])],
        &[(-32_768, 15, &[X0, Y0, R])],
        &[(32_767, 40, &[X1, U, G, R]), (5, 0, &[X0, S])],
        &[(32_767, 0, &[X1, X1, X1, U, U, U, W, W]), (1, 40, &[X0, H])],
        &[(1, 0, &[X0])],
    ];
    let mut source = Threefry::new(9);
    let mut number = 0u32;
    let mut next = |below: u32| {
        number += 1;
        source.draw(0, 0, number) % below
    };
    let mut seen = Tally::default();
    for trial in 0..600u32 {
        let rounding = [Rounding::Nearest, Rounding::Stochastic, Rounding::Gate(20_000)][trial as usize % 3];
        let bits = [16u8, 8, 8, 4, 2, 1][next(6) as usize];
        let width = 1 + next(200) as usize;
        let density = 1 + next(20);
        let posts: Vec<Post> = (0..width)
            .map(|_| match next(density) {
                0 => Post {
                    spikes: next(2) as i32,
                    traces: [next(2000) as i32 - 1000, next(9) as i32],
                    state: next(400) as i32 - 200,
                    threshold: 64,
                    target: next(3) as i32 - 1,
                    groups: [next(90) as i32, next(90) as i32 - 45, 0, 7],
                },
                _ => Post { state: 500, ..Post::default() },
            })
            .collect();
        let rule = rule(rounding, (-100, 90), term_sets[next(7) as usize]);
        let pre = rule.pre_side([next(3) as i32, next(1024) as i32 - 300, 3], next(200) as i32 - 100);
        let case = Case { rule, pre, posts };
        let count = 1 + next(width as u32) as usize;
        let (low, high) = match bits {
            1 => (-1, 1),
            2 => (-2, 1),
            4 => (-8, 7),
            _ => (-100, 90),
        };
        let start: Vec<i32> = (0..count)
            .map(|_| low + next((high - low + 1) as u32) as i32)
            .map(|w| if bits == 1 && w == 0 { 1 } else { w })
            .collect();
        let list: Vec<u16> = (0..count).map(|_| next(width as u32 + 2) as u16).collect();
        let first = next(width as u32) as usize;
        for targets in [Targets::From(0), Targets::From(first), Targets::Listed(&list)] {
            seen += case.check(bits, targets, &start).1;
        }
    }
    assert!(
        seen.changed > 1000 && seen.saturated > 1000 && seen.rounded_to_zero > 300 && seen.draws > 1000,
        "{seen:?}"
    );
}

#[test]
fn nearest_rounds_ties_away_from_zero_on_both_sides() {
    let rule = rule(Rounding::Nearest, (-127, 127), &[(1, 3, &[Variable::X0, Variable::U])]);
    let states = [0, 3, 4, 11, 12, -3, -4, -11, -12];
    let posts = states.map(|state| Post { state, ..Post::default() }).to_vec();
    let pre = rule.pre_side([1, 0, 0], 0);
    let (after, tally) = Case { rule, pre, posts }.check(8, Targets::From(0), &[10; 9]);
    assert_eq!(after, [10, 10, 11, 11, 12, 10, 9, 9, 8]);
    assert_eq!((tally.attempted, tally.changed, tally.rounded_to_zero, tally.draws), (8, 6, 2, 0));
}

#[test]
fn stochastic_rounding_is_right_on_average_and_symmetric() {
    let rule = rule(Rounding::Stochastic, (-32_000, 32_000), &[(1, 4, &[Variable::X0, Variable::U])]);
    for (state, mean) in [(5, 5.0 / 16.0), (-5, -5.0 / 16.0), (21, 21.0 / 16.0), (-21, -21.0 / 16.0)] {
        let posts = std::vec![Post { state, ..Post::default() }; 50_000];
        let pre = rule.pre_side([1, 0, 0], 0);
        let (after, tally) = Case { rule, pre, posts }.check(16, Targets::From(0), &std::vec![0; 50_000]);
        let found = after.iter().map(|&w| f64::from(w)).sum::<f64>() / 50_000.0;
        assert!((found - mean).abs() < 0.01, "{state}: {found}");
        assert_eq!(tally.draws, 50_000);
    }
}

#[test]
fn a_gate_lets_whole_changes_through_with_its_probability() {
    let rule = rule(Rounding::Gate(16_384), (-127, 127), &[(3, 0, &[Variable::X0])]);
    let posts = std::vec![Post::default(); 40_000];
    let pre = rule.pre_side([1, 0, 0], 0);
    let (after, tally) = Case { rule, pre, posts }.check(8, Targets::From(0), &std::vec![0; 40_000]);
    assert!(after.iter().all(|&w| w == 0 || w == 3));
    assert!((9_700..10_300).contains(&tally.changed), "{}", tally.changed);
    assert_eq!((tally.draws, tally.rounded_to_zero), (40_000, 0));
}

#[test]
fn a_row_that_cannot_change_is_idle() {
    use Variable::{X1, Y0};
    let rule = rule(Rounding::Nearest, (-127, 127), &[(1, 0, &[X1, Y0])]);
    assert!(rule.pre_side([1, 0, 5], 9).is_idle());
    assert!(!rule.pre_side([0, 1, 0], 0).is_idle());
    assert!(rule.needs(Y0) && rule.needs(X1) && !rule.uses(Variable::W));
}

#[test]
fn traces_decay_toward_zero_and_saturate() {
    let trace = Trace { decay: 29_491, increment: 64, max: 100, mode: TraceMode::Add };
    assert_eq!(trace.decayed(64), 57); // 64 · 29491 / 32768 = 57.6
    assert_eq!(trace.decayed(-64), -57);
    assert_eq!(trace.decayed(1), 0);
    assert_eq!(trace.after_event(57, 1), (100, true));
    assert_eq!(trace.after_event(10, 1), (74, false));
    assert_eq!(trace.after_event(57, 0), (57, false));
    assert_eq!(Trace { mode: TraceMode::Set, ..trace }.after_event(57, 1), (64, false));
    for ticks in [0, 1, 5, 1000] {
        let mut value = 100;
        for _ in 0..ticks {
            value = trace.decayed(value);
        }
        assert_eq!(trace.decayed_by(100, ticks), value);
    }
    assert_eq!(Trace { decay: Q15_ONE, ..trace }.decayed_by(-100, u64::MAX), -100);
}

#[test]
fn error_bits_and_windows_compare_as_declared() {
    let rule = rule(Rounding::Nearest, (-1, 1), &[(1, 0, &[Variable::E, Variable::H])]);
    // Declared: e = (t·u ≤ 24), h = |u − threshold| < 32.
    let at = |state, target| Post { state, target, threshold: 64, ..Post::default() };
    assert!(rule.is_in_error(&at(24, 1)) && !rule.is_in_error(&at(25, 1)));
    assert!(rule.is_in_error(&at(25, -1)) && !rule.is_in_error(&at(-25, -1)));
    assert!(!rule.is_in_window(&at(32, 0)) && rule.is_in_window(&at(33, 0)));
    assert!(rule.is_in_window(&at(95, 0)) && !rule.is_in_window(&at(96, 0)));
}

#[test]
fn a_soft_error_bit_is_one_as_often_as_a_logistic_function_says() {
    let width = 40;
    let error = |width| ErrorBit {
        factor: ErrorFactor::One,
        field: Field { groups: 1, state: false },
        margin: 100,
        width,
    };
    let mut source = Threefry::new(4);
    for distance in [-400, -320, -319, -97, -43, -3, 0, 3, 43, 97, 319, 320, 400] {
        let mut asked = 0u32;
        let ones = (0..20_000).filter(|&k| {
            error(width).is_one(100 + distance, || {
                asked += 1;
                source.draw(5, 0, k)
            })
        });
        let share = ones.count() as f64 / 20_000.0;
        let exact = 1.0 / (1.0 + (distance as f64 / f64::from(width)).exp());
        // Half a step of the table, an eighth of the width, where the function is steepest; and chance.
        assert!((share - exact).abs() < 0.25 / 16.0 + 0.01, "{distance}: {share}, exact {exact}");
        assert_eq!(asked, if distance.abs() < 320 { 20_000 } else { 0 }, "{distance}");
        assert_eq!(error(0).is_one(100 + distance, || panic!("no draw")), distance <= 0);
    }
    assert!(!error(1).is_one(i64::MAX, || 0) && error(1 << 19).is_one(i64::MIN, || u32::MAX));
}

#[test]
fn a_decay_is_due_once_for_every_multiple_of_its_samples_that_a_batch_passes() {
    let decay = Decay { share: 32_768, every: 10 };
    let due: Vec<u64> = (1..=12).map(|k| 4 * k).filter(|&n| decay.is_due(n, 4)).collect();
    assert_eq!(due, [12, 20, 32, 40]);
    assert_eq!([0, 1, 2, 3, 1000].map(|m| decay.after(m, 0)), [0, 1, 1, 2, 500]);
    assert_eq!([0, 1, 2, 3, 1000].map(|m| decay.after(m, u32::MAX)), [0, 0, 1, 1, 500]);
}

#[test]
fn cadences_fall_due_on_their_ticks() {
    let due = |cadence: Cadence| (0..6).filter(|&tick| cadence.due(tick)).collect::<Vec<u64>>();
    assert_eq!(due(Cadence::Tick), [0, 1, 2, 3, 4, 5]);
    assert_eq!(due(Cadence::Every(3)), [2, 5]);
    assert_eq!(due(Cadence::Sample), []);
}

#[test]
fn words_that_are_no_rule_are_refused() {
    let good = words(Rounding::Stochastic, (-127, 127), &[(1, 4, &[Variable::X1]), (2, 5, &[Variable::E])]);
    assert!(Rule::decode(&good).is_ok());
    assert_eq!(Rule::decode(&[]), Err(RuleError::Word(0)));
    assert_eq!(Rule::decode(&good[..22]), Err(RuleError::Length { expected: 23, found: 22 }));
    let altered = |at: usize, word: u32| {
        let mut words = good.clone();
        words[at] = word;
        Rule::decode(&words)
    };
    assert_eq!(altered(0, good[0] + 1), Err(RuleError::Word(0)), "version");
    assert_eq!(altered(0, good[0] | 4 << 24), Err(RuleError::Word(0)), "cadence");
    assert_eq!(altered(0, good[0] | 1 << 24), Err(RuleError::Word(1)), "every 0 ticks");
    assert_eq!(altered(4, 40_000), Err(RuleError::Word(4)), "bounds");
    assert_eq!(altered(5, DECLARED | 40_000), Err(RuleError::Word(5)), "decay above one");
    assert_eq!(altered(13, 0), Err(RuleError::Word(14)), "margin of an error bit that is not declared");
    assert_eq!(altered(22, 2 | 41 << 16), Err(RuleError::Word(22)), "shift");
    let mut without = good.clone();
    without[13] = 0;
    without[14] = 0;
    assert_eq!(Rule::decode(&without), Err(RuleError::Undeclared(Variable::E)));
}

#[test]
fn any_words_decode_or_fail_and_what_decodes_runs() {
    let good = words(
        Rounding::Stochastic,
        (-127, 127),
        &[(1, 4, &[Variable::X1]), (2, 5, &[Variable::E, Variable::W])],
    );
    let mut source = Threefry::new(3);
    let mut decoded = 0;
    for trial in 0..20_000u32 {
        let mut words = good.clone();
        for change in 0..1 + source.draw(1, 0, trial) % 3 {
            let at = source.draw(2, u64::from(change), trial) as usize % words.len();
            words[at] ^= 1 << (source.draw(3, u64::from(change), trial) % 32);
        }
        if let Ok(rule) = Rule::decode(&words) {
            decoded += 1;
            let posts = std::vec![Post { state: i32::MIN, target: i32::MIN, groups: [i32::MIN; 4], ..Post::default() }; 9];
            let pre = rule.pre_side([i32::MIN, i32::MAX, 1], i32::MIN);
            Case { rule, pre, posts }.check(8, Targets::From(0), &[-128, -100, -1, 0, 1, 2, 100, 120, 127]);
        }
    }
    assert!(decoded > 1000, "{decoded}");
}
