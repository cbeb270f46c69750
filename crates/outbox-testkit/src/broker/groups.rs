//! Offsets that groups without members have committed.

use std::collections::BTreeMap;

/// A committed offset, with what the client noted next to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) metadata: String,
}

/// The offsets of one group, by topic and partition.
pub(super) type Offsets = BTreeMap<String, BTreeMap<i32, Committed>>;

#[derive(Debug, Default)]
pub(super) struct Groups(BTreeMap<String, Offsets>);

impl Groups {
    pub(super) fn commit(&mut self, group: &str, topic: &str, partition: i32, committed: Committed) {
        let offsets = self.0.entry(group.to_owned()).or_default();
        offsets.entry(topic.to_owned()).or_default().insert(partition, committed);
    }

    /// Returns the offsets of a group, if it ever committed one.
    pub(super) fn offsets(&self, group: &str) -> Option<&Offsets> {
        self.0.get(group)
    }

    pub(super) fn forget_topic(&mut self, topic: &str) {
        self.0.values_mut().for_each(|offsets| _ = offsets.remove(topic));
    }
}
