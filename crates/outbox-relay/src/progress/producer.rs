use super::row::PartitionId;

/// A producer id and its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
}

/// The sequence number of the next record that a producer writes to one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub producer: Producer,
    pub next: i32,
}

impl Cursor {
    pub fn first(producer: Producer) -> Self {
        Self { producer, next: 0 }
    }

    pub fn after(producer: Producer, last: i32) -> Self {
        Self { producer, next: advanced(last, 1) }
    }

    pub fn past(self, rows: usize) -> Self {
        Self { producer: self.producer, next: advanced(self.next, rows) }
    }
}

/// Returns the sequence number after more records. Sequence numbers wrap to 0 after `i32::MAX`, and the broker expects
/// just that.
fn advanced(sequence: i32, by: usize) -> i32 {
    let by = i32::try_from(by).unwrap_or(i32::MAX);
    sequence.wrapping_add(by) & i32::MAX
}

/// A producer id of this process, numbered.
#[derive(Clone, Copy, Debug)]
pub struct OwnProducer {
    pub producer: Producer,
    pub generation: u64,
}

/// A request to the driver that several partitions wait for. A partition that is added after the request was made waits
/// for the next one, because an answer does not cover later reads.
#[derive(Debug, Default)]
pub struct PendingQuestion {
    waiting: Vec<PartitionId>,
    asked: Vec<PartitionId>,
}

impl PendingQuestion {
    pub fn wait(&mut self, partition: PartitionId) {
        self.waiting.push(partition);
    }

    /// Returns whether the request is to be made now.
    pub fn ask(&mut self) -> bool {
        let ask = self.asked.is_empty() && !self.waiting.is_empty();
        if ask {
            std::mem::swap(&mut self.asked, &mut self.waiting);
        }
        ask
    }

    pub fn answered(&mut self) -> Vec<PartitionId> {
        std::mem::take(&mut self.asked)
    }
}

/// The producer ids that were given to this process.
#[derive(Debug, Default)]
pub struct OwnProducers {
    pub asked: PendingQuestion,
    newest: Option<OwnProducer>,
}

impl OwnProducers {
    pub fn newest(&self) -> Option<OwnProducer> {
        self.newest
    }

    pub fn add(&mut self, producer: Producer) {
        let generation = self.newest.map_or(1, |newest| newest.generation + 1);
        self.newest = Some(OwnProducer { producer, generation });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_as_the_broker_expects() {
        let producer = Producer { id: 7, epoch: 0 };
        assert_eq!(Cursor::after(producer, i32::MAX).next, 0);
        assert_eq!(Cursor { producer, next: i32::MAX - 1 }.past(3).next, 1);
    }
}
