use outbox_core::Pipeline;
use outbox_wal::PublishedTable;

use crate::error::Error;

/// The tables that an error names.
const NAMED: usize = 10;

/// Checks at the start that no row of the table can be lost.
pub(super) fn check(published: &PublishedTable, pipeline: &Pipeline) -> Result<(), Error> {
    match problem(published, pipeline) {
        Some(problem) if published.table.is_some() && !published.has_publication => {
            return Err(Error::missing("publication", problem));
        }
        Some(problem) => return Err(Error::unpublished(problem)),
        None => {}
    }
    match other_included_tables(published, pipeline) {
        Some(problem) => Err(Error::unpublished(problem)),
        None => Ok(()),
    }
}

/// Warns if rows that are still to be read may have been left out: only the table itself has those.
pub(super) fn warn_of_gap(before: Option<&PublishedTable>, now: &PublishedTable, pipeline: &Pipeline) {
    let has_changed = match before {
        Some(before) => before.version != now.version,
        None => now.may_be_newer_than_slot,
    };
    if has_changed {
        let (publication, table) = (pipeline.publication(), pipeline.layout().qualified_name());
        tracing::warn!(
            target: "outbox.relay", %publication, table,
            "publication or table changed after WAL that is still to be read: rows that were not published when they were \
             written are not in the stream, insert them again from the table"
        );
    }
}

/// Returns why rows of the outbox table are not published, with the remedy.
pub(super) fn problem(published: &PublishedTable, pipeline: &Pipeline) -> Option<String> {
    let (publication, table) = (pipeline.publication(), pipeline.layout().qualified_name());
    let hidden: Vec<&str> = published
        .hidden_columns
        .iter()
        .map(String::as_str)
        .filter(|name| pipeline.layout().column(name).is_some())
        .collect();
    let add_again = format!(
        "run BEGIN; ALTER PUBLICATION {publication} DROP TABLE {table}; ALTER PUBLICATION {publication} ADD TABLE {table}; COMMIT"
    );

    let problem = if published.table.is_none() {
        format!(
            "the outbox table {table} does not exist: if it was renamed or moved to another schema, restore its name, or \
             configure the new one"
        )
    } else if !published.has_publication {
        format!(
            "the publication {publication} does not exist: run CREATE PUBLICATION {publication} FOR TABLE {table} WITH \
             (publish = 'insert', publish_via_partition_root = true)"
        )
    } else if !published.publishes_inserts {
        format!(
            "the publication {publication} does not publish inserts: run ALTER PUBLICATION {publication} SET \
             (publish = 'insert')"
        )
    } else if published.is_partitioned && !published.publishes_via_root {
        format!(
            "the outbox table {table} is partitioned, and the publication {publication} publishes its partitions under \
             their own names: run ALTER PUBLICATION {publication} SET (publish_via_partition_root = true)"
        )
    } else if !published.is_member {
        format!(
            "the publication {publication} does not contain the outbox table {table}: run ALTER PUBLICATION \
             {publication} ADD TABLE {table}"
        )
    } else if published.has_row_filter {
        format!("the publication {publication} has a row filter for the outbox table {table}: {add_again}")
    } else if !hidden.is_empty() {
        format!(
            "the publication {publication} has a column list for the outbox table {table} that leaves out {}: {add_again}",
            hidden.join(", ")
        )
    } else {
        return None;
    };
    Some(problem)
}

/// Returns which other tables of the publication the configuration includes, with the remedy.
fn other_included_tables(published: &PublishedTable, pipeline: &Pipeline) -> Option<String> {
    let is_included = |(schema, table): &&(String, String)| pipeline.includes_table(schema, table);
    let included: Vec<String> =
        published.other_tables.iter().filter(is_included).map(|(schema, table)| format!("{schema}.{table}")).collect();
    let more = match included.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = included.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    (!included.is_empty()).then(|| {
        format!(
            "table.include.list also includes {named}{more} of the publication {}, and the relay reads {} only: name only \
             this table in the list, and run another relay with another slot for each other outbox table",
            pipeline.publication(),
            pipeline.layout().qualified_name()
        )
    })
}
