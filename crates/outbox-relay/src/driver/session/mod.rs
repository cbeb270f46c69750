//! A session: the time from when the slot is taken until it is given back or lost. No state outlives it.
//!
//! Its tasks are joined by channels:
//!
//! - The reader ([`WalReader`]) reads the WAL, and sends runs of changes.
//! - The planner ([`PlannerTask`]) gives them to the [`Planner`], which decides without a clock or I/O. The [`Executor`]
//!   carries out the commands that come back.
//! - A sender ([`BrokerSender`](batch_sender::BrokerSender)) for each broker sends batches.
//! - [`Confirmation`](confirmation::Confirmation) checks the catalogs before it passes positions on to the reader.
//! - [`Monitor`](monitor::Monitor) does periodic work, and [`Heartbeats`] writes the heartbeats of the configuration.
//!
//! All but the reader report to the planner's inbox. Tasks communicate by messages, and share no lock.

mod batch_sender;
mod confirmation;
mod dead_letter;
mod encoded;
mod ended;
mod executor;
mod heartbeats;
mod inbox;
mod log_reader;
mod monitor;
mod pace;
mod planner;
mod planner_task;
mod reader;
mod requests;
mod router;
mod row_encoder;
mod skips;
mod topics;
mod turns;

use std::sync::Arc;

use tracing::Instrument as _;

use self::batch_sender::BatchSender;
use self::confirmation::Confirmation;
use self::dead_letter::DeadLetters;
use self::executor::Executor;
use self::inbox::{Inbox, Task};
use self::log_reader::LogReader;
use self::monitor::Monitor;
use self::pace::Backlog;
use self::planner::Planner;
use self::planner_task::PlannerTask;
use self::reader::WalReader;
use self::requests::Requests;
use self::router::Router;
use self::row_encoder::RowEncoder;
use self::turns::Turns;
use crate::Lsn;
use crate::driver::gaps::Gaps;
use crate::error::Error;
use crate::position::Origin;
use crate::progress::{BatchLimit, Progress, Window};
use crate::settings::RelaySettings;
use crate::status::RelayStatus;
use outbox_kafka::Cluster;

pub use self::confirmation::CheckedCatalog;
pub use self::ended::SessionEnd;
pub use self::heartbeats::Heartbeats;
pub use self::pace::backoff;
pub use self::reader::ChangeFeed;
pub use self::requests::new_topic;
pub use self::skips::SkipList;

/// One session.
pub struct Session {
    planner: PlannerTask,
    _heartbeats: Vec<Task>,
    span: tracing::Span,
}

impl Session {
    /// Relays until `stop` is done or the session ends. Returns how it ended, and the confirmed position.
    ///
    /// The planner's task is this future, so that a caller who drops it ends the other tasks with it.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Result<(SessionEnd, Lsn), Error> {
        let Self { planner, _heartbeats, span } = self;
        planner.run(stop).instrument(span).await
    }
}

/// The state that outlives a session.
#[derive(Clone, Copy)]
pub struct Shared<'a> {
    pub settings: &'a RelaySettings,
    pub cluster: &'a Arc<Cluster>,
    pub gaps: &'a Arc<Gaps>,
    pub skips: &'a SkipList,
    pub heartbeats: &'a Heartbeats,
    pub status: &'a RelayStatus,
}

/// A batch of this size is below the default limit of brokers (1 MiB), with a margin for the parts that the estimate
/// omits.
const BATCH: BatchLimit = BatchLimit { rows: 10_000, bytes: 900_000 };

impl Shared<'_> {
    /// Starts a session of a slot that was taken. Transactions before `streamed_before` are streamed if it streams a
    /// backlog.
    pub fn start_session(
        &self,
        feed: ChangeFeed,
        catalog: CheckedCatalog,
        origin: Origin,
        window: Window,
        streamed_before: Option<Lsn>,
    ) -> Session {
        let Self { settings, cluster, gaps, skips, heartbeats, status } = *self;
        let (options, source) = (catalog.options.clone(), catalog.source.clone());
        let span = tracing::info_span!(target: "outbox.relay", "session", slot = source.slot());
        let _entered = span.clone().entered();
        let origin = Arc::new(origin);
        // As much below the producer's limit as the usual batch is below the usual limit.
        let batch = BatchLimit { bytes: BATCH.bytes.min(settings.max_request_size() / 7 * 6), ..BATCH };
        let (inbox, reports) = Inbox::new();

        let encoder = RowEncoder::new(
            catalog.scope.pipeline.clone(),
            Arc::clone(&origin),
            settings.context_headers().cloned(),
            status.clone(),
        );
        let planner = Planner::new(
            Progress::new(window, batch),
            Router::new(encoder, DeadLetters::new(settings.poison()), status.clone()),
            skips.of(&origin, window.confirmed),
            streamed_before.map(Backlog::streamed_before),
            status.clone(),
        );

        let logs = LogReader::new(Arc::clone(cluster), origin, window, settings.scan_limit(), status.clone());
        let mut requests = Requests::new(
            Arc::clone(cluster),
            status.clone(),
            options.clone(),
            source.clone(),
            settings.topic_creation().cloned(),
            logs,
        );

        if !cluster.has_answered() || !gaps.are_reported() {
            requests.reach_cluster(Arc::clone(gaps));
        }

        let turns = Turns::new(status.clone(), window, feed.mode(), settings.on_update());
        let confirmation = Confirmation::start(catalog, window.confirmed, status.clone(), &inbox);
        let reader = WalReader::start(feed, confirmation.subscribe());
        let interval = settings.topic_interval();
        let heartbeats = heartbeats.start(settings, cluster, &options, status, &inbox);
        let monitor = Monitor::start(Arc::clone(cluster), interval, (options, source), status.clone(), &inbox);
        let sender = BatchSender::new(Arc::clone(cluster), status.clone(), Arc::clone(gaps), batch.bytes, inbox);
        let executor = Executor::new(sender, requests, confirmation, monitor, reports, status.clone());

        let planner = PlannerTask::new(reader, planner, executor, turns, status.clone());
        Session { planner, _heartbeats: heartbeats, span }
    }
}
