//! The broker's own: its faults, its imitations, and what it does with hostile input.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../conformance/client.rs"]
mod client;
mod faults;
mod hostile;
mod imitation;
mod lifecycle;
mod request_faults;
