use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rskafka::client::partition::PartitionClient;
use tokio::task::JoinSet;

use crate::ledger::Ledger;
use crate::topic::{Topic, within};
use crate::{Failure, Outcome};

const POLL: Duration = Duration::from_millis(10);

/// A reader that waits at the end of a topic and notes when each record is in its hands.
#[derive(Debug)]
pub(crate) struct Tail {
    received: Arc<Mutex<Received>>,
    readers: JoinSet<Outcome<()>>,
}

/// The records that a [`Tail`] has read.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) ledger: Ledger,
    /// Each number with the moment at which it was first there, in the order of arrival.
    pub(crate) arrivals: Vec<(u64, Instant)>,
    /// The highest number.
    pub(crate) highest: Option<u64>,
}

impl Tail {
    /// Starts at the topic's beginning.
    pub(crate) async fn start(topic: &Topic) -> Outcome<Self> {
        let received = Arc::new(Mutex::new(Received::default()));
        let mut readers = JoinSet::new();
        for partition in topic.partition_clients().await? {
            readers.spawn(read(partition, Arc::clone(&received)));
        }
        Ok(Self { received, readers })
    }

    /// Waits until a condition holds for the records that were read.
    pub(crate) async fn wait(
        &mut self,
        patience: Duration,
        what: &str,
        is_true: impl Fn(&Received) -> bool,
    ) -> Outcome<()> {
        let deadline = Instant::now() + patience;
        while !is_true(&lock(&self.received)) {
            if let Some(ended) = self.readers.try_join_next() {
                return Err(ended.map_or_else(Failure::from, |outcome| {
                    outcome.err().unwrap_or_else(|| "the reader of the topic ended".into())
                }));
            }
            if Instant::now() > deadline {
                let found = lock(&self.received).ledger.distinct();
                return Err(format!(
                    "{what} not within {} s; {found} different records are in the topic",
                    patience.as_secs()
                )
                .into());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Returns what was read until now.
    pub(crate) fn finish(self) -> Received {
        std::mem::take(&mut *lock(&self.received))
    }
}

async fn read(partition: PartitionClient, received: Arc<Mutex<Received>>) -> Outcome<()> {
    let mut next = 0;
    loop {
        let (records, _) = within("read a topic", partition.fetch_records(next, 1..8_000_000, 1_000)).await?;
        let now = Instant::now();
        let mut received = lock(&received);
        let from = next;
        for found in records.into_iter().filter(|found| found.offset >= from) {
            next = found.offset + 1;
            if let Some(number) = received.ledger.enter(found.record.key.as_deref(), found.record.value.as_deref()) {
                received.arrivals.push((number, now));
                received.highest = received.highest.max(Some(number));
            }
        }
    }
}

fn lock(received: &Mutex<Received>) -> MutexGuard<'_, Received> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}
