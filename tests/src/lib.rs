//! Golden tables, readers under fire, and end-to-end tests; see `tests/`.
//!
//! ```
//! // Every reader takes whatever it is given; here its own good files, cut in half.
//! for reader in synop_tests::readers::READERS {
//!     for good in reader.good() {
//!         (reader.read)(&good[..good.len() / 2]);
//!     }
//! }
//! ```

pub mod readers;
