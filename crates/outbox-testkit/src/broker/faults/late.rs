use std::fmt;
use std::sync::{Arc, Weak};

use kafka_protocol::ResponseError;
use uuid::Uuid;

use crate::broker::log::Batch;
use crate::broker::shared::Shared;

/// A batch whose connection was closed, and which is to be appended later.
pub(in crate::broker) struct LateAppend {
    broker: Weak<Shared>,
    topic: Uuid,
    partition: i32,
    batch: Batch,
}

impl LateAppend {
    pub(in crate::broker) fn new(broker: &Arc<Shared>, topic: Uuid, partition: i32, batch: Batch) -> Self {
        Self { broker: Arc::downgrade(broker), topic, partition, batch }
    }

    /// Appends it, if its broker and its topic are still there; the offset of its first record.
    pub(super) fn append(self) -> Result<i64, ResponseError> {
        let broker = self.broker.upgrade().ok_or(ResponseError::BrokerNotAvailable)?;
        let appended = broker.write(|cluster| cluster.append(self.topic, self.partition, self.batch))?;
        broker.announce();
        Ok(appended.base_offset)
    }
}

impl fmt::Debug for LateAppend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, partition) = (&self.topic, &self.partition);
        f.debug_struct("LateAppend").field("topic", topic).field("partition", partition).finish_non_exhaustive()
    }
}
