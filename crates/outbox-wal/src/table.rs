use std::collections::HashMap;
use std::fmt;

use super::error::{Error, Operation};
use super::session::Session;
use super::sql::literal;

/// A column as the catalogue reports it.
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

/// The types of a database that are derived from others: domains, enums, `citext`, and arrays of these; `ltree` and
/// `hstore`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomTypes(HashMap<u32, (u32, i32)>);

impl CustomTypes {
    /// Returns the built-in type, and its modifier, that a column's type has the values of: a domain's base, `anyenum`
    /// for an enum, `text` for `citext`, `u32::MAX` for `ltree` and the number before it for `hstore`. Any other type
    /// is returned as it is.
    #[must_use]
    pub fn base(&self, ty: u32, modifier: i32) -> (u32, i32) {
        match self.0.get(&ty) {
            Some((base, own)) => (*base, if modifier >= 0 { modifier } else { *own }),
            None => (ty, modifier),
        }
    }
}

impl FromIterator<(u32, (u32, i32))> for CustomTypes {
    fn from_iter<I: IntoIterator<Item = (u32, (u32, i32))>>(types: I) -> Self {
        Self(types.into_iter().collect())
    }
}

/// Reads the columns of a table from the catalogs, in their order. A domain that is NOT NULL makes its column so.
pub(super) async fn read_columns(
    session: &mut Session,
    schema: &str,
    table: &str,
) -> Result<Vec<CatalogueColumn>, Error> {
    let sql = format!(
        "SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull OR (t.typtype = 'd' AND t.typnotnull),
             pg_catalog.pg_get_expr(d.adbin, d.adrelid)
         FROM pg_catalog.pg_attribute a
         JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE n.nspname = {} AND c.relname = {} AND a.attnum > 0 AND NOT a.attisdropped
         ORDER BY a.attnum",
        literal(schema),
        literal(table)
    );
    let rows = session.query(&sql, Operation::Query).await?;
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

/// The OIDs up to 16383 are the server's own, and constant.
const TYPES: &str = "
    WITH RECURSIVE chain (declared, oid, modifier) AS (
        SELECT t.oid, t.oid, -1 FROM pg_catalog.pg_type t
        LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
        WHERE t.oid > 16383 AND (t.typtype IN ('d', 'e') OR e.typtype = 'e'
            OR 'citext' IN (t.typname, e.typname) OR t.typname IN ('hstore', 'ltree'))
        UNION ALL
        SELECT c.declared, t.typbasetype, CASE WHEN c.modifier >= 0 THEN c.modifier ELSE t.typtypmod END
        FROM chain c JOIN pg_catalog.pg_type t ON t.oid = c.oid WHERE t.typtype = 'd')
    SELECT c.declared, CASE
        WHEN t.typtype = 'e' THEN 3500
        WHEN t.typname = 'citext' THEN 25
        WHEN t.typname = 'ltree' THEN 4294967295::oid
        WHEN t.typname = 'hstore' THEN 4294967294::oid
        WHEN e.typtype = 'e' OR e.typname = 'citext' THEN 1009
        ELSE t.oid END, c.modifier
    FROM chain c JOIN pg_catalog.pg_type t ON t.oid = c.oid
    LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
    WHERE t.typtype <> 'd'";

pub(super) async fn read_types(session: &mut Session) -> Result<CustomTypes, Error> {
    let row = |row: Vec<Option<String>>| match <[_; 3]>::try_from(row) {
        Ok([Some(ty), Some(base), Some(modifier)]) => {
            Some((ty.parse().ok()?, (base.parse().ok()?, modifier.parse().ok()?)))
        }
        _ => None,
    };
    let types: Option<_> = session.query(TYPES, Operation::Query).await?.into_iter().map(row).collect();
    types.ok_or_else(|| Error::protocol("a type of the catalogue"))
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
pub(super) async fn read_tables(session: &mut Session) -> Result<Vec<FoundTable>, Error> {
    let sql = "SELECT n.nspname, c.relname, pn.nspname, pc.relname FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_catalog.pg_inherits i ON c.relispartition AND i.inhrelid = c.oid
         LEFT JOIN pg_catalog.pg_class pc ON pc.oid = i.inhparent
         LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = pc.relnamespace
         WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
             AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
         ORDER BY 1, 2";
    let rows = session.query(sql, Operation::Query).await?;
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
