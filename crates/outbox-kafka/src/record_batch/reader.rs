use std::fmt;
use std::io::{BufRead, Read};

use bytes::Buf;

use super::{BatchHeader, Compression, Malformed, RecordView, varint};

/// A limit above the record size that brokers accept by default. A larger length is rejected.
const MAX_RECORD: u64 = 256 * 1024 * 1024;

/// The whole batches in a broker's answer. A partial batch at the end is normal, and is skipped.
#[derive(Clone, Debug)]
pub(crate) struct Batches<'a>(&'a [u8]);

impl<'a> Batches<'a> {
    pub(crate) const fn new(fetched: &'a [u8]) -> Self {
        Self(fetched)
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut start = self.0;
        let offset = start.try_get_i64().ok()?;
        let size = start.try_get_i32().ok()?;
        let split = usize::try_from(size).map(|size| self.0.split_at_checked(12 + size));
        let batch = match split {
            Ok(None) => return None,
            Ok(Some((batch, rest))) => {
                self.0 = rest;
                match batch.get(16) {
                    Some(2) => BatchHeader::parse(batch).map(|(header, records)| Batch { header, records }),
                    Some(0 | 1) => BatchHeader::legacy(offset).map(|header| Batch { header, records: &[] }),
                    _ => Err(Malformed("the format is not known")),
                }
            }
            Err(_) => Err(Malformed("a batch of less than no bytes")),
        };

        if batch.is_err() {
            self.0 = &[];
        }
        Some(batch)
    }
}

/// A batch as it was fetched.
#[derive(Clone, Debug)]
pub(crate) struct Batch<'a> {
    pub header: BatchHeader,
    records: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Returns the size in the log.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        super::HEADER_SIZE + self.records.len()
    }

    /// Returns the users' records; a batch that ends a transaction has none.
    pub(crate) fn records(&self) -> Result<Records<'a>, Malformed> {
        let source = match self.header.compression {
            Compression::None => Source::Plain(self.records),
            compression => Source::Compressed(compression.decompress(self.records).map_err(|_| UNREADABLE)?),
        };
        let left = if self.header.is_control { 0 } else { self.header.count };
        Ok(Records { header: self.header, source, left, body: Vec::new() })
    }
}

const UNREADABLE: Malformed = Malformed("the records cannot be decompressed");
const CUT_OFF: Malformed = Malformed("a record is cut off");

/// The records of a batch, one at a time: only one of them is held in memory when they were compressed.
pub(crate) struct Records<'a> {
    header: BatchHeader,
    source: Source<'a>,
    left: u32,
    body: Vec<u8>,
}

enum Source<'a> {
    Plain(&'a [u8]),
    Compressed(Box<dyn BufRead + Send + 'a>),
}

impl Records<'_> {
    /// Returns the next record; after an error there is none.
    pub(crate) fn next(&mut self) -> Result<Option<RecordView<'_>>, Malformed> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = 0;

        let body = match &mut self.source {
            Source::Plain(rest) => take_record(rest)?,
            Source::Compressed(stream) => {
                let length = record_length(varint::read(|| {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).map_err(|_| UNREADABLE)?;
                    Ok::<_, Malformed>(u8::from_be_bytes(byte))
                })?)?;
                self.body.clear();
                // The buffer grows with the bytes that are present, and not with the stated length.
                let read = stream.take(length).read_to_end(&mut self.body).map_err(|_| UNREADABLE)?;
                if read as u64 != length {
                    return Err(CUT_OFF);
                }
                self.body.as_slice()
            }
        };
        let view = RecordView::parse(&self.header, body)?;

        self.left = left;
        Ok(Some(view))
    }
}

/// Splits the first record off a batch's records, and returns its bytes after its length.
pub(crate) fn take_record<'a>(records: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = record_length(varint::take(records)?)?;
    let (body, rest) =
        usize::try_from(length).ok().and_then(|length| records.split_at_checked(length)).ok_or(CUT_OFF)?;
    *records = rest;
    Ok(body)
}

fn record_length(length: i64) -> Result<u64, Malformed> {
    u64::try_from(length)
        .ok()
        .filter(|length| *length <= MAX_RECORD)
        .ok_or(Malformed("a record's length is out of range"))
}

impl fmt::Debug for Records<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("header", &self.header).field("left", &self.left).finish_non_exhaustive()
    }
}
