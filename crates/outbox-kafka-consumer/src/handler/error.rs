use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// The result of a handler.
pub type HandlerResult = Result<(), HandlerError>;

/// The reason why a handler failed. `?` makes it of any error, and `into()` of text.
///
/// The [`RetryPolicy`](crate::RetryPolicy) then decides what comes next. A PostgreSQL error in the chain of sources
/// adds this: after a serialization failure, a deadlock or a lock that is not available the handler is called again at
/// once, and data that PostgreSQL rejects (SQLSTATE class 22) is [`FailureKind::Data`](crate::FailureKind::Data). An
/// error never ends the partition, whatever server it is of: a statement on the connection to the store shows whether
/// that connection is lost. [`retry`](Self::retry), [`retry_after`](Self::retry_after) and [`reject`](Self::reject)
/// take precedence over all of this.
///
/// ```
/// # use std::time::Duration;
/// # use outbox_kafka_consumer::{HandlerError, HandlerResult};
/// # fn example(amount: i64, is_busy: bool) -> HandlerResult {
/// if amount < 0 {
///     return Err(HandlerError::reject("a negative amount")); // no other attempt
/// }
/// if is_busy {
///     return Err(HandlerError::retry_after(Duration::from_secs(30), "the gateway asks for a pause"));
/// }
/// # Ok(())
/// # }
/// ```
///
/// It is no `std::error::Error` itself, so that it can be made of all of them.
pub struct HandlerError {
    source: Box<dyn StdError + Send + Sync>,
    hint: RetryHint,
    /// The event that caused the error, among those of the call, if it is known.
    event: Option<usize>,
}

/// The hint of the handler for the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryHint {
    /// No hint: the error decides.
    Unsaid,
    Retry,
    RetryAfter(Duration),
    Reject,
    /// The payload is not the handler's event: the policy for such records decides.
    Unreadable,
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self::new(error, RetryHint::Unsaid)
    }
}

impl HandlerError {
    fn new(source: impl Into<Box<dyn StdError + Send + Sync>>, hint: RetryHint) -> Self {
        Self { source: source.into(), hint, event: None }
    }

    /// Requests another attempt, which may succeed, whatever the error looks like. The policy decides when to try
    /// again, and when to give up.
    pub fn retry(why: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(why, RetryHint::Retry)
    }

    /// Requests another attempt as [`retry`](Self::retry) does, not before this delay.
    pub fn retry_after(delay: Duration, why: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(why, RetryHint::RetryAfter(delay))
    }

    /// Rejects the event: no attempt can succeed. The event becomes a dead letter at once.
    pub fn reject(why: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(why, RetryHint::Reject)
    }

    /// Returns the error of a payload that is not the handler's event.
    pub(crate) fn unreadable(error: outbox_core::Error) -> Self {
        Self::new(error, RetryHint::Unreadable)
    }

    pub(crate) fn is_unreadable(&self) -> bool {
        self.hint == RetryHint::Unreadable
    }

    pub(crate) fn caused_by_event(self, index: usize) -> Self {
        Self { event: Some(index), ..self }
    }

    pub(crate) fn event(&self) -> Option<usize> {
        self.event
    }

    pub(crate) fn hint(&self) -> RetryHint {
        self.hint
    }

    pub(crate) fn into_source(self) -> Box<dyn StdError + Send + Sync> {
        self.source
    }

    pub(crate) fn as_source(&self) -> &(dyn StdError + 'static) {
        &*self.source
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}
