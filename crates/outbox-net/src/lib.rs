//! The knowledge that clients of different servers share: TCP connections, TLS, secrets that can change while a process
//! runs, Java's properties files, the text of an error chain for a log line, the classes of PostgreSQL's error codes, and the
//! delays between attempts.

mod backoff;
mod error;
mod error_chain;
mod pem;
mod properties;
mod secret;
mod secret_source;
mod sql_state;
mod tcp;
mod tls;
mod tls_fault;

pub use self::backoff::Backoff;
pub use self::error::Error;
pub use self::error_chain::ErrorChain;
pub use self::pem::Pem;
pub use self::properties::Properties;
pub use self::secret::Secret;
pub use self::secret_source::SecretSource;
pub use self::sql_state::SqlStateClass;
pub use self::tcp::{connect, host_and_port};
pub use self::tls::{Tls, Verification};
pub use self::tls_fault::TlsFault;
pub use tokio_rustls::rustls;
