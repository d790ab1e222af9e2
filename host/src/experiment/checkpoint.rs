//! Unfinished work on disk: written whole, checked when it is read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::{Failure, files};

/// How long a run works between two saved states.
const BETWEEN: Duration = Duration::from_secs(5);

/// Where one part of a run saves its state, if the user named a folder for it.
#[derive(Debug)]
pub struct Checkpoint {
    path: Option<PathBuf>,
    last: Instant,
    between: Duration,
}

impl Checkpoint {
    /// A checkpoint in this file, or nowhere.
    pub fn new(path: Option<PathBuf>) -> Self {
        // For tests of kills at any moment: a state as often as the user of the variable likes.
        let often = std::env::var("SYNOP_CHECKPOINT_MS").ok().and_then(|ms| ms.parse().ok());
        Self { path, last: Instant::now(), between: often.map_or(BETWEEN, Duration::from_millis) }
    }

    /// The state that an earlier run left; nothing if there is none or it is not whole.
    pub fn load(&self) -> Option<Vec<u8>> {
        let mut bytes = std::fs::read(self.path.as_ref()?).ok()?;
        let digest = bytes.split_off(bytes.len().checked_sub(32)?);
        (Sha256::digest(&bytes).as_slice() == digest).then_some(bytes)
    }

    /// Whether it is time to save.
    pub fn is_due(&self) -> bool {
        self.path.is_some() && self.last.elapsed() >= self.between
    }

    /// Saves the state, whole or not at all.
    ///
    /// # Errors
    /// The work failed: the file cannot be written.
    pub fn store(&mut self, state: &[u8]) -> Result<(), Failure> {
        if let Some(path) = &self.path {
            let mut bytes = state.to_vec();
            bytes.extend_from_slice(&Sha256::digest(state));
            files::write(path, bytes)?;
        }
        self.last = Instant::now();
        Ok(())
    }
}

/// The pieces of a run that many threads make in any order, each under its name, kept in one checkpoint.
pub struct Pieces<T> {
    state: Mutex<(BTreeMap<String, T>, Checkpoint)>,
}

impl<T: Clone + Serialize + DeserializeOwned> Pieces<T> {
    /// Those that an earlier run left.
    pub fn of(checkpoint: Checkpoint) -> Self {
        let kept = checkpoint.load().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { state: Mutex::new((kept.unwrap_or_default(), checkpoint)) }
    }

    /// The piece of this name: kept from an earlier run, or made now.
    ///
    /// # Errors
    /// Those of `make`; the work failed: the state cannot be written.
    pub fn piece(&self, name: &str, make: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let kept = self.lock().0.get(name).cloned();
        if let Some(piece) = kept {
            return Ok(piece);
        }
        let piece = make()?;
        let (pieces, checkpoint) = &mut *self.lock();
        pieces.insert(name.to_owned(), piece.clone());
        if checkpoint.is_due() {
            let bytes = serde_json::to_vec(pieces).map_err(Failure::work)?;
            checkpoint.store(&bytes)?;
        }
        Ok(piece)
    }

    fn lock(&self) -> MutexGuard<'_, (BTreeMap<String, T>, Checkpoint)> {
        // A piece is whole or absent, whatever became of the thread that held the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pieces.part");
        let checkpoint = || Checkpoint { between: Duration::ZERO, ..Checkpoint::new(Some(path.clone())) };
        let pieces = Pieces::of(checkpoint());
        assert_eq!(pieces.piece("third", || Ok(1.0 / 3.0)).unwrap(), 1.0 / 3.0);
        assert!(pieces.piece("fails", || Err(Failure::work("no"))).is_err());
        drop(pieces);
        let pieces = Pieces::<f64>::of(checkpoint());
        let again = pieces.piece("third", || Err(Failure::work("made twice"))).unwrap();
        assert_eq!(again.to_bits(), (1.0f64 / 3.0).to_bits());
        assert_eq!(pieces.piece("fails", || Ok(2.0)).unwrap(), 2.0);
    }

    #[test]
    fn a_state_comes_back_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.part");
        let mut checkpoint = Checkpoint::new(Some(path.clone()));
        assert_eq!(checkpoint.load(), None);
        checkpoint.store(b"half way").unwrap();
        assert_eq!(checkpoint.load().as_deref(), Some(&b"half way"[..]));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[2] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(checkpoint.load(), None);
        std::fs::write(&path, b"short").unwrap();
        assert_eq!(checkpoint.load(), None);
    }
}
