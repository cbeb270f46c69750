//! The checks before the first event. `health/` has the indicators of a running pipeline.

mod insert;
mod problem;
mod publication;
mod table;

use outbox_core::Pipeline;
use tokio_postgres::Client;

pub use self::problem::Problem;
pub(crate) use self::publication::publication_problem;
pub(crate) use self::table::{FoundColumn, columns_of};

use crate::session::Session;
use crate::{Error, ownership};

/// The result of checking, before the first event is written, whether the database is ready for a pipeline.
#[derive(Clone, Debug)]
pub struct Readiness {
    problems: Vec<Problem>,
}

impl Readiness {
    /// Checks the server's `wal_level`, the table, whether this session may INSERT, the publication and the slot;
    /// without a table, only the first and the last two. It changes nothing.
    ///
    /// # Errors
    /// The catalogs could not be read. A missing object is no error here, see [`into_result`](Self::into_result).
    pub async fn check(client: &Client, pipeline: &Pipeline) -> Result<Self, Error> {
        Self::check_on(&client.into(), pipeline).await
    }

    pub(crate) async fn check_on(client: &Session<'_>, pipeline: &Pipeline) -> Result<Self, Error> {
        let mut readiness = Self::check_pipeline(client, pipeline).await?;
        readiness.problems.extend(insert::session_problems(client, pipeline).await?);
        Ok(readiness)
    }

    /// Checks as [`check`](Self::check) does, for a role that enqueues nothing.
    pub(crate) async fn check_pipeline(client: &Session<'_>, pipeline: &Pipeline) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let wal_level: String = client
            .query_one("SELECT current_setting('wal_level')", &[])
            .await
            .map_err(|e| Error::database("read wal_level", e))?
            .get(0);
        if wal_level != "logical" {
            problems.push(Problem::WalLevel { found: wal_level });
        }

        if pipeline.layout().row_life().has_table() {
            problems.extend(Self::table_problems(client, pipeline).await?);
        }
        problems.extend(publication_problem(client, pipeline).await?);
        problems.extend(slot_problem(client, pipeline).await?);
        Ok(Self { problems })
    }

    async fn table_problems(client: &Session<'_>, pipeline: &Pipeline) -> Result<Vec<Problem>, Error> {
        let mut problems = Vec::new();
        let of_columns = table::problems(client, pipeline.layout()).await?;
        if !matches!(of_columns[..], [Problem::TableMissing { .. }]) {
            problems.extend(insert::problems(client, pipeline.layout()).await?);
        }
        problems.extend(of_columns);
        problems.extend(table::life_problem(client, pipeline).await?);
        problems.extend(ownership::problems(client, pipeline.layout()).await?);
        Ok(problems)
    }

    /// Returns the problems, each with its remedy; empty if there are none.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Returns `Ok` if all is well.
    ///
    /// # Errors
    /// [`Error::is_not_ready`] with every problem and its remedy.
    pub fn into_result(self) -> Result<(), Error> {
        if self.problems.is_empty() { Ok(()) } else { Err(Error::not_ready(self.problems)) }
    }
}

/// Returns the first reason why the slot cannot carry the outbox's events.
pub(crate) async fn slot_problem(client: &Session<'_>, pipeline: &Pipeline) -> Result<Option<Problem>, Error> {
    let slot = pipeline.slot();
    let sql = "SELECT coalesce(plugin, ''), coalesce(database, ''), database = current_database(), wal_status = 'lost'
               FROM pg_replication_slots WHERE slot_name = $1";
    let row =
        client.query_opt(sql, &[&slot.as_str()]).await.map_err(|e| Error::database("read the replication slots", e))?;

    let Some(row) = row else { return Ok(Some(Problem::SlotMissing { slot: slot.clone() })) };
    let (plugin, database): (String, String) = (row.get(0), row.get(1));
    let (is_ours, is_lost): (Option<bool>, Option<bool>) = (row.get(2), row.get(3));

    Ok(if is_ours != Some(true) {
        Some(Problem::SlotOfOtherDatabase { slot: slot.clone(), database })
    } else if plugin != "pgoutput" {
        Some(Problem::SlotOfOtherPlugin { slot: slot.clone(), plugin })
    } else if is_lost == Some(true) {
        Some(Problem::SlotLost { slot: slot.clone() })
    } else {
        None
    })
}
