use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;

use super::encoded::Encoded;
use super::inbox::{Answer, Inbox, Report, Task};
use super::pace;
use super::topics::TopicPartition;
use crate::driver::gaps::Gaps;
use crate::error::Error;
use crate::progress::{Arrival, Batch, Outcome, PartitionId};
use crate::status::{RelayStatus, Work};
use outbox_kafka::{BatchBuilder, Cluster, Compression, CompressionChoice, Gap, Produced, ToProduce, Topic};
use outbox_net::{Backoff, ErrorChain};

/// Encodes batches, passes those of one broker to its sender as one request, and tracks the partitions that wait for an
/// answer.
pub struct BatchSender {
    cluster: Arc<Cluster>,
    status: RelayStatus,
    gaps: Arc<Gaps>,
    inbox: Inbox,
    batches: BatchBuilder,
    compression: CompressionChoice,
    brokers: HashMap<Option<i32>, BrokerSender>,
    /// The delays of partitions whose last batch failed.
    backoffs: HashMap<PartitionId, Backoff>,
    /// The time since which each partition has a batch that is not acknowledged.
    unacknowledged: HashMap<PartitionId, Instant>,
}

/// The consequences of the answers to a request.
pub struct Answered {
    /// The outcome of each batch, with the reason if the broker refused rows of it.
    pub outcomes: Vec<(PartitionId, Outcome, Option<outbox_kafka::Error>)>,
    /// The batches that are to be sent again, if there are any.
    pub retry: Option<Retry>,
}

/// Failed batches, and the pause before they are sent again.
pub struct Retry {
    pub batches: Vec<(PartitionId, Outcome)>,
    pub topics: Vec<Arc<Topic>>,
    pub pause: Duration,
}

/// The time without an acknowledgement after which a partition counts as stalled.
const STALLED: Duration = Duration::from_secs(1);

impl BatchSender {
    /// Creates a sender of batches of at most that many bytes.
    pub fn new(cluster: Arc<Cluster>, status: RelayStatus, gaps: Arc<Gaps>, bytes: usize, inbox: Inbox) -> Self {
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
    pub fn has_room(&self, (topic, partition): &TopicPartition) -> bool {
        let broker = self.cluster.known_leader(topic, *partition);
        self.brokers.get(&broker).is_none_or(BrokerSender::has_room)
    }

    /// Encodes a batch.
    pub fn encode(
        &mut self,
        id: PartitionId,
        batch: &Batch<'_, Encoded>,
        (topic, partition): TopicPartition,
    ) -> Result<Option<Sending>, Error> {
        let rows = batch.rows.len();
        // A batch that is sent again may have another compression, but it has the same sequence numbers.
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
    pub fn send(&mut self, sendings: Vec<Sending>) {
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

    /// Handles the answers to a request. Each partition has a separate outcome.
    pub fn answered(&mut self, broker: Option<i32>, answers: Vec<Answer>) -> Answered {
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
                retry.pause = retry.pause.max(self.backoffs.entry(id).or_insert_with(pace::backoff).delay());
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
    pub fn settled(&mut self, id: PartitionId) {
        if self.backoffs.remove(&id).is_some() {
            self.status.recovered(&Work::Batch(id));
        }
        self.unacknowledged.remove(&id);
    }

    /// Returns the partitions that wait for an acknowledgement for too long.
    pub fn stalled(&self) -> impl Iterator<Item = PartitionId> {
        self.unacknowledged.iter().filter(|(_, since)| since.elapsed() > STALLED).map(|(id, _)| *id)
    }

    /// Reports that a broker does not distinguish repeated batches from new ones.
    pub fn report_repeats(&self) {
        self.gaps.report(Gap::RepeatTimestamps);
    }

    /// Applies the capabilities of a topic's brokers.
    pub fn describe_brokers(&mut self, topic: &Topic) {
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

/// The task that sends the produce requests of one broker.
pub struct BrokerSender {
    requests: UnboundedSender<Vec<Sending>>,
    /// The number of requests without an answer.
    open: usize,
    _task: Task,
}

/// A batch in flight, with the span that its outcome is recorded in.
pub struct Sending {
    pub id: PartitionId,
    pub batch: ToProduce,
    pub compression: Compression,
    pub span: tracing::Span,
}

/// The number of produce requests in flight to one broker. The broker handles them one after the other; the second one
/// hides the network's latency.
const REQUESTS: usize = 2;

impl BrokerSender {
    /// Starts the task. `None` stands for the broker of partitions whose leader is not known.
    pub fn start(broker: Option<i32>, cluster: Arc<Cluster>, status: RelayStatus, inbox: &Inbox) -> Self {
        let (requests, queue) = mpsc::unbounded_channel();
        let task = send(broker, queue, cluster, status, inbox.clone());
        Self { requests, open: 0, _task: inbox.spawn(task) }
    }

    pub fn has_room(&self) -> bool {
        self.open < REQUESTS
    }

    /// Sends batches with one request.
    pub fn send(&mut self, sendings: Vec<Sending>) {
        self.open += 1;
        _ = self.requests.send(sendings);
    }

    /// Records the end of a request.
    pub fn answered(&mut self) {
        self.open = self.open.saturating_sub(1);
    }
}

async fn send(
    broker: Option<i32>,
    mut requests: UnboundedReceiver<Vec<Sending>>,
    cluster: Arc<Cluster>,
    status: RelayStatus,
    inbox: Inbox,
) {
    let mut open = FuturesUnordered::new();
    loop {
        tokio::select! {
            request = requests.recv() => match request {
                Some(sendings) => open.push(produce(&cluster, sendings, &status)),
                None => return,
            },
            Some(answers) = open.next(), if !open.is_empty() => inbox.send(Report::Produced { broker, answers }),
        }
    }
}

async fn produce(cluster: &Cluster, sendings: Vec<Sending>, status: &RelayStatus) -> Vec<Answer> {
    let began = Instant::now();
    let (batches, rest): (Vec<_>, Vec<_>) =
        sendings.into_iter().map(|sending| (sending.batch, (sending.id, sending.compression, sending.span))).unzip();
    let produced = cluster.produce_many(&batches).await;
    status.produced_in(began.elapsed());

    let answers = produced.into_iter().zip(batches).zip(rest).map(|((produced, batch), (id, compression, span))| {
        let (outcome, error) = outcome(produced, &span);
        Answer { id, topic: batch.topic, partition: batch.partition, compression, outcome, error }
    });
    answers.collect()
}

fn outcome(produced: Produced, span: &tracing::Span) -> (Outcome, Option<outbox_kafka::Error>) {
    match produced {
        Produced::Appended { base_offset, time } => {
            span.record("base_offset", base_offset);
            span.in_scope(|| tracing::debug!(target: "outbox.relay", "appended"));
            let arrival = if time.is_none() { Arrival::Now } else { Arrival::NowOrBefore };
            (Outcome::Appended { base_offset, arrival }, None)
        }
        Produced::Duplicate | Produced::OutOfOrderSequence => (Outcome::OutOfOrder, None),
        Produced::InvalidEpoch => (Outcome::InvalidEpoch, None),
        Produced::Rejected { error, records } => {
            let rows = records.iter().filter_map(|record| usize::try_from(record.index).ok()).collect();
            (Outcome::Rejected { rows }, Some(error))
        }
        Produced::Retriable(error) => (Outcome::NotAppended, Some(error)),
        Produced::Unknown(error) => (Outcome::Unknown, Some(error)),
    }
}
