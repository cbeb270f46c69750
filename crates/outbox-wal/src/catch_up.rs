use std::fmt;

use bytes::Bytes;
use tracing::Instrument as _;

use super::copies::Copies;
use super::decoding::SlotCopy;
use super::error::{Error, Kind};
use super::options::ConnectOptions;
use super::pipe::{Budget, PipeReceiver, PipeSender};
use super::slot::Source;
use crate::Lsn;

/// How far a copy is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Until little ends in much WAL, as within a large transaction; the rest is for the stream.
    ToLargeTransaction,
    #[cfg_attr(not(test), expect(dead_code, reason = "other databases of the server write much WAL in tests"))]
    ToEnd,
}

/// Reads what a slot holds from temporary copies of it, by function: PostgreSQL's decoder is several times as fast
/// as its stream. The slot itself is not moved. The copies go with their connections, and those with this value.
pub struct CatchUp {
    pipe: PipeReceiver,
    until: Lsn,
}

impl CatchUp {
    /// Reads from the slot's confirmed position to where the stream was started.
    pub(super) async fn open(
        options: &ConnectOptions,
        source: &Source,
        until: Lsn,
        reach: Reach,
    ) -> Result<Self, Error> {
        let copy = SlotCopy::open(options, source.slot()).await.map_err(|error| match error.kind() {
            Kind::NoConnection => error.with_kind(Kind::NoCopy { slot: source.slot().into() }),
            _ => error,
        })?;
        let (sender, receiver) = PipeSender::new(Budget::CHUNK);
        let copies = Copies { options: options.clone(), source: source.clone(), until, reach, pipe: sender };
        let span = tracing::debug_span!(
            target: "outbox.relay", "catch_up", slot = source.slot(), %until, messages = tracing::field::Empty
        );
        let pipe = receiver.run(tokio::spawn(copies.read(copy).instrument(span)));
        Ok(Self { pipe, until })
    }

    /// Returns the next message of pgoutput; none when all was read. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let Some(body) = self.pipe.next().await? else { return Ok(None) };
            if let Some(data) = data(body)? {
                return Ok(Some(data));
            }
        }
    }

    /// Returns the next message, if it is here already.
    pub fn buffered(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(body) = self.pipe.buffered() {
            if let Some(data) = data(body)? {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Ends the reading early, and waits until the copy is gone.
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
    if row.starts_with(HEADER) {
        row = row.slice(HEADER.len()..);
    }
    if row.is_empty() || *row == *END {
        return Ok(None);
    }
    let length = match row.split_first_chunk::<6>() {
        Some(([0, 1, length @ ..], rest)) => {
            usize::try_from(u32::from_be_bytes(*length)).ok().filter(|l| *l == rest.len())
        }
        _ => None,
    };
    match length {
        Some(_) => Ok(Some(row.slice(6..))),
        None => Err(Error::protocol("a row of COPY")),
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
