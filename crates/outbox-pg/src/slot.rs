use std::time::Duration;

use outbox_core::Pipeline;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::Error;
use crate::history::{History, Latest};
use crate::readiness::{Problem, publication_problem, slot_problem};
use crate::session::Session;
use crate::sql_text::literal;

/// The time that another session may take to create the slot.
const CREATION: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// The outcome of [`create_slot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlotCreation {
    /// The slot was created: events that commit from now on are published.
    Created,
    /// The slot existed, and fits.
    Exists,
    /// The slot had existed, and was created again: [`Republish::missed`](crate::Republish::missed) publishes the
    /// events that were committed in between.
    Recreated,
}

/// Creates the logical replication slot that the connector of a pipeline reads, if it is missing.
///
/// It comes after the publication and before the first event: an event that commits before the slot exists is published
/// by [`Republish::missed`](crate::Republish::missed) only. From then on PostgreSQL keeps all WAL that the connector
/// has not confirmed, so create it when the connector is about to run. The role needs `REPLICATION` and the tables of
/// [`Migrations::outbox`](crate::Migrations::outbox), and the server `wal_level = logical`.
///
/// Without a table (`RowLife::Message`) nothing records the slots, so one that was there and is gone is created again.
/// Events that were committed in between are lost.
///
/// # Errors
/// As [`SlotOptions::create`] with the default options: a slot that was there and is gone is not created again.
pub async fn create_slot(client: &Client, pipeline: &Pipeline) -> Result<SlotCreation, Error> {
    SlotOptions::default().create(client, pipeline).await
}

/// The way in which a replication slot is created.
///
/// ```no_run
/// # use outbox_core::Pipeline;
/// # use outbox_pg::{Error, SlotOptions, tokio_postgres::Client};
/// # async fn example(client: &Client, pipeline: &Pipeline) -> Result<(), Error> {
/// SlotOptions::default().failover().create(client, pipeline).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SlotOptions {
    is_recreated: bool,
    failover: bool,
    two_phase: bool,
    patience: Duration,
}

impl Default for SlotOptions {
    /// Returns options without re-creation, failover and two-phase commit, and a wait of 60 seconds for open
    /// transactions.
    fn default() -> Self {
        Self { is_recreated: false, failover: false, two_phase: false, patience: Duration::from_secs(60) }
    }
}

impl SlotOptions {
    /// Creates a slot again that was there before, and drops one that is lost. Events that were committed in between
    /// stay unpublished until [`Republish::missed`](crate::Republish::missed), and are kept until then.
    #[must_use]
    pub fn recreate(self) -> Self {
        Self { is_recreated: true, ..self }
    }

    /// Keeps the slot on standbys that synchronize slots (PostgreSQL 17 and later).
    #[must_use]
    pub fn failover(self) -> Self {
        Self { failover: true, ..self }
    }

    /// Decodes prepared transactions before their `COMMIT PREPARED`. The relay does not read such a slot.
    #[must_use]
    pub fn two_phase(self) -> Self {
        Self { two_phase: true, ..self }
    }

    /// Sets how long to wait for the transactions that are open: 60 seconds unless set.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience: patience.max(Duration::from_millis(1)), ..self }
    }

    /// Creates the slot if it is missing.
    ///
    /// # Errors
    /// [`Error::is_not_ready`]: the publication is missing; a slot of that name is of another database, of another
    /// plugin, or lost; a slot was there and is gone, with the number of events since, unless
    /// [`recreate`](Self::recreate) asks for it; or a transaction was open for too long, with its process.
    /// [`Error::is_configuration`]: PostgreSQL before 17 has no failover. Or PostgreSQL refused.
    pub async fn create(&self, client: &Client, pipeline: &Pipeline) -> Result<SlotCreation, Error> {
        self.create_on(&client.into(), pipeline).await
    }

    /// Creates the slot as [`create`](Self::create) does, on a session of either driver.
    pub(crate) async fn create_on(&self, client: &Session<'_>, pipeline: &Pipeline) -> Result<SlotCreation, Error> {
        if let Some(problem) = publication_problem(client, pipeline).await? {
            return Err(Error::not_ready(vec![problem]));
        }
        if !pipeline.layout().row_life().has_table() {
            return self.create_without_history(client, pipeline).await;
        }

        let history = History::open(client, pipeline).await?;
        // The order matters: a recorded slot is known to have existed.
        let latest = history.latest().await?;

        match problem_once_created(client, pipeline).await? {
            None => {
                if latest == Latest::None && history.latest().await? == Latest::None {
                    history.adopt().await?;
                }
                return Ok(SlotCreation::Exists);
            }
            Some(Problem::SlotMissing { .. }) => {}
            Some(Problem::SlotLost { .. }) if self.is_recreated => {
                history.end().await?;
                drop_lost(client, pipeline).await?;
            }
            Some(problem) => return Err(Error::not_ready(vec![problem])),
        }

        let was_there = matches!(latest, Latest::Open | Latest::Ended);
        if was_there && !self.is_recreated {
            let (slot, rows) = (pipeline.slot().clone(), rows_since(client, pipeline, &history).await?);
            return Err(Error::not_ready(vec![Problem::SlotGone { slot, rows }]));
        }
        history.begin().await?;
        let creation = self.create_missing(client, pipeline).await?;
        if creation == SlotCreation::Created {
            history.created().await?;
        }
        Ok(match creation {
            SlotCreation::Created if was_there => SlotCreation::Recreated,
            creation => creation,
        })
    }

    /// Creates the slot of an outbox without a table, for which no record shows whether it had a slot before.
    async fn create_without_history(&self, client: &Session<'_>, pipeline: &Pipeline) -> Result<SlotCreation, Error> {
        match problem_once_created(client, pipeline).await? {
            None => Ok(SlotCreation::Exists),
            Some(Problem::SlotMissing { .. }) => self.create_missing(client, pipeline).await,
            Some(Problem::SlotLost { .. }) if self.is_recreated => {
                drop_lost(client, pipeline).await?;
                self.create_missing(client, pipeline).await?;
                Ok(SlotCreation::Recreated)
            }
            Some(problem) => Err(Error::not_ready(vec![problem])),
        }
    }

    async fn create_missing(&self, client: &Session<'_>, pipeline: &Pipeline) -> Result<SlotCreation, Error> {
        let name = pipeline.slot().as_str();
        match client.batch_execute(&self.sql(client, name).await?).await {
            Ok(()) => Ok(SlotCreation::Created),
            Err(e) if e.code() == Some(SqlState::DUPLICATE_OBJECT) => {
                match problem_once_created(client, pipeline).await? {
                    None => Ok(SlotCreation::Exists),
                    Some(problem) => Err(Error::not_ready(vec![problem])),
                }
            }
            Err(e) if e.code() == Some(SqlState::QUERY_CANCELED) => {
                let (slot, waited) = (pipeline.slot().clone(), self.patience);
                let process = oldest_writer(client).await?;
                Err(Error::not_ready(vec![Problem::SlotBlocked { slot, waited, process }]))
            }
            Err(e) => Err(Error::database(format!("create the replication slot {name:?}"), e)),
        }
    }

    /// Returns the SQL. Two statements in one message are one transaction, so the session keeps its own timeout.
    async fn sql(&self, client: &Session<'_>, name: &str) -> Result<String, Error> {
        let mut options = String::new();
        if self.two_phase {
            options.push_str(", twophase => true");
        }

        if self.failover {
            let version = client.query_one("SELECT current_setting('server_version_num')::int", &[]).await;
            let version: i32 = version.map_err(|e| Error::database("read the server's version", e))?.get(0);
            if version < 170_000 {
                return Err(Error::configuration("a slot with failover needs PostgreSQL 17 or later"));
            }
            options.push_str(", failover => true");
        }

        Ok(format!(
            "SET LOCAL statement_timeout = {}; SELECT pg_create_logical_replication_slot({}, 'pgoutput'{options})",
            self.patience.as_millis(),
            literal(name)
        ))
    }
}

async fn drop_lost(client: &Session<'_>, pipeline: &Pipeline) -> Result<(), Error> {
    let drop = "SELECT pg_drop_replication_slot($1)";
    let dropped = client.execute(drop, &[&pipeline.slot().as_str()]).await;
    dropped.map(|_| ()).map_err(|e| Error::database("drop the lost replication slot", e))
}

/// Counts the events that were committed since the slot that is gone had confirmed the last one that is known; none is
/// known if rows are deleted on insert.
async fn rows_since(
    client: &Session<'_>,
    pipeline: &Pipeline,
    history: &History<'_, '_>,
) -> Result<Option<u64>, Error> {
    if !pipeline.layout().row_life().keeps_rows() {
        return Ok(None);
    }
    let table = pipeline.layout().qualified_name();
    let condition = match history.unconfirmed_from().await? {
        Some(from) => format!("age(xmin) <= age('{from}'::xid)"),
        None => "true".into(),
    };
    let row = client.query_one(&format!("SELECT count(*) FROM {table} WHERE {condition}"), &[]).await;
    let rows: i64 = row.map_err(|e| Error::database(format!("count the rows of {table}"), e))?.get(0);
    Ok(Some(u64::try_from(rows).unwrap_or_default()))
}

/// Returns the process of the oldest transaction that has written, for which the creation of a slot waits.
async fn oldest_writer(client: &Session<'_>) -> Result<Option<i32>, Error> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
               ORDER BY age(backend_xid) DESC LIMIT 1";
    let row = client.query_opt(sql, &[]).await.map_err(|e| Error::database("look for open transactions", e))?;
    Ok(row.map(|row| row.get(0)))
}

/// Checks the slot again. A slot that another session is creating has no plugin yet.
async fn problem_once_created(client: &Session<'_>, pipeline: &Pipeline) -> Result<Option<Problem>, Error> {
    let deadline = Instant::now() + CREATION;
    loop {
        match slot_problem(client, pipeline).await? {
            Some(Problem::SlotOfOtherPlugin { plugin, .. }) if plugin.is_empty() && Instant::now() < deadline => {
                sleep(POLL).await;
            }
            problem => return Ok(problem),
        }
    }
}
