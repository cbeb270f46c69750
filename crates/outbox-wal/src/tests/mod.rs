//! On a real PostgreSQL, found by `OUTBOX_STACK`.

mod confirm;
mod copies;
mod hold;
mod refusals;
mod rows;
mod seam;
mod slow;

use std::time::Duration;

use outbox_test_support::{TestEnv, eventually, stack};
use tokio_postgres::Client;

use self::rows::{RowReader, WalEvent};
use super::error::Kind;
use super::*;

/// A database with an outbox, and a slot that reads it.
struct WalEnv {
    client: Client,
    source: Source,
    options: ConnectOptions,
    env: TestEnv,
}

impl WalEnv {
    async fn new() -> Self {
        let env = TestEnv::builder().outbox().build().await;
        let client = env.client().await;
        let publication = "the 'outbox', \"all of it\"";
        let sql = format!(
            "CREATE PUBLICATION {} FOR TABLE outbox.outbox_message WITH (publish_via_partition_root = true)",
            sql::identifier(publication)
        );
        client.batch_execute(&sql).await.unwrap();
        let sql = "SELECT pg_create_logical_replication_slot($1, 'pgoutput')";
        client.execute(sql, &[&env.name()]).await.unwrap();
        let options = ConnectOptions::new("127.0.0.1", stack().postgres_port(), "postgres", env.name());
        Self { client, source: Source::new(env.name(), publication), options: options.password("postgres"), env }
    }

    /// Creates a role with the name of the database, and returns the connection as this role.
    async fn role(&self, attributes: &str) -> ConnectOptions {
        let role = self.env.name();
        self.client.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'sesame' {attributes}")).await.unwrap();
        ConnectOptions { user: role.to_owned(), ..self.options.clone() }.password("sesame")
    }

    /// Changes a setting of the role.
    async fn set(&self, setting: &str) {
        self.client.batch_execute(&format!("ALTER ROLE {} SET {setting}", self.env.name())).await.unwrap();
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

    async fn open(&self, at: StartAt) -> Result<Opened, Error> {
        open(&self.options, &self.source, at).await
    }

    /// Returns the slot's confirmed position.
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
        eventually(format!("{lsn} is confirmed"), async || match self.confirmed().await {
            confirmed if confirmed == lsn => Ok(()),
            other => Err(other),
        })
        .await;
    }
}

fn reader() -> RowReader {
    RowReader::default()
}

/// Returns the messages up to the commit that completes this number of rows.
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

/// Returns the aggregates' ids of the rows, in order.
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
