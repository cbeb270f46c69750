use std::error::Error as StdError;
use std::fmt;
use std::path::Path;

/// The reason why a secret, a certificate or a TLS configuration cannot be used.
///
/// `Display` names the file or the command and the remedy, and never a secret; `source` holds the cause.
pub struct Error {
    kind: Kind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("the file {0} cannot be read: check its path and its permissions")]
    File(Box<str>),
    #[error("the command for a secret failed ({0}): run it by hand as the user of this process")]
    Command(Box<str>),
    #[error("the callback for a secret failed")]
    Callback,
    #[error("{0}")]
    Tls(Box<str>),
}

impl Error {
    fn new(kind: Kind) -> Self {
        Self { kind, source: None }
    }

    pub(crate) fn file(path: &Path) -> Self {
        Self::new(Kind::File(path.display().to_string().into()))
    }

    pub(crate) fn command(what: impl Into<Box<str>>) -> Self {
        Self::new(Kind::Command(what.into()))
    }

    pub(crate) fn callback(source: Box<dyn StdError + Send + Sync>) -> Self {
        Self::new(Kind::Callback).because(source)
    }

    pub(crate) fn tls(what: impl Into<Box<str>>) -> Self {
        Self::new(Kind::Tls(what.into()))
    }

    pub(crate) fn because(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Returns whether a certificate, a key or the TLS settings are at fault.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self.kind, Kind::Tls(_))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error").field("kind", &self.kind).field("source", &self.source).finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
