use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest};

use super::api::Api;
use super::cluster::topic_name;
use super::error::{Error, Kind};
use super::retries::Retries;
use super::{Cluster, ErrorCode, Topic};

/// The first version that names topics by their ids.
const BY_TOPIC_ID: i16 = 13;
/// For how long a broker may wait for something to answer with. Other requests to it wait behind it.
const MAX_WAIT_MS: i32 = 50;

impl Cluster {
    /// Batches from the one that holds an offset on, of about `room` bytes together, the last one perhaps cut off.
    /// Those of open and of aborted transactions are among them.
    pub(super) async fn fetch(&self, topic: &Topic, partition: i32, offset: i64, room: i32) -> Result<Bytes, Error> {
        let mut retries = Retries::within(self.settings().retry_timeout);
        loop {
            let result = self.try_fetch(topic, partition, offset, room).await;
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
        // No log is as long as this, and brokers check the right before the offset.
        match self.try_fetch(topic, 0, i64::MAX, 1).await {
            Err(e) if e.code() == Some(ErrorCode::OFFSET_OUT_OF_RANGE) => Ok(()),
            result => result.map(|_| ()).map_err(|e| e.of_topic(topic.name())),
        }
    }

    async fn try_fetch(&self, topic: &Topic, partition: i32, offset: i64, room: i32) -> Result<Bytes, Error> {
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
            .with_isolation_level(0)
            .with_session_epoch(-1)
            .with_topics(vec![wanted]);
        leader.unthrottled().await;
        let answer = match leader.send_as(&request, version, 0) {
            Ok(sent) => sent.wait().await,
            Err(e) => Err(e),
        };
        let answer = answer.inspect_err(|_| self.forget(&described))?;
        let fetched = answer.responses.first().and_then(|topic| topic.partitions.first());
        let code = ErrorCode::of(answer.error_code).or_else(|| fetched.and_then(|it| ErrorCode::of(it.error_code)));
        if let Some(code) = code {
            if code.is_stale_metadata() {
                self.forget(&described);
            }
            return Err(here(Error::code_of(code, None)));
        }
        let fetched = fetched.ok_or_else(|| here(Error::new(Kind::Malformed)))?;
        Ok(fetched.records.clone().unwrap_or_default())
    }
}
