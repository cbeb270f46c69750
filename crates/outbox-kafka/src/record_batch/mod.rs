//! Kafka's record batches (magic 2): building what is sent, reading what was fetched.

mod body;
mod builder;
mod compression;
mod header;
mod malformed;
mod reader;
mod snappy;
mod varint;
mod view;

#[cfg(test)]
mod tests;

pub use self::body::RecordBody;
pub use self::builder::BatchBuilder;
pub use self::compression::Compression;
pub use self::header::BatchHeader;
pub(crate) use self::malformed::Malformed;
pub(crate) use self::reader::Batches;
pub(crate) use self::reader::take_record;
pub use self::view::RecordView;
pub(crate) use self::view::headers_in;

/// The bytes of a batch before its records.
const HEADER_SIZE: usize = 61;

/// The producer of a batch, and the number of its first record among all that this producer wrote to the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    /// The id that `InitProducerId` gave.
    pub id: i64,
    /// The id's epoch.
    pub epoch: i16,
    /// The batch's first sequence number, which wraps to 0 after 2^31 - 1.
    pub sequence: i32,
}

impl Producer {
    /// No producer: the broker does not recognise repeated batches.
    pub const NONE: Self = Self { id: -1, epoch: -1, sequence: -1 };

    /// Returns the same producer after that many records more. Sequences continue from 2147483647 to 0.
    pub fn after(self, records: u32) -> Self {
        let sequence = (i64::from(self.sequence) + i64::from(records)) & i64::from(i32::MAX);
        Self { sequence: i32::try_from(sequence).unwrap_or_default(), ..self }
    }
}
