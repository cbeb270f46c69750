use outbox_core::bytes::Bytes;
use outbox_core::layout::{ColumnValue, EventField, Nullability};
use outbox_core::time::OffsetDateTime;

use outbox_core::Identifier;
use outbox_test_support::{TestEnv, stack};
use outbox_wal::{ConnectOptions, Source, StartAt, WalMessage, WalStream, open};
use tokio_postgres::Client;

use super::super::{BadValue, DecodeError, RowReader, TableRow, WalEvent};
use super::*;

/// A database with a table, and a slot that reads it.
struct RowsEnv {
    client: Client,
    source: Source,
    options: ConnectOptions,
    env: TestEnv,
}

impl RowsEnv {
    async fn new(ddl: &str) -> Self {
        let env = TestEnv::builder().database().build().await;
        let client = env.client().await;
        let publication =
            "CREATE PUBLICATION outbox FOR TABLE outbox.outbox_message WITH (publish_via_partition_root = true)";
        client.batch_execute(ddl).await.unwrap();
        client.batch_execute(publication).await.unwrap();
        let slot = "SELECT pg_create_logical_replication_slot($1, 'pgoutput')";
        client.execute(slot, &[&env.name()]).await.unwrap();
        let options = ConnectOptions::new("127.0.0.1", stack().postgres_port(), "postgres", env.name());
        let source = Source::new(env.name(), "outbox");
        Self { client, source, options: options.password("postgres"), env }
    }

    async fn stream(&self) -> WalStream {
        open(&self.options, &self.source, StartAt::Confirmed).await.unwrap().stream
    }
}

/// Reads `count` rows, whether they can be decoded or not.
async fn rows(
    stream: &mut WalStream,
    mut reader: RowReader,
    count: usize,
) -> Vec<Result<(u32, TableRow), DecodeError>> {
    let mut rows = Vec::new();
    while rows.len() < count {
        let WalMessage::Data { data, .. } = stream.next().await.unwrap() else { continue };
        match reader.read(&data) {
            Ok(Some(WalEvent::Row { row, index, .. })) => rows.push(Ok((index, row))),
            Ok(_) => {}
            Err(error) => rows.push(Err(error)),
        }
    }
    rows
}

fn layout() -> TableLayout {
    use EventField as F;
    let name = |name: &str| Identifier::new(name).unwrap();
    let null = Nullability::Nullable;
    let columns = vec![
        Column::new(F::Id, name("id"), ColumnType::Uuid, Nullability::NotNull),
        Column::new(F::AggregateType, name("aggregatetype"), ColumnType::Varchar(255), null),
        Column::new(F::AggregateId, name("aggregateid"), ColumnType::Varchar(255), null),
        Column::new(F::EventType, name("type"), ColumnType::Text, null),
        Column::new(F::Payload, name("payload"), ColumnType::Jsonb, null),
        Column::foreign(name("raw"), ColumnType::Bytea, null),
        Column::foreign(name("flag"), ColumnType::Boolean, null),
        Column::foreign(name("count"), ColumnType::Integer, null),
        Column::foreign(name("millis"), ColumnType::TimestampMillis, null),
        Column::foreign(name("zoned"), ColumnType::Timestamptz, null),
    ];
    TableLayout::new(name("outbox"), name("outbox_message"), columns).unwrap()
}

/// The forms are fixed by the connection, whatever the database is set to; the table has partitions, another order of
/// columns, and one that the layout does not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_every_type() {
    let fixture = RowsEnv::new(
        "CREATE SCHEMA outbox;
         CREATE TABLE outbox.outbox_message (
            zoned timestamptz, millis timestamp(3), extra point DEFAULT '(1,2)', count integer, flag boolean, raw bytea,
            id uuid, aggregatetype varchar(255), aggregateid varchar(255), type text, payload jsonb
         ) PARTITION BY RANGE (count);
         CREATE TABLE outbox.p0 PARTITION OF outbox.outbox_message FOR VALUES FROM (-10) TO (0);
         CREATE TABLE outbox.p1 PARTITION OF outbox.outbox_message FOR VALUES FROM (0) TO (10);",
    )
    .await;
    let name = fixture.env.name();
    fixture
        .client
        .batch_execute(&format!(
            "ALTER DATABASE {name} SET datestyle = 'German';
             ALTER DATABASE {name} SET timezone = 'Asia/Kathmandu';
             ALTER DATABASE {name} SET bytea_output = 'escape';
             SET timezone = 'UTC';
             INSERT INTO outbox.outbox_message (count, flag, raw, id, aggregatetype, aggregateid, type, payload, millis, zoned)
             VALUES (-1, true, '\\x00ff5c41', '0190a7c1-6a52-7b0e-9c55-3d2f1e8a4b6d', 'ö', '', '\"', '{{\"a\":1}}',
                '2026-11-23 15:32:36.5', '1999-12-31 23:59:59.999999+00'),
              (1, null, null, '0190a7c1-6a52-7b0e-9c55-3d2f1e8a4b6d', null, null, null, null, null, null),
              (2, null, null, '0190a7c1-6a52-7b0e-9c55-3d2f1e8a4b6d', null, null, null, null, 'infinity', null),
              (3, null, null, '0190a7c1-6a52-7b0e-9c55-3d2f1e8a4b6d', null, null, null, null, '0044-03-15 BC', null)"
        ))
        .await
        .unwrap();

    let names = ["raw", "flag", "count", "millis", "zoned"].map(|name| format!("{name}:header")).join(",");
    let config = ConnectorConfig::recommended(&layout())
        .with("transforms.outbox.table.fields.additional.placement", format!("type:header,{names}"));
    let reader = reader_by(config, &layout(), HashSet::new());
    let rows = rows(&mut fixture.stream().await, reader, 4).await;
    let text = |text: &str| ColumnValue::Text(text.to_owned());
    let instant =
        |micros: i128| ColumnValue::Instant(OffsetDateTime::from_unix_timestamp_nanos(micros * 1_000).unwrap());

    let id = ColumnValue::Uuid("0190a7c1-6a52-7b0e-9c55-3d2f1e8a4b6d".parse().unwrap());
    assert_eq!(
        rows[0].as_ref().unwrap().1.row.values(),
        [
            instant(946_684_799_999_999),
            instant(1_795_447_956_500_000),
            ColumnValue::Integer(-1),
            ColumnValue::Boolean(true),
            ColumnValue::Bytes(Bytes::from_static(b"\0\xff\\A")),
            id.clone(),
            text("ö"),
            text(""),
            text("\""),
            text("{\"a\": 1}"),
        ]
    );
    assert_eq!(rows[1].as_ref().unwrap().1.row.values()[5..7], [id, ColumnValue::Null]);
    assert!(
        matches!(&rows[2], Err(DecodeError::Value { column, reason: BadValue::Infinite, .. }) if &**column == "millis"),
        "{:?}",
        rows[2]
    );
    assert_eq!(rows[3].as_ref().unwrap().0, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_altered_on_the_way() {
    let fixture = RowsEnv::new(
        "CREATE SCHEMA outbox;
         CREATE TABLE outbox.outbox_message (
            id uuid PRIMARY KEY, aggregate_type text NOT NULL, aggregate_id text NOT NULL, event_type text NOT NULL,
            payload json, created_at timestamp(6) NOT NULL DEFAULT now(),
            schema_version integer NOT NULL DEFAULT 1, content_type text NOT NULL DEFAULT 'application/json',
            traceparent text NOT NULL DEFAULT '', correlation_id text NOT NULL DEFAULT '',
            causation_id text NOT NULL DEFAULT '', headers json NOT NULL DEFAULT '{}',
            tracestate text NOT NULL DEFAULT '');",
    )
    .await;

    let two = "INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type)
        SELECT gen_random_uuid(), 'order', n, 'e' FROM generate_series(0, 1) n";
    fixture.client.batch_execute(two).await.unwrap();
    fixture
        .client
        .batch_execute(
            "ALTER TABLE outbox.outbox_message ADD COLUMN more text;
             BEGIN;
             INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type)
                VALUES (gen_random_uuid(), 'order', 2, 'e');
             ALTER TABLE outbox.outbox_message ALTER COLUMN payload TYPE jsonb;
             INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type)
                VALUES (gen_random_uuid(), 'order', 3, 'e');
             COMMIT",
        )
        .await
        .unwrap();

    let reader = reader_of(&TableLayout::recommended());
    let rows = rows(&mut fixture.stream().await, reader, 4).await;
    let rows: Vec<_> = rows.into_iter().map(Result::unwrap).collect();
    assert_eq!(rows.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 0, 1]);

    let payload = |row: &TableRow| row.pipeline.layout().column("payload").unwrap().ty();
    let types: Vec<_> = rows.iter().map(|(_, row)| payload(row)).collect();
    assert_eq!(types, [ColumnType::Json, ColumnType::Json, ColumnType::Json, ColumnType::Jsonb]);
}
