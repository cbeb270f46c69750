use std::sync::Arc;

use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{FindCoordinatorRequest, GroupId, OffsetCommitRequest};
use kafka_protocol::protocol::StrBytes;

use super::api::Api;
use super::cluster::topic_name;
use super::connection::Connection;
use super::error::{Error, Kind};
use super::retries::Retries;
use super::{Cluster, ErrorCode};

/// The next offset that a group reads in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOffset {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next offset to read.
    pub offset: i64,
}

/// A coordinator of consumer groups, in contrast to one of transactions.
const OF_GROUPS: i8 = 0;
/// A commit by a program that is no member of the group. Kafka accepts it while the group has no members.
const NO_GENERATION: i32 = -1;
const BROKERS_RETENTION: i64 = -1;

impl Cluster {
    /// Commits offsets for a consumer group without joining it, so that tools see its lag.
    ///
    /// # Errors
    /// - The group has members, which commit themselves (`UNKNOWN_MEMBER_ID`).
    /// - The client lacks READ on the group or on a topic ([`Error::is_security`]).
    /// - The coordinator cannot be reached, or rejects an offset. Others may have been committed.
    pub async fn commit_offsets(&self, group: &str, offsets: &[GroupOffset]) -> Result<(), Error> {
        let mut retries = Retries::within(self.settings().retry_timeout);
        loop {
            match self.try_commit_offsets(group, offsets).await {
                Err(e) if e.is_transient() && retries.pause().await => {}
                result => return result,
            }
        }
    }

    /// Commits offsets once by the coordinator, without a retry.
    async fn try_commit_offsets(&self, group: &str, offsets: &[GroupOffset]) -> Result<(), Error> {
        let coordinator = self.coordinator(group).await?;
        let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
        for GroupOffset { topic, partition, offset } in offsets {
            let committed = OffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_leader_epoch(-1)
                .with_committed_metadata(Some(StrBytes::default()));
            match topics.iter_mut().find(|entry| entry.name.as_str() == topic) {
                Some(entry) => entry.partitions.push(committed),
                None => topics.push(
                    OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![committed]),
                ),
            }
        }

        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
            .with_generation_id_or_member_epoch(NO_GENERATION)
            .with_retention_time_ms(BROKERS_RETENTION)
            .with_topics(topics);

        let here = |e: Error| e.by(OffsetCommitRequest::NAME).at(coordinator.broker());
        let answer = coordinator.request(&request).await.map_err(here)?;
        for topic in &answer.topics {
            for partition in &topic.partitions {
                if let Some(code) = ErrorCode::from_code(partition.error_code) {
                    let error = Error::code_of(code, None).of_partition(topic.name.as_str(), partition.partition_index);
                    return Err(here(error));
                }
            }
        }
        Ok(())
    }

    /// Connects to the broker that keeps a group's offsets.
    async fn coordinator(&self, group: &str) -> Result<Connection, Error> {
        let request = FindCoordinatorRequest::default()
            .with_key(StrBytes::from_string(group.to_owned()))
            .with_key_type(OF_GROUPS);
        let answer = self.any(&request).await.map_err(|e| e.by(FindCoordinatorRequest::NAME))?;
        if let Some(code) = ErrorCode::from_code(answer.error_code) {
            let message = answer.error_message.as_ref().map(|message| message.as_str());
            return Err(Error::code_of(code, message).by(FindCoordinatorRequest::NAME));
        }
        if answer.host.is_empty() {
            return Err(Error::new(Kind::Malformed).by(FindCoordinatorRequest::NAME));
        }
        self.connection(&Arc::from(format!("{}:{}", answer.host.as_str(), answer.port))).await
    }
}
