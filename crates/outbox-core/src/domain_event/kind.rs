use serde::Serialize;
use serde::de::DeserializeOwned;

use super::variant::{VariantContent, VariantOf};
use crate::{Error, Payload};

/// An event type of a typed event, and the newest schema version of it that the type reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKind {
    event_type: &'static str,
    schema_version: u32,
    /// The position of the variant, if the type is an enum of events.
    variant: Option<u32>,
}

impl EventKind {
    /// Returns the kind of a type that is one event.
    #[must_use]
    pub const fn new(event_type: &'static str, schema_version: u32) -> Self {
        Self { event_type, schema_version, variant: None }
    }

    /// Returns the kind of a variant of an enum of events, by its position among those that serde knows. The payload is
    /// what the variant holds, without its name.
    #[must_use]
    pub const fn from_variant(position: u32, event_type: &'static str, schema_version: u32) -> Self {
        Self { event_type, schema_version, variant: Some(position) }
    }

    /// Returns the event type.
    #[must_use]
    pub const fn event_type(self) -> &'static str {
        self.event_type
    }

    /// Returns the newest schema version that the type reads and writes.
    #[must_use]
    pub const fn schema_version(self) -> u32 {
        self.schema_version
    }

    /// Writes the payload of an event of this kind.
    pub(crate) fn payload_of<E: Serialize>(self, event: &E) -> Result<Payload, Error> {
        match self.variant {
            None => Payload::serialize(event),
            Some(_) => Payload::serialize_as(event, |event| {
                let mut json = Vec::new();
                event.serialize(VariantContent(&mut serde_json::Serializer::new(&mut json)))?;
                Ok(json)
            }),
        }
    }

    /// Reads an event of this kind from its payload's JSON.
    pub(crate) fn read<E: DeserializeOwned>(self, json: &[u8]) -> Result<E, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let event = match self.variant {
            None => E::deserialize(&mut deserializer)?,
            Some(position) => E::deserialize(VariantOf { position, content: &mut deserializer })?,
        };
        deserializer.end()?;
        Ok(event)
    }
}

/// Returns whether two texts are the same.
pub(super) const fn same(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    while let ([a, rest_of_one @ ..], [b, rest_of_other @ ..]) = (one, other) {
        if *a != *b {
            return false;
        }
        (one, other) = (rest_of_one, rest_of_other);
    }
    one.is_empty() && other.is_empty()
}
