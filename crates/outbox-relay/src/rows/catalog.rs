use std::collections::HashSet;
use std::fmt;

use outbox_core::layout::{Column, ColumnType, Nullability, Row};
use outbox_core::{Error, Identifier, Pipeline, TableLayout};

use crate::tables::{ACCEPTED_LOSSES, Included};
use outbox_wal::{CatalogueColumn, CustomTypes, RelationColumn, TableName};

/// The tables whose rows are read.
#[derive(Clone, Debug)]
pub struct OutboxTables {
    pub included: Included,
    pub types: CustomTypes,
    pub known: Vec<OutboxTable>,
    /// The OIDs of included tables that the catalogs do not have. Their rows are read as the WAL describes them.
    pub gone: HashSet<u32>,
}

/// The type of a column as it was declared: its OID and its modifier.
#[derive(Clone, Copy, Debug)]
struct Declared {
    ty: u32,
    modifier: i32,
}

/// An outbox table as the catalogs have it.
#[derive(Clone, Debug)]
pub struct OutboxTable {
    pub name: TableName,
    /// The OIDs of the table and its partitions, whatever they were called when a row was written.
    pub oids: HashSet<u32>,
    /// The columns; empty if the table does not exist, or the role may not see it.
    pub columns: Vec<CatalogueColumn>,
}

impl OutboxTables {
    /// Returns the pipeline over a table as the catalogs have it.
    pub fn as_in_catalog(&self, table: &OutboxTable) -> Result<Pipeline, Error> {
        let columns = table.columns.iter().map(|column| {
            let declared = Declared { ty: column.ty, modifier: column.modifier };
            (column.name.as_str(), self.type_of(column), declared)
        });
        self.over(&table.name, &table.columns, columns)
    }

    /// Returns the pipeline over a table as it was when its rows were written: the names and types are those of then,
    /// the rest is as the catalogs have it now, as in Debezium.
    pub fn as_described(
        &self,
        name: &TableName,
        now: &[CatalogueColumn],
        described: &[RelationColumn<'_>],
    ) -> Result<Pipeline, Error> {
        let columns = described.iter().map(|column| {
            let (base, modifier) = self.types.base(column.ty, column.modifier);
            let is_text =
                |known: &CatalogueColumn| matches!(self.type_of(known), ColumnType::Text | ColumnType::Varchar(_));
            let ty = match ColumnType::from_oid(base, modifier) {
                // The type was dropped, such as an enum that was replaced by text. OIDs below are the server's own.
                ColumnType::Other(16_384..) if known(now, column.name).is_some_and(is_text) => ColumnType::Text,
                // Each value has a length that was allowed when it was written.
                ColumnType::Varchar(_) => ColumnType::Text,
                ty => ty,
            };
            (column.name, ty, Declared { ty: column.ty, modifier: column.modifier })
        });
        self.over(name, now, columns)
    }

    fn over<'a>(
        &self,
        name: &TableName,
        now: &[CatalogueColumn],
        columns: impl Iterator<Item = (&'a str, ColumnType, Declared)>,
    ) -> Result<Pipeline, Error> {
        let config = self.included.config();
        let (schema, table) = (Identifier::new(&*name.schema)?, Identifier::new(&*name.table)?);
        let columns = columns.filter_map(|(name, ty, declared)| {
            let known = known(now, name).map(|known| CatalogueColumn {
                default: known.default.clone().filter(|_| self.takes_default(declared)),
                ..known.clone()
            });
            let column = column(Identifier::new(name).ok()?, ty, known.as_ref());
            Some(self.with_details(column, declared))
        });
        let layout = TableLayout::from_router(config, schema, table, columns)?;
        Pipeline::accepting(&ACCEPTED_LOSSES, config.clone(), layout)
    }

    /// Returns whether Debezium reads the DEFAULT of columns of the type. It leaves out those of domains and of types
    /// such as `inet`.
    fn takes_default(&self, declared: Declared) -> bool {
        // bool, int8, int2, int4, text, json, xml, float4, float8, char(n), varchar, date, time, timestamp, timestamptz,
        // interval, bit, varbit, numeric, uuid, jsonb
        const TYPES: [u32; 21] = [
            16, 20, 21, 23, 25, 114, 142, 700, 701, 1042, 1043, 1082, 1083, 1114, 1184, 1186, 1560, 1562, 1700, 2950,
            3802,
        ];
        TYPES.contains(&declared.ty) || self.types.is_enum(declared.ty)
    }

    /// Adds the parts of a column's type that only the schemas of records have.
    fn with_details(&self, column: Column, declared: Declared) -> Column {
        let (_, modifier) = self.types.base(declared.ty, declared.modifier);
        let column = column.type_modifier(modifier);
        match self.types.enum_labels(declared.ty) {
            Some(labels) => column.enum_labels(labels.iter().map(String::as_str)),
            None => column,
        }
    }

    fn type_of(&self, column: &CatalogueColumn) -> ColumnType {
        let (base, modifier) = self.types.base(column.ty, column.modifier);
        ColumnType::from_oid(base, modifier)
    }
}

fn column(name: Identifier, ty: ColumnType, known: Option<&CatalogueColumn>) -> Column {
    let is_nullable = known.is_none_or(|known| known.is_nullable);
    let nullability = if is_nullable { Nullability::Nullable } else { Nullability::NotNull };
    let column = Column::foreign(name, ty, nullability);
    match known.and_then(|known| known.default.as_deref()) {
        Some(expression) => column.default_expression(expression),
        None => column,
    }
}

fn known<'a>(columns: &'a [CatalogueColumn], name: &str) -> Option<&'a CatalogueColumn> {
    columns.iter().find(|column| column.name == name)
}

/// A row, and the pipeline over its table as it was when the row was written. `Debug` shows no value.
#[derive(Clone)]
pub struct TableRow {
    pub pipeline: Pipeline,
    pub row: Row,
}

impl fmt::Debug for TableRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableRow").field("table", &self.pipeline.layout().qualified_name()).finish_non_exhaustive()
    }
}
