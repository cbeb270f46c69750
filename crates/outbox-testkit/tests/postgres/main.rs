//! The throw-away PostgreSQL.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod database;
mod lifetime;
mod other_process;
mod programs;
mod start;

use outbox_test_support::connect;
use tokio_postgres::Client;

async fn show(client: &Client, setting: &str) -> String {
    client.query_one(&format!("SHOW {setting}"), &[]).await.unwrap().get(0)
}
