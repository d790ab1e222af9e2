//! Ctrl-C: no file is left half-written, and the user is told how to go on.

use std::sync::{Mutex, Once, PoisonError, RwLock};

static ADVICE: Mutex<String> = Mutex::new(String::new());
/// Writers hold it for reading, the end of the process for writing.
static WRITING: RwLock<()> = RwLock::new(());
/// What a shell expects of a process that an interrupt ended.
const INTERRUPTED: i32 = 130;

/// Does `work` that an interrupt must not cut in two.
pub fn whole<T>(work: impl FnOnce() -> T) -> T {
    let _held = WRITING.read().unwrap_or_else(PoisonError::into_inner);
    work()
}

/// From now on, an interrupt or a termination waits for files under way, prints `text` and ends the process with
/// code 130.
pub fn advise(text: String) {
    static ONCE: Once = Once::new();
    *ADVICE.lock().unwrap_or_else(PoisonError::into_inner) = text;
    // Where a handler cannot be set the system's own ends the process; files are whole all the same.
    ONCE.call_once(|| {
        let _ = ctrlc::set_handler(|| {
            let _alone = WRITING.write().unwrap_or_else(PoisonError::into_inner);
            let text = ADVICE.lock().unwrap_or_else(PoisonError::into_inner).clone();
            eprintln!("\ninterrupted: {text}");
            std::process::exit(INTERRUPTED);
        });
    });
}
