use std::time::Duration;

use tokio::time::{Instant, sleep};

const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

/// The pauses between attempts, up to a time when there is none any more.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    deadline: Instant,
}

impl Backoff {
    pub(super) fn within(time: Duration) -> Self {
        Self { next: FIRST, deadline: Instant::now() + time }
    }

    /// Waits; false if it is too late for another attempt.
    pub(super) async fn pause(&mut self) -> bool {
        if Instant::now() + self.next >= self.deadline {
            return false;
        }
        sleep(self.next).await;
        self.next = LONGEST.min(self.next * 2);
        true
    }
}
