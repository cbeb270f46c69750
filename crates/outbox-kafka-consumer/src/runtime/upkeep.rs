//! The work that a process does for all its partitions at once: positions are moved, due events and requests are found,
//! pauses are learned. Its cost does not grow with partitions that have nothing to do.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

use super::in_flight::InFlight;
use super::pauses::Pauses;
use crate::store::{Due, HeldEventTask, Progress, Wanted};

/// The interval at which due events and requests are looked for while nothing is known to be due.
pub const POLL: Duration = Duration::from_millis(500);
/// The shortest time between two polls.
pub const PAUSE: Duration = Duration::from_millis(50);

/// The news for a partition.
#[derive(Debug)]
pub enum News {
    HeldEvents(Vec<HeldEventTask>),
    /// Another owner has the partition, or its position was moved.
    Fenced,
}

/// Positions in the store that are not mirrored yet.
pub type Moved = BTreeMap<(String, i32), i64>;

/// The partitions that this process reads.
#[derive(Default)]
pub struct Upkeep {
    /// The partitions, by the id of their position.
    partitions: Mutex<HashMap<i64, Registered>>,
    /// The notification that something is due earlier.
    sooner: Notify,
    next_due: Mutex<Option<Instant>>,
    moved: Mutex<Moved>,
    /// Below these offsets this process may have called a handler, also if it has lost the partition since.
    called_until: Mutex<HashMap<(String, i32), i64>>,
}

pub struct Registered {
    in_flight: Arc<InFlight>,
    news: mpsc::Sender<News>,
}

impl Registered {
    pub fn new(in_flight: Arc<InFlight>, news: mpsc::Sender<News>) -> Self {
        Self { in_flight, news }
    }

    pub fn is_for(&self, in_flight: &Arc<InFlight>) -> bool {
        Arc::ptr_eq(&self.in_flight, in_flight)
    }
}

impl Upkeep {
    pub fn lock(&self) -> MutexGuard<'_, HashMap<i64, Registered>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that something will be due at this time.
    pub fn due_in(&self, delay: Duration) {
        let at = Instant::now() + delay;
        let mut next = self.next_due.lock().unwrap_or_else(PoisonError::into_inner);
        if next.is_none_or(|next| at < next) {
            *next = Some(at);
            self.sooner.notify_one();
        }
    }

    /// Returns the positions in the store that were moved since the last call.
    pub fn take_moved(&self) -> Moved {
        std::mem::take(&mut *self.moved.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns positions that are to be taken again, unless there are newer ones.
    pub fn put_back(&self, moved: Moved) {
        let mut newer = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, position) in moved {
            newer.entry(place).or_insert(position);
        }
    }

    /// Notes a position in the store.
    pub fn note_stored(&self, in_flight: &InFlight, position: i64) {
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        moved.insert((in_flight.topic.to_string(), in_flight.partition), position);
    }

    /// Notes the positions of all partitions as if they were moved.
    pub fn note_all_stored(&self) {
        let positions: Moved = {
            let place = |in_flight: &InFlight| (in_flight.topic.to_string(), in_flight.partition);
            let position = |in_flight: &InFlight| (place(in_flight), in_flight.prefix().position());
            self.lock().values().map(|registered| position(&registered.in_flight)).collect()
        };
        self.put_back(positions);
    }

    /// Notes how far handlers of a partition may have been called.
    pub fn note_called(&self, in_flight: &InFlight) {
        let mut called = self.called_until.lock().unwrap_or_else(PoisonError::into_inner);
        let until = called.entry((in_flight.topic.to_string(), in_flight.partition)).or_default();
        *until = in_flight.called_until().max(*until);
    }

    /// Returns the offset below which this process may have called a handler before.
    pub fn called_until(&self, topic: &str, partition: i32) -> i64 {
        let called = self.called_until.lock().unwrap_or_else(PoisonError::into_inner);
        called.get(&(topic.to_owned(), partition)).copied().unwrap_or(0)
    }

    /// Waits until the next poll.
    pub async fn poll_time(&self, last: Instant) {
        loop {
            let due = *self.next_due.lock().unwrap_or_else(PoisonError::into_inner);
            let at = due.map_or(last + POLL, |due| due.clamp(last + PAUSE, last + POLL));
            tokio::select! {
                () = sleep_until(at) => break,
                () = self.sooner.notified() => {}
            }
        }
        *self.next_due.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub fn wanted(&self, pauses: &Pauses) -> Vec<Wanted> {
        let wanted = |registered: &Registered| Wanted {
            fence: registered.in_flight.fence,
            takes_errands: registered.in_flight.has_room_for_tasks()
                && registered.news.capacity() > 0
                && !pauses.is_topic_paused(&registered.in_flight.topic),
        };
        self.lock().values().map(wanted).collect()
    }

    /// Passes on the results of a poll. Work that a partition does not accept is found again.
    pub fn hand_on(&self, mut due: Due) {
        for (id, registered) in &*self.lock() {
            let news = match due.errands.remove(id) {
                _ if due.fenced.contains(&registered.in_flight.fence) => News::Fenced,
                Some(tasks) => News::HeldEvents(tasks),
                None => continue,
            };
            _ = registered.news.try_send(news);
        }
    }

    /// Returns the stored positions that are lower than the completed ones.
    pub fn progress(&self) -> Vec<(Arc<InFlight>, Progress)> {
        let of = |registered: &Registered| {
            let progress = registered.in_flight.progress_to_store()?;
            Some((Arc::clone(&registered.in_flight), progress))
        };
        self.lock().values().filter_map(of).collect()
    }
}
