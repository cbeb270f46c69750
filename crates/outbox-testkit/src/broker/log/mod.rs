//! The log of one partition, apart from sockets and clocks.

mod batch;
mod compression;
mod encode;
mod partition;
mod producers;
mod refusal;

pub(super) use self::batch::{Batch, Keys, Rules, Timestamps};
pub use self::compression::Codec;
pub use self::encode::RecordBatch;
pub(super) use self::encode::{Encoded, Outcome, Producing};
pub(super) use self::partition::{AppendTime, Log, Minimum};
pub(super) use self::refusal::Refusal;
