use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::encoded::Encoded;
use super::gaps::Gaps;
use super::job::{self, Answer, Done, Sending};
use crate::error::Error;
use crate::progress::{Batch, Outcome, PartitionId};
use crate::status::{RelayStatus, Work};
use outbox_kafka::{BatchBuilder, Cluster, CompressionChoice, Gap, ToProduce, Topic};
use outbox_net::{Backoff, ErrorChain};

/// Sends batches, those of one broker with one request, and knows which partitions wait for an answer.
pub(super) struct BatchSender {
    cluster: Arc<Cluster>,
    status: RelayStatus,
    gaps: Arc<Gaps>,
    batches: BatchBuilder,
    compression: CompressionChoice,
    /// Produce requests on their way to each broker.
    requests: HashMap<Option<i32>, usize>,
    /// The delays of partitions whose last batch failed.
    backoffs: HashMap<PartitionId, Backoff>,
    /// Since when each partition has a batch that is not acknowledged.
    unacknowledged: HashMap<PartitionId, Instant>,
    /// Why a broker refused rows of a partition last.
    refusals: HashMap<PartitionId, outbox_kafka::Error>,
}

/// What follows from the answers to a request.
pub(super) struct Answered {
    pub(super) outcomes: Vec<(PartitionId, Outcome)>,
    /// The pause before the batches that failed are continued.
    pub(super) pause: Option<BoxFuture<'static, Done>>,
}

/// After this time without an acknowledgement a partition counts as stalled.
const STALLED: Duration = Duration::from_secs(1);
/// Produce requests to one broker at once. It handles them one after the other; the second hides the network's delay.
const REQUESTS: usize = 2;

impl BatchSender {
    /// Creates a sender of batches of at most so many bytes.
    pub(super) fn new(cluster: Arc<Cluster>, status: RelayStatus, gaps: Arc<Gaps>, bytes: usize) -> Self {
        let configured = gaps.compression();
        Self {
            cluster,
            status,
            gaps,
            batches: BatchBuilder::new(configured, bytes),
            compression: CompressionChoice::new(configured),
            requests: HashMap::new(),
            backoffs: HashMap::new(),
            unacknowledged: HashMap::new(),
            refusals: HashMap::new(),
        }
    }

    /// Returns whether the broker of a partition has room for another request.
    pub(super) fn has_room(&self, place: Option<&(Arc<Topic>, i32)>) -> bool {
        let broker = place.and_then(|(topic, partition)| self.cluster.known_leader(topic, *partition));
        self.requests.get(&broker).is_none_or(|requests| *requests < REQUESTS)
    }

    /// Encodes a batch.
    pub(super) fn encode(
        &mut self,
        id: PartitionId,
        batch: &Batch<'_, Encoded>,
        (topic, partition): (Arc<Topic>, i32),
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

    /// Sends batches, and returns what waits for the answers.
    pub(super) fn send(&mut self, sendings: Vec<Sending>) -> impl Iterator<Item = BoxFuture<'static, Done>> + use<> {
        let mut by_broker: BTreeMap<Option<i32>, Vec<Sending>> = BTreeMap::new();
        for sending in sendings {
            let broker = self.cluster.known_leader(&sending.batch.topic, sending.batch.partition);
            by_broker.entry(broker).or_default().push(sending);
        }
        for broker in by_broker.keys() {
            *self.requests.entry(*broker).or_default() += 1;
        }
        let (cluster, status) = (Arc::clone(&self.cluster), self.status.clone());
        by_broker
            .into_iter()
            .map(move |(broker, sendings)| job::produce(Arc::clone(&cluster), broker, sendings, status.clone()).boxed())
    }

    /// Takes the end of a produce request, with or without answers. Each partition has a separate outcome.
    pub(super) fn answered(&mut self, broker: Option<i32>, answers: Vec<Answer>) -> Answered {
        if let Some(requests) = self.requests.get_mut(&broker) {
            *requests = requests.saturating_sub(1);
        }

        let mut outcomes = Vec::new();
        let (mut failed, mut topics, mut pause) = (Vec::new(), Vec::new(), Duration::ZERO);
        for answer in answers {
            if self.is_recompressed(&answer) {
                answer.error.iter().for_each(|error| self.status.kafka_failed(error));
                self.status.retried();
                outcomes.push((answer.id, Outcome::NotAppended));
                continue;
            }
            let Answer { id, topic, outcome, error, .. } = answer;
            if let (Outcome::NotAppended | Outcome::Unknown, Some(error)) = (&outcome, &error) {
                pause = pause.max(self.backoffs.entry(id).or_insert_with(job::backoff).delay());
                self.status.retried();
                self.status.failing(Work::Batch(id), error);
                failed.push((id, outcome));
                topics.push(topic);
                continue;
            }
            self.settled(id);
            if let (Outcome::Rejected { .. }, Some(error)) = (&outcome, error) {
                self.status.kafka_failed(&error);
                self.refusals.insert(id, error);
            }
            outcomes.push((id, outcome));
        }

        let cluster = Arc::clone(&self.cluster);
        let pause = (!failed.is_empty()).then(|| job::pause_failed(cluster, failed, topics, pause).boxed());
        Answered { outcomes, pause }
    }

    /// A partition has no batch whose outcome is open.
    pub(super) fn settled(&mut self, id: PartitionId) {
        if self.backoffs.remove(&id).is_some() {
            self.status.recovered(&Work::Batch(id));
        }
        self.unacknowledged.remove(&id);
    }

    /// Returns why the broker refused rows of a partition.
    pub(super) fn refusal(&self, id: PartitionId) -> Option<&outbox_kafka::Error> {
        self.refusals.get(&id)
    }

    /// Returns the partitions that wait for an acknowledgement for too long.
    pub(super) fn stalled(&self) -> impl Iterator<Item = PartitionId> {
        self.unacknowledged.iter().filter(|(_, since)| since.elapsed() > STALLED).map(|(id, _)| *id)
    }

    /// Reports that a broker does not tell repeated batches from new ones.
    pub(super) fn report_repeats(&self) {
        self.gaps.report(Gap::RepeatTimestamps);
    }

    /// Takes into account what the brokers of a topic show of themselves.
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
