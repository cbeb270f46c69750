use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use outbox_core::record::DecodedEvent;
use outbox_core::{EventKind, IncomingEvent};
use serde::de::DeserializeOwned;

use super::{BatchHandler, Handler, HandlerError, HandlerPolicy, RawHandler, SideEffectHandler, Upcasts};
use crate::Received;
use crate::policy::RecordPolicy;
use crate::received::RecordPosition;
use crate::store::Transaction;

/// A handler of any type, for the registry. A handler of an enum of events is registered for each event type.
#[derive(Clone)]
pub(crate) struct Registered {
    pub(crate) calls: Calls,
    pub(crate) policy: HandlerPolicy,
}

/// How a handler is called.
#[derive(Clone)]
pub(crate) enum Calls {
    /// With one event, within its transaction.
    Each(Arc<dyn Inside>),
    /// With several events, within their transaction.
    Together(Arc<dyn Together>),
    /// With one event, outside of any transaction.
    Outside(Arc<dyn Outside>),
}

#[async_trait]
pub(crate) trait Inside: Send + Sync {
    async fn handle(
        &self,
        tx: &mut Transaction<'_>,
        event: DecodedEvent,
        place: RecordPosition,
        upcasts: &Upcasts,
    ) -> Result<(), Failure>;
}

#[async_trait]
pub(crate) trait Together: Send + Sync {
    /// Handles the events whose payloads can be read, and the policy leaves out the others.
    async fn handle(
        &self,
        tx: &mut Transaction<'_>,
        events: Vec<(DecodedEvent, RecordPosition)>,
        upcasts: &Upcasts,
        undecodable: RecordPolicy,
    ) -> Result<(), FailureOf>;
}

#[async_trait]
pub(crate) trait Outside: Send + Sync {
    async fn handle(&self, event: DecodedEvent, place: RecordPosition, upcasts: &Upcasts) -> Result<(), Failure>;
}

/// Why an event was not handled.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The payload is not the JSON of the handler's event: another attempt fails as well.
    Payload(outbox_core::Error),
    /// The handler returned an error.
    Handler(HandlerError),
}

/// Why events were not handled, and which of them is the cause if it is known.
#[derive(Debug)]
pub(crate) struct FailureOf {
    pub(crate) failure: Failure,
    pub(crate) event: Option<usize>,
}

impl Failure {
    /// Returns the failure of a handler whose driver is not the store's. The types of the builder prevent it.
    pub(super) fn other_driver() -> Self {
        Self::Handler("the handler takes a transaction of another driver than the store has".into())
    }
}

impl From<Failure> for FailureOf {
    fn from(failure: Failure) -> Self {
        Self { failure, event: None }
    }
}

impl Registered {
    /// Returns what is called before the handlers of each event.
    pub(crate) fn hook<M: 'static, H: RawHandler<M>>(handler: H) -> Arc<dyn Inside> {
        Arc::new(Raw { handler, marker: PhantomData::<fn() -> M> })
    }

    pub(crate) fn typed<M: 'static, H: Handler<M>>(handler: H) -> Self {
        Self { policy: handler.policy(), calls: Calls::Each(Arc::new(Typed::new(handler))) }
    }

    pub(crate) fn batch<M: 'static, H: BatchHandler<M>>(handler: H) -> Self {
        Self { policy: handler.policy(), calls: Calls::Together(Arc::new(Typed::new(handler))) }
    }

    pub(crate) fn raw<M: 'static, H: RawHandler<M>>(handler: H) -> Self {
        let policy = handler.policy();
        Self { policy, calls: Calls::Each(Arc::new(Raw { handler, marker: PhantomData::<fn() -> M> })) }
    }

    pub(crate) fn outside<M: 'static, H: SideEffectHandler<M>>(handler: H) -> Self {
        Self { policy: handler.policy(), calls: Calls::Outside(Arc::new(Typed::new(handler))) }
    }
}

struct Typed<H, M> {
    handler: H,
    marker: PhantomData<fn() -> M>,
}

impl<H, M> Typed<H, M> {
    fn new(handler: H) -> Self {
        Self { handler, marker: PhantomData }
    }
}

struct Raw<H, M> {
    handler: H,
    marker: PhantomData<fn() -> M>,
}

/// Reads the payload of an event.
pub(super) fn read<E: IncomingEvent + DeserializeOwned + 'static>(
    event: &DecodedEvent,
    upcasts: &Upcasts,
) -> Result<E, Failure> {
    let newest = event.kind_in::<E>().map(EventKind::schema_version);
    match event.schema_version.filter(|version| newest.is_some_and(|newest| *version < newest)) {
        Some(version) => upcasts.read(version, event),
        None => event.read().map_err(Failure::Payload),
    }
}

/// Reads the payloads of events for a batch handler; the policy leaves out those that cannot be read.
pub(super) fn read_all<E: IncomingEvent + DeserializeOwned + 'static>(
    events: Vec<(DecodedEvent, RecordPosition)>,
    upcasts: &Upcasts,
    undecodable: RecordPolicy,
) -> Result<Vec<Received<E>>, FailureOf> {
    let mut received = Vec::with_capacity(events.len());
    for (index, (envelope, place)) in events.into_iter().enumerate() {
        match read::<E>(&envelope, upcasts) {
            Ok(event) => received.push(Received::new(event, envelope, place)),
            Err(Failure::Payload(_)) if undecodable == RecordPolicy::Skip => {}
            Err(failure) => return Err(FailureOf { failure, event: Some(index) }),
        }
    }
    Ok(received)
}

#[async_trait]
impl<M: 'static, H: Handler<M>> Inside for Typed<H, M> {
    async fn handle(
        &self,
        tx: &mut Transaction<'_>,
        envelope: DecodedEvent,
        place: RecordPosition,
        upcasts: &Upcasts,
    ) -> Result<(), Failure> {
        let event = read::<H::Event>(&envelope, upcasts)?;
        let tx = tx.as_tokio_postgres().ok_or_else(Failure::other_driver)?;
        self.handler.handle(tx, Received::new(event, envelope, place)).await.map_err(Failure::Handler)
    }
}

#[async_trait]
impl<M: 'static, H: BatchHandler<M>> Together for Typed<H, M> {
    async fn handle(
        &self,
        tx: &mut Transaction<'_>,
        events: Vec<(DecodedEvent, RecordPosition)>,
        upcasts: &Upcasts,
        undecodable: RecordPolicy,
    ) -> Result<(), FailureOf> {
        let received = read_all::<H::Event>(events, upcasts, undecodable)?;
        if received.is_empty() {
            return Ok(());
        }
        let tx = tx.as_tokio_postgres().ok_or_else(Failure::other_driver)?;
        Ok(self.handler.handle(tx, received).await.map_err(Failure::Handler)?)
    }
}

#[async_trait]
impl<M: 'static, H: RawHandler<M>> Inside for Raw<H, M> {
    async fn handle(
        &self,
        tx: &mut Transaction<'_>,
        envelope: DecodedEvent,
        place: RecordPosition,
        _: &Upcasts,
    ) -> Result<(), Failure> {
        let tx = tx.as_tokio_postgres().ok_or_else(Failure::other_driver)?;
        self.handler.handle(tx, Received::new((), envelope, place)).await.map_err(Failure::Handler)
    }
}

#[async_trait]
impl<M: 'static, H: SideEffectHandler<M>> Outside for Typed<H, M> {
    async fn handle(&self, envelope: DecodedEvent, place: RecordPosition, upcasts: &Upcasts) -> Result<(), Failure> {
        let event = read::<H::Event>(&envelope, upcasts)?;
        self.handler.handle(Received::new(event, envelope, place)).await.map_err(Failure::Handler)
    }
}
