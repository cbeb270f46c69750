//! The consumer on a cluster of three brokers, while brokers die, freeze, restart, reject, throttle and forbid.
//!
//! In every scenario each reader has its own consumer group over the same topic, under load. No effect is lost,
//! duplicated or out of order, and no consumer ends. `cargo xtask test` starts PostgreSQL; the brokers belong to this
//! program. Scenarios share the cluster and take turns. With `OUTBOX_FULL=1` they last as long as such failures do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod access;
mod brokers;
mod load;
mod readers;
mod scene;
mod slow;
