use std::fmt::{self, Display};

use super::error::{Error, Operation};
use super::options::ConnectOptions;
use super::session::{Purpose, Session, TextRow};
use super::slot::Source;
use super::slot_counters::SlotCounters;
use super::sql::literal;
use super::start::{Opened, StartAt, open_with};
use super::table::{CatalogueColumn, CustomTypes, FoundTable, TableName, read_columns, read_tables, read_types};

/// A connection that reads from the catalogs how a publication publishes tables.
pub struct PublicationCatalog {
    session: Session,
    publication: Box<str>,
    tables: Vec<TableName>,
    /// From version 15 on, schemas can be published.
    has_schemas: bool,
}

/// The version of everything in the catalogs that decides which inserts into the tables are published. Each change that
/// commits makes another version, also if it restores an earlier state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicationVersion(String);

/// The way in which a publication publishes tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The version that this describes.
    pub version: PublicationVersion,
    /// Whether the publication exists.
    pub has_publication: bool,
    /// Whether it publishes inserts.
    pub publishes_inserts: bool,
    /// Whether it publishes changes of partitions as those of the partitioned table.
    pub publishes_via_root: bool,
    /// The tables, in the order in which they are watched.
    pub tables: Vec<PublishedTable>,
}

/// The way in which a publication publishes a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedTable {
    /// Schema and name.
    pub name: TableName,
    /// The table's OID, if it exists.
    pub oid: Option<u32>,
    /// Whether the table is partitioned.
    pub is_partitioned: bool,
    /// The OIDs of its partitions at all levels.
    pub partitions: Vec<u32>,
    /// Whether the publication contains the table.
    pub is_member: bool,
    /// Whether it filters the table's rows.
    pub has_row_filter: bool,
    /// The table's columns that it leaves out.
    pub hidden_columns: Vec<String>,
    /// The table and its partitions, as far as PostgreSQL does not decode their rows: unlogged tables and foreign
    /// tables.
    pub undecoded: Vec<TableName>,
    /// The partitioned table as whose rows it publishes those of this table, if that is not the table itself.
    pub published_as: Option<TableName>,
    /// Whether it may be newer than WAL that the slot has still to read. The slot's oldest transaction, from which this
    /// is known, may be older than that WAL.
    pub may_be_newer_than_slot: bool,
}

/// The result of one read of the catalogs.
struct Seen {
    version: PublicationVersion,
    /// The transactions that have deleted or replaced a row of the version. They are running, have just ended, or were
    /// rolled back.
    changers: String,
}

impl PublicationCatalog {
    /// Connects. The publication need not exist.
    pub async fn open(options: &ConnectOptions, source: &Source) -> Result<Self, Error> {
        let mut session = Session::open(options, Purpose::Sql).await?;
        let sql = "SELECT pg_catalog.to_regclass('pg_catalog.pg_publication_namespace') IS NOT NULL";
        let has_schemas = session.query(sql, Operation::Query).await?.into_iter().flatten().flatten().any(is_true);
        Ok(Self { session, publication: source.publication().into(), tables: Vec::new(), has_schemas })
    }

    /// Takes the slot as [`open`](crate::open) does. If the role may open only one connection more, which the stream
    /// needs, this one reads the slot's state.
    ///
    /// # Errors
    /// As those of [`open`](crate::open).
    pub async fn open_slot(&mut self, options: &ConnectOptions, source: &Source, at: StartAt) -> Result<Opened, Error> {
        open_with(options, source, at, Some(&mut self.session)).await
    }

    /// Reads the statistics of a slot; `None` if the server has none.
    pub async fn slot_counters(&mut self, slot: &str) -> Result<Option<SlotCounters>, Error> {
        SlotCounters::read(&mut self.session, slot).await
    }

    /// Sets the tables that versions are about. They need not exist.
    pub fn watch(&mut self, tables: Vec<TableName>) {
        self.tables = tables;
    }

    /// Reads which tables the publication contains.
    pub async fn members(&mut self) -> Result<Vec<TableName>, Error> {
        let sql = format!(
            "SELECT schemaname, tablename FROM pg_catalog.pg_publication_tables WHERE pubname = {} ORDER BY 1, 2",
            literal(&self.publication)
        );
        self.names(&sql).await
    }

    /// Reads the tables of the database that are not the server's own.
    pub async fn all_tables(&mut self) -> Result<Vec<FoundTable>, Error> {
        read_tables(&mut self.session).await
    }

    /// Returns the version that holds for every transaction whose commit was received before this call; `None` if a
    /// transaction that changes it has not ended yet.
    ///
    /// A commit is in the WAL, and is decoded, before other transactions see its effects. So the version that can be
    /// seen proves nothing while such a transaction runs.
    pub async fn settled_version(&mut self) -> Result<Option<PublicationVersion>, Error> {
        let seen = self.look().await?;
        if seen.changers.is_empty() {
            return Ok(Some(seen.version));
        }
        let sql = format!(
            "SELECT 1 FROM pg_catalog.pg_locks WHERE locktype = 'transactionid' AND granted
             AND transactionid::pg_catalog.text = ANY (pg_catalog.string_to_array({}, ','))",
            literal(&seen.changers)
        );
        if !self.session.query(&sql, Operation::Query).await?.is_empty() {
            return Ok(None);
        }

        // Transactions that have committed meanwhile are visible now; the others were rolled back.
        let again = self.look().await?;
        Ok((again.changers == seen.changers).then_some(again.version))
    }

    /// Reads how the tables are published.
    pub async fn published(&mut self, slot: &str) -> Result<Published, Error> {
        // The version is read first, so that a later change belongs to another version.
        let version = self.look().await?.version;
        let sql = format!(
            "SELECT pubinsert, pubviaroot FROM pg_catalog.pg_publication WHERE pubname = {}",
            literal(&self.publication)
        );
        let publication = self.session.query(&sql, Operation::Query).await?.into_iter().next().and_then(pair);
        let mut tables = Vec::new();
        for name in self.tables.clone() {
            tables.push(self.published_table(name, slot).await?);
        }

        let has_publication = publication.is_some();
        let (inserts, via_root) = publication.unwrap_or_default();
        Ok(Published {
            version,
            has_publication,
            publishes_inserts: is_true(inserts),
            publishes_via_root: is_true(via_root),
            tables,
        })
    }

    /// Reads how the publication publishes one table.
    async fn published_table(&mut self, name: TableName, slot: &str) -> Result<PublishedTable, Error> {
        let member = format!(
            "pg_catalog.pg_publication_tables m ON m.pubname = p.pubname AND m.schemaname = {} AND m.tablename = {}",
            literal(&name.schema),
            literal(&name.table)
        );

        let schemas = match self.has_schemas {
            true => {
                ", (SELECT min(pg_catalog.age(xmin)) FROM pg_catalog.pg_publication_namespace WHERE pnpubid = p.oid),
                   (SELECT pg_catalog.age(c.xmin) FROM pg_catalog.pg_publication_namespace
                    WHERE pnpubid = p.oid AND pnnspid = c.relnamespace)"
            }
            false => "",
        };

        let sql = format!(
            "SELECT c.oid, c.relkind = 'p', m.tablename IS NOT NULL, pg_catalog.to_jsonb(m) ->> 'rowfilter' IS NOT NULL,
                 least(pg_catalog.age(p.xmin),
                     (SELECT min(pg_catalog.age(xmin)) FROM pg_catalog.pg_publication_rel WHERE prpubid = p.oid)
                     {schemas}
                 ) <= (SELECT pg_catalog.age(catalog_xmin) FROM pg_catalog.pg_replication_slots WHERE slot_name = {})
             FROM {} LEFT JOIN {member}",
            literal(slot),
            self.origin(std::slice::from_ref(&name))
        );
        let row = self.session.query(&sql, Operation::Query).await?.into_iter().next().unwrap_or_default();
        let Ok([oid, is_partitioned, is_member, filter, is_newer]) = <[_; 5]>::try_from(row) else {
            return Err(Error::protocol("a publication of the catalogs"));
        };
        let oid = oid.and_then(|oid| oid.parse().ok());
        let known = format!("{}::pg_catalog.oid", oid.unwrap_or(0_u32));
        let is = |value: Option<String>| value.is_some_and(is_true);

        // The view has the columns from version 15 on.
        let hidden = format!(
            "SELECT a.attname FROM pg_catalog.pg_publication p JOIN {member}
             JOIN pg_catalog.pg_attribute a ON a.attrelid = {known} AND a.attnum > 0 AND NOT a.attisdropped
             WHERE p.pubname = {} AND NOT pg_catalog.jsonb_exists(pg_catalog.to_jsonb(m) -> 'attnames', a.attname)",
            literal(&self.publication)
        );

        let partitions = format!("{} SELECT oid FROM below", below(&known));
        let undecoded = format!(
            "{} SELECT s.nspname, f.relname FROM (SELECT oid FROM below UNION ALL SELECT {known}) b
             JOIN pg_catalog.pg_class f ON f.oid = b.oid
             JOIN pg_catalog.pg_namespace s ON s.oid = f.relnamespace WHERE {UNDECODED} ORDER BY 1, 2",
            below(&known)
        );

        // With `publish_via_partition_root`, the view has the root in place of its partitions.
        let ancestor = format!(
            "{} SELECT s.nspname, f.relname FROM above b JOIN pg_catalog.pg_class f ON f.oid = b.oid
             JOIN pg_catalog.pg_namespace s ON s.oid = f.relnamespace
             JOIN pg_catalog.pg_publication p ON p.pubname = {} AND p.pubviaroot
             JOIN pg_catalog.pg_publication_tables m
                 ON m.pubname = p.pubname AND m.schemaname = s.nspname AND m.tablename = f.relname",
            above(&known),
            literal(&self.publication)
        );

        Ok(PublishedTable {
            name,
            oid,
            is_partitioned: is(is_partitioned),
            partitions: self.texts(&partitions).await?.iter().filter_map(|oid| oid.parse().ok()).collect(),
            undecoded: self.names(&undecoded).await?,
            published_as: self.names(&ancestor).await?.pop(),
            is_member: is(is_member),
            has_row_filter: is(filter),
            hidden_columns: self.texts(&hidden).await?,
            may_be_newer_than_slot: is(is_newer),
        })
    }

    /// Reads a table's columns; none if it does not exist, or the role may not see it.
    pub async fn columns(&mut self, table: &TableName) -> Result<Vec<CatalogueColumn>, Error> {
        read_columns(&mut self.session, &table.schema, &table.table).await
    }

    /// Reads the types of the database that columns may have.
    pub async fn types(&mut self) -> Result<CustomTypes, Error> {
        read_types(&mut self.session).await
    }

    /// Reads the version from the catalogs, with the transactions that change it.
    async fn look(&mut self) -> Result<Seen, Error> {
        let (version, changers, schemas, schemas_above) = match self.has_schemas {
            true => (
                ", n.oid, n.xmin, CASE WHEN n.oid IS NOT NULL THEN c.xmin END, c.relnamespace",
                ", nullif(n.xmax::pg_catalog.text, '0')",
                "LEFT JOIN pg_catalog.pg_publication_namespace n ON n.pnpubid = p.oid AND n.pnnspid = c.relnamespace",
                ", f.relnamespace IN (SELECT pnnspid FROM pg_catalog.pg_publication_namespace WHERE pnpubid = p.oid)",
            ),
            false => ("", "", "", ""),
        };
        let sql = format!(
            "SELECT pg_catalog.jsonb_build_array(
                 p.oid, p.xmin, r.oid, r.xmin, c.oid, c.relkind, c.relpersistence, c.relispartition {version},
                 CASE WHEN c.relkind = 'p' THEN (
                     {} SELECT pg_catalog.jsonb_agg(f.oid ORDER BY f.oid)
                     FROM below b JOIN pg_catalog.pg_class f ON f.oid = b.oid WHERE {UNDECODED}) END,
                 CASE WHEN c.relispartition THEN (
                     {} SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(f.oid, m.oid, m.xmin {schemas_above})
                         ORDER BY f.oid)
                     FROM above b JOIN pg_catalog.pg_class f ON f.oid = b.oid
                     LEFT JOIN pg_catalog.pg_publication_rel m ON m.prpubid = p.oid AND m.prrelid = f.oid) END),
                 pg_catalog.concat_ws(',', nullif(p.xmax::pg_catalog.text, '0'), nullif(r.xmax::pg_catalog.text, '0'),
                     nullif(c.xmax::pg_catalog.text, '0') {changers})
             FROM {} {schemas} ORDER BY number",
            below("c.oid"),
            above("c.oid"),
            self.origin(&self.tables)
        );
        let rows = self.session.query(&sql, Operation::Query).await?;

        if rows.len() != self.tables.len() {
            return Err(Error::protocol("a version of the catalogs"));
        }

        let (versions, changers): (Vec<_>, Vec<_>) = rows.into_iter().filter_map(pair).unzip();
        let changers: Vec<_> = changers.into_iter().filter(|changers| !changers.is_empty()).collect();
        Ok(Seen { version: PublicationVersion(versions.join(",")), changers: changers.join(",") })
    }

    /// Returns a FROM clause of one row for each table, in their order by `number`: the publication `p`, the table `c`,
    /// and its membership `r`, as far as they exist.
    fn origin(&self, tables: &[TableName]) -> String {
        let rows = tables.iter().enumerate().map(|(number, TableName { schema, table })| {
            format!("({number}, {}, {})", literal(schema), literal(table))
        });
        // Without tables, one empty row, which is removed again.
        let rows = if tables.is_empty() { "(-1, '', '')".to_owned() } else { rows.collect::<Vec<_>>().join(", ") };
        format!(
            "(SELECT * FROM (VALUES {rows}) v (number, schema_name, table_name) WHERE number >= 0) asked
             LEFT JOIN pg_catalog.pg_publication p ON p.pubname = {}
             LEFT JOIN (pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace)
                 ON s.nspname = asked.schema_name AND c.relname = asked.table_name
             LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid",
            literal(&self.publication),
        )
    }

    /// Returns the first column of a query's result.
    async fn texts(&mut self, sql: &str) -> Result<Vec<String>, Error> {
        let rows = self.session.query(sql, Operation::Query).await?;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    /// Returns the schemas and names that a query results in.
    async fn names(&mut self, sql: &str) -> Result<Vec<TableName>, Error> {
        let rows = self.session.query(sql, Operation::Query).await?;
        Ok(rows.into_iter().filter_map(pair).map(TableName::from).collect())
    }
}

/// The condition that PostgreSQL does not decode the rows of the table `f`, because it writes no WAL for them.
const UNDECODED: &str = "(f.relkind = 'f' OR (f.relkind = 'r' AND f.relpersistence <> 'p'))";

/// Returns a clause that defines `below`, the partitions of a table at all levels.
fn below(table: impl Display) -> String {
    format!(
        "WITH RECURSIVE below AS (
             SELECT i.inhrelid AS oid FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class l ON l.oid = i.inhrelid
             WHERE i.inhparent = {table} AND l.relispartition
             UNION ALL SELECT i.inhrelid FROM below b JOIN pg_catalog.pg_inherits i ON i.inhparent = b.oid)"
    )
}

/// Returns a clause that defines `above`, the partitioned tables at all levels that a table is a partition of.
fn above(table: impl Display) -> String {
    format!(
        "WITH RECURSIVE above AS (
             SELECT i.inhparent AS oid FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class l ON l.oid = i.inhrelid
             WHERE i.inhrelid = {table} AND l.relispartition
             UNION ALL SELECT i.inhparent FROM above b JOIN pg_catalog.pg_inherits i ON i.inhrelid = b.oid)"
    )
}

impl fmt::Debug for PublicationCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicationCatalog").field("publication", &self.publication).finish_non_exhaustive()
    }
}

fn pair(row: TextRow) -> Option<(String, String)> {
    match <[_; 2]>::try_from(row) {
        Ok([Some(first), Some(second)]) => Some((first, second)),
        _ => None,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is called with values of rows")]
fn is_true(text: String) -> bool {
    text == "t"
}
