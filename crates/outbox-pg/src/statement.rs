use bytes::BytesMut;
use outbox_core::TableLayout;
use outbox_core::layout::{ColumnType, ColumnValue, Row};
use outbox_core::sql::InsertSql;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

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

/// The value of a column as a parameter of a statement.
#[derive(Debug)]
pub(crate) struct Param<'a> {
    value: &'a ColumnValue,
    ty: ColumnType,
}

/// Returns the type that a column's value is sent as.
fn wire_type(ty: ColumnType) -> Type {
    Type::from_oid(ty.parameter_type().oid()).unwrap_or(Type::TEXT)
}

/// Returns the array of [`wire_type`].
fn wire_array(ty: ColumnType) -> Type {
    Type::from_oid(ty.parameter_type().array_oid()).unwrap_or(Type::TEXT_ARRAY)
}

impl ToSql for Param<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        if self.value.is_null() {
            return Ok(IsNull::Yes);
        }
        self.value.write_binary(self.ty, out)?;
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        // `wire_type` names the type that `to_sql` writes.
        true
    }

    to_sql_checked!();
}
