//! Record batches, as in a broker's answer to a fetch.

use bytes::Bytes;
use outbox_kafka::Record;

/// The places of a batch's length, of its checksum, and of the first byte that the checksum covers.
const LENGTH: std::ops::Range<usize> = 8..12;
const CHECKSUM: std::ops::Range<usize> = 17..21;
const CHECKED: usize = 21;

/// The smallest size of a record in bytes.
const LEAST_RECORD: usize = 7;

pub(crate) fn run(bytes: &[u8]) {
    read(bytes);
    read(&repaired(bytes));
}

/// Reads batches, and checks the offsets and sizes of their records.
fn read(bytes: &[u8]) {
    let records = match Record::read_batches(Bytes::copy_from_slice(bytes)) {
        Ok(records) => records,
        Err(error) => {
            // A batch may claim more records than it has offsets: the fault is then after its last one.
            assert!(error.first <= error.offset && error.offset <= error.last.saturating_add(1), "{error}");
            return;
        }
    };
    let mut next = 0;
    for record in &records {
        assert!(record.offset() >= next, "offset {} after {next}", record.offset());
        next = record.offset() + 1;
        let parts = [record.key(), record.value()].map(|part| part.map_or(0, <[u8]>::len));
        let headers: usize = record.headers().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len)).sum();
        assert!(parts.iter().sum::<usize>() + headers <= record.size());
        assert!(record.size() + 1 >= LEAST_RECORD);
    }
}

/// Returns one batch with the right length and checksum, which mutations destroy.
fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut batch = bytes.to_vec();
    let length = u32::try_from(batch.len().saturating_sub(LENGTH.end)).unwrap_or_default();
    let checksum = crc32c::crc32c(batch.get(CHECKED..).unwrap_or_default());
    for (place, field) in [(LENGTH, length), (CHECKSUM, checksum)] {
        if let Some(place) = batch.get_mut(place) {
            place.copy_from_slice(&field.to_be_bytes());
        }
    }
    batch
}
