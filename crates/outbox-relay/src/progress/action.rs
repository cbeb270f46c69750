use outbox_core::uuid::Uuid;

use super::producer::Producer;
use super::row::{PartitionId, Poison, Row};
use crate::Lsn;
use crate::position::Position;

/// The next action of the driver. Each is given once, and stays open until its outcome is reported; the driver retries
/// everything that fails, except a produce.
#[derive(Debug)]
pub enum Action<R> {
    /// Report this position to PostgreSQL as flushed.
    Confirm(Lsn),
    /// Read the partition up to its end, report every record that may matter by `Progress::seen`, then `tail_read`.
    Read { partition: PartitionId, from: ReadFrom },
    /// Check that this process's walsender still holds the slot, then call `held`. If it does not hold it, drop
    /// everything.
    ProveHeld,
    /// Ask a broker for a producer id (InitProducerId), then `producer`.
    NewProducer,
    /// Send `Progress::batch` to the partition with acks=all, then `produced`.
    Produce(PartitionId),
    /// Stop and name this rejected row, or `dead_letter` it.
    Poison(Poison<R>),
}

/// The start of a read of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// The distance before the end that a [`Scan`](super::Scan) reads.
    Tail,
    /// This offset, without a limit; the start of the log if the log does not have it (any more, or yet).
    Offset(i64),
}

/// A batch in flight. It has the same rows under the same sequence numbers as long as its outcome is unknown.
#[derive(Debug)]
pub struct Batch<'a, R> {
    pub producer: Producer,
    pub base_sequence: i32,
    pub rows: &'a [Row<R>],
}

/// A record that was read from a partition.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The batch's producer and the last sequence number in the batch's header, if it has a producer.
    pub written_by: Option<(Producer, i32)>,
    pub content: Content,
}

/// The part of a record that identifies its row.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// It has a position of this relay's origin.
    Own(Position, Uuid),
    /// It has a position of this slot on another timeline. Up to the failover the numbers are the same; after it, they
    /// may be those of other rows.
    OtherTimeline(Position, Uuid),
    /// It has no position that can be compared: Debezium may have written it, or a relay of another system.
    Unplaced(Uuid),
}

impl Content {
    /// Returns the position in the order that the slot was written in.
    pub fn position(self) -> Option<Position> {
        match self {
            Self::Own(position, _) | Self::OtherTimeline(position, _) => Some(position),
            Self::Unplaced(_) => None,
        }
    }
}

/// The outcome of a read of a partition.
#[derive(Clone, Copy, Debug)]
pub struct Tail {
    /// The offset after the last one that was read.
    pub end: i64,
    /// Whether the scan's limit left out records.
    pub cut: bool,
}

/// The time at which a batch was appended at the reported offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The answer is that of a batch which was appended with this request.
    Now,
    /// The answer may be that of a batch that was appended before.
    NowOrBefore,
}

/// The outcome of a batch after a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Error 0.
    Appended { base_offset: i64, arrival: Arrival },
    /// OUT_OF_ORDER_SEQUENCE_NUMBER, or DUPLICATE_SEQUENCE_NUMBER.
    OutOfOrder,
    /// INVALID_PRODUCER_EPOCH, or UNKNOWN_PRODUCER_ID.
    InvalidEpoch,
    /// No answer, or one that leaves it open (REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS_AFTER_APPEND).
    Unknown,
    /// A retriable error that shows that this request appends nothing.
    NotAppended,
    /// The broker rejects the batch because of these rows (indices in the batch). Empty if the broker does not name
    /// them, as with MESSAGE_TOO_LARGE.
    Rejected { rows: Vec<usize> },
}
