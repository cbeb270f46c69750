use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{BrokerId, FetchRequest};

use super::api::Api;
use super::cluster::topic_name;
use super::error::{Error, Kind};
use super::retries::Retries;
use super::{Cluster, ErrorCode, Topic};

/// The first version that names topics by their ids.
const BY_TOPIC_ID: i16 = 13;
/// The time that a broker may wait for records before it answers. Other requests to it wait behind this one.
const MAX_WAIT_MS: i32 = 50;

/// Which batches a broker sends (`isolation_level`).
#[derive(Clone, Copy, Debug)]
enum Isolation {
    /// Up to the high watermark.
    ReadUncommitted = 0,
    /// Up to the last stable offset, with the list of aborted transactions.
    ReadCommitted = 1,
}

impl Cluster {
    /// Returns the first offset of the earliest aborted transaction that began at or before `offset` and spans it.
    ///
    /// The partition must hold a batch at `offset`: the broker lists the aborted transactions of what it sends
    /// (`aborted_transactions` of Fetch).
    pub async fn aborted_transaction(&self, topic: &Topic, partition: i32, offset: i64) -> Result<Option<i64>, Error> {
        // The smallest answer is one batch.
        let fetched = self.fetched(topic, partition, offset, 1, Isolation::ReadCommitted).await?;
        let aborted = fetched.aborted_transactions.iter().flatten().map(|transaction| transaction.first_offset);
        Ok(aborted.filter(|first| *first <= offset).min())
    }

    /// Fetches batches from the one that holds an offset on, of about `room` bytes together, the last one perhaps cut
    /// off. Those of open and of aborted transactions are among them.
    pub(super) async fn fetch(&self, topic: &Topic, partition: i32, offset: i64, room: i32) -> Result<Bytes, Error> {
        let fetched = self.fetched(topic, partition, offset, room, Isolation::ReadUncommitted).await?;
        Ok(fetched.records.unwrap_or_default())
    }

    async fn fetched(
        &self,
        topic: &Topic,
        partition: i32,
        offset: i64,
        room: i32,
        isolation: Isolation,
    ) -> Result<PartitionData, Error> {
        let mut retries = Retries::within(self.settings().retry_timeout);
        loop {
            let result = self.try_fetch(topic, partition, offset, room, isolation).await;
            match result.map_err(|e| e.of_partition(topic.name(), partition)) {
                Err(e) if e.is_transient() && retries.pause().await => {}
                result => return result,
            }
        }
    }

    /// Checks the right to read a topic, by a fetch that returns no record.
    ///
    /// # Errors
    /// The right is missing, or it cannot be checked at present.
    pub async fn check_read(&self, topic: &Topic) -> Result<(), Error> {
        // No log has this offset, and brokers check the privilege before the offset.
        match self.try_fetch(topic, 0, i64::MAX, 1, Isolation::ReadUncommitted).await {
            Err(e) if e.code() == Some(ErrorCode::OFFSET_OUT_OF_RANGE) => Ok(()),
            result => result.map(|_| ()).map_err(|e| e.of_topic(topic.name())),
        }
    }

    /// Fetches once from the leader of a partition, without a retry.
    async fn try_fetch(
        &self,
        topic: &Topic,
        partition: i32,
        offset: i64,
        room: i32,
        isolation: Isolation,
    ) -> Result<PartitionData, Error> {
        let (leader, described) = self.leader(topic, partition).await?;
        let here = |e: Error| e.by(FetchRequest::NAME).at(leader.broker());
        let newest = if topic.id().is_nil() { BY_TOPIC_ID - 1 } else { i16::MAX };
        let version = leader.version_of::<FetchRequest>()?.min(newest);
        let wanted = FetchPartition::default()
            .with_partition(partition)
            .with_current_leader_epoch(-1)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(room);
        let wanted = FetchTopic::default().with_partitions(vec![wanted]);
        let wanted = match version {
            BY_TOPIC_ID.. => wanted.with_topic_id(topic.id()),
            _ => wanted.with_topic(topic_name(topic.name())),
        };

        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(MAX_WAIT_MS)
            .with_min_bytes(1)
            .with_max_bytes(room)
            .with_isolation_level(isolation as i8)
            .with_session_epoch(-1)
            .with_topics(vec![wanted]);

        leader.unthrottled().await;
        let answer = match leader.send_as(&request, version, 0) {
            Ok(sent) => sent.wait().await,
            Err(e) => Err(e),
        };
        let mut answer = answer.inspect_err(|_| self.forget(&described))?;
        let fetched = answer.responses.pop().and_then(|mut topic| topic.partitions.pop());
        let partition_code = fetched.as_ref().and_then(|it| ErrorCode::from_code(it.error_code));
        let code = ErrorCode::from_code(answer.error_code).or(partition_code);

        if let Some(code) = code {
            if code.is_stale_metadata() {
                self.forget(&described);
            }
            return Err(here(Error::code_of(code, None)));
        }

        match (fetched, u64::try_from(answer.throttle_time_ms)) {
            (Some(fetched), _) => Ok(fetched),
            // If a client exceeds its quota, the broker answers only with the time to wait.
            (None, Ok(pause @ 1..)) => {
                tokio::time::sleep(Duration::from_millis(pause).min(self.settings().request_timeout)).await;
                Err(here(Error::code_of(ErrorCode::THROTTLING_QUOTA_EXCEEDED, None)))
            }
            (None, _) => Err(here(Error::new(Kind::Malformed))),
        }
    }
}
