use serde::Serialize;
use serde::de::DeserializeOwned;

use super::variant::{VariantContent, VariantOf};
use crate::{DecodedEvent, DecodedPayload, Error, IncomingEvent, Payload};

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

    /// Returns the kind of a variant that holds nothing but an event of the same aggregate type. Another aggregate type
    /// does not compile if it is evaluated in a constant.
    ///
    /// # Panics
    /// `E` is of another aggregate type, or is an enum of events.
    #[must_use]
    pub const fn from_event<E: IncomingEvent>(position: u32, aggregate_type: &str) -> Self {
        assert!(
            same(E::AGGREGATE_TYPE, aggregate_type),
            "the variant's event is of another aggregate type than the enum"
        );
        assert!(E::KINDS.len() == 1, "the variant holds an enum of events: only one event belongs in it");
        Self::from_variant(position, E::EVENT_TYPE, E::SCHEMA_VERSION)
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

impl DecodedEvent {
    /// Returns which of a typed event's kinds this is: the one of the same event type. A type that is a single event is
    /// taken for it if the record carries no event type.
    #[must_use]
    pub fn kind_in<E: IncomingEvent>(&self) -> Option<EventKind> {
        match (&self.event_type, E::KINDS) {
            (Some(name), kinds) => kinds.iter().find(|kind| *name == kind.event_type).copied(),
            (None, [kind]) => Some(*kind),
            (None, _) => None,
        }
    }

    /// Reads the payload as a typed event; of an enum of events, as the variant of this event type.
    ///
    /// ```
    /// # use outbox_core::record::DecodedEvent;
    /// # use outbox_core::{DomainEvent, Error};
    /// #[derive(DomainEvent, serde::Serialize, serde::Deserialize)]
    /// #[event(aggregate_type = "order")]
    /// enum OrderEvent {
    ///     Created { #[event(aggregate_id)] order_id: u64, quantity: u32 },
    ///     Cancelled { #[event(aggregate_id)] order_id: u64 },
    /// }
    ///
    /// fn ordered(event: &DecodedEvent) -> Result<u32, Error> {
    ///     Ok(match event.read::<OrderEvent>()? {
    ///         OrderEvent::Created { quantity, .. } => quantity,
    ///         OrderEvent::Cancelled { .. } => 0,
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// The event is of another type, or its payload is not the JSON of `E` ([`Error::is_undecodable`]).
    pub fn read<E: IncomingEvent + DeserializeOwned>(&self) -> Result<E, Error> {
        match self.kind_in::<E>() {
            Some(kind) => self.payload.read_as(kind),
            None => {
                let reason = format!("it is none of the event types of {}", std::any::type_name::<E>());
                Err(Error::decode("event_type", reason))
            }
        }
    }
}

impl DecodedPayload {
    fn read_as<E: DeserializeOwned>(&self, kind: EventKind) -> Result<E, Error> {
        kind.read(self.as_bytes()).map_err(|e| {
            let reason = format!("it is not the JSON of {}", std::any::type_name::<E>());
            Error::decode("payload", reason).caused_by(e)
        })
    }
}
