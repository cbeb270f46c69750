//! The metrics of the consumer, by the `metrics` facade: nothing unless the program installs a recorder.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::{EventState, Received};

pub fn batch(topic: &str, handled: u64, duplicates: u64, took: Duration) {
    let topic = || topic.to_owned();
    counter!("outbox_consumer_handled_total", "topic" => topic()).increment(handled);
    if duplicates > 0 {
        counter!("outbox_consumer_duplicates_total", "topic" => topic()).increment(duplicates);
    }
    #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
    histogram!("outbox_consumer_batch_events", "topic" => topic()).record((handled + duplicates) as f64);
    histogram!("outbox_consumer_batch_seconds", "topic" => topic()).record(took.as_secs_f64());
}

/// Counts a split batch; `reason` is `failed`, `conflict` or `settings`.
pub fn split(topic: &str, reason: &'static str) {
    counter!("outbox_consumer_batches_split_total", "topic" => topic.to_owned(), "reason" => reason).increment(1);
}

/// Counts a transaction that lost against another one.
pub fn conflict(topic: &str) {
    counter!("outbox_consumer_conflicts_total", "topic" => topic.to_owned()).increment(1);
}

pub fn handler(topic: &str, took: Duration) {
    histogram!("outbox_consumer_handler_seconds", "topic" => topic.to_owned()).record(took.as_secs_f64());
}

pub fn retried(topic: &str) {
    counter!("outbox_consumer_handled_total", "topic" => topic.to_owned()).increment(1);
    counter!("outbox_consumer_retries_total", "topic" => topic.to_owned()).increment(1);
}

/// Counts held events.
pub fn held(topic: &str, state: EventState) {
    counter!("outbox_consumer_held_total", "topic" => topic.to_owned(), "state" => state.name()).increment(1);
}

/// Logs and counts an event that is skipped because its handler cannot read the payload; once for each attempt.
pub fn unreadable(event: &Received<()>) {
    let (topic, partition, offset) = (event.topic(), event.partition(), event.offset());
    tracing::warn!(target: "outbox.consumer", topic, partition, offset, "event skipped: its handler cannot read the payload");
    ignored(topic, "unreadable");
}

/// Counts ignored records; `reason` is `unknown`, `newer`, `undecodable` or `unreadable`.
pub fn ignored(topic: &str, reason: &'static str) {
    counter!("outbox_consumer_ignored_total", "topic" => topic.to_owned(), "reason" => reason).increment(1);
}

pub fn lag(topic: &str, partition: i32, records: i64) {
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    gauge!("outbox_consumer_lag", "topic" => topic.to_owned(), "partition" => partition.to_string())
        .set(records as f64);
}

/// Records whether a partition is stopped at a record that needs a decision.
pub fn stopped(topic: &str, partition: i32, is_stopped: bool) {
    let (topic, partition) = (topic.to_owned(), partition.to_string());
    gauge!("outbox_consumer_stopped", "topic" => topic, "partition" => partition).set(f64::from(u8::from(is_stopped)));
}

/// The gauges of a partition. They become 0 when it is given back or lost, so that each partition is counted once.
pub struct PartitionGauges {
    topic: String,
    partition: i32,
}

impl PartitionGauges {
    pub fn new(topic: &str, partition: i32) -> Self {
        stopped(topic, partition, false);
        Self { topic: topic.to_owned(), partition }
    }
}

impl Drop for PartitionGauges {
    fn drop(&mut self) {
        lag(&self.topic, self.partition, 0);
        stopped(&self.topic, self.partition, false);
    }
}

/// Counts an event type that the circuit breaker paused.
pub fn breaker(topic: &str) {
    counter!("outbox_consumer_circuit_breaks_total", "topic" => topic.to_owned()).increment(1);
}

/// Counts a change of a lease; `change` is `claimed`, `given back` or `lost`.
pub fn lease(change: &'static str) {
    counter!("outbox_consumer_lease_changes_total", "change" => change).increment(1);
}
