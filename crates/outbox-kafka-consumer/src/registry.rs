use std::collections::BTreeSet;

use outbox_core::{AggregateType, DecodedEvent, EventField, Pipeline};

use crate::Error;
use crate::handler::Erased;

/// Which handler is for which event.
pub(crate) struct Registry {
    entries: Vec<Entry>,
}

struct Entry {
    topic: String,
    aggregate_type: String,
    event_type: String,
    handler: Box<dyn Erased>,
}

/// A handler that waits for the pipeline, which tells its topic.
pub(crate) struct Registration {
    pub(crate) aggregate_type: String,
    pub(crate) event_type: String,
    pub(crate) handler: Box<dyn Erased>,
}

impl Registry {
    pub(crate) fn new(pipeline: &Pipeline, registrations: Vec<Registration>) -> Result<Self, Error> {
        if registrations.is_empty() {
            return Err(Error::build("no handler is registered"));
        }
        if !pipeline.carries(EventField::EventType) {
            let remedy = "add event_type:header to transforms.outbox.table.fields.additional.placement";
            return Err(Error::build(format!("the pipeline's records do not tell the type of an event: {remedy}")));
        }
        let mut entries: Vec<Entry> = Vec::new();
        for Registration { aggregate_type, event_type, handler } in registrations {
            let of = |e| Error::build(format!("a handler of {aggregate_type} {event_type} has no topic")).caused_by(e);
            let topic = AggregateType::new(&*aggregate_type).and_then(|name| pipeline.topic(&name)).map_err(of)?;
            if entries.iter().any(|known| known.aggregate_type == aggregate_type && known.event_type == event_type) {
                return Err(Error::build(format!("two handlers are registered for {aggregate_type} {event_type}")));
            }
            entries.push(Entry { topic, aggregate_type, event_type, handler });
        }
        Ok(Self { entries })
    }

    pub(crate) fn topics(&self) -> BTreeSet<&str> {
        self.entries.iter().map(|entry| entry.topic.as_str()).collect()
    }

    pub(crate) fn handler(&self, topic: &str, event: &DecodedEvent) -> Option<&dyn Erased> {
        let is_for = |entry: &&Entry| {
            entry.topic == topic
                && event.event_type.as_ref() == Some(&entry.event_type)
                && event.aggregate_type.as_ref().is_none_or(|aggregate_type| *aggregate_type == entry.aggregate_type)
        };
        self.entries.iter().find(is_for).map(|entry| &*entry.handler)
    }
}
