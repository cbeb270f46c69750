//! The builder of an event. `caused_by` decides which parts an event takes over from its cause.

use serde::Serialize;
use time::{Duration, OffsetDateTime, UtcOffset};

use super::{
    AggregateId, AggregateType, CausationId, ContentType, CorrelationId, EventId, EventType, Headers, OutboxEvent,
    OwnColumns, Payload, RecordKey, Traceparent, Tracestate,
};
use crate::{ColumnValue, DecodedEvent, DomainEvent, Error};

impl OutboxEvent {
    /// Starts an event of the given aggregate type, aggregate id and event type.
    pub fn builder(
        aggregate_type: impl Into<String>,
        aggregate_id: impl Into<String>,
        event_type: impl Into<String>,
    ) -> EventBuilder {
        EventBuilder::new(aggregate_type.into(), aggregate_id.into(), event_type.into())
    }

    /// Starts an event from a typed one, with the JSON that serde writes for it as payload.
    pub fn from_event<E: DomainEvent + Serialize>(event: &E) -> EventBuilder {
        let () = E::LEGAL;
        let kind = event.kind();
        Self::builder(E::AGGREGATE_TYPE, event.aggregate_id(), kind.event_type())
            .schema_version(kind.schema_version())
            .payload_result(kind.payload_of(event))
    }
}

/// Collects the parts of an [`OutboxEvent`]; [`build`](Self::build) checks them all.
#[derive(Debug)]
#[must_use = "an event comes to be by build()"]
pub struct EventBuilder {
    aggregate_type: String,
    aggregate_id: String,
    event_type: String,
    id: Option<EventId>,
    payload: Result<Payload, Error>,
    schema_version: u32,
    content_type: Option<String>,
    headers: Vec<(String, String)>,
    traceparent: Option<Result<Traceparent, Error>>,
    correlation_id: Option<Result<CorrelationId, Error>>,
    causation_id: Option<Result<CausationId, Error>>,
    tracestate: Option<Result<Tracestate, Error>>,
    key: Option<String>,
    columns: OwnColumns,
    created_at: Option<OffsetDateTime>,
}

impl EventBuilder {
    fn new(aggregate_type: String, aggregate_id: String, event_type: String) -> Self {
        Self {
            aggregate_type,
            aggregate_id,
            event_type,
            id: None,
            payload: Ok(Payload::Empty),
            schema_version: 1,
            content_type: None,
            headers: Vec::new(),
            traceparent: None,
            correlation_id: None,
            causation_id: None,
            tracestate: None,
            key: None,
            columns: OwnColumns::default(),
            created_at: None,
        }
    }

    fn payload_result(self, payload: Result<Payload, Error>) -> Self {
        Self { payload, ..self }
    }

    /// Sets the payload; empty unless set.
    pub fn payload(self, payload: Payload) -> Self {
        self.payload_result(Ok(payload))
    }

    /// Sets the payload to JSON text, kept as written.
    pub fn json(self, text: impl Into<String>) -> Self {
        self.payload_result(Payload::json(text))
    }

    /// Sets the id; a new one unless set.
    pub fn id(self, id: EventId) -> Self {
        Self { id: Some(id), ..self }
    }

    /// Sets the version of the payload's schema, 1 to 2,147,483,647; 1 unless set.
    pub fn schema_version(self, schema_version: u32) -> Self {
        Self { schema_version, ..self }
    }

    /// Sets the payload's media type.
    pub fn content_type(self, content_type: impl Into<String>) -> Self {
        Self { content_type: Some(content_type.into()), ..self }
    }

    /// Adds a header. The headers travel as one JSON object in one record header, which [`DecodedEvent::headers`]
    /// reads; those with a column of their own ([`Column::from_header`](crate::layout::Column::from_header)) are real
    /// headers of the record.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the W3C `traceparent`, from text or a [`Traceparent`].
    pub fn traceparent(self, traceparent: impl TryInto<Traceparent, Error: Into<Error>>) -> Self {
        Self { traceparent: Some(traceparent.try_into().map_err(Into::into)), ..self }
    }

    /// Sets the W3C `tracestate`, from text or a [`Tracestate`], which belongs to the
    /// [`traceparent`](Self::traceparent).
    pub fn tracestate(self, tracestate: impl TryInto<Tracestate, Error: Into<Error>>) -> Self {
        Self { tracestate: Some(tracestate.try_into().map_err(Into::into)), ..self }
    }

    /// Sets the record's key, for a table with a column [`EventField::Key`](crate::layout::EventField::Key); the
    /// aggregate id unless set. Kafka keeps the order of events with the same key: give all events of an aggregate the
    /// same one.
    pub fn key(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// Sets the value of one of the service's own columns, [`Column::own`](crate::layout::Column::own).
    pub fn column(mut self, name: impl Into<String>, value: impl Into<ColumnValue>) -> Self {
        self.columns.0.insert(name.into(), value.into());
        self
    }

    /// Sets the correlation id, from text, a UUID, an [`EventId`] or a [`CorrelationId`].
    pub fn correlation_id(self, id: impl TryInto<CorrelationId, Error: Into<Error>>) -> Self {
        Self { correlation_id: Some(id.try_into().map_err(Into::into)), ..self }
    }

    /// Sets the causation id, from text, a UUID, an [`EventId`] or a [`CausationId`].
    pub fn causation_id(self, id: impl TryInto<CausationId, Error: Into<Error>>) -> Self {
        Self { causation_id: Some(id.try_into().map_err(Into::into)), ..self }
    }

    /// Says that handling another event has caused this one: its id becomes the causation id, and its correlation id
    /// becomes the correlation id, or its id if it has none. Its trace continues. Parts that are already set stay.
    ///
    /// In a consumer's handler it is one line:
    /// ```
    /// # use outbox_core::record::DecodedEvent;
    /// # use outbox_core::{Error, OutboxEvent};
    /// # fn handler(envelope: &DecodedEvent) -> Result<OutboxEvent, Error> {
    /// OutboxEvent::builder("bill", "7", "Billed").caused_by(envelope).build()
    /// # }
    /// ```
    pub fn caused_by(self, cause: &DecodedEvent) -> Self {
        // The state belongs to the trace of the cause.
        let state = || cause.tracestate.clone().map(Ok);
        let tracestate = if self.traceparent.is_none() { self.tracestate.or_else(state) } else { self.tracestate };

        let causation_id = || match &cause.id_text {
            Some(text) => CausationId::try_from(text),
            None => Ok(cause.id.into()),
        };
        let correlation_id = || match cause.correlation_id.as_ref().or(cause.id_text.as_ref()) {
            Some(text) => CorrelationId::try_from(text),
            None => Ok(cause.id.into()),
        };
        Self {
            tracestate,
            causation_id: self.causation_id.or_else(|| Some(causation_id())),
            correlation_id: self.correlation_id.or_else(|| Some(correlation_id())),
            traceparent: self.traceparent.or_else(|| cause.traceparent.clone().map(Ok)),
            ..self
        }
    }

    /// Says that the event belongs to the current span of `tracing`, as `tracing-opentelemetry` knows it: its
    /// `traceparent` and `tracestate` are that span's. Without a span or an OpenTelemetry layer, nothing changes.
    #[cfg(feature = "tracing-opentelemetry")]
    pub fn in_current_span(self) -> Self {
        match super::current_span::trace_context() {
            Some((traceparent, tracestate)) => Self { tracestate: tracestate.map(Ok), ..self.traceparent(traceparent) },
            None => self,
        }
    }

    /// Sets when it happened, 1970 to 9999; now unless set. It is kept in UTC and whole microseconds.
    pub fn created_at(self, created_at: OffsetDateTime) -> Self {
        Self { created_at: Some(created_at), ..self }
    }

    /// Checks every part.
    ///
    /// # Errors
    /// The first part that breaks a rule, [`Error::is_invalid_event`].
    pub fn build(self) -> Result<OutboxEvent, Error> {
        let mut headers = Headers::default();
        for (name, value) in self.headers {
            headers.insert(name, value)?;
        }

        if !(1..=i32::MAX.unsigned_abs()).contains(&self.schema_version) {
            let rule = "it is from 1 to 2147483647, as a PostgreSQL integer holds it";
            return Err(Error::rule("schema_version", &self.schema_version.to_string(), rule));
        }

        Ok(OutboxEvent {
            id: self.id.unwrap_or_else(EventId::new),
            aggregate_type: AggregateType::new(self.aggregate_type)?,
            aggregate_id: AggregateId::new(self.aggregate_id)?,
            event_type: EventType::new(self.event_type)?,
            payload: self.payload?,
            schema_version: self.schema_version,
            content_type: self.content_type.map(ContentType::new).transpose()?,
            headers,
            traceparent: self.traceparent.transpose()?,
            correlation_id: self.correlation_id.transpose()?,
            causation_id: self.causation_id.transpose()?,
            tracestate: self.tracestate.transpose()?,
            key: self.key.map(RecordKey::new).transpose()?,
            columns: self.columns,
            created_at: in_microseconds(self.created_at.unwrap_or_else(OffsetDateTime::now_utc))?,
        })
    }
}

fn in_microseconds(at: OffsetDateTime) -> Result<OffsetDateTime, Error> {
    let at = at.to_offset(UtcOffset::UTC);
    if !(1970..=9999).contains(&at.year()) {
        return Err(Error::rule(
            "created_at",
            &at.to_string(),
            "Kafka's timestamps begin at 1970, and years have four digits",
        ));
    }
    Ok(at - Duration::nanoseconds(i64::from(at.nanosecond() % 1_000)))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn built_events_are_in_utc_and_microseconds() {
        let at = datetime!(2026-01-02 03:04:05.678901999 +02:00);
        let event = OutboxEvent::builder("order", "1", "OrderCreated").created_at(at).build().unwrap();
        assert_eq!(event.created_at(), datetime!(2026-01-02 01:04:05.678901 UTC));
        assert_eq!(event.created_at().offset(), UtcOffset::UTC);
    }

    #[test]
    fn every_part_is_checked_and_named() {
        let builder = || OutboxEvent::builder("order", "1", "OrderCreated");
        let cases = [
            (OutboxEvent::builder("", "1", "x"), "aggregate_type"),
            (OutboxEvent::builder("order", "", "x"), "aggregate_id"),
            (OutboxEvent::builder("order", "1", ""), "event_type"),
            (builder().json("{"), "payload"),
            (builder().schema_version(0), "schema_version"),
            (builder().schema_version(u32::MAX), "schema_version"),
            (builder().content_type(""), "content_type"),
            (builder().header("", "x"), "headers"),
            (builder().header("x", "a\0"), "headers"),
            (builder().header("x", "y".repeat(8_193)), "headers"),
            (builder().traceparent("x"), "traceparent"),
            (builder().correlation_id("x".repeat(256)), "correlation_id"),
            (builder().causation_id(""), "causation_id"),
            (builder().tracestate("x"), "tracestate"),
            (builder().key(""), "key"),
            (builder().created_at(datetime!(1969-12-31 23:59:59 UTC)), "created_at"),
        ];

        for (builder, field) in cases {
            let error = builder.build().unwrap_err();
            assert_eq!(error.field(), Some(field), "{error}");
            assert!(error.broken_rule().is_some());
        }

        let crowded = (0..65).fold(builder(), |event, i| event.header(format!("h{i}"), ""));
        assert_eq!(crowded.build().unwrap_err().field(), Some("headers"));
    }
}
