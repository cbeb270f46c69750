use std::time::Duration;

use clap::Args;
use outbox_core::Pipeline;
use outbox_pg::uninstall_sql;
use serde::Serialize;
use tokio_postgres::Client;

use crate::exit::{Exit, Failure};
use crate::model::ModelOptions;
use crate::output::{Output, Part, Report, write};
use crate::postgres::DatabaseOptions;
use crate::prompt::Confirmation;
use crate::slot::{EventSource, Range, SlotState, Unpublished};

const EXAMPLES: &str = "Examples:
  outbox uninstall --print
  outbox uninstall --connector-config connector.json
  outbox uninstall --lose-events --yes";

/// Removes an outbox: its replication slot, its publication, its table, and what migrations made for it
///
/// Delete the connector or stop the relay first: it refuses while the slot has a reader. It counts the events that
/// would never be published, lists the first of them, and refuses without --lose-events if there are any (exit code 3).
/// Roles and the tables of consumers stay. The role must own the table and have REPLICATION.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Uninstall {
    /// Print the SQL, for psql -v ON_ERROR_STOP=1 -f, and remove nothing
    #[arg(long)]
    print: bool,
    /// Accept that events are never published
    #[arg(long)]
    lose_events: bool,
    /// List at most this many events
    #[arg(long, value_name = "EVENTS", default_value_t = 20)]
    list: usize,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    model: ModelOptions,
}

/// An outbox in the database, and the events that a removal would lose.
#[derive(Serialize)]
struct Installed {
    /// The slot, if this database has it.
    slot: Option<String>,
    publication: Option<String>,
    table: Option<String>,
    /// The rows of the table.
    rows: Option<i64>,
    /// The events that the slot has still to send, if they can be counted.
    unpublished: Option<Unpublished>,
    removed: bool,
    #[serde(skip)]
    loss: Option<String>,
}

impl Uninstall {
    /// Removes the outbox after consent. Refuses to do so if events are unpublished, unless the options accept their
    /// loss.
    pub(crate) async fn run(self, output: Output, limit: Duration) -> Result<Exit, Failure> {
        let pipeline = self.model.pipeline()?;
        let script = uninstall_sql(&pipeline);
        if self.print {
            write(&script)?;
            return Ok(Exit::Success);
        }

        let client = self.database.connect(limit).await?;
        let mut installed = self.look(&client, &pipeline).await?;
        if installed.is_nothing() {
            output.print(&installed)?;
            return Ok(Exit::Success);
        }
        if let Some(loss) = installed.loss.as_ref().filter(|_| !self.lose_events) {
            output.print(&installed)?;
            return Err(Failure::refused(format!(
                "{loss}. Let the connector or the relay read them, or accept the loss with --lose-events"
            )));
        }
        self.confirmation.ask(&format!("Remove {}?", installed.parts_in_words()))?;

        let failed = |e| Failure::server("the outbox cannot be removed").caused_by(&e);
        client.batch_execute(&script).await.map_err(failed)?;
        installed.removed = true;
        output.print(&installed)?;
        Ok(Exit::Success)
    }

    /// Looks up the installed objects. Fails if the slot is in use.
    async fn look(&self, client: &Client, pipeline: &Pipeline) -> Result<Installed, Failure> {
        let unread = |e| Failure::server("the catalogs cannot be read").caused_by(&e);
        let (slot, publication) = (pipeline.slot().as_str(), pipeline.publication().as_str());
        let table = pipeline.layout().row_life().has_table().then(|| pipeline.layout().qualified_name());

        let state = SlotState::find(client, slot).await?.filter(|state| state.is_in_this_database);
        if let Some(state) = &state {
            state.check_unused()?;
        }
        let sql = "SELECT to_regclass($1) IS NOT NULL, EXISTS (SELECT FROM pg_publication WHERE pubname = $2)";
        let row = client.query_one(sql, &[&table, &publication]).await.map_err(unread)?;
        let (has_table, is_published): (bool, bool) =
            (row.try_get(0).map_err(unread)?, row.try_get(1).map_err(unread)?);
        let table = table.filter(|_| has_table);
        let rows = match &table {
            Some(table) => Some(rows(client, table).await?),
            None => None,
        };

        let unpublished = match &state {
            Some(state) if !state.is_lost() && state.plugin == "pgoutput" => {
                let source = EventSource::new(pipeline.config(), Some(pipeline.publication()))?;
                let range = Range { slot, source: &source, before: None, listed: self.list };
                match Unpublished::read(client, range).await {
                    Err(_) if self.lose_events => None,
                    read => Some(read?),
                }
            }
            _ => None,
        };
        let loss = loss(state.is_some(), unpublished.as_ref(), rows, pipeline);
        Ok(Installed {
            slot: state.map(|state| state.name),
            publication: is_published.then(|| publication.to_owned()),
            table,
            rows,
            unpublished,
            removed: false,
            loss,
        })
    }
}

async fn rows(client: &Client, table: &str) -> Result<i64, Failure> {
    let unread = |e| Failure::server(format!("the rows of {table} cannot be counted")).caused_by(&e);
    let row = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.map_err(unread)?;
    row.try_get(0).map_err(unread)
}

/// Returns the events that a removal would lose; `None` if all of them are published.
fn loss(has_slot: bool, unpublished: Option<&Unpublished>, rows: Option<i64>, pipeline: &Pipeline) -> Option<String> {
    let slot = pipeline.slot().as_str();
    match (unpublished, rows) {
        (Some(Unpublished { count: 0, .. }), _) => None,
        (Some(unpublished), _) => {
            Some(format!("{} events of the slot {slot} would never be published", unpublished.count))
        }
        (None, Some(rows)) if rows > 0 => {
            Some(format!("the table has {rows} rows, and no slot shows which of them are published"))
        }
        (None, _) if has_slot => Some(format!("the events that the slot {slot} has still to send cannot be counted")),
        (None, _) => None,
    }
}

impl Installed {
    fn is_nothing(&self) -> bool {
        self.slot.is_none() && self.publication.is_none() && self.table.is_none()
    }

    /// Returns the parts that exist, for a sentence.
    fn parts_in_words(&self) -> String {
        let slot = self.slot.as_ref().map(|slot| format!("the slot {slot}"));
        let publication = self.publication.as_ref().map(|name| format!("the publication {name}"));
        let rows = self.rows.unwrap_or_default();
        let table = self.table.as_ref().map(|table| format!("the table {table} with {rows} rows"));
        let parts: Vec<_> = [slot, publication, table].into_iter().flatten().collect();
        parts.join(", ")
    }
}

impl Report for Installed {
    fn parts(&self) -> Vec<Part> {
        let mut parts = self.unpublished.as_ref().map(Unpublished::parts).unwrap_or_default();
        parts.push(Part::Line(match self.removed {
            _ if self.is_nothing() => "there is no outbox to remove".to_owned(),
            true => format!("removed: {}", self.parts_in_words()),
            false => format!("installed: {}", self.parts_in_words()),
        }));
        parts
    }
}
