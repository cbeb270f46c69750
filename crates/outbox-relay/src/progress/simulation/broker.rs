use std::collections::{HashMap, VecDeque};

use super::postgres::Wire;
use crate::position::Position;
use crate::progress::Producer;

/// The topic that poison rows go to.
pub const DEAD_LETTERS: usize = 2;
pub const MAX_PARTITIONS: usize = 4;
const REMEMBERED_BATCHES: usize = 5;

#[derive(Debug)]
pub struct Broker {
    pub topics: Vec<Vec<PartitionLog>>,
    next_producer: i64,
    /// Whether it answers otherwise to a batch that it has already.
    pub tells: bool,
}

#[derive(Debug, Default)]
pub struct PartitionLog {
    pub start: usize,
    /// From `start` on.
    pub records: Vec<Stored>,
    writers: HashMap<i64, WriterState>,
    /// The newest process that knows this log, and the producer id that it found at its end.
    pub known_to: u32,
    pub found: Option<i64>,
    /// The first of the named windows that was opened here.
    pub excused: Option<&'static str>,
}

#[derive(Clone, Copy, Debug)]
pub struct Stored {
    /// The batch's producer and last sequence number.
    pub written_by: Option<(Producer, i32)>,
    pub content: StoredContent,
}

#[derive(Clone, Copy, Debug)]
pub enum StoredContent {
    /// With the timeline that the position is of.
    Own(usize, Position, u32),
    Debezium(usize),
    Foreign,
}

#[derive(Debug)]
struct WriterState {
    epoch: i16,
    /// First and last sequence number, and offset, of the newest batches.
    batches: VecDeque<(i32, i32, usize)>,
    is_old: bool,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub sender: u32,
    pub timeline: u32,
    pub topic: usize,
    pub partition: usize,
    pub producer: Producer,
    pub base_sequence: i32,
    pub rows: Vec<(Wire, Position)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Appended(usize),
    HadAlready(usize),
    OutOfOrder,
    InvalidEpoch,
    Rejected(Vec<usize>),
    NoPartition,
}

impl Broker {
    pub fn new(partitions: usize) -> Self {
        let topic = |count| (0..count).map(|_| PartitionLog::default()).collect();
        Self { topics: vec![topic(partitions), topic(1), topic(1)], next_producer: 1000, tells: true }
    }

    pub fn init_producer_id(&mut self) -> Producer {
        self.next_producer += 1;
        Producer { id: self.next_producer, epoch: 0 }
    }

    pub fn produce(&mut self, request: &Request) -> Answer {
        if request.topic != DEAD_LETTERS {
            let poison = request.rows.iter().enumerate().filter(|(_, (wire, _))| wire.is_poison);
            let poison: Vec<usize> = poison.map(|(index, _)| index).collect();
            if !poison.is_empty() {
                return Answer::Rejected(poison);
            }
        }
        match self.topics[request.topic].get_mut(request.partition) {
            Some(log) => log.produce(request),
            None => Answer::NoPartition,
        }
    }

    /// Restarts the broker. Of each producer only the last batch is remembered, and nothing of those with old
    /// timestamps.
    pub fn restart(&mut self) {
        for log in self.topics.iter_mut().flatten() {
            let before = log.writers.len();
            log.writers.retain(|_, state| !state.is_old);
            if log.writers.len() < before {
                log.excuse("producer state lost");
            }
            for state in log.writers.values_mut() {
                state.batches.drain(..state.batches.len() - 1);
            }
        }
    }

    pub fn recreate(&mut self, topic: usize) -> Vec<usize> {
        let mut removed = Vec::new();
        for log in &mut self.topics[topic] {
            removed.extend(log.cut(log.records.len()));
            *log = PartitionLog::default();
            log.excuse("topic re-created");
        }
        removed
    }

    pub fn add_partition(&mut self, topic: usize) {
        if self.topics[topic].len() < MAX_PARTITIONS {
            self.topics[topic].push(PartitionLog::default());
            for log in &mut self.topics[topic] {
                log.excuse("partition count raised");
            }
        }
    }
}

impl PartitionLog {
    pub fn end(&self) -> usize {
        self.start + self.records.len()
    }

    pub fn excuse(&mut self, window: &'static str) {
        self.excused.get_or_insert(window);
    }

    /// Removes records from the head; returns their events.
    pub fn cut(&mut self, count: usize) -> Vec<usize> {
        self.start += count;
        self.records.drain(..count).filter_map(|stored| stored.event()).collect()
    }

    /// Raises the epochs of this log's producers, as another process may.
    pub fn fence(&mut self) {
        for state in self.writers.values_mut() {
            state.epoch += 1;
            state.batches = VecDeque::from([(0, 0, self.start)]);
        }
    }

    fn produce(&mut self, request: &Request) -> Answer {
        let Request { producer, base_sequence: first, .. } = *request;
        let last = (first + i32::try_from(request.rows.len()).unwrap() - 1) & i32::MAX;
        let offset = self.end();

        if let Some(state) = self.writers.get_mut(&producer.id) {
            if producer.epoch < state.epoch {
                return Answer::InvalidEpoch;
            }
            if producer.epoch == state.epoch {
                if let Some((.., offset)) = state.batches.iter().find(|(f, l, _)| (*f, *l) == (first, last)) {
                    return Answer::HadAlready(*offset);
                }
                let newest = state.batches.back().map_or(first, |(_, last, _)| last.wrapping_add(1) & i32::MAX);
                if first != newest {
                    return Answer::OutOfOrder;
                }
            } else if first != 0 {
                return Answer::OutOfOrder;
            } else {
                state.batches.clear();
            }
        }

        if request.sender < self.known_to && self.found != Some(producer.id) {
            self.excuse("late under an unknown producer id");
        }

        let is_old = request.rows.iter().all(|(wire, _)| wire.is_old);
        let state = self.writers.entry(producer.id).or_insert_with(|| WriterState {
            epoch: producer.epoch,
            batches: VecDeque::new(),
            is_old,
        });
        (state.epoch, state.is_old) = (producer.epoch, is_old);
        state.batches.push_back((first, last, offset));

        if state.batches.len() > REMEMBERED_BATCHES {
            state.batches.pop_front();
        }

        let own = |(wire, position): &(Wire, Position)| Stored {
            written_by: Some((producer, last)),
            content: StoredContent::Own(wire.event, *position, request.timeline),
        };
        self.records.extend(request.rows.iter().map(own));
        Answer::Appended(offset)
    }
}

impl Stored {
    /// Returns whether a relay wrote it.
    pub fn is_own(&self) -> bool {
        matches!(self.content, StoredContent::Own(..))
    }

    pub fn event(&self) -> Option<usize> {
        match self.content {
            StoredContent::Own(event, ..) | StoredContent::Debezium(event) => Some(event),
            StoredContent::Foreign => None,
        }
    }
}
