use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How to reach PostgreSQL.
#[derive(Clone)]
pub struct ConnectOptions {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) password: Option<String>,
    pub(super) tls: Tls,
    pub(super) application_name: String,
    pub(super) timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Tcp(String),
    /// The directory of the server's Unix socket.
    Socket(PathBuf),
}

impl ConnectOptions {
    /// A host that begins with a slash is the directory of a Unix socket, as in libpq.
    pub fn new(host: &str, port: u16, user: &str, database: &str) -> Self {
        let host = if host.starts_with('/') { Host::Socket(host.into()) } else { Host::Tcp(host.to_owned()) };
        Self {
            host,
            port,
            user: user.to_owned(),
            database: database.to_owned(),
            password: None,
            tls: Tls::default(),
            application_name: "outbox-relay".to_owned(),
            timeout: Duration::from_secs(10),
        }
    }

    /// Sets the password.
    pub fn password(self, password: impl Into<String>) -> Self {
        Self { password: Some(password.into()), ..self }
    }

    /// Sets whether the connection is encrypted, and whom it trusts.
    pub fn tls(self, tls: Tls) -> Self {
        Self { tls, ..self }
    }

    /// Sets `application_name`.
    pub fn application_name(self, name: impl Into<String>) -> Self {
        Self { application_name: name.into(), ..self }
    }

    /// How long connecting may take, up to the server's word that it is ready.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Whether the connection is encrypted, and whom it trusts.
#[derive(Clone, Default)]
pub struct Tls {
    pub(super) mode: TlsMode,
    pub(super) roots: Option<Arc<[u8]>>,
    pub(super) identity: Option<Identity>,
}

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS.
    Disable,
    /// Encrypted where the server offers it; trusts any certificate.
    #[default]
    Prefer,
    /// Encrypted; trusts any certificate.
    Require,
    /// The certificate leads to a trusted root.
    VerifyCa,
    /// And it is of this host.
    VerifyFull,
}

#[derive(Clone)]
pub(super) struct Identity {
    pub(super) chain: Arc<[u8]>,
    pub(super) key: Arc<[u8]>,
}

impl Tls {
    /// Creates settings of a mode, without certificates.
    pub fn new(mode: TlsMode) -> Self {
        Self { mode, ..Self::default() }
    }

    /// The trusted certificates, in PEM. The modes that verify need them.
    pub fn roots(self, pem: impl Into<Arc<[u8]>>) -> Self {
        Self { roots: Some(pem.into()), ..self }
    }

    /// A certificate chain and its key to show to the server, in PEM.
    pub fn identity(self, chain: impl Into<Arc<[u8]>>, key: impl Into<Arc<[u8]>>) -> Self {
        Self { identity: Some(Identity { chain: chain.into(), key: key.into() }), ..self }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.mode).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_tells_no_secret() {
        let tls = Tls::new(TlsMode::VerifyFull).identity(b"chain".as_slice(), b"hunter2-key".as_slice());
        let options = ConnectOptions::new("db", 5432, "relay", "shop").password("hunter2").tls(tls);
        let shown = format!("{options:?} {options:#?}");
        assert!(!shown.contains("hunter2") && shown.contains("VerifyFull"), "{shown}");
        // Bytes would be shown as numbers.
        assert!(!shown.contains("104, 117"), "{shown}");
    }

    #[test]
    fn a_path_is_the_directory_of_a_socket() {
        assert_eq!(ConnectOptions::new("/run", 1, "", "").host, Host::Socket("/run".into()));
        assert_eq!(ConnectOptions::new("db", 1, "", "").host, Host::Tcp("db".to_owned()));
    }
}
