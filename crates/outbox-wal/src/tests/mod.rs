//! On a real PostgreSQL, found by `OUTBOX_STACK`.

mod confirm;
mod copies;
mod hold;
mod refusals;
mod rows;
mod seam;
mod slow;

use std::time::Duration;

use tokio_postgres::{Client, NoTls};
use xtask::stack::{Stack, TestDatabase};

use self::rows::{RowReader, WalEvent};
use super::*;
use crate::Lsn;

const TABLE: &str = "CREATE SCHEMA outbox;
    CREATE TABLE outbox.outbox_message (
        id uuid PRIMARY KEY, aggregate_type text NOT NULL, aggregate_id text NOT NULL, event_type text NOT NULL,
        payload json, created_at timestamp(6) NOT NULL DEFAULT '2026-11-23 15:32:36.123456',
        schema_version integer NOT NULL DEFAULT 1, content_type text NOT NULL DEFAULT 'application/json',
        traceparent text NOT NULL DEFAULT '', correlation_id text NOT NULL DEFAULT '',
        causation_id text NOT NULL DEFAULT '', headers json NOT NULL DEFAULT '{}');";

/// A database with an outbox, and a slot that reads it.
struct Fixture {
    client: Client,
    source: Source,
    options: ConnectOptions,
    database: TestDatabase,
    port: u16,
}

impl Fixture {
    async fn new() -> Self {
        Self::with(TABLE).await
    }

    async fn with(ddl: &str) -> Self {
        let stack = Stack::connect().unwrap();
        let (database, port) = (stack.test_database().unwrap(), stack.postgres_port());
        let (client, connection) = tokio_postgres::connect(database.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(ddl).await.unwrap();
        let name = database.name().to_owned();
        let publication = "the 'outbox', \"all of it\"";
        let sql = format!(
            "CREATE PUBLICATION {} FOR TABLE outbox.outbox_message WITH (publish_via_partition_root = true)",
            sql::identifier(publication)
        );
        client.batch_execute(&sql).await.unwrap();
        let sql = "SELECT pg_create_logical_replication_slot($1, 'pgoutput')";
        client.execute(sql, &[&name]).await.unwrap();
        let options = ConnectOptions::new("127.0.0.1", port, "postgres", database.name()).password("postgres");
        Self { client, source: Source::new(name, publication), options, database, port }
    }

    /// Writes rows with these numbers as their aggregates' ids, in one transaction.
    async fn insert(&self, numbers: std::ops::Range<u32>) {
        let sql = "INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type, payload)
            SELECT gen_random_uuid(), 'order', n::text, 'OrderConfirmed', json_build_object('n', n, 'note', repeat('x', 150))
            FROM generate_series($1::int, $2::int) n";
        let (first, last) = (numbers.start.cast_signed(), numbers.end.cast_signed() - 1);
        self.client.execute(sql, &[&first, &last]).await.unwrap();
    }

    /// Writes rows in a transaction each.
    async fn insert_one_by_one(&self, numbers: std::ops::Range<u32>) {
        let sql = format!(
            "DO $$ BEGIN FOR n IN {}..{} LOOP
                INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type, payload)
                VALUES (gen_random_uuid(), 'order', n::text, 'OrderConfirmed',
                    json_build_object('n', n, 'note', repeat('x', 150))); COMMIT; END LOOP; END $$",
            numbers.start,
            numbers.end - 1
        );
        // Each by itself: the last one, which is waited for, has the WAL of all written out.
        let end = "SELECT pg_logical_emit_message(true, '', '')";
        for statement in ["SET synchronous_commit = off", &sql, "SET synchronous_commit = on", end] {
            self.client.batch_execute(statement).await.unwrap();
        }
    }

    async fn open(&self, at: StartAt) -> Result<Opened, WalError> {
        open(&self.options, &self.source, at).await
    }

    /// The slot's confirmed position.
    async fn confirmed(&self) -> Lsn {
        let sql = "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1";
        let row = self.client.query_one(sql, &[&self.source.slot()]).await.unwrap();
        row.get::<_, String>(0).parse().unwrap()
    }

    async fn flushed(&self) -> Lsn {
        let row = self.client.query_one("SELECT pg_current_wal_flush_lsn()::text", &[]).await.unwrap();
        row.get::<_, String>(0).parse().unwrap()
    }

    async fn wait_confirmed(&self, lsn: Lsn) {
        within(10, async {
            while self.confirmed().await != lsn {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
}

fn reader() -> RowReader {
    RowReader::default()
}

/// What is read up to the commit that completes this many rows.
async fn stream_rows(stream: &mut WalStream, reader: &mut RowReader, rows: usize) -> Vec<WalEvent> {
    let (mut events, mut seen) = (Vec::new(), 0);
    while seen < rows || !matches!(events.last(), Some(WalEvent::Commit { .. })) {
        if let WalMessage::Data { data, .. } = within(30, stream.next()).await.unwrap()
            && let Some(event) = reader.read(&data).unwrap()
        {
            seen += usize::from(matches!(event, WalEvent::Row { .. }));
            events.push(event);
        }
    }
    assert_eq!(seen, rows);
    events
}

async fn caught_up(mut catch_up: CatchUp, reader: &mut RowReader) -> Vec<WalEvent> {
    let mut events = Vec::new();
    while let Some(data) = within(60, catch_up.next()).await.unwrap() {
        events.extend(reader.read(&data).unwrap());
    }
    events
}

/// The aggregates' ids of the rows, in order.
fn numbers(events: &[WalEvent]) -> Vec<u32> {
    let number = |event: &WalEvent| match event {
        WalEvent::Row { texts, .. } => texts[2].as_ref()?.parse().ok(),
        _ => None,
    };
    events.iter().filter_map(number).collect()
}

async fn within<F: Future>(seconds: u64, future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(seconds), future).await.expect("in time")
}
