use std::fmt;

use outbox_core::ConnectorConfig;

use super::SettingsError;
use super::placeholders::{Surroundings, resolve};

/// A connector's configuration with its placeholders resolved. `Debug` shows it as it was written.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    written: ConnectorConfig,
    values: ConnectorConfig,
}

impl Resolved {
    pub(super) fn of(written: ConnectorConfig, surroundings: &impl Surroundings) -> Result<Self, SettingsError> {
        let mut values = written.clone();
        for (key, text) in written.iter() {
            values = values.with(key, resolve(key, text, surroundings)?);
        }
        Ok(Self { written, values })
    }

    /// The value, trimmed as Connect's parser does.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(str::trim)
    }

    /// All keys and values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key, value.trim()))
    }

    /// The value as messages may show it.
    pub(super) fn shown(&self, key: &str) -> &str {
        self.written.get(key).unwrap_or_default()
    }

    pub(super) fn refused(&self, key: &str, reason: impl Into<String>) -> SettingsError {
        SettingsError::refused(key, self.shown(key), reason)
    }

    /// For the pipeline, which needs nothing of how to reach the database.
    pub(super) fn for_pipeline(&self) -> ConnectorConfig {
        let keeps_placeholder = |key: &str| key.starts_with("database.") || key.starts_with("producer.override.");
        self.values
            .iter()
            .filter(|(key, _)| !keeps_placeholder(key))
            .fold(self.written.clone(), |config, (key, value)| config.with(key, value))
    }

    /// What the pipeline said of a key, with the value as it was written.
    pub(super) fn pipeline_error(&self, error: outbox_core::Error) -> SettingsError {
        match (error.field(), error.broken_rule()) {
            (Some(key), Some(reason)) if self.written.get(key) != self.values.get(key) => self.refused(key, reason),
            _ => SettingsError::pipeline(error),
        }
    }
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}
