//! What the project's tests share.

/// Says that a test is skipped and why. The test then returns.
///
/// # Panics
/// If `SYNOP_FORBID_SKIP=1`, as continuous integration sets it where everything that a
/// test may need is present.
pub fn skip(why: &str) {
    println!("skipped: {why}");
    let forbidden = std::env::var_os("SYNOP_FORBID_SKIP").is_some_and(|value| value == "1");
    assert!(!forbidden, "skipped although SYNOP_FORBID_SKIP=1: {why}");
}
