use std::time::Duration;

use outbox_core::Pipeline;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::Error;
use crate::readiness::{Problem, publication_problem, slot_problem};

/// Creating a slot waits for the transactions that run.
const CREATION: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// What [`create_slot`] found or did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlotCreation {
    /// The slot is new: events that commit from now on will be published.
    Created,
    /// The slot was there, and fits.
    Exists,
}

/// Creates the logical replication slot that the connector of a pipeline reads, where it is missing.
///
/// It comes after the publication and before the first event: an event that commits before the slot exists is never
/// published. From then on PostgreSQL keeps all WAL that the connector has not confirmed, so create it when the
/// connector is about to run. The role needs `REPLICATION`, and the server `wal_level = logical`.
///
/// # Errors
/// The publication is missing, or a slot of that name is of another database, of another plugin, or lost
/// ([`Error::is_not_ready`]); or PostgreSQL refused.
pub async fn create_slot(client: &Client, pipeline: &Pipeline) -> Result<SlotCreation, Error> {
    if let Some(problem) = publication_problem(client, pipeline).await? {
        return Err(Error::not_ready(vec![problem]));
    }
    match problem_once_created(client, pipeline).await? {
        None => return Ok(SlotCreation::Exists),
        Some(Problem::SlotMissing { .. }) => {}
        Some(problem) => return Err(Error::not_ready(vec![problem])),
    }
    let name = pipeline.slot().as_str();
    match client.execute("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", &[&name]).await {
        Ok(_) => Ok(SlotCreation::Created),
        Err(e) if e.code() == Some(&SqlState::DUPLICATE_OBJECT) => {
            match problem_once_created(client, pipeline).await? {
                None => Ok(SlotCreation::Exists),
                Some(problem) => Err(Error::not_ready(vec![problem])),
            }
        }
        Err(e) => Err(Error::database(format!("create the replication slot {name:?}"), e)),
    }
}

/// A slot that another session is creating has no plugin yet.
async fn problem_once_created(client: &Client, pipeline: &Pipeline) -> Result<Option<Problem>, Error> {
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
