use std::ops::{ControlFlow, Range};

use super::record_batch::{BatchHeader, Batches, Malformed, RecordView};
use super::{Cluster, Error, ErrorCode, OffsetAt, Topic};

/// The bytes that are requested at first; a larger batch makes it more.
const ROOM: i32 = 1024 * 1024;
/// The number of empty answers that are accepted although there are records.
const MAX_EMPTY: u32 = 3;

/// The beginning of the tail of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailStart {
    /// A number of offsets before the end. Where compaction or markers of transactions took offsets, that is fewer
    /// records.
    Last(u64),
    /// At this offset.
    Offset(i64),
}

/// An entry of the log, in the order of the log.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// A batch, before its records; the first one may have begun before the tail. It has no records if it ends a
    /// transaction, if compaction has removed all of them, or if it is in an older format.
    Batch(&'a BatchHeader),
    /// A record of the last batch.
    Record(&'a BatchHeader, RecordView<'a>),
}

/// The part of a partition that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The beginning of the log.
    pub log_start: i64,
    /// The beginning of the tail. It is later than requested if the log or the limit begins later.
    pub start: i64,
    /// The end of the log when the read began, which is the end of the read.
    pub end: i64,
    /// The first offset that was not read. It is the end, unless the visitor stopped or the log was truncated.
    pub next: i64,
}

impl Cluster {
    /// Calls a visitor with the newest part of a partition, in order: at most the `limit` newest offsets.
    ///
    /// Memory holds one answer of a broker, and one record of it.
    pub async fn read_tail(
        &self,
        topic: &Topic,
        partition: i32,
        from: TailStart,
        limit: u64,
        visitor: impl FnMut(Entry<'_>) -> ControlFlow<()> + Send,
    ) -> Result<Tail, Error> {
        let end = self.list_offsets(topic, partition, OffsetAt::Latest).await?;
        let log_start = self.list_offsets(topic, partition, OffsetAt::Earliest).await?;
        let before_end = |count: u64| end.saturating_sub(i64::try_from(count).unwrap_or(i64::MAX));
        let wanted = match from {
            TailStart::Last(count) => before_end(count),
            TailStart::Offset(offset) => offset,
        };
        let start = wanted.max(before_end(limit)).max(log_start).min(end.max(log_start));
        self.read_to_end(topic, partition, Tail { log_start, start, end, next: start }, visitor).await
    }

    /// Calls a visitor with the offsets of a range, in order. The range must end at or before the end of the log.
    ///
    /// The returned tail begins later than the range if the log does.
    pub async fn read_range(
        &self,
        topic: &Topic,
        partition: i32,
        range: Range<i64>,
        visitor: impl FnMut(Entry<'_>) -> ControlFlow<()> + Send,
    ) -> Result<Tail, Error> {
        let Range { start, end } = range;
        self.read_to_end(topic, partition, Tail { log_start: start, start, end, next: start }, visitor).await
    }

    /// Calls the visitor with the entries up to the end of the tail, or until the visitor stops.
    async fn read_to_end(
        &self,
        topic: &Topic,
        partition: i32,
        mut tail: Tail,
        mut visitor: impl FnMut(Entry<'_>) -> ControlFlow<()> + Send,
    ) -> Result<Tail, Error> {
        let mut room = ROOM;
        let mut empty = 0;

        while tail.next < tail.end {
            let fetched = match self.fetch(topic, partition, tail.next, room).await {
                Ok(fetched) => fetched,
                Err(e) if e.code() == Some(ErrorCode::OFFSET_OUT_OF_RANGE) => {
                    // Retention removed records meanwhile.
                    tail.log_start = self.list_offsets(topic, partition, OffsetAt::Earliest).await?;
                    if tail.log_start <= tail.next {
                        return Err(e);
                    }
                    tail.next = tail.log_start.min(tail.end);
                    continue;
                }
                Err(e) => return Err(e),
            };

            let before = tail.next;
            let shown = tail.show(&fetched, &mut visitor);

            if shown.map_err(|e| Error::malformed(e).of_partition(topic.name(), partition))?.is_break() {
                return Ok(tail);
            }

            if tail.next > before {
                empty = 0;
            } else if fetched.is_empty() {
                empty += 1;
                if empty == MAX_EMPTY {
                    return Ok(tail);
                }
            } else if i64::from(room) < self.settings().max_answer as i64 {
                room = room.saturating_mul(4);
            } else {
                return Err(Error::malformed(TOO_LARGE).of_partition(topic.name(), partition));
            }
        }
        Ok(tail)
    }
}

const TOO_LARGE: Malformed = Malformed("one batch is larger than an answer may be");

impl Tail {
    /// Shows the batches and records of a fetch that lie between the start and the end, and moves the position behind
    /// each batch that was shown in full.
    fn show(
        &mut self,
        fetched: &[u8],
        visitor: &mut impl FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Malformed> {
        for batch in Batches::new(fetched) {
            let batch = batch?;
            let header = &batch.header;
            if header.last_offset < self.next {
                continue;
            }
            if header.base_offset >= self.end {
                self.next = self.end;
                return Ok(ControlFlow::Continue(()));
            }

            let mut flow = visitor(Entry::Batch(header));
            let mut records = batch.records()?;
            while flow.is_continue() {
                match records.next()? {
                    Some(record) if (self.start..self.end).contains(&record.offset) => {
                        flow = visitor(Entry::Record(header, record));
                    }
                    Some(_) => {}
                    None => break,
                }
            }

            if flow.is_break() {
                return Ok(flow);
            }
            self.next = header.last_offset + 1;
        }
        Ok(ControlFlow::Continue(()))
    }
}
