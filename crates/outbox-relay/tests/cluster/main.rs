//! The relay on a cluster of three brokers, while brokers die, freeze, restart, reject, throttle and forbid.
//!
//! Every scenario runs under load. In each, no event is lost, duplicated or reordered, the relay never ends, and it is
//! ready again at the end. `cargo xtask test` starts PostgreSQL; the brokers belong to this program. Scenarios share
//! the cluster and take turns. With `OUTBOX_FULL=1` they last as long as such failures do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod access;
mod brokers;
mod check;
mod load;
mod scene;
mod slow;
