//! The log of one partition, apart from sockets and clocks.

mod batch;
mod compression;
mod partition;
mod producers;
mod records;
mod refusal;

pub(super) use self::batch::{Batch, Keys, Rules, TimestampBounds};
pub use self::compression::Codec;
pub(super) use self::partition::{Appended, Log, Minimum, Slice};
pub(super) use self::refusal::Refusal;
