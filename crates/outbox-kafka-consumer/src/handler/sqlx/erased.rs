use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use outbox_core::record::DecodedEvent;
use sqlx::PgConnection;

use super::{BatchHandler, Handler, RawHandler};
use crate::Received;
use crate::handler::erased::{Failure, FailureOf, Inside, Together, read, read_all};
use crate::handler::{Calls, HandlerResult, Registered, Upcasts};
use crate::policy::RecordPolicy;
use crate::received::RecordPosition;
use crate::store::Transaction;
use crate::store::driver::depth as depth_of;

impl Registered {
    /// Returns what is called before the handlers of each event.
    pub(crate) fn sqlx_hook<M: 'static, H: RawHandler<M>>(handler: H) -> Arc<dyn Inside> {
        Arc::new(Raw { handler, marker: PhantomData::<fn() -> M> })
    }

    pub(crate) fn sqlx_typed<M: 'static, H: Handler<M>>(handler: H) -> Self {
        let policy = handler.policy();
        Self { policy, calls: Calls::Each(Arc::new(Typed { handler, marker: PhantomData::<fn() -> M> })) }
    }

    pub(crate) fn sqlx_batch<M: 'static, H: BatchHandler<M>>(handler: H) -> Self {
        let policy = handler.policy();
        Self { policy, calls: Calls::Together(Arc::new(Typed { handler, marker: PhantomData::<fn() -> M> })) }
    }

    pub(crate) fn sqlx_raw<M: 'static, H: RawHandler<M>>(handler: H) -> Self {
        let policy = handler.policy();
        Self { policy, calls: Calls::Each(Arc::new(Raw { handler, marker: PhantomData::<fn() -> M> })) }
    }
}

/// Returns the outcome of a handler, which is an error if it has left a savepoint open: what later handlers do would be
/// part of the savepoint, and a COMMIT only its release. `depth` is that before the handler.
fn without_savepoints(tx: &PgConnection, depth: usize, handled: HandlerResult) -> Result<(), Failure> {
    if handled.is_ok() && depth_of(tx) > depth {
        let error = "the handler left a savepoint open: commit or roll back what `begin` returned";
        return Err(Failure::Handler(error.into()));
    }
    handled.map_err(Failure::Handler)
}

struct Typed<H, M> {
    handler: H,
    marker: PhantomData<fn() -> M>,
}

struct Raw<H, M> {
    handler: H,
    marker: PhantomData<fn() -> M>,
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
        let tx = tx.as_sqlx().ok_or_else(Failure::other_driver)?;
        let depth = depth_of(tx);
        let handled = self.handler.handle(tx, Received::new(event, envelope, place)).await;
        without_savepoints(tx, depth, handled)
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
        let tx = tx.as_sqlx().ok_or_else(Failure::other_driver)?;
        let depth = depth_of(tx);
        let handled = self.handler.handle(tx, received).await;
        Ok(without_savepoints(tx, depth, handled)?)
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
        let tx = tx.as_sqlx().ok_or_else(Failure::other_driver)?;
        let depth = depth_of(tx);
        let handled = self.handler.handle(tx, Received::new((), envelope, place)).await;
        without_savepoints(tx, depth, handled)
    }
}
