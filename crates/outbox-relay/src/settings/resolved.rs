use std::fmt;

use outbox_core::ConnectorConfig;
use outbox_kafka::{Properties, Secret, SecretSource, Security};

use super::SettingsError;
use super::placeholders::{Surroundings, resolve};

const PRODUCER: &str = "producer.override.";
/// The beginnings of the keys that say how the connections to Kafka are secured.
const KAFKA_SECURITY: [&str; 4] = [
    "producer.override.security.",
    "producer.override.sasl.",
    "producer.override.ssl.",
    "producer.override.outbox.sasl.",
];

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

    pub(super) fn refused(&self, key: &str, reason: impl Into<String>) -> SettingsError {
        SettingsError::refused(key, reason)
    }

    /// The source of a secret, whose placeholders are resolved again each time; none without a value.
    pub(super) fn source(
        &self,
        key: &str,
        surroundings: &(impl Surroundings + Clone + Send + Sync + 'static),
    ) -> Option<SecretSource> {
        let written = self.written.get(key)?.to_owned();
        if self.get(key).is_none_or(str::is_empty) {
            return None;
        }
        let (key, surroundings) = (key.to_owned(), surroundings.clone());
        Some(SecretSource::callback(move || {
            let value = resolve(&key, &written, &surroundings);
            async move { Ok(Secret::new(value?.trim())) }
        }))
    }

    /// The security of the connections to Kafka by `producer.override.*`, whose placeholders are resolved again for each
    /// connection; none without such keys.
    pub(super) fn kafka_security(
        &self,
        surroundings: &(impl Surroundings + Clone + Send + Sync + 'static),
    ) -> Result<Option<Security>, SettingsError> {
        let written: Vec<(String, String)> = self
            .written
            .iter()
            .filter(|(key, _)| KAFKA_SECURITY.iter().any(|prefix| key.starts_with(prefix)))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        if written.is_empty() {
            return Ok(None);
        }
        let surroundings = surroundings.clone();
        let security = Security::from_changing_properties(move || {
            let entries = written.iter().map(|(key, text)| {
                let name = key.strip_prefix(PRODUCER).unwrap_or(key).to_owned();
                resolve(key, text, &surroundings).map(|value| (name, value))
            });
            entries.collect::<Result<Properties, SettingsError>>()
        });
        security.map(Some).map_err(SettingsError::kafka_security)
    }

    /// For the pipeline, which needs nothing of how to reach the database.
    pub(super) fn for_pipeline(&self) -> ConnectorConfig {
        let keeps_placeholder = |key: &str| key.starts_with("database.") || key.starts_with("producer.override.");
        self.values
            .iter()
            .filter(|(key, _)| !keeps_placeholder(key))
            .fold(self.written.clone(), |config, (key, value)| config.with(key, value))
    }

    /// Converts an error of the pipeline about a key into one without the value.
    pub(super) fn pipeline_error(&self, error: outbox_core::Error) -> SettingsError {
        match (error.field(), error.broken_rule()) {
            (Some(key), Some(reason)) if self.written.get(key).is_some() => self.refused(key, reason),
            _ => SettingsError::pipeline(error),
        }
    }
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}
