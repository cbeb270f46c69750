use std::collections::BTreeSet;

use outbox_core::{ConnectorConfig, Loss, Pipeline, TableLayout};

use super::keys::Keys;
use super::placeholders::{Process, Surroundings};
use super::postgres::PostgresSettings;
use super::produce::{CompressionType, PoisonPolicy, max_request_size};
use super::resolved::Resolved;
use super::topics::TopicCreation;
use super::{RelaySettings, SettingsError};

/// What the relay is told beside the connector's configuration; see [`RelaySettings::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RelaySettingsBuilder {
    config: ConnectorConfig,
    brokers: Vec<String>,
    layout: TableLayout,
    accepted_keys: BTreeSet<String>,
    accepted_losses: Vec<Loss>,
    poison: PoisonPolicy,
}

impl RelaySettingsBuilder {
    pub(super) fn new(config: ConnectorConfig, brokers: Vec<String>) -> Self {
        Self {
            config,
            brokers,
            layout: TableLayout::recommended(),
            accepted_keys: BTreeSet::new(),
            accepted_losses: Vec::new(),
            poison: PoisonPolicy::default(),
        }
    }

    /// The outbox table, where it is not the one that outbox-pg creates.
    pub fn layout(self, layout: TableLayout) -> Self {
        Self { layout, ..self }
    }

    /// Takes a key that is not known here, because it is known to change nothing.
    pub fn accept_unknown_key(mut self, key: impl Into<String>) -> Self {
        self.accepted_keys.insert(key.into());
        self
    }

    /// Takes a loss that the configuration has; see [`Pipeline::accepting`].
    pub fn accept_loss(mut self, loss: Loss) -> Self {
        self.accepted_losses.push(loss);
        self
    }

    /// What is done with a row that can never become a record.
    pub fn poison(self, poison: PoisonPolicy) -> Self {
        Self { poison, ..self }
    }

    /// Resolves placeholders from the environment and from files, and checks everything.
    ///
    /// # Errors
    /// A placeholder stands for nothing, a key is unknown or refused, or configuration and table contradict each other.
    pub fn build(self) -> Result<RelaySettings, SettingsError> {
        self.build_in(&Process)
    }

    pub(super) fn build_in(self, surroundings: &impl Surroundings) -> Result<RelaySettings, SettingsError> {
        let config = Resolved::of(self.config, surroundings)?;
        let router = config.get("transforms").unwrap_or_default().split(',').next().unwrap_or_default().trim();
        Keys::of(router).check(&config, &self.accepted_keys)?;
        let pipeline = Pipeline::accepting(&self.accepted_losses, config.for_pipeline(), self.layout)
            .map_err(|error| config.pipeline_error(error))?;
        includes_schema(&config, pipeline.layout().schema().as_str())?;
        if self.brokers.iter().all(|broker| broker.trim().is_empty()) {
            return Err(SettingsError::refused("brokers", "", "the relay needs the address of one broker at least"));
        }
        Ok(RelaySettings {
            brokers: self.brokers,
            postgres: PostgresSettings::of(&config)?,
            topic_creation: TopicCreation::of(&config)?,
            compression: CompressionType::of(&config)?,
            max_request_size: max_request_size(&config)?,
            poison: self.poison,
            pipeline,
        })
    }
}

/// `table.include.list` decides; here the schema has to be named as it is, without an expression.
fn includes_schema(config: &Resolved, schema: &str) -> Result<(), SettingsError> {
    let key = "schema.include.list";
    match config.get(key) {
        Some(list) if !list.split(',').any(|name| name.trim().eq_ignore_ascii_case(schema)) => {
            let reason = format!(
                "it does not name the outbox table's schema {schema}: table.include.list is enough, leave it out"
            );
            Err(config.refused(key, reason))
        }
        _ => Ok(()),
    }
}
