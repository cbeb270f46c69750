//! The relay between a real PostgreSQL and a real Kafka. `cargo xtask test` starts them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod bench;
mod binary;
mod connect;
mod health;
mod live;
mod metrics;
mod poison;
mod restart;
mod table;
mod topics;
