use super::log::OwnProducer;
use super::producer::Producer;
use super::row::PartitionId;

/// A question to the driver that several partitions wait for. A partition that comes after it was put waits for the next one:
/// an answer says nothing of what was read later.
#[derive(Debug, Default)]
pub(super) struct PendingQuestion {
    waiting: Vec<PartitionId>,
    asked: Vec<PartitionId>,
}

impl PendingQuestion {
    pub(super) fn wait(&mut self, partition: PartitionId) {
        self.waiting.push(partition);
    }

    /// Returns whether the question is to be asked now.
    pub(super) fn ask(&mut self) -> bool {
        let ask = self.asked.is_empty() && !self.waiting.is_empty();
        if ask {
            std::mem::swap(&mut self.asked, &mut self.waiting);
        }
        ask
    }

    pub(super) fn answered(&mut self) -> Vec<PartitionId> {
        std::mem::take(&mut self.asked)
    }
}

/// The producer ids that were given to this process.
#[derive(Debug, Default)]
pub(super) struct OwnProducers {
    pub(super) asked: PendingQuestion,
    newest: Option<OwnProducer>,
}

impl OwnProducers {
    pub(super) fn newest(&self) -> Option<OwnProducer> {
        self.newest
    }

    pub(super) fn add(&mut self, producer: Producer) {
        let generation = self.newest.map_or(1, |newest| newest.generation + 1);
        self.newest = Some(OwnProducer { producer, generation });
    }
}
