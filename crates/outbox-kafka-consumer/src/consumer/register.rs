use super::Builder;
use crate::handler::Registered;
use crate::store::Pool;
use crate::{BatchHandler, Handler, RawHandler};

/// The store and the handlers on tokio-postgres.
impl Builder {
    /// Sets where the handlers' effects go, and all that the consumer keeps. Required. Each [lane](Self::partition_concurrency) uses a
    /// connection while it has work; the leases have one that is not the pool's.
    pub fn pool(self, pool: deadpool_postgres::Pool) -> Self {
        self.stored_in(Pool::TokioPostgres(pool))
    }

    /// Registers a handler for the event type that it takes, or for each event type of an enum of events.
    ///
    /// An event type may have several handlers. They are called in the order of their registration, in the event's one
    /// transaction: if one fails, the effects of all are rolled back, and all are called again. A handler that is added
    /// later does not get the events that the group has handled.
    pub fn on<M: 'static, H: Handler<M>>(self, handler: H) -> Self {
        self.register::<H::Event>(&Registered::typed(handler))
    }

    /// Registers a handler that takes many events of its type at once; of an enum of events, those of one event type.
    pub fn on_batch<M: 'static, H: BatchHandler<M>>(self, handler: H) -> Self {
        self.register::<H::Event>(&Registered::batch(handler))
    }

    /// Registers a handler that reads the payload itself, of whatever schema version, from
    /// [`Received::envelope`](crate::Received::envelope).
    pub fn on_raw<M: 'static, H: RawHandler<M>>(
        self,
        aggregate_type: impl Into<String>,
        event_type: impl Into<String>,
        handler: H,
    ) -> Self {
        self.register_raw(aggregate_type.into(), event_type.into(), Registered::raw(handler))
    }

    /// Registers a handler for all events of the other handlers' topics that have no handler of their own.
    pub fn otherwise<M: 'static, H: RawHandler<M>>(self, handler: H) -> Self {
        self.register_otherwise(Registered::raw(handler))
    }

    /// Sets a function to call before the handlers of each event, in their transaction: for the settings of the session
    /// by `SET LOCAL`, such as the tenant of row-level security, or to write an audit trail.
    ///
    /// If it fails, the event fails. Its settings last until the end of the transaction, which other events share. It
    /// is not called for batch handlers and those outside of a transaction.
    ///
    /// ```
    /// # use outbox_kafka_consumer::{Builder, HandlerResult, Received, deadpool_postgres::Transaction};
    /// async fn set_tenant(tx: &Transaction<'_>, event: Received<()>) -> HandlerResult {
    ///     let tenant = event.envelope().headers.get("tenant").unwrap_or_default();
    ///     tx.execute("SELECT set_config('app.tenant', $1, true)", &[&tenant]).await?;
    ///     Ok(())
    /// }
    ///
    /// # fn example(builder: Builder) -> Builder {
    /// builder.before_each(set_tenant)
    /// # }
    /// ```
    pub fn before_each<M: 'static, H: RawHandler<M>>(self, hook: H) -> Self {
        self.hooked(Registered::hook(hook))
    }
}
