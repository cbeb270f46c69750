use outbox_core::uuid::Uuid;
use outbox_core::{Identifier, RowLife};

use super::lease::Lease;
use super::partition::first_id;
use super::{Deferred, Maintenance, MaintenanceReport, has_row, is_busy, millis};
use crate::Error;
use crate::history::{Confirmed, in_gaps};
use crate::migration::row_life::id;
use crate::session::Session;
use crate::sql_text::companion;

impl Maintenance {
    /// Deletes the rows older than the retention that the slot has confirmed, in batches. Those that are not confirmed
    /// stay, and the report names the reason.
    pub(super) async fn delete(
        &self,
        client: &Session<'_>,
        lease: &Lease,
        now: u64,
        confirmed: Option<&Confirmed>,
        report: &mut MaintenanceReport,
    ) -> Result<(), Error> {
        let layout = self.pipeline.layout();
        let end = first_id(now.saturating_sub(millis(self.retention)));

        match confirmed {
            None => report.waiting.push(Deferred::NoSlot { slot: self.pipeline.slot().clone() }),
            Some(confirmed) => {
                let (table, id) = (layout.qualified_name(), id(layout));
                let may = format!("{} AND NOT {}", confirmed.of_row(), in_gaps(&confirmed.gaps));
                let (rows, waiting) = self.delete_from(client, lease, &table, &id, end, &may).await?;
                report.deleted_rows = rows;
                report.waiting.extend(waiting);
                report
                    .waiting
                    .extend(self.left(client, confirmed, &format!("{id} < '{end}' AND {}", is_timed(&id))).await?);
            }
        }

        if layout.row_life() == RowLife::DeleteOnInsertKeepIds {
            let (rows, waiting) =
                self.delete_from(client, lease, &companion(layout, "_ids"), "id", end, "true").await?;
            report.deleted_ids = rows;
            report.waiting.extend(waiting);
        }
        Ok(())
    }

    /// Returns why due rows were not removed.
    async fn left(&self, client: &Session<'_>, confirmed: &Confirmed, due: &str) -> Result<Vec<Deferred>, Error> {
        let table = self.pipeline.layout().qualified_name();
        let missed = in_gaps(&confirmed.gaps);
        let mut waiting = Vec::new();
        if !confirmed.gaps.is_empty() && has_row(client, &table, &format!("{due} AND {missed}")).await? {
            waiting.push(Deferred::Missed { table: table.clone() });
        }

        for position in &confirmed.slots {
            let unconfirmed = format!("{due} AND NOT {missed} AND NOT {}", position.of_row());
            if has_row(client, &table, &unconfirmed).await? {
                let slot = Identifier::new(&*position.slot).unwrap_or_else(|_| self.pipeline.slot().clone());
                waiting.push(Deferred::Unconfirmed { table: table.clone(), slot });
            }
        }
        Ok(waiting)
    }

    /// Deletes rows in batches. Each batch is a transaction, and begins where the last one ended, so that it reads no
    /// dead rows. Ids of other versions, which other programs may have written, contain no time.
    async fn delete_from(
        &self,
        client: &Session<'_>,
        lease: &Lease,
        table: &str,
        id: &str,
        end: Uuid,
        may: &str,
    ) -> Result<(u64, Option<Deferred>), Error> {
        let sql = format!(
            "WITH due AS (SELECT {id} FROM {table} WHERE {id} >= $1 AND {id} < $2
                     AND {is_timed} AND {may} ORDER BY {id} LIMIT $3),
                 gone AS (DELETE FROM {table} WHERE {id} IN (SELECT {id} FROM due) RETURNING {id})
             SELECT count(*), (array_agg({id} ORDER BY {id} DESC))[1] FROM gone",
            is_timed = is_timed(id),
        );
        let (mut start, mut deleted) = (Uuid::nil(), 0);
        loop {
            lease.renew(client).await?;
            let row = match client.query_one(&sql, &[&start, &end, &i64::from(self.batch)]).await {
                Ok(row) => row,
                Err(e) if is_busy(&e) => return Ok((deleted, Some(Deferred::Lock { table: table.to_owned() }))),
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

/// Returns the condition in SQL that an id is of version 7, which holds a time.
fn is_timed(id: &str) -> String {
    format!("get_byte(uuid_send({id}), 6) >> 4 = 7")
}
