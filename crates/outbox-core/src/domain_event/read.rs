use serde::de::DeserializeOwned;

use crate::{DecodedEvent, DecodedPayload, Error, EventKind, IncomingEvent};

impl DecodedEvent {
    /// Returns which of a typed event's kinds this is: the one of the same event type. A type that is a single event is
    /// taken for it if the record carries no event type.
    #[must_use]
    pub fn kind_in<E: IncomingEvent>(&self) -> Option<EventKind> {
        match (&self.event_type, E::KINDS) {
            (Some(name), kinds) => kinds.iter().find(|kind| *name == kind.event_type()).copied(),
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
