//! `outbox slot`: replication slots.

mod change;
mod state;
mod unpublished;

use std::time::Duration;

use clap::Subcommand;
use outbox_core::Identifier;
use outbox_pg::{SlotCreation, SlotOptions};
use outbox_wal::Lsn;
use serde::Serialize;

use self::state::HEAD;
use crate::exit::{Exit, Failure};
use crate::model::{ModelOptions, identifier};
use crate::output::{Output, Part, Report, bytes, or_dash, seconds};
use crate::postgres::DatabaseOptions;
use crate::prompt::Confirmation;

pub(crate) use self::change::{Change, Consent, change};
pub(crate) use self::state::SlotState;
pub(crate) use self::unpublished::{EventSource, Range, Unpublished, commit_time};

const EXAMPLES: &str = "Examples:
  outbox slot list
  outbox slot show outbox
  outbox slot create outbox
  outbox slot drop outbox --connector-config deploy/outbox-connector.json
  outbox slot create outbox --recreate    replaces a slot that is invalidated or was dropped
  outbox slot drop outbox                 counts the events that would be lost, and refuses if there are any
  outbox slot advance outbox --to 0/1A2B3C8 --lose-events";

#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum SlotCommand {
    /// Lists the replication slots of the server
    List,
    /// Shows a slot, and the events that it has still to send if nobody reads it
    ///
    /// Exit code: 1 if the slot is invalidated.
    Show {
        /// The slot
        name: String,
        #[command(flatten)]
        events: Events,
    },
    /// Creates the slot that the connector or the relay reads; one that exists and fits is left as it is
    ///
    /// An event that commits before the slot exists is never published. From then on PostgreSQL keeps the WAL that
    /// nobody has confirmed: start the reader soon.
    Create {
        /// The slot
        #[arg(value_parser = identifier)]
        name: Identifier,
        /// The publication, which must hold the outbox table [default: publication.name of --connector-config, or else
        /// outbox]
        #[arg(long, value_name = "NAME", value_parser = identifier)]
        publication: Option<Identifier>,
        /// Create a slot again that was there before, and replace one that is invalidated
        ///
        /// Events that were committed in between stay unpublished until outbox replay run NAME --missed
        /// publishes them.
        #[arg(long)]
        recreate: bool,
        /// Keep the slot on standbys that synchronize slots (PostgreSQL 17 and later)
        #[arg(long)]
        failover: bool,
    },
    /// Skips events: moves the confirmed position of a slot that nobody reads
    ///
    /// The events in between are counted and listed. If there are any, it refuses without --lose-events (exit code 3).
    Advance {
        /// The slot
        name: String,
        /// The new position; without it, the end of the WAL
        #[arg(long, value_name = "LSN")]
        to: Option<Lsn>,
        /// Accept that the events are never published
        #[arg(long)]
        lose_events: bool,
        #[command(flatten)]
        events: Events,
    },
    /// Removes a slot that nobody reads
    ///
    /// The events that it has still to send are counted and listed. If there are any, it refuses without --lose-events
    /// (exit code 3).
    Drop {
        /// The slot
        name: String,
        /// Accept that the events are never published
        #[arg(long)]
        lose_events: bool,
        #[command(flatten)]
        events: Events,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

/// Which events are listed.
#[derive(clap::Args)]
pub(crate) struct Events {
    /// The publication that the slot's reader uses [default: publication.name of --connector-config, or else outbox]
    #[arg(long, value_name = "NAME", value_parser = identifier)]
    publication: Option<Identifier>,
    /// List at most this many events
    #[arg(long, value_name = "EVENTS", default_value_t = 20)]
    list: usize,
}

impl SlotCommand {
    pub(crate) async fn run(
        self,
        database: &DatabaseOptions,
        model: &ModelOptions,
        output: Output,
        limit: Duration,
    ) -> Result<Exit, Failure> {
        let client = database.connect(limit).await?;
        match self {
            Self::List => {
                output.print(&Slots { slots: SlotState::all(&client).await? })?;
                Ok(Exit::Success)
            }
            Self::Show { name, events } => {
                let slot = SlotState::get(&client, &name).await?;
                let is_readable =
                    !slot.active && !slot.is_lost() && slot.is_in_this_database && slot.plugin == "pgoutput";

                let unpublished = if is_readable {
                    let source = events.source(model)?;
                    let range = Range { slot: &name, source: &source, before: None, listed: events.list };
                    Some(Unpublished::read(&client, range).await?)
                } else {
                    None
                };
                let exit = if slot.is_lost() { Exit::Finding } else { Exit::Success };
                output.print(&Shown { slot, unpublished })?;
                Ok(exit)
            }
            Self::Create { name, publication, recreate, failover } => {
                let publication = publication.iter().map(|name| ("publication.name", name.as_str()));
                let changes: Vec<_> = std::iter::once(("slot.name", name.as_str())).chain(publication).collect();
                let pipeline = model.pipeline_of(&changes, database, limit).await?;
                let mut options = SlotOptions::default().patience(limit);
                if recreate {
                    options = options.recreate();
                }

                if failover {
                    options = options.failover();
                }

                let created = options.create(&client, &pipeline).await.map_err(|e| {
                    let message = format!("the slot {name} cannot be created", name = name.as_str());
                    if !e.is_not_ready() {
                        return Failure::server(message).caused_by(&e);
                    }
                    let hint = format!(
                        "if a table is missing, run outbox migrate apply. For a slot that was lost, the commands are: outbox slot create \
                         {name} --recreate, then outbox replay run NAME --missed; a connector of Debezium needs outbox \
                         connector offsets CONNECTOR --delete first",
                        name = name.as_str()
                    );
                    Failure::refused(message).caused_by(&e).with_hint(&hint)
                })?;
                output.print(&Created::new(name.as_str(), created))?;
                Ok(Exit::Success)
            }
            Self::Advance { name, to, lose_events, events } => {
                let consent = consent(lose_events);
                let (source, listed) = (events.source(model)?, events.list);
                output.print(&change(&client, &name, &source, Change::Advance(to), consent, listed, output).await?)?;
                Ok(Exit::Success)
            }
            Self::Drop { name, lose_events, events, confirmation } => {
                let consent = consent(lose_events);
                let (source, listed) = (events.source(model)?, events.list);
                // The slot must exist before the command asks for confirmation.
                SlotState::get(&client, &name).await?;
                if consent == Consent::NoLoss {
                    confirmation.ask(&format!("Drop the slot {name}?"))?;
                }
                output.print(&change(&client, &name, &source, Change::Drop, consent, listed, output).await?)?;
                Ok(Exit::Success)
            }
        }
    }
}

impl Events {
    fn source(&self, model: &ModelOptions) -> Result<EventSource, Failure> {
        EventSource::new(&model.config()?, self.publication.as_ref())
    }
}

fn consent(lose_events: bool) -> Consent {
    if lose_events { Consent::LoseEvents } else { Consent::NoLoss }
}

#[derive(Serialize)]
struct Slots {
    slots: Vec<SlotState>,
}

impl Report for Slots {
    fn parts(&self) -> Vec<Part> {
        match self.slots.is_empty() {
            true => vec![Part::Line("the server has no replication slots".to_owned())],
            false => vec![Part::Table { head: HEAD, rows: self.slots.iter().map(SlotState::row).collect() }],
        }
    }
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    slot: SlotState,
    /// The events that the slot has still to send; `None` while a process reads it.
    unpublished: Option<Unpublished>,
}

impl Report for Shown {
    fn parts(&self) -> Vec<Part> {
        let slot = &self.slot;
        let quantity = |found: Option<i64>| found.map_or("-".to_owned(), bytes);
        let time = |found: Option<f64>| found.map_or("-".to_owned(), seconds);
        let waiting = match &self.unpublished {
            Some(found) if found.count > 0 => {
                format!("{} events, the oldest of {}", found.count, or_dash(found.oldest_committed_at.as_deref()))
            }
            Some(_) => "nothing".to_owned(),
            None if slot.active => "not known while the slot has a reader".to_owned(),
            None => "-".to_owned(),
        };

        let mut parts = vec![Part::Fields(vec![
            ("slot", slot.name.clone()),
            ("type", format!("{} {}", slot.kind, slot.plugin).trim().to_owned()),
            ("database", or_dash(Some(&slot.database))),
            ("reader", or_dash(slot.reader_name().as_deref())),
            ("inactive for", time(slot.inactive_seconds)),
            ("wal status", slot.status()),
            ("restart_lsn", or_dash(slot.restart_lsn.as_deref())),
            ("confirmed_flush_lsn", or_dash(slot.confirmed_flush_lsn.as_deref())),
            ("retained WAL", quantity(slot.retained_bytes)),
            ("lag", quantity(slot.lag_bytes)),
            ("lag time", time(slot.lag_seconds)),
            ("WAL until lost", quantity(slot.safe_wal_bytes)),
            ("still to send", waiting),
        ])];
        parts.extend(self.unpublished.iter().flat_map(Unpublished::parts));

        if slot.is_lost() {
            let remedy = "the slot is invalidated: PostgreSQL has removed WAL that it had still to send. Drop it, create it \
                          again with --recreate, and publish the events in between by outbox replay run NAME --missed";
            parts.push(Part::Line(remedy.to_owned()));
        }
        parts
    }
}

#[derive(Serialize)]
struct Created {
    slot: String,
    /// `created`, `recreated` or `exists`.
    result: &'static str,
}

impl Created {
    fn new(slot: &str, creation: SlotCreation) -> Self {
        let result = match creation {
            SlotCreation::Created => "created",
            SlotCreation::Recreated => "recreated",
            _ => "exists",
        };
        Self { slot: slot.to_owned(), result }
    }
}

impl Report for Created {
    fn parts(&self) -> Vec<Part> {
        let Self { slot, result } = self;
        let next = match *result {
            "exists" => "it fits",
            "recreated" => "what was committed in between is not published",
            _ => "start its reader soon, because PostgreSQL keeps the WAL for it",
        };
        vec![Part::Line(format!("slot {slot} {result}: {next}"))]
    }
}
