//! The treatment of an event that failed: whether it is tried again, and when, or becomes a dead letter. A policy for
//! failed events is applied in `disposition`.

use std::any::Any;
use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use deadpool_postgres::tokio_postgres::error::SqlState;
use outbox_net::ErrorChain;

use super::{Shared, measure};
use crate::handler::{HandlerPolicy, RetryHint};
use crate::policy::{DeadLetterMode, RecordPolicy};
use crate::protocol::{FailedAttempt, FailureKind, RetryPolicy, SqlFault, sql_fault};
use crate::registry::Route;
use crate::store::{Disposition, Paused, PgError};
use crate::{Error, EventState, HandlerError};

/// The reason why an event was not handled, and the possible next steps.
#[derive(Debug)]
pub struct Failed {
    pub kind: FailureKind,
    pub error: String,
    hint: RetryHint,
    /// The error that the handler returned.
    source: Option<Box<dyn StdError + Send + Sync>>,
    /// The settings of the handler that failed, if it is known.
    policy: Option<HandlerPolicy>,
}

/// The reason why a transaction did not commit.
#[derive(Debug)]
pub enum Fault {
    /// One of its events failed.
    Event(Failed),
    /// It lost against another transaction.
    Conflict(Error),
    /// It did not get a lock that another transaction holds.
    Locked(Error),
    /// The store is unreachable, the lease is lost, or the outcome of the commit is not known.
    Store(Error),
    /// The payload of one of its events cannot be read, and the policy stops there.
    Stop(Box<dyn StdError + Send + Sync>),
    /// A handler has ended the transaction with COMMIT or ROLLBACK.
    Ended,
    /// A handler has changed settings that other events of the transaction need as they were.
    NotShared(Error),
    /// It is committed, and a handler has changed settings of the session for longer than that.
    SessionChanged(Error),
}

/// The reason why the transaction of a batch did not commit, and which of its events may be the cause.
#[derive(Debug)]
pub struct Aborted {
    pub fault: Fault,
    /// The places in the batch of the possible causes, in order. If it is empty, any event may be the cause.
    pub suspects: Vec<usize>,
}

impl From<Fault> for Aborted {
    fn from(fault: Fault) -> Self {
        Self { fault, suspects: Vec::new() }
    }
}

impl Failed {
    pub fn new(kind: FailureKind, error: impl Into<String>) -> Self {
        Self { kind, error: error.into(), hint: RetryHint::Unsaid, source: None, policy: None }
    }

    /// Parks the event until a consumer comes that can take it.
    fn until_handled(&self, attempts: i32) -> Disposition<'_> {
        let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(MOST_DOUBLINGS);
        Disposition {
            state: EventState::Parked,
            blocks: true,
            attempts,
            kind: self.kind,
            error: &self.error,
            next_attempt: Some(Duration::from_secs(1 << doublings)),
        }
    }

    /// Creates the outcome of an event whose handler did not get a lock.
    pub fn locked(error: &Error) -> Self {
        Self::new(FailureKind::Locked, ErrorChain::new(error).to_string())
    }

    /// Parks the event until the lock may be free. The attempt, which is among `attempts`, does not count.
    fn until_unlocked(&self, attempts: i32, random: f64) -> Disposition<'_> {
        Disposition {
            state: EventState::Parked,
            blocks: true,
            attempts: attempts.saturating_sub(1),
            kind: self.kind,
            error: &self.error,
            next_attempt: Some(RetryPolicy::jittered(LOCKED_PAUSE, random)),
        }
    }

    /// Returns the outcome of an event that ended the process each time: it gets no other attempt.
    pub fn poison(error: &str) -> Self {
        Self { hint: RetryHint::Reject, ..Self::new(FailureKind::Crashed, error) }
    }

    /// Returns whether the loss of the connection has no influence, because the handler gave a hint or panicked.
    fn is_final(&self) -> bool {
        self.hint != RetryHint::Unsaid || self.kind == FailureKind::Panicked
    }

    /// Returns whether the cause may be a dependency of the handler, and not the event.
    pub fn may_be_a_dependency(&self) -> bool {
        self.hint == RetryHint::Unsaid
            && matches!(self.kind, FailureKind::Failed | FailureKind::TimedOut | FailureKind::Locked)
    }

    pub fn panicked(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Self::new(FailureKind::Panicked, format!("the handler panicked: {}", text.unwrap_or("(no text)")))
    }
}

impl Fault {
    /// Converts into an error that is not counted against an event.
    pub fn into_error(self) -> Error {
        match self {
            Self::Store(e) | Self::Conflict(e) | Self::Locked(e) | Self::NotShared(e) | Self::SessionChanged(e) => e,
            Self::Event(failed) => Error::store("keep an event that failed", failed.error),
            Self::Stop(e) => Error::store("keep an event that failed", e),
            Self::Ended => Error::store("keep a transaction", ENDED),
        }
    }

    /// Converts PostgreSQL's error outside of a handler.
    pub fn of_store(doing: &str, error: PgError) -> Self {
        match sql_fault(error.as_source()) {
            SqlFault::Conflict => Self::Conflict(Error::store(doing, error)),
            SqlFault::Locked => Self::Locked(Error::store(doing, error)),
            _ => Self::Store(Error::store(doing, error)),
        }
    }

    /// Converts PostgreSQL's error in a statement of the consumer after handlers, in their transaction.
    pub fn after_handlers(doing: &str, error: PgError) -> Self {
        let failed = |why: &str| Self::Event(Failed::new(FailureKind::Failed, why));
        // A COMMIT of such a transaction would be answered as if it had succeeded.
        if error.is_state(&SqlState::IN_FAILED_SQL_TRANSACTION) {
            failed("the handler returned Ok although PostgreSQL had refused one of its statements")
        } else if error.is_state(&SqlState::INVALID_CURSOR_NAME) {
            Self::Ended
        } else if error.is_state(&SqlState::READ_ONLY_SQL_TRANSACTION) {
            failed("the handler made its transaction READ ONLY, so that its event cannot be recorded as handled")
        } else {
            Self::of_store(doing, error)
        }
    }

    /// Creates the outcome of an event whose key was blocked when its handler outside of the transaction was to be
    /// called, and no longer is.
    pub fn not_called() -> Self {
        Self::Conflict(Error::store("record an event as handled", "its key was freed before its handler was called"))
    }

    /// Reports that the key of an event is no longer blocked: the event is to be handled, and not parked.
    pub fn freed() -> Self {
        Self::Conflict(Error::store("park an event behind its key", "its key was freed meanwhile"))
    }

    /// Converts the result of a handler. An event that the policy skips is not given to its handler. `Shared::sort`
    /// applies the same policy to records that cannot be decoded.
    pub fn of_handler(error: HandlerError, undecodable: RecordPolicy) -> Self {
        if !error.is_unreadable() {
            return Self::of_error(error);
        }
        let source = error.into_source();
        let kind = match undecodable {
            RecordPolicy::Stop => return Self::Stop(source),
            RecordPolicy::Park => FailureKind::Unhandled,
            RecordPolicy::DeadLetter | RecordPolicy::Skip => FailureKind::Undecodable,
        };
        Self::Event(Failed::new(kind, ErrorChain::new(&*source).to_string()))
    }

    /// Classifies an error. The handler's hint takes precedence. Its error may come from any server, so it can show a
    /// conflict or invalid data, but never the loss of the store.
    fn of_error(error: HandlerError) -> Self {
        let (hint, text) = (error.hint(), ErrorChain::new(error.as_source()).to_string());
        let kind = match (hint, sql_fault(error.as_source())) {
            (RetryHint::Unsaid, SqlFault::Conflict) => {
                return Self::Conflict(Error::store(format!("take a handler's statement: {text}"), "a conflict"));
            }
            (RetryHint::Unsaid, SqlFault::Locked) => {
                return Self::Locked(Error::store(format!("take a handler's statement: {text}"), "a lock is held"));
            }
            (RetryHint::Unsaid, SqlFault::Data) => FailureKind::Data,
            (RetryHint::Reject, _) => FailureKind::Rejected,
            _ => FailureKind::Failed,
        };
        Self::Event(Failed { hint, source: Some(error.into_source()), ..Failed::new(kind, text) })
    }

    /// Converts a lock that was waited for this long into an event to be parked, so that its lane continues. A handler
    /// that does not wait for locks is called again at once, as after a conflict.
    pub fn after(self, took: Duration, lease: Duration) -> Self {
        match self {
            Self::Locked(e) if took >= lease / SHORT_WAIT => Self::Event(Failed::locked(&e)),
            fault => fault,
        }
    }

    /// Adds the settings of the handler that failed.
    pub fn with_policy(mut self, policy: &HandlerPolicy) -> Self {
        if let Self::Event(failed) = &mut self {
            failed.policy = Some(policy.clone());
        }
        self
    }

    /// Creates the outcome of a connection to the store that was closed while a handler ran, which returned `fault` or
    /// `Ok`. `idle_bound` is set if it took so long that PostgreSQL ended the session.
    pub fn of_closed_connection(fault: Option<Self>, idle_bound: Option<Duration>) -> Self {
        match (fault, idle_bound) {
            (Some(Self::Event(failed)), _) if failed.is_final() || failed.kind == FailureKind::TimedOut => {
                Self::Event(failed)
            }
            (Some(stop @ (Self::Stop(_) | Self::Ended)), _) => stop,
            (_, Some(bound)) => {
                let error = format!("the handler let its transaction idle for nearly {bound:?}, half of the lease");
                Self::Event(Failed::new(FailureKind::TimedOut, error))
            }
            (fault, None) => Self::of_lost_connection(fault, "the connection ended"),
        }
    }

    /// Creates the outcome of a connection to the store on which PostgreSQL did not answer after a handler, which
    /// returned `fault` or `Ok`. PostgreSQL bounds each statement, so a handler that took too long has waited for the
    /// answer, too: its event is not the cause.
    pub fn of_silent_connection(fault: Option<Self>) -> Self {
        match fault {
            Some(Self::Event(failed)) if failed.is_final() => Self::Event(failed),
            Some(stop @ (Self::Stop(_) | Self::Ended)) => stop,
            fault => Self::of_lost_connection(fault, "PostgreSQL did not answer afterwards"),
        }
    }

    fn of_lost_connection(fault: Option<Self>, loss: &'static str) -> Self {
        let error = fault.map_or_else(
            || "the handler returned Ok".to_owned(),
            |fault| match fault {
                Self::Event(failed) => failed.error,
                fault => ErrorChain::new(&fault.into_error()).to_string(),
            },
        );
        Self::Store(Error::store(format!("answer a handler: {error}"), loss))
    }

    /// Converts PostgreSQL's reason why it did not commit.
    pub fn of_commit(error: PgError) -> Self {
        let kind = match sql_fault(error.as_source()) {
            SqlFault::Conflict => return Self::Conflict(Error::store("commit", error)),
            SqlFault::Locked => return Self::Locked(Error::store("commit", error)),
            SqlFault::Data => FailureKind::Data,
            SqlFault::Other => FailureKind::Failed,
        };
        Self::Event(Failed::new(kind, ErrorChain::new(error.as_source()).to_string()))
    }
}

impl Shared {
    /// Counts an event that was handled.
    pub fn succeeded(&self, topic: &str, event_type: &str) {
        if self.options.circuit_breaker.is_some() {
            self.breakers.lock().retain(|(of, kind), _| of != topic || kind != event_type);
        }
    }

    /// Counts an event that failed for the first time. After that many in a row its type is paused: true then, and the
    /// event is to be handled again after the pause instead of being parked.
    pub async fn breaks(&self, topic: &str, event_type: &str, failed: &Failed) -> Result<bool, Error> {
        let Some(breaker) = self.options.circuit_breaker.filter(|_| failed.may_be_a_dependency()) else {
            return Ok(false);
        };
        let failures = {
            let mut counts = self.breakers.lock();
            let count = counts.entry((topic.to_owned(), event_type.to_owned())).or_default();
            *count = count.saturating_add(1);
            *count
        };
        if failures < breaker.failures() {
            return Ok(false);
        }

        let paused = Paused { topic: topic.to_owned(), event_type: event_type.to_owned() };
        let reason = format!("circuit breaker: {failures} failures in a row, the last one: {}", failed.error);
        self.store.pause(&paused, &reason, Some(breaker.pause())).await?;
        if self.pauses.add(paused) {
            tracing::warn!(
                target: "outbox.consumer", topic, event_type, failures, pause = ?breaker.pause(), error = failed.error,
                "circuit breaker opened: event type paused"
            );
            measure::breaker(topic);
        }
        Ok(true)
    }

    /// Decides about an event after this number of attempts, by the settings of the handler that failed, or else of its
    /// `route`.
    pub fn disposition<'a>(
        &self,
        failed: &'a Failed,
        route: Option<&Route>,
        attempts: i32,
        random: f64,
    ) -> Disposition<'a> {
        // No policy ends these two, nor those that wait `behind` another: they are parked until it is their turn.
        match failed.kind {
            FailureKind::Unhandled => return failed.until_handled(attempts),
            FailureKind::Locked => return failed.until_unlocked(attempts, random),
            _ => {}
        }

        let policy = failed.policy.as_ref().or(route.and_then(Route::policy));
        let retry = policy.and_then(|policy| policy.retry.as_ref()).unwrap_or(&self.options.retry);
        let on_failure = policy.and_then(|policy| policy.on_failure).unwrap_or(self.options.on_failure);
        let attempt = u32::try_from(attempts).unwrap_or(1).max(1);
        let error = failed.source.as_ref().map(|error| &**error as &(dyn StdError + 'static));
        let failed_attempt = FailedAttempt { attempt, kind: failed.kind, error };
        let delay = catch_unwind(AssertUnwindSafe(|| retry.delay(&failed_attempt))).unwrap_or_else(|_| {
            tracing::error!(target: "outbox.consumer", "retry policy panicked: the default policy decides");
            RetryPolicy::default().delay(&failed_attempt)
        });

        let next_attempt = match (delay, failed.hint) {
            (None, _) | (_, RetryHint::Reject) => None,
            (Some(_), RetryHint::RetryAfter(delay)) => Some(delay.min(LONGEST_DELAY)),
            (Some(delay), _) => Some(RetryPolicy::jittered(delay.min(LONGEST_DELAY), random)),
        };

        Disposition {
            state: if next_attempt.is_some() { EventState::Parked } else { EventState::Dead },
            blocks: next_attempt.is_some() || on_failure == DeadLetterMode::BlockKey,
            attempts,
            kind: failed.kind,
            error: &failed.error,
            next_attempt,
        }
    }
}

/// The time that an event waits for a lock before it is parked: this part of the lease at least.
const SHORT_WAIT: u32 = 8;
/// The time that an event is parked that did not get a lock.
const LOCKED_PAUSE: Duration = Duration::from_secs(5);
/// The largest number of doublings of the pause, from 1 s on, between two checks of an event that no consumer can
/// handle yet.
const MOST_DOUBLINGS: u32 = 5;
/// The longest delay that is stored, which PostgreSQL's intervals can hold.
const LONGEST_DELAY: Duration = Duration::from_secs(366 * 24 * 3600);
/// The reason why a handler ended its transaction.
pub const ENDED: &str = "the handler ended its transaction by COMMIT or ROLLBACK, which only the consumer may: \
     remove that from the handler. Nothing of the transaction is stored";
