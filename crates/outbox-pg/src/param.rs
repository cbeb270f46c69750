use bytes::BytesMut;
use outbox_core::layout::{ColumnType, ColumnValue};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// The value of a column as a parameter of a statement.
#[derive(Debug)]
pub(crate) struct Param<'a> {
    pub(crate) value: &'a ColumnValue,
    pub(crate) ty: ColumnType,
}

/// Returns the type that a column's value is sent as.
pub(crate) fn wire_type(ty: ColumnType) -> Type {
    Type::from_oid(ty.parameter_type().oid()).unwrap_or(Type::TEXT)
}

/// Returns the array of [`wire_type`].
pub(crate) fn wire_array(ty: ColumnType) -> Type {
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
