use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::BrokerError;
use super::log::{Outcome, Producing, RecordBatch};
use super::settings::now_ms;
use super::shared::Shared;
use super::transactions::Partitions;

/// A transaction whose records a test appends without a client. It has its own producer id.
///
/// Dropping it leaves the transaction open, as a producer that ended does: readers of committed records wait at its
/// first record (the last stable offset).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), outbox_testkit::BrokerError> {
/// # use outbox_core::{OutboxEvent, Pipeline};
/// # use outbox_testkit::{Broker, PublishedRecords};
/// # let event = OutboxEvent::builder("order", "42", "OrderCreated").json("{}").build().unwrap();
/// # let record = PublishedRecords::by_debezium(Pipeline::recommended()).of(&event).unwrap();
/// let broker = Broker::start().await?;
/// broker.create_topic("orders", 1)?;
/// let mut transaction = broker.begin_transaction();
/// transaction.append("orders", 0, record)?;
/// transaction.abort();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Transaction {
    shared: Arc<Shared>,
    producer_id: i64,
    /// The next sequence of each partition.
    sequences: BTreeMap<(String, i32), i32>,
}

const EPOCH: i16 = 0;

impl Transaction {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let producer_id = shared.write(|cluster| cluster.next_producer_id());
        Self { shared, producer_id, sequences: BTreeMap::new() }
    }

    /// Appends a batch of records to a partition, and returns the offset of the first one.
    ///
    /// A batch from bytes keeps the producer that its bytes name.
    ///
    /// # Errors
    /// The topic or the partition does not exist, or the broker refuses the batch.
    pub fn append(&mut self, topic: &str, partition: i32, batch: impl Into<RecordBatch>) -> Result<i64, BrokerError> {
        let next = self.sequences.entry((topic.to_owned(), partition)).or_default();
        let producer = Producing::transactional((self.producer_id, EPOCH), *next);
        let (base_offset, count) = self.shared.append(topic, partition, batch.into(), producer)?;
        *next = next.wrapping_add(count) & i32::MAX;
        Ok(base_offset)
    }

    /// Commits: each partition gets a commit marker.
    pub fn commit(self) {
        self.end(Outcome::Commit);
    }

    /// Aborts: each partition gets an abort marker.
    pub fn abort(self) {
        self.end(Outcome::Abort);
    }

    fn end(self, outcome: Outcome) {
        let partitions: Partitions = self.sequences.into_keys().collect();
        let producer = (self.producer_id, EPOCH);
        self.shared.write(|cluster| cluster.write_markers(&partitions, producer, outcome, now_ms()));
        self.shared.announce();
    }
}
