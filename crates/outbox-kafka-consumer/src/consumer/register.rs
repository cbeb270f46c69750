use super::Builder;
use crate::driver::TokioPostgres;
use crate::handler::erased_tokio_postgres;
use crate::store::Pool;

/// Adds the methods that depend on the driver, whose traits of handlers are in `$handlers`.
macro_rules! register {
    ($driver:ident, $pool:ty, $erased:ident, $($handlers:ident)::+) => {
        impl Builder<$driver> {
            /// Sets the pool for the handlers' transactions and the consumer's tables. Required. Each of the
            /// [concurrent](Self::partition_concurrency) transactions of a partition uses a connection while it has
            /// work; the leases have one that is not the pool's.
            pub fn pool(self, pool: $pool) -> Self {
                self.stored_in(Pool::$driver(pool))
            }

            /// Registers a handler for the event type that it takes, or for each event type of an enum of events.
            ///
            /// An event type may have several handlers. They are called in the order of their registration, in the
            /// event's one transaction: if one fails, the effects of all are rolled back, and all are called again. A
            /// handler that is added later does not get the events that the group has handled.
            pub fn on<M: 'static, H: $($handlers)::+::Handler<M>>(self, handler: H) -> Self {
                self.register::<H::Event>(&$erased::single(handler))
            }

            /// Registers a handler that takes many events of its type at once; of an enum of events, those of one event
            /// type.
            pub fn on_batch<M: 'static, H: $($handlers)::+::BatchHandler<M>>(self, handler: H) -> Self {
                self.register::<H::Event>(&$erased::batch(handler))
            }

            /// Registers a handler that reads the payload itself, of whatever schema version, from
            /// [`Received::envelope`](crate::Received::envelope).
            pub fn on_raw<M: 'static, H: $($handlers)::+::RawHandler<M>>(
                self,
                aggregate_type: impl Into<String>,
                event_type: impl Into<String>,
                handler: H,
            ) -> Self {
                self.register_raw(aggregate_type.into(), event_type.into(), $erased::raw(handler))
            }

            /// Registers a handler for all events of the other handlers' topics that have no handler of their own.
            pub fn otherwise<M: 'static, H: $($handlers)::+::RawHandler<M>>(self, handler: H) -> Self {
                self.register_otherwise($erased::raw(handler))
            }

            /// Adds middleware around each call of a handler in a transaction: for tracing, for the settings of the
            /// session, to count calls or to change errors. The first layer is the outermost.
            pub fn layer<M: 'static, L: $($handlers)::+::Layer<M>>(self, layer: L) -> Self {
                self.layered($erased::layer(layer))
            }

            /// Sets a function to call before the handlers of each event, in their transaction: for the settings of the
            /// session by `SET LOCAL`, such as the tenant of row-level security, or to write an audit trail.
            ///
            /// It is called once for each event, also if the event has several handlers. If it fails, the event fails.
            /// Its settings last until the end of the transaction, which other events share. It is not called for batch
            /// handlers and those outside of a transaction: add a [layer](Self::layer) for these.
            pub fn before_each<M: 'static, H: $($handlers)::+::RawHandler<M>>(self, hook: H) -> Self {
                self.hooked($erased::raw(hook))
            }
        }
    };
}

register!(TokioPostgres, deadpool_postgres::Pool, erased_tokio_postgres, crate::handler);

#[cfg(feature = "sqlx")]
use crate::{driver::Sqlx, handler::erased_sqlx};
#[cfg(feature = "sqlx")]
register!(Sqlx, ::sqlx::PgPool, erased_sqlx, crate::handler::sqlx);
