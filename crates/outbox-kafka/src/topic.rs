use std::fmt;

use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use uuid::Uuid;

/// A topic as the cluster described it at some time. A topic that is created again has another id.
#[derive(Clone, PartialEq, Eq)]
pub struct Topic {
    name: Box<str>,
    id: Uuid,
    /// The broker that leads each partition, if one does.
    leaders: Box<[Option<i32>]>,
}

impl Topic {
    pub(super) fn new(name: &str, described: &MetadataResponseTopic) -> Self {
        let mut leaders = vec![None; described.partitions.len()];
        for partition in &described.partitions {
            let leader = usize::try_from(partition.partition_index).ok().and_then(|index| leaders.get_mut(index));
            if let Some(leader) = leader {
                *leader = Some(partition.leader_id.0).filter(|id| *id >= 0);
            }
        }
        Self { name: name.into(), id: described.topic_id, leaders: leaders.into() }
    }

    /// Returns the topic's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the topic's id, all zeros if the brokers are older than topics' ids (Kafka 2.8).
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// Returns the number of partitions.
    pub fn partitions(&self) -> i32 {
        i32::try_from(self.leaders.len()).unwrap_or(i32::MAX)
    }

    pub(super) fn has(&self, partition: i32) -> bool {
        (0..self.partitions()).contains(&partition)
    }

    pub(super) fn leader(&self, partition: i32) -> Option<i32> {
        usize::try_from(partition).ok().and_then(|index| self.leaders.get(index).copied()).flatten()
    }

    pub(super) fn is_led(&self) -> bool {
        !self.leaders.is_empty() && self.leaders.iter().all(Option::is_some)
    }
}

/// Returns whether Kafka accepts a topic of this name: 1 to 249 characters of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`,
/// but not `.` or `..`.
pub fn is_legal_topic_name(name: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && !matches!(name, "." | "..") && name.bytes().all(is_legal)
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic")
            .field("name", &self.name)
            .field("id", &self.id)
            .field("partitions", &self.leaders.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::is_legal_topic_name;

    #[test]
    fn names_are_judged_as_kafka_judges_them() {
        for legal in ["orders", "a.b_c-D9", "...", &"x".repeat(249)] {
            assert!(is_legal_topic_name(legal), "{legal}");
        }
        for illegal in ["", ".", "..", "a b", "a/b", "größe", "a:b", &"x".repeat(250)] {
            assert!(!is_legal_topic_name(illegal), "{illegal}");
        }
    }
}
