use super::catalog::Scope;
use crate::Lsn;
use crate::position::{Origin, Position, RowPosition};
use crate::tables::Candidates;
use outbox_net::ErrorChain;
use outbox_wal::{ConnectOptions, Opened, Published, Source, TableName, UnpublishedRows, UnpublishedSearch};

/// The check whether rows are missing in the WAL stream because the publication left them out when they were written.
///
/// The catalogs show the present only. So after each change of the publication that may lie in the WAL that is still to
/// be read, the rows of the tables are counted in that WAL.
#[derive(Debug, Default)]
pub struct UnpublishedCheck {
    /// Whether the publication may have changed in the WAL that is still to be read.
    is_due: bool,
    /// The reason why rows are missing, with the remedy.
    found: Option<String>,
}

impl UnpublishedCheck {
    /// Takes the publication as it was before, if it was read before, and as it is now.
    pub fn observe(&mut self, before: Option<&Published>, now: &Published) {
        self.is_due |= match before {
            Some(before) => before.version != now.version,
            None => now.tables.iter().any(|table| table.may_be_newer_than_slot),
        };
    }

    /// Searches the WAL of a slot that was taken, if that is due. Returns why rows are missing.
    ///
    /// # Errors
    /// The connection is lost. If the server cannot be searched, a warning says so.
    pub async fn run(
        &mut self,
        opened: &Opened,
        published: &Published,
        (options, source): (&ConnectOptions, &Source),
        scope: &Scope,
        accepted: &[RowPosition],
    ) -> Result<Option<String>, outbox_wal::Error> {
        let routed = published.tables.iter().map(|table| &table.name).filter(|table| scope.included.routes(table));
        let tables: Vec<TableName> = routed.cloned().collect();
        if !self.is_due || tables.is_empty() {
            return Ok(self.found.clone());
        }

        let publication = scope.pipeline.publication();
        if scope.candidates == Candidates::Publication {
            // A table that the publication does not contain is not included.
            tracing::warn!(
                target: "outbox.relay", %publication, tables = names(&tables),
                "publication changed after WAL that is still to be read: rows that it did not contain then are not sent"
            );
            self.is_due = false;
            return Ok(None);
        }

        let origin = Origin::new(opened.system.system, opened.system.timeline, source.slot());
        let after = accepted.iter().filter(|position| *position.origin() == origin);
        let after = after.map(|position| position.position().commit).max().unwrap_or_default();
        let search = UnpublishedSearch { tables: &tables, slot: opened.slot, after, until: opened.flushed };
        tracing::info!(
            target: "outbox.relay", %publication, from = %opened.slot.confirmed_flush_lsn, until = %opened.flushed,
            "publication may have changed: looking for rows that it left out"
        );

        match search.run(options, source).await {
            Ok(rows) => self.found = rows.map(|rows| reason(&rows, &tables, scope, &origin)),
            Err(error) if error.is_connection_lost() || error.is_shutdown() => return Err(error),
            Err(error) => tracing::warn!(
                target: "outbox.relay", %publication, tables = names(&tables), error = %ErrorChain::new(&error),
                "publication changed after WAL that is still to be read, which cannot be searched: rows that were not \
                 published when they were written are not in the stream, publish them again from the table"
            ),
        }

        self.is_due = false;
        if after > Lsn::default() {
            tracing::warn!(target: "outbox.relay", upto = %after, "rows that the publication left out are skipped as requested");
        }
        Ok(self.found.clone())
    }
}

fn reason(rows: &UnpublishedRows, tables: &[TableName], scope: &Scope, origin: &Origin) -> String {
    let UnpublishedRows { count, first, last, from, until } = rows;
    let noun = if *count == 1 { "row" } else { "rows" };
    let position = RowPosition::new(origin.clone(), Position { commit: *last, index: 0 });
    format!(
        "the publication {} left out {count} {noun} of {} when they were written, so that they are not in the stream: they were \
         committed from {from} ({first}) to {until} ({last}). Publish them again from the table (docs/guides/replay.md), and \
         start the relay with --skip-unpublished {position}",
        scope.pipeline.publication(),
        names(tables)
    )
}

fn names(tables: &[TableName]) -> String {
    tables.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
