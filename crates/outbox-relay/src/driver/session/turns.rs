use std::time::Duration;

use tokio::time::Instant;

use super::planner::Planner;
use crate::Lsn;
use crate::progress::{Counters, PartitionId, Window};
use crate::rows::Ignored;
use crate::settings::OnUpdate;
use crate::status::{Mode, RelayStatus, Turn};

/// Records the result of each turn of the session's loop in the relay's status.
pub struct Turns {
    status: RelayStatus,
    window: Window,
    mode: Mode,
    wal_end: Lsn,
    updates: IgnoredUpdates,
    /// The counters of the previous turn.
    counted: Counters,
}

impl Turns {
    pub fn new(status: RelayStatus, window: Window, mode: Mode, on_update: OnUpdate) -> Self {
        let (wal_end, counted) = (Lsn::default(), Counters::default());
        Self { status, window, mode, wal_end, updates: IgnoredUpdates::new(on_update), counted }
    }

    /// Records the counts of a run other than its changes.
    pub fn read(&mut self, mode: Mode, wal_end: Lsn, ignored: Ignored) {
        (self.mode, self.wal_end) = (mode, wal_end);
        self.updates.add(ignored.updates);
        self.status.ignored(ignored);
    }

    /// Records that the session reads no more than it must.
    pub fn draining(&mut self) {
        self.mode = Mode::Draining;
    }

    /// Records the end of a turn.
    pub fn end(&mut self, planner: &mut Planner, confirmed: Lsn) {
        let counters = planner.counters();
        let until_end = |from: Lsn| self.window.end.as_u64().saturating_sub(from.as_u64());
        let turn = Turn {
            mode: self.mode,
            rows: planner.progress().buffered_rows(),
            bytes: planner.progress().buffered_bytes(),
            confirmed,
            server: self.wal_end,
            oldest: planner.oldest_unconfirmed(confirmed),
            catch_up: (until_end(self.window.confirmed), until_end(planner.read_up_to())),
        };

        self.updates.add(0);
        self.status.record_turn(turn, counters.since(self.counted));
        self.counted = counters;
    }

    /// Records the events that a topic's brokers have acknowledged since `before`.
    pub fn record_written(&self, planner: &Planner, id: PartitionId, before: Counters) {
        let new = planner.counters().since(before);
        if let (1.., Some((topic, _))) = (new.acknowledged, planner.topics().partition(id)) {
            self.status.record_written(topic.name(), new.acknowledged, new.acknowledged_bytes);
        }
    }

    /// Logs the counts that were not logged yet.
    pub fn log_rest(&mut self) {
        self.updates.log();
    }
}

/// Logs ignored updates of outbox tables, as the configuration says, one line for all of a period.
pub struct IgnoredUpdates {
    behavior: OnUpdate,
    count: u64,
    logged: Option<Instant>,
}

const PERIOD: Duration = Duration::from_secs(10);

impl IgnoredUpdates {
    pub fn new(behavior: OnUpdate) -> Self {
        Self { behavior, count: 0, logged: None }
    }

    pub fn add(&mut self, updates: u64) {
        self.count += updates;
        if self.count == 0 || self.logged.is_some_and(|logged| logged.elapsed() < PERIOD) {
            return;
        }
        self.log();
        self.logged = Some(Instant::now());
    }

    /// Logs the remaining counts.
    pub fn log(&mut self) {
        match (std::mem::take(&mut self.count), self.behavior) {
            (0, _) | (_, OnUpdate::Skip) => {}
            (updates, OnUpdate::Error) => {
                tracing::error!(target: "outbox.relay", updates, "updates of the outbox table ignored");
            }
            (updates, _) => tracing::warn!(target: "outbox.relay", updates, "updates of the outbox table ignored"),
        }
    }
}
