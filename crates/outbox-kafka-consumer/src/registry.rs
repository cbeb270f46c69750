use std::collections::BTreeSet;
use std::sync::Arc;

use outbox_core::{AggregateType, DecodedEvent, EventField, Pipeline};

use crate::Error;
use crate::handler::Registered;

/// Which handler is for which event.
pub(crate) struct Registry {
    entries: Vec<Entry>,
    otherwise: Option<Arc<Registered>>,
}

struct Entry {
    topic: String,
    registration: Registration,
}

/// A handler that waits for the pipeline, which tells its topic.
pub(crate) struct Registration {
    pub(crate) aggregate_type: String,
    pub(crate) event_type: String,
    /// The newest version that it reads; a raw handler reads all.
    pub(crate) version: Option<u32>,
    pub(crate) handler: Arc<Registered>,
}

/// What the registry has for an event.
pub(crate) enum Found<'a> {
    Handler(&'a Arc<Registered>),
    /// A handler that reads versions up to this one only.
    TooNew {
        newest: u32,
    },
    Nothing,
}

/// In place of an event type: a handler for all that have none.
pub(crate) const ALL_OTHERS: &str = "*";

/// Returns how the group's members tell each other that they have a handler for an event type of a topic.
pub(crate) fn handled(topic: &str, event_type: &str) -> String {
    format!("{topic}/{event_type}")
}

impl Registry {
    /// Returns all that this consumer has handlers for.
    pub(crate) fn handles(&self) -> Vec<String> {
        let typed = self.entries.iter().map(|entry| handled(&entry.topic, &entry.registration.event_type));
        let others =
            self.otherwise.iter().flat_map(|_| self.topics().into_iter().map(|topic| handled(topic, ALL_OTHERS)));
        typed.chain(others).collect()
    }

    pub(crate) fn new(
        pipeline: &Pipeline,
        registrations: Vec<Registration>,
        otherwise: Option<Registered>,
    ) -> Result<Self, Error> {
        if registrations.is_empty() {
            return Err(Error::build("no handler is registered"));
        }
        if !pipeline.carries(EventField::EventType) {
            let remedy = "add event_type:header to transforms.outbox.table.fields.additional.placement";
            return Err(Error::build(format!("the pipeline's records do not tell the type of an event: {remedy}")));
        }
        let mut entries: Vec<Entry> = Vec::new();
        for registration in registrations {
            let Registration { aggregate_type, event_type, .. } = &registration;
            let of = |e| Error::build(format!("a handler of {aggregate_type} {event_type} has no topic")).caused_by(e);
            let topic = AggregateType::new(&**aggregate_type).and_then(|name| pipeline.topic(&name)).map_err(of)?;
            let is_known = |known: &Entry| {
                known.registration.aggregate_type == *aggregate_type && known.registration.event_type == *event_type
            };
            if entries.iter().any(is_known) {
                return Err(Error::build(format!("two handlers are registered for {aggregate_type} {event_type}")));
            }
            entries.push(Entry { topic, registration });
        }
        Ok(Self { entries, otherwise: otherwise.map(Arc::new) })
    }

    pub(crate) fn topics(&self) -> BTreeSet<&str> {
        self.entries.iter().map(|entry| entry.topic.as_str()).collect()
    }

    pub(crate) fn find(&self, topic: &str, event: &DecodedEvent) -> Found<'_> {
        let is_for = |entry: &&Entry| {
            let registration = &entry.registration;
            entry.topic == topic
                && event.event_type.as_deref() == Some(registration.event_type.as_str())
                && event.aggregate_type.as_ref().is_none_or(|name| *name == registration.aggregate_type)
        };
        let registration = self.entries.iter().find(is_for).map(|entry| &entry.registration);
        match (registration, &self.otherwise) {
            (Some(registration), _) => match (event.schema_version, registration.version) {
                (Some(version), Some(newest)) if version > newest => Found::TooNew { newest },
                _ => Found::Handler(&registration.handler),
            },
            (None, Some(handler)) => Found::Handler(handler),
            (None, None) => Found::Nothing,
        }
    }
}
