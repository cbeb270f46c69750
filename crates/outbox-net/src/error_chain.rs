use std::error::Error;
use std::fmt;

/// An error with its causes on one line, separated by `: `, for logs and for reasons that are stored.
///
/// It omits the values of rows and payloads that servers and parsers quote: the DETAIL of an error of PostgreSQL and
/// the value at the end of a message about data (with the feature `tokio-postgres`), and the value that `serde_json`
/// quotes. It keeps the texts of other errors.
///
/// ```
/// use outbox_net::ErrorChain;
///
/// let error = serde_json::from_str::<u32>("\"secret\"").unwrap_err();
/// let error = std::io::Error::other(error);
/// let text = ErrorChain::new(&error).to_string();
/// assert!(text.contains("line 1, column 8") && !text.contains("secret"), "{text}");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ErrorChain<'a>(&'a (dyn Error + 'static));

impl<'a> ErrorChain<'a> {
    /// Creates the chain that starts at `error`.
    #[must_use]
    pub fn new(error: &'a (dyn Error + 'static)) -> Self {
        Self(error)
    }
}

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = std::iter::successors(Some(self.0), |error| (*error).source());

        for (place, error) in errors.enumerate() {
            if place > 0 {
                f.write_str(": ")?;
            }
            layer(error, f)?;
        }

        Ok(())
    }
}

/// Writes the text of one error, without its causes.
fn layer(error: &(dyn Error + 'static), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    #[cfg(feature = "tokio-postgres")]
    if let Some(error) = error.downcast_ref::<tokio_postgres::error::DbError>() {
        let place = [("table", error.table()), ("column", error.column()), ("constraint", error.constraint())];
        return server_error(error.severity(), error.code().code(), error.message(), place, f);
    }

    #[cfg(feature = "sqlx")]
    if let Some(written) = sqlx_error(error, f) {
        return written;
    }

    // `io::Error` shows the error inside it, and does not name it as its source.
    if let Some(error) = error.downcast_ref::<std::io::Error>()
        && let Some(inner) = error.get_ref()
    {
        return layer(inner, f);
    }

    if let Some(error) = error.downcast_ref::<serde_json::Error>()
        && error.is_data()
    {
        let (line, column) = (error.line(), error.column());
        return write!(f, "the JSON is not of the expected type, at line {line}, column {column}");
    }

    write!(f, "{error}")
}

/// Writes an error of PostgreSQL without its DETAIL, which holds rows and keys, and without the value that ends a
/// message of class 22.
#[cfg(any(feature = "tokio-postgres", feature = "sqlx"))]
fn server_error(
    severity: &str,
    state: &str,
    message: &str,
    place: [(&str, Option<&str>); 3],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let message = match message.split_once(": \"") {
        Some((message, _)) if state.starts_with("22") => message,
        _ => message,
    };
    write!(f, "{severity}: {message} (SQLSTATE {state}")?;

    for (what, name) in place {
        if let Some(name) = name {
            write!(f, ", {what} {name}")?;
        }
    }

    f.write_str(")")
}

/// Writes an error of sqlx, which repeats its cause's text, without that text; `None` if it is another error.
#[cfg(feature = "sqlx")]
fn sqlx_error(error: &(dyn Error + 'static), f: &mut fmt::Formatter<'_>) -> Option<fmt::Result> {
    use sqlx::error::DatabaseError;
    use sqlx::postgres::PgDatabaseError;

    let boxed = error.downcast_ref::<Box<dyn DatabaseError>>().and_then(|error| error.try_downcast_ref());
    if let Some(error) = boxed.or(error.downcast_ref::<PgDatabaseError>()) {
        let place = [("table", error.table()), ("column", error.column()), ("constraint", error.constraint())];
        let severity = format!("{:?}", error.severity()).to_uppercase();
        return Some(server_error(&severity, error.code(), error.message(), place, f));
    }

    let error = error.downcast_ref::<sqlx::Error>()?;
    let text = error.to_string();
    let cause = error.source().map(|cause| format!(": {cause}"));
    Some(f.write_str(cause.and_then(|cause| text.strip_suffix(&cause)).unwrap_or(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the port cannot be read")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_chain_names_each_cause() {
        let error = Outer("x".parse::<u16>().unwrap_err());
        assert_eq!(ErrorChain::new(&error).to_string(), "the port cannot be read: invalid digit found in string");
    }
}
