use std::fmt;

use bytes::{Buf as _, Bytes};
use tracing::{Instrument as _, Span, debug};

use super::chunk::{self, Report};
use super::decoding::{CopyConnection, Decoding, SlotCopy};
use super::error::{Error, Kind};
use super::options::ConnectOptions;
use super::pipe::{Budget, PipeReceiver, PipeSender};
use super::session::Session;
use super::slot::{SlotState, Source};
use crate::Lsn;
use outbox_net::ErrorChain;

/// The position up to which a copy is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Until few transactions end in much WAL, as within a large transaction. The stream reads the rest.
    ToLargeTransaction,
    #[cfg_attr(not(test), expect(dead_code, reason = "other databases of the server write much WAL in tests"))]
    ToEnd,
}

/// Reads the backlog of a slot from temporary copies of it, by function: this is several times as fast as the stream.
/// The slot itself is not moved. Dropping this value closes the connections, and with them the copies are dropped.
pub struct CatchUp {
    pipe: PipeReceiver,
    until: Lsn,
}

impl CatchUp {
    /// Reads from the slot's confirmed position to where the stream was started. `session` is open already.
    pub(super) async fn open(
        session: Session,
        options: &ConnectOptions,
        source: &Source,
        until: Lsn,
        reach: Reach,
    ) -> Result<Self, Error> {
        let copy = CopyConnection::new(session).await?.copy(source.slot()).await?;
        let (sender, receiver) = PipeSender::new(Budget::CHUNK);
        let copies = Copies { options: options.clone(), source: source.clone(), until, reach, pipe: sender };
        let span = tracing::debug_span!(
            target: "outbox.relay", "catch_up", slot = source.slot(), %until, messages = tracing::field::Empty
        );
        let pipe = receiver.run(tokio::spawn(copies.read(copy).instrument(span)));
        Ok(Self { pipe, until })
    }

    /// Returns the next message of pgoutput; `None` when all was read. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let Some(body) = self.pipe.next().await? else { return Ok(None) };
            if let Some(data) = data(body)? {
                return Ok(Some(data));
            }
        }
    }

    /// Returns the next message, if it was received already.
    pub fn buffered(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(body) = self.pipe.buffered() {
            if let Some(data) = data(body)? {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Ends the read early, and waits until the copy is dropped.
    pub async fn close(self) -> Result<(), Error> {
        self.pipe.close().await
    }
}

impl fmt::Debug for CatchUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatchUp").field("until", &self.until).finish_non_exhaustive()
    }
}

/// Returns the message within a row of `COPY … (FORMAT binary)`, which the header precedes and an empty row ends.
fn data(mut row: Bytes) -> Result<Option<Bytes>, Error> {
    const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
    const END: &[u8] = &[0xff, 0xff];
    /// The number of fields, which is one, and the length of the field.
    const FIELD_HEAD: usize = 6;

    if row.starts_with(HEADER) {
        row.advance(HEADER.len());
    }
    if row.is_empty() || *row == *END {
        return Ok(None);
    }

    let length = match row.split_first_chunk::<FIELD_HEAD>() {
        Some(([0, 1, length @ ..], rest)) => {
            usize::try_from(u32::from_be_bytes(*length)).ok().filter(|l| *l == rest.len())
        }
        _ => None,
    };
    match length {
        Some(_) => {
            row.advance(FIELD_HEAD);
            Ok(Some(row))
        }
        None => Err(Error::protocol("a row of COPY")),
    }
}

/// The task that lets the server decode, chunk by chunk. The function returns nothing before it has decoded a whole
/// chunk, and its connection decodes nothing while the chunk is transferred. So two copies of the slot alternate: one
/// decodes while the chunk of the other is transferred.
struct Copies {
    options: ConnectOptions,
    source: Source,
    until: Lsn,
    reach: Reach,
    pipe: PipeSender,
}

/// The copy that is not being read.
enum Other {
    NotYet,
    Idle(CopyConnection),
    /// The server has no slot or no connection left.
    Unavailable,
}

/// The step after a chunk.
enum Next {
    Unknown,
    Decoding(Box<Decoding>),
    End(SlotState),
}

impl Copies {
    /// Reads up to the end, or to where a large transaction begins.
    async fn read(self, mut copy: SlotCopy) -> Result<(), Error> {
        let (mut last, mut messages, mut other) = (None, 0, Other::NotYet);
        let slot = copy.state().await?;
        let mut next = self.begin(copy, slot, last).await?;

        while let Next::Decoding(mut current) = next {
            if !current.decoded(&self.pipe, &self.source).await? {
                return Ok(());
            }

            let name = current.copy.name.clone();
            let handed_over = current.hand_over(&self.pipe, &self.source);
            // The first chunk reports a large transaction, for which a second one would be decoded without success.
            let (read, following) = match last {
                None => (handed_over.await?, Next::Unknown),
                Some(_) => {
                    let (read, following) = tokio::join!(handed_over, self.on_the_other(&mut other, &name, last));
                    (read?, following)
                }
            };
            let Some(read) = read else { return Ok(()) };
            messages += read.messages;

            let Decoding { mut copy, slot: before, .. } = *current;
            let after = match &following {
                Next::Unknown => copy.state().await?,
                Next::Decoding(following) => following.slot,
                Next::End(slot) => *slot,
            };
            if after.confirmed_flush_lsn <= before.confirmed_flush_lsn {
                return Err(Error::protocol("a copy of the slot that does not move"));
            }
            let is_cut_short = self.reach == Reach::ToLargeTransaction && after.confirmed_flush_lsn < self.until;
            if is_cut_short && chunk::has_few_ends(before, after, read) {
                if let Next::Decoding(vain) = following {
                    copy.end(&vain.copy.pid).await?;
                }
                return Err(Error::new(Kind::FewEnds { until: after.confirmed_flush_lsn }));
            }

            let wal = after.confirmed_flush_lsn.as_u64().saturating_sub(before.confirmed_flush_lsn.as_u64());
            last = Some(Report { wal, ..read });
            next = match following {
                Next::Unknown => self.begin(copy, after, last).await?,
                known => {
                    // This runs while the server decodes the next chunk.
                    other = match copy.discard().await {
                        Ok(connection) => Other::Idle(connection),
                        Err(error) => {
                            debug!(target: "outbox.relay", error = %ErrorChain::new(&error), "second copy of the slot not available: reading with one");
                            Other::Unavailable
                        }
                    };
                    known
                }
            };
        }

        Span::current().record("messages", messages);
        debug!(target: "outbox.relay", "copies of the slot caught up");
        Ok(())
    }

    async fn begin(&self, copy: SlotCopy, slot: SlotState, last: Option<Report>) -> Result<Next, Error> {
        if slot.confirmed_flush_lsn >= self.until {
            return Ok(Next::End(slot));
        }
        let chunk = chunk::next(slot, self.until, last, self.options.timeouts.silence);
        copy.begin(slot, chunk, &self.source).await.map(|decoding| Next::Decoding(Box::new(decoding)))
    }

    /// Begins the chunk after the one that the copy `decoded` has, if there is another copy for it.
    async fn on_the_other(&self, other: &mut Other, decoded: &str, last: Option<Report>) -> Next {
        let connection = match std::mem::replace(other, Other::Unavailable) {
            Other::NotYet => CopyConnection::open(&self.options).await,
            Other::Idle(connection) => Ok(connection),
            Other::Unavailable => return Next::Unknown,
        };
        let begun = async {
            let mut copy = connection?.copy(decoded).await?;
            let slot = copy.state().await?;
            self.begin(copy, slot, last).await
        };
        begun.await.unwrap_or_else(|e| {
            debug!(target: "outbox.relay", error = %ErrorChain::new(&e), "second copy of the slot not available: reading with one");
            Next::Unknown
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_copy() {
        let header = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".as_slice();
        let row = b"\0\x01\0\0\0\x02ab".as_slice();
        assert_eq!(data(Bytes::from([header, row].concat())).unwrap().as_deref(), Some(b"ab".as_slice()));
        assert_eq!(data(Bytes::from_static(b"\0\x01\0\0\0\x00")).unwrap().as_deref(), Some(b"".as_slice()));
        assert_eq!(data(Bytes::from_static(header)).unwrap(), None);
        assert_eq!(data(Bytes::from_static(b"\xff\xff")).unwrap(), None);
        for bad in [b"\0\x01\0\0\0\x03ab".as_slice(), b"\0\x02\0\0\0\x02ab", b"\0\x01\xff\xff\xff\xff", b"x"] {
            assert!(data(Bytes::from_static(bad)).is_err());
        }
    }
}
