//! The same rows through the real Debezium, through the pipeline's own encoding and through the relay, compared record
//! by record.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod batch;
mod broker;
mod comparison;
mod configuration;
mod fixture;
mod reader;
mod rows;
mod service;
mod stand_in;

mod accepted;
mod bytes;
mod cloud_events;
mod context;
mod defaults;
mod documents;
mod expansion;
mod file_cases;
mod files;
mod heartbeats;
mod keys;
mod lives;
mod messages;
mod own_columns;
mod payloads;
mod placements;
mod rare_types;
mod routes;
mod timestamps;
mod transformations;
mod types;
mod updates;
