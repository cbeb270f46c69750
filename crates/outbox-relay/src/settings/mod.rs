//! The settings of the relay: a connector's configuration, as Kafka Connect takes it, and the relay's own options.

mod builder;
mod check;
mod columns;
mod connect_rest;
mod connector_file;
mod context_headers;
mod error;
mod finding;
mod heartbeat;
mod keys;
mod names;
mod placeholders;
mod postgres;
mod produce;
mod rejected_by_debezium;
mod resolved;
mod table;
#[cfg(test)]
mod tests;
mod topics;
mod updates;
mod worker;

use std::fmt;
use std::time::Duration;

use outbox_core::connector::keys::KeyTable;
use outbox_core::{Identifier, Pipeline};

use self::finding::Findings;
use self::resolved::Resolved;
use crate::position::RowPosition;
use crate::tables::{Candidates, Included};
use outbox_kafka::{Compression, Security};
use outbox_wal::{TableName, Timeouts};

pub use self::builder::RelaySettingsBuilder;
pub use self::check::ConfigurationCheck;
pub use self::connector_file::read_connector_file;
pub(crate) use self::context_headers::ContextHeaders;
pub use self::error::SettingsError;
pub use self::finding::Finding;
pub(crate) use self::heartbeat::Heartbeats;
pub use self::postgres::{ClientCertificate, PostgresSettings};
pub use self::produce::PoisonPolicy;
pub use self::topics::TopicCreation;
pub(crate) use self::updates::OnUpdate;
pub use outbox_core::connector::keys::KeySupport;

/// The settings of a relay, free of contradictions and with every placeholder resolved. `Debug` shows no secret.
///
/// ```
/// use outbox_core::{ConnectorConfig, TableLayout};
/// use outbox_relay::RelaySettings;
///
/// let config = ConnectorConfig::recommended(&TableLayout::recommended())
///     .with("database.hostname", "db")
///     .with("database.port", "5432")
///     .with("database.user", "outbox_connector")
///     .with("database.password", "secret")
///     .with("database.dbname", "shop");
/// let settings = RelaySettings::builder(config, ["kafka:9092"]).build()?;
/// assert_eq!(settings.slot().as_str(), "outbox");
/// assert!(!format!("{settings:?}").contains("secret"));
/// # Ok::<(), outbox_relay::SettingsError>(())
/// ```
#[derive(Clone)]
pub struct RelaySettings {
    brokers: Vec<String>,
    postgres: PostgresSettings,
    kafka_security: Option<Security>,
    topic_creation: Option<TopicCreation>,
    compression: Compression,
    max_request_size: usize,
    poison: PoisonPolicy,
    skip: Vec<RowPosition>,
    skip_unpublished: Vec<RowPosition>,
    scan_limit: u64,
    topic_interval: Duration,
    stalled_after: Duration,
    creates_missing: bool,
    has_failover_slot: bool,
    catch_up_step: u64,
    postgres_timeouts: Timeouts,
    context_headers: Option<ContextHeaders>,
    on_update: OnUpdate,
    heartbeats: Option<Heartbeats>,
    included: Included,
    candidates: Candidates,
    named_table: Option<TableName>,
    config: Resolved,
    warnings: Vec<Finding>,
    pipeline: Pipeline,
}

impl RelaySettings {
    /// Returns what a key of a connector's configuration means to the relay, where its EventRouter is called `router`;
    /// `None` if the key is unknown. Of a key that is honoured, some values may still be refused.
    #[must_use]
    pub fn effect_of_key(key: &str, router: &str) -> Option<KeySupport> {
        KeyTable::for_router(router).support(key)
    }

    /// Returns configuration and table as one, over a table with assumed columns: the tables are read when the slot is
    /// taken.
    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Returns the replication slot.
    #[must_use]
    pub fn slot(&self) -> &Identifier {
        self.pipeline.slot()
    }

    /// Returns the publication.
    #[must_use]
    pub fn publication(&self) -> &Identifier {
        self.pipeline.publication()
    }

    /// Returns how to reach the database.
    #[must_use]
    pub fn postgres(&self) -> &PostgresSettings {
        &self.postgres
    }

    /// Returns the security of the connections to Kafka by the connector's `producer.override.*`, if it has such keys.
    #[must_use]
    pub fn kafka_security(&self) -> Option<&Security> {
        self.kafka_security.as_ref()
    }

    /// Returns brokers of the cluster, as `host:port`.
    #[must_use]
    pub fn brokers(&self) -> &[String] {
        &self.brokers
    }

    /// Returns the settings with which missing topics are created; `None` if the broker's defaults count.
    #[must_use]
    pub fn topic_creation(&self) -> Option<&TopicCreation> {
        self.topic_creation.as_ref()
    }

    /// Returns how batches are compressed.
    #[must_use]
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Returns the largest request of the connector's producer, in bytes.
    #[must_use]
    pub fn max_request_size(&self) -> usize {
        self.max_request_size
    }

    /// Returns the policy for a row that can never become a record.
    #[must_use]
    pub fn poison(&self) -> &PoisonPolicy {
        &self.poison
    }

    /// Returns the rows that are left out.
    #[must_use]
    pub fn skip(&self) -> &[RowPosition] {
        &self.skip
    }

    /// Returns the positions up to which rows that the publication left out are no reason to be not ready.
    #[must_use]
    pub fn skip_unpublished(&self) -> &[RowPosition] {
        &self.skip_unpublished
    }

    /// Returns how many records of other writers are read at the end of a partition while records of unconfirmed rows
    /// are looked for.
    #[must_use]
    pub fn scan_limit(&self) -> u64 {
        self.scan_limit
    }

    /// Sets how often topics are checked: one may have been created again, or have other partitions.
    #[must_use]
    pub fn topic_interval(&self) -> Duration {
        self.topic_interval
    }

    /// Returns how long rows may wait without one being acknowledged before the relay is not ready.
    #[must_use]
    pub fn stalled_after(&self) -> Duration {
        self.stalled_after
    }

    /// Returns whether the relay creates a missing publication and a missing slot when it starts.
    #[must_use]
    pub fn creates_missing(&self) -> bool {
        self.creates_missing
    }

    /// Returns whether standbys synchronize a slot that the relay creates (`slot.failover`).
    pub(crate) fn has_failover_slot(&self) -> bool {
        self.has_failover_slot
    }

    /// Returns how much WAL a catch-up reads, in bytes, before it takes the slot again.
    #[must_use]
    pub fn catch_up_step(&self) -> u64 {
        self.catch_up_step
    }

    /// Returns the longest waits for PostgreSQL.
    #[must_use]
    pub fn postgres_timeouts(&self) -> Timeouts {
        self.postgres_timeouts
    }

    /// Returns the warnings about settings that have another effect than in Debezium.
    #[must_use]
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }

    pub(crate) fn context_headers(&self) -> Option<&ContextHeaders> {
        self.context_headers.as_ref()
    }

    /// Returns which tables the configuration includes.
    pub(crate) fn included(&self) -> &Included {
        &self.included
    }

    /// Returns which tables the configuration's lists choose from.
    pub(crate) fn candidates(&self) -> Candidates {
        self.candidates
    }

    pub(crate) fn on_update(&self) -> OnUpdate {
        self.on_update
    }

    pub(crate) fn heartbeats(&self) -> Option<&Heartbeats> {
        self.heartbeats.as_ref()
    }

    /// Returns the only table that the configuration names, if it names one and has no expression.
    pub(crate) fn named_table(&self) -> Option<&TableName> {
        self.named_table.as_ref()
    }

    /// Checks that no list of columns or names changes the records of a table.
    pub(crate) fn check_lists(&self, table: &TableName) -> Result<(), SettingsError> {
        let mut findings = Findings::of(self.config.written().clone());
        let router = self.config.router_of(table);
        columns::check(&self.config, router, Some(table), &mut findings);
        names::check(&self.config, router, Some(table), &mut findings);
        findings.into_result().map(|_| ())
    }
}

/// Shows the connector's names without its other values, because any value may contain a misplaced secret.
impl fmt::Debug for RelaySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelaySettings")
            .field("brokers", &self.brokers)
            .field("postgres", &self.postgres)
            .field("kafka_security", &self.kafka_security)
            .field("slot", self.pipeline.slot())
            .field("publication", self.pipeline.publication())
            .field("topic_creation", &self.topic_creation)
            .field("compression", &self.compression)
            .field("max_request_size", &self.max_request_size)
            .field("poison", &self.poison)
            .field("skip", &self.skip)
            .field("skip_unpublished", &self.skip_unpublished)
            .field("scan_limit", &self.scan_limit)
            .field("topic_interval", &self.topic_interval)
            .field("stalled_after", &self.stalled_after)
            .field("catch_up_step", &self.catch_up_step)
            .field("postgres_timeouts", &self.postgres_timeouts)
            .finish_non_exhaustive()
    }
}
