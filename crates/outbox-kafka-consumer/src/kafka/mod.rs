//! All of rskafka, behind timeouts of our own: it has none for connections and requests (0.6.0), and a request that is
//! given up leaves a dead connection in its cache, so a timeout drops the client.

mod partition;

use std::collections::BTreeMap;
use std::time::Duration;

use rskafka::BackoffConfig;
use rskafka::client::partition::UnknownTopicHandling;
use rskafka::client::{Client, ClientBuilder};
use tokio::time::timeout;

pub(crate) use self::partition::{Fetched, PartitionReader};

use crate::Error;

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The brokers of a cluster. Every call opens a connection of its own.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    brokers: Vec<String>,
}

impl Cluster {
    pub(crate) fn new(brokers: Vec<String>) -> Self {
        Self { brokers }
    }

    /// The partitions of those topics that exist.
    pub(crate) async fn partitions(&self, client: &Client) -> Result<BTreeMap<String, Vec<i32>>, Error> {
        let topics = bounded("list its topics", PATIENCE, client.list_topics()).await?;
        Ok(topics.into_iter().map(|topic| (topic.name, topic.partitions.into_iter().collect())).collect())
    }

    pub(crate) async fn connect(&self) -> Result<Client, Error> {
        let client = ClientBuilder::new(self.brokers.clone())
            .client_id("outbox-kafka-consumer")
            // Retries of its own are kept short: it counts only its pauses, and knows nothing of shutdown.
            .backoff_config(BackoffConfig {
                init_backoff: Duration::from_millis(50),
                max_backoff: Duration::from_secs(1),
                base: 2.,
                deadline: Some(Duration::from_secs(5)),
            })
            .build();
        bounded(&format!("answer at {}", self.brokers.join(", ")), PATIENCE, client).await
    }

    pub(crate) async fn reader(&self, topic: &str, partition: i32) -> Result<PartitionReader, Error> {
        let client = self.connect().await?;
        // It refreshes the leaders that rskafka would otherwise remember for good.
        self.partitions(&client).await?;
        let doing = format!("open topic {topic}, partition {partition}");
        let opened = client.partition_client(topic, partition, UnknownTopicHandling::Error);
        Ok(PartitionReader::new(bounded(&doing, PATIENCE, opened).await?))
    }
}

/// Waits for an answer, but not for ever.
async fn bounded<T>(
    doing: &str,
    patience: Duration,
    call: impl Future<Output = Result<T, rskafka::client::error::Error>>,
) -> Result<T, Error> {
    match timeout(patience, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(e)) => Err(Error::kafka(doing).caused_by(e)),
        Err(elapsed) => Err(Error::kafka(format!("{doing} within {} s", patience.as_secs())).caused_by(elapsed)),
    }
}
