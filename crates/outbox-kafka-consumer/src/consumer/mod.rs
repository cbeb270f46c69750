mod builder;

use std::fmt;
use std::sync::Arc;

pub use self::builder::Builder;

use crate::Error;
use crate::runtime::Shared;

/// Reads the topics of its handlers' events and runs the handlers. See the [crate](crate)'s page for what it promises.
pub struct Consumer {
    shared: Arc<Shared>,
}

impl Consumer {
    /// Starts a consumer of the cluster behind these brokers (`host:port`).
    pub fn builder(brokers: impl IntoIterator<Item = impl Into<String>>) -> Builder {
        Builder::new(brokers.into_iter().map(Into::into).collect())
    }

    /// Consumes until `shutdown` is done, then lets running handlers finish for a [bounded time](Builder::drain) and
    /// gives its leases back.
    ///
    /// A broker or a database that is away, a topic that does not exist yet and an event that fails do not end it. A
    /// partition that stands still at a record that nobody can get past is told about at once by a log line at level
    /// `ERROR`, the gauge `outbox_consumer_stopped` and the column `stopped_because`; others go on.
    ///
    /// # Errors
    /// When it ends, a partition stands still ([`Error::is_record`]).
    ///
    /// # Cancellation
    /// Dropping the future stops everything at once: transactions that run are rolled back, and the leases run out.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        self.shared.run(shutdown).await
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("cluster", &self.shared.cluster)
            .field("group", &self.shared.store.group)
            .field("topics", &self.shared.registry.topics())
            .finish_non_exhaustive()
    }
}
