//! Events from the service's database through a real Debezium and Kafka to the consumer.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

#[path = "../fixture/mod.rs"]
mod fixture;

mod arrival;
mod deployed;
mod edges;
mod health;
mod lost_slot;
mod redelivery;
mod rights;
#[cfg(feature = "otlp")]
mod traces;
