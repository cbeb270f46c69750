use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::decoder::{Decoder, Limits};
use super::inbox::Inbox;
use super::shared::Shared;
use super::{Record, Unreadable};
use crate::Error;

/// The bytes of records that are decoded at once.
const CHUNK: usize = 1 << 20;
/// The time without new records after which a stream reports that it is idle.
const QUIET: Duration = Duration::from_secs(5);

/// The committed records of a partition, in order. Dropping it ends the fetching.
#[derive(Debug)]
pub struct PartitionStream {
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    limits: Limits,
    decoder: Option<Decoder>,
    unreadable: Option<Unreadable>,
    next: i64,
    /// The number of idle answers that were reported.
    idle: u64,
    is_quiet: bool,
}

/// The content of a partition at an offset.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fetched {
    /// Records in order. There are none if nothing is new, or if compaction, markers or aborted transactions took the
    /// offsets before `next`.
    Records {
        /// The records.
        records: Vec<Record>,
        /// The next offset to read.
        next: i64,
        /// Committed records end before this offset (the last stable offset).
        end: i64,
    },
    /// The partition does not hold the offset (`OFFSET_OUT_OF_RANGE`). [`PartitionStream::seek`] continues elsewhere.
    OutOfRange,
    /// The record at this offset cannot be read. All records before it were delivered.
    Unreadable(Unreadable),
}

impl PartitionStream {
    pub(super) fn new(shared: Arc<Shared>, inbox: Arc<Inbox>, limits: Limits, offset: i64) -> Self {
        Self { shared, inbox, limits, decoder: None, unreadable: None, next: offset, idle: 0, is_quiet: false }
    }

    /// Returns the next offset to read.
    pub fn position(&self) -> i64 {
        self.next
    }

    /// Continues at another offset, or again at the same one after an unreadable record.
    pub fn seek(&mut self, offset: i64) {
        self.inbox.seek(offset);
        (self.decoder, self.unreadable, self.next) = (None, None, offset);
        (self.idle, self.is_quiet) = (0, false);
        self.shared.queue.changed.notify_one();
    }

    /// Waits for records. If there are none it returns an empty answer, the first time as soon as the broker has
    /// answered.
    ///
    /// A broker that is lost, a leader that moves, and other temporary failures are retried. A call that is dropped
    /// loses nothing.
    ///
    /// # Errors
    /// The partition could not be fetched for the cluster's request timeout, or retrying does not help. The stream can
    /// still be used.
    pub async fn next(&mut self) -> Result<Fetched, Error> {
        let begun = Instant::now();
        let patience = self.shared.cluster.settings().request_timeout;
        loop {
            if let Some(fetched) = self.decoded() {
                self.is_quiet = false;
                return Ok(fetched);
            }

            if let Some(unreadable) = &self.unreadable {
                return Ok(Fetched::Unreadable(unreadable.clone()));
            }

            let deadline = {
                let mut state = self.inbox.lock();
                if let Some(answer) = state.take() {
                    state.is_awaited = false;
                    drop(state);
                    self.shared.queue.changed.notify_one();
                    self.decoder = Some(Decoder::new(answer, self.limits.clone()));
                    continue;
                }
                if state.is_out_of_range {
                    return Ok(Fetched::OutOfRange);
                }
                if let Some(failed) = &state.failed
                    && (!failed.is_passing || begun.elapsed() >= patience)
                {
                    let error = failed.error.clone();
                    state.failed = None;
                    return Err(error);
                }
                let is_due = state.idle > self.idle && (!self.is_quiet || begun.elapsed() >= QUIET);
                if is_due || begun.elapsed() >= patience {
                    (self.idle, self.is_quiet) = (state.idle, true);
                    return Ok(Fetched::Records { records: Vec::new(), next: self.next, end: state.end.max(0) });
                }
                if !std::mem::replace(&mut state.is_awaited, true) {
                    self.shared.queue.changed.notify_one();
                }
                if self.is_quiet && begun.elapsed() < QUIET { begun + QUIET } else { begun + patience }
            };

            // A wake-up that is out of date only costs one turn of the loop.
            let _ = timeout_at(deadline, self.inbox.arrived.notified()).await;
        }
    }

    /// Decodes the next records of the current answer.
    fn decoded(&mut self) -> Option<Fetched> {
        let decoder = self.decoder.as_mut()?;
        let (before, mut records) = (self.next, Vec::new());
        let decoded = decoder.decode(&mut records, CHUNK);
        self.next = self.next.max(decoder.next());
        match decoded {
            Ok(true) => {}
            Ok(false) => self.decoder = None,
            Err(unreadable) => {
                self.decoder = None;
                self.unreadable = Some(unreadable);
            }
        }

        let end = self.inbox.lock().end;
        (self.next > before || !records.is_empty()).then_some(Fetched::Records { records, next: self.next, end })
    }
}

impl Drop for PartitionStream {
    fn drop(&mut self) {
        self.inbox.lock().is_closed = true;
        self.shared.queue.changed.notify_one();
    }
}
