//! The reader over rskafka.
//!
//! rskafka 0.6.0 has no timeouts, and its requests for metadata create topics. Therefore `outbox-kafka` looks up topics
//! and leaders, and rskafka only opens partitions that exist and fetches their records.

mod clients;
mod partition;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use outbox_kafka::Topic;
use rskafka::client::partition::{PartitionClient, UnknownTopicHandling};
use tokio::time::timeout;

use self::clients::{Clients, SharedClient};
pub use self::partition::Reader;
use crate::Error;
use crate::brokers::Brokers;
use crate::source::RecordSource;

/// The brokers of a cluster. Partitions share all connections but the one that rskafka fetches over.
#[derive(Clone, Debug)]
pub struct Cluster(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    brokers: Brokers,
    clients: Clients,
}

impl Cluster {
    pub fn new(brokers: Brokers) -> Self {
        Self(Arc::new(Inner { brokers, clients: Clients::default() }))
    }

    /// Opens a partition at its leader. rskafka is not asked about a partition that does not exist: it would create the
    /// topic.
    async fn partition_client(
        &self,
        topic: &Topic,
        partition: i32,
    ) -> Result<(PartitionClient, Arc<SharedClient>), Error> {
        let Inner { brokers, clients } = &*self.0;
        let doing = format!("open topic {}, partition {partition}", topic.name());
        let leader = brokers.cluster().leader_address(topic, partition).await;
        let leader = leader.map_err(|e| Error::kafka(&doing).caused_by(e))?;
        let client = clients.at(&leader, &brokers.settings().security).await?;
        let opened = client.partition_client(topic.name(), partition, UnknownTopicHandling::Error);
        match bounded(&doing, opened).await {
            Ok(opened) => Ok((opened, client)),
            Err(e) => {
                clients.retire(&client);
                Err(e)
            }
        }
    }
}

impl RecordSource for Cluster {
    type Reader = Reader;

    async fn partitions(
        &self,
        topics: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Result<BTreeSet<i32>, Error>>, Error> {
        self.0.brokers.partitions(topics).await
    }

    async fn open(&self, topic: &str, partition: i32) -> Result<Reader, Error> {
        let topic = self.0.brokers.topic(topic).await?;
        let (client, shared) = self.partition_client(&topic, partition).await?;
        Ok(Reader::new(self.clone(), topic, client, shared))
    }
}

/// Waits for rskafka, for a bounded time.
async fn bounded<T>(
    doing: &str,
    call: impl Future<Output = Result<T, rskafka::client::error::Error>>,
) -> Result<T, Error> {
    match timeout(Brokers::PATIENCE, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(e)) => Err(Error::kafka(doing).caused_by(e)),
        Err(elapsed) => {
            Err(Error::kafka(format!("{doing} within {} s", Brokers::PATIENCE.as_secs())).caused_by(elapsed))
        }
    }
}
