use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

use outbox_net::{SecretSource, Tls, Verification};

/// The address of PostgreSQL, and how to log in.
#[derive(Clone)]
pub struct ConnectOptions {
    /// The servers, at least one.
    pub(super) servers: Vec<Server>,
    pub(super) role: ServerRole,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) password: Option<SecretSource>,
    pub(super) mode: TlsMode,
    pub(super) tls: Tls,
    pub(super) application_name: String,
    pub(super) timeouts: Timeouts,
}

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: Host,
    pub(super) port: u16,
    /// The address of the host to use; `None` to try all of them.
    pub(super) address: Option<IpAddr>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Tcp(String),
    /// The directory of the server's Unix socket.
    Socket(PathBuf),
}

/// The server to use of several (libpq's `target_session_attrs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerRole {
    /// The primary. Before PostgreSQL 16 a slot can be read there only.
    #[default]
    Primary,
    /// The first one that accepts a connection.
    Any,
}

impl Server {
    fn new(host: &str, port: u16) -> Self {
        let host = if host.starts_with('/') { Host::Socket(host.into()) } else { Host::Tcp(host.to_owned()) };
        Self { host, port, address: None }
    }

    /// Resolves the host's name, and returns a server for each of its addresses.
    pub(super) async fn addresses(&self) -> io::Result<Vec<Self>> {
        match &self.host {
            Host::Socket(_) => Ok(vec![self.clone()]),
            Host::Tcp(host) => {
                let found = outbox_net::addresses(host, self.port).await?.into_iter();
                Ok(found.map(|found| Self { address: Some(found.ip()), ..self.clone() }).collect())
            }
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Tcp(host) => match self.address {
                Some(address) if address.to_string() != *host => write!(f, "{host}:{} ({address})", self.port),
                _ => write!(f, "{host}:{}", self.port),
            },
            Host::Socket(directory) => write!(f, "{}:{}", directory.display(), self.port),
        }
    }
}

impl ConnectOptions {
    /// Creates the options. A host that begins with a slash is the directory of a Unix socket, as in libpq.
    pub fn new(host: &str, port: u16, user: &str, database: &str) -> Self {
        Self {
            servers: vec![Server::new(host, port)],
            role: ServerRole::default(),
            user: user.to_owned(),
            database: database.to_owned(),
            password: None,
            mode: TlsMode::default(),
            tls: Tls::default(),
            application_name: "outbox-relay".to_owned(),
            timeouts: Timeouts::default(),
        }
    }

    /// Adds another server, which [`choose_server`](Self::choose_server) tries after those before it.
    pub fn or_server(mut self, host: &str, port: u16) -> Self {
        self.servers.push(Server::new(host, port));
        self
    }

    /// Sets which of several servers is used; the default is [`ServerRole::Primary`].
    pub fn server_role(self, role: ServerRole) -> Self {
        Self { role, ..self }
    }

    /// Sets the source of the password, which is read for each connection.
    pub fn password(self, password: impl Into<SecretSource>) -> Self {
        Self { password: Some(password.into()), ..self }
    }

    /// Sets whether the connection is encrypted, and how the server is verified; the default is [`TlsMode::Prefer`].
    pub fn tls_mode(self, mode: TlsMode) -> Self {
        Self { mode, ..self }
    }

    /// Sets the trusted authorities and the client's certificate. The mode says how the server is verified.
    pub fn tls(self, tls: Tls) -> Self {
        Self { tls, ..self }
    }

    /// Returns the settings of TLS for the mode.
    pub(super) fn verified_tls(&self) -> Tls {
        self.tls.clone().verification(match self.mode {
            TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => Verification::None,
            TlsMode::VerifyCa => Verification::Chain,
            TlsMode::VerifyFull => Verification::Full,
        })
    }

    /// Sets `application_name`.
    pub fn application_name(self, name: impl Into<String>) -> Self {
        Self { application_name: name.into(), ..self }
    }

    /// Sets the longest waits for the server.
    pub fn timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("servers", &self.servers)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("password", &self.password)
            .field("tls_mode", &self.mode)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS.
    Disable,
    /// Encrypted if the server offers it; trusts any certificate.
    #[default]
    Prefer,
    /// Encrypted; trusts any certificate.
    Require,
    /// The certificate must be signed by a trusted authority.
    VerifyCa,
    /// The same as [`VerifyCa`](Self::VerifyCa), and the certificate must name the host.
    VerifyFull,
}

/// The longest waits for PostgreSQL. A connection that exceeds one is lost, and the error is transient.
///
/// TCP keepalive and the limit for unacknowledged bytes end a connection whose packets are dropped. These timeouts also
/// end a connection whose peer only acknowledges packets, such as a proxy that hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub(super) connect: Duration,
    pub(super) statement: Duration,
    pub(super) silence: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), statement: Duration::from_secs(20), silence: Duration::from_secs(20) }
    }
}

impl Timeouts {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long connecting may take, TLS and login included. The default is 10 seconds.
    #[must_use]
    pub fn connect(self, timeout: Duration) -> Self {
        Self { connect: timeout, ..self }
    }

    /// Sets how long the answer to a statement may take, that to `START_REPLICATION` included. The default is 20
    /// seconds.
    #[must_use]
    pub fn statement(self, timeout: Duration) -> Self {
        Self { statement: timeout, ..self }
    }

    /// Sets how long the server may send nothing while it streams or hands over decoded changes: neither a whole
    /// message nor 16 KiB of one. The default is 20 seconds.
    ///
    /// A walsender that decodes sends nothing. After this time the server is asked over another connection whether it
    /// does. A chunk of a catch-up may be decoded for this time, in addition to that for its WAL.
    #[must_use]
    pub fn silence(self, timeout: Duration) -> Self {
        Self { silence: timeout, ..self }
    }
}

#[cfg(test)]
mod tests {
    use outbox_net::Pem;

    use super::*;

    #[test]
    fn debug_tells_no_secret() {
        let tls = Tls::new().identity(Pem::text(b"chain".as_slice()), Pem::text(b"hunter2-key".as_slice()));
        let options = ConnectOptions::new("db", 5432, "relay", "shop").password("hunter2");
        let options = options.tls_mode(TlsMode::VerifyFull).tls(tls);
        let shown = format!("{options:?} {options:#?}");
        assert!(!shown.contains("hunter2") && shown.contains("VerifyFull"), "{shown}");
        // Bytes would be shown as numbers.
        assert!(!shown.contains("104, 117"), "{shown}");
    }

    #[test]
    fn a_path_is_the_directory_of_a_socket() {
        assert_eq!(Server::new("/run", 1).host, Host::Socket("/run".into()));
        assert_eq!(Server::new("db", 1).host, Host::Tcp("db".to_owned()));
    }
}
