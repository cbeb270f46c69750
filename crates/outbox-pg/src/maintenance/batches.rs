use outbox_core::RowLife;
use outbox_core::uuid::Uuid;
use tokio_postgres::Client;

use super::detach::without_slot;
use super::lease::Lease;
use super::partition::first_id;
use super::{Maintenance, MaintenanceReport, Waiting, is_busy, millis};
use crate::Error;
use crate::companion::companion;
use crate::migration::row_life::id;

impl Maintenance {
    pub(super) async fn delete(
        &self,
        client: &Client,
        lease: &Lease,
        now: u64,
        report: &mut MaintenanceReport,
    ) -> Result<(), Error> {
        let layout = self.pipeline.layout();
        let end = first_id(now.saturating_sub(millis(self.retention)));
        match without_slot(client, &self.pipeline).await? {
            Some(waiting) => report.waiting.push(waiting),
            None => {
                let table = (layout.qualified_name(), id(layout));
                let (rows, waiting) = self.delete_from(client, lease, &table.0, &table.1, end).await?;
                report.deleted_rows = rows;
                report.waiting.extend(waiting);
            }
        }
        if layout.row_life() == RowLife::VanishKeepingIds {
            let (rows, waiting) = self.delete_from(client, lease, &companion(layout, "_ids"), "id", end).await?;
            report.deleted_ids = rows;
            report.waiting.extend(waiting);
        }
        Ok(())
    }

    /// Each batch is a transaction, and begins where the last one ended, so that it reads no dead rows. Ids of another
    /// version, which others may have written, do not tell their time.
    async fn delete_from(
        &self,
        client: &Client,
        lease: &Lease,
        table: &str,
        id: &str,
        end: Uuid,
    ) -> Result<(u64, Option<Waiting>), Error> {
        let sql = format!(
            "WITH due AS (SELECT {id} FROM {table} WHERE {id} >= $1 AND {id} < $2
                     AND get_byte(uuid_send({id}), 6) >> 4 = 7 ORDER BY {id} LIMIT $3),
                 gone AS (DELETE FROM {table} WHERE {id} IN (SELECT {id} FROM due) RETURNING {id})
             SELECT count(*), (array_agg({id} ORDER BY {id} DESC))[1] FROM gone"
        );
        let (mut start, mut deleted) = (Uuid::nil(), 0);
        loop {
            lease.renew(client).await?;
            let row = match client.query_one(&sql, &[&start, &end, &i64::from(self.batch)]).await {
                Ok(row) => row,
                Err(e) if is_busy(&e) => return Ok((deleted, Some(Waiting::Lock { table: table.to_owned() }))),
                Err(e) => return Err(Error::database(format!("delete old rows of {table}"), e)),
            };
            deleted += u64::try_from(row.get::<_, i64>(0)).unwrap_or_default();
            match row.get(1) {
                Some(last) if row.get::<_, i64>(0) == i64::from(self.batch) => start = last,
                _ => return Ok((deleted, None)),
            }
        }
    }
}
