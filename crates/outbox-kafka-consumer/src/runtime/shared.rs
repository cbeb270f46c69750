use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outbox_core::Pipeline;
use outbox_core::record::DecodedEvent;
use tokio::sync::Semaphore;

use super::ignored::Ignored;
use super::pauses::{Breakers, Pauses};
use super::settings_checks::SettingsChecks;
use super::upkeep::Upkeep;
use crate::handler::{AnyLayer, Registered, Upcasts};
use crate::policy::{CircuitBreaker, DeadLetterMode, InitialOffset, Isolation, OnOffsetOutOfRange, RecordPolicy};
use crate::registry::Registry;
use crate::source::Choice;
use crate::store::Store;
use crate::{Error, RetryPolicy};

/// Topic and partition.
pub type TopicPartition = (String, i32);

/// The user's function for the span of an event, for example to set its parent.
pub type SpanHook = Arc<dyn Fn(&tracing::Span, &DecodedEvent) + Send + Sync>;

/// The state that all parts share.
pub struct Shared {
    pub cluster: Choice,
    pub pipeline: Pipeline,
    pub registry: Registry,
    pub upcasts: Upcasts,
    pub store: Store,
    pub options: Options,
    /// The partitions that stop, and why.
    pub stopped: Mutex<BTreeMap<TopicPartition, Error>>,
    /// The reason why Kafka rejects this client, if it does.
    pub rejected: Mutex<Option<Error>>,
    pub ignored: Ignored,
    pub upkeep: Upkeep,
    pub pauses: Pauses,
    pub breakers: Breakers,
    pub settings_checks: SettingsChecks,
    /// A permit for each transaction or call of a handler at a time.
    pub slots: Semaphore,
    /// A permit for each byte of records that were fetched and are not handled.
    pub memory: Arc<Semaphore>,
}

/// The settings of the builder, which has the default of each. [`HandlerPolicy`](crate::HandlerPolicy) replaces some
/// for one handler.
#[derive(Clone)]
pub struct Options {
    pub retry: RetryPolicy,
    pub on_failure: DeadLetterMode,
    pub on_undecodable_record: RecordPolicy,
    pub on_unknown_event: RecordPolicy,
    pub on_newer_version: RecordPolicy,
    pub initial_offset: InitialOffset,
    pub on_offset_out_of_range: OnOffsetOutOfRange,
    pub isolation: Isolation,
    pub partition_concurrency: NonZeroUsize,
    pub max_batch_size: NonZeroUsize,
    pub shutdown_timeout: Duration,
    pub handler_timeout: Duration,
    pub poison_after: NonZeroU32,
    pub inbox_retention: Duration,
    pub dead_letter_retention: Option<Duration>,
    pub circuit_breaker: Option<CircuitBreaker>,
    /// Whether positions are mirrored to a Kafka consumer group.
    pub kafka_group: bool,
    pub max_memory: u32,
    pub span: Option<SpanHook>,
    /// Called before the handlers of each event.
    pub before: Option<Registered>,
    /// Around handlers in transactions, the outermost first.
    pub layers: Vec<Arc<dyn AnyLayer>>,
    /// Around handlers outside of transactions.
    pub side_effect_layers: Vec<Arc<dyn AnyLayer>>,
}

impl Shared {
    /// Creates the state of a consumer of which at most `concurrency` transactions or calls of handlers run at a time.
    pub fn new(
        cluster: Choice,
        pipeline: Pipeline,
        registry: Registry,
        upcasts: Upcasts,
        store: Store,
        options: Options,
        concurrency: usize,
    ) -> Self {
        let memory = usize::try_from(options.max_memory).unwrap_or(usize::MAX);
        Self {
            cluster,
            pipeline,
            registry,
            upcasts,
            store,
            options,
            stopped: Mutex::default(),
            rejected: Mutex::default(),
            ignored: Ignored::default(),
            upkeep: Upkeep::default(),
            pauses: Pauses::default(),
            breakers: Breakers::default(),
            settings_checks: SettingsChecks::default(),
            slots: Semaphore::new(concurrency),
            memory: Arc::new(Semaphore::new(memory)),
        }
    }

    /// Forgets a paused partition that is no longer this consumer's.
    pub fn forget_stopped(&self, place: &TopicPartition) {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).remove(place);
    }

    /// Notes why Kafka serves nothing, or not all topics; `None` if it does.
    pub fn set_rejected(&self, error: Option<Error>) {
        *self.rejected.lock().unwrap_or_else(PoisonError::into_inner) = error.filter(Error::is_security);
    }
}
