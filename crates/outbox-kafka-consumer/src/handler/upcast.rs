use std::any::{Any, TypeId};
use std::collections::HashMap;

use outbox_core::record::{DecodedEvent, DecodedPayload};
use outbox_core::{EventKind, IncomingEvent};
use serde::de::DeserializeOwned;

use super::HandlerError;

/// The way in which payloads of older schema versions become events of today, by the typed event and its event type.
#[derive(Default)]
pub struct Upcasts(HashMap<(TypeId, &'static str), Box<dyn Any + Send + Sync>>);

type Upcast<E> = Box<dyn Fn(u32, &DecodedPayload) -> Result<E, HandlerError> + Send + Sync>;

impl Upcasts {
    /// Adds an upcast. Returns `false` if the event type has one already.
    pub fn add<E: 'static>(
        &mut self,
        kind: EventKind,
        upcast: impl Fn(u32, &DecodedPayload) -> Result<E, HandlerError> + Send + Sync + 'static,
    ) -> bool {
        let upcast: Upcast<E> = Box::new(upcast);
        self.0.insert((TypeId::of::<E>(), kind.event_type()), Box::new(upcast)).is_none()
    }

    /// Reads the event. Without an upcast, the old payload is read as it is.
    pub fn read<E: IncomingEvent + DeserializeOwned + 'static>(
        &self,
        version: u32,
        event: &DecodedEvent,
    ) -> Result<E, HandlerError> {
        let kind = event.kind_in::<E>();
        let upcast = kind.and_then(|kind| self.0.get(&(TypeId::of::<E>(), kind.event_type())));
        match upcast.and_then(|upcast| upcast.downcast_ref::<Upcast<E>>()) {
            Some(upcast) => upcast(version, &event.payload),
            None => event.read().map_err(HandlerError::unreadable),
        }
    }
}
