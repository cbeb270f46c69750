use std::any::{Any, TypeId};
use std::collections::HashMap;

use outbox_core::{DecodedPayload, IncomingEvent};
use serde::de::DeserializeOwned;

use super::{Failure, HandlerError};

/// How payloads of older schema versions become events of today, by the event's type.
#[derive(Default)]
pub(crate) struct Upcasts(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

type Upcast<E> = Box<dyn Fn(u32, &DecodedPayload) -> Result<E, HandlerError> + Send + Sync>;

impl Upcasts {
    /// Adds an upcast; returns `false` if the type has one already.
    pub(crate) fn add<E: 'static>(
        &mut self,
        upcast: impl Fn(u32, &DecodedPayload) -> Result<E, HandlerError> + Send + Sync + 'static,
    ) -> bool {
        let upcast: Upcast<E> = Box::new(upcast);
        self.0.insert(TypeId::of::<E>(), Box::new(upcast)).is_none()
    }

    /// Reads the event. Without an upcast, the old payload is read as it is.
    pub(super) fn read<E: IncomingEvent + DeserializeOwned + 'static>(
        &self,
        version: u32,
        payload: &DecodedPayload,
    ) -> Result<E, Failure> {
        match self.0.get(&TypeId::of::<E>()).and_then(|upcast| upcast.downcast_ref::<Upcast<E>>()) {
            Some(upcast) => upcast(version, payload).map_err(Failure::Handler),
            None => payload.json().map_err(Failure::Payload),
        }
    }
}
