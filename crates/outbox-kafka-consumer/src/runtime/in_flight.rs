use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, RwLock};

use crate::protocol::OffsetTracker;
use crate::store::{Fence, Progress};

/// The state that the lanes of a partition share.
pub struct InFlight {
    pub topic: Arc<str>,
    pub partition: i32,
    pub fence: Fence,
    pub prefix: Mutex<OffsetTracker>,
    /// Tasks with held events that lanes have.
    pub tasks: AtomicUsize,
    /// The notification that a lane has finished work.
    pub progress: Notify,
    /// A lock that transactions share. A transaction that loses every conflict holds it exclusively.
    pub turns: RwLock<()>,
    /// A handler has changed settings that its events do not share, and the log says so.
    pub has_changed_settings: AtomicBool,
    /// A handler has changed a setting, and it is not known yet whether for longer than its transaction.
    pub checks_all_settings: AtomicBool,
    /// One after the last record, as of the last fetch and as it is in the store; negative before the first one.
    end: AtomicI64,
    stored_end: AtomicI64,
    /// The offset below which a handler may have been called.
    called_until: AtomicI64,
}

impl InFlight {
    pub fn new(topic: Arc<str>, partition: i32, fence: Fence, next_offset: i64) -> Self {
        Self {
            topic,
            partition,
            fence,
            prefix: Mutex::new(OffsetTracker::new(next_offset)),
            tasks: AtomicUsize::new(0),
            progress: Notify::new(),
            turns: RwLock::new(()),
            has_changed_settings: AtomicBool::new(false),
            checks_all_settings: AtomicBool::new(false),
            end: AtomicI64::new(-1),
            stored_end: AtomicI64::new(-1),
            called_until: AtomicI64::new(0),
        }
    }

    /// Notes that an event was given to a lane.
    pub fn deal(&self, offset: i64) {
        self.prefix().deal(offset);
        self.called_until.fetch_max(offset.saturating_add(1), Ordering::Relaxed);
    }

    /// Returns the offset below which a handler may have been called.
    pub fn called_until(&self) -> i64 {
        self.called_until.load(Ordering::Relaxed)
    }

    /// Notes the end of the partition. An earlier one is of a fetch that was waiting.
    pub fn set_end(&self, end: i64) {
        self.end.fetch_max(end, Ordering::Relaxed);
    }

    pub fn end(&self) -> Option<i64> {
        Some(self.end.load(Ordering::Relaxed)).filter(|end| *end >= 0)
    }

    /// Returns the end of the partition, if the store does not have it yet.
    pub fn progress_to_store(&self) -> Option<Progress> {
        let prefix = self.prefix();
        let is_new_end = self.end.load(Ordering::Relaxed) != self.stored_end.load(Ordering::Relaxed);
        let position = prefix.to_store().or(is_new_end.then(|| prefix.done()))?;
        Some(Progress { fence: self.fence, position, end: self.end() })
    }

    pub fn stored(&self, progress: Progress) {
        self.prefix().stored(progress.position);
        self.stored_end.store(progress.end.unwrap_or(-1), Ordering::Relaxed);
    }

    /// Returns whether the lanes have finished all tasks with held events.
    pub fn has_room_for_tasks(&self) -> bool {
        self.tasks.load(Ordering::Relaxed) == 0
    }

    pub fn prefix(&self) -> MutexGuard<'_, OffsetTracker> {
        self.prefix.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether everything that was dealt is done.
    pub fn is_idle(&self) -> bool {
        self.prefix().is_idle() && self.has_room_for_tasks()
    }
}
