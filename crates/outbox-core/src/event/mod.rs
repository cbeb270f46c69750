mod builder;
#[cfg(feature = "tracing-opentelemetry")]
mod current_span;
mod finite;
mod from_text;
mod headers;
mod id;
pub(crate) mod names;
mod own_columns;
mod payload;
mod readable;
mod traceparent;
mod tracestate;

use time::OffsetDateTime;

pub use self::builder::EventBuilder;
pub use self::headers::Headers;
pub use self::id::EventId;
pub use self::names::{AggregateId, AggregateType, CausationId, ContentType, CorrelationId, EventType, RecordKey};
pub(crate) use self::own_columns::OwnColumns;
pub use self::payload::{JsonText, Payload};
pub use self::traceparent::Traceparent;
pub use self::tracestate::Tracestate;

use crate::{ColumnValue, EventField};

/// An event to be enqueued. A value exists only if it satisfies every rule that holds in all pipelines.
///
/// ```
/// use outbox_core::OutboxEvent;
///
/// let event = OutboxEvent::builder("order", "42", "OrderCreated")
///     .json(r#"{"quantity":2}"#)
///     .header("tenant", "acme")
///     .build()?;
/// assert_eq!(event.aggregate_type().as_str(), "order");
/// # Ok::<(), outbox_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEvent {
    id: EventId,
    aggregate_type: AggregateType,
    aggregate_id: AggregateId,
    event_type: EventType,
    payload: Payload,
    schema_version: u32,
    content_type: Option<ContentType>,
    headers: Headers,
    traceparent: Option<Traceparent>,
    correlation_id: Option<CorrelationId>,
    causation_id: Option<CausationId>,
    tracestate: Option<Tracestate>,
    key: Option<RecordKey>,
    columns: OwnColumns,
    created_at: OffsetDateTime,
}

impl OutboxEvent {
    /// Returns the id, made by [`EventBuilder::build`] unless it was given.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.id
    }

    /// Returns the type of the aggregate that it is about.
    #[must_use]
    pub fn aggregate_type(&self) -> &AggregateType {
        &self.aggregate_type
    }

    /// Returns the id of the aggregate that it is about.
    #[must_use]
    pub fn aggregate_id(&self) -> &AggregateId {
        &self.aggregate_id
    }

    /// Returns the type of the event.
    #[must_use]
    pub fn event_type(&self) -> &EventType {
        &self.event_type
    }

    /// Returns the payload.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Returns the version of the payload's schema, from 1.
    #[must_use]
    pub fn schema_version(&self) -> u32 {
        self.schema_version
    }

    /// Returns the media type that was set. Where none was, the table gets `application/json` for JSON and
    /// `application/octet-stream` for bytes, if it has a column for it.
    #[must_use]
    pub fn content_type(&self) -> Option<&ContentType> {
        self.content_type.as_ref()
    }

    /// Returns the headers.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Returns the trace that it belongs to.
    #[must_use]
    pub fn traceparent(&self) -> Option<&Traceparent> {
        self.traceparent.as_ref()
    }

    /// Returns the trace state that the systems of the trace have added.
    #[must_use]
    pub fn tracestate(&self) -> Option<&Tracestate> {
        self.tracestate.as_ref()
    }

    /// Returns the record's key that was set; the aggregate id otherwise becomes the key.
    #[must_use]
    pub fn key(&self) -> Option<&RecordKey> {
        self.key.as_ref()
    }

    /// Returns the values of the service's own columns, by name.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &ColumnValue)> {
        self.columns.iter()
    }

    /// Returns the parts that the caller has set. Each needs a column, and a place in the record.
    pub(crate) fn set_fields(&self) -> impl Iterator<Item = EventField> {
        // Without `..`, so that a new part does not compile until it is decided on here. Decide on it in
        // `EventBuilder::caused_by` as well, and in `stored_size` if it may be long.
        let Self {
            id: _,
            aggregate_type: _,
            aggregate_id: _,
            event_type: _,
            payload: _,
            schema_version,
            content_type,
            headers,
            traceparent,
            correlation_id,
            causation_id,
            // W3C allows the state of a trace to be dropped in transit.
            tracestate: _,
            key,
            columns: _,
            created_at: _,
        } = self;

        let always = [EventField::AggregateType, EventField::AggregateId, EventField::EventType];
        let sometimes = [
            (EventField::SchemaVersion, *schema_version != 1),
            (EventField::ContentType, content_type.is_some()),
            (EventField::Headers, !headers.is_empty()),
            (EventField::Traceparent, traceparent.is_some()),
            (EventField::CorrelationId, correlation_id.is_some()),
            (EventField::CausationId, causation_id.is_some()),
            (EventField::Key, key.is_some()),
        ];
        always.into_iter().chain(sometimes.into_iter().filter_map(|(field, is_set)| is_set.then_some(field)))
    }

    pub(crate) fn own_column(&self, name: &str) -> Option<&ColumnValue> {
        self.columns.get(name)
    }

    /// Returns the business transaction that it belongs to.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&CorrelationId> {
        self.correlation_id.as_ref()
    }

    /// Returns what caused it.
    #[must_use]
    pub fn causation_id(&self) -> Option<&CausationId> {
        self.causation_id.as_ref()
    }

    /// Returns when it happened: UTC, in whole microseconds. Kafka carries milliseconds.
    #[must_use]
    pub fn created_at(&self) -> OffsetDateTime {
        self.created_at
    }

    /// Estimates how many bytes it takes in a statement: each column has a length in front.
    pub(crate) fn stored_size(&self) -> usize {
        const COLUMNS: usize = 256;
        let texts = [self.aggregate_type.as_str(), self.aggregate_id.as_str(), self.event_type.as_str()];
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len() + 6);
        let own = self.columns.iter().map(|(_, value)| value.stored_size());
        COLUMNS
            + own.sum::<usize>()
            + self.payload.len()
            + texts.iter().map(|text| text.len()).chain(headers).sum::<usize>()
    }
}
