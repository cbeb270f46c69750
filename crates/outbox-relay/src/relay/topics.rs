use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use outbox_core::RecordRef;

use crate::error::Error;
use crate::progress::PartitionId;
use crate::settings::TopicCreation;
use crate::status::RelayStatus;
use outbox_kafka::{Cluster, NewTopic, Topic};
use outbox_net::ErrorChain;

/// The topics that rows go to, and the numbers that the state machine knows their partitions by.
pub(super) struct Topics {
    cluster: Arc<Cluster>,
    status: RelayStatus,
    creation: Option<TopicCreation>,
    /// With the number of the topic's first partition; the others follow.
    known: HashMap<Box<str>, (Arc<Topic>, u32)>,
    partitions: Vec<(Arc<Topic>, i32)>,
}

/// Why a row has no partition.
pub(super) enum NoPartition {
    /// It never will have one.
    Refused(String),
    /// The relay cannot go on.
    Failed(Error),
}

impl Topics {
    pub(super) fn new(cluster: Arc<Cluster>, creation: Option<TopicCreation>, status: RelayStatus) -> Self {
        Self { cluster, status, creation, known: HashMap::new(), partitions: Vec::new() }
    }

    /// The partition that a record belongs to: the one that it names, else by its key as Kafka's own partitioner has it.
    pub(super) async fn partition(&mut self, record: &RecordRef<'_>, event: &[u8]) -> Result<PartitionId, NoPartition> {
        let (topic, first) = match self.known.get(record.topic.as_str()) {
            Some(known) => known,
            None => self.learn(&record.topic).await?,
        };
        let count = topic.partitions();
        let chosen = match (record.partition, &record.key) {
            (Some(named), _) if (0..count).contains(&named) => named,
            (Some(named), _) => {
                let reason = format!("it names partition {named}, and topic {} has {count}", record.topic);
                return Err(NoPartition::Refused(reason));
            }
            (None, Some(key)) => outbox_kafka::partition(key, count),
            // A key that is null leaves the choice free, but it has to be the same after a restart.
            (None, None) => outbox_kafka::partition(event, count),
        };
        Ok(PartitionId(first + chosen.unsigned_abs()))
    }

    /// The topic and partition behind a number.
    pub(super) fn place(&self, partition: PartitionId) -> Option<&(Arc<Topic>, i32)> {
        usize::try_from(partition.0).ok().and_then(|index| self.partitions.get(index))
    }

    /// All that are known.
    pub(super) fn all(&self) -> Vec<Arc<Topic>> {
        self.known.values().map(|(topic, _)| Arc::clone(topic)).collect()
    }

    async fn learn(&mut self, name: &str) -> Result<&(Arc<Topic>, u32), NoPartition> {
        let topic = self.find_or_create(name).await?;
        let first = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        self.partitions.extend((0..topic.partitions()).map(|partition| (Arc::clone(&topic), partition)));
        Ok(self.known.entry(name.into()).or_insert((topic, first)))
    }

    async fn find_or_create(&self, name: &str) -> Result<Arc<Topic>, NoPartition> {
        let mut pause = Duration::from_millis(100);
        loop {
            self.status.waits();
            let found = match self.status.beating(self.cluster.topic(name)).await {
                Ok(Some(topic)) => return Ok(topic),
                Ok(None) => self.status.beating(self.create(name)).await,
                Err(e) => Err(e),
            };
            match found {
                Ok(topic) => return Ok(topic),
                Err(e) if e.is_transient() => {
                    tracing::warn!(target: "outbox.relay", topic = name, error = %ErrorChain::new(&e), "the topic cannot be seen");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
                Err(e) if e.code().is_some() => {
                    return Err(NoPartition::Refused(format!(
                        "topic {name} cannot be written: {}",
                        ErrorChain::new(&e)
                    )));
                }
                Err(e) => return Err(NoPartition::Failed(Error::kafka(format!("show the topic {name}"), e))),
            }
        }
    }

    async fn create(&self, name: &str) -> Result<Arc<Topic>, outbox_kafka::Error> {
        tracing::info!(target: "outbox.relay", topic = name, "the topic is missing: creating it");
        let mut topic = NewTopic { name: name.to_owned(), ..NewTopic::default() };
        if let Some(creation) = &self.creation {
            topic.partitions = Some(creation.partitions());
            topic.replication = Some(creation.replication_factor());
            topic.configs = creation.configs().iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        }
        self.cluster.create_topic(&topic).await
    }
}
