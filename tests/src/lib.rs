//! Golden tables and end-to-end tests; see `tests/`.
