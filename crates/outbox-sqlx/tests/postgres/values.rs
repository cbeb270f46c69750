//! The same event is the same row, whichever driver sends it.

use outbox_core::layout::{Column, ColumnType, EventField, Nullability};
use outbox_core::{EventId, Identifier, OutboxEvent, Payload, TableLayout};
use outbox_sqlx::SqlxOutbox;
use outbox_sqlx::sqlx;
use time::macros::datetime;

use outbox_test_support::TestEnv;

use crate::pool;

fn layout(payload: ColumnType, at: ColumnType, id: ColumnType) -> TableLayout {
    use EventField as F;
    let of = |field, name: &str, ty, null| Column::new(field, Identifier::new(name).unwrap(), ty, null);
    let (not_null, nullable) = (Nullability::NotNull, Nullability::Nullable);
    let columns = vec![
        of(F::Id, "id", ColumnType::Uuid, not_null),
        of(F::AggregateType, "kind", ColumnType::Varchar(100), not_null),
        of(F::AggregateId, "aggregate", id, not_null),
        of(F::EventType, "event", ColumnType::Text, not_null),
        of(F::Payload, "payload", payload, nullable),
        of(F::CreatedAt, "at", at, not_null),
        of(F::SchemaVersion, "version", ColumnType::Integer, not_null),
        of(F::CorrelationId, "correlation", ColumnType::Text, not_null),
        of(F::Headers, "headers", ColumnType::Jsonb, not_null),
        Column::constant(Identifier::new("source").unwrap(), "it's"),
    ];
    TableLayout::new(Identifier::new("outbox").unwrap(), Identifier::new("values").unwrap(), columns).unwrap()
}

fn events(payload: &Payload) -> Vec<OutboxEvent> {
    let instants = [
        datetime!(2026-01-02 03:04:05.678901 UTC),
        datetime!(1970-01-01 00:00 UTC),
        datetime!(1999-12-31 23:59:59.999999 UTC),
    ];
    let event = |(at, payload): (_, Payload)| {
        let aggregate = "00000000-0000-4000-8000-00000000000a";
        let event = OutboxEvent::builder("order", aggregate, "é \"😀\" \\").id(EventId::new()).created_at(at);
        event.payload(payload).schema_version(7).header("x", "y '\"").correlation_id("c").build().unwrap()
    };
    instants.into_iter().zip([payload.clone(), Payload::Empty, payload.clone()]).map(event).collect()
}

#[tokio::test]
async fn every_type_of_column_is_written_as_the_other_driver_writes_it() {
    let json = Payload::json(r#"{ "b" : 1.50, "a": "\u00e9😀" }"#).unwrap();
    let cases = [
        (layout(ColumnType::Json, ColumnType::TimestampMicros, ColumnType::Text), json.clone()),
        (layout(ColumnType::Jsonb, ColumnType::TimestampMillis, ColumnType::Uuid), json.clone()),
        (layout(ColumnType::Bytea, ColumnType::Timestamptz, ColumnType::Varchar(40)), Payload::bytes(vec![0, 255, 1])),
        (layout(ColumnType::Text, ColumnType::Timestamptz, ColumnType::Text), json),
    ];
    for (layout, payload) in cases {
        let env = TestEnv::builder().layout(layout).outbox().build().await;
        let pool = pool(&env).await;
        let (pg, sqlx_outbox) = (env.outbox(), SqlxOutbox::new(env.pipeline().clone()));
        let events = events(&payload);
        let mut stored: Vec<Vec<String>> = Vec::new();

        for way in ["pg", "one", "many"] {
            let (mut client, mut tx) = (env.client().await, pool.begin().await.unwrap());
            match way {
                "pg" => {
                    let tx = client.transaction().await.unwrap();
                    pg.enqueue_all(&tx, &events).await.unwrap();
                    tx.commit().await.unwrap();
                }
                "one" => {
                    for event in &events {
                        sqlx_outbox.enqueue(&mut tx, event).await.unwrap();
                    }
                }
                _ => sqlx_outbox.enqueue_all(&mut tx, &events).await.unwrap(),
            }

            tx.commit().await.unwrap();
            let sql = r#"SELECT v::text FROM outbox."values" v ORDER BY id"#;
            stored.push(sqlx::query_scalar(sql).fetch_all(&pool).await.unwrap());
            sqlx::query(r#"TRUNCATE outbox."values""#).execute(&pool).await.unwrap();
        }

        let [pg, one, many] = &stored[..] else { panic!("three ways") };
        assert_eq!(pg.len(), 3);
        assert_eq!((pg, pg), (one, many));
    }
}
