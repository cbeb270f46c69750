use ::sqlx::{Postgres, Transaction};

use super::function::{HandlerFn, StatefulFn};
use crate::Sqlx;
use crate::handler::HandlerResult;
use crate::handler::function::With;

/// The rest of a call of a handler in a transaction of sqlx.
pub type Next<'a> = crate::Next<'a, Sqlx>;

/// Middleware: a function around each call of a handler, in the handler's transaction of sqlx.
///
/// Every `async fn(&mut Transaction<'_, Postgres>, Next<'_>) -> HandlerResult` is one, and so is
/// [`with`](crate::with)`(state, f)`. The guarantees of a [`Layer`](crate::Layer) apply here, too.
///
/// ```
/// # use outbox_kafka_consumer::{Builder, HandlerResult, Sqlx, sqlx::Next};
/// # use sqlx::{Postgres, Transaction};
/// async fn set_tenant(tx: &mut Transaction<'_, Postgres>, next: Next<'_>) -> HandlerResult {
///     let tenant = next.event().envelope().headers.get("tenant").unwrap_or_default();
///     sqlx::query("SELECT set_config('app.tenant', $1, true)").bind(tenant).execute(&mut **tx).await?;
///     next.run(tx).await
/// }
///
/// # fn example(builder: Builder<Sqlx>) -> Builder<Sqlx> {
/// builder.layer(set_tenant)
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no layer around handlers",
    note = "a layer is an `async fn(&mut Transaction<'_, Postgres>, Next<'_>) -> HandlerResult` whose future is `Send`",
    note = "with state before it, register `with(state, layer)`"
)]
pub trait Layer<Marker = ()>: Send + Sync + 'static {
    /// Calls the layer, which calls [`Next::run`](crate::Next::run).
    fn call(&self, tx: &mut Transaction<'_, Postgres>, next: Next<'_>) -> impl Future<Output = HandlerResult> + Send;
}

impl<F: for<'a, 't, 'n> HandlerFn<&'a mut Transaction<'t, Postgres>, Next<'n>>> Layer<fn()> for F {
    async fn call(&self, tx: &mut Transaction<'_, Postgres>, next: Next<'_>) -> HandlerResult {
        HandlerFn::call(self, tx, next).await
    }
}

impl<S, F> Layer<fn(S)> for With<S, F>
where
    S: Send + Sync + 'static,
    F: for<'s, 'a, 't, 'n> StatefulFn<&'s S, &'a mut Transaction<'t, Postgres>, Next<'n>>,
{
    async fn call(&self, tx: &mut Transaction<'_, Postgres>, next: Next<'_>) -> HandlerResult {
        self.function.call(&self.state, tx, next).await
    }
}
