use std::fmt;
use std::path::Path;
use std::time::Duration;

use outbox_core::{ConnectorConfig, Loss, Pipeline, TableLayout};

use super::check::ConfigurationCheck;
use super::connect_rest::ConnectorUrl;
use super::connector_file::read_connector_file;
use super::context_headers::ContextHeaders;
use super::finding::{Finding, Findings};
use super::heartbeat::Heartbeats;
use super::keys::{self, UnknownKeys};
use super::placeholders::{Process, Providers, Surroundings, WithProviders};
use super::postgres::PostgresSettings;
use super::produce::{PoisonPolicy, compression, max_request_size, metadata_max_age};
use super::resolved::Resolved;
use super::table::{Assumed, LIST, named, not_routed};
use super::topics::TopicCreation;
use super::updates::OnUpdate;
use super::{RelaySettings, SettingsError, columns, names, rejected_by_debezium, worker};
use crate::position::RowPosition;
use crate::tables::{ACCEPTED_LOSSES, Candidates, Included};
use outbox_net::{Properties, SecretSource};
use outbox_wal::Timeouts;

/// The settings of the relay next to the connector's configuration; see [`RelaySettings::builder`].
#[derive(Clone)]
#[must_use]
pub struct RelaySettingsBuilder {
    config: ConnectorConfig,
    providers: Providers,
    brokers: Vec<String>,
    unknown_keys: UnknownKeys,
    poison: PoisonPolicy,
    skip: Vec<RowPosition>,
    skip_unpublished: Vec<RowPosition>,
    scan_limit: u64,
    topic_interval: Option<Duration>,
    stalled_after: Duration,
    creates_missing: bool,
    catch_up_step: u64,
    postgres_password: Option<SecretSource>,
    postgres_timeouts: Timeouts,
}

impl RelaySettings {
    /// Creates a builder from a connector's configuration and the brokers.
    pub fn builder(
        config: ConnectorConfig,
        brokers: impl IntoIterator<Item = impl Into<String>>,
    ) -> RelaySettingsBuilder {
        RelaySettingsBuilder::new(config, brokers.into_iter().map(Into::into).collect())
    }

    /// Creates a builder from the connector's JSON: a file of deploy/, or the answer of Connect to `GET
    /// /connectors/NAME/config`.
    ///
    /// # Errors
    /// It is not the JSON object that Connect takes, in either form ([`ConnectorConfig::from_json`]).
    pub fn from_connector_json(
        json: &str,
        brokers: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<RelaySettingsBuilder, SettingsError> {
        let config = ConnectorConfig::from_json(json).map_err(SettingsError::form)?;
        Ok(Self::builder(config, brokers))
    }

    /// Creates a builder from a connector's file, in the forms of [`read_connector_file`].
    ///
    /// # Errors
    /// The file cannot be read, or has no configuration in the form that its name's ending says.
    pub fn from_connector_file(
        path: impl AsRef<Path>,
        brokers: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<RelaySettingsBuilder, SettingsError> {
        Ok(Self::builder(read_connector_file(path)?, brokers))
    }

    /// Creates a builder from a connector that Kafka Connect has, at `http://HOST:8083/connectors/NAME`. Its worker
    /// returns placeholders as they were written: they are resolved here.
    ///
    /// # Errors
    /// The worker does not answer, or has no such connector.
    pub async fn from_connect(
        url: &str,
        brokers: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<RelaySettingsBuilder, SettingsError> {
        let json = ConnectorUrl::parse(url)?.configuration().await?;
        Self::from_connector_json(&json, brokers)
    }
}

impl RelaySettingsBuilder {
    pub(super) fn new(config: ConnectorConfig, brokers: Vec<String>) -> Self {
        Self {
            config,
            providers: Providers::default(),
            brokers,
            unknown_keys: UnknownKeys::default(),
            poison: PoisonPolicy::default(),
            skip: Vec::new(),
            skip_unpublished: Vec::new(),
            scan_limit: 100_000,
            topic_interval: None,
            stalled_after: Duration::from_secs(30),
            creates_missing: false,
            catch_up_step: 1 << 30,
            postgres_password: None,
            postgres_timeouts: Timeouts::default(),
        }
    }

    /// Adds the settings of the Connect worker, as Connect does: the converters, if the connector names none, and
    /// `producer.compression.type`, `producer.max.request.size` and `producer.metadata.max.age.ms`. The worker's
    /// `config.providers` name the providers of placeholders.
    pub fn worker_config(self, properties: &Properties) -> Self {
        let providers = Providers::of_worker(properties);
        Self { config: worker::completed(self.config, properties), providers, ..self }
    }

    /// Rejects keys that neither Kafka Connect nor Debezium knows. By default they are a warning.
    pub fn strict(self) -> Self {
        Self { unknown_keys: UnknownKeys::Rejected, ..self }
    }

    /// Sets the policy for a row that can never become a record.
    pub fn poison(self, poison: PoisonPolicy) -> Self {
        Self { poison, ..self }
    }

    /// Leaves out these rows, which are confirmed without being written. The relay logs each of them, and each position
    /// that no row has.
    pub fn skip(self, rows: impl IntoIterator<Item = RowPosition>) -> Self {
        Self { skip: rows.into_iter().collect(), ..self }
    }

    /// Accepts that the publication left out rows up to these positions, which `/ready` names. By default such rows
    /// make the relay not ready, and it confirms nothing.
    pub fn skip_unpublished(self, upto: impl IntoIterator<Item = RowPosition>) -> Self {
        Self { skip_unpublished: upto.into_iter().collect(), ..self }
    }

    /// Sets how many records of other writers are read at the end of a partition while records of unconfirmed rows are
    /// looked for; 100,000 by default. Rows whose records lie before these are written again.
    pub fn scan_limit(self, records: u64) -> Self {
        Self { scan_limit: records, ..self }
    }

    /// Sets how often topics are checked: one may have been created again, or have other partitions. The default is
    /// `producer.override.metadata.max.age.ms`, or else 30 seconds.
    pub fn look_at_topics_every(self, interval: Duration) -> Self {
        Self { topic_interval: Some(interval), ..self }
    }

    /// Sets how long rows may wait without one being acknowledged before the relay is not ready; 30 seconds by default.
    pub fn stalled_after(self, time: Duration) -> Self {
        Self { stalled_after: time, ..self }
    }

    /// Creates the publication and the replication slot at the start if they are missing. By default the relay ends
    /// with an error that has the commands.
    pub fn create_missing(self) -> Self {
        Self { creates_missing: true, ..self }
    }

    /// Sets how much WAL a catch-up reads, in bytes, before it takes the slot again; 1 GiB by default. Only then
    /// PostgreSQL removes WAL that is confirmed. Should be below `max_slot_wal_keep_size`.
    pub fn catch_up_step(self, bytes: u64) -> Self {
        Self { catch_up_step: bytes, ..self }
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

    /// Resolves placeholders from the environment and from files, and checks everything that needs no server. The
    /// columns of the tables are assumed to suit; the relay reads and checks them when it takes the slot.
    ///
    /// # Errors
    /// A placeholder has no value, or the relay cannot do what a key says, or keys contradict each other. The error has
    /// all of these ([`SettingsError::findings`]).
    pub fn build(self) -> Result<RelaySettings, SettingsError> {
        self.build_in(&Process)
    }

    pub(super) fn build_in(
        self,
        surroundings: &(impl Surroundings + Clone + Send + Sync + 'static),
    ) -> Result<RelaySettings, SettingsError> {
        let surroundings = &WithProviders { surroundings: surroundings.clone(), providers: self.providers.clone() };
        let mut findings = Findings::of(self.config.clone());
        if self.brokers.iter().all(|broker| broker.trim().is_empty()) {
            findings.reject(Finding::new("brokers", "the relay needs the address of one broker at least"));
        }
        let config = Resolved::of(self.config.clone(), surroundings, &mut findings);
        match self.settled(&config, surroundings, &mut findings) {
            Some(settings) => findings.into_result().map(|warnings| RelaySettings { warnings, ..settings }),
            None => Err(findings.into_error()),
        }
    }

    /// Checks the configuration without any server, also without brokers. The columns of the tables are assumed to
    /// suit. A placeholder without a value here is a warning.
    #[must_use]
    pub fn check(self) -> ConfigurationCheck {
        self.check_in(&Process)
    }

    pub(super) fn check_in(
        self,
        surroundings: &(impl Surroundings + Clone + Send + Sync + 'static),
    ) -> ConfigurationCheck {
        let surroundings = &WithProviders { surroundings: surroundings.clone(), providers: self.providers.clone() };
        let mut findings = Findings::of_elsewhere(self.config.clone());
        let config = Resolved::of(self.config.clone(), surroundings, &mut findings);
        let settings = self.settled(&config, surroundings, &mut findings);
        ConfigurationCheck::new(&config, settings.as_ref(), findings)
    }

    /// Builds the settings from the resolved configuration, and collects findings. Returns `None` if a finding rejects
    /// a part that the settings need.
    fn settled(
        self,
        config: &Resolved,
        surroundings: &(impl Surroundings + Clone + Send + Sync + 'static),
        findings: &mut Findings,
    ) -> Option<RelaySettings> {
        keys::check(config, self.unknown_keys, findings);
        let named = named(config);
        for router in config.routers().into_iter().filter(|_| named.is_empty()) {
            columns::check(config, router, None, findings);
            names::check(config, router, None, findings);
        }

        for table in &named {
            columns::check(config, config.router_of(table), Some(table), findings);
            names::check(config, config.router_of(table), Some(table), findings);
        }

        rejected_by_debezium::check(config, findings);
        not_routed(config, &named, findings);

        if config.decodes_all_messages() {
            let reason =
                "it is absent: each logical decoding message is taken for an event, and one that is none is poison";
            findings
                .warn(Finding::new("message.prefix.include.list", reason).with_remedy("list the prefix of the outbox"));
        }

        if config.candidates() == Candidates::Publication && config.get("table.exclude.list") != Some(".*") {
            findings.warn(without_list(config));
        }

        let assumed = Assumed::all(config, &named);
        let pipelines: Vec<_> = assumed.into_iter().map(|assumed| pipeline(assumed, findings)).collect();
        let pipeline = pipelines.into_iter().collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().next());
        let included = included(config, findings);
        let postgres = PostgresSettings::new(config, self.postgres_password.as_ref(), surroundings, findings);
        let kafka_security = match findings.is_unresolved("producer.override.") {
            true => Some(None),
            false => findings.take(config.kafka_security(surroundings)),
        };

        let topic_creation = TopicCreation::of(config, findings);
        let compression = findings.take(compression(config));
        let max_request_size = findings.take(max_request_size(config));
        let topic_interval = findings.take(self.topic_interval.map_or_else(|| metadata_max_age(config), Ok));
        let context_headers = findings.take(ContextHeaders::of(config));
        let on_update = findings.take(OnUpdate::of(config));
        let heartbeats = Heartbeats::of(config, findings);

        Some(RelaySettings {
            brokers: self.brokers,
            postgres: postgres?,
            kafka_security: kafka_security?,
            topic_creation: topic_creation?,
            compression: compression?,
            max_request_size: max_request_size?,
            poison: self.poison,
            skip: self.skip,
            skip_unpublished: self.skip_unpublished,
            scan_limit: self.scan_limit,
            topic_interval: topic_interval?,
            stalled_after: self.stalled_after,
            creates_missing: self.creates_missing,
            has_failover_slot: config.get("slot.failover").is_some_and(|value| value.eq_ignore_ascii_case("true")),
            catch_up_step: self.catch_up_step,
            postgres_timeouts: self.postgres_timeouts,
            context_headers: context_headers?,
            on_update: on_update?,
            heartbeats,
            included: included?,
            candidates: config.candidates(),
            named_table: <[_; 1]>::try_from(named).ok().map(|[table]| table),
            config: config.clone(),
            warnings: Vec::new(),
            pipeline: pipeline?,
        })
    }
}

/// Returns the pipeline, with a warning for each loss that it would have in Debezium, too.
fn pipeline(assumed: Assumed, findings: &mut Findings) -> Option<Pipeline> {
    let Assumed { config, layout } = assumed;
    let layout = layout.unwrap_or_else(TableLayout::recommended);
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

fn included(config: &Resolved, findings: &mut Findings) -> Option<Included> {
    let included = Included::new(config.for_pipeline());
    included.map_err(|error| config.contradictions(&error).for_each(|finding| findings.reject(finding))).ok()
}

fn without_list(config: &Resolved) -> Finding {
    let reason =
        "it is absent: each table of the publication that no other list leaves out is taken for an outbox table";
    let finding = Finding::new(LIST, reason);
    match config.get("table.whitelist") {
        Some(_) => finding.with_remedy("rename table.whitelist, which is its old name"),
        None => finding,
    }
}

/// Shows the connector's keys without their values, because any value may contain a misplaced secret.
impl fmt::Debug for RelaySettingsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.config.iter().map(|(key, _)| key).collect();
        f.debug_struct("RelaySettingsBuilder")
            .field("brokers", &self.brokers)
            .field("keys", &keys)
            .finish_non_exhaustive()
    }
}
