//! A machine's whole state as bytes, to stop a run at any tick and go on later, bit for bit.
//!
//! ```text
//! 0   "SYNOPMS4"
//! 8   checksum of the image
//! 16  tick, 24 number of plastic updates, 32 samples of the batch
//! 40  the parts of the memory, in the order of `Plan`'s fields
//! ..  FNV-1a over all bytes before
//! ```

use crate::arena::{RUN_WORDS, run};
use crate::machine::Machine;
use crate::words::{le_u64, word};
use core::fmt;

const MAGIC: &[u8; 8] = b"SYNOPMS4";
const HEADER: usize = 40;
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// Why a saved state was not taken; the machine is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreError {
    /// The bytes are not those that a machine saved.
    Damaged,
    /// They were saved by a machine over another image, or with other cores.
    Other,
    /// Fewer or more bytes than this machine saves.
    Length {
        /// Bytes given.
        found: usize,
        /// Bytes needed.
        expected: usize,
    },
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            RestoreError::Damaged => write!(f, "the saved state is damaged; begin anew"),
            RestoreError::Other => write!(f, "the saved state belongs to another image"),
            RestoreError::Length { found, expected } => {
                write!(f, "{found} bytes of saved state found, {expected} expected")
            }
        }
    }
}

impl core::error::Error for RestoreError {}

fn hash(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3))
}

fn bytes_of<T: bytemuck::NoUninit>(values: &[T]) -> &[u8] {
    bytemuck::try_cast_slice(values).unwrap_or(&[])
}

fn bytes_mut<T: bytemuck::Pod>(values: &mut [T]) -> &mut [u8] {
    bytemuck::try_cast_slice_mut(values).unwrap_or_default()
}

/// Fields of the run-time record that follow from the image.
const FIXED: [usize; 10] = [
    run::STATE,
    run::ACTIVE,
    run::EVENTS,
    run::SLOTS,
    run::LENGTHS,
    run::FACTS,
    run::ORDER,
    run::FANOUT,
    run::COUNTED,
    run::ROUNDS,
];

impl Machine<'_> {
    fn saved_parts(&self) -> [&[u8]; 11] {
        [
            bytes_of(self.run),
            bytes_of(self.port_learning),
            bytes_of(self.counters),
            bytes_of(self.active),
            bytes_of(self.state),
            bytes_of(self.events),
            bytes_of(self.lengths),
            self.plastic,
            bytes_of(self.learning),
            bytes_of(self.arrays),
            bytes_of(self.order),
        ]
    }

    /// Bytes that [`Machine::save`] writes.
    pub fn saved_len(&self) -> usize {
        HEADER + self.saved_parts().iter().map(|part| part.len()).sum::<usize>() + 8
    }

    /// Writes the whole state, piece by piece, to `sink`: neurons, events under way, weights, traces, counters, time.
    pub fn save(&self, mut sink: impl FnMut(&[u8])) {
        let mut sum = BASIS;
        let mut write = |bytes: &[u8]| {
            sum = hash(sum, bytes);
            sink(bytes);
        };
        write(MAGIC);
        write(&le_u64(self.image.bytes(), 24).to_le_bytes());
        write(&self.tick.to_le_bytes());
        write(&self.updates.to_le_bytes());
        write(&self.samples.to_le_bytes());
        for part in self.saved_parts() {
            write(part);
        }
        sink(&sum.to_le_bytes());
    }

    /// Takes up a state that a machine over the same image and the same cores has saved.
    ///
    /// # Errors
    /// [`RestoreError`]; the machine is then as it was.
    pub fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let expected = self.saved_len();
        if saved.len() != expected {
            return Err(RestoreError::Length { found: saved.len(), expected });
        }
        let (content, sum) = saved.split_at_checked(expected - 8).ok_or(RestoreError::Damaged)?;
        if content.get(..8) != Some(&MAGIC[..]) || hash(BASIS, content) != le_u64(sum, 0) {
            return Err(RestoreError::Damaged);
        }
        if le_u64(content, 8) != le_u64(self.image.bytes(), 24) || !self.lies_alike(content) {
            return Err(RestoreError::Other);
        }
        self.tick = le_u64(content, 16);
        self.updates = le_u64(content, 24);
        self.samples = le_u64(content, 32);
        let mut rest = content.get(HEADER..).unwrap_or(&[]);
        let parts = [
            bytes_mut(self.run),
            bytes_mut(self.port_learning),
            bytes_mut(self.counters),
            bytes_mut(self.active),
            bytes_mut(self.state),
            bytes_mut(self.events),
            bytes_mut(self.lengths),
            &mut *self.plastic,
            bytes_mut(self.learning),
            bytes_mut(self.arrays),
            bytes_mut(self.order),
        ];
        for part in parts {
            let (head, tail) = rest.split_at_checked(part.len()).unwrap_or_default();
            for (to, from) in part.iter_mut().zip(head) {
                *to = *from;
            }
            rest = tail;
        }
        self.busy.fill(u64::MAX); // the next tick finds out who is
        Ok(())
    }

    /// Whether the saved memory is laid out as this machine's.
    fn lies_alike(&self, content: &[u8]) -> bool {
        let saved = |i: usize| {
            let at = HEADER + 4 * i;
            content.get(at..at + 4).and_then(|b| b.first_chunk::<4>()).map_or(0, |b| u32::from_le_bytes(*b))
        };
        let pieces = (0..self.image.pieces as usize)
            .all(|p| FIXED.iter().all(|f| saved(p * RUN_WORDS + f) == word(self.run, p * RUN_WORDS + f)));
        let ports =
            (0..self.port_learning.len()).all(|i| saved(self.run.len() + i) == word(self.port_learning, i));
        pieces && ports
    }
}
