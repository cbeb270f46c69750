use std::collections::BTreeSet;
use std::fmt;

use outbox_core::ConnectorConfig;
use outbox_core::connector::RowDisposition;
use outbox_kafka::{Properties, Secret, SecretSource, Security};

use outbox_net::ErrorChain;
use outbox_wal::TableName;

use super::SettingsError;
use super::finding::{Finding, Findings};
use super::placeholders::{Surroundings, resolve};
use crate::tables::Candidates;

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
    /// Resolves every placeholder. A placeholder without a value is a finding, and stays as it is written.
    pub(super) fn of(written: ConnectorConfig, surroundings: &impl Surroundings, findings: &mut Findings) -> Self {
        let mut values = written.clone();
        for (key, text) in written.iter() {
            match resolve(key, text, surroundings) {
                Ok(value) => values = values.with(key, value),
                Err(error) => findings.unresolved(Finding::new(key, ErrorChain::new(&error).to_string())),
            }
        }
        Self { written, values: values.with_full_class_names() }
    }

    /// Returns the configuration as it was written.
    pub(super) fn written(&self) -> &ConnectorConfig {
        &self.written
    }

    /// Returns the configuration with its placeholders resolved and the full names of classes.
    pub(super) fn values(&self) -> &ConnectorConfig {
        &self.values
    }

    /// Returns the value, trimmed as Connect's parser does.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(str::trim)
    }

    /// Returns the names of the EventRouters; of the first transformation if there is none.
    pub(super) fn routers(&self) -> Vec<&str> {
        let routers: Vec<&str> = self.values.routers().collect();
        if routers.is_empty() { self.transformations().take(1).collect() } else { routers }
    }

    /// Returns the name of the EventRouter that sees messages, if one does.
    pub(super) fn message_router(&self) -> Option<&str> {
        self.values.message_router()
    }

    /// Returns the name of the EventRouter that sees the rows of a table, or else of the first one.
    pub(super) fn router_of(&self, table: &TableName) -> &str {
        let router = self.values.router_of(&table.schema, &table.table);
        router.or_else(|| self.routers().first().copied()).unwrap_or_default()
    }

    /// Returns whether a part of records (`key`, `value` or `header`) is written with its schema.
    pub(super) fn writes_schemas(&self, part: &str) -> bool {
        let mut key = format!("{part}.converter");
        let delegate = format!("{key}.delegate.converter.type");
        if self.get(&key).is_some_and(|class| class.ends_with(".BinaryDataConverter")) {
            key = delegate;
        }
        let is_json = self.get(&key).is_some_and(|class| class.ends_with(".JsonConverter"));
        is_json && self.get(&format!("{key}.schemas.enable")).is_none_or(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Returns whether the configuration decodes logical decoding messages of every prefix.
    pub(super) fn decodes_all_messages(&self) -> bool {
        self.values.decodes_messages() && self.get("message.prefix.include.list").is_none_or(str::is_empty)
    }

    /// Returns the names of all transformations.
    pub(super) fn transformations(&self) -> impl Iterator<Item = &str> {
        let names = self.get("transforms").unwrap_or_default().split(',').map(str::trim);
        names.filter(|name| !name.is_empty())
    }

    /// Returns the configuration for the rows that a router sees, whatever tables they are of.
    pub(super) fn seen_by(&self, router: &str) -> Self {
        let routers = self.routers();
        let has_predicate = |name: &str| self.get(&format!("transforms.{name}.predicate")).is_some();
        // Transformations without a predicate apply to these rows, too.
        let before = self.transformations().take_while(|name| *name != router);
        let before = before.filter(|name| !has_predicate(name) && !routers.contains(name));
        let following: Vec<&str> = before.chain(self.transformations().skip_while(|name| *name != router)).collect();
        let predicate = ["predicate", "negate"].map(|option| format!("transforms.{router}.{option}"));
        predicate.iter().fold(self.with("transforms", &following.join(",")), |config, key| config.without(key))
    }

    /// Returns what the transformations make of the rows of a table.
    pub(super) fn disposition(&self, table: &TableName) -> Result<RowDisposition, outbox_core::Error> {
        self.values.disposition(&table.schema, &table.table)
    }

    /// Returns the headers that are dropped from every record.
    pub(super) fn dropped_headers(&self) -> BTreeSet<&str> {
        self.values.dropped_headers()
    }

    fn without(&self, key: &str) -> Self {
        Self { written: self.written.clone().without(key), values: self.values.clone().without(key) }
    }

    /// Returns the same configuration with another value.
    pub(super) fn with(&self, key: &str, value: &str) -> Self {
        Self { written: self.written.clone().with(key, value), values: self.values.clone().with(key, value) }
    }

    /// Returns all keys and values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key, value.trim()))
    }

    /// Returns the source of a secret, whose placeholders are resolved again each time; `None` without a value.
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

    /// Returns the security of the connections to Kafka by `producer.override.*`, whose placeholders are resolved again
    /// for each connection; `None` without such keys.
    pub(super) fn kafka_security(
        &self,
        surroundings: &(impl Surroundings + Clone + Send + Sync + 'static),
    ) -> Result<Option<Security>, Finding> {
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
        security.map(Some).map_err(|e| {
            let reason =
                format!("the keys that secure the connections to Kafka are not usable: {}", ErrorChain::new(&e));
            Finding::new("producer.override.*", reason)
        })
    }

    /// Returns the configuration for the pipeline, which needs nothing of how to reach the database, without the keys
    /// for which the relay has other means: they would be contradictions in a connector.
    pub(super) fn for_pipeline(&self) -> ConnectorConfig {
        let keeps_placeholder = |key: &str| key.starts_with("database.") || key.starts_with("producer.override.");
        let error_on_missing = self.routers().into_iter();
        let error_on_missing: Vec<String> = error_on_missing
            .map(|router| format!("transforms.{router}.table.fields.additional.error.on.missing"))
            .collect();
        let mut config = self.written.clone();
        for (key, value) in self.values.iter().filter(|(key, _)| !keeps_placeholder(key)) {
            config = config.with(key, value);
        }

        for key in OWN_WAY.iter().copied().chain(error_on_missing.iter().map(String::as_str)) {
            config = config.without(key);
        }

        let lists = config.iter().map(|(key, _)| key.to_owned()).filter(|key| key.starts_with("column."));
        // The lists of columns were checked.
        let config = lists.collect::<Vec<_>>().iter().fold(config, |config, key| config.without(key));
        let config = match self.decodes_all_messages() {
            true => config.with("message.prefix.include.list", ".*"),
            false => config,
        };
        let config = match self.candidates() {
            Candidates::Database => config,
            // The lists choose from the tables of the publication.
            Candidates::Publication => config.with("table.include.list", ".*"),
        };
        if self.get("plugin.name").is_none() { config.with("plugin.name", "pgoutput") } else { config }
    }

    /// Returns whether a list of expressions names something; `None` if there is no list.
    pub(super) fn list_names(&self, key: &str, name: &str) -> Result<Option<bool>, Finding> {
        self.values.list_names(key, name).map_err(|error| {
            let reason = error.broken_rule().unwrap_or("this regular expression cannot be used here");
            Finding::new(key, reason)
        })
    }

    /// Returns which tables the lists choose from.
    pub(super) fn candidates(&self) -> Candidates {
        match self.get("table.include.list") {
            None | Some("") => Candidates::Publication,
            Some(_) => Candidates::Database,
        }
    }

    /// Converts the pipeline's contradictions, without their values and in the words of who runs the relay.
    pub(super) fn contradictions<'a>(&'a self, error: &'a outbox_core::Error) -> impl Iterator<Item = Finding> + 'a {
        error.contradictions().map(|error| {
            let (key, reason) = (error.field().unwrap_or_default(), error.broken_rule().unwrap_or_default());
            let has = |old: &str| self.get(old).is_some();
            let absent = |reason: &str, remedy| Finding::new(key, reason).with_remedy(remedy);

            match key {
                _ if key.ends_with(".type") && key.starts_with("transforms.") && !has(key) => {
                    let reason = "the type of the transformation that it names is missing";
                    Finding::new("transforms", reason).with_remedy("name the EventRouter, and set its type")
                }
                "key.converter" | "value.converter" if !has(key) => absent(
                    "it is absent, and the default of the Connect worker is not in this file",
                    "add it, or name the worker's properties file with --worker-config",
                ),
                "topic.prefix" if !has(key) && has("database.server.name") => absent(
                    "it is absent, and Debezium requires it",
                    "add it: until Debezium 1.9 it was database.server.name",
                ),
                "topic.prefix" if !has(key) => absent("it is absent, and Debezium requires it", "add it"),
                "plugin.name" => {
                    absent("the relay reads with pgoutput only", "create a slot with pgoutput, and remove the key")
                }
                _ => Finding::new(key, reason),
            }
        })
    }
}

/// Failed rows stop the relay or go to the dead letters, and heartbeats that cannot be written are a warning.
const OWN_WAY: [&str; 3] = ["errors.tolerance", "event.processing.failure.handling.mode", "heartbeat.interval.ms"];

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}
