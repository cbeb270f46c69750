use std::fmt;

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

/// In place of the driver, for handlers outside of any transaction.
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
