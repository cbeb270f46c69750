use std::collections::BTreeSet;
use std::sync::Arc;

use outbox_core::Pipeline;
use outbox_core::event::AggregateType;
use outbox_core::layout::EventField;
use outbox_core::record::DecodedEvent;

use crate::Error;
use crate::handler::Registered;
use crate::route::Route;

/// Which handlers are for which event.
pub(crate) struct Registry {
    entries: Vec<Entry>,
    otherwise: Option<Arc<Route>>,
}

struct Entry {
    topic: String,
    aggregate_type: String,
    event_type: String,
    /// The newest version that all of its handlers read; raw handlers read all.
    version: Option<u32>,
    route: Arc<Route>,
}

/// A handler that waits for the pipeline, which has its topic.
pub(crate) struct Registration {
    pub(crate) aggregate_type: String,
    pub(crate) event_type: String,
    /// The newest version that it reads; a raw handler reads all.
    pub(crate) version: Option<u32>,
    pub(crate) handler: Registered,
}

/// The entry of the registry for an event.
pub(crate) enum Found<'a> {
    Route(&'a Arc<Route>),
    /// Handlers that read versions up to this one only.
    TooNew {
        newest: u32,
    },
    Nothing,
}

/// In place of an event type: a handler for all that have none.
pub(crate) const ALL_OTHERS: &str = "*";

/// Returns how the group's members report each other that they have a handler for an event type of a topic.
pub(crate) fn handled(topic: &str, event_type: &str) -> String {
    format!("{topic}/{event_type}")
}

impl Registry {
    /// Returns all that this consumer has handlers for.
    pub(crate) fn handles(&self) -> Vec<String> {
        let typed = self.entries.iter().map(|entry| handled(&entry.topic, &entry.event_type));
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
            return Err(Error::build(format!("the pipeline's records do not carry the type of an event: {remedy}")));
        }
        let mut entries: Vec<Entry> = Vec::new();
        for Registration { aggregate_type, event_type, version, handler } in registrations {
            let is_same = |entry: &&mut Entry| entry.aggregate_type == aggregate_type && entry.event_type == event_type;
            if let Some(entry) = entries.iter_mut().find(is_same) {
                entry.version = [entry.version, version].into_iter().flatten().min();
                if !Arc::get_mut(&mut entry.route).is_some_and(|route| route.add(handler)) {
                    return Err(Error::build(format!(
                        "a handler outside of the transaction shares {aggregate_type} {event_type} with another \
                         handler: register it with a consumer of another group"
                    )));
                }
                continue;
            }
            let of = |e| Error::build(format!("a handler of {aggregate_type} {event_type} has no topic")).caused_by(e);
            let topic = AggregateType::new(&*aggregate_type).and_then(|name| pipeline.topic(&name)).map_err(of)?;
            entries.push(Entry { topic, aggregate_type, event_type, version, route: Arc::new(Route::new(handler)) });
        }
        let otherwise = otherwise.map(|handler| Arc::new(Route::new(handler)));
        Ok(Self { entries, otherwise })
    }

    pub(crate) fn topics(&self) -> BTreeSet<&str> {
        self.entries.iter().map(|entry| entry.topic.as_str()).collect()
    }

    pub(crate) fn find(&self, topic: &str, event: &DecodedEvent) -> Found<'_> {
        let is_for = |entry: &&Entry| {
            entry.topic == topic
                && event.event_type.as_deref() == Some(entry.event_type.as_str())
                && event.aggregate_type.as_ref().is_none_or(|name| *name == entry.aggregate_type)
        };
        match (self.entries.iter().find(is_for), &self.otherwise) {
            (Some(entry), _) => match (event.schema_version, entry.version) {
                (Some(version), Some(newest)) if version > newest => Found::TooNew { newest },
                _ => Found::Route(&entry.route),
            },
            (None, Some(route)) => Found::Route(route),
            (None, None) => Found::Nothing,
        }
    }
}
