//! The reader over rskafka.
//!
//! rskafka 0.6.0 has no timeouts, and its requests for metadata create topics. Therefore `outbox-kafka` looks up topics
//! and leaders, and rskafka only opens partitions that exist and fetches their records.

mod clients;
mod connections;
mod partition;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use self::connections::Connections;
pub use self::partition::Reader;
use crate::Error;
use crate::brokers::Brokers;
use crate::source::RecordSource;

/// The brokers of a cluster. Partitions share all connections but the one that rskafka fetches over.
#[derive(Clone, Debug)]
pub struct Cluster {
    connections: Connections,
    /// The bytes of records of one fetch.
    fetch: usize,
}

impl Cluster {
    /// Creates a cluster whose partitions fetch about this many bytes of records at a time.
    pub fn new(brokers: Brokers, fetch: usize) -> Self {
        Self { connections: Connections::new(brokers), fetch }
    }
}

impl RecordSource for Cluster {
    type Reader = Reader;

    async fn partitions(
        &self,
        topics: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Result<BTreeSet<i32>, Error>>, Error> {
        self.connections.brokers().partitions(topics).await
    }

    async fn open(&self, topic: &str, partition: i32) -> Result<Reader, Error> {
        let topic = self.connections.brokers().topic(topic).await?;
        let opened = self.connections.open(&topic, partition).await?;
        Ok(Reader::new(self.connections.clone(), topic, opened, self.fetch))
    }
}
