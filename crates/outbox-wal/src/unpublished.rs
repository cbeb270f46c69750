use std::time::Duration;

use super::error::{Error, Operation};
use super::options::ConnectOptions;
use super::session::{Purpose, Session, TextRow};
use super::slot::{SlotState, Source};
use super::sql::{literal, publication_names};
use super::table::TableName;
use crate::Lsn;

/// Rows of tables that a publication left out when they were written. The WAL has them, and pgoutput does not send
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpublishedRows {
    /// Their number.
    pub count: u64,
    /// The end of the first commit with such a row.
    pub first: Lsn,
    /// The end of the last commit with such a row.
    pub last: Lsn,
    /// The time at which the first one was committed, as PostgreSQL shows it.
    pub from: String,
    /// The time at which the last one was committed, as PostgreSQL shows it.
    pub until: String,
}

/// A search for rows that a publication left out.
#[derive(Clone, Copy, Debug)]
pub struct UnpublishedSearch<'a> {
    /// The tables. Their partitions belong to them.
    pub tables: &'a [TableName],
    /// The slot, which the caller holds: the search begins at its confirmed position.
    pub slot: SlotState,
    /// Commits that end at this position or before it are not searched.
    pub after: Lsn,
    /// The end of the WAL that is searched.
    pub until: Lsn,
}

/// The WAL that one statement decodes. The server keeps the result.
const STEP: u64 = 64 << 20;
/// The bound of one statement.
const STATEMENT: Duration = Duration::from_secs(600);

impl UnpublishedSearch<'_> {
    /// Searches the WAL for rows that the publication left out. Returns `None` if it published all.
    ///
    /// PostgreSQL decodes the WAL twice, from temporary copies of the slot: by pgoutput with the publication, and by
    /// `test_decoding`, which knows no publications. A row that only the second one has was left out. Rows of a table
    /// that had another name when they were written are found only if the publication has its schema, and the table was
    /// in another schema. Rows of a partition are found from its attachment on.
    ///
    /// # Errors
    /// The server has no slots for two copies, the role may not copy the slot, or the server has no `test_decoding`.
    pub async fn run(self, options: &ConnectOptions, source: &Source) -> Result<Option<UnpublishedRows>, Error> {
        let mut position = self.slot.confirmed_flush_lsn;
        if position >= self.until || self.tables.is_empty() {
            return Ok(None);
        }

        let mut copies = Copies::open(options, source).await?;
        // Each statement decodes from the restart position on.
        let step = STEP.max(self.slot.distance());
        let mut found: Option<UnpublishedRows> = None;
        while position < self.until {
            position = Lsn::new(position.as_u64().saturating_add(step)).min(self.until);
            let rows = copies.session.query(&self.statement(&copies, position), copies.reading()).await?;
            let Some(more) = rows.into_iter().next().map(unpublished).transpose()?.flatten() else { continue };
            found = Some(match found {
                Some(before) => UnpublishedRows {
                    count: before.count.saturating_add(more.count),
                    last: more.last,
                    until: more.until,
                    ..before
                },
                None => more,
            });
        }

        copies.drop().await?;
        Ok(found)
    }

    /// Returns the statement that compares the changes of the two copies up to a position.
    ///
    /// `moved` has tables of published schemas: their rows under the same name in a schema that has no such table now,
    /// from before the table's entry in the catalogs changed last, are those of the time before it was moved.
    fn statement(&self, copies: &Copies<'_>, upto: Lsn) -> String {
        let tables: Vec<String> = self
            .tables
            .iter()
            .map(|TableName { schema, table }| format!("({}, {})", literal(schema), literal(table)))
            .collect();

        let publication = copies.source.publication();
        // Version 14 publishes no schemas.
        let moved = match copies.has_schemas {
            true => format!(
                "SELECT pg_catalog.format('.%I', c.relname) AS tail, pg_catalog.age(c.xmin) AS age
                 FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.oid
                 JOIN pg_catalog.pg_publication_namespace n ON n.pnnspid = c.relnamespace
                 JOIN pg_catalog.pg_publication p ON p.oid = n.pnpubid AND p.pubname = {}",
                literal(publication)
            ),
            false => "SELECT '' AS tail, 0 AS age WHERE false".to_owned(),
        };

        // A row of a partition counts from the transaction after its attachment on: until then, the table did not have
        // it. Both plugins name a change by its LSN. Rows of one multi-insert share theirs.
        format!(
            "WITH RECURSIVE tree (oid, age) AS (
                 SELECT c.oid, 2147483647 FROM (VALUES {tables}) v (schema_name, table_name)
                 JOIN pg_catalog.pg_namespace s ON s.nspname = v.schema_name
                 JOIN pg_catalog.pg_class c ON c.relnamespace = s.oid AND c.relname = v.table_name
                 UNION ALL
                 SELECT i.inhrelid, least(t.age, pg_catalog.age(i.xmin)) FROM tree t
                 JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
                 JOIN pg_catalog.pg_class l ON l.oid = i.inhrelid AND l.relispartition
             ), names AS (
                 SELECT pg_catalog.format('table %I.%I', s.nspname, c.relname) AS head, t.age FROM tree t
                 JOIN pg_catalog.pg_class c ON c.oid = t.oid JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
             ), moved AS (
                 {moved}
             ), changes AS MATERIALIZED (
                 SELECT xid, lsn, CASE WHEN data LIKE 'COMMIT%' THEN data END AS commit,
                     CASE WHEN data NOT LIKE 'COMMIT%' THEN pg_catalog.split_part(data, ': INSERT:', 1) END AS head
                 FROM pg_catalog.pg_logical_slot_get_changes({all}, '{upto}', NULL,
                     'include-xids', '0', 'include-timestamp', '1', 'skip-empty-xacts', '1')
                 WHERE data LIKE 'COMMIT%' OR pg_catalog.strpos(data, ': INSERT:') > 0
             ), written AS MATERIALIZED (
                 SELECT w.xid, w.lsn, pg_catalog.count(*) AS n FROM changes w JOIN names ON names.head = w.head
                 WHERE pg_catalog.age(w.xid) < names.age GROUP BY w.xid, w.lsn
                 UNION ALL
                 SELECT w.xid, w.lsn, pg_catalog.count(*) FROM changes w JOIN moved
                     ON pg_catalog.right(w.head, pg_catalog.length(moved.tail)) = moved.tail
                 WHERE pg_catalog.age(w.xid) > moved.age AND pg_catalog.to_regclass(pg_catalog.substr(w.head, 7)) IS NULL
                 GROUP BY w.xid, w.lsn
             ), sent AS MATERIALIZED (
                 SELECT lsn, pg_catalog.count(*) AS n
                 FROM pg_catalog.pg_logical_slot_get_binary_changes({sent}, '{upto}', NULL,
                     'proto_version', '1', 'publication_names', {publication})
                 WHERE pg_catalog.get_byte(data, 0) = pg_catalog.ascii('I') GROUP BY lsn
             )
             SELECT pg_catalog.sum(w.n - coalesce(s.n, 0)), pg_catalog.min(c.lsn), pg_catalog.max(c.lsn),
                 pg_catalog.min(pg_catalog.substring(c.commit, '[(]at (.*)[)]')),
                 pg_catalog.max(pg_catalog.substring(c.commit, '[(]at (.*)[)]'))
             FROM written w JOIN changes c ON c.xid = w.xid AND c.commit IS NOT NULL LEFT JOIN sent s ON s.lsn = w.lsn
             WHERE w.n > coalesce(s.n, 0) AND c.lsn > '{after}'",
            tables = tables.join(", "),
            all = literal(&copies.all),
            sent = literal(&copies.sent),
            publication = publication_names(publication),
            after = self.after,
        )
    }
}

/// Returns the rows that a statement has found.
fn unpublished(row: TextRow) -> Result<Option<UnpublishedRows>, Error> {
    let malformed = || Error::protocol("a count of rows that were left out");
    match <[_; 5]>::try_from(row).map_err(|_| malformed())? {
        [Some(count), Some(first), Some(last), Some(from), Some(until)] => Ok(Some(UnpublishedRows {
            count: count.parse().map_err(|_| malformed())?,
            first: first.parse()?,
            last: last.parse()?,
            from,
            until,
        })),
        _ => Ok(None),
    }
}

/// Two temporary copies of a slot, which are dropped with their connection.
struct Copies<'a> {
    session: Session,
    source: &'a Source,
    /// The copy that has all rows.
    all: String,
    /// The copy that has the rows that the publication sends.
    sent: String,
    /// Whether the server's publications can have schemas.
    has_schemas: bool,
}

impl<'a> Copies<'a> {
    /// Opens a session and copies the slot twice: `test_decoding` reads one copy, and pgoutput with the publication
    /// reads the other. After an error, neither copy is left.
    async fn open(options: &ConnectOptions, source: &'a Source) -> Result<Self, Error> {
        let mut session = Session::open(options, Purpose::Sql).await?;
        session.timeouts.statement = STATEMENT;
        // The setting does not exist on some systems. A lost client is then noticed later.
        _ = session.query("SET client_connection_check_interval = '5s'", Operation::Query).await;
        let pid = session.query("SELECT pg_catalog.pg_backend_pid()", Operation::Query).await?;
        let pid = pid.into_iter().flatten().flatten().next().ok_or_else(|| Error::protocol("a process id"))?;
        let (all, sent) = (format!("outbox_relay_{pid}_all"), format!("outbox_relay_{pid}_sent"));

        let sql = "SELECT 1 WHERE pg_catalog.to_regclass('pg_catalog.pg_publication_namespace') IS NOT NULL";
        let has_schemas = !session.query(sql, Operation::Query).await?.is_empty();
        let mut copies = Self { session, source, all, sent, has_schemas };
        match copies.create().await {
            Ok(()) => Ok(copies),
            Err(error) => {
                // The catch-up may need the slot of the first copy.
                _ = copies.drop().await;
                Err(error)
            }
        }
    }

    async fn create(&mut self) -> Result<(), Error> {
        for (copy, plugin) in [(&self.all, "test_decoding"), (&self.sent, "pgoutput")] {
            let (slot, to) = (self.source.slot(), literal(copy));
            let from = literal(slot);
            let sql = format!("SELECT pg_catalog.pg_copy_logical_replication_slot({from}, {to}, true, '{plugin}')");
            self.session.query(&sql, Operation::CopySlot { slot }).await?;
        }
        Ok(())
    }

    fn reading(&self) -> Operation<'a> {
        Operation::ReadChanges { slot: self.source.slot(), publication: self.source.publication() }
    }

    /// Drops the copies, because others may need their slots.
    async fn drop(mut self) -> Result<(), Error> {
        for copy in [&self.all, &self.sent] {
            let sql = format!("SELECT pg_catalog.pg_drop_replication_slot({})", literal(copy));
            self.session.query(&sql, Operation::Query).await?;
        }
        Ok(())
    }
}
