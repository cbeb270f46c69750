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
            Self::Sqlx(row) => outbox_net::sqlx_value(row, column).map_err(PgError::from),
        }
    }
}
