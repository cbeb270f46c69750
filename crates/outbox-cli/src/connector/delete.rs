use std::time::Duration;

use clap::Args;
use outbox_core::{ConnectorConfig, Identifier};
use serde::Serialize;
use tokio_postgres::Client;

use super::state::{exists, is_stopped};
use crate::connect::Rest;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Part, Report, or_dash};
use crate::postgres::DatabaseOptions;
use crate::prompt::Confirmation;
use crate::slot::{Change, Consent, EventSource, SlotState, change};

/// The number of listed events that a dropped slot would lose.
const LISTED: usize = 20;

#[derive(Args)]
pub(crate) struct Delete {
    /// The connector
    name: String,
    /// Remove its offsets as well; a connector of the same name then begins at the confirmed position of its slot
    #[arg(long)]
    delete_offsets: bool,
    /// Drop its replication slot as well, if no events would be lost
    #[arg(long)]
    drop_slot: bool,
    /// Drop its publication as well
    #[arg(long)]
    drop_publication: bool,
    /// Accept that the events that the slot has still to send are never published
    #[arg(long, requires = "drop_slot")]
    lose_events: bool,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl Delete {
    /// Stops the connector, removes the parts that the options name, and deletes the connector last. After a failure,
    /// the connector still names the parts that are left, so the command can be repeated.
    pub(super) async fn run(
        self,
        rest: &Rest,
        database: &DatabaseOptions,
        output: Output,
        limit: Duration,
    ) -> Result<Exit, Failure> {
        let config = exists(rest, &self.name).await?;
        let name = &self.name;
        let mut left = Remains::of(name, &config);
        self.confirmation.ask(&format!("Delete the connector {name}?"))?;
        let parts = self.parts(&left)?;
        let client = match parts.slot || parts.publication {
            true => Some(database.connect(limit).await?),
            false => None,
        };

        // The slot comes first: if events would be lost, the connector is stopped and nothing is removed.
        rest.put(name, "stop").await?;
        rest.wait(name, limit, "stopped", is_stopped).await?;
        if let Some(client) = &client {
            if parts.slot {
                left.drop_slot(&self, &config, client, output, limit).await?;
            }
            if parts.publication {
                left.drop_publication(client).await?;
            }
        }

        left.offsets = rest.offsets(name).await?.len();
        if parts.offsets && left.offsets > 0 {
            rest.delete_offsets(name).await?;
            left.removed.push("offsets".to_owned());
            left.offsets = 0;
        }
        rest.delete(name).await?;
        output.print(&left)?;
        Ok(Exit::Success)
    }

    /// Returns the parts to remove: those of the options, and on a terminal those that the user accepts.
    fn parts(&self, left: &Remains) -> Result<Parts, Failure> {
        let offer = |option: bool, question: &str| match option {
            true => Ok(true),
            false => self.confirmation.offer(question),
        };

        let (slot, publication) = (or_dash(left.slot.as_deref()), or_dash(left.publication.as_deref()));
        let offsets = offer(self.delete_offsets, "Remove its offsets as well?")?;
        let slot = offer(self.drop_slot, &format!("Drop its slot {slot} as well, if no event would be lost?"))?;
        let publication = match slot {
            true => offer(self.drop_publication, &format!("Drop its publication {publication} as well?"))?,
            // The next reader of the slot needs it.
            false => self.drop_publication,
        };
        Ok(Parts { offsets, slot, publication })
    }
}

/// The parts of a connector to remove with it.
struct Parts {
    offsets: bool,
    slot: bool,
    publication: bool,
}

/// The parts that a deleted connector leaves behind.
#[derive(Serialize)]
struct Remains {
    connector: String,
    /// The parts that were removed with it.
    removed: Vec<String>,
    slot: Option<String>,
    publication: Option<String>,
    offsets: usize,
}

impl Remains {
    /// Reads the names of the objects that a connector uses. The defaults are those of Debezium.
    fn of(name: &str, config: &ConnectorConfig) -> Self {
        let or_default = |key: &str, default: &str| Some(config.get(key).unwrap_or(default).to_owned());
        Self {
            connector: name.to_owned(),
            removed: Vec::new(),
            slot: or_default("slot.name", "debezium"),
            publication: or_default("publication.name", "dbz_publication"),
            offsets: 0,
        }
    }

    /// Drops the slot when its reader has left it. Refuses to do so if it holds unpublished events, unless the options
    /// accept their loss.
    async fn drop_slot(
        &mut self,
        delete: &Delete,
        config: &ConnectorConfig,
        client: &Client,
        output: Output,
        limit: Duration,
    ) -> Result<(), Failure> {
        let Some(slot) = &self.slot else { return Ok(()) };
        if SlotState::find(client, slot).await?.is_some() {
            wait_for_reader(client, slot, limit).await?;
            let source = EventSource::new(config, None)?;
            let consent = if delete.lose_events { Consent::LoseEvents } else { Consent::NoLoss };
            let dropped = change(client, slot, &source, Change::Drop, consent, LISTED, output).await;
            dropped
                .map_err(|e| Failure::refused(format!("connector {} is stopped, not deleted: {e}", self.connector)))?;
        }
        self.removed.push(format!("slot {slot}"));
        self.slot = None;
        Ok(())
    }

    async fn drop_publication(&mut self, client: &Client) -> Result<(), Failure> {
        let Some(publication) = &self.publication else { return Ok(()) };
        let sql = format!("DROP PUBLICATION IF EXISTS {}", identifier(publication)?);
        let failed = |e| Failure::server(format!("the publication {publication} cannot be dropped")).caused_by(&e);
        client.batch_execute(&sql).await.map_err(failed)?;
        self.removed.push(format!("publication {publication}"));
        self.publication = None;
        Ok(())
    }
}

/// Waits until no process reads the slot: a stopped task closes its connection a moment later.
async fn wait_for_reader(client: &Client, slot: &str, limit: Duration) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + limit;
    while SlotState::get(client, slot).await?.active && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

fn identifier(name: &str) -> Result<Identifier, Failure> {
    Identifier::new(name).map_err(|e| Failure::usage("the connector's publication.name cannot be used").caused_by(&e))
}

impl Report for Remains {
    fn parts(&self) -> Vec<Part> {
        let mut lines = vec![format!("connector {} deleted", self.connector)];
        lines.extend(self.removed.iter().map(|removed| format!("also removed: {removed}")));
        if let Some(slot) = &self.slot {
            let option = self.publication.as_ref().map(|name| format!(" --publication {name}")).unwrap_or_default();
            lines.push(format!(
                "remains: slot {slot}, for which PostgreSQL keeps the WAL until the disk is full: put the connector back, or \
                 run outbox slot drop {slot}{option}"
            ));
        }

        if let Some(publication) = &self.publication {
            lines.push(format!("remains: publication {publication}: run DROP PUBLICATION if nobody reads it"));
        }
        if self.offsets > 0 {
            lines.push("remains: offsets, where a connector of the same name would continue".to_owned());
        }
        lines.into_iter().map(Part::Line).collect()
    }
}
