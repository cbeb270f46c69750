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

use outbox_core::OutboxEvent;
use outbox_sqlx::sqlx::{PgPool, postgres::PgPoolOptions};
use outbox_test_support::TestEnv;

/// Returns sqlx's connections to the database of an environment.
async fn pool(env: &TestEnv) -> PgPool {
    PgPoolOptions::new().max_connections(4).connect(env.url()).await.unwrap()
}

fn event(n: i64) -> OutboxEvent {
    OutboxEvent::builder("order", n.to_string(), "OrderCreated").json(format!("{{\"n\":{n}}}")).build().unwrap()
}
