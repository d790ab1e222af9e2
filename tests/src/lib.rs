//! Golden tables, readers under fire, and end-to-end tests; see `tests/`.

pub mod readers;
