//! The service's HTTP interface, its command line and the files in deploy/, against a real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

#[path = "../fixture/mod.rs"]
mod fixture;

mod bad_input;
mod command_line;
mod database_faults;
mod deploy;
mod idempotency;
mod openapi;
mod orders;
mod pipeline;
mod setup;
mod startup;
mod tls;
