//! Handlers and layers of any type and either driver, for the registry.

use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use outbox_core::record::DecodedEvent;
use outbox_core::{EventKind, IncomingEvent};
use serde::de::DeserializeOwned;

use super::{HandlerError, HandlerPolicy, HandlerResult, Next, SideEffectHandler, SideEffectLayer, Upcasts};
use crate::Received;
use crate::policy::RecordPolicy;
use crate::store;

/// A handler of any type, for the registry. A handler of an enum of events is registered for each event type.
#[derive(Clone)]
pub struct Registered {
    handler: Arc<dyn AnyHandler>,
    kind: Kind,
    policy: HandlerPolicy,
}

/// How events are handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One after the other; several may share a transaction.
    Each,
    /// Several at once, in one transaction.
    Together,
    /// Outside of any transaction, alone.
    Outside,
}

/// A handler whose types are erased.
#[async_trait]
pub trait AnyHandler: Send + Sync {
    /// Handles one event, or several if it is a batch handler.
    async fn handle(&self, tx: HandlerTx<'_, '_>, events: Vec<Received<()>>, reading: Reading<'_>) -> HandlerResult;
}

/// A layer whose types are erased.
#[async_trait]
pub trait AnyLayer: Send + Sync {
    /// Calls the layer, which runs the rest of the call.
    async fn call(&self, tx: HandlerTx<'_, '_>, rest: Call<'_>) -> HandlerResult;
}

impl Registered {
    fn new(handler: impl AnyHandler + 'static, kind: Kind, policy: HandlerPolicy) -> Self {
        Self { handler: Arc::new(handler), kind, policy }
    }

    /// Returns a handler outside of any transaction.
    pub fn side_effect<M: 'static, H: SideEffectHandler<M>>(handler: H) -> Self {
        let policy = handler.policy();
        Self::new(Erased::<Outside, H, M>::new(handler), Kind::Outside, policy)
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn policy(&self) -> &HandlerPolicy {
        &self.policy
    }

    /// Returns a call of it with these events.
    pub fn call<'a>(
        &'a self,
        events: Vec<Received<()>>,
        layers: &'a [Arc<dyn AnyLayer>],
        reading: Reading<'a>,
    ) -> Call<'a> {
        Call { events, layers, handler: &*self.handler, reading, tx: None }
    }
}

/// Returns a layer around handlers outside of any transaction.
pub fn side_effect_layer<M: 'static, L: SideEffectLayer<M>>(layer: L) -> Arc<dyn AnyLayer> {
    Arc::new(Erased::<Outside, L, M>::new(layer))
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

impl Call<'_> {
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

        // What later handlers do would be part of the savepoint, and a COMMIT only its release.
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

    /// Returns what distinguishes the transaction from others that are open.
    fn address(&self) -> usize {
        match self {
            Self::TokioPostgres(tx) => std::ptr::from_ref(*tx).addr(),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(tx) => std::ptr::from_ref::<::sqlx::PgConnection>(tx).addr(),
            Self::Outside => 0,
        }
    }

    /// Returns how many transactions are open within each other, as far as the driver counts them.
    fn depth(&self) -> usize {
        match self {
            #[cfg(feature = "sqlx")]
            Self::Sqlx(tx) => store::driver::depth(tx),
            _ => 0,
        }
    }

    /// Returns the transaction of tokio-postgres. The types of the builder prevent another one.
    fn tokio_postgres(self) -> Result<&'a Transaction<'t>, HandlerError> {
        match self {
            Self::TokioPostgres(tx) => Ok(tx),
            _ => Err(other_driver()),
        }
    }

    /// Returns the transaction of sqlx. The types of the builder prevent another one.
    #[cfg(feature = "sqlx")]
    fn sqlx(self) -> Result<&'a mut ::sqlx::Transaction<'t, ::sqlx::Postgres>, HandlerError> {
        match self {
            Self::Sqlx(tx) => Ok(tx),
            _ => Err(other_driver()),
        }
    }
}

fn other_driver() -> HandlerError {
    "the handler takes a transaction of another driver than the store has".into()
}

/// How payloads are read.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    upcasts: &'a Upcasts,
    undecodable: RecordPolicy,
}

impl<'a> Reading<'a> {
    pub fn new(upcasts: &'a Upcasts, undecodable: RecordPolicy) -> Self {
        Self { upcasts, undecodable }
    }

    /// Reads the payload of the only event; `None` if the policy leaves it out.
    fn read_one<E: IncomingEvent + DeserializeOwned + 'static>(
        self,
        events: Vec<Received<()>>,
    ) -> Result<Option<Received<E>>, HandlerError> {
        Ok(self.read_all(events)?.pop())
    }

    /// Reads the payloads of events; the policy may leave out those that cannot be read.
    fn read_all<E: IncomingEvent + DeserializeOwned + 'static>(
        self,
        events: Vec<Received<()>>,
    ) -> Result<Vec<Received<E>>, HandlerError> {
        let mut received = Vec::with_capacity(events.len());
        for (index, event) in events.into_iter().enumerate() {
            match self.read::<E>(event.envelope()) {
                Ok(payload) => received.push(event.with(payload)),
                Err(error) if error.is_unreadable() && self.undecodable == RecordPolicy::Skip => {}
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

/// A handler or layer, by the kind of its calls (`K`) and the marker of its implementation (`M`).
struct Erased<K, H, M> {
    inner: H,
    marker: PhantomData<fn() -> (K, M)>,
}

impl<K, H, M> Erased<K, H, M> {
    fn new(inner: H) -> Self {
        Self { inner, marker: PhantomData }
    }
}

/// A handler without a transaction, or a layer around such handlers.
enum Outside {}

#[async_trait]
impl<M: 'static, H: SideEffectHandler<M>> AnyHandler for Erased<Outside, H, M> {
    async fn handle(&self, _: HandlerTx<'_, '_>, events: Vec<Received<()>>, reading: Reading<'_>) -> HandlerResult {
        match reading.read_one(events)? {
            Some(event) => self.inner.handle(event).await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl<M: 'static, L: SideEffectLayer<M>> AnyLayer for Erased<Outside, L, M> {
    async fn call(&self, _: HandlerTx<'_, '_>, rest: Call<'_>) -> HandlerResult {
        self.inner.call(Next::new(rest)).await
    }
}

/// Erases the types of the handlers and layers of one driver, whose traits are in scope.
macro_rules! erase {
    ($driver:ident) => {
        use std::sync::Arc;

        use async_trait::async_trait;

        use super::{AnyHandler, AnyLayer, Call, Erased, HandlerTx, Kind, Reading, Registered};
        use crate::Received;
        use crate::handler::HandlerResult;

        /// A handler of one event at a time.
        enum Single {}
        /// A handler of several events at once.
        enum Batch {}
        /// A handler that reads payloads itself.
        enum Raw {}
        /// A layer around handlers.
        enum Around {}

        pub fn single<M: 'static, H: Handler<M>>(handler: H) -> Registered {
            let policy = handler.policy();
            Registered::new(Erased::<Single, H, M>::new(handler), Kind::Each, policy)
        }

        pub fn batch<M: 'static, H: BatchHandler<M>>(handler: H) -> Registered {
            let policy = handler.policy();
            Registered::new(Erased::<Batch, H, M>::new(handler), Kind::Together, policy)
        }

        pub fn raw<M: 'static, H: RawHandler<M>>(handler: H) -> Registered {
            let policy = handler.policy();
            Registered::new(Erased::<Raw, H, M>::new(handler), Kind::Each, policy)
        }

        pub fn layer<M: 'static, L: Layer<M>>(layer: L) -> Arc<dyn AnyLayer> {
            Arc::new(Erased::<Around, L, M>::new(layer))
        }

        #[async_trait]
        impl<M: 'static, H: Handler<M>> AnyHandler for Erased<Single, H, M> {
            async fn handle(
                &self,
                tx: HandlerTx<'_, '_>,
                events: Vec<Received<()>>,
                reading: Reading<'_>,
            ) -> HandlerResult {
                match reading.read_one(events)? {
                    Some(event) => self.inner.handle(tx.$driver()?, event).await,
                    None => Ok(()),
                }
            }
        }

        #[async_trait]
        impl<M: 'static, H: BatchHandler<M>> AnyHandler for Erased<Batch, H, M> {
            async fn handle(
                &self,
                tx: HandlerTx<'_, '_>,
                events: Vec<Received<()>>,
                reading: Reading<'_>,
            ) -> HandlerResult {
                let events = reading.read_all(events)?;
                if events.is_empty() {
                    return Ok(());
                }
                self.inner.handle(tx.$driver()?, events).await
            }
        }

        #[async_trait]
        impl<M: 'static, H: RawHandler<M>> AnyHandler for Erased<Raw, H, M> {
            async fn handle(
                &self,
                tx: HandlerTx<'_, '_>,
                mut events: Vec<Received<()>>,
                _: Reading<'_>,
            ) -> HandlerResult {
                match events.pop() {
                    Some(event) => self.inner.handle(tx.$driver()?, event).await,
                    None => Ok(()),
                }
            }
        }

        #[async_trait]
        impl<M: 'static, L: Layer<M>> AnyLayer for Erased<Around, L, M> {
            async fn call(&self, tx: HandlerTx<'_, '_>, rest: Call<'_>) -> HandlerResult {
                self.inner.call(tx.$driver()?, Next::new(rest)).await
            }
        }
    };
}

/// On tokio-postgres.
pub mod tokio_postgres {
    use crate::handler::{BatchHandler, Handler, Layer, Next, RawHandler};

    erase!(tokio_postgres);
}

/// On sqlx.
#[cfg(feature = "sqlx")]
pub mod sqlx {
    use crate::handler::sqlx::{BatchHandler, Handler, Layer, Next, RawHandler};

    erase!(sqlx);
}
