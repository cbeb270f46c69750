use std::time::Duration;

use outbox_test_support::{TestEnv, connect_kafka};
use rskafka::client::Client;
use rskafka::client::partition::{OffsetAt, PartitionClient, UnknownTopicHandling};
use tokio::time::timeout;

use crate::Outcome;
use crate::ledger::Ledger;

/// The client has no deadline of its own.
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

    /// How many records are in it.
    pub(crate) async fn end(&self) -> Outcome<u64> {
        let mut sum = 0;
        for partition in &self.ends {
            let end = within("ask for a topic's end", partition.get_offset(OffsetAt::Latest)).await?;
            sum += u64::try_from(end)?;
        }
        Ok(sum)
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

    /// Connections of their own to all partitions: a request that waits would hold up the others.
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
