//! The relay between a real PostgreSQL and a real Kafka. `cargo xtask test` starts them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod bench;
mod live;
mod poison;
mod restart;
