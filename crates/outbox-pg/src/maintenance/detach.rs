use outbox_core::Pipeline;
use tokio_postgres::Client;

use super::lease::Lease;
use super::{Maintenance, MaintenanceReport, Waiting, is_busy, millis, partitions};
use crate::Error;
use crate::companion::{companion, quoted};

impl Maintenance {
    pub(super) async fn detach(
        &self,
        client: &Client,
        lease: &Lease,
        now: u64,
        report: &mut MaintenanceReport,
    ) -> Result<(), Error> {
        let layout = self.pipeline.layout();
        let (parent, record) = (layout.qualified_name(), companion(layout, "_detached"));
        let end = now.saturating_sub(millis(self.retention));
        let mut due: Vec<_> = partitions(client, layout).await?;
        due.retain(|partition| partition.is_pending || partition.to <= end);
        // PostgreSQL has at most one detachment pending, and begins no other before that is ended.
        due.sort_by_key(|partition| !partition.is_pending);
        for partition in due {
            lease.renew(client).await?;
            let doing = format!("detach the partition {}", partition.name);
            let failed = |e| Error::database(&doing, e);
            // First, so that a detachment that ends while nobody looks is known to the next run.
            let begin = format!("INSERT INTO {record} (partition) VALUES ($1) ON CONFLICT DO NOTHING");
            client.execute(&begin, &[&partition.name]).await.map_err(failed)?;
            let how = if partition.is_pending { "FINALIZE" } else { "CONCURRENTLY" };
            let child = format!("{}.{}", layout.schema(), quoted(&partition.name));
            match client.batch_execute(&format!("ALTER TABLE {parent} DETACH PARTITION {child} {how}")).await {
                Ok(()) => report.detached.push(partition.name),
                Err(e) if is_busy(&e) => {
                    report.waiting.push(Waiting::Lock { table: child });
                    break;
                }
                Err(e) => return Err(failed(e)),
            }
        }
        // Later than the detachment is as good: the slots have to go further.
        let end = format!(
            "UPDATE {record} SET wal_position = pg_current_wal_insert_lsn(), detached_at = clock_timestamp()
             WHERE wal_position IS NULL AND partition NOT IN (
                 SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
                 WHERE inhparent = to_regclass($1))"
        );
        client.execute(&end, &[&parent]).await.map_err(|e| Error::database("record detachments", e))?;
        Ok(())
    }

    pub(super) async fn drop_detached(
        &self,
        client: &Client,
        lease: &Lease,
        report: &mut MaintenanceReport,
    ) -> Result<(), Error> {
        let layout = self.pipeline.layout();
        let record = companion(layout, "_detached");
        // One that somebody has attached again is theirs.
        let sql = format!(
            "SELECT partition FROM {record} WHERE wal_position IS NOT NULL AND partition NOT IN (
                 SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
                 WHERE inhparent = to_regclass($1)) ORDER BY 1"
        );
        let rows = client.query(&sql, &[&layout.qualified_name()]).await;
        let rows = rows.map_err(|e| Error::database("read the detached partitions", e))?;
        for row in rows {
            let partition: String = row.get(0);
            if let Some(waiting) = self.unconfirmed(client, &partition).await? {
                report.waiting.push(waiting);
                continue;
            }
            lease.renew(client).await?;
            let child = format!("{}.{}", layout.schema(), quoted(&partition));
            let name = crate::literal::literal(&partition);
            let sql = format!("DROP TABLE IF EXISTS {child}; DELETE FROM {record} WHERE partition = {name}");
            match client.batch_execute(&sql).await {
                Ok(()) => report.dropped.push(partition),
                Err(e) if is_busy(&e) => report.waiting.push(Waiting::Lock { table: child }),
                Err(e) => return Err(Error::database(format!("drop the partition {child}"), e)),
            }
        }
        Ok(())
    }

    /// PostgreSQL does not know which publication a slot is read with, so all of this database have to be past it.
    async fn unconfirmed(&self, client: &Client, partition: &str) -> Result<Option<Waiting>, Error> {
        if let Some(waiting) = without_slot(client, &self.pipeline).await? {
            return Ok(Some(waiting));
        }
        let sql = format!(
            "SELECT slot_name::text, (wal_position - coalesce(confirmed_flush_lsn, '0/0'))::int8
             FROM {} JOIN pg_replication_slots ON confirmed_flush_lsn IS NULL OR confirmed_flush_lsn < wal_position
             WHERE partition = $1 AND slot_type = 'logical' AND database = current_database()
             ORDER BY 2 DESC LIMIT 1",
            companion(self.pipeline.layout(), "_detached")
        );
        let row = client.query_opt(&sql, &[&partition]).await;
        let row = row.map_err(|e| Error::database("read what the replication slots have confirmed", e))?;
        Ok(row.map(|row| Waiting::Slot {
            partition: partition.to_owned(),
            slot: row.get(0),
            behind: u64::try_from(row.get::<_, i64>(1)).unwrap_or_default(),
        }))
    }
}

/// The table is what events can be published from, where the slot is gone.
pub(super) async fn without_slot(client: &Client, pipeline: &Pipeline) -> Result<Option<Waiting>, Error> {
    let sql = "SELECT FROM pg_replication_slots
               WHERE slot_name = $1 AND database = current_database() AND wal_status IS DISTINCT FROM 'lost'";
    let row = client.query_opt(sql, &[&pipeline.slot().as_str()]).await;
    let row = row.map_err(|e| Error::database("read the replication slots", e))?;
    Ok(row.is_none().then(|| Waiting::NoSlot { slot: pipeline.slot().clone() }))
}
