//! The parts that the clients of PostgreSQL and Kafka share.
//!
//! - [`ErrorChain`] displays an error with all of its causes, without the values that PostgreSQL quotes.
//! - [`SqlStateClass`] says what an error code of PostgreSQL means for the transaction.
//! - [`Backoff`] computes the delays between attempts.
//!
//! With the feature `client`, there are also TCP connections, TLS, secrets that can change while a process runs, and
//! Java's properties files.
//!
//! ```
//! use std::fmt;
//!
//! use outbox_net::ErrorChain;
//!
//! #[derive(Debug)]
//! struct Lost(std::io::Error);
//!
//! impl fmt::Display for Lost {
//!     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
//!         f.write_str("connection to the broker lost")
//!     }
//! }
//!
//! impl std::error::Error for Lost {
//!     fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
//!         Some(&self.0)
//!     }
//! }
//!
//! let error = Lost(std::io::Error::other("reset by peer"));
//! assert_eq!(ErrorChain::new(&error).to_string(), "connection to the broker lost: reset by peer");
//! ```
//!
//! The crate is a part of the outbox toolkit. Programs use `outbox-pg`, `outbox-relay` or `outbox-kafka-consumer`,
//! which export what their settings need of it.
//!
//! # Features
//!
//! - `client`: connections, TLS, secrets and properties files. Without it, the crate does no I/O.
//! - `tokio-postgres`, `sqlx`: an error chain omits the values that PostgreSQL quotes from rows, in errors of these
//!   drivers. With both, `SqlxParam` and `sqlx_value` let statements that are written for tokio-postgres run on sqlx.

mod backoff;
#[cfg(feature = "client")]
mod client;
mod error_chain;
mod sql_state;
#[cfg(all(feature = "sqlx", feature = "tokio-postgres"))]
mod sqlx_values;

pub use self::backoff::Backoff;
#[cfg(feature = "client")]
pub use self::client::{
    Error, Pem, Properties, Secret, SecretSource, Tls, TlsFault, Verification, addresses, connect, host_and_port,
    rustls, wall_clock,
};
#[cfg(all(feature = "client", feature = "tokio-postgres"))]
pub use self::client::{PostgresTls, PostgresTlsConnect, PostgresTlsStream};
pub use self::error_chain::ErrorChain;
pub use self::sql_state::SqlStateClass;
#[cfg(all(feature = "sqlx", feature = "tokio-postgres"))]
pub use self::sqlx_values::{SqlxParam, sqlx_value};
