use std::fmt;

use super::error::Error;
use super::options::ConnectOptions;
use super::server_error::Doing;
use super::session::{Purpose, Session};
use super::sql::literal;

/// A column as the catalogue tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueColumn {
    /// The column's name.
    pub name: String,
    /// The type's OID, and its length or precision.
    pub ty: u32,
    /// The type's `atttypmod`.
    pub modifier: i32,
    /// Whether the column may be NULL.
    pub is_nullable: bool,
    /// Its DEFAULT, if it has one.
    pub default: Option<String>,
}

/// The columns of a table; none where it is not there, or not to be seen.
pub async fn columns(options: &ConnectOptions, schema: &str, table: &str) -> Result<Vec<CatalogueColumn>, Error> {
    read_columns(&mut Session::open(options, Purpose::Sql).await?, schema, table).await
}

pub(super) async fn read_columns(
    session: &mut Session,
    schema: &str,
    table: &str,
) -> Result<Vec<CatalogueColumn>, Error> {
    let sql = format!(
        "SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull, pg_catalog.pg_get_expr(d.adbin, d.adrelid)
         FROM pg_catalog.pg_attribute a
         JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE n.nspname = {} AND c.relname = {} AND a.attnum > 0 AND NOT a.attisdropped
         ORDER BY a.attnum",
        literal(schema),
        literal(table)
    );
    let rows = session.query(&sql, Doing::Query).await?;
    let column = |row: Vec<Option<String>>| match <[_; 5]>::try_from(row) {
        Ok([Some(name), Some(ty), Some(modifier), Some(not_null), default]) => Some(CatalogueColumn {
            name,
            ty: ty.parse().ok()?,
            modifier: modifier.parse().ok()?,
            is_nullable: not_null != "t",
            default,
        }),
        _ => None,
    };
    let columns: Option<_> = rows.into_iter().map(column).collect();
    columns.ok_or_else(|| Error::protocol("a column of the catalogue"))
}

/// A table's schema and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The schema.
    pub schema: String,
    /// The name within the schema.
    pub table: String,
}

impl TableName {
    /// Returns the name as it stands in a statement.
    #[must_use]
    pub fn quoted(&self) -> String {
        let quoted = |part: &str| format!("\"{}\"", part.replace('"', "\"\""));
        format!("{}.{}", quoted(&self.schema), quoted(&self.table))
    }
}

impl From<(String, String)> for TableName {
    fn from((schema, table): (String, String)) -> Self {
        Self { schema, table }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// A table of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTable {
    /// Schema and name.
    pub name: TableName,
    /// The table that it is a partition of.
    pub parent: Option<TableName>,
}

/// Returns all tables that are not the server's own.
pub async fn tables(options: &ConnectOptions) -> Result<Vec<FoundTable>, Error> {
    read_tables(&mut Session::open(options, Purpose::Sql).await?).await
}

pub(super) async fn read_tables(session: &mut Session) -> Result<Vec<FoundTable>, Error> {
    let sql = "SELECT n.nspname, c.relname, pn.nspname, pc.relname FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_catalog.pg_inherits i ON c.relispartition AND i.inhrelid = c.oid
         LEFT JOIN pg_catalog.pg_class pc ON pc.oid = i.inhparent
         LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = pc.relnamespace
         WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
             AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
         ORDER BY 1, 2";
    let rows = session.query(sql, Doing::Query).await?;
    let found = |row: Vec<Option<String>>| match <[_; 4]>::try_from(row) {
        Ok([Some(schema), Some(table), parent_schema, parent]) => Some(FoundTable {
            name: TableName { schema, table },
            parent: parent_schema.zip(parent).map(TableName::from),
        }),
        _ => None,
    };
    let found: Option<_> = rows.into_iter().map(found).collect();
    found.ok_or_else(|| Error::protocol("a table of the catalogue"))
}
