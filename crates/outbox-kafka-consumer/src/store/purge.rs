use std::time::Duration;

use super::lease::unread;
use super::{Link, Store, seconds};
use crate::Error;
use crate::protocol::purge_below;

impl Store {
    /// Forgets handled events that are older than that, in small deletes, never above a position. Returns how many.
    pub(crate) async fn purge(&self, older_than: Duration) -> Result<usize, Error> {
        let failed = |e| Error::store("forget old events of the inbox", e);
        let (client, age) = (self.connection().await?, seconds(older_than));
        // Its statements take as long as they take.
        let link = Link::client(&client, self.sending, older_than);
        let rows = link.query(&self.statements.purge_range, &[&self.group, &age]).await.map_err(failed)?;
        let mut purged = 0;
        for row in rows {
            let (position, next, horizon): (i64, i64, i64) =
                (|| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))().map_err(unread)?;
            let aged: Option<i64> = row.try_get(3).map_err(unread)?;
            let below = purge_below(next, aged.unwrap_or(0));
            if below == 0 {
                continue;
            }
            // First the horizon, so that no position can be moved to what is about to go.
            if below > horizon {
                let raised =
                    link.query_opt(&self.statements.raise_horizon, &[&position, &below]).await.map_err(failed)?;
                if raised.is_none() {
                    continue;
                }
            }
            loop {
                let params: [&(dyn deadpool_postgres::tokio_postgres::types::ToSql + Sync); 4] =
                    [&self.group, &position, &below, &age];
                let deleted = link.query(&self.statements.purge, &params).await.map_err(failed)?.len();
                purged += deleted;
                if deleted == 0 {
                    break;
                }
            }
        }
        Ok(purged)
    }
}

#[cfg(test)]
mod tests {
    use outbox_core::Identifier;
    use outbox_pg::Statements;
    use outbox_test_support::TestEnv;

    use super::*;
    use crate::store::migrations;

    #[tokio::test]
    async fn what_is_old_and_below_the_position_is_forgotten_and_nothing_else() {
        let env = TestEnv::builder().database().build().await;
        let pool = env.pool();
        let schema = Identifier::new("outbox").unwrap();
        let mut client = pool.get().await.unwrap();
        migrations(&schema).apply(&mut client).await.unwrap();
        // Offsets 0 to 2999 are old, the position is 2500, every 100th is dead and 5 belong to another group.
        client
            .batch_execute(
                "INSERT INTO outbox.consumer_position (consumer_group, topic, partition, next_offset) VALUES ('g', 't', 0, 2500);
                 INSERT INTO outbox.consumer_inbox
                 SELECT 'g', gen_random_uuid(), CASE WHEN n % 100 = 0 THEN 'dead' ELSE 'handled' END, 1, n,
                        clock_timestamp() - CASE WHEN n < 3000 THEN interval '2 days' ELSE interval '0' END
                 FROM generate_series(0, 3999) AS n;
                 INSERT INTO outbox.consumer_inbox
                 SELECT 'other', gen_random_uuid(), 'handled', 2, n, clock_timestamp() - interval '9 days'
                 FROM generate_series(1, 5) AS n",
            )
            .await
            .unwrap();
        let store = Store::new(pool.clone(), &schema, "g".to_owned(), Duration::from_secs(9), Statements::Cached);
        assert_eq!(store.purge(Duration::from_secs(24 * 3600)).await.unwrap(), 2475);
        assert_eq!(store.purge(Duration::from_secs(24 * 3600)).await.unwrap(), 0);
        let count = |sql: &'static str| async { client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) };
        assert_eq!(count("SELECT horizon FROM outbox.consumer_position").await, 2500);
        assert_eq!(count("SELECT count(*) FROM outbox.consumer_inbox WHERE record_offset >= 2500").await, 1500);
        assert_eq!(count("SELECT count(*) FROM outbox.consumer_inbox WHERE consumer_group = 'other'").await, 5);
    }
}
