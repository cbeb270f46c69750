//! Reading partitions: one connection for each broker serves all the partitions that the broker leads.
//!
//! A [`Fetcher`] runs one task. It sends each broker one request at a time (Fetch, KIP-98 for `read_committed`) for all
//! partitions that have room for records, and passes the answers to the partitions' [`PartitionStream`]s, which decode
//! them where they are polled.

mod aborted;
mod budget;
mod decoder;
mod director;
mod fetcher;
mod inbox;
mod record;
mod request;
mod shared;
mod stream;

#[cfg(test)]
mod tests;

use self::budget::Budget;
pub use self::decoder::Unreadable;
pub use self::fetcher::Fetcher;
pub use self::record::Record;
pub use self::shared::FetchLimits;
pub use self::stream::{Fetched, PartitionStream};
