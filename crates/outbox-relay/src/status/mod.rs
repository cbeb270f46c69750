//! What a running relay tells of itself: metrics, readiness, liveness.

mod health;
mod lag;
mod metrics;
mod mode;
mod server;

use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use self::health::{Movement, Pulse};
pub(crate) use self::lag::Marks;
use self::metrics::Metrics;
pub use self::mode::{Mode, Readiness};
use crate::progress::Counters;
use crate::{Lsn, wal::SlotLook};

/// How often a loop that waits shows that it is there.
pub(crate) const BEAT: Duration = Duration::from_millis(500);
/// After this silence the loop is taken for dead.
const SILENCE: Duration = Duration::from_secs(10);

/// What a relay tells of itself while it runs; from [`Relay::status`](crate::Relay::status). Clones are the same.
#[derive(Clone)]
pub struct RelayStatus(Arc<Shared>);

struct Shared {
    metrics: Metrics,
    pulse: Pulse,
    stalled_after: Duration,
    state: Mutex<State>,
}

struct State {
    mode: Mode,
    /// Why it is in this mode, where that is not as it should be.
    reason: Option<String>,
    movement: Movement,
    oldest: Option<SystemTime>,
    confirmed: Lsn,
    server: Lsn,
}

/// What one turn of the loop has come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) mode: Mode,
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
    pub(crate) confirmed: Lsn,
    /// The end of the WAL, as the server told last.
    pub(crate) server: Lsn,
    /// When the oldest transaction was committed that is not confirmed.
    pub(crate) oldest: Option<SystemTime>,
}

impl RelayStatus {
    pub(crate) fn new(stalled_after: Duration) -> Self {
        Self(Arc::new(Shared {
            metrics: Metrics::new(),
            pulse: Pulse::new(Instant::now()),
            stalled_after,
            state: Mutex::new(State {
                mode: Mode::Connecting,
                reason: None,
                movement: Movement::default(),
                oldest: None,
                confirmed: Lsn::default(),
                server: Lsn::default(),
            }),
        }))
    }

    /// What the relay is doing.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.lock().mode
    }

    /// Whether it holds the slot and moves: what is there to be written is being acknowledged.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness_at(Instant::now())
    }

    /// How long the relay's loop has been silent, if that is too long: it hangs, or has ended.
    ///
    /// # Errors
    /// The time since the loop showed itself last.
    pub fn liveness(&self) -> Result<(), Duration> {
        self.liveness_at(Instant::now())
    }

    /// The metrics as Prometheus scrapes them, in the OpenMetrics text format.
    #[must_use]
    pub fn prometheus_text(&self) -> String {
        let (mode, oldest, behind) = {
            let state = self.lock();
            (state.mode, state.oldest, state.server.as_u64().saturating_sub(state.confirmed.as_u64()))
        };
        let age = oldest.and_then(|oldest| oldest.elapsed().ok()).unwrap_or_default();
        self.0.metrics.render(mode, behind, age)
    }

    /// Answers `GET /metrics`, `/ready` and `/live` on this address (port 0 for any that is free), until the task that
    /// this starts is aborted.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn serve(&self, address: SocketAddr) -> std::io::Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
        server::start(self.clone(), address).await
    }

    fn readiness_at(&self, now: Instant) -> Readiness {
        let state = self.lock();
        let stalled = state.movement.stalled(now);
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
        match self.0.pulse.silence(now) {
            silence if silence > SILENCE => Err(silence),
            _ => Ok(()),
        }
    }

    /// The loop is there.
    pub(crate) fn beat(&self) {
        self.0.pulse.beat(Instant::now());
    }

    /// Waits, as a part of the loop, for what may take its time.
    pub(crate) async fn beating<F: Future>(&self, future: F) -> F::Output {
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

    /// The end of a turn of the loop; `new` is what was counted since the one before.
    pub(crate) fn turned(&self, turn: Turn, new: Counters) {
        let now = Instant::now();
        self.0.pulse.beat(now);
        self.0.metrics.count(new);
        self.0.metrics.holds(turn.rows, turn.bytes);
        let mut state = self.lock();
        state.movement.observe(now, turn.rows > 0, new.acknowledged + new.skipped);
        (state.mode, state.reason) = (turn.mode, None);
        (state.confirmed, state.oldest) = (turn.confirmed, turn.oldest);
        state.server = state.server.max(turn.server);
    }

    /// A row waits for something that does not come, within a turn of the loop.
    pub(crate) fn waits(&self) {
        self.lock().movement.observe(Instant::now(), true, 0);
    }

    /// What the server told of the slot when it was asked.
    pub(crate) fn looked(&self, look: SlotLook) {
        self.0.metrics.wal_held(look.server.as_u64().saturating_sub(look.restart.as_u64()));
        let mut state = self.lock();
        state.server = state.server.max(look.server);
    }

    /// Events that the broker has acknowledged.
    pub(crate) fn wrote(&self, topic: &str, events: u64, bytes: u64) {
        self.0.metrics.wrote(topic, events, bytes);
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

    pub(crate) fn scan_cut(&self) {
        self.0.metrics.scan_cut();
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

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: Turn =
        Turn { mode: Mode::Live, rows: 0, bytes: 0, confirmed: Lsn::new(100), server: Lsn::new(350), oldest: None };

    fn later(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[test]
    fn a_loop_that_is_silent_is_not_alive() {
        let status = RelayStatus::new(Duration::from_secs(30));
        status.turned(TURN, Counters::default());
        assert_eq!(status.liveness_at(later(9)), Ok(()));
        assert!(status.liveness_at(later(11)).is_err_and(|silence| silence >= Duration::from_secs(10)));
        status.beat();
        assert_eq!(status.liveness(), Ok(()));
    }

    /// The task is there, and its loop is not polled.
    #[tokio::test(start_paused = true)]
    async fn a_loop_that_waits_shows_itself_and_one_that_blocks_does_not() {
        let status = RelayStatus::new(Duration::from_secs(30));
        let waiting = status.clone();
        let task = tokio::spawn(async move { waiting.beating(std::future::pending::<()>()).await });
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(status.liveness(), Ok(()));
        task.abort();
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert!(status.liveness().is_err());
    }

    #[test]
    fn rows_that_nobody_acknowledges_are_a_stall_and_no_rows_are_none() {
        let status = RelayStatus::new(Duration::from_secs(30));
        status.turned(TURN, Counters::default());
        assert_eq!(status.readiness_at(later(100)), Readiness::Ready);
        let holding = Turn { rows: 5, ..TURN };
        status.turned(holding, Counters::default());
        assert_eq!(status.readiness_at(later(29)), Readiness::Ready);
        let stalled = status.readiness_at(later(31));
        assert!(matches!(&stalled, Readiness::NotReady(reason) if reason.contains("stalled")), "{stalled:?}");
        status.turned(TURN, Counters { acknowledged: 5, ..Counters::default() });
        assert_eq!(status.readiness_at(later(100)), Readiness::Ready);
    }

    #[test]
    fn standby_is_told_from_what_is_broken() {
        let status = RelayStatus::new(Duration::from_secs(30));
        status.entered(Mode::Standby, Some("PID 7 holds the slot".into()));
        assert_eq!(status.readiness().to_string(), "standby: PID 7 holds the slot");
        status.entered(Mode::Connecting, Some("the connection to PostgreSQL is lost".into()));
        assert_eq!(status.readiness().to_string(), "not ready: connecting: the connection to PostgreSQL is lost");
        assert!(!status.readiness().is_ready());
    }

    #[test]
    fn the_metrics_are_what_was_counted() {
        let status = RelayStatus::new(Duration::from_secs(30));
        let counted = Counters { read: 9, skipped: 2, duplicates_accepted: 1, ..Counters::default() };
        let oldest = SystemTime::now().checked_sub(Duration::from_secs(90));
        status.turned(Turn { rows: 7, bytes: 700, oldest, ..TURN }, counted);
        status.turned(Turn { rows: 7, bytes: 700, oldest, ..TURN }, Counters { read: 1, ..Counters::default() });
        status.wrote("orders", 3, 333);
        status.looked(SlotLook { server: Lsn::new(400), restart: Lsn::new(50) });
        status.produced_in(Duration::from_millis(3));
        let text = status.prometheus_text();
        for line in [
            "outbox_relay_rows_read_total 10",
            "outbox_relay_rows_skipped_total 2",
            "outbox_relay_duplicates_accepted_total 1",
            "outbox_relay_events_total{topic=\"orders\"} 3",
            "outbox_relay_record_bytes_total{topic=\"orders\"} 333",
            "outbox_relay_unacknowledged_rows 7",
            "outbox_relay_unacknowledged_bytes 700",
            "outbox_relay_lag_bytes 300",
            "outbox_relay_wal_held_bytes 350",
            "outbox_relay_mode{mode=\"live\"} 1",
            "outbox_relay_mode{mode=\"standby\"} 0",
            "outbox_relay_produce_seconds_bucket{le=\"0.005\"} 1",
            "outbox_relay_produce_seconds_bucket{le=\"0.0025\"} 0",
            "outbox_relay_produce_seconds_count 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        let seconds = text.lines().find_map(|line| line.strip_prefix("outbox_relay_lag_seconds ")).unwrap();
        assert!((90.0..100.0).contains(&seconds.parse::<f64>().unwrap()), "{seconds}");
        assert!(text.ends_with("# EOF\n"));
    }
}
