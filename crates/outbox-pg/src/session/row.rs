use tokio_postgres::types::FromSql;

/// A row of either driver.
pub(crate) enum Row {
    TokioPostgres(tokio_postgres::Row),
    #[cfg(feature = "sqlx")]
    Sqlx(::sqlx::postgres::PgRow),
}

/// The number of a column.
pub(crate) trait Column {
    fn position(self) -> usize;
}

impl Column for usize {
    fn position(self) -> usize {
        self
    }
}

impl Row {
    /// Returns the value of a column, as [`tokio_postgres::Row::get`] does.
    ///
    /// # Panics
    /// The statement has no such column, or of another type. The statements are those of this crate.
    #[track_caller]
    pub(crate) fn get<'a, I: Column, T: FromSql<'a>>(&'a self, column: I) -> T {
        let column = column.position();
        match self {
            Self::TokioPostgres(row) => row.get(column),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(row) => match outbox_net::sqlx_value(row, column) {
                Ok(value) => value,
                #[expect(clippy::panic, reason = "as the other driver's row does")]
                Err(error) => panic!("error retrieving column {column}: {error}"),
            },
        }
    }
}
