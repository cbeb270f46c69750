use tokio::sync::watch;

use crate::store::Paused;

/// What is paused, as of the last poll.
pub(crate) struct Pauses(watch::Sender<Vec<Paused>>);

impl Default for Pauses {
    fn default() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }
}

impl Pauses {
    pub(super) fn learn(&self, paused: Vec<Paused>) {
        self.0.send_if_modified(|known| {
            let is_new = *known != paused;
            if is_new {
                tracing::info!(target: "outbox.consumer", paused = ?paused, "pauses changed");
                *known = paused;
            }
            is_new
        });
    }

    /// Adds a pause that was written, before the next poll. False if it is known.
    pub(super) fn add(&self, pause: Paused) -> bool {
        self.0.send_if_modified(|known| {
            let is_new = !known.contains(&pause);
            if is_new {
                known.push(pause);
            }
            is_new
        })
    }

    /// Returns whether everything of a topic is paused.
    pub(super) fn is_topic_paused(&self, topic: &str) -> bool {
        self.0.borrow().iter().any(|paused| paused.is_all_of(topic))
    }

    /// Returns whether events of a type are paused.
    pub(super) fn is_paused(&self, topic: &str, event_type: &str) -> bool {
        self.0.borrow().iter().any(|paused| paused.is_of(topic, event_type))
    }

    /// Waits until events of a type are not paused.
    pub(super) async fn until_going(&self, topic: &str, event_type: &str) {
        let mut paused = self.0.subscribe();
        // The sender is this.
        _ = paused.wait_for(|paused| !paused.iter().any(|paused| paused.is_of(topic, event_type))).await;
    }
}
