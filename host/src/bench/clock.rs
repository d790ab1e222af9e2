//! Time as a benchmark needs it: processor time to the nanosecond, beside the clock on the wall.

use std::time::Instant;

/// Processor seconds of this process, all threads together; the clock on the wall where the system does not tell.
pub fn cpu_s() -> f64 {
    #[cfg(unix)]
    {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
    }
    #[cfg(not(unix))]
    {
        static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        BEGIN.get_or_init(Instant::now).elapsed().as_secs_f64()
    }
}

/// Processor seconds of the calling thread; the clock on the wall where the system does not tell.
pub fn thread_cpu_s() -> f64 {
    #[cfg(unix)]
    {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
    }
    #[cfg(not(unix))]
    {
        cpu_s()
    }
}

/// Seconds that some work took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Of processors.
    pub cpu_s: f64,
    /// On the clock.
    pub wall_s: f64,
}

impl Spent {
    /// Runs `work`, once.
    pub fn on<T>(work: impl FnOnce() -> T) -> (T, Spent) {
        let (begun, cpu) = (Instant::now(), cpu_s());
        let result = work();
        (result, Spent { cpu_s: cpu_s() - cpu, wall_s: begun.elapsed().as_secs_f64() })
    }
}
