//! An event as a consumer gets it, with a field for each part that a record may carry.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Record, ShortText, Utf8Bytes};
use crate::{Error, EventField, Headers, Traceparent, Tracestate};

/// An event as a record carries it. Parts that the pipeline's configuration does not carry are `None`, and so are empty
/// texts.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodedEvent {
    /// The event's id, as [`event_identity`](crate::record::event_identity) has it: producers other than ours may use
    /// any version of UUID, and ids that are none.
    pub id: Uuid,
    /// The id as the record has it, if it is no UUID.
    pub id_text: Option<ShortText>,
    /// The type of its aggregate.
    pub aggregate_type: Option<ShortText>,
    /// Which one it is about.
    pub aggregate_id: Option<ShortText>,
    /// The type of the event.
    pub event_type: Option<ShortText>,
    /// The payload.
    pub payload: DecodedPayload,
    /// The time at which it happened: in milliseconds if the record's timestamp carries it, microseconds from a header.
    pub created_at: Option<OffsetDateTime>,
    /// The version of the payload's schema.
    pub schema_version: Option<u32>,
    /// The media type of the payload.
    pub content_type: Option<ShortText>,
    /// The trace that it belongs to; one that is malformed counts as none, as W3C has it.
    pub traceparent: Option<Traceparent>,
    /// The state that the systems of its trace have added; one that is malformed counts as none.
    pub tracestate: Option<Tracestate>,
    /// The record's key, if that is another than the aggregate id ([`EventField::Key`]).
    pub key: Option<ShortText>,
    /// The business transaction that it belongs to.
    pub correlation_id: Option<ShortText>,
    /// The id of the event or command that caused it.
    pub causation_id: Option<ShortText>,
    /// The event's own headers.
    pub headers: Headers,
    /// Placed columns that are no part of an event, by header name or envelope field; an envelope's values as JSON.
    pub extra: BTreeMap<String, String>,
}

impl DecodedEvent {
    /// Takes a part from the text of a header, an envelope, the key or the topic; the first one given stays.
    pub(super) fn set(&mut self, field: EventField, text: &str) -> Result<(), Error> {
        if text.is_empty() {
            return Ok(());
        }
        if let Some(slot) = self.slot(field) {
            slot.get_or_insert_with(|| text.into());
            return Ok(());
        }
        self.set_other(field, text)
    }

    /// Returns the field of a part that is a short text.
    #[inline]
    pub(super) fn slot(&mut self, field: EventField) -> Option<&mut Option<ShortText>> {
        Some(match field {
            EventField::AggregateType => &mut self.aggregate_type,
            EventField::AggregateId => &mut self.aggregate_id,
            EventField::EventType => &mut self.event_type,
            EventField::ContentType => &mut self.content_type,
            EventField::CorrelationId => &mut self.correlation_id,
            EventField::CausationId => &mut self.causation_id,
            EventField::Key => &mut self.key,
            EventField::Id
            | EventField::Payload
            | EventField::CreatedAt
            | EventField::SchemaVersion
            | EventField::Traceparent
            | EventField::Tracestate
            | EventField::Headers => return None,
        })
    }

    fn set_other(&mut self, field: EventField, text: &str) -> Result<(), Error> {
        let undecodable = |reason: &str| Error::decode(field.name(), reason);
        match field {
            EventField::SchemaVersion => {
                let version = text.parse().map_err(|e| undecodable("it is not a whole number from 0").caused_by(e))?;
                self.schema_version.get_or_insert(version);
            }
            EventField::Traceparent if self.traceparent.is_none() => self.traceparent = text.parse().ok(),
            EventField::Tracestate if self.tracestate.is_none() => self.tracestate = text.parse().ok(),
            EventField::Headers if text != "{}" => {
                let added = self.headers.add_json(text);
                added.map_err(|e| undecodable("it is not a JSON object of texts").caused_by(e))?;
            }
            // A part that is set stays. The id is the record's own header, the payload is its value, and the instant is
            // read with its column's type. A part that `slot` leaves out, and that has no arm here, is lost.
            _ => {}
        }
        Ok(())
    }
}

impl fmt::Debug for DecodedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodedEvent")
            .field("id", &self.id)
            .field("id_text", &self.id_text)
            .field("aggregate_type", &self.aggregate_type)
            .field("aggregate_id", &self.aggregate_id)
            .field("event_type", &self.event_type)
            .field("payload", &self.payload)
            .field("created_at", &self.created_at)
            .field("schema_version", &self.schema_version)
            .field("content_type", &self.content_type)
            .field("traceparent", &self.traceparent)
            .field("tracestate", &self.tracestate)
            .field("key", &self.key)
            .field("correlation_id", &self.correlation_id)
            .field("causation_id", &self.causation_id)
            .field("headers", &self.headers)
            .field("extra", &self.extra.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// The payload of a decoded event. It shares the memory of the record. `Debug` shows its size only.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodedPayload {
    /// Text: JSON from a `json` or `jsonb` column, whatever a `text` column held otherwise.
    Text(Utf8Bytes),
    /// Bytes from a `bytea` column.
    Bytes(Bytes),
    /// None, or empty text.
    #[default]
    Empty,
}

impl DecodedPayload {
    pub(super) fn text(text: Utf8Bytes) -> Self {
        if text.is_empty() { Self::Empty } else { Self::Text(text) }
    }

    /// Returns the payload as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
            Self::Empty => &[],
        }
    }

    /// Returns the payload as text, if it is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Reads the payload as JSON.
    ///
    /// # Errors
    /// It is not the JSON of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(self.as_bytes()).map_err(|e| {
            let reason = format!("it is not the JSON of {}", std::any::type_name::<T>());
            Error::decode("payload", reason).caused_by(e)
        })
    }
}

impl fmt::Debug for DecodedPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Empty => f.write_str("Empty"),
        }
    }
}

/// The result of decoding a record of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decoded<R = Record> {
    /// An event.
    Event(Box<DecodedEvent>),
    /// Another record, with the reason, and with the record itself if it was passed by value.
    NotAnEvent(NotAnEvent, R),
}

/// The reason why a record is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotAnEvent {
    /// A heartbeat of the connector (`heartbeat.interval.ms`).
    Heartbeat,
    /// Begin or end of a transaction (`provide.transaction.metadata`).
    TransactionMetadata,
    /// A logical decoding message (`pg_logical_emit_message`).
    LogicalMessage,
    /// No value and no `id` header: a deletion for a compacted topic.
    Tombstone,
    /// No `id` header: it is not from an EventRouter.
    NoEventId,
}
