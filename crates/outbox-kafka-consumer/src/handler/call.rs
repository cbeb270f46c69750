//! A call of a handler through its layers, for either driver.

use std::sync::Arc;

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use outbox_core::record::DecodedEvent;
use outbox_core::{EventKind, IncomingEvent};
use serde::de::DeserializeOwned;

use super::{HandlerError, HandlerResult, Upcasts};
use crate::Received;
use crate::policy::RecordPolicy;
use crate::store;

/// A type-erased handler.
#[async_trait]
pub trait AnyHandler: Send + Sync {
    /// Handles one event, or several if it is a batch handler.
    async fn handle(&self, tx: HandlerTx<'_, '_>, events: Vec<Received<()>>, reading: Reading<'_>) -> HandlerResult;
}

/// A type-erased layer.
#[async_trait]
pub trait AnyLayer: Send + Sync {
    /// Calls the layer, which runs the rest of the call.
    async fn call(&self, tx: HandlerTx<'_, '_>, rest: Call<'_>) -> HandlerResult;
}

/// A call of a handler, with the layers that it has not passed yet.
pub struct Call<'a> {
    events: Vec<Received<()>>,
    layers: &'a [Arc<dyn AnyLayer>],
    handler: &'a dyn AnyHandler,
    reading: Reading<'a>,
    /// The address of the transaction that it began with.
    tx: Option<usize>,
}

impl<'a> Call<'a> {
    pub fn new(
        events: Vec<Received<()>>,
        layers: &'a [Arc<dyn AnyLayer>],
        handler: &'a dyn AnyHandler,
        reading: Reading<'a>,
    ) -> Self {
        Self { events, layers, handler, reading, tx: None }
    }

    pub fn events(&self) -> &[Received<()>] {
        &self.events
    }

    /// Calls the outermost layer, or else the handler.
    pub async fn run(mut self, mut tx: HandlerTx<'_, '_>) -> HandlerResult {
        let (address, depth) = (tx.address(), tx.depth());
        if *self.tx.get_or_insert(address) != address {
            return Err("a layer has passed on another transaction than its own".into());
        }

        let handled = match self.layers.split_first() {
            Some((layer, layers)) => layer.call(tx.reborrow(), Call { layers, ..self }).await,
            None => self.handler.handle(tx.reborrow(), self.events, self.reading).await,
        };

        // The statements of later handlers would be in the savepoint, and a COMMIT would only release it.
        if handled.is_ok() && tx.depth() > depth {
            return Err("the handler left a savepoint open: commit or roll back what `begin` returned".into());
        }
        handled
    }
}

/// The transaction that a handler gets, if it gets one.
pub enum HandlerTx<'a, 't> {
    TokioPostgres(&'a Transaction<'t>),
    #[cfg(feature = "sqlx")]
    Sqlx(&'a mut ::sqlx::Transaction<'t, ::sqlx::Postgres>),
    /// The handler is called outside of any transaction.
    Outside,
}

impl<'a, 't> HandlerTx<'a, 't> {
    pub fn new(tx: &'a mut store::Transaction<'t>) -> Self {
        match tx {
            store::Transaction::TokioPostgres(tx) => Self::TokioPostgres(tx),
            #[cfg(feature = "sqlx")]
            store::Transaction::Sqlx(tx) => Self::Sqlx(tx.of_handlers()),
        }
    }

    pub fn is_outside(&self) -> bool {
        matches!(self, Self::Outside)
    }

    fn reborrow(&mut self) -> HandlerTx<'_, 't> {
        match self {
            Self::TokioPostgres(tx) => HandlerTx::TokioPostgres(tx),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(tx) => HandlerTx::Sqlx(tx),
            Self::Outside => HandlerTx::Outside,
        }
    }

    /// Returns an address that distinguishes the transaction from other open ones.
    fn address(&self) -> usize {
        match self {
            Self::TokioPostgres(tx) => std::ptr::from_ref(*tx).addr(),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(tx) => std::ptr::from_ref::<::sqlx::PgConnection>(tx).addr(),
            Self::Outside => 0,
        }
    }

    /// Returns the nesting depth of transactions, as far as the driver counts it.
    fn depth(&self) -> usize {
        match self {
            #[cfg(feature = "sqlx")]
            Self::Sqlx(tx) => store::driver::depth(tx),
            _ => 0,
        }
    }

    /// Returns the transaction of tokio-postgres. The types of the builder prevent another one.
    pub fn tokio_postgres(self) -> Result<&'a Transaction<'t>, HandlerError> {
        match self {
            Self::TokioPostgres(tx) => Ok(tx),
            _ => Err(other_driver()),
        }
    }

    /// Returns the transaction of sqlx. The types of the builder prevent another one.
    #[cfg(feature = "sqlx")]
    pub fn sqlx(self) -> Result<&'a mut ::sqlx::Transaction<'t, ::sqlx::Postgres>, HandlerError> {
        match self {
            Self::Sqlx(tx) => Ok(tx),
            _ => Err(other_driver()),
        }
    }
}

fn other_driver() -> HandlerError {
    "the handler takes a transaction of another driver than the store has".into()
}

/// The way in which payloads are read.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    upcasts: &'a Upcasts,
    undecodable: RecordPolicy,
    on_skipped: fn(&Received<()>),
}

impl<'a> Reading<'a> {
    /// Creates it; `on_skipped` is called with each event that the policy leaves out.
    pub fn new(upcasts: &'a Upcasts, undecodable: RecordPolicy, on_skipped: fn(&Received<()>)) -> Self {
        Self { upcasts, undecodable, on_skipped }
    }

    /// Reads the payload of the only event; `None` if the policy leaves it out.
    pub fn read_one<E: IncomingEvent + DeserializeOwned + 'static>(
        self,
        events: Vec<Received<()>>,
    ) -> Result<Option<Received<E>>, HandlerError> {
        Ok(self.read_all(events)?.pop())
    }

    /// Reads the payloads of events; the policy may leave out those that cannot be read.
    pub fn read_all<E: IncomingEvent + DeserializeOwned + 'static>(
        self,
        events: Vec<Received<()>>,
    ) -> Result<Vec<Received<E>>, HandlerError> {
        let mut received = Vec::with_capacity(events.len());
        for (index, event) in events.into_iter().enumerate() {
            match self.read::<E>(event.envelope()) {
                Ok(payload) => received.push(event.with(payload)),
                Err(error) if error.is_unreadable() && self.undecodable == RecordPolicy::Skip => {
                    (self.on_skipped)(&event);
                }
                Err(error) => return Err(error.caused_by_event(index)),
            }
        }
        Ok(received)
    }

    fn read<E: IncomingEvent + DeserializeOwned + 'static>(self, event: &DecodedEvent) -> Result<E, HandlerError> {
        let newest = event.kind_in::<E>().map(EventKind::schema_version);
        match event.schema_version.filter(|version| newest.is_some_and(|newest| *version < newest)) {
            Some(version) => self.upcasts.read(version, event),
            None => event.read().map_err(HandlerError::unreadable),
        }
    }
}
