use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, CreateTopicsRequest, DeleteTopicsRequest, MetadataRequest,
};

use super::super::error::StackError;
use super::super::kafka_client::{METADATA, metadata_of, topic_name};
use super::KafkaCluster;
use super::administration::{REQUEST_MILLIS, check, connect, ids, text, wait_for};

/// A topic to create. By default it has one partition, and as many replicas as the cluster gives.
#[derive(Debug, Clone)]
pub struct NewTopic {
    name: String,
    partitions: i32,
    replicas: i16,
    assignment: Vec<Vec<i32>>,
    configs: Vec<(String, String)>,
}

/// The state of a partition, as one broker knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    leader: Option<i32>,
    leader_epoch: i32,
    replicas: Vec<i32>,
    in_sync: Vec<i32>,
}

impl NewTopic {
    /// Describes a topic of one partition.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), partitions: 1, replicas: -1, assignment: Vec::new(), configs: Vec::new() }
    }

    /// Sets the number of partitions.
    #[must_use]
    pub fn partitions(mut self, partitions: i32) -> Self {
        self.partitions = partitions;
        self
    }

    /// Sets the number of replicas of each partition.
    #[must_use]
    pub fn replicas(mut self, replicas: i16) -> Self {
        self.replicas = replicas;
        self
    }

    /// Adds a partition with replicas on these brokers, of which the first is to lead. Then the numbers do not count.
    #[must_use]
    pub fn partition_on(mut self, brokers: impl Into<Vec<i32>>) -> Self {
        self.assignment.push(brokers.into());
        self
    }

    /// Sets a configuration of the topic, such as `max.message.bytes`.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.push((name.into(), value.into()));
        self
    }
}

impl PartitionState {
    /// Returns the leader; `None` if there is none at present.
    pub fn leader(&self) -> Option<i32> {
        self.leader
    }

    /// Returns the number that grows with each change of the leader.
    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch
    }

    /// Returns the brokers that have a replica.
    pub fn replicas(&self) -> &[i32] {
        &self.replicas
    }

    /// Returns the brokers whose replicas are in sync.
    pub fn in_sync(&self) -> &[i32] {
        &self.in_sync
    }
}

impl KafkaCluster {
    /// Creates a topic. Waits until each running broker knows the leaders of its partitions.
    pub fn create_topic(&self, topic: &NewTopic) -> Result<(), StackError> {
        let NewTopic { name, partitions, replicas, assignment, configs } = topic;
        let action = format!("create topic {name}");
        let assigned = (0..).zip(assignment).map(|(index, brokers)| {
            CreatableReplicaAssignment::default().with_partition_index(index).with_broker_ids(ids(brokers))
        });

        let configs = configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value))));
        let is_assigned = !assignment.is_empty();
        let request = CreateTopicsRequest::default().with_timeout_ms(REQUEST_MILLIS).with_topics(vec![
            CreatableTopic::default()
                .with_name(topic_name(name))
                .with_num_partitions(if is_assigned { -1 } else { *partitions })
                .with_replication_factor(if is_assigned { -1 } else { *replicas })
                .with_assignments(assigned.collect())
                .with_configs(configs.collect()),
        ]);
        for topic in self.administer(&request, 7)?.topics {
            check(&action, topic.error_code, topic.error_message.as_ref())?;
        }

        let partitions = if is_assigned { assignment.len() } else { usize::try_from(*partitions).unwrap_or(1) };
        wait_for(&format!("leaders of topic {name}"), || {
            for node in self.active() {
                let known = connect(node).and_then(|mut broker| broker.send(&metadata_of(&[name]), METADATA));
                let known = known.map_err(|error| StackError::caused("a broker does not answer", error))?;
                let led =
                    known.topics.iter().flat_map(|topic| &topic.partitions).filter(|found| found.leader_id.0 >= 0);
                if led.count() != partitions {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
    }

    /// Deletes a topic.
    pub fn delete_topic(&self, name: &str) -> Result<(), StackError> {
        let request =
            DeleteTopicsRequest::default().with_timeout_ms(REQUEST_MILLIS).with_topic_names(vec![topic_name(name)]);
        let answer = self.administer(&request, 5)?;
        let mut answers = answer.responses.iter();
        answers.try_for_each(|topic| check(&format!("delete topic {name}"), topic.error_code, None))
    }

    /// Returns where a partition is.
    pub fn partition(&self, topic: &str, partition: i32) -> Result<PartitionState, StackError> {
        let known = self.administer(&metadata_of(&[topic]), METADATA)?;
        let mut partitions = known.topics.iter().flat_map(|topic| &topic.partitions);
        partitions
            .find(|found| found.partition_index == partition)
            .map(state)
            .ok_or_else(|| StackError::new(format!("the cluster does not know partition {partition} of topic {topic}")))
    }

    /// Returns the leader of a partition. Waits until there is one.
    pub fn leader(&self, topic: &str, partition: i32) -> Result<i32, StackError> {
        let state = self.await_partition(topic, partition, |state| state.leader.is_some())?;
        Ok(state.leader.unwrap_or(-1))
    }

    /// Waits until a partition is as `wanted` says, for two minutes at most.
    pub fn await_partition(
        &self,
        topic: &str,
        partition: i32,
        wanted: impl Fn(&PartitionState) -> bool,
    ) -> Result<PartitionState, StackError> {
        let mut last = None;
        let waited = wait_for(&format!("partition {partition} of topic {topic}"), || {
            let state = self.partition(topic, partition)?;
            last = Some(state.clone());
            Ok(Some(state).filter(&wanted))
        });
        waited.map_err(|error| StackError::caused(format!("the partition was last seen as {last:?}"), error))
    }

    /// Waits until all replicas of all partitions are in sync, for two minutes at most.
    pub fn await_in_sync(&self) -> Result<(), StackError> {
        let all = MetadataRequest::default().with_topics(None);
        wait_for("all replicas in sync", || {
            let known = self.administer(&all, METADATA)?;
            let mut partitions = known.topics.iter().flat_map(|topic| &topic.partitions).map(state);
            let is_whole =
                partitions.all(|state| state.leader.is_some() && state.in_sync.len() == state.replicas.len());
            Ok(is_whole.then_some(()))
        })
    }

    /// Moves a partition to these brokers, of which the first is to lead if the leader must move. Waits until the
    /// others have no replica of it.
    pub fn reassign(&self, topic: &str, partition: i32, brokers: &[i32]) -> Result<(), StackError> {
        let action = format!("reassign partition {partition} of topic {topic} to {brokers:?}");
        let request = AlterPartitionReassignmentsRequest::default().with_timeout_ms(REQUEST_MILLIS).with_topics(vec![
            ReassignableTopic::default().with_name(topic_name(topic)).with_partitions(vec![
                ReassignablePartition::default().with_partition_index(partition).with_replicas(Some(ids(brokers))),
            ]),
        ]);
        let answer = self.administer(&request, 0)?;
        check(&action, answer.error_code, answer.error_message.as_ref())?;
        for partition in answer.responses.iter().flat_map(|topic| &topic.partitions) {
            check(&action, partition.error_code, partition.error_message.as_ref())?;
        }

        self.await_partition(topic, partition, |state| {
            state.replicas == brokers && state.in_sync.len() == brokers.len() && state.leader.is_some()
        })
        .map(drop)
    }
}

fn state(partition: &MetadataResponsePartition) -> PartitionState {
    PartitionState {
        leader: Some(partition.leader_id.0).filter(|leader| *leader >= 0),
        leader_epoch: partition.leader_epoch,
        replicas: partition.replica_nodes.iter().map(|broker| broker.0).collect(),
        in_sync: partition.isr_nodes.iter().map(|broker| broker.0).collect(),
    }
}
