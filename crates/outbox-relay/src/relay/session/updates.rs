use std::time::Duration;

use tokio::time::Instant;

use crate::settings::OnUpdate;

/// Logs ignored updates of outbox tables, as the configuration says, one line for all of a period.
pub(super) struct IgnoredUpdates {
    behavior: OnUpdate,
    count: u64,
    logged: Option<Instant>,
}

const PERIOD: Duration = Duration::from_secs(10);

impl IgnoredUpdates {
    pub(super) fn new(behavior: OnUpdate) -> Self {
        Self { behavior, count: 0, logged: None }
    }

    pub(super) fn add(&mut self, updates: u64) {
        self.count += updates;
        if self.count == 0 || self.logged.is_some_and(|logged| logged.elapsed() < PERIOD) {
            return;
        }
        self.log();
        self.logged = Some(Instant::now());
    }

    /// Logs what was not logged yet.
    pub(super) fn log(&mut self) {
        match (std::mem::take(&mut self.count), self.behavior) {
            (0, _) | (_, OnUpdate::Skip) => {}
            (updates, OnUpdate::Error) => {
                tracing::error!(target: "outbox.relay", updates, "updates of the outbox table ignored");
            }
            (updates, _) => tracing::warn!(target: "outbox.relay", updates, "updates of the outbox table ignored"),
        }
    }
}
