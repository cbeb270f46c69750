use std::fmt;

use outbox_net::ErrorChain;

/// One check of a server with its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCheck {
    name: String,
    status: CheckStatus,
    detail: String,
    remedy: Option<String>,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckStatus {
    /// Nothing is wrong.
    Ok,
    /// The relay works, with the consequence that the check names.
    Warning,
    /// The relay ends, waits, or loses events.
    Failed,
    /// It could not be checked, because of another check that failed or a privilege that the relay does not need.
    Skipped,
}

impl CheckStatus {
    /// Returns the status in one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl ServerCheck {
    pub(crate) fn new(name: impl Into<String>, status: CheckStatus, detail: impl Into<String>) -> Self {
        Self { name: name.into(), status, detail: detail.into(), remedy: None }
    }

    pub(crate) fn ok(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(name, CheckStatus::Ok, detail)
    }

    pub(crate) fn warning(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(name, CheckStatus::Warning, detail)
    }

    pub(crate) fn failed(name: impl Into<String>, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(name, CheckStatus::Failed, ErrorChain::new(error).to_string())
    }

    pub(crate) fn skipped(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(name, CheckStatus::Skipped, detail)
    }

    pub(crate) fn with_remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    /// Returns what was checked, such as `slot` or `topic orders`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the result.
    #[must_use]
    pub fn status(&self) -> CheckStatus {
        self.status
    }

    /// Returns what was found.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Returns what to do, unless the detail says so.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }
}

impl fmt::Display for ServerCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} {}: {}", self.status.name(), self.name, self.detail)?;
        self.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, ": {remedy}"))
    }
}
