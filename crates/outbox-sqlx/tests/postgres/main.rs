//! The outbox in sqlx's transactions, on a real PostgreSQL. `cargo xtask test` starts it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod bad_input;
mod database;
mod enqueue;
mod generic_service;
mod idempotent;
mod values;
