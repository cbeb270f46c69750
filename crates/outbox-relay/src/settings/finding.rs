use std::fmt;

use outbox_core::ConnectorConfig;

/// A key of a configuration that the relay rejects, or that has another effect than in Debezium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    key: String,
    value: Option<String>,
    reason: String,
    remedy: Option<&'static str>,
}

impl Finding {
    pub(super) fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { key: key.into(), value: None, reason: reason.into(), remedy: None }
    }

    pub(super) fn with_remedy(self, remedy: &'static str) -> Self {
        Self { remedy: Some(remedy), ..self }
    }

    /// Returns the key. A warning about several keys lists them, separated by commas.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the value, if it is a well-known word or class. Other values may contain a misplaced secret.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// Returns why the relay rejects the key, or what it does instead.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns what to do about it, unless the reason says so.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.remedy
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, "={value}")?;
        }
        write!(f, ": {}", self.reason)?;
        self.remedy.map_or(Ok(()), |remedy| write!(f, ": {remedy}"))
    }
}

/// The findings about a configuration so far.
#[derive(Debug)]
pub(super) struct Findings {
    written: ConnectorConfig,
    rejected: Vec<Finding>,
    warnings: Vec<Finding>,
    /// Keys whose placeholders have no value here, if that is no reason to reject them.
    unresolved: Option<Vec<String>>,
}

impl Findings {
    pub(super) fn of(written: ConnectorConfig) -> Self {
        Self { written, rejected: Vec::new(), warnings: Vec::new(), unresolved: None }
    }

    /// Does the same as [`of`](Self::of), for a configuration that will be used elsewhere.
    pub(super) fn of_elsewhere(written: ConnectorConfig) -> Self {
        Self { unresolved: Some(Vec::new()), ..Self::of(written) }
    }

    /// Adds a placeholder that has no value here.
    pub(super) fn unresolved(&mut self, finding: Finding) {
        match &mut self.unresolved {
            Some(keys) => {
                keys.push(finding.key.clone());
                self.warn(finding);
            }
            None => self.reject(finding),
        }
    }

    /// Returns whether a key, or one that begins with it, cannot be judged here.
    pub(super) fn is_unresolved(&self, key: &str) -> bool {
        self.unresolved.iter().flatten().any(|unresolved| unresolved.starts_with(key))
    }

    /// Adds a reason to reject the configuration. The first one for a key counts.
    pub(super) fn reject(&mut self, finding: Finding) {
        let is_known = self.rejected.iter().any(|known| known.key == finding.key);
        if !is_known && !self.is_unresolved(&finding.key) {
            let finding = self.with_value(finding);
            self.rejected.push(finding);
        }
    }

    pub(super) fn warn(&mut self, finding: Finding) {
        let finding = self.with_value(finding);
        self.warnings.push(finding);
    }

    /// Returns the value, or keeps the reason to reject it.
    pub(super) fn take<T>(&mut self, result: Result<T, Finding>) -> Option<T> {
        result.map_err(|finding| self.reject(finding)).ok()
    }

    /// Returns the reasons to reject the configuration, and the warnings about other keys.
    pub(super) fn into_parts(mut self) -> (Vec<Finding>, Vec<Finding>) {
        self.warnings.retain(|warning| !self.rejected.iter().any(|rejected| rejected.key == warning.key));
        (self.rejected, self.warnings)
    }

    fn with_value(&self, finding: Finding) -> Finding {
        let value = self.written.get(&finding.key).map(str::trim).filter(|value| is_well_known(value));
        Finding { value: value.map(str::to_owned), ..finding }
    }
}

/// Words that are values of Debezium's and Kafka's options.
const WORDS: &[&str] = &[
    "adaptive",
    "adaptive_time_microseconds",
    "all",
    "all_tables",
    "allow",
    "always",
    "avro",
    "avro_unicode",
    "base64",
    "base64-url-safe",
    "bytes",
    "c",
    "configuration_based",
    "connect",
    "custom",
    "decoderbufs",
    "disable",
    "disabled",
    "error",
    "fail",
    "false",
    "fatal",
    "filtered",
    "hex",
    "ignore",
    "initial",
    "initial_only",
    "isostring",
    "manual",
    "microseconds",
    "nanoseconds",
    "never",
    "no_data",
    "no_tables",
    "none",
    "numeric",
    "pgoutput",
    "prefer",
    "require",
    "required",
    "schema_only",
    "skip",
    "true",
    "verify-ca",
    "verify-full",
    "warn",
    "when_needed",
];

/// Returns whether a value is a well-known word or class, and therefore no secret.
fn is_well_known(value: &str) -> bool {
    let is_class = ["org.apache.kafka.", "io.debezium."].iter().any(|package| value.starts_with(package))
        && value.split('.').all(|part| part.chars().all(|c| c.is_ascii_alphanumeric() || c == '$'));
    is_class || WORDS.iter().any(|word| word.eq_ignore_ascii_case(value))
}
