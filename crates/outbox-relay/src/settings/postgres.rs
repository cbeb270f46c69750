use std::path::{Path, PathBuf};

use outbox_net::SecretSource;
use outbox_wal::{ServerRole, TlsMode};

use super::finding::{Finding, Findings};
use super::placeholders::Surroundings;
use super::resolved::Resolved;

/// The address of the database, as the connector's keys `database.*` give it.
#[derive(Clone, Debug)]
pub struct PostgresSettings {
    servers: Vec<(String, u16)>,
    role: ServerRole,
    user: String,
    password: Option<SecretSource>,
    database: String,
    ssl: TlsMode,
    root_certificate: Option<PathBuf>,
    client_certificate: Option<ClientCertificate>,
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

        let port = findings.take(number(config, "database.port", 5432));
        let servers =
            findings.take(needed("database.hostname").and_then(|list| servers(&list, port.unwrap_or_default())));

        let role = findings.take(role(config));
        let user = findings.take(needed("database.user"));
        let database = findings.take(needed("database.dbname"));
        let ssl = findings.take(ssl_mode(config));
        let root_certificate = ssl.and_then(|ssl| findings.take(root_certificate(config, ssl, surroundings)));
        let client_certificate = findings.take(client_certificate(config));
        Some(Self {
            servers: port.and(servers)?,
            role: role?,
            user: user?,
            password: password.cloned().or_else(|| config.source("database.password", surroundings)),
            database: database?,
            ssl: ssl?,
            root_certificate: root_certificate?,
            client_certificate: client_certificate?,
        })
    }

    /// Returns the names or addresses of the servers, with their ports: at least one.
    #[must_use]
    pub fn servers(&self) -> &[(String, u16)] {
        &self.servers
    }

    /// Returns which of several servers is used.
    pub(crate) fn server_role(&self) -> ServerRole {
        self.role
    }

    /// Returns the role.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns the source of the role's password, if there is one. It is read for each connection.
    #[must_use]
    pub fn password(&self) -> Option<&SecretSource> {
        self.password.as_ref()
    }

    /// Returns the database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Returns whether the connection is encrypted, and how far the server is trusted.
    #[must_use]
    pub fn ssl(&self) -> TlsMode {
        self.ssl
    }

    /// Returns the file of the trusted authorities' certificates, in PEM. Without it the system's authorities are
    /// trusted.
    #[must_use]
    pub fn root_certificate(&self) -> Option<&Path> {
        self.root_certificate.as_deref()
    }

    /// Returns the client certificate and its key.
    #[must_use]
    pub fn client_certificate(&self) -> Option<&ClientCertificate> {
        self.client_certificate.as_ref()
    }
}

/// Splits a list of `HOST` and `HOST:PORT`, as pgjdbc's URLs and libpq have it.
fn servers(list: &str, default_port: u16) -> Result<Vec<(String, u16)>, Finding> {
    let server = |item: &str| {
        // The directory of a Unix socket, or an IPv6 address without brackets.
        let is_host_alone = item.starts_with('/') || (!item.starts_with('[') && item.matches(':').count() != 1);
        let has_no_port = is_host_alone || item.ends_with(']');
        if has_no_port {
            let host = item.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(item);
            return (!host.is_empty()).then(|| (host.to_owned(), default_port));
        }
        outbox_net::host_and_port(item).map(|(host, port)| (host.to_owned(), port))
    };
    let all: Option<Vec<_>> = list.split(',').map(|item| server(item.trim())).collect();
    all.ok_or_else(|| {
        Finding::new("database.hostname", "it is HOST or HOST:PORT, or several of these separated by commas")
    })
}

/// The keys for the role of a server: of libpq, and of pgjdbc with the prefixes for properties of the driver.
const ROLE_KEYS: [&str; 3] = ["database.target_session_attrs", "database.targetServerType", "driver.targetServerType"];

fn role(config: &Resolved) -> Result<ServerRole, Finding> {
    let Some((key, value)) = ROLE_KEYS.iter().find_map(|key| Some((*key, config.get(key)?))) else {
        return Ok(ServerRole::Primary);
    };
    match value.to_ascii_lowercase().as_str() {
        "primary" | "master" | "read-write" => Ok(ServerRole::Primary),
        "any" => Ok(ServerRole::Any),
        _ => {
            Err(Finding::new(key, "the relay reads a slot of the primary")
                .with_remedy("use primary, read-write or any"))
        }
    }
}

fn ssl_mode(config: &Resolved) -> Result<TlsMode, Finding> {
    let key = "database.sslmode";
    match config.get(key).unwrap_or("prefer").to_ascii_lowercase().as_str() {
        "disable" => Ok(TlsMode::Disable),
        // The first attempt without encryption, which has the same result.
        "prefer" | "allow" => Ok(TlsMode::Prefer),
        "require" => Ok(TlsMode::Require),
        "verify-ca" => Ok(TlsMode::VerifyCa),
        "verify-full" => Ok(TlsMode::VerifyFull),
        _ => Err(Finding::new(key, "it is one of allow, disable, prefer, require, verify-ca, verify-full")),
    }
}

fn path(config: &Resolved, key: &str) -> Option<PathBuf> {
    config.get(key).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Returns the file of the trusted authorities: the named one, or else that of PostgreSQL's own clients, if there is
/// one.
fn root_certificate(
    config: &Resolved,
    ssl: TlsMode,
    surroundings: &impl Surroundings,
) -> Result<Option<PathBuf>, Finding> {
    let named = path(config, "database.sslrootcert");
    if named.as_deref() == Some(Path::new("system")) {
        return Ok(None);
    }
    if named.is_some() || !matches!(ssl, TlsMode::VerifyCa | TlsMode::VerifyFull) {
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
