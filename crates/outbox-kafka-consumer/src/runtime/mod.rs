//! The consumer at work: leases, a reader for each partition, lanes with batches in transactions.

mod background;
mod batch;
mod call;
mod discovery;
mod dispatch;
mod failed;
mod held;
mod ignored;
mod in_flight;
mod item;
mod lane;
mod measure;
mod membership;
mod partition;
mod pauses;
mod reader;
mod session;
mod settings_checks;
mod shared;
mod topic_retention;
mod try_out;
mod upkeep;

use std::sync::{Arc, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::discovery::Found;
use self::membership::Membership;
#[cfg(feature = "bench")]
pub use self::reader::{Chunk, Memory, read};
pub use self::shared::{Options, Shared, TopicPartition};
pub use self::try_out::TriedOut;
use crate::Error;

impl Shared {
    /// Runs all tasks of the consumer until `shutdown` is done.
    pub async fn run(self: Arc<Self>, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let stop = CancellationToken::new();
        let (found, places) = watch::channel(Found::default());
        let (mut membership, mut others) = (JoinSet::new(), JoinSet::new());
        let discovering = Arc::clone(&self);
        others.spawn(async move { discovering.discover(found).await });
        others.spawn(Arc::clone(&self).purge());
        others.spawn(Arc::clone(&self).look_after());
        if self.options.kafka_group {
            others.spawn(Arc::clone(&self).mirror());
        }
        membership.spawn(Membership::new(Arc::clone(&self), places).run(stop.clone()));

        tokio::pin!(shutdown);
        let ended = tokio::select! {
            () = shutdown => None,
            ended = membership.join_next() => ended,
            ended = others.join_next() => ended,
        };

        stop.cancel();
        // The membership ends in bounded time, after it has returned its leases; the others would never end.
        let closed = membership.join_next().await;
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
}
