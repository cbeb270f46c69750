//! The parts that the clients of PostgreSQL and Kafka share: the text of an error chain, the classes of PostgreSQL's error
//! codes and the delays between attempts; with the feature `client` also TCP connections, TLS, secrets that can change
//! while a process runs, and Java's properties files.

mod backoff;
#[cfg(feature = "client")]
mod client;
mod error_chain;
mod sql_state;

pub use self::backoff::Backoff;
#[cfg(feature = "client")]
pub use self::client::{
    Error, Pem, Properties, Secret, SecretSource, Tls, TlsFault, Verification, connect, host_and_port, rustls,
};
#[cfg(all(feature = "client", feature = "tokio-postgres"))]
pub use self::client::{PostgresTls, PostgresTlsConnect, PostgresTlsStream};
pub use self::error_chain::ErrorChain;
pub use self::sql_state::SqlStateClass;
