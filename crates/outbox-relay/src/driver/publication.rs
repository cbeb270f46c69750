use super::catalog::Scope;
use crate::error::Error;
use crate::tables::Candidates;
use outbox_wal::{Published, PublishedTable};

/// Checks at the start that no row of the tables can be lost. If at least one table is published correctly, a problem
/// with another one does not end the relay.
pub fn check(published: &Published, scope: &Scope) -> Result<Option<String>, Error> {
    match problem(published, scope) {
        Some(problem) if !published.has_publication && has_source(published, scope) => {
            Err(Error::missing("publication", problem))
        }
        Some(problem) if published.tables.iter().all(|table| problem_with(table, published, scope).is_some()) => {
            Err(Error::unpublished(problem))
        }
        problem => Ok(problem),
    }
}

/// Returns whether there are events that a publication would let through.
fn has_source(published: &Published, scope: &Scope) -> bool {
    scope.included.messages().is_some() || published.tables.iter().any(|table| table.oid.is_some())
}

/// Returns why rows of an included table are not published, with the remedy.
pub fn problem(published: &Published, scope: &Scope) -> Option<String> {
    match published.tables.is_empty() {
        true if scope.included.messages().is_some() => without_publication(published, scope),
        true => Some(without_tables(published, scope)),
        false => published.tables.iter().find_map(|table| problem_with(table, published, scope)),
    }
}

/// Returns the problem of messages, which pgoutput sends whatever the publication contains.
fn without_publication(published: &Published, scope: &Scope) -> Option<String> {
    let publication = scope.pipeline.publication();
    (!published.has_publication).then(|| {
        format!(
            "the publication {publication} does not exist: run CREATE PUBLICATION {publication}, which needs no table"
        )
    })
}

fn without_tables(published: &Published, scope: &Scope) -> String {
    let publication = scope.pipeline.publication();
    match scope.candidates {
        Candidates::Database => {
            "no table of the database is included by table.include.list and the other lists: create the \
                                 outbox table, or correct the lists"
                .to_owned()
        }
        Candidates::Publication if !published.has_publication => format!(
            "the publication {publication} does not exist: run CREATE PUBLICATION {publication} FOR TABLE, with the outbox \
             table, WITH (publish = 'insert', publish_via_partition_root = true)"
        ),
        Candidates::Publication => format!(
            "the publication {publication} contains no table that the configuration includes: run ALTER PUBLICATION \
             {publication} ADD TABLE, with the outbox table"
        ),
    }
}

/// Returns why rows of a table are not published as the relay needs it, with the remedy; `None` if they are.
fn problem_with(table: &PublishedTable, published: &Published, scope: &Scope) -> Option<String> {
    let (publication, name) = (scope.pipeline.publication(), &table.name);
    if !scope.included.routes(name) {
        // A table without rows has no event to write.
        return table.is_member.then(|| {
            format!(
                "the router's predicate does not match the table {name}: Debezium would write its rows as change events, \
                 which the relay does not write: leave it out of table.include.list, or of the publication {publication}, and \
                 read it with another connector (docs/replace-debezium.md)"
            )
        });
    }

    let hidden = table.hidden_columns.iter().map(String::as_str);
    let hidden: Vec<&str> = hidden.filter(|column| scope.included.uses(name, column)).collect();
    let quoted = name.quoted();
    let add_again = format!(
        "run BEGIN; ALTER PUBLICATION {publication} DROP TABLE {quoted}; ALTER PUBLICATION {publication} ADD TABLE \
         {quoted}; COMMIT"
    );

    let problem = if table.oid.is_none() {
        format!(
            "the outbox table {name} does not exist: if it was renamed or moved to another schema, restore its name, or \
             configure the new one"
        )
    } else if !published.has_publication {
        format!(
            "the publication {publication} does not exist: run CREATE PUBLICATION {publication} FOR TABLE {quoted} WITH \
             (publish = 'insert', publish_via_partition_root = true)"
        )
    } else if !published.publishes_inserts {
        format!(
            "the publication {publication} does not publish inserts: run ALTER PUBLICATION {publication} SET \
             (publish = 'insert')"
        )
    } else if table.is_partitioned && !published.publishes_via_root {
        format!(
            "the outbox table {name} is partitioned, and the publication {publication} publishes its partitions under \
             their own names: run ALTER PUBLICATION {publication} SET (publish_via_partition_root = true)"
        )
    } else if let Some(undecoded) = table.undecoded.first() {
        format!(
            "rows of {undecoded} are not in the WAL, because it is an unlogged table or a foreign table: run ALTER TABLE {} \
             SET LOGGED, or detach it from the outbox table {name}",
            undecoded.quoted()
        )
    } else if let Some(root) = &table.published_as {
        format!(
            "the publication {publication} publishes rows of the partition {name} as rows of {root}: run ALTER PUBLICATION \
             {publication} SET (publish_via_partition_root = false), or include {root} in its place"
        )
    } else if !table.is_member {
        format!(
            "the publication {publication} does not contain the outbox table {name}: run ALTER PUBLICATION \
             {publication} ADD TABLE {quoted}, or leave the table out of table.include.list"
        )
    } else if table.has_row_filter {
        format!("the publication {publication} has a row filter for the outbox table {name}: {add_again}")
    } else if !hidden.is_empty() {
        format!(
            "the publication {publication} has a column list for the outbox table {name} that leaves out {}: {add_again}",
            hidden.join(", ")
        )
    } else {
        return None;
    };
    Some(problem)
}
