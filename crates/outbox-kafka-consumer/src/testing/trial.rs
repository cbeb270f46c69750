use std::collections::{HashMap, HashSet};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use outbox_core::OutboxEvent;
use outbox_core::uuid::Uuid;

use crate::driver::{Driver, TokioPostgres};
use crate::received::Delivery;
use crate::runtime::{Shared, TriedOut};
use crate::store::Transaction;
use crate::{Consumer, Error, FailureKind};

/// Delivers events to a consumer's handlers in a transaction that is never committed, without Kafka.
///
/// Each event is encoded as the producer's pipeline does and goes through the consumer's registry, hook, upcasts,
/// settings and decoding. The consumer's tables are not needed.
///
/// ```no_run
/// # use outbox_core::OutboxEvent;
/// # use outbox_kafka_consumer::{Consumer, deadpool_postgres::Pool};
/// use outbox_kafka_consumer::testing::{Delivered, Trial};
///
/// # async fn example(consumer: Consumer, pool: Pool) -> Result<(), Box<dyn std::error::Error>> {
/// let event = OutboxEvent::builder("order", "7", "OrderCreated").json(r#"{"quantity":2}"#).build()?;
/// let mut client = pool.get().await?;
/// let mut trial = Trial::begin(&consumer, &mut client).await?;
///
/// trial.deliver_and_crash(&event).await?; // the process ends before the commit
/// assert_eq!(trial.deliver(&event).await?, Delivered::Handled);
/// assert_eq!(trial.deliver(&event).await?, Delivered::Duplicate);
///
/// let row = trial.transaction().query_one("SELECT count(*) FROM reservation", &[]).await?;
/// assert_eq!(row.get::<_, i64>(0), 1);
/// # Ok(())
/// # } // everything is rolled back
/// ```
pub struct Trial<'a, D: Driver = TokioPostgres> {
    shared: Arc<Shared>,
    tx: Transaction<'a>,
    handled: HashSet<Uuid>,
    /// The number of attempts that failed, and whether a handler was called.
    before: HashMap<Uuid, Delivery>,
    next_offset: i64,
    driver: PhantomData<fn() -> D>,
}

/// The outcome of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivered {
    /// Its handlers have returned `Ok`.
    Handled,
    /// It took effect before, so that no handler was called.
    Duplicate,
    /// No handler is registered for it, and the policy skips it.
    Ignored,
}

/// The reason why an event was not handled. Its effects were rolled back.
#[derive(Debug)]
pub struct DeliveryFailed {
    kind: FailureKind,
    error: String,
    retry_in: Option<Duration>,
}

impl<'a> Trial<'a> {
    /// Begins the transaction. It is rolled back when this is dropped.
    ///
    /// # Errors
    /// The transaction could not be begun.
    pub async fn begin(consumer: &Consumer, client: &'a mut ClientWrapper) -> Result<Self, Error> {
        let tx = client.transaction().await.map_err(|e| Error::store("begin a transaction", e))?;
        Ok(Self::of(consumer, Transaction::TokioPostgres(tx)))
    }

    /// Returns the transaction, to prepare data for handlers and to check their effects.
    #[must_use]
    #[expect(clippy::expect_used, reason = "begin has made it")]
    pub fn transaction(&self) -> &deadpool_postgres::Transaction<'a> {
        self.tx.as_tokio_postgres().expect("a transaction of tokio-postgres")
    }
}

#[cfg(feature = "sqlx")]
impl<'a> Trial<'a, crate::Sqlx> {
    /// Begins the transaction for handlers on [sqlx](crate::sqlx). It is rolled back when this is dropped.
    ///
    /// # Errors
    /// The transaction could not be begun.
    pub async fn begin_sqlx(consumer: &Consumer, connection: &'a mut ::sqlx::PgConnection) -> Result<Self, Error> {
        let tx = ::sqlx::Connection::begin(connection).await.map_err(|e| Error::store("begin a transaction", e))?;
        Ok(Self::of(consumer, Transaction::of_sqlx(tx)))
    }

    /// Returns the transaction, to prepare data for handlers and to check their effects.
    #[expect(clippy::expect_used, reason = "begin_sqlx has made it")]
    pub fn sqlx_transaction(&mut self) -> &mut ::sqlx::Transaction<'a, ::sqlx::Postgres> {
        self.tx.as_sqlx().expect("a transaction of sqlx")
    }
}

impl<'a, D: Driver> Trial<'a, D> {
    fn of(consumer: &Consumer, tx: Transaction<'a>) -> Self {
        Self {
            shared: Arc::clone(consumer.shared()),
            tx,
            handled: HashSet::new(),
            before: HashMap::new(),
            next_offset: 0,
            driver: PhantomData,
        }
    }

    /// Delivers an event. Once it was handled, it is a duplicate. After a failure this is its next attempt.
    ///
    /// # Errors
    /// A handler failed, or the event has none and the policy does not skip it.
    pub async fn deliver(&mut self, event: &OutboxEvent) -> Result<Delivered, DeliveryFailed> {
        self.deliver_all(std::slice::from_ref(event)).await
    }

    /// Delivers events of one type together, as a batch handler gets them. Duplicates are left out.
    ///
    /// # Errors
    /// As [`deliver`](Self::deliver), for all of them.
    pub async fn deliver_all(&mut self, events: &[OutboxEvent]) -> Result<Delivered, DeliveryFailed> {
        let delivered = self.call(events, "RELEASE SAVEPOINT outbox_trial").await?;
        if delivered == Delivered::Handled {
            self.handled.extend(events.iter().map(|event| event.id().as_uuid()));
        }
        Ok(delivered)
    }

    /// Delivers an event and rolls its effects back, as if the process ended before the commit. The next delivery of
    /// the event is a [redelivery](crate::Received::is_redelivery).
    ///
    /// # Errors
    /// As [`deliver`](Self::deliver).
    pub async fn deliver_and_crash(&mut self, event: &OutboxEvent) -> Result<Delivered, DeliveryFailed> {
        self.call(std::slice::from_ref(event), "ROLLBACK TO SAVEPOINT outbox_trial").await
    }

    /// Calls the handler with the events that it has not handled, under a savepoint: `end` decides whether their
    /// effects are kept.
    async fn call(&mut self, events: &[OutboxEvent], end: &str) -> Result<Delivered, DeliveryFailed> {
        let mut new = Vec::new();
        for event in events.iter().filter(|event| !self.handled.contains(&event.id().as_uuid())) {
            let delivery = self.before.entry(event.id().as_uuid()).or_insert(Delivery::FIRST);
            new.push((event, *delivery, self.next_offset));
            delivery.is_redelivery = true;
            self.next_offset += 1;
        }
        if new.is_empty() {
            return Ok(Delivered::Duplicate);
        }

        self.execute("SAVEPOINT outbox_trial").await?;
        match self.shared.try_out(&mut self.tx, &new).await {
            Ok(TriedOut::Handled) => self.execute(end).await.map(|()| Delivered::Handled),
            Ok(TriedOut::Ignored) => self.execute("RELEASE SAVEPOINT outbox_trial").await.map(|()| Delivered::Ignored),
            Err((kind, error, retry_in)) => {
                self.execute("ROLLBACK TO SAVEPOINT outbox_trial").await?;
                for (event, ..) in new {
                    if let Some(delivery) = self.before.get_mut(&event.id().as_uuid()) {
                        delivery.attempt += 1;
                    }
                }
                Err(DeliveryFailed { kind, error, retry_in })
            }
        }
    }

    async fn execute(&mut self, sql: &str) -> Result<(), DeliveryFailed> {
        self.shared.store.execute(&mut self.tx, sql).await.map_err(|e| {
            let chain = outbox_net::ErrorChain::new(e.as_source());
            let error = format!("a handler has broken its transaction: {chain}");
            DeliveryFailed { kind: FailureKind::Failed, error, retry_in: None }
        })
    }
}

impl<D: Driver> fmt::Debug for Trial<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial").field("handled", &self.handled.len()).finish_non_exhaustive()
    }
}

impl DeliveryFailed {
    /// Returns the kind of failure, as a [`RetryPolicy`](crate::RetryPolicy) gets it.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Returns the delay before the next attempt, without its random part, or `None` if the event becomes a dead
    /// letter.
    #[must_use]
    pub fn retry_in(&self) -> Option<Duration> {
        self.retry_in
    }
}

impl fmt::Display for DeliveryFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)
    }
}

impl std::error::Error for DeliveryFailed {}
