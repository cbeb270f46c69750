use std::time::Duration;

use deadpool_postgres::tokio_postgres::types::ToSql;
use outbox_core::time::OffsetDateTime;

use super::lease::unread;
use super::{Row, Store, seconds};
use crate::Error;

/// The largest number of rows that one transaction deletes.
const BATCH: i64 = 5_000;

/// The time at which the next purge begins. Before it, the index may have only entries of deleted rows.
#[derive(Clone, Copy, Debug)]
pub struct PurgeFrom(OffsetDateTime);

impl Default for PurgeFrom {
    fn default() -> Self {
        Self(OffsetDateTime::UNIX_EPOCH)
    }
}

impl Store {
    /// Removes handled events that are older than this age, the oldest first, in batches, and never above a position.
    /// Returns the number. The cost depends only on the removed rows. One consumer of the group purges at a time; the
    /// others do nothing.
    pub async fn purge(&self, older_than: Duration, from: &mut PurgeFrom) -> Result<u64, Error> {
        let (mut purged, mut at, mut kept) = (0, from.0, None);
        loop {
            let params: [&(dyn ToSql + Sync); 4] = [&self.group, &at, &seconds(older_than), &BATCH];
            let Some(row) = self.purge_by(&self.statements.retention.forget, &params).await? else { return Ok(purged) };
            let row = row.first().ok_or_else(|| Error::store("forget old events", "there is no answer"))?;
            let (gone, seen): (i64, i64) = (row.try_get(0).map_err(unread)?, row.try_get(1).map_err(unread)?);
            let (newest, oldest_kept): (Option<OffsetDateTime>, Option<OffsetDateTime>) =
                (row.try_get(2).map_err(unread)?, row.try_get(3).map_err(unread)?);
            purged += gone.unsigned_abs();
            kept = kept.or(oldest_kept);
            at = newest.unwrap_or(at);
            if seen < BATCH {
                break;
            }

            if gone == 0 {
                // All entries are of the same transactions, and all are to be kept.
                at += Duration::from_micros(1);
            }
        }

        from.0 = kept.unwrap_or(at);
        Ok(purged)
    }

    /// Removes requests that were carried out so long ago, members that are gone and pauses that have ended, and asks
    /// for dead letters that are older than `dead_letters` to be discarded.
    pub async fn purge_others(&self, requests: Duration, dead_letters: Option<Duration>) -> Result<(), Error> {
        self.purge_by(&self.statements.retention.forget_members, &[&self.group]).await?;
        self.purge_by(&self.statements.retention.forget_pauses, &[&self.group]).await?;
        let by_age = |age: Duration| (seconds(age), BATCH);
        let (age, batch) = by_age(requests);
        self.purge_by(&self.statements.retention.forget_requests, &[&self.group, &age, &batch]).await?;
        if let Some(age) = dead_letters {
            let (age, batch) = by_age(age);
            self.purge_by(&self.statements.retention.expire_dead, &[&self.group, &age, &batch]).await?;
        }
        Ok(())
    }

    /// Makes the first event of each key due if it waits for nothing. Returns how many there were.
    pub async fn free_heads(&self) -> Result<usize, Error> {
        let freed = self.purge_by(&self.statements.held.free_heads, &[&self.group]).await?;
        Ok(freed.map_or(0, |rows| rows.len()))
    }

    /// Runs a statement in a transaction, unless another consumer of the group purges at the moment.
    async fn purge_by(
        &self,
        sql: &super::statements::Sql,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Vec<Row>>, Error> {
        let failed = |e| Error::store("forget what is old", e);
        let mut client = self.connection().await?;
        let mut tx = self.in_time(client.read_committed_transaction()).await.map_err(failed)?;
        let mut executor = self.in_transaction(&mut tx);
        let allowed = executor.query_opt(&self.statements.retention.may_purge, &[&self.group]).await.map_err(failed)?;
        if !allowed.is_some_and(|row| row.try_get(0).unwrap_or(false)) {
            self.in_time(tx.rollback()).await.map_err(failed)?;
            return Ok(None);
        }

        let rows = executor.query(sql, params).await.map_err(failed)?;
        self.in_time(tx.commit()).await.map_err(failed)?;
        Ok(Some(rows))
    }
}

#[cfg(test)]
mod tests {
    use outbox_core::Identifier;
    use outbox_pg::StatementCaching;
    use outbox_test_support::TestEnv;

    use super::*;
    use crate::store::{Pool, migrations};

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[tokio::test]
    async fn what_is_old_and_below_the_position_is_forgotten_and_nothing_else() {
        let env = TestEnv::builder().database().build().await;
        let pool = env.pool();
        let schema = Identifier::new("outbox").unwrap();
        let mut client = pool.get().await.unwrap();
        migrations(&schema).apply(&mut client).await.unwrap();

        // Offsets 0 to 11999 are old, the position is 9000, every 100th is dead, one partition is gone, and 5 belong to
        // another group.
        client
            .batch_execute(
                "INSERT INTO outbox.consumer_position (consumer_group, topic, partition, next_offset) VALUES ('g', 't', 0, 9000);
                 INSERT INTO outbox.consumer_inbox
                 SELECT 'g', gen_random_uuid(), CASE WHEN n % 100 = 0 THEN 'dead' ELSE 'handled' END, 1, n,
                        clock_timestamp() - CASE WHEN n < 12000 THEN interval '2 days' ELSE interval '0' END
                 FROM generate_series(0, 12999) AS n;
                 INSERT INTO outbox.consumer_inbox
                 SELECT 'g', gen_random_uuid(), 'handled', 77, n, clock_timestamp() - interval '2 days'
                 FROM generate_series(1, 50) AS n;
                 INSERT INTO outbox.consumer_inbox
                 SELECT 'other', gen_random_uuid(), 'handled', 2, n, clock_timestamp() - interval '9 days'
                 FROM generate_series(1, 5) AS n",
            )
            .await
            .unwrap();

        let store = Store::new(
            Pool::TokioPostgres(pool.clone()),
            &schema,
            "g".to_owned(),
            Duration::from_secs(9),
            StatementCaching::Cached,
        );
        let mut from = PurgeFrom::default();

        // One consumer of the group at a time.
        let mut another = pool.get().await.unwrap();
        let busy = another.transaction().await.unwrap();
        let lock = "SELECT pg_advisory_xact_lock(hashtextextended('\"outbox\".consumer_inbox/g', 0))";
        busy.batch_execute(lock).await.unwrap();
        assert_eq!(store.purge(DAY, &mut from).await.unwrap(), 0);
        busy.rollback().await.unwrap();

        assert_eq!(store.purge(DAY, &mut from).await.unwrap(), 9_000 - 90 + 50);
        assert_eq!(store.purge(DAY, &mut from).await.unwrap(), 0);
        let count = |sql: &'static str| async { client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) };
        assert_eq!(count("SELECT horizon FROM outbox.consumer_position").await, 9_000);
        assert_eq!(count("SELECT count(*) FROM outbox.consumer_inbox WHERE record_offset >= 9000").await, 4_000);
        assert_eq!(count("SELECT count(*) FROM outbox.consumer_inbox WHERE consumer_group = 'other'").await, 5);

        // Those above the position were kept: they are found when it has moved.
        client.batch_execute("UPDATE outbox.consumer_position SET next_offset = 12000").await.unwrap();
        assert_eq!(store.purge(DAY, &mut from).await.unwrap(), 3_000 - 30);
    }

    #[tokio::test]
    async fn dead_letters_requests_and_members_are_removed_after_their_time() {
        let env = TestEnv::builder().database().build().await;
        let pool = env.pool();
        let schema = Identifier::new("outbox").unwrap();
        let mut client = pool.get().await.unwrap();
        migrations(&schema).apply(&mut client).await.unwrap();

        client
            .batch_execute(
                "INSERT INTO outbox.consumer_held (consumer_group, topic, partition, record_offset, state, blocks,
                     header_names, header_values, attempts, kind, error, last_failed_at)
                 SELECT 'g', 't', 0, n, CASE WHEN n = 4 THEN 'parked' ELSE 'dead' END, true, '{}', '{}', 1, 'failed', 'no',
                        clock_timestamp() - make_interval(days => n::int)
                 FROM generate_series(1, 4) AS n;
                 INSERT INTO outbox.consumer_request (consumer_group, topic, partition, held_id, action, done_at)
                 SELECT 'g', 't', 0, n, 'retry', clock_timestamp() - make_interval(days => n::int)
                 FROM generate_series(1, 3) AS n;
                 INSERT INTO outbox.consumer_member
                 SELECT 'g', gen_random_uuid(), '{t}', clock_timestamp() - make_interval(hours => n::int)
                 FROM generate_series(0, 2) AS n",
            )
            .await
            .unwrap();

        let store = Store::new(
            Pool::TokioPostgres(pool.clone()),
            &schema,
            "g".to_owned(),
            Duration::from_secs(9),
            StatementCaching::Cached,
        );

        for _ in 0..2 {
            store.purge_others(DAY * 2 + DAY / 2, Some(DAY * 2 - DAY / 2)).await.unwrap();
        }

        let ids = async |sql: &str| -> Vec<i64> {
            client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
        };
        let asked =
            "SELECT held_id FROM outbox.consumer_request WHERE action = 'discard' AND done_at IS NULL ORDER BY 1";

        assert_eq!(ids(asked).await, [2, 3], "each once, and no parked event");
        assert_eq!(
            ids("SELECT held_id FROM outbox.consumer_request WHERE done_at IS NOT NULL ORDER BY 1").await,
            [1, 2]
        );
        assert_eq!(ids("SELECT count(*) FROM outbox.consumer_member").await, [1]);
    }

    #[tokio::test]
    async fn the_first_event_of_each_key_is_freed_and_none_behind_it() {
        let env = TestEnv::builder().database().build().await;
        let pool = env.pool();
        let schema = Identifier::new("outbox").unwrap();
        let mut client = pool.get().await.unwrap();
        migrations(&schema).apply(&mut client).await.unwrap();

        // Three keys with three events each; the first event of the third is a dead letter.
        client
            .batch_execute(
                "INSERT INTO outbox.consumer_held (consumer_group, topic, partition, record_offset, state, blocks, key_digest,
                     header_names, header_values, attempts, kind, error, last_failed_at)
                 SELECT 'g', 't', 0, n, CASE WHEN n = 3 THEN 'dead' ELSE 'parked' END, true, sha256((n % 3)::text::bytea),
                        '{}', '{}', 1, 'failed', 'no', clock_timestamp()
                 FROM generate_series(1, 9) AS n",
            )
            .await
            .unwrap();

        let store = Store::new(
            Pool::TokioPostgres(pool.clone()),
            &schema,
            "g".to_owned(),
            Duration::from_secs(9),
            StatementCaching::Cached,
        );
        assert_eq!(store.free_heads().await.unwrap(), 2);
        assert_eq!(store.free_heads().await.unwrap(), 0);

        let sql = "SELECT record_offset FROM outbox.consumer_held WHERE next_attempt_at IS NOT NULL ORDER BY 1";
        let due: Vec<i64> = client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        assert_eq!(due, [1, 2]);
    }
}
