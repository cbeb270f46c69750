use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use outbox_core::time::{Duration, OffsetDateTime};
use outbox_core::{Error as CoreError, OutboxEvent, Pipeline};
use tokio_postgres::Client;

use crate::Error;
use crate::maintenance::{now_millis, partitions, time_of};
use crate::session::Session;

/// The times that the partitions of an outbox table have a place for. Clones share the known range.
///
/// [`PgOutbox::with_partition_range`](crate::PgOutbox::with_partition_range) refuses an event whose id is outside
/// before its INSERT would fail, and with it the business transaction. The known range becomes outdated: enqueue then
/// reads the partitions again, which takes a round trip for each such event. To save it, [`refresh`](Self::refresh) the
/// range well within the time that [`Maintenance::ahead`](crate::Maintenance::ahead) says, such as every hour.
#[derive(Clone, Debug)]
pub struct PartitionRange(Arc<[AtomicU64; 2]>);

impl PartitionRange {
    /// Reads the partitions.
    ///
    /// # Errors
    /// The catalogs could not be read.
    pub async fn read(client: &Client, pipeline: &Pipeline) -> Result<Self, Error> {
        let range = Self(Arc::default());
        range.refresh(client, pipeline).await?;
        Ok(range)
    }

    /// Reads the partitions again, for all clones.
    ///
    /// # Errors
    /// The catalogs could not be read. The known range is kept.
    pub async fn refresh(&self, client: &Client, pipeline: &Pipeline) -> Result<(), Error> {
        self.refresh_on(&client.into(), pipeline).await
    }

    pub(crate) async fn refresh_on(&self, client: &Session<'_>, pipeline: &Pipeline) -> Result<(), Error> {
        let [from, to] = range(client, pipeline).await?;
        let [known_from, known_to] = &*self.0;
        known_from.store(from, Ordering::Relaxed);
        known_to.store(to, Ordering::Relaxed);
        Ok(())
    }

    /// Returns the beginning, inclusive. It is the same as [`to`](Self::to) if there is no partition for the present.
    #[must_use]
    pub fn from(&self) -> OffsetDateTime {
        let [from, _] = &*self.0;
        instant(from.load(Ordering::Relaxed))
    }

    /// Returns the end, exclusive.
    #[must_use]
    pub fn to(&self) -> OffsetDateTime {
        let [_, to] = &*self.0;
        instant(to.load(Ordering::Relaxed))
    }

    pub(crate) fn admit(&self, event: &OutboxEvent) -> Result<(), CoreError> {
        let at = instant(time_of(event.id().as_uuid()));
        let (from, to) = (self.from(), self.to());
        if at >= from && at < to {
            return Ok(());
        }
        let rule = format!(
            "the table has partitions for ids of {from} to {to}, and this one is of {at}: run Maintenance, which creates partitions ahead"
        );
        Err(CoreError::refused("id", &event.id().to_string(), rule))
    }
}

/// Returns the partitions around the present that follow each other without a gap.
pub(crate) async fn range(client: &Session<'_>, pipeline: &Pipeline) -> Result<[u64; 2], Error> {
    let now = now_millis(client).await?;
    let mut found = [0, 0];
    for partition in partitions(client, pipeline.layout()).await? {
        let [_, to] = &mut found;
        if partition.is_pending {
            continue;
        }
        if partition.from == *to {
            *to = partition.to;
        } else if *to <= now {
            found = [partition.from, partition.to];
        }
    }

    let [from, to] = found;
    Ok(if from <= now && now < to { found } else { [0, 0] })
}

fn instant(millis: u64) -> OffsetDateTime {
    let millis = Duration::milliseconds(i64::try_from(millis).unwrap_or(i64::MAX));
    OffsetDateTime::UNIX_EPOCH.saturating_add(millis)
}
