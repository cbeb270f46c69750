use std::error::Error;
use std::fmt;
use std::path::Path;

use outbox_testkit::PostgresError;

/// A failure of a server, or of starting or reaching it.
///
/// `Display` says what happened, where, and what to do about it; the cause below, if there is
/// one, is its [`source`](Error::source).
pub struct StackError {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StackError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    pub(crate) fn caused(message: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { message: message.into(), source: Some(source.into()) }
    }

    /// Creates a function for `map_err` on file operations: `action` is a verb phrase such as "create".
    pub(crate) fn file<'a>(action: &'a str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |error| Self::caused(format!("cannot {action} {}", path.display()), error)
    }
}

impl From<PostgresError> for StackError {
    fn from(error: PostgresError) -> Self {
        Self::caused("cannot prepare PostgreSQL", error)
    }
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The same as `Display` plus the causes, so that a test's `unwrap` reads well.
impl fmt::Debug for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, "\n  caused by: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl Error for StackError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
