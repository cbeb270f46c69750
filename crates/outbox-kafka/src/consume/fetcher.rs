use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::decoder::Limits;
use super::director::{Assigned, Director};
use super::inbox::Inbox;
use super::{Budget, PartitionStream};
use crate::{Cluster, Topic};

/// How much a [`Fetcher`] fetches, and how long brokers wait for records.
#[derive(Clone, Debug)]
pub struct FetchLimits {
    /// The bytes of all partitions together, from a broker's answer until the last record in it is dropped. A request
    /// to each broker and one batch of each partition may exceed it. 64 MiB by default.
    pub budget: usize,
    /// The bytes of one request. A broker sends at least one batch. 8 MiB by default.
    pub request: usize,
    /// The bytes of one partition in one request, and the bytes that wait for its stream. 1 MiB by default.
    pub partition: usize,
    /// How long a broker waits for a record if it has none (`fetch.max.wait.ms`). 500 ms by default.
    pub max_wait: Duration,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self { budget: 64 << 20, request: 8 << 20, partition: 1 << 20, max_wait: Duration::from_millis(500) }
    }
}

/// Reads any number of partitions of a cluster, over one connection to each broker. A clone is the same fetcher.
///
/// Its task ends when the last clone and the last stream are dropped.
#[derive(Clone)]
pub struct Fetcher(Arc<Shared>);

/// The state that the streams, the fetcher and its task share.
pub(super) struct Shared {
    pub(super) cluster: Arc<Cluster>,
    pub(super) limits: FetchLimits,
    pub(super) budget: Budget,
    pub(super) queue: Arc<Queue>,
    task: OnceLock<AbortHandle>,
}

/// The work that the fetching task waits for.
#[derive(Debug, Default)]
pub(super) struct Queue {
    opened: Mutex<Vec<Assigned>>,
    /// A stream was opened, was dropped, has room, or has another offset.
    pub(super) changed: Notify,
}

impl Queue {
    pub(super) fn opened(&self) -> Vec<Assigned> {
        std::mem::take(&mut *self.opened.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn open(&self, assigned: Assigned) {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).push(assigned);
        self.changed.notify_one();
    }
}

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
        shared.queue.open(Assigned::new(Arc::clone(topic), partition, Arc::clone(&inbox)));
        let limits = Limits { decompressed: shared.cluster.settings().max_answer, budget: shared.budget.clone() };
        PartitionStream::new(Arc::clone(shared), inbox, limits, offset)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
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

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("limits", &self.limits).finish_non_exhaustive()
    }
}
