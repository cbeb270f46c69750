use std::fmt;
use std::time::Duration;

use outbox_core::{ConnectorConfig, Identifier, Loss, Pipeline, TableLayout};
use outbox_net::{Properties, SecretSource};
use outbox_wal::Timeouts;

use super::check::ConfigurationCheck;
use super::context_headers::ContextHeaders;
use super::finding::{Finding, Findings};
use super::keys::{Keys, UnknownKeys};
use super::placeholders::{Process, Surroundings};
use super::postgres::PostgresSettings;
use super::produce::{CompressionType, PoisonPolicy, max_request_size, metadata_max_age};
use super::resolved::Resolved;
use super::table::{Assumed, LIST};
use super::topics::TopicCreation;
use super::{RelaySettings, SettingsError, predicates, router_of, worker};
use crate::rows::ACCEPTED_LOSSES;

/// What the relay is told beside the connector's configuration; see [`RelaySettings::builder`].
#[derive(Clone)]
#[must_use]
pub struct RelaySettingsBuilder {
    config: ConnectorConfig,
    brokers: Vec<String>,
    /// The outbox table, if the database was asked for it.
    table: Option<(Identifier, Identifier)>,
    unknown_keys: UnknownKeys,
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
            table: None,
            unknown_keys: UnknownKeys::default(),
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

    pub(super) fn table(self, table: (Identifier, Identifier)) -> Self {
        Self { table: Some(table), ..self }
    }

    /// Completes the configuration by that of the Connect worker, as Connect does: the converters, where the connector names
    /// none, and `producer.compression.type`, `producer.max.request.size` and `producer.metadata.max.age.ms`.
    pub fn worker_config(self, properties: &Properties) -> Self {
        Self { config: worker::completed(self.config, properties), ..self }
    }

    /// Rejects keys that neither Kafka Connect nor Debezium knows. By default they are a warning.
    pub fn strict(self) -> Self {
        Self { unknown_keys: UnknownKeys::Rejected, ..self }
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
    /// A placeholder stands for nothing, or the relay cannot do what a key says, or configuration and table contradict each
    /// other. The error has all of these ([`SettingsError::findings`]).
    pub fn build(self) -> Result<RelaySettings, SettingsError> {
        self.build_in(&Process)
    }

    pub(super) fn build_in(
        self,
        surroundings: &(impl Surroundings + Clone + Send + Sync + 'static),
    ) -> Result<RelaySettings, SettingsError> {
        let mut findings = Findings::of(self.config.clone());
        if self.brokers.iter().all(|broker| broker.trim().is_empty()) {
            findings.reject(Finding::new("brokers", "the relay needs the address of one broker at least"));
        }
        let config = Resolved::of(self.config.clone(), surroundings, &mut findings);
        let assumed = Assumed::of(&config, self.table.as_ref());
        if assumed.has_no_name {
            let reason = "it is an expression, and only the database knows which table it matches";
            findings.reject(Finding::new(LIST, reason).with_remedy("call table_from_database before build"));
        }
        match self.settled(&assumed, surroundings, &mut findings) {
            Some(settings) => findings.into_result().map(|warnings| RelaySettings { warnings, ..settings }),
            None => Err(findings.into_error()),
        }
    }

    /// Checks the configuration without any server, also without brokers. The table's columns are assumed to suit. A placeholder
    /// that stands for nothing here is a warning.
    #[must_use]
    pub fn check(self) -> ConfigurationCheck {
        self.check_in(&Process)
    }

    pub(super) fn check_in(
        self,
        surroundings: &(impl Surroundings + Clone + Send + Sync + 'static),
    ) -> ConfigurationCheck {
        let findings = Findings::of_elsewhere(self.config.clone());
        self.checked(surroundings, findings)
    }

    pub(super) fn checked(
        self,
        surroundings: &(impl Surroundings + Clone + Send + Sync + 'static),
        mut findings: Findings,
    ) -> ConfigurationCheck {
        let config = Resolved::of(self.config.clone(), surroundings, &mut findings);
        let assumed = Assumed::of(&config, self.table.as_ref());
        let settings = self.settled(&assumed, surroundings, &mut findings);
        ConfigurationCheck::new(&config, settings.as_ref(), findings)
    }

    fn settled(
        self,
        Assumed { config, layout, .. }: &Assumed,
        surroundings: &(impl Surroundings + Clone + Send + Sync + 'static),
        findings: &mut Findings,
    ) -> Option<RelaySettings> {
        let recommended = TableLayout::recommended();
        let layout = layout.as_ref().unwrap_or(&recommended);
        let router = router_of(config);
        Keys::in_config(config).check(config, self.unknown_keys, findings);
        findings.take(predicates::check(config, router, layout));
        findings.take(includes_schema(config, layout.schema().as_str()));
        let pipeline = pipeline(config, layout, findings);
        let postgres = PostgresSettings::new(config, self.postgres_password.as_ref(), surroundings, findings);
        let kafka_security = match findings.is_unresolved("producer.override.") {
            true => Some(None),
            false => findings.take(config.kafka_security(surroundings)),
        };
        let topic_creation = TopicCreation::of(config, findings);
        let compression = findings.take(CompressionType::of(config));
        let max_request_size = findings.take(max_request_size(config));
        let topic_interval = findings.take(self.topic_interval.map_or_else(|| metadata_max_age(config), Ok));
        let context_headers = findings.take(ContextHeaders::of(config));
        Some(RelaySettings {
            brokers: self.brokers,
            postgres: postgres?,
            kafka_security: kafka_security?,
            topic_creation: topic_creation?,
            compression: compression?,
            max_request_size: max_request_size?,
            poison: self.poison,
            scan_limit: self.scan_limit,
            topic_interval: topic_interval?,
            stalled_after: self.stalled_after,
            postgres_timeouts: self.postgres_timeouts,
            context_headers: context_headers?,
            warnings: Vec::new(),
            pipeline: pipeline?,
        })
    }
}

/// Returns the pipeline, with a warning for each loss that it would have in Debezium, too.
fn pipeline(config: &Resolved, layout: &TableLayout, findings: &mut Findings) -> Option<Pipeline> {
    let accepting = |losses: &[Loss]| Pipeline::accepting(losses, config.for_pipeline(), layout.clone());
    match accepting(&ACCEPTED_LOSSES) {
        Ok(pipeline) => {
            // The rule of the key itself warns of expansion.
            if let Err(error) = accepting(&[Loss::JsonExpansion]) {
                config.contradictions(&error).for_each(|finding| findings.warn(finding));
            }
            Some(pipeline)
        }
        Err(error) => {
            config.contradictions(&error).for_each(|finding| findings.reject(finding));
            None
        }
    }
}

/// `table.include.list` decides; here the schema has to be named as it is, without an expression.
fn includes_schema(config: &Resolved, schema: &str) -> Result<(), Finding> {
    let key = "schema.include.list";
    match config.get(key) {
        Some(list) if !list.split(',').any(|name| name.trim().eq_ignore_ascii_case(schema)) => {
            let reason = format!("it does not name the outbox table's schema {schema}");
            Err(Finding::new(key, reason).with_remedy("remove the key: table.include.list is enough"))
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
