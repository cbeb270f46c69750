mod builder;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use outbox_core::Pipeline;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::builder::Builder;

use crate::Error;
use crate::backoff::Backoff;
use crate::error::Chain;
use crate::kafka::Cluster;
use crate::partition::Worker;
use crate::position::Positions;
use crate::registry::Registry;

/// Reads the topics of its handlers' events and runs the handlers. See the [crate](crate)'s page for what it promises.
pub struct Consumer {
    shared: Arc<Shared>,
}

/// What all partitions share.
pub(crate) struct Shared {
    pub(crate) cluster: Cluster,
    pub(crate) pipeline: Pipeline,
    pub(crate) positions: Positions,
    pub(crate) registry: Registry,
}

/// How often topics and partitions that are new are looked for.
const DISCOVERY: Duration = Duration::from_secs(2);
/// How long the handlers that run at shutdown may go on.
const DRAIN: Duration = Duration::from_secs(10);

impl Consumer {
    /// Starts a consumer of the cluster behind these brokers (`host:port`).
    pub fn builder(brokers: impl IntoIterator<Item = impl Into<String>>) -> Builder {
        Builder::new(brokers.into_iter().map(Into::into).collect())
    }

    /// Consumes until `shutdown` is done, then lets running handlers finish for up to ten seconds.
    ///
    /// A broker or a database that is away, a topic that does not exist yet and a handler that fails are waited for. A
    /// new group begins at the earliest record.
    ///
    /// # Errors
    /// A record cannot be read or decoded, or the position is no longer in the topic ([`Error::is_record`]): going on
    /// would lose events without a word.
    ///
    /// # Cancellation
    /// Dropping the future stops all partitions at once; transactions that run are rolled back.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let stop = CancellationToken::new();
        let mut workers = JoinSet::new();
        let ended = tokio::select! {
            () = shutdown => Ok(()),
            ended = self.discover(&stop, &mut workers) => ended,
        };
        stop.cancel();
        let drained = tokio::time::timeout(DRAIN, async {
            let mut ended = Ok(());
            while let Some(worker) = workers.join_next().await {
                ended = ended.and(outcome(worker));
            }
            ended
        });
        let drained = drained.await.unwrap_or_else(|_| {
            tracing::warn!(target: "outbox.consumer", "handlers did not finish in time and are rolled back");
            Ok(())
        });
        workers.shutdown().await;
        ended.and(drained)
    }

    /// Starts a worker for each partition as it appears; ends only with an error.
    async fn discover(&self, stop: &CancellationToken, workers: &mut JoinSet<Result<(), Error>>) -> Result<(), Error> {
        let mut known: BTreeSet<(String, i32)> = BTreeSet::new();
        let mut missing: BTreeSet<&str> = BTreeSet::new();
        let mut backoff = Backoff::up_to(Duration::from_secs(5));
        loop {
            let listed = match self.shared.cluster.connect().await {
                Ok(client) => self.shared.cluster.partitions(&client).await,
                Err(e) => Err(e),
            };
            let pause = match listed {
                Ok(topics) => {
                    backoff.reset();
                    for topic in self.shared.registry.topics() {
                        if !topics.contains_key(topic) && missing.insert(topic) {
                            tracing::info!(target: "outbox.consumer", topic, "the topic does not exist yet: waiting for it");
                        }
                        for partition in topics.get(topic).into_iter().flatten() {
                            if known.insert((topic.to_owned(), *partition)) {
                                let worker = Worker::new(Arc::clone(&self.shared), topic, *partition);
                                workers.spawn(worker.run(stop.child_token()));
                            }
                        }
                    }
                    DISCOVERY
                }
                Err(e) => {
                    let pause = backoff.delay();
                    tracing::warn!(target: "outbox.consumer", error = %Chain(&e), retry_in = ?pause, "cannot list topics");
                    pause
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Some(worker) = workers.join_next() => outcome(worker)?,
            }
        }
    }
}

fn outcome(joined: Result<Result<(), Error>, tokio::task::JoinError>) -> Result<(), Error> {
    joined.unwrap_or_else(|e| Err(Error::task("a handler panicked, or the runtime is shutting down").caused_by(e)))
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("cluster", &self.shared.cluster)
            .field("group", &self.shared.positions.group)
            .field("topics", &self.shared.registry.topics())
            .finish_non_exhaustive()
    }
}
