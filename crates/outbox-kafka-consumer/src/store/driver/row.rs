use std::fmt;

use deadpool_postgres::tokio_postgres;
use deadpool_postgres::tokio_postgres::row::RowIndex;
use deadpool_postgres::tokio_postgres::types::FromSql;

use super::PgError;

/// A row of either driver.
pub enum Row {
    TokioPostgres(tokio_postgres::Row),
    #[cfg(feature = "sqlx")]
    Sqlx(::sqlx::postgres::PgRow),
}

/// The number or the name of a column.
#[cfg(not(feature = "sqlx"))]
pub trait Column: RowIndex + fmt::Display + Copy {}

/// The number or the name of a column.
#[cfg(feature = "sqlx")]
pub trait Column: RowIndex + fmt::Display + Copy + ::sqlx::ColumnIndex<::sqlx::postgres::PgRow> {}

impl Column for usize {}

impl Column for &str {}

impl Row {
    /// Returns the value of a column.
    pub fn try_get<'a, I: Column, T: FromSql<'a>>(&'a self, column: I) -> Result<T, PgError> {
        match self {
            Self::TokioPostgres(row) => row.try_get(column).map_err(PgError::from),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(row) => sqlx_value(row, column).map_err(PgError::from),
        }
    }
}

/// Returns a value of a row in PostgreSQL's binary form.
#[cfg(feature = "sqlx")]
fn sqlx_value<'a, I: Column, T: FromSql<'a>>(row: &'a ::sqlx::postgres::PgRow, column: I) -> Result<T, ::sqlx::Error> {
    use ::sqlx::error::BoxDynError;
    use ::sqlx::postgres::PgValueFormat;
    use ::sqlx::{Row as _, ValueRef as _};
    use tokio_postgres::types::{Type, WrongType};

    let failed = |source: BoxDynError| ::sqlx::Error::ColumnDecode { index: column.to_string(), source };
    let raw = row.try_get_raw(column)?;
    let ty = raw.type_info().oid().and_then(|oid| Type::from_oid(oid.0)).unwrap_or(Type::UNKNOWN);
    if !T::accepts(&ty) {
        return Err(failed(Box::new(WrongType::new::<T>(ty))));
    }
    let is_null = raw.is_null();
    if raw.format() != PgValueFormat::Binary {
        return Err(failed("the value is not in binary form".into()));
    }
    let bytes = if is_null { None } else { Some(raw.as_bytes().map_err(failed)?) };
    T::from_sql_nullable(&ty, bytes).map_err(failed)
}
