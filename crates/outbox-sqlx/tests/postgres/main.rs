//! The outbox in sqlx's transactions, on a real PostgreSQL. `cargo xtask test` starts it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod bad_input;
mod enqueue;
mod generic_service;
mod idempotent;
mod messages;
mod migrations;
mod operation;
mod values;

use std::time::Duration;

use outbox_core::OutboxEvent;
use outbox_sqlx::sqlx::{PgPool, postgres::PgPoolOptions};
use outbox_test_support::TestEnv;

/// The time that a pool waits for a connection. A busy machine exceeds sqlx's 30 s.
const POOL_WAIT: Duration = Duration::from_secs(300);

/// Returns sqlx's connections to the database of an environment.
async fn pool(env: &TestEnv) -> PgPool {
    PgPoolOptions::new().max_connections(4).acquire_timeout(POOL_WAIT).connect(env.url()).await.unwrap()
}

fn event(n: i64) -> OutboxEvent {
    OutboxEvent::builder("order", n.to_string(), "OrderCreated").json(format!("{{\"n\":{n}}}")).build().unwrap()
}
