use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use crate::status::{HeartbeatPart, RelayStatus};
use outbox_net::{Backoff, ErrorChain};

/// When a part of the next heartbeat is due, and whether the last attempt failed.
pub(super) struct Pulse {
    interval: Duration,
    due: Instant,
    backoff: Backoff,
    is_failing: bool,
}

/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The shortest and the longest pause that pauses grow to. In between it is the interval, so that a statement that always
/// fails fills no log of the server.
const LONGEST_PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// One of the things that are done at each heartbeat.
pub(super) trait Beat {
    type Error: StdError + Send + 'static;

    const PART: HeartbeatPart;

    /// Does it once.
    fn beat(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Repeats a beat: one interval after each success, and with growing pauses after failures.
pub(super) async fn repeat<B: Beat>(pulse: Arc<Mutex<Pulse>>, mut beat: B, status: RelayStatus) {
    // The task of the session before may be about to end.
    let mut pulse = pulse.lock().await;
    loop {
        sleep_until(pulse.due).await;
        match beat.beat().await {
            Ok(()) => pulse.succeeded(B::PART, &status),
            Err(error) => {
                pulse.failed(B::PART, &error, &status);
                let pause = pulse.backoff.delay();
                sleep(pause).await;
            }
        }
    }
}

impl Pulse {
    pub(super) fn new(interval: Duration) -> Self {
        let backoff = Backoff::new(FIRST_PAUSE, interval.clamp(LONGEST_PAUSE.0, LONGEST_PAUSE.1));
        Self { interval, due: Instant::now() + interval, backoff, is_failing: false }
    }

    fn succeeded(&mut self, part: HeartbeatPart, status: &RelayStatus) {
        self.due = Instant::now() + self.interval;
        self.backoff.reset();
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
