//! The operations of a group.

mod failed_event;
mod status;

use std::fmt;
use std::time::Duration;

use outbox_core::Identifier;
use outbox_core::record::Record;
use outbox_kafka::{OffsetAt, Security};
use outbox_pg::StatementCaching;

pub(crate) use self::failed_event::Condition;
pub use self::failed_event::{EventState, FailedEvent, FailedEventFilter};
pub use self::status::{PartitionStatus, Pause, PauseTarget, Request, RequestAction, RequestOutcome};
use crate::Error;
use crate::brokers::Brokers;
use crate::store::{Paused, Pool, Store};

/// The view of an operator on a group: partitions, positions, lag, failed events, pauses.
///
/// It needs no consumer that runs. The consumer that has a partition's lease carries out retries and discards, and
/// obeys pauses, within about a second.
///
/// ```no_run
/// # use outbox_core::Identifier;
/// # use outbox_kafka_consumer::{Group, EventState, deadpool_postgres::Pool};
/// # async fn example(pool: Pool) -> Result<(), Box<dyn std::error::Error>> {
/// let group = Group::new(pool, &Identifier::new("outbox")?, "billing");
/// for letter in group.list(EventState::Dead, None, 100).await? {
///     println!("{} {} after {} attempts: {}", letter.id, letter.topic, letter.attempts, letter.error);
///     group.retry(letter.id).await?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct Group {
    store: Store,
    brokers: Option<Brokers>,
}

/// Whether a position may be moved below the horizon, where the inbox has forgotten handled events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MovePolicy {
    /// The move is rejected, because handled events would take effect again.
    #[default]
    Respect,
    /// The move is made.
    Force,
}

impl Group {
    /// Creates a handle of the group of that name, in the schema of its tables.
    #[must_use]
    pub fn new(pool: deadpool_postgres::Pool, schema: &Identifier, group: impl Into<String>) -> Self {
        Self::of(Pool::TokioPostgres(pool), schema, group.into())
    }

    /// Creates a handle of the group of that name on a pool of sqlx, in the schema of its tables.
    #[cfg(feature = "sqlx")]
    #[must_use]
    pub fn with_sqlx(pool: ::sqlx::PgPool, schema: &Identifier, group: impl Into<String>) -> Self {
        Self::of(Pool::Sqlx(pool), schema, group.into())
    }

    fn of(pool: Pool, schema: &Identifier, group: String) -> Self {
        let store = Store::new(pool, schema, group, Duration::ZERO, StatementCaching::Unnamed);
        Self { store, brokers: None }
    }

    /// Asks Kafka for the ends of partitions, so that [`status`](Self::status) has the lag also if no consumer runs.
    #[must_use]
    pub fn kafka(self, brokers: impl IntoIterator<Item = impl Into<String>>, security: Security) -> Self {
        let brokers = brokers.into_iter().map(Into::into).collect();
        Self { brokers: Some(Brokers::new(brokers, security)), ..self }
    }

    /// Returns every partition that the group has read, by topic and number.
    ///
    /// # Errors
    /// The store could not be read, or Kafka did not answer. A topic that no longer exists has no end.
    pub async fn status(&self) -> Result<Vec<PartitionStatus>, Error> {
        let mut partitions = self.store.status().await?;
        if let Some(brokers) = &self.brokers {
            for status in &mut partitions {
                status.end = end(brokers, &status.topic, status.partition).await?;
            }
        }
        Ok(partitions)
    }

    /// Returns up to `limit` failed events with an id greater than `after`, by id.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn list(
        &self,
        filter: impl Into<FailedEventFilter>,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<FailedEvent>, Error> {
        self.store.list(&filter.into(), after.unwrap_or(0), limit).await
    }

    /// Returns the number of failed events.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn count(&self, filter: impl Into<FailedEventFilter>) -> Result<u64, Error> {
        self.store.count(&filter.into()).await
    }

    /// Returns a failed event with its record as it was received; `None` if it was handled or discarded.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn show(&self, id: i64) -> Result<Option<(FailedEvent, Record)>, Error> {
        self.store.show(id).await
    }

    /// Requests that a failed event is handled again, with all its attempts; a parked one at once. With
    /// [`DeadLetterMode::BlockKey`](crate::DeadLetterMode::BlockKey) the later events of its key follow it in order.
    /// Returns the number of the [request](Self::request).
    ///
    /// # Errors
    /// It was handled or discarded ([`Error::is_refused`]), or the store could not be written.
    pub async fn retry(&self, id: i64) -> Result<i64, Error> {
        self.store.request(id, RequestAction::Retry).await
    }

    /// Requests that a failed event is discarded: its effect never happens, and the later events of its key are
    /// handled.
    ///
    /// # Errors
    /// As [`retry`](Self::retry).
    pub async fn discard(&self, id: i64) -> Result<i64, Error> {
        self.store.request(id, RequestAction::Discard).await
    }

    /// Requests a [`retry`](Self::retry) of all failed events of a filter, except those that have a request already.
    /// Returns how many there are.
    ///
    /// # Errors
    /// The store could not be written.
    pub async fn retry_all(&self, filter: impl Into<FailedEventFilter>) -> Result<u64, Error> {
        self.store.request_all(&filter.into(), RequestAction::Retry).await
    }

    /// Requests a [`discard`](Self::discard) of all failed events of a filter, except those that have a request
    /// already. Returns how many there are.
    ///
    /// # Errors
    /// The store could not be written.
    pub async fn discard_all(&self, filter: impl Into<FailedEventFilter>) -> Result<u64, Error> {
        self.store.request_all(&filter.into(), RequestAction::Discard).await
    }

    /// Returns a request and its outcome; `None` if there is none, or it was carried out more than 30 days ago.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn request(&self, id: i64) -> Result<Option<Request>, Error> {
        self.store.request_of(id).await
    }

    /// Pauses the group, a topic or an event type until it is [resumed](Self::resume), in all processes and over
    /// restarts. Transactions that run are finished. Retries and discards wait as well.
    ///
    /// # Errors
    /// The store could not be written.
    pub async fn pause(&self, target: &PauseTarget, reason: &str) -> Result<(), Error> {
        self.store.pause(&Paused::from(target), reason, None).await
    }

    /// Ends a pause of exactly this target. Returns whether there was one.
    ///
    /// # Errors
    /// The store could not be written.
    pub async fn resume(&self, target: &PauseTarget) -> Result<bool, Error> {
        self.store.resume(&Paused::from(target)).await
    }

    /// Returns the pauses.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn pauses(&self) -> Result<Vec<Pause>, Error> {
        self.store.pauses().await
    }

    /// Removes everything that the group has in the store: positions, inbox, failed events, pauses. A consumer of this
    /// name is a new group then. The inbox is removed in batches; after an error, call it again.
    ///
    /// # Errors
    /// A consumer of the group runs ([`Error::is_refused`]), or the store could not be written.
    pub async fn remove(self) -> Result<(), Error> {
        self.store.remove_group().await
    }

    /// Moves a position. Events from there on that the inbox knows are not handled again. The owner of the partition
    /// reopens it, and reads the topic that exists now if it was created again.
    ///
    /// # Errors
    /// The group has no such position, or the inbox has forgotten the events there ([`Error::is_refused`]).
    pub async fn move_position(&self, topic: &str, partition: i32, to: i64, horizon: MovePolicy) -> Result<(), Error> {
        self.store.move_position(topic, partition, to, horizon == MovePolicy::Force).await
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("group", &self.store.group).finish_non_exhaustive()
    }
}

/// Returns one after the last record of a partition; `None` if there is no such partition.
async fn end(brokers: &Brokers, topic: &str, partition: i32) -> Result<Option<i64>, Error> {
    let failed = |e: outbox_kafka::Error| Error::kafka("look up the ends of partitions").caused_by(e);
    match brokers.cluster().topic(topic).await.map_err(failed)? {
        Some(topic) if partition < topic.partitions() => {
            brokers.cluster().list_offsets(&topic, partition, OffsetAt::LastStable).await.map(Some).map_err(failed)
        }
        _ => Ok(None),
    }
}
