use bytes::{BufMut, Bytes, BytesMut};

use super::body::length;
use super::{Compression, HEADER_SIZE, Malformed, Producer, RecordBody, varint};

/// Builds batches, record by record; after each it begins the next one.
///
/// The memory of a finished batch is reused after the batch is dropped.
#[derive(Debug)]
pub struct BatchBuilder {
    compression: Compression,
    capacity: usize,
    /// Space for the header, followed by the records. With compression, only the records to compress.
    buffer: BytesMut,
    count: u32,
    first_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// Creates a builder for batches of about `capacity` bytes before compression.
    pub fn new(compression: Compression, capacity: usize) -> Self {
        Self { compression, capacity, buffer: BytesMut::new(), count: 0, first_timestamp: 0, max_timestamp: 0 }
    }

    /// Sets the compression of the batch that is being built, and of later ones.
    pub const fn set_compression(&mut self, compression: Compression) {
        self.compression = compression;
    }

    /// Returns the records in the batch so far.
    #[cfg(test)]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Returns the bytes of the batch so far, without compression.
    #[cfg(test)]
    pub fn size(&self) -> usize {
        self.buffer.len().max(HEADER_SIZE)
    }

    /// Adds a record after the earlier ones, and returns by how many bytes the batch grew.
    pub fn append(&mut self, timestamp: i64, body: &RecordBody) -> usize {
        if self.count == 0 {
            self.buffer.reserve(self.capacity.max(HEADER_SIZE));
            self.buffer.put_bytes(0, HEADER_SIZE);
            self.first_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp.wrapping_sub(self.first_timestamp);
        let offset_delta = i64::from(self.count);
        let body = body.bytes();
        let size = 1 + varint::size(timestamp_delta) + varint::size(offset_delta) + body.len();

        let before = self.buffer.len();
        self.buffer.reserve(varint::size(length(size)) + size);
        varint::put(&mut self.buffer, length(size));
        self.buffer.put_u8(0);
        varint::put(&mut self.buffer, timestamp_delta);
        varint::put(&mut self.buffer, offset_delta);
        self.buffer.put_slice(body);
        self.count += 1;
        self.buffer.len() - before
    }

    /// Ends the batch, if there is a record in it.
    pub fn finish(&mut self, producer: Producer) -> Result<Option<Bytes>, Malformed> {
        if self.count == 0 {
            return Ok(None);
        }
        let plain = self.buffer.split();
        let count = std::mem::take(&mut self.count);
        let mut batch = match self.compression {
            Compression::None => plain,
            compression => {
                let mut batch = BytesMut::with_capacity(HEADER_SIZE + plain.len() / 2);
                batch.put_bytes(0, HEADER_SIZE);
                compression
                    .compress(plain.get(HEADER_SIZE..).unwrap_or_default(), &mut batch)
                    .map_err(|_| Malformed("the records cannot be compressed"))?;
                batch
            }
        };

        // The length field leaves out itself and the base offset.
        let size = i32::try_from(batch.len() - 12).map_err(|_| Malformed("more than 2 GiB in one batch"))?;
        let last_offset_delta = i32::try_from(count - 1).map_err(|_| Malformed("too many records in one batch"))?;

        let mut checked = [0_u8; HEADER_SIZE - 21];
        let mut fields = checked.as_mut_slice();
        fields.put_i16(self.compression.id());
        fields.put_i32(last_offset_delta);
        fields.put_i64(self.first_timestamp);
        fields.put_i64(self.max_timestamp);
        fields.put_i64(producer.id);
        fields.put_i16(producer.epoch);
        fields.put_i32(producer.sequence);
        fields.put_i32(last_offset_delta + 1);
        let records = batch.get(HEADER_SIZE..).unwrap_or_default();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&checked), records);

        let mut header = batch.get_mut(..HEADER_SIZE).unwrap_or_default();
        header.put_i64(0);
        header.put_i32(size);
        header.put_i32(-1);
        header.put_i8(2);
        header.put_u32(crc);
        header.put_slice(&checked);
        Ok(Some(batch.freeze()))
    }
}
