use std::sync::{Arc, Mutex};

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use outbox_core::OutboxEvent;
use outbox_core::record::Record;
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::{EventState, HandlerError, HandlerResult, Received, RecordPolicy};
use outbox_test_support::eventually;

use crate::env::{ConsumerEnv, OrderCreated, Running};
use crate::positions::store;

async fn picky(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    match event.event().order_id {
        13 => return Err(HandlerError::reject("unlucky")),
        77 if !event.is_redelivery() => {
            let lock = "DO $$BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '55P03'; END$$";
            tx.batch_execute(lock).await?;
        }
        _ => {}
    }
    store(tx, event).await
}

#[tokio::test]
async fn what_happens_is_measured_and_every_event_has_a_span_that_continues_its_trace() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let env = ConsumerEnv::with_partitions(1).await;
    for step in 0..2 {
        env.produce_step(0, 77, step).await;
    }

    let event =
        OutboxEvent::from_event(&OrderCreated { order_id: 1, step: 0 }).traceparent(traceparent).build().unwrap();

    env.produce(0, &event).await;
    env.produce(0, &event).await;
    env.produce_order(0, 13).await;
    env.produce_order(0, 13).await;

    let newer = OutboxEvent::builder("order", "1", "OrderCreated").json("{}").schema_version(4);
    env.produce(0, &newer.build().unwrap()).await;
    env.produce(0, &OutboxEvent::builder("order", "1", "Unknown").build().unwrap()).await;
    env.produce(0, &OutboxEvent::builder("order", "2", "OrderCreated").json("{}").build().unwrap()).await;

    // Without the header `id`.
    let mut without_id = Record::new(env.topic());
    without_id.value = Some("{}".into());
    env.produce_record(0, without_id).await;

    let traces: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
    let seen = Arc::clone(&traces);
    let consumer = env
        .consumer()
        .on_undecodable_record(RecordPolicy::Skip)
        .on_newer_version(RecordPolicy::Skip)
        .on(picky)
        .on_span(move |_, event| {
            seen.lock().unwrap().push(event.traceparent.as_ref().map(ToString::to_string));
        });
    let running = Running::start(consumer.build().unwrap());
    env.position(0, 10).await;
    env.held(EventState::Parked, 1).await;
    assert!(traces.lock().unwrap().contains(&Some(traceparent.to_owned())));

    // Other tests are measured too, under other topics. A snapshot takes histograms' values away, so all are kept.
    let mut all: Vec<(String, DebugValue)> = Vec::new();
    eventually("all measures".to_owned(), async || {
        for (key, _, _, value) in snapshotter.snapshot().into_vec() {
            let labels: Vec<String> = key.key().labels().map(|label| label.value().to_owned()).collect();
            if labels.iter().any(|label| label == env.topic()) {
                let rest = labels.iter().filter(|label| *label != env.topic()).map(String::as_str);
                let name = [key.key().name()].into_iter().chain(rest).collect::<Vec<_>>().join(" ");
                all.push((name.trim_start_matches("outbox_consumer_").to_owned(), value));
            }
        }

        let has = |name: &str, value: &Option<DebugValue>| {
            all.iter().any(|(found, is)| found == name && value.as_ref().is_none_or(|value| value == is))
        };

        let expected = [
            // With the one that is skipped because of its payload.
            ("handled_total", Some(DebugValue::Counter(4))),
            ("conflicts_total", None),
            ("batches_split_total conflict", Some(DebugValue::Counter(1))),
            ("batches_split_total failed", None),
            ("duplicates_total", Some(DebugValue::Counter(1))),
            ("held_total dead", Some(DebugValue::Counter(1))),
            ("held_total parked", Some(DebugValue::Counter(1))),
            ("ignored_total newer", Some(DebugValue::Counter(1))),
            ("ignored_total unknown", Some(DebugValue::Counter(1))),
            ("ignored_total undecodable", Some(DebugValue::Counter(1))),
            ("ignored_total unreadable", None),
            ("lag 0", Some(DebugValue::Gauge(0.0.into()))),
            ("handler_seconds", None),
            ("batch_seconds", None),
            ("batch_events", None),
        ];
        let missing: Vec<_> = expected.into_iter().filter(|(name, value)| !has(name, value)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{:?} in {all:?}", missing.len())) }
    })
    .await;
    running.stop().await.unwrap();

    let mut undecodable = Record::new(env.topic());
    undecodable.value = Some("{}".into());
    for _ in 0..3 {
        env.produce_record(0, undecodable.clone()).await;
    }
    let running = Running::start(env.consumer().on(picky).build().unwrap());
    // A snapshot sets gauges to 0, so all are kept.
    let mut gauges = Vec::new();
    eventually("a paused partition has a lag".to_owned(), async || {
        for (key, _, _, value) in snapshotter.snapshot().into_vec() {
            if key.key().labels().any(|label| label.value() == env.topic()) {
                gauges.push((key.key().name().to_owned(), value));
            }
        }
        let has = |name: &str, value: f64| gauges.contains(&(name.to_owned(), DebugValue::Gauge(value.into())));
        let found = has("outbox_consumer_lag", 3.0) && has("outbox_consumer_stopped", 1.0);
        if found { Ok(()) } else { Err(format!("{gauges:?}")) }
    })
    .await;
    running.stop().await.unwrap_err();
}
