use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::confirmation::Checked;
use super::gaps::Gaps;
use crate::progress::{Arrival, Outcome, PartitionId, Producer, Seen, Tail};
use crate::settings::TopicCreation;
use crate::status::{RelayStatus, Work};
use outbox_kafka::{Cluster, Compression, NewTopic, Produced, ToProduce, Topic};
use outbox_net::{Backoff, ErrorChain};
use outbox_wal::{ConnectOptions, PublicationCatalog, SlotLook, Source};

/// Something that was asked of Kafka or PostgreSQL, and has ended.
pub(super) enum Done {
    /// A broker answered a request with these batches, or did not answer.
    Produced(Option<i32>, Vec<Answer>),
    /// It is time to go on with batches that failed.
    Paused(Vec<(PartitionId, Outcome)>),
    Read(PartitionId, SeenRecords, Tail),
    Producer(Producer),
    Topic(Box<str>, Result<Arc<Topic>, outbox_kafka::Error>),
    /// A broker has answered for the first time.
    Reached,
    /// The right to read a topic was checked.
    Readable,
    /// Whether the slot is still this relay's.
    Held(bool),
    /// A topic was created again, or has another number of partitions: rows may belong elsewhere now.
    TopicChanged(Box<str>),
    /// The topics were looked at; one may have more partitions, and is otherwise the same.
    TopicsLooked {
        grown: Option<Box<str>>,
    },
    SlotLooked(Option<SlotLook>),
    PublicationChecked(Result<(PublicationCatalog, Checked), outbox_wal::Error>),
    Failed(outbox_kafka::Error),
}

/// What a read of a log has shown, in the log's order. One by one, so that their memory is given back meanwhile.
pub(super) type SeenRecords = Box<dyn Iterator<Item = Seen> + Send>;

/// What became of one batch.
pub(super) struct Answer {
    pub(super) id: PartitionId,
    pub(super) topic: Arc<Topic>,
    pub(super) partition: i32,
    pub(super) compression: Compression,
    pub(super) outcome: Outcome,
    pub(super) error: Option<outbox_kafka::Error>,
}

/// A batch on its way, with the span that its outcome is recorded in.
pub(super) struct Sending {
    pub(super) id: PartitionId,
    pub(super) batch: ToProduce,
    pub(super) compression: Compression,
    pub(super) span: tracing::Span,
}

/// How often the right to read a topic is checked while it is missing.
const READ_CHECK: Duration = Duration::from_secs(10);
/// Returns the delays before attempts, from 20 ms up to 2 s.
pub(super) const fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(20), Duration::from_secs(2))
}

/// Whether an error ends the relay: no broker has ever accepted the settings, or all lack a request.
fn is_final(cluster: &Cluster, error: &outbox_kafka::Error) -> bool {
    error.is_unsupported() || (error.is_configuration() && !cluster.has_answered())
}

/// Waits for any broker, so that wrong settings, or a broker without a request that the relay needs, end the relay at
/// once and not with the first row. Reports what the broker lacks.
pub(super) async fn reach(cluster: Arc<Cluster>, status: RelayStatus, gaps: Arc<Gaps>) -> Done {
    let mut backoff = backoff();
    loop {
        match cluster.probe().await {
            Ok(()) => {
                status.recovered(&Work::Cluster);
                if let Err(e) = cluster.check_producer() {
                    return Done::Failed(e);
                }
                gaps.report_all(&cluster);
                return Done::Reached;
            }
            Err(e) if is_final(&cluster, &e) => return Done::Failed(e),
            Err(e) => status.failing(Work::Cluster, &e),
        }
        tokio::time::sleep(backoff.delay()).await;
    }
}

/// Sends batches of one broker's partitions with one request.
pub(super) async fn produce(
    cluster: Arc<Cluster>,
    broker: Option<i32>,
    sendings: Vec<Sending>,
    status: RelayStatus,
) -> Done {
    let began = Instant::now();
    let (batches, rest): (Vec<_>, Vec<_>) =
        sendings.into_iter().map(|sending| (sending.batch, (sending.id, sending.compression, sending.span))).unzip();
    let produced = cluster.produce_many(&batches).await;
    status.produced_in(began.elapsed());
    let answers = produced.into_iter().zip(batches).zip(rest).map(|((produced, batch), (id, compression, span))| {
        let (outcome, error) = outcome(produced, &span);
        Answer { id, topic: batch.topic, partition: batch.partition, compression, outcome, error }
    });
    Done::Produced(broker, answers.collect())
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

/// Pauses before batches that failed are continued, and asks whether their topics are still the same.
pub(super) async fn pause_failed(
    cluster: Arc<Cluster>,
    failed: Vec<(PartitionId, Outcome)>,
    topics: Vec<Arc<Topic>>,
    pause: Duration,
) -> Done {
    tokio::time::sleep(pause).await;
    let names: BTreeSet<&str> = topics.iter().map(|topic| topic.name()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    if let Ok(described) = cluster.refreshed_all(&names).await {
        for (name, now) in names.iter().zip(described) {
            let mut before = topics.iter().filter(|topic| topic.name() == *name);
            if let Ok(now) = now
                && before.any(|before| {
                    now.as_ref().is_none_or(|now| now.id() != before.id() || now.partitions() != before.partitions())
                })
            {
                return Done::TopicChanged((*name).into());
            }
        }
    }
    Done::Paused(failed)
}

/// Finds a topic, or creates it.
pub(super) async fn topic(
    cluster: Arc<Cluster>,
    name: Box<str>,
    creation: Option<TopicCreation>,
    pause: Duration,
) -> Done {
    tokio::time::sleep(pause).await;
    let found = match cluster.topic(&name).await {
        Ok(Some(topic)) => Ok(topic),
        Ok(None) => {
            if pause.is_zero() {
                tracing::info!(target: "outbox.relay", topic = &*name, "creating missing topic");
            }
            // Even if brokers cannot create topics: somebody may create this one by other means.
            create(&cluster, &name, creation.as_ref()).await
        }
        Err(e) if is_final(&cluster, &e) => return Done::Failed(e),
        Err(e) => Err(e),
    };
    Done::Topic(name, found)
}

async fn create(
    cluster: &Cluster,
    name: &str,
    creation: Option<&TopicCreation>,
) -> Result<Arc<Topic>, outbox_kafka::Error> {
    cluster.create_topic(&new_topic(name, creation)).await
}

/// Returns how a missing topic is created.
pub(super) fn new_topic(name: &str, creation: Option<&TopicCreation>) -> NewTopic {
    let mut topic = NewTopic { name: name.to_owned(), ..NewTopic::default() };
    if let Some(creation) = creation.map(|creation| creation.for_topic(name)) {
        topic.partitions = Some(creation.partitions());
        topic.replication = Some(creation.replication_factor());
        topic.configs = creation.configs().iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    }
    topic
}

/// Checks the right to read a topic until it is there: without it the relay works until its next start.
pub(super) async fn check_read(cluster: Arc<Cluster>, topic: Arc<Topic>, status: RelayStatus) -> Done {
    let work = Work::ReadAccess(topic.name().into());
    while let Err(e) = cluster.check_read(&topic).await {
        if !e.code().is_some_and(outbox_kafka::ErrorCode::is_authorization) {
            break;
        }
        status.failing(work.clone(), &e);
        tokio::time::sleep(READ_CHECK).await;
    }
    status.recovered(&work);
    Done::Readable
}

pub(super) async fn new_producer(cluster: Arc<Cluster>, status: RelayStatus) -> Done {
    let mut backoff = backoff();
    loop {
        match cluster.init_producer_id().await {
            Ok(producer) => {
                status.recovered(&Work::ProducerId);
                return Done::Producer(Producer { id: producer.id, epoch: producer.epoch });
            }
            Err(e) if is_final(&cluster, &e) => return Done::Failed(e),
            Err(e) => status.failing(Work::ProducerId, &e),
        }
        tokio::time::sleep(backoff.delay()).await;
    }
}

/// Asks until the server answers whether this relay still holds the slot. If no connection is free, the stream may well be
/// alive; its end is noticed by itself.
pub(super) async fn prove_held(options: ConnectOptions, source: Source) -> Done {
    let mut backoff = backoff();
    loop {
        match outbox_wal::is_held(&options, &source).await {
            Ok(is_held) => return Done::Held(is_held),
            Err(error) => {
                let error = ErrorChain::new(&error);
                tracing::warn!(target: "outbox.relay", %error, "holder of the slot unknown: asking again");
            }
        }
        tokio::time::sleep(backoff.delay()).await;
    }
}
