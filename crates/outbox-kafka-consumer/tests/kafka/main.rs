//! The consumer on a real Kafka and a real PostgreSQL. `cargo xtask test` starts them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod bench;
mod builder;
mod failures;
mod handlers;
mod positions;
mod process;
mod take_over;
