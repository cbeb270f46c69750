use std::time::Duration;

use futures_util::future::try_join_all;
use outbox_test_support::{TestEnv, connect_kafka};
use rskafka::client::Client;
use rskafka::client::partition::{OffsetAt, PartitionClient, UnknownTopicHandling};
use tokio::time::timeout;

use crate::ledger::Ledger;
use crate::{Outcome, rows};

/// The client itself has no deadline.
const PATIENCE: Duration = Duration::from_secs(30);

/// A topic of one run's own.
#[derive(Debug)]
pub(crate) struct Topic {
    name: String,
    partitions: i32,
    client: Client,
    /// For questions about the end alone.
    ends: Vec<PartitionClient>,
}

impl Topic {
    /// Opens the topic of an environment.
    pub(crate) async fn open(env: &TestEnv, partitions: i32) -> Outcome<Self> {
        let client = connect_kafka(env.brokers()).await;
        let mut topic = Self { name: env.topic().to_owned(), partitions, client, ends: Vec::new() };
        topic.ends = topic.partition_clients().await?;
        Ok(topic)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn partitions(&self) -> i32 {
        self.partitions
    }

    /// Returns how many records are in it.
    pub(crate) async fn end(&self) -> Outcome<u64> {
        let ends = try_join_all((0..self.ends.len()).map(|partition| self.end_of(partition))).await?;
        Ok(ends.into_iter().sum())
    }

    /// Returns how many records are in a partition.
    pub(crate) async fn end_of(&self, partition: usize) -> Outcome<u64> {
        let partition = self.ends.get(partition).ok_or("the topic has no such partition")?;
        let end = within("ask for a topic's end", partition.get_offset(OffsetAt::Latest)).await?;
        Ok(u64::try_from(end)?)
    }

    /// Returns the partition of a number's record.
    pub(crate) fn partition_of(&self, number: u64) -> usize {
        usize::try_from(outbox_kafka::partition(rows::key(number).as_bytes(), self.partitions)).unwrap_or_default()
    }

    /// Returns how many records each partition has after the rows of 0 to `rows`.
    pub(crate) fn expected(&self, rows: u64) -> Vec<u64> {
        let mut expected = vec![0; self.ends.len()];
        for aggregate in 0..rows::AGGREGATES.min(rows) {
            if let Some(count) = expected.get_mut(self.partition_of(aggregate)) {
                *count += (rows - aggregate).div_ceil(rows::AGGREGATES);
            }
        }
        expected
    }

    /// Keeps the partitions that have fewer records than expected.
    ///
    /// One question at a time while the first of them has not ended: hundreds of questions every few milliseconds
    /// would take from the brokers what is measured.
    pub(crate) async fn without_complete(&self, mut left: Vec<(usize, u64)>) -> Outcome<Vec<(usize, u64)>> {
        let Some((first, expected)) = left.first().copied() else { return Ok(left) };
        if self.end_of(first).await? < expected {
            return Ok(left);
        }
        let ends = try_join_all(left.iter().map(|(partition, _)| self.end_of(*partition))).await?;
        let mut ends = ends.into_iter();
        left.retain(|(_, expected)| ends.next().is_none_or(|end| end < *expected));
        Ok(left)
    }

    /// Reads all of it.
    pub(crate) async fn read(&self) -> Outcome<Ledger> {
        let mut ledger = Ledger::default();
        for partition in self.partition_clients().await? {
            let end = within("ask for a topic's end", partition.get_offset(OffsetAt::Latest)).await?;
            let mut next = 0;
            while next < end {
                let fetched = partition.fetch_records(next, 1..8_000_000, 1_000);
                let (records, _) = within("read a topic", fetched).await?;
                let from = next;
                for found in records.into_iter().filter(|found| found.offset >= from) {
                    next = found.offset + 1;
                    ledger.enter(found.record.key.as_deref(), found.record.value.as_deref());
                }
            }
        }
        Ok(ledger)
    }

    /// Opens a connection to each partition: a request that waits would hold up the others.
    pub(crate) async fn partition_clients(&self) -> Outcome<Vec<PartitionClient>> {
        let mut partitions = Vec::new();
        for partition in 0..self.partitions {
            let opened = self.client.partition_client(&self.name, partition, UnknownTopicHandling::Retry);
            partitions.push(within("open a partition", opened).await?);
        }
        Ok(partitions)
    }
}

pub(crate) async fn within<T>(
    what: &str,
    request: impl Future<Output = rskafka::client::error::Result<T>>,
) -> Outcome<T> {
    match timeout(PATIENCE, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(format!("cannot {what} on Kafka: {error}").into()),
        Err(_) => Err(format!("cannot {what}: Kafka does not answer within {} s", PATIENCE.as_secs()).into()),
    }
}
