//! Values of tokio-postgres on connections of sqlx. Both drivers speak PostgreSQL's binary form, so one encoding serves
//! both.

use std::fmt;

use bytes::BytesMut;
use sqlx::encode::{Encode, IsNull as SqlxIsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgRow, PgTypeInfo, PgValueFormat};
use sqlx::{ColumnIndex, Postgres, Row as _, ValueRef as _};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, WrongType};

/// A parameter of a statement of sqlx, encoded as tokio-postgres encodes it.
#[derive(Debug)]
pub struct SqlxParam<'a> {
    value: &'a (dyn ToSql + Sync),
    ty: &'a Type,
}

impl<'a> SqlxParam<'a> {
    /// Creates the parameter of a value that is sent as this type.
    pub fn new(value: &'a (dyn ToSql + Sync), ty: &'a Type) -> Self {
        Self { value, ty }
    }
}

impl sqlx::Type<Postgres> for SqlxParam<'_> {
    /// Returns no type: each parameter has its own type, by `produces`.
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for SqlxParam<'_> {
    fn encode_by_ref(&self, out: &mut PgArgumentBuffer) -> Result<SqlxIsNull, BoxDynError> {
        let mut bytes = BytesMut::new();
        match self.value.to_sql_checked(self.ty, &mut bytes)? {
            IsNull::Yes => Ok(SqlxIsNull::Yes),
            IsNull::No => {
                out.extend_from_slice(&bytes);
                Ok(SqlxIsNull::No)
            }
        }
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(self.ty.oid())))
    }
}

/// Returns the value of a column of a row, decoded as tokio-postgres decodes it.
///
/// # Errors
/// There is no such column, its type is not one that `T` takes, or the row is of a script, which has values as text.
pub fn sqlx_value<'a, T: FromSql<'a>>(
    row: &'a PgRow,
    column: impl ColumnIndex<PgRow> + fmt::Display,
) -> Result<T, sqlx::Error> {
    let index = column.to_string();
    let failed = |source: BoxDynError| sqlx::Error::ColumnDecode { index: index.clone(), source };
    let raw = row.try_get_raw(column)?;
    let ty = raw.type_info().oid().and_then(|oid| Type::from_oid(oid.0)).unwrap_or(Type::UNKNOWN);
    if !T::accepts(&ty) {
        return Err(failed(Box::new(WrongType::new::<T>(ty))));
    }

    if raw.format() != PgValueFormat::Binary {
        return Err(failed("the value is not in binary form".into()));
    }
    let bytes = if raw.is_null() { None } else { Some(raw.as_bytes().map_err(failed)?) };
    T::from_sql_nullable(&ty, bytes).map_err(failed)
}
