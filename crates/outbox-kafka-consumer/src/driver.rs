use std::fmt;
use std::time::Duration;

use deadpool_postgres::tokio_postgres::Config;

/// The driver of a [`Builder`](crate::Builder) whose store is a pool of deadpool-postgres, and whose handlers take a
/// transaction of it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TokioPostgres {}

/// The driver of a [`Builder`](crate::Builder) whose store is a [`PgPool`](::sqlx::PgPool), and whose handlers take a
/// transaction of sqlx.
#[cfg(feature = "sqlx")]
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Sqlx {}

/// The marker in place of the driver, for handlers outside of any transaction.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum NoTransaction {}

/// The driver of the store and of the handlers' transactions.
pub trait Driver: sealed::Sealed + fmt::Debug + 'static {}

impl Driver for TokioPostgres {}

#[cfg(feature = "sqlx")]
impl Driver for Sqlx {}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::TokioPostgres {}

    #[cfg(feature = "sqlx")]
    impl Sealed for super::Sqlx {}
}

/// Sets timeouts, so that the operating system closes a dead connection to PostgreSQL within a lease.
///
/// Call it before the pool is built. Every statement of the consumer has a deadline without it. A statement of a
/// handler has none but [`handler_timeout`](crate::Builder::handler_timeout), which may be longer than the lease. With
/// these settings such a statement fails, and the event is handled again on another connection.
///
/// A third of `lease_ttl`, 1 s at least, bounds how long a connection is made (`connect_timeout`), how long sent data
/// may stay unacknowledged (`tcp_user_timeout`, on Linux), and how long a connection is idle before it is probed
/// (`keepalives_idle`). sqlx has no such settings: there, set a `handler_timeout` below the lease.
///
/// ```
/// # use std::time::Duration;
/// use outbox_kafka_consumer::deadpool_postgres::tokio_postgres::{Config, NoTls};
/// use outbox_kafka_consumer::deadpool_postgres::{Manager, Pool};
/// use outbox_kafka_consumer::set_tcp_deadlines;
///
/// # fn example() -> Result<Pool, Box<dyn std::error::Error>> {
/// let mut config: Config = "host=127.0.0.1 user=stock dbname=stock".parse()?;
/// set_tcp_deadlines(&mut config, Duration::from_secs(15)); // as Builder::lease_ttl
/// let pool = Pool::builder(Manager::new(config, NoTls)).build()?;
/// # Ok(pool)
/// # }
/// ```
pub fn set_tcp_deadlines(config: &mut Config, lease_ttl: Duration) {
    let third = (lease_ttl / 3).max(Duration::from_secs(1));
    config.connect_timeout(third).tcp_user_timeout(third);
    config.keepalives(true).keepalives_idle(third).keepalives_interval(Duration::from_secs(1)).keepalives_retries(3);
}
