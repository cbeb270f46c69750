use outbox_core::TableLayout;
use outbox_core::layout::Row;
use outbox_core::sql::InsertSql;
use tokio_postgres::types::Type;

use crate::param::{Param, wire_array, wire_type};

/// The INSERTs of a table, and the types of their parameters.
#[derive(Clone, Debug)]
pub(crate) struct Insert {
    pub(crate) sql: InsertSql,
    pub(crate) types: Vec<Type>,
    /// The types of the arrays of the INSERT of many rows.
    pub(crate) array_types: Vec<Type>,
}

impl Insert {
    pub(crate) fn into_table(layout: &TableLayout) -> Self {
        let sql = InsertSql::into_table(layout);
        Self {
            types: sql.columns().map(wire_type).collect(),
            array_types: sql.columns().map(wire_array).collect(),
            sql,
        }
    }

    pub(crate) fn params<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = Param<'a>> {
        self.sql.values(row).zip(self.sql.columns()).map(|(value, ty)| Param { value, ty })
    }

    /// Returns an array of each column's values.
    pub(crate) fn arrays<'a>(&'a self, rows: &'a [Row]) -> Vec<Vec<Param<'a>>> {
        let mut arrays: Vec<_> = self.types.iter().map(|_| Vec::with_capacity(rows.len())).collect();
        for row in rows {
            for (array, param) in arrays.iter_mut().zip(self.params(row)) {
                array.push(param);
            }
        }
        arrays
    }
}
