use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use uuid::{ContextV7, Timestamp, Uuid};

use crate::Error;

/// The identity of an event: a UUID of version 7 (RFC 9562), so that ids grow with time.
///
/// It becomes the record's `id` header, by which consumers recognise a duplicate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

impl EventId {
    /// Creates a new id of this instant. Ids of one process are strictly increasing, unless its clock is set back by
    /// more than a minute.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "two defaults would not be equal")]
    pub fn new() -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self(IDS.lock().unwrap_or_else(PoisonError::into_inner).next(now))
    }

    /// Returns the UUID.
    #[must_use]
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

static IDS: Mutex<Ids> = Mutex::new(Ids { context: ContextV7::new(), latest: Duration::ZERO });

/// The time by which the clock must go back before ids follow it. Clock corrections are smaller, and partitions reach
/// further ahead.
const SETBACK: Duration = Duration::from_secs(60);

/// The ids of a process. The context of `uuid` never goes back. If the clock was a year ahead for a moment, all later
/// ids of the process would be of that time, and would have no partition.
struct Ids {
    context: ContextV7,
    /// The latest time that the context has seen, since 1970.
    latest: Duration,
}

impl Ids {
    fn next(&mut self, now: Duration) -> Uuid {
        if now + SETBACK < self.latest {
            *self = Self { context: ContextV7::new(), latest: now };
        }
        self.latest = self.latest.max(now);
        Uuid::new_v7(Timestamp::from_unix(&self.context, now.as_secs(), now.subsec_nanos()))
    }
}

impl TryFrom<Uuid> for EventId {
    type Error = Error;

    fn try_from(uuid: Uuid) -> Result<Self, Error> {
        if uuid.get_version_num() == 7 && uuid.get_variant() == uuid::Variant::RFC4122 {
            Ok(Self(uuid))
        } else {
            Err(Error::rule("id", &uuid.to_string(), "an event id is a UUID of version 7"))
        }
    }
}

impl From<EventId> for Uuid {
    fn from(id: EventId) -> Self {
        id.0
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({})", self.0)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_increase_and_follow_a_clock_that_was_far_ahead() {
        let mut ids = Ids { context: ContextV7::new(), latest: Duration::ZERO };
        let now = Duration::from_secs(1_800_000_000);
        let mut before = Uuid::nil();
        for millis in [0, 0, 1, 59_000, 2, 60_001] {
            let id = ids.next(now + Duration::from_millis(millis));
            assert!(id > before, "{id} after {before}");
            before = id;
        }

        let day = Duration::from_secs(86_400);
        let ahead = ids.next(now + 365 * day);
        let again = ids.next(now + day);
        assert!(again < ahead && again > before, "{again}");
        assert!(ids.next(now + day) > again);
    }
}
