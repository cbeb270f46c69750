//! The rows that were read, sent, acknowledged, confirmed and skipped: the relay's one state machine, without I/O.
//!
//! A [`Progress`] is one session of the slot. The driver feeds it the WAL ([`Progress::begin`], [`Progress::row`],
//! [`Progress::commit`], [`Progress::idle`]), carries out [`Progress::next_action`] until there is none, and reports
//! the outcomes. If the slot was lost for a time, or the WAL is out of order, it drops the `Progress` and starts again
//! with another one. It reads no more of the WAL while [`Progress::buffered_bytes`] is above its bound.
//!
//! # Rules
//!
//! - The slot is confirmed at a commit's end, when every row of that transaction and of all before is resolved:
//!   acknowledged, found in the log, or dead-lettered and acknowledged there. A keepalive counts as such an end,
//!   outside a transaction.
//! - A row is skipped only if its own record is found in the log of the partition that it maps to now: same position,
//!   same event. Records without a position, as Debezium writes them, and records from another timeline are compared by
//!   their event, only for rows of the window. The window is what a predecessor may have read ([`Window`]).
//! - Before the first row of the window goes to a partition, that log's tail is read, back to a record from before the
//!   window ([`Scan`]). The last batch of this slot, on any timeline, has the producer id, epoch and sequence to
//!   continue with. An appended batch uses the sequence numbers of the batch that a dead predecessor may have left in
//!   flight. The second of the two is rejected or treated as a repetition. The same holds against a predecessor that is
//!   still alive, as long as rows of the window are written.
//! - So error 0 is a proof only under a producer id that no other process can know. The log is read after each answer
//!   under an inherited id, and after a batch was split whose earlier attempt may still be in flight. Only rows that
//!   are in the log are then acknowledged. After a refused sequence, a fenced epoch or no answer it is read as well.
//! - A broker that distinguishes an appended batch from a repeated one avoids these reads: there error 0 is a proof if
//!   it says that the batch was appended with this request, directly after the known end of the log. For each
//!   partition, the relay tests once whether the broker reports this, with a batch that the log contains.
//! - An id found in the log is inherited only if the slot is held after the log was read. Otherwise it may be a
//!   successor's, which treats error 0 as a proof, and would lose rows because of ours.
//! - Rows after the window go under an id given to this process, and need no tail.
//! - One batch is in flight per partition. It is sent again unchanged until its outcome is known, or until the log
//!   shows its numbers taken by other rows, so that it can never be appended.
//! - A row that the broker refuses is handed to the driver, and the rest of its batch continues. The slot does not pass
//!   it before it is dead-lettered.
//! - If the driver stops at a row ([`Progress::stop_at`]), all rows before it are written, and no row after it that is
//!   not in flight. The slot stays before its transaction.
//! - A row that the driver leaves out ([`Progress::leave_out`]) counts as written.
//!
//! # Windows
//!
//! No schedule loses an event. A partition holds each event once and in the order of the WAL, except:
//!
//! - A batch is appended late under an id that the log does not report: the first one that a dead process sent to the
//!   partition under its own id, or retention had removed all its earlier ones.
//! - The broker has lost the producer's state: record timestamps older than `producer.id.expiration.ms` at a broker's
//!   restart, a producer idle for longer than that, a partition emptied. Needs a late append as well.
//! - More records of others than the scan's limit are after those of the window ([`Counters::duplicates_accepted`]).
//! - Partitions are added, or rows are routed otherwise, while unconfirmed: an event may be in its old and its new
//!   partition, and there out of order.
//! - Retention, compaction or a re-created topic removes records of unconfirmed rows: they are written again, after
//!   later ones.
//! - Debezium's records are appended after the tail was read.
//! - A process has lost its slot without noticing, and maps rows differently or opens another partition.
//! - Dead letters: in the order of their rejections, and repeated if a late batch was split differently.

mod action;
mod ledger;
mod machine;
mod partition_writer;
mod producer;
mod row;
mod scan;

#[cfg(test)]
mod simulation;

pub use self::action::{Action, Arrival, Batch, Content, Outcome, ReadFrom, Seen, Tail};
pub use self::ledger::Counters;
pub use self::machine::Progress;
pub use self::producer::Producer;
pub use self::row::OutOfTurn;

#[cfg(test)]
pub use self::row::Row;
pub use self::row::{BatchLimit, Window};
pub use self::row::{PartitionId, Poison, Unplaced};
pub use self::scan::{Reach, Scan};
