mod builder;
mod register;

use std::fmt;
use std::sync::Arc;

use outbox_pg::Migrations;

pub use self::builder::Builder;

use crate::Error;
use crate::runtime::Shared;

/// Reads the topics of its handlers' events and runs the handlers. See the [crate](crate)'s page for what it promises.
pub struct Consumer {
    shared: Arc<Shared>,
}

impl Consumer {
    /// Returns the migrations of this consumer's tables, in the [schema](Builder::schema) that it uses.
    ///
    /// Apply them at deployment, before [`run`](Self::run), as a role that may create tables. If there is no consumer
    /// at that point, the function [`migrations`](crate::migrations) returns the same.
    ///
    /// ```no_run
    /// # use outbox_kafka_consumer::{Consumer, deadpool_postgres::Pool};
    /// # async fn example(consumer: Consumer, pool: Pool) -> Result<(), Box<dyn std::error::Error>> {
    /// consumer.migrations().apply(&mut *pool.get().await?).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn migrations(&self) -> Migrations {
        self.shared.store.migrations()
    }

    fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Consumes until `shutdown` is done, then lets running handlers finish for a [bounded
    /// time](Builder::shutdown_timeout) and gives its leases back.
    ///
    /// An unreachable broker or database, a topic that does not exist yet, and a failed event do not end it. If a
    /// partition stops at a record that needs a decision, this is reported at once by a log line at level `ERROR`, the
    /// gauge `outbox_consumer_stopped` and the column `stopped_because`; others continue.
    ///
    /// # Errors
    /// - At the start, as soon as the database answers: the [tables](Self::migrations) are missing, have another
    ///   version, or the role lacks a privilege ([`Error::is_setup`]).
    /// - At the end: a partition is paused ([`Error::is_record`]).
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
