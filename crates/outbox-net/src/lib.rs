//! The parts that the clients of PostgreSQL and Kafka share: the text of an error chain, the classes of PostgreSQL's error
//! codes and the delays between attempts; with the feature `client` also TCP connections, TLS, secrets that can change
//! while a process runs, and Java's properties files.

mod backoff;
#[cfg(feature = "client")]
mod error;
mod error_chain;
#[cfg(feature = "client")]
mod pem;
#[cfg(feature = "client")]
mod properties;
#[cfg(feature = "client")]
mod secret;
#[cfg(feature = "client")]
mod secret_source;
mod sql_state;
#[cfg(feature = "client")]
mod tcp;
#[cfg(feature = "client")]
mod tls;
#[cfg(feature = "client")]
mod tls_fault;

pub use self::backoff::Backoff;
#[cfg(feature = "client")]
pub use self::error::Error;
pub use self::error_chain::ErrorChain;
#[cfg(feature = "client")]
pub use self::pem::Pem;
#[cfg(feature = "client")]
pub use self::properties::Properties;
#[cfg(feature = "client")]
pub use self::secret::Secret;
#[cfg(feature = "client")]
pub use self::secret_source::SecretSource;
pub use self::sql_state::SqlStateClass;
#[cfg(feature = "client")]
pub use self::tcp::{connect, host_and_port};
#[cfg(feature = "client")]
pub use self::tls::{Tls, Verification};
#[cfg(feature = "client")]
pub use self::tls_fault::TlsFault;
#[cfg(feature = "client")]
pub use tokio_rustls::rustls;
