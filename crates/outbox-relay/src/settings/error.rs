use std::error::Error as StdError;
use std::fmt;

use super::finding::{Finding, Findings};

/// The reason why the relay rejects a configuration. It names keys, and never a value that may hold a secret.
pub struct SettingsError(Box<Inner>);

struct Inner {
    kind: Kind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("{}", Listed(.findings))]
    Rejected { findings: Vec<Finding>, warnings: Vec<Finding> },
    #[error("{placeholder} in {key} cannot be resolved: {reason}")]
    Unresolved { key: String, placeholder: String, reason: String },
    #[error("the connector's configuration cannot be read")]
    Form,
    #[error("the connector's configuration {path}: {reason}")]
    File { path: String, reason: String },
    #[error("{at}: {what}")]
    Connect { at: String, what: String },
}

/// One finding in a line, several in a line each.
struct Listed<'a>(&'a [Finding]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [one] = self.0 {
            return write!(f, "the relay rejects {one}");
        }
        write!(f, "the relay rejects {} keys of the configuration:", self.0.len())?;
        self.0.iter().try_for_each(|finding| write!(f, "\n  {finding}"))
    }
}

impl SettingsError {
    pub(super) fn rejected(findings: Vec<Finding>, warnings: Vec<Finding>) -> Self {
        Self::new(Kind::Rejected { findings, warnings })
    }

    pub(super) fn unresolved(key: &str, placeholder: String, reason: impl Into<String>) -> Self {
        Self::new(Kind::Unresolved { key: key.into(), placeholder, reason: reason.into() })
    }

    pub(super) fn form(source: outbox_core::Error) -> Self {
        Self::new(Kind::Form).caused_by(source)
    }

    pub(super) fn file(path: String, reason: impl Into<String>) -> Self {
        Self::new(Kind::File { path, reason: reason.into() })
    }

    pub(super) fn connect(at: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Kind::Connect { at: at.into(), what: what.into() })
    }

    pub(super) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    fn new(kind: Kind) -> Self {
        Self(Box::new(Inner { kind, source: None }))
    }

    /// Returns the key that it is about, the first one of several.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match &self.0.kind {
            Kind::Rejected { findings, .. } => findings.first().map(Finding::key),
            Kind::Unresolved { key, .. } => Some(key),
            Kind::Connect { .. } | Kind::File { .. } | Kind::Form => None,
        }
    }

    /// Returns everything that the relay rejects in the configuration.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match &self.0.kind {
            Kind::Rejected { findings, .. } => findings,
            _ => &[],
        }
    }

    /// Returns the warnings about settings that have another effect than in Debezium, and would be accepted.
    #[must_use]
    pub fn warnings(&self) -> &[Finding] {
        match &self.0.kind {
            Kind::Rejected { warnings, .. } => warnings,
            _ => &[],
        }
    }
}

impl Findings {
    /// Returns the warnings, if there is no reason to reject the configuration.
    pub(super) fn into_result(self) -> Result<Vec<Finding>, SettingsError> {
        let (rejected, warnings) = self.into_parts();
        if rejected.is_empty() { Ok(warnings) } else { Err(SettingsError::rejected(rejected, warnings)) }
    }

    /// Returns the error of a configuration that is rejected.
    pub(super) fn into_error(self) -> SettingsError {
        let (rejected, warnings) = self.into_parts();
        SettingsError::rejected(rejected, warnings)
    }
}

impl From<Finding> for SettingsError {
    fn from(finding: Finding) -> Self {
        Self::rejected(vec![finding], Vec::new())
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
