use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use outbox_core::record::DecodedEvent;

use super::measure;
use crate::registry::{ALL_OTHERS, Found, handled};

/// The kinds of events that the policy skips. Each kind is logged once, and every event is counted.
#[derive(Debug, Default)]
pub struct Ignored {
    logged: Mutex<BTreeSet<Kind>>,
    /// The events that consumers of the group have handlers for, as in
    /// [`Registry::handles`](crate::registry::Registry::handles).
    by_group: Mutex<BTreeSet<String>>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    topic: String,
    event_type: Option<String>,
    /// The schema version, if it is newer than those that the handlers read.
    version: Option<u32>,
}

/// The largest number of kinds that are stored: types come from outside.
const MOST: usize = 1_000;

impl Ignored {
    /// Updates the events that consumers of the group have handlers for, including consumers that ended recently.
    pub fn learn(&self, by_group: BTreeSet<String>) {
        *self.by_group.lock().unwrap_or_else(PoisonError::into_inner) = by_group;
    }

    pub fn is_handled_by_group(&self, topic: &str, event: &DecodedEvent) -> bool {
        let by_group = self.by_group.lock().unwrap_or_else(PoisonError::into_inner);
        let is_handled = |event_type: &str| by_group.contains(&handled(topic, event_type));
        event.event_type.as_deref().is_some_and(is_handled) || is_handled(ALL_OTHERS)
    }

    /// Counts a skipped event, and logs its kind the first time.
    pub fn note(&self, topic: &str, event: &DecodedEvent, found: &Found<'_>) {
        let newest = match found {
            Found::Route(_) => return,
            Found::TooNew { newest } => Some(*newest),
            Found::Nothing => None,
        };
        measure::ignored(topic, if newest.is_some() { "newer" } else { "unknown" });

        let (event_type, version) = (event.event_type.as_deref(), newest.and(event.schema_version));
        let kind = Kind { topic: topic.to_owned(), event_type: event_type.map(str::to_owned), version };
        {
            let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
            if logged.len() >= MOST || !logged.insert(kind) {
                return;
            }
        }

        match newest {
            Some(newest) => tracing::warn!(
                target: "outbox.consumer", topic, event_type, version, newest,
                "events of a schema version newer than their handler's are ignored: Builder::on_newer_version says otherwise"
            ),
            None => {
                tracing::info!(target: "outbox.consumer", topic, event_type, "events without a handler are ignored")
            }
        }
    }
}
