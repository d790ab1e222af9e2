//! The textbook encoders of static features in `[0, 1]` (direct current takes any).
//!
//! | encoder | a feature `p` becomes |
//! |---|---|
//! | [`direct`] | the same current at every tick |
//! | [`rate`] | evenly spaced spikes, `p·max_rate` per tick |
//! | [`poisson`] | a spike with probability `p·max_rate` at every tick, independently |
//! | [`latency`] | one spike when an RC membrane driven by `p` crosses a threshold |
//! | [`ttfs`] | one spike at a time that falls linearly with `p` |
//! | [`delta`] | up and down spikes whenever a signal has moved by a threshold (send on delta) |
//! | [`phase`] | the binary digits of `p`, one per tick, the most significant first |
//! | [`burst`] | a burst from the first tick, longer and tighter the larger `p` |

use crate::signal::{Event, Events, Signal};
use crate::{EncodeError, trajectory};
use rand_core::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Fails at the first feature outside of `[0, 1]`.
pub(crate) fn check_unit(features: &[f64]) -> Result<(), EncodeError> {
    match features.iter().position(|f| !(0.0..=1.0).contains(f)) {
        None => Ok(()),
        Some(index) => Err(EncodeError::BadFeature {
            sample: 0,
            index,
            found: features[index],
            expected: "a number from 0 to 1; rescale the features first",
        }),
    }
}

pub(crate) fn check_parameter(
    name: &str,
    value: f64,
    allowed: std::ops::RangeInclusive<f64>,
    expected: &'static str,
) -> Result<(), EncodeError> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(EncodeError::BadParameter { name: name.to_owned(), found: value.to_string(), expected })
}

/// Collects the spikes of neurons `0..features.len()` for which `spikes(p, tick)` holds.
pub(crate) fn collect(
    features: &[f64],
    ticks: u64,
    mut spikes: impl FnMut(usize, f64, u64) -> bool,
) -> Events {
    let mut events = Vec::new();
    for tick in 0..ticks {
        for (j, p) in features.iter().enumerate() {
            if spikes(j, *p, tick) {
                events.push(Event { tick, neuron: j as u32 });
            }
        }
    }
    Events::new(ticks, features.len() as u32, events)
}

/// Direct coding: the feature itself as a current at every one of `ticks` ticks.
///
/// # Errors
/// [`EncodeError::BadFeature`] when a feature is not finite.
pub fn direct(features: &[f64], ticks: usize) -> Result<Signal, EncodeError> {
    trajectory::check_finite(features, features.len().max(1))?;
    Signal::new(features.len().max(1), features.repeat(ticks))
}

/// Deterministic rate coding: after `k` ticks a neuron has spiked `⌊p·max_rate·k⌋` times. A shortfall
/// below 10⁻⁶ counts as none, so that fractions such as p/255 in 32 bits keep all their spikes.
///
/// # Errors
/// [`EncodeError::BadFeature`] outside of `[0, 1]`; [`EncodeError::BadParameter`] when `max_rate`
/// (spikes per tick) is outside of `[0, 1]`.
pub fn rate(features: &[f64], ticks: u64, max_rate: f64) -> Result<Events, EncodeError> {
    check_unit(features)?;
    check_parameter("max_rate", max_rate, 0.0..=1.0, "0 to 1 spikes per tick")?;
    let count = |p: f64, k: u64| (p * max_rate * k as f64 + 1e-6).floor();
    Ok(collect(features, ticks, |_, p, t| count(p, t + 1) > count(p, t)))
}

/// Poisson (Bernoulli) rate coding: a spike with probability `p·max_rate` at every tick, drawn from
/// a stream of its own for each `(seed, sample)`.
///
/// # Errors
/// Those of [`rate`].
pub fn poisson(
    features: &[f64],
    ticks: u64,
    max_rate: f64,
    seed: u64,
    sample: u64,
) -> Result<Events, EncodeError> {
    check_unit(features)?;
    check_parameter("max_rate", max_rate, 0.0..=1.0, "0 to 1 spikes per tick")?;
    // An odd multiplier keeps distinct samples distinct; the seeding scrambles the rest.
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ sample.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let two_to_53 = (1u64 << 53) as f64;
    Ok(collect(features, ticks, |_, p, _| ((random.next_u64() >> 11) as f64) < p * max_rate * two_to_53))
}

/// Latency coding: an RC membrane with time constant `tau` (ticks) driven by `p` crosses
/// `threshold` after `tau·ln(p/(p − threshold))`; the spike falls into that tick, and there is none
/// for `p ≤ threshold` or when the crossing comes after the last tick.
///
/// # Errors
/// [`EncodeError::BadFeature`] outside of `[0, 1]`; [`EncodeError::BadParameter`] when `threshold`
/// is not positive and at most 1 or `tau` not positive.
pub fn latency(features: &[f64], ticks: u64, threshold: f64, tau: f64) -> Result<Events, EncodeError> {
    check_unit(features)?;
    let least = f64::MIN_POSITIVE;
    check_parameter("threshold", threshold, least..=1.0, "more than 0, at most 1")?;
    check_parameter("tau", tau, least..=1e12, "a positive number of ticks")?;
    Ok(collect(features, ticks, |_, p, t| {
        p > threshold && (tau * (p / (p - threshold)).ln()).floor() == t as f64
    }))
}

/// Time to first spike: one spike at tick `(1 − p)·(ticks − 1)`, rounded to nearest; none for
/// `p ≤ threshold` (a threshold of 0 silences black features only).
///
/// # Errors
/// [`EncodeError::BadFeature`] outside of `[0, 1]`; [`EncodeError::BadParameter`] when `threshold`
/// is outside of `[0, 1]`.
pub fn ttfs(features: &[f64], ticks: u64, threshold: f64) -> Result<Events, EncodeError> {
    check_unit(features)?;
    check_parameter("threshold", threshold, 0.0..=1.0, "0 to 1")?;
    let last = ticks.saturating_sub(1) as f64;
    Ok(collect(features, ticks, |_, p, t| p > threshold && ((1.0 - p) * last).round() == t as f64))
}

/// Send on delta: neuron `2c` spikes when channel `c` stands at least `threshold` above the level
/// last reported, neuron `2c + 1` when it stands as far below; each spike moves the level by
/// `threshold`. Levels start at 0, so the receiver can rebuild the signal.
///
/// # Errors
/// [`EncodeError::BadParameter`] when `threshold` is not a positive number.
pub fn delta(signal: &Signal, threshold: f64) -> Result<Events, EncodeError> {
    let largest = f64::MAX;
    check_parameter("threshold", threshold, f64::MIN_POSITIVE..=largest, "more than 0")?;
    let mut level = vec![0.0; signal.channels()];
    let mut events = Vec::new();
    for tick in 0..signal.ticks() {
        for (c, (v, level)) in signal.tick(tick).iter().zip(&mut level).enumerate() {
            let moved = v - *level;
            if moved.abs() >= threshold {
                *level += threshold * moved.signum();
                events.push(Event { tick: tick as u64, neuron: 2 * c as u32 + u32::from(moved < 0.0) });
            }
        }
    }
    Ok(Events::new(signal.ticks() as u64, 2 * signal.channels() as u32, events))
}

/// Phase coding with weighted spikes (Kim et al. 2018): `p` rounded to `period` binary digits, a
/// spike at phase `k` for each digit that is set, most significant first, repeated to the end; the
/// receiver weighs a spike at tick `t` by `2^−(1 + t mod period)`.
///
/// # Errors
/// [`EncodeError::BadFeature`] outside of `[0, 1]`; [`EncodeError::BadParameter`] when `period` is
/// not 1 to 32 digits.
pub fn phase(features: &[f64], ticks: u64, period: u32) -> Result<Events, EncodeError> {
    check_unit(features)?;
    check_parameter("period", f64::from(period), 1.0..=32.0, "1 to 32 binary digits")?;
    let full = ((1u64 << period) - 1) as f64;
    Ok(collect(features, ticks, |_, p, t| {
        let digits = (p * full).round() as u64;
        let digit = u64::from(period) - 1 - t % u64::from(period);
        (digits >> digit) & 1 == 1
    }))
}

/// Burst coding (Guo et al. 2021): `⌈p·most⌉` spikes from tick 0 on, `⌈last − p·(last − shortest)⌉`
/// ticks apart, where `last = ticks − 1`; spikes beyond the last tick are lost.
///
/// # Errors
/// [`EncodeError::BadFeature`] outside of `[0, 1]`; [`EncodeError::BadParameter`] unless
/// `1 ≤ shortest ≤ ticks` and `1 ≤ most ≤ 1 000 000`.
pub fn burst(features: &[f64], ticks: u64, most: u32, shortest: u32) -> Result<Events, EncodeError> {
    check_unit(features)?;
    check_parameter("most", f64::from(most), 1.0..=1e6, "1 to 1 000 000 spikes")?;
    let longest = ticks.max(1) as f64;
    check_parameter("shortest", f64::from(shortest), 1.0..=longest, "1 to `ticks` ticks")?;
    let last = ticks.saturating_sub(1).max(u64::from(shortest)) as f64;
    Ok(collect(features, ticks, |_, p, t| {
        let spikes = (p * f64::from(most)).ceil() as u64;
        let apart = (last - p * (last - f64::from(shortest))).ceil().max(1.0) as u64;
        t % apart == 0 && t / apart < spikes
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spike_ticks(events: &Events, neuron: u32) -> Vec<u64> {
        let of = events.all().iter().filter(|e| e.neuron == neuron);
        of.map(|e| e.tick).collect()
    }

    #[test]
    fn deterministic_rate_spaces_its_spikes_evenly() {
        let e = rate(&[0.0, 0.25, 0.5, 1.0], 8, 1.0).unwrap();
        assert_eq!(spike_ticks(&e, 0), [0u64; 0]);
        assert_eq!(spike_ticks(&e, 1), [3, 7]);
        assert_eq!(spike_ticks(&e, 2), [1, 3, 5, 7]);
        assert_eq!(spike_ticks(&e, 3).len(), 8);
        // Every grey value of a byte, through 32 bits, against the integer formula.
        for grey in 0..=255u64 {
            let e = rate(&[f64::from(grey as f32 / 255.0)], 255, 1.0).unwrap();
            let wanted: Vec<u64> = (0..255).filter(|t| (t + 1) * grey / 255 > t * grey / 255).collect();
            assert_eq!(spike_ticks(&e, 0), wanted, "grey {grey}");
        }
    }

    #[test]
    fn poisson_has_the_right_mean_and_depends_on_seed_and_sample() {
        let p = vec![0.3; 100];
        let e = poisson(&p, 1000, 0.5, 7, 0).unwrap();
        // 100 000 draws at 0.15: five standard deviations are 565.
        assert!(e.all().len().abs_diff(15_000) < 565, "{}", e.all().len());
        assert_eq!(e, poisson(&p, 1000, 0.5, 7, 0).unwrap());
        assert_ne!(e, poisson(&p, 1000, 0.5, 7, 1).unwrap());
        assert_ne!(e, poisson(&p, 1000, 0.5, 8, 0).unwrap());
        assert_eq!(poisson(&[1.0], 50, 1.0, 1, 0).unwrap().all().len(), 50);
        assert!(poisson(&[0.0], 50, 1.0, 1, 0).unwrap().all().is_empty());
    }

    #[test]
    fn latency_follows_the_charging_curve() {
        // ln(1/(1−0.5)) = 0.693, ln(0.6/0.1) = 1.79; times 10.
        let e = latency(&[1.0, 0.6, 0.5, 0.0], 20, 0.5, 10.0).unwrap();
        assert_eq!(spike_ticks(&e, 0), [6]);
        assert_eq!(spike_ticks(&e, 1), [17]);
        assert!(spike_ticks(&e, 2).is_empty() && spike_ticks(&e, 3).is_empty());
    }

    #[test]
    fn the_first_spike_comes_earlier_for_stronger_features() {
        let e = ttfs(&[1.0, 0.75, 0.5, 0.0], 9, 0.0).unwrap();
        assert_eq!([0, 1, 2].map(|j| spike_ticks(&e, j)), [vec![0], vec![2], vec![4]]);
        assert!(spike_ticks(&e, 3).is_empty());
    }

    #[test]
    fn send_on_delta_rebuilds_the_signal_within_its_threshold() {
        let wave: Vec<f64> = (0..400).map(|t| (f64::from(t) * 0.05).sin()).collect();
        let signal = Signal::new(1, wave.clone()).unwrap();
        let e = delta(&signal, 0.0625).unwrap();
        let mut level = 0.0;
        for (t, v) in wave.iter().enumerate() {
            for event in e.at(t as u64) {
                level += if event.neuron == 0 { 0.0625 } else { -0.0625 };
            }
            assert!((v - level).abs() < 0.0625, "tick {t}: {v} against {level}");
        }
    }

    #[test]
    fn phase_coding_is_the_binary_expansion() {
        let e = phase(&[0.0, 1.0, 5.0 / 15.0], 8, 4).unwrap();
        assert!(spike_ticks(&e, 0).is_empty());
        assert_eq!(spike_ticks(&e, 1).len(), 8);
        assert_eq!(spike_ticks(&e, 2), [1, 3, 5, 7]);
    }

    #[test]
    fn bursts_are_longer_and_tighter_for_stronger_features() {
        let e = burst(&[0.0, 0.2, 0.6, 1.0], 21, 5, 2).unwrap();
        assert!(spike_ticks(&e, 0).is_empty());
        assert_eq!(spike_ticks(&e, 1), [0]);
        assert_eq!(spike_ticks(&e, 2), [0, 10, 20]);
        assert_eq!(spike_ticks(&e, 3), [0, 2, 4, 6, 8]);
    }

    #[test]
    fn features_outside_of_the_unit_interval_are_refused() {
        for bad in [-0.1, 1.1, f64::NAN] {
            assert!(rate(&[bad], 4, 1.0).is_err());
            assert!(poisson(&[bad], 4, 1.0, 0, 0).is_err());
            assert!(latency(&[bad], 4, 0.1, 1.0).is_err());
            assert!(ttfs(&[bad], 4, 0.0).is_err());
            assert!(phase(&[bad], 4, 8).is_err());
            assert!(burst(&[bad], 4, 5, 1).is_err());
        }
        assert!(direct(&[f64::INFINITY], 3).is_err());
        assert!(rate(&[0.5], 4, 1.5).is_err());
        assert!(phase(&[0.5], 4, 0).is_err());
        assert!(delta(&direct(&[0.5], 3).unwrap(), 0.0).is_err());
    }
}
