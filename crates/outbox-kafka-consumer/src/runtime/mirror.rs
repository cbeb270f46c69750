//! Positions as Kafka's tools see them: the committed offsets of a consumer group of the same name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use outbox_kafka::GroupOffset;
use outbox_net::ErrorChain;

use super::{Shared, TopicPartition};
use crate::Error;

/// How often positions are mirrored.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long the last positions may take at shutdown.
const LAST: Duration = Duration::from_secs(2);

impl Shared {
    /// Commits the positions that were moved, every few seconds.
    pub(super) async fn mirror(self: Arc<Self>) -> Result<(), Error> {
        let mut failing = None;
        loop {
            tokio::time::sleep(INTERVAL).await;
            self.mirror_moved(&mut failing).await;
        }
    }

    /// Commits the positions of partitions that were given back at shutdown.
    pub(super) async fn mirror_last(&self) {
        if self.options.kafka_group {
            _ = tokio::time::timeout(LAST, self.mirror_moved(&mut None)).await;
        }
    }

    /// Writes moved positions to Kafka. Nothing depends on it: what fails is logged when it changes, and repeated
    /// later.
    async fn mirror_moved(&self, failing: &mut Option<String>) {
        let moved = self.upkeep.take_moved();
        if moved.is_empty() {
            return;
        }
        let offset = |((topic, partition), offset): (&TopicPartition, &i64)| GroupOffset {
            topic: topic.clone(),
            partition: *partition,
            offset: *offset,
        };
        let offsets: Vec<GroupOffset> = moved.iter().map(offset).collect();
        match self.cluster.brokers().cluster().commit_offsets(&self.store.group, &offsets).await {
            Ok(()) => *failing = None,
            Err(e) => {
                let error = ErrorChain::new(&e).to_string();
                if failing.as_ref() != Some(&error) {
                    tracing::warn!(
                        target: "outbox.consumer", group = self.store.group, error,
                        "cannot mirror positions to the Kafka consumer group, retrying"
                    );
                    *failing = Some(error);
                }
                self.upkeep.put_back(moved);
            }
        }
    }
}

/// Positions in the store that are not mirrored yet.
pub(super) type Moved = BTreeMap<TopicPartition, i64>;
