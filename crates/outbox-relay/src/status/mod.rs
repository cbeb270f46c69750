//! The status of a running relay: metrics, readiness, liveness.

mod health;
mod lag;
mod metrics;
mod server;
#[cfg(test)]
mod tests;

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use outbox_core::connector::DroppedBy;
use tokio::time::Instant;

use self::health::{LoopHeartbeat, Movement, Problems, StandbyWait};
use self::metrics::Metrics;
use crate::progress::Counters;
use crate::rows::Ignored;
use outbox_net::{ErrorChain, wall_clock};
use outbox_wal::{Lsn, SlotStatus};

pub(crate) use self::health::Work;
pub use self::health::{Mode, Readiness};
pub(crate) use self::lag::{CommitTimes, HeartbeatPart, Reconnect};

/// The interval at which a loop that waits records a heartbeat.
pub(crate) const BEAT: Duration = Duration::from_millis(500);
/// The silence after which the loop counts as dead.
const SILENCE: Duration = Duration::from_secs(10);

/// The status of a relay while it runs; from [`Relay::status`](crate::Relay::status). Clones are the same.
#[derive(Clone)]
pub struct RelayStatus(Arc<Shared>);

struct Shared {
    metrics: Metrics,
    heartbeat: LoopHeartbeat,
    stalled_after: Duration,
    state: Mutex<State>,
}

struct State {
    mode: Mode,
    /// The reason for the mode, if the mode is a problem.
    reason: Option<String>,
    movement: Movement,
    problems: Problems,
    /// The reason why nothing is confirmed, if that lasts.
    not_confirming: Option<String>,
    missing_events: Option<String>,
    standby_wait: StandbyWait,
    oldest: Option<SystemTime>,
    confirmed: Lsn,
    server: Lsn,
}

/// The result of one turn of the loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) mode: Mode,
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
    pub(crate) confirmed: Lsn,
    /// The end of the WAL, as the server reported last.
    pub(crate) server: Lsn,
    /// The time at which the oldest transaction was committed that is not confirmed.
    pub(crate) oldest: Option<SystemTime>,
    /// The WAL that the slot held when it was taken, and the part of it that is still to be read, in bytes.
    pub(crate) catch_up: (u64, u64),
}

impl RelayStatus {
    pub(crate) fn new(stalled_after: Duration) -> Self {
        Self(Arc::new(Shared {
            metrics: Metrics::new(),
            heartbeat: LoopHeartbeat::new(Instant::now()),
            stalled_after,
            state: Mutex::new(State {
                mode: Mode::Connecting,
                reason: None,
                movement: Movement::default(),
                problems: Problems::default(),
                not_confirming: None,
                missing_events: None,
                standby_wait: StandbyWait::default(),
                oldest: None,
                confirmed: Lsn::default(),
                server: Lsn::default(),
            }),
        }))
    }

    /// Returns the mode of the relay.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.lock().mode
    }

    /// Returns whether it holds the slot and makes progress: rows that are to be written are being acknowledged.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness_at(Instant::now())
    }

    /// Returns how long the relay's loop has been silent, if that is too long: it hangs, or has ended.
    ///
    /// # Errors
    /// The time since the loop's last heartbeat.
    pub fn liveness(&self) -> Result<(), Duration> {
        self.liveness_at(Instant::now())
    }

    /// Returns the metrics as Prometheus scrapes them, in the OpenMetrics text format.
    #[must_use]
    pub fn prometheus_text(&self) -> String {
        let (mode, oldest, behind) = {
            let state = self.lock();
            (state.mode, state.oldest, state.server.as_u64().saturating_sub(state.confirmed.as_u64()))
        };
        let age = oldest.and_then(|oldest| wall_clock().duration_since(oldest).ok()).unwrap_or_default();
        self.0.metrics.render(mode, behind, age)
    }

    /// Returns the readiness. The reasons are in the order of their weight, because only one is shown.
    fn readiness_at(&self, now: Instant) -> Readiness {
        let state = self.lock();
        let stalled = state.movement.stalled(now);
        if let (Mode::CatchUp | Mode::Live | Mode::Draining, Some(reason)) = (state.mode, &state.not_confirming) {
            return Readiness::NotReady(format!("{}: nothing is confirmed: {reason}", state.mode));
        }
        if let (Mode::CatchUp | Mode::Live | Mode::Draining, Some(reason)) = (state.mode, &state.missing_events) {
            return Readiness::NotReady(format!("{}: {reason}", state.mode));
        }
        if let (Mode::CatchUp | Mode::Live | Mode::Draining, Some(problem)) = (state.mode, state.problems.reason(now)) {
            return Readiness::NotReady(format!("{}: {problem}", state.mode));
        }

        if let (Mode::CatchUp | Mode::Live, Some(wait)) = (state.mode, state.standby_wait.duration(now)) {
            return Readiness::NotReady(format!(
                "{}: PostgreSQL has sent nothing for {} s, because a standby in synchronized_standby_slots lacks the WAL: start \
                 that standby, or remove its slot from synchronized_standby_slots",
                state.mode,
                wait.as_secs()
            ));
        }

        match (state.mode, &state.reason) {
            (Mode::CatchUp | Mode::Live, _) if stalled > self.0.stalled_after => {
                let seconds = stalled.as_secs();
                Readiness::NotReady(format!("stalled: nothing was acknowledged for {seconds} s, and rows are waiting"))
            }
            (Mode::CatchUp | Mode::Live, _) => Readiness::Ready,
            (Mode::Standby, reason) => Readiness::Standby(reason.clone().unwrap_or_default()),
            (mode, Some(reason)) => Readiness::NotReady(format!("{mode}: {reason}")),
            (mode, None) => Readiness::NotReady(mode.to_string()),
        }
    }

    fn liveness_at(&self, now: Instant) -> Result<(), Duration> {
        match self.0.heartbeat.silence(now) {
            silence if silence > SILENCE => Err(silence),
            _ => Ok(()),
        }
    }

    /// Records that the loop is alive.
    pub(crate) fn beat(&self) {
        self.0.heartbeat.beat(Instant::now());
    }

    /// Awaits `future` while recording heartbeats.
    pub(crate) async fn with_heartbeat<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            self.beat();
            if let Ok(output) = tokio::time::timeout(BEAT, &mut future).await {
                return output;
            }
        }
    }

    pub(crate) fn entered(&self, mode: Mode, reason: Option<String>) {
        let mut state = self.lock();
        (state.mode, state.reason) = (mode, reason);
    }

    /// Records the end of a turn of the loop; `new` has the counts since the previous turn.
    pub(crate) fn record_turn(&self, turn: Turn, new: Counters) {
        let now = Instant::now();
        self.0.heartbeat.beat(now);
        self.0.metrics.count(new);
        self.0.metrics.holds(turn.rows, turn.bytes);
        self.0.metrics.confirmed(turn.confirmed);
        self.0.metrics.catching_up(turn.catch_up.0, turn.catch_up.1);
        let mut state = self.lock();
        state.movement.observe(now, turn.rows > 0, new.acknowledged + new.skipped);
        (state.mode, state.reason) = (turn.mode, None);
        (state.confirmed, state.oldest) = (turn.confirmed, turn.oldest);
        state.server = state.server.max(turn.server);

        if new.read > 0 {
            state.standby_wait = StandbyWait::default();
        }
    }

    /// Records that something fails and is tried again: not ready, with the error as the reason.
    pub(crate) fn failing(&self, work: Work, error: &outbox_kafka::Error) {
        self.kafka_failed(error);
        let is_new = self.lock().problems.add(work, error.clone(), Instant::now());
        let error = ErrorChain::new(error);
        match is_new {
            true => tracing::warn!(target: "outbox.relay", %error, "request to Kafka failed: retrying"),
            false => tracing::debug!(target: "outbox.relay", %error, "request to Kafka failed again: retrying"),
        }
    }

    /// Records that the operation succeeds again.
    pub(crate) fn recovered(&self, work: &Work) {
        let ended = self.lock().problems.remove(work);
        if let Some(error) = ended {
            let error = ErrorChain::new(&error);
            tracing::info!(target: "outbox.relay", %error, "request to Kafka succeeds again");
        }
    }

    /// Clears all failures: nothing is under way any more that could fail.
    pub(crate) fn clear_failures(&self) {
        let mut state = self.lock();
        state.problems.clear();
        state.not_confirming = None;
        state.standby_wait = StandbyWait::default();
    }

    /// Records that positions are confirmed again.
    pub(crate) fn confirming(&self) {
        if self.lock().not_confirming.take().is_some() {
            tracing::info!(target: "outbox.relay", "positions are confirmed again");
        }
    }

    /// Records that no position can be confirmed at present, with the reason if that lasts.
    pub(crate) fn not_confirming(&self, reason: Option<String>) {
        let mut state = self.lock();
        if let Some(reason) = reason.as_ref().filter(|reason| state.not_confirming.as_ref() != Some(reason)) {
            tracing::error!(target: "outbox.relay", reason, "nothing is confirmed");
        }
        state.not_confirming = reason;
    }

    /// Records that events are missing that the slot will never send, although positions are confirmed.
    pub(crate) fn missing_events(&self, reason: &str) {
        let mut state = self.lock();
        if state.missing_events.as_deref() != Some(reason) {
            tracing::error!(target: "outbox.relay", reason, "events are missing");
            state.missing_events = Some(reason.to_owned());
        }
        state.not_confirming = None;
    }

    /// Changes that are no events.
    pub(crate) fn ignored(&self, new: Ignored) {
        self.0.metrics.ignored(new);
    }

    /// Records the state of the slot as the server reported it.
    pub(crate) fn record_slot(&self, slot: SlotStatus) {
        self.0.metrics.record_slot(slot);
        let mut state = self.lock();
        state.server = state.server.max(slot.wal_end);
        state.standby_wait.observe(slot.waits_for_standby, Instant::now());
    }

    /// Counts events that the broker has acknowledged.
    pub(crate) fn record_written(&self, topic: &str, events: u64, bytes: u64) {
        self.0.metrics.record_written(topic, events, bytes);
    }

    pub(crate) fn produced_in(&self, time: Duration) {
        self.0.metrics.produced_in(time);
    }

    pub(crate) fn retried(&self) {
        self.0.metrics.retried();
    }

    pub(crate) fn stored_as_it_was(&self) {
        self.0.metrics.stored_as_it_was();
    }

    pub(crate) fn dead_lettered(&self) {
        self.0.metrics.dead_lettered();
    }

    /// Counts a row that was left out as requested.
    pub(crate) fn left_out(&self) {
        self.0.metrics.left_out();
    }

    pub(crate) fn scan_cut(&self) {
        self.0.metrics.scan_cut();
    }

    /// Counts a new connection to PostgreSQL, or an attempt that failed.
    pub(crate) fn reconnecting(&self, cause: Reconnect) {
        self.0.metrics.reconnecting(cause);
    }

    /// Counts a request to Kafka that failed.
    pub(crate) fn kafka_failed(&self, error: &outbox_kafka::Error) {
        self.0.metrics.kafka_failed(error);
    }

    /// Counts a record that a transformation drops.
    pub(crate) fn dropped(&self, by: DroppedBy) {
        self.0.metrics.dropped(by);
    }

    /// Counts a part of a heartbeat that succeeded.
    pub(crate) fn heartbeat_succeeded(&self, part: HeartbeatPart) {
        self.0.metrics.heartbeat_succeeded(part);
    }

    /// Counts an attempt at a part of a heartbeat that failed.
    pub(crate) fn heartbeat_failed(&self, part: HeartbeatPart) {
        self.0.metrics.heartbeat_failed(part);
    }

    pub(crate) fn started_again(&self) {
        self.0.metrics.started_again();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RelayStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayStatus").field("mode", &self.mode()).finish_non_exhaustive()
    }
}
