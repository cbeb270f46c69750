use std::time::Duration;

use outbox_core::Pipeline;
use outbox_core::uuid::Uuid;

use super::MaintenanceOutcome;
use crate::Error;
use crate::session::Session;
use crate::sql_text::companion;

/// The lease of maintenance, which is a row: `DETACH CONCURRENTLY` runs outside of a transaction, so no transaction
/// could hold a lock.
pub(super) struct Lease {
    table: String,
    holder: String,
    length: Duration,
}

impl Lease {
    pub(super) async fn take(
        client: &Session<'_>,
        pipeline: &Pipeline,
        length: Duration,
    ) -> Result<Result<Self, MaintenanceOutcome>, Error> {
        let failed = |e| Error::database("take the maintainer's lease", e);
        let sql = "SELECT pg_backend_pid()";
        let process: i32 = client.query_one(sql, &[]).await.map_err(failed)?.get(0);
        // Two runs on one session are two holders.
        let holder = format!("process {process}, run {}", Uuid::now_v7());
        let lease = Self { table: companion(pipeline.layout(), "_lease"), holder, length };
        if lease.extend(client).await? {
            return Ok(Ok(lease));
        }
        let sql = format!("SELECT holder FROM {}", lease.table);
        let row = client.query_opt(&sql, &[]).await.map_err(failed)?;
        Ok(Err(MaintenanceOutcome::HeldByOther { holder: row.map(|row| row.get(0)).unwrap_or_default() }))
    }

    /// Renews the lease, before each step.
    pub(super) async fn renew(&self, client: &Session<'_>) -> Result<(), Error> {
        if self.extend(client).await? { Ok(()) } else { Err(Error::lease_lost()) }
    }

    pub(super) async fn release(self, client: &Session<'_>) -> Result<(), Error> {
        let sql = format!("UPDATE {} SET until = '-infinity' WHERE holder = $1", self.table);
        client
            .execute(&sql, &[&self.holder])
            .await
            .map_err(|e| Error::database("release the maintainer's lease", e))?;
        Ok(())
    }

    async fn extend(&self, client: &Session<'_>) -> Result<bool, Error> {
        let sql = format!(
            "INSERT INTO {table} AS held (holder, until) VALUES ($1, clock_timestamp() + make_interval(secs => $2))
             ON CONFLICT (one) DO UPDATE SET holder = excluded.holder, until = excluded.until
             WHERE held.until < clock_timestamp() OR held.holder = excluded.holder",
            table = self.table
        );
        let rows = client.execute(&sql, &[&self.holder, &self.length.as_secs_f64()]).await;
        Ok(rows.map_err(|e| Error::database("take the maintainer's lease", e))? == 1)
    }
}
