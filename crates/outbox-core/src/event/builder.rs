use time::{Duration, OffsetDateTime, UtcOffset};

use super::{
    AggregateId, AggregateType, CausationId, ContentType, CorrelationId, EventId, EventType, Headers, OutboxEvent,
    Payload, Traceparent,
};
use crate::{DecodedEvent, Error};

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
    traceparent: Option<String>,
    correlation_id: Option<String>,
    causation_id: Option<String>,
    created_at: Option<OffsetDateTime>,
}

impl EventBuilder {
    pub(super) fn new(aggregate_type: String, aggregate_id: String, event_type: String) -> Self {
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
            created_at: None,
        }
    }

    pub(super) fn payload_result(self, payload: Result<Payload, Error>) -> Self {
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

    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the W3C `traceparent`.
    pub fn traceparent(self, traceparent: impl Into<String>) -> Self {
        Self { traceparent: Some(traceparent.into()), ..self }
    }

    /// Sets the correlation id.
    pub fn correlation_id(self, id: impl Into<String>) -> Self {
        Self { correlation_id: Some(id.into()), ..self }
    }

    /// Sets the causation id.
    pub fn causation_id(self, id: impl Into<String>) -> Self {
        Self { causation_id: Some(id.into()), ..self }
    }

    /// Says that handling another event has caused this one: its id becomes the causation id, its correlation id, or
    /// its id where it has none, the correlation id, and its trace continues. What was set before stays.
    ///
    /// In a consumer's handler it is one line:
    /// ```
    /// # use outbox_core::{DecodedEvent, Error, OutboxEvent};
    /// # fn handler(envelope: &DecodedEvent) -> Result<OutboxEvent, Error> {
    /// OutboxEvent::builder("bill", "7", "Billed").caused_by(envelope).build()
    /// # }
    /// ```
    pub fn caused_by(self, cause: &DecodedEvent) -> Self {
        let id = || cause.id_text.clone().map_or_else(|| cause.id.to_string(), String::from);
        let trace = || cause.traceparent.as_ref().map(ToString::to_string);
        Self {
            causation_id: self.causation_id.or_else(|| Some(id())),
            correlation_id: self
                .correlation_id
                .or_else(|| cause.correlation_id.clone().map(String::from))
                .or_else(|| Some(id())),
            traceparent: self.traceparent.or_else(trace),
            ..self
        }
    }

    /// Says that the event belongs to the current span of `tracing`, as `tracing-opentelemetry` knows it: its
    /// `traceparent` is that span. Where there is no span, or no OpenTelemetry layer, nothing changes.
    #[cfg(feature = "tracing-opentelemetry")]
    pub fn in_current_span(self) -> Self {
        match super::current_span::traceparent() {
            Some(traceparent) => self.traceparent(traceparent),
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
            traceparent: self.traceparent.as_deref().map(str::parse::<Traceparent>).transpose()?,
            correlation_id: self.correlation_id.map(CorrelationId::new).transpose()?,
            causation_id: self.causation_id.map(CausationId::new).transpose()?,
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
