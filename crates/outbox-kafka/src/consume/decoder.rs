use std::fmt;
use std::io::Read as _;

use bytes::{Buf as _, Bytes};
use kafka_protocol::messages::fetch_response::PartitionData;

use super::aborted::{AbortedTransaction, AbortedTransactions};
use super::{Budget, Record};
use crate::record_batch::{BatchHeader, Compression, Malformed, RecordView, take_record};

/// The fields in front of a batch's length, and the length.
const PREFIX: usize = 12;
/// The bytes of a batch up to its last offset.
const UP_TO_LAST_OFFSET: usize = 27;
const MAGIC: usize = 16;

/// The most bytes that a batch of unknown origin may decompress to.
const MOST_DECOMPRESSED: usize = 128 << 20;

const TOO_LARGE: Malformed = Malformed("the records decompress to more bytes than an answer may have");
const NOT_COMPRESSED: Malformed = Malformed("the records cannot be decompressed");
const LEGACY: Malformed = Malformed("the format is older than Kafka 0.11");
const UNKNOWN_FORMAT: Malformed = Malformed("the format is unknown");
const DISORDER: Malformed =
    Malformed("a record's offset is not between that of the record before it and the batch's last");

/// A record that cannot be read. The records before it were delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record at offset {offset} cannot be read (batch of the offsets {first} to {last})")]
pub struct Unreadable {
    /// The first offset that cannot be read.
    pub offset: i64,
    /// The first offset of its batch.
    pub first: i64,
    /// The last offset of its batch, as far as its header can be read.
    pub last: i64,
    #[source]
    pub(super) cause: Malformed,
}

/// The answer of a broker for a partition.
pub(super) struct Answer {
    /// The offset that was fetched.
    pub(super) offset: i64,
    pub(super) batches: Bytes,
    pub(super) aborted: Vec<AbortedTransaction>,
    /// Committed records end before this offset.
    pub(super) end: i64,
}

impl Answer {
    pub(super) fn new(offset: i64, data: PartitionData) -> Self {
        let aborted = data
            .aborted_transactions
            .into_iter()
            .flatten()
            .map(|listed| AbortedTransaction { producer_id: listed.producer_id.0, first_offset: listed.first_offset });
        // Brokers without transactions report no last stable offset.
        let end = if data.last_stable_offset >= 0 { data.last_stable_offset } else { data.high_watermark };
        Self { offset, batches: data.records.unwrap_or_default(), aborted: aborted.collect(), end }
    }
}

/// Decodes the batches of an answer into committed records, piece by piece.
pub(super) struct Decoder {
    batches: Bytes,
    aborted: AbortedTransactions,
    end: i64,
    /// The next offset to deliver.
    next: i64,
    current: Option<Records>,
    limits: Limits,
}

/// The memory that decoding may use.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// The most bytes that a batch may decompress to.
    pub(super) decompressed: usize,
    pub(super) budget: Budget,
}

/// The records of one batch that are not decoded yet.
struct Records {
    header: BatchHeader,
    source: Bytes,
    /// The number of bytes of the source that are decoded.
    done: usize,
    left: u32,
    previous: i64,
}

impl Record {
    /// Reads the records of whole batches, as a broker stores them. No transaction of them was aborted.
    ///
    /// # Errors
    /// A record cannot be read. All of them are discarded.
    pub fn read_batches(batches: Bytes) -> Result<Vec<Self>, Unreadable> {
        let answer = Answer { offset: 0, batches, aborted: Vec::new(), end: i64::MAX };
        let limits = Limits { decompressed: MOST_DECOMPRESSED, budget: Budget::new(usize::MAX) };
        let mut records = Vec::new();
        Decoder::new(answer, limits).decode(&mut records, usize::MAX)?;
        Ok(records)
    }
}

impl Decoder {
    pub(super) fn new(answer: Answer, limits: Limits) -> Self {
        let Answer { offset, batches, aborted, end } = answer;
        Self { batches, aborted: AbortedTransactions::new(aborted), end, next: offset, current: None, limits }
    }

    /// Returns the first offset that is not delivered yet: after the last decoded batch, if it was decoded as a whole.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// Appends records until they have about `most` bytes. Returns whether there are more.
    ///
    /// After an error the records before it are in `into`.
    pub(super) fn decode(&mut self, into: &mut Vec<Record>, most: usize) -> Result<bool, Unreadable> {
        let mut size = 0;
        loop {
            if let Some(records) = &mut self.current {
                let before = records.done;
                let decoded = records.decode(into, &mut self.next, most - size);
                size += records.done - before;
                let last = records.header.last_offset;
                match decoded {
                    Ok(true) => self.next = self.next.max(last.saturating_add(1)),
                    Ok(false) => return Ok(true),
                    Err(_) => self.batches.clear(),
                }
                self.current = None;
                decoded?;
            }

            if size >= most {
                return Ok(!self.batches.is_empty());
            }

            let Some(batch) = self.next_batch()? else { return Ok(false) };
            self.begin(&batch)?;
        }
    }

    /// Returns the next whole batch. A partial batch at the end is normal.
    fn next_batch(&mut self) -> Result<Option<Bytes>, Unreadable> {
        let Some(extent) = Extent::of(&self.batches) else {
            self.batches.clear();
            return Ok(None);
        };
        match extent.size {
            Some(size) if size <= self.batches.len() => Ok(Some(self.batches.split_to(size))),
            Some(_) => {
                self.batches.clear();
                Ok(None)
            }
            None => Err(self.unreadable(&extent, Malformed("a batch's length is out of range"))),
        }
    }

    fn unreadable(&mut self, extent: &Extent, cause: Malformed) -> Unreadable {
        self.batches.clear();
        self.current = None;
        let offset = extent.first.max(self.next);
        self.next = offset;
        Unreadable { offset, first: extent.first, last: extent.last.unwrap_or(offset).max(offset), cause }
    }

    fn begin(&mut self, batch: &Bytes) -> Result<(), Unreadable> {
        let Some(extent) = Extent::of(batch) else { return Ok(()) };
        if extent.last.is_some_and(|last| last < self.next) {
            return Ok(());
        }
        if extent.first >= self.end {
            // A transaction is open from here on.
            self.batches.clear();
            return Ok(());
        }
        let opened = self.open(batch);
        opened.map_err(|cause| self.unreadable(&extent, cause))
    }

    /// Opens a batch for reading its records. Skips a batch of an aborted transaction, a marker and an empty batch, and
    /// moves the position behind them.
    fn open(&mut self, batch: &Bytes) -> Result<(), Malformed> {
        match batch.get(MAGIC) {
            Some(2) => {}
            Some(0 | 1) => return Err(LEGACY),
            _ => return Err(UNKNOWN_FORMAT),
        }
        let (header, records) = BatchHeader::parse(batch)?;
        let producer = header.producer.id;
        let is_aborted = self.aborted.contain(producer, header.last_offset);
        if header.is_control {
            self.aborted.end(producer);
        }

        let is_passed = header.is_control || (header.is_transactional && is_aborted) || header.count == 0;
        if is_passed {
            self.next = self.next.max(header.last_offset.saturating_add(1));
            return Ok(());
        }
        let source = match header.compression {
            Compression::None => batch.slice_ref(records),
            compression => self.limits.decompress(compression, records)?,
        };
        let previous = header.base_offset.saturating_sub(1);
        self.current = Some(Records { header, source, done: 0, left: header.count, previous });
        Ok(())
    }
}

impl Limits {
    fn decompress(&self, compression: Compression, compressed: &[u8]) -> Result<Bytes, Malformed> {
        let mut plain = Vec::with_capacity(self.decompressed.min(compressed.len().saturating_mul(4)));
        let stream = compression.decompress(compressed).map_err(|_| NOT_COMPRESSED)?;
        let most = self.decompressed as u64;
        // The buffer grows with the bytes that are present: a small batch may claim any size.
        stream.take(most.saturating_add(1)).read_to_end(&mut plain).map_err(|_| NOT_COMPRESSED)?;
        if plain.len() as u64 > most {
            return Err(TOO_LARGE);
        }
        Ok(self.budget.counted(plain))
    }
}

impl Records {
    /// Returns whether the batch is decoded as a whole.
    fn decode(&mut self, into: &mut Vec<Record>, next: &mut i64, most: usize) -> Result<bool, Unreadable> {
        let source = self.source.clone();
        let (begun, mut rest) = (self.done, source.get(self.done..).unwrap_or_default());

        // A record has seven bytes at least.
        into.reserve((self.left as usize).min(rest.len().min(most) / 7 + 1));

        while self.left > 0 {
            if self.done - begun >= most {
                return Ok(false);
            }

            let last = self.header.last_offset;
            let (bytes, view) = match self.take(&mut rest) {
                Ok(taken) => taken,
                Err(cause) => {
                    self.left = 0;
                    // A batch that claims more records than its offsets allow ends after its last offset.
                    let offset = self.previous.saturating_add(1).max(*next);
                    *next = offset;
                    return Err(Unreadable { offset, first: self.header.base_offset, last, cause });
                }
            };
            self.previous = view.offset;
            self.left -= 1;
            self.done = source.len() - rest.len();

            if view.offset >= *next {
                *next = view.offset.saturating_add(1);
                into.push(Record::sharing(&source, bytes, &view));
            }
        }
        Ok(true)
    }

    /// Takes the next record's bytes and parses them.
    #[inline]
    fn take<'a>(&self, rest: &mut &'a [u8]) -> Result<(&'a [u8], RecordView<'a>), Malformed> {
        let bytes = take_record(rest)?;
        let view = RecordView::parse(&self.header, bytes)?;
        if view.offset > self.previous && view.offset <= self.header.last_offset {
            Ok((bytes, view))
        } else {
            Err(DISORDER)
        }
    }
}

/// The beginning and end of a batch, by its unchecked header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) first: i64,
    /// Unless its header is cut off or of another format.
    pub(super) last: Option<i64>,
    /// In bytes, if it is one.
    pub(super) size: Option<usize>,
}

impl Extent {
    /// Reads the header of the first of these batches; `None` if its length is cut off.
    pub(super) fn of(batches: &[u8]) -> Option<Self> {
        let mut prefix = batches.get(..PREFIX)?;
        let first = prefix.get_i64();
        let size = usize::try_from(prefix.get_i32()).ok().and_then(|size| size.checked_add(PREFIX));
        let mut fields = batches.get(PREFIX..UP_TO_LAST_OFFSET).unwrap_or_default();
        let last = (batches.get(MAGIC) == Some(&2) && fields.len() == UP_TO_LAST_OFFSET - PREFIX)
            .then(|| {
                fields.advance(fields.len() - 4);
                first.checked_add(i64::from(fields.get_i32()))
            })
            .flatten()
            .filter(|last| *last >= first);
        Some(Self { first, last, size })
    }

    /// Returns the offset after the last whole batch that begins before `end`. `None` if a batch has no such offset:
    /// decoding it reports the reason.
    pub(super) fn behind(mut batches: &[u8], offset: i64, end: i64) -> Option<i64> {
        let mut next = offset;
        while let Some(extent) = Self::of(batches) {
            let Some(rest) = batches.get(extent.size?..) else { break };
            if extent.first >= end {
                break;
            }
            next = next.max(extent.last?.checked_add(1)?);
            batches = rest;
        }
        Some(next)
    }

    /// Returns whether the first batch is there as a whole.
    pub(super) fn is_whole(batches: &[u8]) -> bool {
        Self::of(batches).and_then(|extent| extent.size).is_some_and(|size| size <= batches.len())
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("next", &self.next)
            .field("end", &self.end)
            .field("bytes", &self.batches.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("offset", &self.offset)
            .field("bytes", &self.batches.len())
            .field("aborted", &self.aborted.len())
            .field("end", &self.end)
            .finish()
    }
}
