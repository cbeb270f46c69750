use std::time::Duration;

use tokio::time::Instant;

use crate::Lsn;

/// The time for which PostgreSQL has sent nothing because a standby of `synchronized_standby_slots` is behind.
#[derive(Debug, Default)]
pub(super) struct StandbyWait {
    /// The position that the walsender had sent when it was seen to wait, and when that was.
    first: Option<(Lsn, Instant)>,
    /// Whether it was seen there again. A single observation may be one of the moments between two messages.
    is_repeated: bool,
}

impl StandbyWait {
    /// Takes an observation: the position that the walsender has sent, if it waits for a standby.
    pub(super) fn observe(&mut self, sent: Option<Lsn>, now: Instant) {
        match (self.first, sent) {
            (Some((before, _)), Some(sent)) if before == sent => self.is_repeated = true,
            _ => *self = Self { first: sent.map(|sent| (sent, now)), is_repeated: false },
        }
    }

    /// Returns how long the walsender waits, once that is certain.
    pub(super) fn duration(&self, now: Instant) -> Option<Duration> {
        let (_, since) = self.first.filter(|_| self.is_repeated)?;
        Some(now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_certain_if_nothing_was_sent_between_two_observations() {
        let (mut wait, start) = (StandbyWait::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        wait.observe(Some(Lsn::new(10)), at(0));
        assert_eq!(wait.duration(at(9)), None);
        wait.observe(Some(Lsn::new(20)), at(10));
        assert_eq!(wait.duration(at(19)), None);
        wait.observe(Some(Lsn::new(20)), at(20));
        assert_eq!(wait.duration(at(25)), Some(Duration::from_secs(15)));
        wait.observe(None, at(30));
        assert_eq!(wait.duration(at(31)), None);
    }
}
