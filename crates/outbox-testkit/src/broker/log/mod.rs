//! The log of one partition, apart from sockets and clocks.

mod batch;
mod compaction;
mod compression;
mod encode;
mod partition;
mod producers;
mod records;
mod refusal;
mod transactions;

pub(super) use self::batch::{Batch, Keys, Rules, TRANSACTIONAL, TimestampBounds, Timestamps};
pub use self::compression::Codec;
pub use self::encode::RecordBatch;
pub(super) use self::encode::{Encoded, Producing};
pub(super) use self::partition::{AppendTime, Appended, Log, Minimum, Slice};
pub(super) use self::refusal::Refusal;
pub(super) use self::transactions::Outcome;
