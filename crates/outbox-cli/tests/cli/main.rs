//! The program `outbox` at PostgreSQL, Kafka and Kafka Connect with Debezium.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod connector;
mod consumer;
mod doctor;
mod documents;
mod events;
mod existing_table;
mod faults;
mod fixture;
mod generate;
mod messages;
mod misconfigurations;
mod model;
mod relay;
mod replay;
mod slot;
mod tail;
mod terminal;
mod uninstall;
mod worker;
