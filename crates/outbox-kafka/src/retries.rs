use std::time::Duration;

use outbox_net::Backoff;
use tokio::time::{Instant, sleep};

const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

/// The pauses between the attempts of one call, up to its deadline.
#[derive(Debug)]
pub(super) struct Retries {
    backoff: Backoff,
    deadline: Instant,
}

impl Retries {
    pub(super) fn within(time: Duration) -> Self {
        Self { backoff: Backoff::new(FIRST, LONGEST), deadline: Instant::now() + time }
    }

    /// Waits, and returns `false` if it is too late for another attempt.
    pub(super) async fn pause(&mut self) -> bool {
        let delay = self.backoff.delay();
        if Instant::now() + delay >= self.deadline {
            return false;
        }
        sleep(delay).await;
        true
    }
}
