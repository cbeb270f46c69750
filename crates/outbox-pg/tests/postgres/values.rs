use outbox_core::layout::ColumnType;
use outbox_core::{OutboxEvent, Payload, TableLayout};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use outbox_test_support::TestEnv;

/// The value of each part of an event in the table, compared by PostgreSQL's own text of it.
#[tokio::test]
async fn parts_are_stored_as_they_are() {
    let env = TestEnv::builder().outbox().build().await;
    let (mut client, outbox) = (env.client().await, env.outbox());
    let name = "[^\\p{Cc}]{1,40}";
    let parts = ("[A-Za-z0-9._-]{1,40}", name, name, name, name, 0_i64..1_767_225_600_000_000);
    let mut runner = TestRunner::default();
    let events: Vec<_> = std::iter::repeat_with(|| parts.new_tree(&mut runner).unwrap().current())
        .take(200)
        .map(|(aggregate_type, aggregate_id, event_type, correlation_id, header, micros)| {
            OutboxEvent::builder(aggregate_type, aggregate_id, event_type)
                .payload(Payload::serialize(&header).unwrap())
                .correlation_id(correlation_id)
                .header(header.clone(), header)
                .created_at(OffsetDateTime::UNIX_EPOCH + Duration::microseconds(micros))
                .build()
                .unwrap()
        })
        .collect();

    let tx = client.transaction().await.unwrap();
    let (single, batch) = events.split_at(events.len() / 2);

    for event in single {
        outbox.enqueue(&tx, event).await.unwrap();
    }

    outbox.enqueue_all(&tx, batch).await.unwrap();
    tx.commit().await.unwrap();

    let sql = "SELECT aggregate_type, aggregate_id, event_type, payload::text, correlation_id, headers::text, created_at \
               FROM outbox.outbox_message WHERE id = $1";

    for event in &events {
        let row = client.query_one(sql, &[&event.id().as_uuid()]).await.unwrap();
        let Payload::Json(payload) = event.payload() else { panic!() };
        let headers: std::collections::BTreeMap<String, String> = serde_json::from_str(row.get(5)).unwrap();
        assert_eq!(row.get::<_, &str>(0), event.aggregate_type().as_str());
        assert_eq!(row.get::<_, &str>(1), event.aggregate_id().as_str());
        assert_eq!(row.get::<_, &str>(2), event.event_type().as_str());
        assert_eq!(row.get::<_, &str>(3), payload.as_str());
        assert_eq!(row.get::<_, &str>(4), event.correlation_id().unwrap().as_str());
        assert!(headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(event.headers().iter()));
        assert_eq!(row.get::<_, PrimitiveDateTime>(6).assume_utc(), event.created_at());
    }
}

/// The rules of `Pipeline::row` are PostgreSQL's own: what one takes the other takes.
#[tokio::test]
async fn json_and_jsonb_columns_take_what_the_rules_take() {
    let texts = [
        r#""\u0000""#.to_owned(),
        r#""\ud83d\ude00""#.to_owned(),
        r#"{"\u0000":1}"#.to_owned(),
        "1e-16384".to_owned(),
        "0e131072".to_owned(),
        "-0.0e5".to_owned(),
        "12345678901234567890".to_owned(),
        format!("{}{}", "[".repeat(127), "]".repeat(127)),
        format!("{}1{}", "{\"a\":".repeat(127), "}".repeat(127)),
    ];
    for ty in [ColumnType::Json, ColumnType::Jsonb] {
        let env =
            TestEnv::builder().layout(TableLayout::recommended().payload_type(ty).unwrap()).outbox().build().await;
        let pipeline = env.pipeline().clone();
        let client = env.client().await;
        for text in &texts {
            let event = OutboxEvent::builder("a", "1", "x").json(text.as_str()).build().unwrap();
            let ours = pipeline.row(&event).is_ok();
            let theirs = client.batch_execute(&format!("SELECT '{text}'::{}", ty.sql())).await;
            assert_eq!(ours, theirs.is_ok(), "{ty:?} {text:.80} {theirs:?}");
        }
    }
}
