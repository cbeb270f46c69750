use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The oldest version that decodes and copies slots as the outbox needs it.
pub(super) const OLDEST: u32 = 14;
/// The environment variable that names the directory of `initdb` and `postgres`.
pub(super) const DIRECTORY: &str = "OUTBOX_POSTGRES_BIN";

pub(super) type Source = Box<dyn StdError + Send + Sync>;

/// The reason why there is no server or no database.
///
/// `Display` reports this layer only; [`source`](StdError::source) holds the cause.
pub struct PostgresError(Box<Inner>);

struct Inner {
    kind: Kind,
    source: Option<Source>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Kind {
    #[cfg(not(feature = "download"))]
    #[error("no PostgreSQL {OLDEST} or newer is installed: {}", how_to_install())]
    NotInstalled,
    #[cfg(feature = "download")]
    #[error(
        "no PostgreSQL {OLDEST} or newer is installed or wanted, and version {version} could not be downloaded from \
         Maven Central: check the network or {}",
        how_to_install()
    )]
    Download { version: String },
    #[cfg(feature = "download")]
    #[error("PostgreSQL {version} cannot be downloaded: there are {OLDEST} to 18")]
    NoBuild { version: u32 },
    #[error(
        "{DIRECTORY} names {}, which does not hold the programs of PostgreSQL {OLDEST} or newer: {missing}",
        directory.display()
    )]
    NotPrograms { directory: PathBuf, missing: String },
    #[error("{0}")]
    Account(String),
    #[error("cannot {doing} {}", path.display())]
    File { doing: &'static str, path: PathBuf },
    #[error("there is no free port on 127.0.0.1")]
    Port,
    #[error("initdb failed ({status}); the end of its output:\n{output}")]
    Initialise { status: String, output: String },
    #[error("PostgreSQL ended before it could be reached; the end of its log:\n{log}")]
    Ended { log: String },
    #[error("PostgreSQL could not be reached within {} s; the end of its log:\n{log}", waited.as_secs())]
    Deadline { waited: Duration, log: String },
    #[error("PostgreSQL failed to {0}")]
    Database(&'static str),
    #[error("the runtime ended while PostgreSQL was being started")]
    Runtime,
}

fn how_to_install() -> String {
    format!(
        "install it (Debian and Ubuntu: `apt install postgresql`, Homebrew: `brew install postgresql`) or name the \
         directory of its programs `initdb` and `postgres` by {DIRECTORY}"
    )
}

impl PostgresError {
    pub(super) fn new(kind: Kind) -> Self {
        Self(Box::new(Inner { kind, source: None }))
    }

    pub(super) fn caused(kind: Kind, source: impl Into<Source>) -> Self {
        Self(Box::new(Inner { kind, source: Some(source.into()) }))
    }

    /// Creates an error of a file; `doing` completes the sentence "cannot … the path".
    pub(super) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::caused(Kind::File { doing, path: path.to_owned() }, error)
    }

    /// Creates an error of PostgreSQL; `doing` completes the sentence "PostgreSQL failed to …".
    pub(super) fn database(doing: &'static str) -> impl FnOnce(Source) -> Self {
        move |error| Self::caused(Kind::Database(doing), error)
    }

    /// Returns whether there is no PostgreSQL on this machine and none could be downloaded.
    #[must_use]
    pub fn is_not_installed(&self) -> bool {
        match self.0.kind {
            #[cfg(not(feature = "download"))]
            Kind::NotInstalled => true,
            #[cfg(feature = "download")]
            Kind::Download { .. } => true,
            _ => false,
        }
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.0.kind
    }
}

impl fmt::Debug for PostgresError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresError").field("kind", &self.0.kind).field("source", &self.0.source).finish()
    }
}

impl fmt::Display for PostgresError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.kind.fmt(f)
    }
}

impl StdError for PostgresError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
