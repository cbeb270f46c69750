//! The treatment of one record, as the policies for records say.

use outbox_net::ErrorChain;
use std::sync::Arc;

use outbox_core::record::{DecodeHints, Decoded, DecodedEvent, NotAnEvent, ShortText};
use outbox_core::uuid::Uuid;
use tokio::sync::OwnedSemaphorePermit;

use super::{Shared, measure};
use crate::Error;
use crate::handler::Kind;
use crate::policy::RecordPolicy;
use crate::received::Delivery;
use crate::registry::Found;
use crate::registry::Route;
use crate::source::Message;
use crate::store::{Entry, HeldEventTask};

/// The reason why a record is undecodable.
const FOREIGN: &str = "the record is not of this pipeline";
const NO_ID: &str = "it has no header `id`, as records of the outbox have";

/// The work of a lane.
pub enum Work {
    Event(Item),
    HeldEventTask(HeldEventTask),
}

/// A record that asks for something to be done.
pub struct Item {
    pub offset: i64,
    /// The record as it was received, to be kept if it cannot be handled.
    pub message: Message,
    pub id: Option<Uuid>,
    pub event_type: Option<ShortText>,
    pub todo: Todo,
    pub delivery: Delivery,
    /// Its shares of the memory of its partition and of the process.
    pub permits: [Option<OwnedSemaphorePermit>; 2],
}

pub enum Todo {
    /// The event is taken out when the handler gets it, and decoded again if the handler failed.
    Handle { event: Option<Box<DecodedEvent>>, route: Arc<Route> },
    /// The handler outside of the transaction has returned: only that is to be recorded.
    Called { route: Arc<Route> },
    /// Its policy says that it becomes a dead letter.
    Reject(String),
    /// Its policy says that it waits for a consumer that can take it.
    Hold(String),
    /// The process ended too often while it was handled alone.
    Poison,
}

impl Item {
    /// Returns the event's type; empty if it is not known.
    pub fn event_type(&self) -> &str {
        self.event_type.as_ref().map_or("", |name| name.as_str())
    }

    pub fn entry(&self) -> Entry {
        Entry { id: self.id, offset: self.offset, key: self.message.key_bytes() }
    }

    /// Returns the handlers of its event.
    pub fn route(&self) -> Option<&Arc<Route>> {
        match &self.todo {
            Todo::Handle { route, .. } | Todo::Called { route } => Some(route),
            _ => None,
        }
    }

    /// Returns whether a handler outside of the transaction has yet to be called.
    pub fn is_outside(&self) -> bool {
        matches!(&self.todo, Todo::Handle { route, .. } if route.kind() == Kind::Outside)
    }

    /// Returns whether it may share a transaction with others.
    pub fn is_batched(&self) -> bool {
        matches!(&self.todo, Todo::Handle { route, .. } if route.kind() != Kind::Outside)
    }
}

impl Shared {
    /// Decides what is to be done with a record; `None` if there is nothing to do.
    ///
    /// # Errors
    /// The policy says that the partition stops here.
    pub fn sort(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
        message: Message,
        hints: &mut DecodeHints,
    ) -> Result<Option<Item>, Error> {
        let stop = |reason: String| Error::record(topic, partition, offset, reason);
        let item = |message, id, event_type, todo| {
            Some(Item { offset, message, id, event_type, todo, delivery: Delivery::FIRST, permits: [None, None] })
        };
        let decoded = match message.decode(&self.pipeline, topic, hints) {
            Ok(Decoded::Event(event)) => event,
            // Tombstones, heartbeats and other records of the connector.
            Ok(Decoded::NotAnEvent(reason, ())) if reason != NotAnEvent::NoEventId => return Ok(None),
            undecodable => {
                let cause: Box<dyn std::error::Error + Send + Sync> = match undecodable {
                    Err(e) => e.into(),
                    Ok(_) => NO_ID.into(),
                };
                // `Fault::of_handler` applies the same policy to payloads that cannot be read.
                let why = || format!("{FOREIGN}: {}", ErrorChain::new(&*cause));
                return match self.options.on_undecodable_record {
                    RecordPolicy::Skip => {
                        let error = ErrorChain::new(&*cause);
                        tracing::warn!(target: "outbox.consumer", topic, partition, offset, %error, "record skipped: it cannot be decoded");
                        measure::ignored(topic, "undecodable");
                        Ok(None)
                    }
                    RecordPolicy::DeadLetter => Ok(item(message, None, None, Todo::Reject(why()))),
                    RecordPolicy::Park => Ok(item(message, None, None, Todo::Hold(why()))),
                    RecordPolicy::Stop => Err(stop(FOREIGN.to_owned()).caused_by(cause)),
                };
            }
        };

        let (id, event_type) = (Some(decoded.id), decoded.event_type.clone());
        let found = self.registry.find(topic, &decoded);
        let policy = match found {
            Found::TooNew { .. } => self.options.on_newer_version,
            // Another version of the program has a handler for it, and will get the partition.
            Found::Nothing
                if self.options.on_unknown_event == RecordPolicy::Skip
                    && self.ignored.is_handled_by_group(topic, &decoded) =>
            {
                RecordPolicy::Park
            }
            _ => self.options.on_unknown_event,
        };

        if policy == RecordPolicy::Skip && !matches!(found, Found::Route(_)) {
            self.ignored.note(topic, &decoded, &found);
            return Ok(None);
        }

        let why = match found {
            Found::Route(route) => {
                let todo = Todo::Handle { event: Some(decoded), route: Arc::clone(route) };
                return Ok(item(message, id, event_type, todo));
            }
            Found::TooNew { newest } => format!(
                "its schema version {} is newer than {newest}, the newest that its handler reads",
                decoded.schema_version.unwrap_or(0)
            ),
            Found::Nothing => {
                format!(
                    "no handler is registered for the event type {}",
                    decoded.event_type.as_deref().unwrap_or("(none)")
                )
            }
        };

        match policy {
            RecordPolicy::Stop => Err(stop(why)),
            RecordPolicy::Park => Ok(item(message, id, event_type, Todo::Hold(why))),
            _ => Ok(item(message, id, event_type, Todo::Reject(why))),
        }
    }

    /// Returns the handlers of a record's event.
    pub fn route(&self, topic: &str, message: &Message) -> Option<Arc<Route>> {
        match message.decode(&self.pipeline, topic, &mut DecodeHints::default()) {
            Ok(Decoded::Event(event)) => match self.registry.find(topic, &event) {
                Found::Route(route) => Some(Arc::clone(route)),
                _ => None,
            },
            _ => None,
        }
    }
}
