use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::runtime::Shared;
use crate::source::{Chosen, PartitionReader as _, RecordSource as _};
use crate::{Consumer, Error, EventState};

/// Waits for a consumer's group to be idle.
///
/// ```no_run
/// # use std::time::Duration;
/// # use outbox_kafka_consumer::{Consumer, testing::Watch};
/// # async fn example(consumer: Consumer) -> Result<(), Box<dyn std::error::Error>> {
/// let watch = Watch::new(&consumer);
/// tokio::spawn(consumer.run(std::future::pending()));
/// // Produce events, and then:
/// tokio::time::timeout(Duration::from_secs(30), watch.idle()).await??;
/// # Ok(())
/// # }
/// ```
pub struct Watch {
    shared: Arc<Shared>,
}

const POLL: Duration = Duration::from_millis(50);
/// The number of parked events that are checked; more of them count as work.
const PARKED: u32 = 10_000;

impl Watch {
    /// Watches the group of a consumer, which need not run yet.
    #[must_use]
    pub fn new(consumer: &Consumer) -> Self {
        Self { shared: Arc::clone(consumer.shared()) }
    }

    /// Waits until the group's positions are at the ends of its topics, and no parked event waits for another attempt.
    ///
    /// Dead letters, and events parked behind one, are not waited for. Records that are produced meanwhile are waited
    /// for. Use a timeout, because a consumer that does not run, or a paused partition, never reaches this state.
    ///
    /// # Errors
    /// Kafka or the store cannot be asked.
    pub async fn idle(&self) -> Result<(), Error> {
        let topics = self.shared.registry.topics().into_iter().map(str::to_owned).collect();
        let mut readers = BTreeMap::new();
        loop {
            let mut is_idle = true;
            for (topic, partitions) in self.shared.cluster.partitions(&topics).await? {
                for partition in partitions? {
                    is_idle &= self.is_at_end(&mut readers, &topic, partition).await?;
                }
            }
            if is_idle && !self.has_attempts().await? {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn is_at_end(
        &self,
        readers: &mut BTreeMap<(String, i32), Chosen>,
        topic: &str,
        partition: i32,
    ) -> Result<bool, Error> {
        let reader = match readers.entry((topic.to_owned(), partition)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(self.shared.cluster.open(topic, partition).await?),
        };
        let end = reader.end().await?;
        Ok(match self.shared.store.position(topic, partition).await? {
            Some(position) => position >= end,
            None => reader.earliest().await? >= end,
        })
    }

    async fn has_attempts(&self) -> Result<bool, Error> {
        let parked = self.shared.store.list(&EventState::Parked.into(), 0, PARKED).await?;
        Ok(parked.len() as u64 >= u64::from(PARKED) || parked.iter().any(|held| held.next_attempt_at.is_some()))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("group", &self.shared.store.group).finish_non_exhaustive()
    }
}
