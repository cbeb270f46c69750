//! The consumer at work: leases, a reader for each partition, lanes with batches in transactions.

mod batch;
mod breaker;
mod call;
mod discovery;
mod dispatch;
mod failed;
mod feed;
mod held;
mod ignored;
mod item;
mod lane;
mod measure;
mod membership;
mod mirror;
mod partition;
mod pauses;
mod reader;
mod try_out;
mod upkeep;

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outbox_core::Pipeline;
use outbox_core::record::DecodedEvent;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use self::breaker::Breakers;
use self::discovery::Found;
pub(crate) use self::ignored::Ignored;
use self::membership::Membership;
pub(crate) use self::pauses::Pauses;
#[cfg(feature = "bench")]
pub(crate) use self::reader::{Chunk, Memory, read};
pub(crate) use self::try_out::TriedOut;
pub(crate) use self::upkeep::Upkeep;
use crate::handler::{AnyLayer, Registered, Upcasts};
use crate::policy::{CircuitBreaker, DeadLetterMode, InitialOffset, Isolation, OnOffsetOutOfRange, RecordPolicy};
use crate::registry::Registry;
use crate::source::Choice;
use crate::store::Store;
use crate::{Error, RetryPolicy};

/// Topic and partition.
pub(crate) type TopicPartition = (String, i32);

/// The user's function for the span of an event, for example to set its parent.
pub(crate) type SpanHook = Arc<dyn Fn(&tracing::Span, &DecodedEvent) + Send + Sync>;

/// The state that all parts share.
pub(crate) struct Shared {
    pub(crate) cluster: Choice,
    pub(crate) pipeline: Pipeline,
    pub(crate) registry: Registry,
    pub(crate) upcasts: Upcasts,
    pub(crate) store: Store,
    pub(crate) options: Options,
    /// The partitions that stop, and why.
    pub(crate) stopped: Mutex<BTreeMap<TopicPartition, Error>>,
    /// Why Kafka rejects this client, if it does.
    pub(crate) rejected: Mutex<Option<Error>>,
    pub(crate) ignored: Ignored,
    pub(crate) upkeep: Upkeep,
    pub(crate) pauses: Pauses,
    pub(crate) breakers: Breakers,
    /// A permit for each transaction or call of a handler at a time.
    pub(crate) slots: Semaphore,
    /// A permit for each byte of records that were fetched and are not handled.
    pub(crate) memory: Arc<Semaphore>,
}

/// The settings of the builder.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) retry: RetryPolicy,
    pub(crate) on_failure: DeadLetterMode,
    pub(crate) undecodable: RecordPolicy,
    pub(crate) unknown: RecordPolicy,
    pub(crate) newer: RecordPolicy,
    pub(crate) start: InitialOffset,
    pub(crate) position_lost: OnOffsetOutOfRange,
    pub(crate) isolation: Isolation,
    pub(crate) lanes: NonZeroUsize,
    pub(crate) batch: NonZeroUsize,
    pub(crate) drain: Duration,
    pub(crate) handler_timeout: Duration,
    pub(crate) poison_after: NonZeroU32,
    pub(crate) inbox_retention: Duration,
    pub(crate) dead_letter_retention: Option<Duration>,
    pub(crate) circuit_breaker: Option<CircuitBreaker>,
    /// Whether positions are mirrored to a Kafka consumer group.
    pub(crate) kafka_group: bool,
    pub(crate) max_memory: u32,
    pub(crate) span: Option<SpanHook>,
    /// Called before the handlers of each event.
    pub(crate) before: Option<Registered>,
    /// Around handlers in transactions, the outermost first.
    pub(crate) layers: Vec<Arc<dyn AnyLayer>>,
    /// Around handlers outside of transactions.
    pub(crate) side_effect_layers: Vec<Arc<dyn AnyLayer>>,
}

impl Shared {
    pub(crate) async fn run(self: Arc<Self>, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let stop = CancellationToken::new();
        let (found, places) = watch::channel(Found::default());
        let (mut keeper, mut others) = (JoinSet::new(), JoinSet::new());
        let discovering = Arc::clone(&self);
        others.spawn(async move { discovering.discover(found).await });
        others.spawn(Arc::clone(&self).purge());
        others.spawn(Arc::clone(&self).look_after());
        if self.options.kafka_group {
            others.spawn(Arc::clone(&self).mirror());
        }
        keeper.spawn(Membership::new(Arc::clone(&self), places).run(stop.clone()));

        tokio::pin!(shutdown);
        let ended = tokio::select! {
            () = shutdown => None,
            ended = keeper.join_next() => ended,
            ended = others.join_next() => ended,
        };
        stop.cancel();
        // The keeper ends in bounded time, after it has returned its leases; the others would never end.
        let closed = keeper.join_next().await;
        others.shutdown().await;
        self.mirror_last().await;
        let mut outcome = Ok(());
        for ended in [ended, closed].into_iter().flatten() {
            outcome = outcome.and(ended.unwrap_or_else(|e| Err(Error::task("it panicked").caused_by(e))));
        }
        let stopped = std::mem::take(&mut *self.stopped.lock().unwrap_or_else(PoisonError::into_inner));
        let rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner).take();
        outcome.and_then(|()| stopped.into_values().next().or(rejected).map_or(Ok(()), Err))
    }

    /// Forgets a paused partition that is no longer this consumer's.
    fn forget_stopped(&self, place: &TopicPartition) {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).remove(place);
    }

    /// Notes why Kafka serves nothing, or not all topics; `None` if it does.
    fn set_rejected(&self, error: Option<Error>) {
        *self.rejected.lock().unwrap_or_else(PoisonError::into_inner) = error.filter(Error::is_security);
    }
}
