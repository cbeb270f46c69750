use std::error::Error as StdError;
use std::fmt;

/// What a handler returns.
pub type HandlerResult = Result<(), HandlerError>;

/// Why a handler failed. `?` makes it of any error, and `into()` of text.
///
/// It is no `std::error::Error` itself, so that it can be made of all of them.
pub struct HandlerError(Box<dyn StdError + Send + Sync>);

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl HandlerError {
    pub(crate) fn into_source(self) -> Box<dyn StdError + Send + Sync> {
        self.0
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
