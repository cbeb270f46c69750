//! The files of deploy/ and the commands of docs/operations.md: valid, complete, and run as plain processes.
//!
//! The test that runs everything needs the programs `outbox` and `outbox-relay` next to `order-service`, which
//! `cargo test --workspace` builds, and `psql`, `prometheus` and `promtool`, which `cargo xtask test` installs.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

#[path = "../fixture/mod.rs"]
mod fixture;

mod compose;
mod documents;
mod files;
mod jmx;
mod kubernetes;
mod plain;
mod prometheus;
mod schema;
mod secure;
mod whole;
