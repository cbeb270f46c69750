//! The throw-away PostgreSQL.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod database;
mod lifetime;
mod other_process;
mod programs;
mod start;

use tokio_postgres::{Client, NoTls};

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn show(client: &Client, setting: &str) -> String {
    client.query_one(&format!("SHOW {setting}"), &[]).await.unwrap().get(0)
}
