use std::io;
use std::sync::{Arc, Mutex};

use outbox_core::{DomainEvent, OutboxEvent};
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::{EventState, HandlerResult, Received, RecordPolicy, RetryPolicy};

use crate::env::{ConsumerEnv, OrderCreated, Running};

/// The log of the tasks on the thread of a test.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Collects lines of a level, and of those above it, until the guard is dropped.
    pub(crate) fn collect(level: tracing::Level) -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt().with_max_level(level).with_writer(move || writer.clone());
        (log, tracing::subscriber::set_default(lines.finish()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A number that no other test has.
const SECRET: i64 = 411_111_111_111_111;

/// Lets PostgreSQL refuse the order, in ways that quote it.
async fn refused(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    let OrderCreated { order_id, step } = event.event();
    let text = format!("order {order_id}");
    match step {
        0 => tx.execute("INSERT INTO card VALUES ($1), ($1)", &[order_id]).await?,
        1 => tx.execute("SELECT $1::text::integer", &[&text]).await?,
        2 => tx.execute("INSERT INTO card VALUES (-$1::bigint)", &[order_id]).await?,
        _ => {
            serde_json::from_str::<bool>(&order_id.to_string())?;
            0
        }
    };
    Ok(())
}

#[tokio::test]
async fn what_a_payload_holds_is_in_no_log_and_a_newer_version_is() {
    let (log, _collecting) = Log::collect(tracing::Level::DEBUG);
    let env = ConsumerEnv::with_partitions(1).await;
    let client = env.client().await;
    client.batch_execute("CREATE TABLE card (number bigint UNIQUE CHECK (number > 0))").await.unwrap();
    for step in 0..4 {
        env.produce_step(0, SECRET + step, step).await;
    }
    for json in [format!("{{\"order_id\":\"{SECRET}\"}}"), format!("\"{SECRET}\""), format!("{{\"order_id\":{SECRET}")]
    {
        // The last is no JSON at all, which PostgreSQL would have refused.
        let event = OutboxEvent::builder("order", "1", OrderCreated::EVENT_TYPE).schema_version(3).json("{}");
        let mut record = env.pipeline().encode(&env.pipeline().row(&event.build().unwrap()).unwrap()).unwrap();
        record.value = Some(json.into());
        env.produce_record(0, record).await;
    }

    let consumer =
        env.consumer().retry(RetryPolicy::never()).on_failure(outbox_kafka_consumer::DeadLetterMode::ContinueKey);
    // Shorter than Kafka keeps records.
    let consumer = consumer.inbox_retention(std::time::Duration::from_secs(3600));
    for _ in 0..2 {
        let newer = OutboxEvent::builder("order", "1", OrderCreated::EVENT_TYPE).schema_version(4).json("{}");
        env.produce(0, &newer.build().unwrap()).await;
    }

    let running = Running::start(
        consumer
            .on_undecodable_record(RecordPolicy::DeadLetter)
            .on_newer_version(RecordPolicy::Skip)
            .on(refused)
            .build()
            .unwrap(),
    );
    let mut dead = env.held(EventState::Dead, 7).await;
    env.position(0, 9).await;
    running.stop().await.unwrap();
    let so_far = log.text();
    let told = so_far.lines().filter(|line| line.contains(env.topic()) && line.contains("newer than their handler's"));
    assert_eq!(told.count(), 1, "of the first event of a kind");

    let is_short = |line: &&str| line.contains("topic retention exceeds inbox retention") && line.contains(env.topic());
    assert_eq!(so_far.lines().filter(is_short).count(), 1, "once for each topic");

    // Where the partition stops, the reason is reported in three places.
    let stopping = Running::start(env.consumer().group("stopping").on(stops).build().unwrap());
    let why = env.stopped(0).await;
    let error = stopping.stop().await.unwrap_err();
    assert!(why.contains("expected i64"), "{why}");
    assert!(!why.contains("41111111111111") && !format!("{error:?}").contains("41111111111111"), "{why}");

    dead.sort_by_key(|held| held.offset);
    let reasons =
        ["SQLSTATE 23505", "SQLSTATE 22P02", "SQLSTATE 23514", "line 1", "i64", "struct OrderCreated", "too early"];
    for (held, reason) in dead.iter().zip(reasons) {
        assert!(held.error.contains(reason) && !held.error.contains("41111111111111"), "{held:?}");
    }
    let log = log.text();
    let of_ours: Vec<&str> = log.lines().filter(|line| line.contains("outbox")).collect();
    assert!(of_ours.iter().any(|line| line.contains("SQLSTATE 23505")), "it is logged");
    assert!(of_ours.iter().all(|line| !line.contains("41111111111111")));
}

async fn stops(_: &Transaction<'_>, _: Received<OrderCreated>) -> HandlerResult {
    Ok(())
}
