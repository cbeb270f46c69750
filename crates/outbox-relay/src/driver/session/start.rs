use std::sync::Arc;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Session;
use super::batch_sender::BatchSender;
use super::confirmation::{CheckedCatalog, Confirmation};
use super::dead_letter::DeadLetters;
use super::executor::Executor;
use super::heartbeats::Heartbeats;
use super::inbox::Inbox;
use super::log_reader::LogReader;
use super::monitor::Monitor;
use super::pace::Backlog;
use super::planner::Planner;
use super::reader::{ChangeFeed, WalReader};
use super::requests::Requests;
use super::router::Router;
use super::row_encoder::RowEncoder;
use super::skips::SkipList;
use super::turns::Turns;
use crate::Lsn;
use crate::driver::gaps::Gaps;
use crate::position::Origin;
use crate::progress::{BatchLimit, Progress, Window};
use crate::settings::RelaySettings;
use crate::status::{BEAT, RelayStatus};
use outbox_kafka::Cluster;

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

/// A batch of this size is below what brokers take by default (1 MiB), with room for what the estimate leaves out.
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

        let mut turn = interval(BEAT);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let turns = Turns::new(status.clone(), window, feed.mode(), settings.on_update());
        let confirmation = Confirmation::start(catalog, window.confirmed, status.clone(), &inbox);
        let reader = WalReader::start(feed, confirmation.subscribe());
        let interval = settings.topic_interval();
        let heartbeats = heartbeats.start(settings, cluster, &options, status, &inbox);
        let monitor = Monitor::start(Arc::clone(cluster), interval, (options, source), status.clone(), &inbox);
        let sender = BatchSender::new(Arc::clone(cluster), status.clone(), Arc::clone(gaps), batch.bytes, inbox);
        let executor = Executor::new(sender, requests, confirmation, monitor, reports, status.clone());
        Session {
            reader,
            planner,
            executor,
            turn,
            is_behind: false,
            acted: Instant::now(),
            turns,
            status: status.clone(),
            _heartbeats: heartbeats,
            span,
        }
    }
}
