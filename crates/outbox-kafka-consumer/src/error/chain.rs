use std::error::Error as StdError;
use std::fmt;

use deadpool_postgres::tokio_postgres::error::DbError;

/// An error with all that lies below it, for a log line and for what is kept of a failed event. What PostgreSQL and serde
/// quote of rows and payloads is left out; what a handler says itself is not.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn StdError + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut next = Some(self.0);
        let mut separator = "";
        while let Some(error) = next {
            f.write_str(separator)?;
            if let Some(error) = error.downcast_ref::<DbError>() {
                refusal(f, error)?;
            } else if let Some(error) = error.downcast_ref::<serde_json::Error>() {
                let (line, column) = (error.line(), error.column());
                write!(f, "it is not the JSON of the type, at line {line}, column {column}")?;
            } else {
                write!(f, "{error}")?;
            }
            separator = ": ";
            next = error.source();
        }
        Ok(())
    }
}

/// Without DETAIL, which holds rows and keys, and without the value that a message about data ends with.
fn refusal(f: &mut fmt::Formatter<'_>, error: &DbError) -> fmt::Result {
    let state = error.code().code();
    let message = match error.message().split_once(": \"") {
        Some((message, _)) if state.starts_with("22") => message,
        _ => error.message(),
    };
    write!(f, "{}: {message} (SQLSTATE {state}", error.severity())?;
    for (what, name) in [("table", error.table()), ("column", error.column()), ("constraint", error.constraint())] {
        if let Some(name) = name {
            write!(f, ", {what} {name}")?;
        }
    }
    f.write_str(")")
}
