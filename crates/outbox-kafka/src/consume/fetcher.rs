use std::fmt;
use std::sync::{Arc, OnceLock};

use super::decoder::Limits;
use super::director::Director;
use super::inbox::Inbox;
use super::shared::{Opened, Shared};
use super::{Budget, FetchLimits, PartitionStream};
use crate::{Cluster, Topic};

/// Reads any number of partitions of a cluster, over one connection to each broker. A clone is the same fetcher.
///
/// Its task ends when the last clone and the last stream are dropped.
#[derive(Clone)]
pub struct Fetcher(Arc<Shared>);

impl Fetcher {
    /// Creates a fetcher. It connects when the first partition is opened.
    pub fn new(cluster: Arc<Cluster>, limits: FetchLimits) -> Self {
        let budget = Budget::new(limits.budget);
        Self(Arc::new(Shared { cluster, limits, budget, queue: Arc::default(), task: OnceLock::new() }))
    }

    /// Returns the cluster that it reads from.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.0.cluster
    }

    /// Returns the bytes of fetched records that are in memory.
    pub fn used(&self) -> usize {
        self.0.budget.used()
    }

    /// Reads a partition from an offset on. It is fetched ahead at once.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn open(&self, topic: &Arc<Topic>, partition: i32, offset: i64) -> PartitionStream {
        let shared = &self.0;
        shared.task.get_or_init(|| {
            let director = Director::new(
                Arc::clone(&shared.cluster),
                shared.limits.clone(),
                shared.budget.clone(),
                Arc::clone(&shared.queue),
            );
            tokio::spawn(director.run()).abort_handle()
        });

        let inbox = Arc::new(Inbox::new(offset));
        shared.queue.open(Opened { topic: Arc::clone(topic), partition, inbox: Arc::clone(&inbox) });
        let limits = Limits { decompressed: shared.cluster.settings().max_answer, budget: shared.budget.clone() };
        PartitionStream::new(Arc::clone(shared), inbox, limits, offset)
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("limits", &self.0.limits)
            .field("used", &self.0.budget.used())
            .finish_non_exhaustive()
    }
}
