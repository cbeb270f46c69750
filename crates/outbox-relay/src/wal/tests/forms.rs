use outbox_core::bytes::Bytes;
use outbox_core::time::OffsetDateTime;
use outbox_core::{Column, ColumnType, ColumnValue, EventField, Nullability};

use super::*;
use crate::pgoutput::{BadValue, DecodeError};

fn layout() -> TableLayout {
    use EventField as F;
    let name = |name: &str| Identifier::new(name).unwrap();
    let null = Nullability::Nullable;
    let columns = vec![
        Column::of(F::Id, name("id"), ColumnType::Uuid, Nullability::NotNull),
        Column::of(F::AggregateType, name("aggregatetype"), ColumnType::Varchar(255), null),
        Column::of(F::AggregateId, name("aggregateid"), ColumnType::Varchar(255), null),
        Column::of(F::EventType, name("type"), ColumnType::Text, null),
        Column::of(F::Payload, name("payload"), ColumnType::Jsonb, null),
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
    let fixture = Fixture::with(
        "CREATE SCHEMA outbox;
         CREATE TABLE outbox.outbox_message (
            zoned timestamptz, millis timestamp(3), extra point DEFAULT '(1,2)', count integer, flag boolean, raw bytea,
            id uuid, aggregatetype varchar(255), aggregateid varchar(255), type text, payload jsonb
         ) PARTITION BY RANGE (count);
         CREATE TABLE outbox.p0 PARTITION OF outbox.outbox_message FOR VALUES FROM (-10) TO (0);
         CREATE TABLE outbox.p1 PARTITION OF outbox.outbox_message FOR VALUES FROM (0) TO (10);",
    )
    .await;
    let name = fixture.database.name();
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
    let opened = fixture.open(StartAt::Now).await.unwrap();
    let mut reader = RowReader::new(layout());
    let mut catch_up = opened.catch_up_to_end(&fixture.options, &fixture.source).await.unwrap();
    let mut rows = Vec::new();
    while let Some(data) = catch_up.next().await.unwrap() {
        match reader.read(&data) {
            Ok(Some(WalEvent::Row { row, index, .. })) => {
                assert_eq!(usize::try_from(index).unwrap(), rows.len());
                rows.push(Ok(row));
            }
            Ok(_) => {}
            Err(error) => rows.push(Err(error)),
        }
    }
    let text = |text: &str| ColumnValue::Text(text.to_owned());
    let instant =
        |micros: i128| ColumnValue::Instant(OffsetDateTime::from_unix_timestamp_nanos(micros * 1_000).unwrap());
    let id = ColumnValue::Uuid("0190a7c1-6a52-7b0e-9c55-3d2f1e8a4b6d".parse().unwrap());
    assert_eq!(
        rows[0].as_ref().unwrap().values(),
        [
            id.clone(),
            text("ö"),
            text(""),
            text("\""),
            text("{\"a\": 1}"),
            ColumnValue::Bytes(Bytes::from_static(b"\0\xff\\A")),
            ColumnValue::Boolean(true),
            ColumnValue::Integer(-1),
            instant(1_795_447_956_500_000),
            instant(946_684_799_999_999),
        ]
    );
    assert_eq!(rows[1].as_ref().unwrap().values()[..2], [id, ColumnValue::Null]);
    assert!(
        matches!(&rows[2], Err(DecodeError::Value { column, reason: BadValue::Infinite, .. }) if &**column == "millis"),
        "{:?}",
        rows[2]
    );
    assert!(rows[3].is_ok() && rows.len() == 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_altered_on_the_way() {
    let fixture = Fixture::new().await;
    fixture.insert(0..2).await;
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
    let opened = fixture.open(StartAt::Now).await.unwrap();
    let mut catch_up = opened.catch_up_to_end(&fixture.options, &fixture.source).await.unwrap();
    let (mut reader, mut rows, mut errors) = (reader(), 0, Vec::new());
    while let Some(data) = catch_up.next().await.unwrap() {
        match reader.read(&data) {
            Ok(Some(WalEvent::Row { .. })) => rows += 1,
            Ok(_) => {}
            Err(error) => errors.push(error),
        }
    }
    assert_eq!(rows, 3);
    match &errors[..] {
        [DecodeError::Column { at, column, wanted, found, .. }] => {
            assert_eq!((at.index, &**column, &**wanted, &**found), (1, "payload", "json", "jsonb"));
        }
        other => panic!("{other:?}"),
    }
}
