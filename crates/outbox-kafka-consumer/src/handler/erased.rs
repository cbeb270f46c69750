use std::marker::PhantomData;

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use outbox_core::{DecodedEvent, DomainEvent};
use serde::de::DeserializeOwned;

use super::{Handler, HandlerError, OutsideHandler, RawHandler, Upcasts};
use crate::Received;
use crate::received::Place;

/// A handler of whatever type, for the registry.
pub(crate) enum Registered {
    /// Its effects are in the transaction that it is given.
    Inside(Box<dyn Inside>),
    /// Its effects are elsewhere.
    Outside(Box<dyn Outside>),
}

#[async_trait]
pub(crate) trait Inside: Send + Sync {
    async fn handle(
        &self,
        tx: &Transaction<'_>,
        event: DecodedEvent,
        place: Place,
        upcasts: &Upcasts,
    ) -> Result<(), Failure>;
}

#[async_trait]
pub(crate) trait Outside: Send + Sync {
    async fn handle(&self, event: DecodedEvent, place: Place, upcasts: &Upcasts) -> Result<(), Failure>;
}

/// Why an event was not handled.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The payload is not the JSON of the handler's event: trying again changes nothing.
    Payload(outbox_core::Error),
    /// The handler said no.
    Handler(HandlerError),
}

impl Registered {
    pub(crate) fn typed<M: 'static, H: Handler<M>>(handler: H) -> Self {
        Self::Inside(Box::new(Typed { handler, marker: PhantomData::<fn() -> M> }))
    }

    pub(crate) fn raw<M: 'static, H: RawHandler<M>>(handler: H) -> Self {
        Self::Inside(Box::new(Raw { handler, marker: PhantomData::<fn() -> M> }))
    }

    pub(crate) fn outside<M: 'static, H: OutsideHandler<M>>(handler: H) -> Self {
        Self::Outside(Box::new(Typed { handler, marker: PhantomData::<fn() -> M> }))
    }
}

struct Typed<H, M> {
    handler: H,
    marker: PhantomData<fn() -> M>,
}

struct Raw<H, M> {
    handler: H,
    marker: PhantomData<fn() -> M>,
}

fn read<E: DomainEvent + DeserializeOwned + 'static>(event: &DecodedEvent, upcasts: &Upcasts) -> Result<E, Failure> {
    match event.schema_version.filter(|version| *version < E::SCHEMA_VERSION) {
        Some(version) => upcasts.read(version, &event.payload),
        None => event.payload.json().map_err(Failure::Payload),
    }
}

#[async_trait]
impl<M: 'static, H: Handler<M>> Inside for Typed<H, M> {
    async fn handle(
        &self,
        tx: &Transaction<'_>,
        envelope: DecodedEvent,
        place: Place,
        upcasts: &Upcasts,
    ) -> Result<(), Failure> {
        let event = read::<H::Event>(&envelope, upcasts)?;
        self.handler.handle(tx, Received::new(event, envelope, place)).await.map_err(Failure::Handler)
    }
}

#[async_trait]
impl<M: 'static, H: RawHandler<M>> Inside for Raw<H, M> {
    async fn handle(
        &self,
        tx: &Transaction<'_>,
        envelope: DecodedEvent,
        place: Place,
        _: &Upcasts,
    ) -> Result<(), Failure> {
        self.handler.handle(tx, Received::new((), envelope, place)).await.map_err(Failure::Handler)
    }
}

#[async_trait]
impl<M: 'static, H: OutsideHandler<M>> Outside for Typed<H, M> {
    async fn handle(&self, envelope: DecodedEvent, place: Place, upcasts: &Upcasts) -> Result<(), Failure> {
        let event = read::<H::Event>(&envelope, upcasts)?;
        self.handler.handle(Received::new(event, envelope, place)).await.map_err(Failure::Handler)
    }
}
