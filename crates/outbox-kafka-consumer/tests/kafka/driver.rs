//! Tests that run on both drivers: their handlers get a transaction that is of either.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use outbox_kafka_consumer::deadpool_postgres::{self, Transaction};
use outbox_kafka_consumer::{HandlerError, HandlerResult, Received};
#[cfg(feature = "sqlx")]
use sqlx::{PgPool, Postgres, Row as _};

use crate::env::OrderCreated;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Driver {
    TokioPostgres,
    #[cfg(feature = "sqlx")]
    Sqlx,
}

pub(crate) const DRIVERS: &[Driver] = &[
    Driver::TokioPostgres,
    #[cfg(feature = "sqlx")]
    Driver::Sqlx,
];

/// Returns options of a pool that waits for its connections longer than sqlx's 30 s, as on a busy machine.
#[cfg(feature = "sqlx")]
pub(crate) fn sqlx_options(size: u32) -> sqlx::postgres::PgPoolOptions {
    sqlx::postgres::PgPoolOptions::new().max_connections(size).acquire_timeout(std::time::Duration::from_secs(300))
}

/// A pool of either driver.
#[derive(Clone)]
pub(crate) enum Pool {
    TokioPostgres(deadpool_postgres::Pool),
    #[cfg(feature = "sqlx")]
    Sqlx(PgPool),
}

impl Driver {
    pub(crate) fn pool(self, url: &str, size: usize) -> Pool {
        match self {
            Self::TokioPostgres => Pool::TokioPostgres(outbox_test_support::pool(url, size)),
            #[cfg(feature = "sqlx")]
            Self::Sqlx => Pool::Sqlx(sqlx_options(u32::try_from(size).unwrap()).connect_lazy(url).unwrap()),
        }
    }
}

impl Pool {
    /// Returns the text that a query selects.
    pub(crate) async fn text(&self, sql: &str) -> String {
        match self {
            Self::TokioPostgres(pool) => pool.get().await.unwrap().query_one(sql, &[]).await.unwrap().get(0),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(pool) => sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(pool).await.unwrap().get(0),
        }
    }
}

/// A transaction, as far as the handlers of these tests need it.
#[async_trait]
pub(crate) trait Tx: Send {
    /// Runs statements.
    async fn run(&mut self, sql: &str) -> HandlerResult;

    /// Returns the text that a query selects.
    async fn text(&mut self, sql: &str) -> Result<String, HandlerError>;
}

#[async_trait]
impl Tx for &Transaction<'_> {
    async fn run(&mut self, sql: &str) -> HandlerResult {
        Ok(self.batch_execute(sql).await?)
    }

    async fn text(&mut self, sql: &str) -> Result<String, HandlerError> {
        Ok(self.query_one(sql, &[]).await?.try_get(0)?)
    }
}

#[cfg(feature = "sqlx")]
#[async_trait]
impl Tx for &mut sqlx::Transaction<'_, Postgres> {
    async fn run(&mut self, sql: &str) -> HandlerResult {
        sqlx::Executor::execute(&mut ***self, sqlx::AssertSqlSafe(sql)).await?;
        Ok(())
    }

    async fn text(&mut self, sql: &str) -> Result<String, HandlerError> {
        Ok(sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(&mut ***self).await?.try_get(0)?)
    }
}

/// Stores the effect of an order.
pub(crate) async fn store(tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
    let OrderCreated { order_id, step } = event.event();
    tx.run(&format!("INSERT INTO public.effect (order_id, step) VALUES ({order_id}, {step})")).await
}

/// Stores the effects of orders by one statement.
pub(crate) async fn store_all(tx: &mut dyn Tx, events: Vec<Received<OrderCreated>>) -> HandlerResult {
    let effects: Vec<String> =
        events.iter().map(|event| format!("({}, {})", event.event().order_id, event.event().step)).collect();
    tx.run(&format!("INSERT INTO public.effect (order_id, step) VALUES {}", effects.join(", "))).await
}

pub(crate) type Work<'a> = BoxFuture<'a, HandlerResult>;
/// A handler on either driver.
pub(crate) type Each = Arc<dyn for<'a> Fn(&'a mut dyn Tx, Received<OrderCreated>) -> Work<'a> + Send + Sync>;
/// A batch handler on either driver.
pub(crate) type All = Arc<dyn for<'a> Fn(&'a mut dyn Tx, Vec<Received<OrderCreated>>) -> Work<'a> + Send + Sync>;

/// Returns a handler on either driver.
pub(crate) fn each(
    handle: impl for<'a> Fn(&'a mut dyn Tx, Received<OrderCreated>) -> Work<'a> + Send + Sync + 'static,
) -> Each {
    Arc::new(handle)
}

/// Returns a batch handler on either driver.
pub(crate) fn all(
    handle: impl for<'a> Fn(&'a mut dyn Tx, Vec<Received<OrderCreated>>) -> Work<'a> + Send + Sync + 'static,
) -> All {
    Arc::new(handle)
}

/// Makes a consumer whose store is the pool: `consumer!(pool, env, on(handler), retry(policy), …)`.
macro_rules! consumer {
    ($pool:expr, $env:expr, $register:ident($handler:expr) $(, $setting:ident($($value:expr),*))* $(,)?) => {
        match &$pool {
            $crate::driver::Pool::TokioPostgres(pool) => $env
                .consumer()
                .pool(pool.clone())
                $(.$setting($($value),*))*
                .$register(outbox_kafka_consumer::with($handler, $crate::driver::tokio_postgres::$register))
                .build()
                .unwrap(),
            #[cfg(feature = "sqlx")]
            $crate::driver::Pool::Sqlx(pool) => $env
                .sqlx_consumer()
                .pool(pool.clone())
                $(.$setting($($value),*))*
                .$register(outbox_kafka_consumer::with($handler, $crate::driver::on_sqlx::$register))
                .build()
                .unwrap(),
        }
    };
}
pub(crate) use consumer;

pub(crate) mod tokio_postgres {
    use super::*;

    pub(crate) async fn on(handle: &Each, mut tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
        handle(&mut tx, event).await
    }

    pub(crate) async fn on_batch(
        handle: &All,
        mut tx: &Transaction<'_>,
        events: Vec<Received<OrderCreated>>,
    ) -> HandlerResult {
        handle(&mut tx, events).await
    }
}

#[cfg(feature = "sqlx")]
pub(crate) mod on_sqlx {
    use super::*;

    pub(crate) async fn on(
        handle: &Each,
        mut tx: &mut sqlx::Transaction<'_, Postgres>,
        event: Received<OrderCreated>,
    ) -> HandlerResult {
        handle(&mut tx, event).await
    }

    pub(crate) async fn on_batch(
        handle: &All,
        mut tx: &mut sqlx::Transaction<'_, Postgres>,
        events: Vec<Received<OrderCreated>>,
    ) -> HandlerResult {
        handle(&mut tx, events).await
    }
}
