use std::collections::BTreeMap;
use std::time::Duration;

use outbox_core::record::{Decoded, DecodedEvent, ShortText};
use outbox_core::{OutboxEvent, Payload};
use outbox_kafka_consumer::{Consumer, Received, deadpool_postgres::Transaction};
use outbox_test_support::{StoredRecord, TestEnv, stack};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::fixture::{Service, connected, program};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The parts of an event, as an enqueued event and as a record have them.
#[derive(Debug, PartialEq)]
struct EventParts {
    id: Uuid,
    aggregate_type: String,
    aggregate_id: String,
    event_type: String,
    payload: String,
    created_at_ms: i128,
    schema_version: u32,
    content_type: String,
    headers: BTreeMap<String, String>,
    traceparent: String,
    correlation_id: String,
    causation_id: String,
}

#[tokio::test]
async fn a_posted_order_arrives_at_the_consumer_equal_to_what_was_enqueued() {
    let (env, _connector) = connected().await;
    let service = Service::start(&env, "all").await;
    let body = json!({ "customer_id": i64::MAX, "product_id": 101, "quantity": 2 });
    let headers = [("content-type", "application/json"), ("traceparent", TRACEPARENT)];
    let answer = service.send("POST", "/orders", &headers, body.to_string()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let order = answer.json();
    let enqueued = enqueued(&env).await;
    let [enqueued] = enqueued.as_slice() else { panic!("one event: {enqueued:?}") };

    let received = service.receives(1).await;
    let received = &received[0];
    assert_eq!(received["event_id"], enqueued.id.to_string());
    assert_eq!(received["event_type"], enqueued.event_type);
    assert_eq!(received["aggregate_id"], order["id"].to_string());
    assert_eq!(received["payload"], serde_json::from_str::<Value>(&enqueued.payload).unwrap());
    assert_eq!(received["payload"]["customer_id"], json!(i64::MAX));
    assert_eq!(received["payload"]["created_at"], order["created_at"]);
    assert_eq!(received["topic"], env.topic());
    assert!(received["partition"].is_u64() && received["offset"] == 0, "{received}");
    assert!((0..60_000).contains(&received["latency_ms"].as_i64().unwrap()), "{received}");
    let text = service.get("/received").await.text;
    assert!(text.contains(&enqueued.payload), "the payload is shown to the byte: {text}");

    let record = env.records(env.topic(), 1).await;
    let Decoded::Event(event) = env.pipeline().decode(record[0].record.clone()).unwrap() else {
        panic!("{record:?} is an event")
    };
    assert_eq!(EventParts::from_record(&event), *enqueued);
    assert_eq!(enqueued.traceparent, TRACEPARENT);
}

#[tokio::test]
async fn every_part_of_an_event_arrives_at_a_consumer_as_it_was_enqueued() {
    let (env, _connector) = connected().await;
    // Not longer: Kafka removes records by their own time.
    let an_hour_ago = OffsetDateTime::now_utc() - Duration::from_secs(3_600);
    let complete = OutboxEvent::builder("order", "a/b ü 🦀", "Order \"Shipped\"")
        .json(" {\"a\" : [1, 2.50, 1E300], \"b\":\"\\u0000\\ud83e\\udd80 🦀\"}\n")
        .schema_version(7)
        .content_type("application/vnd.example+json")
        .header("tenant", "Größe 🦀 \"quoted\" \\ {}")
        .header("empty", "")
        .header("Ключ", "line\nbreak")
        .traceparent(TRACEPARENT)
        .correlation_id("correlation 1")
        .causation_id("causation ü")
        .created_at(an_hour_ago.replace_nanosecond(678_999_999).unwrap())
        .build()
        .unwrap();
    let plain = OutboxEvent::builder("order", "2", "Order \"Shipped\"").json("1").build().unwrap();
    let empty = OutboxEvent::builder("order", "2", "Order \"Shipped\"").build().unwrap();
    let stop = CancellationToken::new();
    let mut events = consume(&env, "Order \"Shipped\"", &stop).await;

    let given = [complete, plain, empty];
    env.enqueue_each(&given).await;
    let enqueued = enqueued(&env).await;
    assert_eq!(enqueued, given.each_ref().map(EventParts::from_event));
    let mut arrived = Vec::new();
    while arrived.len() < 3 {
        arrived.push(EventParts::from_record(&events.recv().await.unwrap()));
    }
    arrived.sort_by_key(|told| told.id);
    assert_eq!(arrived, enqueued);
    stop.cancel();
}

#[tokio::test]
async fn interface_and_consumer_may_run_as_two_processes() {
    let (env, _connector) = connected().await;
    let service = Service::start(&env, "api").await;
    let order = service.order(2).await;
    assert!(service.received().await.is_empty());
    let mut consumer = program::of(&env);
    consumer.args(["--mode", "consumer"]);
    let _consumer = Service::spawn(consumer);
    assert_eq!(service.receives(1).await[0]["payload"]["order_id"], order["id"]);
    assert_eq!(service.entry("consuming"), None);
}

#[tokio::test]
async fn a_transaction_that_was_rolled_back_leaves_no_row_and_no_record() {
    let (env, _connector) = connected().await;
    let outbox = env.outbox();
    let event = |n: u32| OutboxEvent::builder("order", "1", "OrderCreated").json(n.to_string()).build().unwrap();
    let order = "INSERT INTO order_service.orders (customer_id, product_id, quantity) VALUES (1, 101, 2)";
    let mut client = env.client().await;

    for (n, commits) in [(1, false), (2, true), (3, false), (4, true)] {
        let tx = client.transaction().await.unwrap();
        tx.execute(order, &[]).await.unwrap();
        outbox.enqueue(&tx, &event(n)).await.unwrap();
        if commits { tx.commit().await.unwrap() } else { tx.rollback().await.unwrap() }
    }

    // They have one key, and so one order: the record of a rolled back event would come before the last one.
    let records = env.records(env.topic(), 2).await;
    let values: Vec<_> = records.iter().map(StoredRecord::value).collect();
    assert_eq!(values, ["2", "4"]);
    assert_eq!(env.count("outbox.outbox_message").await, 2);
    assert_eq!(env.count("order_service.orders").await, 2);
}

/// Starts its own consumer group, next to the service.
async fn consume(env: &TestEnv, event_type: &str, stop: &CancellationToken) -> UnboundedReceiver<DecodedEvent> {
    let (sender, receiver) = unbounded_channel();
    let pool = order_service::Database::new(env.url()).unwrap().pool().await.unwrap();
    let consumer = Consumer::builder([stack().kafka_bootstrap()])
        .pipeline(env.pipeline().clone())
        .group("test")
        .pool(pool)
        .on_raw("order", event_type, move |_: &Transaction<'_>, event: Received<()>| {
            let sender = sender.clone();
            async move { Ok(sender.send(event.envelope().clone())?) }
        })
        .build()
        .unwrap();

    tokio::spawn(consumer.run(stop.clone().cancelled_owned()));
    receiver
}

/// Returns the rows of the outbox, in the order of their ids.
async fn enqueued(env: &TestEnv) -> Vec<EventParts> {
    let sql = "SELECT id, aggregate_type, aggregate_id, event_type, coalesce(payload::text, ''),
                      floor(extract(epoch FROM created_at) * 1000)::bigint, schema_version, content_type,
                      headers::text, traceparent, correlation_id, causation_id
               FROM outbox.outbox_message ORDER BY id";
    let rows = env.client().await.query(sql, &[]).await.unwrap();
    rows.iter()
        .map(|row| EventParts {
            id: row.get(0),
            aggregate_type: row.get(1),
            aggregate_id: row.get(2),
            event_type: row.get(3),
            payload: row.get(4),
            created_at_ms: i128::from(row.get::<_, i64>(5)),
            schema_version: row.get::<_, i32>(6).cast_unsigned(),
            content_type: row.get(7),
            headers: serde_json::from_str(row.get(8)).unwrap(),
            traceparent: row.get(9),
            correlation_id: row.get(10),
            causation_id: row.get(11),
        })
        .collect()
}

impl EventParts {
    fn from_event(event: &OutboxEvent) -> Self {
        let (payload, usual_type) = match event.payload() {
            Payload::Json(text) => (text.as_str(), "application/json"),
            _ => ("", ""),
        };
        Self {
            id: event.id().into(),
            aggregate_type: event.aggregate_type().to_string(),
            aggregate_id: event.aggregate_id().to_string(),
            event_type: event.event_type().to_string(),
            payload: payload.to_owned(),
            created_at_ms: event.created_at().unix_timestamp_nanos() / 1_000_000,
            schema_version: event.schema_version(),
            content_type: event.content_type().map_or(usual_type, AsRef::as_ref).to_owned(),
            headers: event.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            traceparent: event.traceparent().map(ToString::to_string).unwrap_or_default(),
            correlation_id: event.correlation_id().map(ToString::to_string).unwrap_or_default(),
            causation_id: event.causation_id().map(ToString::to_string).unwrap_or_default(),
        }
    }

    fn from_record(event: &DecodedEvent) -> Self {
        let text = |part: &Option<ShortText>| part.as_deref().unwrap_or_default().to_owned();
        Self {
            id: event.id,
            aggregate_type: text(&event.aggregate_type),
            aggregate_id: text(&event.aggregate_id),
            event_type: text(&event.event_type),
            payload: event.payload.as_text().unwrap_or_default().to_owned(),
            created_at_ms: event.created_at.unwrap().unix_timestamp_nanos() / 1_000_000,
            schema_version: event.schema_version.unwrap(),
            content_type: text(&event.content_type),
            headers: event.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            traceparent: event.traceparent.as_ref().map(ToString::to_string).unwrap_or_default(),
            correlation_id: text(&event.correlation_id),
            causation_id: text(&event.causation_id),
        }
    }
}
