use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use outbox_core::{ConnectorConfig, Loss, Pipeline, TableLayout};
use outbox_net::SecretSource;
use outbox_wal::Timeouts;

use super::keys::Keys;
use super::placeholders::{Process, Surroundings};
use super::postgres::PostgresSettings;
use super::produce::{CompressionType, PoisonPolicy, max_request_size, metadata_max_age};
use super::resolved::Resolved;
use super::topics::TopicCreation;
use super::{RelaySettings, SettingsError, router_of};

/// What the relay is told beside the connector's configuration; see [`RelaySettings::builder`].
#[derive(Clone)]
#[must_use]
pub struct RelaySettingsBuilder {
    config: ConnectorConfig,
    brokers: Vec<String>,
    layout: TableLayout,
    accepted_keys: BTreeSet<String>,
    accepted_losses: Vec<Loss>,
    poison: PoisonPolicy,
    scan_limit: u64,
    topic_interval: Option<Duration>,
    stalled_after: Duration,
    postgres_password: Option<SecretSource>,
    postgres_timeouts: Timeouts,
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
            scan_limit: 100_000,
            topic_interval: None,
            stalled_after: Duration::from_secs(30),
            postgres_password: None,
            postgres_timeouts: Timeouts::default(),
        }
    }

    pub(super) fn config(&self) -> &ConnectorConfig {
        &self.config
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

    /// How many records of a partition's end are looked at for rows that are there already; 100,000 if it is not said.
    /// Rows whose records lie before these are written again.
    pub fn scan_limit(self, records: u64) -> Self {
        Self { scan_limit: records, ..self }
    }

    /// How often topics are looked at: one may have been made anew, or have other partitions. If it is not said, it is
    /// `producer.override.metadata.max.age.ms`, or else 30 seconds.
    pub fn look_at_topics_every(self, interval: Duration) -> Self {
        Self { topic_interval: Some(interval), ..self }
    }

    /// How long rows may wait without one being acknowledged before the relay is not ready; 30 seconds if it is not
    /// said.
    pub fn stalled_after(self, time: Duration) -> Self {
        Self { stalled_after: time, ..self }
    }

    /// Sets the source of the role's password in PostgreSQL, in place of `database.password`. It is read for each
    /// connection.
    pub fn postgres_password(self, password: impl Into<SecretSource>) -> Self {
        Self { postgres_password: Some(password.into()), ..self }
    }

    /// Sets the longest waits for PostgreSQL. Each of them ends with a new connection.
    pub fn postgres_timeouts(self, timeouts: Timeouts) -> Self {
        Self { postgres_timeouts: timeouts, ..self }
    }

    pub(super) fn postgres_password_source(&self) -> Option<&SecretSource> {
        self.postgres_password.as_ref()
    }

    /// Resolves placeholders from the environment and from files, and checks everything.
    ///
    /// # Errors
    /// A placeholder stands for nothing, a key is unknown or refused, or configuration and table contradict each other.
    pub fn build(self) -> Result<RelaySettings, SettingsError> {
        self.build_in(&Process)
    }

    pub(super) fn build_in(
        self,
        surroundings: &(impl Surroundings + Clone + Send + Sync + 'static),
    ) -> Result<RelaySettings, SettingsError> {
        let config = Resolved::of(self.config, surroundings)?;
        Keys::of(router_of(&config)).check(&config, &self.accepted_keys)?;
        let pipeline = Pipeline::accepting(&self.accepted_losses, config.for_pipeline(), self.layout)
            .map_err(|error| config.pipeline_error(error))?;
        includes_schema(&config, pipeline.layout().schema().as_str())?;
        if self.brokers.iter().all(|broker| broker.trim().is_empty()) {
            return Err(SettingsError::refused("brokers", "the relay needs the address of one broker at least"));
        }
        Ok(RelaySettings {
            brokers: self.brokers,
            postgres: PostgresSettings::new(&config, self.postgres_password.as_ref(), surroundings)?,
            kafka_security: config.kafka_security(surroundings)?,
            topic_creation: TopicCreation::of(&config)?,
            compression: CompressionType::of(&config)?,
            max_request_size: max_request_size(&config)?,
            poison: self.poison,
            scan_limit: self.scan_limit,
            topic_interval: match self.topic_interval {
                Some(interval) => interval,
                None => metadata_max_age(&config)?,
            },
            stalled_after: self.stalled_after,
            postgres_timeouts: self.postgres_timeouts,
            accepted_losses: self.accepted_losses,
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

/// Shows the connector's keys without their values, of which any may hold a secret in the wrong place.
impl fmt::Debug for RelaySettingsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.config.iter().map(|(key, _)| key).collect();
        f.debug_struct("RelaySettingsBuilder")
            .field("brokers", &self.brokers)
            .field("keys", &keys)
            .finish_non_exhaustive()
    }
}
