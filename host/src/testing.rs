//! What the project's tests share.

use std::path::PathBuf;

/// The folder of the data sets that tests look into: `$SYNOP_DATA`, else `../shared/data` beside the checkout,
/// whatever folder the test runs in.
pub fn data_dir() -> PathBuf {
    match std::env::var_os("SYNOP_DATA").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")),
    }
}

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
