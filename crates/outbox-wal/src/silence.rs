use std::time::Duration;

use tokio::time::Instant;

/// The time in which a server has sent nothing that counts: neither a whole message nor much of a long one. A connection
/// that passes on single bytes is as useless as one that passes on none.
pub struct Silence {
    since: Instant,
    /// The bytes that have come since then.
    bytes: usize,
}

/// The bytes of an unfinished message that count. Over a connection that carries fewer in the longest silence, nothing is
/// read in useful time.
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

    /// Returns how much of the limit is left.
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
