//! The settings of one handler. They come before the same settings for all handlers, which are in `Options` of
//! `runtime/shared.rs`.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::RetryPolicy;
use crate::policy::DeadLetterMode;

/// The settings of one handler. The [`Builder`](crate::Builder)'s apply to everything that is not set here.
///
/// [`of`](Self::of) gives them to a handler:
///
/// ```
/// # use std::{num::NonZeroUsize, time::Duration};
/// # use outbox_core::IncomingEvent;
/// # use outbox_kafka_consumer::{Builder, HandlerPolicy, HandlerResult, DeadLetterMode, Received, RetryPolicy};
/// # use outbox_kafka_consumer::deadpool_postgres::Transaction;
/// # #[derive(serde::Deserialize)] struct OrderCreated;
/// # impl IncomingEvent for OrderCreated {
/// #     const AGGREGATE_TYPE: &'static str = "order";
/// #     const EVENT_TYPE: &'static str = "OrderCreated";
/// # }
/// # async fn reserve(_: &Transaction<'_>, _: Received<OrderCreated>) -> HandlerResult { Ok(()) }
/// # fn example(builder: Builder) -> Builder {
/// let patient = HandlerPolicy::new()
///     .retry(RetryPolicy::exponential(Duration::from_secs(10), Duration::from_secs(3600), 50))
///     .timeout(Duration::from_secs(5))
///     .on_failure(DeadLetterMode::ContinueKey);
/// builder.on(patient.of(reserve))
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "give it to a handler with of()"]
pub struct HandlerPolicy {
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) on_failure: Option<DeadLetterMode>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) max_batch_size: Option<NonZeroUsize>,
}

impl HandlerPolicy {
    /// Creates settings that change nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets when an event that this handler failed is tried again, and how often.
    pub fn retry(self, policy: RetryPolicy) -> Self {
        Self { retry: Some(policy), ..self }
    }

    /// Sets what happens to an event whose attempts are used up.
    pub fn on_failure(self, then: DeadLetterMode) -> Self {
        Self { on_failure: Some(then), ..self }
    }

    /// Sets how long one call of the handler may take.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Sets how many events share a transaction in which this handler is called. It cannot raise
    /// [`Builder::max_batch_size`](crate::Builder::max_batch_size).
    pub fn max_batch_size(self, events: NonZeroUsize) -> Self {
        Self { max_batch_size: Some(events), ..self }
    }

    /// Gives these settings to a handler of any kind.
    pub fn of<H>(self, handler: H) -> Configured<H> {
        Configured { policy: self, handler }
    }
}

/// A handler with settings, made by [`HandlerPolicy::of`].
#[derive(Clone, Debug)]
pub struct Configured<H> {
    pub(super) policy: HandlerPolicy,
    pub(super) handler: H,
}
