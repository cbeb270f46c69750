use std::path::{Path, PathBuf};

use outbox_net::SecretSource;

use super::SettingsError;
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
    ) -> Result<Self, SettingsError> {
        let needed = |key: &str| match config.get(key) {
            Some(value) if !value.is_empty() => Ok(value.to_owned()),
            _ => Err(config.refused(key, "the relay cannot reach a database without it")),
        };
        let path = |key: &str| config.get(key).filter(|path| !path.is_empty()).map(PathBuf::from);
        let ssl = ssl_mode(config)?;
        let is_system = config.get("database.sslrootcert").is_some_and(|path| path == "system");
        let root_certificate = if is_system { None } else { path("database.sslrootcert") };
        if !is_system && root_certificate.is_none() && matches!(ssl, SslMode::VerifyCa | SslMode::VerifyFull) {
            let reason =
                "this mode needs the authority's certificate: name its file in database.sslrootcert, or write system";
            return Err(config.refused("database.sslmode", reason));
        }
        let client_certificate = match (path("database.sslcert"), path("database.sslkey")) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
            _ => return Err(config.refused("database.sslcert", "certificate and key (database.sslkey) go together")),
        };
        Ok(Self {
            host: needed("database.hostname")?,
            port: number(config, "database.port", 5432)?,
            user: needed("database.user")?,
            password: password.cloned().or_else(|| config.source("database.password", surroundings)),
            database: needed("database.dbname")?,
            ssl,
            root_certificate,
            client_certificate,
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

fn ssl_mode(config: &Resolved) -> Result<SslMode, SettingsError> {
    let key = "database.sslmode";
    match config.get(key).unwrap_or("prefer").to_ascii_lowercase().as_str() {
        "disable" => Ok(SslMode::Disable),
        "prefer" => Ok(SslMode::Prefer),
        "require" => Ok(SslMode::Require),
        "verify-ca" => Ok(SslMode::VerifyCa),
        "verify-full" => Ok(SslMode::VerifyFull),
        "allow" => Err(config.refused(key, "the relay does not try without encryption first: use prefer or disable")),
        _ => Err(config.refused(key, "it is one of disable, prefer, require, verify-ca, verify-full")),
    }
}

pub(super) fn number<T: std::str::FromStr>(config: &Resolved, key: &str, default: T) -> Result<T, SettingsError> {
    let Some(value) = config.get(key) else { return Ok(default) };
    value.parse().map_err(|_| config.refused(key, "it is no number, or not one that fits here"))
}
