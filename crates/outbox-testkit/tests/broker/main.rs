//! The broker's own: its faults, and what it does with hostile input.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod faults;
mod hostile;
mod lifecycle;
