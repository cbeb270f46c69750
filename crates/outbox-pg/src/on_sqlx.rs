//! The functions of operation on connections of sqlx. They send the same statements as those on tokio-postgres.

use outbox_core::Pipeline;
use sqlx::{Connection as _, PgConnection};

use crate::session::{DriverError, Session};
use crate::{
    Applied, Error, Maintenance, MaintenanceOutcome, MigrationPlan, Migrations, PipelineHealth, PipelineMonitor,
    Privileges, Readiness, Replay, ReplayProgress, Republish, Roles, SlotCreation, SlotOptions,
};

/// A transaction whose snapshots are not older than its locks, whatever the default of the database is.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

impl Migrations {
    /// Applies the missing steps, as [`apply`](Self::apply) does, on a connection of sqlx.
    ///
    /// ```no_run
    /// # use outbox_core::Pipeline;
    /// # use outbox_pg::{Migrations, SlotOptions, sqlx::PgPool};
    /// # async fn example(pool: &PgPool, pipeline: &Pipeline) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut connection = pool.acquire().await?;
    /// Migrations::outbox(pipeline).apply_sqlx(&mut connection).await?;
    /// SlotOptions::default().create_sqlx(&mut connection, pipeline).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub async fn apply_sqlx(&self, connection: &mut PgConnection) -> Result<Applied, Error> {
        if self.is_unrecorded() {
            return self.apply_unrecorded(&connection.into()).await;
        }
        let failed = |doing: &str, e| Error::database(format!("{doing} the transaction of migrations"), e);
        let mut tx = connection.begin_with(BEGIN).await.map_err(|e| failed("begin", e))?;
        let applied = self.apply_in(&Session::from(&mut *tx)).await?;
        tx.commit().await.map_err(|e| failed("commit", e))?;
        Ok(applied)
    }

    /// Returns what [`apply_sqlx`](Self::apply_sqlx) would run, as [`plan`](Self::plan) does.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub async fn plan_sqlx(&self, connection: &mut PgConnection) -> Result<MigrationPlan, Error> {
        self.plan_on(&connection.into()).await
    }
}

impl SlotOptions {
    /// Creates the slot if it is missing, as [`create`](Self::create) does, on a connection of sqlx.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub async fn create_sqlx(&self, connection: &mut PgConnection, pipeline: &Pipeline) -> Result<SlotCreation, Error> {
        self.create_on(&connection.into(), pipeline).await
    }
}

impl Readiness {
    /// Checks the same as [`check`](Self::check), on a connection of sqlx.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub async fn check_sqlx(connection: &mut PgConnection, pipeline: &Pipeline) -> Result<Self, Error> {
        Self::check_on(&connection.into(), pipeline).await
    }
}

impl Privileges {
    /// Checks the same as [`check`](Self::check), on a connection of sqlx.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub async fn check_sqlx(connection: &mut PgConnection, pipeline: &Pipeline, roles: &Roles) -> Result<Self, Error> {
        Self::check_on(&connection.into(), pipeline, roles).await
    }
}

impl PipelineMonitor {
    /// Checks every indicator, as [`check`](Self::check) does, on a connection of sqlx.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub async fn check_sqlx(&mut self, connection: &mut PgConnection) -> Result<PipelineHealth, Error> {
        self.check_on(&connection.into()).await
    }
}

impl Maintenance {
    /// Does the work that is due, as [`run`](Self::run) does, on a connection of sqlx.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Cancellation
    /// The session sets back its `lock_timeout` and `statement_timeout` at the end. If the future is dropped before,
    /// close the connection.
    pub async fn run_sqlx(&self, connection: &mut PgConnection) -> Result<MaintenanceOutcome, Error> {
        self.run_on(&connection.into()).await
    }

    /// Allows the removal of rows that no slot has published, as [`release_missed`](Self::release_missed) does, on a
    /// connection of sqlx.
    ///
    /// # Errors
    /// As [`release_missed`](Self::release_missed).
    pub async fn release_missed_sqlx(&self, connection: &mut PgConnection) -> Result<(), Error> {
        self.release_missed_on(&connection.into()).await
    }
}

impl Republish {
    /// Publishes all chosen rows again, as [`run`](Self::run) does, on a connection of sqlx.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub async fn run_sqlx(&self, connection: &mut PgConnection, name: &str) -> Result<ReplayProgress, Error> {
        loop {
            let progress = self.step_sqlx(connection, name).await?;
            if progress.is_finished {
                return Ok(progress);
            }
            tokio::time::sleep(self.pause).await;
        }
    }

    /// Publishes one batch again, as [`step`](Self::step) does, on a connection of sqlx.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub async fn step_sqlx(&self, connection: &mut PgConnection, name: &str) -> Result<ReplayProgress, Error> {
        let condition = self.condition(&Session::from(&mut *connection), name).await?;
        let failed = |e| self.failed(DriverError::Sqlx(e));
        let mut tx = connection.begin_with(BEGIN).await.map_err(failed)?;
        let progress = self.step_in(&Session::from(&mut *tx), name, &condition).await?;
        tx.commit().await.map_err(failed)?;
        Ok(progress)
    }

    /// Returns how many events are left, as [`remaining`](Self::remaining) does, on a connection of sqlx.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub async fn remaining_sqlx(&self, connection: &mut PgConnection, name: &str) -> Result<u64, Error> {
        self.remaining_on(&connection.into(), name).await
    }

    /// Returns the replays of the pipeline's table, as [`list`](Self::list) does, on a connection of sqlx.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn list_sqlx(connection: &mut PgConnection, pipeline: &Pipeline) -> Result<Vec<Replay>, Error> {
        Self::list_on(&connection.into(), pipeline).await
    }
}
