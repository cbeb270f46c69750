use std::error::Error as StdError;
use std::fmt;

/// Why the relay does not take a configuration. It names the key, and never its value, which may hold a secret.
pub struct SettingsError(Box<Inner>);

struct Inner {
    kind: Kind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("{key} is refused: {reason}")]
    Refused { key: String, reason: String },
    #[error(
        "{key} is no key that is known of Kafka Connect, Debezium's PostgreSQL connector, the EventRouter or their \
         converters: correct it, leave it out, or accept it by its name"
    )]
    Unknown { key: String },
    #[error("{placeholder} in {key} cannot be resolved: {reason}")]
    Unresolved { key: String, placeholder: String, reason: String },
    #[error("the producer.override.* keys for the security of the connections to Kafka are not usable")]
    KafkaSecurity,
    #[error("the columns of {table} cannot be read")]
    Table { table: String },
    #[error("{at}: {what}")]
    Connect { at: String, what: String },
    #[error("the connector's configuration and the outbox table do not agree")]
    Pipeline,
}

impl SettingsError {
    pub(super) fn refused(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Kind::Refused { key: key.into(), reason: reason.into() })
    }

    pub(super) fn unknown(key: impl Into<String>) -> Self {
        Self::new(Kind::Unknown { key: key.into() })
    }

    pub(super) fn unresolved(key: &str, placeholder: String, reason: impl Into<String>) -> Self {
        Self::new(Kind::Unresolved { key: key.into(), placeholder, reason: reason.into() })
    }

    pub(super) fn kafka_security(source: outbox_kafka::Error) -> Self {
        Self::new(Kind::KafkaSecurity).caused_by(source)
    }

    pub(super) fn connect(at: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Kind::Connect { at: at.into(), what: what.into() })
    }

    pub(super) fn table(table: String) -> Self {
        Self::new(Kind::Table { table })
    }

    pub(super) fn pipeline(source: outbox_core::Error) -> Self {
        Self::new(Kind::Pipeline).caused_by(source)
    }

    pub(super) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    fn new(kind: Kind) -> Self {
        Self(Box::new(Inner { kind, source: None }))
    }

    /// The key that it is about.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match &self.0.kind {
            Kind::Refused { key, .. } | Kind::Unknown { key } | Kind::Unresolved { key, .. } => Some(key),
            Kind::Connect { .. } | Kind::Table { .. } | Kind::KafkaSecurity => None,
            Kind::Pipeline => self.0.source.as_ref()?.downcast_ref::<outbox_core::Error>()?.field(),
        }
    }

    /// Whether the key is in no list: it may be accepted by its name.
    #[must_use]
    pub fn is_unknown_key(&self) -> bool {
        matches!(self.0.kind, Kind::Unknown { .. })
    }

    /// Whether a placeholder has nothing to stand for.
    #[must_use]
    pub fn is_unresolved(&self) -> bool {
        matches!(self.0.kind, Kind::Unresolved { .. })
    }
}

impl fmt::Debug for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettingsError").field("kind", &self.0.kind).field("source", &self.0.source).finish()
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.kind.fmt(f)
    }
}

impl StdError for SettingsError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
