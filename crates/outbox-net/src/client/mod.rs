//! Connections, TLS, secrets that can change while a process runs, and Java's properties files.

mod clock;
mod error;
mod pem;
#[cfg(feature = "tokio-postgres")]
mod postgres_tls;
mod properties;
mod secret;
mod secret_source;
mod tcp;
mod tls;
mod tls_fault;

pub use self::clock::wall_clock;
pub use self::error::Error;
pub use self::pem::Pem;
#[cfg(feature = "tokio-postgres")]
pub use self::postgres_tls::{PostgresTls, PostgresTlsConnect, PostgresTlsStream};
pub use self::properties::Properties;
pub use self::secret::Secret;
pub use self::secret_source::SecretSource;
pub use self::tcp::{addresses, connect, host_and_port};
pub use self::tls::{Tls, Verification};
pub use self::tls_fault::TlsFault;
pub use tokio_rustls::rustls;
