/// The severity of a [`KeyFinding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySeverity {
    /// The relay does not start.
    Rejected,
    /// The relay starts, and does something else than Debezium.
    Warned,
}

/// A key whose value the relay rejects, or that has another effect there than in Debezium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFinding {
    key: String,
    reason: String,
    remedy: Option<&'static str>,
    severity: KeySeverity,
}

impl KeyFinding {
    pub(super) fn new(key: &str, reason: String, severity: KeySeverity) -> Self {
        Self { key: key.to_owned(), reason, remedy: None, severity }
    }

    pub(super) fn with_remedy(self, remedy: &'static str) -> Self {
        Self { remedy: Some(remedy), ..self }
    }

    /// Returns the key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns why the relay rejects the value, or what it does instead.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns what to do about it, unless the reason says so.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        self.remedy
    }

    /// Returns whether the relay rejects the value or warns of it.
    #[must_use]
    pub fn severity(&self) -> KeySeverity {
        self.severity
    }
}
