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
pub struct Cluster(Connections);

impl Cluster {
    pub fn new(brokers: Brokers) -> Self {
        Self(Connections::new(brokers))
    }
}

impl RecordSource for Cluster {
    type Reader = Reader;

    async fn partitions(
        &self,
        topics: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Result<BTreeSet<i32>, Error>>, Error> {
        self.0.brokers().partitions(topics).await
    }

    async fn open(&self, topic: &str, partition: i32) -> Result<Reader, Error> {
        let topic = self.0.brokers().topic(topic).await?;
        let opened = self.0.open(&topic, partition).await?;
        Ok(Reader::new(self.0.clone(), topic, opened))
    }
}
