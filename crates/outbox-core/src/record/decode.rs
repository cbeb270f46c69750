use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use bytestring::ByteString;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::column_text::from_binary;
use super::decoded_event::{Decoded, DecodedEvent, DecodedPayload, NotAnEvent};
use super::temporal::Temporal;
use super::{DecodeHints, Record, RecordParts, ShortText, Utf8Bytes, event_identity, instant};
use crate::connector::{HeaderConverter, KeyConverter, Schemas, ValueConverter, ValueForms};
use crate::pipeline::Target;
use crate::{Column, ColumnType, Error, EventField, Pipeline};

impl Pipeline {
    /// Reads a record of this pipeline. The pipeline determines the record's form; it is never guessed from the bytes.
    ///
    /// A record with an `id` header is an event, also one without a value (`route.tombstone.on.empty.payload`).
    ///
    /// # Errors
    /// [`Error::is_undecodable`] if the pipeline does not write such a record; the error names the part.
    pub fn decode(&self, record: Record) -> Result<Decoded, Error> {
        Ok(match self.decode_parts(record.parts())? {
            Decoded::Event(event) => Decoded::Event(event),
            Decoded::NotAnEvent(reason, ()) => Decoded::NotAnEvent(reason, record),
        })
    }

    /// Decodes as [`decode`](Self::decode) does, for a record in the form of a client library. Only the parts that the
    /// event needs are copied.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_parts<'a, N, H>(&self, parts: RecordParts<'a, H>) -> Result<Decoded<()>, Error>
    where
        N: AsRef<[u8]>,
        H: Iterator<Item = (N, Option<&'a [u8]>)>,
    {
        let (topic, has_value) = (parts.topic, parts.value.is_some());
        Ok(match self.event(parts)? {
            Some(event) => Decoded::Event(event),
            None => Decoded::NotAnEvent(self.other_than_event(topic, has_value), ()),
        })
    }

    /// Reads the event; `None` if there is no header `id`.
    fn event<'a>(
        &self,
        parts: RecordParts<'a, impl Iterator<Item = (impl AsRef<[u8]>, Option<&'a [u8]>)>>,
    ) -> Result<Option<Box<DecodedEvent>>, Error> {
        let mut unknown = DecodeHints::default();
        let hints = parts.hints.unwrap_or(&mut unknown);
        let mut event = Box::<DecodedEvent>::default();
        let unwrapped;
        let id = match self.header_converter() {
            HeaderConverter::Text => self.read_headers(&mut event, parts.headers, hints),
            HeaderConverter::Json(schemas) => {
                unwrapped = unwrapped_headers(parts.headers, schemas);
                let headers = unwrapped.iter().map(|(name, value)| (name.as_ref(), value.as_deref()));
                self.read_headers(&mut event, headers, hints)
            }
        };

        let Some(id) = id else { return Ok(None) };
        self.read_id(&mut event, parts.topic, id?)?;
        self.read_value(&mut event, parts.value)?;
        self.read_key(&mut event, parts.key)?;

        if let Some(field) = self.field_at(self.plan().route_by)
            && event.slot(field).is_none_or(|slot| slot.is_none())
            && self.tells_route()
            && let Some(value) = self.router().route.routed_value(parts.topic)
        {
            event.set(field, value)?;
        }

        let by_timestamp = self.plan().timestamp.and_then(|index| self.field_at(index));
        // Messages and rows of a table may share a topic, and the timestamp of a row is that of its record.
        let is_timestamp = by_timestamp == Some(EventField::CreatedAt) || self.messages().is_some();

        if is_timestamp && event.created_at.is_none() {
            event.created_at = parts.timestamp.and_then(instant::from_millis);
        }
        Ok(Some(event))
    }

    /// Reads the first header of each name, unless it is null. The header `id`, which may be at any place, decides
    /// whether the others count.
    fn read_headers<'a>(
        &self,
        event: &mut DecodedEvent,
        headers: impl Iterator<Item = (impl AsRef<[u8]>, Option<&'a [u8]>)>,
        hints: &mut DecodeHints,
    ) -> Option<Result<Option<&'a [u8]>, Error>> {
        let mut lookup = self.plan().headers.lookup(hints.order);
        let (mut id, mut others) = (None, Ok(()));
        for (name, value) in headers {
            let name = name.as_ref();
            if name == b"id" {
                id.get_or_insert(value);
            } else if others.is_ok()
                && let (Some(target), Some(value)) = (lookup.first(name), value)
                && !(value.is_empty() && target.is_of_event())
            {
                let last = target.field.and_then(|field| hints.last(field));
                others = event.read_header(target, value, self.forms(), last);
            }
        }

        hints.order = lookup.order();
        id.map(|id| others.map(|()| id))
    }

    fn read_id(&self, event: &mut DecodedEvent, topic: &str, id: Option<&[u8]>) -> Result<(), Error> {
        let id = id.unwrap_or_default();
        if let Ok(uuid) = Uuid::try_parse_ascii(id) {
            event.id = uuid;
            return Ok(());
        }
        if self.layout().columns().get(self.plan().id).map(Column::ty) == Some(ColumnType::Uuid) {
            return Err(Error::decode("header id", "it is not a UUID"));
        }
        event.id = event_identity(topic, id).ok_or_else(|| Error::decode("header id", "it is empty or not UTF-8"))?;
        event.id_text = Some(utf8("header id", id)?.into());
        Ok(())
    }

    fn field_at(&self, index: usize) -> Option<EventField> {
        self.layout().columns().get(index).and_then(|column| column.field())
    }

    /// Classifies a record without the header `id`.
    fn other_than_event(&self, topic: &str, has_value: bool) -> NotAnEvent {
        let is_of = |suffix: &str| topic.strip_prefix(self.topic_prefix()) == Some(suffix);
        if topic == self.config().heartbeat_topic() {
            NotAnEvent::Heartbeat
        } else if is_of(".transaction") {
            NotAnEvent::TransactionMetadata
        } else if is_of(".message") {
            NotAnEvent::LogicalMessage
        } else if has_value {
            NotAnEvent::NoEventId
        } else {
            NotAnEvent::Tombstone
        }
    }

    fn read_key(&self, event: &mut DecodedEvent, key: Option<&[u8]>) -> Result<(), Error> {
        let (Some(key), Some(field)) = (key, self.field_at(self.plan().key)) else { return Ok(()) };
        let schemas = match self.key_converter() {
            KeyConverter::String | KeyConverter::Bytes => return event.set(field, utf8("key", key)?),
            KeyConverter::Json(schemas) => schemas,
            KeyConverter::Number(number) => {
                let error = || Error::decode("key", "it is not of the type that the converter writes");
                return event.set(field, &number.read(key).ok_or_else(error)?);
            }
        };
        let scalar = unwrapped("key", utf8("key", key)?, schemas)?;
        event.set(field, &scalar_text("key", scalar)?.unwrap_or_default())
    }

    /// Sets the payload, and the fields of the envelope if there is one. A tombstone sets neither.
    fn read_value(&self, event: &mut DecodedEvent, value: Option<Bytes>) -> Result<(), Error> {
        let Some(value) = value else { return Ok(()) };
        match self.value_converter() {
            ValueConverter::Bytes => event.payload = DecodedPayload::Bytes(value),
            ValueConverter::String if self.has_binary_payload() => {
                event.payload = self.binary_payload(utf8("value", &value)?)?;
            }
            ValueConverter::String => {
                let text = ByteString::try_from(value).map_err(|e| not_utf8("value").caused_by(e))?;
                event.payload = DecodedPayload::text(Utf8Bytes(text));
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
            if !target.is_of_event() {
                event.extra.entry(target.alias.clone()).or_insert_with(|| value.get().to_owned());
            } else if let Some(text) = scalar_text(&target.alias, value)? {
                event.place(target, &text, self.forms())?;
            }
        }
        Ok(())
    }

    fn has_binary_payload(&self) -> bool {
        self.layout().columns().get(self.plan().payload).is_some_and(|column| column.ty() == ColumnType::Bytea)
    }

    fn binary_payload(&self, text: &str) -> Result<DecodedPayload, Error> {
        match from_binary(text, self.forms().binary) {
            Some(bytes) => Ok(DecodedPayload::Bytes(bytes.into())),
            None => Err(Error::decode("payload", "it is not the base64 or hex of bytes")),
        }
    }

    /// Returns the payload within JSON: a string holds the column's text (or base64 of its bytes), anything else was
    /// expanded.
    fn json_payload(&self, payload: &RawValue) -> Result<DecodedPayload, Error> {
        let json = payload.get();
        if json == "null" {
            return Ok(DecodedPayload::Empty);
        }

        if json.starts_with('"') {
            let text = scalar_text("payload", payload)?.unwrap_or_default();
            return match self.has_binary_payload() {
                true => self.binary_payload(&text),
                false => Ok(DecodedPayload::text(text.into_owned().into())),
            };
        }

        let is_nested = self.messages().is_some() && self.payload_type() == ColumnType::Json;
        let is_number = !self.payload_type().is_expandable() && !self.has_binary_payload();
        match is_nested || is_number || self.router().expansion.is_some() {
            true => Ok(DecodedPayload::text(json.into())),
            false => {
                Err(Error::decode("payload", "it is not a JSON string, and this pipeline does not expand payloads"))
            }
        }
    }
}

impl DecodedEvent {
    /// Reads a header, unless another header has set its part. `last` is the text of the part in the last record.
    #[inline]
    fn read_header(
        &mut self,
        target: &Target,
        value: &[u8],
        forms: ValueForms,
        last: Option<&mut Option<ShortText>>,
    ) -> Result<(), Error> {
        let Some(slot) = target.field.and_then(|field| self.slot(field)) else {
            return self.place(target, utf8(&target.alias, value)?, forms);
        };
        if slot.is_some() {
            return utf8(&target.alias, value).map(drop);
        }
        match last {
            Some(Some(text)) if text.as_bytes() == value => *slot = Some(text.clone()),
            Some(last) => *slot = last.insert(utf8(&target.alias, value)?.into()).clone().into(),
            None => *slot = Some(utf8(&target.alias, value)?.into()),
        }
        Ok(())
    }

    /// Sets the part of the event that a value belongs to: a field, a header, or an additional value under its alias.
    fn place(&mut self, target: &Target, text: &str, forms: ValueForms) -> Result<(), Error> {
        match target.field {
            Some(EventField::CreatedAt) if !text.is_empty() && self.created_at.is_none() => {
                let at = match Temporal::of(target.ty, forms.time) {
                    Some(temporal) => temporal.instant(text),
                    None => instant::from_zoned(text),
                };
                self.created_at = Some(at.ok_or_else(|| Error::decode(&*target.alias, "it is not an instant"))?);
                Ok(())
            }
            Some(field) => self.set(field, text),
            // Empty text stands for no header.
            None if target.header.is_some() => {
                let name = target.header.as_deref().filter(|_| !text.is_empty());
                name.into_iter().for_each(|name| self.headers.add(name, text));
                Ok(())
            }
            None => {
                self.extra.entry(target.alias.clone()).or_insert_with(|| text.to_owned());
                Ok(())
            }
        }
    }
}

/// Returns the headers with the texts of their JSON. A header in another form, such as that of a client, stays as it
/// is.
fn unwrapped_headers<'a, N: AsRef<[u8]>>(
    headers: impl Iterator<Item = (N, Option<&'a [u8]>)>,
    schemas: Schemas,
) -> Vec<(N, Option<Cow<'a, [u8]>>)> {
    let text = |value: &'a [u8]| {
        let json = unwrapped("header", std::str::from_utf8(value).ok()?, schemas).ok()?;
        scalar_text("header", json).ok()
    };
    let unwrapped = |value: &'a [u8]| match text(value) {
        Some(Some(Cow::Borrowed(text))) => Some(Cow::Borrowed(text.as_bytes())),
        Some(text) => text.map(|text| Cow::Owned(text.into_owned().into_bytes())),
        None => Some(Cow::Borrowed(value)),
    };
    headers.map(|(name, value)| (name, value.and_then(unwrapped))).collect()
}

/// Returns the JsonConverter's value, out of `{"schema":…,"payload":…}` where schemas are enabled.
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

/// Returns the text of a JSON string, number or boolean; `None` for null.
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

#[inline]
fn utf8<'a>(part: &str, bytes: &'a [u8]) -> Result<&'a str, Error> {
    std::str::from_utf8(bytes).map_err(|e| not_utf8(part).caused_by(e))
}

#[cold]
fn not_utf8(part: &str) -> Error {
    Error::decode(part, "it is not UTF-8")
}
