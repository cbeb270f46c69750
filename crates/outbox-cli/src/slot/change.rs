use outbox_wal::Lsn;
use serde::Serialize;
use tokio_postgres::Client;

use super::SlotState;
use super::unpublished::{EventSource, Range, Unpublished};
use crate::exit::Failure;
use crate::output::{Output, Part, Report};

/// A change of a slot that may lose events.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// Moves the confirmed position forward: to a position, or to the end of the WAL.
    Advance(Option<Lsn>),
    /// Removes the slot.
    Drop,
}

/// Whether a change may lose events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    NoLoss,
    LoseEvents,
}

/// The change that was made to a slot.
#[derive(Debug, Serialize)]
pub(crate) struct Changed {
    slot: String,
    action: &'static str,
    done: bool,
    /// The position up to which the slot confirms after the change.
    to: Option<String>,
    /// The events that are never published because of the change; nothing if they cannot be counted.
    lost: Option<Unpublished>,
}

/// Advances or drops a slot. Events that would be lost are counted and printed first, and need consent.
pub(crate) async fn change(
    client: &Client,
    slot: &str,
    source: &EventSource,
    change: Change,
    consent: Consent,
    listed: usize,
    output: Output,
) -> Result<Changed, Failure> {
    let state = SlotState::get(client, slot).await?;
    state.check_unused()?;
    let to = match change {
        // Not beyond the present end: events that commit after the count would be lost without being counted.
        Change::Advance(to) => {
            let end = end(client).await?;
            Some(to.map_or(end, |to| to.min(end)))
        }
        Change::Drop => None,
    };

    if matches!(change, Change::Advance(_)) && state.is_lost() {
        let status = state.status();
        return Err(Failure::refused(format!(
            "the slot {slot} is {status} and cannot be advanced: drop it, and create it again"
        )));
    }

    let lost = match state.is_lost() || state.plugin != "pgoutput" {
        true => None,
        false => Some(Unpublished::read(client, Range { slot, source, before: to, listed }).await?),
    };
    let action = if to.is_some() { "advance" } else { "drop" };
    let mut changed = Changed { slot: slot.to_owned(), action, done: false, to: to.map(|to| to.to_string()), lost };
    if consent == Consent::NoLoss
        && let Some(reason) = changed.loss(&state)
    {
        output.print(&changed)?;
        return Err(Failure::refused(format!(
            "{reason}. Let the connector or the relay read them, or accept the loss with --lose-events"
        )));
    }

    let failed = |e| Failure::server(format!("PostgreSQL refused to {action} the slot {slot}")).caused_by(&e);
    match &changed.to {
        Some(to) => {
            let sql = "SELECT end_lsn::text FROM pg_replication_slot_advance($1, $2::text::pg_lsn)";
            changed.to = client.query_one(sql, &[&slot, to]).await.map_err(failed)?.get(0);
        }
        None => client.execute("SELECT pg_drop_replication_slot($1)", &[&slot]).await.map(drop).map_err(failed)?,
    }
    changed.done = true;
    Ok(changed)
}

async fn end(client: &Client) -> Result<Lsn, Failure> {
    let unread =
        |e: &(dyn std::error::Error + 'static)| Failure::server("the end of the WAL cannot be read").caused_by(e);
    let row = client.query_one("SELECT pg_current_wal_lsn()::text", &[]).await.map_err(|e| unread(&e))?;
    row.get::<_, String>(0).parse().map_err(|e| unread(&e))
}

impl Changed {
    /// Returns the loss that the change would cause; `None` if it loses no event.
    fn loss(&self, state: &SlotState) -> Option<String> {
        let slot = &self.slot;
        match &self.lost {
            Some(lost) if lost.count == 0 => None,
            Some(lost) => Some(format!("{} events of the slot {slot} would never be published", lost.count)),
            // Its events are no longer in the WAL: only the table has them.
            None if state.is_lost() => None,
            None => {
                Some(format!("events of the slot {slot} cannot be counted, because its plugin is {}", state.plugin))
            }
        }
    }
}

impl Report for Changed {
    fn parts(&self) -> Vec<Part> {
        let mut parts = self.lost.as_ref().map(Unpublished::parts).unwrap_or_default();
        if self.done {
            let slot = &self.slot;
            let done = match &self.to {
                Some(to) => format!("slot {slot} advanced to {to}"),
                None => {
                    format!("slot {slot} dropped: events that commit before it is created again are never published")
                }
            };
            let lost = match &self.lost {
                Some(lost) => format!("; events lost: {}", lost.count),
                None => "; events lost: not known, because they are no longer in the WAL".to_owned(),
            };
            parts.push(Part::Line(done + &lost));
        }
        parts
    }
}
