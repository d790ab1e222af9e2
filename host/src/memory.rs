//! How much memory there is, and refusing what does not fit.

use crate::Failure;

/// Bytes that a new run may use: what Linux calls available, or less where a control group says so; none where the
/// system does not tell.
pub fn available() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let free = kib.checked_mul(1024)?;
    let number = |name: &str| {
        std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse::<u64>().ok()
    };
    let group = number("memory.max").map(|max| max.saturating_sub(number("memory.current").unwrap_or(0)));
    Some(group.map_or(free, |group| group.min(free)))
}

/// Refuses work that needs more than is there.
///
/// # Errors
/// The work failed, with both figures.
pub fn require(what: &str, bytes: u64, mend: &str) -> Result<(), Failure> {
    match available() {
        Some(there) if bytes > there => {
            Err(Failure::work(format_args!("{what} needs more memory than is there"))
                .found(format_args!("{} available", human(there)))
                .expected(format_args!("{}", human(bytes)))
                .mend(mend))
        }
        _ => Ok(()),
    }
}

/// Refuses work that needs more than is there, and says on standard error what it takes.
///
/// # Errors
/// As [`require`].
pub fn claim(what: &str, bytes: u64, mend: &str) -> Result<(), Failure> {
    require(what, bytes, mend)?;
    let there = available().map(|there| format!(" of {} available", human(there)));
    eprintln!("memory: {what}: about {}{}", human(bytes), there.unwrap_or_default());
    Ok(())
}

/// Bytes for people: `512 B`, `12.3 MB`, `4.1 GB`.
pub fn human(bytes: u64) -> String {
    for (unit, scale) in [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)] {
        if bytes as f64 >= scale {
            return format!("{:.1} {unit}", bytes as f64 / scale);
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_both_figures() {
        assert!(require("nothing", 0, "").is_ok());
        if available().is_none() {
            return crate::testing::skip("the system does not tell its memory");
        }
        let failure = require("everything", u64::MAX, "ask for less").unwrap_err();
        assert_eq!(failure.exit_code(), 1);
        let text = failure.to_string();
        assert!(text.contains("available") && text.contains("GB") && text.contains("ask for less"), "{text}");
    }
}
