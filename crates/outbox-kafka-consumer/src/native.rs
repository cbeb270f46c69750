//! The native reader: `outbox-kafka`, with one connection to each broker for all its partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use outbox_core::uuid::Uuid;
use outbox_kafka::{Entry, FetchLimits, Fetcher, OffsetAt, PartitionStream, TailStart, Topic};
use tokio::time::sleep;

use crate::Error;
use crate::brokers::Brokers;
use crate::source::{Fetched, Message, PartitionReader, RecordSource};

/// The pause before an offset is fetched again that the leader did not know.
const RANGE_PAUSE: Duration = Duration::from_millis(100);
/// The least memory for all partitions together.
const LEAST_MEMORY: usize = 1 << 20;

/// The brokers of a cluster. All partitions share its connections.
#[derive(Clone, Debug)]
pub struct Source {
    brokers: Brokers,
    /// Fetches wait for records, so they have connections that nothing else uses.
    fetcher: Fetcher,
}

impl Source {
    /// Creates a source whose partitions hold at most this many bytes together, or 64 MiB if that is less.
    pub fn new(brokers: Brokers, memory: usize) -> Self {
        let cluster = outbox_kafka::Cluster::new(brokers.settings().clone());
        let mut limits = FetchLimits::default();
        limits.budget = limits.budget.min(memory).max(LEAST_MEMORY);
        limits.request = limits.request.min(limits.budget);
        limits.partition = limits.partition.min(limits.request);
        Self { brokers, fetcher: Fetcher::new(Arc::new(cluster), limits) }
    }

    /// Returns whether the batch at an offset has the broker's timestamps (`LogAppendTime`).
    pub async fn has_broker_time(&self, topic: &str, partition: i32, offset: i64) -> Result<bool, Error> {
        let failed = |e| Error::kafka(format!("fetch topic {topic}, partition {partition}")).caused_by(e);
        let Some(described) = self.brokers.cluster().topic(topic).await.map_err(failed)? else { return Ok(false) };
        let mut is_broker_time = false;
        let visitor = |entry: Entry<'_>| {
            if let Entry::Batch(header) = entry {
                is_broker_time = header.is_log_append_time;
            }
            std::ops::ControlFlow::Break(())
        };
        let read =
            self.brokers.cluster().read_tail(&described, partition, TailStart::Offset(offset), u64::MAX, visitor);

        read.await.map_err(failed)?;
        Ok(is_broker_time)
    }
}

impl RecordSource for Source {
    type Reader = Reader;

    async fn partitions(
        &self,
        topics: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Result<BTreeSet<i32>, Error>>, Error> {
        self.brokers.partitions(topics).await
    }

    async fn open(&self, topic: &str, partition: i32) -> Result<Reader, Error> {
        let topic = self.brokers.topic(topic).await?;
        if !(0..topic.partitions()).contains(&partition) {
            let failed = Error::kafka(format!("open topic {}, partition {partition}", topic.name()));
            return Err(failed.caused_by("the partition does not exist"));
        }
        Ok(Reader { source: self.clone(), topic, partition, stream: None })
    }
}

/// Reads one partition.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    topic: Arc<Topic>,
    partition: i32,
    /// The stream; `None` before the first fetch.
    stream: Option<PartitionStream>,
}

impl Reader {
    async fn offset(&self, at: OffsetAt) -> Result<i64, Error> {
        let found = self.source.brokers.cluster().list_offsets(&self.topic, self.partition, at).await;
        found.map_err(|e| self.failed("list the offsets of").caused_by(e))
    }

    fn failed(&self, doing: &str) -> Error {
        Error::kafka(format!("{doing} topic {}, partition {}", self.topic.name(), self.partition))
    }
}

impl PartitionReader for Reader {
    fn topic_id(&self) -> Option<Uuid> {
        Some(self.topic.id()).filter(|id| !id.is_nil())
    }

    async fn earliest(&mut self) -> Result<i64, Error> {
        self.offset(OffsetAt::Earliest).await
    }

    async fn end(&mut self) -> Result<i64, Error> {
        self.offset(OffsetAt::LastStable).await
    }

    async fn fetch(&mut self, offset: i64) -> Result<Fetched, Error> {
        let failed = self.failed("fetch");
        let stream = self.stream.get_or_insert_with(|| self.source.fetcher.open(&self.topic, self.partition, offset));

        if stream.position() != offset {
            stream.seek(offset);
        }

        match stream.next().await {
            Ok(outbox_kafka::Fetched::Records { records, next, end }) => {
                let records = records.into_iter().map(|record| (record.offset(), Message::from(record))).collect();
                Ok(Fetched::Records { records, next, end })
            }
            Ok(outbox_kafka::Fetched::OutOfRange) => {
                let (earliest, end) = (self.earliest().await?, self.end().await?);
                if (earliest..=end).contains(&offset) {
                    // A new leader is catching up.
                    sleep(RANGE_PAUSE).await;
                    self.stream = None;
                    return Ok(Fetched::Records { records: Vec::new(), next: offset, end });
                }
                Ok(Fetched::OutOfRange { earliest, end })
            }
            Ok(outbox_kafka::Fetched::Unreadable(e)) => {
                let reason =
                    format!("the record cannot be read (it is in the batch of the offsets {} to {})", e.first, e.last);
                Ok(Fetched::Unreadable { offset: e.offset, reason, cause: e.into() })
            }
            Ok(_) => Err(failed.caused_by("the answer is of an unknown kind")),
            Err(e) => Err(failed.caused_by(e)),
        }
    }
}
