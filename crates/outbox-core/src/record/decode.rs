use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::decoded_event::{Decoded, DecodedEvent, DecodedPayload, NotAnEvent};
use super::{Record, instant};
use crate::connector::{KeyConverter, Schemas, ValueConverter};
use crate::pipeline::Target;
use crate::{ColumnType, Error, EventField, Pipeline};

impl Pipeline {
    /// Reads a record of this pipeline. What form it has is told by the pipeline, never guessed from its bytes.
    ///
    /// A record with an `id` header is an event, also one without a value (`route.tombstone.on.empty.payload`).
    ///
    /// # Errors
    /// [`Error::is_undecodable`] where the record is not what the pipeline writes; the error names the part.
    pub fn decode(&self, record: Record) -> Result<Decoded, Error> {
        if let Some(kind) = self.other_than_event(&record) {
            return Ok(Decoded::NotAnEvent(kind, record));
        }
        let id = record.header("id").and_then(|id| Uuid::try_parse_ascii(id).ok());
        let mut event = DecodedEvent::new(id.ok_or_else(|| Error::decode("header id", "it is not a UUID"))?);
        self.read_headers(&mut event, record.headers)?;
        self.read_value(&mut event, record.value)?;
        self.read_key(&mut event, record.key)?;
        let router = self.router();
        if let (Some(value), Some(field)) =
            (router.route.routed_value(&record.topic), self.field_at(self.plan().route_by))
        {
            event.set(field, value.into())?;
        }
        let by_timestamp = self.plan().timestamp.and_then(|index| self.field_at(index));
        if by_timestamp == Some(EventField::CreatedAt) && event.created_at.is_none() {
            event.created_at = record.timestamp.and_then(instant::from_millis);
        }
        Ok(Decoded::Event(Box::new(event)))
    }

    /// Takes the first header of each name, unless it is null. The usual record has them in the plan's order.
    fn read_headers(&self, event: &mut DecodedEvent, headers: Vec<(String, Option<Bytes>)>) -> Result<(), Error> {
        let targets = &self.plan().headers;
        let (mut is_met, mut expected) = (vec![false; targets.len()], 0);
        for (name, value) in headers {
            let is_it = |target: &Target| target.alias == name;
            let found = match targets.get(expected) {
                Some(target) if is_it(target) => Some(expected),
                _ => targets.iter().position(is_it),
            };
            let Some((index, target)) = found.and_then(|index| Some((index, targets.get(index)?))) else { continue };
            expected = index + 1;
            let was_met = is_met.get_mut(index).is_none_or(|is_met| std::mem::replace(is_met, true));
            if let Some(value) = value.filter(|_| !was_met) {
                event.place(target, owned(&target.alias, value)?.into())?;
            }
        }
        Ok(())
    }

    fn field_at(&self, index: usize) -> Option<EventField> {
        self.layout().columns().get(index).and_then(|column| column.field())
    }

    fn other_than_event(&self, record: &Record) -> Option<NotAnEvent> {
        if record.headers.iter().any(|(name, _)| name == "id") {
            return None;
        }
        let heartbeats = self.config().trimmed("topic.heartbeat.prefix").unwrap_or("__debezium-heartbeat");
        let topic = |suffix: &str| record.topic.strip_prefix(self.topic_prefix()) == Some(suffix);
        Some(match &record.value {
            _ if record.topic.strip_prefix(heartbeats).and_then(|rest| rest.strip_prefix('.'))
                == Some(self.topic_prefix()) =>
            {
                NotAnEvent::Heartbeat
            }
            _ if topic(".transaction") => NotAnEvent::TransactionMetadata,
            _ if topic(".message") => NotAnEvent::LogicalMessage,
            None => NotAnEvent::Tombstone,
            Some(_) => NotAnEvent::NoEventId,
        })
    }

    fn read_key(&self, event: &mut DecodedEvent, key: Option<Bytes>) -> Result<(), Error> {
        let (Some(key), Some(field)) = (key, self.field_at(self.plan().key)) else { return Ok(()) };
        let text = owned("key", key)?;
        let KeyConverter::Json(schemas) = self.key_converter() else { return event.set(field, text.into()) };
        let scalar = unwrapped("key", &text, schemas)?;
        event.set(field, scalar_text("key", scalar)?.unwrap_or_default())
    }

    fn read_value(&self, event: &mut DecodedEvent, value: Option<Bytes>) -> Result<(), Error> {
        let Some(value) = value else { return Ok(()) };
        match self.value_converter() {
            ValueConverter::Bytes => event.payload = DecodedPayload::Bytes(value),
            ValueConverter::String => {
                event.payload = DecodedPayload::text(owned("value", value)?);
            }
            ValueConverter::Json(schemas) => {
                let payload = unwrapped("value", utf8("value", &value)?, schemas)?;
                if self.router().has_envelope() {
                    self.read_envelope(event, payload)?;
                } else {
                    event.payload = self.json_payload(payload)?;
                }
            }
        }
        Ok(())
    }

    fn read_envelope(&self, event: &mut DecodedEvent, envelope: &RawValue) -> Result<(), Error> {
        if envelope.get() == "null" {
            return Ok(());
        }
        let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(envelope.get())
            .map_err(|e| Error::decode("envelope", "it is not a JSON object").caused_by(e))?;
        let payload = fields.get("payload").ok_or_else(|| Error::decode("envelope", "it has no payload"))?;
        event.payload = self.json_payload(payload)?;
        for target in &self.plan().envelope {
            let Some(value) = fields.get(target.alias.as_str()) else { continue };
            if target.field.is_none() {
                event.extra.entry(target.alias.clone()).or_insert_with(|| value.get().to_owned());
            } else if let Some(text) = scalar_text(&target.alias, value)? {
                event.place(target, text)?;
            }
        }
        Ok(())
    }

    /// The payload within JSON: a string holds the column's text (or base64 of its bytes), anything else was expanded.
    fn json_payload(&self, payload: &RawValue) -> Result<DecodedPayload, Error> {
        let json = payload.get();
        if json == "null" {
            return Ok(DecodedPayload::Empty);
        }
        let is_bytea =
            self.layout().columns().get(self.plan().payload).is_some_and(|column| column.ty() == ColumnType::Bytea);
        if json.starts_with('"') {
            let text = scalar_text("payload", payload)?.unwrap_or_default();
            if !is_bytea {
                return Ok(DecodedPayload::text(text.into_owned()));
            }
            return match BASE64_STANDARD.decode(text.as_bytes()) {
                Ok(bytes) => Ok(DecodedPayload::Bytes(bytes.into())),
                Err(e) => Err(Error::decode("payload", "it is not the base64 of bytes").caused_by(e)),
            };
        }
        match self.router().expansion {
            Some(_) => Ok(DecodedPayload::text(json.to_owned())),
            None => {
                Err(Error::decode("payload", "it is not a JSON string, and this pipeline does not expand payloads"))
            }
        }
    }
}

impl DecodedEvent {
    fn place(&mut self, target: &Target, text: Cow<'_, str>) -> Result<(), Error> {
        match target.field {
            Some(EventField::CreatedAt) if !text.is_empty() && self.created_at.is_none() => {
                let number = || text.parse().ok();
                let at = match target.ty {
                    ColumnType::TimestampMillis => number().and_then(instant::from_millis),
                    ColumnType::TimestampMicros => number().and_then(instant::from_micros),
                    _ => instant::from_zoned(&text),
                };
                self.created_at = Some(at.ok_or_else(|| Error::decode(&*target.alias, "it is not an instant"))?);
                Ok(())
            }
            Some(field) => self.set(field, text),
            None => {
                self.extra.entry(target.alias.clone()).or_insert_with(|| text.into_owned());
                Ok(())
            }
        }
    }
}

/// The JsonConverter's value, out of `{"schema":…,"payload":…}` where schemas are enabled.
fn unwrapped<'a>(part: &str, json: &'a str, schemas: Schemas) -> Result<&'a RawValue, Error> {
    #[derive(Deserialize)]
    struct WithSchema<'a> {
        #[serde(borrow)]
        payload: &'a RawValue,
        #[serde(borrow, rename = "schema")]
        _schema: &'a RawValue,
    }
    match schemas {
        Schemas::Disabled => serde_json::from_str(json).map_err(|e| Error::decode(part, "it is not JSON").caused_by(e)),
        Schemas::Enabled => serde_json::from_str::<WithSchema<'_>>(json)
            .map(|value| value.payload)
            .map_err(|e| Error::decode(part, "it is not JSON of the form {\"schema\":…,\"payload\":…}").caused_by(e)),
    }
}

/// The text of a JSON string, number or boolean; `None` for null.
fn scalar_text<'a>(part: &str, value: &'a RawValue) -> Result<Option<Cow<'a, str>>, Error> {
    let json = value.get();
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(json)
            .map(|text| Some(Cow::Owned(text)))
            .map_err(|e| Error::decode(part, "it is not Unicode text").caused_by(e)),
        Some(b'{' | b'[') => Err(Error::decode(part, "it is not a JSON string, number or boolean")),
        _ if json == "null" => Ok(None),
        _ => Ok(Some(Cow::Borrowed(json))),
    }
}

fn utf8<'a>(part: &str, bytes: &'a [u8]) -> Result<&'a str, Error> {
    std::str::from_utf8(bytes).map_err(|e| not_utf8(part).caused_by(e))
}

fn owned(part: &str, bytes: Bytes) -> Result<String, Error> {
    String::from_utf8(bytes.into()).map_err(|e| not_utf8(part).caused_by(e))
}

fn not_utf8(part: &str) -> Error {
    Error::decode(part, "it is not UTF-8")
}
