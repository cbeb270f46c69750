use std::path::{Path, PathBuf};

use outbox_net::SecretSource;

use super::finding::{Finding, Findings};
use super::placeholders::Surroundings;
use super::resolved::Resolved;

/// How to reach the database, as the connector's keys `database.*` say it.
#[derive(Clone, Debug)]
pub struct PostgresSettings {
    host: String,
    port: u16,
    user: String,
    password: Option<SecretSource>,
    database: String,
    ssl: SslMode,
    root_certificate: Option<PathBuf>,
    client_certificate: Option<ClientCertificate>,
}

/// `database.sslmode`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted where the server can.
    Prefer,
    /// Encrypted, whoever the server is.
    Require,
    /// Encrypted, and the server's certificate comes from a trusted authority.
    VerifyCa,
    /// As `VerifyCa`, and the certificate is of this host.
    VerifyFull,
}

/// `database.sslcert` and `database.sslkey`: files in PEM, or in DER as the PostgreSQL JDBC driver has them (`.pk8`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientCertificate {
    /// The certificate, with those that it is signed by.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl PostgresSettings {
    /// Reads the connector's keys; `password` takes the place of theirs.
    pub(super) fn new(
        config: &Resolved,
        password: Option<&SecretSource>,
        surroundings: &(impl Surroundings + Clone + Send + Sync + 'static),
        findings: &mut Findings,
    ) -> Option<Self> {
        let needed = |key: &str| match config.get(key) {
            Some(value) if value.starts_with("${") && value.ends_with('}') && !value.contains(':') => {
                let reason = "Kafka Connect has no placeholder of this form, and takes it for the value itself";
                Err(Finding::new(key, reason).with_remedy("write ${env:NAME} or ${file:/path:key}"))
            }
            Some(value) if !value.is_empty() => Ok(value.to_owned()),
            _ => Err(Finding::new(key, "the relay cannot reach a database without it")),
        };
        let host = findings.take(needed("database.hostname"));
        let port = findings.take(number(config, "database.port", 5432));
        let user = findings.take(needed("database.user"));
        let database = findings.take(needed("database.dbname"));
        let ssl = findings.take(ssl_mode(config));
        let root_certificate = ssl.and_then(|ssl| findings.take(root_certificate(config, ssl, surroundings)));
        let client_certificate = findings.take(client_certificate(config));
        Some(Self {
            host: host?,
            port: port?,
            user: user?,
            password: password.cloned().or_else(|| config.source("database.password", surroundings)),
            database: database?,
            ssl: ssl?,
            root_certificate: root_certificate?,
            client_certificate: client_certificate?,
        })
    }

    /// Name or address of the server.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The role.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The source of the role's password, if there is one. It is read for each connection.
    #[must_use]
    pub fn password(&self) -> Option<&SecretSource> {
        self.password.as_ref()
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Whether the connection is encrypted, and how far the server is trusted.
    #[must_use]
    pub fn ssl(&self) -> SslMode {
        self.ssl
    }

    /// The file of the trusted authorities' certificates, in PEM. Without it the system's authorities are trusted.
    #[must_use]
    pub fn root_certificate(&self) -> Option<&Path> {
        self.root_certificate.as_deref()
    }

    /// What the relay shows of itself.
    #[must_use]
    pub fn client_certificate(&self) -> Option<&ClientCertificate> {
        self.client_certificate.as_ref()
    }
}

fn ssl_mode(config: &Resolved) -> Result<SslMode, Finding> {
    let key = "database.sslmode";
    match config.get(key).unwrap_or("prefer").to_ascii_lowercase().as_str() {
        "disable" => Ok(SslMode::Disable),
        "prefer" => Ok(SslMode::Prefer),
        "require" => Ok(SslMode::Require),
        "verify-ca" => Ok(SslMode::VerifyCa),
        "verify-full" => Ok(SslMode::VerifyFull),
        "allow" => Err(Finding::new(key, "the relay does not try without encryption first: use prefer or disable")),
        _ => Err(Finding::new(key, "it is one of disable, prefer, require, verify-ca, verify-full")),
    }
}

fn path(config: &Resolved, key: &str) -> Option<PathBuf> {
    config.get(key).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Returns the file of the trusted authorities: the named one, or else that of PostgreSQL's own clients, if there is one.
fn root_certificate(
    config: &Resolved,
    ssl: SslMode,
    surroundings: &impl Surroundings,
) -> Result<Option<PathBuf>, Finding> {
    let named = path(config, "database.sslrootcert");
    if named.as_deref() == Some(Path::new("system")) {
        return Ok(None);
    }
    if named.is_some() || !matches!(ssl, SslMode::VerifyCa | SslMode::VerifyFull) {
        return Ok(named);
    }

    let usual = surroundings.variable("HOME").map(|home| Path::new(&home).join(".postgresql/root.crt"));
    match usual.filter(|path| surroundings.file(path).is_ok()) {
        Some(path) => Ok(Some(path)),
        None => {
            let reason = "this mode needs the authority's certificate";
            let remedy = "name its file in database.sslrootcert, or write system";
            Err(Finding::new("database.sslmode", reason).with_remedy(remedy))
        }
    }
}

fn client_certificate(config: &Resolved) -> Result<Option<ClientCertificate>, Finding> {
    match (path(config, "database.sslcert"), path(config, "database.sslkey")) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(ClientCertificate { certificate, key })),
        _ => Err(Finding::new("database.sslcert", "certificate and key (database.sslkey) go together")),
    }
}

pub(super) fn number<T: std::str::FromStr>(config: &Resolved, key: &str, default: T) -> Result<T, Finding> {
    let Some(value) = config.get(key) else { return Ok(default) };
    value.parse().map_err(|_| Finding::new(key, "it is no number, or not one that fits here"))
}
