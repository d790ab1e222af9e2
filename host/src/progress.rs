//! A progress bar for anything over a second.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work shorter than this draws nothing.
const QUIET: Duration = Duration::from_secs(1);

/// Steps done of a known total, with the time left and, if told, synaptic events
/// per second. Draws on standard error, only if that is a terminal; shared by threads.
///
/// ```
/// let progress = synop::progress::Progress::new("samples", 3);
/// for _ in 0..3 {
///     progress.add(1, 1_000); // one sample, a thousand synaptic events
/// }
/// progress.finish();
/// ```
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    begun: Instant,
    shown: AtomicBool,
    events: AtomicU64,
}

impl Progress {
    /// A bar over `total` steps, named by what a step is (`samples`, `points`, `epochs`).
    pub fn new(what: &str, total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        if let Ok(style) =
            ProgressStyle::with_template("{bar:24} {human_pos}/{human_len} {prefix}, {eta} left{msg}")
        {
            bar.set_style(style);
        }
        bar.set_prefix(what.to_owned());
        Self { bar, begun: Instant::now(), shown: AtomicBool::new(false), events: AtomicU64::new(0) }
    }

    /// The same, never drawn: for work inside work that has a bar.
    pub fn hidden(what: &str, total: u64) -> Self {
        let progress = Self::new(what, total);
        progress.shown.store(true, Ordering::Relaxed);
        progress
    }

    /// Counts `steps` done, which handled `events` synaptic events (0 if that says nothing).
    pub fn add(&self, steps: u64, events: u64) {
        let elapsed = self.begun.elapsed();
        let all_events = self.events.fetch_add(events, Ordering::Relaxed) + events;
        if elapsed >= QUIET {
            if !self.shown.swap(true, Ordering::Relaxed) {
                self.bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            if all_events > 0 {
                let rate = all_events as f64 / elapsed.as_secs_f64();
                self.bar.set_message(format!(", {} events/s", short(rate)));
            }
        }
        self.bar.inc(steps);
    }

    /// Prints a line above the bar, on standard error.
    pub fn note(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A rate in three or four characters: `950`, `12k`, `3.4M`, `1.2G`.
fn short(value: f64) -> String {
    for (unit, scale) in [("G", 1e9), ("M", 1e6), ("k", 1e3)] {
        if value >= 10.0 * scale {
            return format!("{:.0}{unit}", value / scale);
        }
        if value >= scale {
            return format!("{:.1}{unit}", value / scale);
        }
    }
    format!("{value:.0}")
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn rates_keep_two_or_three_digits() {
        assert_eq!(short(950.0), "950");
        assert_eq!(short(1_234.0), "1.2k");
        assert_eq!(short(12_345.0), "12k");
        assert_eq!(short(3.4e6), "3.4M");
        assert_eq!(short(1.2e9), "1.2G");
    }
}
