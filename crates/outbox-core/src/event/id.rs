use std::fmt;

use uuid::Uuid;

use crate::Error;

/// The identity of an event: a UUID of version 7 (RFC 9562), so that ids grow with time.
///
/// It becomes the record's `id` header, by which consumers recognise a duplicate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

impl EventId {
    /// Creates a new id of this instant. Ids of one process are strictly increasing.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "two defaults would not be equal")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// Returns the UUID.
    #[must_use]
    pub fn as_uuid(self) -> Uuid {
        self.0
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
