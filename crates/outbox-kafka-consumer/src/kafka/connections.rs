use std::sync::Arc;

use outbox_kafka::Topic;
use rskafka::client::partition::{PartitionClient, UnknownTopicHandling};

use super::clients::{Clients, SharedClient, bounded};
use crate::Error;
use crate::brokers::Brokers;

/// The connections of all partitions that rskafka reads.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    brokers: Brokers,
    clients: Clients,
}

/// A partition at its leader.
#[derive(Debug)]
pub struct Opened {
    pub client: PartitionClient,
    shared: Arc<SharedClient>,
}

impl Connections {
    pub fn new(brokers: Brokers) -> Self {
        Self(Arc::new(Inner { brokers, clients: Clients::default() }))
    }

    pub fn brokers(&self) -> &Brokers {
        &self.0.brokers
    }

    /// Opens a partition at its leader. rskafka is not asked about a partition that does not exist: it would create the
    /// topic.
    pub async fn open(&self, topic: &Topic, partition: i32) -> Result<Opened, Error> {
        let Inner { brokers, clients } = &*self.0;
        let doing = format!("open topic {}, partition {partition}", topic.name());
        let leader = brokers.cluster().leader_address(topic, partition).await;
        let leader = leader.map_err(|e| Error::kafka(&doing).caused_by(e))?;
        let shared = clients.at(&leader, &brokers.settings().security).await?;
        let opened = shared.partition_client(topic.name(), partition, UnknownTopicHandling::Error);

        match bounded(&doing, opened).await {
            Ok(client) => Ok(Opened { client, shared }),
            Err(e) => {
                clients.retire(&shared);
                Err(e)
            }
        }
    }

    /// Closes a partition after a failure. The next open connects again.
    pub fn retire(&self, failed: &Opened) {
        self.0.clients.retire(&failed.shared);
    }
}
