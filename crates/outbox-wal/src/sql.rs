use std::fmt;

use super::error::{Error, Operation};
use super::options::ConnectOptions;
use super::session::{Purpose, Session};

/// Returns text as a literal (PostgreSQL, "String Constants", with `standard_conforming_strings` on).
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns the value of pgoutput's option `publication_names`: a list of identifiers, in a literal.
pub fn publication_names(publication: &str) -> String {
    literal(&identifier(publication))
}

/// Quotes a name (PostgreSQL, "Identifiers and Key Words").
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A connection that executes statements of others, such as those of a configuration.
pub struct SqlConnection {
    session: Session,
}

impl SqlConnection {
    /// Connects. The server cancels a statement shortly before this client would give up waiting for it, so that no
    /// statement continues after the connection is lost.
    ///
    /// # Errors
    /// No server accepts the connection or the login.
    pub async fn open(options: &ConnectOptions) -> Result<Self, Error> {
        let mut session = Session::open(options, Purpose::Sql).await?;
        let limit = options.timeouts.statement.mul_f32(0.8).as_millis();
        let sql = format!("SELECT pg_catalog.set_config('statement_timeout', '{limit}', false)");
        session.query(&sql, Operation::Query).await?;
        Ok(Self { session })
    }

    /// Runs statements, separated by semicolons, and discards their rows.
    ///
    /// # Errors
    /// A statement fails, the statements leave a transaction open, or the connection is lost. The error has no value of
    /// a statement or a row. Do not use the connection after an error: a transaction may be open.
    pub async fn execute(&mut self, sql: &str) -> Result<(), Error> {
        self.session.execute(sql).await
    }
}

impl fmt::Debug for SqlConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlConnection").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_twice() {
        let publication = "O'Hara \"1\", x";
        assert_eq!(publication_names(publication), "'\"O''Hara \"\"1\"\", x\"'");
    }
}
