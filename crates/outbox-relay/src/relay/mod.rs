mod backlog;
mod batch_sender;
mod confirmation;
mod connect;
mod create;
mod dead_letter;
mod encoded;
mod feed;
mod gaps;
mod hold;
mod job;
mod log_reader;
mod pace;
mod preflight;
mod publication;
mod read_plan;
mod report;
mod rounds;
mod scope;
mod skips;
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
use self::batch_sender::BatchSender;
use self::confirmation::Confirmation;
use self::dead_letter::DeadLetters;
use self::feed::Feed;
use self::gaps::Gaps;
use self::hold::{Ended, Hold};
use self::job::Done;
use self::log_reader::LogReader;
pub use self::preflight::{CheckStatus, ServerCheck};
use self::read_plan::{Begin, ReadPlan};
use self::rounds::Rounds;
use self::scope::Scope;
use self::skips::SkipList;
use self::topics::Topics;
use self::updates::IgnoredUpdates;
use crate::error::Error;
use crate::position::Origin;
use crate::progress::{BatchLimit, Counters, Progress, Window};
use crate::rows::{OutboxTables, RowReader};
use crate::settings::{CompressionType, RelaySettings};
use crate::status::{Marks, Mode, RelayStatus};
use outbox_kafka::{Cluster, Compression, Security, Settings};
use outbox_net::ErrorChain;
use outbox_wal::{ConnectOptions, Opened, PublicationCatalog, Published, SlotWatch, Source, StartAt};

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
/// How often a relay that stands by asks who holds the slot.
const STANDBY: Duration = Duration::from_millis(100);
/// The pause before a new hold of the slot.
const RESTART: Duration = Duration::from_millis(20);
/// A batch of this size is below what brokers take by default (1 MiB), with room for what the estimate leaves out.
const BATCH: BatchLimit = BatchLimit { rows: 10_000, bytes: 900_000 };

/// What outlives a hold of the slot.
struct Shared {
    cluster: Arc<Cluster>,
    gaps: Arc<Gaps>,
    skips: SkipList,
}

/// The tables of a hold, as the catalogs have them.
struct Watched<'a> {
    /// Of the server that was chosen.
    options: ConnectOptions,
    source: Source,
    scope: Scope,
    catalog: PublicationCatalog,
    published: &'a Published,
    problem: Option<String>,
    tables: OutboxTables,
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
    /// - A slot or publication is missing, and the settings do not create it; or it is lost, or PostgreSQL denies a right.
    /// - Before any broker has answered: the brokers reject the settings (an address, TLS, the login).
    /// - No broker has a version of a request that the relay needs.
    /// - The outbox table was updated, and the configuration says that this is fatal.
    /// - A row can never be written ([`Error::is_poison`]), and there is no topic for dead letters.
    ///
    /// # Cancellation
    /// Dropping the future is as a crash: nothing is lost, and what was not confirmed is looked for at the next start.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let skips = SkipList::new(self.settings.skip());
        let ended = Box::pin(self.relay(&skips, stop)).await;
        skips.report_rest();
        self.status.entered(Mode::Stopped, ended.as_ref().err().map(|error| ErrorChain::new(error).to_string()));
        ended
    }

    async fn relay(&self, skips: &SkipList, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let mut stop = pin!(stop);
        let mut settings = Settings::new(self.settings.brokers());
        settings.security = self.security.clone();
        // The relay tries again by itself, and shows the reason meanwhile.
        settings.retry_timeout = RETRY;
        let cluster = Arc::new(Cluster::new(settings));
        let shared = Shared {
            gaps: Arc::new(Gaps::new(compression(self.settings.compression()))),
            skips: skips.clone(),
            cluster,
        };
        let (mut is_standby, mut backoff) = (false, job::backoff());
        let mut plan = ReadPlan::new(self.settings.catch_up_step());
        let (mut published, mut gone) = (None, HashSet::new());
        loop {
            let taken = tokio::select! {
                () = &mut stop => return Ok(()),
                taken = self.status.beating(self.take(&shared, plan.begin(), &mut published, &gone)) => taken?,
            };
            let pause = match taken {
                Ok(hold) => {
                    is_standby = false;
                    backoff.reset();
                    let window = hold.window;
                    let span =
                        tracing::info_span!(target: "outbox.relay", "hold", slot = self.settings.slot().as_str());
                    let (ended, confirmed) = hold.run(&mut stop).instrument(span).await?;
                    plan.ended(confirmed);
                    self.status.clear_failures();
                    if !matches!(ended, Ended::NextStep) {
                        self.status.entered(Mode::Connecting, None);
                        self.status.started_again();
                    }
                    if let Some(cause) = ended.reconnect() {
                        self.status.reconnecting(cause);
                    }
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
                            plan.stream(window.end);
                            Duration::ZERO
                        }
                        Ended::ToCopy => {
                            tracing::info!(target: "outbox.relay", "many small transactions lie ahead: reading a copy of the slot");
                            plan.copy();
                            Duration::ZERO
                        }
                        Ended::NextStep if confirmed <= window.confirmed => {
                            tracing::info!(target: "outbox.relay", %confirmed, "a step of the catch-up was not confirmed: streaming");
                            plan.stream(window.end);
                            RESTART
                        }
                        Ended::NextStep => {
                            tracing::debug!(target: "outbox.relay", %confirmed, "taking the slot again for the next step of the catch-up");
                            Duration::ZERO
                        }
                        Ended::Lost => {
                            tracing::warn!(target: "outbox.relay", "the slot was lost: starting again");
                            RESTART
                        }
                    }
                }
                Err(e) if e.is_slot_active() => {
                    if !std::mem::replace(&mut is_standby, true) {
                        let (slot, pid) = (self.settings.slot().as_str(), e.slot_holder());
                        tracing::info!(target: "outbox.relay", slot, pid, "another process holds the slot: standing by");
                    }
                    let watched = tokio::select! {
                        () = &mut stop => return Ok(()),
                        watched = self.stand_by(e.slot_holder()) => watched,
                    };
                    // If the slot cannot be watched, the next attempt to take it shows why.
                    if watched.is_ok() { Duration::ZERO } else { backoff.delay() }
                }
                Err(e) if e.needs_stream() => {
                    tracing::warn!(target: "outbox.relay", error = %ErrorChain::new(&e), "the backlog is streamed");
                    plan.stream_all();
                    Duration::ZERO
                }
                Err(e) if e.is_transient() => {
                    is_standby = false;
                    let pause = backoff.delay();
                    self.status.reconnecting((&e).into());
                    tracing::warn!(target: "outbox.relay", error = %ErrorChain::new(&e), retry_in = ?pause, "PostgreSQL cannot be read");
                    self.status
                        .entered(Mode::Connecting, Some(format!("PostgreSQL cannot be read: {}", ErrorChain::new(&e))));
                    pause
                }
                Err(e) if e.is_slot_missing() => return Err(Error::missing("replication slot", e)),
                Err(e) => return Err(Error::wal(e)),
            };
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Waits until nobody holds the slot, and asks over one connection meanwhile.
    async fn stand_by(&self, mut holder: Option<u32>) -> Result<(), outbox_wal::Error> {
        let slot = self.settings.slot().as_str();
        let source = Source::new(slot, self.settings.publication().as_str());
        let options = self.status.beating(self.options.choose_server()).await?;
        let mut watch = self.status.beating(SlotWatch::open(&options, &source)).await?;
        loop {
            let name = holder.map_or_else(|| "another process".to_owned(), |pid| format!("PID {pid}"));
            self.status.entered(Mode::Standby, Some(format!("{name} holds the slot {slot}")));
            self.status.beating(tokio::time::sleep(STANDBY)).await;
            match self.status.beating(watch.holder()).await? {
                None => return Ok(()),
                now => holder = now,
            }
        }
    }

    /// Checks how the tables are published, and takes the slot. `published` is what the last check has found.
    async fn take(
        &self,
        shared: &Shared,
        begin: Begin,
        published: &mut Option<Published>,
        gone: &HashSet<u32>,
    ) -> Result<Result<Hold, outbox_wal::Error>, Error> {
        let (pipeline, scope) = (self.settings.pipeline(), Scope::of(&self.settings));
        let source = Source::new(pipeline.slot().as_str(), pipeline.publication().as_str());
        // Once a slot has been read, a new one in its place would hide that events are lost.
        let is_first = published.is_none();
        let read = async {
            let options = self.options.choose_server().await?;
            if is_first {
                create::missing(&self.settings, &options, &source, &scope).await?;
            }
            let mut catalog = scope.open(&options, &source).await?;
            let version = catalog.settled_version().await?;
            let now = match published.as_ref().filter(|before| version.as_ref() == Some(&before.version)) {
                Some(same) => same.clone(),
                None => catalog.published(source.slot()).await?,
            };
            let tables = told::tables(&mut catalog, &now, &scope, gone).await?;
            Ok((options, catalog, now, tables))
        };
        let (options, catalog, now, tables) = match read.await {
            Ok(read) => read,
            Err(e) => return Ok(Err(e)),
        };
        let problem = publication::check(&now, &scope)?;
        if is_first {
            told::check(&tables, &self.settings)?;
        }
        told::warn_of_unfit(&tables);
        publication::warn_of_gap(published.as_ref(), &now, &scope);
        let now = published.insert(now);
        Ok(self.hold(shared, begin, Watched { options, source, scope, catalog, published: now, problem, tables }).await)
    }

    async fn hold(&self, shared: &Shared, begin: Begin, watched: Watched<'_>) -> Result<Hold, outbox_wal::Error> {
        let Shared { cluster, gaps, skips } = shared;
        let Begin { at, streamed_before } = begin;
        let Watched { options, source, scope, catalog, published, problem, tables } = watched;
        let pipeline = scope.pipeline.clone();
        let opened = match outbox_wal::open(&options, &source, at).await {
            // The server may not know yet that an earlier connection of this relay is dead.
            Err(e)
                if e.is_slot_active()
                    && self.status.mode() != Mode::Standby
                    && outbox_wal::end_own_walsender(&options, &source).await? =>
            {
                outbox_wal::open(&options, &source, at).await?
            }
            opened => opened?,
        };
        let catch_up = opened.catch_up(&options, &source).await?;
        let Opened { system, stream, start, has_more, slot, flushed } = opened;
        let origin = Arc::new(Origin::new(system.system, system.timeline, source.slot()));
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
        Ok(Hold {
            feed: Feed::new(
                stream,
                catch_up,
                has_more.then_some(start),
                RowReader::new(tables, self.settings.on_update()),
            ),
            confirmation: Confirmation::new(
                options.clone(),
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
            jobs,
            sender: BatchSender::new(Arc::clone(cluster), self.status.clone(), Arc::clone(gaps), batch.bytes),
            log_reader: LogReader::new(
                Arc::clone(cluster),
                Arc::clone(&origin),
                window,
                self.settings.scan_limit(),
                self.status.clone(),
            ),
            topic_backoffs: std::collections::HashMap::new(),
            commit: crate::Lsn::default(),
            backlog: (at == StartAt::Confirmed).then(|| Backlog::streamed_before(streamed_before)),
            is_better_copied: false,
            dead_letters: DeadLetters::new(self.settings.poison()),
            skips: skips.of(&origin, slot.confirmed),
            stop: None,
            rounds: Rounds::new(self.settings.topic_interval()),
            grown: None,
            updates: IgnoredUpdates::new(self.settings.on_update()),
            status: self.status.clone(),
            marks: Marks::default(),
            counted: Counters::default(),
            acted: tokio::time::Instant::now(),
            cluster: Arc::clone(cluster),
            options: options.clone(),
            origin,
            pipeline,
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
