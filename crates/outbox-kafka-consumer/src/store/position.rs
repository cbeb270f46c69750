use outbox_net::ErrorChain;
use std::time::Duration;

use deadpool_postgres::tokio_postgres::error::SqlState;
use outbox_core::uuid::Uuid;

use super::lease::unread;
use super::{Connection, Store};
use crate::Error;

/// The epoch under which an owner works on a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fence {
    pub position: i64,
    pub epoch: i64,
}

impl Fence {
    pub fn backend_name(self) -> String {
        format!("outbox-consumer/{}/{}", self.position, self.epoch)
    }
}

/// A partition as its new owner finds it.
#[derive(Clone, Debug)]
pub struct Taken {
    pub fence: Fence,
    pub next_offset: i64,
    pub careful_until: i64,
    pub topic_id: Option<Uuid>,
}

/// The time that the take-over waits for a lock before it terminates the backends that hold it.
const LOCK_WAIT: Duration = Duration::from_millis(500);

impl Store {
    pub async fn position(&self, topic: &str, partition: i32) -> Result<Option<i64>, Error> {
        let mut client = self.connection().await?;
        let row = self
            .on_client(&mut client)
            .query_opt(&self.statements.position.position, &[&self.group, &topic, &partition])
            .await;
        let row = row.map_err(|e| Error::store("read the position", e))?;
        row.map(|row| row.try_get(0).map_err(unread)).transpose()
    }

    /// Begins at an offset, unless the group has begun already.
    pub async fn begin_position(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
        topic_id: Option<Uuid>,
    ) -> Result<(), Error> {
        let mut client = self.connection().await?;
        let sql = &self.statements.position.begin_position;
        let begun =
            self.on_client(&mut client).query(sql, &[&self.group, &topic, &partition, &offset, &topic_id]).await;
        begun.map(drop).map_err(|e| Error::store("write the first position", e))
    }

    /// Takes a partition under a new epoch: from then on, no transaction of an earlier owner can commit. It waits for
    /// transactions that hold the partition's lock for a moment, and then terminates them.
    pub async fn take(
        &self,
        topic: &str,
        partition: i32,
        owner: Uuid,
        topic_id: Option<Uuid>,
        abandoned_window: Option<usize>,
    ) -> Result<Taken, Error> {
        let failed = |e| Error::store("take the partition over", e);
        let mut client = self.connection().await?;

        if abandoned_window.is_some() {
            self.end_backends(&mut client, topic, partition).await;
        }

        let window = abandoned_window.map_or(0, |window| i64::try_from(window).unwrap_or(i64::MAX));
        loop {
            let mut tx = self.in_time(client.read_committed_transaction()).await.map_err(failed)?;
            let params: [&(dyn deadpool_postgres::tokio_postgres::types::ToSql + Sync); 7] =
                [&self.group, &topic, &partition, &abandoned_window.is_some(), &window, &topic_id, &owner];
            let mut executor = self.in_transaction(&mut tx);
            let locked = async {
                executor.execute(&format!("SET LOCAL lock_timeout = {}", LOCK_WAIT.as_millis())).await?;
                executor.query(&self.statements.position.lock_partition, &[&self.group, &topic, &partition]).await?;
                executor.query_opt(&self.statements.position.take, &params).await
            };
            let row = match locked.await {
                Ok(row) => row.ok_or_else(|| Error::not_ours(topic, partition))?,
                Err(e) if e.is_state(&SqlState::LOCK_NOT_AVAILABLE) => {
                    self.in_time(tx.rollback()).await.map_err(failed)?;
                    self.end_backends(&mut client, topic, partition).await;
                    continue;
                }
                Err(e) => return Err(failed(e)),
            };

            if abandoned_window.is_none() {
                // The process still runs, so its attempts did not end it.
                let undo = &self.statements.held.undo_attempts;
                executor.query(undo, &[&self.group, &topic, &partition]).await.map_err(failed)?;
            }

            let taken = (|| {
                Ok(Taken {
                    fence: Fence { position: row.try_get(0)?, epoch: row.try_get(1)? },
                    next_offset: row.try_get(2)?,
                    careful_until: row.try_get(3)?,
                    topic_id: row.try_get(4)?,
                })
            })()
            .map_err(unread)?;

            self.in_time(tx.commit()).await.map_err(failed)?;
            return Ok(taken);
        }
    }

    /// Ends the transactions that hold the partition's lock, if the role may; their own timeouts end them otherwise.
    async fn end_backends(&self, client: &mut Connection, topic: &str, partition: i32) {
        let sql = &self.statements.position.end_backends;
        match self.on_client(client).query(sql, &[&self.group, &topic, &partition]).await {
            Ok(rows) if rows.is_empty() => {}
            Ok(rows) => {
                tracing::warn!(target: "outbox.consumer", topic, partition, backends = rows.len(), "backends of an earlier owner terminated");
            }
            Err(e) => {
                tracing::debug!(target: "outbox.consumer", topic, partition, error = %ErrorChain::new(e.as_source()), "backends of an earlier owner not terminated: their timeouts end them");
            }
        }
    }

    /// Records the consumer that is about to handle an event alone. Returns how many consumers in a row before it began
    /// the same event and are gone.
    pub async fn start_alone(&self, fence: Fence, offset: i64, starter: Uuid) -> Result<i64, Error> {
        let mut client = self.connection().await?;
        let sql = &self.statements.position.start_alone;
        let row = self.on_client(&mut client).query_opt(sql, &[&fence.position, &fence.epoch, &offset, &starter]).await;
        let row = row.map_err(|e| Error::store("record the start of an event", e))?.ok_or_else(Error::fenced)?;
        row.try_get(0).map_err(unread)
    }

    /// Records that the process has survived the event that it handled alone.
    pub async fn not_alone(&self, fence: Fence) -> Result<(), Error> {
        let mut client = self.connection().await?;
        let done = self
            .on_client(&mut client)
            .query(&self.statements.position.not_alone, &[&fence.position, &fence.epoch])
            .await;
        done.map(drop).map_err(|e| Error::store("record the end of an event", e))
    }

    /// Records why a partition is paused, if this consumer still has its lease.
    pub async fn set_stopped(&self, topic: &str, partition: i32, owner: Uuid, why: Option<&str>) -> Result<(), Error> {
        let why = why.map(|why| self.storable(why));
        let mut client = self.connection().await?;
        let sql = &self.statements.position.set_stopped;
        let set = self.on_client(&mut client).query(sql, &[&self.group, &topic, &partition, &why, &owner]).await;
        set.map(drop).map_err(|e| Error::store("record why a partition is stopped", e))
    }

    /// Begins again in a topic that was created again.
    pub async fn reset_position(&self, fence: Fence, offset: i64) -> Result<(), Error> {
        let mut client = self.connection().await?;
        let sql = &self.statements.position.reset_position;
        let row = self.on_client(&mut client).query_opt(sql, &[&fence.position, &fence.epoch, &offset]).await;
        row.map_err(|e| Error::store("begin again", e))?.map(drop).ok_or_else(Error::fenced)
    }
}

#[cfg(test)]
mod tests {
    use outbox_core::Identifier;
    use outbox_pg::StatementCaching;
    use outbox_test_support::TestEnv;

    use super::*;
    use crate::Isolation;
    use crate::store::{Entry, Pool, Progress, SettingsCheck, migrations};

    const PLACE: (&str, i32) = ("t", 0);
    const LEVEL: Isolation = Isolation::ReadCommitted;
    const CHECK: SettingsCheck = SettingsCheck::Listed;

    /// A group with one partition, whose lease is free.
    struct Group {
        env: Option<TestEnv>,
        store: Store,
    }

    impl Group {
        /// Returns a group in its own database, for each driver.
        async fn of_each_driver() -> Vec<Self> {
            let mut groups = Vec::new();
            for driver in 0..Pool::of_each_driver("postgres://nowhere").len() {
                let env = TestEnv::builder().database().build().await;
                let schema = Identifier::new("outbox").unwrap();
                migrations(&schema).apply(&mut env.client().await).await.unwrap();
                let group = Self::of(Pool::of_each_driver(env.url()).remove(driver), &schema).await;
                groups.push(Self { env: Some(env), ..group });
            }
            groups
        }

        async fn of(pool: Pool, schema: &Identifier) -> Self {
            let store = Store::new(pool, schema, "g".to_owned(), Duration::from_secs(60), StatementCaching::Cached);
            store.begin_position(PLACE.0, PLACE.1, 0, None).await.unwrap();
            store
                .add_seats(&mut store.connection().await.unwrap(), &[(PLACE.0.to_owned(), PLACE.1)].into())
                .await
                .unwrap();
            Self { env: None, store }
        }

        async fn sql(&self, sql: &str) {
            let sql = sql.replace("{s}", &self.store.schema.to_string());
            let mut client = self.store.connection().await.unwrap();
            self.store.on_client(&mut client).execute(&sql).await.unwrap();
        }

        /// Lets a member that is alive take the partition of one that let its lease run out.
        async fn take(&self, owner: Uuid) -> Fence {
            let mut client = self.store.connection().await.unwrap();
            self.sql("UPDATE {s}.consumer_lease SET expires_at = clock_timestamp()").await;
            self.store.renew(&mut client, owner, &[PLACE.0.to_owned()], &[]).await.unwrap();
            let claimed = self.store.claim(&mut client, owner, &[(PLACE.0.to_owned(), PLACE.1)]).await.unwrap();
            assert_eq!(claimed.len(), 1);
            self.store.take(PLACE.0, PLACE.1, owner, None, Some(100)).await.unwrap().fence
        }
    }

    #[tokio::test]
    async fn an_owner_that_was_overtaken_cannot_commit() {
        for group in Group::of_each_driver().await {
            let (first, second) = (group.take(Uuid::now_v7()).await, group.take(Uuid::now_v7()).await);
            let entry = Entry { id: Some(Uuid::now_v7()), offset: 0, key: None };
            let mut client = group.store.connection().await.unwrap();
            let mut tx = client.transaction().await.unwrap();
            let begun =
                group.store.begin(&mut tx, first, PLACE.0, std::slice::from_ref(&entry), LEVEL, CHECK).await.unwrap();
            assert!(begun.is_none(), "the fence holds");
            tx.rollback().await.unwrap();
            let moved = |fence| [Progress { fence, position: 5, end: Some(7) }];
            assert!(group.store.advance(&moved(first)).await.unwrap().is_empty());
            assert_eq!(group.store.advance(&moved(second)).await.unwrap(), [second.position]);

            // One that does not end keeps the lock: the next owner of the partition ends it.
            let mut tx = client.transaction().await.unwrap();
            group
                .store
                .begin(&mut tx, second, PLACE.0, std::slice::from_ref(&entry), LEVEL, CHECK)
                .await
                .unwrap()
                .unwrap();
            let third = group.take(Uuid::now_v7()).await;
            let error = group.store.close_guard(&mut tx, second, LEVEL, CHECK).await.unwrap_err();
            assert!(!error.is_rejected_commit(), "{error:?}");
            drop(tx);
            assert!(group.store.known(&[entry.id.unwrap()]).await.unwrap().is_empty());
            assert!(third.epoch > second.epoch && second.epoch > first.epoch);
        }
    }

    /// The ids of positions begin with 1 in each schema, so those of two schemas are the same.
    #[tokio::test]
    async fn transactions_of_another_schema_are_not_ended() {
        for ours in Group::of_each_driver().await {
            let theirs = Identifier::new("other").unwrap();
            let (pool, env) = (ours.store.pool.clone(), ours.env.as_ref().unwrap());
            migrations(&theirs).apply(&mut env.client().await).await.unwrap();
            let theirs = Group::of(pool, &theirs).await;
            let (a, b) = (ours.take(Uuid::now_v7()).await, theirs.take(Uuid::now_v7()).await);
            assert_eq!(a.position, b.position);

            let mut client = theirs.store.connection().await.unwrap();
            let mut tx = client.transaction().await.unwrap();
            assert!(theirs.store.begin_bounded(&mut tx, b, LEVEL, CHECK).await.unwrap());
            ours.take(Uuid::now_v7()).await;
            theirs.store.close_guard(&mut tx, b, LEVEL, CHECK).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    #[tokio::test]
    async fn only_processes_that_are_gone_count_as_victims_of_poison() {
        for group in Group::of_each_driver().await {
            let [a, b, c] = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
            let ended = async |fence, offset, starter| group.store.start_alone(fence, offset, starter).await.unwrap();
            assert_eq!(ended(group.take(a).await, 7, a).await, 0);
            // The store was unreachable for longer than a lease, but the consumer that began is back: the partition was
            // released, or opened again by the same process.
            assert_eq!(ended(group.take(b).await, 7, b).await, 0);
            group.sql("UPDATE {s}.consumer_member SET expires_at = clock_timestamp()").await;
            let fence = group.take(c).await;
            assert_eq!(ended(fence, 7, c).await, 2);
            assert_eq!(ended(fence, 8, c).await, 0, "another event");
            group.store.not_alone(fence).await.unwrap();
            assert_eq!(ended(fence, 7, a).await, 0);
        }
    }
}
