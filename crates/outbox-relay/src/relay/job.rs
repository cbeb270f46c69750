use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outbox_core::uuid::Uuid;
use tokio::time::Instant;

use crate::position::{HEADER, Origin};
use crate::progress::{Arrival, Content, From, Outcome, PartitionId, Producer, Seen, Tail, Window};
use crate::status::RelayStatus;
use outbox_kafka::{Cluster, Entry, Produced, TailStart, ToProduce, Topic};
use outbox_net::ErrorChain;
use outbox_wal::SlotLook;

/// What was asked of Kafka or PostgreSQL, and has ended.
pub(super) enum Done {
    Produced(PartitionId, Outcome, Option<outbox_kafka::Error>),
    Read(PartitionId, Vec<Seen>, Tail),
    Producer(Producer),
    /// Whether the slot is still this relay's.
    Held(bool),
    /// A topic was made anew, or has another number of partitions: rows may belong elsewhere now.
    TopicChanged(Box<str>),
    /// The topics were looked at; one may have more partitions, and is otherwise the same.
    TopicsLooked {
        grown: Option<Box<str>>,
    },
    SlotLooked(Option<SlotLook>),
    Failed(outbox_kafka::Error),
}

/// Pauses between attempts, from 20 ms up to 2 s.
pub(super) fn pause(attempts: u32) -> Duration {
    Duration::from_millis(20 << attempts.min(7)).min(Duration::from_secs(2))
}

pub(super) async fn produce(
    cluster: Arc<Cluster>,
    id: PartitionId,
    topic: Arc<Topic>,
    partition: i32,
    batch: Bytes,
    attempts: u32,
    status: RelayStatus,
) -> Done {
    let began = Instant::now();
    let produced = cluster.produce(ToProduce { topic: Arc::clone(&topic), partition, batch }).await;
    status.produced_in(began.elapsed());
    let (outcome, error) = match produced {
        Produced::Appended { base_offset, time } => {
            tracing::Span::current().record("base_offset", base_offset);
            tracing::debug!(target: "outbox.relay", "appended");
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
    };
    if let (Outcome::NotAppended | Outcome::Unknown, Some(error)) = (&outcome, &error) {
        tracing::warn!(
            target: "outbox.relay", topic = topic.name(), partition, error = %ErrorChain::new(error), "a batch is sent again"
        );
        tokio::time::sleep(pause(attempts)).await;
        if let Ok(now) = cluster.refreshed(topic.name()).await
            && now.is_none_or(|now| now.id() != topic.id() || now.partitions() != topic.partitions())
        {
            return Done::TopicChanged(topic.name().into());
        }
    }
    Done::Produced(id, outcome, error)
}

/// `scan` is how much of a partition is looked at for rows of the slot's window that are there already, in offsets.
pub(super) async fn read(
    cluster: Arc<Cluster>,
    origin: Arc<Origin>,
    window: Window,
    id: PartitionId,
    (topic, partition): (Arc<Topic>, i32),
    from: From,
    scan: u64,
) -> Done {
    let (start, limit) = match from {
        From::Tail => (TailStart::Last(scan), scan),
        From::Offset(offset) => (TailStart::Offset(offset), u64::MAX),
    };
    let mut attempts = 0;
    loop {
        let mut seen = Vec::new();
        let mut reaches_back = false;
        let read = cluster
            .read_tail(&topic, partition, start, limit, |entry| {
                if let Entry::Record(batch, record) = entry
                    && let Some(found) = look(&origin, batch, record)
                {
                    reaches_back |= matches!(found.content, Content::Own(at, _) if at.commit < window.confirmed);
                    seen.push(found);
                }
                ControlFlow::Continue(())
            })
            .await;
        match read {
            // Cut short by the broker: what lies behind decides.
            Ok(tail) if tail.next < tail.end => {}
            Ok(tail) => {
                let cut = from == From::Tail && tail.start > tail.log_start && !reaches_back;
                if cut {
                    tracing::warn!(
                        target: "outbox.relay", topic = topic.name(), partition, scan,
                        "the scan's limit is reached: rows that lie before it are written again"
                    );
                }
                return Done::Read(id, seen, Tail { end: tail.next, cut });
            }
            Err(e) if e.code() == Some(outbox_kafka::ErrorCode::UNKNOWN_TOPIC_ID) => {
                return Done::TopicChanged(topic.name().into());
            }
            Err(e) if !e.is_transient() => return Done::Failed(e),
            Err(e) => {
                tracing::warn!(target: "outbox.relay", topic = topic.name(), partition, error = %ErrorChain::new(&e), "cannot read the log");
            }
        }
        tokio::time::sleep(pause(attempts)).await;
        attempts += 1;
    }
}

fn look(origin: &Origin, batch: &outbox_kafka::BatchHeader, record: outbox_kafka::RecordView<'_>) -> Option<Seen> {
    let event = record.header("id").and_then(|id| Uuid::try_parse_ascii(id).ok())?;
    let content = match record.header(HEADER) {
        Some(header) => match origin.position(header) {
            Some(position) => Content::Own(position, event),
            // As with Debezium's records, the event decides.
            None if origin.is_on_another_timeline(header) => Content::Unplaced(event),
            None => return None,
        },
        None => Content::Unplaced(event),
    };
    let producer = Producer { id: batch.producer.id, epoch: batch.producer.epoch };
    Some(Seen { written_by: (producer.id >= 0).then_some((producer, batch.last_sequence)), content })
}

pub(super) async fn new_producer(cluster: Arc<Cluster>) -> Done {
    let mut attempts = 0;
    loop {
        match cluster.init_producer_id().await {
            Ok(producer) => return Done::Producer(Producer { id: producer.id, epoch: producer.epoch }),
            Err(e) if !e.is_transient() => return Done::Failed(e),
            Err(e) => tracing::warn!(target: "outbox.relay", error = %ErrorChain::new(&e), "no producer id yet"),
        }
        tokio::time::sleep(pause(attempts)).await;
        attempts += 1;
    }
}
