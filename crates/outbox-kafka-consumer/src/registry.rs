use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use outbox_core::Pipeline;
use outbox_core::event::AggregateType;
use outbox_core::layout::EventField;
use outbox_core::record::DecodedEvent;

use crate::Error;
use crate::handler::{HandlerPolicy, Kind, Registered};

/// The handlers, by event.
pub struct Registry {
    entries: Vec<Entry>,
    otherwise: Option<Arc<Route>>,
}

struct Entry {
    topic: String,
    aggregate_type: String,
    event_type: String,
    /// The newest schema version that all of its handlers read; raw handlers read all.
    version: Option<u32>,
    route: Arc<Route>,
}

/// A handler that waits for the pipeline, which has its topic.
pub struct Registration {
    pub aggregate_type: String,
    pub event_type: String,
    /// The newest version that it reads; a raw handler reads all.
    pub version: Option<u32>,
    pub handler: Registered,
}

/// The entry of the registry for an event.
pub enum Found<'a> {
    Route(&'a Arc<Route>),
    /// Handlers that read versions up to this one only.
    TooNew {
        newest: u32,
    },
    Nothing,
}

/// The event type of a handler for all events without a handler.
pub const ALL_OTHERS: &str = "*";

/// Returns the text by which members of the group announce that they have a handler for an event type of a topic.
pub fn handled(topic: &str, event_type: &str) -> String {
    format!("{topic}/{event_type}")
}

impl Registry {
    /// Returns the announcements of all handlers of this consumer.
    pub fn handles(&self) -> Vec<String> {
        let typed = self.entries.iter().map(|entry| handled(&entry.topic, &entry.event_type));
        let others =
            self.otherwise.iter().flat_map(|_| self.topics().into_iter().map(|topic| handled(topic, ALL_OTHERS)));
        typed.chain(others).collect()
    }

    /// Creates a registry with one entry for each type of event. Handlers of the same type share the entry and its
    /// transaction.
    pub fn new(
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

    pub fn topics(&self) -> BTreeSet<&str> {
        self.entries.iter().map(|entry| entry.topic.as_str()).collect()
    }

    pub fn find(&self, topic: &str, event: &DecodedEvent) -> Found<'_> {
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

/// The handlers of one event type, in the order in which they were registered.
pub struct Route {
    handlers: Vec<Registered>,
    /// [`Kind::Together`] if at least one of the handlers takes several events at once.
    kind: Kind,
    /// Whether a transaction has shown that no setting of the session remains changed.
    is_checked: AtomicBool,
}

impl Route {
    pub fn new(handler: Registered) -> Self {
        Self { kind: handler.kind(), handlers: vec![handler], is_checked: AtomicBool::new(false) }
    }

    /// Adds a handler. Returns `false` if it cannot share the events with the registered handlers.
    pub fn add(&mut self, handler: Registered) -> bool {
        self.kind = match (self.kind, handler.kind()) {
            (Kind::Outside, _) | (_, Kind::Outside) => return false,
            (Kind::Each, Kind::Each) => Kind::Each,
            _ => Kind::Together,
        };
        self.handlers.push(handler);
        true
    }

    pub fn handlers(&self) -> &[Registered] {
        &self.handlers
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns whether a transaction has shown that the handlers leave the settings of the session as they were, or
    /// they run outside of transactions.
    pub fn is_checked(&self) -> bool {
        self.kind == Kind::Outside || self.is_checked.load(Ordering::Relaxed)
    }

    pub fn note_checked(&self) {
        self.is_checked.store(true, Ordering::Relaxed);
    }

    /// Returns how many events may share a transaction with one of this route.
    pub fn max_batch_size(&self) -> usize {
        let sizes = self.handlers.iter().filter_map(|handler| handler.policy().max_batch_size);
        sizes.min().map_or(usize::MAX, NonZeroUsize::get)
    }

    /// Returns the settings for a failure of which no single handler is the cause.
    pub fn policy(&self) -> Option<&HandlerPolicy> {
        self.handlers.first().map(Registered::policy)
    }
}
