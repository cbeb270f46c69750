use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Shared;
use super::failed::Failed;
use crate::Error;
use crate::store::Paused;

/// How many events of each topic and type failed one after the other.
#[derive(Default)]
pub(crate) struct Breakers(Mutex<HashMap<(String, String), u32>>);

impl Breakers {
    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Counts an event that was handled.
    pub(super) fn succeeded(&self, topic: &str, event_type: &str) {
        if self.options.circuit_breaker.is_some() {
            self.breakers.lock().retain(|(of, kind), _| of != topic || kind != event_type);
        }
    }

    /// Counts an event that failed for the first time. After that many in a row its type is paused: true then, and the
    /// event is to be handled again after the pause instead of being parked.
    pub(super) async fn breaks(&self, topic: &str, event_type: &str, failed: &Failed) -> Result<bool, Error> {
        let Some(breaker) = self.options.circuit_breaker.filter(|_| failed.may_be_a_dependency()) else {
            return Ok(false);
        };
        let failures = {
            let mut counts = self.breakers.lock();
            let count = counts.entry((topic.to_owned(), event_type.to_owned())).or_default();
            *count = count.saturating_add(1);
            *count
        };
        if failures < breaker.failures() {
            return Ok(false);
        }

        let paused = Paused { topic: topic.to_owned(), event_type: event_type.to_owned() };
        let reason = format!("circuit breaker: {failures} failures in a row, the last one: {}", failed.error);
        self.store.pause(&paused, &reason, Some(breaker.pause())).await?;
        if self.pauses.add(paused) {
            tracing::warn!(
                target: "outbox.consumer", topic, event_type, failures, pause = ?breaker.pause(), error = failed.error,
                "circuit breaker opened: event type paused"
            );
            super::measure::breaker(topic);
        }
        Ok(true)
    }
}
