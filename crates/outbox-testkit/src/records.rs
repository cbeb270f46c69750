use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use outbox_core::bytes::Bytes;
use outbox_core::record::Record;
use outbox_core::time::OffsetDateTime;
use outbox_core::uuid::Uuid;
use outbox_core::{Error, OutboxEvent, Pipeline};

/// Makes the records that a consumer reads from Kafka, without an enqueued event. Clones share the state.
///
/// ```
/// use outbox_core::record::Decoded;
/// use outbox_core::{OutboxEvent, Pipeline};
/// use outbox_testkit::PublishedRecords;
///
/// let pipeline = Pipeline::recommended();
/// let event = OutboxEvent::builder("order", "42", "OrderCreated").json(r#"{"quantity":2}"#).build()?;
/// let record = PublishedRecords::by_debezium(pipeline.clone()).of(&event)?;
/// assert_eq!(record.topic, "outbox.events.order");
/// assert!(matches!(pipeline.decode(record)?, Decoded::Event(found) if found.id == event.id().as_uuid()));
/// # Ok::<(), outbox_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PublishedRecords {
    pipeline: Pipeline,
    writer: Writer,
}

#[derive(Clone, Debug)]
enum Writer {
    Debezium { run: Uuid },
    Relay { commit: Arc<AtomicU64> },
}

impl PublishedRecords {
    /// Writes records as Debezium does.
    #[must_use]
    pub fn by_debezium(pipeline: Pipeline) -> Self {
        Self { pipeline, writer: Writer::Debezium { run: Uuid::now_v7() } }
    }

    /// Writes records as the relay does: with the header `outbox.position`, here of a transaction for each record.
    #[must_use]
    pub fn by_relay(pipeline: Pipeline) -> Self {
        // A new cluster's WAL begins at 0/1000000.
        Self { pipeline, writer: Writer::Relay { commit: Arc::new(AtomicU64::new(0x0100_0000)) } }
    }

    /// Creates the record of an event. Its partition is the partitioner's choice, unless the pipeline takes it from a
    /// column; its timestamp is the present, unless the pipeline takes it from a column.
    ///
    /// # Errors
    /// An event that enqueue would refuse, or at which Debezium would stop.
    pub fn of(&self, event: &OutboxEvent) -> Result<Record, Error> {
        let mut record = self.pipeline.encode(&self.pipeline.row(event)?)?;
        let now = || i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).ok();
        record.timestamp = record.timestamp.or_else(now);

        match &self.writer {
            Writer::Debezium { run } => {
                let headers = self.connector_headers(*run);
                record.headers.splice(0..0, headers);
            }
            Writer::Relay { commit } => {
                let commit = commit.fetch_add(0x100, Ordering::Relaxed);
                let (slot, high, low) = (self.pipeline.slot().as_str(), commit >> 32, commit & 0xffff_ffff);
                let position = format!("7000000000000000000/1/{slot}/{high:X}/{low:X}/0");
                record.headers.push(("outbox.position".into(), Some(position.into())));
            }
        }
        Ok(record)
    }

    /// Returns the connector's context headers, unless `extended.headers.enabled` is false.
    fn connector_headers(&self, run: Uuid) -> Vec<(String, Option<Bytes>)> {
        let config = self.pipeline.config();
        let is_off = |value: &str| value.trim().eq_ignore_ascii_case("false");
        if config.get("extended.headers.enabled").is_some_and(is_off) {
            return Vec::new();
        }

        let prefix = config.get("topic.prefix").unwrap_or_default().trim();
        let header = |name: &str, value: String| (format!("__debezium.context.{name}"), Some(value.into()));
        vec![
            header("connectorLogicalName", prefix.to_owned()),
            header("taskId", "0".to_owned()),
            header("connectorName", "postgresql".to_owned()),
            header("runId", run.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> OutboxEvent {
        OutboxEvent::builder("order", "42", "OrderCreated").json("{}").build().unwrap()
    }

    fn names(record: &Record) -> Vec<&str> {
        record.headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn each_writer_adds_what_is_its_own() {
        let (pipeline, event) = (Pipeline::recommended(), event());
        let plain = pipeline.encode(&pipeline.row(&event).unwrap()).unwrap();
        assert!(PublishedRecords::by_debezium(pipeline.clone()).of(&event).unwrap() == plain);

        let relay = PublishedRecords::by_relay(pipeline.clone());
        let position = |record: &Record| String::from_utf8(record.header("outbox.position").unwrap().to_vec()).unwrap();
        assert_eq!(position(&relay.of(&event).unwrap()), "7000000000000000000/1/outbox/0/1000000/0");
        let next = relay.clone().of(&event).unwrap();
        assert_eq!(position(&next), "7000000000000000000/1/outbox/0/1000100/0");
        assert_eq!(names(&next).len(), names(&plain).len() + 1);

        let config = pipeline.config().clone().without("extended.headers.enabled");
        let chatty = Pipeline::new(config, pipeline.layout().clone()).unwrap();
        let record = PublishedRecords::by_debezium(chatty).of(&event).unwrap();
        assert_eq!(record.header("__debezium.context.connectorLogicalName").unwrap().as_ref(), b"outbox");
        assert_eq!(names(&record)[4..], names(&plain), "the connector's come first");
    }

    #[test]
    fn what_enqueue_refuses_was_never_published() {
        let records = PublishedRecords::by_debezium(Pipeline::recommended().with_record_limit(1));
        assert!(records.of(&event()).unwrap_err().is_invalid_event());
    }
}
