use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use outbox_core::record::event_identity;
use tokio::sync::Semaphore;

use super::inbox::{Report, SeenRecords};
use super::pace;
use super::topics::TopicPartition;
use crate::position::{HEADER, Origin, Placed, event_of};
use crate::progress::{Content, PartitionId, Producer, Reach, ReadFrom, Scan, Seen, Tail, Window};
use crate::status::{RelayStatus, Work};
use outbox_kafka::{Cluster, Entry, OffsetAt, TailStart, Topic};

/// The number of logs of one broker that are read at the same time.
const READS: usize = 4;
/// The number of offsets that the first step of a scan reads. It is small, because usually little is unconfirmed.
const FIRST_STEP: i64 = 64;

/// Reads the ends of logs to find records that were written before, a few logs of each broker at once.
pub struct LogReader {
    scope: Scope,
    permits: HashMap<Option<i32>, Arc<Semaphore>>,
}

/// The parts that reads of logs share.
#[derive(Clone)]
struct Scope {
    cluster: Arc<Cluster>,
    origin: Arc<Origin>,
    window: Window,
    /// The number of records of others that are read in a partition while rows of the slot's window are looked for.
    limit: u64,
    status: RelayStatus,
}

impl LogReader {
    pub fn new(cluster: Arc<Cluster>, origin: Arc<Origin>, window: Window, limit: u64, status: RelayStatus) -> Self {
        Self { scope: Scope { cluster, origin, window, limit, status }, permits: HashMap::new() }
    }

    /// Begins to read a partition.
    pub fn read(
        &mut self,
        id: PartitionId,
        place: TopicPartition,
        from: ReadFrom,
        reach: Reach,
    ) -> BoxFuture<'static, Report> {
        let broker = self.scope.cluster.known_leader(&place.0, place.1);
        let permits = self.permits.entry(broker).or_insert_with(|| Arc::new(Semaphore::new(READS)));
        self.scope.clone().read(id, place, from, reach, Arc::clone(permits)).boxed()
    }
}

impl Scope {
    /// Reads the end of a partition or the records behind an offset, and retries until it succeeds or the topic was
    /// created again. The permit is held during an attempt only, so that a failing partition does not block the others.
    async fn read(
        self,
        id: PartitionId,
        (topic, partition): TopicPartition,
        from: ReadFrom,
        reach: Reach,
        permits: Arc<Semaphore>,
    ) -> Report {
        let mut backoff = pace::backoff();
        loop {
            let read = {
                let _permit = permits.acquire().await;
                match from {
                    ReadFrom::Tail => self.scan(&topic, partition, reach).await,
                    ReadFrom::Offset(offset) => self.read_on(&topic, partition, offset).await,
                }
            };
            match read {
                Ok(Some((seen, tail))) => {
                    self.status.recovered(&Work::Log(id));
                    return Report::LogRead(id, seen, tail);
                }
                // The log was truncated during the read, so it is read again.
                Ok(None) => {}
                Err(e) if e.code() == Some(outbox_kafka::ErrorCode::UNKNOWN_TOPIC_ID) => {
                    return Report::TopicChanged(topic.name().into());
                }
                Err(e) => self.status.failing(Work::Log(id), &e),
            }
            tokio::time::sleep(backoff.delay()).await;
        }
    }

    /// Reads the end of a partition backwards, as far as needed; `None` if the log was truncated during the read.
    async fn scan(
        &self,
        topic: &Topic,
        partition: i32,
        reach: Reach,
    ) -> Result<Option<(SeenRecords, Tail)>, outbox_kafka::Error> {
        let end = self.cluster.list_offsets(topic, partition, OffsetAt::Latest).await?;
        let start = self.cluster.list_offsets(topic, partition, OffsetAt::Earliest).await?;
        let mut scan = Scan::new(&self.window, reach, start..end, self.limit, FIRST_STEP);

        while let Some(step) = scan.next_step() {
            let end = step.end;
            let visitor = |entry: Entry<'_>| self.show(entry, |seen| scan.seen(seen));
            let tail = self.cluster.read_range(topic, partition, step, visitor).await?;
            if tail.next < end {
                return Ok(None);
            }
        }

        let (seen, tail) = scan.finish();
        if tail.cut {
            tracing::warn!(
                target: "outbox.relay", topic = topic.name(), partition, scan = self.limit,
                "scan limit reached: rows before it are written again"
            );
        }
        Ok(Some((Box::new(seen), tail)))
    }

    /// Reads a partition from an offset to its end; `None` if the log was truncated during the read.
    async fn read_on(
        &self,
        topic: &Topic,
        partition: i32,
        offset: i64,
    ) -> Result<Option<(SeenRecords, Tail)>, outbox_kafka::Error> {
        let mut all = Vec::new();
        let visitor = |entry: Entry<'_>| self.show(entry, |seen| all.push(seen));
        let tail = self.cluster.read_tail(topic, partition, TailStart::Offset(offset), u64::MAX, visitor).await?;
        let all: SeenRecords = Box::new(all.into_iter());
        Ok((tail.next >= tail.end).then_some((all, Tail { end: tail.next, cut: false })))
    }

    fn show(&self, entry: Entry<'_>, mut seen: impl FnMut(Seen)) -> ControlFlow<()> {
        if let Entry::Record(batch, record) = entry
            && let Some(found) = look(&self.origin, batch, record)
        {
            seen(found);
        }
        ControlFlow::Continue(())
    }
}

fn look(origin: &Origin, batch: &outbox_kafka::BatchHeader, record: outbox_kafka::RecordView<'_>) -> Option<Seen> {
    let position = record.header(HEADER);
    // A transformation may have dropped the header `id`.
    let event = match record.header("id") {
        Some(id) => event_identity("", id),
        None => position.and_then(event_of),
    }?;
    let content = match position.map(|header| origin.place(header)) {
        Some(Placed::Here(position)) => Content::Own(position, event),
        Some(Placed::OtherTimeline(position)) => Content::OtherTimeline(position, event),
        // As with Debezium's records, the event identifies the row.
        Some(Placed::Elsewhere) | None => Content::Unplaced(event),
    };

    let producer = Producer { id: batch.producer.id, epoch: batch.producer.epoch };
    Some(Seen { written_by: (producer.id >= 0).then_some((producer, batch.last_sequence)), content })
}
