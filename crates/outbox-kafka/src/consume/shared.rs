//! The state that the fetcher, its task and its streams share.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::Budget;
use super::inbox::Inbox;
use crate::{Cluster, Topic};

/// The amount that a [`Fetcher`](super::Fetcher) fetches, and the time that brokers wait for records.
#[derive(Clone, Debug)]
pub struct FetchLimits {
    /// The bytes of all partitions together, from a broker's answer until the last record in it is dropped. A request
    /// to each broker and one batch of each partition may exceed it. 64 MiB by default.
    pub budget: usize,
    /// The bytes of one request. A broker sends at least one batch. 8 MiB by default.
    pub request: usize,
    /// The bytes of one partition in one request, and the bytes that wait for its stream. 1 MiB by default.
    pub partition: usize,
    /// The time that a broker waits for a record if it has none (`fetch.max.wait.ms`). 500 ms by default.
    pub max_wait: Duration,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self { budget: 64 << 20, request: 8 << 20, partition: 1 << 20, max_wait: Duration::from_millis(500) }
    }
}

/// The state that the streams, the fetcher and its task share.
pub(super) struct Shared {
    pub(super) cluster: Arc<Cluster>,
    pub(super) limits: FetchLimits,
    pub(super) budget: Budget,
    pub(super) queue: Arc<Queue>,
    pub(super) task: OnceLock<AbortHandle>,
}

/// A partition that was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) topic: Arc<Topic>,
    pub(super) partition: i32,
    pub(super) inbox: Arc<Inbox>,
}

/// The work that the fetching task waits for.
#[derive(Debug, Default)]
pub(super) struct Queue {
    opened: Mutex<Vec<Opened>>,
    /// A stream was opened, was dropped, has room, or has another offset.
    pub(super) changed: Notify,
}

impl Queue {
    pub(super) fn opened(&self) -> Vec<Opened> {
        std::mem::take(&mut *self.opened.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn open(&self, opened: Opened) {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).push(opened);
        self.changed.notify_one();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("limits", &self.limits).finish_non_exhaustive()
    }
}
