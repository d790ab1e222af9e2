//! Binary ±1 neurons: one update.
//!
//! A neuron is 0 until it is first written, then −1 or +1. Its *field* is
//!
//! ```text
//! f = bias + Σ (input groups that count) + self-coupling · state
//! ```
//!
//! and its new state is the sign of the field. A field of zero gives +1, or keeps the state where the piece says so
//! (a state of 0 then becomes +1). A change is an event that carries the difference: ±1 at the first write, ±2 at a
//! flip. So sums persist, a sweep costs what changed, and a sweep without a flip costs nothing more, for ever.
//!
//! Sums are always `Σ w · (the value that the source holds)`; where a weight changes under a sum, the machine
//! rebuilds the sum before it is used again.

use crate::neuron::BLOCK;

/// The state after an update.
#[inline(always)]
pub fn next(field: i32, state: i32, keep_ties: bool) -> i32 {
    let up = (field > 0) | ((field == 0) & (!keep_ties | (state >= 0)));
    2 * i32::from(up) - 1
}

/// Updates a block of neurons: `fields` without the self-coupling, `states` old and then new. Returns a bit for each
/// neuron that changed, and its change in `changes` (which holds nothing where no bit is set).
#[inline(always)]
pub fn update(
    fields: &[i32; BLOCK],
    self_coupling: i32,
    keep_ties: bool,
    states: &mut [i32],
    changes: &mut [i32; BLOCK],
) -> u64 {
    let mut any = 0;
    for ((f, s), c) in fields.iter().zip(states.iter()).zip(changes.iter_mut()) {
        let field = f.wrapping_add(self_coupling.wrapping_mul(*s));
        *c = next(field, *s, keep_ties) - *s;
        any |= *c;
    }
    if any == 0 {
        return 0;
    }
    let mut changed = 0;
    for (j, (s, c)) in states.iter_mut().zip(changes.iter()).enumerate() {
        *s += *c;
        changed |= u64::from(*c != 0) << j;
    }
    changed
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_tie_is_plus_or_keeps_the_state_and_a_first_write_is_a_change_of_one() {
        let mut fields = [0; BLOCK];
        fields[..5].copy_from_slice(&[0, 0, 0, 7, -7]);
        for (keep, expected) in [(false, [1, 0, 2, 2, -1]), (true, [1, 0, 0, 2, -1])] {
            let mut states = [0, 1, -1, -1, 0];
            let mut changes = [0; BLOCK];
            let changed = update(&fields, 0, keep, &mut states, &mut changes);
            assert_eq!(changes[..5], expected);
            assert_eq!(changed, (0..5).filter(|j| expected[*j] != 0).fold(0, |all, j| all | 1 << j));
            assert!(states.iter().all(|s| s.abs() == 1));
        }
    }

    #[test]
    fn the_self_coupling_holds_a_state_against_a_weaker_field() {
        let fields = [-3; BLOCK];
        for (own, expected) in [(2, -1), (3, 1), (4, 1)] {
            let mut states = [1];
            update(&fields, own, true, &mut states, &mut [0; BLOCK]);
            assert_eq!(states, [expected], "{own}");
        }
    }
}
