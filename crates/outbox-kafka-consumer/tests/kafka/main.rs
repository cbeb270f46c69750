//! The consumer on a real Kafka and a real PostgreSQL. `cargo xtask test` starts them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod batches;
mod blocking;
mod builder;
#[allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
mod chaos;
mod documented;
mod driver;
mod env;
mod failures;
mod faults;
mod gauges;
mod half_open;
mod handlers;
mod holes;
mod idle;
mod ids;
mod interrupted;
mod isolation;
mod layers;
mod limits;
mod locks;
mod memory;
mod observed;
mod operations;
mod partitions;
mod policies;
mod pooler;
mod positions;
mod process;
mod rolling;
mod secrecy;
mod secure;
mod session;
mod session_changed;
mod setup;
#[cfg(feature = "sqlx")]
mod sqlx;
mod standstill;
mod take_over;
mod testing;
mod unreadable;
mod wire;
