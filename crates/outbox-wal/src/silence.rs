use std::time::Duration;

use tokio::time::Instant;

/// The time since the last progress of the server: a whole message, or a large part of one. Single bytes do not count,
/// because such a connection is useless.
pub struct Silence {
    since: Instant,
    /// The bytes that were received since then.
    bytes: usize,
}

/// The bytes of an unfinished message that count as progress. A connection that carries fewer in the longest silence is
/// too slow.
const ENOUGH: usize = 16 * 1024;

impl Silence {
    /// Begins now.
    pub fn new() -> Self {
        Self { since: Instant::now(), bytes: 0 }
    }

    /// Begins again, because a whole message is there.
    pub fn break_off(&mut self) {
        *self = Self::new();
    }

    /// Counts bytes of an unfinished message.
    pub fn received(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes >= ENOUGH {
            self.break_off();
        }
    }

    /// Returns whether it lasts longer than this.
    pub fn exceeds(&self, limit: Duration) -> bool {
        self.since.elapsed() > limit
    }

    /// Returns the remaining time of the limit.
    pub fn left(&self, limit: Duration) -> Duration {
        limit.saturating_sub(self.since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn single_bytes_do_not_count_and_a_long_message_does() {
        let limit = Duration::from_secs(20);
        let mut silence = Silence::new();
        for _ in 0..21 {
            tokio::time::advance(Duration::from_secs(1)).await;
            silence.received(1);
        }
        assert!(silence.exceeds(limit) && silence.left(limit).is_zero());

        silence.break_off();
        for _ in 0..60 {
            tokio::time::advance(Duration::from_secs(1)).await;
            silence.received(1024);
            assert!(!silence.exceeds(limit));
        }
    }
}
