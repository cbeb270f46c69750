use super::lease::Lease;
use super::{Deferred, Maintenance, MaintenanceReport, has_row, is_busy, millis, partitions};
use crate::Error;
use crate::history::{Confirmed, in_gaps};
use crate::session::Session;
use crate::sql_text::{companion, quoted};

impl Maintenance {
    /// Detaches the partitions that are older than the retention, and finishes a detachment that an earlier run began.
    /// Keeps those with rows that no slot has published.
    pub(super) async fn detach(
        &self,
        client: &Session<'_>,
        lease: &Lease,
        now: u64,
        confirmed: Option<&Confirmed>,
        report: &mut MaintenanceReport,
    ) -> Result<(), Error> {
        let layout = self.pipeline.layout();
        let (parent, record) = (layout.qualified_name(), companion(layout, "_detached"));
        let end = now.saturating_sub(millis(self.retention));
        let mut due: Vec<_> = partitions(client, layout).await?;
        due.retain(|partition| partition.is_pending || partition.to <= end);

        // PostgreSQL allows one pending detachment, and begins no other before it has ended.
        due.sort_by_key(|partition| !partition.is_pending);

        for partition in due {
            lease.renew(client).await?;
            let doing = format!("detach the partition {}", partition.name);
            let failed = |e| Error::database(&doing, e);

            // The record comes first, so that the next run knows of a detachment that ends meanwhile.
            let begin = format!("INSERT INTO {record} (partition) VALUES ($1) ON CONFLICT DO NOTHING");
            client.execute(&begin, &[&partition.name]).await.map_err(failed)?;
            let how = if partition.is_pending { "FINALIZE" } else { "CONCURRENTLY" };
            let child = format!("{}.{}", layout.schema(), quoted(&partition.name));
            if self.has_missed(client, &child, confirmed).await? {
                report.waiting.push(Deferred::Missed { table: child });
                continue;
            }

            match client.batch_execute(&format!("ALTER TABLE {parent} DETACH PARTITION {child} {how}")).await {
                Ok(()) => report.detached.push(partition.name),
                Err(e) if is_busy(&e) => {
                    report.waiting.push(Deferred::Lock { table: child });
                    break;
                }
                Err(e) => return Err(failed(e)),
            }
        }

        // A position after the detachment is also correct: the slots must then confirm more.
        let end = format!(
            "UPDATE {record} SET wal_position = pg_current_wal_insert_lsn(), detached_at = clock_timestamp()
             WHERE wal_position IS NULL AND partition NOT IN (
                 SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
                 WHERE inhparent = to_regclass($1))"
        );
        client.execute(&end, &[&parent]).await.map_err(|e| Error::database("record detachments", e))?;
        Ok(())
    }

    /// Drops the detached partitions whose rows are all confirmed. The others stay for a later run.
    pub(super) async fn drop_detached(
        &self,
        client: &Session<'_>,
        lease: &Lease,
        confirmed: Option<&Confirmed>,
        report: &mut MaintenanceReport,
    ) -> Result<(), Error> {
        let layout = self.pipeline.layout();
        let record = companion(layout, "_detached");

        for partition in self.detached(client).await? {
            let child = format!("{}.{}", layout.schema(), quoted(&partition));
            if confirmed.is_none() {
                report.waiting.push(Deferred::NoSlot { slot: self.pipeline.slot().clone() });
                continue;
            }
            if let Some(waiting) = self.unconfirmed(client, &partition).await? {
                report.waiting.push(waiting);
                continue;
            }

            lease.renew(client).await?;
            if self.has_missed(client, &child, confirmed).await? {
                report.waiting.push(Deferred::Missed { table: child });
                continue;
            }

            let name = crate::sql_text::literal(&partition);
            let sql = format!("DROP TABLE IF EXISTS {child}; DELETE FROM {record} WHERE partition = {name}");
            match client.batch_execute(&sql).await {
                Ok(()) => report.dropped.push(partition),
                Err(e) if is_busy(&e) => report.waiting.push(Deferred::Lock { table: child }),
                Err(e) => return Err(Error::database(format!("drop the partition {child}"), e)),
            }
        }
        Ok(())
    }

    /// Lists the partitions that are detached and not yet dropped. A partition that another role has attached again is
    /// skipped.
    pub(super) async fn detached(&self, client: &Session<'_>) -> Result<Vec<String>, Error> {
        let layout = self.pipeline.layout();
        let sql = format!(
            "SELECT partition FROM {} WHERE wal_position IS NOT NULL AND partition NOT IN (
                 SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
                 WHERE inhparent = to_regclass($1)) ORDER BY 1",
            companion(layout, "_detached")
        );
        let rows = client.query(&sql, &[&layout.qualified_name()]).await;
        let rows = rows.map_err(|e| Error::database("read the detached partitions", e))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Returns whether a partition holds rows that no slot has published.
    async fn has_missed(
        &self,
        client: &Session<'_>,
        table: &str,
        confirmed: Option<&Confirmed>,
    ) -> Result<bool, Error> {
        match confirmed {
            Some(confirmed) if !confirmed.gaps.is_empty() => has_row(client, table, &in_gaps(&confirmed.gaps)).await,
            _ => Ok(false),
        }
    }

    /// Returns the WAL that the slots have still to read. PostgreSQL does not know the publication that a slot is read
    /// with, so all slots of this database must have passed it.
    async fn unconfirmed(&self, client: &Session<'_>, partition: &str) -> Result<Option<Deferred>, Error> {
        let sql = format!(
            "SELECT slot_name::text, (wal_position - coalesce(confirmed_flush_lsn, '0/0'))::int8
             FROM {} JOIN pg_replication_slots ON confirmed_flush_lsn IS NULL OR confirmed_flush_lsn < wal_position
             WHERE wal_status IS DISTINCT FROM 'lost' AND partition = $1 AND slot_type = 'logical' AND database = current_database()
             ORDER BY 2 DESC LIMIT 1",
            companion(self.pipeline.layout(), "_detached")
        );
        let row = client.query_opt(&sql, &[&partition]).await;
        let row = row.map_err(|e| Error::database("read what the replication slots have confirmed", e))?;

        Ok(row.map(|row| Deferred::Slot {
            partition: partition.to_owned(),
            slot: row.get(0),
            behind: u64::try_from(row.get::<_, i64>(1)).unwrap_or_default(),
        }))
    }
}
