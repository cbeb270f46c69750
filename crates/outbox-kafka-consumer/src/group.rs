use std::fmt;
use std::time::Duration;

use deadpool_postgres::Pool;
use outbox_core::time::OffsetDateTime;
use outbox_core::uuid::Uuid;
use outbox_core::{Identifier, Record};
use outbox_pg::Statements;

use crate::Error;
use crate::store::Store;

/// What a group keeps in its store, for operators: dead letters and parked events, and positions.
///
/// What is asked for here is carried out by the consumer that has the partition's lease, within a moment of it.
///
/// ```no_run
/// # use outbox_core::Identifier;
/// # use outbox_kafka_consumer::{Group, HeldState, deadpool_postgres::Pool};
/// # async fn example(pool: Pool) -> Result<(), Box<dyn std::error::Error>> {
/// let group = Group::new(pool, &Identifier::new("outbox")?, "billing");
/// for letter in group.list(HeldState::Dead, None, 100).await? {
///     println!("{} {} after {} attempts: {}", letter.id, letter.topic, letter.attempts, letter.error);
///     group.retry(letter.id).await?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct Group {
    store: Store,
}

/// Why an event is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeldState {
    /// It waits for another attempt, or behind an earlier event of its key.
    Parked,
    /// Its attempts are used up, or it was rejected: it waits for a decision.
    Dead,
}

/// An event that is held. `Debug` and [`error`](Self::error) are without its payload.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Held {
    /// The number to [retry](Group::retry), [discard](Group::discard) or [show](Group::show) it by.
    pub id: i64,
    /// Where its record is.
    pub topic: String,
    /// Where its record is.
    pub partition: i32,
    /// Where its record is.
    pub offset: i64,
    /// The event's id, where the record could be decoded.
    pub event_id: Option<Uuid>,
    /// Why it is held.
    pub state: HeldState,
    /// How many attempts there were.
    pub attempts: u32,
    /// What kind of failure the last one was.
    pub kind: String,
    /// The error of the last attempt, with all that lies below it.
    pub error: String,
    /// When it was held first.
    pub first_failed_at: OffsetDateTime,
    /// When it failed last.
    pub last_failed_at: OffsetDateTime,
    /// When it is tried again; nothing for a dead letter, and behind another event.
    pub next_attempt_at: Option<OffsetDateTime>,
}

/// Whether a position may be moved to where the inbox has forgotten what was handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Horizon {
    /// It is refused: what was handled would take effect again.
    #[default]
    Respect,
    /// It is done.
    Force,
}

impl Group {
    /// The group of that name, in the schema of its tables.
    #[must_use]
    pub fn new(pool: Pool, schema: &Identifier, group: impl Into<String>) -> Self {
        Self { store: Store::new(pool, schema, group.into(), Duration::ZERO, Statements::Unnamed) }
    }

    /// Up to so many held events, the oldest first, behind the one of that id.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn list(&self, state: HeldState, after: Option<i64>, limit: u32) -> Result<Vec<Held>, Error> {
        self.store.list(state, after.unwrap_or(0), limit).await
    }

    /// A held event with its record as it was received; `None` where it is held no longer.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn show(&self, id: i64) -> Result<Option<(Held, Record)>, Error> {
        self.store.show(id).await
    }

    /// Asks for a held event to be handled again, with all its attempts anew; a parked one at once. With
    /// [`OnFailure::Block`](crate::OnFailure::Block) the later events of its key follow it in order.
    ///
    /// # Errors
    /// It is held no longer ([`Error::is_refused`]), or the store could not be written.
    pub async fn retry(&self, id: i64) -> Result<(), Error> {
        self.store.request(id, "retry").await
    }

    /// Asks for a held event to be given up for good: its effect never happens, and the later events of its key go on.
    ///
    /// # Errors
    /// As [`retry`](Self::retry).
    pub async fn discard(&self, id: i64) -> Result<(), Error> {
        self.store.request(id, "discard").await
    }

    /// Moves a position. Events from there on that the inbox knows are not handled again. Whoever reads the partition
    /// begins anew, in the topic that is there now, should it have been made anew.
    ///
    /// # Errors
    /// The group has no such position, or the inbox has forgotten what is there ([`Error::is_refused`]).
    pub async fn move_position(&self, topic: &str, partition: i32, to: i64, horizon: Horizon) -> Result<(), Error> {
        self.store.move_position(topic, partition, to, horizon == Horizon::Force).await
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("group", &self.store.group).finish_non_exhaustive()
    }
}
