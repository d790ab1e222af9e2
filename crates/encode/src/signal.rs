//! What encoders hand on.

use crate::EncodeError;

/// A real-valued drive: `channels` values per tick, in the unit of the encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    channels: usize,
    values: Vec<f64>,
}

/// An integer drive in units of the image that it feeds: `channels` values per tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graded {
    channels: usize,
    values: Vec<i32>,
}

/// A spike of one input neuron.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Event {
    /// When, in ticks from the start of the sample.
    pub tick: u64,
    /// Which input neuron.
    pub neuron: u32,
}

/// The spikes of one sample, ordered by tick, then by neuron.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    ticks: u64,
    neurons: u32,
    events: Vec<Event>,
}

/// The result of any encoder.
#[derive(Debug, Clone, PartialEq)]
pub enum Encoded {
    /// A drive per tick and channel.
    Signal(Signal),
    /// Spikes.
    Events(Events),
}

impl Signal {
    /// A signal from its values, tick after tick.
    ///
    /// # Errors
    /// [`EncodeError::BadShape`] when the values do not fill whole ticks.
    pub fn new(channels: usize, values: Vec<f64>) -> Result<Self, EncodeError> {
        check_shape(values.len(), channels)?;
        Ok(Signal { channels, values })
    }

    /// Values per tick.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Number of ticks.
    pub fn ticks(&self) -> usize {
        self.values.len().checked_div(self.channels).unwrap_or(0)
    }

    /// All values, tick after tick.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The values of one tick; empty beyond the last one.
    pub fn tick(&self, tick: usize) -> &[f64] {
        row(&self.values, tick, self.channels)
    }

    /// Every value limited to `±bound`.
    pub fn clip(&mut self, bound: f64) {
        for v in &mut self.values {
            *v = v.min(bound).max(-bound);
        }
    }

    /// The largest absolute value, 0 for an empty signal.
    pub fn abs_max(&self) -> f64 {
        self.values.iter().fold(0.0, |m, v| v.abs().max(m))
    }

    /// The signal at `ticks` equidistant moments from the first to the last tick, linearly
    /// interpolated; one tick keeps the first moment only.
    pub fn resample(&self, ticks: usize) -> Signal {
        let (n, channels) = (self.ticks(), self.channels);
        let mut values = Vec::with_capacity(ticks.saturating_mul(channels));
        for k in 0..ticks {
            let Some((left, fraction)) = resample_point(n, ticks, k) else {
                break;
            };
            let (a, b) = (self.tick(left), self.tick((left + 1).min(n - 1)));
            values.extend(a.iter().zip(b).map(|(a, b)| a + (b - a) * fraction));
        }
        Signal { channels, values }
    }

    /// The drive in integers: each value times `units_per_one`, rounded to the nearest integer
    /// (halves away from zero) and saturated at the range of i32.
    pub fn to_graded(&self, units_per_one: f64) -> Graded {
        let scaled = self.values.iter().map(|v| (v * units_per_one).round());
        Graded {
            channels: self.channels,
            // `as` saturates, which is what is wanted here.
            values: scaled.map(|v| v as i32).collect(),
        }
    }
}

/// Where the `k`-th of `points` resampled moments falls among `n` stored ones: the stored moment at
/// or before it, and the fraction of the way to the next.
pub(crate) fn resample_point(n: usize, points: usize, k: usize) -> Option<(usize, f64)> {
    let last = n.checked_sub(1)?;
    if points < 2 {
        return Some((0, 0.0));
    }
    let position = (k as f64) * (last as f64) / ((points - 1) as f64);
    let left = (position.floor() as usize).min(last);
    Some((left, position - left as f64))
}

fn row<T>(values: &[T], tick: usize, channels: usize) -> &[T] {
    let start = tick.saturating_mul(channels);
    let end = start.saturating_add(channels);
    values.get(start..end).unwrap_or(&[])
}

/// Fails unless `values` numbers divide into rows of `width ≥ 1`.
pub(crate) fn check_shape(values: usize, width: usize) -> Result<usize, EncodeError> {
    match values.checked_rem(width) {
        Some(0) => Ok(values / width),
        _ => Err(EncodeError::BadShape { values, width }),
    }
}

impl Graded {
    /// A drive from its values, tick after tick.
    ///
    /// # Errors
    /// [`EncodeError::BadShape`] when the values do not fill whole ticks.
    pub fn new(channels: usize, values: Vec<i32>) -> Result<Self, EncodeError> {
        check_shape(values.len(), channels)?;
        Ok(Graded { channels, values })
    }

    /// Values per tick.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Number of ticks.
    pub fn ticks(&self) -> usize {
        self.values.len().checked_div(self.channels).unwrap_or(0)
    }

    /// All values, tick after tick.
    pub fn values(&self) -> &[i32] {
        &self.values
    }

    /// The values of one tick; empty beyond the last one.
    pub fn tick(&self, tick: usize) -> &[i32] {
        row(&self.values, tick, self.channels)
    }
}

impl Events {
    /// Events of `neurons` input neurons over `ticks` ticks; they are put in order, repeated ones
    /// and ones outside of the bounds are dropped.
    pub fn new(ticks: u64, neurons: u32, mut events: Vec<Event>) -> Self {
        events.retain(|e| e.tick < ticks && e.neuron < neurons);
        events.sort_unstable();
        events.dedup();
        Events { ticks, neurons, events }
    }

    /// Length of the sample in ticks.
    pub fn ticks(&self) -> u64 {
        self.ticks
    }

    /// Number of input neurons.
    pub fn neurons(&self) -> u32 {
        self.neurons
    }

    /// All events, ordered by tick, then by neuron.
    pub fn all(&self) -> &[Event] {
        &self.events
    }

    /// The events of one tick, ordered by neuron.
    pub fn at(&self, tick: u64) -> &[Event] {
        let start = self.events.partition_point(|e| e.tick < tick);
        let end = self.events.partition_point(|e| e.tick <= tick);
        self.events.get(start..end).unwrap_or(&[])
    }

    /// The events as a drive: `amplitude` where there is a spike, else 0.
    pub fn to_signal(&self, amplitude: f64) -> Signal {
        let channels = self.neurons as usize;
        let mut values = vec![0.0; (self.ticks as usize).saturating_mul(channels)];
        for e in &self.events {
            if let Some(v) = values.get_mut(e.tick as usize * channels + e.neuron as usize) {
                *v = amplitude;
            }
        }
        Signal { channels, values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resampling_keeps_both_ends_and_is_linear_between() {
        let ramp = Signal::new(1, (0..=10).map(f64::from).collect()).unwrap();
        assert_eq!(ramp.resample(5).values(), [0.0, 2.5, 5.0, 7.5, 10.0]);
        assert_eq!(ramp.resample(1).values(), [0.0]);
        assert_eq!(ramp.resample(11), ramp);
        assert_eq!(ramp.resample(0).ticks(), 0);
    }

    #[test]
    fn integers_saturate_and_round_to_nearest() {
        let s = Signal::new(2, vec![0.5, -0.5, 1e300, -1e300, 0.49, 8.0]).unwrap();
        let g = s.to_graded(1.0);
        assert_eq!(g.values(), [1, -1, i32::MAX, i32::MIN, 0, 8]);
        assert_eq!(g.tick(2), [0, 8]);
        assert_eq!(g.tick(3), [0i32; 0]);
        assert!(Signal::new(4, vec![0.0; 6]).is_err());
        assert!(Graded::new(0, vec![1]).is_err());
    }

    #[test]
    fn events_come_in_order_of_tick_and_neuron() {
        let e = |tick, neuron| Event { tick, neuron };
        let events = Events::new(3, 2, vec![e(2, 1), e(0, 1), e(2, 0), e(0, 1), e(3, 0), e(0, 2)]);
        assert_eq!(events.all(), [e(0, 1), e(2, 0), e(2, 1)]);
        assert_eq!(events.at(2), [e(2, 0), e(2, 1)]);
        assert!(events.at(1).is_empty());
        assert_eq!(events.to_signal(2.0).tick(0), [0.0, 2.0]);
    }
}
