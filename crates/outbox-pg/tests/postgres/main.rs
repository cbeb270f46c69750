//! The outbox on a real PostgreSQL. `cargo xtask test` starts it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod bad_input;
mod cloud_events;
mod enqueue;
mod evolution;
mod full_disk;
mod generic_service;
mod health;
mod lost_slot;
mod maintenance;
mod messages;
mod migrations;
mod own_server;
mod poison;
mod readiness;
mod republish;
mod rights;
mod round_trips;
mod row_life;
mod slots;
mod standby;
mod transaction;
mod values;
mod versions;
mod worker;
