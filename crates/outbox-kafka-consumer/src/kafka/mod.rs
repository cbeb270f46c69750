//! Kafka: the reader over rskafka, and the consumer's own requests over `outbox-kafka`.
//!
//! rskafka 0.6.0 has no timeouts, and its requests for metadata create topics. Therefore `outbox-kafka` looks up topics
//! and leaders, and rskafka only opens partitions that exist and fetches their records.

mod clients;
mod partition;
#[cfg(test)]
mod tests;
mod topics;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use outbox_kafka::{Settings, Topic};
use rskafka::client::partition::{PartitionClient, UnknownTopicHandling};
use tokio::time::timeout;

use self::clients::{Clients, SharedClient};
pub(crate) use self::partition::Reader;
use self::topics::Topics;
use crate::Error;
use crate::source::RecordSource;

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a broker may take to accept a connection. Another one is asked after it.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// For how long a request is repeated that may soon succeed. Handlers run meanwhile.
const RETRY_FOR: Duration = Duration::from_secs(5);
const CLIENT_ID: &str = "outbox-kafka-consumer";

/// The brokers of a cluster. All partitions share its connections, except for the one that rskafka fetches over.
#[derive(Clone, Debug)]
pub(crate) struct Cluster(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    own: outbox_kafka::Cluster,
    topics: Topics,
    clients: Clients,
}

impl Cluster {
    pub(crate) fn new(brokers: Vec<String>) -> Self {
        let settings = Settings {
            client_id: CLIENT_ID.to_owned(),
            connect_timeout: CONNECT_PATIENCE,
            request_timeout: PATIENCE,
            retry_timeout: RETRY_FOR,
            ..Settings::new(brokers)
        };
        Self(Arc::new(Inner {
            own: outbox_kafka::Cluster::new(settings),
            topics: Topics::default(),
            clients: Clients::default(),
        }))
    }

    /// Opens a partition at its leader. rskafka is not asked about a partition that does not exist: it would create the
    /// topic.
    async fn partition_client(
        &self,
        topic: &Topic,
        partition: i32,
    ) -> Result<(PartitionClient, Arc<SharedClient>), Error> {
        let Inner { own, clients, .. } = &*self.0;
        let doing = format!("open topic {}, partition {partition}", topic.name());
        let leader = own.leader_address(topic, partition).await;
        let leader = leader.map_err(|e| Error::kafka(&doing).caused_by(e))?;
        let client = clients.at(&leader).await?;
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
        let described = self.0.topics.describe(&self.0.own, topics).await?;
        let partitions = described.into_iter().filter_map(|(name, described)| match described {
            Ok(None) => None,
            Ok(Some(topic)) => Some((name, Ok((0..topic.partitions()).collect()))),
            Err(e) => Some((name, Err(Error::kafka("describe a topic").caused_by(e)))),
        });
        Ok(partitions.collect())
    }

    async fn open(&self, topic: &str, partition: i32) -> Result<Reader, Error> {
        let topic = self.0.topics.current(&self.0.own, topic).await?;
        let (client, shared) = self.partition_client(&topic, partition).await?;
        Ok(Reader::new(self.clone(), topic, client, shared))
    }
}

/// Waits for rskafka, for a bounded time.
async fn bounded<T>(
    doing: &str,
    call: impl Future<Output = Result<T, rskafka::client::error::Error>>,
) -> Result<T, Error> {
    match timeout(PATIENCE, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(e)) => Err(Error::kafka(doing).caused_by(e)),
        Err(elapsed) => Err(Error::kafka(format!("{doing} within {} s", PATIENCE.as_secs())).caused_by(elapsed)),
    }
}
