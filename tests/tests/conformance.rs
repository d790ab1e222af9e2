//! The golden tables: one test per case found, named `kind::file`.
//!
//! Cases stand in `golden/<kind>/`; `SYNOP_GOLDEN=DIR` adds those of another folder laid out
//! alike. A new case is a new file and no line of code.

#[path = "conformance/attractor.rs"]
mod attractor;
#[path = "conformance/dynalign.rs"]
mod dynalign;
#[path = "conformance/memristor.rs"]
mod memristor;
#[path = "conformance/neurobench.rs"]
mod neurobench;
#[path = "conformance/nir.rs"]
mod nir;
#[path = "conformance/sanafe.rs"]
mod sanafe;
#[path = "conformance/statmech.rs"]
mod statmech;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::path::{Path, PathBuf};

/// What a case came to, when it did not fail.
pub enum Outcome {
    /// Everything that the case states was compared and agrees.
    Agrees,
    /// The case cannot be run here; the text says why (a data set that is not there).
    Skipped(String),
}

/// A kind of golden case: how to find its cases in a folder, and how to check one.
pub struct Kind {
    /// Name of the folder below `golden/`.
    pub name: &'static str,
    /// Lists the cases in the folder of this kind: display name and path.
    pub cases: fn(&Path) -> Vec<(String, PathBuf)>,
    /// Checks one case; the error says what differs, where, and both values.
    pub check: fn(&Path) -> Result<Outcome, String>,
}

/// Every kind there is. A kind is one module in `conformance/` and one line here.
const KINDS: &[Kind] = &[
    attractor::KIND,
    dynalign::KIND,
    memristor::KIND,
    neurobench::KIND,
    nir::KIND,
    sanafe::KIND,
    statmech::KIND,
];

fn main() {
    let args = Arguments::from_args();
    let mut roots = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")];
    if let Some(more) = std::env::var_os("SYNOP_GOLDEN") {
        roots.push(PathBuf::from(more));
    }
    let mut trials = Vec::new();
    for (r, root) in roots.iter().enumerate() {
        for kind in KINDS {
            let folder = root.join(kind.name);
            if !folder.is_dir() {
                continue;
            }
            let mut cases = (kind.cases)(&folder);
            cases.sort();
            for (case, path) in cases {
                let name = match r {
                    0 => format!("{}::{case}", kind.name),
                    _ => format!("{}::{case} (SYNOP_GOLDEN)", kind.name),
                };
                let check = kind.check;
                trials.push(Trial::ignorable_test(name, move || match check(&path) {
                    Ok(Outcome::Agrees) => Ok(Completion::Completed),
                    Ok(Outcome::Skipped(why)) => Ok(Completion::ignored_with(format!("skipped: {why}"))),
                    Err(why) => Err(Failed::from(format!("{}: {why}", path.display()))),
                }));
            }
        }
    }
    libtest_mimic::run(&args, trials).exit();
}
