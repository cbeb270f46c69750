//! The relay between a real PostgreSQL and a real Kafka. `cargo xtask test` starts them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod arrival;
mod connector;
mod fixture;
mod forwarder;
mod heard;
mod load;
mod program;
mod server;
mod slot;

mod absent_broker;
mod binary;
mod broker_faults;
mod bulk;
mod catch_up;
mod connect;
mod create;
mod failover;
mod frozen;
mod handover;
mod health;
mod heartbeats;
mod imitations;
mod live;
mod lost_slot;
mod memory;
mod messages;
mod metrics;
#[cfg(feature = "otlp")]
mod otlp;
mod partitions;
mod poison;
mod postgres_restart;
mod preflight;
mod publication;
mod replace_debezium;
mod replay;
mod restart;
mod restore;
mod standby;
mod table;
mod topics;
