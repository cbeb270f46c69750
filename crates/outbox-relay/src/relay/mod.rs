mod backlog;
mod confirmation;
mod connect;
mod dead_letter;
mod encoded;
mod feed;
mod gaps;
mod hold;
mod job;
mod publication;
mod report;
mod rounds;
mod scope;
mod told;
mod topics;
mod updates;

use std::collections::HashSet;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tracing::Instrument as _;

use self::backlog::Backlog;
use self::confirmation::Confirmation;
use self::dead_letter::DeadLetters;
use self::feed::Feed;
use self::gaps::Gaps;
use self::hold::{Ended, Hold};
use self::job::Done;
use self::rounds::Rounds;
use self::scope::Scope;
use self::topics::Topics;
use self::updates::IgnoredUpdates;
use crate::Lsn;
use crate::error::Error;
use crate::position::Origin;
use crate::progress::{BatchLimit, Counters, Progress, Window};
use crate::rows::{OutboxTable, OutboxTables, RowReader};
use crate::settings::{CompressionType, RelaySettings};
use crate::status::{Marks, Mode, RelayStatus};
use outbox_core::Pipeline;
use outbox_kafka::{BatchBuilder, Cluster, Compression, CompressionChoice, Security, Settings};
use outbox_net::ErrorChain;
use outbox_wal::{CatalogueTable, ConnectOptions, Opened, PublicationCatalog, Published, Source, StartAt, TableName};

/// Reads one slot and writes its events to Kafka.
///
/// # Delivery
/// - An event is in Kafka once its transaction has committed, in the order of commits for each partition. PostgreSQL is
///   told to forget it only after the broker has acknowledged it with all in-sync replicas.
/// - Each event is written once, also after a crash or a take-over: before the first batch to a partition its end is
///   read, and a row whose own record is there is not sent again.
/// - A second relay of the same slot waits until the first is gone.
pub struct Relay {
    settings: RelaySettings,
    options: ConnectOptions,
    security: Security,
    status: RelayStatus,
}

/// For how long one call to Kafka is tried again before its error is reported.
const RETRY: Duration = Duration::from_secs(1);
/// How often a slot that another process holds is tried.
const STANDBY: Duration = Duration::from_millis(250);
/// The pause before a new hold of the slot.
const RESTART: Duration = Duration::from_millis(20);
/// A batch of this size is below what brokers take by default (1 MiB), with room for what the estimate leaves out.
const BATCH: BatchLimit = BatchLimit { rows: 10_000, bytes: 900_000 };

/// What the catalogs say of the outbox tables.
struct Looked {
    published: Published,
    /// Those that the router sees.
    tables: Vec<(TableName, CatalogueTable)>,
    /// The pipeline over one of these.
    pipeline: Pipeline,
}

/// How a hold of the slot begins.
#[derive(Clone, Copy, Debug)]
struct Begin {
    at: StartAt,
    /// Transactions before this position are streamed.
    streamed_before: Lsn,
}

/// The tables of a hold, as the catalogs have them.
struct Watched<'a> {
    source: Source,
    scope: Scope,
    catalog: PublicationCatalog,
    looked: &'a Looked,
    problem: Option<String>,
    gone: &'a HashSet<u32>,
}

impl Relay {
    /// A relay of these settings. Nothing is connected yet.
    ///
    /// # Errors
    /// An address of a broker is not `HOST:PORT`.
    pub fn new(settings: RelaySettings) -> Result<Self, Error> {
        let options = connect::options(settings.postgres()).timeouts(settings.postgres_timeouts());
        let status = RelayStatus::new(settings.stalled_after());
        if let Some(wrong) = settings.brokers().iter().find(|address| outbox_net::host_and_port(address).is_none()) {
            return Err(Error::settings(format!("the broker's address {wrong:?} is not HOST:PORT")));
        }
        let security = settings.kafka_security().cloned().unwrap_or_default();
        Ok(Self { settings, options, security, status })
    }

    /// Sets the security of the connections to the brokers, in place of that of the connector's `producer.override.*`.
    #[must_use]
    pub fn kafka_security(self, security: Security) -> Self {
        Self { security, ..self }
    }

    /// What it tells of itself while it runs.
    #[must_use]
    pub fn status(&self) -> RelayStatus {
        self.status.clone()
    }

    /// Relays until `stop` is done; then it reads to the end of a transaction that has begun, waits up to ten seconds for
    /// what was sent, confirms it and gives back the slot.
    ///
    /// It waits for a database or a broker that is unreachable, and for a slot that another process holds. After a broker
    /// has answered once, errors of Kafka are tried again, and [`RelayStatus::readiness`] shows them.
    ///
    /// # Errors
    /// - A slot or publication is missing or lost, or PostgreSQL denies a right.
    /// - Before any broker has answered: the brokers reject the settings (an address, TLS, the login).
    /// - No broker has a version of a request that the relay needs.
    /// - The outbox table was updated, and the configuration says that this is fatal.
    /// - A row can never be written ([`Error::is_poison`]), and there is no topic for dead letters.
    ///
    /// # Cancellation
    /// Dropping the future is as a crash: nothing is lost, and what was not confirmed is looked for at the next start.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let ended = Box::pin(self.relay(stop)).await;
        self.status.entered(Mode::Stopped, ended.as_ref().err().map(|error| ErrorChain::new(error).to_string()));
        ended
    }

    async fn relay(&self, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let mut stop = pin!(stop);
        let mut settings = Settings::new(self.settings.brokers());
        settings.security = self.security.clone();
        // The relay tries again by itself, and shows the reason meanwhile.
        settings.retry_timeout = RETRY;
        let cluster = Arc::new(Cluster::new(settings));
        let gaps = Arc::new(Gaps::new(compression(self.settings.compression())));
        let (mut is_standby, mut backoff) = (false, job::backoff());
        let (mut at, mut streamed_before, mut has_switched) = (StartAt::Now, Lsn::default(), false);
        let (mut looked, mut gone) = (None, HashSet::new());
        loop {
            let begin = Begin { at, streamed_before };
            let taken = tokio::select! {
                () = &mut stop => return Ok(()),
                taken = self.status.beating(self.take(&cluster, &gaps, begin, &mut looked, &gone)) => taken?,
            };
            (at, streamed_before) = (StartAt::Now, Lsn::default());
            let pause = match taken {
                Ok(hold) => {
                    is_standby = false;
                    backoff.reset();
                    let end = hold.window.end;
                    let had_switched = std::mem::take(&mut has_switched);
                    let span =
                        tracing::info_span!(target: "outbox.relay", "hold", slot = self.settings.slot().as_str());
                    let ended = hold.run(&mut stop).instrument(span).await?;
                    self.status.clear_failures();
                    self.status.entered(Mode::Connecting, None);
                    self.status.started_again();
                    match ended {
                        Ended::Drained => return Ok(()),
                        Ended::Anew(broken) => {
                            let error = broken.into_error();
                            self.status.entered(Mode::Connecting, Some(ErrorChain::new(&error).to_string()));
                            tracing::warn!(target: "outbox.relay", error = %ErrorChain::new(&error), "starting again");
                            RESTART
                        }
                        Ended::Changed(topic) => {
                            tracing::warn!(target: "outbox.relay", topic = &*topic, "the topic has changed: starting again");
                            RESTART
                        }
                        Ended::Republished => RESTART,
                        Ended::NewTable(oid) => {
                            tracing::info!(target: "outbox.relay", oid, "a new table is included: reading the catalogs");
                            // If they do not have it any more, its rows are read as the WAL describes them.
                            gone.insert(oid);
                            RESTART
                        }
                        Ended::ToStream => {
                            tracing::info!(target: "outbox.relay", "a large transaction lies ahead: streaming it");
                            at = StartAt::Confirmed;
                            if had_switched {
                                // To change over again would cost more than it brings.
                                streamed_before = end;
                            }
                            Duration::ZERO
                        }
                        Ended::ToCopy => {
                            tracing::info!(target: "outbox.relay", "many small transactions lie ahead: reading a copy of the slot");
                            has_switched = true;
                            Duration::ZERO
                        }
                        Ended::Lost => {
                            tracing::warn!(target: "outbox.relay", "the slot was lost: starting again");
                            RESTART
                        }
                    }
                }
                Err(e) if e.is_slot_active() => {
                    let (slot, pid) = (self.settings.slot().as_str(), e.slot_holder());
                    if !std::mem::replace(&mut is_standby, true) {
                        tracing::info!(target: "outbox.relay", slot, pid, "another process holds the slot: standing by");
                    }
                    let holder = pid.map_or_else(|| "another process".to_owned(), |pid| format!("PID {pid}"));
                    self.status.entered(Mode::Standby, Some(format!("{holder} holds the slot {slot}")));
                    STANDBY
                }
                Err(e) if e.needs_stream() => {
                    tracing::warn!(target: "outbox.relay", error = %ErrorChain::new(&e), "the backlog is streamed");
                    (at, streamed_before) = (StartAt::Confirmed, Lsn::new(u64::MAX));
                    Duration::ZERO
                }
                Err(e) if e.is_transient() => {
                    is_standby = false;
                    let pause = backoff.delay();
                    tracing::warn!(target: "outbox.relay", error = %ErrorChain::new(&e), retry_in = ?pause, "PostgreSQL cannot be read");
                    self.status
                        .entered(Mode::Connecting, Some(format!("PostgreSQL cannot be read: {}", ErrorChain::new(&e))));
                    pause
                }
                Err(e) => return Err(Error::wal(e)),
            };
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Checks how the tables are published, and takes the slot. `looked` is what the last check has found.
    async fn take(
        &self,
        cluster: &Arc<Cluster>,
        gaps: &Arc<Gaps>,
        begin: Begin,
        looked: &mut Option<Looked>,
        gone: &HashSet<u32>,
    ) -> Result<Result<Hold, outbox_wal::Error>, Error> {
        let scope = Scope::of(&self.settings);
        let source = Source::new(self.settings.slot().as_str(), self.settings.publication().as_str());
        let before = looked.as_ref().map(|looked| &looked.published);
        let read = async {
            let mut catalog = scope.open(&self.options, &source).await?;
            let version = catalog.settled_version().await?;
            let now = match before.filter(|before| version.as_ref() == Some(&before.version)) {
                Some(same) => same.clone(),
                None => catalog.published(source.slot()).await?,
            };
            let mut tables = Vec::new();
            for table in now.tables.iter().filter(|table| scope.routes(&table.name)) {
                tables.push((table.name.clone(), catalog.table(&table.name).await?));
            }
            Ok((catalog, now, tables))
        };
        let (catalog, now, tables) = match read.await {
            Ok(read) => read,
            Err(e) => return Ok(Err(e)),
        };
        let problem = publication::check(&now, &scope)?;
        publication::warn_of_gap(before, &now, &scope);
        let before = looked.as_ref().map(|looked| &looked.pipeline);
        let pipeline = told::pipeline(&scope.config, self.settings.pipeline(), before, &tables)?;
        let now = looked.insert(Looked { published: now, tables, pipeline });
        Ok(self.hold(cluster, gaps, begin, Watched { source, scope, catalog, looked: now, problem, gone }).await)
    }

    async fn hold(
        &self,
        cluster: &Arc<Cluster>,
        gaps: &Arc<Gaps>,
        begin: Begin,
        watched: Watched<'_>,
    ) -> Result<Hold, outbox_wal::Error> {
        let Begin { at, streamed_before } = begin;
        let Watched { source, scope, catalog, looked, problem, gone } = watched;
        let Looked { published, tables, pipeline } = looked;
        let opened = match outbox_wal::open(&self.options, &source, at).await {
            // The server may not know yet that an earlier connection of this relay is dead.
            Err(e)
                if e.is_slot_active()
                    && self.status.mode() != Mode::Standby
                    && outbox_wal::end_own_walsender(&self.options, &source).await? =>
            {
                outbox_wal::open(&self.options, &source, at).await?
            }
            opened => opened?,
        };
        let catch_up = opened.catch_up(&self.options, &source).await?;
        let Opened { system, stream, start, slot, flushed } = opened;
        let origin = Origin::new(system.system, system.timeline, source.slot());
        tracing::info!(
            target: "outbox.relay", slot = source.slot(), confirmed = %slot.confirmed, %start, "holding the slot"
        );
        // As much below the producer's limit as the usual batch is below the usual limit.
        let batch = BatchLimit { bytes: BATCH.bytes.min(self.settings.max_request_size() / 7 * 6), ..BATCH };
        let window = Window { confirmed: slot.confirmed, end: flushed };
        let jobs: FuturesUnordered<BoxFuture<'static, Done>> = FuturesUnordered::new();
        if !cluster.has_answered() || !gaps.are_reported() {
            jobs.push(job::reach(Arc::clone(cluster), self.status.clone(), Arc::clone(gaps)).boxed());
        }
        let known = tables.iter().filter_map(|(name, table)| {
            let found = published.tables.iter().find(|published| published.name == *name)?;
            let oids = found.oid.into_iter().chain(found.partitions.iter().copied()).collect();
            Some(OutboxTable { name: name.clone(), oids, catalog: table.clone() })
        });
        let outbox = OutboxTables {
            config: scope.config.clone(),
            included: scope.included.clone(),
            predicate: scope.predicate.clone(),
            known: known.collect(),
            gone: gone.clone(),
        };
        Ok(Hold {
            feed: Feed::new(stream, catch_up, RowReader::new(outbox, self.settings.on_update())),
            confirmation: Confirmation::new(
                self.options.clone(),
                source.clone(),
                scope,
                published.version.clone(),
                problem,
                catalog,
                slot.confirmed,
            ),
            progress: Progress::new(window, batch),
            topics: Topics::default(),
            creation: self.settings.topic_creation().cloned(),
            context_headers: self.settings.context_headers().cloned(),
            batches: BatchBuilder::new(gaps.compression(), batch.bytes),
            jobs,
            compression: CompressionChoice::new(gaps.compression()),
            gaps: Arc::clone(gaps),
            backoffs: std::collections::HashMap::new(),
            topic_backoffs: std::collections::HashMap::new(),
            requests: std::collections::HashMap::new(),
            unacknowledged: std::collections::HashMap::new(),
            reads: std::collections::HashMap::new(),
            refusals: std::collections::HashMap::new(),
            commit: crate::Lsn::default(),
            backlog: (at == StartAt::Confirmed).then(|| Backlog::streamed_before(streamed_before)),
            is_better_copied: false,
            dead_letters: DeadLetters::new(self.settings.poison()),
            rounds: Rounds::new(self.settings.topic_interval()),
            grown: None,
            updates: IgnoredUpdates::new(self.settings.on_update()),
            status: self.status.clone(),
            marks: Marks::default(),
            counted: Counters::default(),
            scan: self.settings.scan_limit(),
            acted: tokio::time::Instant::now(),
            cluster: Arc::clone(cluster),
            options: self.options.clone(),
            origin: Arc::new(origin),
            pipeline: pipeline.clone(),
            source,
            window,
        })
    }
}

fn compression(configured: CompressionType) -> Compression {
    match configured {
        CompressionType::None => Compression::None,
        CompressionType::Gzip => Compression::Gzip,
        CompressionType::Snappy => Compression::Snappy,
        CompressionType::Lz4 => Compression::Lz4,
        CompressionType::Zstd => Compression::Zstd,
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("settings", &self.settings).finish_non_exhaustive()
    }
}
