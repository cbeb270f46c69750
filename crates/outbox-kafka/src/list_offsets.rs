use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest};

use super::api::Api;
use super::cluster::topic_name;
use super::error::{Error, Kind};
use super::retries::Retries;
use super::{Cluster, ErrorCode, Topic};

/// Which offset of a partition to look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetAt {
    /// The present beginning of the log.
    Earliest,
    /// One after the last record that all in-sync replicas have, transactions that are still open included.
    Latest,
    /// One after the last record that a reader of committed records gets (the last stable offset): where the first
    /// transaction that is open begins, or else [`Latest`](Self::Latest).
    LastStable,
}

const READ_UNCOMMITTED: i8 = 0;
const READ_COMMITTED: i8 = 1;

impl Cluster {
    /// Returns an offset of a partition.
    pub async fn list_offsets(&self, topic: &Topic, partition: i32, at: OffsetAt) -> Result<i64, Error> {
        let mut retries = Retries::within(self.settings().retry_timeout);
        loop {
            let result = self.try_list_offsets(topic, partition, at).await;
            match result.map_err(|e| e.of_partition(topic.name(), partition)) {
                Err(e) if e.is_transient() && retries.pause().await => {}
                result => return result,
            }
        }
    }

    /// Asks the leader of a partition once for an offset.
    async fn try_list_offsets(&self, topic: &Topic, partition: i32, at: OffsetAt) -> Result<i64, Error> {
        let (leader, described) = self.leader(topic, partition).await?;
        let wanted = ListOffsetsPartition::default()
            .with_partition_index(partition)
            .with_current_leader_epoch(-1)
            .with_timestamp(match at {
                OffsetAt::Earliest => -2,
                OffsetAt::Latest | OffsetAt::LastStable => -1,
            });
        let isolation = match at {
            OffsetAt::Earliest | OffsetAt::Latest => READ_UNCOMMITTED,
            OffsetAt::LastStable => READ_COMMITTED,
        };

        let wanted = ListOffsetsTopic::default().with_name(topic_name(topic.name())).with_partitions(vec![wanted]);
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_isolation_level(isolation)
            .with_topics(vec![wanted]);

        let here = |e: Error| e.by(ListOffsetsRequest::NAME).at(leader.broker());
        let answer = leader.request(&request).await.inspect_err(|_| self.forget(&described))?;
        let found = answer.topics.first().and_then(|topic| topic.partitions.first());
        let found = found.ok_or_else(|| here(Error::new(Kind::Malformed)))?;

        match ErrorCode::from_code(found.error_code) {
            None => Ok(found.offset),
            Some(code) => {
                self.forget(&described);
                Err(here(Error::code_of(code, None)))
            }
        }
    }
}
