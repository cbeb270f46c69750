use std::pin::pin;
use std::time::Instant;

use futures_util::TryStreamExt as _;
use serde::Serialize;

use crate::Outcome;
use crate::run_env::{RunEnv, Shape};

/// One look at a whole backlog through SQL, sent to a client and thrown away there: PostgreSQL's decoder and one
/// connection, and nothing of Kafka. No reader of the slot can be faster than its half of the work.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Peek {
    pub(crate) shape: Shape,
    pub(crate) rows: u64,
    /// Begins, commits and descriptions of the table among them.
    pub(crate) messages: u64,
    pub(crate) seconds: f64,
    pub(crate) rows_per_second: f64,
}

pub(crate) async fn peek(env: &RunEnv, shape: Shape, rows: u64) -> Outcome<Peek> {
    let client = env.client().await;
    let sql = format!(
        "SELECT lsn, xid, data FROM pg_logical_slot_peek_binary_changes(
             '{}', NULL, NULL, 'proto_version', '1', 'publication_names', 'outbox')",
        env.name()
    );
    let statement = client.prepare(&sql).await?;
    let begin = Instant::now();
    let parameters: [&str; 0] = [];
    let mut changes = pin!(client.query_raw(&statement, parameters).await?);
    let mut messages = 0;

    while changes.try_next().await?.is_some() {
        messages += 1;
    }

    let seconds = begin.elapsed().as_secs_f64();
    if messages < rows {
        return Err(
            format!("the slot {} holds {messages} messages for {rows} rows: rows are missing", env.name()).into()
        );
    }
    Ok(Peek { shape, rows, messages, seconds, rows_per_second: rows as f64 / seconds })
}
