use std::marker::PhantomData;

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use outbox_core::DecodedEvent;

use super::{Handler, HandlerError, RawHandler};
use crate::Received;
use crate::received::Place;

/// A handler of whatever type, for the registry.
#[async_trait]
pub(crate) trait Erased: Send + Sync {
    async fn handle(&self, tx: &Transaction<'_>, envelope: DecodedEvent, place: Place) -> Result<(), Failure>;
}

/// Why an event was not handled.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The payload is not the JSON of the handler's event: trying again changes nothing.
    Payload(outbox_core::Error),
    /// The handler said no.
    Handler(HandlerError),
}

pub(crate) fn typed<M: 'static, H: Handler<M>>(handler: H) -> Box<dyn Erased> {
    Box::new(Typed { handler, marker: PhantomData::<fn() -> M> })
}

pub(crate) fn raw<M: 'static, H: RawHandler<M>>(handler: H) -> Box<dyn Erased> {
    Box::new(Raw { handler, marker: PhantomData::<fn() -> M> })
}

struct Typed<H, M> {
    handler: H,
    marker: PhantomData<fn() -> M>,
}

#[async_trait]
impl<M: 'static, H: Handler<M>> Erased for Typed<H, M> {
    async fn handle(&self, tx: &Transaction<'_>, envelope: DecodedEvent, place: Place) -> Result<(), Failure> {
        let event = envelope.payload.json::<H::Event>().map_err(Failure::Payload)?;
        self.handler.handle(tx, Received::new(event, envelope, place)).await.map_err(Failure::Handler)
    }
}

struct Raw<H, M> {
    handler: H,
    marker: PhantomData<fn() -> M>,
}

#[async_trait]
impl<M: 'static, H: RawHandler<M>> Erased for Raw<H, M> {
    async fn handle(&self, tx: &Transaction<'_>, envelope: DecodedEvent, place: Place) -> Result<(), Failure> {
        self.handler.handle(tx, Received::new((), envelope, place)).await.map_err(Failure::Handler)
    }
}
