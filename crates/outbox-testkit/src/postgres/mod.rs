//! A throw-away PostgreSQL server.

#[cfg(not(unix))]
compile_error!("the feature `postgres` of outbox-testkit starts PostgreSQL by means that only Unix systems have");

mod account;
mod admin;
mod builder;
mod cluster;
mod database;
#[cfg(feature = "download")]
mod download;
mod durability;
mod error;
mod guarded;
mod home;
mod installed;
mod log;
mod programs;
mod random;
mod server;

pub use self::builder::PostgresBuilder;
pub use self::database::Database;
pub use self::durability::Durability;
pub use self::error::PostgresError;
pub use self::server::Postgres;
