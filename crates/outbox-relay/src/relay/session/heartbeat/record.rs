use std::sync::Arc;
use std::time::SystemTime;

use outbox_core::connector::HeartbeatRecord;

use super::pulse::Beat;
use crate::relay::session::new_topic;
use crate::settings::TopicCreation;
use crate::status::{HeartbeatPart, RelayStatus};
use outbox_kafka::{BatchBuilder, Cluster, Compression, Error, Produced, Producer, RecordBody, ToProduce};

/// Writes the records of heartbeats.
///
/// Each stands for itself: a batch without an answer is not sent again, and the next attempt has another time. So they need
/// no producer id, and no privilege but to write.
pub(super) struct RecordWriter {
    record: HeartbeatRecord,
    cluster: Arc<Cluster>,
    creation: Option<TopicCreation>,
    status: RelayStatus,
}

/// No producer id, and therefore no sequence (Kafka, "Record Batch").
const NOT_IDEMPOTENT: Producer = Producer { id: -1, epoch: -1, sequence: -1 };
/// More than a heartbeat has.
const CAPACITY: usize = 1024;

impl RecordWriter {
    pub(super) fn new(
        record: HeartbeatRecord,
        cluster: Arc<Cluster>,
        creation: Option<TopicCreation>,
        status: RelayStatus,
    ) -> Self {
        Self { record, cluster, creation, status }
    }

    /// Writes a heartbeat of now. Creates a missing topic.
    async fn write(&self) -> Result<(), Error> {
        let topic = match self.cluster.topic(self.record.topic()).await? {
            Some(topic) => topic,
            None => self.cluster.create_topic(&new_topic(self.record.topic(), self.creation.as_ref())).await?,
        };
        let record = self.record.at(SystemTime::now());
        let partition = record.partition.unwrap_or_default();
        let timestamp = record.timestamp.unwrap_or_default();
        let record = record.borrowed();
        let body = RecordBody::new(record.key.as_deref(), record.value.as_deref(), &record.headers);

        let mut builder = BatchBuilder::new(Compression::None, CAPACITY);
        builder.append(timestamp, &body);
        let Ok(Some(batch)) = builder.finish(NOT_IDEMPOTENT) else { return Ok(()) };
        match self.cluster.produce(ToProduce { topic, partition, batch }).await {
            Produced::Rejected { error, .. } | Produced::Retriable(error) | Produced::Unknown(error) => Err(error),
            // The others concern producers with an id.
            _ => Ok(()),
        }
    }
}

impl Beat for RecordWriter {
    type Error = Error;

    const PART: HeartbeatPart = HeartbeatPart::Record;

    async fn beat(&mut self) -> Result<(), Error> {
        self.write().await.inspect_err(|error| self.status.kafka_failed(error))
    }
}
