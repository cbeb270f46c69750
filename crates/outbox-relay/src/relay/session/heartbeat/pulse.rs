use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use crate::relay::session::requests;
use crate::status::{HeartbeatPart, RelayStatus};
use outbox_net::ErrorChain;

/// When a part of the next heartbeat is due, and whether the last attempt failed.
pub(super) struct Pulse {
    interval: Duration,
    due: Instant,
    is_failing: bool,
}

/// One of the things that are done at each heartbeat.
pub(super) trait Beat {
    type Error: StdError + Send + 'static;

    const PART: HeartbeatPart;

    /// Does it once.
    fn beat(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Repeats a beat, one interval after each success, and soon after each failure.
pub(super) async fn repeat<B: Beat>(pulse: Arc<Mutex<Pulse>>, mut beat: B, status: RelayStatus) {
    // The task of the session before may be about to end.
    let mut pulse = pulse.lock().await;
    let mut backoff = requests::backoff();
    loop {
        sleep_until(pulse.due).await;
        match beat.beat().await {
            Ok(()) => {
                backoff.reset();
                pulse.succeeded(B::PART, &status);
            }
            Err(error) => {
                pulse.failed(B::PART, &error, &status);
                sleep(backoff.delay()).await;
            }
        }
    }
}

impl Pulse {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, due: Instant::now() + interval, is_failing: false }
    }

    fn succeeded(&mut self, part: HeartbeatPart, status: &RelayStatus) {
        self.due = Instant::now() + self.interval;
        status.heartbeat_succeeded(part);
        if std::mem::take(&mut self.is_failing) {
            tracing::info!(target: "outbox.relay", part = part.name(), "heartbeat succeeds again");
        }
    }

    /// Logs the first failure after a success.
    fn failed(&mut self, part: HeartbeatPart, error: &(dyn StdError + 'static), status: &RelayStatus) {
        status.heartbeat_failed(part);
        let (part, error) = (part.name(), ErrorChain::new(error));
        match std::mem::replace(&mut self.is_failing, true) {
            false => tracing::warn!(target: "outbox.relay", part, %error, "heartbeat failed: retrying"),
            true => tracing::debug!(target: "outbox.relay", part, %error, "heartbeat failed again: retrying"),
        }
    }
}
