use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::broker_sender::{BrokerSender, Sending};
use super::encoded::Encoded;
use super::inbox::Inbox;
use super::report::Answer;
use super::requests;
use super::topics::TopicPartition;
use crate::error::Error;
use crate::progress::{Batch, Outcome, PartitionId};
use crate::relay::gaps::Gaps;
use crate::status::{RelayStatus, Work};
use outbox_kafka::{BatchBuilder, Cluster, CompressionChoice, Gap, ToProduce, Topic};
use outbox_net::{Backoff, ErrorChain};

/// Encodes batches, hands those of one broker to its sender as one request, and knows which partitions wait for an
/// answer.
pub(super) struct BatchSender {
    cluster: Arc<Cluster>,
    status: RelayStatus,
    gaps: Arc<Gaps>,
    inbox: Inbox,
    batches: BatchBuilder,
    compression: CompressionChoice,
    brokers: HashMap<Option<i32>, BrokerSender>,
    /// The delays of partitions whose last batch failed.
    backoffs: HashMap<PartitionId, Backoff>,
    /// Since when each partition has a batch that is not acknowledged.
    unacknowledged: HashMap<PartitionId, Instant>,
}

/// The consequences of the answers to a request.
pub(super) struct Answered {
    /// The outcome of each batch, with the reason if the broker refused rows of it.
    pub(super) outcomes: Vec<(PartitionId, Outcome, Option<outbox_kafka::Error>)>,
    /// The batches that are to be sent again, if there are any.
    pub(super) retry: Option<Retry>,
}

/// Failed batches, and the pause before they are sent again.
pub(super) struct Retry {
    pub(super) batches: Vec<(PartitionId, Outcome)>,
    pub(super) topics: Vec<Arc<Topic>>,
    pub(super) pause: Duration,
}

/// After this time without an acknowledgement a partition counts as stalled.
const STALLED: Duration = Duration::from_secs(1);

impl BatchSender {
    /// Creates a sender of batches of at most that many bytes.
    pub(super) fn new(cluster: Arc<Cluster>, status: RelayStatus, gaps: Arc<Gaps>, bytes: usize, inbox: Inbox) -> Self {
        let configured = gaps.compression();
        Self {
            cluster,
            status,
            gaps,
            inbox,
            batches: BatchBuilder::new(configured, bytes),
            compression: CompressionChoice::new(configured),
            brokers: HashMap::new(),
            backoffs: HashMap::new(),
            unacknowledged: HashMap::new(),
        }
    }

    /// Returns whether the broker of a partition has room for another request.
    pub(super) fn has_room(&self, (topic, partition): &TopicPartition) -> bool {
        let broker = self.cluster.known_leader(topic, *partition);
        self.brokers.get(&broker).is_none_or(BrokerSender::has_room)
    }

    /// Encodes a batch.
    pub(super) fn encode(
        &mut self,
        id: PartitionId,
        batch: &Batch<'_, Encoded>,
        (topic, partition): TopicPartition,
    ) -> Result<Option<Sending>, Error> {
        let rows = batch.rows.len();
        // A batch that is sent again may have another compression by now. Its sequence numbers are the same.
        let compression = self.compression.of(topic.name());
        self.batches.set_compression(compression);
        for row in batch.rows {
            self.batches.append(row.record.timestamp, &row.record.body);
        }
        let producer = outbox_kafka::Producer {
            id: batch.producer.id,
            epoch: batch.producer.epoch,
            sequence: batch.base_sequence,
        };
        let finished = self.batches.finish(producer).map_err(Error::wal)?;
        let Some(batch) = finished else { return Ok(None) };
        self.unacknowledged.entry(id).or_insert_with(Instant::now);
        let span = tracing::debug_span!(
            target: "outbox.relay", "batch", topic = topic.name(), partition, rows, base_offset = tracing::field::Empty
        );
        Ok(Some(Sending { id, batch: ToProduce { topic, partition, batch }, compression, span }))
    }

    /// Sends batches, those of each broker with one request.
    pub(super) fn send(&mut self, sendings: Vec<Sending>) {
        let mut by_broker: BTreeMap<Option<i32>, Vec<Sending>> = BTreeMap::new();
        for sending in sendings {
            let broker = self.cluster.known_leader(&sending.batch.topic, sending.batch.partition);
            by_broker.entry(broker).or_default().push(sending);
        }

        let Self { cluster, status, inbox, brokers, .. } = self;
        for (broker, sendings) in by_broker {
            let start = || BrokerSender::start(broker, Arc::clone(cluster), status.clone(), inbox);
            brokers.entry(broker).or_insert_with(start).send(sendings);
        }
    }

    /// Takes the answers to a request. Each partition has a separate outcome.
    pub(super) fn answered(&mut self, broker: Option<i32>, answers: Vec<Answer>) -> Answered {
        if let Some(broker) = self.brokers.get_mut(&broker) {
            broker.answered();
        }

        let mut outcomes = Vec::new();
        let mut retry = Retry { batches: Vec::new(), topics: Vec::new(), pause: Duration::ZERO };
        for answer in answers {
            if self.is_recompressed(&answer) {
                answer.error.iter().for_each(|error| self.status.kafka_failed(error));
                self.status.retried();
                outcomes.push((answer.id, Outcome::NotAppended, None));
                continue;
            }
            let Answer { id, topic, outcome, error, .. } = answer;
            if let (Outcome::NotAppended | Outcome::Unknown, Some(error)) = (&outcome, &error) {
                retry.pause = retry.pause.max(self.backoffs.entry(id).or_insert_with(requests::backoff).delay());
                self.status.retried();
                self.status.failing(Work::Batch(id), error);
                retry.batches.push((id, outcome));
                retry.topics.push(topic);
                continue;
            }
            self.settled(id);
            let refusal = error.filter(|_| matches!(outcome, Outcome::Rejected { .. }));
            refusal.iter().for_each(|error| self.status.kafka_failed(error));
            outcomes.push((id, outcome, refusal));
        }
        Answered { outcomes, retry: (!retry.batches.is_empty()).then_some(retry) }
    }

    /// Records that a partition has no batch whose outcome is open.
    pub(super) fn settled(&mut self, id: PartitionId) {
        if self.backoffs.remove(&id).is_some() {
            self.status.recovered(&Work::Batch(id));
        }
        self.unacknowledged.remove(&id);
    }

    /// Returns the partitions that wait for an acknowledgement for too long.
    pub(super) fn stalled(&self) -> impl Iterator<Item = PartitionId> {
        self.unacknowledged.iter().filter(|(_, since)| since.elapsed() > STALLED).map(|(id, _)| *id)
    }

    /// Reports that a broker does not distinguish repeated batches from new ones.
    pub(super) fn report_repeats(&self) {
        self.gaps.report(Gap::RepeatTimestamps);
    }

    /// Takes the capabilities of a topic's brokers into account.
    pub(super) fn describe_brokers(&mut self, topic: &Topic) {
        if topic.id().is_nil() {
            self.gaps.report(Gap::TopicIds);
        }
        if let Some(capabilities) = self.cluster.capabilities() {
            self.compression.limit(&capabilities);
        }
    }

    /// Returns whether a batch was rejected for its compression, and is to be sent again at once with another one.
    fn is_recompressed(&mut self, answer: &Answer) -> bool {
        let Answer { topic, partition, compression, outcome, error, .. } = answer;
        match (outcome, error.as_ref().and_then(outbox_kafka::Error::code)) {
            (Outcome::NotAppended | Outcome::Rejected { .. }, Some(code)) => {
                let is_recompressed = self.compression.rejected(topic.name(), *partition, *compression, code);
                if let (true, Some(error)) = (is_recompressed, error) {
                    let error = ErrorChain::new(error);
                    tracing::debug!(target: "outbox.relay", rejected = ?compression, %error, "batch is sent with another compression");
                }
                is_recompressed
            }
            (Outcome::Appended { .. }, _) => {
                if let Some(reason) = self.compression.accepted(topic.name(), *partition, *compression) {
                    tracing::warn!(
                        target: "outbox.relay", topic = topic.name(), configured = ?self.gaps.compression(), used = ?compression,
                        %reason, "broker rejects the configured compression: another one is used"
                    );
                }
                false
            }
            _ => false,
        }
    }
}
