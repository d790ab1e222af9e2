//! What this machine spends on a run.

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Wall and processor time, memory and speed of a run on this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Seconds on the clock.
    pub wall_s: f64,
    /// Seconds of processor time over all threads; none where the system does not tell.
    pub cpu_s: Option<f64>,
    /// Synaptic events per second of processor time, else per second on the clock.
    pub events_per_s: Option<f64>,
    /// Threads that were allowed.
    pub threads: usize,
    /// Highest resident memory of the process in bytes; none where the system does not tell.
    pub peak_rss_bytes: Option<u64>,
}

/// A running measurement.
///
/// ```
/// let meter = synop::report::Meter::start(2);
/// let host = meter.stop(1_000_000);
/// assert_eq!(host.threads, 2);
/// assert!(host.wall_s >= 0.0);
/// ```
#[derive(Debug)]
pub struct Meter {
    begun: Instant,
    cpu_at_start: Option<f64>,
    threads: usize,
}

impl Meter {
    /// Starts to measure a run with this many threads.
    pub fn start(threads: usize) -> Self {
        Self { begun: Instant::now(), cpu_at_start: cpu_s(), threads }
    }

    /// Ends the measurement of a run that handled `events` synaptic events.
    pub fn stop(&self, events: u64) -> Host {
        let wall_s = self.begun.elapsed().as_secs_f64();
        let cpu_s = cpu_s().zip(self.cpu_at_start).map(|(end, start)| end - start);
        // Below the clock's own step a rate would be noise.
        let seconds = cpu_s.filter(|s| *s >= 0.05).unwrap_or(wall_s);
        Host {
            wall_s,
            cpu_s,
            events_per_s: (events > 0 && seconds > 0.0).then(|| events as f64 / seconds),
            threads: self.threads,
            peak_rss_bytes: peak_rss_bytes(),
        }
    }
}

/// Processor seconds of this process so far, as Linux counts them.
fn cpu_s() -> Option<f64> {
    // Linux reports these in hundredths of a second on every architecture.
    const TICKS_PER_S: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the name in brackets, may itself hold blanks.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some((user + system) / TICKS_PER_S)
}

/// Highest resident memory of this process, as Linux counts it.
pub(crate) fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_time_and_memory() {
        let meter = Meter::start(1);
        let mut sum = 0u64;
        while meter.begun.elapsed().as_millis() < 120 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let host = meter.stop(1000);
        assert!(host.cpu_s.unwrap() >= 0.01 && host.wall_s >= 0.12, "{host:?}");
        assert!(host.peak_rss_bytes.unwrap() > 100_000, "{host:?}");
        assert!(host.events_per_s.unwrap() > 0.0);
    }
}
