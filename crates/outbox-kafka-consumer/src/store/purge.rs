use std::time::Duration;

use super::lease::unread;
use super::{Store, seconds};
use crate::Error;
use crate::protocol::purge_below;

impl Store {
    /// Forgets handled events that are older than that, in small deletes, never above a position. Returns how many.
    pub(crate) async fn purge(&self, older_than: Duration) -> Result<usize, Error> {
        let failed = |e| Error::store("forget old events of the inbox", e);
        let (client, age) = (self.connection().await?, seconds(older_than));
        let link = self.on_client(&client);
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
