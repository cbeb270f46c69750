use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::store::Paused;

/// The pauses as of the last poll. Before the first poll everything is paused, so that a start obeys a pause.
pub struct Pauses {
    paused: watch::Sender<Vec<Paused>>,
    are_known: AtomicBool,
}

impl Default for Pauses {
    fn default() -> Self {
        let all = Paused { topic: String::new(), event_type: String::new() };
        Self { paused: watch::Sender::new(vec![all]), are_known: AtomicBool::new(false) }
    }
}

impl Pauses {
    pub fn are_known(&self) -> bool {
        self.are_known.load(Ordering::Relaxed)
    }

    pub fn learn(&self, paused: Vec<Paused>) {
        let were_known = self.are_known.swap(true, Ordering::Relaxed);
        self.paused.send_if_modified(|known| {
            let is_new = *known != paused;
            if is_new && (were_known || !paused.is_empty()) {
                tracing::info!(target: "outbox.consumer", paused = ?paused, "pauses changed");
            }
            *known = paused;
            is_new
        });
    }

    /// Adds a pause that was stored, before the next poll. Returns `false` if it is known.
    pub fn add(&self, pause: Paused) -> bool {
        self.paused.send_if_modified(|known| {
            let is_new = !known.contains(&pause);
            if is_new {
                known.push(pause);
            }
            is_new
        })
    }

    /// Returns whether everything of a topic is paused.
    pub fn is_topic_paused(&self, topic: &str) -> bool {
        self.paused.borrow().iter().any(|paused| paused.is_all_of(topic))
    }

    /// Returns whether events of a type are paused.
    pub fn is_paused(&self, topic: &str, event_type: &str) -> bool {
        self.paused.borrow().iter().any(|paused| paused.is_of(topic, event_type))
    }

    /// Waits until events of a type are not paused.
    pub async fn until_resumed(&self, topic: &str, event_type: &str) {
        let mut paused = self.paused.subscribe();
        // The sender is a field of this value, so this cannot fail.
        _ = paused.wait_for(|paused| !paused.iter().any(|paused| paused.is_of(topic, event_type))).await;
    }
}

/// The number of events of each topic and type that failed one after the other.
#[derive(Default)]
pub struct Breakers(Mutex<HashMap<(String, String), u32>>);

impl Breakers {
    pub fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
