//! All of rskafka, behind timeouts of our own: it has none for connections and requests (0.6.0), and a request that is
//! given up leaves a dead connection in its cache, so a timeout drops the client.

mod aborted;
mod partition;
mod topic_id;
mod wire;

use std::collections::BTreeSet;
use std::time::Duration;

use rskafka::BackoffConfig;
use rskafka::client::partition::UnknownTopicHandling;
use rskafka::client::{Client, ClientBuilder};
use tokio::time::timeout;

use self::aborted::AbortedTransactions;
pub(crate) use self::partition::Reader;
use crate::Error;
use crate::source::RecordSource;

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
const CLIENT_ID: &str = "outbox-kafka-consumer";

/// The brokers of a cluster. Every call opens a connection of its own.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    brokers: Vec<String>,
}

impl Cluster {
    pub(crate) fn new(brokers: Vec<String>) -> Self {
        Self { brokers }
    }

    async fn connect(&self) -> Result<Client, Error> {
        let client = ClientBuilder::new(self.brokers.clone())
            .client_id(CLIENT_ID)
            // Retries of its own are kept short: it counts only its pauses, and knows nothing of shutdown.
            .backoff_config(BackoffConfig {
                init_backoff: Duration::from_millis(50),
                max_backoff: Duration::from_secs(1),
                base: 2.,
                deadline: Some(Duration::from_secs(5)),
            })
            .build();
        bounded(&format!("answer at {}", self.brokers.join(", ")), client).await
    }
}

impl RecordSource for Cluster {
    type Reader = Reader;

    async fn partitions(&self, topics: &BTreeSet<String>) -> Result<BTreeSet<(String, i32)>, Error> {
        let client = self.connect().await?;
        let known = bounded("list its topics", client.list_topics()).await?;
        let known = known.into_iter().filter(|topic| topics.contains(&topic.name));
        Ok(known
            .flat_map(|topic| topic.partitions.into_iter().map(move |partition| (topic.name.clone(), partition)))
            .collect())
    }

    async fn open(&self, topic: &str, partition: i32) -> Result<Reader, Error> {
        let client = self.connect().await?;
        // It refreshes the leaders that rskafka would otherwise remember for good.
        bounded("list its topics", client.list_topics()).await?;
        let doing = format!("open topic {topic}, partition {partition}");
        let opened = client.partition_client(topic, partition, UnknownTopicHandling::Error);
        let aborted = AbortedTransactions::of(self.brokers.clone(), topic, partition);
        let opened = bounded(&doing, opened).await?;
        Ok(Reader::new(opened, topic_id::topic_id(&self.brokers, topic).await?, aborted))
    }
}

/// Waits for an answer, but not for ever.
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
